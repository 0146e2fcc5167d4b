/*
 * grid: years by months, and what the letters mean.
 */
#include "grid.h"
#include <stdlib.h>
#include <string.h>

#define YEAR_LOW  1900
#define YEAR_HIGH 2100

static const struct {
	const char *name;
	char letter;
} statuses[GRID_NSTATUS] = {
	[GRID_NONE] = { "not seeded", ' ' },
	[GRID_PENDING] = { "pending", '.' },
	[GRID_PROCESSING] = { "processing", 'P' },
	[GRID_COMPLETED] = { "completed", 'C' },
	[GRID_RETRY] = { "retry", 'R' },
	[GRID_FAILED] = { "failed", 'F' },
	[GRID_OTHER] = { "unknown", '?' },
};

/* A status by its word. */
enum grid_status grid_status_by_name(const char *name)
{
	for (int s = GRID_PENDING; s < GRID_OTHER; s++) {
		if (strcmp(statuses[s].name, name) == 0)
			return (enum grid_status)s;
	}
	return GRID_OTHER;
}

/* The word of a status. */
const char *grid_status_name(enum grid_status status)
{
	return statuses[status].name;
}

/* One month's letter. */
static void write_letter(struct bf_buf *buf, const struct out *out, enum grid_status status)
{
	char letter[2] = { statuses[status].letter, '\0' };

	bf_buf_add(buf, " ", 1);
	text_colour(out, buf, text_status_colour(statuses[status].name), letter);
}

/* A year's line; its end counts what is done. */
static void write_year(struct bf_buf *buf, const struct out *out, int year,
	const unsigned char months[13], enum grid_status only)
{
	int seeded = 0, done = 0, shown = 0;

	for (int m = 1; m <= 12; m++) {
		seeded += months[m] != GRID_NONE;
		done += months[m] == GRID_COMPLETED;
		shown += only == GRID_NONE ? months[m] != GRID_NONE : months[m] == only;
	}
	if (shown == 0)
		return;
	bf_buf_addf(buf, "%4d ", year);
	for (int m = 1; m <= 12; m++) {
		bool hidden = only != GRID_NONE && months[m] != only;

		write_letter(buf, out, hidden ? GRID_NONE : (enum grid_status)months[m]);
	}
	if (only == GRID_NONE)
		bf_buf_addf(buf, "  %2d of %d\n", done, seeded);
	else
		bf_buf_addf(buf, "  %2d\n", shown);
}

/* What the letters mean, and how many of each there are. */
static void write_legend(struct bf_buf *buf, const struct out *out,
	const size_t counts[GRID_NSTATUS], enum grid_status only)
{
	static const enum grid_status order[] = { GRID_COMPLETED, GRID_PROCESSING, GRID_PENDING,
		GRID_RETRY, GRID_FAILED, GRID_OTHER };

	bf_buf_adds(buf, "\n    ");
	for (size_t i = 0; i < BF_COUNT(order); i++) {
		if (counts[order[i]] == 0 && order[i] == GRID_OTHER)
			continue;
		if (only != GRID_NONE && order[i] != only)
			continue;
		bf_buf_addf(buf, " ");
		write_letter(buf, out, order[i]);
		bf_buf_addf(
			buf, " %s %zu", statuses[order[i]].name, counts[order[i]]);
	}
	bf_buf_adds(buf, only == GRID_NONE ? "\n" : "  blank: others\n");
}

/* The whole picture. */
void grid_write(struct bf_buf *buf, const struct out *out, const struct grid_month *months,
	size_t n, enum grid_status only)
{
	unsigned char(*cells)[13] = bf_xcalloc(YEAR_HIGH - YEAR_LOW + 1, sizeof(*cells));
	size_t counts[GRID_NSTATUS] = { 0 };

	for (size_t i = 0; i < n; i++) {
		if (months[i].year < YEAR_LOW || months[i].year > YEAR_HIGH ||
			months[i].month < 1 || months[i].month > 12)
			continue;
		cells[months[i].year - YEAR_LOW][months[i].month] = (unsigned char)months[i].status;
		counts[months[i].status]++;
	}
	text_colour(out, buf, COLOUR_DIM, "      J F M A M J J A S O N D");
	bf_buf_adds(buf, only == GRID_NONE ? "  completed\n" : "\n");
	for (int year = YEAR_HIGH; year >= YEAR_LOW; year--)
		write_year(buf, out, year, cells[year - YEAR_LOW], only);
	write_legend(buf, out, counts, only);
	free(cells);
}
