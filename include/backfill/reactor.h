/*
 * reactor: the one loop. Timers, signals, deferred work, loop lag; an HTTP client (curl multi through its socket
 * interface, names resolved by c-ares); PostgreSQL sessions (libpq, asynchronous, pipelined). Knows no book.
 *
 * Every completion has one shape and is called exactly once, from the loop, never inside the call that started it. The
 * reply and the error are borrowed until it returns. After bf_op_cancel() the completion never comes.
 */
#ifndef BACKFILL_REACTOR_H
#define BACKFILL_REACTOR_H
#include <libpq-fe.h>
#include "backfill/base.h"

struct event_base;
struct bf_loop;
/* A request in flight. Who offers a starter embeds one in the struct of his request and sets `cancel`, which frees the
 * request so that its completion never comes. The handle ends with the completion or the cancelling, whichever is first. */
struct bf_op { void (*cancel)(struct bf_op *); };
void bf_op_cancel(struct bf_op *);		/* NULL is fine */
/* The struct that embeds `ptr` as its `member`. */
#define bf_container_of(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

/* ---- loop ---- */
struct bf_loop *bf_loop_new(void);
void bf_loop_free(struct bf_loop *);
int  bf_loop_run(struct bf_loop *);		/* until bf_loop_stop; 0, or -1 when the loop itself broke */
void bf_loop_stop(struct bf_loop *);
struct event_base *bf_loop_base(struct bf_loop *);	/* for evhttp */
typedef void bf_loop_fn(void *ctx);
void bf_loop_defer(struct bf_loop *, bf_loop_fn *, void *ctx);	/* after this turn, in order */
struct bf_op *bf_timer_start(struct bf_loop *, int64_t after_ms, bf_loop_fn *, void *ctx);	/* one shot */
struct bf_op *bf_signal_watch(struct bf_loop *, int signo, bf_loop_fn *, void *ctx);	/* until cancelled */
/* Lag of the loop: how much later than asked timers fire and how long turns last; no timer of its own when idle. */
#define BF_LAG_BUCKETS 12
extern const double bf_lag_bounds_s[BF_LAG_BUCKETS];	/* upper bounds; the last is +Inf */
struct bf_lag { uint64_t count[BF_LAG_BUCKETS], n; double sum_s, max_s; };
void bf_loop_lag(const struct bf_loop *, struct bf_lag *ret);

/* ---- the service manager: systemd's readiness protocol, sd_notify(3). Without $NOTIFY_SOCKET nothing is sent; never blocks ---- */
struct bf_notify;
struct bf_notify *bf_notify_new(struct bf_loop *);	/* reads the environment, once */
void bf_notify_free(struct bf_notify *);	/* NULL is fine */
bool bf_notify_wanted(const struct bf_notify *);	/* somebody listens */
void bf_notify_ready(struct bf_notify *);	/* started, or reloaded; the first one begins the watchdog's pings, if it is on */
void bf_notify_reloading(struct bf_notify *);	/* until the next ready */
void bf_notify_stopping(struct bf_notify *, int64_t at_most_ms);	/* which lengthens the unit's TimeoutStopSec if need be */
/* One line for `systemctl status`; cut at 256 bytes, sent when it changed and the last one is 3.5 s old or was of another state. */
void bf_notify_status(struct bf_notify *, const char *text);

/* ---- HTTP client ---- */
struct bf_http;
struct bf_http_header { const char *name, *value; };
struct bf_http_request {			/* copied by bf_http_start */
	const char *method;			/* "GET", "POST" */
	const char *url;			/* never logged: may hold a key */
	const char *label;			/* what errors call it: "isbndb search" */
	const struct bf_http_header *headers;
	size_t      n_headers;
	const char *body;			/* NULL: none */
	size_t      body_len;
	const char *user_agent;
	const char *proxy;			/* NULL or "": none; the environment is not read */
	int64_t     timeout_ms, connect_timeout_ms;	/* of the whole request, redirects included */
	size_t      max_body;			/* decompressed bytes */
	int         max_redirects;		/* 0: none followed; https only, or to the same loopback host */
	bool        fresh_connection;		/* on a connection of its own: curl may send twice on a kept one that died */
};
struct bf_http_reply {
	int         status;
	const char *body;			/* NUL-terminated */
	size_t      body_len;
	int64_t     retry_after_ms;		/* -1: the header was absent; capped at 24 h */
	const char *content_type;		/* "" when absent */
	uint64_t    elapsed_us;
};
/* err: RETRY (connect, reset, timeout, DNS), PERMANENT (too big, bad URL, TLS refused), CANCELLED at shutdown.
 * Any complete HTTP answer, 5xx too, is a reply. */
typedef void bf_http_done(void *ctx, const struct bf_error *err, const struct bf_http_reply *reply);
struct bf_http *bf_http_new(struct bf_loop *);
void bf_http_free(struct bf_http *);		/* ops in flight end CANCELLED first */
struct bf_op *bf_http_start(struct bf_http *, const struct bf_http_request *, bf_http_done *, void *ctx);
/* Refuses plain http to hosts that are not loopback or private, and malformed URLs; for configuration and redirects. */
bool bf_http_url_allowed(const char *url, struct bf_error *err);
int  bf_http_open_connections(const struct bf_http *);

/* ---- PostgreSQL ---- */
struct bf_pg_stmt { const char *name, *sql; int n_params; };	/* static storage; prepared on first use per session */
/* One statement of a batch. Parameters are text (NULL is SQL NULL), copied. */
struct bf_pg_call { const struct bf_pg_stmt *stmt; const char *const *params; };
typedef void bf_pg_done(void *ctx, const struct bf_error *err, PGresult *const *results, int n_results);
typedef void bf_pg_notify(void *ctx, const char *channel, const char *payload);
typedef void bf_pg_state(void *ctx, bool up, const struct bf_error *why);

struct bf_pg;			/* a pool of one or more equal sessions that reconnect by themselves */
struct bf_pg_config {
	const char *conninfo;			/* libpq string or URI; several hosts; names resolved by c-ares */
	const char *application_name;
	int         sessions;
	int64_t     statement_timeout_ms;	/* SET after connecting */
	int64_t     lock_timeout_ms;		/* likewise; 0: what the server has */
	int64_t     connect_timeout_ms;		/* per attempt over all hosts */
	bool        keepalive;			/* tight keepalives, and ended by the server when idle for 10 s: the lock session */
	bf_pg_state *on_state;			/* a session came up / the last one went down; sessions == 1: each change */
	bf_pg_notify *on_notify;		/* needs bf_pg_listen */
	void       *ctx;
};
struct bf_pg *bf_pg_new(struct bf_loop *, const struct bf_pg_config *);
void bf_pg_free(struct bf_pg *);
bool bf_pg_is_up(const struct bf_pg *);		/* a writable primary answers on some session */
void bf_pg_listen(struct bf_pg *, const char *channel);	/* again after each reconnect */
void bf_pg_unlisten(struct bf_pg *, const char *channel);
/* All calls of a batch go in one pipeline up to one SYNC: one transaction, all or nothing. The first error fails the
 * batch. err RETRY: never sent, or the connection broke, deadlock, serialization, too many connections, shutdown, read-only:
 * it may or may not have been committed. results[i] belongs to calls[i]. Waits for a session at most queue_ms, then RETRY. */
struct bf_op *bf_pg_batch(struct bf_pg *, const struct bf_pg_call *, int n, bf_pg_done *, void *ctx);
struct bf_op *bf_pg_query(struct bf_pg *, const struct bf_pg_stmt *, const char *const *params, bf_pg_done *, void *ctx);
/* Several commands in one simple-protocol string, for migrations; a session of its own is recommended. */
struct bf_op *bf_pg_script(struct bf_pg *, const char *sql, bf_pg_done *, void *ctx);
#define BF_PG_LATENCY_BUCKETS 12
extern const double bf_pg_latency_bounds_s[BF_PG_LATENCY_BUCKETS];
struct bf_pg_stats { uint64_t statements, errors, reconnects, count[BF_PG_LATENCY_BUCKETS]; double sum_s; int open, wanted; };
void bf_pg_stats(const struct bf_pg *, struct bf_pg_stats *ret);
#endif
