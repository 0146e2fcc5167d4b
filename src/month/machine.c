/*
 * Stepping a month: an event is looked up in the table, the move is written to the database as one atomic statement under the
 * month's fence, and only then the state changes and the next action starts. Meanwhile nothing else of the month is under way. A
 * write whose acknowledgement was lost is repeated under the same step number. Whoever finds the month no longer his drops it and
 * writes nothing more.
 */
#include "machine.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AGAIN_LEAST_MS  250
#define AGAIN_MOST_MS   4000
#define BROKEN_AGAIN_MS 60000
#define ATTEMPTS        5

static void write_move(struct month *m);

int month_next_step(struct month *m)
{
	return ++m->step;
}

bool month_is_over(const struct month *m)
{
	return month_state_is_final(m->state) || (m->move && month_state_is_final(m->move->next));
}

void month_detail(struct month *m, const char *json)
{
	free(m->detail);
	m->detail = json ? bf_xstrdup(json) : NULL;
}

/* ---- entering a state ---- */
static void log_move(const struct month *m, enum month_state from)
{
	bf_log(month_state_is_final(m->state) ? BF_INFO : BF_DEBUG, "month moved",
		BF_I("year", m->row.ref.year), BF_I("month", m->row.ref.month),
		BF_S("job_id", m->row.job_id), BF_S("from", month_state_name(from)),
		BF_S("stage", month_state_name(m->state)),
		BF_S("event", month_event_name(m->move_event)), BF_S("reason", m->failure.error));
}

static void enter(struct month *m)
{
	const struct month_move *move = m->move;
	enum month_state from = m->state;

	m->state = move->next;
	m->move = NULL;
	log_move(m, from);
	months_count(m, from, m->state);
	m->since_us = bf_now_us();
	if (month_state_is_final(m->state)) {
		months_free_month(m);
		return;
	}
	if (m->set->draining && m->state != MONTH_QUEUEING) {
		month_raise(m, MEV_RELEASE);
		return;
	}
	move->action(m);
}

/* ---- writing a move ---- */
static void again(void *ctx)
{
	struct month *m = ctx;

	m->move_op = NULL;
	write_move(m);
}

static void write_later(struct month *m, int64_t ms)
{
	m->move_op = bf_timer_start(m->set->loop, ms, again, m);
}

static void lose(struct month *m)
{
	m->move = &month_table[MONTH_CLAIMED][MEV_LOSE];
	m->move_event = MEV_LOSE;
	month_drop_work(m);
	enter(m);
}

/* A write the database refuses for what it holds will be refused again: the attempt has failed, and says why. */
static void refused(struct month *m, const struct bf_error *err)
{
	bool was_failing = month_state_is_final(m->move->next) && m->move->next != MONTH_COMPLETED;

	bf_log(BF_ERROR, "month's write refused", BF_I("year", m->row.ref.year),
		BF_I("month", m->row.ref.month), BF_S("event", month_event_name(m->move_event)),
		BF_E(err));
	if (was_failing) {
		write_later(m, BROKEN_AGAIN_MS);
		return;
	}
	m->move = NULL;
	/* not yet begun again: it goes on another time where the stored stage says */
	month_fail(m, m->state == MONTH_CLAIMED ? m->row.stage : month_state_name(m->state), false,
		"writing %s: %s", month_event_name(m->move_event), err->text);
}

static void written(void *ctx, const struct bf_error *err, enum bf_store_outcome outcome)
{
	struct month *m = ctx;
	int64_t wait = AGAIN_LEAST_MS;

	m->move_op = NULL;
	if (err && err->class == BF_ERR_RETRY) {
		for (int i = 0; i < m->move_tries && wait < AGAIN_MOST_MS; i++)
			wait *= 2;
		m->move_tries++;
		write_later(m, wait + (int64_t)(bf_random_unit() * (double)wait));
		return;
	}
	if (err) {
		refused(m, err);
		return;
	}
	switch (outcome) {
	case BF_STORE_DONE: enter(m); return;
	case BF_STORE_NOT_MINE:
	case BF_STORE_REFUSED: lose(m); return;
	}
}

static void nothing_to_write(void *ctx)
{
	struct month *m = ctx;

	m->move_op = NULL;
	enter(m);
}

static void write_move(struct month *m)
{
	if (!m->row.dry_run && m->move->commit)
		m->move_op = m->move->commit(m, &m->move_step);
	else if (m->row.dry_run)
		m->move_op = dry_write(m, written, m);
	if (!m->move_op)
		m->move_op = bf_timer_start(m->set->loop, 0, nothing_to_write, m);
}

struct bf_op *month_commit_step(struct month *m, const struct bf_step *step)
{
	return bf_store_step(m->set->store, step, written, m);
}

struct bf_op *month_commit_save(struct month *m, const struct bf_step *step)
{
	return bf_store_save(m->set->store, step, m->new_candidates, (int)m->n_books, written, m);
}

struct bf_op *month_commit_complete(struct month *m, const struct bf_step *step)
{
	return bf_store_complete(
		m->set->store, step, m->set->config->enrichment.max_attempts, written, m);
}

struct bf_op *month_commit_fail(struct month *m, const struct bf_step *step)
{
	return bf_store_fail(m->set->store, step, &m->failure, written, m);
}

struct bf_op *month_commit_release(struct month *m, const struct bf_step *step)
{
	return bf_store_release(m->set->store, step, written, m);
}

/* ---- the step ---- */
static void begin_move(struct month *m, enum month_event ev, const struct month_move *move)
{
	char *detail = m->detail;

	m->move = move;
	m->move_event = ev;
	m->move_tries = 0;
	m->detail = NULL;
	m->move_step = (struct bf_step){ .ref = m->row.ref,
		.step = month_next_step(m),
		.from = month_state_name(m->state),
		.to = month_state_name(move->next),
		.event = month_event_name(ev),
		.job_id = m->row.job_id,
		.detail_json = detail ? bf_arena_strdup(m->arena, detail) : NULL };
	free(detail);
	if (month_state_is_final(move->next))
		month_drop_work(m);
	write_move(m);
}

static void bug(struct month *m, enum month_event ev, const char *why)
{
	m->set->figures.bugs++;
	bf_log(BF_ERROR, "bug: an event the table does not allow", BF_I("year", m->row.ref.year),
		BF_I("month", m->row.ref.month), BF_S("stage", month_state_name(m->state)),
		BF_S("event", month_event_name(ev)), BF_S("why", why));
}

void month_raise(struct month *m, enum month_event ev)
{
	const struct month_move *move = &month_table[m->state][ev];

	if (ev == MEV_LOSE && move->kind == MOVE_GO) { /* at once: nothing is written, whatever is under way */
		lose(m);
		return;
	}
	if (m->move && ev == MEV_RELEASE) /* a drain is seen when the move is written, or the month ends with it */
		return;
	if (m->move) {
		bug(m, ev, "a move is being written");
		return;
	}
	switch (move->kind) {
	case MOVE_GO: begin_move(m, ev, move); return;
	case MOVE_BUG:
	case MOVE_UNSET: bug(m, ev, move->why); return;
	}
}

void month_drop_work(struct month *m)
{
	bf_op_cancel(m->move_op);
	bf_op_cancel(m->load_op);
	bf_op_cancel(m->flush_op);
	m->move_op = m->load_op = m->flush_op = NULL;
	for (int i = 0; i < BF_NAIS; i++) {
		bf_op_cancel(m->ai[i].op);
		m->ai[i].op = NULL;
	}
	for (int i = 0; i < m->n_cands && m->walks; i++) {
		bf_op_cancel(m->walks[i].op);
		m->walks[i].op = NULL;
	}
	m->active = 0;
}

/* ---- failing ---- */
/* Attempt n waits base * 2^(n-1), capped, +-20 % jitter; so does the n-th outage in a row, which is no attempt. */
static int64_t backoff_ms(const struct month *m, int attempt)
{
	const struct bf_config *config = m->set->config;
	int64_t ms = config->scheduler.retry_base_ms;

	for (int i = 1; i < attempt && ms < config->scheduler.retry_cap_ms; i++)
		ms *= 2;
	if (ms > config->scheduler.retry_cap_ms)
		ms = config->scheduler.retry_cap_ms;
	return (int64_t)((double)ms * (0.8 + 0.4 * bf_random_unit()));
}

static void BF_PRINTF(3, 0)
	set_failure(struct month *m, const char *stage, const char *fmt, va_list ap)
{
	vsnprintf(m->failure_text, sizeof m->failure_text, fmt, ap);
	m->failure_text[bf_utf8_cut(
		m->failure_text, strlen(m->failure_text), sizeof m->failure_text - 1)] = '\0';
	m->failure = (struct bf_failure){ .error = m->failure_text, .resume_stage = stage };
}

void month_fail(struct month *m, const char *stage, bool next_round, const char *fmt, ...)
{
	int attempt = m->row.retry_count + 1;
	va_list ap;

	va_start(ap, fmt);
	set_failure(m, stage, fmt, ap);
	va_end(ap);
	m->failure.counted = true;
	m->failure.next_round = next_round;
	m->failure.wait_ms = backoff_ms(m, attempt);
	month_raise(m, attempt >= ATTEMPTS ? MEV_SPENT : MEV_FAILURE);
}

void month_outage(struct month *m, const char *stage, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set_failure(m, stage, fmt, ap);
	va_end(ap);
	m->failure.wait_ms = backoff_ms(m, m->row.outages + 1);
	month_raise(m, MEV_OUTAGE);
}

void month_hopeless(struct month *m, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set_failure(m, month_state_name(m->state), fmt, ap);
	va_end(ap);
	m->failure.permanent = true;
	month_raise(m, MEV_HOPELESS);
}
