/*
 * Which URLs the client talks to: https anywhere; plain http only to this machine or a private
 * network (RFC 1918, RFC 4291 loopback), written as an address or as localhost, so that no name can
 * lead it elsewhere. Credentials in a URL are refused. No text made here repeats the URL: it may
 * hold a key.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <curl/curl.h>
#include "http.h"

static bool refuse(struct bf_error *err, const char *why)
{
	if (err)
		bf_error_set(err, BF_ERR_PERMANENT, "URL refused: %s", why);
	return false;
}

/* RFC 3986 knows only printable ASCII; curl would quietly mend some of the rest. */
static bool is_plain_ascii(const char *url)
{
	size_t len = strnlen(url, HTTP_URL_MAX + 1);

	if (len == 0 || len > HTTP_URL_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if (url[i] <= ' ' || url[i] > '~')
			return false;
	return true;
}

/* Copies one part of a parsed URL; false when it is absent or too long. */
static bool part(CURLU *parsed, CURLUPart which, char *ret, size_t size)
{
	char *text = NULL;
	bool ok = curl_url_get(parsed, which, &text, 0) == CURLUE_OK && strlen(text) < size;

	if (ok)
		memcpy(ret, text, strlen(text) + 1);
	curl_free(text);
	return ok;
}

/* Scheme, host and port (0: not named) of a URL that parsed. */
static bool read_parts(CURLU *parsed, struct http_target *ret)
{
	char port[8];
	size_t len;

	if (!part(parsed, CURLUPART_SCHEME, ret->scheme, sizeof(ret->scheme)) ||
	    !part(parsed, CURLUPART_HOST, ret->host, sizeof(ret->host)))
		return false;
	ret->port = 0;
	if (part(parsed, CURLUPART_PORT, port, sizeof(port)))
		ret->port = (int)strtol(port, NULL, 10);
	len = strlen(ret->host);
	if (len > 2 && ret->host[0] == '[' && ret->host[len - 1] == ']') {
		memmove(ret->host, ret->host + 1, len - 2);
		ret->host[len - 2] = '\0';
	}
	return ret->host[0] != '\0';
}

static bool parse(const char *url, unsigned int flags, struct http_target *ret)
{
	CURLU *parsed = curl_url();
	bool ok;

	if (!parsed)
		return false;
	ok = is_plain_ascii(url) && curl_url_set(parsed, CURLUPART_URL, url, flags) == CURLUE_OK &&
	     read_parts(parsed, ret);
	curl_url_cleanup(parsed);
	return ok;
}

/* 127/8, 10/8, 172.16/12, 192.168/16, ::1 and localhost. */
static bool is_near(const char *host)
{
	struct in_addr v4;
	struct in6_addr v6;
	uint32_t a;

	if (strcasecmp(host, "localhost") == 0)
		return true;
	if (inet_pton(AF_INET6, host, &v6) == 1)
		return IN6_IS_ADDR_LOOPBACK(&v6);
	if (inet_pton(AF_INET, host, &v4) != 1)
		return false;
	a = ntohl(v4.s_addr);
	return a >> 24 == 127 || a >> 24 == 10 || a >> 20 == (172 << 4 | 1) ||
	       a >> 16 == (192 << 8 | 168);
}

/* curl also takes one or three slashes, and makes a host of what was meant as a path. */
static bool has_authority(const char *url, const char *scheme)
{
	const char *rest = url + strlen(scheme);

	return strncmp(rest, "://", 3) == 0 && rest[3] != '/';
}

/* Reads where an allowed URL leads; false with *err (PERMANENT; may be NULL) for any other. */
bool http_target_read(const char *url, struct http_target *ret, struct bf_error *err)
{
	if (strnlen(url, HTTP_URL_MAX + 1) > HTTP_URL_MAX)
		return refuse(err, "longer than 16 KiB");
	if (!parse(url, CURLU_DISALLOW_USER | CURLU_NON_SUPPORT_SCHEME, ret) ||
	    !has_authority(url, ret->scheme))
		return refuse(err, "malformed, or with a user name in it");
	if (ret->port == 0)
		ret->port = strcmp(ret->scheme, "https") == 0 ? 443 : 80;
	if (strcmp(ret->scheme, "https") == 0)
		return true;
	if (strcmp(ret->scheme, "http") != 0)
		return refuse(err, "neither https nor http");
	if (!is_near(ret->host))
		return refuse(err, "plain http is only for localhost and private addresses, "
				   "written as numbers");
	return true;
}

bool bf_http_url_allowed(const char *url, struct bf_error *err)
{
	struct http_target target;

	return http_target_read(url, &target, err);
}

/*
 * Reads where a proxy is. Those that want the target's address from us are refused: curl would look
 * it up in a thread of its own; socks5h and socks4a send the name.
 */
bool http_proxy_read(const char *proxy, struct http_target *ret, struct bf_error *err)
{
	static const char *const schemes[] = { "http", "https", "socks5h", "socks4a" };
	char *full = strstr(proxy, "://") ? bf_xstrdup(proxy) : bf_xasprintf("http://%s", proxy);
	bool ok = parse(full, CURLU_NON_SUPPORT_SCHEME, ret), known = false;

	if (ok && ret->port == 0)	/* curl's defaults for a proxy */
		ret->port = strcmp(ret->scheme, "https") == 0 ? 443 : 1080;
	free(full);
	for (size_t i = 0; ok && i < BF_COUNT(schemes); i++)
		known = known || strcmp(ret->scheme, schemes[i]) == 0;
	if (!known)
		bf_error_set(err, BF_ERR_CONFIG,
			     "proxy refused: not of the form http://, https://, socks5h:// or "
			     "socks4a://host:port");
	return known;
}

/* RFC 6454: same scheme, host and port. */
bool http_target_same_origin(const struct http_target *a, const struct http_target *b)
{
	return strcmp(a->scheme, b->scheme) == 0 && strcasecmp(a->host, b->host) == 0 &&
	       a->port == b->port;
}
