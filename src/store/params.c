/*
 * params: C values to PostgreSQL's text format. Promises that what it writes is accepted as text,
 * array or jsonb whatever foreign bytes are in it, so that one book with a broken title cannot fail
 * a whole month's statement.
 */
#include <math.h>
#include <string.h>
#include "params.h"

#define PARAMS_MAX_BYTES (64u << 20)

/* Begins an empty list. */
void params_init(struct params *p)
{
	memset(p, 0, sizeof(*p));
	bf_buf_init(&p->text, PARAMS_MAX_BYTES);
}

/* Gives the memory back. */
void params_release(struct params *p)
{
	bf_buf_release(&p->text);
}

/* The values as libpq takes them. */
const char *const *params_values(struct params *p)
{
	if (p->text.failed || p->bad)
		return NULL;
	for (int i = 0; i < p->n; i++)
		p->value[i] = p->null[i] ? NULL : p->text.data + p->at[i];
	return p->value;
}

/* Takes the next place. */
static void begin(struct params *p, bool null)
{
	if (p->n == PARAMS_MAX) {
		p->bad = true;
		return;
	}
	p->at[p->n] = p->text.len;
	p->null[p->n++] = null;
}

/* Ends a value. */
static void end(struct params *p)
{
	bf_buf_add(&p->text, "", 1);
}

/* Length of the UTF-8 sequence at s, 0 when it is not one. */
static size_t sequence(const char *s, size_t left)
{
	for (size_t n = 1; n <= 4 && n <= left; n++)
		if (bf_utf8_valid(s, n))
			return n;
	return 0;
}

/* Appends text with its broken bytes replaced. */
static void add_valid(struct bf_buf *b, const char *s, size_t len)
{
	if (bf_utf8_valid(s, len)) {
		bf_buf_add(b, s, len);
		return;
	}
	for (size_t i = 0; i < len;) {
		size_t n = sequence(s + i, len - i);

		bf_buf_add(b, n > 0 ? s + i : "?", n > 0 ? n : 1);
		i += n > 0 ? n : 1;
	}
}

/* Reads the four hex digits after a \u; -1 when they are not there. */
static int hex4(const char *s)
{
	int v = 0;

	for (int i = 0; i < 4; i++) {
		char c = s[i];
		int d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 :
			c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;

		if (d < 0)
			return -1;
		v = v * 16 + d;
	}
	return v;
}

/* jsonb refuses the escapes \u0000 and lone surrogates, which RFC 8259 allows. */
bool params_jsonb_takes(const char *s)
{
	while ((s = strchr(s, '\\')) != NULL) {
		int u;

		if (s[1] != 'u') {
			if (s[1] == '\0')
				return false;
			s += 2;
			continue;
		}
		u = hex4(s + 2);
		if (u <= 0 || (u >= 0xDC00 && u <= 0xDFFF))
			return false;
		s += 6;
		if (u >= 0xD800 && u <= 0xDBFF) {
			if (s[0] != '\\' || s[1] != 'u' || (u = hex4(s + 2)) < 0xDC00 || u > 0xDFFF)
				return false;
			s += 6;
		}
	}
	return true;
}

/* NaN and infinities count as nothing; the columns hold six digits before the point. */
static double money(double usd)
{
	return isfinite(usd) && usd > 0 ? fmin(usd, 99999) : 0;
}

void params_null(struct params *p)
{
	begin(p, true);
}

void params_text(struct params *p, const char *s)
{
	begin(p, s == NULL);
	if (s != NULL)
		add_valid(&p->text, s, strlen(s));
	end(p);
}

void params_json(struct params *p, const char *s)
{
	params_text(p, s != NULL && s[0] != '\0' && params_jsonb_takes(s) ? s : NULL);
}

void params_int(struct params *p, int64_t v)
{
	begin(p, false);
	bf_buf_addf(&p->text, "%lld", (long long)v);
	end(p);
}

void params_bool(struct params *p, bool v)
{
	begin(p, false);
	bf_buf_adds(&p->text, v ? "t" : "f");
	end(p);
}

void params_money(struct params *p, double usd)
{
	begin(p, false);
	bf_buf_addf(&p->text, "%.6f", money(usd));
	end(p);
}

void params_id(struct params *p, const char *uuid)
{
	params_text(p, uuid != NULL && uuid[0] != '\0' ? uuid : NULL);
}

void params_open(struct params *p)
{
	begin(p, false);
	bf_buf_adds(&p->text, "{");
	p->empty = true;
}

void params_close(struct params *p)
{
	bf_buf_adds(&p->text, "}");
	end(p);
}

/* Separates the items of the open array. */
static void comma(struct params *p)
{
	if (!p->empty)
		bf_buf_adds(&p->text, ",");
	p->empty = false;
}

void params_item_text(struct params *p, const char *s)
{
	comma(p);
	if (s == NULL) {
		bf_buf_adds(&p->text, "NULL");
		return;
	}
	bf_buf_adds(&p->text, "\"");
	while (*s != '\0') {
		size_t plain = strcspn(s, "\"\\");

		add_valid(&p->text, s, plain);
		s += plain;
		if (*s != '\0') {
			bf_buf_add(&p->text, "\\", 1);
			bf_buf_add(&p->text, s++, 1);
		}
	}
	bf_buf_adds(&p->text, "\"");
}

void params_item_json(struct params *p, const char *s, size_t max_bytes)
{
	bool fits = s != NULL && s[0] != '\0' && strlen(s) <= max_bytes && params_jsonb_takes(s);

	params_item_text(p, fits ? s : NULL);
}

void params_item_int(struct params *p, int64_t v)
{
	comma(p);
	bf_buf_addf(&p->text, "%lld", (long long)v);
}

void params_item_bool(struct params *p, bool v)
{
	comma(p);
	bf_buf_adds(&p->text, v ? "t" : "f");
}

void params_item_money(struct params *p, double usd)
{
	comma(p);
	bf_buf_addf(&p->text, "%.6f", money(usd));
}
