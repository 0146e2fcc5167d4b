/* One AI's answer for a month: the prompt goes through the gate, the answer comes back judged, priced and ready to be stored. */
#include "gate.h"
#include <stdlib.h>
#include <string.h>

#define PROMPT_MAX 16384
#define MODEL_MAX  100 /* bytes of what the provider calls its model */

struct generate {
	struct bf_op op;
	struct bf_providers *p;
	struct gate_call *call;
	struct bf_generate ask;
	char variant[40];
	uint64_t started_us;
	bf_generate_done *done;
	void *ctx;
};

static void generate_cancel(struct bf_op *op)
{
	struct generate *g = bf_container_of(op, struct generate, op);

	gate_cancel(g->call);
	free(g);
}

/* What the tokens cost; cost_per_call is counted where calls are. */
static double price(const struct bf_provider_config *conf, const struct provider_answer *a)
{
	if (a->cost_usd >= 0)
		return a->cost_usd;
	return (double)a->tokens_in / 1e6 * conf->cost_per_mtok_in +
		(double)a->tokens_out / 1e6 * conf->cost_per_mtok_out;
}

/* What the months do with it is decided by the books in it, not by the HTTP status. */
static void judge_text(const struct generate *g, const struct provider_answer *a,
	struct bf_arena *arena, struct bf_answer *ret)
{
	struct bf_book_list list = { 0 };

	ret->outcome = "refused";
	ret->reason = a->reason;
	if (a->outcome == OUTCOME_REFUSED)
		return;
	if (!a->text || !a->text_len) {
		ret->outcome = "empty";
		return;
	}
	bf_books_read(a->text, a->text_len, g->ask.ref.year, arena, &list);
	switch (list.outcome) {
	case BF_BOOKS_OK:
		ret->outcome = "ok";
		ret->reason = a->cut || list.cut
			? "the answer was cut off; its complete items are kept"
			: NULL;
		return;
	case BF_BOOKS_EMPTY: ret->outcome = "empty"; break;
	case BF_BOOKS_REFUSED: ret->outcome = "refused"; break;
	case BF_BOOKS_GARBAGE: ret->outcome = "garbage"; break;
	}
	if (list.reason)
		ret->reason = list.reason;
}

static void generated(void *ctx, const struct bf_error *err, const struct provider_answer *a)
{
	struct generate *g = ctx;
	const struct bf_provider_config *conf = &g->p->config->provider[g->ask.provider];
	struct lane *lane = &g->p->lane[g->ask.provider];
	struct bf_arena *arena;
	struct bf_answer answer = {
		.provider = g->ask.provider, .round = g->ask.round, .variant = g->variant
	};

	if (err) {
		g->done(g->ctx, err, NULL);
		free(g);
		return;
	}
	arena = bf_arena_new();
	answer.model = a->model ? bf_arena_strndup(arena, a->model,
					  bf_utf8_cut(a->model, strlen(a->model), MODEL_MAX))
				: conf->model;
	answer.text = a->text ? a->text : "";
	answer.http = 200;
	answer.tokens_in = a->tokens_in;
	answer.tokens_out = a->tokens_out;
	answer.cost_usd = price(conf, a);
	answer.latency_ms = (int64_t)(bf_now_us() - g->started_us) / 1000;
	judge_text(g, a, arena, &answer);
	lane->figures.cost_usd += answer.cost_usd;
	if (g->ask.dry_run) {
		tally_add(g->p, g->ask.ref.fence, g->ask.provider, 0, answer.cost_usd);
		flusher_usage(g->p->flusher,
			&(struct bf_usage){
				.provider = g->ask.provider, .cost_usd = answer.cost_usd });
	}
	g->done(g->ctx, NULL, &answer);
	bf_arena_free(arena);
	free(g);
}

struct bf_op *bf_generate_start(
	struct bf_providers *p, const struct bf_generate *ask, bf_generate_done *done, void *ctx)
{
	struct generate *g = bf_xcalloc(1, sizeof *g);
	const struct bf_provider_config *conf = &p->config->provider[ask->provider];
	const char *override =
		ask->model_override && ask->model_override[0] ? ask->model_override : NULL;
	struct bf_arena *arena = bf_arena_new();
	struct gate_ask gate = { .provider = ask->provider,
		.ref = ask->ref,
		.dry_run = ask->dry_run,
		.own_model = override != NULL };
	struct bf_buf prompt;

	bf_buf_init(&prompt, PROMPT_MAX);
	bf_prompt_user(ask->variant, ask->ref.year, ask->ref.month, ask->up_to_n, &prompt);
	gate.ask.kind = PROVIDER_GENERATE;
	gate.ask.model = bf_arena_strdup(arena, override ? override : conf->model);
	gate.ask.system = bf_prompt_system();
	gate.ask.prompt = bf_arena_strdup(arena, prompt.data);
	gate.ask.up_to_n = ask->up_to_n;
	bf_buf_release(&prompt);
	g->op.cancel = generate_cancel;
	g->p = p;
	g->ask = *ask;
	g->done = done;
	g->ctx = ctx;
	g->started_us = bf_now_us();
	strncpy(g->variant, ask->variant, sizeof g->variant - 1);
	g->call = gate_start_take(p, &gate, &arena, generated, g);
	return &g->op;
}
