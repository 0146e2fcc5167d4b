/*
 * sim_store: the way of a call to the database and back. It takes its time on both ways, may be lost on either, waits when the
 * database is away, and is applied to the model at one moment in between. What a process sent is applied although the process
 * may be gone by then. The lock session is one line: its calls are applied and answered in order.
 */
#include "sim_store.h"
#include <stdlib.h>
#include <string.h>
#include "instance.h"
#include "plan.h"

#define QUEUE_US 5000000

struct bf_store {
	struct inst *inst;
	char instance[16];
	int owner_id, session;		/* session 0: the locks' session is down */
	int dead_session;		/* ended by the server, and we do not know */
	struct call *calls;
	uint64_t line_apply, line_answer;	/* the lock session's last moments */
	uint64_t quota_row_until[BF_NPROVIDERS];
	struct ev reconnect, told;
	int n_calls;
};
static struct { bool away; struct call *orphans; } db;

/* A session that the server keeps after its client has gone. */
struct linger {
	struct ev ev;
	int session;
	struct linger *next;
};
static struct linger *lingering;

static void call_send(struct call *);

/* ---- lists ---- */
static void list_add(struct call **head, struct call *c)
{
	c->next = *head;
	if (c->next)
		c->next->back = &c->next;
	c->back = head;
	*head = c;
}

static void list_remove(struct call *c)
{
	*c->back = c->next;
	if (c->next)
		c->next->back = c->back;
}

static void call_free(struct call *c)
{
	list_remove(c);
	if (c->store)
		c->store->n_calls--;
	ev_cancel(&c->ev);
	bf_arena_free(c->arena);
	free(c);
}

/* ---- the store ---- */
struct bf_store *sim_store_new(struct inst *inst)
{
	struct bf_store *s = bf_xcalloc(1, sizeof *s);

	s->inst = inst;
	strlcpy(s->instance, inst_name(inst), sizeof s->instance);
	return s;
}

void sim_db_clock(void)
{
	w.model->now_us = (int64_t)w.now_us + plan.db_epoch_us;
}

int sim_store_session(const struct bf_store *s)
{
	return s->session;
}

int sim_store_calls(const struct bf_store *s)
{
	return s->n_calls;
}

uint64_t *store_quota_row_until(struct bf_store *s, enum bf_provider_id p)
{
	return &s->quota_row_until[p];
}

void store_set_owner(struct bf_store *s, int owner_id)
{
	s->owner_id = owner_id;
}

struct inst *call_inst(const struct call *c)
{
	return c->store ? c->store->inst : NULL;
}

/* ---- the end of a call ---- */
static void answer(struct ev *e)
{
	struct call *c = bf_container_of(e, struct call, ev);
	bool failed = c->err.class != BF_ERR_NONE;

	if (failed && c->dropped)
		c->dropped(c);
	sim_trace("  answer %s%s%s", c->name, failed ? ": " : "", failed ? c->err.text : "");
	list_remove(c);
	c->store->n_calls--;
	if (c->done)
		c->tell(c, failed ? &c->err : NULL);
	bf_arena_free(c->arena);
	free(c);
}

static void answer_in(struct call *c, int64_t us)
{
	uint64_t at = w.now_us + (uint64_t)us;

	if (c->cancelled || !c->store) { /* nobody hears it */
		if (c->dropped)
			c->dropped(c);
		call_free(c);
		return;
	}
	if (c->locks && at <= c->store->line_answer)
		at = c->store->line_answer + 1;
	if (c->locks)
		c->store->line_answer = at;
	ev_cancel(&c->ev);
	ev_at(&c->ev, c->store->inst, at, answer);
}

static void lose(struct call *c, enum bf_err_class class, const char *why, int64_t after_us)
{
	bf_error_set(&c->err, class, "%s: %s", c->name, why);
	if (class == BF_ERR_PERMANENT)
		memcpy(c->err.sqlstate, "53100", 6);
	answer_in(c, after_us);
}

/* ---- at the server ---- */
static int64_t way_us(void)
{
	if (fault(F_DB_SLOW, plan.db_slow))
		return rnd_between(50000, 4000000);
	return rnd_between(200, 3000);
}

static void apply(struct ev *e);

/* A month's write waits for whoever has locked its row. */
static bool waits_for_row(struct call *c)
{
	const struct mrow *row =
		c->step.ref.year ? model_row(w.model, c->step.ref.year, c->step.ref.month) : NULL;
	int64_t wait_us;

	sim_db_clock();
	wait_us = row ? row->locked_until - w.model->now_us : 0;
	if (wait_us <= 0)
		return false;
	ev_cancel(&c->ev);
	ev_in(&c->ev, NULL, wait_us, apply);
	return true;
}

/* A statement that takes longer than it may is ended by the server. */
static void apply(struct ev *e)
{
	struct call *c = bf_container_of(e, struct call, ev);
	const char *who = c->by.instance;

	if (db.away) {
		lose(c, BF_ERR_RETRY, "connection lost", rnd_between(1000, 500000));
		return;
	}
	if (c->locks && !model_session_alive(w.model, c->by.session))
		return; /* waits until its client knows that the session is gone */
	if (waits_for_row(c))
		return;
	if (fault(F_DB_NOT_APPLIED, plan.db_faults)) {
		lose(c, BF_ERR_RETRY, "deadlock detected", rnd_between(1000, 500000));
		return;
	}
	if (c->refusable && !(c->step.from && model_has_step(w.model, &c->step)) &&
		fault(F_DB_REFUSES, plan.db_refuses)) { /* what is done already writes nothing */
		lose(c, BF_ERR_PERMANENT, "could not extend file: No space left on device", 1000);
		return;
	}
	sim_db_clock();
	c->applied = true;
	c->apply(c);
	sim_trace("  %s commits %s", who, c->name);
	if (c->store && !c->cancelled && fault(F_DB_ACK_LOST, plan.db_faults)) {
		if (c->locks)
			sim_store_lose_locks(c->store, chance(500) ? LOSE_ENDED : LOSE_LINGERS);
		else
			lose(c, BF_ERR_RETRY, "connection lost", rnd_between(1000, 3000000));
		return;
	}
	answer_in(c, way_us());
}

/* ---- sending ---- */
static void expired(struct ev *e)
{
	struct call *c = bf_container_of(e, struct call, ev);

	c->parked = false;
	lose(c, BF_ERR_RETRY, "no session for 5 s", 0);
}

static void call_send(struct call *c)
{
	struct bf_store *s = c->store;
	uint64_t at = w.now_us + (uint64_t)way_us();

	at += (uint64_t)c->late_us;
	c->parked = false;
	ev_cancel(&c->ev);
	c->by.session = s->session;
	c->by.owner_id = s->owner_id;
	if (c->locks && at <= s->line_apply)
		at = s->line_apply + 1;
	if (c->locks)
		s->line_apply = at;
	ev_at(&c->ev, NULL, at, apply);
}

static bool reachable(const struct call *c)
{
	return c->locks ? c->store->session != 0 : !db.away;
}

static void op_cancel(struct bf_op *op)
{
	struct call *c = bf_container_of(op, struct call, op);

	c->cancelled = true;
	if (c->parked || (!c->applied && chance(100))) {
		if (c->dropped)
			c->dropped(c);
		call_free(c);
	} else if (c->applied || c->err.class != BF_ERR_NONE) {
		if (c->dropped)
			c->dropped(c);
		call_free(c);
	}
}

struct call *call_new(struct bf_store *s, const char *name, bool locks,
	void (*apply_it)(struct call *), void (*tell)(struct call *, const struct bf_error *),
	void (*done)(void), void *ctx)
{
	struct call *c = bf_xcalloc(1, sizeof *c);

	c->op.cancel = op_cancel;
	c->store = s;
	c->name = name;
	c->locks = locks;
	c->apply = apply_it;
	c->tell = tell;
	c->done = done;
	c->ctx = ctx;
	c->arena = bf_arena_new();
	c->by.instance = bf_arena_strdup(c->arena, s->instance);
	list_add(&s->calls, c);
	s->n_calls++;
	return c;
}

struct bf_op *call_go(struct call *c)
{
	if (reachable(c)) {
		call_send(c);
		return &c->op;
	}
	c->parked = true;
	ev_in(&c->ev, c->store->inst, QUEUE_US, expired);
	return &c->op;
}

struct bf_month_ref *call_refs(struct call *c, const struct bf_month_ref *refs, int n)
{
	struct bf_month_ref *copy = bf_arena_alloc(c->arena, ((size_t)n + 1) * sizeof *copy);

	if (n)
		memcpy(copy, refs, (size_t)n * sizeof *copy);
	c->n = n;
	return copy;
}

void call_step(struct call *c, const struct bf_step *s)
{
	c->step = *s;
	c->step.from = bf_arena_strdup(c->arena, s->from);
	c->step.to = bf_arena_strdup(c->arena, s->to);
	c->step.event = bf_arena_strdup(c->arena, s->event);
	c->step.detail_json = bf_arena_strdup(c->arena, s->detail_json);
	c->step.job_id = bf_arena_strdup(c->arena, s->job_id);
	c->refusable = true;
}

/* ---- sessions ---- */
static void send_parked(struct bf_store *s)
{
	struct call *c = s->calls, *last = NULL;

	while (c) { /* the oldest is last in the list */
		last = c;
		c = c->next;
	}
	for (c = last; c;) {
		struct call *newer = c == s->calls
			? NULL
			: (struct call *)(void *)((char *)c->back - offsetof(struct call, next));

		if (c->parked && reachable(c))
			call_send(c);
		c = newer;
	}
}

static void reconnected(struct ev *e)
{
	struct bf_store *s = bf_container_of(e, struct bf_store, reconnect);

	if (db.away) {
		ev_in(&s->reconnect, s->inst, rnd_between(200000, 2000000), reconnected);
		return;
	}
	s->session = model_session_open(w.model);
	s->dead_session = 0;
	s->line_apply = s->line_answer = 0;
	sim_trace("lock session %d up", s->session);
	send_parked(s);
	inst_locks(s->inst, true);
}

/* Whose session is away comes back before this call is there: what was seen is not so any more. */
void sim_store_race(struct call *c)
{
	if (w.calm || db.away || !chance(300))
		return;
	c->late_us = rnd_between(20000, 100000);
	for (int i = 0; i < SIM_INSTANCES; i++) {
		struct bf_store *s = w.inst[i] ? inst_store(w.inst[i]) : NULL;

		if (!s || !s->reconnect.pos)
			continue;
		ev_cancel(&s->reconnect);
		ev_in(&s->reconnect, s->inst, rnd_between(100, 2000), reconnected);
	}
}

void sim_store_connect(struct bf_store *s)
{
	if (!s->session && !s->reconnect.pos)
		ev_in(&s->reconnect, s->inst, rnd_between(5000, chance(300) ? 9000000 : 2000000), reconnected);
}

/* Everything under way on it ends; what the server had, it may have done. */
static void fail_line(struct bf_store *s, bool server_lives)
{
	for (struct call *c = s->calls, *next; c; c = next) {
		next = c->next;
		if (!c->locks || c->parked || c->err.class != BF_ERR_NONE)
			continue;
		if (!c->applied && server_lives && chance(500)) {
			sim_db_clock();
			c->applied = true;
			c->apply(c);
		}
		lose(c, BF_ERR_RETRY, "lock session lost", rnd_between(0, 2000));
	}
}

static void session_down(struct bf_store *s, bool server_lives)
{
	int session = s->session;

	s->session = s->dead_session = 0;
	ev_cancel(&s->told);
	sim_trace("lock session %d down", session);
	fail_line(s, server_lives);
	inst_locks(s->inst, false);
	sim_store_connect(s);
}

static void told(struct ev *e)
{
	struct bf_store *s = bf_container_of(e, struct bf_store, told);

	if (s->session)
		session_down(s, false);
}

static void linger_over(struct ev *e)
{
	struct linger *l = bf_container_of(e, struct linger, ev);

	model_session_end(w.model, l->session);
	l->session = 0;
}

static void linger(int session)
{
	struct linger *l = bf_xcalloc(1, sizeof *l);

	l->session = session;
	l->next = lingering;
	lingering = l;
	ev_in(&l->ev, NULL, rnd_between(100000, 20000000), linger_over);
}

void sim_store_lose_locks(struct bf_store *s, enum lose how)
{
	if (!s->session || s->dead_session || s->told.pos)
		return;
	sim_db_clock();
	switch (how) {
	case LOSE_LINGERS:
		linger(s->session);
		ev_in(&s->told, s->inst, 0, told);
		return;
	case LOSE_ENDED:
		model_session_end(w.model, s->session);
		s->dead_session = s->session;
		ev_in(&s->told, s->inst, rnd_between(0, 50000), told);
		return;
	case LOSE_SILENT:
		model_session_end(w.model, s->session);
		s->dead_session = s->session;
		ev_in(&s->told, s->inst, rnd_between(500000, 20000000), told);
		return;
	}
}

/* ---- the process is gone ---- */
void sim_store_gone(struct bf_store *s, bool lingers)
{
	for (struct call *c = s->calls, *next; c; c = next) {
		next = c->next;
		if (!c->parked && !c->applied && c->err.class == BF_ERR_NONE && !db.away &&
			chance(500)) {
			list_remove(c);
			s->n_calls--;
			c->store = NULL;
			list_add(&db.orphans, c);
			continue;
		}
		if (c->dropped)
			c->dropped(c);
		call_free(c);
	}
	if (s->session && lingers)
		linger(s->session);
	else if (s->session)
		model_session_end(w.model, s->session);
	s->session = 0;
	ev_cancel(&s->reconnect);
	ev_cancel(&s->told);
}

void bf_store_free(struct bf_store *s)
{
	free(s);
}

/* ---- the database as a whole ---- */
bool sim_db_is_away(void)
{
	return db.away;
}

/* Its connections break; what it was doing may be done. */
static void fail_pool(struct bf_store *s)
{
	for (struct call *c = s->calls, *next; c; c = next) {
		next = c->next;
		if (c->locks || c->parked || c->err.class != BF_ERR_NONE)
			continue;
		if (!c->applied && chance(300)) {
			c->applied = true;
			c->apply(c);
		}
		lose(c, BF_ERR_RETRY, "server closed the connection", rnd_between(0, 100000));
	}
}

void sim_db_away(bool away)
{
	if (db.away == away)
		return;
	sim_db_clock();
	db.away = away;
	sim_trace("database %s", away ? "away" : "back");
	for (int i = 0; i < SIM_INSTANCES; i++) {
		struct bf_store *s = w.inst[i] ? inst_store(w.inst[i]) : NULL;

		if (s && away)
			fail_pool(s);
	}
	for (int i = 1; away && i <= w.model->sessions.n; i++)
		model_session_end(w.model, i);
	w.model->server_started_us = w.model->now_us;
	for (int i = 0; i < SIM_INSTANCES; i++) {
		struct bf_store *s = w.inst[i] ? inst_store(w.inst[i]) : NULL;

		if (!s)
			continue;
		if (away && s->session && !s->told.pos)
			ev_in(&s->told, s->inst, rnd_between(0, 100000), told);
		if (!away)
			send_parked(s);
	}
}

void sim_db_begin(void)
{
	db.away = false;
}

void sim_db_release(void)
{
	while (db.orphans)
		call_free(db.orphans);
	while (lingering) {
		struct linger *l = lingering;

		lingering = l->next;
		ev_cancel(&l->ev);
		free(l);
	}
}
