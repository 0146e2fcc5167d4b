/*
 * The life of one session: connecting, setting up, up, down, and again. What goes over it is
 * pg_pipeline.c's.
 *
 * The read event is always armed: a server that goes away is noticed at once. What goes wrong in
 * the middle of sending is dealt with after the turn, because the one who sends may be anywhere.
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

/*
 * NULL as a name: not prepared. Settings go by statement, since PgBouncer refuses those in the
 * start packet.
 */
static const struct bf_pg_stmt stmt_setup = {
	NULL,
	"SELECT pg_backend_pid(), set_config('statement_timeout', $1, false), "
	"set_config('TimeZone', 'UTC', false), set_config('DateStyle', 'ISO, YMD', false), "
	/* what is acknowledged as paid and counted must survive a crash of the server */
	"CASE current_setting('synchronous_commit') WHEN 'off' "
	"THEN set_config('synchronous_commit', 'on', false) END, "
	"CASE WHEN $2 <> '0' THEN set_config('lock_timeout', $2, false) END",
	2
};
static const struct bf_pg_stmt stmt_check_interval = {
	NULL, "SET client_connection_check_interval = 5000", 0
};
/*
 * The check above looks only while a statement runs, and a session with locks is idle: a server that is not told otherwise
 * keeps the locks of a host that vanished for hours. These make it six seconds; on a Unix socket they mean nothing.
 */
static const struct bf_pg_stmt stmt_server_keepalive = {
	NULL,
	"SELECT set_config('tcp_keepalives_idle', '3', false), set_config('tcp_keepalives_interval', '1', false), "
	"set_config('tcp_keepalives_count', '3', false), set_config('tcp_user_timeout', '5000', false)",
	0
};
/*
 * Something in the middle may answer the server's keepalives for a host that cannot be reached any more. Who says nothing
 * for ten seconds over a session like this, where something is asked every four, is gone or stands still: its locks go.
 */
static const struct bf_pg_stmt stmt_idle = {
	NULL, "SET idle_session_timeout = 10000", 0
};

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

/*
 * Doubling from 100 ms to 5 s, half of it random, so that many sessions do not come back in step.
 */
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

/* Closes the session after this turn: whoever noticed may be in the middle of anything. */
void session_break(struct session *s, const struct bf_error *why)
{
	if (s->broken)
		return;
	s->broken = true;
	s->why = *why;
	bf_loop_defer(pg_loop(s->pg), break_now, s);
}

void session_break_for(struct session *s, enum bf_err_class class, const char *what)
{
	struct bf_error err;

	pg_error_from_connection(&err, class, what, s->conn);
	session_break(s, &err);
}

/* ---- the watchdog ---- */

/* How long a server may neither answer nor take bytes until it is gone, whatever TCP says. */
static int64_t patience_ms(const struct session *s)
{
	const struct bf_pg_config *config = pg_config(s->pg);

	if (s->state != SESSION_UP)
		return SETUP_MS;
	return config->statement_timeout_ms > 0 ? config->statement_timeout_ms + PG_WATCHDOG_MS : 0;
}

bool session_is_busy(const struct session *s)
{
	return s->n_inflight || s->script;
}

static int64_t silent_ms(const struct session *s)
{
	return (int64_t)((bf_now_us() - s->progress_us) / 1000);
}

static void watch(struct session *s);

static void on_watchdog(void *ctx)
{
	struct session *s = ctx;
	struct bf_error err;
	int64_t silent = silent_ms(s), patience = patience_ms(s);

	s->watchdog = NULL;
	if (session_is_busy(s) && patience && silent >= patience) {
		bf_error_set(&err, BF_ERR_RETRY, "the database has been silent for %" PRId64 " ms",
			     silent);
		session_fail(s, &err);
		return;
	}
	if (session_is_busy(s) && s->state == SESSION_UP && silent >= PG_DOUBT_MS)
		probe_start(s->pg);
	watch(s);
}

/* Armed while something is under way; a busy session does not set a timer for each batch. */
static void watch(struct session *s)
{
	int64_t silent = silent_ms(s), patience = patience_ms(s), left = patience - silent;

	if (s->watchdog || !patience || !session_is_busy(s))
		return;
	if (s->state == SESSION_UP && left > PG_DOUBT_MS - silent % PG_DOUBT_MS)
		left = PG_DOUBT_MS - silent % PG_DOUBT_MS;
	s->watchdog = bf_timer_start(pg_loop(s->pg), left + 1, on_watchdog, s);
}

/* Something begins on an idle session: the silence before does not count. */
void session_watch(struct session *s)
{
	if (s->n_inflight + !!s->script == 1)
		s->progress_us = bf_now_us();
	watch(s);
}

/* ---- the socket ---- */

/* Sends what libpq has buffered, as far as the socket takes it. */
void session_flush(struct session *s)
{
	int rc = PQflush(s->conn);

	if (rc < 0) {
		session_break_for(s, BF_ERR_RETRY, "sending to the database");
	} else if (rc > 0 && !s->wants_write) {
		s->wants_write = event_add(s->writable, NULL) == 0;
		if (!s->wants_write)	/* nobody would send the rest */
			session_break_for(s, BF_ERR_RETRY, "waiting for the database's socket");
	} else if (rc == 0 && s->wants_write) {
		event_del(s->writable);
		s->wants_write = false;
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
	s->progress_us = s->heard_us = bf_now_us();
	alive = PQconsumeInput(s->conn);
	pipeline_read(s);		/* what came before the end counts */
	if (!alive || PQstatus(s->conn) == CONNECTION_BAD) {
		pg_error_from_connection(&err, BF_ERR_RETRY, "the database connection ended",
					 s->conn);
		session_fail(s, &err);
		return;
	}
	if (s->wants_write)
		session_flush(s);
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
	session_flush(s);
}

/* ---- coming up ---- */

/* The setup is done: the session takes batches. */
void session_ready(struct session *s)
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

/* LISTEN on a channel that was added while the session was up. */
void session_listen(struct session *s, const struct bf_pg_stmt *listen)
{
	const struct bf_pg_call call = { listen, NULL };

	pipeline_send(s, batch_new(s->pg, BATCH_OPTIONAL, 1, NULL, NULL), &call);
}

/* Settings, then the LISTENs; only when they are in force does the session count as up. */
static void send_setup(struct session *s)
{
	const struct bf_pg_config *config = pg_config(s->pg);
	const struct bf_pg_call interval = { &stmt_check_interval, NULL };
	const struct bf_pg_call keepalive = { &stmt_server_keepalive, NULL };
	const struct bf_pg_call idle = { &stmt_idle, NULL };
	struct bf_pg_call *calls;
	char timeout[24], lock_timeout[24];
	const char *params[] = { timeout, lock_timeout };
	int n = 1;

	while (s->listens && pg_channel(s->pg, n - 1))
		n++;
	calls = bf_xcalloc((size_t)n, sizeof(*calls));
	snprintf(timeout, sizeof(timeout), "%" PRId64, config->statement_timeout_ms);
	snprintf(lock_timeout, sizeof(lock_timeout), "%" PRId64, config->lock_timeout_ms);
	calls[0] = (struct bf_pg_call){ &stmt_setup, params };
	for (int i = 1; i < n; i++)
		calls[i].stmt = pg_channel(s->pg, i - 1);
	if (config->keepalive) {	/* not every platform's server has them: their failure is no failure */
		pipeline_send(s, batch_new(s->pg, BATCH_OPTIONAL, 1, NULL, NULL), &interval);
		pipeline_send(s, batch_new(s->pg, BATCH_OPTIONAL, 1, NULL, NULL), &keepalive);
		pipeline_send(s, batch_new(s->pg, BATCH_OPTIONAL, 1, NULL, NULL), &idle);
	}
	pipeline_send(s, batch_new(s->pg, BATCH_SETUP, n, NULL, NULL), calls);
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
	if (!PQenterPipelineMode(conn) || !s->readable || !s->writable ||
	    event_add(s->readable, NULL) < 0) {
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
