/* The harness of the store's tests: a database, stores on it, and completions that end a wait. */
#include <unistd.h>
#include "db.h"

struct bf_loop *db_loop;
struct answer got;
static PGconn *side;			/* for looking at rows behind the store's back */
static char name[64], conninfo[512];

const char *db_admin(void)
{
	const char *s = getenv("BF_TEST_CONNINFO");

	return s != NULL && s[0] != '\0' ? s : NULL;
}

const char *db_conninfo(void)
{
	return conninfo;
}

/* Runs one statement on a session of the admin's database. */
static void admin_run(const char *sql)
{
	PGconn *c = PQconnectdb(db_admin());
	PGresult *r = PQexec(c, sql);

	if (PQresultStatus(r) != PGRES_COMMAND_OK)
		fail_msg("%s: %s", sql, PQerrorMessage(c));
	PQclear(r);
	PQfinish(c);
}

static void ignore_notice(void *ctx, const char *text)
{
	(void)ctx;
	(void)text;
}

bool db_create(void)
{
	static int n;
	char sql[128];

	if (db_admin() == NULL)
		return false;
	snprintf(name, sizeof(name), "bf_store_%d_%d", (int)getpid(), n++);
	snprintf(sql, sizeof(sql), "CREATE DATABASE %s TEMPLATE template0", name);
	admin_run(sql);
	snprintf(conninfo, sizeof(conninfo), "%s dbname=%s", db_admin(), name);
	side = PQconnectdb(conninfo);
	assert_int_equal(PQstatus(side), CONNECTION_OK);
	PQsetNoticeProcessor(side, ignore_notice, NULL);
	return true;
}

void db_drop(void)
{
	char sql[128];

	PQfinish(side);
	snprintf(sql, sizeof(sql), "DROP DATABASE %s WITH (FORCE)", name);
	admin_run(sql);
}

/* Runs one statement on the side session; its first value. */
__attribute__((format(printf, 1, 0)))
static const char *run(const char *sql, va_list args)
{
	static char out[8][65536];
	static int turn;
	char *to = out[turn++ & 7];
	char *text = NULL;
	PGresult *r;

	if (vasprintf(&text, sql, args) < 0)
		abort();
	r = PQexec(side, text);
	if (PQresultStatus(r) != PGRES_TUPLES_OK && PQresultStatus(r) != PGRES_COMMAND_OK)
		fail_msg("%s: %s", text, PQerrorMessage(side));
	snprintf(to, sizeof(out[0]), "%s", PQntuples(r) > 0 ? PQgetvalue(r, 0, 0) : "");
	PQclear(r);
	free(text);
	return to;
}

const char *db_text(const char *sql, ...)
{
	va_list args;
	const char *s;

	va_start(args, sql);
	s = run(sql, args);
	va_end(args);
	return s;
}

int64_t db_int(const char *sql, ...)
{
	va_list args;
	int64_t v;

	va_start(args, sql);
	v = strtoll(run(sql, args), NULL, 10);
	va_end(args);
	return v;
}

void db_run(const char *sql, ...)
{
	va_list args;

	va_start(args, sql);
	run(sql, args);
	va_end(args);
}

int64_t month_locks(void)
{
	return db_int("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
		      " AND classid = 1112949069 AND database ="
		      " (SELECT oid FROM pg_database WHERE datname = current_database())");
}

/* Silences the lines that migrating prints. */
static int quietly_migrate(void)
{
	int kept = dup(1), rc;

	fflush(stdout);
	if (freopen("/dev/null", "w", stdout) == NULL)
		abort();
	rc = bf_store_migrate(conninfo, false);
	fflush(stdout);
	dup2(kept, 1);
	close(kept);
	return rc;
}

int db_group_setup(void **state)
{
	(void)state;
	if (!db_create())
		return 0;
	assert_int_equal(quietly_migrate(), 0);
	return 0;
}

int db_group_teardown(void **state)
{
	(void)state;
	if (db_admin() != NULL)
		db_drop();
	return 0;
}

struct node *node_new(const char *instance, bool say_hello)
{
	struct node *n = calloc(1, sizeof(*n));
	struct bf_pg_config config = { .conninfo = conninfo,
		.application_name = "test",
		.sessions = 2,
		.statement_timeout_ms = 20000,
		.connect_timeout_ms = 5000 };

	n->pool = bf_pg_new(db_loop, &config);
	config.sessions = 1;
	n->locks = bf_pg_new(db_loop, &config);
	n->store = bf_store_new(db_loop, n->pool, n->locks, instance);
	if (say_hello) {
		bf_store_hello(n->store, 0, got_hello, NULL);
		db_wait();
		assert_int_equal(got.err.class, BF_ERR_NONE);
		n->id = got.hello.instance_id;
	}
	return n;
}

void node_free(struct node *n)
{
	if (n == NULL)
		return;
	bf_pg_free(n->pool);
	bf_pg_free(n->locks);
	bf_store_free(n->store);
	free(n);
}

int db_setup(void **state)
{
	if (db_admin() == NULL)
		return 0;
	/* the sessions of the test before have to be gone, with their locks */
	while (db_int("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
		      " AND backend_type = 'client backend' AND pid <> pg_backend_pid()") > 0)
		;
	db_run("TRUNCATE backfill_log, backfill_jobs, backfill_answers, backfill_candidates, "
	       "backfill_events, api_usage,"
	       " api_quota, provider_state, isbn_resolutions, backfill_timers, backfill_flushes, "
	       "backfill_instances,"
	       " enriched_works, enriched_editions, enriched_authors, work_authors_enriched, "
	       "enrichment_queue,"
	       " enrichment_log, provider_records CASCADE");
	db_run("UPDATE backfill_control SET paused = false, note = NULL, until = NULL");
	db_loop = bf_loop_new();
	*state = node_new("one", true);
	return 0;
}

int db_teardown(void **state)
{
	if (db_admin() == NULL)
		return 0;
	node_free(*state);
	bf_loop_free(db_loop);
	bf_arena_free(got.arena);
	free(got.json);
	memset(&got, 0, sizeof(got));
	return 0;
}

void db_came(const struct bf_error *err)
{
	bf_arena_free(got.arena);
	free(got.json);
	memset(&got, 0, sizeof(got));
	got.arena = bf_arena_new();
	got.came = true;
	if (err != NULL)
		got.err = *err;
	bf_loop_stop(db_loop);
}

void db_wait(void)
{
	got.came = false;
	while (!got.came)
		assert_int_equal(bf_loop_run(db_loop), 0);
}

void got_done(void *ctx, const struct bf_error *err, enum bf_store_outcome outcome)
{
	(void)ctx;
	db_came(err);
	got.outcome = outcome;
}

void got_claim(void *ctx, const struct bf_error *err, const struct bf_claim *claim)
{
	(void)ctx;
	db_came(err);
	got.n = claim->n;
	got.skipped = claim->skipped;
	got.totals = claim->totals;
	got.has_rows = claim->rows != NULL;
	for (int i = 0; i < claim->n && i < DB_MAX; i++) {
		if (claim->rows != NULL)
			got.rows[i] = claim->rows[i];
		got.briefs[i] = claim->briefs[i];
		got.briefs[i].error_message =
			bf_arena_strdup(got.arena, claim->briefs[i].error_message);
	}
}

void got_harvest(void *ctx, const struct bf_error *err, const struct bf_harvest_reply *reply)
{
	(void)ctx;
	db_came(err);
	if (reply == NULL)
		return;
	got.harvest = (int)reply->result;
	got.rows[0] = reply->row;
	if (reply->note != NULL)
		snprintf(got.note, sizeof(got.note), "%s", reply->note);
}

void got_count(void *ctx, const struct bf_error *err, int64_t count)
{
	(void)ctx;
	db_came(err);
	got.count = count;
}

void got_answers(void *ctx, const struct bf_error *err, const struct bf_answer *v, int n)
{
	(void)ctx;
	db_came(err);
	got.n = n;
	for (int i = 0; i < n && i < 4; i++) {
		got.answers[i] = v[i];
		got.answers[i].text = bf_arena_strdup(got.arena, v[i].text);
		got.answers[i].outcome = bf_arena_strdup(got.arena, v[i].outcome);
		got.answers[i].reason = bf_arena_strdup(got.arena, v[i].reason);
		got.answers[i].variant = bf_arena_strdup(got.arena, v[i].variant);
		got.answers[i].model = bf_arena_strdup(got.arena, v[i].model);
	}
}

void got_candidates(void *ctx, const struct bf_error *err, struct bf_candidate *v, int n)
{
	(void)ctx;
	db_came(err);
	got.n = n;
	for (int i = 0; i < n && i < DB_MAX; i++) {
		struct bf_candidate *c = &got.candidates[i];

		*c = v[i];
		c->book.title = bf_arena_strdup(got.arena, c->book.title);
		c->book.author = bf_arena_strdup(got.arena, c->book.author);
		c->book.isbn13 = bf_arena_strdup(got.arena, c->book.isbn13);
		c->title_key = bf_arena_strdup(got.arena, c->title_key);
		c->author_key = bf_arena_strdup(got.arena, c->author_key);
		c->answers_json = bf_arena_strdup(got.arena, c->answers_json);
		c->resolved_by = bf_arena_strdup(got.arena, c->resolved_by);
		for (int p = 0; p < BF_NPROVIDERS; p++)
			c->cached[p].record_json =
				bf_arena_strdup(got.arena, c->cached[p].record_json);
	}
}

void got_lost(void *ctx, const struct bf_error *err, const struct bf_month_ref *lost, int n)
{
	(void)ctx;
	db_came(err);
	got.n = n;
	for (int i = 0; i < n && i < DB_MAX; i++)
		got.lost[i] = lost[i];
}

void got_reserve(void *ctx, const struct bf_error *err, const struct bf_reserved *r)
{
	(void)ctx;
	db_came(err);
	if (r != NULL)
		got.reserved = *r;
}

void got_hello(void *ctx, const struct bf_error *err, const struct bf_hello *hello)
{
	(void)ctx;
	db_came(err);
	if (hello != NULL)
		got.hello = *hello;
}

void got_pulse(void *ctx, const struct bf_error *err, const struct bf_pulse *p)
{
	(void)ctx;
	db_came(err);
	if (p == NULL)
		return;
	got.pulse = *p;
	for (int i = 0; i < p->n_instances && i < 16; i++)
		got.instances[i] = p->instance_ids[i];
	for (int i = 0; i < p->n_orphans && i < 16; i++)
		got.orphans[i] = p->orphans[i];
	for (int i = 0; i < p->n_closures && i < 8; i++) {
		got.closures[i] = p->closures[i];
		got.closures[i].reason = bf_arena_strdup(got.arena, p->closures[i].reason);
	}
	for (int i = 0; i < p->n_lost && i < DB_MAX; i++)
		got.lost[i] = p->lost[i];
	got.pulse.pause_note = bf_arena_strdup(got.arena, p->pause_note);
}

void got_timer(void *ctx, const struct bf_error *err, int64_t last_run)
{
	(void)ctx;
	db_came(err);
	got.count = last_run;
}

void got_json(void *ctx, const struct bf_error *err, const char *json)
{
	(void)ctx;
	db_came(err);
	got.json = json != NULL ? strdup(json) : NULL;
}

void got_schema(void *ctx, const struct bf_error *err, enum bf_schema schema, const char *remedy)
{
	(void)ctx;
	db_came(err);
	got.schema = schema;
	snprintf(got.remedy, sizeof(got.remedy), "%s", remedy);
}

int64_t seed(struct node *n, int year_start, int year_end)
{
	const struct bf_seed s = { .year_start = year_start,
		.year_end = year_end,
		.batch_size = 20,
		.recent_from = 2020,
		.variant_recent = "contemporary-notable",
		.variant = "baseline" };

	bf_store_seed(n->store, &s, got_count, NULL);
	db_wait();
	assert_int_equal(got.err.class, BF_ERR_NONE);
	return got.count;
}

void claim(struct node *n, int limit, int low, int high, bool force)
{
	bf_store_claim(n->store, BF_CLAIM_SCHEDULE, limit, low, high, force, got_claim, NULL);
	db_wait();
}

struct bf_month_row claim_one(struct node *n)
{
	claim(n, 1, 1900, 2100, false);
	assert_int_equal(got.err.class, BF_ERR_NONE);
	assert_int_equal(got.n, 1);
	return got.rows[0];
}

enum bf_store_outcome step(
	struct node *n, const struct bf_month_row *row, int k, const char *from, const char *to)
{
	const struct bf_step s = { .ref = row->ref,
		.step = k,
		.from = from,
		.to = to,
		.event = "moved",
		.detail_json = "{\"k\":1}",
		.job_id = row->job_id };

	bf_store_step(n->store, &s, got_done, NULL);
	db_wait();
	assert_int_equal(got.err.class, BF_ERR_NONE);
	return got.outcome;
}

const char *isbn_of(int i)
{
	static char out[4][14];
	static int turn;
	char *to = out[turn++ & 3];
	int sum = 0;

	snprintf(to, 14, "978%09d0", i);
	for (int k = 0; k < 12; k++)
		sum += (to[k] - '0') * (k % 2 == 0 ? 1 : 3);
	to[12] = (char)('0' + (10 - sum % 10) % 10);
	return to;
}

enum bf_store_outcome save(struct node *n, const struct bf_month_row *row, int count)
{
	struct bf_new_candidate v[DB_MAX];
	struct bf_book books[DB_MAX];
	const struct bf_step s = { .ref = row->ref,
		.step = 2,
		.from = "saving",
		.to = "resolving",
		.event = "saved",
		.job_id = row->job_id };

	bf_arena_free(got.arena);
	got.arena = bf_arena_new();
	for (int i = 0; i < count; i++) {
		const char **author = bf_arena_alloc(got.arena, sizeof(*author));
		const char **key = bf_arena_alloc(got.arena, sizeof(*key));

		*author = bf_arena_printf(got.arena, "Author %d", i + 1);
		*key = bf_arena_printf(got.arena, "author %d", i + 1);
		books[i] = (struct bf_book){ .title = bf_arena_printf(got.arena, "Title %d", i + 1),
			.author = *author,
			.publisher = "A \"quoted\\ {house}",
			.format = "hardcover",
			.significance = "значение \xff",
			.year = row->ref.year,
			.generated_by = i % 2 == 0 ? 1u << BF_GEMINI : 1u << BF_XAI };
		v[i] = (struct bf_new_candidate){ .book = &books[i],
			.title_key = bf_arena_printf(got.arena, "title %d", i + 1),
			.author_key = *key,
			.authors = author,
			.author_keys = key,
			.n_authors = 1 };
	}
	bf_store_save(n->store, &s, v, count, got_done, NULL);
	db_wait();
	assert_string_equal(got.err.text, "");
	return got.outcome;
}

void resolve(struct node *n, const struct bf_month_row *row, int count, bool same)
{
	struct bf_resolution v[DB_MAX];
	struct bf_flush flush = {
		.flush_id_hi = bf_random_u64(), .flush_id_lo = bf_random_u64(), .resolutions = v
	};

	bf_store_candidates(n->store, &row->ref, got_candidates, NULL);
	db_wait();
	flush.n_resolutions = got.n;
	for (int i = 0; i < got.n; i++) {
		bool hit = i < count;

		v[i] = (struct bf_resolution){ .ref = row->ref,
			.candidate_id = got.candidates[i].id,
			.state = hit ? BF_CAND_RESOLVED : BF_CAND_NOT_FOUND,
			.confidence = hit ? 90 : 0,
			.resolved_by = hit ? "isbndb" : NULL,
			.answers_json = "{\"isbndb\":\"hit\"}",
			.record_json = hit ? "{\"title\":\"x\"}" : NULL };
		if (hit)
			memcpy(v[i].isbn13, isbn_of(same ? 7 : i), 14);
	}
	bf_store_flush(n->store, &flush, got_lost, NULL);
	db_wait();
	assert_string_equal(got.err.text, "");
}

enum bf_store_outcome complete(struct node *n, const struct bf_month_row *row, int k)
{
	const struct bf_step s = { .ref = row->ref,
		.step = k,
		.from = "queueing",
		.to = "completed",
		.event = "completed",
		.job_id = row->job_id };

	bf_store_complete(n->store, &s, 5, got_done, NULL);
	db_wait();
	assert_string_equal(got.err.text, "");
	return got.outcome;
}

enum bf_store_outcome fail_month(
	struct node *n, const struct bf_month_row *row, int k, struct bf_failure f)
{
	const struct bf_step s = { .ref = row->ref,
		.step = k,
		.from = "generating",
		.to = "retry",
		.event = "failed",
		.job_id = row->job_id };

	bf_store_fail(n->store, &s, &f, got_done, NULL);
	db_wait();
	assert_string_equal(got.err.text, "");
	return got.outcome;
}

void reserve(struct node *n, enum bf_provider_id provider, int limit, int keep, int units)
{
	const struct bf_reserve v = { .units = units };

	bf_store_reserve(n->store, provider, limit, keep, &v, 1, got_reserve, NULL);
	db_wait();
	assert_string_equal(got.err.text, "");
}
