/*
 * refusals: requests without the right secret, counted. A wrong secret costs its address one of REFUSALS_BURST, which come
 * back one by one; who has none left is told to wait. The right secret is never limited: this is asked only when the secret
 * has been compared and is not the one, so nobody can lock anybody out. What makes guessing hopeless is the secret's length;
 * the limit makes it costly, for each further guess needs a connection of its own.
 */
#ifndef ADMIN_REFUSALS_H
#define ADMIN_REFUSALS_H
#include <stdbool.h>
#include <stdint.h>

#define REFUSALS_SLOTS 4096		/* addresses share them by a keyed digest: no memory grows, nothing is displaced */
#define REFUSALS_BURST 100
#define REFUSALS_EVERY_US UINT64_C(1000000)
#define REFUSALS_LOG_EVERY_US UINT64_C(60000000)

struct refusals {
	uint64_t key[2];		/* only this process knows who shares a slot with whom */
	uint64_t spent_until_us[REFUSALS_SLOTS];
	uint64_t total, limited;
	uint64_t log_at_us, log_total, log_limited;	/* when the log may be told again, and what it was told */
};

void refusals_init(struct refusals *);
/* One request without the right secret; wrong: with another one, which counts against its address. Returns 0, or the seconds
 * after which the address has one left again. */
int refusals_add(struct refusals *, const char *address, bool wrong, uint64_t now_us);
#endif
