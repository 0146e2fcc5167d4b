/*
 * month: the life of one month as a state machine (its table is the truth; `backfilld states` prints it), and the set of
 * months this process holds.
 */
#ifndef BACKFILL_MONTH_H
#define BACKFILL_MONTH_H
#include <stdio.h>
#include "backfill/config.h"
#include "backfill/providers.h"
#include "backfill/store.h"

struct bf_months;
typedef void bf_months_ended(void *ctx);		/* a slot came free, or the set is empty now */
struct bf_months *bf_months_new(struct bf_loop *, struct bf_store *, struct bf_providers *, const struct bf_config *,
				bf_months_ended *, void *ctx);
void bf_months_free(struct bf_months *);
void bf_months_configure(struct bf_months *, const struct bf_config *);	/* borrowed until the next call */
/* A claimed (or rescued) month; it waits its turn when concurrent_months are in flight. One with the same year and month that
 * is already held is dropped first: its fence is old. */
void bf_months_add(struct bf_months *, const struct bf_month_row *);
/* Somebody else's now, or nobody's: drop it, write nothing. A write under way is awaited: it may be the one that ended it. */
void bf_months_lost(struct bf_months *, const struct bf_month_ref *);
/* Ends all work: what waits is released, AI requests already sent are awaited and stored, the rest released within
 * drain_timeout. Then ended is called with bf_months_count() == 0. */
void bf_months_drain(struct bf_months *);
int  bf_months_count(const struct bf_months *);		/* held: in flight and waiting */
int  bf_months_in_flight(const struct bf_months *);
int  bf_months_free_slots(const struct bf_months *);	/* concurrent_months minus held, never below 0 */
/* Refs of all held months into ret (at most max); waiting_only: those that wait their turn. Returns how many. */
int  bf_months_refs(const struct bf_months *, struct bf_month_ref *ret, int max, bool waiting_only);
bool bf_months_holds(const struct bf_months *, int year, int month);

#define BF_STAGES 5					/* claimed generating saving resolving queueing */
extern const char *const bf_stage_names[BF_STAGES];
#define BF_STAGE_BUCKETS 10
extern const double bf_stage_bounds_s[BF_STAGE_BUCKETS];
struct bf_month_figures {
	uint64_t completed, retried, failed, released, lost, bugs, transitions;
	struct { uint64_t bucket[BF_STAGE_BUCKETS], n; double sum_s; } stage[BF_STAGES];
};
void bf_months_figures(const struct bf_months *, struct bf_month_figures *ret);
/* Mermaid state diagram, from the table that runs the months. */
void bf_month_print_states(FILE *);
#endif
