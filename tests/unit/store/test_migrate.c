/* Migrations, and the start's checks of the schema. */
#include <sys/wait.h>
#include <unistd.h>
#include "db.h"
#include "migrations.h"
#include "queue.h"
#include "sql.h"

/* Each test has a database of its own. */
static int setup(void **state)
{
	static char yes;

	if (db_create())
		*state = &yes;
	return 0;
}

static int teardown(void **state)
{
	if (*state != NULL)
		db_drop();
	bf_arena_free(got.arena);
	free(got.json);
	memset(&got, 0, sizeof(got));
	return 0;
}

#define NEED_DB(state) if (*(state) == NULL) skip()

/* Starts a migration in a process of its own, silently; its id. */
static pid_t start(bool status_only, const char *output)
{
	pid_t pid = fork();

	if (pid == 0) {
		if (freopen(output, "w", stdout) == NULL ||
			freopen("/dev/null", "w", stderr) == NULL)
			_exit(99);
		_exit(bf_store_migrate(db_conninfo(), status_only));
	}
	assert_true(pid > 0);
	return pid;
}

static int finish(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int migrate(void)
{
	return finish(start(false, "/dev/null"));
}

/* All in order on an empty database, with the files' checksums; a second run finds nothing to do.
 */
static void an_empty_database_is_made_whole(void **state)
{
	NEED_DB(state);
	const char *at;

	assert_int_equal(migrate(), 0);
	assert_int_equal(
		db_int("SELECT count(*) FROM schema_migrations"), (int64_t)store_n_migrations);
	for (size_t i = 0; i < store_n_migrations; i++)
		assert_string_equal(
			db_text("SELECT checksum FROM schema_migrations WHERE number = %d",
				store_migrations[i].number),
			store_migrations[i].checksum);
	at = db_text("SELECT string_agg(applied_at::text, ' ') FROM schema_migrations");
	assert_int_equal(migrate(), 0);
	assert_string_equal(
		db_text("SELECT string_agg(applied_at::text, ' ') FROM schema_migrations"), at);
	assert_int_equal(db_int("SELECT count(*) FROM pg_index WHERE NOT indisvalid"), 0);
	assert_int_equal(
		db_int("SELECT count(*) FROM pg_constraint WHERE conname = 'backfill_log_check2'"
		       " AND pg_get_constraintdef(oid) LIKE '%%completed_at >= started_at%%'"),
		1);
	assert_string_equal(
		db_text("INSERT INTO backfill_log (year, month) VALUES (2024, 1)"
			" RETURNING status || prompt_variant || batch_size || retry_count"),
		"pendingbaseline200");
}

/* Prepares every statement of the store. */
static void prepare_all(void)
{
	PGconn *c = PQconnectdb(db_conninfo());

	for (size_t i = 0; i < sql_n_all; i++) {
		PGresult *r = PQprepare(c, sql_all[i]->name, sql_all[i]->sql, 0, NULL);

		if (PQresultStatus(r) != PGRES_COMMAND_OK)
			fail_msg("%s: %s", sql_all[i]->name, PQerrorMessage(c));
		PQclear(r);
		r = PQdescribePrepared(c, sql_all[i]->name);
		assert_int_equal(PQnparams(r), sql_all[i]->n_params);
		PQclear(r);
	}
	PQfinish(c);
}

/* Every statement of the store is accepted by the schema that the migrations make. */
static void every_statement_prepares(void **state)
{
	NEED_DB(state);
	assert_int_equal(migrate(), 0);
	prepare_all();
}

/* What operators have in their notes runs as written and means what it says. */
static void the_operators_queries_run(void **state)
{
	NEED_DB(state);
	assert_int_equal(migrate(), 0);
	db_run("INSERT INTO backfill_log (year, month, status, books_generated, isbns_resolved, "
	       "resolution_rate, retry_count,"
	       " started_at, completed_at, error_message) VALUES"
	       " (2023, 11, 'completed', 39, 36, 92.31, 0, now() - interval '3 h', now() - "
	       "interval '2 h', NULL),"
	       " (2023, 12, 'completed', 19, 12, 63.16, 0, now() - interval '3 h', now() - "
	       "interval '2 h', NULL),"
	       " (2024, 1, 'processing', 0, 0, NULL, 1, now() - interval '2 h', NULL, NULL),"
	       " (2024, 2, 'retry', 0, 0, NULL, 3, now(), NULL, 'x'), (2024, 3, 'retry', 0, 0, "
	       "NULL, 2, now(), NULL, 'y'),"
	       " (2024, 4, 'failed', 0, 0, NULL, 5, now(), now(), 'z'), (2024, 5, 'pending', 0, 0, "
	       "NULL, 0, NULL, NULL, NULL)");
	assert_int_equal(db_int("SELECT month FROM (SELECT year, month, status, started_at, "
				"retry_count FROM backfill_log"
				" WHERE status = 'processing' ORDER BY started_at DESC) AS q"),
		1);
	assert_string_equal(db_text("SELECT string_agg(month::text, ' ') FROM (SELECT year, month, "
				    "error_message, retry_count,"
				    " last_retry_at FROM backfill_log WHERE status = 'failed' OR "
				    "(status = 'retry' AND retry_count >= 3)"
				    " ORDER BY year DESC, month DESC) AS q"),
		"4 2");
	assert_string_equal(db_text("SELECT total_months || ' ' || completed || ' ' || pending || "
				    "' ' || avg_resolution_rate"
				    " FROM (SELECT year, COUNT(*) AS total_months, COUNT(*) FILTER "
				    "(WHERE status = 'completed') AS completed,"
				    " COUNT(*) FILTER (WHERE status = 'pending') AS pending, "
				    "ROUND(AVG(resolution_rate), 2) AS avg_resolution_rate"
				    " FROM backfill_log GROUP BY year ORDER BY year DESC) AS q "
				    "WHERE year = 2023"),
		"2 2 0 77.74");
	assert_string_equal(
		db_text("SELECT months || ' ' || total_books || ' ' || total_isbns || ' ' || "
			"avg_resolution FROM ("
			"SELECT status, COUNT(*) as months, SUM(books_generated) as total_books, "
			"SUM(isbns_resolved) as total_isbns,"
			" ROUND(AVG(CASE WHEN resolution_rate > 0 THEN resolution_rate "
			"END)::numeric, 2) as avg_resolution"
			" FROM backfill_log GROUP BY status) AS q WHERE status = 'completed'"),
		"2 58 48 77.74");
	assert_int_equal(db_int("SELECT COUNT(*) FROM backfill_log WHERE status = 'processing'"
		" AND started_at < NOW() - INTERVAL '1 hour'"), 1);
	assert_string_equal(db_text("SELECT round(AVG(resolution_rate), 3) FROM backfill_log"
		" WHERE completed_at > NOW() - INTERVAL '24 hours'"), "77.735");
	db_run("UPDATE backfill_log SET status = 'pending', retry_count = retry_count + 1 WHERE "
	       "status = 'processing'"
	       " AND started_at < NOW() - INTERVAL '1 hour'");
	assert_string_equal(db_text("SELECT status || retry_count FROM backfill_log WHERE year = "
				    "2024 AND month = 1"),
		"pending2");
}

/* The original's tables, as far as they differ from ours, with rows of the kinds it left behind. */
static void make_original(void)
{
	db_run("CREATE TABLE enriched_works (work_key text PRIMARY KEY, title text NOT NULL, "
	       "subtitle text, description text,"
	       " first_publication_year int, subject_tags text[], primary_provider text, "
	       "contributors text[],"
	       " synthetic boolean DEFAULT false, completeness_score int DEFAULT 0, metadata jsonb "
	       "DEFAULT '{}',"
	       " created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now())");
	db_run("CREATE TABLE enriched_editions (isbn text PRIMARY KEY, work_key text REFERENCES "
	       "enriched_works, title text,"
	       " alternate_isbns text[], own_column int)");
	db_run("CREATE TABLE enriched_authors (author_key text PRIMARY KEY, name text NOT NULL)");
	db_run("CREATE TABLE enrichment_queue (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), "
	       "entity_type text NOT NULL,"
	       " entity_key text NOT NULL, providers_to_try text[] NOT NULL, priority int DEFAULT "
	       "5,"
	       " status text DEFAULT 'pending', created_at timestamptz DEFAULT now(), retry_count "
	       "int DEFAULT 0,"
	       " max_retries int DEFAULT 3)");
	db_run("CREATE TABLE backfill_log (id serial PRIMARY KEY, year int NOT NULL CHECK (year >= "
	       "1900 AND year <= 2100),"
	       " month int NOT NULL CHECK (month >= 1 AND month <= 12), status text NOT NULL "
	       "DEFAULT 'pending'"
	       " CHECK (status IN ('pending', 'processing', 'completed', 'failed', 'retry')),"
	       " books_generated int DEFAULT 0, isbns_resolved int DEFAULT 0, resolution_rate "
	       "numeric(5,2),"
	       " isbns_queued int DEFAULT 0, gemini_calls int DEFAULT 0, xai_calls int DEFAULT 0, "
	       "isbndb_calls int DEFAULT 0,"
	       " started_at timestamptz, completed_at timestamptz, error_message text,"
	       " retry_count int DEFAULT 0 CHECK (retry_count >= 0 AND retry_count <= 5), "
	       "last_retry_at timestamptz,"
	       " prompt_variant text DEFAULT 'baseline', batch_size int DEFAULT 20, UNIQUE (year, "
	       "month),"
	       " CHECK (isbns_resolved <= books_generated), CHECK (isbns_queued <= isbns_resolved),"
	       " CHECK (completed_at IS NULL OR completed_at >= started_at))");
	db_run("INSERT INTO enriched_works (work_key, title, metadata) SELECT 'w' || i, 'Work ' || "
	       "i,"
	       " CASE WHEN i %% 2 = 0 THEN '[{\"a\":1}]'::jsonb ELSE '{}' END FROM "
	       "generate_series(1, 500) AS i");
	db_run("INSERT INTO enriched_editions (isbn, work_key, own_column) SELECT i::text, 'w' || "
	       "i, i"
	       " FROM generate_series(1, 500) AS i");
	db_run("INSERT INTO enrichment_queue (entity_type, entity_key, providers_to_try) SELECT "
	       "'edition', '978', '{}'"
	       " FROM generate_series(1, 3)");
	db_run("INSERT INTO backfill_log (year, month, status, retry_count, started_at) VALUES"
	       " (2024, 12, 'failed', 5, now()), (2024, 11, 'failed', 5, now()), (2024, 10, "
	       "'processing', 3, now()),"
	       " (2024, 9, 'processing', 3, now()), (2024, 8, 'processing', 1, now()), (2023, 12, "
	       "'failed', 5, now())");
}

/* Over the original's tables nothing is rewritten, dropped or changed, but the four months of 014;
 * its processing rows wait for stuck_after, its queue stays its own. */
static void the_originals_database_keeps_its_rows(void **state)
{
	NEED_DB(state);
	static const char rows[] = "SELECT md5(string_agg(x, '|' ORDER BY x)) FROM (SELECT "
				   "work_key || title || metadata AS x"
				   " FROM enriched_works UNION ALL SELECT isbn || work_key || "
				   "own_column FROM enriched_editions) AS t";
	static const char files[] = "SELECT string_agg(relfilenode::text, ' ' ORDER BY relname) "
				    "FROM pg_class WHERE relname IN"
				    " ('enriched_works', 'enriched_editions', 'enriched_authors', "
				    "'enrichment_queue', 'backfill_log')";
	const char *rows_before, *files_before;
	struct node *one;

	make_original();
	rows_before = db_text("%s", rows);
	files_before = db_text("%s", files);
	assert_int_equal(migrate(), 0);
	assert_string_equal(db_text("%s", rows), rows_before);
	assert_string_equal(db_text("%s", files), files_before);
	assert_string_equal(db_text("SELECT string_agg(status, ' ' ORDER BY year DESC, month DESC) "
				    "FROM backfill_log"),
		"pending pending pending pending processing failed");
	assert_int_equal(
		db_int("SELECT count(*) FROM enrichment_queue WHERE queued_by IS NULL"), 3);
	prepare_all();
	db_loop = bf_loop_new();
	one = node_new("one", true);
	bf_store_pulse(one->store, NULL, 0, 3600000, got_pulse, NULL);
	db_wait();
	assert_int_equal(got.pulse.n_orphans, 0);
	assert_int_equal(got.pulse.queue_depth, 0);
	claim(one, 10, 2000, 2024, true);
	assert_int_equal(got.n, 4);
	node_free(one);
	bf_loop_free(db_loop);
}

/* A migration whose text changed after it was applied stops everything, and the daemon's check says
 * so. */
static void a_changed_migration_is_refused(void **state)
{
	NEED_DB(state);
	struct node *one;
	char line[128] = "", path[64];
	FILE *f;

	assert_int_equal(migrate(), 0);
	db_run("UPDATE schema_migrations SET checksum = repeat('0', 64) WHERE number = 13");
	db_run("DELETE FROM schema_migrations WHERE number = 18");
	assert_int_equal(migrate(), 1);
	assert_int_equal(db_int("SELECT count(*) FROM schema_migrations WHERE number = 18"), 0);
	snprintf(path, sizeof(path), "/tmp/bf_status_%d", (int)getpid());
	assert_int_equal(finish(start(true, path)), 1);
	f = fopen(path, "r");
	assert_non_null(f);
	for (int i = 0; i < 2; i++)
		assert_non_null(fgets(line, sizeof(line), f));
	assert_non_null(strstr(line, "013_backfill_log_table"));
	assert_non_null(strstr(line, "CHANGED"));
	fclose(f);
	unlink(path);
	db_loop = bf_loop_new();
	one = node_new("one", false);
	bf_store_check_schema(one->store, got_schema, NULL);
	db_wait();
	assert_int_equal(got.schema, BF_SCHEMA_CHANGED);
	node_free(one);
	bf_loop_free(db_loop);
}

/* Two migrations at once: both end well, and each file was applied once. */
static void two_at_once_are_safe(void **state)
{
	NEED_DB(state);
	pid_t a = start(false, "/dev/null"), b = start(false, "/dev/null");

	assert_int_equal(finish(a), 0);
	assert_int_equal(finish(b), 0);
	assert_int_equal(
		db_int("SELECT count(*) FROM schema_migrations"), (int64_t)store_n_migrations);
	assert_int_equal(db_int("SELECT count(*) FROM pg_index WHERE NOT indisvalid"), 0);
}

/* An index that an interrupted build left invalid is built again. */
static void half_made_indexes_are_rebuilt(void **state)
{
	NEED_DB(state);
	assert_int_equal(migrate(), 0);
	db_run("UPDATE pg_index SET indisvalid = false WHERE indexrelid = "
	       "'enriched_works_synthetic'::regclass");
	db_run("DELETE FROM schema_migrations WHERE number = 18");
	assert_int_equal(migrate(), 0);
	assert_int_equal(db_int("SELECT count(*) FROM pg_index WHERE NOT indisvalid"), 0);
	assert_int_equal(
		db_int("SELECT count(*) FROM pg_class WHERE relname = 'enriched_works_synthetic'"),
		1);
}

/* --status on an empty database lists everything as pending and makes nothing. */
static void status_changes_nothing(void **state)
{
	NEED_DB(state);
	assert_int_equal(finish(start(true, "/dev/null")), 0);
	assert_string_equal(db_text("SELECT to_regclass('schema_migrations')"), "");
}

/* What the check finds on this node's database. */
static enum bf_schema check(struct node *one)
{
	bf_store_check_schema(one->store, got_schema, NULL);
	db_wait();
	assert_string_equal(got.err.text, "");
	return got.schema;
}

/* Not migrated: behind; migrated: fine, with a newer program's migration, too; one missing: behind,
 * by name. */
static void the_check_knows_what_is_missing(void **state)
{
	NEED_DB(state);
	struct node *one;

	db_loop = bf_loop_new();
	one = node_new("one", false);
	assert_int_equal(check(one), BF_SCHEMA_BEHIND);
	assert_non_null(strstr(got.remedy, "backfilld migrate"));
	assert_int_equal(migrate(), 0);
	assert_int_equal(check(one), BF_SCHEMA_OK);
	db_run("INSERT INTO schema_migrations (number, name, checksum) VALUES (900, 'later', 'x')");
	assert_int_equal(check(one), BF_SCHEMA_OK);
	db_run("DELETE FROM schema_migrations WHERE number = 16");
	assert_int_equal(check(one), BF_SCHEMA_BEHIND);
	assert_non_null(strstr(got.remedy, "016_"));
	node_free(one);
	bf_loop_free(db_loop);
}

/* Sessions that turn out to be one and the same stand behind a pooler. */
static void shared_sessions_are_noticed(void **state)
{
	NEED_DB(state);
	const struct bf_pg_config config = { .conninfo = db_conninfo(),
		.application_name = "test",
		.sessions = 1,
		.statement_timeout_ms = 20000,
		.connect_timeout_ms = 5000 };
	struct node n = { 0 };

	assert_int_equal(migrate(), 0);
	db_loop = bf_loop_new();
	n.pool = bf_pg_new(db_loop, &config);
	n.store = bf_store_new(db_loop, n.pool, n.pool, "one");
	assert_int_equal(check(&n), BF_SCHEMA_POOLED);
	bf_pg_free(n.pool);
	bf_store_free(n.store);
	bf_loop_free(db_loop);
}

/* A role with least rights can do a month's work and an item's; one grant less is named. */
static void least_rights_are_enough(void **state)
{
	NEED_DB(state);
	char role[64], conninfo[600];
	struct node n = { 0 };
	struct bf_month_row row;
	struct bf_pg_config config = { .conninfo = conninfo,
		.application_name = "test",
		.sessions = 1,
		.statement_timeout_ms = 20000,
		.connect_timeout_ms = 5000 };

	assert_int_equal(migrate(), 0);
	snprintf(role, sizeof(role), "bf_runtime_%d", (int)getpid());
	db_run("CREATE ROLE %s LOGIN", role);
	db_run("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO %s", role);
	db_run("REVOKE INSERT, UPDATE, DELETE ON schema_migrations FROM %s", role);
	db_run("REVOKE DELETE ON backfill_log, enriched_editions, enriched_authors,"
		" enrichment_queue FROM %s", role);
	db_run("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO %s", role);
	snprintf(conninfo, sizeof(conninfo), "%s user=%s", db_conninfo(), role);
	db_loop = bf_loop_new();
	n.pool = bf_pg_new(db_loop, &config);
	n.locks = bf_pg_new(db_loop, &config);
	n.store = bf_store_new(db_loop, n.pool, n.locks, "one");
	assert_int_equal(check(&n), BF_SCHEMA_OK);
	bf_store_hello(n.store, 0, got_hello, NULL);
	db_wait();
	assert_string_equal(got.err.text, "");
	assert_int_equal(seed(&n, 2024, 2024), 12);
	row = claim_one(&n);
	assert_int_equal(save(&n, &row, 3), BF_STORE_DONE);
	reserve(&n, BF_ISBNDB, 15000, 2000, 3);
	resolve(&n, &row, 2, false);
	assert_int_equal(complete(&n, &row, 3), BF_STORE_DONE);
	bf_store_pulse(n.store, NULL, 0, 3600000, got_pulse, NULL);
	db_wait();
	assert_string_equal(got.err.text, "");
	assert_int_equal(take(&n, BF_ITEM_EDITION, 2), 2);
	assert_int_equal(fetched(&n, 1, took.item[0].ref, BF_ISBNDB, isbn_of(0), BF_FETCH_MISSING,
		NULL), 0);
	db_run("REVOKE DELETE ON enriched_works FROM %s", role);
	assert_int_equal(check(&n), BF_SCHEMA_NO_RIGHTS);
	assert_non_null(strstr(got.remedy, "GRANT DELETE ON enriched_works TO bf_runtime"));
	db_run("GRANT DELETE ON enriched_works TO %s", role);
	db_run("REVOKE UPDATE ON api_quota FROM %s", role);
	assert_int_equal(check(&n), BF_SCHEMA_NO_RIGHTS);
	assert_non_null(strstr(got.remedy, "GRANT UPDATE ON api_quota TO bf_runtime"));
	db_run("REVOKE SELECT ON schema_migrations FROM %s", role);
	assert_int_equal(check(&n), BF_SCHEMA_NO_RIGHTS);
	bf_pg_free(n.pool);
	bf_pg_free(n.locks);
	bf_store_free(n.store);
	bf_loop_free(db_loop);
	db_run("DROP OWNED BY %s", role);
	db_run("DROP ROLE %s", role);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_empty_database_is_made_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(every_statement_prepares, setup, teardown),
		cmocka_unit_test_setup_teardown(the_operators_queries_run, setup, teardown),
		cmocka_unit_test_setup_teardown(
			the_originals_database_keeps_its_rows, setup, teardown),
		cmocka_unit_test_setup_teardown(a_changed_migration_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(two_at_once_are_safe, setup, teardown),
		cmocka_unit_test_setup_teardown(half_made_indexes_are_rebuilt, setup, teardown),
		cmocka_unit_test_setup_teardown(status_changes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(the_check_knows_what_is_missing, setup, teardown),
		cmocka_unit_test_setup_teardown(shared_sessions_are_noticed, setup, teardown),
		cmocka_unit_test_setup_teardown(least_rights_are_enough, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
