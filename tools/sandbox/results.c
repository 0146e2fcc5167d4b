/*
 * results: what one provider lists for a query, and in which order. Nearly half of the titles come
 * with something else on top; a book that the provider does not hold comes as nothing, or as
 * decoys and near misses only.
 */
#include "sandbox.h"

#define SHARE_DECOY_FIRST 0.45
#define SHARE_NOTHING	  0.4	/* of the books that are not held */
#define NEAR_MISSES	  2
#define NEAR_SCORE	  1.2f	/* below it a work shares too little to be listed */

struct list { struct hit *hits; size_t n; };

/* Appends while there is room. */
static void add(struct list *l, uint32_t work, unsigned slot)
{
	if (l->n < RESULTS_MAX)
		l->hits[l->n++] = (struct hit){ .work = work, .slot = (uint8_t)slot };
}

/* Wikidata knows editions and translations, but nobody enters a summary there. */
static bool lists_decoy(enum bf_provider_id p, unsigned kind)
{
	return p != BF_WIKIDATA || kind == DECOY_TRANSLATION;
}

/* Appends up to max of the work's decoys. */
static size_t add_decoys(const struct world *w, enum bf_provider_id p, uint32_t work, unsigned skip,
	size_t max, struct list *l)
{
	unsigned bits = world_decoys(w, work);
	unsigned first =
		(unsigned)(dice_hash(w->knobs->seed, "decoy order", p, work) % DECOY_KINDS);
	size_t n = 0;

	for (unsigned i = 0; i < DECOY_KINDS && n < max; i++) {
		unsigned kind = (first + i) % DECOY_KINDS;

		if (!(bits & 1u << kind) || !lists_decoy(p, kind))
			continue;
		if (skip)
			skip--;
		else
			add(l, work, SLOT_DECOY + kind), n++;
	}
	return n;
}

/* A book the provider holds: decoys before or behind, the editions between. */
static void add_held(const struct world *w, enum bf_provider_id p, uint32_t work, struct list *l)
{
	unsigned editions = world_editions(w, work);
	struct dice d;
	unsigned lead, before = 0;

	dice_init(&d, w->knobs->seed, "results", p, work);
	if (w->knobs->decoys && dice_chance(&d, SHARE_DECOY_FIRST))
		before = 1 + dice_below(&d, 2);
	before = (unsigned)add_decoys(w, p, work, 0, before, l);
	lead = dice_below(&d, editions);
	for (unsigned i = 0; i < editions; i++) {
		struct hit h = { .work = work, .slot = (uint8_t)((lead + i) % editions) };

		if (world_holds_edition(w, p, h))
			add(l, work, h.slot);
	}
	if (w->knobs->decoys)
		add_decoys(w, p, work, before, dice_below(&d, 3), l);
}

/* A book it does not hold: nothing at all, or what resembles it. */
static void add_absent(const struct world *w, enum bf_provider_id p, uint32_t work, struct list *l)
{
	struct dice d;

	dice_init(&d, w->knobs->seed, "absent", p, work);
	if (!w->knobs->decoys || dice_chance(&d, SHARE_NOTHING))
		return;
	add_decoys(w, p, work, 0, 1 + dice_below(&d, 3), l);
}

/* The answer to a query, in the provider's order. */
size_t results_of(const struct world *w, enum bf_provider_id p, const struct query *query,
	struct bf_arena *arena, struct hit ret[RESULTS_MAX])
{
	struct found found[SEARCH_MAX];
	struct list l = { .hits = ret };
	size_t n = search_run(w, query, arena, found), matches = 0, misses = 0;

	for (size_t i = 0; i < n; i++) {
		if (found[i].match && matches < 3 && found[i].score >= found[0].score - 0.35f) {
			matches++;
			if (world_holds(w, p, found[i].work))
				add_held(w, p, found[i].work, &l);
			else
				add_absent(w, p, found[i].work, &l);
		} else if (misses < NEAR_MISSES && found[i].score >= NEAR_SCORE &&
			w->knobs->decoys && world_holds(w, p, found[i].work)) {
			misses++;
			add(&l, found[i].work, 0);
		}
	}
	return l.n;
}

/* What it lists for one work that it holds. */
size_t results_of_work(
	const struct world *w, enum bf_provider_id p, uint32_t work, struct hit ret[RESULTS_MAX])
{
	struct list l = { .hits = ret };

	add_held(w, p, work, &l);
	return l.n;
}
