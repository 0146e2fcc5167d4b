/* Items go their ways: who is asked, what an answer or its lack means, and that every item ends, with a true reason. */
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "world.h"

#define A "9780441172719"
#define B "9780306406157"
#define C "9783161484100"
#define RECORD(isbn) "{\"isbn13\":\"" isbn "\",\"title\":\"Kept\",\"authors\":\"A. Writer\"}"

static struct bf_enrich *e;

static int begin(void **state)
{
	(void)state;
	world_reset();
	return 0;
}

static int end(void **state)
{
	struct bf_enrich_figures f;

	(void)state;
	bf_enrich_figures(e, &f);
	bf_enrich_free(e);
	e = NULL;
	return f.bugs != 0; /* no test may meet an event the table does not allow */
}

static void run(void)
{
	e = world_enrich();
	world_run();
}

/* A book whose record came with its ISBN costs no second unit; the others go in one request. */
static void what_was_kept_is_not_bought_again(void **state)
{
	(void)state;
	world_add(A, RECORD(A));
	world_add(B, NULL);
	world_add(C, NULL);
	world.found[BF_ISBNDB] = B "," C;
	run();
	assert_int_equal(world.asked[BF_ISBNDB], 1);
	assert_int_equal(world.isbns_asked[BF_ISBNDB], 2);
	assert_int_equal(world.isbns_asked[BF_WIKIDATA], 3);
	assert_int_equal(world.isbns_asked[BF_OPEN_LIBRARY], 3);
	assert_int_equal(world.asked[BF_ARCHIVE_ORG], 0);
	for (int i = 0; i < 3; i++)
		assert_string_equal(world_end_of(i), "completed");
	assert_int_equal(world.writes, 1);
	assert_int_equal(bf_enrich_count(e), 0);
}

/* Two editions of one book in one batch go to one work. */
static void editions_of_one_batch_share_their_work(void **state)
{
	(void)state;
	world_add(A, RECORD(A));
	world_add(B, RECORD(B));
	run();
	assert_string_equal(world.end[0].work_key, world.end[1].work_key);
}

/* What ISBNdb lacks is asked of the last resort, and known by it. */
static void the_last_resort_is_asked_last(void **state)
{
	(void)state;
	world_add(A, NULL);
	world.found[BF_ARCHIVE_ORG] = A;
	run();
	assert_int_equal(world.asked[BF_ISBNDB], 1);
	assert_int_equal(world.asked[BF_ARCHIVE_ORG], 1);
	assert_string_equal(world_end_of(0), "completed");
}

/* An ISBN that everybody was asked about and nobody knows has failed, and says so; the others of its batch have not. */
static void nobody_knows_it(void **state)
{
	(void)state;
	world_add(A, NULL);
	world_add(B, NULL);
	world.found[BF_ISBNDB] = B;
	run();
	assert_string_equal(world_end_of(0), "failed");
	assert_string_equal(world.end[0].reason, "no provider knows this ISBN");
	assert_string_equal(world_end_of(1), "completed");
}

/* A closed ISBNdb holds up only who needs it; nobody else is asked in vain, and the item says for whom it waits. */
static void a_closed_provider_is_waited_for(void **state)
{
	(void)state;
	world_add(A, NULL);
	world_add(B, RECORD(B));
	world.standing[BF_ISBNDB] = BF_CLOSED;
	run();
	assert_string_equal(world_end_of(0), "wait");
	assert_string_equal(world.end[0].waiting_for, "isbndb");
	assert_non_null(strstr(world.end[0].reason, "closed by the test"));
	assert_true(world.end[0].wait_ms >= 60000);
	assert_int_equal(world.isbns_asked[BF_WIKIDATA], 1);
	assert_string_equal(world_end_of(1), "completed");
}

/* Units that are not left are not asked for: the rest of the batch waits. */
static void no_more_is_asked_than_units_are_left(void **state)
{
	(void)state;
	world_add(A, NULL);
	world_add(B, NULL);
	world_add(C, NULL);
	world.units_left = 2;
	world.found[BF_ISBNDB] = A "," B "," C;
	run();
	assert_int_equal(world.isbns_asked[BF_ISBNDB], 2);
	assert_string_equal(world_end_of(0), "completed");
	assert_string_equal(world_end_of(1), "completed");
	assert_string_equal(world_end_of(2), "wait");
}

/* A refused reservation is waiting, not failing. */
static void quota_gone_is_waiting(void **state)
{
	(void)state;
	world_add(A, NULL);
	world.error[BF_ISBNDB] = BF_ERR_QUOTA;
	run();
	assert_string_equal(world_end_of(0), "wait");
}

/* An outage of ISBNdb is an attempt, never "not found"; the reason is the provider's. */
static void an_outage_is_an_attempt(void **state)
{
	(void)state;
	world_add(A, NULL);
	world.error[BF_ISBNDB] = BF_ERR_RETRY;
	run();
	assert_string_equal(world_end_of(0), "retry");
	assert_string_equal(world.end[0].reason, "isbndb: failed by the test");
	assert_true(world.end[0].wait_ms >= 48000 && world.end[0].wait_ms <= 72000);
}

/* A free provider's outage holds up nobody who is known already, and somebody who is not. */
static void a_free_providers_outage(void **state)
{
	(void)state;
	world_add(A, NULL);
	world_add(B, NULL);
	world.found[BF_ISBNDB] = A;
	world.error[BF_OPEN_LIBRARY] = BF_ERR_RETRY;
	run();
	assert_string_equal(world_end_of(0), "completed");
	assert_string_equal(world_end_of(1), "retry");
}

/* A provider that is disabled is waited for by nobody. */
static void who_is_left_out_is_not_waited_for(void **state)
{
	(void)state;
	world_add(A, NULL);
	world.standing[BF_ISBNDB] = world.standing[BF_WIKIDATA] = BF_LEFT_OUT;
	world.found[BF_OPEN_LIBRARY] = A;
	run();
	assert_int_equal(world.asked[BF_ISBNDB], 0);
	assert_string_equal(world_end_of(0), "completed");
}

/* Keys that are no ISBN fail at once; other spellings are put right first. */
static void keys_are_read_first(void **state)
{
	(void)state;
	world_add("not an isbn", NULL);
	world_add("0-441-17271-7", NULL);
	run();
	assert_string_equal(world_end_of(0), "failed");
	assert_non_null(strstr(world.end[0].reason, "not an ISBN"));
	assert_string_equal(world_end_of(1), "rekey");
	assert_int_equal(world.asked[BF_ISBNDB], 0);
}

/* What changed between look and write is looked at again, and no request is repeated. */
static void stale_is_looked_at_again(void **state)
{
	(void)state;
	world_add(A, NULL);
	world.found[BF_ISBNDB] = A;
	world.stale_left = 3;
	run();
	assert_int_equal(world.looks, 4);
	assert_int_equal(world.asked[BF_ISBNDB], 1);
	assert_string_equal(world_end_of(0), "completed");
}

/* A catalogue that never holds still ends the attempt instead of looking for ever. */
static void stale_for_ever_is_an_attempt(void **state)
{
	(void)state;
	world_add(A, RECORD(A));
	world.stale_left = 1000;
	run();
	assert_string_equal(world_end_of(0), "retry");
	assert_true(world.looks < 20);
}

/* A write that the database refuses for one book is tried book by book: only that one fails. */
static void a_refused_write_costs_one_book(void **state)
{
	(void)state;
	world_add(A, RECORD(A));
	world_add(B, RECORD(B));
	world.write_error = BF_ERR_PERMANENT;
	world.write_errors = 2; /* the whole, then the first alone */
	run();
	assert_string_equal(world_end_of(0), "retry");
	assert_string_equal(world_end_of(1), "completed");
}

/* A lost acknowledgement is looked at again. */
static void a_lost_acknowledgement(void **state)
{
	(void)state;
	world_add(A, RECORD(A));
	world.write_error = BF_ERR_RETRY;
	world.write_errors = 2;
	run();
	assert_int_equal(world.looks, 3);
	assert_string_equal(world_end_of(0), "completed");
}

/* An item that another instance took over is dropped and nothing more is written of it. */
static void a_lost_item_is_dropped(void **state)
{
	(void)state;
	world_add(A, NULL);
	world_add(B, NULL);
	world.found[BF_ISBNDB] = A "," B;
	world.lost = world.end[0].id;
	run();
	assert_null(world_end_of(0));
	assert_int_equal(world.end[0].writes, 0);
	assert_string_equal(world_end_of(1), "completed");
	assert_int_equal(bf_enrich_count(e), 0);
}

/* A drain gives back what was not asked yet, without an attempt. */
static void a_drain_releases(void **state)
{
	(void)state;
	world_add(A, NULL);
	world.error[BF_ISBNDB] = world.error[BF_WIKIDATA] = world.error[BF_OPEN_LIBRARY] = BF_ERR_CANCELLED;
	e = world_enrich();
	bf_enrich_drain(e);
	world_run();
	assert_string_equal(world_end_of(0), "release");
	assert_int_equal(bf_enrich_count(e), 0);
}

/* While paused nothing is claimed; afterwards it is. */
static void a_pause_claims_nothing(void **state)
{
	(void)state;
	world_add(A, RECORD(A));
	e = world_enrich();
	world.claims = 0;
	bf_enrich_pulse(e, &(struct bf_pulse){ .queue_depth = 1, .paused = true });
	world_run();
	world_add(B, RECORD(B));
	bf_enrich_wake(e);
	world_run();
	assert_null(world_end_of(1));
	bf_enrich_pulse(e, &(struct bf_pulse){ .queue_depth = 1 });
	world_run();
	assert_string_equal(world_end_of(1), "completed");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
		T(what_was_kept_is_not_bought_again), T(editions_of_one_batch_share_their_work),
		T(the_last_resort_is_asked_last), T(nobody_knows_it),
		T(a_closed_provider_is_waited_for), T(no_more_is_asked_than_units_are_left),
		T(quota_gone_is_waiting), T(an_outage_is_an_attempt), T(a_free_providers_outage),
		T(who_is_left_out_is_not_waited_for), T(keys_are_read_first),
		T(stale_is_looked_at_again), T(stale_for_ever_is_an_attempt),
		T(a_refused_write_costs_one_book), T(a_lost_acknowledgement),
		T(a_lost_item_is_dropped), T(a_drain_releases), T(a_pause_claims_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
