/*
 * providers: seven services behind one gate that every call passes (rate, concurrency, quota, circuit, retry), the chain that
 * finds a book's ISBN (cache, single flight, matching), and the flusher that writes a second's findings in one statement.
 */
#ifndef BACKFILL_PROVIDERS_H
#define BACKFILL_PROVIDERS_H
#include "backfill/base.h"
#include "backfill/books.h"
#include "backfill/config.h"
#include "backfill/reactor.h"
#include "backfill/store.h"

struct bf_providers;
/* on_lost: a write found that the month is no longer ours. */
typedef void bf_providers_lost(void *ctx, const struct bf_month_ref *);
struct bf_providers *bf_providers_new(struct bf_loop *, struct bf_http *, struct bf_store *, const struct bf_config *,
				      bf_providers_lost *on_lost, void *ctx);
void bf_providers_free(struct bf_providers *);
/* A reload: providers turned off by a refused key may work again. The config is borrowed until the next call. */
void bf_providers_configure(struct bf_providers *, const struct bf_config *);
/* From each pulse: who is alive (the rates are divided among them), the database's clock, what others closed. The first call
 * after a start says whether we came as the only one. */
void bf_providers_pulse(struct bf_providers *, int my_instance, bool alone, const struct bf_pulse *);
void bf_providers_hold(struct bf_providers *, bool hold);	/* no paid request goes out: our locks are lost */
void bf_providers_drain(struct bf_providers *);			/* nothing new goes out; what waits ends CANCELLED */

/* NULL: may be asked now. Else why not: "disabled", "no api key", "key refused: ...", "out of quota until ...", ... */
const char *bf_provider_unusable(struct bf_providers *, enum bf_provider_id);
bool bf_providers_any_ai(struct bf_providers *);
/* Why it is off until the next reload (key, model or credit refused); NULL: it is not. */
const char *bf_provider_off(const struct bf_providers *, enum bf_provider_id);

/* Units a day and the reserve in force (a lower limit that the provider itself reports wins); 0: no limit. */
int bf_provider_daily_limit(const struct bf_providers *, enum bf_provider_id, int *ret_reserve);

/* ---- generation: one AI's answer for a month ---- */
struct bf_generate { struct bf_month_ref ref; bool dry_run; enum bf_provider_id provider; const char *variant, *model_override; int round, up_to_n; };
/* err: RETRY (after the gate's own retries), QUOTA (closed, off or out of quota: not asked), REFUSED (key or model: now off),
 * PERMANENT, CANCELLED. The answer's outcome is "ok", "empty", "refused" or "garbage"; text is the model's. */
typedef void bf_generate_done(void *ctx, const struct bf_error *err, const struct bf_answer *);
struct bf_op *bf_generate_start(struct bf_providers *, const struct bf_generate *, bf_generate_done *, void *ctx);

/* ---- resolution: the chain for one book ---- */
struct bf_resolved {
	enum bf_cand_state state;	/* RESOLVED, NOT_FOUND or UNAVAILABLE */
	char isbn13[14];
	int  confidence;
	const char *resolved_by;	/* provider's name */
	const char *answers_json;	/* what each provider said: an object by provider name */
	const char *record_json;	/* the whole record that came with the ISBN, <= 4 KiB; NULL */
	bool failed;			/* some request was sent and failed */
	bool only_quota;		/* UNAVAILABLE for no other reason than quota */
};
typedef void bf_resolve_done(void *ctx, const struct bf_error *err, const struct bf_resolved *);	/* err: CANCELLED only */
/* paid_budget: what the job may still spend on ISBNdb, < 0 no limit; borrowed while the op lives. The candidate is borrowed too. */
struct bf_op *bf_resolve_start(struct bf_providers *, const struct bf_month_ref *, bool dry_run, const struct bf_candidate *,
			       int *paid_budget, bf_resolve_done *, void *ctx);
/* Hands a finding to the flusher; done when it is committed (within a second), NOT_MINE when the month was lost. Copied. */
struct bf_op *bf_providers_record(struct bf_providers *, const struct bf_resolution *, bf_store_done *, void *ctx);
/* Everything recorded so far, usage too, is on its way or written: done when committed. */
struct bf_op *bf_providers_flush(struct bf_providers *, bf_store_done *, void *ctx);

/* ---- dry runs: their calls count for no month, so they are tallied here; ref.fence of a dry run names its tally ---- */
struct bf_tally { int id, calls[BF_NPROVIDERS]; double cost_usd; };
int  bf_tally_new(struct bf_providers *);
void bf_tally_free(struct bf_providers *, int id);
bool bf_tally_read(const struct bf_providers *, int id, struct bf_tally *ret);

/* ---- look-up of known ISBNs, for enrichment: one request for many ---- */
int bf_lookup_max(enum bf_provider_id);			/* ISBNs one request may have; 0: this provider has no look-up */
/* err classes as in bf_generate_done; QUOTA also when fewer units are left than ISBNs asked. Records: those found, each with its isbn13
 * among the asked ones (another spelling of the record's own); what was asked and is not among them is a definite miss. */
typedef void bf_lookup_done(void *ctx, const struct bf_error *err, const struct bf_record *, size_t n, int64_t latency_ms);
struct bf_op *bf_lookup_start(struct bf_providers *, enum bf_provider_id, const char *const *isbns, size_t n, bf_lookup_done *, void *ctx);
/* Units that may still be asked for today, as last seen (daily limit and reserve considered); -1: no limit. */
int64_t bf_provider_units_left(const struct bf_providers *, enum bf_provider_id);
/* USABLE; LEFT_OUT: disabled or without key, nobody waits for it; CLOSED: refused key, open circuit, no quota: it will come back.
 * ret_wait_ms: when to look again (CLOSED only; circuit's or quota's end, else 15 min). */
enum bf_standing { BF_USABLE, BF_LEFT_OUT, BF_CLOSED };
enum bf_standing bf_provider_standing(struct bf_providers *, enum bf_provider_id, int64_t *ret_wait_ms);

/* ---- figures for /metrics, /readyz and the log ---- */
#define BF_OUTCOMES 13
#define BF_HTTP_LATENCY_BUCKETS 12
extern const char *const bf_outcome_names[BF_OUTCOMES];
extern const double bf_http_latency_bounds_s[BF_HTTP_LATENCY_BUCKETS];
struct bf_provider_figures {
	uint64_t requests[BF_OUTCOMES], latency[BF_HTTP_LATENCY_BUCKETS], retries, units, cache_hits, shared;
	double latency_sum_s, cost_usd;
	int64_t tokens_in, tokens_out;
	int in_flight, waiting;
	int circuit;			/* 0 closed, 1 half-open, 2 open */
	int64_t quota_used, quota_limit;	/* as last seen; -1 not known; limit after reserve, 0 none */
};
void bf_provider_figures(const struct bf_providers *, enum bf_provider_id, struct bf_provider_figures *ret);
#endif
