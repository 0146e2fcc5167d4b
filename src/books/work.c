/*
 * work: what a work takes from one of its editions, and a real work from the synthetic one that it
 * turned out to be.
 *
 * The title changes hands only to a higher quality (a synthetic work has none), the rest fills
 * gaps. The year of first publication is the earliest known and is never raised; the year an AI
 * gave stays.
 * A work that an AI produced keeps that AI as its primary provider.
 */
#include "merge.h"
#include <string.h>

#define TAGS_MAX        30
#define SYNTHETIC_SCORE 30 /* completeness that a synthetic work is given */

struct column {
	const char *name;
	size_t at;
	bool filled; /* as it is, from a synthetic work */
};
static const struct column texts[] = {
	{ "title", offsetof(struct bf_work, title), true },
	{ "subtitle", offsetof(struct bf_work, subtitle) },
	{ "description", offsetof(struct bf_work, description), true },
	{ "original_language", offsetof(struct bf_work, original_language), true },
	{ "cover_url_large", offsetof(struct bf_work, cover_large) },
	{ "cover_url_medium", offsetof(struct bf_work, cover_medium) },
	{ "cover_url_small", offsetof(struct bf_work, cover_small) },
	{ "cover_source", offsetof(struct bf_work, cover_source) },
	{ "openlibrary_work_id", offsetof(struct bf_work, openlibrary_work_id), true },
	{ "isbndb_id", offsetof(struct bf_work, isbndb_id), true },
	{ "primary_provider", offsetof(struct bf_work, primary_provider) },
}, lists[] = {
	{ "subject_tags", offsetof(struct bf_work, subject_tags) },
	{ "goodreads_work_ids", offsetof(struct bf_work, goodreads_work_ids) },
	{ "amazon_asins", offsetof(struct bf_work, amazon_asins) },
	{ "google_books_volume_ids", offsetof(struct bf_work, google_books_volume_ids) },
	{ "contributors", offsetof(struct bf_work, contributors) },
};

/* A merge under way: r takes from an edition whose own provenance is beside it. */
struct merge {
	struct bf_work *r;
	struct provenance prov, from;
	const char *provider, *at; /* for what `from` says nothing of */
	struct bf_arena *arena;
};

/* A column's text, to be written or only read; the same for a list. */
static const char **text_of(struct bf_work *w, const struct column *c)
{
	return (const char **)(void *)((char *)w + c->at);
}

static const char *const *text_in(const struct bf_work *w, const struct column *c)
{
	return (const char *const *)(const void *)((const char *)w + c->at);
}

static struct bf_texts *list_of(struct bf_work *w, const struct column *c)
{
	return (struct bf_texts *)(void *)((char *)w + c->at);
}

static const struct bf_texts *list_in(const struct bf_work *w, const struct column *c)
{
	return (const struct bf_texts *)(const void *)((const char *)w + c->at);
}

/* Is nothing in it? */
static bool empty(const char *text)
{
	return text == NULL || text[0] == '\0';
}

/* The row's copy: empty texts are not known, tags are as tags should be. */
static void begin(struct bf_work *r, const struct bf_work *old, struct bf_arena *arena)
{
	*r = *old;
	r->updated = (struct bf_texts){ NULL, 0 };
	for (size_t i = 0; i < BF_COUNT(texts); i++)
		if (empty(*text_of(r, &texts[i])))
			*text_of(r, &texts[i]) = NULL;
	r->subject_tags = texts_as_tags(&old->subject_tags, arena);
}

/* Lists the columns in which the result differs from the row. */
static void note_updated(struct bf_work *r, const struct bf_work *old, struct bf_arena *arena)
{
	for (size_t i = 0; i < BF_COUNT(texts); i++) {
		const char *a = *text_in(old, &texts[i]), *b = *text_in(r, &texts[i]);

		if (strcmp(a != NULL ? a : "", b != NULL ? b : "") != 0)
			texts_add(&r->updated, texts[i].name, arena);
	}
	for (size_t i = 0; i < BF_COUNT(lists); i++)
		if (!texts_equal(list_in(old, &lists[i]), list_in(r, &lists[i])))
			texts_add(&r->updated, lists[i].name, arena);
	if (old->first_publication_year != r->first_publication_year)
		texts_add(&r->updated, "first_publication_year", arena);
	if (old->synthetic != r->synthetic)
		texts_add(&r->updated, "synthetic", arena);
	if (old->quality != r->quality)
		texts_add(&r->updated, "isbndb_quality", arena);
	if (old->completeness != r->completeness)
		texts_add(&r->updated, "completeness_score", arena);
}

/* Takes a value over; its origin is what the source's provenance names for `source_field`. */
static void take(struct merge *m, const char *field, const char *source_field, const char **to,
	const char *value)
{
	const struct provenance_entry *e = provenance_of(&m->from, source_field);
	bool known = e != NULL && e->provider != NULL;
	const char *provider = known ? e->provider : m->provider, *at = known ? e->at : m->at;

	if (*to != NULL && strcmp(*to, value) == 0)
		return;
	if (provider != NULL)
		provenance_take(&m->prov, field, provider, at, *to, m->arena);
	*to = value;
}

/* The same, into a gap. */
static void fill(struct merge *m, const char *field, const char *source_field, const char **to,
	const char *value)
{
	if (*to == NULL && !empty(value))
		take(m, field, source_field, to, value);
}

/* A larger picture takes the place of a smaller one; the smaller sizes fill gaps. */
static void take_cover(struct merge *m, const char *large, const char *medium, const char *small,
	const char *source)
{
	struct bf_work *r = m->r;

	if (normal_cover_size(large) > normal_cover_size(r->cover_large)) {
		take(m, "cover_url_large", "cover_url_large", &r->cover_large, large);
		r->cover_source = source;
	} else if (r->cover_source == NULL && r->cover_large == NULL && !empty(source)) {
		r->cover_source = source;
	}
	if (r->cover_medium == NULL && !empty(medium))
		r->cover_medium = medium;
	if (r->cover_small == NULL && !empty(small))
		r->cover_small = small;
}

/* Did an AI produce the book? */
static bool is_backfill(const char *provider)
{
	size_t n = provider != NULL ? strlen(provider) : 0;

	return n > 9 && strcmp(provider + n - 9, "-backfill") == 0;
}

/* Was the year given by an AI? Its origin then is no catalogue. */
static bool year_is_fixed(struct merge *m, const struct bf_work *old)
{
	const struct provenance_entry *e = provenance_of(&m->prov, "first_publication_year");
	int provider = e != NULL ? offers_provider_of(e->provider) : -1;

	if (old->synthetic || is_backfill(old->primary_provider))
		return true;
	return e != NULL && e->provider != NULL && (provider < 0 || BF_IS_AI(provider));
}

/* The year of first publication. */
static void merge_year(struct merge *m, const struct bf_work *old, const struct bf_edition *edition,
	const struct offered *offers, size_t n)
{
	struct bf_work *r = m->r;
	int year = r->first_publication_year, said = normal_year(edition->publication_date);
	const struct provenance_entry *e = provenance_of(&m->from, "publication_date");
	const char *provider = e != NULL && e->provider != NULL ? e->provider : m->provider;
	const char *at = e != NULL && e->provider != NULL ? e->at : m->at;

	if (year > 0 && year_is_fixed(m, old)) {
		if (old->synthetic && !provenance_of(&m->prov, "first_publication_year"))
			provenance_take(&m->prov, "first_publication_year",
				old->primary_provider != NULL ? old->primary_provider : "ai", NULL,
				NULL, m->arena);
		return;
	}
	if (said > 0 && (year <= 0 || said < year))
		year = said;
	for (size_t i = 0; i < n; i++) {
		said = normal_year(offers[i].edition.publication_date);
		if (offers[i].record->year >= 1000 && (said == 0 || offers[i].record->year < said))
			said = offers[i].record->year;
		if (said <= 0 || (year > 0 && said >= year))
			continue;
		year = said;
		provider = offers[i].name;
		at = offers[i].at;
	}
	if (year <= 0 || year == r->first_publication_year)
		return;
	r->first_publication_year = year;
	if (provider != NULL)
		provenance_take(&m->prov, "first_publication_year", provider, at, NULL, m->arena);
}

/* The title and what goes with it. */
static void merge_title(struct merge *m, const struct bf_work *old, const struct bf_edition *e)
{
	struct bf_work *r = m->r;
	const char *former = r->title;

	if (!empty(e->title) && (r->title == NULL || e->quality > old->quality)) {
		take(m, "title", "title", &r->title, e->title);
		if (!is_backfill(r->primary_provider) && !empty(e->primary_provider))
			r->primary_provider = e->primary_provider;
		if (!empty(e->subtitle))
			take(m, "subtitle", "subtitle", &r->subtitle, e->subtitle);
		else if (former != NULL && r->subtitle != NULL &&
			(!offers_same_title(r->title, former) ||
				!offers_subtitle_fits(r->title, r->subtitle)))
			r->subtitle = NULL;
	}
	if (r->subtitle == NULL && r->title != NULL && !empty(e->title) && !empty(e->subtitle) &&
		offers_same_title(r->title, e->title) &&
		offers_subtitle_fits(r->title, e->subtitle))
		take(m, "subtitle", "subtitle", &r->subtitle, e->subtitle);
	if (r->primary_provider == NULL && !empty(e->primary_provider))
		r->primary_provider = e->primary_provider;
}

/* What only the records say: keys of works, subjects, who contributed. */
static void merge_offers(struct merge *m, const struct offered *offers, size_t n)
{
	struct bf_work *r = m->r;

	for (size_t i = 0; i < n; i++) {
		const struct offered *o = &offers[i];

		m->provider = o->name;
		m->at = o->at;
		if (o->openlibrary_work_id != NULL)
			fill(m, "openlibrary_work_id", "", &r->openlibrary_work_id,
				o->openlibrary_work_id);
		if (o->provider == BF_ISBNDB)
			fill(m, "isbndb_id", "", &r->isbndb_id, o->record->isbn13);
		texts_tags(&r->subject_tags, o->record->subjects, TAGS_MAX, m->arena);
		texts_add(&r->contributors, o->name, m->arena);
	}
	texts_sort(&r->contributors, m->arena);
}

void bf_work_merge(const struct bf_work *old, const struct bf_edition *edition,
	const struct bf_offer *offers, size_t n, struct bf_arena *arena, struct bf_work *ret)
{
	static const struct bf_work none;
	const struct offered *o = offers_read(offers, n, arena);
	struct merge m = { .r = ret,
		.provider = edition->primary_provider,
		.at = n > 0 ? o[0].at : NULL,
		.arena = arena };

	if (old == NULL)
		old = &none;
	begin(ret, old, arena);
	provenance_read(&m.prov, old->provenance_json, arena);
	provenance_read(&m.from, edition->provenance_json, arena);
	merge_title(&m, old, edition);
	fill(&m, "description", "edition_description", &ret->description, edition->description);
	fill(&m, "original_language", "language", &ret->original_language, edition->language);
	take_cover(&m, edition->cover_large, edition->cover_medium, edition->cover_small,
		edition->cover_source);
	merge_year(&m, old, edition, o, n);
	texts_unite(&ret->google_books_volume_ids, &edition->google_books_volume_ids, arena);
	texts_unite(&ret->amazon_asins, &edition->amazon_asins, arena);
	merge_offers(&m, o, n);
	ret->provenance_json = provenance_write(&m.prov, arena);
	ret->synthetic = false;
	if (edition->quality > ret->quality)
		ret->quality = edition->quality;
	ret->completeness = bf_work_completeness(ret);
	if (old != NULL && (old->synthetic || old->completeness == SYNTHETIC_SCORE) &&
		ret->completeness < SYNTHETIC_SCORE)
		ret->completeness =
			SYNTHETIC_SCORE; /* what it had unseen it does not lose by being seen */
	note_updated(ret, old, arena);
}

void bf_work_absorb(const struct bf_work *into, const struct bf_work *from, struct bf_arena *arena,
	struct bf_work *ret)
{
	struct merge m = { .r = ret, .provider = from->primary_provider, .arena = arena };
	struct bf_texts before = into->updated;

	begin(ret, into, arena);
	provenance_read(&m.prov, into->provenance_json, arena);
	provenance_read(&m.from, from->provenance_json, arena);
	for (size_t i = 0; i < BF_COUNT(texts); i++) {
		const struct column *c = &texts[i];

		if (c->filled)
			fill(&m, c->name, c->name, text_of(ret, c), *text_in(from, c));
	}
	if (!empty(from->title) && !empty(from->subtitle) && !empty(ret->title) &&
		offers_same_title(ret->title, from->title) &&
		offers_subtitle_fits(ret->title, from->subtitle))
		fill(&m, "subtitle", "subtitle", &ret->subtitle, from->subtitle);
	take_cover(
		&m, from->cover_large, from->cover_medium, from->cover_small, from->cover_source);
	if (ret->first_publication_year <= 0 && from->first_publication_year > 0) {
		ret->first_publication_year = from->first_publication_year;
		if (m.provider != NULL)
			provenance_take(
				&m.prov, "first_publication_year", m.provider, NULL, NULL, arena);
	}
	if (ret->primary_provider == NULL && !empty(from->primary_provider))
		ret->primary_provider = from->primary_provider;
	for (size_t i = 0; i < from->subject_tags.n; i++)
		texts_tags(&ret->subject_tags, from->subject_tags.v[i], TAGS_MAX, arena);
	for (size_t i = 1; i < BF_COUNT(lists); i++)
		texts_unite(list_of(ret, &lists[i]), list_in(from, &lists[i]), arena);
	texts_add(&ret->contributors, from->primary_provider, arena);
	texts_sort(&ret->contributors, arena);
	ret->synthetic = into->synthetic && from->synthetic;
	ret->provenance_json = provenance_write(&m.prov, arena);
	ret->completeness = bf_work_completeness(ret);
	note_updated(ret, into, arena);
	texts_unite(&before, &ret->updated, arena);
	ret->updated = before;
}
