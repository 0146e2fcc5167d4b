/*
 * The servers that the HTTP client's tests ask: two of evhttp, and one that resets every
 * connection, all on loopback and in the loop of the client.
 */
#ifndef TEST_REACTOR_HTTP_WORLD_H
#define TEST_REACTOR_HTTP_WORLD_H
#include <netinet/in.h>
#include <sys/socket.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include "harness.h"

enum { BIG = 100000 };

struct server {
	struct world *world;
	struct evhttp *evhttp;
	int port, requests;
	char key[64], method[16], encoding[64], agent[64], expect[16];	/* of the last request */
	char body[64];
};

struct world {
	struct bf_loop *loop;
	struct bf_http *http;
	struct server a, b;
	struct evconnlistener *resetter;
	int reset_port;
	/* of the last completion */
	int done, status;
	struct bf_error err;
	char body[2 * BIG], type[64];
	size_t body_len;
	int64_t retry_after_ms;
	bool keep_running;
};

/* ---- the servers ---- */

static inline void copy_header(struct evhttp_request *req, const char *name, char *ret, size_t size)
{
	const char *value = evhttp_find_header(evhttp_request_get_input_headers(req), name);

	snprintf(ret, size, "%s", value ? value : "-");
}

static inline void remember(struct server *s, struct evhttp_request *req)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(req);
	size_t len = evbuffer_get_length(in);

	s->requests++;
	copy_header(req, "X-Key", s->key, sizeof(s->key));
	copy_header(req, "Accept-Encoding", s->encoding, sizeof(s->encoding));
	copy_header(req, "User-Agent", s->agent, sizeof(s->agent));
	copy_header(req, "Expect", s->expect, sizeof(s->expect));
	snprintf(s->method, sizeof(s->method), "%s",
		 evhttp_request_get_command(req) == EVHTTP_REQ_POST ? "POST" : "GET");
	memset(s->body, 0, sizeof(s->body));
	evbuffer_copyout(in, s->body, len < sizeof(s->body) ? len : sizeof(s->body) - 1);
}

/*
 * Deflate (RFC 1951) with fixed codes: one zero byte and then "258 bytes from distance 1", 13 bits
 * each.
 */
static inline void add_bomb(struct evbuffer *out, int matches)
{
	static const unsigned char header[] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3 };
	/* not final, fixed codes; literal 0 = 00110000 */
	static const char head[] = "0" "10" "00110000", match[] = "11000101" "00000";
	unsigned char byte = 0;
	int bits = 0;

	evbuffer_add(out, header, sizeof(header));
	for (int i = -1; i < matches; i++) {
		for (const char *p = i < 0 ? head : match; *p; p++) {
			byte = (unsigned char)(byte | (*p - '0') << bits);
			if (++bits == 8) {
				evbuffer_add(out, &byte, 1);
				byte = 0;
				bits = 0;
			}
		}
	}
	evbuffer_add(out, &byte, 1);
}

static inline void answer_gzip(struct evhttp_request *req, struct evbuffer *out, bool bomb)
{
	static const unsigned char small[] = {
		0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0x57, 0x48, 0xaf,
		0xca, 0x2c, 0x00, 0x00, 0x19, 0x6a, 0xd2, 0xdf, 10, 0, 0, 0
	};

	evhttp_add_header(evhttp_request_get_output_headers(req), "Content-Encoding", "gzip");
	if (bomb)
		add_bomb(out, 40000);		/* 10 MB out of 65 KB */
	else
		evbuffer_add(out, small, sizeof(small));
	evhttp_send_reply(req, 200, "OK", out);
}

static inline void answer_redirect(struct evhttp_request *req, int status, const char *where)
{
	char location[128];

	snprintf(location, sizeof(location), "%s", where);
	evhttp_add_header(evhttp_request_get_output_headers(req), "Location", location);
	evhttp_send_reply(req, status, "Moved", NULL);
}

static inline void answer_big_header(struct evhttp_request *req)
{
	static char value[1000];
	char name[16];

	memset(value, 'h', sizeof(value) - 1);
	for (int i = 0; i < 80; i++) {
		snprintf(name, sizeof(name), "X-%d", i);
		evhttp_add_header(evhttp_request_get_output_headers(req), name, value);
	}
	evhttp_send_reply(req, 200, "OK", NULL);
}

/* /b/<status>/<path>: a redirect to <path> on the other server. */
static inline void answer_cross(struct server *s, struct evhttp_request *req, const char *path)
{
	char where[128];

	snprintf(where, sizeof(where), "http://127.0.0.1:%d%s", s->world->b.port, path + 6);
	answer_redirect(req, (int)strtol(path + 3, NULL, 10), where);
}

static inline void serve(struct evhttp_request *req, void *ctx)
{
	struct server *s = ctx;
	struct evbuffer *out = evbuffer_new();
	struct evkeyvalq *headers = evhttp_request_get_output_headers(req);
	const char *path = evhttp_request_get_uri(req);
	static char big[BIG];

	remember(s, req);
	evhttp_add_header(headers, "Content-Type", "text/x-test; charset=utf-8");
	if (strcmp(path, "/ok") == 0) {
		evbuffer_add_printf(out, "hello");
		evhttp_send_reply(req, 200, "OK", out);
	} else if (strcmp(path, "/500") == 0) {
		evbuffer_add_printf(out, "broken");
		evhttp_send_reply(req, 500, "Broken", out);
	} else if (strncmp(path, "/retry/", 7) == 0) {
		char *value = evhttp_decode_uri(path + 7);

		evhttp_add_header(headers, "Retry-After", value);
		evhttp_send_reply(req, 429, "Slowly", NULL);
		free(value);
	} else if (strcmp(path, "/big") == 0) {
		memset(big, 'b', sizeof(big));
		evbuffer_add(out, big, sizeof(big));
		evhttp_send_reply(req, 200, "OK", out);
	} else if (strcmp(path, "/gzip") == 0 || strcmp(path, "/bomb") == 0) {
		answer_gzip(req, out, path[1] == 'b');
	} else if (strncmp(path, "/lengths/", 9) == 0) {
		evhttp_add_header(headers, "Content-Length", "5");
		evhttp_add_header(headers, "Content-Length", path + 9);
		evbuffer_add_printf(out, "hello");
		evhttp_send_reply(req, 200, "OK", out);
	} else if (strcmp(path, "/headers") == 0) {
		answer_big_header(req);
	} else if (strcmp(path, "/loop") == 0) {
		answer_redirect(req, 302, "/loop");
	} else if (strcmp(path, "/once") == 0) {
		answer_redirect(req, 308, "/ok");
	} else if (strcmp(path, "/foreign") == 0) {
		answer_redirect(req, 301, "http://10.1.2.3/");
	} else if (strcmp(path, "/file") == 0) {
		answer_redirect(req, 301, "file:///etc/passwd");
	} else if (strncmp(path, "/b/", 3) == 0) {
		answer_cross(s, req, path);
	} else if (strncmp(path, "http://", 7) == 0) {
		evbuffer_add_printf(out, "proxied");	/* what a proxy is asked */
		evhttp_send_reply(req, 200, "OK", out);
	} /* "/stall": never answered */
	evbuffer_free(out);
}

static inline int server_up(struct world *w, struct server *s)
{
	struct evhttp_bound_socket *bound;
	struct sockaddr_in in;
	socklen_t len = sizeof(in);

	s->world = w;
	s->evhttp = evhttp_new(bf_loop_base(w->loop));
	evhttp_set_gencb(s->evhttp, serve, s);
	bound = evhttp_bind_socket_with_handle(s->evhttp, "127.0.0.1", 0);
	if (!bound ||
	    getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&in, &len) != 0)
		return -1;
	s->port = ntohs(in.sin_port);
	return 0;
}

/* Accepts and resets at once. */
static inline void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa,
			     int len, void *ctx)
{
	struct linger linger = { .l_onoff = 1 };

	(void)l;
	(void)sa;
	(void)len;
	(void)ctx;
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	evutil_closesocket(fd);
}

static inline int resetter_up(struct world *w)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t len = sizeof(in);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	w->resetter = evconnlistener_new_bind(bf_loop_base(w->loop), on_accept, w,
					      LEV_OPT_CLOSE_ON_FREE, 8, (struct sockaddr *)&in,
					      sizeof(in));
	if (!w->resetter ||
	    getsockname(evconnlistener_get_fd(w->resetter), (struct sockaddr *)&in, &len) != 0)
		return -1;
	w->reset_port = ntohs(in.sin_port);
	return 0;
}

static inline int world_up(void **state)
{
	struct world *w = bf_xcalloc(1, sizeof(*w));

	*state = w;
	w->loop = bf_loop_new();
	w->http = bf_http_new(w->loop);
	return server_up(w, &w->a) || server_up(w, &w->b) || resetter_up(w) ? -1 : 0;
}

static inline int world_down(void **state)
{
	struct world *w = *state;

	bf_http_free(w->http);
	evhttp_free(w->a.evhttp);
	evhttp_free(w->b.evhttp);
	evconnlistener_free(w->resetter);
	bf_loop_free(w->loop);
	free(w);
	return 0;
}
#endif
