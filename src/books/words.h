/*
 * words: how alike two folded words are (private to books).
 */
#ifndef BOOKS_WORDS_H
#define BOOKS_WORDS_H
#include <stdbool.h>
#include <stddef.h>

/* From the same word to another one; the order is used: a sequence is as good as its worst pair. */
enum word_match {
	WORD_EQUAL,		/* same letters, or the same number */
	WORD_SPELLING,		/* colour/color, centre/center, organise/organize */
	WORD_TYPO,		/* one slip in a word of eight letters or more */
	WORD_SLIP,		/* one slip in a shorter one: may well be another word */
	WORD_OTHER
};
enum word_match words_match(const char *a, size_t a_len, const char *b, size_t b_len);
/* Value of a number word, a number of up to three digits, or a Roman numeral of two letters or
 * more; 0 if none. */
int words_number(const char *w, size_t len);
int words_roman(const char *w, size_t len);		/* also i, v and x; 0 if none */
bool words_one_edit(const char *a, size_t a_len, const char *b, size_t b_len, bool inner_only);
static inline bool words_is(const char *w, size_t len, const char *word)
{
	size_t n = 0;

	while (n < len && word[n] == w[n])
		n++;
	return n == len && word[n] == '\0';
}
/* Length of the word at s: up to a space or the end. A loop beats strcspn() on words. */
static inline size_t words_len(const char *s)
{
	size_t n = 0;

	while (s[n] != '\0' && s[n] != ' ')
		n++;
	return n;
}
/* Is the word one of a space-separated list? */
bool words_in(const char *w, size_t len, const char *list);
bool words_is_article(const char *w, size_t len);	/* English */
#endif
