/*
 * items: how the queue's items come into an instance's hands, what providers said of them, and every
 * end but the successful one. Promises that an item it hands out is in processing under a new fence.
 */
#include "call.h"
#include <string.h>

/* What a record may take; one that is longer is left out. */
#define RECORD_MAX 4096

static const char *const kind_names[] = {
	[BF_ITEM_EDITION] = "edition",
	[BF_ITEM_WORK] = "work",
};
static const char *const fetch_names[] = {
	[BF_FETCH_FOUND] = "found",
	[BF_FETCH_MISSING] = "missing",
	[BF_FETCH_FAILED] = "failed",
};
static const char *const end_names[] = {
	[BF_END_WAIT] = "wait",
	[BF_END_RETRY] = "retry",
	[BF_END_FAILED] = "failed",
	[BF_END_RELEASE] = "release",
	[BF_END_DONE] = "done",
	[BF_END_REKEY] = "rekey",
};

/* What providers are known to have said, a later one of the same provider over an earlier. */
static void read_known(struct call *c, struct bf_item *item, const char *json)
{
	struct bf_error err;
	struct bf_json *doc = json == NULL
		? NULL
		: bf_json_parse(json, strlen(json), &bf_json_limits_default, false, &err);
	struct bf_jval v;

	if (doc == NULL)
		return;
	for (v = bf_json_first(bf_json_root(doc)); bf_json_type(v); v = bf_json_next(v)) {
		const char *name = bf_json_str(bf_json_get(v, "provider"), c->arena);
		const char *at = bf_json_str(bf_json_get(v, "at"), c->arena);
		struct bf_jval record = bf_json_get(v, "record");
		int id = name != NULL ? bf_provider_by_name(name) : -1;
		struct bf_known_record *k;
		const char *raw;
		size_t len;

		if (id < 0)
			continue;
		k = &item->known[id];
		*k = (struct bf_known_record){ .known = true };
		bf_json_bool(bf_json_get(v, "found"), &k->found);
		if (bf_json_type(record) == BF_J_OBJECT) {
			raw = bf_json_raw(record, &len);
			k->record_json = bf_arena_strndup(c->arena, raw, len);
		}
		if (at != NULL && strlen(at) < sizeof(k->at))
			memcpy(k->at, at, strlen(at) + 1);
	}
	bf_json_free(doc);
}

/* The works an item may be about. */
static void read_work_keys(struct call *c, struct bf_item *item, const char *json)
{
	struct bf_error err;
	struct bf_json *doc = json == NULL
		? NULL
		: bf_json_parse(json, strlen(json), &bf_json_limits_default, false, &err);
	const char **keys;
	struct bf_jval v;

	if (doc == NULL)
		return;
	keys = bf_arena_alloc(c->arena, (bf_json_size(bf_json_root(doc)) + 1) * sizeof(*keys));
	for (v = bf_json_first(bf_json_root(doc)); bf_json_type(v); v = bf_json_next(v)) {
		const char *key = bf_json_str(v, c->arena);

		if (key != NULL)
			keys[item->n_work_keys++] = key;
	}
	item->work_keys = keys;
	bf_json_free(doc);
}

/* The items taken; one line without any when there is none. */
static void read_items(struct call *c, const struct bf_error *err, PGresult *const *results, int n)
{
	const PGresult *r = err == NULL && n > 0 ? results[0] : NULL;
	struct bf_items items = { .next_due_ms = -1 };
	struct bf_item *v;
	int rows;

	if (r == NULL || PQntuples(r) == 0) {
		c->tell.items(c->ctx, err, &items);
		return;
	}
	rows = call_text(r, 0, "id") != NULL ? PQntuples(r) : 0;
	v = bf_arena_alloc(c->arena, (size_t)(rows + 1) * sizeof(*v));
	for (int i = 0; i < rows; i++) {
		call_copy(v[i].ref.id, sizeof(v[i].ref.id), r, i, "id");
		v[i].ref.fence = call_int(r, i, "fence");
		v[i].kind = (enum bf_item_kind)c->n;
		v[i].key = call_text(r, i, "entity_key");
		v[i].retry_count = (int)call_int(r, i, "retry_count");
		v[i].max_retries = (int)call_int(r, i, "max_retries");
		v[i].title = call_text(r, i, "title");
		v[i].author = call_text(r, i, "author");
		v[i].language = call_text(r, i, "language");
		v[i].year = (int)call_int(r, i, "year");
		v[i].sibling_of = call_text(r, i, "sibling_of");
		read_work_keys(c, &v[i], call_text(r, i, "work_keys"));
		read_known(c, &v[i], call_text(r, i, "records"));
	}
	items.v = v;
	items.n = rows;
	items.paused = call_bool(r, 0, "paused");
	if (call_text(r, 0, "next_due_ms") != NULL)
		items.next_due_ms = call_int(r, 0, "next_due_ms");
	c->tell.items(c->ctx, NULL, &items);
}

struct bf_op *bf_store_items_claim(struct bf_store *s, enum bf_item_kind kind, int limit,
	int64_t lease_ms, bf_store_items_done *done, void *ctx)
{
	struct call *c = call_new(s, read_items, ctx);
	struct params p;

	c->tell.items = done;
	c->n = (int)kind;
	params_init(&p);
	params_text(&p, kind_names[kind]);
	params_int(&p, limit);
	params_int(&p, lease_ms);
	params_text(&p, s->instance);
	params_int(&p, s->owner_id);
	return call_query(c, s->pool, &sql_items_claim, &p);
}

/* Items that are no longer the caller's; a line without an id stands for none. */
static void read_lost(struct call *c, const struct bf_error *err, PGresult *const *results, int n)
{
	int rows = err == NULL && n > 0 ? PQntuples(results[0]) : 0, found = 0;
	struct bf_item_ref *lost = bf_arena_alloc(c->arena, (size_t)(rows + 1) * sizeof(*lost));

	for (int i = 0; i < rows; i++) {
		if (call_text(results[0], i, "id") == NULL)
			continue;
		call_copy(lost[found].id, sizeof(lost[found].id), results[0], i, "id");
		lost[found++].fence = call_int(results[0], i, "fence");
	}
	if (c->tell.items_lost != NULL)
		c->tell.items_lost(c->ctx, err, lost, found);
}

struct bf_op *bf_store_items_fetched(struct bf_store *s, uint64_t id_hi, uint64_t id_lo,
	const struct bf_fetched *v, int n, bf_store_items_lost_done *done, void *ctx)
{
	struct call *c = call_new(s, read_lost, ctx);
	struct params p;

	c->tell.items_lost = done;
	params_init(&p);
	params_text(&p,
		bf_arena_printf(c->arena, "%016llx%016llx", (unsigned long long)id_hi,
			(unsigned long long)id_lo));
	params_text(&p, s->instance);
	TEXTS(&p, n, v[i].item.id);
	INTS(&p, n, v[i].item.fence);
	TEXTS(&p, n, bf_provider_names[v[i].provider]);
	TEXTS(&p, n, v[i].isbn13);
	TEXTS(&p, n, fetch_names[v[i].what]);
	JSONS(&p, n, v[i].what == BF_FETCH_FOUND ? v[i].record_json : NULL, RECORD_MAX);
	TEXTS(&p, n, v[i].reason);
	INTS(&p, n, v[i].latency_ms);
	return call_query(c, s->pool, &sql_items_fetched, &p);
}

struct bf_op *bf_store_items_end(struct bf_store *s, const struct bf_item_end *v, int n,
	bf_store_items_lost_done *done, void *ctx)
{
	struct call *c = call_new(s, read_lost, ctx);
	struct params p;

	c->tell.items_lost = done;
	params_init(&p);
	params_text(&p, s->instance);
	TEXTS(&p, n, v[i].ref.id);
	INTS(&p, n, v[i].ref.fence);
	TEXTS(&p, n, end_names[v[i].how]);
	TEXTS(&p, n, v[i].reason);
	TEXTS(&p, n, v[i].waiting_for);
	TEXTS(&p, n, v[i].isbn13);
	INTS(&p, n, v[i].wait_ms > 0 ? v[i].wait_ms : 0);
	return call_query(c, s->pool, &sql_items_end, &p);
}

struct bf_op *bf_store_items_hurry(struct bf_store *s, bf_store_count_done *done, void *ctx)
{
	struct call *c = call_new(s, call_read_count, ctx);
	struct params p;

	c->tell.count = done;
	params_init(&p);
	return call_query(c, s->pool, &sql_items_hurry, &p);
}
