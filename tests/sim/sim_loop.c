/* sim_loop: the loop's door under the virtual clock. A turn is one event and the work it deferred. */
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include "backfill/reactor.h"
#include "instance.h"
#include "sim_loop.h"

struct deferred {
	TAILQ_ENTRY(deferred) link;
	bf_loop_fn *fn;
	void *ctx;
};

struct timer {
	struct bf_op op;
	struct ev ev;
	LIST_ENTRY(timer) link;
	bf_loop_fn *fn;
	void *ctx;
	uint64_t started_us;
};

struct bf_loop {
	struct inst *inst;
	TAILQ_HEAD(, deferred) deferred;
	LIST_HEAD(, timer) timers;
	struct ev again;		/* a turn that does not wait */
	bool stopped;
};

void bf_op_cancel(struct bf_op *op)
{
	if (op)
		op->cancel(op);
}

struct bf_loop *sim_loop_new(struct inst *inst)
{
	struct bf_loop *loop = bf_xcalloc(1, sizeof(*loop));

	loop->inst = inst;
	TAILQ_INIT(&loop->deferred);
	LIST_INIT(&loop->timers);
	return loop;
}

/*
 * Those that have been there for a while: the gate does not know of the calls that it is about to end within this turn or
 * the next, and leaves their timers behind when the process ends just then.
 */
int sim_loop_timers(const struct bf_loop *loop)
{
	const struct timer *t;
	int n = 0;

	LIST_FOREACH (t, &loop->timers, link)
		n += w.now_us - t->started_us > 5000;
	return n;
}

struct inst *sim_loop_inst(const struct bf_loop *loop)
{
	return loop->inst;
}

/* The process is gone: nothing of it runs any more. */
void bf_loop_free(struct bf_loop *loop)
{
	struct deferred *d;
	struct timer *t;

	while ((t = LIST_FIRST(&loop->timers))) {
		LIST_REMOVE(t, link);
		ev_cancel(&t->ev);
		free(t);
	}
	while ((d = TAILQ_FIRST(&loop->deferred))) {
		TAILQ_REMOVE(&loop->deferred, d, link);
		free(d);
	}
	ev_cancel(&loop->again);
	free(loop);
}

static void again_fired(struct ev *e)
{
	(void)e; /* the turn's end does the work */
}

void sim_loop_turn_end(struct bf_loop *loop)
{
	TAILQ_HEAD(, deferred) now;
	struct deferred *d;

	TAILQ_INIT(&now);
	TAILQ_CONCAT(&now, &loop->deferred, link);
	while ((d = TAILQ_FIRST(&now))) {
		TAILQ_REMOVE(&now, d, link);
		d->fn(d->ctx);
		free(d);
	}
	if (!TAILQ_EMPTY(&loop->deferred) && !loop->again.pos)
		ev_in(&loop->again, loop->inst, 0, again_fired);
}

void bf_loop_defer(struct bf_loop *loop, bf_loop_fn *fn, void *ctx)
{
	struct deferred *d = bf_xcalloc(1, sizeof(*d));

	d->fn = fn;
	d->ctx = ctx;
	TAILQ_INSERT_TAIL(&loop->deferred, d, link);
}

static void timer_fired(struct ev *e)
{
	struct timer *t = bf_container_of(e, struct timer, ev);
	bf_loop_fn *fn = t->fn;
	void *ctx = t->ctx;

	LIST_REMOVE(t, link);
	free(t);
	fn(ctx);
}

static void timer_cancel(struct bf_op *op)
{
	struct timer *t = bf_container_of(op, struct timer, op);

	ev_cancel(&t->ev);
	LIST_REMOVE(t, link);
	free(t);
}

struct bf_op *bf_timer_start(struct bf_loop *loop, int64_t after_ms, bf_loop_fn *fn, void *ctx)
{
	struct timer *t = bf_xcalloc(1, sizeof(*t));
	int64_t late_us = (int64_t)rnd_below(2000); /* a loop has other things to do, too */

	t->op.cancel = timer_cancel;
	t->fn = fn;
	t->ctx = ctx;
	t->started_us = w.now_us;
	LIST_INSERT_HEAD(&loop->timers, t, link);
	ev_in(&t->ev, loop->inst, (after_ms > 0 ? after_ms : 0) * 1000 + late_us, timer_fired);
	return &t->op;
}

void bf_loop_stop(struct bf_loop *loop)
{
	loop->stopped = true;
}

bool sim_loop_stopped(const struct bf_loop *loop)
{
	return loop->stopped;
}
