/*
 * dedup: which of the books that AIs named are one, and what is kept of each.
 *
 * A pair is one when it shares an author and its titles relate (relate.c); different kinds of book
 * (a summary, a set) never are. The same ISBN from a model is a hint only: it counts when the
 * titles are at least `similarity` alike, since models give one number to several books.
 */
#include <stdlib.h>
#include <string.h>
#include "backfill/books.h"
#include "names.h"
#include "title.h"

#define SAME_AUTHOR 80
#define SAME_TITLE 75

/* A book with what it is compared by. */
struct entry {
	struct title title;
	struct names names;
};

/* Takes a book apart. */
static void entry_init(struct entry *e, const struct bf_book *book)
{
	title_parse(&e->title, book->title, book->subtitle);
	names_parse(&e->names, book->author);
}

/* Titles that relate, or that are alike and carry one ISBN. */
static bool same_title(const struct entry *a, const struct entry *b, const char *isbn_a,
		       const char *isbn_b, double similarity)
{
	char ka[BF_KEY_MAX], kb[BF_KEY_MAX];
	const char *why;

	if (relate_titles(&a->title, &b->title, similarity, false, &why) >= SAME_TITLE)
		return true;
	if (isbn_a == NULL || isbn_b == NULL || strcmp(isbn_a, isbn_b) != 0 ||
	    a->title.volume != b->title.volume)
		return false;
	title_join(&a->title, 0, a->title.n_main, ka, sizeof(ka));
	title_join(&b->title, 0, b->title.n_main, kb, sizeof(kb));
	return bf_key_similarity(ka, kb) >= (similarity > 0.5 ? similarity : 0.5);
}

/* One author, one title, one kind of book. */
static bool same_entry(const struct entry *a, const struct entry *b, const char *isbn_a,
		       const char *isbn_b, double similarity)
{
	bool first;

	return names_similarity(&a->names, &b->names, &first) >= SAME_AUTHOR &&
	       same_title(a, b, isbn_a, isbn_b, similarity) &&
	       ((kinds_of_title(&a->title) ^ kinds_of_title(&b->title)) &
		~(unsigned)KIND_LARGE_PRINT) == 0;
}

bool bf_book_same(const struct bf_book *a, const struct bf_book *b, double similarity)
{
	struct entry ea, eb;

	entry_init(&ea, a);
	entry_init(&eb, b);
	return same_entry(&ea, &eb, a->isbn13, b->isbn13, similarity);
}

/* The subtitle inside `Title: Subtitle`, if the title has nothing else behind the colon. */
static const char *subtitle_in(const char *title)
{
	const char *colon = strstr(title, ": ");

	if (colon == NULL || strstr(colon + 2, ": ") != NULL || strchr(colon, '(') != NULL ||
	    strchr(colon, '[') != NULL)
		return NULL;
	return colon[2] != '\0' ? colon + 2 : NULL;
}

/* Takes over from b what a lacks. The title stays the first one's: shops and libraries find the
 * short form. */
static void merge(struct bf_book *a, const struct bf_book *b, const struct entry *ea,
		  const struct entry *eb)
{
	a->generated_by |= b->generated_by;
	if (a->subtitle == NULL && ea->title.n_all == ea->title.n_main &&
	    eb->title.n_all > eb->title.n_main)
		a->subtitle = b->subtitle != NULL ? b->subtitle : subtitle_in(b->title);
	/* more people, or the same people with more of their names */
	if (eb->names.n > ea->names.n ||
	    (eb->names.n == ea->names.n && eb->names.n > 0 &&
	     strlen(eb->names.name[0].key) > strlen(ea->names.name[0].key)))
		a->author = b->author;
	if (a->publisher == NULL)
		a->publisher = b->publisher;
	if (a->format == NULL)
		a->format = b->format;
	if (a->language == NULL)
		a->language = b->language;
	if (a->significance == NULL ||
	    (b->significance != NULL && strlen(b->significance) > strlen(a->significance)))
		a->significance = b->significance;
	if (a->isbn13 == NULL)
		a->isbn13 = b->isbn13;
	if (a->year == 0 || (a->year_differs && b->year != 0 && !b->year_differs)) {
		a->year = b->year;
		a->year_differs = b->year_differs;
	}
}

size_t bf_books_dedup(struct bf_book *books, size_t n, double similarity)
{
	struct entry *kept;
	size_t n_kept = 0;

	if (n < 2)
		return n;
	kept = bf_xcalloc(n, sizeof(*kept));
	for (size_t i = 0; i < n; i++) {
		struct entry *e = &kept[n_kept];
		size_t k = 0;

		entry_init(e, &books[i]);
		while (k < n_kept &&
		       !same_entry(&kept[k], e, books[k].isbn13, books[i].isbn13, similarity))
			k++;
		if (k == n_kept) {
			books[n_kept++] = books[i];
			continue;
		}
		merge(&books[k], &books[i], &kept[k], e);
		/* the fuller title speaks for both from now on: `Star Wars` must not collect every
		 * `Star Wars: ...` */
		if (e->title.n_all > kept[k].title.n_all)
			kept[k].title = e->title;
	}
	free(kept);
	return n_kept;
}
