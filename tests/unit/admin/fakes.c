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
	struct bf_events_ask page;
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

const double bf_lag_bounds_s[BF_LAG_BUCKETS] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };

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

struct bf_op *bf_store_alerts_json(struct bf_store *s, int limit, bf_store_json_done *done, void *ctx)
{
	(void)s;
	fakes.limit = limit;
	return ASK("alerts", answer_json, done, ctx);
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

/* ---- events and the audit ---- */
static void answer_mark(struct fake_op *op)
{
	const struct bf_events_mark mark = { .last = fakes.last_event, .pruned = fakes.pruned };

	((bf_store_events_mark_done *)op->done)(op->ctx, error_or_null(), &mark);
}

struct bf_op *bf_store_events_mark(struct bf_store *s, bf_store_events_mark_done *done, void *ctx)
{
	(void)s;
	return ASK("mark", answer_mark, done, ctx);
}

static bool is_asked(const struct bf_events_ask *asked, int64_t id)
{
	return asked->year == 0 || (asked->year == 2001 && (asked->month == 0 || asked->month == id % 12 + 1));
}

static void answer_page(struct fake_op *op)
{
	static struct bf_event events[600];
	const struct bf_events_ask *asked = &op->page;
	char *json = bf_xmalloc(fakes.event_bytes + 3);
	int64_t upto = asked->upto < fakes.last_event ? asked->upto : fakes.last_event;
	int64_t id = asked->after > fakes.pruned ? asked->after : fakes.pruned;
	size_t bytes = 0;
	int n = 0;

	memset(json, 'y', fakes.event_bytes + 2);
	json[0] = json[fakes.event_bytes + 1] = '"';
	json[fakes.event_bytes + 2] = '\0';
	while (++id <= upto && n < asked->limit && bytes < (size_t)asked->max_bytes) {
		if (!is_asked(asked, id))
			continue;
		events[n++] = (struct bf_event){ id, 2001, (int)(id % 12) + 1, "moved", json };
		bytes += fakes.event_bytes;
	}
	fakes.pages++;
	if (fakes.page_error.class != BF_ERR_NONE)
		((bf_store_events_done *)op->done)(op->ctx, &fakes.page_error, NULL, 0, false);
	else
		((bf_store_events_done *)op->done)(op->ctx, NULL, events, n, id <= upto);
	free(json);
}

struct bf_op *bf_store_events_page(struct bf_store *s, const struct bf_events_ask *asked, bf_store_events_done *done, void *ctx)
{
	struct bf_op *op = ASK("page", answer_page, done, ctx);

	(void)s;
	((struct fake_op *)op)->page = *asked;
	return op;
}

void bf_pg_listen(struct bf_pg *pg, const char *channel)
{
	(void)pg;
	fakes.listening += strcmp(channel, "backfill_events") == 0;
}

void bf_pg_unlisten(struct bf_pg *pg, const char *channel)
{
	(void)pg;
	fakes.listening -= strcmp(channel, "backfill_events") == 0;
}

static void answer_audit(struct fake_op *op)
{
	((bf_store_done *)op->done)(
		op->ctx, fakes.audit_error.class == BF_ERR_NONE ? NULL : &fakes.audit_error, BF_STORE_DONE);
}

/* Comes behind the answers, when it will, and so is none of the questions that tests count. */
struct bf_op *bf_store_audit_write(struct bf_store *s, const struct bf_audit *rows, int n, bf_store_done *done, void *ctx)
{
	struct fake_op *op = op_new(current_base, 0, true);

	(void)s;
	if (fakes.audit_error.class == BF_ERR_NONE)
		fakes.audited += n;
	fakes.audit_status = rows[n - 1].status;
	keep(fakes.audit_path, sizeof(fakes.audit_path), rows[n - 1].path);
	keep(fakes.audit_operator, sizeof(fakes.audit_operator), rows[n - 1].operator_name);
	keep(fakes.audit_outcome, sizeof(fakes.audit_outcome), rows[n - 1].outcome);
	keep(fakes.audit_body, sizeof(fakes.audit_body), rows[n - 1].body_json);
	keep(fakes.audit_agent, sizeof(fakes.audit_agent), rows[n - 1].user_agent);
	op->answer = answer_audit;
	op->done = (void (*)(void))done;
	op->ctx = ctx;
	return &op->op;
}

struct bf_op *bf_store_audit_json(struct bf_store *s, const struct bf_audit_filter *f, int limit, int64_t before_id,
				  bf_store_json_done *done, void *ctx)
{
	(void)s;
	(void)before_id;
	keep(fakes.reason, sizeof(fakes.reason), f->path);
	keep(fakes.provider, sizeof(fakes.provider), f->operator_name);
	fakes.limit = limit;
	return ASK("audit", answer_json, done, ctx);
}

static void answer_plan(struct fake_op *op)
{
	((bf_store_plan_done *)op->done)(op->ctx, error_or_null(), error_or_null() == NULL ? &fakes.plan : NULL);
}

struct bf_op *bf_store_plan_figures(struct bf_store *s, bf_store_plan_done *done, void *ctx)
{
	(void)s;
	return ASK("plan", answer_plan, done, ctx);
}

static void answer_overview(struct fake_op *op)
{
	((bf_store_overview_done *)op->done)(op->ctx, error_or_null(), error_or_null() == NULL ? &fakes.overview : NULL);
}

struct bf_op *bf_store_overview(struct bf_store *s, const struct bf_overview_ask *asked, bf_store_overview_done *done, void *ctx)
{
	(void)s;
	fakes.year_low = asked->year_low;
	fakes.year_high = asked->year_high;
	return ASK("overview", answer_overview, done, ctx);
}

static void answer_again(struct fake_op *op)
{
	((bf_store_again_done *)op->done)(op->ctx, error_or_null(), error_or_null() == NULL ? &fakes.again : NULL);
}

struct bf_op *bf_store_again(struct bf_store *s, const struct bf_again *a, bf_store_again_done *done, void *ctx)
{
	(void)s;
	fakes.year_low = a->year_low;
	fakes.year_high = a->year_high;
	fakes.limit = a->limit;
	fakes.dry_run = a->dry_run;
	return ASK("again", answer_again, done, ctx);
}

static void answer_why(struct fake_op *op)
{
	((bf_store_why_done *)op->done)(op->ctx, error_or_null(), error_or_null() == NULL ? &fakes.why : NULL);
}

struct bf_op *bf_store_why(struct bf_store *s, int year, int month, int year_low, int year_high,
			   bf_store_why_done *done, void *ctx)
{
	(void)s;
	(void)year_low;
	(void)year_high;
	fakes.year = year;
	fakes.month = month;
	return ASK("why", answer_why, done, ctx);
}

static void answer_findings(struct fake_op *op)
{
	((bf_store_findings_done *)op->done)(op->ctx, error_or_null(), error_or_null() == NULL ? &fakes.findings : NULL);
}

struct bf_op *bf_store_verify(struct bf_store *s, const struct bf_verify *v, bf_store_findings_done *done, void *ctx)
{
	(void)s;
	fakes.year_low = v->year_low;
	fakes.year_high = v->year_high;
	fakes.asked_years = v->asked;
	return ASK("verify", answer_findings, done, ctx);
}

struct bf_op *bf_store_doctor(struct bf_store *s, int connections, bf_store_findings_done *done, void *ctx)
{
	(void)s;
	(void)connections;
	return ASK("doctor", answer_findings, done, ctx);
}

static void answer_schema(struct fake_op *op)
{
	((bf_store_schema_done *)op->done)(op->ctx, error_or_null(), fakes.schema, "run: backfilld migrate");
}

struct bf_op *bf_store_check_schema(struct bf_store *s, bf_store_schema_done *done, void *ctx)
{
	(void)s;
	return ASK("schema", answer_schema, done, ctx);
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

const struct bf_alert_figures *bf_schedule_alert_figures(const struct bf_schedule *s)
{
	static const struct bf_alert_figures one = { .open = { { "quota", "warning", 2 } }, .n_open = 1, .delivered = 3 };

	(void)s;
	return &one;
}

int bf_schedule_instance(const struct bf_schedule *s)
{
	(void)s;
	return 1;
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

enum bf_standing bf_provider_standing(struct bf_providers *p, enum bf_provider_id id, int64_t *ret_wait_ms)
{
	(void)p;
	*ret_wait_ms = 0;
	return id == BF_GOOGLE_BOOKS ? BF_LEFT_OUT : BF_USABLE;
}

const char *bf_provider_off(const struct bf_providers *p, enum bf_provider_id id)
{
	(void)p;
	(void)id;
	return NULL;
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

int bf_config_files(const struct bf_config *config, bf_config_file_visit *visit, void *ctx)
{
	(void)config;
	visit(ctx, "configuration", "/etc/b.ini", false, NULL);
	visit(ctx, "admin.secret_file", "/etc/secret", true, fakes.file_problem);
	return 2;
}
