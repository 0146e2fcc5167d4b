/*
 * named: which books an AI names for a month. Both draw from the same shuffled pool (the
 * catalogue's books of the month, then generated ones), two stretches of it that overlap;
 * the rest of the list is invented.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "sandbox.h"

struct draw { uint64_t key; uint32_t work; };

/* Shuffles by key. */
static int by_key(const void *a, const void *b)
{
	const struct draw *x = a, *y = b;

	return x->key != y->key ? (x->key > y->key) - (x->key < y->key)
				: (x->work > y->work) - (x->work < y->work);
}

/* The month's real books in the order in which they are drawn; at least n of them. */
static uint32_t *pool_of(
	const struct world *w, int year, int month, uint32_t n, struct bf_arena *arena)
{
	int m = catalogue_month(year, month);
	uint32_t from = w->catalogue.month_start[m],
		 in_catalogue = w->catalogue.month_start[m + 1] - from;
	struct draw *draws = bf_arena_alloc(arena, (in_catalogue + 1) * sizeof(*draws));
	uint32_t *pool = bf_arena_alloc(arena, n * sizeof(*pool));

	for (uint32_t i = 0; i < in_catalogue; i++)
		draws[i] = (struct draw){ dice_hash(w->knobs->seed, "draw", (uint64_t)m, from + i),
			from + i };
	qsort(draws, in_catalogue, sizeof(*draws), by_key);
	for (uint32_t i = 0; i < n; i++)
		pool[i] = i < in_catalogue ? draws[i].work
					   : world_generated_id(year, month, i - in_catalogue);
	return pool;
}

/* What the AI names, in its order. */
size_t named_books(const struct world *w, enum bf_provider_id ai, int year, int month, uint32_t n,
	struct bf_arena *arena, struct named ret[NAMED_MAX])
{
	uint32_t invented, real, shared, *pool;
	struct draw *order;

	if (n > NAMED_MAX / 2)
		n = NAMED_MAX / 2;
	if (catalogue_month(year, month) < 0 || !n)
		return 0;
	invented = (uint32_t)lround(n * w->knobs->invented);
	real = n - invented;
	shared = (uint32_t)lround(n * w->knobs->overlap);
	if (shared > real)
		shared = real;
	pool = pool_of(w, year, month, 2 * real + 1, arena);
	order = bf_arena_alloc(arena, n * sizeof(*order));
	for (uint32_t i = 0; i < n; i++) {
		if (i >= real)
			order[i].work = world_invented_id(w, year, month, ai, i - real);
		else
			order[i].work = pool[ai == BF_GEMINI ? i : i + real - shared];
		order[i].key = dice_hash(w->knobs->seed, "order", order[i].work, ai);
	}
	qsort(order, n, sizeof(*order), by_key);
	for (uint32_t i = 0; i < n; i++) {
		const struct work *k = world_work(w, order[i].work, arena);

		ret[i].work = k->id;
		spelling_of_ai(w, ai, k, arena, &ret[i].spelled);
		if (!k->year)	/* invented for this month */
			ret[i].spelled.year += year;
	}
	return n;
}

/* Does the schema, if there is one, list the field? */
static bool wanted(const struct ask *ask, const char *field, struct bf_arena *arena)
{
	return !ask->fields || strstr(ask->fields, bf_arena_printf(arena, " %s ", field));
}

/* One book; bad says in which of three ways it is malformed, 0 for not at all. */
static void write_book(struct bf_jw *jw, const struct request *r, const struct ask *ask,
	const struct named *b, unsigned bad)
{
	static const char *const formats[] = { "Hardcover", "Paperback", "Hardcover",
		"Graphic novel", "E-book" };
	static const char *const reasons[] = {
		"A widely reviewed release of the month that found readers well beyond its genre.",
		"Praised for its prose and its unhurried attention to character.",
		"Shortlisted for several prizes and much discussed by critics.",
		"An influential treatment of its subject that is still cited.",
		"A commercial success that opened a long-running series."
	};
	uint64_t h = dice_hash(r->knobs->seed, "about", b->work, r->provider);

	bf_jw_obj(jw);
	bf_jw_key(jw, "title");
	if (bad == 1)
		bf_jw_int(jw, 1984);
	else
		bf_jw_str(jw, b->spelled.title);
	bf_jw_key(jw, "author");
	if (bad == 2)
		bf_jw_null(jw);
	else
		bf_jw_str(jw, b->spelled.author);
	if (wanted(ask, "publisher", r->arena) && *b->spelled.publisher) {
		bf_jw_key(jw, "publisher");
		bf_jw_str(jw, b->spelled.publisher);
	}
	if (wanted(ask, "format", r->arena)) {
		bf_jw_key(jw, "format");
		bf_jw_str(jw, formats[h % BF_COUNT(formats)]);
	}
	if (wanted(ask, "publication_year", r->arena) && bad != 3) {
		bf_jw_key(jw, "publication_year");
		bf_jw_int(jw, b->spelled.year);
	}
	if (wanted(ask, "significance", r->arena)) {
		bf_jw_key(jw, "significance");
		bf_jw_str(jw, reasons[h / 8 % BF_COUNT(reasons)]);
	}
	bf_jw_end_obj(jw);
}

/* The books as the model's JSON text. */
void named_write(const struct request *r, const struct ask *ask, const struct named *books,
	size_t n, struct bf_buf *out)
{
	bool spoil = r->fault == FAULT_ONE_BAD_ITEM && n;
	size_t bad_at = spoil ? (size_t)(r->hash % n) : n;
	struct bf_jw jw;

	bf_jw_init(&jw, out);
	if (!ask->array) {
		bf_jw_obj(&jw);
		bf_jw_key(&jw, "books");
	}
	bf_jw_arr(&jw);
	for (size_t i = 0; i < n; i++)
		write_book(
			&jw, r, ask, &books[i], i == bad_at ? 1 + (unsigned)(r->hash / 64 % 3) : 0);
	bf_jw_end_arr(&jw);
	if (!ask->array)
		bf_jw_end_obj(&jw);
}
