/* When there is an alert and when not, at the edges of each threshold, and what the texts name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "../../../src/schedule/alerts.h"

static struct bf_config config;
static struct bf_pulse pulse;
static struct bf_alert_facts facts;
static struct alert_view view;
static struct alert_list list;
static int64_t orphan_s[8];
static char model[] = "gemini-9";

static int set_up(void **state)
{
	(void)state;
	config = (struct bf_config){ .alerts = { .resolution_rate_warn = 85, .resolution_rate_critical = 60,
		.failed_months = 5, .isbndb_daily_calls = 6500, .queue_backlog = 100, .quota_warn_percent = 50,
		.quota_throttle_percent = 80, .attempts_warn = 4 }, .enrichment.enabled = true };
	for (int id = 0; id < BF_NPROVIDERS; id++)
		config.provider[id].enabled = true;
	config.provider[BF_GEMINI].model = model;
	pulse = (struct bf_pulse){ .queue_oldest_s = 60 };
	facts = (struct bf_alert_facts){ .live = 1 };
	memset(orphan_s, 0, sizeof orphan_s);
	view = (struct alert_view){ .facts = &facts, .config = &config, .pulse = &pulse, .orphan_s = orphan_s };
	view.limit[BF_ISBNDB] = 15000;
	view.reserve[BF_ISBNDB] = 2000;
	list = (struct alert_list){ .arena = bf_arena_new() };
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	bf_arena_free(list.arena);
	return 0;
}

/* The alert of that key and subject, NULL when there is none. */
static const struct bf_alert *judge(const char *key, const char *subject)
{
	list.n = 0;
	alert_rules(&view, &list);
	for (int i = 0; i < list.n; i++)
		if (strcmp(list.v[i].key, key) == 0 && strcmp(list.v[i].subject, subject) == 0)
			return &list.v[i];
	return NULL;
}

static void has(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("no \"%s\" in: %s", part, text);
}

/* Proves that nothing is raised of an empty database. */
static void nothing_of_nothing(void **state)
{
	(void)state;
	assert_null(judge("", ""));
	assert_int_equal(list.n, 0);
}

/* Proves rate <, and critical below the second threshold; no books are no rate. */
static void rate_edges(void **state)
{
	static const struct bf_alert_month low = { .year = 2023, .month = 12, .a = 7, .b = 20 };
	const struct bf_alert *a;

	(void)state;
	facts.low = &low;
	facts.n_low = 1;
	facts.pool = 5;
	assert_null(judge("resolution_rate", ""));
	facts.books = 100;
	facts.resolved = 85;
	assert_null(judge("resolution_rate", ""));
	facts.resolved = 84;
	a = judge("resolution_rate", "");
	assert_non_null(a);
	assert_false(a->critical);
	has(a->summary, "84.0 % of 100 books of the 5 months completed last have an ISBN, below 85 %; lowest: 2023-12 (7 of 20)");
	has(a->action, "GET /api/internal/months/2023/12");
	has(a->action, "{\"year\": 2023, \"month\": 12,");
	facts.resolved = 60;
	assert_false(judge("resolution_rate", "")->critical);
	facts.resolved = 59;
	assert_true(judge("resolution_rate", "")->critical);
	facts.circuit_why[BF_XAI] = "x";
	has(judge("resolution_rate", "")->action, "First mend who cannot be asked now: xai. ");
}

/* Proves failed months >, and that the calls take the numbers of the moment. */
static void failed_edges(void **state)
{
	const struct bf_alert *a;

	(void)state;
	facts.failed = 5;
	assert_null(judge("failed_months", ""));
	facts.failed = 70;
	facts.failed_again = 69;
	facts.failed_reason = "no book";
	facts.failed_reason_n = 40;
	facts.spent = (struct bf_alert_month){ .year = 2001, .month = 2 };
	a = judge("failed_months", "");
	has(a->summary, "70 months failed, more than 5; 69 of them have attempts left; most often (40): no book");
	has(a->action, "{\"batch_size\": 50, \"force_retry\": true}");
	has(a->action, "1 spent all attempts: POST /api/internal/months/2001/2/retry");
}

/* Proves calls >, percent > of the safe limit, and critical at the safe limit. */
static void quota_edges(void **state)
{
	const struct bf_alert *a;

	(void)state;
	facts.reset_at[BF_ISBNDB] = "2026-01-14T00:00:00Z";
	facts.used[BF_ISBNDB] = 6500;
	assert_null(judge("isbndb_daily_calls", "isbndb"));
	assert_null(judge("quota", "isbndb"));
	facts.used[BF_ISBNDB] = 6501;
	has(judge("isbndb_daily_calls", "isbndb")->action, "\"until\": \"2026-01-14T00:00:00Z\"}");
	a = judge("quota", "isbndb");
	assert_false(a->critical);
	has(a->summary, "6501 of 13000 units");
	has(a->action, "80 % (10400 units)");
	facts.used[BF_ISBNDB] = 12999;
	assert_false(judge("quota", "isbndb")->critical);
	facts.used[BF_ISBNDB] = 13000;
	assert_true(judge("quota", "isbndb")->critical);
	config.provider[BF_ISBNDB].enabled = false;
	assert_null(judge("quota", "isbndb"));
	facts.reset_at[BF_XAI] = "x";
	facts.used[BF_XAI] = 1000000;
	assert_null(judge("quota", "xai"));	/* no limit */
}

/* Proves backlog >, and that the advice follows pause, configuration and who is waited for. */
static void backlog_edges(void **state)
{
	(void)state;
	pulse.queue_depth = 100;
	assert_null(judge("queue_backlog", ""));
	pulse.queue_depth = 101;
	has(judge("queue_backlog", "")->action, "falls by itself");
	pulse.queue_waiting = 90;
	has(judge("queue_backlog", "")->action, "90 wait for a provider");
	config.enrichment.enabled = false;
	has(judge("queue_backlog", "")->action, "enrichment.enabled is false");
	pulse.paused = true;
	pulse.pause_note = "night";
	has(judge("queue_backlog", "")->action, "while paused (night): POST /api/internal/resume");
}

/* Proves that few failed items, or one in a hundred, are no alert; more are, and many always. */
static void item_edges(void **state)
{
	(void)state;
	facts.items_failed = 4;
	assert_null(judge("queue_failed", ""));
	facts.items_failed = 5;
	facts.items_reason = "title \"x\"";
	facts.items_done = 495;
	assert_null(judge("queue_failed", ""));
	facts.items_done = 494;
	has(judge("queue_failed", "")->action, "{\"reason\": \"title \\\"x\\\"\", \"dry_run\": false}");
	facts.items_done = 10001;
	facts.items_failed = 100;
	assert_null(judge("queue_failed", ""));
	facts.items_failed = 101;
	assert_null(strstr(judge("queue_failed", "")->summary, "%"));	/* not all were counted */
	facts.items_failed = 5000;
	has(judge("queue_failed", "")->summary, "at least 5000 items");
}

/* Proves that an orphan is told from a minute on, a stuck month at once, each with its span. */
static void stuck_edges(void **state)
{
	static struct bf_alert_month months[2] = {
		{ .year = 2023, .month = 12, .age_s = 7100, .text = "a" },
		{ .year = 2023, .month = 11, .age_s = 7200, .text = "b" },
	};

	(void)state;
	facts.stuck = months;
	facts.n_stuck = 2;
	months[1].b = 0;
	orphan_s[0] = orphan_s[1] = 59;
	assert_null(judge("stuck", ""));
	orphan_s[1] = 60;
	has(judge("stuck", "")->summary, "1 months are in processing and nobody works on them: 2023-11 (orphan of b, 2 h");
	has(judge("stuck", "")->action, "months/2023/11/cancel");
	orphan_s[1] = 0;
	months[1].b = 1;
	has(judge("stuck", "")->summary, "(stuck of b, 2 h");
	pulse.paused = true;
	has(judge("stuck", "")->action, "/api/internal/resume");
}

/* Proves that long foreign text does not overflow a sentence, and that five months are named at most. */
static void attempts_text(void **state)
{
	static struct bf_alert_month months[5];
	static char longer[2000];

	(void)state;
	memset(longer, 'e', sizeof longer - 1);
	for (int i = 0; i < 5; i++)
		months[i] = (struct bf_alert_month){ .year = 2001, .month = i + 1, .a = 4, .text = longer };
	assert_null(judge("attempts", ""));
	facts.tries = months;
	facts.n_tries = 5;
	facts.tried = 9;
	has(judge("attempts", "")->summary, "9 months have 4 failed attempts or more, of 5: 2001-01 (4: eee");
	has(judge("attempts", "")->summary, "2001-05 (4: eee");
	has(judge("attempts", "")->action, "POST /api/internal/months/2001/1/retry");
}

/* Proves that a circuit is told after ten minutes, and whom a refused key, used up credit and no AI are blamed on. */
static void provider_edges(void **state)
{
	(void)state;
	facts.circuit_why[BF_WIKIDATA] = "timed out";
	facts.circuit_s[BF_WIKIDATA] = 600;
	assert_null(judge("circuit", "wikidata"));
	facts.circuit_s[BF_WIKIDATA] = 601;
	has(judge("circuit", "wikidata")->summary, "nothing for 10 min: timed out");
	facts.off[BF_GEMINI] = 1;
	facts.off_why[BF_GEMINI] = "one: key or model refused: HTTP 401";
	assert_true(judge("provider_off", "gemini")->critical);
	has(judge("provider_off", "gemini")->action, "provider.gemini.model is gemini-9");
	facts.off[BF_GOOGLE_BOOKS] = 1;
	facts.off_why[BF_GOOGLE_BOOKS] = "one: credit used up: x";
	assert_false(judge("provider_off", "google_books")->critical);
	has(judge("provider_off", "google_books")->action, "Add credit to the account of google_books");
	facts.live = 2;
	facts.without_ai = 1;
	assert_null(judge("no_ai", ""));
	facts.without_ai = 2;
	facts.no_ai_why = "gemini: off; xai: no api key";
	has(judge("no_ai", "")->summary, "any of 2 instances, so no month is claimed: gemini: off; xai: no api key");
	has(judge("no_ai", "")->action, "Mend gemini first");
	facts.live = facts.without_ai = 0;
	assert_null(judge("no_ai", ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_of_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(rate_edges, set_up, tear_down),
		cmocka_unit_test_setup_teardown(failed_edges, set_up, tear_down),
		cmocka_unit_test_setup_teardown(quota_edges, set_up, tear_down),
		cmocka_unit_test_setup_teardown(backlog_edges, set_up, tear_down),
		cmocka_unit_test_setup_teardown(item_edges, set_up, tear_down),
		cmocka_unit_test_setup_teardown(stuck_edges, set_up, tear_down),
		cmocka_unit_test_setup_teardown(attempts_text, set_up, tear_down),
		cmocka_unit_test_setup_teardown(provider_edges, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
