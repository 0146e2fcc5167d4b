/* dice: chance without a random source. A throw is a hash of the seed and of what the throw is
 * for. */
#include <string.h>
#include "sandbox.h"

/* The finaliser of SplitMix64: every bit of the input moves every bit of the output. */
static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* FNV-1a over the bytes, begun from the seed and mixed at the end. */
uint64_t dice_hash_bytes(uint64_t seed, const void *bytes, size_t len)
{
	const unsigned char *p = bytes;
	uint64_t h = 0xcbf29ce484222325u ^ mix(seed + 0x9e3779b97f4a7c15u);

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 0x100000001b3u;
	return mix(h);
}

/* The throw for (tag, a, b) under this seed. */
uint64_t dice_hash(uint64_t seed, const char *tag, uint64_t a, uint64_t b)
{
	uint64_t h = dice_hash_bytes(seed, tag, strlen(tag));

	h = mix(h + a * 0x9e3779b97f4a7c15u);
	return mix(h ^ (b + 0xd1b54a32d192ed03u));
}

/* The hash as a number in [0, 1). */
double dice_unit(uint64_t hash)
{
	return (double)(hash >> 11) * 0x1.0p-53;
}

/* Begins a stream of throws for (tag, a, b). */
void dice_init(struct dice *d, uint64_t seed, const char *tag, uint64_t a, uint64_t b)
{
	d->state = dice_hash(seed, tag, a, b);
}

/* The next throw of the stream. */
static uint64_t next(struct dice *d)
{
	d->state += 0x9e3779b97f4a7c15u;
	return mix(d->state);
}

/* A number below n. */
uint32_t dice_below(struct dice *d, uint32_t n)
{
	return (uint32_t)(((next(d) >> 32) * n) >> 32);
}

/* True with this probability. */
bool dice_chance(struct dice *d, double probability)
{
	return dice_unit(next(d)) < probability;
}

/* One of n texts. */
const char *dice_pick(struct dice *d, const char *const *texts, size_t n)
{
	return texts[dice_below(d, (uint32_t)n)];
}
