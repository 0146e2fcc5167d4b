/* Batches, prepared statements, cancelling and scripts against a real server. */
#include "pg_world.h"

STMT(one, "SELECT 1", 0);
STMT(echo, "SELECT $1::text", 1);
STMT(divide, "SELECT 1 / $1::int", 1);
STMT(to_int, "SELECT $1::text::int", 1);
STMT(insert, "INSERT INTO bf_test_reactor VALUES ($1::int)", 1);
STMT(total, "SELECT count(*) FROM bf_test_reactor", 0);
STMT(rows, "SELECT * FROM bf_test_reactor", 0);
STMT(missing, "SELECT * FROM bf_test_missing", 0);
STMT(sleep_s, "SELECT pg_sleep($1::float8)", 1);
STMT(prepared, "SELECT count(*) FROM pg_prepared_statements WHERE name = 'one'", 0);
STMT(deallocate, "DEALLOCATE ALL", 0);
STMT(no_timeout, "SET statement_timeout = 0", 0);
STMT(show, "SELECT current_setting($1)", 1);

/* ---- batches ---- */

/* The results of a batch are its calls', in order. */
static void results_in_order(void **state)
{
	struct world *w = need_database(state);
	const char *const a[] = { "a" }, *const z[] = { "z" };
	const struct bf_pg_call calls[] = { { &echo, a }, { &one, NULL }, { &echo, z } };

	bf_pg_batch(w->pg, calls, 3, on_done, w);
	await(w, 1);
	assert_int_equal(w->err.class, BF_ERR_NONE);
	assert_int_equal(w->n_results, 3);
	assert_string_equal(w->value, "a");
	assert_string_equal(w->last, "z");
}

/* An error in the middle fails its batch alone, all of it; those around it do not notice. */
static void error_in_the_middle(void **state)
{
	struct world *w = need_database(state);
	const char *const zero[] = { "0" }, *const seven[] = { "7" }, *const eight[] = { "8" };
	const struct bf_pg_call good[] = { { &insert, seven }, { &total, NULL } };
	const struct bf_pg_call bad[] = { { &insert, eight }, { &divide, zero }, { &one, NULL } };

	bf_pg_batch(w->pg, good, 2, on_done, w);
	bf_pg_batch(w->pg, bad, 3, on_done, w);
	bf_pg_query(w->pg, &total, NULL, on_done, w);
	await(w, 3);
	assert_string_equal(w->order, ",!,1,");
	assert_int_equal(w->errors[1].class, BF_ERR_PERMANENT);
	assert_string_equal(w->errors[1].sqlstate, "22012");
	assert_non_null(strstr(w->errors[1].text, "divide"));
}

/*
 * A constraint that is checked at the end of the transaction fails the batch although each
 * statement went well.
 */
static void error_at_commit(void **state)
{
	struct world *w = need_database(state);
	const char *const five[] = { "5" };
	const struct bf_pg_call twice[] = { { &insert, five }, { &insert, five } };

	script(w, "DROP TABLE bf_test_reactor;"
	       "CREATE TABLE bf_test_reactor (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)");
	w->done = 0;
	bf_pg_batch(w->pg, twice, 2, on_done, w);
	bf_pg_query(w->pg, &total, NULL, on_done, w);
	await(w, 2);
	assert_int_equal(w->errors[0].class, BF_ERR_PERMANENT);
	assert_string_equal(w->errors[0].sqlstate, "23505");
	assert_null(strstr(w->errors[0].text, "(5)"));
	assert_string_equal(w->value, "0");
	query(w, &one, NULL);
	assert_string_equal(w->value, "1");
}

/* More batches than a pipeline holds wait their turn; on one session they complete in order. */
static void hundred_batches(void **state)
{
	struct world *w = need_database(state);
	char expected[256] = "", number[16];
	struct bf_pg_stats stats;
	uint64_t sum = 0;

	for (int i = 0; i < 60; i++) {
		const char *const params[] = { number };

		snprintf(number, sizeof(number), "%d", i);
		snprintf(expected + strlen(expected), sizeof(expected) - strlen(expected), "%d,",
			 i);
		bf_pg_query(w->pg, &echo, params, on_done, w);
	}
	await(w, 60);
	assert_string_equal(w->order, expected);
	bf_pg_stats(w->pg, &stats);
	assert_int_equal(stats.statements, 61);	/* and the script of the setup */
	assert_int_equal(stats.errors, 0);
	assert_int_equal(stats.open, 1);
	assert_int_equal(stats.wanted, 1);
	for (int i = 0; i < BF_PG_LATENCY_BUCKETS; i++)
		sum += stats.count[i];
	assert_int_equal(sum, 61);
}

/* SQL NULL goes in and comes out. */
static void null_parameter(void **state)
{
	struct world *w = need_database(state);

	query(w, &echo, NULL);
	assert_int_equal(w->n_results, 1);
	assert_string_equal(w->value, "");
	query(w, &echo, "");
	assert_int_equal(w->err.class, BF_ERR_NONE);
}

/* A batch of nothing is a defect of the caller. */
static void empty_batch(void **state)
{
	struct world *w = need_database(state);

	bf_pg_batch(w->pg, NULL, 0, on_done, w);
	await(w, 1);
	assert_int_equal(w->err.class, BF_ERR_BUG);
}

/* A data error does not repeat the parameter. */
static void error_hides_the_parameter(void **state)
{
	struct world *w = need_database(state);

	query(w, &to_int, "sesame");
	assert_string_equal(w->err.sqlstate, "22P02");
	assert_null(strstr(w->err.text, "sesame"));
	assert_non_null(strstr(w->err.text, "integer"));
}

/* 64 MB each way pass through a pipeline without a deadlock, with other batches around them. */
static void large_parameter(void **state)
{
	struct world *w = need_database(state);
	const size_t size = 64 << 20;
	char *text = malloc(size + 1);
	const char *const params[] = { text };

	assert_non_null(text);
	memset(text, 'x', size);
	text[size] = '\0';
	bf_pg_query(w->pg, &one, NULL, on_done, w);
	bf_pg_query(w->pg, &echo, params, on_done, w);
	bf_pg_query(w->pg, &one, NULL, on_done, w);
	free(text);
	await(w, 3);
	assert_string_equal(w->order, "1,,1,");
	assert_int_equal(w->errors[1].class, BF_ERR_NONE);
	assert_int_equal(w->longest, (int)size);
}

/* statement_timeout is in force and counts as passing. */
static void statement_timeout(void **state)
{
	struct world *w = need_database(state);
	struct bf_pg_config config = config_for(w, 1);

	bf_pg_free(w->pg);
	config.statement_timeout_ms = 100;
	open_pool(w, &config);
	query(w, &sleep_s, "20");
	assert_string_equal(w->err.sqlstate, "57014");
	assert_int_equal(w->err.class, BF_ERR_RETRY);
	query(w, &one, NULL);
	assert_string_equal(w->value, "1");
}

/* A session that stays silent beyond statement_timeout + 5 s is closed and replaced. */
static void silence_is_noticed(void **state)
{
	struct world *w = need_database(state);
	struct bf_pg_config config = config_for(w, 1);

	bf_pg_free(w->pg);
	config.statement_timeout_ms = 100;
	open_pool(w, &config);
	query(w, &no_timeout, NULL);
	query(w, &sleep_s, "60");
	assert_int_equal(w->err.class, BF_ERR_RETRY);
	assert_non_null(strstr(w->err.text, "silent"));
	query(w, &one, NULL);
	assert_string_equal(w->value, "1");
}

/* ---- prepared statements ---- */

/* A statement is prepared once and used again. */
static void prepared_once(void **state)
{
	struct world *w = need_database(state);

	query(w, &prepared, NULL);
	assert_string_equal(w->value, "0");
	for (int i = 0; i < 3; i++)
		query(w, &one, NULL);
	query(w, &prepared, NULL);
	assert_string_equal(w->value, "1");
}

/*
 * Prepared statements that somebody deallocated, or whose table changed, fail once as RETRY and are
 * prepared again.
 */
static void prepared_again(void **state)
{
	struct world *w = need_database(state);

	query(w, &one, NULL);
	query(w, &deallocate, NULL);
	query(w, &one, NULL);
	assert_string_equal(w->err.sqlstate, "26000");
	assert_int_equal(w->err.class, BF_ERR_RETRY);
	query(w, &one, NULL);
	assert_string_equal(w->value, "1");
	query(w, &rows, NULL);
	script(w, "ALTER TABLE bf_test_reactor ADD COLUMN more text");
	query(w, &rows, NULL);
	assert_int_equal(w->err.class, BF_ERR_RETRY);
	query(w, &rows, NULL);
	assert_int_equal(w->err.class, BF_ERR_NONE);
}

/*
 * A statement that cannot be prepared says why, hurts no other, and works once its table is there.
 */
static void prepare_fails(void **state)
{
	struct world *w = need_database(state);
	const struct bf_pg_call calls[] = { { &missing, NULL }, { &one, NULL } };

	bf_pg_batch(w->pg, calls, 2, on_done, w);
	bf_pg_query(w->pg, &one, NULL, on_done, w);
	await(w, 2);
	assert_int_equal(w->errors[0].class, BF_ERR_CONFIG);
	assert_string_equal(w->errors[0].sqlstate, "42P01");
	assert_non_null(strstr(w->errors[0].text, "missing"));
	assert_string_equal(w->value, "1");
	script(w, "CREATE TABLE bf_test_missing ()");
	query(w, &missing, NULL);
	assert_int_equal(w->err.class, BF_ERR_NONE);
	script(w, "DROP TABLE bf_test_missing");
}

/*
 * A failing statement does not undo what was prepared in its batch: others, already sent, use it.
 */
static void preparing_survives_errors(void **state)
{
	struct world *w = need_database(state);
	const char *const zero[] = { "0" };
	const struct bf_pg_call bad[] = { { &divide, zero }, { &one, NULL } };

	bf_pg_batch(w->pg, bad, 2, on_done, w);
	bf_pg_query(w->pg, &one, NULL, on_done, w);
	await(w, 2);
	assert_string_equal(w->order, "!,1,");
}

/* ---- cancelling ---- */

/* A cancelled batch that was sent still runs, one that was not does not; neither completes. */
static void cancel_is_final(void **state)
{
	struct world *w = need_database(state);
	const char *const slow[] = { "0.2" }, *const three[] = { "3" }, *const four[] = { "4" };
	struct bf_op *queued;

	bf_pg_query(w->pg, &sleep_s, slow, on_done, w);
	bf_op_cancel(bf_pg_query(w->pg, &insert, three, on_done, w));
	for (int i = 0; i < 14; i++)
		bf_pg_query(w->pg, &one, NULL, on_done, w);
	queued = bf_pg_query(w->pg, &insert, four, on_done, w);
	bf_op_cancel(queued);
	await(w, 15);
	query(w, &rows, NULL);
	assert_string_equal(w->value, "3");
	query(w, &total, NULL);
	assert_string_equal(w->value, "1");
	assert_int_equal(w->done, 17);
}

static void on_cancelled(void *ctx, const struct bf_error *err, PGresult *const *results, int n)
{
	int *calls = ctx;

	assert_null(results);
	assert_int_equal(n, 0);
	assert_int_equal(err->class, BF_ERR_CANCELLED);
	++*calls;
}

/* Freeing the pool ends what is sent and what is queued, CANCELLED, exactly once. */
static void free_cancels(void **state)
{
	struct world *w = need_database(state);
	const char *const slow[] = { "0.1" };
	int calls = 0;

	for (int i = 0; i < 20; i++)
		bf_pg_query(w->pg, &sleep_s, slow, on_cancelled, &calls);
	harness_wait(w->loop, 10);
	bf_pg_free(w->pg);
	w->pg = NULL;
	assert_int_equal(calls, 20);
	harness_wait(w->loop, 150);
	assert_int_equal(calls, 20);
}

static void free_the_pool(void *ctx, const struct bf_error *err, PGresult *const *results, int n)
{
	struct world *w = ctx;

	(void)results;
	(void)n;
	assert_null(err);
	bf_pg_free(w->pg);
	w->pg = NULL;
	bf_loop_stop(w->loop);
}

static void count_call(void *ctx, const struct bf_error *err, PGresult *const *results, int n)
{
	int *calls = ctx;

	(void)err;
	(void)results;
	(void)n;
	++*calls;
}

/* A pool may be freed from a completion of its own; the others still complete, once. */
static void free_in_a_completion(void **state)
{
	struct world *w = need_database(state);
	int calls = 0;

	bf_pg_query(w->pg, &one, NULL, free_the_pool, w);
	bf_pg_query(w->pg, &one, NULL, count_call, &calls);
	bf_pg_query(w->pg, &sleep_s, (const char *const[]){ "1" }, on_cancelled, &calls);
	harness_run(w->loop);
	assert_int_equal(calls, 2);
	harness_wait(w->loop, 10);
	assert_int_equal(calls, 2);
}

/* ---- sessions and scripts ---- */

/* Batches go to the idle session of a pool: a slow one holds up nobody. */
static void pool_spreads(void **state)
{
	struct world *w = need_database(state);
	struct bf_pg_config config = config_for(w, 2);
	const char *const slow[] = { "0.3" };

	bf_pg_free(w->pg);
	open_pool(w, &config);
	bf_pg_query(w->pg, &sleep_s, slow, on_done, w);
	bf_pg_query(w->pg, &one, NULL, on_done, w);
	await(w, 2);
	assert_string_equal(w->order, "1,,");
	bf_pg_script(w->pg, "SELECT 1", on_done, w);
	await(w, 1);
	assert_int_equal(w->err.class, BF_ERR_BUG);
	bf_pg_free(w->pg);
	w->pg = NULL;
}

/* The settings of a session, and those of the one that holds locks. */
static void session_settings(void **state)
{
	static const char *const expected[][2] = {
		{ "TimeZone", "UTC" }, { "client_encoding", "UTF8" },
		{ "application_name", "bf-test" },
		{ "statement_timeout", "1min" }, { "client_connection_check_interval", "5s" },
		/* where the server is reached by TCP; on a Unix socket they read 0 */
		{ "tcp_keepalives_idle", "3" }, { "tcp_keepalives_interval", "1" },
		{ "tcp_keepalives_count", "3" }, { "tcp_user_timeout", "5000" },
		{ "idle_session_timeout", "10s" },
	};
	struct world *w = need_database(state);
	struct bf_pg_config config = config_for(w, 1);

	bf_pg_free(w->pg);
	config.keepalive = true;
	open_pool(w, &config);
	for (size_t i = 0; i < BF_COUNT(expected); i++) {
		query(w, &show, expected[i][0]);
		assert_string_equal(w->value, expected[i][1]);
	}
}

/* A script runs alone, between the batches around it; its results are all there. */
static void script_between_batches(void **state)
{
	struct world *w = need_database(state);

	bf_pg_query(w->pg, &one, NULL, on_done, w);
	bf_pg_script(w->pg, "SELECT 2; INSERT INTO bf_test_reactor VALUES (1), (2);"
		     "SELECT count(*) FROM bf_test_reactor", on_done, w);
	bf_pg_query(w->pg, &total, NULL, on_done, w);
	await(w, 3);
	assert_string_equal(w->order, "1,2,2,");
	bf_pg_script(w->pg, "SELECT 5; SELECT 6; SELECT 7", on_done, w);
	await(w, 1);
	assert_int_equal(w->n_results, 3);
	assert_string_equal(w->value, "5");
	assert_string_equal(w->last, "7");
}

/* A script that fails leaves nothing behind, not even with a BEGIN of its own. */
static void script_fails(void **state)
{
	struct world *w = need_database(state);

	script(w, "INSERT INTO bf_test_reactor VALUES (1); SELECT 1/0; SELECT 3");
	assert_string_equal(w->err.sqlstate, "22012");
	script(w, "BEGIN; INSERT INTO bf_test_reactor VALUES (1); SELECT 1/0; COMMIT");
	assert_string_equal(w->err.sqlstate, "22012");
	query(w, &total, NULL);
	assert_string_equal(w->value, "0");
	assert_int_equal(w->down, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(results_in_order), TEST(error_in_the_middle), TEST(error_at_commit),
		TEST(hundred_batches), TEST(null_parameter), TEST(empty_batch),
		TEST(error_hides_the_parameter), TEST(large_parameter), TEST(statement_timeout),
		TEST(silence_is_noticed), TEST(prepared_once), TEST(prepared_again),
		TEST(prepare_fails), TEST(preparing_survives_errors), TEST(cancel_is_final),
		TEST(free_cancels), TEST(free_in_a_completion), TEST(pool_spreads),
		TEST(session_settings), TEST(script_between_batches), TEST(script_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
