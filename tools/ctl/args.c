/*
 * args: one table says what each option takes and where it goes; a command names those it knows. An option that a command does
 * not know is an error, never ignored: a misread --dry-run must not start anything.
 */
#include "args.h"
#include "backfill/base.h"
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define YEAR_MIN 1900
#define YEAR_MAX 2100

enum kind { FLAG, TEXT, NUMBER, YEARS, MONTH };

struct option_row {
	const char *name, *value, *help;
	enum kind kind;
	bool everywhere;
	size_t offset;
	int min, max;
};

#define AT(member) offsetof(struct args, member)

// clang-format off
static const struct option_row rows[] = {
	{ "url", "URL", "the server ($BACKFILL_URL, http://127.0.0.1:8787)", TEXT, true, AT(url) },
	{ "secret-file", "FILE", "its first line is the secret", TEXT, true, AT(secret_file) },
	{ "operator", "NAME", "who asks, for the server's audit ($BACKFILL_OPERATOR)", TEXT, true, AT(operator_name) },
	{ "timeout", "SECONDS", "how long an answer may take (30; verify: 120)", NUMBER, true, AT(timeout_s), 1, 3600 },
	{ "json", NULL, "print the server's JSON as it is", FLAG, true, AT(json) },
	{ "help", NULL, "print this", FLAG, true, AT(help) },
	{ "version", NULL, "print the version", FLAG, true, AT(version) },
	{ "batch-size", "N", "how many", NUMBER, false, AT(batch_size), 1, 100 },
	{ "years", "A-B", "these years, both included", YEARS, false, AT(years) },
	{ "force-retry", NULL, "failed months with fewer than five attempts too", FLAG, false, AT(force_retry) },
	{ "dry-run", NULL, "only say what would be done", FLAG, false, AT(dry_run) },
	{ "status", "STATUS", "only those of this status", TEXT, false, AT(status) },
	{ "failed", NULL, "months that failed", FLAG, false, AT(failed) },
	{ "below", "PERCENT", "completed months with an ISBN for fewer of their books", NUMBER, false, AT(below), 1, 100 },
	{ "refused", "AI", "months whose last answer of this AI was no list of books", TEXT, false, AT(refused) },
	{ "by", "NAME", "only what this operator asked", TEXT, false, AT(by) },
	{ "path", "PATH", "only calls whose path begins so", TEXT, false, AT(path) },
	{ "reason", "TEXT", "only those whose error contains this", TEXT, false, AT(reason) },
	{ "provider", "NAME", "only those that asked or await this provider", TEXT, false, AT(provider) },
	{ "month", "YYYY-MM", "only those of this month", MONTH, false, AT(month) },
	{ "limit", "N", "at most so many", NUMBER, false, AT(limit), 1, 100000 },
	{ "after", "ID", "the page after this item", TEXT, false, AT(after) },
	{ "note", "TEXT", "why, for others to read", TEXT, false, AT(note) },
	{ "until", "TIME", "when it ends by itself, like 2030-01-01T06:00:00Z", TEXT, false, AT(until) },
	{ "prompt-variant", "NAME", "this prompt instead of the month's own", TEXT, false, AT(prompt_variant) },
	{ "model", "NAME", "this model for its provider", TEXT, false, AT(model) },
	{ "max-quota", "N", "at most so many paid ISBN calls", NUMBER, false, AT(max_quota), 1, 1000 },
	{ "experiment", "NAME", "a name that the job keeps", TEXT, false, AT(experiment) },
	{ "all", NULL, "those that are over, too", FLAG, false, AT(all) },
	{ "follow", NULL, "go on with what happens from now on", FLAG, false, AT(follow) },
	{ "since", "ID", "begin after this event", TEXT, false, AT(since) },
	{ "interval", "SECONDS", "how often to look (2)", NUMBER, false, AT(interval_s), 1, 3600 },
	{ "until-done", NULL, "end when nothing is left to do", FLAG, false, AT(until_done) },
	{ "yes", NULL, "do not ask", FLAG, false, AT(yes) },
};
// clang-format on

_Static_assert(BF_COUNT(rows) <= 64, "struct args has a bit for each row");

/* Decimal digits within bounds, nothing else. */
static bool read_number(const char *s, size_t max_digits, int min, int max, int *ret)
{
	size_t len = strspn(s, "0123456789");
	long value;

	if (len == 0 || len > max_digits || s[len] != '\0')
		return false;
	value = strtol(s, NULL, 10);
	if (value < min || value > max)
		return false;
	*ret = (int)value;
	return true;
}

/* The part before a dash, as a number; *rest is behind the dash. */
static bool read_head(const char *s, int min, int max, int *ret, const char **rest)
{
	const char *dash = strchr(s, '-');
	char head[8];

	if (dash == NULL || (size_t)(dash - s) >= sizeof(head))
		return false;
	memcpy(head, s, (size_t)(dash - s));
	head[dash - s] = '\0';
	*rest = dash + 1;
	return read_number(head, 4, min, max, ret);
}

/* One year, or two with a dash between. */
bool args_read_years(const char *s, struct args_years *ret)
{
	const char *rest;
	struct args_years years;

	if (read_number(s, 4, YEAR_MIN, YEAR_MAX, &years.start)) {
		years.end = years.start;
	} else if (!read_head(s, YEAR_MIN, YEAR_MAX, &years.start, &rest) ||
		!read_number(rest, 4, YEAR_MIN, YEAR_MAX, &years.end)) {
		return false;
	}
	*ret = years;
	return true;
}

/* A year, a dash, a month. */
bool args_read_month(const char *s, struct args_month *ret)
{
	const char *rest;
	struct args_month month;

	if (!read_head(s, YEAR_MIN, YEAR_MAX, &month.year, &rest) ||
		!read_number(rest, 2, 1, 12, &month.month))
		return false;
	*ret = month;
	return true;
}

/* Whether a command names an option. */
static bool knows(const struct command *command, const struct option_row *row)
{
	size_t len = strlen(row->name);
	const char *at = command != NULL ? command->options : "";

	if (row->everywhere)
		return true;
	while ((at = strstr(at, row->name)) != NULL) {
		bool begins = at == command->options || at[-1] == ' ';

		if (begins && (at[len] == ' ' || at[len] == '\0'))
			return true;
		at += len;
	}
	return false;
}

/* The row of an option's name; NULL for none. */
static const struct option_row *find_row(const char *name, size_t len)
{
	for (size_t i = 0; i < BF_COUNT(rows); i++) {
		if (strlen(rows[i].name) == len && memcmp(rows[i].name, name, len) == 0)
			return &rows[i];
	}
	return NULL;
}

/* Stores a value; false with a problem when it is none. */
static bool store(
	struct args *args, const struct option_row *row, const char *value, char problem[256])
{
	void *into = (char *)args + row->offset;

	switch (row->kind) {
	case FLAG: *(bool *)into = true; return true;
	case TEXT:
		if (*value == '\0')
			break;
		*(const char **)into = value;
		return true;
	case NUMBER:
		if (read_number(value, 9, row->min, row->max, into))
			return true;
		snprintf(problem, 256, "--%s: a number from %d to %d is wanted", row->name,
			row->min, row->max);
		return false;
	case YEARS:
		if (args_read_years(value, into))
			return true;
		break;
	case MONTH:
		if (args_read_month(value, into))
			return true;
		break;
	}
	snprintf(problem, 256, "--%s: %s is wanted%s", row->name, row->value,
		row->kind == TEXT ? ", not nothing" : ", of 1900 to 2100");
	return false;
}

/* Reads "--name", "--name=value" or "--name value"; returns how many arguments it took, 0 for a problem. */
static int read_option(struct args *args, int left, char *const *argv, char problem[256])
{
	const char *name = argv[0] + 2, *equals = strchr(name, '=');
	size_t len = equals != NULL ? (size_t)(equals - name) : strlen(name);
	const struct option_row *row = find_row(name, len);
	const char *value = equals != NULL ? equals + 1 : NULL;
	int taken = 1;

	if (row == NULL) {
		snprintf(problem, 256, "unknown option --%.60s", name);
		return 0;
	}
	if (row->kind == FLAG && value != NULL) {
		snprintf(problem, 256, "--%s takes no value", row->name);
		return 0;
	}
	if (row->kind != FLAG && value == NULL) {
		if (left < 2) {
			snprintf(problem, 256, "--%s: %s is missing", row->name, row->value);
			return 0;
		}
		value = argv[1];
		taken = 2;
	}
	if (args->given & UINT64_C(1) << (row - rows)) {
		snprintf(problem, 256, "--%s is given twice", row->name);
		return 0;
	}
	args->given |= UINT64_C(1) << (row - rows);
	return store(args, row, value, problem) ? taken : 0;
}

/* The command's name comes first of the words; the rest are its own. */
static bool take_word(const struct command *commands, int n, struct args *args, const char *word,
	char problem[256])
{
	if (args->command != NULL) {
		if (args->n_words == ARGS_WORDS_MAX) {
			snprintf(problem, 256, "more than %d arguments", ARGS_WORDS_MAX);
			return false;
		}
		args->words[args->n_words++] = word;
		return true;
	}
	for (int i = 0; i < n; i++) {
		if (strcmp(commands[i].name, word) == 0)
			args->command = &commands[i];
	}
	if (args->command == NULL)
		snprintf(problem, 256, "unknown command %.60s", word);
	return args->command != NULL;
}

/* What only the whole line shows: options of another command, too few or too many words, words that are no months. */
static bool check(const struct args *args, char problem[256])
{
	const struct command *c = args->command;
	struct args_month month;

	if (args->help || args->version)
		return true;
	if (c == NULL) {
		snprintf(problem, 256, "a command is missing");
		return false;
	}
	for (size_t i = 0; i < BF_COUNT(rows); i++) {
		if (args->given & UINT64_C(1) << i && !knows(c, &rows[i])) {
			snprintf(problem, 256, "%s does not know --%s", c->name, rows[i].name);
			return false;
		}
	}
	if (args->n_words < c->words_min || args->n_words > c->words_max) {
		snprintf(problem, 256, "%s: %s", c->name,
			c->words_max == 0 ? "nothing follows it but options" : c->words);
		return false;
	}
	for (int i = 0; c->words_are_months && i < args->n_words; i++) {
		if (!args_read_month(args->words[i], &month)) {
			snprintf(problem, 256, "%s: a month like 2023-12 is wanted, not %.60s",
				c->name, args->words[i]);
			return false;
		}
	}
	return true;
}

/* Reads the whole command line. */
bool args_read(const struct command *commands, int n_commands, int argc, char *const *argv,
	struct args *ret, char problem[256])
{
	bool only_words = false;

	*ret = (struct args){ .interval_s = 2 };
	problem[0] = '\0';
	for (int i = 1; i < argc;) {
		if (!only_words && strcmp(argv[i], "--") == 0) {
			only_words = true;
			i++;
		} else if (!only_words && strncmp(argv[i], "--", 2) == 0) {
			int taken = read_option(ret, argc - i, argv + i, problem);

			if (taken == 0)
				return false;
			i += taken;
		} else if (!only_words && argv[i][0] == '-' && argv[i][1] != '\0') {
			if (strcmp(argv[i], "-h") != 0) {
				snprintf(problem, 256, "unknown option %.60s", argv[i]);
				return false;
			}
			ret->help = true;
			i++;
		} else if (take_word(commands, n_commands, ret, argv[i], problem)) {
			i++;
		} else {
			return false;
		}
	}
	return check(ret, problem);
}

/* Options for the help. */
void args_each(const struct command *command, args_visit *visit, void *ctx)
{
	for (size_t i = 0; i < BF_COUNT(rows); i++) {
		if (command == NULL ? rows[i].everywhere
				    : !rows[i].everywhere && knows(command, &rows[i]))
			visit(ctx, rows[i].name, rows[i].value, rows[i].help);
	}
}
