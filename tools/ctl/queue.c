/*
 * queue: the items of enrichment, and the two things that are done to many of them at once. Both say first how many they are.
 */
#include "ctl.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUERY_BYTES 16384
#define BODY_BYTES  16384
#define PATH        "/api/internal/enrichment"

/* Failed ones by their reason. */
static void print_reasons(struct ctl *ctl, struct bf_jval reasons)
{
	struct table t;

	table_init(&t, &ctl->out, ">failed,reason");
	for (struct bf_jval v = bf_json_first(reasons); bf_json_type(v); v = bf_json_next(v)) {
		const char *reason = bf_json_key(v, ctl->arena);

		table_text(&t, api_count(ctl, api_int(v, "")));
		table_text(&t, reason != NULL && *reason != '\0' ? reason : "(none)");
	}
	if (t.n_cells > 0)
		out_blank(&ctl->out);
	table_end(&t);
}

/* A page of items. */
static void print_items(struct ctl *ctl, struct bf_jval root)
{
	const char *next = api_text(ctl, root, "next");
	struct table t;

	table_init(&t, &ctl->out,
		"key,status,month,>attempts,waits for,next attempt (UTC),asked,error");
	for (struct bf_jval v = bf_json_first(bf_json_get(root, "items")); bf_json_type(v);
		v = bf_json_next(v)) {
		table_text(&t, api_text(ctl, v, "key"));
		table_status(&t, api_text(ctl, v, "status"));
		table_text(&t, api_month(ctl, v));
		table_cell(&t, "%" PRId64 " of %" PRId64, api_int(v, "attempts"),
			api_int(v, "max_attempts"));
		table_text(&t, api_text(ctl, v, "waits_for"));
		table_text(&t, api_time(ctl, v, "next_attempt_at"));
		table_text(&t, api_list(ctl, bf_json_get(v, "providers_attempted")));
		table_text(&t, api_text(ctl, v, "error"));
	}
	table_end(&t);
	print_reasons(ctl, bf_json_get(root, "by_reason"));
	out_line(&ctl->out, "%s in all", api_count(ctl, api_int(root, "total")));
	if (*next != '\0')
		out_line(&ctl->out, "the next page: --after %s", next);
}

/* GET enrichment */
int queue_list(struct ctl *ctl)
{
	const struct args *a = &ctl->args;
	struct bf_json *doc;
	struct bf_buf path;
	int rc;

	bf_buf_init(&path, QUERY_BYTES);
	bf_buf_adds(&path, PATH);
	api_query(&path, "status", a->status);
	api_query(&path, "reason", a->reason);
	api_query(&path, "provider", a->provider);
	api_query_int(&path, "year", a->month.year);
	api_query_int(&path, "month", a->month.month);
	api_query_int(&path, "limit", a->limit);
	api_query(&path, "after", a->after);
	rc = api_call(ctl, path.data, NULL, &doc);
	if (rc == CTL_OK && !a->json)
		print_items(ctl, bf_json_root(doc));
	bf_json_free(doc);
	bf_buf_release(&path);
	return rc;
}

/* The filter of a redrive. */
static void write_filter(struct bf_jw *jw, const struct args *a)
{
	const char *const texts[][2] = { { "reason", a->reason }, { "provider", a->provider } };
	const struct {
		const char *key;
		int value;
	} numbers[] = { { "year", a->month.year }, { "month", a->month.month },
		{ "limit", a->limit } };

	for (size_t i = 0; i < BF_COUNT(texts); i++) {
		if (texts[i][1] != NULL) {
			bf_jw_key(jw, texts[i][0]);
			bf_jw_str(jw, texts[i][1]);
		}
	}
	for (size_t i = 0; i < BF_COUNT(numbers); i++) {
		if (numbers[i].value != 0) {
			bf_jw_key(jw, numbers[i].key);
			bf_jw_int(jw, numbers[i].value);
		}
	}
}

/* One call of redrive or adopt. `quiet`: its JSON is not the command's answer. */
static int change(struct ctl *ctl, const char *path, bool dry_run, bool quiet, struct bf_json **ret)
{
	bool json = ctl->args.json;
	struct bf_buf buf;
	struct bf_jw jw;
	int rc;

	bf_buf_init(&buf, BODY_BYTES);
	bf_jw_init(&jw, &buf);
	bf_jw_obj(&jw);
	bf_jw_key(&jw, "dry_run");
	bf_jw_bool(&jw, dry_run);
	write_filter(&jw, &ctl->args);
	bf_jw_end_obj(&jw);
	ctl->args.json = json && !quiet;
	rc = api_call(ctl, path, buf.data, ret);
	ctl->args.json = json;
	bf_buf_release(&buf);
	return rc;
}

/* Counts, asks, does. The count is not asked for when nobody is asked either. */
static int change_asked(struct ctl *ctl, const char *path, const char *counted,
	const char *question, struct bf_json **ret)
{
	int rc = CTL_OK;

	*ret = NULL;
	if (ctl->args.dry_run)
		return change(ctl, path, true, false, ret);
	if (!ctl->args.yes) {
		rc = api_can_ask(ctl);
		if (rc != CTL_OK)
			return rc;
		rc = change(ctl, path, true, true, ret);
		if (rc == CTL_OK) {
			rc = api_confirm(ctl,
				bf_arena_printf(ctl->arena, "%s? There are %s.", question,
					api_count(ctl, api_int(bf_json_root(*ret), counted))));
		}
		bf_json_free(*ret);
		*ret = NULL;
	}
	return rc == CTL_OK ? change(ctl, path, false, false, ret) : rc;
}

/* POST enrichment/redrive */
int queue_redrive(struct ctl *ctl)
{
	struct bf_json *doc;
	struct bf_jval root;
	int rc = change_asked(ctl, PATH "/redrive", "matched", "Make failed items due again", &doc);

	if (rc == CTL_OK && !ctl->args.json) {
		root = bf_json_root(doc);
		if (ctl->args.dry_run)
			out_line(&ctl->out,
				"%s failed items match, at most %s at a time would be due again",
				api_count(ctl, api_int(root, "matched")),
				api_count(ctl, api_int(root, "limit")));
		else
			out_line(&ctl->out, "%s of %s failed items are due again",
				api_count(ctl, api_int(root, "redriven")),
				api_count(ctl, api_int(root, "matched")));
		print_reasons(ctl, bf_json_get(root, "by_reason"));
	}
	bf_json_free(doc);
	return rc;
}

/* POST enrichment/adopt */
int queue_adopt(struct ctl *ctl)
{
	struct bf_json *doc;
	struct bf_jval root;
	int rc = change_asked(
		ctl, PATH "/adopt", "left", "Take over items of the former system", &doc);

	if (rc == CTL_OK && !ctl->args.json) {
		root = bf_json_root(doc);
		out_line(&ctl->out, "%s adopted, %s left, %s are in our queue already",
			api_count(ctl, api_int(root, "adopted")),
			api_count(ctl, api_int(root, "left")),
			api_count(ctl, api_int(root, "duplicates")));
	}
	bf_json_free(doc);
	return rc;
}
