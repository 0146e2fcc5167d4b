/* The reader of what stands in URLs: escapes, parameters, and that every problem is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "query.h"

struct taken { const char *status, *reason; int year, limit; };
static const char *const statuses[] = { "failed", "done" };
static const struct body_field fields[] = {
	BODY_ENUM_FIELD("status", statuses, BF_COUNT(statuses), struct taken, status, .help = "x"),
	BODY_STR_FIELD("reason", 1, 5, struct taken, reason, .help = "x"),
	BODY_INT_FIELD("year", 1900, 2100, struct taken, year, .help = "x"),
	BODY_INT_FIELD("limit", 1, 500, struct taken, limit, .preset = "100"),
	BODY_END,
};

/* Decoded text, or the reason why there is none. */
static const char *decode(const char *text, size_t len, bool plus, struct bf_arena *arena)
{
	const char *why = NULL, *out = query_decode(text, len, plus, arena, &why);

	assert_true((out == NULL) == (why != NULL));
	return out != NULL ? out : why;
}

/* Escapes of either case become their bytes, once; `+` is a blank only where forms write one. */
static void test_decoded(void **state)
{
	static const struct { const char *text, *plain, *form; } rows[] = {
		{ "", "", "" },
		{ "synthetic:0a", "synthetic:0a", "synthetic:0a" },
		{ "a%20b%2fc%2Fd", "a b/c/d", "a b/c/d" },
		{ "%2520", "%20", "%20" },
		{ "a+b%2Bc", "a+b+c", "a b+c" },
		{ "%C3%A9%e4%B9%a6", "\xc3\xa9\xe4\xb9\xa6", "\xc3\xa9\xe4\xb9\xa6" },
		{ "\xc3\xa9", "\xc3\xa9", "\xc3\xa9" },
		{ "%C2%A0", "\xc2\xa0", "\xc2\xa0" },
	};
	struct bf_arena *arena = bf_arena_new();

	(void)state;
	for (size_t i = 0; i < BF_COUNT(rows); i++) {
		assert_string_equal(decode(rows[i].text, strlen(rows[i].text), false, arena), rows[i].plain);
		assert_string_equal(decode(rows[i].text, strlen(rows[i].text), true, arena), rows[i].form);
	}
	assert_string_equal(decode("ab%20", 2, false, arena), "ab");
	bf_arena_free(arena);
}

/* What is no escape, no UTF-8, or a control character is refused; nothing is read beyond the length. */
static void test_not_decoded(void **state)
{
	static const struct { const char *text; size_t len; const char *why; } rows[] = {
		{ "%", 1, "hexadecimal" }, { "a%4", 3, "hexadecimal" }, { "%zz", 3, "hexadecimal" }, { "%4g", 3, "hexadecimal" },
		{ "%g4", 3, "hexadecimal" }, { "%41", 2, "hexadecimal" }, { "%41", 1, "hexadecimal" }, { "%%41", 4, "hexadecimal" },
		{ "%+1", 3, "hexadecimal" }, { "% 1", 3, "hexadecimal" },
		{ "a%00b", 5, "control" }, { "%0a", 3, "control" }, { "%1F", 3, "control" }, { "%7f", 3, "control" },
		{ "%C2%85", 6, "control" }, { "a\tb", 3, "control" }, { "a\0b", 3, "control" },
		{ "%ff", 3, "UTF-8" }, { "%C3", 3, "UTF-8" }, { "%C0%AF", 6, "UTF-8" }, { "%ED%A0%80", 9, "UTF-8" },
	};
	struct bf_arena *arena = bf_arena_new();

	(void)state;
	for (size_t i = 0; i < BF_COUNT(rows); i++) {
		const char *why = decode(rows[i].text, rows[i].len, i % 2 == 0, arena);

		if (strstr(why, rows[i].why) == NULL)
			fail_msg("%s: %s", rows[i].text, why);
	}
	bf_arena_free(arena);
}

/* Reads a query with a field of each type; how many problems. */
static int read_query(const char *text, struct bf_arena *arena, struct taken *ret, struct body_problems *problems)
{
	bool ok;

	*ret = (struct taken){ .limit = 0 };
	*problems = (struct body_problems){ 0 };
	ok = query_read(text, fields, ret, arena, problems);
	assert_int_equal(ok, problems->n == 0);
	return problems->n;
}

/* Parameters in any order; an empty query sets nothing; a name may be escaped; lengths count characters. */
static void test_taken(void **state)
{
	struct bf_arena *arena = bf_arena_new();
	struct body_problems problems;
	struct taken taken;

	(void)state;
	assert_int_equal(read_query(NULL, arena, &taken, &problems), 0);
	assert_int_equal(read_query("", arena, &taken, &problems), 0);
	assert_int_equal(read_query("&&", arena, &taken, &problems), 0);
	assert_null(taken.status);
	assert_int_equal(taken.limit, 100);
	assert_int_equal(read_query("limit=7&%73tatus=failed&year=1900&reason=no+%E4%B9%A6=&", arena, &taken, &problems), 0);
	assert_int_equal(taken.limit, 7);
	assert_string_equal(taken.status, "failed");
	assert_int_equal(taken.year, 1900);
	assert_string_equal(taken.reason, "no \xe4\xb9\xa6=");
	bf_arena_free(arena);
}

/* Each thing that is wrong is one problem at its parameter, and all of them are found. */
static void test_refused(void **state)
{
	static const struct { const char *text, *field, *words; } rows[] = {
		{ "stats=failed", "stats", "unknown parameter; known: status, reason, year, limit" },
		{ "Status=failed", "Status", "unknown" }, { "=x", "", "unknown" }, { "status%00=x", "", "control" },
		{ "status=failed&status=failed", "status", "twice" }, { "status", "status", "known: failed, done" },
		{ "status=", "status", "known" }, { "status=fail", "status", "known" },
		{ "reason", "reason", "1 to 5" },
		{ "reason=abcdef", "reason", "1 to 5" }, { "reason=%zz", "reason", "hexadecimal" },
		{ "year=1899", "year", "1900 to 2100" }, { "year=2101", "year", "1900" }, { "year=", "year", "1900" },
		{ "year=02024x", "year", "1900" }, { "year=-2024", "year", "1900" }, { "year=+2024", "year", "1900" },
		{ "year=2024.0", "year", "1900" }, { "limit=0", "limit", "1 to 500" }, { "limit=501", "limit", "1 to 500" },
		{ "limit=4294967297", "limit", "1 to 500" }, { "limit=18446744073709551617", "limit", "1 to 500" },
	};
	struct bf_arena *arena = bf_arena_new();
	struct body_problems problems;
	struct taken taken;

	(void)state;
	for (size_t i = 0; i < BF_COUNT(rows); i++) {
		if (read_query(rows[i].text, arena, &taken, &problems) != 1 ||
		    strcmp(problems.v[0].field, rows[i].field) != 0 ||
		    strstr(problems.v[0].message, rows[i].words) == NULL)
			fail_msg("%s: %d, %s: %s", rows[i].text, problems.n, problems.v[0].field, problems.v[0].message);
	}
	assert_int_equal(read_query("a=1&limit=0&reason=%", arena, &taken, &problems), 3);
	bf_arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decoded), cmocka_unit_test(test_not_decoded), cmocka_unit_test(test_taken),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
