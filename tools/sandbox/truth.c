/*
 * truth: what a measuring script compares with. Lines of JSON: what each ISBN belongs to, and
 * which books the AIs were made to name.
 */
#include <stdlib.h>
#include <string.h>
#include "sandbox.h"

/* The work that an ISBN is really an edition of: translations and large print are the book itself,
 * the other decoys are books of their own. */
static const char *true_work(const struct work *k, struct hit h, struct bf_arena *a)
{
	const char *name = world_work_name(k, a);

	if (h.slot < SLOT_DECOY || h.slot == SLOT_DECOY + DECOY_TRANSLATION ||
		h.slot == SLOT_DECOY + DECOY_LARGE_PRINT)
		return name;
	return bf_arena_printf(
		a, "%s/%s%u", name, world_decoy_name(h.slot), h.work & (WORK_SPACE - 1));
}

/* One ISBN's line. */
static void write_line(const struct world *w, struct hit h, struct bf_arena *a, struct bf_buf *out)
{
	const struct work *k = world_work(w, h.work, a);
	struct record r;
	struct bf_jw jw;

	world_record(w, h, a, &r);
	bf_jw_init(&jw, out);
	write_open(&jw, NULL, '{');
	write_str(&jw, "isbn", r.isbn13);
	write_str(&jw, "work", world_work_name(k, a));
	write_str(&jw, "true_work", true_work(k, h, a));
	write_str(&jw, "kind", h.slot < SLOT_DECOY ? "edition" : "decoy");
	write_str(&jw, "what", world_decoy_name(h.slot));
	write_str(&jw, "title", r.title);
	write_str(&jw, "authors", r.authors);
	write_str(&jw, "of_title", k->title);
	write_str(&jw, "of_authors", k->authors);
	write_close(&jw, '}');
	bf_buf_adds(out, "\n");
}

/* What has this ISBN; {} when nothing does. */
void truth_isbn(const struct world *w, const char *isbn, struct bf_buf *out)
{
	struct bf_arena *a = bf_arena_new();
	char isbn13[14];
	struct hit h;

	if (bf_isbn_canon(isbn, strlen(isbn), isbn13) == BF_ISBN_OK &&
		world_by_isbn(w, isbn13, &h) && world_work(w, h.work, a) &&
		(h.slot >= SLOT_DECOY ||
			(!(h.work & WORK_INVENTED) && h.slot < world_editions(w, h.work))))
		write_line(w, h, a, out);
	else
		bf_buf_adds(out, "{}\n");
	bf_arena_free(a);
}

/* All ISBNs of a work and of its decoys. */
void truth_work(const struct world *w, uint32_t work, struct bf_buf *out)
{
	struct bf_arena *a = bf_arena_new();
	unsigned decoys = world_decoys(w, work);

	for (unsigned slot = 0; slot < SLOTS; slot++)
		if (slot < SLOT_DECOY ? !(work & WORK_INVENTED) && slot < world_editions(w, work) :
		    (decoys & 1u << (slot - SLOT_DECOY)) != 0)
			write_line(w, (struct hit){ .work = work, .slot = (uint8_t)slot }, a, out);
	bf_arena_free(a);
}

/* The books that one AI named for one month, under the switches of that time. */
void truth_named(const struct world *world, const struct served *s, struct bf_buf *out)
{
	struct bf_arena *a = bf_arena_new();
	struct named *books = bf_arena_alloc(a, NAMED_MAX * sizeof(*books));
	struct knobs knobs = *world->knobs;
	struct world w = *world;
	size_t n;

	w.knobs = &knobs;
	knobs.seed = s->seed;
	knobs.invented = s->invented;
	knobs.overlap = s->overlap;
	n = named_books(&w, s->provider, s->year, s->month, s->n, a, books);
	for (size_t i = 0; i < n; i++) {
		const struct work *k = world_work(&w, books[i].work, a);
		struct bf_jw jw;

		bf_jw_init(&jw, out);
		write_open(&jw, NULL, '{');
		write_int(&jw, "year", s->year);
		write_int(&jw, "month", s->month);
		write_str(&jw, "provider", bf_provider_names[s->provider]);
		write_str(&jw, "title", books[i].spelled.title);
		write_str(&jw, "author", books[i].spelled.author);
		bf_jw_key(&jw, "real");
		bf_jw_bool(&jw, !(k->id & WORK_INVENTED));
		write_str(&jw, "work", world_work_name(k, a));
		write_str(&jw, "work_title", k->title);
		write_str(&jw, "work_authors", k->authors);
		write_open(&jw, "held_by", '[');
		for (int p = BF_NAIS; p < BF_NPROVIDERS; p++)
			if (world_holds(&w, (enum bf_provider_id)p, k->id))
				bf_jw_str(&jw, bf_provider_names[p]);
		write_close(&jw, ']');
		write_close(&jw, '}');
		bf_buf_adds(out, "\n");
	}
	bf_arena_free(a);
}
