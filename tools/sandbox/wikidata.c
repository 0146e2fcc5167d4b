/*
 * wikidata: /sparql of the query service. Labels match exactly but for case, ISBNs match in the
 * very spelling that is stored, mostly a hyphenated one; every row is an edition.
 */
#include <stdio.h>
#include <string.h>
#include "sparql.h"

#define WORKS_MAX 8

struct row { const struct sparql *query; struct record record; const char *title, *author; };

/* One bound variable. */
static void write_binding(struct bf_jw *jw, const char *name, const char *type, const char *value,
	const char *language)
{
	write_open(jw, name, '{');
	if (language)
		write_str(jw, "xml:lang", language);
	write_str(jw, "type", type);
	write_str(jw, "value", value);
	write_close(jw, '}');
}

/* The ISBN as the item has it: hyphenated but for a minority. */
static const char *stored_isbn(const char *isbn, struct hit h, struct bf_arena *a)
{
	uint64_t hash = dice_hash(0, "stored", h.work, h.slot);

	return hash % 7 == 0 ? isbn : spelling_hyphenated(isbn, hash / 7, a);
}

/* Does the item have an ISBN-13, and an ISBN-10? One of them always. */
static bool has_isbn13(const struct record *k)
{
	return !*k->isbn10 || k->hit.slot == 0 ||
		dice_hash(0, "isbn kinds", k->hit.work, k->hit.slot) % 8;
}

static bool has_isbn10(const struct record *k)
{
	return *k->isbn10 && (!has_isbn13(k) ||
				     dice_hash(0, "unbound", k->hit.work, k->hit.slot) % 2);
}

/* ISO 639-1, as P218 of a language item has it. */
static const char *language(const char *code)
{
	static const char *const known[][2] = { { "eng", "en" }, { "ger", "de" }, { "fre", "fr" },
		{ "rus", "ru" }, { "spa", "es" }, { "jpn", "ja" } };
	for (size_t i = 0; i < BF_COUNT(known); i++)
		if (!strcmp(known[i][0], code))
			return known[i][1];
	return NULL;
}

/* Pages and the names of other catalogues; NULL for what the item lacks. */
static const char *detail(enum sparql_role role, const struct record *k, struct bf_arena *a)
{
	uint64_t hash = dice_hash(0, "detail", k->hit.work, k->hit.slot);

	if (role == SPARQL_PAGES)
		return hash % 2 ? bf_arena_printf(a, "+%d", k->pages) : NULL;
	if (role == SPARQL_OPEN_LIBRARY)
		return hash / 2 % 2 ? bf_arena_printf(a, "OL%uM",
					      k->hit.work * SLOTS + k->hit.slot + 1)
				    : NULL;
	return hash / 4 % 3 ? NULL : bf_arena_printf(a, "%u", (unsigned)(hash / 12 % 60000000));
}

/* The value of one selected variable; an unbound one is absent. */
static void write_variable(
	struct bf_jw *jw, const char *name, const struct row *row, struct bf_arena *a)
{
	const struct record *k = &row->record;
	uint64_t hash = dice_hash(0, "unbound", k->hit.work, k->hit.slot);
	const char *text = detail(sparql_role_of(row->query, name), k, a);

	switch (sparql_role_of(row->query, name)) {
	case SPARQL_WORK:
		write_binding(jw, name, "uri",
			bf_arena_printf(a, "http://www.wikidata.org/entity/Q%u", k->hit.work + 100),
			NULL);
		break;
	case SPARQL_EDITION:
		write_binding(jw, name, "uri",
			bf_arena_printf(a, "http://www.wikidata.org/entity/Q%llu",
				900000000ull + (unsigned long long)k->hit.work * SLOTS +
					k->hit.slot),
			NULL);
		break;
	case SPARQL_ISBN13:
		if (has_isbn13(k))
			write_binding(jw, name, "literal", stored_isbn(k->isbn13, k->hit, a), NULL);
		break;
	case SPARQL_ISBN10:
		if (has_isbn10(k))
			write_binding(jw, name, "literal", stored_isbn(k->isbn10, k->hit, a), NULL);
		break;
	case SPARQL_DATE:
		if (hash / 2 % 8 == 0)
			write_binding(jw, name, "bnode", "t1234", NULL);
		else if (hash / 2 % 8 < 7)
			write_binding(jw, name, "literal",
				bf_arena_printf(a, "%d-01-01T00:00:00Z", k->year), NULL);
		break;
	case SPARQL_LANGUAGE:
		if (language(k->language) && (hash / 16 % 5 || k->hit.slot >= SLOT_DECOY))
			write_binding(jw, name, "literal", language(k->language), NULL);
		break;
	case SPARQL_PUBLISHER:
		if (hash / 64 % 3)
			write_binding(jw, name, "literal", k->publisher, "en");
		break;
	case SPARQL_TITLE:
		write_binding(jw, name, "literal", row->title, hash % 2 ? "en" : "mul");
		break;
	case SPARQL_AUTHOR:
		if (row->author)
			write_binding(jw, name, "literal", row->author, "en");
		break;
	case SPARQL_PERSON:
		write_binding(jw, name, "uri", "http://www.wikidata.org/entity/Q7", NULL);
		break;
	case SPARQL_PAGES:
	case SPARQL_OPEN_LIBRARY:
	case SPARQL_GOODREADS:
		if (text)
			write_binding(jw, name, "literal", text, NULL);
		break;
	case SPARQL_UNKNOWN:
		break;
	}
}

/* One binding. */
static void write_row(struct bf_jw *jw, const struct row *row, struct bf_arena *a)
{
	write_open(jw, NULL, '{');
	for (size_t i = 0; i < row->query->n_selected; i++)
		write_variable(jw, row->query->selected[i], row, a);
	write_close(jw, '}');
}

/* The author whom one of the tagged literals names, folded; NULL when none does. */
static const char *named_author(const struct sparql *q, const struct work *k, struct bf_arena *a)
{
	const char *names[12];
	size_t n = spelling_names(k->authors, a, names, BF_COUNT(names));
	char wanted[BF_KEY_MAX], have[BF_KEY_MAX];

	for (size_t i = 0; i < q->n_literals; i++) {
		if (!*q->literals[i].tag)
			continue;
		bf_fold(q->literals[i].text, wanted, sizeof(wanted));
		for (size_t m = 0; m < n; m++) {
			bf_fold(names[m], have, sizeof(have));
			if (!strcmp(have, wanted))
				return q->literals[i].text;
		}
	}
	return NULL;
}

/* Editions and translations of the works that the title literals name. */
static void by_title(struct request *r, const struct sparql *q, struct bf_jw *jw)
{
	bool named = !sparql_has(q, SPARQL_AUTHOR) || sparql_is_given(q, SPARQL_AUTHOR);
	uint32_t works[WORKS_MAX], done[WORKS_MAX * 4];
	struct hit hits[RESULTS_MAX];
	size_t n_done = 0;

	for (size_t i = 0; i < q->n_literals; i++) {
		size_t n = *q->literals[i].tag
			? search_exact(r->world, q->literals[i].text, r->arena, works, WORKS_MAX)
			: 0;

		for (size_t w = 0; w < n; w++) {
			const struct work *k = world_work(r->world, works[w], r->arena);
			struct row row = { .query = q, .title = q->literals[i].text };
			size_t seen = 0, n_hits;

			while (seen < n_done && done[seen] != works[w])
				seen++;
			row.author = named ? named_author(q, k, r->arena) : NULL;
			if (seen < n_done || n_done == BF_COUNT(done) || (named && !row.author) ||
			    !world_holds(r->world, r->provider, works[w]))
				continue;
			if (!row.author)
				(void)spelling_names(k->authors, r->arena, &row.author, 1);
			done[n_done++] = works[w];
			n_hits = results_of_work(r->world, r->provider, works[w], hits);
			for (size_t h = 0; h < n_hits; h++) {
				world_record(r->world, hits[h], r->arena, &row.record);
				write_row(jw, &row, r->arena);
			}
		}
	}
}

/* Does the item have this ISBN, of either length, in just this spelling? */
static bool is_stored(const struct record *k, const char *text, struct bf_arena *a)
{
	if (has_isbn13(k) && !strcmp(stored_isbn(k->isbn13, k->hit, a), text))
		return true;
	return has_isbn10(k) && !strcmp(stored_isbn(k->isbn10, k->hit, a), text);
}

/* A row for each author, and for some items all of them twice: they have two publishers. */
static void write_rows(struct bf_jw *jw, struct row *row, struct bf_arena *a)
{
	const struct hit h = row->record.hit;
	const char *names[6];
	size_t n = spelling_names(row->record.authors, a, names, BF_COUNT(names));
	bool twice = dice_hash(0, "twice", h.work, h.slot) % 10 == 0;

	for (size_t i = 0; i < n << twice; i++) {
		row->author = names[i % n];
		write_row(jw, row, a);
	}
}

/* Editions that one of the plain literals names, in just that spelling; each edition once, however
 * many of its spellings were asked for. */
static void by_isbn(struct request *r, const struct sparql *q, struct bf_jw *jw)
{
	struct row row = { .query = q };
	struct hit h, last = { .slot = SLOTS };

	for (size_t i = 0; i < q->n_literals; i++) {
		const char *text = q->literals[i].text;

		if (*q->literals[i].tag || strspn(text, "0123456789") < 1 ||
			!request_isbn(r, text, &h))
			continue;
		world_record(r->world, h, r->arena, &row.record);
		if ((h.work == last.work && h.slot == last.slot) ||
			!is_stored(&row.record, text, r->arena) ||
			(h.slot >= SLOT_DECOY && h.slot != SLOT_DECOY + DECOY_TRANSLATION) ||
			!world_holds(r->world, r->provider, h.work))
			continue;
		last = h;
		row.title = row.record.title;
		write_rows(jw, &row, r->arena);
	}
}

/* The query's text, from the URL, a form or the body itself. */
static const char *query_text(const struct request *r)
{
	const char *type = request_header(r, "Content-Type"), *text;
	struct evkeyvalq form;

	if (!strcmp(r->method, "GET"))
		return request_param(r, "query");
	if (!strncmp(type, "application/sparql-query", 24))
		return r->body;
	if (evhttp_parse_query_str(r->body, &form))
		return "";
	text = evhttp_find_header(&form, "query");
	text = text ? bf_arena_strdup(r->arena, text) : "";
	evhttp_clear_headers(&form);
	return text;
}

/* Every request below /wikidata. */
void wikidata_answer(struct request *r, struct reply *out)
{
	struct sparql q;
	const char *text;
	struct bf_jw jw;

	if (strcmp(r->path, "/sparql") || (strcmp(r->method, "GET") && strcmp(r->method, "POST"))) {
		errors_refuse(r, out, REFUSE_NOT_FOUND, NULL);
		return;
	}
	if (!*request_header(r, "User-Agent")) {
		errors_refuse(r, out, REFUSE_KEY_MISSING, NULL);
		return;
	}
	text = query_text(r);
	if (!request_admit(r, out, 1))
		return;
	if (!sparql_read(&q, text, r->arena)) {
		errors_refuse(r, out, REFUSE_REQUEST, text);
		return;
	}
	jw = reply_json(out, 200);
	out->content_type = "application/sparql-results+json;charset=utf-8";
	write_open(&jw, NULL, '{');
	write_open(&jw, "head", '{');
	write_open(&jw, "vars", '[');
	for (size_t i = 0; i < q.n_selected; i++)
		bf_jw_str(&jw, q.selected[i]);
	write_close(&jw, ']');
	write_close(&jw, '}');
	write_open(&jw, "results", '{');
	write_open(&jw, "bindings", '[');
	if (r->fault == FAULT_ONE_BAD_ITEM) {
		write_open(&jw, NULL, '{');
		write_close(&jw, '}');
	}
	if (r->fault != FAULT_EMPTY) {
		by_title(r, &q, &jw);
		by_isbn(r, &q, &jw);
	}
	write_close(&jw, ']');
	write_close(&jw, '}');
	write_close(&jw, '}');
}
