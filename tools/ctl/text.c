/*
 * text: makes foreign text harmless and measures it, by the Unicode data of utf8proc.
 */
#include "text.h"
#include <inttypes.h>
#include <langinfo.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utf8proc.h>

#define LINE_MAX_BYTES (1 << 20)
#define JSON_MAX_BYTES (256u << 20)
#define COLUMNS_MIN    40
#define COLUMNS_MAX    1000

/* Soft hyphen, and the joiners that some scripts need: they only shape letters. */
static bool shapes_letters(utf8proc_int32_t c)
{
	return c == 0xad || c == 0x200c || c == 0x200d;
}

/* Whether a character may stand as it is. */
static bool is_harmless(utf8proc_int32_t c)
{
	switch ((int)utf8proc_category(c)) {
	case UTF8PROC_CATEGORY_CC:
	case UTF8PROC_CATEGORY_CS:
	case UTF8PROC_CATEGORY_CO:
	case UTF8PROC_CATEGORY_CN:
	case UTF8PROC_CATEGORY_ZL:
	case UTF8PROC_CATEGORY_ZP: return false;
	case UTF8PROC_CATEGORY_CF: return shapes_letters(c);
	default: return true;
	}
}

/* Appends what may stand, and a description of what may not. */
void text_safe(struct bf_buf *buf, const char *s, size_t len)
{
	const utf8proc_uint8_t *p = (const utf8proc_uint8_t *)s;

	while (len > 0) {
		utf8proc_int32_t c;
		utf8proc_ssize_t n = utf8proc_iterate(p, (utf8proc_ssize_t)len, &c);

		if (n <= 0) {
			bf_buf_addf(buf, "\\x%02x", *p);
			n = 1;
		} else if (c == '\n') {
			bf_buf_adds(buf, "\\n");
		} else if (c == '\t') {
			bf_buf_adds(buf, " ");
		} else if (is_harmless(c)) {
			bf_buf_add(buf, p, (size_t)n);
		} else if (c < 0x80) {
			bf_buf_addf(buf, "\\x%02x", (unsigned)c);
		} else {
			bf_buf_addf(buf, "\\u{%x}", (unsigned)c);
		}
		p += n;
		len -= (size_t)n;
	}
}

/* The first character's bytes and columns. */
static size_t one(const char *s, size_t len, size_t *ret_width)
{
	utf8proc_int32_t c;
	utf8proc_ssize_t n =
		utf8proc_iterate((const utf8proc_uint8_t *)s, (utf8proc_ssize_t)len, &c);
	int width = n > 0 ? utf8proc_charwidth(c) : 1;

	*ret_width = width > 0 ? (size_t)width : 0;
	return n > 0 ? (size_t)n : 1;
}

/* How many columns it takes. */
size_t text_width(const char *s, size_t len)
{
	size_t columns = 0, width;

	for (size_t i = 0; i < len; columns += width)
		i += one(s + i, len - i, &width);
	return columns;
}

/* How many bytes fit; marks that belong to the last letter come along. */
size_t text_fit(const char *s, size_t len, size_t columns)
{
	size_t at = 0, used = 0, width;

	while (at < len) {
		size_t n = one(s + at, len - at, &width);

		if (used + width > columns)
			break;
		used += width;
		at += n;
	}
	return at;
}

/* A span of time, as precise as anybody cares for. */
void text_duration(char out[32], double seconds)
{
	if (seconds < 90)
		snprintf(out, 32, "%.0f s", seconds);
	else if (seconds < 5400)
		snprintf(out, 32, "%.0f min", seconds / 60);
	else if (seconds < 48 * 3600)
		snprintf(out, 32, "%.1f h", seconds / 3600);
	else
		snprintf(out, 32, "%.1f days", seconds / 86400);
}

/* Groups of three. */
void text_count(char out[32], int64_t n)
{
	char digits[24];
	size_t len, at = 0;

	snprintf(digits, sizeof(digits), "%" PRId64, n);
	len = strlen(digits);
	for (size_t i = 0; i < len; i++) {
		if (i > 0 && digits[i - 1] != '-' && (len - i) % 3 == 0)
			out[at++] = ',';
		out[at++] = digits[i];
	}
	out[at] = '\0';
}

/* Finds out what the output is. */
void out_init(struct out *out, FILE *file)
{
	const char *term = getenv("TERM"), *none = getenv("NO_COLOR");
	bool dumb = term == NULL || strcmp(term, "dumb") == 0;

	*out = (struct out){ .file = file, .terminal = isatty(fileno(file)) == 1 };
	out->colour = out->terminal && !dumb && (none == NULL || *none == '\0');
	out->utf8 = strcasecmp(nl_langinfo(CODESET), "UTF-8") == 0;
	out->columns = out_columns(out);
}

/* The terminal's width now. */
int out_columns(const struct out *out)
{
	struct winsize size;

	if (!out->terminal)
		return 0;
	if (ioctl(fileno(out->file), TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
		return 80;
	return size.ws_col < COLUMNS_MIN    ? COLUMNS_MIN
		: size.ws_col > COLUMNS_MAX ? COLUMNS_MAX
					    : size.ws_col;
}

/* The number of a colour in ECMA-48. */
static const char *sequence(enum colour colour)
{
	switch (colour) {
	case COLOUR_NONE: break;
	case COLOUR_GREEN: return "32";
	case COLOUR_YELLOW: return "33";
	case COLOUR_RED: return "31";
	case COLOUR_BLUE: return "36";
	case COLOUR_DIM: return "2";
	}
	return "0";
}

/* A piece in its colour. */
void text_colour(const struct out *out, struct bf_buf *buf, enum colour colour, const char *piece)
{
	if (out->colour && colour != COLOUR_NONE)
		bf_buf_addf(buf, "\x1b[%sm", sequence(colour));
	text_safe(buf, piece, strlen(piece));
	if (out->colour && colour != COLOUR_NONE)
		bf_buf_adds(buf, "\x1b[0m");
}

/* Of months, items, findings and alerts. */
enum colour text_status_colour(const char *status)
{
	static const struct {
		const char *status;
		enum colour colour;
	} known[] = {
		{ "completed", COLOUR_GREEN },
		{ "complete", COLOUR_GREEN },
		{ "processing", COLOUR_BLUE },
		{ "retry", COLOUR_YELLOW },
		{ "failed", COLOUR_RED },
		{ "pending", COLOUR_DIM },
		{ "error", COLOUR_RED },
		{ "critical", COLOUR_RED },
		{ "warning", COLOUR_YELLOW },
		{ "warn", COLOUR_YELLOW },
		{ "resolved", COLOUR_GREEN },
	};

	for (size_t i = 0; i < BF_COUNT(known); i++) {
		if (strcmp(known[i].status, status) == 0)
			return known[i].colour;
	}
	return COLOUR_NONE;
}

/* Where a line that is too long is broken: behind the last blank that fits; in a word only when that is all there is. */
static size_t break_at(const char *s, size_t len, size_t columns)
{
	size_t fits = text_fit(s, len, columns), at = fits;

	if (fits == len)
		return len;
	while (at > 0 && s[at] != ' ')
		at--;
	return at > 0 && strspn(s, " ") < at ? at : fits > 0 ? fits : 1;
}

/* Prints harmless text; what goes on below is indented a little more than the line itself. */
static void print_wrapped(FILE *file, const char *s, size_t len, size_t columns)
{
	size_t indent = strspn(s, " "), at;

	indent = indent + 2 < columns / 2 ? indent + 2 : 2;
	at = columns > 0 ? break_at(s, len, columns) : len;
	fprintf(file, "%.*s\n", (int)at, s);
	while (at < len) {
		at += strspn(s + at, " ");
		s += at;
		len -= at;
		if (len == 0)
			return;
		at = break_at(s, len, columns - indent);
		fprintf(file, "%*s%.*s\n", (int)indent, "", (int)at, s);
	}
}

/* Formats and makes harmless. */
static void BF_PRINTF(4, 0)
	print_safe(FILE *file, size_t columns, const char *prefix, const char *fmt, va_list ap)
{
	struct bf_buf buf;
	char *text = NULL;
	int len = vasprintf(&text, fmt, ap);

	if (len < 0)
		return;
	bf_buf_init(&buf, LINE_MAX_BYTES);
	bf_buf_adds(&buf, prefix);
	text_safe(&buf, text, (size_t)len);
	print_wrapped(file, buf.data, buf.len, columns);
	bf_buf_release(&buf);
	free(text);
}

/* A line of the answer. */
void out_line(const struct out *out, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print_safe(out->file, (size_t)out->columns, "", fmt, ap);
	va_end(ap);
}

/* An empty line. */
void out_blank(const struct out *out)
{
	fputc('\n', out->file);
}

/* Appends one character as JSON's escape; above the basic plane it takes a pair (RFC 8259, section 7). */
static void add_json_escape(struct bf_buf *buf, utf8proc_int32_t c)
{
	unsigned rest = (unsigned)c - 0x10000;

	if (c < 0x10000)
		bf_buf_addf(buf, "\\u%04x", (unsigned)c);
	else
		bf_buf_addf(buf, "\\u%04x\\u%04x", 0xd800 + (rest >> 10), 0xdc00 + (rest & 0x3ff));
}

/* Below a space JSON has only its own white space; what else is harmful stands in a string. */
void out_json(const struct out *out, const char *json)
{
	size_t len = strlen(json);
	const utf8proc_uint8_t *p = (const utf8proc_uint8_t *)json;
	struct bf_buf buf;

	while (len > 0 && strchr(" \t\r\n", json[len - 1]) != NULL)
		len--;
	bf_buf_init(&buf, JSON_MAX_BYTES);
	while (out->terminal && len > 0) {
		utf8proc_int32_t c;
		utf8proc_ssize_t n = utf8proc_iterate(p, (utf8proc_ssize_t)len, &c);

		if (n <= 0)
			break;
		if (c < ' ' || is_harmless(c))
			bf_buf_add(&buf, p, (size_t)n);
		else
			add_json_escape(&buf, c);
		p += n;
		len -= (size_t)n;
	}
	fwrite(out->terminal ? buf.data : json, 1, out->terminal ? buf.len : len, out->file);
	fputc('\n', out->file);
	bf_buf_release(&buf);
}

/* A line beside the answer. */
void out_complain(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print_safe(stderr, 0, "backfillctl: ", fmt, ap);
	va_end(ap);
}
