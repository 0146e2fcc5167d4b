/*
 * routes: the table of the interface and how a path is found in it. Paths are compared as written: no decoding, no
 * trailing slash, so that a proxy's rules about paths mean the same here. A {key} is handed on as written, too.
 */
#include "routes.h"
#include "backfill/base.h"
#include "handlers.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define GET  EVHTTP_REQ_GET
#define POST EVHTTP_REQ_POST
#define API  "/api/internal/"

// clang-format off
static const struct route table[] = {
	{ GET,  "/healthz", health_live, ROUTE_OPEN_PATH, false, "the process lives",
	  .id = "getHealth", .answer = "Health" },
	{ GET,  "/readyz", health_ready, ROUTE_OPEN_PATH, false, "it can work: database, schema, an AI provider",
	  .id = "getReadiness", .answer = "Readiness", .may = ROUTE_READINESS },
	{ GET,  "/metrics", metrics_show, ROUTE_OPEN_PATH, false, "Prometheus text format 0.0.4",
	  .id = "getMetrics", .type = "text/plain; version=0.0.4" },
	{ GET,  "/openapi.json", openapi_show, ROUTE_OPEN_PATH, false, "this description: OpenAPI 3.1",
	  .id = "getDescription", .answer = "Description" },
	{ GET,  "/", dashboard_page, ROUTE_OPEN_PATH, false, "the operator's page",
	  .id = "getDashboard", .type = "text/html", .may = ROUTE_CACHED },
	{ GET,  "/assets/{key}", dashboard_file, ROUTE_OPEN_PATH, false, "its scripts and styles",
	  .id = "getAsset", .type = "*/*", .may = ROUTE_CACHED },
	{ GET,  "/api/quota/status", view_routes_quota, ROUTE_OPEN_METHOD, false, "units used and left today",
	  .id = "getQuota", .answer = "Quota", .may = ROUTE_DATABASE },
	{ POST, API "schedule-backfill", schedule_routes_claim, ROUTE_SECRET, true, "claim months and run them",
	  .id = "scheduleMonths", .body = schedule_routes_claim_body, .answer = "Claim", .may = ROUTE_DATABASE | ROUTE_CONFLICT },
	{ POST, API "seed-backfill-queue", schedule_routes_seed, ROUTE_SECRET, true, "make rows for months",
	  .id = "seedMonths", .body = schedule_routes_seed_body, .answer = "Seeded", .may = ROUTE_DATABASE },
	{ GET,  API "backfill-stats", view_routes_stats, ROUTE_SECRET, false, "months by status, totals, recent ends",
	  .id = "getStats", .answer = "Stats", .may = ROUTE_DATABASE },
	{ POST, "/api/harvest/backfill", schedule_routes_harvest, ROUTE_SECRET, true, "run one month, or try it",
	  .id = "harvestMonth", .body = schedule_routes_harvest_body, .answer = "JobAccepted", .may = ROUTE_DATABASE | ROUTE_CONFLICT | ROUTE_ACCEPTS },
	{ GET,  "/api/harvest/backfill/status/{job_id}", view_routes_job, ROUTE_SECRET, false, "how a job is doing",
	  .id = "getJob", .answer = "Job", .may = ROUTE_DATABASE },
	{ GET,  API "overview", overview_routes_show, ROUTE_SECRET, false, "everything a page needs, of one moment",
	  .id = "getOverview", .answer = "Overview", .may = ROUTE_DATABASE },
	{ GET,  API "months", view_routes_months, ROUTE_SECRET, false, "every month",
	  .id = "listMonths", .answer = "Months", .may = ROUTE_DATABASE },
	{ POST, API "months/retry", months_routes_retry, ROUTE_SECRET, true, "retry or reset many months by what they have in common",
	  .id = "retryMonths", .body = months_routes_retry_body, .answer = "Retried", .may = ROUTE_DATABASE },
	{ GET,  API "months/{y}/{m}", view_routes_month, ROUTE_SECRET, false, "a month, its books and transitions",
	  .id = "getMonth", .answer = "Month", .may = ROUTE_DATABASE },
	{ GET,  API "months/{y}/{m}/why", why_routes_month, ROUTE_SECRET, false, "what a month waits for, and until when",
	  .id = "explainMonth", .answer = "Why", .may = ROUTE_DATABASE },
	{ POST, API "months/{y}/{m}/retry", month_routes_retry, ROUTE_SECRET, true, "make a month due now",
	  .id = "retryMonth", .body = body_none, .answer = "Month", .may = ROUTE_DATABASE | ROUTE_CONFLICT },
	{ POST, API "months/{y}/{m}/cancel", month_routes_cancel, ROUTE_SECRET, true, "stop a month",
	  .id = "cancelMonth", .body = body_none, .answer = "Month", .may = ROUTE_DATABASE | ROUTE_CONFLICT },
	{ POST, API "months/{y}/{m}/reset", month_routes_reset, ROUTE_SECRET, true, "start a month from nothing",
	  .id = "resetMonth", .body = body_none, .answer = "Month", .may = ROUTE_DATABASE | ROUTE_CONFLICT },
	{ POST, API "pause", pause_routes_pause, ROUTE_SECRET, true, "claim nothing, on any instance",
	  .id = "pause", .body = pause_routes_pause_body, .answer = "Pause", .may = ROUTE_DATABASE | ROUTE_CONFLICT },
	{ POST, API "resume", pause_routes_resume, ROUTE_SECRET, true, "end the pause",
	  .id = "resume", .body = body_none, .answer = "Pause", .may = ROUTE_DATABASE | ROUTE_CONFLICT },
	{ GET,  API "books/{key}", enrichment_routes_book, ROUTE_SECRET, false, "all that is known of a book, and from whom",
	  .id = "getBook", .answer = "Book", .may = ROUTE_DATABASE },
	{ GET,  API "enrichment", enrichment_routes_list, ROUTE_SECRET, false, "items of the enrichment queue",
	  .id = "listItems", .query = enrichment_routes_list_query, .answer = "Items", .may = ROUTE_DATABASE },
	{ POST, API "enrichment/redrive", enrichment_routes_redrive, ROUTE_SECRET, true, "make failed items due again",
	  .id = "redriveItems", .body = enrichment_routes_redrive_body, .answer = "Redriven", .may = ROUTE_DATABASE },
	{ POST, API "enrichment/adopt", enrichment_routes_adopt, ROUTE_SECRET, true, "take over an older system's items",
	  .id = "adoptItems", .body = enrichment_routes_adopt_body, .answer = "Adopted", .may = ROUTE_DATABASE },
	{ GET,  API "events", events_stream, ROUTE_SECRET, false, "transitions as they happen: server-sent events",
	  .id = "followEvents", .query = events_query, .type = "text/event-stream", .may = ROUTE_DATABASE },
	{ GET,  API "audit", audit_list, ROUTE_SECRET, false, "who asked for what, newest first",
	  .id = "listAudit", .query = audit_query, .answer = "Audit", .may = ROUTE_DATABASE },
	{ GET,  API "alerts", alert_routes_list, ROUTE_SECRET, false, "what is wrong, what was, and what to do",
	  .id = "listAlerts", .query = alert_routes_query, .answer = "Alerts", .may = ROUTE_DATABASE },
	{ GET,  API "verify", verify_routes_verify, ROUTE_SECRET, false, "proof that nothing is lost, doubled or miscounted",
	  .id = "verify", .query = verify_routes_verify_query, .answer = "Findings", .may = ROUTE_DATABASE },
	{ GET,  API "doctor", verify_routes_doctor, ROUTE_SECRET, false, "what is wrong around the program, and its remedy",
	  .id = "diagnose", .query = body_none, .answer = "Findings", .may = ROUTE_DATABASE },
	{ GET,  API "config", view_routes_config, ROUTE_SECRET, false, "the values in effect",
	  .id = "getConfig", .answer = "Config" },
};
// clang-format on

/* The table itself. */
const struct route *routes_all(size_t *ret_n)
{
	*ret_n = BF_COUNT(table);
	return table;
}

/* A method's name. */
const char *routes_method_name(enum evhttp_cmd_type method)
{
	switch (method) {
	case EVHTTP_REQ_GET: return "GET";
	case EVHTTP_REQ_POST: return "POST";
	case EVHTTP_REQ_HEAD: return "HEAD";
	case EVHTTP_REQ_PUT: return "PUT";
	case EVHTTP_REQ_DELETE: return "DELETE";
	case EVHTTP_REQ_OPTIONS: return "OPTIONS";
	case EVHTTP_REQ_TRACE: return "TRACE";
	case EVHTTP_REQ_CONNECT: return "CONNECT";
	case EVHTTP_REQ_PATCH: return "PATCH";
	}
	return "?";
}

/* What may stand in a path, in place of {name}. */
static const struct body_field path_fields[] = {
	{ .name = "y", .type = BODY_INT, .min = 1900, .max = 2100, .help = "the year" },
	{ .name = "m", .type = BODY_INT, .min = 1, .max = 12, .help = "the month" },
	{ .name = "job_id", .type = BODY_STR, .min = 36, .max = 36, .format = "uuid", .help = "the job's id" },
	{ .name = "key", .type = BODY_STR, .min = 1, .max = ROUTES_KEY_CHARS, .help = "percent-encoded" },
	BODY_END,
};

const struct body_field *routes_path_field(const char *name, size_t len)
{
	for (const struct body_field *f = path_fields; f->name != NULL; f++)
		if (strlen(f->name) == len && strncmp(f->name, name, len) == 0)
			return f;
	return NULL;
}

/* A decimal number of at most as many digits as the highest within bounds. */
static bool read_number(const char *s, size_t len, const struct body_field *f, int *ret)
{
	int value = 0;

	if (len == 0 || len > (f->max < 100 ? 2 : 4))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!isdigit((unsigned char)s[i]))
			return false;
		value = 10 * value + (s[i] - '0');
	}
	*ret = value;
	return value >= f->min && value <= f->max;
}

/* The 8-4-4-4-12 form of RFC 9562, in lower case as PostgreSQL writes it. */
static bool read_uuid(const char *s, size_t len, char ret[37])
{
	if (len != 36)
		return false;
	for (size_t i = 0; i < len; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? s[i] != '-' : !isxdigit((unsigned char)s[i]))
			return false;
		ret[i] = (char)tolower((unsigned char)s[i]);
	}
	ret[len] = '\0';
	return true;
}

/* One segment of a path against one of a pattern. */
static bool match_segment(const char *pattern, size_t pattern_len, const char *s, size_t len,
	struct route_params *params)
{
	if (pattern[0] == '{') {
		const struct body_field *f = routes_path_field(pattern + 1, pattern_len - 2);

		if (f != NULL && f->type == BODY_INT)
			return read_number(s, len, f,
				f->name[0] == 'y' ? &params->year : &params->month);
		if (f != NULL && f->format != NULL)
			return read_uuid(s, len, params->job_id);
		params->key = s;
		params->key_len = len;
		return f != NULL && len > 0;
	}
	return pattern_len == len && strncmp(pattern, s, len) == 0;
}

/* A whole path against a pattern. */
static bool match_path(const char *pattern, const char *path, struct route_params *params)
{
	*params = (struct route_params){ 0 };
	for (;;) {
		size_t pattern_len = strcspn(pattern, "/"), len = strcspn(path, "/");

		if (!match_segment(pattern, pattern_len, path, len, params))
			return false;
		pattern += pattern_len;
		path += len;
		if (*pattern == '\0' || *path == '\0')
			return *pattern == *path;
		pattern++;
		path++;
	}
}

/* Whether a route answers a method. */
static bool serves(const struct route *route, enum evhttp_cmd_type method)
{
	return route->method == method ||
		(route->method == EVHTTP_REQ_GET && method == EVHTTP_REQ_HEAD);
}

/* Adds a route's methods to the list for Allow. */
static void allow(struct route_match *match, const struct route *route)
{
	size_t len = strlen(match->allow);

	snprintf(match->allow + len, sizeof(match->allow) - len, "%s%s%s", len > 0 ? ", " : "",
		routes_method_name(route->method), route->method == EVHTTP_REQ_GET ? ", HEAD" : "");
}

/* Finds the route of a path and method. */
void routes_match(const char *path, enum evhttp_cmd_type method, struct route_match *ret)
{
	struct route_params params;

	*ret = (struct route_match){ 0 };
	for (size_t i = 0; i < BF_COUNT(table); i++) {
		const struct route *route = &table[i];

		if (!match_path(route->path, path, &params))
			continue;
		ret->path_known = true;
		allow(ret, route);
		if (route->access == ROUTE_OPEN_PATH)
			ret->open = true;
		if (!serves(route, method))
			continue;
		ret->route = route;
		ret->params = params;
		if (route->access == ROUTE_OPEN_METHOD)
			ret->open = true;
	}
}
