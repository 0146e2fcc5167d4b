/*
 * Rates over all instances without a word between them: time, by the database's clock, is cut into slots of a bit more than
 * 1/N second, and instance `rank` of `live` owns every live-th slot. So never more than N requests leave in any second, however
 * many instances there are, and none needs a statement for it. A single instance owns all slots and need not keep to their
 * borders. Pure: time is an argument.
 */
#include "gate.h"

/* Spread over the N slots of a second: what timers, networks and clocks may be late without N+1 falling into one second. */
#define SLACK_US       40000
#define CATCH_UP_US    15000 /* of which a late timer may use this much */
#define TURN_US        10000000
#define TURN_MARGIN_MS 500

uint64_t rate_width_us(const struct rate *r)
{
	if (r->per_s >= 1)
		return (uint64_t)((1e6 + SLACK_US) / r->per_s);
	return (uint64_t)(1e6 / r->per_s) + SLACK_US;
}

/* The first slot of ours that begins at or after `t` (monotonic). */
static uint64_t own_slot(const struct rate *r, uint64_t t, uint64_t width)
{
	uint64_t shared = (uint64_t)((int64_t)t + r->to_shared_us);
	uint64_t slot = (shared + width - 1) / width;
	uint64_t live = (uint64_t)r->live, rank = (uint64_t)r->rank;

	slot += (rank + live - slot % live) % live;
	return (uint64_t)((int64_t)(slot * width) - r->to_shared_us);
}

uint64_t rate_next_us(const struct rate *r, uint64_t now_us)
{
	uint64_t width = rate_width_us(r);
	uint64_t due = now_us > CATCH_UP_US ? now_us - CATCH_UP_US : 0;

	if (due < r->quiet_until_us)
		due = r->quiet_until_us;
	if (r->live <= 1) {
		if (r->last_due_us && due < r->last_due_us + width)
			due = r->last_due_us + width;
		return due;
	}
	/* Own slots lie two widths apart or more: a nearer one is the last one over again, moved by a better clock estimate. */
	if (r->last_due_us && due < r->last_due_us + width)
		due = r->last_due_us + width;
	return own_slot(r, due, width);
}

void rate_take(struct rate *r, uint64_t due_us)
{
	if (due_us > r->last_due_us)
		r->last_due_us = due_us;
}

int64_t rate_turn_left_ms(const struct rate *r, uint64_t now_us)
{
	uint64_t shared = (uint64_t)((int64_t)now_us + r->to_shared_us);
	int64_t left;

	if (r->live <= 1)
		return INT64_MAX;
	if ((shared / TURN_US) % (uint64_t)r->live != (uint64_t)r->rank)
		return 0;
	left = (int64_t)((TURN_US - shared % TURN_US) / 1000) - TURN_MARGIN_MS;
	return left > 0 ? left : 0;
}
