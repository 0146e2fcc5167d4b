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
	{ GET,  "/healthz", health_live, ROUTE_OPEN_PATH, false, "the process lives" },
	{ GET,  "/readyz", health_ready, ROUTE_OPEN_PATH, false, "it can work: database, schema, an AI provider" },
	{ GET,  "/metrics", metrics_show, ROUTE_OPEN_PATH, false, "Prometheus text format 0.0.4" },
	{ GET,  "/api/quota/status", view_routes_quota, ROUTE_OPEN_METHOD, false, "units used and left today" },
	{ POST, API "schedule-backfill", schedule_routes_claim, ROUTE_SECRET, true, "claim months and run them" },
	{ POST, API "seed-backfill-queue", schedule_routes_seed, ROUTE_SECRET, true, "make rows for months" },
	{ GET,  API "backfill-stats", view_routes_stats, ROUTE_SECRET, false, "months by status, totals, recent ends" },
	{ POST, "/api/harvest/backfill", schedule_routes_harvest, ROUTE_SECRET, true, "run one month, or try it" },
	{ GET,  "/api/harvest/backfill/status/{job_id}", view_routes_job, ROUTE_SECRET, false, "how a job is doing" },
	{ GET,  API "months", view_routes_months, ROUTE_SECRET, false, "every month" },
	{ GET,  API "months/{y}/{m}", view_routes_month, ROUTE_SECRET, false, "a month, its books and transitions" },
	{ GET,  API "months/{y}/{m}/why", why_routes_month, ROUTE_SECRET, false, "what a month waits for, and until when" },
	{ POST, API "months/{y}/{m}/retry", month_routes_retry, ROUTE_SECRET, true, "make a month due now" },
	{ POST, API "months/{y}/{m}/cancel", month_routes_cancel, ROUTE_SECRET, true, "stop a month" },
	{ POST, API "months/{y}/{m}/reset", month_routes_reset, ROUTE_SECRET, true, "start a month from nothing" },
	{ POST, API "pause", pause_routes_pause, ROUTE_SECRET, true, "claim nothing, on any instance" },
	{ POST, API "resume", pause_routes_resume, ROUTE_SECRET, true, "end the pause" },
	{ GET,  API "books/{key}", enrichment_routes_book, ROUTE_SECRET, false, "all that is known of a book, and from whom" },
	{ GET,  API "enrichment", enrichment_routes_list, ROUTE_SECRET, false, "items of the enrichment queue" },
	{ POST, API "enrichment/redrive", enrichment_routes_redrive, ROUTE_SECRET, true, "make failed items due again" },
	{ POST, API "enrichment/adopt", enrichment_routes_adopt, ROUTE_SECRET, true, "take over an older system's items" },
	{ GET,  API "events", events_stream, ROUTE_SECRET, false, "transitions as they happen: server-sent events" },
	{ GET,  API "audit", audit_list, ROUTE_SECRET, false, "who asked for what, newest first" },
	{ GET,  API "alerts", alert_routes_list, ROUTE_SECRET, false, "what is wrong, what was, and what to do" },
	{ GET,  API "verify", verify_routes_verify, ROUTE_SECRET, false, "proof that nothing is lost, doubled or miscounted" },
	{ GET,  API "doctor", verify_routes_doctor, ROUTE_SECRET, false, "what is wrong around the program, and its remedy" },
	{ GET,  API "config", view_routes_config, ROUTE_SECRET, false, "the values in effect" },
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

/* A decimal number of at most max_digits digits within bounds. */
static bool read_number(const char *s, size_t len, size_t max_digits, int low, int high, int *ret)
{
	int value = 0;

	if (len == 0 || len > max_digits)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!isdigit((unsigned char)s[i]))
			return false;
		value = 10 * value + (s[i] - '0');
	}
	*ret = value;
	return value >= low && value <= high;
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
	if (pattern_len == 3 && strncmp(pattern, "{y}", 3) == 0)
		return read_number(s, len, 4, 1900, 2100, &params->year);
	if (pattern_len == 3 && strncmp(pattern, "{m}", 3) == 0)
		return read_number(s, len, 2, 1, 12, &params->month);
	if (pattern_len == 8 && strncmp(pattern, "{job_id}", 8) == 0)
		return read_uuid(s, len, params->job_id);
	if (pattern_len == 5 && strncmp(pattern, "{key}", 5) == 0) {
		params->key = s;
		params->key_len = len;
		return len > 0;
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
