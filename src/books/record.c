/*
 * record: a provider's record as JSON and back.
 *
 * Members that are not known are left out. Each text has a length of its own, cut on a character's
 * boundary, so that a record of common text fits; one full of characters that JSON writes longer
 * loses first of its description, then of its subjects.
 */
#include "backfill/books.h"
#include "merge.h"
#include <string.h>

#define CAP_PAGES 50000

/* What each text may take; those before the page count, those behind it. */
static const struct field {
	const char *name;
	size_t at, max;
} before[] = {
	{ "isbn13", offsetof(struct bf_record, isbn13), 13 },
	{ "title", offsetof(struct bf_record, title), 300 },
	{ "subtitle", offsetof(struct bf_record, subtitle), 300 },
	{ "authors", offsetof(struct bf_record, authors), 300 },
	{ "publisher", offsetof(struct bf_record, publisher), 120 },
	{ "language", offsetof(struct bf_record, language), 40 },
	{ "binding", offsetof(struct bf_record, binding), 60 },
	{ "date", offsetof(struct bf_record, date), 40 },
}, behind[] = {
	{ "cover_url", offsetof(struct bf_record, cover_url), 300 },
	{ "provider_key", offsetof(struct bf_record, provider_key), 100 },
	{ "other_isbns", offsetof(struct bf_record, other_isbns), 280 },
	{ "subjects", offsetof(struct bf_record, subjects), 400 },
	{ "description", offsetof(struct bf_record, description), 1000 },
};

/* Where the field lies in a record. */
static const char **slot(struct bf_record *r, const struct field *f)
{
	return (const char **)(void *)((char *)r + f->at);
}

/* What stands there. */
static const char *value(const struct bf_record *r, const struct field *f)
{
	return *(const char *const *)(const void *)((const char *)r + f->at);
}

/* Writes the fields that are there, none longer than most. */
static void write_fields(struct bf_jw *jw, const struct bf_record *r, const struct field *fields,
	size_t n, size_t most)
{
	for (size_t i = 0; i < n; i++) {
		const char *text = value(r, &fields[i]);
		size_t max = fields[i].max < most ? fields[i].max : most;

		if (text == NULL || text[0] == '\0' || max == 0)
			continue;
		bf_jw_key(jw, fields[i].name);
		bf_jw_strn(jw, text, bf_utf8_cut(text, strlen(text), max));
	}
}

bool bf_record_write(const struct bf_record *r, struct bf_buf *out)
{
	static const size_t description_max[] = { 1000, 400, 0, 0 },
			    subjects_max[] = { 400, 400, 400, 0 };
	struct bf_buf buf;
	bool fits = false;

	bf_buf_clear(out);
	bf_buf_init(&buf, BF_RECORD_JSON_MAX);
	for (size_t i = 0; i < BF_COUNT(subjects_max) && !fits; i++) {
		struct bf_jw jw;

		bf_buf_clear(&buf);
		bf_jw_init(&jw, &buf);
		bf_jw_obj(&jw);
		write_fields(&jw, r, before, BF_COUNT(before), SIZE_MAX);
		if (r->pages > 0) {
			bf_jw_key(&jw, "pages");
			bf_jw_int(&jw, r->pages);
		}
		write_fields(&jw, r, behind, 3, SIZE_MAX);
		write_fields(&jw, r, behind + 3, 1, subjects_max[i]);
		write_fields(&jw, r, behind + 4, 1, description_max[i]);
		bf_jw_end_obj(&jw);
		fits = !buf.failed;
	}
	fits = fits && bf_buf_add(out, buf.data, buf.len);
	bf_buf_release(&buf);
	if (!fits)
		bf_buf_clear(out);
	return fits;
}

/* Copies the fields that are there. */
static void read_fields(struct bf_jval object, const struct field *fields, size_t n,
	struct bf_arena *arena, struct bf_record *ret)
{
	for (size_t i = 0; i < n; i++) {
		const char *text = bf_json_str(bf_json_get(object, fields[i].name), arena);

		if (text != NULL && text[0] != '\0')
			*slot(ret, &fields[i]) = bf_arena_strndup(
				arena, text, bf_utf8_cut(text, strlen(text), fields[i].max));
	}
}

bool bf_record_read(const char *json, size_t len, struct bf_arena *arena, struct bf_record *ret)
{
	/* a database may have put it in another form: more room than when written */
	static const struct bf_json_limits limits = { 16 * BF_RECORD_JSON_MAX, 2000, 8 };
	struct bf_error err;
	struct bf_json *doc;
	struct bf_jval root;
	int64_t pages;
	char isbn[14];

	memset(ret, 0, sizeof(*ret));
	doc = json != NULL ? bf_json_parse(json, len, &limits, false, &err) : NULL;
	if (doc == NULL)
		return false;
	root = bf_json_root(doc);
	if (bf_json_type(root) != BF_J_OBJECT) {
		bf_json_free(doc);
		return false;
	}
	read_fields(root, before, BF_COUNT(before), arena, ret);
	read_fields(root, behind, BF_COUNT(behind), arena, ret);
	if (bf_json_int(bf_json_get(root, "pages"), &pages) && pages > 0 && pages <= CAP_PAGES)
		ret->pages = (int)pages;
	ret->year = normal_year(ret->date);
	if (ret->isbn13 != NULL)
		ret->isbn13 = bf_isbn_canon(ret->isbn13, strlen(ret->isbn13), isbn) == BF_ISBN_OK
			? bf_arena_strdup(arena, isbn)
			: NULL;
	bf_json_free(doc);
	return true;
}
