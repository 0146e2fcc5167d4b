/*
 * query: percent-encoded text of a URL. Nothing is guessed: "%4" and "%zz" are no escapes, and what decodes to a control
 * character never reaches a log line or a statement.
 */
#include "query.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define INT_DIGITS 9 /* more can't be within anybody's bounds */

/* A hexadecimal digit's value, -1 for anything else. */
static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* C0, DEL, and C1 as UTF-8 writes them. */
static bool has_control(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c < 0x20 || c == 0x7f)
			return true;
		if (c == 0xc2 && i + 1 < len && (unsigned char)text[i + 1] < 0xa0)
			return true;
	}
	return false;
}

/* Decodes text of a URL. */
char *query_decode(
	const char *text, size_t len, bool plus, struct bf_arena *arena, const char **ret_why)
{
	char *out = bf_arena_alloc(arena, len + 1);
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (text[i] == '%') {
			int high = i + 2 < len ? hex(text[i + 1]) : -1;
			int low = i + 2 < len ? hex(text[i + 2]) : -1;

			if (high < 0 || low < 0) {
				*ret_why = "has a % that two hexadecimal digits do not follow";
				return NULL;
			}
			out[n++] = (char)(high * 16 + low);
			i += 2;
		} else {
			out[n++] = plus && text[i] == '+' ? ' ' : text[i];
		}
	}
	out[n] = '\0';
	if (has_control(out, n)) {
		*ret_why = "has a control character";
		return NULL;
	}
	if (!bf_utf8_valid(out, n)) {
		*ret_why = "is not UTF-8";
		return NULL;
	}
	return out;
}

/* Nineteen digits may be more than an int64_t holds. */
bool query_id(const char *text, int64_t *ret)
{
	size_t len = strlen(text);
	uint64_t n = 0;

	if (len == 0 || len > QUERY_ID_DIGITS || strspn(text, "0123456789") != len)
		return false;
	for (; *text != '\0'; text++)
		n = n * 10 + (uint64_t)(*text - '0');
	*ret = (int64_t)n;
	return n <= INT64_MAX;
}

/* Digits within the field's bounds. */
static void take_int(const char *value, const struct body_field *f, void *into, struct body_problems *problems)
{
	size_t len = strlen(value);
	int64_t n = 0;

	for (const char *c = value; *c != '\0' && len <= INT_DIGITS; c++)
		n = *c >= '0' && *c <= '9' && n >= 0 ? n * 10 + (*c - '0') : -1;
	if (len == 0 || len > INT_DIGITS || n < f->min || n > f->max)
		body_problem(problems, f->name, "must be an integer from %" PRId64 " to %" PRId64,
			f->min, f->max);
	else
		*(int *)(void *)((char *)into + f->at) = (int)n;
}

/* One parameter's value. */
static void take(const char *value, const struct body_field *f, void *into, struct body_problems *problems)
{
	switch (f->type) {
	case BODY_INT: take_int(value, f, into, problems); break;
	case BODY_STR:
		if (body_text_fits(f, f->name, value, problems))
			*(const char **)(void *)((char *)into + f->at) = value;
		break;
	case BODY_BOOL:
	case BODY_OBJ: body_problem(problems, f->name, "can't stand in a query"); break;
	}
}

/* One `name=value`; *seen has a bit for each field that was there. */
static void read_pair(const char *text, size_t len, const struct body_field *fields, void *into,
	struct bf_arena *arena, struct body_problems *problems, uint64_t *seen)
{
	const char *equals = memchr(text, '=', len);
	size_t name_len = equals != NULL ? (size_t)(equals - text) : len;
	const char *why = NULL, *value = "";
	const char *name = query_decode(text, name_len, true, arena, &why);
	size_t k = 0;

	if (name == NULL) {
		body_problem(problems, "", "the name of a parameter %s", why);
		return;
	}
	while (fields[k].name != NULL && strcmp(fields[k].name, name) != 0)
		k++;
	if (fields[k].name == NULL) {
		body_unknown(fields, "parameter", name, problems);
		return;
	}
	if ((*seen >> k & 1) != 0) {
		body_problem(problems, name, "is given twice");
		return;
	}
	*seen |= UINT64_C(1) << k;
	if (equals != NULL)
		value = query_decode(equals + 1, len - name_len - 1, true, arena, &why);
	if (value == NULL)
		body_problem(problems, name, "%s", why);
	else
		take(value, &fields[k], into, problems);
}

/* Reads a query string as a whole. */
bool query_read(const char *text, const struct body_field *fields, void *into,
	struct bf_arena *arena, struct body_problems *problems)
{
	int before = problems->n;
	uint64_t seen = 0;

	body_presets(fields, into);
	while (text != NULL && *text != '\0') {
		size_t len = strcspn(text, "&");

		if (len > 0)
			read_pair(text, len, fields, into, arena, problems, &seen);
		text += len + (text[len] == '&');
	}
	return problems->n == before;
}
