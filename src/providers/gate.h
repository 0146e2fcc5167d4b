/*
 * The gate: what every call to a provider passes, and the parts it is made of. Private to the room.
 */
#ifndef PROVIDERS_GATE_H
#define PROVIDERS_GATE_H
#include <sys/queue.h>
#include "backfill/providers.h"
#include "provider.h"

/* ---- rate: when may the next request go out (rate.c, pure) ---- */
struct rate {
	double   per_s;			/* over all live instances */
	int      rank, live;		/* my place among them, ascending instance ids */
	int64_t  to_shared_us;		/* add to the monotonic clock: the database's clock, equal for all */
	uint64_t quiet_until_us;	/* while the division is being agreed on */
	uint64_t valid_until_us;	/* by then others may have divided without us */
	uint64_t last_due_us;		/* when the last one was due */
};
uint64_t rate_width_us(const struct rate *);
/* The moment the next request is due, at or after now except for what a late timer may catch up. */
uint64_t rate_next_us(const struct rate *, uint64_t now_us);
void rate_take(struct rate *, uint64_t due_us);
/* For a provider that takes one request at a time over all instances: how long this instance's turn still lasts; 0: not mine. */
int64_t rate_turn_left_ms(const struct rate *, uint64_t now_us);

/* ---- circuit: closures of one provider, by its failures, its quota or a ban (circuit.c) ---- */
enum circuit_state { CIRCUIT_CLOSED, CIRCUIT_HALF_OPEN, CIRCUIT_OPEN };
struct circuit {
	enum circuit_state state;
	enum bf_closure kind;
	int      failures;		/* in a row */
	int      opened;		/* times in a row: each doubles the wait */
	uint64_t until_us, changed_us;
	char     reason[160];
};

struct gate_call;
TAILQ_HEAD(gate_calls, gate_call);
struct lane {			/* one provider as this process sees it */
	struct bf_providers *p;
	const struct provider_ops *ops;
	const struct bf_provider_config *conf;
	struct gate_calls queued, ready, sent, resting, ending;	/* resting: between two tries; ending: its asker hears in a moment */
	int      n_ready, n_sent, n_waiting;
	struct gate_call *reserving[64];	/* NULL: cancelled meanwhile */
	int      n_reserving;
	struct bf_op *reserve_op, *slot_timer, *probe_op;
	struct reservation *reservation;	/* what reserve_op asks for */
	struct rate rate;
	struct circuit circuit;
	uint64_t not_before_us;		/* the provider asked us to wait */
	uint64_t quota_until_us;	/* our own count is at its limit */
	uint64_t quota_day_ends_us;	/* the day of figures.quota_used is over then; 0: not known, the figure is renewed otherwise */
	int64_t  told_limit;		/* units a day by the provider's own word; 0 unknown */
	uint64_t limits_asked_us;
	char     off[200];		/* key, model or credit refused: off until reload */
	char     why[240];		/* scratch of lane_unusable() */
	struct bf_provider_figures figures;
};

typedef void gate_done(void *ctx, const struct bf_error *err, const struct provider_answer *);
/* One ask of one provider, retries included (unless `once`). The arena holds the ask's strings; both go over to the gate. done comes once, from
 * the loop: an answer (OK, EMPTY, REFUSED) or an error, classes as in bf_generate_done. own_model: a refused model is this
 * call's failure and not the provider's. */
struct gate_ask { enum bf_provider_id provider; struct bf_month_ref ref; bool dry_run, own_model, once; struct provider_ask ask; };
struct gate_call *gate_start_take(struct bf_providers *, const struct gate_ask *, struct bf_arena **, gate_done *, void *ctx);
void gate_cancel(struct gate_call *);
/* What a call has cost until now, all tries together; while it is under way and in its done. */
struct gate_spent { int64_t latency_ms; int units, tries; };
struct gate_spent gate_spent(const struct gate_call *);
void gate_init(struct bf_providers *);
void gate_release(struct bf_providers *);
void gate_drain(struct bf_providers *);
void gate_pump(struct lane *);
const char *lane_unusable(struct lane *);	/* NULL: usable */
/* limits.c: the daily limit and reserve in force, the provider's own lower limit considered; 0: none */
int  lane_daily_limit(const struct lane *);
int  lane_reserve(const struct lane *);
void limits_refresh(struct lane *);	/* asks the provider for its limit when that is due */
bool lane_out_of_quota(const struct lane *);	/* unusable for that reason, and no other */
bool lane_left_out(const struct lane *);	/* disabled, or without the key it needs */

/* circuit.c */
void circuit_success(struct lane *);
void circuit_failure(struct lane *, const char *reason);
void circuit_close_for(struct lane *, enum bf_closure, int64_t ms, const char *reason);	/* ms 0: the provider's midnight */
void circuit_adopt(struct lane *, const struct bf_pulse *);
bool circuit_needs_probe(const struct lane *);	/* open, its time over */
bool circuit_blocks(const struct lane *);	/* no call may pass now */
void circuit_expire(struct lane *);		/* closures that need no probe end by themselves */

/* ---- flusher (flush.c) ---- */
struct flusher;
struct flusher *flusher_new(struct bf_providers *);
void flusher_free(struct flusher *);
void flusher_usage(struct flusher *, const struct bf_usage *);
void flusher_cache(struct flusher *, const struct bf_cache_put *);
void flusher_keep(struct flusher *, const struct bf_record_put *);

/* ---- tallies of dry runs (tally.c) ---- */
struct tally { LIST_ENTRY(tally) link; struct bf_tally t; };
LIST_HEAD(tallies, tally);
void tally_add(struct bf_providers *, int64_t id, enum bf_provider_id, int calls, double cost_usd);

/* ---- resolution (resolve.c) ---- */
struct flight;
LIST_HEAD(flights, flight);

struct bf_providers {
	struct bf_loop *loop;
	struct bf_http *http;
	struct bf_store *store;
	const struct bf_config *config;
	bf_providers_lost *on_lost;
	void *lost_ctx;
	struct lane lane[BF_NPROVIDERS];
	struct flusher *flusher;
	struct flights flights;
	struct tallies tallies;
	int n_tallies;
	char  user_agent[256];
	bool  hold, draining, joined;
};
#endif
