/*
 * audit: who asked the daemon to change something, and what came of it.
 */
#include "ctl.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUERY_BYTES 16384
#define PREFIX      "/api/internal/"	/* of most calls; it may be left out, and is */

/* GET audit */
int audit_list(struct ctl *ctl)
{
	const struct args *a = &ctl->args;
	struct bf_json *doc;
	struct bf_jval root;
	struct bf_buf path;
	struct table t;
	const char *next;
	int rc;

	bf_buf_init(&path, QUERY_BYTES);
	bf_buf_adds(&path, "/api/internal/audit");
	api_query_int(&path, "limit", a->limit);
	api_query(&path, "before", a->after);
	api_query(&path, "operator", a->by);
	if (a->path != NULL && *a->path != '/')
		api_query(&path, "path", bf_arena_printf(ctl->arena, PREFIX "%s", a->path));
	else
		api_query(&path, "path", a->path);
	rc = api_call(ctl, path.data, NULL, &doc);
	bf_buf_release(&path);
	if (rc != CTL_OK || a->json) {
		bf_json_free(doc);
		return rc;
	}
	root = bf_json_root(doc);
	next = api_text(ctl, root, "next");
	table_init(&t, &ctl->out, "at (UTC),who,from,call,>status,~outcome,body");
	for (struct bf_jval v = bf_json_first(bf_json_get(root, "audit")); bf_json_type(v);
		v = bf_json_next(v)) {
		struct bf_jval body = bf_json_get(v, "body");
		const char *who = api_text(ctl, v, "operator"), *call = api_text(ctl, v, "path");
		const char *raw;
		size_t len = 0;

		if (strncmp(call, PREFIX, strlen(PREFIX)) == 0)
			call += strlen(PREFIX);
		raw = bf_json_size(body) > 0 ? bf_json_raw(body, &len) : "";
		table_text(&t, api_time(ctl, v, "at"));
		table_text(&t, *who != '\0' ? who : "-");
		table_text(&t, api_text(ctl, v, "address"));
		table_text(&t, call);
		table_text(&t, api_text(ctl, v, "status"));
		table_text(&t, api_text(ctl, v, "outcome"));
		table_text(&t, bf_arena_strndup(ctl->arena, raw, len));
	}
	if (t.n_cells == 0)
		out_line(&ctl->out, "Nothing is in the audit that is like that.");
	table_end(&t);
	if (*next != '\0')
		out_line(&ctl->out, "the next page: --after %s", next);
	bf_json_free(doc);
	return CTL_OK;
}
