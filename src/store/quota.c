/*
 * quota: units counted before they are sent, and the closures of providers that all instances
 * share.
 */
#include <string.h>
#include "call.h"

#define RESERVE_MAX 64

/* What was granted; without a row for today nothing was, and the call is to be repeated. */
static void read_reserve(
	struct call *c, const struct bf_error *err, PGresult *const *results, int n)
{
	struct bf_store *s = c->store;
	struct bf_reserved reply;
	const PGresult *r = err == NULL && n > 0 ? results[n - 1] : NULL;
	struct bf_error none;

	memset(&reply, 0, sizeof(reply));
	if (r != NULL && call_text(r, 0, "used") == NULL) {
		bf_error_set(&none, BF_ERR_RETRY, "reserving %s units: today's row is gone",
			bf_provider_names[c->provider]);
		err = &none;
		r = NULL;
	}
	if (r == NULL) {
		s->quota_row_until_us[c->provider] = 0;
		c->tell.reserve(c->ctx, err, NULL);
		return;
	}
	for (int i = 0; i < PQntuples(r); i++) {
		int64_t k = call_int(r, i, "index");

		if (k < 0 || k >= RESERVE_MAX)
			continue;
		reply.granted[k] = (int)call_int(r, i, "granted");
		reply.lost[k] = call_bool(r, i, "lost");
		reply.busy[k] = call_bool(r, i, "busy");
	}
	reply.used = call_int(r, 0, "used");
	call_copy(reply.reset_at, sizeof(reply.reset_at), r, 0, "reset_at");
	reply.reset_in_ms = call_int(r, 0, "reset_in_ms");
	s->quota_row_until_us[c->provider] = bf_now_us() + (uint64_t)reply.reset_in_ms * 1000;
	c->tell.reserve(c->ctx, NULL, &reply);
}

struct bf_op *bf_store_reserve(struct bf_store *s, enum bf_provider_id provider, int daily_limit,
	int reserve, const struct bf_reserve *v, int n, bf_store_reserve_done *done, void *ctx)
{
	struct call *c = call_new(s, read_reserve, ctx);
	struct bf_month_ref refs[RESERVE_MAX];
	struct params p, row;

	c->tell.reserve = done;
	c->provider = provider;
	if (n < 1 || n > RESERVE_MAX)
		return call_refuse(c, "reserve takes 1 to 64 wishes");
	for (int i = 0; i < n; i++)
		refs[i] = v[i].ref;
	params_init(&p);
	params_text(&p, bf_provider_names[provider]);
	params_int(&p, daily_limit);
	params_int(&p, reserve);
	call_refs(&p, refs, n);
	params_open(&p);
	for (int i = 0; i < n; i++)
		params_item_int(&p, v[i].units > 0 ? v[i].units : 0);
	params_close(&p);
	if (bf_now_us() < s->quota_row_until_us[provider])
		return call_query(c, s->pool, &sql_reserve, &p);
	params_init(&row);
	params_text(&row, bf_provider_names[provider]);
	params_int(&row, daily_limit);
	params_int(&row, reserve);
	return call_pair(c, s->pool, &sql_quota_row, &row, &sql_reserve, &p);
}

struct bf_op *bf_store_quota_used(
	struct bf_store *s, enum bf_provider_id provider, bf_store_count_done *done, void *ctx)
{
	struct call *c = call_new(s, call_read_count, ctx);
	struct params p;

	c->tell.count = done;
	params_init(&p);
	params_text(&p, bf_provider_names[provider]);
	return call_query(c, s->pool, &sql_quota_used, &p);
}

struct bf_op *bf_store_close_provider(
	struct bf_store *s, const struct bf_provider_closure *v, bf_store_done *done, void *ctx)
{
	static const char *const kinds[] = {
		[BF_CLOSURE_NONE] = "none",
		[BF_CLOSURE_CIRCUIT] = "circuit",
		[BF_CLOSURE_QUOTA] = "quota",
		[BF_CLOSURE_RATE] = "rate",
		[BF_CLOSURE_BAN] = "ban",
	};
	struct call *c = call_new(s, call_read_outcome, ctx);
	struct params p;

	c->tell.done = done;
	params_init(&p);
	params_text(&p, bf_provider_names[v->provider]);
	params_text(&p, kinds[v->kind]);
	params_int(&p, v->remaining_ms > 0 ? v->remaining_ms : 0);
	params_int(&p, v->failures);
	params_text(&p, v->reason);
	params_text(&p, s->instance);
	return call_query(c, s->pool, &sql_close_provider, &p);
}

struct bf_op *bf_store_open_provider(
	struct bf_store *s, enum bf_provider_id provider, bf_store_done *done, void *ctx)
{
	struct call *c = call_new(s, call_read_outcome, ctx);
	struct params p;

	c->tell.done = done;
	params_init(&p);
	params_text(&p, bf_provider_names[provider]);
	params_text(&p, s->instance);
	return call_query(c, s->pool, &sql_open_provider, &p);
}

struct bf_op *bf_store_probe_provider(struct bf_store *s, enum bf_provider_id provider,
	int64_t hold_ms, bf_store_done *done, void *ctx)
{
	struct call *c = call_new(s, call_read_outcome, ctx);
	struct params p;

	c->tell.done = done;
	params_init(&p);
	params_text(&p, bf_provider_names[provider]);
	params_int(&p, hold_ms);
	params_text(&p, s->instance);
	return call_query(c, s->pool, &sql_probe_provider, &p);
}
