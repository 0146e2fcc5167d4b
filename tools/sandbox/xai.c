/* xai: /chat/completions of api.x.ai, with the refusals and the odd error bodies of the real
 * one. */
#include <string.h>
#include "answer.h"
#include "sandbox.h"

/* The text of a message: a string, or typed parts. */
static const char *content_text(struct bf_jval content, struct bf_arena *arena)
{
	const char *text = bf_json_str(content, arena);

	if (text || bf_json_type(content) != BF_J_ARRAY)
		return text ? text : "";
	text = "";
	for (struct bf_jval p = bf_json_first(content); bf_json_type(p); p = bf_json_next(p)) {
		const char *t = bf_json_str(bf_json_get(p, "text"), arena);

		text = bf_arena_printf(arena, "%s%s\n", text, t ? t : "");
	}
	return text;
}

/* Reads the request's body; false with a refusal in *out. */
static bool read_ask(struct request *r, struct bf_jval root, struct ask *ask, struct reply *out)
{
	static const char *const refused[] = { "presence_penalty", "frequency_penalty", "stop" };
	struct bf_jval format = bf_json_get(root, "response_format"),
		       effort = bf_json_get(root, "reasoning_effort");
	const char *text = "";

	ask->model = bf_json_str(bf_json_get(root, "model"), r->arena);
	for (struct bf_jval m = bf_json_first(bf_json_get(root, "messages")); bf_json_type(m);
		m = bf_json_next(m)) {
		const char *role = bf_json_str(bf_json_get(m, "role"), r->arena);

		if (role && !strcmp(role, "user"))
			text = bf_arena_printf(r->arena, "%s%s\n", text,
				content_text(bf_json_get(m, "content"), r->arena));
	}
	if (!ask->model || !*text) {
		errors_refuse(r, out, REFUSE_REQUEST,
			"Failed to deserialize the JSON body into the target type: missing field");
		return false;
	}
	if (strstr(ask->model, "retired") || strncmp(ask->model, "grok-", 5)) {
		errors_refuse(r, out, REFUSE_MODEL, ask->model);
		return false;
	}
	for (size_t i = 0; i < BF_COUNT(refused); i++)
		if (bf_json_type(bf_json_get(root, refused[i]))) {
			errors_refuse(r, out, REFUSE_REQUEST, bf_arena_printf(r->arena,
				"Model %s does not support parameter %s.", ask->model, refused[i]));
			return false;
		}
	if (bf_json_type(effort) && strstr(ask->model, "reasoning")) {
		errors_refuse(r, out, REFUSE_REQUEST, bf_arena_printf(r->arena,
			"Model %s does not support parameter reasoningEffort.", ask->model));
		return false;
	}
	prompt_read(ask, text);
	prompt_schema(ask, bf_json_path(format, "json_schema.schema"), r->arena);
	ask->array = false;
	if (!bf_json_int(bf_json_get(root, "max_completion_tokens"), &ask->max_tokens))
		(void)bf_json_int(bf_json_get(root, "max_tokens"), &ask->max_tokens);
	return true;
}

/* The one choice. */
static void write_choice(struct bf_jw *jw, struct request *r, const struct answer *a)
{
	bool refusal = r->fault == FAULT_REFUSAL, safety = r->fault == FAULT_SAFETY;

	bf_jw_obj(jw);
	bf_jw_key(jw, "index");
	bf_jw_int(jw, 0);
	bf_jw_key(jw, "message");
	bf_jw_obj(jw);
	bf_jw_key(jw, "role");
	bf_jw_str(jw, "assistant");
	bf_jw_key(jw, "content");
	bf_jw_str(jw, refusal ? NULL : safety ? "" : a->text);
	if (r->hash % 2) {
		bf_jw_key(jw, "reasoning_content");
		bf_jw_str(jw,
			"The user wants releases of one month. I recall {lists} and [prizes].\n");
	}
	if (refusal || r->hash % 5) {	/* older shapes lack the field */
		bf_jw_key(jw, "refusal");
		bf_jw_str(jw, refusal ? "I can't help with listing these books." : NULL);
	}
	bf_jw_end_obj(jw);
	bf_jw_key(jw, "finish_reason");
	bf_jw_str(jw, safety ? "content_filter" : a->cut ? "length" : "stop");
	bf_jw_end_obj(jw);
}

/* Tokens; completion_tokens leaves reasoning out, and the cost is in ticks of 1e-10 US dollars. */
static void write_usage(struct bf_jw *jw, const struct answer *a)
{
	int64_t in = a->prompt_tokens + 150, cached = 128;

	bf_jw_key(jw, "usage");
	bf_jw_obj(jw);
	bf_jw_key(jw, "prompt_tokens");
	bf_jw_int(jw, in);
	bf_jw_key(jw, "completion_tokens");
	bf_jw_int(jw, a->output_tokens);
	bf_jw_key(jw, "total_tokens");
	bf_jw_int(jw, in + a->output_tokens + a->thought_tokens);
	bf_jw_key(jw, "prompt_tokens_details");
	bf_jw_obj(jw);
	bf_jw_key(jw, "text_tokens");
	bf_jw_int(jw, in);
	bf_jw_key(jw, "cached_tokens");
	bf_jw_int(jw, cached);
	bf_jw_end_obj(jw);
	bf_jw_key(jw, "completion_tokens_details");
	bf_jw_obj(jw);
	bf_jw_key(jw, "reasoning_tokens");
	bf_jw_int(jw, a->thought_tokens);
	bf_jw_end_obj(jw);
	bf_jw_key(jw, "num_sources_used");
	bf_jw_int(jw, 0);
	bf_jw_key(jw, "cost_in_usd_ticks");
	bf_jw_int(jw,
		(in - cached) * 12500 + cached * 2000 +
			(a->output_tokens + a->thought_tokens) * 25000);
	bf_jw_end_obj(jw);
}

/* The answer of a model that was asked properly. */
static void write_answer(struct request *r, const struct ask *ask, struct reply *out)
{
	struct answer a;
	struct bf_jw jw = reply_json(out, 200);

	answer_make(r, ask, &a);
	bf_jw_obj(&jw);
	bf_jw_key(&jw, "id");
	bf_jw_str(&jw, answer_id(r));
	bf_jw_key(&jw, "object");
	bf_jw_str(&jw, "chat.completion");
	bf_jw_key(&jw, "created");
	bf_jw_int(&jw, 1790000000 + (int64_t)(r->hash % 4000000));
	bf_jw_key(&jw, "model");
	bf_jw_str(&jw, ask->model);
	bf_jw_key(&jw, "choices");
	bf_jw_arr(&jw);
	write_choice(&jw, r, &a);
	bf_jw_end_arr(&jw);
	write_usage(&jw, &a);
	bf_jw_key(&jw, "system_fingerprint");
	bf_jw_str(&jw, "fp_5a4d2b0c91");
	bf_jw_end_obj(&jw);
}

/* Every request below /xai. */
void xai_answer(struct request *r, struct reply *out)
{
	const char *auth = request_header(r, "Authorization");
	struct ask ask = { 0 };
	struct bf_json *body;
	struct bf_error err;

	if (strcmp(r->path, "/chat/completions")) {
		errors_refuse(r, out, REFUSE_NOT_FOUND, NULL);
		return;
	}
	if (strcmp(r->method, "POST")) {
		errors_refuse(r, out, REFUSE_METHOD, NULL);
		return;
	}
	if (strncmp(auth, "Bearer ", 7) || !auth[7] || strstr(auth, "bad")) {
		errors_refuse(r, out,
			strncmp(auth, "Bearer ", 7) || !auth[7] ? REFUSE_KEY_MISSING
								: REFUSE_KEY_BAD,
			NULL);
		return;
	}
	if (strncasecmp(request_header(r, "Content-Type"), "application/json", 16)) {
		struct bf_jw jw = reply_json(out, 415);

		bf_jw_obj(&jw);
		bf_jw_key(&jw, "error");
		bf_jw_str(&jw, "Expected request with `Content-Type: application/json`");
		bf_jw_end_obj(&jw);
		return;
	}
	body = bf_json_parse(r->body, r->body_len, &bf_json_limits_default, false, &err);
	if (!body)
		errors_refuse(r, out, REFUSE_REQUEST, "Failed to parse the request body as JSON");
	else if (read_ask(r, bf_json_root(body), &ask, out)) {
		sandbox_asked(r, &ask);
		if (request_admit(r, out, 1))
			write_answer(r, &ask, out);
	}
	bf_json_free(body);
}
