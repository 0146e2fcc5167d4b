/*
 * show_service: quota, configuration, alerts, why a month is where it is, and what verify and doctor found.
 */
#include "ctl.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A number, or what stands for null. */
static const char *limit(struct ctl *ctl, struct bf_jval v, const char *member)
{
	int64_t n;

	return bf_json_int(bf_json_get(v, member), &n) ? api_count(ctl, n) : "none";
}

/* GET quota/status */
int show_quota(struct ctl *ctl)
{
	struct bf_json *doc;
	struct bf_jval providers;
	struct table t;
	int rc = api_call(ctl, "/api/quota/status", NULL, &doc);

	if (rc == CTL_OK && !ctl->args.json) {
		providers = bf_json_path(bf_json_root(doc), "data.providers");
		table_init(&t, &ctl->out,
			"provider,>used,>safe limit,>left,>used %,>of,usable,resets (UTC)");
		for (struct bf_jval v = bf_json_first(providers); bf_json_type(v);
			v = bf_json_next(v)) {
			table_text(&t, bf_json_key(v, ctl->arena));
			table_text(&t, api_count(ctl, api_int(v, "used")));
			table_text(&t, limit(ctl, v, "safety_limit"));
			table_text(&t, limit(ctl, v, "safety_remaining"));
			table_text(&t, api_text(ctl, v, "percentage_used"));
			table_text(&t, limit(ctl, v, "daily_limit"));
			table_text(&t, api_true(v, "can_make_calls") ? "yes" : "no");
			table_cell(&t, "%.16s", api_time(ctl, v, "reset_at"));
		}
		table_end(&t);
	}
	bf_json_free(doc);
	return rc;
}

/* GET config */
int show_config(struct ctl *ctl)
{
	struct bf_json *doc;
	struct table t;
	int rc = api_call(ctl, "/api/internal/config", NULL, &doc);

	if (rc == CTL_OK && !ctl->args.json) {
		table_init(&t, &ctl->out, "section,key,value");
		for (struct bf_jval s = bf_json_first(bf_json_root(doc)); bf_json_type(s);
			s = bf_json_next(s)) {
			for (struct bf_jval v = bf_json_first(s); bf_json_type(v);
				v = bf_json_next(v)) {
				table_text(&t, bf_json_key(s, ctl->arena));
				table_text(&t, bf_json_key(v, ctl->arena));
				table_text(&t, api_text(ctl, v, ""));
			}
		}
		table_end(&t);
	}
	bf_json_free(doc);
	return rc;
}

/* One alert: what it is, since when, and what to do. */
static void print_alert(struct ctl *ctl, struct bf_jval v, bool over)
{
	const char *subject = api_text(ctl, v, "subject"), *action = api_text(ctl, v, "action");
	struct bf_buf buf;
	char *head = bf_xasprintf("%s %s%s%s", api_text(ctl, v, "severity"),
		api_text(ctl, v, "key"), *subject != '\0' ? " " : "", subject);

	bf_buf_init(&buf, 65536);
	text_colour(&ctl->out, &buf,
		over ? COLOUR_DIM : text_status_colour(api_text(ctl, v, "severity")), head);
	fprintf(ctl->out.file, "%s\n", buf.data);
	bf_buf_release(&buf);
	free(head);
	out_line(&ctl->out, "  %s", api_text(ctl, v, "summary"));
	if (*action != '\0' && !over)
		out_line(&ctl->out, "  do: %s", action);
	out_line(&ctl->out, "  raised %s%s%s", api_time(ctl, v, "raised_at"),
		over ? ", cleared " : "", over ? api_time(ctl, v, "cleared_at") : "");
}

/* GET alerts */
int show_alerts(struct ctl *ctl)
{
	struct bf_json *doc;
	int n = 0, n_over = 0, rc = api_call(ctl, "/api/internal/alerts", NULL, &doc);

	if (rc != CTL_OK || ctl->args.json) {
		bf_json_free(doc);
		return rc;
	}
	for (struct bf_jval v = bf_json_first(bf_json_get(bf_json_root(doc), "alerts"));
		bf_json_type(v); v = bf_json_next(v)) {
		bool over = *api_text(ctl, v, "cleared_at") != '\0';

		n += !over;
		n_over += over;
		if (!over || ctl->args.all)
			print_alert(ctl, v, over);
	}
	if (n == 0)
		out_line(&ctl->out, "No alert is raised.");
	if (n_over > 0 && !ctl->args.all)
		out_line(&ctl->out, "%d were cleared lately; --all shows them", n_over);
	bf_json_free(doc);
	return rc;
}

/* One thing that is in a month's way. */
static void print_blocker(struct ctl *ctl, struct bf_jval v)
{
	const char *provider = api_text(ctl, v, "provider"), *until = api_time(ctl, v, "until");

	out_line(&ctl->out, "  %s%s%s%s%s%s: %s", api_text(ctl, v, "code"),
		*provider != '\0' ? " " : "", provider, *until != '\0' ? ", until " : "", until,
		*until != '\0' ? " UTC" : "", api_text(ctl, v, "text"));
}

/* GET months/{y}/{m}/why */
int show_why(struct ctl *ctl)
{
	struct args_month month = { 0, 0 };
	struct bf_json *doc;
	struct bf_jval root;
	char path[64];
	int rc;

	args_read_month(ctl->args.words[0], &month);
	snprintf(path, sizeof(path), "/api/internal/months/%d/%d/why", month.year, month.month);
	rc = api_call(ctl, path, NULL, &doc);
	if (rc == CTL_OK && !ctl->args.json) {
		const char *start, *status;

		root = bf_json_root(doc);
		start = api_time(ctl, root, "earliest_start");
		status = api_text(ctl, root, "status");
		out_line(&ctl->out, "%s is %s%s%s%s", api_month(ctl, root),
			*status != '\0' ? status : "not seeded",
			*start != '\0' ? "; it can start " : "", start,
			*start != '\0' ? " UTC at the earliest" : "");
		for (struct bf_jval v = bf_json_first(bf_json_get(root, "blockers"));
			bf_json_type(v); v = bf_json_next(v))
			print_blocker(ctl, v);
		if (bf_json_size(bf_json_get(root, "blockers")) == 0)
			out_line(&ctl->out, "nothing is in its way");
	}
	bf_json_free(doc);
	return rc;
}

/* What was looked at: numbers, or objects of them. */
static void print_checked(struct ctl *ctl, struct bf_jval checked)
{
	struct bf_buf buf;

	bf_buf_init(&buf, 65536);
	for (struct bf_jval v = bf_json_first(checked); bf_json_type(v); v = bf_json_next(v)) {
		const char *key = bf_json_key(v, ctl->arena);
		const char *text = bf_json_str(v, ctl->arena);

		bf_buf_addf(&buf, "%s%s%s%s", buf.len > 0 ? ", " : "", key != NULL ? key : "",
			text != NULL ? " " : "", text != NULL ? text : "");
	}
	if (buf.len > 0)
		out_line(&ctl->out, "looked at: %s", buf.data);
	bf_buf_release(&buf);
}

/* Findings with their remedies; the exit status says whether there were any. */
static int show_findings(struct ctl *ctl, const char *path, const char *clean)
{
	struct bf_json *doc;
	struct bf_jval root, list;
	bool ok = false, found;
	int rc = api_call(ctl, path, NULL, &doc);

	if (rc != CTL_OK)
		return rc;
	root = bf_json_root(doc);
	list = bf_json_get(root, "findings");
	if (!bf_json_bool(bf_json_get(root, "ok"), &ok))
		ok = bf_json_size(list) == 0;
	found = !ok || bf_json_size(list) > 0; /* `ok` allows for warnings */
	for (struct bf_jval v = bf_json_first(list); !ctl->args.json && bf_json_type(v);
		v = bf_json_next(v)) {
		const char *severity = api_text(ctl, v, "severity"),
			   *remedy = api_text(ctl, v, "remedy");
		struct out behind = ctl->out;
		struct bf_buf buf;

		if (behind.columns > 0)
			behind.columns -= (int)strlen(severity) + 1;
		bf_buf_init(&buf, 65536);
		text_colour(&ctl->out, &buf, text_status_colour(severity),
			*severity != '\0' ? severity : "finding");
		fprintf(ctl->out.file, "%s ", buf.data);
		bf_buf_release(&buf);
		out_line(&behind, "%s %s: %s", api_text(ctl, v, "check"),
			api_text(ctl, v, "subject"), api_text(ctl, v, "text"));
		if (*remedy != '\0')
			out_line(&ctl->out, "  do: %s", remedy);
	}
	if (!ctl->args.json) {
		print_checked(ctl, bf_json_get(root, "checked"));
		if (bf_json_size(list) > 0)
			out_line(&ctl->out, "%zu findings", bf_json_size(list));
		else
			out_line(&ctl->out, "%s",
				ok ? clean
				   : "Something is wrong, but the server does not say what.");
	}
	bf_json_free(doc);
	return found ? CTL_FOUND : CTL_OK;
}

/* GET verify */
int show_verify(struct ctl *ctl)
{
	const struct args_years *years = &ctl->args.years;
	char path[96] = "/api/internal/verify";

	if (years->start > years->end) {
		out_complain("--years: the first year is after the last");
		return CTL_USAGE;
	}
	if (years->start != 0)
		snprintf(path, sizeof(path), "/api/internal/verify?year_start=%d&year_end=%d",
			years->start, years->end);
	return show_findings(ctl, path,
		"Every month has one outcome, and every figure equals the rows behind it.");
}

/* GET doctor */
int show_doctor(struct ctl *ctl)
{
	return show_findings(ctl, "/api/internal/doctor", "Nothing is wrong.");
}
