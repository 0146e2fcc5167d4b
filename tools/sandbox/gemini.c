/*
 * gemini: models/{model}:generateContent of the Generative Language API, v1beta. Refuses what the
 * real one refuses: unknown fields, two schemas, a schema with keywords outside its subset.
 */
#include <string.h>
#include "answer.h"
#include "sandbox.h"

static const char *const top_fields[] = { "contents", "systemInstruction", "system_instruction",
	"generationConfig", "generation_config", "safetySettings", "safety_settings", "tools",
	"toolConfig", "tool_config", "cachedContent", "model", NULL };
static const char *const config_fields[] = { "maxOutputTokens", "responseMimeType",
	"responseSchema", "responseJsonSchema", "thinkingConfig", "temperature", "topP", "topK",
	"seed", "candidateCount", "stopSequences", "presencePenalty", "frequencyPenalty",
	"responseModalities", NULL };

/* Name of the first member that is not in the list; NULL when all are. */
static const char *stranger(struct bf_jval object, const char *const *known, struct bf_arena *arena)
{
	for (struct bf_jval v = bf_json_first(object); bf_json_type(v); v = bf_json_next(v)) {
		const char *key = bf_json_key(v, arena);
		size_t i = 0;

		while (known[i] && strcmp(known[i], key))
			i++;
		if (!known[i])
			return key;
	}
	return NULL;
}

/* Has the schema a keyword that responseSchema does not take, at any depth? */
static const char *bad_keyword(struct bf_jval schema, struct bf_arena *arena)
{
	static const char *const refused[] = { "additionalProperties", "$ref", "oneOf", "const",
		"$defs" };
	const char *bad = NULL;

	for (struct bf_jval v = bf_json_first(schema); bf_json_type(v) && !bad;
		v = bf_json_next(v)) {
		const char *key = bf_json_key(v, arena);

		for (size_t i = 0; key && i < BF_COUNT(refused); i++)
			if (!strcmp(key, refused[i]))
				return key;
		bad = bad_keyword(v, arena);
	}
	return bad;
}

/* What is wrong with generationConfig; NULL when nothing is. */
static const char *config_problem(struct bf_jval config, const char *model, struct bf_arena *arena)
{
	struct bf_jval thinking = bf_json_get(config, "thinkingConfig"),
		       schema = bf_json_get(config, "responseSchema");
	const char *bad = stranger(config, config_fields, arena);

	if (bad)
		return bf_arena_printf(arena,
			"Invalid JSON payload received. Unknown name \"%s\" at "
			"'generation_config': Cannot find field.",
			bad);
	if (bf_json_type(schema) && bf_json_type(bf_json_get(config, "responseJsonSchema")))
		return "Only one of response_schema and response_json_schema may be set.";
	bad = bad_keyword(schema, arena);
	if (bad)
		return bf_arena_printf(arena,
			"Invalid JSON payload received. Unknown name \"%s\" at "
			"'generation_config.response_schema': Cannot find field.",
			bad);
	if (bf_json_type(bf_json_get(thinking, "thinkingBudget")) &&
		bf_json_type(bf_json_get(thinking, "thinkingLevel")))
		return "You can only set one of thinking budget and thinking level.";
	if (bf_json_type(bf_json_get(thinking, "thinkingLevel")) &&
		!strncmp(model, "gemini-2.5", 10))
		return "Thinking level is not supported for this model.";
	return NULL;
}

/* Reads the request's body; false with a refusal in *out. */
static bool read_ask(struct request *r, struct bf_jval root, struct ask *ask, struct reply *out)
{
	struct bf_jval contents = bf_json_get(root, "contents"),
		       config = bf_json_get(root, "generationConfig");
	const char *text = "", *bad = stranger(root, top_fields, r->arena), *role = NULL;

	for (struct bf_jval c = bf_json_first(contents); bf_json_type(c); c = bf_json_next(c)) {
		role = bf_json_str(bf_json_get(c, "role"), r->arena);
		for (struct bf_jval p = bf_json_first(bf_json_get(c, "parts")); bf_json_type(p);
			p = bf_json_next(p)) {
			const char *t = bf_json_str(bf_json_get(p, "text"), r->arena);

			text = bf_arena_printf(r->arena, "%s%s\n", text, t ? t : "");
		}
	}
	if (bad)
		bad = bf_arena_printf(r->arena,
			"Invalid JSON payload received. Unknown name \"%s\": Cannot find field.",
			bad);
	else if (!*text)
		bad = "* GenerateContentRequest.contents: contents is not specified";
	else if (role && !strcmp(role, "model"))
		bad = "Requests ending with a model turn are not supported.";
	else
		bad = config_problem(config, ask->model, r->arena);
	if (bad) {
		errors_refuse(r, out, REFUSE_REQUEST, bad);
		return false;
	}
	ask->array = true;
	prompt_read(ask, text);
	prompt_schema(ask, bf_json_get(config, "responseSchema"), r->arena);
	prompt_schema(ask, bf_json_get(config, "responseJsonSchema"), r->arena);
	(void)bf_json_int(bf_json_get(config, "maxOutputTokens"), &ask->max_tokens);
	return true;
}

/* The text as parts: a thought before it sometimes, and the text in one, two or three pieces. */
static void write_parts(struct bf_jw *jw, const struct request *r, const char *text)
{
	size_t len = strlen(text),
	       pieces = 1 + (r->hash / 4096 % 4 == 0) + (r->hash / 16384 % 8 == 0), from = 0;

	bf_jw_arr(jw);
	if (r->hash / 512 % 3 == 0) {
		bf_jw_obj(jw);
		bf_jw_key(jw, "text");
		bf_jw_str(jw,
			"**Gathering releases**\n\nI go through the month's [lists] and {prizes} "
			"first.");
		bf_jw_key(jw, "thought");
		bf_jw_bool(jw, true);
		bf_jw_end_obj(jw);
	}
	for (size_t i = 1; i <= pieces; i++) {
		size_t to = i == pieces ? len : bf_utf8_cut(text, len, len * i / pieces);

		bf_jw_obj(jw);
		bf_jw_key(jw, "text");
		bf_jw_strn(jw, text + from, to - from);
		if (i == pieces && r->hash % 2) {
			bf_jw_key(jw, "thoughtSignature");
			bf_jw_str(jw, "Q2lSZWFkTWU9");
		}
		bf_jw_end_obj(jw);
		from = to;
	}
	bf_jw_end_arr(jw);
}

/* usageMetadata, modelVersion and responseId; counts of zero are left out. */
static void write_usage(
	struct bf_jw *jw, const struct request *r, const struct ask *ask, const struct answer *a)
{
	int64_t thoughts = r->hash % 2 ? a->thought_tokens : 0;

	bf_jw_key(jw, "usageMetadata");
	bf_jw_obj(jw);
	bf_jw_key(jw, "promptTokenCount");
	bf_jw_int(jw, a->prompt_tokens);
	if (a->output_tokens) {
		bf_jw_key(jw, "candidatesTokenCount");
		bf_jw_int(jw, a->output_tokens);
	}
	if (thoughts) {
		bf_jw_key(jw, "thoughtsTokenCount");
		bf_jw_int(jw, thoughts);
	}
	bf_jw_key(jw, "totalTokenCount");
	bf_jw_int(jw, a->prompt_tokens + a->output_tokens + thoughts);
	bf_jw_key(jw, "promptTokensDetails");
	bf_jw_arr(jw);
	bf_jw_obj(jw);
	bf_jw_key(jw, "modality");
	bf_jw_str(jw, "TEXT");
	bf_jw_key(jw, "tokenCount");
	bf_jw_int(jw, a->prompt_tokens);
	bf_jw_end_obj(jw);
	bf_jw_end_arr(jw);
	bf_jw_end_obj(jw);
	bf_jw_key(jw, "modelVersion");
	bf_jw_str(jw, ask->model);
	bf_jw_key(jw, "responseId");
	bf_jw_str(jw, answer_id(r));
}

/* The answer of a model that was asked properly. */
static void write_answer(struct request *r, const struct ask *ask, struct reply *out)
{
	struct answer a;
	struct bf_jw jw = reply_json(out, 200);
	bool safety = r->fault == FAULT_SAFETY;

	answer_make(r, ask, &a);
	bf_jw_obj(&jw);
	if (safety && r->hash % 2) {	/* the prompt was blocked: no candidates at all */
		bf_jw_key(&jw, "promptFeedback");
		bf_jw_obj(&jw);
		bf_jw_key(&jw, "blockReason");
		bf_jw_str(&jw, "PROHIBITED_CONTENT");
		bf_jw_end_obj(&jw);
		a.output_tokens = 0;
	} else {
		bf_jw_key(&jw, "candidates");
		bf_jw_arr(&jw);
		bf_jw_obj(&jw);
		bf_jw_key(&jw, "content");
		bf_jw_obj(&jw);
		if (!safety) {
			bf_jw_key(&jw, "parts");
			write_parts(&jw, r, a.text);
			bf_jw_key(&jw, "role");
			bf_jw_str(&jw, "model");
		}
		bf_jw_end_obj(&jw);
		bf_jw_key(&jw, "finishReason");
		bf_jw_str(&jw, safety ? "SAFETY" : a.cut ? "MAX_TOKENS" : "STOP");
		bf_jw_key(&jw, "index");
		bf_jw_int(&jw, 0);
		bf_jw_end_obj(&jw);
		bf_jw_end_arr(&jw);
	}
	write_usage(&jw, r, ask, &a);
	bf_jw_end_obj(&jw);
}

/* GET /models: what the key may use. */
static void write_models(struct reply *out)
{
	struct bf_jw jw = reply_json(out, 200);

	bf_jw_obj(&jw);
	bf_jw_key(&jw, "models");
	bf_jw_arr(&jw);
	bf_jw_obj(&jw);
	bf_jw_key(&jw, "name");
	bf_jw_str(&jw, "models/gemini-3.5-flash-lite");
	bf_jw_key(&jw, "supportedGenerationMethods");
	bf_jw_arr(&jw);
	bf_jw_str(&jw, "generateContent");
	bf_jw_end_arr(&jw);
	bf_jw_end_obj(&jw);
	bf_jw_end_arr(&jw);
	bf_jw_end_obj(&jw);
}

/* Every request below /gemini. */
void gemini_answer(struct request *r, struct reply *out)
{
	static const char lead[] = "/models/", tail[] = ":generateContent";
	const char *key = request_header(r, "x-goog-api-key");
	size_t len = strlen(r->path);
	struct ask ask = { 0 };
	struct bf_json *body;
	struct bf_error err;

	if (!*key)
		key = request_param(r, "key");
	if (!*key || strstr(key, "bad")) {
		errors_refuse(r, out, *key ? REFUSE_KEY_BAD : REFUSE_KEY_MISSING, NULL);
		return;
	}
	if (!strcmp(r->path, "/models") && !strcmp(r->method, "GET")) {
		write_models(out);
		return;
	}
	if (strncmp(r->path, lead, strlen(lead)) || len < strlen(lead) + strlen(tail) ||
	    strcmp(r->path + len - strlen(tail), tail) || strcmp(r->method, "POST")) {
		errors_refuse(r, out, REFUSE_NOT_FOUND, NULL);
		return;
	}
	ask.model = bf_arena_strndup(
		r->arena, r->path + strlen(lead), len - strlen(lead) - strlen(tail));
	if (strstr(ask.model, "retired") || strncmp(ask.model, "gemini-", 7)) {
		errors_refuse(r, out, REFUSE_MODEL, ask.model);
		return;
	}
	body = bf_json_parse(r->body, r->body_len, &bf_json_limits_default, false, &err);
	if (!body)
		errors_refuse(r, out, REFUSE_REQUEST, "Invalid JSON payload received.");
	else if (read_ask(r, bf_json_root(body), &ask, out)) {
		sandbox_asked(r, &ask);
		if (request_admit(r, out, 1))
			write_answer(r, &ask, out);
	}
	bf_json_free(body);
}
