/* cron: which expressions are accepted and what they mean, and when they fire, daylight saving included. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "backfill/base.h"

/* Unix seconds of a UTC time "2024-03-10T07:00". */
static int64_t at(const char *utc)
{
	struct tm tm = { 0 };

	assert_non_null(strptime(utc, "%Y-%m-%dT%H:%M", &tm));
	return timegm(&tm);
}

/* The expression, which must be fine. */
static struct bf_cron cron(const char *expr)
{
	struct bf_error err;
	struct bf_cron c;

	if (!bf_cron_parse(&c, expr, &err))
		fail_msg("%s: %s", expr, err.text);
	return c;
}

struct fires { const char *expr, *zone, *from, *next; };

/* Ordinary times, month ends, leap years, names, and the two rules for days. */
static void test_next_on_ordinary_days(void **state)
{
	static const struct fires table[] = {
		{ "0 3 * * *", "UTC", "2024-01-01T00:00", "2024-01-01T03:00" },
		{ "0 3 * * *", "UTC", "2024-01-01T03:00", "2024-01-02T03:00" },
		{ "0 3 * * *", "UTC", "2024-12-31T23:59", "2025-01-01T03:00" },
		{ "*/15 * * * *", "UTC", "2024-01-01T00:14", "2024-01-01T00:15" },
		{ "*/15 * * * *", "UTC", "2024-01-01T00:45", "2024-01-01T01:00" },
		{ "3-20/5 * * * *", "UTC", "2024-01-01T00:00", "2024-01-01T00:03" },
		{ "3-20/5 * * * *", "UTC", "2024-01-01T00:18", "2024-01-01T01:03" },
		{ "7,5,6 9 * * *", "UTC", "2024-01-01T09:05", "2024-01-01T09:06" },
		{ "0 0 29 2 *", "UTC", "2024-02-29T00:00", "2028-02-29T00:00" },
		{ "0 0 31 * *", "UTC", "2024-04-01T00:00", "2024-05-31T00:00" },
		{ "0 0 31 2 *", "UTC", "2024-01-01T00:00", NULL },
		{ "0 0 30 feb mon", "UTC", "2024-01-01T00:00", "2024-02-05T00:00" },
		{ "0 0 1 JAN *", "UTC", "2024-01-01T00:00", "2025-01-01T00:00" },
		{ "0 0 * * sun", "UTC", "2024-01-01T00:00", "2024-01-07T00:00" },
		{ "0 0 * * 7", "UTC", "2024-01-01T00:00", "2024-01-07T00:00" },
		{ "0 0 * * 0", "UTC", "2024-01-01T00:00", "2024-01-07T00:00" },
		{ "0 0 * * Sat-Sun", "UTC", "2024-01-07T00:00", "2024-01-13T00:00" },
		{ "0 0 * * MON-FRI", "UTC", "2024-01-05T00:00", "2024-01-08T00:00" },
		/* both restricted: either; one of them a star: both */
		{ "0 0 13 * FRI", "UTC", "2024-01-01T00:00", "2024-01-05T00:00" },
		{ "0 0 13 * FRI", "UTC", "2024-01-12T00:00", "2024-01-13T00:00" },
		{ "0 0 */2 * MON", "UTC", "2024-01-01T00:00", "2024-01-15T00:00" },
		{ "0 3 * * *", "Europe/Berlin", "2024-01-01T00:00", "2024-01-01T02:00" },
		{ "0 3 * * *", "Asia/Kolkata", "2024-01-01T00:00", "2024-01-01T21:30" },
		{ "\t0  3 * * *  ", "UTC", "2024-01-01T00:00", "2024-01-01T03:00" },
		{ "59 23 31 12 *", "UTC", "1969-12-30T00:00", "1969-12-31T23:59" },
	};

	(void)state;
	for (size_t i = 0; i < BF_COUNT(table); i++) {
		const struct fires *f = &table[i];
		struct bf_cron c = cron(f->expr);
		int64_t next = bf_cron_next(&c, f->zone, at(f->from));

		if (next != (f->next ? at(f->next) : -1))
			fail_msg("%s after %s: %lld", f->expr, f->from, (long long)next);
		if (f->next && bf_cron_prev(&c, f->zone, next + 59) != next)
			fail_msg("%s: prev of its own next", f->expr);
	}
}

/* Seconds do not matter: the next minute after any second of the one before, never the same. */
static void test_next_between_minutes(void **state)
{
	struct bf_cron c = cron("* * * * *");
	int64_t t = at("2024-01-01T00:00");

	(void)state;
	assert_int_equal(bf_cron_next(&c, "UTC", t - 1), t);
	assert_int_equal(bf_cron_next(&c, "UTC", t), t + 60);
	assert_int_equal(bf_cron_next(&c, "UTC", t + 59), t + 60);
	assert_int_equal(bf_cron_prev(&c, "UTC", t), t);
	assert_int_equal(bf_cron_prev(&c, "UTC", t + 59), t);
	assert_int_equal(bf_cron_prev(&c, "UTC", t - 1), t - 60);
}

/* The days on which clocks change: a skipped time fires behind the gap, a doubled one once. */
static void test_next_when_clocks_change(void **state)
{
	static const struct fires table[] = {
		/* New York 2024: 02:00 EST -> 03:00 EDT on 10 March (07:00Z), back on 3 November (06:00Z) */
		{ "30 2 * * *", "America/New_York", "2024-03-09T12:00", "2024-03-10T07:00" },
		{ "30 2 * * *", "America/New_York", "2024-03-10T07:00", "2024-03-11T06:30" },
		{ "0 2,3 * * *", "America/New_York", "2024-03-10T06:59", "2024-03-10T07:00" },
		{ "0 2,3 * * *", "America/New_York", "2024-03-10T07:00", "2024-03-11T06:00" },
		{ "0 * * * *", "America/New_York", "2024-03-10T06:00", "2024-03-10T07:00" },
		{ "30 1 * * *", "America/New_York", "2024-11-03T00:00", "2024-11-03T05:30" },
		{ "30 1 * * *", "America/New_York", "2024-11-03T05:30", "2024-11-04T06:30" },
		{ "30 1 * * *", "America/New_York", "2024-11-03T06:10", "2024-11-04T06:30" },
		{ "0 2 * * *", "America/New_York", "2024-11-03T05:59", "2024-11-03T07:00" },
		{ "*/30 * * * *", "America/New_York", "2024-11-03T05:30", "2024-11-03T06:00" },
		{ "*/30 * * * *", "America/New_York", "2024-11-03T06:00", "2024-11-03T06:30" },
		{ "*/30 * * * *", "America/New_York", "2024-11-03T06:30", "2024-11-03T07:00" },
		/* Berlin 2024: 02:00 CET -> 03:00 CEST on 31 March (01:00Z), back on 27 October (01:00Z) */
		{ "15 2 * * *", "Europe/Berlin", "2024-03-30T12:00", "2024-03-31T01:00" },
		{ "15 2 * * *", "Europe/Berlin", "2024-03-31T01:00", "2024-04-01T00:15" },
		{ "15 2 * * *", "Europe/Berlin", "2024-10-26T12:00", "2024-10-27T00:15" },
		{ "15 2 * * *", "Europe/Berlin", "2024-10-27T00:15", "2024-10-28T01:15" },
		{ "0 0 * * *", "Europe/Berlin", "2024-03-30T23:00", "2024-03-31T22:00" },
		{ "0 0 * * *", "Europe/Berlin", "2024-10-26T22:00", "2024-10-27T23:00" },
		/* Samoa left out 30 December 2011 */
		{ "0 12 30 12 *", "Pacific/Apia", "2011-12-29T00:00", "2011-12-30T10:00" },
	};

	(void)state;
	for (size_t i = 0; i < BF_COUNT(table); i++) {
		const struct fires *f = &table[i];
		struct bf_cron c = cron(f->expr);
		int64_t next = bf_cron_next(&c, f->zone, at(f->from));

		if (next != at(f->next))
			fail_msg("%s in %s after %s: %lld instead of %lld", f->expr, f->zone,
				 f->from, (long long)next, (long long)at(f->next));
	}
}

/* The last time at or before. */
static void test_prev(void **state)
{
	static const struct fires table[] = {	/* here `next` is the previous */
		{ "0 3 * * *", "UTC", "2024-01-02T02:59", "2024-01-01T03:00" },
		{ "0 3 * * *", "UTC", "2024-01-02T03:00", "2024-01-02T03:00" },
		{ "0 0 29 2 *", "UTC", "2028-02-28T00:00", "2024-02-29T00:00" },
		{ "0 0 31 2 *", "UTC", "2028-02-28T00:00", NULL },
		{ "30 2 * * *", "America/New_York", "2024-03-10T12:00", "2024-03-10T07:00" },
		{ "30 1 * * *", "America/New_York", "2024-11-03T06:10", "2024-11-03T05:30" },
		{ "30 1 * * *", "America/New_York", "2024-11-03T06:45", "2024-11-03T05:30" },
		{ "*/30 * * * *", "America/New_York", "2024-11-03T06:45", "2024-11-03T06:30" },
		{ "0 3 * * *", "Asia/Tokyo", "2024-01-01T17:59", "2023-12-31T18:00" },
	};

	(void)state;
	for (size_t i = 0; i < BF_COUNT(table); i++) {
		const struct fires *f = &table[i];
		struct bf_cron c = cron(f->expr);
		int64_t prev = bf_cron_prev(&c, f->zone, at(f->from));

		if (prev != (f->next ? at(f->next) : -1))
			fail_msg("%s in %s before %s: %lld", f->expr, f->zone, f->from,
				 (long long)prev);
	}
}

/* Does the oracle's clock reading match? Only fields without lists of days are used with it. */
static bool reading_matches(const struct bf_cron *c, const struct tm *tm)
{
	bool dom = c->dom >> tm->tm_mday & 1, dow = c->dow >> tm->tm_wday & 1;

	return (c->minute >> tm->tm_min & 1) && (c->hour >> tm->tm_hour & 1) &&
		(c->month >> (tm->tm_mon + 1) & 1) &&
		(c->dom_star || c->dow_star ? dom && dow : dom || dow);
}

/* An instant's clock reading, as if it were UTC. */
static int64_t reading_of(int64_t t)
{
	time_t tt = (time_t)t;
	struct tm tm;

	localtime_r(&tt, &tm);
	return t + tm.tm_gmtoff;
}

/* The rules once more, the slow way: does the expression fire at this instant? TZ is set. */
static bool oracle(const struct bf_cron *c, bool follows_clock, int64_t t)
{
	int64_t reading = reading_of(t), before = reading_of(t - 60);
	time_t r = (time_t)reading;
	struct tm tm;

	gmtime_r(&r, &tm);
	if (reading_matches(c, &tm)) {
		bool again = false;

		for (int64_t back = 60; back <= 7200 && !follows_clock && !again; back += 60)
			again = reading_of(t - back) == reading;
		if (!again)
			return true;
	}
	for (int64_t skipped = before + 60; skipped < reading; skipped += 60) {
		time_t s = (time_t)skipped;

		gmtime_r(&s, &tm);
		if (reading_matches(c, &tm))
			return true;
	}
	return false;
}

/* Compares three days around a change of clocks with the oracle, minute by minute. */
static void compare(const char *expr, bool follows_clock, const char *zone, int64_t change)
{
	enum { MINUTES = 3 * 1440 };
	static bool fires[MINUTES];
	int64_t start = change - MINUTES / 2 * 60;
	struct bf_cron c = cron(expr);

	setenv("TZ", zone, 1);
	tzset();
	for (int i = 0; i < MINUTES; i++)
		fires[i] = oracle(&c, follows_clock, start + i * 60);
	for (int i = 700; i < MINUTES - 1500; i += 13) {
		int next = i + 1, prev = i;

		while (next < MINUTES && !fires[next])
			next++;
		while (prev >= 0 && !fires[prev])
			prev--;
		if (next < MINUTES &&
		    bf_cron_next(&c, zone, start + i * 60 + 5) != start + next * 60)
			fail_msg("%s in %s: next after %lld", expr, zone,
				 (long long)start + i * 60 + 5);
		if (prev >= 0 && bf_cron_prev(&c, zone, start + i * 60 + 5) != start + prev * 60)
			fail_msg("%s in %s: prev before %lld", expr, zone,
				 (long long)start + i * 60 + 5);
	}
	assert_string_equal(getenv("TZ"), zone);
	unsetenv("TZ");
	tzset();
}

/* next and prev agree with a minute-by-minute oracle around changes of one hour, of half an hour, at midnight. */
static void test_against_the_slow_way(void **state)
{
	static const struct { const char *zone, *change; } changes[] = {
		{ "America/New_York", "2024-03-10T07:00" }, { "America/New_York", "2024-11-03T06:00" },
		{ "Europe/Berlin", "2024-03-31T01:00" }, { "Europe/Berlin", "2024-10-27T01:00" },
		{ "Australia/Lord_Howe", "2024-10-05T15:30" }, { "Australia/Lord_Howe", "2024-04-06T15:00" },
		{ "America/Havana", "2024-03-10T05:00" }, { "America/Havana", "2024-11-03T05:00" },
		{ "America/Santiago", "2024-04-07T03:00" }, { "America/Santiago", "2024-09-08T04:00" },
	};
	static const struct { const char *expr; bool follows_clock; } exprs[] = {
		{ "* * * * *", true }, { "*/7 * * * *", true }, { "*/20 */2 * * *", true }, { "*/30 */3 * * SUN", true },
		{ "0 * * * *", false }, { "30 0-3 * * *", false }, { "*/10 1,2 * * *", false }, { "59 23 * * *", false },
		{ "0 0 * * *", false }, { "15 2 * * SAT", false },
	};

	(void)state;
	for (size_t z = 0; z < BF_COUNT(changes); z++)
		for (size_t e = 0; e < BF_COUNT(exprs); e++)
			compare(exprs[e].expr, exprs[e].follows_clock, changes[z].zone,
				at(changes[z].change));
}

/* What is wrong is refused with the name of its field, and the struct is left alone. */
static void test_refusals(void **state)
{
	static const struct { const char *expr, *says; } table[] = {
		{ "", "five fields" }, { "0 3 * *", "five fields" }, { "0 3 * * * *", "five fields" },
		{ "@daily", "minute" }, { "60 3 * * *", "minute" }, { "-1 3 * * *", "minute" }, { "a 3 * * *", "minute" },
		{ "0 24 * * *", "hour" }, { "0 3- * * *", "hour" }, { "0 5-3 * * *", "hour" }, { "0 1,,2 * * *", "hour" },
		{ "0 ,1 * * *", "hour" }, { "0 1, * * *", "hour" }, { "0 3 0 * *", "day of month" },
		{ "0 3 32 * *", "day of month" }, { "0 3 1.5 * *", "day of month" }, { "0 3 * 13 *", "month" },
		{ "0 3 * 0 *", "month" }, { "0 3 * FOO *", "month" }, { "0 3 * JANUARY *", "month" },
		{ "0 3 * * 8", "day of week" }, { "0 3 * * MONDAY", "day of week" }, { "*/0 * * * *", "minute" },
		{ "*/ * * * *", "minute" }, { "5/10 * * * *", "minute" }, { "** * * * *", "minute" },
		{ "*-5 * * * *", "minute" }, { "99999999999 * * * *", "minute" }, { "0 3 * * FRI-MON", "day of week" },
		{ "1-5-7 * * * *", "minute" }, { "0 3 ? * *", "day of month" },
	};
	struct bf_cron c, untouched = cron("1 2 3 4 5");
	struct bf_error err;

	(void)state;
	for (size_t i = 0; i < BF_COUNT(table); i++) {
		c = untouched;
		if (bf_cron_parse(&c, table[i].expr, &err))
			fail_msg("\"%s\" was accepted", table[i].expr);
		if (!strstr(err.text, table[i].says))
			fail_msg("\"%s\": %s", table[i].expr, err.text);
		assert_int_equal(err.class, BF_ERR_CONFIG);
		assert_memory_equal(&c, &untouched, sizeof(c));
	}
}

/* Zones are names of compiled zone files of the system and nothing else. */
static void test_timezones(void **state)
{
	static const char *const good[] = { "UTC", "Europe/Berlin",
					    "America/Argentina/Buenos_Aires", "Etc/GMT+5" };
	static const char *const bad[] = {
		"", "/etc/localtime", "../../../etc/passwd", "Europe/../UTC", "Europe", "Europe/Atlantis", "zone.tab",
		"tzdata.zi", "UTC ", "Europe/Berlin\n", "EST5EDT,M3.2.0,M11.1.0"
	};

	(void)state;
	for (size_t i = 0; i < BF_COUNT(good); i++)
		if (!bf_timezone_valid(good[i]))
			fail_msg("%s was refused", good[i]);
	for (size_t i = 0; i < BF_COUNT(bad); i++)
		if (bf_timezone_valid(bad[i]))
			fail_msg("%s was accepted", bad[i]);
}

/* Asking in another zone leaves the process's own as it was. */
static void test_own_zone_is_kept(void **state)
{
	struct bf_cron c = cron("0 3 * * *");
	time_t t = 1704067200;
	struct tm tm;

	(void)state;
	setenv("TZ", "Asia/Tokyo", 1);
	tzset();
	bf_cron_next(&c, "America/New_York", t);
	localtime_r(&t, &tm);
	assert_int_equal(tm.tm_gmtoff, 9 * 3600);
	unsetenv("TZ");
	bf_cron_next(&c, "America/New_York", t);
	assert_null(getenv("TZ"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_next_on_ordinary_days), cmocka_unit_test(test_next_between_minutes),
		cmocka_unit_test(test_next_when_clocks_change), cmocka_unit_test(test_prev),
		cmocka_unit_test(test_against_the_slow_way), cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_timezones), cmocka_unit_test(test_own_zone_is_kept)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
