/*
 * One attempt to connect: each host of the list in turn, each of its addresses in turn, until one
 * is a writable primary with a UTF-8 database. libpq gets one address at a time, as hostaddr (it
 * would block on names; host goes with it for certificates), and a share of the time, so that a
 * host that swallows packets cannot use up the others'.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <event2/event.h>
#include "dns.h"
#include "pg.h"

enum {
	DEFAULT_TIMEOUT_MS = 10000,
	LEAST_SHARE_MS = 500
};

struct attempt {
	struct bf_op op;
	struct bf_loop *loop;
	struct conninfo info;
	connect_done *done;
	void *ctx;
	uint64_t give_up_us;
	int host;			/* index of the one being tried */
	struct dns_answer addrs;	/* of that host; n = 0: libpq finds the socket itself */
	int addr;
	PGconn *conn;
	struct event *event;
	struct bf_op *lookup, *timer;
	struct bf_error err;		/* why the last one was not it */
	bool over;
};

static void try_host(struct attempt *a);
static void try_address(struct attempt *a);

/* Lets go of the present try, not of its connection. */
static void let_go(struct attempt *a)
{
	bf_op_cancel(a->lookup);
	bf_op_cancel(a->timer);
	a->lookup = a->timer = NULL;
	if (a->event)
		event_free(a->event);	/* before the socket is closed */
	a->event = NULL;
}

static void attempt_free(void *attempt)
{
	struct attempt *a = attempt;

	conninfo_release(&a->info);
	free(a);
}

static void close_down(struct attempt *a)
{
	let_go(a);
	PQfinish(a->conn);
	a->conn = NULL;
	a->over = true;
	loop_free_later(a->loop, attempt_free, a);
}

static void cancel(struct bf_op *op)
{
	struct attempt *a = bf_container_of(op, struct attempt, op);

	if (!a->over)
		close_down(a);
}

static void give_up(struct attempt *a)
{
	close_down(a);
	a->done(a->ctx, &a->err, NULL);
}

static void next_address(struct attempt *a)
{
	let_go(a);
	PQfinish(a->conn);
	a->conn = NULL;
	if (++a->addr < a->addrs.n) {
		try_address(a);
	} else {
		a->host++;
		try_host(a);
	}
}

static void on_timeout(void *ctx)
{
	struct attempt *a = ctx;
	const struct conninfo_host *host = &a->info.hosts[a->host];

	a->timer = NULL;
	bf_error_set(&a->err, BF_ERR_RETRY, "connecting to %s port %s: no answer in time",
		     *host->host ? host->host : "the local socket", host->port);
	if (a->lookup)
		a->addrs.n = a->addr = 0;
	next_address(a);
}

/* The time that is left, divided among the addresses and hosts that are left. */
static void start_clock(struct attempt *a)
{
	uint64_t now = bf_now_us();
	int64_t left_ms = a->give_up_us > now ? (int64_t)((a->give_up_us - now) / 1000) : 0;
	int addrs = a->addrs.n > a->addr ? a->addrs.n - a->addr : 1;
	int tries = a->info.n_hosts - a->host - 1 + addrs;
	int64_t share_ms = left_ms / tries;

	bf_op_cancel(a->timer);
	a->timer = bf_timer_start(a->loop, share_ms > LEAST_SHARE_MS ? share_ms : LEAST_SHARE_MS,
				  on_timeout, a);
}

static void on_addresses(void *ctx, const struct bf_error *err, const struct dns_answer *answer)
{
	struct attempt *a = ctx;

	a->lookup = NULL;
	a->addr = 0;
	if (err) {
		a->err = *err;
		next_address(a);
	} else {
		a->addrs = *answer;
		try_address(a);
	}
}

static void try_host(struct attempt *a)
{
	const struct conninfo_host *host = &a->info.hosts[a->host];

	a->addrs.n = a->addr = 0;
	if (a->host == a->info.n_hosts) {
		give_up(a);
	} else if (host->by_name) {
		start_clock(a);
		a->lookup = dns_resolve(a->loop, host->host, on_addresses, a);
	} else {
		if (host->hostaddr && *host->hostaddr) {
			a->addrs.n = 1;
			snprintf(a->addrs.addr[0], sizeof(a->addrs.addr[0]), "%s", host->hostaddr);
		}
		try_address(a);
	}
}

/* Notices and warnings of the server, for whoever debugs. */
static void on_notice(void *ctx, const PGresult *result)
{
	const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

	(void)ctx;
	bf_log(BF_DEBUG, "postgres notice",
	       BF_S("severity", PQresultErrorField(result, PG_DIAG_SEVERITY)),
	       BF_S("text", text ? text : PQresultErrorMessage(result)));
}

static void refuse(struct attempt *a)
{
	pg_error_from_connection(&a->err, BF_ERR_RETRY, "connecting to the database", a->conn);
	next_address(a);
}

/* Connected: is it a database that we can work with? */
static void accept_connection(struct attempt *a)
{
	const char *encoding = PQparameterStatus(a->conn, "server_encoding");
	PGconn *conn = a->conn;

	if (!encoding || strcmp(encoding, "UTF8") != 0) {
		bf_error_set(&a->err, BF_ERR_CONFIG,
			     "the database's encoding is %s; it has to be made anew with "
			     "CREATE DATABASE ... TEMPLATE template0 ENCODING 'UTF8'",
			     encoding ? encoding : "unknown");
		next_address(a);
		return;
	}
	if (PQsetnonblocking(conn, 1) != 0) {
		refuse(a);
		return;
	}
	PQsetErrorVerbosity(conn, PQERRORS_DEFAULT);
	a->conn = NULL;
	close_down(a);
	a->done(a->ctx, NULL, conn);
}

static void on_ready(evutil_socket_t fd, short what, void *ctx);

/*
 * A new event each time: libpq may have opened another socket under the same number, which epoll
 * would not know.
 */
static void wait_for(struct attempt *a, short what)
{
	if (a->event)
		event_free(a->event);
	a->event = event_new(bf_loop_base(a->loop), PQsocket(a->conn), what, on_ready, a);
	if (!a->event || event_add(a->event, NULL) < 0) {
		bf_error_set(&a->err, BF_ERR_RETRY,
			     "connecting to the database: cannot wait for the socket");
		next_address(a);
	}
}

static void on_ready(evutil_socket_t fd, short what, void *ctx)
{
	struct attempt *a = ctx;

	(void)fd;
	(void)what;
	loop_mark(a->loop);
	switch (PQconnectPoll(a->conn)) {
	case PGRES_POLLING_READING:
		wait_for(a, EV_READ);
		break;
	case PGRES_POLLING_WRITING:
	case PGRES_POLLING_ACTIVE:
		wait_for(a, EV_WRITE);
		break;
	case PGRES_POLLING_OK:
		accept_connection(a);
		break;
	case PGRES_POLLING_FAILED:
		refuse(a);
		break;
	}
}

/* Hands libpq all settings with this one address. */
static PGconn *start_libpq(const struct attempt *a)
{
	const struct conninfo_host *host = &a->info.hosts[a->host];
	size_t n = (size_t)a->info.n;
	const char **keys = bf_xcalloc(n + 4, sizeof(*keys));
	const char **values = bf_xcalloc(n + 4, sizeof(*values));
	PGconn *conn;

	for (size_t i = 0; i < n; i++) {
		keys[i] = a->info.keys[i];
		values[i] = a->info.values[i];
	}
	keys[n] = "host";
	values[n] = host->host;
	keys[n + 1] = "hostaddr";
	values[n + 1] = a->addrs.n ? a->addrs.addr[a->addr] : "";
	keys[n + 2] = "port";
	values[n + 2] = host->port;
	conn = PQconnectStartParams(keys, values, 0);
	free(keys);
	free(values);
	return conn;
}

static void try_address(struct attempt *a)
{
	start_clock(a);
	a->conn = start_libpq(a);
	if (!a->conn || PQstatus(a->conn) == CONNECTION_BAD) {
		refuse(a);
		return;
	}
	/* the only way to see an SQLSTATE at this stage */
	PQsetErrorVerbosity(a->conn, PQERRORS_VERBOSE);
	PQsetNoticeReceiver(a->conn, on_notice, NULL);
	wait_for(a, EV_WRITE);
}

static void begin(void *ctx)
{
	struct attempt *a = ctx;

	a->timer = NULL;
	if (a->err.class == BF_ERR_NONE)
		try_host(a);
	else
		give_up(a);
}

struct bf_op *connect_start(struct bf_loop *loop, const struct bf_pg_config *config,
			    connect_done *done, void *ctx)
{
	struct attempt *a = bf_xcalloc(1, sizeof(*a));
	int64_t timeout_ms = config->connect_timeout_ms;

	if (timeout_ms <= 0)
		timeout_ms = DEFAULT_TIMEOUT_MS;
	a->op.cancel = cancel;
	a->loop = loop;
	a->done = done;
	a->ctx = ctx;
	a->give_up_us = bf_now_us() + (uint64_t)timeout_ms * 1000;
	if (conninfo_read(&a->info, config, &a->err))
		a->err.class = BF_ERR_NONE;
	a->timer = bf_timer_start(loop, 0, begin, a);
	return &a->op;
}
