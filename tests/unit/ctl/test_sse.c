/* Event streams: whatever pieces the bytes come in, the same events come out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "sse.h"

static struct bf_buf seen;

/* Each event as "name/id/data;". */
static void on_event(void *ctx, const struct sse_event *e)
{
	(void)ctx;
	bf_buf_addf(&seen, "%s/%s/%s;", e->name, e->id, e->data);
}

/* Feeds a stream in pieces of every length up to its own, and wants the same each time. */
static void check(const char *bytes, size_t len, const char *want)
{
	for (size_t piece = 1; piece <= len; piece++) {
		struct sse s;

		bf_buf_init(&seen, 65536);
		sse_init(&s, on_event, NULL);
		for (size_t i = 0; i < len; i += piece)
			assert_true(sse_feed(&s, bytes + i, len - i < piece ? len - i : piece));
		assert_string_equal(seen.data, want);
		sse_release(&s);
		bf_buf_release(&seen);
	}
}

#define CHECK(bytes, want) check(bytes, sizeof(bytes) - 1, want)

/* Fields, comments, a blank behind the colon, unknown fields, several lines of data. */
static void reads_fields(void **state)
{
	(void)state;
	CHECK("id: 7\nevent: step\ndata: {\"a\":1}\n\n", "step/7/{\"a\":1};");
	CHECK(": hello\n\ndata:one\ndata:  two\ndata\n\n", "message//one\n two\n;");
	CHECK("event: a\n\ndata: x\n\n", "message//x;");	/* without data there is no event, and its name is forgotten */
	CHECK("data: x\nfoo: y\ndataset: z\n\n", "message//x;");
	CHECK("id: 1\ndata: x\n\ndata: y\n\n", "message/1/x;message/1/y;");	/* an id holds on */
	CHECK("data: x\n", "");	/* cut off */
	CHECK("\xef\xbb\xbf" "data: x\n\n", "message//x;");
}

/* All three ends of a line, mixed. */
static void reads_line_ends(void **state)
{
	(void)state;
	CHECK("id: 1\r\ndata: a\r\n\r\nid: 2\rdata: b\r\rid: 3\ndata: c\n\ndata: d\r\n\n", "message/1/a;message/2/b;message/3/c;message/3/d;");
}

/* An id with a NUL in it, or too long to be one of ours, is left out. */
static void keeps_ids_sane(void **state)
{
	char *text = bf_xasprintf("id: 5\ndata: a\n\nid: %0200d\ndata: b\n\n", 1);

	(void)state;
	CHECK("id: 5\nid: 6\0\ndata: x\n\n", "message/5/x;");
	check(text, strlen(text), "message/5/a;message/5/b;");
	free(text);
}

/* The id of an event that was cut off does not count: the next connection has to bring it again. */
static void restarts_behind_the_last_whole_event(void **state)
{
	static const char first[] = "id: 1\ndata: a\n\nid: 2\nevent: n\ndata: b\n";
	struct sse s;

	(void)state;
	bf_buf_init(&seen, 65536);
	sse_init(&s, on_event, NULL);
	assert_true(sse_feed(&s, first, sizeof(first) - 1));
	assert_string_equal(s.id, "1");
	sse_restart(&s);
	assert_true(sse_feed(&s, "data: c\n\n", 9));
	assert_string_equal(seen.data, "message/1/a;message/1/c;");
	sse_release(&s);
	bf_buf_release(&seen);
}

/* What the server wants before a new try: digits alone, and not for ever. */
static void reads_retry(void **state)
{
	static const struct {
		const char *line;
		int64_t want;
	} cases[] = { { "retry: 1500\n", 1500 }, { "retry: 0\n", 0 }, { "retry: 999999999\n", 600000 }, { "retry: 9999999999\n", -1 },
		{ "retry: x\n", -1 }, { "retry: -1\n", -1 }, { "retry:\n", -1 } };

	(void)state;
	for (size_t i = 0; i < BF_COUNT(cases); i++) {
		struct sse s;

		sse_init(&s, on_event, NULL);
		assert_true(sse_feed(&s, cases[i].line, strlen(cases[i].line)));
		assert_int_equal(s.retry_ms, cases[i].want);
		sse_release(&s);
	}
}

/* Endless lines and endless events end the reading, not the memory. */
static void is_bounded(void **state)
{
	static const char piece[1024] = { 'd' };
	struct sse s;
	bool fine = true;
	int n = 0;

	(void)state;
	sse_init(&s, on_event, NULL);
	for (; fine && n < 4096; n++)
		fine = sse_feed(&s, piece, sizeof(piece));
	assert_false(fine);
	sse_release(&s);
	sse_init(&s, on_event, NULL);
	for (n = 0, fine = true; fine && n < 1 << 20; n++)
		fine = sse_feed(&s, "data: 0123456789\n", 17);
	assert_false(fine);
	sse_release(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(reads_fields), cmocka_unit_test(reads_line_ends), cmocka_unit_test(keeps_ids_sane),
		cmocka_unit_test(restarts_behind_the_last_whole_event), cmocka_unit_test(reads_retry), cmocka_unit_test(is_bounded) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
