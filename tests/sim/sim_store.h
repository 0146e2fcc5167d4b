/* sim_store: the store's door over the model, with a network between them; and the sessions that may be lost. */
#ifndef SIM_STORE_H
#define SIM_STORE_H
#include "model.h"
#include "world.h"

/* How a lock session goes: the server ends it; the client loses it and the server keeps it a while; the client is not told. */
enum lose { LOSE_ENDED, LOSE_LINGERS, LOSE_SILENT };

struct bf_store *sim_store_new(struct inst *);
void sim_store_connect(struct bf_store *);		/* the lock session comes up after a while, again and again */
void sim_store_lose_locks(struct bf_store *, enum lose);
/* The process is gone: what was sent may yet be applied. linger: the server keeps its lock session for a while. */
void sim_store_gone(struct bf_store *, bool linger);
int  sim_store_session(const struct bf_store *);	/* of its locks; 0: none */
int  sim_store_calls(const struct bf_store *);		/* under way */
void sim_db_away(bool away);				/* for all */
bool sim_db_is_away(void);
void sim_db_begin(void);
void sim_db_release(void);				/* calls of processes that are gone */
void sim_db_clock(void);				/* the model's clock is set to now */

/* A call, for the two files that make up the door. */
struct call {
	struct bf_op op;
	struct ev ev;
	struct call *next;		/* of the store, or of those nobody waits for */
	struct call **back;
	struct bf_store *store;		/* NULL: nobody waits any more */
	struct caller by;
	const char *name;
	bool locks, parked, applied, failed, cancelled, refusable;
	struct bf_arena *arena;
	void (*apply)(struct call *);
	void (*tell)(struct call *, const struct bf_error *);
	void (*dropped)(struct call *);	/* the answer, or the call itself, is lost; NULL: all the same */
	void (*done)(void);
	void *ctx;
	struct bf_error err;
	/* what was asked */
	struct bf_step step;
	struct bf_month_ref *refs;
	int n, a, b, c;
	bool flag;
	int64_t ms, late_us;
	const char *text, *text2;
	enum bf_provider_id provider;
	void *v;			/* whatever the call copied */
	/* what came of it */
	enum bf_store_outcome outcome;
	int n_ret;
	int64_t number;
	void *ret;
};
struct call *call_new(struct bf_store *, const char *name, bool locks, void (*apply)(struct call *),
		      void (*tell)(struct call *, const struct bf_error *), void (*done)(void), void *ctx);
struct bf_op *call_go(struct call *);
void sim_store_race(struct call *);
struct inst *call_inst(const struct call *);		/* NULL: gone */
struct bf_month_ref *call_refs(struct call *, const struct bf_month_ref *, int n);
void call_step(struct call *, const struct bf_step *);
uint64_t *store_quota_row_until(struct bf_store *, enum bf_provider_id);
void store_set_owner(struct bf_store *, int owner_id);
#endif
