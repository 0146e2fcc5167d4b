/* merge: an edition grows by what is better or missing, and stays as it is by what is not. */
#include "edition_cases.h"
#include <stdlib.h>

static const struct bf_record volume = {
	.title = "DUNE",
	.publisher = "Penguin",
	.date = "2003-08-26",
	.language = "en",
	.cover_url = "https://books.google.com/content?id=B1hSG45JCX4C&zoom=1",
	.provider_key = "B1hSG45JCX4C",
	.pages = 608,
	.isbn13 = ISBN,
};
static const struct bf_record wiki = {
	.title = "Dune", .date = "1965-01-01T00:00:00Z", .language = "en", .provider_key = "Q190159"
};

static const char *one(const char *v)
{
	return v != NULL ? v : "";
}

/* A list joined by spaces. */
static const char *joined(const struct bf_texts *list)
{
	const char *text = "";

	for (size_t i = 0; i < list->n; i++)
		text = bf_arena_printf(arena, "%s%s%s", text, i > 0 ? " " : "", list->v[i]);
	return text;
}

/* The same in all columns and in the bytes of its provenance. */
static void assert_same(const struct bf_edition *a, const struct bf_edition *b)
{
	assert_string_equal(one(a->title), one(b->title));
	assert_string_equal(one(a->subtitle), one(b->subtitle));
	assert_string_equal(one(a->publisher), one(b->publisher));
	assert_string_equal(one(a->publication_date), one(b->publication_date));
	assert_string_equal(one(a->format), one(b->format));
	assert_string_equal(one(a->language), one(b->language));
	assert_string_equal(one(a->description), one(b->description));
	assert_string_equal(one(a->cover_large), one(b->cover_large));
	assert_string_equal(one(a->cover_source), one(b->cover_source));
	assert_string_equal(one(a->openlibrary_edition_id), one(b->openlibrary_edition_id));
	assert_string_equal(one(a->primary_provider), one(b->primary_provider));
	assert_string_equal(one(a->provenance_json), one(b->provenance_json));
	assert_string_equal(joined(&a->alternate_isbns), joined(&b->alternate_isbns));
	assert_string_equal(
		joined(&a->google_books_volume_ids), joined(&b->google_books_volume_ids));
	assert_string_equal(joined(&a->contributors), joined(&b->contributors));
	assert_int_equal(a->page_count, b->page_count);
	assert_int_equal(a->quality, b->quality);
	assert_int_equal(a->completeness, b->completeness);
}

/* Edition quality: provider 40/30/20/10 + title 10, publisher 5, date 5, pages 5, large cover 10
 * (medium 3, small 2), language 5, format 5, 5 per external id kind, at most 100. */
static void test_quality(void **state)
{
	static const char *some[] = { "x" };
	struct bf_edition e = { .isbn13 = ISBN };

	(void)state;
	assert_int_equal(bf_provider_quality(BF_ISBNDB), 40);
	assert_int_equal(bf_provider_quality(BF_GOOGLE_BOOKS), 30);
	assert_int_equal(bf_provider_quality(BF_OPEN_LIBRARY), 20);
	assert_int_equal(bf_provider_quality(BF_ARCHIVE_ORG), 10);
	assert_int_equal(bf_provider_quality(BF_WIKIDATA), 10);
	assert_int_equal(bf_provider_quality(BF_GEMINI), 10);
	assert_int_equal(bf_edition_quality(BF_ISBNDB, &e), 40);
	e.title = "Dune";
	assert_int_equal(bf_edition_quality(BF_ISBNDB, &e), 50);
	e.publisher = "Ace";
	assert_int_equal(bf_edition_quality(BF_ISBNDB, &e), 55);
	e.publication_date = "1990";
	assert_int_equal(bf_edition_quality(BF_ISBNDB, &e), 60);
	e.page_count = 1;
	assert_int_equal(bf_edition_quality(BF_ISBNDB, &e), 65);
	e.language = "en";
	assert_int_equal(bf_edition_quality(BF_ISBNDB, &e), 70);
	e.format = "ebook";
	assert_int_equal(bf_edition_quality(BF_ISBNDB, &e), 75);
	e.cover_small = "https://x";
	assert_int_equal(bf_edition_quality(BF_ISBNDB, &e), 77);
	e.cover_medium = "https://x";
	assert_int_equal(bf_edition_quality(BF_ISBNDB, &e), 80);
	e.cover_large = "https://x";
	assert_int_equal(bf_edition_quality(BF_ISBNDB, &e), 90);
	e.openlibrary_edition_id = "OL1M";
	assert_int_equal(bf_edition_quality(BF_ISBNDB, &e), 95);
	e.amazon_asins = e.goodreads_edition_ids = e.librarything_ids =
		(struct bf_texts){ some, 1 };
	assert_int_equal(bf_edition_quality(BF_ISBNDB, &e), 100);
	assert_int_equal(bf_edition_quality(BF_WIKIDATA, &e), 80);
	e.google_books_volume_ids = (struct bf_texts){ some, 1 };
	assert_int_equal(bf_edition_quality(BF_WIKIDATA, &e), 85);
	e.subtitle = e.description = "says nothing of quality";
	assert_int_equal(bf_edition_quality(BF_WIKIDATA, &e), 85);
}

/* Completeness: filled of 12, rounded percent. */
static void test_completeness(void **state)
{
	static const char *some[] = { "x" };
	struct bf_edition e = { .isbn13 = ISBN, .description = "counts for nothing" };

	(void)state;
	assert_int_equal(bf_edition_completeness(&e), 0);
	e.title = "Dune";
	assert_int_equal(bf_edition_completeness(&e), 8);
	e.cover_small = "https://x";
	assert_int_equal(bf_edition_completeness(&e), 17);
	e.cover_large = "https://x"; /* one cover is enough */
	assert_int_equal(bf_edition_completeness(&e), 17);
	e.subtitle = e.publisher = e.publication_date = e.format = e.language = "x";
	e.page_count = 1;
	assert_int_equal(bf_edition_completeness(&e), 67);
	e.openlibrary_edition_id = "OL1M";
	e.amazon_asins = e.google_books_volume_ids = e.goodreads_edition_ids =
		(struct bf_texts){ some, 1 };
	assert_int_equal(bf_edition_completeness(&e), 100);
}

/* A first record becomes the row, every field of it, with its origin. */
static void test_new(void **state)
{
	struct bf_offer offer = { BF_ISBNDB, EARLY, full };
	struct bf_edition e;

	(void)state;
	bf_edition_merge(NULL, ISBN, &offer, 1, arena, &e);
	assert_string_equal(e.isbn13, ISBN);
	assert_string_equal(e.title, "Dune");
	assert_string_equal(e.subtitle, "A Novel");
	assert_string_equal(e.publisher, "Ace");
	assert_string_equal(e.publication_date, "1990-09-01");
	assert_string_equal(e.format, "mass market paperback");
	assert_string_equal(e.language, "en");
	assert_string_equal(e.description, "Sand.");
	assert_string_equal(e.cover_large, full.cover_url);
	assert_string_equal(e.cover_source, "isbndb");
	assert_string_equal(e.primary_provider, "isbndb");
	assert_int_equal(e.page_count, 896);
	assert_int_equal(e.quality, 40 + 10 + 5 + 5 + 5 + 10 + 5 + 5);
	assert_int_equal(e.completeness, 67);
	assert_string_equal(joined(&e.alternate_isbns), "0441172717");
	assert_string_equal(joined(&e.contributors), "isbndb");
	assert_string_equal(joined(&e.updated),
		"title subtitle publisher publication_date format language edition_description "
		"cover_url_large cover_source primary_provider alternate_isbns contributors "
		"page_count "
		"isbndb_quality completeness_score");
	assert_non_null(strstr(
		e.provenance_json, "\"title\":{\"provider\":\"isbndb\",\"at\":\"" EARLY "\"}"));
}

/* The weightiest provider's title, publisher and date; the others fill gaps and are remembered. */
static void test_precedence(void **state)
{
	struct bf_offer offers[] = { { BF_WIKIDATA, EARLY, wiki },
		{ BF_OPEN_LIBRARY, EARLY, library }, { BF_GOOGLE_BOOKS, EARLY, volume },
		{ BF_ISBNDB, EARLY, full } };
	struct bf_record sparse = { .title = "Dune!", .provider_key = ISBN, .isbn13 = ISBN };
	struct bf_edition e, other;

	(void)state;
	bf_edition_merge(NULL, ISBN, offers, 4, arena, &e);
	assert_string_equal(e.title, "Dune");
	assert_string_equal(e.publisher, "Ace");
	assert_string_equal(e.publication_date, "1990-09-01");
	assert_string_equal(e.cover_large, full.cover_url);
	assert_string_equal(e.openlibrary_edition_id, "OL123M");
	assert_string_equal(joined(&e.google_books_volume_ids), "B1hSG45JCX4C");
	assert_string_equal(joined(&e.contributors), "google_books isbndb open_library wikidata");
	assert_int_equal(e.quality, 95);
	assert_non_null(strstr(e.provenance_json,
		"\"publisher\":{\"provider\":\"isbndb\",\"at\":\"" EARLY
		"\",\"others\":{\"google_books\":\"Penguin\",\"open_library\":\"Chilton\"}}"));
	/* the order in which they come makes no difference */
	for (size_t i = 0; i < 2; i++) {
		struct bf_offer swap = offers[i];

		offers[i] = offers[3 - i];
		offers[3 - i] = swap;
	}
	bf_edition_merge(NULL, ISBN, offers, 4, arena, &other);
	assert_same(&e, &other);
	/* a sparse record of the best provider gives its title; gaps come from the next */
	offers[0] = (struct bf_offer){ BF_ISBNDB, EARLY, sparse };
	bf_edition_merge(NULL, ISBN, offers, 4, arena, &e);
	assert_string_equal(e.title, "Dune!");
	assert_string_equal(e.primary_provider, "isbndb");
	assert_string_equal(e.publisher, "Penguin");
	assert_int_equal(e.page_count, 608);
	/* Google's thumbnail is small, Open Library's L is large */
	assert_string_equal(e.cover_large, library.cover_url);
	assert_string_equal(e.cover_source, "open_library");
}

/* Merging the same offers again gives no `updated`, the same quality, the same bytes. */
static void test_idempotent(void **state)
{
	static const enum bf_provider_id ids[] = { BF_ISBNDB, BF_GOOGLE_BOOKS, BF_OPEN_LIBRARY,
		BF_ARCHIVE_ORG, BF_WIKIDATA };
	const struct bf_record *records[] = { &full, &volume, &library, &wiki };
	struct bf_edition rows[] = {
		{ .isbn13 = ISBN },
		{ .isbn13 = ISBN, .title = "Old", .quality = 62, .publisher = "P" },
		{ .isbn13 = "0441172717",
			.title = "Dune",
			.subtitle = "A Novel",
			.quality = 20,
			.publication_date = "1990",
			.primary_provider = "openlibrary" },
		{ .isbn13 = ISBN,
			.title = "Dune",
			.quality = 100,
			.primary_provider = "user-correction" },
	};

	(void)state;
	/* every row with every pair of records by every pair of providers */
	for (size_t c = 0; c < BF_COUNT(rows) * 5 * 5 * 4 * 4; c++) {
		size_t k = c / BF_COUNT(rows);
		struct bf_offer offers[] = {
			{ ids[k % 5], EARLY, *records[k / 25 % 4] },
			{ ids[k / 5 % 5], LATE, *records[k / 100 % 4] },
		};
		struct bf_edition first, second;

		bf_edition_merge(&rows[c % BF_COUNT(rows)], ISBN, offers, 2, arena, &first);
		bf_edition_merge(&first, ISBN, offers, 2, arena, &second);
		if (second.updated.n > 0)
			fail_msg("case %zu: %s", c, joined(&second.updated));
		assert_same(&first, &second);
		assert_true(first.quality >= rows[c % BF_COUNT(rows)].quality);
	}
}

/* A fuller record never loses to a poorer one: title, publisher, date only from higher quality. */
static void test_poorer_never_wins(void **state)
{
	struct bf_offer good = { BF_ISBNDB, EARLY, full },
			poor = { BF_OPEN_LIBRARY, LATE, library };
	struct bf_edition row, e;

	(void)state;
	bf_edition_merge(NULL, ISBN, &good, 1, arena, &row);
	bf_edition_merge(&row, ISBN, &poor, 1, arena, &e);
	assert_string_equal(e.title, "Dune");
	assert_string_equal(e.subtitle, "A Novel");
	assert_string_equal(e.publisher, "Ace");
	assert_string_equal(e.publication_date, "1990-09-01");
	assert_int_equal(e.page_count, 896);
	assert_string_equal(e.primary_provider, "isbndb");
	assert_string_equal(e.openlibrary_edition_id, "OL123M"); /* a gap */
	assert_string_equal(joined(&e.contributors), "isbndb open_library");
	assert_string_equal(joined(&e.updated),
		"openlibrary_edition_id contributors isbndb_quality "
		"completeness_score");
	assert_int_equal(e.quality, 90);
	assert_non_null(strstr(e.provenance_json, "\"others\":{\"open_library\":\"Chilton\"}"));
	assert_non_null(strstr(
		e.provenance_json, "\"publisher\":{\"provider\":\"isbndb\",\"at\":\"" EARLY));
}

/* The other way round: a higher quality takes title, publisher and date over; gaps that were filled
 * stay as they are. */
static void test_better_wins(void **state)
{
	struct bf_offer poor = { BF_OPEN_LIBRARY, EARLY, library },
			good = { BF_ISBNDB, LATE, full };
	struct bf_edition row, e;

	(void)state;
	bf_edition_merge(NULL, ISBN, &poor, 1, arena, &row);
	assert_int_equal(row.quality, 60);
	bf_edition_merge(&row, ISBN, &good, 1, arena, &e);
	assert_string_equal(e.title, "Dune");
	assert_string_equal(e.subtitle, "A Novel");
	assert_string_equal(e.publisher, "Ace");
	assert_string_equal(e.publication_date, "1990-09-01");
	assert_string_equal(e.primary_provider, "isbndb");
	assert_int_equal(e.page_count, 412);                    /* was no gap */
	assert_string_equal(e.cover_large, library.cover_url);  /* as large */
	assert_string_equal(e.format, "mass market paperback"); /* a gap */
	assert_non_null(strstr(e.provenance_json,
		"\"publisher\":{\"provider\":\"isbndb\",\"at\":\"" LATE
		"\",\"others\":{\"open_library\":\"Chilton\"}}"));
	assert_non_null(strstr(e.provenance_json,
		"\"page_count\":{\"provider\":\"open_library\",\"at\":\"" EARLY
		"\",\"others\":{\"isbndb\":\"896\"}}"));
}

/* Equal quality is not higher; a row of another system keeps its title, provider and figure. */
static void test_row_of_higher_quality(void **state)
{
	struct bf_edition row = { .isbn13 = ISBN,
		.title = "Dune (corrected)",
		.quality = 85,
		.primary_provider = "user-correction" },
			  e;
	struct bf_offer offer = { BF_ISBNDB, EARLY, full };

	(void)state;
	bf_edition_merge(&row, ISBN, &offer, 1, arena, &e);
	assert_string_equal(e.title, "Dune (corrected)");
	assert_string_equal(e.primary_provider, "user-correction");
	assert_string_equal(e.publisher, "Ace"); /* a gap */
	assert_int_equal(e.quality, 85);
	assert_null(strstr(e.provenance_json, "\"title\"")); /* nobody knows whose it is */
	row.quality = 84;
	bf_edition_merge(&row, ISBN, &offer, 1, arena, &e);
	assert_string_equal(e.title, "Dune");
	assert_string_equal(e.primary_provider, "isbndb");
}

/* A date that says less takes no other's place, whatever its record's quality. */
static void test_vaguer_date(void **state)
{
	struct bf_edition row = { .isbn13 = ISBN, .publication_date = "1990-09-01", .quality = 10 },
			  e;
	struct bf_record record = { .title = "Dune", .date = "1990" };
	struct bf_offer offer = { BF_ISBNDB, EARLY, record };

	(void)state;
	bf_edition_merge(&row, ISBN, &offer, 1, arena, &e);
	assert_string_equal(e.publication_date, "1990-09-01");
	offer.record.date = "1991";
	bf_edition_merge(&row, ISBN, &offer, 1, arena, &e);
	assert_string_equal(e.publication_date, "1991");
	row.publication_date = "1990";
	offer.record.date = "September 1990";
	bf_edition_merge(&row, ISBN, &offer, 1, arena, &e);
	assert_string_equal(e.publication_date, "1990-09");
}

/* The subtitle goes with the title: kept or filled under the same one, never beside another. */
static void test_subtitle(void **state)
{
	struct bf_record plain = { .title = "Educated" },
			 told = { .title = "Educated", .subtitle = "A Memoir" },
			 other = { .title = "Westover Family" },
			 whole = { .title = "Educated A Memoir" };
	struct bf_offer offers[2] = { { BF_ISBNDB, EARLY, plain },
		{ BF_OPEN_LIBRARY, EARLY, told } };
	struct bf_edition row = { .isbn13 = ISBN,
		.title = "educated",
		.subtitle = "Her Memoir",
		.quality = 5 },
			  e;

	(void)state;
	bf_edition_merge(NULL, ISBN, offers, 2, arena, &e);
	assert_string_equal(e.subtitle, "A Memoir");
	bf_edition_merge(&row, ISBN, offers, 1, arena, &e);
	assert_string_equal(e.title, "Educated");
	assert_string_equal(e.subtitle, "Her Memoir");
	bf_edition_merge(&row, ISBN, offers + 1, 1, arena, &e);
	assert_string_equal(e.subtitle, "A Memoir");
	offers[0].record = other;
	bf_edition_merge(&row, ISBN, offers, 2, arena, &e);
	assert_string_equal(e.title, "Westover Family");
	assert_null(e.subtitle);
	offers[0].record = whole;
	bf_edition_merge(NULL, ISBN, offers, 2, arena, &e);
	assert_null(e.subtitle);
}

/* A larger cover replaces a smaller one, never the other way round; other systems' stay. */
static void test_covers(void **state)
{
	struct bf_offer large = { BF_ISBNDB, EARLY, full },
			small = { BF_GOOGLE_BOOKS, EARLY, volume };
	struct bf_edition row, e,
		own = { .isbn13 = ISBN,
			.cover_large = "https://covers.example/own.jpg",
			.cover_medium = "https://covers.example/m.jpg",
			.cover_source = "r2" };

	(void)state;
	bf_edition_merge(NULL, ISBN, &small, 1, arena, &row);
	assert_string_equal(row.cover_large, volume.cover_url);
	bf_edition_merge(&row, ISBN, &large, 1, arena, &e);
	assert_string_equal(e.cover_large, full.cover_url);
	assert_string_equal(e.cover_source, "isbndb");
	row = e;
	bf_edition_merge(&row, ISBN, &small, 1, arena, &e);
	assert_string_equal(e.cover_large, full.cover_url);
	bf_edition_merge(&own, ISBN, &large, 1, arena, &e);
	assert_string_equal(e.cover_large, "https://covers.example/own.jpg");
	assert_string_equal(e.cover_medium, "https://covers.example/m.jpg");
	assert_string_equal(e.cover_source, "r2");
}

/* Only keys of editions are edition ids, only volumes' are volume ids, whoever sends them. */
static void test_ids(void **state)
{
	struct bf_record record = { .title = "Dune", .provider_key = "OL123W" };
	struct bf_offer offer = { BF_OPEN_LIBRARY, EARLY, record };
	struct bf_edition e;

	(void)state;
	bf_edition_merge(NULL, ISBN, &offer, 1, arena, &e);
	assert_null(e.openlibrary_edition_id);
	offer.record.provider_key = "OL123M";
	bf_edition_merge(NULL, ISBN, &offer, 1, arena, &e);
	assert_string_equal(e.openlibrary_edition_id, "OL123M");
	offer.provider = BF_GOOGLE_BOOKS;
	bf_edition_merge(NULL, ISBN, &offer, 1, arena, &e);
	assert_null(e.openlibrary_edition_id);
	assert_string_equal(joined(&e.google_books_volume_ids), "OL123M");
	offer.record.provider_key = "a b\"c";
	bf_edition_merge(NULL, ISBN, &offer, 1, arena, &e);
	assert_int_equal(e.google_books_volume_ids.n, 0);
}

/* An ISBN-10 key becomes the ISBN-13 with the ISBN-10 in alternate_isbns; 979 has no ISBN-10; the
 * ISBNs of other editions are not taken in, those that are there stay. */
static void test_isbns(void **state)
{
	static const char *others[] = { "9780593099322", "0441172717" };
	struct bf_edition row = { .isbn13 = "0441172717" }, e;
	struct bf_record record = { .title = "Dune", .other_isbns = "9780340960196" };
	struct bf_offer offer = { BF_ISBNDB, EARLY, record };

	(void)state;
	bf_edition_merge(&row, ISBN, &offer, 1, arena, &e);
	assert_string_equal(e.isbn13, ISBN);
	assert_string_equal(joined(&e.alternate_isbns), "0441172717");
	assert_string_equal(e.updated.v[0], "isbn");
	row = (struct bf_edition){ .isbn13 = ISBN, .alternate_isbns = { others, 2 } };
	bf_edition_merge(&row, ISBN, &offer, 1, arena, &e);
	assert_string_equal(joined(&e.alternate_isbns), "9780593099322 0441172717");
	bf_edition_merge(NULL, "9798986000000", &offer, 1, arena, &e);
	assert_int_equal(e.alternate_isbns.n, 0);
}

/* contributors grow, distinct and sorted; lists handed in are not written to. */
static void test_contributors(void **state)
{
	static const char *before[] = { "wikidata", "gemini-backfill" };
	struct bf_edition row = { .isbn13 = ISBN, .title = "Dune", .contributors = { before, 2 } },
			  e;
	struct bf_offer offers[] = { { BF_WIKIDATA, EARLY, wiki }, { BF_ISBNDB, EARLY, full } };

	(void)state;
	bf_edition_merge(&row, ISBN, offers, 2, arena, &e);
	assert_string_equal(joined(&e.contributors), "gemini-backfill isbndb wikidata");
	assert_string_equal(before[0], "wikidata");
	assert_int_equal(row.contributors.n, 2);
}

/* No offers: nothing changes but what can be counted; nothing at all: an ISBN. */
static void test_nothing_offered(void **state)
{
	struct bf_edition row = { .isbn13 = ISBN, .title = "Dune", .subtitle = "", .quality = 33 },
			  e;

	(void)state;
	bf_edition_merge(&row, ISBN, NULL, 0, arena, &e);
	assert_string_equal(e.title, "Dune");
	assert_null(e.subtitle);
	assert_int_equal(e.quality, 33);
	assert_string_equal(joined(&e.updated), "alternate_isbns completeness_score");
	bf_edition_merge(NULL, ISBN, NULL, 0, arena, &e);
	assert_string_equal(e.isbn13, ISBN);
	assert_null(e.title);
	assert_null(e.provenance_json);
	assert_int_equal(e.quality, 0);
}

/* A record without a title fills gaps; the title stays open. */
static void test_untitled(void **state)
{
	struct bf_record record = { .date = "1965", .language = "en" };
	struct bf_offer offers[] = { { BF_WIKIDATA, EARLY, record },
		{ BF_OPEN_LIBRARY, EARLY, library } };
	struct bf_edition e;

	(void)state;
	bf_edition_merge(NULL, ISBN, offers, 1, arena, &e);
	assert_null(e.title);
	assert_string_equal(e.language, "en");
	assert_string_equal(e.primary_provider, "wikidata");
	bf_edition_merge(NULL, ISBN, offers, 2, arena, &e);
	assert_string_equal(e.title, "Dune (large)");
	assert_string_equal(e.primary_provider, "open_library");
}

/* A publisher taken from a better record raises the row's quality to that record's, so that a lesser
 * one does not take it away again. */
static void test_guarded_quality(void **state)
{
	struct bf_edition row = { .isbn13 = ISBN,
		.title = "Dune",
		.publisher = "Old",
		.quality = 55,
		.primary_provider = "archive_org" };
	struct bf_offer offers[] = { { BF_ISBNDB, EARLY, { .title = "Dune" } },
		{ BF_GOOGLE_BOOKS, EARLY,
			{ .title = "Dune",
				.publisher = "Penguin",
				.date = "2003",
				.language = "en",
				.provider_key = "B1" } } };
	struct bf_offer lesser = { BF_OPEN_LIBRARY, LATE, library };
	struct bf_edition e, after;

	(void)state;
	bf_edition_merge(&row, ISBN, offers, 2, arena, &e);
	assert_string_equal(e.publisher, "Penguin");
	assert_string_equal(e.primary_provider, "archive_org");
	assert_int_equal(e.quality, 60);
	lesser.record.provider_key = NULL;
	lesser.record.language = "eng"; /* 60: as good, not better */
	bf_edition_merge(&e, ISBN, &lesser, 1, arena, &after);
	assert_string_equal(after.publisher, "Penguin");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_quality),
		CASE(test_completeness),
		CASE(test_new),
		CASE(test_precedence),
		CASE(test_idempotent),
		CASE(test_poorer_never_wins),
		CASE(test_better_wins),
		CASE(test_row_of_higher_quality),
		CASE(test_vaguer_date),
		CASE(test_subtitle),
		CASE(test_covers),
		CASE(test_ids),
		CASE(test_isbns),
		CASE(test_contributors),
		CASE(test_nothing_offered),
		CASE(test_untitled),
		CASE(test_guarded_quality),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
