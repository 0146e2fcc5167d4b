/* What watch says is true: of the figures, of their age, and of what is not known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "watch_view.h"

#define SECOND 1000000u

static struct watch_figures figures(int64_t left, int64_t completed, int64_t books)
{
	return (struct watch_figures){ .state = "idle", .total = left + completed, .left = left, .pending = left, .completed = completed,
		.percent = 100.0 * (double)completed / (double)(left + completed), .books = books, .seconds_left = -1, .cost_left_usd = -1 };
}

/* The state is the server's, and unknown while it is away; done is what has neither months nor items left. */
static void names_the_state(void **state)
{
	struct watch w = { .n_samples = 0 };
	struct watch_figures f = figures(3, 1, 20);

	(void)state;
	watch_take(&w, &f, SECOND);
	assert_string_equal(watch_state(&w), "idle");
	assert_false(watch_done(&f));
	snprintf(w.away, sizeof(w.away), "gone");
	assert_string_equal(watch_state(&w), "unknown");
	snprintf(f.state, sizeof(f.state), "working");
	watch_take(&w, &f, SECOND);
	assert_string_equal(watch_state(&w), "working");
	f = figures(0, 4, 20);
	assert_true(watch_done(&f));
	f.queue_pending = 1;
	assert_false(watch_done(&f));
	f = (struct watch_figures){ .queue_processing = 1 };
	assert_false(watch_done(&f));
}

/* No pace before there is one; then what was seen in the window; after a reset it begins anew. */
static void measures_the_pace(void **state)
{
	struct watch w = { .n_samples = 0 };
	struct watch_figures f = figures(12, 0, 0);

	(void)state;
	assert_true(watch_books_per_s(&w) < 0);
	watch_take(&w, &f, 100 * SECOND);
	f = figures(11, 1, 20);
	watch_take(&w, &f, 102 * SECOND);
	assert_true(watch_books_per_s(&w) < 0);	/* two seconds are too few */
	watch_take(&w, &f, 110 * SECOND);
	assert_true(watch_books_per_s(&w) > 1.9 && watch_books_per_s(&w) < 2.1);
	watch_take(&w, &f, 600 * SECOND);	/* long away: what was before says nothing any more */
	assert_true(watch_books_per_s(&w) < 0);
	f = figures(12, 0, 0);
	watch_take(&w, &f, 610 * SECOND);
	assert_int_equal(w.n_samples, 1);
	for (uint64_t i = 0; i < 200; i++)
		watch_take(&w, &f, 610 * SECOND + i * 1000);
	assert_int_equal(w.n_samples, WATCH_SAMPLES);
}

/* A picture as text; the caller frees. */
static char *picture(const struct watch *w, int columns, bool utf8, uint64_t now_us)
{
	const struct out out = { .columns = columns, .utf8 = utf8 };
	struct bf_buf buf;
	char *text;

	bf_buf_init(&buf, 65536);
	watch_picture(w, &out, "http://127.0.0.1:8787", now_us, &buf);
	for (const char *line = buf.data, *end; columns > 0 && (end = strchr(line, '\n')) != NULL; line = end + 1)
		assert_true(text_width(line, (size_t)(end - line)) < (size_t)columns);
	text = bf_xstrdup(buf.data);
	bf_buf_release(&buf);
	return text;
}

/* Figures of a backfill at work. */
static struct watch_figures at_work(void)
{
	struct watch_figures f = figures(8, 4, 80);

	f.n_flights = 1;
	f.in_flight = f.processing = 2;
	f.flights[0] = (struct watch_flight){ 2023, 9, "resolving\x1b" };
	f.quota_known = f.quota_limited = f.quota_usable = true;
	f.quota_left = 4210;
	f.quota_limit = 13000;
	f.seconds_left = 300;
	f.cost_usd = 1.234;
	f.cost_left_usd = 0.5;
	snprintf(f.state, sizeof(f.state), "working");
	snprintf(f.text, sizeof(f.text), "2 months in flight on 1 instance");
	snprintf(f.quota_reset, sizeof(f.quota_reset), "2026-01-14 00:00 UTC");
	snprintf(f.ends_at, sizeof(f.ends_at), "2026-01-13 22:15 UTC");
	snprintf(f.binds, sizeof(f.binds), "isbndb: 3/s");
	return f;
}

/* The picture has the figures and the server's words, and no line that is wider than the terminal. */
static void draws(void **state)
{
	static const char *const wanted[] = { "working: 2 months in flight on 1 instance\n", " 33.3 %  4 of 12 months, 8 left\n",
		"months     4 completed, 2 processing, 8 pending, 0 retry, 0 failed\n",
		"in flight  2023-09 resolving\\x1b, and 1 more\n", "books      80 named, 0 with an ISBN (0.00 %)\n",
		"ISBNdb     4,210 of 13,000 left, resets 2026-01-14 00:00 UTC\n", "cost       1.23 USD so far, about 0.50 more\n",
		"time left  about 5 min, until 2026-01-13 22:15 UTC; isbndb: 3/s\n", "data       7 s old, from http://127.0.0.1:8787\n",
		"\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88\xe2\x96\x91" };
	struct watch w = { .n_samples = 0 };
	struct watch_figures f = at_work();
	char *text;

	(void)state;
	watch_take(&w, &f, 100 * SECOND);
	text = picture(&w, 80, true, 107 * SECOND);
	for (size_t i = 0; i < BF_COUNT(wanted); i++) {
		if (strstr(text, wanted[i]) == NULL)
			fail_msg("no %s in\n%s", wanted[i], text);
	}
	assert_null(strchr(text, '\x1b'));
	assert_null(strstr(text, "alerts"));
	free(text);
	text = picture(&w, 40, false, 107 * SECOND);
	assert_non_null(strstr(text, "###-------"));
	free(text);
	f.in_flight = f.n_flights = 6;
	for (int i = 0; i < f.n_flights; i++)
		f.flights[i] = (struct watch_flight){ 2023, 12 - i, "generating" };
	watch_take(&w, &f, 108 * SECOND);
	text = picture(&w, 72, false, 108 * SECOND);
	assert_non_null(strstr(text, "in flight  2023-12 generating, 2023-11 generating, and 4 more\n"));
	free(text);
}

/* Away: that is what it says, with the old figures and their age, and no guess at the time left. */
static void draws_a_server_that_is_away(void **state)
{
	struct watch w = { .n_samples = 0 };
	struct watch_figures f = at_work();
	struct bf_buf buf;
	char *text;

	(void)state;
	watch_take(&w, &f, 100 * SECOND);
	snprintf(w.away, sizeof(w.away), "connection refused");
	text = picture(&w, 80, true, 300 * SECOND);
	assert_memory_equal(text, "unknown: the server is away: connection refused\n", 48);
	assert_non_null(strstr(text, "data       3 min old"));
	assert_null(strstr(text, "time left"));
	assert_null(strstr(text, "working"));
	free(text);
	bf_buf_init(&buf, 65536);
	watch_line(&w, &buf);
	assert_string_equal(buf.data, "unknown: the server is away: connection refused");
	bf_buf_release(&buf);
}

/* What cannot be said is not said; the sentence does not repeat the state; alerts are named. */
static void draws_what_is_not_known(void **state)
{
	struct watch w = { .n_samples = 0 };
	struct watch_figures f = figures(12, 0, 0);
	char *text;

	(void)state;
	snprintf(f.text, sizeof(f.text), "Idle: 12 months are pending");
	snprintf(f.binds, sizeof(f.binds), "nothing claims them");
	snprintf(f.alert, sizeof(f.alert), "the quota is used up");
	f.n_alerts = 2;
	watch_take(&w, &f, SECOND);
	text = picture(&w, 0, true, SECOND);
	assert_memory_equal(text, "Idle: 12 months are pending\n", 28);
	assert_non_null(strstr(text, "in flight  none\n"));
	assert_non_null(strstr(text, "ISBNdb     not known\n"));
	assert_non_null(strstr(text, "cost       0.00 USD so far\n"));
	assert_non_null(strstr(text, "time left  not known; nothing claims them\n"));
	assert_non_null(strstr(text, "alerts     2 open: the quota is used up\n"));
	free(text);
	f = figures(0, 12, 0);
	watch_take(&w, &f, SECOND);
	text = picture(&w, 0, true, SECOND);
	assert_non_null(strstr(text, "time left  none\n"));
	free(text);
	f.queue_pending = 3;
	watch_take(&w, &f, SECOND);
	text = picture(&w, 0, true, SECOND);
	assert_non_null(strstr(text, "time left  the months have ended, the queue has not\n"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(names_the_state), cmocka_unit_test(measures_the_pace), cmocka_unit_test(draws),
		cmocka_unit_test(draws_a_server_that_is_away), cmocka_unit_test(draws_what_is_not_known) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
