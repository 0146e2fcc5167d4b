/* Claiming, previewing, rescuing and harvesting months, against a real PostgreSQL. */
#include "db.h"

#define NODE(state) struct node *one = *(state); if (one == NULL) skip()

/* 2000-2024 makes 300 rows with the prompts of their years; a second time none; 1900 and 2100 work.
 */
static void seeding_makes_each_month_once(void **state)
{
	NODE(state);
	assert_int_equal(seed(one, 2000, 2024), 300);
	assert_int_equal(seed(one, 2000, 2024), 0);
	assert_int_equal(db_int("SELECT count(*) FROM backfill_log WHERE prompt_variant = "
				"'contemporary-notable'"
				" AND year >= 2020 AND batch_size = 20"),
		60);
	assert_int_equal(db_int("SELECT count(*) FROM backfill_log WHERE prompt_variant = "
				"'baseline' AND year < 2020"),
		240);
	assert_int_equal(seed(one, 1900, 1900), 12);
	assert_int_equal(seed(one, 2100, 2100), 12);
	claim(one, 1, 2100, 2100, false);
	assert_int_equal(got.rows[0].ref.year, 2100);
	assert_int_equal(got.rows[0].ref.month, 12);
	claim(one, 50, 1900, 1900, false);
	assert_int_equal(got.n, 12);
}

/* A claim takes the newest months, moves them, and its totals are those after it. */
static void claim_takes_the_newest(void **state)
{
	NODE(state);
	seed(one, 2000, 2024);
	claim(one, 5, 2000, 2024, false);
	assert_int_equal(got.n, 5);
	assert_int_equal(got.skipped, 0);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(got.rows[i].ref.year, 2024);
		assert_int_equal(got.rows[i].ref.month, 12 - i);
		assert_int_equal(got.rows[i].ref.fence, 1);
		assert_int_equal(got.rows[i].last_step, 1);
		assert_int_equal(strlen(got.rows[i].job_id), 36);
		assert_string_equal(got.rows[i].stage, "");
		assert_string_equal(got.rows[i].claimed_from, "pending");
		assert_string_equal(got.rows[i].prompt_variant, "contemporary-notable");
		assert_int_equal(got.rows[i].batch_size, 20);
		assert_string_equal(got.briefs[i].status, "processing");
		assert_true(got.briefs[i].resolution_rate < 0);
	}
	assert_int_equal(got.totals.pending, 295);
	assert_int_equal(got.totals.processing, 5);
	assert_int_equal(got.totals.total, 300);
	assert_int_equal(month_locks(), 5);
	assert_int_equal(db_int("SELECT count(*) FROM backfill_jobs WHERE status = 'queued'"), 5);
	assert_int_equal(
		db_int("SELECT count(*) FROM backfill_events WHERE event = 'claimed' AND step = 1"),
		5);
}

/* Two answers are waited for at once: how many months came in all. */
struct both { int answers, months; };

static void both_claim(void *ctx, const struct bf_error *err, const struct bf_claim *claim)
{
	struct both *b = ctx;

	assert_null(err);
	b->months += claim->n;
	if (++b->answers == 2)
		bf_loop_stop(db_loop);
}

/* Stores that claim at the same moment get disjoint months, and together all there are. */
static void two_claims_are_disjoint(void **state)
{
	NODE(state);
	struct node *two = node_new("two", true);
	int months = 0;

	seed(one, 2023, 2024);
	for (int round = 0; round < 3; round++) {
		struct both b = { 0 };

		bf_store_claim(one->store, BF_CLAIM_SCHEDULE, 6, 2000, 2024, false, both_claim, &b);
		bf_store_claim(two->store, BF_CLAIM_SCHEDULE, 6, 2000, 2024, false, both_claim, &b);
		while (b.answers < 2)
			assert_int_equal(bf_loop_run(db_loop), 0);
		months += b.months;
	}
	assert_int_equal(months, 24);
	assert_int_equal(
		db_int("SELECT count(*) FROM backfill_log WHERE status = 'processing'"), 24);
	assert_int_equal(db_int("SELECT max(fence) FROM backfill_log"), 1);
	assert_int_equal(db_int("SELECT count(DISTINCT job_id) FROM backfill_log"), 24);
	assert_int_equal(db_int("SELECT count(DISTINCT owner) FROM backfill_log"), 2);
	node_free(two);
}

/* A month whose row or advisory lock another holds is skipped and counted, without waiting. */
static void held_months_are_skipped(void **state)
{
	NODE(state);
	seed(one, 2024, 2024);
	db_run("BEGIN");
	db_run("SELECT 1 FROM backfill_log WHERE month = 12 FOR UPDATE");
	db_run("SELECT pg_advisory_lock(1112949069, 2024 * 12 + 10)");
	claim(one, 2, 2024, 2024, false);
	assert_int_equal(got.n, 1);
	assert_int_equal(got.rows[0].ref.month, 10);
	assert_int_equal(got.skipped, 2);
	db_run("ROLLBACK");
	db_run("SELECT pg_advisory_unlock_all()");
	claim(one, 2, 2024, 2024, false);
	assert_int_equal(got.n, 2);
	assert_int_equal(got.rows[0].ref.month, 12);
}

/* force_retry adds failed months below five; a retry that is not due waits; completed is never
 * taken. */
static void what_a_claim_may_take(void **state)
{
	NODE(state);
	seed(one, 2024, 2024);
	db_run("UPDATE backfill_log SET status = 'completed' WHERE month > 6");
	db_run("UPDATE backfill_log SET status = 'failed', retry_count = 4, started_at = now(), "
	       "completed_at = now(),"
	       " error_message = 'x' WHERE month = 6");
	db_run("UPDATE backfill_log SET status = 'failed', retry_count = 5 WHERE month = 5");
	db_run("UPDATE backfill_log SET status = 'retry', next_attempt_at = now() + interval '1 h' "
	       "WHERE month = 4");
	db_run("UPDATE backfill_log SET status = 'retry', next_attempt_at = NULL WHERE month = 3");
	bf_store_preview(one->store, 50, 2000, 2024, true, got_claim, NULL);
	db_wait();
	assert_int_equal(got.n, 4);
	assert_false(got.has_rows);
	assert_string_equal(got.briefs[0].status, "failed");
	assert_string_equal(got.briefs[0].error_message, "x");
	assert_int_equal(db_int("SELECT max(fence) FROM backfill_log"), 0);
	bf_store_claim(one->store, BF_CLAIM_DUE_RETRIES, 50, 0, 0, false, got_claim, NULL);
	db_wait();
	assert_int_equal(got.n, 1);
	assert_int_equal(got.rows[0].ref.month, 3);
	claim(one, 50, 2000, 2024, false);
	assert_int_equal(got.n, 2);
	claim(one, 50, 2000, 2024, true);
	assert_int_equal(got.n, 1);
	assert_string_equal(got.rows[0].claimed_from, "failed");
	assert_int_equal(got.rows[0].retry_count, 4);
	assert_int_equal(got.totals.failed, 1);
	assert_string_equal(
		db_text("SELECT status FROM backfill_log WHERE month = 6"), "processing");
}

/* What operators set by hand in a row is honoured; so is the seeds' own UPDATE that makes stuck
 * rows retry. */
static void rows_changed_by_hand(void **state)
{
	NODE(state);
	seed(one, 2024, 2024);
	db_run("UPDATE backfill_log SET batch_size = 7, prompt_variant = 'annual' WHERE month = "
	       "12");
	struct bf_month_row row = claim_one(one);

	assert_int_equal(row.batch_size, 7);
	assert_string_equal(row.prompt_variant, "annual");
	db_run("UPDATE backfill_log SET started_at = now() - interval '2 hours' WHERE status = "
	       "'processing'");
	db_run("UPDATE backfill_log SET status = 'retry', retry_count = retry_count + 1"
		" WHERE status = 'processing' AND started_at < NOW() - INTERVAL '1 hour'");
	assert_int_equal(step(one, &row, 2, "claimed", "generating"), BF_STORE_NOT_MINE);
	struct bf_month_row again = claim_one(one);

	assert_int_equal(again.ref.fence, 2);
	assert_string_equal(again.job_id, row.job_id);
	assert_int_equal(again.retry_count, 1);
}

/* While paused nothing is claimed, harvested or rescued, and the note is told; an `until` that has
 * passed counts not. */
static void pause_stops_claims(void **state)
{
	NODE(state);
	seed(one, 2024, 2024);
	bf_store_pause(one->store, true, "moving house", NULL, got_done, NULL);
	db_wait();
	claim(one, 5, 2000, 2024, false);
	assert_int_equal(got.n, 0);
	assert_int_equal(got.err.class, BF_ERR_CONFIG);
	assert_string_equal(got.err.text, "paused: moving house");
	const struct bf_harvest h = { .year = 2030,
		.month = 1,
		.default_batch_size = 20,
		.default_variant = "baseline",
		.default_variant_recent = "baseline",
		.recent_from = 2020,
		.year_low = 2000,
		.year_high = 2024 };

	bf_store_harvest(one->store, &h, got_harvest, NULL);
	db_wait();
	assert_int_equal(got.harvest, BF_HARVEST_PAUSED);
	assert_string_equal(got.note, "moving house");
	assert_int_equal(db_int("SELECT count(*) FROM backfill_log WHERE year = 2030"), 0);
	bf_store_pause(one->store, true, "over", "2020-01-01T00:00:00Z", got_done, NULL);
	db_wait();
	claim(one, 5, 2000, 2024, false);
	assert_int_equal(got.n, 5);
	bf_store_pause(one->store, false, NULL, NULL, got_done, NULL);
	db_wait();
	assert_int_equal(got.outcome, BF_STORE_DONE);
}

/* A dead owner's month is taken up with a new fence, the same job and stage; the former owner has
 * lost it. */
static void orphans_are_rescued(void **state)
{
	NODE(state);
	struct node *two = node_new("two", true);
	struct bf_month_row row;

	seed(one, 2024, 2024);
	row = claim_one(two);
	assert_int_equal(step(two, &row, 2, "claimed", "generating"), BF_STORE_DONE);
	bf_store_rescue(one->store, &row.ref, 1, 3600000, got_claim, NULL);
	db_wait();
	assert_int_equal(got.n, 0);
	bf_store_unlock(two->store, &row.ref, 1, got_done, NULL);
	db_wait();
	bf_store_rescue(one->store, &row.ref, 1, 3600000, got_claim, NULL);
	db_wait();
	assert_int_equal(got.n, 1);
	assert_int_equal(got.rows[0].ref.fence, 2);
	assert_string_equal(got.rows[0].job_id, row.job_id);
	assert_string_equal(got.rows[0].stage, "generating");
	assert_string_equal(got.rows[0].claimed_from, "pending");
	assert_int_equal(got.rows[0].last_step, 1);
	assert_int_equal(step(two, &row, 3, "generating", "saving"), BF_STORE_NOT_MINE);
	node_free(two);
}

/* stuck_after overrides the lock; the original's rows, without a job, are taken only then. */
static void stuck_months_are_taken(void **state)
{
	NODE(state);
	struct node *two = node_new("two", true);
	struct bf_month_row row;
	const struct bf_month_ref foreign = { 2024, 1, 0 };

	seed(one, 2024, 2024);
	row = claim_one(two);
	db_run("UPDATE backfill_log SET status = 'processing', started_at = now() WHERE month = 1");
	bf_store_rescue(one->store, &foreign, 1, 3600000, got_claim, NULL);
	db_wait();
	assert_int_equal(got.n, 0);
	db_run("UPDATE backfill_log SET started_at = now() - interval '2 h', progressed_at = CASE "
	       "WHEN month = 12"
	       " THEN now() - interval '2 h' END WHERE status = 'processing'");
	bf_store_rescue(one->store, (struct bf_month_ref[]){ row.ref, foreign }, 2, 3600000,
		got_claim, NULL);
	db_wait();
	assert_int_equal(got.n, 2);
	assert_string_equal(got.rows[1].claimed_from, "pending");
	assert_int_equal(strlen(got.rows[1].job_id), 36);
	assert_int_equal(step(two, &row, 2, "claimed", "generating"), BF_STORE_NOT_MINE);
	node_free(two);
}

/* Harvest: a month by name (seeded or not, failed at five too), the next in order, 409 for
 * completed and in flight. */
static void harvest_by_name_and_in_order(void **state)
{
	NODE(state);
	struct bf_harvest h = { .year = 1999,
		.month = 3,
		.batch_size = 5,
		.prompt_variant = "annual",
		.model_override = "grok-x",
		.max_quota = 9,
		.default_batch_size = 20,
		.default_variant_recent = "contemporary-notable",
		.default_variant = "baseline",
		.recent_from = 2020,
		.year_low = 2000,
		.year_high = 2024 };

	seed(one, 2024, 2024);
	bf_store_harvest(one->store, &h, got_harvest, NULL);
	db_wait();
	assert_int_equal(got.harvest, BF_HARVEST_OK);
	assert_int_equal(got.rows[0].batch_size, 5);
	assert_string_equal(got.rows[0].prompt_variant, "annual");
	assert_string_equal(got.rows[0].model_override, "grok-x");
	assert_int_equal(got.rows[0].max_quota, 9);
	assert_string_equal(
		db_text("SELECT prompt_variant || batch_size FROM backfill_log WHERE year = 1999"),
		"baseline20");
	bf_store_harvest(one->store, &h, got_harvest, NULL);
	db_wait();
	assert_int_equal(got.harvest, BF_HARVEST_IN_FLIGHT);
	db_run("UPDATE backfill_log SET status = 'failed', retry_count = 5 WHERE year = 2024 AND "
	       "month = 7");
	h.year = 2024;
	h.month = 7;
	bf_store_harvest(one->store, &h, got_harvest, NULL);
	db_wait();
	assert_int_equal(got.harvest, BF_HARVEST_OK);
	assert_int_equal(got.rows[0].retry_count, 4);
	db_run("UPDATE backfill_log SET status = 'completed' WHERE year = 2024 AND month = 8");
	h.month = 8;
	bf_store_harvest(one->store, &h, got_harvest, NULL);
	db_wait();
	assert_int_equal(got.harvest, BF_HARVEST_COMPLETED);
	h.year = h.month = 0;
	bf_store_harvest(one->store, &h, got_harvest, NULL);
	db_wait();
	assert_int_equal(got.harvest, BF_HARVEST_OK);
	assert_int_equal(got.rows[0].ref.month, 12);
	db_run("UPDATE backfill_log SET status = 'completed'");
	bf_store_harvest(one->store, &h, got_harvest, NULL);
	db_wait();
	assert_int_equal(got.harvest, BF_HARVEST_NOTHING);
}

/* A rehearsal, of a completed month too, writes a job row and nothing else. */
static void rehearsal_writes_only_a_job(void **state)
{
	NODE(state);
	struct bf_harvest h = { .year = 2024,
		.month = 3,
		.dry_run = true,
		.default_batch_size = 20,
		.default_variant_recent = "contemporary-notable",
		.default_variant = "baseline",
		.recent_from = 2020,
		.year_low = 2000,
		.year_high = 2024 };

	seed(one, 2024, 2024);
	db_run("UPDATE backfill_log SET status = 'completed' WHERE month = 3");
	bf_store_harvest(one->store, &h, got_harvest, NULL);
	db_wait();
	assert_int_equal(got.harvest, BF_HARVEST_OK);
	assert_true(got.rows[0].dry_run);
	assert_int_equal(got.rows[0].ref.fence, 0);
	char job[37];

	memcpy(job, got.rows[0].job_id, sizeof(job));
	h.year = 2031;
	bf_store_harvest(one->store, &h, got_harvest, NULL);
	db_wait();
	assert_int_equal(got.harvest, BF_HARVEST_OK);
	assert_string_equal(got.rows[0].prompt_variant, "contemporary-notable");
	assert_int_equal(db_int("SELECT count(*) FROM backfill_log WHERE year = 2031"), 0);
	assert_int_equal(db_int("SELECT count(*) FROM backfill_jobs WHERE dry_run"), 2);
	assert_int_equal(db_int("SELECT count(*) FROM backfill_events"), 0);
	db_run("UPDATE backfill_log SET status = 'processing' WHERE month = 4");
	h.year = 2024;
	h.month = 4;
	bf_store_harvest(one->store, &h, got_harvest, NULL);
	db_wait();
	assert_int_equal(got.harvest, BF_HARVEST_IN_FLIGHT);
	bf_store_job(one->store, job, "complete", "done", "{\"books_generated\":3}", NULL, got_done,
		NULL);
	db_wait();
	assert_int_equal(got.outcome, BF_STORE_DONE);
	bf_store_job_json(one->store, job, got_json, NULL);
	db_wait();
	assert_non_null(strstr(got.json, "\"status\" : \"complete\""));
	assert_non_null(strstr(got.json, "\"books_generated\": 3"));
}

/* A newcomer's hello ends the rehearsals of instances that are gone, and leaves those of the
 * living. */
static void rehearsals_of_the_dead_fail(void **state)
{
	NODE(state);
	struct node *two;

	db_run("INSERT INTO backfill_jobs (job_id, year, month, dry_run, instance_id) VALUES"
	       " (gen_random_uuid(), 2024, 1, true, %d), (gen_random_uuid(), 2024, 2, true, 999)",
		one->id);
	two = node_new("two", true);
	assert_int_equal(db_int("SELECT sum(month) FROM backfill_jobs WHERE status = 'failed'"
		" AND error = 'daemon restarted'"), 2);
	node_free(two);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			seeding_makes_each_month_once, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(claim_takes_the_newest, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(two_claims_are_disjoint, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(held_months_are_skipped, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(what_a_claim_may_take, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(rows_changed_by_hand, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(pause_stops_claims, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(orphans_are_rescued, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(stuck_months_are_taken, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(
			harvest_by_name_and_in_order, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(rehearsal_writes_only_a_job, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(rehearsals_of_the_dead_fail, db_setup, db_teardown),
	};

	return cmocka_run_group_tests(tests, db_group_setup, db_group_teardown);
}
