/* authors: who wrote a book, from what providers offer and what an AI wrote. */
#include "backfill/books.h"
#include "cmocka_all.h"

#define EARLY "2026-01-01T00:00:00Z"

static struct bf_arena *arena;

static int setup(void **state)
{
	(void)state;
	arena = bf_arena_new();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	bf_arena_free(arena);
	return 0;
}

/* Authors in order, each once, from the best offer that names any; else as the AI wrote them. */
static void test_authors(void **state)
{
	struct bf_record none = { .title = "Dune" },
			 two = { .title = "Dune",
				 .authors =
					 "Herbert, Frank;Brian Herbert;F. Herbert;Frank Herbert" },
			 wrong = { .title = "Dune", .authors = "Somebody Else" };
	struct bf_offer offers[] = { { BF_WIKIDATA, EARLY, wrong }, { BF_OPEN_LIBRARY, EARLY, two },
		{ BF_ISBNDB, EARLY, none } };
	struct bf_texts names, keys;

	(void)state;
	bf_offer_authors(offers, 3, "An AI's Guess", arena, &names, &keys);
	assert_int_equal(names.n, keys.n);
	assert_string_equal(names.v[0], "Frank Herbert");
	assert_string_equal(names.v[1], "Brian Herbert");
	assert_string_equal(keys.v[0], "name:frank herbert");
	assert_string_equal(keys.v[1], "name:brian herbert");
	assert_int_equal(names.n, 3); /* F. Herbert has a key of its own */
	bf_offer_authors(offers + 2, 1, "Frank Herbert and Brian Herbert", arena, &names, &keys);
	assert_int_equal(names.n, 2);
	assert_string_equal(keys.v[1], "name:brian herbert");
	bf_offer_authors(NULL, 0, NULL, arena, &names, &keys);
	assert_int_equal(names.n, 0);
	assert_int_equal(keys.n, 0);
	bf_offer_authors(NULL, 0, " ; -- ; ", arena, &names, &keys);
	assert_int_equal(names.n, 0);
}

/* Spellings of one person have one key; apostrophes, accents and hyphens stay in the name. */
static void test_author_keys(void **state)
{
	static const char *const one_person[] = { "J.K. Rowling", "J. K. Rowling",
		"Rowling, J. K." };
	static const char *const kept[] = { "Flann O'Brien", "Fran\u00e7ois Mauriac",
		"Mary-Jane Doe" };
	struct bf_texts names, keys;

	(void)state;
	for (size_t i = 0; i < BF_COUNT(one_person); i++) {
		bf_offer_authors(NULL, 0, one_person[i], arena, &names, &keys);
		assert_int_equal(keys.n, 1);
		assert_string_equal(keys.v[0], "name:jk rowling");
	}
	for (size_t i = 0; i < BF_COUNT(kept); i++) {
		bf_offer_authors(NULL, 0, kept[i], arena, &names, &keys);
		assert_string_equal(names.v[0], kept[i]);
	}
	bf_offer_authors(
		NULL, 0, "Martin Luther King Jr.;Martin Luther King", arena, &names, &keys);
	assert_int_equal(keys.n, 1);
	bf_offer_authors(NULL, 0, "various authors;anthology", arena, &names, &keys);
	assert_int_equal(keys.n, 1);
	assert_string_equal(keys.v[0], "name:various");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { CASE(test_authors), CASE(test_author_keys) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
