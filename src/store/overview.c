/*
 * overview: all that a page of the whole shows, read in one statement, so that its parts agree with each other.
 */
#include "call.h"

/* What there is once: in the first row. */
static void read_once(struct bf_overview *o, const PGresult *r)
{
	o->now = call_text(r, 0, "now");
	o->stats = call_text(r, 0, "stats");
	o->queue = call_text(r, 0, "queue");
	o->months = call_text(r, 0, "rows");
	o->instances = call_text(r, 0, "instances");
	o->alerts = call_text(r, 0, "alerts");
	o->paused = call_text(r, 0, "paused");
	o->pause_note = call_text(r, 0, "pause_note");
	o->retry_reason = call_text(r, 0, "retry_reason");
	o->db_wall_us = call_int(r, 0, "db_wall_us");
	o->last_event = call_int(r, 0, "last_event");
	o->pause_until_us = call_int(r, 0, "pause_until_us");
	o->retry_first_us = call_int(r, 0, "first_retry_us");
	o->retry_last_us = call_int(r, 0, "last_retry_us");
	o->cost_usd = call_dbl(r, 0, "cost_usd", 0);
	o->left_batch_size = call_dbl(r, 0, "left_batch_size", 0);
}

/* The counts of months, by status and by who holds them. */
static void read_counts(struct bf_overview *o, const PGresult *r)
{
	o->total = (int)call_int(r, 0, "total");
	o->pending = (int)call_int(r, 0, "pending");
	o->pending_within = (int)call_int(r, 0, "pending_within");
	o->processing = (int)call_int(r, 0, "processing");
	o->completed = (int)call_int(r, 0, "completed");
	o->failed = (int)call_int(r, 0, "failed");
	o->retry = (int)call_int(r, 0, "retry");
	o->retries_due = (int)call_int(r, 0, "retries_due");
	o->live = (int)call_int(r, 0, "live");
	o->holders = (int)call_int(r, 0, "holders");
	o->in_flight = (int)call_int(r, 0, "in_flight");
	o->left_behind = (int)call_int(r, 0, "left_behind");
	o->older = (int)call_int(r, 0, "older");
}

/* A row per provider. */
static void read_overview(
	struct call *c, const struct bf_error *err, PGresult *const *results, int n)
{
	const PGresult *r = err == NULL && n > 0 ? results[0] : NULL;
	struct bf_overview o = { 0 };

	if (r == NULL) {
		c->tell.overview(c->ctx, err, NULL);
		return;
	}
	read_once(&o, r);
	read_counts(&o, r);
	call_read_plan(&o.plan, r);
	for (int i = 0; i < PQntuples(r); i++) {
		int id = bf_provider_by_name(call_text(r, i, "provider"));

		if (id < 0)
			continue;
		o.provider[id].quota = call_text(r, i, "quota");
		o.provider[id].today = call_text(r, i, "today");
	}
	c->tell.overview(c->ctx, NULL, &o);
}

struct bf_op *bf_store_overview(struct bf_store *s, const struct bf_overview_ask *ask,
	bf_store_overview_done *done, void *ctx)
{
	struct call *c = call_new(s, read_overview, ctx);
	struct params p;

	c->tell.overview = done;
	params_init(&p);
	call_limits(&p, &ask->limits);
	params_int(&p, ask->instance_id);
	params_int(&p, ask->year_low);
	params_int(&p, ask->year_high);
	return call_query(c, s->pool, &sql_overview, &p);
}
