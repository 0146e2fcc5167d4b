/*
 * When there is an alert, and what it says: pure, from facts to conditions. Every text names the figures it was judged by, and
 * the call that mends it with its names and numbers filled in.
 */
#include "alerts.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ATTEMPTS_MAX   5
#define BATCH_MAX      50
#define ITEMS_LEAST    5   /* of a day: fewer failed ones are no pattern */
#define ITEMS_MANY     100
#define ITEMS_PERCENT  1
#define ITEMS_COUNTED  10001 /* where counting stops */
#define ITEMS_FAILED_COUNTED 5000
#define REASON_BYTES   160
#define QUOTE_BYTES    80
#define LIST_BYTES     1200

static const char *printed(struct alert_list *l, const char *fmt, ...) BF_PRINTF(2, 3);

/* Formats into the list's arena. */
static const char *printed(struct alert_list *l, const char *fmt, ...)
{
	char text[4096];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	return bf_arena_strndup(l->arena, text, bf_utf8_cut(text, strlen(text), sizeof(text) - 4));
}

static void add(struct alert_list *l, const char *key, const char *subject, bool critical,
	const char *summary, const char *action)
{
	if (l->n < ALERTS_POOL)
		l->v[l->n++] = (struct bf_alert){ .key = key,
			.subject = subject,
			.critical = critical,
			.summary = summary,
			.action = action };
}

/* A span of time as people say it. */
static const char *span(struct alert_list *l, int64_t s)
{
	if (s < 120)
		return printed(l, "%" PRId64 " s", s);
	if (s < 7200)
		return printed(l, "%" PRId64 " min", s / 60);
	if (s < 172800)
		return printed(l, "%" PRId64 " h", s / 3600);
	return printed(l, "%" PRId64 " days", s / 86400);
}

/* Foreign text, cut to what a sentence bears. */
static const char *cut(struct alert_list *l, const char *text, size_t bytes)
{
	size_t len = text != NULL ? strlen(text) : 0;

	if (len <= bytes)
		return text != NULL ? text : "";
	return printed(l, "%.*s...", (int)bf_utf8_cut(text, len, bytes), text);
}

/* The beginning of a text as a JSON string, for the body of a call. */
static const char *quoted(struct alert_list *l, const char *text)
{
	const char *copy;
	struct bf_buf buf;
	struct bf_jw jw;

	bf_buf_init(&buf, 1024);
	bf_jw_init(&jw, &buf);
	bf_jw_strn(&jw, text, bf_utf8_cut(text, strlen(text), QUOTE_BYTES));
	copy = bf_arena_strdup(l->arena, buf.data);
	bf_buf_release(&buf);
	return copy;
}

/* Who cannot be asked at the moment, as a clause that goes before other advice; "" when all can. */
static const char *first_mend(const struct alert_view *v, struct alert_list *l)
{
	char names[160] = "";
	size_t len = 0;

	for (int id = 0; id < BF_NPROVIDERS && len < sizeof(names); id++) {
		const struct bf_alert_facts *f = v->facts;

		if (f->off[id] > 0 || f->circuit_why[id] != NULL)
			len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s",
				len > 0 ? ", " : "", bf_provider_names[id]);
	}
	return names[0] != '\0' ? printed(l, "First mend who cannot be asked now: %s. ", names) : "";
}

/* ---- months ---- */
static const char *lowest(const struct bf_alert_facts *f, struct alert_list *l)
{
	char text[LIST_BYTES] = "";
	size_t len = 0;

	for (int i = 0; i < f->n_low && len < sizeof(text); i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%04d-%02d (%d of %d)",
			i > 0 ? ", " : "", f->low[i].year, f->low[i].month, f->low[i].a,
			f->low[i].b);
	return bf_arena_strdup(l->arena, text);
}

static void rule_rate(const struct alert_view *v, struct alert_list *l)
{
	const struct bf_alert_facts *f = v->facts;
	double rate = f->books > 0 ? 100.0 * (double)f->resolved / (double)f->books : 100;
	double warn = v->config->alerts.resolution_rate_warn;
	bool critical = rate < v->config->alerts.resolution_rate_critical;

	if (f->books == 0 || f->n_low == 0 || (rate >= warn && !critical))
		return;
	add(l, "resolution_rate", "", critical,
		printed(l,
			"%.1f %% of %" PRId64 " books of the %d months completed last have an ISBN, "
			"below %g %%; lowest: %s",
			rate, f->books, f->pool,
			critical ? v->config->alerts.resolution_rate_critical : warn,
			lowest(f, l)),
		printed(l,
			"%sSee who answered what: GET /api/internal/months/%d/%d. If the titles are "
			"obscure, POST /api/internal/months/%d/%d/reset, then "
			"POST /api/harvest/backfill {\"year\": %d, \"month\": %d, "
			"\"prompt_variant\": \"contemporary-notable\"}",
			first_mend(v, l), f->low[0].year, f->low[0].month, f->low[0].year,
			f->low[0].month, f->low[0].year, f->low[0].month));
}

static void rule_failed(const struct alert_view *v, struct alert_list *l)
{
	const struct bf_alert_facts *f = v->facts;
	const char *again = "", *spent = "";

	if (f->failed <= v->config->alerts.failed_months)
		return;
	if (f->failed_again > 0)
		again = printed(l,
			"When the cause is mended: POST /api/internal/schedule-backfill "
			"{\"batch_size\": %d, \"force_retry\": true} takes up those with attempts left. ",
			f->failed_again < BATCH_MAX ? f->failed_again : BATCH_MAX);
	if (f->spent.year > 0)
		spent = printed(l,
			"%d spent all attempts: POST /api/internal/months/%d/%d/retry, and so on, gives each one more.",
			f->failed - f->failed_again, f->spent.year, f->spent.month);
	add(l, "failed_months", "", false,
		printed(l, "%d months failed, more than %d; %d of them have attempts left; most often (%d): %s",
			f->failed, v->config->alerts.failed_months, f->failed_again,
			f->failed_reason_n, cut(l, f->failed_reason, REASON_BYTES)),
		printed(l, "%s%s%s", first_mend(v, l), again, spent));
}

static void rule_attempts(const struct alert_view *v, struct alert_list *l)
{
	const struct bf_alert_facts *f = v->facts;
	char text[LIST_BYTES] = "";
	size_t len = 0;

	if (f->n_tries == 0)
		return;
	for (int i = 0; i < f->n_tries && len < sizeof(text); i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%04d-%02d (%d%s: %s)",
			i > 0 ? ", " : "", f->tries[i].year, f->tries[i].month, f->tries[i].a,
			f->tries[i].b ? ", failed" : "", cut(l, f->tries[i].text, REASON_BYTES));
	add(l, "attempts", "", false,
		printed(l, "%d months have %d failed attempts or more, of %d: %s", f->tried,
			v->config->alerts.attempts_warn, ATTEMPTS_MAX, text),
		printed(l,
			"%sSee what was answered: GET /api/internal/months/%d/%d. "
			"POST /api/internal/months/%d/%d/retry makes it due now; "
			"POST /api/internal/months/%d/%d/reset starts it from nothing",
			first_mend(v, l), f->tries[0].year, f->tries[0].month, f->tries[0].year,
			f->tries[0].month, f->tries[0].year, f->tries[0].month));
}

static void rule_stuck(const struct alert_view *v, struct alert_list *l)
{
	const struct bf_alert_month *first = NULL;
	char text[LIST_BYTES] = "";
	size_t len = 0;
	int n = 0;

	for (int i = 0; i < v->facts->n_stuck; i++) {
		const struct bf_alert_month *m = &v->facts->stuck[i];

		if (!m->b && v->orphan_s[i] < ALERTS_ORPHAN_S)
			continue;
		first = first != NULL ? first : m;
		if (n++ < 5)
			len += (size_t)snprintf(text + len, sizeof(text) - len,
				"%s%04d-%02d (%s of %.*s, %s without progress)", n > 1 ? ", " : "",
				m->year, m->month, m->b ? "stuck" : "orphan", BF_CUT(m->text, 80),
				span(l, m->age_s));
	}
	if (first == NULL)
		return;
	add(l, "stuck", "", true,
		printed(l, "%d months are in processing and nobody works on them: %s", n, text),
		v->pulse->paused
			? printed(l, "Nothing is taken up while paused (%s): POST /api/internal/resume",
				  cut(l, v->pulse->pause_note, REASON_BYTES))
			: printed(l,
				  "Any live instance takes them up by itself; if not, see its log, then "
				  "POST /api/internal/months/%d/%d/cancel and "
				  "POST /api/internal/months/%d/%d/retry",
				  first->year, first->month, first->year, first->month));
}

/* ---- the queue ---- */
static void rule_backlog(const struct alert_view *v, struct alert_list *l)
{
	const struct bf_pulse *p = v->pulse;
	const char *action =
		"It falls by itself as long as the providers answer: watch "
		"backfill_enrichment_queue in /metrics. GET /api/internal/enrichment?status=pending "
		"shows in waits_for who is waited for";

	if (p->queue_depth <= v->config->alerts.queue_backlog)
		return;
	if (p->paused)
		action = printed(l, "Nothing is taken while paused (%s): POST /api/internal/resume",
			cut(l, p->pause_note, REASON_BYTES));
	else if (!v->config->enrichment.enabled)
		action = "enrichment.enabled is false on the instance that looked: set it to true "
			 "and send SIGHUP, or run another that enriches";
	else if (p->queue_waiting * 2 > p->queue_depth)
		action = printed(l,
			"%s%" PRId64 " wait for a provider: GET /api/internal/enrichment?status=pending "
			"shows in waits_for for whom",
			first_mend(v, l), p->queue_waiting);
	add(l, "queue_backlog", "", false,
		printed(l,
			"%s%" PRId64 " items wait in the enrichment queue, more than %d; %" PRId64
			" of them for a later time; the oldest for %s",
			p->queue_depth >= 100000 ? "at least " : "", p->queue_depth,
			v->config->alerts.queue_backlog, p->queue_waiting,
			span(l, p->queue_oldest_s)),
		action);
}

static void rule_items(const struct alert_view *v, struct alert_list *l)
{
	const struct bf_alert_facts *f = v->facts;
	int64_t ended = f->items_failed + f->items_done;
	const char *share = "";

	if (f->items_failed <= ITEMS_MANY &&
		(f->items_failed < ITEMS_LEAST || f->items_failed * 100 <= ended * ITEMS_PERCENT))
		return;
	if (f->items_done < ITEMS_COUNTED && f->items_failed < ITEMS_FAILED_COUNTED)
		share = printed(l, ", %.1f %% of those that ended",
			100.0 * (double)f->items_failed / (double)ended);
	add(l, "queue_failed", "", false,
		printed(l,
			"%s%" PRId64 " items of the enrichment queue failed in the last day%s; most often (%" PRId64
			"): %s",
			f->items_failed >= ITEMS_FAILED_COUNTED ? "at least " : "", f->items_failed,
			share, f->items_reason_n, cut(l, f->items_reason, REASON_BYTES)),
		printed(l,
			"%sSee GET /api/internal/enrichment?status=failed. When the cause is mended: "
			"POST /api/internal/enrichment/redrive {\"reason\": %s, \"dry_run\": false}",
			first_mend(v, l),
			quoted(l, f->items_reason != NULL ? f->items_reason : "")));
}

/* ---- quota ---- */
static void rule_calls(const struct alert_view *v, struct alert_list *l)
{
	int64_t used = v->facts->used[BF_ISBNDB];
	int most = v->config->alerts.isbndb_daily_calls;
	const char *reset = v->facts->reset_at[BF_ISBNDB];

	if (reset == NULL || used <= most)
		return;
	add(l, "isbndb_daily_calls", "isbndb", false,
		printed(l, "%" PRId64 " units of ISBNdb were used today, more than %d; the day ends at %s",
			used, most, reset),
		printed(l,
			"To save the rest for later: POST /api/internal/pause {\"note\": \"ISBNdb: %" PRId64
			" of today\", \"until\": \"%s\"}. If so many are wanted, raise "
			"alerts.isbndb_daily_calls above %" PRId64 " and send SIGHUP",
			used, reset, used));
}

static void rule_quota(const struct alert_view *v, struct alert_list *l)
{
	int percent = v->config->alerts.quota_warn_percent;

	for (int id = 0; id < BF_NPROVIDERS; id++) {
		int64_t used = v->facts->used[id], safe = v->limit[id] - v->reserve[id];
		const char *name = bf_provider_names[id], *reset = v->facts->reset_at[id];
		const char *action;

		if (v->limit[id] <= 0 || safe <= 0 || reset == NULL ||
			!v->config->provider[id].enabled ||
			(used * 100 <= safe * percent && used < safe))
			continue;
		if (used >= safe)
			action = printed(l,
				"Nothing fails: it is asked again from %s on, months go on with the others. "
				"If the plan has more than %d, raise provider.%s.daily_limit and send SIGHUP",
				reset, v->limit[id], name);
		else if (id == BF_ISBNDB)
			action = printed(l,
				"Nothing needs doing: from %d %% (%" PRId64 " units) on the timer claims fewer "
				"months. To stop now: POST /api/internal/pause {\"until\": \"%s\"}",
				v->config->alerts.quota_throttle_percent,
				safe * v->config->alerts.quota_throttle_percent / 100, reset);
		else
			action = printed(l,
				"Nothing needs doing: at %" PRId64 " units it is left out until %s. If the plan "
				"has more, raise provider.%s.daily_limit and send SIGHUP",
				safe, reset, name);
		add(l, "quota", name, used >= safe,
			printed(l,
				"%s: %" PRId64 " of %" PRId64 " units used today, %.1f %%, warned above %d %%; "
				"the day ends at %s",
				name, used, safe, 100.0 * (double)used / (double)safe, percent, reset),
			action);
	}
}

/* ---- providers ---- */
static void rule_off(const struct alert_view *v, struct alert_list *l)
{
	for (int id = 0; id < BF_NPROVIDERS; id++) {
		const char *name = bf_provider_names[id], *why = v->facts->off_why[id];
		const char *what;

		if (v->facts->off[id] == 0 || why == NULL)
			continue;
		if (strstr(why, "credit") != NULL)
			what = printed(l, "Add credit to the account of %s", name);
		else if (BF_IS_AI(id))
			what = printed(l, "Give it a key that is valid (provider.%s.api_key_file or _env) and "
					  "a model that exists (provider.%s.model is %s)",
				name, name, v->config->provider[id].model);
		else
			what = printed(l,
				"Give it a key that is valid (provider.%s.api_key_file or _env)", name);
		add(l, "provider_off", name, BF_IS_AI(id) || id == BF_ISBNDB,
			printed(l, "%s is turned off on %d of %d instances: %s", name, v->facts->off[id],
				v->facts->live, cut(l, why, 2 * REASON_BYTES)),
			printed(l, "%s, then: systemctl reload backfilld (SIGHUP), on each of them", what));
	}
}

static void rule_no_ai(const struct alert_view *v, struct alert_list *l)
{
	const struct bf_alert_facts *f = v->facts;
	const char *action = "It ends by itself when one may be asked again";

	if (f->live == 0 || f->without_ai < f->live)
		return;
	for (int id = 0; id < BF_NAIS; id++) {
		if (f->off[id] > 0)
			action = printed(l, "Mend %s first (provider_off says how), then send SIGHUP",
				bf_provider_names[id]);
		else if (!v->config->provider[id].enabled && f->off[!id] == 0)
			action = printed(l, "It ends when one may be asked again; %s is disabled: "
					    "provider.%s.enabled = true and SIGHUP would use it",
				bf_provider_names[id], bf_provider_names[id]);
	}
	add(l, "no_ai", "", true,
		printed(l, "No AI provider is usable on any of %d instances, so no month is claimed: %s",
			f->live, cut(l, f->no_ai_why, 2 * REASON_BYTES)),
		action);
}

static void rule_circuit(const struct alert_view *v, struct alert_list *l)
{
	for (int id = 0; id < BF_NPROVIDERS; id++) {
		const char *name = bf_provider_names[id], *why = v->facts->circuit_why[id];

		if (why == NULL || v->facts->circuit_s[id] <= ALERTS_CIRCUIT_S)
			continue;
		add(l, "circuit", name, false,
			printed(l, "%s has answered nothing for %s: %s", name,
				span(l, v->facts->circuit_s[id]), cut(l, why, REASON_BYTES)),
			printed(l,
				"It is probed at least every 15 min and used again when it answers. See "
				"whether the service or the network is down; if for long, provider.%s.enabled = "
				"false and SIGHUP, so that nothing waits for it",
				name));
	}
}

void alert_rules(const struct alert_view *v, struct alert_list *l)
{
	rule_no_ai(v, l);
	rule_off(v, l);
	rule_circuit(v, l);
	rule_quota(v, l);
	rule_calls(v, l);
	rule_rate(v, l);
	rule_failed(v, l);
	rule_attempts(v, l);
	rule_stuck(v, l);
	rule_backlog(v, l);
	rule_items(v, l);
}
