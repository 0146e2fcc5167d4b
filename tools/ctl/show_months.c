/*
 * show_months: how far the backfill is, all months as a grid, and one month with its books and what happened to it.
 */
#include "ctl.h"
#include "grid.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GRID_BYTES (1u << 20)

/* A rate in percent; a dash when there is none. */
static const char *rate(struct ctl *ctl, struct bf_jval v, const char *dotted)
{
	double percent;

	if (!bf_json_dbl(bf_json_path(v, dotted), &percent))
		return "-";
	return bf_arena_printf(ctl->arena, "%.2f", percent);
}

/* What ended last. */
static void print_recent(struct ctl *ctl, struct bf_jval list)
{
	struct table t;

	table_init(&t, &ctl->out, "ended last,status,>books,>isbns,>rate %,error");
	for (struct bf_jval v = bf_json_first(list); bf_json_type(v); v = bf_json_next(v)) {
		table_text(&t, api_month(ctl, v));
		table_status(&t, api_text(ctl, v, "status"));
		table_text(&t, api_count(ctl, api_int(v, "books_generated")));
		table_text(&t, api_count(ctl, api_int(v, "isbns_resolved")));
		table_text(&t, rate(ctl, v, "resolution_rate"));
		table_text(&t, api_text(ctl, v, "error_message"));
	}
	table_end(&t);
}

/* GET backfill-stats */
int show_stats(struct ctl *ctl)
{
	static const char *const statuses[] = { "completed", "processing", "pending", "retry",
		"failed" };
	struct bf_json *doc;
	struct bf_jval root;
	struct table t;
	int rc = api_call(ctl, "/api/internal/backfill-stats", NULL, &doc);

	if (rc != CTL_OK || ctl->args.json) {
		bf_json_free(doc);
		return rc;
	}
	root = bf_json_root(doc);
	table_init(&t, &ctl->out, "months,>number");
	for (size_t i = 0; i < BF_COUNT(statuses); i++) {
		table_status(&t, statuses[i]);
		table_text(&t,
			api_count(ctl,
				api_int(bf_json_get(bf_json_get(root, "by_status"), statuses[i]),
					"")));
	}
	table_text(&t, "all");
	table_text(&t, api_count(ctl, api_int(root, "total_months")));
	table_end(&t);
	out_blank(&ctl->out);
	out_line(&ctl->out, "books  %s named, %s with an ISBN (%s %%), %s queued",
		api_count(ctl, api_int(root, "progress.total_books_generated")),
		api_count(ctl, api_int(root, "progress.total_isbns_resolved")),
		rate(ctl, root, "progress.overall_resolution_rate"),
		api_count(ctl, api_int(root, "progress.total_isbns_queued")));
	out_line(&ctl->out,
		"queue  %s pending (%s of them waiting), %s at work, %s completed, %s failed",
		api_count(ctl, api_int(root, "enrichment.pending")),
		api_count(ctl, api_int(root, "enrichment.waiting")),
		api_count(ctl, api_int(root, "enrichment.processing")),
		api_count(ctl, api_int(root, "enrichment.completed")),
		api_count(ctl, api_int(root, "enrichment.failed")));
	if (bf_json_size(bf_json_get(root, "recent_activity")) > 0)
		out_blank(&ctl->out);
	print_recent(ctl, bf_json_get(root, "recent_activity"));
	bf_json_free(doc);
	return CTL_OK;
}

/* The months of one status, as lines: what the letters do not tell. */
static void print_list(struct ctl *ctl, struct bf_jval list, const char *status)
{
	struct table t;

	out_blank(&ctl->out);
	table_init(&t, &ctl->out,
		"month,stage,>books,>isbns,>rate %,>attempts,next attempt (UTC),owner,error");
	for (struct bf_jval v = bf_json_first(list); bf_json_type(v); v = bf_json_next(v)) {
		if (strcmp(api_text(ctl, v, "status"), status) != 0)
			continue;
		table_text(&t, api_month(ctl, v));
		table_text(&t, api_text(ctl, v, "stage"));
		table_text(&t, api_count(ctl, api_int(v, "books_generated")));
		table_text(&t, api_count(ctl, api_int(v, "isbns_resolved")));
		table_text(&t, rate(ctl, v, "resolution_rate"));
		table_text(&t, api_count(ctl, api_int(v, "retry_count")));
		table_text(&t, api_time(ctl, v, "next_attempt_at"));
		table_text(&t, api_text(ctl, v, "owner"));
		table_text(&t, api_text(ctl, v, "error_message"));
	}
	table_end(&t);
}

/* The grid of a list of months. */
static void print_grid(struct ctl *ctl, struct bf_jval list, enum grid_status only)
{
	size_t n = 0, size = bf_json_size(list);
	struct grid_month *months = bf_xcalloc(size + 1, sizeof(*months));
	struct bf_buf buf;

	for (struct bf_jval v = bf_json_first(list); bf_json_type(v) && n < size;
		v = bf_json_next(v)) {
		months[n++] = (struct grid_month){ (int)api_int(v, "year"),
			(int)api_int(v, "month"), grid_status_by_name(api_text(ctl, v, "status")) };
	}
	bf_buf_init(&buf, GRID_BYTES);
	grid_write(&buf, &ctl->out, months, n, only);
	fputs(buf.data, ctl->out.file);
	bf_buf_release(&buf);
	free(months);
}

/* GET months */
int show_months(struct ctl *ctl)
{
	enum grid_status only = GRID_NONE;
	struct bf_json *doc;
	struct bf_jval list;
	int rc;

	if (ctl->args.status != NULL) {
		only = grid_status_by_name(ctl->args.status);
		if (only == GRID_OTHER) {
			out_complain("--status: one of pending, processing, completed, retry, "
				     "failed is wanted");
			return CTL_USAGE;
		}
	}
	rc = api_call(ctl, "/api/internal/months", NULL, &doc);
	if (rc == CTL_OK && !ctl->args.json) {
		list = bf_json_get(bf_json_root(doc), "months");
		if (bf_json_size(list) == 0)
			out_line(&ctl->out, "No month is seeded; begin with: backfillctl seed");
		else
			print_grid(ctl, list, only);
		if (only != GRID_NONE)
			print_list(ctl, list, ctl->args.status);
	}
	bf_json_free(doc);
	return rc;
}

/* The row: what is known of the month itself. */
static void print_row(struct ctl *ctl, struct bf_jval m)
{
	const char *stage = api_text(ctl, m, "stage"), *next = api_time(ctl, m, "next_attempt_at");

	if (strcmp(stage, api_text(ctl, m, "status")) == 0)
		stage = "";

	out_line(&ctl->out, "%s  %s%s%s%s", api_month(ctl, m), api_text(ctl, m, "status"),
		*stage != '\0' ? " (" : "", stage, *stage != '\0' ? ")" : "");
	out_line(&ctl->out,
		"books     %" PRId64 " named, %" PRId64 " with an ISBN (%s %%), %" PRId64
		" queued, %" PRId64 " known already",
		api_int(m, "books_generated"), api_int(m, "isbns_resolved"),
		rate(ctl, m, "resolution_rate"), api_int(m, "isbns_queued"),
		api_int(m, "already_enriched"));
	out_line(&ctl->out,
		"calls     gemini %" PRId64 ", xai %" PRId64 ", isbndb %" PRId64 ", free %" PRId64
		"; %.4f USD",
		api_int(m, "gemini_calls"), api_int(m, "xai_calls"), api_int(m, "isbndb_calls"),
		api_int(m, "free_calls"), api_dbl(m, "cost_usd"));
	out_line(&ctl->out,
		"attempts  %" PRId64 " of 5, prompt %s, %" PRId64 " books per provider%s%s",
		api_int(m, "retry_count"), api_text(ctl, m, "prompt_variant"),
		api_int(m, "batch_size"), *next != '\0' ? "; next " : "", next);
	if (*api_text(ctl, m, "started_at") != '\0')
		out_line(&ctl->out, "run       %s to %s by %s, job %s",
			api_time(ctl, m, "started_at"),
			*api_text(ctl, m, "completed_at") != '\0' ? api_time(ctl, m, "completed_at")
								  : "now",
			api_text(ctl, m, "owner"), api_text(ctl, m, "job_id"));
	if (*api_text(ctl, m, "error_message") != '\0')
		out_line(&ctl->out, "error     %s", api_text(ctl, m, "error_message"));
}

/* What the AIs answered. */
static void print_answers(struct ctl *ctl, struct bf_jval list)
{
	struct table t;

	table_init(&t, &ctl->out,
		"asked (UTC),>round,AI,~model,~prompt,outcome,>tokens in,>out,>USD,>ms,reason");
	for (struct bf_jval v = bf_json_first(list); bf_json_type(v); v = bf_json_next(v)) {
		table_text(&t, api_time(ctl, v, "at"));
		table_text(&t, api_text(ctl, v, "round"));
		table_text(&t, api_text(ctl, v, "provider"));
		table_text(&t, api_text(ctl, v, "model"));
		table_text(&t, api_text(ctl, v, "variant"));
		table_text(&t, api_text(ctl, v, "outcome"));
		table_text(&t, api_count(ctl, api_int(v, "tokens_in")));
		table_text(&t, api_count(ctl, api_int(v, "tokens_out")));
		table_cell(&t, "%.4f", api_dbl(v, "cost_usd"));
		table_text(&t, api_count(ctl, api_int(v, "latency_ms")));
		table_text(&t, api_text(ctl, v, "reason"));
	}
	if (t.n_cells > 0)
		out_blank(&ctl->out);
	table_end(&t);
}

/* Each book: who named it, and who found its ISBN or why nobody did. */
static void print_books(struct ctl *ctl, struct bf_jval list)
{
	struct table t;

	table_init(&t, &ctl->out, "isbn,found by,>sure,named by,~title,author");
	for (struct bf_jval v = bf_json_first(list); bf_json_type(v); v = bf_json_next(v)) {
		const char *isbn = api_text(ctl, v, "isbn13");

		if (api_true(v, "merged"))
			continue;
		table_text(&t, *isbn != '\0' ? isbn : api_text(ctl, v, "state"));
		table_text(&t, *isbn != '\0' ? api_text(ctl, v, "resolved_by") : "-");
		table_text(&t, *isbn != '\0' ? api_text(ctl, v, "confidence") : "-");
		table_text(&t, api_list(ctl, bf_json_get(v, "generated_by")));
		table_text(&t, api_text(ctl, v, "title"));
		table_text(&t, api_text(ctl, v, "author"));
	}
	if (t.n_cells > 0)
		out_blank(&ctl->out);
	table_end(&t);
}

/* What happened, in order. */
static void print_transitions(struct ctl *ctl, struct bf_jval list)
{
	struct table t;

	table_init(&t, &ctl->out, "at (UTC),from,to,event,instance");
	for (struct bf_jval v = bf_json_first(list); bf_json_type(v); v = bf_json_next(v)) {
		table_text(&t, api_time(ctl, v, "at"));
		table_text(&t, api_text(ctl, v, "from"));
		table_text(&t, api_text(ctl, v, "to"));
		table_text(&t, api_text(ctl, v, "event"));
		table_text(&t, api_text(ctl, v, "instance"));
	}
	if (t.n_cells > 0)
		out_blank(&ctl->out);
	table_end(&t);
}

/* GET months/{y}/{m} */
int show_month(struct ctl *ctl)
{
	struct args_month month = { 0, 0 };
	struct bf_json *doc;
	struct bf_jval root;
	char path[64];
	int rc;

	args_read_month(ctl->args.words[0], &month);
	snprintf(path, sizeof(path), "/api/internal/months/%d/%d", month.year, month.month);
	rc = api_call(ctl, path, NULL, &doc);
	if (rc == CTL_OK && !ctl->args.json) {
		root = bf_json_root(doc);
		print_row(ctl, root);
		print_answers(ctl, bf_json_get(root, "answers"));
		print_books(ctl, bf_json_get(root, "candidates"));
		print_transitions(ctl, bf_json_get(root, "transitions"));
	}
	bf_json_free(doc);
	return rc;
}
