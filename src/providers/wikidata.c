/*
 * wikidata: the query service. Rows multiply editions by dates and languages, so they are gathered
 * by edition. A query that took too long breaks off in the middle of its JSON, under a 200.
 */
#include <string.h>
#include "wikidata_query.h"

#define LABEL        "wikidata query"
#define BULK_MAX     50 /* of 29 spellings each: some 1500 literals are looked up within a turn */
#define BAN_MS       (24 * 3600 * INT64_C(1000))
#define RATE_WAIT_MS 60000

/* POST sparql as a form: ISBN queries outgrow URLs. */
static bool build(const struct provider_ask *ask, const struct bf_provider_config *config,
	struct bf_arena *arena, struct provider_request *ret, struct bf_error *err)
{
	const char *query = NULL;
	struct terms terms;

	switch (ask->kind) {
	case PROVIDER_GENERATE:
	case PROVIDER_LIMITS: return provider_unsupported(LABEL, err);
	case PROVIDER_SEARCH:
		if (!terms_of(ask->book, arena, &terms, err))
			return false;
		query = wikidata_query_search(&terms, arena);
		break;
	case PROVIDER_BULK:
		if (ask->n_isbns == 0 || ask->n_isbns > BULK_MAX) {
			bf_error_set(err, BF_ERR_BUG,
				"%s: %zu ISBNs in one query, 1 to %d are possible", LABEL,
				ask->n_isbns, BULK_MAX);
			return false;
		}
		query = wikidata_query_isbns(ask->isbns, ask->n_isbns, arena);
		break;
	}
	ret->method = "POST";
	ret->url = bf_arena_printf(arena, "%s/sparql", config->base_url);
	ret->body = bf_arena_printf(arena, "query=%s&format=json", provider_escape(arena, query));
	ret->body_len = strlen(ret->body);
	ret->units = 1;
	provider_header(ret, "Content-Type", "application/x-www-form-urlencoded");
	provider_header(ret, "Accept", "application/sparql-results+json");
	return true;
}

/* What the variables are called here, and what the same query calls them elsewhere: a mirror or
 * stand-in with a query of its own behind it may answer with those. */
static const char *const aliases[][2] = { { "ed", "edition" }, { "i13", "isbn13" },
	{ "i10", "isbn10" } };

/* The row's member for a variable, under either name. */
static struct bf_jval cell(struct bf_jval row, const char *variable)
{
	struct bf_jval v = bf_json_get(row, variable);
	size_t i;

	for (i = 0; i < BF_COUNT(aliases) && bf_json_type(v) == BF_J_ABSENT; i++) {
		if (strcmp(aliases[i][0], variable) == 0)
			v = bf_json_get(row, aliases[i][1]);
	}
	return v;
}

/* A variable's value as text; unbound ones, unnamed nodes and unknown values (genid) have none. */
static const char *bound(struct bf_jval row, const char *variable, struct bf_arena *arena)
{
	struct bf_jval v = cell(row, variable);
	const char *type = provider_text(bf_json_get(v, "type"), arena);
	const char *text = provider_text(bf_json_get(v, "value"), arena);

	if (type == NULL || text == NULL || strcmp(type, "bnode") == 0 ||
		strstr(text, "/.well-known/genid/") != NULL)
		return NULL;
	return text;
}

/* An edition as the rows built it so far; its ISBNs are ranked only when all rows are in. */
struct edition {
	const char *uri;
	struct record_isbns isbns;
	struct bf_record record;
};
#define EDITIONS_MAX 500

/* The edition of a row: one that is known, or a new one; NULL when the row has no entity or there
 * are too many. */
static struct edition *edition_of(
	struct edition **list, size_t *n, const char *uri, struct bf_arena *arena)
{
	size_t i;

	if (uri == NULL)
		return NULL;
	for (i = 0; i < *n; i++) {
		if (strcmp(list[i]->uri, uri) == 0)
			return list[i];
	}
	if (*n == EDITIONS_MAX)
		return NULL;
	list[*n] = bf_arena_alloc(arena, sizeof(*list[0]));
	list[*n]->uri = uri;
	return list[(*n)++];
}

/* First value stays, except that English wins among languages. */
static void add_row(struct edition *e, struct bf_jval row, struct bf_arena *arena)
{
	const char *language = bound(row, "lang", arena), *name = bound(row, "n", arena);
	struct bf_record *r = &e->record;

	record_isbn_add(&e->isbns, bound(row, "i13", arena), 2);
	record_isbn_add(&e->isbns, bound(row, "i10", arena), 1);
	if (r->title == NULL)
		r->title = bound(row, "t", arena);
	if (r->authors == NULL)
		r->authors = name;
	else if (name != NULL && strstr(r->authors, name) == NULL && strlen(r->authors) < 500)
		r->authors = bf_arena_printf(arena, "%s;%s", r->authors, name);
	if (r->language == NULL || (language != NULL && strcmp(language, "en") == 0))
		r->language = language;
	if (r->date == NULL) {
		r->date = bound(row, "date", arena);
		r->year = provider_year(r->date);
	}
	if (r->publisher == NULL)
		r->publisher = bound(row, "pub", arena);
	r->provider_key = record_last_segment(arena, e->uri);
}

/* Whether the answer's head lists a variable. */
static bool selected(struct bf_jval root, const char *variable, struct bf_arena *arena)
{
	struct bf_jval v;

	for (v = bf_json_first(bf_json_path(root, "head.vars")); bf_json_type(v) != BF_J_ABSENT;
		v = bf_json_next(v)) {
		const char *name = provider_text(v, arena);

		if (name != NULL && strcmp(name, variable) == 0)
			return true;
	}
	return false;
}

/* The rows, by edition. A service that does not return the matched literals (they are part of our
 * pattern, whatever is projected) has still matched them exactly: then the asked ones stand for
 * them. */
static void read_rows(const struct provider_ask *ask, struct bf_jval root, struct bf_arena *arena,
	struct provider_answer *ret)
{
	struct edition **list = bf_arena_alloc(arena, EDITIONS_MAX * sizeof(*list)), *e;
	bool names_title = selected(root, "t", arena), names_author = selected(root, "n", arena);
	struct record_list records = { .n = 0 };
	struct bf_record *r;
	struct bf_jval row;
	size_t n = 0, i;

	for (row = bf_json_first(bf_json_path(root, "results.bindings"));
		bf_json_type(row) != BF_J_ABSENT; row = bf_json_next(row)) {
		e = edition_of(list, &n, bound(row, "ed", arena), arena);
		if (e != NULL)
			add_row(e, row, arena);
	}
	for (i = 0; i < n; i++) {
		r = &list[i]->record;
		if (ask->kind == PROVIDER_SEARCH && !names_title && r->title == NULL)
			r->title = provider_trim(arena, ask->book->title);
		if (ask->kind == PROVIDER_SEARCH && !names_author && r->authors == NULL)
			r->authors = provider_trim(arena, ask->book->author);
		if (list[i]->isbns.n == 0 || r->title == NULL)
			continue;
		record_isbn_take(&list[i]->isbns, arena, r);
		*record_new(&records, arena) = *r;
	}
	record_answer(&records, ret);
}

/* Status and text of what is no result: the service answers in plain text, in HTML at its edge, and
 * with stack traces. */
static void read_failure(
	const struct bf_http_reply *reply, struct bf_arena *arena, struct provider_answer *ret)
{
	enum provider_outcome outcome = provider_keyless(reply->status, ret);
	const char *wait;

	if (strstr(reply->body, "TimeoutException") != NULL && reply->status != 403 &&
		reply->status != 429)
		outcome = OUTCOME_TIMEOUT;
	else if (outcome == OUTCOME_OK)
		outcome = OUTCOME_GARBAGE;
	else if (outcome == OUTCOME_BANNED && provider_has(reply->body, "user-agent"))
		outcome = OUTCOME_AUTH; /* the contact is missing: only a reload mends that */
	else if (outcome == OUTCOME_BANNED && provider_has(reply->body, "banned"))
		ret->retry_after_ms = BAN_MS;
	if (outcome == OUTCOME_AUTH)
		ret->retry_after_ms = -1;
	if (outcome == OUTCOME_RATE && ret->retry_after_ms < 0) {
		wait = strcasestr(reply->body, "retry in ");
		ret->retry_after_ms =
			wait != NULL ? provider_seconds_ms(wait + strlen("retry in ")) : -1;
		if (ret->retry_after_ms < 0)
			ret->retry_after_ms = RATE_WAIT_MS;
	}
	provider_fail(
		ret, arena, outcome, reply, provider_excerpt(arena, reply->body, reply->body_len));
	if (outcome == OUTCOME_TIMEOUT)
		ret->reason = bf_arena_printf(arena,
			"HTTP %d, the service's own time limit (TimeoutException)", reply->status);
}

/* Any reply. */
static void parse(const struct provider_ask *ask, const struct bf_http_reply *reply,
	struct bf_arena *arena, struct provider_answer *ret)
{
	struct bf_json *json = NULL;
	struct bf_jval root;

	ret->retry_after_ms = reply->retry_after_ms;
	if (provider_outcome_of_status(reply->status) == OUTCOME_OK)
		json = provider_json(reply, arena, ret);
	if (json == NULL) {
		read_failure(reply, arena, ret);
		return;
	}
	root = bf_json_root(json);
	if (bf_json_type(bf_json_path(root, "results.bindings")) == BF_J_ARRAY)
		read_rows(ask, root, arena, ret);
	else
		provider_fail(ret, arena, OUTCOME_GARBAGE, reply, "no bindings in the answer");
	bf_json_free(json);
}

const struct provider_ops provider_wikidata = {
	.id = BF_WIKIDATA,
	.label = LABEL,
	.max_body = 4 * 1024 * 1024,
	.max_redirects = 0,
	.paid = false,
	.bulk_max = BULK_MAX,
	.build = build,
	.parse = parse,
};
