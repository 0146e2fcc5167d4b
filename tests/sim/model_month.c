/* model_month: what the owner of a month writes, as month.sql and books.sql have it. */
#include "model.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The row this step may be written to; NULL and *ret: why not, or that it was before. */
static struct mrow *begin(struct model *m, const struct bf_step *s, enum bf_store_outcome *ret)
{
	struct mrow *row = model_mine(m, &s->ref);
	bool had = model_has_step(m, s);

	if (had && model_mutant(m, "no-steps"))
		had = false;
	*ret = had ? BF_STORE_DONE : BF_STORE_NOT_MINE;
	return had ? NULL : row;
}

static void stage_set(struct mrow *row, const char *stage)
{
	row->stage_null = !stage || !stage[0];
	snprintf(row->stage, sizeof row->stage, "%s", row->stage_null ? "" : stage);
}

static const char *event_name(const struct bf_step *s, const char *otherwise)
{
	return s->event ? s->event : otherwise;
}

enum bf_store_outcome model_step(struct model *m, const struct bf_step *s)
{
	enum bf_store_outcome ret;
	struct mrow *row = begin(m, s, &ret);

	if (!row)
		return ret;
	stage_set(row, s->to);
	row->progressed_at = m->now_us;
	model_event(m, row, s->step, s->from, s->to, event_name(s, "step"));
	return BF_STORE_DONE;
}

/* ---- answers ---- */
static struct manswer *answer_find(struct model *m, int year, int month, int round, enum bf_provider_id p)
{
	for (int i = 0; i < m->answers.n; i++) {
		struct manswer *a = &m->answers.v[i];

		if (a->year == year && a->month == month && a->round == round && a->provider == p)
			return a;
	}
	return NULL;
}

enum bf_store_outcome model_answer(struct model *m, const struct bf_step *s, const struct bf_answer *a)
{
	enum bf_store_outcome ret;
	struct mrow *row = begin(m, s, &ret);
	struct manswer *kept;

	if (!row)
		return ret;
	row->cost += a->cost_usd;
	row->progressed_at = m->now_us;
	kept = answer_find(m, s->ref.year, s->ref.month, a->round, a->provider);
	if (!kept)
		kept = MODEL_ADD(m, answers);
	kept->year = s->ref.year;
	kept->month = s->ref.month;
	kept->round = a->round;
	kept->provider = a->provider;
	kept->fence = s->ref.fence;
	kept->n_written++;
	kept->a = *a;
	kept->a.variant = bf_arena_strdup(m->arena, a->variant);
	kept->a.model = bf_arena_strdup(m->arena, a->model);
	kept->a.outcome = bf_arena_strdup(m->arena, a->outcome);
	kept->a.reason = bf_arena_strdup(m->arena, a->reason);
	kept->a.text = bf_arena_strdup(m->arena, a->text);
	model_event(m, row, s->step, s->from, s->to, event_name(s, "step"));
	return BF_STORE_DONE;
}

struct bf_answer *model_answers(
	struct model *m, const struct bf_month_ref *ref, int round, struct bf_arena *arena, int *n)
{
	struct bf_answer *ret = bf_arena_alloc(arena, ((size_t)m->answers.n + 1) * sizeof *ret);

	*n = 0;
	for (int i = 0; i < m->answers.n; i++) {
		const struct manswer *a = &m->answers.v[i];

		if (a->year == ref->year && a->month == ref->month && a->round == round)
			ret[(*n)++] = a->a;
	}
	return ret;
}

/* ---- candidates ---- */
static bool of_month(const struct mcand *c, int year, int month)
{
	return !c->gone && c->year == year && c->month == month;
}

static int cands_of(const struct model *m, int year, int month)
{
	int n = 0;

	for (int i = 0; i < m->cands.n; i++)
		n += of_month(&m->cands.v[i], year, month) &&
			m->cands.v[i].state != BF_CAND_MERGED;
	return n;
}

static const char *or_null(const char *s)
{
	return s && s[0] ? s : NULL;
}

static void cand_add(struct model *m, const struct mrow *row, int ord, const struct bf_new_candidate *v)
{
	struct mcand *c = MODEL_ADD(m, cands);
	const struct bf_book *b = v->book;

	c->id = m->cands.n;
	c->year = row->year;
	c->month = row->month;
	c->ord = ord;
	c->book = *b;
	c->book.title = bf_arena_strdup(m->arena, b->title ? b->title : "");
	c->book.subtitle = bf_arena_strdup(m->arena, or_null(b->subtitle));
	c->book.author = bf_arena_strdup(m->arena, b->author);
	c->book.publisher = bf_arena_strdup(m->arena, or_null(b->publisher));
	c->book.format = bf_arena_strdup(m->arena, or_null(b->format));
	c->book.language = bf_arena_strdup(m->arena, or_null(b->language));
	c->book.significance = bf_arena_strdup(m->arena, or_null(b->significance));
	c->book.isbn13 = bf_arena_strdup(m->arena, or_null(b->isbn13));
	c->title_key = bf_arena_strdup(m->arena, v->title_key ? v->title_key : "");
	c->author_key = bf_arena_strdup(m->arena, v->author_key ? v->author_key : "");
	c->state = BF_CAND_NEW;
}

static int least(int a, int b)
{
	return a < b ? a : b;
}

enum bf_store_outcome model_save(
	struct model *m, const struct bf_step *s, const struct bf_new_candidate *v, int n)
{
	enum bf_store_outcome ret;
	struct mrow *row = begin(m, s, &ret);
	int had;

	if (!row)
		return ret;
	had = cands_of(m, row->year, row->month);
	for (int i = 0; i < n && had == 0; i++)
		cand_add(m, row, i + 1, &v[i]);
	if (had == 0)
		had = n;
	stage_set(row, s->to);
	row->progressed_at = m->now_us;
	row->generated = had;
	row->queued = least(least(row->queued, row->resolved), had);
	row->resolved = least(row->resolved, had);
	model_event(m, row, s->step, s->from, s->to, event_name(s, "saved"));
	return BF_STORE_DONE;
}

static void cached_out(struct model *m, struct bf_candidate *c)
{
	for (int i = 0; i < m->cache.n; i++) {
		const struct mcache *k = &m->cache.v[i];
		struct bf_cached *to = &c->cached[k->provider];

		if (k->expires_at <= m->now_us || strcmp(k->title_key, c->title_key) != 0 ||
			strcmp(k->author_key, c->author_key) != 0)
			continue;
		to->known = true;
		to->hit = k->hit;
		memcpy(to->isbn13, k->isbn13, sizeof to->isbn13);
		to->confidence = k->confidence;
		to->record_json = k->record;
	}
}

struct bf_candidate *model_candidates(
	struct model *m, const struct bf_month_ref *ref, struct bf_arena *arena, int *n)
{
	struct bf_candidate *ret;
	int max = 0;

	for (int i = 0; i < m->cands.n; i++)
		max += of_month(&m->cands.v[i], ref->year, ref->month);
	ret = bf_arena_alloc(arena, ((size_t)max + 1) * sizeof *ret);
	*n = 0;
	for (int i = 0; i < m->cands.n; i++) {
		const struct mcand *c = &m->cands.v[i];
		struct bf_candidate *to = &ret[*n];

		if (!of_month(c, ref->year, ref->month))
			continue;
		to->id = c->id;
		to->book = c->book;
		to->title_key = c->title_key;
		to->author_key = c->author_key;
		to->resolved_by = c->resolved_by;
		memcpy(to->isbn13, c->isbn13, sizeof to->isbn13);
		to->confidence = c->confidence;
		to->state = c->state;
		if (c->state == BF_CAND_NEW || c->state == BF_CAND_UNAVAILABLE)
			cached_out(m, to);
		(*n)++;
	}
	return ret;
}

void model_cache_get(struct model *m, struct bf_candidate *v, int n)
{
	for (int i = 0; i < n; i++)
		cached_out(m, &v[i]);
}

/* ---- the end of a month ---- */
/* The candidate that stays of those with this one's ISBN: the first in order. */
static struct mcand *kept_for(struct model *m, struct mcand *c)
{
	struct mcand *keep = c;

	for (int i = 0; i < m->cands.n; i++) {
		struct mcand *o = &m->cands.v[i];

		if (of_month(o, c->year, c->month) && o->state != BF_CAND_MERGED &&
			!strcmp(o->isbn13, c->isbn13) && o->ord < keep->ord)
			keep = o;
	}
	return keep;
}

static int merge_cands(struct model *m, const struct mrow *row)
{
	int n = 0;

	for (int i = 0; i < m->cands.n; i++) {
		struct mcand *c = &m->cands.v[i], *keep;

		if (!of_month(c, row->year, row->month) || c->state == BF_CAND_MERGED || !c->isbn13[0])
			continue;
		keep = kept_for(m, c);
		if (keep == c)
			continue;
		keep->book.generated_by |= c->book.generated_by;
		c->state = BF_CAND_MERGED;
		c->merged_into = keep->id;
		n++;
	}
	return n;
}

static bool item_add(struct model *m, const struct mrow *row, const char *isbn13, int max_retries)
{
	struct mitem *item;

	for (int i = 0; i < m->items.n && !model_mutant(m, "queue-twice"); i++)
		if (!strcmp(m->items.v[i].isbn13, isbn13))
			return false;
	item = MODEL_ADD(m, items);
	memcpy(item->isbn13, isbn13, sizeof item->isbn13);
	item->year = row->year;
	item->month = row->month;
	item->max_retries = max_retries;
	return true;
}

static void job_set(struct model *m, const struct mrow *row, const char *status, const char *error)
{
	if (!row->job)
		return;
	m->jobs.v[row->job - 1].status = status;
	m->jobs.v[row->job - 1].error = error;
}

enum bf_store_outcome model_complete(struct model *m, const struct bf_step *s, int max_retries)
{
	enum bf_store_outcome ret;
	struct mrow *row = begin(m, s, &ret);
	int queued = 0, resolved = 0;

	if (!row)
		return ret;
	merge_cands(m, row);
	for (int i = 0; i < m->cands.n; i++) {
		const struct mcand *c = &m->cands.v[i];

		if (!of_month(c, row->year, row->month) || c->state == BF_CAND_MERGED || !c->isbn13[0])
			continue;
		resolved++;
		if (!model_mutant(m, "forgets-the-queue"))
			queued += item_add(m, row, c->isbn13, max_retries);
	}
	row->status = M_COMPLETED;
	stage_set(row, s->to);
	row->completed_at = m->now_us > row->started_at ? m->now_us : row->started_at;
	row->progressed_at = m->now_us;
	row->error = NULL;
	row->next_at = 0;
	row->generated = cands_of(m, row->year, row->month);
	row->resolved = resolved;
	row->queued = least(row->queued + queued, resolved);
	row->rate = row->generated ? round(10000.0 * resolved / row->generated) / 100 : -1;
	job_set(m, row, "complete", NULL);
	model_event(m, row, s->step, s->from, s->to, event_name(s, "step"));
	return BF_STORE_DONE;
}

enum bf_store_outcome model_fail(
	struct model *m, const struct bf_step *s, const struct bf_failure *f)
{
	enum bf_store_outcome ret;
	struct mrow *row = begin(m, s, &ret);
	bool failed;

	if (!row)
		return ret;
	if (f->counted && !f->permanent)
		row->retry_count = least(row->retry_count + 1, 5);
	failed = f->permanent || (f->counted && row->retry_count >= 5);
	row->status = failed ? M_FAILED : M_RETRY;
	row->error = bf_arena_strdup(m->arena, f->error ? f->error : "");
	row->progressed_at = m->now_us;
	stage_set(row, f->resume_stage);
	row->round += f->next_round;
	row->completed_at = !failed ? 0 : m->now_us > row->started_at ? m->now_us : row->started_at;
	row->next_at = failed ? 0 : m->now_us + (f->wait_ms > 0 ? f->wait_ms : 0) * 1000;
	row->owner = NULL;
	row->owner_id = 0;
	job_set(m, row, failed ? "failed" : "queued", row->error);
	model_event(m, row, s->step, s->from, model_status_names[row->status],
		event_name(s, "step"));
	return BF_STORE_DONE;
}

enum bf_store_outcome model_release(struct model *m, const struct bf_step *s)
{
	enum bf_store_outcome ret;
	struct mrow *row = begin(m, s, &ret);

	if (!row)
		return ret;
	row->status = row->claimed_from < 0 ? M_PENDING : (enum mstatus)row->claimed_from;
	row->owner = NULL;
	row->owner_id = 0;
	row->progressed_at = m->now_us;
	row->completed_at = row->status != M_FAILED ? 0
		: m->now_us > row->started_at       ? m->now_us
						    : row->started_at;
	row->next_at = row->status == M_RETRY ? m->now_us : 0;
	if (row->job)
		m->jobs.v[row->job - 1].status = "queued";
	model_event(m, row, s->step, s->from, model_status_names[row->status],
		event_name(s, "step"));
	return BF_STORE_DONE;
}

int model_touch(struct model *m, const struct bf_month_ref *refs, int n, struct bf_month_ref *lost)
{
	int n_lost = 0;

	for (int i = 0; i < n; i++) {
		struct mrow *row = model_mine(m, &refs[i]);

		if (row)
			row->progressed_at = m->now_us;
		else
			lost[n_lost++] = refs[i];
	}
	return n_lost;
}

enum bf_store_outcome model_job(
	struct model *m, const char *job_id, const char *status, const char *error)
{
	for (int i = 0; i < m->jobs.n; i++) {
		struct mjob *job = &m->jobs.v[i];

		if (strcmp(job->id, job_id) != 0)
			continue;
		job->status = bf_arena_strdup(m->arena, status);
		job->error = bf_arena_strdup(m->arena, error);
		return BF_STORE_DONE;
	}
	return BF_STORE_NOT_MINE;
}
