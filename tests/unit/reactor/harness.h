/* What the reactor's tests share: a loop that cannot hang a test run, and counting callbacks. */
#ifndef TEST_REACTOR_HARNESS_H
#define TEST_REACTOR_HARNESS_H
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "backfill/reactor.h"

enum { GUARD_MS = 120000 };

static inline void harness_hung(void *ctx)
{
	(void)ctx;
	fprintf(stderr, "test hung: nothing stopped the loop\n");
	abort();
}

/* Runs until something calls bf_loop_stop(). */
static inline void harness_run(struct bf_loop *loop)
{
	struct bf_op *guard = bf_timer_start(loop, GUARD_MS, harness_hung, NULL);

	assert_int_equal(bf_loop_run(loop), 0);
	bf_op_cancel(guard);
}

static inline void harness_stop(void *ctx)
{
	bf_loop_stop(ctx);
}

/* Lets the loop run for a while, to see that something does not happen. */
static inline void harness_wait(struct bf_loop *loop, int64_t ms)
{
	(void)bf_timer_start(loop, ms, harness_stop, loop);
	harness_run(loop);
}
#endif
