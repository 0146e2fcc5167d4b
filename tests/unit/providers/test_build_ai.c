/*
 * build_ai: what the AIs are asked: path, headers, schema, limits, and the parameters that only
 * some models take.
 */
#include <string.h>
#include "built.h"

static struct built build_generate(enum bf_provider_id id, const char *model, int n)
{
	struct provider_ask ask = { .kind = PROVIDER_GENERATE,
		.model = model,
		.system = "You know \"books\".",
		.prompt = "List\nthem \xe2\x80\x93 all.",
		.up_to_n = n };

	return build(id, &ask);
}

static struct bf_json *json_of(const struct built *b)
{
	struct bf_json *json;
	struct bf_error err;

	assert_non_null(b->request.body);
	assert_int_equal(strlen(b->request.body), b->request.body_len);
	json = bf_json_parse(
		b->request.body, b->request.body_len, &bf_json_limits_default, true, &err);
	if (json == NULL)
		fail_msg("%s", err.text);
	return json;
}

static const char *text_at(const struct bf_json *json, const char *path, struct bf_arena *arena)
{
	const char *text = bf_json_str(bf_json_path(bf_json_root(json), path), arena);

	return text != NULL ? text : "(none)";
}

static enum bf_jtype type_at(const struct bf_json *json, const char *path)
{
	return bf_json_type(bf_json_path(bf_json_root(json), path));
}

/* Proves Gemini's path, headers, content and schema, and that the key is in its header alone. */
static void test_gemini(void **state)
{
	struct built b = build_generate(BF_GEMINI, "gemini-3.5-flash-lite", 20);
	int url, headers, body;
	struct bf_json *json;

	(void)state;
	assert_true(b.ok);
	assert_string_equal(b.request.method, "POST");
	assert_string_equal(b.request.url,
		"http://127.0.0.1:9/base/models/gemini-3.5-flash-lite:generateContent");
	assert_string_equal(header(&b, "x-goog-api-key"), KEY);
	assert_string_equal(header(&b, "Content-Type"), "application/json");
	assert_string_equal(header(&b, "X-Server-Timeout"), "115");
	assert_int_equal(keys_in(&b, &url, &headers, &body), 1);
	assert_int_equal(headers, 1);
	assert_int_equal(b.request.units, 1);
	json = json_of(&b);
	assert_string_equal(
		text_at(json, "systemInstruction.parts.0.text", b.arena), "You know \"books\".");
	assert_string_equal(text_at(json, "contents.0.role", b.arena), "user");
	assert_string_equal(
		text_at(json, "contents.0.parts.0.text", b.arena), "List\nthem \xe2\x80\x93 all.");
	assert_string_equal(
		text_at(json, "generationConfig.responseMimeType", b.arena), "application/json");
	assert_string_equal(
		text_at(json, "generationConfig.responseSchema.type", b.arena), "ARRAY");
	assert_string_equal(
		text_at(json,
			"generationConfig.responseSchema.items.properties.publication_year.type",
			b.arena),
		"INTEGER");
	assert_null(strstr(b.request.body, "additionalProperties"));
	assert_string_equal(text_at(json, "generationConfig.maxOutputTokens", b.arena), "16384");
	bf_json_free(json);
	done(&b);
}

/* Proves that thinking and temperature are asked for only in the words that a model's family takes.
 */
static void test_gemini_families(void **state)
{
	static const struct {
		const char *model, *level, *budget;
		bool temperature;
	} rows[] = {
		{ "gemini-3.5-flash-lite", "low", NULL, false },
		{ "gemini-3.8-flash", "low", NULL, false },
		{ "gemini-3.1-pro-preview", "low", NULL, false },
		{ "gemini-3-flash-preview", "low", NULL, false },
		{ "gemini-2.5-flash", NULL, "1024", true },
		{ "gemini-2.5-flash-lite", NULL, "1024", true },
		{ "gemini-2.5-pro", NULL, "1024", true },
		{ "gemini-flash-latest", NULL, NULL, false },
		{ "gemini-30-flash", NULL, NULL, false },
		{ "models/gemini-3.6-flash", "low", NULL, false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BF_COUNT(rows); i++) {
		struct built b = build_generate(BF_GEMINI, rows[i].model, 100);
		struct bf_json *json = json_of(&b);

		assert_null(strstr(b.request.url, "models/models"));
		assert_string_equal(
			text_at(json, "generationConfig.thinkingConfig.thinkingLevel", b.arena),
			rows[i].level != NULL ? rows[i].level : "(none)");
		assert_string_equal(
			text_at(json, "generationConfig.thinkingConfig.thinkingBudget", b.arena),
			rows[i].budget != NULL ? rows[i].budget : "(none)");
		assert_int_equal(type_at(json, "generationConfig.temperature"),
			rows[i].temperature ? BF_J_NUMBER : BF_J_ABSENT);
		assert_string_equal(
			text_at(json, "generationConfig.maxOutputTokens", b.arena), "30000");
		bf_json_free(json);
		done(&b);
	}
}

/* Proves xAI's path, bearer header, strict schema with an object at its root, and token limit. */
static void test_xai(void **state)
{
	struct built b = build_generate(BF_XAI, "grok-4.3", 20);
	int url, headers, body;
	struct bf_json *json;

	(void)state;
	assert_true(b.ok);
	assert_string_equal(b.request.method, "POST");
	assert_string_equal(b.request.url, "http://127.0.0.1:9/base/chat/completions");
	assert_string_equal(header(&b, "Authorization"), "Bearer " KEY);
	assert_string_equal(header(&b, "Content-Type"), "application/json");
	assert_int_equal(keys_in(&b, &url, &headers, &body), 1);
	json = json_of(&b);
	assert_string_equal(text_at(json, "model", b.arena), "grok-4.3");
	assert_string_equal(text_at(json, "messages.0.role", b.arena), "system");
	assert_string_equal(text_at(json, "messages.1.role", b.arena), "user");
	assert_string_equal(text_at(json, "max_completion_tokens", b.arena), "16384");
	assert_string_equal(text_at(json, "reasoning_effort", b.arena), "low");
	assert_string_equal(text_at(json, "response_format.type", b.arena), "json_schema");
	assert_string_equal(
		text_at(json, "response_format.json_schema.schema.required.0", b.arena), "books");
	assert_string_equal(
		text_at(json, "response_format.json_schema.schema.properties.books.type", b.arena),
		"array");
	assert_int_equal(type_at(json, "response_format.json_schema.strict"), BF_J_BOOL);
	/* strict: every property is required, nothing else allowed */
	assert_int_equal(
		bf_json_size(bf_json_path(bf_json_root(json),
			"response_format.json_schema.schema.properties.books.items.required")),
		bf_json_size(bf_json_path(bf_json_root(json),
			"response_format.json_schema.schema.properties.books.items.properties")));
	assert_int_equal(type_at(json, "response_format.json_schema.schema.additionalProperties"),
		BF_J_BOOL);
	assert_int_equal(type_at(json,
				 "response_format.json_schema.schema.properties.books.items."
				 "additionalProperties"),
		BF_J_BOOL);
	assert_int_equal(type_at(json, "temperature"), BF_J_ABSENT);
	bf_json_free(json);
	done(&b);
}

/* Proves that reasoning_effort goes only to ids that do not fix it themselves. */
static void test_xai_effort(void **state)
{
	static const struct {
		const char *model;
		bool effort;
	} rows[] = { { "grok-4.3", true }, { "grok-4.5", true }, { "grok-4.6", true },
		{ "grok-4.7", true }, { "grok-4.3-latest", true },
		{ "grok-4.20-0309-reasoning", false }, { "grok-4.20-0309-non-reasoning", false },
		{ "grok-4-1-fast-non-reasoning", false }, { "grok-4.30", false },
		{ "grok-build-0.1", false }, { "grok-3-mini", false } };
	size_t i;

	(void)state;
	for (i = 0; i < BF_COUNT(rows); i++) {
		struct built b = build_generate(BF_XAI, rows[i].model, 20);
		struct bf_json *json = json_of(&b);

		assert_int_equal(type_at(json, "reasoning_effort"),
			rows[i].effort ? BF_J_STRING : BF_J_ABSENT);
		bf_json_free(json);
		done(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gemini),
		cmocka_unit_test(test_gemini_families),
		cmocka_unit_test(test_xai),
		cmocka_unit_test(test_xai_effort),
	};

	return cmocka_run_group_tests_name("build_ai", tests, NULL, NULL);
}
