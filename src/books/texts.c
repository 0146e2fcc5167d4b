/*
 * texts: lists of texts in which each stands once. A list that was handed in is never written to:
 * one with more in it is a copy.
 */
#include "fold.h"
#include "merge.h"
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#define TAG_MAX   100 /* bytes; longer ones are sentences */
#define FORMS_MAX 8

bool texts_has(const struct bf_texts *list, const char *text)
{
	for (size_t i = 0; i < list->n; i++)
		if (strcmp(list->v[i], text) == 0)
			return true;
	return false;
}

/* Adds one, however many there are. */
static void push(struct bf_texts *list, const char *text, struct bf_arena *arena)
{
	const char **v;

	if (text == NULL || text[0] == '\0' || texts_has(list, text))
		return;
	v = bf_arena_alloc(arena, (list->n + 1) * sizeof(*v));
	if (list->n > 0)
		memcpy(v, list->v, list->n * sizeof(*v));
	v[list->n] = text;
	list->v = v;
	list->n++;
}

void texts_add(struct bf_texts *list, const char *text, struct bf_arena *arena)
{
	if (list->n < TEXTS_MAX)
		push(list, text, arena);
}

void texts_unite(struct bf_texts *list, const struct bf_texts *more, struct bf_arena *arena)
{
	for (size_t i = 0; i < more->n; i++)
		texts_add(list, more->v[i], arena);
}

/* For qsort(). */
static int compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void texts_sort(struct bf_texts *list, struct bf_arena *arena)
{
	const char **v;

	if (list->n < 2)
		return;
	v = bf_arena_alloc(arena, list->n * sizeof(*v));
	memcpy(v, list->v, list->n * sizeof(*v));
	qsort(v, list->n, sizeof(*v), compare);
	list->v = v;
}

bool texts_equal(const struct bf_texts *a, const struct bf_texts *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->v[i], b->v[i]) != 0)
			return false;
	return true;
}

/* Lower case, letter by letter; *ret_letter: there is one. Room is for three bytes for one. */
static size_t lower(const char *s, size_t n, char *out, bool *ret_letter)
{
	size_t len = 0;

	*ret_letter = false;
	for (size_t at = 0; at < n;) {
		int32_t cp;
		utf8proc_category_t cat;

		at += fold_next(s + at, n - at, &cp);
		cat = utf8proc_category(cp);
		*ret_letter =
			*ret_letter || (cat >= UTF8PROC_CATEGORY_LU && cat <= UTF8PROC_CATEGORY_LO);
		len += (size_t)utf8proc_encode_char(
			utf8proc_tolower(cp), (utf8proc_uint8_t *)out + len);
	}
	return len;
}

/* The text as a tag; NULL when nothing is left. Entities hidden in entities come out one by one, so
 * that a tag's form is its own. */
static const char *tag_form(const char *text, struct bf_arena *arena, bool *ret_letter)
{
	for (int i = 0; i < FORMS_MAX; i++) {
		const char *plain = normal_text(text, SIZE_MAX, NORMAL_PLAIN, arena);
		char *tag;

		if (plain == NULL)
			return NULL;
		tag = bf_arena_alloc(arena, 4 * strlen(plain) + 1);
		tag[lower(plain, strlen(plain), tag, ret_letter)] = '\0';
		if (strcmp(tag, text) == 0)
			break;
		text = tag;
	}
	return text;
}

void texts_tags(struct bf_texts *list, const char *subjects, size_t max, struct bf_arena *arena)
{
	/* entities end in a semicolon: they go before the list is taken apart */
	const char *text = normal_text(subjects, SIZE_MAX, NORMAL_MARKUP, arena);

	while (text != NULL && *text != '\0' && list->n < max) {
		size_t len = strcspn(text, ";"), n = len;
		const char *one = text, *tag;
		bool letter = false;

		text += len + (text[len] == ';');
		while (n > 0 && strchr(" ,.", *one) != NULL) {
			one++;
			n--;
		}
		while (n > 0 && strchr(" ,", one[n - 1]) != NULL)
			n--;
		if (n == 0 || n > TAG_MAX)
			continue;
		tag = tag_form(bf_arena_strndup(arena, one, n), arena, &letter);
		if (tag != NULL && letter)
			texts_add(list, tag, arena);
	}
}

struct bf_texts texts_as_tags(const struct bf_texts *list, struct bf_arena *arena)
{
	struct bf_texts tags = { NULL, 0 };
	bool letter;

	for (size_t i = 0; i < list->n; i++)
		push(&tags, tag_form(list->v[i], arena, &letter), arena);
	return tags;
}

void bf_subject_tags(const char *subjects, size_t max, struct bf_arena *arena, struct bf_texts *ret)
{
	*ret = (struct bf_texts){ NULL, 0 };
	texts_tags(ret, subjects, max < TEXTS_MAX ? max : TEXTS_MAX, arena);
}
