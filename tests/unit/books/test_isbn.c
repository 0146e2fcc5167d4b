/* isbn: every spelling that catalogues, spreadsheets and models produce becomes one form or is
 * refused. */
#include "cmocka_all.h"
#include "backfill/books.h"

static const struct { const char *text; enum bf_isbn_result result; const char *isbn;
} cases[] = {
	/* the conversion table */
	{ "0441172717", BF_ISBN_OK, "9780441172719" },
	{ "0306406152", BF_ISBN_OK, "9780306406157" },
	{ "080442957X", BF_ISBN_OK, "9780804429573" },
	{ "097522980X", BF_ISBN_OK, "9780975229804" },
	{ "316148410X", BF_ISBN_OK, "9783161484100" },
	{ "1585160806", BF_ISBN_OK, "9781585160808" },
	{ "9791090636071", BF_ISBN_OK, "9791090636071" },
	{ "9798602405453", BF_ISBN_OK, "9798602405453" },
	{ "0316769487", BF_ISBN_OK, "9780316769488" },
	{ "155860832X", BF_ISBN_OK, "9781558608320" },
	/* 1: separators of all kinds */
	{ "978-0-441-17271-9", BF_ISBN_OK, "9780441172719" },
	{ " 978 0 441 17271 9 ", BF_ISBN_OK, "9780441172719" },
	{ "978\xC2\xA0"
	  "0441172719",
	  BF_ISBN_OK, "9780441172719" },
	{ "978\xE2\x80\x90"
	  "0\xE2\x80\x91"
	  "441\xE2\x80\x93"
	  "17271\xE2\x80\x94"
	  "9",
	  BF_ISBN_OK, "9780441172719" },
	{ "978\xE2\x88\x92"
	  "0441172719",
	  BF_ISBN_OK, "9780441172719" },
	{ "978\xC2\xAD"
	  "04411\xE2\x80\x8B"
	  "72719",
	  BF_ISBN_OK, "9780441172719" },
	{ "\xEF\xBB\xBF"
	  "9780441172719",
	  BF_ISBN_OK, "9780441172719" },
	{ "９７８０４４１１７２７１９", BF_ISBN_OK, "9780441172719" },
	/* 2: X in its forms and in wrong places */
	{ "080442957x", BF_ISBN_OK, "9780804429573" },
	{ "080442957\xD0\xA5", BF_ISBN_OK, "9780804429573" },
	{ "080442957\xD1\x85", BF_ISBN_OK, "9780804429573" },
	{ "08044X9573", BF_ISBN_CHECK, NULL },
	/* 3: labels and remarks */
	{ "ISBN 0441172717", BF_ISBN_OK, "9780441172719" },
	{ "ISBN-13: 978-0-441-17271-9", BF_ISBN_OK, "9780441172719" },
	{ "ISBN-13 9780441172719", BF_ISBN_OK, "9780441172719" },
	{ "isbn:0441172717", BF_ISBN_OK, "9780441172719" },
	{ "urn:isbn:0441172717", BF_ISBN_OK, "9780441172719" },
	{ "ISBN-10: 0-441-17271-7", BF_ISBN_OK, "9780441172719" },
	{ "ISBN139780441172719", BF_ISBN_OK, "9780441172719" },
	{ "9780441172719 (pbk.) : $12.95", BF_ISBN_OK, "9780441172719" },
	{ "0441172717 v. 1", BF_ISBN_OK, "9780441172719" },
	{ "hardcover 0441172717", BF_ISBN_OK, "9780441172719" },
	{ "box 0441172717", BF_ISBN_OK, "9780441172719" },
	/* 4 and 5: SBN, lost zeros, spreadsheets */
	{ "441172717", BF_ISBN_OK, "9780441172719" },
	{ "SBN 441-17271-7", BF_ISBN_OK, "9780441172719" },
	{ "441172718", BF_ISBN_CHECK, NULL },
	{ "9.78044E+12", BF_ISBN_JUNK, NULL },
	{ "2023-01-15", BF_ISBN_LENGTH, NULL },
	{ "OCLC 441172717", BF_ISBN_LENGTH, NULL },
	/* 6: price add-ons and trade units */
	{ "978044117271951299", BF_ISBN_OK, "9780441172719" },
	{ "9780441172719 51299", BF_ISBN_OK, "9780441172719" },
	{ "978044117271912", BF_ISBN_OK, "9780441172719" },
	{ "19780441172716", BF_ISBN_OK, "9780441172719" },
	{ "19780441172717", BF_ISBN_CHECK, NULL },
	/* 7: other articles, wrong check digits */
	{ "5901234123457", BF_ISBN_PREFIX, NULL },
	{ "036000291452", BF_ISBN_LENGTH, NULL },
	{ "9780553418027", BF_ISBN_CHECK, NULL },
	{ "9790060115615", BF_ISBN_PREFIX, NULL },
	{ "9780441172718", BF_ISBN_CHECK, NULL },
	{ "12345", BF_ISBN_LENGTH, NULL },
	{ "97804411727190", BF_ISBN_PREFIX, NULL },
	/* 8: ten wrong digits are no clipped ISBN-13, unless they say so */
	{ "0316769488", BF_ISBN_CHECK, NULL },
	{ "ISBN-13: 0316769488", BF_ISBN_OK, "9780316769488" },
	/* 9: ASINs */
	{ "B000FC1PWA", BF_ISBN_LENGTH, NULL },
	{ "B0441172717", BF_ISBN_LENGTH, NULL },
	/* 10: several in one text; thirteen digits win */
	{ "0441172717; 9780306406157", BF_ISBN_OK, "9780306406157" },
	{ "0441172717 9780441172719", BF_ISBN_OK, "9780441172719" },
	{ "9780441172718 | 0441172717", BF_ISBN_OK, "9780441172719" },
	{ "0316769488/0441172717", BF_ISBN_OK, "9780441172719" },
	/* formally valid, yet nothing */
	{ "0000000000", BF_ISBN_JUNK, NULL },
	{ "8888888888", BF_ISBN_JUNK, NULL },
	{ "9780000000002", BF_ISBN_JUNK, NULL },
	{ "123456789X", BF_ISBN_JUNK, NULL },
	{ "9781234567897", BF_ISBN_JUNK, NULL },
	{ "9788888888880", BF_ISBN_JUNK, NULL },
	{ "", BF_ISBN_EMPTY, NULL },
	{ " \t\n", BF_ISBN_EMPTY, NULL },
	{ "unknown", BF_ISBN_JUNK, NULL },
	{ "ISBN:", BF_ISBN_JUNK, NULL },
	{ "\xFF\xFE"
	  "0441172717",
	  BF_ISBN_OK, "9780441172719" },
};

/* Each text gives its number or its reason, and a refusal leaves the result alone. */
static void canonical_or_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < BF_COUNT(cases); i++) {
		char isbn[14] = "untouched";
		enum bf_isbn_result got = bf_isbn_canon(cases[i].text, strlen(cases[i].text), isbn);

		if (got != cases[i].result)
			fail_msg("\"%s\": result %d, not %d", cases[i].text, (int)got,
				 (int)cases[i].result);
		assert_string_equal(isbn, cases[i].isbn != NULL ? cases[i].isbn : "untouched");
	}
}

/* The length counts, not a NUL: what follows is not read; a very long text is cut, not run over. */
static void length_is_kept(void **state)
{
	char isbn[14], text[4000];

	(void)state;
	assert_int_equal(bf_isbn_canon("0441172717999", 10, isbn), BF_ISBN_OK);
	assert_string_equal(isbn, "9780441172719");
	memset(text, '9', sizeof(text));
	assert_int_not_equal(bf_isbn_canon(text, sizeof(text), isbn), BF_ISBN_OK);
	memset(text, ' ', sizeof(text));
	memcpy(text + 3000, "0441172717", 10);
	assert_int_equal(bf_isbn_canon(text, sizeof(text), isbn), BF_ISBN_OK);
	assert_int_equal(bf_isbn_canon(NULL, 0, isbn), BF_ISBN_EMPTY);
}

/* Every wrong digit and every exchange of unequal neighbours in an ISBN-10 is noticed: its rule is
 * strong enough. */
static void single_errors_are_noticed(void **state)
{
	char isbn[14], text[11];

	(void)state;
	for (int at = 0; at < 10; at++) {
		for (char c = '0'; c <= '9'; c++) {
			memcpy(text, "0441172717", 11);
			if (text[at] == c)
				continue;
			text[at] = c;
			assert_int_equal(bf_isbn_canon(text, 10, isbn), BF_ISBN_CHECK);
		}
	}
}

/* 978 converts back; 979 has no ISBN-10; nonsense converts to nothing. */
static void back_to_ten(void **state)
{
	const char cut[14] = "97808044";
	char ten[11];

	(void)state;
	assert_true(bf_isbn10_from13("9780804429573", ten));
	assert_string_equal(ten, "080442957X");
	assert_true(bf_isbn10_from13("9780316769488", ten));
	assert_string_equal(ten, "0316769487");
	assert_false(bf_isbn10_from13("9791090636071", ten));
	assert_false(bf_isbn10_from13("978080442957X", ten));
	assert_false(bf_isbn10_from13(cut, ten));
}

/* The block of mixed-up records is marked, its neighbours are not. */
static void suspect_block(void **state)
{
	(void)state;
	assert_true(bf_isbn_suspect("9780000000057"));
	assert_false(bf_isbn_suspect("9780007113804"));
	assert_false(bf_isbn_suspect("9780441172719"));
}

/* All 28 hyphenations, all different, all the same digits, and the plain form first. */
static void spellings(void **state)
{
	char row[BF_ISBN_SPELLINGS][18];
	bool usual = false;

	(void)state;
	bf_isbn_spellings("9780441172719", row);
	assert_string_equal(row[0], "9780441172719");
	for (size_t i = 1; i < BF_ISBN_SPELLINGS; i++) {
		char isbn[14];

		assert_int_equal(strlen(row[i]), 17);
		assert_int_equal(bf_isbn_canon(row[i], 17, isbn), BF_ISBN_OK);
		assert_string_equal(isbn, "9780441172719");
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(row[i], row[j]);
		usual = usual || strcmp(row[i], "978-0-441-17271-9") == 0;
	}
	assert_true(usual);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(canonical_or_refused), cmocka_unit_test(length_is_kept),
		cmocka_unit_test(single_errors_are_noticed), cmocka_unit_test(back_to_ten),
		cmocka_unit_test(suspect_block), cmocka_unit_test(spellings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
