/*
 * Stepping an item: an event is looked up in the table; what has to be written is gathered from all items of the batch and written
 * by one statement, and only then the state changes. Whoever finds the item no longer his drops it and writes nothing more.
 */
#include "machine.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AGAIN_MS      1000
#define AGAIN_MOST_MS 15000
#define BROKEN_MS     60000

const char *const bf_item_end_names[BF_ITEM_ENDS] = { "completed", "waiting", "retry", "failed",
	"released", "lost", "rekeyed" };
_Static_assert(ITEM_REKEYED - ITEM_COMPLETED + 1 == BF_ITEM_ENDS, "the ends are the last states");

/* ---- a move ---- */
static void over(struct item *it)
{
	struct batch *b = it->batch;

	b->e->figures.ended[it->state - ITEM_COMPLETED]++;
	enrich_drop_walk(it);
	TAILQ_REMOVE(&b->items, it, link);
	b->n_items--;
	b->e->n_items--;
	for (int i = 0; i < b->n_sent; i++)
		if (b->sent[i] == it)
			b->sent[i] = NULL;
	batch_turn_soon(b);
}

static void enter(struct item *it)
{
	const struct item_move *move = it->move;
	enum item_state from = it->state;

	it->state = move->next;
	it->move = NULL;
	it->committing = false;
	bf_log(it->state == ITEM_FAILED ? BF_WARN : BF_DEBUG, "item moved",
		BF_S("item", it->row.ref.id), BF_S("key", it->row.key),
		BF_S("from", item_state_name(from)), BF_S("to", item_state_name(it->state)),
		BF_S("event", item_event_name(it->move_event)),
		BF_S("reason", it->reason[0] ? it->reason : NULL));
	if (item_state_is_final(it->state)) {
		over(it);
		return;
	}
	if (move->action)
		move->action(it);
	batch_turn_soon(it->batch);
}

static void begin_move(struct item *it, enum item_event ev, const struct item_move *move)
{
	it->move = move;
	it->move_event = ev;
	if (move->commit == COMMIT_NONE) {
		enter(it);
		return;
	}
	enrich_drop_walk(it);
	it->to_look = it->to_write = false;
	batch_turn_soon(it->batch);
}

void item_raise(struct item *it, enum item_event ev)
{
	const struct item_move *move = &item_table[it->state][ev];

	if (it->move && (ev != IEV_LOSE || it->committing)) /* it is leaving already */
		return;
	switch (move->kind) {
	case MOVE_GO: begin_move(it, ev, move); return;
	case MOVE_IGNORE: return;
	case MOVE_BUG:
	case MOVE_UNSET:
		it->batch->e->figures.bugs++;
		bf_log(BF_ERROR, "bug: an event the table does not allow",
			BF_S("item", it->row.ref.id), BF_S("state", item_state_name(it->state)),
			BF_S("event", item_event_name(ev)), BF_S("why", move->why));
		return;
	}
}

/* ---- ends with their words ---- */
static void BF_PRINTF(2, 0) say(struct item *it, const char *fmt, va_list ap)
{
	vsnprintf(it->reason, sizeof it->reason, fmt, ap);
	it->reason[bf_utf8_cut(it->reason, strlen(it->reason), sizeof it->reason - 1)] = '\0';
}

void item_block(struct item *it, enum bf_provider_id p, int64_t wait_ms, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(it, fmt, ap);
	va_end(ap);
	it->waiting_for = bf_provider_names[p];
	it->wait_ms = wait_ms;
	item_raise(it, IEV_BLOCKED);
}

/* Attempt n waits base * 2^(n-1), capped, +-20 % jitter, as the months' do. */
static int64_t backoff_ms(const struct item *it)
{
	const struct bf_config *config = it->batch->e->config;
	int64_t ms = config->scheduler.retry_base_ms;

	for (int i = 0; i < it->row.retry_count && ms < config->scheduler.retry_cap_ms; i++)
		ms *= 2;
	if (ms > config->scheduler.retry_cap_ms)
		ms = config->scheduler.retry_cap_ms;
	return (int64_t)((double)ms * (0.8 + 0.4 * bf_random_unit()));
}

void item_fail(struct item *it, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(it, fmt, ap);
	va_end(ap);
	it->wait_ms = backoff_ms(it);
	item_raise(it, it->row.retry_count + 1 >= it->row.max_retries ? IEV_SPENT : IEV_FAILURE);
}

void item_hopeless(struct item *it, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(it, fmt, ap);
	va_end(ap);
	item_raise(it, IEV_HOPELESS);
}

/* ---- the writing of ends ---- */
static void ends_again(void *ctx)
{
	struct batch *b = ctx;

	b->end_op = NULL;
	batch_turn_soon(b);
}

static void ends_later(struct batch *b, int64_t ms)
{
	for (int i = 0; i < b->n_ending; i++)
		b->ending[i]->committing = false;
	b->n_ending = 0;
	b->end_op = bf_timer_start(b->e->loop, ms, ends_again, b);
}

/* Repeating an end is safe: an item that is no longer in processing under its fence is simply not ours any more. */
static bool ends_failed(struct batch *b, const struct bf_error *err)
{
	int64_t wait = AGAIN_MS;

	if (!err) {
		b->tries = 0;
		return false;
	}
	if (err->class != BF_ERR_RETRY)
		bf_log(BF_ERROR, "items' ends refused by the database", BF_I("items", b->n_ending),
			BF_E(err));
	for (int i = 0; i < b->tries && wait < AGAIN_MOST_MS; i++)
		wait *= 2;
	b->tries++;
	ends_later(b, err->class == BF_ERR_RETRY ? wait : BROKEN_MS);
	return true;
}

static void ended(void *ctx, const struct bf_error *err, const struct bf_item_ref *lost, int n_lost)
{
	struct batch *b = ctx;
	int n = b->n_ending;

	b->end_op = NULL;
	if (ends_failed(b, err))
		return;
	b->n_ending = 0;
	for (int i = 0; i < n; i++) {
		struct item *it = b->ending[i];

		for (int j = 0; j < n_lost; j++)
			if (!strcmp(lost[j].id, it->row.ref.id)) {
				it->move = &item_table[ITEM_TAKEN][IEV_LOSE];
				it->move_event = IEV_LOSE;
			}
		enter(it);
	}
}

static void enhanced(void *ctx, const struct bf_error *err, enum bf_store_outcome outcome)
{
	struct batch *b = ctx;
	struct item *it = b->ending[0];

	b->end_op = NULL;
	if (ends_failed(b, err))
		return;
	b->n_ending = 0;
	if (outcome != BF_STORE_DONE) {
		it->move = &item_table[ITEM_TAKEN][IEV_LOSE];
		it->move_event = IEV_LOSE;
	}
	enter(it);
}

static void send_enhanced(struct batch *b, struct item *it)
{
	it->committing = true;
	b->ending[0] = it;
	b->n_ending = 1;
	b->end_op = bf_store_enhanced(b->e->store, &it->enhanced, enhanced, b);
}

void item_end_all(struct batch *b)
{
	struct bf_item_end *ends;
	struct item *it;
	int n = 0;

	if (b->end_op)
		return;
	TAILQ_FOREACH (it, &b->items, link)
		if (it->move && it->move->commit == COMMIT_ENHANCED) {
			send_enhanced(b, it);
			return;
		}
	ends = bf_xcalloc((size_t)b->n_items + 1, sizeof *ends);
	TAILQ_FOREACH (it, &b->items, link)
		if (it->move && it->move->commit == COMMIT_END) {
			it->committing = true;
			b->ending[n] = it;
			ends[n++] = (struct bf_item_end){ .ref = it->row.ref,
				.how = it->move->how,
				.reason = it->reason[0] ? it->reason : NULL,
				.waiting_for = it->waiting_for,
				.isbn13 = it->isbn13,
				.wait_ms = it->wait_ms };
		}
	b->n_ending = n;
	if (n)
		b->end_op = bf_store_items_end(b->e->store, ends, n, ended, b);
	free(ends);
}
