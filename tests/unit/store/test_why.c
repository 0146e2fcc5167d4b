/* The facts about one month, and what months have cost of late. */
#include "db.h"

#define NODE(state) struct node *one = *(state); if (one == NULL) skip()

static struct bf_why why;
static char status[16], owner[80], note[40];
static struct bf_plan_figures plan;

static void on_why(void *ctx, const struct bf_error *err, const struct bf_why *w)
{
	(void)ctx;
	db_came(err);
	assert_non_null(w);
	why = *w;
	snprintf(status, sizeof(status), "%s", w->status);
	snprintf(owner, sizeof(owner), "%s", w->owner != NULL ? w->owner : "(none)");
	snprintf(note, sizeof(note), "%s", w->note != NULL ? w->note : "(none)");
}

static void ask(struct node *one, int year, int month)
{
	bf_store_why(one->store, year, month, 2023, 2024, on_why, NULL);
	db_wait();
	assert_string_equal(got.err.text, "");
}

static void on_plan(void *ctx, const struct bf_error *err, const struct bf_plan_figures *f)
{
	(void)ctx;
	db_came(err);
	assert_non_null(f);
	plan = *f;
}

/* A month without a row, one that waits behind others, one that is held, and whether its holder lives. */
static void test_facts(void **state)
{
	NODE(state);
	struct bf_month_row row;

	ask(one, 2024, 6);
	assert_false(why.seeded);
	seed(one, 2022, 2024);
	ask(one, 2023, 6);
	assert_true(why.seeded);
	assert_int_equal(why.ahead, 12 + 6);
	assert_string_equal(status, "pending");
	row = claim_one(one);
	ask(one, row.ref.year, row.ref.month);
	assert_string_equal(status, "processing");
	assert_true(why.held);
	assert_true(why.owner_lives);
	assert_false(why.older);
	assert_int_equal(why.in_flight, 1);
	db_run("UPDATE backfill_log SET status = 'processing', owner = 'ghost', owner_id = 9999 WHERE year = 2024 AND month = 1");
	ask(one, 2024, 1);
	assert_false(why.held);
	assert_false(why.owner_lives);
	assert_true(why.older);
	assert_string_equal(owner, "ghost");
}

/* A pause counts until its end; a backoff until its time. */
static void test_waits(void **state)
{
	NODE(state);
	seed(one, 2024, 2024);
	db_run("UPDATE backfill_log SET status = 'retry', next_attempt_at = now() + interval '1 h' WHERE month = 6");
	bf_store_pause(one->store, true, "disks", NULL, got_done, NULL);
	db_wait();
	ask(one, 2024, 6);
	assert_true(why.paused);
	assert_int_equal(why.paused_ms, -1);
	assert_string_equal(note, "disks");
	assert_true(why.wait_ms > 3590000 && why.wait_ms <= 3600000);
	db_run("UPDATE backfill_control SET until = now() - interval '1 s'");
	ask(one, 2024, 6);
	assert_false(why.paused);
	db_run("UPDATE backfill_control SET paused = false, note = NULL, until = NULL");
}

/* Only the last 30 days count, and every provider has a line. */
static void test_plan(void **state)
{
	NODE(state);
	seed(one, 2024, 2024);
	bf_store_plan_figures(one->store, on_plan, NULL);
	db_wait();
	assert_int_equal(plan.months, 0);
	db_run("UPDATE backfill_log SET status = 'completed', fence = 1, started_at = now() - interval '20 s', completed_at = now()"
	       " WHERE month IN (1, 2)");
	db_run("UPDATE backfill_log SET status = 'completed', fence = 1, started_at = now() - interval '40 d', completed_at = now()"
	       " - interval '31 d' WHERE month = 3");
	db_run("INSERT INTO api_usage (provider, day, instance, calls, units, cost_usd) VALUES ('isbndb', current_date, 'a', 3, 5, 0.5),"
	       " ('isbndb', current_date - 40, 'a', 100, 100, 9)");
	bf_store_plan_figures(one->store, on_plan, NULL);
	db_wait();
	assert_int_equal(plan.months, 2);
	assert_int_equal((int)plan.seconds, 20);
	assert_int_equal(plan.calls[BF_ISBNDB], 3);
	assert_int_equal(plan.units[BF_ISBNDB], 5);
	assert_int_equal((int)(plan.cost_usd[BF_ISBNDB] * 10), 5);
	assert_int_equal(plan.units[BF_WIKIDATA], 0);
}

static int setup(void **state)
{
	int rc = db_setup(state);

	if (*state != NULL)
		db_run("TRUNCATE api_usage, api_quota");
	return rc;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, db_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = { TEST(test_facts), TEST(test_waits), TEST(test_plan) };

	return cmocka_run_group_tests(tests, db_group_setup, db_group_teardown);
}
