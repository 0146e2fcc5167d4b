/* json_read: what is JSON and what is not, and what the readers say about it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "backfill/base.h"

#define TEXT(s) { s, sizeof(s) - 1 }
struct text { const char *s; size_t n; };

/* Parses a text that must be fine. */
static struct bf_json *parse(const char *s)
{
	struct bf_error err;
	struct bf_json *j = bf_json_parse(s, strlen(s), NULL, false, &err);

	if (!j)
		fail_msg("%s: %s", s, err.text);
	return j;
}

/* Every kind of document that RFC 8259 allows is taken. */
static void test_accepted(void **state)
{
	static const struct text table[] = {
		TEXT("{}"), TEXT("[]"), TEXT(" [ ] "), TEXT("\t\r\n{\n}\n"), TEXT("null"), TEXT("true"), TEXT("false"),
		TEXT("0"), TEXT("-0"), TEXT("-1"), TEXT("1.5"), TEXT("1e5"), TEXT("1E+5"), TEXT("1e-5"), TEXT("0.0e0"),
		TEXT("123456789012345678901234567890"), TEXT("1e999"), TEXT("\"\""), TEXT("\"a\""), TEXT("\" \""),
		TEXT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\""), TEXT("\"\\ud83d\\ude00\""), TEXT("\"\\ud83d\""),
		TEXT("\"\\u0000\""), TEXT("\"\x7f\""), TEXT("\"\xc3\xa9\""), TEXT("\"\xf4\x8f\xbf\xbf\""),
		TEXT("[1,2,3]"), TEXT("[[],[[]]]"), TEXT("{\"\":0}"), TEXT("{\"a\":{\"b\":[{}]}}"), TEXT("{\"a\":1,\"a\":2}"),
		TEXT("[ 1 , \"a\" , null , { \"b\" : [ ] } ]"), TEXT("\"\xef\xbb\xbf\""), TEXT("[1e1,-0.1]"),
		TEXT("{\"a\\u0000b\":1}"),
	};
	struct bf_error err;

	(void)state;
	for (size_t i = 0; i < BF_COUNT(table); i++) {
		struct bf_json *j = bf_json_parse(table[i].s, table[i].n, NULL, false, &err);

		if (!j)
			fail_msg("%s: %s", table[i].s, err.text);
		bf_json_free(j);
	}
}

/* Everything else is refused, as a permanent error. */
static void test_refused(void **state)
{
	static const struct text table[] = {
		TEXT(""), TEXT(" "), TEXT("{"), TEXT("["), TEXT("}"), TEXT("]"), TEXT("[}"), TEXT("{]"), TEXT("[1,]"), TEXT("[,1]"),
		TEXT("[1,,2]"), TEXT("[,]"), TEXT("[1 2]"), TEXT("[1"), TEXT("[1,"), TEXT("[[1]"), TEXT("[1]]"), TEXT("[1]x"),
		TEXT("{}{}"), TEXT("{} []"), TEXT("{\"a\":}"), TEXT("{\"a\"}"), TEXT("{\"a\" 1}"), TEXT("{\"a\",1}"), TEXT("{:1}"),
		TEXT("{\"a\":1,}"), TEXT("{,\"a\":1}"), TEXT("{\"a\":1 \"b\":2}"), TEXT("{a:1}"), TEXT("{'a':1}"), TEXT("{1:1}"),
		TEXT("{\"a\"::1}"), TEXT("{\"a\":1:2}"), TEXT("{null:1}"), TEXT("[\"a\":1]"), TEXT(":"), TEXT(","), TEXT(":,:{},:,"),
		TEXT("nul"), TEXT("nulll"), TEXT("True"), TEXT("TRUE"), TEXT("tru"), TEXT("[tru]"), TEXT("undefined"), TEXT("NaN"),
		TEXT("Infinity"), TEXT("-Infinity"), TEXT("+1"), TEXT("01"), TEXT("-01"), TEXT("00"), TEXT("[01]"), TEXT("1."), TEXT(".5"),
		TEXT("-"), TEXT("-.5"), TEXT("1.e5"), TEXT("1e"), TEXT("1e+"), TEXT("1e5.5"), TEXT("0x1F"), TEXT("1_000"), TEXT("1,000"),
		TEXT("--1"), TEXT("1-"), TEXT("1a"), TEXT("\""), TEXT("\"a"), TEXT("\"a\\"), TEXT("\"a\\\""), TEXT("\"\\x41\""),
		TEXT("\"\\u12\""), TEXT("\"\\u123g\""), TEXT("\"\\u\""), TEXT("\"\\u12"), TEXT("\"\\ \""), TEXT("\"\\U0041\""),
		TEXT("\"a\nb\""), TEXT("\"a\tb\""), TEXT("\"a\0b\""), TEXT("\"\\\0\""), TEXT("\0"), TEXT("1\0"), TEXT("[]\0"),
		TEXT("'a'"), TEXT("a"), TEXT("\\u0031"), TEXT("\xef\xbb\xbf{}"), TEXT("\"\xff\""), TEXT("\"\xc0\xaf\""),
		TEXT("\"\xed\xa0\x80\""), TEXT("\"\xf4\x90\x80\x80\""), TEXT("\"\xc3\""), TEXT("\"\xe2\x82\""), TEXT("[\xc3\xa9]"),
		TEXT("\x80"), TEXT("// c\n1"), TEXT("/* c */1"), TEXT("1 // c"), TEXT("[1\x0b]"), TEXT("[1\x0c]"), TEXT("[\xc2\xa0]"),
		TEXT("<html>"), TEXT("```json\n{}\n```"), TEXT("{\"a\":\"b\"}}"), TEXT("{\"a\":[}"), TEXT("[{\"a\":1]"), TEXT("\"\\uD8\""),
	};
	struct bf_error err;

	(void)state;
	for (size_t i = 0; i < BF_COUNT(table); i++) {
		memset(&err, 0, sizeof(err));
		if (bf_json_parse(table[i].s, table[i].n, NULL, false, &err))
			fail_msg("accepted: %s", table[i].s);
		assert_int_equal(err.class, BF_ERR_PERMANENT);
		assert_true(strlen(err.text) > 0);
	}
}

/* The place of the mistake is told. */
static void test_error_names_the_place(void **state)
{
	struct bf_error err;

	(void)state;
	assert_null(bf_json_parse("{\"a\":1,}", 8, NULL, false, &err));
	assert_non_null(strstr(err.text, "byte 7"));
}

/* A document of n opening brackets and as many closing ones. */
static char *nested(size_t n)
{
	char *s = bf_xmalloc(2 * n + 1);

	memset(s, '[', n);
	memset(s + n, ']', n);
	s[2 * n] = '\0';
	return s;
}

/* Each limit holds exactly, and no depth of nesting reaches the stack. */
static void test_limits(void **state)
{
	struct bf_json_limits limits = { .max_bytes = 20, .max_tokens = 5, .max_depth = 3 };
	struct bf_json_limits deep = { .max_bytes = 1 << 24,
				       .max_tokens = 1 << 24,
				       .max_depth = 1 << 20 };
	struct bf_error err;
	struct bf_json *j;
	char *s;

	(void)state;
	j = bf_json_parse("[[[1]],{}]", 10, &limits, false, &err);
	assert_non_null(j);
	bf_json_free(j);
	assert_null(bf_json_parse("[[[[]]]]", 8, &limits, false, &err));
	assert_non_null(strstr(err.text, "deep"));
	assert_null(bf_json_parse("[1,2,3,4,5]", 11, &limits, false, &err));
	assert_non_null(strstr(err.text, "too many"));
	j = bf_json_parse("[1,2,3,4           ]", 20, &limits, false, &err);
	assert_non_null(j);
	bf_json_free(j);
	assert_null(bf_json_parse("[1,2,3,4            ]", 21, &limits, false, &err));
	s = nested(64);
	j = bf_json_parse(s, 128, NULL, false, &err);
	assert_non_null(j);
	bf_json_free(j);
	free(s);
	s = nested(65);
	assert_null(bf_json_parse(s, 130, NULL, false, &err));
	free(s);
	s = nested(2000000);
	assert_null(bf_json_parse(s, 4000000, &deep, false, &err));
	free(s);
}

/* Types and the readers, each with values of its own type and of the others. */
static void test_readers(void **state)
{
	struct bf_json *j = parse(
		"{\"i\":-7,\"d\":2.5,\"s\":\"x\",\"t\":true,\"f\":false,\"n\":null,\"a\":[1,2],\"o\":{\"k\":1}}");
	struct bf_arena *arena = bf_arena_new();
	struct bf_jval o = bf_json_root(j);
	int64_t i = 99;
	double d = 99;
	bool b = true;

	(void)state;
	assert_int_equal(bf_json_type(o), BF_J_OBJECT);
	assert_int_equal(bf_json_size(o), 8);
	assert_int_equal(bf_json_type(bf_json_get(o, "i")), BF_J_NUMBER);
	assert_int_equal(bf_json_type(bf_json_get(o, "s")), BF_J_STRING);
	assert_int_equal(bf_json_type(bf_json_get(o, "t")), BF_J_BOOL);
	assert_int_equal(bf_json_type(bf_json_get(o, "f")), BF_J_BOOL);
	assert_int_equal(bf_json_type(bf_json_get(o, "n")), BF_J_NULL);
	assert_int_equal(bf_json_type(bf_json_get(o, "a")), BF_J_ARRAY);
	assert_int_equal(bf_json_type(bf_json_get(o, "k")), BF_J_ABSENT);
	assert_true(bf_json_int(bf_json_get(o, "i"), &i));
	assert_int_equal(i, -7);
	assert_true(bf_json_dbl(bf_json_get(o, "d"), &d));
	assert_true(d == 2.5);
	assert_true(bf_json_bool(bf_json_get(o, "f"), &b));
	assert_false(b);
	assert_string_equal(bf_json_str(bf_json_get(o, "s"), arena), "x");
	assert_string_equal(bf_json_str(bf_json_get(o, "d"), arena), "2.5");
	assert_null(bf_json_str(bf_json_get(o, "t"), arena));
	assert_null(bf_json_str(bf_json_get(o, "a"), arena));
	assert_false(bf_json_int(bf_json_get(o, "d"), &i));
	assert_false(bf_json_int(bf_json_get(o, "s"), &i));
	assert_false(bf_json_dbl(bf_json_get(o, "s"), &d));
	assert_false(bf_json_bool(bf_json_get(o, "i"), &b));
	assert_int_equal(i, -7);
	bf_arena_free(arena);
	bf_json_free(j);
}

/* An absent value can be asked anything. */
static void test_absent_is_harmless(void **state)
{
	struct bf_arena *arena = bf_arena_new();
	struct bf_jval none = { NULL, -1 };
	size_t len = 5;
	int64_t i;
	double d;
	bool b;

	(void)state;
	assert_int_equal(bf_json_type(none), BF_J_ABSENT);
	assert_int_equal(bf_json_size(none), 0);
	assert_int_equal(bf_json_type(bf_json_get(none, "a")), BF_J_ABSENT);
	assert_int_equal(bf_json_type(bf_json_path(none, "a.0")), BF_J_ABSENT);
	assert_int_equal(bf_json_type(bf_json_first(none)), BF_J_ABSENT);
	assert_int_equal(bf_json_type(bf_json_next(none)), BF_J_ABSENT);
	assert_null(bf_json_key(none, arena));
	assert_null(bf_json_str(none, arena));
	assert_false(bf_json_int(none, &i));
	assert_false(bf_json_dbl(none, &d));
	assert_false(bf_json_bool(none, &b));
	assert_null(bf_json_raw(none, &len));
	assert_int_equal(len, 0);
	assert_int_equal(bf_json_type(bf_json_root(NULL)), BF_J_ABSENT);
	bf_json_free(NULL);
	bf_arena_free(arena);
}

/* What counts as an integer: anything without a fraction that fits. */
static void test_integers(void **state)
{
	static const struct { const char *text; bool ok; int64_t value; } table[] = {
		{ "0", true, 0 }, { "-0", true, 0 }, { "9223372036854775807", true, INT64_MAX },
		{ "-9223372036854775808", true, INT64_MIN }, { "9223372036854775808", false, 0 },
		{ "5.0", true, 5 }, { "5e2", true, 500 }, { "5.5", false, 0 }, { "1e300", false, 0 }, { "1e999", false, 0 },
		{ "-2.50e1", true, -25 }, { "1e-1", false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < BF_COUNT(table); i++) {
		struct bf_json *j = parse(table[i].text);
		int64_t v = 0;

		if (bf_json_int(bf_json_root(j), &v) != table[i].ok || v != table[i].value)
			fail_msg("%s", table[i].text);
		bf_json_free(j);
	}
}

/* Escapes: all short ones, pairs, lone halves in every position, NUL. */
static void test_escapes(void **state)
{
	static const struct { const char *json, *text; } table[] = {
		{ "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t" }, { "\"\\u0041\\u00e9\\u20AC\"", "A\xc3\xa9\xe2\x82\xac" },
		{ "\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80" }, { "\"\\udbff\\udfff\"", "\xf4\x8f\xbf\xbf" },
		{ "\"\\ud83d\"", "\xef\xbf\xbd" }, { "\"\\ude00\"", "\xef\xbf\xbd" },
		{ "\"\\ud83dx\"", "\xef\xbf\xbdx" }, { "\"\\ud83d\\n\"", "\xef\xbf\xbd\n" },
		{ "\"\\ud83d\\u0041\"", "\xef\xbf\xbd" "A" }, { "\"\\ud83d\\ud83d\\ude00\"", "\xef\xbf\xbd\xf0\x9f\x98\x80" },
		{ "\"\\ude00\\ud83d\"", "\xef\xbf\xbd\xef\xbf\xbd" }, { "\"a\\u0000b\"", "a\xef\xbf\xbd" "b" },
		{ "\"\\\\u0041\"", "\\u0041" }, { "\"\\ud83d\\\\ude00\"", "\xef\xbf\xbd\\ude00" },
	};

	(void)state;
	for (size_t i = 0; i < BF_COUNT(table); i++) {
		struct bf_arena *arena = bf_arena_new();
		struct bf_json *j = parse(table[i].json);

		assert_string_equal(bf_json_str(bf_json_root(j), arena), table[i].text);
		bf_json_free(j);
		bf_arena_free(arena);
	}
}

/* Names with escapes are found and decoded; the first of equal names counts. */
static void test_names(void **state)
{
	struct bf_json *j = parse("{\"\\u0061b\":1,\"ab\":2,\"c\\\"d\":{\"x\":3},\"a\":4}");
	struct bf_arena *arena = bf_arena_new();
	struct bf_jval root = bf_json_root(j);
	int64_t i;

	(void)state;
	assert_true(bf_json_int(bf_json_get(root, "ab"), &i));
	assert_int_equal(i, 1);
	assert_true(bf_json_int(bf_json_get(root, "a"), &i));
	assert_int_equal(i, 4);
	assert_true(bf_json_int(bf_json_path(root, "c\"d.x"), &i));
	assert_int_equal(i, 3);
	assert_string_equal(bf_json_key(bf_json_first(root), arena), "ab");
	bf_arena_free(arena);
	bf_json_free(j);
}

/* Walking: every element and member once, in order, whatever is nested in them. */
static void test_iteration(void **state)
{
	struct bf_json *j =
		parse("{\"a\":[[1,[2]],{\"x\":{\"y\":[3]}},4],\"b\":{},\"c\":[],\"d\":\"e\"}");
	struct bf_arena *arena = bf_arena_new();
	const char *expected[] = { "a", "b", "c", "d" };
	struct bf_jval v;
	size_t n = 0;

	(void)state;
	for (v = bf_json_first(bf_json_root(j)); bf_json_type(v); v = bf_json_next(v))
		assert_string_equal(bf_json_key(v, arena), expected[n++]);
	assert_int_equal(n, 4);
	n = 0;
	for (v = bf_json_first(bf_json_get(bf_json_root(j), "a")); bf_json_type(v);
	     v = bf_json_next(v)) {
		assert_null(bf_json_key(v, arena));
		n++;
	}
	assert_int_equal(n, 3);
	assert_int_equal(bf_json_type(bf_json_first(bf_json_get(bf_json_root(j), "b"))),
			 BF_J_ABSENT);
	assert_int_equal(bf_json_type(bf_json_first(bf_json_get(bf_json_root(j), "d"))),
			 BF_J_ABSENT);
	assert_int_equal(bf_json_type(bf_json_next(bf_json_root(j))), BF_J_ABSENT);
	bf_arena_free(arena);
	bf_json_free(j);
}

/* Paths through objects and arrays, and those that lead nowhere. */
static void test_paths(void **state)
{
	static const char *const nowhere[] = { "a.3",	  "a.x",	   "a.-1",  "a.", "b",
					       "a.0.0.0", "a.99999999999", "a.2.z", "x.y" };
	struct bf_json *j = parse("{\"a\":[10,[20],{\"z\\u002e\":30,\"q\":40}],\"0\":50}");
	int64_t i;

	(void)state;
	assert_true(bf_json_int(bf_json_path(bf_json_root(j), "a.0"), &i) && i == 10);
	assert_true(bf_json_int(bf_json_path(bf_json_root(j), "a.1.0"), &i) && i == 20);
	assert_true(bf_json_int(bf_json_path(bf_json_root(j), "a.2.q"), &i) && i == 40);
	assert_true(bf_json_int(bf_json_path(bf_json_root(j), "0"), &i) && i == 50);
	for (size_t k = 0; k < BF_COUNT(nowhere); k++)
		if (bf_json_type(bf_json_path(bf_json_root(j), nowhere[k])))
			fail_msg("%s leads somewhere", nowhere[k]);
	bf_json_free(j);
}

/* A value's own bytes, with what belongs to it. */
static void test_raw(void **state)
{
	struct bf_json *j = parse(" { \"a\" : [ 1, 2 ] , \"b\" : \"x\\n\", \"c\":-1.50 } ");
	struct bf_jval root = bf_json_root(j);
	const char *raw;
	size_t n;

	(void)state;
	raw = bf_json_raw(bf_json_get(root, "a"), &n);
	assert_true(n == 8 && memcmp(raw, "[ 1, 2 ]", 8) == 0);
	raw = bf_json_raw(bf_json_get(root, "b"), &n);
	assert_true(n == 5 && memcmp(raw, "\"x\\n\"", 5) == 0);
	raw = bf_json_raw(bf_json_get(root, "c"), &n);
	assert_true(n == 5 && memcmp(raw, "-1.50", 5) == 0);
	bf_json_free(j);
}

/* Names given twice are refused where asked for, at any depth and however they are spelt. */
static void test_duplicate_names(void **state)
{
	static const char *const twice[] = {
		"{\"a\":1,\"a\":2}", "{\"a\":1,\"\\u0061\":2}", "[{\"b\":{\"x\":1,\"y\":2,\"x\":3}}]", "{\"\":1,\"\":1}"
	};
	static const char *const once[] = { "{\"a\":1,\"b\":{\"a\":2}}", "[{\"a\":1},{\"a\":1}]",
					    "{\"a\":\"b\",\"b\":\"a\"}", "[]" };
	struct bf_error err;
	struct bf_json *j;

	(void)state;
	for (size_t i = 0; i < BF_COUNT(twice); i++) {
		assert_null(bf_json_parse(twice[i], strlen(twice[i]), NULL, true, &err));
		assert_non_null(strstr(err.text, "twice"));
		j = parse(twice[i]);
		bf_json_free(j);
	}
	for (size_t i = 0; i < BF_COUNT(once); i++) {
		j = bf_json_parse(once[i], strlen(once[i]), NULL, true, &err);
		assert_non_null(j);
		bf_json_free(j);
	}
}

/* Whatever bytes come, the parser says yes or no and stays within the text (sanitizers watch). */
static void test_random_damage(void **state)
{
	static const char seed_text[] =
		"{\"a\":[1,2.5e3,{\"b\":\"x\\ud83d\\ude00\\u0000\"}],\"c\":[true,false,null,\"\"],\"d\":{\"e\":{}}}";
	struct bf_arena *arena = bf_arena_new();
	struct bf_error err;
	int accepted = 0;

	(void)state;
	bf_random_seed(20240229);
	for (int round = 0; round < 20000; round++) {
		char text[sizeof(seed_text)];
		struct bf_json *j;
		size_t n = bf_random_u64() % 20 ? sizeof(text) - 1 : bf_random_u64() % sizeof(text);

		memcpy(text, seed_text, sizeof(text));
		for (uint64_t k = bf_random_u64() % 3; k > 0; k--)
			text[bf_random_u64() % (sizeof(text) - 1)] =
				"{}[],:\"\\019.eE-tnu \xc3\xa9\xff"[bf_random_u64() % 22];
		j = bf_json_parse(text, n, NULL, round % 2, &err);
		if (!j)
			continue;
		accepted++;
		for (struct bf_jval v = bf_json_first(bf_json_root(j)); bf_json_type(v);
		     v = bf_json_next(v))
			bf_json_key(v, arena);
		bf_json_str(bf_json_path(bf_json_root(j), "a.2.b"), arena);
		bf_json_free(j);
	}
	assert_true(accepted > 5000);
	bf_arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepted), cmocka_unit_test(test_refused), cmocka_unit_test(test_error_names_the_place),
		cmocka_unit_test(test_limits), cmocka_unit_test(test_readers), cmocka_unit_test(test_absent_is_harmless),
		cmocka_unit_test(test_integers), cmocka_unit_test(test_escapes), cmocka_unit_test(test_names),
		cmocka_unit_test(test_iteration), cmocka_unit_test(test_paths), cmocka_unit_test(test_raw),
		cmocka_unit_test(test_duplicate_names), cmocka_unit_test(test_random_damage)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
