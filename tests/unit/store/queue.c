/* The queue's calls, waited for. */
#include "queue.h"

struct taken took;

static const char *dup(const char *s)
{
	return bf_arena_strdup(got.arena, s);
}

static struct bf_texts dup_texts(const struct bf_texts *from)
{
	struct bf_texts to = { .n = from->n };

	to.v = bf_arena_alloc(got.arena, (from->n + 1) * sizeof(char *));
	for (size_t i = 0; i < from->n; i++)
		to.v[i] = dup(from->v[i]);
	return to;
}

/* ---- what came, copied ---- */
static void got_items(void *ctx, const struct bf_error *err, const struct bf_items *v)
{
	(void)ctx;
	db_came(err);
	memset(&took, 0, sizeof(took));
	took.items = *v;
	for (int i = 0; i < v->n && i < DB_MAX; i++) {
		struct bf_item *to = &took.item[i];
		const char **keys = bf_arena_alloc(
			got.arena, ((size_t)v->v[i].n_work_keys + 1) * sizeof(*keys));

		*to = v->v[i];
		to->key = dup(to->key);
		to->title = dup(to->title);
		to->author = dup(to->author);
		to->language = dup(to->language);
		to->sibling_of = dup(to->sibling_of);
		for (int k = 0; k < to->n_work_keys; k++)
			keys[k] = dup(to->work_keys[k]);
		to->work_keys = keys;
		for (int p = 0; p < BF_NPROVIDERS; p++)
			to->known[p].record_json = dup(to->known[p].record_json);
	}
}

static void got_items_lost(
	void *ctx, const struct bf_error *err, const struct bf_item_ref *v, int n)
{
	(void)ctx;
	db_came(err);
	memset(&took, 0, sizeof(took));
	took.n_lost = n;
	for (int i = 0; i < n && i < DB_MAX; i++)
		took.lost[i] = v[i];
}

static void copy_edition(struct bf_looked *to, const struct bf_looked *from)
{
	struct bf_edition *e;

	if (from->edition == NULL)
		return;
	e = bf_arena_alloc(got.arena, sizeof(*e));
	*e = *from->edition;
	e->isbn13 = dup(e->isbn13);
	e->title = dup(e->title);
	e->publisher = dup(e->publisher);
	e->provenance_json = dup(e->provenance_json);
	e->alternate_isbns = dup_texts(&e->alternate_isbns);
	e->contributors = dup_texts(&e->contributors);
	to->edition = e;
	to->edition_key = dup(from->edition_key);
	to->edition_seen = dup(from->edition_seen);
	to->edition_work_key = dup(from->edition_work_key);
}

static void copy_works(struct bf_looked *to, const struct bf_looked *from)
{
	struct bf_known_work *w =
		bf_arena_alloc(got.arena, ((size_t)from->n_works + 1) * sizeof(*w));

	for (int i = 0; i < from->n_works; i++) {
		w[i] = from->works[i];
		w[i].seen = dup(w[i].seen);
		w[i].known.authors = dup(w[i].known.authors);
		w[i].known.work.work_key = dup(w[i].known.work.work_key);
		w[i].known.work.title = dup(w[i].known.work.title);
		w[i].known.work.provenance_json = dup(w[i].known.work.provenance_json);
		w[i].known.work.subject_tags = dup_texts(&w[i].known.work.subject_tags);
	}
	to->works = w;
	to->n_works = from->n_works;
}

static int n_names; /* of the one book looked for */

static void got_looked(void *ctx, const struct bf_error *err, const char *looked_at,
	const struct bf_looked *v, int n)
{
	(void)ctx;
	db_came(err);
	memset(&took, 0, sizeof(took));
	took.looked_at = dup(looked_at);
	took.n_looked = n;
	for (int i = 0; i < n && i < DB_MAX; i++) {
		const char **keys =
			bf_arena_alloc(got.arena, ((size_t)n_names + 1) * sizeof(*keys));

		copy_edition(&took.looked[i], &v[i]);
		copy_works(&took.looked[i], &v[i]);
		for (int k = 0; k < n_names; k++)
			keys[k] = dup(v[i].author_keys[k]);
		took.looked[i].author_keys = keys;
	}
}

static void got_written(void *ctx, const struct bf_error *err, const enum bf_written *v, int n)
{
	(void)ctx;
	db_came(err);
	memset(&took, 0, sizeof(took));
	took.n_written = n;
	for (int i = 0; i < n && i < DB_MAX; i++)
		took.written[i] = v[i];
}

/* ---- the calls ---- */
const char *queue_isbn(const char *isbn13)
{
	return db_text(
		"INSERT INTO enrichment_queue (entity_type, entity_key, queued_by, max_retries)"
		" VALUES ('edition', '%s', 'backfilld', 3) RETURNING id",
		isbn13);
}

int take(struct node *n, enum bf_item_kind kind, int limit)
{
	bf_store_items_claim(n->store, kind, limit, 60000, got_items, NULL);
	db_wait();
	assert_string_equal(got.err.text, "");
	return took.items.n;
}

struct bf_item_ref take_one(struct node *n, const char *isbn13)
{
	queue_isbn(isbn13);
	for (int left = take(n, BF_ITEM_EDITION, DB_MAX) - 1; left >= 0; left--)
		if (strcmp(took.item[left].key, isbn13) == 0)
			return took.item[left].ref;
	fail_msg("%s was not to be had", isbn13);
	return (struct bf_item_ref){ .fence = 0 };
}

int fetched(struct node *n, uint64_t call, struct bf_item_ref ref, enum bf_provider_id provider,
	const char *isbn13, enum bf_fetch what, const char *record_json)
{
	const struct bf_fetched v = { .item = ref,
		.provider = provider,
		.isbn13 = isbn13,
		.what = what,
		.record_json = record_json,
		.reason = what == BF_FETCH_FAILED ? "503" : NULL,
		.latency_ms = 12 };

	bf_store_items_fetched(n->store, 7, call, &v, 1, got_items_lost, NULL);
	db_wait();
	assert_string_equal(got.err.text, "");
	return took.n_lost;
}

/* Ends one item. */
static int end(struct node *n, const struct bf_item_end *v)
{
	bf_store_items_end(n->store, v, 1, got_items_lost, NULL);
	db_wait();
	assert_string_equal(got.err.text, "");
	return took.n_lost;
}

int end_item(struct node *n, struct bf_item_ref ref, enum bf_item_how how, const char *reason,
	int64_t wait_ms)
{
	return end(n,
		&(struct bf_item_end){ .ref = ref,
			.how = how,
			.reason = reason,
			.waiting_for = how == BF_END_WAIT ? "isbndb" : NULL,
			.wait_ms = wait_ms });
}

int rekey(struct node *n, struct bf_item_ref ref, const char *isbn13)
{
	return end(n, &(struct bf_item_end){ .ref = ref, .how = BF_END_REKEY, .isbn13 = isbn13 });
}

struct bf_texts texts_of(const char *a, const char *b)
{
	static const char *list[32][2];
	static int turn;
	const char **v = list[turn++ & 31];

	v[0] = a;
	v[1] = b;
	return (struct bf_texts){ v, a == NULL ? 0 : b == NULL ? 1 : 2 };
}

const struct bf_looked *look(struct node *n, const struct bf_look *v)
{
	n_names = (int)v->author_names.n;
	bf_store_items_look(n->store, v, 1, got_looked, NULL);
	db_wait();
	assert_string_equal(got.err.text, "");
	assert_int_equal(took.n_looked, 1);
	return &took.looked[0];
}

enum bf_written write_batch(struct node *n, const struct bf_enrich_write *v)
{
	bf_store_items_write(n->store, v, got_written, NULL);
	db_wait();
	assert_string_equal(got.err.text, "");
	assert_int_equal(took.n_written, v->n_editions);
	return took.written[0];
}

const char *status_of(const char *isbn13)
{
	return db_text("SELECT status FROM enrichment_queue WHERE entity_key = '%s'", isbn13);
}
