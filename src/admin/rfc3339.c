/*
 * rfc3339: date-time of RFC 3339, section 5.6. A leap second counts as the second after it.
 */
#include "rfc3339.h"
#include <ctype.h>
#include <string.h>
#include <time.h>

/* Exactly `digits` decimal digits, within bounds; moves *s past them. */
static bool read_digits(const char **s, int digits, int low, int high, int *ret)
{
	int value = 0;

	for (int i = 0; i < digits; i++, ++*s) {
		if (!isdigit((unsigned char)**s))
			return false;
		value = 10 * value + (**s - '0');
	}
	*ret = value;
	return value >= low && value <= high;
}

/* One of the given characters. */
static bool read_char(const char **s, const char *any)
{
	if (**s == '\0' || strchr(any, **s) == NULL)
		return false;
	++*s;
	return true;
}

/* The days of a month. */
static int days_in(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap ? 1 : 0);
}

/* "Z" or "+hh:mm"; what is to be taken off the time, in seconds. */
static bool read_offset(const char **s, int *ret_s)
{
	int hours, minutes;
	bool west;

	*ret_s = 0;
	if (read_char(s, "Zz"))
		return true;
	west = **s == '-';
	if (!read_char(s, "+-") || !read_digits(s, 2, 0, 23, &hours) || !read_char(s, ":") ||
		!read_digits(s, 2, 0, 59, &minutes))
		return false;
	*ret_s = (west ? -1 : 1) * (hours * 3600 + minutes * 60);
	return true;
}

/* Reads a whole date-time. */
bool rfc3339_parse(const char *s, int64_t *ret_s)
{
	struct tm tm = { 0 };
	int year, month, offset_s;

	if (!read_digits(&s, 4, 1970, 9999, &year) || !read_char(&s, "-") ||
		!read_digits(&s, 2, 1, 12, &month) || !read_char(&s, "-") ||
		!read_digits(&s, 2, 1, days_in(year, month), &tm.tm_mday) ||
		!read_char(&s, "Tt ") || !read_digits(&s, 2, 0, 23, &tm.tm_hour) ||
		!read_char(&s, ":") || !read_digits(&s, 2, 0, 59, &tm.tm_min) ||
		!read_char(&s, ":") || !read_digits(&s, 2, 0, 60, &tm.tm_sec))
		return false;
	if (read_char(&s, ".")) {
		if (!isdigit((unsigned char)*s))
			return false;
		while (isdigit((unsigned char)*s))
			s++;
	}
	if (!read_offset(&s, &offset_s) || *s != '\0')
		return false;
	tm.tm_year = year - 1900;
	tm.tm_mon = month - 1;
	*ret_s = (int64_t)timegm(&tm) - offset_s;
	return true;
}
