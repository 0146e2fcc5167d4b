/* Losing the server and finding it again. */
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include "pg_world.h"

STMT(one, "SELECT 1", 0);
STMT(insert, "INSERT INTO bf_test_reactor VALUES ($1::int)", 1);
STMT(sleep_s, "SELECT pg_sleep($1::float8)", 1);
STMT(my_pid, "SELECT pg_backend_pid()", 0);
STMT(notify, "SELECT pg_notify('bf_test', $1)", 1);
STMT(read_only, "SET default_transaction_read_only = on", 0);

/* ---- losing and finding the server ---- */

/*
 * The server ends a backend: its batch is RETRY, both changes of state are told, and the session
 * comes back.
 */
static void backend_terminated(void **state)
{
	struct world *w = need_database(state);
	const char *const slow[] = { "20" };
	char pid[64];
	int up = w->up;

	query(w, &my_pid, NULL);
	snprintf(pid, sizeof(pid), "%s", w->value);
	bf_pg_query(w->pg, &sleep_s, slow, on_done, w);
	kill_backend(w, pid);
	w->order[0] = '\0';
	w->wait_done = w->done + 100;
	w->wait_up = up + 1;
	harness_run(w->loop);
	assert_non_null(strchr(w->order, '!'));
	assert_int_equal(w->down, 1);
	assert_string_equal(w->why.sqlstate, "");
	query(w, &my_pid, NULL);
	assert_string_not_equal(w->value, pid);
}

/* An idle session notices at once. */
static void idle_session_notices(void **state)
{
	struct world *w = need_database(state);

	query(w, &my_pid, NULL);
	kill_backend(w, w->value);
	w->wait_done = w->done + 100;
	w->wait_down = 1;
	harness_run(w->loop);
	assert_int_equal(w->down, 1);
	assert_int_equal(w->why.class, BF_ERR_RETRY);
	assert_false(bf_pg_is_up(w->pg));
	w->wait_down = 0;
	query(w, &one, NULL);		/* waits for the session, and gets it */
	assert_string_equal(w->value, "1");
}

/* Notifications arrive, on an idle session too, and again after a reconnect. */
static void notifications(void **state)
{
	struct world *w = need_database(state);

	bf_pg_listen(w->pg, "bf_test");
	query(w, &notify, "first");
	if (!w->notes) {
		w->wait_notes = 1;
		harness_run(w->loop);
	}
	assert_string_equal(w->channel, "bf_test");
	assert_string_equal(w->payload, "first");
	query(w, &my_pid, NULL);
	kill_backend(w, w->value);
	w->wait_done = w->done + 100;
	w->wait_up = w->up + 1;
	harness_run(w->loop);
	w->wait_up = 0;
	bf_pg_query(w->other, &notify, (const char *const[]){ "second" }, on_done, w);
	w->wait_notes = 2;
	harness_run(w->loop);
	assert_string_equal(w->payload, "second");
}

/* After an UNLISTEN nothing is told, also on the session that comes after; listening again is. */
static void listening_ends(void **state)
{
	struct world *w = need_database(state);

	bf_pg_listen(w->pg, "bf_other");
	bf_pg_listen(w->pg, "bf_test");
	bf_pg_unlisten(w->pg, "bf_test");
	bf_pg_unlisten(w->pg, "bf_test");
	query(w, &notify, "first");
	query(w, &my_pid, NULL);
	kill_backend(w, w->value);
	w->wait_done = w->done + 100;
	w->wait_up = w->up + 1;
	harness_run(w->loop);
	w->wait_up = 0;
	query(w, &notify, "second");
	query(w, &my_pid, NULL);
	assert_int_equal(w->notes, 0);
	bf_pg_listen(w->pg, "bf_test");
	query(w, &notify, "third");
	if (!w->notes) {
		w->wait_notes = 1;
		harness_run(w->loop);
	}
	assert_int_equal(w->notes, 1);
	assert_string_equal(w->payload, "third");
}

/*
 * Whoever finds itself on a read-only server leaves it: the batch is RETRY and the session connects
 * anew.
 */
static void read_only_is_left(void **state)
{
	struct world *w = need_database(state);
	int up = w->up;

	query(w, &read_only, NULL);
	query(w, &insert, "1");
	assert_string_equal(w->err.sqlstate, "25006");
	assert_int_equal(w->err.class, BF_ERR_RETRY);
	w->wait_up = up + 1;
	w->wait_done = w->done + 100;
	if (w->up == up)
		harness_run(w->loop);
	query(w, &insert, "1");
	assert_int_equal(w->err.class, BF_ERR_NONE);
}

/* A server that is read-only from the start is no server. */
static void read_only_from_the_start(void **state)
{
	struct world *w = need_database(state);
	struct bf_pg_config config = config_for(w, 1);

	bf_pg_free(w->pg);
	w->pg = NULL;
	snprintf(w->conninfo + strlen(w->conninfo), sizeof(w->conninfo) - strlen(w->conninfo),
		 " options='-c default_transaction_read_only=on'");
	w->pg = bf_pg_new(w->loop, &config);
	w->wait_down = 1;
	harness_run(w->loop);
	assert_non_null(strstr(w->why.text, "read-only"));
	assert_false(bf_pg_is_up(w->pg));
	bf_pg_free(w->pg);
	w->pg = NULL;
}

/* A database that is not UTF-8 is a CONFIG error that names the remedy. */
static void other_encoding(void **state)
{
	struct world *w = need_database(state);
	struct bf_pg_config config = config_for(w, 1);

	script(w, "DROP DATABASE IF EXISTS bf_test_ascii");
	script(w, "CREATE DATABASE bf_test_ascii TEMPLATE template0 "
	       "ENCODING 'SQL_ASCII' LOCALE 'C'");
	assert_int_equal(w->err.class, BF_ERR_NONE);
	snprintf(w->conninfo + strlen(w->conninfo), sizeof(w->conninfo) - strlen(w->conninfo),
		 " dbname=bf_test_ascii");
	w->other = w->pg;
	w->pg = bf_pg_new(w->loop, &config);
	w->wait_down = 1;
	harness_run(w->loop);
	assert_int_equal(w->why.class, BF_ERR_CONFIG);
	assert_non_null(strstr(w->why.text, "ENCODING 'UTF8'"));
	bf_pg_free(w->pg);
	w->pg = w->other;
	w->other = NULL;
	script(w, "DROP DATABASE bf_test_ascii");
}

/* A role that does not exist is a CONFIG error with its SQLSTATE. */
static void unknown_role(void **state)
{
	struct world *w = need_database(state);
	struct bf_pg_config config = config_for(w, 1);

	bf_pg_free(w->pg);
	snprintf(w->conninfo + strlen(w->conninfo), sizeof(w->conninfo) - strlen(w->conninfo),
		 " user=bf_nobody");
	w->pg = bf_pg_new(w->loop, &config);
	w->wait_down = 1;
	harness_run(w->loop);
	assert_int_equal(w->why.class, BF_ERR_CONFIG);
	assert_string_equal(w->why.sqlstate, "28000");
	bf_pg_free(w->pg);
	w->pg = NULL;
}

/* Splits BF_TEST_CONNINFO's host and port off, to put other hosts before them. */
static void with_hosts(struct world *w, const char *host, int port)
{
	char *message = NULL, rest[512] = "", own_host[256] = "/var/run/postgresql",
	     own_port[16] = "5432";
	PQconninfoOption *options = PQconninfoParse(getenv("BF_TEST_CONNINFO"), &message);

	assert_non_null(options);
	for (PQconninfoOption *o = options; o->keyword; o++) {
		if (!o->val)
			continue;
		if (strcmp(o->keyword, "host") == 0)
			snprintf(own_host, sizeof(own_host), "%s", o->val);
		else if (strcmp(o->keyword, "port") == 0)
			snprintf(own_port, sizeof(own_port), "%s", o->val);
		else
			snprintf(rest + strlen(rest), sizeof(rest) - strlen(rest), " %s='%s'",
				 o->keyword, o->val);
	}
	PQconninfoFree(options);
	snprintf(w->conninfo, sizeof(w->conninfo), "host='%s,%s' port=%d,%s%s", host, own_host,
		 port, own_port, rest);
}

/* A listening socket that nobody serves. */
static int silent_port(int *fd)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t len = sizeof(in);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	*fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(*fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(*fd, 4), 0);
	assert_int_equal(getsockname(*fd, (struct sockaddr *)&in, &len), 0);
	return ntohs(in.sin_port);
}

/* Hosts that refuse, are not known by name, or say nothing, are passed over. */
static void dead_first_host(void **state)
{
	struct world *w = need_database(state);
	struct bf_pg_config config = config_for(w, 1);
	int fd, port = silent_port(&fd);

	bf_pg_free(w->pg);
	config.connect_timeout_ms = 1500;
	for (int i = 0; i < 3; i++) {
		with_hosts(w, i == 1 ? "localhost" : "127.0.0.1", i == 2 ? port : 1);
		open_pool(w, &config);
		query(w, &one, NULL);
		assert_string_equal(w->value, "1");
		bf_pg_free(w->pg);
		w->pg = NULL;
	}
	close(fd);
}

/* No server: down is told with the reason, and a batch gives up after 5 s with RETRY. */
static void no_server(void **state)
{
	struct world *w = *state;
	struct bf_pg_config config = config_for(w, 2);
	uint64_t began = bf_now_us();

	snprintf(w->conninfo, sizeof(w->conninfo),
		 "host=127.0.0.1 port=1 dbname=x password=sesame");
	w->pg = bf_pg_new(w->loop, &config);
	query(w, &one, NULL);
	assert_int_equal(w->err.class, BF_ERR_RETRY);
	assert_true(bf_now_us() - began >= 4900000);
	assert_int_equal(w->down, 1);
	assert_int_equal(w->up, 0);
	assert_int_equal(w->why.class, BF_ERR_RETRY);
	assert_null(strstr(w->why.text, "sesame"));
	w->conninfo[0] = '\0';
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(backend_terminated), TEST(idle_session_notices), TEST(notifications), TEST(listening_ends),
		TEST(read_only_is_left), TEST(read_only_from_the_start), TEST(other_encoding),
		TEST(unknown_role), TEST(dead_first_host),
		cmocka_unit_test_setup_teardown(no_server, world_up, world_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
