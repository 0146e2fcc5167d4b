/* The route table: which path and method reach which handler, and who needs the secret. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "handlers.h"
#include "routes.h"

#define JOB "/api/harvest/backfill/status/"
#define BOOKS "/api/internal/books/"
#define ID  "0b7e1f2a-9c3d-4e5f-8a6b-7c8d9e0f1a2b"

/* Paths that exist, their handlers and parameters. */
static void test_found(void **state)
{
	static const struct { enum evhttp_cmd_type method; const char *path; route_handler *handler; int year, month; } rows[] = {
		{ EVHTTP_REQ_GET, "/healthz", health_live, 0, 0 },
		{ EVHTTP_REQ_HEAD, "/readyz", health_ready, 0, 0 },
		{ EVHTTP_REQ_GET, "/metrics", metrics_show, 0, 0 },
		{ EVHTTP_REQ_GET, "/openapi.json", openapi_show, 0, 0 },
		{ EVHTTP_REQ_GET, "/", dashboard_page, 0, 0 },
		{ EVHTTP_REQ_HEAD, "/assets/app.js", dashboard_file, 0, 0 },
		{ EVHTTP_REQ_POST, "/api/internal/schedule-backfill", schedule_routes_claim, 0, 0 },
		{ EVHTTP_REQ_POST, "/api/internal/seed-backfill-queue", schedule_routes_seed, 0, 0 },
		{ EVHTTP_REQ_POST, "/api/harvest/backfill", schedule_routes_harvest, 0, 0 },
		{ EVHTTP_REQ_GET, "/api/internal/months", view_routes_months, 0, 0 },
		{ EVHTTP_REQ_GET, "/api/internal/months/1900/1", view_routes_month, 1900, 1 },
		{ EVHTTP_REQ_GET, "/api/internal/months/2100/12", view_routes_month, 2100, 12 },
		{ EVHTTP_REQ_GET, "/api/internal/months/2024/09", view_routes_month, 2024, 9 },
		{ EVHTTP_REQ_GET, "/api/internal/months/2024/9/why", why_routes_month, 2024, 9 },
		{ EVHTTP_REQ_GET, "/api/internal/verify", verify_routes_verify, 0, 0 },
		{ EVHTTP_REQ_GET, "/api/internal/doctor", verify_routes_doctor, 0, 0 },
		{ EVHTTP_REQ_POST, "/api/internal/months/2024/9/retry", month_routes_retry, 2024, 9 },
		{ EVHTTP_REQ_POST, "/api/internal/months/2024/9/cancel", month_routes_cancel, 2024, 9 },
		{ EVHTTP_REQ_POST, "/api/internal/months/2024/9/reset", month_routes_reset, 2024, 9 },
		{ EVHTTP_REQ_GET, JOB ID, view_routes_job, 0, 0 },
		{ EVHTTP_REQ_GET, BOOKS "9780306406157", enrichment_routes_book, 0, 0 },
		{ EVHTTP_REQ_HEAD, BOOKS "%2Fworks%2FOL1W", enrichment_routes_book, 0, 0 },
		{ EVHTTP_REQ_GET, "/api/internal/enrichment", enrichment_routes_list, 0, 0 },
		{ EVHTTP_REQ_POST, "/api/internal/enrichment/redrive", enrichment_routes_redrive, 0, 0 },
		{ EVHTTP_REQ_POST, "/api/internal/enrichment/adopt", enrichment_routes_adopt, 0, 0 },
	};
	struct route_match match;

	(void)state;
	for (size_t i = 0; i < BF_COUNT(rows); i++) {
		routes_match(rows[i].path, rows[i].method, &match);
		if (match.route == NULL)
			fail_msg("no route: %s", rows[i].path);
		assert_true(match.route->handler == rows[i].handler);
		assert_int_equal(match.params.year, rows[i].year);
		assert_int_equal(match.params.month, rows[i].month);
	}
	routes_match(JOB "0B7E1F2A-9C3D-4E5F-8A6B-7C8D9E0F1A2B", EVHTTP_REQ_GET, &match);
	assert_string_equal(match.params.job_id, ID);
	routes_match(BOOKS "a%2Fb", EVHTTP_REQ_GET, &match);
	assert_int_equal(match.params.key_len, 5);
	assert_memory_equal(match.params.key, "a%2Fb", 5);
}

/* Paths that only look like one are none. */
static void test_not_found(void **state)
{
	static const char *const paths[] = {
		"", "//", "/index.html", "/assets", "/assets/", "/assets/a/b",
		"healthz", "/healthz/", "//healthz", "/healthzz", "/HEALTHZ", "/health", "/%68ealthz", "/metrics/x",
		"/api/internal/months/", "/api/internal/months/2024", "/api/internal/months/2024/", "/api/internal/months/1899/1",
		"/api/internal/months/2101/1", "/api/internal/months/2024/0", "/api/internal/months/2024/13",
		"/api/internal/months/2024/001", "/api/internal/months/02024/1", "/api/internal/months/+2024/1",
		"/api/internal/months/2024/1/", "/api/internal/months/2024/1/delete", "/api/internal/months/{y}/{m}",
		BOOKS, BOOKS "a/b", BOOKS "a/", "/api/internal/books", "/api/internal/enrichment/", "/api/internal/enrichment/x",
		JOB, JOB "x", JOB ID "0", JOB "0b7e1f2a-9c3d-4e5f-8a6b-7c8d9e0f1a2g", JOB "0b7e1f2a09c3d-4e5f-8a6b-7c8d9e0f1a2b",
	};
	struct route_match match;

	(void)state;
	for (size_t i = 0; i < BF_COUNT(paths); i++) {
		routes_match(paths[i], EVHTTP_REQ_GET, &match);
		if (match.path_known || match.route != NULL || match.open)
			fail_msg("found: %s", paths[i]);
	}
}

/* A wrong method knows the right ones. */
static void test_allow(void **state)
{
	struct route_match match;

	(void)state;
	routes_match("/api/internal/pause", EVHTTP_REQ_GET, &match);
	assert_true(match.path_known);
	assert_null(match.route);
	assert_string_equal(match.allow, "POST");
	routes_match("/api/internal/pause", EVHTTP_REQ_HEAD, &match);
	assert_null(match.route);
	routes_match("/api/internal/months", EVHTTP_REQ_DELETE, &match);
	assert_null(match.route);
	assert_string_equal(match.allow, "GET, HEAD");
}

/* Only what the contract leaves open is open: health, metrics, the description, the page's files, and reading the quota. */
static void test_open(void **state)
{
	static const char *const open_paths[] = { "/healthz", "/readyz", "/metrics", "/openapi.json", "/", "/assets/app.js",
		"/api/quota/status" };
	struct route_match match;
	const struct route *all;
	size_t n, open = 0;

	(void)state;
	for (size_t i = 0; i < BF_COUNT(open_paths); i++) {
		routes_match(open_paths[i], EVHTTP_REQ_GET, &match);
		assert_true(match.open);
		routes_match(open_paths[i], EVHTTP_REQ_HEAD, &match);
		assert_true(match.open);
	}
	routes_match("/api/quota/status", EVHTTP_REQ_POST, &match);
	assert_false(match.open);
	assert_true(match.path_known);
	all = routes_all(&n);
	for (size_t i = 0; i < n; i++) {
		open += all[i].access != ROUTE_SECRET;
		assert_true(all[i].access == ROUTE_SECRET || !all[i].mutates);
		assert_int_equal(all[i].mutates, all[i].method == EVHTTP_REQ_POST);
		assert_true(strlen(all[i].help) > 0);
	}
	assert_int_equal(open, BF_COUNT(open_paths));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found), cmocka_unit_test(test_not_found), cmocka_unit_test(test_allow),
		cmocka_unit_test(test_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
