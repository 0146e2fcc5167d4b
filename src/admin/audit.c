/*
 * audit: see audit.h. A row is copied when its request has been answered, waits at most GATHER_MS for company, and stays
 * in the list until the database has confirmed it: an outage delays rows, and only more than AUDIT_WAITING_MAX of them
 * are lost, which is counted and logged. Rows have an id of their own, so that one written twice counts once.
 */
#include "audit.h"
#include "handlers.h"
#include "query.h"
#include <event2/http.h>
#include <stdlib.h>
#include <string.h>

#define GATHER_MS        300
#define AGAIN_MS         2000
#define BATCH_ROWS       200
#define USER_AGENT_BYTES 200
#define OUTCOME_BYTES    500
#define PAGE_MAX         500
#define PATH_CHARS       200

struct audit_call {
	const char *address, *user_agent; /* NULL: none */
	const char *body, *outcome;
};

struct audit_row {
	TAILQ_ENTRY(audit_row) entry;
	struct bf_audit v; /* its texts are in the arena */
	struct bf_arena *arena;
	uint64_t at_us;
};

static void flush_due(void *ctx);

void audit_init(struct audit *audit, struct bf_admin *admin)
{
	*audit = (struct audit){ .admin = admin };
	TAILQ_INIT(&audit->rows);
}

/* Forgets the oldest rows. */
static void forget(struct audit *audit, int n)
{
	struct audit_row *row;

	while (n-- > 0 && (row = TAILQ_FIRST(&audit->rows)) != NULL) {
		TAILQ_REMOVE(&audit->rows, row, entry);
		audit->n_rows--;
		bf_arena_free(row->arena);
		free(row);
	}
}

/* What could not be written by now is lost. */
void audit_release(struct audit *audit)
{
	bf_op_cancel(audit->op);
	bf_op_cancel(audit->timer);
	audit->op = audit->timer = NULL;
	if (audit->n_rows > 0)
		bf_log(BF_WARN, "lines of the audit not written", BF_I("lines", audit->n_rows));
	forget(audit, audit->n_rows);
}

/* Comes by again after a while, unless that is arranged already. */
static void later(struct audit *audit, int64_t ms)
{
	if (audit->timer == NULL && audit->op == NULL && audit->n_rows > 0)
		audit->timer = bf_timer_start(audit->admin->parts.loop, ms, flush_due, audit);
}

/* A batch is written, or has to be tried again; what no repetition can mend must not stop what follows. */
static void on_written(void *ctx, const struct bf_error *err, enum bf_store_outcome outcome)
{
	struct audit *audit = ctx;

	(void)outcome;
	audit->op = NULL;
	if (err != NULL && (err->class == BF_ERR_RETRY || err->class == BF_ERR_CANCELLED)) {
		later(audit, AGAIN_MS);
		return;
	}
	if (err != NULL) {
		audit->dropped += (uint64_t)audit->n_sent;
		bf_log(BF_ERROR, "lines of the audit refused", BF_I("lines", audit->n_sent),
			BF_E(err));
	}
	forget(audit, audit->n_sent);
	audit->complaining = false;
	if (audit->n_rows > 0)
		flush_due(audit);
}

/* Sends the oldest rows. */
static void flush_due(void *ctx)
{
	struct audit *audit = ctx;
	struct bf_audit batch[BATCH_ROWS];
	struct audit_row *row;
	uint64_t now_us = bf_now_us();
	int n = 0;

	audit->timer = NULL;
	if (audit->n_rows == 0 || audit->op != NULL)
		return;
	if (!bf_pg_is_up(audit->admin->parts.pool)) {
		later(audit, AGAIN_MS);
		return;
	}
	TAILQ_FOREACH (row, &audit->rows, entry) {
		if (n == BATCH_ROWS)
			break;
		batch[n] = row->v;
		batch[n++].age_ms = (int64_t)((now_us - row->at_us) / 1000);
	}
	audit->n_sent = n;
	audit->op = bf_store_audit_write(audit->admin->parts.store, batch, n, on_written, audit);
}

/* Now, for there may be no later. */
void audit_flush(struct audit *audit)
{
	bf_op_cancel(audit->timer);
	flush_due(audit);
}

/* Takes down what only the request's header tells, while it is there. */
void audit_begin(struct request *rq)
{
	struct evhttp_connection *connection = evhttp_request_get_connection(rq->http);
	const char *agent =
		evhttp_find_header(evhttp_request_get_input_headers(rq->http), "User-Agent");
	struct audit_call *call = bf_arena_alloc(rq->arena, sizeof(*call));
	char *address = NULL;
	uint16_t port = 0;

	if (connection != NULL)
		evhttp_connection_get_peer(connection, &address, &port);
	call->address = bf_arena_strdup(rq->arena, address);
	if (agent != NULL)
		call->user_agent = bf_arena_strndup(
			rq->arena, agent, bf_utf8_cut(agent, strlen(agent), USER_AGENT_BYTES));
	rq->audit = call;
}

/* Keeps the body, or how long it was. */
void audit_body(struct request *rq, const char *json, size_t len)
{
	if (rq->audit == NULL || len == 0)
		return;
	if (len <= BF_AUDIT_BODY_BYTES)
		rq->audit->body = bf_arena_strndup(rq->arena, json, len);
	else
		rq->audit->body = bf_arena_printf(rq->arena, "{\"omitted_bytes\":%zu}", len);
}

/* The words of an error; what went well is told by the status. */
void audit_answer(struct request *rq, int status, const char *json, size_t len)
{
	struct bf_json *doc;
	struct bf_error err;
	const char *text = NULL;

	if (rq->audit == NULL)
		return;
	if (status < 400) {
		rq->audit->outcome = status == 202 ? "accepted" : "ok";
		return;
	}
	doc = bf_json_parse(json, len, &bf_json_limits_default, false, &err);
	if (doc != NULL)
		text = bf_json_str(bf_json_get(bf_json_root(doc), "error"), rq->arena);
	bf_json_free(doc);
	if (text != NULL)
		text = bf_arena_strndup(
			rq->arena, text, bf_utf8_cut(text, strlen(text), OUTCOME_BYTES));
	rq->audit->outcome = text;
}

/* One more than may wait is dropped: what is known of earlier calls is worth as much as this one. */
static bool is_full(struct audit *audit)
{
	if (audit->n_rows < AUDIT_WAITING_MAX)
		return false;
	audit->dropped++;
	if (!audit->complaining)
		bf_log(BF_ERROR, "the audit is full, lines are dropped",
			BF_I("waiting", audit->n_rows));
	audit->complaining = true;
	return true;
}

/* Copies all that the row needs: the request goes now. */
void audit_end(struct request *rq, int status)
{
	struct audit *audit = &rq->admin->audit;
	const struct audit_call *call = rq->audit;
	struct audit_row *row;

	if (call == NULL || is_full(audit))
		return;
	row = bf_xcalloc(1, sizeof(*row));
	row->arena = bf_arena_new();
	row->at_us = rq->started_us;
	row->v = (struct bf_audit){ .duration_ms = (int64_t)((bf_now_us() - rq->started_us) / 1000),
		.status = status,
		.operator_name = bf_arena_strdup(row->arena, rq->operator_name),
		.address = bf_arena_strdup(row->arena, call->address),
		.user_agent = bf_arena_strdup(row->arena, call->user_agent),
		.method = rq->method,
		.path = bf_arena_strdup(row->arena, rq->path),
		.body_json = bf_arena_strdup(row->arena, call->body),
		.outcome = bf_arena_strdup(row->arena, call->outcome) };
	bf_uuid(row->v.id);
	TAILQ_INSERT_TAIL(&audit->rows, row, entry);
	audit->n_rows++;
	later(audit, GATHER_MS);
}

/* ---- what was written ---- */
struct audit_ask {
	struct bf_audit_filter filter;
	const char *before;
	int limit;
};
const struct body_field audit_query[] = {
	BODY_INT_FIELD("limit", 1, PAGE_MAX, struct audit_ask, limit, .preset = "100",
		.help = "rows of a page"),
	BODY_STR_FIELD("before", 1, QUERY_ID_DIGITS, struct audit_ask, before,
		.pattern = "^0*[1-9][0-9]*$", .help = "the `next` of the page before"),
	BODY_STR_FIELD("operator", 1, AUDIT_OPERATOR_CHARS, struct audit_ask, filter.operator_name,
		.help = "only what this one asked for"),
	BODY_STR_FIELD("path", 1, PATH_CHARS, struct audit_ask, filter.path,
		.help = "only paths that begin so"),
	BODY_END,
};

/* GET /api/internal/audit */
void audit_list(struct request *rq)
{
	struct body_problems problems = { 0 };
	struct audit_ask ask = { 0 };
	int64_t before_id = 0;

	handlers_query(rq, &ask, &problems);
	if (ask.before != NULL && (!query_id(ask.before, &before_id) || before_id == 0))
		body_problem(&problems, "before", "must be the `next` of an answer");
	if (!handlers_refuse(rq, &problems) && !handlers_database_away(rq))
		rq->op = bf_store_audit_json(rq->admin->parts.store, &ask.filter, ask.limit,
			before_id, handlers_show, rq);
}
