/*
 * handlers: what the handlers have in common.
 */
#include "handlers.h"
#include <string.h>
#include "query.h"
#include <event2/buffer.h>
#include <event2/http.h>

/* Answers 400 when there are problems. */
bool handlers_refuse(struct request *rq, struct body_problems *problems)
{
	if (problems->n == 0)
		return false;
	reply_problems(rq, problems);
	return true;
}

/* Reads the body into the fields' members. */
bool handlers_body(struct request *rq, void *into)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(rq->http);
	struct body_problems problems = { 0 };
	size_t len = evbuffer_get_length(in);
	const char *text = len > 0 ? (const char *)evbuffer_pullup(in, -1) : "";

	if (text == NULL) {
		reply_unavailable(rq, 5, "Out of memory");
		return false;
	}
	if (body_read(text, len, rq->route->body, into, rq->arena, &problems))
		audit_body(rq, text, len);
	return !handlers_refuse(rq, &problems);
}

/* Reads the parameters into the fields' members. */
void handlers_query(struct request *rq, void *into, struct body_problems *problems)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(rq->http);

	query_read(evhttp_uri_get_query(uri), rq->route->query, into, rq->arena, problems);
}

/* Asked before any question goes to the database, so that an outage is told at once and not after a wait. */
bool handlers_database_away(struct request *rq)
{
	if (bf_pg_is_up(rq->admin->parts.pool))
		return false;
	reply_unavailable(rq, 5, "The database is not available");
	return true;
}

/* Passes a view's JSON on; none means that there is no such thing. */
void handlers_show(void *ctx, const struct bf_error *err, const char *json)
{
	struct request *rq = ctx;

	rq->op = NULL;
	if (err != NULL)
		reply_store_error(rq, err);
	else if (json == NULL)
		reply_error(rq, 404, "Not found: %s", rq->path);
	else
		reply_json(rq, 200, json, strlen(json));
}
