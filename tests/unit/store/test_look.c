/* What the catalogue has of a book: the edition, the works that may be its own, the authors' keys. */
#include "queue.h"

#define NODE(state)                  \
	struct node *one = *(state); \
	if (one == NULL)             \
	skip()
#define ISBN_A "9780306406157" /* ISBN-10: 0306406152 */
#define ISBN_B "9780441172719" /* ISBN-10: 0441172717 */

/* The strongest reason for a work, -1 when it was not found. */
static int via(const struct bf_looked *l, const char *work_key)
{
	int found = -1;

	for (int i = 0; i < l->n_works; i++)
		if (strcmp(l->works[i].known.work.work_key, work_key) == 0) {
			assert_int_equal(found, -1);
			found = (int)l->works[i].known.via;
		}
	return found;
}

static void make_work(const char *key, const char *title, bool synthetic)
{
	db_run("INSERT INTO enriched_works (work_key, title, synthetic) VALUES ('%s', '%s', %s)",
		key, title, synthetic ? "true" : "false");
}

static void make_author(const char *key, const char *name, const char *work_key)
{
	db_run("INSERT INTO enriched_authors (author_key, name) VALUES ('%s', '%s') ON CONFLICT DO "
	       "NOTHING",
		key, name);
	db_run("INSERT INTO work_authors_enriched VALUES ('%s', '%s', 0)", work_key, key);
}

/* An empty catalogue has nothing, and the asked keys are the ones to link. */
static void nothing_is_found_in_nothing(void **state)
{
	NODE(state);
	const struct bf_look v = { .isbn13 = ISBN_A,
		.title = "Dune",
		.author_names = texts_of("Frank Herbert", "Brian Herbert"),
		.author_keys = texts_of("name:f", "name:b") };
	const struct bf_looked *l = look(one, &v);

	assert_null(l->edition);
	assert_int_equal(l->n_works, 0);
	assert_string_equal(l->author_keys[0], "name:f");
	assert_string_equal(l->author_keys[1], "name:b");
	assert_int_equal(
		db_int("SELECT ('%s'::timestamptz BETWEEN now() - interval '1 min' AND now())::int",
			took.looked_at),
		1);
}

/* Every way by which a work may be the book's, each work once with the strongest. */
static void works_are_found_in_every_way(void **state)
{
	NODE(state);
	const struct bf_look v = { .isbn13 = ISBN_A,
		.title = "Dune Messiah",
		.family = texts_of(ISBN_B, NULL),
		.author_names = texts_of("Frank Herbert", NULL),
		.author_keys = texts_of("name:frank herbert", NULL),
		.work_keys = texts_of("candidate", "isbn") };
	const struct bf_looked *l;

	make_work("isbn", "Dune Messiah", false);
	make_work("family", "Whatever", false);
	make_work("alternate", "Whatever", false);
	make_work("candidate", "Something", true);
	make_work("author", "Dune Messiah (Dune Chronicles, Book 2)", false);
	make_work("author too", "DUNE", false);
	make_work("other book", "Hellstrom", false);
	make_work("other author", "Dune Messiah", false);
	make_author("name:frank herbert", "Frank Herbert", "author");
	make_author("name:frank herbert", "Frank Herbert", "author too");
	make_author("name:frank herbert", "Frank Herbert", "other book");
	make_author("name:jane doe", "Jane Doe", "other author");
	db_run("INSERT INTO enriched_editions (isbn, work_key, alternate_isbns) VALUES ('%s', "
	       "'isbn', NULL),"
	       " ('0441172717', 'family', NULL), ('x', 'alternate', ARRAY['y', '%s'])",
		ISBN_A, ISBN_B);
	l = look(one, &v);
	assert_string_equal(l->edition_key, ISBN_A);
	assert_string_equal(l->edition_work_key, "isbn");
	assert_string_equal(l->edition->isbn13, ISBN_A);
	assert_int_equal(via(l, "isbn"), BF_VIA_ISBN);
	assert_int_equal(via(l, "family"), BF_VIA_FAMILY);
	assert_int_equal(via(l, "alternate"), BF_VIA_FAMILY);
	assert_int_equal(via(l, "candidate"), BF_VIA_CANDIDATE);
	assert_int_equal(via(l, "author"), BF_VIA_AUTHOR);
	assert_int_equal(via(l, "author too"), BF_VIA_AUTHOR);
	assert_int_equal(via(l, "other book"), -1);
	assert_int_equal(via(l, "other author"), -1);
	assert_string_equal(l->author_keys[0], "name:frank herbert");
}

/* By title only when nothing real was found, and only with an author alike. */
static void titles_are_the_last_resort(void **state)
{
	NODE(state);
	struct bf_look v = { .isbn13 = ISBN_A,
		.title = "The Left Hand of Darkness",
		.author_names = texts_of("Ursula K. Le Guin", NULL),
		.author_keys = texts_of("name:x", NULL),
		.work_keys = texts_of("synthetic:1", NULL) };
	const struct bf_looked *l;

	make_work("right", "Left Hand of Darkness", false);
	make_work("wrong", "The Left Hand of Darkness", false);
	make_work("old", "THE LEFT HAND OF DARKNESS", true);
	make_work("synthetic:1", "The Left Hand of Darkness", true);
	make_author("/authors/1", "U. Le Guin", "right");
	make_author("/authors/2", "Somebody Else", "wrong");
	db_run("UPDATE enriched_works SET metadata = '\"{\\\"author\\\": \\\"Ursula K. "
	       "LeGuin\\\"}\"'"
	       " WHERE work_key = 'old'");
	l = look(one, &v);
	assert_int_equal(via(l, "right"), BF_VIA_TRIGRAM);
	assert_int_equal(via(l, "old"), BF_VIA_TRIGRAM);
	assert_int_equal(via(l, "wrong"), -1);
	assert_int_equal(via(l, "synthetic:1"), BF_VIA_CANDIDATE);
	v.work_keys = texts_of("wrong", NULL);
	l = look(one, &v);
	assert_int_equal(l->n_works, 1);
	assert_int_equal(via(l, "wrong"), BF_VIA_CANDIDATE);
}

/* An author of another key scheme is the one asked for when the name is the same, however it is spelt. */
static void authors_are_known_by_their_names(void **state)
{
	NODE(state);
	struct bf_look v = { .isbn13 = ISBN_A,
		.title = "Harry Potter",
		.author_names = texts_of("j.k. rowling", "Jean-Paul Sartre"),
		.author_keys = texts_of("name:rowling", "name:sartre") };
	const struct bf_looked *l;

	make_work("w", "Harry Potter", false);
	make_author("/authors/OL1A", "Rowling, J. K.", "w");
	make_author("uuid-2", "JEAN-PAUL SARTRE", "w");
	make_author("uuid-3", "Jean Paul Sarre", "w");
	l = look(one, &v);
	assert_string_equal(l->author_keys[0], "/authors/OL1A");
	assert_string_equal(l->author_keys[1], "uuid-2");
	assert_int_equal(via(l, "w"), BF_VIA_AUTHOR);
	assert_string_equal(
		l->works[0].known.authors, "Rowling, J. K.;JEAN-PAUL SARTRE;Jean Paul Sarre");
	db_run("INSERT INTO enriched_authors (author_key, name) VALUES ('name:sartre', 'anybody')");
	l = look(one, &v);
	assert_string_equal(l->author_keys[1], "name:sartre");
}

/* Rows of an older system are read as if they were ours: keys of ten digits, metadata of every make. */
static void old_rows_are_read(void **state)
{
	NODE(state);
	const struct bf_look v = { .isbn13 = ISBN_A, .title = "x" };
	const struct bf_looked *l;

	db_run("INSERT INTO enriched_works (work_key, title, synthetic, updated_at, subject_tags, "
	       "metadata) VALUES"
	       " ('w', 'Old', NULL, NULL, ARRAY['a', NULL, 'b'],"
	       " '\"{\\\"provenance\\\": {\\\"title\\\": {\\\"provider\\\": \\\"isbndb\\\"}}}\"')");
	db_run("INSERT INTO enriched_editions (isbn, work_key, title, publisher, page_count, "
	       "updated_at, metadata)"
	       " VALUES ('0306406152', 'w', 'Old', 'House', 12, NULL,"
	       " '[\"junk\", {\"provenance\": {\"title\": 1}}, \"{\\\"b\\\": 2}\"]')");
	l = look(one, &v);
	assert_string_equal(l->edition_key, "0306406152");
	assert_string_equal(l->edition_seen, "");
	assert_string_equal(l->edition->isbn13, ISBN_A);
	assert_string_equal(l->edition->publisher, "House");
	assert_int_equal(l->edition->page_count, 12);
	assert_string_equal(l->edition->provenance_json, "{\"title\": 1}");
	assert_int_equal(l->n_works, 1);
	assert_string_equal(l->works[0].seen, "");
	assert_false(l->works[0].known.work.synthetic);
	assert_int_equal(l->works[0].known.work.subject_tags.n, 2);
	assert_non_null(strstr(l->works[0].known.work.provenance_json, "isbndb"));
	assert_int_equal(via(l, "w"), BF_VIA_ISBN);
	db_run("INSERT INTO enriched_editions (isbn, work_key, updated_at, metadata) VALUES"
	       " ('%s', 'w', '2025-01-02 03:04:05.678901Z', '\"no JSON\"')",
		ISBN_A);
	l = look(one, &v);
	assert_string_equal(l->edition_key, ISBN_A);
	assert_non_null(strstr(l->edition_seen, ".678901"));
	assert_null(l->edition->provenance_json);
}

/* metadata of any make becomes an object and loses nothing. */
static void metadata_is_mended(void **state)
{
	NODE(state);
	static const char *const cases[][2] = {
		{ "{\"a\": 1}", "{\"a\": 1}" },
		{ "null", "{}" },
		{ "\"{\\\"a\\\": 1}\"", "{\"a\": 1}" },
		{ "\"\\\"{\\\\\\\"a\\\\\\\": 1}\\\"\"", "{\"a\": 1}" },
		{ "\"text\"", "{\"former\": \"text\"}" },
		{ "7", "{\"former\": 7}" },
		{ "[]", "{}" },
		{ "[{\"a\": 1}, {\"a\": 2, \"b\": 1}]", "{\"a\": 2, \"b\": 1}" },
		{ "[{\"a\": 1}, \"{\\\"b\\\": 2}\", \"x\", 3, null]",
			"{\"a\": 1, \"b\": 2, \"former\": [\"x\", 3]}" },
		{ "[{\"former\": [1]}, [{\"c\": 1}, 2]]", "{\"c\": 1, \"former\": [1, 2]}" },
	};

	assert_non_null(one);
	assert_string_equal(db_text("SELECT backfill_metadata(NULL)"), "{}");
	for (size_t i = 0; i < BF_COUNT(cases); i++)
		assert_string_equal(
			db_text("SELECT backfill_metadata('%s')", cases[i][0]), cases[i][1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_is_found_in_nothing, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(
			works_are_found_in_every_way, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(titles_are_the_last_resort, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(
			authors_are_known_by_their_names, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(old_rows_are_read, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(metadata_is_mended, db_setup, db_teardown),
	};

	return cmocka_run_group_tests(tests, db_group_setup, db_group_teardown);
}
