/*
 * The plan of a batch: each item's edition merged with what the catalogue has, its work chosen among those that the look found and
 * those that items before it in the same batch are about to write, so that two editions of one work in one batch share it too.
 */
#include "machine.h"
#include <stdlib.h>
#include <string.h>

#define KNOWN_MAX   256
#define NOT_PLANNED (-2) /* index of a work that no item of this batch has changed yet */

/* What one item may choose from. */
struct choice {
	struct bf_work_known known[KNOWN_MAX];
	const char *seen[KNOWN_MAX];
	struct planned *planned[KNOWN_MAX]; /* NULL: as the database has it */
	bool absorbed[KNOWN_MAX];
	size_t n;
};

static bool holds(const struct bf_texts *texts, const char *text)
{
	for (size_t i = 0; i < texts->n; i++)
		if (!strcmp(texts->v[i], text))
			return true;
	return false;
}

static bool meet(const struct bf_texts *a, const struct bf_texts *b)
{
	for (size_t i = 0; i < a->n; i++)
		if (holds(b, a->v[i]))
			return true;
	return false;
}

static void append(struct bf_texts *to, const char *text, struct bf_arena *arena)
{
	const char **v = bf_arena_alloc(arena, (to->n + 1) * sizeof *v);

	if (to->n)
		memcpy(v, to->v, to->n * sizeof *v);
	v[to->n++] = text;
	to->v = v;
}

/* ---- what there is to choose from ---- */
static struct planned *planned_for(struct batch *b, const char *work_key)
{
	struct planned *p;

	TAILQ_FOREACH (p, &b->planned, link)
		if (!strcmp(p->work.work_key, work_key) || holds(&p->absorbed, work_key))
			return p;
	return NULL;
}

static void offer_work(struct choice *c, const struct bf_work *work, enum bf_work_via via,
	const char *authors, const char *seen, struct planned *planned)
{
	for (size_t i = 0; planned && i < c->n; i++)
		if (c->planned[i] == planned) {
			if (via < c->known[i].via)
				c->known[i].via = via;
			return;
		}
	if (c->n == KNOWN_MAX)
		return;
	c->known[c->n] = (struct bf_work_known){ .work = *work, .via = via, .authors = authors };
	c->seen[c->n] = seen;
	c->planned[c->n++] = planned;
}

/* An item before this one in the batch: same author, or an ISBN of this one's family. */
static void offer_planned(struct item *it, struct choice *c)
{
	struct batch *b = it->batch;
	struct planned *p;

	for (int i = 0; i < b->n_sent; i++) {
		const struct item *other = b->sent[i];

		if (other && other != it && other->plan &&
			(holds(&it->look.family, other->isbn13) ||
				holds(&other->look.family, it->isbn13)))
			offer_work(c, &other->plan->work, BF_VIA_FAMILY, other->plan->authors, NULL,
				other->plan);
	}
	TAILQ_FOREACH (p, &b->planned, link)
		if (meet(&p->author_keys, &it->look.author_keys))
			offer_work(c, &p->work, BF_VIA_AUTHOR, p->authors, NULL, p);
}

static void gather(struct item *it, const struct bf_looked *looked, struct choice *c)
{
	for (int i = 0; i < looked->n_works; i++) {
		const struct bf_known_work *k = &looked->works[i];
		struct planned *p = planned_for(it->batch, k->known.work.work_key);

		if (p)
			offer_work(c, &p->work, k->known.via, p->authors, NULL, p);
		else
			offer_work(
				c, &k->known.work, k->known.via, k->known.authors, k->seen, NULL);
	}
	offer_planned(it, c);
}

/* ---- the chosen work ---- */
static const char *joined(const struct bf_texts *names, struct bf_arena *arena)
{
	const char *text = "";

	for (size_t i = 0; i < names->n; i++)
		text = bf_arena_printf(arena, "%s%s%s", text, i ? ";" : "", names->v[i]);
	return text;
}

static struct planned *plan_new(struct batch *b)
{
	struct planned *p = bf_arena_alloc(b->arena, sizeof *p);

	p->index = NOT_PLANNED;
	TAILQ_INSERT_TAIL(&b->planned, p, link);
	return p;
}

static void take_authors(struct item *it, struct planned *p, const struct bf_looked *looked)
{
	struct bf_arena *arena = it->batch->arena;

	if (p->author_keys.n)
		return;
	p->author_names = it->look.author_names;
	for (size_t i = 0; i < it->look.author_keys.n; i++)
		append(&p->author_keys,
			bf_arena_strdup(arena,
				looked->author_keys ? looked->author_keys[i]
						    : it->look.author_keys.v[i]),
			arena);
	if (!p->authors || !p->authors[0])
		p->authors = joined(&p->author_names, arena);
}

static struct planned *chosen(struct item *it, const struct choice *c, int index)
{
	struct batch *b = it->batch;
	struct planned *p;

	if (index >= 0 && c->planned[index])
		return c->planned[index];
	p = plan_new(b);
	if (index >= 0) {
		p->work = c->known[index].work;
		p->seen = c->seen[index];
		p->authors = c->known[index].authors;
		p->promoted = p->work.synthetic;
	}
	return p;
}

static void absorb(struct item *it, struct planned *p, const struct choice *c)
{
	struct bf_arena *arena = it->batch->arena;
	struct bf_work merged;

	for (size_t i = 0; i < c->n; i++) {
		if (!c->absorbed[i] || c->planned[i] || !c->known[i].work.synthetic ||
			!strcmp(c->known[i].work.work_key, p->work.work_key))
			continue;
		bf_work_absorb(&p->work, &c->known[i].work, arena, &merged);
		p->work = merged;
		append(&p->absorbed, c->known[i].work.work_key, arena);
		append(&p->absorbed_seen, c->seen[i], arena);
	}
}

/* Who was not heard, so that a reader of the edition knows what may still be missing in it. */
static const char *missing(const struct item *it)
{
	const char *text = NULL;

	for (int p = 0; p < BF_NPROVIDERS; p++)
		if (it->asked[p] == ASKED_FAILED || it->asked[p] == ASKED_CLOSED)
			text = bf_arena_printf(it->batch->arena, "%s%s%s", text ? text : "",
				text ? ", " : "", bf_provider_names[p]);
	return text;
}

/* The key of a new work. Another book may have it already (a graphic edition beside the novel): then the ISBN tells them apart. */
static const char *fresh_key(struct item *it, const struct bf_looked *looked)
{
	const char *key = it->look.work_keys.v[it->look.work_keys.n - 1];
	bool taken = planned_for(it->batch, key) != NULL;

	for (int i = 0; i < looked->n_works && !taken; i++)
		taken = strcmp(looked->works[i].known.work.work_key, key) == 0;
	return taken ? bf_arena_printf(it->batch->arena, "%s:%s", key, it->isbn13) : key;
}

static void unite(struct bf_texts *into, const struct bf_texts *more, struct bf_arena *arena)
{
	for (size_t i = 0; i < more->n; i++)
		if (!holds(into, more->v[i]))
			append(into, more->v[i], arena);
}

static void plan_item(struct item *it, const struct bf_looked *looked, struct choice *c)
{
	struct bf_arena *arena = it->batch->arena;
	struct bf_work_choice choice = { .index = -1 };
	const struct bf_work *old;
	const char *key;
	struct bf_work merged;
	struct planned *p;

	bf_edition_merge(
		looked->edition, it->isbn13, it->offers, it->n_offers, arena, &it->edition);
	if (!it->edition.title)
		it->edition.title = it->row.title;
	if (!it->edition.title) {
		item_hopeless(it, "no provider gives a title for this ISBN");
		return;
	}
	memset(c, 0, sizeof *c);
	gather(it, looked, c);
	bf_work_choose(it->edition.title, it->edition.subtitle,
		joined(&it->look.author_names, arena), c->known, c->n, &choice, c->absorbed);
	key = choice.index < 0 ? fresh_key(it, looked) : NULL;
	p = chosen(it, c, choice.index);
	old = p->work.work_key ? &p->work : NULL;
	bf_work_merge(old, &it->edition, it->offers, it->n_offers, arena, &merged);
	merged.work_key = old ? old->work_key : key;
	if (old && p->index != NOT_PLANNED)
		unite(&merged.updated, &old->updated, arena);
	p->index = -1;
	p->work = merged;
	absorb(it, p, c);
	take_authors(it, p, looked);
	it->plan = p;
	it->write = (struct bf_edition_write){ .item = it->row.ref,
		.edition = &it->edition,
		.was_key = looked->edition_key && strcmp(looked->edition_key, it->isbn13) != 0
			? looked->edition_key
			: NULL,
		.seen = looked->edition ? looked->edition_seen : NULL,
		.confidence = choice.confidence,
		.source = choice.source,
		.primary = it->edition.primary_provider,
		.missing = missing(it) };
	item_raise(it, IEV_LOOKED);
}

void plan_reset(struct batch *b)
{
	struct item *it;

	TAILQ_INIT(&b->planned); /* they live in the batch's arena */
	TAILQ_FOREACH (it, &b->items, link)
		it->plan = NULL;
}

void plan_batch(struct batch *b, const struct bf_looked *looked, int n)
{
	struct choice *c = bf_xcalloc(1, sizeof *c);

	plan_reset(b);
	for (int i = 0; i < n && i < b->n_sent; i++) {
		struct item *it = b->sent[i];

		if (it && it->state == ITEM_MERGING && !it->move)
			plan_item(it, &looked[i], c);
	}
	free(c);
}
