/*
 * show_book: one book's story: who named it, who knew its ISBN, what became of it, who gave which field.
 */
#include "ctl.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_BYTES 4096

/* A line of a name and its value; nothing without a value. */
static void line(struct ctl *ctl, const char *name, const char *value)
{
	if (*value != '\0')
		out_line(&ctl->out, "%-14s %s", name, value);
}

/* Who named it. */
static void print_named(struct ctl *ctl, struct bf_jval list)
{
	struct table t;

	table_init(&t, &ctl->out, "named in,by,~model,~prompt,isbn,found by,>sure,~title,author");
	for (struct bf_jval v = bf_json_first(list); bf_json_type(v); v = bf_json_next(v)) {
		const char *isbn = api_text(ctl, v, "isbn13");

		table_text(&t, api_month(ctl, v));
		table_text(&t, api_list(ctl, bf_json_get(v, "generated_by")));
		table_text(&t, api_text(ctl, v, "model"));
		table_text(&t, api_text(ctl, v, "prompt_variant"));
		table_text(&t, *isbn != '\0' ? isbn : api_text(ctl, v, "state"));
		table_text(&t, api_text(ctl, v, "resolved_by"));
		table_text(&t, api_text(ctl, v, "confidence"));
		table_text(&t, api_text(ctl, v, "title"));
		table_text(&t, api_text(ctl, v, "author"));
	}
	if (t.n_cells > 0)
		out_blank(&ctl->out);
	table_end(&t);
}

/* What was said of it, where it stands in the queue. */
static void print_records(struct ctl *ctl, struct bf_jval root)
{
	struct table t;

	table_init(&t, &ctl->out, "asked,isbn,answer,received (UTC)");
	for (struct bf_jval v = bf_json_first(bf_json_get(root, "records")); bf_json_type(v);
		v = bf_json_next(v)) {
		table_text(&t, api_text(ctl, v, "provider"));
		table_text(&t, api_text(ctl, v, "isbn13"));
		table_text(&t, api_true(v, "found") ? "a record" : "does not know it");
		table_text(&t, api_time(ctl, v, "received_at"));
	}
	if (t.n_cells > 0)
		out_blank(&ctl->out);
	table_end(&t);
	table_init(
		&t, &ctl->out, "in the queue,status,>attempts,waits for,next attempt (UTC),error");
	for (struct bf_jval v = bf_json_first(bf_json_get(root, "queue")); bf_json_type(v);
		v = bf_json_next(v)) {
		table_text(&t, api_text(ctl, v, "key"));
		table_status(&t, api_text(ctl, v, "status"));
		table_cell(&t, "%" PRId64 " of %" PRId64, api_int(v, "attempts"),
			api_int(v, "max_attempts"));
		table_text(&t, api_text(ctl, v, "waits_for"));
		table_text(&t, api_time(ctl, v, "next_attempt_at"));
		table_text(&t, api_text(ctl, v, "error"));
	}
	if (t.n_cells > 0)
		out_blank(&ctl->out);
	table_end(&t);
}

/* What was done with it, step by step. */
static void print_log(struct ctl *ctl, struct bf_jval list)
{
	struct table t;

	table_init(&t, &ctl->out, "at (UTC),step,by,ok,~key,error");
	for (struct bf_jval v = bf_json_first(list); bf_json_type(v); v = bf_json_next(v)) {
		table_text(&t, api_time(ctl, v, "at"));
		table_text(&t, api_text(ctl, v, "operation"));
		table_text(&t, api_text(ctl, v, "provider"));
		table_text(&t, api_true(v, "success") ? "yes" : "no");
		table_text(&t, api_text(ctl, v, "key"));
		table_text(&t, api_text(ctl, v, "error"));
	}
	if (t.n_cells > 0)
		out_blank(&ctl->out);
	table_end(&t);
}

/* Which field came from whom. */
static void print_provenance(struct ctl *ctl, struct bf_jval provenance)
{
	struct table t;

	table_init(&t, &ctl->out, "field,of,given by,at (UTC)");
	for (struct bf_jval of = bf_json_first(provenance); bf_json_type(of);
		of = bf_json_next(of)) {
		const char *what = bf_json_key(of, ctl->arena);

		for (struct bf_jval v = bf_json_first(of); bf_json_type(v); v = bf_json_next(v)) {
			table_text(&t, bf_json_key(v, ctl->arena));
			table_text(&t, what);
			table_text(&t, api_text(ctl, v, "provider"));
			table_text(&t, api_time(ctl, v, "at"));
		}
	}
	if (t.n_cells > 0)
		out_blank(&ctl->out);
	table_end(&t);
}

/* The heads: what it is. */
static void print_head(struct ctl *ctl, struct bf_jval root)
{
	struct bf_jval authors = bf_json_get(root, "authors");
	const char *synthetic = api_true(root, "work.synthetic") ? " (synthetic: no ISBN yet)" : "";

	line(ctl, "title",
		api_text(ctl, root,
			bf_json_size(bf_json_get(root, "work")) > 0 ? "work.title"
								    : "named.0.title"));
	for (struct bf_jval v = bf_json_first(authors); bf_json_type(v); v = bf_json_next(v))
		line(ctl, "author", api_text(ctl, v, "name"));
	line(ctl, "isbn", api_text(ctl, root, "isbn13"));
	line(ctl, "work",
		bf_arena_printf(ctl->arena, "%s%s", api_text(ctl, root, "work_key"), synthetic));
	line(ctl, "merged into", api_text(ctl, root, "merged_into"));
	line(ctl, "publisher", api_text(ctl, root, "edition.publisher"));
	line(ctl, "published", api_text(ctl, root, "edition.publication_date"));
	line(ctl, "format", api_text(ctl, root, "edition.format"));
	line(ctl, "language", api_text(ctl, root, "edition.language"));
	line(ctl, "pages", api_text(ctl, root, "edition.page_count"));
	line(ctl, "completeness", api_text(ctl, root, "edition.completeness_score"));
}

/* GET books/{key}: a key may hold anything, so all but letters, digits and a few is encoded. */
int show_book(struct ctl *ctl)
{
	struct bf_json *doc;
	struct bf_buf path;
	int rc;

	bf_buf_init(&path, PATH_BYTES);
	bf_buf_adds(&path, "/api/internal/books/");
	for (const char *c = ctl->args.words[0]; *c != '\0'; c++)
		bf_buf_addf(&path, "%%%02X", (unsigned char)*c);
	if (path.failed || *ctl->args.words[0] == '\0') {
		out_complain("book: an ISBN or a work's key is wanted");
		bf_buf_release(&path);
		return CTL_USAGE;
	}
	rc = api_call(ctl, path.data, NULL, &doc);
	bf_buf_release(&path);
	if (rc == CTL_OK && !ctl->args.json) {
		print_head(ctl, bf_json_root(doc));
		print_named(ctl, bf_json_get(bf_json_root(doc), "named"));
		print_records(ctl, bf_json_root(doc));
		print_log(ctl, bf_json_get(bf_json_root(doc), "log"));
		print_provenance(ctl, bf_json_get(bf_json_root(doc), "provenance"));
	}
	bf_json_free(doc);
	return rc;
}
