/*
 * catalogue: a TSV of real books becomes works, sorted by month, found by ISBN. The header line
 * names the columns; year, month, title, authors and isbn13 must be there, other columns may be. A
 * row that cannot be a book (month out of range, bad ISBN, one seen before) is skipped and counted.
 */
#include <stdlib.h>
#include <string.h>
#include "sandbox.h"

enum column {
	COL_YEAR, COL_MONTH, COL_TITLE, COL_AUTHORS, COL_ISBN13, COL_PUBLISHER, COL_LANGUAGE,
	COL_PAGES, COLS
};
static const char *const column_names[COLS] = {
	"year", "month", "title", "authors", "isbn13", "publisher", "language", "pages"
};
#define COLS_NEEDED COL_PUBLISHER	/* the columns before it */
#define MAX_COLUMNS 32
#define MAX_WORKS   600000	/* what world.c has ISBNs for */

/* Index of a month since January 1900. */
int catalogue_month(int year, int month)
{
	if (year < CATALOGUE_YEAR0 || year > 2100 || month < 1 || month > 12)
		return -1;
	return (year - CATALOGUE_YEAR0) * 12 + month - 1;
}

/* Cuts the text at the next separator, in place; NULL at the end. */
static char *cut(char **rest, char sep)
{
	char *start = *rest;
	char *end;

	if (!start)
		return NULL;
	end = strchr(start, sep);
	if (end)
		*end++ = '\0';
	*rest = end;
	return start;
}

/* Reads the header line; where[c] is the field number of a column, -1 when it is not there. */
static bool read_header(char *line, const char *name, int where[COLS], struct bf_error *err)
{
	char *field;

	for (int c = 0; c < COLS; c++)
		where[c] = -1;
	for (int i = 0; (field = cut(&line, '\t')) != NULL; i++)
		for (int c = 0; c < COLS; c++)
			if (!strcmp(field, column_names[c]))
				where[c] = i;
	for (int c = 0; c < COLS_NEEDED; c++)
		if (where[c] < 0) {
			bf_error_set(
				err, BF_ERR_CONFIG, "%s:1: no column `%s`", name, column_names[c]);
			return false;
		}
	return true;
}

/* Makes a work of a line's fields; false when they are no book. */
static bool read_row(struct work *w, char *const fields[COLS], struct bf_arena *arena)
{
	const char *isbn = fields[COL_ISBN13];

	*w = (struct work){ 0 };
	w->year = (int)strtol(fields[COL_YEAR], NULL, 10);
	w->month = (int)strtol(fields[COL_MONTH], NULL, 10);
	w->title = fields[COL_TITLE];
	w->authors = fields[COL_AUTHORS];
	w->publisher = fields[COL_PUBLISHER];
	w->language = fields[COL_LANGUAGE];
	w->pages = (int)strtol(fields[COL_PAGES], NULL, 10);
	if (catalogue_month(w->year, w->month) < 0 || !*w->title || !*w->authors)
		return false;
	if (!bf_utf8_valid(w->title, strlen(w->title)) ||
		!bf_utf8_valid(w->authors, strlen(w->authors)) ||
		!bf_utf8_valid(w->publisher, strlen(w->publisher)))
		return false;
	if (bf_isbn_canon(isbn, strlen(isbn), w->isbn13) != BF_ISBN_OK)
		return false;
	catalogue_split_title(w, arena);
	return true;
}

/* By month; rows of a month keep the file's order, which ids hold until the sort is done. */
static int by_month(const void *a, const void *b)
{
	const struct work *x = a, *y = b;
	int d = catalogue_month(x->year, x->month) - catalogue_month(y->year, y->month);

	return d ? d : (x->id > y->id) - (x->id < y->id);
}

/* The place of an ISBN in the table: where it is, or the free place where it belongs. */
static uint64_t *isbn_place(const struct catalogue *c, uint64_t isbn)
{
	size_t i = (size_t)((isbn * 0x9e3779b97f4a7c15u) >> 32) & c->isbn_mask;

	while (c->isbn_slots[i] && c->isbn_slots[i] >> 24 != isbn)
		i = (i + 1) & c->isbn_mask;
	return &c->isbn_slots[i];
}

/* An ISBN-13 without the 97 that all have in common: it fits 40 bits. */
static uint64_t isbn_number(const char isbn13[14])
{
	return strtoull(isbn13 + 2, NULL, 10);
}

/* Row of the work whose first edition has this ISBN. */
int64_t catalogue_by_isbn(const struct catalogue *c, const char isbn13[14])
{
	return (int64_t)(*isbn_place(c, isbn_number(isbn13)) & 0xffffff) - 1;
}

/* Drops doubles, numbers the works, builds the month offsets and the ISBN table. */
static void build_tables(struct catalogue *c)
{
	size_t size = 64, kept = 0;

	qsort(c->works, c->n, sizeof(*c->works), by_month);
	while (size < c->n * 2)
		size *= 2;
	c->isbn_slots = bf_xcalloc(size, sizeof(*c->isbn_slots));
	c->isbn_mask = size - 1;
	for (size_t i = 0; i < c->n; i++) {
		uint64_t isbn = isbn_number(c->works[i].isbn13);
		uint64_t *place = isbn_place(c, isbn);

		if (*place) {
			c->skipped++;
			continue;
		}
		c->works[kept] = c->works[i];
		c->works[kept].id = (uint32_t)kept;
		*place = isbn << 24 | (kept + 1);
		kept++;
	}
	c->n = kept;
	c->month_start = bf_xcalloc(CATALOGUE_MONTHS + 1, sizeof(*c->month_start));
	for (size_t i = 0; i < c->n; i++)
		c->month_start[catalogue_month(c->works[i].year, c->works[i].month) + 1]++;
	for (int m = 0; m < CATALOGUE_MONTHS; m++)
		c->month_start[m + 1] += c->month_start[m];
}

/* Reads the whole file. */
bool catalogue_parse(struct catalogue *c, char *text, const char *name, struct bf_error *err)
{
	static char nothing[] = "";
	int where[COLS];
	size_t lines = 1;
	char *rest = text, *line;

	*c = (struct catalogue){ .text = text, .arena = bf_arena_new() };
	if (!strncmp(rest, "\xef\xbb\xbf", 3))
		rest += 3;
	line = cut(&rest, '\n');
	if (!read_header(line, name, where, err))
		return false;
	for (const char *p = rest; p && *p; p++)
		lines += *p == '\n';
	c->works = bf_xcalloc(lines, sizeof(*c->works));
	while ((line = cut(&rest, '\n')) != NULL && c->n < MAX_WORKS) {
		char *fields[MAX_COLUMNS], *wanted[COLS];
		size_t n = 0;

		if (!*line)
			continue;
		line[strcspn(line, "\r")] = '\0';
		while (n < MAX_COLUMNS && (fields[n] = cut(&line, '\t')) != NULL)
			n++;
		for (int i = 0; i < COLS; i++)
			wanted[i] =
				where[i] >= 0 && (size_t)where[i] < n ? fields[where[i]] : nothing;
		if (read_row(&c->works[c->n], wanted, c->arena)) {
			c->works[c->n].id = (uint32_t)c->n;
			c->n++;
		} else {
			c->skipped++;
		}
	}
	if (!c->n) {
		bf_error_set(err, BF_ERR_CONFIG, "%s: no usable row", name);
		return false;
	}
	build_tables(c);
	return true;
}

/* Frees all, also after a failed parse. */
void catalogue_release(struct catalogue *c)
{
	free(c->works);
	free(c->month_start);
	free(c->isbn_slots);
	free(c->text);
	bf_arena_free(c->arena);
	*c = (struct catalogue){ 0 };
}

/* A series note is what stands in the last brackets, a subtitle what follows the first ": ". */
void catalogue_split_title(struct work *w, struct bf_arena *arena)
{
	size_t len = strlen(w->title);
	const char *open = strrchr(w->title, '('), *colon;

	w->series = w->subtitle = "";
	if (open && open > w->title && w->title[len - 1] == ')') {
		w->series = bf_arena_strndup(arena, open + 1, len - (size_t)(open - w->title) - 2);
		len = (size_t)(open - w->title);
	}
	while (len > 1 && w->title[len - 1] == ' ')
		len--;
	w->main = bf_arena_strndup(arena, w->title, len);
	colon = strstr(w->main, ": ");
	if (colon && colon > w->main && colon[2]) {
		w->subtitle = colon + 2;
		w->main = bf_arena_strndup(arena, w->main, (size_t)(colon - w->main));
	}
}
