/*
 * The queue before each provider: a call waits for a free place (concurrency), its units of the quota, counted in the
 * database before it is sent, and its slot in time. What may not be asked now is answered at once, so that the chain goes on.
 */
#include "gate_call.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Long enough to mean "until the first pulse tells who else is alive". */
#define UNTIL_FIRST_PULSE_US 3600000000ull
/* A month that another session has locked: our own statements let go in a moment, others in their time. */
#define BUSY_LEAST_US 50000
#define BUSY_MOST_US  800000
/* Wikidata: a turn with less left than this is not begun any more. */
#define TURN_LEAST_MS 4000

static const struct bf_provider_config *conf_of(const struct lane *lane)
{
	return lane->conf;
}

/* Units and the month's count are taken in the database first: paid calls, and those with a daily limit. */
static bool needs_reservation(const struct lane *lane)
{
	return lane->ops->paid || lane_daily_limit(lane) > 0;
}

static enum bf_err_class unusable_class(const struct lane *lane)
{
	return lane->p->draining ? BF_ERR_CANCELLED : BF_ERR_QUOTA;
}

/* ---- a call's end ---- */
static void call_leave(struct gate_call *call)
{
	struct lane *lane = call->lane;

	switch (call->state) {
	case CALL_QUEUED:
		TAILQ_REMOVE(&lane->queued, call, link);
		lane->n_waiting--;
		break;
	case CALL_RESERVING:
		for (int i = 0; i < lane->n_reserving; i++)
			if (lane->reserving[i] == call)
				lane->reserving[i] = NULL;
		lane->n_waiting--;
		break;
	case CALL_READY:
		TAILQ_REMOVE(&lane->ready, call, link);
		lane->n_ready--;
		break;
	case CALL_SENT:
		TAILQ_REMOVE(&lane->sent, call, link);
		lane->n_sent--;
		break;
	case CALL_RESTING:
		TAILQ_REMOVE(&lane->resting, call, link);
		lane->n_waiting--;
		break;
	case CALL_ENDING: TAILQ_REMOVE(&lane->ending, call, link); break;
	case CALL_LOOSE: break;
	}
	call->state = CALL_LOOSE;
}

static void call_free(struct gate_call *call)
{
	bf_arena_free(call->arena);
	free(call);
}

static void give_back_units(const struct lane *lane, const struct bf_month_ref *ref, int units)
{
	flusher_usage(lane->p->flusher,
		&(struct bf_usage){ .provider = lane->ops->id,
			.year = ref->year,
			.month = ref->month,
			.fence = ref->fence,
			.units_unused = units });
}

/* Units that were counted and never sent go back with the next flush. */
static void give_back(struct gate_call *call)
{
	static const struct bf_month_ref no_month;
	const struct gate_ask *ask = &call->ask;

	if (!call->reserved)
		return;
	call->reserved = false;
	give_back_units(call->lane, ask->dry_run ? &no_month : &ask->ref, call->units);
}

static void probe_gone(struct gate_call *call)
{
	if (call->probe && call->lane->circuit.state == CIRCUIT_HALF_OPEN)
		call->lane->circuit.state =
			CIRCUIT_OPEN; /* its time is over: the next one probes */
	call->probe = false;
}

void call_end(
	struct gate_call *call, const struct bf_error *err, const struct provider_answer *answer)
{
	struct lane *lane = call->lane;

	call_leave(call);
	give_back(call);
	probe_gone(call);
	call->done(call->ctx, err, answer);
	call_free(call);
	gate_pump(lane);
}

static void end_now(void *ctx)
{
	struct gate_call *call = ctx;

	call->op = NULL;
	call_leave(call);
	call->done(call->ctx, &call->failure, NULL);
	call_free(call);
}

/* Completions never come inside the call that started the work. */
void call_fail_later(struct gate_call *call, enum bf_err_class class, const char *why)
{
	call_leave(call);
	give_back(call);
	probe_gone(call);
	call->state = CALL_ENDING;
	TAILQ_INSERT_TAIL(&call->lane->ending, call, link);
	bf_error_set(&call->failure, class, "%s: %s", call->lane->ops->label, why);
	call->op = bf_timer_start(call->lane->p->loop, 0, end_now, call);
}

void gate_cancel(struct gate_call *call)
{
	struct lane *lane;

	if (!call)
		return;
	lane = call->lane;
	call_leave(call);
	give_back(call);
	probe_gone(call);
	bf_op_cancel(call->op);
	call_free(call);
	gate_pump(lane);
}

void call_enqueue(struct gate_call *call)
{
	struct lane *lane = call->lane;

	if (call->ask.ask.kind == PROVIDER_LIMITS) { /* costs no unit */
		call->state = CALL_READY;
		TAILQ_INSERT_HEAD(&lane->ready, call, link);
		lane->n_ready++;
		return;
	}
	call->state = CALL_QUEUED;
	TAILQ_INSERT_TAIL(&lane->queued, call, link);
	lane->n_waiting++;
}

/* ---- reservation ---- */
/* A bulk call that got less than it needs says nothing about others that need less. */
static void not_granted(struct gate_call *call)
{
	char why[80];

	if (call->units == 1)
		strlcpy(why, "out of quota", sizeof why);
	else
		snprintf(why, sizeof why, "fewer than %d units left", call->units);
	call_fail_later(call, BF_ERR_QUOTA, why);
}

/* Its month's row is locked: the call stands aside, so that the others go on. */
static void stand_aside(struct lane *lane, struct gate_call *call)
{
	uint64_t wait = BUSY_LEAST_US;

	for (int i = 0; i < call->busy_times && wait < BUSY_MOST_US; i++)
		wait *= 2;
	call->busy_times++;
	call->not_before_us = bf_now_us() + wait;
	call->state = CALL_QUEUED;
	TAILQ_INSERT_TAIL(&lane->queued, call, link);
	lane->n_waiting++;
}

static void reserved_one(
	struct lane *lane, struct gate_call *call, const struct bf_reserved *reserved, int i)
{
	if (!call) /* cancelled while its units were being counted */
		return;
	lane->n_waiting--;
	if (reserved->busy[i]) {
		stand_aside(lane, call);
		return;
	}
	if (reserved->granted[i] == call->units) {
		call->reserved = true;
		call->state = CALL_READY;
		TAILQ_INSERT_TAIL(&lane->ready, call, link);
		lane->n_ready++;
		return;
	}
	call->state = CALL_LOOSE;
	if (reserved->lost[i])
		call_fail_later(
			call, BF_ERR_CANCELLED, "the month belongs to another instance now");
	else
		not_granted(call);
}

struct reservation { /* what was asked for, should a call be cancelled before the answer */
	struct lane *lane;
	struct bf_reserve want[64];
	int n;
};

/* What was granted to a call that is gone, and what is too little for its call. */
static void give_back_idle(const struct reservation *r, int i, const struct gate_call *call,
	const struct bf_reserved *reserved)
{
	if (reserved->granted[i] > 0 && (!call || reserved->granted[i] != call->units))
		give_back_units(r->lane, &r->want[i].ref, reserved->granted[i]);
}

static void reservation_failed(
	struct lane *lane, struct gate_call **calls, int n, const struct bf_error *err)
{
	/* No database: no reservation, no call. The months wait for the database anyway; so do their calls. */
	for (int i = n - 1; i >= 0; i--) {
		if (!calls[i])
			continue;
		lane->n_waiting--;
		if (err->class == BF_ERR_RETRY) {
			calls[i]->state = CALL_QUEUED;
			TAILQ_INSERT_HEAD(&lane->queued, calls[i], link);
			lane->n_waiting++;
		} else {
			calls[i]->state = CALL_LOOSE;
			call_fail_later(calls[i], err->class, err->text);
		}
	}
}

static void pump_again(void *ctx)
{
	struct lane *lane = ctx;

	lane->slot_timer = NULL;
	gate_pump(lane);
}

static void pump_at(struct lane *lane, uint64_t when_us)
{
	uint64_t now = bf_now_us();

	if (lane->slot_timer)
		return;
	lane->slot_timer = bf_timer_start(lane->p->loop,
		when_us > now ? (int64_t)((when_us - now + 999) / 1000) : 0, pump_again, lane);
}

/* What the count said: for the figures, and for everybody when not even one unit was left. */
static void quota_seen(struct lane *lane, const struct bf_reserved *reserved, bool none_left)
{
	uint64_t now = bf_now_us();

	lane->figures.quota_used = reserved->used;
	lane->quota_day_ends_us =
		now + (uint64_t)(reserved->reset_in_ms > 0 ? reserved->reset_in_ms : 60000) * 1000;
	if (!none_left || lane->quota_until_us > now)
		return;
	lane->quota_until_us = lane->quota_day_ends_us;
	bf_log(BF_WARN, "daily quota used up", BF_S("provider", bf_provider_names[lane->ops->id]),
		BF_I("used", reserved->used), BF_S("reset_at", reserved->reset_at));
}

static void reserve_done(void *ctx, const struct bf_error *err, const struct bf_reserved *reserved)
{
	struct reservation *r = ctx;
	struct lane *lane = r->lane;
	struct gate_call *calls[64];
	int n = lane->n_reserving;
	bool none_left = false;

	memcpy(calls, lane->reserving, sizeof calls);
	lane->n_reserving = 0;
	lane->reserve_op = NULL;
	if (err) {
		bf_log(BF_WARN, "quota not reserved",
			BF_S("provider", bf_provider_names[lane->ops->id]), BF_E(err));
		reservation_failed(lane, calls, n, err);
		lane->reservation = NULL;
		free(r);
		pump_at(lane, bf_now_us() + 1000000);
		return;
	}
	for (int i = 0; i < n; i++) {
		give_back_idle(r, i, calls[i], reserved);
		if (calls[i] && calls[i]->units == 1 && !reserved->granted[i] &&
			!reserved->lost[i] && !reserved->busy[i])
			none_left = true;
	}
	quota_seen(lane, reserved, none_left);
	for (int i = 0; i < n; i++)
		reserved_one(lane, calls[i], reserved, i);
	lane->reservation = NULL;
	for (int i = 0; i < n; i++) /* last: whoever hears of it may cancel calls of this lane */
		if (reserved->lost[i])
			lane->p->on_lost(lane->p->lost_ctx, &r->want[i].ref);
	free(r);
	gate_pump(lane);
}

/* At most a second's worth, and no more than can be under way at once. */
static int reservable(const struct lane *lane)
{
	const struct bf_provider_config *conf = conf_of(lane);
	int room = conf->concurrency - lane->n_sent - lane->n_ready;
	int second = (int)(conf->rate_per_s / (lane->rate.live > 0 ? lane->rate.live : 1));

	if (second < 1)
		second = 1;
	room = room < second ? room : second;
	return room < 64 ? room : 64;
}

/* The first in the queue that need not stand aside; when there is none, one is looked for in time. */
static struct gate_call *next_queued(struct lane *lane)
{
	uint64_t now = bf_now_us(), soonest = 0;
	struct gate_call *call;

	TAILQ_FOREACH (call, &lane->queued, link) {
		if (call->not_before_us <= now)
			return call;
		if (!soonest || call->not_before_us < soonest)
			soonest = call->not_before_us;
	}
	if (soonest)
		pump_at(lane, soonest);
	return NULL;
}

static void reserve(struct lane *lane)
{
	int room = reservable(lane);
	struct gate_call *call;
	struct reservation *r;

	if (lane->reserve_op || room <= 0 || lane->p->hold || !(call = next_queued(lane)))
		return;
	r = bf_xcalloc(1, sizeof *r);
	r->lane = lane;
	lane->reservation = r;
	for (; call && r->n < room; call = next_queued(lane)) {
		TAILQ_REMOVE(&lane->queued, call, link);
		call->state = CALL_RESERVING;
		lane->reserving[r->n] = call;
		if (!call->ask.dry_run)
			r->want[r->n].ref = call->ask.ref;
		r->want[r->n++].units = call->units;
	}
	lane->n_reserving = r->n;
	lane->reserve_op = bf_store_reserve(lane->p->store, lane->ops->id, lane_daily_limit(lane),
		lane_reserve(lane), r->want, r->n, reserve_done, r);
}

static void ready_without_reservation(struct lane *lane)
{
	int room = conf_of(lane)->concurrency - lane->n_sent - lane->n_ready;

	while (room-- > 0 && !TAILQ_EMPTY(&lane->queued)) {
		struct gate_call *call = TAILQ_FIRST(&lane->queued);

		TAILQ_REMOVE(&lane->queued, call, link);
		lane->n_waiting--;
		call->state = CALL_READY;
		TAILQ_INSERT_TAIL(&lane->ready, call, link);
		lane->n_ready++;
	}
}

/* ---- probe of an open circuit ---- */
static void probe_done(void *ctx, const struct bf_error *err, enum bf_store_outcome outcome)
{
	struct lane *lane = ctx;
	struct gate_call *call = TAILQ_FIRST(&lane->queued);

	lane->probe_op = NULL;
	if (err || outcome != BF_STORE_DONE || !call) {
		lane->circuit.until_us = bf_now_us() +
			4000000; /* another instance probes, or nobody asks any more */
	} else {
		lane->circuit.state = CIRCUIT_HALF_OPEN;
		call->probe = true;
	}
	gate_pump(lane);
}

static void fail_unusable(struct lane *lane, const char *why)
{
	struct gate_call *call, *next;
	char text[240];

	strlcpy(text, why, sizeof text);
	TAILQ_FOREACH_SAFE (call, &lane->queued, link, next)
		if (!call->probe)
			call_fail_later(call, unusable_class(lane), text);
	/* What is counted already may be used although no further one is left. */
	TAILQ_FOREACH_SAFE (call, &lane->ready, link, next)
		if (!call->probe &&
			!(call->reserved && lane->quota_until_us > bf_now_us() &&
				!circuit_blocks(lane)))
			call_fail_later(call, unusable_class(lane), text);
}

static void send_ready(struct lane *lane)
{
	while (!TAILQ_EMPTY(&lane->ready) && !lane->p->hold) {
		uint64_t now = bf_now_us(), due = rate_next_us(&lane->rate, now);

		if (now >= lane->rate.valid_until_us)
			return; /* the next pulse goes on with it */

		if (due < lane->not_before_us)
			due = rate_next_us(&lane->rate, lane->not_before_us);
		if (lane->ops->id == BF_WIKIDATA &&
			rate_turn_left_ms(&lane->rate, now) < TURN_LEAST_MS && due <= now)
			due = now +
				500000; /* one request at a time over all instances: wait for our turn */
		if (due > now) {
			pump_at(lane, due);
			return;
		}
		call_send(TAILQ_FIRST(&lane->ready), due);
	}
}

void gate_pump(struct lane *lane)
{
	const char *why = lane_unusable(lane);

	if (why)
		fail_unusable(lane, why);
	if (TAILQ_EMPTY(&lane->queued) && TAILQ_EMPTY(&lane->ready))
		return;
	if (!why)
		limits_refresh(lane);
	if (circuit_needs_probe(lane)) {
		if (!lane->probe_op)
			lane->probe_op = bf_store_probe_provider(lane->p->store, lane->ops->id,
				conf_of(lane)->timeout_ms + 5000, probe_done, lane);
		return;
	}
	if (needs_reservation(lane))
		reserve(lane);
	else
		ready_without_reservation(lane);
	send_ready(lane);
}

/* Nothing is sent any more: who rests before another try need not wait for the end of it. */
void gate_drain(struct bf_providers *p)
{
	struct gate_call *call, *next;

	for (int i = 0; i < BF_NPROVIDERS; i++)
		TAILQ_FOREACH_SAFE (call, &p->lane[i].resting, link, next) {
			bf_op_cancel(call->op);
			call->op = NULL;
			call_fail_later(call, BF_ERR_CANCELLED, "draining");
		}
}

static int units_of(const struct gate_ask *ask)
{
	if (ask->ask.kind == PROVIDER_LIMITS)
		return 0;
	return ask->ask.kind == PROVIDER_BULK && provider_table[ask->provider]->bulk_each
		? (int)ask->ask.n_isbns
		: 1;
}

struct gate_call *gate_start_take(struct bf_providers *p, const struct gate_ask *ask,
	struct bf_arena **arena, gate_done *done, void *ctx)
{
	struct lane *lane = &p->lane[ask->provider];
	struct gate_call *call = bf_xcalloc(1, sizeof *call);
	const char *why = lane_unusable(lane);

	call->lane = lane;
	call->ask = *ask;
	call->units = units_of(ask);
	call->arena = *arena;
	*arena = NULL;
	call->done = done;
	call->ctx = ctx;
	call->queued_us = bf_now_us();
	if (why) {
		call_fail_later(call, unusable_class(lane), why);
		return call;
	}
	call_enqueue(call);
	gate_pump(lane);
	return call;
}

struct gate_spent gate_spent(const struct gate_call *call)
{
	struct gate_spent spent = { .tries = call->tries };

	if (call->tries > 0)
		spent.latency_ms = (int64_t)((bf_now_us() - call->first_sent_us) / 1000);
	if (needs_reservation(call->lane))
		spent.units = call->tries * call->units;
	return spent;
}

void gate_init(struct bf_providers *p)
{
	for (int i = 0; i < BF_NPROVIDERS; i++) {
		struct lane *lane = &p->lane[i];

		lane->p = p;
		lane->ops = provider_table[i];
		lane->rate.live = 1;
		lane->rate.quiet_until_us = bf_now_us() + UNTIL_FIRST_PULSE_US;
		lane->figures.quota_used = lane->figures.quota_limit = -1;
		TAILQ_INIT(&lane->queued);
		TAILQ_INIT(&lane->ready);
		TAILQ_INIT(&lane->sent);
		TAILQ_INIT(&lane->resting);
		TAILQ_INIT(&lane->ending);
	}
}

static void drop_all(struct gate_calls *calls)
{
	while (!TAILQ_EMPTY(calls)) {
		struct gate_call *call = TAILQ_FIRST(calls);

		call_leave(call);
		bf_op_cancel(call->op);
		call_free(call);
	}
}

void gate_release(struct bf_providers *p)
{
	for (int i = 0; i < BF_NPROVIDERS; i++) {
		struct lane *lane = &p->lane[i];

		bf_op_cancel(lane->slot_timer);
		bf_op_cancel(lane->probe_op);
		bf_op_cancel(lane->reserve_op);
		free(lane->reservation);
		for (int j = 0; j < lane->n_reserving; j++)
			if (lane->reserving[j])
				call_free(lane->reserving[j]);
		drop_all(&lane->queued);
		drop_all(&lane->ready);
		drop_all(&lane->sent);
		drop_all(&lane->resting);
		drop_all(&lane->ending);
	}
}
