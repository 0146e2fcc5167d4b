/*
 * view: what is shown (JSON that PostgreSQL makes), what is thrown away after its time, and whether
 * the database is one this program can work with.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "call.h"
#include "migrations.h"

/* A call that answers with JSON. */
static struct call *json_call(struct bf_store *s, bf_store_json_done *done, void *ctx)
{
	struct call *c = call_new(s, call_read_json, ctx);

	c->tell.json = done;
	return c;
}

struct bf_op *bf_store_stats_json(struct bf_store *s, bf_store_json_done *done, void *ctx)
{
	struct params p;

	params_init(&p);
	return call_query(json_call(s, done, ctx), s->pool, &sql_stats_json, &p);
}

struct bf_op *bf_store_months_json(struct bf_store *s, bf_store_json_done *done, void *ctx)
{
	struct params p;

	params_init(&p);
	return call_query(json_call(s, done, ctx), s->pool, &sql_months_json, &p);
}

struct bf_op *bf_store_month_json(
	struct bf_store *s, int year, int month, bf_store_json_done *done, void *ctx)
{
	struct params p;

	params_init(&p);
	params_int(&p, year);
	params_int(&p, month);
	return call_query(json_call(s, done, ctx), s->pool, &sql_month_json, &p);
}

struct bf_op *bf_store_job_json(
	struct bf_store *s, const char *job_id, bf_store_json_done *done, void *ctx)
{
	struct params p;

	params_init(&p);
	params_text(&p, job_id);
	return call_query(json_call(s, done, ctx), s->pool, &sql_job_json, &p);
}

void call_limits(struct params *p, const struct bf_quota_limits *limits)
{
	params_open(p);
	for (int i = 0; i < BF_NPROVIDERS; i++)
		params_item_text(p, bf_provider_names[i]);
	params_close(p);
	params_open(p);
	for (int i = 0; i < BF_NPROVIDERS; i++)
		params_item_int(p, limits->daily_limit[i]);
	params_close(p);
	params_open(p);
	for (int i = 0; i < BF_NPROVIDERS; i++)
		params_item_int(p, limits->reserve[i]);
	params_close(p);
}

struct bf_op *bf_store_quota_json(struct bf_store *s, const struct bf_quota_limits *limits,
	bf_store_json_done *done, void *ctx)
{
	struct params p;

	params_init(&p);
	call_limits(&p, limits);
	return call_query(json_call(s, done, ctx), s->pool, &sql_quota_json, &p);
}

struct bf_op *bf_store_prune(
	struct bf_store *s, const struct bf_retention *r, bf_store_count_done *done, void *ctx)
{
	struct call *c = call_new(s, call_read_count, ctx);
	struct params p, none;

	c->tell.count = done;
	params_init(&p);
	params_int(&p, r->events_ms);
	params_int(&p, r->answers_ms);
	params_int(&p, r->enrichment_log_ms);
	params_int(&p, r->api_usage_ms);
	params_int(&p, r->audit_ms);
	params_int(&p, r->job_status_ms);
	params_init(&none);
	return call_pair(c, s->pool, &sql_prune, &p, &sql_usage_rollup, &none);
}

/* What a refused statement says about the schema. */
static enum bf_schema schema_of_error(const struct bf_error *err, const char **remedy)
{
	static const struct {
		const char *sqlstate;
		enum bf_schema schema;
		const char *remedy;
	} table[] = {
		{ "42P01", BF_SCHEMA_BEHIND, "run: backfilld migrate" },
		{ "3F000", BF_SCHEMA_BEHIND, "run: backfilld migrate" },
		{ "42501", BF_SCHEMA_NO_RIGHTS,
			"as the owner: GRANT SELECT ON schema_migrations TO this role" },
		{ "26000", BF_SCHEMA_POOLED,
			"connect directly, or let the pooler use session mode" },
		{ "42P05", BF_SCHEMA_POOLED,
			"connect directly, or let the pooler use session mode" },
	};

	for (size_t i = 0; i < BF_COUNT(table); i++) {
		if (strcmp(err->sqlstate, table[i].sqlstate) == 0) {
			*remedy = table[i].remedy;
			return table[i].schema;
		}
	}
	return BF_SCHEMA_OK;
}

/* Are all migrations of this program in the list, unchanged? Newer ones do no harm. */
static enum bf_schema compare_migrations(struct call *c, const PGresult *r, const char **remedy)
{
	for (size_t k = 0; k < store_n_migrations; k++) {
		const struct store_migration *m = &store_migrations[k];
		const char *checksum = NULL;

		for (int i = 0; i < PQntuples(r) && checksum == NULL; i++)
			if (call_int(r, i, "number") == m->number)
				checksum = call_text(r, i, "checksum");
		if (checksum == NULL) {
			*remedy = bf_arena_printf(c->arena,
				"migration %s is missing; run: backfilld migrate", m->name);
			return BF_SCHEMA_BEHIND;
		}
		if (strcmp(checksum, m->checksum) != 0) {
			*remedy = bf_arena_printf(c->arena,
				"migration %s was applied with another text; "
				"run: backfilld migrate --status",
				m->name);
			return BF_SCHEMA_CHANGED;
		}
	}
	*remedy = "";
	return BF_SCHEMA_OK;
}

/* Judges the facts, worst first. */
static enum bf_schema judge(struct call *c, PGresult *const *results, const char **remedy)
{
	const PGresult *facts = results[0], *rights = results[1];
	const char *encoding = call_text(facts, 0, "encoding"), *mark = call_text(facts, 0, "mark");
	enum bf_schema schema;

	if (encoding == NULL || strcmp(encoding, "UTF8") != 0) {
		*remedy = bf_arena_printf(c->arena,
			"the database's encoding is %s; create it with ENCODING 'UTF8'",
			encoding != NULL ? encoding : "unknown");
		return BF_SCHEMA_NOT_UTF8;
	}
	if (c->store->pooled || (mark != NULL && mark[0] != '\0')) {
		*remedy = "a pooler in transaction mode stands between; connect directly, "
			  "or let it use session mode";
		return BF_SCHEMA_POOLED;
	}
	schema = compare_migrations(c, results[2], remedy);
	if (schema == BF_SCHEMA_OK && PQntuples(rights) > 0) {
		*remedy = bf_arena_printf(c->arena, "as the owner: GRANT %s TO %s%s",
			call_text(rights, 0, "missing"), call_text(facts, 0, "role"),
			PQntuples(rights) > 1 ? " (and more)" : "");
		return BF_SCHEMA_NO_RIGHTS;
	}
	return schema;
}

/*
 * The lock session gets its mark first, and only then the pool looks for one: at the same time a
 * pooler could have given them two connections, and not be noticed. It could also while others of
 * our sessions are just being set up: so this is done some times.
 */
struct check {
	struct bf_op op, *now;
	struct call *look;
	void *ctx;
	int rounds;
};

enum { CHECK_ROUNDS = 5 };

static void check_round(struct check *k, struct bf_store *s, bf_store_schema_done *done);

static void check_cancel(struct bf_op *op)
{
	struct check *k = bf_container_of(op, struct check, op);

	bf_op_cancel(k->now);
	free(k);
}

/* The answer of the check; a refusal that tells what the schema lacks is an answer, too. */
static void read_schema(struct call *c, const struct bf_error *err, PGresult *const *results, int n)
{
	struct check *k = c->ctx;
	void *ctx = k->ctx;
	enum bf_schema schema = BF_SCHEMA_OK;
	const char *remedy = "";


	if (err != NULL) {
		schema = schema_of_error(err, &remedy);
		if (schema != BF_SCHEMA_OK)
			err = NULL;
	} else if (n == 3) {
		schema = judge(c, results, &remedy);
	}
	if (err == NULL && schema == BF_SCHEMA_OK && ++k->rounds < CHECK_ROUNDS) {
		check_round(k, c->store, c->tell.schema);
		return;
	}
	free(k);
	c->tell.schema(ctx, err, schema, remedy);
}

/* The lock session has its mark; one that was there before and is not ours is a pooler's doing. */
static void read_mark(struct call *c, const struct bf_error *err, PGresult *const *results, int n)
{
	const struct bf_pg_call calls[] = {
		{ &sql_schema_facts, NULL },
		{ &sql_schema_rights, NULL },
		{ &sql_schema_applied, NULL },
	};
	const char *before = err == NULL && n > 0 ? call_text(results[0], 0, "before") : NULL;
	struct check *k = c->ctx;

	if (before != NULL && before[0] != '\0' && strcmp(before, c->store->mark) != 0)
		c->store->pooled = true;
	if (err != NULL && err->class == BF_ERR_CANCELLED)	/* the sessions are being closed */
		read_schema(k->look, err, NULL, 0);
	else
		k->now = call_batch(k->look, c->store->pool, calls, BF_COUNT(calls));
}

static void check_round(struct check *k, struct bf_store *s, bf_store_schema_done *done)
{
	struct params p;

	k->look = call_new(s, read_schema, k);
	k->look->tell.schema = done;
	params_init(&p);
	params_text(&p, s->mark);
	k->now = call_query(call_new(s, read_mark, k), s->locks, &sql_session_mark, &p);
}

struct bf_op *bf_store_check_schema(struct bf_store *s, bf_store_schema_done *done, void *ctx)
{
	struct check *k = bf_xcalloc(1, sizeof(*k));

	k->op.cancel = check_cancel;
	k->ctx = ctx;
	check_round(k, s, done);
	return &k->op;
}
