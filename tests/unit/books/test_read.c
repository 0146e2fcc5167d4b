/* read: the books in an AI's answer, in whatever it is wrapped, and what is no list of books. */
#include <stdlib.h>
#include "cmocka_all.h"
#include "backfill/books.h"

#define B "{\"title\":\"One\",\"author\":\"Ann Lee\",\"publication_year\":2020}"
#define C "{\"title\":\"Two\",\"author\":\"Bo Ray\",\"publication_year\":2021}"

static const struct {
	const char *text;
	enum bf_books_outcome outcome;
	size_t n, dropped;
	bool cut;
} cases[] = {
	/* shapes */
	{ "[" B "," C "]", BF_BOOKS_OK, 2, 0 },
	{ "{\"books\":[" B "]}", BF_BOOKS_OK, 1, 0 },
	{ "{\"count\":2,\"items\":[" B "," C "]}", BF_BOOKS_OK, 2, 0 },
	{ "{\"tags\":[1],\"books\":[" B "]}", BF_BOOKS_OK, 1, 0 },
	{ "{\"data\":{\"books\":[" B "]}}", BF_BOOKS_OK, 1, 0 },
	{ "[{\"books\":[" B "]}]", BF_BOOKS_OK, 1, 0 },
	{ "[[" B "]]", BF_BOOKS_OK, 1, 0 },
	{ B, BF_BOOKS_OK, 1, 0 },
	{ "{\"1\":" B ",\"2\":" C "}", BF_BOOKS_OK, 2, 0 },
	{ "\"[{\\\"title\\\":\\\"T\\\",\\\"author\\\":\\\"A\\\",\\\"year\\\":2020}]\"", BF_BOOKS_OK,
	  1, 0 },
	{ "\xEF\xBB\xBF \n[" B "]\n", BF_BOOKS_OK, 1, 0 },
	/* fences and prose around */
	{ "```json\n[" B "]\n```", BF_BOOKS_OK, 1, 0 },
	{ "```\n{\"books\":[" B "]}\n```", BF_BOOKS_OK, 1, 0 },
	{ "````json\n[" B "]\n````", BF_BOOKS_OK, 1, 0 },
	{ "```" B "```", BF_BOOKS_OK, 1, 0 },
	{ "Here is [some] of it:\n```json\n[" B "," C "]\n```\nEnjoy [them]!", BF_BOOKS_OK, 2, 0 },
	{ "Sure! [" B "] That is all.", BF_BOOKS_OK, 1, 0 },
	/* cut off: the complete items are kept */
	{ "[" B "," C ",{\"title\":\"Thr", BF_BOOKS_OK, 2, 0, true },
	{ "{\"books\":[" B ",", BF_BOOKS_OK, 1, 0, true },
	{ "```json\n{\"books\":[" B ",{\"ti", BF_BOOKS_OK, 1, 0, true },
	{ "[" B ",{\"title\":\"a } b", BF_BOOKS_OK, 1, 0, true },
	{ "[{\"title\":\"On", BF_BOOKS_GARBAGE, 0, 0 },
	/* broken further in: a broken item costs itself */
	{ "[" B ",]", BF_BOOKS_OK, 1, 0 },
	{ "{\"books\":[" B ",{\"title\":\"x\" \"y\"}," C "]}", BF_BOOKS_OK, 2, 1 },
	/* malformed items */
	{ "[" B ",{\"title\":5,\"author\":\"A\",\"publication_year\":2020}]", BF_BOOKS_OK, 1, 1 },
	{ "[" B ",{\"title\":\"T\",\"author\":null,\"publication_year\":2020}]", BF_BOOKS_OK, 1,
	  1 },
	{ "[" B ",{\"title\":\"T\",\"author\":\"A\"}]", BF_BOOKS_OK, 1, 1 },
	{ "[" B ",{\"title\":\"T\",\"author\":\"A\",\"publication_year\":1899}]", BF_BOOKS_OK, 1,
	  1 },
	{ "[" B ",{\"title\":\"T\",\"author\":\"A\",\"publication_year\":2101}]", BF_BOOKS_OK, 1,
	  1 },
	{ "[" B ",{\"title\":\"T\",\"author\":\"A\",\"publication_year\":2020.5}]", BF_BOOKS_OK, 1,
	  1 },
	{ "[" B ",{\"title\":\"T\",\"author\":\"A\",\"publication_year\":\"soon\"}]", BF_BOOKS_OK,
	  1, 1 },
	{ "[" B ",{\"title\":\"  \",\"author\":\"A\",\"publication_year\":2020}]", BF_BOOKS_OK, 1,
	  1 },
	{ "[" B ",{\"title\":\"?!\",\"author\":\"A\",\"publication_year\":2020}]", BF_BOOKS_OK, 1,
	  1 },
	{ "[" B ",{\"title\":\"T\",\"author\":[],\"publication_year\":2020}]", BF_BOOKS_OK, 1, 1 },
	{ "[" B ",null,7,\"T by A\"]", BF_BOOKS_OK, 1, 3 },
	{ "{\"books\":[\"T by A\"]}", BF_BOOKS_GARBAGE, 0, 1 },
	/* nothing, refusals, garbage */
	{ "[]", BF_BOOKS_EMPTY, 0, 0 },
	{ "{\"books\":[]}", BF_BOOKS_EMPTY, 0, 0 },
	{ "{}", BF_BOOKS_EMPTY, 0, 0 },
	{ "null", BF_BOOKS_EMPTY, 0, 0 },
	{ "```json\n[]\n```", BF_BOOKS_EMPTY, 0, 0 },
	{ "{\"error\":\"I cannot verify these.\"}", BF_BOOKS_REFUSED, 0, 0 },
	{ "[{\"error\":\"no\"}]", BF_BOOKS_REFUSED, 0, 0 },
	{ "{\"error\":{\"code\":3,\"message\":\"no\"}}", BF_BOOKS_REFUSED, 0, 0 },
	{ "{\"books\":[],\"error\":\"no\"}", BF_BOOKS_REFUSED, 0, 0 },
	{ "{\"books\":[],\"message\":\"not sure of any\"}", BF_BOOKS_REFUSED, 0, 0 },
	{ "{\"error\":true}", BF_BOOKS_REFUSED, 0, 0 },
	{ "I'm sorry, but I can't help with that.", BF_BOOKS_REFUSED, 0, 0 },
	{ "Es tut mir leid, das geht nicht.", BF_BOOKS_REFUSED, 0, 0 },
	{ "抱歉，我无法提供。", BF_BOOKS_REFUSED, 0, 0 },
	{ "", BF_BOOKS_GARBAGE, 0, 0 },
	{ " \n ", BF_BOOKS_GARBAGE, 0, 0 },
	{ "<html><body>Bad gateway</body></html>", BF_BOOKS_GARBAGE, 0, 0 },
	{ "12345", BF_BOOKS_GARBAGE, 0, 0 },
	{ "{{{{[[[[", BF_BOOKS_GARBAGE, 0, 0 },
	/* cut off before its first book is whole: no words of refusal */
	{ "{\"books\": [{\"title\": \"A Long Way Home Again\", \"auth", BF_BOOKS_GARBAGE, 0, 0 },
	{ "[{\"title\": \"A Long Way Home", BF_BOOKS_GARBAGE, 0, 0 },
	{ "[I cannot name any books of that month.]", BF_BOOKS_REFUSED, 0, 0 },
	{ "{\"a\":1}", BF_BOOKS_GARBAGE, 0, 0 },
	{ "true", BF_BOOKS_GARBAGE, 0, 0 },
};

/* Each text has its outcome and counts; a reason stands exactly where there are no books. */
static void shapes(void **state)
{
	(void)state;
	for (size_t i = 0; i < BF_COUNT(cases); i++) {
		struct bf_arena *arena = bf_arena_new();
		struct bf_book_list list;

		bf_books_read(cases[i].text, strlen(cases[i].text), 2020, arena, &list);
		if (list.outcome != cases[i].outcome || list.n != cases[i].n ||
		    list.dropped != cases[i].dropped || list.cut != cases[i].cut)
			fail_msg("%s: outcome %d, %zu books, %zu dropped, cut %d", cases[i].text,
				 (int)list.outcome, list.n, list.dropped, list.cut);
		assert_int_equal(list.reason == NULL, list.outcome == BF_BOOKS_OK);
		bf_arena_free(arena);
	}
}

/* Every field under its names; text is brought into one line; an ISBN counts only when it is one.
 */
static void fields(void **state)
{
	static const char text[] =
		"[{\"title\":\" The\\nFirst  Book \",\"subtitle\":\"A Start\",\"authors\":[\"Ann "
		"Lee\",{\"name\":\"Bo Ray\"}],"
		"\"publisher\":\"Press\",\"format\":\"ebook\",\"publication_year\":\"2019\","
		"\"significance\":\"much\",\"language\":\"en\","
		"\"isbn\":\"0-441-17271-7\"},"
		"{\"title\":\"Second\",\"author\":\"Ann "
		"Lee\",\"year\":\"2020-05-01\",\"publisher\":null,\"isbn13\":\"9780553418027\"}]";
	struct bf_arena *arena = bf_arena_new();
	struct bf_book_list list;

	(void)state;
	bf_books_read(text, sizeof(text) - 1, 2020, arena, &list);
	assert_int_equal(list.n, 2);
	assert_string_equal(list.books[0].title, "The First Book");
	assert_string_equal(list.books[0].subtitle, "A Start");
	assert_string_equal(list.books[0].author, "Ann Lee;Bo Ray");
	assert_string_equal(list.books[0].publisher, "Press");
	assert_string_equal(list.books[0].format, "ebook");
	assert_string_equal(list.books[0].significance, "much");
	assert_string_equal(list.books[0].language, "en");
	assert_string_equal(list.books[0].isbn13, "9780441172719");
	assert_int_equal(list.books[0].year, 2019);
	assert_true(list.books[0].year_differs);
	assert_int_equal(list.books[1].year, 2020);
	assert_false(list.books[1].year_differs);
	assert_null(list.books[1].publisher);
	assert_null(list.books[1].isbn13);
	bf_arena_free(arena);
}

/* 500 characters of title and 300 of author are taken, one more is not: characters, not bytes. */
static void lengths(void **state)
{
	struct bf_arena *arena = bf_arena_new();
	struct bf_book_list list;
	struct bf_buf text;

	(void)state;
	bf_buf_init(&text, 100000);
	for (int over = 0; over < 3; over++) {
		bf_buf_clear(&text);
		bf_buf_adds(&text, "[{\"publication_year\":2020,\"title\":\"");
		for (int i = 0; i < 500 + (over == 1); i++)
			bf_buf_adds(&text, "é");
		bf_buf_adds(&text, "\",\"author\":\"");
		for (int i = 0; i < 300 + (over == 2); i++)
			bf_buf_adds(&text, "三");
		bf_buf_adds(&text, "\"}]");
		bf_books_read(text.data, text.len, 2020, arena, &list);
		assert_int_equal(list.n, over == 0);
		assert_int_equal(list.dropped, over != 0);
	}
	bf_buf_release(&text);
	bf_arena_free(arena);
}

/* A refusal keeps its words; bytes that are no UTF-8 cost the item they stand in. */
static void words_and_bytes(void **state)
{
	static const char refusal[] = "{\"error\":\"I cannot do this.\"}",
			  prose[] = "I am\n not able to.";
	static const char bad[] =
		"[" B ",{\"title\":\"T\xFF\",\"author\":\"A\",\"publication_year\":2020}," C "]";
	struct bf_arena *arena = bf_arena_new();
	struct bf_book_list list;

	(void)state;
	bf_books_read(refusal, sizeof(refusal) - 1, 2020, arena, &list);
	assert_string_equal(list.reason, "I cannot do this.");
	bf_books_read(prose, sizeof(prose) - 1, 2020, arena, &list);
	assert_string_equal(list.reason, "I am not able to.");
	bf_books_read(bad, sizeof(bad) - 1, 2020, arena, &list);
	assert_int_equal(list.n, 2);
	assert_int_equal(list.dropped, 1);
	bf_books_read(NULL, 0, 2020, arena, &list);
	assert_int_equal(list.outcome, BF_BOOKS_GARBAGE);
	bf_arena_free(arena);
}

/* Wherever a list is cut, what comes out are its complete items, in order. */
static void cut_anywhere(void **state)
{
	static const char whole[] = "Here:\n```json\n{\"books\":[" B "," C "," B "]}\n```";
	const size_t first_end = strlen("Here:\n```json\n{\"books\":[" B);

	(void)state;
	for (size_t len = 0; len < sizeof(whole); len++) {
		struct bf_arena *arena = bf_arena_new();
		struct bf_book_list list;
		char *copy = bf_xmalloc(len + 1);

		memcpy(copy, whole, len);
		bf_books_read(copy, len, 2020, arena, &list);
		assert_int_equal(list.n > 0, len >= first_end);
		if (list.n > 0)
			assert_string_equal(list.books[0].title, "One");
		free(copy);
		bf_arena_free(arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shapes),	cmocka_unit_test(fields),
		cmocka_unit_test(lengths),	cmocka_unit_test(words_and_bytes),
		cmocka_unit_test(cut_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
