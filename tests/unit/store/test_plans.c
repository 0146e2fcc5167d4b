/* No statement of enrichment, alerts or verify reads a table from end to end: the plans of a catalogue that is large enough
 * for PostgreSQL to think so, with the parameters known and without. */
#include "queue.h"
#include "sql.h"
#include <libpq-fe.h>

#define ROWS  "50000"
#define ID    "00000000-0000-0000-0000-000000000001"
#define ITEMS "'{" ID "," ID "}','{1,1}'"
#define BATCH                                                          \
	"{\"items\":[{\"i\":0,\"id\":\"" ID                            \
	"\",\"fence\":1,\"isbn13\":\"9780000000017\",\"work\":0}],"    \
	"\"works\":[{\"k\":0,\"work_key\":\"work "                     \
	"7\",\"seen\":\"x\",\"authors\":[{\"place\":0,\"name\":\"N\"," \
	"\"author_key\":\"author 7\"}],\"absorbed\":[{\"key\":\"work " \
	"8\",\"seen\":\"x\"}]}],\"touched\":[\"author 7\"]}"

static const char *const tables[] = { "enriched_works", "enriched_editions", "enriched_authors",
	"work_authors_enriched", "provider_records", "enrichment_queue", "backfill_candidates",
	"enrichment_log", "backfill_events", "api_usage" };

/* A statement, what goes before it in its transaction, and parameters as EXECUTE takes them. */
static const struct {
	const struct bf_pg_stmt *stmt, *before;
	const char *params;
	bool ordered;
	const char *whole;	/* tables that it reads whole on purpose */
} cases[] = {
	{ &sql_overview, NULL, "'{gemini,isbndb}','{0,15000}','{0,2000}',1,2000,2024", true,
		"enrichment_queue" /* counted by status, as each pulse does, up to 100000 */ },
	{ &sql_alert_facts, NULL, "1,'{}',20,3600000,4", true },
	{ &sql_items_claim, NULL, "'edition',100,60000,'one',1", false },
	{ &sql_items_fetched, NULL,
		"'" ID "','one'," ITEMS ",'{isbndb,isbndb}','{9780000000017,9780000000024}',"
		"'{found,missing}','{\"{}\",NULL}','{NULL,NULL}','{1,1}'",
		false },
	{ &sql_items_end, NULL,
		"'one'," ITEMS ",'{wait,rekey}','{a,b}','{a,b}','{NULL,9780000000017}','{1,1}'",
		false },
	{ &sql_records, NULL, "'{isbndb}','{9780000000017}','{9780000000024}','{\"{}\"}'", false },
	{ &sql_look, &sql_look_lock,
		"'{9780000000017}','{0000000017}','{Some title 77}','{0}','{0}','{Some Author 77}',"
		"'{author 77}','{0,0}','{9780000000024,9780000000031}','{0}','{work 78}'",
		false },
	{ &sql_write_judge, &sql_write_lock, "'" BATCH "',now()", false },
	{ &sql_write_works, &sql_write_lock, "'one'", false },
	{ &sql_write_editions, &sql_write_lock, "'one'", false },
	{ &sql_write_absorb, &sql_write_lock, "'one'", false },
	{ &sql_write_items, &sql_write_lock, "true,3", false },
	{ &sql_recount, &sql_write_lock, "NULL", false },
	{ &sql_recount, &sql_write_lock, "'{author 7}'", false },
	{ &sql_enhance, NULL, "100,3", true },
	{ &sql_enhanced, NULL, "'" ID "',1,'work 7','9780000000017','isbndb','{}',90,'{}',3,'one'",
		false },
	{ &sql_enhanced_months, NULL, "'one','work 7','9780000000017','isbndb'", false },
	/* of verify: the years' own rows, and the whole queue and usage; of the catalogue what they lead to, and an index of synthetic works */
	{ &sql_verify_months, NULL, "2000,2000,true,3600000", false },
	{ &sql_verify_books, NULL, "2000,2000", false, "enrichment_queue" },
	{ &sql_verify_chain, NULL, "2000,2000,31536000000", false, "api_usage" },
	{ &sql_verify_queue, NULL, "2000,2000", false, "enrichment_queue api_usage" },
	{ &sql_verify_catalogue, NULL, "2000,2000", true, "enriched_authors work_authors_enriched" },
};

/* Rows in every table, as many of each kind of item as a long queue has. */
static void fill(void)
{
	db_run("INSERT INTO enriched_works (work_key, title, synthetic, updated_at, created_at) "
	       "SELECT 'work ' || i,"
	       " 'Some title ' || i, i %% 3 = 0, now() - i * interval '1 s', now() - i * interval "
	       "'1 s'"
	       " FROM generate_series(1, " ROWS ") AS i");
	db_run("INSERT INTO enriched_authors (author_key, name) SELECT 'author ' || i, 'Some ' || i"
	       " FROM generate_series(1, " ROWS ") AS i");
	db_run("INSERT INTO work_authors_enriched SELECT 'work ' || i, 'author ' || 1 + i / 4, 0"
	       " FROM generate_series(1, " ROWS ") AS i");
	db_run("INSERT INTO enriched_editions (isbn, work_key, title, alternate_isbns) SELECT"
	       " '978' || lpad(i::text, 10, '0'), 'work ' || i, NULL, ARRAY[lpad(i::text, 10, '0')]"
	       " FROM generate_series(1, " ROWS ") AS i");
	db_run("INSERT INTO provider_records (provider, isbn13, found, for_isbn) SELECT 'isbndb',"
	       " '978' || lpad(i::text, 10, '0'), true, '978' || lpad((i / 5)::text, 10, '0')"
	       " FROM generate_series(1, " ROWS ") AS i");
	db_run("INSERT INTO enrichment_queue (entity_type, entity_key, queued_by, status, "
	       "next_attempt_at, work_key, owner_id)"
	       " SELECT CASE WHEN i %% 4 = 0 THEN 'work' ELSE 'edition' END, 'key ' || i,"
	       " CASE WHEN i %% 7 <> 0 THEN 'backfilld' END,"
	       " (ARRAY['pending', 'pending', 'completed', 'failed', 'processing'])[1 + i %% 5],"
	       " CASE WHEN i %% 5 = 1 THEN now() + (i - 25000) * interval '1 s' END, 'work ' || i, "
	       "1"
	       " FROM generate_series(1, " ROWS ") AS i");
	db_run("INSERT INTO backfill_candidates (year, month, ord, title, title_key, author_key, "
	       "isbn13, work_key)"
	       " SELECT 1900 + i %% 200, 1 + i %% 12, i, 'T', 't', 'a',"
	       " CASE WHEN i %% 2 = 0 THEN '978' || lpad(i::text, 10, '0') END, 'work ' || i"
	       " FROM generate_series(1, " ROWS ") AS i");
	db_run("INSERT INTO enrichment_log (entity_type, entity_key, operation, call_id, item_id, "
	       "provider)"
	       " SELECT 'edition', 'key ' || i, 'lookup', gen_random_uuid(), gen_random_uuid(), "
	       "'isbndb'"
	       " FROM generate_series(1, " ROWS ") AS i");
	db_run("INSERT INTO api_usage (provider, day, instance, year, month, calls) SELECT 'isbndb', now()::date - i / 200, 'one',"
	       " 1900 + i %% 200, 1 + i / 1000, 1 FROM generate_series(1, " ROWS ") AS i");
	db_run("INSERT INTO backfill_events (id, year, month, fence, step, event) SELECT i, 1900 + i %% 200, 1 + i %% 12, i, 1, 'x'"
	       " FROM generate_series(1, 20000) AS i");
	db_run("ANALYZE");
}

/* Whether a line of a plan reads one of the tables by what begins with `how`. */
static bool reads(const char *line, const char *how, const char *whole)
{
	const char *at = strstr(line, how);

	for (size_t i = 0; at != NULL && i < BF_COUNT(tables); i++) {
		const char *table = strstr(at, tables[i]);

		if (table != NULL && strstr(at, " on ") != NULL &&
			(whole == NULL || strstr(whole, tables[i]) == NULL))
			return true;
	}
	return false;
}

/* No sequential scan, and no walk over a whole index. */
static void check(const char *name, const PGresult *plan, bool ordered, const char *whole)
{
	static char text[65536];
	size_t used = 0;

	text[0] = '\0';
	for (int i = 0; i < PQntuples(plan); i++) {
		const char *line = PQgetvalue(plan, i, 0);
		const char *next = i + 1 < PQntuples(plan) ? PQgetvalue(plan, i + 1, 0) : "";

		used += (size_t)snprintf(text + used, sizeof(text) - used, "%.200s\n", line);
		assert_true(used < sizeof(text) - 300);
		if (reads(line, "Seq Scan on", whole))
			fail_msg("%s reads a whole table: %s\n%s", name, line, text);
		if (!ordered &&
			(reads(line, "Index Scan using", whole) ||
				reads(line, "Index Only Scan using", whole)) &&
			strstr(next, "Index Cond:") == NULL)
			fail_msg("%s walks over a whole index:\n%s%s", name, text, next);
	}
	assert_true(PQntuples(plan) > 2);
}

/* Runs one command of the session on which plans are made. */
static PGresult *run(PGconn *c, const char *sql)
{
	PGresult *r = PQexec(c, sql);

	if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_TUPLES_OK)
		fail_msg("%.300s: %s", sql, PQerrorMessage(c));
	return r;
}

static void explain(PGconn *c, size_t i, const char *mode)
{
	char sql[4096];
	PGresult *r;

	snprintf(sql, sizeof(sql), "SET plan_cache_mode = %s", mode);
	PQclear(run(c, sql));
	PQclear(run(c, "BEGIN"));
	if (cases[i].before != NULL)
		PQclear(run(c, cases[i].before->sql));
	PQclear(run(c, "SELECT set_config('backfill.batch', '" BATCH "', true)"));
	snprintf(sql, sizeof(sql), "EXPLAIN EXECUTE %s (%s)", cases[i].stmt->name, cases[i].params);
	r = run(c, sql);
	check(cases[i].stmt->name, r, cases[i].ordered, cases[i].whole);
	PQclear(r);
	PQclear(run(c, "ROLLBACK"));
}

static void every_statement_uses_indexes(void **state)
{
	struct node *one = *state;
	PGconn *c;

	if (one == NULL)
		skip();
	fill();
	c = PQconnectdb(db_conninfo());
	/* A catalogue in earnest is twenty times as long: there an index wins by far. Over these few pages the default would be
	 * a tie that the sample of ANALYZE decides. */
	PQclear(run(c, "SET random_page_cost = 1.1"));
	for (size_t i = 0; i < BF_COUNT(cases); i++) {
		PGresult *r = PQprepare(c, cases[i].stmt->name, cases[i].stmt->sql, 0, NULL);

		PQclear(r); /* the second of one name is there already */
		explain(c, i, "force_generic_plan");
		explain(c, i, "force_custom_plan");
	}
	PQfinish(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			every_statement_uses_indexes, db_setup, db_teardown),
	};

	return cmocka_run_group_tests(tests, db_group_setup, db_group_teardown);
}
