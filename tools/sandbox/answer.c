/*
 * answer: what a model says, before Gemini or xAI wraps it: the list, a refusal, a fenced or a
 * cut-off text. Shared by the two AIs.
 */
#include <string.h>
#include "sandbox.h"
#include "answer.h"

/* Puts the JSON text into a Markdown fence of three or four marks, with or without a language. */
static const char *fenced(const struct request *r, const char *text)
{
	const char *fence = r->hash % 2 ? "```" : "````";

	return bf_arena_printf(
		r->arena, "%s%s\n%s\n%s\n", fence, r->hash % 3 ? "json" : "", text, fence);
}

/* Ends the text early, inside an item if it can. */
static const char *cut(const struct request *r, const char *text, size_t at)
{
	return bf_arena_strndup(r->arena, text, bf_utf8_cut(text, strlen(text), at));
}

/* Makes the text and its token counts. */
void answer_make(struct request *r, const struct ask *ask, struct answer *ret)
{
	struct named *books = bf_arena_alloc(r->arena, NAMED_MAX * sizeof(*books));
	size_t n = 0, len;
	struct bf_buf text;

	*ret = (struct answer){ .prompt_tokens = 40 + (int64_t)strlen(ask->prompt) / 4 };
	if (r->fault != FAULT_EMPTY) {
		sandbox_served(r, ask);
		n = named_books(
			r->world, r->provider, ask->year, ask->month, ask->n, r->arena, books);
	}
	bf_buf_init(&text, 1 << 20);
	named_write(r, ask, books, n, &text);
	ret->text = bf_arena_strndup(r->arena, text.data, text.len);
	bf_buf_release(&text);
	len = strlen(ret->text);
	if (r->fault == FAULT_ERROR_OBJECT ||
		(r->fault == FAULT_REFUSAL && r->provider == BF_GEMINI)) {
		ret->text =
			"{\"error\":\"I cannot name books of this month without making them up.\"}";
	} else if (r->fault == FAULT_FENCED) {
		ret->text = fenced(r, ret->text);
	} else if (r->fault == FAULT_MAX_TOKENS_CUT ||
		(ask->max_tokens > 0 && (int64_t)len / 4 > ask->max_tokens)) {
		ret->text = cut(r, ret->text,
			r->fault == FAULT_MAX_TOKENS_CUT ? len * (30 + r->hash % 60) / 100
							 : (size_t)ask->max_tokens * 4);
		ret->cut = true;
	}
	ret->output_tokens = 1 + (int64_t)strlen(ret->text) / 4;
	ret->thought_tokens = 120 + (int64_t)(r->hash / 128 % 700);
}

/* An identifier as services hand them out: 8-4-4-4-12 hexadecimal digits, of the request's hash. */
const char *answer_id(const struct request *r)
{
	uint64_t a = r->hash, b = dice_hash(a, "id", 0, 0);

	return bf_arena_printf(r->arena, "%08x-%04x-%04x-%04x-%04x%08x", (unsigned)(a >> 32),
		(unsigned)(a >> 16 & 0xffff), (unsigned)(a & 0xffff), (unsigned)(b >> 48),
		(unsigned)(b >> 32 & 0xffff), (unsigned)b);
}
