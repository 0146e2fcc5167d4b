/* model_claim: claims, rescues, harvests and what operators do, as claim.sql and pulse.sql have them. */
#include "model.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOCK_MONTH 1

static int key_of(const struct mrow *row)
{
	return row->year * 12 + row->month - 1;
}

/* ---- rows as they are handed out ---- */
/* Since its books were stored, it failed otherwise, or an operator touched it. */
static int outages_of(const struct model *m, const struct mrow *row)
{
	int n = 0;

	for (int i = 0; i < m->events.n; i++) {
		const struct mevent *e = &m->events.v[i];

		if (e->year != row->year || e->month != row->month)
			continue;
		if (!strcmp(e->event, "outage"))
			n++;
		else if (!strcmp(e->event, "merged") || !strcmp(e->event, "failure") ||
			!strcmp(e->event, "attempts_spent") || !strncmp(e->event, "operator_", 9))
			n = 0;
	}
	return n;
}

static void row_out(const struct model *m, const struct mrow *row, struct bf_month_row *ret)
{
	const struct mjob *job = row->job ? &m->jobs.v[row->job - 1] : NULL;

	memset(ret, 0, sizeof *ret);
	ret->ref = (struct bf_month_ref){ row->year, row->month, row->fence };
	memcpy(ret->stage, row->stage, sizeof ret->stage);
	if (row->claimed_from >= 0)
		snprintf(ret->claimed_from, sizeof ret->claimed_from, "%s",
			model_status_names[row->claimed_from]);
	ret->retry_count = row->retry_count;
	ret->batch_size = job && job->batch_size ? job->batch_size : row->batch_size;
	ret->round = row->round;
	snprintf(ret->prompt_variant, sizeof ret->prompt_variant, "%s",
		job && job->variant ? job->variant : row->variant);
	ret->isbndb_calls = row->isbndb;
	ret->outages = outages_of(m, row);
	ret->last_step = 1;
	if (!job)
		return;
	memcpy(ret->job_id, job->id, sizeof ret->job_id);
	ret->max_quota = job->max_quota;
	if (job->model)
		snprintf(ret->model_override, sizeof ret->model_override, "%s", job->model);
}

static void brief_out(const struct mrow *row, struct bf_month_brief *ret)
{
	memset(ret, 0, sizeof *ret);
	ret->year = row->year;
	ret->month = row->month;
	snprintf(ret->status, sizeof ret->status, "%s", model_status_names[row->status]);
	memcpy(ret->stage, row->stage, sizeof ret->stage);
	ret->books_generated = row->generated;
	ret->isbns_resolved = row->resolved;
	ret->isbns_queued = row->queued;
	ret->resolution_rate = row->rate;
	ret->retry_count = row->retry_count;
	ret->error_message = row->error;
	ret->gemini_calls = row->gemini;
	ret->xai_calls = row->xai;
	ret->isbndb_calls = row->isbndb;
	ret->cost_usd = row->cost;
	snprintf(ret->prompt_variant, sizeof ret->prompt_variant, "%s", row->variant);
}

/* ---- jobs ---- */
static int job_new(struct model *m, const struct mrow *row)
{
	struct mjob *job = MODEL_ADD(m, jobs);

	snprintf(job->id, sizeof job->id, "00000000-0000-4000-8000-%012llx",
		(unsigned long long)++m->ids);
	job->year = row->year;
	job->month = row->month;
	job->status = "queued";
	return m->jobs.n;
}

static bool job_open(const struct model *m, int job)
{
	const char *status = job ? m->jobs.v[job - 1].status : "failed";

	return strcmp(status, "complete") != 0 && strcmp(status, "failed") != 0;
}

static void job_take(struct model *m, const struct mrow *row, const struct caller *by)
{
	struct mjob *job = &m->jobs.v[row->job - 1];

	job->fence = row->fence;
	job->instance_id = by->owner_id;
	job->status = "queued";
	job->error = NULL;
}

/* ---- claim ---- */
static bool claimable(const struct model *m, const struct mrow *row, bool pending, bool force)
{
	switch (row->status) {
	case M_PENDING: return pending;
	case M_RETRY: return row->next_at <= m->now_us;
	case M_FAILED: return force && row->retry_count < 5;
	case M_PROCESSING:
	case M_COMPLETED: break;
	}
	return false;
}

static bool in_years(const struct mrow *row, int low, int high)
{
	return row->year >= low && row->year <= high;
}

/* The month is somebody's now; the job is given by the caller. */
static void take(struct model *m, struct mrow *row, const struct caller *by, int job)
{
	row->claimed_from = (int)row->status;
	row->status = M_PROCESSING;
	if (!model_mutant(m, "no-raise"))
		row->fence++;
	row->job = job;
	row->owner = bf_arena_strdup(m->arena, by->instance);
	row->owner_id = by->owner_id;
	row->started_at = row->progressed_at = m->now_us;
	row->completed_at = 0;
	if (row->retry_count > 4)
		row->retry_count = 4;
	row->error = NULL;
	row->next_at = 0;
	job_take(m, row, by);
}

static void claimed_event(struct model *m, const struct mrow *row)
{
	model_event(m, row, 1, model_status_names[row->claimed_from],
		row->stage_null ? "claimed" : row->stage, "claimed");
}

static void claim_alloc(struct bf_arena *arena, int n, struct bf_claim *ret)
{
	memset(ret, 0, sizeof *ret);
	ret->rows = bf_arena_alloc(arena, (size_t)(n + 1) * sizeof *ret->rows);
	ret->briefs = bf_arena_alloc(arena, (size_t)(n + 1) * sizeof *ret->briefs);
}

static void claim_out(const struct model *m, const struct mrow *row, struct bf_claim *ret)
{
	row_out(m, row, (struct bf_month_row *)(uintptr_t)&ret->rows[ret->n]);
	brief_out(row, (struct bf_month_brief *)(uintptr_t)&ret->briefs[ret->n]);
	ret->n++;
}

void model_claim(struct model *m, const struct caller *by, enum bf_claim_what what, int limit,
	int low, int high, bool force, struct bf_arena *arena, struct bf_claim *ret)
{
	bool pending = what == BF_CLAIM_SCHEDULE, paused = model_paused(m);
	int matching = 0;

	if (model_mutant(m, "no-pause"))
		paused = false;
	claim_alloc(arena, m->rows.n, ret);
	for (int i = 0; i < m->rows.n && matching < limit; i++) {
		struct mrow *row = &m->rows.v[i];

		if (!in_years(row, low, high) || !claimable(m, row, pending, pending && force) ||
			model_row_locked(m, row))
			continue;
		matching++;
		if (paused || !model_lock(m, LOCK_MONTH, key_of(row), by->session))
			continue;
		take(m, row, by,
			row->job && (row->status == M_RETRY || job_open(m, row->job))
				? row->job
				: job_new(m, row));
		claimed_event(m, row);
		claim_out(m, row, ret);
	}
	ret->skipped = matching - ret->n;
	model_totals(m, &ret->totals);
}

void model_preview(struct model *m, int limit, int low, int high, bool force,
	struct bf_arena *arena, struct bf_claim *ret)
{
	claim_alloc(arena, m->rows.n, ret);
	for (int i = 0; i < m->rows.n && ret->n < limit; i++)
		if (in_years(&m->rows.v[i], low, high) && claimable(m, &m->rows.v[i], true, force))
			claim_out(m, &m->rows.v[i], ret);
	ret->rows = NULL;
	model_totals(m, &ret->totals);
}

/* ---- rescue ---- */
static void rescue_one(struct model *m, const struct caller *by, struct mrow *row)
{
	if (!model_mutant(m, "rescue-keeps-fence"))
		row->fence++;
	if (!row->job)
		row->job = job_new(m, row);
	m->jobs.v[row->job - 1].fence = row->fence;
	m->jobs.v[row->job - 1].instance_id = by->owner_id;
	row->owner = bf_arena_strdup(m->arena, by->instance);
	row->owner_id = by->owner_id;
	if (!row->started_at)
		row->started_at = m->now_us;
	row->progressed_at = m->now_us;
	if (row->claimed_from < 0)
		row->claimed_from = M_PENDING;
	model_event(m, row, 1, row->stage_null ? "claimed" : row->stage,
		row->stage_null ? "claimed" : row->stage, "rescued");
}

static bool asked_for(const struct mrow *row, const struct bf_month_ref *refs, int n)
{
	for (int i = 0; i < n; i++)
		if (refs[i].year == row->year && refs[i].month == row->month &&
			refs[i].fence == row->fence)
			return true;
	return false;
}

void model_rescue(struct model *m, const struct caller *by, const struct bf_month_ref *refs, int n,
	int64_t stuck_ms, struct bf_arena *arena, struct bf_claim *ret)
{
	claim_alloc(arena, m->rows.n, ret);
	for (int i = 0; i < m->rows.n && !model_paused(m); i++) {
		struct mrow *row = &m->rows.v[i];
		bool stuck = model_stuck(m, row, stuck_ms), locked;

		if (row->status != M_PROCESSING || !asked_for(row, refs, n) ||
			model_row_locked(m, row) || !(stuck || row->job))
			continue;
		locked = model_lock(m, LOCK_MONTH, key_of(row), by->session);
		if (!locked && !stuck && !model_mutant(m, "rescue-held"))
			continue;
		rescue_one(m, by, row);
		claim_out(m, row, ret);
	}
	ret->skipped = n - ret->n;
	model_totals(m, &ret->totals);
}

/* ---- harvest ---- */
static struct mrow *harvest_pick(struct model *m, const struct bf_harvest *h)
{
	if (h->year > 0) {
		struct mrow *row = model_row(m, h->year, h->month);

		if (row && (row->status == M_PROCESSING || row->status == M_COMPLETED ||
				   model_row_locked(m, row)))
			return NULL;
		return row;
	}
	for (int i = 0; i < m->rows.n; i++)
		if (in_years(&m->rows.v[i], h->year_low, h->year_high) &&
			claimable(m, &m->rows.v[i], true, false) &&
			!model_row_locked(m, &m->rows.v[i]))
			return &m->rows.v[i];
	return NULL;
}

static void job_wishes(struct model *m, struct mjob *job, const struct bf_harvest *h)
{
	job->batch_size = h->batch_size;
	job->max_quota = h->max_quota;
	job->variant = bf_arena_strdup(m->arena, h->prompt_variant);
	job->model = bf_arena_strdup(m->arena, h->model_override);
}

static const char *default_variant(const struct bf_harvest *h)
{
	return h->year >= h->recent_from ? h->default_variant_recent : h->default_variant;
}

/* A rehearsal: a job and nothing else. */
static void harvest_dry(struct model *m, const struct caller *by, const struct bf_harvest *h,
	struct bf_harvest_reply *ret)
{
	struct mrow *row = h->year > 0 ? model_row(m, h->year, h->month) : harvest_pick(m, h);
	struct mrow made = { .year = h->year,
		.month = h->month,
		.claimed_from = -1,
		.batch_size = h->default_batch_size,
		.stage_null = true };
	struct mrow copy;
	int status;

	if (!row && h->year == 0) {
		ret->result = model_paused(m) ? BF_HARVEST_PAUSED : BF_HARVEST_NOTHING;
		return;
	}
	if (!row)
		snprintf(made.variant, sizeof made.variant, "%s", default_variant(h));
	copy = row ? *row : made;
	status = (int)copy.status;
	if (model_paused(m) || status == M_PROCESSING) {
		ret->result = model_paused(m) ? BF_HARVEST_PAUSED : BF_HARVEST_IN_FLIGHT;
		return;
	}
	copy.job = job_new(m, &copy);
	job_wishes(m, &m->jobs.v[copy.job - 1], h);
	m->jobs.v[copy.job - 1].dry_run = true;
	m->jobs.v[copy.job - 1].instance_id = by->owner_id;
	row_out(m, &copy, &ret->row);
	snprintf(ret->row.claimed_from, sizeof ret->row.claimed_from, "%s",
		model_status_names[status]);
	ret->row.ref.fence = 0;
	ret->row.stage[0] = '\0';
	ret->row.round = ret->row.isbndb_calls = ret->row.outages = ret->row.last_step = 0;
	ret->row.dry_run = true;
	ret->result = BF_HARVEST_OK;
}

static void harvest_refused(struct model *m, const struct bf_harvest *h, bool picked,
	struct bf_harvest_reply *ret)
{
	const struct mrow *named = h->year > 0 ? model_row(m, h->year, h->month) : NULL;

	if (model_paused(m))
		ret->result = BF_HARVEST_PAUSED;
	else if (named && named->status == M_COMPLETED)
		ret->result = BF_HARVEST_COMPLETED;
	else if (h->year == 0 && !picked)
		ret->result = BF_HARVEST_NOTHING;
	else
		ret->result = BF_HARVEST_IN_FLIGHT;
}

void model_harvest(struct model *m, const struct caller *by, const struct bf_harvest *h,
	struct bf_harvest_reply *ret)
{
	struct mrow *row;
	int old;

	memset(ret, 0, sizeof *ret);
	ret->note = model_paused(m) ? (m->note ? m->note : "") : NULL;
	if (h->dry_run) {
		harvest_dry(m, by, h, ret);
		return;
	}
	if (h->year > 0 && !model_row(m, h->year, h->month) && !model_paused(m))
		model_row_add(m, h->year, h->month, h->default_batch_size, default_variant(h));
	row = model_paused(m) ? NULL : harvest_pick(m, h);
	if (!row || !model_lock(m, LOCK_MONTH, key_of(row), by->session)) {
		harvest_refused(m, h, row != NULL, ret);
		return;
	}
	old = row->job;
	take(m, row, by, job_new(m, row));
	job_wishes(m, &m->jobs.v[row->job - 1], h);
	if (old && job_open(m, old)) {
		m->jobs.v[old - 1].status = "failed";
		m->jobs.v[old - 1].error = "superseded";
	}
	claimed_event(m, row);
	row_out(m, row, &ret->row);
	ret->result = BF_HARVEST_OK;
}

int64_t model_seed(struct model *m, const struct bf_seed *s)
{
	int64_t n = 0;

	for (int y = s->year_start; y <= s->year_end; y++)
		for (int month = 1; month <= 12; month++)
			if (!model_row(m, y, month)) {
				model_row_add(m, y, month, s->batch_size,
					y >= s->recent_from ? s->variant_recent : s->variant);
				n++;
			}
	return n;
}

/* ---- operators ---- */
static void operator_retry(struct model *m, struct mrow *row, const char *was)
{
	row->status = M_RETRY;
	if (row->retry_count > 4)
		row->retry_count = 4;
	row->next_at = m->now_us;
	row->completed_at = 0;
	row->fence++;
	if (row->job)
		m->jobs.v[row->job - 1].status = "queued";
	model_event(m, row, 1, was, "retry", "operator_retry");
}

static void operator_cancel(struct model *m, struct mrow *row, const char *was)
{
	const char *from = row->status == M_PROCESSING ? (row->stage_null ? "claimed" : row->stage)
						       : was;

	row->status = M_FAILED;
	row->error = "cancelled";
	row->completed_at = m->now_us > row->started_at ? m->now_us : row->started_at;
	row->next_at = 0;
	row->owner = NULL;
	row->owner_id = 0;
	if (!model_mutant(m, "cancel-keeps-fence"))
		row->fence++;
	if (row->job) {
		m->jobs.v[row->job - 1].status = "failed";
		m->jobs.v[row->job - 1].error = "cancelled";
	}
	model_event(m, row, 1, from, "failed", "operator_cancel");
}

static void operator_reset(struct model *m, struct mrow *row, const char *was)
{
	struct mrow fresh = { .year = row->year,
		.month = row->month,
		.stage_null = true,
		.claimed_from = -1,
		.fence = row->fence + 1,
		.batch_size = row->batch_size,
		.rate = -1,
		.created_at = row->created_at };
	int kept = 0;

	memcpy(fresh.variant, row->variant, sizeof fresh.variant);
	for (int i = 0; i < m->answers.n; i++)
		if (m->answers.v[i].year != row->year || m->answers.v[i].month != row->month)
			m->answers.v[kept++] = m->answers.v[i];
	m->answers.n = kept;
	for (int i = 0; i < m->cands.n; i++)
		if (m->cands.v[i].year == row->year && m->cands.v[i].month == row->month)
			m->cands.v[i].gone = true;
	if (row->job && job_open(m, row->job)) {
		m->jobs.v[row->job - 1].status = "failed";
		m->jobs.v[row->job - 1].error = "the month was reset";
	}
	*row = fresh;
	model_event(m, row, 1, was, "pending", "operator_reset");
}

enum bf_store_outcome model_operator(
	struct model *m, enum bf_operator_action action, int year, int month)
{
	struct mrow *row = model_row(m, year, month);
	const char *was;

	if (!row)
		return BF_STORE_NOT_MINE;
	was = model_status_names[row->status];
	switch (action) {
	case BF_OPERATOR_RETRY:
		if (row->status != M_RETRY && row->status != M_FAILED)
			return BF_STORE_REFUSED;
		operator_retry(m, row, was);
		return BF_STORE_DONE;
	case BF_OPERATOR_CANCEL:
		if (row->status != M_PROCESSING && row->status != M_RETRY)
			return BF_STORE_REFUSED;
		operator_cancel(m, row, was);
		return BF_STORE_DONE;
	case BF_OPERATOR_RESET:
		if (row->status == M_PROCESSING)
			return BF_STORE_REFUSED;
		operator_reset(m, row, was);
		return BF_STORE_DONE;
	}
	return BF_STORE_REFUSED;
}
