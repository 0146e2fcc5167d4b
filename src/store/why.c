/*
 * why: the facts about one month that the database knows, and what months have cost of late. What follows
 * from them is the asker's business.
 */
#include "call.h"

/* One row, always. */
static void read_why(struct call *c, const struct bf_error *err, PGresult *const *results, int n)
{
	const PGresult *r = err == NULL && n > 0 ? results[0] : NULL;
	struct bf_why w = { 0 };

	if (r == NULL) {
		c->tell.why(c->ctx, err, NULL);
		return;
	}
	w.seeded = call_bool(r, 0, "seeded");
	w.older = call_bool(r, 0, "older");
	w.held = call_bool(r, 0, "held");
	w.owner_lives = call_bool(r, 0, "owner_lives");
	w.paused = call_bool(r, 0, "paused");
	w.status = call_text(r, 0, "status");
	w.stage = call_text(r, 0, "stage");
	w.owner = call_text(r, 0, "owner");
	w.error = call_text(r, 0, "error_message");
	w.started_at = call_text(r, 0, "started_at");
	w.progressed_at = call_text(r, 0, "progressed_at");
	w.completed_at = call_text(r, 0, "completed_at");
	w.next_attempt_at = call_text(r, 0, "next_attempt_at");
	w.note = call_text(r, 0, "note");
	w.paused_until = call_text(r, 0, "paused_until");
	w.idle_ms = call_int(r, 0, "idle_ms");
	w.wait_ms = call_int(r, 0, "wait_ms");
	w.paused_ms = call_text(r, 0, "paused_ms") != NULL ? call_int(r, 0, "paused_ms") : -1;
	w.retry_count = (int)call_int(r, 0, "retry_count");
	w.ahead = (int)call_int(r, 0, "ahead");
	w.in_flight = (int)call_int(r, 0, "in_flight");
	w.db_wall_us = call_int(r, 0, "db_wall_us");
	c->tell.why(c->ctx, NULL, &w);
}

struct bf_op *bf_store_why(struct bf_store *s, int year, int month, int year_low, int year_high,
	bf_store_why_done *done, void *ctx)
{
	struct call *c = call_new(s, read_why, ctx);
	struct params p;

	c->tell.why = done;
	params_init(&p);
	params_int(&p, year);
	params_int(&p, month);
	params_int(&p, year_low);
	params_int(&p, year_high);
	return call_query(c, s->pool, &sql_why, &p);
}

void call_read_plan(struct bf_plan_figures *f, const PGresult *r)
{
	for (int i = 0; i < PQntuples(r); i++) {
		int id = bf_provider_by_name(call_text(r, i, "provider"));

		f->months = call_int(r, i, "months");
		f->since = call_text(r, i, "since");
		f->seconds = call_dbl(r, i, "seconds", 0);
		f->batch_size = call_dbl(r, i, "batch_size", 0);
		if (id < 0)
			continue;
		f->calls[id] = call_int(r, i, "calls");
		f->units[id] = call_int(r, i, "units");
		f->used[id] = call_int(r, i, "used");
		f->reset_in_s[id] = call_int(r, i, "reset_in_s");
		f->cost_usd[id] = call_dbl(r, i, "cost", 0);
	}
}

/* What months cost of late, and nothing else. */
static void read_plan(struct call *c, const struct bf_error *err, PGresult *const *results, int n)
{
	const PGresult *r = err == NULL && n > 0 ? results[0] : NULL;
	struct bf_plan_figures f = { 0 };

	if (r != NULL)
		call_read_plan(&f, r);
	c->tell.plan(c->ctx, err, r != NULL ? &f : NULL);
}

struct bf_op *bf_store_plan_figures(struct bf_store *s, bf_store_plan_done *done, void *ctx)
{
	struct call *c = call_new(s, read_plan, ctx);
	struct params p;

	c->tell.plan = done;
	params_init(&p);
	TEXTS(&p, BF_NPROVIDERS, bf_provider_names[i]);
	return call_query(c, s->pool, &sql_plan_figures, &p);
}
