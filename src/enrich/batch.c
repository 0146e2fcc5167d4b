/*
 * A batch: the items of one claim, from taking to the last one's end. One turn does, for all items at once, whatever their states
 * call for: asking, looking, writing, ending.
 */
#include "machine.h"
#include <stdlib.h>
#include <string.h>

/* ---- copying what the claim told: its reply dies with the callback ---- */
static const char *const *copy_texts(struct bf_arena *arena, const char *const *texts, int n)
{
	const char **to = bf_arena_alloc(arena, ((size_t)n + 1) * sizeof *to);

	for (int i = 0; i < n; i++)
		to[i] = bf_arena_strdup(arena, texts[i]);
	return to;
}

static void copy_row(struct bf_arena *arena, struct bf_item *to, const struct bf_item *from)
{
	*to = *from;
	to->key = bf_arena_strdup(arena, from->key);
	to->title = bf_arena_strdup(arena, from->title);
	to->author = bf_arena_strdup(arena, from->author);
	to->language = bf_arena_strdup(arena, from->language);
	to->sibling_of = bf_arena_strdup(arena, from->sibling_of);
	to->work_keys = copy_texts(arena, from->work_keys, from->n_work_keys);
	for (int p = 0; p < BF_NPROVIDERS; p++)
		to->known[p].record_json = bf_arena_strdup(arena, from->known[p].record_json);
}

/* What the key is decides how the item begins. */
static void begin(struct item *it)
{
	enum bf_isbn_result read;

	if (it->batch->e->draining) { /* claimed just before */
		item_raise(it, IEV_RELEASE);
		return;
	}
	if (it->row.kind == BF_ITEM_WORK) {
		item_raise(it, IEV_TRY);
		return;
	}
	read = bf_isbn_canon(it->row.key, strlen(it->row.key), it->isbn13);
	if (read != BF_ISBN_OK)
		item_hopeless(it, "\"%.*s\" is not an ISBN", BF_CUT(it->row.key, 60));
	else if (strcmp(it->isbn13, it->row.key) != 0)
		item_raise(it, IEV_MISSPELT);
	else
		item_raise(it, IEV_ASK);
}

struct batch *batch_begin(struct bf_enrich *e, enum bf_item_kind kind, const struct bf_items *items)
{
	struct batch *b = bf_xcalloc(1, sizeof *b);
	struct item *it;

	b->e = e;
	b->kind = kind;
	b->arena = bf_arena_new();
	b->since_us = bf_now_us();
	TAILQ_INIT(&b->items);
	TAILQ_INIT(&b->asks);
	TAILQ_INIT(&b->planned);
	b->sent = bf_arena_alloc(b->arena, (size_t)items->n * sizeof *b->sent);
	b->ending = bf_arena_alloc(b->arena, (size_t)items->n * sizeof *b->ending);
	for (int i = 0; i < items->n; i++) {
		it = bf_arena_alloc(b->arena, sizeof *it);
		it->batch = b;
		copy_row(b->arena, &it->row, &items->v[i]);
		TAILQ_INSERT_TAIL(&b->items, it, link);
		b->n_items++;
	}
	e->n_items += b->n_items;
	e->n_batches[kind]++;
	TAILQ_INSERT_TAIL(&e->batches, b, link);
	TAILQ_FOREACH (it, &b->items, link)
		begin(it);
	return b;
}

static void turn(void *ctx)
{
	struct batch *b = ctx;

	b->turn = NULL;
	asking_turn(b);
	merging_turn(b);
	item_end_all(b);
	if (b->n_items == 0 && TAILQ_EMPTY(&b->asks) && !b->turn)
		enrich_batch_over(b);
}

void batch_turn_soon(struct batch *b)
{
	if (!b->turn)
		b->turn = bf_timer_start(b->e->loop, 0, turn, b);
}

void enrich_drop_walk(struct item *it)
{
	bf_op_cancel(it->walk);
	it->walk = NULL;
}

void batch_drop(struct batch *b)
{
	struct ask *a;
	struct item *it;

	TAILQ_FOREACH (it, &b->items, link)
		enrich_drop_walk(it);
	while ((a = TAILQ_FIRST(&b->asks)))
		ask_free(a);
	bf_op_cancel(b->turn);
	bf_op_cancel(b->look_op);
	bf_op_cancel(b->write_op);
	bf_op_cancel(b->end_op);
	TAILQ_REMOVE(&b->e->batches, b, link);
	b->e->n_items -= b->n_items;
	b->e->n_batches[b->kind]--;
	free(b->looked_at);
	bf_arena_free(b->arena);
	free(b);
}

/* Requests and look-ups are given up; a write under way is awaited, for it may have been committed. */
void batch_release(struct batch *b)
{
	struct item *it, *next;
	struct ask *a;

	while ((a = TAILQ_FIRST(&b->asks)))
		ask_free(a);
	bf_op_cancel(b->look_op);
	b->look_op = NULL;
	TAILQ_FOREACH_SAFE (it, &b->items, link, next)
		if (!it->writing)
			item_raise(it, IEV_RELEASE);
}
