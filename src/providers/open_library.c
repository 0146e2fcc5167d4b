/*
 * open_library: works with their best matching editions, and records of known ISBNs. A work's own
 * list of ISBNs mixes every edition in every language: the editions come first, the list is the
 * last resort.
 */
#include <string.h>
#include "wire.h"

#define LABEL        "open_library"
#define TERM_MAX     300
#define BULK_MAX     100   /* keeps the URL near 2 kB */
#define RATE_WAIT_MS 60000 /* its limit is told per minute, without Retry-After */
#define FIELDS                                                                                    \
	"key,title,subtitle,author_name,author_key,first_publish_year,language,publisher,isbn,"   \
	"cover_i,editions,"                                                                       \
	"editions.key,editions.title,editions.subtitle,editions.isbn,editions.language,editions." \
	"publish_date,"                                                                           \
	"editions.publisher,editions.cover_i"

/* GET search.json; special characters in title and author are the service's concern. */
static bool build_search(const struct provider_ask *ask, const struct bf_provider_config *config,
	struct bf_arena *arena, struct provider_request *ret, struct bf_error *err)
{
	const char *author = "";
	struct terms terms;

	if (!terms_of(ask->book, arena, &terms, err))
		return false;
	if (terms.author != NULL)
		author = bf_arena_printf(arena, "&author=%s",
			provider_escape(arena, terms_cut(arena, terms.author, TERM_MAX)));
	ret->url = bf_arena_printf(arena, "%s/search.json?title=%s%s&limit=10&fields=" FIELDS,
		config->base_url, provider_escape(arena, terms_cut(arena, terms.title, TERM_MAX)),
		author);
	return true;
}

/* GET api/books?bibkeys=ISBN:a,ISBN:b */
static bool build_bulk(const struct provider_ask *ask, const struct bf_provider_config *config,
	struct bf_arena *arena, struct provider_request *ret, struct bf_error *err)
{
	struct bf_buf keys;
	size_t i;

	if (ask->n_isbns == 0 || ask->n_isbns > BULK_MAX) {
		bf_error_set(err, BF_ERR_BUG,
			"%s: %zu ISBNs in one bulk call, 1 to %d are possible", LABEL, ask->n_isbns,
			BULK_MAX);
		return false;
	}
	bf_buf_init(&keys, BULK_MAX * 64);
	for (i = 0; i < ask->n_isbns; i++)
		bf_buf_addf(&keys, "%sISBN:%s", i > 0 ? "," : "",
			provider_escape(arena, ask->isbns[i]));
	ret->url = bf_arena_printf(arena, "%s/api/books?bibkeys=%s&format=json&jscmd=data",
		config->base_url, provider_arena_buf(arena, &keys));
	return true;
}

/* Both are GETs without a key. */
static bool build(const struct provider_ask *ask, const struct bf_provider_config *config,
	struct bf_arena *arena, struct provider_request *ret, struct bf_error *err)
{
	ret->method = "GET";
	ret->units = 1;
	provider_header(ret, "Accept", "application/json");
	switch (ask->kind) {
	case PROVIDER_SEARCH: return build_search(ask, config, arena, ret, err);
	case PROVIDER_BULK: return build_bulk(ask, config, arena, ret, err);
	case PROVIDER_GENERATE:
	case PROVIDER_LIMITS: break;
	}
	return provider_unsupported(LABEL, err);
}

/* Of a list of languages: English when it is among them, else the only one; NULL when there are
 * several others. */
static const char *language_of(struct bf_jval value, struct bf_arena *arena)
{
	const char *list = provider_list(value, arena);
	char *rest, *one;

	if (list == NULL || strchr(list, ';') == NULL)
		return list;
	rest = bf_arena_strdup(arena, list);
	while ((one = strsep(&rest, ";")) != NULL) {
		if (strcmp(one, "eng") == 0)
			return "eng";
	}
	return NULL;
}

/* Covers are numbered; -1 stands for a deleted one. */
static const char *cover(struct bf_jval id, struct bf_arena *arena)
{
	int64_t n;

	if (!bf_json_int(id, &n) || n <= 0)
		return NULL;
	return bf_arena_printf(
		arena, "https://covers.openlibrary.org/b/id/%lld-L.jpg", (long long)n);
}

/* One edition of a work; what it lacks is the work's. */
static void add_edition(struct record_list *list, struct bf_jval doc, struct bf_jval edition,
	struct bf_arena *arena)
{
	struct record_isbns set = { .n = 0, .english_first = true };
	const char *title = provider_text(bf_json_get(edition, "title"), arena);
	struct bf_record *r;

	record_isbn_add_list(&set, bf_json_get(edition, "isbn"), arena);
	if (set.n == 0)
		return;
	r = record_new(list, arena);
	r->title = title;
	r->subtitle = provider_text(bf_json_get(edition, "subtitle"), arena);
	if (title == NULL) {
		r->title = provider_text(bf_json_get(doc, "title"), arena);
		r->subtitle = provider_text(bf_json_get(doc, "subtitle"), arena);
	}
	r->authors = provider_list(bf_json_get(doc, "author_name"), arena);
	r->publisher = provider_text(bf_json_get(edition, "publisher"), arena);
	r->language = language_of(bf_json_get(edition, "language"), arena);
	r->date = provider_text(bf_json_get(edition, "publish_date"), arena);
	r->year = provider_year(r->date);
	if (r->year == 0)
		r->year =
			provider_year(provider_text(bf_json_get(doc, "first_publish_year"), arena));
	r->cover_url = cover(bf_json_get(edition, "cover_i"), arena);
	if (r->cover_url == NULL)
		r->cover_url = cover(bf_json_get(doc, "cover_i"), arena);
	r->provider_key =
		record_last_segment(arena, provider_text(bf_json_get(edition, "key"), arena));
	record_isbn_take(&set, arena, r);
	if (r->title == NULL)
		list->n--;
}

/* Takes a text over when it is an ISBN of an English-language group (or of any), and of none of the
 * editions that were listed. */
static bool take_isbn(
	struct record_isbns *set, const char *text, bool any, const struct record_isbns *listed)
{
	struct record_isbns one = { .n = 0 };
	size_t i;

	if (!record_isbn_add(&one, text, 0) || (!any && !record_isbn_english(one.isbn[0])))
		return false;
	for (i = 0; i < listed->n; i++) {
		if (strcmp(listed->isbn[i], one.isbn[0]) == 0)
			return false;
	}
	return record_isbn_add(set, one.isbn[0], 0);
}

/* The first such ISBN of a work's list. */
static void work_isbn(struct record_isbns *set, struct bf_jval isbns, bool any,
	const struct record_isbns *listed, struct bf_arena *arena)
{
	struct bf_jval v;

	if (bf_json_type(isbns) != BF_J_ARRAY) {
		take_isbn(set, provider_text(isbns, arena), any, listed);
		return;
	}
	for (v = bf_json_first(isbns); bf_json_type(v) != BF_J_ABSENT; v = bf_json_next(v)) {
		if (take_isbn(set, provider_text(v, arena), any, listed))
			return;
	}
}

/* The work itself, with an ISBN of its list, of which nothing is known but its group. English groups
 * say little of the title's language, but that they do say, unless the work is in one other. */
static void add_work(struct record_list *list, struct bf_jval doc, const struct record_isbns *listed,
	struct bf_arena *arena)
{
	struct record_isbns set = { .n = 0 };
	struct bf_jval languages = bf_json_get(doc, "language"), isbns = bf_json_get(doc, "isbn");
	const char *title = provider_text(bf_json_get(doc, "title"), arena), *language = NULL;
	struct bf_record *r;

	if (title == NULL)
		return;
	if (bf_json_size(languages) == 1)
		language = provider_text(languages, arena);
	work_isbn(&set, isbns, false, listed, arena);
	if (set.n > 0 && language == NULL)
		language = "eng";
	else if (set.n == 0 && language != NULL && strcmp(language, "eng") != 0)
		work_isbn(&set, isbns, true, listed, arena);
	r = record_new(list, arena);
	r->title = title;
	r->subtitle = provider_text(bf_json_get(doc, "subtitle"), arena);
	r->authors = provider_list(bf_json_get(doc, "author_name"), arena);
	r->language = language;
	r->year = provider_year(provider_text(bf_json_get(doc, "first_publish_year"), arena));
	r->cover_url = cover(bf_json_get(doc, "cover_i"), arena);
	r->provider_key = record_last_segment(arena, provider_text(bf_json_get(doc, "key"), arena));
	record_isbn_take(&set, arena, r);
}

/* Whether an edition is the work as one would look for it: not in a known other language, and under
 * the work's own title (a large-print or study edition says so in its title). */
static bool stands_for_work(const struct bf_record *edition, const char *work_title)
{
	char mine[BF_KEY_MAX], its[BF_KEY_MAX];

	if (edition->language != NULL && strcmp(edition->language, "eng") != 0)
		return false;
	if (work_title == NULL)
		return true;
	bf_fold(edition->title, mine, sizeof(mine));
	bf_fold(work_title, its, sizeof(its));
	return strcmp(mine, its) == 0;
}

/* A work: its English editions, its others, then itself unless one of them stands for it. */
static void add_doc(struct record_list *list, struct bf_jval doc, struct bf_arena *arena)
{
	const char *language, *title = provider_text(bf_json_get(doc, "title"), arena);
	struct bf_jval v, editions = bf_json_path(doc, "editions.docs");
	struct record_isbns listed = { .n = 0 };
	bool english, stands = false;
	size_t i, first = list->n;
	int pass;

	for (pass = 0; pass < 2; pass++) {
		for (v = bf_json_first(editions); bf_json_type(v) != BF_J_ABSENT;
			v = bf_json_next(v)) {
			language = language_of(bf_json_get(v, "language"), arena);
			english = language != NULL && strcmp(language, "eng") == 0;
			if (english == (pass == 0))
				add_edition(list, doc, v, arena);
		}
	}
	for (v = bf_json_first(editions); bf_json_type(v) != BF_J_ABSENT; v = bf_json_next(v))
		record_isbn_add_list(&listed, bf_json_get(v, "isbn"), arena);
	for (i = first; i < list->n; i++)
		stands = stands || stands_for_work(&list->v[i], title);
	if (!stands)
		add_work(list, doc, &listed, arena);
}

/* One book of api/books, found under the key that was asked for. */
static void add_book(struct record_list *list, struct bf_jval book, struct bf_arena *arena)
{
	struct record_isbns set = { .n = 0 };
	const char *key = bf_json_key(book, arena);
	const char *title = provider_text(bf_json_get(book, "title"), arena);
	struct bf_record *r;

	if (title == NULL || key == NULL || strncmp(key, "ISBN:", 5) != 0 ||
		!record_isbn_add(&set, key + 5, 9))
		return;
	r = record_new(list, arena);
	r->title = title;
	r->subtitle = provider_text(bf_json_get(book, "subtitle"), arena);
	r->authors = provider_list(bf_json_get(book, "authors"), arena);
	r->publisher = provider_text(bf_json_get(book, "publishers"), arena);
	r->date = provider_text(bf_json_get(book, "publish_date"), arena);
	r->year = provider_year(r->date);
	r->pages = record_pages(bf_json_get(book, "number_of_pages"), arena);
	r->subjects = provider_list(bf_json_get(book, "subjects"), arena);
	r->cover_url = record_cover(arena, provider_text(bf_json_path(book, "cover.large"), arena));
	r->provider_key =
		record_last_segment(arena, provider_text(bf_json_get(book, "key"), arena));
	record_isbn_add_list(&set, bf_json_path(book, "identifiers.isbn_13"), arena);
	record_isbn_add_list(&set, bf_json_path(book, "identifiers.isbn_10"), arena);
	record_isbn_take(&set, arena, r);
}

/* A 200's content. api/books leaves out what it does not know: {} is a definite miss. */
static void read_found(const struct provider_ask *ask, struct bf_jval root,
	const struct bf_http_reply *reply, struct bf_arena *arena, struct provider_answer *ret)
{
	bool bulk = ask->kind == PROVIDER_BULK;
	struct bf_jval v, docs = bulk ? root : bf_json_get(root, "docs");
	struct record_list list = { .n = 0 };

	if (bf_json_type(docs) != (bulk ? BF_J_OBJECT : BF_J_ARRAY) ||
		bf_json_type(bf_json_get(root, "error")) != BF_J_ABSENT) {
		const char *words = provider_text(bf_json_get(root, "error"), arena);

		provider_fail(ret, arena, OUTCOME_GARBAGE, reply,
			words != NULL ? words : "no list of books");
		return;
	}
	for (v = bf_json_first(docs); bf_json_type(v) != BF_J_ABSENT; v = bf_json_next(v)) {
		if (bf_json_type(v) != BF_J_OBJECT)
			continue;
		if (bulk)
			add_book(&list, v, arena);
		else
			add_doc(&list, v, arena);
	}
	record_answer(&list, ret);
}

/* Words of an error: {"message"}, {"error"}, or the first of FastAPI's {"detail":[{"msg"}]}. */
static const char *error_words(struct bf_jval root, struct bf_arena *arena)
{
	const char *text = provider_text(bf_json_get(root, "message"), arena);

	if (text == NULL)
		text = provider_text(bf_json_get(root, "error"), arena);
	if (text == NULL)
		text = provider_text(bf_json_path(root, "detail.0.msg"), arena);
	return text != NULL ? text : provider_text(bf_json_get(root, "detail"), arena);
}

/* Any reply. A 403 is for the agent or the address, and passes; a 404 is a page in HTML and no "not
 * found". */
static void parse(const struct provider_ask *ask, const struct bf_http_reply *reply,
	struct bf_arena *arena, struct provider_answer *ret)
{
	enum provider_outcome outcome;
	struct bf_json *json;

	ret->retry_after_ms = reply->retry_after_ms;
	outcome = provider_keyless(reply->status, ret);
	if (outcome == OUTCOME_RATE && ret->retry_after_ms < 0)
		ret->retry_after_ms = RATE_WAIT_MS;
	json = provider_json(reply, arena, ret);
	if (json == NULL) {
		if (outcome != OUTCOME_OK)
			ret->outcome = outcome;
		return;
	}
	if (outcome != OUTCOME_OK)
		provider_fail(ret, arena, outcome, reply, error_words(bf_json_root(json), arena));
	else
		read_found(ask, bf_json_root(json), reply, arena, ret);
	bf_json_free(json);
}

const struct provider_ops provider_open_library = {
	.id = BF_OPEN_LIBRARY,
	.label = LABEL,
	.max_body = 16 * 1024 * 1024,
	.max_redirects = 3,
	.paid = false,
	.bulk_max = BULK_MAX,
	.build = build,
	.parse = parse,
};
