/*
 * xai: Chat Completions with a strict JSON schema whose root is {"books":[...]}. Errors come in
 * three shapes, some of them under a 200, and their codes change from month to month: the status
 * decides first, the words second.
 */
#include <string.h>
#include "wire.h"

#define LABEL         "xai chat"
#define BODY_MAX      (1024 * 1024)
#define TICKS_PER_USD 1e10
#define TICKS_MAX (INT64_C(10000) * INT64_C(10000000000)) /* ten thousand dollars */

/* Models that take reasoning_effort; ids that carry "reasoning" themselves have it fixed and refuse
 * the parameter. */
static bool takes_effort(const char *model)
{
	static const char *const families[] = { "grok-4.3", "grok-4.5", "grok-4.6", "grok-4.7" };
	size_t i, n;

	if (strstr(model, "reasoning") != NULL)
		return false;
	for (i = 0; i < BF_COUNT(families); i++) {
		n = strlen(families[i]);
		if (strncmp(model, families[i], n) == 0 && (model[n] == '\0' || model[n] == '-'))
			return true;
	}
	return false;
}

/* response_format: an object at the root, because the service does not promise bare arrays. */
static void response_format(struct bf_jw *w)
{
	bf_jw_key(w, "response_format");
	bf_jw_obj(w);
	bf_jw_key(w, "type");
	bf_jw_str(w, "json_schema");
	bf_jw_key(w, "json_schema");
	bf_jw_obj(w);
	bf_jw_key(w, "name");
	bf_jw_str(w, "books");
	bf_jw_key(w, "strict");
	bf_jw_bool(w, true);
	bf_jw_key(w, "schema");
	bf_jw_obj(w);
	bf_jw_key(w, "type");
	bf_jw_str(w, "object");
	bf_jw_key(w, "additionalProperties");
	bf_jw_bool(w, false);
	bf_jw_key(w, "required");
	bf_jw_arr(w);
	bf_jw_str(w, "books");
	bf_jw_end_arr(w);
	bf_jw_key(w, "properties");
	bf_jw_obj(w);
	bf_jw_key(w, "books");
	ai_schema_books(w, AI_SCHEMA_JSON);
	bf_jw_end_obj(w);
	bf_jw_end_obj(w);
	bf_jw_end_obj(w);
	bf_jw_end_obj(w);
}

/* One message. */
static void message(struct bf_jw *w, const char *role, const char *text)
{
	bf_jw_obj(w);
	bf_jw_key(w, "role");
	bf_jw_str(w, role);
	bf_jw_key(w, "content");
	bf_jw_str(w, text);
	bf_jw_end_obj(w);
}

/* The request's body. */
static void body(struct bf_buf *buf, const struct provider_ask *ask)
{
	struct bf_jw w;

	bf_jw_init(&w, buf);
	bf_jw_obj(&w);
	bf_jw_key(&w, "model");
	bf_jw_str(&w, ask->model);
	bf_jw_key(&w, "messages");
	bf_jw_arr(&w);
	if (ask->system != NULL && ask->system[0] != '\0')
		message(&w, "system", ask->system);
	message(&w, "user", ask->prompt);
	bf_jw_end_arr(&w);
	bf_jw_key(&w, "max_completion_tokens");
	bf_jw_int(&w, ai_max_tokens(ask->up_to_n));
	if (takes_effort(ask->model)) {
		bf_jw_key(&w, "reasoning_effort");
		bf_jw_str(&w, "low");
	}
	response_format(&w);
	bf_jw_key(&w, "stream");
	bf_jw_bool(&w, false);
	bf_jw_end_obj(&w);
}

/* POST {base}/chat/completions, the key as a bearer token. */
static bool build(const struct provider_ask *ask, const struct bf_provider_config *config,
	struct bf_arena *arena, struct provider_request *ret, struct bf_error *err)
{
	struct bf_buf buf;

	if (!ai_ask_ok(ask, config, LABEL, err))
		return false;
	bf_buf_init(&buf, BODY_MAX);
	body(&buf, ask);
	if (buf.failed) {
		bf_buf_release(&buf);
		bf_error_set(err, BF_ERR_PERMANENT, "%s: the prompt is longer than %d bytes", LABEL,
			BODY_MAX);
		return false;
	}
	ret->method = "POST";
	ret->url = bf_arena_printf(arena, "%s/chat/completions", config->base_url);
	ret->body_len = buf.len;
	ret->body = provider_arena_buf(arena, &buf);
	ret->units = 1;
	provider_header(ret, "Content-Type", "application/json");
	provider_header(ret, "Accept", "application/json");
	provider_header(ret, "Authorization", bf_arena_printf(arena, "Bearer %s", config->api_key));
	return true;
}

/* Whether the words say that the account has run out of money, which no waiting mends. */
static bool out_of_credit(const char *text)
{
	return provider_has(text, "available credits") || provider_has(text, "spending limit") ||
		provider_has(text, "have any credits") ||
		provider_has(text, "insufficient credit") || provider_has(text, "out of credit") ||
		provider_has(text, "purchase credits");
}

/* What an error under a 200 means is only in its words. */
static enum provider_outcome outcome_of_words(const char *text)
{
	if (provider_has(text, "currently unavailable") || provider_has(text, "overloaded") ||
		provider_has(text, "capacity") || provider_has(text, "try again") ||
		provider_has(text, "internal error") || provider_has(text, "timed out"))
		return OUTCOME_UPSTREAM;
	if (provider_has(text, "too many requests") || provider_has(text, "rate limit"))
		return OUTCOME_RATE;
	if (provider_has(text, "entity was not found") || provider_has(text, "does not exist"))
		return OUTCOME_AUTH;
	return OUTCOME_BAD_REQUEST;
}

/* Status and words to an outcome. */
static enum provider_outcome outcome_of_error(int status, const char *text)
{
	bool ok = status >= 200 && status < 300;

	if (status >= 500)
		return OUTCOME_UPSTREAM;
	if (provider_has(text, "violates usage guidelines") || provider_has(text, "SAFETY_CHECK"))
		return OUTCOME_REFUSED;
	if (out_of_credit(text))
		return OUTCOME_BILLING;
	if ((ok || status == 400) &&
		(provider_has(text, "incorrect API key") || provider_has(text, "invalid API key")))
		return OUTCOME_AUTH;
	if (ok)
		return outcome_of_words(text);
	return status == 404 ? OUTCOME_AUTH : provider_outcome_of_status(status);
}

/* The three bodies: {"code","error":"text"}, {"error":{"message",...}}, {"error":"text"}; some
 * gateways say "message". */
static void read_error(struct bf_jval root, const struct bf_http_reply *reply,
	struct bf_arena *arena, struct provider_answer *ret)
{
	struct bf_jval error = bf_json_get(root, "error");
	const char *text, *code, *all;

	if (bf_json_type(error) == BF_J_OBJECT) {
		text = provider_text(bf_json_get(error, "message"), arena);
		code = provider_text(bf_json_get(error, "code"), arena);
	} else {
		text = provider_text(error, arena);
		code = provider_text(bf_json_get(root, "code"), arena);
	}
	if (text == NULL)
		text = provider_text(bf_json_get(root, "message"), arena);
	if (text == NULL)
		text = provider_text(bf_json_get(root, "detail"), arena);
	all = bf_arena_printf(arena, "%s%s%s", text != NULL ? text : "",
		text != NULL && code != NULL ? "; " : "", code != NULL ? code : "");
	provider_fail(ret, arena, outcome_of_error(reply->status, all), reply,
		text != NULL ? text : code);
}

/* A count that may be missing, negative or absurd. */
static int64_t count(struct bf_jval usage, const char *path)
{
	int64_t n;

	return bf_json_int(bf_json_path(usage, path), &n) && n > 0 && n < INT64_C(1000000000) ? n
											      : 0;
}

/* completion_tokens lacks the reasoning here, not at compatible hosts; the total settles it. */
static void read_usage(struct bf_jval usage, struct provider_answer *ret)
{
	int64_t completion = count(usage, "completion_tokens"),
		total = count(usage, "total_tokens"), ticks;

	ret->tokens_in = count(usage, "prompt_tokens");
	if (total >= ret->tokens_in + completion && total > 0)
		ret->tokens_out = total - ret->tokens_in;
	else
		ret->tokens_out =
			completion + count(usage, "completion_tokens_details.reasoning_tokens");
	/* an absurd price would not fit where it is kept, and the answer would be lost with it */
	if (bf_json_int(bf_json_get(usage, "cost_in_usd_ticks"), &ticks) && ticks >= 0 &&
		ticks <= TICKS_MAX)
		ret->cost_usd = (double)ticks / TICKS_PER_USD;
}

/* The answer's text, a string or typed parts joined; a part may be a refusal instead. */
static void read_content(struct bf_jval content, size_t max, struct bf_arena *arena,
	struct provider_answer *ret, const char **refusal)
{
	struct bf_buf text;
	struct bf_jval part;
	const char *piece;

	bf_buf_init(&text, max);
	if (bf_json_type(content) == BF_J_STRING && (piece = bf_json_str(content, arena)) != NULL)
		bf_buf_adds(&text, piece);
	if (bf_json_type(content) == BF_J_ARRAY) {
		for (part = bf_json_first(content); bf_json_type(part) != BF_J_ABSENT;
			part = bf_json_next(part)) {
			if (bf_json_type(bf_json_get(part, "text")) == BF_J_STRING &&
				(piece = bf_json_str(bf_json_get(part, "text"), arena)) != NULL)
				bf_buf_adds(&text, piece);
			if (*refusal == NULL)
				*refusal = provider_text(bf_json_get(part, "refusal"), arena);
		}
	}
	if (!ai_blank(text.data, text.len)) {
		ret->text_len = text.len;
		ret->text = bf_arena_strndup(arena, text.data, text.len);
	}
	bf_buf_release(&text);
}

/* The first choice. An empty refusal is none. */
static void read_choice(struct bf_jval choice, const struct bf_http_reply *reply,
	struct bf_arena *arena, struct provider_answer *ret)
{
	struct bf_jval said = bf_json_get(choice, "message");
	const char *finish = provider_text(bf_json_get(choice, "finish_reason"), arena);
	const char *refusal = provider_text(bf_json_get(said, "refusal"), arena);

	read_content(bf_json_get(said, "content"), reply->body_len + 1, arena, ret, &refusal);
	ret->cut = finish != NULL && strcmp(finish, "stop") != 0;
	if (refusal != NULL)
		provider_fail(ret, arena, OUTCOME_REFUSED, reply, refusal);
	else if (finish != NULL && strcmp(finish, "content_filter") == 0)
		provider_fail(
			ret, arena, OUTCOME_REFUSED, reply, ret->text != NULL ? ret->text : finish);
	else if (bf_json_type(said) != BF_J_OBJECT)
		provider_fail(ret, arena, OUTCOME_GARBAGE, reply, "a choice without a message");
	else if (ret->text == NULL && ret->cut)
		provider_fail(ret, arena, OUTCOME_EMPTY, reply,
			bf_arena_printf(arena, "%s: no text, %lld tokens used", finish,
				(long long)ret->tokens_out));
	else if (ret->text == NULL)
		provider_fail(ret, arena, OUTCOME_EMPTY, reply, "the model ended without a text");
	else
		ret->outcome = OUTCOME_OK;
}

/* Any reply to chat/completions. */
static void parse(const struct provider_ask *ask, const struct bf_http_reply *reply,
	struct bf_arena *arena, struct provider_answer *ret)
{
	struct bf_jval root, choice;
	enum bf_jtype error;
	struct bf_json *json;

	(void)ask;
	ret->retry_after_ms = reply->retry_after_ms;
	json = provider_json(reply, arena, ret);
	if (json == NULL) {
		if (reply->status == 404) /* plain text for an unknown path or model */
			ret->outcome = OUTCOME_AUTH;
		return;
	}
	root = bf_json_root(json);
	if (bf_json_type(root) == BF_J_ARRAY)
		root = bf_json_first(root);
	error = bf_json_type(bf_json_get(root, "error"));
	choice = bf_json_first(bf_json_get(root, "choices"));
	read_usage(bf_json_get(root, "usage"), ret);
	ret->model = provider_text(bf_json_get(root, "model"), arena);
	if (error == BF_J_STRING || error == BF_J_OBJECT ||
		provider_outcome_of_status(reply->status) != OUTCOME_OK)
		read_error(root, reply, arena, ret);
	else if (bf_json_type(choice) == BF_J_OBJECT)
		read_choice(choice, reply, arena, ret);
	else
		provider_fail(ret, arena, OUTCOME_GARBAGE, reply, "neither choices nor an error");
	bf_json_free(json);
}

const struct provider_ops provider_xai = {
	.id = BF_XAI,
	.label = LABEL,
	.max_body = 4 * 1024 * 1024,
	.max_redirects = 0,
	.paid = true,
	.build = build,
	.parse = parse,
};
