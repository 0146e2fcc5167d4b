/*
 * enrichment_routes: one book's whole story, the items of the enrichment queue, and the two things an operator does to them.
 * PostgreSQL writes the JSON; here keys, filters and bodies are read.
 */
#include "handlers.h"
#include "query.h"
#include <event2/http.h>
#include <stdio.h>
#include <string.h>

#define KEY_CHARS     200
#define REASON_CHARS  500
#define YEAR_MIN      1900
#define YEAR_MAX      2100
#define PAGE_DEFAULT  100
#define PAGE_MAX      500
#define DRIVE_DEFAULT 1000
#define ADOPT_DEFAULT 10000
#define CHANGE_MAX    100000
#define UUID_CHARS    36

/* Passes the store's JSON on; none means that nothing is known of the book. */
static void on_book(void *ctx, const struct bf_error *err, const char *json)
{
	struct request *rq = ctx;

	rq->op = NULL;
	if (err != NULL)
		reply_store_error(rq, err);
	else if (json == NULL)
		reply_error(rq, 404, "Not found: nothing is known of %s", (const char *)rq->state);
	else
		reply_json(rq, 200, json, strlen(json));
}

/* GET /api/internal/books/{key} */
void enrichment_routes_book(struct request *rq)
{
	struct body_problems problems = { 0 };
	const char *why = NULL;
	char *key = query_decode(rq->params.key, rq->params.key_len, false, rq->arena, &why);
	char isbn13[14];
	bool is_isbn;

	if (key == NULL)
		body_problem(&problems, "key", "%s", why);
	else if (query_chars(key) > KEY_CHARS)
		body_problem(&problems, "key", "must have 1 to %d characters", KEY_CHARS);
	if (handlers_refuse(rq, &problems) || handlers_database_away(rq))
		return;
	rq->state = key;
	is_isbn = bf_isbn_canon(key, strlen(key), isbn13) == BF_ISBN_OK;
	rq->op = bf_store_book_json(
		rq->admin->parts.store, is_isbn ? isbn13 : NULL, is_isbn ? NULL : key, on_book, rq);
}

/* A provider's name, one of the seven. */
static void check_provider(const char *name, struct body_problems *problems)
{
	char known[128] = "";
	size_t len = 0;

	if (name == NULL || bf_provider_by_name(name) >= 0)
		return;
	for (int id = 0; id < BF_NPROVIDERS && len < sizeof(known); id++)
		len += (size_t)snprintf(known + len, sizeof(known) - len, "%s%s",
			id > 0 ? ", " : "", bf_provider_names[id]);
	body_problem(problems, "provider", "must be one of: %s", known);
}

/* One of the four that a queue's item can have. */
static void check_status(const char *status, struct body_problems *problems)
{
	static const char *const known[] = { "pending", "processing", "completed", "failed" };

	for (size_t i = 0; status != NULL && i < BF_COUNT(known); i++) {
		if (strcmp(status, known[i]) == 0)
			return;
	}
	if (status != NULL)
		body_problem(problems, "status",
			"must be one of: pending, processing, completed, failed");
}

/* The 8-4-4-4-12 form, as the answers write ids. */
static void check_after(const char *id, struct body_problems *problems)
{
	bool fine = id == NULL || strlen(id) == UUID_CHARS;

	for (size_t i = 0; id != NULL && fine && i < UUID_CHARS; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		fine = dash ? id[i] == '-' : strchr("0123456789abcdefABCDEF", id[i]) != NULL;
	}
	if (!fine)
		body_problem(problems, "after", "must be the `next` of an answer");
}

/* A page of items; none means that the item to go on after does not exist. */
static void on_items(void *ctx, const struct bf_error *err, const char *json)
{
	struct request *rq = ctx;
	struct body_problems problems = { 0 };

	rq->op = NULL;
	if (err != NULL) {
		reply_store_error(rq, err);
	} else if (json == NULL) {
		body_problem(&problems, "after", "there is no such item");
		reply_problems(rq, &problems);
	} else {
		reply_json(rq, 200, json, strlen(json));
	}
}

/* GET /api/internal/enrichment */
void enrichment_routes_list(struct request *rq)
{
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(rq->http);
	struct body_problems problems = { 0 };
	struct bf_item_filter filter = { 0 };
	const char *after = NULL;
	int limit = PAGE_DEFAULT;
	const struct body_field fields[] = {
		BODY_STR_FIELD("status", 1, 20, &filter.status),
		BODY_STR_FIELD("reason", 1, REASON_CHARS, &filter.reason),
		BODY_STR_FIELD("provider", 1, 40, &filter.provider),
		BODY_INT_FIELD("year", YEAR_MIN, YEAR_MAX, &filter.year),
		BODY_INT_FIELD("month", 1, 12, &filter.month),
		BODY_INT_FIELD("limit", 1, PAGE_MAX, &limit),
		BODY_STR_FIELD("after", 1, UUID_CHARS, &after),
		BODY_END,
	};

	query_read(evhttp_uri_get_query(uri), fields, rq->arena, &problems);
	check_status(filter.status, &problems);
	check_provider(filter.provider, &problems);
	check_after(after, &problems);
	if (!handlers_refuse(rq, &problems) && !handlers_database_away(rq))
		rq->op = bf_store_items_json(
			rq->admin->parts.store, &filter, limit, after, on_items, rq);
}

/* What was changed, or would have been. */
static void on_changed(void *ctx, const struct bf_error *err, const char *json)
{
	struct request *rq = ctx;

	rq->op = NULL;
	if (err != NULL)
		reply_store_error(rq, err);
	else
		reply_json(rq, 200, json != NULL ? json : "{}", json != NULL ? strlen(json) : 2);
}

/* POST /api/internal/enrichment/redrive. Without a word about dry_run nothing is changed: an empty body must not bring
 * thousands of requests back. */
void enrichment_routes_redrive(struct request *rq)
{
	struct body_problems problems = { 0 };
	struct bf_item_filter filter = { 0 };
	bool dry_run = true;
	int limit = DRIVE_DEFAULT;
	const struct body_field fields[] = {
		BODY_STR_FIELD("reason", 1, REASON_CHARS, &filter.reason),
		BODY_STR_FIELD("provider", 1, 40, &filter.provider),
		BODY_INT_FIELD("year", YEAR_MIN, YEAR_MAX, &filter.year),
		BODY_INT_FIELD("month", 1, 12, &filter.month),
		BODY_INT_FIELD("limit", 1, CHANGE_MAX, &limit),
		BODY_BOOL_FIELD("dry_run", &dry_run),
		BODY_END,
	};

	if (!handlers_body(rq, fields))
		return;
	check_provider(filter.provider, &problems);
	if (!handlers_refuse(rq, &problems) && !handlers_database_away(rq))
		rq->op = bf_store_redrive(
			rq->admin->parts.store, &filter, dry_run, limit, on_changed, rq);
}

/* POST /api/internal/enrichment/adopt */
void enrichment_routes_adopt(struct request *rq)
{
	bool dry_run = false;
	int limit = ADOPT_DEFAULT;
	const struct body_field fields[] = {
		BODY_INT_FIELD("limit", 1, CHANGE_MAX, &limit),
		BODY_BOOL_FIELD("dry_run", &dry_run),
		BODY_END,
	};

	if (handlers_body(rq, fields) && !handlers_database_away(rq))
		rq->op = bf_store_adopt(rq->admin->parts.store, dry_run, limit,
			rq->admin->config->enrichment.max_attempts, on_changed, rq);
}
