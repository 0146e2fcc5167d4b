/* What operators see of enrichment and do to its queue: the trace of a book, lists of items, failed
 * items made due again, items of an older system taken over. */
#include "db.h"

#define NODE(state) struct node *one = *(state); if (one == NULL) skip()
#define ISBN   "9780306406157"
#define OTHER  "9780316769488"

/* The JSON that came, as PostgreSQL reads it: the value at a path. */
static const char *path(const char *p)
{
	PGconn *c = PQconnectdb(db_conninfo());
	const char *params[2] = { got.json, p };
	static char out[8][512];
	static int turn;
	char *to = out[turn++ & 7];
	PGresult *r =
		PQexecParams(c, "SELECT ($1::json #>> $2::text[])", 2, NULL, params, NULL, NULL, 0);

	assert_int_equal(PQresultStatus(r), PGRES_TUPLES_OK);
	snprintf(to, sizeof(out[0]), "%s", PQgetisnull(r, 0, 0) ? "NULL" : PQgetvalue(r, 0, 0));
	PQclear(r);
	PQfinish(c);
	return to;
}

/* The values of one key over the array at a path, blank separated. */
static const char *each(const char *array, const char *key)
{
	PGconn *c = PQconnectdb(db_conninfo());
	const char *params[3] = { got.json, array, key };
	static char out[4][1024];
	static int turn;
	char *to = out[turn++ & 3];
	PGresult *r = PQexecParams(c,
		"SELECT coalesce(string_agg(coalesce(v ->> $3, 'NULL'), ' ' ORDER BY n), '')"
		" FROM json_array_elements($1::json #> $2::text[]) WITH ORDINALITY AS a (v, n)",
		3, NULL, params, NULL, NULL, 0);

	assert_int_equal(PQresultStatus(r), PGRES_TUPLES_OK);
	snprintf(to, sizeof(out[0]), "%s", PQgetvalue(r, 0, 0));
	PQclear(r);
	PQfinish(c);
	return to;
}

static void book(struct node *one, const char *isbn13, const char *work_key)
{
	bf_store_book_json(one->store, isbn13, work_key, got_json, NULL);
	db_wait();
	assert_int_equal(got.err.class, BF_ERR_NONE);
}

static void items(struct node *one, struct bf_item_filter f, int limit, const char *after)
{
	bf_store_items_json(one->store, &f, limit, after, got_json, NULL);
	db_wait();
	assert_int_equal(got.err.class, BF_ERR_NONE);
}

static void redrive(struct node *one, struct bf_item_filter f, bool dry_run, int limit)
{
	bf_store_redrive(one->store, &f, dry_run, limit, got_json, NULL);
	db_wait();
	assert_int_equal(got.err.class, BF_ERR_NONE);
}

static void adopt(struct node *one, bool dry_run, int limit)
{
	bf_store_adopt(one->store, dry_run, limit, 4, got_json, NULL);
	db_wait();
	assert_int_equal(got.err.class, BF_ERR_NONE);
}

/* A database of which nothing of the last test is left that db_setup does not know. */
static int setup(void **state)
{
	int rc = db_setup(state);

	if (*state != NULL)
		db_run("TRUNCATE provider_records");
	return rc;
}

/* A month that named two books; the first one's work is real by now, and has an edition. */
static void make_book(void)
{
	db_run("INSERT INTO backfill_log (year, month, status, job_id, prompt_variant) VALUES"
	       " (2024, 12, 'completed', '00000000-0000-0000-0000-0000000000aa', 'baseline')");
	db_run("INSERT INTO backfill_answers (year, month, round, provider, fence, job_id, variant,"
	       " model, outcome) VALUES"
	       " (2024, 12, 0, 'gemini', 1, '00000000-0000-0000-0000-0000000000aa', 'annual',"
	       " 'g-1', 'refused'),"
	       " (2024, 12, 1, 'gemini', 1, '00000000-0000-0000-0000-0000000000aa',"
	       " 'overlooked-significance', 'g-2', 'ok')");
	db_run("INSERT INTO enriched_works (work_key, title, synthetic, metadata) VALUES"
	       " ('work:1', 'Real', false, '{\"provenance\":{\"title\":{\"provider\":\"isbndb\"}},"
	       "\"author\":\"A\"}')");
	db_run("INSERT INTO enriched_editions (isbn, work_key, title, format, isbndb_quality,"
	       " metadata, last_isbndb_sync) VALUES ('" ISBN "', 'work:1', 'Real', 'Hardcover', 80,"
	       " '{\"provenance\":{\"publisher\":{\"provider\":\"wikidata\"}}}', '2024-01-02 03:04+00'),"
	       " ('" OTHER "', 'work:1', 'Real too', 'Paperback', 90, '{}', NULL)");
	db_run("INSERT INTO enriched_authors (author_key, name, book_count) VALUES"
	       " ('name:b', 'B', 2), ('name:a', 'A', 1)");
	db_run("INSERT INTO work_authors_enriched VALUES ('work:1', 'name:a', 1), ('work:1', 'name:b', 0)");
	db_run("INSERT INTO backfill_candidates (year, month, ord, title, author, title_key, author_key,"
	       " generated_by, isbn13, confidence, resolved_by, work_key, state, answers) VALUES"
	       " (2024, 12, 1, 'Real', 'A', 'real', 'a', '{gemini}', '" ISBN "', 88, 'isbndb',"
	       " 'work:1', 'resolved', '{\"isbndb\":\"hit\"}'),"
	       " (2024, 12, 2, 'Else', 'C', 'else', 'c', '{xai}', NULL, NULL, NULL,"
	       " 'synthetic:else', 'not_found', '{}')");
	db_run("INSERT INTO provider_records (provider, isbn13, found, record, for_isbn) VALUES"
	       " ('isbndb', '" ISBN "', true, '{\"title\":\"Real\"}', '" ISBN "'),"
	       " ('wikidata', '" ISBN "', false, NULL, '" ISBN "'),"
	       " ('isbndb', '9780262033848', true, '{}', '" ISBN "'),"
	       " ('isbndb', '9780140328721', true, '{}', '9780140328721')");
	db_run("INSERT INTO enrichment_queue (entity_type, entity_key, status, queued_by, retry_count,"
	       " waiting_for, error_message, year, month, owner) VALUES ('edition', '" ISBN "',"
	       " 'pending', 'backfilld', 2, 'isbndb', 'out of quota', 2024, 12, 'one'),"
	       " ('edition', '" OTHER "', 'failed', 'backfilld', 5, NULL, 'x', 2024, 12, NULL)");
	db_run("INSERT INTO enrichment_log (entity_type, entity_key, provider, operation, success,"
	       " fields_updated, instance, detail, created_at) VALUES"
	       " ('edition', '" ISBN "', 'isbndb', 'lookup', true, NULL, 'one', NULL, '2024-01-01 00:00+00'),"
	       " ('edition', '" OTHER "', 'isbndb', 'lookup', true, NULL, 'one', NULL, '2024-01-01 00:00:01+00'),"
	       " ('work', 'work:1', NULL, 'create_work', true, '{title}', 'one', NULL, '2024-01-01 00:00:02+00'),"
	       " ('work', 'synthetic:' || md5('real' || chr(10) || 'a'), NULL, 'merge_work', true, NULL, 'one',"
	       " '{\"into\":\"work:1\"}', '2024-01-01 00:00:03.5+00')");
}

/* By ISBN: month, prompt of the round that named it, records with the siblings', item, log in order,
 * edition, its siblings, work, authors in order, provenance; and nothing of another book. */
static void a_book_by_isbn(void **state)
{
	NODE(state);
	make_book();
	book(one, ISBN, NULL);
	assert_string_equal(path("{isbn13}"), ISBN);
	assert_string_equal(path("{work_key}"), "work:1");
	assert_string_equal(path("{merged_into}"), "NULL");
	assert_string_equal(each("{named}", "title"), "Real");
	assert_string_equal(path("{named,0,prompt_variant}"), "overlooked-significance");
	assert_string_equal(path("{named,0,model}"), "g-2");
	assert_string_equal(path("{named,0,job_id}"), "00000000-0000-0000-0000-0000000000aa");
	assert_string_equal(path("{named,0,month}"), "12");
	assert_string_equal(path("{named,0,generated_by,0}"), "gemini");
	assert_string_equal(path("{named,0,confidence}"), "88");
	assert_string_equal(path("{named,0,answers,isbndb}"), "hit");
	assert_string_equal(each("{records}", "isbn13"), "9780262033848 " ISBN " " ISBN);
	assert_string_equal(each("{records}", "found"), "true true false");
	assert_string_equal(path("{records,1,record,title}"), "Real");
	assert_string_equal(each("{queue}", "key"), ISBN);
	assert_string_equal(path("{queue,0,waits_for}"), "isbndb");
	assert_string_equal(path("{queue,0,attempts}"), "2");
	assert_string_equal(path("{queue,0,error}"), "out of quota");
	assert_string_equal(path("{queue,0,instance}"), "one");
	assert_string_equal(each("{log}", "operation"), "lookup create_work merge_work");
	assert_string_equal(path("{log,2,at}"), "2024-01-01T00:00:03.500Z");
	assert_string_equal(path("{log,2,detail,into}"), "work:1");
	assert_string_equal(path("{log,1,fields_updated,0}"), "title");
	assert_string_equal(path("{edition,isbn}"), ISBN);
	assert_string_equal(path("{edition,last_isbndb_sync}"), "2024-01-02T03:04:00Z");
	assert_string_equal(path("{edition,provenance,publisher,provider}"), "wikidata");
	assert_string_equal(path("{edition,metadata}"), "{}");
	assert_string_equal(each("{other_editions}", "isbn"), OTHER);
	assert_string_equal(path("{work,title}"), "Real");
	assert_string_equal(path("{work,metadata,author}"), "A");
	assert_string_equal(each("{authors}", "name"), "B A");
	assert_string_equal(path("{authors,0,book_count}"), "2");
	assert_string_equal(path("{provenance,work,title,provider}"), "isbndb");
	assert_string_equal(path("{provenance,edition,publisher,provider}"), "wikidata");
}

/* By work: the edition its candidate was resolved to comes first, whatever another's quality; a key
 * that was absorbed, twice even, leads to the work it went into and says so. */
static void a_book_by_work(void **state)
{
	NODE(state);
	make_book();
	book(one, NULL, "work:1");
	assert_string_equal(path("{isbn13}"), ISBN);
	assert_string_equal(path("{edition,isbn}"), ISBN);
	assert_string_equal(each("{other_editions}", "isbn"), OTHER);
	assert_string_equal(each("{named}", "title"), "Real");
	assert_string_equal(each("{queue}", "key"), ISBN);
	db_run("INSERT INTO enrichment_log (entity_type, entity_key, operation, detail) VALUES"
	       " ('work', 'synthetic:first', 'merge_work', '{\"into\":\"synthetic:second\"}'),"
	       " ('work', 'synthetic:second', 'merge_work', '{\"into\":\"work:1\"}')");
	book(one, NULL, "synthetic:first");
	assert_string_equal(path("{work_key}"), "synthetic:first");
	assert_string_equal(path("{merged_into}"), "work:1");
	assert_string_equal(path("{work,work_key}"), "work:1");
	assert_string_equal(path("{edition,isbn}"), ISBN);
	assert_string_equal(each("{named}", "title"), "Real");
	db_run("INSERT INTO enriched_works (work_key, title, synthetic) VALUES"
	       " ('synthetic:first', 'named again', true)");
	book(one, NULL, "synthetic:first");
	assert_string_equal(path("{merged_into}"), "NULL");
	assert_string_equal(path("{work,title}"), "named again");
	assert_string_equal(path("{edition}"), "NULL");
	assert_string_equal(path("{records}"), "[]");
	db_run("INSERT INTO enrichment_log (entity_type, entity_key, operation, detail) VALUES"
	       " ('work', 'a', 'merge_work', '{\"into\":\"b\"}'), ('work', 'b', 'merge_work', '{\"into\":\"a\"}')");
	book(one, NULL, "a");
	assert_string_equal(path("{work}"), "NULL");
	assert_string_equal(each("{log}", "operation"), "merge_work merge_work");
}

/* Rows of an older system: keyed by the ISBN-10, or holding the ISBN as an alternate; hyphens in the
 * queue; metadata as text of JSON and as an array. */
static void rows_of_an_older_system(void **state)
{
	NODE(state);
	db_run("INSERT INTO enriched_works (work_key, title, metadata) VALUES ('/works/OL1W', 'Old',"
	       " to_jsonb('{\"author\":\"Someone\"}'::text))");
	db_run("INSERT INTO enriched_editions (isbn, work_key, title, metadata) VALUES"
	       " ('0306406152', '/works/OL1W', 'Old', '[{\"a\":1},\"{\\\"b\\\":2}\"]')");
	db_run("INSERT INTO enrichment_queue (entity_type, entity_key) VALUES ('edition', '978-0-306-40615-7')");
	book(one, ISBN, NULL);
	assert_string_equal(path("{isbn13}"), ISBN);
	assert_string_equal(path("{edition,isbn}"), "0306406152");
	assert_string_equal(path("{edition,metadata,b}"), "2");
	assert_string_equal(path("{work,metadata,author}"), "Someone");
	assert_string_equal(path("{edition,provenance}"), "NULL");
	assert_string_equal(path("{queue,0,key}"), "978-0-306-40615-7");
	assert_string_equal(path("{queue,0,queued_by}"), "NULL");
	db_run("UPDATE enriched_editions SET isbn = '" OTHER "', alternate_isbns = '{0306406152," ISBN "}'");
	book(one, ISBN, NULL);
	assert_string_equal(path("{edition,isbn}"), OTHER);
	db_run("INSERT INTO enriched_editions (isbn, title) VALUES ('" ISBN "', 'its own')");
	book(one, ISBN, NULL);
	assert_string_equal(path("{edition,title}"), "its own");
	assert_string_equal(path("{work}"), "NULL");
}

/* What nobody has heard of is NULL; one line anywhere is enough to be known. */
static void known_and_unknown(void **state)
{
	NODE(state);
	make_book();
	book(one, "9780140449136", NULL);
	assert_null(got.json);
	book(one, NULL, "work:2");
	assert_null(got.json);
	book(one, "9780140328721", NULL);
	assert_string_equal(each("{records}", "isbn13"), "9780140328721");
	assert_string_equal(path("{work_key}"), "NULL");
	assert_string_equal(path("{named}"), "[]");
	book(one, OTHER, NULL);
	assert_string_equal(path("{queue,0,status}"), "failed");
	assert_string_equal(each("{named}", "title"), "");
	book(one, NULL, "synthetic:else");
	assert_string_equal(each("{named}", "title"), "Else");
	assert_string_equal(path("{isbn13}"), "NULL");
	assert_string_equal(path("{named,0,prompt_variant}"), "baseline");
}

/* The log of a book with a long history: the latest 200 steps, oldest of them first. */
static void a_long_log_is_cut(void **state)
{
	NODE(state);
	db_run("INSERT INTO enrichment_log (entity_type, entity_key, operation, response_time_ms, created_at)"
	       " SELECT 'edition', '" ISBN "', 'lookup', n, '2024-01-01'::timestamptz + n * interval '1 s'"
	       " FROM generate_series(1, 250) AS n");
	book(one, ISBN, NULL);
	assert_string_equal(path("{log,0,response_time_ms}"), "51");
	assert_string_equal(path("{log,199,response_time_ms}"), "250");
	assert_string_equal(path("{log,200}"), "NULL");
}

/* Ten items of ours in all states, and one of somebody else's. */
static void make_items(void)
{
	db_run("INSERT INTO enrichment_queue (entity_type, entity_key, status, queued_by, error_message,"
	       " retry_count, waiting_for, providers_attempted, year, month, created_at)"
	       " SELECT 'edition', 'k' || n, (ARRAY['pending', 'failed', 'processing', 'completed', 'failed'])"
	       "[n %% 5 + 1], 'backfilld', CASE n %% 5 WHEN 1 THEN 'No Record' WHEN 4 THEN 'ISBNdb: HTTP 500' END,"
	       " 5, CASE n WHEN 5 THEN 'isbndb' END, CASE n WHEN 9 THEN '{open_library,isbndb}'::text[] ELSE '{}' END,"
	       " 2020 + n %% 2, n, '2024-01-01'::timestamptz - n * interval '1 s' FROM generate_series(1, 10) AS n");
	db_run("INSERT INTO enrichment_queue (entity_type, entity_key, status, error_message) VALUES"
	       " ('edition', 'theirs', 'failed', 'No Record')");
}

/* Oldest first, ours only, by each filter; totals, and what failed by reason. */
static void items_by_filter(void **state)
{
	NODE(state);
	items(one, (struct bf_item_filter){ 0 }, 100, NULL);
	assert_string_equal(path("{items}"), "[]");
	assert_string_equal(path("{total}"), "0");
	make_items();
	items(one, (struct bf_item_filter){ 0 }, 100, NULL);
	assert_string_equal(each("{items}", "key"), "k10 k9 k8 k7 k6 k5 k4 k3 k2 k1");
	assert_string_equal(path("{total}"), "10");
	assert_string_equal(path("{next}"), "NULL");
	assert_string_equal(path("{by_reason,No Record}"), "2");
	assert_string_equal(path("{by_reason,ISBNdb: HTTP 500}"), "2");
	items(one, (struct bf_item_filter){ .status = "failed" }, 100, NULL);
	assert_string_equal(each("{items}", "key"), "k9 k6 k4 k1");
	assert_string_equal(path("{status}"), "failed");
	items(one, (struct bf_item_filter){ .status = "failed", .reason = "no rec" }, 100, NULL);
	assert_string_equal(each("{items}", "key"), "k6 k1");
	assert_string_equal(path("{by_reason,ISBNdb: HTTP 500}"), "NULL");
	items(one, (struct bf_item_filter){ .reason = "%" }, 100, NULL);
	assert_string_equal(path("{items}"), "[]");
	items(one, (struct bf_item_filter){ .status = "processing" }, 100, NULL);
	assert_string_equal(each("{items}", "key"), "k7 k2");
	assert_string_equal(path("{by_reason}"), "{}");
	items(one, (struct bf_item_filter){ .provider = "isbndb" }, 100, NULL);
	assert_string_equal(each("{items}", "key"), "k9 k5");
	assert_string_equal(path("{items,1,waits_for}"), "isbndb");
	items(one, (struct bf_item_filter){ .year = 2020, .status = "pending" }, 100, NULL);
	assert_string_equal(each("{items}", "key"), "k10");
	items(one, (struct bf_item_filter){ .year = 2021, .month = 3 }, 100, NULL);
	assert_string_equal(each("{items}", "key"), "k3");
	assert_string_equal(path("{items,0,max_attempts}"), "3");
}

/* Pages meet without a gap and without an item twice, though many were made in the same moment; the
 * last one says that it is the last. */
static void items_by_page(void **state)
{
	NODE(state);
	char after[40] = "";
	int seen = 0, pages = 0;

	make_items();
	db_run("UPDATE enrichment_queue SET created_at = '2024-01-01'");
	db_run("CREATE TEMP TABLE IF NOT EXISTS seen (id uuid PRIMARY KEY)");
	db_run("TRUNCATE seen");
	do {
		items(one, (struct bf_item_filter){ 0 }, 3, after[0] != '\0' ? after : NULL);
		for (int i = 0; i < 3; i++) {
			char at[32];

			snprintf(at, sizeof(at), "{items,%d,id}", i);
			if (strcmp(path(at), "NULL") == 0)
				break;
			db_run("INSERT INTO seen VALUES ('%s')", path(at));
			seen++;
		}
		snprintf(after, sizeof(after), "%s", path("{next}"));
		pages++;
	} while (strcmp(after, "NULL") != 0 && pages < 10);
	assert_int_equal(seen, 10);
	assert_int_equal(pages, 4);
	assert_string_equal(path("{total}"), "10");
	items(one, (struct bf_item_filter){ 0 }, 10, NULL);
	assert_string_equal(path("{next}"), "NULL");
	items(one, (struct bf_item_filter){ 0 }, 3, "00000000-0000-0000-0000-000000000001");
	assert_null(got.json);
	items(one, (struct bf_item_filter){ 0 }, 3,
		db_text("SELECT id FROM enrichment_queue WHERE queued_by IS NULL"));
	assert_null(got.json);
}

/* A dry run counts and changes nothing; the real one makes as many as asked due, oldest first, without
 * attempts, and keeps in the log what was wrong. Only failed ones, only ours. */
static void failed_items_are_redriven(void **state)
{
	NODE(state);
	const char *untouched = "SELECT md5(string_agg(q::text, ',' ORDER BY id)) FROM enrichment_queue q"
				" WHERE status <> 'pending' AND entity_key NOT IN ('k6', 'k9')";
	char before[40];

	make_items();
	snprintf(before, sizeof(before), "%s", db_text("SELECT md5(string_agg(q::text, ',' ORDER BY id))"
						       " FROM enrichment_queue q"));
	redrive(one, (struct bf_item_filter){ .reason = "http" }, true, 1);
	assert_string_equal(path("{dry_run}"), "true");
	assert_string_equal(path("{matched}"), "2");
	assert_string_equal(path("{redriven}"), "0");
	assert_string_equal(path("{by_reason,ISBNdb: HTTP 500}"), "2");
	assert_string_equal(db_text("SELECT md5(string_agg(q::text, ',' ORDER BY id)) FROM enrichment_queue q"), before);
	assert_int_equal(db_int("SELECT count(*) FROM enrichment_log"), 0);
	snprintf(before, sizeof(before), "%s", db_text("%s", untouched));
	redrive(one, (struct bf_item_filter){ 0 }, false, 2);
	assert_string_equal(path("{matched}"), "4");
	assert_string_equal(path("{redriven}"), "2");
	assert_string_equal(path("{by_reason,No Record}"), "1");
	assert_string_equal(db_text("SELECT string_agg(entity_key || status || retry_count || (error_message IS NULL)"
				    " || (next_attempt_at IS NULL), ' ' ORDER BY created_at) FROM enrichment_queue"
				    " WHERE entity_key IN ('k6', 'k9')"),
		"k9pending0truetrue k6pending0truetrue");
	assert_string_equal(db_text("SELECT string_agg(entity_key || ' ' || operation || ' ' || error_message || ' '"
				    " || instance || ' ' || (detail->>'attempts'), ',' ORDER BY entity_key)"
				    " FROM enrichment_log"),
		"k6 redrive No Record one 5,k9 redrive ISBNdb: HTTP 500 one 5");
	assert_string_equal(db_text("%s", untouched), before);
	redrive(one, (struct bf_item_filter){ .provider = "isbndb", .year = 2021, .month = 9 }, false, 100);
	assert_string_equal(path("{matched}"), "0");
	redrive(one, (struct bf_item_filter){ .year = 2021, .month = 1 }, false, 100);
	assert_string_equal(path("{redriven}"), "1");
	assert_string_equal(db_text("SELECT status FROM enrichment_queue WHERE entity_key = 'k1'"), "pending");
}

/* Items of an older system, oldest first: what waited or was begun waits again, what failed stays so;
 * what is done, of another kind, or ours by its key already is left alone. */
static void items_are_adopted(void **state)
{
	NODE(state);
	db_run("INSERT INTO enrichment_queue (entity_type, entity_key, status, retry_count, started_at, created_at,"
	       " queued_by, error_message) VALUES"
	       " ('edition', 'a', 'processing', 2, now(), '2024-01-01', NULL, NULL),"
	       " ('edition', 'b', 'failed', 3, now(), '2024-01-02', NULL, 'was bad'),"
	       " ('edition', 'b', 'pending', 0, NULL, '2024-01-03', NULL, NULL),"
	       " ('edition', 'c', 'pending', 0, NULL, '2024-01-01', NULL, NULL),"
	       " ('edition', 'c', 'completed', 0, NULL, '2023-01-01', 'backfilld', NULL),"
	       " ('edition', 'd', 'completed', 0, NULL, '2023-01-01', NULL, NULL),"
	       " ('author', 'e', 'pending', 0, NULL, '2023-01-01', NULL, NULL),"
	       " ('edition', 'f', 'pending', NULL, NULL, NULL, NULL, NULL)");
	adopt(one, true, 100);
	assert_string_equal(path("{dry_run}"), "true");
	assert_string_equal(path("{adopted}"), "0");
	assert_string_equal(path("{duplicates}"), "1");
	assert_string_equal(path("{left}"), "4");
	assert_int_equal(db_int("SELECT count(*) FROM enrichment_queue WHERE queued_by IS NOT NULL"), 1);
	adopt(one, false, 1);
	assert_string_equal(path("{adopted}"), "1");
	assert_string_equal(path("{left}"), "3");
	assert_string_equal(db_text("SELECT entity_key || status || retry_count || max_retries || (started_at IS NULL)"
				    " FROM enrichment_queue WHERE queued_by = 'backfilld' AND entity_key <> 'c'"),
		"apending04true");
	adopt(one, false, 100);
	assert_string_equal(path("{adopted}"), "2");
	assert_string_equal(path("{duplicates}"), "2");
	assert_string_equal(path("{left}"), "0");
	assert_string_equal(db_text("SELECT string_agg(entity_key || status || retry_count || max_retries, ' '"
				    " ORDER BY entity_key) FROM enrichment_queue WHERE queued_by = 'backfilld'"),
		"apending04 bfailed34 ccompleted03 fpending04");
	assert_string_equal(db_text("SELECT error_message FROM enrichment_queue WHERE queued_by = 'backfilld'"
				    " AND entity_key = 'b'"), "was bad");
	assert_int_equal(db_int("SELECT count(*) FROM enrichment_queue WHERE created_at IS NULL"), 0);
	adopt(one, false, 100);
	assert_string_equal(path("{adopted}"), "0");
	assert_string_equal(path("{duplicates}"), "2");
	assert_int_equal(db_int("SELECT count(*) FROM enrichment_queue WHERE queued_by IS NULL"), 4);
}

/* Both tell the consumers, a dry run tells nobody. */
static void consumers_are_told(void **state)
{
	NODE(state);
	PGconn *c = PQconnectdb(db_conninfo());
	int told[3];

	PQclear(PQexec(c, "LISTEN enrichment_queue"));
	make_items();
	for (int i = 0; i < 3; i++) {
		PGnotify *n;

		if (i < 2)
			redrive(one, (struct bf_item_filter){ 0 }, i == 0, 1);
		else
			adopt(one, false, 1);
		PQclear(PQexec(c, "SELECT 1"));
		n = PQnotifies(c);
		told[i] = n != NULL;
		PQfreemem(n);
	}
	PQfinish(c);
	assert_int_equal(told[0], 0);
	assert_int_equal(told[1], 1);
	assert_int_equal(told[2], 1);
}

/* The statistics count our items: pending ones with the part that waits for a time, and the oldest. */
static void stats_count_items(void **state)
{
	NODE(state);
	make_items();
	db_run("UPDATE enrichment_queue SET next_attempt_at = now() + interval '1 h' WHERE entity_key = 'k5'");
	db_run("UPDATE enrichment_queue SET next_attempt_at = now() - interval '1 h' WHERE entity_key = 'k10'");
	db_run("UPDATE enrichment_queue SET completed_at = now() - interval '23 h' WHERE entity_key = 'k3'");
	db_run("UPDATE enrichment_queue SET completed_at = now() - interval '25 h' WHERE entity_key = 'k8'");
	db_run("UPDATE enrichment_queue SET created_at = now() - interval '100 s' WHERE status = 'pending'");
	bf_store_stats_json(one->store, got_json, NULL);
	db_wait();
	assert_string_equal(path("{enrichment,pending}"), "2");
	assert_string_equal(path("{enrichment,waiting}"), "1");
	assert_string_equal(path("{enrichment,processing}"), "2");
	assert_string_equal(path("{enrichment,completed}"), "2");
	assert_string_equal(path("{enrichment,failed}"), "4");
	assert_string_equal(path("{enrichment,completed_24h}"), "1");
	assert_in_range(strtol(path("{enrichment,oldest_age_s}"), NULL, 10), 100, 160);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, db_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_book_by_isbn), TEST(a_book_by_work), TEST(rows_of_an_older_system), TEST(known_and_unknown),
		TEST(a_long_log_is_cut), TEST(items_by_filter), TEST(items_by_page), TEST(failed_items_are_redriven),
		TEST(items_are_adopted), TEST(consumers_are_told), TEST(stats_count_items),
	};

	return cmocka_run_group_tests(tests, db_group_setup, db_group_teardown);
}
