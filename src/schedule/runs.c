/*
 * What the timers do when a run is ours. `schedule` claims months, fewer when the paid quota runs low; `enhancement` queues synthetic
 * works to be looked for again, and leaves it to the consumer of the queue when that happens.
 */
#include "schedule.h"

/* ---- schedule ---- */
int runs_batch(int batch_size, int64_t used, int64_t limit, int throttle_percent)
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

static void claimed(void *ctx, const struct bf_error *err, const struct bf_claim *claim)
{
	(void)ctx;
	if (err)
		bf_log(BF_WARN, "timer run claimed nothing", BF_E(err));
	else
		bf_log(BF_INFO, "timer run", BF_I("months", claim->n),
			BF_I("pending", claim->totals.pending));
}

void runs_schedule(struct bf_schedule *s)
{
	int reserve, limit = bf_provider_daily_limit(s->providers, BF_ISBNDB, &reserve);
	const char *blocked = bf_schedule_blocked(s);
	int n = runs_batch(s->config->scheduler.batch_size,
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

/* ---- enhancement ---- */
static void queued(void *ctx, const struct bf_error *err, int64_t works)
{
	struct bf_schedule *s = ctx;

	s->enhance_op = NULL;
	if (err) /* not repeated: it may have been committed, and the next run takes what was left */
		bf_log(BF_WARN, "synthetic works not queued", BF_E(err));
	else
		bf_log(BF_INFO, "synthetic works queued to be tried again", BF_I("works", works));
}

/* Paused or without AIs, too: queueing asks nobody, and the consumer knows by itself when it may. */
void runs_enhancement(struct bf_schedule *s)
{
	if (!s->enhance_op)
		s->enhance_op = bf_store_enhance(s->store, s->config->enhancement.batch,
			s->config->enrichment.max_attempts, queued, s);
}
