/*
 * Every 4 s one statement asks all standing questions: who lives, which months lost their owner, which of our own are ours no more,
 * which retries are due, is there a pause, what did others close. An orphan is rescued after two looks 2 s apart.
 */
#include "schedule.h"
#include "alerts.h"
#include <stdlib.h>
#include <string.h>

#define AGAIN_MS         1000
#define SERVER_SETTLE_MS 5000 /* after a start or promotion other owners may not be back yet */
#define HELD_MAX         4096
#define PRUNE_US         3600000000ull

static void pulse(struct bf_schedule *);

static void fired(void *ctx)
{
	struct bf_schedule *s = ctx;

	s->pulse_timer = NULL;
	pulse(s);
}

void pulse_soon(struct bf_schedule *s, int64_t ms)
{
	if (!s->greeted || s->pulse_op)
		return;
	bf_op_cancel(s->pulse_timer);
	s->pulse_timer = bf_timer_start(s->loop, ms, fired, s);
}

void pulse_stop(struct bf_schedule *s)
{
	bf_op_cancel(s->pulse_timer);
	bf_op_cancel(s->pulse_op);
	bf_op_cancel(s->touch_op);
	s->pulse_timer = s->pulse_op = s->touch_op = NULL;
	s->n_suspects = 0;
}

/* ---- claims of its own ---- */
static void rescued(void *ctx, const struct bf_error *err, const struct bf_claim *claim)
{
	struct bf_schedule *s = ctx;

	s->rescue_op = NULL;
	if (err) {
		bf_log(BF_WARN, "orphans not taken up", BF_E(err));
		return;
	}
	if (claim->n)
		bf_log(BF_INFO, "months taken up from an owner that is gone",
			BF_I("months", claim->n));
	schedule_took(s, claim);
}

static void retries_claimed(void *ctx, const struct bf_error *err, const struct bf_claim *claim)
{
	struct bf_schedule *s = ctx;

	s->due_op = NULL;
	if (err)
		bf_log(err->class == BF_ERR_CONFIG ? BF_DEBUG : BF_WARN, "due retries not claimed",
			BF_E(err));
	else
		schedule_took(s, claim);
}

static const struct suspect *suspected(const struct bf_schedule *s, const struct bf_month_ref *ref)
{
	for (int i = 0; i < s->n_suspects; i++) {
		const struct bf_month_ref *was = &s->suspects[i].ref;

		if (was->year == ref->year && was->month == ref->month && was->fence == ref->fence)
			return &s->suspects[i];
	}
	return NULL;
}

/* Returns whether some orphan waits for its second look. */
static bool look_for_orphans(struct bf_schedule *s)
{
	const struct bf_pulse *p = &s->pulse;
	size_t n = (size_t)(p->n_orphans > 0 ? p->n_orphans : 1);
	struct suspect *now = bf_xcalloc(n, sizeof *now);
	struct bf_month_ref *take = bf_xcalloc(n, sizeof *take);
	int n_now = 0, n_take = 0;

	for (int i = 0; i < p->n_orphans && !p->paused; i++) {
		const struct bf_orphan *o = &p->orphans[i];
		const struct suspect *was = suspected(s, &o->ref);

		if (o->stuck ||
			(was && s->pulse_us - was->seen_us >= (LOOK_AGAIN_MS - 100) * 1000ull)) {
			take[n_take++] = o->ref;
		} else {
			now[n_now].ref = o->ref;
			now[n_now++].seen_us = was ? was->seen_us : s->pulse_us;
		}
	}
	free(s->suspects);
	s->suspects = now;
	s->n_suspects = n_now;
	if (n_take && !s->rescue_op)
		s->rescue_op = bf_store_rescue(
			s->store, take, n_take, s->config->scheduler.stuck_after_ms, rescued, s);
	free(take);
	return n_now > 0;
}

static void claim_due_retries(struct bf_schedule *s)
{
	int slots = bf_months_free_slots(s->months);

	if (s->pulse.due_retries > 0 && slots > 0 && !s->pulse.paused && !s->due_op &&
		bf_providers_any_ai(s->providers))
		s->due_op = bf_store_claim(s->store, BF_CLAIM_DUE_RETRIES, slots, 1900, 2100, false,
			retries_claimed, s);
}

static void touched(
	void *ctx, const struct bf_error *err, const struct bf_month_ref *lost, int n_lost)
{
	struct bf_schedule *s = ctx;

	s->touch_op = NULL;
	for (int i = 0; !err && i < n_lost; i++)
		bf_months_lost(s->months, &lost[i]);
}

/* Cancelled, reset or taken over elsewhere: its slot and its lock are wanted, and its requests in vain. */
static void drop_lost(struct bf_schedule *s, const struct bf_pulse *p)
{
	for (int i = 0; i < p->n_lost; i++)
		bf_months_lost(s->months, &p->lost[i]);
}

/* Months that wait their turn are not stuck: that they are still wanted is progress. */
static void touch_waiting(struct bf_schedule *s)
{
	struct bf_month_ref *refs;
	int n;

	if (s->touch_op ||
		s->pulse_us - s->touched_us <
			(uint64_t)s->config->scheduler.stuck_after_ms * 1000 / 4)
		return;
	s->touched_us = s->pulse_us;
	refs = bf_xcalloc(HELD_MAX, sizeof *refs);
	n = bf_months_refs(s->months, refs, HELD_MAX, true);
	if (n)
		s->touch_op = bf_store_touch(s->store, refs, n, touched, s);
	free(refs);
}

static void pruned(void *ctx, const struct bf_error *err, int64_t rows)
{
	struct bf_schedule *s = ctx;

	s->prune_op = NULL;
	if (err)
		bf_log(BF_WARN, "old rows not pruned", BF_E(err));
	else if (rows)
		bf_log(BF_INFO, "old rows pruned", BF_I("rows", rows));
	if (!err && rows >= BF_PRUNE_BITE)
		s->pruned_us = 0; /* the next pulse takes the next bite */
}

/* Once an hour, by the oldest instance alone. */
static void prune_sometimes(struct bf_schedule *s)
{
	struct bf_retention r = { .events_ms = s->config->retention.events_ms,
		.answers_ms = s->config->retention.answers_ms,
		.enrichment_log_ms = s->config->retention.enrichment_log_ms,
		.api_usage_ms = s->config->retention.api_usage_ms,
		.audit_ms = s->config->retention.audit_ms,
		.job_status_ms = s->config->retention.job_status_ms };

	if (!s->pulse.n_instances || s->pulse.instance_ids[0] != s->instance_id || s->prune_op)
		return;
	if (s->pruned_us && s->pulse_us - s->pruned_us < PRUNE_US)
		return;
	s->pruned_us = s->pulse_us;
	s->prune_op = bf_store_prune(s->store, &r, pruned, s);
}

/* ---- the answer ---- */
static void *copy(struct bf_arena *arena, const void *from, size_t size)
{
	void *to = bf_arena_alloc(arena, size ? size : 1);

	if (size)
		memcpy(to, from, size);
	return to;
}

static void keep(struct bf_schedule *s, const struct bf_pulse *p)
{
	struct bf_provider_closure *closures;

	bf_arena_free(s->pulse_arena);
	s->pulse_arena = bf_arena_new();
	s->pulse = *p;
	s->pulse.instance_ids = copy(
		s->pulse_arena, p->instance_ids, (size_t)p->n_instances * sizeof *p->instance_ids);
	s->pulse.orphans =
		copy(s->pulse_arena, p->orphans, (size_t)p->n_orphans * sizeof *p->orphans);
	closures = copy(s->pulse_arena, p->closures, (size_t)p->n_closures * sizeof *closures);
	for (int i = 0; i < p->n_closures; i++)
		closures[i].reason = bf_arena_strdup(s->pulse_arena, p->closures[i].reason);
	s->pulse.closures = closures;
	s->pulse.pause_note = bf_arena_strdup(s->pulse_arena, p->pause_note);
	s->pulse.lost = NULL; /* dropped by now */
	s->pulse.n_lost = 0;
	s->pulse_us = bf_now_us();
	s->have_pulse = true;
}

static void beaten(void *ctx, const struct bf_error *err, const struct bf_pulse *p)
{
	struct bf_schedule *s = ctx;
	int64_t next = PULSE_MS;

	s->pulse_op = NULL;
	if (err) {
		bf_log(BF_WARN, "no pulse", BF_E(err));
		pulse_soon(s, AGAIN_MS);
		return;
	}
	drop_lost(s, p);
	keep(s, p);
	bf_providers_pulse(s->providers, s->instance_id, s->alone, &s->pulse);
	if (s->enrich)
		bf_enrich_pulse(s->enrich, &s->pulse);
	if (!s->draining) {
		if (!s->timers_begun) { /* not before: a run is measured by the quota the pulse tells */
			s->timers_begun = true;
			timer_begin(&s->schedule_timer);
			timer_begin(&s->enhancement_timer);
		}
		if (p->server_up_ms >= SERVER_SETTLE_MS && look_for_orphans(s))
			next = LOOK_AGAIN_MS;
		claim_due_retries(s);
		prune_sometimes(s);
		alerts_pulse(s->alerts);
	}
	touch_waiting(s);
	if (p->next_retry_ms >= 0 && p->next_retry_ms < next)
		next = p->next_retry_ms > AGAIN_MS ? p->next_retry_ms : AGAIN_MS;
	pulse_soon(s, next);
}

static void pulse(struct bf_schedule *s)
{
	struct bf_month_ref *mine = bf_xcalloc(HELD_MAX, sizeof *mine);
	int n = bf_months_refs(s->months, mine, HELD_MAX, false);

	s->pulse_op =
		bf_store_pulse(s->store, mine, n, s->config->scheduler.stuck_after_ms, beaten, s);
	free(mine);
}

const struct bf_pulse *bf_schedule_last_pulse(const struct bf_schedule *s, int64_t *ret_age_ms)
{
	if (!s->have_pulse)
		return NULL;
	if (ret_age_ms)
		*ret_age_ms = (int64_t)(bf_now_us() - s->pulse_us) / 1000;
	return &s->pulse;
}

int64_t pulse_db_wall_us(const struct bf_schedule *s)
{
	return s->have_pulse ? s->pulse.db_wall_us + (int64_t)(bf_now_us() - s->pulse_us)
			     : bf_wall_us();
}
