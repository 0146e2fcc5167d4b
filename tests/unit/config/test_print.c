/* print: the sample is conf/backfilld.ini, means the defaults, and the view shows no secret. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "backfill/config.h"

/* The sample as printed, allocated. */
static char *sample(size_t *len)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, len);

	assert_non_null(f);
	bf_config_print_sample(f);
	assert_int_equal(fclose(f), 0);
	return text;
}

/* conf/backfilld.ini is exactly what the table prints. */
static void test_sample_is_the_file(void **state)
{
	static char file[65536];
	FILE *f = fopen(SAMPLE_PATH, "r");
	size_t len, n;
	char *text;

	(void)state;
	assert_non_null(f);
	n = fread(file, 1, sizeof(file) - 1, f);
	fclose(f);
	text = sample(&len);
	if (n != len || memcmp(file, text, n) != 0)
		fail_msg("conf/backfilld.ini differs from the table of keys, which prints:\n%s",
			 text);
	free(text);
}

/* No line of the sample is too long to be read, or wider than a screen. */
static void test_sample_width(void **state)
{
	size_t len, width = 0;
	char *text = sample(&len);

	(void)state;
	for (size_t i = 0; i < len; i++) {
		width = text[i] == '\n' ? 0 : width + 1;
		assert_true(width <= 100);
	}
	free(text);
}

/* All values as "section.key=value" lines. */
static void collect(void *ctx, const char *section, const char *key, const char *value,
		    bool reloadable)
{
	bf_buf_addf(ctx, "%s.%s=%s%s\n", section, key, value, reloadable ? "" : " (restart)");
}

/* Loads a text and returns its view. */
static void view(const char *text, struct bf_buf *out)
{
	char path[] = "/tmp/bf-print-XXXXXX";
	struct bf_config_problems ps;
	struct bf_config *c;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	c = bf_config_load(path, NULL, &ps);
	unlink(path);
	if (!c)
		fail_msg("%d: %s", ps.v[0].line, ps.v[0].text);
	bf_buf_clear(out);
	bf_config_each(c, collect, out);
	bf_config_free(c);
}

/* With every key uncommented the sample means the same as an empty file. */
static void test_sample_means_the_defaults(void **state)
{
	struct bf_buf none, all;
	size_t len, n = 0;
	char *text = sample(&len), *out = bf_xmalloc(len + 1);

	(void)state;
	/* a commented key is a line `;word = ...`: take the semicolon off */
	for (size_t i = 0; i < len; i++)
		if (!(text[i] == ';' && (i == 0 || text[i - 1] == '\n') && text[i + 1] >= 'a' &&
		      text[i + 1] <= 'z'))
			out[n++] = text[i];
	out[n] = '\0';
	assert_true(n < len - 100);
	bf_buf_init(&none, 100000);
	bf_buf_init(&all, 100000);
	view("", &none);
	view(out, &all);
	assert_string_equal(all.data, none.data);
	bf_buf_release(&none);
	bf_buf_release(&all);
	free(text);
	free(out);
}

/* What is shown can be written back and means the same. */
static void test_view(void **state)
{
	struct bf_buf v;

	(void)state;
	bf_buf_init(&v, 100000);
	view("[daemon]\nlog_format = json\ninstance = me\n[scheduler]\nretry_base = 90s\ncatch_up = none\n"
	     "[provider.xai]\nrate = 30/m\n[resolution]\norder = wikidata, isbndb\n",
	     &v);
	assert_non_null(strstr(v.data, "daemon.log_format=json\n"));
	assert_non_null(strstr(v.data, "daemon.instance=me (restart)\n"));
	assert_non_null(strstr(v.data, "scheduler.retry_base=90s\n"));
	assert_non_null(strstr(v.data, "scheduler.catch_up=none\n"));
	assert_non_null(strstr(v.data, "admin.listen=127.0.0.1:8787 (restart)\n"));
	assert_non_null(strstr(v.data, "admin.max_body=64KiB\n"));
	assert_non_null(strstr(v.data, "provider.xai.rate=30/m\n"));
	assert_non_null(strstr(v.data, "resolution.order=wikidata, isbndb\n"));
	assert_non_null(strstr(v.data, "retention.api_usage=730d\n"));
	assert_null(strstr(v.data, "provider.isbndb.model"));
	bf_buf_release(&v);
}

/* Secrets are set or unset; a connection string loses its passwords in every form. */
static void test_view_has_no_secret(void **state)
{
	static const struct { const char *file, *shown; } table[] = {
		{ "host=h password=hunter2 user=u", "host=h user=u" }, { "host=h password = 'hunter2 \\' hunter2' user=u", "host=h user=u" },
		{ "sslpassword=hunter2 host=h", "host=h" }, { "postgresql://u:hunter2@h:1/db?a=b", "postgresql://u@h:1/db?a=b" },
		{ "postgres://h/db?user=u&password=hunter2&a=b", "postgres://h/db?user=u&a=b" },
		{ "postgresql://h/db?pass%77ord=hunter2", "postgresql://h/db" }, { "postgresql://u:hunter2/hunter2@h/db", "postgresql://u@h/db" },
		{ "postgresql://u:hunter2?hunter2@h/db", "postgresql://u@h/db" },
	};
	struct bf_buf v;

	(void)state;
	setenv("GEMINI_API_KEY", "hunter2", 1);
	bf_buf_init(&v, 100000);
	for (size_t i = 0; i < BF_COUNT(table); i++) {
		char path[] = "/tmp/bf-db-XXXXXX", text[100], expected[200];
		int fd = mkstemp(path);

		assert_true(fd >= 0);
		assert_true(write(fd, table[i].file, strlen(table[i].file)) > 0);
		close(fd);
		snprintf(text, sizeof(text), "[database]\nconninfo_file = %s\n", path);
		view(text, &v);
		unlink(path);
		assert_null(strstr(v.data, "hunter2"));
		snprintf(expected, sizeof(expected), "database.conninfo=%s (restart)\n",
			 table[i].shown);
		if (!strstr(v.data, expected))
			fail_msg("%s: %.200s", table[i].file, strstr(v.data, "database.conninfo"));
		assert_non_null(strstr(v.data, "provider.gemini.api_key=set\n"));
		assert_non_null(strstr(v.data, "provider.xai.api_key=unset\n"));
		assert_non_null(strstr(v.data, "admin.secret=set\n"));
	}
	bf_buf_release(&v);
	unsetenv("GEMINI_API_KEY");
}

static int setup(void **state)
{
	(void)state;
	unsetenv("GEMINI_API_KEY");
	unsetenv("XAI_API_KEY");
	setenv("ALEXANDRIA_WEBHOOK_SECRET", "from-the-environment", 1);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sample_is_the_file), cmocka_unit_test(test_sample_width),
		cmocka_unit_test(test_sample_means_the_defaults), cmocka_unit_test(test_view),
		cmocka_unit_test(test_view_has_no_secret)
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
