/*
 * schedule_routes: claiming months, seeding them, and harvesting one by name. The answers come when the claim is committed,
 * not when the months are done.
 */
#include "estimate.h"
#include "handlers.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define YEAR_MIN  1900
#define YEAR_MAX  2100
#define CLAIM_MAX 50

struct claim_ask {
	int batch_size;
	bool dry_run, force_retry;
	int start, end;
	struct bf_plan_figures figures; /* of a dry run */
};
static const struct body_field claim_years[] = {
	BODY_INT_FIELD("start", YEAR_MIN, YEAR_MAX, struct claim_ask, start,
		.help = "scheduler.year_start where it is missing"),
	BODY_INT_FIELD("end", YEAR_MIN, YEAR_MAX, struct claim_ask, end,
		.help = "scheduler.year_end where it is missing"),
	BODY_END,
};
const struct body_field schedule_routes_claim_body[] = {
	BODY_INT_FIELD("batch_size", 1, CLAIM_MAX, struct claim_ask, batch_size,
		.help = "how many months at most; scheduler.batch_size where it is missing"),
	BODY_BOOL_FIELD("dry_run", struct claim_ask, dry_run, .preset = "false",
		.help = "name the months and estimate what they cost; claim none"),
	BODY_BOOL_FIELD("force_retry", struct claim_ask, force_retry, .preset = "false",
		.help = "failed months with attempts left, too"),
	BODY_OBJ_FIELD("year_range", claim_years, .help = "only months of these years, in either order"),
	BODY_END,
};
const struct body_field schedule_routes_seed_body[] = {
	BODY_INT_FIELD("year_start", YEAR_MIN, YEAR_MAX, struct bf_seed, year_start, .preset = "2000",
		.help = "the first year; not after year_end"),
	BODY_INT_FIELD("year_end", YEAR_MIN, YEAR_MAX, struct bf_seed, year_end, .preset = "2024",
		.help = "the last year"),
	BODY_END,
};
const struct body_field schedule_routes_harvest_body[] = {
	BODY_INT_FIELD("year", YEAR_MIN, YEAR_MAX, struct bf_harvest, year,
		.help = "with month; without both, the next month in order"),
	BODY_INT_FIELD("month", 1, 12, struct bf_harvest, month, .help = "with year"),
	BODY_INT_FIELD("batch_size", 1, 100, struct bf_harvest, batch_size,
		.help = "books that each AI is asked for; the month's own number where it is missing"),
	BODY_BOOL_FIELD("dry_run", struct bf_harvest, dry_run, .preset = "false",
		.help = "ask and resolve, which spends quota, and write nothing about the month or its books"),
	BODY_ENUM_FIELD("prompt_variant", bf_prompt_variants, BF_PROMPT_VARIANTS, struct bf_harvest,
		prompt_variant, .help = "in place of the month's own"),
	BODY_STR_FIELD("model_override", 1, 63, struct bf_harvest, model_override,
		.pattern = "^(gemini-|grok-)[A-Za-z0-9._-]*$",
		.help = "the model to ask, of the AI whose models begin so"),
	BODY_INT_FIELD("max_quota", 1, 1000, struct bf_harvest, max_quota,
		.help = "how many paid ISBN calls this job may make"),
	BODY_STR_FIELD("experiment_id", 1, 100, struct bf_harvest, experiment_id,
		.help = "written into the month's events"),
	BODY_END,
};

/* 503 when nothing may be claimed now. */
static bool is_blocked(struct request *rq)
{
	const char *why = bf_schedule_blocked(rq->admin->parts.schedule);

	if (handlers_database_away(rq))
		return true;
	if (why == NULL)
		return false;
	/* A provider needs an operator; a session or a restart only needs a moment. */
	reply_unavailable(rq, bf_providers_any_ai(rq->admin->parts.providers) ? 5 : 60,
		"Nothing can be claimed now: %s", why);
	return true;
}

/* 409 with the operator's note. */
static void reply_paused(struct request *rq, const char *note)
{
	struct bf_buf buf, text;
	struct bf_jw jw;

	if (note == NULL)
		note = "";
	bf_buf_init(&text, 4096);
	bf_buf_addf(&text, "Paused%s%s", note[0] != '\0' ? ": " : "", note);
	bf_buf_init(&buf, 16384);
	bf_jw_init(&jw, &buf);
	bf_jw_obj(&jw);
	bf_jw_key(&jw, "error");
	bf_jw_str(&jw, text.data);
	bf_jw_key(&jw, "paused");
	bf_jw_bool(&jw, true);
	bf_jw_key(&jw, "note");
	bf_jw_str(&jw, note[0] != '\0' ? note : NULL);
	bf_jw_end_obj(&jw);
	bf_buf_release(&text);
	reply_buf(rq, 409, &buf);
}

/* One month of the list; figures only where there are any. */
static void write_brief(struct bf_jw *jw, const struct bf_month_brief *m)
{
	bf_jw_obj(jw);
	bf_jw_key(jw, "year");
	bf_jw_int(jw, m->year);
	bf_jw_key(jw, "month");
	bf_jw_int(jw, m->month);
	bf_jw_key(jw, "status");
	bf_jw_str(jw, m->status);
	if (m->books_generated > 0 || m->resolution_rate >= 0 || m->error_message != NULL) {
		bf_jw_key(jw, "books_generated");
		bf_jw_int(jw, m->books_generated);
		bf_jw_key(jw, "isbns_resolved");
		bf_jw_int(jw, m->isbns_resolved);
		bf_jw_key(jw, "resolution_rate");
		if (m->resolution_rate >= 0)
			bf_jw_dbl(jw, m->resolution_rate, 2);
		else
			bf_jw_null(jw);
		bf_jw_key(jw, "error_message");
		bf_jw_str(jw, m->error_message);
	}
	bf_jw_end_obj(jw);
}

/* Newest first. */
static int compare_briefs(const void *a, const void *b)
{
	const struct bf_month_brief *x = *(const struct bf_month_brief *const *)a;
	const struct bf_month_brief *y = *(const struct bf_month_brief *const *)b;

	return x->year != y->year ? y->year - x->year : y->month - x->month;
}

/* The claimed or previewed months in order. */
static void write_briefs(struct bf_jw *jw, const struct bf_claim *claim)
{
	const struct bf_month_brief **sorted = bf_xcalloc((size_t)claim->n + 1, sizeof(*sorted));

	for (int i = 0; i < claim->n; i++)
		sorted[i] = &claim->briefs[i];
	qsort(sorted, (size_t)claim->n, sizeof(*sorted), compare_briefs);
	bf_jw_arr(jw);
	for (int i = 0; i < claim->n; i++)
		write_brief(jw, sorted[i]);
	bf_jw_end_arr(jw);
	free(sorted);
}

/* A named number. */
static void write_count(struct bf_jw *jw, const char *key, int64_t n)
{
	bf_jw_key(jw, key);
	bf_jw_int(jw, n);
}

/* Books that are asked for of each month, on average; 0: unknown. */
static double average_batch(const struct bf_claim *claim)
{
	double sum = 0;

	for (int i = 0; i < claim->n; i++)
		sum += claim->briefs[i].batch_size;
	return claim->n > 0 ? sum / claim->n : 0;
}

/* The answer to a claim or a preview. */
static void reply_claim(
	struct request *rq, const struct claim_ask *ask, const struct bf_claim *claim)
{
	struct bf_buf buf;
	struct bf_jw jw;

	bf_buf_init(&buf, REPLY_MAX_BYTES);
	bf_jw_init(&jw, &buf);
	bf_jw_obj(&jw);
	bf_jw_key(&jw, "dry_run");
	bf_jw_bool(&jw, ask->dry_run);
	write_count(&jw, "batch_size", ask->batch_size);
	write_count(&jw, "months_selected", claim->n);
	bf_jw_key(&jw, "months");
	write_briefs(&jw, claim);
	write_count(&jw, "total_pending", claim->totals.pending);
	write_count(&jw, "total_processing", claim->totals.processing);
	write_count(&jw, "total_completed", claim->totals.completed);
	write_count(&jw, "total_failed", claim->totals.failed);
	if (ask->dry_run) {
		bf_jw_key(&jw, "estimate");
		estimate_write(&jw, rq->admin, claim->n, average_batch(claim), &ask->figures);
	} else {
		bf_jw_key(&jw, "execution_summary");
		bf_jw_obj(&jw);
		write_count(&jw, "triggered", claim->n);
		write_count(&jw, "skipped", claim->skipped);
		write_count(&jw, "errors", 0);
		bf_jw_end_obj(&jw);
	}
	bf_jw_end_obj(&jw);
	reply_buf(rq, 200, &buf);
}

/* The months are claimed, or would be. An error of class CONFIG is the pause. */
static void on_claim(void *ctx, const struct bf_error *err, const struct bf_claim *claim)
{
	struct request *rq = ctx;
	const char *note;

	rq->op = NULL;
	if (err == NULL) {
		reply_claim(rq, rq->state, claim);
	} else if (err->class == BF_ERR_CONFIG) {
		note = strncmp(err->text, "paused", 6) == 0 ? err->text + 6 : err->text;
		reply_paused(rq, note + strspn(note, ": "));
	} else {
		reply_store_error(rq, err);
	}
}

/* A range given whole works in either order; one completed from the configuration must leave something. */
static void check_years(
	const struct bf_config *config, struct claim_ask *ask, struct body_problems *problems)
{
	bool whole = ask->start != 0 && ask->end != 0;

	if (ask->start == 0)
		ask->start = config->scheduler.year_start;
	if (ask->end == 0)
		ask->end = config->scheduler.year_end;
	if (!whole && ask->start > ask->end)
		body_problem(problems, "year_range",
			"%d to %d leaves no year; give both start and end", ask->start, ask->end);
}

/* What months cost of late is known: which ones would it be? */
static void on_figures(void *ctx, const struct bf_error *err, const struct bf_plan_figures *figures)
{
	struct request *rq = ctx;
	struct claim_ask *ask = rq->state;

	rq->op = NULL;
	if (err != NULL) {
		reply_store_error(rq, err);
		return;
	}
	ask->figures = *figures;
	ask->figures.since = bf_arena_strdup(rq->arena, figures->since);
	rq->op = bf_store_preview(rq->admin->parts.store, ask->batch_size,
		ask->start < ask->end ? ask->start : ask->end,
		ask->start < ask->end ? ask->end : ask->start, ask->force_retry, on_claim, rq);
}

/* POST /api/internal/schedule-backfill */
void schedule_routes_claim(struct request *rq)
{
	const struct bf_config *config = rq->admin->config;
	struct claim_ask *ask = bf_arena_alloc(rq->arena, sizeof(*ask));
	struct body_problems problems = { 0 };

	ask->batch_size = config->scheduler.batch_size;
	if (!handlers_body(rq, ask))
		return;
	check_years(config, ask, &problems);
	if (handlers_refuse(rq, &problems) || is_blocked(rq))
		return;
	rq->state = ask;
	if (ask->dry_run)
		rq->op = bf_store_plan_figures(rq->admin->parts.store, on_figures, rq);
	else
		rq->op = bf_schedule_claim(rq->admin->parts.schedule, ask->batch_size, ask->start,
			ask->end, ask->force_retry, on_claim, rq);
}

/* The rows are there. */
static void on_seeded(void *ctx, const struct bf_error *err, int64_t count)
{
	struct request *rq = ctx;
	const struct bf_seed *seed = rq->state;
	struct bf_buf buf;
	struct bf_jw jw;
	char message[96];

	rq->op = NULL;
	if (err != NULL) {
		reply_store_error(rq, err);
		return;
	}
	snprintf(message, sizeof(message), "Successfully seeded %" PRId64 " month%s (%d-%d)", count,
		count == 1 ? "" : "s", seed->year_start, seed->year_end);
	bf_buf_init(&buf, 4096);
	bf_jw_init(&jw, &buf);
	bf_jw_obj(&jw);
	write_count(&jw, "months_seeded", count);
	bf_jw_key(&jw, "message");
	bf_jw_str(&jw, message);
	bf_jw_end_obj(&jw);
	reply_buf(rq, 200, &buf);
}

/* POST /api/internal/seed-backfill-queue */
void schedule_routes_seed(struct request *rq)
{
	const struct bf_config *config = rq->admin->config;
	struct bf_seed *seed = bf_arena_alloc(rq->arena, sizeof(*seed));
	struct body_problems problems = { 0 };

	*seed = (struct bf_seed){
		.batch_size = config->generation.books_per_provider,
		.recent_from = config->generation.prompt_recent_from,
		.variant_recent = config->generation.prompt_recent,
		.variant = config->generation.prompt_default,
	};
	if (!handlers_body(rq, seed))
		return;
	if (seed->year_start > seed->year_end)
		body_problem(
			&problems, "year_start", "must not be after year_end (%d)", seed->year_end);
	if (handlers_refuse(rq, &problems) || handlers_database_away(rq))
		return;
	rq->state = seed;
	rq->op = bf_store_seed(rq->admin->parts.store, seed, on_seeded, rq);
}

/* 202: the job has its id. */
static void reply_job(struct request *rq, const struct bf_month_row *row, bool dry_run)
{
	struct bf_buf buf;
	struct bf_jw jw;
	char text[200];

	bf_buf_init(&buf, 4096);
	bf_jw_init(&jw, &buf);
	bf_jw_obj(&jw);
	bf_jw_key(&jw, "success");
	bf_jw_bool(&jw, true);
	bf_jw_key(&jw, "job_id");
	bf_jw_str(&jw, row->job_id);
	write_count(&jw, "year", row->ref.year);
	write_count(&jw, "month", row->ref.month);
	bf_jw_key(&jw, "status");
	bf_jw_str(&jw, "queued");
	snprintf(text, sizeof(text),
		dry_run ? "Dry run of %d-%02d queued: it asks the providers and spends real quota, "
			  "and writes nothing about the month or its books"
			: "Backfill of %d-%02d queued",
		row->ref.year, row->ref.month);
	bf_jw_key(&jw, "message");
	bf_jw_str(&jw, text);
	snprintf(text, sizeof(text), "/api/harvest/backfill/status/%s", row->job_id);
	bf_jw_key(&jw, "status_url");
	bf_jw_str(&jw, text);
	bf_jw_end_obj(&jw);
	reply_buf(rq, 202, &buf);
}

/* The month is claimed, or why not. */
static void on_harvest(void *ctx, const struct bf_error *err, const struct bf_harvest_reply *reply)
{
	struct request *rq = ctx;
	const struct bf_harvest *ask = rq->state;

	rq->op = NULL;
	if (err != NULL) {
		if (err->class == BF_ERR_CONFIG)
			reply_paused(rq, err->text);
		else
			reply_store_error(rq, err);
		return;
	}
	switch (reply->result) {
	case BF_HARVEST_OK: reply_job(rq, &reply->row, ask->dry_run); break;
	case BF_HARVEST_COMPLETED:
		reply_error(rq, 409, "Month %d-%02d is completed already", ask->year, ask->month);
		break;
	case BF_HARVEST_IN_FLIGHT:
		reply_error(rq, 409, "Month %d-%02d is in flight", ask->year, ask->month);
		break;
	case BF_HARVEST_NOTHING: reply_error(rq, 409, "No month is left to harvest"); break;
	case BF_HARVEST_PAUSED: reply_paused(rq, reply->note); break;
	}
}

/* A model's name says whose it is; it goes into a URL. */
static void check_model(const char *model, struct body_problems *problems)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

	if (model == NULL)
		return;
	if (strncmp(model, "gemini-", 7) != 0 && strncmp(model, "grok-", 5) != 0)
		body_problem(problems, "model_override", "must begin with gemini- or grok-");
	else if (strspn(model, allowed) != strlen(model))
		body_problem(problems, "model_override",
			"may have letters, digits, dots, dashes and underscores only");
}

/* POST /api/harvest/backfill */
void schedule_routes_harvest(struct request *rq)
{
	const struct bf_config *config = rq->admin->config;
	struct bf_harvest *ask = bf_arena_alloc(rq->arena, sizeof(*ask));
	struct body_problems problems = { 0 };

	*ask = (struct bf_harvest){
		.default_batch_size = config->generation.books_per_provider,
		.default_variant_recent = config->generation.prompt_recent,
		.default_variant = config->generation.prompt_default,
		.recent_from = config->generation.prompt_recent_from,
		.year_low = config->scheduler.year_start,
		.year_high = config->scheduler.year_end,
	};
	if (!handlers_body(rq, ask))
		return;
	if ((ask->year == 0) != (ask->month == 0))
		body_problem(&problems, ask->year == 0 ? "year" : "month",
			"missing: give year and month, or neither");
	check_model(ask->model_override, &problems);
	if (handlers_refuse(rq, &problems) || is_blocked(rq))
		return;
	rq->state = ask;
	rq->op = bf_schedule_harvest(rq->admin->parts.schedule, ask, on_harvest, rq);
}
