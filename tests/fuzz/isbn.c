/*
 * isbn: any text. What is taken for an ISBN is one by its check digit, stays the same when read again, and every spelling
 * of it leads back.
 */
#include "fuzz.h"
#include "backfill/books.h"

static void check_digit(const char isbn[14])
{
	int sum = 0;

	FUZZ_CHECK(strspn(isbn, "0123456789") == 13 && isbn[13] == '\0');
	FUZZ_CHECK(strncmp(isbn, "978", 3) == 0 || strncmp(isbn, "979", 3) == 0);
	for (int i = 0; i < 13; i++)
		sum += (isbn[i] - '0') * (i % 2 == 0 ? 1 : 3);
	FUZZ_CHECK(sum % 10 == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char isbn[14] = "", again[14], ten[11], spelt[BF_ISBN_SPELLINGS][18];
	enum bf_isbn_result result = bf_isbn_canon((const char *)data, size, isbn);

	FUZZ_CHECK(result <= BF_ISBN_JUNK);
	if (result != BF_ISBN_OK)
		return 0;
	check_digit(isbn);
	FUZZ_CHECK(bf_isbn_canon(isbn, 13, again) == BF_ISBN_OK && strcmp(isbn, again) == 0);
	if (bf_isbn10_from13(isbn, ten))
		FUZZ_CHECK(bf_isbn_canon(ten, 10, again) == BF_ISBN_OK && strcmp(isbn, again) == 0);
	bf_isbn_spellings(isbn, spelt);
	for (int i = 0; i < BF_ISBN_SPELLINGS; i++)
		FUZZ_CHECK(bf_isbn_canon(spelt[i], strlen(spelt[i]), again) == BF_ISBN_OK && strcmp(isbn, again) == 0);
	bf_isbn_suspect(isbn);
	return 0;
}
