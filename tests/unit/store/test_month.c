/* The writes of a month's owner: fencing, repeated steps, answers, failures, release, and what
 * operators do. */
#include "db.h"

#define NODE(state) struct node *one = *(state); if (one == NULL) skip()

/* A step is written once, however often it is repeated, and answers DONE each time; another fence
 * is refused. */
static void a_step_happens_once(void **state)
{
	NODE(state);
	struct bf_month_row row, other;

	seed(one, 2024, 2024);
	row = claim_one(one);
	assert_int_equal(step(one, &row, 2, "claimed", "generating"), BF_STORE_DONE);
	assert_int_equal(step(one, &row, 3, "generating", "saving"), BF_STORE_DONE);
	assert_int_equal(step(one, &row, 2, "claimed", "generating"), BF_STORE_DONE);
	assert_string_equal(db_text("SELECT stage FROM backfill_log WHERE month = 12"), "saving");
	assert_int_equal(db_int("SELECT count(*) FROM backfill_events"), 3);
	assert_string_equal(
		db_text("SELECT from_stage || to_stage || event || (detail->>'k') || instance"
			" FROM backfill_events WHERE step = 3"),
		"generatingsavingmoved1one");
	other = row;
	other.ref.fence++;
	assert_int_equal(step(one, &other, 4, "saving", "resolving"), BF_STORE_NOT_MINE);
	db_run("UPDATE backfill_log SET status = 'pending' WHERE month = 12");
	assert_int_equal(step(one, &row, 4, "saving", "resolving"), BF_STORE_NOT_MINE);
	assert_int_equal(step(one, &row, 3, "generating", "saving"), BF_STORE_DONE);
}

/* Two answers are waited for at once. */
struct both { int answers, done, retry; };

static void both_done(void *ctx, const struct bf_error *err, enum bf_store_outcome outcome)
{
	struct both *b = ctx;

	b->done += err == NULL && outcome == BF_STORE_DONE;
	b->retry += err != NULL && err->class == BF_ERR_RETRY;
	if (++b->answers == 2)
		bf_loop_stop(db_loop);
}

/* The same call twice at the same moment, as after a lost connection: at most one has to be
 * repeated, all is once. */
static void a_step_that_meets_itself(void **state)
{
	NODE(state);
	struct node *two = node_new("two", true);
	const struct bf_answer a = {
		.provider = BF_GEMINI, .outcome = "ok", .text = "[]", .cost_usd = 0.5
	};
	struct bf_month_row row;
	struct bf_step s;

	seed(one, 2024, 2024);
	row = claim_one(one);
	s = (struct bf_step){
		.ref = row.ref, .from = "generating", .to = "generating", .event = "answered"
	};
	for (s.step = 2; s.step < 12; s.step++) {
		struct both b = { 0 };

		bf_store_answer(one->store, &s, &a, both_done, &b);
		bf_store_answer(two->store, &s, &a, both_done, &b);
		while (b.answers < 2)
			assert_int_equal(bf_loop_run(db_loop), 0);
		assert_true(b.done >= 1);
		assert_int_equal(b.done + b.retry, 2);
		bf_store_answer(two->store, &s, &a, got_done, NULL);
		db_wait();
		assert_int_equal(got.outcome, BF_STORE_DONE);
	}
	assert_string_equal(
		db_text("SELECT cost_usd FROM backfill_log WHERE month = 12"), "5.000000");
	node_free(two);
}

/* A cancelled call never answers, and what it carried is given back with the store. */
static void a_cancelled_call_is_silent(void **state)
{
	NODE(state);
	struct both b = { 0 };
	const struct bf_reserve v = { .units = 1 };

	seed(one, 2024, 2024);
	bf_op_cancel(bf_store_timer_claim(one->store, "x", 1, both_done, &b));
	bf_op_cancel(bf_store_reserve(one->store, BF_XAI, 0, 0, &v, 0, got_reserve, NULL));
	bf_store_quota_used(one->store, BF_XAI, got_count, NULL);
	db_wait();
	bf_store_quota_used(one->store, BF_XAI, got_count, NULL);
	db_wait();
	assert_int_equal(b.answers, 0);
}

/* Event numbers are told to listeners and grow in the order of their commits. */
static void events_are_numbered_in_commit_order(void **state)
{
	NODE(state);
	struct bf_month_row row;

	seed(one, 2024, 2024);
	claim(one, 3, 2000, 2024, false);
	row = got.rows[2];
	step(one, &row, 2, "claimed", "generating");
	assert_int_equal(db_int("SELECT count(*) FROM backfill_events a JOIN backfill_events b ON "
				"b.id > a.id AND b.at < a.at"),
		0);
	assert_int_equal(db_int("SELECT max(id) - min(id) FROM backfill_events"), 3);
}

/* An answer is kept with its text, adds its cost to month and usage once, and comes back for a
 * resumed month. */
static void answers_are_kept(void **state)
{
	NODE(state);
	const struct bf_answer a = { .provider = BF_XAI,
		.round = 0,
		.variant = "annual",
		.model = "grok",
		.outcome = "ok",
		.reason = NULL,
		.text = "[{\"title\":\"x\"}]",
		.http = 200,
		.tokens_in = 100,
		.tokens_out = 2000,
		.cost_usd = 0.0125,
		.latency_ms = 1500 };
	struct bf_month_row row;
	struct bf_step s;

	seed(one, 2024, 2024);
	row = claim_one(one);
	s = (struct bf_step){ .ref = row.ref,
		.step = 2,
		.from = "generating",
		.to = "generating",
		.event = "answered",
		.job_id = row.job_id };
	for (int i = 0; i < 2; i++) {
		bf_store_answer(one->store, &s, &a, got_done, NULL);
		db_wait();
		assert_int_equal(got.outcome, BF_STORE_DONE);
	}
	assert_string_equal(
		db_text("SELECT cost_usd FROM backfill_log WHERE month = 12"), "0.012500");
	assert_string_equal(db_text("SELECT provider || tokens_in || '/' || tokens_out || '/' || "
				    "cost_usd FROM api_usage"),
		"xai100/2000/0.012500");
	assert_string_equal(db_text("SELECT (detail->>'latency_ms') || (detail->>'outcome') FROM "
				    "backfill_events"
				    " WHERE step = 2"),
		"1500ok");
	bf_store_answers(one->store, &row.ref, 0, got_answers, NULL);
	db_wait();
	assert_int_equal(got.n, 1);
	assert_int_equal(got.answers[0].provider, BF_XAI);
	assert_string_equal(got.answers[0].text, "[{\"title\":\"x\"}]");
	assert_string_equal(got.answers[0].variant, "annual");
	assert_null(got.answers[0].reason);
	assert_int_equal(got.answers[0].tokens_out, 2000);
	bf_store_answers(one->store, &row.ref, 1, got_answers, NULL);
	db_wait();
	assert_int_equal(got.n, 0);
}

/* Failures one to four: retry, not ended, with a next attempt. The fifth: failed, ended. A sixth
 * report: nothing. */
static void the_fifth_failure_ends(void **state)
{
	NODE(state);
	struct bf_month_row row;

	seed(one, 2024, 2024);
	for (int i = 1; i <= 5; i++) {
		row = claim_one(one);
		assert_int_equal(row.retry_count, i - 1);
		assert_int_equal(row.round, i - 1);
		assert_int_equal(fail_month(one, &row, 2,
					 (struct bf_failure){ .error = "no books",
						 .wait_ms = 60000,
						 .counted = true,
						 .next_round = true,
						 .resume_stage = "generating" }),
			BF_STORE_DONE);
		if (i < 5)
			assert_int_equal(
				db_int("SELECT count(*) FROM backfill_log WHERE month = 12 AND "
				       "status = 'retry'"
				       " AND retry_count = %d AND stage = 'generating' AND "
				       "completed_at IS NULL"
				       " AND last_retry_at IS NOT NULL AND next_attempt_at > now()"
				       " AND error_message = 'no books'",
					i),
				1);
		db_run("UPDATE backfill_log SET next_attempt_at = NULL WHERE month = 12");
	}
	assert_string_equal(db_text("SELECT status || retry_count || (completed_at >= "
				    "started_at)::text FROM backfill_log"
				    " WHERE month = 12"),
		"failed5true");
	assert_string_equal(db_text("SELECT status || error FROM backfill_jobs WHERE job_id = '%s'",
				    row.job_id),
		"failedno books");
	assert_int_equal(
		fail_month(one, &row, 3, (struct bf_failure){ .error = "again", .counted = true }),
		BF_STORE_NOT_MINE);
	assert_int_equal(
		fail_month(one, &row, 2, (struct bf_failure){ .error = "again", .counted = true }),
		BF_STORE_DONE);
	assert_string_equal(
		db_text("SELECT error_message FROM backfill_log WHERE month = 12"), "no books");
}

/* What no retry can mend fails at once with its count; what is nobody's fault is retried without
 * being counted. */
static void permanent_and_uncounted_failures(void **state)
{
	NODE(state);
	struct bf_month_row row;

	seed(one, 2024, 2024);
	row = claim_one(one);
	fail_month(one, &row, 2,
		(struct bf_failure){
			.error = "unknown prompt variant", .counted = true, .permanent = true });
	assert_string_equal(
		db_text("SELECT status || retry_count FROM backfill_log WHERE month = 12"),
		"failed0");
	row = claim_one(one);
	fail_month(one, &row, 2,
		(struct bf_failure){
			.error = "quota", .wait_ms = 1000, .resume_stage = "resolving" });
	assert_string_equal(
		db_text("SELECT status || retry_count || stage FROM backfill_log WHERE month = 11"),
		"retry0resolving");
}

/* Released: back to where it was claimed from, due now, stage kept, no attempt counted; the job
 * goes on. */
static void release_counts_no_attempt(void **state)
{
	NODE(state);
	struct bf_month_row row, again;
	struct bf_step s;

	seed(one, 2024, 2024);
	row = claim_one(one);
	step(one, &row, 2, "claimed", "generating");
	s = (struct bf_step){ .ref = row.ref,
		.step = 3,
		.from = "generating",
		.to = "released",
		.event = "released" };
	bf_store_release(one->store, &s, got_done, NULL);
	db_wait();
	assert_int_equal(got.outcome, BF_STORE_DONE);
	assert_string_equal(
		db_text("SELECT status || retry_count || stage FROM backfill_log WHERE month = 12"),
		"pending0generating");
	again = claim_one(one);
	assert_string_equal(again.job_id, row.job_id);
	assert_string_equal(again.stage, "generating");
	assert_int_equal(again.ref.fence, 2);
	s.ref = again.ref;
	fail_month(
		one, &again, 2, (struct bf_failure){ .error = "x", .wait_ms = 0, .counted = true });
	again = claim_one(one);
	s.ref = again.ref;
	bf_store_release(one->store, &s, got_done, NULL);
	db_wait();
	assert_string_equal(db_text("SELECT status || retry_count || (next_attempt_at <= "
				    "now())::text FROM backfill_log"
				    " WHERE month = 12"),
		"retry1true");
}

/* touch moves progressed_at of what is mine and names the rest. */
static void touch_names_what_is_lost(void **state)
{
	NODE(state);
	struct bf_month_ref refs[2];

	seed(one, 2024, 2024);
	claim(one, 2, 2000, 2024, false);
	refs[0] = got.rows[0].ref;
	refs[1] = got.rows[1].ref;
	db_run("UPDATE backfill_log SET progressed_at = now() - interval '1 h', fence = fence + "
	       "(month = 11)::int");
	bf_store_touch(one->store, refs, 2, got_lost, NULL);
	db_wait();
	assert_int_equal(got.n, 1);
	assert_int_equal(got.lost[0].month, 11);
	assert_int_equal(db_int("SELECT count(*) FROM backfill_log WHERE progressed_at > now() - "
				"interval '1 min'"),
		1);
}

/* One operator's action and its outcome. */
static enum bf_store_outcome operate(struct node *one, enum bf_operator_action action, int month)
{
	bf_store_operator(one->store, action, 2024, month, got_done, NULL);
	db_wait();
	assert_string_equal(got.err.text, "");
	return got.outcome;
}

/* retry, cancel and reset work from the states the contract names and from no other; each writes an
 * event. */
static void operators_actions(void **state)
{
	NODE(state);
	struct bf_month_row row;

	seed(one, 2024, 2024);
	assert_int_equal(operate(one, BF_OPERATOR_RETRY, 12), BF_STORE_REFUSED);
	assert_int_equal(operate(one, BF_OPERATOR_CANCEL, 12), BF_STORE_REFUSED);
	bf_store_operator(one->store, BF_OPERATOR_RESET, 1999, 1, got_done, NULL);
	db_wait();
	assert_int_equal(got.outcome, BF_STORE_NOT_MINE);
	row = claim_one(one);
	assert_int_equal(operate(one, BF_OPERATOR_RESET, 12), BF_STORE_REFUSED);
	assert_int_equal(operate(one, BF_OPERATOR_RETRY, 12), BF_STORE_REFUSED);
	assert_int_equal(operate(one, BF_OPERATOR_CANCEL, 12), BF_STORE_DONE);
	assert_string_equal(db_text("SELECT status || retry_count || error_message || "
				    "(completed_at IS NOT NULL)::text"
				    " FROM backfill_log WHERE month = 12"),
		"failed0cancelledtrue");
	assert_int_equal(step(one, &row, 2, "claimed", "generating"), BF_STORE_NOT_MINE);
	db_run("UPDATE backfill_log SET retry_count = 5 WHERE month = 12");
	assert_int_equal(operate(one, BF_OPERATOR_RETRY, 12), BF_STORE_DONE);
	assert_string_equal(
		db_text("SELECT status || retry_count || (next_attempt_at <= now())::text"
			" || (completed_at IS NULL)::text FROM backfill_log WHERE month = 12"),
		"retry4truetrue");
	assert_int_equal(operate(one, BF_OPERATOR_CANCEL, 12), BF_STORE_DONE);
	assert_int_equal(operate(one, BF_OPERATOR_CANCEL, 12), BF_STORE_REFUSED);
	assert_int_equal(
		db_int("SELECT count(*) FROM backfill_events WHERE event LIKE 'operator%%'"), 3);
}

/* reset: pending with nothing counted, answers and candidates gone, works kept, fence grown. */
static void reset_forgets_the_month(void **state)
{
	NODE(state);
	struct bf_month_row row;

	seed(one, 2024, 2024);
	row = claim_one(one);
	assert_int_equal(save(one, &row, 3), BF_STORE_DONE);
	resolve(one, &row, 2, false);
	assert_int_equal(complete(one, &row, 3), BF_STORE_DONE);
	assert_int_equal(operate(one, BF_OPERATOR_RESET, 12), BF_STORE_DONE);
	assert_string_equal(db_text("SELECT status || retry_count || coalesce(stage, '-') || "
				    "books_generated || isbns_resolved"
				    " || isbns_queued || coalesce(resolution_rate::text, '-') || "
				    "(fence > 1)::text FROM backfill_log WHERE month = 12"),
		"pending0-000-true");
	assert_int_equal(db_int("SELECT count(*) FROM backfill_candidates"), 0);
	assert_int_equal(db_int("SELECT count(*) FROM enriched_works"), 3);
	row = claim_one(one);
	assert_string_equal(row.stage, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_step_happens_once, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(a_step_that_meets_itself, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(a_cancelled_call_is_silent, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(
			events_are_numbered_in_commit_order, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(answers_are_kept, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(the_fifth_failure_ends, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(
			permanent_and_uncounted_failures, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(release_counts_no_attempt, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(touch_names_what_is_lost, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(operators_actions, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(reset_forgets_the_month, db_setup, db_teardown),
	};

	return cmocka_run_group_tests(tests, db_group_setup, db_group_teardown);
}
