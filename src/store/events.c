/*
 * events: transitions read on from an id, for those who follow them, and the record of operators'
 * calls. The JSON of an event is made by PostgreSQL; its id, month and name come beside it, so that
 * nobody has to read the JSON to send it to the right place.
 */
#include "call.h"

/* The mark: where the events end now, and where they begin. */
static void read_mark(struct call *c, const struct bf_error *err, PGresult *const *results, int n)
{
	struct bf_events_mark mark = { 0 };

	if (err == NULL && n > 0) {
		mark.last = call_int(results[0], 0, "last");
		mark.pruned = call_int(results[0], 0, "pruned");
	}
	c->tell.events_mark(c->ctx, err, &mark);
}

struct bf_op *bf_store_events_mark(struct bf_store *s, bf_store_events_mark_done *done, void *ctx)
{
	struct call *c = call_new(s, read_mark, ctx);
	struct params p;

	c->tell.events_mark = done;
	params_init(&p);
	return call_query(c, s->pool, &sql_events_mark, &p);
}

/* A page; c->n is how many rows it was allowed to have. */
static void read_page(struct call *c, const struct bf_error *err, PGresult *const *results, int n)
{
	int rows = err == NULL && n > 0 ? PQntuples(results[0]) : 0;
	struct bf_event *events = bf_arena_alloc(c->arena, ((size_t)rows + 1) * sizeof(*events));
	bool more = false;

	for (int i = 0; i < rows; i++) {
		events[i].id = call_int(results[0], i, "id");
		events[i].year = (int)call_int(results[0], i, "year");
		events[i].month = (int)call_int(results[0], i, "month");
		events[i].event = call_text(results[0], i, "event");
		events[i].json = call_text(results[0], i, "json");
	}
	if (rows > 0) {
		int64_t found = call_int(results[0], 0, "found");

		more = found > rows || found >= c->n;
	}
	c->tell.events(c->ctx, err, events, rows, more);
}

struct bf_op *bf_store_events_page(struct bf_store *s, const struct bf_events_ask *ask,
	bf_store_events_done *done, void *ctx)
{
	struct call *c = call_new(s, read_page, ctx);
	struct params p;

	c->tell.events = done;
	c->n = ask->limit;
	params_init(&p);
	params_int(&p, ask->after);
	params_int(&p, ask->upto);
	params_int(&p, ask->limit);
	params_int(&p, ask->max_bytes);
	if (ask->year == 0)
		return call_query(c, s->pool, &sql_events_page, &p);
	params_int(&p, ask->year);
	params_int(&p, ask->month != 0 ? ask->month : 1);
	params_int(&p, ask->month != 0 ? ask->month : 12);
	return call_query(c, s->pool, &sql_events_page_of, &p);
}

struct bf_op *bf_store_audit_write(struct bf_store *s, const struct bf_audit *v, int n,
	bf_store_done *done, void *ctx)
{
	struct call *c = call_new(s, call_read_outcome, ctx);
	struct params p;

	c->tell.done = done;
	params_init(&p);
	params_text(&p, s->instance);
	TEXTS(&p, n, v[i].id);
	INTS(&p, n, v[i].age_ms);
	TEXTS(&p, n, v[i].operator_name);
	TEXTS(&p, n, v[i].address);
	TEXTS(&p, n, v[i].user_agent);
	TEXTS(&p, n, v[i].method);
	TEXTS(&p, n, v[i].path);
	JSONS(&p, n, v[i].body_json, BF_AUDIT_BODY_BYTES);
	INTS(&p, n, v[i].status);
	TEXTS(&p, n, v[i].outcome);
	INTS(&p, n, v[i].duration_ms);
	return call_query(c, s->pool, &sql_audit_write, &p);
}

struct bf_op *bf_store_audit_json(struct bf_store *s, const struct bf_audit_filter *f, int limit,
	int64_t before_id, bf_store_json_done *done, void *ctx)
{
	struct call *c = call_new(s, call_read_json, ctx);
	struct params p;

	c->tell.json = done;
	params_init(&p);
	params_int(&p, before_id > 0 ? before_id : INT64_MAX);
	params_text(&p, f->operator_name);
	params_text(&p, f->path);
	params_int(&p, limit);
	return call_query(c, s->pool, &sql_audit_json, &p);
}
