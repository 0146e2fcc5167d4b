/* What C values become on their way to PostgreSQL. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../../src/store/params.h"

/* Quotes, backslashes, braces, commas and NULL survive an array literal. */
static void array_items_are_quoted(void **state)
{
	struct params p;

	(void)state;
	params_init(&p);
	params_open(&p);
	params_item_text(&p, "a\"b\\c");
	params_item_text(&p, NULL);
	params_item_text(&p, "NULL");
	params_item_text(&p, "{x,y}");
	params_item_text(&p, "");
	params_close(&p);
	params_open(&p);
	params_close(&p);
	assert_non_null(params_values(&p));
	assert_string_equal(p.value[0], "{\"a\\\"b\\\\c\",NULL,\"NULL\",\"{x,y}\",\"\"}");
	assert_string_equal(p.value[1], "{}");
	params_release(&p);
}

/* Bytes that are not UTF-8 become question marks, valid text beside them stays. */
static void broken_utf8_is_mended(void **state)
{
	struct params p;

	(void)state;
	params_init(&p);
	params_text(&p, "ab\xff\xc3\xa9\xe4\xb8");
	params_text(&p, NULL);
	params_values(&p);
	assert_string_equal(p.value[0], "ab?\xc3\xa9??");
	assert_null(p.value[1]);
	params_release(&p);
}

/* Escapes that RFC 8259 allows and jsonb refuses make NULL; others pass; what is too long is NULL.
 */
static void json_that_jsonb_refuses_is_left_out(void **state)
{
	static const struct { const char *json; bool kept;
	} table[] = {
		{ "{\"a\":1}", true },
		{ "\"\\u0000\"", false },
		{ "\"\\ud83d\\ude00\"", true },
		{ "\"\\ud83d\"", false },
		{ "\"\\ude00\"", false },
		{ "\"\\\\u0000\"", true },
		{ "\"\\ud83d\\n\"", false },
		{ "\"\\u00e9\"", true },
		{ "\"\\uzzzz\"", false },
		{ "", false },
	};
	struct params p;

	(void)state;
	for (size_t i = 0; i < BF_COUNT(table); i++) {
		params_init(&p);
		params_json(&p, table[i].json);
		params_values(&p);
		assert_int_equal(p.value[0] != NULL, table[i].kept);
		params_release(&p);
	}
	params_init(&p);
	params_open(&p);
	params_item_json(&p, "[1]", 3);
	params_item_json(&p, "[12]", 3);
	params_close(&p);
	params_values(&p);
	assert_string_equal(p.value[0], "{\"[1]\",NULL}");
	params_release(&p);
}

/* Money is never NaN, negative or more than the column takes. */
static void money_stays_in_its_column(void **state)
{
	struct params p;

	(void)state;
	params_init(&p);
	params_money(&p, (double)NAN);
	params_money(&p, -1);
	params_money(&p, 1e9);
	params_money(&p, 0.0000125);
	params_values(&p);
	assert_string_equal(p.value[0], "0.000000");
	assert_string_equal(p.value[1], "0.000000");
	assert_string_equal(p.value[2], "99999.000000");
	assert_string_equal(p.value[3], "0.000013");
	params_release(&p);
}

/* More parameters than there is room for are refused as a whole. */
static void too_many_parameters_are_refused(void **state)
{
	struct params p;

	(void)state;
	params_init(&p);
	for (int i = 0; i <= PARAMS_MAX; i++)
		params_int(&p, i);
	assert_null(params_values(&p));
	params_release(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(array_items_are_quoted),
		cmocka_unit_test(broken_utf8_is_mended),
		cmocka_unit_test(json_that_jsonb_refuses_is_left_out),
		cmocka_unit_test(money_stays_in_its_column),
		cmocka_unit_test(too_many_parameters_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
