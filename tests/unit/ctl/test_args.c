/* The command line: what is read, and what is refused rather than ignored. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "args.h"
#include "backfill/base.h"

static const struct command commands[] = {
	{ "schedule", "", "x", 0, 0, false, "batch-size years force-retry dry-run", NULL },
	{ "retry", "YYYY-MM...", "x", 1, 3, true, "", NULL },
	{ "book", "ISBN", "x", 1, 1, false, "", NULL },
	{ "queue", "", "x", 0, 0, false, "month limit status", NULL },
};

static char problem[256];

/* Splits at blanks, reads. */
static bool read_line(const char *line, struct args *ret)
{
	static char text[256];
	char name[] = "backfillctl", *argv[32] = { name };
	int argc = 1;

	snprintf(text, sizeof(text), "%s", line);
	for (char *word = text; word != NULL && *word != '\0';) {
		char *end = strchr(word, ' ');

		argv[argc++] = word;
		if (end != NULL)
			*end++ = '\0';
		word = end;
	}
	return args_read(commands, (int)BF_COUNT(commands), argc, argv, ret, problem);
}

/* Options stand anywhere, with their values behind a blank or an equals sign. */
static void reads_options(void **state)
{
	struct args a;

	(void)state;
	assert_true(read_line("--url http://x schedule --batch-size=5 --json --years 2020-2023 --dry-run", &a));
	assert_string_equal(a.command->name, "schedule");
	assert_string_equal(a.url, "http://x");
	assert_int_equal(a.batch_size, 5);
	assert_true(a.json && a.dry_run && !a.force_retry && !a.yes);
	assert_int_equal(a.years.start, 2020);
	assert_int_equal(a.years.end, 2023);
	assert_int_equal(a.timeout_s, 0);
	assert_true(read_line("--status schedule queue", &a));	/* a value may look like a command */
	assert_string_equal(a.command->name, "queue");
	assert_string_equal(a.status, "schedule");
	assert_true(read_line("--status=a=b queue", &a));
	assert_string_equal(a.status, "a=b");
}

/* Words are counted and, where months are wanted, read. */
static void reads_words(void **state)
{
	struct args a;

	(void)state;
	assert_true(read_line("retry 2023-12 2023-1 --json", &a));
	assert_int_equal(a.n_words, 2);
	assert_string_equal(a.words[1], "2023-1");
	assert_true(read_line("book -- --json", &a));	/* a key may look like an option */
	assert_string_equal(a.words[0], "--json");
	assert_false(a.json);
	assert_false(read_line("retry", &a));
	assert_false(read_line("retry 2023-12 2023-11 2023-10 2023-09", &a));
	assert_false(read_line("retry 2023-12 2023-00", &a));
	assert_non_null(strstr(problem, "2023-00"));
	assert_false(read_line("book a b", &a));
}

/* Nothing unknown, misplaced, doubled or out of range passes: above all no misspelt --dry-run. */
static void refuses(void **state)
{
	static const char *const lines[] = { "", "schedul", "schedule --dryrun", "schedule --dry-run=true", "schedule --dry",
		"queue --dry-run", "retry 2023-12 --dry-run", "schedule --batch-size", "schedule --batch-size 0", "schedule --batch-size 101",
		"schedule --batch-size 5x", "schedule --batch-size -5", "schedule --batch-size 99999999999999999999",
		"schedule --batch-size=", "schedule --json --json", "schedule --years 2020-", "schedule --years -2020",
		"schedule --years 1899", "schedule --years 2020-2101", "schedule --years 2020-2021-2022", "schedule extra", "schedule -n",
		"queue --month 2023", "queue --month 2023-13", "queue --status=", "--url", "schedule --timeout 0" };
	struct args a;

	(void)state;
	for (size_t i = 0; i < BF_COUNT(lines); i++) {
		if (read_line(lines[i], &a) || problem[0] == '\0')
			fail_msg("\"%s\": %s", lines[i], problem);
	}
}

/* Help is given whatever else is wrong with the words. */
static void helps(void **state)
{
	struct args a;

	(void)state;
	assert_true(read_line("--help", &a) && a.help && a.command == NULL);
	assert_true(read_line("retry -h", &a) && a.help && a.command != NULL);
	assert_true(read_line("--version", &a) && a.version);
}

/* Years and months by themselves. */
static void reads_dates(void **state)
{
	struct args_years years;
	struct args_month month;

	(void)state;
	assert_true(args_read_years("1999", &years) && years.start == 1999 && years.end == 1999);
	assert_true(args_read_years("2024-2000", &years) && years.start == 2024 && years.end == 2000);
	assert_false(args_read_years("20240-2000", &years));
	assert_false(args_read_years("", &years));
	assert_true(args_read_month("2023-09", &month) && month.year == 2023 && month.month == 9);
	assert_false(args_read_month("2023-009", &month));
	assert_false(args_read_month("2023-9-1", &month));
	assert_false(args_read_month("2023/09", &month));
}

/* Each option is listed with the commands that know it; a part of a name is not the name. */
static void count_one(void *ctx, const char *name, const char *value, const char *help)
{
	(void)value, (void)help;
	if (strcmp(name, "limit") == 0 || strcmp(name, "month") == 0)
		++*(int *)ctx;
}

static void lists_options(void **state)
{
	static const struct command odd = { "odd", "", "x", 0, 0, false, "month-end limits", NULL };
	int n = 0;

	(void)state;
	args_each(&commands[3], count_one, &n);
	assert_int_equal(n, 2);
	n = 0;
	args_each(&odd, count_one, &n);
	args_each(NULL, count_one, &n);
	assert_int_equal(n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(reads_options), cmocka_unit_test(reads_words), cmocka_unit_test(refuses),
		cmocka_unit_test(helps), cmocka_unit_test(reads_dates), cmocka_unit_test(lists_options) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
