/*
 * progress: the sentence is chosen by what is true first: nothing there, nothing left, paused, at work, left behind, without
 * an AI, due later, and last what only the timer or an operator starts. The time is the longest of what slots, rates,
 * quotas, the timer and attempts that are due later need.
 */
#include "progress.h"
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DAY_US     INT64_C(86400000000)
#define NOTE_CHARS 160

/* "4,210". */
static const char *grouped(int64_t n, char buf[32])
{
	char plain[24];
	int len = snprintf(plain, sizeof(plain), "%" PRId64, n < 0 ? 0 : n);
	size_t k = 0;

	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			buf[k++] = ',';
		buf[k++] = plain[i];
	}
	buf[k] = '\0';
	return buf;
}

/* "03:00 UTC", with its day when that is not within the next 24 hours. */
static const char *when(int64_t at_us, int64_t now_us, char buf[40])
{
	char text[32];

	bf_format_time(text, at_us);
	if (at_us < now_us + DAY_US)
		snprintf(buf, 40, "%.5s UTC", text + 11);
	else
		snprintf(buf, 40, "%.10s %.5s UTC", text, text + 11);
	return buf;
}

static const char *plural(int n)
{
	return n == 1 ? "" : "s";
}

/* The sentence; cut where a character ends. */
static void BF_PRINTF(2, 3) say(struct progress *p, const char *fmt, ...)
{
	char line[700];
	size_t len;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	len = bf_utf8_cut(line, strlen(line), sizeof(p->text) - 1);
	memcpy(p->text, line, len);
	p->text[len] = '\0';
}

/* What makes it take as long. */
static void BF_PRINTF(3, 4) bind(struct progress *p, int64_t seconds, const char *fmt, ...)
{
	char line[700];
	size_t len;
	va_list ap;

	p->seconds_left = seconds;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	len = bf_utf8_cut(line, strlen(line), sizeof(p->binds) - 1);
	memcpy(p->binds, line, len);
	p->binds[len] = '\0';
}

/* A note or a reason, not longer than a sentence bears. */
static int shortened(const char *s)
{
	return s != NULL ? (int)bf_utf8_cut(s, strlen(s), NOTE_CHARS) : 0;
}

/* ---- the sentence ---- */
static void say_paused(const struct bf_overview *o, struct progress *p)
{
	const char *note = o->pause_note != NULL ? o->pause_note : "";
	char until[60] = "", flight[80] = "", at[40];

	if (o->pause_until_us > 0)
		snprintf(until, sizeof(until), "until %s", when(o->pause_until_us, o->db_wall_us, at));
	else
		snprintf(until, sizeof(until), "until somebody resumes");
	if (o->in_flight > 0)
		snprintf(flight, sizeof(flight), "; %d month%s in flight end%s first", o->in_flight,
			plural(o->in_flight), o->in_flight == 1 ? "s" : "");
	say(p, "Paused %s%s%.*s%s", until, note[0] != '\0' ? ": " : "", shortened(note), note, flight);
}

static void say_waiting(const struct bf_overview *o, struct progress *p)
{
	char at[40];

	if (o->retries_due > 0)
		say(p, "%d month%s due for the next attempt, taken up within seconds", o->retries_due,
			o->retries_due == 1 ? " is" : "s are");
	else
		say(p, "%d month%s for the next attempt, the first at %s%s%.*s%s", o->retry,
			o->retry == 1 ? " waits" : "s wait", when(o->retry_first_us, o->db_wall_us, at),
			o->retry_reason != NULL ? " (" : "", shortened(o->retry_reason),
			o->retry_reason != NULL ? o->retry_reason : "", o->retry_reason != NULL ? ")" : "");
}

static void say_no_ai(const struct progress_facts *f, struct progress *p)
{
	char at[40];

	if (f->ai_back_us > 0)
		say(p, "Waits for %s until %s: %.*s", f->no_ai_quota ? "quota" : "a provider",
			when(f->ai_back_us, f->o->db_wall_us, at), shortened(f->no_ai), f->no_ai);
	else
		say(p, "Waits for a provider, no AI can be asked: %.*s", shortened(f->no_ai), f->no_ai);
}

static void say_idle(const struct progress_facts *f, struct progress *p)
{
	const struct bf_overview *o = f->o;
	int n = o->pending_within < f->batch_size ? o->pending_within : f->batch_size;
	char at[40];

	if (f->next_run_us <= 0)
		say(p, "Idle: %d month%s pending, and nothing claims pending months: schedule them", o->pending,
			o->pending == 1 ? " is" : "s are");
	else if (o->pending_within == 0)
		say(p, "Idle: the %d pending month%s outside the timer's years: schedule %s", o->pending,
			o->pending == 1 ? " is" : "s are", o->pending == 1 ? "it" : "them");
	else
		say(p, "Idle: %d month%s pending; the timer starts %d at %s", o->pending,
			o->pending == 1 ? " is" : "s are", n, when(f->next_run_us, o->db_wall_us, at));
}

/* Months in processing that no living instance holds. */
static void say_left_behind(const struct bf_overview *o, struct progress *p)
{
	int n = o->left_behind;

	if (n > 0)
		say(p, "%d month%s for rescue: the instance that held %s is gone", n, n == 1 ? " waits" : "s wait",
			n == 1 ? "it" : "them");
	else
		say(p, "%d month%s held by a program that holds no lock, taken up when %s not moved for long",
			o->older, o->older == 1 ? " is" : "s are", o->older == 1 ? "it has" : "they have");
}

static enum progress_state describe(const struct progress_facts *f, struct progress *p)
{
	const struct bf_overview *o = f->o;

	if (o->total == 0) {
		say(p, "No month is seeded yet: seed the years first");
		return PROGRESS_EMPTY;
	}
	if (p->left == 0) {
		say(p, "All %d months are over: %d completed, %d failed", o->total, o->completed, o->failed);
		return PROGRESS_DONE;
	}
	if (o->paused != NULL) {
		say_paused(o, p);
		return PROGRESS_PAUSED;
	}
	if (o->in_flight > 0) {
		say(p, "%d month%s in flight on %d instance%s", o->in_flight, plural(o->in_flight), o->holders,
			plural(o->holders));
		return PROGRESS_WORKING;
	}
	if (o->left_behind > 0 || o->older > 0)
		say_left_behind(o, p);
	else if (f->no_ai != NULL)
		say_no_ai(f, p);
	else if (o->retry > 0)
		say_waiting(o, p);
	else
		say_idle(f, p);
	return o->processing == 0 && f->no_ai == NULL && o->retry == 0 ? PROGRESS_IDLE : PROGRESS_WAITING;
}

/* ---- the time ---- */
/* Work of so many seconds, from what it is bound by. */
static void bind_pace(const struct progress_facts *f, const struct pace_time *t, struct progress *p)
{
	const char *name = bf_provider_names[t->provider];
	int64_t s = (int64_t)ceil(t->seconds), now = f->o->db_wall_us;
	char n[32], at[40];

	switch (t->bound) {
	case PACE_NOTHING: return;
	case PACE_SLOTS:
		bind(p, s, "%d month%s at once", f->pace.at_once, plural(f->pace.at_once));
		return;
	case PACE_RATE: bind(p, s, "%s: %g/s", name, f->pace.rate_per_s[t->provider]); return;
	case PACE_QUOTA:
		bind(p, s, "%s: %s left today, resets %s", name, grouped(f->pace.left[t->provider], n),
			when(now + f->pace.reset_in_s[t->provider] * 1000000, now, at));
		return;
	}
}

/* Seconds from now to a time, not below 0. */
static int64_t seconds_to(const struct progress_facts *f, int64_t at_us)
{
	return at_us > f->o->db_wall_us ? (at_us - f->o->db_wall_us + 999999) / 1000000 : 0;
}

/* Months that are due only later: the timer's last run, and the last attempt. */
static void bind_later(const struct progress_facts *f, struct progress *p)
{
	const struct bf_overview *o = f->o;
	int batch = o->pending_within < f->batch_size ? o->pending_within : f->batch_size;
	char at[40];
	int64_t s;

	if (o->pending > 0) {
		s = seconds_to(f, f->last_run_us) + (int64_t)ceil(pace_of(&f->pace, batch).seconds);
		if (s > p->seconds_left)
			bind(p, s, "the timer: %d month%s a run, next %s", f->batch_size, plural(f->batch_size),
				when(f->next_run_us, o->db_wall_us, at));
	}
	if (o->retry > o->retries_due) {
		s = seconds_to(f, o->retry_last_us) + (int64_t)ceil(pace_of(&f->pace, 1).seconds);
		if (s > p->seconds_left)
			bind(p, s, "the last attempt that waits is due %s", when(o->retry_last_us, o->db_wall_us, at));
	}
}

/* Nothing begins before that; what comes later anyway is not moved. */
static void bind_start(const struct progress_facts *f, const struct pace_time *t, int64_t at_us, const char *why,
	struct progress *p)
{
	char at[40];
	int64_t s = seconds_to(f, at_us) + (int64_t)ceil(t->seconds);

	if (s > p->seconds_left)
		bind(p, s, "%s until %s", why, when(at_us, f->o->db_wall_us, at));
}

static void tell_time(const struct progress_facts *f, struct progress *p)
{
	const struct bf_overview *o = f->o;
	struct pace_time t = pace_of(&f->pace, p->left);

	if (p->left == 0) {
		p->seconds_left = o->total > 0 ? 0 : -1;
	} else if (o->paused != NULL && o->pause_until_us <= 0) {
		bind(p, -1, "paused until somebody resumes");
	} else if (f->no_ai != NULL && f->ai_back_us <= 0) {
		bind(p, -1, "no AI provider can be asked");
	} else if (o->pending > 0 && f->next_run_us <= 0) {
		bind(p, -1, "nothing claims the pending months: no timer is set");
	} else if (o->pending > o->pending_within) {
		bind(p, -1, "%d pending month%s outside the timer's years", o->pending - o->pending_within,
			o->pending - o->pending_within == 1 ? " is" : "s are");
	} else if (o->pending > 0 && f->last_run_us <= 0) {
		bind(p, -1, "the timer's runs reach too far ahead");
	} else {
		bind_pace(f, &t, p);
		bind_later(f, p);
		if (o->paused != NULL)
			bind_start(f, &t, o->pause_until_us, "paused", p);
		if (f->no_ai != NULL)
			bind_start(f, &t, f->ai_back_us, "no AI can be asked", p);
	}
}

void progress_of(const struct progress_facts *f, struct progress *ret)
{
	const struct bf_overview *o = f->o;
	int over = o->completed + o->failed;

	memset(ret, 0, sizeof(*ret));
	ret->left = o->total - over;
	ret->percent = o->total > 0 ? floor(1000.0 * over / o->total) / 10 : 0;
	for (int id = 0; id < BF_NPROVIDERS; id++)
		ret->cost_left_usd += f->pace.each[id].cost * ret->left;
	ret->state = describe(f, ret);
	tell_time(f, ret);
}

const char *progress_state_name(enum progress_state state)
{
	switch (state) {
	case PROGRESS_EMPTY: return "empty";
	case PROGRESS_DONE: return "done";
	case PROGRESS_PAUSED: return "paused";
	case PROGRESS_WORKING: return "working";
	case PROGRESS_WAITING: return "waiting";
	case PROGRESS_IDLE: return "idle";
	}
	return "idle";
}
