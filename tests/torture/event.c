/* libevent and c-ares: a call fails with the value that it has for want of memory, and does nothing. */
#include "torture.h"
#include <ares.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>

#define CALL(type, name, params, args, failure) TORTURE_CALL(TORTURE_EVENT, type, name, params, args, failure)

CALL(struct event_config *, event_config_new, (void), (), NULL)
CALL(int, event_config_set_flag, (struct event_config *c, int flag), (c, flag), -1)
CALL(struct event_base *, event_base_new_with_config, (const struct event_config *c), (c), NULL)
CALL(int, event_base_update_cache_time, (struct event_base *b), (b), -1)
CALL(int, event_base_loop, (struct event_base *b, int flags), (b, flags), -1)
CALL(struct event *, event_new,
     (struct event_base *b, evutil_socket_t fd, short what, event_callback_fn fn, void *ctx),
     (b, fd, what, fn, ctx), NULL)
CALL(int, event_assign,
     (struct event *e, struct event_base *b, evutil_socket_t fd, short what, event_callback_fn fn, void *ctx),
     (e, b, fd, what, fn, ctx), -1)
CALL(int, event_add, (struct event *e, const struct timeval *tv), (e, tv), -1)
CALL(struct bufferevent *, bufferevent_socket_new, (struct event_base *b, evutil_socket_t fd, int options),
     (b, fd, options), NULL)
CALL(int, bufferevent_set_timeouts, (struct bufferevent *b, const struct timeval *r, const struct timeval *w),
     (b, r, w), -1)
CALL(struct evbuffer *, evbuffer_new, (void), (), NULL)
CALL(int, evbuffer_add, (struct evbuffer *b, const void *s, size_t n), (b, s, n), -1)
CALL(unsigned char *, evbuffer_pullup, (struct evbuffer *b, ev_ssize_t n), (b, n), NULL)
CALL(struct evhttp *, evhttp_new, (struct event_base *b), (b), NULL)
CALL(struct evhttp_bound_socket *, evhttp_bind_socket_with_handle,
     (struct evhttp *h, const char *address, ev_uint16_t port), (h, address, port), NULL)
CALL(int, evhttp_add_header, (struct evkeyvalq *h, const char *key, const char *value), (h, key, value), -1)
CALL(int, ares_init_options, (ares_channel *c, struct ares_options *o, int mask), (c, o, mask), ARES_ENOMEM)
