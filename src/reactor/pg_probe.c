/*
 * A session has been silent for a while with something under way. Does the server take so long, or
 * has something between us forgotten the connection and swallows what is sent, acknowledging it?
 * TCP cannot tell, the server can: over a connection of its own it is asked which of the pool's
 * backends are at work. A session that waits for a backend that is not, and hears nothing for a
 * moment more, is over, and with it those that were idle meanwhile: they came the same way, and
 * nobody loses anything by them. A server that cannot be asked proves nothing; patience goes on.
 *
 * Promises that a statement that takes long on a living server is not cut off by it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <event2/event.h>
#include "pg.h"

enum {
	ASK_MS = 3000,			/* to connect, and again to be answered */
	ON_ITS_WAY_MS = 1000		/* for an answer that left before the server was asked */
};

struct probe {
	struct bf_pg *pg;
	struct bf_op *connecting, *timer;
	PGconn *conn;
	struct event *event;
	uint64_t asked_us;
	int *at_work, n_at_work;
};

/*
 * Who waits for bytes of ours, or for us to take its own, does not work. What may not be seen
 * (another role's session, or tracking turned off) counts as work.
 */
static const char which_work[] =
	"SELECT pid FROM pg_stat_activity WHERE pid = ANY ($1::int[]) AND "
	"(coalesce(state, 'disabled') IN ('disabled', 'fastpath function call') "
	"OR state = 'active' AND wait_event_type IS DISTINCT FROM 'Client')";

/* Ends it, whatever it came to. */
void probe_end(struct bf_pg *pg)
{
	struct probe **slot = pg_probe(pg), *p = *slot;

	if (!p)
		return;
	*slot = NULL;
	bf_op_cancel(p->connecting);
	bf_op_cancel(p->timer);
	if (p->event)
		event_free(p->event);	/* before the socket is closed */
	PQfinish(p->conn);
	free(p->at_work);
	free(p);
}

static void no_answer(void *ctx)
{
	struct probe *p = ctx;

	p->timer = NULL;
	probe_end(p->pg);
}

/* ---- the verdict ---- */

static bool at_work(const struct probe *p, int backend)
{
	for (int i = 0; i < p->n_at_work; i++)
		if (p->at_work[i] == backend)
			return true;
	return false;
}

/* Whether it is up, and nothing came from it since the server was asked. */
static bool unheard(const struct probe *p, const struct session *s)
{
	return s->state == SESSION_UP && !s->broken && s->heard_us <= p->asked_us;
}

static void judge(void *ctx)
{
	struct probe *p = ctx;
	struct session *s;
	struct bf_error err;
	bool over = false;

	p->timer = NULL;
	bf_error_set(&err, BF_ERR_RETRY,
		     "the session is silent, and the server is not at work for it");
	for (int i = 0; (s = pg_session(p->pg, i)); i++) {
		if (unheard(p, s) && session_is_busy(s) && s->progress_us <= p->asked_us &&
		    !at_work(p, s->backend)) {
			session_break(s, &err);
			over = true;
		}
	}
	bf_error_set(&err, BF_ERR_RETRY, "another session of the same kind has gone silent");
	for (int i = 0; over && (s = pg_session(p->pg, i)); i++)
		if (unheard(p, s) && !session_is_busy(s))
			session_break(s, &err);
	probe_end(p->pg);
}

/* ---- the question ---- */

static void take_answer(struct probe *p, const PGresult *result)
{
	if (PQresultStatus(result) != PGRES_TUPLES_OK) {
		probe_end(p->pg);
		return;
	}
	p->n_at_work = PQntuples(result);
	p->at_work = bf_xcalloc((size_t)p->n_at_work + 1, sizeof(*p->at_work));
	for (int i = 0; i < p->n_at_work; i++)
		p->at_work[i] = (int)strtol(PQgetvalue(result, i, 0), NULL, 10);
	event_free(p->event);
	p->event = NULL;
	bf_op_cancel(p->timer);
	p->timer = bf_timer_start(pg_loop(p->pg), ON_ITS_WAY_MS, judge, p);
}

static void on_readable(evutil_socket_t fd, short what, void *ctx)
{
	struct probe *p = ctx;
	PGresult *result;

	(void)fd;
	(void)what;
	loop_mark(pg_loop(p->pg));
	if (!PQconsumeInput(p->conn)) {
		probe_end(p->pg);
		return;
	}
	if (PQisBusy(p->conn))
		return;
	result = PQgetResult(p->conn);
	take_answer(p, result);
	PQclear(result);
}

/* The backends of the pool's sessions, as an array. */
static void add_backends(const struct probe *p, struct bf_buf *text)
{
	struct session *s;

	bf_buf_adds(text, "{");
	for (int i = 0; (s = pg_session(p->pg, i)); i++)
		bf_buf_addf(text, "%s%d", i ? "," : "", s->backend);
	bf_buf_adds(text, "}");
}

/* The question is small: a socket that is new takes it whole. */
static bool ask(struct probe *p)
{
	struct bf_buf text;
	const char *params[1];
	bool ok;

	bf_buf_init(&text, 16 * 1024);
	add_backends(p, &text);
	params[0] = text.data;
	ok = PQsendQueryParams(p->conn, which_work, 1, NULL, params, NULL, NULL, 0) &&
	     PQflush(p->conn) == 0;
	bf_buf_release(&text);
	p->asked_us = bf_now_us();
	p->event = event_new(bf_loop_base(pg_loop(p->pg)), PQsocket(p->conn),
			     EV_READ | EV_PERSIST, on_readable, p);
	return ok && p->event && event_add(p->event, NULL) == 0;
}

static void on_connected(void *ctx, const struct bf_error *err, PGconn *conn)
{
	struct probe *p = ctx;

	p->connecting = NULL;
	p->conn = conn;
	if (err || !ask(p))
		probe_end(p->pg);
	else
		p->timer = bf_timer_start(pg_loop(p->pg), ASK_MS, no_answer, p);
}

/* Asks about all sessions of the pool, unless that is under way. */
void probe_start(struct bf_pg *pg)
{
	struct probe **slot = pg_probe(pg);
	struct bf_pg_config config = *pg_config(pg);

	if (*slot)
		return;
	config.connect_timeout_ms = ASK_MS;
	*slot = bf_xcalloc(1, sizeof(**slot));
	(*slot)->pg = pg;
	(*slot)->connecting = connect_start(pg_loop(pg), &config, on_connected, *slot);
}
