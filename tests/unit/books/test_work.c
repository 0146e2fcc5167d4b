/* work: what a work becomes by its editions, and by the synthetic works that were the same book. */
#include "merge_cases.h"

static const struct bf_record full = {
	.title = "Dune",
	.subtitle = "A Novel",
	.authors = "Frank Herbert",
	.publisher = "Ace",
	.language = "eng",
	.binding = "Paperback",
	.date = "1990-09-01",
	.cover_url = "https://images.isbndb.com/covers/1.jpg",
	.provider_key = ISBN,
	.description = "Sand.",
	.subjects = "Fiction;SCIENCE FICTION",
	.pages = 896,
	.isbn13 = ISBN,
};
static const struct bf_record library = {
	.title = "dune",
	.date = "1984",
	.provider_key = "OL893415W",
	.subjects = "fiction;Arrakis",
	.cover_url = "https://covers.openlibrary.org/b/id/1-M.jpg",
	.isbn13 = ISBN,
};
static const struct bf_record volume = {
	.title = "Dune", .provider_key = "B1hSG45JCX4C", .date = "2003"
};
static const struct bf_work synthetic = {
	.work_key = "synthetic:1",
	.title = "DUNE",
	.first_publication_year = 1965,
	.synthetic = true,
	.completeness = 30,
	.primary_provider = "gemini-backfill",
};

static const char *one(const char *v)
{
	return v != NULL ? v : "";
}

/* A list joined by bars. */
static const char *joined(const struct bf_texts *list)
{
	const char *text = "";

	for (size_t i = 0; i < list->n; i++)
		text = bf_arena_printf(arena, "%s%s%s", text, i > 0 ? "|" : "", list->v[i]);
	return text;
}

/* Edition and work, one after the other. */
static struct bf_work merge(const struct bf_work *old, const struct bf_offer *offers, size_t n)
{
	struct bf_edition e;
	struct bf_work w;

	bf_edition_merge(NULL, ISBN, offers, n, arena, &e);
	bf_work_merge(old, &e, offers, n, arena, &w);
	return w;
}

/* Completeness: filled of 11, rounded percent. */
static void test_completeness(void **state)
{
	static const char *some[] = { "x" };
	struct bf_work w = { .isbndb_id = "counts for nothing" };

	(void)state;
	assert_int_equal(bf_work_completeness(&w), 0);
	w.title = "Dune";
	assert_int_equal(bf_work_completeness(&w), 9);
	w.cover_medium = "https://x";
	assert_int_equal(bf_work_completeness(&w), 18);
	w.cover_large = "https://x";
	assert_int_equal(bf_work_completeness(&w), 18);
	w.subtitle = w.description = w.original_language = w.openlibrary_work_id = "x";
	w.first_publication_year = 1965;
	assert_int_equal(bf_work_completeness(&w), 64);
	w.subject_tags = w.goodreads_work_ids = w.amazon_asins = w.google_books_volume_ids =
		(struct bf_texts){ some, 1 };
	assert_int_equal(bf_work_completeness(&w), 100);
}

/* A new work has all that its edition and the records tell. */
static void test_new(void **state)
{
	struct bf_offer offers[] = { { BF_ISBNDB, EARLY, full },
		{ BF_OPEN_LIBRARY, EARLY, library }, { BF_GOOGLE_BOOKS, EARLY, volume } };
	struct bf_work w = merge(NULL, offers, 3);

	(void)state;
	assert_null(w.work_key);
	assert_string_equal(w.title, "Dune");
	assert_string_equal(w.subtitle, "A Novel");
	assert_string_equal(w.description, "Sand.");
	assert_string_equal(w.original_language, "en");
	assert_string_equal(w.cover_large, full.cover_url);
	assert_string_equal(w.cover_source, "isbndb");
	assert_string_equal(w.openlibrary_work_id, "OL893415W");
	assert_string_equal(w.isbndb_id, ISBN);
	assert_string_equal(w.primary_provider, "isbndb");
	assert_int_equal(w.first_publication_year, 1984); /* the earliest that anyone knows */
	assert_false(w.synthetic);
	assert_int_equal(w.quality, 90);
	assert_int_equal(w.completeness, 82);
	assert_string_equal(joined(&w.subject_tags), "fiction|science fiction|arrakis");
	assert_string_equal(joined(&w.google_books_volume_ids), "B1hSG45JCX4C");
	assert_string_equal(joined(&w.contributors), "google_books|isbndb|open_library");
	assert_string_equal(joined(&w.updated),
		"title|subtitle|description|original_language|cover_url_large|cover_source|"
		"openlibrary_work_id|isbndb_id|primary_provider|subject_tags|google_books_volume_"
		"ids|"
		"contributors|first_publication_year|isbndb_quality|completeness_score");
	assert_non_null(strstr(w.provenance_json, "\"description\":{\"provider\":\"isbndb\""));
	assert_non_null(strstr(
		w.provenance_json, "\"openlibrary_work_id\":{\"provider\":\"open_library\""));
	assert_non_null(strstr(
		w.provenance_json, "\"first_publication_year\":{\"provider\":\"open_library\""));
}

/* An enriched synthetic work becomes real: synthetic false, score raised, description and subjects
 * filled; primary_provider goes on naming the AI that produced the book; its year stays. */
static void test_synthetic_becomes_real(void **state)
{
	struct bf_offer offers[] = { { BF_ISBNDB, EARLY, full },
		{ BF_OPEN_LIBRARY, EARLY, library } };
	struct bf_work w = merge(&synthetic, offers, 2);

	(void)state;
	assert_string_equal(w.work_key, "synthetic:1");
	assert_false(w.synthetic);
	assert_true(w.completeness > 30);
	assert_string_equal(w.title, "Dune"); /* as a catalogue spells it */
	assert_string_equal(w.description, "Sand.");
	assert_int_equal(w.subject_tags.n, 3);
	assert_string_equal(w.primary_provider, "gemini-backfill");
	assert_string_equal(joined(&w.contributors), "isbndb|open_library");
	assert_int_equal(w.first_publication_year, 1965);
	assert_int_equal(w.quality, 85);
	assert_non_null(strstr(joined(&w.updated), "synthetic"));
	assert_null(strstr(joined(&w.updated), "primary_provider"));
}

/* The year an AI gave is neither raised nor lowered, at the promotion and ever after. */
static void test_ai_year_stays(void **state)
{
	struct bf_record early = { .title = "Dune", .date = "1960" };
	struct bf_offer offer = { BF_ISBNDB, EARLY, early };
	struct bf_work old = synthetic, w;

	(void)state;
	w = merge(&old, &offer, 1);
	assert_int_equal(w.first_publication_year, 1965);
	w = merge(&w, &offer, 1);
	assert_int_equal(w.first_publication_year, 1965);
	old.primary_provider = "gemini"; /* as another system wrote it: the provenance remembers */
	w = merge(&old, &offer, 1);
	assert_int_equal(w.first_publication_year, 1965);
	w = merge(&w, &offer, 1);
	assert_int_equal(w.first_publication_year, 1965);
	assert_int_equal(w.updated.n, 0);
	old.first_publication_year = 0; /* none given: then the edition's */
	w = merge(&old, &offer, 1);
	assert_int_equal(w.first_publication_year, 1960);
}

/* first_publication_year is never raised by a reprint, and lowered by an earlier edition. */
static void test_earliest_year(void **state)
{
	struct bf_offer offer = { BF_ISBNDB, EARLY, full };
	struct bf_work real = { .title = "Dune", .first_publication_year = 1984, .quality = 100 },
		       w;

	(void)state;
	w = merge(&real, &offer, 1);
	assert_int_equal(w.first_publication_year, 1984);
	real.first_publication_year = 2001;
	w = merge(&real, &offer, 1);
	assert_int_equal(w.first_publication_year, 1990);
	offer.record.date = NULL;
	offer.record.year = 1965; /* a service that knows the work's year only */
	w = merge(&real, &offer, 1);
	assert_int_equal(w.first_publication_year, 1965);
	offer.record.year = 0;
	w = merge(&real, &offer, 1);
	assert_int_equal(w.first_publication_year, 2001);
}

/* The title changes hands only to a higher quality; language, description and cover fill gaps. */
static void test_real_work(void **state)
{
	struct bf_offer offer = { BF_ISBNDB, EARLY, full };
	struct bf_work real = { .work_key = "w",
		.title = "Dune, corrected",
		.subtitle = "Book One",
		.description = "Own words.",
		.original_language = "fr",
		.quality = 85,
		.cover_large = "https://covers.example/own.jpg",
		.cover_source = "r2",
		.isbndb_id = "9780000000002",
		.primary_provider = "openlibrary" },
		       w;

	(void)state;
	w = merge(&real, &offer, 1);
	assert_string_equal(w.title, "Dune, corrected");
	assert_string_equal(w.subtitle, "Book One");
	assert_string_equal(w.description, "Own words.");
	assert_string_equal(w.original_language, "fr");
	assert_string_equal(w.cover_large, "https://covers.example/own.jpg");
	assert_string_equal(w.cover_source, "r2");
	assert_string_equal(w.isbndb_id, "9780000000002");
	assert_string_equal(w.primary_provider, "openlibrary");
	assert_int_equal(w.quality, 85);
	real.quality = 84;
	w = merge(&real, &offer, 1);
	assert_string_equal(w.title, "Dune");
	assert_string_equal(w.subtitle, "A Novel");
	assert_string_equal(w.primary_provider, "isbndb");
	assert_string_equal(w.description, "Own words.");
	assert_int_equal(w.quality, 85);
}

/* A larger cover takes a smaller one's place. */
static void test_cover(void **state)
{
	struct bf_offer small = { BF_OPEN_LIBRARY, EARLY, library },
			large = { BF_ISBNDB, LATE, full };
	struct bf_work w = merge(NULL, &small, 1);

	(void)state;
	assert_string_equal(w.cover_large, library.cover_url);
	w = merge(&w, &large, 1);
	assert_string_equal(w.cover_large, full.cover_url);
	assert_string_equal(w.cover_source, "isbndb");
	w = merge(&w, &small, 1);
	assert_string_equal(w.cover_large, full.cover_url);
}

/* tags lower-cased, trimmed, distinct; thirty at most, but those that are there stay. */
static void test_tags(void **state)
{
	static const char *before[] = { " Space Opera ", "FICTION", "fiction", "813.54" },
			  *many[40];
	struct bf_work real = { .title = "Dune", .subject_tags = { before, 4 } }, w;
	struct bf_offer offer = { BF_ISBNDB, EARLY, full };
	struct bf_buf subjects;

	(void)state;
	w = merge(&real, &offer, 1);
	assert_string_equal(joined(&w.subject_tags), "space opera|fiction|813.54|science fiction");
	bf_buf_init(&subjects, 2000);
	for (int i = 0; i < 40; i++) {
		many[i] = bf_arena_printf(arena, "tag %d", i);
		bf_buf_addf(&subjects, "subject %d;", i);
	}
	offer.record.subjects = subjects.data;
	w = merge(NULL, &offer, 1);
	assert_int_equal(w.subject_tags.n, 30);
	real.subject_tags = (struct bf_texts){ many, 40 };
	w = merge(&real, &offer, 1);
	assert_int_equal(w.subject_tags.n, 40);
	bf_buf_release(&subjects);
}

/* The same offers again: nothing updated, the same figures, the same bytes of provenance. */
static void test_idempotent(void **state)
{
	static const struct bf_work real = { .work_key = "w",
		.title = "Old",
		.quality = 50,
		.first_publication_year = 2000 },
				    bare = { .work_key = "w", .synthetic = true, .title = "dune" };
	const struct bf_work *olds[] = { NULL, &synthetic, &real, &bare };
	struct bf_offer offers[] = { { BF_ISBNDB, EARLY, full }, { BF_OPEN_LIBRARY, LATE, library },
		{ BF_GOOGLE_BOOKS, LATE, volume } };

	(void)state;
	for (size_t i = 0; i < BF_COUNT(olds); i++) {
		for (size_t from = 0; from < 3; from++) {
			for (size_t n = 0; from + n <= 3; n++) {
				struct bf_work first = merge(olds[i], offers + from, n);
				struct bf_work second = merge(&first, offers + from, n);

				assert_string_equal(joined(&second.updated), "");
				assert_int_equal(first.quality, second.quality);
				assert_string_equal(
					one(first.provenance_json), one(second.provenance_json));
			}
		}
	}
}

/* A synthetic work's facts fill the real one's gaps and take nothing's place. */
static void test_absorb(void **state)
{
	static const char *ai[] = { "xai-backfill" }, *cat[] = { "isbndb" },
			  *tags[] = { "Epic", "fiction" }, *asin[] = { "B000", "B001" },
			  *had[] = { "fiction" };
	struct bf_work into = { .work_key = "work:1",
		.title = "Dune",
		.primary_provider = "isbndb",
		.quality = 60,
		.contributors = { cat, 1 },
		.subject_tags = { had, 1 },
		.provenance_json = "{\"title\":{\"provider\":\"isbndb\",\"at\":\"" EARLY "\"}}" };
	struct bf_work from = { .work_key = "synthetic:1",
		.title = "DUNE",
		.subtitle = "The Beginning of All",
		.description = "Told by an AI.",
		.first_publication_year = 1965,
		.synthetic = true,
		.primary_provider = "gemini-backfill",
		.contributors = { ai, 1 },
		.subject_tags = { tags, 2 },
		.amazon_asins = { asin, 2 },
		.cover_medium = "https://x.example/m.jpg",
		.cover_source = "r2" },
		       w, again;

	(void)state;
	bf_work_absorb(&into, &from, arena, &w);
	assert_string_equal(w.work_key, "work:1");
	assert_string_equal(w.title, "Dune");
	assert_string_equal(w.subtitle, "The Beginning of All");
	assert_string_equal(w.description, "Told by an AI.");
	assert_int_equal(w.first_publication_year, 1965);
	assert_string_equal(w.primary_provider, "isbndb");
	assert_string_equal(joined(&w.contributors), "gemini-backfill|isbndb|xai-backfill");
	assert_string_equal(joined(&w.subject_tags), "fiction|epic");
	assert_string_equal(joined(&w.amazon_asins), "B000|B001");
	assert_string_equal(w.cover_medium, "https://x.example/m.jpg");
	assert_string_equal(w.cover_source, "r2");
	assert_false(w.synthetic);
	assert_int_equal(w.quality, 60);
	assert_int_equal(w.completeness, bf_work_completeness(&w));
	assert_non_null(
		strstr(w.provenance_json, "\"description\":{\"provider\":\"gemini-backfill\"}"));
	assert_non_null(strstr(
		w.provenance_json, "\"title\":{\"provider\":\"isbndb\",\"at\":\"" EARLY "\"}"));
	assert_non_null(strstr(joined(&w.updated), "description"));
	bf_work_absorb(&w, &from, arena, &again);
	assert_string_equal(joined(&again.updated), joined(&w.updated)); /* nothing more */
	assert_string_equal(again.provenance_json, w.provenance_json);
	from.description = "Other words.";
	from.first_publication_year = 1900;
	bf_work_absorb(&w, &from, arena, &again);
	assert_string_equal(again.description, "Told by an AI.");
	assert_int_equal(again.first_publication_year, 1965);
}

/* What the merge before it had updated stays listed. */
static void test_absorb_after_merge(void **state)
{
	struct bf_offer offer = { BF_OPEN_LIBRARY, EARLY, library };
	struct bf_work real = { .work_key = "w", .title = "Dune", .quality = 100 }, merged, w;

	(void)state;
	merged = merge(&real, &offer, 1);
	assert_non_null(strstr(joined(&merged.updated), "openlibrary_work_id"));
	bf_work_absorb(&merged, &synthetic, arena, &w);
	assert_non_null(strstr(joined(&w.updated), "openlibrary_work_id"));
	assert_non_null(strstr(joined(&w.updated), "contributors"));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_completeness),
		CASE(test_new),
		CASE(test_synthetic_becomes_real),
		CASE(test_ai_year_stays),
		CASE(test_earliest_year),
		CASE(test_real_work),
		CASE(test_cover),
		CASE(test_tags),
		CASE(test_idempotent),
		CASE(test_absorb),
		CASE(test_absorb_after_merge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
