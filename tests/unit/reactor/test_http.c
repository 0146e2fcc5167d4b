/* The HTTP client against small servers on loopback, in the same loop. */
#include "http_world.h"

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
	return (struct bf_http_request){
		.method = "GET", .url = url, .label = "test", .user_agent = "tester/1",
		.headers = secret, .n_headers = 2, .timeout_ms = 20000, .connect_timeout_ms = 5000,
		.max_body = 1 << 20
	};
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

/* An answer with two lengths that differ is none; the same one twice is fine. */
static void two_lengths(void **state)
{
	struct world *w = *state;

	get(w, "/lengths/4");
	assert_int_equal(w->err.class, BF_ERR_RETRY);
	assert_non_null(strstr(w->err.text, "two lengths"));
	get(w, "/lengths/5");
	assert_int_equal(w->status, 200);
	assert_string_equal(w->body, "hello");
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

	while (w->a.requests < 1)
		harness_wait(w->loop, 10);
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
		TEST(plain_answer), TEST(post_has_its_body), TEST(a_500_is_a_reply),
		TEST(stall_times_out), TEST(size_is_capped), TEST(gzip_is_decoded),
		TEST(gzip_bomb_is_capped), TEST(header_is_capped), TEST(two_lengths), TEST(retry_after),
		TEST(redirects_off), TEST(redirect_same_origin), TEST(redirect_loop_ends),
		TEST(redirect_foreign_refused), TEST(redirect_drops_the_key),
		TEST(redirect_of_a_post), TEST(connection_failures), TEST(localhost_by_name),
		TEST(bad_requests), TEST(only_the_configured_proxy), TEST(connections_are_reused),
		TEST(cancel_is_final), TEST(many_at_once), TEST(free_cancels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
