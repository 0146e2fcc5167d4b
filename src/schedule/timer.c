/*
 * A timer: a cron expression and a run. When it is due is computed from the expression by the database's clock; whose run it is
 * decides the database, by the timer's name, so that several instances fire once together and runs missed while all were down are
 * caught up once. What the runs do is in runs.c.
 */
#include "schedule.h"
#include <stdlib.h>

#define LOOK_MS  60000 /* clocks may step: never sleep longer than this */
#define AGAIN_MS 5000
#define TRIES    12

static void arm(struct timer *t);
static void claim_run(struct timer *t);

/* Seconds since 1970 by the database's clock. */
static int64_t db_now(const struct timer *t)
{
	return pulse_db_wall_us(t->s) / 1000000;
}

/* ---- the alarm ---- */
static void fired(void *ctx)
{
	struct timer *t = ctx;
	int64_t now = db_now(t);

	t->alarm = NULL;
	if (t->next_run >= 0 && now >= t->next_run) {
		t->firing = t->next_run;
		t->tries = 0;
		t->next_run = bf_cron_next(&t->cron, t->zone, now);
		claim_run(t);
	}
	arm(t);
}

/* Sleeps until the next run; longer sleeps are done in pieces. */
static void arm(struct timer *t)
{
	int64_t ms;

	bf_op_cancel(t->alarm);
	t->alarm = NULL;
	if (!t->on || t->s->draining || t->next_run < 0)
		return;
	ms = t->next_run * 1000 - pulse_db_wall_us(t->s) / 1000;
	if (ms < 0)
		ms = 0;
	else
		ms = ms < LOOK_MS ? ms + 1 : LOOK_MS;
	t->alarm = bf_timer_start(t->s->loop, ms, fired, t);
}

/* ---- whose run it is ---- */
static void again(void *ctx)
{
	struct timer *t = ctx;

	t->op = NULL;
	claim_run(t);
}

static void run_claimed(void *ctx, const struct bf_error *err, enum bf_store_outcome outcome)
{
	struct timer *t = ctx;

	t->op = NULL;
	if (err) {
		bf_log(BF_WARN, "timer run not claimed yet", BF_S("timer", t->name), BF_E(err));
		if (err->class == BF_ERR_RETRY && ++t->tries < TRIES && !t->s->draining)
			t->op = bf_timer_start(t->s->loop, AGAIN_MS, again, t);
		return;
	}
	if (outcome == BF_STORE_DONE)
		t->run(t->s);
	else
		bf_log(BF_DEBUG, "timer run is another instance's", BF_S("timer", t->name),
			BF_I("scheduled", t->firing));
}

static void claim_run(struct timer *t)
{
	if (!t->op)
		t->op = bf_store_timer_claim(t->s->store, t->name, t->firing, run_claimed, t);
}

/* ---- what was missed ---- */
static void last_run_known(void *ctx, const struct bf_error *err, int64_t last_run)
{
	struct timer *t = ctx;
	int64_t missed;

	t->op = NULL;
	if (err) {
		bf_log(BF_WARN, "last timer run not known: nothing is caught up",
			BF_S("timer", t->name), BF_E(err));
		return;
	}
	if (!t->on || last_run < 0 || !t->s->config->scheduler.catch_up)
		return;
	missed = bf_cron_prev(&t->cron, t->zone, db_now(t));
	if (missed < 0 || missed <= last_run)
		return;
	bf_log(BF_INFO, "a timer run was missed while down: caught up once", BF_S("timer", t->name),
		BF_I("scheduled", missed));
	t->firing = missed;
	t->tries = 0;
	claim_run(t);
}

/* ---- its life ---- */
void timer_init(struct timer *t, struct bf_schedule *s, const char *name, timer_run *run)
{
	*t = (struct timer){ .s = s, .name = name, .run = run, .next_run = -1 };
}

void timer_configure(struct timer *t, const char *expr, const char *zone)
{
	struct bf_error err;

	/* validated with the configuration */
	t->on = expr && expr[0] && bf_cron_parse(&t->cron, expr, &err);
	t->zone = zone;
	t->next_run = t->on ? bf_cron_next(&t->cron, t->zone, db_now(t)) : -1;
	arm(t);
}

void timer_begin(struct timer *t)
{
	if (!t->on || t->s->draining)
		return;
	if (t->next_run < 0)
		t->next_run = bf_cron_next(&t->cron, t->zone, db_now(t));
	if (!t->op)
		t->op = bf_store_timer_last(t->s->store, t->name, last_run_known, t);
	arm(t);
}

void timer_stop(struct timer *t)
{
	bf_op_cancel(t->alarm);
	bf_op_cancel(t->op);
	t->alarm = t->op = NULL;
	t->next_run = -1;
}
