/*
 * merging: what the answers make of an edition and its work, and its writing. The look and the write are two transactions; whatever
 * changed in between makes an item stale, and it is looked at again. The write is sent from within the look's completion: what
 * was read there is borrowed until then and no longer.
 */
#include "machine.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AGAIN_MS   1000
#define STALE_MOST 8
#define FAMILY_MAX 40

/* ---- the look ---- */
/* The title by which the work is searched: of the provider that knows best, else as the AI spelt it. */
static const char *best_title(const struct item *it)
{
	const char *title = it->row.title;
	int best = -1;

	for (size_t i = 0; i < it->n_offers; i++)
		if (bf_provider_quality(it->offers[i].provider) > best) {
			best = bf_provider_quality(it->offers[i].provider);
			title = it->offers[i].record.title;
		}
	return title;
}

static void add_text(struct bf_texts *to, const char *text, size_t max)
{
	for (size_t i = 0; i < to->n; i++)
		if (!strcmp(to->v[i], text))
			return;
	if (to->n < max)
		to->v[to->n++] = text;
}

static void gather_family(struct item *it)
{
	struct bf_arena *arena = it->batch->arena;
	struct bf_texts *family = &it->look.family;
	char isbn[14], *rest, *one;

	*family = (struct bf_texts){ .v = bf_arena_alloc(arena, FAMILY_MAX * sizeof(char *)) };
	if (it->row.sibling_of)
		add_text(family, it->row.sibling_of, FAMILY_MAX);
	for (size_t i = 0; i < it->n_offers; i++) {
		if (!it->offers[i].record.other_isbns)
			continue;
		rest = bf_arena_strdup(arena, it->offers[i].record.other_isbns);
		while ((one = strsep(&rest, ";")))
			if (bf_isbn_canon(one, strlen(one), isbn) == BF_ISBN_OK &&
				strcmp(isbn, it->isbn13) != 0)
				add_text(family, bf_arena_strdup(arena, isbn), FAMILY_MAX);
	}
}

/* The same book gets the same key from every instance: two that make the work at the same time meet in its primary key. */
static const char *new_work_key(const struct item *it, const char *title)
{
	char title_key[BF_KEY_MAX], hex[33];
	uint8_t hash[32];
	const char *text;

	bf_title_key(title, title_key);
	text = bf_arena_printf(it->batch->arena, "%s\n%s", title_key,
		it->look.author_keys.n ? it->look.author_keys.v[0] : "");
	bf_sha256(text, strlen(text), hash);
	for (int i = 0; i < 16; i++)
		snprintf(hex + 2 * i, 3, "%02x", hash[i]);
	return bf_arena_printf(it->batch->arena, "work:%s", hex);
}

void item_look(struct item *it)
{
	struct bf_arena *arena = it->batch->arena;
	struct bf_look *look = &it->look;
	size_t n = (size_t)it->row.n_work_keys;

	look->isbn13 = it->isbn13;
	look->title = best_title(it);
	bf_offer_authors(it->offers, it->n_offers, it->row.author, arena, &look->author_names,
		&look->author_keys);
	gather_family(it);
	look->work_keys.v = bf_arena_alloc(arena, (n + 1) * sizeof(char *));
	look->work_keys.n = 0;
	for (size_t i = 0; i < n; i++)
		add_text(&look->work_keys, it->row.work_keys[i], n);
	look->work_keys.v[look->work_keys.n++] = new_work_key(it, look->title);
	it->to_look = true;
}

void item_write(struct item *it)
{
	it->to_write = true;
}

static void write_planned(struct batch *b);

static void again(void *ctx)
{
	struct batch *b = ctx;

	b->look_op = NULL;
	batch_turn_soon(b);
}

/* Whoever was asked about is asked about again, in a moment. */
static void look_failed(struct batch *b, const struct bf_error *err)
{
	for (int i = 0; i < b->n_sent; i++) {
		struct item *it = b->sent[i];

		if (!it)
			continue;
		if (err->class == BF_ERR_RETRY)
			it->to_look = true;
		else
			item_fail(it, "looking at the catalogue: %s", err->text);
	}
	b->n_sent = 0;
	b->look_op = bf_timer_start(b->e->loop, AGAIN_MS, again, b);
}

static void looked(void *ctx, const struct bf_error *err, const char *looked_at,
	const struct bf_looked *found, int n)
{
	struct batch *b = ctx;

	b->look_op = NULL;
	if (err) {
		bf_log(BF_WARN, "catalogue not looked at", BF_I("items", b->n_sent), BF_E(err));
		look_failed(b, err);
		return;
	}
	free(b->looked_at);
	b->looked_at = bf_xstrdup(looked_at);
	plan_batch(b, found, n);
	write_planned(b);
}

static void send_look(struct batch *b)
{
	struct bf_look *looks = bf_xcalloc((size_t)b->n_items + 1, sizeof *looks);
	struct item *it;

	b->n_sent = 0;
	TAILQ_FOREACH (it, &b->items, link) {
		if (!it->to_look || it->move || it->state != ITEM_MERGING)
			continue;
		it->to_look = false;
		b->sent[b->n_sent] = it;
		looks[b->n_sent++] = it->look;
		if (b->one_by_one)
			break;
	}
	if (b->n_sent)
		b->look_op = bf_store_items_look(b->e->store, looks, b->n_sent, looked, b);
	free(looks);
}

/* ---- the write ---- */
static void count_work(struct bf_enrich *e, struct planned *p)
{
	if (p->counted)
		return;
	p->counted = true;
	e->figures.works_new += p->seen == NULL;
	e->figures.works_promoted += p->promoted;
	e->figures.works_absorbed += p->absorbed.n;
}

/* Nobody knows whether it was committed: looking again tells, for what is completed is no longer ours. */
static void write_failed(struct batch *b, const struct bf_error *err)
{
	bool refused = err->class != BF_ERR_RETRY;

	bf_log(refused ? BF_ERROR : BF_WARN, "enriched books not written", BF_I("items", b->n_sent),
		BF_E(err));
	for (int i = 0; i < b->n_sent; i++) {
		struct item *it = b->sent[i];

		if (!it)
			continue;
		it->writing = false;
		if (refused && b->one_by_one)
			item_fail(it, "writing the book: %s", err->text);
		else
			item_raise(it, IEV_STALE);
	}
	b->one_by_one = b->one_by_one || refused;
	b->n_sent = 0;
	b->look_op = bf_timer_start(b->e->loop, AGAIN_MS, again, b);
}

static void wrote_one(struct item *it, enum bf_written written)
{
	it->writing = false;
	switch (written) {
	case BF_WRITTEN_DONE:
		count_work(it->batch->e, it->plan);
		item_raise(it, IEV_WRITTEN);
		return;
	case BF_WRITTEN_NOT_MINE: item_raise(it, IEV_LOSE); return;
	case BF_WRITTEN_STALE: break;
	}
	it->batch->e->figures.stale++;
	if (++it->stale > STALE_MOST)
		item_fail(it, "the catalogue changed under every attempt to write the book");
	else
		item_raise(it, IEV_STALE);
}

static void wrote(void *ctx, const struct bf_error *err, const enum bf_written *written, int n)
{
	struct batch *b = ctx;
	int n_sent = b->n_sent;

	b->write_op = NULL;
	if (err) {
		write_failed(b, err);
		return;
	}
	for (int i = 0; i < n_sent && i < n; i++) {
		struct item *it = b->sent[i];

		if (it)
			wrote_one(it, written[i]);
	}
	b->n_sent = 0;
	batch_turn_soon(b);
}

static void write_work(struct bf_work_write *w, const struct planned *p)
{
	*w = (struct bf_work_write){ .work = &p->work,
		.seen = p->seen,
		.author_names = p->author_names,
		.author_keys = p->author_keys,
		.absorbed = p->absorbed,
		.absorbed_seen = p->absorbed_seen,
		.promoted = p->promoted };
}

/* Items that have come to WRITING by this plan; `sent` keeps their order for the answer. */
static void write_planned(struct batch *b)
{
	size_t most = (size_t)b->n_sent + 1;
	struct bf_edition_write *editions = bf_xcalloc(most, sizeof *editions);
	struct bf_work_write *works = bf_xcalloc(most, sizeof *works);
	struct bf_enrich_write write = { .looked_at = b->looked_at,
		.editions = editions,
		.works = works,
		.siblings = b->e->config->enrichment.siblings,
		.max_retries = b->e->config->enrichment.max_attempts };

	for (int i = 0; i < b->n_sent; i++) {
		struct item *it = b->sent[i];

		if (!it || !it->to_write || it->move)
			continue;
		it->to_write = false;
		it->writing = true;
		if (it->plan->index < 0) {
			it->plan->index = write.n_works;
			write_work(&works[write.n_works++], it->plan);
		}
		it->write.work = it->plan->index;
		b->sent[write.n_editions] = it;
		editions[write.n_editions++] = it->write;
	}
	b->n_sent = write.n_editions;
	if (b->n_sent)
		b->write_op = bf_store_items_write(b->e->store, &write, wrote, b);
	else
		batch_turn_soon(b);
	free(editions);
	free(works);
}

void merging_turn(struct batch *b)
{
	if (!b->look_op && !b->write_op)
		send_look(b);
}
