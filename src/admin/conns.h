/*
 * conns: the connections of the interface, seen from outside evhttp. Counts them, cuts each one that passes its absolute
 * deadline (evhttp's own timeout only knows idleness, which a trickling client never is) and bounds what all of them may
 * have sent without an answer. Beyond the cap the one that has let us wait longest for its request makes room: who sends
 * his at once is served however many others hold connections open.
 */
#ifndef ADMIN_CONNS_H
#define ADMIN_CONNS_H
#include <sys/queue.h>
#include "backfill/reactor.h"

#define CONNS_MAX 256
#define CONNS_ACCEPTS_MAX 64		/* in one turn of the loop; then the others have theirs */
#define CONNS_LOOKED_AT ((size_t)64 << 10)	/* of a request's bytes, for those that are 0; a header is shorter */
#define CONNS_AHEAD_MAX ((size_t)64 << 10)	/* sent by one that does not take its answer */
#define CONNS_BYTES_MAX ((size_t)32 << 20)	/* received and not answered yet, by all together */
#define CONNS_SWEEP_MS 100
#define CONNS_RECEIVE_MS 10000		/* from accept or the last answer to a whole request */
#define CONNS_PENDING_MS 60000		/* while a handler works on the answer */
#define CONNS_STREAM_UNREAD 4096	/* bytes a client may send into a stream, which has no use for any */
#define CONNS_STREAM_SNDBUF 65536	/* of the kernel's, so that a reader who stopped shows soon */

struct bufferevent;
struct evbuffer;
struct request;

struct conn {
	struct bufferevent *bev;	/* our own reference; evhttp has another */
	struct request *request;	/* being answered; NULL between requests */
	uint64_t deadline_us;
	bool cut;			/* shut down by us, evhttp has not noticed yet */
	size_t received, zeros;		/* bytes since the last answer; how many of the first are 0 */
	struct conns *conns;
	LIST_ENTRY(conn) entry;
};

struct conns {
	struct bf_loop *loop;
	struct bf_op *sweep;		/* runs only while connections live */
	int live, n_cut;		/* the cut ones are still among the live */
	size_t received;		/* of those that are not cut */
	size_t request_max;		/* bytes that one request may have, head and body; set before anybody calls */
	uint64_t accepted, refused, displaced, oversized, timed_out;
	LIST_HEAD(conns_list, conn) list;
};

void conns_init(struct conns *, struct bf_loop *);
/* Drops every reference; evhttp must be gone already. */
void conns_release(struct conns *);
/* Makes the bufferevent of the connection that evhttp is about to set up, and watches it. */
struct bufferevent *conns_accept(struct conns *);
struct conn *conns_find(const struct conns *, const struct bufferevent *);
/* The request was received whole: the deadline is the handler's now. */
void conns_working(struct conn *, struct request *);
/* The handler gets this long instead; less than evhttp's own patience. */
void conns_patience(struct conn *, int64_t ms);
/* The answer has no end: no deadline cuts it, nor does evhttp's for idleness. Who streams watches over his reader. */
void conns_streaming(struct conn *);
/* Bytes that wait to be written, and what the client has sent meanwhile, which nobody reads. */
size_t conns_unwritten(const struct conn *);
size_t conns_unread(const struct conn *);
/* Ends the connection at once; what waits to be written is thrown away, by the kernel too. */
void conns_abort(struct conn *);
/* Whether a byte that is 0 came with the request, elsewhere than in its body: evhttp ends a line there and goes on. */
bool conns_has_zero(const struct conn *, struct evbuffer *body);
/* The answer is on its way: the next request has a new deadline. */
void conns_answered(struct conn *);
/* Shuts every connection down that has no request under way. */
void conns_cut_idle(struct conns *);
/* Connections whose answer has not been written out yet. */
int  conns_writing(const struct conns *);
#endif
