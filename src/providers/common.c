/*
 * common: what every provider's file needs. Encoding for URLs, excerpts that are safe to store and
 * to log, and readers that accept any of the shapes in which the services send one field.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>
#include "wire.h"

#define REASON_MAX   200
#define EXCERPT_SCAN 1024 /* bytes of a body that are looked at for an excerpt */
#define LIST_MAX     (8 * 1024)
#define BAN_MS       (3600 * INT64_C(1000))
#define DAY_MS       (24 * 3600 * INT64_C(1000))

/* The outcome's name as metrics and events show it. */
const char *provider_outcome_name(enum provider_outcome outcome)
{
	switch (outcome) {
	case OUTCOME_OK: return "ok";
	case OUTCOME_EMPTY: return "empty";
	case OUTCOME_REFUSED: return "refused";
	case OUTCOME_BAD_REQUEST: return "bad_request";
	case OUTCOME_AUTH: return "auth";
	case OUTCOME_BILLING: return "billing";
	case OUTCOME_QUOTA_DAY: return "quota_day";
	case OUTCOME_RATE: return "rate";
	case OUTCOME_BANNED: return "banned";
	case OUTCOME_GARBAGE: return "garbage";
	case OUTCOME_UPSTREAM: return "upstream";
	case OUTCOME_TIMEOUT: return "timeout";
	}
	return "unknown";
}

/* Percent-encodes all but RFC 3986's unreserved characters. */
const char *provider_escape(struct bf_arena *arena, const char *text)
{
	static const char hex[] = "0123456789ABCDEF";
	char *out = bf_arena_alloc(arena, strlen(text) * 3 + 1), *p = out;

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if ((c < 0x80 && isalnum(c)) || c == '-' || c == '.' || c == '_' || c == '~') {
			*p++ = (char)c;
			continue;
		}
		*p++ = '%';
		*p++ = hex[c >> 4];
		*p++ = hex[c & 15];
	}
	*p = '\0';
	return out;
}

/* Appends a header; the values live as long as the request. A request with too many is a defect of
 * its file: the ninth is dropped rather than written past the end. */
void provider_header(struct provider_request *request, const char *name, const char *value)
{
	if (request->n_headers == PROVIDER_MAX_HEADERS)
		return;
	request->headers[request->n_headers].name = name;
	request->headers[request->n_headers].value = value;
	request->n_headers++;
}

/* Case-blind (ASCII) search, for words in the services' error texts. */
bool provider_has(const char *haystack, const char *needle)
{
	return haystack != NULL && strcasestr(haystack, needle) != NULL;
}

/* Bytes of the well-formed UTF-8 character at p, 0 when there is none. */
static size_t char_len(const char *p, size_t left)
{
	unsigned char c = (unsigned char)*p;
	size_t n = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : 0;

	return n > 0 && n <= left && bf_utf8_valid(p, n) ? n : 0;
}

/* Length of the marker at p after which a credential may stand, 0 for none. Services echo keys in
 * their errors. */
static size_t secret_marker(const char *p)
{
	static const char *const markers[] = { "key=", "key: ", "key provided: ", "key:", "bearer ",
		"token: ", "token=" };
	size_t i, best = 0;

	for (i = 0; i < BF_COUNT(markers); i++) {
		size_t n = strlen(markers[i]);

		if (strncasecmp(p, markers[i], n) == 0 && n > best)
			best = n;
	}
	return best;
}

/* Whether c may stand inside a key. */
static bool key_char(char c)
{
	return isalnum((unsigned char)c) || c == '-' || c == '_' || c == '*' || c == '.' ||
		c == '\'' || c == '"';
}

/* Whether a key begins here, by the prefixes that Google and xAI give theirs. */
static bool key_begins(const char *p, bool word_start)
{
	return word_start && (strncmp(p, "AIza", 4) == 0 || strncmp(p, "xai-", 4) == 0);
}

/* Replaces what looks like a credential by three asterisks. */
static void scrub(struct bf_buf *out, const char *p)
{
	bool word_start = true;

	while (*p) {
		size_t n = 0, mark = secret_marker(p);

		bf_buf_add(out, p, mark);
		p += mark;
		if (mark == 0 && !key_begins(p, word_start)) {
			word_start = !isalnum((unsigned char)*p);
			bf_buf_add(out, p++, 1);
			continue;
		}
		while (key_char(p[n]))
			n++;
		if (n > 0)
			bf_buf_adds(out, "***");
		p += n;
		word_start = false;
	}
}

/* At most 200 bytes on one line, valid UTF-8, without anything that looks like a key; NULL for
 * blank input. */
const char *provider_excerpt(struct bf_arena *arena, const char *text, size_t len)
{
	struct bf_buf clean, out;
	const char *ret = NULL;
	size_t i = 0, n;

	if (text == NULL)
		return NULL;
	bf_buf_init(&clean, EXCERPT_SCAN * 2);
	bf_buf_init(&out, EXCERPT_SCAN * 8);
	if (len > EXCERPT_SCAN)
		len = EXCERPT_SCAN;
	while (i < len) {
		unsigned char c = (unsigned char)text[i];

		if (c <= ' ' || c == 0x7f) {
			if (clean.len > 0 && clean.data[clean.len - 1] != ' ')
				bf_buf_add(&clean, " ", 1);
			i++;
		} else if ((n = char_len(text + i, len - i)) > 0) {
			bf_buf_add(&clean, text + i, n);
			i += n;
		} else {
			bf_buf_add(&clean, "?", 1);
			i++;
		}
	}
	scrub(&out, clean.data);
	n = bf_utf8_cut(out.data, out.len, REASON_MAX);
	while (n > 0 && out.data[n - 1] == ' ')
		n--;
	if (n > 0)
		ret = bf_arena_strndup(arena, out.data, n);
	bf_buf_release(&clean);
	bf_buf_release(&out);
	return ret;
}

/* Outcome and reason of a failure; the status stands in where the service said nothing. */
void provider_fail(struct provider_answer *ret, struct bf_arena *arena,
	enum provider_outcome outcome, const struct bf_http_reply *reply, const char *text)
{
	ret->outcome = outcome;
	ret->reason = text != NULL ? provider_excerpt(arena, text, strlen(text)) : NULL;
	if (ret->reason == NULL)
		ret->reason = bf_arena_printf(arena, "HTTP %d", reply->status);
}

/* The body as JSON. What is none is judged by its status, since front servers answer in HTML; the
 * page is no answer. */
struct bf_json *provider_json(
	const struct bf_http_reply *reply, struct bf_arena *arena, struct provider_answer *ret)
{
	struct bf_error err;
	struct bf_json *json;
	const char *excerpt;

	json = bf_json_parse(reply->body, reply->body_len, &bf_json_limits_default, false, &err);
	if (json != NULL)
		return json;
	ret->outcome = provider_outcome_of_status(reply->status);
	if (ret->outcome == OUTCOME_OK)
		ret->outcome = OUTCOME_GARBAGE;
	excerpt = provider_excerpt(arena, reply->body, reply->body_len);
	excerpt = bf_arena_printf(arena, "HTTP %d, not JSON: %s", reply->status,
		excerpt != NULL ? excerpt : "empty body");
	ret->reason =
		bf_arena_strndup(arena, excerpt, bf_utf8_cut(excerpt, strlen(excerpt), REASON_MAX));
	return NULL;
}

/* A redirect that was not followed, or a path that is not there, is not what any of the services
 * promises: garbage, and no answer to the question. */
enum provider_outcome provider_outcome_of_status(int status)
{
	if (status >= 200 && status < 300)
		return OUTCOME_OK;
	if (status == 401 || status == 403)
		return OUTCOME_AUTH;
	if (status == 402)
		return OUTCOME_BILLING;
	if (status == 429)
		return OUTCOME_RATE;
	if (status == 408 || status == 425 || status == 499 || status >= 500)
		return OUTCOME_UPSTREAM;
	if (status >= 400 && status != 404 && status != 410)
		return OUTCOME_BAD_REQUEST;
	return OUTCOME_GARBAGE;
}

/* No key that could be refused: such a refusal passes. */
enum provider_outcome provider_keyless(int status, struct provider_answer *ret)
{
	enum provider_outcome outcome = provider_outcome_of_status(status);

	if (outcome != OUTCOME_AUTH && outcome != OUTCOME_BILLING)
		return outcome;
	if (ret->retry_after_ms < BAN_MS)
		ret->retry_after_ms = BAN_MS;
	return OUTCOME_BANNED;
}

/* Without white space at both ends; no-break spaces and byte order marks count as such. */
const char *provider_trim(struct bf_arena *arena, const char *text)
{
	static const char *const blanks[] = { " ", "\t", "\n", "\r", "\f", "\v", "\xc2\xa0",
		"\xe2\x80\x8b", "\xef\xbb\xbf" };
	size_t len, i, n;
	bool again = true;

	if (text == NULL)
		return NULL;
	len = strlen(text);
	while (again) {
		again = false;
		for (i = 0; i < BF_COUNT(blanks); i++) {
			n = strlen(blanks[i]);
			if (len >= n && memcmp(text, blanks[i], n) == 0) {
				text += n;
				len -= n;
				again = true;
			}
			if (len >= n && memcmp(text + len - n, blanks[i], n) == 0) {
				len -= n;
				again = true;
			}
		}
	}
	return len > 0 ? bf_arena_strndup(arena, text, len) : NULL;
}

/* Text of a scalar, of the first element that has one, or of {"value": ...} and {"name": ...}. */
const char *provider_text(struct bf_jval value, struct bf_arena *arena)
{
	struct bf_jval v;
	const char *text;

	switch (bf_json_type(value)) {
	case BF_J_STRING:
	case BF_J_NUMBER: return provider_trim(arena, bf_json_str(value, arena));
	case BF_J_ARRAY:
		for (v = bf_json_first(value); bf_json_type(v) != BF_J_ABSENT;
			v = bf_json_next(v)) {
			if (bf_json_type(v) != BF_J_ARRAY &&
				(text = provider_text(v, arena)) != NULL)
				return text;
		}
		return NULL;
	case BF_J_OBJECT:
		v = bf_json_get(value, "value");
		if (bf_json_type(v) == BF_J_ABSENT)
			v = bf_json_get(value, "name");
		if (bf_json_type(v) != BF_J_STRING && bf_json_type(v) != BF_J_NUMBER)
			return NULL;
		return provider_trim(arena, bf_json_str(v, arena));
	case BF_J_ABSENT:
	case BF_J_NULL:
	case BF_J_BOOL: break;
	}
	return NULL;
}

/* Appends one element; what would be read as a separator in it is defused. Entities end in a
 * semicolon: the common ones are decoded here, because a later split would tear them. */
static void list_add(struct bf_buf *out, const char *text)
{
	static const struct {
		const char *entity, *text;
	} entities[] = { { "&amp;", "&" }, { "&quot;", "\"" }, { "&#39;", "'" }, { "&#039;", "'" },
		{ "&apos;", "'" }, { "&lt;", "<" }, { "&gt;", ">" }, { "&nbsp;", " " } };
	size_t i;

	if (out->len + strlen(text) + 2 > LIST_MAX)
		return;
	if (out->len > 0)
		bf_buf_add(out, ";", 1);
	while (*text) {
		for (i = 0; *text == '&' && i < BF_COUNT(entities); i++) {
			if (strncasecmp(text, entities[i].entity, strlen(entities[i].entity)) == 0)
				break;
		}
		if (*text == '&' && i < BF_COUNT(entities)) {
			bf_buf_adds(out, entities[i].text);
			text += strlen(entities[i].entity);
			continue;
		}
		bf_buf_add(out, *text == ';' ? "," : text, 1);
		text++;
	}
}

/* All non-empty elements of an array, of an object with numeric keys, or the scalar itself,
 * `;`-joined. */
const char *provider_list(struct bf_jval value, struct bf_arena *arena)
{
	enum bf_jtype type = bf_json_type(value);
	const char *text = provider_text(value, arena);
	struct bf_buf out;
	struct bf_jval v;

	bf_buf_init(&out, LIST_MAX + 1);
	if (type == BF_J_ARRAY || (type == BF_J_OBJECT && text == NULL)) {
		for (v = bf_json_first(value); bf_json_type(v) != BF_J_ABSENT;
			v = bf_json_next(v)) {
			if ((text = provider_text(v, arena)) != NULL)
				list_add(&out, text);
		}
	} else if (text != NULL) {
		list_add(&out, text);
	}
	return provider_trim(arena, provider_arena_buf(arena, &out));
}

/* A run of exactly four digits: "July 28, 2008", "c1965", "1965-08-01T00:00:00Z". */
int provider_year(const char *date)
{
	size_t n;
	int year;

	if (date == NULL)
		return 0;
	while (*date) {
		n = strspn(date, "0123456789");
		if (n == 4) {
			year = (date[0] - '0') * 1000 + (date[1] - '0') * 100 +
				(date[2] - '0') * 10 + date[3] - '0';
			if (year >= 1000 && year <= 2100)
				return year;
		}
		date += n > 0 ? n : 1;
	}
	return 0;
}

/* A protobuf duration or plain seconds in milliseconds, rounded up. */
int64_t provider_seconds_ms(const char *text)
{
	int64_t ms = 0, scale = 100;
	bool more = false;

	if (text == NULL || !isdigit((unsigned char)*text))
		return -1;
	for (; isdigit((unsigned char)*text); text++) {
		ms = ms * 10 + (*text - '0') * 1000;
		if (ms > DAY_MS)
			return DAY_MS;
	}
	if (*text == '.') {
		for (text++; isdigit((unsigned char)*text); text++) {
			ms += (*text - '0') * scale;
			more = more || (scale == 0 && *text != '0');
			scale /= 10;
		}
	}
	return ms + (more ? 1 : 0);
}

/* A key must be there and fit for a header line. */
bool provider_key_ok(
	const struct bf_provider_config *config, const char *label, struct bf_error *err)
{
	const char *p = config->api_key;

	if (p == NULL || *p == '\0') {
		bf_error_set(err, BF_ERR_CONFIG, "%s: no API key", label);
		return false;
	}
	for (; *p; p++) {
		if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f) {
			bf_error_set(err, BF_ERR_CONFIG,
				"%s: the API key holds a blank, control or non-ASCII character",
				label);
			return false;
		}
	}
	return true;
}

/* For asks that a provider does not answer. */
bool provider_unsupported(const char *label, struct bf_error *err)
{
	bf_error_set(err, BF_ERR_PERMANENT, "%s: this provider does not take this kind of question",
		label);
	return false;
}

/* Moves a buffer's text into the arena. */
const char *provider_arena_buf(struct bf_arena *arena, struct bf_buf *buf)
{
	const char *text = bf_arena_strndup(arena, buf->data, buf->len);

	bf_buf_release(buf);
	return text;
}
