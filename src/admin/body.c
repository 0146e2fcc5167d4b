/*
 * body: JSON objects with declared fields, RFC 8259, unknown and doubled names refused: a misspelt "dry_run" must never
 * start a live run.
 */
#include "body.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct bf_json_limits limits = {
	.max_bytes = (size_t)16 << 20, .max_tokens = 10000, .max_depth = 16
};

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
static int64_t count_chars(const char *text)
{
	int64_t n = 0;

	for (; *text != '\0'; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
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
static void read_int(struct bf_jval v, const struct body_field *f, const char *path,
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
	*f->to.i = (int)value;
}

/* A string of allowed length. */
static void read_str(struct bf_jval v, const struct body_field *f, const char *path,
	struct bf_arena *arena, struct body_problems *problems)
{
	const char *text;
	int64_t n;

	if (bf_json_type(v) != BF_J_STRING) {
		body_problem(
			problems, path, "must be a string, not %s", type_names[bf_json_type(v)]);
		return;
	}
	text = bf_json_str(v, arena);
	n = text != NULL ? count_chars(text) : -1;
	if (n < f->min || n > f->max) {
		body_problem(problems, path, "must have %" PRId64 " to %" PRId64 " characters",
			f->min, f->max);
		return;
	}
	*f->to.s = text;
}

static void read_obj(struct bf_jval, const struct body_field *, const char *, struct bf_arena *,
	struct body_problems *);

/* One declared field. */
static void read_field(struct bf_jval v, const struct body_field *f, const char *path,
	struct bf_arena *arena, struct body_problems *problems)
{
	if (f->given != NULL)
		*f->given = true;
	switch (f->type) {
	case BODY_INT: read_int(v, f, path, problems); break;
	case BODY_BOOL:
		if (!bf_json_bool(v, f->to.b))
			body_problem(problems, path, "must be true or false, not %s",
				type_names[bf_json_type(v)]);
		break;
	case BODY_STR: read_str(v, f, path, arena, problems); break;
	case BODY_OBJ:
		if (bf_json_type(v) != BF_J_OBJECT)
			body_problem(problems, path, "must be an object, not %s",
				type_names[bf_json_type(v)]);
		else
			read_obj(v, f->to.fields, path, arena, problems);
		break;
	}
}

/* Says which names there are. */
static void unknown_field(
	const struct body_field *fields, const char *path, struct body_problems *problems)
{
	char known[128] = "";
	size_t len = 0;

	for (const struct body_field *f = fields; f->name != NULL && len < sizeof(known); f++)
		len += (size_t)snprintf(
			known + len, sizeof(known) - len, "%s%s", len > 0 ? ", " : "", f->name);
	if (known[0] == '\0')
		body_problem(problems, path, "unknown field; this request takes none");
	else
		body_problem(problems, path, "unknown field; known: %s", known);
}

/* Every member of an object is a declared field, or a problem. */
static void read_obj(struct bf_jval object, const struct body_field *fields, const char *prefix,
	struct bf_arena *arena, struct body_problems *problems)
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
			unknown_field(fields, path, problems);
		else
			read_field(v, f, path, arena, problems);
	}
}

/* Reads a body as a whole. */
bool body_read(const char *text, size_t len, const struct body_field *fields,
	struct bf_arena *arena, struct body_problems *problems)
{
	struct bf_error err;
	struct bf_json *doc;
	int before = problems->n;

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
		read_obj(bf_json_root(doc), fields, "", arena, problems);
	bf_json_free(doc);
	return problems->n == before;
}
