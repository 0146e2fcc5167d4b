/* Candidates, the cache, the flush and the end of a month. */
#include "db.h"

#define NODE(state) struct node *one = *(state); if (one == NULL) skip()

/* Books become candidates, synthetic works and linked authors in one step; a repeated call changes
 * nothing. */
static void save_makes_works_and_authors(void **state)
{
	NODE(state);
	struct bf_month_row row;

	seed(one, 2024, 2024);
	row = claim_one(one);
	for (int i = 0; i < 2; i++)
		assert_int_equal(save(one, &row, 5), BF_STORE_DONE);
	assert_string_equal(
		db_text("SELECT stage || books_generated FROM backfill_log WHERE month = 12"),
		"resolving5");
	assert_int_equal(db_int("SELECT count(*) FROM backfill_candidates WHERE state = 'new'"), 5);
	assert_int_equal(
		db_int("SELECT count(*) FROM enriched_works WHERE synthetic AND completeness_score "
		       "= 30"
		       " AND first_publication_year = 2024 AND jsonb_typeof(metadata) = 'object'"),
		5);
	assert_string_equal(
		db_text("SELECT primary_provider FROM enriched_works WHERE title = 'Title 1'"),
		"gemini-backfill");
	assert_string_equal(db_text("SELECT primary_provider || contributors::text FROM "
				    "enriched_works WHERE title = 'Title 2'"),
		"xai-backfill{xai-backfill}");
	assert_string_equal(db_text("SELECT metadata->>'publisher' FROM enriched_works WHERE title "
				    "= 'Title 3'"),
		"A \"quoted\\ {house}");
	assert_string_equal(db_text("SELECT a.name FROM work_authors_enriched l JOIN "
				    "enriched_authors a USING (author_key)"
				    " JOIN enriched_works w USING (work_key) WHERE w.title = "
				    "'Title 4' AND l.author_order = 0"),
		"Author 4");
	assert_string_equal(db_text("SELECT work_key FROM enriched_works WHERE title = 'Title 1'"),
		db_text("SELECT 'synthetic:' || md5('title 1' || chr(10) || 'author 1')"));
}

/* Two months with the same books share works and authors; metadata stays an object, and what was an
 * array is one again with all that was in it. */
static void metadata_stays_an_object(void **state)
{
	NODE(state);
	struct bf_month_row row;

	seed(one, 2024, 2024);
	row = claim_one(one);
	save(one, &row, 3);
	db_run("UPDATE enriched_works SET metadata = '[{\"a\":1},\"b\"]' WHERE title = 'Title 2'");
	db_run("UPDATE enriched_works SET metadata = NULL WHERE title = 'Title 3'");
	for (int i = 0; i < 2; i++) {
		row = claim_one(one);
		save(one, &row, 3);
	}
	assert_int_equal(db_int("SELECT count(*) FROM enriched_works WHERE jsonb_typeof(metadata) "
				"= 'object'"),
		3);
	assert_int_equal(db_int("SELECT count(*) FROM enriched_works WHERE metadata->>'a' = '1'"
				" AND metadata->'former' = '[\"b\"]' AND metadata ? 'author'"),
		1);
	assert_int_equal(db_int("SELECT count(*) FROM enriched_authors"), 3);
	assert_int_equal(db_int("SELECT count(*) FROM work_authors_enriched"), 3);
}

/* A month that has candidates keeps them, whatever is saved over it. */
static void candidates_are_stored_once(void **state)
{
	NODE(state);
	struct bf_month_row row;

	seed(one, 2024, 2024);
	row = claim_one(one);
	save(one, &row, 3);
	db_run("DELETE FROM backfill_events WHERE step = 2");
	assert_int_equal(save(one, &row, 7), BF_STORE_DONE);
	assert_int_equal(db_int("SELECT count(*) FROM backfill_candidates"), 3);
	assert_int_equal(db_int("SELECT books_generated FROM backfill_log WHERE month = 12"), 3);
}

/* Candidates come back as they were stored, with what the cache knows of each. */
static void candidates_come_with_the_cache(void **state)
{
	NODE(state);
	const struct bf_cache_put put[3] = {
		{ BF_ISBNDB, "title 1", "author 1", NULL, 0, NULL, 60000 },
		{ BF_GOOGLE_BOOKS, "title 1", "author 1", "9780316769488", 88, "{\"k\":2}", 60000 },
		{ BF_GOOGLE_BOOKS, "title 2", "author 2", "9780316769488", 88, NULL, -1 },
	};
	const struct bf_flush flush = { .flush_id_lo = 1, .cache = put, .n_cache = 3 };
	struct bf_candidate loose[1] = { { .title_key = "title 1", .author_key = "author 1" } };
	struct bf_month_row row;

	seed(one, 2024, 2024);
	row = claim_one(one);
	save(one, &row, 2);
	bf_store_flush(one->store, &flush, got_lost, NULL);
	db_wait();
	bf_store_candidates(one->store, &row.ref, got_candidates, NULL);
	db_wait();
	assert_int_equal(got.n, 2);
	assert_string_equal(got.candidates[0].book.title, "Title 1");
	assert_string_equal(got.candidates[0].title_key, "title 1");
	assert_int_equal(got.candidates[0].book.generated_by, 1u << BF_GEMINI);
	assert_int_equal(got.candidates[0].state, BF_CAND_NEW);
	assert_true(got.candidates[0].cached[BF_ISBNDB].known);
	assert_false(got.candidates[0].cached[BF_ISBNDB].hit);
	assert_true(got.candidates[0].cached[BF_GOOGLE_BOOKS].hit);
	assert_string_equal(got.candidates[0].cached[BF_GOOGLE_BOOKS].isbn13, "9780316769488");
	assert_string_equal(got.candidates[0].cached[BF_GOOGLE_BOOKS].record_json, "{\"k\": 2}");
	assert_false(got.candidates[1].cached[BF_GOOGLE_BOOKS].known);
	bf_store_cache_get(one->store, loose, 1, got_done, NULL);
	db_wait();
	assert_true(loose[0].cached[BF_GOOGLE_BOOKS].hit);
	assert_int_equal(loose[0].cached[BF_GOOGLE_BOOKS].confidence, 88);
	assert_false(loose[0].cached[BF_WIKIDATA].known);
}

/* A hit for the one candidate of a month. */
static struct bf_resolution hit_for(const struct bf_month_row *row)
{
	return (struct bf_resolution){ .ref = row->ref,
		.state = BF_CAND_RESOLVED,
		.isbn13 = "9780316769488",
		.confidence = 80,
		.resolved_by = "isbndb",
		.answers_json = "{\"isbndb\":1}",
		.candidate_id = db_int(
			"SELECT id FROM backfill_candidates WHERE month = %d", row->ref.month) };
}

/* Nothing of a flush is written while another session has one of its months locked, which is named; afterwards all of it is; and
 * what is written already is known to be, locked or not. */
static void a_flush_does_not_wait_for_a_lock(void **state)
{
	NODE(state);
	struct bf_resolution v[2];
	const struct bf_flush flush = { 7, 10, v, 2, NULL, 0, NULL, 0 };
	struct bf_month_row row;

	seed(one, 2024, 2024);
	for (int i = 0; i < 2; i++) {
		row = claim_one(one);
		save(one, &row, 1);
		v[i] = hit_for(&row);
	}
	for (int i = 0; i < 3; i++) {
		if (i != 1)
			db_run("BEGIN; SELECT FROM backfill_log WHERE month = 11 FOR UPDATE");
		bf_store_flush(one->store, &flush, got_lost, NULL);
		db_wait();
		if (i != 1)
			db_run("ROLLBACK");
		if (i == 0) {
			assert_int_equal(got.err.class, BF_ERR_RETRY);
			assert_int_equal(got.n, 1);
			assert_int_equal(got.lost[0].month, 11);
			assert_int_equal(got.lost[0].fence, row.ref.fence);
		} else {
			assert_string_equal(got.err.text, "");
			assert_int_equal(got.n, 0);
		}
		assert_int_equal(db_int("SELECT count(*) FROM backfill_candidates WHERE state = 'resolved'"),
			i == 0 ? 0 : 2);
	}
}

/* A flush is applied once; the part of a month that is no longer mine is left out and named. */
static void a_flush_counts_once(void **state)
{
	NODE(state);
	struct bf_resolution v[2];
	struct bf_usage u[3];
	struct bf_flush flush = { 7, 9, v, 2, NULL, 0, u, 3 };
	struct bf_month_row mine, lost;

	seed(one, 2024, 2024);
	mine = claim_one(one);
	save(one, &mine, 1);
	lost = claim_one(one);
	save(one, &lost, 1);
	db_run("UPDATE backfill_log SET fence = 9 WHERE month = 11");
	v[0] = hit_for(&mine);
	v[1] = hit_for(&lost);
	reserve(one, BF_ISBNDB, 15000, 2000, 5);
	u[0] = (struct bf_usage){ .provider = BF_ISBNDB,
		.calls = 3,
		.errors = 1,
		.units_sent = 3,
		.units_unused = 2,
		.cost_usd = 0.5,
		.year = 2024,
		.month = 12,
		.fence = mine.ref.fence };
	u[1] = (struct bf_usage){ .provider = BF_WIKIDATA,
		.calls = 4,
		.year = 2024,
		.month = 12,
		.fence = mine.ref.fence };
	u[2] = (struct bf_usage){ .provider = BF_WIKIDATA, .calls = 2 };
	for (int i = 0; i < 2; i++) {
		bf_store_flush(one->store, &flush, got_lost, NULL);
		db_wait();
		assert_string_equal(got.err.text, "");
		assert_int_equal(got.n, 1);
		assert_int_equal(got.lost[0].month, 11);
	}
	assert_string_equal(db_text("SELECT state || isbn13 || (answers->>'isbndb') FROM "
				    "backfill_candidates WHERE month = 12"),
		"resolved97803167694881");
	assert_string_equal(
		db_text("SELECT state FROM backfill_candidates WHERE month = 11"), "new");
	assert_string_equal(
		db_text("SELECT free_calls || '/' || cost_usd FROM backfill_log WHERE month = 12"),
		"4/0.500000");
	assert_string_equal(db_text("SELECT used || '/' || leased FROM api_quota"), "3/0");
	assert_string_equal(db_text("SELECT calls || '/' || errors || '/' || units FROM api_usage "
				    "WHERE provider = 'isbndb'"),
		"3/1/3");
	assert_int_equal(db_int("SELECT sum(calls) FROM api_usage WHERE provider = 'wikidata'"), 6);
}

/* 39 books, 36 with an ISBN: 36 resolved, 92.31 %, 36 queued; a repeated call answers DONE and
 * queues nothing more. */
static void completion_counts_isbns(void **state)
{
	NODE(state);
	struct bf_month_row row;

	seed(one, 2024, 2024);
	row = claim_one(one);
	save(one, &row, 39);
	resolve(one, &row, 36, false);
	for (int i = 0; i < 2; i++)
		assert_int_equal(complete(one, &row, 3), BF_STORE_DONE);
	assert_string_equal(db_text("SELECT status || stage || ' ' || books_generated || ' ' || "
				    "isbns_resolved || ' ' ||"
				    " resolution_rate || ' ' || isbns_queued || ' ' || "
				    "synthetic_works || ' ' || already_enriched"
				    " FROM backfill_log WHERE month = 12"),
		"completedcompleted 39 36 92.31 36 3 0");
	assert_int_equal(
		db_int("SELECT count(*) FROM enrichment_queue WHERE queued_by = 'backfilld' AND "
		       "max_retries = 5"
		       " AND entity_type = 'edition' AND status = 'pending' AND providers_to_try ="
		       " ARRAY['isbndb', 'wikidata', 'open_library', 'archive_org']"),
		36);
	assert_string_equal(
		db_text("SELECT status || (stats->>'isbns_sent_to_enrichment') FROM backfill_jobs"),
		"complete36");
	assert_int_equal(complete(one, &row, 4), BF_STORE_NOT_MINE);
}

/* The rates of 12 of 19, 36 of 40 and none of 5 in two decimals; no book at all: NULL. */
static void rates_have_two_decimals(void **state)
{
	NODE(state);
	static const struct { int books, isbns; const char *rate; } table[] = {
		{ 19, 12, "63.16" }, { 40, 36, "90.00" }, { 5, 0, "0.00" }, { 0, 0, "" },
	};

	seed(one, 2024, 2024);
	for (size_t i = 0; i < BF_COUNT(table); i++) {
		struct bf_month_row row = claim_one(one);

		save(one, &row, table[i].books);
		resolve(one, &row, table[i].isbns, false);
		complete(one, &row, 3);
		assert_string_equal(
			db_text("SELECT resolution_rate FROM backfill_log WHERE month = %d",
				row.ref.month),
			table[i].rate);
	}
}

/* Candidates with one ISBN become one book that both AIs named; the merged one points to it. */
static void one_isbn_is_one_book(void **state)
{
	NODE(state);
	struct bf_month_row row;

	seed(one, 2024, 2024);
	row = claim_one(one);
	save(one, &row, 4);
	resolve(one, &row, 3, true);
	complete(one, &row, 3);
	assert_string_equal(db_text("SELECT books_generated || ' ' || isbns_resolved || ' ' || "
				    "isbns_queued || ' ' ||"
				    " resolution_rate FROM backfill_log WHERE month = 12"),
		"2 1 1 50.00");
	assert_int_equal(db_int("SELECT count(*) FROM backfill_candidates WHERE state = 'merged' "
				"AND merged_into ="
				" (SELECT id FROM backfill_candidates WHERE ord = 1)"),
		2);
	assert_string_equal(
		db_text("SELECT generated_by::text FROM backfill_candidates WHERE ord = 1"),
		"{gemini,xai}");
}

/* ISBNs that are enriched (also as alternates) or queued by anybody are not queued again. */
static void known_isbns_are_not_queued(void **state)
{
	NODE(state);
	struct bf_month_row row;

	seed(one, 2024, 2024);
	db_run("INSERT INTO enriched_editions (isbn) VALUES ('%s')", isbn_of(0));
	db_run("INSERT INTO enriched_editions (isbn, alternate_isbns) VALUES ('x', ARRAY['%s'])",
		isbn_of(1));
	db_run("INSERT INTO enrichment_queue (id, entity_type, entity_key) VALUES "
	       "(gen_random_uuid(), 'edition', '%s'),"
	       " (gen_random_uuid(), 'edition', '%s')",
		isbn_of(2), isbn_of(2));
	row = claim_one(one);
	save(one, &row, 5);
	resolve(one, &row, 4, false);
	complete(one, &row, 3);
	assert_string_equal(db_text("SELECT isbns_resolved || ' ' || isbns_queued || ' ' || "
				    "already_enriched FROM backfill_log"
				    " WHERE month = 12"),
		"4 1 2");
	assert_string_equal(
		db_text("SELECT entity_key FROM enrichment_queue WHERE queued_by = 'backfilld'"),
		isbn_of(3));
	row = claim_one(one);
	save(one, &row, 4);
	resolve(one, &row, 4, false);
	complete(one, &row, 3);
	assert_int_equal(db_int("SELECT isbns_queued FROM backfill_log WHERE month = 11"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			save_makes_works_and_authors, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(metadata_stays_an_object, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(candidates_are_stored_once, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(
			candidates_come_with_the_cache, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(a_flush_counts_once, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(
			a_flush_does_not_wait_for_a_lock, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(completion_counts_isbns, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(rates_have_two_decimals, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(one_isbn_is_one_book, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(known_isbns_are_not_queued, db_setup, db_teardown),
	};

	return cmocka_run_group_tests(tests, db_group_setup, db_group_teardown);
}
