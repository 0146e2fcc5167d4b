/*
 * What the reactor does when a library has no memory, or a system call no descriptor: the calls are
 * wrapped by the linker, and the next one of a kind fails.
 */
#include <event2/event.h>
#include <curl/curl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "pg_world.h"

STMT(one, "SELECT 1", 0);
STMT(two, "SELECT 2", 0);
STMT(my_pid, "SELECT pg_backend_pid()", 0);

static int fail_config, fail_event_add, fail_global, fail_multi, fail_result, spoil_result;

/* True for the call that is to fail: the n-th from when it was ordered. */
static bool hits(int *n)
{
	return *n > 0 && --*n == 0;
}

struct event_config *__real_event_config_new(void);
struct event_config *__wrap_event_config_new(void);
int __real_event_add(struct event *, const struct timeval *);
int __wrap_event_add(struct event *, const struct timeval *);
CURLcode __real_curl_global_init(long);
CURLcode __wrap_curl_global_init(long);
CURLM *__real_curl_multi_init(void);
CURLM *__wrap_curl_multi_init(void);
PGresult *__real_PQgetResult(PGconn *);
PGresult *__wrap_PQgetResult(PGconn *);

struct event_config *__wrap_event_config_new(void)
{
	return hits(&fail_config) ? NULL : __real_event_config_new();
}

int __wrap_event_add(struct event *e, const struct timeval *tv)
{
	return hits(&fail_event_add) ? -1 : __real_event_add(e, tv);
}

CURLcode __wrap_curl_global_init(long flags)
{
	return hits(&fail_global) ? CURLE_FAILED_INIT : __real_curl_global_init(flags);
}

CURLM *__wrap_curl_multi_init(void)
{
	return hits(&fail_multi) ? NULL : __real_curl_multi_init();
}

PGresult *__wrap_PQgetResult(PGconn *conn)
{
	PGresult *result = __real_PQgetResult(conn);

	if (hits(&fail_result)) {
		PQclear(result);
		return NULL;
	}
	if (hits(&spoil_result)) {
		PQclear(result);
		return PQmakeEmptyPGresult(conn, PGRES_FATAL_ERROR);
	}
	return result;
}

/* Without libevent's configuration there is no loop, and nothing is left of it. */
static void no_loop(void **state)
{
	(void)state;
	fail_config = 1;
	assert_null(bf_loop_new());
}

/* Without curl there is no HTTP client, and nothing is left of it. */
static void no_http(void **state)
{
	struct bf_loop *loop = bf_loop_new();

	(void)state;
	fail_global = 1;
	assert_null(bf_http_new(loop));
	fail_multi = 1;
	assert_null(bf_http_new(loop));
	bf_loop_free(loop);
}

static void nothing(void *ctx)
{
	(void)ctx;
}

/* A timer that cannot be set ends the process with status 1 and a word, without its destructors. */
static void no_timer(void **state)
{
	char text[64] = "";
	int fds[2], status;
	pid_t child;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	child = fork();
	if (child == 0) {
		struct bf_loop *loop = bf_loop_new();

		dup2(fds[1], STDERR_FILENO);
		fail_event_add = 1;
		bf_timer_start(loop, 1, nothing, NULL);
		_exit(0);
	}
	close(fds[1]);
	assert_true(read(fds[0], text, sizeof(text) - 1) > 0);
	close(fds[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
	assert_string_equal(text, "backfill: out of memory\n");
}

/* More and more answers, so that there is something to read. */
static void poke(void *ctx)
{
	struct world *w = ctx;

	bf_pg_query(w->pg, &one, NULL, NULL, NULL);
	if (!w->err.class)
		bf_timer_start(w->loop, 10, poke, w);
}

/* A result that libpq lost is an error of its batch, never the result of its neighbour; the session is made anew. */
static void no_result(void **state)
{
	struct world *w = need_database(state);
	const struct bf_pg_call calls[] = { { &one, NULL }, { &two, NULL } };

	query(w, &one, NULL);
	query(w, &two, NULL);
	fail_result = 1;
	w->wait_done = w->done + 1;
	bf_pg_batch(w->pg, calls, 2, on_done, w);
	bf_timer_start(w->loop, 10, poke, w);
	harness_run(w->loop);
	assert_int_equal(w->err.class, BF_ERR_RETRY);
	assert_non_null(strstr(w->err.text, "was lost"));
	query(w, &one, NULL);
	assert_string_equal(w->value, "1");
}

/* libpq had no memory for a result: what the server did nobody knows, so the session, with whatever it holds, ends. */
static void no_memory_for_a_result(void **state)
{
	struct world *w = need_database(state);
	char pid[64];

	query(w, &my_pid, NULL);
	snprintf(pid, sizeof(pid), "%s", w->value);
	spoil_result = 1;
	query(w, &my_pid, NULL);
	assert_int_equal(w->err.class, BF_ERR_RETRY);
	query(w, &my_pid, NULL);
	assert_int_equal(w->err.class, BF_ERR_NONE);
	assert_string_not_equal(w->value, pid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_loop),
		cmocka_unit_test(no_http),
		cmocka_unit_test(no_timer),
		TEST(no_result),
		TEST(no_memory_for_a_result),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
