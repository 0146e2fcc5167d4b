/*
 * plan: what a claim or a retry of many months would cost, and months made due again by what they have in common: the plan first,
 * then the question, then the deed.
 */
#include "ctl.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY       "/api/internal/months/retry"
#define BODY_BYTES  4096
#define SHOWN_MAX   20	/* months listed on a terminal */

/* What makes it take as long, in words. */
static const char *bound(const char *binds)
{
	return strcmp(binds, "concurrent_months") == 0 ? "how many months run at once" : binds;
}

/* What is asked for, by the server's own experience. */
void plan_estimate(struct ctl *ctl, struct bf_jval estimate)
{
	struct bf_jval providers = bf_json_get(estimate, "per_provider");
	const char *binds = bound(api_text(ctl, estimate, "binds")), *basis;
	int64_t months = api_int(estimate, "basis.months");
	char span[32];
	struct table t;

	if (bf_json_size(providers) == 0)
		return;
	out_blank(&ctl->out);
	table_init(&t, &ctl->out, "expected,>calls,>units,>USD,>quota left after");
	for (struct bf_jval v = bf_json_first(providers); bf_json_type(v); v = bf_json_next(v)) {
		const char *left = api_text(ctl, v, "quota_left_after");

		table_text(&t, bf_json_key(v, ctl->arena));
		table_text(&t, api_count(ctl, api_int(v, "calls")));
		table_text(&t, api_count(ctl, api_int(v, "units")));
		table_cell(&t, "%.4f", api_dbl(v, "cost_usd"));
		table_text(&t,
			*left != '\0' ? api_count(ctl, api_int(v, "quota_left_after"))
				      : "no limit");
	}
	table_end(&t);
	out_blank(&ctl->out);
	text_duration(span, api_dbl(estimate, "seconds"));
	out_line(&ctl->out, "cost   about %.2f USD", api_dbl(estimate, "cost_usd"));
	out_line(&ctl->out, "time   about %s%s%s", span, *binds != '\0' ? ", bound by " : "", binds);
	basis = months > 0
		? bf_arena_printf(ctl->arena, "what %" PRId64 " month%s cost since %s UTC", months,
			  months == 1 ? "" : "s", api_time(ctl, estimate, "basis.since"))
		: "the configuration alone: no month has been completed lately";
	out_line(&ctl->out, "basis  %s", basis);
}

/* ---- many months at once ---- */
/* Which months, as the server wants it. */
static void write_where(struct bf_jw *jw, const struct args *a, bool dry_run)
{
	bf_jw_obj(jw);
	bf_jw_key(jw, "dry_run");
	bf_jw_bool(jw, dry_run);
	if (a->failed) {
		bf_jw_key(jw, "status");
		bf_jw_str(jw, "failed");
	}
	if (a->below != 0) {
		bf_jw_key(jw, "rate_below");
		bf_jw_int(jw, a->below);
	}
	if (a->refused != NULL) {
		bf_jw_key(jw, "refused_by");
		bf_jw_str(jw, a->refused);
	}
	if (a->years.start != 0) {
		bf_jw_key(jw, "year_range");
		bf_jw_obj(jw);
		bf_jw_key(jw, "start");
		bf_jw_int(jw, a->years.start);
		bf_jw_key(jw, "end");
		bf_jw_int(jw, a->years.end);
		bf_jw_end_obj(jw);
	}
	if (a->limit != 0) {
		bf_jw_key(jw, "limit");
		bf_jw_int(jw, a->limit);
	}
	bf_jw_end_obj(jw);
}

/* One call. `quiet`: its JSON is not the command's answer. */
static int ask(struct ctl *ctl, bool dry_run, bool quiet, struct bf_json **ret)
{
	bool json = ctl->args.json;
	struct bf_buf body;
	struct bf_jw jw;
	int rc = CTL_USAGE;

	*ret = NULL;
	bf_buf_init(&body, BODY_BYTES);
	bf_jw_init(&jw, &body);
	write_where(&jw, &ctl->args, dry_run);
	ctl->args.json = json && !quiet;
	if (body.failed)
		out_complain("the arguments are too long");
	else
		rc = api_call(ctl, RETRY, body.data, ret);
	ctl->args.json = json;
	bf_buf_release(&body);
	return rc;
}

/* "3 months would be tried again, 2 be reset and bought again" */
static const char *sentence(struct ctl *ctl, struct bf_jval root)
{
	int64_t retried = api_int(root, "retried"), reset = api_int(root, "reset");

	return bf_arena_printf(ctl->arena, "%s month%s tried again, %s reset and bought again",
		api_count(ctl, retried), retried == 1 ? "" : "s", api_count(ctl, reset));
}

/* Which months those are. */
static void print_months(struct ctl *ctl, struct bf_jval root)
{
	struct bf_jval months = bf_json_get(root, "months");
	size_t n = 0, size = bf_json_size(months), most = ctl->out.terminal ? SHOWN_MAX : size;
	struct table t;

	table_init(&t, &ctl->out, "month,status,what,>rate %");
	for (struct bf_jval v = bf_json_first(months); bf_json_type(v) && n < most;
		v = bf_json_next(v), n++) {
		const char *rate = api_text(ctl, v, "resolution_rate");

		table_text(&t, api_month(ctl, v));
		table_status(&t, api_text(ctl, v, "status"));
		table_text(&t, api_text(ctl, v, "action"));
		if (*rate != '\0')
			table_cell(&t, "%.2f", api_dbl(v, "resolution_rate"));
		else
			table_text(&t, "-");
	}
	table_end(&t);
	if (n < size)
		out_line(&ctl->out, "and %zu more", size - n);
}

/* What was, or would be, done. */
static void print_answer(struct ctl *ctl, struct bf_jval root)
{
	bool dry_run = api_true(root, "dry_run");

	if (ctl->args.json)
		return;
	if (api_int(root, "matched") == 0) {
		out_line(&ctl->out, "No month is like that.");
		return;
	}
	out_line(&ctl->out, "%s%s", dry_run ? "plan: " : "", sentence(ctl, root));
	print_months(ctl, root);
	if (dry_run)
		plan_estimate(ctl, bf_json_get(root, "estimate"));
}

/* POST months/retry: the plan, the question, the deed. Without anybody to ask it stays at the plan, which is no failure. */
int retry_where(struct ctl *ctl)
{
	const struct args *a = &ctl->args;
	bool plan_only = a->dry_run, asks = !a->dry_run && !a->yes && api_has_terminal();
	struct bf_json *doc;
	const char *question;
	int64_t matched;
	int rc;

	if (a->years.start > a->years.end) {
		out_complain("--years: the first year is after the last");
		return CTL_USAGE;
	}
	if (plan_only || !a->yes) {
		rc = ask(ctl, true, asks, &doc);
		if (rc != CTL_OK)
			return rc;
		print_answer(ctl, bf_json_root(doc));
		matched = api_int(bf_json_root(doc), "matched");
		question = bf_arena_printf(ctl->arena, "%s, for about %.2f USD?",
			sentence(ctl, bf_json_root(doc)),
			api_dbl(bf_json_root(doc), "estimate.cost_usd"));
		bf_json_free(doc);
		if (!asks && !plan_only && matched > 0)
			out_complain("nothing was done; the same with --yes does it");
		if (!asks || matched == 0)
			return CTL_OK;
		rc = api_confirm(ctl, question);
		if (rc != CTL_OK)
			return rc;
	}
	rc = ask(ctl, false, false, &doc);
	if (rc == CTL_OK)
		print_answer(ctl, bf_json_root(doc));
	bf_json_free(doc);
	return rc;
}
