/*
 * The flusher: what the months found out, what may be cached or kept and what was spent is gathered for part of a second and written in
 * one statement for all months. One flush is under way at a time; it is repeated under its own id until the database has it,
 * so that a lost acknowledgement neither loses nor doubles anything.
 */
#include "gate.h"
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define GATHER_MS 600
#define AGAIN_MS  1000
/* A month whose row is locked: for this often it may be a statement of our own, which takes a moment. */
#define BUSY_TRIES 4
#define BUSY_MS    50
#define BUSY_US    2000000 /* then it is left out for so long */
#define BUSY_MAX   64

struct record { /* one finding and who waits for it */
	struct bf_op op;
	TAILQ_ENTRY(record) link;
	struct flusher *f;
	struct bf_resolution resolution; /* strings in the batch's arena */
	bool marker;                     /* no finding: waits for all before it */
	bf_store_done *done;
	void *ctx;
};
TAILQ_HEAD(records, record);

struct batch {
	struct records records;
	int n_resolutions;
	struct bf_cache_put *cache;
	int n_cache, cap_cache;
	struct bf_usage *usage;
	int n_usage, cap_usage;
	struct bf_record_put *kept;
	int n_kept, cap_kept;
	struct bf_arena *arena;
	uint64_t id_hi, id_lo;
};
struct flusher {
	struct bf_providers *p;
	struct batch gathering, flying;
	struct bf_resolution *sent; /* flying's findings as one array */
	struct bf_op *timer, *op;
	bool uncertain;             /* flying may have been written although nobody said so */
	int busy_tries;             /* of flying, in a row */
	struct bf_month_ref busy[BUSY_MAX]; /* months that are left out */
	int n_busy;
	uint64_t busy_until_us;
};

static void flush(struct flusher *);

static void batch_init(struct batch *b)
{
	memset(b, 0, sizeof *b);
	TAILQ_INIT(&b->records);
	b->arena = bf_arena_new();
	b->id_hi = bf_random_u64();
	b->id_lo = bf_random_u64();
}

static void batch_release(struct batch *b)
{
	struct record *r;

	while ((r = TAILQ_FIRST(&b->records))) {
		TAILQ_REMOVE(&b->records, r, link);
		free(r);
	}
	free(b->cache);
	free(b->usage);
	free(b->kept);
	bf_arena_free(b->arena);
	memset(b, 0, sizeof *b);
}

static bool batch_is_empty(const struct batch *b)
{
	return TAILQ_EMPTY(&b->records) && !b->n_cache && !b->n_usage && !b->n_kept;
}

static void timer_fired(void *ctx)
{
	struct flusher *f = ctx;

	f->timer = NULL;
	flush(f);
}

static void arm(struct flusher *f, int64_t ms)
{
	if (!f->timer && !f->op)
		f->timer = bf_timer_start(f->p->loop, ms, timer_fired, f);
}

/* ---- the answer ---- */
static bool is_lost(const struct bf_month_ref *ref, const struct bf_month_ref *lost, int n)
{
	for (int i = 0; i < n; i++)
		if (lost[i].year == ref->year && lost[i].month == ref->month &&
			lost[i].fence == ref->fence)
			return true;
	return false;
}

static void tell_lost(struct flusher *f, const struct bf_month_ref *lost, int n)
{
	for (int i = 0; i < n; i++)
		f->p->on_lost(f->p->lost_ctx, &lost[i]);
}

/* Each waiter hears once; it may record more, which gathers in the next batch. */
static void tell(
	struct batch *b, const struct bf_error *err, const struct bf_month_ref *lost, int n)
{
	struct record *r;

	while ((r = TAILQ_FIRST(&b->records))) {
		TAILQ_REMOVE(&b->records, r, link);
		if (r->done)
			r->done(r->ctx, err,
				!r->marker && is_lost(&r->resolution.ref, lost, n)
					? BF_STORE_NOT_MINE
					: BF_STORE_DONE);
		free(r);
	}
}

/* ---- months that another session has locked ---- */
static void keep_aside(struct flusher *f, struct record *r)
{
	struct bf_arena *arena = f->gathering.arena;

	TAILQ_REMOVE(&f->flying.records, r, link);
	TAILQ_INSERT_HEAD(&f->gathering.records, r, link);
	if (r->marker)
		return;
	r->resolution.resolved_by = bf_arena_strdup(arena, r->resolution.resolved_by);
	r->resolution.answers_json = bf_arena_strdup(arena, r->resolution.answers_json);
	r->resolution.record_json = bf_arena_strdup(arena, r->resolution.record_json);
	f->gathering.n_resolutions++;
	f->flying.n_resolutions--;
}

/* What belongs to busy months goes back to be gathered, as the oldest there is, and with it whoever waits for everything. */
static void set_aside(struct flusher *f)
{
	struct batch *b = &f->flying;
	struct record *r, *before;
	int n = 0, aside = 0;

	for (int i = 0; i < b->n_usage; i++) {
		const struct bf_usage *u = &b->usage[i];
		const struct bf_month_ref ref = { u->year, u->month, u->fence };

		if (is_lost(&ref, f->busy, f->n_busy)) {
			flusher_usage(f, u);
			aside++;
		} else {
			b->usage[n++] = *u;
		}
	}
	b->n_usage = n;
	TAILQ_FOREACH (r, &b->records, link)
		aside += !r->marker && is_lost(&r->resolution.ref, f->busy, f->n_busy);
	if (!aside)
		return;
	TAILQ_FOREACH_REVERSE_SAFE (r, &b->records, records, link, before)
		if (r->marker || is_lost(&r->resolution.ref, f->busy, f->n_busy))
			keep_aside(f, r);
}

static void send_the_rest(struct flusher *f);

/* Nothing was written, for the sake of months that others have locked: the rest goes without them, unless all of it may
 * have been written before. */
static void flush_is_busy(struct flusher *f, const struct bf_month_ref *busy, int n)
{
	if (++f->busy_tries < BUSY_TRIES) {
		arm(f, BUSY_MS);
		return;
	}
	bf_log(BF_WARN, "findings wait for months that another session has locked", BF_I("months", n),
		BF_I("year", busy[0].year), BF_I("month", busy[0].month));
	f->busy_tries = 0;
	if (f->uncertain) {
		arm(f, AGAIN_MS);
		return;
	}
	if (bf_now_us() >= f->busy_until_us)
		f->n_busy = 0;
	f->busy_until_us = bf_now_us() + BUSY_US;
	for (int i = 0; i < n && f->n_busy < BUSY_MAX; i++)
		f->busy[f->n_busy++] = busy[i];
	set_aside(f);
	send_the_rest(f);
}

static void flushed(
	void *ctx, const struct bf_error *err, const struct bf_month_ref *lost, int n_lost)
{
	struct flusher *f = ctx;

	f->op = NULL;
	if (err && err->class == BF_ERR_RETRY && n_lost > 0) {
		flush_is_busy(f, lost, n_lost);
		return;
	}
	f->busy_tries = 0;
	if (err && err->class == BF_ERR_RETRY) {
		f->uncertain = true;
		bf_log(BF_WARN, "findings not written yet",
			BF_I("findings", f->flying.n_resolutions), BF_E(err));
		arm(f, AGAIN_MS);
		return;
	}
	if (err)
		bf_log(BF_ERROR, "findings refused by the database",
			BF_I("findings", f->flying.n_resolutions), BF_E(err));
	free(f->sent);
	f->sent = NULL;
	f->uncertain = false;
	tell(&f->flying, err, lost, n_lost);
	batch_release(&f->flying);
	tell_lost(f, lost, n_lost);
	if (!batch_is_empty(&f->gathering))
		arm(f, GATHER_MS);
}

/* ---- the writing ---- */
static void send_flying(struct flusher *f)
{
	struct batch *b = &f->flying;
	struct bf_flush flush_it = { .flush_id_hi = b->id_hi,
		.flush_id_lo = b->id_lo,
		.resolutions = f->sent,
		.n_resolutions = b->n_resolutions,
		.cache = b->cache,
		.n_cache = b->n_cache,
		.usage = b->usage,
		.n_usage = b->n_usage,
		.records = b->kept,
		.n_records = b->n_kept };

	f->op = bf_store_flush(f->p->store, &flush_it, flushed, f);
}

/* Flying as one array, and off; when nothing is left of it, with the next. */
static void send_the_rest(struct flusher *f)
{
	struct record *r;
	int i = 0;

	free(f->sent);
	f->sent = NULL;
	if (batch_is_empty(&f->flying)) {
		batch_release(&f->flying);
		arm(f, GATHER_MS);
		return;
	}
	f->sent = bf_xcalloc((size_t)f->flying.n_resolutions + 1, sizeof *f->sent);
	TAILQ_FOREACH (r, &f->flying.records, link)
		if (!r->marker)
			f->sent[i++] = r->resolution;
	f->flying.n_resolutions = i;
	send_flying(f);
}

static void flush(struct flusher *f)
{
	if (f->op)
		return;
	if (f->flying.arena) { /* the last one is not through yet */
		send_flying(f);
		return;
	}
	if (batch_is_empty(&f->gathering))
		return;
	f->flying = f->gathering;
	TAILQ_INIT(&f->flying.records);
	TAILQ_CONCAT(&f->flying.records, &f->gathering.records, link);
	batch_init(&f->gathering);
	if (f->n_busy && bf_now_us() < f->busy_until_us)
		set_aside(f);
	else
		f->n_busy = 0;
	send_the_rest(f);
}

/* ---- gathering ---- */
static void *grow(void *items, int n, int *cap, size_t size)
{
	if (n < *cap)
		return items;
	*cap = *cap ? *cap * 2 : 16;
	return bf_xrealloc(items, (size_t)*cap, size);
}

void flusher_usage(struct flusher *f, const struct bf_usage *u)
{
	struct batch *b = &f->gathering;

	for (int i = 0; i < b->n_usage; i++) {
		struct bf_usage *old = &b->usage[i];

		if (old->provider != u->provider || old->year != u->year ||
			old->month != u->month || old->fence != u->fence)
			continue;
		old->calls += u->calls;
		old->errors += u->errors;
		old->units_sent += u->units_sent;
		old->units_unused += u->units_unused;
		old->tokens_in += u->tokens_in;
		old->tokens_out += u->tokens_out;
		old->cost_usd += u->cost_usd;
		return;
	}
	b->usage = grow(b->usage, b->n_usage, &b->cap_usage, sizeof *b->usage);
	b->usage[b->n_usage++] = *u;
	arm(f, GATHER_MS);
}

void flusher_cache(struct flusher *f, const struct bf_cache_put *put)
{
	struct batch *b = &f->gathering;
	struct bf_cache_put *copy;

	for (int i = 0; i < b->n_cache; i++) /* one statement may not touch one row twice */
		if (b->cache[i].provider == put->provider &&
			!strcmp(b->cache[i].title_key, put->title_key) &&
			!strcmp(b->cache[i].author_key, put->author_key))
			return;
	b->cache = grow(b->cache, b->n_cache, &b->cap_cache, sizeof *b->cache);
	copy = &b->cache[b->n_cache++];
	*copy = *put;
	copy->title_key = bf_arena_strdup(b->arena, put->title_key);
	copy->author_key = bf_arena_strdup(b->arena, put->author_key);
	copy->isbn13 = bf_arena_strdup(b->arena, put->isbn13);
	copy->record_json = bf_arena_strdup(b->arena, put->record_json);
	arm(f, GATHER_MS);
}

/* Once each. Whose companion it was stays known, though another question may have chosen it itself. */
void flusher_keep(struct flusher *f, const struct bf_record_put *put)
{
	struct batch *b = &f->gathering;
	struct bf_record_put *copy;

	for (int i = 0; i < b->n_kept; i++) {
		struct bf_record_put *old = &b->kept[i];

		if (old->provider != put->provider || strcmp(old->isbn13, put->isbn13) != 0)
			continue;
		if (!strcmp(old->for_isbn, old->isbn13))
			old->for_isbn = bf_arena_strdup(b->arena, put->for_isbn);
		return;
	}
	b->kept = grow(b->kept, b->n_kept, &b->cap_kept, sizeof *b->kept);
	copy = &b->kept[b->n_kept++];
	copy->provider = put->provider;
	copy->isbn13 = bf_arena_strdup(b->arena, put->isbn13);
	copy->for_isbn = bf_arena_strdup(b->arena, put->for_isbn);
	copy->record_json = bf_arena_strdup(b->arena, put->record_json);
	arm(f, GATHER_MS);
}

static void record_cancel(struct bf_op *op)
{
	struct record *r = bf_container_of(op, struct record, op);

	r->done = NULL; /* the finding is still written */
}

struct bf_op *bf_providers_record(struct bf_providers *p, const struct bf_resolution *resolution,
	bf_store_done *done, void *ctx)
{
	struct flusher *f = p->flusher;
	struct bf_arena *arena = f->gathering.arena;
	struct record *r = bf_xcalloc(1, sizeof *r);

	r->op.cancel = record_cancel;
	r->f = f;
	r->resolution = *resolution;
	r->resolution.resolved_by = bf_arena_strdup(arena, resolution->resolved_by);
	r->resolution.answers_json = bf_arena_strdup(arena, resolution->answers_json);
	r->resolution.record_json = bf_arena_strdup(arena, resolution->record_json);
	r->done = done;
	r->ctx = ctx;
	TAILQ_INSERT_TAIL(&f->gathering.records, r, link);
	f->gathering.n_resolutions++;
	arm(f, GATHER_MS);
	return &r->op;
}

struct bf_op *bf_providers_flush(struct bf_providers *p, bf_store_done *done, void *ctx)
{
	struct flusher *f = p->flusher;
	struct record *r = bf_xcalloc(1, sizeof *r);

	r->op.cancel = record_cancel;
	r->f = f;
	r->marker = true;
	r->done = done;
	r->ctx = ctx;
	TAILQ_INSERT_TAIL(&f->gathering.records, r, link);
	if (!f->flying.arena && !f->op) {
		bf_op_cancel(f->timer);
		f->timer = NULL;
		arm(f, 0);
	}
	return &r->op;
}

struct flusher *flusher_new(struct bf_providers *p)
{
	struct flusher *f = bf_xcalloc(1, sizeof *f);

	f->p = p;
	batch_init(&f->gathering);
	TAILQ_INIT(&f->flying.records);
	return f;
}

void flusher_free(struct flusher *f)
{
	if (!f)
		return;
	bf_op_cancel(f->timer);
	bf_op_cancel(f->op);
	free(f->sent);
	if (f->flying.arena)
		batch_release(&f->flying);
	batch_release(&f->gathering);
	free(f);
}
