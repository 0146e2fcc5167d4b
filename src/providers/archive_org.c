/*
 * archive_org: advancedsearch in Lucene's language. Every field of a document is a text, a list or
 * missing, each document in its own way; pallets of donated books carry hundreds of ISBNs and are
 * no books.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>
#include "wire.h"

#define LABEL           "archive_org search"
#define TERM_MAX        300
#define BULK_MAX        25 /* two spellings each: the URL stays under 2 kB */
#define BULK_ROWS       "200"
#define ISBNS_OF_A_BOOK 6 /* a document with more of them is no book, whatever it is called */
#define FIELDS                                                                                    \
	"&fl%5B%5D=identifier&fl%5B%5D=title&fl%5B%5D=creator&fl%5B%5D=isbn&fl%5B%5D=date&fl%5B%" \
	"5D=year"                                                                                 \
	"&fl%5B%5D=publisher&fl%5B%5D=language&fl%5B%5D=subject"

/* "First Last" as the catalogues of libraries have it, "Last, First"; NULL for a single word. */
static const char *inverted(struct bf_arena *arena, const char *name)
{
	const char *last = strrchr(name, ' ');

	if (last == NULL || last == name || last[1] == '\0' || strchr(name, ',') != NULL)
		return NULL;
	return bf_arena_printf(arena, "%s, %.*s", last + 1, (int)(last - name), name);
}

/* Inside a quoted phrase only quotes and backslashes would be read as syntax, and those are gone.
 * Most creators are inverted, and a phrase keeps its order: both orders are asked for. */
static const char *search_query(
	const struct provider_ask *ask, struct bf_arena *arena, struct bf_error *err)
{
	const char *title, *author = NULL, *other, *q;
	struct terms terms;

	if (!terms_of(ask->book, arena, &terms, err))
		return NULL;
	title = terms_phrase(arena, terms.title);
	if (title == NULL) {
		bf_error_set(
			err, BF_ERR_PERMANENT, "%s: nothing in the title can be asked for", LABEL);
		return NULL;
	}
	if (terms.author != NULL)
		author = terms_phrase(arena, terms.author);
	q = bf_arena_printf(arena, "title:(\"%s\")", terms_cut(arena, title, TERM_MAX));
	if (author != NULL) {
		author = terms_cut(arena, author, TERM_MAX);
		other = inverted(arena, author);
		q = other == NULL
			? bf_arena_printf(arena, "%s AND creator:(\"%s\")", q, author)
			: bf_arena_printf(arena, "%s AND (creator:(\"%s\") OR creator:(\"%s\"))", q,
				  author, other);
	}
	return bf_arena_printf(arena, "%s AND mediatype:texts", q);
}

/* Items were catalogued with the ISBN that stood in the book, of either length. */
static const char *isbns_query(
	const struct provider_ask *ask, struct bf_arena *arena, struct bf_error *err)
{
	char isbn10[11];
	struct bf_buf q;
	size_t i;

	if (ask->n_isbns == 0 || ask->n_isbns > BULK_MAX) {
		bf_error_set(err, BF_ERR_BUG, "%s: %zu ISBNs in one query, 1 to %d are possible",
			LABEL, ask->n_isbns, BULK_MAX);
		return NULL;
	}
	bf_buf_init(&q, BULK_MAX * 64 + 64);
	bf_buf_adds(&q, "isbn:(");
	for (i = 0; i < ask->n_isbns; i++) {
		bf_buf_addf(&q, "%s%s", i > 0 ? " OR " : "", ask->isbns[i]);
		if (bf_isbn10_from13(ask->isbns[i], isbn10))
			bf_buf_addf(&q, " OR %s", isbn10);
	}
	bf_buf_adds(&q, ") AND mediatype:texts");
	return provider_arena_buf(arena, &q);
}

/* GET advancedsearch.php with either query. */
static bool build(const struct provider_ask *ask, const struct bf_provider_config *config,
	struct bf_arena *arena, struct provider_request *ret, struct bf_error *err)
{
	const char *q = NULL, *rows = "10";

	switch (ask->kind) {
	case PROVIDER_GENERATE:
	case PROVIDER_LIMITS: return provider_unsupported(LABEL, err);
	case PROVIDER_SEARCH: q = search_query(ask, arena, err); break;
	case PROVIDER_BULK:
		q = isbns_query(ask, arena, err);
		rows = BULK_ROWS;
		break;
	}
	if (q == NULL)
		return false;
	ret->method = "GET";
	ret->url = bf_arena_printf(arena, "%s/advancedsearch.php?q=%s%s&rows=%s&page=1&output=json",
		config->base_url, provider_escape(arena, q), FIELDS, rows);
	ret->units = 1;
	provider_header(ret, "Accept", "application/json");
	return true;
}

/* Donations by the pallet; their ISBNs belong to everything that lay on it. */
static bool is_pallet(const char *identifier)
{
	return identifier != NULL &&
		(strncasecmp(identifier, "bwb", 3) == 0 ||
			strncasecmp(identifier, "books_", 6) == 0);
}

/* Library creators carry dates of life and roles: "Herbert, Frank, 1920-1986, author". */
static const char *creators(struct bf_jval value, struct bf_arena *arena)
{
	const char *list = provider_list(value, arena);
	char *rest, *name, *comma;
	struct bf_buf out;

	if (list == NULL)
		return NULL;
	rest = bf_arena_strdup(arena, list);
	bf_buf_init(&out, strlen(list) + 1);
	while ((name = strsep(&rest, ";")) != NULL) {
		while ((comma = strrchr(name, ',')) != NULL) {
			const char *tail = comma + 1 + strspn(comma + 1, " ");

			if (!isdigit((unsigned char)*tail) && strncmp(tail, "author", 6) != 0 &&
				strncmp(tail, "b. ", 3) != 0 && strncmp(tail, "ca. ", 4) != 0)
				break;
			*comma = '\0';
		}
		if (name[0] != '\0')
			bf_buf_addf(&out, "%s%s", out.len > 0 ? ";" : "", name);
	}
	return provider_trim(arena, provider_arena_buf(arena, &out));
}

/* Catalogue punctuation at the end of titles and publishers: "Dune /", "New York :". */
static const char *without_tail(struct bf_arena *arena, const char *text)
{
	size_t len;

	if (text == NULL)
		return NULL;
	len = strlen(text);
	while (len > 0 && strchr(" /:,=", text[len - 1]) != NULL)
		len--;
	return provider_trim(arena, bf_arena_strndup(arena, text, len));
}

/* The publisher behind its city: "New York : Ace". */
static const char *publisher(struct bf_jval value, struct bf_arena *arena)
{
	const char *text = without_tail(arena, provider_text(value, arena)), *colon;

	if (text == NULL)
		return NULL;
	colon = strstr(text, " : ");
	return colon != NULL ? provider_trim(arena, colon + 3) : text;
}

/* Whether a document is one of the books that were asked for by ISBN, and nothing else. */
static bool was_asked(const struct provider_ask *ask, const struct record_isbns *set)
{
	size_t i, k;

	if (set->n > ISBNS_OF_A_BOOK)
		return false;
	for (i = 0; i < ask->n_isbns; i++) {
		for (k = 0; k < set->n; k++) {
			if (strcmp(set->isbn[k], ask->isbns[i]) == 0)
				return true;
		}
	}
	return false;
}

/* One document. */
static void add_doc(const struct provider_ask *ask, struct record_list *list, struct bf_jval doc,
	struct bf_arena *arena)
{
	const char *identifier = provider_text(bf_json_get(doc, "identifier"), arena);
	const char *title = without_tail(arena, provider_text(bf_json_get(doc, "title"), arena));
	struct record_isbns set = { .n = 0 };
	struct bf_record *r;

	if (title == NULL || is_pallet(identifier))
		return;
	record_isbn_add_list(&set, bf_json_get(doc, "isbn"), arena);
	if (ask->kind == PROVIDER_BULK && !was_asked(ask, &set))
		return;
	r = record_new(list, arena);
	r->title = title;
	r->authors = creators(bf_json_get(doc, "creator"), arena);
	r->publisher = publisher(bf_json_get(doc, "publisher"), arena);
	r->language = provider_text(bf_json_get(doc, "language"), arena);
	r->date = provider_text(bf_json_get(doc, "date"), arena);
	r->year = provider_year(provider_text(bf_json_get(doc, "year"), arena));
	if (r->year == 0)
		r->year = provider_year(r->date);
	r->subjects = provider_list(bf_json_get(doc, "subject"), arena);
	r->provider_key = identifier;
	if (identifier != NULL)
		r->cover_url = record_cover(arena,
			bf_arena_printf(arena, "https://archive.org/services/img/%s",
				provider_escape(arena, identifier)));
	record_isbn_take(&set, arena, r);
}

/* Any reply. Errors of the search come under a 200. */
static void parse(const struct provider_ask *ask, const struct bf_http_reply *reply,
	struct bf_arena *arena, struct provider_answer *ret)
{
	enum provider_outcome outcome;
	struct record_list list = { .n = 0 };
	struct bf_jval root, docs, v;
	const char *error;
	struct bf_json *json;

	ret->retry_after_ms = reply->retry_after_ms;
	outcome = provider_keyless(reply->status, ret);
	json = provider_json(reply, arena, ret);
	if (json == NULL) {
		if (outcome != OUTCOME_OK)
			ret->outcome = outcome;
		return;
	}
	root = bf_json_root(json);
	docs = bf_json_path(root, "response.docs");
	error = provider_text(bf_json_get(root, "error"), arena);
	if (outcome != OUTCOME_OK) {
		provider_fail(ret, arena, outcome, reply,
			error != NULL ? error
				      : provider_excerpt(arena, reply->body, reply->body_len));
	} else if (bf_json_type(docs) == BF_J_ARRAY) {
		for (v = bf_json_first(docs); bf_json_type(v) != BF_J_ABSENT; v = bf_json_next(v))
			add_doc(ask, &list, v, arena);
		record_answer(&list, ret);
	} else if (bf_json_type(bf_json_get(root, "error")) != BF_J_ABSENT) {
		provider_fail(ret, arena, OUTCOME_UPSTREAM, reply,
			error != NULL ? error : "an error without words");
	} else {
		provider_fail(ret, arena, OUTCOME_GARBAGE, reply, "neither documents nor an error");
	}
	bf_json_free(json);
}

const struct provider_ops provider_archive_org = {
	.id = BF_ARCHIVE_ORG,
	.label = LABEL,
	.max_body = 4 * 1024 * 1024,
	.max_redirects = 3,
	.paid = false,
	.bulk_max = BULK_MAX,
	.build = build,
	.parse = parse,
};
