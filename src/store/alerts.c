/*
 * alerts: the facts that alerts are made of, the one statement that decides who raised or cleared one,
 * and what the webhook is yet to be told.
 */
#include <stdlib.h>
#include <string.h>
#include "call.h"

/* Facts being read: arrays as long as there are rows. */
struct reading {
	struct call *c;
	struct bf_alert_facts f;
	struct bf_alert_month *low, *tries, *stuck;
};

/* A year, a month, and what a row says of them. */
static struct bf_alert_month month_of(
	struct reading *rd, const PGresult *r, int i, bool fence_and_age)
{
	struct bf_alert_month m = { .year = (int)call_int(r, i, "a"),
		.month = (int)call_int(r, i, "b"),
		.text = bf_arena_strdup(rd->c->arena, call_text(r, i, "s")) };

	if (fence_and_age) {
		m.fence = call_int(r, i, "c");
		m.age_s = call_int(r, i, "d");
		m.b = call_text(r, i, "t") != NULL;
	} else {
		m.a = (int)call_int(r, i, "c");
		m.b = (int)call_int(r, i, "d");
	}
	return m;
}

/* Rows about one provider; names this program does not know are left out. */
static void read_provider(struct reading *rd, const PGresult *r, int i, const char *kind)
{
	const char *name = call_text(r, i, "s"), *text = call_text(r, i, "t");
	int id = name != NULL ? bf_provider_by_name(name) : -1;

	if (id < 0)
		return;
	text = bf_arena_strdup(rd->c->arena, text != NULL ? text : "");
	if (strcmp(kind, "quota") == 0) {
		rd->f.used[id] = call_int(r, i, "a");
		rd->f.reset_at[id] = text;
	} else if (strcmp(kind, "circuit") == 0) {
		rd->f.circuit_s[id] = call_int(r, i, "a");
		rd->f.circuit_why[id] = text;
	} else {
		rd->f.off[id] = (int)call_int(r, i, "a");
		rd->f.off_why[id] = text;
	}
}

/* Rows that list months. */
static bool read_month(struct reading *rd, const PGresult *r, int i, const char *kind)
{
	if (strcmp(kind, "low") == 0)
		rd->low[rd->f.n_low++] = month_of(rd, r, i, false);
	else if (strcmp(kind, "tried_month") == 0)
		rd->tries[rd->f.n_tries++] = month_of(rd, r, i, false);
	else if (strcmp(kind, "stuck") == 0)
		rd->stuck[rd->f.n_stuck++] = month_of(rd, r, i, true);
	else if (strcmp(kind, "spent") == 0)
		rd->f.spent = month_of(rd, r, i, false);
	else
		return false;
	return true;
}

/* One row; the kinds are those of the statement. */
static void read_fact(struct reading *rd, const PGresult *r, int i)
{
	const char *kind = call_text(r, i, "kind"), *s = call_text(r, i, "s");
	int64_t va = call_int(r, i, "a"), vb = call_int(r, i, "b");
	struct bf_alert_facts *f = &rd->f;

	if (read_month(rd, r, i, kind))
		return;
	if (strcmp(kind, "pool") == 0) {
		f->resolved = va;
		f->books = vb;
		f->pool = (int)call_int(r, i, "c");
	} else if (strcmp(kind, "failed") == 0) {
		f->failed = (int)va;
		f->failed_again = (int)vb;
	} else if (strcmp(kind, "failed_reason") == 0) {
		f->failed_reason_n = (int)va;
		f->failed_reason = bf_arena_strdup(rd->c->arena, s);
	} else if (strcmp(kind, "tried") == 0) {
		f->tried = (int)va;
		f->tried_failed = (int)vb;
	} else if (strcmp(kind, "items") == 0) {
		f->items_failed = va;
		f->items_done = vb;
	} else if (strcmp(kind, "items_reason") == 0) {
		f->items_reason_n = va;
		f->items_reason = bf_arena_strdup(rd->c->arena, s);
	} else if (strcmp(kind, "live") == 0) {
		f->live = (int)va;
		f->without_ai = (int)vb;
	} else if (strcmp(kind, "no_ai") == 0) {
		f->no_ai_why = bf_arena_strdup(rd->c->arena, s);
	} else {
		read_provider(rd, r, i, kind);
	}
}

/* All facts. */
static void read_facts(struct call *c, const struct bf_error *err, PGresult *const *results, int n)
{
	const PGresult *r = err == NULL && n > 0 ? results[0] : NULL;
	size_t rows = r != NULL ? (size_t)PQntuples(r) : 0;
	struct reading rd = { .c = c };

	if (r == NULL) {
		c->tell.alert_facts(c->ctx, err, NULL);
		return;
	}
	rd.low = bf_arena_alloc(c->arena, rows * sizeof(*rd.low) + 1);
	rd.tries = bf_arena_alloc(c->arena, rows * sizeof(*rd.tries) + 1);
	rd.stuck = bf_arena_alloc(c->arena, rows * sizeof(*rd.stuck) + 1);
	for (size_t i = 0; i < rows; i++)
		read_fact(&rd, r, (int)i);
	rd.f.low = rd.low;
	rd.f.tries = rd.tries;
	rd.f.stuck = rd.stuck;
	c->tell.alert_facts(c->ctx, NULL, &rd.f);
}

struct bf_op *bf_store_alert_facts(struct bf_store *s, const char *own_json, int pool,
	int64_t stuck_after_ms, int attempts, bf_store_alert_facts_done *done, void *ctx)
{
	struct call *c = call_new(s, read_facts, ctx);
	struct params p;

	c->tell.alert_facts = done;
	params_init(&p);
	params_int(&p, s->owner_id);
	params_json(&p, own_json);
	params_int(&p, pool);
	params_int(&p, stuck_after_ms);
	params_int(&p, attempts);
	return call_query(c, s->pool, &sql_alert_facts, &p);
}

/* What happened, and what is open now; the first result has no event's columns when it only told. */
static void read_alerts(struct call *c, const struct bf_error *err, PGresult *const *results, int n)
{
	const PGresult *r = err == NULL && n > 1 ? results[0] : NULL;
	const PGresult *o = err == NULL && n > 1 ? results[1] : NULL;
	int n_events = r != NULL && PQfnumber(r, "event") >= 0 ? PQntuples(r) : 0;
	int n_open = o != NULL ? PQntuples(o) : 0;
	struct bf_alert_event *events =
		bf_arena_alloc(c->arena, (size_t)(n_events + 1) * sizeof(*events));
	struct bf_alert_open *open =
		bf_arena_alloc(c->arena, (size_t)(n_open + 1) * sizeof(*open));

	for (int i = 0; i < n_events; i++)
		events[i] = (struct bf_alert_event){ .id = call_int(r, i, "id"),
			.event = call_text(r, i, "event"),
			.key = call_text(r, i, "key"),
			.subject = call_text(r, i, "subject"),
			.severity = call_text(r, i, "severity"),
			.summary = call_text(r, i, "summary"),
			.action = call_text(r, i, "action") };
	for (int i = 0; i < n_open; i++)
		open[i] = (struct bf_alert_open){ .key = call_text(o, i, "key"),
			.severity = call_text(o, i, "severity"),
			.n = (int)call_int(o, i, "n") };
	c->tell.alerts(c->ctx, err, events, n_events, open, n_open);
}

struct bf_op *bf_store_alerts_merge(struct bf_store *s, const struct bf_alert *v, int n,
	bool webhook, bf_store_alerts_done *done, void *ctx)
{
	struct call *c = call_new(s, read_alerts, ctx);
	struct params p, none;

	c->tell.alerts = done;
	params_init(&p);
	TEXTS(&p, n, v[i].key);
	TEXTS(&p, n, v[i].subject);
	TEXTS(&p, n, v[i].critical ? "critical" : "warning");
	TEXTS(&p, n, v[i].summary);
	TEXTS(&p, n, v[i].action);
	params_text(&p, s->instance);
	params_bool(&p, webhook);
	params_init(&none);
	return call_pair(c, s->pool, &sql_alert_merge, &p, &sql_alert_open, &none);
}

struct bf_op *bf_store_alerts_tell(
	struct bf_store *s, const char *own_json, bf_store_alerts_done *done, void *ctx)
{
	struct call *c = call_new(s, read_alerts, ctx);
	struct params p, none;

	c->tell.alerts = done;
	params_init(&p);
	params_int(&p, s->owner_id);
	params_json(&p, own_json);
	params_init(&none);
	return call_pair(c, s->pool, &sql_alert_tell, &p, &sql_alert_open, &none);
}

struct bf_op *bf_store_alerts_json(
	struct bf_store *s, int limit, bf_store_json_done *done, void *ctx)
{
	struct call *c = call_new(s, call_read_json, ctx);
	struct params p;

	c->tell.json = done;
	params_init(&p);
	params_int(&p, limit);
	return call_query(c, s->pool, &sql_alerts_json, &p);
}

/* The first row stands alone, without an id, when nothing was to be had. */
static void read_deliveries(
	struct call *c, const struct bf_error *err, PGresult *const *results, int n)
{
	const PGresult *r = err == NULL && n > 0 ? results[0] : NULL;
	int rows = r != NULL ? PQntuples(r) : 0, n_taken = 0;
	struct bf_delivery *v = bf_arena_alloc(c->arena, (size_t)(rows + 1) * sizeof(*v));
	int64_t next_ms = rows > 0 && call_text(r, 0, "next_ms") != NULL
		? call_int(r, 0, "next_ms") : -1;

	for (int i = 0; i < rows; i++) {
		if (call_text(r, i, "id") == NULL)
			continue;
		v[n_taken++] = (struct bf_delivery){ .id = call_int(r, i, "id"),
			.event = call_text(r, i, "event"),
			.alert_json = call_text(r, i, "alert"),
			.instance = call_text(r, i, "instance"),
			.at = call_text(r, i, "at"),
			.tries = (int)call_int(r, i, "tries"),
			.now_s = call_int(r, i, "now_s") };
	}
	c->tell.deliveries(c->ctx, err, v, n_taken, next_ms);
}

struct bf_op *bf_store_deliveries_claim(struct bf_store *s, int limit, int64_t lease_ms,
	bf_store_deliveries_done *done, void *ctx)
{
	struct call *c = call_new(s, read_deliveries, ctx);
	struct params p;

	c->tell.deliveries = done;
	params_init(&p);
	params_int(&p, s->owner_id);
	params_int(&p, limit);
	params_int(&p, lease_ms);
	return call_query(c, s->pool, &sql_deliveries_claim, &p);
}

struct bf_op *bf_store_delivery_end(struct bf_store *s, int64_t id, const char *problem,
	int64_t wait_ms, bf_store_done *done, void *ctx)
{
	struct call *c = call_new(s, call_read_outcome, ctx);
	struct params p;

	c->tell.done = done;
	params_init(&p);
	params_int(&p, id);
	params_int(&p, s->owner_id);
	params_text(&p, problem);
	params_int(&p, wait_ms);
	return call_query(c, s->pool, &sql_delivery_end, &p);
}
