/*
 * claim: how months come into this process's hands: claims, rescues, harvests, and the rows
 * themselves. Promises that a month it returns is in processing under a new fence, its lock held by
 * the lock session.
 */
#include <string.h>
#include "call.h"

/* Reads one claimed month. */
static void read_row(struct bf_month_row *m, const PGresult *r, int i)
{
	m->ref.year = (int)call_int(r, i, "year");
	m->ref.month = (int)call_int(r, i, "month");
	m->ref.fence = call_int(r, i, "fence");
	call_copy(m->job_id, sizeof(m->job_id), r, i, "job_id");
	call_copy(m->stage, sizeof(m->stage), r, i, "stage");
	call_copy(m->claimed_from, sizeof(m->claimed_from), r, i, "claimed_from");
	m->retry_count = (int)call_int(r, i, "retry_count");
	m->batch_size = (int)call_int(r, i, "batch_size");
	m->round = (int)call_int(r, i, "round");
	call_copy(m->prompt_variant, sizeof(m->prompt_variant), r, i, "prompt_variant");
	call_copy(m->model_override, sizeof(m->model_override), r, i, "model_override");
	m->max_quota = (int)call_int(r, i, "max_quota");
	m->isbndb_calls = (int)call_int(r, i, "isbndb_calls");
	m->outages = (int)call_int(r, i, "outages");
	m->dry_run = call_bool(r, i, "dry_run");
	m->last_step = (int)call_int(r, i, "last_step");
}

/* Reads one month as it is listed. */
static void read_brief(struct bf_month_brief *b, const PGresult *r, int i)
{
	b->year = (int)call_int(r, i, "year");
	b->month = (int)call_int(r, i, "month");
	call_copy(b->status, sizeof(b->status), r, i, "status");
	call_copy(b->stage, sizeof(b->stage), r, i, "stage");
	b->books_generated = (int)call_int(r, i, "books_generated");
	b->isbns_resolved = (int)call_int(r, i, "isbns_resolved");
	b->isbns_queued = (int)call_int(r, i, "isbns_queued");
	b->resolution_rate = call_dbl(r, i, "resolution_rate", -1);
	b->retry_count = (int)call_int(r, i, "retry_count");
	b->batch_size = (int)call_int(r, i, "batch_size");
	b->error_message = call_text(r, i, "error_message");
	b->gemini_calls = (int)call_int(r, i, "gemini_calls");
	b->xai_calls = (int)call_int(r, i, "xai_calls");
	b->isbndb_calls = (int)call_int(r, i, "isbndb_calls");
	b->cost_usd = call_dbl(r, i, "cost_usd", 0);
	call_copy(b->prompt_variant, sizeof(b->prompt_variant), r, i, "own_variant");
	call_copy(b->owner, sizeof(b->owner), r, i, "owner");
	call_copy(b->started_at, sizeof(b->started_at), r, i, "started_at");
	call_copy(b->completed_at, sizeof(b->completed_at), r, i, "completed_at");
	call_copy(b->next_attempt_at, sizeof(b->next_attempt_at), r, i, "next_attempt_at");
}

/* Months, or one line of totals with a NULL year when there is none. */
static void read_months(struct call *c, const PGresult *r, bool with_rows, struct bf_claim *claim)
{
	int n = call_text(r, 0, "year") != NULL ? PQntuples(r) : 0;
	struct bf_month_row *rows = bf_arena_alloc(c->arena, (size_t)(n + 1) * sizeof(*rows));
	struct bf_month_brief *briefs = bf_arena_alloc(c->arena, (size_t)(n + 1) * sizeof(*briefs));

	for (int i = 0; i < n; i++) {
		if (with_rows)
			read_row(&rows[i], r, i);
		read_brief(&briefs[i], r, i);
	}
	claim->rows = with_rows ? rows : NULL;
	claim->briefs = briefs;
	claim->n = n;
	claim->skipped = (int)call_int(r, 0, "skipped");
	claim->totals.pending = (int)call_int(r, 0, "total_pending");
	claim->totals.processing = (int)call_int(r, 0, "total_processing");
	claim->totals.completed = (int)call_int(r, 0, "total_completed");
	claim->totals.failed = (int)call_int(r, 0, "total_failed");
	claim->totals.retry = (int)call_int(r, 0, "total_retry");
	claim->totals.total = (int)call_int(r, 0, "total_all");
}

/* The answer of claim and preview. */
static void read_claim(struct call *c, const struct bf_error *err, PGresult *const *results, int n)
{
	struct bf_claim claim = { 0 };
	struct bf_error paused;
	const char *note;

	if (err == NULL && n > 0) {
		read_months(c, results[0], !c->dry_run, &claim);
		note = call_text(results[0], 0, "paused");
		if (note != NULL) {
			bf_error_set(&paused, BF_ERR_CONFIG, "paused: %s", note);
			err = &paused;
		}
	}
	c->tell.claim(c->ctx, err, &claim);
}

/* The answer of a rescue: nothing while paused, without complaint. */
static void read_rescue(struct call *c, const struct bf_error *err, PGresult *const *results, int n)
{
	struct bf_claim claim = { 0 };

	if (err == NULL && n > 0)
		read_months(c, results[0], true, &claim);
	c->tell.claim(c->ctx, err, &claim);
}

struct bf_op *bf_store_claim(struct bf_store *s, enum bf_claim_what what, int limit, int year_low,
	int year_high, bool force_retry, bf_store_claim_done *done, void *ctx)
{
	struct call *c = call_new(s, read_claim, ctx);
	bool pending = what == BF_CLAIM_SCHEDULE;
	struct params p;

	c->tell.claim = done;
	params_init(&p);
	params_int(&p, limit > 0 ? limit : 0);
	params_int(&p, pending ? year_low : 1900);
	params_int(&p, pending ? year_high : 2100);
	params_bool(&p, pending);
	params_bool(&p, pending && force_retry);
	params_text(&p, s->instance);
	params_int(&p, s->owner_id);
	return call_query(c, s->locks, &sql_claim, &p);
}

struct bf_op *bf_store_preview(struct bf_store *s, int limit, int year_low, int year_high,
	bool force_retry, bf_store_claim_done *done, void *ctx)
{
	struct call *c = call_new(s, read_claim, ctx);
	struct params p;

	c->tell.claim = done;
	c->dry_run = true;
	params_init(&p);
	params_int(&p, limit > 0 ? limit : 0);
	params_int(&p, year_low);
	params_int(&p, year_high);
	params_bool(&p, force_retry);
	return call_query(c, s->pool, &sql_preview, &p);
}

struct bf_op *bf_store_rescue(struct bf_store *s, const struct bf_month_ref *refs, int n,
	int64_t stuck_after_ms, bf_store_claim_done *done, void *ctx)
{
	struct call *c = call_new(s, read_rescue, ctx);
	struct params p;

	c->tell.claim = done;
	params_init(&p);
	call_refs(&p, refs, n);
	params_int(&p, stuck_after_ms);
	params_text(&p, s->instance);
	params_int(&p, s->owner_id);
	return call_query(c, s->locks, &sql_rescue, &p);
}

/* The answer of both kinds of harvest. */
static void read_harvest(
	struct call *c, const struct bf_error *err, PGresult *const *results, int n)
{
	static const char *const words[] = { "ok", "completed", "in_flight", "nothing", "paused" };
	struct bf_harvest_reply reply = { .result = BF_HARVEST_NOTHING };
	const PGresult *r = err == NULL && n > 0 ? results[n - 1] : NULL;
	const char *word = r != NULL ? call_text(r, 0, "result") : NULL;

	for (size_t i = 0; word != NULL && i < BF_COUNT(words); i++)
		if (strcmp(word, words[i]) == 0)
			reply.result = i;
	if (r != NULL) {
		reply.note = call_text(r, 0, "note");
		read_row(&reply.row, r, 0);
	}
	c->tell.harvest(c->ctx, err, err == NULL ? &reply : NULL);
}

/* What both kinds of harvest begin with. */
static void harvest_params(struct params *p, const struct bf_store *s, const struct bf_harvest *h)
{
	params_init(p);
	params_int(p, h->year);
	params_int(p, h->month);
	params_int(p, h->year_low);
	params_int(p, h->year_high);
	params_text(p, s->instance);
	params_int(p, s->owner_id);
	params_int(p, h->batch_size);
	params_text(p, h->prompt_variant);
	params_text(p, h->model_override);
	params_text(p, h->experiment_id);
	params_int(p, h->max_quota);
}

struct bf_op *bf_store_harvest(
	struct bf_store *s, const struct bf_harvest *h, bf_store_harvest_done *done, void *ctx)
{
	struct call *c = call_new(s, read_harvest, ctx);
	struct params p, row;

	c->tell.harvest = done;
	harvest_params(&p, s, h);
	if (h->dry_run) {
		params_int(&p, h->default_batch_size);
		params_int(&p, h->recent_from);
		params_text(&p, h->default_variant_recent);
		params_text(&p, h->default_variant);
		return call_query(c, s->locks, &sql_harvest_dry, &p);
	}
	if (h->year == 0)
		return call_query(c, s->locks, &sql_harvest, &p);
	params_init(&row);
	params_int(&row, h->year);
	params_int(&row, h->month);
	params_int(&row, h->default_batch_size);
	params_int(&row, h->recent_from);
	params_text(&row, h->default_variant_recent);
	params_text(&row, h->default_variant);
	return call_pair(c, s->locks, &sql_harvest_row, &row, &sql_harvest, &p);
}

struct bf_op *bf_store_seed(
	struct bf_store *s, const struct bf_seed *seed, bf_store_count_done *done, void *ctx)
{
	struct call *c = call_new(s, call_read_count, ctx);
	struct params p;

	c->tell.count = done;
	params_init(&p);
	params_int(&p, seed->year_start);
	params_int(&p, seed->year_end);
	params_int(&p, seed->batch_size);
	params_int(&p, seed->recent_from);
	params_text(&p, seed->variant_recent);
	params_text(&p, seed->variant);
	return call_query(c, s->pool, &sql_seed, &p);
}
