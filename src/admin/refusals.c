/*
 * refusals: see refusals.h. Each slot holds one time only: until when what was spent is not back yet (the generic cell rate
 * algorithm). IPv6 callers count by their /64, which is one customer's.
 */
#include "refusals.h"
#include "backfill/base.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

void refusals_init(struct refusals *r)
{
	memset(r, 0, sizeof(*r));
	r->key[0] = bf_random_u64();
	r->key[1] = bf_random_u64();
}

/* The part of an address that stands for its owner; zeros for what is none. */
static void owner_of(const char *address, struct in6_addr *ret)
{
	char text[INET6_ADDRSTRLEN];
	size_t len = strcspn(address, "%"); /* a link-local address names its interface */
	struct in_addr v4;

	memset(ret, 0, sizeof(*ret));
	if (len >= sizeof(text))
		return;
	memcpy(text, address, len);
	text[len] = '\0';
	if (inet_pton(AF_INET, text, &v4) == 1) {
		ret->s6_addr[10] = ret->s6_addr[11] = 0xff;
		memcpy(ret->s6_addr + 12, &v4, sizeof(v4));
	} else if (inet_pton(AF_INET6, text, ret) == 1 && !IN6_IS_ADDR_V4MAPPED(ret)) {
		memset(ret->s6_addr + 8, 0, 8);
	}
}

/* The slot of an address. */
static uint64_t *slot_of(struct refusals *r, const char *address)
{
	struct in6_addr owner;
	uint8_t digest[32];

	owner_of(address, &owner);
	bf_hmac_sha256(r->key, sizeof(r->key), &owner, sizeof(owner), digest);
	return &r->spent_until_us[(digest[0] | digest[1] << 8) % REFUSALS_SLOTS];
}

/* Takes one; the seconds to wait when there is none. */
static int take(uint64_t *spent_until_us, uint64_t now_us)
{
	uint64_t from_us = *spent_until_us > now_us ? *spent_until_us : now_us;
	uint64_t most_us = now_us + (REFUSALS_BURST - 1) * REFUSALS_EVERY_US;

	if (from_us > most_us)
		return (int)((from_us - most_us + 999999) / 1000000);
	*spent_until_us = from_us + REFUSALS_EVERY_US;
	return 0;
}

/* A line a minute, however many they are. */
static void tell(struct refusals *r, const char *address, uint64_t now_us)
{
	if (now_us < r->log_at_us)
		return;
	bf_log(BF_WARN, "requests without the right secret", BF_I("refused", r->total - r->log_total),
		BF_I("limited", r->limited - r->log_limited), BF_S("last_address", address));
	r->log_at_us = now_us + REFUSALS_LOG_EVERY_US;
	r->log_total = r->total;
	r->log_limited = r->limited;
}

/* Counts one. */
int refusals_add(struct refusals *r, const char *address, bool wrong, uint64_t now_us)
{
	int wait_s = wrong ? take(slot_of(r, address), now_us) : 0;

	r->total++;
	r->limited += wait_s > 0;
	tell(r, address, now_us);
	return wait_s;
}
