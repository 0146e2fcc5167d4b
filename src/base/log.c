/*
 * log: one line per event, logfmt (`ts=... level=info msg="..." k=v`) or JSON. Nothing that comes
 * from outside can end a line, forge a key or move a terminal's cursor: control characters,
 * quotes and bytes that are no UTF-8 are escaped. A very long value is cut and says so.
 */
#include "log.h"
#include "utf8.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { LOG_LINE_BYTES = 16384, LOG_VALUE_BYTES = 2048 };

static enum bf_log_level log_least = BF_INFO;
static bool log_json;

/* What is written from here on, and how; looks at stderr anew, which may have been redirected. */
void bf_log_setup(enum bf_log_level least, bool json)
{
	log_least = least;
	log_json = json;
	log_sink_open();
}

/* The level as written. */
static const char *log_level_name(enum bf_log_level level)
{
	switch (level) {
	case BF_DEBUG:
		return "debug";
	case BF_INFO:
		return "info";
	case BF_WARN:
		return "warn";
	case BF_ERROR:
		return "error";
	}
	return "unknown";
}

/* Now, in milliseconds: what bf_format_time has, with a fraction. */
static void log_time(char out[40])
{
	int64_t now = bf_wall_us();
	char whole[32];

	bf_format_time(whole, now);
	snprintf(out, 40, "%.19s.%03uZ", whole, (unsigned)(now / 1000 % 1000) % 1000u);
}

/* True when a logfmt reader takes the value as it is. */
static bool log_is_bare(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char ch = (unsigned char)s[i];

		if (ch <= 0x20 || ch >= 0x7f || ch == '"' || ch == '=' || ch == '\\')
			return false;
	}
	return n > 0;
}

/* A character that may stand for itself inside quotes: not a control character of either range,
 * and none that turns the direction or ends the line of text. */
static bool log_is_printable(const char *s, size_t n)
{
	unsigned char a = (unsigned char)s[0], b = n > 1 ? (unsigned char)s[1] : 0,
		      c = n > 2 ? (unsigned char)s[2] : 0;

	if (n == 1)
		return a >= 0x20 && a != 0x7f && a != '"' && a != '\\';
	if (n == 2)
		return !(a == 0xc2 && b < 0xa0);
	if (a == 0xe2 && b == 0x80)	/* U+2028..202E, 200E, 200F */
		return !((c >= 0xa8 && c <= 0xae) || c == 0x8e || c == 0x8f);
	return !(a == 0xe2 && b == 0x81 && c >= 0xa6 && c <= 0xa9);	/* U+2066..2069 */
}

/* Writes a value in quotes. */
static void log_quoted(struct bf_buf *buf, const char *s, size_t n)
{
	static const char from[] = "\"\\\n\r\t", to[] = "\"\\nrt";

	bf_buf_add(buf, "\"", 1);
	for (size_t i = 0, len; i < n; i += len) {
		const char *hit = s[i] ? strchr(from, s[i]) : NULL;

		len = utf8_sequence(s + i, n - i);
		if (len && log_is_printable(s + i, len)) {
			bf_buf_add(buf, s + i, len);
			continue;
		}
		if (hit)
			bf_buf_addf(buf, "\\%c", to[hit - from]);
		len = len ? len : 1;
		for (size_t k = 0; k < len && !hit; k++)
			bf_buf_addf(buf, "\\x%02x", (unsigned)(unsigned char)s[i + k]);
	}
	bf_buf_add(buf, "\"", 1);
}

/* One pair with a text value. */
static void log_str(struct bf_buf *buf, struct bf_jw *json, const char *key, const char *value)
{
	size_t len = strlen(value), cut = bf_utf8_cut(value, len, LOG_VALUE_BYTES);
	char shortened[LOG_VALUE_BYTES + 16];

	if (cut < len) {
		memcpy(shortened, value, cut);
		memcpy(shortened + cut, " [cut]", 7);
		value = shortened;
		len = cut + 6;
	}
	if (json) {
		bf_jw_key(json, key);
		bf_jw_strn(json, value, len);
		return;
	}
	bf_buf_addf(buf, "%s%s=", buf->len ? " " : "", key);
	if (log_is_bare(value, len))
		bf_buf_add(buf, value, len);
	else
		log_quoted(buf, value, len);
}

/* One pair whose value needs no quotes in either form. */
static void log_bare(struct bf_buf *buf, struct bf_jw *json, const char *key, const char *value)
{
	if (!json) {
		bf_buf_addf(buf, " %s=%s", key, value);
		return;
	}
	bf_jw_key(json, key);
	bf_jw_raw(json, value, strlen(value));
}

/* An error's pairs. */
static void log_err(struct bf_buf *buf, struct bf_jw *json, const char *key,
		    const struct bf_error *e)
{
	char number[16];

	log_str(buf, json, key, e->text);
	log_str(buf, json, "error_class", bf_err_class_name(e->class));
	if (e->http) {
		snprintf(number, sizeof(number), "%d", e->http);
		log_bare(buf, json, "http", number);
	}
	if (e->sqlstate[0])
		log_str(buf, json, "sqlstate", e->sqlstate);
}

/* One pair of any kind. */
static void log_pair(struct bf_buf *buf, struct bf_jw *json, const struct bf_kv *kv)
{
	char number[40];

	switch (kv->kind) {
	case BF_KV_STR:
		if (kv->v.s)
			log_str(buf, json, kv->key, kv->v.s);
		return;
	case BF_KV_INT:
		snprintf(number, sizeof(number), "%lld", kv->v.i);
		log_bare(buf, json, kv->key, number);
		return;
	case BF_KV_DBL:
		snprintf(number, sizeof(number), "%.6g", kv->v.d);
		log_bare(buf, json, kv->key, isfinite(kv->v.d) ? number : "null");
		return;
	case BF_KV_ERR:
		if (kv->v.e)
			log_err(buf, json, kv->key, kv->v.e);
		return;
	}
}

/* Writes one line, unless its level is below the least. */
void bf_log_write(enum bf_log_level level, const char *msg, const struct bf_kv *kv)
{
	struct bf_jw writer, *json = log_json ? &writer : NULL;
	struct bf_buf line;
	char ts[40];

	if (level < log_least)
		return;
	bf_buf_init(&line, LOG_LINE_BYTES);
	bf_jw_init(&writer, &line);
	if (json)
		bf_jw_obj(json);
	log_time(ts);
	log_str(&line, json, "ts", ts);
	log_str(&line, json, "level", log_level_name(level));
	log_str(&line, json, "msg", msg);
	for (; kv && kv->key; kv++) {
		struct bf_jw writer_was = writer;
		size_t whole = line.len;

		log_pair(&line, json, kv);
		if (line.failed || line.len > LOG_LINE_BYTES - 2) {
			/* too long: what fits whole stays */
			line.failed = false;
			line.len = whole;
			writer = writer_was;
			break;
		}
	}
	bf_buf_adds(&line, json ? "}\n" : "\n");
	log_sink_line(line.data, line.len);
	bf_buf_release(&line);
}
