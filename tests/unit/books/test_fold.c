/* fold: one form for comparing, which keeps every script. */
#include "cmocka_all.h"
#include "backfill/books.h"

static const struct { const char *text, *folded;
} cases[] = {
	{ "The Great GATSBY", "the great gatsby" },
	{ "  a --  b  ", "a b" },
	{ "", "" },
	{ "?!", "" },
	{ "L\xE2\x80\x99Étranger", "letranger" },
	{ "O'Brien", "obrien" },
	{ "Mary-Jane", "mary jane" },
	{ "François", "francois" },
	{ "Café", "cafe" },
	{ "cafe\xCC\x81", "cafe" },
	{ "Ångström", "angstrom" },
	{ "Jo Nesbø", "jo nesbo" },
	{ "Straße", "strasse" },
	{ "Łódź", "lodz" },
	{ "Cœur & Ægir", "coeur and aegir" },
	{ "Ａｂｃ１２", "abc12" },
	{ "ﬁne", "fine" },
	{ "9½ Weeks", "9 1 2 weeks" },
	{ "20,000 Leagues", "20000 leagues" },
	{ "Q&A", "q and a" },
	{ "Tom &amp; Jerry", "tom and jerry" },
	{ "Tom &amp;amp; Jerry", "tom and jerry" },
	{ "&eacute;t&#233; &#xE9;", "ete e" },
	{ "AT&T", "at and t" },
	{ "&bogus;", "and bogus" },
	{ "C++ Primer", "c plus plus primer" },
	{ "C# in Depth", "c sharp in depth" },
	{ "Book #2", "book 2" },
	{ "The F*ck", "the fck" },
	{ "Σίσυφος", "σισυφοσ" },
	{ "Война и миръ", "воина и миръ" },
	{ "三体", "三体" },
	{ "哈利·波特", "哈利 波特" },
	{ "한국어", "한국어" },
	{ "\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB", "한" },
	{ "がんばれ", "がんばれ" },
	{ "か\xE3\x82\x99", "が" },
	{ "किताब", "किताब" },
	{ "ألف ليلة", "ألف ليلة" },
	{ "שלום", "שלום" },
	{ "İstanbul", "istanbul" },
	{ "a\xFF"
	  "b",
	  "a b" },
	{ "co\xC2\xADop", "coop" },
};

/* Every text has the expected form, and folding a folded text changes nothing. */
static void folded(void **state)
{
	(void)state;
	for (size_t i = 0; i < BF_COUNT(cases); i++) {
		char once[BF_KEY_MAX], twice[BF_KEY_MAX];

		bf_fold(cases[i].text, once, sizeof(once));
		assert_string_equal(once, cases[i].folded);
		bf_fold(once, twice, sizeof(twice));
		assert_string_equal(twice, once);
	}
}

/* A small buffer is filled up to a whole character and ended, whatever its size. */
static void cut_on_a_boundary(void **state)
{
	(void)state;
	for (size_t size = 1; size < 40; size++) {
		char out[40];

		memset(out, 'Z', sizeof(out));
		bf_fold("Ab Война 三体 がん cd", out, size);
		assert_true(strlen(out) < size);
		assert_true(bf_utf8_valid(out, strlen(out)));
		for (size_t i = size; i < sizeof(out); i++)
			assert_int_equal(out[i], 'Z');
	}
}

/* Similarity is 1 for the same, 0 for nothing shared, between for the like, symmetric, and counts
 * characters. */
static void similarity(void **state)
{
	(void)state;
	assert_true(bf_key_similarity("dune", "dune") == 1.0);
	assert_true(bf_key_similarity("dune", "") == 0.0);
	assert_true(bf_key_similarity("abc", "xyz") == 0.0);
	assert_true(bf_key_similarity("三体", "活着") == 0.0);
	assert_true(bf_key_similarity("the silent patient", "the silent patint") > 0.8);
	assert_true(bf_key_similarity("normal people", "ordinary people") < 0.7);
	assert_true(bf_key_similarity("dune", "dune messiah") ==
		    bf_key_similarity("dune messiah", "dune"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(folded),
		cmocka_unit_test(cut_on_a_boundary),
		cmocka_unit_test(similarity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
