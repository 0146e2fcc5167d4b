/*
 * google_books: /volumes of the Books API v1. Identifiers come in any order, hyphenated, as
 * ISBN-10 only or under the type OTHER; no `items` when there is no hit; without a key the
 * answer is always "quota".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "sandbox.h"

/* The text behind a keyword such as intitle:, with or without quotes; "" when it is not there. */
static const char *term(const struct request *r, const char *q, const char *keyword)
{
	const char *at = strstr(q, keyword), *end;

	if (!at)
		return "";
	at += strlen(keyword);
	if (*at == '"') {
		end = strchr(++at, '"');
		return bf_arena_strndup(r->arena, at, end ? (size_t)(end - at) : strlen(at));
	}
	return bf_arena_strndup(r->arena, at, strcspn(at, " +"));
}

/* {"type":...,"identifier":...} */
static void identifier(struct bf_jw *jw, const char *type, const char *value)
{
	write_open(jw, NULL, '{');
	write_str(jw, "type", type);
	write_str(jw, "identifier", value);
	write_close(jw, '}');
}

/* industryIdentifiers: the first edition always shows its ISBN, others may hide it. */
static void write_identifiers(
	struct bf_jw *jw, const struct request *r, const struct record *k, struct dice *d)
{
	uint32_t shape = dice_below(d, 20);
	const char *library =
		bf_arena_printf(r->arena, "UOM:39015%09u", (unsigned)dice_below(d, 1000000000));

	if (k->hit.slot && shape == 19)
		return;		/* none at all */
	write_open(jw, "industryIdentifiers", '[');
	if (k->hit.slot && shape >= 17) {
		identifier(jw, "OTHER", library);
	} else if (shape == 16) {
		identifier(jw, "OTHER", bf_arena_printf(r->arena, "ISBN:%s", k->isbn13));
	} else if (shape == 15) {
		identifier(jw, "ISSN", "1234-5679");
		identifier(jw, "ISBN_13", spelling_hyphenated(k->isbn13, r->hash, r->arena));
	} else if (shape >= 12 && *k->isbn10) {
		identifier(jw, "ISBN_10", k->isbn10);
	} else if (shape >= 10) {
		identifier(jw, "OTHER", library);
		identifier(jw, "ISBN_13", k->isbn13);
	} else if (shape >= 5 || !*k->isbn10) {
		identifier(jw, "ISBN_13", k->isbn13);
		if (*k->isbn10)
			identifier(jw, "ISBN_10", k->isbn10);
	} else {
		identifier(jw, "ISBN_10", k->isbn10);
		identifier(jw, "ISBN_13", k->isbn13);
	}
	write_close(jw, ']');
}

/* ISO 639-1 of the catalogue's codes. */
static const char *language(const char *code)
{
	static const char *const known[][2] = { { "eng", "en" }, { "ger", "de" }, { "fre", "fr" },
		{ "rus", "ru" }, { "spa", "es" }, { "jpn", "ja" }, { "ita", "it" }, { "por", "pt" },
		{ "zho", "zh" }, { "nld", "nl" }, { "tur", "tr" } };
	for (size_t i = 0; i < BF_COUNT(known); i++)
		if (!strcmp(known[i][0], code))
			return known[i][1];
	return "un";
}

/* A year, a month or a day; sometimes a year with an asterisk. */
static const char *date(const struct record *k, struct dice *d, struct bf_arena *a)
{
	uint32_t shape = dice_below(d, 12);

	if (shape == 0)
		return bf_arena_printf(a, "%d*", k->year);
	if (shape < 4)
		return bf_arena_printf(a, "%d", k->year);
	if (shape < 6)
		return bf_arena_printf(a, "%d-%02d", k->year, k->month);
	return bf_arena_printf(a, "%d-%02d-%02d", k->year, k->month, k->day);
}

/* volumeInfo.authors, which is absent from a malformed item and from the odd good one. */
static void write_authors(struct bf_jw *jw, const struct request *r, const struct record *k)
{
	const char *names[12];
	size_t n = spelling_names(k->authors, r->arena, names, BF_COUNT(names));

	write_open(jw, "authors", '[');
	for (size_t i = 0; i < n; i++)
		bf_jw_str(jw, names[i]);
	write_close(jw, ']');
}

/* The publisher as this catalogue has it. */
static const char *publisher_of(const struct request *r, const struct record *k)
{
	struct dice d;

	dice_init(&d, r->knobs->seed, "google publisher", k->hit.work, k->hit.slot);
	return details_publisher(k, &d, r->arena);
}

/* Blurb, categories and covers. */
static void write_details(struct bf_jw *jw, const struct request *r, const struct record *k)
{
	const char *own[DETAILS_SUBJECTS];
	struct dice d;

	details_dice(r, k, &d);
	if (dice_chance(&d, 0.5))
		write_str(jw, "description", details_synopsis(k, &d, r->arena));
	if (details_subjects(k, &d, r->arena, own) && dice_chance(&d, 0.9)) {
		write_open(jw, "categories", '[');
		bf_jw_str(jw, own[0]);
		write_close(jw, ']');
	}
	if (dice_chance(&d, 0.2))
		return;
	write_open(jw, "imageLinks", '{');
	write_str(jw, "smallThumbnail", "http://books.google.com/books/content?id=0&zoom=5");
	write_str(jw, "thumbnail", "http://books.google.com/books/content?id=0&img=1&zoom=1");
	write_close(jw, '}');
}

/* One volume. */
static void write_item(struct bf_jw *jw, const struct request *r, struct hit h, bool bad)
{
	struct record k;
	struct dice d;
	uint64_t id = dice_hash(0, "volume", h.work, h.slot);

	world_record(r->world, h, r->arena, &k);
	request_dice(r, h, &d);
	write_open(jw, NULL, '{');
	write_str(jw, "kind", "books#volume");
	write_str(jw, "id",
		bf_arena_printf(r->arena, "%06x%05xAJ", (unsigned)(id & 0xffffff),
			(unsigned)(id >> 24 & 0xfffff)));
	write_open(jw, "volumeInfo", '{');
	write_title(jw, "title", write_full_title(&k, false, dice_chance(&d, 0.2), r->arena), bad);
	if (*k.subtitle)
		write_str(jw, "subtitle", k.subtitle);
	if (!bad)
		write_authors(jw, r, &k);
	if (dice_chance(&d, 0.85))
		write_str(jw, "publisher", publisher_of(r, &k));
	write_str(jw, "publishedDate", date(&k, &d, r->arena));
	write_identifiers(jw, r, &k, &d);
	write_int(jw, "pageCount", dice_chance(&d, 0.1) ? 0 : k.pages);
	write_str(jw, "printType", "BOOK");
	write_details(jw, r, &k);
	write_str(jw, "language",
		dice_chance(&d, 0.03) && h.slot < SLOT_DECOY ? "un" : language(k.language));
	write_close(jw, '}');
	write_close(jw, '}');
}

/* Every request below /google_books. */
void google_books_answer(struct request *r, struct reply *out)
{
	const char *key = request_param(r, "key"), *q = request_param(r, "q"),
		   *isbn = term(r, q, "isbn:");
	struct query query = { .title = term(r, q, "intitle:"), .author = term(r, q, "inauthor:") };
	unsigned long max = strtoul(request_param(r, "maxResults"), NULL, 10);
	struct hit hits[RESULTS_MAX];
	size_t n;
	struct bf_jw jw;

	if (strcmp(r->path, "/volumes") || strcmp(r->method, "GET")) {
		errors_refuse(r, out, REFUSE_NOT_FOUND, NULL);
		return;
	}
	if (!*key || strstr(key, "bad")) {
		errors_refuse(r, out, *key ? REFUSE_KEY_BAD : REFUSE_KEY_MISSING, NULL);
		return;
	}
	if (!*q || max > 40) {
		errors_refuse(r, out, REFUSE_REQUEST,
			*q ? "Invalid value '41'. Values must be within the range: [0, 40]"
			   : "Required parameter: q");
		return;
	}
	if (!request_admit(r, out, 1))
		return;
	if (!*query.title && !*query.author && !*isbn)
		query = (struct query){ .title = q, .author = "", .mixed = true };
	n = *isbn ? request_isbn(r, isbn, &hits[0]) : request_results(r, &query, hits);
	if (n > (max ? max : 10))
		n = max ? max : 10;
	jw = reply_json(out, 200);
	write_open(&jw, NULL, '{');
	write_str(&jw, "kind", "books#volumes");
	write_int(&jw, "totalItems", n ? (int64_t)(n + r->hash % 400) : 0);
	if (n) {
		write_open(&jw, "items", '[');
		for (size_t i = 0; i < n; i++)
			write_item(&jw, r, hits[i], request_is_bad(r, i, n));
		write_close(&jw, ']');
	}
	write_close(&jw, '}');
}
