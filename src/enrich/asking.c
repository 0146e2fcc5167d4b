/*
 * asking: whom an edition is asked of, in as few requests as there can be. ISBNdb gets only the ISBNs of which no record of its
 * own was kept; Wikidata and Open Library get the whole batch meanwhile; Archive.org is the last resort for what nobody else has.
 * Every answer is stored before anything is made of it. An outage, a refusal or an empty quota is never "not found".
 */
#include "machine.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AGAIN_MS   1000
#define WAIT_LEAST 5000
#define WAIT_MOST  (3600 * 1000ll)

static const enum bf_provider_id at_once[] = { BF_ISBNDB, BF_WIKIDATA, BF_OPEN_LIBRARY };

/* ---- what is known already ---- */
static void add_offer(struct item *it, enum bf_provider_id p, const char *json, const char *at)
{
	struct bf_offer *offer = &it->offers[it->n_offers];

	if (!json || it->n_offers == BF_NPROVIDERS)
		return;
	if (!bf_record_read(json, strlen(json), it->batch->arena, &offer->record) ||
		!offer->record.title)
		return;
	offer->provider = p;
	offer->at = at;
	it->n_offers++;
}

static void use_known(struct item *it)
{
	for (int p = 0; p < BF_NPROVIDERS; p++) {
		const struct bf_known_record *k = &it->row.known[p];
		size_t before = it->n_offers;

		if (!k->known)
			continue;
		if (k->found)
			add_offer(it, (enum bf_provider_id)p, k->record_json, k->at);
		if (!k->found)
			it->asked[p] = ASKED_MISSING;
		else if (it->n_offers > before)
			it->asked[p] =
				ASKED_FOUND; /* a record that cannot be read is asked for again */
	}
	if (it->asked[BF_ISBNDB] == ASKED_FOUND)
		it->batch->e->figures.records_reused++;
}

/* When to come back for a provider; a moment later than it says, not all at the same moment. */
static int64_t wait_for(struct bf_enrich *e, enum bf_provider_id p)
{
	int64_t ms = 0;

	bf_provider_standing(e->providers, p, &ms);
	if (ms < WAIT_LEAST)
		ms = WAIT_LEAST;
	if (ms > WAIT_MOST)
		ms = WAIT_MOST;
	return ms + (int64_t)(bf_random_unit() * 2000);
}

static void block_on(struct item *it, enum bf_provider_id p)
{
	const char *why = bf_provider_unusable(it->batch->e->providers, p);

	if (!why && bf_provider_units_left(it->batch->e->providers, p) == 0)
		why = "out of quota";
	item_block(it, p, wait_for(it->batch->e, p), "waits for %s: %s", bf_provider_names[p],
		why                      ? why
			: it->failure[0] ? it->failure
					 : "not usable a moment ago");
}

void item_ask(struct item *it)
{
	it->n_offers = 0;
	use_known(it);
}

/* ---- requests ---- */
void ask_free(struct ask *a)
{
	bf_op_cancel(a->op);
	TAILQ_REMOVE(&a->batch->asks, a, link);
	for (size_t i = 0; i < a->n; i++)
		if (a->items[i]->asked[a->provider] == ASKED_UNDER_WAY)
			a->items[i]->asked[a->provider] = ASKED_NOT;
	free(a->fetched);
	free(a->items);
	free(a);
}

static void ask_settled(struct ask *a, const struct bf_item_ref *lost, int n_lost)
{
	struct batch *b = a->batch;
	char at[32];

	bf_format_time(at, bf_wall_us());
	for (size_t i = 0; i < a->n; i++) {
		struct item *it = a->items[i];
		const struct bf_fetched *f = &a->fetched[i];

		switch (f->what) {
		case BF_FETCH_FOUND:
			it->asked[a->provider] = ASKED_FOUND;
			add_offer(it, a->provider, f->record_json, bf_arena_strdup(b->arena, at));
			break;
		case BF_FETCH_MISSING: it->asked[a->provider] = ASKED_MISSING; break;
		case BF_FETCH_FAILED: it->asked[a->provider] = ASKED_FAILED; break;
		}
	}
	for (int j = 0; j < n_lost; j++)
		for (size_t i = 0; i < a->n; i++)
			if (!item_state_is_final(a->items[i]->state) &&
				!strcmp(lost[j].id, a->items[i]->row.ref.id))
				item_raise(a->items[i], IEV_LOSE);
	ask_free(a);
	batch_turn_soon(b);
}

static void store_answer(void *ctx);

static void stored(
	void *ctx, const struct bf_error *err, const struct bf_item_ref *lost, int n_lost)
{
	struct ask *a = ctx;

	a->op = NULL;
	if (err && err->class == BF_ERR_RETRY) {
		bf_log(BF_WARN, "answers not stored yet",
			BF_S("provider", bf_provider_names[a->provider]), BF_I("items", a->n),
			BF_E(err));
		a->op = bf_timer_start(a->batch->e->loop, AGAIN_MS, store_answer, a);
		return;
	}
	if (err)
		bf_log(BF_ERROR, "answers refused by the database",
			BF_S("provider", bf_provider_names[a->provider]), BF_I("items", a->n),
			BF_E(err));
	ask_settled(a, lost, n_lost);
}

static void store_answer(void *ctx)
{
	struct ask *a = ctx;

	a->op = bf_store_items_fetched(
		a->batch->e->store, a->id_hi, a->id_lo, a->fetched, (int)a->n, stored, a);
}

/* Nobody was asked: there is nothing to store. */
static void not_asked(struct ask *a, const struct bf_error *err)
{
	struct batch *b = a->batch;
	enum asked how = err->class == BF_ERR_CANCELLED ? ASKED_NOT : ASKED_CLOSED;

	for (size_t i = 0; i < a->n; i++) {
		struct item *it = a->items[i];

		snprintf(it->failure, sizeof it->failure, "%.*s", BF_CUT(err->text, 190));
		it->asked[a->provider] = how;
		if (how == ASKED_NOT)
			item_raise(it, IEV_RELEASE);
	}
	ask_free(a);
	batch_turn_soon(b);
}

static const char *record_text(struct bf_arena *arena, const struct bf_record *rec)
{
	struct bf_buf buf;
	const char *text = NULL;

	bf_buf_init(&buf, BF_RECORD_JSON_MAX);
	if (bf_record_write(rec, &buf))
		text = bf_arena_strdup(arena, buf.data);
	bf_buf_release(&buf);
	return text;
}

static void take_answer(
	struct ask *a, const struct bf_record *records, size_t n, int64_t latency_ms)
{
	for (size_t i = 0; i < a->n; i++) {
		struct bf_fetched *f = &a->fetched[i];

		f->latency_ms = latency_ms;
		f->what = BF_FETCH_MISSING;
		for (size_t j = 0; j < n && f->what == BF_FETCH_MISSING; j++)
			if (!strcmp(records[j].isbn13, f->isbn13)) {
				f->what = BF_FETCH_FOUND;
				f->record_json = record_text(a->batch->arena, &records[j]);
			}
	}
}

static void answered(void *ctx, const struct bf_error *err, const struct bf_record *records,
	size_t n, int64_t latency_ms)
{
	struct ask *a = ctx;

	a->op = NULL;
	if (err && (err->class == BF_ERR_QUOTA || err->class == BF_ERR_CANCELLED)) {
		not_asked(a, err);
		return;
	}
	if (!err)
		take_answer(a, records, n, latency_ms);
	for (size_t i = 0; err && i < a->n; i++) {
		a->fetched[i].what = BF_FETCH_FAILED;
		a->fetched[i].reason = bf_arena_strdup(a->batch->arena, err->text);
		a->fetched[i].latency_ms = latency_ms;
		snprintf(a->items[i]->failure, sizeof a->items[i]->failure, "%.*s", BF_CUT(err->text, 190));
	}
	store_answer(a);
}

static void launch(struct batch *b, enum bf_provider_id p, struct item **items, size_t n)
{
	struct ask *a = bf_xcalloc(1, sizeof *a);
	const char **isbns = bf_xcalloc(n, sizeof *isbns);

	a->batch = b;
	a->provider = p;
	a->n = n;
	a->items = bf_xcalloc(n, sizeof(struct item *));
	a->fetched = bf_xcalloc(n, sizeof *a->fetched);
	a->id_hi = bf_random_u64();
	a->id_lo = bf_random_u64();
	for (size_t i = 0; i < n; i++) {
		a->items[i] = items[i];
		items[i]->asked[p] = ASKED_UNDER_WAY;
		isbns[i] = items[i]->isbn13;
		a->fetched[i] = (struct bf_fetched){
			.item = items[i]->row.ref, .provider = p, .isbn13 = items[i]->isbn13
		};
	}
	TAILQ_INSERT_TAIL(&b->asks, a, link);
	a->op = bf_lookup_start(b->e->providers, p, isbns, n, answered, a);
	free(isbns);
}

/* Marks those that wait for nobody, gathers the others into requests of the size the provider takes. Of a paid provider no more
 * are asked than units are left; the others wait for the next day. */
static void ask_provider(struct batch *b, enum bf_provider_id p, bool last_resort)
{
	int max = bf_lookup_max(p);
	int64_t wait, left = bf_provider_units_left(b->e->providers, p);
	enum bf_standing standing = bf_provider_standing(b->e->providers, p, &wait);
	struct item *it, **v = bf_xcalloc((size_t)b->n_items + 1, sizeof *v);
	size_t n = 0;

	TAILQ_FOREACH (it, &b->items, link) {
		if (it->state != ITEM_ASKING || it->move || it->asked[p] != ASKED_NOT ||
			it->second_round != last_resort)
			continue;
		if (max == 0 || standing == BF_LEFT_OUT)
			it->asked[p] = ASKED_LEFT_OUT;
		else if (standing == BF_CLOSED || (left >= 0 && (int64_t)n >= left))
			it->asked[p] = ASKED_CLOSED;
		else
			v[n++] = it;
	}
	for (size_t i = 0; i < n; i += (size_t)max)
		launch(b, p, v + i, n - i < (size_t)max ? n - i : (size_t)max);
	free(v);
}

/* ---- what the answers mean ---- */
static bool under_way(const struct item *it)
{
	for (int p = 0; p < BF_NPROVIDERS; p++)
		if (it->asked[p] == ASKED_UNDER_WAY)
			return true;
	return false;
}

/* The provider whose silence leaves open whether the book exists; -1: all have spoken. */
static int open_question(const struct item *it, enum asked how)
{
	static const enum bf_provider_id all[] = { BF_OPEN_LIBRARY, BF_ARCHIVE_ORG, BF_WIKIDATA };

	for (size_t i = 0; i < BF_COUNT(all); i++)
		if (it->asked[all[i]] == how)
			return (int)all[i];
	return -1;
}

static void settle(struct item *it)
{
	int p;

	switch (it->asked[BF_ISBNDB]) {
	case ASKED_CLOSED: block_on(it, BF_ISBNDB); return;
	case ASKED_FAILED: item_fail(it, "%s", it->failure); return;
	case ASKED_NOT:
	case ASKED_LEFT_OUT:
	case ASKED_UNDER_WAY:
	case ASKED_FOUND:
	case ASKED_MISSING: break;
	}
	if (it->n_offers > 0) {
		item_raise(it, IEV_ANSWERED);
		return;
	}
	if (!it->second_round) {
		it->second_round = true;
		batch_turn_soon(it->batch);
		return;
	}
	p = open_question(it, ASKED_FAILED);
	if (p >= 0) {
		item_fail(it, "%s", it->failure);
		return;
	}
	p = open_question(it, ASKED_CLOSED);
	if (p >= 0)
		block_on(it, (enum bf_provider_id)p);
	else
		item_hopeless(it, "no provider knows this ISBN");
}

/* An item that needs ISBNdb while it is closed asks nobody else either: it would only ask again. */
static void block_early(struct batch *b)
{
	int64_t wait;
	struct item *it, *next;

	if (bf_provider_standing(b->e->providers, BF_ISBNDB, &wait) != BF_CLOSED)
		return;
	TAILQ_FOREACH_SAFE (it, &b->items, link, next)
		if (it->state == ITEM_ASKING && !it->move && it->asked[BF_ISBNDB] == ASKED_NOT)
			block_on(it, BF_ISBNDB);
}

void asking_turn(struct batch *b)
{
	struct item *it, *next;

	if (b->kind != BF_ITEM_EDITION)
		return;
	block_early(b);
	for (size_t i = 0; i < BF_COUNT(at_once); i++)
		ask_provider(b, at_once[i], false);
	ask_provider(b, BF_ARCHIVE_ORG, true);
	TAILQ_FOREACH_SAFE (it, &b->items, link, next)
		if (it->state == ITEM_ASKING && !it->move && !under_way(it))
			settle(it);
}
