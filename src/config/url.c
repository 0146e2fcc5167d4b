/*
 * url: checks addresses (RFC 3986 as far as an operator may use it: no user information, no
 * fragment, printable ASCII). A host given by name counts as public, except localhost: what a name
 * resolves to is not known here, and must not decide whether a key travels in plain text.
 */
#include "url.h"
#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

enum { URL_HOST_BYTES = 256 };

/* The port is -1 when none is given. */
struct url_host { char text[URL_HOST_BYTES]; bool bracketed; int port; };

/* True for loopback, and if asked for the private ranges of RFC 1918. */
static bool url_is_near(const char *host, bool private_too)
{
	struct in6_addr a6;
	struct in_addr a4;
	uint32_t a;

	if (strcasecmp(host, "localhost") == 0)
		return true;
	if (inet_pton(AF_INET6, host, &a6) == 1)
		return IN6_IS_ADDR_LOOPBACK(&a6);
	if (inet_pton(AF_INET, host, &a4) != 1)
		return false;
	a = ntohl(a4.s_addr);
	if (a >> 24 == 127)
		return true;
	return private_too && (a >> 24 == 10 || a >> 20 == 0xac1 || a >> 16 == 0xc0a8);
}

/* True for the characters of a host name. */
static bool url_is_name(const char *host)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_";

	return host[0] && host[0] != '-' && host[0] != '.' && !host[strspn(host, letters)];
}

/* Splits `HOST`, `HOST:PORT` or `[V6]:PORT`, n bytes long. */
static const char *url_split_host(const char *s, size_t n, struct url_host *ret)
{
	const char *end = s + n, *p;
	struct in6_addr a6;
	size_t len;

	*ret = (struct url_host){ .port = -1, .bracketed = n > 0 && *s == '[' };
	if (ret->bracketed) {
		s++;
		p = memchr(s, ']', (size_t)(end - s));
		if (!p)
			return "has a [ without ]";
	} else {
		p = memchr(s, ':', n);
		p = p ? p : end;
	}
	len = (size_t)(p - s);
	if (len == 0 || len >= sizeof(ret->text))
		return "has no host";
	memcpy(ret->text, s, len);
	if (ret->bracketed ? inet_pton(AF_INET6, ret->text, &a6) != 1 : !url_is_name(ret->text))
		return "has a host that is neither a name nor an address";
	p += ret->bracketed;
	if (p == end)
		return NULL;
	if (*p++ != ':' || p == end || end - p > 5)
		return "has a port that is no number up to 65535";
	for (ret->port = 0; p < end; p++) {
		if (*p < '0' || *p > '9')
			return "has a port that is no number up to 65535";
		ret->port = ret->port * 10 + (*p - '0');
	}
	return ret->port > 65535 ? "has a port that is no number up to 65535" : NULL;
}

/* Checks what stands behind the scheme; *rest is set to what follows the host. */
static const char *url_check_rest(const char *s, struct url_host *host, const char **rest)
{
	size_t n = strcspn(s, "/?#");

	if (memchr(s, '@', n))
		return "has a user name or password in it";
	*rest = s + n;
	return url_split_host(s, n, host);
}

/* The characters of any URL. */
static bool url_is_printable(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s <= 0x20 || (unsigned char)*s >= 0x7f ||
		    strchr("\"<>\\^`{|}", *s))
			return false;
	return true;
}

/* Checks an http or https URL. */
static const char *url_check(const char *url, const char *forbidden)
{
	bool plain = strncmp(url, "http://", 7) == 0;
	const char *rest, *wrong;
	struct url_host host;

	if (!url_is_printable(url))
		return "has characters that no URL has";
	if (!plain && strncmp(url, "https://", 8) != 0)
		return "must begin with https:// (or http:// for a loopback or private address)";
	wrong = url_check_rest(url + (plain ? 7 : 8), &host, &rest);
	if (wrong)
		return wrong;
	if (host.port == 0)
		return "has port 0";
	if (rest[strcspn(rest, forbidden)])
		return "may have no query and no fragment";
	return plain && !url_is_near(host.text, true) ?
		"would send in plain text to a public host: use https://" : NULL;
}

const char *url_check_base(const char *url)
{
	return url_check(url, "?#");
}

const char *url_check_hook(const char *url)
{
	return url_check(url, "#");
}

const char *url_check_proxy(const char *url)
{
	static const char *const schemes[] = { "http://", "https://", "socks5h://" };
	const char *rest, *wrong;
	struct url_host host;

	if (!url_is_printable(url))
		return "has characters that no URL has";
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		size_t n = strlen(schemes[i]);

		if (strncmp(url, schemes[i], n) != 0)
			continue;
		wrong = url_check_rest(url + n, &host, &rest);
		if (wrong)
			return wrong;
		if (host.port < 1 || (rest[0] && strcmp(rest, "/") != 0))
			return "must end with host and port";
		return NULL;
	}
	return "must begin with http://, https:// or socks5h://";
}

/* An address to listen on must be a number: resolving a name could stall the start, and could
 * bind elsewhere than meant. */
const char *url_check_listen(const char *listen)
{
	struct url_host host;
	struct in_addr a4;
	const char *wrong = url_split_host(listen, strlen(listen), &host);

	if (wrong)
		return wrong;
	if (!host.bracketed && strcmp(host.text, "localhost") != 0 &&
	    inet_pton(AF_INET, host.text, &a4) != 1)
		return "must have a numeric address (127.0.0.1:8787, [::1]:8787) or localhost";
	return host.port < 0 ? "must end with :PORT" : NULL;
}

bool url_listens_on_loopback(const char *listen)
{
	struct url_host host;

	return !url_split_host(listen, strlen(listen), &host) && url_is_near(host.text, false);
}
