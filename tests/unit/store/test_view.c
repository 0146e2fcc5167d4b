/* The JSON views, in the contract's shapes, and pruning. */
#include "db.h"

#define NODE(state) struct node *one = *(state); if (one == NULL) skip()

/* The JSON that came, as PostgreSQL reads it: the value at a path. */
static const char *path(const char *p)
{
	PGconn *c = PQconnectdb(db_conninfo());
	const char *params[2] = { got.json, p };
	static char out[4][512];
	static int turn;
	char *to = out[turn++ & 3];
	PGresult *r =
		PQexecParams(c, "SELECT ($1::json #>> $2::text[])", 2, NULL, params, NULL, NULL, 0);

	assert_int_equal(PQresultStatus(r), PGRES_TUPLES_OK);
	snprintf(to, sizeof(out[0]), "%s", PQgetisnull(r, 0, 0) ? "NULL" : PQgetvalue(r, 0, 0));
	PQclear(r);
	PQfinish(c);
	return to;
}

/* The keys of the object at a path, in the order written. */
static const char *keys(const char *p)
{
	PGconn *c = PQconnectdb(db_conninfo());
	const char *params[2] = { got.json, p };
	static char out[1024];
	PGresult *r = PQexecParams(c,
		"SELECT string_agg(k, ' ') FROM json_object_keys($1::json #> $2::text[]) AS k", 2,
		NULL, params, NULL, NULL, 0);

	assert_int_equal(PQresultStatus(r), PGRES_TUPLES_OK);
	snprintf(out, sizeof(out), "%s", PQgetvalue(r, 0, 0));
	PQclear(r);
	PQfinish(c);
	return out;
}

/* Makes a completed month of books with ISBNs. */
static struct bf_month_row finish(struct node *one, int books, int isbns)
{
	struct bf_month_row row = claim_one(one);

	save(one, &row, books);
	resolve(one, &row, isbns, false);
	complete(one, &row, 3);
	return row;
}

/* Stats: the contract's keys, numbers as numbers, a pooled rate, the last ended first with an error
 * where there is one. */
static void stats_are_pooled_numbers(void **state)
{
	NODE(state);
	struct bf_month_row row;

	bf_store_stats_json(one->store, got_json, NULL);
	db_wait();
	assert_string_equal(path("{progress,overall_resolution_rate}"), "0.0");
	assert_string_equal(path("{recent_activity}"), "[]");
	seed(one, 2000, 2024);
	finish(one, 39, 36);
	finish(one, 19, 12);
	row = claim_one(one);
	fail_month(one, &row, 2, (struct bf_failure){ .error = "broken", .permanent = true });
	bf_store_stats_json(one->store, got_json, NULL);
	db_wait();
	assert_string_equal(keys("{}"), "total_months by_status progress recent_activity enrichment");
	assert_string_equal(keys("{by_status}"), "pending processing completed failed retry");
	assert_string_equal(path("{total_months}"), "300");
	assert_string_equal(path("{by_status,pending}"), "297");
	assert_string_equal(path("{by_status,completed}"), "2");
	assert_string_equal(path("{progress,total_books_generated}"), "58");
	assert_string_equal(path("{progress,total_isbns_resolved}"), "48");
	assert_string_equal(path("{progress,overall_resolution_rate}"), "82.76");
	assert_non_null(strstr(got.json, "\"overall_resolution_rate\" : 82.76"));
	assert_string_equal(path("{progress,total_isbns_queued}"), "36");
	assert_string_equal(path("{recent_activity,0,error_message}"), "broken");
	assert_string_equal(path("{recent_activity,1,month}"), "11");
	assert_string_equal(keys("{recent_activity,2}"),
		"year month status books_generated isbns_resolved resolution_rate");
	assert_string_equal(path("{recent_activity,2,resolution_rate}"), "92.31");
}

/* The grid lists every month; a month's view has its candidates and transitions; an unknown month
 * is NULL. */
static void months_and_one_month(void **state)
{
	NODE(state);
	bf_store_months_json(one->store, got_json, NULL);
	db_wait();
	assert_string_equal(path("{months}"), "[]");
	seed(one, 2023, 2024);
	finish(one, 3, 2);
	bf_store_months_json(one->store, got_json, NULL);
	db_wait();
	assert_string_equal(path("{months,0,month}"), "12");
	assert_string_equal(path("{months,23,year}"), "2023");
	assert_string_equal(path("{months,24}"), "NULL");
	bf_store_month_json(one->store, 2024, 12, got_json, NULL);
	db_wait();
	assert_string_equal(path("{status}"), "completed");
	assert_string_equal(path("{candidates,2,state}"), "not_found");
	assert_string_equal(path("{candidates,0,answers,isbndb}"), "hit");
	assert_string_equal(path("{candidates,0,merged}"), "false");
	assert_string_equal(path("{transitions,0,event}"), "claimed");
	assert_string_equal(path("{transitions,2,to}"), "completed");
	bf_store_month_json(one->store, 1999, 12, got_json, NULL);
	db_wait();
	assert_null(got.json);
}

/* A job's status follows its month's stage, a waiting retry is queued with its error, and the end
 * stays after a reset. */
static void a_job_follows_its_month(void **state)
{
	NODE(state);
	struct bf_month_row row, other;

	seed(one, 2024, 2024);
	row = claim_one(one);
	bf_store_job_json(one->store, row.job_id, got_json, NULL);
	db_wait();
	assert_string_equal(keys("{}"),
		"job_id year month status progress stats error dry_run created_at updated_at"
		" completed_at duration_ms");
	assert_string_equal(path("{status}"), "queued");
	assert_string_equal(path("{stats,books_generated}"), "0");
	save(one, &row, 3);
	resolve(one, &row, 2, false);
	bf_store_job_json(one->store, row.job_id, got_json, NULL);
	db_wait();
	assert_string_equal(path("{status}"), "processing");
	assert_string_equal(path("{progress}"), "resolving ISBNs: 3 of 3 books done");
	assert_string_equal(path("{stats,isbns_resolved}"), "2");
	step(one, &row, 3, "resolving", "queueing");
	bf_store_job_json(one->store, row.job_id, got_json, NULL);
	db_wait();
	assert_string_equal(path("{status}"), "enriching");
	complete(one, &row, 4);
	bf_store_operator(one->store, BF_OPERATOR_RESET, 2024, 12, got_done, NULL);
	db_wait();
	bf_store_job_json(one->store, row.job_id, got_json, NULL);
	db_wait();
	assert_string_equal(path("{status}"), "complete");
	assert_string_equal(path("{stats,isbn_resolution_rate}"), "66.67");
	assert_string_equal(path("{stats,isbns_sent_to_enrichment}"), "2");
	other = claim_one(one);
	fail_month(one, &other, 2,
		(struct bf_failure){ .error = "no books", .wait_ms = 60000, .counted = true });
	bf_store_job_json(one->store, other.job_id, got_json, NULL);
	db_wait();
	assert_string_equal(path("{status}"), "queued");
	assert_string_equal(path("{error}"), "no books");
	assert_string_equal(path("{progress}"), "waiting for attempt 2");
	assert_string_equal(path("{completed_at}"), "NULL");
}

/* Ids that are unknown or no ids at all are not found, not an error. */
static void unknown_jobs_are_not_found(void **state)
{
	NODE(state);
	static const char *const ids[] = { "00000000-0000-4000-8000-000000000000",
		"x'; DROP TABLE backfill_log; --", "" };

	for (size_t i = 0; i < BF_COUNT(ids); i++) {
		bf_store_job_json(one->store, ids[i], got_json, NULL);
		db_wait();
		assert_string_equal(got.err.text, "");
		assert_null(got.json);
	}
}

/* One row of the quota table: what was used, and the figures that follow. */
static void quota_figures(void **state)
{
	NODE(state);
	static const struct { int used; const char *remaining, *safe, *percent, *can;
	} table[] = {
		{ 0, "15000", "13000", "0.00", "true" },
		{ 58, "14942", "12942", "0.45", "true" },
		{ 5234, "9766", "7766", "40.26", "true" },
		{ 2474, "12526", "10526", "19.03", "true" },
		{ 13000, "2000", "0", "100.00", "false" },
		{ 15001, "0", "0", "115.39", "false" },
	};
	struct bf_quota_limits limits = {
		.daily_limit = { [BF_ISBNDB] = 15000, [BF_GOOGLE_BOOKS] = 1000 },
		.reserve = { [BF_ISBNDB] = 2000 }
	};
	const struct bf_provider_closure shut = { .provider = BF_GOOGLE_BOOKS,
		.kind = BF_CLOSURE_QUOTA };

	for (size_t i = 0; i < BF_COUNT(table); i++) {
		db_run("INSERT INTO api_quota (provider, day, used) VALUES ('isbndb', (now() AT "
		       "TIME ZONE 'UTC')::date, %d)"
		       " ON CONFLICT (provider, day) DO UPDATE SET used = excluded.used",
			table[i].used);
		bf_store_quota_json(one->store, &limits, got_json, NULL);
		db_wait();
		assert_string_equal(path("{success}"), "true");
		assert_int_equal(atoi(path("{data,used}")), table[i].used);
		assert_string_equal(path("{data,remaining}"), table[i].remaining);
		assert_string_equal(path("{data,safety_remaining}"), table[i].safe);
		assert_string_equal(path("{data,percentage_used}"), table[i].percent);
		assert_string_equal(path("{data,can_make_calls}"), table[i].can);
		assert_string_equal(path("{data,safety_limit}"), "13000");
		assert_string_equal(path("{data,providers,isbndb,remaining}"), table[i].remaining);
	}
	assert_string_equal(keys("{data}"),
		"daily_limit safety_limit used remaining safety_remaining percentage_used"
		" reset_at can_make_calls providers");
	assert_string_equal(keys("{data,providers}"),
		"gemini xai isbndb google_books open_library archive_org wikidata");
	assert_string_equal(path("{data,providers,gemini,daily_limit}"), "NULL");
	assert_string_equal(path("{data,providers,gemini,can_make_calls}"), "true");
	assert_string_equal(path("{data,providers,google_books,can_make_calls}"), "true");
	bf_store_close_provider(one->store, &shut, got_done, NULL);
	db_wait();
	bf_store_quota_json(one->store, &limits, got_json, NULL);
	db_wait();
	assert_string_equal(path("{data,providers,google_books,can_make_calls}"), "false");
	assert_string_equal(path("{data,reset_at}") + 10, "T00:00:00Z");
}

/* Pruning throws away what is too old, keeps what a living month needs, and rolls usage up by day.
 */
static void pruning_keeps_what_is_needed(void **state)
{
	NODE(state);
	const int64_t day = 86400000;
	const struct bf_retention r = { 365 * day, 90 * day, 180 * day, 730 * day, 730 * day,
		7 * day };
	struct bf_month_row row;

	seed(one, 2024, 2024);
	row = claim_one(one);
	db_run("UPDATE backfill_jobs SET updated_at = now() - interval '8 d'");
	db_run("INSERT INTO backfill_jobs (job_id, year, month, updated_at) VALUES "
	       "(gen_random_uuid(), 2024, 1,"
	       " now() - interval '8 d')");
	db_run("INSERT INTO backfill_events (year, month, fence, step, event, at) VALUES"
	       " (2001, 1, 1, 1, 'moved', now() - interval '400 d'), (2001, 1, 1, 2, "
	       "'operator_retry', now() - interval '400 d')");
	db_run("INSERT INTO backfill_answers (year, month, round, provider, fence, outcome, "
	       "created_at) VALUES"
	       " (2024, 12, 0, 'xai', 1, 'ok', now() - interval '91 d'), (2001, 1, 0, 'xai', 1, "
	       "'ok', now() - interval '91 d')");
	db_run("INSERT INTO isbn_resolutions (provider, title_key, author_key, expires_at) VALUES"
	       " ('isbndb', 'a', 'b', now() - interval '1 s'), ('isbndb', 'c', 'd', now() + "
	       "interval '1 d')");
	db_run("INSERT INTO api_usage (provider, day, instance, year, month, calls) VALUES"
	       " ('xai', current_date - 10, 'a', 2024, 1, 2), ('xai', current_date - 10, 'b', "
	       "2024, 2, 3),"
	       " ('xai', current_date - 1, 'a', 2024, 1, 4), ('xai', current_date - 800, 'a', "
	       "2024, 1, 5)");
	for (int i = 0; i < 2; i++) {
		bf_store_prune(one->store, &r, got_count, NULL);
		db_wait();
		assert_string_equal(got.err.text, "");
		assert_int_equal(got.count, i == 0 ? 5 : 0);
	}
	assert_string_equal(db_text("SELECT job_id FROM backfill_jobs"), row.job_id);
	assert_int_equal(db_int("SELECT count(*) FROM backfill_events WHERE year = 2001"), 1);
	assert_int_equal(db_int("SELECT year FROM backfill_answers"), 2024);
	assert_string_equal(db_text("SELECT title_key FROM isbn_resolutions"), "c");
	assert_string_equal(
		db_text("SELECT string_agg(instance || calls, ' ' ORDER BY day) FROM api_usage"),
		"5 a4");
}

/* A long neglected database is pruned in bites, until the count says that nothing is left; of the same age, events of operators
 * stay as long as the audit. */
static void pruning_takes_bites(void **state)
{
	NODE(state);
	const int64_t day = 86400000;
	const struct bf_retention r = { 10 * day, 10 * day, 10 * day, 10 * day, 20 * day, 10 * day };
	const int want[] = { 2000 + 2000, 500 + 100, 0 };

	db_run("INSERT INTO backfill_events (year, month, fence, step, event, at) SELECT 2001, 1, 1, g, "
	       "CASE g WHEN 2501 THEN 'operator_reset' ELSE 'moved' END, now() - interval '15 d' "
	       "FROM generate_series(1, 2501) AS g");
	db_run("INSERT INTO api_usage (provider, day, instance, year, month, calls) "
	       "SELECT 'xai', current_date - 11 - g, '', 0, 0, 1 FROM generate_series(1, 2100) AS g");
	for (size_t i = 0; i < BF_COUNT(want); i++) {
		bf_store_prune(one->store, &r, got_count, NULL);
		db_wait();
		assert_string_equal(got.err.text, "");
		assert_int_equal(got.count, want[i]);
		assert_int_equal(got.count >= BF_PRUNE_BITE, i < 2);
	}
	assert_string_equal(db_text("SELECT string_agg(event, ' ') FROM backfill_events"), "operator_reset");
	assert_int_equal(db_int("SELECT count(*) FROM api_usage"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(stats_are_pooled_numbers, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(months_and_one_month, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(a_job_follows_its_month, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(unknown_jobs_are_not_found, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(quota_figures, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(
			pruning_keeps_what_is_needed, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(pruning_takes_bites, db_setup, db_teardown),
	};

	return cmocka_run_group_tests(tests, db_group_setup, db_group_teardown);
}
