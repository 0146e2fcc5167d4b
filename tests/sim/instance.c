/*
 * instance: a daemon as main.c makes it: the same rooms in the same order, the same drain. It may be killed, frozen, drained;
 * its memory is given back in any case, its requests and statements go their own ways.
 */
#include "instance.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "invariants.h"
#include "plan.h"
#include "sim_http.h"
#include "sim_loop.h"
#include "sim_store.h"

#define LAST_FLUSH_MS 3000

struct inst {
	int slot;
	uint64_t born;
	char name[16];
	struct bf_config config[2];
	int which;
	struct bf_loop *loop;
	struct bf_http *http;
	struct bf_store *store;
	struct bf_providers *providers;
	struct bf_months *months;
	struct bf_schedule *schedule;
	struct bf_op *flush_op, *flush_timer;
	bool draining, may_pay, locks_up, in_order;
	int tickets;
	uint64_t busy_us, pulse_us;	/* the last moments at which it was not idle, and heard a pulse */
	uint64_t mono_base, frozen_until;
	int64_t wall_skew;
	struct ev exit;
};
static uint64_t n_born;

/* ---- what it is ---- */
const char *inst_name(const struct inst *i) { return i->name; }
uint64_t inst_mono_base(const struct inst *i) { return i->mono_base; }
int64_t inst_wall_skew(const struct inst *i) { return i->wall_skew; }
uint64_t inst_frozen_until(const struct inst *i) { return i->frozen_until; }
struct bf_loop *inst_loop(const struct inst *i) { return i->loop; }
struct bf_store *inst_store(const struct inst *i) { return i->store; }
struct bf_months *inst_months(const struct inst *i) { return i->months; }
struct bf_providers *inst_providers(const struct inst *i) { return i->providers; }
struct bf_schedule *inst_schedule(const struct inst *i) { return i->schedule; }
const struct bf_config *inst_config(const struct inst *i) { return &i->config[i->which]; }
bool inst_draining(const struct inst *i) { return i->draining; }
bool inst_may_pay(const struct inst *i) { return i->may_pay; }
uint64_t inst_born(const struct inst *i) { return i->born; }

void inst_begin(void)
{
	n_born = 0;
}

int inst_running(void)
{
	int n = 0;

	for (int i = 0; i < SIM_INSTANCES; i++)
		n += w.inst[i] != NULL;
	return n;
}

/* ---- drain, as main.c has it ---- */
static void leave(struct inst *i)
{
	bf_loop_stop(i->loop);
}

static void drained(void *ctx)
{
	struct inst *i = ctx;

	i->flush_timer = NULL;
	leave(i);
}

static void last_flush_done(void *ctx, const struct bf_error *err, enum bf_store_outcome outcome)
{
	struct inst *i = ctx;

	(void)outcome;
	i->flush_op = NULL;
	i->in_order = !err;
	leave(i);
}

static void finish_when_empty(struct inst *i)
{
	if (!i->draining || bf_months_count(i->months) > 0 || i->flush_op || i->flush_timer)
		return;
	i->flush_timer = bf_timer_start(i->loop, LAST_FLUSH_MS, drained, i);
	i->flush_op = bf_providers_flush(i->providers, last_flush_done, i);
}

static void month_ended(void *ctx)
{
	struct inst *i = ctx;

	bf_schedule_slot_free(i->schedule);
	finish_when_empty(i);
}

static void month_lost(void *ctx, const struct bf_month_ref *ref)
{
	struct inst *i = ctx;

	bf_months_lost(i->months, ref);
}

/* What comes from outside runs inside the process, too. */
static void enter(struct inst *i)
{
	w.cur = i;
}

static void depart(struct inst *i)
{
	inst_turn_end(i);
	w.cur = NULL;
}

void inst_drain(struct inst *i)
{
	if (i->draining) {
		fault_count(F_DRAIN_TWICE);
		inst_end(i, INST_KILLED);
		return;
	}
	enter(i);
	sim_trace("drain");
	i->draining = true;
	bf_schedule_drain(i->schedule);
	bf_months_drain(i->months);
	finish_when_empty(i);
	depart(i);
}

/* ---- from the loop and the store ---- */
/* Something keeps it from taking up a month. */
static bool busy(const struct inst *i)
{
	return !i->may_pay || i->draining || bf_months_free_slots(i->months) == 0 ||
		!bf_providers_any_ai(i->providers);
}

static void exits(struct ev *e)
{
	inst_end(bf_container_of(e, struct inst, exit), INST_EXITED);
}

void inst_turn_end(struct inst *i)
{
	sim_loop_turn_end(i->loop);
	if (busy(i))
		i->busy_us = w.now_us;
	if (sim_loop_stopped(i->loop) && !i->exit.pos)
		ev_in(&i->exit, NULL, 0, exits);
}

void inst_locks(struct inst *i, bool up)
{
	i->locks_up = up;
	if (up) {
		bf_schedule_locks_up(i->schedule);
	} else {
		i->may_pay = false;
		bf_schedule_locks_down(i->schedule);
	}
}

void inst_pulse(struct inst *i)
{
	i->may_pay = i->locks_up;
	i->pulse_us = w.now_us;
}

int64_t inst_idle_us(const struct inst *i)
{
	/* one that hears nothing from the database does not know that its session is gone */
	return w.now_us - i->pulse_us > 6000000 ? 0 : (int64_t)(w.now_us - i->busy_us);
}

void inst_ticket(struct inst *i)
{
	i->tickets++;
}

void inst_claims(struct inst *i, bool schedule)
{
	if (i->draining)
		sim_fail("%s claims months while it drains", i->name);
	if (schedule && --i->tickets < 0)
		sim_fail("%s claims months for a run that is not its own", i->name);
}

/* ---- what is done to it ---- */
void inst_freeze(struct inst *i, int64_t us)
{
	uint64_t until = w.now_us + (uint64_t)us;

	sim_trace("%s frozen for %lld ms", i->name, (long long)us / 1000);
	if (until > i->frozen_until)
		i->frozen_until = until;
}

void inst_thaw(struct inst *i)
{
	if (i->frozen_until <= w.now_us)
		return;
	world_thaw(i, i->frozen_until);
	i->frozen_until = w.now_us;
}

void inst_wall_jump(struct inst *i, int64_t us)
{
	i->wall_skew += us;
}

void inst_reload(struct inst *i)
{
	const struct bf_config *fresh;

	enter(i);
	i->which = !i->which;
	fresh = inst_config(i);
	sim_trace("reload");
	bf_providers_configure(i->providers, fresh);
	bf_months_configure(i->months, fresh);
	bf_schedule_configure(i->schedule, fresh);
	depart(i);
}

/* ---- its life ---- */
struct inst *inst_start(void)
{
	struct inst *i;
	int slot = 0;

	while (slot < SIM_INSTANCES && w.inst[slot])
		slot++;
	if (slot == SIM_INSTANCES)
		return NULL;
	i = bf_xcalloc(1, sizeof *i);
	i->slot = slot;
	i->born = ++n_born;
	snprintf(i->name, sizeof i->name, "%c%d", 'A' + slot, (int)(n_born % 1000));
	memcpy(i->config, plan.config, sizeof i->config);
	i->which = (int)rnd_below(2);
	i->mono_base = rnd_below(1000000000000);
	i->wall_skew = plan.clocks ? rnd_between(-3600000000, 3600000000) : 0;
	w.inst[slot] = i;
	enter(i);
	sim_trace("starts");
	i->loop = sim_loop_new(i);
	i->http = sim_http_new(i);
	i->store = sim_store_new(i);
	i->providers = bf_providers_new(i->loop, i->http, i->store, inst_config(i), month_lost, i);
	i->months = bf_months_new(
		i->loop, i->store, i->providers, inst_config(i), month_ended, i);
	i->schedule = bf_schedule_new(
		i->loop, i->store, i->months, i->providers, NULL, inst_config(i));
	sim_store_connect(i->store);
	depart(i);
	return i;
}

/* What is left of it must be nothing: an operation without an owner would be one that leaked. */
static void look_for_leaks(const struct inst *i)
{
	if (sim_loop_timers(i->loop))
		sim_fail("%s is over and %d timers are left", i->name, sim_loop_timers(i->loop));
	if (sim_http_in_flight(i->http))
		sim_fail("%s is over and %d requests are left", i->name,
			sim_http_in_flight(i->http));
}

void inst_end(struct inst *i, enum inst_end how)
{
	sim_trace("%s %s", i->name, how == INST_EXITED ? "exits" : "is killed");
	ev_cancel(&i->exit);
	w.cur = i;
	bf_op_cancel(i->flush_timer);
	bf_op_cancel(i->flush_op);
	bf_schedule_free(i->schedule);
	bf_months_free(i->months);
	bf_providers_free(i->providers);
	sim_store_gone(i->store, how == INST_HOST_GONE);
	inv_instance_gone(i, how == INST_EXITED && i->in_order);
	w.cur = NULL;
	look_for_leaks(i);
	bf_http_free(i->http);
	bf_store_free(i->store);
	bf_loop_free(i->loop);
	w.inst[i->slot] = NULL;
	free(i);
}
