/*
 * alert_routes: the alerts, open ones first. PostgreSQL writes the JSON.
 */
#include "handlers.h"
#include <string.h>

#define LIMIT_MAX 1000

struct alerts_ask {
	int limit;
};
const struct body_field alert_routes_query[] = {
	BODY_INT_FIELD("limit", 1, LIMIT_MAX, struct alerts_ask, limit, .preset = "100",
		.help = "how many at most; open ones come first"),
	BODY_END,
};

static void on_alerts(void *ctx, const struct bf_error *err, const char *json)
{
	struct request *rq = ctx;

	rq->op = NULL;
	if (err != NULL)
		reply_store_error(rq, err);
	else
		reply_json(rq, 200, json != NULL ? json : "{}", json != NULL ? strlen(json) : 2);
}

/* GET /api/internal/alerts */
void alert_routes_list(struct request *rq)
{
	struct body_problems problems = { 0 };
	struct alerts_ask ask;

	handlers_query(rq, &ask, &problems);
	if (!handlers_refuse(rq, &problems) && !handlers_database_away(rq))
		rq->op = bf_store_alerts_json(rq->admin->parts.store, ask.limit, on_alerts, rq);
}
