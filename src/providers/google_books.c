/*
 * google_books: volumes by title and author. The key must go into the URL, so that the URL is never
 * to be logged. A miss has no items at all; a hit may have any field missing and its ISBN in any of
 * four spellings.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>
#include "wire.h"

#define LABEL    "google_books search"
#define TERM_MAX 300
#define FIELDS                                                                           \
	"totalItems,items(id,volumeInfo(title,subtitle,authors,publisher,publishedDate," \
	"description,"                                                                   \
	"industryIdentifiers,language,pageCount,printType,categories,imageLinks/thumbnail))"

/* GET volumes?q=intitle:"..." inauthor:"..."; an empty term would match everything, so it is left
 * out. */
static bool build(const struct provider_ask *ask, const struct bf_provider_config *config,
	struct bf_arena *arena, struct provider_request *ret, struct bf_error *err)
{
	const char *title, *author = NULL, *q;
	struct terms terms;

	if (ask->kind != PROVIDER_SEARCH)
		return provider_unsupported(LABEL, err);
	if (!provider_key_ok(config, LABEL, err) || !terms_of(ask->book, arena, &terms, err))
		return false;
	title = terms_phrase(arena, terms.title);
	if (title == NULL) {
		bf_error_set(
			err, BF_ERR_PERMANENT, "%s: nothing in the title can be asked for", LABEL);
		return false;
	}
	q = bf_arena_printf(arena, "intitle:\"%s\"", terms_cut(arena, title, TERM_MAX));
	if (terms.author != NULL)
		author = terms_phrase(arena, terms.author);
	if (author != NULL)
		q = bf_arena_printf(
			arena, "%s inauthor:\"%s\"", q, terms_cut(arena, author, TERM_MAX));
	ret->method = "GET";
	ret->url = bf_arena_printf(arena,
		"%s/volumes?q=%s&maxResults=20&printType=books&country=US&fields=%s&key=%s",
		config->base_url, provider_escape(arena, q), provider_escape(arena, FIELDS),
		provider_escape(arena, config->api_key));
	ret->units = 1;
	provider_header(ret, "Accept", "application/json");
	return true;
}

/* OTHER holds library numbers ("UOM:39015...") as well as ISBNs: only what is no other scheme's
 * number is tried. */
static bool other_may_be_isbn(const char *text)
{
	return text != NULL &&
		(isdigit((unsigned char)*text) || strncasecmp(text, "isbn", 4) == 0 ||
			strncasecmp(text, "urn:isbn", 8) == 0);
}

/* An ISBN-13 before one computed from an ISBN-10 before one found under OTHER. */
static void isbns(struct bf_jval list, struct bf_arena *arena, struct bf_record *record)
{
	struct record_isbns set = { .n = 0 };
	const char *type, *text;
	struct bf_jval v;

	for (v = bf_json_first(list); bf_json_type(v) != BF_J_ABSENT; v = bf_json_next(v)) {
		type = provider_text(bf_json_get(v, "type"), arena);
		text = provider_text(bf_json_get(v, "identifier"), arena);
		if (type == NULL || text == NULL)
			continue;
		if (strcmp(type, "ISBN_13") == 0)
			record_isbn_add(&set, text, 3);
		else if (strcmp(type, "ISBN_10") == 0)
			record_isbn_add(&set, text, 2);
		else if (strcmp(type, "OTHER") == 0 && other_may_be_isbn(text))
			record_isbn_add(&set, text, 1);
	}
	record_isbn_take(&set, arena, record);
}

/* One volume; magazines and volumes without a title are left out. */
static void add_volume(struct record_list *list, struct bf_jval item, struct bf_arena *arena)
{
	struct bf_jval info = bf_json_get(item, "volumeInfo");
	const char *title = provider_text(bf_json_get(info, "title"), arena);
	const char *type = provider_text(bf_json_get(info, "printType"), arena);
	const char *language = provider_text(bf_json_get(info, "language"), arena);
	struct bf_record *r;

	if (title == NULL || (type != NULL && strcmp(type, "MAGAZINE") == 0))
		return;
	r = record_new(list, arena);
	r->title = title;
	r->subtitle = provider_text(bf_json_get(info, "subtitle"), arena);
	r->authors = provider_list(bf_json_get(info, "authors"), arena);
	r->publisher = provider_text(bf_json_get(info, "publisher"), arena);
	if (language != NULL && strcmp(language, "un") != 0 && strcmp(language, "und") != 0)
		r->language = language;
	r->date = provider_text(bf_json_get(info, "publishedDate"), arena);
	r->year = provider_year(r->date);
	r->pages = record_pages(bf_json_get(info, "pageCount"), arena);
	r->cover_url = record_cover(
		arena, provider_text(bf_json_path(info, "imageLinks.thumbnail"), arena));
	r->description =
		record_description(arena, provider_text(bf_json_get(info, "description"), arena));
	r->subjects = provider_list(bf_json_get(info, "categories"), arena);
	r->provider_key = provider_text(bf_json_get(item, "id"), arena);
	isbns(bf_json_get(info, "industryIdentifiers"), arena, r);
}

/* A quota by the day is told by reason, limit name, unit or sentence; a bad key is a 400 like any
 * malformed request, and for some keys an exhausted quota is one too. */
static void read_error(const struct google_error *e, const struct bf_http_reply *reply,
	struct bf_arena *arena, struct provider_answer *ret)
{
	enum provider_outcome outcome = provider_outcome_of_status(e->code);
	bool quota = e->user_rate || provider_has(e->message, "quota");

	if (e->bad_key)
		outcome = OUTCOME_AUTH;
	else if (e->code == 400 && quota)
		outcome = OUTCOME_QUOTA_DAY;
	else if ((e->code == 403 || e->code == 429) && e->per_day)
		outcome = OUTCOME_QUOTA_DAY;
	else if (e->code == 403 && quota)
		outcome = OUTCOME_RATE;
	else if (e->code == 403 && provider_has(e->message, "user location"))
		outcome = OUTCOME_BAD_REQUEST;
	else if (outcome == OUTCOME_OK)
		outcome = OUTCOME_UPSTREAM;
	if (e->retry_ms >= 0)
		ret->retry_after_ms = e->retry_ms;
	provider_fail(ret, arena, outcome, reply, e->message != NULL ? e->message : e->status);
}

/* Any reply. The estimate totalItems tells nothing; only its presence shows that this is an answer
 * at all. */
static void parse(const struct provider_ask *ask, const struct bf_http_reply *reply,
	struct bf_arena *arena, struct provider_answer *ret)
{
	struct record_list list = { .n = 0 };
	struct bf_jval root, items, v;
	struct google_error e;
	struct bf_json *json;

	(void)ask;
	ret->retry_after_ms = reply->retry_after_ms;
	json = provider_json(reply, arena, ret);
	if (json == NULL)
		return;
	root = bf_json_root(json);
	items = bf_json_get(root, "items");
	if (google_error_read(root, reply, arena, &e)) {
		read_error(&e, reply, arena, ret);
	} else if (provider_outcome_of_status(reply->status) != OUTCOME_OK) {
		provider_fail(ret, arena, provider_outcome_of_status(reply->status), reply,
			provider_excerpt(arena, reply->body, reply->body_len));
	} else if (bf_json_type(root) != BF_J_OBJECT ||
		(bf_json_type(items) == BF_J_ABSENT &&
			bf_json_type(bf_json_get(root, "totalItems")) == BF_J_ABSENT &&
			bf_json_type(bf_json_get(root, "kind")) == BF_J_ABSENT &&
			bf_json_size(root) > 0)) {
		provider_fail(ret, arena, OUTCOME_GARBAGE, reply, "neither items nor an error");
	} else {
		for (v = bf_json_first(items); bf_json_type(v) != BF_J_ABSENT; v = bf_json_next(v))
			add_volume(&list, v, arena);
		record_answer(&list, ret);
	}
	bf_json_free(json);
}

const struct provider_ops provider_google_books = {
	.id = BF_GOOGLE_BOOKS,
	.label = LABEL,
	.max_body = 4 * 1024 * 1024,
	.max_redirects = 0,
	.paid = false,
	.build = build,
	.parse = parse,
};
