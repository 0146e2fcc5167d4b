/*
 * The built-in timer. When it is due is computed from the cron expression by the database's clock; whose run it is decides the
 * database, so that several instances fire once together and a run missed while all were down is caught up once.
 */
#include "schedule.h"
#include <stdlib.h>

#define NAME     "schedule"
#define LOOK_MS  60000 /* clocks may step: never sleep longer than this */
#define AGAIN_MS 5000
#define TRIES    12

static void arm(struct bf_schedule *s);
static void claim_run(struct bf_schedule *s);

int timer_batch(int batch_size, int64_t used, int64_t limit, int throttle_percent)
{
	int64_t percent, n;

	if (limit <= 0 || throttle_percent >= 100)
		return batch_size;
	percent = used * 100 / limit;
	if (percent < throttle_percent)
		return batch_size;
	n = percent >= 100 ? 0 : batch_size * (100 - percent) / (100 - throttle_percent);
	return n > 1 ? (int)n : 1;
}

static void fired(void *ctx)
{
	struct bf_schedule *s = ctx;
	int64_t now = pulse_db_wall_us(s) / 1000000;

	s->cron_timer = NULL;
	if (s->next_run >= 0 && now >= s->next_run) {
		s->firing = s->next_run;
		s->cron_tries = 0;
		s->next_run = bf_cron_next(&s->cron, s->config->scheduler.timezone, now);
		claim_run(s);
	}
	arm(s);
}

static void arm(struct bf_schedule *s)
{
	int64_t ms;

	bf_op_cancel(s->cron_timer);
	s->cron_timer = NULL;
	if (!s->cron_on || s->draining || s->next_run < 0)
		return;
	ms = s->next_run * 1000 - pulse_db_wall_us(s) / 1000;
	s->cron_timer = bf_timer_start(s->loop,
		ms < 0                 ? 0
			: ms < LOOK_MS ? ms + 1
				       : LOOK_MS,
		fired, s);
}

/* ---- a run ---- */
static void again(void *ctx)
{
	struct bf_schedule *s = ctx;

	s->cron_op = NULL;
	claim_run(s);
}

static void claimed(void *ctx, const struct bf_error *err, const struct bf_claim *claim)
{
	struct bf_schedule *s = ctx;

	if (err)
		bf_log(BF_WARN, "timer run claimed nothing", BF_E(err));
	else
		bf_log(BF_INFO, "timer run", BF_I("months", claim->n),
			BF_I("pending", claim->totals.pending));
	(void)s;
}

static void run(struct bf_schedule *s)
{
	int reserve, limit = bf_provider_daily_limit(s->providers, BF_ISBNDB, &reserve);
	const char *blocked = bf_schedule_blocked(s);
	int n = timer_batch(s->config->scheduler.batch_size,
		s->have_pulse ? s->pulse.isbndb_used : 0,
		s->config->provider[BF_ISBNDB].enabled ? limit - reserve : 0,
		s->config->alerts.quota_throttle_percent);

	if (blocked) {
		bf_log(BF_WARN, "timer run skipped", BF_S("reason", blocked));
		return;
	}
	if (n < s->config->scheduler.batch_size)
		bf_log(BF_INFO, "timer run throttled by the quota", BF_I("months", n),
			BF_I("used", s->pulse.isbndb_used));
	bf_schedule_claim(s, n, s->config->scheduler.year_start, s->config->scheduler.year_end,
		false, claimed, s);
}

static void run_claimed(void *ctx, const struct bf_error *err, enum bf_store_outcome outcome)
{
	struct bf_schedule *s = ctx;

	s->cron_op = NULL;
	if (err) {
		bf_log(BF_WARN, "timer run not claimed yet", BF_E(err));
		if (err->class == BF_ERR_RETRY && ++s->cron_tries < TRIES && !s->draining)
			s->cron_op = bf_timer_start(s->loop, AGAIN_MS, again, s);
		return;
	}
	if (outcome == BF_STORE_DONE)
		run(s);
	else
		bf_log(BF_DEBUG, "timer run is another instance's", BF_I("scheduled", s->firing));
}

static void claim_run(struct bf_schedule *s)
{
	if (!s->cron_op)
		s->cron_op = bf_store_timer_claim(s->store, NAME, s->firing, run_claimed, s);
}

/* ---- the beginning ---- */
static void last_run_known(void *ctx, const struct bf_error *err, int64_t last_run)
{
	struct bf_schedule *s = ctx;
	int64_t now = pulse_db_wall_us(s) / 1000000, missed;

	s->cron_op = NULL;
	if (err) {
		bf_log(BF_WARN, "last timer run not known: nothing is caught up", BF_E(err));
		return;
	}
	missed = bf_cron_prev(&s->cron, s->config->scheduler.timezone, now);
	if (last_run < 0 || missed < 0 || missed <= last_run || !s->config->scheduler.catch_up)
		return;
	bf_log(BF_INFO, "a timer run was missed while down: caught up once",
		BF_I("scheduled", missed));
	s->firing = missed;
	s->cron_tries = 0;
	claim_run(s);
}

void timer_begin(struct bf_schedule *s)
{
	if (!s->cron_on || s->draining)
		return;
	if (s->next_run < 0)
		s->next_run = bf_cron_next(
			&s->cron, s->config->scheduler.timezone, pulse_db_wall_us(s) / 1000000);
	if (!s->cron_op)
		s->cron_op = bf_store_timer_last(s->store, NAME, last_run_known, s);
	arm(s);
}

void timer_configure(struct bf_schedule *s)
{
	struct bf_error err;
	const char *expr = s->config->scheduler.schedule;

	/* validated with the configuration */
	s->cron_on = expr && expr[0] && bf_cron_parse(&s->cron, expr, &err);
	s->next_run = s->cron_on ? bf_cron_next(&s->cron, s->config->scheduler.timezone,
					   pulse_db_wall_us(s) / 1000000)
				 : -1;
	arm(s);
}

void timer_stop(struct bf_schedule *s)
{
	bf_op_cancel(s->cron_timer);
	bf_op_cancel(s->cron_op);
	s->cron_timer = s->cron_op = NULL;
	s->next_run = -1;
}

int64_t bf_schedule_next_run(const struct bf_schedule *s)
{
	return s->next_run;
}
