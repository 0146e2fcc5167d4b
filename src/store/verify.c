/*
 * verify: checks of what is stored against what it must be, and of the server around it. Each statement
 * gives rows of one form; here they become one list with true totals and at most VERIFY_MAX findings.
 */
#include "call.h"
#include "migrations.h"
#include <string.h>

#define VERIFY_MAX    500
#define VERIFY_CHECKS 64

/* All statements see the same state, and none of them could change it. */
static const struct bf_pg_stmt begin = { NULL, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY", 0 };
static const struct bf_pg_stmt commit = { NULL, "COMMIT", 0 };

/* A list being read. */
struct reading {
	struct bf_arena *arena;
	struct bf_check checks[VERIFY_CHECKS];
	struct bf_finding v[VERIFY_MAX];
	struct bf_findings out;
};

/* The check of that name, made at its first row; NULL when there are too many. */
static struct bf_check *check_of(struct reading *r, const char *name)
{
	for (int i = 0; i < r->out.n_checks; i++)
		if (strcmp(r->checks[i].name, name) == 0)
			return &r->checks[i];
	if (r->out.n_checks == VERIFY_CHECKS)
		return NULL;
	r->checks[r->out.n_checks].name = name;
	return &r->checks[r->out.n_checks++];
}

/* Totals come with each row of a check: those of the first one of a statement count. */
static void read_totals(struct reading *r, const PGresult *res)
{
	for (int i = 0; i < PQntuples(res); i++) {
		const char *name = call_text(res, i, "chk"),
			   *before = i > 0 ? call_text(res, i - 1, "chk") : NULL;
		struct bf_check *c = check_of(r, name);

		if (c == NULL || (before != NULL && strcmp(before, name) == 0))
			continue;
		c->checked += call_int(res, i, "checked");
		c->errors += call_int(res, i, "errors");
		c->warnings += call_int(res, i, "warnings");
	}
}

/* The findings of one severity, as many as there is room for. */
static void read_findings(struct reading *r, const PGresult *res, bool errors)
{
	for (int i = 0; i < PQntuples(res) && r->out.n < VERIFY_MAX; i++) {
		const char *severity = call_text(res, i, "severity");

		if (severity == NULL || (strcmp(severity, "error") == 0) != errors)
			continue;
		r->v[r->out.n++] = (struct bf_finding){
			.check = call_text(res, i, "chk"),
			.error = errors,
			.subject = call_text(res, i, "subject"),
			.text = call_text(res, i, "text"),
			.remedy = call_text(res, i, "remedy"),
		};
	}
}

/* All statements' rows: errors first, so that warnings never crowd them out. */
static void read_all(struct call *c, const struct bf_error *err, PGresult *const *results, int n)
{
	struct reading *r = bf_arena_alloc(c->arena, sizeof(*r));

	if (err != NULL || n == 0) {
		c->tell.findings(c->ctx, err, NULL);
		return;
	}
	r->out.checks = r->checks;
	r->out.v = r->v;
	r->out.year_low = (int)call_int(results[0], 0, "low");
	r->out.year_high = (int)call_int(results[0], 0, "high");
	r->out.db_wall_us = call_int(results[0], 0, "db_wall_us");
	for (int i = 0; i < n; i++)
		read_totals(r, results[i]);
	for (int i = 0; i < n; i++)
		read_findings(r, results[i], true);
	for (int i = 0; i < n; i++)
		read_findings(r, results[i], false);
	c->tell.findings(c->ctx, NULL, &r->out);
}

/* Verify's rows stand between the transaction's beginning and its end. */
static void read_verify(struct call *c, const struct bf_error *err, PGresult *const *results, int n)
{
	if (err != NULL || n < 3)
		read_all(c, err, NULL, 0);
	else
		read_all(c, NULL, results + 1, n - 2);
}

/* The years, which every statement has as its first two parameters. */
static void years(struct params *p, const struct bf_verify *ask)
{
	params_init(p);
	params_int(p, ask->year_low);
	params_int(p, ask->year_high);
}

struct bf_op *bf_store_verify(struct bf_store *s, const struct bf_verify *ask,
	bf_store_findings_done *done, void *ctx)
{
	static const struct bf_pg_stmt *const stmts[] = { &sql_verify_months, &sql_verify_books,
		&sql_verify_chain, &sql_verify_queue, &sql_verify_catalogue };
	struct bf_pg_call calls[BF_COUNT(stmts) + 2] = { [0] = { &begin, NULL },
		[BF_COUNT(stmts) + 1] = { &commit, NULL } };
	struct params p[BF_COUNT(stmts)];
	struct call *c = call_new(s, read_verify, ctx);
	struct bf_op *op;
	bool fine = true;

	c->tell.findings = done;
	for (size_t i = 0; i < BF_COUNT(stmts); i++)
		years(&p[i], ask);
	params_bool(&p[0], ask->asked);
	params_int(&p[0], ask->stuck_after_ms);
	params_int(&p[2], ask->events_ms);
	for (size_t i = 0; i < BF_COUNT(stmts); i++) {
		calls[i + 1] = (struct bf_pg_call){ stmts[i], params_values(&p[i]) };
		fine = fine && calls[i + 1].params != NULL && p[i].n == stmts[i]->n_params;
	}
	op = fine ? call_aside(c, ask->limit_ms, calls, (int)BF_COUNT(calls)) : call_refuse(c, "verify");
	for (size_t i = 0; i < BF_COUNT(stmts); i++)
		params_release(&p[i]);
	return op;
}

/* The word at s, which may be no longer than a name of PostgreSQL's. */
static size_t word_len(const char *s)
{
	return strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_");
}

/* Whether some later statement of the migrations drops the index. */
static bool is_dropped(const char *name, size_t len)
{
	static const char drop[] = "DROP INDEX CONCURRENTLY IF EXISTS ";

	for (size_t k = 0; k < store_n_migrations; k++) {
		const char *at = store_migrations[k].sql;

		while ((at = strstr(at, drop)) != NULL) {
			at += sizeof(drop) - 1;
			if (word_len(at) == len && strncmp(at, name, len) == 0)
				return true;
		}
	}
	return false;
}

/* The names of all indexes that the migrations leave behind. */
static void index_params(struct params *p, struct bf_arena *arena)
{
	static const char made[] = "IF NOT EXISTS ";

	params_open(p);
	for (size_t k = 0; k < store_n_migrations; k++) {
		const char *at = store_migrations[k].sql, *line;

		for (; (at = strstr(at, made)) != NULL; at += sizeof(made) - 1) {
			const char *name = at + sizeof(made) - 1;
			size_t len = word_len(name);

			line = at - (at - store_migrations[k].sql < 20 ? 0 : 20);
			line = strstr(line, "INDEX ");
			if (line != NULL && line < at && len > 0 && !is_dropped(name, len))
				params_item_text(p, bf_arena_strndup(arena, name, len));
		}
	}
	params_close(p);
}

struct bf_op *bf_store_doctor(
	struct bf_store *s, int connections, bf_store_findings_done *done, void *ctx)
{
	struct call *c = call_new(s, read_all, ctx);
	struct params p;

	c->tell.findings = done;
	params_init(&p);
	index_params(&p, c->arena);
	params_text(&p, BF_VERSION);
	params_int(&p, connections);
	TEXTS(&p, (int)store_n_columns, store_columns[i]);
	return call_query(c, s->pool, &sql_doctor, &p);
}
