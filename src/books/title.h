/*
 * title: a title taken apart (private to books).
 */
#ifndef BOOKS_TITLE_H
#define BOOKS_TITLE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TITLE_TEXT_MAX 768
#define TITLE_WORDS_MAX 72
#define TITLE_PARTS_MAX 8

/* What a book says it is, beside the work itself: two books differing in one of these are two
 * books. */
enum title_kind {
	KIND_SUMMARY = 1 << 0,
	KIND_GUIDE = 1 << 1,
	KIND_WORKBOOK = 1 << 2,
	KIND_SET = 1 << 3,
	KIND_LARGE_PRINT = 1 << 4,
	KIND_JOURNAL = 1 << 5,
	KIND_COMPANION = 1 << 6,
	KIND_ADAPTATION = 1 << 7,
	KIND_SAMPLE = 1 << 8,
	KIND_UNOFFICIAL = 1 << 9,
	KIND_SEQUEL = 1 << 10,
	KIND_ABRIDGED = 1 << 11
};

struct title_word { uint16_t off, len; };

/* Words point into text by offset, so a struct title can be copied. */
struct title {
	char text[TITLE_TEXT_MAX];	/* everything folded, parts NUL-separated */
	size_t text_len;
	struct title_word word[TITLE_WORDS_MAX];
	uint8_t n_words;
	/* The words that count, in order: main title, then subtitle parts. Articles in front,
	 * series notes, volume and edition remarks and subtitles like `a novel` are left out. */
	uint8_t seq[TITLE_WORDS_MAX];
	uint8_t n_main, n_all;
	uint8_t part_start[TITLE_PARTS_MAX];	/* where each part begins in seq; [0] is 0 */
	uint8_t n_parts;
	uint8_t series[TITLE_WORDS_MAX];	/* words of the series note */
	uint8_t n_series;
	bool series_numbered;	/* the note gives the book's place in the series */
	int  volume;		/* 0: none named */
	bool volume_firm;	/* part of the title itself; else a place others may leave out */
	int  volume_part;	/* a second number within the volume, 0 if none */
	int  edition;		/* 3 of `Third Edition`, 0 if none */
	bool range;		/* books 1-3 */
	bool joined;		/* `One Work / Another`: several in one book */
	bool ascii;		/* no letters beyond ASCII in the original */
};

void title_parse(struct title *, const char *title, const char *subtitle);
static inline const char *title_word_at(const struct title *t, unsigned i, size_t *ret_len)
{
	*ret_len = t->word[i].len;
	return t->text + t->word[i].off;
}
/* Words from..to of seq as one folded text. */
size_t title_join(const struct title *, unsigned from, unsigned to, char *out, size_t size);

/* parts.c */
enum part_kind { PART_TEXT, PART_NOTE };
unsigned parts_words(struct title *, const char *s, size_t n);	/* folds; returns how many */
void parts_push(struct title *, unsigned first, unsigned n);	/* these words count */
void parts_add(struct title *, const char *s, size_t n, enum part_kind);
void parts_settle_volume(struct title *);

/* kinds.c */
unsigned kinds_of_title(const struct title *);
const char *kinds_name(unsigned kinds);		/* of the lowest bit */
bool kinds_part_is_generic(const struct title *, unsigned first, unsigned n);
bool kinds_is_franchise(const char *folded_main);	/* its subtitles are the titles */

/* language.c: a set of bits, 0 when not known */
#define LANG_ENGLISH 1u
unsigned language_of_text(const char *code_or_name);
unsigned language_of_title(const char *title);		/* named in it: `Spanish Edition` */
unsigned language_guess(const char *title);		/* by its small words and letters */
bool language_is_latin(const char *title);

/* relate.c: 0..100, how surely two titles name one work */
int relate_titles(const struct title *a, const struct title *b, double similarity, bool lenient,
		  const char **ret_why);
#endif
