/*
 * look: what the catalogue has of a batch's books, whatever program wrote it: rows of older systems are
 * read as if they were ours. Decides nothing but which of several spellings of an author's name is the
 * one that was asked for.
 */
#include "call.h"
#include <stdlib.h>
#include <string.h>

#define ISBNS_MAX 200 /* of one book's family, both lengths */

/* ---- the question ---- */
/* An array with one item per text of a list, or the number of its look in place of it. */
#define EACH(p, v, n, list, write)                                 \
	do {                                                       \
		params_open(p);                                    \
		for (int i = 0; i < (n); i++)                      \
			for (size_t k = 0; k < (v)[i].list.n; k++) \
				write;                             \
		params_close(p);                                   \
	} while (0)

/* NULL for one that has none. */
static const char *isbn10_of(struct call *c, const char *isbn13)
{
	char isbn10[11];

	return isbn13 != NULL && strlen(isbn13) == 13 && bf_isbn10_from13(isbn13, isbn10)
		? bf_arena_strdup(c->arena, isbn10)
		: NULL;
}

/* An ISBN and its ISBN-10, each once. */
static void add_isbns(struct call *c, struct bf_texts *to, const char *isbn13)
{
	const char *isbn10 = isbn10_of(c, isbn13);

	if (isbn13 == NULL || strlen(isbn13) != 13 || to->n + 2 > ISBNS_MAX)
		return;
	for (size_t i = 0; i < to->n; i++)
		if (strcmp(to->v[i], isbn13) == 0)
			return;
	to->v[to->n++] = bf_arena_strdup(c->arena, isbn13);
	if (isbn10 != NULL)
		to->v[to->n++] = isbn10;
}

/* The ISBNs by which relatives are known: the book's own, and those of its family. */
static struct bf_texts isbns_of(struct call *c, const struct bf_look *look)
{
	struct bf_texts all = { .v = bf_arena_alloc(c->arena, ISBNS_MAX * sizeof(char *)) };

	add_isbns(c, &all, look->isbn13);
	for (size_t i = 0; i < look->family.n; i++)
		add_isbns(c, &all, look->family.v[i]);
	return all;
}

/* A list of texts in the call's memory. */
static struct bf_texts copy(struct call *c, const struct bf_texts *from)
{
	struct bf_texts to = { .n = from->n };

	to.v = bf_arena_alloc(c->arena, (from->n + 1) * sizeof(char *));
	for (size_t i = 0; i < from->n; i++)
		to.v[i] = bf_arena_strdup(c->arena, from->v[i]);
	return to;
}

static call_reader read_looked;

struct bf_op *bf_store_items_look(
	struct bf_store *s, const struct bf_look *v, int n, bf_store_look_done *done, void *ctx)
{
	struct call *c = call_new(s, read_looked, ctx);
	struct bf_look *kept = bf_arena_alloc(c->arena, ((size_t)n + 1) * sizeof(*kept));
	struct params none, p;

	c->tell.look = done;
	c->looks = kept;
	c->n = n;
	for (int i = 0; i < n; i++) {
		kept[i].author_names = copy(c, &v[i].author_names);
		kept[i].author_keys = copy(c, &v[i].author_keys);
		kept[i].family = isbns_of(c, &v[i]);
		kept[i].isbn13 = bf_arena_strdup(c->arena, v[i].isbn13);
	}
	params_init(&none);
	params_init(&p);
	TEXTS(&p, n, v[i].isbn13);
	TEXTS(&p, n, isbn10_of(c, v[i].isbn13));
	TEXTS(&p, n, v[i].title);
	EACH(&p, v, n, author_names, params_item_int(&p, i));
	EACH(&p, v, n, author_names, params_item_int(&p, (int64_t)k));
	EACH(&p, v, n, author_names, params_item_text(&p, v[i].author_names.v[k]));
	EACH(&p, v, n, author_names,
		params_item_text(&p, k < v[i].author_keys.n ? v[i].author_keys.v[k] : NULL));
	EACH(&p, kept, n, family, params_item_int(&p, i));
	EACH(&p, kept, n, family, params_item_text(&p, kept[i].family.v[k]));
	EACH(&p, v, n, work_keys, params_item_int(&p, i));
	EACH(&p, v, n, work_keys, params_item_text(&p, v[i].work_keys.v[k]));
	return call_pair(c, s->pool, &sql_look_lock, &none, &sql_look, &p);
}

/* ---- the answer ---- */
/* One line of it, and where it is read from. */
struct row {
	struct bf_arena *arena;
	struct bf_jval body;
};

static const char *text(const struct row *r, const char *key)
{
	return bf_json_str(bf_json_get(r->body, key), r->arena);
}

static int number(const struct row *r, const char *key)
{
	int64_t v = 0;

	return bf_json_int(bf_json_get(r->body, key), &v) ? (int)v : 0;
}

static struct bf_texts texts(const struct row *r, const char *key)
{
	struct bf_jval list = bf_json_get(r->body, key), v;
	struct bf_texts to = { 0 };

	if (bf_json_type(list) != BF_J_ARRAY || bf_json_size(list) == 0)
		return to;
	to.v = bf_arena_alloc(r->arena, bf_json_size(list) * sizeof(char *));
	for (v = bf_json_first(list); bf_json_type(v); v = bf_json_next(v)) {
		const char *one = bf_json_str(v, r->arena);

		if (one != NULL)
			to.v[to.n++] = one;
	}
	if (to.n == 0)
		to.v = NULL;
	return to;
}

/* An object's own text; anything else is nothing. */
static const char *object(const struct row *r, const char *key)
{
	struct bf_jval v = bf_json_get(r->body, key);
	const char *raw;
	size_t len;

	if (bf_json_type(v) != BF_J_OBJECT)
		return NULL;
	raw = bf_json_raw(v, &len);
	return bf_arena_strndup(r->arena, raw, len);
}

static void read_edition(const struct row *r, struct bf_edition *e)
{
	e->title = text(r, "title");
	e->subtitle = text(r, "subtitle");
	e->publisher = text(r, "publisher");
	e->publication_date = text(r, "publication_date");
	e->format = text(r, "format");
	e->language = text(r, "language");
	e->description = text(r, "description");
	e->cover_large = text(r, "cover_large");
	e->cover_medium = text(r, "cover_medium");
	e->cover_small = text(r, "cover_small");
	e->cover_source = text(r, "cover_source");
	e->openlibrary_edition_id = text(r, "openlibrary_edition_id");
	e->primary_provider = text(r, "primary_provider");
	e->page_count = number(r, "page_count");
	e->quality = number(r, "quality");
	e->completeness = number(r, "completeness");
	e->alternate_isbns = texts(r, "alternate_isbns");
	e->amazon_asins = texts(r, "amazon_asins");
	e->google_books_volume_ids = texts(r, "google_books_volume_ids");
	e->goodreads_edition_ids = texts(r, "goodreads_edition_ids");
	e->librarything_ids = texts(r, "librarything_ids");
	e->contributors = texts(r, "contributors");
	e->provenance_json = object(r, "provenance");
}

static void read_work(const struct row *r, struct bf_known_work *k)
{
	struct bf_work *w = &k->known.work;

	w->title = text(r, "title");
	w->subtitle = text(r, "subtitle");
	w->description = text(r, "description");
	w->original_language = text(r, "original_language");
	w->cover_large = text(r, "cover_large");
	w->cover_medium = text(r, "cover_medium");
	w->cover_small = text(r, "cover_small");
	w->cover_source = text(r, "cover_source");
	w->openlibrary_work_id = text(r, "openlibrary_work_id");
	w->isbndb_id = text(r, "isbndb_id");
	w->primary_provider = text(r, "primary_provider");
	w->first_publication_year = number(r, "first_publication_year");
	w->quality = number(r, "quality");
	w->completeness = number(r, "completeness");
	bf_json_bool(bf_json_get(r->body, "synthetic"), &w->synthetic);
	w->subject_tags = texts(r, "subject_tags");
	w->goodreads_work_ids = texts(r, "goodreads_work_ids");
	w->amazon_asins = texts(r, "amazon_asins");
	w->google_books_volume_ids = texts(r, "google_books_volume_ids");
	w->contributors = texts(r, "contributors");
	w->provenance_json = object(r, "provenance");
	k->known.authors = text(r, "authors");
}

/* Everything of one answer, while it is read. */
struct answer {
	struct call *c;
	const PGresult *r;
	const char *at;
	struct bf_looked *looked;    /* by item */
	struct bf_known_work *works; /* each once, by key */
	int n_works;
	struct bf_known_work **lists; /* the works of each item */
	const char ***keys;           /* the authors' keys of each item */
};

/* Opens the body of a line; NULL when it cannot be read, and then the line counts for nothing. */
static struct bf_json *open_body(const struct answer *a, int i, struct row *row)
{
	const char *json = call_text(a->r, i, "body");
	struct bf_error err;
	struct bf_json *doc = json == NULL
		? NULL
		: bf_json_parse(json, strlen(json), &bf_json_limits_default, false, &err);

	if (doc != NULL)
		*row = (struct row){ a->c->arena, bf_json_root(doc) };
	return doc;
}

static void edition_line(struct answer *a, int i, int item)
{
	struct bf_looked *to = &a->looked[item];
	struct bf_edition *e;
	struct row row;
	struct bf_json *doc = open_body(a, i, &row);

	if (doc == NULL)
		return;
	e = bf_arena_alloc(a->c->arena, sizeof(*e));
	read_edition(&row, e);
	e->isbn13 = a->c->looks[item].isbn13;
	to->edition = e;
	to->edition_key = call_text(a->r, i, "key");
	to->edition_seen = call_text(a->r, i, "seen");
	to->edition_work_key = text(&row, "work_key");
	bf_json_free(doc);
}

static void work_line(struct answer *a, int i)
{
	struct bf_known_work *k = &a->works[a->n_works];
	struct row row;
	struct bf_json *doc = open_body(a, i, &row);

	if (doc == NULL)
		return;
	read_work(&row, k);
	k->known.work.work_key = call_text(a->r, i, "key");
	k->seen = call_text(a->r, i, "seen");
	a->n_works++;
	bf_json_free(doc);
}

static int by_key(const void *a, const void *b)
{
	const struct bf_known_work *x = a, *y = b;

	return strcmp(x->known.work.work_key, y->known.work.work_key);
}

/* A work of an item, with the reason it may be the item's. */
static void hit_line(struct answer *a, int i, int item)
{
	struct bf_looked *to = &a->looked[item];
	struct bf_known_work key = { .known.work.work_key = call_text(a->r, i, "key") };
	const struct bf_known_work *w =
		bsearch(&key, a->works, (size_t)a->n_works, sizeof(key), by_key);
	struct bf_known_work *list = a->lists[item];

	if (w == NULL)
		return;
	list[to->n_works] = *w;
	list[to->n_works++].known.via = (enum bf_work_via)call_int(a->r, i, "place");
	to->works = list;
}

/* An author of that name, or nearly: taken when it has the asked key, else the first whose name is the
 * same one spelt differently. */
static void author_line(struct answer *a, int i, int item, int place)
{
	const struct bf_look *look = &a->c->looks[item];
	const char **keys = a->keys[item];
	const char *key = call_text(a->r, i, "key"), *name = call_text(a->r, i, "seen");
	char asked[BF_KEY_MAX], found[BF_KEY_MAX];

	if (keys[place] != NULL || key == NULL || name == NULL)
		return;
	bf_author_key(look->author_names.v[place], asked);
	bf_author_key(name, found);
	if ((look->author_keys.v[place] != NULL && strcmp(key, look->author_keys.v[place]) == 0) ||
		strcmp(asked, found) == 0)
		keys[place] = key;
}

/* Lines that concern one item. */
static void item_lines(struct answer *a)
{
	for (int i = 0; i < PQntuples(a->r); i++) {
		const char *kind = call_text(a->r, i, "kind");
		int item = (int)call_int(a->r, i, "item"), place = (int)call_int(a->r, i, "place");

		if (kind == NULL || call_text(a->r, i, "item") == NULL || item < 0 ||
			item >= a->c->n)
			continue;
		if (strcmp(kind, "edition") == 0)
			edition_line(a, i, item);
		else if (strcmp(kind, "hit") == 0 && a->lists[item] != NULL)
			hit_line(a, i, item);
		else if (strcmp(kind, "author") == 0 && place >= 0 &&
			(size_t)place < a->c->looks[item].author_names.n)
			author_line(a, i, item, place);
	}
}

/* Makes room for each item's works. */
static void make_lists(struct answer *a)
{
	size_t *count = bf_arena_alloc(a->c->arena, ((size_t)a->c->n + 1) * sizeof(*count));

	for (int i = 0; i < PQntuples(a->r); i++) {
		int64_t item = call_int(a->r, i, "item");
		const char *kind = call_text(a->r, i, "kind");

		if (kind != NULL && strcmp(kind, "hit") == 0 && item >= 0 && item < a->c->n)
			count[item]++;
	}
	for (int i = 0; i < a->c->n; i++)
		if (count[i] > 0)
			a->lists[i] = bf_arena_alloc(a->c->arena, count[i] * sizeof(**a->lists));
}

/* The time and the works come first; then what refers to them. */
static void read_looked(struct call *c, const struct bf_error *err, PGresult *const *results, int n)
{
	struct answer a = { .c = c, .r = err == NULL && n > 1 ? results[1] : NULL };
	size_t items = (size_t)c->n + 1;

	if (a.r == NULL) {
		c->tell.look(c->ctx, err, NULL, NULL, 0);
		return;
	}
	a.looked = bf_arena_alloc(c->arena, items * sizeof(*a.looked));
	a.lists = bf_arena_alloc(c->arena, items * sizeof(*a.lists));
	a.works = bf_arena_alloc(c->arena, ((size_t)PQntuples(a.r) + 1) * sizeof(*a.works));
	a.keys = bf_arena_alloc(c->arena, items * sizeof(*a.keys));
	for (int i = 0; i < c->n; i++)
		a.looked[i].author_keys = a.keys[i] =
			bf_arena_alloc(c->arena, (c->looks[i].author_names.n + 1) * sizeof(char *));
	for (int i = 0; i < PQntuples(a.r); i++) {
		const char *kind = call_text(a.r, i, "kind");

		if (kind != NULL && strcmp(kind, "time") == 0)
			a.at = call_text(a.r, i, "key");
		else if (kind != NULL && strcmp(kind, "work") == 0)
			work_line(&a, i);
	}
	qsort(a.works, (size_t)a.n_works, sizeof(*a.works), by_key);
	make_lists(&a);
	item_lines(&a);
	for (int i = 0; i < c->n; i++)
		for (size_t k = 0; k < c->looks[i].author_names.n; k++)
			if (a.keys[i][k] == NULL)
				a.keys[i][k] = c->looks[i].author_keys.v[k];
	c->tell.look(c->ctx, NULL, a.at, a.looked, c->n);
}
