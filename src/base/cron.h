/* cron: what reading an expression hands to finding its times. */
#ifndef BASE_CRON_H
#define BASE_CRON_H
#include "backfill/base.h"

/* A field written `*` or `*` with a step sets the top bit of its mask, which no value uses: only
 * such expressions fire in both halves of a doubled hour. */
#define CRON_MINUTE_STAR (UINT64_C(1) << 63)
#define CRON_HOUR_STAR (UINT32_C(1) << 31)
#endif
