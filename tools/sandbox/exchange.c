/*
 * exchange: the way a reply leaves. At once when there is no latency and no fault; else it is
 * kept here until its time, trickled, cut, swollen, or its connection reset. A client that goes
 * away early is noticed by an event of our own (evhttp looks only when it writes). evhttp frees
 * a request whose connection it has lost only when the reply is ended, so that is done on the
 * next turn.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <event2/bufferevent.h>
#include "sandbox.h"

#define STALL_CAP_S	 600
#define OVERSIZED_BYTES	 (20u << 20)
#define OVERSIZED_CHUNK	 (64u << 10)
#define TRUTH_WORKS	 128		/* per chunk */

struct exchange {
	struct exchange *next, **prev;
	struct sandbox *sandbox;
	struct evhttp_request *req;
	struct event *timer, *closed;
	struct evbuffer *body;
	enum bf_provider_id provider;
	enum fault fault;
	int  status, month_index;
	bool due, streaming, gone, truth;
	size_t sent;			/* bytes, or works and lists of /_truth */
};

/* A reason phrase; clients ignore it. */
static const char *reason(int status)
{
	return status == 200    ? "OK"
		: status == 302 ? "Found"
		: status == 404 ? "Not Found"
		: status == 429 ? "Too Many Requests"
		: status >= 500 ? "Server Error"
				: "Error";
}

/* Counts a request of an AI in and out of flight, and sees whether both work on one month. */
static void flight(struct sandbox *s, enum bf_provider_id p, int month, int delta)
{
	s->counters[p].in_flight += (uint64_t)(int64_t)delta;
	if (month < 0 || !BF_IS_AI(p))
		return;
	s->counters[p].flying[month] += (uint32_t)delta;
	if (s->counters[BF_GEMINI].flying[month] && s->counters[BF_XAI].flying[month])
		s->overlap_seen = true;
}

/* Lets go of everything but the request. */
static void release(struct exchange *x)
{
	struct evhttp_connection *con =
		x->req && !x->gone ? evhttp_request_get_connection(x->req) : NULL;

	if (con)
		evhttp_connection_set_closecb(con, NULL, NULL);
	if (!x->truth)
		flight(x->sandbox, x->provider, x->month_index, -1);
	*x->prev = x->next;
	if (x->next)
		x->next->prev = x->prev;
	if (x->timer)
		event_free(x->timer);
	if (x->closed)
		event_free(x->closed);
	if (x->body)
		evbuffer_free(x->body);
	free(x);
}

/* Ends the exchange by closing its connection, without a reply. */
static void drop(struct exchange *x)
{
	struct evhttp_connection *con = evhttp_request_get_connection(x->req);
	struct evhttp_request *req = x->req;
	bool gone = x->gone, streaming = x->streaming;

	release(x);
	if (con && !gone)
		evhttp_connection_free(con);	/* and the request with it */
	else if (streaming)
		evhttp_send_reply_end(req);	/* its connection is lost: this frees it */
	else
		evhttp_send_reply(req, 500, "Gone", NULL);
}

/* Resets the connection: the peer sees RST, not an orderly end. */
static void reset(struct exchange *x)
{
	struct evhttp_connection *con = evhttp_request_get_connection(x->req);
	struct bufferevent *bev = con ? evhttp_connection_get_bufferevent(con) : NULL;
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };
	int fd = bev ? bufferevent_getfd(bev) : -1;

	if (fd >= 0) {
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
		(void)connect(fd, &none, sizeof(none));
	}
	drop(x);
}

/* Runs x's step again after so many milliseconds. */
static void again(struct exchange *x, int64_t ms)
{
	struct timeval tv = { .tv_sec = (time_t)(ms / 1000),
		.tv_usec = (suseconds_t)(ms % 1000 * 1000) };

	event_add(x->timer, &tv);
}

/* Starts a streamed reply; length 0 makes it chunked. */
static void stream_start(struct exchange *x, size_t length)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(x->req);
	char text[32];

	if (length) {
		snprintf(text, sizeof(text), "%zu", length);
		evhttp_add_header(headers, "Content-Length", text);
		evhttp_add_header(headers, "Connection", "close");
	}
	x->streaming = true;
	evhttp_send_reply_start(x->req, x->status, reason(x->status));
}

/* Ends a streamed reply. */
static void stream_end(struct exchange *x)
{
	struct evhttp_request *req = x->req;

	release(x);
	evhttp_send_reply_end(req);
}

/* One byte a second. */
static void drip(struct exchange *x)
{
	struct evbuffer *one = evbuffer_new();

	if (!x->streaming)
		stream_start(x, evbuffer_get_length(x->body));
	if (!one || !evbuffer_get_length(x->body) || x->sent++ >= STALL_CAP_S) {
		if (one)
			evbuffer_free(one);
		stream_end(x);
		return;
	}
	evbuffer_remove_buffer(x->body, one, 1);
	evhttp_send_reply_chunk(x->req, one);
	evbuffer_free(one);
	again(x, 1000);
}

/* Less than what the header announces. */
static void truncated(struct exchange *x)
{
	size_t len = evbuffer_get_length(x->body);
	struct evbuffer *part = evbuffer_new();

	stream_start(x, len + 64);
	if (part && len) {
		evbuffer_remove_buffer(x->body, part, len * 2 / 3 + 1);
		evhttp_send_reply_chunk(x->req, part);
	}
	if (part)
		evbuffer_free(part);
	stream_end(x);
}

/* Next piece of a body without end, or of /_truth, when the last one has left. */
static void next_piece(struct evhttp_connection *con, void *arg);

/* 20 MiB of a string that never closes. */
static void oversized(struct exchange *x)
{
	static char filler[OVERSIZED_CHUNK];
	struct evbuffer *piece;

	if (!x->streaming) {
		memset(filler, 'a', sizeof(filler));
		stream_start(x, 0);
	}
	piece = x->sent < OVERSIZED_BYTES ? evbuffer_new() : NULL;
	if (!piece) {
		stream_end(x);
		return;
	}
	if (!x->sent)
		evbuffer_add(piece, "{\"data\":\"", 9);
	evbuffer_add(piece, filler, sizeof(filler));
	x->sent += sizeof(filler);
	evhttp_send_reply_chunk_with_cb(x->req, piece, next_piece, x);
	evbuffer_free(piece);
}

/* Is the work on the list of books, or on an earlier list that was served for the month? */
static bool listed_before(struct sandbox *s, size_t list, uint32_t work, struct bf_arena *arena)
{
	const struct served *mine = &s->served[list];
	struct named *books = bf_arena_alloc(arena, NAMED_MAX * sizeof(*books));

	for (size_t i = 0; i < list; i++) {
		const struct served *o = &s->served[i];
		size_t n;

		if (o->year != mine->year || o->month != mine->month)
			continue;
		n = named_books(&s->world, o->provider, o->year, o->month, o->n, arena, books);
		while (n-- > 0)
			if (books[n].work == work)
				return true;
	}
	return false;
}

/* The works of one served list that are not the catalogue's. */
static void truth_list(struct sandbox *s, size_t list, struct bf_buf *lines)
{
	const struct served *served = &s->served[list];
	struct bf_arena *arena = bf_arena_new();
	struct named *books = bf_arena_alloc(arena, NAMED_MAX * sizeof(*books));
	size_t n = named_books(
		&s->world, served->provider, served->year, served->month, served->n, arena, books);

	for (size_t i = 0; i < n; i++)
		if (books[i].work >= s->world.catalogue.n &&
			!listed_before(s, list, books[i].work, arena))
			truth_work(&s->world, books[i].work, lines);
	bf_arena_free(arena);
}

/* The next works of /_truth: the catalogue's, then what else was named. */
static void truth(struct exchange *x)
{
	struct sandbox *s = x->sandbox;
	size_t n = s->world.catalogue.n, until = x->sent + TRUTH_WORKS;
	struct evbuffer *piece = evbuffer_new();
	struct bf_buf lines;

	bf_buf_init(&lines, 8u << 20);
	for (; x->sent < n && x->sent < until; x->sent++)
		truth_work(&s->world, (uint32_t)x->sent, &lines);
	while (!lines.len && x->sent < n + s->n_served)
		truth_list(s, x->sent++ - n, &lines);
	if (!piece || !lines.len) {
		stream_end(x);
	} else {
		evbuffer_add(piece, lines.data, lines.len);
		evhttp_send_reply_chunk_with_cb(x->req, piece, next_piece, x);
	}
	if (piece)
		evbuffer_free(piece);
	bf_buf_release(&lines);
}

static void next_piece(struct evhttp_connection *con, void *arg)
{
	struct exchange *x = arg;

	(void)con;
	if (x->gone)
		return;
	if (x->truth)
		truth(x);
	else
		oversized(x);
}

/* The plain reply. */
static void plain(struct exchange *x)
{
	struct evhttp_request *req = x->req;
	struct evbuffer *body = x->body;
	int status = x->status;

	x->body = NULL;
	release(x);
	evhttp_send_reply(req, status, reason(status), body);
	evbuffer_free(body);
}

/* A small body that unpacks to a very large one. */
static void gzip_bomb(struct exchange *x)
{
	struct sandbox *s = x->sandbox;

	if (!s->bomb.len && !faults_gzip_bomb(&s->bomb))
		bf_log(BF_WARN, "no gzip bomb could be made", BF_S("stage", "fault"));
	evbuffer_drain(x->body, evbuffer_get_length(x->body));
	evbuffer_add(x->body, s->bomb.data, s->bomb.len);
	evhttp_add_header(evhttp_request_get_output_headers(x->req), "Content-Encoding", "gzip");
	plain(x);
}

/* Is it a fault of delivery that leaves the client without a whole answer? */
static bool without_status(enum fault f)
{
	return f == FAULT_RESET || f == FAULT_STALL;
}

/* Time to reply, or to go on replying. */
static void step(evutil_socket_t fd, short what, void *arg)
{
	struct exchange *x = arg;

	(void)fd;
	(void)what;
	if (x->gone) {
		drop(x);
		return;
	}
	if (!x->due)
		x->sandbox->counters[x->provider]
			.by_status[without_status(x->fault) ? STATUS_NONE : x->status]++;
	else if (x->fault == FAULT_STALL) {	/* ten minutes are enough */
		drop(x);
		return;
	}
	x->due = true;
	if (x->fault == FAULT_RESET)
		reset(x);
	else if (x->fault == FAULT_STALL)
		again(x, STALL_CAP_S * 1000);
	else if (x->fault == FAULT_DRIP)
		drip(x);
	else if (x->fault == FAULT_TRUNCATED)
		truncated(x);
	else if (x->fault == FAULT_OVERSIZED)
		oversized(x);
	else if (x->fault == FAULT_GZIP_BOMB)
		gzip_bomb(x);
	else
		plain(x);
}

/* evhttp lost the connection. If it kept the request for us, that is freed on the next turn. */
static void on_lost(struct evhttp_connection *con, void *arg)
{
	struct exchange *x = arg;

	(void)con;
	x->gone = true;
	if (x->closed)
		event_del(x->closed);
	again(x, 0);
}

/* The client went away while its reply was still due. */
static void on_closed(evutil_socket_t fd, short what, void *arg)
{
	struct exchange *x = arg;

	(void)fd;
	(void)what;
	if (!x->streaming)
		drop(x);
}

/* An exchange for a request, in the list; NULL when there is no memory, and then an error was
 * sent. */
static struct exchange *exchange_new(struct sandbox *s, struct evhttp_request *req)
{
	struct evhttp_connection *con = evhttp_request_get_connection(req);
	struct exchange *x = bf_xcalloc(1, sizeof(*x));

	*x = (struct exchange){ .sandbox = s,
		.req = req,
		.next = s->exchanges,
		.prev = &s->exchanges,
		.month_index = -1 };
	if (x->next)
		x->next->prev = &x->next;
	s->exchanges = x;
	x->timer = event_new(s->base, -1, 0, step, x);
	x->closed = event_new(s->base, bufferevent_getfd(evhttp_connection_get_bufferevent(con)),
		EV_CLOSED, on_closed, x);
	x->body = evbuffer_new();
	if (!x->timer || !x->closed || !x->body) {
		bf_log(BF_ERROR, "out of memory", BF_S("stage", "exchange"));
		exit(1);
	}
	evhttp_connection_set_closecb(con, on_lost, x);
	return x;
}

/* How long this request waits. */
static int64_t latency_ms(const struct request *r)
{
	const int64_t *range = r->knobs->provider[r->provider].latency_ms;
	uint64_t h = dice_hash(r->knobs->seed, "latency", r->provider, r->hash);

	return range[0] + (int64_t)(h % (uint64_t)(range[1] - range[0] + 1));
}

/* Sends a provider's reply. */
void exchange_start(struct sandbox *s, struct evhttp_request *req, const struct request *r,
	const struct reply *reply)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
	struct exchange *x = exchange_new(s, req);
	int64_t wait = latency_ms(r);
	char text[16];

	x->provider = r->provider;
	x->fault = r->fault;
	x->status = reply->status;
	x->month_index = r->month_index;
	flight(s, x->provider, x->month_index, 1);
	evhttp_add_header(headers, "Content-Type", reply->content_type);
	if (reply->location)
		evhttp_add_header(headers, "Location", reply->location);
	if (reply->retry_after >= 0) {
		snprintf(text, sizeof(text), "%d", reply->retry_after);
		evhttp_add_header(headers, "Retry-After", text);
	}
	evbuffer_add(x->body, reply->body.data, reply->body.len);
	if (!wait && x->fault < FAULT_RESET) {
		step(-1, 0, x);
		return;
	}
	event_add(x->closed, NULL);
	again(x, wait);
}

/* Sends all of /_truth. */
void exchange_stream_truth(struct sandbox *s, struct evhttp_request *req)
{
	struct exchange *x = exchange_new(s, req);

	x->truth = true;
	x->status = 200;
	evhttp_add_header(
		evhttp_request_get_output_headers(req), "Content-Type", "application/x-ndjson");
	stream_start(x, 0);
	truth(x);
}

/* Lets go of all, at the end: evhttp frees the connections with their requests. */
void exchange_drop_all(struct sandbox *s)
{
	while (s->exchanges) {
		struct exchange *x = s->exchanges;

		release(x);
	}
}
