/*
 * enrichment_routes: one book's whole story, the items of the enrichment queue, and the two things an operator does to them.
 * PostgreSQL writes the JSON; here keys, filters and bodies are read.
 */
#include "handlers.h"
#include "query.h"
#include <string.h>

#define REASON_CHARS 500
#define YEAR_MIN     1900
#define YEAR_MAX     2100
#define PAGE_MAX     500
#define CHANGE_MAX   100000
#define UUID_CHARS   36

static const char *const statuses[] = { "pending", "processing", "completed", "failed" };

struct items_ask {
	struct bf_item_filter filter;
	const char *after;
	int limit;
	bool dry_run;
};
#define FILTER_FIELDS                                                                           \
	BODY_STR_FIELD("reason", 1, REASON_CHARS, struct items_ask, filter.reason,              \
		.help = "part of an item's error_message"),                                     \
		BODY_ENUM_FIELD("provider", bf_provider_names, BF_NPROVIDERS, struct items_ask, \
			filter.provider,                                                        \
			.help = "the provider that the item waits for, or that was asked"),     \
		BODY_INT_FIELD("year", YEAR_MIN, YEAR_MAX, struct items_ask, filter.year,       \
			.help = "of the month that queued the item"),                           \
		BODY_INT_FIELD("month", 1, 12, struct items_ask, filter.month,                  \
			.help = "of the month that queued the item")
const struct body_field enrichment_routes_list_query[] = {
	BODY_ENUM_FIELD("status", statuses, BF_COUNT(statuses), struct items_ask, filter.status,
		.help = "only items of this status"),
	FILTER_FIELDS,
	BODY_INT_FIELD("limit", 1, PAGE_MAX, struct items_ask, limit, .preset = "100",
		.help = "items of a page"),
	BODY_STR_FIELD("after", UUID_CHARS, UUID_CHARS, struct items_ask, after, .format = "uuid",
		.help = "the `next` of the page before"),
	BODY_END,
};
const struct body_field enrichment_routes_redrive_body[] = {
	FILTER_FIELDS,
	BODY_INT_FIELD("limit", 1, CHANGE_MAX, struct items_ask, limit, .preset = "1000",
		.help = "how many items at most"),
	BODY_BOOL_FIELD("dry_run", struct items_ask, dry_run, .preset = "true",
		.help = "only count; an empty body must not bring thousands of requests back"),
	BODY_END,
};
const struct body_field enrichment_routes_adopt_body[] = {
	BODY_INT_FIELD("limit", 1, CHANGE_MAX, struct items_ask, limit, .preset = "10000",
		.help = "how many items at most, oldest first"),
	BODY_BOOL_FIELD(
		"dry_run", struct items_ask, dry_run, .preset = "false", .help = "only count"),
	BODY_END,
};

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
	else if (body_chars(key) > ROUTES_KEY_CHARS)
		body_problem(&problems, "key", "must have 1 to %d characters", ROUTES_KEY_CHARS);
	if (handlers_refuse(rq, &problems) || handlers_database_away(rq))
		return;
	rq->state = key;
	is_isbn = bf_isbn_canon(key, strlen(key), isbn13) == BF_ISBN_OK;
	rq->op = bf_store_book_json(
		rq->admin->parts.store, is_isbn ? isbn13 : NULL, is_isbn ? NULL : key, on_book, rq);
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
	struct body_problems problems = { 0 };
	struct items_ask ask = { 0 };

	handlers_query(rq, &ask, &problems);
	check_after(ask.after, &problems);
	if (!handlers_refuse(rq, &problems) && !handlers_database_away(rq))
		rq->op = bf_store_items_json(
			rq->admin->parts.store, &ask.filter, ask.limit, ask.after, on_items, rq);
}

/* POST /api/internal/enrichment/redrive */
void enrichment_routes_redrive(struct request *rq)
{
	struct items_ask ask = { 0 };

	if (handlers_body(rq, &ask) && !handlers_database_away(rq))
		rq->op = bf_store_redrive(rq->admin->parts.store, &ask.filter, ask.dry_run,
			ask.limit, handlers_show, rq);
}

/* POST /api/internal/enrichment/adopt */
void enrichment_routes_adopt(struct request *rq)
{
	struct items_ask ask = { 0 };

	if (handlers_body(rq, &ask) && !handlers_database_away(rq))
		rq->op = bf_store_adopt(rq->admin->parts.store, ask.dry_run, ask.limit,
			rq->admin->config->enrichment.max_attempts, handlers_show, rq);
}
