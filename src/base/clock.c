/*
 * clock: the only place that asks the machine for the time or for randomness. The generator is
 * xoshiro256** seeded through splitmix64 (Blackman and Vigna): fast, repeatable from a seed, good
 * enough for jitter and identifiers, not for keys; keys come from getrandom() directly.
 */
#include "backfill/base.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static struct { uint64_t s[4]; bool seeded; } clock_rng;

/* One clock in microseconds. */
static int64_t clock_read_us(clockid_t id)
{
	struct timespec ts;

	if (clock_gettime(id, &ts) < 0)
		abort();	/* both clocks exist on every Linux */
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* Time that never jumps; its zero means nothing. */
uint64_t bf_now_us(void)
{
	return (uint64_t)clock_read_us(CLOCK_MONOTONIC);
}

/* Calendar time. */
int64_t bf_wall_us(void)
{
	return clock_read_us(CLOCK_REALTIME);
}

/* RFC 3339 in UTC, whole seconds, rounded down. */
void bf_format_time(char out[32], int64_t wall_us)
{
	int64_t s = wall_us / 1000000 - (wall_us % 1000000 < 0);
	time_t t = (time_t)s;
	struct tm tm;

	/* years that the format cannot express read as the beginning of time */
	if (!gmtime_r(&t, &tm) || tm.tm_year < -1900 || tm.tm_year > 8099) {
		t = 0;
		if (!gmtime_r(&t, &tm))
			abort();
	}
	if (strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		abort();
	/* strftime does not pad the year */
	if (tm.tm_year < -900)
		snprintf(out, 32, "%04u-%02u-%02uT%02u:%02u:%02uZ",
			 (unsigned)(tm.tm_year + 1900) % 10000u, (unsigned)(tm.tm_mon + 1) % 100u,
			 (unsigned)tm.tm_mday % 100u, (unsigned)tm.tm_hour % 100u,
			 (unsigned)tm.tm_min % 100u, (unsigned)tm.tm_sec % 100u);
}

/* n bytes from the kernel; there is no going on without them. */
static void clock_entropy(void *out, size_t n)
{
	char *p = out;

	while (n > 0) {
		ssize_t got = getrandom(p, n, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			abort();
		p += got;
		n -= (size_t)got;
	}
}

/* Everything drawn from here on follows from the seed. */
void bf_random_seed(uint64_t seed)
{
	for (int i = 0; i < 4; i++) {
		uint64_t z = seed += 0x9e3779b97f4a7c15u;

		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
		z = (z ^ z >> 27) * 0x94d049bb133111ebu;
		clock_rng.s[i] = z ^ z >> 31;
	}
	clock_rng.seeded = true;
}

/* x turned left by n bits. */
static uint64_t clock_turn(uint64_t x, int n)
{
	return x << n | x >> (64 - n);
}

/* The next 64 bits. */
uint64_t bf_random_u64(void)
{
	uint64_t *s = clock_rng.s, ret, t;

	if (!clock_rng.seeded) {
		uint64_t seed;

		clock_entropy(&seed, sizeof(seed));
		bf_random_seed(seed);
		/* the whole state, not only what 64 bits can reach */
		clock_entropy(clock_rng.s, sizeof(clock_rng.s));
		clock_rng.s[0] |= 1;	/* all zero is the one state it never leaves */
	}
	ret = clock_turn(s[1] * 5, 7) * 9;
	t = s[1] << 17;
	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = clock_turn(s[3], 45);
	return ret;
}

/* A number in [0, 1), in steps of 2^-53. */
double bf_random_unit(void)
{
	return (double)(bf_random_u64() >> 11) * 0x1.0p-53;
}

/* A version 4 UUID, lower case. */
void bf_uuid(char out[37])
{
	static const char hex[] = "0123456789abcdef";
	uint64_t half[2] = { bf_random_u64(), bf_random_u64() };
	char *p = out;

	half[0] = (half[0] & ~UINT64_C(0xf000)) | 0x4000;
	half[1] = (half[1] & ~(UINT64_C(3) << 62)) | UINT64_C(1) << 63;
	for (int i = 0; i < 32; i++) {
		if (i == 8 || i == 12 || i == 16 || i == 20)
			*p++ = '-';
		*p++ = hex[half[i / 16] >> (60 - 4 * (i % 16)) & 15];
	}
	*p = '\0';
}

/* Compares digests under a key that only this process has, so neither the place of the first
 * difference nor the length of the expected secret shows in the time taken. */
bool bf_secret_equal(const char *a, size_t a_len, const char *b, size_t b_len)
{
	static uint8_t key[32];
	static bool have_key;
	uint8_t da[32], db[32], diff = 0;

	if (!have_key) {
		clock_entropy(key, sizeof(key));
		have_key = true;
	}
	bf_hmac_sha256(key, sizeof(key), a, a_len, da);
	bf_hmac_sha256(key, sizeof(key), b, b_len, db);
	for (size_t i = 0; i < sizeof(da); i++)
		diff |= da[i] ^ db[i];
	return diff == 0;
}
