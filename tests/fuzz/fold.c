/*
 * fold: titles and names as keys, lines of: title, author, another title, another author. Keys are UTF-8, bounded, stable
 * when made again; a book is the same as itself; likeness does not depend on the order.
 */
#include "fuzz.h"
#include "backfill/books.h"

static void check_keys(const char *text)
{
	char folded[BF_KEY_MAX], again[BF_KEY_MAX], title[BF_KEY_MAX], author[BF_KEY_MAX];

	bf_fold(text, folded, sizeof(folded));
	fuzz_check_text(folded);
	bf_title_key(text, title);
	fuzz_check_text(title);
	bf_author_key(text, author);
	fuzz_check_text(author);
	/* a key that was cut may be cut within a word */
	if (strlen(folded) < BF_KEY_MAX - 8) {
		bf_fold(folded, again, sizeof(again));
		FUZZ_CHECK(strcmp(folded, again) == 0);
	}
}

static void check_names(const char *text)
{
	struct bf_arena *arena = bf_arena_new();
	const char *names[8];
	size_t n = bf_author_split(text, arena, names, BF_COUNT(names));

	FUZZ_CHECK(n <= BF_COUNT(names));
	for (size_t i = 0; i < n; i++)
		fuzz_check_text(names[i]);
	bf_arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, size };
	char *text[4];
	struct bf_book a = { .generated_by = 1 }, b = { .generated_by = 2 }, both[2];
	double forth, back;
	int similar;

	if (!bf_utf8_valid((const char *)data, size))
		return 0;
	for (int i = 0; i < 4; i++) {
		text[i] = fuzz_line(&in);
		check_keys(text[i]);
		check_names(text[i]);
	}
	a.title = text[0], a.author = text[1], b.title = text[2], b.author = text[3];
	similar = bf_author_similarity(a.author, b.author);
	FUZZ_CHECK(similar >= 0 && similar <= 100 && similar == bf_author_similarity(b.author, a.author));
	forth = bf_key_similarity(a.title, b.title), back = bf_key_similarity(b.title, a.title);
	FUZZ_CHECK(forth >= 0 && forth <= 1 && forth == back);
	FUZZ_CHECK(bf_book_same(&a, &b, 0.6) == bf_book_same(&b, &a, 0.6));
	both[0] = a, both[1] = b;
	FUZZ_CHECK(bf_books_dedup(both, 2, 0.6) == (bf_book_same(&a, &b, 0.6) ? 1 : 2));
	for (int i = 0; i < 4; i++)
		free(text[i]);
	return 0;
}
