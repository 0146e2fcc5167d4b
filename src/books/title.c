/*
 * title: takes a title apart into main title, subtitle, series note, volume and edition.
 *
 * Follows how catalogues and shops punctuate: `Main: Subtitle`, `Main - Subtitle`, `Main; or, Subtitle`,
 * `Main (Series, #2)`, `Main / by Author`, `Main, The`. What is in doubt stays a word of the title: a word too many
 * makes two books of one, which costs a look-up; a word too few makes one of two, which costs a book.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "backfill/books.h"
#include "fold.h"
#include "title.h"
#include "words.h"

#define RAW_MAX 1536

enum part_kind { PART_MAIN, PART_SUB, PART_NOTE };

static const char ordinals[] = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth";

/* Adjectives before the word edition. */
static const char edition_words[] =
	"edition ed deluxe revised expanded updated illustrated special collectors collector international paperback "
	"hardcover kindle ebook audio audiobook movie film tv tie in unabridged abridged reprint reissue reissued classic "
	"classics library limited anniversary large print young readers annotated enhanced digital premium complete uncut "
	"uk us spanish french german italian english new the and exclusive signed student teachers export centenary global "
	"trade mass market first second third fourth fifth sixth seventh eighth ninth tenth st nd rd th media definitive "
	"restored authorized original pocket gift";

/* Copies the title with entities decoded and punctuation of other scripts made plain. \1 stands for a long dash. */
static size_t raw_copy(const char *s, char *out, size_t size)
{
	size_t n = strlen(s), at = 0, len = 0;

	while (at < n && len + 5 < size) {
		int32_t cp;
		size_t used = fold_entity(s + at, n - at, &cp);
		char plain = 0;

		if (used == 0)
			used = fold_next(s + at, n - at, &cp);
		if (cp == '<' && at + 1 < n && (s[at + 1] == '/' || (s[at + 1] | 32) >= 'a')) {
			const char *end = memchr(s + at, '>', n - at < 24 ? n - at : 24);

			if (end != NULL) {		/* a tag */
				at = (size_t)(end - s) + 1;
				out[len++] = ' ';
				continue;
			}
		}
		switch (cp) {
		case 0xFF1A: plain = ':'; break;
		case 0xFF08: case 0x3010: case 0xFF3B: plain = '('; break;
		case 0xFF09: case 0x3011: case 0xFF3D: plain = ')'; break;
		case 0xFF1B: plain = ';'; break;
		case 0xFF0F: plain = '/'; break;
		case 0x2010: case 0x2011: case 0x2012: case 0x2013: case 0x2212: plain = '-'; break;
		case 0x2014: case 0x2015: plain = '\1'; break;
		case 0xA0: case 0x3000: case 0x2009: case 0x202F: plain = ' '; break;
		case '[': case '{': plain = '('; break;
		case ']': case '}': plain = ')'; break;
		default: break;
		}
		if (plain != 0 || cp < 0x80) {
			char c = plain != 0 ? plain : (char)cp;

			out[len++] = (unsigned char)c < 0x20 && c != '\1' ? ' ' : c;
		} else if (s[at] == '&') {
			/* an entity beyond ASCII: two or three bytes of UTF-8 */
			if (cp >= 0x800) {
				out[len++] = (char)(0xE0 | ((cp >> 12) & 15));
				out[len++] = (char)(0x80 | ((cp >> 6) & 63));
			} else {
				out[len++] = (char)(0xC0 | ((cp >> 6) & 31));
			}
			out[len++] = (char)(0x80 | (cp & 63));
		} else {
			memcpy(out + len, s + at, used);
			len += used;
		}
		at += used;
	}
	out[len] = '\0';
	return len;
}

/* Folds a span into words of the title; returns how many there are. */
static unsigned add_words(struct title *t, const char *s, size_t n)
{
	size_t off = t->text_len, room = sizeof(t->text) - t->text_len, len;
	unsigned count = 0;

	if (room < 8)
		return 0;
	len = fold_span(s, n, t->text + off, room);
	for (size_t at = 0; at < len && t->n_words < TITLE_WORDS_MAX;) {
		size_t w = strcspn(t->text + off + at, " ");

		t->word[t->n_words++] = (struct title_word){ (uint16_t)(off + at), (uint16_t)w };
		count++;
		at += w + 1;
	}
	t->text_len = off + len + 1;
	if (t->text_len > sizeof(t->text))
		t->text_len = sizeof(t->text);
	return count;
}

static bool word_is(const struct title *t, unsigned i, const char *word)
{
	return words_is(t->text + t->word[i].off, t->word[i].len, word);
}

static bool word_in(const struct title *t, unsigned i, const char *list)
{
	return words_in(t->text + t->word[i].off, t->word[i].len, list);
}

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

static int ordinal(const struct title *t, unsigned i)
{
	const char *p = ordinals, *w = t->text + t->word[i].off;
	size_t len = t->word[i].len;
	int n = 1;

	for (; *p != '\0'; n++) {
		size_t l = strcspn(p, " ");

		if (l == len && memcmp(p, w, l) == 0)
			return n;
		p += l + (p[l] == ' ');
	}
	if (len > 2 && len < 6 && w[0] >= '1' && w[0] <= '9' &&
	    (memcmp(w + len - 2, "th", 2) == 0 || memcmp(w + len - 2, "st", 2) == 0 || memcmp(w + len - 2, "nd", 2) == 0 ||
	     memcmp(w + len - 2, "rd", 2) == 0))
		return words_number(w, len - 2);
	return 0;
}

static bool is_volume_word(const struct title *t, unsigned i)
{
	return word_in(t, i, "vol volume vols part pt tome band tomo teil bd");
}

static bool is_book_word(const struct title *t, unsigned i)
{
	return word_in(t, i, "book bk no number issue episode libro livre buch novel");
}

/* Does the span hold 1-3, as in `Books 1-3` or `#1-3`? Years (1977-2002) and single decimals (#1.5) are none. */
static bool has_range(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned from = 0, to = 0;
		size_t at = i;

		if (s[i] < '0' || s[i] > '9' || (i > 0 && ((s[i - 1] >= '0' && s[i - 1] <= '9') || s[i - 1] == '.')))
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

/* Takes `3rd edition`, `deluxe edition`, `large print` off the end of a part; returns the words left. */
static unsigned trim_edition(struct title *t, unsigned first, unsigned n)
{
	unsigned keep = n, at = n;

	if (n >= 2 && (word_is(t, first + n - 1, "edition") || word_is(t, first + n - 1, "ed"))) {
		while (at > 0 && (word_in(t, first + at - 1, edition_words) || ordinal(t, first + at - 1) > 0)) {
			at--;
			if (ordinal(t, first + at) > 0 && !word_is(t, first + at + 1, "anniversary"))
				t->edition = ordinal(t, first + at);
		}
		keep = at;
	} else if (n >= 3 && word_is(t, first + n - 2, "edition") && word_number(t, first + n - 1) > 0) {
		t->edition = word_number(t, first + n - 1);
		keep = n - 2;
	} else if (n >= 2 && word_is(t, first + n - 2, "large") && word_is(t, first + n - 1, "print")) {
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
	if (n >= 3 && word_in(t, first + n - 1, "novel memoir thriller romance mystery biography novella") &&
	    word_in(t, first + n - 2, "a") && !word_in(t, first + n - 3, "of in for to with from as is was into like on"))
		return n - 2;
	return n;
}

static void set_volume(struct title *t, int volume, bool firm)
{
	if (volume > 0 && (t->volume == 0 || (firm && !t->volume_firm))) {
		t->volume = volume;
		t->volume_firm = firm;
	}
}

/* Takes `Vol. 9`, `Book Two`, `Parts 1 & 2` or a bare number off the end; returns the words left. */
static unsigned trim_volume(struct title *t, unsigned first, unsigned n, bool main)
{
	unsigned last = first + n - 1;

	if (n >= 4 && word_is(t, last - 3, "parts") && word_is(t, last - 1, "and"))
		return n - 4;		/* both parts in one: the whole again */
	if (n >= 3 && marked_number(t, last) > 0 && (is_volume_word(t, last - 1) || is_book_word(t, last - 1))) {
		set_volume(t, marked_number(t, last), main || is_volume_word(t, last - 1));
		return n - 2;
	}
	if (main && n >= 2 && word_number(t, last) > 0 && t->text[t->word[last].off] != '0') {
		set_volume(t, word_number(t, last), true);
		return n - 1;
	}
	return n;
}

/* `Book One of The Stormlight Archive`, `The Second Novel in the X Series`: a remark, not a subtitle. */
static bool is_series_remark(struct title *t, unsigned first, unsigned n)
{
	unsigned at = first, end = first + n;
	int number;

	if (at < end && word_is(t, at, "the"))
		at++;
	if (end - at >= 3 && is_book_word(t, at) && marked_number(t, at + 1) > 0) {
		number = marked_number(t, at + 1);
		at += 2;
	} else if (end - at >= 3 && ordinal(t, at) > 0 && word_in(t, at + 1, "book novel volume instalment installment")) {
		number = ordinal(t, at);
		at += 2;
	} else {
		return false;
	}
	if (at >= end || !word_in(t, at, "of in from"))
		return false;
	set_volume(t, number, false);
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
	if (n == 1 && word_number(t, first) > 0 && t->text[t->word[first].off] <= '9') {
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
		set_volume(t, marked_number(t, first + 1), false);
		return true;
	}
	return false;
}

/* `(Dune Chronicles, Book 1)`: its name and number. */
static void read_note(struct title *t, unsigned first, unsigned n)
{
	unsigned end = first + n, name_end = end;
	int number = 0;
	bool firm = n == 2 && is_volume_word(t, first);

	if (n == 0 || trim_edition(t, first, n) == 0)
		return;
	for (unsigned i = first; i < end; i++) {
		number = i > first && (is_book_word(t, i - 1) || is_volume_word(t, i - 1)) ? marked_number(t, i) :
			 t->text[t->word[i].off] <= '9' ? word_number(t, i) : 0;
		if (number > 0) {
			name_end = i;
			break;
		}
	}
	if (number == 0 && n > 5)
		return;			/* more likely a remark than a series */
	if (name_end > first && number > 0 && (is_book_word(t, name_end - 1) || is_volume_word(t, name_end - 1)))
		name_end--;
	set_volume(t, number, firm);
	if (t->n_series == 0)
		for (unsigned i = first; i < name_end && t->n_series < TITLE_WORDS_MAX; i++)
			if (!(i == first && word_is(t, i, "the")))
				t->series[t->n_series++] = (uint8_t)i;
}

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

static void push_part(struct title *t, unsigned first, unsigned n)
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
static void add_part(struct title *t, const char *s, size_t len, enum part_kind kind)
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
	n = add_words(t, s, len);
	if (n == 0)
		return;
	if (has_range(s, len))
		for (unsigned i = first; i < first + n; i++)
			if (kind == PART_NOTE || word_in(t, i, "books volumes vols parts collection nos issues"))
				t->range = true;
	if (kind == PART_NOTE) {
		read_note(t, first, n);
		return;
	}
	if (!main) {
		if (is_bare_volume(t, first, n) || is_series_remark(t, first, n) || kinds_part_is_generic(t, first, n))
			return;
		if (n >= 3 && (is_volume_word(t, first) || is_book_word(t, first)) && marked_number(t, first + 1) > 0) {
			set_volume(t, marked_number(t, first + 1), is_volume_word(t, first));
			first += 2;
			n -= 2;
		}
		n = trim_edition(t, first, n);
		n = n > 0 ? trim_volume(t, first, n, false) : 0;
		if (!equals_last_part(t, first, n))
			push_part(t, first, n);
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
	push_part(t, first, trim_volume(t, first, n, true));
}

/* Length of the separator between title and subtitle at s[at], 0 if none. */
static size_t separator(const char *s, size_t n, size_t at)
{
	char prev = at > 0 ? s[at - 1] : ' ', next = at + 1 < n ? s[at + 1] : ' ';

	switch (s[at]) {
	case ':':
		return prev >= '0' && prev <= '9' && next >= '0' && next <= '9' ? 0 : 1;
	case '\1':
	case '|':
		return 1;
	case ';':
		return 1;
	case '-':
		if (next == '-')
			return 2;
		if (prev != ' ' && next == ' ')
			return at + 2 < n && s[at + 2] >= 'A' && s[at + 2] <= 'Z' ? 1 : 0;
		return prev == ' ' && next == ' ' ? 1 : 0;
	case '/':
		return prev == ' ' && next == ' ' ? 1 : 0;
	case '?':
	case '!':
		/* `Who Moved My Cheese? An Amazing Way ...` */
		return next == ' ' && at + 2 < n && s[at + 2] >= 'A' && s[at + 2] <= 'Z' ? 1 : 0;
	case ',':
		return n - at > 5 && strncasecmp(s + at, ", or", 4) == 0 && (s[at + 4] == ' ' || s[at + 4] == ',') ? 1 : 0;
	default:
		return 0;
	}
}

/* `/ by Author`: nothing of the title follows. */
static bool is_responsibility(const char *s, size_t n)
{
	static const char *const words[] = { "by ", "edited by", "written by", "translated by", "illustrated by",
					     "retold by", "ed. by", "selected by" };

	while (n > 0 && *s == ' ') {
		s++;
		n--;
	}
	for (size_t i = 0; i < BF_COUNT(words); i++)
		if (n > strlen(words[i]) && strncasecmp(s, words[i], strlen(words[i])) == 0)
			return true;
	return false;
}

/* Is the bracket at s[at] a note? It stands after a space, is closed, and ends its part. Returns its end, 0 if not. */
static size_t note_end(const char *s, size_t n, size_t start, size_t at)
{
	size_t end = at + 1;
	int depth = 1;

	if (at == start || (s[at - 1] != ' ' && s[at - 1] != ')' && (unsigned char)s[at - 1] < 0x80))
		return 0;
	while (end < n && depth > 0) {
		depth += s[end] == '(' ? 1 : s[end] == ')' ? -1 : 0;
		end++;
	}
	at = end;
	while (at < n && s[at] == ' ')
		at++;
	return at >= n || strchr(":(-/;,.|\1", s[at]) != NULL ? end : 0;
}

/* Drops the `or` that opens `; or, The Whale`. */
static void add_after_separator(struct title *t, const char *s, size_t n)
{
	while (n > 0 && *s == ' ') {
		s++;
		n--;
	}
	if (t->n_parts > 0 && n > 3 && strncasecmp(s, "or", 2) == 0 && (s[2] == ' ' || s[2] == ',')) {
		s += 3;
		n -= 3;
	}
	add_part(t, s, n, PART_SUB);
}

/* Cuts a text into its parts. */
static void split_parts(struct title *t, const char *s, size_t n)
{
	size_t start = 0, at = 0, end, sep;

	while (at < n) {
		if (s[at] == '(' && (end = note_end(s, n, start, at)) != 0) {
			add_after_separator(t, s + start, at - start);
			add_part(t, s + at + 1, end - at - (s[end - 1] == ')' ? 2 : 1), PART_NOTE);
			at = start = end;
			continue;
		}
		sep = separator(s, n, at);
		if (sep == 0) {
			at++;
			continue;
		}
		add_after_separator(t, s + start, at - start);
		if (s[at] == '/' && is_responsibility(s + at + 1, n - at - 1))
			return;
		at += sep;
		start = at;
	}
	add_after_separator(t, s + start, n - start);
}

void title_parse(struct title *t, const char *title, const char *subtitle)
{
	char raw[RAW_MAX];
	size_t n = raw_copy(title != NULL ? title : "", raw, sizeof(raw));

	t->text_len = 0;
	t->n_words = t->n_main = t->n_all = t->n_parts = t->n_series = 0;
	t->volume = t->edition = 0;
	t->volume_firm = t->range = false;
	t->ascii = true;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)raw[i] >= 0x80)
			t->ascii = false;
	split_parts(t, raw, n);
	if (t->n_parts == 0) {		/* all in brackets, or all remarks: then that is the title */
		t->n_words = 0;
		t->text_len = 0;
		t->n_series = 0;
		t->volume = 0;
		t->volume_firm = false;
		push_part(t, 0, add_words(t, raw, n));
	}
	if (subtitle != NULL && *subtitle != '\0' && t->n_parts > 0) {
		n = raw_copy(subtitle, raw, sizeof(raw));
		split_parts(t, raw, n);
	}
	/* a number without a series' name, or under the title's own, is the title's */
	if (t->volume > 1 && !t->volume_firm) {
		struct title_word *a, *b;
		bool own = t->n_series == t->n_main;

		for (unsigned i = 0; own && i < t->n_series; i++) {
			a = &t->word[t->series[i]];
			b = &t->word[t->seq[i]];
			own = a->len == b->len && memcmp(t->text + a->off, t->text + b->off, a->len) == 0;
		}
		t->volume_firm = own || t->n_series == 0;
	}
}

size_t title_join(const struct title *t, unsigned from, unsigned to, char *out, size_t size)
{
	size_t len = 0;

	for (unsigned i = from; i < to; i++) {
		size_t w;
		const char *s = title_word_at(t, t->seq[i], &w);

		if (len + (len > 0) + w >= size)
			break;
		if (len > 0)
			out[len++] = ' ';
		memcpy(out + len, s, w);
		len += w;
	}
	if (size > 0)
		out[len] = '\0';
	return len;
}

void bf_title_key(const char *title, char ret[BF_KEY_MAX])
{
	struct title t;
	size_t len;

	title_parse(&t, title, NULL);
	len = title_join(&t, 0, t.n_main, ret, BF_KEY_MAX - 8);
	if (kinds_is_franchise(ret))
		len = title_join(&t, 0, t.n_all, ret, BF_KEY_MAX - 8);
	if (len == 0)	/* one word longer than a key: its beginning */
		bf_fold(title != NULL ? title : "", ret, BF_KEY_MAX);
	else if (t.volume > 0 && t.volume_firm && len + 8 < BF_KEY_MAX)
		snprintf(ret + len, BF_KEY_MAX - len, " %d", t.volume % 1000);
}
