/* Which URLs may be asked. */
#include "harness.h"

struct row {
	const char *url;
	bool allowed;
};

static const struct row rows[] = {
	{ "https://example.org/", true },
	{ "https://example.org:8443/a?b=c", true },
	{ "https://10.0.0.1/", true },
	{ "https://[2001:db8::1]/", true },
	{ "http://localhost/", true },
	{ "http://LOCALHOST:8080/x", true },
	{ "http://127.0.0.1:1234/x", true },
	{ "http://127.9.9.9/", true },
	{ "http://[::1]:80/", true },
	{ "http://10.255.0.1/", true },
	{ "http://172.16.0.1/", true },
	{ "http://172.31.255.255/", true },
	{ "http://192.168.3.4/", true },
	{ "http://172.15.0.1/", false },
	{ "http://172.32.0.1/", false },
	{ "http://11.0.0.1/", false },
	{ "http://192.169.0.1/", false },
	{ "http://128.0.0.1/", false },
	{ "http://0.0.0.0/", false },
	{ "http://169.254.169.254/latest/meta-data", false },
	{ "http://[::2]/", false },
	{ "http://[::ffff:8.8.8.8]/", false },
	{ "http://[fe80::1]/", false },
	{ "http://example.org/", false },
	{ "http://localhost.example.org/", false },
	{ "http://127.0.0.1.example.org/", false },
	{ "http://10.example.org/", false },
	{ "https://user:password@example.org/", false },
	{ "http://user@localhost/", false },
	{ "http://127.0.0.1@example.org/", false },
	{ "ftp://localhost/", false },
	{ "file:///etc/passwd", false },
	{ "gopher://127.0.0.1/", false },
	{ "example.org", false },
	{ "//example.org/", false },
	{ "https://", false },
	{ "https:///path", false },
	{ "", false },
	{ "https://example.org/a b", false },
	{ "https://example.org/\r\nX: y", false },
	{ "https://ex\xc3\xa4mple.org/", false },
	{ "https://example.org:99999/", false },
	{ "https://example.org:port/", false },
};

/* Each row, and that a refusal is PERMANENT and does not repeat the URL. */
static void table(void **state)
{
	(void)state;
	for (size_t i = 0; i < BF_COUNT(rows); i++) {
		struct bf_error err = { .class = BF_ERR_NONE };
		bool allowed = bf_http_url_allowed(rows[i].url, &err);

		if (allowed != rows[i].allowed)
			fail_msg("%s: %s", rows[i].url, allowed ? "allowed" : err.text);
		if (!allowed) {
			assert_int_equal(err.class, BF_ERR_PERMANENT);
			assert_true(!*rows[i].url || !strstr(err.text, rows[i].url));
		}
		assert_int_equal(bf_http_url_allowed(rows[i].url, NULL), rows[i].allowed);
	}
}

/* A URL as long as a book is refused, one of 15 KiB is not. */
static void length(void **state)
{
	static char url[20000] = "https://example.org/?q=";
	size_t start = strlen(url);

	(void)state;
	memset(url + start, 'x', 15000);
	assert_true(bf_http_url_allowed(url, NULL));
	memset(url + start, 'x', 19000);
	assert_false(bf_http_url_allowed(url, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(table), cmocka_unit_test(length) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
