/*
 * parts: the readers and makers that the providers share, each on the odd inputs that the services
 * and the AIs are known for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "../../../src/providers/wire.h"

static struct bf_arena *arena;
static struct bf_json *doc;

static int setup(void **state)
{
	(void)state;
	arena = bf_arena_new();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	bf_json_free(doc);
	doc = NULL;
	bf_arena_free(arena);
	return 0;
}

/* The value of one JSON text. */
static struct bf_jval value(const char *json)
{
	struct bf_error err;

	bf_json_free(doc);
	doc = bf_json_parse(json, strlen(json), &bf_json_limits_default, false, &err);
	assert_non_null(doc);
	return bf_json_root(doc);
}

/* Proves that a text is found in every shape, trimmed, and that blank ones are none. */
static void test_text(void **state)
{
	(void)state;
	assert_string_equal(provider_text(value("\" \\u00a0a b\\n\""), arena), "a b");
	assert_string_equal(provider_text(value("1965"), arena), "1965");
	assert_string_equal(
		provider_text(value("[null,\"\",\" \",[\"x\"],\"b\",\"c\"]"), arena), "b");
	assert_string_equal(
		provider_text(value("{\"type\":\"/type/text\",\"value\":\"v\"}"), arena), "v");
	assert_string_equal(provider_text(value("[{\"name\":\"n\"}]"), arena), "n");
	assert_null(provider_text(value("\"\""), arena));
	assert_null(provider_text(value("null"), arena));
	assert_null(provider_text(value("true"), arena));
	assert_null(provider_text(value("[]"), arena));
	assert_null(provider_text(value("{}"), arena));
	assert_null(provider_text(bf_json_get(value("{}"), "a"), arena));
}

/* Proves that lists are joined whatever their shape, and that no element can split in two. */
static void test_list(void **state)
{
	(void)state;
	assert_string_equal(provider_list(value("[\"A\",null,\"\",\" B \",3]"), arena), "A;B;3");
	assert_string_equal(provider_list(value("{\"0\":\"A\",\"7\":\"B\"}"), arena), "A;B");
	assert_string_equal(provider_list(value("\"A; B\""), arena), "A, B");
	assert_string_equal(
		provider_list(value("[\"A &amp; B\",\"C &#39;D&#39;\",\"E&x;\"]"), arena),
		"A & B;C 'D';E&x,");
	assert_string_equal(
		provider_list(value("[{\"name\":\"A\"},{\"value\":\"B\"},{\"x\":1}]"), arena),
		"A;B");
	assert_null(provider_list(value("[]"), arena));
	assert_null(provider_list(value("[null,\"\"]"), arena));
	assert_null(provider_list(value("null"), arena));
}

/* Proves that an endless list ends at a whole element. */
static void test_list_cap(void **state)
{
	struct bf_buf buf;
	const char *text;
	int i;

	(void)state;
	bf_buf_init(&buf, 1 << 20);
	bf_buf_adds(&buf, "[");
	for (i = 0; i < 5000; i++)
		bf_buf_addf(&buf, "%s\"abcdefgh\"", i > 0 ? "," : "");
	bf_buf_adds(&buf, "]");
	text = provider_list(value(buf.data), arena);
	assert_in_range(strlen(text), 8000, 8192);
	assert_string_equal(text + strlen(text) - 9, ";abcdefgh");
	bf_buf_release(&buf);
}

/* Proves the year of dates of every kind. */
static void test_year(void **state)
{
	static const struct {
		const char *date;
		int year;
	} rows[] = { { "1965", 1965 }, { "1965-08-01T00:00:00Z", 1965 }, { "July 28, 2008", 2008 },
		{ "c1965", 1965 }, { "1997?", 1997 }, { "1965*", 1965 }, { "19??", 0 },
		{ "0000", 0 }, { "", 0 }, { NULL, 0 }, { "-0500-01-01T00:00:00Z", 0 },
		{ "20150301", 0 }, { "2101", 0 }, { "2100", 2100 }, { "0999 or 1001", 1001 } };
	size_t i;

	(void)state;
	for (i = 0; i < BF_COUNT(rows); i++)
		assert_int_equal(provider_year(rows[i].date), rows[i].year);
}

/* Proves durations in seconds, rounded up and capped at a day. */
static void test_seconds(void **state)
{
	(void)state;
	assert_int_equal(provider_seconds_ms("48s"), 48000);
	assert_int_equal(provider_seconds_ms("34.4s"), 34400);
	assert_int_equal(provider_seconds_ms("48.939935699s"), 48940);
	assert_int_equal(provider_seconds_ms("0.0001s"), 1);
	assert_int_equal(provider_seconds_ms("0s"), 0);
	assert_int_equal(provider_seconds_ms("99999999999999999999999s"), 86400000);
	assert_int_equal(provider_seconds_ms("soon"), -1);
	assert_int_equal(provider_seconds_ms("-5s"), -1);
	assert_int_equal(provider_seconds_ms(NULL), -1);
}

/* Proves that an excerpt is one short line of valid UTF-8. */
static void test_excerpt(void **state)
{
	char big[1000];
	const char *text;

	(void)state;
	assert_string_equal(provider_excerpt(arena, " a\r\n\tb\0c ", 9), "a b c");
	assert_string_equal(provider_excerpt(arena, "x\xff\xc3+\xe2\x82", 6), "x??+??");
	assert_null(provider_excerpt(arena, " \n ", 3));
	assert_null(provider_excerpt(arena, NULL, 0));
	memset(big, 'e', sizeof(big));
	memcpy(big + 198, "\xe2\x82\xac", 3);
	text = provider_excerpt(arena, big, sizeof(big));
	assert_int_equal(strlen(text), 198);
}

/* Proves that no key is left in an excerpt, in whatever form a service echoes it. */
static void test_scrub(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "GET /v1?key=AIzaSyB12-3_4&x=1 failed", "GET /v1?key=***&x=1 failed" },
		{ "Incorrect API key provided: in***ey. See",
			"Incorrect API key provided: *** See" },
		{ "Authorization: Bearer abc.def-1 refused", "Authorization: Bearer *** refused" },
		{ "(AIzaSyB12)", "(***)" },
		{ "key xai-0123456789 is blocked", "key *** is blocked" },
		{ "api_key: \"s3cret\"", "api_key: ***" },
		{ "API key not valid. Please", "API key not valid. Please" },
		{ "AIzaSyCUT", "***" },
		{ "key=", "key=" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BF_COUNT(rows); i++)
		assert_string_equal(
			provider_excerpt(arena, rows[i].in, strlen(rows[i].in)), rows[i].out);
}

/* Proves the outcome of each status where nothing better is known. */
static void test_status(void **state)
{
	static const struct {
		int status;
		enum provider_outcome outcome;
	} rows[] = { { 200, OUTCOME_OK }, { 204, OUTCOME_OK }, { 302, OUTCOME_GARBAGE },
		{ 400, OUTCOME_BAD_REQUEST }, { 401, OUTCOME_AUTH }, { 402, OUTCOME_BILLING },
		{ 403, OUTCOME_AUTH }, { 404, OUTCOME_GARBAGE }, { 408, OUTCOME_UPSTREAM },
		{ 410, OUTCOME_GARBAGE }, { 415, OUTCOME_BAD_REQUEST },
		{ 422, OUTCOME_BAD_REQUEST }, { 425, OUTCOME_UPSTREAM }, { 429, OUTCOME_RATE },
		{ 499, OUTCOME_UPSTREAM }, { 500, OUTCOME_UPSTREAM }, { 503, OUTCOME_UPSTREAM },
		{ 529, OUTCOME_UPSTREAM }, { 100, OUTCOME_GARBAGE }, { 0, OUTCOME_GARBAGE } };
	size_t i;

	(void)state;
	for (i = 0; i < BF_COUNT(rows); i++)
		assert_int_equal(provider_outcome_of_status(rows[i].status), rows[i].outcome);
}

/* Proves percent-encoding: only unreserved characters stay. */
static void test_escape(void **state)
{
	(void)state;
	assert_string_equal(provider_escape(arena, "aZ09-._~ +/&=?#%\"\xc3\xa9"),
		"aZ09-._~%20%2B%2F%26%3D%3F%23%25%22%C3%A9");
}

/* Proves that covers are https or none. */
static void test_cover(void **state)
{
	(void)state;
	assert_string_equal(
		record_cover(arena, "http://a.example/x?y=1&z"), "https://a.example/x?y=1&z");
	assert_string_equal(record_cover(arena, "Https://a.example/x"), "https://a.example/x");
	assert_null(record_cover(arena, "javascript:alert(1)"));
	assert_null(record_cover(arena, "//a.example/x"));
	assert_null(record_cover(arena, "https://"));
	assert_null(record_cover(arena, "https://a.example/x\"onload=1"));
	assert_null(record_cover(arena, "https://a.example/No-Cover.png"));
	assert_null(record_cover(arena, NULL));
}

/* Proves which ISBN of many becomes the record's. */
static void test_isbns(void **state)
{
	struct record_isbns set = { .n = 0 }, many = { .n = 0, .english_first = true };
	struct bf_record r = { 0 };
	struct bf_buf buf;
	int i;

	(void)state;
	record_isbn_add_list(&set,
		value("[\"316148410X\",\"978-0-306-40615-7\",\"0306406152\",\"9780306406158\",5]"),
		arena);
	assert_int_equal(set.n, 2);
	record_isbn_take(&set, arena, &r);
	assert_string_equal(r.isbn13, "9780306406157"); /* given as 13 digits */
	assert_string_equal(r.other_isbns, "9783161484100");

	/* thousands of foreign ones before the English one */
	bf_buf_init(&buf, 1 << 20);
	bf_buf_adds(&buf, "[");
	for (i = 0; i < 1000; i++) {
		int digits[12] = { 9, 7, 8, 3, 1, i / 1000 % 10, i / 100 % 10, i / 10 % 10, i % 10,
			4, 2, 0 };
		int sum = 0, k;

		bf_buf_adds(&buf, "\"");
		for (k = 0; k < 12; k++) {
			sum += digits[k] * (k % 2 ? 3 : 1);
			bf_buf_addf(&buf, "%d", digits[k]);
		}
		bf_buf_addf(&buf, "%d\",", (10 - sum % 10) % 10);
	}
	bf_buf_adds(&buf, "\"080442957X\"]");
	record_isbn_add_list(&many, value(buf.data), arena);
	bf_buf_release(&buf);
	memset(&r, 0, sizeof(r));
	record_isbn_take(&many, arena, &r);
	assert_string_equal(r.isbn13, "9780804429573");
	assert_true(many.n == RECORD_ISBNS);
}

static void assert_terms(
	const char *title, const char *author, const char *want_title, const char *want_author)
{
	struct bf_book book = { .title = title, .author = author };
	struct bf_error err;
	struct terms terms;

	assert_true(terms_of(&book, arena, &terms, &err));
	assert_string_equal(terms.title, want_title);
	if (want_author == NULL)
		assert_null(terms.author);
	else
		assert_string_equal(terms.author, want_author);
}

/* Proves that a search asks for the main title: descriptions go, names of volumes stay. */
static void test_terms_title(void **state)
{
	static const struct {
		const char *title, *asked;
	} rows[] = {
		{ "Educated: A Memoir", "Educated" },
		{ "The Hobbit, or There and Back Again", "The Hobbit" },
		{ "Mistborn: The Final Empire", "Mistborn: The Final Empire" },
		{ "Salt: How One Mineral Changed the Whole World", "Salt" },
		{ "The Salt Atlas (Tides, Book 1)", "The Salt Atlas" },
		{ "The Salt Atlas [large print] (Tides #1)", "The Salt Atlas" },
		{ "The Salt Atlas - A Novel", "The Salt Atlas" },
		{ "The Salt Atlas \xe2\x80\x94 A Novel", "The Salt Atlas" },
		{ "It: A Novel", "It: A Novel" }, /* too little would be left */
		{ "(Salt)", "(Salt)" },
		{ "Catch-22", "Catch-22" },
		{ "2001: A Space Odyssey", "2001: A Space Odyssey" },
		{ "\xe4\xb8\x89\xe4\xbd\x93", "\xe4\xb8\x89\xe4\xbd\x93" },
		{ "  Salt  ", "Salt" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BF_COUNT(rows); i++)
		assert_terms(rows[i].title, "X Y", rows[i].asked, "X Y");
}

/* Proves that the first person is asked for, in natural order, and nobody for "various". */
static void test_terms_author(void **state)
{
	(void)state;
	assert_terms("Salt", "Vance, Mira", "Salt", "Mira Vance");
	assert_terms("Salt", "Mira Vance and Jo Reader", "Salt", "Mira Vance");
	assert_terms("Salt", "Mira Vance; Jo Reader", "Salt", "Mira Vance");
	assert_terms("Salt", "Mira Vance (editor)", "Salt", "Mira Vance");
	assert_terms("Salt", "Various Authors", "Salt", NULL);
	assert_terms("Salt", "", "Salt", NULL);
	assert_terms("Salt", NULL, "Salt", NULL);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_text),
		T(test_list),
		T(test_list_cap),
		T(test_year),
		T(test_seconds),
		T(test_excerpt),
		T(test_scrub),
		T(test_status),
		T(test_escape),
		T(test_cover),
		T(test_isbns),
		T(test_terms_title),
		T(test_terms_author),
	};

	return cmocka_run_group_tests_name("parts", tests, NULL, NULL);
}
