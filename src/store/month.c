/*
 * month: the writes of a month's owner that concern the month as a whole. Its books are in books.c.
 */
#include <string.h>
#include "call.h"

/* The ten parameters every step begins with. */
static void step_params(struct params *p, const struct bf_store *s, const struct bf_step *step)
{
	params_init(p);
	params_int(p, step->ref.year);
	params_int(p, step->ref.month);
	params_int(p, step->ref.fence);
	params_int(p, step->step);
	params_text(p, s->instance);
	params_id(p, step->job_id);
	params_text(p, step->from);
	params_text(p, step->to);
	params_text(p, step->event != NULL ? step->event : "step");
	params_json(p, step->detail_json);
}

/* A call that answers with an outcome. */
static struct call *outcome_call(struct bf_store *s, bf_store_done *done, void *ctx)
{
	struct call *c = call_new(s, call_read_outcome, ctx);

	c->tell.done = done;
	return c;
}

struct bf_op *bf_store_step(
	struct bf_store *s, const struct bf_step *step, bf_store_done *done, void *ctx)
{
	struct params p;

	step_params(&p, s, step);
	return call_query(outcome_call(s, done, ctx), s->pool, &sql_step, &p);
}

struct bf_op *bf_store_answer(struct bf_store *s, const struct bf_step *step,
	const struct bf_answer *a, bf_store_done *done, void *ctx)
{
	struct params p;

	step_params(&p, s, step);
	params_int(&p, a->round);
	params_text(&p, bf_provider_names[a->provider]);
	params_text(&p, a->variant);
	params_text(&p, a->model);
	params_text(&p, a->outcome != NULL ? a->outcome : "");
	params_text(&p, a->reason);
	params_text(&p, a->text);
	params_int(&p, a->tokens_in);
	params_int(&p, a->tokens_out);
	params_money(&p, a->cost_usd);
	params_int(&p, a->latency_ms);
	params_int(&p, a->http);
	return call_query(outcome_call(s, done, ctx), s->pool, &sql_answer, &p);
}

/* The stored answers; one of a provider this program does not know is left out. */
static void read_answers(
	struct call *c, const struct bf_error *err, PGresult *const *results, int n)
{
	int rows = err == NULL && n > 0 ? PQntuples(results[0]) : 0;
	struct bf_answer *v = bf_arena_alloc(c->arena, (size_t)(rows + 1) * sizeof(*v));
	int found = 0;

	for (int i = 0; i < rows; i++) {
		const PGresult *r = results[0];
		const char *name = call_text(r, i, "provider");
		int provider = name != NULL ? bf_provider_by_name(name) : -1;

		if (provider < 0)
			continue;
		v[found++] = (struct bf_answer){
			.provider = (enum bf_provider_id)provider,
			.round = (int)call_int(r, i, "round"),
			.variant = call_text(r, i, "variant"),
			.model = call_text(r, i, "model"),
			.outcome = call_text(r, i, "outcome"),
			.reason = call_text(r, i, "reason"),
			.text = call_text(r, i, "body"),
			.http = (int)call_int(r, i, "http_status"),
			.tokens_in = call_int(r, i, "tokens_in"),
			.tokens_out = call_int(r, i, "tokens_out"),
			.cost_usd = call_dbl(r, i, "cost_usd", 0),
			.latency_ms = call_int(r, i, "latency_ms"),
		};
	}
	c->tell.answers(c->ctx, err, v, found);
}

struct bf_op *bf_store_answers(struct bf_store *s, const struct bf_month_ref *ref, int round,
			       bf_store_answers_done *done, void *ctx)
{
	struct call *c = call_new(s, read_answers, ctx);
	struct params p;

	c->tell.answers = done;
	params_init(&p);
	params_int(&p, ref->year);
	params_int(&p, ref->month);
	params_int(&p, round);
	return call_query(c, s->pool, &sql_answers, &p);
}

struct bf_op *bf_store_complete(struct bf_store *s, const struct bf_step *step, int max_retries,
	bf_store_done *done, void *ctx)
{
	struct params p;

	step_params(&p, s, step);
	params_int(&p, max_retries);
	return call_query(outcome_call(s, done, ctx), s->pool, &sql_complete, &p);
}

struct bf_op *bf_store_fail(struct bf_store *s, const struct bf_step *step,
	const struct bf_failure *f, bf_store_done *done, void *ctx)
{
	struct params p;

	step_params(&p, s, step);
	params_text(&p, f->error);
	params_int(&p, f->wait_ms > 0 ? f->wait_ms : 0);
	params_bool(&p, f->counted);
	params_bool(&p, f->permanent);
	params_bool(&p, f->next_round);
	params_text(&p, f->resume_stage);
	return call_query(outcome_call(s, done, ctx), s->pool, &sql_fail, &p);
}

struct bf_op *bf_store_release(
	struct bf_store *s, const struct bf_step *step, bf_store_done *done, void *ctx)
{
	struct params p;

	step_params(&p, s, step);
	return call_query(outcome_call(s, done, ctx), s->pool, &sql_release, &p);
}

struct bf_op *bf_store_touch(struct bf_store *s, const struct bf_month_ref *refs, int n,
	bf_store_lost_done *done, void *ctx)
{
	struct call *c = call_new(s, call_read_lost, ctx);
	struct params p;

	c->tell.lost = done;
	params_init(&p);
	call_refs(&p, refs, n);
	return call_query(c, s->pool, &sql_touch, &p);
}

struct bf_op *bf_store_job(struct bf_store *s, const char *job_id, const char *status,
	const char *progress, const char *stats_json, const char *error, bf_store_done *done,
	void *ctx)
{
	struct params p;

	params_init(&p);
	params_text(&p, job_id);
	params_text(&p, status);
	params_text(&p, progress);
	params_json(&p, stats_json);
	params_text(&p, error);
	return call_query(outcome_call(s, done, ctx), s->pool, &sql_job, &p);
}
