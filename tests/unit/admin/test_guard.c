/* The guard's checks on headers: each way to hide a second request, the secret, and where a request may come from. */
#include <sys/queue.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <event2/keyvalq_struct.h>
#include "backfill/base.h"
#include "guard.h"

/* Headers from "Name: value\nName: value"; the name is everything before ": ". */
static void headers_init(struct evkeyvalq *headers, const char *text)
{
	TAILQ_INIT(headers);
	while (*text != '\0') {
		size_t len = strcspn(text, "\n");
		char *line = bf_xmalloc(len + 1);
		char *colon;

		memcpy(line, text, len);
		line[len] = '\0';
		colon = strstr(line, ": ");
		assert_non_null(colon);
		*colon = '\0';
		assert_int_equal(evhttp_add_header(headers, line, colon + 2), 0);
		free(line);
		text += len;
		text += *text == '\n';
	}
}

/* What the framing check says of headers. */
static const char *framing(const char *text, enum evhttp_cmd_type method, const char *uri_host, bool *ret_close)
{
	struct evkeyvalq headers;
	const char *problem;

	headers_init(&headers, text);
	problem = guard_framing(&headers, method, uri_host, ret_close);
	evhttp_clear_headers(&headers);
	return problem;
}

/* Ordinary requests pass and keep their connection. */
static void test_framing_good(void **state)
{
	static const char *const good[] = {
		"Host: localhost", "host: 127.0.0.1:8787", "HOST: [::1]:8787", "Host: admin.example.org",
		"Host: a\nContent-Length: 0", "Host: a\ncontent-length: 12\nX-Cron-Secret: x\ty",
		"Host: a\nX-Forwarded-For: 10.0.0.1, 10.0.0.2\nAccept: */*",
	};
	bool close;

	(void)state;
	for (size_t i = 0; i < BF_COUNT(good); i++) {
		const char *problem = framing(good[i], EVHTTP_REQ_POST, NULL, &close);

		if (problem != NULL || close)
			fail_msg("%s: %s", good[i], problem != NULL ? problem : "closed");
	}
}

/* Each ambiguity about where a request ends, or whose it is, is refused. */
static void test_framing_bad(void **state)
{
	static const char *const bad[] = {
		"Accept: */*", "Host: a\nHost: a", "Host: a\nhost: b", "Host: ", "Host: a b", "Host: a/b", "Host: a@b",
		"Host: a:b", "Host: a:123456", "Host: [::1", "Host: []", "Host: [::1]x", "Host: [g]", "Host: a,b",
		"Host: a\nContent-Length: 5\nContent-Length: 5", "Host: a\nContent-Length: 0\ncontent-length: 5",
		"Host: a\nContent-Length: +0", "Host: a\nContent-Length: -1", "Host: a\nContent-Length: 0x5",
		"Host: a\nContent-Length: 5, 5", "Host: a\nContent-Length: 5 ", "Host: a\nContent-Length: ",
		"Host: a\nContent-Length : 5", "Host: a\nX Y: 5", "Host: a\n: 5", "Host: a\nX\x80: 5", "Host: a\nX(: 5",
		"Host: a\nTransfer-Encoding: gzip, chunked", "Host: a\nTransfer-Encoding: identity",
		"Host: a\nTransfer-Encoding: ", "Host: a\nTransfer-Encoding: chunked, chunked",
		"Host: a\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked",
		"Host: a\nTransfer-Encoding: chunked\nContent-Length: 5", "Host: a\nX: a\x01z", "Host: a\nX: a\x7f",
	};
	bool close;

	(void)state;
	for (size_t i = 0; i < BF_COUNT(bad); i++) {
		if (framing(bad[i], EVHTTP_REQ_POST, NULL, &close) == NULL)
			fail_msg("passed: %s", bad[i]);
	}
}

/* Where evhttp may read a body otherwise than others do, nothing more is read from the connection. */
static void test_framing_close(void **state)
{
	bool close;

	(void)state;
	assert_null(framing("Host: a\nTransfer-Encoding: Chunked", EVHTTP_REQ_POST, NULL, &close));
	assert_true(close);
	assert_null(framing("Host: a\nContent-Length: 5", EVHTTP_REQ_GET, NULL, &close));
	assert_true(close);
	assert_null(framing("Host: a\nContent-Length: 5", EVHTTP_REQ_DELETE, NULL, &close));
	assert_true(close);
	assert_null(framing("Host: a\nContent-Length: 00", EVHTTP_REQ_HEAD, NULL, &close));
	assert_false(close);
	assert_null(framing("Host: a\nContent-Length: 5", EVHTTP_REQ_PATCH, NULL, &close));
	assert_false(close);
}

/* A target in absolute form must name the host of the header. */
static void test_absolute_form(void **state)
{
	bool close;

	(void)state;
	assert_null(framing("Host: a:8787", EVHTTP_REQ_GET, "A", &close));
	assert_null(framing("Host: [::1]:8787", EVHTTP_REQ_GET, "::1", &close));
	assert_null(framing("Host: [::1]:8787", EVHTTP_REQ_GET, "[::1]", &close));
	assert_non_null(framing("Host: a", EVHTTP_REQ_GET, "evil", &close));
	assert_non_null(framing("Host: ab", EVHTTP_REQ_GET, "a", &close));
	assert_non_null(framing("Host: a", EVHTTP_REQ_GET, "ab", &close));
	assert_non_null(framing("Host: a", EVHTTP_REQ_GET, "", &close));
}

/* Whether headers hold the secret "correct horse". */
static bool secret(const char *text, const char *wanted)
{
	struct evkeyvalq headers;
	bool ok;

	headers_init(&headers, text);
	ok = guard_secret(&headers, wanted);
	evhttp_clear_headers(&headers);
	return ok;
}

/* One right secret opens; none, a wrong, an empty, a longer, a doubled one, or an unset secret of ours, does not. */
static void test_secret(void **state)
{
	(void)state;
	assert_true(secret("X-Cron-Secret: correct horse", "correct horse"));
	assert_true(secret("x-cron-secret: correct horse", "correct horse"));
	assert_false(secret("Host: a", "correct horse"));
	assert_false(secret("X-Cron-Secret: ", "correct horse"));
	assert_false(secret("X-Cron-Secret: correct hors", "correct horse"));
	assert_false(secret("X-Cron-Secret: correct horse ", "correct horse"));
	assert_false(secret("X-Cron-Secret: Correct horse", "correct horse"));
	assert_false(secret("X-Cron-Secret: correct horse\nX-Cron-Secret: correct horse", "correct horse"));
	assert_false(secret("X-Cron-Secret: wrong\nX-Cron-Secret: correct horse", "correct horse"));
	assert_false(secret("X-Cron-Secret: correct horse\nx-cron-secret: wrong", "correct horse"));
	assert_false(secret("X-Cron-Secret: ", ""));
	assert_false(secret("X-Cron-Secret: ", NULL));
}

/* A browser's Origin must be the host that was asked; a script has none. */
static void test_origin(void **state)
{
	static const struct { const char *headers; bool same; } rows[] = {
		{ "Host: a", true },
		{ "Host: a:8787\nOrigin: http://a:8787", true },
		{ "Host: a\nOrigin: https://A", true },
		{ "Host: [::1]:1\nOrigin: http://[::1]:1", true },
		{ "Host: a\nOrigin: http://evil", false },
		{ "Host: a\nOrigin: http://a.evil", false },
		{ "Host: a\nOrigin: null", false },
		{ "Host: a\nOrigin: ", false },
		{ "Host: a\nOrigin: a", false },
		{ "Host: a\nOrigin: ftp://a", false },
		{ "Host: a\nOrigin: http://a\nOrigin: http://evil", false },
		{ "Host: a\nSec-Fetch-Site: same-origin", true },
		{ "Host: a\nSec-Fetch-Site: none", true },
		{ "Host: a\nSec-Fetch-Site: cross-site", false },
		{ "Host: a\nOrigin: http://a\nSec-Fetch-Site: same-site", false },
		{ "Host: a\nSec-Fetch-Site: ", false },
		{ "Host: a\nSec-Fetch-Site: none\nSec-Fetch-Site: none", false },
	};

	(void)state;
	for (size_t i = 0; i < BF_COUNT(rows); i++) {
		struct evkeyvalq headers;

		headers_init(&headers, rows[i].headers);
		if (guard_same_origin(&headers) != rows[i].same)
			fail_msg("%s", rows[i].headers);
		evhttp_clear_headers(&headers);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_framing_good), cmocka_unit_test(test_framing_bad),
		cmocka_unit_test(test_framing_close), cmocka_unit_test(test_absolute_form),
		cmocka_unit_test(test_secret), cmocka_unit_test(test_origin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
