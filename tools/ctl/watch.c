/*
 * watch: looks every few seconds and shows what is going on: a picture drawn over itself on a terminal, else a line for each
 * change. A server that goes away is waited for; its last figures stay, with their age.
 */
#include "ctl.h"
#include "watch_view.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define OVERVIEW      "/api/internal/overview"
#define PICTURE_BYTES 65536
#define REDRAW_MS     1000
#define LINE_BYTES    8192

struct watcher {
	struct ctl *ctl;
	struct watch watch;
	bool picture; /* a terminal that can go back up */
	int lines, columns; /* of the last picture */
	struct bf_buf last; /* the last plain line, or the figures of the last JSON */
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

/* The same out of a member. */
static void copy_member(struct ctl *ctl, struct bf_jval v, const char *dotted, char *into, size_t size)
{
	copy(into, size, api_text(ctl, v, dotted));
}

/* Months, books and items. */
static void read_stats(struct bf_jval v, struct watch_figures *f)
{
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

/* How far it is, in the server's words. */
static void read_progress(struct ctl *ctl, struct bf_jval v, struct watch_figures *f)
{
	const char *ends = api_time(ctl, v, "ends_at");

	copy_member(ctl, v, "state", f->state, sizeof(f->state));
	copy_member(ctl, v, "text", f->text, sizeof(f->text));
	copy_member(ctl, v, "binds", f->binds, sizeof(f->binds));
	if (*ends != '\0')
		snprintf(f->ends_at, sizeof(f->ends_at), "%.16s UTC", ends);
	f->total = api_int(v, "total");
	f->left = api_int(v, "left");
	f->in_flight = api_int(v, "in_flight");
	f->percent = api_dbl(v, "percent");
	f->cost_usd = api_dbl(v, "cost_so_far_usd");
	if (!bf_json_int(bf_json_get(v, "seconds_left"), &f->seconds_left))
		f->seconds_left = -1;
	if (!bf_json_dbl(bf_json_get(v, "cost_left_usd"), &f->cost_left_usd))
		f->cost_left_usd = -1;
}

/* What is left of ISBNdb's day. */
static void read_quota(struct ctl *ctl, struct bf_jval providers, struct watch_figures *f)
{
	for (struct bf_jval v = bf_json_first(providers); bf_json_type(v); v = bf_json_next(v)) {
		struct bf_jval quota = bf_json_get(v, "quota");
		const char *reset = api_time(ctl, quota, "reset_at");

		if (strcmp(api_text(ctl, v, "name"), "isbndb") != 0)
			continue;
		f->quota_known = bf_json_type(quota) == BF_J_OBJECT;
		f->quota_limited = bf_json_int(bf_json_get(quota, "safety_limit"), &f->quota_limit);
		f->quota_left = api_int(quota, "safety_remaining");
		f->quota_usable = api_true(quota, "can_make_calls");
		if (*reset != '\0')
			snprintf(f->quota_reset, sizeof(f->quota_reset), "%.16s UTC", reset);
	}
}

/* The months that a living instance holds, with their stage. */
static void read_flights(struct ctl *ctl, struct bf_jval instances, struct watch_figures *f)
{
	for (struct bf_jval i = bf_json_first(instances); bf_json_type(i); i = bf_json_next(i)) {
		for (struct bf_jval v = bf_json_first(bf_json_get(i, "months"));
			bf_json_type(v) && f->n_flights < WATCH_FLIGHTS && api_true(i, "alive");
			v = bf_json_next(v)) {
			struct watch_flight *flight = &f->flights[f->n_flights++];

			flight->year = (int)api_int(v, "year");
			flight->month = (int)api_int(v, "month");
			copy_member(ctl, v, "stage", flight->stage, sizeof(flight->stage));
		}
	}
}

/* All of it. */
static void read_overview(struct ctl *ctl, struct bf_jval root, struct watch_figures *f)
{
	struct bf_jval alerts = bf_json_get(root, "alerts");

	read_stats(bf_json_get(root, "stats"), f);
	read_progress(ctl, bf_json_get(root, "progress"), f);
	read_quota(ctl, bf_json_get(root, "providers"), f);
	read_flights(ctl, bf_json_get(root, "instances"), f);
	f->n_alerts = (int64_t)bf_json_size(alerts);
	copy_member(ctl, bf_json_first(alerts), "summary", f->alert, sizeof(f->alert));
}

/* Prints the overview as it came, when its figures are others than before: its clock always is. */
static void print_json(struct watcher *w, struct bf_jval root, const char *body)
{
	static const char *const members[] = { "paused", "stats", "progress", "alerts" };
	struct bf_buf figures;

	bf_buf_init(&figures, CLIENT_BODY_MAX);
	for (size_t i = 0; i < BF_COUNT(members); i++) {
		size_t len = 0;
		const char *raw = bf_json_raw(bf_json_get(root, members[i]), &len);

		bf_buf_add(&figures, raw, len);
	}
	if (strcmp(w->last.data, figures.data) != 0) {
		out_json(&w->ctl->out, body);
		bf_buf_clear(&w->last);
		bf_buf_add(&w->last, figures.data, figures.len);
	}
	bf_buf_release(&figures);
}

/* An answer that is no overview. -1: the server may come back; else an exit status. */
static int look_in_vain(struct watcher *w, const struct client_reply *reply)
{
	bool passing = reply->status == 0 || reply->status == 429 || reply->status >= 500;

	if (w->watch.seen_us != 0 && passing) {
		if (reply->status != 0)
			snprintf(w->watch.away, sizeof(w->watch.away), "it answers %d",
				reply->status);
		else
			copy(w->watch.away, sizeof(w->watch.away), reply->problem);
		return -1;
	}
	if (reply->status != 200)
		return api_explain(w->ctl, OVERVIEW, reply);
	out_complain("%s does not answer in JSON; is it a backfilld?", client_url(w->ctl->client));
	return CTL_FAILED;
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

	client_call(one.client, OVERVIEW, NULL, &reply);
	if (reply.status == 200)
		doc = bf_json_parse(
			reply.body.data, reply.body.len, &bf_json_limits_default, false, &err);
	if (doc == NULL) {
		rc = look_in_vain(w, &reply);
	} else {
		one.arena = bf_arena_new(); /* looks are many: none of their texts stays */
		read_overview(&one, bf_json_root(doc), &figures);
		watch_take(&w->watch, &figures, bf_now_us());
		bf_arena_free(one.arena);
		if (one.args.json)
			print_json(w, bf_json_root(doc), reply.body.data);
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
