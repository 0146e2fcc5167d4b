/*
 * open_library: /search.json with editions, /api/books, and /isbn/X.json, which redirects. A
 * document is a work: its own `isbn` mixes all editions and languages, only `editions` says
 * which is which. Fields that were not asked for do not come.
 */
#include <stdlib.h>
#include <string.h>
#include "sandbox.h"

/* One edition is in so many words in the list; translations and large print are editions here. */
static bool is_edition(unsigned slot)
{
	return slot < SLOT_DECOY || slot == SLOT_DECOY + DECOY_TRANSLATION ||
		slot == SLOT_DECOY + DECOY_LARGE_PRINT;
}

/* Was the field asked for? Without `fields` all but isbn and editions are. */
static bool wants(const struct request *r, const char *field)
{
	const char *fields = request_param(r, "fields");
	size_t len = strlen(field);

	if (!*fields)
		return strcmp(field, "isbn") && strcmp(field, "editions");
	for (const char *p = fields; *p; p += strcspn(p, ","), p += *p == ',') {
		if (*p == '*' && p[1] != 'x')
			return strcmp(field, "editions");
		if (!strncmp(p, field, len) && (p[len] == ',' || !p[len] || p[len] == '.'))
			return true;
	}
	return false;
}

/* A list with one text. */
static void write_one(struct bf_jw *jw, const char *key, const char *text)
{
	write_open(jw, key, '[');
	bf_jw_str(jw, text);
	write_close(jw, ']');
}

/* The edition's ISBNs, ten and thirteen digits in any order. */
static void write_isbns(
	struct bf_jw *jw, const struct record *k, struct dice *d, struct bf_arena *a)
{
	uint32_t shape = dice_below(d, 8);

	if (*k->isbn10 && shape < 3)
		bf_jw_str(jw, k->isbn10);
	if (!*k->isbn10 || shape)
		bf_jw_str(jw, shape == 7 ? spelling_hyphenated(k->isbn13, d->state, a) : k->isbn13);
}

/* A publication date as somebody typed it. */
static const char *date(const struct record *k, struct dice *d, struct bf_arena *a)
{
	switch (dice_below(d, 5)) {
	case 0:
		return bf_arena_printf(a, "%s %d, %d", bf_month_name(k->month), k->day, k->year);
	case 1:
		return bf_arena_printf(
			a, "%.3s %02d, %d", bf_month_name(k->month), k->day, k->year);
	case 2:
		return bf_arena_printf(a, "c%d", k->year);
	}
	return bf_arena_printf(a, "%d", k->year);
}

/* An element of editions.docs. */
static void write_edition(struct bf_jw *jw, const struct request *r, struct hit h)
{
	struct record k;
	struct dice d;

	world_record(r->world, h, r->arena, &k);
	request_dice(r, h, &d);
	write_open(jw, NULL, '{');
	write_str(
		jw, "key", bf_arena_printf(r->arena, "/books/OL%uM", h.work * SLOTS + h.slot + 1));
	write_str(jw, "title", write_full_title(&k, false, dice_chance(&d, 0.2), r->arena));
	if (*k.subtitle && dice_chance(&d, 0.7))
		write_str(jw, "subtitle", k.subtitle);
	write_open(jw, "isbn", '[');
	write_isbns(jw, &k, &d, r->arena);
	write_close(jw, ']');
	if (dice_chance(&d, 0.9) || h.slot >= SLOT_DECOY)
		write_one(jw, "language", k.language);
	write_one(jw, "publish_date", date(&k, &d, r->arena));
	write_one(jw, "publisher", k.publisher);
	write_close(jw, '}');
}

/* author_name with author_key beside it; an extra transliteration now and then. */
static void write_authors(
	struct bf_jw *jw, const struct request *r, const struct record *k, struct dice *d)
{
	const char *names[12];
	size_t n = spelling_names(k->authors, r->arena, names, BF_COUNT(names));

	write_open(jw, "author_name", '[');
	for (size_t i = 0; i < n; i++)
		bf_jw_str(jw, names[i]);
	if (dice_chance(d, 0.05))
		bf_jw_str(jw, "Неизвестный автор");
	write_close(jw, ']');
	write_open(jw, "author_key", '[');
	for (size_t i = 0; i < n; i++)
		bf_jw_str(jw,
			bf_arena_printf(r->arena, "OL%uA",
				(unsigned)(dice_hash_bytes(0, names[i], strlen(names[i])) %
					9000000) +
					1));
	write_close(jw, ']');
}

/* All ISBNs of the group, in no useful order. */
static void write_work_isbns(
	struct bf_jw *jw, const struct request *r, const struct hit *hits, size_t n)
{
	struct record k;

	write_open(jw, "isbn", '[');
	for (size_t i = n; i-- > 0; ) {
		world_record(r->world, hits[i], r->arena, &k);
		bf_jw_str(jw, k.isbn13);
		if (*k.isbn10)
			bf_jw_str(jw, k.isbn10);
	}
	write_close(jw, ']');
}

/* A document: a work with the editions that were found of it. The first hit lends title and
 * names. */
static void write_doc(
	struct bf_jw *jw, const struct request *r, const struct hit *hits, size_t n, bool bad)
{
	struct hit lead = { .work = hits[0].work };
	struct record k;
	struct dice d;

	if (!is_edition(hits[0].slot))
		lead = hits[0];
	world_record(r->world, lead, r->arena, &k);
	request_dice(r, lead, &d);
	write_open(jw, NULL, '{');
	write_str(jw, "key",
		bf_arena_printf(r->arena, "/works/OL%uW", lead.work * SLOTS + lead.slot + 1));
	if (wants(r, "title"))
		write_title(jw, "title", k.title, bad);
	if (*k.subtitle && wants(r, "subtitle"))
		write_str(jw, "subtitle", k.subtitle);
	if (!bad && wants(r, "author_name"))
		write_authors(jw, r, &k, &d);
	if (wants(r, "first_publish_year") && dice_chance(&d, 0.95))
		write_int(jw, "first_publish_year", dice_chance(&d, 0.02) ? 190 : k.year);
	if (wants(r, "language"))
		write_one(jw, "language", k.language);
	if (wants(r, "cover_i"))
		write_int(jw, "cover_i",
			dice_chance(&d, 0.1) ? -1 : 100000 + (int64_t)dice_below(&d, 9000000));
	if (wants(r, "edition_count"))
		write_int(jw, "edition_count", (int64_t)n);
	if (wants(r, "publisher"))
		write_one(jw, "publisher", k.publisher);
	if (wants(r, "isbn"))
		write_work_isbns(jw, r, hits, n);
	if (wants(r, "editions")) {
		write_open(jw, "editions", '{');
		write_int(jw, "numFound", (int64_t)n);
		write_int(jw, "start", 0);
		bf_jw_key(jw, "numFoundExact");
		bf_jw_bool(jw, true);
		write_open(jw, "docs", '[');
		for (size_t i = 0; i < n; i++)
			write_edition(jw, r, hits[i]);
		write_close(jw, ']');
		write_close(jw, '}');
	}
	write_close(jw, '}');
}

/* How many of the hits from `at` on make one document; the editions of a work are brought
 * together first. */
static size_t group(struct hit *hits, size_t n, size_t at)
{
	size_t end = at + 1;

	if (!is_edition(hits[at].slot))
		return 1;
	for (size_t i = end; i < n; i++) {
		struct hit h = hits[i];

		if (h.work != hits[at].work || !is_edition(h.slot))
			continue;
		memmove(&hits[end + 1], &hits[end], (i - end) * sizeof(*hits));
		hits[end++] = h;
	}
	return end - at;
}

/* ISBN in `isbn=` or `q=isbn:(...)`: the first one only. */
static const char *wanted_isbn(const struct request *r)
{
	const char *q = request_param(r, "q");

	if (*request_param(r, "isbn"))
		return request_param(r, "isbn");
	return strncmp(q, "isbn:", 5) ? ""
				      : bf_arena_strndup(r->arena, q + 5 + (q[5] == '('),
						strcspn(q + 5 + (q[5] == '('), " )"));
}

/* GET /search.json */
static void search(struct request *r, struct reply *out)
{
	struct query query = { .title = request_param(r, "title"),
		.author = request_param(r, "author") };
	size_t limit = (size_t)strtoul(request_param(r, "limit"), NULL, 10), n, docs = 0, len;
	struct hit hits[RESULTS_MAX + 1];
	const char *isbn = wanted_isbn(r);
	struct bf_buf list;
	struct bf_jw jw;

	if (!*query.title && !*query.author && !*isbn) {
		query = (struct query){
			.title = request_param(r, "q"), .author = "", .mixed = true
		};
		if (strlen(query.title) < 3) {
			errors_refuse(r, out, REFUSE_REQUEST,
				"Query too short, must be at least 3 characters");
			return;
		}
	}
	n = *isbn ? request_isbn(r, isbn, &hits[0]) : request_results(r, &query, hits);
	bf_buf_init(&list, 1 << 20);
	bf_jw_init(&jw, &list);
	bf_jw_arr(&jw);
	for (size_t at = 0; at < n; at += len, docs++) {
		len = group(hits, n, at);
		if (!limit || docs < limit)
			write_doc(&jw, r, &hits[at], len, request_is_bad(r, at, n));
	}
	bf_jw_end_arr(&jw);
	jw = reply_json(out, 200);
	write_open(&jw, NULL, '{');
	write_int(&jw, "numFound", (int64_t)docs);
	write_int(&jw, "start", 0);
	bf_jw_key(&jw, "numFoundExact");
	bf_jw_bool(&jw, true);
	write_int(&jw, "num_found", (int64_t)docs);
	write_str(&jw, "q", "");
	bf_jw_key(&jw, "offset");
	bf_jw_null(&jw);
	bf_jw_key(&jw, "docs");
	bf_jw_raw(&jw, list.data, list.len);
	write_close(&jw, '}');
	bf_buf_release(&list);
}

/* One member of a list of people, publishers, subjects or places. */
static void write_named(struct bf_jw *jw, const char *name, const char *url)
{
	write_open(jw, NULL, '{');
	if (url)
		write_str(jw, "url", url);
	write_str(jw, "name", name);
	write_close(jw, '}');
}

/* Authors, natural order mostly; a forename may be an initial. */
static void write_people(
	struct bf_jw *jw, const struct request *r, const struct record *k, struct dice *d)
{
	bool initials = dice_chance(d, 0.04), inverted = dice_chance(d, 0.04);
	const char *names[12];
	size_t n = spelling_names(k->authors, r->arena, names, BF_COUNT(names));

	write_open(jw, "authors", '[');
	for (size_t i = 0; i < n; i++) {
		const char *name = inverted ? spelling_inverted(names[i], r->arena)
			: initials          ? details_initials(names[i], r->arena)
					    : names[i];

		write_named(jw, name,
			bf_arena_printf(r->arena, "https://openlibrary.org/authors/OL%uA",
				(unsigned)(dice_hash_bytes(0, names[i], strlen(names[i])) %
					9000000) +
					1));
	}
	write_close(jw, ']');
}

/* What the record is known as elsewhere. */
static void write_identifiers(
	struct bf_jw *jw, const struct request *r, const struct record *k, struct dice *d)
{
	uint64_t hash = dice_hash(0, "identifiers", k->hit.work, k->hit.slot);

	write_open(jw, "identifiers", '{');
	write_open(jw, "isbn_13", '[');
	bf_jw_str(jw, dice_chance(d, 0.1) ? spelling_hyphenated(k->isbn13, hash, r->arena)
					  : k->isbn13);
	write_close(jw, ']');
	if (*k->isbn10)
		write_one(jw, "isbn_10", k->isbn10);
	if (dice_chance(d, 0.5))
		write_one(jw, "goodreads",
			bf_arena_printf(r->arena, "%u", (unsigned)(hash % 60000000)));
	if (dice_chance(d, 0.3))
		write_one(jw, "librarything",
			bf_arena_printf(r->arena, "%u", (unsigned)(hash / 7 % 9000000)));
	if (dice_chance(d, 0.2))
		write_one(jw, "amazon",
			*k->isbn10 ? k->isbn10
				   : bf_arena_printf(r->arena, "B0%08X", (unsigned)hash));
	write_one(jw, "openlibrary",
		bf_arena_printf(r->arena, "OL%uM", k->hit.work * SLOTS + k->hit.slot + 1));
	write_close(jw, '}');
}

/* Three sizes of a cover, of either scheme. */
static void write_cover(
	struct bf_jw *jw, const struct request *r, const struct record *k, struct dice *d)
{
	static const char *const names[] = { "small", "medium", "large" };
	const char *scheme = dice_chance(d, 0.2) ? "http" : "https";

	write_open(jw, "cover", '{');
	for (size_t i = 0; i < BF_COUNT(names); i++)
		write_str(jw, names[i],
			bf_arena_printf(r->arena, "%s://covers.openlibrary.org/b/id/%u-%c.jpg",
				scheme, 1000 + k->hit.work * SLOTS + k->hit.slot, "SML"[i]));
	write_close(jw, '}');
}

/* Subjects with their pages, the place of publication, and shelf marks. */
static void write_details(
	struct bf_jw *jw, const struct request *r, const struct record *k, struct dice *d)
{
	const char *own[DETAILS_SUBJECTS];
	size_t n = dice_chance(d, 0.7) ? details_subjects(k, d, r->arena, own) : 0;

	if (n) {
		write_open(jw, "subjects", '[');
		for (size_t i = 0; i < n; i++)
			write_named(jw, own[i], "https://openlibrary.org/subjects/x");
		write_close(jw, ']');
	}
	if (dice_chance(d, 0.4)) {
		write_open(jw, "publish_places", '[');
		write_named(jw, "New York", NULL);
		write_close(jw, ']');
	}
	if (dice_chance(d, 0.3))
		write_str(jw, "by_statement", bf_arena_printf(r->arena, "%s.", k->authors));
	if (dice_chance(d, 0.2))
		write_str(jw, "notes", "Includes bibliographical references &amp; index.");
	if (dice_chance(d, 0.7))
		write_cover(jw, r, k, d);
}

/* One book of /api/books, jscmd=data; what is empty is left out. */
static void write_data(struct bf_jw *jw, const struct request *r, struct hit h)
{
	struct record k;
	struct dice d;

	world_record(r->world, h, r->arena, &k);
	details_dice(r, &k, &d);
	bf_jw_obj(jw);
	write_str(jw, "url",
		bf_arena_printf(r->arena, "https://openlibrary.org/books/OL%uM/x",
			h.work * SLOTS + h.slot + 1));
	write_str(
		jw, "key", bf_arena_printf(r->arena, "/books/OL%uM", h.work * SLOTS + h.slot + 1));
	write_title(jw, "title", write_full_title(&k, false, dice_chance(&d, 0.15), r->arena),
		r->fault == FAULT_ONE_BAD_ITEM);
	if (*k.subtitle && dice_chance(&d, 0.8))
		write_str(jw, "subtitle", k.subtitle);
	if (dice_chance(&d, 0.9))
		write_people(jw, r, &k, &d);
	write_open(jw, "publishers", '[');
	write_named(jw, details_publisher(&k, &d, r->arena), NULL);
	write_close(jw, ']');
	write_str(jw, "publish_date", date(&k, &d, r->arena));
	if (dice_chance(&d, 0.8))
		write_int(jw, "number_of_pages", k.pages);
	else
		write_str(jw, "pagination", bf_arena_printf(r->arena, "xii, %d p.", k.pages));
	write_identifiers(jw, r, &k, &d);
	write_details(jw, r, &k, &d);
	bf_jw_end_obj(jw);
}

/* GET /api/books: an object by the asker's own keys; unknown ISBNs are absent. */
static void api_books(struct request *r, struct reply *out)
{
	const char *p = request_param(r, "bibkeys");
	struct bf_jw jw;
	struct hit h;

	if (!*p) {
		errors_refuse(r, out, REFUSE_REQUEST, "Field required");
		return;
	}
	jw = reply_json(out, 200);
	if (strcmp(request_param(r, "format"), "json")) {
		out->content_type = "text/javascript";
		bf_buf_adds(&out->body, "var _OLBookInfo = {};");
		return;
	}
	bf_jw_obj(&jw);
	for (size_t len; *p; p += len + (p[len] == ',')) {
		const char *key;

		len = strcspn(p, ",");
		key = bf_arena_strndup(r->arena, p, len);
		if (strncasecmp(key, "ISBN:", 5) || !request_isbn(r, key + 5, &h))
			continue;
		bf_jw_key(&jw, key);
		write_data(&jw, r, h);
	}
	bf_jw_end_obj(&jw);
}

/* GET /isbn/X.json redirects to the edition; unknown ones are a page for people. */
static void isbn_redirect(struct request *r, struct reply *out)
{
	char *isbn = bf_arena_strndup(r->arena, r->path + 6, strcspn(r->path + 6, "."));
	struct hit h;

	if (!request_isbn(r, isbn, &h)) {
		errors_refuse(r, out, REFUSE_NOT_FOUND, NULL);
		return;
	}
	out->status = 302;
	out->content_type = "text/html";
	out->location = bf_arena_printf(
		r->arena, "%s/books/OL%uM.json", r->url, h.work * SLOTS + h.slot + 1);
}

/* GET /books/OL…M.json: the edition record. */
static void edition(struct request *r, struct reply *out)
{
	unsigned long number = strtoul(r->path + 9, NULL, 10);
	struct hit h = { .work = (uint32_t)(number - 1) / SLOTS,
		.slot = (uint8_t)((number - 1) % SLOTS) };
	struct record k;
	struct bf_jw jw;

	if (!number || number > UINT32_MAX || !world_work(r->world, h.work, r->arena) ||
	    !world_holds_edition(r->world, r->provider, h)) {
		errors_refuse(r, out, REFUSE_NOT_FOUND, NULL);
		return;
	}
	world_record(r->world, h, r->arena, &k);
	jw = reply_json(out, 200);
	write_open(&jw, NULL, '{');
	write_str(&jw, "key", bf_arena_printf(r->arena, "/books/OL%luM", number));
	write_title(&jw, "title", k.title, r->fault == FAULT_ONE_BAD_ITEM);
	write_one(&jw, "isbn_13", k.isbn13);
	write_one(&jw, "publishers", k.publisher);
	write_str(&jw, "publish_date", bf_arena_printf(r->arena, "%d", k.year));
	write_int(&jw, "number_of_pages", k.pages);
	write_close(&jw, '}');
}

/* Every request below /open_library. */
void open_library_answer(struct request *r, struct reply *out)
{
	bool get = !strcmp(r->method, "GET");

	if (get && !strcmp(r->path, "/search.json")) {
		if (request_admit(r, out, 1))
			search(r, out);
	} else if (get && !strcmp(r->path, "/api/books")) {
		if (request_admit(r, out, 1))
			api_books(r, out);
	} else if (get && !strncmp(r->path, "/isbn/", 6)) {
		if (request_admit(r, out, 1))
			isbn_redirect(r, out);
	} else if (get && !strncmp(r->path, "/books/OL", 9)) {
		if (request_admit(r, out, 1))
			edition(r, out);
	} else {
		errors_refuse(r, out, REFUSE_NOT_FOUND, NULL);
	}
}
