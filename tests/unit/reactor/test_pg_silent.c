/*
 * A connection that something in the middle has forgotten: bytes are acknowledged and go nowhere.
 * Between the pool and the server is a relay on the same loop that does this on demand.
 */
#include <errno.h>
#include <netinet/in.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include "pg_world.h"

STMT(one, "SELECT 1", 0);
STMT(sleep_s, "SELECT pg_sleep($1::float8)", 1);
STMT(my_pid, "SELECT pg_backend_pid()", 0);
STMT(lock, "SELECT pg_try_advisory_lock(77)", 0);

enum { PAIRS_MAX = 64 };

struct relay {
	struct event_base *base;
	struct evconnlistener *listener;
	struct sockaddr_in server;
	int port, n;
	struct pair {
		struct bufferevent *client, *server;
		bool forgotten;
	} pairs[PAIRS_MAX];
};

/* What came goes on, unless the connection is forgotten. */
static void pass(struct bufferevent *from, void *ctx)
{
	struct pair *p = ctx;
	struct evbuffer *in = bufferevent_get_input(from);

	if (p->forgotten)
		evbuffer_drain(in, evbuffer_get_length(in));
	else
		bufferevent_write_buffer(from == p->client ? p->server : p->client, in);
}

/* An end that is over is not told to the other. */
static void ended(struct bufferevent *from, short what, void *ctx)
{
	(void)ctx;
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		bufferevent_disable(from, EV_READ | EV_WRITE);
}

static void start_end(struct bufferevent *bev, struct pair *p)
{
	bufferevent_setcb(bev, pass, NULL, ended, p);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
}

static void on_client(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from,
		      int len, void *ctx)
{
	struct relay *r = ctx;
	struct pair *p = &r->pairs[r->n++];

	(void)listener;
	(void)from;
	(void)len;
	assert_in_range(r->n, 1, PAIRS_MAX);
	p->client = bufferevent_socket_new(r->base, fd, BEV_OPT_CLOSE_ON_FREE);
	p->server = bufferevent_socket_new(r->base, -1, BEV_OPT_CLOSE_ON_FREE);
	start_end(p->server, p);
	assert_int_equal(bufferevent_socket_connect(p->server, (struct sockaddr *)&r->server,
						    sizeof(r->server)), 0);
	start_end(p->client, p);
}

/* Puts the relay before the database of the tests; false when that is not on 127.0.0.1. */
static bool relay_open(struct relay *r, struct world *w)
{
	struct sockaddr_in here = { .sin_family = AF_INET };
	socklen_t len = sizeof(here);
	char port[16] = "5432", rest[512] = "";
	PQconninfoOption *options = PQconninfoParse(getenv("BF_TEST_CONNINFO"), NULL);

	assert_non_null(options);
	for (PQconninfoOption *o = options; o->keyword; o++) {
		if (o->val && !strcmp(o->keyword, "port"))
			snprintf(port, sizeof(port), "%s", o->val);
		else if (o->val && strcmp(o->keyword, "host") && strcmp(o->keyword, "hostaddr"))
			snprintf(rest + strlen(rest), sizeof(rest) - strlen(rest), " %s='%s'",
				 o->keyword, o->val);
		else if (o->val && !strcmp(o->keyword, "host") && o->val[0] == '/')
			return PQconninfoFree(options), false;
	}
	PQconninfoFree(options);
	memset(r, 0, sizeof(*r));
	r->base = bf_loop_base(w->loop);
	here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	r->server = here;
	r->server.sin_port = htons((uint16_t)strtol(port, NULL, 10));
	r->listener = evconnlistener_new_bind(r->base, on_client, r,
					      LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 16,
					      (struct sockaddr *)&here, sizeof(here));
	assert_non_null(r->listener);
	assert_int_equal(getsockname(evconnlistener_get_fd(r->listener), (struct sockaddr *)&here,
				     &len), 0);
	snprintf(w->conninfo, sizeof(w->conninfo), "host=127.0.0.1 port=%d%s", ntohs(here.sin_port),
		 rest);
	return true;
}

static void relay_forget(struct relay *r)
{
	for (int i = 0; i < r->n; i++)
		r->pairs[i].forgotten = true;
}

static void relay_close(struct relay *r)
{
	evconnlistener_free(r->listener);
	for (int i = 0; i < r->n; i++) {
		bufferevent_free(r->pairs[i].client);
		bufferevent_free(r->pairs[i].server);
	}
}

/* A pool behind a relay that stays reachable for new connections. */
static struct world *behind_relay(void **state, struct relay *r, int sessions)
{
	struct world *w = *state;
	struct bf_pg_config config;

	if (!*w->conninfo || !relay_open(r, w))
		skip();
	config = config_for(w, sessions);	/* its patience with a silent server: 65 s */
	open_pool(w, &config);
	return w;
}

/* A forgotten session ends with RETRY because nobody works for it, and the next one works. */
static void forgotten_is_found(void **state)
{
	struct relay r;
	struct world *w = behind_relay(state, &r, 1);
	char pid[64];

	query(w, &my_pid, NULL);
	snprintf(pid, sizeof(pid), "%s", w->value);
	query(w, &lock, NULL);
	relay_forget(&r);
	query(w, &one, NULL);
	assert_int_equal(w->err.class, BF_ERR_RETRY);
	assert_non_null(strstr(w->err.text, "not at work"));
	assert_int_equal(w->down, 1);
	query(w, &my_pid, NULL);
	assert_int_equal(w->err.class, BF_ERR_NONE);
	assert_string_not_equal(w->value, pid);
	bf_pg_free(w->pg);
	w->pg = NULL;
	relay_close(&r);
}

/* The idle ones that came the same way go with it: nobody has to find out about each in turn. */
static void idle_ones_go_too(void **state)
{
	struct relay r;
	struct world *w = behind_relay(state, &r, 3);

	relay_forget(&r);
	query(w, &one, NULL);
	assert_int_equal(w->err.class, BF_ERR_RETRY);
	w->wait_up = w->up + 3;
	harness_run(w->loop);
	w->wait_up = 0;
	assert_int_equal(r.n, 3 + 1 + 3);	/* the sessions, the question, the sessions again */
	for (int i = 0; i < 3; i++)
		bf_pg_query(w->pg, &one, NULL, on_done, w);
	await(w, 3);
	assert_int_equal(w->err.class, BF_ERR_NONE);
	assert_string_equal(w->order, "!,1,1,1,");
	bf_pg_free(w->pg);
	w->pg = NULL;
	relay_close(&r);
}

/* A statement that takes long on a living server is asked about, twice, and left alone; so are idle sessions. */
static void long_statement_lives(void **state)
{
	struct relay r;
	struct world *w = behind_relay(state, &r, 2);

	query(w, &sleep_s, "11.5");
	assert_int_equal(w->err.class, BF_ERR_NONE);
	assert_int_equal(r.n, 2 + 2);		/* the sessions, the questions */
	assert_int_equal(w->down, 0);
	bf_pg_free(w->pg);
	w->pg = NULL;
	relay_close(&r);
}

/* A server that waits for the rest of what was sent is not at work for it: half a batch went astray. */
static void half_a_batch_is_found(void **state)
{
	struct relay r;
	struct world *w = behind_relay(state, &r, 1);
	/* a Parse message of the wire protocol; the server answers it when a Sync comes */
	static const char parse[] = "P\0\0\0\020\0SELECT 1\0\0";

	query(w, &one, NULL);
	bufferevent_write(r.pairs[0].server, parse, sizeof(parse));
	harness_wait(w->loop, 50);
	relay_forget(&r);
	query(w, &one, NULL);
	assert_int_equal(w->err.class, BF_ERR_RETRY);
	assert_non_null(strstr(w->err.text, "not at work"));
	bf_pg_free(w->pg);
	w->pg = NULL;
	relay_close(&r);
}

/* The pool may go while the server is being asked. */
static void pool_goes_meanwhile(void **state)
{
	struct relay r;
	struct world *w = behind_relay(state, &r, 2);
	const char *const slow[] = { "60" };

	bf_pg_query(w->pg, &sleep_s, slow, on_done, w);
	w->wait_done = 100;
	while (r.n == 2)
		harness_wait(w->loop, 1);
	bf_pg_free(w->pg);
	w->pg = NULL;
	assert_int_equal(w->err.class, BF_ERR_CANCELLED);
	relay_close(&r);
}

#define SILENT(f) cmocka_unit_test_setup_teardown(f, world_up, world_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SILENT(forgotten_is_found), SILENT(idle_ones_go_too), SILENT(long_statement_lives),
		SILENT(half_a_batch_is_found), SILENT(pool_goes_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
