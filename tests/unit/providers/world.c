/* world: see world.h. */
#include "world.h"
#include <stdlib.h>
#include <string.h>

struct world w;

/* One thing that will happen: a timer, or the store's answer in a later turn. */
struct due {
	struct bf_op op;
	TAILQ_ENTRY(due) link;
	uint64_t at_us;
	bf_loop_fn *fn;
	void *ctx;
	void (*answer)(struct due *); /* NULL: a timer */
	void (*done)(void);           /* the asker's completion, in its own shape */
	enum bf_provider_id provider;
	struct bf_reserved reserved;
	struct bf_month_ref busy; /* a flush's, when its year is not 0 */
	bool doubtful;
};
static TAILQ_HEAD(, due) dues = TAILQ_HEAD_INITIALIZER(dues);

uint64_t __wrap_bf_now_us(void);
uint64_t __wrap_bf_now_us(void)
{
	return w.now_us;
}

/* ---- the loop ---- */
static void due_cancel(struct bf_op *op)
{
	struct due *d = bf_container_of(op, struct due, op);

	TAILQ_REMOVE(&dues, d, link);
	free(d);
}

static struct due *due_new(int64_t after_ms, void *ctx)
{
	struct due *d = bf_xcalloc(1, sizeof *d), *at;

	d->op.cancel = due_cancel;
	d->at_us = w.now_us + (uint64_t)after_ms * 1000;
	d->ctx = ctx;
	TAILQ_FOREACH (at, &dues, link)
		if (at->at_us > d->at_us)
			break;
	if (at)
		TAILQ_INSERT_BEFORE(at, d, link);
	else
		TAILQ_INSERT_TAIL(&dues, d, link);
	return d;
}

struct bf_op *bf_timer_start(struct bf_loop *loop, int64_t after_ms, bf_loop_fn *fn, void *ctx)
{
	struct due *d = due_new(after_ms, ctx);

	(void)loop;
	d->fn = fn;
	return &d->op;
}

void bf_op_cancel(struct bf_op *op)
{
	if (op)
		op->cancel(op);
}

/* Pulses come while the database is there. They tell nothing new here; that they came is all. */
static void beat(void)
{
	for (int i = 0; i < BF_NPROVIDERS && !w.cut_off; i++)
		if (w.p->joined)
			w.p->lane[i].rate.valid_until_us = w.now_us + 8000000;
}

void world_run(int64_t ms)
{
	uint64_t until = w.now_us + (uint64_t)ms * 1000;
	struct due *d;

	while ((d = TAILQ_FIRST(&dues)) && d->at_us <= until) {
		if (d->at_us > w.now_us)
			w.now_us = d->at_us;
		beat();
		TAILQ_REMOVE(&dues, d, link);
		if (d->answer)
			d->answer(d);
		else
			d->fn(d->ctx);
		free(d);
	}
	w.now_us = until;
	beat();
}

/* ---- HTTP ---- */
struct http_op {
	struct bf_op op;
	struct world_request *request;
};

static void http_cancel(struct bf_op *op)
{
	struct http_op *h = bf_container_of(op, struct http_op, op);

	h->request->live = false;
	free(h);
}

static void reply(struct world_request *r, int status, const char *body)
{
	struct bf_http_reply answer = { .status = status,
		.body = body,
		.body_len = strlen(body),
		.retry_after_ms = w.retry_after_ms ? w.retry_after_ms : -1,
		.content_type = "application/json" };

	assert_true(r->live);
	r->live = false;
	free(bf_container_of(r->op, struct http_op, op));
	r->done(r->ctx, NULL, &answer);
}

static void no_limits(struct due *d)
{
	struct world_request *r = d->ctx;

	if (r->live)
		reply(r, 404, "{\"message\":\"not found\"}");
	free(r);
}

struct bf_op *bf_http_start(
	struct bf_http *http, const struct bf_http_request *req, bf_http_done *done, void *ctx)
{
	struct http_op *h = bf_xcalloc(1, sizeof *h);
	size_t len = strlen(req->url);
	bool limits = len > 4 && strcmp(req->url + len - 4, "/key") == 0;

	(void)http;
	assert_true(w.n_requests < WORLD_MAX);
	h->request = limits ? bf_xcalloc(1, sizeof *h->request) : &w.request[w.n_requests++];
	h->op.cancel = http_cancel;
	h->request->op = &h->op;
	h->request->live = true;
	h->request->done = done;
	h->request->ctx = ctx;
	h->request->fresh = req->fresh_connection;
	if (limits) {
		due_new(0, h->request)->answer = no_limits;
		return &h->op;
	}
	h->request->url = bf_xstrdup(req->url);
	h->request->body = req->body ? bf_xstrdup(req->body) : NULL;
	return &h->op;
}

void world_answer(int i, int status, const char *body)
{
	assert_true(i < w.n_requests);
	reply(&w.request[i], status, body);
	world_run(0);
}

/* ---- the store ---- */
static void reserved(struct due *d)
{
	bf_store_reserve_done *done = (bf_store_reserve_done *)d->done;

	d->reserved.used = w.used[d->provider];
	done(d->ctx, NULL, &d->reserved);
}

/* Each wish whole or not at all, as the statement does, unless the test wants it in parts. */
struct bf_op *bf_store_reserve(struct bf_store *s, enum bf_provider_id provider, int daily_limit,
	int reserve, const struct bf_reserve *v, int n, bf_store_reserve_done *done, void *ctx)
{
	struct due *d = due_new(0, ctx);

	(void)s;
	d->answer = reserved;
	d->done = (void (*)(void))done;
	d->provider = provider;
	d->reserved.reset_in_ms = DAY_LEFT_MS;
	for (int i = 0; i < n; i++) {
		int units = v[i].units;

		assert_true(units > 0);
		if (w.locked_month && v[i].ref.month == w.locked_month) {
			d->reserved.busy[i] = true;
			continue;
		}
		assert_true(w.n_wants < WORLD_MAX);
		w.want[w.n_wants++] = v[i];
		if (daily_limit > 0 && w.used[provider] + units > daily_limit - reserve)
			units = 0;
		if (w.grant_at_most >= 0 && units > w.grant_at_most)
			units = w.grant_at_most;
		d->reserved.granted[i] = units;
		w.used[provider] += units;
	}
	return &d->op;
}

static void flushed(struct due *d)
{
	bf_store_lost_done *done = (bf_store_lost_done *)d->done;
	struct bf_error err;

	bf_error_set(&err, BF_ERR_RETRY, "not now");
	if (d->busy.year)
		done(d->ctx, &err, &d->busy, 1);
	else
		done(d->ctx, d->doubtful ? &err : NULL, NULL, 0);
}

/* As the statement does: nothing of a flush with a locked month, and nothing twice. */
static bool is_written(struct due *d, const struct bf_flush *f)
{
	for (int i = 0; i < w.n_written; i++)
		if (w.written_id[i] == f->flush_id_lo)
			return true;
	for (int i = 0; w.locked_month && i < f->n_usage; i++)
		if (f->usage[i].month == w.locked_month)
			d->busy = (struct bf_month_ref){ f->usage[i].year, f->usage[i].month,
				f->usage[i].fence };
	for (int i = 0; w.locked_month && i < f->n_resolutions; i++)
		if (f->resolutions[i].ref.month == w.locked_month)
			d->busy = f->resolutions[i].ref;
	return d->busy.year;
}

struct bf_op *bf_store_flush(
	struct bf_store *s, const struct bf_flush *f, bf_store_lost_done *done, void *ctx)
{
	struct due *d = due_new(0, ctx);

	(void)s;
	d->answer = flushed;
	d->done = (void (*)(void))done;
	w.n_flushes++;
	d->doubtful = w.flush_is_doubtful;
	w.flush_is_doubtful = false;
	if (d->doubtful)
		w.doubtful_id = f->flush_id_lo;
	if (d->doubtful || is_written(d, f))
		return &d->op;
	assert_true(w.n_written < WORLD_MAX);
	w.written_id[w.n_written++] = f->flush_id_lo;
	w.n_findings += f->n_resolutions;
	for (int i = 0; i < f->n_usage; i++) {
		const struct bf_usage *u = &f->usage[i];
		struct bf_usage *sum = &w.spent[u->provider];

		sum->year += u->year;
		sum->calls += u->calls;
		sum->errors += u->errors;
		sum->cost_usd += u->cost_usd;
		sum->units_sent += u->units_sent;
		sum->units_unused += u->units_unused;
		w.used[u->provider] -= u->units_unused;
	}
	for (int i = 0; i < f->n_records; i++) {
		const struct bf_record_put *r = &f->records[i];

		assert_true(w.n_kept < WORLD_MAX);
		w.kept[w.n_kept++] = (struct world_record){ .provider = r->provider,
			.isbn13 = bf_xstrdup(r->isbn13),
			.for_isbn = bf_xstrdup(r->for_isbn),
			.json = bf_xstrdup(r->record_json) };
	}
	return &d->op;
}

static void stored(struct due *d)
{
	((bf_store_done *)d->done)(d->ctx, NULL, BF_STORE_DONE);
}

static struct bf_op *store_later(bf_store_done *done, void *ctx)
{
	struct due *d = due_new(0, ctx);

	d->answer = stored;
	d->done = (void (*)(void))done;
	return &d->op;
}

struct bf_op *bf_store_probe_provider(struct bf_store *s, enum bf_provider_id provider,
	int64_t hold_ms, bf_store_done *done, void *ctx)
{
	(void)s;
	(void)provider;
	(void)hold_ms;
	w.n_probes++;
	return store_later(done, ctx);
}

struct bf_op *bf_store_close_provider(
	struct bf_store *s, const struct bf_provider_closure *v, bf_store_done *done, void *ctx)
{
	(void)s;
	(void)v;
	w.n_closed++;
	return store_later(done, ctx);
}

struct bf_op *bf_store_open_provider(
	struct bf_store *s, enum bf_provider_id provider, bf_store_done *done, void *ctx)
{
	(void)s;
	(void)provider;
	return store_later(done, ctx);
}

/* ---- the test's own hands ---- */
static void lost(void *ctx, const struct bf_month_ref *ref)
{
	(void)ctx;
	(void)ref;
	w.n_lost++;
}

int world_setup(void **state)
{
	static char base[] = "http://127.0.0.1:9", key[] = "k3y-OF-the_test.42", empty[] = "";

	(void)state;
	memset(&w, 0, sizeof w);
	w.now_us = 5000000000;
	w.grant_at_most = -1;
	bf_log_setup(BF_ERROR, false);
	for (int i = 0; i < BF_NPROVIDERS; i++) {
		w.config.provider[i] = (struct bf_provider_config){ .enabled = true,
			.base_url = base,
			.model = empty,
			.api_key = key,
			.needs_key = i <= BF_GOOGLE_BOOKS,
			.timeout_ms = 15000,
			.rate_per_s = 20,
			.concurrency = 10,
			.proxy = empty };
		w.config.resolution.order[i] = BF_ISBNDB + i;
	}
	w.config.resolution.n_order = 1;
	w.config.resolution.min_confidence = 70;
	w.config.resolution.cache_ttl_ms = 3600000;
	w.config.daemon.contact = empty;
	w.p = bf_providers_new(NULL, NULL, NULL, &w.config, lost, NULL);
	return 0;
}

int world_teardown(void **state)
{
	(void)state;
	bf_providers_free(w.p);
	while (!TAILQ_EMPTY(&dues)) { /* what the room starts and does not hold */
		struct due *d = TAILQ_FIRST(&dues);

		TAILQ_REMOVE(&dues, d, link);
		if (d->answer == no_limits)
			free(d->ctx);
		free(d);
	}
	for (int i = 0; i < w.n_requests; i++) {
		assert_false(w.request[i].live);
		free(w.request[i].url);
		free(w.request[i].body);
	}
	for (int i = 0; i < w.n_kept; i++) {
		free(w.kept[i].isbn13);
		free(w.kept[i].for_isbn);
		free(w.kept[i].json);
	}
	return 0;
}

void world_pulse(int64_t isbndb_used)
{
	static const int me[] = { 1 };
	struct bf_pulse pulse = { .db_wall_us = 1700000000000000,
		.instance_ids = me,
		.n_instances = 1,
		.isbndb_used = isbndb_used };

	bf_providers_pulse(w.p, 1, true, &pulse);
	world_run(0);
}

void world_begin(enum bf_provider_id id, int daily_limit, int reserve)
{
	w.config.provider[id].daily_limit = daily_limit;
	w.config.provider[id].reserve = reserve;
	bf_providers_configure(w.p, &w.config);
	world_pulse(-1);
}
