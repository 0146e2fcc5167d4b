/*
 * parts: what one part of a title says: words that count, or a place in a series, a volume, an
 * edition.
 *
 * What is in doubt stays a word of the title: a word too many makes two books of one, which costs a
 * look-up; a word too few makes one of two, which costs a book.
 */
#include <string.h>
#include <strings.h>
#include "backfill/books.h"
#include "fold.h"
#include "title.h"
#include "words.h"

static const char ordinals[] =
	"first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth";

/* Adjectives before the word edition. */
static const char edition_words[] = "edition ed deluxe revised expanded updated illustrated "
				    "special collectors collector international paperback "
				    "hardcover kindle ebook audio audiobook movie film tv tie in "
				    "unabridged abridged reprint reissue reissued classic "
				    "classics library limited anniversary large print young "
				    "readers annotated enhanced digital premium complete uncut "
				    "uk us spanish french german italian english new the and "
				    "exclusive signed student teachers export centenary global "
				    "trade mass market first second third fourth fifth sixth "
				    "seventh eighth ninth tenth st nd rd th media definitive "
				    "restored authorized original pocket gift";

/* Folds a span into words of the title; returns how many there are. */
unsigned parts_words(struct title *t, const char *s, size_t n)
{
	size_t off = t->text_len, room = sizeof(t->text) - t->text_len, len;
	unsigned count = 0;

	if (room < 8)
		return 0;
	len = fold_span(s, n, t->text + off, room);
	for (size_t at = 0; at < len && t->n_words < TITLE_WORDS_MAX;) {
		size_t w = words_len(t->text + off + at);

		t->word[t->n_words++] = (struct title_word){ (uint16_t)(off + at), (uint16_t)w };
		count++;
		at += w + 1;
	}
	t->text_len = off + len + 1;
	if (t->text_len > sizeof(t->text))
		t->text_len = sizeof(t->text);
	return count;
}

/* Is it this word? */
static bool word_is(const struct title *t, unsigned i, const char *word)
{
	return words_is(t->text + t->word[i].off, t->word[i].len, word);
}

/* Is it one of the list? */
static bool word_in(const struct title *t, unsigned i, const char *list)
{
	return words_in(t->text + t->word[i].off, t->word[i].len, list);
}

/* Value of a number or number word, 0 if none. */
static int word_number(const struct title *t, unsigned i)
{
	return words_number(t->text + t->word[i].off, t->word[i].len);
}

/* The number after a word like `volume`, where one Roman letter counts too. */
static int marked_number(const struct title *t, unsigned i)
{
	int n = word_number(t, i);

	return n > 0 ? n : words_roman(t->text + t->word[i].off, t->word[i].len);
}

/* 3 of `third` and `3rd`, 0 if none. */
static int ordinal(const struct title *t, unsigned i)
{
	const char *p = ordinals, *w = t->text + t->word[i].off;
	size_t len = t->word[i].len;
	int n = 1;

	for (; *p != '\0'; n++) {
		size_t l = words_len(p);

		if (l == len && memcmp(p, w, l) == 0)
			return n;
		p += l + (p[l] == ' ');
	}
	if (len > 2 && len < 6 && w[0] >= '1' && w[0] <= '9' &&
	    (memcmp(w + len - 2, "th", 2) == 0 || memcmp(w + len - 2, "st", 2) == 0 ||
	     memcmp(w + len - 2, "nd", 2) == 0 || memcmp(w + len - 2, "rd", 2) == 0))
		return words_number(w, len - 2);
	return 0;
}

/* Words that number parts of one work. */
static bool is_volume_word(const struct title *t, unsigned i)
{
	return word_in(t, i, "vol volume vols part pt tome band tomo teil bd");
}

/* Words that number books of a series. */
static bool is_book_word(const struct title *t, unsigned i)
{
	return word_in(t, i, "book bk no number issue episode libro livre buch novel");
}

/* Does the span hold 1-3, as in `Books 1-3` or `#1-3`? Years (1977-2002) and single decimals (#1.5)
 * are none. */
static bool has_range(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned from = 0, to = 0;
		size_t at = i;

		if (s[i] < '0' || s[i] > '9' ||
		    (i > 0 && ((s[i - 1] >= '0' && s[i - 1] <= '9') || s[i - 1] == '.')))
			continue;
		while (at < n && s[at] >= '0' && s[at] <= '9' && at < i + 4)
			from = from * 10 + (unsigned)(s[at++] - '0');
		while (at < n && s[at] == ' ')
			at++;
		if (at >= n || s[at] != '-')
			continue;
		at++;
		while (at < n && (s[at] == ' ' || s[at] == '#'))
			at++;
		for (size_t end = at + 4; at < n && at < end && s[at] >= '0' && s[at] <= '9'; at++)
			to = to * 10 + (unsigned)(s[at] - '0');
		if (from > 0 && from < to && to < 100)
			return true;
	}
	return false;
}

/* Takes `3rd edition`, `deluxe edition`, `large print` off the end of a part; returns the words
 * left. */
static unsigned trim_edition(struct title *t, unsigned first, unsigned n)
{
	unsigned keep = n, at = n;

	if (n >= 2 && (word_is(t, first + n - 1, "edition") || word_is(t, first + n - 1, "ed"))) {
		while (at > 0 && (word_in(t, first + at - 1, edition_words) ||
				  ordinal(t, first + at - 1) > 0)) {
			at--;
			if (ordinal(t, first + at) > 0 &&
			    !word_is(t, first + at + 1, "anniversary"))
				t->edition = ordinal(t, first + at);
		}
		keep = at;
	} else if (n >= 3 && word_is(t, first + n - 2, "edition") &&
		   word_number(t, first + n - 1) > 0) {
		t->edition = word_number(t, first + n - 1);
		keep = n - 2;
	} else if (n >= 2 && word_is(t, first + n - 2, "large") &&
		   word_is(t, first + n - 1, "print")) {
		keep = n - 2;
	} else if (n >= 3 && word_is(t, first + n - 2, "tie") && word_is(t, first + n - 1, "in")) {
		keep = n - 2;
		if (word_in(t, first + keep - 1, "movie film tv media"))
			keep--;
	}
	return keep;
}

/* Takes `a novel`, `a memoir` off the end of an unpunctuated main title. */
static unsigned trim_genre(const struct title *t, unsigned first, unsigned n)
{
	if (n >= 3 &&
	    word_in(t, first + n - 1, "novel memoir thriller romance mystery biography novella") &&
	    word_in(t, first + n - 2, "a") &&
	    !word_in(t, first + n - 3, "of in for to with from as is was into like on"))
		return n - 2;
	return n;
}

/* Notes a number; a firm one wins over a place in a series. */
static void set_volume(struct title *t, int volume, bool firm)
{
	if (t->volume_firm && firm && volume != t->volume && t->volume_part == 0)
		t->volume_part = volume;	/* `Henry IV, Part Two` */
	if (volume > 0 && (t->volume == 0 || (firm && !t->volume_firm))) {
		t->volume = volume;
		t->volume_firm = firm;
	}
}

/* Takes `Vol. 9`, `Book Two`, `Parts 1 & 2` or a bare number off the end; returns the words left.
 */
static unsigned trim_volume(struct title *t, unsigned first, unsigned n, bool main)
{
	unsigned last = first + n - 1;

	if (n >= 4 && word_is(t, last - 3, "parts") && word_is(t, last - 1, "and"))
		return n - 4;		/* both parts in one: the whole again */
	if (n >= 3 && marked_number(t, last) > 0 &&
	    (is_volume_word(t, last - 1) || is_book_word(t, last - 1))) {
		set_volume(t, marked_number(t, last), main || is_volume_word(t, last - 1));
		return n - 2;
	}
	if (main && n >= 2 && word_number(t, last) > 0 && t->text[t->word[last].off] != '0') {
		set_volume(t, word_number(t, last), true);
		return n - 1;
	}
	return n;
}

/* `Book One of The Stormlight Archive`, `The Second Novel in the X Series`: a remark, not a
 * subtitle. */
static bool is_series_remark(struct title *t, unsigned first, unsigned n)
{
	unsigned at = first, end = first + n;
	int number;

	if (at < end && word_is(t, at, "the"))
		at++;
	if (end - at >= 3 && is_book_word(t, at) && marked_number(t, at + 1) > 0) {
		number = marked_number(t, at + 1);
		at += 2;
	} else if (end - at >= 3 && ordinal(t, at) > 0 &&
		   word_in(t, at + 1, "book novel volume instalment installment")) {
		number = ordinal(t, at);
		at += 2;
	} else {
		return false;
	}
	if (at >= end || !word_in(t, at, "of in from"))
		return false;
	set_volume(t, number, false);
	t->series_numbered = true;
	at++;
	if (at < end && word_is(t, at, "the"))
		at++;
	if (t->n_series == 0)
		while (at < end && t->n_series < TITLE_WORDS_MAX)
			t->series[t->n_series++] = (uint8_t)at++;
	return true;
}

/* A part that is nothing but a number: `Volume 2`, `Book Two`, `2`. */
static bool is_bare_volume(struct title *t, unsigned first, unsigned n)
{
	if (n == 1 && word_number(t, first) > 0 && t->text[t->word[first].off] <= '9' &&
	    !t->volume_firm) {
		set_volume(t, word_number(t, first), false);
		return true;
	}
	if (n != 2 || marked_number(t, first + 1) == 0)
		return false;
	if (is_volume_word(t, first)) {
		set_volume(t, marked_number(t, first + 1), true);
		return true;
	}
	if (is_book_word(t, first)) {
		set_volume(t, marked_number(t, first + 1), t->volume_firm);
		return true;
	}
	return false;
}

/* Where the number in a note stands: behind `Book` or the like, else at its end (`The 39 Clues
 * #3`); n if nowhere. */
static unsigned note_number(const struct title *t, unsigned first, unsigned n)
{
	for (unsigned i = 1; i < n; i++)
		if ((is_book_word(t, first + i - 1) || is_volume_word(t, first + i - 1)) &&
		    marked_number(t, first + i) > 0)
			return i;
	if (t->text[t->word[first + n - 1].off] > '9' || word_number(t, first + n - 1) == 0)
		return n;
	/* #1.5 stands between two volumes and is neither */
	return n >= 2 && t->text[t->word[first + n - 2].off] <= '9' &&
			       word_number(t, first + n - 2) > 0 ?
		       n :
		       n - 1;
}

/* `(Dune Chronicles, Book 1)`: its name and number. */
static void read_note(struct title *t, unsigned first, unsigned n)
{
	unsigned at, name = n;

	if (n == 0 || trim_edition(t, first, n) == 0)
		return;
	at = note_number(t, first, n);
	if (at < n) {
		bool marked = at > 0 && (is_book_word(t, first + at - 1) ||
					 is_volume_word(t, first + at - 1));

		set_volume(t, marked_number(t, first + at),
			   n == 2 && at == 1 && is_volume_word(t, first));
		t->series_numbered = true;
		name = marked ? at - 1 : at;
	} else if (n > 5) {
		return;			/* more likely a remark than a series */
	}
	if (t->n_series > 0)
		return;
	for (unsigned i = 0; i < name && t->n_series < TITLE_WORDS_MAX; i++)
		if (!(i == 0 && word_is(t, first, "the")))
			t->series[t->n_series++] = (uint8_t)(first + i);
}

/* Does the part say again what the one before said? */
static bool equals_last_part(const struct title *t, unsigned first, unsigned n)
{
	unsigned start = t->part_start[t->n_parts - 1];

	if (t->n_all - start != n)
		return false;
	for (unsigned i = 0; i < n; i++) {
		const struct title_word *a = &t->word[t->seq[start + i]], *b = &t->word[first + i];

		if (a->len != b->len || memcmp(t->text + a->off, t->text + b->off, a->len) != 0)
			return false;
	}
	return true;
}

void parts_push(struct title *t, unsigned first, unsigned n)
{
	if (n == 0 || t->n_parts == TITLE_PARTS_MAX)
		return;
	t->part_start[t->n_parts++] = t->n_all;
	for (unsigned i = 0; i < n && t->n_all < TITLE_WORDS_MAX; i++)
		t->seq[t->n_all++] = (uint8_t)(first + i);
	if (t->n_parts == 1)
		t->n_main = t->n_all;
}

/* Folds one part and files it where it belongs. */
void parts_add(struct title *t, const char *s, size_t len, enum part_kind kind)
{
	unsigned first = t->n_words, n, left;
	bool main = kind != PART_NOTE && t->n_parts == 0, the_end = false;

	if (main) {
		while (len > 0 && s[len - 1] == ' ')
			len--;
		the_end = (len > 5 && strncasecmp(s + len - 5, ", the", 5) == 0) ||
			  (len > 4 && strncasecmp(s + len - 4, ", an", 4) == 0) ||
			  (len > 3 && strncasecmp(s + len - 3, ", a", 3) == 0);
	}
	n = parts_words(t, s, len);
	if (n == 0)
		return;
	if (has_range(s, len))
		for (unsigned i = first; i < first + n; i++)
			if (kind == PART_NOTE ||
			    word_in(t, i, "books volumes vols parts collection nos issues"))
				t->range = true;
	if (kind == PART_NOTE) {
		read_note(t, first, n);
		return;
	}
	if (!main) {
		if (is_bare_volume(t, first, n) || is_series_remark(t, first, n) ||
		    kinds_part_is_generic(t, first, n))
			return;
		if (n >= 3 && (is_volume_word(t, first) || is_book_word(t, first)) &&
		    marked_number(t, first + 1) > 0) {
			set_volume(t, marked_number(t, first + 1), is_volume_word(t, first));
			first += 2;
			n -= 2;
		}
		n = trim_edition(t, first, n);
		n = n > 0 ? trim_volume(t, first, n, false) : 0;
		if (!equals_last_part(t, first, n))
			parts_push(t, first, n);
		return;
	}
	if (the_end && n > 1)
		n--;
	left = trim_edition(t, first, n);
	n = left > 0 ? left : n;
	n = trim_genre(t, first, n);
	if (n > 1 && words_is_article(t->text + t->word[first].off, t->word[first].len)) {
		first++;
		n--;
	}
	parts_push(t, first, trim_volume(t, first, n, true));
}

/* A number without a series' name, or under the title's own name, is the title's. */
void parts_settle_volume(struct title *t)
{
	bool own = t->n_series == t->n_main && t->n_parts == 1;

	if (t->volume <= 1 || t->volume_firm)
		return;
	for (unsigned i = 0; own && i < t->n_series; i++) {
		const struct title_word *a = &t->word[t->series[i]], *b = &t->word[t->seq[i]];

		own = a->len == b->len && memcmp(t->text + a->off, t->text + b->off, a->len) == 0;
	}
	t->volume_firm = own || t->n_series == 0;
}
