/*
 * books: a month's candidates, the cache of resolutions, and the flush that writes a second's worth
 * of both. Whole sets travel as arrays, so that a stage costs one statement however many books it
 * has.
 */
#include <stdlib.h>
#include <string.h>
#include "call.h"

/* What a record may take, as the contract says; a longer one is left out rather than cut into
 * broken JSON. */
#define RECORD_MAX 4096
#define ANSWERS_MAX 65536

static const char *const state_names[] = {
	[BF_CAND_NEW] = "new", [BF_CAND_RESOLVED] = "resolved", [BF_CAND_NOT_FOUND] = "not_found",
	[BF_CAND_UNAVAILABLE] = "unavailable", [BF_CAND_MERGED] = "merged",
};

/* generated_by as the text of an array inside the array. */
static const char *makers(unsigned by)
{
	static const char *const text[4] = { "{}", "{gemini}", "{xai}", "{gemini,xai}" };

	return text[by & 3u];
}

/* NULL for an empty text. */
static const char *or_null(const char *s)
{
	return s != NULL && s[0] != '\0' ? s : NULL;
}

/* The authors of all books, flattened: which book, which place, name, key. */
static void author_params(struct params *p, const struct bf_new_candidate *v, int n)
{
	params_open(p);
	for (int i = 0; i < n; i++)
		for (int a = 0; a < v[i].n_authors; a++)
			params_item_int(p, i + 1);
	params_close(p);
	params_open(p);
	for (int i = 0; i < n; i++)
		for (int a = 0; a < v[i].n_authors; a++)
			params_item_int(p, a);
	params_close(p);
	params_open(p);
	for (int i = 0; i < n; i++)
		for (int a = 0; a < v[i].n_authors; a++)
			params_item_text(p, v[i].authors[a]);
	params_close(p);
	params_open(p);
	for (int i = 0; i < n; i++)
		for (int a = 0; a < v[i].n_authors; a++)
			params_item_text(p, v[i].author_keys[a]);
	params_close(p);
}

/* The books themselves, thirteen columns. */
static void book_params(struct params *p, const struct bf_new_candidate *v, int n)
{
	TEXTS(p, n, v[i].book->title != NULL ? v[i].book->title : "");
	TEXTS(p, n, or_null(v[i].book->subtitle));
	TEXTS(p, n, v[i].book->author);
	TEXTS(p, n, or_null(v[i].book->publisher));
	TEXTS(p, n, or_null(v[i].book->format));
	TEXTS(p, n, or_null(v[i].book->language));
	params_open(p);
	for (int i = 0; i < n; i++) {
		if (v[i].book->year != 0)
			params_item_int(p, v[i].book->year);
		else
			params_item_text(p, NULL);
	}
	params_close(p);
	params_open(p);
	for (int i = 0; i < n; i++)
		params_item_bool(p, v[i].book->year_differs);
	params_close(p);
	TEXTS(p, n, or_null(v[i].book->significance));
	TEXTS(p, n, makers(v[i].book->generated_by));
	TEXTS(p, n, v[i].title_key != NULL ? v[i].title_key : "");
	TEXTS(p, n, v[i].author_key != NULL ? v[i].author_key : "");
	TEXTS(p, n, or_null(v[i].book->isbn13));
}

/* The outcome is the second statement's. */
static void read_saved(struct call *c, const struct bf_error *err, PGresult *const *results, int n)
{
	call_read_outcome(c, err, results, err == NULL && n > 1 ? 2 : n);
}

/* A month's books make works and authors: nobody may look for works meanwhile, and the authors'
 * counts follow. */
static struct bf_op *send_save(
	struct call *c, struct params *save, const struct bf_new_candidate *v, int n)
{
	struct bf_pg_call calls[3] = { { &sql_write_lock }, { &sql_save }, { &sql_recount } };
	struct params none, keys;
	struct bf_op *op;

	params_init(&none);
	params_init(&keys);
	params_open(&keys);
	for (int i = 0; i < n; i++)
		for (int a = 0; a < v[i].n_authors; a++)
			params_item_text(&keys, bf_arena_printf(c->arena, "name:%s",
				v[i].author_keys[a]));
	params_close(&keys);
	calls[0].params = params_values(&none);
	calls[1].params = params_values(save);
	calls[2].params = params_values(&keys);
	op = calls[1].params == NULL || calls[2].params == NULL ||
		save->n != sql_save.n_params ? call_refuse(c, "save")
		: call_batch(c, c->store->pool, calls, 3);
	params_release(&none);
	params_release(save);
	params_release(&keys);
	return op;
}

struct bf_op *bf_store_save(struct bf_store *s, const struct bf_step *step,
	const struct bf_new_candidate *v, int n, bf_store_done *done, void *ctx)
{
	struct call *c = call_new(s, read_saved, ctx);
	struct params p;

	c->tell.done = done;
	params_init(&p);
	params_int(&p, step->ref.year);
	params_int(&p, step->ref.month);
	params_int(&p, step->ref.fence);
	params_int(&p, step->step);
	params_text(&p, s->instance);
	params_id(&p, step->job_id);
	params_text(&p, step->from);
	params_text(&p, step->to);
	params_text(&p, step->event != NULL ? step->event : "saved");
	params_json(&p, step->detail_json);
	book_params(&p, v, n);
	author_params(&p, v, n);
	return send_save(c, &p, v, n);
}

/* The columns of sql_candidates, in its order: looked up by place because there are many rows. */
enum {
	C_ID,
	C_TITLE,
	C_SUBTITLE,
	C_AUTHOR,
	C_PUBLISHER,
	C_FORMAT,
	C_LANGUAGE,
	C_SIGNIFICANCE,
	C_YEAR,
	C_YEAR_DIFFERS,
	C_AI_ISBN,
	C_GENERATED_BY,
	C_TITLE_KEY,
	C_AUTHOR_KEY,
	C_ANSWERS,
	C_RESOLVED_BY,
	C_ISBN,
	C_CONFIDENCE,
	C_STATE,
	C_PROVIDER,
	C_CACHED_ISBN,
	C_CACHED_CONFIDENCE,
	C_CACHED_RECORD,
	C_N
};

/* A column's text, NULL for SQL NULL. */
static const char *at(const PGresult *r, int row, int col)
{
	return PQgetisnull(r, row, col) ? NULL : PQgetvalue(r, row, col);
}

/* A column's number, 0 for SQL NULL. */
static int64_t int_at(const PGresult *r, int row, int col)
{
	return PQgetisnull(r, row, col) ? 0 : strtoll(PQgetvalue(r, row, col), NULL, 10);
}

/* Copies an ISBN-13; "" for NULL. */
static void isbn_at(char out[14], const char *text)
{
	size_t n = text != NULL ? strnlen(text, 13) : 0;

	if (n > 0)
		memcpy(out, text, n);
	out[n] = '\0';
}

/* What the cache knows from one provider. */
static void read_cached(struct bf_candidate *v, const char *provider, const char *isbn13,
	int64_t confidence, const char *record)
{
	int id = provider != NULL ? bf_provider_by_name(provider) : -1;

	if (id < 0)
		return;
	v->cached[id].known = true;
	v->cached[id].hit = isbn13 != NULL;
	isbn_at(v->cached[id].isbn13, isbn13);
	v->cached[id].confidence = (int)confidence;
	v->cached[id].record_json = record;
}

/* One candidate without what is cached. */
static void read_candidate(struct bf_candidate *v, const PGresult *r, int i)
{
	const char *state = at(r, i, C_STATE), *by = at(r, i, C_GENERATED_BY);

	v->id = int_at(r, i, C_ID);
	v->book = (struct bf_book){
		.title = at(r, i, C_TITLE),
		.subtitle = at(r, i, C_SUBTITLE),
		.author = at(r, i, C_AUTHOR),
		.publisher = at(r, i, C_PUBLISHER),
		.format = at(r, i, C_FORMAT),
		.language = at(r, i, C_LANGUAGE),
		.significance = at(r, i, C_SIGNIFICANCE),
		.isbn13 = at(r, i, C_AI_ISBN),
		.year = (int)int_at(r, i, C_YEAR),
		.year_differs = PQgetvalue(r, i, C_YEAR_DIFFERS)[0] == 't',
	};
	if (by != NULL && strstr(by, "gemini") != NULL)
		v->book.generated_by |= 1u << BF_GEMINI;
	if (by != NULL && strstr(by, "xai") != NULL)
		v->book.generated_by |= 1u << BF_XAI;
	v->title_key = at(r, i, C_TITLE_KEY);
	v->author_key = at(r, i, C_AUTHOR_KEY);
	v->answers_json = at(r, i, C_ANSWERS);
	v->resolved_by = at(r, i, C_RESOLVED_BY);
	isbn_at(v->isbn13, at(r, i, C_ISBN));
	v->confidence = (int)int_at(r, i, C_CONFIDENCE);
	for (size_t k = 0; k < BF_COUNT(state_names); k++)
		if (state != NULL && strcmp(state, state_names[k]) == 0)
			v->state = (enum bf_cand_state)k;
}

/* A month's candidates; consecutive rows of one id are one candidate. */
static void read_candidates(
	struct call *c, const struct bf_error *err, PGresult *const *results, int n)
{
	const PGresult *r =
		err == NULL && n > 0 && PQnfields(results[0]) == C_N ? results[0] : NULL;
	int rows = r != NULL ? PQntuples(r) : 0, found = 0;
	struct bf_candidate *v = bf_arena_alloc(c->arena, (size_t)(rows + 1) * sizeof(*v));

	for (int i = 0; i < rows; i++) {
		if (found == 0 || v[found - 1].id != int_at(r, i, C_ID))
			read_candidate(&v[found++], r, i);
		read_cached(&v[found - 1], at(r, i, C_PROVIDER), at(r, i, C_CACHED_ISBN),
			int_at(r, i, C_CACHED_CONFIDENCE), at(r, i, C_CACHED_RECORD));
	}
	c->tell.candidates(c->ctx, err, v, found);
}

struct bf_op *bf_store_candidates(struct bf_store *s, const struct bf_month_ref *ref,
	bf_store_candidates_done *done, void *ctx)
{
	struct call *c = call_new(s, read_candidates, ctx);
	struct params p;

	c->tell.candidates = done;
	params_init(&p);
	params_int(&p, ref->year);
	params_int(&p, ref->month);
	return call_query(c, s->pool, &sql_candidates, &p);
}

/* Fills the asker's candidates with what is cached of them. */
static void read_cache(struct call *c, const struct bf_error *err, PGresult *const *results, int n)
{
	const PGresult *r = err == NULL && n > 0 ? results[0] : NULL;

	for (int i = 0; r != NULL && i < PQntuples(r); i++) {
		int64_t k = call_int(r, i, "index");

		if (k >= 0 && k < c->n)
			read_cached(&c->candidates[k], call_text(r, i, "provider"),
				call_text(r, i, "cached_isbn13"),
				call_int(r, i, "cached_confidence"),
				call_text(r, i, "cached_record"));
	}
	c->tell.done(c->ctx, err, BF_STORE_DONE);
}

struct bf_op *bf_store_cache_get(
	struct bf_store *s, struct bf_candidate *v, int n, bf_store_done *done, void *ctx)
{
	struct call *c = call_new(s, read_cache, ctx);
	struct params p;

	c->tell.done = done;
	c->candidates = v;
	c->n = n;
	params_init(&p);
	TEXTS(&p, n, v[i].title_key);
	TEXTS(&p, n, v[i].author_key);
	return call_query(c, s->pool, &sql_cache_get, &p);
}

/* A flush's resolutions, ten columns. */
static void resolution_params(struct params *p, const struct bf_resolution *v, int n)
{
	INTS(p, n, v[i].ref.year);
	INTS(p, n, v[i].ref.month);
	INTS(p, n, v[i].ref.fence);
	INTS(p, n, v[i].candidate_id);
	TEXTS(p, n, state_names[v[i].state]);
	TEXTS(p, n, v[i].state == BF_CAND_RESOLVED ? or_null(v[i].isbn13) : NULL);
	INTS(p, n, v[i].confidence);
	TEXTS(p, n, or_null(v[i].resolved_by));
	JSONS(p, n, v[i].answers_json, ANSWERS_MAX);
	JSONS(p, n, v[i].record_json, RECORD_MAX);
}

/* A flush's cache entries, seven columns. */
static void cache_params(struct params *p, const struct bf_cache_put *v, int n)
{
	TEXTS(p, n, bf_provider_names[v[i].provider]);
	TEXTS(p, n, v[i].title_key);
	TEXTS(p, n, v[i].author_key);
	TEXTS(p, n, or_null(v[i].isbn13));
	INTS(p, n, v[i].confidence);
	JSONS(p, n, v[i].record_json, RECORD_MAX);
	INTS(p, n, v[i].ttl_ms);
}

/* A flush's calls, eleven columns. */
static void usage_params(struct params *p, const struct bf_usage *v, int n)
{
	TEXTS(p, n, bf_provider_names[v[i].provider]);
	INTS(p, n, v[i].year);
	INTS(p, n, v[i].month);
	INTS(p, n, v[i].fence);
	INTS(p, n, v[i].calls);
	INTS(p, n, v[i].errors);
	INTS(p, n, v[i].units_sent);
	INTS(p, n, v[i].units_unused);
	INTS(p, n, v[i].tokens_in);
	INTS(p, n, v[i].tokens_out);
	params_open(p);
	for (int i = 0; i < n; i++)
		params_item_money(p, v[i].cost_usd);
	params_close(p);
}

/* Records that are kept by ISBN, four columns. */
static void record_params(struct params *p, const struct bf_record_put *v, int n)
{
	params_init(p);
	TEXTS(p, n, bf_provider_names[v[i].provider]);
	TEXTS(p, n, v[i].isbn13);
	TEXTS(p, n, or_null(v[i].for_isbn) != NULL ? v[i].for_isbn : v[i].isbn13);
	JSONS(p, n, v[i].record_json, RECORD_MAX);
}

/* Months that are lost; or those that are busy, for which nothing at all was written. */
static void read_flush(
	struct call *c, const struct bf_error *err, PGresult *const *results, int n)
{
	const PGresult *r = err == NULL && n > 0 ? results[0] : NULL;
	struct bf_error busy;

	if (r != NULL && PQntuples(r) > 0 && call_bool(r, 0, "busy")) {
		bf_error_set(&busy, BF_ERR_RETRY, "months locked by another session: %d",
			PQntuples(r));
		err = &busy;
	}
	call_tell_lost(c, err, r);
}

struct bf_op *bf_store_flush(
	struct bf_store *s, const struct bf_flush *f, bf_store_lost_done *done, void *ctx)
{
	struct call *c = call_new(s, read_flush, ctx);
	struct params p, q;

	c->tell.lost = done;
	params_init(&p);
	params_text(&p,
		bf_arena_printf(c->arena, "%016llx%016llx", (unsigned long long)f->flush_id_hi,
			(unsigned long long)f->flush_id_lo));
	params_text(&p, s->instance);
	resolution_params(&p, f->resolutions, f->n_resolutions);
	cache_params(&p, f->cache, f->n_cache);
	usage_params(&p, f->usage, f->n_usage);
	if (f->n_records == 0)
		return call_query(c, s->pool, &sql_flush, &p);
	record_params(&q, f->records, f->n_records);
	return call_pair(c, s->pool, &sql_flush, &p, &sql_records, &q);
}
