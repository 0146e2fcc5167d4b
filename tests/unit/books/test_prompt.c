/* prompt: seven ways of asking, each with the month, the ceiling and the honesty clause. */
#include "cmocka_all.h"
#include "backfill/books.h"

/* Every variant names month and year in English, asks for up to N and the six fields, and does not
 * push for ISBNs. */
static void every_variant(void **state)
{
	static const char *const wanted[] = { "up to 25 books",
					      "November 2023",
					      "title",
					      "author",
					      "publisher",
					      "format",
					      "publication year",
					      "significance",
					      "JSON",
					      "schema",
					      "unless you are certain",
					      "fewer is fine",
					      "not invent" };
	char seen[BF_PROMPT_VARIANTS][4096];

	(void)state;
	for (int v = 0; v < BF_PROMPT_VARIANTS; v++) {
		struct bf_buf buf;

		bf_buf_init(&buf, sizeof(seen[0]));
		bf_prompt_user(bf_prompt_variants[v], 2023, 11, 25, &buf);
		assert_false(buf.failed);
		for (size_t i = 0; i < BF_COUNT(wanted); i++)
			if (strstr(buf.data, wanted[i]) == NULL &&
			    strcasestr(buf.data, wanted[i]) == NULL)
				fail_msg("%s: no \"%s\" in: %s", bf_prompt_variants[v], wanted[i],
					 buf.data);
		memcpy(seen[v], buf.data, buf.len + 1);
		for (int u = 0; u < v; u++)
			assert_string_not_equal(seen[u], seen[v]);
		bf_buf_release(&buf);
	}
	assert_non_null(strstr(bf_prompt_system(), "JSON"));
}

/* The names and their order; unknown ones are told apart. */
static void names(void **state)
{
	static const char *const order[] = {
		"baseline",	      "contemporary-notable",	 "annual",
		"diversity-emphasis", "overlooked-significance", "genre-rotation",
		"era-contextualized"
	};

	(void)state;
	for (int i = 0; i < BF_PROMPT_VARIANTS; i++) {
		assert_string_equal(bf_prompt_variants[i], order[i]);
		assert_int_equal(bf_prompt_index(order[i]), i);
	}
	assert_int_equal(bf_prompt_index("Baseline"), -1);
	assert_int_equal(bf_prompt_index(""), -1);
	assert_int_equal(bf_prompt_index(NULL), -1);
}

/* Round by round the next variant, over the end to the first; an unknown one has no successor. */
static void rotation(void **state)
{
	(void)state;
	assert_string_equal(bf_prompt_rotate("baseline", 0), "baseline");
	assert_string_equal(bf_prompt_rotate("baseline", 1), "contemporary-notable");
	assert_string_equal(bf_prompt_rotate("era-contextualized", 1), "baseline");
	assert_string_equal(bf_prompt_rotate("annual", 7), "annual");
	assert_string_equal(bf_prompt_rotate("annual", 2147483647),
			    bf_prompt_variants[(2 + 2147483647 % 7) % 7]);
	assert_null(bf_prompt_rotate("nonsense", 0));
}

/* Genre and era follow from the month alone: the same month asks the same, another one may not. */
static void deterministic(void **state)
{
	struct bf_buf a, b;

	(void)state;
	bf_buf_init(&a, 4096);
	bf_buf_init(&b, 4096);
	bf_prompt_user("genre-rotation", 2001, 5, 20, &a);
	bf_prompt_user("genre-rotation", 2001, 5, 20, &b);
	assert_string_equal(a.data, b.data);
	bf_buf_clear(&a);
	bf_buf_clear(&b);
	bf_prompt_user("era-contextualized", 1900, 1, 20, &a);
	bf_prompt_user("era-contextualized", 2100, 12, 20, &b);
	assert_non_null(strstr(a.data, "January 1900"));
	assert_non_null(strstr(b.data, "December 2100"));
	bf_buf_release(&a);
	bf_buf_release(&b);
	assert_string_equal(bf_month_name(1), "January");
	assert_string_equal(bf_month_name(12), "December");
	assert_string_equal(bf_month_name(0), "");
	assert_string_equal(bf_month_name(13), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_variant),
		cmocka_unit_test(names),
		cmocka_unit_test(rotation),
		cmocka_unit_test(deterministic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
