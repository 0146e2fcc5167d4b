/*
 * guard: the checks that come before any route, as functions of the request's header alone.
 */
#ifndef ADMIN_GUARD_H
#define ADMIN_GUARD_H
#include <stdbool.h>
#include <event2/http.h>

/* What is wrong with the framing, in a few words; NULL when nothing is. ret_close: the connection can't be read on
 * after this request even so. uri_host: the host of an absolute-form target, else NULL. */
const char *guard_framing(const struct evkeyvalq *, enum evhttp_cmd_type, const char *uri_host, bool *ret_close);
/* Exactly one X-Cron-Secret, and it is the one; takes the same time wherever they differ. */
bool guard_secret(const struct evkeyvalq *, const char *secret);
/* Who asks, as X-Operator says: "" when it is not there, NULL when it is not one name of at most max_chars characters of
 * UTF-8 without control characters. */
const char *guard_operator(const struct evkeyvalq *, size_t max_chars);
/* No Origin, or one whose host is the request's own; and no Sec-Fetch-Site that names another site. */
bool guard_same_origin(const struct evkeyvalq *);
/* RFC 9110 7.2: uri-host [":" port], where the host is a name or a literal. */
bool guard_host_valid(const char *);
#endif
