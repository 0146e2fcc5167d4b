/*
 * offers: what each provider's record would make alone, in the order of weight: the provider's
 * standing, the fuller record, the provider's number. And the authors that the weightiest names.
 */
#include "merge.h"
#include <stdlib.h>
#include <string.h>

#define TITLE_MAX       1000
#define PUBLISHER_MAX   300
#define DESCRIPTION_MAX 5000
#define AUTHOR_MAX      200
#define AUTHORS_MAX     20
#define PAGES_MAX       50000
#define KEY_MAX         64

int offers_provider_of(const char *name)
{
	static const struct {
		const char *name;
		enum bf_provider_id provider;
	} former[] = { { "google-books", BF_GOOGLE_BOOKS }, { "openlibrary", BF_OPEN_LIBRARY },
		{ "open-library", BF_OPEN_LIBRARY }, { "archive-org", BF_ARCHIVE_ORG },
		{ "archive.org", BF_ARCHIVE_ORG } };

	if (name == NULL)
		return -1;
	for (size_t i = 0; i < BF_COUNT(former); i++)
		if (strcmp(name, former[i].name) == 0)
			return former[i].provider;
	return bf_provider_by_name(name);
}

bool offers_same_title(const char *a, const char *b)
{
	char ka[BF_KEY_MAX], kb[BF_KEY_MAX];

	bf_title_key(a, ka);
	bf_title_key(b, kb);
	return ka[0] != '\0' && strcmp(ka, kb) == 0;
}

bool offers_subtitle_fits(const char *title, const char *subtitle)
{
	char kt[4 * BF_KEY_MAX], ks[4 * BF_KEY_MAX];

	bf_fold(title, kt, sizeof(kt));
	bf_fold(subtitle, ks, sizeof(ks));
	return ks[0] != '\0' && strstr(kt, ks) == NULL;
}

/* OL123M is an edition, OL123W a work. */
static bool is_openlibrary(const char *key, char kind)
{
	size_t n = key != NULL ? strlen(key) : 0;

	if (n < 4 || n > 20 || strncmp(key, "OL", 2) != 0 || key[n - 1] != kind)
		return false;
	return strspn(key + 2, "0123456789") == n - 3;
}

/* A key of letters, digits, hyphens and underscores, as Google's volumes have. */
static bool is_plain_key(const char *key)
{
	size_t n = key != NULL ? strlen(key) : 0;

	return n > 0 && n <= KEY_MAX &&
		strspn(key, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") ==
		n;
}

/* Two of the services know only years and write them as the first instant of the year. */
static const char *date_of(const struct bf_offer *offer, struct bf_arena *arena)
{
	const char *date = offer->record.date, *year_only;

	if (date != NULL && (offer->provider == BF_WIKIDATA || offer->provider == BF_ARCHIVE_ORG) &&
		strlen(date) == 20 && strcmp(date + 4, "-01-01T00:00:00Z") == 0) {
		year_only = bf_arena_strndup(arena, date, 4);
		return bf_date_normal(year_only, arena);
	}
	return bf_date_normal(date, arena);
}

/* Reads one offer. */
static void read_one(struct offered *o, const struct bf_offer *offer, struct bf_arena *arena)
{
	const struct bf_record *r = &offer->record;
	struct bf_edition *e = &o->edition;
	const char *key = r->provider_key, *split;

	o->provider = offer->provider;
	o->name = bf_provider_names[offer->provider];
	o->at = offer->at;
	o->record = r;
	e->title = normal_text(r->title, TITLE_MAX, NORMAL_MARKUP, arena);
	e->subtitle = normal_text(r->subtitle, TITLE_MAX, NORMAL_MARKUP, arena);
	if (e->subtitle == NULL) {
		e->title = normal_split(e->title, arena, &split);
		e->subtitle = split;
	} else if (e->title == NULL || !offers_subtitle_fits(e->title, e->subtitle)) {
		e->subtitle = NULL;
	}
	e->publisher = normal_text(r->publisher, PUBLISHER_MAX, NORMAL_PLAIN, arena);
	e->publication_date = date_of(offer, arena);
	e->format = normal_format(r->binding, arena);
	e->language = bf_language_code(r->language);
	e->description = normal_text(r->description, DESCRIPTION_MAX, NORMAL_MARKUP, arena);
	e->page_count = r->pages > 0 && r->pages <= PAGES_MAX ? r->pages : 0;
	e->cover_large = normal_cover(r->cover_url, arena);
	if (offer->provider == BF_OPEN_LIBRARY && is_openlibrary(key, 'M'))
		e->openlibrary_edition_id = key;
	if (offer->provider == BF_OPEN_LIBRARY && is_openlibrary(key, 'W'))
		o->openlibrary_work_id = key;
	if (offer->provider == BF_GOOGLE_BOOKS && is_plain_key(key))
		texts_add(&e->google_books_volume_ids, key, arena);
	o->quality = bf_edition_quality(offer->provider, e);
}

/* For qsort(); what is given first stays first. */
static int compare(const void *pa, const void *pb)
{
	const struct offered *a = pa, *b = pb;
	int qa = bf_provider_quality(a->provider), qb = bf_provider_quality(b->provider);

	if (qa != qb)
		return qa > qb ? -1 : 1;
	if (a->quality != b->quality)
		return a->quality > b->quality ? -1 : 1;
	if (a->provider != b->provider)
		return a->provider < b->provider ? -1 : 1;
	return a->record < b->record ? -1 : a->record > b->record;
}

struct offered *offers_read(const struct bf_offer *offers, size_t n, struct bf_arena *arena)
{
	struct offered *o = bf_arena_alloc(arena, (n + 1) * sizeof(*o));

	for (size_t i = 0; i < n; i++)
		read_one(&o[i], &offers[i], arena);
	if (n > 1)
		qsort(o, n, sizeof(*o), compare);
	return o;
}

/* Who stands where the author is not known. */
static bool is_nobody(const char *key)
{
	static const char *const nobody[] = { "unknown", "unknown author", "author unknown",
		"not known", "n a", "none", "неизвестный автор", "неизвестен", "autor desconocido",
		"auteur inconnu", "unbekannt", "unbekannter autor", "onbekend",
		"autore sconosciuto", "autor desconhecido" };

	char folded[BF_KEY_MAX];

	for (size_t i = 0; i < BF_COUNT(nobody); i++) {
		bf_author_key(nobody[i], folded);
		if (strcmp(key, folded) == 0)
			return true;
	}
	return false;
}

/* The people of one text, each once. */
static void authors_of(
	const char *text, struct bf_arena *arena, struct bf_texts *names, struct bf_texts *keys)
{
	const char *split[AUTHORS_MAX];
	size_t n;

	*names = *keys = (struct bf_texts){ NULL, 0 };
	text = normal_text(text, SIZE_MAX, NORMAL_PLAIN, arena);
	n = text != NULL ? bf_author_split(text, arena, split, AUTHORS_MAX) : 0;
	for (size_t i = 0; i < n; i++) {
		const char *name = normal_text(split[i], AUTHOR_MAX, NORMAL_PLAIN, arena);
		char key[BF_KEY_MAX];

		bf_author_key(name != NULL ? name : "", key);
		if (key[0] == '\0' || is_nobody(key))
			continue;
		texts_add(keys, bf_arena_printf(arena, "name:%s", key), arena);
		if (keys->n > names->n) { /* two people may have one name */
			const char **v = bf_arena_alloc(arena, keys->n * sizeof(*v));

			if (names->n > 0)
				memcpy(v, names->v, names->n * sizeof(*v));
			v[names->n++] = name;
			names->v = v;
		}
	}
}

/* The words of a key that are more than an initial. */
static size_t written_out(const char *key)
{
	size_t n = 0, len;

	for (key += strspn(key, " "); *key; key += len + strspn(key + len, " ")) {
		len = strcspn(key, " ");
		n += len > 1;
	}
	return n;
}

/* Whether both keys end in one word and the shorter one's names are initials of the longer one's. */
static bool abbreviates(const char *brief, const char *full)
{
	const char *b = strrchr(brief, ' '), *f = strrchr(full, ' ');

	if (b == NULL || f == NULL || strcmp(b, f) != 0 || written_out(brief) >= written_out(full))
		return false;
	for (; brief < b && full < f; brief += strspn(brief, " "), full += strspn(full, " ")) {
		size_t nb = strcspn(brief, " "), nf = strcspn(full, " ");

		if (nb == 1 ? *brief != *full : nb != nf || strncmp(brief, full, nb) != 0)
			return false;
		brief += nb;
		full += nf;
	}
	return brief >= b; /* nobody more is in the short one */
}

/* "Z. Smith" is Zadie Smith where another record of the same book says so. */
static void write_out(
	struct bf_texts *names, struct bf_texts *keys, const char *others, struct bf_arena *arena)
{
	const size_t skip = strlen("name:");
	struct bf_texts other_names, other_keys;

	authors_of(others, arena, &other_names, &other_keys);
	for (size_t i = 0; i < names->n; i++)
		for (size_t j = 0; j < other_names.n; j++)
			if (abbreviates(keys->v[i] + skip, other_keys.v[j] + skip)) {
				names->v[i] = other_names.v[j];
				keys->v[i] = other_keys.v[j];
			}
}

void bf_offer_authors(const struct bf_offer *offers, size_t n, const char *fallback,
	struct bf_arena *arena, struct bf_texts *ret_names, struct bf_texts *ret_keys)
{
	const struct offered *o = offers_read(offers, n, arena);

	size_t best = 0;

	for (; best < n; best++) {
		authors_of(o[best].record->authors, arena, ret_names, ret_keys);
		if (ret_names->n > 0)
			break;
	}
	if (best == n) {
		authors_of(fallback, arena, ret_names, ret_keys);
		return;
	}
	for (size_t i = best + 1; i < n; i++)
		write_out(ret_names, ret_keys, o[i].record->authors, arena);
	write_out(ret_names, ret_keys, fallback, arena);
}
