/*
 * provenance: which provider a field's value is from, since when, and what others say.
 *
 * {"title":{"provider":"isbndb","at":"...","others":{"open_library":"..."}}}. It is written anew
 * from what was read, fields by name and providers in their order, so that the same knowledge is
 * the same bytes. When it grows beyond its room the other values go first.
 */
#include "merge.h"
#include <stdlib.h>
#include <string.h>

#define JSON_MAX   16384
#define OTHERS_MAX 4
#define OTHER_MAX  200
#define RAW_MAX    2048

/* One member's object. */
static void read_entry(struct provenance_entry *e, struct bf_jval value, struct bf_arena *arena)
{
	struct bf_jval others = bf_json_get(value, "others");

	e->provider = bf_json_str(bf_json_get(value, "provider"), arena);
	e->at = bf_json_str(bf_json_get(value, "at"), arena);
	for (int p = 0; p < BF_NPROVIDERS; p++)
		e->other[p] = bf_json_str(bf_json_get(others, bf_provider_names[p]), arena);
}

void provenance_read(struct provenance *prov, const char *json, struct bf_arena *arena)
{
	static const struct bf_json_limits limits = { 4 * JSON_MAX, 4000, 16 };
	struct bf_error err;
	struct bf_json *doc;
	struct bf_jval v = { NULL, -1 };

	prov->n = 0;
	doc = json != NULL ? bf_json_parse(json, strlen(json), &limits, false, &err) : NULL;
	if (doc == NULL)
		return;
	if (bf_json_type(bf_json_root(doc)) == BF_J_OBJECT)
		v = bf_json_first(bf_json_root(doc));
	for (; bf_json_type(v) != BF_J_ABSENT && prov->n < PROVENANCE_FIELDS; v = bf_json_next(v)) {
		struct provenance_entry *e = &prov->v[prov->n];
		const char *raw;
		size_t len;

		memset(e, 0, sizeof(*e));
		e->field = bf_json_key(v, arena);
		if (bf_json_type(v) == BF_J_OBJECT) {
			read_entry(e, v, arena);
		} else {
			raw = bf_json_raw(v, &len);
			if (len > RAW_MAX)
				continue;
			e->raw = bf_arena_strndup(arena, raw, len);
		}
		prov->n += provenance_of(prov, e->field) == NULL;
	}
	bf_json_free(doc);
}

struct provenance_entry *provenance_of(struct provenance *prov, const char *field)
{
	for (size_t i = 0; i < prov->n; i++)
		if (strcmp(prov->v[i].field, field) == 0)
			return &prov->v[i];
	return NULL;
}

void provenance_take(struct provenance *prov, const char *field, const char *provider,
	const char *at, const char *former, struct bf_arena *arena)
{
	struct provenance_entry *e = provenance_of(prov, field);
	int before;

	if (e == NULL) {
		if (prov->n == PROVENANCE_FIELDS)
			return;
		e = &prov->v[prov->n++];
		memset(e, 0, sizeof(*e));
		e->field = field;
	}
	before = e->provider != NULL ? bf_provider_by_name(e->provider) : -1;
	if (former != NULL && before >= 0)
		e->other[before] = bf_arena_strndup(
			arena, former, bf_utf8_cut(former, strlen(former), OTHER_MAX));
	before = bf_provider_by_name(provider);
	if (before >= 0)
		e->other[before] = NULL;
	e->provider = provider;
	e->at = at;
	e->raw = NULL;
}

void provenance_other(struct provenance *prov, const char *field, enum bf_provider_id provider,
	const char *said, const char *chosen, struct bf_arena *arena)
{
	struct provenance_entry *e = provenance_of(prov, field);

	if (e == NULL || e->raw != NULL || said == NULL)
		return;
	e->other[provider] = chosen != NULL && strcmp(said, chosen) == 0
		? NULL
		: bf_arena_strndup(arena, said, bf_utf8_cut(said, strlen(said), OTHER_MAX));
}

/* Writes one entry with at most so many other values. */
static void write_entry(struct bf_jw *jw, const struct provenance_entry *e, int others)
{
	bool open = false;

	bf_jw_key(jw, e->field);
	if (e->raw != NULL) {
		bf_jw_raw(jw, e->raw, strlen(e->raw));
		return;
	}
	bf_jw_obj(jw);
	if (e->provider != NULL) {
		bf_jw_key(jw, "provider");
		bf_jw_str(jw, e->provider);
	}
	if (e->at != NULL) {
		bf_jw_key(jw, "at");
		bf_jw_str(jw, e->at);
	}
	for (int p = 0; p < BF_NPROVIDERS && others > 0; p++) {
		if (e->other[p] == NULL)
			continue;
		if (!open) {
			bf_jw_key(jw, "others");
			bf_jw_obj(jw);
			open = true;
		}
		bf_jw_key(jw, bf_provider_names[p]);
		bf_jw_str(jw, e->other[p]);
		others--;
	}
	if (open)
		bf_jw_end_obj(jw);
	bf_jw_end_obj(jw);
}

/* For qsort(). */
static int compare(const void *a, const void *b)
{
	const struct provenance_entry *ea = a, *eb = b;

	return strcmp(ea->field, eb->field);
}

const char *provenance_write(struct provenance *prov, struct bf_arena *arena)
{
	const char *ret = NULL;
	struct bf_buf buf;

	if (prov->n == 0)
		return NULL;
	qsort(prov->v, prov->n, sizeof(prov->v[0]), compare);
	bf_buf_init(&buf, JSON_MAX);
	for (int others = OTHERS_MAX; others >= 0 && ret == NULL; others--) {
		struct bf_jw jw;

		bf_buf_clear(&buf);
		bf_jw_init(&jw, &buf);
		bf_jw_obj(&jw);
		for (size_t i = 0; i < prov->n; i++)
			write_entry(&jw, &prov->v[i], others);
		bf_jw_end_obj(&jw);
		if (!buf.failed)
			ret = bf_arena_strndup(arena, buf.data, buf.len);
	}
	bf_buf_release(&buf);
	return ret;
}
