/*
 * why_routes: why a month is where it is. What the database knows of it, and what this process knows of providers, slots and
 * the timer, become a list of blockers in the order in which they bind, and the earliest time at which it can start.
 */
#include "handlers.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCKERS_MAX 24
#define RUNS_MAX     3000 /* a timer that is looked ahead so far tells nobody anything */
#define RESCUE_MS    10000
#define HELD_MAX     512

struct blocker {
	const char *code, *provider;
	char *text;
	int64_t until_us; /* 0: nobody can tell */
	bool binds;
};
struct answer {
	struct request *rq;
	const struct bf_why *why;
	struct blocker v[BLOCKERS_MAX];
	int n;
	int64_t now_us, start_us; /* the database's clock; start_us -1: not by itself */
};

/* One more blocker; one that binds moves the start, or forbids it. */
static void BF_PRINTF(6, 7) block(struct answer *a, const char *code, int64_t until_us, bool binds,
	const char *provider, const char *fmt, ...)
{
	struct bf_buf text;
	va_list ap;
	char line[700];

	if (a->n == BLOCKERS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	bf_buf_init(&text, sizeof(line) + 1);
	bf_buf_add(&text, line, bf_utf8_cut(line, strlen(line), sizeof(line) - 1));
	a->v[a->n++] = (struct blocker){ code, provider, bf_arena_strdup(a->rq->arena, text.data),
		until_us, binds };
	bf_buf_release(&text);
	if (binds && a->start_us >= 0 && (until_us == 0 || until_us > a->start_us))
		a->start_us = until_us == 0 ? -1 : until_us;
}

/* What closed a provider, as all instances see it. */
static const struct bf_provider_closure *closure_of(const struct answer *a, int id)
{
	const struct bf_pulse *pulse =
		bf_schedule_last_pulse(a->rq->admin->parts.schedule, NULL);

	for (int i = 0; pulse != NULL && i < pulse->n_closures; i++)
		if ((int)pulse->closures[i].provider == id)
			return &pulse->closures[i];
	return NULL;
}

/* The word for why a provider cannot be asked; those that end by themselves tell when. */
static const char *closed_code(const struct answer *a, int id, const char *why, bool *ret_ends)
{
	const struct bf_provider_closure *c = closure_of(a, id);

	*ret_ends = true;
	if (strncmp(why, "out of quota", 12) == 0)
		return "quota";
	if (strncmp(why, "closed for", 10) == 0 && c != NULL) {
		switch (c->kind) {
		case BF_CLOSURE_QUOTA: return "quota";
		case BF_CLOSURE_RATE: return "rate";
		case BF_CLOSURE_BAN:
		case BF_CLOSURE_CIRCUIT:
		case BF_CLOSURE_NONE: return "circuit";
		}
	}
	if (strncmp(why, "closed for", 10) == 0 || strncmp(why, "circuit", 7) == 0)
		return "circuit";
	*ret_ends = false;
	return "provider_off";
}

/* Each provider that cannot be asked. The AIs bind when none of them can. */
static void block_providers(struct answer *a)
{
	struct bf_providers *p = a->rq->admin->parts.providers;
	bool any = bf_providers_any_ai(p), ends;
	struct blocker list[BF_NPROVIDERS];
	int64_t first = 0;
	int n = 0;

	for (int id = 0; id < BF_NPROVIDERS; id++) {
		const char *why = bf_provider_unusable(p, (enum bf_provider_id)id);
		int64_t wait_ms = 0, until;

		if (why == NULL)
			continue;
		list[n] = (struct blocker){ closed_code(a, id, why, &ends), bf_provider_names[id],
			bf_arena_strdup(a->rq->arena, why), 0, !any && BF_IS_AI(id) };
		bf_provider_standing(p, (enum bf_provider_id)id, &wait_ms);
		until = ends ? a->now_us + wait_ms * 1000 : 0;
		list[n++].until_us = until;
		if (BF_IS_AI(id) && until > 0 && (first == 0 || until < first))
			first = until;
	}
	if (!any)
		block(a, "no_ai", first, true, NULL,
			"no AI provider is usable: nothing is claimed until one is");
	for (int i = 0; i < n; i++) {
		int64_t start = a->start_us;

		block(a, list[i].code, list[i].until_us, list[i].binds, list[i].provider, "%s: %s",
			list[i].provider, list[i].text);
		a->start_us = start; /* one AI is enough: no_ai has told when the first is back */
	}
}

/* The run at which the timer, taking the newest first, comes to this month. */
static void block_timer(struct answer *a)
{
	const struct bf_config *c = a->rq->admin->config;
	int64_t next = bf_schedule_next_run(a->rq->admin->parts.schedule);
	int runs = a->why->ahead / (c->scheduler.batch_size > 0 ? c->scheduler.batch_size : 1);
	int year = a->rq->params.year;
	struct bf_cron cron;
	struct bf_error err;

	if (year < c->scheduler.year_start || year > c->scheduler.year_end) {
		block(a, "outside_years", 0, true, NULL,
			"the timer picks the years %d to %d only; schedule or harvest it by name",
			c->scheduler.year_start, c->scheduler.year_end);
		return;
	}
	if (next < 0 || !bf_cron_parse(&cron, c->scheduler.schedule, &err)) {
		block(a, "timer", 0, true, NULL,
			"the timer is off: it starts when somebody schedules or harvests it");
		return;
	}
	while (next >= 0 && next * 1000000 < a->start_us)
		next = bf_cron_next(&cron, c->scheduler.timezone, next);
	for (int i = 0; i < runs && i < RUNS_MAX && next >= 0; i++)
		next = bf_cron_next(&cron, c->scheduler.timezone, next);
	block(a, "timer", next >= 0 && runs < RUNS_MAX ? next * 1000000 : 0, true, NULL,
		"waits for the timer: %d pending months come before it, %d are claimed in a run",
		a->why->ahead, c->scheduler.batch_size);
}

/* Whether this process holds it and has not begun. */
static bool waits_here(struct bf_months *months, int year, int month)
{
	struct bf_month_ref *refs = bf_xcalloc(HELD_MAX, sizeof(*refs));
	int n = bf_months_refs(months, refs, HELD_MAX, true);
	bool found = false;

	for (int i = 0; i < n && !found; i++)
		found = refs[i].year == year && refs[i].month == month;
	free(refs);
	return found;
}

/* A month in processing: at work, in line for it, or left behind by an instance that is gone. */
static void block_processing(struct answer *a)
{
	const struct bf_why *w = a->why;
	const struct bf_config *c = a->rq->admin->config;
	struct bf_months *months = a->rq->admin->parts.months;
	const char *owner = w->owner != NULL ? w->owner : "an older program";
	int64_t rescue_us = a->now_us + RESCUE_MS * 1000;
	int64_t stuck_ms = c->scheduler.stuck_after_ms - w->idle_ms;

	if (w->older) {
		block(a, "held_by_older", a->now_us + (stuck_ms > 0 ? stuck_ms : 0) * 1000, true, NULL,
			"claimed by a program that holds no lock; taken up when it has not moved for %" PRId64 " s",
			c->scheduler.stuck_after_ms / 1000);
	} else if (!w->held) {
		block(a, "held_by_dead", w->paused ? 0 : rescue_us, true, NULL,
			"held by instance %s, which is gone (last progress %s): it is taken up again%s", owner,
			w->progressed_at, w->paused ? " after the pause" : "");
		if (w->paused && w->paused_ms >= 0)
			a->start_us = a->now_us + w->paused_ms * 1000;
	} else if (waits_here(months, a->rq->params.year, a->rq->params.month)) {
		block(a, "slot", 0, true, NULL, "claimed by %s, waits for a slot: %d in flight of %d", owner,
			bf_months_in_flight(months), c->scheduler.concurrent_months);
	} else {
		block(a, "in_flight", 0, false, NULL,
			"in flight at %s: stage %s, claimed %s, last progress %s", owner,
			w->stage != NULL ? w->stage : "claimed", w->started_at, w->progressed_at);
		a->start_us = -1;
	}
}

/* A month that waits for a claim. */
static void block_waiting(struct answer *a, bool is_retry)
{
	const struct bf_admin *admin = a->rq->admin;
	int m = admin->config->scheduler.concurrent_months;
	int held = bf_months_count(admin->parts.months);

	if (is_retry && a->why->wait_ms > 0)
		block(a, "backoff", a->now_us + a->why->wait_ms * 1000, true, NULL,
			"attempt %d failed (%s): the next one is due then", a->why->retry_count,
			a->why->error != NULL ? a->why->error : "no reason given");
	block_providers(a);
	if (!is_retry)
		block_timer(a);
	if (held >= m)
		block(a, "slot", 0, is_retry, NULL, "waits for a slot: %d in flight of %d", held, m);
}

/* All that applies, in order. */
static void find_blockers(struct answer *a)
{
	const struct bf_why *w = a->why;
	bool processing = w->seeded && strcmp(w->status, "processing") == 0;

	if (w->paused && (!processing || !w->held) && strcmp(w->status, "completed") != 0)
		block(a, "paused", w->paused_ms >= 0 ? a->now_us + w->paused_ms * 1000 : 0, true, NULL,
			"everything is paused: %s", w->note != NULL && w->note[0] != '\0' ? w->note
											: "without a note");
	if (!w->seeded) {
		block(a, "not_seeded", 0, true, NULL,
			"the month has no row: seed its year, or harvest it by name");
	} else if (strcmp(w->status, "completed") == 0) {
		block(a, "completed", 0, true, NULL, "completed %s: nothing is to be done",
			w->completed_at != NULL ? w->completed_at : "");
	} else if (processing) {
		block_processing(a);
	} else if (strcmp(w->status, "failed") == 0) {
		block(a, w->retry_count >= 5 ? "attempts_spent" : "failed", 0, true, NULL,
			"failed after %d attempts (%s); %s", w->retry_count,
			w->error != NULL ? w->error : "no reason given",
			w->retry_count >= 5 ? "retry or reset it" : "retry it, or schedule with force_retry");
	} else {
		block_waiting(a, strcmp(w->status, "retry") == 0);
	}
}

/* A time that may not be known. */
static void write_time(struct bf_jw *jw, const char *key, int64_t us)
{
	char text[32];

	bf_jw_key(jw, key);
	if (us <= 0) {
		bf_jw_null(jw);
		return;
	}
	bf_format_time(text, us + 999999);
	bf_jw_str(jw, text);
}

/* The answer as JSON. */
static void reply_why(struct answer *a)
{
	struct bf_buf buf;
	struct bf_jw jw;

	bf_buf_init(&buf, 65536);
	bf_jw_init(&jw, &buf);
	bf_jw_obj(&jw);
	bf_jw_key(&jw, "year");
	bf_jw_int(&jw, a->rq->params.year);
	bf_jw_key(&jw, "month");
	bf_jw_int(&jw, a->rq->params.month);
	bf_jw_key(&jw, "status");
	bf_jw_str(&jw, a->why->seeded ? a->why->status : NULL);
	bf_jw_key(&jw, "stage");
	bf_jw_str(&jw, a->why->stage);
	write_time(&jw, "earliest_start", a->start_us);
	bf_jw_key(&jw, "blockers");
	bf_jw_arr(&jw);
	for (int i = 0; i < a->n; i++) {
		bf_jw_obj(&jw);
		bf_jw_key(&jw, "code");
		bf_jw_str(&jw, a->v[i].code);
		bf_jw_key(&jw, "text");
		bf_jw_str(&jw, a->v[i].text);
		write_time(&jw, "until", a->v[i].until_us);
		bf_jw_key(&jw, "provider");
		bf_jw_str(&jw, a->v[i].provider);
		bf_jw_key(&jw, "binds");
		bf_jw_bool(&jw, a->v[i].binds);
		bf_jw_end_obj(&jw);
	}
	bf_jw_end_arr(&jw);
	bf_jw_end_obj(&jw);
	reply_buf(a->rq, 200, &buf);
}

/* The facts are there. */
static void on_why(void *ctx, const struct bf_error *err, const struct bf_why *why)
{
	struct request *rq = ctx;
	struct answer *a;

	rq->op = NULL;
	if (err != NULL) {
		reply_store_error(rq, err);
		return;
	}
	a = bf_arena_alloc(rq->arena, sizeof(*a));
	a->rq = rq;
	a->why = why;
	a->now_us = a->start_us = why->db_wall_us;
	find_blockers(a);
	reply_why(a);
}

/* GET /api/internal/months/{y}/{m}/why */
void why_routes_month(struct request *rq)
{
	const struct bf_config *c = rq->admin->config;

	if (!handlers_database_away(rq))
		rq->op = bf_store_why(rq->admin->parts.store, rq->params.year, rq->params.month,
			c->scheduler.year_start, c->scheduler.year_end, on_why, rq);
}
