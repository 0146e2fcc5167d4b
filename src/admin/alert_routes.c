/*
 * alert_routes: the alerts, open ones first. PostgreSQL writes the JSON.
 */
#include "handlers.h"
#include "query.h"
#include <event2/http.h>
#include <string.h>

#define LIMIT_DEFAULT 100
#define LIMIT_MAX     1000

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
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(rq->http);
	struct body_problems problems = { 0 };
	int limit = LIMIT_DEFAULT;
	const struct body_field fields[] = {
		BODY_INT_FIELD("limit", 1, LIMIT_MAX, &limit),
		BODY_END,
	};

	query_read(evhttp_uri_get_query(uri), fields, rq->arena, &problems);
	if (!handlers_refuse(rq, &problems) && !handlers_database_away(rq))
		rq->op = bf_store_alerts_json(rq->admin->parts.store, limit, on_alerts, rq);
}
