/*
 * terms: what a search asks for. The services hold titles shorter than the AIs write them, so
 * series notes and subtitles that only describe are left out of the question; whether a result is
 * the book is decided later, on the whole.
 */
#include <string.h>
#include "wire.h"

#define SUBTITLE_WORDS \
	5 /* from so many words on, what follows the colon describes rather than names */

/* The longest prefix that fits, on a character's boundary. */
const char *terms_cut(struct bf_arena *arena, const char *text, size_t max_bytes)
{
	return provider_trim(
		arena, bf_arena_strndup(arena, text, bf_utf8_cut(text, strlen(text), max_bytes)));
}

/* Length of a quoting character (or backslash, or control) at p that would end or spoil a quoted
 * phrase; 0 for others. */
static size_t quote_len(const char *p)
{
	static const char *const quotes[] = { "\"", "\\", "\xe2\x80\x9c", "\xe2\x80\x9d",
		"\xe2\x80\x9e", "\xe2\x80\x9f", "\xc2\xab", "\xc2\xbb" };
	size_t i;

	if ((unsigned char)*p < ' ' || *p == 0x7f)
		return 1;
	for (i = 0; i < BF_COUNT(quotes); i++) {
		if (strncmp(p, quotes[i], strlen(quotes[i])) == 0)
			return strlen(quotes[i]);
	}
	return 0;
}

/* Fit for the inside of a quoted phrase in any of the query languages. */
const char *terms_phrase(struct bf_arena *arena, const char *text)
{
	char *out = bf_arena_alloc(arena, strlen(text) + 1), *p = out;
	size_t n;

	while (*text) {
		if ((n = quote_len(text)) > 0 || *text == ' ') {
			if (p > out && p[-1] != ' ')
				*p++ = ' ';
			text += n > 0 ? n : 1;
			continue;
		}
		*p++ = *text++;
	}
	*p = '\0';
	return provider_trim(arena, out);
}

/* Whether anything in it could be searched for: a letter or digit of any script. */
static bool has_word(const char *text)
{
	char key[BF_KEY_MAX];

	if (text == NULL)
		return false;
	bf_fold(text, key, sizeof(key));
	return key[0] != '\0';
}

/* Removes notes in brackets at the end, "(Dune Chronicles, Book 1)", unless that is all. */
static const char *without_note(struct bf_arena *arena, const char *title)
{
	for (;;) {
		size_t len = strlen(title);
		char close = len > 0 ? title[len - 1] : '\0';
		const char *open = close == ')' ? strrchr(title, '(')
			: close == ']'          ? strrchr(title, '[')
						: NULL;
		const char *rest;

		if (open == NULL)
			return title;
		len = (size_t)(open - title);
		while (len > 0 && strchr(" -:,", title[len - 1]) != NULL)
			len--;
		rest = provider_trim(arena, bf_arena_strndup(arena, title, len));
		if (!has_word(rest))
			return title;
		title = rest;
	}
}

/* Words divided by blanks. */
static int words(const char *text)
{
	int n = 0;

	while (*(text += strspn(text, " \t"))) {
		n++;
		text += strcspn(text, " \t");
	}
	return n;
}

/* A subtitle that describes ("A Memoir", "the true story of ...") may be missing where the book is
 * listed; one that names a volume ("The Final Empire") tells it from its siblings. */
static bool describes(const char *subtitle)
{
	static const char *const kinds[] = { "novel", "memoir", "story", "stories", "biography",
		"autobiography", "history", "essays", "poems", "guide", "how ", "why ", "life",
		"lives", "tale", "thriller", "romance", "mystery", "recipes", "lessons" };
	size_t i;

	if (words(subtitle) >= SUBTITLE_WORDS)
		return true;
	for (i = 0; i < BF_COUNT(kinds); i++) {
		if (provider_has(subtitle, kinds[i]))
			return true;
	}
	return false;
}

/* The part before a subtitle that describes; the title itself when there is none, or too little
 * would be left. */
static const char *main_title(struct bf_arena *arena, const char *title)
{
	static const char *const marks[] = { ": ", " - ", " \xe2\x80\x93 ", " \xe2\x80\x94 ",
		"\xe2\x80\x94", ", or ", "; or, " };
	const char *at = NULL, *tail = NULL, *p, *head;
	size_t i;

	for (i = 0; i < BF_COUNT(marks); i++) {
		p = strstr(title, marks[i]);
		if (p != NULL && (at == NULL || p < at)) {
			at = p;
			tail = p + strlen(marks[i]);
			if (strstr(marks[i], "or") != NULL)
				tail = NULL;
		}
	}
	if (at == NULL || (tail != NULL && !describes(tail)))
		return title;
	head = provider_trim(arena, bf_arena_strndup(arena, title, (size_t)(at - title)));
	return has_word(head) && strlen(head) >= 3 ? head : title;
}

/* First person, without a role in brackets, in natural order. */
static const char *first_author(const char *authors, struct bf_arena *arena)
{
	const char *name = NULL;
	char key[BF_KEY_MAX];

	if (!has_word(authors) || bf_author_split(authors, arena, &name, 1) == 0 || !has_word(name))
		return NULL;
	name = without_note(arena, name);
	bf_author_key(name, key);
	return strcmp(key, "various") == 0 ? NULL : provider_trim(arena, name);
}

/* The terms of one book. */
bool terms_of(
	const struct bf_book *book, struct bf_arena *arena, struct terms *ret, struct bf_error *err)
{
	const char *title = book != NULL ? provider_trim(arena, book->title) : NULL;

	memset(ret, 0, sizeof(*ret));
	if (!has_word(title)) {
		bf_error_set(err, BF_ERR_PERMANENT,
			"a title without a letter or digit cannot be searched for");
		return false;
	}
	ret->full = without_note(arena, title);
	ret->title = main_title(arena, ret->full);
	if (has_word(book->subtitle))
		ret->full = bf_arena_printf(arena, "%s: %s", ret->full, book->subtitle);
	ret->author = first_author(book->author, arena);
	return true;
}
