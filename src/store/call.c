/*
 * call: the store itself, and the way of every call: parameters out, rows in, the asker told,
 * memory gone.
 *
 * Promises that a reply's memory lives exactly as long as the asker's callback. Two writes of one
 * step that meet in the database (the first one's connection was lost, not its statement) end in a
 * unique violation for the second: that is reported as RETRY, and the repeated call finds the step
 * done.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "call.h"

/* No operation of the reactor lives as long: statements, queues and connects all have shorter
 * limits. */
#define CALL_MAX_AGE_US (UINT64_C(3600) * 1000000)

struct bf_store *bf_store_new(
	struct bf_loop *loop, struct bf_pg *pool, struct bf_pg *locks, const char *instance)
{
	struct bf_store *s = bf_xcalloc(1, sizeof(*s));
	struct bf_buf b;

	s->loop = loop;
	s->pool = pool;
	s->locks = locks;
	bf_buf_init(&b, 256);
	bf_buf_adds(&b, instance);
	memcpy(s->instance, b.data, bf_utf8_cut(b.data, b.len, sizeof(s->instance) - 1));
	bf_buf_clear(&b);
	bf_buf_addf(&b, "lock:%016" PRIx64, bf_random_u64());
	memcpy(s->mark, b.data, b.len);
	bf_buf_release(&b);
	if (gethostname(s->host, sizeof(s->host) - 1) != 0)
		s->host[0] = '\0';
	TAILQ_INIT(&s->calls);
	return s;
}

/* Forgets a call. */
static void call_free(struct call *c)
{
	TAILQ_REMOVE(&c->store->calls, c, link);
	bf_arena_free(c->arena);
	free(c);
}

void bf_store_free(struct bf_store *s)
{
	struct call *c;

	if (s == NULL)
		return;
	if (s->aside_conninfo != NULL)	/* it may hold a password */
		explicit_bzero(s->aside_conninfo, strlen(s->aside_conninfo));
	free(s->aside_conninfo);
	while ((c = TAILQ_FIRST(&s->calls)) != NULL)
		call_free(c);
	free(s);
}

struct call *call_new(struct bf_store *s, call_reader *read, void *ctx)
{
	struct call *c, *old = TAILQ_FIRST(&s->calls);
	uint64_t now_us = bf_now_us();

	if (old != NULL && now_us - old->started_us > CALL_MAX_AGE_US)
		call_free(old);
	c = bf_xcalloc(1, sizeof(*c));
	c->store = s;
	c->read = read;
	c->ctx = ctx;
	c->started_us = now_us;
	c->arena = bf_arena_new();
	TAILQ_INSERT_TAIL(&s->calls, c, link);
	return c;
}

/* Every completion of the database comes through here. */
static void call_done(void *ctx, const struct bf_error *err, PGresult *const *results, int n)
{
	struct call *c = ctx;
	struct bf_error again;

	if (err != NULL && err->class == BF_ERR_NONE)
		err = NULL;
	if (err != NULL && strcmp(err->sqlstate, "23505") == 0) {
		again = *err;
		again.class = BF_ERR_RETRY;
		err = &again;
	}
	c->read(c, err, results, n);
	call_free(c);
}

/* The completion of a call that could not be sent. */
static void call_refused(void *ctx)
{
	struct call *c = ctx;
	struct bf_error err;

	if (c->too_many)
		bf_error_set(&err, BF_ERR_REFUSED, "%s", c->why);
	else
		bf_error_set(&err, BF_ERR_BUG, "store: cannot send: %s", c->why);
	c->read(c, &err, NULL, 0);
	call_free(c);
}

struct bf_op *call_refuse(struct call *c, const char *why)
{
	c->why = why;
	return bf_timer_start(c->store->loop, 0, call_refused, c);
}

struct bf_op *call_query(
	struct call *c, struct bf_pg *pg, const struct bf_pg_stmt *stmt, struct params *p)
{
	const char *const *values = params_values(p);
	struct bf_op *op;

	if (values == NULL || p->n != stmt->n_params)
		op = call_refuse(c, stmt->name);
	else
		op = bf_pg_query(pg, stmt, values, call_done, c);
	params_release(p);
	return op;
}

struct bf_op *call_batch(struct call *c, struct bf_pg *pg, const struct bf_pg_call *calls, int n)
{
	return bf_pg_batch(pg, calls, n, call_done, c);
}

/* A long look: its session, and how long it may take as a whole. */
struct aside {
	struct bf_op op;
	struct bf_pg *pg;
	struct bf_op *batch, *timer;
	struct call *call;
};

/* Its session goes, and with it the statement that still runs there. */
static void aside_end(struct aside *a, struct bf_store *s)
{
	bf_op_cancel(a->timer);
	bf_op_cancel(a->batch);
	bf_pg_free(a->pg);
	if (s->aside == a)
		s->aside = NULL;
	free(a);
}

static void aside_cancel(struct bf_op *op)
{
	struct aside *a = bf_container_of(op, struct aside, op);
	struct call *c = a->call;

	aside_end(a, c->store);
	call_free(c);
}

static void aside_done(void *ctx, const struct bf_error *err, PGresult *const *results, int n)
{
	struct aside *a = ctx;
	struct bf_store *s = a->call->store;

	a->batch = NULL;
	s->aside = NULL;
	call_done(a->call, err, results, n);
	aside_end(a, s);
}

/* The time is up for all statements together; each alone has the server's limit. */
static void aside_late(void *ctx)
{
	struct aside *a = ctx;
	struct bf_error err;

	a->timer = NULL;
	bf_op_cancel(a->batch);
	bf_error_set(&err, BF_ERR_REFUSED, "the look took too long");
	snprintf(err.sqlstate, sizeof(err.sqlstate), "57014");
	aside_done(a, &err, NULL, 0);
}

struct bf_op *call_aside(struct call *c, int64_t limit_ms, const struct bf_pg_call *calls, int n)
{
	struct bf_store *s = c->store;
	const struct bf_pg_config config = { .conninfo = s->aside_conninfo,
		.application_name = "backfilld verify",
		.sessions = 1,
		.statement_timeout_ms = limit_ms,
		.connect_timeout_ms = s->aside_connect_ms,
		.keepalive = true };
	struct aside *a;

	c->too_many = s->aside != NULL;
	if (s->aside != NULL)
		return call_refuse(c, "A look like this is under way: wait for its answer");
	if (s->aside_conninfo == NULL)
		return call_refuse(c, "no session of its own");
	a = bf_xcalloc(1, sizeof(*a));
	a->op.cancel = aside_cancel;
	a->call = c;
	a->pg = bf_pg_new(s->loop, &config);
	a->timer = bf_timer_start(s->loop, limit_ms, aside_late, a);
	a->batch = bf_pg_batch(a->pg, calls, n, aside_done, a);
	s->aside = a;
	return &a->op;
}

void bf_store_aside(struct bf_store *s, const char *conninfo, int64_t connect_timeout_ms)
{
	s->aside_conninfo = bf_xstrdup(conninfo);
	s->aside_connect_ms = connect_timeout_ms;
}

struct bf_op *call_pair(struct call *c, struct bf_pg *pg, const struct bf_pg_stmt *first,
	struct params *p, const struct bf_pg_stmt *second, struct params *q)
{
	struct bf_pg_call calls[2] = { { first, params_values(p) }, { second, params_values(q) } };
	struct bf_op *op;

	if (calls[0].params == NULL || calls[1].params == NULL || p->n != first->n_params ||
	    q->n != second->n_params)
		op = call_refuse(c, second->name);
	else
		op = call_batch(c, pg, calls, 2);
	params_release(p);
	params_release(q);
	return op;
}

void call_refs(struct params *p, const struct bf_month_ref *refs, int n)
{
	params_open(p);
	for (int i = 0; i < n; i++)
		params_item_int(p, refs[i].year);
	params_close(p);
	params_open(p);
	for (int i = 0; i < n; i++)
		params_item_int(p, refs[i].month);
	params_close(p);
	params_open(p);
	for (int i = 0; i < n; i++)
		params_item_int(p, refs[i].fence);
	params_close(p);
}

const char *call_text(const PGresult *r, int row, const char *column)
{
	int col = PQfnumber(r, column);

	return col < 0 || row >= PQntuples(r) || PQgetisnull(r, row, col) ? NULL
									  : PQgetvalue(r, row, col);
}

int64_t call_int(const PGresult *r, int row, const char *column)
{
	const char *s = call_text(r, row, column);

	return s != NULL ? strtoll(s, NULL, 10) : 0;
}

double call_dbl(const PGresult *r, int row, const char *column, double if_null)
{
	const char *s = call_text(r, row, column);

	return s != NULL ? strtod(s, NULL) : if_null;
}

bool call_bool(const PGresult *r, int row, const char *column)
{
	const char *s = call_text(r, row, column);

	return s != NULL && s[0] == 't';
}

void call_copy(char *to, size_t size, const PGresult *r, int row, const char *column)
{
	const char *s = call_text(r, row, column);
	size_t n = s != NULL ? bf_utf8_cut(s, strlen(s), size - 1) : 0;

	if (n > 0)
		memcpy(to, s, n);
	to[n] = '\0';
}

void call_read_outcome(struct call *c, const struct bf_error *err, PGresult *const *results, int n)
{
	const char *word = err == NULL && n > 0 ? call_text(results[n - 1], 0, "outcome") : NULL;
	enum bf_store_outcome outcome = BF_STORE_REFUSED;

	if (word != NULL && strcmp(word, "done") == 0)
		outcome = BF_STORE_DONE;
	else if (word != NULL && strcmp(word, "not_mine") == 0)
		outcome = BF_STORE_NOT_MINE;
	if (c->tell.done != NULL)
		c->tell.done(c->ctx, err, outcome);
}

void call_tell_lost(struct call *c, const struct bf_error *err, const PGresult *r)
{
	int n_lost = r != NULL ? PQntuples(r) : 0;
	struct bf_month_ref *lost = bf_arena_alloc(c->arena, (size_t)(n_lost + 1) * sizeof(*lost));

	for (int i = 0; i < n_lost; i++) {
		lost[i].year = (int)call_int(r, i, "year");
		lost[i].month = (int)call_int(r, i, "month");
		lost[i].fence = call_int(r, i, "fence");
	}
	if (c->tell.lost != NULL)
		c->tell.lost(c->ctx, err, lost, n_lost);
}

void call_read_lost(struct call *c, const struct bf_error *err, PGresult *const *results, int n)
{
	call_tell_lost(c, err, err == NULL && n > 0 ? results[0] : NULL);
}

void call_read_count(struct call *c, const struct bf_error *err, PGresult *const *results, int n)
{
	c->tell.count(c->ctx, err, err == NULL && n > 0 ? call_int(results[0], 0, "count") : 0);
}

void call_read_json(struct call *c, const struct bf_error *err, PGresult *const *results, int n)
{
	c->tell.json(c->ctx, err, err == NULL && n > 0 ? call_text(results[0], 0, "json") : NULL);
}
