/*
 * pace: what a month costs, what there is to spend, and so how long months take. Figures in, a time out.
 */
#ifndef ADMIN_PACE_H
#define ADMIN_PACE_H
#include "backfill/config.h"

struct pace_share { double calls, units, cost; };
struct pace {
	struct pace_share each[BF_NPROVIDERS];	/* of one month */
	double seconds;				/* that a month takes by itself */
	int    at_once;				/* months side by side */
	double rate_per_s[BF_NPROVIDERS];	/* 0: not asked */
	int64_t per_day[BF_NPROVIDERS];		/* units that may be used in a day; 0: no limit */
	int64_t left[BF_NPROVIDERS];		/* of today's */
	int64_t reset_in_s[BF_NPROVIDERS];	/* when the next day's begin */
};

enum pace_bound { PACE_NOTHING, PACE_SLOTS, PACE_RATE, PACE_QUOTA };
struct pace_time { enum pace_bound bound; enum bf_provider_id provider; double seconds; };
/* How long so many months take, and what is the reason that it is not shorter. */
struct pace_time pace_of(const struct pace *, double months);
#endif
