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
#include <string.h>
#include <sys/socket.h>

/* Whether evhttp has let go of the connection. */
static bool is_gone(const struct conn *conn)
{
	bufferevent_data_cb on_read = NULL, on_write = NULL;
	bufferevent_event_cb on_event = NULL;

	bufferevent_getcb(conn->bev, &on_read, &on_write, &on_event, NULL);
	return on_read == NULL && on_write == NULL && on_event == NULL;
}

/* Sets what a connection has sent without an answer. */
static void set_received(struct conn *conn, size_t bytes)
{
	conn->conns->received += bytes - conn->received;
	conn->received = bytes;
}

/* Ends both directions; evhttp notices at its next read or write. One that has no descriptor yet is cut by the sweep. */
static void cut(struct conn *conn)
{
	evutil_socket_t fd = bufferevent_getfd(conn->bev);

	if (conn->cut || fd < 0)
		return;
	shutdown(fd, SHUT_RDWR);
	set_received(conn, 0);
	conn->cut = true;
	conn->conns->n_cut++;
}

/* Whether some of an answer still waits to be written. */
static bool is_writing(const struct conn *conn)
{
	return evbuffer_get_length(bufferevent_get_output(conn->bev)) > 0;
}

/* The one that has sent most of what is not answered. */
static struct conn *find_largest(struct conns *conns)
{
	struct conn *conn, *found = NULL;

	LIST_FOREACH (conn, &conns->list, entry) {
		if (!conn->cut && (found == NULL || conn->received > found->received))
			found = conn;
	}
	return found;
}

/* Bytes that are 0, of so many from an offset on. */
static size_t count_zeros(struct evbuffer *buffer, size_t from, size_t len)
{
	struct evbuffer_ptr at;
	struct evbuffer_iovec piece;
	size_t n = 0, all = evbuffer_get_length(buffer), end = len < all - from ? from + len : all;

	while (from < end && evbuffer_ptr_set(buffer, &at, from, EVBUFFER_PTR_SET) == 0 &&
		evbuffer_peek(buffer, -1, &at, &piece, 1) > 0 && piece.iov_len > 0) {
		size_t left = piece.iov_len < end - from ? piece.iov_len : end - from;
		const char *p = piece.iov_base, *stop = p + left;

		while ((p = memchr(p, 0, (size_t)(stop - p))) != NULL) {
			n++;
			p++;
		}
		from += left;
	}
	return n;
}

/* How many of the next bytes may still belong to a header. */
static size_t left_to_look_at(size_t seen)
{
	return seen < CONNS_LOOKED_AT ? CONNS_LOOKED_AT - seen : 0;
}

/* evhttp reads on while an answer waits to be taken, and keeps a body whole before anybody has looked at its secret. */
static void on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *ctx)
{
	struct conn *conn = ctx, *largest;
	struct conns *conns = conn->conns;

	if (info->n_added == 0 || conn->cut)
		return;
	conn->zeros += count_zeros(input, info->orig_size, left_to_look_at(conn->received));
	set_received(conn, conn->received + info->n_added);
	if (conn->received > (is_writing(conn) ? CONNS_AHEAD_MAX : conns->request_max)) {
		conns->oversized++;
		cut(conn);
		return;
	}
	largest = conns->received > CONNS_BYTES_MAX ? find_largest(conns) : NULL;
	if (largest != NULL) {
		conns->oversized++;
		cut(largest);
	}
}

/* Forgets a connection; the last reference closes its descriptor. */
static void drop(struct conns *conns, struct conn *conn)
{
	if (conn->request != NULL)
		conn->request->conn = NULL;
	LIST_REMOVE(conn, entry);
	conns->live--;
	conns->n_cut -= conn->cut;
	set_received(conn, 0);
	evbuffer_remove_cb(bufferevent_get_input(conn->bev), on_input, conn);
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

/* Whether a goes before b: those that wait for nothing of ours first, then by how long we have waited for theirs. */
static bool is_worse(const struct conn *a, const struct conn *b)
{
	if (is_writing(a) != is_writing(b))
		return is_writing(b);
	return a->deadline_us < b->deadline_us;
}

/* Cuts the connection that can best be spared; false when all have a request under way. */
static bool make_room(struct conns *conns)
{
	struct conn *conn, *found = NULL;

	LIST_FOREACH (conn, &conns->list, entry) {
		if (conn->request == NULL && !conn->cut && (found == NULL || is_worse(conn, found)))
			found = conn;
	}
	if (found == NULL)
		return false;
	cut(found);
	conns->displaced += found->cut;
	return found->cut;
}

/* A newcomer for whom there is no room ends in the turn after the one that set it up: evhttp gives it its descriptor only
 * then. The sweep that is due anyway does it, by a deadline that has passed. */
struct bufferevent *conns_accept(struct conns *conns)
{
	struct bufferevent *bev;
	struct conn *conn;
	bool full;

	if (conns->live - conns->n_cut >= CONNS_MAX)
		reap(conns);
	full = conns->live - conns->n_cut >= CONNS_MAX && !make_room(conns);
	bev = bufferevent_socket_new(bf_loop_base(conns->loop), -1, BEV_OPT_CLOSE_ON_FREE);
	if (bev == NULL)
		return NULL;
	bufferevent_incref(bev);
	conn = bf_xcalloc(1, sizeof(*conn));
	conn->bev = bev;
	conn->conns = conns;
	conn->deadline_us = full ? 0 : bf_now_us() + CONNS_RECEIVE_MS * UINT64_C(1000);
	evbuffer_add_cb(bufferevent_get_input(bev), on_input, conn);
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

bool conns_has_zero(const struct conn *conn, struct evbuffer *body)
{
	struct evbuffer *input = bufferevent_get_input(conn->bev);
	size_t taken = conn->received - evbuffer_get_length(input);
	size_t unread = count_zeros(input, 0, left_to_look_at(taken));

	return conn->zeros > unread + count_zeros(body, 0, evbuffer_get_length(body));
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
	conn->zeros = count_zeros(bufferevent_get_input(conn->bev), 0, CONNS_LOOKED_AT);
	if (!conn->cut)
		set_received(conn, conns_unread(conn));
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
