/* choose: an edition joins the work it is of, and no other. */
#include "backfill/books.h"
#include "cmocka_all.h"

/* An edition, one work in the database, and whether they are one. */
struct row {
	const char *title, *subtitle, *authors;
	const char *work, *work_authors;
	bool one;
};

/* By author and title alone. */
static const struct row by_title[] = {
	{ "Dune", NULL, "Frank Herbert", "Dune", "Frank Herbert", true },
	{ "Dune", NULL, "Herbert, Frank", "Dune", "Frank Herbert", true },
	{ "Dune", "A Novel", "F. Herbert", "Dune", "Frank Herbert", true },
	{ "The Great Gatsby", NULL, "F. Scott Fitzgerald", "Great Gatsby", "Fitzgerald, F. Scott",
		true },
	{ "Educated", "A Memoir", "Tara Westover", "Educated", "Tara Westover", true },
	{ "The Hobbit", NULL, "J.R.R. Tolkien", "The Hobbit, or There and Back Again",
		"J. R. R. Tolkien", true },
	{ "Dune (Dune Chronicles, Book 1)", NULL, "Frank Herbert", "Dune", "Frank Herbert", true },
	{ "\u4e09\u4f53", NULL, "\u5218\u6148\u6b23", "\u4e09\u4f53", "\u5218\u6148\u6b23", true },
	/* Same title by another author: another work */
	{ "The Nest", NULL, "Cynthia Sweeney", "The Nest", "Kenneth Oppel", false },
	{ "Dune", NULL, "Brian Herbert", "Dune", "Frank Herbert", false },
	/* never by the title alone */
	{ "Dune", NULL, NULL, "Dune", "Frank Herbert", false },
	{ "Dune", NULL, "Frank Herbert", "Dune", NULL, false },
	{ "Dune", NULL, "Various", "Dune", "Various", false },
	/* nor by the author alone */
	{ "It Ends with Us", NULL, "Colleen Hoover", "It Starts with Us", "Colleen Hoover", false },
	{ "Harry Potter and the Goblet of Fire", NULL, "J.K. Rowling",
		"Harry Potter and the Order of the Phoenix", "J.K. Rowling", false },
	{ "Saga, Volume 1", NULL, "Brian K. Vaughan", "Saga, Volume 2", "Brian K. Vaughan", false },
	{ "Der W\u00fcstenplanet", NULL, "Frank Herbert", "Dune", "Frank Herbert", false },
	{ "Dune Messiah", NULL, "Frank Herbert", "Dune", "Frank Herbert", false },
	{ "Summary of Dune", NULL, "Frank Herbert", "Dune", "Frank Herbert", false },
	{ "Normal People", NULL, "Sally Rooney", "Ordinary People", "Sally Rooney", false },
	{ "", NULL, "Frank Herbert", "", "Frank Herbert", false },
};

/* When an edition of the same ISBN family has the work. */
static const struct row by_family[] = {
	{ "Dune", NULL, "Frank Herbert", "Dune", "Frank Herbert", true },
	{ "Dune", NULL, NULL, "Dune", "Frank Herbert", true },
	{ "Dune", NULL, "Frank Herbert", "Dune", NULL, true },
	{ NULL, NULL, "Frank Herbert", "Dune", "Frank Herbert", true },
	{ "\u4e09\u4f53", NULL, "Liu Cixin", "\u4e09\u4f53", "\u5218\u6148\u6b23", true },
	{ "The Nest", NULL, "Cynthia Sweeney", "The Nest", "Kenneth Oppel", false },
	{ "It Ends with Us", NULL, "Colleen Hoover", "It Starts with Us", "Colleen Hoover", false },
	{ "Saga, Volume 1", NULL, "Brian K. Vaughan", "Saga, Volume 2", "Brian K. Vaughan", false },
	{ "Der W\u00fcstenplanet", NULL, "Frank Herbert", "Dune", "Frank Herbert", false },
	{ "Dune: The Graphic Novel", NULL, "Frank Herbert", "Dune", "Frank Herbert", false },
	{ NULL, NULL, NULL, "Dune", "Frank Herbert", false },
};

/* When the AI's book was found under this ISBN. */
static const struct row by_candidate[] = {
	{ "Dune", NULL, "Frank Herbert", "Dune", "Frank Herbert", true },
	{ "Dune", NULL, NULL, "Dune", "Frank Herbert", true },
	{ "Dune", NULL, "Frank Herbert", "Dune: The First Book", "Herbert, Frank", true },
	{ "Nineteen Eighty-Four", NULL, "George Orwell", "1984", "George Orwell", true },
	{ "Kafka on the Shore", NULL, "Haruki Murakami", "Kafka on the Shore",
		"\u6751\u4e0a\u6625\u6a39", true },
	{ "Dune", NULL, "Brian Herbert", "Dune", "Frank Herbert", false },
	{ "The Nest", NULL, "Cynthia Sweeney", "The Nest", "Kenneth Oppel", false },
	{ "Saga, Volume 1", NULL, "Brian K. Vaughan", "Saga, Volume 2", "Brian K. Vaughan", false },
	{ "It Ends with Us", NULL, "Colleen Hoover", "It Starts with Us", "Colleen Hoover", false },
	{ "Summary of Dune", NULL, "Frank Herbert", "Dune", "Frank Herbert", false },
	{ "Cookery", NULL, NULL, "Dune", "Frank Herbert", false },
};

static void run(const struct row *rows, size_t n, enum bf_work_via via, bool synthetic)
{
	for (size_t i = 0; i < n; i++) {
		struct bf_work_known known = { .work = { .title = rows[i].work,
						       .synthetic = synthetic },
			.via = via,
			.authors = rows[i].work_authors };
		struct bf_work_choice choice;
		bool absorb = true;

		bf_work_choose(rows[i].title, rows[i].subtitle, rows[i].authors, &known, 1, &choice,
			&absorb);
		if ((choice.index == 0) != rows[i].one)
			fail_msg("via %d: %s and %s by %s: %d", via, rows[i].title, rows[i].work,
				rows[i].work_authors, choice.index);
		assert_false(absorb); /* what is chosen goes nowhere, what is not it stays */
		if (!rows[i].one)
			assert_string_equal(choice.source, "new");
		assert_true(choice.confidence > 0 && choice.confidence <= 100);
	}
}

/* Same title by another author is another work; volumes, sequels and translations stay apart. */
static void test_author_and_title(void **state)
{
	(void)state;
	run(by_title, BF_COUNT(by_title), BF_VIA_AUTHOR, false);
	run(by_title, BF_COUNT(by_title), BF_VIA_TRIGRAM, true);
}

/* A family is believed as far as title and author agree with it. */
static void test_family(void **state)
{
	(void)state;
	run(by_family, BF_COUNT(by_family), BF_VIA_FAMILY, false);
}

/* The candidate's work is taken unless it clearly is another book. */
static void test_candidate(void **state)
{
	(void)state;
	run(by_candidate, BF_COUNT(by_candidate), BF_VIA_CANDIDATE, true);
}

/* Same work in another edition (paperback): same work, and it says by what. */
static void test_sources(void **state)
{
	static const struct {
		enum bf_work_via via;
		const char *source;
	} cases[] = { { BF_VIA_ISBN, "isbn" }, { BF_VIA_FAMILY, "isbn_family" },
		{ BF_VIA_CANDIDATE, "candidate" }, { BF_VIA_AUTHOR, "author_title" },
		{ BF_VIA_TRIGRAM, "author_title" } };
	struct bf_work_choice choice;

	(void)state;
	for (size_t i = 0; i < BF_COUNT(cases); i++) {
		struct bf_work_known known = {
			.work = { .title = "Dune" }, .via = cases[i].via, .authors = "Frank Herbert"
		};

		bf_work_choose("Dune", NULL, "Frank Herbert", &known, 1, &choice, NULL);
		assert_int_equal(choice.index, 0);
		assert_string_equal(choice.source, cases[i].source);
	}
	bf_work_choose("Dune", NULL, "Frank Herbert", NULL, 0, &choice, NULL);
	assert_int_equal(choice.index, -1);
	assert_string_equal(choice.source, "new");
}

/* Its own work always, whatever that is called and whoever wrote it. */
static void test_own_work(void **state)
{
	const struct bf_work_known known[] = {
		{ .work = { .title = "Dune" }, .via = BF_VIA_FAMILY, .authors = "Frank Herbert" },
		{ .work = { .title = "Cookery", .synthetic = true },
			.via = BF_VIA_ISBN,
			.authors = "Someone Else" },
	};
	struct bf_work_choice choice;
	bool absorb[2];

	(void)state;
	bf_work_choose("Dune", NULL, "Frank Herbert", known, 2, &choice, absorb);
	assert_int_equal(choice.index, 1);
	assert_int_equal(choice.confidence, 100);
	assert_false(absorb[0]);
	assert_false(absorb[1]);
}

/* Real before synthetic, then the surer, then the first. */
static void test_order(void **state)
{
	struct bf_work_known known[] = {
		{ .work = { .title = "Dune", .synthetic = true },
			.via = BF_VIA_CANDIDATE,
			.authors = "Frank Herbert" },
		{ .work = { .title = "Dune" }, .via = BF_VIA_AUTHOR, .authors = "Frank Herbert" },
		{ .work = { .title = "Dune" }, .via = BF_VIA_FAMILY, .authors = "Frank Herbert" },
		{ .work = { .title = "Dune" }, .via = BF_VIA_FAMILY, .authors = "Frank Herbert" },
		{ .work = { .title = "Dune", .synthetic = true },
			.via = BF_VIA_TRIGRAM,
			.authors = "Brian Herbert" },
	};
	struct bf_work_choice choice;
	bool absorb[5];

	(void)state;
	bf_work_choose("Dune", NULL, "Frank Herbert", known, 5, &choice, absorb);
	assert_int_equal(choice.index, 2);
	assert_true(absorb[0]);  /* the AI's work for this book goes into it */
	assert_false(absorb[1]); /* a real one is never absorbed */
	assert_false(absorb[3]);
	assert_false(absorb[4]); /* another author's */
	bf_work_choose("Dune", NULL, "Frank Herbert", known, 2, &choice, absorb);
	assert_int_equal(choice.index, 1);
	assert_true(absorb[0]);
	known[1].work.synthetic = true;
	bf_work_choose("Dune", NULL, "Frank Herbert", known, 2, &choice, absorb);
	assert_int_equal(choice.index, 0);
	assert_false(absorb[0]);
	assert_true(absorb[1]); /* another AI's work of the same author and title */
}

/* What is refused stays as it is, also beside a chosen one. */
static void test_absorbs_only_the_same(void **state)
{
	const struct bf_work_known known[] = {
		{ .work = { .title = "It Ends with Us" },
			.via = BF_VIA_AUTHOR,
			.authors = "Colleen Hoover" },
		{ .work = { .title = "It Starts with Us", .synthetic = true },
			.via = BF_VIA_TRIGRAM,
			.authors = "Colleen Hoover" },
		{ .work = { .title = "It Ends with Us", .synthetic = true },
			.via = BF_VIA_CANDIDATE,
			.authors = "Somebody Other" },
		{ .work = { .title = "It Ends With Us: A Novel", .synthetic = true },
			.via = BF_VIA_TRIGRAM,
			.authors = "Hoover, Colleen" },
	};
	struct bf_work_choice choice;
	bool absorb[4];

	(void)state;
	bf_work_choose("It Ends with Us", "A Novel", "Colleen Hoover", known, 4, &choice, absorb);
	assert_int_equal(choice.index, 0);
	assert_false(absorb[1]);
	assert_false(absorb[2]);
	assert_true(absorb[3]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_author_and_title),
		cmocka_unit_test(test_family),
		cmocka_unit_test(test_candidate),
		cmocka_unit_test(test_sources),
		cmocka_unit_test(test_own_work),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_absorbs_only_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
