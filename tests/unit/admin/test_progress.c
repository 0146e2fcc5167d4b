/*
 * progress: the sentence is true in every situation, and the time is bound by what takes longest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "progress.h"

#define NOW    INT64_C(1768350600000000) /* 2026-01-14 00:30:00 UTC */
#define IN(s)  (NOW + INT64_C(1000000) * (s))
#define HOUR   3600
#define NEVER  (-1)

struct situation {
	const char *name;
	struct bf_overview o;
	struct progress_facts f;
	enum progress_state state;
	double percent;
	const char *text;
	int64_t seconds;
	const char *binds;
};

/* A month takes 30 s, two at once; the timer starts ten at 03:00 every day. */
#define TIMER .next_run_us = IN(2 * HOUR + 1800), .last_run_us = IN(2 * HOUR + 1800), .batch_size = 10
#define PACE  .pace = { .seconds = 30, .at_once = 2 }

static const struct situation situations[] = {
	{ "empty", { .total = 0 }, { TIMER, PACE }, PROGRESS_EMPTY, 0, "No month is seeded yet: seed the years first", NEVER, "" },
	{ "done", { .total = 300, .completed = 299, .failed = 1 }, { TIMER, PACE }, PROGRESS_DONE, 100,
		"All 300 months are over: 299 completed, 1 failed", 0, "" },
	{ "working", { .total = 10, .completed = 4, .processing = 6, .in_flight = 6, .holders = 2 }, { TIMER, PACE },
		PROGRESS_WORKING, 40, "6 months in flight on 2 instances", 90, "2 months at once" },
	{ "one in flight", { .total = 3, .completed = 2, .processing = 1, .in_flight = 1, .holders = 1 }, { TIMER, PACE },
		PROGRESS_WORKING, 66.6, "1 month in flight on 1 instance", 30, "2 months at once" },
	{ "never 100 too early", { .total = 2412, .completed = 2411, .retry = 1, .retries_due = 1 }, { TIMER, PACE },
		PROGRESS_WAITING, 99.9, "1 month is due for the next attempt, taken up within seconds", 30, "2 months at once" },
	{ "retry", { .total = 4, .completed = 1, .retry = 3, .retry_first_us = IN(600), .retry_last_us = IN(1200),
		.retry_reason = "gemini: out of \"quota\"" }, { TIMER, PACE }, PROGRESS_WAITING, 25,
		"3 months wait for the next attempt, the first at 00:40 UTC (gemini: out of \"quota\")", 1230,
		"the last attempt that waits is due 00:50 UTC" },
	{ "quota", { .total = 4, .completed = 1, .retry = 3, .retries_due = 3 },
		{ TIMER, PACE, .no_ai = "gemini: out of quota for 7200 s", .no_ai_quota = true, .ai_back_us = IN(2 * HOUR) },
		PROGRESS_WAITING, 25, "Waits for quota until 02:30 UTC: gemini: out of quota for 7200 s", 2 * HOUR + 60,
		"no AI can be asked until 02:30 UTC" },
	{ "provider", { .total = 4, .pending = 4, .pending_within = 4 }, { TIMER, PACE, .no_ai = "gemini: disabled; xai: no api key" },
		PROGRESS_WAITING, 0, "Waits for a provider, no AI can be asked: gemini: disabled; xai: no api key", NEVER,
		"no AI provider can be asked" },
	{ "paused", { .total = 4, .pending = 4, .pending_within = 4, .paused = "{}", .pause_note = "moving disks" }, { TIMER, PACE },
		PROGRESS_PAUSED, 0, "Paused until somebody resumes: moving disks", NEVER, "paused until somebody resumes" },
	{ "paused until", { .total = 4, .pending = 2, .pending_within = 2, .processing = 2, .in_flight = 2, .paused = "{}",
		.pause_note = "", .pause_until_us = IN(30 * HOUR) }, { TIMER, PACE }, PROGRESS_PAUSED, 0,
		"Paused until 2026-01-15 06:30 UTC; 2 months in flight end first", 30 * HOUR + 60, "paused until 2026-01-15 06:30 UTC" },
	{ "idle", { .total = 287, .pending = 287, .pending_within = 287 },
		{ .next_run_us = IN(2 * HOUR + 1800), .last_run_us = IN(28 * 24 * HOUR + 2 * HOUR + 1800), .batch_size = 10, PACE },
		PROGRESS_IDLE, 0, "Idle: 287 months are pending; the timer starts 10 at 03:00 UTC", 28 * 24 * HOUR + 2 * HOUR + 1800 + 150,
		"the timer: 10 months a run, next 03:00 UTC" },
	{ "no timer", { .total = 12, .pending = 12, .pending_within = 12 }, { PACE, .batch_size = 10 }, PROGRESS_IDLE, 0,
		"Idle: 12 months are pending, and nothing claims pending months: schedule them", NEVER,
		"nothing claims the pending months: no timer is set" },
	{ "outside", { .total = 12, .completed = 11, .pending = 1 }, { TIMER, PACE }, PROGRESS_IDLE, 91.6,
		"Idle: the 1 pending month is outside the timer's years: schedule it", NEVER, "1 pending month is outside the timer's years" },
	{ "working, more pending", { .total = 12, .processing = 2, .in_flight = 2, .holders = 1, .pending = 10, .pending_within = 10 },
		{ TIMER, PACE }, PROGRESS_WORKING, 0, "2 months in flight on 1 instance", 2 * HOUR + 1800 + 150,
		"the timer: 10 months a run, next 03:00 UTC" },
	{ "left behind", { .total = 4, .completed = 2, .processing = 2, .left_behind = 2 }, { TIMER, PACE }, PROGRESS_WAITING, 50,
		"2 months wait for rescue: the instance that held them is gone", 30, "2 months at once" },
	{ "older", { .total = 4, .completed = 3, .processing = 1, .older = 1 }, { TIMER, PACE }, PROGRESS_WAITING, 75,
		"1 month is held by a program that holds no lock, taken up when it has not moved for long", 30, "2 months at once" },
};

/* One situation after the other: state, share, sentence, time and what binds. */
static void test_situations(void **state)
{
	(void)state;
	for (size_t i = 0; i < BF_COUNT(situations); i++) {
		const struct situation *s = &situations[i];
		struct bf_overview o = s->o;
		struct progress_facts f = s->f;
		struct progress p;

		o.db_wall_us = NOW;
		f.o = &o;
		progress_of(&f, &p);
		if (p.state != s->state || strcmp(p.text, s->text) != 0 || p.seconds_left != s->seconds ||
			strcmp(p.binds, s->binds) != 0 || (int)(p.percent * 10 + 0.5) != (int)(s->percent * 10 + 0.5))
			fail_msg("%s: %s, %.1f %%, \"%s\", %lld s, \"%s\"", s->name, progress_state_name(p.state), p.percent,
				p.text, (long long)p.seconds_left, p.binds);
	}
}

/* What binds of slots, rates and daily quotas is the longest; a quota waits for as many days as its units need. */
static void test_bounds(void **state)
{
	struct bf_overview o = { .total = 100, .processing = 100, .in_flight = 100, .holders = 1, .db_wall_us = NOW };
	struct progress_facts f = { .o = &o, .pace = { .seconds = 2, .at_once = 4 } };
	struct pace *pace = &f.pace;
	struct progress p;

	(void)state;
	progress_of(&f, &p);
	assert_string_equal(p.binds, "4 months at once");
	assert_int_equal(p.seconds_left, 50);
	pace->each[BF_OPEN_LIBRARY].calls = 12;
	pace->rate_per_s[BF_OPEN_LIBRARY] = 0.5;
	pace->each[BF_GEMINI].cost = 0.25;
	progress_of(&f, &p);
	assert_string_equal(p.binds, "open_library: 0.5/s");
	assert_int_equal(p.seconds_left, 2400);
	assert_true(p.cost_left_usd > 24.99 && p.cost_left_usd < 25.01);
	pace->each[BF_ISBNDB].units = 100;
	pace->left[BF_ISBNDB] = 4210;
	pace->reset_in_s[BF_ISBNDB] = 23 * HOUR + 1800;
	pace->per_day[BF_ISBNDB] = 13000; /* 5790 are lacking: they are there at midnight */
	progress_of(&f, &p);
	assert_string_equal(p.binds, "isbndb: 4,210 left today, resets 00:00 UTC");
	assert_int_equal(p.seconds_left, 23 * HOUR + 1800);
	pace->per_day[BF_ISBNDB] = 2000; /* three days' */
	progress_of(&f, &p);
	assert_int_equal(p.seconds_left, 23 * HOUR + 1800 + 2 * 24 * HOUR);
	pace->left[BF_ISBNDB] = 10000;
	progress_of(&f, &p);
	assert_string_equal(p.binds, "open_library: 0.5/s");
}

/* A note longer than a sentence bears is cut where a character ends. */
static void test_long_note(void **state)
{
	static char note[1001];
	struct bf_overview o = { .total = 1, .pending = 1, .paused = "{}", .pause_note = note, .db_wall_us = NOW };
	struct progress_facts f = { .o = &o };
	struct progress p;

	(void)state;
	for (int i = 0; i < 1000; i += 2)
		memcpy(note + i, "\xc3\xa4", 2);
	progress_of(&f, &p);
	assert_true(strlen(p.text) < 300);
	assert_true(bf_utf8_valid(p.text, strlen(p.text)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_situations),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_long_note),
	};

	return cmocka_run_group_tests_name("progress", tests, NULL, NULL);
}
