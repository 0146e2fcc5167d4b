/*
 * months_routes: many months at once, by what they have in common. What an operator would do to each of them by its name
 * becomes one statement; without being told otherwise it only says which months it would be.
 */
#include "estimate.h"
#include "handlers.h"
#include <string.h>

#define YEAR_MIN   1900
#define YEAR_MAX   2100
#define MONTHS_MAX 2412	/* as many as there are from YEAR_MIN to YEAR_MAX */

static const char *const statuses[] = { "failed", "retry" };

struct again_ask {
	struct bf_again again;
	struct bf_plan_figures figures;
};
static const struct body_field again_years[] = {
	BODY_INT_FIELD("start", YEAR_MIN, YEAR_MAX, struct again_ask, again.year_low,
		.help = "the first of all where it is missing"),
	BODY_INT_FIELD("end", YEAR_MIN, YEAR_MAX, struct again_ask, again.year_high,
		.help = "the last of all where it is missing"),
	BODY_END,
};
const struct body_field months_routes_retry_body[] = {
	BODY_ENUM_FIELD("status", statuses, BF_COUNT(statuses), struct again_ask, again.status,
		.help = "only months of this status"),
	BODY_INT_FIELD("rate_below", 1, 100, struct again_ask, again.rate_below,
		.help = "only completed months with a smaller resolution rate, or none; they are reset"),
	BODY_ENUM_FIELD("refused_by", bf_provider_names, BF_NAIS, struct again_ask, again.refused_by,
		.help = "only months for which this AI's newest answer was no list of books"),
	BODY_OBJ_FIELD("year_range", again_years, .help = "only months of these years, in either order"),
	BODY_INT_FIELD("limit", 1, MONTHS_MAX, struct again_ask, again.limit, .preset = "2412",
		.help = "how many months at most, newest first"),
	BODY_BOOL_FIELD("dry_run", struct again_ask, again.dry_run, .preset = "true",
		.help = "only tell which months; an empty body must not buy anything again"),
	BODY_END,
};

static void write_count(struct bf_jw *jw, const char *key, int n)
{
	bf_jw_key(jw, key);
	bf_jw_int(jw, n);
}

/* Which months it is, or would be. */
static void on_again(void *ctx, const struct bf_error *err, const struct bf_again_reply *reply)
{
	struct request *rq = ctx;
	const struct again_ask *ask = rq->state;
	struct bf_buf buf;
	struct bf_jw jw;

	rq->op = NULL;
	if (err != NULL) {
		reply_store_error(rq, err);
		return;
	}
	bf_buf_init(&buf, REPLY_MAX_BYTES);
	bf_jw_init(&jw, &buf);
	bf_jw_obj(&jw);
	bf_jw_key(&jw, "dry_run");
	bf_jw_bool(&jw, ask->again.dry_run);
	write_count(&jw, "matched", reply->matched);
	write_count(&jw, "retried", reply->retried);
	write_count(&jw, "reset", reply->reset);
	bf_jw_key(&jw, "months");
	if (reply->months != NULL)
		bf_jw_raw(&jw, reply->months, strlen(reply->months));
	else
		bf_jw_raw(&jw, "[]", 2);
	bf_jw_key(&jw, "estimate");
	estimate_write(&jw, rq->admin, reply->matched, reply->batch_size, &ask->figures);
	bf_jw_end_obj(&jw);
	reply_buf(rq, 200, &buf);
}

/* What months cost of late is known. */
static void on_figures(void *ctx, const struct bf_error *err, const struct bf_plan_figures *figures)
{
	struct request *rq = ctx;
	struct again_ask *ask = rq->state;

	rq->op = NULL;
	if (err != NULL) {
		reply_store_error(rq, err);
		return;
	}
	ask->figures = *figures;
	ask->figures.since = bf_arena_strdup(rq->arena, figures->since);
	rq->op = bf_store_again(rq->admin->parts.store, &ask->again, on_again, rq);
}

/* A range in either order; what is missing of it is open. */
static void settle_years(struct bf_again *a)
{
	int low = a->year_low != 0 ? a->year_low : YEAR_MIN;
	int high = a->year_high != 0 ? a->year_high : YEAR_MAX;

	a->year_low = low < high ? low : high;
	a->year_high = low < high ? high : low;
}

/* POST /api/internal/months/retry */
void months_routes_retry(struct request *rq)
{
	struct again_ask *ask = bf_arena_alloc(rq->arena, sizeof(*ask));
	struct body_problems problems = { 0 };

	if (!handlers_body(rq, ask))
		return;
	if (ask->again.status == NULL && ask->again.rate_below == 0 && ask->again.refused_by == NULL)
		body_problem(&problems, "", "give status, rate_below or refused_by");
	if (handlers_refuse(rq, &problems) || handlers_database_away(rq))
		return;
	settle_years(&ask->again);
	rq->state = ask;
	rq->op = bf_store_plan_figures(rq->admin->parts.store, on_figures, rq);
}
