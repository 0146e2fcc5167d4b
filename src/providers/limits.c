/*
 * What ISBNdb says of the plan: asked while it is in use, a few times an hour, free of units. A lower limit than the configured
 * one wins, with a reserve in the same proportion, and what others have spent with the same key is reported.
 */
#include "gate_call.h"

#define ASK_EVERY_US (15 * 60000000ull)

int lane_daily_limit(const struct lane *lane)
{
	int64_t told = lane->told_limit;

	if (told > 0 && (lane->conf->daily_limit == 0 || told < lane->conf->daily_limit))
		return (int)told;
	return lane->conf->daily_limit;
}

int lane_reserve(const struct lane *lane)
{
	int limit = lane_daily_limit(lane);

	if (limit == lane->conf->daily_limit || lane->conf->daily_limit == 0)
		return lane->conf->reserve;
	return (int)((int64_t)lane->conf->reserve * limit / lane->conf->daily_limit);
}

static void on_told(void *ctx, const struct bf_error *err, const struct provider_answer *answer)
{
	struct lane *lane = ctx;
	const char *name = bf_provider_names[lane->ops->id];
	int before = lane_daily_limit(lane);

	if (err) {
		bf_log(BF_WARN, "plan limit not known", BF_S("provider", name), BF_E(err));
		return;
	}
	if (answer->limit_total <= 0 || answer->limit_total > INT32_MAX)
		return;
	lane->told_limit = answer->limit_total;
	lane->figures.quota_limit =
		lane_daily_limit(lane) > 0 ? lane_daily_limit(lane) - lane_reserve(lane) : 0;
	if (lane_daily_limit(lane) != before)
		bf_log(BF_WARN, "the provider's own daily limit is lower and wins",
			BF_S("provider", name), BF_I("theirs", lane->told_limit),
			BF_I("configured", lane->conf->daily_limit),
			BF_I("reserve", lane_reserve(lane)));
	if (answer->limit_left >= 0 && lane->figures.quota_used >= 0)
		bf_log(BF_INFO, "quota as the provider counts it", BF_S("provider", name),
			BF_I("theirs", answer->limit_total - answer->limit_left),
			BF_I("ours", lane->figures.quota_used));
}

void limits_refresh(struct lane *lane)
{
	struct gate_ask ask = { .provider = lane->ops->id,
		.dry_run = true,
		.once = true,
		.ask.kind = PROVIDER_LIMITS };
	struct bf_arena *arena;
	uint64_t now = bf_now_us();

	if (lane->ops->id != BF_ISBNDB ||
		(lane->limits_asked_us && now - lane->limits_asked_us < ASK_EVERY_US))
		return;
	lane->limits_asked_us = now;
	arena = bf_arena_new();
	gate_start_take(lane->p, &ask, &arena, on_told, lane);
}

int bf_provider_daily_limit(const struct bf_providers *p, enum bf_provider_id id, int *ret_reserve)
{
	*ret_reserve = lane_reserve(&p->lane[id]);
	return lane_daily_limit(&p->lane[id]);
}
