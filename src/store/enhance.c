/*
 * enhance: synthetic works without an ISBN become items of the queue, and what came of such an item.
 */
#include "call.h"
#include <string.h>

#define ANSWERS_MAX 65536
#define RECORD_MAX  4096

struct bf_op *bf_store_enhance(
	struct bf_store *s, int limit, int max_retries, bf_store_count_done *done, void *ctx)
{
	struct call *c = call_new(s, call_read_count, ctx);
	struct params p;

	c->tell.count = done;
	params_init(&p);
	params_int(&p, limit);
	params_int(&p, max_retries);
	return call_query(c, s->pool, &sql_enhance, &p);
}

/* The item's outcome is the first statement's. */
static void read_enhanced(
	struct call *c, const struct bf_error *err, PGresult *const *results, int n)
{
	call_read_outcome(c, err, results, err == NULL && n > 1 ? 1 : n);
}

/* A JSON text that is not longer than it may be. */
static const char *fitting(const char *json, size_t max)
{
	return json != NULL && strlen(json) <= max ? json : NULL;
}

struct bf_op *bf_store_enhanced(
	struct bf_store *s, const struct bf_enhanced *v, bf_store_done *done, void *ctx)
{
	struct call *c = call_new(s, read_enhanced, ctx);
	struct params p, q;

	c->tell.done = done;
	params_init(&p);
	params_text(&p, v->ref.id);
	params_int(&p, v->ref.fence);
	params_text(&p, v->work_key);
	params_text(&p, v->isbn13);
	params_text(&p, v->resolved_by);
	params_json(&p, fitting(v->answers_json, ANSWERS_MAX));
	params_int(&p, v->confidence);
	params_json(&p, fitting(v->record_json, RECORD_MAX));
	params_int(&p, v->max_retries);
	params_text(&p, s->instance);
	params_init(&q);
	params_text(&q, s->instance);
	params_text(&q, v->work_key);
	params_text(&q, v->isbn13);
	params_text(&q, v->resolved_by);
	return call_pair(c, s->pool, &sql_enhanced, &p, &sql_enhanced_months, &q);
}
