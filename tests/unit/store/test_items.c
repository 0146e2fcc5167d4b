/* The queue's items: taken by one instance at a time, what providers said of them, how they end. */
#include "queue.h"

#define NODE(state)                  \
	struct node *one = *(state); \
	if (one == NULL)             \
	skip()
#define ISBN_A "9780306406157"
#define ISBN_B "9780441172719"
#define ISBN_C "9780747532699"

/* Two instances never have the same item; priority counts first, then age; others' rows and other kinds
 * stay where they are. */
static void claims_are_disjoint(void **state)
{
	NODE(state);
	struct node *two = node_new("two", true);

	db_run("INSERT INTO enrichment_queue (entity_type, entity_key, queued_by, priority, "
	       "created_at)"
	       " SELECT 'edition', 'key ' || i, 'backfilld', CASE WHEN i = 9 THEN 1 ELSE 5 END,"
	       " now() - i * interval '1 s' FROM generate_series(1, 9) AS i");
	db_run("INSERT INTO enrichment_queue (entity_type, entity_key, queued_by)"
	       " VALUES ('edition', 'theirs', NULL), ('work', 'w', 'backfilld')");
	assert_int_equal(take(one, BF_ITEM_EDITION, 4), 4);
	assert_string_equal(took.item[0].key, "key 9");
	assert_string_equal(took.item[1].key, "key 8");
	assert_string_equal(took.item[3].key, "key 6");
	assert_int_equal(took.item[0].ref.fence, 1);
	assert_int_equal(took.items.next_due_ms, -1);
	assert_int_equal(take(two, BF_ITEM_EDITION, 40), 5);
	assert_int_equal(take(one, BF_ITEM_EDITION, 40), 0);
	assert_int_equal(take(one, BF_ITEM_WORK, 40), 1);
	assert_int_equal(took.item[0].kind, BF_ITEM_WORK);
	assert_string_equal(db_text("SELECT string_agg(DISTINCT owner || owner_id, ' ' ORDER BY "
				    "owner || owner_id)"
				    " FROM enrichment_queue WHERE status = 'processing' AND"
				    " lease_until > now() AND started_at IS NOT NULL"),
		db_text("SELECT 'one%d two%d'", one->id, two->id));
	assert_string_equal(status_of("theirs"), "pending");
	node_free(two);
}

/* Nothing is taken while paused, nor by an instance that has not said hello. */
static void nothing_while_paused(void **state)
{
	NODE(state);
	struct node *mute = node_new("mute", false);

	queue_isbn(ISBN_A);
	bf_store_pause(one->store, true, "lunch", NULL, got_done, NULL);
	db_wait();
	assert_int_equal(take(one, BF_ITEM_EDITION, 9), 0);
	assert_true(took.items.paused);
	bf_store_pause(one->store, false, NULL, NULL, got_done, NULL);
	db_wait();
	assert_int_equal(take(mute, BF_ITEM_EDITION, 9), 0);
	assert_false(took.items.paused);
	assert_int_equal(take(one, BF_ITEM_EDITION, 9), 1);
	node_free(mute);
}

/* An owner whose lock is free loses its items at the second look, four seconds after the first; one that
 * has its lock again does not. */
static void orphans_are_taken_at_the_second_look(void **state)
{
	NODE(state);
	struct node *two = node_new("two", true);
	struct bf_item_ref ref = take_one(two, ISBN_A);

	assert_int_equal(take(one, BF_ITEM_EDITION, 9), 0);
	assert_string_equal(db_text("SELECT orphaned_at FROM enrichment_queue"), "");
	node_free(two);
	while (db_int("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1112949070"
		      " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())") > 1)
		;
	assert_int_equal(take(one, BF_ITEM_EDITION, 9), 0);
	assert_int_equal(db_int("SELECT count(orphaned_at) FROM enrichment_queue"), 1);
	assert_int_equal(take(one, BF_ITEM_EDITION, 9), 0);
	db_run("UPDATE enrichment_queue SET orphaned_at = now() - interval '1 hour'");
	assert_int_equal(take(one, BF_ITEM_EDITION, 9), 0);
	assert_int_equal(db_int("SELECT count(*) FROM enrichment_queue WHERE orphaned_at > now() - "
				"interval '1 min'"),
		1);
	db_run("UPDATE enrichment_queue SET owner_id = %d", one->id);
	assert_int_equal(take(one, BF_ITEM_EDITION, 9), 0);
	assert_string_equal(db_text("SELECT orphaned_at FROM enrichment_queue"), "");
	db_run("UPDATE enrichment_queue SET owner_id = 999999, orphaned_at = now() - interval '4 "
	       "s'");
	if (db_int("SELECT (pg_postmaster_start_time() > now() - interval '10 s')::int") == 0) {
		assert_int_equal(take(one, BF_ITEM_EDITION, 9), 1);
		assert_string_equal(took.item[0].ref.id, ref.id);
		assert_int_equal(took.item[0].ref.fence, ref.fence + 1);
	}
}

/* A lease that ran out is worth as little as a free lock. */
static void leases_run_out(void **state)
{
	NODE(state);
	struct bf_item_ref ref = take_one(one, ISBN_A);

	db_run("UPDATE enrichment_queue SET lease_until = now() - interval '1 s'");
	assert_int_equal(take(one, BF_ITEM_EDITION, 9), 1);
	assert_int_equal(took.item[0].ref.fence, ref.fence + 1);
	assert_int_equal(fetched(one, 1, ref, BF_ISBNDB, ISBN_A, BF_FETCH_FAILED, NULL), 1);
	assert_int_equal(end_item(one, ref, BF_END_FAILED, "x", 0), 1);
	assert_string_equal(status_of(ISBN_A), "processing");
}

/* What is known comes along: records, misses that are not too old, what the AI said, works, the sibling. */
static void knowledge_comes_along(void **state)
{
	NODE(state);

	queue_isbn(ISBN_A);
	db_run("INSERT INTO provider_records (provider, isbn13, found, record, for_isbn, "
	       "received_at) VALUES"
	       " ('isbndb', '%s', true, '{\"title\":\"T\"}', '%s', '2025-01-02 03:04:05Z'),"
	       " ('wikidata', '%s', false, NULL, '%s', now() - interval '29 days'),"
	       " ('open_library', '%s', false, NULL, '%s', now() - interval '31 days')",
		ISBN_A, ISBN_B, ISBN_A, ISBN_A, ISBN_A, ISBN_A);
	db_run("INSERT INTO backfill_candidates (year, month, ord, title, author, language, "
	       "publication_year,"
	       " title_key, author_key, isbn13, work_key, state, resolved_by, record) VALUES"
	       " (2024, 1, 1, 'Dune', 'Frank Herbert', 'en', 1965, 'dune', 'h', '%s', "
	       "'synthetic:a', 'resolved',"
	       " 'google_books', '{\"title\":\"Dune\"}'),"
	       " (2024, 2, 1, 'Dune!', 'F. Herbert', NULL, NULL, 'dune', 'h', '%s', 'synthetic:b', "
	       "'resolved',"
	       " 'isbndb', '{\"title\":\"older\"}')",
		ISBN_A, ISBN_A);
	db_run("UPDATE enrichment_queue SET work_key = 'synthetic:c', retry_count = 2");
	assert_int_equal(take(one, BF_ITEM_EDITION, 9), 1);
	assert_int_equal(took.item[0].kind, BF_ITEM_EDITION);
	assert_int_equal(took.item[0].retry_count, 2);
	assert_int_equal(took.item[0].max_retries, 3);
	assert_string_equal(took.item[0].title, "Dune");
	assert_string_equal(took.item[0].author, "Frank Herbert");
	assert_string_equal(took.item[0].language, "en");
	assert_int_equal(took.item[0].year, 1965);
	assert_string_equal(took.item[0].sibling_of, ISBN_B);
	assert_int_equal(took.item[0].n_work_keys, 3);
	assert_string_equal(took.item[0].work_keys[0], "synthetic:c");
	assert_string_equal(took.item[0].work_keys[2], "synthetic:b");
	assert_true(took.item[0].known[BF_ISBNDB].found);
	assert_string_equal(took.item[0].known[BF_ISBNDB].at, "2025-01-02T03:04:05Z");
	assert_non_null(strstr(took.item[0].known[BF_ISBNDB].record_json, "\"T\""));
	assert_true(took.item[0].known[BF_WIKIDATA].known);
	assert_false(took.item[0].known[BF_WIKIDATA].found);
	assert_null(took.item[0].known[BF_WIKIDATA].record_json);
	assert_false(took.item[0].known[BF_OPEN_LIBRARY].known);
	assert_true(took.item[0].known[BF_GOOGLE_BOOKS].found);
	assert_non_null(strstr(took.item[0].known[BF_GOOGLE_BOOKS].record_json, "Dune"));
}

/* A work's item knows its title and authors, linked or as an older system kept them in its metadata. */
static void a_works_item_knows_the_work(void **state)
{
	NODE(state);

	db_run("INSERT INTO enriched_works (work_key, title, synthetic, original_language, "
	       "first_publication_year,"
	       " metadata) VALUES ('w1', 'One', true, 'fr', 1950, '[\"{\\\"author\\\":\\\"Old "
	       "Hand\\\"}\"]'),"
	       " ('w2', 'Two', true, NULL, NULL, NULL)");
	db_run("INSERT INTO enriched_authors (author_key, name) VALUES ('a', 'Ann A'), ('b', 'Bob "
	       "B')");
	db_run("INSERT INTO work_authors_enriched VALUES ('w2', 'a', 1), ('w2', 'b', 0)");
	db_run("INSERT INTO enrichment_queue (entity_type, entity_key, queued_by, created_at) "
	       "VALUES"
	       " ('work', 'w1', 'backfilld', now() - interval '1 s'), ('work', 'w2', 'backfilld', "
	       "now())");
	assert_int_equal(take(one, BF_ITEM_WORK, 9), 2);
	assert_string_equal(took.item[0].title, "One");
	assert_string_equal(took.item[0].author, "Old Hand");
	assert_string_equal(took.item[0].language, "fr");
	assert_int_equal(took.item[0].year, 1950);
	assert_string_equal(took.item[1].author, "Bob B;Ann A");
}

/* An answer is kept once: record, providers of the item, one line of the log, however often it is told. */
static void answers_are_kept_once(void **state)
{
	NODE(state);
	struct bf_item_ref ref = take_one(one, ISBN_A);

	for (int i = 0; i < 2; i++)
		assert_int_equal(fetched(one, 1, ref, BF_ISBNDB, ISBN_A, BF_FETCH_FOUND,
					 "{\"title\":\"T\"}"),
			0);
	assert_int_equal(fetched(one, 2, ref, BF_WIKIDATA, ISBN_A, BF_FETCH_MISSING, NULL), 0);
	assert_int_equal(fetched(one, 3, ref, BF_ARCHIVE_ORG, ISBN_A, BF_FETCH_FAILED, NULL), 0);
	assert_string_equal(
		db_text("SELECT string_agg(provider || found || coalesce(record::text, ''), ' '"
			" ORDER BY provider) FROM provider_records WHERE isbn13 = for_isbn"),
		"isbndbtrue{\"title\": \"T\"} wikidatafalse");
	assert_string_equal(db_text("SELECT providers_attempted::text || providers_succeeded::text "
				    "FROM enrichment_queue"),
		"{archive_org,isbndb,wikidata}{isbndb}");
	assert_string_equal(
		db_text("SELECT string_agg(provider || success || coalesce(error_message, '')"
			" || response_time_ms || instance, ' ' ORDER BY provider) FROM "
			"enrichment_log"
			" WHERE operation = 'lookup' AND entity_type = 'edition' AND item_id = '%s'"
			" AND entity_key = '%s'",
			ref.id, ISBN_A),
		"archive_orgfalse50312one isbndbtrue12one wikidatatrue12one");
	assert_int_equal(fetched(one, 4, ref, BF_ISBNDB, ISBN_A, BF_FETCH_MISSING, NULL), 0);
	assert_int_equal(db_int("SELECT count(*) FROM provider_records WHERE found"), 1);
	assert_int_equal(fetched(one, 5, ref, BF_WIKIDATA, ISBN_A, BF_FETCH_FOUND, "{}"), 0);
	assert_int_equal(db_int("SELECT count(*) FROM provider_records WHERE found"), 2);
}

/* A paid answer to an item that another has meanwhile is kept all the same; the item is not touched. */
static void paid_answers_are_kept_from_losers(void **state)
{
	NODE(state);
	struct bf_item_ref ref = take_one(one, ISBN_A);

	db_run("UPDATE enrichment_queue SET fence = fence + 1");
	assert_int_equal(
		fetched(one, 1, ref, BF_ISBNDB, ISBN_A, BF_FETCH_FOUND, "{\"title\":\"T\"}"), 1);
	assert_string_equal(took.lost[0].id, ref.id);
	assert_int_equal(db_int("SELECT count(*) FROM provider_records WHERE found"), 1);
	assert_string_equal(db_text("SELECT providers_attempted FROM enrichment_queue"), "{}");
}

/* Each end leaves the row as it should be, and repeating one loses nothing and changes nothing. */
static void items_end_in_every_way(void **state)
{
	NODE(state);
	struct bf_item_ref ref = take_one(one, ISBN_A);

	for (int i = 0; i < 2; i++)
		assert_int_equal(end_item(one, ref, BF_END_WAIT, "out of quota", 60000), 0);
	assert_string_equal(
		db_text("SELECT status || retry_count || waiting_for || error_message ||"
			" (next_attempt_at > now() + interval '50 s') || coalesce(owner, '-')"
			" FROM enrichment_queue"),
		"pending0isbndbout of quotatrue-");
	assert_int_equal(take(one, BF_ITEM_EDITION, 9), 0);
	assert_in_range(took.items.next_due_ms, 50000, 60000);
	db_run("UPDATE enrichment_queue SET next_attempt_at = now()");
	for (int i = 1; i <= 3; i++) {
		assert_int_equal(take(one, BF_ITEM_EDITION, 9), 1);
		assert_int_equal(end_item(one, took.item[0].ref, BF_END_RETRY, "503", 0), 0);
		assert_int_equal(db_int("SELECT retry_count FROM enrichment_queue"), i);
		assert_string_equal(status_of(ISBN_A), i < 3 ? "pending" : "failed");
	}
	assert_string_equal(db_text("SELECT string_agg(operation || (detail->>'attempts'), ' ' "
				    "ORDER BY created_at)"
				    " FROM enrichment_log WHERE error_message = '503'"),
		"retry1 retry2 failed3");
	assert_int_equal(db_int("SELECT count(completed_at) FROM enrichment_queue"), 1);
	ref = take_one(one, ISBN_B);
	assert_int_equal(end_item(one, ref, BF_END_FAILED, "no such ISBN", 0), 0);
	assert_string_equal(
		db_text("SELECT status || retry_count || error_message FROM enrichment_queue"
			" WHERE entity_key = '%s'",
			ISBN_B),
		"failed0no such ISBN");
	ref = take_one(one, ISBN_C);
	assert_int_equal(end_item(one, ref, BF_END_RELEASE, NULL, 0), 0);
	assert_int_equal(take(one, BF_ITEM_EDITION, 9), 1);
	assert_int_equal(end_item(one, took.item[0].ref, BF_END_DONE, "nothing to do", 0), 0);
	assert_string_equal(db_text("SELECT status || error_message || (completed_at >= started_at)"
				    " FROM enrichment_queue WHERE entity_key = '%s'",
				    ISBN_C),
		"completednothing to dotrue");
}

/* A misspelt key becomes the ISBN; where another item has that already, this one ends as its twin. */
static void misspelt_items_are_rekeyed(void **state)
{
	NODE(state);
	struct bf_item_ref ref = take_one(one, "0-306-40615-2");
	struct bf_item_end both[2];
	struct bf_op *op;

	assert_int_equal(rekey(one, ref, ISBN_A), 0);
	assert_string_equal(status_of(ISBN_A), "pending");
	ref = take_one(one, "0306406152");
	assert_int_equal(end_item(one, took.item[0].ref, BF_END_RELEASE, NULL, 0), 0);
	assert_int_equal(rekey(one, ref, ISBN_A), 0);
	assert_string_equal(status_of("0306406152"), "completed");
	assert_non_null(strstr(db_text("SELECT error_message FROM enrichment_queue WHERE "
				       "entity_key = '0306406152'"),
		"the same ISBN as item "));
	db_run("UPDATE enrichment_queue SET status = 'completed'");
	both[0] = (struct bf_item_end){
		.ref = take_one(one, "0441172717"), .how = BF_END_REKEY, .isbn13 = ISBN_B
	};
	both[1] = (struct bf_item_end){
		.ref = take_one(one, "0-441172717"), .how = BF_END_REKEY, .isbn13 = ISBN_B
	};
	op = bf_store_items_end(one->store, both, 2, NULL, NULL);
	assert_non_null(op);
	while (db_int("SELECT count(*) FROM enrichment_queue WHERE entity_key = '%s'", ISBN_B) == 0)
		take(one, BF_ITEM_WORK, 1);
	assert_string_equal(
		db_text("SELECT string_agg(status, ' ' ORDER BY status) FROM enrichment_queue"
			" WHERE entity_key IN ('%s', '0-441172717', '0441172717')",
			ISBN_B),
		"completed pending");
}

/* Records of a flush are kept by ISBN, whole or not at all; the pulse tells the queue's figures. */
static void flushes_keep_records(void **state)
{
	NODE(state);
	char *big = malloc(6000);
	const struct bf_record_put records[] = {
		{ BF_ISBNDB, ISBN_A, ISBN_A, "{\"title\":\"A\"}" },
		{ BF_ISBNDB, ISBN_B, ISBN_A, "{\"title\":\"B\"}" },
		{ BF_ISBNDB, ISBN_B, ISBN_A, "{\"title\":\"B2\"}" },
		{ BF_OPEN_LIBRARY, ISBN_A, ISBN_A, big },
	};
	const struct bf_flush flush = { 1, 2, .records = records, .n_records = 4 };

	memset(big, ' ', 5999);
	memcpy(big, "{}", 2);
	big[5999] = '\0';
	for (int i = 0; i < 2; i++) {
		bf_store_flush(one->store, &flush, got_lost, NULL);
		db_wait();
		assert_string_equal(got.err.text, "");
	}
	assert_string_equal(db_text("SELECT string_agg(isbn13 || for_isbn || (record->>'title'), ' "
				    "' ORDER BY isbn13)"
				    " FROM provider_records WHERE found"),
		ISBN_A ISBN_A "A " ISBN_B ISBN_A "B2");
	db_run("INSERT INTO enrichment_queue (entity_type, entity_key, queued_by, status, "
	       "next_attempt_at, created_at)"
	       " SELECT 'edition', i::text, 'backfilld', "
	       "(ARRAY['pending','pending','processing','failed'])[i],"
	       " CASE i WHEN 2 THEN now() + interval '1 h' END, now() - i * interval '100 s'"
	       " FROM generate_series(1, 4) AS i");
	bf_store_pulse(one->store, NULL, 0, 3600000, got_pulse, NULL);
	db_wait();
	assert_int_equal(got.pulse.queue_depth, 2);
	assert_int_equal(got.pulse.queue_waiting, 1);
	assert_int_equal(got.pulse.queue_processing, 1);
	assert_int_equal(got.pulse.queue_failed, 1);
	assert_in_range(got.pulse.queue_oldest_s, 200, 260);
	free(big);
}

/* Old records go, but for those of items that still wait. */
static void old_records_go(void **state)
{
	NODE(state);
	const int64_t day = 86400000;
	const struct bf_retention r = { day, day, day, day, day, day };

	queue_isbn(ISBN_A);
	db_run("INSERT INTO provider_records (provider, isbn13, found, for_isbn, received_at)"
	       " SELECT 'isbndb', i, true, i, now() - interval '2 days' FROM unnest(ARRAY['%s', "
	       "'%s']) AS i",
		ISBN_A, ISBN_B);
	db_run("INSERT INTO enrichment_queue (entity_type, entity_key, queued_by, status)"
	       " VALUES ('edition', '%s', 'backfilld', 'completed')",
		ISBN_B);
	bf_store_prune(one->store, &r, got_count, NULL);
	db_wait();
	assert_string_equal(got.err.text, "");
	assert_string_equal(
		db_text("SELECT string_agg(isbn13, ' ') FROM provider_records"), ISBN_A);
	assert_int_equal(db_int("SELECT count(*) FROM enrichment_queue"), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(claims_are_disjoint, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(nothing_while_paused, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(
			orphans_are_taken_at_the_second_look, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(leases_run_out, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(knowledge_comes_along, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(a_works_item_knows_the_work, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(answers_are_kept_once, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(
			paid_answers_are_kept_from_losers, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(items_end_in_every_way, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(misspelt_items_are_rekeyed, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(flushes_keep_records, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(old_records_go, db_setup, db_teardown),
	};

	return cmocka_run_group_tests(tests, db_group_setup, db_group_teardown);
}
