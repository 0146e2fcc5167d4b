/*
 * archive_org: /advancedsearch.php of archive.org. Fields are scalars in one document and lists
 * in the next, ISBNs carry words and hyphens, and pallets of donated books match what they
 * should not.
 */
#include <stdlib.h>
#include <string.h>
#include "sandbox.h"

#define SHARE_PALLETS	    8	/* one search in so many has one */
#define SHARE_PALLETS_ISBN  3	/* they match whatever ISBN lies on them */
#define PALLET_BOOKS	    300
#define HITS_MAX	    512
#define ISBN_TERM_MAX	    24

/* The phrase behind `field:` in a Lucene query, quoted or in brackets, escapes removed; "" if
 * none. */
static const char *lucene_term(const struct request *r, const char *q, const char *field)
{
	const char *at = strstr(q, field);
	char *out, *p;
	char end;

	if (!at)
		return "";
	at += strlen(field);
	at += *at == '(';
	end = *at == '"' ? '"' : ')';
	at += *at == '"';
	out = p = bf_arena_alloc(r->arena, strlen(at) + 1);
	while (*at && *at != end) {
		at += *at == '\\' && at[1];
		*p++ = *at++;
	}
	return out;
}

/* Was the field asked for, by fl[]=a&fl[]=b or fl=a,b? Without either, all are given. */
static bool wants(const struct request *r, const char *field)
{
	const struct evkeyval *kv;
	bool any = false;

	TAILQ_FOREACH(kv, r->query, next) {
		if (strcmp(kv->key, "fl[]") && strcmp(kv->key, "fl"))
			continue;
		any = true;
		for (const char *p = kv->value; *p; p += strcspn(p, ","), p += *p == ',')
			if (!strncmp(p, field, strlen(field)) &&
				(p[strlen(field)] == ',' || !p[strlen(field)]))
				return true;
	}
	return !any;
}

/* A field as a scalar or as a list of one. */
static void write_either(struct bf_jw *jw, const char *key, const char *text, bool list)
{
	bf_jw_key(jw, key);
	if (list)
		bf_jw_arr(jw);
	bf_jw_str(jw, text);
	if (list)
		bf_jw_end_arr(jw);
}

/* isbn: one or several, ten or thirteen digits, with words or hyphens. What was found by its ISBN
 * has one. */
static void write_isbn(struct bf_jw *jw, const struct request *r, const struct record *k,
	bool needed, struct dice *d)
{
	uint32_t shape = dice_below(d, 10);
	const char *hyphenated = spelling_hyphenated(k->isbn13, d->state, r->arena);

	if (shape == 0 && k->hit.slot && !needed)
		return;
	bf_jw_key(jw, "isbn");
	if (shape < 3) {
		bf_jw_str(jw, *k->isbn10 ? k->isbn10 : k->isbn13);
	} else if (shape == 3) {
		bf_jw_str(jw, bf_arena_printf(r->arena, "%s (pbk.)", hyphenated));
	} else if (shape == 4) {
		bf_jw_arr(jw);
		bf_jw_str(jw, bf_arena_printf(r->arena, "%s (hardcover : alk. paper)", k->isbn13));
		bf_jw_end_arr(jw);
	} else if (shape < 7) {
		bf_jw_arr(jw);
		if (*k->isbn10)
			bf_jw_str(jw, k->isbn10);
		bf_jw_str(jw, k->isbn13);
		bf_jw_end_arr(jw);
	} else {
		bf_jw_str(jw, shape == 7 ? hyphenated : k->isbn13);
	}
}

/* creator: mostly inverted, with dates sometimes, a list when there are several. */
static void write_creator(
	struct bf_jw *jw, const struct request *r, const struct record *k, struct dice *d)
{
	const char *names[6];
	size_t n = spelling_names(k->authors, r->arena, names, BF_COUNT(names));
	bool inverted = dice_chance(d, 0.75), list = n > 1 || dice_chance(d, 0.15);
	bool initials = dice_hash(0, "initials", k->hit.work, k->hit.slot) % 25 == 0;

	bf_jw_key(jw, "creator");
	if (list)
		bf_jw_arr(jw);
	for (size_t i = 0; i < n; i++) {
		const char *name = initials ? details_initials(names[i], r->arena) : names[i];

		if (inverted)
			name = spelling_inverted(name, r->arena);

		if (inverted && dice_chance(d, 0.12))
			name = bf_arena_printf(r->arena, "%s, 19%02u-", name, dice_below(d, 80));
		bf_jw_str(jw, name);
	}
	if (list)
		bf_jw_end_arr(jw);
}

/* Next ISBN of an isbn: query: what has ten or more of its characters, escaped or quoted or not. */
static bool next_isbn(const char **at, char ret[ISBN_TERM_MAX])
{
	size_t n = 0;

	for (const char *p = *at;; p++) {
		if (*p && strchr("0123456789Xx-", *p)) {
			if (n + 1 < ISBN_TERM_MAX)
				ret[n++] = *p;
			continue;
		}
		if (*p == '\\' || (*p && n < 10)) {
			n = *p == '\\' ? n : 0;
			continue;
		}
		ret[n] = '\0';
		*at = p;
		return n >= 10;
	}
}

/* A pallet: an item of a book donation, with other books' ISBNs and, after an isbn: query, with
 * those that were asked for, known or not. */
static void write_pallet(struct bf_jw *jw, const struct request *r, const char *isbns)
{
	const struct catalogue *c = &r->world->catalogue;
	size_t others = isbns ? PALLET_BOOKS : 5;
	char isbn[ISBN_TERM_MAX];

	write_open(jw, NULL, '{');
	write_str(jw, "identifier",
		r->hash % 2 ? "bwb_daily_pallets_2021-06-10" : "BWB20151104Xisbn");
	write_str(jw, "title", "BWB pallets");
	write_open(jw, "isbn", '[');
	for (size_t i = 0; i < others; i++)
		bf_jw_str(jw, c->works[(r->hash / 64 + i * 977) % c->n].isbn13);
	while (isbns && next_isbn(&isbns, isbn))
		bf_jw_str(jw, isbn);
	write_close(jw, ']');
	write_close(jw, '}');
}

/* Letters and digits of the title, as identifiers begin. */
static const char *slug(const char *title, struct bf_arena *a)
{
	char *out = bf_arena_alloc(a, 18);
	size_t n = 0;

	for (; *title && n < 16; title++)
		if ((*title >= 'a' && *title <= 'z') || (*title >= '0' && *title <= '9'))
			out[n++] = *title;
	return n ? out : "book";
}

/* A year as a number or as text, and a date that is exact only in looks. */
static void write_dates(
	struct bf_jw *jw, const struct request *r, const struct record *k, struct dice *d)
{
	if (wants(r, "date") && dice_chance(d, 0.8))
		write_str(jw, "date", bf_arena_printf(r->arena, "%d-01-01T00:00:00Z", k->year));
	if (!wants(r, "year"))
		return;
	bf_jw_key(jw, "year");
	if (dice_chance(d, 0.5))
		bf_jw_int(jw, k->year);
	else
		bf_jw_str(jw, bf_arena_printf(r->arena, "%d", k->year));
}

/* description: text or list, with mark-up; subject: list, or one text with semicolons. */
static void write_details(struct bf_jw *jw, const struct request *r, const struct record *k)
{
	const char *own[DETAILS_SUBJECTS], *joined = "";
	struct dice d;
	size_t n;

	details_dice(r, k, &d);
	n = details_subjects(k, &d, r->arena, own);
	if (wants(r, "description") && dice_chance(&d, 0.4)) {
		const char *text = details_synopsis(k, &d, r->arena);

		write_either(jw, "description", text, dice_chance(&d, 0.2));
	}
	if (!wants(r, "subject") || !n || dice_chance(&d, 0.4))
		return;
	if (dice_chance(&d, 0.5)) {
		write_open(jw, "subject", '[');
		for (size_t i = 0; i < n; i++)
			bf_jw_str(jw, own[i]);
		write_close(jw, ']');
		return;
	}
	for (size_t i = 0; i < n; i++)
		joined = bf_arena_printf(r->arena, "%s%s%s", joined, i ? ";" : "", own[i]);
	write_str(jw, "subject", joined);
}

/* One scanned book; scan tells several scans of one edition apart. */
static void write_doc(struct bf_jw *jw, const struct request *r, struct hit h, char scan,
	bool by_isbn, bool bad)
{
	struct record k;
	struct dice d;
	const char *title;

	world_record(r->world, h, r->arena, &k);
	request_dice(r, h, &d);
	title = write_full_title(&k, dice_chance(&d, 0.6), false, r->arena);
	write_open(jw, NULL, '{');
	write_str(jw, "identifier",
		bf_arena_printf(r->arena, "%s0000unse_%c%u%.1s", slug(k.title, r->arena),
			(char)('a' + h.slot), h.work % 10000, &scan));
	if (bad)
		write_title(jw, "title", title, true);
	else if (wants(r, "title"))
		write_either(jw, "title", title, dice_chance(&d, 0.08));
	if (!bad && wants(r, "creator"))
		write_creator(jw, r, &k, &d);
	if (wants(r, "isbn"))
		write_isbn(jw, r, &k, by_isbn, &d);
	write_dates(jw, r, &k, &d);
	if (wants(r, "publisher"))
		write_either(jw, "publisher",
			bf_arena_printf(r->arena, "New York : %s", k.publisher),
			dice_chance(&d, 0.1));
	if (wants(r, "language"))
		write_either(jw, "language",
			!strcmp(k.language, "eng") && dice_chance(&d, 0.3) ? "English" : k.language,
			dice_chance(&d, 0.2));
	if (wants(r, "mediatype"))
		write_str(jw, "mediatype", "texts");
	write_details(jw, r, &k);
	write_close(jw, '}');
}

/* What is held of the ISBNs of an isbn: query, each edition once; q from the first `isbn:` on. */
static size_t by_isbn(const struct request *r, const char *q, struct hit hits[HITS_MAX])
{
	char isbn[ISBN_TERM_MAX];
	size_t n = 0;

	while (n < HITS_MAX && next_isbn(&q, isbn)) {
		size_t i = 0;

		if (!request_isbn(r, isbn, &hits[n]))
			continue;
		while (i < n && (hits[i].work != hits[n].work || hits[i].slot != hits[n].slot))
			i++;
		n += i == n;
	}
	return n;
}

/* responseHeader, as Solr echoes it. */
static void write_header(struct bf_jw *jw, const struct request *r, const char *q)
{
	write_open(jw, "responseHeader", '{');
	write_int(jw, "status", 0);
	write_int(jw, "QTime", (int64_t)(r->hash % 90));
	write_open(jw, "params", '{');
	write_str(jw, "query", q);
	write_close(jw, '}');
	write_close(jw, '}');
}

/* The documents: a pallet on top now and then, then the books, some of them scanned twice. Returns
 * how many; at most rows. */
static size_t write_docs(struct bf_jw *jw, const struct request *r, const struct hit *hits,
	size_t n, size_t rows, const char *isbns)
{
	size_t docs = 0;
	bool asked_isbn = isbns != NULL;
	bool pallet = r->knobs->decoys && r->fault != FAULT_EMPTY &&
		r->hash % (asked_isbn ? SHARE_PALLETS_ISBN : SHARE_PALLETS) == 0;

	if (pallet && rows) {
		write_pallet(jw, r, isbns);
		docs++;
	}
	for (size_t i = 0; i < n && docs < rows; i++) {
		bool again = asked_isbn &&
			dice_hash(0, "scans", hits[i].work, hits[i].slot) % 6 == 0;

		write_doc(jw, r, hits[i], '\0', asked_isbn, request_is_bad(r, i, n));
		docs++;
		if (again && docs < rows) {
			write_doc(jw, r, hits[i], 'b', true, false);
			docs++;
		}
	}
	return docs;
}

/* The books that a query means, by ISBN or by title and creator; *ret_isbns: the query from its
 * first ISBN on, NULL when it has none. */
static size_t find(
	struct request *r, const char *q, struct hit hits[HITS_MAX], const char **ret_isbns)
{
	struct query query = { .title = lucene_term(r, q, "title:"),
		.author = lucene_term(r, q, "creator:") };

	*ret_isbns = *query.title ? NULL : strstr(q, "isbn:");
	return *ret_isbns ? by_isbn(r, *ret_isbns, hits) : request_results(r, &query, hits);
}

/* Every request below /archive_org. */
void archive_org_answer(struct request *r, struct reply *out)
{
	const char *q = request_param(r, "q"), *asked = request_param(r, "rows");
	size_t rows = *asked ? (size_t)strtoul(asked, NULL, 10) : 50, n, docs;
	struct hit *hits = bf_arena_alloc(r->arena, HITS_MAX * sizeof(*hits));
	struct bf_buf list;
	struct bf_jw jw;
	const char *isbns;

	if (strcmp(r->path, "/advancedsearch.php") || strcmp(r->method, "GET")) {
		errors_refuse(r, out, REFUSE_NOT_FOUND, NULL);
		return;
	}
	if (!request_admit(r, out, 1))
		return;
	if (strcmp(request_param(r, "output"), "json")) {
		out->status = 200;
		out->content_type = "text/html; charset=utf-8";
		bf_buf_adds(&out->body, "<!DOCTYPE html><title>Advanced Search</title>");
		return;
	}
	if (!*q) {
		errors_refuse(r, out, REFUSE_REQUEST, "[ERROR_INVALID_QUERY] query is empty");
		return;
	}
	n = find(r, q, hits, &isbns);
	bf_buf_init(&list, 4 << 20);
	bf_jw_init(&jw, &list);
	bf_jw_arr(&jw);
	docs = write_docs(&jw, r, hits, n, rows, isbns);
	bf_jw_end_arr(&jw);
	jw = reply_json(out, 200);
	write_open(&jw, NULL, '{');
	write_header(&jw, r, q);
	write_open(&jw, "response", '{');
	write_int(&jw, "numFound", (int64_t)(docs < n ? n : docs));
	write_int(&jw, "start", 0);
	bf_jw_key(&jw, "docs");
	bf_jw_raw(&jw, list.data, list.len);
	write_close(&jw, '}');
	write_close(&jw, '}');
	bf_buf_release(&list);
}
