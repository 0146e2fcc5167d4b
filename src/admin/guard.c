/*
 * guard: what evhttp lets through and must not pass. Follows RFC 9112 (section 6 on lengths, 3.2 on Host).
 *
 * evhttp takes the first of two Content-Lengths, ignores one whose name ends in a space, sees no body behind
 * "Transfer-Encoding: gzip, chunked" and none in a GET: each time what follows would be read as another request, written by
 * whoever wrote the first one's body. Such a request is refused, or served as the last one of its connection.
 */
#include "guard.h"
#include "backfill/base.h"
#include <ctype.h>
#include <event2/keyvalq_struct.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

/* RFC 9110 5.6.2: what a header's name may be made of. */
static bool is_token(const char *s)
{
	if (*s == '\0')
		return false;
	for (; *s != '\0'; s++) {
		if (!isalnum((unsigned char)*s) && strchr("!#$%&'*+-.^_`|~", *s) == NULL)
			return false;
	}
	return true;
}

/* No control character but the tab. */
static bool is_field_value(const char *s)
{
	for (; *s != '\0'; s++) {
		if (((unsigned char)*s < 0x20 && *s != '\t') || *s == 0x7f)
			return false;
	}
	return true;
}

/* Digits and nothing else. */
static bool is_number(const char *s)
{
	return *s != '\0' && strspn(s, "0123456789") == strlen(s);
}

/* The only value of a header; NULL when absent. *ret_n says how many there are. */
static const char *only(const struct evkeyvalq *headers, const char *name, int *ret_n)
{
	const struct evkeyval *header;
	const char *value = NULL;

	*ret_n = 0;
	TAILQ_FOREACH (header, headers, next) {
		if (strcasecmp(header->key, name) == 0) {
			value = header->value;
			++*ret_n;
		}
	}
	return value;
}

/* The host part of "host:port" or "[::1]:port"; false when it is neither. */
static bool split_host(const char *authority, const char **ret_host, size_t *ret_len)
{
	const char *end;

	if (*authority == '[') {
		size_t len = strspn(authority + 1, "0123456789abcdefABCDEF:.");

		if (len < 2 || authority[1 + len] != ']')
			return false;
		*ret_host = authority;
		*ret_len = len + 2;
	} else {
		end = authority + strcspn(authority, ":");
		for (const char *c = authority; c < end; c++) {
			if (!isalnum((unsigned char)*c) && strchr("-._", *c) == NULL)
				return false;
		}
		*ret_host = authority;
		*ret_len = (size_t)(end - authority);
	}
	end = authority + *ret_len;
	if (*ret_len == 0 || *ret_len > 255)
		return false;
	return *end == '\0' ||
		(*end == ':' && strlen(end) <= 6 &&
			strspn(end + 1, "0123456789") == strlen(end + 1));
}

/* Whether a Host header is well formed. */
bool guard_host_valid(const char *authority)
{
	const char *host;
	size_t len;

	return split_host(authority, &host, &len);
}

/* Whether two authorities name one host, whatever their ports. */
static bool same_host(const char *a, const char *b)
{
	const char *host_a, *host_b;
	size_t len_a, len_b;

	return split_host(a, &host_a, &len_a) && split_host(b, &host_b, &len_b) && len_a == len_b &&
		strncasecmp(host_a, host_b, len_a) == 0;
}

/* evhttp gives the host of a target without its brackets, or with them, as written. */
static bool is_own_host(const char *uri_host, const char *host_header)
{
	const char *host;
	size_t len, uri_len = strlen(uri_host);

	if (!split_host(host_header, &host, &len))
		return false;
	if (host[0] == '[' && uri_host[0] != '[') {
		host++;
		len -= 2;
	}
	return len == uri_len && strncasecmp(host, uri_host, len) == 0;
}

/* Methods whose body evhttp does not read. */
static bool is_bodyless(enum evhttp_cmd_type method)
{
	return method != EVHTTP_REQ_POST && method != EVHTTP_REQ_PUT && method != EVHTTP_REQ_PATCH;
}

/* The lengths: at most one, readable, and not two kinds of them. */
static const char *check_length(
	const struct evkeyvalq *headers, enum evhttp_cmd_type method, bool *ret_close)
{
	int n_length, n_encoding;
	const char *length = only(headers, "Content-Length", &n_length);
	const char *encoding = only(headers, "Transfer-Encoding", &n_encoding);

	if (n_length > 1)
		return "more than one Content-Length";
	if (n_length == 1 && !is_number(length))
		return "malformed Content-Length";
	if (n_encoding > 1 || (n_encoding == 1 && strcasecmp(encoding, "chunked") != 0))
		return "Transfer-Encoding is not chunked";
	if (n_encoding == 1 && n_length == 1)
		return "Content-Length beside Transfer-Encoding";
	/* evhttp reads chunk sizes like "0x5" that others don't: nothing may follow on such a connection. */
	if (n_encoding == 1)
		*ret_close = true;
	if (n_length == 1 && is_bodyless(method) && strspn(length, "0") != strlen(length))
		*ret_close = true;
	return NULL;
}

/* Everything about how the request is written down. */
const char *guard_framing(const struct evkeyvalq *headers, enum evhttp_cmd_type method,
	const char *uri_host, bool *ret_close)
{
	const struct evkeyval *header;
	const char *host;
	int n_host;

	*ret_close = false;
	TAILQ_FOREACH (header, headers, next) {
		if (!is_token(header->key))
			return "malformed header name";
		if (!is_field_value(header->value))
			return "control character in a header";
	}
	host = only(headers, "Host", &n_host);
	if (n_host != 1)
		return n_host == 0 ? "no Host" : "more than one Host";
	if (!guard_host_valid(host))
		return "malformed Host";
	if (uri_host != NULL && !is_own_host(uri_host, host))
		return "the target is another host's";
	return check_length(headers, method, ret_close);
}

/* Whether the caller knows the secret. */
bool guard_secret(const struct evkeyvalq *headers, const char *secret)
{
	int n;
	const char *given = only(headers, "X-Cron-Secret", &n);

	if (secret == NULL || *secret == '\0')
		return false;
	/* Compared in every case, so that the time tells nothing. */
	if (given == NULL)
		given = "";
	return bf_secret_equal(given, strlen(given), secret, strlen(secret)) && n == 1;
}

/* C1 controls come as two bytes; C0 and DEL have been refused with the header, but for the tab. */
const char *guard_operator(const struct evkeyvalq *headers, size_t max_chars)
{
	int n;
	const char *name = only(headers, "X-Operator", &n);
	size_t chars = 0;

	if (n == 0)
		return "";
	if (n > 1 || *name == '\0' || !bf_utf8_valid(name, strlen(name)))
		return NULL;
	for (const unsigned char *c = (const unsigned char *)name; *c != '\0'; c++) {
		if (*c < 0x20 || *c == 0x7f || (*c == 0xc2 && c[1] < 0xa0))
			return NULL;
		chars += (*c & 0xc0) != 0x80;
	}
	return chars <= max_chars ? name : NULL;
}

/* Whether a browser sent this on behalf of another site. */
bool guard_same_origin(const struct evkeyvalq *headers)
{
	int n_origin, n_host, n_site;
	const char *origin = only(headers, "Origin", &n_origin);
	const char *host = only(headers, "Host", &n_host);
	const char *site = only(headers, "Sec-Fetch-Site", &n_site);

	/* "none": the user himself, by the address bar */
	if (n_site > 1 ||
		(n_site == 1 && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0))
		return false;
	if (n_origin == 0)
		return true;
	if (n_origin != 1 || n_host != 1)
		return false;
	if (strncasecmp(origin, "http://", 7) == 0)
		return same_host(origin + 7, host);
	if (strncasecmp(origin, "https://", 8) == 0)
		return same_host(origin + 8, host);
	return false;
}
