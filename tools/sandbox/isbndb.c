/*
 * isbndb: /books/{query}, /search/books, /book/{isbn}, POST /books and /key of ISBNdb v2, with
 * the liberties its records take: names inverted or marked, lists as objects, pages as [], dates
 * in any shape.
 */
#include <stdlib.h>
#include <string.h>
#include "sandbox.h"

#define MAX_QUERY	 150
#define MAX_BULK	 1000
#define UNLIMITED_PLAN	 10000000
#define SHARE_NUMBERED	 30	/* one list in so many is an object with numeric keys */

/* "date_published" in one of the shapes that occur. */
static void write_date(struct bf_jw *jw, const struct record *k, struct dice *d, struct bf_arena *a)
{
	bf_jw_key(jw, "date_published");
	switch (dice_below(d, 8)) {
	case 0:
		bf_jw_int(jw, k->year);
		return;
	case 1:
		bf_jw_str(jw, bf_arena_printf(a, "%d", k->year));
		return;
	case 2:
		bf_jw_str(jw, bf_arena_printf(a, "%d-%02d", k->year, k->month));
		return;
	case 3:
		bf_jw_str(jw,
			bf_arena_printf(a, "%d-%02d-%02dt00:00:01z", k->year, k->month, k->day));
		return;
	case 4:
		bf_jw_str(jw, bf_arena_printf(a, "%s %d", bf_month_name(k->month), k->year));
		return;
	}
	bf_jw_str(jw, bf_arena_printf(a, "%d-%02d-%02d", k->year, k->month, k->day));
}

/* "pages": a number, a numeric string, or the empty array that PHP makes of nothing. */
static void write_pages(
	struct bf_jw *jw, const struct record *k, struct dice *d, struct bf_arena *a)
{
	uint32_t shape = dice_below(d, 10);

	bf_jw_key(jw, "pages");
	if (shape == 0) {
		write_open(jw, NULL, '[');
		write_close(jw, ']');
	} else if (shape < 3) {
		bf_jw_str(jw, bf_arena_printf(a, "%d", k->pages));
	} else {
		bf_jw_int(jw, k->pages);
	}
}

/* "authors": names either way round, a list or an object with numeric keys. */
static void write_authors(
	struct bf_jw *jw, const struct record *k, struct dice *d, struct bf_arena *a, bool bad)
{
	const char *names[12];
	size_t n = spelling_names(k->authors, a, names, BF_COUNT(names));
	bool numbered = dice_chance(d, 0.04), inverted = dice_chance(d, 0.3);

	if (bad) {
		write_str(jw, "authors", NULL);
		return;
	}
	write_open(jw, "authors", numbered ? '{' : '[');
	for (size_t i = 0; i < n; i++) {
		const char *name = inverted ? spelling_inverted(names[i], a) : names[i];

		if (dice_chance(d, 0.03))
			name = bf_arena_printf(a, "%s ~autofilled~", name);
		if (dice_chance(d, 0.1))
			name = spelling_entities(name, a);
		if (numbered)
			bf_jw_key(jw, bf_arena_printf(a, "%zu", i));
		bf_jw_str(jw, name);
	}
	write_close(jw, numbered ? '}' : ']');
}

/* isbn13, isbn10 and the deprecated isbn: one of them at least. */
static void write_isbns(struct bf_jw *jw, const struct record *k, struct dice *d)
{
	bool only10 = *k->isbn10 && dice_chance(d, 0.12);

	if (only10) {
		write_str(jw, "isbn", k->isbn10);
		return;
	}
	write_str(jw, "isbn13", k->isbn13);
	if (dice_chance(d, 0.8))
		write_str(jw, "isbn10", *k->isbn10 ? k->isbn10 : NULL);
	write_str(jw, "isbn", dice_chance(d, 0.7) || !*k->isbn10 ? k->isbn13 : k->isbn10);
}

/* The work's other editions that this provider knows. */
static void write_other_isbns(struct bf_jw *jw, const struct request *r, struct hit of)
{
	struct hit h = { .work = of.work };
	struct record k;

	write_open(jw, "other_isbns", '[');
	for (unsigned i = 0; of.slot < SLOT_DECOY && i < world_editions(r->world, of.work); i++) {
		h.slot = (uint8_t)i;
		if (h.slot == of.slot || !world_holds_edition(r->world, r->provider, h))
			continue;
		world_record(r->world, h, r->arena, &k);
		write_open(jw, NULL, '{');
		write_str(jw, "isbn", k.isbn13);
		write_str(jw, "binding", k.binding);
		write_close(jw, '}');
	}
	write_close(jw, ']');
}

/* `related`: type of edition to ISBN, or the empty array that PHP makes of nothing. */
static void write_related(struct bf_jw *jw, const struct request *r, const struct record *of)
{
	struct hit h = { .work = of->hit.work };
	struct record k;

	for (unsigned i = 0; i < world_editions(r->world, h.work); i++) {
		h.slot = (uint8_t)i;
		if (h.slot == of->hit.slot || !world_holds_edition(r->world, r->provider, h))
			continue;
		world_record(r->world, h, r->arena, &k);
		if (strcmp(k.binding, "Kindle Edition"))
			continue;
		write_open(jw, "related", '{');
		write_str(jw, "epub", k.isbn13);
		write_close(jw, '}');
		return;
	}
	write_open(jw, "related", '[');
	write_close(jw, ']');
}

/* Subjects among shop shelves; a list, or the object with numeric keys. */
static void write_subjects(
	struct bf_jw *jw, const struct record *k, struct dice *d, struct bf_arena *a)
{
	const char *own[DETAILS_SUBJECTS];
	size_t n = details_subjects(k, d, a, own);
	bool numbered = dice_chance(d, 0.04);
	size_t at = 0;

	write_open(jw, "subjects", numbered ? '{' : '[');
	for (size_t i = 0; i < n + 2; i++) {
		const char *text = i == 0 ? "Subjects" : i <= n ? own[i - 1] : "Self Service";

		if (i == n + 1 && dice_chance(d, 0.5))
			continue;
		if (numbered)
			bf_jw_key(jw, bf_arena_printf(a, "%zu", at++));
		bf_jw_str(jw, dice_chance(d, 0.1) ? spelling_entities(text, a) : text);
	}
	write_close(jw, numbered ? '}' : ']');
}

/* "publisher" as this catalogue has it; empty when it does not know. */
static void write_publisher(
	struct bf_jw *jw, const struct request *r, const struct record *k, bool known)
{
	struct dice d;

	dice_init(&d, r->knobs->seed, "isbndb publisher", k->hit.work, k->hit.slot);
	write_str(jw, "publisher", known ? details_publisher(k, &d, r->arena) : "");
}

/* What stands in a record beside the book itself: blurb, cover, shelves, price, size. */
static void write_details(struct bf_jw *jw, const struct request *r, const struct record *k)
{
	static const char *const synopsis_keys[] = { "synopsis", "synopsis", "synopsis", "overview",
		"synopsys" };
	const char *cover;
	struct dice d;

	details_dice(r, k, &d);
	if (dice_chance(&d, 0.6))
		write_str(jw, dice_pick(&d, synopsis_keys, BF_COUNT(synopsis_keys)),
			details_synopsis(k, &d, r->arena));
	cover = details_cover(k, &d, r->arena);
	if (cover)
		write_str(jw, "image", cover);
	write_subjects(jw, k, &d, r->arena);
	if (dice_chance(&d, 0.3))
		write_str(jw, "edition", k->hit.slot ? "Reprint" : "1");
	bf_jw_key(jw, "msrp");
	if (dice_chance(&d, 0.5))
		bf_jw_str(jw, dice_chance(&d, 0.5) ? "0.00" : "24.99");
	else
		bf_jw_dbl(jw, 9.99, 2);
	if (dice_chance(&d, 0.2))
		write_str(jw, "dimensions", "Height: 9.2 Inches, Width: 6.1 Inches");
	if (dice_chance(&d, 0.2)) {
		write_open(jw, "dimensions_structured", '[');
		write_close(jw, ']');
	}
	if (dice_chance(&d, 0.3))
		write_str(jw, "dewey_decimal", "813.6");
	if (k->hit.slot < SLOT_DECOY && dice_chance(&d, 0.2))
		write_related(jw, r, k);
}

/* A language in one of the spellings that occur. */
static const char *language(const char *code, struct dice *d)
{
	static const struct { const char *code, *spelt[4]; } known[] = {
		{ "eng", { "en", "eng", "en_US", "English" } },
		{ "ger", { "de", "ger", "ger German", "de" } },
		{ "fre", { "fr", "fre", "fr_FR", "French" } },
		{ "rus", { "ru", "rus", "ru", "Russian" } },
		{ "spa", { "es", "spa", "es_ES", "Spanish" } }
	};
	uint32_t i = dice_below(d, 4);

	for (size_t k = 0; k < BF_COUNT(known); k++)
		if (!strcmp(known[k].code, code))
			return known[k].spelt[i];
	return code;
}

/* One book. */
static void write_book(struct bf_jw *jw, const struct request *r, struct hit h, bool bad)
{
	struct record k;
	struct dice d;
	const char *title;

	world_record(r->world, h, r->arena, &k);
	request_dice(r, h, &d);
	title = write_full_title(&k, dice_chance(&d, 0.5), dice_chance(&d, 0.5), r->arena);
	if (dice_chance(&d, 0.06))
		title = spelling_entities(title, r->arena);
	write_open(jw, NULL, '{');
	write_title(jw, "title", title, bad);
	write_str(jw, "title_long", write_full_title(&k, true, true, r->arena));
	write_isbns(jw, &k, &d);
	write_str(jw, "binding", k.binding);
	write_publisher(jw, r, &k, dice_chance(&d, 0.9));
	write_str(jw, "language",
		dice_chance(&d, 0.9) || h.slot >= SLOT_DECOY ? language(k.language, &d) : "");
	write_date(jw, &k, &d, r->arena);
	write_pages(jw, &k, &d, r->arena);
	write_authors(jw, &k, &d, r->arena, bad);
	write_details(jw, r, &k);
	if (dice_chance(&d, 0.3))
		write_other_isbns(jw, r, h);
	write_close(jw, '}');
}

/* A list of books under a name; now and then the object that an array with holes becomes. */
static void write_books(struct bf_jw *jw, const struct request *r, const char *name,
	const struct hit *hits, size_t n)
{
	bool numbered = n && r->hash % SHARE_NUMBERED == 0;

	write_open(jw, name, numbered ? '{' : '[');
	for (size_t i = 0; i < n; i++) {
		if (numbered)
			bf_jw_key(jw, bf_arena_printf(r->arena, "%zu", 2 * i));
		write_book(jw, r, hits[i], request_is_bad(r, i, n));
	}
	write_close(jw, numbered ? '}' : ']');
}

/* GET /books/{query} and GET /search/books. */
static void search(struct request *r, struct reply *out, const char *text, bool path_query)
{
	struct query query = { .title = text, .author = request_param(r, "author") };
	const char *column = request_param(r, "column"), *isbn = request_param(r, "isbn13");
	struct hit hits[RESULTS_MAX];
	size_t n = 0, size = (size_t)strtoul(request_param(r, "pageSize"), NULL, 10);
	struct bf_jw jw;

	if (strlen(text) > MAX_QUERY || strlen(query.author) > MAX_QUERY) {
		errors_refuse(r, out, REFUSE_REQUEST, "The query is too long");
		return;
	}
	if (!*isbn)
		isbn = request_param(r, "isbn");
	query.mixed = path_query && !*column;
	if (!strcmp(column, "author"))
		query = (struct query){ .title = "", .author = text };
	if (*isbn)
		n = request_isbn(r, isbn, &hits[0]);
	else if (strtoul(request_param(r, "page"), NULL, 10) < 2)
		n = request_results(r, &query, hits);
	if (size && n > size)
		n = size;
	jw = reply_json(out, 200);
	write_open(&jw, NULL, '{');
	write_int(&jw, "total", (int64_t)n);
	if (path_query && r->hash % 4 == 0) {	/* documented so, seldom seen */
		write_int(&jw, "requested", (int64_t)n);
		write_books(&jw, r, "data", hits, n);
	} else {
		write_books(&jw, r, path_query ? "books" : "data", hits, n);
	}
	write_close(&jw, '}');
}

/* GET /book/{isbn} */
static void book(struct request *r, struct reply *out, const char *isbn)
{
	struct hit h;
	struct bf_jw jw;

	if (!request_isbn(r, isbn, &h)) {
		errors_refuse(r, out, REFUSE_NOT_FOUND, NULL);
		return;
	}
	jw = reply_json(out, 200);
	write_open(&jw, NULL, '{');
	bf_jw_key(&jw, "book");
	write_book(&jw, r, h, request_is_bad(r, 0, 1));
	write_close(&jw, '}');
}

/* The ISBNs of a bulk body, JSON or form; returns how many, -1 when the body is neither. One more
 * than are allowed says that there are too many. */
static int bulk_isbns(const struct request *r, const char *ret[MAX_BULK + 1])
{
	struct bf_error err;
	struct bf_json *doc;
	struct bf_jval list;
	int n = 0;

	if (!strncmp(request_header(r, "Content-Type"), "application/x-www-form-urlencoded", 33)) {
		char *text = evhttp_uridecode(r->body, 1, NULL);
		const char *p = text && !strncmp(text, "isbns=", 6) ? text + 6 : "";

		for (size_t len; *p && n <= MAX_BULK; p += len + (p[len] != '\0')) {
			len = strcspn(p, ", ");
			if (len)
				ret[n++] = bf_arena_strndup(r->arena, p, len);
		}
		free(text);
		return n ? n : -1;
	}
	doc = bf_json_parse(r->body, r->body_len, &bf_json_limits_default, false, &err);
	if (!doc)
		return -1;
	list = bf_json_get(bf_json_root(doc), "isbns");
	for (struct bf_jval v = bf_json_first(list); bf_json_type(v) && n <= MAX_BULK;
		v = bf_json_next(v)) {
		const char *isbn = bf_json_str(v, r->arena);

		if (isbn)
			ret[n++] = isbn;
	}
	bf_json_free(doc);
	return n ? n : -1;
}

/* POST /books: a unit for each ISBN, found or not; the order of the answer is not that of the
 * question. */
static void bulk(struct request *r, struct reply *out)
{
	const char **isbns = bf_arena_alloc(r->arena, (MAX_BULK + 1) * sizeof(*isbns));
	struct hit *hits = bf_arena_alloc(r->arena, MAX_BULK * sizeof(*hits));
	int asked = bulk_isbns(r, isbns);
	size_t n = 0;
	struct bf_jw jw;

	if (asked < 0 || asked > MAX_BULK) {
		errors_refuse(r, out, REFUSE_REQUEST,
			asked < 0 ? "No ISBNs given" : "At most 1000 ISBNs per request");
		return;
	}
	if (!request_admit(r, out, asked))
		return;
	for (int i = asked - 1; i >= 0; i--)
		n += request_isbn(r, isbns[i], &hits[n]);
	jw = reply_json(out, 200);
	write_open(&jw, NULL, '{');
	write_int(&jw, "total", (int64_t)n);
	write_int(&jw, "requested", asked);
	write_books(&jw, r, "data", hits, n);
	write_close(&jw, '}');
}

/* GET /key: free of units. */
static void key(struct request *r, struct reply *out)
{
	int64_t total = r->knobs->provider[BF_ISBNDB].daily_quota, spent = request_units(r);
	struct bf_jw jw;

	if (!total)
		total = UNLIMITED_PLAN;
	jw = reply_json(out, 200);
	write_open(&jw, NULL, '{');
	write_str(&jw, "api_host", "https://api.premium.isbndb.com");
	write_open(&jw, "plan_limit", '{');
	write_int(&jw, "total", total);
	write_int(&jw, "spent", spent);
	write_int(&jw, "left", total > spent ? total - spent : 0);
	write_close(&jw, '}');
	write_close(&jw, '}');
}

/* Every request below /isbndb. */
void isbndb_answer(struct request *r, struct reply *out)
{
	const char *auth = request_header(r, "Authorization");
	bool get = !strcmp(r->method, "GET");

	if (!*auth || strstr(auth, "bad") || strchr(auth, ' ')) { /* a scheme word is wrong here */
		errors_refuse(r, out, REFUSE_KEY_BAD, NULL);
	} else if (!strcmp(r->path, "/key") && get) {
		if (request_admit(r, out, 0))
			key(r, out);
	} else if (!strcmp(r->path, "/books") && !strcmp(r->method, "POST")) {
		bulk(r, out);
	} else if (!strncmp(r->path, "/books/", 7) && r->path[7] && get) {
		if (request_admit(r, out, 1))
			search(r, out, r->path + 7, true);
	} else if (!strcmp(r->path, "/search/books") && get) {
		if (request_admit(r, out, 1))
			search(r, out, request_param(r, "text"), false);
	} else if (!strncmp(r->path, "/book/", 6) && get) {
		if (request_admit(r, out, 1))
			book(r, out, r->path + 6);
	} else {
		errors_refuse(r, out, REFUSE_NOT_FOUND, NULL);
	}
}
