/*
 * isbndb: search by title and author, records of known ISBNs in bulk, and what the plan has left.
 * Lists come as arrays or as objects with numeric keys, under one of two names, and most fields
 * come in several types.
 */
#include "wire.h"
#include <string.h>
#include <strings.h>

#define LABEL        "isbndb"
#define QUERY_MAX    150 /* the service's limit for a path query and for each parameter */
#define PAGE_SIZE    "10"
#define BULK_MAX     100   /* every plan but the academic takes that; answers near 6 MB fail */
#define RATE_WAIT_MS 60000 /* its limits are told per minute, without Retry-After */

/* A query as a path segment: front servers refuse encoded slashes, so they become blanks. */
static const char *path_query(struct bf_arena *arena, const char *text)
{
	char *copy = bf_arena_strdup(arena, text), *p;

	for (p = copy; *p; p++) {
		if (*p == '/' || *p == '\\')
			*p = ' ';
	}
	text = terms_cut(arena,
		terms_phrase(arena, copy) != NULL ? terms_phrase(arena, copy) : copy, QUERY_MAX);
	return text != NULL ? provider_escape(arena, text) : NULL;
}

/* GET search/books?text=&author=, or books/{title} when nobody is named. */
static bool build_search(const struct provider_ask *ask, const struct bf_provider_config *config,
	struct bf_arena *arena, struct provider_request *ret, struct bf_error *err)
{
	const char *title, *author;
	struct terms terms;

	if (!terms_of(ask->book, arena, &terms, err))
		return false;
	if (terms.author == NULL) {
		title = path_query(arena, terms.title);
		if (title == NULL) {
			bf_error_set(err, BF_ERR_PERMANENT,
				"%s: nothing in the title can be asked for", LABEL);
			return false;
		}
		ret->url = bf_arena_printf(arena, "%s/books/%s?column=title&pageSize=" PAGE_SIZE,
			config->base_url, title);
		return true;
	}
	title = provider_escape(arena, terms_cut(arena, terms.title, QUERY_MAX));
	author = provider_escape(arena, terms_cut(arena, terms.author, QUERY_MAX));
	ret->url = bf_arena_printf(arena, "%s/search/books?text=%s&author=%s&pageSize=" PAGE_SIZE,
		config->base_url, title, author);
	return true;
}

/* POST books {"isbns":[...]}: one unit per ISBN, found or not. */
static bool build_bulk(const struct provider_ask *ask, const struct bf_provider_config *config,
	struct bf_arena *arena, struct provider_request *ret, struct bf_error *err)
{
	struct bf_buf buf;
	struct bf_jw w;
	size_t i;

	if (ask->n_isbns == 0 || ask->n_isbns > BULK_MAX) {
		bf_error_set(err, BF_ERR_BUG,
			"%s: %zu ISBNs in one bulk call, 1 to %d are possible", LABEL, ask->n_isbns,
			BULK_MAX);
		return false;
	}
	bf_buf_init(&buf, BULK_MAX * 20 + 64);
	bf_jw_init(&w, &buf);
	bf_jw_obj(&w);
	bf_jw_key(&w, "isbns");
	bf_jw_arr(&w);
	for (i = 0; i < ask->n_isbns; i++)
		bf_jw_str(&w, ask->isbns[i]);
	bf_jw_end_arr(&w);
	bf_jw_end_obj(&w);
	ret->method = "POST";
	ret->url = bf_arena_printf(arena, "%s/books", config->base_url);
	ret->body_len = buf.len;
	ret->body = provider_arena_buf(arena, &buf);
	ret->units = (int)ask->n_isbns;
	provider_header(ret, "Content-Type", "application/json");
	return true;
}

/* The key goes as it is into Authorization, without a scheme. */
static bool build(const struct provider_ask *ask, const struct bf_provider_config *config,
	struct bf_arena *arena, struct provider_request *ret, struct bf_error *err)
{
	bool done = false;

	if (!provider_key_ok(config, LABEL, err))
		return false;
	ret->method = "GET";
	ret->units = 1;
	switch (ask->kind) {
	case PROVIDER_GENERATE: return provider_unsupported(LABEL, err);
	case PROVIDER_SEARCH: done = build_search(ask, config, arena, ret, err); break;
	case PROVIDER_BULK: done = build_bulk(ask, config, arena, ret, err); break;
	case PROVIDER_LIMITS:
		ret->url = bf_arena_printf(arena, "%s/key", config->base_url);
		ret->units = 0;
		done = true;
		break;
	}
	provider_header(ret, "Accept", "application/json");
	provider_header(ret, "Authorization", bf_arena_strdup(arena, config->api_key));
	return done;
}

/* Names without the mark that the service puts behind those it guessed. */
static const char *authors(struct bf_jval value, struct bf_arena *arena)
{
	const char *list = provider_list(value, arena), *mark;
	char *out;
	size_t n = 0;

	if (list == NULL || strstr(list, "~autofilled~") == NULL)
		return list;
	out = bf_arena_alloc(arena, strlen(list) + 1);
	while ((mark = strstr(list, "~autofilled~")) != NULL) {
		memcpy(out + n, list, (size_t)(mark - list));
		n += (size_t)(mark - list);
		while (n > 0 && out[n - 1] == ' ')
			n--;
		list = mark + strlen("~autofilled~");
	}
	memcpy(out + n, list, strlen(list) + 1);
	return provider_trim(arena, out + strspn(out, ";"));
}

/* Subjects without the shelf names of shops. */
static const char *subjects(struct bf_jval value, struct bf_arena *arena)
{
	static const char *const shelves[] = { "Subjects", "Self Service", "Custom Stores" };
	const char *list = provider_list(value, arena);
	char *rest, *one;
	struct bf_buf out;
	size_t i;

	if (list == NULL)
		return NULL;
	rest = bf_arena_strdup(arena, list);
	bf_buf_init(&out, strlen(list) + 1);
	while ((one = strsep(&rest, ";")) != NULL) {
		for (i = 0; i < BF_COUNT(shelves) && strcasecmp(one, shelves[i]) != 0; i++)
			;
		if (i == BF_COUNT(shelves) && one[0] != '\0')
			bf_buf_addf(&out, "%s%s", out.len > 0 ? ";" : "", one);
	}
	return provider_trim(arena, provider_arena_buf(arena, &out));
}

/* The first of several members that holds a text. */
static const char *first_text(
	struct bf_jval book, struct bf_arena *arena, const char *const *keys, size_t n)
{
	const char *text = NULL;
	size_t i;

	for (i = 0; i < n && text == NULL; i++)
		text = provider_text(bf_json_get(book, keys[i]), arena);
	return text;
}

/* isbn13 before isbn (13 or 10 digits, by age of the record) before isbn10; then editions that the
 * record names. */
static void isbns(struct bf_jval book, struct bf_arena *arena, struct bf_record *record)
{
	struct record_isbns set = { .n = 0 };
	struct bf_jval v, others = bf_json_get(book, "other_isbns"),
			  related = bf_json_get(book, "related");

	record_isbn_add(&set, provider_text(bf_json_get(book, "isbn13"), arena), 9);
	record_isbn_add(&set, provider_text(bf_json_get(book, "isbn"), arena), 8);
	record_isbn_add(&set, provider_text(bf_json_get(book, "isbn10"), arena), 7);
	if (set.n == 0)
		return; /* a record without an ISBN of its own is none, whatever it names beside */
	for (v = bf_json_first(others); bf_json_type(v) != BF_J_ABSENT; v = bf_json_next(v)) {
		bool object = bf_json_type(v) == BF_J_OBJECT;

		record_isbn_add(&set, provider_text(object ? bf_json_get(v, "isbn") : v, arena), 0);
	}
	for (v = bf_json_first(related); bf_json_type(v) != BF_J_ABSENT; v = bf_json_next(v))
		record_isbn_add(&set, provider_text(v, arena), 0);
	record_isbn_take(&set, arena, record);
}

/* title is the short one, and a number where a title looks like one; title_long has the subtitle too. */
static void titles(struct bf_jval book, struct bf_arena *arena, struct bf_record *record)
{
	struct bf_jval given = bf_json_get(book, "title");
	const char *title = provider_text(given, arena);
	const char *whole = provider_text(bf_json_get(book, "title_long"), arena);
	size_t len = title != NULL ? strlen(title) : 0;

	record->title = title;
	if (whole == NULL)
		return;
	if (title == NULL || bf_json_type(given) != BF_J_STRING)
		record->title = whole;
	else if (strncmp(whole, title, len) == 0 && strncmp(whole + len, ": ", 2) == 0)
		record->subtitle = provider_trim(arena, whole + len + 2);
}

/* One book object. */
static void add_book(struct record_list *list, struct bf_jval book, struct bf_arena *arena)
{
	static const char *const dates[] = { "date_published", "publish_date" },
				 *const bindings[] = { "binding", "format" },
				 *const synopses[] = { "synopsis", "synopsys", "overview",
					 "excerpt" };
	struct bf_record named = { .title = NULL }, *r;

	titles(book, arena, &named);
	if (named.title == NULL)
		return;
	r = record_new(list, arena);
	*r = named;
	r->authors = authors(bf_json_get(book, "authors"), arena);
	r->publisher = provider_text(bf_json_get(book, "publisher"), arena);
	r->language = provider_text(bf_json_get(book, "language"), arena);
	r->binding = first_text(book, arena, bindings, BF_COUNT(bindings));
	r->date = first_text(book, arena, dates, BF_COUNT(dates));
	r->year = provider_year(r->date);
	r->pages = record_pages(bf_json_get(book, "pages"), arena);
	r->cover_url = record_cover(arena, provider_text(bf_json_get(book, "image"), arena));
	r->description =
		record_description(arena, first_text(book, arena, synopses, BF_COUNT(synopses)));
	r->subjects = subjects(bf_json_get(book, "subjects"), arena);
	isbns(book, arena, r);
	r->provider_key = r->isbn13;
}

/* An error by status and words; the service has no codes. Its 403 stands for a wrong plan and for a
 * quota that is gone. */
static void read_error(const struct bf_http_reply *reply, const char *words, struct bf_arena *arena,
	struct provider_answer *ret)
{
	enum provider_outcome outcome = provider_outcome_of_status(reply->status);
	const char *text = words != NULL ? words : reply->body;
	bool quota = provider_has(text, "quota") || provider_has(text, "limit exceeded") ||
		provider_has(text, "limit reached");
	bool daily = provider_has(text, "daily") || provider_has(text, "per day");

	if (words != NULL &&
		(reply->status == 404 ||
			(outcome == OUTCOME_OK && provider_has(words, "not found"))))
		outcome = OUTCOME_EMPTY;
	else if (quota && (reply->status == 403 || (daily && reply->status < 500)))
		outcome = OUTCOME_QUOTA_DAY;
	else if (daily && reply->status == 429)
		outcome = OUTCOME_QUOTA_DAY;
	else if (outcome == OUTCOME_OK)
		outcome = quota ? OUTCOME_RATE : OUTCOME_GARBAGE;
	if (outcome == OUTCOME_RATE && ret->retry_after_ms < 0)
		ret->retry_after_ms = RATE_WAIT_MS;
	provider_fail(ret, arena, outcome, reply, text);
}

/* {"plan_limit":{"total","spent","left"}} */
static void read_limits(struct bf_jval root, const struct bf_http_reply *reply,
	struct bf_arena *arena, struct provider_answer *ret)
{
	struct bf_jval limit = bf_json_get(root, "plan_limit");
	int64_t n;

	if (bf_json_int(bf_json_get(limit, "total"), &n) && n >= 0)
		ret->limit_total = n;
	if (bf_json_int(bf_json_get(limit, "left"), &n) && n >= 0)
		ret->limit_left = n;
	if (ret->limit_total >= 0 || ret->limit_left >= 0)
		ret->outcome = OUTCOME_OK;
	else
		provider_fail(ret, arena, OUTCOME_GARBAGE, reply, "no plan_limit in the answer");
}

/* The list of books under any of its names, or one book alone. */
static void read_books(struct bf_jval root, const struct bf_http_reply *reply,
	struct bf_arena *arena, struct provider_answer *ret)
{
	struct bf_jval v, data = bf_json_get(root, "data"), book = bf_json_get(root, "book");
	struct record_list list = { .n = 0 };

	if (bf_json_type(data) == BF_J_ABSENT)
		data = bf_json_get(root, "books");
	if (bf_json_type(root) == BF_J_ARRAY)
		data = root;
	if (bf_json_type(book) == BF_J_OBJECT)
		add_book(&list, book, arena);
	for (v = bf_json_first(data); bf_json_type(v) != BF_J_ABSENT; v = bf_json_next(v)) {
		if (bf_json_type(v) == BF_J_OBJECT)
			add_book(&list,
				bf_json_type(bf_json_get(v, "book")) == BF_J_OBJECT
					? bf_json_get(v, "book")
					: v,
				arena);
	}
	record_answer(&list, ret);
	if (list.n == 0 && bf_json_size(data) > 0)
		provider_fail(ret, arena, OUTCOME_GARBAGE, reply, "a list without a book in it");
}

/* Words of an error body, under any of the names it had over the years. */
static const char *error_words(struct bf_jval root, struct bf_arena *arena)
{
	static const char *const keys[] = { "message", "error_message", "errorMessage", "error" };

	return first_text(root, arena, keys, BF_COUNT(keys));
}

/* Any reply. */
static void parse(const struct provider_ask *ask, const struct bf_http_reply *reply,
	struct bf_arena *arena, struct provider_answer *ret)
{
	struct bf_json *json;
	struct bf_jval root;
	bool list;

	ret->retry_after_ms = reply->retry_after_ms;
	json = provider_json(reply, arena, ret);
	if (json == NULL) {
		if (ret->outcome != OUTCOME_GARBAGE && reply->status < 500)
			read_error(reply, NULL, arena,
				ret); /* plain text may name the quota as well */
		return;
	}
	root = bf_json_root(json);
	list = bf_json_type(bf_json_get(root, "data")) != BF_J_ABSENT ||
		bf_json_type(bf_json_get(root, "books")) != BF_J_ABSENT ||
		bf_json_type(bf_json_get(root, "book")) != BF_J_ABSENT ||
		bf_json_type(root) == BF_J_ARRAY;
	if (provider_outcome_of_status(reply->status) != OUTCOME_OK)
		read_error(reply,
			error_words(root, arena) != NULL            ? error_words(root, arena)
				: bf_json_type(root) == BF_J_OBJECT ? "no reason given"
								    : NULL,
			arena, ret);
	else if (ask->kind == PROVIDER_LIMITS)
		read_limits(root, reply, arena, ret);
	else if (list)
		read_books(root, reply, arena, ret);
	else
		read_error(reply,
			error_words(root, arena) != NULL ? error_words(root, arena)
							 : "neither books nor an error",
			arena, ret);
	bf_json_free(json);
}

const struct provider_ops provider_isbndb = {
	.id = BF_ISBNDB,
	.label = LABEL,
	.max_body = 8 * 1024 * 1024,
	.max_redirects = 0,
	.paid = true,
	.bulk_max = BULK_MAX,
	.bulk_each = true,
	.build = build,
	.parse = parse,
};
