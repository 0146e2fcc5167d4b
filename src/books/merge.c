/*
 * merge: an edition as the database has it, and what providers offer, become one.
 *
 * A title, the subtitle with it, a publisher and a date change hands only to a record whose quality
 * is higher than the row's; everything else fills gaps, and a cover gives way to a larger one. The
 * quality of the result is never below that of a record it took something from, so a second merge
 * of the same offers finds nothing to do.
 */
#include "merge.h"
#include <string.h>

/* A merge under way. */
struct merge {
	const struct bf_edition *old; /* all empty when there is none */
	const struct offered *offers; /* in the order of their weight */
	size_t n;
	struct bf_arena *arena;
	struct bf_edition *r;
	struct provenance prov;
	int taken; /* the highest quality something was taken from */
};

/* Columns that hold a text. GUARDED: only a higher quality replaces it. */
enum rule { GAP, GUARDED, OWN_WAY };
static const struct column {
	const char *name;
	size_t at;
	enum rule rule;
} texts[] = {
	{ "title", offsetof(struct bf_edition, title), OWN_WAY },
	{ "subtitle", offsetof(struct bf_edition, subtitle), OWN_WAY },
	{ "publisher", offsetof(struct bf_edition, publisher), GUARDED },
	{ "publication_date", offsetof(struct bf_edition, publication_date), GUARDED },
	{ "format", offsetof(struct bf_edition, format), GAP },
	{ "language", offsetof(struct bf_edition, language), GAP },
	{ "edition_description", offsetof(struct bf_edition, description), GAP },
	{ "openlibrary_edition_id", offsetof(struct bf_edition, openlibrary_edition_id), GAP },
	{ "cover_url_large", offsetof(struct bf_edition, cover_large), OWN_WAY },
	{ "cover_url_medium", offsetof(struct bf_edition, cover_medium), OWN_WAY },
	{ "cover_url_small", offsetof(struct bf_edition, cover_small), OWN_WAY },
	{ "cover_source", offsetof(struct bf_edition, cover_source), OWN_WAY },
	{ "primary_provider", offsetof(struct bf_edition, primary_provider), OWN_WAY },
}, lists[] = {
	{ "alternate_isbns", offsetof(struct bf_edition, alternate_isbns), GAP },
	{ "google_books_volume_ids", offsetof(struct bf_edition, google_books_volume_ids), GAP },
	{ "contributors", offsetof(struct bf_edition, contributors), GAP },
};

/* A column's text. */
static const char *text_of(const struct bf_edition *e, const struct column *c)
{
	return *(const char *const *)(const void *)((const char *)e + c->at);
}

/* Another text for a column. */
static void set_text(struct bf_edition *e, const struct column *c, const char *text)
{
	*(const char **)(void *)((char *)e + c->at) = text;
}

/* A date that says less than the one there is. */
static bool is_vaguer(const char *fresh, const char *old)
{
	size_t n = strlen(fresh);

	return strlen(old) > n && strncmp(fresh, old, n) == 0;
}

/* Takes a value over from an offer. */
static void take(
	struct merge *m, const struct column *c, const struct offered *o, const char *value)
{
	const char *former = text_of(m->r, c);

	if (former != NULL && strcmp(former, value) == 0)
		return;
	set_text(m->r, c, value);
	provenance_take(&m->prov, c->name, o->name, o->at, former, m->arena);
	if (former != NULL && o->quality > m->taken)
		m->taken = o->quality;
}

/* One column by its rule, from the weightiest offer that knows it. */
static void merge_text(struct merge *m, const struct column *c)
{
	const char *now = text_of(m->r, c), *value = NULL;
	size_t i = 0;

	while (i < m->n && (value = text_of(&m->offers[i].edition, c)) == NULL)
		i++;
	if (value == NULL)
		return;
	if (now == NULL ||
		(c->rule == GUARDED && m->offers[i].quality > m->old->quality &&
			!is_vaguer(value, now)))
		take(m, c, &m->offers[i], value);
}

/* The weightiest offer with a title; NULL: none has one. */
static const struct offered *titled(const struct merge *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->offers[i].edition.title != NULL)
			return &m->offers[i];
	return NULL;
}

/* A subtitle for a title that has none, from who calls the book the same. */
static void fill_subtitle(struct merge *m, const char *old_title, const char *old_subtitle)
{
	const char *title = m->r->title;

	if (title == NULL || m->r->subtitle != NULL)
		return;
	if (old_title != NULL && old_subtitle != NULL && offers_same_title(title, old_title) &&
		offers_subtitle_fits(title, old_subtitle)) {
		m->r->subtitle = old_subtitle;
		return;
	}
	for (size_t i = 0; i < m->n; i++) {
		const struct bf_edition *e = &m->offers[i].edition;

		if (e->subtitle != NULL && offers_same_title(title, e->title) &&
			offers_subtitle_fits(title, e->subtitle)) {
			take(m, &texts[1], &m->offers[i], e->subtitle);
			return;
		}
	}
}

/* The title, its subtitle, and whose row it therefore is. */
static void merge_title(struct merge *m)
{
	const struct offered *o = titled(m);
	const char *title = m->r->title, *subtitle = m->r->subtitle;

	if (o != NULL && (title == NULL || o->quality > m->old->quality)) {
		take(m, &texts[0], o, o->edition.title);
		m->r->primary_provider = o->name;
		if (o->edition.subtitle != NULL)
			take(m, &texts[1], o, o->edition.subtitle);
		else if (title != NULL && strcmp(m->r->title, title) != 0)
			m->r->subtitle = NULL;
		if (o->quality > m->taken)
			m->taken = o->quality;
	} else if (o == NULL && title == NULL && m->n > 0 && m->r->primary_provider == NULL) {
		m->r->primary_provider = m->offers[0].name;
	}
	fill_subtitle(m, title, subtitle);
}

/* The largest cover, the weightier one's among equals; one that is there gives way to a larger. */
static void merge_cover(struct merge *m)
{
	const struct offered *best = NULL;
	int size = normal_cover_size(m->r->cover_large);

	for (size_t i = 0; i < m->n; i++) {
		int s = normal_cover_size(m->offers[i].edition.cover_large);

		if (s > size) {
			best = &m->offers[i];
			size = s;
		}
	}
	if (best == NULL)
		return;
	provenance_take(
		&m->prov, "cover_url_large", best->name, best->at, m->r->cover_large, m->arena);
	m->r->cover_large = best->edition.cover_large;
	m->r->cover_source = best->name;
}

/* How many pages, from the first who knows. */
static void merge_pages(struct merge *m)
{
	for (size_t i = 0; i < m->n && m->r->page_count <= 0; i++) {
		const struct offered *o = &m->offers[i];

		if (o->edition.page_count <= 0)
			continue;
		m->r->page_count = o->edition.page_count;
		provenance_take(&m->prov, "page_count", o->name, o->at, NULL, m->arena);
	}
}

/* Lists grow. */
static void merge_lists(struct merge *m, const char isbn13[14])
{
	char isbn10[11], former[14];
	const char *key = m->old->isbn13;

	if (key != NULL && strcmp(key, isbn13) != 0 && strlen(key) == 10 &&
		bf_isbn_canon(key, 10, former) == BF_ISBN_OK && strcmp(former, isbn13) == 0)
		texts_add(&m->r->alternate_isbns, key, m->arena);
	if (bf_isbn10_from13(isbn13, isbn10) && !texts_has(&m->r->alternate_isbns, isbn10))
		texts_add(&m->r->alternate_isbns, bf_arena_strdup(m->arena, isbn10), m->arena);
	for (size_t i = 0; i < m->n; i++) {
		texts_unite(&m->r->google_books_volume_ids,
			&m->offers[i].edition.google_books_volume_ids, m->arena);
		texts_add(&m->r->contributors, m->offers[i].name, m->arena);
	}
	texts_sort(&m->r->contributors, m->arena);
}

/* What the others say, beside what was chosen. */
static void note_others(struct merge *m)
{
	char said[16], chosen[16];

	snprintf(chosen, sizeof(chosen), "%d", m->r->page_count);
	for (size_t i = m->n; i-- > 0;) { /* of two by one provider the weightier stays */
		const struct offered *o = &m->offers[i];

		for (size_t c = 0; c < BF_COUNT(texts); c++)
			provenance_other(&m->prov, texts[c].name, o->provider,
				text_of(&o->edition, &texts[c]), text_of(m->r, &texts[c]),
				m->arena);
		snprintf(said, sizeof(said), "%d", o->edition.page_count);
		if (o->edition.page_count > 0)
			provenance_other(
				&m->prov, "page_count", o->provider, said, chosen, m->arena);
	}
}

/* Lists the columns in which the result differs from the row. */
static void note_updated(struct merge *m)
{
	struct bf_edition *r = m->r;
	const struct bf_edition *old = m->old;

	if (old->isbn13 != NULL && strcmp(old->isbn13, r->isbn13) != 0)
		texts_add(&r->updated, "isbn", m->arena);
	for (size_t i = 0; i < BF_COUNT(texts); i++) {
		const char *a = text_of(old, &texts[i]), *b = text_of(r, &texts[i]);

		if (strcmp(a != NULL ? a : "", b != NULL ? b : "") != 0)
			texts_add(&r->updated, texts[i].name, m->arena);
	}
	for (size_t i = 0; i < BF_COUNT(lists); i++) {
		const void *a = (const char *)old + lists[i].at, *b = (char *)r + lists[i].at;

		if (!texts_equal(a, b))
			texts_add(&r->updated, lists[i].name, m->arena);
	}
	if (old->page_count != r->page_count)
		texts_add(&r->updated, "page_count", m->arena);
	if (old->quality != r->quality)
		texts_add(&r->updated, "isbndb_quality", m->arena);
	if (old->completeness != r->completeness)
		texts_add(&r->updated, "completeness_score", m->arena);
}

/* Never below what the row had, nor below a record it took a guarded value from. */
static void settle_quality(struct merge *m)
{
	int provider = offers_provider_of(m->r->primary_provider), quality;

	if (m->n == 0)
		return;
	quality =
		bf_edition_quality(provider >= 0 ? (enum bf_provider_id)provider : BF_GEMINI, m->r);
	if (m->taken > quality)
		quality = m->taken;
	if (quality > m->r->quality)
		m->r->quality = quality;
}

void bf_edition_merge(const struct bf_edition *old, const char isbn13[14],
	const struct bf_offer *offers, size_t n, struct bf_arena *arena, struct bf_edition *ret)
{
	static const struct bf_edition none;
	struct merge m = { .old = old != NULL ? old : &none, .n = n, .arena = arena, .r = ret };

	m.offers = offers_read(offers, n, arena);
	*ret = *m.old;
	ret->isbn13 = bf_arena_strndup(arena, isbn13, 13);
	ret->updated = (struct bf_texts){ NULL, 0 };
	for (size_t i = 0; i < BF_COUNT(texts); i++)
		if (text_of(ret, &texts[i]) != NULL && text_of(ret, &texts[i])[0] == '\0')
			set_text(ret, &texts[i], NULL);
	provenance_read(&m.prov, ret->provenance_json, arena);
	merge_title(&m);
	for (size_t i = 0; i < BF_COUNT(texts); i++)
		if (texts[i].rule != OWN_WAY)
			merge_text(&m, &texts[i]);
	merge_cover(&m);
	merge_pages(&m);
	merge_lists(&m, isbn13);
	note_others(&m);
	ret->provenance_json = provenance_write(&m.prov, arena);
	settle_quality(&m);
	ret->completeness = bf_edition_completeness(ret);
	note_updated(&m);
}
