/*
 * The PostgreSQL sessions against a real server, which BF_TEST_CONNINFO names (a superuser of a
 * throw-away cluster); without it, only the tests that need none run.
 */
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include "harness.h"

struct world {
	struct bf_loop *loop;
	struct bf_pg *pg, *other;
	char conninfo[1024];
	int up, down, notes;
	struct bf_error why;
	char channel[32], payload[64];
	int wait_up, wait_down, wait_notes;	/* stop the loop when so many came; 0: never */
	/* of the last completion */
	int done, wait_done;
	struct bf_error err;
	int n_results, longest; /* longest first field so far */
	char value[64], last[64]; /* first field of the first and of the last result */
	char order[256];
	struct bf_error
		errors[128]; /* of each completion, in order; several may come in one turn */
};

#define STMT(n, text, params) static const struct bf_pg_stmt n = { #n, text, params }
STMT(one, "SELECT 1", 0);
STMT(echo, "SELECT $1::text", 1);
STMT(divide, "SELECT 1 / $1::int", 1);
STMT(to_int, "SELECT $1::text::int", 1);
STMT(insert, "INSERT INTO bf_test_reactor VALUES ($1::int)", 1);
STMT(total, "SELECT count(*) FROM bf_test_reactor", 0);
STMT(rows, "SELECT * FROM bf_test_reactor", 0);
STMT(missing, "SELECT * FROM bf_test_missing", 0);
STMT(sleep_s, "SELECT pg_sleep($1::float8)", 1);
STMT(my_pid, "SELECT pg_backend_pid()", 0);
STMT(terminate, "SELECT pg_terminate_backend($1::int)", 1);
STMT(notify, "SELECT pg_notify('bf_test', $1)", 1);
STMT(prepared, "SELECT count(*) FROM pg_prepared_statements WHERE name = 'one'", 0);
STMT(deallocate, "DEALLOCATE ALL", 0);
STMT(read_only, "SET default_transaction_read_only = on", 0);
STMT(no_timeout, "SET statement_timeout = 0", 0);
STMT(show, "SELECT current_setting($1)", 1);

static void on_state(void *ctx, bool up, const struct bf_error *why)
{
	struct world *w = ctx;

	if (up)
		w->up++;
	else
		w->down++;
	if (!up)
		w->why = *why;
	if ((w->wait_up && w->up >= w->wait_up) || (w->wait_down && w->down >= w->wait_down))
		bf_loop_stop(w->loop);
}

static void on_notify(void *ctx, const char *channel, const char *payload)
{
	struct world *w = ctx;

	w->notes++;
	snprintf(w->channel, sizeof(w->channel), "%s", channel);
	snprintf(w->payload, sizeof(w->payload), "%s", payload);
	if (w->wait_notes && w->notes >= w->wait_notes)
		bf_loop_stop(w->loop);
}

static void first_field(struct world *w, char *ret, size_t size, const PGresult *result)
{
	ret[0] = '\0';
	if (PQntuples(result) == 0 || PQnfields(result) == 0)
		return;
	if (PQgetlength(result, 0, 0) > w->longest)
		w->longest = PQgetlength(result, 0, 0);
	if (PQgetlength(result, 0, 0) < (int)size)
		snprintf(ret, size, "%s", PQgetvalue(result, 0, 0));
}

static void on_done(void *ctx, const struct bf_error *err, PGresult *const *results, int n)
{
	struct world *w = ctx;

	memset(&w->err, 0, sizeof(w->err));
	if (err)
		w->err = *err;
	assert_in_range(w->done, 0, 127);
	w->errors[w->done++] = w->err;
	w->n_results = n;
	w->value[0] = w->last[0] = '\0';
	if (n) {
		first_field(w, w->value, sizeof(w->value), results[0]);
		first_field(w, w->last, sizeof(w->last), results[n - 1]);
	}
	snprintf(w->order + strlen(w->order), sizeof(w->order) - strlen(w->order), "%s,",
		 err ? "!" : w->value);
	if (w->done >= w->wait_done)
		bf_loop_stop(w->loop);
}

/* Waits until so many batches more have completed. */
static void await(struct world *w, int n)
{
	w->wait_done = w->done + n;
	harness_run(w->loop);
}

static void query(struct world *w, const struct bf_pg_stmt *stmt, const char *param)
{
	const char *const params[] = { param };
	int before = w->done;

	assert_non_null(bf_pg_query(w->pg, stmt, params, on_done, w));
	assert_int_equal(w->done, before);
	await(w, 1);
	assert_int_equal(w->done, before + 1);
}

static void script(struct world *w, const char *sql)
{
	bf_pg_script(w->pg, sql, on_done, w);
	await(w, 1);
}

static struct bf_pg_config config_for(struct world *w, int sessions)
{
	return (struct bf_pg_config){ .conninfo = w->conninfo,
				      .application_name = "bf-test",
				      .sessions = sessions,
				      .statement_timeout_ms = 60000,
				      .connect_timeout_ms = 10000,
				      .on_state = on_state,
				      .on_notify = on_notify,
				      .ctx = w };
}

static void open_pool(struct world *w, const struct bf_pg_config *config)
{
	w->pg = bf_pg_new(w->loop, config);
	w->wait_up = w->up + config->sessions;
	harness_run(w->loop);
	w->wait_up = 0;
	assert_true(bf_pg_is_up(w->pg));
}

/* Kills the pool's only backend through a pool of its own. */
static void kill_backend(struct world *w, const char *pid)
{
	struct bf_pg_config config = config_for(w, 1);
	const char *const params[] = { pid };

	config.on_state = NULL;
	config.on_notify = NULL;
	if (!w->other)
		w->other = bf_pg_new(w->loop, &config);
	bf_pg_query(w->other, &terminate, params, on_done, w);
}

static int world_up(void **state)
{
	const char *conninfo = getenv("BF_TEST_CONNINFO");
	struct world *w = bf_xcalloc(1, sizeof(*w));

	*state = w;
	w->loop = bf_loop_new();
	if (conninfo)
		snprintf(w->conninfo, sizeof(w->conninfo), "%s", conninfo);
	return w->loop ? 0 : -1;
}

/* One session with an empty table of its own. */
static int database_up(void **state)
{
	struct world *w;
	struct bf_pg_config config;

	if (world_up(state) != 0)
		return -1;
	w = *state;
	if (!*w->conninfo)
		return 0;
	config = config_for(w, 1);
	open_pool(w, &config);
	script(w, "DROP TABLE IF EXISTS bf_test_reactor; CREATE TABLE bf_test_reactor (n int "
		  "PRIMARY KEY)");
	w->done = 0;
	w->order[0] = '\0';
	return w->err.class == BF_ERR_NONE ? 0 : -1;
}

static int world_down(void **state)
{
	struct world *w = *state;

	bf_pg_free(w->other);
	bf_pg_free(w->pg);
	bf_loop_free(w->loop);
	free(w);
	return 0;
}

static int database_down(void **state)
{
	struct world *w = *state;

	if (*w->conninfo && w->pg)
		script(w, "DROP TABLE IF EXISTS bf_test_reactor");
	return world_down(state);
}

static struct world *need_database(void **state)
{
	struct world *w = *state;

	if (!*w->conninfo)
		skip();
	return w;
}

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
	char expected[256] = "", number[8];
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

/* ---- losing and finding the server ---- */

/*
 * The server ends a backend: its batch is RETRY, both changes of state are told, and the session
 * comes back.
 */
static void backend_terminated(void **state)
{
	struct world *w = need_database(state);
	const char *const slow[] = { "20" };
	char pid[64];
	int up = w->up;

	query(w, &my_pid, NULL);
	snprintf(pid, sizeof(pid), "%s", w->value);
	bf_pg_query(w->pg, &sleep_s, slow, on_done, w);
	kill_backend(w, pid);
	w->order[0] = '\0';
	w->wait_done = w->done + 100;
	w->wait_up = up + 1;
	harness_run(w->loop);
	assert_non_null(strchr(w->order, '!'));
	assert_int_equal(w->down, 1);
	assert_string_equal(w->why.sqlstate, "");
	query(w, &my_pid, NULL);
	assert_string_not_equal(w->value, pid);
}

/* An idle session notices at once. */
static void idle_session_notices(void **state)
{
	struct world *w = need_database(state);

	query(w, &my_pid, NULL);
	kill_backend(w, w->value);
	w->wait_done = w->done + 100;
	w->wait_down = 1;
	harness_run(w->loop);
	assert_int_equal(w->down, 1);
	assert_int_equal(w->why.class, BF_ERR_RETRY);
	assert_false(bf_pg_is_up(w->pg));
	w->wait_down = 0;
	query(w, &one, NULL);		/* waits for the session, and gets it */
	assert_string_equal(w->value, "1");
}

/* Notifications arrive, on an idle session too, and again after a reconnect. */
static void notifications(void **state)
{
	struct world *w = need_database(state);

	bf_pg_listen(w->pg, "bf_test");
	query(w, &notify, "first");
	if (!w->notes) {
		w->wait_notes = 1;
		harness_run(w->loop);
	}
	assert_string_equal(w->channel, "bf_test");
	assert_string_equal(w->payload, "first");
	query(w, &my_pid, NULL);
	kill_backend(w, w->value);
	w->wait_done = w->done + 100;
	w->wait_up = w->up + 1;
	harness_run(w->loop);
	w->wait_up = 0;
	bf_pg_query(w->other, &notify, (const char *const[]){ "second" }, on_done, w);
	w->wait_notes = 2;
	harness_run(w->loop);
	assert_string_equal(w->payload, "second");
}

/*
 * Whoever finds itself on a read-only server leaves it: the batch is RETRY and the session connects
 * anew.
 */
static void read_only_is_left(void **state)
{
	struct world *w = need_database(state);
	int up = w->up;

	query(w, &read_only, NULL);
	query(w, &insert, "1");
	assert_string_equal(w->err.sqlstate, "25006");
	assert_int_equal(w->err.class, BF_ERR_RETRY);
	w->wait_up = up + 1;
	w->wait_done = w->done + 100;
	if (w->up == up)
		harness_run(w->loop);
	query(w, &insert, "1");
	assert_int_equal(w->err.class, BF_ERR_NONE);
}

/* A server that is read-only from the start is no server. */
static void read_only_from_the_start(void **state)
{
	struct world *w = need_database(state);
	struct bf_pg_config config = config_for(w, 1);

	bf_pg_free(w->pg);
	w->pg = NULL;
	snprintf(w->conninfo + strlen(w->conninfo), sizeof(w->conninfo) - strlen(w->conninfo),
		 " options='-c default_transaction_read_only=on'");
	w->pg = bf_pg_new(w->loop, &config);
	w->wait_down = 1;
	harness_run(w->loop);
	assert_non_null(strstr(w->why.text, "read-only"));
	assert_false(bf_pg_is_up(w->pg));
	bf_pg_free(w->pg);
	w->pg = NULL;
}

/* A database that is not UTF-8 is a CONFIG error that names the remedy. */
static void other_encoding(void **state)
{
	struct world *w = need_database(state);
	struct bf_pg_config config = config_for(w, 1);

	script(w, "DROP DATABASE IF EXISTS bf_test_ascii");
	script(w, "CREATE DATABASE bf_test_ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE "
		  "'C'");
	assert_int_equal(w->err.class, BF_ERR_NONE);
	snprintf(w->conninfo + strlen(w->conninfo), sizeof(w->conninfo) - strlen(w->conninfo),
		 " dbname=bf_test_ascii");
	w->other = w->pg;
	w->pg = bf_pg_new(w->loop, &config);
	w->wait_down = 1;
	harness_run(w->loop);
	assert_int_equal(w->why.class, BF_ERR_CONFIG);
	assert_non_null(strstr(w->why.text, "ENCODING 'UTF8'"));
	bf_pg_free(w->pg);
	w->pg = w->other;
	w->other = NULL;
	script(w, "DROP DATABASE bf_test_ascii");
}

/* A role that does not exist is a CONFIG error with its SQLSTATE. */
static void unknown_role(void **state)
{
	struct world *w = need_database(state);
	struct bf_pg_config config = config_for(w, 1);

	bf_pg_free(w->pg);
	snprintf(w->conninfo + strlen(w->conninfo), sizeof(w->conninfo) - strlen(w->conninfo),
		 " user=bf_nobody");
	w->pg = bf_pg_new(w->loop, &config);
	w->wait_down = 1;
	harness_run(w->loop);
	assert_int_equal(w->why.class, BF_ERR_CONFIG);
	assert_string_equal(w->why.sqlstate, "28000");
	bf_pg_free(w->pg);
	w->pg = NULL;
}

/* Splits BF_TEST_CONNINFO's host and port off, to put other hosts before them. */
static void with_hosts(struct world *w, const char *host, int port)
{
	char *message = NULL, rest[512] = "", own_host[256] = "/var/run/postgresql",
	     own_port[16] = "5432";
	PQconninfoOption *options = PQconninfoParse(getenv("BF_TEST_CONNINFO"), &message);

	assert_non_null(options);
	for (PQconninfoOption *o = options; o->keyword; o++) {
		if (!o->val)
			continue;
		if (strcmp(o->keyword, "host") == 0)
			snprintf(own_host, sizeof(own_host), "%s", o->val);
		else if (strcmp(o->keyword, "port") == 0)
			snprintf(own_port, sizeof(own_port), "%s", o->val);
		else
			snprintf(rest + strlen(rest), sizeof(rest) - strlen(rest), " %s='%s'",
				 o->keyword, o->val);
	}
	PQconninfoFree(options);
	snprintf(w->conninfo, sizeof(w->conninfo), "host='%s,%s' port=%d,%s%s", host, own_host,
		 port, own_port, rest);
}

/* A listening socket that nobody serves. */
static int silent_port(int *fd)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);

	*fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(*fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(*fd, 4), 0);
	assert_int_equal(getsockname(*fd, (struct sockaddr *)&in, &len), 0);
	return ntohs(in.sin_port);
}

/* Hosts that refuse, are not known by name, or say nothing, are passed over. */
static void dead_first_host(void **state)
{
	struct world *w = need_database(state);
	struct bf_pg_config config = config_for(w, 1);
	int fd, port = silent_port(&fd);

	bf_pg_free(w->pg);
	config.connect_timeout_ms = 1500;
	for (int i = 0; i < 3; i++) {
		with_hosts(w,
			   i == 0   ? "127.0.0.1"
			   : i == 1 ? "localhost"
				    : "127.0.0.1",
			   i == 2 ? port : 1);
		open_pool(w, &config);
		query(w, &one, NULL);
		assert_string_equal(w->value, "1");
		bf_pg_free(w->pg);
		w->pg = NULL;
	}
	close(fd);
}

/* No server: down is told with the reason, and a batch gives up after 5 s with RETRY. */
static void no_server(void **state)
{
	struct world *w = *state;
	struct bf_pg_config config = config_for(w, 2);
	uint64_t began = bf_now_us();

	snprintf(w->conninfo, sizeof(w->conninfo),
		 "host=127.0.0.1 port=1 dbname=x password=sesame");
	w->pg = bf_pg_new(w->loop, &config);
	query(w, &one, NULL);
	assert_int_equal(w->err.class, BF_ERR_RETRY);
	assert_true(bf_now_us() - began >= 4900000);
	assert_int_equal(w->down, 1);
	assert_int_equal(w->up, 0);
	assert_int_equal(w->why.class, BF_ERR_RETRY);
	assert_null(strstr(w->why.text, "sesame"));
	w->conninfo[0] = '\0';
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
		{ "TimeZone", "UTC" }, { "client_encoding", "UTF8" }, { "application_name", "bf-test" },
		{ "statement_timeout", "1min" }, { "client_connection_check_interval", "5s" },
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
	bf_pg_script(w->pg,
		     "SELECT 2; INSERT INTO bf_test_reactor VALUES (1), (2); SELECT count(*) FROM "
		     "bf_test_reactor",
		     on_done, w);
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

#define TEST(f) cmocka_unit_test_setup_teardown(f, database_up, database_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(results_in_order), TEST(error_in_the_middle), TEST(error_at_commit), TEST(hundred_batches),
		TEST(null_parameter), TEST(empty_batch), TEST(error_hides_the_parameter), TEST(large_parameter),
		TEST(statement_timeout), TEST(silence_is_noticed), TEST(prepared_once), TEST(prepared_again),
		TEST(prepare_fails), TEST(preparing_survives_errors), TEST(cancel_is_final), TEST(free_cancels),
		TEST(free_in_a_completion), TEST(backend_terminated), TEST(idle_session_notices), TEST(notifications),
		TEST(read_only_is_left), TEST(read_only_from_the_start), TEST(other_encoding), TEST(unknown_role),
		TEST(dead_first_host), TEST(pool_spreads), TEST(session_settings), TEST(script_between_batches),
		TEST(script_fails),
		cmocka_unit_test_setup_teardown(no_server, world_up, world_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
