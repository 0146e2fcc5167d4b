/*
 * sse: reads text/event-stream as the WHATWG's HTML standard has it (section 9.2), whatever pieces it comes in.
 */
#ifndef CTL_SSE_H
#define CTL_SSE_H
#include "backfill/base.h"

#define SSE_ID_MAX   128
#define SSE_NAME_MAX 64

struct sse_event { const char *name, *id, *data; };	/* name: "message" unless the stream gives one; id: the last one seen */
typedef void sse_done(void *ctx, const struct sse_event *);
struct sse {
	struct bf_buf line, data;
	char name[SSE_NAME_MAX], id[SSE_ID_MAX];	/* id: of the last event that was whole */
	char next_id[SSE_ID_MAX];
	bool after_cr, begun;
	int64_t retry_ms;	/* what the server wants before a new try; -1: it did not say */
	sse_done *done;
	void *ctx;
};
void sse_init(struct sse *, sse_done *, void *ctx);
void sse_release(struct sse *);
/* After a lost connection: what was half read is forgotten, the id stays. */
void sse_restart(struct sse *);
/* False when a line or an event is longer than a MiB: this is no stream of ours. */
bool sse_feed(struct sse *, const char *, size_t);
#endif
