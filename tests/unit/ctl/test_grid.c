/* The grid: every month in its place, whatever order the server names them in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "grid.h"

static const struct grid_month months[] = {
	{ 2023, 12, GRID_FAILED }, { 2024, 1, GRID_COMPLETED }, { 2024, 12, GRID_PROCESSING }, { 2023, 1, GRID_PENDING },
	{ 2024, 2, GRID_RETRY }, { 2024, 3, GRID_OTHER },
	/* no such months: left out */
	{ 1899, 1, GRID_FAILED }, { 2101, 1, GRID_FAILED }, { 2024, 0, GRID_FAILED }, { 2024, 13, GRID_FAILED },
};

static void check(enum grid_status only, bool colour, const char *want)
{
	const struct out out = { .colour = colour };
	struct bf_buf buf;

	bf_buf_init(&buf, 65536);
	grid_write(&buf, &out, months, BF_COUNT(months), only);
	assert_string_equal(buf.data, want);
	bf_buf_release(&buf);
}

/* Newest year first, gaps blank, counts at the end of the line and in the legend. */
static void shows_all(void **state)
{
	(void)state;
	check(GRID_NONE, false,
		"      J F M A M J J A S O N D  completed\n"
		"2024  C R ?                 P   1 of 4\n"
		"2023  .                     F   0 of 2\n"
		"\n      C completed 1  P processing 1  . pending 1  R retry 1  F failed 1  ? unknown 1\n");
}

/* One status: other months and years without it are left out. */
static void shows_one_status(void **state)
{
	(void)state;
	check(GRID_FAILED, false,
		"      J F M A M J J A S O N D\n"
		"2023                        F   1\n"
		"\n      F failed 1  blank: others\n");
}

/* Colours are around the letters only, and the letters stay. */
static void colours_letters(void **state)
{
	(void)state;
	check(GRID_FAILED, true,
		"\x1b[2m      J F M A M J J A S O N D\x1b[0m\n"
		"2023                        \x1b[31mF\x1b[0m   1\n"
		"\n      \x1b[31mF\x1b[0m failed 1  blank: others\n");
}

/* Words and statuses. */
static void knows_words(void **state)
{
	(void)state;
	assert_int_equal(grid_status_by_name("retry"), GRID_RETRY);
	assert_int_equal(grid_status_by_name("not seeded"), GRID_OTHER);
	assert_int_equal(grid_status_by_name(""), GRID_OTHER);
	assert_string_equal(grid_status_name(GRID_PENDING), "pending");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(shows_all), cmocka_unit_test(shows_one_status), cmocka_unit_test(colours_letters),
		cmocka_unit_test(knows_words) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
