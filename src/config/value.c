/* value: see value.h. */
#include "value.h"
#include "conninfo.h"
#include "units.h"
#include "url.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is left of a value that may be repeated in a message. */
enum { VALUE_SHOWN = 60 };

/* Writes a reason; always false. */
static bool BF_PRINTF(3, 4) value_refuse(char *why, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, size, fmt, ap);
	va_end(ap);
	return false;
}

/* The place of a word among those separated by |, -1 if it is none of them. */
static int value_word(const char *words, const char *word)
{
	size_t len = strlen(word);
	int i = 0;

	for (const char *p = words; ; p++, i++) {
		size_t n = strcspn(p, "|");

		if (n == len && memcmp(p, word, n) == 0)
			return i;
		p += n;
		if (!*p)
			return -1;
	}
}

/* Writes the word at a place. */
static void value_show_word(const char *words, int place, struct bf_buf *out)
{
	const char *p = words;

	while (place-- > 0)
		p += strcspn(p, "|") + 1;
	bf_buf_add(out, p, strcspn(p, "|"));
}

/* yes or no in the words people use. */
static bool value_bool(const char *text, bool *ret)
{
	static const char *const no = "false|no|off|0", *const yes = "true|yes|on|1";

	if (value_word(yes, text) < 0 && value_word(no, text) < 0)
		return false;
	*ret = value_word(yes, text) >= 0;
	return true;
}

/* A bound of a key, in the form the value has. */
static void value_bound(const struct config_key *k, double bound, char *out, size_t size)
{
	if (k->type == CONFIG_DURATION)
		units_format_duration(out, size, (int64_t)bound);
	else if (k->type == CONFIG_SIZE)
		units_format_size(out, size, (int64_t)bound);
	else if (k->type == CONFIG_RATE)
		units_format_rate(out, size, bound);
	else
		snprintf(out, size, "%.10g", bound);
}

/* Parses any of the numeric types into a double (exact up to 2^53, far above every range). */
static bool value_number(enum config_type type, const char *text, double *ret)
{
	int64_t i = 0;
	bool ok;

	if (type == CONFIG_DOUBLE)
		return units_parse_double(text, ret);
	if (type == CONFIG_RATE)
		return units_parse_rate(text, ret);
	if (type == CONFIG_DURATION)
		ok = units_parse_duration(text, &i);
	else if (type == CONFIG_SIZE)
		ok = units_parse_size(text, &i);
	else
		ok = units_parse_int(text, &i);
	if (ok)
		*ret = (double)i;
	return ok;
}

/* What a number of this type looks like. */
static const char *value_form(enum config_type type)
{
	if (type == CONFIG_DURATION)
		return "a duration with its unit (500ms, 30s, 5m, 1h, 7d)";
	if (type == CONFIG_SIZE)
		return "a size with its unit (512B, 64KiB, 1MiB)";
	if (type == CONFIG_RATE)
		return "a rate (2/s, 30/m, 1000/h)";
	return type == CONFIG_DOUBLE ? "a number" : "a whole number";
}

/* Stores a number of any kind, if it is within the key's range. */
static bool value_set_number(void *field, const struct config_key *k, const char *text, char *why,
			     size_t size)
{
	char least[32], most[32];
	double d;

	if (!value_number(k->type, text, &d))
		return value_refuse(why, size, "must be %s, not \"%.*s\"", value_form(k->type),
				    BF_CUT(text, VALUE_SHOWN));
	/* a hair of tolerance: 1/h is not exactly 1.0 / 3600 */
	if (d < k->least - 1e-9 || d > k->most + 1e-9) {
		value_bound(k, k->least, least, sizeof(least));
		value_bound(k, k->most, most, sizeof(most));
		return value_refuse(why, size, "must be between %s and %s, not %.*s", least, most,
				    BF_CUT(text, VALUE_SHOWN));
	}
	if (k->type == CONFIG_INT)
		*(int *)field = (int)d;
	else if (k->type == CONFIG_DOUBLE || k->type == CONFIG_RATE)
		*(double *)field = d;
	else
		*(int64_t *)field = (int64_t)d;
	return true;
}

/* Stores resolution.order: providers that know ISBNs, each at most once. */
static bool value_set_order(struct bf_config *c, const char *text, char *why, size_t size)
{
	enum bf_provider_id order[BF_NPROVIDERS];
	char name[32];
	int n = 0, p;

	for (const char *s = text; ; s++) {
		size_t len;

		s += strspn(s, " \t");
		len = strcspn(s, ", \t");
		snprintf(name, sizeof(name), "%.*s", len < sizeof(name) ? (int)len : 0, s);
		p = bf_provider_by_name(name);
		if (p < 0 || BF_IS_AI(p))
			return value_refuse(
				why, size,
				"must list isbndb, google_books, open_library, archive_org "
				"or wikidata, separated by commas, not \"%.*s\"",
				(int)bf_utf8_cut(s, len, VALUE_SHOWN), s);
		for (int i = 0; i < n; i++)
			if (order[i] == (enum bf_provider_id)p)
				return value_refuse(why, size, "lists %s twice", name);
		order[n++] = (enum bf_provider_id)p;
		s += len;
		s += strspn(s, " \t");
		if (!*s)
			break;
		if (*s != ',')
			return value_refuse(why, size, "needs a comma behind %s", name);
	}
	memcpy(c->resolution.order, order, sizeof(order));
	c->resolution.n_order = n;
	return true;
}

/* A contact goes into a header, between parentheses. */
static const char *value_check_contact(const char *s)
{
	for (const char *p = s; *p; p++)
		if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f ||
		    strchr("()<>\"\\", *p))
			return "must be one URL or mail address, without spaces and brackets";
	if (s[0] && !strchr(s, '@') && !strstr(s, "://"))
		return "must be a URL or a mail address";
	return NULL;
}

/* One word that can stand in a log line and in a URL's path. */
static const char *value_check_text(const char *s)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-:@+";

	return s[strspn(s, letters)] ? "may hold letters, digits and . _ - : @ + only" : NULL;
}

/* Looks at the text of a string type. NULL when fine. */
static const char *value_check_string(const struct config_key *k, const char *text,
				      struct bf_error *err)
{
	struct bf_cron cron;

	switch (k->type) {
	case CONFIG_WORD:
		return value_word(k->words, text) < 0 ? "" : NULL;
	case CONFIG_TEXT:
		return strlen(text) > 100 ? "is too long" : value_check_text(text);
	case CONFIG_CONTACT:
		return value_check_contact(text);
	case CONFIG_CRON:
		return !text[0] || bf_cron_parse(&cron, text, err) ? NULL : err->text;
	case CONFIG_TIMEZONE:
		return bf_timezone_valid(text) ? NULL : "is not a time zone of this system (an "
			"IANA name as in /usr/share/zoneinfo: UTC, Europe/Berlin)";
	case CONFIG_LISTEN:
		return url_check_listen(text);
	case CONFIG_BASE_URL:
		return url_check_base(text);
	case CONFIG_HOOK_URL:
		return text[0] ? url_check_hook(text) : NULL;
	case CONFIG_PROXY:
		return text[0] ? url_check_proxy(text) : NULL;
	case CONFIG_CONNINFO:
		return conninfo_check(text, false);
	case CONFIG_BOOL:
	case CONFIG_INT:
	case CONFIG_SIZE:
	case CONFIG_DURATION:
	case CONFIG_DOUBLE:
	case CONFIG_RATE:
	case CONFIG_LEVEL:
	case CONFIG_CHOICE:
	case CONFIG_ORDER:
	case CONFIG_SECRET:
		break;
	}
	return "cannot be set";
}

/* Writes the words of a key as a choice. */
static bool value_refuse_word(const struct config_key *k, const char *text, char *why, size_t size)
{
	return value_refuse(why, size, "must be one of %s, not \"%.*s\"", k->words,
			    BF_CUT(text, VALUE_SHOWN));
}

/* Stores a string. */
static bool value_set_string(struct bf_config *c, struct config_place at, const char *text,
			     char *why, size_t size)
{
	const struct config_key *k = config_key(at);
	struct bf_error err;
	const char *wrong = value_check_string(k, text, &err);
	char *copy;

	if (wrong)
		return k->type == CONFIG_WORD ? value_refuse_word(k, text, why, size) :
			value_refuse(why, size, "%s", wrong);
	copy = bf_xstrdup(text);
	if (k->type == CONFIG_BASE_URL)
		for (size_t n = strlen(copy); n > 0 && copy[n - 1] == '/'; )
			copy[--n] = '\0';
	value_take(c, at, copy);
	return true;
}

bool value_set(struct bf_config *c, struct config_place at, const char *text, char *why,
	       size_t size)
{
	const struct config_key *k = config_key(at);
	void *field = config_field(c, at);
	int word;

	if (config_is_string(k->type))
		return value_set_string(c, at, text, why, size);
	if (k->type == CONFIG_ORDER)
		return value_set_order(c, text, why, size);
	if (k->type == CONFIG_BOOL)
		return value_bool(text, field) ||
			value_refuse(why, size, "must be true or false, not \"%.*s\"",
				     BF_CUT(text, VALUE_SHOWN));
	if (k->type != CONFIG_LEVEL && k->type != CONFIG_CHOICE)
		return value_set_number(field, k, text, why, size);
	word = value_word(k->words, text);
	if (word < 0)
		return value_refuse_word(k, text, why, size);
	if (k->type == CONFIG_LEVEL)
		*(enum bf_log_level *)field = (enum bf_log_level)word;
	else
		*(bool *)field = word == 1;
	return true;
}

/* The string of a field, "" rather than NULL. */
static const char *value_string(const void *field)
{
	const char *s = *(char *const *)field;

	return s ? s : "";
}

/* Writes a number as short as it can be read back. */
static void value_show_double(double d, struct bf_buf *out)
{
	bf_buf_addf(out, "%.10g", d);
}

void value_show(const struct bf_config *c, struct config_place at, struct bf_buf *out)
{
	const struct config_key *k = config_key(at);
	const void *field = config_field(c, at);
	char text[64];

	switch (k->type) {
	case CONFIG_BOOL:
		bf_buf_adds(out, *(const bool *)field ? "true" : "false");
		return;
	case CONFIG_INT:
		bf_buf_addf(out, "%d", *(const int *)field);
		return;
	case CONFIG_SIZE:
		units_format_size(text, sizeof(text), *(const int64_t *)field);
		bf_buf_adds(out, text);
		return;
	case CONFIG_DURATION:
		units_format_duration(text, sizeof(text), *(const int64_t *)field);
		bf_buf_adds(out, text);
		return;
	case CONFIG_DOUBLE:
		value_show_double(*(const double *)field, out);
		return;
	case CONFIG_RATE:
		units_format_rate(text, sizeof(text), *(const double *)field);
		bf_buf_adds(out, text);
		return;
	case CONFIG_LEVEL:
		value_show_word(k->words, (int)*(const enum bf_log_level *)field, out);
		return;
	case CONFIG_CHOICE:
		value_show_word(k->words, *(const bool *)field, out);
		return;
	case CONFIG_ORDER:
		for (int i = 0; i < c->resolution.n_order; i++)
			bf_buf_addf(out, "%s%s", i ? ", " : "",
				    bf_provider_names[c->resolution.order[i]]);
		return;
	case CONFIG_CONNINFO:
		conninfo_show(value_string(field), out);
		return;
	case CONFIG_SECRET:
		bf_buf_adds(out, value_string(field)[0] ? "set" : "unset");
		return;
	case CONFIG_WORD:
	case CONFIG_TEXT:
	case CONFIG_CONTACT:
	case CONFIG_CRON:
	case CONFIG_TIMEZONE:
	case CONFIG_LISTEN:
	case CONFIG_BASE_URL:
	case CONFIG_HOOK_URL:
	case CONFIG_PROXY:
		bf_buf_adds(out, value_string(field));
		return;
	}
}

void value_take(struct bf_config *c, struct config_place at, char *text)
{
	char **field = config_field(c, at);

	if (*field) {
		explicit_bzero(*field, strlen(*field));
		free(*field);
	}
	*field = text;
}

/* How many bytes a field of a type that is no string takes. */
static size_t value_size(enum config_type type)
{
	if (type == CONFIG_BOOL || type == CONFIG_CHOICE)
		return sizeof(bool);
	if (type == CONFIG_INT)
		return sizeof(int);
	if (type == CONFIG_LEVEL)
		return sizeof(enum bf_log_level);
	if (type == CONFIG_ORDER)
		return sizeof(((struct bf_config *)0)->resolution.order);
	_Static_assert(sizeof(double) == sizeof(int64_t), "rates and durations differ in size");
	return sizeof(int64_t);
}

bool value_equal(const struct bf_config *a, const struct bf_config *b, struct config_place at)
{
	const void *fa = config_field(a, at), *fb = config_field(b, at);
	enum config_type type = config_key(at)->type;

	if (config_is_string(type))
		return strcmp(value_string(fa), value_string(fb)) == 0;
	if (type == CONFIG_ORDER && a->resolution.n_order != b->resolution.n_order)
		return false;
	return memcmp(fa, fb, value_size(type)) == 0;
}

void value_copy(struct bf_config *to, const struct bf_config *from, struct config_place at)
{
	const void *source = config_field(from, at);
	enum config_type type = config_key(at)->type;

	if (config_is_string(type)) {
		char *s = *(char *const *)source;

		value_take(to, at, s ? bf_xstrdup(s) : NULL);
		return;
	}
	memcpy(config_field(to, at), source, value_size(type));
	if (type == CONFIG_ORDER)
		to->resolution.n_order = from->resolution.n_order;
}
