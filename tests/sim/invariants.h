/*
 * invariants: what must be true whatever happens. Some are looked at after every change of the database, some at the moment of
 * a write or a request, some at the end. Counts are kept here a second time, from what was granted, sent and given back.
 */
#ifndef SIM_INVARIANTS_H
#define SIM_INVARIANTS_H
#include "model.h"
#include "world.h"

void inv_begin(void);
void inv_release(void);
void inv_look(void);			/* after every event; cheap when nothing changed */
void inv_end(void);			/* everything is over */

/* A write of a month: what the row was before it. */
struct audit { const struct bf_step *step; bool had, mine; int n_events, retry_count; };
struct audit audit_begin(const struct bf_step *);
void audit_end(const struct audit *, enum bf_store_outcome);
void audits_begin(void);
struct month;
void audit_loses(const struct month *);	/* it is about to be dropped */
void audit_told(const struct inst *, const struct bf_step *, enum bf_store_outcome);
void audit_writes(const struct inst *, const struct bf_step *);
void audit_failure(const struct bf_step *, const struct bf_failure *);
void audit_flush(const struct bf_flush *);
void audit_reserve(enum bf_provider_id, int limit, int reserve, const struct bf_reserve *, const struct bf_reserved *, int n);
void audit_claimed(const char *who, const struct bf_claim *);
void audit_rescue(const struct caller *, const struct bf_month_ref *, int n, int64_t stuck_ms);
void audit_pulse(int owner_id, const struct bf_pulse *);
int  audit_stale(const struct bf_month_ref *, int n, struct bf_month_ref *stale);	/* those that are nobody's or another's */
void audit_dropped(const struct inst *, const struct bf_month_ref *stale, int n);	/* the pulse was heard */
void audit_rescued(const struct caller *, const struct bf_claim *);
void audit_timer(const char *who, int owner_id, int64_t scheduled);

/* Units: granted to an instance, sent by it, given back by it, or lost on the way. */
void inv_granted(struct inst *, enum bf_provider_id, const struct bf_month_ref *, int units);
void inv_units_lost(enum bf_provider_id, const struct bf_month_ref *, int units);
void inv_flush_begins(struct inst *, const struct bf_flush *);
void inv_flush_busy(struct inst *, const struct bf_flush *);	/* it was told that nothing was written */
void inv_taken(struct inst *, const struct bf_month_row *, int n);
void inv_reset(int year, int month);
void inv_instance_gone(struct inst *, bool in_order);	/* in order: it has given everything back */
/* A request goes out: about this month's list of books, or about this book. */
void inv_ai_sent(struct inst *, enum bf_provider_id, int year, int month);
void inv_search_sent(struct inst *, enum bf_provider_id, int book);
void inv_print(void);
#endif
