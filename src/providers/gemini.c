/*
 * gemini: Google's generateContent (v1beta). A prompt becomes one request with a response schema;
 * whatever comes back becomes the model's text or a typed failure. A block and a recitation are
 * answers, not failures.
 */
#include <string.h>
#include "wire.h"

#define LABEL    "gemini generateContent"
#define BODY_MAX (1024 * 1024)

/* Thinking is asked for in the words that the model's family takes: the other word is an error
 * there, and unknown families and the moving "-latest" names get neither. */
static void thinking(struct bf_jw *w, const char *model)
{
	bool budget = strncmp(model, "gemini-2.5-", 11) == 0;
	bool level = strncmp(model, "gemini-3", 8) == 0 && (model[8] == '.' || model[8] == '-');

	if (!budget && !level)
		return;
	bf_jw_key(w, "thinkingConfig");
	bf_jw_obj(w);
	if (budget) {
		bf_jw_key(w, "thinkingBudget");
		bf_jw_int(w, 1024); /* within the range of flash, flash-lite and pro */
	} else {
		bf_jw_key(w, "thinkingLevel");
		bf_jw_str(w, "low"); /* "minimal" is refused by some */
	}
	bf_jw_end_obj(w);
}

/* generationConfig. Sampling parameters are deprecated from the 3.x models on. */
static void generation_config(struct bf_jw *w, const char *model, int up_to_n)
{
	bf_jw_key(w, "generationConfig");
	bf_jw_obj(w);
	bf_jw_key(w, "maxOutputTokens");
	bf_jw_int(w, ai_max_tokens(up_to_n));
	bf_jw_key(w, "responseMimeType");
	bf_jw_str(w, "application/json");
	bf_jw_key(w, "responseSchema");
	ai_schema_books(w, AI_SCHEMA_OPENAPI);
	if (strncmp(model, "gemini-2.5-", 11) == 0) {
		bf_jw_key(w, "temperature");
		bf_jw_dbl(w, 0.4, 1);
	}
	thinking(w, model);
	bf_jw_end_obj(w);
}

/* {"parts":[{"text":...}]}, with a role for what the user says. */
static void content(struct bf_jw *w, const char *role, const char *text)
{
	bf_jw_obj(w);
	if (role != NULL) {
		bf_jw_key(w, "role");
		bf_jw_str(w, role);
	}
	bf_jw_key(w, "parts");
	bf_jw_arr(w);
	bf_jw_obj(w);
	bf_jw_key(w, "text");
	bf_jw_str(w, text);
	bf_jw_end_obj(w);
	bf_jw_end_arr(w);
	bf_jw_end_obj(w);
}

/* The request's body. */
static void body(struct bf_buf *buf, const struct provider_ask *ask, const char *model)
{
	struct bf_jw w;

	bf_jw_init(&w, buf);
	bf_jw_obj(&w);
	if (ask->system != NULL && ask->system[0] != '\0') {
		bf_jw_key(&w, "systemInstruction");
		content(&w, NULL, ask->system);
	}
	bf_jw_key(&w, "contents");
	bf_jw_arr(&w);
	content(&w, "user", ask->prompt);
	bf_jw_end_arr(&w);
	generation_config(&w, model, ask->up_to_n);
	bf_jw_end_obj(&w);
}

/* POST {base}/models/{model}:generateContent, the key in a header. */
static bool build(const struct provider_ask *ask, const struct bf_provider_config *config,
	struct bf_arena *arena, struct provider_request *ret, struct bf_error *err)
{
	const char *model;
	struct bf_buf buf;

	if (!ai_ask_ok(ask, config, LABEL, err))
		return false;
	model = strncmp(ask->model, "models/", 7) == 0 ? ask->model + 7 : ask->model;
	bf_buf_init(&buf, BODY_MAX);
	body(&buf, ask, model);
	if (buf.failed) {
		bf_buf_release(&buf);
		bf_error_set(err, BF_ERR_PERMANENT, "%s: the prompt is longer than %d bytes", LABEL,
			BODY_MAX);
		return false;
	}
	ret->method = "POST";
	ret->url = bf_arena_printf(arena, "%s/models/%s:generateContent", config->base_url,
		provider_escape(arena, model));
	ret->body_len = buf.len;
	ret->body = provider_arena_buf(arena, &buf);
	ret->units = 1;
	provider_header(ret, "Content-Type", "application/json");
	provider_header(ret, "Accept", "application/json");
	provider_header(ret, "x-goog-api-key", bf_arena_strdup(arena, config->api_key));
	if (config->timeout_ms >=
		20000) /* the service gives up before we do: what nobody reads is not written */
		provider_header(ret, "X-Server-Timeout",
			bf_arena_printf(arena, "%lld", (long long)(config->timeout_ms / 1000 - 5)));
	return true;
}

/* An error by its status, and by its details where one status means several things. */
static void read_error(const struct google_error *e, const struct bf_http_reply *reply,
	struct bf_arena *arena, struct provider_answer *ret)
{
	enum provider_outcome outcome = provider_outcome_of_status(e->code);

	if (e->bad_key || e->code == 404 ||
		(e->code == 400 && e->status != NULL &&
			strcmp(e->status, "FAILED_PRECONDITION") == 0))
		outcome = OUTCOME_AUTH;
	else if (e->code == 429 &&
		(provider_has(e->message, "spend cap") ||
			provider_has(e->message, "spending cap") ||
			provider_has(e->message, "spending limit") ||
			provider_has(e->message, "spend limit")))
		outcome = OUTCOME_BILLING;
	else if (e->code == 429 && e->per_day)
		outcome = OUTCOME_QUOTA_DAY;
	else if (outcome == OUTCOME_OK) /* an error without a code under a 200 */
		outcome = OUTCOME_UPSTREAM;
	if (e->retry_ms >= 0)
		ret->retry_after_ms = e->retry_ms;
	else if (outcome == OUTCOME_RATE && ret->retry_after_ms < 0 && e->per_minute)
		ret->retry_after_ms = 60000;
	provider_fail(ret, arena, outcome, reply, e->message != NULL ? e->message : e->status);
}

/* A count that may be missing, negative or absurd. */
static int64_t count(struct bf_jval usage, const char *key)
{
	int64_t n;

	return bf_json_int(bf_json_get(usage, key), &n) && n > 0 && n < INT64_C(1000000000) ? n : 0;
}

/* Thinking is billed as output; counts that are zero are left out by the service, the total makes
 * up for them. */
static void read_usage(struct bf_jval usage, struct provider_answer *ret)
{
	int64_t total = count(usage, "totalTokenCount");

	ret->tokens_in = count(usage, "promptTokenCount") + count(usage, "toolUsePromptTokenCount");
	ret->tokens_out = count(usage, "candidatesTokenCount") + count(usage, "thoughtsTokenCount");
	if (ret->tokens_in > 0 && total - ret->tokens_in > ret->tokens_out)
		ret->tokens_out = total - ret->tokens_in;
}

/* The model's text: all parts in order, without its thoughts. */
static void read_parts(
	struct bf_jval parts, size_t max, struct bf_arena *arena, struct provider_answer *ret)
{
	struct bf_buf text;
	struct bf_jval part;
	const char *piece;
	bool thought;

	bf_buf_init(&text, max);
	for (part = bf_json_first(parts); bf_json_type(part) != BF_J_ABSENT;
		part = bf_json_next(part)) {
		if (bf_json_bool(bf_json_get(part, "thought"), &thought) && thought)
			continue;
		if (bf_json_type(bf_json_get(part, "text")) == BF_J_STRING &&
			(piece = bf_json_str(bf_json_get(part, "text"), arena)) != NULL)
			bf_buf_adds(&text, piece);
	}
	if (!ai_blank(text.data, text.len)) {
		ret->text_len = text.len;
		ret->text = bf_arena_strndup(arena, text.data, text.len);
	}
	bf_buf_release(&text);
}

/* Reasons that tell of a block whether or not some text came before it. */
static bool blocks(const char *finish)
{
	static const char *const blocking[] = { "SAFETY", "RECITATION", "BLOCKLIST",
		"PROHIBITED_CONTENT", "SPII", "LANGUAGE", "IMAGE_SAFETY",
		"IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "MODEL_ARMOR", "JAILBREAK" };
	size_t i;

	for (i = 0; i < BF_COUNT(blocking); i++) {
		if (strcmp(finish, blocking[i]) == 0)
			return true;
	}
	return false;
}

/* One candidate: its text and how it ended. A reason that nobody listed is a block when it left no
 * text. */
static void read_candidate(struct bf_jval candidate, const struct bf_http_reply *reply,
	struct bf_arena *arena, struct provider_answer *ret)
{
	const char *finish = provider_text(bf_json_get(candidate, "finishReason"), arena);
	const char *words = provider_text(bf_json_get(candidate, "finishMessage"), arena);
	bool stopped;

	read_parts(bf_json_path(candidate, "content.parts"), reply->body_len + 1, arena, ret);
	if (finish == NULL)
		finish = "STOP";
	stopped = strcmp(finish, "STOP") == 0 || strcmp(finish, "FINISH_REASON_UNSPECIFIED") == 0;
	words = words != NULL ? bf_arena_printf(arena, "%s: %s", finish, words) : finish;
	ret->cut = !stopped;
	if (strcmp(finish, "MAX_TOKENS") == 0 && ret->text == NULL)
		provider_fail(ret, arena, OUTCOME_EMPTY, reply,
			bf_arena_printf(arena,
				"MAX_TOKENS: all %lld tokens went into thinking, no text",
				(long long)ret->tokens_out));
	else if (blocks(finish) || (ret->text == NULL && !stopped))
		provider_fail(ret, arena, OUTCOME_REFUSED, reply, words);
	else if (ret->text == NULL)
		provider_fail(ret, arena, OUTCOME_EMPTY, reply, "the model ended without a text");
	else
		ret->outcome = OUTCOME_OK;
}

/* No candidate: a blocked prompt says why, or at least says something about the prompt. */
static void read_no_candidate(struct bf_jval root, const struct bf_http_reply *reply,
	struct bf_arena *arena, struct provider_answer *ret)
{
	struct bf_jval feedback = bf_json_get(root, "promptFeedback");
	const char *block = provider_text(bf_json_get(feedback, "blockReason"), arena);
	const char *words = provider_text(bf_json_get(feedback, "blockReasonMessage"), arena);

	if (bf_json_type(feedback) == BF_J_OBJECT)
		provider_fail(ret, arena, OUTCOME_REFUSED, reply,
			bf_arena_printf(arena, "prompt blocked: %s%s%s",
				block != NULL ? block : "no reason given",
				words != NULL ? ": " : "", words != NULL ? words : ""));
	else if (bf_json_type(bf_json_get(root, "usageMetadata")) == BF_J_OBJECT)
		provider_fail(ret, arena, OUTCOME_EMPTY, reply, "no candidate");
	else
		provider_fail(
			ret, arena, OUTCOME_GARBAGE, reply, "neither candidates nor an error");
}

/* Any reply to generateContent. */
static void parse(const struct provider_ask *ask, const struct bf_http_reply *reply,
	struct bf_arena *arena, struct provider_answer *ret)
{
	struct google_error e;
	struct bf_jval root, candidate;
	struct bf_json *json;

	(void)ask;
	ret->retry_after_ms = reply->retry_after_ms;
	json = provider_json(reply, arena, ret);
	if (json == NULL) {
		if (reply->status ==
			404) /* the front server's page for a path or model that it does not know */
			ret->outcome = OUTCOME_AUTH;
		return;
	}
	root = bf_json_root(json);
	if (bf_json_type(root) == BF_J_ARRAY)
		root = bf_json_first(root);
	read_usage(bf_json_get(root, "usageMetadata"), ret);
	ret->model = provider_text(bf_json_get(root, "modelVersion"), arena);
	candidate = bf_json_first(bf_json_get(root, "candidates"));
	if (google_error_read(root, reply, arena, &e))
		read_error(&e, reply, arena, ret);
	else if (provider_outcome_of_status(reply->status) != OUTCOME_OK)
		provider_fail(ret, arena, provider_outcome_of_status(reply->status), reply,
			provider_excerpt(arena, reply->body, reply->body_len));
	else if (bf_json_type(candidate) == BF_J_OBJECT &&
		bf_json_type(bf_json_path(root, "promptFeedback.blockReason")) != BF_J_STRING)
		read_candidate(candidate, reply, arena, ret);
	else
		read_no_candidate(root, reply, arena, ret);
	bf_json_free(json);
}

const struct provider_ops provider_gemini = {
	.id = BF_GEMINI,
	.label = LABEL,
	.max_body = 4 * 1024 * 1024,
	.max_redirects = 0,
	.paid = true,
	.build = build,
	.parse = parse,
};
