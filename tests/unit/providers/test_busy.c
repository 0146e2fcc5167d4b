/*
 * busy: a month whose row another session has locked keeps no other month from its units and its findings, nothing of it is
 * written twice, and it goes on when its row is free; and what is just ending is given back with everything else.
 */
#include "world.h"
#include <stdlib.h>
#include <string.h>

static const char nothing_found[] = "{\"total\":0,\"data\":[]}";
static const char *const isbns[] = { "9780306406157" };

struct heard {
	int times;
	enum bf_err_class class;
};

static void hear(void *ctx, const struct bf_error *err, const struct provider_answer *answer)
{
	struct heard *h = ctx;

	(void)answer;
	h->times++;
	h->class = err ? err->class : BF_ERR_NONE;
}

/* ISBNdb is asked for a month of 2001. */
static struct gate_call *ask_for(int month, struct heard *h)
{
	struct bf_arena *arena = bf_arena_new();
	const struct gate_ask ask = { .provider = BF_ISBNDB,
		.ref = { 2001, month, 7 },
		.ask = { .kind = PROVIDER_BULK, .isbns = isbns, .n_isbns = 1 } };

	memset(h, 0, sizeof *h);
	return gate_start_take(w.p, &ask, &arena, hear, h);
}

static void note_outcome(void *ctx, const struct bf_error *err, enum bf_store_outcome outcome)
{
	int *times = ctx;

	assert_null(err);
	assert_int_equal(outcome, BF_STORE_DONE);
	++*times;
}

static void record_for(int month, int64_t id, int *times)
{
	const struct bf_resolution found = { .ref = { 2001, month, 7 },
		.candidate_id = id,
		.state = BF_CAND_RESOLVED,
		.isbn13 = "9780306406157",
		.resolved_by = "isbndb",
		.answers_json = "{}" };

	*times = 0;
	bf_providers_record(w.p, &found, note_outcome, times);
}

/* Proves that a call of a locked month stands aside without closing the provider or holding others up, and is sent later. */
static void test_call_stands_aside(void **state)
{
	struct heard locked, free_one;

	(void)state;
	world_begin(BF_ISBNDB, 100, 10);
	w.locked_month = 1;
	ask_for(1, &locked);
	ask_for(2, &free_one);
	world_run(200);
	assert_int_equal(w.n_requests, 1);
	assert_null(bf_provider_unusable(w.p, BF_ISBNDB));
	world_answer(0, 200, nothing_found);
	assert_int_equal(free_one.class, BF_ERR_NONE);
	assert_int_equal(free_one.times, 1);
	world_run(10000);
	assert_int_equal(locked.times, 0);
	assert_true(w.n_wants < 30); /* it asks less and less often */
	w.locked_month = 0;
	world_run(2000);
	assert_int_equal(w.n_requests, 2);
	world_answer(1, 200, nothing_found);
	assert_int_equal(locked.times, 1);
	assert_int_equal(w.used[BF_ISBNDB], 2);
}

/* Proves that a call that stands aside can be cancelled, and costs nothing. */
static void test_cancelled_aside(void **state)
{
	struct heard h;
	struct gate_call *call;

	(void)state;
	world_begin(BF_ISBNDB, 100, 10);
	w.locked_month = 1;
	call = ask_for(1, &h);
	world_run(500);
	gate_cancel(call);
	w.locked_month = 0;
	world_run(5000);
	assert_int_equal(h.times + w.n_requests, 0);
	assert_int_equal(w.used[BF_ISBNDB], 0);
}

/* Proves that findings of other months are written while one is locked, each finding once, the locked month's when it is free. */
static void test_findings_go_on(void **state)
{
	int locked[2], others[3];

	(void)state;
	world_begin(BF_ISBNDB, 100, 10);
	w.locked_month = 1;
	record_for(1, 11, &locked[0]);
	record_for(2, 21, &others[0]);
	world_run(1500);
	assert_int_equal(others[0], 1);
	assert_int_equal(locked[0], 0);
	for (int i = 1; i < 3; i++) {
		record_for(2, 21 + i, &others[i]);
		world_run(1500);
		assert_int_equal(others[i], 1);
	}
	record_for(1, 12, &locked[1]);
	world_run(10000);
	assert_int_equal(locked[0] + locked[1], 0);
	assert_int_equal(w.n_findings, 3);
	w.locked_month = 0;
	world_run(5000);
	assert_int_equal(locked[0], 1);
	assert_int_equal(locked[1], 1);
	assert_int_equal(w.n_findings, 5);
}

/* Proves that units of a locked month are counted once, when it is free. */
static void test_usage_waits(void **state)
{
	struct heard h;

	(void)state;
	world_begin(BF_ISBNDB, 100, 10);
	ask_for(1, &h);
	world_run(200);
	w.locked_month = 1;
	world_answer(0, 200, nothing_found);
	world_run(10000);
	assert_int_equal(w.spent[BF_ISBNDB].units_sent, 0);
	w.locked_month = 0;
	world_run(5000);
	assert_int_equal(w.spent[BF_ISBNDB].units_sent, 1);
}

/* Proves that a flush which may still be written by its first try is not taken apart: its findings are written once. */
static void test_doubtful_is_not_parted(void **state)
{
	int one, two;

	(void)state;
	world_begin(BF_ISBNDB, 100, 10);
	record_for(1, 11, &one);
	record_for(2, 21, &two);
	w.flush_is_doubtful = true;
	world_run(700);
	w.locked_month = 1;
	world_run(10000);
	assert_int_equal(w.n_findings, 0);
	assert_int_equal(one + two, 0);
	w.written_id[w.n_written++] = w.doubtful_id; /* so it was under way all the time */
	w.n_findings += 2;
	world_run(2000);
	assert_int_equal(one, 1);
	assert_int_equal(two, 1);
	assert_int_equal(w.n_findings, 2);
}

/* Proves that a call whose end is about to be told is given back with the providers (a sanitizer or valgrind would tell). */
static void test_ending_is_given_back(void **state)
{
	struct heard h;

	(void)state;
	w.config.provider[BF_ISBNDB].enabled = false;
	world_begin(BF_ISBNDB, 100, 10);
	assert_non_null(ask_for(1, &h));
	assert_int_equal(h.times, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		T(test_call_stands_aside),
		T(test_cancelled_aside),
		T(test_findings_go_on),
		T(test_usage_waits),
		T(test_doubtful_is_not_parted),
		T(test_ending_is_given_back),
	};

	return cmocka_run_group_tests_name("busy", tests, NULL, NULL);
}
