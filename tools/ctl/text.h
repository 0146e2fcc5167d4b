/*
 * text: everything that reaches the terminal or a pipe. What a server or a book's title says is made harmless first: no escape
 * sequence, no line break, nothing that turns the direction of writing. Tables are aligned by the width of characters.
 */
#ifndef CTL_TEXT_H
#define CTL_TEXT_H
#include <stdio.h>
#include "backfill/base.h"

enum colour { COLOUR_NONE, COLOUR_GREEN, COLOUR_YELLOW, COLOUR_RED, COLOUR_BLUE, COLOUR_DIM };

struct out {
	FILE *file;
	bool terminal;		/* a person looks at it */
	bool colour;		/* and wants colours */
	bool utf8;		/* and has more than ASCII */
	int columns;		/* 0: no limit */
};
/* What stdout is; NO_COLOR and TERM=dumb are heeded. */
void out_init(struct out *, FILE *);
int out_columns(const struct out *);		/* as it is now: windows change */

/* Appends untrusted text. Controls, invalid bytes and characters of layout become \xNN and \u{NNNN}. */
void text_safe(struct bf_buf *, const char *, size_t);
size_t text_width(const char *, size_t);	/* columns of text that text_safe made */
/* The longest beginning that fits the columns. */
size_t text_fit(const char *, size_t len, size_t columns);
/* "12 s", "41 min", "3.2 h", "2.1 days". */
void text_duration(char out[32], double seconds);
void text_count(char out[32], int64_t);	/* a whole number with commas: "12,345" */
/* Escape sequences around a piece; nothing when colours are off. */
void text_colour(const struct out *, struct bf_buf *, enum colour, const char *);
enum colour text_status_colour(const char *status);
/* One line: made harmless as a whole; on a terminal that is narrower it goes on below, broken between words. */
void out_line(const struct out *, const char *fmt, ...) BF_PRINTF(2, 3);
void out_blank(const struct out *);
/* JSON as it came, and a line's end. On a terminal what is not harmless becomes \uNNNN, which means the same. */
void out_json(const struct out *, const char *);
/* A line for people on stderr, harmless as well, after "backfillctl: ". */
void out_complain(const char *fmt, ...) BF_PRINTF(1, 2);

/* ---- tables ---- */
#define TABLE_COLUMNS_MAX 12
struct table {
	const struct out *out;
	int n_columns;
	const char *heads[TABLE_COLUMNS_MAX];	/* a '>' before it: to the right; a '~': may be cut where space is scarce */
	char **cells;
	enum colour *colours;
	size_t n_cells, cap;
};
/* heads: comma-separated, static, like "month,status,>books". */
void table_init(struct table *, const struct out *, const char *heads);
void table_text(struct table *, const char *);	/* the next cell, from the left; NULL is "" */
void table_status(struct table *, const char *);	/* with the colour of a status */
void table_cell(struct table *, const char *fmt, ...) BF_PRINTF(2, 3);
/* Prints and frees it. On a terminal columns without any text are left out, and the last one, and those that may be, are cut where
 * the terminal ends. Nothing at all when there is no row. */
void table_end(struct table *);
#endif
