/*
 * What goes over a session: libpq in pipeline mode.
 *
 * A batch is its statements and one SYNC; before them, for each that this session has not seen, a
 * PREPARE with a SYNC of its own, so that no failure can undo the preparing that later batches,
 * already on their way, rely on. Results come in the order of the calls: for each a result and
 * NULL, for a SYNC its result alone; behind an error ABORTED up to the SYNC.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "pg.h"

static const struct bf_pg_stmt stmt_rollback = { NULL, "ROLLBACK", 0 };

/* ---- sending ---- */

/* The session's record of a statement; the index stays valid, the pointer does not. */
static int prepared_index(struct session *s, const struct bf_pg_stmt *stmt)
{
	for (int i = 0; i < s->n_prepared; i++)
		if (s->prepared[i].stmt == stmt)
			return i;
	if (s->n_prepared == s->prepared_cap) {
		s->prepared_cap = s->prepared_cap ? s->prepared_cap * 2 : 32;
		s->prepared = bf_xrealloc(s->prepared, (size_t)s->prepared_cap,
					  sizeof(*s->prepared));
	}
	s->prepared[s->n_prepared] = (struct prepared){ .stmt = stmt };
	return s->n_prepared++;
}

/*
 * libpq 15 cannot close a prepared statement: when the server's copy is of no use the next one gets
 * another name.
 */
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
		if (!PQsendPrepare(s->conn, name, stmt->sql, stmt->n_params, NULL) ||
		    !PQpipelineSync(s->conn))
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
		return PQsendQueryParams(s->conn, stmt->sql, stmt->n_params, NULL, call->params,
					 NULL, NULL, 0);
	server_name(&s->prepared[prepared_index(s, stmt)], name, sizeof(name));
	return PQsendQueryPrepared(s->conn, name, stmt->n_params, call->params, NULL, NULL, 0);
}

/* Sends a batch; from here on the session owes its completion. */
void pipeline_send(struct session *s, struct batch *b, const struct bf_pg_call *calls)
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
		session_flush(s);
	else
		session_break_for(s, BF_ERR_RETRY, "sending to the database");
	session_watch(s);
}

/* A script is alone on its session: the simple protocol does not go with a pipeline. */
void pipeline_send_script(struct session *s, struct batch *b)
{
	s->script = b;
	b->since_us = bf_now_us();
	if (PQexitPipelineMode(s->conn) && PQsendQuery(s->conn, b->sql))
		session_flush(s);
	else
		session_break_for(s, BF_ERR_RETRY, "sending to the database");
	batch_sent(b);
	session_watch(s);
}

bool pipeline_takes(const struct session *s)
{
	return s->state == SESSION_UP && !s->broken && !s->script &&
	       s->n_inflight < PG_PIPELINE_MAX;
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
	/*
	 * libpq's own error, want of memory above all: the server may have done it, and this session
	 * may hold a lock that nobody knows of
	 */
	if (!err.sqlstate[0])
		session_break(s, &err);
	if (b->preparing || strcmp(err.sqlstate, "26000") == 0 ||
	    (strcmp(err.sqlstate, "0A000") == 0 && err.class == BF_ERR_RETRY))
		forget_statement(s, stmt);
}

/*
 * libpq that is short of memory may have no result to give where there was one: what the server did
 * nobody knows, and the count of what comes is no longer to be trusted.
 */
static void demand_results(struct session *s, struct batch *b)
{
	struct bf_error err;

	for (int i = 0; i < b->n && b->err.class == BF_ERR_NONE; i++) {
		if (b->results[i])
			continue;
		bf_error_set(&err, BF_ERR_RETRY, "an answer of the database was lost");
		batch_take_error(b, &err);
		session_break(s, &err);
	}
}

/*
 * A batch has all its results: a read-only server is the wrong one, whatever else is on its way to
 * it.
 */
static void batch_complete(struct session *s, struct batch *b)
{
	TAILQ_REMOVE(&s->inflight, b, link);
	b->in = NULL;
	s->n_inflight--;
	demand_results(s, b);
	if (b->err.class == BF_ERR_NONE)
		b->n_results = b->n;
	else if (strcmp(b->err.sqlstate, "25006") == 0)
		session_break(s, &b->err);
	if (b->role == BATCH_SETUP && b->err.class == BF_ERR_NONE) {
		s->backend = (int)strtol(PQgetvalue(b->results[0], 0, 0), NULL, 10);
		session_ready(s);
	} else if (b->role == BATCH_SETUP) {
		session_break(s, &b->err);
	}
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
		session_break_for(s, BF_ERR_RETRY, "going on after a script");
	else if (in_error)	/* its own BEGIN is still open; the session keeps its locks */
		pipeline_send(s, batch_new(s->pg, BATCH_OPTIONAL, 1, NULL, NULL), &rollback);
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
	} else if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT ||
		   status == PGRES_COPY_BOTH) {
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

/* Takes all that has arrived. */
void pipeline_read(struct session *s)
{
	read_batches(s);
	read_script(s);
	read_notifies(s);
}
