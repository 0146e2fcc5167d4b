/* write: small helpers with which the providers' files write JSON and ask the world. */
#include <string.h>
#include "sandbox.h"

/* A member with a text; NULL writes null. */
void write_str(struct bf_jw *jw, const char *key, const char *value)
{
	bf_jw_key(jw, key);
	bf_jw_str(jw, value);
}

/* A member with a whole number. */
void write_int(struct bf_jw *jw, const char *key, int64_t value)
{
	bf_jw_key(jw, key);
	bf_jw_int(jw, value);
}

/* Begins an object or array, as a member or as an element. */
void write_open(struct bf_jw *jw, const char *key, char bracket)
{
	if (key)
		bf_jw_key(jw, key);
	if (bracket == '{')
		bf_jw_obj(jw);
	else
		bf_jw_arr(jw);
}

/* Ends it. */
void write_close(struct bf_jw *jw, char bracket)
{
	if (bracket == '}')
		bf_jw_end_obj(jw);
	else
		bf_jw_end_arr(jw);
}

/* A title, or in a malformed item a number. */
void write_title(struct bf_jw *jw, const char *key, const char *title, bool bad)
{
	if (bad)
		write_int(jw, key, 1984);
	else
		write_str(jw, key, title);
}

/* "Title: Subtitle (Series)", as far as wanted and known. */
const char *write_full_title(
	const struct record *r, bool subtitle, bool series, struct bf_arena *arena)
{
	const char *title = r->title;

	if (subtitle && *r->subtitle)
		title = bf_arena_printf(arena, "%s: %s", title, r->subtitle);
	if (series && *r->series)
		title = bf_arena_printf(arena, "%s (%s)", title, r->series);
	return title;
}

/* Starts a JSON body. */
struct bf_jw reply_json(struct reply *out, int status)
{
	struct bf_jw jw;

	out->status = status;
	out->content_type = "application/json; charset=utf-8";
	bf_buf_clear(&out->body);
	bf_jw_init(&jw, &out->body);
	return jw;
}

/* A query parameter. */
const char *request_param(const struct request *r, const char *name)
{
	const char *value = evhttp_find_header(r->query, name);

	return value ? value : "";
}

/* A request header. */
const char *request_header(const struct request *r, const char *name)
{
	const char *value = evhttp_find_header(r->headers, name);

	return value ? value : "";
}

/* What the provider lists for a query. */
size_t request_results(
	const struct request *r, const struct query *query, struct hit ret[RESULTS_MAX])
{
	if (r->fault == FAULT_EMPTY || (!*query->title && !*query->author))
		return 0;
	return results_of(r->world, r->provider, query, r->arena, ret);
}

/* What the provider has under an ISBN. */
bool request_isbn(const struct request *r, const char *isbn, struct hit *ret)
{
	char isbn13[14];

	return r->fault != FAULT_EMPTY && bf_isbn_canon(isbn, strlen(isbn), isbn13) == BF_ISBN_OK &&
	       world_by_isbn(r->world, isbn13, ret) && world_work(r->world, ret->work, r->arena) &&
	       world_holds_edition(r->world, r->provider, *ret);
}

/* Is this the one malformed item of n? */
bool request_is_bad(const struct request *r, size_t i, size_t n)
{
	return r->fault == FAULT_ONE_BAD_ITEM && n && i == r->hash % n;
}

/* Throws for how this provider spells this record. */
void request_dice(const struct request *r, struct hit h, struct dice *d)
{
	dice_init(d, r->knobs->seed, bf_provider_names[r->provider], h.work, h.slot);
}
