/*
 * pace: the longest of what slots, rates and daily quotas need. They run side by side, so nothing is added up.
 */
#include "pace.h"
#include <math.h>

#define DAY_S 86400.0

/* Until the units suffice: today's, then as many days' as are needed. What the last day needs of itself is left to
 * the rates. */
static double quota_seconds(const struct pace *p, int id, double months)
{
	double lacking = p->each[id].units * months - (double)p->left[id];

	if (p->per_day[id] <= 0 || lacking <= 0)
		return 0;
	return (double)p->reset_in_s[id] + (ceil(lacking / (double)p->per_day[id]) - 1) * DAY_S;
}

struct pace_time pace_of(const struct pace *p, double months)
{
	struct pace_time most = { PACE_NOTHING, BF_GEMINI, 0 };
	double s;

	if (months <= 0)
		return most;
	most.bound = PACE_SLOTS;
	most.seconds = ceil(months / (p->at_once > 0 ? p->at_once : 1)) * p->seconds;
	for (int id = 0; id < BF_NPROVIDERS; id++) {
		s = p->rate_per_s[id] > 0 ? p->each[id].calls * months / p->rate_per_s[id] : 0;
		if (s > most.seconds)
			most = (struct pace_time){ PACE_RATE, (enum bf_provider_id)id, s };
		s = quota_seconds(p, id, months);
		if (s > most.seconds)
			most = (struct pace_time){ PACE_QUOTA, (enum bf_provider_id)id, s };
	}
	return most;
}
