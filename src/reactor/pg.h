/*
 * Private to the PostgreSQL sessions.
 *
 *   pg.c           the pool: which session a batch goes to, the queue, what the user is told
 *   pg_batch.c     one batch: its parameters, its place among the results, its outcome
 *   pg_pipeline.c  what goes over a session: prepared statements, pipeline, results
 *   pg_session.c   the life of a session: events, watchdog, reconnecting
 *   pg_probe.c     is the server at work for a session that is silent?
 *   pg_connect.c   one attempt to connect, host by host
 *   pg_conninfo.c  what a connection string says, with environment and service file behind it
 *   pg_error.c     SQLSTATE to error class
 */
#ifndef BACKFILL_REACTOR_PG_H
#define BACKFILL_REACTOR_PG_H
#include <sys/queue.h>
#include "loop.h"

struct event;

enum {
	PG_HOSTS_MAX = 16,
	PG_PIPELINE_MAX = 16,		/* batches in flight on one session */
	PG_DOUBT_MS = 5000,		/* silent for so long: the server is asked about it */
	PG_QUEUE_MS = 5000,		/* how long a batch waits for a session */
	PG_HANGS_US = 100000,		/* no answer for so long: others are better served elsewhere */
	PG_WATCHDOG_MS = 5000		/* beyond statement_timeout: a half-open connection */
};

/* ---- pg_error.c ---- */
enum bf_err_class pg_classify(const char *sqlstate);
void pg_error_from_result(struct bf_error *, const char *what, const PGresult *);
void pg_error_from_connection(struct bf_error *, enum bf_err_class, const char *what,
			      const PGconn *);

/* ---- pg_conninfo.c ---- */
struct conninfo_host {
	char *host;			/* "": libpq's default, a Unix socket */
	char *hostaddr;			/* NULL: host is a name to look up, or a socket directory */
	char *port;
	bool by_name;
};
struct conninfo {
	char **keys, **values;		/* all but host, hostaddr and port; room for four more */
	int n;
	struct conninfo_host hosts[PG_HOSTS_MAX];
	int n_hosts;
};
bool conninfo_read(struct conninfo *, const struct bf_pg_config *, struct bf_error *);
void conninfo_release(struct conninfo *);

/* ---- pg_connect.c ---- */
/*
 * Exactly one of err and conn; conn belongs to the one called, is idle, non-blocking and writable.
 */
typedef void connect_done(void *ctx, const struct bf_error *err, PGconn *conn);
struct bf_op *connect_start(struct bf_loop *, const struct bf_pg_config *, connect_done *,
			    void *ctx);

/* ---- pg_batch.c ---- */
enum batch_role {
	BATCH_CALLS,			/* the user's */
	BATCH_SCRIPT,			/* the user's, simple protocol */
	BATCH_SETUP,			/* makes a session ready; its failure closes the session */
	BATCH_OPTIONAL			/* nobody waits for it */
};
struct batch {
	struct bf_op op;
	TAILQ_ENTRY(batch) link;
	struct batches *in;		/* the list it is on; NULL: over, or a script under way */
	enum batch_role role;
	struct bf_pg *pg;
	bf_pg_done *done;
	void *ctx;
	bool cancelled;
	uint64_t since_us;		/* queued, then sent */

	struct bf_arena *arena;		/* while queued: the copied calls; a script's text */
	const struct bf_pg_call *calls;	/* in the arena; NULL once sent */
	const char *sql;		/* a script's */
	const struct bf_pg_stmt **stmts;	/* n; for errors and for preparing again */
	int n;

	int *prepares, n_prepares;	/* sent ahead: indexes into the session's statements */
	bool preparing;			/* their results come now */
	bool open;			/* a result came, the NULL that ends it has not */
	int at;				/* whose result comes now */

	PGresult **results;
	int n_results;
	struct bf_error err;		/* class NONE: so far so good */
};
TAILQ_HEAD(batches, batch);

struct batch *batch_new(struct bf_pg *, enum batch_role, int n, bf_pg_done *, void *ctx);
void batch_keep_calls(struct batch *, const struct bf_pg_call *);
void batch_sent(struct batch *);
void batch_take_error(struct batch *, const struct bf_error *);
void batch_deliver(struct batch *);		/* calls back, unless cancelled */
void batch_free(void *batch);

/* ---- pg_session.c ---- */
enum session_state { SESSION_DOWN, SESSION_CONNECTING, SESSION_SETUP, SESSION_UP };
struct prepared {
	const struct bf_pg_stmt *stmt;
	unsigned int generation;	/* raised when the server's copy has become useless */
	bool sent;
};
struct session {
	struct bf_pg *pg;
	bool listens;			/* the pool's LISTENs are here */
	enum session_state state;
	PGconn *conn;
	struct event *readable, *writable;
	bool wants_write, broken;	/* broken: closes after this turn, because of why */
	struct bf_error why;
	struct batches inflight;	/* in the order sent */
	int n_inflight;
	struct batch *script;		/* runs alone */
	struct prepared *prepared;
	int n_prepared, prepared_cap;
	struct bf_op *connecting, *backoff, *watchdog;
	uint64_t progress_us, up_since_us, heard_us;	/* heard: bytes came */
	int backend;			/* the server's process, as itself says: a pooler may lie */
	int attempts;			/* in a row, without a time of quiet in between */
	bool was_up;
};
void session_init(struct session *, struct bf_pg *, bool listens);
void session_release(struct session *);
void session_listen(struct session *, const struct bf_pg_stmt *listen);
void session_ready(struct session *);		/* its setup has been done */
void session_flush(struct session *);
bool session_is_busy(const struct session *);	/* something is under way */
void session_watch(struct session *);		/* something is under way: see that it gets on */
void session_break(struct session *, const struct bf_error *why);	/* after this turn */
void session_break_for(struct session *, enum bf_err_class, const char *what);	/* libpq says why */

/* ---- pg_pipeline.c ---- */
void pipeline_send(struct session *, struct batch *, const struct bf_pg_call *);
void pipeline_send_script(struct session *, struct batch *);
bool pipeline_takes(const struct session *);	/* a batch, now */
void pipeline_read(struct session *);

/* ---- pg_probe.c ---- */
struct probe;
void probe_start(struct bf_pg *);		/* closes the sessions that nobody works for */
void probe_end(struct bf_pg *);

/* ---- pg.c ---- */
struct bf_loop *pg_loop(const struct bf_pg *);
const struct bf_pg_config *pg_config(const struct bf_pg *);
const struct bf_pg_stmt *pg_channel(const struct bf_pg *, int i);	/* LISTEN on the i-th in use, or NULL */
bool pg_is_dead(const struct bf_pg *);
struct session *pg_session(struct bf_pg *, int i);	/* NULL behind the last */
struct probe **pg_probe(struct bf_pg *);	/* where the pool keeps the one under way */
void pg_batch_over(struct batch *);		/* on no list: completes after this turn */
void pg_session_up(struct session *);
void pg_session_down(struct session *, bool was_up, const struct bf_error *);
void pg_notified(struct bf_pg *, const char *channel, const char *payload);
void pg_dispatch(struct bf_pg *);		/* a session has room */
#endif
