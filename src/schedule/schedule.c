/* Claims, the lock session's comings and goings, and the locks of months that ended. */
#include "schedule.h"
#include "alerts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNLOCK_GATHER_MS 200
#define HELLO_AGAIN_MS   1000
#define HELD_MAX         4096

struct bf_schedule *bf_schedule_new(struct bf_loop *loop, struct bf_store *store,
	struct bf_months *months, struct bf_providers *providers, struct bf_enrich *enrich,
	const struct bf_config *config)
{
	struct bf_schedule *s = bf_xcalloc(1, sizeof *s);

	s->loop = loop;
	s->store = store;
	s->months = months;
	s->providers = providers;
	s->enrich = enrich;
	timer_init(&s->schedule_timer, s, "schedule", runs_schedule);
	timer_init(&s->enhancement_timer, s, "enhancement", runs_enhancement);
	bf_schedule_configure(s, config);
	return s;
}

void bf_schedule_free(struct bf_schedule *s)
{
	if (!s)
		return;
	pulse_stop(s);
	alerts_free(s->alerts);
	timer_stop(&s->schedule_timer);
	timer_stop(&s->enhancement_timer);
	bf_op_cancel(s->enhance_op);
	bf_op_cancel(s->unlock_timer);
	bf_op_cancel(s->hello_op);
	bf_op_cancel(s->hello_timer);
	bf_op_cancel(s->relock_op);
	bf_op_cancel(s->prune_op);
	bf_arena_free(s->pulse_arena);
	free(s->suspects);
	free(s->held.refs);
	free(s);
}

void bf_schedule_configure(struct bf_schedule *s, const struct bf_config *config)
{
	s->config = config;
	timer_configure(&s->schedule_timer, config->scheduler.schedule, config->scheduler.timezone);
	timer_configure(
		&s->enhancement_timer, config->enhancement.schedule, config->scheduler.timezone);
}

/* ---- locks held ---- */
static void held_add(struct held *h, const struct bf_month_ref *ref)
{
	if (h->n == h->cap) {
		h->cap = h->cap ? h->cap * 2 : 64;
		h->refs = bf_xrealloc(h->refs, (size_t)h->cap, sizeof *h->refs);
	}
	h->refs[h->n++] = *ref;
}

static bool ref_in(const struct bf_month_ref *ref, const struct bf_month_ref *refs, int n)
{
	for (int i = 0; i < n; i++)
		if (refs[i].year == ref->year && refs[i].month == ref->month &&
			refs[i].fence == ref->fence)
			return true;
	return false;
}

static void unlocked(void *ctx, const struct bf_error *err, enum bf_store_outcome outcome)
{
	(void)ctx;
	(void)outcome;
	if (err) /* the session is gone, and its locks with it */
		bf_log(BF_DEBUG, "locks not let go", BF_E(err));
}

/* A lock counts: a month claimed again before its old lock went has two, and one is let go here. */
static void unlock_ended(void *ctx)
{
	struct bf_schedule *s = ctx;
	struct bf_month_ref *mine = bf_xcalloc(HELD_MAX, sizeof *mine), *gone;
	int n_mine = bf_months_refs(s->months, mine, HELD_MAX, false), n_gone = 0, kept = 0;

	s->unlock_timer = NULL;
	gone = bf_xcalloc((size_t)s->held.n + 1, sizeof *gone);
	for (int i = 0; i < s->held.n; i++) {
		if (ref_in(&s->held.refs[i], mine, n_mine))
			s->held.refs[kept++] = s->held.refs[i];
		else
			gone[n_gone++] = s->held.refs[i];
	}
	s->held.n = kept;
	if (n_gone && s->locks_up)
		bf_store_unlock(s->store, gone, n_gone, unlocked, s);
	free(gone);
	free(mine);
}

void bf_schedule_slot_free(struct bf_schedule *s)
{
	if (!s->unlock_timer)
		s->unlock_timer = bf_timer_start(s->loop, UNLOCK_GATHER_MS, unlock_ended, s);
	if (s->have_pulse && s->pulse.due_retries > 0 && !s->draining)
		pulse_soon(s, 0);
}

void schedule_took(struct bf_schedule *s, const struct bf_claim *claim)
{
	for (int i = 0; i < claim->n; i++) {
		held_add(&s->held, &claim->rows[i].ref);
		bf_months_add(s->months, &claim->rows[i]);
	}
}

/* ---- the lock session ---- */
static void greet(struct bf_schedule *s);

static void greet_again(void *ctx)
{
	struct bf_schedule *s = ctx;

	s->hello_timer = NULL;
	if (s->locks_up)
		greet(s);
}

static void relocked(
	void *ctx, const struct bf_error *err, const struct bf_month_ref *lost, int n_lost)
{
	struct bf_schedule *s = ctx;

	s->relock_op = NULL;
	if (err) {
		bf_log(BF_WARN, "locks not taken again yet", BF_E(err));
		s->hello_timer = bf_timer_start(s->loop, HELLO_AGAIN_MS, greet_again, s);
		return;
	}
	for (int i = 0; i < n_lost; i++)
		bf_months_lost(s->months, &lost[i]);
	s->greeted = true;
	s->timers_begun = false;
	pulse_soon(s, 0); /* the pulse lets the providers and the timers go on */
}

static void greeted(void *ctx, const struct bf_error *err, const struct bf_hello *hello)
{
	struct bf_schedule *s = ctx;
	struct bf_month_ref *mine;
	int n;

	s->hello_op = NULL;
	if (err) {
		bf_log(BF_WARN, "instance not registered yet", BF_E(err));
		s->hello_timer = bf_timer_start(s->loop, HELLO_AGAIN_MS, greet_again, s);
		return;
	}
	s->instance_id = hello->instance_id;
	s->alone = hello->alone;
	bf_log(BF_INFO, "instance registered", BF_I("instance_id", s->instance_id),
		BF_S("alone", s->alone ? "yes" : "no"));
	mine = bf_xcalloc(HELD_MAX, sizeof *mine);
	n = bf_months_refs(s->months, mine, HELD_MAX, false);
	s->held.n = 0;
	for (int i = 0; i < n; i++)
		held_add(&s->held, &mine[i]);
	s->relock_op = bf_store_relock(s->store, s->instance_id, mine, n, relocked, s);
	free(mine);
}

static void greet(struct bf_schedule *s)
{
	if (s->hello_op || s->relock_op)
		return;
	s->hello_op = bf_store_hello(s->store, s->instance_id, greeted, s);
}

void bf_schedule_locks_up(struct bf_schedule *s)
{
	s->locks_up = true;
	greet(s);
}

void bf_schedule_locks_down(struct bf_schedule *s)
{
	if (s->locks_up)
		bf_log(BF_WARN,
			"lock session lost: nothing paid for is sent until its locks are back",
			BF_I("months", s->held.n));
	s->locks_up = s->greeted = false;
	bf_providers_hold(s->providers, true);
	if (s->enrich)
		bf_enrich_locks_down(s->enrich);
	bf_op_cancel(s->hello_op);
	bf_op_cancel(s->hello_timer); /* the next session greets at once */
	bf_op_cancel(s->relock_op);
	s->hello_op = s->hello_timer = s->relock_op = NULL;
	pulse_stop(s);
}

/* ---- claims on behalf of others: the asker may go away, the claim is still ours ---- */
struct claim_for {
	struct bf_op op;
	struct bf_schedule *s;
	bf_store_claim_done *done;
	bf_store_harvest_done *harvest_done;
	void *ctx;
};

static void claim_cancel(struct bf_op *op)
{
	struct claim_for *c = bf_container_of(op, struct claim_for, op);

	c->done = NULL;
	c->harvest_done = NULL;
}

static void claimed(void *ctx, const struct bf_error *err, const struct bf_claim *claim)
{
	struct claim_for *c = ctx;

	if (!err)
		schedule_took(c->s, claim);
	if (c->done)
		c->done(c->ctx, err, claim);
	free(c);
}

struct bf_op *bf_schedule_claim(struct bf_schedule *s, int batch_size, int year_a, int year_b,
	bool force_retry, bf_store_claim_done *done, void *ctx)
{
	struct claim_for *c = bf_xcalloc(1, sizeof *c);

	c->op.cancel = claim_cancel;
	c->s = s;
	c->done = done;
	c->ctx = ctx;
	bf_store_claim(s->store, BF_CLAIM_SCHEDULE, batch_size, year_a < year_b ? year_a : year_b,
		year_a < year_b ? year_b : year_a, force_retry, claimed, c);
	return &c->op;
}

static void harvested(void *ctx, const struct bf_error *err, const struct bf_harvest_reply *reply)
{
	struct claim_for *c = ctx;
	struct bf_schedule *s = c->s;

	if (!err && reply->result == BF_HARVEST_OK) {
		if (!reply->row.dry_run)
			held_add(&s->held, &reply->row.ref);
		bf_months_add(s->months, &reply->row);
	}
	if (c->harvest_done)
		c->harvest_done(c->ctx, err, reply);
	free(c);
}

struct bf_op *bf_schedule_harvest(struct bf_schedule *s, const struct bf_harvest *harvest,
	bf_store_harvest_done *done, void *ctx)
{
	struct claim_for *c = bf_xcalloc(1, sizeof *c);

	c->op.cancel = claim_cancel;
	c->s = s;
	c->harvest_done = done;
	c->ctx = ctx;
	bf_store_harvest(s->store, harvest, harvested, c);
	return &c->op;
}

/* ---- state ---- */
void bf_schedule_drain(struct bf_schedule *s)
{
	s->draining = true;
	timer_stop(&s->schedule_timer);
	timer_stop(&s->enhancement_timer);
}

bool bf_schedule_draining(const struct bf_schedule *s)
{
	return s->draining;
}

const char *bf_schedule_blocked(const struct bf_schedule *s)
{
	static char why[600]; /* for the caller's next line only; one loop, one thread */
	const char *gemini, *xai;

	if (s->draining)
		return "draining: the daemon is about to stop";
	if (!s->greeted)
		return "database away: the lock session is not up";
	if (bf_providers_any_ai(s->providers))
		return NULL;
	gemini = bf_provider_unusable(s->providers, BF_GEMINI);
	snprintf(why, sizeof why, "no AI provider usable: gemini: %s", gemini ? gemini : "?");
	xai = bf_provider_unusable(s->providers, BF_XAI);
	snprintf(why + strlen(why), sizeof why - strlen(why), "; xai: %s", xai ? xai : "?");
	return why;
}

int64_t bf_schedule_next_run(const struct bf_schedule *s)
{
	return s->schedule_timer.next_run;
}

int64_t bf_schedule_next_enhancement(const struct bf_schedule *s)
{
	return s->enhancement_timer.next_run;
}

int bf_schedule_instance(const struct bf_schedule *s)
{
	return s->instance_id;
}

void bf_schedule_alerts(struct bf_schedule *s, struct bf_http *http)
{
	if (!s->alerts)
		s->alerts = alerts_new(s, http);
}

const struct bf_alert_figures *bf_schedule_alert_figures(const struct bf_schedule *s)
{
	static const struct bf_alert_figures none;

	return s->alerts ? alerts_figures(s->alerts) : &none;
}
