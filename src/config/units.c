/* units: see units.h. A number without its unit is refused: 30 what? */
#include "units.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct unit { const char *name; int64_t factor; };

static const struct unit unit_durations[] = {
	{ "d", 86400000 }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 }, { NULL, 0 }
};
static const struct unit unit_sizes[] = {
	{ "MiB", 1 << 20 }, { "KiB", 1024 }, { "B", 1 }, { NULL, 0 }
};

/* Reads digits at the start; false without any. */
static bool unit_number(const char *text, int64_t *ret, char **end)
{
	const char *digits = text + (*text == '-');

	if (*digits < '0' || *digits > '9')
		return false;
	errno = 0;
	*ret = strtoll(text, end, 10);
	return errno == 0;
}

bool units_parse_int(const char *text, int64_t *ret)
{
	int64_t v;
	char *end;

	if (!unit_number(text, &v, &end) || *end)
		return false;
	*ret = v;
	return true;
}

bool units_parse_double(const char *text, double *ret)
{
	double v;
	char *end;

	/* strtod would take hexadecimal, inf and nan too */
	if (!text[0] || text[strspn(text, "0123456789.-")])
		return false;
	v = strtod(text, &end);
	if (*end || end == text || !isfinite(v))
		return false;
	*ret = v;
	return true;
}

/* A number and one of the units. */
static bool unit_parse(const char *text, const struct unit *u, int64_t *ret)
{
	int64_t v;
	char *end;

	if (!unit_number(text, &v, &end))
		return false;
	if (!*end && v == 0) {
		*ret = 0;
		return true;
	}
	for (; u->name; u++)
		if (strcmp(end, u->name) == 0)
			return !__builtin_mul_overflow(v, u->factor, ret);
	return false;
}

bool units_parse_duration(const char *text, int64_t *ret_ms)
{
	int64_t v;

	if (!unit_parse(text, unit_durations, &v))
		return false;
	*ret_ms = v;
	return true;
}

bool units_parse_size(const char *text, int64_t *ret_bytes)
{
	int64_t v;

	if (!unit_parse(text, unit_sizes, &v))
		return false;
	*ret_bytes = v;
	return true;
}

bool units_parse_rate(const char *text, double *ret_per_s)
{
	const char *slash = strchr(text, '/');
	char number[32];
	double n;

	if (!slash || slash == text || (size_t)(slash - text) >= sizeof(number))
		return false;
	memcpy(number, text, (size_t)(slash - text));
	number[slash - text] = '\0';
	if (!units_parse_double(number, &n))
		return false;
	if (strcmp(slash, "/s") == 0)
		*ret_per_s = n;
	else if (strcmp(slash, "/m") == 0)
		*ret_per_s = n / 60;
	else if (strcmp(slash, "/h") == 0)
		*ret_per_s = n / 3600;
	else
		return false;
	return true;
}

/* In the largest unit that divides it. */
static void unit_format(char *out, size_t size, int64_t v, const struct unit *u)
{
	while (u[1].name && (v == 0 || v % u->factor))
		u++;
	snprintf(out, size, "%lld%s", (long long)(v / u->factor), u->name);
}

void units_format_duration(char *out, size_t size, int64_t ms)
{
	unit_format(out, size, ms, unit_durations);
}

void units_format_size(char *out, size_t size, int64_t bytes)
{
	unit_format(out, size, bytes, unit_sizes);
}

/* True when v is, but for rounding, a whole number above 0. */
static bool unit_is_whole(double v)
{
	return v > 0.5 && fabs(v - round(v)) < 1e-6 * v;
}

void units_format_rate(char *out, size_t size, double per_s)
{
	if (unit_is_whole(per_s))
		snprintf(out, size, "%.0f/s", per_s);
	else if (unit_is_whole(per_s * 60))
		snprintf(out, size, "%.0f/m", per_s * 60);
	else if (unit_is_whole(per_s * 3600))
		snprintf(out, size, "%.0f/h", per_s * 3600);
	else
		snprintf(out, size, "%.6g/s", per_s);
}
