/*
 * Alerts: every second pulse the oldest live instance gathers the facts of all, judges them, and has the database decide what
 * that raises and clears. The others leave in the database what only they know, and read what is open.
 */
#include "alerts.h"
#include "schedule.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVERY_US    7900000ull	/* two pulses */
#define FORGET_US   60000000ull /* an orphan seen before a gap is seen anew */
#define OWN_BYTES   8192
#define FREE_LOCKS  4096

struct seen {
	int year, month;
	int64_t fence;
	uint64_t since_us;
};
struct alerts {
	struct bf_schedule *s;
	struct webhook *webhook;
	struct bf_alert_figures figures;
	struct bf_op *op;
	uint64_t looked_us, judged_us;
	struct seen *seen;	/* months in processing whose lock was free at the last look */
	int n_seen;
};

struct alerts *alerts_new(struct bf_schedule *s, struct bf_http *http)
{
	struct alerts *a = bf_xcalloc(1, sizeof *a);

	a->s = s;
	a->webhook = webhook_new(s, http, &a->figures);
	return a;
}

void alerts_free(struct alerts *a)
{
	if (!a)
		return;
	bf_op_cancel(a->op);
	webhook_free(a->webhook);
	free(a->seen);
	free(a);
}

const struct bf_alert_figures *alerts_figures(const struct alerts *a)
{
	return &a->figures;
}

/* What only this instance knows: whom it has turned off, and whether it can ask any AI. */
static void write_own(struct bf_buf *buf, struct bf_providers *p)
{
	bool ai = bf_providers_any_ai(p);
	struct bf_jw jw;

	bf_jw_init(&jw, buf);
	bf_jw_obj(&jw);
	bf_jw_key(&jw, "ai");
	bf_jw_bool(&jw, ai);
	if (!ai) {
		const char *gemini = bf_provider_unusable(p, BF_GEMINI);
		char why[600];

		snprintf(why, sizeof why, "gemini: %s; xai: ", gemini ? gemini : "?");
		gemini = bf_provider_unusable(p, BF_XAI);
		snprintf(why + strlen(why), sizeof why - strlen(why), "%s", gemini ? gemini : "?");
		bf_jw_key(&jw, "why");
		bf_jw_str(&jw, why);
	}
	bf_jw_key(&jw, "off");
	bf_jw_obj(&jw);
	for (int id = 0; id < BF_NPROVIDERS; id++) {
		const char *off = bf_provider_off(p, (enum bf_provider_id)id);

		if (!off)
			continue;
		bf_jw_key(&jw, bf_provider_names[id]);
		bf_jw_str(&jw, off);
	}
	bf_jw_end_obj(&jw);
	bf_jw_end_obj(&jw);
}

/* ---- what came of it ---- */
static void log_event(const struct bf_alert_event *e)
{
	enum bf_log_level level = strcmp(e->severity, "critical") == 0 ? BF_ERROR : BF_WARN;

	if (strcmp(e->event, "clear") == 0)
		bf_log(BF_INFO, "alert cleared", BF_I("id", e->id), BF_S("key", e->key),
			BF_S("subject", e->subject[0] ? e->subject : NULL));
	else
		bf_log(level, strcmp(e->event, "raise") == 0 ? "alert raised" : "alert is critical now",
			BF_I("id", e->id), BF_S("key", e->key),
			BF_S("subject", e->subject[0] ? e->subject : NULL),
			BF_S("severity", e->severity), BF_S("summary", e->summary),
			BF_S("action", e->action));
}

static void merged(void *ctx, const struct bf_error *err, const struct bf_alert_event *events,
	int n, const struct bf_alert_open *open, int n_open)
{
	struct alerts *a = ctx;

	a->op = NULL;
	if (err) {
		bf_log(BF_WARN, "alerts not written", BF_E(err));
		return;
	}
	for (int i = 0; i < n; i++)
		log_event(&events[i]);
	a->figures.n_open = 0;
	for (int i = 0; i < n_open && a->figures.n_open < BF_ALERT_KINDS; i++) {
		int k = a->figures.n_open++;

		snprintf(a->figures.open[k].key, sizeof a->figures.open[k].key, "%s", open[i].key);
		snprintf(a->figures.open[k].severity, sizeof a->figures.open[k].severity, "%s",
			open[i].severity);
		a->figures.open[k].n = open[i].n;
	}
	webhook_look(a->webhook);
}

/* ---- judging ---- */
/* For how long each month of the facts has been seen without its lock; what is not among them is forgotten. */
static int64_t *follow_orphans(struct alerts *a, const struct bf_alert_facts *f)
{
	int n = f->n_stuck < FREE_LOCKS ? f->n_stuck : FREE_LOCKS;
	struct seen *now = bf_xcalloc((size_t)n + 1, sizeof *now);
	int64_t *for_s = bf_xcalloc((size_t)f->n_stuck + 1, sizeof *for_s);
	uint64_t t = bf_now_us();
	bool gap = t - a->judged_us > FORGET_US;

	for (int i = 0; i < n; i++) {
		const struct bf_alert_month *m = &f->stuck[i];

		now[i] = (struct seen){ m->year, m->month, m->fence, t };
		for (int k = 0; k < a->n_seen && !gap; k++) {
			const struct seen *was = &a->seen[k];

			if (was->year == m->year && was->month == m->month && was->fence == m->fence)
				now[i].since_us = was->since_us;
		}
		for_s[i] = (int64_t)((t - now[i].since_us) / 1000000);
	}
	free(a->seen);
	a->seen = now;
	a->n_seen = n;
	a->judged_us = t;
	return for_s;
}

static void judged(void *ctx, const struct bf_error *err, const struct bf_alert_facts *facts)
{
	struct alerts *a = ctx;
	struct bf_schedule *s = a->s;
	struct alert_view view = { .facts = facts, .config = s->config, .pulse = &s->pulse };
	struct alert_list list = { .arena = NULL };
	int64_t *orphan_s;

	a->op = NULL;
	if (err) {
		bf_log(BF_WARN, "alerts not looked at", BF_E(err));
		return;
	}
	orphan_s = follow_orphans(a, facts);
	view.orphan_s = orphan_s;
	for (int id = 0; id < BF_NPROVIDERS; id++)
		view.limit[id] = bf_provider_daily_limit(
			s->providers, (enum bf_provider_id)id, &view.reserve[id]);
	list.arena = bf_arena_new();
	alert_rules(&view, &list);
	a->op = bf_store_alerts_merge(
		s->store, list.v, list.n, webhook_wanted(a->webhook), merged, a);
	bf_arena_free(list.arena);
	free(orphan_s);
}

void alerts_pulse(struct alerts *a)
{
	struct bf_schedule *s;
	struct bf_buf own;

	if (!a || a->op)
		return;
	s = a->s;
	if (a->looked_us && s->pulse_us - a->looked_us < EVERY_US)
		return;
	a->looked_us = s->pulse_us;
	bf_buf_init(&own, OWN_BYTES);
	write_own(&own, s->providers);
	if (s->pulse.n_instances > 0 && s->pulse.instance_ids[0] == s->instance_id)
		a->op = bf_store_alert_facts(s->store, own.data, ALERTS_MONTHS,
			s->config->scheduler.stuck_after_ms, s->config->alerts.attempts_warn,
			judged, a);
	else
		a->op = bf_store_alerts_tell(s->store, own.data, merged, a);
	bf_buf_release(&own);
}
