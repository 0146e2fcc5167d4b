/* Synthetic works are tried again: which are queued, and what an ISBN that was found changes. */
#include "queue.h"

#define NODE(state)                  \
	struct node *one = *(state); \
	if (one == NULL)             \
	skip()
#define ISBN_A "9780306406157"
#define ISBN_B "9780441172719"

static int64_t enhance(struct node *n, int limit)
{
	bf_store_enhance(n->store, limit, 4, got_count, NULL);
	db_wait();
	assert_string_equal(got.err.text, "");
	return got.count;
}

static enum bf_store_outcome enhanced(struct node *n, const struct bf_enhanced *v)
{
	bf_store_enhanced(n->store, v, got_done, NULL);
	db_wait();
	assert_string_equal(got.err.text, "");
	return got.outcome;
}

/* Works without an ISBN anywhere are queued, oldest first, each at most once a week. */
static void works_are_queued_once_a_week(void **state)
{
	NODE(state);

	db_run("INSERT INTO enriched_works (work_key, title, synthetic, created_at) SELECT 'w' || "
	       "i, 'T', i <> 4,"
	       " now() - i * interval '1 day' FROM generate_series(1, 8) AS i");
	db_run("INSERT INTO enriched_editions (isbn, work_key) VALUES ('x', 'w5')");
	db_run("INSERT INTO backfill_log (year, month, status) VALUES (2024, 1, 'completed'), "
	       "(2024, 2, 'processing')");
	db_run("INSERT INTO backfill_candidates (year, month, ord, title, title_key, author_key, "
	       "work_key, isbn13, state)"
	       " VALUES (2024, 1, 1, 'T', 't', 'a', 'w6', '%s', 'resolved'), (2024, 1, 2, 'T', "
	       "'t', 'a', 'w7', NULL, 'not_found'),"
	       " (2024, 2, 1, 'T', 't', 'a', 'w8', NULL, 'not_found')",
		ISBN_A);
	assert_int_equal(enhance(one, 2), 2);
	assert_string_equal(
		db_text("SELECT string_agg(entity_key || status || max_retries || coalesce(year || "
			"'-' || month, ''),"
			" ' ' ORDER BY entity_key) FROM enrichment_queue WHERE entity_type = 'work'"
			" AND queued_by = 'backfilld' AND work_key = entity_key"),
		"w3pending4 w7pending42024-1");
	assert_int_equal(enhance(one, 9), 2);
	assert_int_equal(enhance(one, 9), 0);
	db_run("UPDATE enrichment_queue SET status = 'completed', completed_at = now() - interval "
	       "'6 days', retry_count = 2");
	assert_int_equal(enhance(one, 9), 0);
	db_run("UPDATE enrichment_queue SET completed_at = now() - interval '8 days' WHERE "
	       "entity_key IN ('w1', 'w2')");
	db_run("UPDATE enrichment_queue SET status = 'failed' WHERE entity_key IN ('w2', 'w3')");
	assert_int_equal(enhance(one, 9), 2);
	assert_string_equal(
		db_text("SELECT status || retry_count || (created_at > now() - interval '1 min')"
			" FROM enrichment_queue WHERE entity_key = 'w2'"),
		"pending0true");
	assert_int_equal(db_int("SELECT count(*) FROM enrichment_queue"), 4);
}

/* A completed month of three books, one of them without ISBN: its work's item, taken. */
static struct bf_item_ref completed_month(struct node *n)
{
	struct bf_month_row row;

	seed(n, 2024, 2024);
	row = claim_one(n);
	save(n, &row, 3);
	resolve(n, &row, 2, false);
	assert_int_equal(complete(n, &row, 3), BF_STORE_DONE);
	assert_int_equal(enhance(n, 9), 1);
	assert_int_equal(take(n, BF_ITEM_WORK, 9), 1);
	assert_string_equal(took.item[0].title, "Title 3");
	return took.item[0].ref;
}

static const char *figures(void)
{
	return db_text("SELECT books_generated || ' ' || isbns_resolved || ' ' || resolution_rate "
		       "|| ' ' ||"
		       " isbns_queued || ' ' || synthetic_works || ' ' || already_enriched FROM "
		       "backfill_log WHERE status = 'completed'");
}

/* A found ISBN: candidate, month's figures, one event, the edition's item with its record; once only. */
static void a_found_isbn_mends_the_month(void **state)
{
	NODE(state);
	struct bf_item_ref ref = completed_month(one);
	struct bf_enhanced v = { .ref = ref,
		.work_key = bf_arena_strdup(got.arena, took.item[0].key),
		.isbn13 = ISBN_A,
		.resolved_by = "google_books",
		.answers_json = "{\"google_books\":\"hit\"}",
		.record_json = "{\"title\":\"T3\"}",
		.confidence = 88,
		.max_retries = 4 };
	char key[64];

	snprintf(key, sizeof(key), "%s", took.item[0].key);
	v.work_key = key;
	assert_string_equal(figures(), "3 2 66.67 2 1 0");
	for (int i = 0; i < 2; i++)
		assert_int_equal(enhanced(one, &v), BF_STORE_DONE);
	assert_string_equal(figures(), "3 3 100.00 3 0 0");
	assert_string_equal(db_text("SELECT state || isbn13 || confidence || resolved_by || "
				    "(answers->>'google_books') ||"
				    " (answers->>'isbndb') || (record->>'title') FROM "
				    "backfill_candidates WHERE work_key = '%s'",
				    key),
		"resolved" ISBN_A "88google_bookshithitT3");
	assert_string_equal(db_text("SELECT count(*) || min(to_stage) || min(detail->>'isbn13') || "
				    "min(step) FROM backfill_events"
				    " WHERE event = 'enhanced'"),
		"1completed" ISBN_A "4");
	assert_string_equal(
		db_text("SELECT status || work_key || max_retries || year FROM enrichment_queue"
			" WHERE entity_type = 'edition' AND entity_key = '%s'",
			ISBN_A),
		db_text("SELECT 'pending%s42024'", key));
	assert_string_equal(db_text("SELECT provider || (record->>'title') FROM provider_records "
				    "WHERE isbn13 = '%s'",
				    ISBN_A),
		"google_booksT3");
	assert_string_equal(db_text("SELECT status || coalesce(error_message, '-') FROM "
				    "enrichment_queue WHERE id = '%s'",
				    ref.id),
		"completed-");
	assert_string_equal(db_text("SELECT string_agg(entity_key || success, ' ') FROM "
				    "enrichment_log WHERE operation = 'enhance'"),
		db_text("SELECT '%strue'", key));
	v.ref.fence++;
	assert_int_equal(enhanced(one, &v), BF_STORE_NOT_MINE);
}

/* An ISBN that the month has already makes the candidate part of the other one. */
static void a_known_isbn_merges_candidates(void **state)
{
	NODE(state);
	struct bf_enhanced v = { .ref = completed_month(one),
		.resolved_by = "isbndb",
		.answers_json = "{}",
		.confidence = 88,
		.max_retries = 4 };
	char key[64];

	snprintf(key, sizeof(key), "%s", took.item[0].key);
	v.work_key = key;
	v.isbn13 = isbn_of(1);
	db_run("UPDATE enrichment_queue SET status = 'completed' WHERE entity_type = 'edition'");
	assert_int_equal(enhanced(one, &v), BF_STORE_DONE);
	assert_string_equal(figures(), "2 2 100.00 2 0 0");
	assert_string_equal(db_text("SELECT state || (merged_into = (SELECT id FROM "
				    "backfill_candidates WHERE title = 'Title 2'))"
				    " FROM backfill_candidates WHERE title = 'Title 3'"),
		"mergedtrue");
	assert_string_equal(
		db_text("SELECT generated_by FROM backfill_candidates WHERE title = 'Title 2'"),
		"{gemini,xai}");
	assert_string_equal(
		db_text("SELECT status || work_key FROM enrichment_queue WHERE entity_key = '%s'",
			v.isbn13),
		db_text("SELECT 'pending%s'", key));
}

/* Nothing found: the answers are kept and the item ends with a note; the month stays as it is. */
static void a_miss_is_noted(void **state)
{
	NODE(state);
	struct bf_enhanced v = { .ref = completed_month(one),
		.answers_json = "{\"wikidata\":\"miss\"}",
		.max_retries = 4 };
	char key[64];

	snprintf(key, sizeof(key), "%s", took.item[0].key);
	v.work_key = key;
	assert_int_equal(enhanced(one, &v), BF_STORE_DONE);
	assert_string_equal(figures(), "3 2 66.67 2 1 0");
	assert_string_equal(db_text("SELECT state || (answers->>'wikidata') FROM "
				    "backfill_candidates WHERE title = 'Title 3'"),
		"not_foundmiss");
	assert_string_equal(db_text("SELECT status || error_message FROM enrichment_queue WHERE "
				    "entity_type = 'work'"),
		"completedno ISBN found");
	assert_int_equal(
		db_int("SELECT count(*) FROM backfill_events WHERE event = 'enhanced'"), 0);
	assert_int_equal(db_int("SELECT count(*) FROM enrichment_log WHERE operation = 'enhance' "
				"AND NOT success"),
		1);
	assert_int_equal(enhance(one, 9), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			works_are_queued_once_a_week, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(
			a_found_isbn_mends_the_month, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(
			a_known_isbn_merges_candidates, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(a_miss_is_noted, db_setup, db_teardown),
	};

	return cmocka_run_group_tests(tests, db_group_setup, db_group_teardown);
}
