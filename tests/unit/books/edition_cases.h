/* One edition as a shop's service and as a library has it. */
#ifndef BOOKS_EDITION_CASES_H
#define BOOKS_EDITION_CASES_H
#include "merge_cases.h"

static const struct bf_record full = {
	.title = "Dune",
	.subtitle = "A Novel",
	.authors = "Frank Herbert",
	.publisher = "Ace",
	.language = "eng",
	.binding = "Mass Market Paperback",
	.date = "1990-09-01",
	.cover_url = "https://images.isbndb.com/covers/1.jpg",
	.provider_key = ISBN,
	.description = "Sand.",
	.subjects = "Fiction",
	.pages = 896,
	.isbn13 = ISBN,
};
static const struct bf_record library = {
	.title = "Dune (large)",
	.publisher = "Chilton",
	.date = "1965",
	.cover_url = "https://covers.openlibrary.org/b/id/1-L.jpg",
	.provider_key = "OL123M",
	.pages = 412,
	.isbn13 = ISBN,
};
#endif
