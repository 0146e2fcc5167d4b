/* Instances and their locks, the pulse, timers. */
#include "db.h"

#define NODE(state) struct node *one = *(state); if (one == NULL) skip()

/* One pulse with these months as mine. */
static void pulse(struct node *n, const struct bf_month_ref *mine, int count)
{
	bf_store_pulse(n->store, mine, count, 3600000, got_pulse, NULL);
	db_wait();
	assert_string_equal(got.err.text, "");
}

/* The first instance is alone, the second is not; both are seen alive until their sessions end. */
static void instances_see_each_other(void **state)
{
	NODE(state);
	struct node *two;

	assert_true(got.hello.alone);
	assert_true(got.hello.server_up_ms > 0);
	two = node_new("two", true);
	assert_false(got.hello.alone);
	assert_true(two->id > one->id);
	pulse(one, NULL, 0);
	assert_int_equal(got.pulse.n_instances, 2);
	assert_int_equal(got.instances[0], one->id);
	assert_int_equal(got.instances[1], two->id);
	node_free(two);
	do
		pulse(one, NULL, 0);
	while (got.pulse.n_instances != 1);
	assert_string_equal(db_text("SELECT instance || (pid > 0)::text || version FROM "
				    "backfill_instances LIMIT 1"),
		"onetrue" BF_VERSION);
}

/* A pulse tells time, totals, retries, pause, closures, queue and quota in one answer. */
static void pulse_answers_everything(void **state)
{
	NODE(state);
	const struct bf_provider_closure ban = { .provider = BF_ARCHIVE_ORG, .kind = BF_CLOSURE_BAN,
		.remaining_ms = 60000, .failures = 2, .reason = "asked too often" };

	pulse(one, NULL, 0);
	assert_true(got.pulse.db_wall_us > INT64_C(1700000000000000));
	assert_int_equal(got.pulse.next_retry_ms, -1);
	assert_int_equal(got.pulse.due_retries, 0);
	assert_false(got.pulse.paused);
	assert_int_equal(got.pulse.totals.total, 0);
	seed(one, 2024, 2024);
	db_run("UPDATE backfill_log SET status = 'retry', next_attempt_at = now() + interval '50 "
	       "s' WHERE month = 1");
	db_run("UPDATE backfill_log SET status = 'retry' WHERE month = 2");
	db_run("UPDATE backfill_log SET status = 'completed' WHERE month = 3");
	db_run("INSERT INTO enrichment_queue (entity_type, entity_key, queued_by) VALUES "
	       "('edition', 'a', 'backfilld'),"
	       " ('edition', 'b', NULL)");
	bf_store_close_provider(one->store, &ban, got_done, NULL);
	db_wait();
	bf_store_pause(one->store, true, "lunch", "2999-01-01T00:00:00Z", got_done, NULL);
	db_wait();
	reserve(one, BF_ISBNDB, 15000, 2000, 58);
	pulse(one, NULL, 0);
	assert_int_equal(got.pulse.due_retries, 1);
	assert_in_range(got.pulse.next_retry_ms, 40000, 50000);
	assert_true(got.pulse.paused);
	assert_string_equal(got.pulse.pause_note, "lunch");
	assert_int_equal(got.pulse.n_closures, 1);
	assert_int_equal(got.closures[0].provider, BF_ARCHIVE_ORG);
	assert_int_equal(got.closures[0].kind, BF_CLOSURE_BAN);
	assert_int_equal(got.closures[0].failures, 2);
	assert_string_equal(got.closures[0].reason, "asked too often");
	assert_in_range(got.closures[0].remaining_ms, 50000, 60000);
	assert_int_equal(got.pulse.totals.pending, 9);
	assert_int_equal(got.pulse.totals.retry, 2);
	assert_int_equal(got.pulse.totals.completed, 1);
	assert_int_equal(got.pulse.totals.total, 12);
	assert_int_equal(got.pulse.queue_depth, 1);
	assert_int_equal(got.pulse.isbndb_used, 58);
	assert_int_equal(got.pulse.isbndb_limit_seen, 15000);
}

/* A month whose lock is free is an orphan for others, mine is not; the original's rows only when
 * stuck. */
static void orphans_are_seen(void **state)
{
	NODE(state);
	struct node *two = node_new("two", true);
	struct bf_month_ref ref;

	seed(one, 2024, 2024);
	ref = claim_one(two).ref;
	db_run("UPDATE backfill_log SET status = 'processing', started_at = now() WHERE month = 1");
	pulse(one, NULL, 0);
	assert_int_equal(got.pulse.n_orphans, 0);
	bf_store_unlock(two->store, &ref, 1, got_done, NULL);
	db_wait();
	db_run("UPDATE backfill_log SET started_at = now() - interval '2 h' WHERE month = 1");
	pulse(one, NULL, 0);
	assert_int_equal(got.pulse.n_orphans, 2);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(got.orphans[i].stuck, got.orphans[i].ref.month == 1);
		assert_int_equal(got.orphans[i].ref.fence, got.orphans[i].ref.month == 1 ? 0 : 1);
	}
	pulse(one, &ref, 1);
	assert_int_equal(got.pulse.n_orphans, 1);
	node_free(two);
}

/* A lock that is missing for a month of mine is taken; one held for nothing is let go. */
static void pulse_mends_locks(void **state)
{
	NODE(state);
	struct node *two = node_new("two", true);
	struct bf_month_ref refs[2];

	seed(one, 2024, 2024);
	refs[0] = claim_one(two).ref;
	node_free(two);
	db_run("UPDATE backfill_log SET owner_id = %d", one->id);
	do
		pulse(one, NULL, 0);
	while (got.pulse.n_instances > 1);
	pulse(one, refs, 1);
	pulse(one, NULL, 0);
	assert_int_equal(got.pulse.n_orphans, 0);
	refs[1] = claim_one(one).ref;
	db_run("UPDATE backfill_log SET status = 'pending' WHERE month = 11");
	assert_int_equal(month_locks(), 2);
	pulse(one, refs, 1);
	assert_int_equal(month_locks(), 1);
}

/* A month of mine that was cancelled, or taken over, elsewhere is named; the one that is still mine is not. */
static void lost_months_are_named(void **state)
{
	NODE(state);
	struct bf_month_ref refs[3];

	seed(one, 2024, 2024);
	for (int i = 0; i < 3; i++)
		refs[i] = claim_one(one).ref;
	pulse(one, refs, 3);
	assert_int_equal(got.pulse.n_lost, 0);
	bf_store_operator(one->store, BF_OPERATOR_CANCEL, 2024, refs[0].month, got_done, NULL);
	db_wait();
	db_run("UPDATE backfill_log SET fence = fence + 1 WHERE month = %d", refs[2].month);
	pulse(one, refs, 3);
	assert_int_equal(got.pulse.n_lost, 2);
	for (int i = 0; i < 2; i++) {
		const struct bf_month_ref *lost = &got.lost[i];

		assert_true(lost->month == refs[0].month || lost->month == refs[2].month);
		assert_int_equal(lost->year, 2024);
		assert_int_equal(lost->fence, refs[0].fence);
	}
}

/* Unlocking frees a month for others, but not one that was claimed anew meanwhile. */
static void unlock_spares_what_was_claimed_anew(void **state)
{
	NODE(state);
	struct bf_month_row old, new;

	seed(one, 2024, 2024);
	old = claim_one(one);
	fail_month(one, &old, 2, (struct bf_failure){ .error = "x", .counted = true });
	new = claim_one(one);
	assert_int_equal(new.ref.month, 12);
	bf_store_unlock(one->store, &old.ref, 1, got_done, NULL);
	db_wait();
	assert_int_equal(month_locks(), 1);
	fail_month(one, &new, 2, (struct bf_failure){ .error = "x", .counted = true });
	bf_store_unlock(one->store, &new.ref, 1, got_done, NULL);
	db_wait();
	pulse(one, NULL, 0);
	assert_int_equal(month_locks(), 0);
}

/* A hello on a new session ends the former session of the same instance; then months are locked
 * again, and those with another fence are named as lost. */
static void a_lost_lock_session_comes_back(void **state)
{
	NODE(state);
	struct node *again;
	struct bf_month_ref refs[2];

	seed(one, 2024, 2024);
	claim(one, 2, 2000, 2024, false);
	refs[0] = got.rows[0].ref;
	refs[1] = got.rows[1].ref;
	again = node_new("one", false);
	do {
		bf_store_hello(again->store, one->id, got_hello, NULL);
		db_wait();
		assert_true(got.err.class == BF_ERR_NONE || got.err.class == BF_ERR_RETRY);
	} while (got.err.class != BF_ERR_NONE);
	assert_int_equal(got.hello.instance_id, one->id);
	db_run("UPDATE backfill_log SET fence = 9 WHERE month = 11");
	bf_store_relock(again->store, one->id, refs, 2, got_lost, NULL);
	db_wait();
	assert_int_equal(got.n, 1);
	assert_int_equal(got.lost[0].month, 11);
	assert_int_equal(month_locks(), 1);
	node_free(again);
}

/* Locks are taken again also when no month is lost and there is nothing to tell. */
static void relock_locks_without_a_word(void **state)
{
	NODE(state);
	struct bf_month_ref refs[2];

	seed(one, 2024, 2024);
	claim(one, 2, 2000, 2024, false);
	for (int i = 0; i < 2; i++)
		refs[i] = got.rows[i].ref;
	for (int n = 1; n <= 2; n++) {
		bf_store_unlock(one->store, refs, n, got_done, NULL);
		db_wait();
		assert_int_equal(month_locks(), 2 - n);
		for (int again = 0; again < 2; again++) {
			bf_store_relock(one->store, one->id, refs, 2, got_lost, NULL);
			db_wait();
			assert_int_equal(got.n, 0);
			assert_int_equal(month_locks(), 2);
		}
	}
}

/* A timer's run belongs to whoever claims it first, also when the claim is repeated; older runs are
 * refused. */
static void a_timer_fires_once(void **state)
{
	NODE(state);
	struct node *two = node_new("two", true);
	static const struct { int who; int64_t at; enum bf_store_outcome outcome;
	} table[] = {
		{ 1, 1700000000, BF_STORE_DONE },
		{ 2, 1700000000, BF_STORE_REFUSED },
		{ 1, 1700000000, BF_STORE_DONE },
		{ 2, 1700000060, BF_STORE_DONE },
		{ 1, 1700000000, BF_STORE_REFUSED },
		{ 1, 1700000060, BF_STORE_REFUSED },
	};

	for (size_t i = 0; i < BF_COUNT(table); i++) {
		bf_store_timer_claim(table[i].who == 1 ? one->store : two->store, "schedule",
			table[i].at, got_done, NULL);
		db_wait();
		assert_int_equal(got.outcome, table[i].outcome);
	}
	bf_store_timer_last(one->store, "schedule", got_timer, NULL);
	db_wait();
	assert_int_equal(got.count, 1700000060);
	bf_store_timer_last(one->store, "other", got_timer, NULL);
	db_wait();
	assert_int_equal(got.count, -1);
	bf_store_timer_last(one->store, "other", got_timer, NULL);
	db_wait();
	assert_true(got.count > 1700000060);
	node_free(two);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(instances_see_each_other, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(pulse_answers_everything, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(orphans_are_seen, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(pulse_mends_locks, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(lost_months_are_named, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(
			unlock_spares_what_was_claimed_anew, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(
			a_lost_lock_session_comes_back, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(relock_locks_without_a_word, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(a_timer_fires_once, db_setup, db_teardown),
	};

	return cmocka_run_group_tests(tests, db_group_setup, db_group_teardown);
}
