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

/* An initial is written out where another record of the book does; pen names of two initials stay. */
static void test_written_out(void **state)
{
	struct bf_offer offers[2] = { { .provider = BF_ISBNDB, .record = { .title = "T" } },
		{ .provider = BF_WIKIDATA, .record = { .title = "T" } } };
	static const char *const cases[][3] = { { "Z. Smith", "Zadie Smith", "name:zadie smith" },
		{ "Z. Smith", "Will Smith", "name:z smith" },
		{ "Zadie Smith", "Z. Smith", "name:zadie smith" },
		{ "Ursula K. Le Guin", "Ursula Kroeber Le Guin", "name:ursula kroeber le guin" },
		{ "J.K. Rowling", "Joanne Kathleen Rowling", "name:jk rowling" } };
	struct bf_texts names, keys;

	(void)state;
	for (size_t i = 0; i < BF_COUNT(cases); i++) {
		offers[0].record.authors = cases[i][0];
		offers[1].record.authors = cases[i][1];
		bf_offer_authors(offers, 2, NULL, arena, &names, &keys);
		assert_int_equal(keys.n, 1);
		assert_string_equal(keys.v[0], cases[i][2]);
	}
}

/* Whoever is called unknown is nobody. */
static void test_nobody(void **state)
{
	struct bf_texts names, keys;

	(void)state;
	bf_offer_authors(NULL, 0,
		"Unknown Author;\u041d\u0435\u0438\u0437\u0432\u0435\u0441\u0442\u043d\u044b\u0439 "
		"\u0430\u0432\u0442\u043e\u0440;Ann Known",
		arena, &names, &keys);
	assert_int_equal(keys.n, 1);
	assert_string_equal(keys.v[0], "name:ann known");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { CASE(test_authors), CASE(test_author_keys),
		CASE(test_written_out), CASE(test_nobody) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
