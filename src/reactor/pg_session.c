/*
 * One session: libpq in pipeline mode on the loop.
 *
 * A batch is its statements and one SYNC; before them, for each that this session has not seen, a PREPARE with a SYNC of
 * its own, so that no failure can undo the preparing that later batches, already on their way, rely on. Results
 * come in the order of the calls: for each a result and NULL, for a SYNC its result alone; behind an error ABORTED up
 * to the SYNC.
 *
 * The read event is always armed: a server that goes away is noticed at once. What happens in the middle of sending is
 * dealt with after the turn, because the one who sends may be anywhere.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <event2/event.h>
#include "pg.h"

enum {
	BACKOFF_LEAST_MS = 100,
	BACKOFF_MOST_MS = 5000,
	QUIET_US = 10 * 1000000,	/* up for so long: the next loss is a new story */
	SETUP_MS = 10000
};

/* NULL as a name: not prepared. Settings go by statement, since PgBouncer refuses those in the start packet. */
static const struct bf_pg_stmt stmt_setup = {
	NULL, "SELECT set_config('statement_timeout', $1, false), set_config('TimeZone', 'UTC', false), "
	"set_config('DateStyle', 'ISO, YMD', false)", 1
};
static const struct bf_pg_stmt stmt_check_interval = { NULL, "SET client_connection_check_interval = 5000", 0 };
static const struct bf_pg_stmt stmt_rollback = { NULL, "ROLLBACK", 0 };

static void connect_again(void *ctx);

/* ---- going down ---- */

static void close_connection(struct session *s)
{
	bf_op_cancel(s->connecting);
	bf_op_cancel(s->backoff);
	bf_op_cancel(s->watchdog);
	s->connecting = s->backoff = s->watchdog = NULL;
	if (s->readable)
		event_free(s->readable);
	if (s->writable)
		event_free(s->writable);
	s->readable = s->writable = NULL;
	PQfinish(s->conn);
	s->conn = NULL;
	free(s->prepared);
	s->prepared = NULL;
	s->n_prepared = s->prepared_cap = 0;
	s->n_inflight = 0;
	s->wants_write = s->broken = false;
}

/* Ends what was under way; whether the server did it nobody knows. */
static void fail_batches(struct session *s, const struct bf_error *why)
{
	struct batch *b;
	struct bf_error lost;

	bf_error_set(&lost, BF_ERR_RETRY, "connection lost: %s", why->text);
	memcpy(lost.sqlstate, why->sqlstate, sizeof(lost.sqlstate));
	if (s->script) {
		b = s->script;
		s->script = NULL;
		batch_take_error(b, &lost);
		pg_batch_over(b);
	}
	while ((b = TAILQ_FIRST(&s->inflight))) {
		TAILQ_REMOVE(&s->inflight, b, link);
		b->in = NULL;
		batch_take_error(b, &lost);
		pg_batch_over(b);
	}
}

/* Doubling from 100 ms to 5 s, half of it random, so that many sessions do not come back in step. */
static int64_t backoff_ms(const struct session *s, const struct bf_error *why)
{
	int64_t ms = BACKOFF_LEAST_MS << (s->attempts < 6 ? s->attempts : 6);

	if (ms > BACKOFF_MOST_MS || why->class == BF_ERR_CONFIG)
		ms = BACKOFF_MOST_MS;
	return (int64_t)((double)ms * (0.5 + 0.5 * bf_random_unit()));
}

/* The session is no more; it comes back by itself. */
static void session_fail(struct session *s, const struct bf_error *why)
{
	struct bf_error reason = *why;	/* it may be s->why or live in a connection */
	bool was_up = s->state == SESSION_UP;

	if (was_up && bf_now_us() - s->up_since_us > QUIET_US)
		s->attempts = 0;
	close_connection(s);
	s->state = SESSION_DOWN;
	fail_batches(s, &reason);
	s->backoff = bf_timer_start(pg_loop(s->pg), backoff_ms(s, &reason), connect_again, s);
	s->attempts++;
	pg_session_down(s, was_up, &reason);
}

static void break_now(void *ctx)
{
	struct session *s = ctx;

	if (s->broken && !pg_is_dead(s->pg))
		session_fail(s, &s->why);
}

/* Closes the session after this turn. */
static void session_break(struct session *s, const struct bf_error *why)
{
	if (s->broken)
		return;
	s->broken = true;
	s->why = *why;
	bf_loop_defer(pg_loop(s->pg), break_now, s);
}

static void break_for(struct session *s, enum bf_err_class class, const char *what)
{
	struct bf_error err;

	pg_error_from_connection(&err, class, what, s->conn);
	session_break(s, &err);
}

/* ---- the watchdog: a server that neither answers nor takes bytes is gone, whatever TCP says ---- */

static int64_t patience_ms(const struct session *s)
{
	const struct bf_pg_config *config = pg_config(s->pg);

	if (s->state != SESSION_UP)
		return SETUP_MS;
	return config->statement_timeout_ms > 0 ? config->statement_timeout_ms + PG_WATCHDOG_MS : 0;
}

static void watch(struct session *s);

static void on_watchdog(void *ctx)
{
	struct session *s = ctx;
	struct bf_error err;
	int64_t silent_ms = (int64_t)((bf_now_us() - s->progress_us) / 1000), patience = patience_ms(s);

	s->watchdog = NULL;
	if ((s->n_inflight || s->script) && patience && silent_ms >= patience) {
		bf_error_set(&err, BF_ERR_RETRY, "the database has been silent for %" PRId64 " ms", silent_ms);
		session_fail(s, &err);
	} else {
		watch(s);
	}
}

/* Armed while something is under way; lazily, so that a busy session does not set a timer for each batch. */
static void watch(struct session *s)
{
	int64_t patience = patience_ms(s), silent_ms = (int64_t)((bf_now_us() - s->progress_us) / 1000);

	if (s->watchdog || !patience || !(s->n_inflight || s->script))
		return;
	s->watchdog = bf_timer_start(pg_loop(s->pg), patience - silent_ms + 1, on_watchdog, s);
}

/* Something begins on an idle session: the silence before does not count. */
static void begin_watch(struct session *s)
{
	if (s->n_inflight + !!s->script == 1)
		s->progress_us = bf_now_us();
	watch(s);
}

/* ---- sending ---- */

static void flush(struct session *s)
{
	int rc = PQflush(s->conn);

	if (rc < 0) {
		break_for(s, BF_ERR_RETRY, "sending to the database");
	} else if (rc > 0 && !s->wants_write) {
		s->wants_write = event_add(s->writable, NULL) == 0;
	} else if (rc == 0 && s->wants_write) {
		event_del(s->writable);
		s->wants_write = false;
	}
}

/* The session's record of a statement; the index stays valid, the pointer does not. */
static int prepared_index(struct session *s, const struct bf_pg_stmt *stmt)
{
	for (int i = 0; i < s->n_prepared; i++)
		if (s->prepared[i].stmt == stmt)
			return i;
	if (s->n_prepared == s->prepared_cap) {
		s->prepared_cap = s->prepared_cap ? s->prepared_cap * 2 : 32;
		s->prepared = bf_xrealloc(s->prepared, (size_t)s->prepared_cap, sizeof(*s->prepared));
	}
	s->prepared[s->n_prepared] = (struct prepared){ .stmt = stmt };
	return s->n_prepared++;
}

/* libpq 15 cannot close a prepared statement: when the server's copy is of no use the next one gets another name. */
static void server_name(const struct prepared *p, char *ret, size_t size)
{
	if (p->generation)
		snprintf(ret, size, "%s_%u", p->stmt->name, p->generation);
	else
		snprintf(ret, size, "%s", p->stmt->name);
}

static bool send_prepares(struct session *s, struct batch *b, const struct bf_pg_call *calls)
{
	char name[128];

	for (int i = 0; i < b->n; i++) {
		const struct bf_pg_stmt *stmt = calls[i].stmt;
		int index = stmt->name ? prepared_index(s, stmt) : -1;

		if (index < 0 || s->prepared[index].sent)
			continue;
		server_name(&s->prepared[index], name, sizeof(name));
		if (!PQsendPrepare(s->conn, name, stmt->sql, stmt->n_params, NULL) || !PQpipelineSync(s->conn))
			return false;
		s->prepared[index].sent = true;
		b->prepares[b->n_prepares++] = index;
	}
	b->preparing = b->n_prepares > 0;
	return true;
}

static bool send_call(struct session *s, const struct bf_pg_call *call)
{
	const struct bf_pg_stmt *stmt = call->stmt;
	char name[128];

	if (!stmt->name)
		return PQsendQueryParams(s->conn, stmt->sql, stmt->n_params, NULL, call->params, NULL, NULL, 0);
	server_name(&s->prepared[prepared_index(s, stmt)], name, sizeof(name));
	return PQsendQueryPrepared(s->conn, name, stmt->n_params, call->params, NULL, NULL, 0);
}

/* Sends a batch; from here on the session owes its completion. */
void session_send(struct session *s, struct batch *b, const struct bf_pg_call *calls)
{
	bool ok;

	TAILQ_INSERT_TAIL(&s->inflight, b, link);
	b->in = &s->inflight;
	s->n_inflight++;
	b->since_us = bf_now_us();
	for (int i = 0; i < b->n; i++)
		b->stmts[i] = calls[i].stmt;
	ok = send_prepares(s, b, calls);
	for (int i = 0; ok && i < b->n; i++)
		ok = send_call(s, &calls[i]);
	batch_sent(b);
	if (ok && PQpipelineSync(s->conn))
		flush(s);
	else
		break_for(s, BF_ERR_RETRY, "sending to the database");
	begin_watch(s);
}

/* A script is alone on its session: the simple protocol does not go with a pipeline. */
void session_send_script(struct session *s, struct batch *b)
{
	s->script = b;
	b->since_us = bf_now_us();
	if (PQexitPipelineMode(s->conn) && PQsendQuery(s->conn, b->sql))
		flush(s);
	else
		break_for(s, BF_ERR_RETRY, "sending to the database");
	batch_sent(b);
	begin_watch(s);
}

bool session_takes(const struct session *s)
{
	return s->state == SESSION_UP && !s->broken && !s->script && s->n_inflight < PG_PIPELINE_MAX;
}

/* ---- results ---- */

/* The server's copy of a statement is missing or of no use. */
static void forget_statement(struct session *s, const struct bf_pg_stmt *stmt)
{
	if (stmt && stmt->name) {
		struct prepared *p = &s->prepared[prepared_index(s, stmt)];

		p->sent = false;
		p->generation++;
	}
}

static void take_failure(struct session *s, struct batch *b, const PGresult *result)
{
	const struct bf_pg_stmt *stmt = NULL;
	struct bf_error err;

	if (b->preparing && b->at < b->n_prepares)
		stmt = s->prepared[b->prepares[b->at]].stmt;
	else if (!b->preparing && b->at < b->n)
		stmt = b->stmts[b->at];
	pg_error_from_result(&err, stmt && stmt->name ? stmt->name : "database", result);
	batch_take_error(b, &err);
	if (b->preparing || strcmp(err.sqlstate, "26000") == 0 ||
	    (strcmp(err.sqlstate, "0A000") == 0 && err.class == BF_ERR_RETRY))
		forget_statement(s, stmt);
}

static void session_ready(struct session *s)
{
	s->state = SESSION_UP;
	s->up_since_us = bf_now_us();
	/* the watchdog was armed with the patience of the setup */
	bf_op_cancel(s->watchdog);
	s->watchdog = NULL;
	watch(s);
	pg_session_up(s);
	s->was_up = true;
}

/* A batch has all its results: a read-only server is the wrong one, whatever else is on its way to it. */
static void batch_complete(struct session *s, struct batch *b)
{
	TAILQ_REMOVE(&s->inflight, b, link);
	b->in = NULL;
	s->n_inflight--;
	if (b->err.class == BF_ERR_NONE)
		b->n_results = b->n;
	else if (strcmp(b->err.sqlstate, "25006") == 0)
		session_break(s, &b->err);
	if (b->role == BATCH_SETUP && b->err.class == BF_ERR_NONE)
		session_ready(s);
	else if (b->role == BATCH_SETUP)
		session_break(s, &b->err);
	pg_batch_over(b);
}

/* The end of one PREPARE, or of the batch. */
static void take_sync(struct session *s, struct batch *b)
{
	b->open = false;
	if (!b->preparing) {
		batch_complete(s, b);
	} else if (++b->at == b->n_prepares) {
		b->preparing = false;
		b->at = 0;
	}
}

/* One result of the first batch in flight; takes it. */
static void take_result(struct session *s, struct batch *b, PGresult *result)
{
	struct bf_error err;

	switch (PQresultStatus(result)) {
	case PGRES_PIPELINE_SYNC:
		PQclear(result);
		take_sync(s, b);
		return;
	case PGRES_EMPTY_QUERY:
	case PGRES_COMMAND_OK:
	case PGRES_TUPLES_OK:
	case PGRES_SINGLE_TUPLE:
	case PGRES_NONFATAL_ERROR:
		if (!b->preparing && b->at < b->n && !b->results[b->at]) {
			b->results[b->at] = result;
			result = NULL;
		}
		break;
	case PGRES_FATAL_ERROR:
	case PGRES_BAD_RESPONSE:
		take_failure(s, b, result);
		break;
	case PGRES_PIPELINE_ABORTED:
		if (b->preparing && b->at < b->n_prepares)
			forget_statement(s, s->prepared[b->prepares[b->at]].stmt);
		break;
	case PGRES_COPY_OUT:
	case PGRES_COPY_IN:
	case PGRES_COPY_BOTH:
		bf_error_set(&err, BF_ERR_BUG, "COPY in a batch");
		batch_take_error(b, &err);
		session_break(s, &err);
		break;
	}
	b->open = true;
	PQclear(result);
}

static void read_batches(struct session *s)
{
	struct batch *b;

	while (!s->broken && (b = TAILQ_FIRST(&s->inflight)) && !PQisBusy(s->conn)) {
		PGresult *result = PQgetResult(s->conn);

		if (result) {
			take_result(s, b, result);
		} else if (b->open) {
			b->open = false;
			b->at += b->preparing ? 0 : 1;
		} else {
			return;
		}
	}
}

static void script_complete(struct session *s)
{
	const struct bf_pg_call rollback = { &stmt_rollback, NULL };
	bool in_error = PQtransactionStatus(s->conn) == PQTRANS_INERROR;
	struct batch *b = s->script;

	s->script = NULL;
	if (!PQenterPipelineMode(s->conn))
		break_for(s, BF_ERR_RETRY, "going on after a script");
	else if (in_error)	/* its own BEGIN is still open; the session keeps its locks */
		session_send(s, batch_new(s->pg, BATCH_OPTIONAL, 1, NULL, NULL), &rollback);
	pg_batch_over(b);
}

static void take_script_result(struct session *s, struct batch *b, PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);
	struct bf_error err;

	if (status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE) {
		pg_error_from_result(&err, "script", result);
		batch_take_error(b, &err);
		PQclear(result);
	} else if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
		bf_error_set(&err, BF_ERR_BUG, "COPY in a script");
		batch_take_error(b, &err);
		session_break(s, &err);
		PQclear(result);
	} else {
		b->results = bf_xrealloc(b->results, (size_t)b->n_results + 1, sizeof(PGresult *));
		b->results[b->n_results++] = result;
	}
}

static void read_script(struct session *s)
{
	while (!s->broken && s->script && !PQisBusy(s->conn)) {
		PGresult *result = PQgetResult(s->conn);

		if (result)
			take_script_result(s, s->script, result);
		else
			script_complete(s);
	}
}

/* After every PQconsumeInput(): one that is not fetched now would wait for the next byte. */
static void read_notifies(struct session *s)
{
	PGnotify *notify;

	while ((notify = PQnotifies(s->conn))) {
		pg_notified(s->pg, notify->relname, notify->extra);
		PQfreemem(notify);
	}
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
	struct session *s = ctx;
	struct bf_error err;
	bool alive;

	(void)fd;
	(void)what;
	loop_mark(pg_loop(s->pg));
	if (s->broken)
		return;
	s->progress_us = bf_now_us();
	alive = PQconsumeInput(s->conn);
	read_batches(s);		/* what came before the end counts */
	read_script(s);
	read_notifies(s);
	if (!alive || PQstatus(s->conn) == CONNECTION_BAD) {
		pg_error_from_connection(&err, BF_ERR_RETRY, "the database connection ended", s->conn);
		session_fail(s, &err);
		return;
	}
	if (s->wants_write)
		flush(s);
	pg_dispatch(s->pg);
}

static void on_writable(evutil_socket_t fd, short what, void *ctx)
{
	struct session *s = ctx;

	(void)fd;
	(void)what;
	loop_mark(pg_loop(s->pg));
	if (s->broken)
		return;
	s->progress_us = bf_now_us();
	flush(s);
}

/* ---- coming up ---- */

/* LISTEN on a channel that was added while the session was up. */
void session_listen(struct session *s, const struct bf_pg_stmt *listen)
{
	const struct bf_pg_call call = { listen, NULL };

	session_send(s, batch_new(s->pg, BATCH_OPTIONAL, 1, NULL, NULL), &call);
}

/* Settings, then the LISTENs; only when they are in force does the session count as up. */
static void send_setup(struct session *s)
{
	const struct bf_pg_config *config = pg_config(s->pg);
	const struct bf_pg_call interval = { &stmt_check_interval, NULL };
	struct bf_pg_call *calls;
	char timeout[24];
	const char *params[] = { timeout };
	int n = 1;

	while (s->listens && pg_channel(s->pg, n - 1))
		n++;
	calls = bf_xcalloc((size_t)n, sizeof(*calls));
	snprintf(timeout, sizeof(timeout), "%" PRId64, config->statement_timeout_ms);
	calls[0] = (struct bf_pg_call){ &stmt_setup, params };
	for (int i = 1; i < n; i++)
		calls[i].stmt = pg_channel(s->pg, i - 1);
	if (config->keepalive)	/* not every platform's server has it: its failure is no failure */
		session_send(s, batch_new(s->pg, BATCH_OPTIONAL, 1, NULL, NULL), &interval);
	session_send(s, batch_new(s->pg, BATCH_SETUP, n, NULL, NULL), calls);
	free(calls);
}

static void on_connected(void *ctx, const struct bf_error *err, PGconn *conn)
{
	struct session *s = ctx;
	struct event_base *base = bf_loop_base(pg_loop(s->pg));
	struct bf_error why;

	s->connecting = NULL;
	if (err) {
		session_fail(s, err);
		return;
	}
	s->conn = conn;
	s->state = SESSION_SETUP;
	s->readable = event_new(base, PQsocket(conn), EV_READ | EV_PERSIST, on_readable, s);
	s->writable = event_new(base, PQsocket(conn), EV_WRITE | EV_PERSIST, on_writable, s);
	if (!PQenterPipelineMode(conn) || !s->readable || !s->writable || event_add(s->readable, NULL) < 0) {
		bf_error_set(&why, BF_ERR_RETRY, "the database session cannot be set up");
		session_fail(s, &why);
		return;
	}
	send_setup(s);
}

static void connect_again(void *ctx)
{
	struct session *s = ctx;

	s->backoff = NULL;
	s->state = SESSION_CONNECTING;
	s->connecting = connect_start(pg_loop(s->pg), pg_config(s->pg), on_connected, s);
}

/* Begins to connect; s is zeroed. */
void session_init(struct session *s, struct bf_pg *pg, bool listens)
{
	s->pg = pg;
	s->listens = listens;
	TAILQ_INIT(&s->inflight);
	connect_again(s);
}

/* Closes it for good; what was under way ends CANCELLED. */
void session_release(struct session *s)
{
	struct bf_error why;
	struct batch *b;

	bf_error_set(&why, BF_ERR_CANCELLED, "cancelled: the database sessions are being closed");
	if (s->script)
		batch_take_error(s->script, &why);
	TAILQ_FOREACH(b, &s->inflight, link)
		batch_take_error(b, &why);
	close_connection(s);
	s->state = SESSION_DOWN;
	fail_batches(s, &why);
}
