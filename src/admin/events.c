/*
 * events: see events.h. Two ways to a reader: live ones get each page the feed reads, in the order of the ids; one that
 * has something to catch up on reads his own pages, the next only when the last one has left our buffer, until he has
 * reached the feed. An id is handed to him once and in order on either way, because both start from the last id he got.
 */
#include "events.h"
#include "handlers.h"
#include "query.h"
#include <event2/buffer.h>
#include <event2/http.h>
#include <stdlib.h>
#include <string.h>

#define CHANNEL       "backfill_events"
#define HEARTBEAT_MS  15000
#define STALL_MS      30000
#define TICK_MS       1000
#define POLL_MS       5000 /* should a notification get lost */
#define GATHER_MS     20   /* one read for what is committed together */
#define PACE_MS       50   /* between full pages: a reader's network has to take them */
#define RETRY_AFTER_S 5
#define PAGE_EVENTS   500
#define PAGE_BYTES    (64 << 10)
#define TEXT_BYTES    ((size_t)1 << 20)

struct reader {
	TAILQ_ENTRY(reader) entry;
	struct events *events;
	struct request *rq;
	bool started, live;
	bool resumes;			/* asked from an id on */
	int64_t sent;			/* the last id handed to him, or asked from */
	int64_t upto;			/* of the page under way */
	int year, month;		/* 0: any */
	uint64_t written, drained;	/* bytes, since the start */
	uint64_t wrote_us, drained_us;
};

static void read_due(void *ctx);
static void tick(void *ctx);
static void catch_up(struct reader *);

void events_init(struct events *e, struct bf_admin *admin)
{
	*e = (struct events){ .admin = admin,
		.cursor = -1,
		.heartbeat_ms = HEARTBEAT_MS,
		.stall_ms = STALL_MS,
		.tick_ms = TICK_MS,
		.poll_ms = POLL_MS };
	TAILQ_INIT(&e->readers);
}

/* ---- readers come and go ---- */

/* With the last reader everything rests. */
static void rest(struct events *e)
{
	bf_op_cancel(e->read_op);
	bf_op_cancel(e->read_timer);
	bf_op_cancel(e->tick);
	e->read_op = e->read_timer = e->tick = NULL;
	if (e->cursor >= 0)
		bf_pg_unlisten(e->admin->parts.locks, CHANNEL);
	e->cursor = -1;
	e->again = false;
}

/* Takes a reader off the list; his request is the caller's. */
static void forget(struct reader *reader)
{
	struct events *e = reader->events;

	TAILQ_REMOVE(&e->readers, reader, entry);
	e->n_readers--;
	free(reader);
	if (e->n_readers == 0)
		rest(e);
}

/* Ends a stream: what is in the buffer is still written, unless the connection is cut. */
static void end(struct reader *reader)
{
	struct request *rq = reader->rq;

	forget(reader);
	reply_stream_end(rq);
}

/* Ends the stream of one who does not keep up; he may come back with the last id he got. */
static void drop(struct reader *reader, const char *why)
{
	struct conn *conn = reader->rq->conn;

	bf_log(BF_WARN, "reader of events dropped", BF_S("why", why), BF_I("sent", reader->sent));
	reader->events->dropped++;
	end(reader);
	if (conn != NULL)
		conns_abort(conn);
}

/* Whether the client has left; evhttp takes the request off its connection then. */
static bool is_gone(const struct reader *reader)
{
	return evhttp_request_get_connection(reader->rq->http) == NULL || reader->rq->conn == NULL;
}

/* The output buffer is empty: time for the next page of one who catches up. */
static void on_drained(struct evhttp_connection *connection, void *ctx)
{
	struct reader *reader = ctx;

	(void)connection;
	if (!reader->live && reader->rq->op == NULL)
		catch_up(reader);
}

/* Hands text to a reader, or ends him: false. */
static bool hand(struct reader *reader, const char *text, size_t len)
{
	struct evbuffer *chunk;
	bool added;

	if (is_gone(reader)) {
		end(reader);
		return false;
	}
	if (conns_unwritten(reader->rq->conn) + len > EVENTS_OUTPUT_MAX) {
		drop(reader, "too much waits for it");
		return false;
	}
	chunk = evbuffer_new();
	added = chunk != NULL && evbuffer_add(chunk, text, len) == 0;
	if (added) {
		/* evhttp keeps one callback only, and any chunk sets it. */
		evhttp_send_reply_chunk_with_cb(reader->rq->http, chunk, on_drained, reader);
		reader->written += len;
		reader->wrote_us = bf_now_us();
	}
	if (chunk != NULL)
		evbuffer_free(chunk);
	if (!added)
		drop(reader, "out of memory"); /* a stream with a hole would be worse */
	return added;
}

/* ---- the text of events ---- */

/* One event; a name that would break the line is no name. */
static void write_event(struct bf_buf *out, const struct bf_event *event)
{
	const char *name = event->event != NULL ? event->event : "";

	bf_buf_addf(out, "id: %lld\nevent: ", (long long)event->id);
	bf_buf_adds(out, name[strcspn(name, "\r\n")] == '\0' && *name != '\0' ? name : "message");
	bf_buf_addf(out, "\ndata: %s\n\n", event->json != NULL ? event->json : "{}");
}

/* Whether a reader wants an event. */
static bool wants(const struct reader *reader, const struct bf_event *event)
{
	return event->id > reader->sent && (reader->year == 0 || reader->year == event->year) &&
		(reader->month == 0 || reader->month == event->month);
}

/* Hands a reader what he wants of a page. */
static bool hand_page(struct reader *reader, const struct bf_event *events, int n)
{
	struct bf_buf text;
	bool alive = true;

	bf_buf_init(&text, TEXT_BYTES);
	for (int i = 0; i < n; i++) {
		if (wants(reader, &events[i]))
			write_event(&text, &events[i]);
	}
	if (n > 0)
		reader->sent = events[n - 1].id;
	if (text.len > 0)
		alive = hand(reader, text.data, text.len);
	bf_buf_release(&text);
	return alive;
}

/* ---- the feed ---- */

/* Arranges the next read, or notes that one more is due after the one under way. */
static void read_in(struct events *e, int64_t ms)
{
	if (e->cursor < 0)
		return;
	if (e->read_op != NULL)
		e->again = true;
	else if (e->read_timer == NULL)
		e->read_timer = bf_timer_start(e->admin->parts.loop, ms, read_due, e);
}

/* New rows are there. */
void events_wake(struct events *e)
{
	read_in(e, GATHER_MS);
}

/* A page for all live readers; after an error the poll comes by again. */
static void on_page(
	void *ctx, const struct bf_error *err, const struct bf_event *events, int n, bool more)
{
	struct events *e = ctx;
	struct reader *reader, *next;
	bool again = e->again;

	e->read_op = NULL;
	e->again = false;
	if (err != NULL) {
		bf_log(BF_DEBUG, "events not read", BF_E(err));
		return;
	}
	if (n > 0)
		e->cursor = events[n - 1].id;
	for (reader = TAILQ_FIRST(&e->readers); reader != NULL; reader = next) {
		next = TAILQ_NEXT(reader, entry);
		if (reader->live)
			hand_page(reader, events, n);
	}
	if (more)
		read_in(e, PACE_MS);
	else if (again)
		read_in(e, GATHER_MS);
}

/* Reads on from the cursor. */
static void read_due(void *ctx)
{
	struct events *e = ctx;
	const struct bf_events_ask ask = { .after = e->cursor,
		.upto = INT64_MAX,
		.limit = PAGE_EVENTS,
		.max_bytes = PAGE_BYTES };

	e->read_timer = NULL;
	e->read_us = bf_now_us();
	if (bf_pg_is_up(e->admin->parts.pool))
		e->read_op = bf_store_events_page(e->admin->parts.store, &ask, on_page, e);
}

/* Looks after one reader: gone, stuck, or to be told that we live. */
static void look_after(struct reader *reader, uint64_t now_us)
{
	struct events *e = reader->events;
	uint64_t drained;

	if (is_gone(reader)) {
		end(reader);
		return;
	}
	drained = reader->written - conns_unwritten(reader->rq->conn);
	if (drained != reader->drained || conns_unwritten(reader->rq->conn) == 0)
		reader->drained_us = now_us;
	reader->drained = drained;
	if (now_us - reader->drained_us > (uint64_t)e->stall_ms * 1000)
		drop(reader, "it reads nothing");
	else if (conns_unread(reader->rq->conn) >= CONNS_STREAM_UNREAD)
		drop(reader, "it sends into the stream");
	else if (now_us - reader->wrote_us >= (uint64_t)e->heartbeat_ms * 1000)
		hand(reader, ":\n\n", 3);
}

/* Once a second while there are readers. */
static void tick(void *ctx)
{
	struct events *e = ctx;
	struct reader *reader, *next;
	uint64_t now_us = bf_now_us();

	e->tick = bf_timer_start(e->admin->parts.loop, e->tick_ms, tick, e);
	if (now_us - e->read_us >= (uint64_t)e->poll_ms * 1000)
		read_in(e, 0);
	for (reader = TAILQ_FIRST(&e->readers); reader != NULL; reader = next) {
		next = TAILQ_NEXT(reader, entry);
		if (reader->started)
			look_after(reader, now_us);
	}
}

/* Begins to read from where the events end. The first look comes soon, for the LISTEN may have come after a commit that
 * the mark had not seen. */
static void begin_feed(struct events *e, int64_t last)
{
	e->cursor = last;
	e->read_us = bf_now_us();
	bf_pg_listen(e->admin->parts.locks, CHANNEL);
	e->tick = bf_timer_start(e->admin->parts.loop, e->tick_ms, tick, e);
	read_in(e, 10 * GATHER_MS);
}

/* ---- catching up ---- */

/* A page of what one reader missed. */
static void on_missed(
	void *ctx, const struct bf_error *err, const struct bf_event *events, int n, bool more)
{
	struct reader *reader = ctx;

	reader->rq->op = NULL;
	if (err != NULL) {
		/* He has lost nothing: his last id is the one to come back with. */
		bf_log(BF_WARN, "events not replayed", BF_E(err));
		end(reader);
		return;
	}
	if (!hand_page(reader, events, n))
		return;
	if (!more)
		reader->sent = reader->upto;
	/* What was handed calls on_drained() when it is out. */
	if (reader->sent >= reader->events->cursor || is_gone(reader) ||
		conns_unwritten(reader->rq->conn) == 0)
		catch_up(reader);
}

/* Reads the next page, or joins those who have got all that the feed has. */
static void catch_up(struct reader *reader)
{
	struct events *e = reader->events;
	const struct bf_events_ask ask = { .after = reader->sent,
		.upto = e->cursor,
		.year = reader->year,
		.month = reader->month,
		.limit = PAGE_EVENTS,
		.max_bytes = PAGE_BYTES };

	if (reader->sent >= e->cursor) {
		reader->live = true;
		return;
	}
	reader->upto = ask.upto;
	reader->rq->op =
		bf_store_events_page(e->admin->parts.store, &ask, on_missed, reader);
}

/* Sends the header and what comes before the first event. */
static void begin(struct reader *reader, const struct bf_events_mark *mark)
{
	struct events *e = reader->events;
	struct request *rq = reader->rq;
	int64_t last = mark->last > e->cursor ? mark->last : e->cursor;
	bool ahead = reader->resumes && reader->sent > last;
	char gap[160];

	if (!reply_stream_begin(rq, "text/event-stream")) {
		forget(reader);
		return;
	}
	reader->started = true;
	reader->drained_us = bf_now_us();
	gap[0] = '\0';
	if (ahead) /* an id of another database, or of one that was restored */
		snprintf(gap, sizeof(gap),
			"id: %lld\nevent: gap\ndata: {\"after\":%lld,\"pruned\":%lld}\n\n",
			(long long)last, (long long)reader->sent, (long long)mark->pruned);
	else if (reader->resumes && reader->sent < mark->pruned)
		snprintf(gap, sizeof(gap), "event: gap\ndata: {\"after\":%lld,\"pruned\":%lld}\n\n",
			(long long)reader->sent, (long long)mark->pruned);
	if (ahead || !reader->resumes)
		reader->sent = last;
	if (!hand(reader, "retry: 2000\n\n", 13) ||
		(gap[0] != '\0' && !hand(reader, gap, strlen(gap))))
		return;
	catch_up(reader);
}

/* The mark came: the first reader starts the feed with it. */
static void on_mark(void *ctx, const struct bf_error *err, const struct bf_events_mark *mark)
{
	struct reader *reader = ctx;
	struct request *rq = reader->rq;

	rq->op = NULL;
	if (err != NULL) {
		forget(reader);
		reply_store_error(rq, err);
		return;
	}
	if (reader->events->ended) {
		forget(reader);
		reply_unavailable(rq, RETRY_AFTER_S, "Shutting down");
		return;
	}
	if (reader->events->cursor < 0)
		begin_feed(reader->events, mark->last);
	begin(reader, mark);
}

/* ---- the route ---- */

/* From which id on; the header, which a browser sends by itself when it comes back, counts more than the address, which
 * it repeats. */
static void read_last_id(struct request *rq, const char *query, struct reader *ret,
	struct body_problems *problems)
{
	const char *text = evhttp_find_header(
		evhttp_request_get_input_headers(rq->http), "Last-Event-ID");
	const char *field = text != NULL ? "Last-Event-ID" : "last_event_id";

	if (text == NULL)
		text = query;
	if (text == NULL)
		return;
	ret->resumes = true;
	if (!query_id(text, &ret->sent))
		body_problem(problems, field, "must be the id of an event");
}

struct events_ask {
	const char *last;
	int year, month;
};
const struct body_field events_query[] = {
	BODY_STR_FIELD("last_event_id", 1, QUERY_ID_DIGITS, struct events_ask, last, .pattern = "^[0-9]+$",
		.help = "the events after this one; without it those from now on. Last-Event-ID counts more"),
	BODY_INT_FIELD("year", 1900, 2100, struct events_ask, year, .help = "only this year's months"),
	BODY_INT_FIELD("month", 1, 12, struct events_ask, month, .help = "only this month; needs a year"),
	BODY_END,
};

/* What is asked for; false when it was answered 400. */
static bool read_ask(struct request *rq, struct reader *ret)
{
	struct body_problems problems = { 0 };
	struct events_ask ask = { 0 };

	handlers_query(rq, &ask, &problems);
	ret->year = ask.year;
	ret->month = ask.month;
	read_last_id(rq, ask.last, ret, &problems);
	if (ret->month != 0 && ret->year == 0)
		body_problem(&problems, "month", "needs a year");
	return !handlers_refuse(rq, &problems);
}

/* GET /api/internal/events */
void events_stream(struct request *rq)
{
	struct events *e = &rq->admin->events;
	struct reader asked = { .events = e, .rq = rq }, *reader;

	if (!read_ask(rq, &asked))
		return;
	if (e->ended || e->n_readers >= EVENTS_READERS_MAX) {
		reply_unavailable(rq, RETRY_AFTER_S, e->ended ? "Shutting down" :
			"As many follow the events already as may");
		return;
	}
	if (handlers_database_away(rq))
		return;
	if (rq->is_head) {
		reply_stream_begin(rq, "text/event-stream");
		return;
	}
	reader = bf_xmalloc(sizeof(*reader));
	*reader = asked;
	TAILQ_INSERT_TAIL(&e->readers, reader, entry);
	e->n_readers++;
	rq->op = bf_store_events_mark(rq->admin->parts.store, on_mark, reader);
}

/* ---- the end ---- */

/* Ends the streams; those who wait for their mark are told when it comes. */
void events_drain(struct events *e)
{
	static const char bye[] = "event: bye\ndata: {}\n\n";
	struct reader *reader, *next;

	e->ended = true;
	for (reader = TAILQ_FIRST(&e->readers); reader != NULL; reader = next) {
		next = TAILQ_NEXT(reader, entry);
		if (reader->started && hand(reader, bye, sizeof(bye) - 1))
			end(reader);
	}
}

/* Requests that never began are answered by now and gone. */
void events_release(struct events *e)
{
	struct reader *reader;

	e->ended = true;
	while ((reader = TAILQ_FIRST(&e->readers)) != NULL) {
		if (reader->started)
			end(reader);
		else
			forget(reader);
	}
}
