/*
 * What others may plan with: whether a provider can be asked, when to look again if not, and how many units it has left
 * today. Nothing here asks anybody; the figures are as old as the last pulse or reservation.
 */
#include "gate.h"
#include <stdio.h>

#define LOOK_AGAIN_MS 900000 /* where nobody can tell when it ends */
#define PROBE_WAIT_MS 5000   /* a probe decides within its timeout, mostly sooner */
#define WAIT_LEAST_MS 1000   /* clocks differ: not to find the same closure again at once */

bool lane_out_of_quota(const struct lane *lane)
{
	uint64_t now = bf_now_us();

	return lane->quota_until_us > now ||
		(circuit_blocks(lane) && lane->circuit.kind == BF_CLOSURE_QUOTA);
}

bool lane_left_out(const struct lane *lane)
{
	const struct bf_provider_config *conf = lane->conf;

	return !conf->enabled || (conf->needs_key && !conf->api_key);
}

const char *lane_unusable(struct lane *lane)
{
	uint64_t now = bf_now_us();

	if (lane_left_out(lane))
		return lane->conf->enabled ? "no api key" : "disabled";
	if (lane->off[0])
		return lane->off;
	if (lane->p->draining)
		return "draining";
	circuit_expire(lane);
	if (lane->quota_until_us > now) {
		snprintf(lane->why, sizeof lane->why, "out of quota for %llu s",
			(unsigned long long)((lane->quota_until_us - now) / 1000000));
		return lane->why;
	}
	if (circuit_blocks(lane)) {
		snprintf(lane->why, sizeof lane->why, "closed for %llu s: %s",
			(unsigned long long)((lane->circuit.until_us - now) / 1000000),
			lane->circuit.reason);
		return lane->why;
	}
	if (lane->circuit.state == CIRCUIT_HALF_OPEN)
		return "circuit half open, one probe is under way";
	return NULL;
}

int64_t bf_provider_units_left(const struct bf_providers *p, enum bf_provider_id id)
{
	const struct lane *lane = &p->lane[id];
	int64_t limit = lane_daily_limit(lane), used = lane->figures.quota_used, left;
	uint64_t now = bf_now_us();

	if (limit <= 0)
		return -1;
	if (lane->quota_until_us > now)
		return 0;
	if (used < 0 || (lane->quota_day_ends_us && now >= lane->quota_day_ends_us))
		used = 0;
	left = limit - lane_reserve(lane) - used;
	return left > 0 ? left : 0;
}

static int64_t until_ms(uint64_t when_us)
{
	uint64_t now = bf_now_us();
	int64_t ms = when_us > now ? (int64_t)((when_us - now + 999) / 1000) : 0;

	return ms > WAIT_LEAST_MS ? ms : WAIT_LEAST_MS;
}

/* How long until it may be asked again; 0: now. */
static int64_t closed_ms(const struct bf_providers *p, enum bf_provider_id id)
{
	const struct lane *lane = &p->lane[id];
	int64_t wait = 0, day;

	if (lane->off[0])
		return LOOK_AGAIN_MS;
	if (circuit_blocks(lane))
		wait = until_ms(lane->circuit.until_us);
	else if (lane->circuit.state == CIRCUIT_HALF_OPEN)
		wait = PROBE_WAIT_MS;
	if (lane->quota_until_us > bf_now_us()) {
		day = until_ms(lane->quota_until_us);
		return day > wait ? day : wait;
	}
	/* Spent by others, as the pulse tells; some of it may yet be given back. */
	if (bf_provider_units_left(p, id) == 0) {
		day = lane->quota_day_ends_us ? until_ms(lane->quota_day_ends_us) : LOOK_AGAIN_MS;
		day = day < LOOK_AGAIN_MS ? day : LOOK_AGAIN_MS;
		return day > wait ? day : wait;
	}
	return wait;
}

enum bf_standing bf_provider_standing(
	struct bf_providers *p, enum bf_provider_id id, int64_t *ret_wait_ms)
{
	struct lane *lane = &p->lane[id];
	int64_t wait = 0;

	circuit_expire(lane);
	if (!lane_left_out(lane))
		wait = closed_ms(p, id);
	if (ret_wait_ms)
		*ret_wait_ms = wait;
	if (lane_left_out(lane))
		return BF_LEFT_OUT;
	return wait > 0 ? BF_CLOSED : BF_USABLE;
}

const char *bf_provider_off(const struct bf_providers *p, enum bf_provider_id id)
{
	return p->lane[id].off[0] ? p->lane[id].off : NULL;
}
