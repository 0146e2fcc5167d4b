/*
 * fakes: see fakes.h. Every question is answered in the next turn of the loop, or never, as the test wants it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <event2/event.h>
#include "fakes.h"

struct fakes fakes;
static const struct bf_pulse nothing;

struct fake_op {
	struct bf_op op;		/* first: an op is a fake_op */
	struct event *event;
	void (*answer)(struct fake_op *);
	void (*done)(void);		/* the caller's completion, in its own shape */
	bf_loop_fn *fn;
	void *ctx;
};
struct bf_loop { struct event_base *base; };

/* Everything works and knows nothing. */
void fakes_reset(void)
{
	memset(&fakes, 0, sizeof(fakes));
	fakes.database_up = fakes.locks_up = fakes.any_ai = true;
	fakes.json = "{}";
	fakes.pulse = &nothing;
}

/* ---- the loop ---- */
struct bf_loop *fakes_loop_new(void)
{
	struct bf_loop *loop = bf_xcalloc(1, sizeof(*loop));

	loop->base = event_base_new();
	return loop;
}

void fakes_loop_free(struct bf_loop *loop)
{
	event_base_free(loop->base);
	free(loop);
}

struct event_base *bf_loop_base(struct bf_loop *loop)
{
	return loop->base;
}

static struct event_base *current_base;
static struct fake_op *held_op;

static void on_event(evutil_socket_t fd, short what, void *arg)
{
	struct fake_op *op = arg;

	(void)fd;
	(void)what;
	if (op->answer != NULL)
		op->answer(op);
	else
		op->fn(op->ctx);
	event_free(op->event);
	free(op);
}

static void cancel(struct bf_op *base)
{
	struct fake_op *op = (struct fake_op *)base;

	if (op->answer != NULL)
		fakes.cancelled++;
	event_free(op->event);
	free(op);
}

static struct fake_op *op_new(struct event_base *base, int64_t after_ms, bool start)
{
	struct timeval tv = { .tv_sec = after_ms / 1000, .tv_usec = after_ms % 1000 * 1000 };
	struct fake_op *op = bf_xcalloc(1, sizeof(*op));

	op->op.cancel = cancel;
	op->event = event_new(base, -1, 0, on_event, op);
	if (start)
		event_add(op->event, &tv);
	return op;
}

struct bf_op *bf_timer_start(struct bf_loop *loop, int64_t after_ms, bf_loop_fn *fn, void *ctx)
{
	struct fake_op *op = op_new(loop->base, after_ms, true);

	current_base = loop->base;
	op->fn = fn;
	op->ctx = ctx;
	return &op->op;
}

void bf_op_cancel(struct bf_op *op)
{
	if (op != NULL)
		op->cancel(op);
}

const double bf_lag_bounds_s[BF_LAG_BUCKETS] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 };

void bf_loop_lag(const struct bf_loop *loop, struct bf_lag *ret)
{
	(void)loop;
	memset(ret, 0, sizeof(*ret));
}

/* ---- the sessions ---- */
const double bf_pg_latency_bounds_s[BF_PG_LATENCY_BUCKETS] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };

bool bf_pg_is_up(const struct bf_pg *pg)
{
	return pg == NULL ? fakes.database_up : fakes.locks_up;
}

void bf_pg_stats(const struct bf_pg *pg, struct bf_pg_stats *ret)
{
	(void)pg;
	memset(ret, 0, sizeof(*ret));
}

int bf_http_open_connections(const struct bf_http *http)
{
	(void)http;
	return 0;
}

/* ---- the store ---- */
static const struct bf_error *error_or_null(void)
{
	return fakes.error.class == BF_ERR_NONE ? NULL : &fakes.error;
}

/* Answers a held question in the next turn. */
void fakes_answer(void)
{
	event_active(held_op->event, EV_TIMEOUT, 0);
}

static struct bf_op *ask(const char *name, void (*answer)(struct fake_op *), void (*done)(void), void *ctx)
{
	struct fake_op *op = op_new(current_base, 0, !fakes.hold);

	held_op = op;
	fakes.asked++;
	snprintf(fakes.last, sizeof(fakes.last), "%s", name);
	op->answer = answer;
	op->done = done;
	op->ctx = ctx;
	return &op->op;
}
#define ASK(name, answer, done, ctx) ask((name), (answer), (void (*)(void))(done), (ctx))

static void answer_json(struct fake_op *op)
{
	((bf_store_json_done *)op->done)(op->ctx, error_or_null(), fakes.json);
}

static void answer_done(struct fake_op *op)
{
	((bf_store_done *)op->done)(op->ctx, error_or_null(), fakes.outcome);
}

static void answer_count(struct fake_op *op)
{
	((bf_store_count_done *)op->done)(op->ctx, error_or_null(), fakes.count);
}

static void answer_claim(struct fake_op *op)
{
	((bf_store_claim_done *)op->done)(op->ctx, error_or_null(), error_or_null() == NULL ? &fakes.claim : NULL);
}

static void answer_harvest(struct fake_op *op)
{
	((bf_store_harvest_done *)op->done)(op->ctx, error_or_null(), error_or_null() == NULL ? &fakes.harvest : NULL);
}

struct bf_op *bf_store_stats_json(struct bf_store *s, bf_store_json_done *done, void *ctx)
{
	(void)s;
	return ASK("stats", answer_json, done, ctx);
}

struct bf_op *bf_store_months_json(struct bf_store *s, bf_store_json_done *done, void *ctx)
{
	(void)s;
	return ASK("months", answer_json, done, ctx);
}

struct bf_op *bf_store_month_json(struct bf_store *s, int year, int month, bf_store_json_done *done, void *ctx)
{
	(void)s;
	fakes.year_low = year;
	fakes.year_high = month;
	return ASK("month", answer_json, done, ctx);
}

struct bf_op *bf_store_job_json(struct bf_store *s, const char *id, bf_store_json_done *done, void *ctx)
{
	(void)s;
	(void)id;
	return ASK("job", answer_json, done, ctx);
}

static void keep(char *to, size_t size, const char *text)
{
	snprintf(to, size, "%s", text != NULL ? text : "(none)");
}

struct bf_op *bf_store_book_json(struct bf_store *s, const char *isbn13, const char *work_key,
				 bf_store_json_done *done, void *ctx)
{
	(void)s;
	keep(fakes.isbn13, sizeof(fakes.isbn13), isbn13);
	keep(fakes.work_key, sizeof(fakes.work_key), work_key);
	return ASK("book", answer_json, done, ctx);
}

static void keep_filter(const struct bf_item_filter *f)
{
	keep(fakes.status, sizeof(fakes.status), f->status);
	keep(fakes.reason, sizeof(fakes.reason), f->reason);
	keep(fakes.provider, sizeof(fakes.provider), f->provider);
	fakes.year = f->year;
	fakes.month = f->month;
}

struct bf_op *bf_store_items_json(struct bf_store *s, const struct bf_item_filter *f, int limit, const char *after_id,
				  bf_store_json_done *done, void *ctx)
{
	(void)s;
	keep_filter(f);
	keep(fakes.after, sizeof(fakes.after), after_id);
	fakes.limit = limit;
	return ASK("items", answer_json, done, ctx);
}

struct bf_op *bf_store_redrive(struct bf_store *s, const struct bf_item_filter *f, bool dry_run, int limit,
			       bf_store_json_done *done, void *ctx)
{
	(void)s;
	keep_filter(f);
	fakes.dry_run = dry_run;
	fakes.limit = limit;
	return ASK("redrive", answer_json, done, ctx);
}

struct bf_op *bf_store_adopt(struct bf_store *s, bool dry_run, int limit, int max_retries,
			     bf_store_json_done *done, void *ctx)
{
	(void)s;
	fakes.dry_run = dry_run;
	fakes.limit = limit;
	fakes.max_retries = max_retries;
	return ASK("adopt", answer_json, done, ctx);
}

struct bf_op *bf_store_quota_json(struct bf_store *s, const struct bf_quota_limits *limits,
				  bf_store_json_done *done, void *ctx)
{
	(void)s;
	(void)limits;
	return ASK("quota", answer_json, done, ctx);
}

struct bf_op *bf_store_pause(struct bf_store *s, bool paused, const char *note, const char *until,
			     bf_store_done *done, void *ctx)
{
	(void)s;
	fakes.paused = paused;
	snprintf(fakes.note, sizeof(fakes.note), "%s", note != NULL ? note : "(none)");
	snprintf(fakes.until, sizeof(fakes.until), "%s", until != NULL ? until : "(none)");
	return ASK("pause", answer_done, done, ctx);
}

struct bf_op *bf_store_operator(struct bf_store *s, enum bf_operator_action action, int year, int month,
				bf_store_done *done, void *ctx)
{
	(void)s;
	(void)action;
	(void)year;
	(void)month;
	return ASK("operator", answer_done, done, ctx);
}

struct bf_op *bf_store_seed(struct bf_store *s, const struct bf_seed *seed, bf_store_count_done *done, void *ctx)
{
	(void)s;
	fakes.seed = *seed;
	return ASK("seed", answer_count, done, ctx);
}

struct bf_op *bf_store_preview(struct bf_store *s, int limit, int year_low, int year_high, bool force_retry,
			       bf_store_claim_done *done, void *ctx)
{
	(void)s;
	fakes.batch_size = limit;
	fakes.year_low = year_low;
	fakes.year_high = year_high;
	fakes.force_retry = force_retry;
	return ASK("preview", answer_claim, done, ctx);
}

/* ---- schedule ---- */
struct bf_op *bf_schedule_claim(struct bf_schedule *s, int batch_size, int year_a, int year_b, bool force_retry,
				bf_store_claim_done *done, void *ctx)
{
	(void)s;
	fakes.batch_size = batch_size;
	fakes.year_low = year_a;
	fakes.year_high = year_b;
	fakes.force_retry = force_retry;
	return ASK("claim", answer_claim, done, ctx);
}

struct bf_op *bf_schedule_harvest(struct bf_schedule *s, const struct bf_harvest *h,
				  bf_store_harvest_done *done, void *ctx)
{
	(void)s;
	fakes.harvest_ask = *h;
	return ASK("harvest", answer_harvest, done, ctx);
}

const char *bf_schedule_blocked(const struct bf_schedule *s)
{
	(void)s;
	return fakes.blocked;
}

bool bf_schedule_draining(const struct bf_schedule *s)
{
	(void)s;
	return false;
}

const struct bf_pulse *bf_schedule_last_pulse(const struct bf_schedule *s, int64_t *ret_age_ms)
{
	(void)s;
	if (ret_age_ms != NULL)
		*ret_age_ms = 0;
	return fakes.pulse;
}

int64_t bf_schedule_next_run(const struct bf_schedule *s)
{
	(void)s;
	return -1;
}

/* ---- enrich ---- */
const char *const bf_item_end_names[BF_ITEM_ENDS] = {
	"completed", "waiting", "retry", "failed", "released", "lost", "rekeyed"
};
const double bf_batch_bounds_s[BF_BATCH_BUCKETS] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 1e300 };

int bf_enrich_count(const struct bf_enrich *e)
{
	(void)e;
	return 7;
}

void bf_enrich_figures(const struct bf_enrich *e, struct bf_enrich_figures *ret)
{
	(void)e;
	*ret = fakes.enrich;
}

/* ---- months ---- */
const char *const bf_stage_names[BF_STAGES] = { "claimed", "generating", "saving", "resolving", "queueing" };
const double bf_stage_bounds_s[BF_STAGE_BUCKETS] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 };

int bf_months_count(const struct bf_months *m)
{
	(void)m;
	return fakes.held.year != 0;
}

int bf_months_in_flight(const struct bf_months *m)
{
	return bf_months_count(m);
}

int bf_months_refs(const struct bf_months *m, struct bf_month_ref *ret, int max, bool waiting_only)
{
	(void)m;
	(void)waiting_only;
	if (fakes.held.year == 0 || max < 1)
		return 0;
	ret[0] = fakes.held;
	return 1;
}

void bf_months_lost(struct bf_months *m, const struct bf_month_ref *ref)
{
	(void)m;
	if (ref->fence == fakes.held.fence)
		fakes.lost++;
}

void bf_months_figures(const struct bf_months *m, struct bf_month_figures *ret)
{
	(void)m;
	memset(ret, 0, sizeof(*ret));
}

/* ---- providers ---- */
const char *const bf_provider_names[BF_NPROVIDERS] = {
	"gemini", "xai", "isbndb", "google_books", "open_library", "archive_org", "wikidata"
};
const char *const bf_outcome_names[BF_OUTCOMES] = { "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m" };
const double bf_http_latency_bounds_s[BF_HTTP_LATENCY_BUCKETS] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };

int bf_provider_by_name(const char *name)
{
	for (int id = 0; id < BF_NPROVIDERS; id++) {
		if (strcmp(bf_provider_names[id], name) == 0)
			return id;
	}
	return -1;
}

int bf_provider_daily_limit(const struct bf_providers *p, enum bf_provider_id id, int *ret_reserve)
{
	(void)p;
	*ret_reserve = id == BF_ISBNDB ? 2000 : 0;
	return id == BF_ISBNDB ? 15000 : 0;
}

const char *bf_provider_unusable(struct bf_providers *p, enum bf_provider_id id)
{
	(void)p;
	return id == BF_GOOGLE_BOOKS ? "no api key" : NULL;
}

bool bf_providers_any_ai(struct bf_providers *p)
{
	(void)p;
	return fakes.any_ai;
}

void bf_provider_figures(const struct bf_providers *p, enum bf_provider_id id, struct bf_provider_figures *ret)
{
	(void)p;
	memset(ret, 0, sizeof(*ret));
	ret->quota_used = id == BF_ISBNDB ? 58 : -1;
	ret->latency[0] = 2;
	ret->latency[3] = 1;
}

/* ---- books and config ---- */
const char *const bf_prompt_variants[BF_PROMPT_VARIANTS] = {
	"baseline", "contemporary-notable", "annual", "diversity-emphasis", "overlooked-significance", "genre-rotation",
	"era-contextualized"
};

int bf_prompt_index(const char *variant)
{
	for (int i = 0; i < BF_PROMPT_VARIANTS; i++) {
		if (strcmp(bf_prompt_variants[i], variant) == 0)
			return i;
	}
	return -1;
}

void bf_config_each(const struct bf_config *config, bf_config_visit *visit, void *ctx)
{
	(void)config;
	visit(ctx, "admin", "listen", "127.0.0.1:0", false);
	visit(ctx, "admin", "secret", "set", true);
	visit(ctx, "scheduler", "batch_size", "10", true);
}
