/*
 * cron: reads the five-field expressions of POSIX crontab(1) with the usual additions: steps, names
 * of months and days, 7 for Sunday, ranges that end on Sunday. Anything else is refused, and the
 * message names the field.
 */
#include "cron.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct cron_field {
	const char *name;
	int least, most;
	const char *words;	/* three letters each, from `least` on; "" none */
};

static const struct cron_field cron_fields[] = {
	{ "minute", 0, 59, "" },
	{ "hour", 0, 23, "" },
	{ "day of month", 1, 31, "" },
	{ "month", 1, 12, "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC" },
	{ "day of week", 0, 7, "SUNMONTUEWEDTHUFRISAT" }
};

/* One item of a list, as written. */
struct cron_item { int from, to, step; bool star; };

/* Reads a number or a name at *p; -1 when there is none. */
static int cron_value(const struct cron_field *f, const char **p, const char *end)
{
	const char *s = *p;
	int v = 0;

	if (end - s >= 3)
		for (int i = 0; f->words[3 * i]; i++)
			if (strncasecmp(s, f->words + 3 * i, 3) == 0) {
				*p = s + 3;
				return f->least + i;
			}
	while (s < end && *s >= '0' && *s <= '9' && s - *p < 3)
		v = v * 10 + (*s++ - '0');
	if (s == *p)
		return -1;
	*p = s;
	return v;
}

/* Reads `*`, `a`, or `a-b`, each of the ranges with a step behind it. */
static const char *cron_item(const struct cron_field *f, const char *p, const char *end,
			     struct cron_item *item)
{
	*item = (struct cron_item){ f->least, f->most, 1, p < end && *p == '*' };
	if (item->star) {
		p++;
	} else {
		item->from = item->to = cron_value(f, &p, end);
		if (item->from < 0)
			return "is not a number or name";
	}
	if (p < end && *p == '-' && !item->star) {
		p++;
		item->to = cron_value(f, &p, end);
		if (item->to < 0)
			return "has a range without an end";
		if (f->most == 7 && item->to == 0 && item->from > 0)
			item->to = 7;	/* SAT-SUN */
	} else if (!item->star && p < end && *p == '/') {
		return "has a step behind a single value (write a range, or * before the /)";
	}
	if (p < end && *p == '/') {
		static const struct cron_field number = { "", 0, 0, "" };

		p++;
		item->step = cron_value(&number, &p, end);
		if (item->step < 1)
			return "has a step that is not a number above 0";
	}
	if (p != end)
		return "is not understood";
	if (item->from < f->least || item->to > f->most || item->from > f->most)
		return "is out of range";
	return item->from > item->to ? "is a range that runs backwards" : NULL;
}

/* Notes what is wrong with the piece of text s..end; always false. */
static bool cron_refuse(struct bf_error *err, const struct cron_field *f, const char *s,
			const char *end, const char *why)
{
	bf_error_set(err, BF_ERR_CONFIG, "%s \"%.*s\" %s (%d-%d)", f->name,
		     (int)bf_utf8_cut(s, (size_t)(end - s), 40), s, why, f->least, f->most);
	return false;
}

/* Reads one field, s..end, into a bit per value. */
static bool cron_parse_field(const struct cron_field *f, const char *s, const char *end,
			     uint64_t *mask, bool *star, struct bf_error *err)
{
	*mask = 0;
	*star = *s == '*';
	for (;;) {
		const char *comma = memchr(s, ',', (size_t)(end - s)), *why;
		const char *stop = comma ? comma : end;
		struct cron_item item;

		why = cron_item(f, s, stop, &item);
		if (why)
			return cron_refuse(err, f, s, stop, why);
		for (int v = item.from; v <= item.to; v += item.step)
			*mask |= UINT64_C(1) << v;
		if (!comma)
			break;
		*star = false;	/* a list restricts, whatever is in it */
		s = comma + 1;
	}
	if (f->most == 7 && *mask & 0x80)
		*mask = (*mask & 0x7f) | 1;
	return true;
}

/* Reads an expression; *c is unchanged when it is refused. */
bool bf_cron_parse(struct bf_cron *c, const char *expr, struct bf_error *err)
{
	uint64_t mask[BF_COUNT(cron_fields)];
	bool star[BF_COUNT(cron_fields)];
	const char *p = expr + strspn(expr, " \t");
	size_t n;

	for (n = 0; n < BF_COUNT(cron_fields) && *p; n++) {
		size_t len = strcspn(p, " \t");

		if (!cron_parse_field(&cron_fields[n], p, p + len, &mask[n], &star[n], err))
			return false;
		p += len;
		p += strspn(p, " \t");
	}
	if (n < BF_COUNT(cron_fields) || *p) {
		bf_error_set(err, BF_ERR_CONFIG,
			     "a schedule has five fields (minute hour day-of-month month "
			     "day-of-week), this one has %s",
			     *p ? "more" : "fewer");
		return false;
	}
	*c = (struct bf_cron){
		.minute = mask[0] | (star[0] ? CRON_MINUTE_STAR : 0),
		.hour = (uint32_t)mask[1] | (star[1] ? CRON_HOUR_STAR : 0),
		.dom = (uint32_t)mask[2], .month = (uint32_t)mask[3], .dow = (uint32_t)mask[4],
		.dom_star = star[2], .dow_star = star[4]
	};
	return true;
}
