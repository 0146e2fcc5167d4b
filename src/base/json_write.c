/*
 * json_write: JSON into a capped buffer. The writer puts the commas and colons and asserts that
 * calls nest; a value too long for the buffer shows in buf->failed. Whatever bytes come in, valid
 * UTF-8 goes out.
 */
#include "backfill/base.h"
#include "utf8.h"
#include <assert.h>
#include <math.h>
#include <string.h>

/* A writer of one value (most often an object) at the end of the buffer. */
void bf_jw_init(struct bf_jw *w, struct bf_buf *buf)
{
	*w = (struct bf_jw){ .buf = buf };
}

/* Before a value or a name: the comma, unless it is the first or follows its name. */
static void jw_begin_item(struct bf_jw *w)
{
	uint64_t bit = UINT64_C(1) << w->depth;

	if (w->after_key) {
		w->after_key = false;
		return;
	}
	assert(w->depth > 0 || !(w->has_item & 1));	/* one value at the top */
	if (w->has_item & bit)
		bf_buf_add(w->buf, ",", 1);
	w->has_item |= bit;
}

/* Opens a container. */
static void jw_open(struct bf_jw *w, const char *bracket)
{
	jw_begin_item(w);
	assert(w->depth < 63);
	w->depth++;
	w->has_item &= ~(UINT64_C(1) << w->depth);
	bf_buf_add(w->buf, bracket, 1);
}

/* Closes the innermost container. */
static void jw_close(struct bf_jw *w, const char *bracket)
{
	assert(w->depth > 0 && !w->after_key);
	w->depth--;
	bf_buf_add(w->buf, bracket, 1);
}

/* Begins an object. */
void bf_jw_obj(struct bf_jw *w)
{
	jw_open(w, "{");
}

/* Ends it. */
void bf_jw_end_obj(struct bf_jw *w)
{
	jw_close(w, "}");
}

/* Begins an array. */
void bf_jw_arr(struct bf_jw *w)
{
	jw_open(w, "[");
}

/* Ends it. */
void bf_jw_end_arr(struct bf_jw *w)
{
	jw_close(w, "]");
}

/* Writes the bytes that need no escape at the start of s and returns their number. */
static size_t jw_plain(struct bf_buf *buf, const char *s, size_t n)
{
	size_t i = 0;

	while (i < n) {
		unsigned char ch = (unsigned char)s[i];
		size_t len = 1;

		if (ch < 0x20 || ch == '"' || ch == '\\' || ch == 0x7f)
			break;
		if (ch >= 0x80)
			len = utf8_sequence(s + i, n - i);
		if (len == 0)
			break;
		i += len;
	}
	bf_buf_add(buf, s, i);
	return i;
}

/* Writes one byte that cannot stand for itself. */
static void jw_escape(struct bf_buf *buf, unsigned char ch)
{
	static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
	const char *hit = ch ? strchr(from, ch) : NULL;

	if (ch >= 0x80)
		bf_buf_adds(buf, "\xef\xbf\xbd");
	else if (hit)
		bf_buf_addf(buf, "\\%c", to[hit - from]);
	else
		bf_buf_addf(buf, "\\u%04x", (unsigned)ch);
}

/* Writes a quoted string. */
static void jw_quoted(struct bf_buf *buf, const char *s, size_t n)
{
	bf_buf_add(buf, "\"", 1);
	while (n > 0) {
		size_t plain = jw_plain(buf, s, n);

		s += plain;
		n -= plain;
		if (n > 0) {
			jw_escape(buf, (unsigned char)*s);
			s++;
			n--;
		}
	}
	bf_buf_add(buf, "\"", 1);
}

/* A member's name; its value comes next. */
void bf_jw_key(struct bf_jw *w, const char *key)
{
	assert(w->depth > 0 && !w->after_key);
	jw_begin_item(w);
	jw_quoted(w->buf, key, strlen(key));
	bf_buf_add(w->buf, ":", 1);
	w->after_key = true;
}

/* A string of n bytes; NULL writes null. */
void bf_jw_strn(struct bf_jw *w, const char *s, size_t n)
{
	jw_begin_item(w);
	if (s)
		jw_quoted(w->buf, s, n);
	else
		bf_buf_adds(w->buf, "null");
}

/* A string. */
void bf_jw_str(struct bf_jw *w, const char *s)
{
	bf_jw_strn(w, s, s ? strlen(s) : 0);
}

/* An integer. */
void bf_jw_int(struct bf_jw *w, int64_t i)
{
	jw_begin_item(w);
	bf_buf_addf(w->buf, "%lld", (long long)i);
}

/* A number with that many decimals; JSON has no word for infinity either. */
void bf_jw_dbl(struct bf_jw *w, double d, int decimals)
{
	jw_begin_item(w);
	if (isfinite(d))
		bf_buf_addf(w->buf, "%.*f", decimals < 1 ? 1 : decimals, d);
	else
		bf_buf_adds(w->buf, "null");
}

/* true or false. */
void bf_jw_bool(struct bf_jw *w, bool b)
{
	jw_begin_item(w);
	bf_buf_adds(w->buf, b ? "true" : "false");
}

/* null. */
void bf_jw_null(struct bf_jw *w)
{
	jw_begin_item(w);
	bf_buf_adds(w->buf, "null");
}

/* A value that is JSON already; the caller vouches for it. */
void bf_jw_raw(struct bf_jw *w, const char *json, size_t n)
{
	jw_begin_item(w);
	bf_buf_add(w->buf, json, n);
}
