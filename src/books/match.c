/*
 * match: is a provider's search result the wanted book?
 *
 * Title and author decide; year, publisher, place in the author list and the shape of the ISBN only
 * shift the figure. A wrong ISBN is worse than none, so everything that is known to travel under a
 * book's title is refused: summaries, guides, workbooks, sets, large print, other languages,
 * sequels, other volumes, other people's books of the same name.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "backfill/books.h"
#include "names.h"
#include "title.h"
#include "words.h"

#define SIMILARITY 0.60		/* what differing subtitles must share */
#define AUTHOR_LEAST 70
#define NO_AUTHOR_MAX 60 /* a record without authors stays under any sensible threshold ... */
#define NO_AUTHOR_SURE 72	/* ... unless its title is long, exact and of the right year */

/* The wanted book, taken apart once for all its results. */
struct wanted {
	const struct bf_book *book;
	struct title title;
	struct names names;
	unsigned languages;	/* 0 when nothing is said */
};

/* Kinds for which a title without them is another book too. */
static const unsigned kinds_both_ways = KIND_SUMMARY | KIND_GUIDE | KIND_WORKBOOK | KIND_SET |
					KIND_JOURNAL | KIND_SAMPLE;

/* Kinds which the binding, the publisher or the blurb tell. */
static unsigned kinds_beside_title(const struct bf_record *r)
{
	static const char *const houses[] = {
		"sparknotes",  "instaread",	   "supersummary",     "bookrags", "cliffsnotes",
		"gradesaver",  "brightsummaries",  "bright summaries", "joosr",	   "bookhabits",
		"worth books", "shortcut edition", "summareads"
	};
	static const char *const blurbs[] = { "not the original book", "unofficial summary",
					      "this is a summary",     "this summary",
					      "is a summary of",       "independent companion" };
	unsigned kinds = 0;
	char text[BF_KEY_MAX];

	if (r->binding != NULL) {
		if (strcasestr(r->binding, "large print") != NULL ||
		    strcasestr(r->binding, "large type") != NULL ||
		    strcasestr(r->binding, "braille") != NULL)
			kinds |= KIND_LARGE_PRINT;
		if (strcasestr(r->binding, "calendar") != NULL ||
		    strcasestr(r->binding, "diary") != NULL ||
		    strcasestr(r->binding, "journal") != NULL ||
		    strcasestr(r->binding, "sheet music") != NULL ||
		    strcasestr(r->binding, "cards") != NULL)
			kinds |= KIND_JOURNAL;
		if (strcasestr(r->binding, "boxed") != NULL ||
		    strcasestr(r->binding, "box set") != NULL)
			kinds |= KIND_SET;
	}
	if (r->publisher != NULL) {
		bf_fold(r->publisher, text, sizeof(text));
		for (size_t i = 0; i < BF_COUNT(houses); i++)
			if (strstr(text, houses[i]) != NULL)
				kinds |= KIND_SUMMARY;
		if (strstr(text, "large print") != NULL || strstr(text, "thorndike") != NULL)
			kinds |= KIND_LARGE_PRINT;
	}
	for (size_t i = 0; r->description != NULL && i < BF_COUNT(blurbs); i++) {
		const char *at = strcasestr(r->description, blurbs[i]);

		if (at != NULL && at - r->description < 600)
			kinds |= KIND_SUMMARY;
	}
	return kinds;
}

/* The kinds by which the two differ; 0 when they are of one kind. */
static unsigned kinds_differ(const struct wanted *w, const struct bf_record *r,
			     const struct title *title, bool same_words)
{
	unsigned wanted = kinds_of_title(&w->title),
		 kinds = kinds_of_title(title) | kinds_beside_title(r);
	unsigned differ = kinds & ~wanted;

	if (same_words)			/* with or without `The` before `Return of ...` */
		differ &= ~(unsigned)KIND_SEQUEL;
	/* someone who wants the comic gets it with or without the words */
	if (w->book->format != NULL && (strcasestr(w->book->format, "graphic") != NULL ||
					strcasestr(w->book->format, "comic") != NULL ||
					strcasestr(w->book->format, "manga") != NULL))
		differ &= ~(unsigned)KIND_ADAPTATION;
	return differ | (wanted & ~kinds & kinds_both_ways);
}

/* Is the record in a language the wanted book may be in? */
static bool language_fits(const struct wanted *w, const struct bf_record *r)
{
	unsigned languages = language_of_title(r->title), guess;

	if (languages == 0)
		languages = language_of_text(r->language);
	if (languages == 0)
		return true;
	if (w->languages != 0)
		return (languages & w->languages) != 0;
	if ((languages & LANG_ENGLISH) != 0 || !language_is_latin(w->book->title))
		return true;
	/* letters which English has not, and no words which only English has: any language may be
	 * meant */
	guess = language_guess(w->book->title);
	if ((guess & LANG_ENGLISH) != 0)
		return false;
	return (guess & languages) != 0 || (guess == 0 && !w->title.ascii);
}

/* Takes words [from, to) out of the counting words of a title. */
static void drop_words(struct title *t, unsigned from, unsigned to)
{
	unsigned n = to - from;

	memmove(t->seq + from, t->seq + to, (size_t)(t->n_all - to));
	for (unsigned p = 1; p < t->n_parts; p++)
		if (t->part_start[p] >= to)
			t->part_start[p] = (uint8_t)(t->part_start[p] - n);
	t->n_all = (uint8_t)(t->n_all - n);
	if (t->n_main >= to)
		t->n_main = (uint8_t)(t->n_main - n);
}

/* Takes the author's name off `Dune by Frank Herbert` and `Dune / Frank Herbert`. */
static void strip_author(struct title *t, const char *author)
{
	char tail[BF_KEY_MAX];

	for (unsigned i = 1; i + 1u < t->n_main; i++) {
		size_t len;
		const char *w = title_word_at(t, t->seq[i], &len);

		if (!words_is(w, len, "by"))
			continue;
		title_join(t, i + 1u, t->n_main, tail, sizeof(tail));
		if (bf_author_similarity(tail, author) < 90)
			continue;
		drop_words(t, i, t->n_main);
		return;
	}
	if (t->joined && t->n_parts > 1) {
		unsigned start = t->part_start[t->n_parts - 1];

		title_join(t, start, t->n_all, tail, sizeof(tail));
		if (bf_author_similarity(tail, author) < 90)
			return;
		drop_words(t, start, t->n_all);
		t->n_parts--;
		t->joined = t->n_parts > 1;
	}
}

/* Takes the wanted book apart. */
static void wanted_init(struct wanted *w, const struct bf_book *book)
{
	w->book = book;
	title_parse(&w->title, book->title, book->subtitle);
	names_parse(&w->names, book->author);
	strip_author(&w->title, book->author);
	w->languages = language_of_text(book->language);
	if (w->languages == 0)
		w->languages = language_of_title(book->title);
}

/* Words of four letters or more, or of another script. */
static unsigned significant_words(const struct title *t)
{
	unsigned n = 0;

	for (unsigned i = 0; i < t->n_all; i++) {
		size_t len;
		const char *w = title_word_at(t, t->seq[i], &len);

		n += len >= 4 || (unsigned char)w[0] >= 0x80;
	}
	return n;
}

/* What the years say: the record is an edition, so a later one is nothing, a much earlier one a
 * little odd. */
static int year_nudge(int wanted, int record)
{
	int later = record - wanted;

	if (wanted == 0 || record == 0)
		return 0;
	if (later >= -1 && later <= 1)
		return 3;
	if (later < -3)
		return -4;
	return later > 10 ? -1 : 0;
}

/* Is one name part of the other? `Ace`, `Ace Books`. */
static bool same_publisher(const char *a, const char *b)
{
	char ka[BF_KEY_MAX], kb[BF_KEY_MAX];

	if (a == NULL || b == NULL)
		return false;
	bf_fold(a, ka, sizeof(ka));
	bf_fold(b, kb, sizeof(kb));
	return ka[0] != '\0' && kb[0] != '\0' && (strstr(ka, kb) != NULL || strstr(kb, ka) != NULL);
}

/* A record that names no author. */
static int score_without_author(const struct wanted *w, const struct bf_record *r,
				const struct title *title, int title_score)
{
	bool year = w->book->year != 0 && r->year != 0 && abs(w->book->year - r->year) <= 1;

	if (title_score >= 98 && year && significant_words(&w->title) >= 4 &&
	    significant_words(title) >= 4)
		return NO_AUTHOR_SURE;
	return title_score * NO_AUTHOR_MAX / 100;
}

/* Notes the reason, for those who asked for it; returns 0. */
static int no_match(char why[64], const char *reason)
{
	if (why != NULL)
		snprintf(why, 64, "%s", reason);
	return 0;
}

/* Brings title, author and the small signs together. */
static int combine(const struct wanted *w, const struct bf_record *r, int title, int author,
		   bool first)
{
	int lower = title < author ? title : author, score = (lower * 2 + title + author) / 4;

	score += year_nudge(w->book->year, r->year);
	if (same_publisher(w->book->publisher, r->publisher))
		score += 2;
	if (!first)
		score -= 2;
	if (r->isbn13 != NULL && bf_isbn_suspect(r->isbn13))
		score -= 8;
	if (w->book->isbn13 != NULL && r->isbn13 != NULL && strcmp(w->book->isbn13, r->isbn13) == 0)
		score += 3;
	return score > 100 ? 100 : score < 0 ? 0 : score;
}

/* Judges one record. */
static int confidence(const struct wanted *w, const struct bf_record *r, char why[64])
{
	struct title title;
	struct names names;
	const char *reason;
	unsigned kinds;
	int title_score, author_score;
	bool first;

	if (r->title == NULL)
		return no_match(why, "no title");
	title_parse(&title, r->title, r->subtitle);
	strip_author(&title, w->book->author);
	title_score = relate_titles(&w->title, &title, SIMILARITY, true, &reason);
	if (title_score == 0)
		return no_match(why, reason);
	kinds = kinds_differ(w, r, &title, strcmp(reason, "title") == 0);
	if (kinds != 0)
		return no_match(why, kinds_name(kinds));
	if (!language_fits(w, r))
		return no_match(why, "language");
	names_parse(&names, r->authors);
	if (title.edition > 0 && w->title.edition > 0 && title.edition != w->title.edition)
		title_score -= 45;
	if (names.n == 0 || w->names.n == 0) {
		no_match(why, "no author to compare");
		return score_without_author(w, r, &title, title_score);
	}
	author_score = names_similarity(&w->names, &names, &first);
	if (author_score < AUTHOR_LEAST)
		return no_match(why, "author");
	no_match(why, title_score <= author_score ? reason : "author nearly");
	return combine(w, r, title_score, author_score, first);
}

int bf_match_confidence(const struct bf_book *wanted, const struct bf_record *record, char why[64])
{
	struct wanted w;

	wanted_init(&w, wanted);
	return confidence(&w, record, why);
}

/* Is record a a better hit than b at the same confidence? */
static bool better_tie(const struct bf_book *wanted, const struct bf_record *a,
		       const struct bf_record *b)
{
	bool suspect_a = bf_isbn_suspect(a->isbn13), suspect_b = bf_isbn_suspect(b->isbn13);
	int far_a = wanted->year != 0 && a->year != 0 ? abs(wanted->year - a->year) : 1000;
	int far_b = wanted->year != 0 && b->year != 0 ? abs(wanted->year - b->year) : 1000;

	return suspect_a != suspect_b ? suspect_b : far_a < far_b;
}

int bf_match_best(const struct bf_book *wanted, const struct bf_record *records, size_t n,
		  int *ret_confidence)
{
	struct wanted w;
	int best = -1, best_score = 0;

	*ret_confidence = 0;
	wanted_init(&w, wanted);
	for (size_t i = 0; i < n; i++) {
		int score;

		if (records[i].isbn13 == NULL)
			continue;
		score = confidence(&w, &records[i], NULL);
		if (score > best_score || (score == best_score && score > 0 &&
					   better_tie(wanted, &records[i], &records[best]))) {
			best = (int)i;
			best_score = score;
		}
	}
	*ret_confidence = best_score;
	return best;
}
