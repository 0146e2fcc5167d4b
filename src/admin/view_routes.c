/*
 * view_routes: the questions that change nothing. PostgreSQL writes most of the JSON; here it is passed on.
 */
#include "handlers.h"
#include <stdio.h>
#include <string.h>

/* GET /api/internal/backfill-stats */
void view_routes_stats(struct request *rq)
{
	if (!handlers_database_away(rq))
		rq->op = bf_store_stats_json(rq->admin->parts.store, handlers_show, rq);
}

/* GET /api/internal/months */
void view_routes_months(struct request *rq)
{
	if (!handlers_database_away(rq))
		rq->op = bf_store_months_json(rq->admin->parts.store, handlers_show, rq);
}

/* GET /api/internal/months/{y}/{m} */
void view_routes_month(struct request *rq)
{
	if (!handlers_database_away(rq))
		rq->op = bf_store_month_json(rq->admin->parts.store, rq->params.year,
			rq->params.month, handlers_show, rq);
}

/* GET /api/harvest/backfill/status/{job_id} */
void view_routes_job(struct request *rq)
{
	if (!handlers_database_away(rq))
		rq->op = bf_store_job_json(
			rq->admin->parts.store, rq->params.job_id, handlers_show, rq);
}

/* GET /api/quota/status */
void view_routes_quota(struct request *rq)
{
	struct bf_quota_limits limits = { 0 };

	if (handlers_database_away(rq))
		return;
	for (int id = 0; id < BF_NPROVIDERS; id++) {
		limits.daily_limit[id] = bf_provider_daily_limit(
			rq->admin->parts.providers, (enum bf_provider_id)id, &limits.reserve[id]);
	}
	rq->op = bf_store_quota_json(rq->admin->parts.store, &limits, handlers_show, rq);
}

struct config_walk {
	struct bf_jw jw;
	char section[64];
};

/* One key of the configuration; keys of a section come one after the other. */
static void on_key(
	void *ctx, const char *section, const char *key, const char *value, bool reloadable)
{
	struct config_walk *walk = ctx;

	(void)reloadable;
	if (strcmp(section, walk->section) != 0) {
		if (walk->section[0] != '\0')
			bf_jw_end_obj(&walk->jw);
		bf_jw_key(&walk->jw, section);
		bf_jw_obj(&walk->jw);
		snprintf(walk->section, sizeof(walk->section), "%s", section);
	}
	bf_jw_key(&walk->jw, key);
	bf_jw_str(&walk->jw, value);
}

/* GET /api/internal/config */
void view_routes_config(struct request *rq)
{
	struct config_walk walk = { .section = "" };
	struct bf_buf buf;

	bf_buf_init(&buf, 1024 * 1024);
	bf_jw_init(&walk.jw, &buf);
	bf_jw_obj(&walk.jw);
	bf_config_each(rq->admin->config, on_key, &walk);
	if (walk.section[0] != '\0')
		bf_jw_end_obj(&walk.jw);
	bf_jw_end_obj(&walk.jw);
	reply_buf(rq, 200, &buf);
}
