/*
 * operator: what operators do to months, to one by its name or to many by what they have in common; one statement each.
 */
#include "call.h"

/* How to ask for a month once more; the parameters of operator_again up to the status. */
static void again_params(struct params *p, const struct bf_store *s, bool dry_run, const char *how,
	int year_low, int year_high)
{
	params_init(p);
	params_text(p, s->instance);
	params_bool(p, dry_run);
	params_text(p, how);
	params_int(p, year_low);
	params_int(p, year_high);
}

struct bf_op *bf_store_operator(struct bf_store *s, enum bf_operator_action action, int year,
	int month, bf_store_done *done, void *ctx)
{
	struct call *c = call_new(s, call_read_outcome, ctx);
	struct params p;

	c->tell.done = done;
	if (action == BF_OPERATOR_CANCEL) {
		params_init(&p);
		params_int(&p, year);
		params_int(&p, month);
		params_text(&p, s->instance);
		return call_query(c, s->pool, &sql_operator_cancel, &p);
	}
	again_params(&p, s, false, action == BF_OPERATOR_RETRY ? "retry" : "reset", year, year);
	params_int(&p, month);
	params_null(&p);
	params_null(&p);
	params_null(&p);
	params_int(&p, 1);
	return call_query(c, s->pool, &sql_operator_again, &p);
}

/* One row: the totals and the list. */
static void read_again(struct call *c, const struct bf_error *err, PGresult *const *results, int n)
{
	const PGresult *r = err == NULL && n > 0 ? results[0] : NULL;
	struct bf_again_reply reply = { 0 };

	if (r != NULL) {
		reply.matched = (int)call_int(r, 0, "matched");
		reply.retried = (int)call_int(r, 0, "retried");
		reply.reset = (int)call_int(r, 0, "reset");
		reply.batch_size = call_dbl(r, 0, "batch_size", 0);
		reply.months = call_text(r, 0, "months");
	}
	c->tell.again(c->ctx, err, r != NULL ? &reply : NULL);
}

struct bf_op *bf_store_again(
	struct bf_store *s, const struct bf_again *a, bf_store_again_done *done, void *ctx)
{
	struct call *c = call_new(s, read_again, ctx);
	struct params p;

	c->tell.again = done;
	again_params(&p, s, a->dry_run, NULL, a->year_low, a->year_high);
	params_null(&p);
	params_text(&p, a->status);
	if (a->rate_below > 0)
		params_int(&p, a->rate_below);
	else
		params_null(&p);
	params_text(&p, a->refused_by);
	params_int(&p, a->limit);
	return call_query(c, s->pool, &sql_operator_again, &p);
}
