/* sim_doors_locks: the door's functions on the lock session and what operators and timers ask; what nobody here calls aborts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "instance.h"
#include "invariants.h"
#include "sim_store.h"

#define DONE(c, type) ((type *)(c)->done)
#define FN(done) ((void (*)(void))(done))

static void tell_outcome(struct call *c, const struct bf_error *err)
{
	DONE(c, bf_store_done)(c->ctx, err, err ? BF_STORE_REFUSED : c->outcome);
}

static void tell_lost(struct call *c, const struct bf_error *err)
{
	DONE(c, bf_store_lost_done)(c->ctx, err, c->ret, err ? 0 : c->n_ret);
}

static void tell_count(struct call *c, const struct bf_error *err)
{
	DONE(c, bf_store_count_done)(c->ctx, err, err ? 0 : c->number);
}

/* ---- claims ---- */
struct claim_call { enum bf_claim_what what; struct bf_claim claim; bool paused; };

static void apply_claim(struct call *c)
{
	struct claim_call *r = c->v;

	r->paused = model_paused(w.model);
	model_claim(w.model, &c->by, r->what, c->n, c->a, c->b, c->flag, c->arena, &r->claim);
	audit_claimed(c->by.instance, &r->claim);
}

static void tell_claim(struct call *c, const struct bf_error *err)
{
	static const struct bf_claim none;
	struct claim_call *r = c->v;
	struct bf_error paused;

	if (!err && r->paused && !r->claim.n) {
		bf_error_set(&paused, BF_ERR_CONFIG, "paused: by an operator");
		err = &paused;
	}
	if (!err)
		inv_taken(call_inst(c), r->claim.rows, r->claim.n);
	DONE(c, bf_store_claim_done)(c->ctx, err, err ? &none : &r->claim);
}

struct bf_op *bf_store_claim(struct bf_store *s, enum bf_claim_what what, int limit, int year_low,
	int year_high, bool force_retry, bf_store_claim_done *done, void *ctx)
{
	struct call *c = call_new(s, "claim", true, apply_claim, tell_claim, FN(done), ctx);
	struct claim_call *r = bf_arena_alloc(c->arena, sizeof *r);

	inst_claims(call_inst(c), what == BF_CLAIM_SCHEDULE);
	r->what = what;
	c->v = r;
	c->n = limit > 0 ? limit : 0;
	c->a = what == BF_CLAIM_SCHEDULE ? year_low : 1900;
	c->b = what == BF_CLAIM_SCHEDULE ? year_high : 2100;
	c->flag = force_retry;
	return call_go(c);
}

static void apply_rescue(struct call *c)
{
	struct claim_call *r = c->v;

	audit_rescue(&c->by, c->refs, c->n, c->ms);
	model_rescue(w.model, &c->by, c->refs, c->n, c->ms, c->arena, &r->claim);
	audit_rescued(&c->by, &r->claim);
	audit_claimed(c->by.instance, &r->claim);
}

struct bf_op *bf_store_rescue(struct bf_store *s, const struct bf_month_ref *refs, int n,
	int64_t stuck_after_ms, bf_store_claim_done *done, void *ctx)
{
	struct call *c = call_new(s, "rescue", true, apply_rescue, tell_claim, FN(done), ctx);

	inst_claims(call_inst(c), false);
	c->v = bf_arena_alloc(c->arena, sizeof(struct claim_call));
	c->refs = call_refs(c, refs, n);
	c->ms = stuck_after_ms;
	sim_store_race(c);
	return call_go(c);
}

/* ---- harvest ---- */
struct harvest_call { struct bf_harvest h; struct bf_harvest_reply reply; };

static void apply_harvest(struct call *c)
{
	struct harvest_call *r = c->v;

	model_harvest(w.model, &c->by, &r->h, &r->reply);
	if (r->reply.result == BF_HARVEST_OK && !r->h.dry_run)
		audit_claimed(c->by.instance, &(struct bf_claim){ .rows = &r->reply.row, .n = 1 });
}

static void tell_harvest(struct call *c, const struct bf_error *err)
{
	struct harvest_call *r = c->v;

	if (!err && r->reply.result == BF_HARVEST_OK)
		inv_taken(call_inst(c), &r->reply.row, 1);
	DONE(c, bf_store_harvest_done)(c->ctx, err, err ? NULL : &r->reply);
}

struct bf_op *bf_store_harvest(
	struct bf_store *s, const struct bf_harvest *h, bf_store_harvest_done *done, void *ctx)
{
	struct call *c = call_new(s, "harvest", true, apply_harvest, tell_harvest, FN(done), ctx);
	struct harvest_call *r = bf_arena_alloc(c->arena, sizeof *r);

	r->h = *h;
	r->h.prompt_variant = bf_arena_strdup(c->arena, h->prompt_variant);
	r->h.model_override = bf_arena_strdup(c->arena, h->model_override);
	r->h.experiment_id = bf_arena_strdup(c->arena, h->experiment_id);
	r->h.default_variant = bf_arena_strdup(c->arena, h->default_variant);
	r->h.default_variant_recent = bf_arena_strdup(c->arena, h->default_variant_recent);
	c->v = r;
	return call_go(c);
}

/* ---- instances ---- */
struct hello_call { struct bf_hello hello; bool ok; };

static void apply_hello(struct call *c)
{
	struct hello_call *r = c->v;

	r->ok = model_hello(w.model, &c->by, c->a, &r->hello);
}

static void tell_hello(struct call *c, const struct bf_error *err)
{
	struct hello_call *r = c->v;
	struct bf_error held;

	if (!err && !r->ok) {
		bf_error_set(&held, BF_ERR_RETRY, "a former session still holds the lock");
		err = &held;
	}
	if (!err)
		store_set_owner(c->store, r->hello.instance_id);
	DONE(c, bf_store_hello_done)(c->ctx, err, err ? NULL : &r->hello);
}

struct bf_op *bf_store_hello(
	struct bf_store *s, int instance_id, bf_store_hello_done *done, void *ctx)
{
	struct call *c = call_new(s, "hello", true, apply_hello, tell_hello, FN(done), ctx);

	c->v = bf_arena_alloc(c->arena, sizeof(struct hello_call));
	c->a = instance_id;
	return call_go(c);
}

static void apply_relock(struct call *c)
{
	c->ret = bf_arena_alloc(c->arena, ((size_t)c->n + 1) * sizeof(struct bf_month_ref));
	c->n_ret = model_relock(w.model, &c->by, c->refs, c->n, c->ret);
}

struct bf_op *bf_store_relock(struct bf_store *s, int instance_id, const struct bf_month_ref *refs,
	int n, bf_store_lost_done *done, void *ctx)
{
	struct call *c = call_new(s, "relock", true, apply_relock, tell_lost, FN(done), ctx);

	store_set_owner(s, instance_id);
	c->refs = call_refs(c, refs, n);
	return call_go(c);
}

static void apply_unlock(struct call *c)
{
	model_unlock(w.model, &c->by, c->refs, c->n);
	c->outcome = BF_STORE_DONE;
}

struct bf_op *bf_store_unlock(struct bf_store *s, const struct bf_month_ref *refs, int n,
	bf_store_done *done, void *ctx)
{
	struct call *c = call_new(s, "unlock", true, apply_unlock, tell_outcome, FN(done), ctx);

	c->refs = call_refs(c, refs, n);
	return call_go(c);
}

/* ---- the pulse ---- */
static void apply_pulse(struct call *c)
{
	struct bf_pulse *p = c->v;

	model_pulse(w.model, &c->by, c->refs, c->n, c->ms, c->arena, p);
	audit_pulse(c->by.owner_id, p);
	c->ret = bf_arena_alloc(c->arena, ((size_t)c->n + 1) * sizeof(struct bf_month_ref));
	c->n_ret = audit_stale(c->refs, c->n, c->ret);
	if (p->pause_note)
		p->pause_note = bf_arena_strdup(c->arena, p->pause_note);
}

static void tell_pulse(struct call *c, const struct bf_error *err)
{
	if (!err)
		inst_pulse(call_inst(c));
	DONE(c, bf_store_pulse_done)(c->ctx, err, err ? NULL : c->v);
	if (!err)
		audit_dropped(call_inst(c), c->ret, c->n_ret);
}

struct bf_op *bf_store_pulse(struct bf_store *s, const struct bf_month_ref *mine, int n,
	int64_t stuck_after_ms, bf_store_pulse_done *done, void *ctx)
{
	struct call *c = call_new(s, "pulse", true, apply_pulse, tell_pulse, FN(done), ctx);

	c->v = bf_arena_alloc(c->arena, sizeof(struct bf_pulse));
	c->refs = call_refs(c, mine, n);
	c->ms = stuck_after_ms;
	return call_go(c);
}

/* ---- timers ---- */
static void apply_timer_claim(struct call *c)
{
	c->outcome = model_timer_claim(w.model, &c->by, c->text, c->ms) ? BF_STORE_DONE
								       : BF_STORE_REFUSED;
	if (c->outcome == BF_STORE_DONE)
		audit_timer(c->by.instance, c->by.owner_id, c->ms);
}

static void tell_timer_claim(struct call *c, const struct bf_error *err)
{
	if (!err && c->outcome == BF_STORE_DONE)
		inst_ticket(call_inst(c));
	tell_outcome(c, err);
}

struct bf_op *bf_store_timer_claim(
	struct bf_store *s, const char *timer, int64_t scheduled, bf_store_done *done, void *ctx)
{
	struct call *c = call_new(
		s, "timer_claim", false, apply_timer_claim, tell_timer_claim, FN(done), ctx);

	c->text = bf_arena_strdup(c->arena, timer);
	c->ms = scheduled;
	return call_go(c);
}

static void apply_timer_last(struct call *c)
{
	c->number = model_timer_last(w.model, c->text);
}

static void tell_timer(struct call *c, const struct bf_error *err)
{
	DONE(c, bf_store_timer_done)(c->ctx, err, err ? -1 : c->number);
}

struct bf_op *bf_store_timer_last(
	struct bf_store *s, const char *timer, bf_store_timer_done *done, void *ctx)
{
	struct call *c = call_new(s, "timer_last", false, apply_timer_last, tell_timer, FN(done), ctx);

	c->text = bf_arena_strdup(c->arena, timer);
	return call_go(c);
}

/* ---- operators ---- */
static void apply_pause(struct call *c)
{
	model_pause(w.model, c->flag, c->text, c->ms ? w.model->now_us + c->ms * 1000 : 0);
	c->outcome = BF_STORE_DONE;
}

/* until: seconds from now, as text; the simulation's operators know no calendar. */
struct bf_op *bf_store_pause(struct bf_store *s, bool paused, const char *note, const char *until,
	bf_store_done *done, void *ctx)
{
	struct call *c = call_new(s, "pause", false, apply_pause, tell_outcome, FN(done), ctx);

	c->flag = paused;
	c->text = bf_arena_strdup(c->arena, note);
	c->ms = until ? strtoll(until, NULL, 10) * 1000 : 0;
	return call_go(c);
}

static void apply_operator(struct call *c)
{
	c->outcome = model_operator(w.model, (enum bf_operator_action)c->n, c->a, c->b);
	if (c->outcome == BF_STORE_DONE && c->n == BF_OPERATOR_RESET)
		inv_reset(c->a, c->b);
}

struct bf_op *bf_store_operator(struct bf_store *s, enum bf_operator_action action, int year,
	int month, bf_store_done *done, void *ctx)
{
	struct call *c = call_new(s, "operator", false, apply_operator, tell_outcome, FN(done), ctx);

	c->n = (int)action;
	c->a = year;
	c->b = month;
	return call_go(c);
}

/* ---- what is not simulated but asked for now and then ---- */
static void apply_nothing(struct call *c)
{
	c->number = 0;
}

struct bf_op *bf_store_prune(struct bf_store *s, const struct bf_retention *r,
	bf_store_count_done *done, void *ctx)
{
	(void)r;
	return call_go(call_new(s, "prune", false, apply_nothing, tell_count, FN(done), ctx));
}

static void __attribute__((noreturn)) never(const char *what)
{
	fprintf(stderr, "sim: %s was called, which nobody should\n", what);
	abort();
}

#define NEVER(name, ...)			\
	struct bf_op *name(__VA_ARGS__)		\
	{					\
		never(#name);			\
	}
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
NEVER(bf_store_enhance, struct bf_store *s, int limit, int max, bf_store_count_done *done, void *ctx)
NEVER(bf_store_alert_facts, struct bf_store *s, const char *own, int pool, int64_t stuck, int attempts,
	bf_store_alert_facts_done *done, void *ctx)
NEVER(bf_store_alerts_merge, struct bf_store *s, const struct bf_alert *v, int n, bool webhook,
	bf_store_alerts_done *done, void *ctx)
NEVER(bf_store_alerts_tell, struct bf_store *s, const char *own, bf_store_alerts_done *done, void *ctx)
NEVER(bf_store_deliveries_claim, struct bf_store *s, int limit, int64_t lease,
	bf_store_deliveries_done *done, void *ctx)
NEVER(bf_store_delivery_end, struct bf_store *s, int64_t id, const char *problem, int64_t wait,
	bf_store_done *done, void *ctx)
#pragma GCC diagnostic pop

void bf_enrich_pulse(struct bf_enrich *enrich, const struct bf_pulse *pulse)
{
	(void)enrich;
	(void)pulse;
	never("bf_enrich_pulse");
}

void bf_enrich_locks_down(struct bf_enrich *enrich)
{
	(void)enrich;
	never("bf_enrich_locks_down");
}
