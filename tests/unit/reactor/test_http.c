/* The HTTP client against small servers on loopback, in the same loop. */
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

static void copy_header(struct evhttp_request *req, const char *name, char *ret, size_t size)
{
	const char *value = evhttp_find_header(evhttp_request_get_input_headers(req), name);

	snprintf(ret, size, "%s", value ? value : "-");
}

static void remember(struct server *s, struct evhttp_request *req)
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
static void add_bomb(struct evbuffer *out, int matches)
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

static void answer_gzip(struct evhttp_request *req, struct evbuffer *out, bool bomb)
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

static void answer_redirect(struct evhttp_request *req, int status, const char *where)
{
	char location[128];

	snprintf(location, sizeof(location), "%s", where);
	evhttp_add_header(evhttp_request_get_output_headers(req), "Location", location);
	evhttp_send_reply(req, status, "Moved", NULL);
}

static void answer_big_header(struct evhttp_request *req)
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
static void answer_cross(struct server *s, struct evhttp_request *req, const char *path)
{
	char where[128];

	snprintf(where, sizeof(where), "http://127.0.0.1:%d%s", s->world->b.port, path + 6);
	answer_redirect(req, (int)strtol(path + 3, NULL, 10), where);
}

static void serve(struct evhttp_request *req, void *ctx)
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

static int server_up(struct world *w, struct server *s)
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
static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int len,
		      void *ctx)
{
	struct linger linger = { .l_onoff = 1 };

	(void)l;
	(void)sa;
	(void)len;
	(void)ctx;
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	evutil_closesocket(fd);
}

static int resetter_up(struct world *w)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);

	w->resetter =
		evconnlistener_new_bind(bf_loop_base(w->loop), on_accept, w, LEV_OPT_CLOSE_ON_FREE,
					8, (struct sockaddr *)&in, sizeof(in));
	if (!w->resetter ||
	    getsockname(evconnlistener_get_fd(w->resetter), (struct sockaddr *)&in, &len) != 0)
		return -1;
	w->reset_port = ntohs(in.sin_port);
	return 0;
}

static int world_up(void **state)
{
	struct world *w = bf_xcalloc(1, sizeof(*w));

	*state = w;
	w->loop = bf_loop_new();
	w->http = bf_http_new(w->loop);
	return server_up(w, &w->a) || server_up(w, &w->b) || resetter_up(w) ? -1 : 0;
}

static int world_down(void **state)
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

/* ---- asking ---- */

static void on_done(void *ctx, const struct bf_error *err, const struct bf_http_reply *reply)
{
	struct world *w = ctx;

	w->done++;
	assert_true((err == NULL) != (reply == NULL));
	memset(&w->err, 0, sizeof(w->err));
	w->status = 0;
	if (err) {
		w->err = *err;
	} else {
		w->status = reply->status;
		w->body_len = reply->body_len;
		assert_true(w->body_len < sizeof(w->body));
		memcpy(w->body, reply->body, w->body_len + 1);
		w->retry_after_ms = reply->retry_after_ms;
		snprintf(w->type, sizeof(w->type), "%s", reply->content_type);
	}
	if (!w->keep_running)
		bf_loop_stop(w->loop);
}

static const struct bf_http_header secret[] = { { "X-Key", "sesame" }, { "Accept", "text/plain" } };

/* A request that a test then changes; the URL is copied by bf_http_start(). */
static struct bf_http_request request(struct world *w, const char *path)
{
	static char url[256];

	snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", w->a.port, path);
	return (struct bf_http_request){ .method = "GET",
					 .url = url,
					 .label = "test",
					 .user_agent = "tester/1",
					 .headers = secret,
					 .n_headers = 2,
					 .timeout_ms = 20000,
					 .connect_timeout_ms = 5000,
					 .max_body = 1 << 20 };
}

static void ask(struct world *w, const struct bf_http_request *request)
{
	int before = w->done;

	assert_non_null(bf_http_start(w->http, request, on_done, w));
	assert_int_equal(w->done, before);		/* never inside the call */
	harness_run(w->loop);
	assert_int_equal(w->done, before + 1);
}

static void get(struct world *w, const char *path)
{
	struct bf_http_request r = request(w, path);

	ask(w, &r);
}

/* ---- tests ---- */

/*
 * A plain answer comes whole, with status, type and no Retry-After; our headers went out, Expect
 * did not.
 */
static void plain_answer(void **state)
{
	struct world *w = *state;

	get(w, "/ok");
	assert_int_equal(w->status, 200);
	assert_string_equal(w->body, "hello");
	assert_int_equal(w->body_len, 5);
	assert_string_equal(w->type, "text/x-test; charset=utf-8");
	assert_int_equal(w->retry_after_ms, -1);
	assert_string_equal(w->a.key, "sesame");
	assert_string_equal(w->a.agent, "tester/1");
	assert_string_equal(w->a.method, "GET");
	assert_non_null(strstr(w->a.encoding, "gzip"));
}

/* A POST carries its body, of any size, and no Expect header. */
static void post_has_its_body(void **state)
{
	struct world *w = *state;
	struct bf_http_request r = request(w, "/ok");
	static char body[300000];

	memset(body, 'p', sizeof(body));
	r.method = "POST";
	r.body = body;
	r.body_len = sizeof(body);
	ask(w, &r);
	assert_int_equal(w->status, 200);
	assert_string_equal(w->a.method, "POST");
	assert_memory_equal(w->a.body, body, 63);
	assert_string_equal(w->a.expect, "-");
}

/* A 500 is an answer, not an error. */
static void a_500_is_a_reply(void **state)
{
	struct world *w = *state;

	get(w, "/500");
	assert_int_equal(w->status, 500);
	assert_string_equal(w->body, "broken");
}

/* A server that never answers: RETRY at the deadline. */
static void stall_times_out(void **state)
{
	struct world *w = *state;
	struct bf_http_request r = request(w, "/stall");

	r.timeout_ms = 150;
	ask(w, &r);
	assert_int_equal(w->err.class, BF_ERR_RETRY);
	assert_non_null(strstr(w->err.text, "150 ms"));
	assert_null(strstr(w->err.text, "/stall"));
	assert_int_equal(bf_http_open_connections(w->http), 0);
}

/* One byte more than max_body is PERMANENT, exactly max_body is fine. */
static void size_is_capped(void **state)
{
	struct world *w = *state;
	struct bf_http_request r = request(w, "/big");

	r.max_body = BIG;
	ask(w, &r);
	assert_int_equal(w->status, 200);
	assert_int_equal(w->body_len, BIG);
	r.max_body = BIG - 1;
	ask(w, &r);
	assert_int_equal(w->err.class, BF_ERR_PERMANENT);
	assert_non_null(strstr(w->err.text, "larger"));
}

/* A compressed answer arrives decompressed. */
static void gzip_is_decoded(void **state)
{
	struct world *w = *state;

	get(w, "/gzip");
	assert_int_equal(w->status, 200);
	assert_string_equal(w->body, "hello gzip");
}

/* 10 MB out of 65 KB: the cap counts what comes out. */
static void gzip_bomb_is_capped(void **state)
{
	struct world *w = *state;

	get(w, "/bomb");
	assert_int_equal(w->err.class, BF_ERR_PERMANENT);
	assert_non_null(strstr(w->err.text, "larger"));
}

/* More than 64 KiB of header lines: PERMANENT. */
static void header_is_capped(void **state)
{
	struct world *w = *state;

	get(w, "/headers");
	assert_int_equal(w->err.class, BF_ERR_PERMANENT);
	assert_non_null(strstr(w->err.text, "header"));
}

/* Retry-After: seconds, a date in the past, nonsense and a far future (RFC 9110, 10.2.3). */
static void retry_after(void **state)
{
	struct world *w = *state;
	char path[80];
	time_t in_90_s = time(NULL) + 90;
	struct tm tm;

	get(w, "/retry/7");
	assert_int_equal(w->status, 429);
	assert_int_equal(w->retry_after_ms, 7000);
	get(w, "/retry/0");
	assert_int_equal(w->retry_after_ms, 0);
	get(w, "/retry/999999999");
	assert_int_equal(w->retry_after_ms, 24 * 3600 * 1000);
	get(w, "/retry/Wed,%2021%20Oct%202015%2007:28:00%20GMT");
	assert_int_equal(w->retry_after_ms, 0);
	strftime(path, sizeof(path), "/retry/%a,%%20%d%%20%b%%20%Y%%20%H:%M:%S%%20GMT",
		 gmtime_r(&in_90_s, &tm));
	get(w, path);
	assert_in_range(w->retry_after_ms, 60000, 90000);
}

/* Without max_redirects a 302 is an answer like any other. */
static void redirects_off(void **state)
{
	struct world *w = *state;

	get(w, "/loop");
	assert_int_equal(w->status, 302);
	assert_int_equal(w->a.requests, 1);
}

/* A redirect at the same origin is followed, with the headers. */
static void redirect_same_origin(void **state)
{
	struct world *w = *state;
	struct bf_http_request r = request(w, "/once");

	r.max_redirects = 1;
	ask(w, &r);
	assert_int_equal(w->status, 200);
	assert_string_equal(w->body, "hello");
	assert_string_equal(w->a.key, "sesame");
	assert_int_equal(w->a.requests, 2);
}

/* A loop ends after max_redirects, PERMANENT. */
static void redirect_loop_ends(void **state)
{
	struct world *w = *state;
	struct bf_http_request r = request(w, "/loop");

	r.max_redirects = 3;
	ask(w, &r);
	assert_int_equal(w->err.class, BF_ERR_PERMANENT);
	assert_int_equal(w->a.requests, 4);
}

/* Plain http to another host, even a private one, and other schemes: refused. */
static void redirect_foreign_refused(void **state)
{
	static const char *const paths[] = { "/foreign", "/file" };
	struct world *w = *state;

	for (size_t i = 0; i < BF_COUNT(paths); i++) {
		struct bf_http_request r = request(w, paths[i]);

		r.max_redirects = 3;
		ask(w, &r);
		assert_int_equal(w->err.class, BF_ERR_PERMANENT);
		assert_non_null(strstr(w->err.text, "redirected"));
		assert_int_equal(w->a.requests, (int)i + 1);
	}
}

/* The same loopback host on another port is followed, without the key. */
static void redirect_drops_the_key(void **state)
{
	struct world *w = *state;
	struct bf_http_request r = request(w, "/b/301/ok");

	r.max_redirects = 3;
	ask(w, &r);
	assert_int_equal(w->status, 200);
	assert_int_equal(w->b.requests, 1);
	assert_string_equal(w->a.key, "sesame");
	assert_string_equal(w->b.key, "-");
}

/* After 303 a POST becomes a GET; a 307 does not take a body to another origin. */
static void redirect_of_a_post(void **state)
{
	struct world *w = *state;
	struct bf_http_request r = request(w, "/b/303/ok");

	r.method = "POST";
	r.body = "secret words";
	r.body_len = 12;
	r.max_redirects = 3;
	ask(w, &r);
	assert_int_equal(w->status, 200);
	assert_string_equal(w->b.method, "GET");
	assert_string_equal(w->b.body, "");
	r.url = request(w, "/b/307/ok").url;
	ask(w, &r);
	assert_int_equal(w->err.class, BF_ERR_PERMANENT);
	assert_int_equal(w->b.requests, 1);
}

/* A refused and a reset connection: RETRY, without the URL in the text. */
static void connection_failures(void **state)
{
	struct world *w = *state;
	struct bf_http_request r = request(w, "/ok");
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%d/?key=sesame", w->reset_port);
	r.url = url;
	ask(w, &r);
	assert_int_equal(w->err.class, BF_ERR_RETRY);
	assert_null(strstr(w->err.text, "sesame"));
	evconnlistener_disable(w->resetter);
	snprintf(url, sizeof(url), "https://127.0.0.1:%d/?key=sesame", w->a.port);
	ask(w, &r);		/* not TLS at all */
	assert_int_equal(w->err.class, BF_ERR_RETRY);
	assert_null(strstr(w->err.text, "sesame"));
	r.url = "http://127.0.0.1:1/?key=sesame";
	ask(w, &r);
	assert_int_equal(w->err.class, BF_ERR_RETRY);
	assert_null(strstr(w->err.text, "sesame"));
}

/*
 * localhost is looked up without a resolver, also where only one of its addresses is listened on.
 */
static void localhost_by_name(void **state)
{
	struct world *w = *state;
	struct bf_http_request r = request(w, "/ok");
	char url[64];

	snprintf(url, sizeof(url), "http://localhost:%d/ok", w->a.port);
	r.url = url;
	ask(w, &r);
	assert_int_equal(w->status, 200);
}

/* What is wrong with a request is told by the completion: URL, header, proxy. */
static void bad_requests(void **state)
{
	static const struct bf_http_header split[] = { { "X-Key", "a\r\nX-Other: b" } };
	struct world *w = *state;
	struct bf_http_request r = request(w, "/ok");

	r.headers = split;
	r.n_headers = 1;
	ask(w, &r);
	assert_int_equal(w->err.class, BF_ERR_PERMANENT);
	r = request(w, "/ok");
	r.url = "http://example.org/";
	ask(w, &r);
	assert_int_equal(w->err.class, BF_ERR_PERMANENT);
	r = request(w, "/ok");
	r.proxy = "socks5://127.0.0.1:1";
	ask(w, &r);
	assert_int_equal(w->err.class, BF_ERR_CONFIG);
	assert_int_equal(w->a.requests, 0);
}

/* Proxies in the environment are not used; one that is configured is. */
static void only_the_configured_proxy(void **state)
{
	struct world *w = *state;
	struct bf_http_request r = request(w, "/ok");
	char proxy[64];

	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("all_proxy", "http://127.0.0.1:1", 1);
	ask(w, &r);
	assert_int_equal(w->status, 200);
	snprintf(proxy, sizeof(proxy), "http://localhost:%d", w->b.port);
	setenv("no_proxy", "127.0.0.1", 1);
	r.proxy = proxy;
	ask(w, &r);
	assert_string_equal(w->body, "proxied");
	unsetenv("http_proxy");
	unsetenv("all_proxy");
	unsetenv("no_proxy");
}

/* Requests one after the other share a connection. */
static void connections_are_reused(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 5; i++)
		get(w, "/ok");
	assert_int_equal(bf_http_open_connections(w->http), 1);
}

/*
 * A cancelled request never completes and its connection is gone; cancelling before the first turn
 * works as well.
 */
static void cancel_is_final(void **state)
{
	struct world *w = *state;
	struct bf_http_request r = request(w, "/stall");
	struct bf_op *op = bf_http_start(w->http, &r, on_done, w);

	harness_wait(w->loop, 60);
	assert_int_equal(w->a.requests, 1);
	bf_op_cancel(op);
	bf_op_cancel(bf_http_start(w->http, &r, on_done, w));
	harness_wait(w->loop, 60);
	assert_int_equal(w->done, 0);
	assert_int_equal(w->a.requests, 1);
	assert_int_equal(bf_http_open_connections(w->http), 0);
}

/* 60 requests at once all complete, none twice. */
static void many_at_once(void **state)
{
	struct world *w = *state;
	struct bf_http_request r = request(w, "/ok");

	w->keep_running = true;
	for (int i = 0; i < 60; i++)
		bf_http_start(w->http, &r, on_done, w);
	while (w->done < 60)
		harness_wait(w->loop, 20);
	harness_wait(w->loop, 20);
	assert_int_equal(w->done, 60);
	assert_int_equal(w->a.requests, 60);
	assert_true(bf_http_open_connections(w->http) <= 32);
}

static void on_cancelled(void *ctx, const struct bf_error *err, const struct bf_http_reply *reply)
{
	int *n = ctx;

	assert_null(reply);
	assert_int_equal(err->class, BF_ERR_CANCELLED);
	++*n;
}

/* Freeing the client ends what is in flight, CANCELLED, exactly once. */
static void free_cancels(void **state)
{
	struct world *w = *state;
	struct bf_http_request r = request(w, "/stall");
	int n = 0;

	bf_http_start(w->http, &r, on_cancelled, &n);
	harness_wait(w->loop, 50);
	bf_http_start(w->http, &r, on_cancelled, &n);
	bf_http_free(w->http);
	assert_int_equal(n, 2);
	w->http = bf_http_new(w->loop);
	harness_wait(w->loop, 10);
	assert_int_equal(n, 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_up, world_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(plain_answer), TEST(post_has_its_body), TEST(a_500_is_a_reply), TEST(stall_times_out),
		TEST(size_is_capped), TEST(gzip_is_decoded), TEST(gzip_bomb_is_capped), TEST(header_is_capped),
		TEST(retry_after), TEST(redirects_off), TEST(redirect_same_origin), TEST(redirect_loop_ends),
		TEST(redirect_foreign_refused), TEST(redirect_drops_the_key), TEST(redirect_of_a_post),
		TEST(connection_failures), TEST(localhost_by_name), TEST(bad_requests),
		TEST(only_the_configured_proxy), TEST(connections_are_reused), TEST(cancel_is_final),
		TEST(many_at_once), TEST(free_cancels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
