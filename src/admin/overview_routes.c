/*
 * overview_routes: one answer from which a page of the whole is painted. The database tells its part as of one moment; what
 * only this process knows of providers, the timer and its own pace is added here. Written without white space, for it is
 * asked for often.
 */
#include "estimate.h"
#include "handlers.h"
#include "progress.h"
#include <math.h>
#include <string.h>

#define CONTRACT   1	/* of the interface; raised when a reader must change */
#define RUNS_WALK  400	/* runs of the timer that are looked up; what lies behind goes by their average */
#define TOP_BOUND  120.0	/* what the last bucket's seconds count as */
static const char columns[] = "[\"year\",\"month\",\"status\",\"stage\",\"books\",\"isbns\",\"rate\",\"cost_usd\","
			      "\"retry_count\",\"agreement\",\"at\",\"variant\"]";

/* JSON of PostgreSQL without the blanks between its tokens; NULL: the other value. */
static void raw(struct bf_jw *jw, struct bf_arena *arena, const char *json, const char *if_null)
{
	char *text;
	size_t n = 0;
	bool quoted = false;

	if (json == NULL)
		json = if_null;
	text = bf_arena_alloc(arena, strlen(json) + 1);
	for (const char *s = json; *s != '\0'; s++) {
		if (!quoted && (*s == ' ' || *s == '\n' || *s == '\t'))
			continue;
		text[n++] = *s;
		if (quoted && *s == '\\' && s[1] != '\0')
			text[n++] = *++s;
		else if (*s == '"')
			quoted = !quoted;
	}
	bf_jw_raw(jw, text, n);
}

static void put_str(struct bf_jw *jw, const char *key, const char *value)
{
	bf_jw_key(jw, key);
	bf_jw_str(jw, value);
}

static void put_int(struct bf_jw *jw, const char *key, int64_t value)
{
	bf_jw_key(jw, key);
	bf_jw_int(jw, value);
}

/* A time; 0 and below: none. */
static void put_time(struct bf_jw *jw, const char *key, int64_t us)
{
	char text[32];

	bf_format_time(text, us > 0 ? us : 0);
	put_str(jw, key, us > 0 ? text : NULL);
}

/* ---- the timer ---- */
/* When the run is that claims the last of so many pending months, microseconds; 0: nobody can tell. */
static int64_t last_run(const struct bf_admin *admin, int64_t next, int pending)
{
	const struct bf_config *c = admin->config;
	int batch = c->scheduler.batch_size > 0 ? c->scheduler.batch_size : 1;
	int runs = (pending + batch - 1) / batch;
	int64_t at = next, first = next;
	struct bf_cron cron;
	struct bf_error err;

	if (next < 0 || !bf_cron_parse(&cron, c->scheduler.schedule, &err))
		return 0;
	for (int i = 1; i < runs && at >= 0; i++) {
		if (i == RUNS_WALK)
			return (first + (at - first) / (i - 1) * (runs - 1)) * 1000000;
		at = bf_cron_next(&cron, c->scheduler.timezone, at);
	}
	return at >= 0 ? at * 1000000 : 0;
}

static void write_timer(struct bf_jw *jw, const struct bf_admin *admin)
{
	const struct bf_config *c = admin->config;
	int64_t next = bf_schedule_next_run(admin->parts.schedule);

	bf_jw_key(jw, "timer");
	bf_jw_obj(jw);
	put_str(jw, "schedule", c->scheduler.schedule);
	put_str(jw, "timezone", c->scheduler.timezone);
	put_time(jw, "next", next > 0 ? next * 1000000 : 0);
	put_int(jw, "batch_size", c->scheduler.batch_size);
	put_int(jw, "year_start", c->scheduler.year_start);
	put_int(jw, "year_end", c->scheduler.year_end);
	bf_jw_end_obj(jw);
}

/* ---- progress ---- */
/* Why no AI can be asked, and when the first of them can be again. */
static void ask_ais(const struct bf_admin *admin, struct bf_arena *arena, int64_t now_us, struct progress_facts *f)
{
	struct bf_providers *p = admin->parts.providers;
	const char *text = NULL;

	if (bf_providers_any_ai(p))
		return;
	for (int id = 0; id < BF_NAIS; id++) {
		const char *why = bf_provider_unusable(p, (enum bf_provider_id)id);
		int64_t wait_ms = 0, back;

		if (why == NULL)
			why = "not usable";
		text = text == NULL ? bf_arena_printf(arena, "%s: %s", bf_provider_names[id], why)
				    : bf_arena_printf(arena, "%s; %s: %s", text, bf_provider_names[id], why);
		if (bf_provider_standing(p, (enum bf_provider_id)id, &wait_ms) != BF_CLOSED ||
			bf_provider_off(p, (enum bf_provider_id)id) != NULL)
			continue;
		back = now_us + wait_ms * 1000;
		if (f->ai_back_us == 0 || back < f->ai_back_us) {
			f->ai_back_us = back;
			f->no_ai_quota = strncmp(why, "out of quota", 12) == 0;
		}
	}
	f->no_ai = text;
}

static void write_progress(struct bf_jw *jw, struct request *rq, const struct bf_overview *o)
{
	const struct bf_admin *admin = rq->admin;
	int64_t next = bf_schedule_next_run(admin->parts.schedule);
	struct progress_facts f = { .o = o, .batch_size = admin->config->scheduler.batch_size };
	struct progress p;

	estimate_pace(admin, &o->plan, o->left_batch_size, o->live, &f.pace);
	ask_ais(admin, rq->arena, o->db_wall_us, &f);
	f.next_run_us = next > 0 ? next * 1000000 : 0;
	f.last_run_us = last_run(admin, next, o->pending_within);
	progress_of(&f, &p);
	bf_jw_key(jw, "progress");
	bf_jw_obj(jw);
	put_int(jw, "total", o->total);
	put_int(jw, "completed", o->completed);
	put_int(jw, "failed", o->failed);
	put_int(jw, "left", p.left);
	bf_jw_key(jw, "percent");
	bf_jw_dbl(jw, p.percent, 1);
	put_str(jw, "state", progress_state_name(p.state));
	put_int(jw, "in_flight", o->in_flight);
	put_str(jw, "text", p.text);
	bf_jw_key(jw, "seconds_left");
	if (p.seconds_left >= 0)
		bf_jw_int(jw, p.seconds_left);
	else
		bf_jw_null(jw);
	put_time(jw, "ends_at", p.left > 0 && p.seconds_left >= 0 ? o->db_wall_us + p.seconds_left * 1000000 : 0);
	put_str(jw, "binds", p.binds[0] != '\0' ? p.binds : NULL);
	bf_jw_key(jw, "cost_so_far_usd");
	bf_jw_dbl(jw, o->cost_usd, 6);
	bf_jw_key(jw, "cost_left_usd");
	bf_jw_dbl(jw, p.cost_left_usd, 6);
	bf_jw_end_obj(jw);
}

/* ---- providers ---- */
/* The time that a share of all requests did not take longer than; in between two bounds, by the way in between. */
static int64_t percentile_ms(const struct bf_provider_figures *f, uint64_t total, double share)
{
	double wanted = share * (double)total, low = 0, seen = 0;

	for (int i = 0; i < BF_HTTP_LATENCY_BUCKETS; i++) {
		double high = fmin(bf_http_latency_bounds_s[i], TOP_BOUND), n = (double)f->latency[i];

		if (n > 0 && seen + n >= wanted)
			return (int64_t)ceil(1000 * (low + (high - low) * (wanted - seen) / n));
		seen += n;
		low = high;
	}
	return (int64_t)(1000 * TOP_BOUND);
}

static void write_latency(struct bf_jw *jw, const struct bf_provider_figures *f)
{
	uint64_t total = 0;

	for (int i = 0; i < BF_HTTP_LATENCY_BUCKETS; i++)
		total += f->latency[i];
	bf_jw_key(jw, "latency_ms");
	if (total == 0) {
		bf_jw_null(jw);
		return;
	}
	bf_jw_obj(jw);
	put_int(jw, "p50", percentile_ms(f, total, 0.5));
	put_int(jw, "p95", percentile_ms(f, total, 0.95));
	bf_jw_end_obj(jw);
}

static void write_outcomes(struct bf_jw *jw, const struct bf_provider_figures *f)
{
	bf_jw_key(jw, "outcomes");
	bf_jw_obj(jw);
	for (int i = 0; i < BF_OUTCOMES; i++)
		if (f->requests[i] > 0)
			put_int(jw, bf_outcome_names[i], (int64_t)f->requests[i]);
	bf_jw_end_obj(jw);
}

/* Whether it can be asked; why not, and until when, if that ends by itself. */
static void write_standing(struct bf_jw *jw, const struct bf_admin *admin, enum bf_provider_id id, int circuit,
	int64_t now_us)
{
	static const char *const names[] = { "closed", "half_open", "open" };
	struct bf_providers *p = admin->parts.providers;
	const char *why = bf_provider_unusable(p, id);
	int64_t wait_ms = 0;
	bool ends = bf_provider_standing(p, id, &wait_ms) == BF_CLOSED && bf_provider_off(p, id) == NULL;

	bf_jw_key(jw, "enabled");
	bf_jw_bool(jw, admin->config->provider[id].enabled);
	bf_jw_key(jw, "usable");
	bf_jw_bool(jw, why == NULL);
	put_str(jw, "reason", why);
	put_str(jw, "circuit", names[circuit >= 0 && circuit <= 2 ? circuit : 0]);
	put_time(jw, "closed_until", why != NULL && ends ? now_us + wait_ms * 1000 : 0);
}

static void write_provider(struct bf_jw *jw, struct request *rq, enum bf_provider_id id, const struct bf_overview *o)
{
	const struct bf_provider_config *conf = &rq->admin->config->provider[id];
	struct bf_provider_figures f;

	bf_provider_figures(rq->admin->parts.providers, id, &f);
	bf_jw_obj(jw);
	put_str(jw, "name", bf_provider_names[id]);
	put_str(jw, "kind", BF_IS_AI(id) ? "ai" : "isbn");
	write_standing(jw, rq->admin, id, f.circuit, o->db_wall_us);
	bf_jw_key(jw, "rate_per_s");
	bf_jw_dbl(jw, conf->rate_per_s, 3);
	put_int(jw, "concurrency", conf->concurrency);
	put_int(jw, "in_flight", f.in_flight);
	put_int(jw, "waiting", f.waiting);
	bf_jw_key(jw, "today");
	raw(jw, rq->arena, o->provider[id].today, "null");
	write_latency(jw, &f);
	write_outcomes(jw, &f);
	bf_jw_key(jw, "quota");
	raw(jw, rq->arena, o->provider[id].quota, "null");
	bf_jw_end_obj(jw);
}

/* ---- the whole ---- */
static void write_head(struct bf_jw *jw, struct request *rq, const struct bf_overview *o)
{
	put_str(jw, "now", o->now);
	put_str(jw, "instance", rq->admin->config->daemon.instance);
	put_str(jw, "version", BF_VERSION);
	put_int(jw, "contract", CONTRACT);
	put_int(jw, "last_event", o->last_event);
	bf_jw_key(jw, "paused");
	raw(jw, rq->arena, o->paused, "null");
	write_timer(jw, rq->admin);
	bf_jw_key(jw, "stats");
	raw(jw, rq->arena, o->stats, "null");
	write_progress(jw, rq, o);
}

static void write_lists(struct bf_jw *jw, struct request *rq, const struct bf_overview *o)
{
	bf_jw_key(jw, "months");
	bf_jw_obj(jw);
	bf_jw_key(jw, "columns");
	bf_jw_raw(jw, columns, sizeof(columns) - 1);
	bf_jw_key(jw, "rows");
	raw(jw, rq->arena, o->months, "[]");
	bf_jw_end_obj(jw);
	bf_jw_key(jw, "providers");
	bf_jw_arr(jw);
	for (int id = 0; id < BF_NPROVIDERS; id++)
		write_provider(jw, rq, (enum bf_provider_id)id, o);
	bf_jw_end_arr(jw);
	bf_jw_key(jw, "queue");
	raw(jw, rq->arena, o->queue, "null");
	bf_jw_key(jw, "alerts");
	raw(jw, rq->arena, o->alerts, "[]");
	bf_jw_key(jw, "instances");
	raw(jw, rq->arena, o->instances, "[]");
}

/* The database's part is there. */
static void on_overview(void *ctx, const struct bf_error *err, const struct bf_overview *o)
{
	struct request *rq = ctx;
	struct bf_buf buf;
	struct bf_jw jw;

	rq->op = NULL;
	if (err != NULL) {
		reply_store_error(rq, err);
		return;
	}
	bf_buf_init(&buf, REPLY_MAX_BYTES);
	bf_jw_init(&jw, &buf);
	bf_jw_obj(&jw);
	write_head(&jw, rq, o);
	write_lists(&jw, rq, o);
	bf_jw_end_obj(&jw);
	reply_buf(rq, 200, &buf);
}

/* GET /api/internal/overview */
void overview_routes_show(struct request *rq)
{
	const struct bf_config *c = rq->admin->config;
	struct bf_overview_ask ask = { .instance_id = bf_schedule_instance(rq->admin->parts.schedule),
		.year_low = c->scheduler.year_start,
		.year_high = c->scheduler.year_end };

	if (handlers_database_away(rq))
		return;
	for (int id = 0; id < BF_NPROVIDERS; id++)
		ask.limits.daily_limit[id] = bf_provider_daily_limit(
			rq->admin->parts.providers, (enum bf_provider_id)id, &ask.limits.reserve[id]);
	rq->op = bf_store_overview(rq->admin->parts.store, &ask, on_overview, rq);
}
