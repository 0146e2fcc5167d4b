/*
 * metrics: everything that is counted, as Prometheus text 0.0.4. Asks nobody: figures of the database are those of the last
 * pulse, so that a scrape is answered while the database is away, and costs the loop microseconds.
 */
#include "handlers.h"
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_BYTES  ((size_t)1 << 20)
#define LAST_BOUND 1e100 /* a bound beyond it means "everything else" */

/* HELP and TYPE; once per name, before its first sample. */
static void head(struct bf_buf *out, const char *name, const char *type, const char *help)
{
	bf_buf_addf(out, "# HELP backfill_%s %s\n# TYPE backfill_%s %s\n", name, help, name, type);
}

/* One sample without labels. */
static void single(
	struct bf_buf *out, const char *name, const char *type, const char *help, double value)
{
	head(out, name, type, help);
	bf_buf_addf(out, "backfill_%s %.15g\n", name, value);
}

/* One sample with a label; label values are names of ours and need no escaping. */
static void labelled(
	struct bf_buf *out, const char *name, const char *label, const char *value, double sample)
{
	bf_buf_addf(out, "backfill_%s{%s=\"%s\"} %.15g\n", name, label, value, sample);
}

/* The buckets, sum and count of one series; labels is "" or ends in a comma. Buckets come uncumulated. */
static void histogram(struct bf_buf *out, const char *name, const char *labels,
	const double *bounds, const uint64_t *buckets, int n, double sum_s)
{
	size_t labels_len = strlen(labels);
	uint64_t total = 0;

	for (int i = 0; i < n; i++) {
		total += buckets[i];
		if (bounds[i] < LAST_BOUND)
			bf_buf_addf(out, "backfill_%s_bucket{%sle=\"%.6g\"} %" PRIu64 "\n", name,
				labels, bounds[i], total);
	}
	bf_buf_addf(out, "backfill_%s_bucket{%sle=\"+Inf\"} %" PRIu64 "\n", name, labels, total);
	if (labels_len == 0)
		bf_buf_addf(out, "backfill_%s_sum %.9g\nbackfill_%s_count %" PRIu64 "\n", name,
			sum_s, name, total);
	else
		bf_buf_addf(out,
			"backfill_%s_sum{%.*s} %.9g\nbackfill_%s_count{%.*s} %" PRIu64 "\n", name,
			(int)labels_len - 1, labels, sum_s, name, (int)labels_len - 1, labels,
			total);
}

/* The table of months and the queue, as the last pulse saw them. */
static void write_pulse(struct bf_buf *out, const struct bf_admin *admin)
{
	int64_t age_ms = 0;
	const struct bf_pulse *pulse = bf_schedule_last_pulse(admin->parts.schedule, &age_ms);

	if (pulse == NULL)
		return;
	head(out, "months", "gauge", "Months in the database by status, as of the last pulse");
	labelled(out, "months", "status", "pending", pulse->totals.pending);
	labelled(out, "months", "status", "processing", pulse->totals.processing);
	labelled(out, "months", "status", "completed", pulse->totals.completed);
	labelled(out, "months", "status", "failed", pulse->totals.failed);
	labelled(out, "months", "status", "retry", pulse->totals.retry);
	single(out, "books_generated", "gauge", "Books that months have, duplicates left out",
		(double)pulse->books_generated);
	single(out, "isbns_resolved", "gauge", "Books of months for which an ISBN was found",
		(double)pulse->isbns_resolved);
	single(out, "isbns_queued", "gauge", "ISBNs that months put into the enrichment queue",
		(double)pulse->isbns_queued);
	single(out, "queue_depth", "gauge", "ISBNs that wait in the enrichment queue",
		(double)pulse->queue_depth);
	single(out, "retries_due", "gauge", "Months whose next attempt is due", pulse->due_retries);
	single(out, "instances", "gauge", "Live instances on this database", pulse->n_instances);
	single(out, "paused", "gauge", "1 while an operator has paused claiming", pulse->paused);
	single(out, "pulse_age_seconds", "gauge", "Since the database was last looked at",
		(double)age_ms / 1000.0);
}

/* The enrichment queue, as the last pulse saw it; counting stops at 100000. */
static void write_queue(struct bf_buf *out, const struct bf_admin *admin)
{
	const struct bf_pulse *pulse = bf_schedule_last_pulse(admin->parts.schedule, NULL);

	if (pulse == NULL)
		return;
	head(out, "enrichment_queue", "gauge",
		"Items of the enrichment queue; waiting is the part of pending whose time has not "
		"come");
	labelled(out, "enrichment_queue", "state", "pending", (double)pulse->queue_depth);
	labelled(out, "enrichment_queue", "state", "waiting", (double)pulse->queue_waiting);
	labelled(out, "enrichment_queue", "state", "processing", (double)pulse->queue_processing);
	labelled(out, "enrichment_queue", "state", "failed", (double)pulse->queue_failed);
	single(out, "enrichment_oldest_seconds", "gauge", "Age of the oldest pending item",
		(double)pulse->queue_oldest_s);
}

/* What this process does and did with items of the queue. */
static void write_enrichment(struct bf_buf *out, const struct bf_admin *admin)
{
	struct bf_enrich_figures f;

	if (admin->parts.enrich == NULL)
		return;
	bf_enrich_figures(admin->parts.enrich, &f);
	single(out, "enrichment_items_held", "gauge", "Items this process works on",
		bf_enrich_count(admin->parts.enrich));
	head(out, "enrichment_items_total", "counter", "Items that left this process, by how");
	for (int i = 0; i < BF_ITEM_ENDS; i++)
		labelled(out, "enrichment_items_total", "outcome", bf_item_end_names[i],
			(double)f.ended[i]);
	single(out, "enrichment_batches_total", "counter", "Batches that were claimed",
		(double)f.batches);
	single(out, "enrichment_stale_total", "counter",
		"Items looked at again because the catalogue had changed meanwhile",
		(double)f.stale);
	single(out, "enrichment_defects_total", "counter",
		"Events that the items' state machine has no answer to", (double)f.bugs);
	head(out, "enrichment_works_total", "counter",
		"Works that were made, became real, or went into another");
	labelled(out, "enrichment_works_total", "kind", "new", (double)f.works_new);
	labelled(out, "enrichment_works_total", "kind", "promoted", (double)f.works_promoted);
	labelled(out, "enrichment_works_total", "kind", "absorbed", (double)f.works_absorbed);
	single(out, "enrichment_records_reused_total", "counter",
		"Records that were kept already and not asked for again", (double)f.records_reused);
	head(out, "enrichment_batch_duration_seconds", "histogram",
		"From claiming a batch to the end of its last item");
	histogram(out, "enrichment_batch_duration_seconds", "", bf_batch_bounds_s, f.batch.bucket,
		BF_BATCH_BUCKETS, f.batch.sum_s);
}

/* Alerts that are open, of all instances; what this process told the webhook. */
static void write_alerts(struct bf_buf *out, const struct bf_admin *admin)
{
	const struct bf_alert_figures *f = bf_schedule_alert_figures(admin->parts.schedule);

	head(out, "alerts", "gauge", "Open alerts, as of the last look");
	for (int i = 0; i < f->n_open; i++)
		bf_buf_addf(out, "backfill_alerts{key=\"%s\",severity=\"%s\"} %d\n", f->open[i].key,
			f->open[i].severity, f->open[i].n);
	head(out, "alert_deliveries_total", "counter",
		"Posts of alerts to the webhook, by what came of them");
	labelled(out, "alert_deliveries_total", "outcome", "delivered", (double)f->delivered);
	labelled(out, "alert_deliveries_total", "outcome", "failed", (double)f->failed);
	labelled(out, "alert_deliveries_total", "outcome", "given_up", (double)f->given_up);
}

/* What this process does and did with months. */
static void write_months(struct bf_buf *out, const struct bf_admin *admin)
{
	struct bf_month_figures f;

	bf_months_figures(admin->parts.months, &f);
	single(out, "months_in_flight", "gauge", "Months this process works on",
		bf_months_in_flight(admin->parts.months));
	single(out, "months_held", "gauge",
		"Months this process has claimed, waiting ones included",
		bf_months_count(admin->parts.months));
	head(out, "months_ended_total", "counter", "Months that left this process, by how");
	labelled(out, "months_ended_total", "result", "completed", (double)f.completed);
	labelled(out, "months_ended_total", "result", "retry", (double)f.retried);
	labelled(out, "months_ended_total", "result", "failed", (double)f.failed);
	labelled(out, "months_ended_total", "result", "released", (double)f.released);
	labelled(out, "months_ended_total", "result", "lost", (double)f.lost);
	single(out, "month_transitions_total", "counter", "Steps of months' state machines",
		(double)f.transitions);
	single(out, "month_defects_total", "counter",
		"Events that the state machine has no answer to", (double)f.bugs);
	head(out, "stage_duration_seconds", "histogram", "How long months stayed in each stage");
	for (int i = 0; i < BF_STAGES; i++) {
		char labels[48];

		snprintf(labels, sizeof(labels), "stage=\"%s\",", bf_stage_names[i]);
		histogram(out, "stage_duration_seconds", labels, bf_stage_bounds_s,
			f.stage[i].bucket, BF_STAGE_BUCKETS, f.stage[i].sum_s);
	}
}

/* All seven at once: samples of one name must stand together. */
struct all_figures {
	struct bf_provider_figures of[BF_NPROVIDERS];
};

/* Requests by outcome, and how long they took. */
static void write_requests(struct bf_buf *out, const struct all_figures *all)
{
	char labels[48];

	head(out, "provider_requests_total", "counter", "Requests sent to a provider, by outcome");
	for (int id = 0; id < BF_NPROVIDERS; id++) {
		for (int i = 0; i < BF_OUTCOMES; i++)
			bf_buf_addf(out,
				"backfill_provider_requests_total{provider=\"%s\",outcome=\"%s\"} "
				"%" PRIu64 "\n",
				bf_provider_names[id], bf_outcome_names[i],
				all->of[id].requests[i]);
	}
	head(out, "provider_request_duration_seconds", "histogram", "Time of a provider's answer");
	for (int id = 0; id < BF_NPROVIDERS; id++) {
		snprintf(labels, sizeof(labels), "provider=\"%s\",", bf_provider_names[id]);
		histogram(out, "provider_request_duration_seconds", labels,
			bf_http_latency_bounds_s, all->of[id].latency, BF_HTTP_LATENCY_BUCKETS,
			all->of[id].latency_sum_s);
	}
}

/* One gauge or counter over the seven providers, from one field of their figures. */
#define PER_PROVIDER(out, all, name, type, help, field)                             \
	do {                                                                        \
		head((out), (name), (type), (help));                                \
		for (int id_ = 0; id_ < BF_NPROVIDERS; id_++)                       \
			labelled((out), (name), "provider", bf_provider_names[id_], \
				(double)(all)->of[id_].field);                      \
	} while (0)

/* Units; a provider whose count is not known yet, or that has no limit, is left out rather than shown as 0. */
static void write_quota(struct bf_buf *out, const struct all_figures *all)
{
	head(out, "quota_used", "gauge", "Units used on the provider's own day");
	for (int id = 0; id < BF_NPROVIDERS; id++) {
		if (all->of[id].quota_used >= 0)
			labelled(out, "quota_used", "provider", bf_provider_names[id],
				(double)all->of[id].quota_used);
	}
	head(out, "quota_limit", "gauge", "Units that may be used on a day, after the reserve");
	for (int id = 0; id < BF_NPROVIDERS; id++) {
		if (all->of[id].quota_limit > 0)
			labelled(out, "quota_limit", "provider", bf_provider_names[id],
				(double)all->of[id].quota_limit);
	}
}

/* The seven providers. */
static void write_providers(struct bf_buf *out, const struct bf_admin *admin)
{
	struct all_figures all;

	for (int id = 0; id < BF_NPROVIDERS; id++)
		bf_provider_figures(admin->parts.providers, (enum bf_provider_id)id, &all.of[id]);
	write_requests(out, &all);
	write_quota(out, &all);
	PER_PROVIDER(out, &all, "provider_retries_total", "counter", "Requests that were repeats",
		retries);
	PER_PROVIDER(
		out, &all, "provider_units_total", "counter", "Units spent by this process", units);
	PER_PROVIDER(out, &all, "provider_cache_hits_total", "counter",
		"Questions answered from the cache", cache_hits);
	PER_PROVIDER(out, &all, "provider_shared_total", "counter",
		"Questions that joined a request under way", shared);
	PER_PROVIDER(out, &all, "provider_in_flight", "gauge", "Requests under way", in_flight);
	PER_PROVIDER(out, &all, "provider_waiting", "gauge",
		"Requests that wait for rate or concurrency", waiting);
	PER_PROVIDER(out, &all, "circuit_state", "gauge", "0 closed, 1 half open, 2 open", circuit);
	PER_PROVIDER(
		out, &all, "cost_usd_total", "counter", "Money spent by this process", cost_usd);
	head(out, "provider_usable", "gauge", "1 when the provider may be asked");
	for (int id = 0; id < BF_NPROVIDERS; id++)
		labelled(out, "provider_usable", "provider", bf_provider_names[id],
			bf_provider_unusable(admin->parts.providers, (enum bf_provider_id)id) ==
				NULL);
	head(out, "tokens_total", "counter", "Tokens that the AI providers counted");
	for (int id = 0; id < BF_NAIS; id++) {
		bf_buf_addf(out,
			"backfill_tokens_total{provider=\"%s\",direction=\"in\"} %" PRId64 "\n",
			bf_provider_names[id], all.of[id].tokens_in);
		bf_buf_addf(out,
			"backfill_tokens_total{provider=\"%s\",direction=\"out\"} %" PRId64 "\n",
			bf_provider_names[id], all.of[id].tokens_out);
	}
}

/* Sessions and statements of both pools. */
static void write_database(struct bf_buf *out, const struct bf_admin *admin)
{
	struct bf_pg_stats pool, locks;

	bf_pg_stats(admin->parts.pool, &pool);
	bf_pg_stats(admin->parts.locks, &locks);
	single(out, "database_up", "gauge", "1 while a writable database answers",
		bf_pg_is_up(admin->parts.pool));
	single(out, "lock_session_up", "gauge", "1 while the session with the advisory locks lives",
		bf_pg_is_up(admin->parts.locks));
	single(out, "db_statements_total", "counter", "Statements sent",
		(double)(pool.statements + locks.statements));
	single(out, "db_errors_total", "counter", "Statements that failed",
		(double)(pool.errors + locks.errors));
	single(out, "db_reconnects_total", "counter", "Sessions that were set up again",
		(double)(pool.reconnects + locks.reconnects));
	for (int i = 0; i < BF_PG_LATENCY_BUCKETS; i++)
		pool.count[i] += locks.count[i];
	head(out, "db_query_duration_seconds", "histogram",
		"Time from sending a statement to its result");
	histogram(out, "db_query_duration_seconds", "", bf_pg_latency_bounds_s, pool.count,
		BF_PG_LATENCY_BUCKETS, pool.sum_s + locks.sum_s);
	head(out, "open_connections", "gauge", "Connections by kind");
	labelled(out, "open_connections", "kind", "admin", admin->conns.live);
	labelled(out, "open_connections", "kind", "http",
		bf_http_open_connections(admin->parts.http));
	labelled(out, "open_connections", "kind", "database", pool.open + locks.open);
}

/* Resident bytes, -1 when the kernel doesn't say. A file of /proc is made up in memory: reading it can't block. */
static int64_t resident_bytes(void)
{
	char text[128], *rest;
	ssize_t n;
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	strtoll(text, &rest, 10);
	return strtoll(rest, NULL, 10) * (int64_t)sysconf(_SC_PAGESIZE);
}

/* The process itself, its loop and this interface. */
static void write_process(struct bf_buf *out, const struct bf_admin *admin)
{
	static const char *const classes[SERVER_STATUS_CLASSES] = { NULL, "1xx", "2xx", "3xx",
		"4xx", "5xx" };
	struct bf_lag lag;
	int64_t resident = resident_bytes();

	bf_loop_lag(admin->parts.loop, &lag);
	head(out, "loop_lag_seconds", "histogram", "How late the loop gets to what is due");
	histogram(
		out, "loop_lag_seconds", "", bf_lag_bounds_s, lag.count, BF_LAG_BUCKETS, lag.sum_s);
	single(out, "loop_lag_max_seconds", "gauge", "The longest lag since the start", lag.max_s);
	head(out, "admin_answers_total", "counter", "Answers of this interface by status");
	for (int i = 2; i < SERVER_STATUS_CLASSES; i++)
		labelled(out, "admin_answers_total", "status", classes[i],
			(double)admin->answers[i]);
	single(out, "unauthorized_total", "counter", "Requests without the right secret",
		(double)admin->refusals.total);
	single(out, "wrong_secrets_limited_total", "counter",
		"Those of them that were wrong too often: 429",
		(double)admin->refusals.limited);
	single(out, "event_readers", "gauge", "Who follows the events of this process",
		admin->events.n_readers);
	single(out, "event_readers_dropped_total", "counter",
		"Readers of events that were too slow and had to go",
		(double)admin->events.dropped);
	single(out, "audit_dropped_total", "counter", "Lines of the audit that were lost",
		(double)admin->audit.dropped);
	single(out, "admin_connections_refused_total", "counter",
		"Connections beyond the cap, when none could be spared",
		(double)admin->conns.refused);
	single(out, "admin_connections_displaced_total", "counter",
		"Connections cut at the cap to make room for a newcomer",
		(double)admin->conns.displaced);
	single(out, "admin_connections_oversized_total", "counter",
		"Connections cut for what they had sent without an answer",
		(double)admin->conns.oversized);
	single(out, "admin_connections_timed_out_total", "counter",
		"Connections cut at their deadline", (double)admin->conns.timed_out);
	single(out, "log_dropped_total", "counter", "Log lines that nobody read in time",
		(double)bf_log_dropped());
	single(out, "next_run_timestamp_seconds", "gauge",
		"When the timer fires next; -1: it is off",
		(double)bf_schedule_next_run(admin->parts.schedule));
	single(out, "process_start_time_seconds", "gauge", "When the process started, Unix time",
		(double)admin->started_wall_us / 1e6);
	if (resident >= 0)
		single(out, "resident_memory_bytes", "gauge", "Resident memory", (double)resident);
	head(out, "build_info", "gauge", "Always 1; the version is the label");
	labelled(out, "build_info", "version", BF_VERSION, 1);
}

/* GET /metrics */
void metrics_show(struct request *rq)
{
	struct bf_buf buf;

	bf_buf_init(&buf, MAX_BYTES);
	write_pulse(&buf, rq->admin);
	write_queue(&buf, rq->admin);
	write_alerts(&buf, rq->admin);
	write_months(&buf, rq->admin);
	write_enrichment(&buf, rq->admin);
	write_providers(&buf, rq->admin);
	write_database(&buf, rq->admin);
	write_process(&buf, rq->admin);
	if (buf.failed)
		reply_error(rq, 500, "The figures are longer than %zu bytes", buf.max);
	else
		reply_text(rq, 200, "text/plain; version=0.0.4; charset=utf-8", buf.data, buf.len);
	bf_buf_release(&buf);
}
