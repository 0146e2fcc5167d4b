/*
 * watch_view: the pace comes from what was seen during the last two minutes, and is not told before there is enough of it.
 */
#include "watch_view.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define WINDOW_US   120000000u
#define PACE_MIN_US 4000000u
#define PACE_ENDED  2 /* months that have to end before anybody guesses when the rest does */
#define BAR_MIN     10
#define BAR_MAX     60

/* New figures; those too old for the pace go. A reset makes the sums fall: then the pace begins anew. */
void watch_take(struct watch *w, const struct watch_figures *figures, uint64_t at_us)
{
	struct watch_sample sample = { at_us, figures->books,
		figures->completed + figures->failed };
	int drop = 0;

	if (w->n_samples > 0) {
		const struct watch_sample *last = &w->samples[w->n_samples - 1];

		if (sample.books < last->books || sample.ended < last->ended)
			w->n_samples = 0;
	}
	while (drop < w->n_samples && at_us - w->samples[drop].at_us > WINDOW_US)
		drop++;
	if (drop == 0 && w->n_samples == WATCH_SAMPLES)
		drop = 1;
	memmove(w->samples, w->samples + drop,
		(size_t)(w->n_samples - drop) * sizeof(w->samples[0]));
	w->n_samples -= drop;
	w->samples[w->n_samples++] = sample;
	w->now = *figures;
	w->seen_us = at_us;
	w->away[0] = '\0';
}

/* Months and items alike. */
bool watch_done(const struct watch_figures *f)
{
	return f->pending + f->processing + f->retry + f->queue_pending + f->queue_processing == 0;
}

/* One word for it all. */
const char *watch_state(const struct watch *w)
{
	if (w->away[0] != '\0')
		return "unknown";
	if (w->now.processing > 0 || w->now.queue_processing > 0)
		return "running";
	if (w->now.unready[0] != '\0')
		return "not ready";
	if (watch_done(&w->now))
		return "done";
	return w->now.is_paused ? "paused" : "idle";
}

/* 99.96 is not 100.0. */
double watch_percent(const struct watch_figures *f)
{
	return f->total > 0 ? floor(1000.0 * (double)f->completed / (double)f->total) / 10.0 : 0.0;
}

/* The first and last sample of the window; false when they are too near. */
static bool window(
	const struct watch *w, const struct watch_sample **first, const struct watch_sample **last)
{
	if (w->n_samples < 2)
		return false;
	*first = &w->samples[0];
	*last = &w->samples[w->n_samples - 1];
	return (*last)->at_us - (*first)->at_us >= PACE_MIN_US;
}

/* Books named per second. */
double watch_books_per_s(const struct watch *w)
{
	const struct watch_sample *first, *last;

	if (!window(w, &first, &last))
		return -1;
	return (double)(last->books - first->books) * 1e6 / (double)(last->at_us - first->at_us);
}

/* How long the months that are left take at this pace. */
double watch_seconds_left(const struct watch *w)
{
	const struct watch_sample *first, *last;
	int64_t left = w->now.pending + w->now.processing + w->now.retry;

	if (left == 0 || !window(w, &first, &last) || last->ended - first->ended < PACE_ENDED)
		return -1;
	return (double)left * (double)(last->at_us - first->at_us) / 1e6 /
		(double)(last->ended - first->ended);
}

/* "12 s", "41 min", "3.2 h", "2.1 days". */
static void duration(char out[32], double seconds)
{
	if (seconds < 90)
		snprintf(out, 32, "%.0f s", seconds);
	else if (seconds < 5400)
		snprintf(out, 32, "%.0f min", seconds / 60);
	else if (seconds < 48 * 3600)
		snprintf(out, 32, "%.1f h", seconds / 3600);
	else
		snprintf(out, 32, "%.1f days", seconds / 86400);
}

/* Ends a line of the picture: harmless, and no longer than the terminal is wide. */
static void add_line(
	struct bf_buf *picture, const struct out *out, enum colour colour, const char *text)
{
	size_t columns = out->columns > 1 ? (size_t)out->columns - 1 : 500;
	struct bf_buf safe;
	char cut[4096];

	bf_buf_init(&safe, sizeof(cut) - 1);
	text_safe(&safe, text, strlen(text));
	snprintf(cut, sizeof(cut), "%.*s", (int)text_fit(safe.data, safe.len, columns), safe.data);
	text_colour(out, picture, colour, cut);
	bf_buf_adds(picture, "\n");
	bf_buf_release(&safe);
}

/* The colour of a state. */
static enum colour state_colour(const char *state)
{
	if (strcmp(state, "running") == 0)
		return COLOUR_BLUE;
	if (strcmp(state, "done") == 0)
		return COLOUR_GREEN;
	return strcmp(state, "idle") == 0 ? COLOUR_NONE : COLOUR_YELLOW;
}

/* The bar and what it stands for. */
static void add_bar(struct bf_buf *picture, const struct watch *w, const struct out *out)
{
	const struct watch_figures *f = &w->now;
	int columns = out->columns > 0 ? out->columns - 50 : BAR_MAX, full;
	char text[1024];
	size_t len = 0;

	columns = columns < BAR_MIN ? BAR_MIN : columns > BAR_MAX ? BAR_MAX : columns;
	full = (int)((double)columns * watch_percent(f) / 100.0);
	for (int i = 0; i < columns && len < sizeof(text) - 8; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s",
			out->utf8 ? (i < full ? "\u2588" : "\u2591") : (i < full ? "#" : "-"));
	snprintf(text + len, sizeof(text) - len,
		" %.1f %%  %" PRId64 " of %" PRId64 " months, %" PRId64 " left", watch_percent(f),
		f->completed, f->total, f->pending + f->processing + f->retry);
	add_line(picture, out, COLOUR_NONE, text);
}

/* Which months are at work, and at what. */
static void add_flights(
	struct bf_buf *picture, const struct watch_figures *f, const struct out *out)
{
	struct bf_buf text;

	bf_buf_init(&text, 2048);
	bf_buf_adds(&text, "in flight  ");
	for (int i = 0; i < f->n_flights; i++)
		bf_buf_addf(&text, "%s%d-%02d %s", i > 0 ? ", " : "", f->flights[i].year,
			f->flights[i].month, f->flights[i].stage);
	if (f->processing > f->n_flights)
		bf_buf_addf(&text, "%s%" PRId64 "%s", f->n_flights > 0 ? ", and " : "",
			f->processing - f->n_flights, f->n_flights > 0 ? " more" : " months");
	if (f->processing == 0)
		bf_buf_adds(&text, "none");
	add_line(picture, out, COLOUR_NONE, text.data);
	bf_buf_release(&text);
}

/* When it may be over, or what it waits for. */
static void add_left(struct bf_buf *picture, const struct watch *w, const struct out *out)
{
	const struct watch_figures *f = &w->now;
	double seconds = watch_seconds_left(w);
	char text[512], span[32];

	if (w->away[0] != '\0')
		return;
	if (f->is_paused)
		snprintf(text, sizeof(text), "time left  paused%s%s",
			f->paused[0] != '\0' ? ": " : "", f->paused);
	else if (f->unready[0] != '\0')
		snprintf(text, sizeof(text), "time left  unknown: %s", f->unready);
	else if (watch_done(f))
		snprintf(text, sizeof(text), "time left  none");
	else if (f->pending + f->processing + f->retry == 0)
		snprintf(text, sizeof(text), "time left  the months are over; the queue is not");
	else if (f->processing == 0)
		snprintf(text, sizeof(text),
			"time left  nothing is at work; the timer or schedule claims months");
	else if (seconds < 0)
		snprintf(text, sizeof(text), "time left  not known yet");
	else {
		duration(span, seconds);
		snprintf(text, sizeof(text),
			"time left  %s for the months at this pace, if nothing stops them", span);
	}
	add_line(picture, out, COLOUR_NONE, text);
}

/* Units of ISBNdb, of which there are fewest. */
static void quota_text(const struct watch_figures *f, char *text, size_t size)
{
	if (!f->quota_known)
		snprintf(text, size, "not known");
	else if (!f->quota_limited)
		snprintf(text, size, "no limit%s", f->quota_usable ? "" : ", but it refuses calls");
	else
		snprintf(text, size, "%" PRId64 " of %" PRId64 " left, resets %s%s", f->quota_left,
			f->quota_limit, f->quota_reset,
			f->quota_usable ? "" : " (none may be used now)");
}

/* How old the figures are; a server that is away is named. */
static void add_age(
	struct bf_buf *picture, const struct watch *w, const struct out *out, uint64_t now_us)
{
	char text[512], span[32];

	duration(span, now_us > w->seen_us ? (double)(now_us - w->seen_us) / 1e6 : 0.0);
	snprintf(text, sizeof(text), "data       %s old%s%s", span,
		w->away[0] != '\0' ? "; the server is away: " : "", w->away);
	add_line(picture, out, w->away[0] != '\0' ? COLOUR_RED : COLOUR_DIM, text);
}

/* The whole picture. */
void watch_picture(const struct watch *w, const struct out *out, const char *server,
	uint64_t now_us, struct bf_buf *picture)
{
	const struct watch_figures *f = &w->now;
	double pace = watch_books_per_s(w);
	char text[512], quota[160], per_s[32] = "";

	snprintf(text, sizeof(text), "backfill at %s: %s", server, watch_state(w));
	add_line(picture, out, state_colour(watch_state(w)), text);
	add_bar(picture, w, out);
	snprintf(text, sizeof(text),
		"months     %" PRId64 " completed, %" PRId64 " processing, %" PRId64
		" pending, %" PRId64 " retry, %" PRId64 " failed",
		f->completed, f->processing, f->pending, f->retry, f->failed);
	add_line(picture, out, COLOUR_NONE, text);
	add_flights(picture, f, out);
	if (pace >= 0)
		snprintf(per_s, sizeof(per_s), ", %.1f/s", pace);
	snprintf(text, sizeof(text),
		"books      %" PRId64 " named%s, %" PRId64 " with an ISBN (%.2f %%)", f->books,
		per_s, f->isbns, f->rate);
	add_line(picture, out, COLOUR_NONE, text);
	snprintf(text, sizeof(text),
		"queue      %" PRId64 " pending (%" PRId64 " of them waiting), %" PRId64
		" at work, %" PRId64 " completed, %" PRId64 " failed",
		f->queue_pending, f->queue_waiting, f->queue_processing, f->queue_completed,
		f->queue_failed);
	add_line(picture, out, COLOUR_NONE, text);
	quota_text(f, quota, sizeof(quota));
	snprintf(text, sizeof(text), "ISBNdb     %s", quota);
	add_line(picture, out, COLOUR_NONE, text);
	add_left(picture, w, out);
	add_age(picture, w, out, now_us);
}

/* The same for logs. */
void watch_line(const struct watch *w, struct bf_buf *line)
{
	const struct watch_figures *f = &w->now;

	if (w->away[0] != '\0') {
		bf_buf_addf(line, "unknown: the server is away: %s", w->away);
		return;
	}
	bf_buf_addf(line, "%s", watch_state(w));
	if (f->is_paused)
		bf_buf_addf(line, " (paused%s%s)", f->paused[0] != '\0' ? ": " : "", f->paused);
	else if (f->unready[0] != '\0')
		bf_buf_addf(line, " (%s)", f->unready);
	bf_buf_addf(line,
		", %.1f %%: %" PRId64 " of %" PRId64 " months completed, %" PRId64
		" processing, %" PRId64 " pending, %" PRId64 " retry, %" PRId64 " failed; ",
		watch_percent(f), f->completed, f->total, f->processing, f->pending, f->retry,
		f->failed);
	bf_buf_addf(line,
		"%" PRId64 " books, %" PRId64 " with an ISBN; queue %" PRId64 " pending, %" PRId64
		" at work, %" PRId64 " failed",
		f->books, f->isbns, f->queue_pending, f->queue_processing, f->queue_failed);
	if (f->quota_limited)
		bf_buf_addf(line, "; ISBNdb %" PRId64 " of %" PRId64 " left", f->quota_left,
			f->quota_limit);
}
