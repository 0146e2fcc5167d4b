/*
 * record: the parts of a search result that every service sends in its own way: ISBNs in all
 * spellings, cover addresses, descriptions, page counts. ISBNs are read by books alone.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>
#include "wire.h"

#define DESCRIPTION_MAX 1500
#define RECORDS_MAX     500 /* no question asks for more than 200; each is compared with the book */

/* Whether the group is one of those given out to the English-speaking countries (or, 979-8, the
 * United States). */
bool record_isbn_english(const char isbn13[14])
{
	return strncmp(isbn13, "9780", 4) == 0 || strncmp(isbn13, "9781", 4) == 0 ||
		strncmp(isbn13, "9798", 4) == 0;
}

/* What decides between two ISBNs of one record. */
static int standing(const struct record_isbns *set, const char *isbn, int rank)
{
	return rank + (set->english_first && record_isbn_english(isbn) ? 100 : 0) -
		(bf_isbn_suspect(isbn) ? 50 : 0);
}

/* Adds one spelling; a repeated ISBN keeps its better rank. */
bool record_isbn_add(struct record_isbns *set, const char *text, int rank)
{
	char isbn[14];
	size_t i, last;

	if (text == NULL || bf_isbn_canon(text, strlen(text), isbn) != BF_ISBN_OK)
		return false;
	for (i = 0; i < set->n; i++) {
		if (memcmp(set->isbn[i], isbn, 13) == 0) {
			if (rank > set->rank[i])
				set->rank[i] = rank;
			return true;
		}
	}
	last = set->n;
	if (set->n == RECORD_ISBNS) {
		/* the list of a famous work runs to thousands: only one that beats the best so far
		 * is let in */
		for (i = 0; i < set->n; i++) {
			if (standing(set, set->isbn[i], set->rank[i]) >= standing(set, isbn, rank))
				return true;
		}
		last = set->n - 1;
	} else {
		set->n++;
	}
	memcpy(set->isbn[last], isbn, sizeof(isbn));
	set->rank[last] = rank;
	return true;
}

/* Digits in a spelling; tells an ISBN-13 that the record itself gives from one that would be
 * computed. */
static int digits(const char *text)
{
	int n = 0;

	for (; *text; text++)
		n += isdigit((unsigned char)*text) ? 1 : 0;
	return n;
}

/* One text, ranked by its length; several in one string are tried one by one when the whole is
 * none. */
static void add_text(struct record_isbns *set, const char *text, struct bf_arena *arena)
{
	char *rest, *part;

	if (text == NULL)
		return;
	if (strpbrk(text, ";,|/") == NULL) {
		record_isbn_add(set, text, digits(text) >= 13 ? 2 : 1);
		return;
	}
	rest = bf_arena_strdup(arena, text);
	while ((part = strsep(&rest, ";,|/")) != NULL)
		record_isbn_add(set, part, digits(part) >= 13 ? 2 : 1);
}

/* A field that is a text here and a list there. */
void record_isbn_add_list(struct record_isbns *set, struct bf_jval value, struct bf_arena *arena)
{
	struct bf_jval v;

	switch (bf_json_type(value)) {
	case BF_J_ARRAY:
	case BF_J_OBJECT:
		for (v = bf_json_first(value); bf_json_type(v) != BF_J_ABSENT; v = bf_json_next(v))
			add_text(set, provider_text(v, arena), arena);
		return;
	case BF_J_STRING:
	case BF_J_NUMBER: add_text(set, provider_text(value, arena), arena); return;
	case BF_J_ABSENT:
	case BF_J_NULL:
	case BF_J_BOOL: return;
	}
}

/* The best becomes the record's ISBN, the others stay as its alternatives. */
void record_isbn_take(
	const struct record_isbns *set, struct bf_arena *arena, struct bf_record *record)
{
	struct bf_buf others;
	size_t i, best = 0;

	if (set->n == 0)
		return;
	for (i = 1; i < set->n; i++) {
		if (standing(set, set->isbn[i], set->rank[i]) >
			standing(set, set->isbn[best], set->rank[best]))
			best = i;
	}
	record->isbn13 = bf_arena_strdup(arena, set->isbn[best]);
	bf_buf_init(&others, RECORD_ISBNS * 14 + 1);
	for (i = 0; i < set->n; i++) {
		if (i != best)
			bf_buf_addf(&others, "%s%s", others.len > 0 ? ";" : "", set->isbn[i]);
	}
	record->other_isbns = provider_trim(arena, provider_arena_buf(arena, &others));
}

/* Covers are shown on pages served over https: http becomes https; other schemes, stand-in
 * pictures and blanks are dropped. */
const char *record_cover(struct bf_arena *arena, const char *url)
{
	const char *p = url;

	if (url == NULL || provider_has(url, "no-cover") || provider_has(url, "no-image") ||
		provider_has(url, "noimage"))
		return NULL;
	if (strncasecmp(p, "https://", 8) == 0)
		p += 8;
	else if (strncasecmp(p, "http://", 7) == 0)
		p += 7;
	else
		return NULL;
	if (!isalnum((unsigned char)*p) || strlen(p) > 1000)
		return NULL;
	for (url = p; *url; url++) {
		if ((unsigned char)*url <= ' ' || strchr("\"<>\\^`{|}", *url) != NULL)
			return NULL;
	}
	return bf_arena_printf(arena, "https://%s", p);
}

/* Cut on a character's boundary. */
const char *record_description(struct bf_arena *arena, const char *text)
{
	if (text == NULL)
		return NULL;
	return provider_trim(arena,
		bf_arena_strndup(arena, text, bf_utf8_cut(text, strlen(text), DESCRIPTION_MAX)));
}

/* Page counts come as numbers, as digits, as empty lists and as nonsense. */
int record_pages(struct bf_jval value, struct bf_arena *arena)
{
	const char *text = provider_text(value, arena);
	int pages = 0;

	for (; text != NULL && isdigit((unsigned char)*text); text++) {
		pages = pages * 10 + (*text - '0');
		if (pages > 50000)
			return 0;
	}
	return pages;
}

/* Service keys look like paths. */
const char *record_last_segment(struct bf_arena *arena, const char *path)
{
	const char *slash;

	if (path == NULL)
		return NULL;
	slash = strrchr(path, '/');
	return provider_trim(arena, slash != NULL ? slash + 1 : path);
}

/* Grown by doubling; a list longer than any service should send is not followed to its end: the
 * last place is reused. */
struct bf_record *record_new(struct record_list *list, struct bf_arena *arena)
{
	if (list->n == RECORDS_MAX)
		list->n--;
	if (list->n == list->cap) {
		size_t cap = list->cap > 0 ? list->cap * 2 : 16;
		struct bf_record *bigger = bf_arena_alloc(arena, cap * sizeof(*bigger));

		if (list->n > 0)
			memcpy(bigger, list->v, list->n * sizeof(*bigger));
		list->v = bigger;
		list->cap = cap;
	}
	memset(&list->v[list->n], 0, sizeof(list->v[0]));
	return &list->v[list->n++];
}

/* A list without records is a definite "nothing found". */
void record_answer(const struct record_list *list, struct provider_answer *ret)
{
	ret->outcome = list->n > 0 ? OUTCOME_OK : OUTCOME_EMPTY;
	ret->records = list->v;
	ret->n_records = list->n;
}
