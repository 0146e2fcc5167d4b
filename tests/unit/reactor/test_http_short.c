/*
 * The n-th allocation of libcurl fails, for every n on the way of a request: it ends once, with an
 * answer or an error, and the next request is served as if nothing had been. curl is given an
 * allocator of our own, which is what curl_global_init_mem() is for.
 */
#include <curl/curl.h>
#include "http_world.h"

static long countdown;		/* the allocation that reaches 0 fails; below 0: none does */
static bool failed;

CURLcode __wrap_curl_global_init(long flags);

static bool refuses(void)
{
	if (countdown <= 0 || --countdown > 0)
		return false;
	failed = true;
	return true;
}

static void *try_malloc(size_t size)
{
	return refuses() ? NULL : malloc(size);
}

static void *try_calloc(size_t n, size_t size)
{
	return refuses() ? NULL : calloc(n, size);
}

static void *try_realloc(void *old, size_t size)
{
	return refuses() ? NULL : realloc(old, size);
}

static char *try_strdup(const char *s)
{
	return refuses() ? NULL : strdup(s);
}

CURLcode __wrap_curl_global_init(long flags)
{
	return curl_global_init_mem(flags, try_malloc, free, try_realloc, try_strdup, try_calloc);
}

static void on_done(void *ctx, const struct bf_error *err, const struct bf_http_reply *reply)
{
	struct world *w = ctx;

	memset(&w->err, 0, sizeof(w->err));
	if (err)
		w->err = *err;
	w->status = reply ? reply->status : 0;
	w->done++;
	bf_loop_stop(w->loop);
}

static void ask(struct world *w, const char *path, const char *body)
{
	const struct bf_http_header headers[] = { { "X-Key", "k" } };
	char url[128];
	struct bf_http_request r = {
		.method = body ? "POST" : "GET", .url = url, .headers = headers, .n_headers = 1,
		.body = body, .body_len = body ? strlen(body) : 0, .max_body = 4096,
		.timeout_ms = 5000, .connect_timeout_ms = 5000, .max_redirects = 2,
		.user_agent = "tester"
	};
	int before = w->done;

	snprintf(url, sizeof(url), "http://localhost:%d%s", w->a.port, path);
	bf_http_start(w->http, &r, on_done, w);
	harness_run(w->loop);
	assert_int_equal(w->done, before + 1);
}

/* Every n of a request, on a fresh client and on one with a connection; what comes after is served. */
static void every_allocation(struct world *w, const char *path, const char *body, bool fresh)
{
	long n = 0;

	do {
		if (fresh) {
			bf_http_free(w->http);
			w->http = bf_http_new(w->loop);
			assert_non_null(w->http);
		}
		failed = false;
		countdown = ++n;
		ask(w, path, body);
		countdown = 0;
		if (w->err.class == BF_ERR_NONE)
			assert_int_equal(w->status, 200);
		ask(w, "/ok", NULL);
		if (w->err.class != BF_ERR_NONE)
			fail_msg("after allocation %ld: %s", n, w->err.text);
		assert_int_equal(w->status, 200);
	} while (failed);
	assert_true(n > 3);
}

static void get_fresh(void **state)
{
	every_allocation(*state, "/ok", NULL, true);
}

static void get_again(void **state)
{
	every_allocation(*state, "/once", NULL, false);
}

static void post_fresh(void **state)
{
	every_allocation(*state, "/ok", "body", true);
}

static void compressed(void **state)
{
	every_allocation(*state, "/gzip", NULL, false);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_up, world_down)

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(get_fresh), TEST(get_again), TEST(post_fresh), TEST(compressed) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
