/*
 * query: text that arrives in a URL, percent-encoded (RFC 3986 2.1), read as strictly as a body: an escape that is none, a
 * control character, an unknown or doubled parameter is a problem with a name.
 */
#ifndef ADMIN_QUERY_H
#define ADMIN_QUERY_H
#include "body.h"

/* Decodes `len` bytes into the arena; plus: `+` is a blank, as forms write it. NULL, with the reason in *ret_why, when it is
 * not UTF-8 without control characters afterwards. */
char *query_decode(const char *text, size_t len, bool plus, struct bf_arena *, const char **ret_why);
/* A number of the database's: digits, 0 to INT64_MAX. */
#define QUERY_ID_DIGITS 19
bool query_id(const char *, int64_t *ret);
/* Reads a query string (NULL and "": none) into the fields, which may be integers and strings, as body_read does. */
bool query_read(const char *text, const struct body_field *, void *into, struct bf_arena *, struct body_problems *);
#endif
