/*
 * ai: what the two AIs are asked in common: the schema of the list of books, and room to write it
 * in.
 */
#include <ctype.h>
#include "wire.h"

#define TOKENS_LEAST    16384
#define TOKENS_MOST     30000 /* what the models of xAI write at most; Gemini's 64k */
#define TOKENS_THINKING 8192
#define TOKENS_PER_BOOK 220 /* a long title, six fields and a sentence of significance */

/* The members of one book, in the order in which the models are to write them. */
static const struct field {
	const char *name;
	bool integer, required;
	const char *about;
} fields[] = {
	{ "title", false, true, "title as on the cover, without series note" },
	{ "author", false, true, "full name; several joined by semicolons" },
	{ "publisher", false, false, "publisher of the first edition; empty when not known" },
	{ "format", false, false,
		"hardcover, paperback, ebook or audiobook; empty when not known" },
	{ "publication_year", true, true, "four digits" },
	{ "significance", false, false, "one sentence" },
};

/* Names of the members; strict JSON Schema wants all of them required, so that "not known" is an
 * empty text there. */
static void names(struct bf_jw *w, const char *key, bool required_only)
{
	size_t i;

	bf_jw_key(w, key);
	bf_jw_arr(w);
	for (i = 0; i < BF_COUNT(fields); i++) {
		if (!required_only || fields[i].required)
			bf_jw_str(w, fields[i].name);
	}
	bf_jw_end_arr(w);
}

/* One "type" member. */
static void type(struct bf_jw *w, const char *name)
{
	bf_jw_key(w, "type");
	bf_jw_str(w, name);
}

/* Gemini takes a subset of OpenAPI 3.0 (no additionalProperties); xAI plain JSON Schema. */
void ai_schema_books(struct bf_jw *w, enum ai_schema schema)
{
	bool openapi = schema == AI_SCHEMA_OPENAPI;
	size_t i;

	bf_jw_obj(w);
	type(w, openapi ? "ARRAY" : "array");
	bf_jw_key(w, "items");
	bf_jw_obj(w);
	type(w, openapi ? "OBJECT" : "object");
	bf_jw_key(w, "properties");
	bf_jw_obj(w);
	for (i = 0; i < BF_COUNT(fields); i++) {
		bf_jw_key(w, fields[i].name);
		bf_jw_obj(w);
		type(w,
			fields[i].integer ? (openapi ? "INTEGER" : "integer")
					  : (openapi ? "STRING" : "string"));
		bf_jw_key(w, "description");
		bf_jw_str(w, fields[i].about);
		bf_jw_end_obj(w);
	}
	bf_jw_end_obj(w);
	names(w, "required", openapi);
	if (openapi) {
		names(w, "propertyOrdering", false);
	} else {
		bf_jw_key(w, "additionalProperties");
		bf_jw_bool(w, false);
	}
	bf_jw_end_obj(w);
	bf_jw_end_obj(w);
}

/* Thinking counts against the limit too: what is too small costs the whole answer. */
int ai_max_tokens(int up_to_n)
{
	int tokens = TOKENS_THINKING + (up_to_n > 0 ? up_to_n : 0) * TOKENS_PER_BOOK;

	return tokens < TOKENS_LEAST ? TOKENS_LEAST : tokens > TOKENS_MOST ? TOKENS_MOST : tokens;
}

/* Models pad with white space until their limit. */
bool ai_blank(const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (!isspace((unsigned char)text[i]))
			return false;
	}
	return true;
}

/* What both need before a request can be made. */
bool ai_ask_ok(const struct provider_ask *ask, const struct bf_provider_config *config,
	const char *label, struct bf_error *err)
{
	if (ask->kind != PROVIDER_GENERATE)
		return provider_unsupported(label, err);
	if (ask->model == NULL || ask->model[0] == '\0' || ask->prompt == NULL) {
		bf_error_set(err, BF_ERR_CONFIG, "%s: no model or no prompt", label);
		return false;
	}
	return provider_key_ok(config, label, err);
}
