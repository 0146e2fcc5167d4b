/* The reader of operators' bodies: what is taken, what is refused, and that every problem is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "body.h"

struct taken { int batch_size, start, end, limit; bool dry_run, careful; const char *note, *colour; };
static const char *const colours[] = { "red", "green" };
static const struct body_field range[] = {
	BODY_INT_FIELD("start", 1900, 2100, struct taken, start, .help = "x"),
	BODY_INT_FIELD("end", 1900, 2100, struct taken, end, .help = "x"),
	BODY_INT_FIELD("limit", 1, 9, struct taken, limit, .preset = "7"),
	BODY_END,
};
static const struct body_field fields[] = {
	BODY_INT_FIELD("batch_size", 1, 50, struct taken, batch_size, .help = "x"),
	BODY_BOOL_FIELD("dry_run", struct taken, dry_run, .preset = "false"),
	BODY_BOOL_FIELD("careful", struct taken, careful, .preset = "true"),
	BODY_STR_FIELD("note", 1, 5, struct taken, note, .help = "x"),
	BODY_ENUM_FIELD("colour", colours, BF_COUNT(colours), struct taken, colour, .help = "x"),
	BODY_OBJ_FIELD("year_range", range, .help = "x"),
	BODY_END,
};

/* Reads a body with a field of each type; how many problems. */
static int read_body(const char *text, size_t len, struct bf_arena *arena, struct taken *ret, struct body_problems *problems)
{
	bool ok;

	*ret = (struct taken){ .batch_size = 10, .dry_run = true };
	*problems = (struct body_problems){ 0 };
	ok = body_read(text, len, fields, ret, arena, problems);
	assert_int_equal(ok, problems->n == 0);
	return problems->n;
}

/* One bad body: exactly one problem, at the field, with the words. */
static void refuses(const char *text, const char *field, const char *words)
{
	struct bf_arena *arena = bf_arena_new();
	struct body_problems problems;
	struct taken taken;

	if (read_body(text, strlen(text), arena, &taken, &problems) != 1)
		fail_msg("%s: %d problems", text, problems.n);
	assert_string_equal(problems.v[0].field, field);
	if (strstr(problems.v[0].message, words) == NULL)
		fail_msg("%s: \"%s\" lacks \"%s\"", text, problems.v[0].message, words);
	bf_arena_free(arena);
}

/* Nothing and {} leave what was there, but for the presets, which a table tells. */
static void test_empty(void **state)
{
	static const char *const bodies[] = { "", "{}", " { } \n" };
	struct bf_arena *arena = bf_arena_new();
	struct body_problems problems;
	struct taken taken;

	(void)state;
	for (size_t i = 0; i < BF_COUNT(bodies); i++) {
		assert_int_equal(read_body(bodies[i], strlen(bodies[i]), arena, &taken, &problems), 0);
		assert_int_equal(taken.batch_size, 10);
		assert_int_equal(taken.limit, 7);
		assert_true(taken.careful);
		assert_false(taken.dry_run);
		assert_null(taken.note);
	}
	bf_arena_free(arena);
}

/* Every type reaches its destination, bounds included; characters are counted, not bytes. */
static void test_good(void **state)
{
	static const char body[] = "{\"batch_size\":50,\"dry_run\":true,"
				   "\"careful\":false,\"colour\":\"green\",\"note\":\"h\\u00e9\xe2\x82\xac\xf0\x9f\x93\x9a!\","
				   "\"year_range\":{\"end\":1900,\"start\":2100}}";
	struct bf_arena *arena = bf_arena_new();
	struct body_problems problems;
	struct taken taken;

	(void)state;
	assert_int_equal(read_body(body, strlen(body), arena, &taken, &problems), 0);
	assert_int_equal(taken.batch_size, 50);
	assert_false(taken.careful);
	assert_string_equal(taken.colour, "green");
	assert_true(taken.dry_run);
	assert_string_equal(taken.note, "h\xc3\xa9\xe2\x82\xac\xf0\x9f\x93\x9a!");
	assert_int_equal(taken.start, 2100);
	assert_int_equal(taken.end, 1900);
	bf_arena_free(arena);
}

/* A value of the wrong type or out of bounds is refused by its field's name. */
static void test_bad_values(void **state)
{
	static const char *const sizes[] = { "0", "51", "100", "-1", "1.5", "1e99", "99999999999999999999" };
	char body[80];

	(void)state;
	for (size_t i = 0; i < BF_COUNT(sizes); i++) {
		snprintf(body, sizeof(body), "{\"batch_size\":%s}", sizes[i]);
		refuses(body, "batch_size", "integer from 1 to 50");
	}
	refuses("{\"batch_size\":\"5\"}", "batch_size", "not a string");
	refuses("{\"batch_size\":null}", "batch_size", "not null");
	refuses("{\"batch_size\":[5]}", "batch_size", "not an array");
	refuses("{\"dry_run\":\"true\"}", "dry_run", "true or false");
	refuses("{\"dry_run\":1}", "dry_run", "true or false");
	refuses("{\"dry_run\":null}", "dry_run", "true or false");
	refuses("{\"note\":7}", "note", "string");
	refuses("{\"note\":\"\"}", "note", "1 to 5");
	refuses("{\"note\":\"abcdef\"}", "note", "1 to 5");
	refuses("{\"colour\":\"blue\"}", "colour", "known: red, green");
	refuses("{\"colour\":\"\"}", "colour", "known: red, green");
	refuses("{\"colour\":1}", "colour", "not a number");
	refuses("{\"year_range\":[2020,2023]}", "year_range", "object");
	refuses("{\"year_range\":{\"start\":1899}}", "year_range.start", "1900 to 2100");
}

/* An unknown name is refused by that name, and the known ones are told: a misspelt dry_run must not run. */
static void test_unknown(void **state)
{
	(void)state;
	refuses("{\"dry_ron\":true}", "dry_ron", "known: batch_size, dry_run");
	refuses("{\"Dry_run\":true}", "Dry_run", "unknown");
	refuses("{\"year_range\":{\"from\":2000}}", "year_range.from", "known: start, end, limit");
	refuses("{\"\":1}", "", "unknown");
}

/* What is no JSON object is refused as a whole. */
static void test_malformed(void **state)
{
	static const char *const bodies[] = {
		"[]", "[{}]", "null", "5", "\"{}\"", "{", "{}}", "{} {}", "{\"dry_run\":}", "{dry_run:true}",
		"{\"dry_run\":true,}", "{'dry_run':true}", "{\"dry_run\":True}", "{\"batch_size\":05}", " ", "\xef\xbb\xbf{}",
		"{\"dry_run\":true,\"dry_run\":false}", "{\"note\":\"\xff\"}", "{\"note\":\"\xc0\xaf\"}", "{\"note\":\"a\nb\"}",
		"{\"batch_size\":NaN}", "{/*x*/}",
	};

	(void)state;
	for (size_t i = 0; i < BF_COUNT(bodies); i++)
		refuses(bodies[i], "", "");
}

/* A NUL byte ends nothing: what stands behind it is read, and refused. */
static void test_nul(void **state)
{
	struct bf_arena *arena = bf_arena_new();
	struct body_problems problems;
	struct taken taken;

	(void)state;
	assert_int_equal(read_body("{}\0{\"x\":1}", 10, arena, &taken, &problems), 1);
	bf_arena_free(arena);
}

/* All problems of a body are named, in its order; a flood of them is cut off. */
static void test_all_problems(void **state)
{
	struct bf_arena *arena = bf_arena_new();
	struct body_problems problems;
	struct taken taken;
	struct bf_buf flood;

	(void)state;
	static const char body[] = "{\"x\":1,\"batch_size\":0,\"year_range\":{\"end\":\"a\"}}";
	assert_int_equal(read_body(body, strlen(body), arena, &taken, &problems), 3);
	assert_string_equal(problems.v[0].field, "x");
	assert_string_equal(problems.v[1].field, "batch_size");
	assert_string_equal(problems.v[2].field, "year_range.end");

	bf_buf_init(&flood, 65536);
	for (int i = 0; i < 100; i++)
		bf_buf_addf(&flood, "%c\"f%d\":1", i == 0 ? '{' : ',', i);
	bf_buf_adds(&flood, "}");
	assert_int_equal(read_body(flood.data, flood.len, arena, &taken, &problems), BODY_PROBLEMS);
	bf_buf_release(&flood);
	bf_arena_free(arena);
}

/* A name far too long is cut on a character's boundary, and the message stays whole. */
static void test_long_name(void **state)
{
	struct bf_arena *arena = bf_arena_new();
	struct body_problems problems;
	struct taken taken;
	struct bf_buf body;

	(void)state;
	bf_buf_init(&body, 65536);
	bf_buf_adds(&body, "{\"x");
	for (int i = 0; i < 1000; i++)
		bf_buf_adds(&body, "\xe2\x82\xac");
	bf_buf_adds(&body, "\":1}");
	assert_int_equal(read_body(body.data, body.len, arena, &taken, &problems), 1);
	assert_true(bf_utf8_valid(problems.v[0].field, strlen(problems.v[0].field)));
	assert_int_equal(strlen(problems.v[0].field), 61);
	bf_buf_release(&body);
	bf_arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty), cmocka_unit_test(test_good), cmocka_unit_test(test_bad_values),
		cmocka_unit_test(test_unknown), cmocka_unit_test(test_malformed), cmocka_unit_test(test_nul),
		cmocka_unit_test(test_all_problems), cmocka_unit_test(test_long_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
