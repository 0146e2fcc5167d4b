/* json_write: commas, escapes and numbers, and that misuse is caught. */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "backfill/base.h"

/* Nested containers get their commas and colons. */
static void test_nesting(void **state)
{
	struct bf_buf b;
	struct bf_jw w;

	(void)state;
	bf_buf_init(&b, 1000);
	bf_jw_init(&w, &b);
	bf_jw_obj(&w);
	bf_jw_key(&w, "a");
	bf_jw_arr(&w);
	bf_jw_int(&w, -1);
	bf_jw_arr(&w);
	bf_jw_end_arr(&w);
	bf_jw_obj(&w);
	bf_jw_end_obj(&w);
	bf_jw_bool(&w, true);
	bf_jw_null(&w);
	bf_jw_end_arr(&w);
	bf_jw_key(&w, "b");
	bf_jw_obj(&w);
	bf_jw_key(&w, "c");
	bf_jw_raw(&w, "[1,2]", 5);
	bf_jw_key(&w, "d");
	bf_jw_str(&w, NULL);
	bf_jw_end_obj(&w);
	bf_jw_key(&w, "e");
	bf_jw_str(&w, "x");
	bf_jw_end_obj(&w);
	assert_string_equal(
		b.data, "{\"a\":[-1,[],{},true,null],\"b\":{\"c\":[1,2],\"d\":null},\"e\":\"x\"}");
	assert_int_equal(w.depth, 0);
	bf_buf_release(&b);
}

/* Every byte that needs it is escaped; broken UTF-8 becomes U+FFFD; what is written reads back. */
static void test_strings(void **state)
{
	static const struct { const char *in; size_t n; const char *out; } table[] = {
		{ "", 0, "\"\"" }, { "a/b", 3, "\"a/b\"" }, { "\"\\", 2, "\"\\\"\\\\\"" },
		{ "\b\f\n\r\t", 5, "\"\\b\\f\\n\\r\\t\"" }, { "\x01\x1f\x7f", 3, "\"\\u0001\\u001f\\u007f\"" },
		{ "a\0b", 3, "\"a\\u0000b\"" }, { "\xc3\xa9", 2, "\"\xc3\xa9\"" }, { "\xf0\x9f\x98\x80", 4, "\"\xf0\x9f\x98\x80\"" },
		{ "\xff", 1, "\"\xef\xbf\xbd\"" }, { "a\xc3", 2, "\"a\xef\xbf\xbd\"" },
		{ "\xc3(", 2, "\"\xef\xbf\xbd(\"" }, { "\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
	};

	(void)state;
	for (size_t i = 0; i < BF_COUNT(table); i++) {
		struct bf_buf b;
		struct bf_jw w;
		struct bf_error err;
		struct bf_json *j;

		bf_buf_init(&b, 1000);
		bf_jw_init(&w, &b);
		bf_jw_strn(&w, table[i].in, table[i].n);
		assert_string_equal(b.data, table[i].out);
		j = bf_json_parse(b.data, b.len, NULL, false, &err);
		assert_non_null(j);
		bf_json_free(j);
		bf_buf_release(&b);
	}
}

/* Numbers: fixed decimals, never a word that JSON does not have. */
static void test_numbers(void **state)
{
	struct bf_buf b;
	struct bf_jw w;

	(void)state;
	bf_buf_init(&b, 1000);
	bf_jw_init(&w, &b);
	bf_jw_arr(&w);
	bf_jw_int(&w, INT64_MIN);
	bf_jw_dbl(&w, 95, 0);
	bf_jw_dbl(&w, 92.307692, 2);
	bf_jw_dbl(&w, 0.125, 3);
	bf_jw_dbl(&w, (double)NAN, 2);
	bf_jw_dbl(&w, -(double)INFINITY, 2);
	bf_jw_end_arr(&w);
	assert_string_equal(b.data, "[-9223372036854775808,95.0,92.31,0.125,null,null]");
	bf_buf_release(&b);
}

/* A buffer that is too small is told by the buffer, not by half a write. */
static void test_full_buffer(void **state)
{
	struct bf_buf b;
	struct bf_jw w;

	(void)state;
	bf_buf_init(&b, 8);
	bf_jw_init(&w, &b);
	bf_jw_arr(&w);
	bf_jw_str(&w, "0123456789");
	bf_jw_end_arr(&w);
	assert_true(b.failed);
	assert_true(b.len <= 8);
	bf_buf_release(&b);
}

/* Runs a misuse in a child; true when it was stopped by an assertion. */
static bool aborts(void (*misuse)(struct bf_jw *))
{
	struct bf_buf b;
	struct bf_jw w;
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		signal(SIGABRT, SIG_DFL);
		close(STDERR_FILENO);
		bf_buf_init(&b, 100);
		bf_jw_init(&w, &b);
		misuse(&w);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void end_nothing(struct bf_jw *w)
{
	bf_jw_end_obj(w);
}

static void end_after_key(struct bf_jw *w)
{
	bf_jw_obj(w);
	bf_jw_key(w, "a");
	bf_jw_end_obj(w);
}

static void two_values(struct bf_jw *w)
{
	bf_jw_int(w, 1);
	bf_jw_int(w, 2);
}

static void key_after_key(struct bf_jw *w)
{
	bf_jw_obj(w);
	bf_jw_key(w, "a");
	bf_jw_key(w, "b");
}

/* Calls that do not nest are stopped. */
static void test_misuse(void **state)
{
	(void)state;
	assert_true(aborts(end_nothing));
	assert_true(aborts(end_after_key));
	assert_true(aborts(two_values));
	assert_true(aborts(key_after_key));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nesting), cmocka_unit_test(test_strings), cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_full_buffer), cmocka_unit_test(test_misuse)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
