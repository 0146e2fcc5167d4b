/* json_salvage: a cut-off answer keeps its whole elements and nothing half. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>
#include "backfill/base.h"

/* What is kept of each text; NULL: nothing can be. */
static void test_table(void **state)
{
	static const struct { const char *cut, *kept; } table[] = {
		{ "{\"books\":[{\"t\":\"a\"},{\"t\":\"b\"},{\"t\":\"c", "{\"books\":[{\"t\":\"a\"},{\"t\":\"b\"}]}" },
		{ "{\"books\":[{\"t\":\"a\"},{\"t\":\"b\"}", "{\"books\":[{\"t\":\"a\"},{\"t\":\"b\"}]}" },
		{ "{\"books\":[{\"t\":\"a\"},", "{\"books\":[{\"t\":\"a\"}]}" },
		{ "{\"books\":[{\"t\":\"a\"},{\"t\":[1,2],\"u\":{", "{\"books\":[{\"t\":\"a\"}]}" },
		{ "[{\"t\":\"a\"},{\"t\"", "[{\"t\":\"a\"}]" },
		{ "[{\"t\":\"] } \\\" [\"},{\"x\":1", "[{\"t\":\"] } \\\" [\"}]" },
		{ "[\"a\", \"b\", \"c", "[\"a\", \"b\"]" },
		{ "[1, 2, 3", "[1, 2]" },		/* the 3 may have been going to be 30 */
		{ "[true, nul", "[true]" },
		{ "[[1,2],[3,4],[5", "[[1,2],[3,4]]" },
		{ "{\"month\":5,\"books\":[{\"t\":1},{\"t\":2}],\"note\":\"cut he", "{\"month\":5,\"books\":[{\"t\":1},{\"t\":2}]}" },
		{ "{\"books\":[{\"t\":1}],\"extra\":{\"a\":1},\"b\":", "{\"books\":[{\"t\":1}],\"extra\":{\"a\":1}}" },
		{ "{\"tags\":[],\"books\":[{\"t\":1},{\"t", "{\"tags\":[],\"books\":[{\"t\":1}]}" },
		{ "{\"tags\":[\"x\"],\"books\":[{\"t", "{\"tags\":[\"x\"]}" },
		{ "{\"books\":[{\"t\":1}]}", "{\"books\":[{\"t\":1}]}" },
		{ "```json\n{\"books\":[{\"t\":1},{", "{\"books\":[{\"t\":1}]}" },
		{ "{\"books\":[{\"t\":1}]} trailing words", "{\"books\":[{\"t\":1}]}" },
		{ "{\"a\":{\"b\":[{\"c\":1},{\"c\":2", "{\"a\":{\"b\":[{\"c\":1}]}}" },
		{ "", NULL }, { "{", NULL }, { "[", NULL }, { "[]", NULL }, { "{}", NULL }, { "{\"books\":[", NULL },
		{ "{\"books\":[{\"t\":\"a", NULL }, { "{\"books\":[]", NULL }, { "no json", NULL }, { "\"text\"", NULL },
		{ "{\"a\":1,\"b\":2", NULL }, { "[nope, 1", NULL }, { "[1 2, 3", NULL }, { "[{\"a\":}, 3", NULL },
		{ "[1,,2", NULL }, { "]", NULL }, { "[\"\xff\",1", NULL },
	};

	(void)state;
	for (size_t i = 0; i < BF_COUNT(table); i++) {
		struct bf_buf out;
		bool ok;

		bf_buf_init(&out, 1000);
		ok = bf_json_salvage(table[i].cut, strlen(table[i].cut), &out);
		if (ok != (table[i].kept != NULL) || strcmp(out.data, ok ? table[i].kept : "") != 0)
			fail_msg("%s: %s", table[i].cut, ok ? out.data : "nothing");
		bf_buf_release(&out);
	}
}

/* Cut anywhere, what comes out is JSON, and no shorter than for an earlier cut. */
static void test_every_cut(void **state)
{
	static const char whole[] =
		"{\"books\":[{\"title\":\"A \\\"b\\\" \\u00e9\",\"n\":[1,2]},{\"title\":\"\xc3\xa9\",\"y\":-1.5e3},"
		"{\"title\":\"]}\",\"ok\":true}],\"end\":null}";
	size_t last = 0;

	(void)state;
	for (size_t n = 0; n <= sizeof(whole) - 1; n++) {
		struct bf_error err;
		struct bf_buf out;
		struct bf_json *j;
		size_t elements = 0;

		bf_buf_init(&out, 1000);
		if (bf_json_salvage(whole, n, &out)) {
			j = bf_json_parse(out.data, out.len, NULL, false, &err);
			assert_non_null(j);
			elements = bf_json_size(bf_json_get(bf_json_root(j), "books"));
			bf_json_free(j);
		}
		assert_true(elements >= last);
		last = elements;
		bf_buf_release(&out);
	}
	assert_int_equal(last, 3);
}

/* What was in the buffer before stays, with and without success. */
static void test_appends(void **state)
{
	struct bf_buf out;

	(void)state;
	bf_buf_init(&out, 20);
	bf_buf_adds(&out, "x:");
	assert_false(bf_json_salvage("[", 1, &out));
	assert_string_equal(out.data, "x:");
	assert_true(bf_json_salvage("[1,2", 4, &out));
	assert_string_equal(out.data, "x:[1]");
	assert_false(bf_json_salvage("[\"0123456789abcdef\",", 20, &out));
	assert_string_equal(out.data, "x:[1]");
	bf_buf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table), cmocka_unit_test(test_every_cut), cmocka_unit_test(test_appends)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
