/*
 * alert_routes: the alerts, open ones first. PostgreSQL writes the JSON.
 */
#include "handlers.h"

#define LIMIT_MAX 1000

struct alerts_ask {
	int limit;
};
const struct body_field alert_routes_query[] = {
	BODY_INT_FIELD("limit", 1, LIMIT_MAX, struct alerts_ask, limit, .preset = "100",
		.help = "how many at most; open ones come first"),
	BODY_END,
};

/* GET /api/internal/alerts */
void alert_routes_list(struct request *rq)
{
	struct body_problems problems = { 0 };
	struct alerts_ask ask;

	handlers_query(rq, &ask, &problems);
	if (!handlers_refuse(rq, &problems) && !handlers_database_away(rq))
		rq->op = bf_store_alerts_json(rq->admin->parts.store, ask.limit, handlers_show, rq);
}
