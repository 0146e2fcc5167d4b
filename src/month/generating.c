/*
 * generating: all usable AIs are asked at once, each answer is stored as it arrives, and a stored answer is never bought again.
 * A refusal or an empty list is an answer; a failure of one is made up for by the other.
 */
#include "machine.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STORE_AGAIN_MS 1000

static void store_answer(struct month_ai *);

static bool named_books(const struct month_ai *ai)
{
	return ai->answered && !strcmp(ai->answer.outcome, "ok");
}

/* ---- the end of the stage ---- */
static void describe(const struct month_ai *ai, char *out, size_t size)
{
	if (!ai->answered)
		snprintf(out, size, "%s: %s", bf_provider_names[ai->provider], ai->failure);
	else
		snprintf(out, size, "%s: %s%s%s", bf_provider_names[ai->provider],
			ai->answer.outcome, ai->answer.reason ? ": " : "",
			ai->answer.reason ? ai->answer.reason : "");
}

static void detail_of(struct month *m)
{
	struct bf_buf buf;
	struct bf_jw jw;

	bf_buf_init(&buf, 8192);
	bf_jw_init(&jw, &buf);
	bf_jw_obj(&jw);
	bf_jw_key(&jw, "round");
	bf_jw_int(&jw, m->row.round);
	for (int i = 0; i < BF_NAIS; i++) {
		char text[600];

		describe(&m->ai[i], text, sizeof text);
		bf_jw_key(&jw, bf_provider_names[i]);
		bf_jw_str(&jw, text + strlen(bf_provider_names[i]) + 2);
	}
	bf_jw_end_obj(&jw);
	month_detail(m, buf.failed ? NULL : buf.data);
	bf_buf_release(&buf);
}

static void settle(struct month *m)
{
	bool any_books = false, any_asked = false;
	char text[BF_NAIS][240];

	for (int i = 0; i < BF_NAIS; i++) {
		if (!m->ai[i].settled)
			return;
		any_books |= named_books(&m->ai[i]);
		any_asked |= m->ai[i].asked;
		describe(&m->ai[i], text[i], sizeof text[i]);
	}
	detail_of(m);
	if (m->set->draining)
		month_raise(m, MEV_RELEASE);
	else if (any_books)
		month_raise(m, MEV_BOOKS);
	else if (!any_asked)
		month_raise(m, MEV_RELEASE);
	else
		month_fail(m, "generating", true, "no provider named a book: %s; %s", text[0],
			text[1]);
}

static void give_up(struct month_ai *ai, bool asked, const char *why)
{
	ai->settled = true;
	ai->asked = asked;
	snprintf(ai->failure, sizeof ai->failure, "%s", why);
	ai->failure[bf_utf8_cut(ai->failure, strlen(ai->failure), sizeof ai->failure - 1)] = '\0';
}

/* ---- storing an answer ---- */
static void store_again(void *ctx)
{
	struct month_ai *ai = ctx;

	ai->op = NULL;
	store_answer(ai);
}

static void answer_stored(void *ctx, const struct bf_error *err, enum bf_store_outcome outcome)
{
	struct month_ai *ai = ctx;
	struct month *m = ai->month;

	ai->op = NULL;
	if (err && err->class == BF_ERR_RETRY) {
		ai->op = bf_timer_start(m->set->loop, STORE_AGAIN_MS, store_again, ai);
		return;
	}
	if (err) {
		bf_log(BF_ERROR, "answer not stored", BF_I("year", m->row.ref.year),
			BF_I("month", m->row.ref.month),
			BF_S("provider", bf_provider_names[ai->provider]), BF_E(err));
		give_up(ai, true, err->text);
		settle(m);
		return;
	}
	if (outcome != BF_STORE_DONE) {
		month_raise(m, MEV_LOSE);
		return;
	}
	ai->settled = ai->answered = true;
	settle(m);
}

static void store_answer(struct month_ai *ai)
{
	ai->op = bf_store_answer(ai->month->set->store, &ai->step, &ai->answer, answer_stored, ai);
}

/* The answer dies with its callback; the month keeps what it needs. */
static void keep_answer(struct month_ai *ai, const struct bf_answer *a)
{
	struct bf_arena *arena = ai->month->arena;

	ai->answer = *a;
	ai->answer.variant = bf_arena_strdup(arena, a->variant);
	ai->answer.model = bf_arena_strdup(arena, a->model);
	ai->answer.outcome = bf_arena_strdup(arena, a->outcome);
	ai->answer.reason = bf_arena_strdup(arena, a->reason);
	ai->answer.text = bf_arena_strdup(arena, a->text);
	ai->asked = true;
}

static void answered(void *ctx, const struct bf_error *err, const struct bf_answer *a)
{
	struct month_ai *ai = ctx;
	struct month *m = ai->month;

	ai->op = NULL;
	if (err) {
		bf_log(BF_WARN, "no answer from an AI", BF_I("year", m->row.ref.year),
			BF_I("month", m->row.ref.month),
			BF_S("provider", bf_provider_names[ai->provider]), BF_E(err));
		give_up(ai,
			err->class != BF_ERR_QUOTA && err->class != BF_ERR_CANCELLED &&
				err->class != BF_ERR_REFUSED,
			err->text);
		settle(m);
		return;
	}
	keep_answer(ai, a);
	if (m->row.dry_run) {
		ai->settled = ai->answered = true;
		settle(m);
		return;
	}
	ai->step = (struct bf_step){ .ref = m->row.ref,
		.step = month_next_step(m),
		.from = "generating",
		.to = "generating",
		.event = "answered",
		.job_id = m->row.job_id };
	store_answer(ai);
}

/* ---- asking ---- */
static const char *own_model(const struct month *m, enum bf_provider_id provider)
{
	const char *prefix = provider == BF_GEMINI ? "gemini-" : "grok-";

	return strncmp(m->row.model_override, prefix, strlen(prefix)) ? "" : m->row.model_override;
}

static void ask(struct month *m)
{
	const char *variant = bf_prompt_rotate(m->row.prompt_variant, m->row.round);

	for (int i = 0; i < BF_NAIS; i++) {
		struct month_ai *ai = &m->ai[i];
		struct bf_generate g = { .ref = m->row.ref,
			.dry_run = m->row.dry_run,
			.provider = (enum bf_provider_id)i,
			.variant = variant,
			.model_override = own_model(m, (enum bf_provider_id)i),
			.round = m->row.round,
			.up_to_n = m->row.batch_size };
		const char *why;

		if (ai->settled || ai->op)
			continue;
		why = bf_provider_unusable(m->set->providers, ai->provider);
		if (why)
			give_up(ai, false, why);
		else
			ai->op = bf_generate_start(m->set->providers, &g, answered, ai);
	}
	settle(m);
}

void month_generate(struct month *m)
{
	if (bf_prompt_index(m->row.prompt_variant) < 0) {
		month_hopeless(m,
			"unknown prompt variant '%s': set backfill_log.prompt_variant to one of "
			"the seven",
			m->row.prompt_variant);
		return;
	}
	if (m->row.stage[0] && !m->row.dry_run)
		month_load_answers(m, ask);
	else
		ask(m);
}

/* ---- answers that were stored before ---- */
struct load {
	struct month *month;
	month_action *then;
};

static void load_again(void *ctx)
{
	struct load *load = ctx;
	struct month *m = load->month;
	month_action *then = load->then;

	m->load_op = NULL;
	month_load_answers(m, then);
}

static void loaded(void *ctx, const struct bf_error *err, const struct bf_answer *answers, int n)
{
	struct load *load = ctx;
	struct month *m = load->month;

	m->load_op = NULL;
	if (err && err->class == BF_ERR_RETRY) {
		m->load_op = bf_timer_start(m->set->loop, STORE_AGAIN_MS, load_again, load);
		return;
	}
	if (err) {
		month_fail(m, month_state_name(m->state), false, "reading stored answers: %s",
			err->text);
		return;
	}
	for (int i = 0; i < n; i++) {
		struct month_ai *ai;

		if (!BF_IS_AI(answers[i].provider))
			continue;
		ai = &m->ai[answers[i].provider];
		keep_answer(ai, &answers[i]);
		ai->settled = ai->answered = true;
	}
	load->then(m);
}

void month_load_answers(struct month *m, month_action *then)
{
	struct load *load = bf_arena_alloc(m->arena, sizeof *load);

	load->month = m;
	load->then = then;
	m->load_op = bf_store_answers(m->set->store, &m->row.ref, m->row.round, loaded, load);
}
