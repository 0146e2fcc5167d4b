/*
 * enrich: the consumer of the enrichment queue. Each item is a small state machine with its own table; items of one batch share
 * their requests and their writes. Editions are looked up at several providers, merged and written to the catalogue; synthetic
 * works (kind WORK, queued by the enhancement timer) walk the chain of resolution once more.
 */
#ifndef BACKFILL_ENRICH_H
#define BACKFILL_ENRICH_H
#include <stdio.h>
#include "backfill/config.h"
#include "backfill/providers.h"
#include "backfill/store.h"

struct bf_enrich;
typedef void bf_enrich_ended(void *ctx);		/* the last item is gone */
struct bf_enrich *bf_enrich_new(struct bf_loop *, struct bf_store *, struct bf_providers *, const struct bf_config *,
				bf_enrich_ended *, void *ctx);
void bf_enrich_free(struct bf_enrich *);
void bf_enrich_configure(struct bf_enrich *, const struct bf_config *);	/* borrowed until the next call */
/* From each pulse: the instance lives, whether all is paused, how long the queue is. Claims begin with the first one. */
void bf_enrich_pulse(struct bf_enrich *, const struct bf_pulse *);
void bf_enrich_locks_down(struct bf_enrich *);		/* claims nothing until the next pulse */
void bf_enrich_wake(struct bf_enrich *);		/* NOTIFY: something was queued */
/* Claims nothing any more; requests under way are awaited within drain_timeout, the rest is released; ended is called at the end. */
void bf_enrich_drain(struct bf_enrich *);
int  bf_enrich_count(const struct bf_enrich *);		/* items held */
bool bf_enrich_idle(const struct bf_enrich *);		/* none held, and none on their way from a claim */

#define BF_ITEM_ENDS 7
extern const char *const bf_item_end_names[BF_ITEM_ENDS];	/* completed waiting retry failed released lost rekeyed */
#define BF_BATCH_BUCKETS 10
extern const double bf_batch_bounds_s[BF_BATCH_BUCKETS];
struct bf_enrich_figures {
	uint64_t ended[BF_ITEM_ENDS];
	uint64_t batches, stale, bugs, works_new, works_promoted, works_absorbed, records_reused;
	struct { uint64_t bucket[BF_BATCH_BUCKETS], n; double sum_s; } batch;
};
void bf_enrich_figures(const struct bf_enrich *, struct bf_enrich_figures *ret);
void bf_enrich_print_states(FILE *);			/* Mermaid, from the table that runs the items */
#endif
