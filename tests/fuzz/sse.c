/*
 * sse: a stream of events in pieces whose length the bytes choose, and the ids it carries. Pieces make no difference; an id
 * that is handed on is one that the server reads.
 */
#include "fuzz.h"
#include "query.h"
#include "sse.h"

struct seen { struct bf_buf all; int n; };

static void on_event(void *ctx, const struct sse_event *event)
{
	struct seen *seen = ctx;
	int64_t id;

	FUZZ_CHECK(event->name != NULL && event->data != NULL && event->id != NULL);
	FUZZ_CHECK(strlen(event->id) < SSE_ID_MAX && strlen(event->name) < SSE_NAME_MAX);
	FUZZ_CHECK(!query_id(event->id, &id) || id >= 0);
	seen->n++;
	bf_buf_addf(&seen->all, "%s|%s|%s\n", event->name, event->id, event->data);
}

/* The stream in pieces of `step` bytes; true when it was one to the end. */
static bool feed(const uint8_t *data, size_t size, size_t step, struct seen *ret)
{
	struct sse sse;
	bool good = true;

	bf_buf_init(&ret->all, 8 << 20);
	ret->n = 0;
	sse_init(&sse, on_event, ret);
	for (size_t at = 0; good && at < size; at += step)
		good = sse_feed(&sse, (const char *)data + at, step < size - at ? step : size - at);
	sse_restart(&sse);
	sse_release(&sse);
	return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, size };
	size_t step = 1 + fuzz_byte(&in) % 61;
	struct seen whole, pieces;
	bool a, b;

	a = feed(in.at, in.left, in.left + 1, &whole);
	b = feed(in.at, in.left, step, &pieces);
	if (a && b) {
		FUZZ_CHECK(whole.n == pieces.n);
		FUZZ_CHECK(whole.all.len == pieces.all.len && memcmp(whole.all.data, pieces.all.data, whole.all.len) == 0);
	}
	bf_buf_release(&whole.all);
	bf_buf_release(&pieces.all);
	return 0;
}
