/*
 * names: people taken apart (private to books).
 */
#ifndef BOOKS_NAMES_H
#define BOOKS_NAMES_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAMES_MAX 12
#define NAME_KEY_MAX 128
#define NAME_WORDS_MAX 8

/* One person, folded, in natural order, without titles, degrees and suffixes. */
struct name {
	char key[NAME_KEY_MAX]; /* words with single spaces; neighbouring initials are one word */
	struct { uint8_t off, len; bool initials; } word[NAME_WORDS_MAX];
	uint8_t n_words;
	bool various;
};
struct names {
	struct name name[NAMES_MAX];
	unsigned n;
};
void names_parse(struct names *, const char *authors);
/* 0..100 for the best pair; is it the first on both sides? */
int names_similarity(const struct names *, const struct names *, bool *ret_first);

/* split.c: single people out of an author text, each as one span or two (first, last name). */
struct name_span {
	const char *first, *last;
	size_t first_len, last_len;
	const char *suffix;
	size_t suffix_len;
};
size_t split_authors(const char *authors, struct name_span *ret, size_t max);
#endif
