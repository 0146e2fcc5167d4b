/*
 * grid: all months at once, a line for each year. A letter tells the status, so it needs no colour.
 */
#ifndef CTL_GRID_H
#define CTL_GRID_H
#include "text.h"

enum grid_status { GRID_NONE, GRID_PENDING, GRID_PROCESSING, GRID_COMPLETED, GRID_RETRY, GRID_FAILED, GRID_OTHER, GRID_NSTATUS };
struct grid_month { int year, month; enum grid_status status; };

enum grid_status grid_status_by_name(const char *);	/* GRID_OTHER for a word that is none */
const char *grid_status_name(enum grid_status);
/* Newest year first, whatever order they come in; years without a month are left out. only != GRID_NONE: the others stay blank. */
void grid_write(struct bf_buf *, const struct out *, const struct grid_month *, size_t n, enum grid_status only);
#endif
