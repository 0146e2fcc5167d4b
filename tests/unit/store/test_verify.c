/* The checks of what is stored: nothing is found in months that went their way, in flight or ended; each kind of fault is found by
 * its check; totals are true when the findings are cut. */
#include "db.h"
#include "migrations.h"
#include <libpq-fe.h>

#define NODE(state) struct node *one = *(state); if (one == NULL) skip()
#define YEAR_MS INT64_C(31536000000)

/* What the last look found; texts are copies. */
static struct {
	int n, n_checks, low, high;
	int64_t checked, errors, warnings;	/* over all checks */
	struct { char check[32], subject[80], text[300]; bool error, has_remedy; } v[16];
} seen;

static void on_findings(void *ctx, const struct bf_error *err, const struct bf_findings *f)
{
	(void)ctx;
	db_came(err);
	memset(&seen, 0, sizeof(seen));
	if (f == NULL)
		return;
	seen.n = f->n;
	seen.n_checks = f->n_checks;
	seen.low = f->year_low;
	seen.high = f->year_high;
	for (int i = 0; i < f->n_checks; i++) {
		seen.checked += f->checks[i].checked;
		seen.errors += f->checks[i].errors;
		seen.warnings += f->checks[i].warnings;
	}
	for (int i = 0; i < f->n && i < 16; i++) {
		snprintf(seen.v[i].check, sizeof(seen.v[i].check), "%s", f->v[i].check);
		snprintf(seen.v[i].subject, sizeof(seen.v[i].subject), "%s", f->v[i].subject);
		snprintf(seen.v[i].text, sizeof(seen.v[i].text), "%s", f->v[i].text);
		seen.v[i].error = f->v[i].error;
		seen.v[i].has_remedy = f->v[i].remedy != NULL && f->v[i].remedy[0] != '\0';
	}
}

/* Looks at the years 2020 to 2024, whichever have rows. */
static void look(struct node *one)
{
	bf_store_verify(one->store, &(struct bf_verify){ 2020, 2024, false, 3600000, YEAR_MS, 20000 }, on_findings, NULL);
	db_wait();
	assert_string_equal(got.err.text, "");
}

static void nothing_found(struct node *one)
{
	look(one);
	if (seen.n > 0)
		fail_msg("%s: %s: %s", seen.v[0].check, seen.v[0].subject, seen.v[0].text);
	assert_int_equal(seen.errors + seen.warnings, 0);
}

/* The check has found an error about the subject. */
static void found(struct node *one, const char *check, const char *subject)
{
	look(one);
	for (int i = 0; i < seen.n && i < 16; i++) {
		if (strcmp(seen.v[i].check, check) != 0 || strstr(seen.v[i].subject, subject) == NULL)
			continue;
		assert_true(seen.v[i].error);
		assert_true(seen.v[i].has_remedy);
		return;
	}
	fail_msg("%s found nothing about %s (%d findings)", check, subject, seen.n);
}

/* A year seeded, its newest month completed with four books of which three have ISBNs. */
static struct bf_month_row run_month(struct node *one)
{
	struct bf_month_row row;

	seed(one, 2024, 2024);
	row = claim_one(one);
	reserve(one, BF_GEMINI, 0, 0, 0);
	nothing_found(one);
	assert_int_equal(save(one, &row, 4), BF_STORE_DONE);
	nothing_found(one);
	resolve(one, &row, 3, false);
	assert_int_equal(step(one, &row, 3, "resolving", "queueing"), BF_STORE_DONE);
	assert_int_equal(complete(one, &row, 4), BF_STORE_DONE);
	return row;
}

/* Seeded, claimed, saved, completed: no state on the way has a finding. */
static void test_clean(void **state)
{
	NODE(state);
	look(one);
	assert_int_equal(seen.warnings, 1);
	run_month(one);
	nothing_found(one);
	assert_int_equal(seen.low, 2024);
	assert_int_equal(seen.high, 2024);
	assert_true(seen.checked > 20);
}

/* A row, a book, an ISBN, a step, a figure, an owner: each is missed. */
static void test_faults(void **state)
{
	NODE(state);
	run_month(one);
	db_run("DELETE FROM backfill_log WHERE year = 2024 AND month = 3");
	found(one, "coverage", "2024-03");
	db_run("INSERT INTO backfill_log (year, month) VALUES (2024, 3)");
	db_run("UPDATE backfill_log SET isbns_resolved = 2, isbns_queued = 2 WHERE month = 12");
	found(one, "isbns_resolved", "2024-12");
	db_run("UPDATE backfill_log SET isbns_resolved = 3, isbns_queued = 3 WHERE month = 12");
	nothing_found(one);
	db_run("UPDATE backfill_log SET gemini_calls = 1 WHERE month = 12");
	found(one, "gemini_calls", "2024-12");
	db_run("UPDATE backfill_log SET gemini_calls = 0 WHERE month = 12");
	db_run("DELETE FROM enrichment_queue WHERE entity_key = '%s'", db_text("SELECT max(entity_key) FROM enrichment_queue"));
	found(one, "isbns", "2024-12");
	found(one, "isbns_queued", "2024-12");
	db_run("UPDATE backfill_log SET status = 'processing' WHERE month = 1");
	found(one, "owner", "2024-01");
	db_run("UPDATE backfill_log SET status = 'pending' WHERE month = 1");
	db_run("DELETE FROM backfill_events WHERE month = 12 AND step = 2");
	found(one, "chain", "2024-12");
	db_run("DELETE FROM backfill_candidates WHERE month = 12");
	found(one, "candidates", "2024-12");
}

/* Transitions that retention took are not missed; those it cannot have taken are. */
static void test_retention(void **state)
{
	NODE(state);
	run_month(one);
	db_run("UPDATE backfill_log SET created_at = now() - interval '3 years'");
	db_run("UPDATE backfill_events SET at = at - interval '2 years' WHERE step < 3");
	db_run("DELETE FROM backfill_events WHERE step < 3");
	nothing_found(one);
	db_run("UPDATE backfill_events SET at = now()");
	db_run("DELETE FROM backfill_events");
	nothing_found(one);
	db_run("UPDATE backfill_log SET created_at = now()");
	found(one, "chain", "2024-12");
}

/* A unit reserved before midnight and sent after it is no fault; one that was never reserved is. */
static void test_midnight(void **state)
{
	NODE(state);
	seed(one, 2024, 2024);
	db_run("INSERT INTO api_quota (provider, day, used) VALUES ('isbndb', '2024-05-01', 11), ('isbndb', '2024-05-02', 20)");
	db_run("INSERT INTO api_usage (provider, day, instance, units) VALUES ('isbndb', '2024-05-01', 'a', 10),"
	       " ('isbndb', '2024-05-02', 'a', 21)");
	nothing_found(one);
	db_run("UPDATE api_quota SET used = 10 WHERE day = '2024-05-01'");
	found(one, "quota", "isbndb 2024-05-02");
}

/* An ISBN-less synthetic work is what it is; with an edition it is not. */
static void test_catalogue(void **state)
{
	NODE(state);
	seed(one, 2024, 2024);
	db_run("INSERT INTO enriched_works (work_key, title, synthetic) VALUES ('w:1', 'T', true)");
	db_run("INSERT INTO enriched_authors (author_key, name, book_count) VALUES ('name:a', 'A', 1)");
	db_run("INSERT INTO work_authors_enriched VALUES ('w:1', 'name:a', 0)");
	nothing_found(one);
	db_run("INSERT INTO enriched_editions (isbn, work_key, title) VALUES ('9780306406157', 'w:1', 'T')");
	found(one, "synthetic", "w:1");
	db_run("UPDATE enriched_authors SET book_count = 2");
	found(one, "book_count", "name:a");
}

/* Named years are all expected; more findings than come out are still counted. */
static void test_totals(void **state)
{
	NODE(state);
	bf_store_verify(one->store, &(struct bf_verify){ 1900, 2000, true, 1, YEAR_MS, 20000 }, on_findings, NULL);
	db_wait();
	assert_int_equal(seen.errors, 101 * 12);
	assert_int_equal(seen.n, 500);
}

/* ---- one state of the database ---- */
static struct {
	struct node *one;
	PGconn *holder;		/* holds the lock that reading authors waits for */
	enum bf_err_class second;
} held;

static void hold(const char *sql)
{
	PGresult *r = PQexec(held.holder, sql);

	assert_int_equal(PQresultStatus(r), PGRES_COMMAND_OK);
	PQclear(r);
}

static void second_look(void *ctx, const struct bf_error *err, const struct bf_findings *f)
{
	(void)ctx;
	(void)f;
	held.second = err != NULL ? err->class : BF_ERR_NONE;
	db_run("UPDATE backfill_log SET isbns_resolved = 2, isbns_queued = 2 WHERE month = 12");
	db_run("UPDATE enriched_works SET synthetic = true");
	PQclear(PQexec(held.holder, "SELECT pg_advisory_unlock(42)"));
}

static void once_it_waits(void *ctx)
{
	if (db_int("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory' AND objid = 42"
		   " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())") == 0) {
		bf_timer_start(db_loop, 20, once_it_waits, ctx);
		return;
	}
	bf_store_verify(held.one->store, &(struct bf_verify){ 2020, 2024, false, 1, YEAR_MS, 20000 }, second_look, NULL);
}

/* Whoever reads authors, as the last statement alone does, waits for somebody's lock. */
static void hold_authors(struct node *one)
{
	held.one = one;
	held.second = BF_ERR_NONE;
	held.holder = PQconnectdb(db_conninfo());
	hold("ALTER TABLE enriched_authors RENAME TO authors_kept");
	hold("CREATE VIEW enriched_authors AS SELECT k.* FROM authors_kept k, (SELECT pg_advisory_lock_shared(42) OFFSET 0) AS l");
	hold("INSERT INTO authors_kept (author_key, name, book_count) VALUES ('name:held', 'H', 0)");
	PQclear(PQexec(held.holder, "SELECT pg_advisory_lock(42)"));
}

/* The table is as before. */
static void let_go(void)
{
	PQclear(PQexec(held.holder, "SELECT pg_advisory_unlock_all()"));
	hold("DROP VIEW enriched_authors");
	hold("ALTER TABLE authors_kept RENAME TO enriched_authors");
	PQfinish(held.holder);
}

/* What changes while the last check waits is not seen by any, nor does it wait for the looker; a second look is refused meanwhile. */
static void test_one_state(void **state)
{
	NODE(state);
	run_month(one);
	db_run("INSERT INTO enriched_works (work_key, title, synthetic) VALUES ('w:1', 'T', false)");
	db_run("INSERT INTO enriched_editions (isbn, work_key, title) VALUES ('9780306406157', 'w:1', 'T')");
	nothing_found(one);
	hold_authors(one);
	bf_timer_start(db_loop, 20, once_it_waits, NULL);
	nothing_found(one);
	let_go();
	assert_int_equal(held.second, BF_ERR_REFUSED);
	found(one, "synthetic", "w:1");
	found(one, "isbns_resolved", "2024-12");
}

/* A look that takes too long ends, and its statement with it; the next one finds its way. */
static void test_limit(void **state)
{
	NODE(state);
	seed(one, 2024, 2024);
	hold_authors(one);
	bf_store_verify(one->store, &(struct bf_verify){ 2020, 2024, false, 1, YEAR_MS, 1500 }, on_findings, NULL);
	db_wait();
	assert_string_equal(got.err.sqlstate, "57014");
	while (db_int("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'backfilld verify' AND datname = current_database()") > 0)
		;
	let_go();
	nothing_found(one);
}

/* One that is called off leaves nothing behind. */
static void test_cancel(void **state)
{
	NODE(state);
	struct bf_op *op;

	seed(one, 2024, 2024);
	op = bf_store_verify(one->store, &(struct bf_verify){ 2020, 2024, false, 1, YEAR_MS, 20000 }, on_findings, NULL);
	bf_op_cancel(op);
	nothing_found(one);
}

/* A whole schema has no finding of its objects; a dropped index and one half built are found. */
static void test_doctor(void **state)
{
	NODE(state);
	bf_store_doctor(one->store, 5, on_findings, NULL);
	db_wait();
	for (int i = 0; i < seen.n && i < 16; i++)
		if (strcmp(seen.v[i].check, "indexes") == 0 || strcmp(seen.v[i].check, "extension") == 0 ||
			strcmp(seen.v[i].check, "columns") == 0)
			fail_msg("%s: %s", seen.v[i].subject, seen.v[i].text);
	db_run("ALTER INDEX backfill_events_at RENAME TO gone");
	bf_store_doctor(one->store, 5, on_findings, NULL);
	db_wait();
	db_run("ALTER INDEX gone RENAME TO backfill_events_at");
	assert_string_equal(seen.v[0].check, "indexes");
	assert_string_equal(seen.v[0].subject, "backfill_events_at");
	assert_int_equal(db_int("SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'r'"
				" WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped"
				" AND c.relname <> 'schema_migrations'"), store_n_columns);
	db_run("ALTER TABLE enriched_works RENAME COLUMN subtitle TO gone");
	bf_store_doctor(one->store, 5, on_findings, NULL);
	db_wait();
	db_run("ALTER TABLE enriched_works RENAME COLUMN gone TO subtitle");
	assert_string_equal(seen.v[0].check, "columns");
	assert_string_equal(seen.v[0].subject, "enriched_works.subtitle");
}

/* A database of which nothing of the last test is left that db_setup does not know. */
static int setup(void **state)
{
	int rc = db_setup(state);

	if (*state != NULL)
		bf_store_aside(((struct node *)*state)->store, db_conninfo(), 5000);
	if (*state != NULL)
		db_run("TRUNCATE provider_records, enriched_works, enriched_editions, enriched_authors, work_authors_enriched,"
		       " api_usage, api_quota");
	return rc;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, db_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_clean), TEST(test_faults), TEST(test_retention), TEST(test_midnight),
		TEST(test_catalogue), TEST(test_totals), TEST(test_one_state), TEST(test_limit), TEST(test_cancel),
		TEST(test_doctor),
	};

	return cmocka_run_group_tests(tests, db_group_setup, db_group_teardown);
}
