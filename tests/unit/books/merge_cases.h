/* What the tests of merging share: an arena for each case, two moments, one ISBN. */
#ifndef BOOKS_MERGE_CASES_H
#define BOOKS_MERGE_CASES_H
#include "backfill/books.h"
#include "cmocka_all.h"

#define ISBN  "9780441172719"
#define EARLY "2026-01-01T00:00:00Z"
#define LATE  "2026-02-02T00:00:00Z"

static struct bf_arena *arena;

static int setup(void **state)
{
	(void)state;
	arena = bf_arena_new();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	bf_arena_free(arena);
	return 0;
}
#endif
