/* The interface's description: one JSON document, every route told of, and its fields as the tables have them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "handlers.h"
#include "openapi.h"

static const struct bf_json_limits limits = { .max_bytes = (size_t)4 << 20, .max_tokens = 100000, .max_depth = 64 };

struct fixture {
	struct bf_buf text;
	struct bf_json *doc;
	struct bf_arena *arena;
};

/* The document, read with names that come twice refused. */
static int setup(void **state)
{
	static struct fixture f;
	struct bf_error err;

	bf_buf_init(&f.text, (size_t)4 << 20);
	openapi_write(&f.text);
	f.doc = bf_json_parse(f.text.data, f.text.len, &limits, true, &err);
	f.arena = bf_arena_new();
	*state = &f;
	return f.doc == NULL || f.text.failed ? -1 : 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	bf_json_free(f->doc);
	bf_buf_release(&f->text);
	bf_arena_free(f->arena);
	return 0;
}

/* A route's operation. */
static struct bf_jval operation(const struct fixture *f, const struct route *route)
{
	struct bf_jval paths = bf_json_get(bf_json_root(f->doc), "paths");

	return bf_json_get(bf_json_get(paths, route->path), route->method == EVHTTP_REQ_GET ? "get" : "post");
}

/* Each route is an operation of its name; each has words of its own in openapi/operations.json, and those have a route. */
static void test_every_route(void **state)
{
	const struct fixture *f = *state;
	const struct route *all;
	size_t n;

	all = routes_all(&n);
	assert_int_equal(n, openapi_n_operations);
	for (size_t i = 0; i < n; i++) {
		struct bf_jval o = operation(f, &all[i]);
		size_t told = 0;

		if (bf_json_type(o) != BF_J_OBJECT)
			fail_msg("no operation: %s", all[i].path);
		assert_string_equal(bf_json_str(bf_json_get(o, "operationId"), f->arena), all[i].id);
		assert_string_equal(bf_json_str(bf_json_get(o, "summary"), f->arena), all[i].help);
		for (size_t k = 0; k < openapi_n_operations; k++)
			told += strcmp(openapi_operations[k].id, all[i].id) == 0;
		if (told != 1)
			fail_msg("%s is told of %zu times", all[i].id, told);
		assert_true(all[i].body != NULL || all[i].method == EVHTTP_REQ_GET);
	}
}

/* Where 409 may come, words say when. */
static void test_conflicts(void **state)
{
	const struct route *all;
	size_t n;

	(void)state;
	all = routes_all(&n);
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < openapi_n_operations; k++)
			if (strcmp(openapi_operations[k].id, all[i].id) == 0 &&
			    (openapi_operations[k].conflict != NULL) != ((all[i].may & ROUTE_CONFLICT) != 0))
				fail_msg("%s: its 409", all[i].id);
	}
}

/* Bounds, presets, choices and nested fields of a body; a query's; a path's. */
static void test_fields(void **state)
{
	static const struct { const char *path, *where; } rows[] = {
		{ "/api/internal/schedule-backfill",
		  "\"batch_size\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":50," },
		{ "/api/internal/schedule-backfill", "\"dry_run\":{\"type\":\"boolean\",\"default\":false," },
		{ "/api/internal/schedule-backfill", "\"start\":{\"type\":\"integer\",\"minimum\":1900,\"maximum\":2100" },
		{ "/api/internal/enrichment/redrive", "\"dry_run\":{\"type\":\"boolean\",\"default\":true," },
		{ "/api/internal/enrichment/redrive", "\"enum\":[\"gemini\",\"xai\",\"isbndb\"" },
		{ "/api/internal/pause", "\"maxLength\":64,\"format\":\"date-time\"" },
		{ "/api/internal/resume", "\"schema\":{\"type\":\"object\",\"additionalProperties\":false}" },
		{ "/api/internal/audit", "{\"name\":\"limit\",\"in\":\"query\",\"required\":false," },
		{ "/api/internal/months/{y}/{m}/why", "{\"name\":\"y\",\"in\":\"path\",\"required\":true," },
		{ "/api/internal/months/{y}/{m}/why", "\"name\":\"X-Operator\"" },
		{ "/api/harvest/backfill", "\"202\":{\"description\"" },
	};
	const struct fixture *f = *state;

	for (size_t i = 0; i < BF_COUNT(rows); i++) {
		char key[96];
		const char *begin, *found;

		snprintf(key, sizeof(key), "\"%s\":{\"", rows[i].path);
		begin = strstr(f->text.data, key);
		assert_non_null(begin);
		found = strstr(begin, rows[i].where);
		if (found == NULL || (strstr(begin + 1, "\"/") != NULL && found > strstr(begin + 1, "\"/")))
			fail_msg("%s: no %s", rows[i].path, rows[i].where);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_route), cmocka_unit_test(test_conflicts), cmocka_unit_test(test_fields),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
