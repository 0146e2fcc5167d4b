/*
 * admit: what stands between a well-formed request and its answer: the provider's rate, its
 * daily quota, and the fault that the dice give it. Notes what the AIs were asked and what they
 * named.
 */
#include <stdlib.h>
#include <string.h>
#include "sandbox.h"

/* Where a hash stands in the table, or belongs. */
static size_t place(const struct attempts *a, uint64_t hash)
{
	size_t i = (size_t)(hash >> 7) & a->mask;

	while (a->hashes[i] && a->hashes[i] != hash)
		i = (i + 1) & a->mask;
	return i;
}

/* Doubles the table. */
static void grow(struct attempts *a)
{
	struct attempts old = *a;

	a->mask = old.hashes ? old.mask * 2 + 1 : 1023;
	a->hashes = bf_xcalloc(a->mask + 1, sizeof(*a->hashes));
	a->seen = bf_xcalloc(a->mask + 1, sizeof(*a->seen));
	for (size_t i = 0; old.hashes && i <= old.mask; i++) {
		size_t at;

		if (!old.hashes[i])
			continue;
		at = place(a, old.hashes[i]);
		a->hashes[at] = old.hashes[i];
		a->seen[at] = old.seen[i];
	}
	free(old.hashes);
	free(old.seen);
}

/* Counts an identical request; returns how many came before it. */
static uint32_t attempt(struct attempts *a, uint64_t hash)
{
	size_t at;

	if (!a->hashes || a->n * 2 > a->mask)
		grow(a);
	hash |= 1;	/* 0 marks a free place */
	at = place(a, hash);
	a->n += !a->hashes[at];
	a->hashes[at] = hash;
	return a->seen[at]++;
}

/* The refusal that a status fault stands for; false for faults of another kind. */
static bool refusal_of(enum fault f, enum refusal *ret)
{
	static const struct { enum fault fault; enum refusal refusal; } table[] = {
		{ FAULT_429, REFUSE_RATE }, { FAULT_429_MINUTE, REFUSE_MINUTE },
		{ FAULT_429_DAILY, REFUSE_DAILY }, { FAULT_401, REFUSE_KEY_MISSING },
		{ FAULT_403, REFUSE_FORBIDDEN }, { FAULT_404, REFUSE_NOT_FOUND },
		{ FAULT_500, REFUSE_500 }, { FAULT_502, REFUSE_502 }, { FAULT_503, REFUSE_503 },
		{ FAULT_504, REFUSE_504 }
	};
	for (size_t i = 0; i < BF_COUNT(table); i++)
		if (table[i].fault == f) {
			*ret = table[i].refusal;
			return true;
		}
	return false;
}

/* Rate, daily quota, fault. */
bool request_admit(struct request *r, struct reply *out, int64_t units)
{
	const struct provider_knobs *k = &r->knobs->provider[r->provider];
	struct counters *c = &r->sandbox->counters[r->provider];
	enum refusal why;

	if (k->rate && r->arrivals > (size_t)k->rate) {
		errors_refuse(r, out, REFUSE_RATE, NULL);
		return false;
	}
	if (k->daily_quota && units && (int64_t)c->units + units > k->daily_quota) {
		errors_refuse(r, out, REFUSE_DAILY, NULL);
		return false;
	}
	c->units += (uint64_t)units;
	r->fault = faults_draw(r);
	if (r->fault && k->fault_attempts &&
		attempt(&r->sandbox->attempts,
			r->hash ^ dice_hash(0, "provider", r->provider, 0)) >=
			(uint32_t)k->fault_attempts)
		r->fault = FAULT_NONE;
	if (r->fault && units)
		c->by_fault[r->fault]++;
	if (!refusal_of(r->fault, &why))
		return true;
	errors_refuse(r, out, why, "resource");
	if (r->fault == FAULT_401)
		out->status = 401;
	return false;
}

/* Units counted so far. */
int64_t request_units(const struct request *r)
{
	return (int64_t)r->sandbox->counters[r->provider].units;
}

/* An AI was asked for a month. */
void sandbox_asked(struct request *r, const struct ask *ask)
{
	r->month_index = catalogue_month(ask->year, ask->month);
	if (r->month_index >= 0)
		r->sandbox->counters[r->provider].by_month[r->month_index]++;
}

/* An AI named its books for a month: noted once, with the switches that made the list. */
void sandbox_served(struct request *r, const struct ask *ask)
{
	struct sandbox *s = r->sandbox;
	struct served new = {
		.year = ask->year, .month = ask->month, .provider = r->provider, .n = ask->n,
		.seed = s->knobs.seed, .invented = s->knobs.invented, .overlap = s->knobs.overlap
	};
	if (r->month_index < 0)
		return;
	for (size_t i = 0; i < s->n_served; i++) {
		struct served *old = &s->served[i];

		if (old->year != new.year || old->month != new.month ||
			old->provider != new.provider)
			continue;
		*old = new;
		return;
	}
	if (s->n_served == s->cap_served) {
		s->cap_served = s->cap_served * 2 + 64;
		s->served = bf_xrealloc(s->served, s->cap_served, sizeof(*s->served));
	}
	s->served[s->n_served++] = new;
}

/* Forgets what was counted, asked and named; the switches stay. */
void sandbox_reset(struct sandbox *s)
{
	counters_reset(s->counters);
	free(s->attempts.hashes);
	free(s->attempts.seen);
	s->attempts = (struct attempts){ 0 };
	s->n_served = 0;
	s->overlap_seen = false;
}
