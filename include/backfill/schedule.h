/*
 * schedule: what to claim and when. The cron timers, the pulse every 4 s (orphans, due retries, pause, live instances), claims
 * on behalf of the interface, harvest jobs, drain.
 */
#ifndef BACKFILL_SCHEDULE_H
#define BACKFILL_SCHEDULE_H
#include "backfill/config.h"
#include "backfill/enrich.h"
#include "backfill/month.h"
#include "backfill/providers.h"
#include "backfill/store.h"

struct bf_schedule;
/* All borrowed; enrich is told of pulses and lost locks, NULL: nobody enriches. */
struct bf_schedule *bf_schedule_new(struct bf_loop *, struct bf_store *, struct bf_months *, struct bf_providers *,
				    struct bf_enrich *, const struct bf_config *);
void bf_schedule_free(struct bf_schedule *);
void bf_schedule_configure(struct bf_schedule *, const struct bf_config *);
void bf_schedule_locks_up(struct bf_schedule *);	/* the lock session came up (again) */
void bf_schedule_locks_down(struct bf_schedule *);
void bf_schedule_slot_free(struct bf_schedule *);	/* a month ended: look for due retries, unlock */
void bf_schedule_drain(struct bf_schedule *);		/* claims nothing any more */
bool bf_schedule_draining(const struct bf_schedule *);

/* Why nothing may be claimed now: "draining", "no AI provider usable: ...", "database away"; NULL when it may. */
const char *bf_schedule_blocked(const struct bf_schedule *);
/* Claims for POST schedule-backfill: the reply comes when the claim is committed. years in either order. err CONFIG: paused. */
struct bf_op *bf_schedule_claim(struct bf_schedule *, int batch_size, int year_a, int year_b, bool force_retry,
				bf_store_claim_done *, void *ctx);
struct bf_op *bf_schedule_harvest(struct bf_schedule *, const struct bf_harvest *, bf_store_harvest_done *, void *ctx);
/* The last pulse, NULL before the first; valid until the next turn of the loop. */
const struct bf_pulse *bf_schedule_last_pulse(const struct bf_schedule *, int64_t *ret_age_ms);
int64_t bf_schedule_next_run(const struct bf_schedule *);	/* Unix seconds; -1 the timer is off */
int64_t bf_schedule_next_enhancement(const struct bf_schedule *);	/* the same of the second timer */
int bf_schedule_instance(const struct bf_schedule *);

/* ---- alerts: looked at after the pulse, by the oldest instance for all ---- */
/* Through whom the webhook is told; before the first pulse. Without this call nothing is looked at. */
void bf_schedule_alerts(struct bf_schedule *, struct bf_http *);
/* Alerts that are open, of all instances, and what this one has told the webhook. */
#define BF_ALERT_KINDS 32
struct bf_alert_figures {
	struct { char key[24], severity[12]; int n; } open[BF_ALERT_KINDS];
	int n_open;
	uint64_t delivered, failed, given_up;	/* failed: tried again later */
};
const struct bf_alert_figures *bf_schedule_alert_figures(const struct bf_schedule *);
#endif
