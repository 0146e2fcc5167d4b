/*
 * openapi: writes the interface's description from the route table.
 */
#include "openapi.h"
#include "handlers.h"
#include <stdio.h>
#include <string.h>

#define SCHEMA_REF     "#/components/schemas/"
#define JSON_TYPE      "application/json"

/* Who asks; on every route behind the secret. */
static const struct body_field operator_header = {
	.name = "X-Operator", .type = BODY_STR, .min = 1, .max = AUDIT_OPERATOR_CHARS,
	.help = "who asks, for the log and the audit",
};

static void write_key_str(struct bf_jw *jw, const char *key, const char *text)
{
	bf_jw_key(jw, key);
	bf_jw_str(jw, text);
}

static void write_key_int(struct bf_jw *jw, const char *key, int64_t n)
{
	bf_jw_key(jw, key);
	bf_jw_int(jw, n);
}

/* A value that is JSON already. */
static void write_key_raw(struct bf_jw *jw, const char *key, const char *json)
{
	bf_jw_key(jw, key);
	bf_jw_raw(jw, json, strlen(json));
}

static void write_key_ref(struct bf_jw *jw, const char *key, const char *prefix, const char *name)
{
	char ref[96];

	snprintf(ref, sizeof(ref), "%s%s", prefix, name);
	bf_jw_key(jw, key);
	bf_jw_obj(jw);
	write_key_str(jw, "$ref", ref);
	bf_jw_end_obj(jw);
}

static void write_object(struct bf_jw *, const struct body_field *, const char *help);

/* A string's limits. */
static void write_text_limits(struct bf_jw *jw, const struct body_field *f)
{
	if (f->one_of != NULL) {
		bf_jw_key(jw, "enum");
		bf_jw_arr(jw);
		for (int i = 0; i < f->n_one_of; i++)
			bf_jw_str(jw, f->one_of[i]);
		bf_jw_end_arr(jw);
		return;
	}
	write_key_int(jw, "minLength", f->min);
	write_key_int(jw, "maxLength", f->max);
	if (f->format != NULL)
		write_key_str(jw, "format", f->format);
	if (f->pattern != NULL)
		write_key_str(jw, "pattern", f->pattern);
}

/* What a field may be; help NULL where a parameter says it itself. */
static void write_schema(struct bf_jw *jw, const struct body_field *f, const char *help)
{
	if (f->type == BODY_OBJ) {
		write_object(jw, f->fields, help);
		return;
	}
	bf_jw_obj(jw);
	switch (f->type) {
	case BODY_INT:
		write_key_str(jw, "type", "integer");
		write_key_int(jw, "minimum", f->min);
		write_key_int(jw, "maximum", f->max);
		break;
	case BODY_BOOL: write_key_str(jw, "type", "boolean"); break;
	case BODY_STR:
		write_key_str(jw, "type", "string");
		write_text_limits(jw, f);
		break;
	case BODY_OBJ: break;
	}
	if (f->preset != NULL)
		write_key_raw(jw, "default", f->preset);
	if (help != NULL)
		write_key_str(jw, "description", help);
	bf_jw_end_obj(jw);
}

/* An object of these fields and no other. */
static void write_object(struct bf_jw *jw, const struct body_field *fields, const char *help)
{
	bf_jw_obj(jw);
	write_key_str(jw, "type", "object");
	if (help != NULL)
		write_key_str(jw, "description", help);
	if (fields->name != NULL) {
		bf_jw_key(jw, "properties");
		bf_jw_obj(jw);
		for (const struct body_field *f = fields; f->name != NULL; f++) {
			bf_jw_key(jw, f->name);
			write_schema(jw, f, f->help);
		}
		bf_jw_end_obj(jw);
	}
	bf_jw_key(jw, "additionalProperties");
	bf_jw_bool(jw, false);
	bf_jw_end_obj(jw);
}

/* One parameter; where: path, query, header. */
static void write_parameter(struct bf_jw *jw, const struct body_field *f, const char *where, const char *help)
{
	bf_jw_obj(jw);
	write_key_str(jw, "name", f->name);
	write_key_str(jw, "in", where);
	bf_jw_key(jw, "required");
	bf_jw_bool(jw, strcmp(where, "path") == 0);
	if (help != NULL)
		write_key_str(jw, "description", help);
	bf_jw_key(jw, "schema");
	write_schema(jw, f, NULL);
	bf_jw_end_obj(jw);
}

/* Those of the path, in its order. */
static void write_path_parameters(struct bf_jw *jw, const char *path, const struct openapi_operation *o)
{
	for (const char *open = strchr(path, '{'); open != NULL; open = strchr(open + 1, '{')) {
		const struct body_field *f = routes_path_field(open + 1, strcspn(open + 1, "}"));

		if (f != NULL)
			write_parameter(jw, f, "path",
				strcmp(f->name, "key") == 0 && o->key != NULL ? o->key : f->help);
	}
}

/* All parameters. */
static void write_parameters(struct bf_jw *jw, const struct route *route, const struct openapi_operation *o)
{
	bool query = route->query != NULL && route->query->name != NULL;

	if (!query && o->header == NULL && route->access != ROUTE_SECRET && strchr(route->path, '{') == NULL)
		return;
	bf_jw_key(jw, "parameters");
	bf_jw_arr(jw);
	write_path_parameters(jw, route->path, o);
	for (const struct body_field *f = route->query; query && f->name != NULL; f++)
		write_parameter(jw, f, "query", f->help);
	if (o->header != NULL)
		bf_jw_raw(jw, o->header, strlen(o->header));
	if (route->access == ROUTE_SECRET)
		write_parameter(jw, &operator_header, "header", operator_header.help);
	bf_jw_end_arr(jw);
}

/* The body and examples of it. */
static void write_body(struct bf_jw *jw, const struct route *route, const struct openapi_operation *o)
{
	bf_jw_key(jw, "requestBody");
	bf_jw_obj(jw);
	bf_jw_key(jw, "required");
	bf_jw_bool(jw, false);
	bf_jw_key(jw, "content");
	bf_jw_obj(jw);
	bf_jw_key(jw, JSON_TYPE);
	bf_jw_obj(jw);
	bf_jw_key(jw, "schema");
	write_object(jw, route->body, NULL);
	if (o->requests != NULL)
		write_key_raw(jw, "examples", o->requests);
	bf_jw_end_obj(jw);
	bf_jw_end_obj(jw);
	bf_jw_end_obj(jw);
}

/* An answer with content; schema NULL: text of any kind. */
static void write_answer(struct bf_jw *jw, const char *status, const char *says, const char *type,
	const char *schema, const char *examples)
{
	bf_jw_key(jw, status);
	bf_jw_obj(jw);
	write_key_str(jw, "description", says);
	bf_jw_key(jw, "content");
	bf_jw_obj(jw);
	bf_jw_key(jw, type != NULL ? type : JSON_TYPE);
	bf_jw_obj(jw);
	if (schema != NULL)
		write_key_ref(jw, "schema", SCHEMA_REF, schema);
	else
		write_key_raw(jw, "schema", "{\"type\":\"string\"}");
	if (examples != NULL)
		write_key_raw(jw, "examples", examples);
	bf_jw_end_obj(jw);
	bf_jw_end_obj(jw);
	bf_jw_end_obj(jw);
}

/* One of the answers that are the same everywhere. */
static void write_shared(struct bf_jw *jw, const char *status, const char *name, bool applies)
{
	if (applies)
		write_key_ref(jw, status, "#/components/responses/", name);
}

/* Whatever may be answered. What evhttp or a defect may do to any request is told of those that ask the database. */
static void write_answers(struct bf_jw *jw, const struct route *route, const struct openapi_operation *o)
{
	bool accepts = (route->may & ROUTE_ACCEPTS) != 0, asks = (route->may & ROUTE_DATABASE) != 0;
	bool ready = (route->may & ROUTE_READINESS) != 0;

	bf_jw_key(jw, "responses");
	bf_jw_obj(jw);
	write_answer(jw, accepts ? "202" : "200", o->answer, route->type, route->answer, o->answers);
	if ((route->may & ROUTE_CACHED) != 0)
		write_key_raw(jw, "304", "{\"description\":\"What If-None-Match names is still so.\"}");
	write_shared(jw, "400", "BadRequest", true);
	write_shared(jw, "401", "Unauthorized", route->access == ROUTE_SECRET);
	write_shared(jw, "403", "Forbidden", route->method != EVHTTP_REQ_GET);
	write_shared(jw, "404", "NotFound", strchr(route->path, '{') != NULL);
	write_shared(jw, "405", "MethodNotAllowed", true);
	if ((route->may & ROUTE_CONFLICT) != 0)
		write_answer(jw, "409", o->conflict, NULL, "Conflict", NULL);
	write_shared(jw, "413", "TooLarge", route->body != NULL);
	write_shared(jw, "429", "TooManyWrongSecrets", route->access == ROUTE_SECRET);
	write_shared(jw, "500", "InternalError", asks);
	write_shared(jw, "503", "Unavailable", asks);
	if (ready)
		write_answer(jw, "503", "It cannot work; `reasons` says why.", NULL, route->answer, NULL);
	bf_jw_end_obj(jw);
}

/* What is told of a route elsewhere than in the table. */
static const struct openapi_operation *find_operation(const char *id)
{
	for (size_t i = 0; i < openapi_n_operations; i++)
		if (strcmp(openapi_operations[i].id, id) == 0)
			return &openapi_operations[i];
	return NULL;
}

/* One method of a path. */
static void write_operation(struct bf_jw *jw, const struct route *route)
{
	static const struct openapi_operation untold = { .tag = "service", .description = "", .answer = "" };
	const struct openapi_operation *o = find_operation(route->id);

	if (o == NULL)
		o = &untold;
	bf_jw_key(jw, route->method == EVHTTP_REQ_GET ? "get" : "post");
	bf_jw_obj(jw);
	write_key_str(jw, "operationId", route->id);
	bf_jw_key(jw, "tags");
	bf_jw_arr(jw);
	bf_jw_str(jw, o->tag);
	bf_jw_end_arr(jw);
	write_key_str(jw, "summary", route->help);
	write_key_str(jw, "description", o->description);
	write_key_raw(jw, "security", route->access == ROUTE_SECRET ? "[{\"cronSecret\":[]}]" : "[]");
	write_parameters(jw, route, o);
	if (route->body != NULL)
		write_body(jw, route, o);
	write_answers(jw, route, o);
	bf_jw_end_obj(jw);
}

/* Every path once, its methods together. */
static void write_paths(struct bf_jw *jw)
{
	size_t n;
	const struct route *all = routes_all(&n);

	bf_jw_key(jw, "paths");
	bf_jw_obj(jw);
	for (size_t i = 0; i < n; i++) {
		bool told = false;

		for (size_t k = 0; k < i; k++)
			told = told || strcmp(all[k].path, all[i].path) == 0;
		if (told)
			continue;
		bf_jw_key(jw, all[i].path);
		bf_jw_obj(jw);
		for (size_t k = i; k < n; k++)
			if (strcmp(all[k].path, all[i].path) == 0)
				write_operation(jw, &all[k]);
		bf_jw_end_obj(jw);
	}
	bf_jw_end_obj(jw);
}

void openapi_write(struct bf_buf *buf)
{
	struct bf_jw jw;

	bf_jw_init(&jw, buf);
	bf_jw_obj(&jw);
	write_key_str(&jw, "openapi", "3.1.0");
	write_key_raw(&jw, "info", openapi_parts.info);
	write_key_raw(&jw, "servers", openapi_parts.servers);
	write_key_raw(&jw, "tags", openapi_parts.tags);
	write_paths(&jw);
	write_key_raw(&jw, "components", openapi_parts.components);
	bf_jw_end_obj(&jw);
}

/* GET /openapi.json: written once, for it never changes. */
void openapi_show(struct request *rq)
{
	struct bf_buf *kept = &rq->admin->openapi;

	if (kept->len == 0)
		openapi_write(kept);
	if (kept->failed)
		reply_error(rq, 500, "The answer is longer than %zu bytes", kept->max);
	else
		reply_json(rq, 200, kept->data, kept->len);
}
