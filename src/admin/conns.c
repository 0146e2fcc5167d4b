/*
 * conns: cap and absolute deadline for evhttp's connections, by an own reference on each bufferevent.
 *
 * evhttp 2.1 has neither a cap nor a hook at close. It does let us make the bufferevent, so each one is made here and
 * kept by a reference of our own. When evhttp lets go of its connection it takes its callbacks off the bufferevent,
 * which is how the sweep sees that a connection is gone; until then the reference keeps the descriptor from being
 * closed, so the number can't have been given to anybody else. A connection is cut with shutdown(): evhttp then reads
 * an end of file and tears down by its own rules, and no reply of another connection is touched.
 */
#include "conns.h"
#include "reply.h"
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/socket.h>

/* Whether evhttp has let go of the connection. */
static bool is_gone(const struct conn *conn)
{
	bufferevent_data_cb on_read = NULL, on_write = NULL;
	bufferevent_event_cb on_event = NULL;

	bufferevent_getcb(conn->bev, &on_read, &on_write, &on_event, NULL);
	return on_read == NULL && on_write == NULL && on_event == NULL;
}

/* Ends both directions; evhttp notices at its next read or write. */
static void cut(struct conn *conn)
{
	evutil_socket_t fd = bufferevent_getfd(conn->bev);

	if (fd >= 0 && !conn->cut)
		shutdown(fd, SHUT_RDWR);
	conn->cut = true;
}

/* Forgets a connection; the last reference closes its descriptor. */
static void drop(struct conns *conns, struct conn *conn)
{
	if (conn->request != NULL)
		conn->request->conn = NULL;
	LIST_REMOVE(conn, entry);
	conns->live--;
	bufferevent_decref(conn->bev);
	free(conn);
}

/* Drops the connections that evhttp has left. */
static void reap(struct conns *conns)
{
	struct conn *conn, *next;

	for (conn = LIST_FIRST(&conns->list); conn != NULL; conn = next) {
		next = LIST_NEXT(conn, entry);
		if (is_gone(conn))
			drop(conns, conn);
	}
}

/* Every 100 ms while connections live: forget the dead, cut the late. */
static void sweep(void *ctx)
{
	struct conns *conns = ctx;
	struct conn *conn;
	uint64_t now_us = bf_now_us();

	conns->sweep = NULL;
	reap(conns);
	LIST_FOREACH (conn, &conns->list, entry) {
		if (conn->cut || now_us < conn->deadline_us)
			continue;
		conns->timed_out++;
		cut(conn);
	}
	if (conns->live > 0)
		conns->sweep = bf_timer_start(conns->loop, CONNS_SWEEP_MS, sweep, conns);
}

/* Prepares an empty set. */
void conns_init(struct conns *conns, struct bf_loop *loop)
{
	*conns = (struct conns){ .loop = loop };
	LIST_INIT(&conns->list);
}

/* Lets go of every connection. */
void conns_release(struct conns *conns)
{
	while (!LIST_EMPTY(&conns->list))
		drop(conns, LIST_FIRST(&conns->list));
	bf_op_cancel(conns->sweep);
	conns->sweep = NULL;
}

/* A connection beyond the cap ends in the turn after the one that set it up: evhttp gives it its descriptor only then.
 * The sweep that is due anyway does it, by a deadline that has passed. */
struct bufferevent *conns_accept(struct conns *conns)
{
	struct bufferevent *bev;
	struct conn *conn;
	bool full;

	if (conns->live >= CONNS_MAX)
		reap(conns);
	full = conns->live >= CONNS_MAX;
	bev = bufferevent_socket_new(bf_loop_base(conns->loop), -1, BEV_OPT_CLOSE_ON_FREE);
	if (bev == NULL)
		return NULL;
	bufferevent_incref(bev);
	conn = bf_xcalloc(1, sizeof(*conn));
	conn->bev = bev;
	conn->deadline_us = full ? 0 : bf_now_us() + CONNS_RECEIVE_MS * UINT64_C(1000);
	LIST_INSERT_HEAD(&conns->list, conn, entry);
	conns->live++;
	conns->accepted++;
	if (full) {
		conns->refused++;
		bf_op_cancel(conns->sweep);
		conns->sweep = bf_timer_start(conns->loop, 0, sweep, conns);
	} else if (conns->sweep == NULL) {
		conns->sweep = bf_timer_start(conns->loop, CONNS_SWEEP_MS, sweep, conns);
	}
	return bev;
}

/* The connection that a bufferevent belongs to, or NULL. */
struct conn *conns_find(const struct conns *conns, const struct bufferevent *bev)
{
	struct conn *conn;

	LIST_FOREACH (conn, &conns->list, entry) {
		if (conn->bev == bev)
			return conn;
	}
	return NULL;
}

/* Gives the handler its time. */
void conns_working(struct conn *conn, struct request *request)
{
	conn->request = request;
	conn->deadline_us = bf_now_us() + CONNS_PENDING_MS * UINT64_C(1000);
}

/* For the few answers that may take longer. */
void conns_patience(struct conn *conn, int64_t ms)
{
	conn->deadline_us = bf_now_us() + (uint64_t)ms * 1000;
}

/* Leaves the stream to whoever writes it. */
void conns_streaming(struct conn *conn)
{
	evutil_socket_t fd = bufferevent_getfd(conn->bev);
	int bytes = CONNS_STREAM_SNDBUF;

	conn->deadline_us = UINT64_MAX;
	bufferevent_set_timeouts(conn->bev, NULL, NULL);
	bufferevent_setwatermark(conn->bev, EV_READ, 0, CONNS_STREAM_UNREAD);
	/* Not vital: with the kernel's own size a slow reader is only noticed later. */
	if (fd >= 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

/* What waits to be written. */
size_t conns_unwritten(const struct conn *conn)
{
	return evbuffer_get_length(bufferevent_get_output(conn->bev));
}

/* What nobody will read. */
size_t conns_unread(const struct conn *conn)
{
	return evbuffer_get_length(bufferevent_get_input(conn->bev));
}

/* With lingering off the kernel forgets its own part of the output, too. */
void conns_abort(struct conn *conn)
{
	const struct linger off = { .l_onoff = 1, .l_linger = 0 };
	evutil_socket_t fd = bufferevent_getfd(conn->bev);

	if (fd >= 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &off, sizeof(off));
	cut(conn);
}

/* Starts the clock for the next request; the answer must be read within it too. */
void conns_answered(struct conn *conn)
{
	conn->request = NULL;
	conn->deadline_us = bf_now_us() + CONNS_RECEIVE_MS * UINT64_C(1000);
}

/* Whether some of an answer still waits to be written. */
static bool is_writing(const struct conn *conn)
{
	return evbuffer_get_length(bufferevent_get_output(conn->bev)) > 0;
}

/* For a drain: who neither sent a request nor waits for an answer is let go. */
void conns_cut_idle(struct conns *conns)
{
	struct conn *conn;

	LIST_FOREACH (conn, &conns->list, entry) {
		if (conn->request == NULL && !is_writing(conn))
			cut(conn);
	}
}

/* How many answers are still being written. */
int conns_writing(const struct conns *conns)
{
	const struct conn *conn;
	int n = 0;

	LIST_FOREACH (conn, &conns->list, entry) {
		if (conn->request == NULL && !conn->cut && !is_gone(conn) && is_writing(conn))
			n++;
	}
	return n;
}
