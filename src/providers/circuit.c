/*
 * The circuit breaker of each provider, shared through the database: repeated failure opens it for a time that doubles, then one
 * probe by one instance decides. Quotas and bans close a provider the same way, but end by themselves.
 */
#include "gate.h"
#include <stdio.h>
#include <string.h>

#define FAILURES_TO_OPEN 5
#define OPEN_FIRST_MS    30000
#define OPEN_MAX_MS      (15 * 60000)
/* Our own change may not be in a pulse that was asked before it. */
#define SETTLE_US               5000000
#define UNTIL_MIDNIGHT_GUESS_MS (60 * 60000)

static void ignore_store(void *ctx, const struct bf_error *err, enum bf_store_outcome outcome)
{
	const struct lane *lane = ctx;

	(void)outcome;
	if (err)
		bf_log(BF_WARN, "provider state not stored",
			BF_S("provider", bf_provider_names[lane->ops->id]), BF_E(err));
}

void circuit_close_for(struct lane *lane, enum bf_closure kind, int64_t ms, const char *reason)
{
	struct circuit *c = &lane->circuit;
	struct bf_provider_closure closure = { .provider = lane->ops->id,
		.kind = kind,
		.remaining_ms = ms,
		.failures = c->opened,
		.reason = reason };

	c->state = CIRCUIT_OPEN;
	c->kind = kind;
	c->changed_us = bf_now_us();
	/* the pulse brings the true midnight within seconds */
	c->until_us = c->changed_us + (uint64_t)(ms > 0 ? ms : UNTIL_MIDNIGHT_GUESS_MS) * 1000;
	strlcpy(c->reason, reason, sizeof c->reason);
	bf_log(BF_WARN, "provider closed", BF_S("provider", bf_provider_names[lane->ops->id]),
		BF_S("reason", reason), BF_I("seconds", ms / 1000));
	bf_store_close_provider(lane->p->store, &closure, ignore_store, lane);
}

void circuit_success(struct lane *lane)
{
	struct circuit *c = &lane->circuit;

	c->failures = 0;
	if (c->state == CIRCUIT_CLOSED)
		return;
	if (c->state == CIRCUIT_OPEN && c->kind != BF_CLOSURE_CIRCUIT)
		return; /* a late answer does not undo a quota or a ban */
	c->state = CIRCUIT_CLOSED;
	c->kind = BF_CLOSURE_NONE;
	c->opened = 0;
	c->changed_us = bf_now_us();
	bf_log(BF_INFO, "provider works again", BF_S("provider", bf_provider_names[lane->ops->id]));
	bf_store_open_provider(lane->p->store, lane->ops->id, ignore_store, lane);
}

void circuit_failure(struct lane *lane, const char *reason)
{
	struct circuit *c = &lane->circuit;
	int64_t ms = OPEN_FIRST_MS;
	char text[160];

	c->failures++;
	if (c->state == CIRCUIT_OPEN ||
		(c->state == CIRCUIT_CLOSED && c->failures < FAILURES_TO_OPEN))
		return;
	for (int i = 0; i < c->opened && ms < OPEN_MAX_MS; i++)
		ms *= 2;
	if (ms > OPEN_MAX_MS)
		ms = OPEN_MAX_MS;
	c->opened++;
	snprintf(text, sizeof text, "circuit open after %d failures: %.*s", c->failures,
		BF_CUT(reason, 100));
	circuit_close_for(lane, BF_CLOSURE_CIRCUIT, ms, text);
}

void circuit_expire(struct lane *lane)
{
	struct circuit *c = &lane->circuit;

	if (c->state == CIRCUIT_OPEN && c->kind != BF_CLOSURE_CIRCUIT &&
		bf_now_us() >= c->until_us) {
		c->state = CIRCUIT_CLOSED;
		c->kind = BF_CLOSURE_NONE;
		c->failures = 0;
	}
}

bool circuit_needs_probe(const struct lane *lane)
{
	const struct circuit *c = &lane->circuit;

	return c->state == CIRCUIT_OPEN && c->kind == BF_CLOSURE_CIRCUIT &&
		bf_now_us() >= c->until_us;
}

bool circuit_blocks(const struct lane *lane)
{
	const struct circuit *c = &lane->circuit;

	return c->state == CIRCUIT_OPEN && bf_now_us() < c->until_us;
}

/* What other instances learnt: their closures hold here too, and what they opened is open here. */
void circuit_adopt(struct lane *lane, const struct bf_pulse *pulse)
{
	struct circuit *c = &lane->circuit;
	uint64_t now = bf_now_us();

	if (c->state == CIRCUIT_HALF_OPEN || now - c->changed_us < SETTLE_US)
		return;
	for (int i = 0; i < pulse->n_closures; i++) {
		const struct bf_provider_closure *other = &pulse->closures[i];

		if (other->provider != lane->ops->id || other->kind == BF_CLOSURE_NONE ||
			other->remaining_ms <= 0)
			continue;
		c->state = CIRCUIT_OPEN;
		c->kind = other->kind;
		c->opened = other->failures > c->opened ? other->failures : c->opened;
		c->until_us = now + (uint64_t)other->remaining_ms * 1000;
		strlcpy(c->reason, other->reason ? other->reason : "closed by another instance",
			sizeof c->reason);
		return;
	}
	if (c->state == CIRCUIT_OPEN &&
		c->until_us > now) { /* somebody opened it before its time */
		c->state = CIRCUIT_CLOSED;
		c->kind = BF_CLOSURE_NONE;
		c->failures = 0;
		c->opened = 0;
	}
}
