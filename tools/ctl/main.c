/*
 * backfillctl: the operator's command line for backfilld. Reads the command line and the secret, makes the call, shows the
 * answer. Exit statuses are those of enum ctl_exit.
 */
#include "ctl.h"
#include "secret.h"
#include <curl/curl.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_URL  "http://127.0.0.1:8787"
#define URL_ENV      "BACKFILL_URL"
#define OPERATOR_ENV "BACKFILL_OPERATOR"
#define MANY         ARGS_WORDS_MAX

// clang-format off
static const struct command commands[] = {
	{ "stats", "", "months by status, totals, what ended last", 0, 0, false, "", show_stats },
	{ "months", "", "all months as a grid; with --status those alone, and a list", 0, 0, false, "status", show_months },
	{ "month", "YYYY-MM", "a month: row, answers, books, transitions", 1, 1, true, "", show_month },
	{ "why", "YYYY-MM", "why a month is where it is, and when it can start", 1, 1, true, "", show_why },
	{ "book", "ISBN|WORK_KEY", "everything about one book", 1, 1, false, "", show_book },
	{ "watch", "", "progress as it goes", 0, 0, false, "interval until-done", watch_run },
	{ "events", "", "transitions: what happened, and with --follow what happens", 0, 0, false, "follow since", events_show },
	{ "schedule", "", "claim months and run them; --dry-run prints the plan", 0, 0, false,
		"batch-size years force-retry dry-run", steer_schedule },
	{ "seed", "", "make the rows of months (2000-2024)", 0, 0, false, "years", steer_seed },
	{ "harvest", "[YYYY-MM]", "run one month, or the next", 0, 1, true,
		"batch-size dry-run prompt-variant model max-quota experiment", steer_harvest },
	{ "job", "JOB_ID", "how a harvest or a claimed month is doing", 1, 1, false, "", steer_job },
	{ "retry", "[YYYY-MM]...", "make months due now, by name or by what they share", 0, MANY, true,
		"failed below refused years limit dry-run yes", steer_retry },
	{ "reset", "YYYY-MM...", "start months from nothing", 1, MANY, true, "yes", steer_reset },
	{ "cancel", "YYYY-MM...", "stop months", 1, MANY, true, "yes", steer_cancel },
	{ "pause", "", "claim nothing, on any instance", 0, 0, false, "note until", steer_pause },
	{ "resume", "", "end the pause", 0, 0, false, "", steer_resume },
	{ "queue", "", "items of the enrichment queue", 0, 0, false, "status reason provider month limit after", queue_list },
	{ "redrive", "", "make failed items due again", 0, 0, false, "reason provider month limit dry-run yes", queue_redrive },
	{ "adopt", "", "take over items of a former system", 0, 0, false, "limit dry-run yes", queue_adopt },
	{ "quota", "", "units used and left today", 0, 0, false, "", show_quota },
	{ "alerts", "", "what is wrong, and what to do", 0, 0, false, "all", show_alerts },
	{ "verify", "", "prove that nothing is lost, doubled or miscounted", 0, 0, false, "years", show_verify },
	{ "doctor", "", "schema, clocks, permissions and settings, with remedies", 0, 0, false, "", show_doctor },
	{ "audit", "", "who asked for what, newest first", 0, 0, false, "limit by path after", audit_list },
	{ "config", "", "the settings in effect", 0, 0, false, "", show_config },
};
// clang-format on

/* One option in the help. */
static void print_option(void *ctx, const char *name, const char *value, const char *help)
{
	char left[64];

	snprintf(left, sizeof(left), "--%s%s%s", name, value != NULL ? " " : "",
		value != NULL ? value : "");
	fprintf(ctx, "  %-24s %s\n", left, help);
}

/* The help, of all or of one command. */
static int print_help(const struct command *c)
{
	if (c == NULL) {
		printf("Usage: backfillctl COMMAND [ARGUMENT]... [OPTION]...\nSees and steers "
		       "backfilld.\n\n");
		for (size_t i = 0; i < BF_COUNT(commands); i++) {
			char left[64];

			snprintf(left, sizeof(left), "%s %s", commands[i].name, commands[i].words);
			printf("  %-24s %s\n", left, commands[i].help);
		}
		printf("\nOptions of every command:\n");
	} else {
		printf("Usage: backfillctl %s%s%s [OPTION]...\n%c%s.\n\n", c->name,
			*c->words != '\0' ? " " : "", c->words,
			c->help[0] >= 'a' ? c->help[0] - 'a' + 'A' : c->help[0], c->help + 1);
		args_each(c, print_option, stdout);
	}
	args_each(NULL, print_option, stdout);
	if (c == NULL) {
		printf("\nbackfillctl COMMAND --help shows a command's own. The secret is read "
		       "from --secret-file, else\n"
		       "$CREDENTIALS_DIRECTORY/webhook, " SECRET_DEFAULT_FILE " or $" SECRET_ENV
		       ".\n"
		       "Exit status: 0 fine, 1 failed, 2 usage, 3 unreachable or refused, 4 verify "
		       "or doctor found something.\n");
	}
	return ferror(stdout) || fflush(stdout) != 0 ? CTL_FAILED : CTL_OK;
}

/* An option, else a variable, else a default. */
static const char *choose(const char *given, const char *variable, const char *otherwise)
{
	const char *value = given == NULL ? getenv(variable) : given;

	return value != NULL && *value != '\0' ? value : otherwise;
}

/* The server and the secret. */
static bool connect_client(struct ctl *ctl)
{
	struct client_config config = {
		.url = choose(ctl->args.url, URL_ENV, DEFAULT_URL),
		.operator_name = choose(ctl->args.operator_name, OPERATOR_ENV,
			choose(NULL, "SUDO_USER", getenv("USER"))),
		.timeout_s = ctl->args.timeout_s,
	};
	char problem[256], warning[256];
	char *secret = secret_find(ctl->args.secret_file, problem, warning);
	struct bf_error err;

	/* the server gives verify 100 s */
	if (config.timeout_s == 0)
		config.timeout_s = ctl->args.command->run == show_verify ? 120 : 30;
	if (warning[0] != '\0')
		out_complain("warning: %s", warning);
	/* One command asks for what is open to all. */
	if (secret == NULL && (problem[0] != '\0' || ctl->args.command->run != show_quota)) {
		out_complain("%s",
			problem[0] != '\0'
				? problem
				: "no secret: give --secret-file FILE, set $" SECRET_ENV
				  ", or be root where the service is installed");
		return false;
	}
	config.secret = secret;
	ctl->client = client_new(&config, &err);
	secret_free(secret);
	if (ctl->client == NULL)
		out_complain("%s", err.text);
	return ctl->client != NULL;
}

/* Runs the command; what could not be written counts as failed. */
static int run(struct ctl *ctl)
{
	int rc;

	ctl->arena = bf_arena_new();
	rc = ctl->args.command->run(ctl);
	if (fflush(ctl->out.file) != 0 || ferror(ctl->out.file)) {
		out_complain("the answer could not be written");
		if (rc == CTL_OK)
			rc = CTL_FAILED;
	}
	bf_arena_free(ctl->arena);
	return rc;
}

int main(int argc, char **argv)
{
	struct ctl ctl = { .client = NULL };
	char problem[256];
	int rc = CTL_USAGE;

	setlocale(LC_CTYPE, "");
	if (!args_read(commands, (int)BF_COUNT(commands), argc, argv, &ctl.args, problem)) {
		out_complain("%s (try --help)", problem);
		return CTL_USAGE;
	}
	if (ctl.args.version)
		return printf("backfillctl %s\n", BF_VERSION) < 0 || fflush(stdout) != 0
			? CTL_FAILED
			: CTL_OK;
	if (ctl.args.help)
		return print_help(ctl.args.command);
	out_init(&ctl.out, stdout);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return CTL_FAILED;
	if (connect_client(&ctl))
		rc = run(&ctl);
	client_free(ctl.client);
	curl_global_cleanup();
	return rc;
}
