/* What a batch leaves in the catalogue, and what it leaves alone. */
#include "queue.h"

#define NODE(state)                  \
	struct node *one = *(state); \
	if (one == NULL)             \
	skip()
#define ISBN_A "9780306406157" /* ISBN-10: 0306406152 */
#define ISBN_B "9780441172719"
#define ISBN_C "9780747532699"

/* A batch of one book, to be changed by each test before it is written. */
struct book {
	struct bf_edition edition;
	struct bf_work work;
	struct bf_work_write w;
	struct bf_edition_write e;
	struct bf_enrich_write batch;
};

/* A copy that outlives the calls of one test. */
static const char *keep(const char *text)
{
	static char kept[32][128];
	static int turn;
	char *to = kept[turn++ & 31];

	snprintf(to, sizeof(kept[0]), "%s", text);
	return to;
}

static struct book *book_new(struct bf_item_ref ref, const char *isbn13, const char *work_key)
{
	static struct book b;

	b = (struct book){ .edition = { .isbn13 = isbn13,
				   .title = "Dune",
				   .publisher = "Ace",
				   .page_count = 412,
				   .quality = 70,
				   .completeness = 50,
				   .primary_provider = "isbndb",
				   .contributors = texts_of("isbndb", "wikidata"),
				   .provenance_json = "{\"title\":{\"provider\":\"isbndb\"}}",
				   .updated = texts_of("title", "publisher") },
		.work = { .work_key = work_key,
			.title = "Dune",
			.primary_provider = "isbndb",
			.description = "Sand \"and\" spice\\",
			.quality = 70,
			.completeness = 36,
			.subject_tags = texts_of("science fiction", "desert"),
			.contributors = texts_of("isbndb", NULL),
			.updated = texts_of("title", NULL) },
		.e = { .item = ref, .confidence = 90, .source = "new", .primary = "isbndb" },
		.w = { .author_names = texts_of("Frank Herbert", "Brian Herbert"),
			.author_keys = texts_of("name:frank", "name:brian") },
		.batch = { .n_editions = 1, .n_works = 1, .max_retries = 4, .siblings = true } };
	b.e.edition = &b.edition;
	b.w.work = &b.work;
	b.batch.editions = &b.e;
	b.batch.works = &b.w;
	b.batch.looked_at = keep(db_text("SELECT clock_timestamp()"));
	return &b;
}

/* A row's version as a look tells it. */
static const char *seen_of(const char *table, const char *column, const char *key)
{
	return keep(db_text("SELECT coalesce(updated_at::text, '') FROM %s WHERE %s = '%s'", table,
		column, key));
}

#define WORK_SEEN(key)    seen_of("enriched_works", "work_key", key)
#define EDITION_SEEN(key) seen_of("enriched_editions", "isbn", key)

static const char *operations(void)
{
	return db_text("SELECT string_agg(operation, ' ' ORDER BY operation) FROM enrichment_log");
}

/* A new book: edition, work, authors in order with their counts, log, the item's end; saying it again
 * changes nothing. */
static void a_new_book_is_written(void **state)
{
	NODE(state);
	struct book *b = book_new(take_one(one, ISBN_A), ISBN_A, "work:1");

	for (int i = 0; i < 2; i++)
		assert_int_equal(write_batch(one, &b->batch), BF_WRITTEN_DONE);
	assert_string_equal(
		db_text("SELECT work_key || title || publisher || page_count || isbndb_quality ||"
			" completeness_score || work_match_confidence || work_match_source ||"
			" contributors::text || (metadata->'provenance'->'title'->>'provider') ||"
			" (last_isbndb_sync IS NOT NULL) || coalesce(alternate_isbns::text, '-')"
			" FROM enriched_editions WHERE isbn = '%s'",
			ISBN_A),
		"work:1DuneAce412705090new{isbndb,wikidata}isbndbtrue-");
	assert_string_equal(db_text("SELECT title || synthetic || description || "
				    "subject_tags::text || review_status"
				    " FROM enriched_works WHERE work_key = 'work:1'"),
		"DunefalseSand \"and\" spice\\{\"science fiction\",desert}verified");
	assert_string_equal(
		db_text("SELECT string_agg(a.name || a.book_count || a.primary_provider, ' ' ORDER "
			"BY author_order)"
			" FROM work_authors_enriched JOIN enriched_authors a USING (author_key)"),
		"Frank Herbert1isbndb Brian Herbert1isbndb");
	assert_string_equal(operations(), "create_edition create_work link_authors");
	assert_string_equal(db_text("SELECT fields_updated::text || provider || instance || "
				    "(detail->>'work_key')"
				    " FROM enrichment_log WHERE operation = 'create_edition'"),
		"{title,publisher}isbndbonework:1");
	assert_string_equal(db_text("SELECT status || work_key || (completed_at >= started_at) || "
				    "coalesce(owner, '-')"
				    " FROM enrichment_queue"),
		"completedwork:1true-");
}

/* A fuller record goes over what is there; what the batch does not know stays; what could not be asked is
 * noted, and forgotten the next time. */
static void a_known_book_is_updated(void **state)
{
	NODE(state);
	struct book *b;
	const char *first;

	db_run("INSERT INTO enriched_works (work_key, title, goodreads_work_ids, metadata, "
	       "updated_at)"
	       " VALUES ('w', 'Old', ARRAY['7'], '[{\"a\": 1}, \"x\"]', NULL)");
	db_run("INSERT INTO enriched_editions (isbn, work_key, title, format, amazon_asins, "
	       "metadata)"
	       " VALUES ('%s', 'w', 'Old', 'Paperback', ARRAY['B1'], '\"{\\\"b\\\": 2}\"')",
		ISBN_A);
	b = book_new(take_one(one, ISBN_A), ISBN_A, "w");
	b->w.seen = "";
	b->e.seen = EDITION_SEEN(ISBN_A);
	b->e.missing = "wikidata";
	b->e.source = "isbn";
	assert_int_equal(write_batch(one, &b->batch), BF_WRITTEN_DONE);
	assert_string_equal(
		db_text("SELECT title || format || amazon_asins::text || (metadata->>'b') ||"
			" (metadata->>'missing') || work_match_source FROM enriched_editions"),
		"DunePaperback{B1}2wikidataisbn");
	assert_string_equal(
		db_text("SELECT title || goodreads_work_ids::text || (metadata->>'a') ||"
			" (metadata->>'former') FROM enriched_works"),
		"Dune{7}1[\"x\"]");
	assert_string_equal(operations(), "link_authors update_edition update_work");
	b = book_new(took.item[0].ref, ISBN_A, "w");
	db_run("UPDATE enrichment_queue SET status = 'pending'");
	assert_int_equal(take(one, BF_ITEM_EDITION, 1), 1);
	b->e.item = took.item[0].ref;
	b->w.seen = first = WORK_SEEN("w");
	b->e.seen = EDITION_SEEN(ISBN_A);
	b->work.updated.n = 0;
	b->w.author_names = b->w.author_keys = texts_of("Another", NULL);
	assert_int_equal(write_batch(one, &b->batch), BF_WRITTEN_DONE);
	assert_string_equal(
		db_text("SELECT (metadata ? 'missing')::text FROM enriched_editions"), "false");
	assert_string_equal(WORK_SEEN("w"), first);
	assert_int_equal(db_int("SELECT count(*) FROM work_authors_enriched"), 2);
}

/* A synthetic work becomes real: its authors are the given ones, counts follow, its own item is done. */
static void a_synthetic_work_becomes_real(void **state)
{
	NODE(state);
	struct book *b;

	db_run("INSERT INTO enriched_works (work_key, title, synthetic, metadata)"
	       " VALUES ('synthetic:1', 'dune', true, '{\"author\": \"Herbert\"}')");
	db_run("INSERT INTO enriched_authors (author_key, name, book_count) VALUES "
	       "('name:herbert', 'Herbert', 1),"
	       " ('name:frank', 'Frank Herbert', 0)");
	db_run("INSERT INTO work_authors_enriched VALUES ('synthetic:1', 'name:herbert', 0), "
	       "('synthetic:1', 'name:frank', 1)");
	db_run("INSERT INTO enrichment_queue (entity_type, entity_key, queued_by, work_key) VALUES"
	       " ('work', 'synthetic:1', 'backfilld', 'synthetic:1')");
	b = book_new(take_one(one, ISBN_A), ISBN_A, "synthetic:1");
	b->w.seen = WORK_SEEN("synthetic:1");
	b->w.promoted = true;
	assert_int_equal(write_batch(one, &b->batch), BF_WRITTEN_DONE);
	assert_string_equal(
		db_text("SELECT synthetic || title || completeness_score || (metadata->>'author')"
			" FROM enriched_works"),
		"falseDune36Herbert");
	assert_string_equal(db_text("SELECT string_agg(author_key, ' ' ORDER BY author_order) FROM "
				    "work_authors_enriched"),
		"name:frank name:brian");
	assert_string_equal(db_text("SELECT string_agg(author_key || book_count, ' ' ORDER BY "
				    "author_key) FROM enriched_authors"),
		"name:brian1 name:frank1 name:herbert0");
	assert_string_equal(operations(), "create_edition link_authors promote_work");
	assert_string_equal(db_text("SELECT status || error_message FROM enrichment_queue WHERE "
				    "entity_type = 'work'"),
		"completedthe work has become real");
}

/* Synthetic works that are this book go into the real one with all that points at them. */
static void synthetic_works_are_absorbed(void **state)
{
	NODE(state);
	struct book *b;

	db_run("INSERT INTO enriched_works (work_key, title, synthetic, metadata) VALUES"
	       " ('real', 'Dune', false, NULL), ('synthetic:1', 'Dune', true, '{\"significance\": "
	       "\"much\"}'),"
	       " ('synthetic:2', 'Dune!', true, '{}')");
	db_run("INSERT INTO enriched_authors (author_key, name, book_count) VALUES "
	       "('name:herbert', 'Herbert', 2)");
	db_run("INSERT INTO work_authors_enriched VALUES ('synthetic:1', 'name:herbert', 0), "
	       "('synthetic:2', 'name:herbert', 0)");
	db_run("INSERT INTO enriched_editions (isbn, work_key) VALUES ('%s', 'synthetic:1'), "
	       "('%s', 'synthetic:2')",
		ISBN_B, ISBN_A);
	db_run("INSERT INTO backfill_candidates (year, month, ord, title, title_key, author_key, "
	       "work_key)"
	       " VALUES (2024, 1, 1, 'Dune', 'dune', 'h', 'synthetic:2')");
	db_run("INSERT INTO enrichment_queue (entity_type, entity_key, queued_by, work_key, "
	       "status) VALUES"
	       " ('work', 'synthetic:1', 'backfilld', 'synthetic:1', 'pending'),"
	       " ('edition', '%s', 'backfilld', 'synthetic:2', 'failed')",
		ISBN_B);
	b = book_new(take_one(one, ISBN_A), ISBN_A, "real");
	b->w.seen = WORK_SEEN("real");
	b->e.seen = EDITION_SEEN(ISBN_A);
	b->w.absorbed = texts_of("synthetic:1", "synthetic:2");
	b->w.absorbed_seen = texts_of(WORK_SEEN("synthetic:1"), WORK_SEEN("synthetic:2"));
	b->w.author_names.n = b->w.author_keys.n = 0;
	assert_int_equal(write_batch(one, &b->batch), BF_WRITTEN_DONE);
	assert_string_equal(
		db_text("SELECT string_agg(work_key, ' ') FROM enriched_works"), "real");
	assert_string_equal(
		db_text("SELECT metadata->>'significance' FROM enriched_works"), "much");
	assert_string_equal(
		db_text("SELECT string_agg(DISTINCT work_key, ' ') FROM enriched_editions"),
		"real");
	assert_string_equal(
		db_text("SELECT string_agg(DISTINCT work_key, ' ') FROM backfill_candidates"),
		"real");
	assert_string_equal(db_text("SELECT string_agg(work_key || author_key, ' ') FROM "
				    "work_authors_enriched"),
		"realname:herbert");
	assert_string_equal(db_text("SELECT string_agg(entity_type || status || work_key, ' ' "
				    "ORDER BY status, work_key)"
				    " FROM enrichment_queue WHERE entity_key <> '%s'",
				    ISBN_A),
		"workcompletedreal editionfailedreal");
	assert_int_equal(db_int("SELECT book_count FROM enriched_authors"), 1);
	assert_string_equal(db_text("SELECT string_agg(entity_key || (detail->>'into'), ' ' ORDER "
				    "BY entity_key)"
				    " FROM enrichment_log WHERE operation = 'merge_work' AND "
				    "entity_type = 'work'"),
		"synthetic:1real synthetic:2real");
}

/* An ISBN-10 row gets its ISBN-13 as key and keeps the old one among the others. */
static void old_keys_are_mended(void **state)
{
	NODE(state);
	struct book *b;

	db_run("INSERT INTO enriched_works (work_key, title) VALUES ('w', 'Dune')");
	db_run("INSERT INTO enriched_editions (isbn, work_key, alternate_isbns, updated_at) VALUES"
	       " ('0306406152', 'w', ARRAY['1'], NULL)");
	b = book_new(take_one(one, ISBN_A), ISBN_A, "w");
	b->w.seen = WORK_SEEN("w");
	b->e.seen = NULL;
	assert_int_equal(write_batch(one, &b->batch), BF_WRITTEN_STALE);
	b->e.seen = "";
	b->e.was_key = "0306406152";
	assert_int_equal(write_batch(one, &b->batch), BF_WRITTEN_DONE);
	assert_string_equal(db_text("SELECT string_agg(isbn || alternate_isbns::text, ' ') FROM "
				    "enriched_editions"),
		ISBN_A "{1,0306406152}");
}

/* Whatever changed since the look makes an item stale, and nothing of it is written. */
static void stale_items_are_not_written(void **state)
{
	NODE(state);
	struct book *b;
	struct bf_item_ref ref = take_one(one, ISBN_A);

	b = book_new(ref, ISBN_A, "work:1");
	db_run("INSERT INTO enriched_works (work_key, title, synthetic, updated_at) VALUES"
	       " ('work:1', 'Dune', false, now() - interval '1 h'), ('synthetic:1', 'Dune', true, "
	       "now() - interval '1 h')");
	assert_int_equal(write_batch(one, &b->batch), BF_WRITTEN_STALE); /* its key is taken */
	b->w.seen = WORK_SEEN("work:1");
	b->w.absorbed = texts_of("synthetic:2", NULL);
	b->w.absorbed_seen = texts_of(WORK_SEEN("synthetic:1"), NULL);
	assert_int_equal(
		write_batch(one, &b->batch), BF_WRITTEN_STALE); /* what it would absorb is gone */
	b->w.absorbed = texts_of("synthetic:1", NULL);
	b->w.absorbed_seen = texts_of("2020-01-01", NULL);
	assert_int_equal(write_batch(one, &b->batch), BF_WRITTEN_STALE); /* that changed */
	b->w.absorbed.n = 0;
	db_run("INSERT INTO enriched_editions (isbn) VALUES ('%s')", ISBN_A);
	assert_int_equal(write_batch(one, &b->batch), BF_WRITTEN_STALE); /* the edition came up */
	b->e.seen = EDITION_SEEN(ISBN_A);
	db_run("UPDATE enriched_works SET updated_at = now() WHERE work_key = 'work:1'");
	assert_int_equal(write_batch(one, &b->batch), BF_WRITTEN_STALE); /* the work changed */
	b->w.seen = WORK_SEEN("work:1");
	db_run("UPDATE enriched_editions SET updated_at = clock_timestamp()");
	assert_int_equal(write_batch(one, &b->batch), BF_WRITTEN_STALE); /* the edition changed */
	assert_int_equal(db_int("SELECT count(*) FROM enrichment_log"), 0);
	assert_int_equal(db_int("SELECT count(*) FROM enriched_authors"), 0);
	assert_string_equal(status_of(ISBN_A), "processing");
	b->e.seen = EDITION_SEEN(ISBN_A);
	assert_int_equal(write_batch(one, &b->batch), BF_WRITTEN_DONE);
}

/* Another work of the author that came up since makes a new one stale; one that was known does not. */
static void new_works_of_the_author_are_noticed(void **state)
{
	NODE(state);
	struct book *b = book_new(take_one(one, ISBN_A), ISBN_A, "work:1");

	db_run("INSERT INTO enriched_works (work_key, title, updated_at) VALUES ('w', 'Dune', "
	       "clock_timestamp())");
	db_run("INSERT INTO enriched_authors (author_key, name) VALUES ('name:brian', 'B')");
	db_run("INSERT INTO work_authors_enriched VALUES ('w', 'name:brian')");
	assert_int_equal(write_batch(one, &b->batch), BF_WRITTEN_STALE);
	b->batch.looked_at = keep(db_text("SELECT clock_timestamp()"));
	assert_int_equal(write_batch(one, &b->batch), BF_WRITTEN_DONE);
	assert_int_equal(
		db_int("SELECT book_count FROM enriched_authors WHERE author_key = 'name:brian'"),
		2);
}

/* A month that is saved between a look and its write is noticed. */
static void a_saved_month_is_noticed(void **state)
{
	NODE(state);
	struct bf_month_row row;
	struct book *b;

	seed(one, 2024, 2024);
	row = claim_one(one);
	b = book_new(take_one(one, ISBN_A), ISBN_A, "work:1");
	b->w.author_names = texts_of("Author 1", NULL);
	b->w.author_keys = texts_of("name:author 1", NULL);
	save(one, &row, 1);
	assert_int_equal(write_batch(one, &b->batch), BF_WRITTEN_STALE);
	assert_int_equal(db_int("SELECT book_count FROM enriched_authors"), 1);
}

/* Two books of one batch: one work, one not ours; what is ours is written, the work once. */
static void a_batch_is_judged_item_by_item(void **state)
{
	NODE(state);
	struct book *b = book_new(take_one(one, ISBN_A), ISBN_A, "work:1");
	struct bf_edition editions[4] = { b->edition, b->edition, b->edition, b->edition };
	struct bf_edition_write e[4] = { b->e, b->e, b->e, b->e };
	struct bf_work works[2] = { b->work, b->work };
	struct bf_work_write w[2] = { b->w, b->w };

	e[1].item = take_one(one, ISBN_B);
	e[2].item = take_one(one, ISBN_C);
	db_run("UPDATE enrichment_queue SET fence = fence + 1 WHERE entity_key = '%s'", ISBN_C);
	editions[1].isbn13 = ISBN_B;
	editions[2].isbn13 = ISBN_C;
	e[3].item.fence = 7;
	e[2].work = 1;
	works[1].work_key = "work:2";
	for (int i = 0; i < 4; i++)
		e[i].edition = &editions[i];
	w[0].work = &works[0];
	w[1].work = &works[1];
	b->batch.editions = e;
	b->batch.n_editions = 4;
	b->batch.works = w;
	b->batch.n_works = 2;
	assert_int_equal(write_batch(one, &b->batch), BF_WRITTEN_DONE);
	assert_int_equal(took.written[1], BF_WRITTEN_DONE);
	assert_int_equal(took.written[2], BF_WRITTEN_NOT_MINE);
	assert_int_equal(took.written[3], BF_WRITTEN_NOT_MINE);
	assert_string_equal(db_text("SELECT string_agg(isbn || work_key, ' ' ORDER BY isbn) FROM "
				    "enriched_editions"),
		ISBN_A "work:1 " ISBN_B "work:1");
	assert_int_equal(db_int("SELECT count(*) FROM enriched_works"), 1);
	assert_int_equal(
		db_int("SELECT count(*) FROM enrichment_log WHERE operation = 'create_work'"), 1);
}

/* Editions whose record came along are queued after the book, ten at most, each once, unless known. */
static void siblings_are_queued(void **state)
{
	NODE(state);
	struct book *b;

	db_run("INSERT INTO provider_records (provider, isbn13, found, for_isbn, record) SELECT p, "
	       "i::text, true, '%s', '{}'"
	       " FROM generate_series(11, 30) AS i, unnest(ARRAY['isbndb', 'open_library']) AS p",
		ISBN_A);
	db_run("INSERT INTO enriched_editions (isbn, alternate_isbns) VALUES ('11', NULL), ('x', "
	       "ARRAY['12'])");
	db_run("INSERT INTO enrichment_queue (entity_type, entity_key) VALUES ('edition', '13')");
	b = book_new(take_one(one, ISBN_A), ISBN_A, "work:1");
	db_run("UPDATE enrichment_queue SET year = 2024, month = 5, job_id = '%s' WHERE queued_by "
	       "IS NOT NULL",
		b->e.item.id);
	assert_int_equal(write_batch(one, &b->batch), BF_WRITTEN_DONE);
	assert_string_equal(
		db_text("SELECT count(*) || min(entity_key) || max(entity_key) || min(priority) ||"
			" min(max_retries) || min(year) || min(month) || min(status) || "
			"count(job_id)"
			" FROM enrichment_queue WHERE queued_by = 'backfilld' AND entity_key <> "
			"'%s'",
			ISBN_A),
		"10142384"
		"20245pending10");
	b = book_new(take_one(one, ISBN_B), ISBN_B, "work:2");
	b->batch.siblings = false;
	db_run("INSERT INTO provider_records (provider, isbn13, found, for_isbn) VALUES ('isbndb', "
	       "'99', true, '%s')",
		ISBN_B);
	assert_int_equal(write_batch(one, &b->batch), BF_WRITTEN_DONE);
	assert_string_equal(status_of("99"), "");
}

/* Texts that are no UTF-8 and provenance that is no JSON cost themselves, not the batch. */
static void broken_texts_are_no_harm(void **state)
{
	NODE(state);
	struct book *b = book_new(take_one(one, ISBN_A), ISBN_A, "work:1");

	b->edition.title = "D\xffne \x01";
	b->edition.provenance_json = "{\"a\": \"\\u0000\"}";
	b->work.provenance_json = "{\"a\":";
	assert_int_equal(write_batch(one, &b->batch), BF_WRITTEN_DONE);
	assert_string_equal(db_text("SELECT metadata FROM enriched_editions"), "{}");
	assert_string_equal(db_text("SELECT metadata FROM enriched_works"), "{}");
	assert_int_equal(
		db_int("SELECT count(*) FROM enriched_editions WHERE title LIKE 'D_ne%%'"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_new_book_is_written, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(a_known_book_is_updated, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(
			a_synthetic_work_becomes_real, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(
			synthetic_works_are_absorbed, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(old_keys_are_mended, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(stale_items_are_not_written, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(
			new_works_of_the_author_are_noticed, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(a_saved_month_is_noticed, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(
			a_batch_is_judged_item_by_item, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(siblings_are_queued, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(broken_texts_are_no_harm, db_setup, db_teardown),
	};

	return cmocka_run_group_tests(tests, db_group_setup, db_group_teardown);
}
