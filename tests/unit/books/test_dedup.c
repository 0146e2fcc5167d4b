/* dedup: variants of one title are one book, titles that differ in a word are two. */
#include "cmocka_all.h"
#include "backfill/books.h"

#define SIMILARITY 0.60

static const struct { const char *a, *b;
} same[] = {
	{ "Great Gatsby", "The Great Gatsby" },
	{ "Educated", "Educated: A Memoir" },
	{ "The Hobbit", "The Hobbit, or There and Back Again" },
	{ "Frankenstein", "Frankenstein; or, The Modern Prometheus" },
	{ "Becoming",
	  "Becoming: The Story of a Girl from the South Side and How She Found Her Voice" },
	{ "Salt & Pepper", "Salt and Pepper" },
	{ "Beyoncé in Formation", "Beyonce in formation" },
	{ "The Colour Purple", "The Color Purple" },
	{ "Ender's Game", "Enders Game" },
	{ "Catch-22", "Catch 22" },
	{ "Spider-Man Blue", "Spiderman Blue" },
	{ "The Incredible Hulk", "The Incredable Hulk" },
	{ "Moon Called", "Moon Called (Mercy Thompson #1)" },
	{ "Saga, Part Two", "Saga, Part II" },
	{ "Saga (Vol. 2)", "Saga, Volume Two" },
	{ "The Eye of the World", "The Eye of the World: Book One of The Wheel of Time" },
	{ "The Last Olympian", "Percy Jackson and the Olympians: The Last Olympian" },
	{ "Slaughterhouse-Five", "Slaughterhouse 5" },
	{ "Quiet: The Power of Introverts in a Noisy World", "Quiet: The Power of Introverts" },
	{ "三体", "三体" },
	{ "Dune", "Dune, Deluxe Edition" },
	{ "F*ck It", "Fuck It" },
	{ "Harry Potter and the Cursed Child",
	  "Harry Potter and the Cursed Child, Parts One and Two" },
};
static const struct { const char *a, *b;
} other[] = {
	{ "It Ends with Us", "It Starts with Us" },
	{ "Harry Potter and the Goblet of Fire", "Harry Potter and the Order of the Phoenix" },
	{ "Hamnet", "Hamlet" },
	{ "The Nest", "The Rest" },
	{ "Fourth Wing", "Fourth King" },
	{ "Normal People", "Ordinary People" },
	{ "The Testament", "The Testaments" },
	{ "Dune", "Dune Messiah" },
	{ "Dune", "Children of Dune" },
	{ "Saga, Vol. 1", "Saga, Vol. 2" },
	{ "Saga Book One", "Saga Book Two" },
	{ "Maus I", "Maus II" },
	{ "Rocky II", "Rocky III" },
	{ "Saga", "Saga, Vol. 2" },
	{ "Saga: Volume One", "Saga: Volume Two" },
	{ "Henry IV, Part 1", "Henry IV, Part 2" },
	{ "Death Note, Vol. 1: Boredom", "Death Note, Vol. 2: Confluence" },
	{ "Legend (Legend #1)", "Legend (Legend #2)" },
	{ "Star Wars: Aftermath", "Star Wars: Lost Stars" },
	{ "Star Wars", "Star Wars: Lost Stars" },
	{ "Genghis: Birth of an Empire", "Genghis: Lords of the Bow" },
	{ "Ready Player One", "Ready Player Two" },
	{ "三体", "活着" },
	{ "三体", "三体II" },
	{ "Ο Πύργος", "Η Δίκη" },
	{ "موسم الهجرة", "ألف ليلة" },
	{ "Die Trying", "Trying" },
	{ "C++ Primer", "C Primer" },
	{ "Dune", "Dune: The Graphic Novel" },
	{ "Becoming", "Becoming: A Guided Journal" },
	{ "The Witcher Box Set", "The Witcher" },
};

static bool one(const char *a, const char *author_a, const char *b, const char *author_b)
{
	struct bf_book x = { .title = a, .author = author_a },
		       y = { .title = b, .author = author_b };
	bool forth = bf_book_same(&x, &y, SIMILARITY);

	assert_int_equal(forth, bf_book_same(&y, &x, SIMILARITY));
	return forth;
}

/* The pairs that are one book, and the pairs that are two, of one author. */
static void pairs(void **state)
{
	(void)state;
	for (size_t i = 0; i < BF_COUNT(same); i++)
		if (!one(same[i].a, "Ann Author", same[i].b, "Author, Ann"))
			fail_msg("two: \"%s\", \"%s\"", same[i].a, same[i].b);
	for (size_t i = 0; i < BF_COUNT(other); i++)
		if (one(other[i].a, "Ann Author", other[i].b, "Ann Author"))
			fail_msg("one: \"%s\", \"%s\"", other[i].a, other[i].b);
}

/* The same title by someone else is another book; one shared author suffices. */
static void authors(void **state)
{
	(void)state;
	assert_false(one("The Outsider", "Albert Camus", "The Outsider", "Stephen King"));
	assert_false(one("Dune", "Frank Herbert", "Dune", "Brian Herbert"));
	assert_true(
		one("Good Omens", "Neil Gaiman; Terry Pratchett", "Good Omens", "Terry Pratchett"));
	assert_true(one("It", "S. King", "It", "Stephen King"));
}

/* The similarity is what differing subtitles must reach: the same pair is one or two by it. */
static void similarity_decides(void **state)
{
	struct bf_book a = { .title = "Hooked: How Great Food Companies Made Addictions Normal",
			     .author = "A B" };
	struct bf_book b = { .title = "Hooked: How Food Companies Exploit Our Addictions",
			     .author = "A B" };

	(void)state;
	assert_true(bf_book_same(&a, &b, 0.50));
	assert_false(bf_book_same(&a, &b, 0.95));
}

/* Models give one ISBN to several books: it joins only titles that are alike. */
static void shared_isbn(void **state)
{
	struct bf_book a = { .title = "The Midnight Library",
			     .author = "Matt Haig",
			     .isbn13 = "9780525559474" };
	struct bf_book b = { .title = "Midnight Librarys",
			     .author = "Matt Haig",
			     .isbn13 = "9780525559474" };
	struct bf_book c = { .title = "The Humans",
			     .author = "Matt Haig",
			     .isbn13 = "9780525559474" };

	(void)state;
	assert_true(bf_book_same(&a, &b, SIMILARITY));
	assert_false(bf_book_same(&a, &c, SIMILARITY));
	b.isbn13 = NULL;
	assert_false(bf_book_same(&a, &b, SIMILARITY));
}

/* Duplicates merge in place: order kept, both names kept, the fuller metadata kept. */
static void merging(void **state)
{
	struct bf_book books[] = {
		{ .title = "Educated",
		  .author = "T. Westover",
		  .year = 2017,
		  .year_differs = true,
		  .generated_by = 1 },
		{ .title = "Dune",
		  .author = "Frank Herbert",
		  .publisher = "Ace",
		  .year = 2018,
		  .generated_by = 1 },
		{ .title = "Educated: A Story of Learning",
		  .author = "Tara Westover",
		  .publisher = "Random House",
		  .format = "hardcover",
		  .significance = "much read",
		  .isbn13 = "9780399590504",
		  .year = 2018,
		  .generated_by = 2 },
		{ .title = "Circe", .author = "Madeline Miller", .year = 2018, .generated_by = 2 },
		{ .title = "DUNE",
		  .author = "Herbert, Frank",
		  .publisher = "Chilton",
		  .year = 2018,
		  .generated_by = 2 },
	};

	(void)state;
	assert_int_equal(bf_books_dedup(books, BF_COUNT(books), SIMILARITY), 3);
	assert_string_equal(books[0].title, "Educated");
	assert_string_equal(books[0].subtitle, "A Story of Learning");
	assert_string_equal(books[0].author, "Tara Westover");
	assert_string_equal(books[0].publisher, "Random House");
	assert_string_equal(books[0].format, "hardcover");
	assert_string_equal(books[0].significance, "much read");
	assert_string_equal(books[0].isbn13, "9780399590504");
	assert_int_equal(books[0].year, 2018);
	assert_false(books[0].year_differs);
	assert_int_equal(books[0].generated_by, 3);
	assert_string_equal(books[1].title, "Dune");
	assert_string_equal(books[1].publisher, "Ace");
	assert_int_equal(books[1].generated_by, 3);
	assert_string_equal(books[2].title, "Circe");
	assert_int_equal(books[2].generated_by, 2);
}

/* A bare title takes one fuller title, not every one that begins alike. */
static void no_chains(void **state)
{
	struct bf_book books[] = {
		{ .title = "Cravings", .author = "C T" },
		{ .title = "Cravings: Recipes for All the Food You Want to Eat", .author = "C T" },
		{ .title = "Cravings: Hungry for More", .author = "C T" },
	};

	(void)state;
	assert_int_equal(bf_books_dedup(books, 3, SIMILARITY), 2);
	assert_int_equal(bf_books_dedup(books, 1, SIMILARITY), 1);
	assert_int_equal(bf_books_dedup(books, 0, SIMILARITY), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pairs),
		cmocka_unit_test(authors),
		cmocka_unit_test(similarity_decides),
		cmocka_unit_test(shared_isbn),
		cmocka_unit_test(merging),
		cmocka_unit_test(no_chains),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
