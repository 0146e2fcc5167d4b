/*
 * body: JSON objects with declared fields, RFC 8259, unknown and doubled names refused: a misspelt "dry_run" must never
 * start a live run.
 */
#include "body.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct bf_json_limits limits = {
	.max_bytes = (size_t)16 << 20, .max_tokens = 10000, .max_depth = 16
};

const struct body_field body_none[] = { BODY_END };

/* Adds a problem; more than fit are not worth reading. */
void body_problem(struct body_problems *problems, const char *field, const char *fmt, ...)
{
	struct body_problem *p;
	va_list ap;

	if (problems->n >= BODY_PROBLEMS)
		return;
	p = &problems->v[problems->n++];
	snprintf(p->field, sizeof(p->field), "%.*s",
		(int)bf_utf8_cut(field, strlen(field), sizeof(p->field) - 1), field);
	va_start(ap, fmt);
	vsnprintf(p->message, sizeof(p->message), fmt, ap);
	va_end(ap);
}

/* Characters of valid UTF-8. */
int64_t body_chars(const char *text)
{
	int64_t n = 0;

	for (; *text != '\0'; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

/* The integer, truth value or string of a field in the struct that is read into. */
static int *int_at(void *into, const struct body_field *f)
{
	return (int *)(void *)((char *)into + f->at);
}

static bool *bool_at(void *into, const struct body_field *f)
{
	return (bool *)((char *)into + f->at);
}

static const char **str_at(void *into, const struct body_field *f)
{
	return (const char **)(void *)((char *)into + f->at);
}

/* Sets what fields are when nobody names them. */
void body_presets(const struct body_field *fields, void *into)
{
	for (const struct body_field *f = fields; f->name != NULL; f++) {
		switch (f->type) {
		case BODY_INT:
			if (f->preset != NULL)
				*int_at(into, f) = (int)strtol(f->preset, NULL, 10);
			break;
		case BODY_BOOL:
			if (f->preset != NULL)
				*bool_at(into, f) = f->preset[0] == 't';
			break;
		case BODY_STR: break;
		case BODY_OBJ: body_presets(f->fields, into); break;
		}
	}
}

/* Whether a text is one of the allowed ones, or else of allowed length. */
bool body_text_fits(const struct body_field *f, const char *path, const char *text,
	struct body_problems *problems)
{
	int64_t n = text != NULL ? body_chars(text) : -1;
	char known[140] = "";
	size_t len = 0;

	if (f->one_of == NULL && (n < f->min || n > f->max)) {
		body_problem(problems, path, "must have %" PRId64 " to %" PRId64 " characters",
			f->min, f->max);
		return false;
	}
	for (int i = 0; i < f->n_one_of; i++) {
		if (text != NULL && strcmp(text, f->one_of[i]) == 0)
			return true;
		if (len < sizeof(known))
			len += (size_t)snprintf(known + len, sizeof(known) - len, "%s%s",
				i > 0 ? ", " : "", f->one_of[i]);
	}
	if (f->one_of != NULL)
		body_problem(problems, path, "unknown; known: %s", known);
	return f->one_of == NULL;
}

static const char *const type_names[] = {
	[BF_J_ABSENT] = "nothing",
	[BF_J_NULL] = "null",
	[BF_J_BOOL] = "a boolean",
	[BF_J_NUMBER] = "a number",
	[BF_J_STRING] = "a string",
	[BF_J_ARRAY] = "an array",
	[BF_J_OBJECT] = "an object",
};

/* An integer in its bounds. */
static void read_int(struct bf_jval v, const struct body_field *f, void *into, const char *path,
	struct body_problems *problems)
{
	int64_t value;

	if (bf_json_type(v) != BF_J_NUMBER) {
		body_problem(problems, path,
			"must be an integer from %" PRId64 " to %" PRId64 ", not %s", f->min,
			f->max, type_names[bf_json_type(v)]);
		return;
	}
	if (!bf_json_int(v, &value) || value < f->min || value > f->max) {
		body_problem(problems, path, "must be an integer from %" PRId64 " to %" PRId64,
			f->min, f->max);
		return;
	}
	*int_at(into, f) = (int)value;
}

/* A string that fits. */
static void read_str(struct bf_jval v, const struct body_field *f, void *into, const char *path,
	struct bf_arena *arena, struct body_problems *problems)
{
	const char *text;

	if (bf_json_type(v) != BF_J_STRING) {
		body_problem(
			problems, path, "must be a string, not %s", type_names[bf_json_type(v)]);
		return;
	}
	text = bf_json_str(v, arena);
	if (body_text_fits(f, path, text, problems))
		*str_at(into, f) = text;
}

static void read_obj(struct bf_jval, const struct body_field *, void *, const char *,
	struct bf_arena *, struct body_problems *);

/* One declared field. */
static void read_field(struct bf_jval v, const struct body_field *f, void *into, const char *path,
	struct bf_arena *arena, struct body_problems *problems)
{
	switch (f->type) {
	case BODY_INT: read_int(v, f, into, path, problems); break;
	case BODY_BOOL:
		if (!bf_json_bool(v, bool_at(into, f)))
			body_problem(problems, path, "must be true or false, not %s",
				type_names[bf_json_type(v)]);
		break;
	case BODY_STR: read_str(v, f, into, path, arena, problems); break;
	case BODY_OBJ:
		if (bf_json_type(v) != BF_J_OBJECT)
			body_problem(problems, path, "must be an object, not %s",
				type_names[bf_json_type(v)]);
		else
			read_obj(v, f->fields, into, path, arena, problems);
		break;
	}
}

/* Says which names there are. */
void body_unknown(const struct body_field *fields, const char *what, const char *path,
	struct body_problems *problems)
{
	char known[128] = "";
	size_t len = 0;

	for (const struct body_field *f = fields; f->name != NULL && len < sizeof(known); f++)
		len += (size_t)snprintf(
			known + len, sizeof(known) - len, "%s%s", len > 0 ? ", " : "", f->name);
	if (known[0] == '\0')
		body_problem(problems, path, "unknown %s; this request takes none", what);
	else
		body_problem(problems, path, "unknown %s; known: %s", what, known);
}

/* Every member of an object is a declared field, or a problem. */
static void read_obj(struct bf_jval object, const struct body_field *fields, void *into,
	const char *prefix, struct bf_arena *arena, struct body_problems *problems)
{
	for (struct bf_jval v = bf_json_first(object); bf_json_type(v) != BF_J_ABSENT;
		v = bf_json_next(v)) {
		const char *name = bf_json_key(v, arena);
		const char *path =
			prefix[0] == '\0' ? name : bf_arena_printf(arena, "%s.%s", prefix, name);
		const struct body_field *f = fields;

		while (f->name != NULL && strcmp(f->name, name) != 0)
			f++;
		if (f->name == NULL)
			body_unknown(fields, "field", path, problems);
		else
			read_field(v, f, into, path, arena, problems);
	}
}

/* Reads a body as a whole. */
bool body_read(const char *text, size_t len, const struct body_field *fields, void *into,
	struct bf_arena *arena, struct body_problems *problems)
{
	struct bf_error err;
	struct bf_json *doc;
	int before = problems->n;

	body_presets(fields, into);
	if (len == 0)
		return true;
	doc = bf_json_parse(text, len, &limits, true, &err);
	if (doc == NULL) {
		body_problem(problems, "", "%s", err.text);
		return false;
	}
	if (bf_json_type(bf_json_root(doc)) != BF_J_OBJECT)
		body_problem(problems, "", "the body must be an object, not %s",
			type_names[bf_json_type(bf_json_root(doc))]);
	else
		read_obj(bf_json_root(doc), fields, into, "", arena, problems);
	bf_json_free(doc);
	return problems->n == before;
}
