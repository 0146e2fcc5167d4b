/* The parts of the scheduler, private to the room: the pulse, the claims, the cron timers and their runs. */
#ifndef SCHEDULE_SCHEDULE_H
#define SCHEDULE_SCHEDULE_H
#include "backfill/schedule.h"

#define PULSE_MS 4000
#define LOOK_AGAIN_MS 2000	/* two looks this far apart make an orphan */

struct held {			/* months whose advisory lock our session holds */
	struct bf_month_ref *refs;
	int n, cap;
};
struct suspect { struct bf_month_ref ref; uint64_t seen_us; };

typedef void timer_run(struct bf_schedule *);
struct timer {
	struct bf_schedule *s;
	const char *name;	/* in backfill_timers: there one instance gets each run */
	timer_run *run;
	bool on;
	struct bf_cron cron;
	const char *zone;	/* borrowed from the configuration */
	int64_t next_run, firing;	/* Unix seconds by the database's clock; next_run -1: none */
	int tries;		/* to claim the run `firing` */
	struct bf_op *alarm, *op;
};

struct bf_schedule {
	struct bf_loop *loop;
	struct bf_store *store;
	struct bf_months *months;
	struct bf_providers *providers;
	struct bf_enrich *enrich;	/* NULL: nobody enriches */
	const struct bf_config *config;
	int  instance_id;
	bool locks_up, greeted, alone, draining;
	struct held held;
	struct bf_op *unlock_timer, *hello_op, *relock_op, *hello_timer;
	/* pulse.c */
	struct bf_op *pulse_timer, *pulse_op, *rescue_op, *due_op, *touch_op, *prune_op;
	struct bf_arena *pulse_arena;
	struct bf_pulse pulse;
	uint64_t pulse_us, touched_us, pruned_us;
	bool have_pulse;
	struct suspect *suspects;
	int n_suspects;
	/* timer.c, runs.c */
	struct timer schedule_timer, enhancement_timer;
	bool timers_begun;
	struct bf_op *enhance_op;
	struct alerts *alerts;		/* alerts.c; NULL: nobody looks */
};

/* schedule.c */
void schedule_took(struct bf_schedule *, const struct bf_claim *);	/* claimed or rescued: run them */
/* pulse.c */
void pulse_soon(struct bf_schedule *, int64_t ms);
void pulse_stop(struct bf_schedule *);
int64_t pulse_db_wall_us(const struct bf_schedule *);	/* the database's clock, carried on from the last pulse */
/* timer.c */
void timer_init(struct timer *, struct bf_schedule *, const char *name, timer_run *);
void timer_configure(struct timer *, const char *expr, const char *zone);	/* expr empty: off */
void timer_begin(struct timer *);		/* the database can be asked */
void timer_stop(struct timer *);
/* runs.c */
void runs_schedule(struct bf_schedule *);
void runs_enhancement(struct bf_schedule *);
int  runs_batch(int batch_size, int64_t used, int64_t limit, int throttle_percent);	/* pure */
#endif
