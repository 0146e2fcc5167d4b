/*
 * Private to the store: what a call carries from its start to its reply, and how columns are read.
 *
 * A call lives from call_new() to its completion. One whose operation is cancelled never completes;
 * such calls stay in the store's list and go when they are too old to be alive, or with the store.
 */
#ifndef BACKFILL_STORE_CALL_H
#define BACKFILL_STORE_CALL_H
#include <sys/queue.h>
#include "backfill/store.h"
#include "params.h"
#include "sql.h"

struct call;
/* Reads what came back and tells the asker. err NULL: every statement succeeded. */
typedef void call_reader(
	struct call *, const struct bf_error *err, PGresult *const *results, int n);

struct call {
	TAILQ_ENTRY(call) link;
	struct bf_store *store;
	call_reader *read;
	union {
		bf_store_done *done;
		bf_store_claim_done *claim;
		bf_store_harvest_done *harvest;
		bf_store_count_done *count;
		bf_store_answers_done *answers;
		bf_store_candidates_done *candidates;
		bf_store_lost_done *lost;
		bf_store_reserve_done *reserve;
		bf_store_hello_done *hello;
		bf_store_pulse_done *pulse;
		bf_store_timer_done *timer;
		bf_store_json_done *json;
		bf_store_schema_done *schema;
		bf_store_items_done *items;
		bf_store_items_lost_done *items_lost;
		bf_store_look_done *look;
		bf_store_written_done *written;
		bf_store_alert_facts_done *alert_facts;
		bf_store_alerts_done *alerts;
		bf_store_deliveries_done *deliveries;
		bf_store_events_mark_done *events_mark;
		bf_store_events_done *events;
		bf_store_why_done *why;
		bf_store_plan_done *plan;
		bf_store_overview_done *overview;
		bf_store_again_done *again;
		bf_store_findings_done *findings;
	} tell;
	void *ctx;
	struct bf_arena *arena;			/* what the reply is read into */
	uint64_t started_us;
	const char *why;			/* it could not be sent; static */
	bool too_many;				/* because there is one like it already */
	/* remembered by some calls for their reader */
	enum bf_provider_id provider;
	struct bf_candidate *candidates;	/* borrowed from the asker */
	const struct bf_look *looks;		/* ISBNs, names and keys of authors; in the arena */
	int n;
	bool dry_run;
};

struct bf_store {
	struct bf_loop *loop;
	struct bf_pg *pool, *locks;
	char instance[80], host[65];
	char mark[64]; /* of the lock session, to tell it from a pooler's */
	bool pooled;				/* the lock session showed another's mark */
	int owner_id;				/* of the last hello; 0 before */
	uint64_t quota_row_until_us[BF_NPROVIDERS]; /* today's row is known to exist until then */
	char *aside_conninfo;			/* NULL: no long looks */
	int64_t aside_connect_ms;
	struct aside *aside;			/* the long look under way */
	TAILQ_HEAD(, call) calls;
};

/* A call of which everything but the parameters is known. */
struct call *call_new(struct bf_store *, call_reader *, void *ctx);
/* Sends it; the parameters are released. */
struct bf_op *call_query(struct call *, struct bf_pg *, const struct bf_pg_stmt *, struct params *);
struct bf_op *call_pair(struct call *, struct bf_pg *, const struct bf_pg_stmt *, struct params *,
			const struct bf_pg_stmt *, struct params *);
struct bf_op *call_batch(struct call *, struct bf_pg *, const struct bf_pg_call *, int n);
/* On a session of its own, made for it and ended after it; a second one meanwhile is refused. */
struct bf_op *call_aside(struct call *, int64_t limit_ms, const struct bf_pg_call *calls, int n);
/* Ends it with an error instead, from the loop. */
struct bf_op *call_refuse(struct call *, const char *why);
/* Arrays of years, months and fences, three parameters. */
void call_refs(struct params *, const struct bf_month_ref *, int n);

/* Readers shared by many: an outcome in the first column; refs; a count; JSON. */
call_reader call_read_outcome, call_read_lost, call_read_count, call_read_json;
/* The refs of the rows, none without a result; with the error, when there is one. */
void call_tell_lost(struct call *, const struct bf_error *, const PGresult *);

/* What months cost of late: the columns of a row per provider. */
void call_read_plan(struct bf_plan_figures *, const PGresult *);
/* The parameters of the providers' limits: names, daily limits and reserves. */
void call_limits(struct params *, const struct bf_quota_limits *);

/* Columns by name; NULL, 0 or false when the value is SQL NULL or the column is not there. */
const char *call_text(const PGresult *, int row, const char *column);
int64_t call_int(const PGresult *, int row, const char *column);
double call_dbl(const PGresult *, int row, const char *column, double if_null);
bool call_bool(const PGresult *, int row, const char *column);
void call_copy(char *to, size_t size, const PGresult *, int row, const char *column);
#endif
