/* log: what a line looks like, that nothing foreign can forge one, and that stderr never blocks. */
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "backfill/base.h"

static int saved_stderr = -1;

/* Puts fd in the place of stderr. */
static void redirect(int fd)
{
	saved_stderr = dup(STDERR_FILENO);
	assert_true(saved_stderr >= 0);
	assert_true(dup2(fd, STDERR_FILENO) >= 0);
}

/* Puts stderr back. */
static void restore(void)
{
	assert_true(dup2(saved_stderr, STDERR_FILENO) >= 0);
	close(saved_stderr);
	bf_log_setup(BF_INFO, false);
}

/* Writes one line to a file and returns it without its time and newline. */
static const char *line_of(bool json, const char *msg, const struct bf_kv *kv)
{
	static char text[65536];
	char path[] = "/tmp/bf-log-XXXXXX";
	int fd = mkstemp(path);
	ssize_t n;
	char *rest;

	assert_true(fd >= 0);
	unlink(path);
	redirect(fd);
	bf_log_setup(BF_INFO, json);
	bf_log_write(BF_INFO, msg, kv);
	restore();
	n = pread(fd, text, sizeof(text) - 1, 0);
	close(fd);
	assert_true(n > 0);
	text[n] = '\0';
	assert_int_equal(text[n - 1], '\n');
	text[n - 1] = '\0';
	assert_null(strchr(text, '\n'));
	rest = strstr(text, json ? "\"level\"" : "level=");
	assert_non_null(rest);
	/* {"ts":"2026-01-14T00:00:00.000Z",  or  ts=2026-01-14T00:00:00.000Z and a blank */
	assert_int_equal(rest - text, json ? 33 : 28);
	return rest;
}

/* Plain and quoted values, numbers, absent ones. */
static void test_logfmt(void **state)
{
	const struct bf_kv kv[] = {
		BF_I("year", 2024),	  BF_S("stage", "saving"), BF_S("title", "two words"),
		BF_S("none", NULL),	  BF_S("empty", ""),	   BF_D("rate", 92.31),
		BF_D("nan", (double)NAN), BF_S("eq", "a=b"),	   { .key = NULL }
	};

	(void)state;
	assert_string_equal(line_of(false, "month claimed", kv),
			    "level=info msg=\"month claimed\" year=2024 stage=saving title=\"two words\" empty=\"\" "
			    "rate=92.31 nan=null eq=\"a=b\"");
}

/* The same as JSON, which reads back. */
static void test_json(void **state)
{
	const struct bf_kv kv[] = { BF_I("year", 2024),
				    BF_S("title", "a \"b\"\n\xff"),
				    BF_D("rate", 92.31),
				    BF_D("nan", (double)NAN),
				    { .key = NULL } };

	(void)state;
	assert_string_equal(
		line_of(true, "m", kv),
		"\"level\":\"info\",\"msg\":\"m\",\"year\":2024,"
		"\"title\":\"a \\\"b\\\"\\n\xef\xbf\xbd\",\"rate\":92.31,\"nan\":null}");
}

/* Control characters of both ranges, line ends of Unicode, direction marks, broken bytes, quotes. */
static void test_escapes(void **state)
{
	static const struct { const char *in, *out; } table[] = {
		{ "a\nlevel=error", "\"a\\nlevel=error\"" }, { "a\r\tb", "\"a\\r\\tb\"" }, { "\x1b[31m", "\"\\x1b[31m\"" },
		{ "say \"x\"", "\"say \\\"x\\\"\"" }, { "a\\b", "\"a\\\\b\"" }, { "\x7f", "\"\\x7f\"" },
		{ "\xc2\x9b" "31m", "\"\\xc2\\x9b31m\"" }, { "\xe2\x80\xa8", "\"\\xe2\\x80\\xa8\"" },
		{ "\xe2\x80\xae", "\"\\xe2\\x80\\xae\"" }, { "\xe2\x81\xa6", "\"\\xe2\\x81\\xa6\"" },
		{ "caf\xc3\xa9", "\"caf\xc3\xa9\"" }, { "\xff", "\"\\xff\"" }, { "\xe2\x82", "\"\\xe2\\x82\"" },
		{ "\xe2\x82\xac", "\"\xe2\x82\xac\"" },
	};

	(void)state;
	for (size_t i = 0; i < BF_COUNT(table); i++) {
		const struct bf_kv kv[] = { BF_S("k", table[i].in), { .key = NULL } };
		const char *line = line_of(false, "m", kv);

		assert_non_null(strstr(line, " k="));
		assert_string_equal(strstr(line, " k=") + 3, table[i].out);
	}
}

/* An error brings its class, and what it has of status and SQLSTATE. */
static void test_error(void **state)
{
	struct bf_error err;
	const struct bf_kv kv[] = { BF_E(&err),
				    { .key = "error", .kind = BF_KV_ERR, .v.e = NULL },
				    { .key = NULL } };

	(void)state;
	bf_error_set(&err, BF_ERR_RETRY, "isbndb: 503");
	assert_string_equal(line_of(false, "m", kv),
			    "level=info msg=m error=\"isbndb: 503\" error_class=retry");
	err.http = 503;
	memcpy(err.sqlstate, "40001", 6);
	assert_string_equal(line_of(false, "m", kv),
			    "level=info msg=m error=\"isbndb: 503\" error_class=retry http=503 sqlstate=40001");
}

/* A long value is cut, and with many of them the line ends whole, in both forms. */
static void test_long_values(void **state)
{
	struct bf_kv kv[20];
	struct bf_error err;
	char value[5000], *whole;
	struct bf_json *j;
	const char *line;

	(void)state;
	memset(value, 'x', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	for (int i = 0; i < 19; i++)
		kv[i] = (struct bf_kv)BF_S("k", value);
	kv[19] = (struct bf_kv){ .key = NULL };
	line = line_of(false, "m", kv);
	assert_true(strlen(line) < 16384);
	assert_non_null(strstr(line, "x [cut]\""));
	assert_int_equal(line[strlen(line) - 1], '"');
	line = line_of(true, "m", kv);
	assert_true(strlen(line) < 16384);
	whole = bf_xasprintf("{%s", line);
	j = bf_json_parse(whole, strlen(whole), NULL, false, &err);
	assert_non_null(j);
	bf_json_free(j);
	free(whole);
}

/* Lines below the level do not appear. */
static void test_level(void **state)
{
	char path[] = "/tmp/bf-log-XXXXXX", text[1000];
	int fd = mkstemp(path);
	ssize_t n;

	(void)state;
	assert_true(fd >= 0);
	unlink(path);
	redirect(fd);
	bf_log_setup(BF_WARN, false);
	bf_log(BF_INFO, "not this", BF_I("a", 1));
	bf_log(BF_WARN, "but this", BF_I("a", 1));
	restore();
	n = pread(fd, text, sizeof(text) - 1, 0);
	close(fd);
	assert_true(n > 0);
	text[n] = '\0';
	assert_null(strstr(text, "not this"));
	assert_non_null(strstr(text, "but this"));
}

/* Fills a stderr that nobody reads; then reads it, and looks that whole lines came, in order, and that the
 * number of those missing is told. */
static void fill_and_read(int read_end, int write_end)
{
	enum { LINES = 8000 };
	static char text[4 << 20];
	uint64_t before = bf_log_dropped(), dropped, seen = 0;
	long long last = -1;
	char pad[101];
	size_t len = 0;

	memset(pad, 'x', 100);
	pad[100] = '\0';
	redirect(write_end);
	close(write_end);
	bf_log_setup(BF_INFO, false);
	for (int i = 0; i < LINES; i++)
		bf_log(BF_INFO, "line", BF_I("n", i), BF_S("pad", pad));
	dropped = bf_log_dropped() - before;
	assert_true(dropped > 0);
	assert_true(bf_log_flush() > 0);
	fcntl(read_end, F_SETFL, O_NONBLOCK);
	for (ssize_t got = 1; got > 0 || bf_log_flush() > 0; ) {
		got = read(read_end, text + len, sizeof(text) - 1 - len);
		if (got > 0)
			len += (size_t)got;
	}
	for (ssize_t got; (got = read(read_end, text + len, sizeof(text) - 1 - len)) > 0; )
		len += (size_t)got;
	restore();
	close(read_end);
	text[len] = '\0';
	for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
		const char *n = strstr(line, " n="), *x = strstr(line, " pad=");

		assert_int_equal(strncmp(line, "ts=", 3), 0);
		if (!n || n > end)
			continue;	/* the line that tells of the others */
		assert_true(strtoll(n + 3, NULL, 10) > last);
		last = strtoll(n + 3, NULL, 10);
		assert_ptr_equal(x + 5 + strspn(x + 5, "x"), end);
		assert_int_equal(end - x, 105);
		seen++;
	}
	assert_int_equal(seen + dropped, LINES);
	assert_non_null(strstr(text, "lines dropped"));
}

/* A full pipe stops nothing; what it misses is counted, and no line is halved. */
static void test_pipe_nobody_reads(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	fill_and_read(fds[0], fds[1]);
}

/* The same for a socket, which is what stderr is under systemd. */
static void test_socket_nobody_reads(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	fill_and_read(fds[0], fds[1]);
}

/* The file description that we share with others is not made non-blocking. */
static void test_shared_description_is_left_alone(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	redirect(fds[1]);
	bf_log_setup(BF_INFO, false);
	bf_log(BF_INFO, "line", BF_I("n", 1));
	restore();
	assert_int_equal(fcntl(fds[1], F_GETFL) & O_NONBLOCK, 0);
	close(fds[0]);
	close(fds[1]);
}

/* A reader that went away, and a stderr that is closed, cost lines but not the process. */
static void test_reader_gone(void **state)
{
	uint64_t before = bf_log_dropped();
	int fds[2], status;
	pid_t pid = fork();

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0) {
		if (pipe(fds) < 0 || dup2(fds[1], STDERR_FILENO) < 0)
			_exit(2);
		close(fds[0]);
		close(fds[1]);
		bf_log_setup(BF_INFO, false);
		bf_log(BF_INFO, "line", BF_I("n", 1));
		close(STDERR_FILENO);
		bf_log_setup(BF_INFO, false);
		bf_log(BF_INFO, "line", BF_I("n", 2));
		_exit(bf_log_dropped() == before + 2 && bf_log_flush() == 0 ? 0 : 3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_logfmt), cmocka_unit_test(test_json), cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_error), cmocka_unit_test(test_long_values), cmocka_unit_test(test_level),
		cmocka_unit_test(test_pipe_nobody_reads), cmocka_unit_test(test_socket_nobody_reads),
		cmocka_unit_test(test_shared_description_is_left_alone), cmocka_unit_test(test_reader_gone)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
