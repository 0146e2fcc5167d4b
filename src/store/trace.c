/*
 * trace: what operators see of enrichment and do to its queue. The JSON is made by PostgreSQL; here
 * the question is put into parameters.
 */
#include "call.h"

/* A call that answers with JSON. */
static struct call *json_call(struct bf_store *s, bf_store_json_done *done, void *ctx)
{
	struct call *c = call_new(s, call_read_json, ctx);

	c->tell.json = done;
	return c;
}

/* Every way in which an ISBN may stand as a key, the plain one first; NULL for none. */
static void isbn_params(struct params *p, const char *isbn13)
{
	char spellings[BF_ISBN_SPELLINGS][18], isbn10[11];

	if (isbn13 == NULL) {
		params_null(p);
		return;
	}
	bf_isbn_spellings(isbn13, spellings);
	params_open(p);
	for (int i = 0; i < BF_ISBN_SPELLINGS; i++)
		params_item_text(p, spellings[i]);
	if (bf_isbn10_from13(isbn13, isbn10))
		params_item_text(p, isbn10);
	params_close(p);
}

struct bf_op *bf_store_book_json(struct bf_store *s, const char *isbn13, const char *work_key,
	bf_store_json_done *done, void *ctx)
{
	struct params p;

	params_init(&p);
	params_text(&p, isbn13);
	isbn_params(&p, isbn13);
	params_text(&p, work_key);
	return call_query(json_call(s, done, ctx), s->pool, &sql_book_json, &p);
}

/* Which items are meant, four parameters; the status is the statement's own. */
static void filter_params(struct params *p, const struct bf_item_filter *f)
{
	params_text(p, f->reason);
	params_text(p, f->provider);
	params_int(p, f->year);
	params_int(p, f->month);
}

struct bf_op *bf_store_items_json(struct bf_store *s, const struct bf_item_filter *f, int limit,
	const char *after_id, bf_store_json_done *done, void *ctx)
{
	struct params p;

	params_init(&p);
	params_text(&p, f->status);
	filter_params(&p, f);
	params_int(&p, limit);
	params_id(&p, after_id);
	return call_query(json_call(s, done, ctx), s->pool, &sql_items_json, &p);
}

struct bf_op *bf_store_redrive(struct bf_store *s, const struct bf_item_filter *f, bool dry_run,
	int limit, bf_store_json_done *done, void *ctx)
{
	struct params p;

	params_init(&p);
	filter_params(&p, f);
	params_int(&p, limit);
	params_bool(&p, dry_run);
	params_text(&p, s->instance);
	return call_query(json_call(s, done, ctx), s->pool, &sql_redrive, &p);
}

struct bf_op *bf_store_adopt(struct bf_store *s, bool dry_run, int limit, int max_retries,
	bf_store_json_done *done, void *ctx)
{
	struct params p;

	params_init(&p);
	params_bool(&p, dry_run);
	params_int(&p, limit);
	params_int(&p, max_retries);
	return call_query(json_call(s, done, ctx), s->pool, &sql_adopt, &p);
}
