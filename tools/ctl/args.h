/*
 * args: the command line as one struct, from one table of options and one of commands. Pure: what is wrong comes back as text.
 */
#ifndef CTL_ARGS_H
#define CTL_ARGS_H
#include <stdbool.h>
#include <stdint.h>

#define ARGS_WORDS_MAX 600	/* every month of fifty years */

struct args_years { int start, end; };		/* 0: not given */
struct args_month { int year, month; };		/* 0: not given */

struct args {
	const struct command *command;
	const char *words[ARGS_WORDS_MAX];	/* what follows the command and is no option */
	int n_words;
	uint64_t given;				/* a bit for each row of the option table */

	const char *url, *secret_file, *operator_name;
	int timeout_s;
	bool json, help, version;

	int batch_size, limit, max_quota, interval_s, below;
	struct args_years years;
	struct args_month month;
	bool force_retry, dry_run, yes, all, follow, until_done, failed;
	const char *status, *reason, *provider, *after, *note, *until, *since;
	const char *prompt_variant, *model, *experiment, *refused, *by, *path;
};

struct ctl;
struct command {
	const char *name, *words, *help;	/* words: how what follows is shown, "" for nothing */
	int words_min, words_max;
	bool words_are_months;
	const char *options;			/* the options it knows besides those of every command, blank-separated */
	int (*run)(struct ctl *);
};

/* Reads a command line (argv[0] is skipped). False: `problem` says what is wrong. With --help or --version nothing else is
 * demanded. */
bool args_read(const struct command *commands, int n_commands, int argc, char *const *argv, struct args *ret, char problem[256]);
bool args_read_years(const char *, struct args_years *ret);	/* "2000-2024", "2010" */
bool args_read_month(const char *, struct args_month *ret);	/* "2023-12" */
/* Calls back for each option of a command (NULL: those of every command), in the table's order. */
typedef void args_visit(void *ctx, const char *name, const char *value, const char *help);
void args_each(const struct command *, args_visit *, void *ctx);
#endif
