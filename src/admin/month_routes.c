/*
 * month_routes: what an operator does to one month. The action is one atomic statement of the store; the answer is the month
 * as it is afterwards.
 */
#include "handlers.h"
#include <stdlib.h>
#include <string.h>

struct month_ask {
	enum bf_operator_action action;
	bool refused;
};

/* What the action is called in a sentence. */
static const char *action_name(enum bf_operator_action action)
{
	switch (action) {
	case BF_OPERATOR_RETRY: return "retried";
	case BF_OPERATOR_CANCEL: return "cancelled";
	case BF_OPERATOR_RESET: return "reset";
	}
	return "changed";
}

/* The status in a month's JSON; it may stand below a key of its own. */
static const char *status_of(const char *json, struct bf_arena *arena)
{
	struct bf_json *doc = bf_json_parse(
		json, strlen(json), &bf_json_limits_default, false, &(struct bf_error){ 0 });
	const char *status;

	if (doc == NULL)
		return NULL;
	status = bf_json_str(bf_json_get(bf_json_root(doc), "status"), arena);
	if (status == NULL)
		status = bf_json_str(bf_json_path(bf_json_root(doc), "month.status"), arena);
	bf_json_free(doc);
	return status;
}

/* The month as it is: the answer, or the reason of a 409. */
static void on_month(void *ctx, const struct bf_error *err, const char *json)
{
	struct request *rq = ctx;
	const struct month_ask *ask = rq->state;
	const char *status;

	rq->op = NULL;
	if (err != NULL) {
		reply_store_error(rq, err);
	} else if (json == NULL) {
		reply_error(rq, 404, "Not found: there is no row for %d-%02d", rq->params.year,
			rq->params.month);
	} else if (ask->refused) {
		status = status_of(json, rq->arena);
		reply_error(rq, 409, "Month %d-%02d is %s and can't be %s", rq->params.year,
			rq->params.month, status != NULL ? status : "in another state",
			action_name(ask->action));
	} else {
		reply_json(rq, 200, json, strlen(json));
	}
}

/* This process may hold the month: its fence is old now. */
static void drop_held(struct bf_months *months, int year, int month)
{
	int n = bf_months_count(months);
	struct bf_month_ref *refs = bf_xcalloc((size_t)n + 1, sizeof(*refs));

	n = bf_months_refs(months, refs, n, false);
	for (int i = 0; i < n; i++) {
		if (refs[i].year == year && refs[i].month == month)
			bf_months_lost(months, &refs[i]);
	}
	free(refs);
}

/* The action is done, or was not possible. */
static void on_action(void *ctx, const struct bf_error *err, enum bf_store_outcome outcome)
{
	struct request *rq = ctx;
	struct month_ask *ask = rq->state;

	rq->op = NULL;
	if (err != NULL) {
		reply_store_error(rq, err);
		return;
	}
	switch (outcome) {
	case BF_STORE_NOT_MINE:
		reply_error(rq, 404, "Not found: there is no row for %d-%02d", rq->params.year,
			rq->params.month);
		return;
	case BF_STORE_REFUSED: ask->refused = true; break;
	case BF_STORE_DONE:
		if (ask->action == BF_OPERATOR_CANCEL)
			drop_held(rq->admin->parts.months, rq->params.year, rq->params.month);
		break;
	}
	rq->op = bf_store_month_json(
		rq->admin->parts.store, rq->params.year, rq->params.month, on_month, rq);
}

/* Starts any of the three. */
static void act(struct request *rq, enum bf_operator_action action)
{
	struct month_ask *ask;

	if (!handlers_body(rq, NULL) || handlers_database_away(rq))
		return;
	ask = bf_arena_alloc(rq->arena, sizeof(*ask));
	ask->action = action;
	rq->state = ask;
	rq->op = bf_store_operator(
		rq->admin->parts.store, action, rq->params.year, rq->params.month, on_action, rq);
}

/* POST /api/internal/months/{y}/{m}/retry */
void month_routes_retry(struct request *rq)
{
	act(rq, BF_OPERATOR_RETRY);
}

/* POST /api/internal/months/{y}/{m}/cancel */
void month_routes_cancel(struct request *rq)
{
	act(rq, BF_OPERATOR_CANCEL);
}

/* POST /api/internal/months/{y}/{m}/reset */
void month_routes_reset(struct request *rq)
{
	act(rq, BF_OPERATOR_RESET);
}
