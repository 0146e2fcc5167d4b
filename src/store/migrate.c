/*
 * migrate: applies the embedded migrations to a database, in order, each once.
 *
 * Promises: two at once are safe (a session's advisory lock; the second finds nothing left to do);
 * a migration is one transaction with its line in schema_migrations, except those that build
 * indexes concurrently, which are repeatable; a migration whose text changed after it was applied
 * stops everything. Waits for table locks only briefly, again and again, so that a migration never
 * makes a queue behind itself; losing the connection starts over where it was.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "call.h"
#include "migrations.h"

#define UNREACHABLE_US (UINT64_C(30) * 1000000)		/* contract: given up after 30 s */
#define BLOCKED_US (UINT64_C(60) * 1000000)
#define AGAIN_MS 500
#define SCRIPT_MAX (1u << 20)

struct migrate;
typedef void migrate_step(struct migrate *);

struct migrate {
	struct bf_loop *loop;
	struct bf_pg *pg;
	bool status_only, said_waiting;
	int exit_code;
	uint64_t quiet_since_us;	/* the last success, for the limits on waiting */
	migrate_step *step;  /* what is being done, to be repeated after a passing error */
	char (*applied)[65]; /* checksum of each of our migrations in the database; "" pending */
	bool *fresh;			/* applied by this run */
	size_t at;			/* migration at hand */
	struct bf_buf script; /* of a concurrent one: its statements, with what must go before them */
	const char *rest;		/* the part of script not yet sent */
};

static migrate_step step_facts, step_lock, step_table, step_applied, step_next, step_apply,
	step_invalid, step_build, step_record;

/* Ends the run. */
static void finish(struct migrate *m, int exit_code)
{
	m->exit_code = exit_code;
	bf_loop_stop(m->loop);
}

/* Repeats the step at hand. */
static void again(void *ctx)
{
	struct migrate *m = ctx;

	m->step(m);
}

/* Goes on with the next step, after a success. */
static void go(struct migrate *m, migrate_step *step)
{
	m->quiet_since_us = bf_now_us();
	m->step = step;
	step(m);
}

/* true when the statement succeeded; else the step is repeated for a while, or the run ends. */
static bool succeeded(struct migrate *m, const struct bf_error *err)
{
	uint64_t waited_us = bf_now_us() - m->quiet_since_us;

	if (err == NULL || err->class == BF_ERR_NONE)
		return true;
	if (strcmp(err->sqlstate, "55P03") == 0 && waited_us < BLOCKED_US) {
		bf_timer_start(m->loop, AGAIN_MS, again, m);
		return false;
	}
	if (err->class == BF_ERR_RETRY && waited_us < UNREACHABLE_US) {
		/* with a lost session its lock is gone, too */
		if (m->step != step_facts)
			m->step = step_lock;
		bf_timer_start(m->loop, AGAIN_MS, again, m);
		return false;
	}
	fprintf(stderr, "migrate: %s\n", err->text);
	finish(m, err->class == BF_ERR_RETRY || err->class == BF_ERR_CONFIG ? 3 : 1);
	return false;
}

/* Our migration of that number; store_n_migrations when we have none. */
static size_t by_number(int64_t number)
{
	size_t k = 0;

	while (k < store_n_migrations && store_migrations[k].number != number)
		k++;
	return k;
}

/* One line per migration, and those of a newer program at the end. */
static void print_lines(const struct migrate *m, const PGresult *r)
{
	for (size_t k = 0; k < store_n_migrations; k++) {
		const struct store_migration *v = &store_migrations[k];
		const char *state = "applied";

		if (m->applied[k][0] == '\0')
			state = "pending";
		else if (strcmp(m->applied[k], v->checksum) != 0)
			state = "CHANGED";
		else if (m->fresh[k])
			state = "applied now";
		printf("%-42s %-12s %.12s\n", v->name, state, v->checksum);
	}
	for (int i = 0; r != NULL && i < PQntuples(r); i++)
		if (by_number(call_int(r, i, "number")) == store_n_migrations)
			printf("%03" PRId64 "%-39s %-12s %.12s\n", call_int(r, i, "number"),
				" (of a newer program)", "applied", call_text(r, i, "checksum"));
	fflush(stdout);
}

/* Is there a list of migrations, and is this a database we can work with? */
static void facts_done(void *ctx, const struct bf_error *err, PGresult *const *results, int n)
{
	struct migrate *m = ctx;
	const char *encoding;

	if (!succeeded(m, err))
		return;
	encoding = n > 0 ? call_text(results[0], 0, "encoding") : NULL;
	if (encoding == NULL || strcmp(encoding, "UTF8") != 0) {
		fprintf(stderr,
			"migrate: the database's encoding is %s; create it with ENCODING 'UTF8'\n",
			encoding != NULL ? encoding : "unknown");
		finish(m, 1);
	} else if (!m->status_only) {
		go(m, step_lock);
	} else if (call_bool(results[0], 0, "migrated")) {
		go(m, step_applied);
	} else {
		print_lines(m, NULL);
		finish(m, 0);
	}
}

static void step_facts(struct migrate *m)
{
	bf_pg_query(m->pg, &sql_migrate_facts, NULL, facts_done, m);
}

/* Another migration may be at work: waited for, however long it takes. */
static void lock_done(void *ctx, const struct bf_error *err, PGresult *const *results, int n)
{
	struct migrate *m = ctx;

	if (!succeeded(m, err))
		return;
	if (n > 0 && call_bool(results[0], 0, "ok")) {
		go(m, step_table);
		return;
	}
	if (!m->said_waiting)
		fprintf(stderr, "migrate: waiting for another migration of this database\n");
	m->said_waiting = true;
	m->quiet_since_us = bf_now_us();
	bf_timer_start(m->loop, AGAIN_MS, again, m);
}

static void step_lock(struct migrate *m)
{
	bf_pg_query(m->pg, &sql_migrate_lock, NULL, lock_done, m);
}

static void table_done(void *ctx, const struct bf_error *err, PGresult *const *results, int n)
{
	struct migrate *m = ctx;

	(void)results;
	(void)n;
	if (succeeded(m, err))
		go(m, step_applied);
}

static void step_table(struct migrate *m)
{
	bf_pg_script(m->pg,
		"SET client_min_messages = warning; SET statement_timeout = 0;"
		" SET lock_timeout = '5s';"
		" CREATE TABLE IF NOT EXISTS schema_migrations ("
		" number integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,"
		" applied_at timestamptz NOT NULL DEFAULT now(),"
		" applied_by text NOT NULL DEFAULT current_user)",
		table_done, m);
}

/* What has been applied; a changed text stops here. */
static void applied_done(void *ctx, const struct bf_error *err, PGresult *const *results, int n)
{
	struct migrate *m = ctx;
	const PGresult *r;
	bool changed = false;

	if (!succeeded(m, err) || n < 1)
		return;
	r = results[0];
	memset(m->applied, 0, store_n_migrations * sizeof(*m->applied));
	for (int i = 0; i < PQntuples(r); i++) {
		size_t k = by_number(call_int(r, i, "number"));

		if (k == store_n_migrations)
			continue;
		call_copy(m->applied[k], sizeof(m->applied[k]), r, i, "checksum");
		changed = changed || strcmp(m->applied[k], store_migrations[k].checksum) != 0;
	}
	if (m->status_only || changed) {
		print_lines(m, r);
		if (changed)
			fprintf(stderr,
				"migrate: a migration was applied with another text than"
				" this program's\n");
		finish(m, changed ? 1 : 0);
		return;
	}
	go(m, step_next);
}

static void step_applied(struct migrate *m)
{
	bf_pg_query(m->pg, &sql_schema_applied, NULL, applied_done, m);
}

/* The first that is pending. */
static void step_next(struct migrate *m)
{
	for (m->at = 0; m->at < store_n_migrations && m->applied[m->at][0] != '\0'; m->at++)
		;
	if (m->at == store_n_migrations) {
		print_lines(m, NULL);
		finish(m, 0);
		return;
	}
	go(m, store_migrations[m->at].concurrent ? step_invalid : step_apply);
}

/* The line that says so; name and checksum are constants of this program. */
static void add_record(struct bf_buf *b, const struct store_migration *v)
{
	bf_buf_addf(b,
		"INSERT INTO schema_migrations (number, name, checksum) VALUES (%d, '%s', '%s')",
		v->number, v->name, v->checksum);
}

/* The migration at hand is in the database. */
static void apply_done(void *ctx, const struct bf_error *err, PGresult *const *results, int n)
{
	struct migrate *m = ctx;
	const char *checksum = store_migrations[m->at].checksum;

	(void)results;
	(void)n;
	if (!succeeded(m, err))
		return;
	memcpy(m->applied[m->at], checksum, strlen(checksum) + 1);
	m->fresh[m->at] = true;
	go(m, step_next);
}

/* The whole file and its line in one string: one transaction. */
static void step_apply(struct migrate *m)
{
	const struct store_migration *v = &store_migrations[m->at];
	struct bf_buf b;

	bf_buf_init(&b, SCRIPT_MAX);
	bf_buf_adds(&b, "SET lock_timeout = '5s';\n");
	bf_buf_adds(&b, v->sql);
	bf_buf_adds(&b, "\n;\n");
	add_record(&b, v);
	bf_pg_script(m->pg, b.data, apply_done, m);
	bf_buf_release(&b);
}

/* Half-made indexes of an earlier try are dropped before. A concurrent build waits for the
 * transactions that are older than it, but nobody waits for it: it has no lock timeout. */
static void invalid_done(void *ctx, const struct bf_error *err, PGresult *const *results, int n)
{
	struct migrate *m = ctx;

	if (!succeeded(m, err))
		return;
	bf_buf_clear(&m->script);
	bf_buf_adds(&m->script, "SET lock_timeout = 0;\n");
	for (int i = 0; n > 0 && i < PQntuples(results[0]); i++)
		bf_buf_addf(&m->script, "DROP INDEX CONCURRENTLY IF EXISTS %s;\n",
			call_text(results[0], i, "name"));
	bf_buf_adds(&m->script, store_migrations[m->at].sql);
	m->rest = m->script.data;
	go(m, step_build);
}

static void step_invalid(struct migrate *m)
{
	const char *params[1] = { store_migrations[m->at].sql };

	bf_pg_query(m->pg, &sql_migrate_invalid, params, invalid_done, m);
}

/* The next statement of *rest without its comment lines, in out; false at the end. A statement ends
 * at a semicolon at the end of a line. */
static bool next_statement(const char **rest, struct bf_buf *out)
{
	bf_buf_clear(out);
	while (**rest != '\0') {
		size_t len = strcspn(*rest, "\n");
		bool comment = strncmp(*rest, "--", 2) == 0,
		     ends = !comment && len > 0 && (*rest)[len - 1] == ';';

		if (!comment && len > 0) {
			bf_buf_add(out, *rest, ends ? len - 1 : len);
			bf_buf_adds(out, "\n");
		}
		*rest += len + ((*rest)[len] == '\n');
		if (ends)
			return true;
	}
	return out->len > 0;
}

/* A build that failed in passing is looked at again with all others: the finished ones cost
 * nothing. */
static void build_done(void *ctx, const struct bf_error *err, PGresult *const *results, int n)
{
	struct migrate *m = ctx;

	(void)results;
	(void)n;
	m->step = step_invalid;
	if (succeeded(m, err))
		go(m, step_build);
}

/* One statement after the other, each for itself. */
static void step_build(struct migrate *m)
{
	struct bf_buf b;

	bf_buf_init(&b, SCRIPT_MAX);
	if (next_statement(&m->rest, &b))
		bf_pg_script(m->pg, b.data, build_done, m);
	else
		go(m, step_record);
	bf_buf_release(&b);
}

static void step_record(struct migrate *m)
{
	struct bf_buf b;

	bf_buf_init(&b, SCRIPT_MAX);
	add_record(&b, &store_migrations[m->at]);
	bf_pg_script(m->pg, b.data, apply_done, m);
	bf_buf_release(&b);
}

int bf_store_migrate(const char *conninfo, bool status_only)
{
	struct migrate m = { .status_only = status_only,
		.exit_code = 1,
		.quiet_since_us = bf_now_us(),
		.step = step_facts };
	const struct bf_pg_config config = { .conninfo = conninfo,
		.application_name = "backfilld migrate",
		.sessions = 1,
		.connect_timeout_ms = 5000 };

	m.loop = bf_loop_new();
	if (m.loop == NULL) {
		fprintf(stderr, "migrate: the event loop does not start: %s\n", strerror(errno));
		return 1;
	}
	m.applied = bf_xcalloc(store_n_migrations, sizeof(*m.applied));
	m.fresh = bf_xcalloc(store_n_migrations, sizeof(*m.fresh));
	bf_buf_init(&m.script, SCRIPT_MAX);
	m.pg = bf_pg_new(m.loop, &config);
	step_facts(&m);
	if (bf_loop_run(m.loop) != 0)
		m.exit_code = 1;
	bf_pg_free(m.pg);
	bf_loop_free(m.loop);
	bf_buf_release(&m.script);
	free(m.applied);
	free(m.fresh);
	return m.exit_code;
}
