/*
 * books: any text as an AI's answer. Books have a title, an author and valid text; an answer that says no has its words.
 */
#include "fuzz.h"
#include "backfill/books.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bf_arena *arena = bf_arena_new();
	struct bf_book_list list;

	bf_books_read((const char *)data, size, 2020, arena, &list);
	FUZZ_CHECK((unsigned)list.outcome <= BF_BOOKS_GARBAGE);
	FUZZ_CHECK((list.outcome == BF_BOOKS_OK) == (list.n > 0));
	for (size_t i = 0; i < list.n; i++) {
		const struct bf_book *b = &list.books[i];

		FUZZ_CHECK(b->title != NULL && b->title[0] != '\0' && b->author != NULL);
		fuzz_check_text(b->title);
		fuzz_check_text(b->subtitle);
		fuzz_check_text(b->author);
		fuzz_check_text(b->publisher);
		fuzz_check_text(b->significance);
		FUZZ_CHECK(b->isbn13 == NULL || strlen(b->isbn13) == 13);
	}
	fuzz_check_text(list.reason);
	FUZZ_CHECK(bf_books_dedup(list.books, list.n, 0.6) <= list.n);
	bf_arena_free(arena);
	return 0;
}
