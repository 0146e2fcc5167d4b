/*
 * write: one batch's editions and works go into the catalogue, and its items end, in one transaction.
 * The batch travels once, as one JSON document; sql/write.sql tells how the statements share it.
 */
#include "call.h"
#include <string.h>

#define BATCH_MAX (48u << 20)

/* ---- the batch as JSON ---- */
static void put_text(struct bf_jw *w, const char *key, const char *text)
{
	if (text == NULL)
		return;
	bf_jw_key(w, key);
	bf_jw_str(w, text);
}

static void put_int(struct bf_jw *w, const char *key, int64_t v)
{
	bf_jw_key(w, key);
	bf_jw_int(w, v);
}

/* A number of which 0 means that nobody knows it. */
static void put_known(struct bf_jw *w, const char *key, int v)
{
	if (v != 0)
		put_int(w, key, v);
}

/* A list; an empty one is left out, so that what the row has stays. */
static void put_texts(struct bf_jw *w, const char *key, const struct bf_texts *list)
{
	if (list->n == 0)
		return;
	bf_jw_key(w, key);
	bf_jw_arr(w);
	for (size_t i = 0; i < list->n; i++)
		bf_jw_str(w, list->v[i]);
	bf_jw_end_arr(w);
}

/* An object already written; whatever jsonb would not take is left out. */
static void put_object(struct bf_jw *w, const char *key, const char *json)
{
	struct bf_error err;
	struct bf_json *doc;

	if (json == NULL || !params_jsonb_takes(json))
		return;
	doc = bf_json_parse(json, strlen(json), &bf_json_limits_default, false, &err);
	if (doc == NULL)
		return;
	if (bf_json_type(bf_json_root(doc)) == BF_J_OBJECT) {
		bf_jw_key(w, key);
		bf_jw_raw(w, json, strlen(json));
	}
	bf_json_free(doc);
}

/* The columns of an edition, each under the name of its field. */
static void put_edition(struct bf_jw *w, const struct bf_edition *e)
{
	put_text(w, "title", e->title);
	put_text(w, "subtitle", e->subtitle);
	put_text(w, "publisher", e->publisher);
	put_text(w, "publication_date", e->publication_date);
	put_text(w, "format", e->format);
	put_text(w, "language", e->language);
	put_text(w, "description", e->description);
	put_text(w, "cover_large", e->cover_large);
	put_text(w, "cover_medium", e->cover_medium);
	put_text(w, "cover_small", e->cover_small);
	put_text(w, "cover_source", e->cover_source);
	put_text(w, "openlibrary_edition_id", e->openlibrary_edition_id);
	put_text(w, "primary_provider", e->primary_provider);
	put_known(w, "page_count", e->page_count);
	put_int(w, "quality", e->quality);
	put_int(w, "completeness", e->completeness);
	put_texts(w, "alternate_isbns", &e->alternate_isbns);
	put_texts(w, "amazon_asins", &e->amazon_asins);
	put_texts(w, "google_books_volume_ids", &e->google_books_volume_ids);
	put_texts(w, "goodreads_edition_ids", &e->goodreads_edition_ids);
	put_texts(w, "librarything_ids", &e->librarything_ids);
	put_texts(w, "contributors", &e->contributors);
	put_object(w, "provenance", e->provenance_json);
	put_texts(w, "updated", &e->updated);
}

/* One item with its edition. */
static void put_item(struct bf_jw *w, int i, const struct bf_edition_write *v)
{
	char isbn10[11];

	bf_jw_obj(w);
	put_int(w, "i", i);
	put_text(w, "id", v->item.id);
	put_int(w, "fence", v->item.fence);
	put_text(w, "isbn13", v->edition->isbn13);
	if (bf_isbn10_from13(v->edition->isbn13, isbn10))
		put_text(w, "isbn10", isbn10);
	put_text(w, "was_key", v->was_key);
	put_text(w, "seen", v->seen);
	put_int(w, "work", v->work);
	put_int(w, "confidence", v->confidence);
	put_text(w, "source", v->source);
	put_text(w, "primary_name", v->primary);
	put_text(w, "missing", v->missing);
	put_edition(w, v->edition);
	bf_jw_end_obj(w);
}

/* The people of a work, in order. */
static void put_authors(struct bf_jw *w, const struct bf_work_write *v)
{
	bf_jw_key(w, "authors");
	bf_jw_arr(w);
	for (size_t i = 0; i < v->author_names.n && i < v->author_keys.n; i++) {
		bf_jw_obj(w);
		put_int(w, "place", (int64_t)i);
		put_text(w, "name", v->author_names.v[i]);
		put_text(w, "author_key", v->author_keys.v[i]);
		bf_jw_end_obj(w);
	}
	bf_jw_end_arr(w);
	bf_jw_key(w, "absorbed");
	bf_jw_arr(w);
	for (size_t i = 0; i < v->absorbed.n; i++) {
		bf_jw_obj(w);
		put_text(w, "key", v->absorbed.v[i]);
		put_text(w, "seen", i < v->absorbed_seen.n ? v->absorbed_seen.v[i] : "");
		bf_jw_end_obj(w);
	}
	bf_jw_end_arr(w);
}

/* One work, its columns under the names of their fields. */
static void put_work(struct bf_jw *w, int k, const struct bf_work_write *v)
{
	const struct bf_work *o = v->work;

	bf_jw_obj(w);
	put_int(w, "k", k);
	put_text(w, "work_key", o->work_key);
	put_text(w, "seen", v->seen);
	bf_jw_key(w, "promoted");
	bf_jw_bool(w, v->promoted);
	put_authors(w, v);
	put_text(w, "title", o->title);
	put_text(w, "subtitle", o->subtitle);
	put_text(w, "description", o->description);
	put_text(w, "original_language", o->original_language);
	put_text(w, "cover_large", o->cover_large);
	put_text(w, "cover_medium", o->cover_medium);
	put_text(w, "cover_small", o->cover_small);
	put_text(w, "cover_source", o->cover_source);
	put_text(w, "openlibrary_work_id", o->openlibrary_work_id);
	put_text(w, "isbndb_id", o->isbndb_id);
	put_text(w, "primary_provider", o->primary_provider);
	put_known(w, "first_publication_year", o->first_publication_year);
	put_int(w, "quality", o->quality);
	put_int(w, "completeness", o->completeness);
	bf_jw_key(w, "synthetic");
	bf_jw_bool(w, o->synthetic);
	put_texts(w, "subject_tags", &o->subject_tags);
	put_texts(w, "goodreads_work_ids", &o->goodreads_work_ids);
	put_texts(w, "amazon_asins", &o->amazon_asins);
	put_texts(w, "google_books_volume_ids", &o->google_books_volume_ids);
	put_texts(w, "contributors", &o->contributors);
	put_object(w, "provenance", o->provenance_json);
	put_texts(w, "updated", &o->updated);
	bf_jw_end_obj(w);
}

/* The whole of it. */
static void put_batch(struct bf_buf *to, const struct bf_enrich_write *v)
{
	struct bf_jw w;

	bf_jw_init(&w, to);
	bf_jw_obj(&w);
	bf_jw_key(&w, "items");
	bf_jw_arr(&w);
	for (int i = 0; i < v->n_editions; i++)
		put_item(&w, i, &v->editions[i]);
	bf_jw_end_arr(&w);
	bf_jw_key(&w, "works");
	bf_jw_arr(&w);
	for (int i = 0; i < v->n_works; i++)
		put_work(&w, i, &v->works[i]);
	bf_jw_end_arr(&w);
	bf_jw_end_obj(&w);
}

/* ---- the transaction ---- */
enum { W_LOCK, W_JUDGE, W_WORKS, W_EDITIONS, W_ABSORB, W_ITEMS, W_RECOUNT, W_N };

/* What became of each item, in the order given; one that is not told of was not written. */
static void read_written(
	struct call *c, const struct bf_error *err, PGresult *const *results, int n)
{
	const PGresult *r = err == NULL && n > W_JUDGE ? results[W_JUDGE] : NULL;
	enum bf_written *v = bf_arena_alloc(c->arena, ((size_t)c->n + 1) * sizeof(*v));

	for (int i = 0; i < c->n; i++)
		v[i] = BF_WRITTEN_STALE;
	for (int i = 0; r != NULL && i < PQntuples(r); i++) {
		int64_t item = call_int(r, i, "i");
		const char *verdict = call_text(r, i, "verdict");

		if (item < 0 || item >= c->n || verdict == NULL)
			continue;
		if (strcmp(verdict, "write") == 0 || strcmp(verdict, "done") == 0)
			v[item] = BF_WRITTEN_DONE;
		else if (strcmp(verdict, "not_mine") == 0)
			v[item] = BF_WRITTEN_NOT_MINE;
	}
	c->tell.written(c->ctx, err, v, r != NULL ? c->n : 0);
}

/* The parameters of each statement. */
static void write_params(struct params p[W_N], const struct bf_store *s,
	const struct bf_enrich_write *v, const char *batch)
{
	for (int i = 0; i < W_N; i++)
		params_init(&p[i]);
	params_text(&p[W_JUDGE], batch);
	params_text(&p[W_JUDGE], v->looked_at);
	params_text(&p[W_WORKS], s->instance);
	params_text(&p[W_EDITIONS], s->instance);
	params_text(&p[W_ABSORB], s->instance);
	params_bool(&p[W_ITEMS], v->siblings);
	params_int(&p[W_ITEMS], v->max_retries);
	params_null(&p[W_RECOUNT]);
}

struct bf_op *bf_store_items_write(
	struct bf_store *s, const struct bf_enrich_write *v, bf_store_written_done *done, void *ctx)
{
	static const struct bf_pg_stmt *const stmts[W_N] = { &sql_write_lock, &sql_write_judge,
		&sql_write_works, &sql_write_editions, &sql_write_absorb, &sql_write_items,
		&sql_recount };
	struct call *c = call_new(s, read_written, ctx);
	struct bf_pg_call calls[W_N];
	struct params p[W_N];
	struct bf_op *op = NULL;
	struct bf_buf batch;

	c->tell.written = done;
	c->n = v->n_editions;
	bf_buf_init(&batch, BATCH_MAX);
	put_batch(&batch, v);
	write_params(p, s, v, batch.data);
	for (int i = 0; i < W_N; i++) {
		calls[i] = (struct bf_pg_call){ stmts[i], params_values(&p[i]) };
		if (batch.failed || calls[i].params == NULL || p[i].n != stmts[i]->n_params)
			calls[0].stmt = NULL;
	}
	op = calls[0].stmt == NULL ? call_refuse(c, "write") : call_batch(c, s->pool, calls, W_N);
	for (int i = 0; i < W_N; i++)
		params_release(&p[i]);
	bf_buf_release(&batch);
	return op;
}
