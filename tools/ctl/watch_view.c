/*
 * watch_view: state, percent, time left and what binds it are the server's own; only the pace of books comes from what was seen
 * here during the last two minutes, and is not told before there is enough of it.
 */
#include "watch_view.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define WINDOW_US    120000000u
#define PACE_MIN_US  4000000u
#define BAR_MIN      10
#define BAR_MAX      60
#define MORE_COLUMNS (sizeof("in flight  ") + sizeof(", and 2412 more"))

/* New figures; those too old for the pace go. A reset makes the sum fall: then the pace begins anew. */
void watch_take(struct watch *w, const struct watch_figures *figures, uint64_t at_us)
{
	struct watch_sample sample = { at_us, figures->books };
	int drop = 0;

	if (w->n_samples > 0 && sample.books < w->samples[w->n_samples - 1].books)
		w->n_samples = 0;
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
	return f->left + f->queue_pending + f->queue_processing == 0;
}

/* One word for it all. */
const char *watch_state(const struct watch *w)
{
	return w->away[0] != '\0' ? "unknown" : w->now.state;
}

/* Books named per second. */
double watch_books_per_s(const struct watch *w)
{
	const struct watch_sample *first = &w->samples[0], *last;

	if (w->n_samples < 2)
		return -1;
	last = &w->samples[w->n_samples - 1];
	if (last->at_us - first->at_us < PACE_MIN_US)
		return -1;
	return (double)(last->books - first->books) * 1e6 / (double)(last->at_us - first->at_us);
}

/* Ends a line of the picture: harmless, and no longer than the terminal is wide. */
static void BF_PRINTF(4, 5) add_line(
	struct bf_buf *picture, const struct out *out, enum colour colour, const char *fmt, ...)
{
	size_t columns = out->columns > 1 ? (size_t)out->columns - 1 : 500;
	char text[2048], cut[4096];
	struct bf_buf safe;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	bf_buf_init(&safe, sizeof(cut) - 1);
	text_safe(&safe, text, strlen(text));
	snprintf(cut, sizeof(cut), "%.*s", (int)text_fit(safe.data, safe.len, columns), safe.data);
	text_colour(out, picture, colour, cut);
	bf_buf_adds(picture, "\n");
	bf_buf_release(&safe);
}

/* A whole number with commas; good until this was called six times more. */
static const char *count(int64_t n)
{
	static char texts[6][32];
	static unsigned next;
	char *text = texts[next++ % BF_COUNT(texts)];

	text_count(text, n);
	return text;
}

/* The state, and what it is by. */
static void add_state(struct bf_buf *picture, const struct watch *w, const struct out *out)
{
	static const struct {
		const char *state;
		enum colour colour;
	} colours[] = { { "working", COLOUR_BLUE }, { "done", COLOUR_GREEN },
		{ "waiting", COLOUR_YELLOW }, { "paused", COLOUR_YELLOW },
		{ "unknown", COLOUR_RED } };
	const char *state = watch_state(w), *why = w->now.text;
	enum colour colour = COLOUR_NONE;

	for (size_t i = 0; i < BF_COUNT(colours); i++) {
		if (strcmp(colours[i].state, state) == 0)
			colour = colours[i].colour;
	}
	if (w->away[0] != '\0')
		add_line(picture, out, colour, "unknown: the server is away: %s", w->away);
	else if (strncasecmp(why, state, strlen(state)) == 0)
		add_line(picture, out, colour, "%s", why);
	else
		add_line(picture, out, colour, "%s%s%s", state, *why != '\0' ? ": " : "", why);
}

/* The bar and what it stands for. */
static void add_bar(
	struct bf_buf *picture, const struct watch_figures *f, const struct out *out)
{
	int columns = out->columns > 0 ? out->columns - 50 : BAR_MAX, full;
	char bar[BAR_MAX * 3 + 1];
	size_t len = 0;

	columns = columns < BAR_MIN ? BAR_MIN : columns > BAR_MAX ? BAR_MAX : columns;
	full = (int)((double)columns * f->percent / 100.0);
	for (int i = 0; i < columns; i++)
		len += (size_t)snprintf(bar + len, sizeof(bar) - len, "%s",
			out->utf8 ? (i < full ? "\u2588" : "\u2591") : (i < full ? "#" : "-"));
	add_line(picture, out, COLOUR_NONE, "%s %.1f %%  %s of %s months, %s left", bar, f->percent,
		count(f->completed + f->failed), count(f->total), count(f->left));
}

/* Which months are at work, and at what: as many as the line holds. */
static void add_flights(
	struct bf_buf *picture, const struct watch_figures *f, const struct out *out)
{
	size_t columns = out->columns > 1 ? (size_t)out->columns - 1 : 500;
	struct bf_buf text;
	int64_t shown = 0;

	bf_buf_init(&text, 2048);
	while (shown < f->n_flights) {
		const struct watch_flight *flight = &f->flights[shown];
		char piece[64];

		snprintf(piece, sizeof(piece), "%s%d-%02d %s", shown > 0 ? ", " : "", flight->year,
			flight->month, flight->stage);
		if (shown > 0 && text.len + strlen(piece) + MORE_COLUMNS > columns)
			break;
		bf_buf_adds(&text, piece);
		shown++;
	}
	if (f->in_flight > shown)
		bf_buf_addf(&text, "%s%" PRId64 "%s", shown > 0 ? ", and " : "",
			f->in_flight - shown, shown > 0 ? " more" : " months");
	add_line(picture, out, COLOUR_NONE, "in flight  %s", text.len > 0 ? text.data : "none");
	bf_buf_release(&text);
}

/* When it may be over, or why nobody can say. */
static void add_left(struct bf_buf *picture, const struct watch *w, const struct out *out)
{
	const struct watch_figures *f = &w->now;
	const char *colon = f->binds[0] != '\0' ? "; " : "";
	char span[32];

	if (w->away[0] != '\0')
		return;
	if (watch_done(f)) {
		add_line(picture, out, COLOUR_NONE, "time left  none");
	} else if (f->left == 0) {
		add_line(picture, out, COLOUR_NONE,
			"time left  the months have ended, the queue has not");
	} else if (f->seconds_left < 0) {
		add_line(picture, out, COLOUR_NONE, "time left  not known%s%s", colon, f->binds);
	} else {
		text_duration(span, (double)f->seconds_left);
		add_line(picture, out, COLOUR_NONE, "time left  about %s%s%s%s%s", span,
			f->ends_at[0] != '\0' ? ", until " : "", f->ends_at, colon, f->binds);
	}
}

/* Units of ISBNdb, of which there are fewest. */
static void add_quota(
	struct bf_buf *picture, const struct watch_figures *f, const struct out *out)
{
	if (!f->quota_known)
		add_line(picture, out, COLOUR_NONE, "ISBNdb     not known");
	else if (!f->quota_limited)
		add_line(picture, out, COLOUR_NONE, "ISBNdb     no limit%s",
			f->quota_usable ? "" : ", but it refuses calls");
	else
		add_line(picture, out, COLOUR_NONE, "ISBNdb     %s of %s left, resets %s%s",
			count(f->quota_left), count(f->quota_limit), f->quota_reset,
			f->quota_usable ? "" : " (none may be used now)");
}

/* What it cost, and what the rest may. */
static void add_cost(struct bf_buf *picture, const struct watch_figures *f, const struct out *out)
{
	if (f->cost_left_usd >= 0 && f->left > 0)
		add_line(picture, out, COLOUR_NONE, "cost       %.2f USD so far, about %.2f more",
			f->cost_usd, f->cost_left_usd);
	else
		add_line(picture, out, COLOUR_NONE, "cost       %.2f USD so far", f->cost_usd);
}

/* The whole picture. */
void watch_picture(const struct watch *w, const struct out *out, const char *server,
	uint64_t now_us, struct bf_buf *picture)
{
	const struct watch_figures *f = &w->now;
	double pace = watch_books_per_s(w);
	char per_s[32] = "", age[32];

	if (pace >= 0 && f->left > 0)
		snprintf(per_s, sizeof(per_s), ", %.1f/s", pace);
	text_duration(age, now_us > w->seen_us ? (double)(now_us - w->seen_us) / 1e6 : 0.0);
	add_state(picture, w, out);
	add_bar(picture, f, out);
	add_line(picture, out, COLOUR_NONE,
		"months     %s completed, %s processing, %s pending, %s retry, %s failed",
		count(f->completed), count(f->processing), count(f->pending), count(f->retry),
		count(f->failed));
	add_flights(picture, f, out);
	add_line(picture, out, COLOUR_NONE, "books      %s named%s, %s with an ISBN (%.2f %%)",
		count(f->books), per_s, count(f->isbns), f->rate);
	add_line(picture, out, COLOUR_NONE,
		"queue      %s pending (%s waiting), %s at work, %s completed, %s failed",
		count(f->queue_pending), count(f->queue_waiting), count(f->queue_processing),
		count(f->queue_completed), count(f->queue_failed));
	add_quota(picture, f, out);
	add_cost(picture, f, out);
	add_left(picture, w, out);
	if (f->n_alerts > 0)
		add_line(picture, out, COLOUR_RED, "alerts     %s open: %s", count(f->n_alerts),
			f->alert);
	add_line(picture, out, w->away[0] != '\0' ? COLOUR_RED : COLOUR_DIM,
		"data       %s old, from %s", age, server);
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
	bf_buf_addf(line,
		", %.1f %%: %" PRId64 " of %" PRId64 " months completed, %" PRId64
		" processing, %" PRId64 " pending, %" PRId64 " retry, %" PRId64 " failed; ",
		f->percent, f->completed, f->total, f->processing, f->pending, f->retry, f->failed);
	bf_buf_addf(line,
		"%" PRId64 " books, %" PRId64 " with an ISBN; queue %" PRId64 " pending, %" PRId64
		" at work, %" PRId64 " failed",
		f->books, f->isbns, f->queue_pending, f->queue_processing, f->queue_failed);
	if (f->quota_limited)
		bf_buf_addf(line, "; ISBNdb %" PRId64 " of %" PRId64 " left", f->quota_left,
			f->quota_limit);
	if (f->n_alerts > 0)
		bf_buf_addf(line, "; %" PRId64 " alerts", f->n_alerts);
	if (f->text[0] != '\0')
		bf_buf_addf(line, "; %s", f->text);
}
