/*
 * The consumer: when batches are claimed. A NOTIFY wakes it, a poll catches what no NOTIFY told, and neither asks the database while
 * the last pulse knew of nothing to do. A full batch means that there is more.
 */
#include "machine.h"
#include <stdlib.h>
#include <string.h>

#define LEASE_MS      (15 * 60000ll)
#define BATCHES_MOST  4 /* of a kind: some ask, or rest when told to, while another writes */
#define WORKS_AT_ONCE 10
#define LAST_CALL_MS  5000

const double bf_batch_bounds_s[BF_BATCH_BUCKETS] = { 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 120,
	1e300 };

static void claim_all(struct bf_enrich *e);

/* ---- the poll ---- */
static void polled(void *ctx)
{
	struct bf_enrich *e = ctx;

	e->poll_timer = NULL;
	claim_all(e);
	if (!e->draining)
		e->poll_timer = bf_timer_start(e->loop, e->config->enrichment.poll_ms, polled, e);
}

static void due(void *ctx)
{
	struct bf_enrich *e = ctx;

	e->due_op = NULL;
	bf_enrich_wake(e);
}

/* Items that wait are taken when their time comes, not with the poll after it. */
static void arm_due(struct bf_enrich *e, int64_t ms)
{
	if (ms < 0 || ms > e->config->enrichment.poll_ms * 4 || e->due_op || e->draining)
		return;
	e->due_op = bf_timer_start(e->loop, ms + 20, due, e);
}

/* ---- the claim ---- */
static void ended_when_empty(struct bf_enrich *e)
{
	if (bf_enrich_idle(e))
		e->ended(e->ended_ctx);
}

static void claimed(struct bf_enrich *e, enum bf_item_kind kind, const struct bf_error *err,
	const struct bf_items *items, int limit)
{
	e->claim_op[kind] = NULL;
	if (err) {
		bf_log(BF_WARN, "no items claimed", BF_E(err));
		ended_when_empty(e);
		return;
	}
	e->maybe_more[kind] = items->n >= limit;
	arm_due(e, items->next_due_ms);
	if (!items->n) {
		ended_when_empty(e);
		return;
	}
	e->figures.batches++;
	bf_log(BF_DEBUG, "items claimed", BF_I("items", items->n));
	batch_begin(e, kind, items);
	claim_all(e);
}

static void editions_claimed(void *ctx, const struct bf_error *err, const struct bf_items *items)
{
	struct bf_enrich *e = ctx;

	claimed(e, BF_ITEM_EDITION, err, items, e->config->enrichment.batch);
}

static void works_claimed(void *ctx, const struct bf_error *err, const struct bf_items *items)
{
	claimed(ctx, BF_ITEM_WORK, err, items, WORKS_AT_ONCE);
}

static void claim(struct bf_enrich *e, enum bf_item_kind kind)
{
	static bf_store_items_done *const done[] = {
		[BF_ITEM_EDITION] = editions_claimed, [BF_ITEM_WORK] = works_claimed
	};
	int limit = kind == BF_ITEM_EDITION ? e->config->enrichment.batch : WORKS_AT_ONCE;
	int most = kind == BF_ITEM_EDITION ? BATCHES_MOST : 1;

	if (!e->maybe_more[kind] || e->claim_op[kind] || e->n_batches[kind] >= most)
		return;
	e->maybe_more[kind] = false;
	e->claim_op[kind] = bf_store_items_claim(e->store, kind, limit, LEASE_MS, done[kind], e);
}

static void claim_all(struct bf_enrich *e)
{
	if (!e->alive || e->paused || e->draining || !e->config->enrichment.enabled)
		return;
	claim(e, BF_ITEM_EDITION);
	claim(e, BF_ITEM_WORK);
}

void bf_enrich_wake(struct bf_enrich *e)
{
	e->maybe_more[BF_ITEM_EDITION] = e->maybe_more[BF_ITEM_WORK] = true;
	claim_all(e);
}

/* Due ones, and those in processing that none of our batches holds: their owner may be gone. */
void bf_enrich_pulse(struct bf_enrich *e, const struct bf_pulse *p)
{
	bool first = !e->alive, resumed = e->paused && !p->paused;

	e->alive = true;
	e->paused = p->paused;
	if (first || resumed || p->queue_depth > p->queue_waiting ||
		p->queue_processing > e->n_items)
		e->maybe_more[BF_ITEM_EDITION] = e->maybe_more[BF_ITEM_WORK] = true;
	if (first || resumed)
		claim_all(e);
}

void bf_enrich_locks_down(struct bf_enrich *e)
{
	e->alive = false;
}

/* ---- a batch's end ---- */
static void count_batch(struct bf_enrich *e, const struct batch *b)
{
	double s = (double)(bf_now_us() - b->since_us) / 1e6;
	int i = 0;

	while (i < BF_BATCH_BUCKETS - 1 && s > bf_batch_bounds_s[i])
		i++;
	e->figures.batch.bucket[i]++;
	e->figures.batch.n++;
	e->figures.batch.sum_s += s;
}

void enrich_batch_over(struct batch *b)
{
	struct bf_enrich *e = b->e;

	count_batch(e, b);
	e->maybe_more[b->kind] = true; /* its own editions may have been queued by it */
	batch_drop(b);
	claim_all(e);
	ended_when_empty(e);
}

/* ---- the room as a whole ---- */
struct bf_enrich *bf_enrich_new(struct bf_loop *loop, struct bf_store *store,
	struct bf_providers *providers, const struct bf_config *config, bf_enrich_ended *ended,
	void *ctx)
{
	struct bf_enrich *e = bf_xcalloc(1, sizeof *e);

	e->loop = loop;
	e->store = store;
	e->providers = providers;
	e->config = config;
	e->ended = ended;
	e->ended_ctx = ctx;
	TAILQ_INIT(&e->batches);
	e->poll_timer = bf_timer_start(loop, config->enrichment.poll_ms, polled, e);
	return e;
}

static void hurried(void *ctx, const struct bf_error *err, int64_t n)
{
	struct bf_enrich *e = ctx;

	e->hurry_op = NULL;
	if (err)
		bf_log(BF_WARN, "items that wait were not woken", BF_E(err));
	else if (n)
		bf_log(BF_INFO, "items that wait for a provider are due now", BF_I("items", n));
	bf_enrich_wake(e);
}

static void stop_claiming(struct bf_enrich *e)
{
	bf_op_cancel(e->poll_timer);
	bf_op_cancel(e->due_op);
	e->poll_timer = e->due_op = NULL;
}

void bf_enrich_free(struct bf_enrich *e)
{
	struct batch *b;

	if (!e)
		return;
	stop_claiming(e);
	bf_op_cancel(e->drain_timer);
	bf_op_cancel(e->hurry_op);
	bf_op_cancel(e->claim_op[BF_ITEM_EDITION]);
	bf_op_cancel(e->claim_op[BF_ITEM_WORK]);
	while ((b = TAILQ_FIRST(&e->batches)))
		batch_drop(b);
	free(e);
}

void bf_enrich_configure(struct bf_enrich *e, const struct bf_config *config)
{
	e->config = config;
	if (e->draining)
		return;
	bf_op_cancel(e->poll_timer);
	e->poll_timer = bf_timer_start(e->loop, config->enrichment.poll_ms, polled, e);
	if (e->alive && !e->hurry_op) /* a limit may have been raised, a key mended */
		e->hurry_op = bf_store_items_hurry(e->store, hurried, e);
}

static void give_up(void *ctx)
{
	struct bf_enrich *e = ctx;

	e->drain_timer = NULL; /* what the database does not take now is taken up by others */
	for (int kind = 0; kind < 2; kind++) {
		bf_op_cancel(e->claim_op[kind]);
		e->claim_op[kind] = NULL;
	}
	while (!TAILQ_EMPTY(&e->batches))
		batch_drop(TAILQ_FIRST(&e->batches));
	e->ended(e->ended_ctx);
}

static void time_is_up(void *ctx)
{
	struct bf_enrich *e = ctx;
	struct batch *b;

	e->drain_timer = bf_timer_start(e->loop, LAST_CALL_MS, give_up, e);
	TAILQ_FOREACH (b, &e->batches, link)
		batch_release(b);
}

/* A claim under way may already be committed; its items are released like the others. */
void bf_enrich_drain(struct bf_enrich *e)
{
	if (e->draining)
		return;
	e->draining = true;
	stop_claiming(e);
	if (!bf_enrich_idle(e))
		e->drain_timer =
			bf_timer_start(e->loop, e->config->daemon.drain_timeout_ms, time_is_up, e);
}

int bf_enrich_count(const struct bf_enrich *e)
{
	return e->n_items;
}

bool bf_enrich_idle(const struct bf_enrich *e)
{
	return !e->n_items && !e->claim_op[BF_ITEM_EDITION] && !e->claim_op[BF_ITEM_WORK];
}

void bf_enrich_figures(const struct bf_enrich *e, struct bf_enrich_figures *ret)
{
	*ret = e->figures;
}
