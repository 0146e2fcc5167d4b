/*
 * steer: what changes something: months claimed, seeded, harvested, retried, reset, cancelled; the pause.
 */
#include "ctl.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BODY_BYTES     65536
#define QUESTION_BYTES 65536
#define SHOWN_MONTHS   12
#define DEPTH_MAX      6

/* A body is written with these two around its members. */
static void begin(struct bf_buf *buf, struct bf_jw *jw)
{
	bf_buf_init(buf, BODY_BYTES);
	bf_jw_init(jw, buf);
	bf_jw_obj(jw);
}

static void add_text(struct bf_jw *jw, const char *key, const char *value)
{
	if (value == NULL)
		return;
	bf_jw_key(jw, key);
	bf_jw_str(jw, value);
}

static void add_int(struct bf_jw *jw, const char *key, int value)
{
	if (value == 0)
		return;
	bf_jw_key(jw, key);
	bf_jw_int(jw, value);
}

static void add_true(struct bf_jw *jw, const char *key, bool value)
{
	if (!value)
		return;
	bf_jw_key(jw, key);
	bf_jw_bool(jw, true);
}

/* Ends the body, makes the call, frees the body. */
static int post(struct ctl *ctl, const char *path, struct bf_buf *buf, struct bf_jw *jw,
	struct bf_json **ret)
{
	int rc = CTL_USAGE;

	bf_jw_end_obj(jw);
	*ret = NULL;
	if (buf->failed)
		out_complain("the arguments are too long");
	else
		rc = api_call(ctl, path, buf->data, ret);
	bf_buf_release(buf);
	return rc;
}

/* Any object as lines of "a.b  value": for parts of an answer whose members are the server's business. */
static void print_members(
	struct ctl *ctl, struct table *t, const char *prefix, struct bf_jval object, int depth)
{
	for (struct bf_jval v = bf_json_first(object); bf_json_type(v) && depth < DEPTH_MAX;
		v = bf_json_next(v)) {
		const char *key = bf_json_key(v, ctl->arena), *raw;
		enum bf_jtype type = bf_json_type(v);
		size_t len;

		key = bf_arena_printf(ctl->arena, "%s%s%s", prefix,
			*prefix != '\0' && key != NULL ? " " : "", key != NULL ? key : "");
		if (type == BF_J_OBJECT) {
			print_members(ctl, t, key, v, depth + 1);
			continue;
		}
		table_text(t, key);
		raw = bf_json_raw(v, &len);
		if (type == BF_J_STRING)
			table_text(t, api_text(ctl, v, ""));
		else
			table_text(t,
				type == BF_J_NULL ? "-" : bf_arena_strndup(ctl->arena, raw, len));
	}
}

/* The months of a claim, what they may cost, and what is left. */
static void print_claim(struct ctl *ctl, struct bf_jval root)
{
	bool dry_run = api_true(root, "dry_run");
	struct table t;

	out_line(&ctl->out, "%" PRId64 " months %s", api_int(root, "months_selected"),
		dry_run ? "would be claimed" : "claimed");
	table_init(&t, &ctl->out, "month,status,>books,>isbns,error");
	for (struct bf_jval v = bf_json_first(bf_json_get(root, "months")); bf_json_type(v);
		v = bf_json_next(v)) {
		table_text(&t, api_month(ctl, v));
		table_status(&t, api_text(ctl, v, "status"));
		table_text(&t, api_text(ctl, v, "books_generated"));
		table_text(&t, api_text(ctl, v, "isbns_resolved"));
		table_text(&t, api_text(ctl, v, "error_message"));
	}
	table_end(&t);
	if (api_int(root, "months_selected") > 0)
		plan_estimate(ctl, bf_json_get(root, "estimate"));
	if (api_int(root, "execution_summary.skipped") > 0)
		out_line(&ctl->out, "%" PRId64 " were held by another instance",
			api_int(root, "execution_summary.skipped"));
	out_line(&ctl->out, "%spending %s, processing %s, completed %s, failed %s",
		dry_run ? "now: " : "after it: ", api_count(ctl, api_int(root, "total_pending")),
		api_count(ctl, api_int(root, "total_processing")),
		api_count(ctl, api_int(root, "total_completed")),
		api_count(ctl, api_int(root, "total_failed")));
}

/* POST schedule-backfill */
int steer_schedule(struct ctl *ctl)
{
	const struct args *a = &ctl->args;
	struct bf_json *doc;
	struct bf_buf buf;
	struct bf_jw jw;
	int rc;

	begin(&buf, &jw);
	add_int(&jw, "batch_size", a->batch_size);
	add_true(&jw, "dry_run", a->dry_run);
	add_true(&jw, "force_retry", a->force_retry);
	if (a->years.start != 0) {
		bf_jw_key(&jw, "year_range");
		bf_jw_obj(&jw);
		add_int(&jw, "start", a->years.start);
		add_int(&jw, "end", a->years.end);
		bf_jw_end_obj(&jw);
	}
	rc = post(ctl, "/api/internal/schedule-backfill", &buf, &jw, &doc);
	if (rc == CTL_OK && !a->json)
		print_claim(ctl, bf_json_root(doc));
	bf_json_free(doc);
	return rc;
}

/* Prints one member of an answer as its line. */
static int finish(struct ctl *ctl, int rc, struct bf_json *doc, const char *member)
{
	if (rc == CTL_OK && !ctl->args.json)
		out_line(&ctl->out, "%s", api_text(ctl, bf_json_root(doc), member));
	bf_json_free(doc);
	return rc;
}

/* POST seed-backfill-queue */
int steer_seed(struct ctl *ctl)
{
	struct bf_json *doc;
	struct bf_buf buf;
	struct bf_jw jw;
	int rc;

	if (ctl->args.years.start > ctl->args.years.end) {
		out_complain("--years: the first year is after the last");
		return CTL_USAGE;
	}
	begin(&buf, &jw);
	add_int(&jw, "year_start", ctl->args.years.start);
	add_int(&jw, "year_end", ctl->args.years.end);
	rc = post(ctl, "/api/internal/seed-backfill-queue", &buf, &jw, &doc);
	return finish(ctl, rc, doc, "message");
}

/* POST harvest/backfill */
int steer_harvest(struct ctl *ctl)
{
	const struct args *a = &ctl->args;
	struct args_month month = { 0, 0 };
	struct bf_json *doc;
	struct bf_buf buf;
	struct bf_jw jw;
	int rc;

	if (a->n_words > 0)
		args_read_month(a->words[0], &month);
	begin(&buf, &jw);
	add_int(&jw, "year", month.year);
	add_int(&jw, "month", month.month);
	add_int(&jw, "batch_size", a->batch_size);
	add_true(&jw, "dry_run", a->dry_run);
	add_text(&jw, "prompt_variant", a->prompt_variant);
	add_text(&jw, "model_override", a->model);
	add_int(&jw, "max_quota", a->max_quota);
	add_text(&jw, "experiment_id", a->experiment);
	rc = post(ctl, "/api/harvest/backfill", &buf, &jw, &doc);
	if (rc == CTL_OK && !a->json) {
		out_line(&ctl->out, "%s: %s", api_month(ctl, bf_json_root(doc)),
			api_text(ctl, bf_json_root(doc), "message"));
		out_line(&ctl->out, "follow it with: backfillctl job %s",
			api_text(ctl, bf_json_root(doc), "job_id"));
	}
	bf_json_free(doc);
	return rc;
}

/* GET harvest/backfill/status/{job_id} */
int steer_job(struct ctl *ctl)
{
	const char *id = ctl->args.words[0];
	struct bf_json *doc;
	struct bf_jval root;
	struct table t;
	char path[96];
	int rc;

	if (strlen(id) != 36 || strspn(id, "0123456789abcdefABCDEF-") != 36) {
		out_complain("job: the job_id of a harvest or a month is wanted");
		return CTL_USAGE;
	}
	snprintf(path, sizeof(path), "/api/harvest/backfill/status/%s", id);
	rc = api_call(ctl, path, NULL, &doc);
	if (rc == CTL_OK && !ctl->args.json) {
		root = bf_json_root(doc);
		out_line(&ctl->out, "%s  %s: %s", api_month(ctl, root),
			api_text(ctl, root, "status"), api_text(ctl, root, "progress"));
		if (*api_text(ctl, root, "error") != '\0')
			out_line(&ctl->out, "error: %s", api_text(ctl, root, "error"));
		out_line(&ctl->out, "begun %s, %.1f s%s", api_time(ctl, root, "created_at"),
			api_dbl(root, "duration_ms") / 1000.0,
			*api_text(ctl, root, "completed_at") == '\0' ? " so far" : "");
		table_init(&t, &ctl->out, "figure,>value");
		print_members(ctl, &t, "", bf_json_get(root, "stats"), 0);
		table_end(&t);
	}
	bf_json_free(doc);
	return rc;
}

/* One action on every month named; all are tried, the first failure is the exit status. */
static int each_month(struct ctl *ctl, const char *action)
{
	int first = CTL_OK;

	for (int i = 0; i < ctl->args.n_words; i++) {
		struct args_month month = { 0, 0 };
		struct bf_json *doc;
		char path[96];
		int rc;

		args_read_month(ctl->args.words[i], &month);
		snprintf(path, sizeof(path), "/api/internal/months/%d/%d/%s", month.year,
			month.month, action);
		rc = api_call(ctl, path, "{}", &doc);
		if (rc == CTL_OK && !ctl->args.json)
			out_line(&ctl->out, "%s is %s now", api_month(ctl, bf_json_root(doc)),
				api_text(ctl, bf_json_root(doc), "status"));
		bf_json_free(doc);
		if (first == CTL_OK)
			first = rc;
		if (rc == CTL_REFUSED)
			break;
	}
	return first;
}

/* Asks first. */
static int each_month_asked(struct ctl *ctl, const char *action, const char *consequence)
{
	const struct args *a = &ctl->args;
	struct bf_buf question;
	int rc;

	bf_buf_init(&question, QUESTION_BYTES);
	bf_buf_addf(&question, "%s %d month%s (", action, a->n_words, a->n_words == 1 ? "" : "s");
	for (int i = 0; i < a->n_words && i < SHOWN_MONTHS; i++)
		bf_buf_addf(&question, "%s%s", i > 0 ? ", " : "", a->words[i]);
	bf_buf_addf(&question, "%s)? %s", a->n_words > SHOWN_MONTHS ? ", ..." : "", consequence);
	rc = api_confirm(ctl, question.data);
	bf_buf_release(&question);
	return rc == CTL_OK ? each_month(ctl, action) : rc;
}

/* POST months/{y}/{m}/retry, or those that months/retry finds */
int steer_retry(struct ctl *ctl)
{
	const struct args *a = &ctl->args;
	bool chosen = a->failed || a->below != 0 || a->refused != NULL;
	bool narrowed = a->years.start != 0 || a->limit != 0 || a->dry_run || a->yes;

	if (chosen && a->n_words == 0)
		return retry_where(ctl);
	if (!chosen && a->n_words > 0 && !narrowed)
		return each_month(ctl, "retry");
	out_complain(chosen ? "retry: either months or --failed, --below and --refused"
			: a->n_words > 0
			? "retry: --years, --limit, --dry-run and --yes go with --failed, --below "
			  "or --refused"
			: "retry: which? Months like 2023-12, or --failed, --below, --refused");
	return CTL_USAGE;
}

/* POST months/{y}/{m}/reset */
int steer_reset(struct ctl *ctl)
{
	return each_month_asked(
		ctl, "reset", "Answers and books found are dropped, and will be paid for again.");
}

/* POST months/{y}/{m}/cancel */
int steer_cancel(struct ctl *ctl)
{
	return each_month_asked(ctl, "cancel", "What is in flight ends as failed.");
}

/* POST pause */
int steer_pause(struct ctl *ctl)
{
	struct bf_json *doc;
	struct bf_jval root;
	struct bf_buf buf;
	struct bf_jw jw;
	int rc;

	begin(&buf, &jw);
	add_text(&jw, "note", ctl->args.note);
	add_text(&jw, "until", ctl->args.until);
	rc = post(ctl, "/api/internal/pause", &buf, &jw, &doc);
	if (rc == CTL_OK && !ctl->args.json) {
		const char *note, *until;

		root = bf_json_root(doc);
		note = api_text(ctl, root, "note");
		until = api_time(ctl, root, "until");
		out_line(&ctl->out, "Paused%s%s%s%s%s; what is in flight ends.",
			*until != '\0' ? " until " : "", until,
			*until != '\0' ? " UTC" : " until resumed", *note != '\0' ? ": " : "",
			note);
	}
	bf_json_free(doc);
	return rc;
}

/* POST resume */
int steer_resume(struct ctl *ctl)
{
	struct bf_json *doc;
	int rc = api_call(ctl, "/api/internal/resume", "{}", &doc);

	if (rc == CTL_OK && !ctl->args.json)
		out_line(&ctl->out, "Resumed.");
	bf_json_free(doc);
	return rc;
}
