/*
 * quality: how good a record is, and how much of it is there, by fixed sums.
 */
#include "backfill/books.h"

/* Is something in it? */
static int has(const char *text)
{
	return text != NULL && text[0] != '\0';
}

int bf_provider_quality(enum bf_provider_id provider)
{
	switch (provider) {
	case BF_ISBNDB: return 40;
	case BF_GOOGLE_BOOKS: return 30;
	case BF_OPEN_LIBRARY: return 20;
	case BF_GEMINI:
	case BF_XAI:
	case BF_ARCHIVE_ORG:
	case BF_WIKIDATA:
	case BF_NPROVIDERS: break;
	}
	return 10;
}

int bf_edition_quality(enum bf_provider_id provider, const struct bf_edition *e)
{
	int sum = bf_provider_quality(provider);

	sum += 10 * has(e->title) + 5 * has(e->publisher) + 5 * has(e->publication_date) +
		5 * (e->page_count > 0) + 5 * has(e->language) + 5 * has(e->format);
	sum += 10 * has(e->cover_large) + 3 * has(e->cover_medium) + 2 * has(e->cover_small);
	sum += 5 *
		(has(e->openlibrary_edition_id) + (e->amazon_asins.n > 0) +
			(e->google_books_volume_ids.n > 0) + (e->goodreads_edition_ids.n > 0) +
			(e->librarything_ids.n > 0));
	return sum > 100 ? 100 : sum;
}

/* Rounded percent. */
static int percent(int filled, int of)
{
	return (200 * filled + of) / (2 * of);
}

int bf_edition_completeness(const struct bf_edition *e)
{
	return percent(has(e->title) + has(e->subtitle) + has(e->publisher) +
			has(e->publication_date) + (e->page_count > 0) + has(e->format) +
			has(e->language) +
			(has(e->cover_large) || has(e->cover_medium) || has(e->cover_small)) +
			has(e->openlibrary_edition_id) + (e->amazon_asins.n > 0) +
			(e->google_books_volume_ids.n > 0) + (e->goodreads_edition_ids.n > 0),
		12);
}

int bf_work_completeness(const struct bf_work *w)
{
	return percent(has(w->title) + has(w->subtitle) + has(w->description) +
			has(w->original_language) + (w->first_publication_year > 0) +
			(w->subject_tags.n > 0) +
			(has(w->cover_large) || has(w->cover_medium) || has(w->cover_small)) +
			has(w->openlibrary_work_id) + (w->goodreads_work_ids.n > 0) +
			(w->amazon_asins.n > 0) + (w->google_books_volume_ids.n > 0),
		11);
}
