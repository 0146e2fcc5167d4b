/*
 * watch: looks every few seconds and shows what is going on: a picture drawn over itself on a terminal, else a line for each
 * change. A server that goes away is waited for; its last figures stay, with their age.
 */
#include "ctl.h"
#include "watch_view.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STATS         "/api/internal/backfill-stats"
#define PICTURE_BYTES 65536
#define REDRAW_MS     1000
#define LINE_BYTES    8192

struct watcher {
	struct ctl *ctl;
	struct watch watch;
	bool picture; /* a terminal that can go back up */
	bool shown_json;
	int lines, columns; /* of the last picture */
	struct bf_buf last; /* the last plain line */
};

/* Draws the picture over the last one. After the window's width changed that one is not where it was, so it stays. */
static void draw(struct watcher *w)
{
	struct out *out = &w->ctl->out;
	struct bf_buf picture;
	int lines = 0;

	out->columns = out_columns(out);
	bf_buf_init(&picture, PICTURE_BYTES);
	watch_picture(&w->watch, out, client_url(w->ctl->client), bf_now_us(), &picture);
	if (w->lines > 0 && out->columns == w->columns)
		fprintf(out->file, "\x1b[%dA", w->lines);
	for (char *line = picture.data, *end; (end = strchr(line, '\n')) != NULL;
		line = end + 1, lines++)
		fprintf(out->file, "\r%.*s\x1b[K\n", (int)(end - line), line);
	fputs("\x1b[J", out->file);
	w->lines = lines;
	w->columns = out->columns;
	bf_buf_release(&picture);
}

/* Shows the figures, if anybody can see a difference. */
static bool show(struct watcher *w)
{
	struct bf_buf line;
	char now[32];

	if (w->ctl->args.json)
		return fflush(w->ctl->out.file) == 0;
	if (w->picture) {
		draw(w);
		return fflush(w->ctl->out.file) == 0;
	}
	bf_buf_init(&line, LINE_BYTES);
	watch_line(&w->watch, &line);
	if (strcmp(line.data, w->last.data) != 0) {
		bf_format_time(now, bf_wall_us());
		out_line(&w->ctl->out, "%s %s", now, line.data);
		bf_buf_clear(&w->last);
		bf_buf_adds(&w->last, line.data);
	}
	bf_buf_release(&line);
	return fflush(w->ctl->out.file) == 0;
}

/* While an answer is awaited the data grows older, and that is shown. */
static bool on_wait(void *ctx)
{
	struct watcher *w = ctx;

	return !w->picture || w->watch.seen_us == 0 || show(w);
}

/* A text of an answer in a field of its own. */
static void copy(char *into, size_t size, const char *text)
{
	size_t len = bf_utf8_cut(text, strlen(text), size - 1);

	memcpy(into, text, len);
	into[len] = '\0';
}

/* Figures of GET backfill-stats. */
static void read_stats(struct bf_jval v, struct watch_figures *f)
{
	f->total = api_int(v, "total_months");
	f->pending = api_int(v, "by_status.pending");
	f->processing = api_int(v, "by_status.processing");
	f->completed = api_int(v, "by_status.completed");
	f->retry = api_int(v, "by_status.retry");
	f->failed = api_int(v, "by_status.failed");
	f->books = api_int(v, "progress.total_books_generated");
	f->isbns = api_int(v, "progress.total_isbns_resolved");
	f->rate = api_dbl(v, "progress.overall_resolution_rate");
	f->queue_pending = api_int(v, "enrichment.pending");
	f->queue_waiting = api_int(v, "enrichment.waiting");
	f->queue_processing = api_int(v, "enrichment.processing");
	f->queue_failed = api_int(v, "enrichment.failed");
	f->queue_completed = api_int(v, "enrichment.completed");
}

/* Asks for something that is welcome but not needed; NULL without it. */
static struct bf_json *ask(struct ctl *ctl, const char *path, bool any_status)
{
	struct client_reply reply;
	struct bf_error err;
	struct bf_json *doc = NULL;

	client_call(ctl->client, path, NULL, &reply);
	if (reply.status == 200 || (any_status && reply.status != 0))
		doc = bf_json_parse(
			reply.body.data, reply.body.len, &bf_json_limits_default, false, &err);
	client_reply_release(&reply);
	return doc;
}

/* What is left of ISBNdb's day. */
static void read_quota(struct ctl *ctl, struct watch_figures *f)
{
	struct bf_json *doc = ask(ctl, "/api/quota/status", false);
	struct bf_jval data;

	if (doc == NULL)
		return;
	data = bf_json_get(bf_json_root(doc), "data");
	f->quota_known = true;
	f->quota_limited = bf_json_int(bf_json_get(data, "safety_limit"), &f->quota_limit);
	f->quota_left = api_int(data, "safety_remaining");
	f->quota_usable = api_true(data, "can_make_calls");
	copy(f->quota_reset, sizeof(f->quota_reset), api_text(ctl, data, "reset_at"));
	bf_json_free(doc);
}

/* Whether it may work at all. */
static void read_ready(struct ctl *ctl, struct watch_figures *f)
{
	struct bf_json *doc = ask(ctl, "/readyz", true);
	struct bf_jval root;

	if (doc == NULL)
		return;
	root = bf_json_root(doc);
	copy(f->unready, sizeof(f->unready), api_list(ctl, bf_json_get(root, "reasons")));
	for (struct bf_jval v = bf_json_first(bf_json_get(root, "degraded")); bf_json_type(v);
		v = bf_json_next(v)) {
		const char *text = api_text(ctl, v, "");

		if (strcmp(text, "paused") != 0 && strncmp(text, "paused: ", 8) != 0)
			continue;
		f->is_paused = true;
		copy(f->paused, sizeof(f->paused), text[6] != '\0' ? text + 8 : "");
	}
	bf_json_free(doc);
}

/* Which months are at work. */
static void read_flights(struct ctl *ctl, struct watch_figures *f)
{
	struct bf_json *doc = ask(ctl, "/api/internal/months", false);
	struct bf_jval list;

	if (doc == NULL)
		return;
	list = bf_json_get(bf_json_root(doc), "months");
	for (struct bf_jval v = bf_json_first(list);
		bf_json_type(v) && f->n_flights < WATCH_FLIGHTS; v = bf_json_next(v)) {
		struct watch_flight *flight = &f->flights[f->n_flights];

		if (strcmp(api_text(ctl, v, "status"), "processing") != 0)
			continue;
		flight->year = (int)api_int(v, "year");
		flight->month = (int)api_int(v, "month");
		copy(flight->stage, sizeof(flight->stage), api_text(ctl, v, "stage"));
		f->n_flights++;
	}
	bf_json_free(doc);
}

/* Prints the statistics as they came, when they are others than before. */
static void print_json(struct watcher *w, const char *body)
{
	if (strcmp(w->last.data, body) == 0)
		return;
	out_json(&w->ctl->out, body);
	bf_buf_clear(&w->last);
	bf_buf_adds(&w->last, body);
}

/* One look. -1: go on; else an exit status. */
static int look(struct watcher *w)
{
	struct ctl one = *w->ctl;
	struct watch_figures figures = { 0 };
	struct client_reply reply;
	struct bf_error err;
	struct bf_json *doc = NULL;
	int rc = -1;

	client_call(one.client, STATS, NULL, &reply);
	if (reply.status == 200)
		doc = bf_json_parse(
			reply.body.data, reply.body.len, &bf_json_limits_default, false, &err);
	if (doc == NULL &&
		(w->watch.seen_us == 0 ||
			(reply.status != 0 && reply.status != 429 && reply.status < 500))) {
		rc = reply.status != 200 ? api_explain(w->ctl, STATS, &reply) : CTL_FAILED;
		if (reply.status == 200)
			out_complain("%s does not answer in JSON; is it a backfilld?",
				client_url(one.client));
	} else if (doc == NULL) {
		if (reply.status != 0)
			snprintf(w->watch.away, sizeof(w->watch.away), "it answers %d",
				reply.status);
		else
			copy(w->watch.away, sizeof(w->watch.away), reply.problem);
	} else {
		uint64_t at_us = bf_now_us();

		one.arena = bf_arena_new(); /* looks are many: none of their texts stays */
		read_stats(bf_json_root(doc), &figures);
		read_quota(&one, &figures);
		read_ready(&one, &figures);
		if (w->picture && figures.processing > 0)
			read_flights(&one, &figures);
		watch_take(&w->watch, &figures, at_us);
		bf_arena_free(one.arena);
		if (one.args.json)
			print_json(w, reply.body.data);
	}
	bf_json_free(doc);
	client_reply_release(&reply);
	return rc;
}

/* Waits for the next look; on a terminal the age goes on. */
static bool wait_on(struct watcher *w, uint64_t until_us)
{
	for (uint64_t now = bf_now_us(); now < until_us; now = bf_now_us()) {
		int64_t ms = (int64_t)(until_us - now) / 1000 + 1;
		struct timespec t;

		if (ms > REDRAW_MS)
			ms = REDRAW_MS;
		t = (struct timespec){ ms / 1000, (long)(ms % 1000) * 1000000 };
		nanosleep(&t, NULL);
		if (w->picture && !show(w))
			return false;
	}
	return true;
}

/* Looks until it is over, or for ever. */
int watch_run(struct ctl *ctl)
{
	const char *term = getenv("TERM");
	bool dumb = term == NULL || strcmp(term, "dumb") == 0;
	struct watcher w = { .ctl = ctl, .picture = ctl->out.terminal && !dumb && !ctl->args.json };
	int rc;

	bf_buf_init(&w.last, CLIENT_BODY_MAX);
	client_on_wait(ctl->client, on_wait, &w);
	for (;;) {
		uint64_t next_us = bf_now_us() + (uint64_t)ctl->args.interval_s * 1000000;

		rc = look(&w);
		if (rc == -1 && !show(&w))
			rc = CTL_FAILED;
		if (rc == -1 && ctl->args.until_done && w.watch.away[0] == '\0' &&
			watch_done(&w.watch.now))
			rc = CTL_OK;
		if (rc != -1 || !wait_on(&w, next_us))
			break;
	}
	client_on_wait(ctl->client, NULL, NULL);
	bf_buf_release(&w.last);
	return rc == -1 ? CTL_FAILED : rc;
}
