/* record: a record comes back from its JSON as it went in, whatever it is made of. */
#include "backfill/books.h"
#include "cmocka_all.h"
#include <stdlib.h>

static const struct bf_record dune = {
	.title = "Dune",
	.subtitle = "A \"Novel\"",
	.authors = "Frank Herbert;Brian Herbert",
	.publisher = "Ace",
	.language = "en",
	.binding = "Mass Market Paperback",
	.date = "1990-09-01",
	.cover_url = "https://images.isbndb.com/covers/1.jpg",
	.provider_key = "9780441172719",
	.description = "Sand.\nSpice.",
	.subjects = "Fiction;Science fiction",
	.pages = 896,
	.isbn13 = "9780441172719",
	.other_isbns = "9780593099322",
};

/* A text of n times the same bytes. */
static char *repeat(const char *unit, size_t n)
{
	char *s = bf_xcalloc(n * strlen(unit) + 1, 1);

	for (size_t i = 0; i < n; i++)
		memcpy(s + i * strlen(unit), unit, strlen(unit));
	return s;
}

/* The members, their names and their order are those that are stored everywhere. */
static void test_written_form(void **state)
{
	struct bf_buf out;

	(void)state;
	bf_buf_init(&out, BF_RECORD_JSON_MAX);
	assert_true(bf_record_write(&dune, &out));
	assert_string_equal(out.data,
		"{\"isbn13\":\"9780441172719\",\"title\":\"Dune\",\"subtitle\":\"A \\\"Novel\\\"\","
		"\"authors\":\"Frank Herbert;Brian "
		"Herbert\",\"publisher\":\"Ace\",\"language\":\"en\","
		"\"binding\":\"Mass Market Paperback\",\"date\":\"1990-09-01\",\"pages\":896,"
		"\"cover_url\":\"https://images.isbndb.com/covers/1.jpg\","
		"\"provider_key\":\"9780441172719\",\"other_isbns\":\"9780593099322\","
		"\"subjects\":\"Fiction;Science fiction\",\"description\":\"Sand.\\nSpice.\"}");
	bf_buf_release(&out);
}

/* Reading is the inverse of writing; the year comes from the date. */
static void test_round_trip(void **state)
{
	struct bf_arena *arena = bf_arena_new();
	struct bf_record r;
	struct bf_buf out;

	(void)state;
	bf_buf_init(&out, BF_RECORD_JSON_MAX);
	assert_true(bf_record_write(&dune, &out));
	assert_true(bf_record_read(out.data, out.len, arena, &r));
	assert_string_equal(r.isbn13, dune.isbn13);
	assert_string_equal(r.title, dune.title);
	assert_string_equal(r.subtitle, dune.subtitle);
	assert_string_equal(r.authors, dune.authors);
	assert_string_equal(r.publisher, dune.publisher);
	assert_string_equal(r.language, dune.language);
	assert_string_equal(r.binding, dune.binding);
	assert_string_equal(r.date, dune.date);
	assert_string_equal(r.cover_url, dune.cover_url);
	assert_string_equal(r.provider_key, dune.provider_key);
	assert_string_equal(r.other_isbns, dune.other_isbns);
	assert_string_equal(r.subjects, dune.subjects);
	assert_string_equal(r.description, dune.description);
	assert_int_equal(r.pages, 896);
	assert_int_equal(r.year, 1990);
	bf_buf_release(&out);
	bf_arena_free(arena);
}

/* What is not known is left out and reads as not known. */
static void test_empty(void **state)
{
	static const struct bf_record nothing, blank = { .title = "", .pages = -3 };
	struct bf_arena *arena = bf_arena_new();
	struct bf_record r;
	struct bf_buf out;

	(void)state;
	bf_buf_init(&out, BF_RECORD_JSON_MAX);
	assert_true(bf_record_write(&nothing, &out));
	assert_string_equal(out.data, "{}");
	assert_true(bf_record_write(&blank, &out));
	assert_string_equal(out.data, "{}");
	assert_true(bf_record_read("{}", 2, arena, &r));
	assert_memory_equal(&r, &nothing, sizeof(r));
	bf_buf_release(&out);
	bf_arena_free(arena);
}

/* Texts are cut where they always were, on a character's boundary. */
static void test_caps(void **state)
{
	struct bf_arena *arena = bf_arena_new();
	char *text = repeat("é", 2000);
	struct bf_record full = { .title = text,
		.authors = text,
		.publisher = text,
		.subjects = text,
		.description = text },
			 r;
	struct bf_buf out;

	(void)state;
	bf_buf_init(&out, BF_RECORD_JSON_MAX);
	assert_true(bf_record_write(&full, &out));
	assert_true(bf_record_read(out.data, out.len, arena, &r));
	assert_int_equal(strlen(r.title), 300);
	assert_int_equal(strlen(r.authors), 300);
	assert_int_equal(strlen(r.publisher), 120);
	assert_int_equal(strlen(r.subjects), 400);
	assert_int_equal(strlen(r.description), 1000);
	bf_buf_release(&out);
	free(text);
	bf_arena_free(arena);
}

/* Characters that JSON writes longer cost the description, then the subjects, never the title. */
static void test_long_texts_give_way(void **state)
{
	struct bf_arena *arena = bf_arena_new();
	char *text = repeat("\x01", 1000), *plain = repeat("a", 1000);
	struct bf_record full = { .title = "Dune", .description = text, .subjects = plain }, r;
	struct bf_record worse = { .title = text,
		.subtitle = text,
		.description = text,
		.subjects = text,
		.isbn13 = "9780441172719" };
	struct bf_record worst = { .title = text,
		.subtitle = text,
		.authors = text,
		.publisher = text,
		.cover_url = text };
	struct bf_buf out, tiny;

	(void)state;
	bf_buf_init(&out, 2 * BF_RECORD_JSON_MAX);
	assert_true(bf_record_write(&full, &out));
	assert_true(out.len <= BF_RECORD_JSON_MAX);
	assert_true(bf_record_read(out.data, out.len, arena, &r));
	assert_string_equal(r.title, "Dune");
	assert_int_equal(strlen(r.subjects), 400);
	assert_int_equal(strlen(r.description), 400);
	assert_true(bf_record_write(&worse, &out));
	assert_true(out.len <= BF_RECORD_JSON_MAX);
	assert_true(bf_record_read(out.data, out.len, arena, &r));
	assert_string_equal(r.isbn13, "9780441172719");
	assert_int_equal(strlen(r.title), 300);
	assert_null(r.description);
	assert_null(r.subjects);
	assert_false(bf_record_write(&worst, &out)); /* no way left */
	assert_int_equal(out.len, 0);
	bf_buf_init(&tiny, 10);
	assert_false(bf_record_write(&dune, &tiny));
	assert_int_equal(tiny.len, 0);
	assert_string_equal(tiny.data, "");
	bf_buf_release(&tiny);
	bf_buf_release(&out);
	free(text);
	free(plain);
	bf_arena_free(arena);
}

/* No record: nothing, other types, broken text. */
static void test_refused(void **state)
{
	static const char *const bad[] = { "", "null", "[]", "\"{}\"", "{\"title\":", "12", "{}x" };
	struct bf_arena *arena = bf_arena_new();
	static const struct bf_record nothing;
	struct bf_record r;

	(void)state;
	for (size_t i = 0; i < BF_COUNT(bad); i++) {
		memset(&r, 1, sizeof(r));
		assert_false(bf_record_read(bad[i], strlen(bad[i]), arena, &r));
		assert_memory_equal(&r, &nothing, sizeof(r));
	}
	assert_false(bf_record_read(NULL, 0, arena, &r));
	bf_arena_free(arena);
}

/* A member of the wrong type costs that member; ISBNs are made canonical or dropped. */
static void test_odd_members(void **state)
{
	static const char json[] = "{ \"title\" : 1984, \"authors\": null, \"pages\": \"x\", "
				   "\"date\": [1], \"isbn13\": \"0-316-76948-7\", \"more\": {} }";
	static const char bad_isbn[] =
		"{\"title\":\"x\",\"isbn13\":\"9780553418027\",\"pages\":9e9}";
	struct bf_arena *arena = bf_arena_new();
	struct bf_record r;

	(void)state;
	assert_true(bf_record_read(json, strlen(json), arena, &r));
	assert_string_equal(r.title, "1984");
	assert_null(r.authors);
	assert_null(r.date);
	assert_int_equal(r.pages, 0);
	assert_string_equal(r.isbn13, "9780316769488");
	assert_true(bf_record_read(bad_isbn, strlen(bad_isbn), arena, &r));
	assert_null(r.isbn13);
	assert_int_equal(r.pages, 0);
	bf_arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_written_form),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_caps),
		cmocka_unit_test(test_long_texts_give_way),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_odd_members),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
