/*
 * A database for the tests of the PostgreSQL sessions. BF_TEST_CONNINFO names it: a superuser of a
 * throw-away cluster; without it the tests that need one skip themselves.
 */
#ifndef TEST_REACTOR_PG_WORLD_H
#define TEST_REACTOR_PG_WORLD_H
#include "harness.h"

/* A statement and its name on the server. */
#define STMT(n, text, params) static const struct bf_pg_stmt n = { #n, text, params }

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
	int n_results, longest;			/* the longest first field so far */
	char value[64], last[64];		/* first field of the first and the last result */
	char order[256];
	struct bf_error errors[128];		/* of each completion; a turn may bring several */
};


static inline void on_state(void *ctx, bool up, const struct bf_error *why)
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

static inline void on_notify(void *ctx, const char *channel, const char *payload)
{
	struct world *w = ctx;

	w->notes++;
	snprintf(w->channel, sizeof(w->channel), "%s", channel);
	snprintf(w->payload, sizeof(w->payload), "%s", payload);
	if (w->wait_notes && w->notes >= w->wait_notes)
		bf_loop_stop(w->loop);
}

static inline void first_field(struct world *w, char *ret, size_t size, const PGresult *result)
{
	ret[0] = '\0';
	if (PQntuples(result) == 0 || PQnfields(result) == 0)
		return;
	if (PQgetlength(result, 0, 0) > w->longest)
		w->longest = PQgetlength(result, 0, 0);
	if (PQgetlength(result, 0, 0) < (int)size)
		snprintf(ret, size, "%s", PQgetvalue(result, 0, 0));
}

static inline void on_done(void *ctx, const struct bf_error *err, PGresult *const *results, int n)
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
static inline void await(struct world *w, int n)
{
	w->wait_done = w->done + n;
	harness_run(w->loop);
}

static inline void query(struct world *w, const struct bf_pg_stmt *stmt, const char *param)
{
	const char *const params[] = { param };
	int before = w->done;

	assert_non_null(bf_pg_query(w->pg, stmt, params, on_done, w));
	assert_int_equal(w->done, before);
	await(w, 1);
	assert_int_equal(w->done, before + 1);
}

static inline void script(struct world *w, const char *sql)
{
	bf_pg_script(w->pg, sql, on_done, w);
	await(w, 1);
}

static inline struct bf_pg_config config_for(struct world *w, int sessions)
{
	return (struct bf_pg_config){
		.conninfo = w->conninfo, .application_name = "bf-test", .sessions = sessions,
		.statement_timeout_ms = 60000, .connect_timeout_ms = 10000,
		.on_state = on_state, .on_notify = on_notify, .ctx = w
	};
}

static inline void open_pool(struct world *w, const struct bf_pg_config *config)
{
	w->pg = bf_pg_new(w->loop, config);
	w->wait_up = w->up + config->sessions;
	harness_run(w->loop);
	w->wait_up = 0;
	assert_true(bf_pg_is_up(w->pg));
}

/* Kills the pool's only backend through a pool of its own. */
static inline void kill_backend(struct world *w, const char *pid)
{
	struct bf_pg_config config = config_for(w, 1);
	static const struct bf_pg_stmt kill_it = {
		"kill_it", "SELECT pg_terminate_backend($1::int)", 1
	};
	const char *const params[] = { pid };

	config.on_state = NULL;
	config.on_notify = NULL;
	if (!w->other)
		w->other = bf_pg_new(w->loop, &config);
	bf_pg_query(w->other, &kill_it, params, on_done, w);
}

static inline int world_up(void **state)
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
static inline int database_up(void **state)
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
	script(w, "DROP TABLE IF EXISTS bf_test_reactor;"
	       "CREATE TABLE bf_test_reactor (n int PRIMARY KEY)");
	w->done = 0;
	w->order[0] = '\0';
	return w->err.class == BF_ERR_NONE ? 0 : -1;
}

static inline int world_down(void **state)
{
	struct world *w = *state;

	bf_pg_free(w->other);
	bf_pg_free(w->pg);
	bf_loop_free(w->loop);
	free(w);
	return 0;
}

static inline int database_down(void **state)
{
	struct world *w = *state;

	if (*w->conninfo && w->pg)
		script(w, "DROP TABLE IF EXISTS bf_test_reactor");
	return world_down(state);
}

static inline struct world *need_database(void **state)
{
	struct world *w = *state;

	if (!*w->conninfo)
		skip();
	return w;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, database_up, database_down)
#endif
