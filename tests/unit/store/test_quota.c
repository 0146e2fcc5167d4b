/* Quota: never more than the limit less the reserve, whoever asks at the same time; and the
 * providers' closures. */
#include "db.h"

#define NODE(state) struct node *one = *(state); if (one == NULL) skip()

/* What many answers say together. */
struct sum { int answers, wanted, granted; };

static void add_grant(void *ctx, const struct bf_error *err, const struct bf_reserved *r)
{
	struct sum *s = ctx;

	assert_null(err);
	for (int i = 0; i < 64; i++)
		s->granted += r->granted[i];
	if (++s->answers == s->wanted)
		bf_loop_stop(db_loop);
}

/* Sends `calls` reservations of `units` at once, from two stores in turn; the units granted. */
static int parallel(struct node *one, struct node *two, int calls, int units)
{
	struct sum s = { .wanted = calls };
	const struct bf_reserve v = { .units = units };

	for (int i = 0; i < calls; i++)
		bf_store_reserve(
			(i & 1 ? two : one)->store, BF_ISBNDB, 15000, 2000, &v, 1, add_grant, &s);
	while (s.answers < calls)
		assert_int_equal(bf_loop_run(db_loop), 0);
	return s.granted;
}

/* A thousand reservations of one at the same time: a thousand used, not one more or less. */
static void parallel_reservations_add_up(void **state)
{
	NODE(state);
	struct node *two = node_new("two", true);

	assert_int_equal(parallel(one, two, 1000, 1), 1000);
	assert_int_equal(db_int("SELECT used FROM api_quota"), 1000);
	assert_int_equal(db_int("SELECT leased FROM api_quota"), 1000);
	node_free(two);
}

/* 12500 used and three times 300 at once: one is granted. 12900: 200 is refused, then 100 granted,
 * then nothing. */
static void the_limit_holds(void **state)
{
	NODE(state);
	struct node *two = node_new("two", true);

	reserve(one, BF_ISBNDB, 15000, 2000, 1);
	db_run("UPDATE api_quota SET used = 12500");
	assert_int_equal(parallel(one, two, 3, 300), 300);
	assert_int_equal(db_int("SELECT used FROM api_quota"), 12800);
	db_run("UPDATE api_quota SET used = 12900");
	reserve(one, BF_ISBNDB, 15000, 2000, 200);
	assert_int_equal(got.reserved.granted[0], 0);
	reserve(one, BF_ISBNDB, 15000, 2000, 100);
	assert_int_equal(got.reserved.granted[0], 100);
	assert_int_equal(got.reserved.used, 13000);
	reserve(one, BF_ISBNDB, 15000, 2000, 1);
	assert_int_equal(got.reserved.granted[0], 0);
	node_free(two);
}

/* 14 times 1000 in one call: the first thirteen; the same in fourteen calls at once: thirteen. */
static void thirteen_of_fourteen(void **state)
{
	NODE(state);
	struct node *two = node_new("two", true);
	struct bf_reserve v[14];

	for (int i = 0; i < 14; i++)
		v[i] = (struct bf_reserve){ .units = 1000 };
	bf_store_reserve(one->store, BF_ISBNDB, 15000, 2000, v, 14, got_reserve, NULL);
	db_wait();
	for (int i = 0; i < 14; i++)
		assert_int_equal(got.reserved.granted[i], i < 13 ? 1000 : 0);
	db_run("UPDATE api_quota SET used = 0");
	assert_int_equal(parallel(one, two, 14, 1000), 13000);
	node_free(two);
}

/* Calls are counted for the month that asks, as they are reserved; a month that is lost gets
 * nothing; a call for no month needs none; a provider without a limit is counted, too. */
static void calls_are_counted_for_their_month(void **state)
{
	NODE(state);
	struct bf_reserve v[4];

	seed(one, 2024, 2024);
	claim(one, 2, 2000, 2024, false);
	v[0] = (struct bf_reserve){ .ref = got.rows[0].ref, .units = 2 };
	v[1] = (struct bf_reserve){ .ref = got.rows[1].ref, .units = 1 };
	v[2] = v[0];
	v[3] = (struct bf_reserve){ .units = 1 };
	db_run("UPDATE backfill_log SET fence = 7 WHERE month = 11");
	bf_store_reserve(one->store, BF_GEMINI, 0, 0, v, 4, got_reserve, NULL);
	db_wait();
	assert_int_equal(got.reserved.granted[0], 2);
	assert_int_equal(got.reserved.granted[1], 0);
	assert_true(got.reserved.lost[1]);
	assert_false(got.reserved.lost[0] || got.reserved.lost[2] || got.reserved.lost[3]);
	assert_int_equal(got.reserved.granted[2], 2);
	assert_int_equal(got.reserved.granted[3], 1);
	assert_int_equal(got.reserved.used, 5);
	assert_int_equal(db_int("SELECT gemini_calls FROM backfill_log WHERE month = 12"), 4);
	assert_int_equal(
		db_int("SELECT sum(gemini_calls + isbndb_calls + xai_calls) FROM backfill_log"), 4);
}

/* A month that another session has locked gets nothing yet and is not lost; those beside it get theirs at once. */
static void a_locked_month_is_busy(void **state)
{
	NODE(state);
	struct bf_reserve v[3];

	seed(one, 2024, 2024);
	claim(one, 2, 2000, 2024, false);
	v[0] = (struct bf_reserve){ .ref = got.rows[0].ref, .units = 1 };
	v[1] = (struct bf_reserve){ .ref = got.rows[1].ref, .units = 1 };
	v[2] = (struct bf_reserve){ .units = 1 };
	for (int i = 0; i < 2; i++) {
		if (i == 0)
			db_run("BEGIN; SELECT FROM backfill_log WHERE month = 12 FOR UPDATE");
		bf_store_reserve(one->store, BF_ISBNDB, 100, 0, v, 3, got_reserve, NULL);
		db_wait();
		if (i == 0)
			db_run("ROLLBACK");
		assert_string_equal(got.err.text, "");
		assert_int_equal(got.reserved.busy[0], i == 0);
		assert_int_equal(got.reserved.granted[0], i);
		assert_int_equal(got.reserved.granted[1] + got.reserved.granted[2], 2);
		assert_false(got.reserved.lost[0] || got.reserved.lost[1] || got.reserved.busy[1]);
	}
	assert_int_equal(db_int("SELECT isbndb_calls FROM backfill_log WHERE month = 12"), 1);
	assert_int_equal(db_int("SELECT used FROM api_quota WHERE provider = 'isbndb'"), 5);
}

/* What is given back is free again, and the month's column tells what was really sent. */
static void unused_units_come_back(void **state)
{
	NODE(state);
	struct bf_usage u = { .provider = BF_ISBNDB,
		.year = 2024,
		.month = 12,
		.calls = 1,
		.units_sent = 1,
		.units_unused = 4 };
	const struct bf_flush flush = { .flush_id_lo = 3, .usage = &u, .n_usage = 1 };
	struct bf_reserve v = { .units = 5 };

	seed(one, 2024, 2024);
	v.ref = claim_one(one).ref;
	u.fence = v.ref.fence;
	bf_store_reserve(one->store, BF_ISBNDB, 15000, 2000, &v, 1, got_reserve, NULL);
	db_wait();
	bf_store_flush(one->store, &flush, got_lost, NULL);
	db_wait();
	assert_int_equal(got.n, 0);
	assert_string_equal(db_text("SELECT used || '/' || leased FROM api_quota"), "1/0");
	assert_int_equal(db_int("SELECT isbndb_calls FROM backfill_log WHERE month = 12"), 1);
	bf_store_quota_used(one->store, BF_ISBNDB, got_count, NULL);
	db_wait();
	assert_int_equal(got.count, 1);
}

/* A new day starts at nothing; the row of the old one stays as it was. */
static void a_new_day_starts_at_nothing(void **state)
{
	NODE(state);
	struct node *two;

	reserve(one, BF_ISBNDB, 15000, 2000, 13000);
	assert_int_equal(got.reserved.granted[0], 13000);
	assert_true(got.reserved.reset_in_ms > 0 && got.reserved.reset_in_ms <= 86400000);
	assert_string_equal(got.reserved.reset_at + 10, "T00:00:00Z");
	db_run("UPDATE api_quota SET day = day - 1");
	two = node_new("two", true);
	reserve(two, BF_ISBNDB, 15000, 2000, 5);
	assert_int_equal(got.reserved.granted[0], 5);
	assert_int_equal(got.reserved.used, 5);
	assert_int_equal(db_int("SELECT sum(used) FROM api_quota"), 13005);
	node_free(two);
	/* the first store still believes in the row that was there: passing, then right */
	db_run("DELETE FROM api_quota");
	const struct bf_reserve v = { .units = 1 };

	bf_store_reserve(one->store, BF_ISBNDB, 15000, 2000, &v, 1, got_reserve, NULL);
	db_wait();
	assert_int_equal(got.err.class, BF_ERR_RETRY);
	reserve(one, BF_ISBNDB, 15000, 2000, 1);
	assert_int_equal(got.reserved.used, 1);
}

/* The providers' days: midnight in UTC or in California, over New Year and daylight saving. */
static void days_end_where_the_provider_lives(void **state)
{
	NODE(state);
	static const struct { const char *provider, *at, *day, *reset; } table[] = {
		{ "isbndb", "2025-12-31 23:59:59Z", "2025-12-31", "2026-01-01T00:00:00Z" },
		{ "isbndb", "2026-01-01 00:00:00Z", "2026-01-01", "2026-01-02T00:00:00Z" },
		{ "gemini", "2026-01-01 07:59:59Z", "2025-12-31", "2026-01-01T08:00:00Z" },
		{ "gemini", "2026-03-07 12:00:00Z", "2026-03-07", "2026-03-08T08:00:00Z" },
		{ "google_books", "2026-03-08 12:00:00Z", "2026-03-08", "2026-03-09T07:00:00Z" },
		{ "google_books", "2026-11-01 06:30:00Z", "2026-10-31", "2026-11-01T07:00:00Z" },
		{ "google_books", "2026-11-01 07:00:00Z", "2026-11-01", "2026-11-02T08:00:00Z" },
		{ "xai", "2024-02-29 10:00:00Z", "2024-02-29", "2024-03-01T00:00:00Z" },
	};

	(void)one;
	for (size_t i = 0; i < BF_COUNT(table); i++) {
		assert_string_equal(db_text("SELECT backfill_provider_day('%s', '%s')",
					    table[i].provider, table[i].at),
			table[i].day);
		assert_string_equal(
			db_text("SELECT backfill_time(backfill_provider_reset('%s', '%s'))",
				table[i].provider, table[i].at),
			table[i].reset);
	}
}

/* More wishes than a reply has room for, or none, are a caller's defect and come back as such. */
static void reserve_takes_64_wishes(void **state)
{
	NODE(state);
	struct bf_reserve v[65] = { { .units = 1 } };

	bf_store_reserve(one->store, BF_ISBNDB, 1, 0, v, 65, got_reserve, NULL);
	db_wait();
	assert_int_equal(got.err.class, BF_ERR_BUG);
	bf_store_reserve(one->store, BF_ISBNDB, 1, 0, v, 0, got_reserve, NULL);
	db_wait();
	assert_int_equal(got.err.class, BF_ERR_BUG);
	bf_store_reserve(one->store, BF_ISBNDB, 100, 0, v, 64, got_reserve, NULL);
	db_wait();
	assert_int_equal(got.err.class, BF_ERR_NONE);
}

/* Closes a provider and answers with what is stored. */
static const char *closed(struct node *n, enum bf_closure kind, int64_t ms, int failures)
{
	const struct bf_provider_closure v = { .provider = BF_ISBNDB,
		.kind = kind,
		.remaining_ms = ms,
		.failures = failures,
		.reason = "because" };

	bf_store_close_provider(n->store, &v, got_done, NULL);
	db_wait();
	assert_int_equal(got.outcome, BF_STORE_DONE);
	return db_text("SELECT kind || ' ' || failures || ' ' || round(extract(epoch FROM "
		       "closed_until - now()) / 60)"
		       " FROM provider_state WHERE provider = 'isbndb'");
}

/* A longer closure is never shortened; a quota's lasts to the provider's midnight; opening ends all
 * of them. */
static void closures_are_never_shortened(void **state)
{
	NODE(state);
	assert_string_equal(closed(one, BF_CLOSURE_CIRCUIT, 600000, 3), "circuit 3 10");
	assert_string_equal(closed(one, BF_CLOSURE_RATE, 60000, 1), "circuit 3 10");
	assert_string_equal(closed(one, BF_CLOSURE_BAN, 3600000, 4), "ban 4 60");
	bf_store_open_provider(one->store, BF_ISBNDB, got_done, NULL);
	db_wait();
	assert_string_equal(db_text("SELECT kind || failures || (closed_until IS NULL)::text FROM "
				    "provider_state"),
		"none0true");
	closed(one, BF_CLOSURE_QUOTA, 0, 0);
	assert_int_equal(db_int("SELECT count(*) FROM provider_state WHERE kind = 'quota'"
		" AND closed_until = backfill_provider_reset('isbndb', now())"), 1);
}

/* One instance at a time sends the probe, none while the provider is closed, another when the first
 * never came back. */
static void one_probe_at_a_time(void **state)
{
	NODE(state);
	struct node *two = node_new("two", true);

	closed(one, BF_CLOSURE_CIRCUIT, 60000, 3);
	bf_store_probe_provider(one->store, BF_ISBNDB, 10000, got_done, NULL);
	db_wait();
	assert_int_equal(got.outcome, BF_STORE_REFUSED);
	db_run("UPDATE provider_state SET closed_until = now() - interval '1 s'");
	bf_store_probe_provider(one->store, BF_ISBNDB, 10000, got_done, NULL);
	db_wait();
	assert_int_equal(got.outcome, BF_STORE_DONE);
	bf_store_probe_provider(two->store, BF_ISBNDB, 10000, got_done, NULL);
	db_wait();
	assert_int_equal(got.outcome, BF_STORE_REFUSED);
	db_run("UPDATE provider_state SET probe_until = now() - interval '1 s'");
	bf_store_probe_provider(two->store, BF_ISBNDB, 10000, got_done, NULL);
	db_wait();
	assert_int_equal(got.outcome, BF_STORE_DONE);
	node_free(two);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			parallel_reservations_add_up, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(the_limit_holds, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(thirteen_of_fourteen, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(
			calls_are_counted_for_their_month, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(a_locked_month_is_busy, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(unused_units_come_back, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(a_new_day_starts_at_nothing, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(
			days_end_where_the_provider_lives, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(reserve_takes_64_wishes, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(
			closures_are_never_shortened, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(one_probe_at_a_time, db_setup, db_teardown),
	};

	return cmocka_run_group_tests(tests, db_group_setup, db_group_teardown);
}
