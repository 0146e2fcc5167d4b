/*
 * cron_time: when does an expression fire? Matching is done on the local calendar (seconds since
 * 1970 as the wall clock reads, here called a reading), whole days at a time; only the few readings
 * that match are turned into instants. The zone's rules come from glibc, which knows one zone at a
 * time: TZ is set for the length of a call and put back, which is sound in one thread.
 *
 * What daylight saving does, as the door promises: a reading that is skipped fires at the first
 * instant behind the gap; of a doubled one the first counts, except for expressions whose minute
 * and hour are both `*`-like, which fire whenever the clock on the wall matches.
 */
#include "cron.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CRON_DAY_S = 86400, CRON_HORIZON_DAYS = 5 * 366, CRON_OVERLAP_S = 3 * 3600 };
#define CRON_NONE INT64_MIN

struct cron_zone { bool utc; char *saved; };

/* True for the zone that needs no file. */
static bool cron_is_utc(const char *name)
{
	return strcmp(name, "UTC") == 0 || strcmp(name, "Etc/UTC") == 0;
}

/* True when the name is that of a compiled zone file of the system. */
bool bf_timezone_valid(const char *name)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/";
	char path[128], magic[4];
	struct stat st;
	bool ok;
	int fd;

	if (cron_is_utc(name))
		return true;
	if (!name[0] || name[0] == '/' || name[0] == '.' || strstr(name, "..") ||
	    strlen(name) > 64 || name[strspn(name, letters)])
		return false;
	snprintf(path, sizeof(path), "/usr/share/zoneinfo/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return false;
	ok = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
		read(fd, magic, sizeof(magic)) == sizeof(magic) &&
		memcmp(magic, "TZif", sizeof(magic)) == 0;
	close(fd);
	return ok;
}

/* Makes glibc's local time that of the zone. */
static void cron_enter(struct cron_zone *z, const char *name)
{
	const char *tz = getenv("TZ");
	char value[80];

	z->utc = cron_is_utc(name);
	z->saved = NULL;
	if (z->utc)
		return;
	if (tz)
		z->saved = bf_xstrdup(tz);
	snprintf(value, sizeof(value), ":%s", name);
	if (setenv("TZ", value, 1) < 0)
		abort();
	tzset();
}

/* Puts the process's own zone back. */
static void cron_leave(struct cron_zone *z)
{
	if (z->utc)
		return;
	if ((z->saved ? setenv("TZ", z->saved, 1) : unsetenv("TZ")) < 0)
		abort();
	tzset();
	free(z->saved);
}

/* Seconds east of Greenwich at an instant. */
static int64_t cron_offset(const struct cron_zone *z, int64_t t)
{
	time_t tt = (time_t)t;
	struct tm tm;

	if (z->utc || !localtime_r(&tt, &tm))
		return 0;
	return tm.tm_gmtoff;
}

/* What the clock on the wall reads at an instant. */
static int64_t cron_reading(const struct cron_zone *z, int64_t t)
{
	return t + cron_offset(z, t);
}

/* Division that rounds down. */
static int64_t cron_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* The last whole minute at or before. */
static int64_t cron_minute(int64_t t)
{
	return cron_div(t, 60) * 60;
}

/* The first instant in (before, at] whose offset is that of `at`; it changes once between. */
static int64_t cron_transition(const struct cron_zone *z, int64_t before, int64_t at)
{
	int64_t offset = cron_offset(z, at);

	while (at - before > 1) {
		int64_t middle = before + (at - before) / 2;

		if (cron_offset(z, middle) == offset)
			at = middle;
		else
			before = middle;
	}
	return at;
}

/* The instant of a reading: the first if there are two, the one behind the gap if there is none. */
static int64_t cron_instant(const struct cron_zone *z, int64_t reading)
{
	int64_t early = reading - cron_offset(z, reading - CRON_DAY_S);
	int64_t late = reading - cron_offset(z, reading + CRON_DAY_S);

	/* a clock set back was ahead before, so of two instants this one is the first */
	if (cron_reading(z, early) == reading)
		return early;
	if (cron_reading(z, late) == reading)
		return late;
	return cron_minute(cron_transition(z, late, early) + 59);
}

/* Does the expression fire on that day (days since 1970)? */
static bool cron_day_matches(const struct bf_cron *c, int64_t day)
{
	time_t t = (time_t)(day * CRON_DAY_S);
	struct tm tm;
	bool dom, dow;

	if (!gmtime_r(&t, &tm))
		return false;
	dom = c->dom >> tm.tm_mday & 1;
	dow = c->dow >> tm.tm_wday & 1;
	if (!(c->month >> (tm.tm_mon + 1) & 1))
		return false;
	return c->dom_star || c->dow_star ? dom && dow : dom || dow;
}

/* The first matching reading from `from` on, CRON_NONE if there is none up to `limit`. */
static int64_t cron_match_from(const struct bf_cron *c, int64_t from, int64_t limit)
{
	int64_t day = cron_div(from, CRON_DAY_S);
	int minute = (int)((from - day * CRON_DAY_S + 59) / 60);

	for (; day * CRON_DAY_S <= limit; day++, minute = 0) {
		if (!cron_day_matches(c, day))
			continue;
		for (int h = minute / 60; h < 24; h++) {
			if (!(c->hour >> h & 1))
				continue;
			for (int m = h == minute / 60 ? minute % 60 : 0; m < 60; m++)
				if (c->minute >> m & 1)
					return day * CRON_DAY_S + h * 3600 + m * 60;
		}
	}
	return CRON_NONE;
}

/* The last matching reading up to `to`, CRON_NONE if there is none from `limit` on. */
static int64_t cron_match_to(const struct bf_cron *c, int64_t to, int64_t limit)
{
	int64_t day = cron_div(to, CRON_DAY_S);
	int minute = (int)((to - day * CRON_DAY_S) / 60);

	for (; (day + 1) * CRON_DAY_S > limit; day--, minute = 1439) {
		if (!cron_day_matches(c, day))
			continue;
		for (int h = minute / 60; h >= 0; h--) {
			if (!(c->hour >> h & 1))
				continue;
			for (int m = h == minute / 60 ? minute % 60 : 59; m >= 0; m--)
				if (c->minute >> m & 1)
					return day * CRON_DAY_S + h * 3600 + m * 60;
		}
	}
	return CRON_NONE;
}

/* Minute and hour both `*`-like. */
static bool cron_follows_clock(const struct bf_cron *c)
{
	return c->minute & CRON_MINUTE_STAR && c->hour & CRON_HOUR_STAR;
}

/* Next for expressions that name a time of day. Readings in order give instants in order, so the
 * first reading whose instant lies behind `after` is the answer. */
static int64_t cron_next_timed(const struct bf_cron *c, const struct cron_zone *z, int64_t after,
			       int64_t limit)
{
	int64_t r = cron_minute(cron_reading(z, after));

	while ((r = cron_match_from(c, r, limit)) != CRON_NONE) {
		int64_t t = cron_instant(z, r);

		if (t > after)
			return t;
		r += 60;
	}
	return -1;
}

/* Prev for the same. In the second pass of a doubled hour a later reading has an earlier instant,
 * so the search starts a little ahead. */
static int64_t cron_prev_timed(const struct bf_cron *c, const struct cron_zone *z, int64_t at,
			       int64_t limit)
{
	int64_t r = cron_minute(cron_reading(z, at)) + CRON_OVERLAP_S;

	while ((r = cron_match_to(c, r, limit)) != CRON_NONE) {
		int64_t t = cron_instant(z, r);

		if (t <= at)
			return t;
		r -= 60;
	}
	return -1;
}

/* Next for expressions that follow the clock: from t, where the next matching reading is r, unless
 * the clock is changed on the way. */
static int64_t cron_next_clock(const struct bf_cron *c, const struct cron_zone *z, int64_t after,
			       int64_t limit)
{
	int64_t t = cron_minute(after);

	for (;;) {
		int64_t now = cron_reading(z, t), then, change;
		int64_t r = cron_match_from(c, now + 60, limit);

		if (r == CRON_NONE)
			return -1;
		if (cron_div(r, CRON_DAY_S) > cron_div(now, CRON_DAY_S) + 1) {
			t = cron_instant(z, cron_div(r, CRON_DAY_S) * CRON_DAY_S) - 60;
			continue;
		}
		then = t + (r - now);
		if (cron_offset(z, then) == cron_offset(z, t))
			return then;
		change = cron_minute(cron_transition(z, t, then) + 59);
		/* r was skipped, or the clock, set back, matches again */
		now = cron_reading(z, change);
		if (r < now || cron_match_from(c, now, limit) == now)
			return change;
		t = change;
	}
}

/* Prev for the same, in the other direction. */
static int64_t cron_prev_clock(const struct bf_cron *c, const struct cron_zone *z, int64_t at,
			       int64_t limit)
{
	int64_t t = cron_minute(at);

	for (;;) {
		int64_t now = cron_reading(z, t), then, change, ahead;
		int64_t r = cron_match_to(c, now, limit);

		if (r == CRON_NONE)
			return -1;
		if (cron_div(r, CRON_DAY_S) < cron_div(now, CRON_DAY_S) - 1) {
			t = cron_instant(z, (cron_div(r, CRON_DAY_S) + 2) * CRON_DAY_S) - 60;
			continue;
		}
		then = t - (now - r);
		if (cron_offset(z, then) == cron_offset(z, t))
			return then;
		change = cron_minute(cron_transition(z, then, t) + 59);
		ahead = cron_reading(z, change);
		r = cron_match_to(c, ahead - 60, limit);
		if (r != CRON_NONE && r > cron_reading(z, change - 60))
			return change;	/* skipped readings fire here */
		t = change - 60;
	}
}

/* The first time after. */
int64_t bf_cron_next(const struct bf_cron *c, const char *zone, int64_t after)
{
	struct cron_zone z;
	int64_t limit, t;

	cron_enter(&z, zone);
	limit = cron_reading(&z, after) + (int64_t)CRON_HORIZON_DAYS * CRON_DAY_S;
	t = (cron_follows_clock(c) ? cron_next_clock : cron_next_timed)(c, &z, after, limit);
	cron_leave(&z);
	return t;
}

/* The last time at or before. */
int64_t bf_cron_prev(const struct bf_cron *c, const char *zone, int64_t at)
{
	struct cron_zone z;
	int64_t limit, t;

	cron_enter(&z, zone);
	limit = cron_reading(&z, at) - (int64_t)CRON_HORIZON_DAYS * CRON_DAY_S;
	t = (cron_follows_clock(c) ? cron_prev_clock : cron_prev_timed)(c, &z, at, limit);
	cron_leave(&z);
	return t;
}
