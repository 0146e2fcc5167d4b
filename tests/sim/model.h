/*
 * model: the database as the store's statements see and leave it, in memory: months, jobs, answers, candidates, transitions,
 * quota, closures, cache, timers, the pause, and advisory locks by session. Pure and at once: what a call of the store would
 * have committed is there when the function returns. tests/sim/test_model.c holds it against the real one.
 */
#ifndef SIM_MODEL_H
#define SIM_MODEL_H
#include "backfill/store.h"

enum mstatus { M_PENDING, M_PROCESSING, M_COMPLETED, M_FAILED, M_RETRY };
extern const char *const model_status_names[5];

struct mrow {
	int year, month;
	enum mstatus status;
	char stage[16];			/* "" NULL */
	bool stage_null;
	int  claimed_from;		/* enum mstatus; -1 NULL */
	int64_t fence;
	int  job;			/* index + 1 into jobs; 0 NULL */
	int  owner_id;			/* 0 NULL */
	const char *owner;
	int  retry_count, round, batch_size;
	char variant[40];
	int  generated, resolved, queued, gemini, xai, isbndb, free_calls, merged;
	double rate;			/* < 0 NULL */
	double cost;
	int64_t created_at, started_at, completed_at, progressed_at, next_at;	/* us; 0 NULL */
	const char *error;		/* NULL */
	int64_t locked_until;		/* by a session that is nobody's here: FOR UPDATE and a long transaction */
};
struct mjob {
	char id[37];
	int year, month;
	int64_t fence;
	const char *status, *error;
	bool dry_run;
	int batch_size, max_quota;	/* 0 NULL */
	const char *variant, *model;	/* NULL */
	int instance_id;
};
struct manswer { int year, month, round; enum bf_provider_id provider; int64_t fence; struct bf_answer a; int n_written; };
struct mcand {
	int64_t id;
	int year, month, ord;
	bool gone;			/* deleted by a reset */
	struct bf_book book;
	const char *title_key, *author_key, *resolved_by;
	char isbn13[14];
	int confidence;
	enum bf_cand_state state;
	int64_t merged_into;
};
struct mevent { int year, month; int64_t fence; int step; const char *from, *to, *event; };
struct mcache { enum bf_provider_id provider; const char *title_key, *author_key; char isbn13[14]; bool hit; int confidence; const char *record;
	int64_t expires_at; };
struct mquota { enum bf_provider_id provider; int64_t day, used, leased; int limit, reserve; };
struct mstate { bool known; enum bf_closure kind; int64_t closed_until, probe_until; int failures; const char *reason; };
struct mitem { char isbn13[14]; int year, month; int max_retries; };
struct mtimer { char name[16]; int64_t last_run; char instance[96]; };
struct mlock { int class, key, session, count; };	/* class 1: months, 2: instances */
struct mflush { uint64_t hi, lo; };
struct msession { bool alive; };
/* Units of calls that no month was relieved of, because its fence had moved: by provider and month. */
struct mslack { struct bf_month_ref ref; enum bf_provider_id provider; int units; };

#define MLIST(type) struct { struct type *v; int n, cap; }
struct model {
	int64_t now_us, server_started_us;	/* of the database's clock */
	struct bf_arena *arena;
	uint64_t ids;
	MLIST(mrow) rows;			/* newest first */
	MLIST(mjob) jobs;
	MLIST(manswer) answers;
	MLIST(mcand) cands;
	MLIST(mevent) events;
	MLIST(mcache) cache;
	MLIST(mquota) quotas;
	MLIST(mitem) items;
	MLIST(mtimer) timers;
	MLIST(mlock) locks;
	MLIST(mflush) flushes;
	MLIST(msession) sessions;		/* by session - 1 */
	MLIST(mslack) slack;
	struct mstate state[BF_NPROVIDERS];
	int64_t units_used[BF_NPROVIDERS], units_given_back[BF_NPROVIDERS];
	int instances;				/* ids given out */
	int refunds_after_midnight;		/* flushes that gave units back to the day before */
	bool paused;
	const char *note;
	int64_t paused_until;			/* 0: nobody said */
	uint64_t version;			/* counts changes that matter to the watchers */
	const char *mutant;			/* a rule of this database left out; NULL: none */
};

struct model *model_new(void);
void model_free(struct model *);
void model_clear(struct model *, int64_t now_us);
bool model_mutant(const struct model *, const char *name);
void *model_grow(void *v, int n, int *cap, size_t size);
#define MODEL_ADD(m, list) \
	((m)->list.v = model_grow((m)->list.v, (m)->list.n, &(m)->list.cap, sizeof(*(m)->list.v)), \
		memset(&(m)->list.v[(m)->list.n], 0, sizeof(*(m)->list.v)), &(m)->list.v[(m)->list.n++])

/* rows and locks */
struct mrow *model_row(struct model *, int year, int month);
struct mrow *model_row_add(struct model *, int year, int month, int batch_size, const char *variant);
struct mrow *model_mine(struct model *, const struct bf_month_ref *);	/* fence and processing; NULL */
bool model_paused(const struct model *);
int  model_session_open(struct model *);
void model_session_end(struct model *, int session);
bool model_session_alive(const struct model *, int session);
bool model_lock(struct model *, int class, int key, int session);	/* pg_try_advisory_lock */
bool model_lock_drop(struct model *, int class, int key, int session);	/* pg_advisory_unlock */
int  model_lock_holder(const struct model *, int class, int key);	/* a session; 0 none */
int64_t model_day(enum bf_provider_id, int64_t at_us);
int64_t model_reset_us(enum bf_provider_id, int64_t at_us);		/* the day's end */
void model_totals(const struct model *, struct bf_totals *);
bool model_has_step(const struct model *, const struct bf_step *);
void model_event(struct model *, const struct mrow *, int step, const char *from, const char *to, const char *event);
bool model_row_locked(const struct model *, const struct mrow *);
bool model_stuck(const struct model *, const struct mrow *, int64_t after_ms);

/* who calls: the session of its locks, its name and number */
struct caller { int session, owner_id; const char *instance; };

/* claims (model_claim.c); arrays live in the arena */
void model_claim(struct model *, const struct caller *, enum bf_claim_what, int limit, int low, int high, bool force,
		 struct bf_arena *, struct bf_claim *ret);	/* paused: n 0; ask model_paused */
void model_preview(struct model *, int limit, int low, int high, bool force, struct bf_arena *, struct bf_claim *ret);
void model_rescue(struct model *, const struct caller *, const struct bf_month_ref *, int n, int64_t stuck_ms, struct bf_arena *,
		  struct bf_claim *ret);
void model_harvest(struct model *, const struct caller *, const struct bf_harvest *, struct bf_harvest_reply *ret);
enum bf_store_outcome model_operator(struct model *, enum bf_operator_action, int year, int month);
int64_t model_seed(struct model *, const struct bf_seed *);

/* a month's own writes (model_month.c) */
enum bf_store_outcome model_step(struct model *, const struct bf_step *);
enum bf_store_outcome model_answer(struct model *, const struct bf_step *, const struct bf_answer *);
struct bf_answer *model_answers(struct model *, const struct bf_month_ref *, int round, struct bf_arena *, int *n);
enum bf_store_outcome model_save(struct model *, const struct bf_step *, const struct bf_new_candidate *, int n);
struct bf_candidate *model_candidates(struct model *, const struct bf_month_ref *, struct bf_arena *, int *n);
void model_cache_get(struct model *, struct bf_candidate *, int n);
enum bf_store_outcome model_complete(struct model *, const struct bf_step *, int max_retries);
enum bf_store_outcome model_fail(struct model *, const struct bf_step *, const struct bf_failure *);
enum bf_store_outcome model_release(struct model *, const struct bf_step *);
int model_touch(struct model *, const struct bf_month_ref *, int n, struct bf_month_ref *lost);
enum bf_store_outcome model_job(struct model *, const char *job_id, const char *status, const char *error);

/* flush, quota, closures (model_quota.c) */
int model_flush_busy(struct model *, const struct bf_flush *, struct bf_month_ref *busy);	/* > 0: it writes nothing */
int model_flush(struct model *, const struct bf_flush *, struct bf_month_ref *lost);
/* make_row: the row of the day is made first; false: there was none, and nothing happened. */
bool model_reserve(struct model *, enum bf_provider_id, int limit, int reserve, bool make_row, const struct bf_reserve *, int n,
		   struct bf_reserved *ret);
int64_t model_quota_used(struct model *, enum bf_provider_id);
void model_close_provider(struct model *, const struct bf_provider_closure *);
void model_open_provider(struct model *, enum bf_provider_id);
bool model_probe_provider(struct model *, enum bf_provider_id, int64_t hold_ms);

/* instances and the pulse (model_pulse.c) */
bool model_hello(struct model *, const struct caller *, int instance_id, struct bf_hello *ret);	/* false: its lock is held */
int  model_relock(struct model *, const struct caller *, const struct bf_month_ref *, int n, struct bf_month_ref *lost);
void model_unlock(struct model *, const struct caller *, const struct bf_month_ref *, int n);
void model_pulse(struct model *, const struct caller *, const struct bf_month_ref *, int n, int64_t stuck_ms, struct bf_arena *,
		 struct bf_pulse *ret);
bool model_timer_claim(struct model *, const struct caller *, const char *timer, int64_t scheduled);
int64_t model_timer_last(struct model *, const char *timer);
void model_pause(struct model *, bool paused, const char *note, int64_t until_us);
#endif
