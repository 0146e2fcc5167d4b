/* Text of others made harmless, measured, and set in tables. */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "text.h"

/* What becomes of some bytes. */
static void check_safe(const char *bytes, size_t len, const char *want)
{
	struct bf_buf buf;

	bf_buf_init(&buf, 65536);
	text_safe(&buf, bytes, len);
	assert_string_equal(buf.data, want);
	bf_buf_release(&buf);
}

#define SAFE(bytes, want) check_safe(bytes, sizeof(bytes) - 1, want)

/* Escape sequences, line breaks, C1 controls, bidirectional marks and broken UTF-8 are described, not sent. */
static void makes_text_harmless(void **state)
{
	(void)state;
	SAFE("plain \xe6\x9d\x91\xe4\xb8\x8a \xc3\xa9", "plain \xe6\x9d\x91\xe4\xb8\x8a \xc3\xa9");
	SAFE("\x1b[2J\x1b]0;t\x07", "\\x1b[2J\\x1b]0;t\\x07");
	SAFE("a\nb\rc\td", "a\\nb\\x0dc d");
	SAFE("\0\x7f", "\\x00\\x7f");
	SAFE("\xc2\x9b" "31m", "\\u{9b}31m");
	SAFE("\xe2\x80\xae" "cba\xe2\x81\xa6", "\\u{202e}cba\\u{2066}");
	SAFE("\xe2\x80\xa8", "\\u{2028}");
	SAFE("\xff\xc0\xaf\xed\xa0\x80", "\\xff\\xc0\\xaf\\xed\\xa0\\x80");
	SAFE("\xe2\x82", "\\xe2\\x82");
	SAFE("\xef\xbb\xbfx", "\\u{feff}x");
	SAFE("\xf3\xa0\x81\x81", "\\u{e0041}");	/* letters nobody sees */
	SAFE("\xee\x80\x80", "\\u{e000}");
	SAFE("\xd9\x85\xe2\x80\x8c\xd9\x85", "\xd9\x85\xe2\x80\x8c\xd9\x85");	/* joiners belong to the script */
	SAFE("\\x1b", "\\x1b");	/* twice is once: cells and lines may both be made harmless */
}

/* Columns, not bytes: marks have none, ideographs two. */
static void measures_columns(void **state)
{
	(void)state;
	assert_int_equal(text_width("abc", 3), 3);
	assert_int_equal(text_width("e\xcc\x81", 3), 1);
	assert_int_equal(text_width("\xe6\x9d\x91\xe4\xb8\x8a", 6), 4);
	assert_int_equal(text_fit("\xe6\x9d\x91\xe4\xb8\x8a", 6, 3), 3);	/* half a character is none */
	assert_int_equal(text_fit("e\xcc\x81x", 4, 1), 3);		/* the accent comes along */
	assert_int_equal(text_fit("abc", 3, 0), 0);
	assert_int_equal(text_fit("abc", 3, 9), 3);
}

/* Prints a table of two rows for a width; the caller frees. */
static char *table(const struct out *like)
{
	char *text = NULL;
	size_t size = 0;
	struct out out = *like;
	struct table t;

	out.file = open_memstream(&text, &size);
	assert_non_null(out.file);
	table_init(&t, &out, "title,>number,last");
	table_text(&t, "\xe6\x9d\x91");
	table_cell(&t, "%d", 7);
	table_status(&t, "failed");
	table_text(&t, "wide title");
	table_text(&t, "12,345");
	table_text(&t, "a long\x1b text at the end");
	table_end(&t);
	fclose(out.file);
	return text;
}

/* Aligned by columns, to the right where figures stand; cut only at the end and only on a terminal. */
static void sets_tables(void **state)
{
	char *text = table(&(struct out){ .utf8 = true });

	(void)state;
	assert_string_equal(text, "title       number  last\n"
				  "\xe6\x9d\x91               7  failed\n"
				  "wide title  12,345  a long\\x1b text at the end\n");
	free(text);
	text = table(&(struct out){ .utf8 = true, .columns = 32 });
	assert_non_null(strstr(text, "\nwide title  12,345  a long\\x1b \xe2\x80\xa6\n"));
	free(text);
	text = table(&(struct out){ .utf8 = false, .columns = 32, .colour = true });
	assert_non_null(strstr(text, "a long\\x1b ~\n"));
	assert_non_null(strstr(text, "\x1b[31mfailed\x1b[0m\n"));
	free(text);
}

/* On a terminal a column without text is left out, the last one gives way first, then those that may; elsewhere all stay. */
static void narrows_tables(void **state)
{
	static const struct {
		int columns;
		const char *want;
	} cases[] = {
		{ 0, NULL },
		{ 80, "key  free              last\nk    something to cut  the very end\n" },
		{ 32, "key  free              last\nk    something to cut  the very~\n" },
		{ 26, "key  free         last\nk    something ~  the ver~\n" },
	};

	(void)state;
	for (size_t i = 0; i < BF_COUNT(cases); i++) {
		char *text = NULL;
		size_t size = 0;
		struct out out = { .file = open_memstream(&text, &size), .columns = cases[i].columns };
		struct table t;

		table_init(&t, &out, "key,empty,~free,last");
		table_text(&t, "k");
		table_text(&t, "");
		table_text(&t, "something to cut");
		table_text(&t, "the very end");
		table_end(&t);
		fclose(out.file);
		if (cases[i].columns > 0)
			assert_string_equal(text, cases[i].want);
		else
			assert_non_null(strstr(text, "key  empty  free"));
		free(text);
	}
}

/* A line goes on below where the terminal ends, between words if there are any; in a pipe it stays one line. */
static void breaks_lines(void **state)
{
	static const struct {
		int columns;
		const char *line, *want;
	} cases[] = {
		{ 0, "one two three four", "one two three four\n" },
		{ 18, "one two three four", "one two three four\n" },
		{ 17, "one two three four", "one two three\n  four\n" },
		{ 10, "  one two three four", "  one two\n    three\n    four\n" },
		{ 10, "abcdefghijklmnopqrstuv x", "abcdefghij\n  klmnopqr\n  stuv x\n" },
		{ 10, "one two   ", "one two   \n" },
		{ 10, "", "\n" },
	};

	(void)state;
	for (size_t i = 0; i < BF_COUNT(cases); i++) {
		char *text = NULL;
		size_t size = 0;
		struct out out = { .file = open_memstream(&text, &size), .columns = cases[i].columns };

		out_line(&out, "%s", cases[i].line);
		fclose(out.file);
		assert_string_equal(text, cases[i].want);
		free(text);
	}
}

/* Spans and counts as people read them. */
static void tells_spans_and_counts(void **state)
{
	static const struct {
		double seconds;
		const char *want;
	} spans[] = { { 0, "0 s" }, { 89, "89 s" }, { 90, "2 min" }, { 5399, "90 min" }, { 5400, "1.5 h" }, { 172800, "2.0 days" } };
	static const struct {
		int64_t n;
		const char *want;
	} counts[] = { { 0, "0" }, { 999, "999" }, { 1000, "1,000" }, { -1234567, "-1,234,567" }, { INT64_MAX, "9,223,372,036,854,775,807" } };
	char text[32];

	(void)state;
	for (size_t i = 0; i < BF_COUNT(spans); i++) {
		text_duration(text, spans[i].seconds);
		assert_string_equal(text, spans[i].want);
	}
	for (size_t i = 0; i < BF_COUNT(counts); i++) {
		text_count(text, counts[i].n);
		assert_string_equal(text, counts[i].want);
	}
}

/* Nothing to tell, nothing printed. */
static void prints_no_empty_table(void **state)
{
	char *text = NULL;
	size_t size = 0;
	struct out out = { .file = open_memstream(&text, &size) };
	struct table t;

	(void)state;
	table_init(&t, &out, "a,b");
	table_end(&t);
	fclose(out.file);
	assert_int_equal(size, 0);
	free(text);
}

/* JSON stays as it came for a program; a terminal gets the same value without anything it would obey. */
static void writes_json(void **state)
{
	static const char json[] = "{\"a\":\"\xc2\x9b\x7f\xf3\xa0\x81\x81\xc3\xa9\"}\n";
	char *text = NULL;
	size_t size = 0;
	struct out out = { .file = open_memstream(&text, &size) };

	(void)state;
	out_json(&out, json);
	out.terminal = true;
	out_json(&out, json);
	fclose(out.file);
	assert_string_equal(text, "{\"a\":\"\xc2\x9b\x7f\xf3\xa0\x81\x81\xc3\xa9\"}\n"
				  "{\"a\":\"\\u009b\\u007f\\udb40\\udc41\xc3\xa9\"}\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(makes_text_harmless), cmocka_unit_test(measures_columns),
		cmocka_unit_test(sets_tables), cmocka_unit_test(narrows_tables), cmocka_unit_test(breaks_lines),
		cmocka_unit_test(tells_spans_and_counts),
		cmocka_unit_test(prints_no_empty_table), cmocka_unit_test(writes_json) };

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
