/*
 * table: cells are collected, made harmless on the way in, and printed when every width is known.
 */
#include "text.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define CELL_MAX_BYTES 65536
#define CUT_MIN        8 /* a column narrower than this is not worth showing */

/* Starts a table; the heads stay borrowed. */
void table_init(struct table *t, const struct out *out, const char *heads)
{
	*t = (struct table){ .out = out };
	for (;;) {
		t->heads[t->n_columns++] = heads;
		heads = strchr(heads, ',');
		if (heads == NULL || t->n_columns == TABLE_COLUMNS_MAX)
			return;
		heads++;
	}
}

/* The next cell, in a colour. */
static void add(struct table *t, const char *text, enum colour colour)
{
	struct bf_buf buf;

	if (t->n_cells == t->cap) {
		t->cap = t->cap * 2 + 64;
		t->cells = bf_xrealloc(t->cells, t->cap, sizeof(*t->cells));
		t->colours = bf_xrealloc(t->colours, t->cap, sizeof(*t->colours));
	}
	bf_buf_init(&buf, CELL_MAX_BYTES);
	text_safe(&buf, text, strlen(text));
	t->colours[t->n_cells] = colour;
	t->cells[t->n_cells++] = bf_xstrdup(buf.data);
	bf_buf_release(&buf);
}

/* A cell as it is. */
void table_text(struct table *t, const char *text)
{
	add(t, text != NULL ? text : "", COLOUR_NONE);
}

/* A cell in its colour. */
void table_status(struct table *t, const char *status)
{
	add(t, status, text_status_colour(status));
}

/* A formatted cell. */
void table_cell(struct table *t, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	add(t, text, COLOUR_NONE);
}

/* A column's head without its mark. */
static const char *head(const struct table *t, int column, size_t *ret_len, bool *ret_right)
{
	const char *text = t->heads[column];

	*ret_right = *text == '>';
	if (*text == '>' || *text == '~')
		text++;
	*ret_len = strcspn(text, ",");
	return text;
}

/* One cell and the blanks behind it, which wait for another cell; `room` is what the column may take. */
static void print_cell(const struct table *t, const char *text, size_t len, size_t room, bool right,
	size_t *blanks, enum colour colour)
{
	size_t width = text_width(text, len);
	bool cut = width > room;
	struct bf_buf buf;
	char *piece;

	if (cut) {
		len = text_fit(text, len, room - 1);
		width = text_width(text, len) + 1;
	}
	bf_buf_init(&buf, CELL_MAX_BYTES * 2);
	piece = bf_xasprintf("%.*s%s", (int)len, text, !cut ? "" : t->out->utf8 ? "\u2026" : "~");
	if (right)
		*blanks += room - width;
	if (len > 0) {
		text_colour(t->out, &buf, colour, piece);
		fprintf(t->out->file, "%*s%s", (int)*blanks, "", buf.data);
		*blanks = 0;
	}
	*blanks += (right ? 0 : room - width) + 2;
	free(piece);
	bf_buf_release(&buf);
}

/* Narrows a column by what is too much, as far as it is worth showing; returns what is still too much. */
static size_t narrow(size_t *width, size_t excess)
{
	size_t spare = *width > CUT_MIN ? *width - CUT_MIN : 0;

	if (spare > excess)
		spare = excess;
	*width -= spare;
	return excess - spare;
}

/* Where the terminal ends, the last column gives way first, then those that may, from the right. */
static void squeeze(const struct table *t, size_t widths[TABLE_COLUMNS_MAX])
{
	size_t used = 0, excess;
	int last = t->n_columns - 1;

	for (int c = 0; c < t->n_columns; c++)
		used += widths[c] > 0 ? widths[c] + 2 : 0;
	used -= used > 0 ? 2 : 0;
	if (used <= (size_t)t->out->columns)
		return;
	while (last > 0 && widths[last] == 0)
		last--;
	excess = used - (size_t)t->out->columns;
	if (*t->heads[last] != '>')
		excess = narrow(&widths[last], excess);
	for (int c = last - 1; c >= 0 && excess > 0; c--) {
		if (*t->heads[c] == '~')
			excess = narrow(&widths[c], excess);
	}
}

/* The widths: as wide as the widest cell; on a terminal 0 for a column without any. */
static void measure(const struct table *t, size_t widths[TABLE_COLUMNS_MAX])
{
	size_t len;
	bool right;

	for (int c = 0; c < t->n_columns; c++)
		widths[c] = 0;
	for (size_t i = 0; i < t->n_cells; i++) {
		size_t width = text_width(t->cells[i], strlen(t->cells[i]));
		size_t *most = &widths[i % (size_t)t->n_columns];

		if (width > *most)
			*most = width;
	}
	for (int c = 0; c < t->n_columns; c++) {
		const char *text = head(t, c, &len, &right);
		size_t width = text_width(text, len);

		if (width > widths[c] && (widths[c] > 0 || t->out->columns == 0))
			widths[c] = width;
	}
	if (t->out->columns > 0)
		squeeze(t, widths);
}

/* Heads, rows, and the end of it. */
void table_end(struct table *t)
{
	size_t widths[TABLE_COLUMNS_MAX], columns = (size_t)t->n_columns, len, blanks = 0;
	bool right;

	measure(t, widths);
	for (size_t c = 0; t->n_cells > 0 && c < columns; c++) {
		const char *text = head(t, (int)c, &len, &right);

		if (widths[c] > 0)
			print_cell(t, text, len, widths[c], right, &blanks, COLOUR_DIM);
		if (c + 1 == columns)
			fputc('\n', t->out->file);
	}
	for (size_t i = 0; i < t->n_cells; i++) {
		size_t c = i % columns;

		head(t, (int)c, &len, &right);
		if (c == 0)
			blanks = 0;
		if (widths[c] > 0)
			print_cell(t, t->cells[i], strlen(t->cells[i]), widths[c], right, &blanks,
				t->colours[i]);
		if (c + 1 == columns)
			fputc('\n', t->out->file);
		free(t->cells[i]);
	}
	free(t->cells);
	free(t->colours);
	*t = (struct table){ .n_columns = 0 };
}
