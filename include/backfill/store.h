/*
 * store: every SQL statement, and rows to structs and back. Decides nothing: what it is told, it writes, as one atomic
 * statement that carries the fencing token. Replies live until the callback returns.
 *
 * Every write of a month says `fence = mine AND status = 'processing'` and has a step number, unique within the fence:
 * repeating a call after a lost acknowledgement is safe and answers BF_STORE_DONE again.
 * An error of class RETRY means: unknown whether committed; repeat the same call.
 */
#ifndef BACKFILL_STORE_H
#define BACKFILL_STORE_H
#include "backfill/base.h"
#include "backfill/books.h"
#include "backfill/config.h"
#include "backfill/reactor.h"

struct bf_store;
/* pool: the query sessions; locks: the one session that holds the advisory locks (claims and rescues run there). Both are
 * borrowed. instance: the name written wherever work is claimed. */
struct bf_store *bf_store_new(struct bf_loop *, struct bf_pg *pool, struct bf_pg *locks, const char *instance);
void bf_store_free(struct bf_store *);
/* How a session of its own is had for a long look (verify), which then holds up nothing else. Copied. */
void bf_store_aside(struct bf_store *, const char *conninfo, int64_t connect_timeout_ms);

enum bf_store_outcome { BF_STORE_DONE, BF_STORE_NOT_MINE, BF_STORE_REFUSED };	/* REFUSED: wrong state, or nothing granted */
typedef void bf_store_done(void *ctx, const struct bf_error *err, enum bf_store_outcome);

typedef void bf_store_json_done(void *ctx, const struct bf_error *err, const char *json);	/* NULL: not found */

/* ---- a month as claimed ---- */
struct bf_month_ref { int year, month; int64_t fence; };
struct bf_month_row {
	struct bf_month_ref ref;
	char  job_id[37];
	char  stage[16];		/* "" or where a former attempt stopped */
	char  claimed_from[12];		/* pending | retry | failed */
	int   retry_count, batch_size, round;	/* batch_size and variant: the job's own where it has one */
	char  prompt_variant[40];
	char  model_override[64];	/* "" none */
	int   max_quota;		/* paid ISBN calls this job may make; 0: no limit of its own */
	int   isbndb_calls;		/* so far */
	int   outages;			/* in a row: attempts, not counted, that could ask no ISBN provider */
	bool  dry_run;
	int   last_step;		/* highest step already written under this fence */
};
struct bf_totals { int pending, processing, completed, failed, retry, total; };
struct bf_month_brief {			/* as listed by schedule, stats and the grid */
	int year, month; char status[12], stage[16]; int books_generated, isbns_resolved, isbns_queued;
	double resolution_rate;		/* < 0: NULL */
	int retry_count, batch_size; const char *error_message; int gemini_calls, xai_calls, isbndb_calls; double cost_usd;
	char prompt_variant[40], owner[80], started_at[32], completed_at[32], next_attempt_at[32];	/* "" NULL */
};
struct bf_claim { const struct bf_month_row *rows; const struct bf_month_brief *briefs; int n, skipped; struct bf_totals totals; };
typedef void bf_store_claim_done(void *ctx, const struct bf_error *err, const struct bf_claim *);
enum bf_claim_what { BF_CLAIM_SCHEDULE, BF_CLAIM_DUE_RETRIES };
/* Selects (contract 5: newest first, rows held by others skipped), takes their advisory locks, moves them to processing, one
 * statement on the lock session. Refused (n = 0, err CONFIG "paused: note") while paused. year_low <= year_high. */
struct bf_op *bf_store_claim(struct bf_store *, enum bf_claim_what, int limit, int year_low, int year_high, bool force_retry,
			     bf_store_claim_done *, void *ctx);
struct bf_op *bf_store_preview(struct bf_store *, int limit, int year_low, int year_high, bool force_retry,
			       bf_store_claim_done *, void *ctx);	/* writes nothing; rows NULL */
/* Takes up orphans: processing rows of these refs (their fence as seen), if still so and their lock is free, or `stuck`. */
struct bf_op *bf_store_rescue(struct bf_store *, const struct bf_month_ref *, int n, int64_t stuck_after_ms,
			      bf_store_claim_done *, void *ctx);

/* ---- harvest: one month by name (0,0: the next in order); makes the row when it is not seeded ---- */
struct bf_harvest { int year, month, batch_size; const char *prompt_variant, *model_override, *experiment_id; int max_quota; bool dry_run;
	int default_batch_size; const char *default_variant_recent, *default_variant; int recent_from, year_low, year_high; };
struct bf_harvest_reply { enum { BF_HARVEST_OK, BF_HARVEST_COMPLETED, BF_HARVEST_IN_FLIGHT, BF_HARVEST_NOTHING, BF_HARVEST_PAUSED } result;
	struct bf_month_row row; const char *note; };
typedef void bf_store_harvest_done(void *ctx, const struct bf_error *err, const struct bf_harvest_reply *);
struct bf_op *bf_store_harvest(struct bf_store *, const struct bf_harvest *, bf_store_harvest_done *, void *ctx);

struct bf_seed { int year_start, year_end, batch_size, recent_from; const char *variant_recent, *variant; };
typedef void bf_store_count_done(void *ctx, const struct bf_error *err, int64_t count);
struct bf_op *bf_store_seed(struct bf_store *, const struct bf_seed *, bf_store_count_done *, void *ctx);

/* ---- the month's own writes; `step` from last_step + 1 upwards; detail_json may be NULL ---- */
struct bf_step { struct bf_month_ref ref; int step; const char *from, *to, *event, *detail_json; const char *job_id; };
/* Moves the stage. */
struct bf_op *bf_store_step(struct bf_store *, const struct bf_step *, bf_store_done *, void *ctx);
/* An AI's answer, as it arrives; stage unchanged (from == to). Adds its cost to month and usage. */
struct bf_answer { enum bf_provider_id provider; int round; const char *variant, *model, *outcome, *reason, *text;
	int http; int64_t tokens_in, tokens_out; double cost_usd; int64_t latency_ms; };
struct bf_op *bf_store_answer(struct bf_store *, const struct bf_step *, const struct bf_answer *, bf_store_done *, void *ctx);
/* The answers of a round, for a resumed month. */
typedef void bf_store_answers_done(void *ctx, const struct bf_error *err, const struct bf_answer *, int n);
struct bf_op *bf_store_answers(struct bf_store *, const struct bf_month_ref *, int round, bf_store_answers_done *, void *ctx);
/* Stores the candidates with their synthetic works and authors, sets books_generated, moves to `resolving`. */
struct bf_new_candidate { const struct bf_book *book; const char *title_key, *author_key; const char *const *authors, *const *author_keys; int n_authors; };
struct bf_op *bf_store_save(struct bf_store *, const struct bf_step *, const struct bf_new_candidate *, int n, bf_store_done *, void *ctx);
/* Candidates of a month with what the cache knows of them. */
enum bf_cand_state { BF_CAND_NEW, BF_CAND_RESOLVED, BF_CAND_NOT_FOUND, BF_CAND_UNAVAILABLE, BF_CAND_MERGED };
struct bf_cached { bool known, hit; char isbn13[14]; int confidence; const char *record_json; };
struct bf_candidate { int64_t id; struct bf_book book; const char *title_key, *author_key, *answers_json, *resolved_by; char isbn13[14];
	int confidence; enum bf_cand_state state; struct bf_cached cached[BF_NPROVIDERS]; };
typedef void bf_store_candidates_done(void *ctx, const struct bf_error *err, struct bf_candidate *, int n);
struct bf_op *bf_store_candidates(struct bf_store *, const struct bf_month_ref *, bf_store_candidates_done *, void *ctx);
/* Cache look-up for books that have no rows (dry runs): fills cached[] of each. */
struct bf_op *bf_store_cache_get(struct bf_store *, struct bf_candidate *, int n, bf_store_done *, void *ctx);
/* One second's resolutions of all months, cache entries and call counts, in one transaction. A month no longer mine: its part is
 * left out (its ref is in lost). A month whose row somebody else has locked is not waited for: BF_ERR_RETRY with the refs of all such
 * months in lost, and nothing was written by this call. */
struct bf_resolution { struct bf_month_ref ref; int64_t candidate_id; enum bf_cand_state state; char isbn13[14]; int confidence;
	const char *resolved_by, *answers_json, *record_json; };
struct bf_cache_put { enum bf_provider_id provider; const char *title_key, *author_key; const char *isbn13; int confidence; const char *record_json; int64_t ttl_ms; };
struct bf_usage { enum bf_provider_id provider; int year, month; int calls, errors, units_sent, units_unused; int64_t tokens_in, tokens_out; double cost_usd; int64_t fence; };
/* A record that came with an answer, kept by ISBN so that nobody buys it again. for_isbn: the ISBN chosen for the book the question
 * was about (another edition's record came along); equal to isbn13 for the chosen one itself. */
struct bf_record_put { enum bf_provider_id provider; const char *isbn13, *for_isbn, *record_json; };
struct bf_flush { uint64_t flush_id_hi, flush_id_lo;	/* random: a repeated flush is applied once */
	const struct bf_resolution *resolutions; int n_resolutions; const struct bf_cache_put *cache; int n_cache;
	const struct bf_usage *usage; int n_usage; const struct bf_record_put *records; int n_records; };
typedef void bf_store_lost_done(void *ctx, const struct bf_error *err, const struct bf_month_ref *lost, int n_lost);
struct bf_op *bf_store_flush(struct bf_store *, const struct bf_flush *, bf_store_lost_done *, void *ctx);
/* The end of a month: candidates with one ISBN merged, new ISBNs queued, counters set from the rows, completed; one transaction. */
struct bf_op *bf_store_complete(struct bf_store *, const struct bf_step *, int max_retries, bf_store_done *, void *ctx);
/* retry (below 5) or failed (at 5) as contract 5 says; wait_ms for next_attempt_at; counted false: retry_count stays and the
 * status is retry; permanent: failed at once, count as it is; next_round: generation starts again with the next variant. */
struct bf_failure { const char *error; int64_t wait_ms; bool counted, permanent, next_round; const char *resume_stage; };
struct bf_op *bf_store_fail(struct bf_store *, const struct bf_step *, const struct bf_failure *, bf_store_done *, void *ctx);
struct bf_op *bf_store_release(struct bf_store *, const struct bf_step *, bf_store_done *, void *ctx);
struct bf_op *bf_store_touch(struct bf_store *, const struct bf_month_ref *, int n, bf_store_lost_done *, void *ctx);	/* progressed_at of waiting months */
/* Dry-run jobs write only their job row. status: queued|processing|enriching|complete|failed; stats_json may be NULL. */
struct bf_op *bf_store_job(struct bf_store *, const char *job_id, const char *status, const char *progress, const char *stats_json,
			   const char *error, bf_store_done *, void *ctx);

/* ---- quota: units and calls are counted before they are sent ---- */
struct bf_reserve { struct bf_month_ref ref; int units; };	/* ref.year 0 or fence 0: no month to count for (dry run) */
/* Grants as many of the wanted as daily_limit - reserve leaves, in order; adds the calls to the months' columns (gemini_calls,
 * xai_calls, isbndb_calls). Months no longer mine get nothing, and those whose row somebody else has locked nothing yet (busy).
 * daily_limit 0: no limit. */
struct bf_reserved { int granted[64]; bool lost[64], busy[64]; int64_t used; char reset_at[32]; int64_t reset_in_ms; };
typedef void bf_store_reserve_done(void *ctx, const struct bf_error *err, const struct bf_reserved *);
struct bf_op *bf_store_reserve(struct bf_store *, enum bf_provider_id, int daily_limit, int reserve, const struct bf_reserve *, int n,
			       bf_store_reserve_done *, void *ctx);	/* n <= 64 */

/* ---- shared provider state ---- */
enum bf_closure { BF_CLOSURE_NONE, BF_CLOSURE_CIRCUIT, BF_CLOSURE_QUOTA, BF_CLOSURE_RATE, BF_CLOSURE_BAN };
struct bf_provider_closure { enum bf_provider_id provider; enum bf_closure kind; int64_t remaining_ms; int failures; const char *reason; };
/* remaining_ms 0 and QUOTA: until the provider's own midnight. Never shortens another instance's closure. */
struct bf_op *bf_store_close_provider(struct bf_store *, const struct bf_provider_closure *, bf_store_done *, void *ctx);
struct bf_op *bf_store_open_provider(struct bf_store *, enum bf_provider_id, bf_store_done *, void *ctx);
/* DONE: this instance may send the one probe (for at most hold_ms); REFUSED: another does. */
struct bf_op *bf_store_probe_provider(struct bf_store *, enum bf_provider_id, int64_t hold_ms, bf_store_done *, void *ctx);

/* ---- instances and the pulse (on the lock session) ---- */
/* Registers and takes the instance lock. alone: no other live instance held one at that moment. */
struct bf_hello { int instance_id; bool alone; int64_t server_up_ms; };
typedef void bf_store_hello_done(void *ctx, const struct bf_error *err, const struct bf_hello *);
struct bf_op *bf_store_hello(struct bf_store *, int instance_id_or_0, bf_store_hello_done *, void *ctx);
/* After the lock session came back: takes the months' locks again and re-reads the fences; lost: no longer mine. */
struct bf_op *bf_store_relock(struct bf_store *, int instance_id, const struct bf_month_ref *, int n, bf_store_lost_done *, void *ctx);
/* Lets go of the advisory locks of months that ended. */
struct bf_op *bf_store_unlock(struct bf_store *, const struct bf_month_ref *, int n, bf_store_done *, void *ctx);
/* Everything that stands to be asked every 4 s, in one statement. `mine` without a lock (taken over while stuck) are locked. */
struct bf_orphan { struct bf_month_ref ref; bool stuck; };
struct bf_pulse {
	int64_t db_wall_us, server_up_ms;		/* now() of the database; since start or promotion */
	const int *instance_ids; int n_instances;	/* live, ascending */
	const struct bf_orphan *orphans; int n_orphans;	/* processing, lock free (rows with a job id) or stuck_after passed */
	const struct bf_month_ref *lost; int n_lost;	/* of `mine`: no longer so: taken over, ended, cancelled, reset */
	int due_retries; int64_t next_retry_ms;		/* -1: none waits */
	bool paused; const char *pause_note;
	const struct bf_provider_closure *closures; int n_closures;
	struct bf_totals totals;
	/* our queue: pending (counting stops at 100000), of those waiting for a later time, in processing, failed (same stop); the age
	 * of the oldest pending item, 0 for none */
	int64_t queue_depth, queue_waiting, queue_processing, queue_failed, queue_oldest_s;
	int64_t books_generated, isbns_resolved, isbns_queued;	/* sums over all months */
	int64_t isbndb_used; int isbndb_limit_seen;
};
typedef void bf_store_pulse_done(void *ctx, const struct bf_error *err, const struct bf_pulse *);
struct bf_op *bf_store_pulse(struct bf_store *, const struct bf_month_ref *mine, int n, int64_t stuck_after_ms, bf_store_pulse_done *, void *ctx);

/* ---- enrichment: the queue's items (enrichment_queue rows with queued_by = 'backfilld') ----
 * An item taken has a fence; every write of it says `fence = mine AND status = 'processing'`. An owner whose instance lock is free
 * (and was free two looks, 4 s apart, before) or whose lease ran out loses its items to the next claim. */
struct bf_item_ref { char id[37]; int64_t fence; };
enum bf_item_kind { BF_ITEM_EDITION, BF_ITEM_WORK };	/* entity_type 'edition': an ISBN; 'work': a synthetic work to be tried again */
struct bf_known_record { bool known, found; const char *record_json; char at[32]; };	/* found false: a definite miss, not older than 30 days */
struct bf_item {
	struct bf_item_ref ref;
	enum bf_item_kind kind;
	const char *key;			/* entity_key: ISBN in any spelling (adopted items), or a work_key */
	int retry_count, max_retries;
	struct bf_known_record known[BF_NPROVIDERS];	/* of provider_records; candidates' records of older months too */
	const char *title, *author, *language;	/* as the AI named the book (candidates with this isbn13, or the work's own); NULL */
	int year;				/* of publication; 0 */
	const char *const *work_keys; int n_work_keys;	/* works of the candidates with this isbn13, and queue.work_key */
	const char *sibling_of;			/* isbn13 of the edition whose answer brought this one's record; NULL */
};
struct bf_items { const struct bf_item *v; int n; int64_t next_due_ms; bool paused; };	/* next_due_ms: the earliest waiting one; -1 none */
typedef void bf_store_items_done(void *ctx, const struct bf_error *err, const struct bf_items *);
/* Takes up to limit items of the kind that are due (pending, next_attempt_at passed or NULL, or orphaned), priority then age; skips
 * what others hold. Nothing while paused. REFUSED class CONFIG never: an instance that has not said hello gets none. */
struct bf_op *bf_store_items_claim(struct bf_store *, enum bf_item_kind, int limit, int64_t lease_ms, bf_store_items_done *, void *ctx);
typedef void bf_store_items_lost_done(void *ctx, const struct bf_error *err, const struct bf_item_ref *lost, int n_lost);
/* What a provider said of an item's ISBN, kept at once: a row of provider_records (FOUND, MISSING), the item's providers_attempted and
 * providers_succeeded, and one line of enrichment_log (operation 'lookup'); repeated calls add no second line. */
enum bf_fetch { BF_FETCH_FOUND, BF_FETCH_MISSING, BF_FETCH_FAILED };
struct bf_fetched { struct bf_item_ref item; enum bf_provider_id provider; const char *isbn13; enum bf_fetch what; const char *record_json, *reason; int64_t latency_ms; };
struct bf_op *bf_store_items_fetched(struct bf_store *, uint64_t id_hi, uint64_t id_lo /* of this call, random */, const struct bf_fetched *, int n,
				     bf_store_items_lost_done *, void *ctx);
/* What the catalogue has: the edition, and every work that may be its own (as enum bf_work_via tells), with authors. */
struct bf_look { const char *isbn13, *title; struct bf_texts family, author_names, author_keys, work_keys; };
struct bf_known_work { struct bf_work_known known; const char *seen; };		/* seen: its version, for the write */
struct bf_looked {
	const struct bf_edition *edition; const char *edition_key, *edition_seen, *edition_work_key;	/* NULL: none; key: as stored (ISBN-10 rows of older systems) */
	const struct bf_known_work *works; int n_works;
	const char *const *author_keys;		/* for each asked name the key to link: an existing author's, or the asked key */
};
typedef void bf_store_look_done(void *ctx, const struct bf_error *err, const char *looked_at, const struct bf_looked *, int n);
struct bf_op *bf_store_items_look(struct bf_store *, const struct bf_look *, int n, bf_store_look_done *, void *ctx);
/* One batch's works, editions, authors and links, and its items completed, in one transaction. Works are written once each. An item
 * whose edition, work or authors changed since the look is STALE and nothing of it is written: look and merge again. */
struct bf_work_write {
	const struct bf_work *work; const char *seen;	/* seen NULL: new */
	struct bf_texts author_names, author_keys;	/* in order; linked if the work has no links, or was synthetic */
	struct bf_texts absorbed;			/* synthetic works that go into it: editions, links and candidates re-pointed, deleted, logged */
	struct bf_texts absorbed_seen;
	bool promoted;					/* was synthetic and becomes real */
};
struct bf_edition_write {
	struct bf_item_ref item;
	const struct bf_edition *edition; const char *was_key, *seen;	/* was_key: differs from isbn13 when an ISBN-10 row is re-keyed; NULL: new */
	int work;				/* index into works */
	int confidence; const char *source;	/* of the choice */
	const char *primary;			/* provider's name for the log */
	const char *missing;			/* providers that could not be asked, `, `-joined, kept in metadata; NULL */
};
struct bf_enrich_write { const char *looked_at; const struct bf_edition_write *editions; int n_editions; const struct bf_work_write *works; int n_works;
	bool siblings;			/* queue other editions whose record came with the same answer */
	int max_retries; };
enum bf_written { BF_WRITTEN_DONE, BF_WRITTEN_STALE, BF_WRITTEN_NOT_MINE };
typedef void bf_store_written_done(void *ctx, const struct bf_error *err, const enum bf_written *, int n);	/* by editions */
struct bf_op *bf_store_items_write(struct bf_store *, const struct bf_enrich_write *, bf_store_written_done *, void *ctx);
/* Every other end. WAIT: pending again, not counted, reason says for what. RETRY: counted, wait_ms until the next attempt, failed at
 * max_retries. FAILED: no retry can mend it. RELEASE: pending, due now, nothing counted. DONE: completed (reason is kept as a note).
 * REKEY: entity_key becomes isbn13 and the item is due now; another item of ours with that key completes this one as its duplicate. */
enum bf_item_how { BF_END_WAIT, BF_END_RETRY, BF_END_FAILED, BF_END_RELEASE, BF_END_DONE, BF_END_REKEY };
struct bf_item_end { struct bf_item_ref ref; enum bf_item_how how; const char *reason, *waiting_for /* provider; NULL */, *isbn13; int64_t wait_ms; };
struct bf_op *bf_store_items_end(struct bf_store *, const struct bf_item_end *, int n, bf_store_items_lost_done *, void *ctx);
/* Items that wait for a provider are due now, the longest waiting ones, at most 20000; counts them. After a reload. */
struct bf_op *bf_store_items_hurry(struct bf_store *, bf_store_count_done *, void *ctx);
/* Enhancement: synthetic works without ISBN go into the queue as items of kind WORK, oldest first, each at most once in seven days. */
struct bf_op *bf_store_enhance(struct bf_store *, int limit, int max_retries, bf_store_count_done *, void *ctx);
/* A work's item found an ISBN: its candidates are resolved, their months' figures follow, the edition is queued with its record kept,
 * the item is completed; one transaction. */
struct bf_enhanced { struct bf_item_ref ref; const char *work_key, *isbn13, *resolved_by, *answers_json, *record_json; int confidence, max_retries; };
struct bf_op *bf_store_enhanced(struct bf_store *, const struct bf_enhanced *, bf_store_done *, void *ctx);

/* ---- operators and enrichment ---- */
/* Everything about one book: month, AIs, answers, queue item, log, edition, work, authors, provenance. key: an ISBN-13, or a work_key. */
struct bf_op *bf_store_book_json(struct bf_store *, const char *isbn13, const char *work_key, bf_store_json_done *, void *ctx);
struct bf_item_filter { const char *status, *reason, *provider; int year, month; };	/* NULL, 0: any; reason: part of error_message */
struct bf_op *bf_store_items_json(struct bf_store *, const struct bf_item_filter *, int limit, const char *after_id, bf_store_json_done *, void *ctx);
/* Failed items that match are due again with no attempts counted; dry_run only counts. JSON: {"dry_run","matched","redriven","by_reason":{...}}. */
struct bf_op *bf_store_redrive(struct bf_store *, const struct bf_item_filter *, bool dry_run, int limit, bf_store_json_done *, void *ctx);
/* Items of an older system become ours, oldest first. JSON: {"dry_run","adopted","left"}. */
struct bf_op *bf_store_adopt(struct bf_store *, bool dry_run, int limit, int max_retries, bf_store_json_done *, void *ctx);

/* ---- timers, pause, operators ---- */
/* DONE: this run (scheduled minute, Unix seconds) is ours; REFUSED: some instance had it. */
struct bf_op *bf_store_timer_claim(struct bf_store *, const char *timer, int64_t scheduled, bf_store_done *, void *ctx);
typedef void bf_store_timer_done(void *ctx, const struct bf_error *err, int64_t last_run);	/* -1: never; then it is set to now */
struct bf_op *bf_store_timer_last(struct bf_store *, const char *timer, bf_store_timer_done *, void *ctx);
struct bf_op *bf_store_pause(struct bf_store *, bool paused, const char *note, const char *until_rfc3339, bf_store_done *, void *ctx);
enum bf_operator_action { BF_OPERATOR_RETRY, BF_OPERATOR_CANCEL, BF_OPERATOR_RESET };
/* DONE, REFUSED (wrong state: status in the JSON view tells), NOT_MINE (no such month). */
struct bf_op *bf_store_operator(struct bf_store *, enum bf_operator_action, int year, int month, bf_store_done *, void *ctx);
/* Many at once: completed ones are reset, those in retry or failed become due; the others are never touched. What is NULL or 0
 * matches any; refused_by: the AI whose newest answer was no list of books. dry_run only tells which. */
struct bf_again { const char *status, *refused_by; int rate_below, year_low, year_high, limit; bool dry_run; };
struct bf_again_reply { int matched, retried, reset; double batch_size; const char *months; };	/* JSON, newest first; NULL: none */
typedef void bf_store_again_done(void *ctx, const struct bf_error *err, const struct bf_again_reply *);
struct bf_op *bf_store_again(struct bf_store *, const struct bf_again *, bf_store_again_done *, void *ctx);

/* ---- views: JSON made by PostgreSQL, in the shapes of contract 3; NULL json: not found ---- */
struct bf_op *bf_store_stats_json(struct bf_store *, bf_store_json_done *, void *ctx);
struct bf_op *bf_store_months_json(struct bf_store *, bf_store_json_done *, void *ctx);
struct bf_op *bf_store_month_json(struct bf_store *, int year, int month, bf_store_json_done *, void *ctx);
struct bf_op *bf_store_job_json(struct bf_store *, const char *job_id, bf_store_json_done *, void *ctx);
/* limits of the seven, in provider order; daily_limit 0: null. */
struct bf_quota_limits { int daily_limit[BF_NPROVIDERS], reserve[BF_NPROVIDERS]; };
struct bf_op *bf_store_quota_json(struct bf_store *, const struct bf_quota_limits *, bf_store_json_done *, void *ctx);
struct bf_op *bf_store_quota_used(struct bf_store *, enum bf_provider_id, bf_store_count_done *, void *ctx);	/* today */
struct bf_retention { int64_t events_ms, answers_ms, enrichment_log_ms, api_usage_ms, audit_ms, job_status_ms; };
#define BF_PRUNE_BITE 500	/* the count is that or more: call again, there may be more to take */
struct bf_op *bf_store_prune(struct bf_store *, const struct bf_retention *, bf_store_count_done *, void *ctx);	/* in bounded bites */

/* ---- the transitions as they come: ids are given in commit order, so nothing ever appears behind the last one seen ---- */
struct bf_events_mark { int64_t last, pruned; };	/* the last id there is; up to which id some have been pruned */
typedef void bf_store_events_mark_done(void *ctx, const struct bf_error *err, const struct bf_events_mark *);
struct bf_op *bf_store_events_mark(struct bf_store *, bf_store_events_mark_done *, void *ctx);
struct bf_event { int64_t id; int year, month; const char *event, *json; };	/* json: one line */
struct bf_events_ask { int64_t after, upto; int year, month; int limit; int64_t max_bytes; };	/* year, month 0: any; a month needs its year */
/* In order of their ids; more: the page was full. At least one, however long, when there is any. */
typedef void bf_store_events_done(void *ctx, const struct bf_error *err, const struct bf_event *, int n, bool more);
struct bf_op *bf_store_events_page(struct bf_store *, const struct bf_events_ask *, bf_store_events_done *, void *ctx);

/* ---- who asked for what ---- */
#define BF_AUDIT_BODY_BYTES 4096
struct bf_audit { char id[37]; int64_t age_ms, duration_ms; int status; const char *operator_name, *address, *user_agent, *method, *path,
	*body_json, *outcome; };		/* id: of this call, random: a repeated write is applied once; texts but method and path may be NULL */
struct bf_op *bf_store_audit_write(struct bf_store *, const struct bf_audit *, int n, bf_store_done *, void *ctx);
struct bf_audit_filter { const char *operator_name, *path; };	/* NULL: any; path: how it begins */
/* Newest first, below before_id (0: the newest). JSON: {"audit":[...],"next":id or null}. */
struct bf_op *bf_store_audit_json(struct bf_store *, const struct bf_audit_filter *, int limit, int64_t before_id, bf_store_json_done *, void *ctx);

/* ---- alerts: facts out, what is true of them back in; raised once and cleared once over all instances ---- */
struct bf_alert_month { int year, month; int64_t fence; int a, b; int64_t age_s; const char *text; };
struct bf_alert_facts {
	int64_t resolved, books; int pool;		/* of the months completed last, together */
	const struct bf_alert_month *low; int n_low;	/* of these the lowest rates; a of b books have an ISBN */
	int failed, failed_again;			/* months; those with attempts left */
	const char *failed_reason; int failed_reason_n;	/* the most frequent; NULL */
	struct bf_alert_month spent;			/* a failed one without attempts left; year 0: none */
	int tried, tried_failed;			/* months with so many attempts; those of them that failed */
	const struct bf_alert_month *tries; int n_tries;	/* a attempts, b failed, text: the error */
	const struct bf_alert_month *stuck; int n_stuck;	/* processing: b past stuck_after (else lock free), age_s, text: owner */
	int64_t items_failed, items_done;		/* of the last day; counting stops at 5000 and 10001 */
	const char *items_reason; int64_t items_reason_n;
	int64_t used[BF_NPROVIDERS]; const char *reset_at[BF_NPROVIDERS];	/* today's units; NULL: none used */
	int64_t circuit_s[BF_NPROVIDERS]; const char *circuit_why[BF_NPROVIDERS];	/* open for so long; why NULL: closed */
	int off[BF_NPROVIDERS]; const char *off_why[BF_NPROVIDERS];	/* instances that turned it off; "names: reason" */
	int live, without_ai; const char *no_ai_why;	/* instances that told; those that cannot ask any AI */
};
struct bf_alert { const char *key, *subject; bool critical; const char *summary, *action; };
struct bf_alert_event { int64_t id; const char *event, *key, *subject, *severity, *summary, *action; };	/* raise, escalate, clear */
struct bf_alert_open { const char *key, *severity; int n; };
typedef void bf_store_alert_facts_done(void *ctx, const struct bf_error *err, const struct bf_alert_facts *);
typedef void bf_store_alerts_done(void *ctx, const struct bf_error *err, const struct bf_alert_event *, int n, const struct bf_alert_open *, int n_open);
/* own_json: what only this instance knows ({"ai": bool, "why": text, "off": {provider: reason}}), kept in its row. */
struct bf_op *bf_store_alert_facts(struct bf_store *, const char *own_json, int pool, int64_t stuck_after_ms, int attempts,
				   bf_store_alert_facts_done *, void *ctx);
struct bf_op *bf_store_alerts_merge(struct bf_store *, const struct bf_alert *, int n, bool webhook, bf_store_alerts_done *, void *ctx);
struct bf_op *bf_store_alerts_tell(struct bf_store *, const char *own_json, bf_store_alerts_done *, void *ctx);	/* no events */
struct bf_op *bf_store_alerts_json(struct bf_store *, int limit, bf_store_json_done *, void *ctx);
/* Deliveries to the webhook: in order within an alert, one instance at a time, again when the lease runs out. next_ms: when to
 * look again; -1: nothing waits. */
struct bf_delivery { int64_t id; const char *event, *alert_json, *instance, *at; int tries; int64_t now_s; };
typedef void bf_store_deliveries_done(void *ctx, const struct bf_error *err, const struct bf_delivery *, int n, int64_t next_ms);
struct bf_op *bf_store_deliveries_claim(struct bf_store *, int limit, int64_t lease_ms, bf_store_deliveries_done *, void *ctx);
/* problem NULL: delivered. REFUSED: given up, a day is over; NOT_MINE never. */
struct bf_op *bf_store_delivery_end(struct bf_store *, int64_t id, const char *problem, int64_t wait_ms, bf_store_done *, void *ctx);

/* ---- why a month is where it is, what months cost, whether all is as it must be ---- */
struct bf_why {
	bool seeded, older, held, owner_lives, paused;	/* older: in processing without a job id; held: somebody has its lock */
	const char *status, *stage, *owner, *error, *started_at, *progressed_at, *completed_at, *next_attempt_at, *note, *paused_until;
	int64_t idle_ms, wait_ms, paused_ms;		/* since the last progress; until the next attempt; until the pause ends, -1: nobody said */
	int retry_count, ahead, in_flight;		/* ahead: pending months of the years that are picked first; in_flight: over all instances */
	int64_t db_wall_us;
};
typedef void bf_store_why_done(void *ctx, const struct bf_error *err, const struct bf_why *);
struct bf_op *bf_store_why(struct bf_store *, int year, int month, int year_low, int year_high, bf_store_why_done *, void *ctx);
struct bf_plan_figures { int64_t months; const char *since; double seconds, batch_size;	/* completed in the last 30 days; of one, on average */
	int64_t calls[BF_NPROVIDERS], units[BF_NPROVIDERS], used[BF_NPROVIDERS], reset_in_s[BF_NPROVIDERS]; double cost_usd[BF_NPROVIDERS]; };	/* in 30 days; used: today */
typedef void bf_store_plan_done(void *ctx, const struct bf_error *err, const struct bf_plan_figures *);
struct bf_op *bf_store_plan_figures(struct bf_store *, bf_store_plan_done *, void *ctx);
/* All that a page shows, of one moment. The JSON is PostgreSQL's; times in microseconds since 1970, 0: none. */
struct bf_overview_ask { struct bf_quota_limits limits; int instance_id, year_low, year_high; };
struct bf_overview {
	const char *now, *stats, *queue, *months, *instances, *alerts, *paused;	/* months: rows; the lists and paused may be NULL */
	const char *pause_note, *retry_reason;		/* of the retry that is due first */
	int64_t db_wall_us, last_event, pause_until_us, retry_first_us, retry_last_us;
	int total, pending, pending_within, processing, completed, failed, retry, retries_due;	/* within: the years asked about */
	int live, holders, in_flight, left_behind, older;	/* instances alive; those that hold months; months held, and those held by nobody */
	double cost_usd, left_batch_size;
	struct { const char *quota, *today; } provider[BF_NPROVIDERS];
	struct bf_plan_figures plan;
};
typedef void bf_store_overview_done(void *ctx, const struct bf_error *err, const struct bf_overview *);
struct bf_op *bf_store_overview(struct bf_store *, const struct bf_overview_ask *, bf_store_overview_done *, void *ctx);
struct bf_check { const char *name; int64_t checked, errors, warnings; };
struct bf_finding { const char *check; bool error; const char *subject, *text, *remedy; };
struct bf_findings { const struct bf_check *checks; int n_checks; const struct bf_finding *v; int n;	/* n <= 500, errors first; totals true */
	int year_low, year_high; int64_t db_wall_us; };
struct bf_verify { int year_low, year_high; bool asked; int64_t stuck_after_ms, events_ms, limit_ms; };	/* asked: the years were named, so each must be there */
typedef void bf_store_findings_done(void *ctx, const struct bf_error *err, const struct bf_findings *);
/* All checks see one state of the database. One look at a time, and at most limit_ms (err sqlstate 57014); err REFUSED: another is under way. */
#define BF_VERIFY_LIMIT_MS 100000
struct bf_op *bf_store_verify(struct bf_store *, const struct bf_verify *, bf_store_findings_done *, void *ctx);
struct bf_op *bf_store_doctor(struct bf_store *, int connections, bf_store_findings_done *, void *ctx);

/* ---- migrations and the start's checks ---- */
enum bf_schema { BF_SCHEMA_OK, BF_SCHEMA_BEHIND, BF_SCHEMA_CHANGED, BF_SCHEMA_NOT_UTF8, BF_SCHEMA_NO_RIGHTS, BF_SCHEMA_POOLED };
typedef void bf_store_schema_done(void *ctx, const struct bf_error *err, enum bf_schema, const char *remedy);
struct bf_op *bf_store_check_schema(struct bf_store *, bf_store_schema_done *, void *ctx);
/* Runs in a loop of its own on a session of its own; prints one line per migration to stdout. Returns an exit code (0, 1, 3). */
int bf_store_migrate(const char *conninfo, bool status_only);
#endif
