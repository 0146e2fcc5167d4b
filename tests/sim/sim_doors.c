/* sim_doors: the functions of the store's door, each a call: what is copied, what the model does, how it is told. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "invariants.h"
#include "sim_store.h"

#define DONE(c, type) ((type *)(c)->done)
#define FN(done) ((void (*)(void))(done))

/* ---- outcomes ---- */
static void tell_outcome(struct call *c, const struct bf_error *err)
{
	DONE(c, bf_store_done)(c->ctx, err, err ? BF_STORE_REFUSED : c->outcome);
}

static void tell_lost(struct call *c, const struct bf_error *err)
{
	DONE(c, bf_store_lost_done)(c->ctx, err, c->ret, err ? 0 : c->n_ret);
}

static struct bf_month_ref *lost_of(struct call *c, int n)
{
	c->ret = bf_arena_alloc(c->arena, ((size_t)n + 1) * sizeof(struct bf_month_ref));
	return c->ret;
}

/* ---- a month's own writes ---- */
static void apply_step(struct call *c)
{
	struct audit a = audit_begin(&c->step);

	c->outcome = model_step(w.model, &c->step);
	audit_end(&a, c->outcome);
}

static void tell_step(struct call *c, const struct bf_error *err)
{
	if (!err)
		audit_told(call_inst(c), &c->step, c->outcome);
	tell_outcome(c, err);
}

static struct call *step_call(struct bf_store *s, const char *name, const struct bf_step *step,
	void (*apply)(struct call *), bf_store_done *done, void *ctx)
{
	struct call *c = call_new(s, name, false, apply, tell_step, FN(done), ctx);

	call_step(c, step);
	audit_writes(call_inst(c), step);
	return c;
}

struct bf_op *bf_store_step(
	struct bf_store *s, const struct bf_step *step, bf_store_done *done, void *ctx)
{
	return call_go(step_call(s, "step", step, apply_step, done, ctx));
}

static void apply_answer(struct call *c)
{
	struct audit a = audit_begin(&c->step);

	c->outcome = model_answer(w.model, &c->step, c->v);
	audit_end(&a, c->outcome);
}

struct bf_op *bf_store_answer(struct bf_store *s, const struct bf_step *step,
	const struct bf_answer *answer, bf_store_done *done, void *ctx)
{
	struct call *c = step_call(s, "answer", step, apply_answer, done, ctx);
	struct bf_answer *a = bf_arena_alloc(c->arena, sizeof *a);

	*a = *answer;
	a->variant = bf_arena_strdup(c->arena, answer->variant);
	a->model = bf_arena_strdup(c->arena, answer->model);
	a->outcome = bf_arena_strdup(c->arena, answer->outcome);
	a->reason = bf_arena_strdup(c->arena, answer->reason);
	a->text = bf_arena_strdup(c->arena, answer->text);
	c->v = a;
	return call_go(c);
}

static void apply_answers(struct call *c)
{
	c->ret = model_answers(w.model, c->refs, c->a, c->arena, &c->n_ret);
	for (int i = 0; i < c->n_ret; i++) { /* what the database has may be gone before it is told */
		struct bf_answer *a = &((struct bf_answer *)c->ret)[i];

		a->variant = bf_arena_strdup(c->arena, a->variant);
		a->text = bf_arena_strdup(c->arena, a->text);
	}
}

static void tell_answers(struct call *c, const struct bf_error *err)
{
	DONE(c, bf_store_answers_done)(c->ctx, err, c->ret, err ? 0 : c->n_ret);
}

struct bf_op *bf_store_answers(struct bf_store *s, const struct bf_month_ref *ref, int round,
	bf_store_answers_done *done, void *ctx)
{
	struct call *c = call_new(s, "answers", false, apply_answers, tell_answers, FN(done), ctx);

	c->refs = call_refs(c, ref, 1);
	c->a = round;
	return call_go(c);
}

/* ---- books ---- */
static void apply_save(struct call *c)
{
	struct audit a = audit_begin(&c->step);

	c->outcome = model_save(w.model, &c->step, c->v, c->a);
	audit_end(&a, c->outcome);
}

static struct bf_book *book_copy(struct bf_arena *arena, const struct bf_book *b)
{
	struct bf_book *to = bf_arena_alloc(arena, sizeof *to);

	*to = *b;
	to->title = bf_arena_strdup(arena, b->title);
	to->subtitle = bf_arena_strdup(arena, b->subtitle);
	to->author = bf_arena_strdup(arena, b->author);
	to->publisher = bf_arena_strdup(arena, b->publisher);
	to->format = bf_arena_strdup(arena, b->format);
	to->language = bf_arena_strdup(arena, b->language);
	to->significance = bf_arena_strdup(arena, b->significance);
	to->isbn13 = bf_arena_strdup(arena, b->isbn13);
	return to;
}

struct bf_op *bf_store_save(struct bf_store *s, const struct bf_step *step,
	const struct bf_new_candidate *v, int n, bf_store_done *done, void *ctx)
{
	struct call *c = step_call(s, "save", step, apply_save, done, ctx);
	struct bf_new_candidate *to = bf_arena_alloc(c->arena, ((size_t)n + 1) * sizeof *to);

	for (int i = 0; i < n; i++) {
		to[i].book = book_copy(c->arena, v[i].book);
		to[i].title_key = bf_arena_strdup(c->arena, v[i].title_key);
		to[i].author_key = bf_arena_strdup(c->arena, v[i].author_key);
	}
	c->v = to;
	c->a = n;
	return call_go(c);
}

static void apply_candidates(struct call *c)
{
	c->ret = model_candidates(w.model, c->refs, c->arena, &c->n_ret);
}

static void tell_candidates(struct call *c, const struct bf_error *err)
{
	DONE(c, bf_store_candidates_done)(c->ctx, err, c->ret, err ? 0 : c->n_ret);
}

struct bf_op *bf_store_candidates(struct bf_store *s, const struct bf_month_ref *ref,
	bf_store_candidates_done *done, void *ctx)
{
	struct call *c = call_new(
		s, "candidates", false, apply_candidates, tell_candidates, FN(done), ctx);

	c->refs = call_refs(c, ref, 1);
	return call_go(c);
}

static void apply_cache_get(struct call *c)
{
	c->outcome = BF_STORE_DONE;
}

/* The asker's own candidates are filled when he is told, as the door has it. */
static void tell_cache_get(struct call *c, const struct bf_error *err)
{
	if (!err) {
		sim_db_clock();
		model_cache_get(w.model, c->v, c->a);
	}
	tell_outcome(c, err);
}

struct bf_op *bf_store_cache_get(
	struct bf_store *s, struct bf_candidate *v, int n, bf_store_done *done, void *ctx)
{
	struct call *c = call_new(
		s, "cache_get", false, apply_cache_get, tell_cache_get, FN(done), ctx);

	c->v = v;
	c->a = n;
	return call_go(c);
}

/* ---- the end of a month ---- */
static void apply_complete(struct call *c)
{
	struct audit a = audit_begin(&c->step);

	c->outcome = model_complete(w.model, &c->step, c->a);
	audit_end(&a, c->outcome);
}

struct bf_op *bf_store_complete(struct bf_store *s, const struct bf_step *step, int max_retries,
	bf_store_done *done, void *ctx)
{
	struct call *c = step_call(s, "complete", step, apply_complete, done, ctx);

	c->a = max_retries;
	return call_go(c);
}

static void apply_fail(struct call *c)
{
	struct audit a = audit_begin(&c->step);

	c->outcome = model_fail(w.model, &c->step, c->v);
	audit_end(&a, c->outcome);
}

struct bf_op *bf_store_fail(struct bf_store *s, const struct bf_step *step,
	const struct bf_failure *failure, bf_store_done *done, void *ctx)
{
	struct call *c = step_call(s, "fail", step, apply_fail, done, ctx);
	struct bf_failure *f = bf_arena_alloc(c->arena, sizeof *f);

	*f = *failure;
	f->error = bf_arena_strdup(c->arena, failure->error);
	f->resume_stage = bf_arena_strdup(c->arena, failure->resume_stage);
	c->v = f;
	audit_failure(&c->step, f);
	return call_go(c);
}

static void apply_release(struct call *c)
{
	struct audit a = audit_begin(&c->step);

	c->outcome = model_release(w.model, &c->step);
	audit_end(&a, c->outcome);
}

struct bf_op *bf_store_release(
	struct bf_store *s, const struct bf_step *step, bf_store_done *done, void *ctx)
{
	return call_go(step_call(s, "release", step, apply_release, done, ctx));
}

static void apply_touch(struct call *c)
{
	c->n_ret = model_touch(w.model, c->refs, c->n, lost_of(c, c->n));
}

struct bf_op *bf_store_touch(struct bf_store *s, const struct bf_month_ref *refs, int n,
	bf_store_lost_done *done, void *ctx)
{
	struct call *c = call_new(s, "touch", false, apply_touch, tell_lost, FN(done), ctx);

	c->refs = call_refs(c, refs, n);
	return call_go(c);
}

static void apply_job(struct call *c)
{
	c->outcome = model_job(w.model, c->v, c->text, c->text2);
}

struct bf_op *bf_store_job(struct bf_store *s, const char *job_id, const char *status,
	const char *progress, const char *stats_json, const char *error, bf_store_done *done,
	void *ctx)
{
	struct call *c = call_new(s, "job", false, apply_job, tell_outcome, FN(done), ctx);

	(void)progress;
	(void)stats_json;
	c->v = bf_arena_strdup(c->arena, job_id);
	c->text = bf_arena_strdup(c->arena, status);
	c->text2 = bf_arena_strdup(c->arena, error);
	return call_go(c);
}

/* ---- flush ---- */
static void apply_flush(struct call *c)
{
	struct bf_flush *f = c->v;
	struct bf_month_ref *refs = lost_of(c, f->n_resolutions + f->n_usage);

	c->n_ret = model_flush_busy(w.model, f, refs);
	c->flag = c->n_ret > 0;
	if (c->flag)
		return;
	audit_flush(f);
	c->n_ret = model_flush(w.model, f, refs);
}

/* Months whose rows are locked: nothing was written, and they are named. */
static void tell_flush(struct call *c, const struct bf_error *err)
{
	struct bf_error busy;

	if (err || !c->flag) {
		tell_lost(c, err);
		return;
	}
	inv_flush_busy(call_inst(c), c->v);
	bf_error_set(&busy, BF_ERR_RETRY, "months locked by another session: %d", c->n_ret);
	DONE(c, bf_store_lost_done)(c->ctx, &busy, c->ret, c->n_ret);
}

static void flush_copy_resolutions(struct bf_arena *arena, struct bf_flush *to, const struct bf_flush *f)
{
	struct bf_resolution *v = bf_arena_alloc(arena, ((size_t)f->n_resolutions + 1) * sizeof *v);

	for (int i = 0; i < f->n_resolutions; i++) {
		v[i] = f->resolutions[i];
		v[i].resolved_by = bf_arena_strdup(arena, v[i].resolved_by);
		v[i].answers_json = v[i].record_json = NULL;
	}
	to->resolutions = v;
}

static void flush_copy_cache(struct bf_arena *arena, struct bf_flush *to, const struct bf_flush *f)
{
	struct bf_cache_put *v = bf_arena_alloc(arena, ((size_t)f->n_cache + 1) * sizeof *v);

	for (int i = 0; i < f->n_cache; i++) {
		v[i] = f->cache[i];
		v[i].title_key = bf_arena_strdup(arena, v[i].title_key);
		v[i].author_key = bf_arena_strdup(arena, v[i].author_key);
		v[i].isbn13 = bf_arena_strdup(arena, v[i].isbn13);
		v[i].record_json = bf_arena_strdup(arena, v[i].record_json);
	}
	to->cache = v;
}

struct bf_op *bf_store_flush(
	struct bf_store *s, const struct bf_flush *f, bf_store_lost_done *done, void *ctx)
{
	struct call *c = call_new(s, "flush", false, apply_flush, tell_flush, FN(done), ctx);
	struct bf_flush *to = bf_arena_alloc(c->arena, sizeof *to);
	struct bf_usage *usage = bf_arena_alloc(c->arena, ((size_t)f->n_usage + 1) * sizeof *usage);

	*to = *f;
	flush_copy_resolutions(c->arena, to, f);
	flush_copy_cache(c->arena, to, f);
	if (f->n_usage)
		memcpy(usage, f->usage, (size_t)f->n_usage * sizeof *usage);
	to->usage = usage;
	to->records = NULL;
	to->n_records = 0;
	c->v = to;
	c->refusable = true;
	inv_flush_begins(call_inst(c), to);
	return call_go(c);
}

/* ---- units ---- */
struct reserve_call { struct bf_reserve want[64]; struct bf_reserved got; bool happened, make_row; };

static void apply_reserve(struct call *c)
{
	struct reserve_call *r = c->v;

	r->happened = model_reserve(
		w.model, c->provider, c->a, c->b, r->make_row, r->want, c->n, &r->got);
	if (r->happened)
		audit_reserve(c->provider, c->a, c->b, r->want, &r->got, c->n);
}

/* Units were counted, and nobody knows. */
static void dropped_reserve(struct call *c)
{
	const struct reserve_call *r = c->v;

	if (c->applied && r->happened)
		for (int i = 0; i < c->n; i++)
			inv_units_lost(c->provider, &r->want[i].ref, r->got.granted[i]);
}

static void tell_reserve(struct call *c, const struct bf_error *err)
{
	struct reserve_call *r = c->v;
	struct bf_error gone;

	if (!err && !r->happened) {
		bf_error_set(&gone, BF_ERR_RETRY, "reserving: today's row is gone");
		err = &gone;
	}
	if (err) {
		*store_quota_row_until(c->store, c->provider) = 0;
		DONE(c, bf_store_reserve_done)(c->ctx, err, NULL);
		return;
	}
	*store_quota_row_until(c->store, c->provider) =
		bf_now_us() + (uint64_t)r->got.reset_in_ms * 1000;
	for (int i = 0; i < c->n; i++)
		if (r->got.granted[i])
			inv_granted(call_inst(c), c->provider, &r->want[i].ref, r->got.granted[i]);
	DONE(c, bf_store_reserve_done)(c->ctx, NULL, &r->got);
}

struct bf_op *bf_store_reserve(struct bf_store *s, enum bf_provider_id provider, int daily_limit,
	int reserve, const struct bf_reserve *v, int n, bf_store_reserve_done *done, void *ctx)
{
	struct call *c = call_new(s, "reserve", false, apply_reserve, tell_reserve, FN(done), ctx);
	struct reserve_call *r = bf_arena_alloc(c->arena, sizeof *r);

	memcpy(r->want, v, (size_t)n * sizeof *v);
	r->make_row = bf_now_us() >= *store_quota_row_until(s, provider);
	c->v = r;
	c->n = n;
	c->a = daily_limit;
	c->b = reserve;
	c->provider = provider;
	c->dropped = dropped_reserve;
	return call_go(c);
}

/* ---- shared state of providers ---- */
static void apply_close(struct call *c)
{
	model_close_provider(w.model, c->v);
	c->outcome = BF_STORE_DONE;
}

struct bf_op *bf_store_close_provider(struct bf_store *s,
	const struct bf_provider_closure *closure, bf_store_done *done, void *ctx)
{
	struct call *c = call_new(s, "close_provider", false, apply_close, tell_outcome, FN(done), ctx);
	struct bf_provider_closure *v = bf_arena_alloc(c->arena, sizeof *v);

	*v = *closure;
	v->reason = bf_arena_strdup(c->arena, closure->reason);
	c->v = v;
	return call_go(c);
}

static void apply_open(struct call *c)
{
	model_open_provider(w.model, c->provider);
	c->outcome = BF_STORE_DONE;
}

struct bf_op *bf_store_open_provider(
	struct bf_store *s, enum bf_provider_id provider, bf_store_done *done, void *ctx)
{
	struct call *c = call_new(s, "open_provider", false, apply_open, tell_outcome, FN(done), ctx);

	c->provider = provider;
	return call_go(c);
}

static void apply_probe(struct call *c)
{
	c->outcome = model_probe_provider(w.model, c->provider, c->ms) ? BF_STORE_DONE
								      : BF_STORE_REFUSED;
}

struct bf_op *bf_store_probe_provider(struct bf_store *s, enum bf_provider_id provider,
	int64_t hold_ms, bf_store_done *done, void *ctx)
{
	struct call *c = call_new(s, "probe_provider", false, apply_probe, tell_outcome, FN(done), ctx);

	c->provider = provider;
	c->ms = hold_ms;
	return call_go(c);
}
