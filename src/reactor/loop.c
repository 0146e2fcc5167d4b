/*
 * The loop: libevent's base run turn by turn. A turn is one wait, the callbacks of what became
 * ready, and then the deferred work in the order it was asked for; work deferred meanwhile belongs
 * to the next turn, which does not wait. So deferred work cannot starve the sockets, and nothing is
 * freed under the feet of a callback.
 *
 * Nothing ticks here: an idle loop sleeps until the next timer that somebody asked for. Lag is
 * learned from those timers (how late they are) and from how long the work of a turn takes.
 */
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include "dns.h"
#include "loop.h"

const double bf_lag_bounds_s[BF_LAG_BUCKETS] = {
	0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 2.5, HUGE_VAL
};

struct deferred {
	bf_loop_fn *fn;
	void *ctx;
	bool frees;			/* gives memory back: runs even when the loop ends */
};

struct bf_loop {
	struct event_base *base;
	struct deferred *ring;		/* cap is a power of two */
	size_t head, n, cap;
	bool stop;
	uint64_t turn_began_us;		/* 0: nothing has run in this turn yet */
	struct bf_lag lag;
	struct dns *dns;
};

/* One shot; also signals, which stay until cancelled. */
struct watch {
	struct bf_op op;
	struct bf_loop *loop;
	struct event event;
	bf_loop_fn *fn;
	void *ctx;
	uint64_t due_us;
	bool over;			/* fired or cancelled: only its memory is left */
};

/* Cancels any request of the reactor. */
void bf_op_cancel(struct bf_op *op)
{
	if (op)
		op->cancel(op);
}

/*
 * libevent's own remarks, EBADF of sockets that a library closed first among them, are for
 * debugging only.
 */
static void log_libevent(int severity, const char *message)
{
	bf_log(severity >= EVENT_LOG_ERR ? BF_ERROR : BF_DEBUG, "libevent", BF_S("text", message));
}

/* Timers must be exact to the millisecond, which libevent's default (coarse) clock is not. */
static struct event_base *base_new(void)
{
	const int flags = EVENT_BASE_FLAG_PRECISE_TIMER | EVENT_BASE_FLAG_IGNORE_ENV |
			  EVENT_BASE_FLAG_NOLOCK;
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	if (!config)
		return NULL;
	if (event_config_set_flag(config, flags) == 0)
		base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

/*
 * A new loop, or NULL. From here on the process ignores SIGPIPE: a peer that left is an error code,
 * not a death.
 */
struct bf_loop *bf_loop_new(void)
{
	struct bf_loop *loop = bf_xcalloc(1, sizeof(*loop));

	event_set_log_callback(log_libevent);
	loop->base = base_new();
	if (!loop->base || signal(SIGPIPE, SIG_IGN) == SIG_ERR) {
		bf_loop_free(loop);
		return NULL;
	}
	loop->cap = 64;
	loop->ring = bf_xcalloc(loop->cap, sizeof(*loop->ring));
	return loop;
}

static struct deferred ring_take(struct bf_loop *loop)
{
	struct deferred first = loop->ring[loop->head];

	loop->head = (loop->head + 1) & (loop->cap - 1);
	loop->n--;
	return first;
}

/*
 * Everything that used the loop must be gone. Deferred work that was not reached is dropped, memory
 * is given back.
 */
void bf_loop_free(struct bf_loop *loop)
{
	if (!loop)
		return;
	dns_free(loop->dns);
	while (loop->n) {
		struct deferred d = ring_take(loop);

		if (d.frees)
			d.fn(d.ctx);
	}
	free(loop->ring);
	if (loop->base)
		event_base_free(loop->base);
	free(loop);
}

struct event_base *bf_loop_base(struct bf_loop *loop)
{
	return loop->base;
}

struct dns **loop_dns(struct bf_loop *loop)
{
	return &loop->dns;
}

static void ring_grow(struct bf_loop *loop)
{
	struct deferred *ring = bf_xcalloc(loop->cap * 2, sizeof(*ring));
	size_t tail = loop->cap - loop->head;

	memcpy(ring, loop->ring + loop->head, tail * sizeof(*ring));
	memcpy(ring + tail, loop->ring, loop->head * sizeof(*ring));
	free(loop->ring);
	loop->ring = ring;
	loop->head = 0;
	loop->cap *= 2;
}

static void defer(struct bf_loop *loop, bf_loop_fn *fn, void *ctx, bool frees)
{
	if (loop->n == loop->cap)
		ring_grow(loop);
	loop->ring[(loop->head + loop->n) & (loop->cap - 1)] = (struct deferred){ fn, ctx, frees };
	loop->n++;
}

void bf_loop_defer(struct bf_loop *loop, bf_loop_fn *fn, void *ctx)
{
	loop_mark(loop);
	defer(loop, fn, ctx, false);
}

void loop_free_later(struct bf_loop *loop, bf_loop_fn *fn, void *memory)
{
	defer(loop, fn, memory, true);
}

static void lag_add(struct bf_lag *lag, double seconds)
{
	int bucket = 0;

	while (seconds > bf_lag_bounds_s[bucket])
		bucket++;
	lag->count[bucket]++;
	lag->n++;
	lag->sum_s += seconds;
	if (seconds > lag->max_s)
		lag->max_s = seconds;
}

void loop_mark(struct bf_loop *loop)
{
	if (!loop->turn_began_us)
		loop->turn_began_us = bf_now_us();
}

/*
 * The second half of a turn: what was deferred before now, and the account of how long all of it
 * took.
 */
static void turn_end(struct bf_loop *loop)
{
	size_t n = loop->n;

	if (n)
		loop_mark(loop);
	while (n--) {
		struct deferred d = ring_take(loop);

		d.fn(d.ctx);
	}
	/* giving memory back needs no turn of its own */
	while (loop->n && loop->ring[loop->head].frees) {
		struct deferred d = ring_take(loop);

		d.fn(d.ctx);
	}
	if (loop->turn_began_us)
		lag_add(&loop->lag, (double)(bf_now_us() - loop->turn_began_us) / 1e6);
	loop->turn_began_us = 0;
}

int bf_loop_run(struct bf_loop *loop)
{
	int rc = 0;

	loop->turn_began_us = 0;
	while (!loop->stop && rc == 0) {
		int wait = loop->n ? EVLOOP_NONBLOCK : EVLOOP_ONCE;

		if (event_base_loop(loop->base, wait | EVLOOP_NO_EXIT_ON_EMPTY) < 0)
			rc = -1;
		turn_end(loop);
	}
	loop->stop = false;
	return rc;
}

/* Ends bf_loop_run() after this turn; called outside of it, the next one returns at once. */
void bf_loop_stop(struct bf_loop *loop)
{
	loop->stop = true;
}

void bf_loop_lag(const struct bf_loop *loop, struct bf_lag *ret)
{
	*ret = loop->lag;
}

static void watch_cancel(struct bf_op *op)
{
	struct watch *watch = bf_container_of(op, struct watch, op);

	if (watch->over)
		return;
	watch->over = true;
	event_del(&watch->event);
	loop_free_later(watch->loop, free, watch);
}

static struct watch *watch_new(struct bf_loop *loop, bf_loop_fn *fn, void *ctx)
{
	struct watch *watch = bf_xcalloc(1, sizeof(*watch));

	watch->op.cancel = watch_cancel;
	watch->loop = loop;
	watch->fn = fn;
	watch->ctx = ctx;
	return watch;
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct watch *timer = ctx;
	uint64_t now = bf_now_us();

	(void)fd;
	(void)what;
	loop_mark(timer->loop);
	lag_add(&timer->loop->lag, now > timer->due_us ? (double)(now - timer->due_us) / 1e6 : 0);
	timer->over = true;
	loop_free_later(timer->loop, free, timer);
	timer->fn(timer->ctx);
}

/* Calls fn(ctx) once, after_ms from now (below 0 counts as 0). */
struct bf_op *bf_timer_start(struct bf_loop *loop, int64_t after_ms, bf_loop_fn *fn, void *ctx)
{
	struct watch *timer = watch_new(loop, fn, ctx);
	struct timeval after;

	if (after_ms < 0)
		after_ms = 0;
	after = (struct timeval){ .tv_sec = after_ms / 1000, .tv_usec = after_ms % 1000 * 1000 };
	timer->due_us = bf_now_us() + (uint64_t)after_ms * 1000;
	/*
	 * libevent counts from the beginning of the turn unless told the time; then long turns make
	 * early timers
	 */
	event_base_update_cache_time(loop->base);
	if (evtimer_assign(&timer->event, loop->base, on_timer, timer) < 0 ||
	    evtimer_add(&timer->event, &after) < 0)
		bf_out_of_memory();	/* the only reason there is */
	return &timer->op;
}

static void on_signal(evutil_socket_t signo, short what, void *ctx)
{
	struct watch *watch = ctx;

	(void)signo;
	(void)what;
	loop_mark(watch->loop);
	watch->fn(watch->ctx);
}

/*
 * Calls fn(ctx) from the loop, with no restriction on what it does, for each signal until
 * cancelled.
 */
struct bf_op *bf_signal_watch(struct bf_loop *loop, int signo, bf_loop_fn *fn, void *ctx)
{
	struct watch *watch = watch_new(loop, fn, ctx);

	if (evsignal_assign(&watch->event, loop->base, signo, on_signal, watch) < 0 ||
	    evsignal_add(&watch->event, NULL) < 0) {
		bf_log(BF_ERROR, "cannot watch a signal", BF_I("signo", signo));
		free(watch);
		return NULL;
	}
	return &watch->op;
}
