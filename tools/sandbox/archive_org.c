/*
 * archive_org: /advancedsearch.php of archive.org. Fields are scalars in one document and lists
 * in the next, ISBNs carry words and hyphens, and pallets of donated books match what they
 * should not.
 */
#include <stdlib.h>
#include <string.h>
#include "sandbox.h"

#define SHARE_PALLETS 8		/* one answer in so many has one */

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

/* isbn: one or several, ten or thirteen digits, with words or hyphens. */
static void write_isbn(
	struct bf_jw *jw, const struct request *r, const struct record *k, struct dice *d)
{
	uint32_t shape = dice_below(d, 10);
	const char *hyphenated = spelling_hyphenated(k->isbn13, d->state, r->arena);

	if (shape == 0 && k->hit.slot)
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

	bf_jw_key(jw, "creator");
	if (list)
		bf_jw_arr(jw);
	for (size_t i = 0; i < n; i++) {
		const char *name = inverted ? spelling_inverted(names[i], r->arena) : names[i];

		if (inverted && dice_chance(d, 0.12))
			name = bf_arena_printf(r->arena, "%s, 19%02u-", name, dice_below(d, 80));
		bf_jw_str(jw, name);
	}
	if (list)
		bf_jw_end_arr(jw);
}

/* A pallet: an item of a book donation, with other books' ISBNs and perhaps the wanted one's. */
static void write_pallet(struct bf_jw *jw, const struct request *r)
{
	struct record k;

	write_open(jw, NULL, '{');
	write_str(jw, "identifier",
		r->hash % 2 ? "bwb_daily_pallets_2021-06-10" : "BWB20151104Xisbn");
	write_str(jw, "title", "BWB pallets");
	write_open(jw, "isbn", '[');
	for (uint64_t i = 0; i < 5; i++) {
		struct hit h = { .work = (uint32_t)((r->hash / 64 + i * 977) %
					 r->world->catalogue.n) };

		world_record(r->world, h, r->arena, &k);
		bf_jw_str(jw, k.isbn13);
	}
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

/* One scanned book. */
static void write_doc(struct bf_jw *jw, const struct request *r, struct hit h, bool bad)
{
	struct record k;
	struct dice d;
	const char *title;

	world_record(r->world, h, r->arena, &k);
	request_dice(r, h, &d);
	title = write_full_title(&k, dice_chance(&d, 0.6), false, r->arena);
	write_open(jw, NULL, '{');
	write_str(jw, "identifier",
		bf_arena_printf(r->arena, "%s0000unse_%c%u", slug(k.title, r->arena),
			(char)('a' + h.slot), h.work % 10000));
	if (bad)
		write_title(jw, "title", title, true);
	else if (wants(r, "title"))
		write_either(jw, "title", title, dice_chance(&d, 0.08));
	if (!bad && wants(r, "creator"))
		write_creator(jw, r, &k, &d);
	if (wants(r, "isbn"))
		write_isbn(jw, r, &k, &d);
	if (wants(r, "date") && dice_chance(&d, 0.8))
		write_str(jw, "date", bf_arena_printf(r->arena, "%d-01-01T00:00:00Z", k.year));
	if (wants(r, "year")) {
		bf_jw_key(jw, "year");
		if (dice_chance(&d, 0.5))
			bf_jw_int(jw, k.year);
		else
			bf_jw_str(jw, bf_arena_printf(r->arena, "%d", k.year));
	}
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
	write_close(jw, '}');
}

/* The first ISBN of an isbn: query that is held; several stand in brackets, joined by OR. */
static size_t by_isbn(const struct request *r, const char *terms, struct hit hits[RESULTS_MAX])
{
	size_t n = 0;

	for (size_t len; *terms && n < RESULTS_MAX; terms += len + (terms[len] != '\0')) {
		len = strcspn(terms, " \"");
		if (len >= 10 && request_isbn(r, bf_arena_strndup(r->arena, terms, len), &hits[n]))
			n++;
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

/* Every request below /archive_org. */
void archive_org_answer(struct request *r, struct reply *out)
{
	const char *q = request_param(r, "q"), *isbn = lucene_term(r, q, "isbn:");
	struct query query = { .title = lucene_term(r, q, "title:"),
		.author = lucene_term(r, q, "creator:") };
	size_t rows = (size_t)strtoul(request_param(r, "rows"), NULL, 10), n;
	struct hit hits[RESULTS_MAX];
	struct bf_jw jw;
	bool pallet;

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
	if (*isbn && !*query.title)
		n = by_isbn(r,
			strchr(q, '(') ? isbn
				       : bf_arena_strndup(r->arena, isbn, strcspn(isbn, " ")),
			hits);
	else
		n = request_results(r, &query, hits);
	if (n > (rows ? rows : 50))
		n = rows ? rows : 50;
	pallet = r->knobs->decoys && r->fault != FAULT_EMPTY && r->hash % SHARE_PALLETS == 0;
	jw = reply_json(out, 200);
	write_open(&jw, NULL, '{');
	write_header(&jw, r, q);
	write_open(&jw, "response", '{');
	write_int(&jw, "numFound", (int64_t)(n + pallet));
	write_int(&jw, "start", 0);
	write_open(&jw, "docs", '[');
	if (pallet)
		write_pallet(&jw, r);
	for (size_t i = 0; i < n; i++)
		write_doc(&jw, r, hits[i], request_is_bad(r, i, n));
	write_close(&jw, ']');
	write_close(&jw, '}');
	write_close(&jw, '}');
}
