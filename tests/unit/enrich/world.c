/* The doors of reactor, store and providers, played in memory. */
#include "world.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

struct world world;
static struct bf_config config;
static int next_id;

/* ---- loop: timers that are due at once run in order; longer ones run only when nothing else does ---- */
struct timer {
	struct bf_op op;
	TAILQ_ENTRY(timer) link;
	int64_t ms;
	bf_loop_fn *fn;
	void *ctx;
};
static TAILQ_HEAD(, timer) timers = TAILQ_HEAD_INITIALIZER(timers);

static void timer_cancel(struct bf_op *op)
{
	struct timer *t = bf_container_of(op, struct timer, op);

	TAILQ_REMOVE(&timers, t, link);
	free(t);
}

struct bf_op *bf_timer_start(struct bf_loop *loop, int64_t ms, bf_loop_fn *fn, void *ctx)
{
	struct timer *t = bf_xcalloc(1, sizeof *t);

	(void)loop;
	t->op.cancel = timer_cancel;
	t->ms = ms;
	t->fn = fn;
	t->ctx = ctx;
	TAILQ_INSERT_TAIL(&timers, t, link);
	return &t->op;
}

void bf_op_cancel(struct bf_op *op)
{
	if (op)
		op->cancel(op);
}

static bool run_one(int64_t most_ms)
{
	struct timer *t, copy;

	TAILQ_FOREACH (t, &timers, link)
		if (t->ms <= most_ms) {
			copy = *t;
			timer_cancel(&t->op);
			copy.fn(copy.ctx);
			return true;
		}
	return false;
}

void world_run(void)
{
	for (int i = 0; i < 5000; i++)
		if (!run_one(0) && !run_one(1500)) /* 1500: the short rests between two tries */
			return;
}

/* ---- a completion on its way ---- */
typedef void any_fn(void);	/* each tell_ knows what it really is */
struct reply {
	struct bf_op op;
	struct bf_op *timer;
	void (*tell)(struct reply *);
	any_fn *done;
	void *ctx;
	enum bf_provider_id provider;
	const char *isbns[64];
	size_t n;
	struct bf_item_ref refs[64];
	enum bf_item_kind kind;
	struct bf_look looks[64];
	enum bf_written written[64];
};

static void reply_cancel(struct bf_op *op)
{
	struct reply *r = bf_container_of(op, struct reply, op);

	bf_op_cancel(r->timer);
	free(r);
}

static void reply_now(void *ctx)
{
	struct reply *r = ctx;

	r->tell(r);
	free(r);
}

static struct reply *reply(void (*tell)(struct reply *), any_fn *done, void *ctx)
{
	struct reply *r = bf_xcalloc(1, sizeof *r);

	r->op.cancel = reply_cancel;
	r->tell = tell;
	r->done = done;
	r->ctx = ctx;
	r->timer = bf_timer_start(NULL, 0, reply_now, r);
	return r;
}

/* ---- providers ---- */
int bf_lookup_max(enum bf_provider_id p)
{
	return p == BF_ARCHIVE_ORG ? 2 : 100;
}

int64_t bf_provider_units_left(const struct bf_providers *p, enum bf_provider_id id)
{
	(void)p;
	return id == BF_ISBNDB ? world.units_left : -1;
}

enum bf_standing bf_provider_standing(struct bf_providers *p, enum bf_provider_id id, int64_t *wait)
{
	(void)p;
	*wait = 60000;
	return world.standing[id];
}

const char *bf_provider_unusable(struct bf_providers *p, enum bf_provider_id id)
{
	(void)p;
	return world.standing[id] == BF_USABLE ? NULL : "closed by the test";
}

static void tell_lookup(struct reply *r)
{
	struct bf_record records[64];
	struct bf_error err;
	size_t n = 0;

	if (world.error[r->provider] != BF_ERR_NONE) {
		bf_error_set(&err, world.error[r->provider], "%s: failed by the test",
			bf_provider_names[r->provider]);
		((bf_lookup_done *)r->done)(r->ctx, &err, NULL, 0, 7);
		return;
	}
	for (size_t i = 0; i < r->n; i++)
		if (world.found[r->provider] && strstr(world.found[r->provider], r->isbns[i]))
			records[n++] = (struct bf_record){ .title = "Found", .authors = "A. Writer",
				.isbn13 = r->isbns[i], .publisher = bf_provider_names[r->provider] };
	((bf_lookup_done *)r->done)(r->ctx, NULL, records, n, 7);
}

struct bf_op *bf_lookup_start(struct bf_providers *p, enum bf_provider_id id, const char *const *isbns,
	size_t n, bf_lookup_done *done, void *ctx)
{
	struct reply *r = reply(tell_lookup, (any_fn *)done, ctx);

	(void)p;
	world.asked[id]++;
	world.isbns_asked[id] += (int)n;
	r->provider = id;
	r->n = n;
	for (size_t i = 0; i < n; i++)
		r->isbns[i] = isbns[i];
	return &r->op;
}

struct bf_op *bf_resolve_start(struct bf_providers *p, const struct bf_month_ref *ref, bool dry_run,
	const struct bf_candidate *cand, int *budget, bf_resolve_done *done, void *ctx)
{
	(void)p, (void)ref, (void)dry_run, (void)cand, (void)budget, (void)done, (void)ctx;
	abort(); /* works are tried in the system tests */
}

/* ---- the store ---- */
static void tell_items(struct reply *r)
{
	struct bf_items items = { .v = world.items, .n = r->kind == BF_ITEM_EDITION ? world.n_items : 0,
		.next_due_ms = -1 };

	if (r->kind == BF_ITEM_EDITION)
		world.n_items = 0;
	((bf_store_items_done *)r->done)(r->ctx, NULL, &items);
}

struct bf_op *bf_store_items_claim(struct bf_store *s, enum bf_item_kind kind, int limit, int64_t lease_ms,
	bf_store_items_done *done, void *ctx)
{
	struct reply *r = reply(tell_items, (any_fn *)done, ctx);

	(void)s, (void)limit, (void)lease_ms;
	world.claims++;
	r->kind = kind;
	return &r->op;
}

static int index_of(const char *id)
{
	for (int i = 0; i < world.n_end; i++)
		if (!strcmp(world.end[i].id, id))
			return i;
	abort();
}

static void tell_lost(struct reply *r)
{
	int n = 0;

	for (size_t i = 0; i < r->n; i++)
		if (world.lost && !strcmp(r->refs[i].id, world.lost))
			r->refs[n++] = r->refs[i];
	((bf_store_items_lost_done *)r->done)(r->ctx, NULL, r->refs, n);
}

struct bf_op *bf_store_items_fetched(struct bf_store *s, uint64_t hi, uint64_t lo, const struct bf_fetched *v,
	int n, bf_store_items_lost_done *done, void *ctx)
{
	struct reply *r = reply(tell_lost, (any_fn *)done, ctx);

	(void)s, (void)hi, (void)lo;
	world.fetches++;
	r->n = (size_t)n;
	for (int i = 0; i < n; i++)
		r->refs[i] = v[i].item;
	return &r->op;
}

static void tell_look(struct reply *r)
{
	struct bf_looked looked[64] = { 0 };

	((bf_store_look_done *)r->done)(r->ctx, NULL, "2026-01-01 00:00:00+00", looked, (int)r->n);
}

struct bf_op *bf_store_items_look(struct bf_store *s, const struct bf_look *v, int n, bf_store_look_done *done,
	void *ctx)
{
	struct reply *r = reply(tell_look, (any_fn *)done, ctx);

	(void)s, (void)v;
	world.looks++;
	r->n = (size_t)n;
	return &r->op;
}

static void tell_written(struct reply *r)
{
	struct bf_error err;

	if (world.write_errors > 0) {
		world.write_errors--;
		bf_error_set(&err, world.write_error, "failed by the test");
		((bf_store_written_done *)r->done)(r->ctx, &err, NULL, 0);
		return;
	}
	for (size_t i = 0; i < r->n; i++) {
		r->written[i] = world.stale_left > 0 ? BF_WRITTEN_STALE : BF_WRITTEN_DONE;
		if (!world.stale_left)
			world.end[index_of(r->refs[i].id)].completed = true;
	}
	world.stale_left -= world.stale_left > 0;
	((bf_store_written_done *)r->done)(r->ctx, NULL, r->written, (int)r->n);
}

struct bf_op *bf_store_items_write(struct bf_store *s, const struct bf_enrich_write *w,
	bf_store_written_done *done, void *ctx)
{
	struct reply *r = reply(tell_written, (any_fn *)done, ctx);

	(void)s;
	world.writes++;
	r->n = (size_t)w->n_editions;
	for (int i = 0; i < w->n_editions; i++) {
		int k = index_of(w->editions[i].item.id);

		r->refs[i] = w->editions[i].item;
		world.end[k].writes++;
		snprintf(world.end[k].work_key, sizeof world.end[k].work_key, "%s",
			w->works[w->editions[i].work].work->work_key);
	}
	return &r->op;
}

struct bf_op *bf_store_items_end(struct bf_store *s, const struct bf_item_end *v, int n,
	bf_store_items_lost_done *done, void *ctx)
{
	struct reply *r = reply(tell_lost, (any_fn *)done, ctx);

	(void)s;
	world.ends++;
	r->n = (size_t)n;
	for (int i = 0; i < n; i++) {
		int k = index_of(v[i].ref.id);

		r->refs[i] = v[i].ref;
		world.end[k].how = v[i].how;
		world.end[k].wait_ms = v[i].wait_ms;
		snprintf(world.end[k].reason, sizeof world.end[k].reason, "%s", v[i].reason ? v[i].reason : "-");
		snprintf(world.end[k].waiting_for, sizeof world.end[k].waiting_for, "%s",
			v[i].waiting_for ? v[i].waiting_for : "");
	}
	return &r->op;
}

struct bf_op *bf_store_enhanced(struct bf_store *s, const struct bf_enhanced *v, bf_store_done *done, void *ctx)
{
	(void)s, (void)v, (void)done, (void)ctx;
	abort();
}

struct bf_op *bf_store_items_hurry(struct bf_store *s, bf_store_count_done *done, void *ctx)
{
	(void)s, (void)done, (void)ctx;
	abort(); /* no test reloads */
}

/* ---- the test's side ---- */
void world_reset(void)
{
	memset(&world, 0, sizeof world);
	world.units_left = -1;
	config = (struct bf_config){ 0 };
	config.enrichment.enabled = config.enrichment.siblings = true;
	config.enrichment.batch = 100;
	config.enrichment.poll_ms = 3600000;
	config.enrichment.max_attempts = 5;
	config.scheduler.retry_base_ms = 60000;
	config.scheduler.retry_cap_ms = 3600000;
	config.daemon.drain_timeout_ms = 30000;
}

void world_add(const char *isbn, const char *isbndb_record)
{
	struct bf_item *it = &world.items[world.n_items++];

	memset(it, 0, sizeof *it);
	snprintf(it->ref.id, sizeof it->ref.id, "item-%d", ++next_id);
	it->ref.fence = 1;
	it->key = isbn;
	it->max_retries = 5;
	if (isbndb_record) {
		it->known[BF_ISBNDB].known = it->known[BF_ISBNDB].found = true;
		it->known[BF_ISBNDB].record_json = isbndb_record;
	}
	memcpy(world.end[world.n_end++].id, it->ref.id, sizeof it->ref.id);
}

static void ended(void *ctx)
{
	(void)ctx;
}

struct bf_enrich *world_enrich(void)
{
	struct bf_enrich *e = bf_enrich_new(NULL, NULL, NULL, &config, ended, NULL);

	bf_enrich_pulse(e, &(struct bf_pulse){ .queue_depth = 1 });
	return e;
}

const char *world_end_of(int i)
{
	static const char *const names[] = { "wait", "retry", "failed", "release", "done", "rekey" };

	if (world.end[i].completed)
		return "completed";
	return world.end[i].reason[0] ? names[world.end[i].how] : NULL;
}
