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

static struct watch_figures figures(int64_t pending, int64_t processing, int64_t completed, int64_t books)
{
	return (struct watch_figures){ .total = pending + processing + completed, .pending = pending, .processing = processing,
		.completed = completed, .books = books };
}

/* Idle is idle, a server that is away is unknown, and nothing left is done. */
static void names_the_state(void **state)
{
	struct watch w = { .n_samples = 0 };
	struct watch_figures f = figures(3, 0, 1, 20);

	(void)state;
	watch_take(&w, &f, SECOND);
	assert_string_equal(watch_state(&w), "idle");
	assert_false(watch_done(&f));
	f.is_paused = true;
	watch_take(&w, &f, SECOND);
	assert_string_equal(watch_state(&w), "paused");
	f.processing = 1;
	watch_take(&w, &f, SECOND);
	assert_string_equal(watch_state(&w), "running");	/* what is in flight ends */
	snprintf(w.away, sizeof(w.away), "gone");
	assert_string_equal(watch_state(&w), "unknown");
	f = figures(0, 0, 4, 20);
	watch_take(&w, &f, SECOND);
	assert_string_equal(watch_state(&w), "done");
	f.queue_pending = 1;
	watch_take(&w, &f, SECOND);
	assert_string_equal(watch_state(&w), "idle");
	assert_false(watch_done(&f));
	snprintf(f.unready, sizeof(f.unready), "no AI provider usable");
	watch_take(&w, &f, SECOND);
	assert_string_equal(watch_state(&w), "not ready");
}

/* Only what is complete is 100 %. */
static void rounds_down(void **state)
{
	struct watch_figures f = figures(1, 0, 2411, 0);

	(void)state;
	assert_true(watch_percent(&f) < 99.95 && watch_percent(&f) > 99.85);
	f = figures(0, 0, 2412, 0);
	assert_true(watch_percent(&f) >= 100.0);
	f = figures(0, 0, 0, 0);
	assert_true(watch_percent(&f) <= 0.0);
}

/* No pace before there is one; then what was seen in the window; after a reset it begins anew. */
static void measures_the_pace(void **state)
{
	struct watch w = { .n_samples = 0 };
	struct watch_figures f = figures(10, 2, 0, 0);

	(void)state;
	assert_true(watch_books_per_s(&w) < 0 && watch_seconds_left(&w) < 0);
	watch_take(&w, &f, 100 * SECOND);
	f = figures(9, 2, 1, 20);
	watch_take(&w, &f, 102 * SECOND);
	assert_true(watch_books_per_s(&w) < 0);	/* two seconds are too few */
	watch_take(&w, &f, 110 * SECOND);
	assert_true(watch_books_per_s(&w) > 1.9 && watch_books_per_s(&w) < 2.1);
	assert_true(watch_seconds_left(&w) < 0);	/* of one month nothing follows */
	f = figures(8, 2, 2, 40);
	watch_take(&w, &f, 120 * SECOND);
	assert_true(watch_seconds_left(&w) > 99 && watch_seconds_left(&w) < 101);
	watch_take(&w, &f, 600 * SECOND);	/* long away: what was before says nothing any more */
	assert_true(watch_books_per_s(&w) < 0);
	f = figures(12, 0, 0, 0);
	watch_take(&w, &f, 610 * SECOND);
	assert_int_equal(w.n_samples, 1);
	for (uint64_t i = 0; i < 200; i++)
		watch_take(&w, &f, 610 * SECOND + i * 1000);
	assert_int_equal(w.n_samples, WATCH_SAMPLES);
}

/* The picture has the figures, and no line that is wider than the terminal. */
static void draws(void **state)
{
	struct watch w = { .n_samples = 0 };
	struct watch_figures f = figures(6, 2, 4, 80);
	const struct out out = { .columns = 60, .utf8 = true };
	struct bf_buf buf;

	(void)state;
	f.n_flights = 1;
	f.flights[0] = (struct watch_flight){ 2023, 9, "resolving\x1b", 0 };
	f.quota_known = f.quota_limited = f.quota_usable = true;
	f.quota_left = 4210;
	f.quota_limit = 13000;
	snprintf(f.quota_reset, sizeof(f.quota_reset), "2026-01-14T00:00:00Z");
	watch_take(&w, &f, 100 * SECOND);
	bf_buf_init(&buf, 65536);
	watch_picture(&w, &out, "http://127.0.0.1:8787", 107 * SECOND, &buf);
	assert_non_null(strstr(buf.data, " 33.3 %  4 of 12 months, 8 left\n"));
	assert_non_null(strstr(buf.data, "in flight  2023-09 resolving\\x1b, and 1 more\n"));
	assert_non_null(strstr(buf.data, "ISBNdb     4210 of 13000 left, resets 2026-01-14T00:00:00Z\n"));
	assert_non_null(strstr(buf.data, "data       7 s old\n"));
	assert_non_null(strstr(buf.data, "\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88\xe2\x96\x91"));
	assert_null(strchr(buf.data, '\x1b'));
	for (const char *line = buf.data, *end; (end = strchr(line, '\n')) != NULL; line = end + 1)
		assert_true(text_width(line, (size_t)(end - line)) < 60);
	bf_buf_clear(&buf);
	snprintf(w.away, sizeof(w.away), "connection refused");
	watch_picture(&w, &out, "x", 300 * SECOND, &buf);
	assert_non_null(strstr(buf.data, "backfill at x: unknown\n"));
	assert_non_null(strstr(buf.data, "data       3 min old; the server is away: connection"));
	assert_null(strstr(buf.data, "time left"));
	bf_buf_clear(&buf);
	watch_line(&w, &buf);
	assert_string_equal(buf.data, "unknown: the server is away: connection refused");
	bf_buf_release(&buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(names_the_state), cmocka_unit_test(rounds_down),
		cmocka_unit_test(measures_the_pace), cmocka_unit_test(draws) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
