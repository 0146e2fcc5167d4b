/* match: real variants of the wanted book are hits, what travels under its title is not. */
#include "cmocka_all.h"
#include "backfill/books.h"

#define HIT 70		/* the default of min_confidence */

struct row {
	const char *title, *subtitle, *authors;
	int year;
	const char *language, *binding, *publisher, *description;
};

static const struct bf_book dune = { .title = "Dune", .author = "Frank Herbert", .year = 1965 };

/* What the wanted Dune may look like. */
static const struct row hits[] = {
	{ "Dune", NULL, "Frank Herbert", 1965 },
	{ "Dune", NULL, "Herbert, Frank", 1990, "en" },
	{ "DUNE", NULL, "FRANK HERBERT", 2003, "eng" },
	{ "Dune (Dune Chronicles, Book 1)", NULL, "Frank Herbert", 1990, "en_US" },
	{ "Dune: A Novel", NULL, "Frank Herbert" },
	{ "Dune", "A Novel", "F. Herbert" },
	{ "Dune / by Frank Herbert", NULL, "Herbert, Frank" },
	{ "Dune / Frank Herbert", NULL, "Herbert, Frank, 1920-1986" },
	{ "Dune by Frank Herbert", NULL, "Frank Herbert" },
	{ "Dune", NULL, "Frank Herbert ~autofilled~", 2010, "English" },
	{ "Dune", NULL, "Scott Brick;Frank Herbert" },
	{ "Dune", NULL, "Frank Patrick Herbert" },
	{ "Dune: Deluxe Edition", NULL, "Frank Herbert", 2019, "und" },
	{ "Dune", NULL, "Dr. Frank Herbert PhD", 2005, "un" },
	{ "Dune: 40th Anniversary Edition (Dune Chronicles, Book 1)", NULL, "Frank Herbert" },
	{ "Dune (Movie Tie-In)", NULL, "Frank Herbert", 2021, "eng", "Mass Market Paperback" },
	{ "&quot;Dune&quot;", NULL, "Frank Herbert" },
	{ "Dune", NULL, "Frank Herbert", 1965, "eng;spa;fre" },
};
/* What it is not. */
static const struct row misses[] = {
	{ "Summary of Dune", NULL, "Frank Herbert" },
	{ "Dune: Summary and Analysis", NULL, "Frank Herbert" },
	{ "Dune: A Study Guide", NULL, "Frank Herbert" },
	{ "Dune", "Study Guide", "Frank Herbert" },
	{ "Workbook for Dune", NULL, "Frank Herbert" },
	{ "Dune Workbook", NULL, "Frank Herbert" },
	{ "Dune: Workbook", NULL, "Frank Herbert" },
	{ "Dune Box Set", NULL, "Frank Herbert" },
	{ "Dune (Boxed Set)", NULL, "Frank Herbert" },
	{ "Dune: Boxed Set", NULL, "Frank Herbert" },
	{ "Dune Collection 1-3", NULL, "Frank Herbert" },
	{ "Dune (Books 1-3)", NULL, "Frank Herbert" },
	{ "Dune (Dune Chronicles #1-6)", NULL, "Frank Herbert" },
	{ "Dune / Dune Messiah", NULL, "Frank Herbert" },
	{ "Dune: A Novel (Large Print)", NULL, "Frank Herbert" },
	{ "Dune [large print edition]", NULL, "Frank Herbert" },
	{ "Dune", NULL, "Frank Herbert", 1990, "eng", "Large Print Hardcover" },
	{ "Dune", NULL, "Frank Herbert", 1990, "eng", NULL, "Thorndike Press Large Print" },
	{ "Dune: Conversation Starters", NULL, "Frank Herbert" },
	{ "Conversation Starters: Dune", NULL, "Frank Herbert" },
	{ "Analysis of Dune", NULL, "Frank Herbert" },
	{ "Dune (SparkNotes Literature Guide)", NULL, "Frank Herbert" },
	{ "Dune", NULL, "Frank Herbert", 2014, "eng", NULL, "SparkNotes" },
	{ "Dune", NULL, "Frank Herbert", 2014, "eng", NULL, NULL,
	  "Please note: this is an unofficial summary." },
	{ "Dune: The Journal", NULL, "Frank Herbert" },
	{ "Dune Journal", NULL, "Frank Herbert" },
	{ "Dune: A Guided Journal", NULL, "Frank Herbert" },
	{ "Dune Coloring Book", NULL, "Frank Herbert" },
	{ "Dune: Coloring Book", NULL, "Frank Herbert" },
	{ "The Dune Companion", NULL, "Frank Herbert" },
	{ "Dune: A Companion", NULL, "Frank Herbert" },
	{ "The Unofficial Guide to Dune", NULL, "Frank Herbert" },
	{ "Dune 2024 Calendar", NULL, "Frank Herbert" },
	{ "Dune", NULL, "Frank Herbert", 2023, "eng", "Calendar" },
	{ "Dune: The Graphic Novel", NULL, "Frank Herbert" },
	{ "Dune: Adapted for Young Readers", NULL, "Frank Herbert" },
	{ "Dune Messiah", NULL, "Frank Herbert", 1969 },
	{ "Children of Dune", NULL, "Frank Herbert" },
	{ "Return to Dune", NULL, "Frank Herbert" },
	{ "Dune II", NULL, "Frank Herbert" },
	{ "Dune 2", NULL, "Frank Herbert" },
	{ "Dune: Book Two", NULL, "Frank Herbert" },
	{ "Dune: Part Two", NULL, "Frank Herbert" },
	{ "Dune (Dune #2)", NULL, "Frank Herbert" },
	{ "Dune: The Sequel", NULL, "Frank Herbert" },
	{ "Dune", NULL, "Max Barry", 1965 },
	{ "Dune", NULL, "Brian Herbert" },
	{ "Dune: House Atreides", NULL, "Brian Herbert;Kevin J. Anderson" },
	{ "Dune", NULL, "Frank Herbert", 1990, "spa" },
	{ "Dune", NULL, "Frank Herbert", 1990, "ger German" },
	{ "Dune", NULL, "Frank Herbert", 1990, "fr" },
	{ "Dune (Spanish Edition)", NULL, "Frank Herbert" },
	{ "Dune", NULL, "", 1965 },
	{ "Dune", NULL, NULL, 1965 },
	{ "", NULL, "Frank Herbert" },
	{ NULL, NULL, "Frank Herbert" },
	{ "Dune Sampler", NULL, "Frank Herbert" },
	{ "Dune: Excerpt", NULL, "Frank Herbert" },
};

static int match(const struct bf_book *wanted, const struct row *row, char why[64])
{
	struct bf_record record = { .title = row->title,
				    .subtitle = row->subtitle,
				    .authors = row->authors,
				    .year = row->year,
				    .language = row->language,
				    .binding = row->binding,
				    .publisher = row->publisher,
				    .description = row->description,
				    .isbn13 = "9780441172719" };

	why[0] = '\0';
	return bf_match_confidence(wanted, &record, why);
}

/* All of the first table reach the threshold, none of the second does. */
static void treacherous_results(void **state)
{
	char why[64];

	(void)state;
	for (size_t i = 0; i < BF_COUNT(hits); i++)
		if (match(&dune, &hits[i], why) < HIT)
			fail_msg("missed (%s): %s %s by %s", why, hits[i].title, hits[i].subtitle,
				 hits[i].authors);
	for (size_t i = 0; i < BF_COUNT(misses); i++) {
		if (match(&dune, &misses[i], why) >= HIT)
			fail_msg("hit (%s): %s by %s", why, misses[i].title, misses[i].authors);
		assert_true(why[0] != '\0');
	}
}

static const struct { const char *title, *author; int year; struct row row; bool hit;
} others[] = {
	/* how an AI misspells */
	{ "The Silent Patient",
	  "Alex Michaelidis",
	  2019,
	  { "The Silent Patient", NULL, "Alex Michaelides", 2019 },
	  true },
	{ "The Silent Pateint",
	  "Alex Michaelides",
	  2019,
	  { "The Silent Patient", NULL, "Alex Michaelides", 2019 },
	  true },
	{ "Silent Patient",
	  "Michaelides, Alex",
	  2019,
	  { "The Silent Patient", NULL, "Alex Michaelides" },
	  true },
	{ "War & Peace",
	  "Leo Tolstoy",
	  2007,
	  { "War and Peace", NULL, "Tolstoy, Leo, graf, 1828-1910" },
	  true },
	{ "the body keeps the score",
	  "Bessel van der Kolk",
	  2014,
	  { "The Body Keeps the Score: Brain, Mind, and Body in the Healing of Trauma", NULL,
	    "Bessel A. van der Kolk MD" },
	  true },
	{ "Sapiens: A Brief History of Humankind",
	  "Yuval Noah Harari",
	  2014,
	  { "Sapiens", NULL, "Harari, Yuval N." },
	  true },
	{ "Sapiens",
	  "Yuval Harari",
	  2014,
	  { "Sapiens", "A Brief History of Humankind", "Yuval Noah Harari" },
	  true },
	{ "Moon Called (Mercy Thompson, #1)",
	  "Patricia Briggs",
	  2006,
	  { "Moon Called", NULL, "Patricia Briggs" },
	  true },
	{ "All the Colours of the Dark",
	  "Chris Whitaker",
	  2024,
	  { "All the Colors of the Dark", NULL, "Chris Whitaker" },
	  true },
	{ "Good Omens",
	  "Neil Gaiman and Terry Pratchett",
	  1990,
	  { "Good Omens", NULL, "Pratchett, Terry" },
	  true },
	{ "The Last Olympian",
	  "Rick Riordan",
	  2009,
	  { "Percy Jackson and the Olympians: The Last Olympian", NULL, "Rick Riordan" },
	  true },
	/* one real word of difference, one slip in a title that has nothing else */
	{ "It Ends with Us",
	  "Colleen Hoover",
	  2016,
	  { "It Starts with Us", NULL, "Colleen Hoover", 2022 },
	  false },
	{ "Hamnet", "Maggie O'Farrell", 2020, { "Hamlet", NULL, "Maggie O'Farrell" }, false },
	{ "Normal People",
	  "Sally Rooney",
	  2018,
	  { "Ordinary People", NULL, "Sally Rooney" },
	  false },
	{ "Harry Potter and the Goblet of Fire",
	  "J.K. Rowling",
	  2000,
	  { "Harry Potter and the Order of the Phoenix", NULL, "Rowling, J. K." },
	  false },
	{ "The White House", "A B", 2000, { "The White Horse", NULL, "A B" }, false },
	{ "Saga, Vol. 1",
	  "Brian K. Vaughan",
	  2012,
	  { "Saga, Vol. 2", NULL, "Brian K. Vaughan" },
	  false },
	{ "Star Wars: Aftermath",
	  "Chuck Wendig",
	  2015,
	  { "Star Wars: Empire's End", NULL, "Chuck Wendig" },
	  false },
	/* the wanted book may be such a thing itself */
	{ "The Artist's Way Workbook",
	  "Julia Cameron",
	  2006,
	  { "The Artist's Way Workbook", NULL, "Julia Cameron" },
	  true },
	{ "Becoming: A Guided Journal",
	  "Michelle Obama",
	  2019,
	  { "Becoming", NULL, "Michelle Obama" },
	  false },
	{ "Becoming: A Guided Journal",
	  "Michelle Obama",
	  2019,
	  { "Becoming: A Guided Journal", NULL, "Michelle Obama" },
	  true },
	{ "The Return of Ellie Black",
	  "Emiko Jean",
	  2024,
	  { "Return of Ellie Black", NULL, "Emiko Jean" },
	  true },
	/* languages that the title speaks itself */
	{ "Harry Potter y el misterio del príncipe",
	  "J.K. Rowling",
	  2006,
	  { "Harry Potter y el misterio del príncipe", NULL, "J.K. Rowling", 2006, "spa" },
	  true },
	{ "三体", "刘慈欣", 2008, { "三体", NULL, "刘慈欣", 2008, "chi" }, true },
	{ "The Pumpkin Spice Café",
	  "Laurie Gilmore",
	  2023,
	  { "The Pumpkin Spice Café", NULL, "Laurie Gilmore", 2023, "spa" },
	  false },
	/* no author: only a long, exact title of the right year */
	{ "The Girl with the Dragon Tattoo",
	  "Stieg Larsson",
	  2005,
	  { "The Girl with the Dragon Tattoo", NULL, NULL, 2005 },
	  true },
	{ "The Girl with the Dragon Tattoo",
	  "Stieg Larsson",
	  2005,
	  { "The Girl with the Dragon Tattoo", NULL, NULL, 2001 },
	  false },
	{ "The Girl with the Dragon Tattoo",
	  "Stieg Larsson",
	  2005,
	  { "The Girl with the Dragon Tattoo", NULL, NULL, 0 },
	  false },
	/* textbooks: another edition is another book to sell */
	{ "Spring in Action, Second Edition",
	  "Craig Walls",
	  2007,
	  { "Spring in Action, Third Edition", NULL, "Craig Walls", 2011 },
	  false },
};

/* Misspellings, near titles, decoys that are wanted, languages, missing authors. */
static void other_books(void **state)
{
	(void)state;
	for (size_t i = 0; i < BF_COUNT(others); i++) {
		struct bf_book wanted = { .title = others[i].title,
					  .author = others[i].author,
					  .year = others[i].year };
		char why[64];
		int confidence = match(&wanted, &others[i].row, why);

		if ((confidence >= HIT) != others[i].hit)
			fail_msg("%d (%s): wanted %s, got %s by %s", confidence, why,
				 others[i].title, others[i].row.title, others[i].row.authors);
	}
}

/* A wanted language is asked for exactly; not knowing the record's is no fault. */
static void wanted_language(void **state)
{
	struct bf_book wanted = { .title = "Dune",
				  .author = "Frank Herbert",
				  .language = "Spanish" };
	struct row row = { "Dune", NULL, "Frank Herbert", 1990, "spa" };
	char why[64];

	(void)state;
	assert_true(match(&wanted, &row, why) >= HIT);
	row.language = "eng";
	assert_int_equal(match(&wanted, &row, why), 0);
	assert_string_equal(why, "language");
	row.language = NULL;
	assert_true(match(&wanted, &row, why) >= HIT);
}

/* Year, publisher and a suspect ISBN only shift the figure: never over or under the threshold by
 * themselves. */
static void small_signs(void **state)
{
	struct bf_book wanted = {
		.title = "Dune", .author = "F. Herbert", .year = 2000, .publisher = "Ace Books"
	};
	struct bf_record near = { .title = "Dune",
				  .authors = "Frank Herbert",
				  .year = 2000,
				  .isbn13 = "9780441172719" },
			 far = near;
	int base, c;

	(void)state;
	base = bf_match_confidence(&wanted, &near, NULL);
	far.year = 1965;
	c = bf_match_confidence(&wanted, &far, NULL);
	assert_true(c < base && c >= HIT);
	near.publisher = "Ace";
	assert_true(bf_match_confidence(&wanted, &near, NULL) > base);
	near.isbn13 = "9780000000057";
	c = bf_match_confidence(&wanted, &near, NULL);
	assert_true(c < base && c >= HIT);
}

/* The best result counts, not the first; ties go to sound ISBNs, then to the nearest year, then to
 * the first. */
static void best_of_all(void **state)
{
	struct bf_record r[] = {
		{ .title = "Summary of Dune",
		  .authors = "Frank Herbert",
		  .isbn13 = "9780000000040" },
		{ .title = "Dune", .authors = "Frank Herbert", .year = 1965 }, /* no ISBN */
		{ .title = "Dune",
		  .authors = "F. Herbert",
		  .year = 1990,
		  .isbn13 = "9780441172719" },
		{ .title = "Dune",
		  .authors = "Frank Herbert",
		  .year = 1970,
		  .isbn13 = "9780306406157" },
		{ .title = "Dune",
		  .authors = "Frank Herbert",
		  .year = 1968,
		  .isbn13 = "9780804429573" },
		{ .title = "Dune",
		  .authors = "Frank Herbert",
		  .year = 1968,
		  .isbn13 = "9780975229804" },
	};
	struct bf_book wanted = dune;
	int confidence = -1;

	(void)state;
	assert_int_equal(bf_match_best(&wanted, r, BF_COUNT(r), &confidence), 4);
	assert_true(confidence >= 95);
	assert_int_equal(bf_match_best(&wanted, r, 3, &confidence), 2);
	assert_int_equal(bf_match_best(&wanted, r, 2, &confidence), -1);
	assert_int_equal(confidence, 0);
	assert_int_equal(bf_match_best(&wanted, NULL, 0, &confidence), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(treacherous_results), cmocka_unit_test(other_books),
		cmocka_unit_test(wanted_language),     cmocka_unit_test(small_signs),
		cmocka_unit_test(best_of_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
