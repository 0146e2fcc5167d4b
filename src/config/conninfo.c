/*
 * conninfo: the two forms that libpq takes (PostgreSQL documentation, 34.1.1): `keyword = value`
 * pairs, values quoted with ' and escaped with \, and URIs. Both are walked as a list of
 * parameters, of which the names are looked at; whether the values make sense is libpq's business.
 */
#include "conninfo.h"
#include <string.h>
#include <strings.h>

enum conninfo_kind { CONNINFO_PLAIN, CONNINFO_PASSWORD, CONNINFO_SERVICE };

/* One parameter: where it stands, and what it is. */
struct conninfo_part { const char *start, *end; enum conninfo_kind kind; };

/* What a parameter's name, n bytes, stands for. */
static enum conninfo_kind conninfo_kind(const char *name, size_t n)
{
	static const struct { const char *name; enum conninfo_kind kind; } known[] = {
		{ "password", CONNINFO_PASSWORD }, { "sslpassword", CONNINFO_PASSWORD },
		{ "oauth_client_secret", CONNINFO_PASSWORD }, { "service", CONNINFO_SERVICE }
	};

	for (size_t i = 0; i < BF_COUNT(known); i++)
		if (strlen(known[i].name) == n && strncasecmp(name, known[i].name, n) == 0)
			return known[i].kind;
	return CONNINFO_PLAIN;
}

/* The text behind the scheme of a URI, NULL for the other form. */
static const char *conninfo_uri(const char *s)
{
	if (strncmp(s, "postgresql://", 13) == 0)
		return s + 13;
	return strncmp(s, "postgres://", 11) == 0 ? s + 11 : NULL;
}

/* Steps over white space. */
static const char *conninfo_blank(const char *p)
{
	return p + strspn(p, " \t\n\r\f\v");
}

/* Steps over a value; NULL when its quote does not end. */
static const char *conninfo_value(const char *p)
{
	bool quoted = *p == '\'';

	for (p += quoted; *p; p++) {
		if (*p == '\\' && p[1])
			p++;
		else if (quoted ? *p == '\'' : strchr(" \t\n\r\f\v", *p) != NULL)
			return p + quoted;
	}
	return quoted ? NULL : p;
}

/* Takes the next pair at *p; false at the end, and with *wrong set when the text is broken. */
static bool conninfo_next_pair(const char **p, struct conninfo_part *part, const char **wrong)
{
	const char *s = conninfo_blank(*p), *value;
	size_t n = strcspn(s, "= \t\n\r\f\v");

	if (!*s)
		return false;
	part->start = s;
	part->kind = conninfo_kind(s, n);
	value = conninfo_blank(s + n);
	if (n == 0 || *value != '=') {
		*wrong = "is neither a list of keyword=value nor a postgresql:// URI";
		return false;
	}
	part->end = conninfo_value(conninfo_blank(value + 1));
	if (!part->end) {
		*wrong = "has a quote that does not end";
		return false;
	}
	*p = part->end;
	return true;
}

/* Decodes %XX in a parameter's name, as libpq does before it looks at it. */
static size_t conninfo_percent(const char *s, size_t n, char *out, size_t size)
{
	static const char hex[] = "0123456789abcdef";
	size_t o = 0;

	for (size_t i = 0; i < n && o < size; i++) {
		const char *a = NULL, *b = NULL;

		if (s[i] == '%' && i + 2 < n) {
			a = strchr(hex, s[i + 1] | 0x20);
			b = strchr(hex, s[i + 2] | 0x20);
		}
		if (a && b && *a && *b) {
			out[o++] = (char)((a - hex) << 4 | (b - hex));
			i += 2;
		} else {
			out[o++] = s[i];
		}
	}
	return o;
}

/* Takes the next query parameter of a URI at *p, which stands behind its ? or &. */
static bool conninfo_next_param(const char **p, struct conninfo_part *part)
{
	size_t n = strcspn(*p, "&"), name_len;
	const char *equals = memchr(*p, '=', n);
	char name[64];

	if (!**p)
		return false;
	name_len = conninfo_percent(*p, equals ? (size_t)(equals - *p) : n, name, sizeof(name));
	*part = (struct conninfo_part){ *p, *p + n, conninfo_kind(name, name_len) };
	*p += n + ((*p)[n] == '&');
	return true;
}

/* The colon in front of a URI's password, NULL when it has none. libpq takes what stands before the
 * first @ for the user; a password that holds a / or an @ unescaped is found all the same. */
static const char *conninfo_uri_password(const char *uri)
{
	const char *at = memrchr(uri, '@', strcspn(uri, "?"));

	if (!at) {
		at = uri + strcspn(uri, "@/");
		if (*at != '@')
			return NULL;
	}
	return memchr(uri, ':', (size_t)(at - uri));
}

/* What to say about a part; NULL for nothing. */
static const char *conninfo_refuse(enum conninfo_kind kind, bool secrets)
{
	if (secrets)
		return NULL;
	switch (kind) {
	case CONNINFO_PLAIN:
		return NULL;
	case CONNINFO_PASSWORD:
		return "has a password in it: put the whole string into a file named by "
			"conninfo_file, or the password into a passfile (~/.pgpass, passfile=)";
	case CONNINFO_SERVICE:
		return "names a service: put the whole string into a file named by conninfo_file, "
			"and the password into a passfile";
	}
	return NULL;
}

const char *conninfo_check(const char *s, bool secrets)
{
	const char *uri = conninfo_uri(s), *query, *wrong = NULL;
	struct conninfo_part part;

	if (!uri) {
		if (!*conninfo_blank(s))
			return "is empty";
		while (!wrong && conninfo_next_pair(&s, &part, &wrong))
			wrong = conninfo_refuse(part.kind, secrets);
		return wrong;
	}
	if (conninfo_uri_password(uri))
		wrong = conninfo_refuse(CONNINFO_PASSWORD, secrets);
	query = strchr(uri, '?');
	if (query) {
		query++;
		while (!wrong && conninfo_next_param(&query, &part))
			wrong = conninfo_refuse(part.kind, secrets);
	}
	return wrong;
}

/* Pairs, without those that hold a secret. */
static void conninfo_show_pairs(const char *s, struct bf_buf *out)
{
	const char *wrong = NULL, *gap = "";
	struct conninfo_part part;

	while (conninfo_next_pair(&s, &part, &wrong)) {
		if (part.kind == CONNINFO_PASSWORD)
			continue;
		bf_buf_adds(out, gap);
		bf_buf_add(out, part.start, (size_t)(part.end - part.start));
		gap = " ";
	}
}

/* A URI without user's password and secret parameters. One with an @ behind the path is shown from
 * there on only: a password with a / in it would show otherwise. */
static void conninfo_show_uri(const char *s, const char *uri, struct bf_buf *out)
{
	const char *at = strrchr(uri, '@'), *query = strchr(at ? at : uri, '?'), *gap = "?";
	const char *stop = query ? query : uri + strlen(uri);
	struct conninfo_part part;

	bf_buf_add(out, s, (size_t)(uri - s));
	if (at) {
		const char *colon = memchr(uri, ':', (size_t)(at - uri));

		bf_buf_add(out, uri, (size_t)((colon ? colon : at) - uri));
		uri = at;
	}
	bf_buf_add(out, uri, (size_t)(stop - uri));
	if (query)
		query++;
	while (query && conninfo_next_param(&query, &part)) {
		if (part.kind == CONNINFO_PASSWORD)
			continue;
		bf_buf_adds(out, gap);
		bf_buf_add(out, part.start, (size_t)(part.end - part.start));
		gap = "&";
	}
}

void conninfo_show(const char *s, struct bf_buf *out)
{
	const char *uri = conninfo_uri(s);

	if (uri)
		conninfo_show_uri(s, uri, out);
	else
		conninfo_show_pairs(s, out);
}
