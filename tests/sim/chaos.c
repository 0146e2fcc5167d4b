/* chaos: every so often one thing happens: to an instance, to the database, or because an operator wants it. */
#include "chaos.h"
#include <stdlib.h>
#include <string.h>
#include "backfill/reactor.h"
#include "catalogue.h"
#include "instance.h"
#include "invariants.h"
#include "plan.h"
#include "sim_http.h"
#include "sim_loop.h"
#include "sim_store.h"

static struct { struct ev tick, db_back, midnight, resume; } chaos;

static struct inst *some_instance(void)
{
	struct inst *found[SIM_INSTANCES];
	int n = 0;

	for (int i = 0; i < SIM_INSTANCES; i++)
		if (w.inst[i])
			found[n++] = w.inst[i];
	return n ? found[rnd_below((uint64_t)n)] : NULL;
}

static void some_month(int *year, int *month)
{
	catalogue_month((int)rnd_below((uint64_t)plan.months), year, month);
}

/* Mostly one that is in processing, or mostly one that is not. */
static void month_in(bool processing, int *year, int *month)
{
	for (int i = 0; i < 6; i++) {
		const struct mrow *row;

		some_month(year, month);
		row = model_row(w.model, *year, *month);
		if (row && (row->status == M_PROCESSING) == processing)
			return;
	}
}

static bool frozen(const struct inst *i)
{
	return inst_frozen_until(i) > w.now_us;
}

/* ---- instances ---- */
static void do_crash(struct inst *i)
{
	bool lingers = chance(300);

	if (!i)
		return;
	fault_count(lingers ? F_CRASH_LINGER : F_CRASH);
	inst_end(i, lingers ? INST_HOST_GONE : INST_KILLED);
}

static void do_start(struct inst *i)
{
	(void)i;
	if (inst_running() >= 3)
		return;
	fault_count(inst_running() ? F_MORE : F_RESTART);
	inst_start();
}

static void do_drain(struct inst *i)
{
	if (!i || frozen(i) || (inst_draining(i) && chance(400)))
		return;
	if (!inst_draining(i))
		fault_count(F_DRAIN);
	inst_drain(i);
}

static void do_freeze(struct inst *i)
{
	if (!i || frozen(i))
		return;
	if (chance(500)) {
		fault_count(F_FREEZE_DIES);
		model_session_end(w.model, sim_store_session(inst_store(i)));
		sim_store_lose_locks(inst_store(i), LOSE_ENDED);
	} else {
		fault_count(F_FREEZE);
	}
	inst_freeze(i, rnd_between(200000, chance(300) ? 60000000 : 8000000));
}

static void do_locks(struct inst *i)
{
	enum lose how = (enum lose)rnd_below(3);

	if (!i || !sim_store_session(inst_store(i)))
		return;
	fault_count(how == LOSE_ENDED     ? F_LOCKS_ENDED
			: how == LOSE_LINGERS ? F_LOCKS_LINGER
					      : F_LOCKS_SILENT);
	sim_trace("%s loses its lock session (%d)", inst_name(i), (int)how);
	sim_store_lose_locks(inst_store(i), how);
}

static void do_clock(struct inst *i)
{
	if (!i)
		return;
	fault_count(F_WALL_JUMP);
	inst_wall_jump(i, rnd_between(-7200000000, 7200000000));
}

static void do_reload(struct inst *i)
{
	if (!i || frozen(i))
		return;
	fault_count(F_OP_RELOAD);
	inst_reload(i);
}

/* ---- the database and the providers ---- */
static void db_back(struct ev *e)
{
	(void)e;
	sim_db_away(false);
}

static void do_outage(struct inst *i)
{
	(void)i;
	if (sim_db_is_away())
		return;
	fault_count(F_DB_OUTAGE);
	sim_db_away(true);
	ev_cancel(&chaos.db_back);
	ev_in(&chaos.db_back, NULL, rnd_between(50000, chance(300) ? 40000000 : 5000000), db_back);
}

/* A session that has nothing to do with us changes a month's row and is slow to commit. */
static void do_row_lock(struct inst *i)
{
	struct mrow *row;
	int year, month;

	(void)i;
	month_in(true, &year, &month);
	row = model_row(w.model, year, month);
	if (!row)
		return;
	fault_count(F_ROW_LOCKED);
	sim_db_clock();
	row->locked_until = w.model->now_us + rnd_between(20000, chance(300) ? 9000000 : 1500000);
	sim_trace("%d-%02d is locked", year, month);
}

static void do_provider(struct inst *i)
{
	int p = (int)rnd_below(BF_NPROVIDERS);

	(void)i;
	fault_count(F_PROVIDER_DOWN);
	sim_trace("%s is down", bf_provider_names[p]);
	sim_http_provider_down(p, rnd_between(1000000, 60000000));
}

/* ---- operators ---- */
static void ignore_claim(void *ctx, const struct bf_error *err, const struct bf_claim *claim)
{
	(void)ctx;
	(void)err;
	(void)claim;
}

static void ignore_harvest(void *ctx, const struct bf_error *err, const struct bf_harvest_reply *reply)
{
	(void)ctx;
	(void)err;
	(void)reply;
}

/* Operators speak to a process: what they start is started inside it. Some hang up before the answer. */
static bool inside(struct inst *i)
{
	if (!i || frozen(i))
		return false;
	w.cur = i;
	if (!bf_schedule_blocked(inst_schedule(i)))
		return true;
	w.cur = NULL;
	return false;
}

static void outside(struct inst *i, struct bf_op *op)
{
	if (op && chance(200))
		bf_op_cancel(op);
	inst_turn_end(i);
	w.cur = NULL;
}

static void do_schedule(struct inst *i)
{
	bool force = chance(400);

	if (!inside(i))
		return;
	fault_count(force ? F_OP_FORCE : F_OP_SCHEDULE);
	sim_trace("operator schedules");
	inst_ticket(i);
	outside(i, bf_schedule_claim(inst_schedule(i), (int)rnd_between(1, 6), plan.years_from,
			   plan.years_from + 3, force, ignore_claim, NULL));
}

static void do_harvest(struct inst *i)
{
	bool dry = chance(300), next = chance(300);
	struct bf_harvest h = { .batch_size = chance(300) ? (int)rnd_between(1, 20) : 0,
		.prompt_variant = chance(200) ? "annual" : NULL,
		.max_quota = chance(200) ? (int)rnd_between(1, 10) : 0,
		.dry_run = dry,
		.default_batch_size = plan.books * 2,
		.default_variant_recent = "contemporary-notable",
		.default_variant = "baseline",
		.recent_from = 2020,
		.year_low = plan.years_from,
		.year_high = plan.years_from + 3 };

	if (!inside(i))
		return;
	if (!next)
		some_month(&h.year, &h.month);
	fault_count(dry ? F_OP_DRY : next ? F_OP_HARVEST_NEXT : F_OP_HARVEST);
	sim_trace("operator harvests %d-%02d%s", h.year, h.month, dry ? " dry" : "");
	outside(i, bf_schedule_harvest(inst_schedule(i), &h, ignore_harvest, NULL));
}

struct act { enum bf_operator_action action; int year, month; struct inst *inst; uint64_t born; };

/* As the interface does: who cancels a month that this very process holds, has it dropped there. */
static void acted(void *ctx, const struct bf_error *err, enum bf_store_outcome outcome)
{
	struct act *act = ctx;
	struct bf_month_ref refs[128];
	int n = bf_months_refs(inst_months(act->inst), refs, 128, false);

	for (int i = 0; !err && outcome == BF_STORE_DONE && act->action == BF_OPERATOR_CANCEL && i < n;
		i++)
		if (refs[i].year == act->year && refs[i].month == act->month)
			bf_months_lost(inst_months(act->inst), &refs[i]);
}

static void operate(struct inst *i, enum bf_operator_action action)
{
	static struct act acts[SIM_INSTANCES * 64];
	static unsigned turn;
	struct act *act = &acts[turn++ % BF_COUNT(acts)];

	if (!i || frozen(i))
		return;
	act->action = action;
	act->inst = i;
	month_in(action == BF_OPERATOR_CANCEL, &act->year, &act->month);
	w.cur = i;
	sim_trace("operator action %d on %d-%02d", (int)action, act->year, act->month);
	bf_store_operator(inst_store(i), action, act->year, act->month, acted, act);
	outside(i, NULL);
}

static void do_retry(struct inst *i)
{
	fault_count(F_OP_RETRY);
	operate(i, BF_OPERATOR_RETRY);
}

static void do_cancel(struct inst *i)
{
	fault_count(F_OP_CANCEL);
	operate(i, BF_OPERATOR_CANCEL);
}

static void do_reset(struct inst *i)
{
	fault_count(F_OP_RESET);
	operate(i, BF_OPERATOR_RESET);
}

static void resume(struct ev *e)
{
	(void)e;
	fault_count(F_OP_RESUME);
	sim_db_clock();
	model_pause(w.model, false, NULL, 0);
}

static void do_pause(struct inst *i)
{
	(void)i;
	if (chaos.resume.pos)
		return;
	fault_count(F_OP_PAUSE);
	sim_db_clock();
	sim_trace("operator pauses");
	model_pause(w.model, true, "a look at it first",
		chance(300) ? w.model->now_us + rnd_between(1000000, 20000000) : 0);
	ev_in(&chaos.resume, NULL, rnd_between(500000, 30000000), resume);
}

/* As the README has it: back to retry, one attempt more; the fence stays, and no transition is written (here: noted). */
static void do_by_hand(struct inst *i)
{
	struct mrow *row;
	int year, month;

	(void)i;
	month_in(true, &year, &month);
	row = model_row(w.model, year, month);
	if (!row || row->status != M_PROCESSING || model_row_locked(w.model, row))
		return;
	fault_count(F_OP_SQL);
	sim_db_clock();
	sim_trace("%d-%02d is set back by hand", year, month);
	row->status = M_RETRY;
	row->retry_count += row->retry_count < 5;
	row->next_at = w.model->now_us;
	model_event(w.model, row, 0, row->stage_null ? "claimed" : row->stage, "retry", "by_hand");
}

static void do_spoil(struct inst *i)
{
	struct mrow *row;
	int year, month;

	(void)i;
	some_month(&year, &month);
	row = model_row(w.model, year, month);
	if (!row || row->status == M_PROCESSING)
		return;
	fault_count(F_OP_VARIANT);
	strlcpy(row->variant, "no-such-variant", sizeof row->variant);
}

/* ---- one after the other ---- */
static void tick(struct ev *e)
{
	const struct { bool on; int weight; void (*what)(struct inst *); } acts[] = {
		{ plan.crashes, 6, do_crash }, { true, inst_running() ? 3 : 30, do_start },
		{ plan.drains, 4, do_drain }, { plan.freezes, 5, do_freeze },
		{ plan.locks, 6, do_locks }, { plan.clocks, 2, do_clock },
		{ plan.reloads, 4, do_reload }, { plan.outages, 4, do_outage },
		{ plan.operators, 5, do_schedule }, { plan.operators, 4, do_harvest },
		{ plan.operators, 4, do_retry }, { plan.cancels, 5, do_cancel },
		{ plan.resets, 4, do_reset }, { plan.pauses, 4, do_pause },
		{ plan.spoils, 3, do_spoil }, { plan.by_hand, 4, do_by_hand }, { true, 2, do_provider },
		{ plan.row_locks, 6, do_row_lock },
	};
	int all = 0, pick;
	size_t i;

	(void)e;
	for (i = 0; i < BF_COUNT(acts); i++)
		all += acts[i].on ? acts[i].weight : 0;
	pick = (int)rnd_below((uint64_t)all);
	for (i = 0; !acts[i].on || pick >= acts[i].weight; i++)
		pick -= acts[i].on ? acts[i].weight : 0;
	acts[i].what(some_instance());
	ev_in(&chaos.tick, NULL, rnd_between(plan.chaos_every_us / 10, plan.chaos_every_us * 2), tick);
}

static void midnight(struct ev *e)
{
	(void)e;
	fault_count(F_MIDNIGHT);
}

static void watch_midnight(enum bf_provider_id p)
{
	sim_db_clock();
	ev_in(&chaos.midnight, NULL, model_reset_us(p, w.model->now_us) - w.model->now_us, midnight);
}

void chaos_begin(void)
{
	memset(&chaos, 0, sizeof chaos);
	ev_in(&chaos.tick, NULL, rnd_between(0, plan.chaos_every_us), tick);
	watch_midnight(chance(500) ? BF_GEMINI : BF_ISBNDB);
}

/* An operator comes and mends: the pause ends, keys are renewed (a reload), somebody is started. */
void chaos_end(void)
{
	int stay = 0;

	w.calm = true;
	w.calm_us = w.now_us;
	sim_trace("calm from here on");
	ev_cancel(&chaos.tick);
	ev_cancel(&chaos.resume);
	ev_cancel(&chaos.db_back);
	sim_db_away(false);
	sim_db_clock();
	model_pause(w.model, false, NULL, 0);
	for (int i = 0; i < w.model->rows.n; i++) /* whoever has a row locked ends his transaction */
		w.model->rows.v[i].locked_until = 0;
	for (int i = 0; i < w.model->rows.n; i++)
		if (!strcmp(w.model->rows.v[i].variant, "no-such-variant") && chance(500))
			strlcpy(w.model->rows.v[i].variant, "baseline",
				sizeof w.model->rows.v[i].variant);
	for (int i = 0; i < SIM_INSTANCES; i++) {
		if (!w.inst[i])
			continue;
		inst_thaw(w.inst[i]);
		if (inst_draining(w.inst[i]))
			continue;
		inst_reload(w.inst[i]);
		stay++;
	}
	if (stay < 2)
		inst_start();
}

void chaos_release(void)
{
	ev_cancel(&chaos.tick);
	ev_cancel(&chaos.db_back);
	ev_cancel(&chaos.midnight);
	ev_cancel(&chaos.resume);
}
