/*
 * world: clock, events, choices. bf_now_us, bf_wall_us and bf_log_write are given to the product by the linker's --wrap, so
 * that base itself is linked unchanged; its generator is seeded from the same seed as the world's own.
 */
#include "world.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "coverage.h"
#include "instance.h"

const char *const sim_fault_names[SIM_NFAULTS] = {
#define X(sym, name) [F_##sym] = name,
	SIM_FAULTS(X)
#undef X
};
struct world w;

uint64_t __wrap_bf_now_us(void);
int64_t __wrap_bf_wall_us(void);
void __wrap_bf_log_write(enum bf_log_level, const char *, const struct bf_kv *);

/* ---- clocks ---- */
/* A host's monotonic clock has a zero of its own. */
uint64_t __wrap_bf_now_us(void)
{
	return w.now_us + (w.cur ? inst_mono_base(w.cur) : 0);
}

int64_t __wrap_bf_wall_us(void)
{
	return (int64_t)w.now_us + SIM_EPOCH_US + (w.cur ? inst_wall_skew(w.cur) : 0);
}

/* ---- choices: xoshiro256** ---- */
static uint64_t turn_left(uint64_t x, int n)
{
	return x << n | x >> (64 - n);
}

uint64_t rnd(void)
{
	uint64_t *s = w.rng, ret = turn_left(s[1] * 5, 7) * 9, t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = turn_left(s[3], 45);
	return ret;
}

uint64_t rnd_below(uint64_t n)
{
	return n > 1 ? rnd() % n : 0;
}

int64_t rnd_between(int64_t low, int64_t high)
{
	return low + (int64_t)rnd_below((uint64_t)(high - low + 1));
}

bool chance(int permille)
{
	return permille > 0 && rnd_below(1000) < (uint64_t)permille;
}

void fault_count(enum sim_fault f)
{
	w.faults[f]++;
}

bool fault(enum sim_fault f, int permille)
{
	if (w.calm || !chance(permille))
		return false;
	fault_count(f);
	return true;
}

bool mutant(const char *name)
{
	return w.mutant && !strcmp(w.mutant, name);
}

static void seed_rng(uint64_t seed)
{
	for (int i = 0; i < 4; i++) {
		uint64_t z = seed += 0x9e3779b97f4a7c15u;

		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
		z = (z ^ z >> 27) * 0x94d049bb133111ebu;
		w.rng[i] = z ^ z >> 31;
	}
}

/* ---- the heap ---- */
static bool before(const struct ev *a, const struct ev *b)
{
	return a->at != b->at ? a->at < b->at : a->seq < b->seq;
}

static void put(struct ev *e, size_t pos)
{
	w.heap[pos] = e;
	e->pos = pos;
}

static void sift_up(struct ev *e, size_t pos)
{
	for (; pos > 1 && before(e, w.heap[pos / 2]); pos /= 2)
		put(w.heap[pos / 2], pos);
	put(e, pos);
}

static void sift_down(struct ev *e, size_t pos)
{
	size_t child;

	while ((child = pos * 2) <= w.n) {
		if (child < w.n && before(w.heap[child + 1], w.heap[child]))
			child++;
		if (!before(w.heap[child], e))
			break;
		put(w.heap[child], pos);
		pos = child;
	}
	put(e, pos);
}

void ev_at(struct ev *e, struct inst *inst, uint64_t at_us, void (*fire)(struct ev *))
{
	if (w.n + 2 > w.cap) {
		w.cap = w.cap ? w.cap * 2 : 256;
		w.heap = bf_xrealloc(w.heap, w.cap, sizeof(*w.heap));
	}
	e->at = at_us < w.now_us ? w.now_us : at_us;
	e->seq = ++w.seq;
	e->inst = inst;
	e->fire = fire;
	sift_up(e, ++w.n);
}

void ev_in(struct ev *e, struct inst *inst, int64_t after_us, void (*fire)(struct ev *))
{
	ev_at(e, inst, w.now_us + (uint64_t)(after_us > 0 ? after_us : 0), fire);
}

void ev_cancel(struct ev *e)
{
	size_t pos = e->pos;
	struct ev *last;

	if (!pos)
		return;
	e->pos = 0;
	last = w.heap[w.n--];
	if (last == e)
		return;
	if (pos > 1 && before(last, w.heap[pos / 2]))
		sift_up(last, pos);
	else
		sift_down(last, pos);
}

bool world_step(uint64_t until_us)
{
	struct ev *e = w.n ? w.heap[1] : NULL;

	if (!e || e->at > until_us) {
		if (w.now_us < until_us)
			w.now_us = until_us;
		return false;
	}
	w.now_us = e->at;
	w.n_events++;
	if (e->inst && inst_frozen_until(e->inst) > e->at) { /* no event of it runs meanwhile */
		ev_cancel(e);
		ev_at(e, e->inst, inst_frozen_until(e->inst), e->fire);
		return true;
	}
	ev_cancel(e);
	w.cur = e->inst;
	e->fire(e);
	if (w.cur)
		inst_turn_end(w.cur);
	w.cur = NULL;
	return true;
}

static int by_seq(const void *a, const void *b)
{
	const struct ev *x = *(struct ev *const *)a, *y = *(struct ev *const *)b;

	return x->seq < y->seq ? -1 : x->seq > y->seq;
}

/* What was put off until then happens now, in the same order. */
void world_thaw(const struct inst *inst, uint64_t frozen_until_us)
{
	struct ev **late = bf_xcalloc(w.n + 1, sizeof *late);
	size_t n = 0;

	for (size_t i = 1; i <= w.n; i++)
		if (w.heap[i]->inst == inst && w.heap[i]->at == frozen_until_us)
			late[n++] = w.heap[i];
	qsort(late, n, sizeof *late, by_seq);
	for (size_t i = 0; i < n; i++) {
		ev_cancel(late[i]);
		ev_at(late[i], late[i]->inst, w.now_us, late[i]->fire);
	}
	free(late);
}

void world_begin(uint64_t seed)
{
	w.seed = seed;
	w.now_us = 1000000;
	w.seq = 0;
	w.n = 0;
	w.cur = NULL;
	w.calm = w.failed = false;
	w.failure[0] = '\0';
	seed_rng(seed);
	bf_random_seed(seed ^ 0x5851f42d4c957f2du);
}

void world_release(void)
{
	free(w.heap);
	w.heap = NULL;
	w.n = w.cap = 0;
}

/* ---- what is said ---- */
void sim_trace(const char *fmt, ...)
{
	va_list ap;

	if (!w.trace)
		return;
	printf("%12.6f %-3s ", (double)w.now_us / 1e6, w.cur ? inst_name(w.cur) : "-");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

void sim_fail(const char *fmt, ...)
{
	va_list ap;
	size_t n;

	if (w.failed)
		return;
	w.failed = true;
	n = (size_t)snprintf(w.failure, sizeof w.failure, "at %.6f %s: ", (double)w.now_us / 1e6,
		w.cur ? inst_name(w.cur) : "-");
	va_start(ap, fmt);
	vsnprintf(w.failure + n, sizeof w.failure - n, fmt, ap);
	va_end(ap);
	sim_trace("BROKEN %s", w.failure);
}

static void trace_kv(const struct bf_kv *kv)
{
	for (; kv->key; kv++) {
		switch (kv->kind) {
		case BF_KV_STR:
			if (kv->v.s)
				printf(" %s=\"%s\"", kv->key, kv->v.s);
			break;
		case BF_KV_INT: printf(" %s=%lld", kv->key, kv->v.i); break;
		case BF_KV_DBL: printf(" %s=%g", kv->key, kv->v.d); break;
		case BF_KV_ERR:
			printf(" error=%s:\"%s\"", bf_err_class_name(kv->v.e->class), kv->v.e->text);
			break;
		}
	}
}

/* The product's log: what it says of moves is counted, and all of it is shown in a trace. */
void __wrap_bf_log_write(enum bf_log_level level, const char *msg, const struct bf_kv *kv)
{
	coverage_log(msg, kv);
	if (!w.trace)
		return;
	printf("%12.6f %-3s   log %d %s", (double)w.now_us / 1e6, w.cur ? inst_name(w.cur) : "-",
		(int)level, msg);
	trace_kv(kv);
	putchar('\n');
}
