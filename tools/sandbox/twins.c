/*
 * twins: rows of the catalogue that are one work in two editions, so that /_truth does not call
 * one of them wrong. Same main title and first author, and subtitles that say the same: one
 * holds all words of the other, or most are shared; numbers, in digits or words, must agree.
 */
#include <stdlib.h>
#include <string.h>
#include "sandbox.h"

#define SHARE 0.6

struct keyed { uint64_t key; uint32_t row; };

/* By key, then by row. */
static int by_key(const void *a, const void *b)
{
	const struct keyed *x = a, *y = b;

	return x->key != y->key ? (x->key > y->key) - (x->key < y->key)
				: (x->row > y->row) - (x->row < y->row);
}

/* Is the word a number, in digits, Roman or English? */
static bool is_number(const char *word, size_t len)
{
	static const char *const numbers[] = { "i", "ii", "iii", "iv", "v", "vi", "vii", "viii",
		"one", "two", "three", "four", "five", "six", "second", "third", "edition", "vol",
		"volume" };
	for (size_t i = 0; i < BF_COUNT(numbers); i++)
		if (strlen(numbers[i]) == len && !memcmp(numbers[i], word, len))
			return true;
	return *word >= '0' && *word <= '9';
}

/* Words without meaning here. */
static bool is_small(const char *word, size_t len)
{
	static const char *const small[] = { "the", "a", "an", "of", "and", "in", "to", "for", "is",
		"what", "how" };

	for (size_t i = 0; i < BF_COUNT(small); i++)
		if (strlen(small[i]) == len && !memcmp(small[i], word, len))
			return true;
	return false;
}

/* Does the folded text hold the word? */
static bool has_word(const char *text, const char *word, size_t len)
{
	for (size_t n; *(text += strspn(text, " ")); text += n) {
		n = strcspn(text, " ");
		if (n == len && !memcmp(text, word, len))
			return true;
	}
	return false;
}

/* Counts the words of a that have meaning and those that b has too; false when b lacks a
 * number of a. */
static bool compare(const char *a, const char *b, unsigned *ret_words, unsigned *ret_shared)
{
	*ret_words = *ret_shared = 0;
	for (size_t n; *(a += strspn(a, " ")); a += n) {
		bool there;

		n = strcspn(a, " ");
		there = has_word(b, a, n);
		if (is_number(a, n) && !there)
			return false;
		if (is_small(a, n))
			continue;
		++*ret_words;
		*ret_shared += there;
	}
	return true;
}

/* Do what follows the main titles say the same? */
static bool same_rest(const struct work *x, const struct work *y)
{
	char a[BF_KEY_MAX], b[BF_KEY_MAX];
	unsigned na, nb, shared, back;

	bf_fold(x->subtitle, a, sizeof(a));
	bf_fold(y->subtitle, b, sizeof(b));
	if (!compare(a, b, &na, &shared) || !compare(b, a, &nb, &back))
		return false;
	if (shared == na || back == nb)		/* also when one has no subtitle */
		return true;
	return shared >= SHARE * (na + nb - shared);
}

/* Length of the title without "second edition", "fifth anniversary limited edition" and so on. */
static size_t without_edition(const char *title, size_t len)
{
	static const char *const words[] = { " second", " third", " fourth", " fifth", " tenth",
		" twentieth", " 2nd", " 3rd", " 4th", " 5th", " 10th", " 20th", " 25th", " 50th",
		" updated", " revised", " anniversary", " limited", " special", " deluxe",
		" illustrated", " collectors", " expanded", " international" };
	size_t i = 0;

	if (len <= 8 || strcmp(title + len - 8, " edition"))
		return len;
	len -= 8;
	while (i < BF_COUNT(words)) {
		size_t n = strlen(words[i]);

		if (len > n && !memcmp(title + len - n, words[i], n)) {
			len -= n;
			i = 0;
		} else {
			i++;
		}
	}
	return len;
}

/* The main title folded, without article and kind of edition; bf_title_key would drop the
 * second of two novels. */
static uint64_t title_hash(const char *main)
{
	char title[BF_KEY_MAX];
	size_t len, skip;

	bf_fold(main, title, sizeof(title));
	len = without_edition(title, strlen(title));
	skip = !strncmp(title, "the ", 4)   ? 4
		: !strncmp(title, "a ", 2)  ? 2
		: !strncmp(title, "an ", 3) ? 3
					    : 0;
	return dice_hash_bytes(0, title + skip, len > skip ? len - skip : 0);
}

/* Key of main title and first author. */
static uint64_t key_of(const struct work *w)
{
	char author[BF_KEY_MAX];

	bf_author_key(w->authors, author);
	return dice_hash_bytes(title_hash(w->main), author, strlen(author));
}

/* Sets `twin` of every work: the first row that is the same work, mostly itself. */
void twins_find(struct catalogue *c)
{
	struct keyed *keys = bf_xcalloc(c->n, sizeof(*keys));

	for (uint32_t i = 0; i < c->n; i++)
		keys[i] = (struct keyed){ key_of(&c->works[i]), i };
	qsort(keys, c->n, sizeof(*keys), by_key);
	for (size_t i = 0; i < c->n; i++) {
		struct work *w = &c->works[keys[i].row];

		w->twin = w->id;
		for (size_t k = i; k-- > 0 && keys[k].key == keys[i].key; )
			if (same_rest(w, &c->works[keys[k].row]))
				w->twin = c->works[keys[k].row].twin;
	}
	free(keys);
}
