/* utf8: RFC 3629 to the letter, and cuts that never halve a character. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include "backfill/base.h"

/* The borders of every range of the RFC's table, inside and outside. */
static void test_valid(void **state)
{
	static const struct { const char *s; size_t n; bool ok; } table[] = {
		{ "", 0, true }, { "abc", 3, true }, { "a\0b", 3, true }, { "\x7f", 1, true },
		{ "\xc2\x80", 2, true }, { "\xdf\xbf", 2, true }, { "\xe0\xa0\x80", 3, true }, { "\xed\x9f\xbf", 3, true },
		{ "\xee\x80\x80", 3, true }, { "\xef\xbf\xbf", 3, true }, { "\xf0\x90\x80\x80", 4, true },
		{ "\xf4\x8f\xbf\xbf", 4, true },
		{ "\x80", 1, false }, { "\xbf", 1, false }, { "\xc0\x80", 2, false }, { "\xc1\xbf", 2, false },
		{ "\xc2", 1, false }, { "\xc2\x7f", 2, false }, { "\xc2\xc0", 2, false }, { "\xe0\x9f\xbf", 3, false },
		{ "\xed\xa0\x80", 3, false }, { "\xed\xbf\xbf", 3, false }, { "\xe2\x82", 2, false },
		{ "\xe2\x82\x28", 3, false }, { "\xf0\x8f\xbf\xbf", 4, false }, { "\xf4\x90\x80\x80", 4, false },
		{ "\xf5\x80\x80\x80", 4, false }, { "\xf0\x90\x80", 3, false }, { "\xf8\x88\x80\x80\x80", 5, false },
		{ "\xfe", 1, false }, { "\xff", 1, false }, { "ok\xff", 3, false },
	};

	(void)state;
	for (size_t i = 0; i < BF_COUNT(table); i++)
		if (bf_utf8_valid(table[i].s, table[i].n) != table[i].ok)
			fail_msg("row %zu", i);
}

/* Every length of a text with characters of one to four bytes. */
static void test_cut(void **state)
{
	static const char s[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z";
	static const size_t expected[] = { 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11 };

	(void)state;
	for (size_t max = 0; max < BF_COUNT(expected); max++)
		assert_int_equal(bf_utf8_cut(s, sizeof(s) - 1, max), expected[max]);
	assert_int_equal(bf_utf8_cut("\x80\x80\x80\x80\x80\x80", 6, 5),
			 5); /* no text: no boundary */
}

/* An error's text is cut on a boundary and clears what was there. */
static void test_error_text(void **state)
{
	struct bf_error err = { .http = 500, .sqlstate = "40001" };
	char s[400];

	(void)state;
	memset(s, 'a', sizeof(s));
	memcpy(s + 254, "\xe2\x82\xac", 3);
	s[399] = '\0';
	bf_error_set(&err, BF_ERR_RETRY, "%s", s);
	assert_int_equal(strlen(err.text), 254);
	assert_int_equal(err.class, BF_ERR_RETRY);
	assert_int_equal(err.http, 0);
	assert_string_equal(err.sqlstate, "");
	bf_error_set(&err, BF_ERR_BUG, "again: %.10s", err.text);
	assert_string_equal(err.text, "again: aaaaaaaaaa");
}

/* Each class has a name of its own. */
static void test_class_names(void **state)
{
	(void)state;
	for (int a = BF_ERR_NONE; a <= BF_ERR_BUG; a++)
		for (int b = BF_ERR_NONE; b < a; b++)
			assert_string_not_equal(bf_err_class_name((enum bf_err_class)a),
						bf_err_class_name((enum bf_err_class)b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid), cmocka_unit_test(test_cut), cmocka_unit_test(test_error_text),
		cmocka_unit_test(test_class_names)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
