/* The stream of events and the audit over real sockets, with the database faked: who gets what, who has to go, what waits. */
#include <sys/socket.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <event2/event.h>
#include <event2/http.h>
#include "fakes.h"
#include "server.h"

#define SECRET "correct horse"
#define EVENTS "/api/internal/events"
#define TURNS  20000			/* of at most 1 ms each, before a test gives up */

static struct bf_loop *loop;
static struct bf_config config;
static struct bf_admin *admin;
static uint16_t port;
static char reply[1 << 20];		/* of the last client_read() */

static int setup(void **state)
{
	static char listen[] = "127.0.0.1:0", secret[] = SECRET;
	struct bf_admin_parts parts = { 0 };
	struct sockaddr_in address = { 0 };
	socklen_t len = sizeof(address);
	struct bf_error err;

	(void)state;
	fakes_reset();
	bf_log_setup(BF_ERROR, false);
	config.admin.listen = listen;
	config.admin.secret = secret;
	config.admin.max_body = 1000;
	parts.loop = loop = fakes_loop_new();
	parts.locks = (struct bf_pg *)(void *)&config;
	admin = bf_admin_new(&parts, &config, &err);
	assert_non_null(admin);
	admin->events.tick_ms = 5;
	assert_int_equal(getsockname(evhttp_bound_socket_get_fd(admin->bound), (struct sockaddr *)&address, &len), 0);
	port = ntohs(address.sin_port);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	bf_admin_free(admin);
	fakes_loop_free(loop);
	return 0;
}

static void turn(void)
{
	event_base_loop(bf_loop_base(loop), EVLOOP_NONBLOCK);
	poll(NULL, 0, 1);
}

/* Turns until it is so. */
#define UNTIL(what)                                             \
	do {                                                    \
		for (int i_ = 0; i_ < TURNS && !(what); i_++)   \
			turn();                                 \
		if (!(what))                                    \
			fail_msg("never: %s", #what);           \
	} while (0)

/* A client with a small window, that has sent a request. */
static int ask(const char *method, const char *path, const char *headers, const char *body)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), bytes = 4096;
	char text[2048];

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: localhost\r\nX-Cron-Secret: " SECRET "\r\n%s"
		 "Content-Length: %zu\r\n\r\n%s", method, path, headers, strlen(body), body);
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
	return fd;
}

static int follow(const char *path, const char *headers)
{
	int before = admin->events.n_readers, fd = ask("GET", path, headers, "");

	UNTIL(admin->events.n_readers == before + 1 && admin->n_pending == 0);
	return fd;
}

/* Hangs up, and waits until that was noticed: who comes next is counted from there. */
static void leave(int fd)
{
	int before = admin->events.n_readers;

	close(fd);
	UNTIL(admin->events.n_readers == before - 1);
}

/* Reads until the text is in what came since the connection began, or the connection ends ("" waits for the end). */
static void client_read(int fd, const char *words)
{
	size_t len = 0;

	for (int i = 0; i < TURNS; i++) {
		ssize_t n = recv(fd, reply + len, sizeof(reply) - 1 - len, MSG_DONTWAIT);

		if (n == 0)
			return;
		if (n > 0)
			len += (size_t)n;
		reply[len] = '\0';
		if (*words != '\0' && strstr(reply, words) != NULL)
			return;
		if (n < 0)
			turn();
	}
	fail_msg("\"%s\" not in: %.300s", words, reply);
}

static int count(const char *words)
{
	int n = 0;

	for (const char *at = reply; (at = strstr(at, words)) != NULL; at++)
		n++;
	return n;
}

/* New rows, as the database tells of them. */
static void happen(int64_t last)
{
	fakes.last_event = last;
	bf_admin_event(admin);
}

/* Two readers, one read for both; each gets only what is new, in the wire's form; a filter filters. */
static void test_live(void **state)
{
	int all, december, pages;

	(void)state;
	fakes.last_event = 40;
	fakes.event_bytes = 3;
	all = follow(EVENTS, "");
	december = follow(EVENTS "?year=2001&month=12", "");
	UNTIL(fakes.pages > 0 && admin->events.read_timer == NULL && admin->events.read_op == NULL);
	pages = fakes.pages;
	happen(60);
	client_read(all, "id: 60\nevent: moved\ndata: \"yyy\"\n\n");
	assert_int_equal(fakes.pages, pages + 1);
	assert_non_null(strstr(reply, "Content-Type: text/event-stream\r\n"));
	assert_non_null(strstr(reply, "Cache-Control: no-store\r\n"));
	assert_int_equal(count("event: moved"), 20);
	assert_null(strstr(reply, "id: 40\n"));
	for (int id = 41; id < 60; id++) {
		char here[32], next[32];

		snprintf(here, sizeof(here), "id: %d\n", id);
		snprintf(next, sizeof(next), "id: %d\n", id + 1);
		assert_true(strstr(reply, here) != NULL && strstr(reply, here) < strstr(reply, next));
	}
	client_read(december, "id: 59\n");
	assert_int_equal(count("event: moved"), 2);
	close(all);
	close(december);
}

/* It listens and reads while somebody reads, and rests before and afterwards. */
static void test_rest(void **state)
{
	int one, two;

	(void)state;
	happen(5);
	turn();
	assert_int_equal(fakes.asked + fakes.listening, 0);
	one = follow(EVENTS, "");
	two = follow(EVENTS, "");
	assert_int_equal(fakes.listening, 1);
	close(one);
	UNTIL(admin->events.n_readers == 1);
	assert_int_equal(fakes.listening, 1);
	close(two);
	UNTIL(admin->events.n_readers == 0);
	assert_int_equal(fakes.listening, 0);
	assert_null(admin->events.tick);
	assert_null(admin->events.read_timer);
	assert_null(admin->events.read_op);
}

/* What was missed comes by pages, each only when the one before is out; then what is new, and nothing twice. */
static void test_replay(void **state)
{
	int fd, pages;

	(void)state;
	fakes.last_event = 3000;
	fakes.event_bytes = 300;
	fd = follow(EVENTS, "Last-Event-ID: 1000\r\n");
	UNTIL(fakes.pages >= 2);
	for (int i = 0; i < 200; i++)
		turn();
	pages = fakes.pages;
	for (int i = 0; i < 200; i++)
		turn();
	assert_int_equal(fakes.pages, pages);		/* he reads nothing: no further page */
	assert_true(conns_unwritten(LIST_FIRST(&admin->conns.list)) <= EVENTS_OUTPUT_MAX);
	happen(3010);
	client_read(fd, "id: 3010\n");
	assert_int_equal(count("event: moved"), 2010);
	assert_null(strstr(reply, "id: 1000\n"));
	assert_null(strstr(reply, "gap"));
	close(fd);
}

/* Behind what was pruned, and ahead of what there is: a gap first. */
static void test_gap(void **state)
{
	int fd;

	(void)state;
	fakes.last_event = 20;
	fakes.pruned = 10;
	fd = follow(EVENTS, "Last-Event-ID: 9\r\n");
	client_read(fd, "id: 20\n");
	assert_true(strstr(reply, "event: gap\ndata: {\"after\":9,\"pruned\":10}\n\n") < strstr(reply, "id: 11\n"));
	leave(fd);
	fd = follow(EVENTS, "Last-Event-ID: 10\r\n");
	client_read(fd, "id: 20\n");
	assert_int_equal(count("gap"), 0);
	leave(fd);
	fd = follow(EVENTS "?last_event_id=9223372036854775807", "");
	client_read(fd, "id: 20\nevent: gap\ndata: {\"after\":9223372036854775807,\"pruned\":10}\n\n");
	happen(21);
	client_read(fd, "id: 21\n");
	close(fd);
}

/* A stopped reader is dropped when too much waits for him; the other one gets everything. */
static void test_too_much(void **state)
{
	int stopped, reads;

	(void)state;
	fakes.event_bytes = 1000;
	stopped = follow(EVENTS, "");
	reads = follow(EVENTS, "");
	for (int64_t last = 50; admin->events.dropped == 0 && last < 20000; last += 50) {
		char words[32];

		happen(last);
		snprintf(words, sizeof(words), "id: %lld\n", (long long)last);
		client_read(reads, words);
	}
	assert_int_equal(admin->events.dropped, 1);
	assert_int_equal(admin->events.n_readers, 1);
	UNTIL(admin->conns.live == 1);
	happen(fakes.last_event + 1);
	client_read(reads, "event: moved");
	close(stopped);
	close(reads);
}

/* One who takes nothing for long is dropped however little waits, and so is one who sends into the stream. */
static void test_stuck(void **state)
{
	static char junk[65536];
	int fd;

	(void)state;
	fakes.event_bytes = 30000;
	fakes.last_event = 7;
	admin->events.stall_ms = 50;
	fd = follow(EVENTS, "Last-Event-ID: 0\r\n");
	UNTIL(admin->events.dropped == 1);
	close(fd);
	admin->events.stall_ms = 30000;
	fakes.event_bytes = 1;
	fd = follow(EVENTS, "");
	for (int i = 0; i < TURNS && admin->events.dropped == 1; i++) {
		send(fd, junk, sizeof(junk), MSG_DONTWAIT | MSG_NOSIGNAL);
		turn();
	}
	assert_int_equal(admin->events.dropped, 2);
	UNTIL(admin->conns.live == 0);
	close(fd);
}

/* Heartbeats come while nothing happens, beyond the idleness that ends other connections. */
static void test_heartbeat(void **state)
{
	int fd;

	(void)state;
	evhttp_set_timeout(admin->http, 1);
	admin->events.heartbeat_ms = 60;
	fd = follow(EVENTS, "");
	for (int i = 0; i < 25; i++)
		client_read(fd, ":\n\n");
	assert_int_equal(admin->events.n_readers, 1);
	close(fd);
}

/* An error of the feed's costs nobody anything: the poll comes by again. One of a replay ends that stream. */
static void test_errors(void **state)
{
	int fd, pages;

	(void)state;
	admin->events.poll_ms = 20;
	bf_error_set(&fakes.page_error, BF_ERR_RETRY, "connection lost");
	fd = follow(EVENTS, "");
	happen(3);
	UNTIL(fakes.pages >= 2);
	pages = fakes.pages;
	fakes.database_up = false;
	for (int i = 0; i < 100; i++)
		turn();
	assert_true(fakes.pages <= pages + 1);		/* nothing is asked of a database that is away */
	fakes.database_up = true;
	fakes.page_error.class = BF_ERR_NONE;
	client_read(fd, "id: 3\n");
	close(fd);
	bf_error_set(&fakes.page_error, BF_ERR_RETRY, "connection lost");
	fd = ask("GET", EVENTS, "Last-Event-ID: 1\r\n", "");
	client_read(fd, "");
	assert_non_null(strstr(reply, "\r\n0\r\n\r\n"));
	close(fd);
	fakes.error = fakes.page_error;
	fd = ask("GET", EVENTS, "", "");
	client_read(fd, "503");
	close(fd);
	UNTIL(admin->events.n_readers == 0);
}

/* As many as may; a drain says bye to all, and nobody gets in any more. */
static void test_cap_and_drain(void **state)
{
	int fds[EVENTS_READERS_MAX], fd;

	(void)state;
	for (int i = 0; i < EVENTS_READERS_MAX; i++)
		fds[i] = follow(EVENTS, "");
	fd = ask("GET", EVENTS, "Connection: close\r\n", "");
	client_read(fd, "");
	assert_non_null(strstr(reply, "503"));
	assert_non_null(strstr(reply, "Retry-After: 5\r\n"));
	close(fd);
	bf_admin_drain(admin);
	assert_int_equal(admin->events.n_readers, 0);
	for (int i = 0; i < EVENTS_READERS_MAX; i++) {
		client_read(fds[i], "");
		assert_non_null(strstr(reply, "event: bye\ndata: {}\n\n"));
		assert_non_null(strstr(reply, "\r\n0\r\n\r\n"));
		close(fds[i]);
	}
	assert_int_equal(bf_admin_pending(admin), 0);
}

/* Freed with streams, and with requests that wait for the database. */
static void test_free_anytime(void **state)
{
	int one, two;

	(void)state;
	fakes.last_event = 100;
	one = follow(EVENTS, "");
	fakes.hold = true;
	two = ask("GET", EVENTS, "Last-Event-ID: 1\r\n", "");
	UNTIL(admin->events.n_readers == 2);
	close(one);
	close(two);
}

/* HEAD gets the header; what is no id is 400. */
static void test_requests(void **state)
{
	static const char *const bad[] = { "x", "-1", "1x", "9223372036854775808", "00000000000000000001" };
	char header[80];
	int fd = ask("HEAD", EVENTS, "", "");

	(void)state;
	client_read(fd, "");
	assert_non_null(strstr(reply, "200 OK"));
	assert_non_null(strstr(reply, "text/event-stream"));
	assert_string_equal(strstr(reply, "\r\n\r\n"), "\r\n\r\n");
	close(fd);
	for (size_t i = 0; i < BF_COUNT(bad); i++) {
		snprintf(header, sizeof(header), "Connection: close\r\nLast-Event-ID: %s\r\n", bad[i]);
		fd = ask("GET", EVENTS, header, "");
		client_read(fd, "");
		assert_non_null(strstr(reply, "{\"field\":\"Last-Event-ID\""));
		close(fd);
	}
	assert_int_equal(fakes.asked, 0);
}

static void post(const char *path, const char *headers, const char *body)
{
	int fd = ask("POST", path, headers, body);

	client_read(fd, "\r\n\r\n");
	close(fd);
}

/* A row for a call, with who and what; none for one that changes nothing or has no right to. */
static void test_audit(void **state)
{
	(void)state;
	post("/api/internal/pause", "X-Operator: Zo\xc3\xab\r\nUser-Agent: curl\r\n", "{\"note\":\"x\"}");
	UNTIL(fakes.audited == 1);
	assert_string_equal(fakes.audit_path, "/api/internal/pause");
	assert_string_equal(fakes.audit_operator, "Zo\xc3\xab");
	assert_string_equal(fakes.audit_agent, "curl");
	assert_string_equal(fakes.audit_body, "{\"note\":\"x\"}");
	assert_string_equal(fakes.audit_outcome, "ok");
	post("/api/internal/pause", "X-Operator: \xff\r\n", "{}");
	UNTIL(fakes.audited == 2);
	assert_int_equal(fakes.audit_status, 400);
	assert_string_equal(fakes.audit_operator, "(none)");
	assert_string_equal(fakes.audit_body, "(none)");
	assert_non_null(strstr(fakes.audit_outcome, "X-Operator"));
	close(ask("GET", "/api/internal/months", "", ""));
	post("/api/internal/pause", "X-Cron-Secret: twice\r\n", "{}");
	assert_non_null(strstr(reply, "401"));
	assert_int_equal(admin->refusals.total, 1);
	assert_int_equal(admin->audit.n_rows, 0);
}

/* Rows wait for the database; what it refuses is dropped and counted, and stops nothing. */
static void test_audit_waits(void **state)
{
	(void)state;
	bf_error_set(&fakes.audit_error, BF_ERR_BUG, "no such column");
	post("/api/internal/resume", "", "");
	UNTIL(admin->audit.dropped == 1);
	assert_int_equal(admin->audit.n_rows, 0);
	fakes.audit_error.class = BF_ERR_NONE;
	fakes.database_up = false;
	post("/api/internal/resume", "", "");
	assert_non_null(strstr(reply, "503"));
	assert_int_equal(admin->audit.n_rows, 1);
	assert_int_equal(fakes.audited, 0);
	fakes.database_up = true;
	bf_admin_drain(admin);		/* writes at once */
	UNTIL(bf_admin_pending(admin) == 0);
	assert_int_equal(fakes.audited, 1);
	assert_int_equal(fakes.audit_status, 503);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_live), TEST(test_rest), TEST(test_replay), TEST(test_gap), TEST(test_too_much), TEST(test_stuck),
		TEST(test_heartbeat), TEST(test_errors), TEST(test_cap_and_drain),
		TEST(test_free_anytime), TEST(test_requests),
		TEST(test_audit), TEST(test_audit_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
