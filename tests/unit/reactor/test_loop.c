/* The loop: order of timers and deferred work, cancelling, signals, lag. */
#include <signal.h>
#include <unistd.h>
#include "harness.h"

struct note {
	struct bf_loop *loop;
	char text[64];
	struct bf_op *victim;
	int calls;
};
struct entry {
	struct note *note;
	char letter;
};

static void write_letter(void *ctx)
{
	struct entry *e = ctx;
	size_t len = strlen(e->note->text);

	e->note->text[len] = e->letter;
	e->note->text[len + 1] = '\0';
}

/* Timers fire in the order they are due, whatever the order they were started in. */
static void timers_fire_in_order(void **state)
{
	struct note note = { .loop = *state };
	struct entry a = { &note, 'a' }, b = { &note, 'b' }, c = { &note, 'c' };

	bf_timer_start(note.loop, 40, write_letter, &c);
	bf_timer_start(note.loop, -5, write_letter, &a);
	bf_timer_start(note.loop, 20, write_letter, &b);
	harness_wait(note.loop, 80);
	assert_string_equal(note.text, "abc");
}

/*
 * A timer does not fire before its time, although libevent counts from the beginning of a long
 * turn.
 */
struct early {
	struct bf_loop *loop;
	uint64_t due;
};
static void stop_at(void *ctx)
{
	struct early *e = ctx;

	assert_true(bf_now_us() + 1500 >= e->due);
	bf_loop_stop(e->loop);
}
static void long_turn(void *ctx)
{
	struct early *e = ctx;
	uint64_t until = bf_now_us() + 30000;

	while (bf_now_us() < until)
		;
	e->due = bf_now_us() + 20000;
	bf_timer_start(e->loop, 20, stop_at, e);
}
static void timer_is_never_early(void **state)
{
	struct early e = { .loop = *state };

	bf_timer_start(e.loop, 0, long_turn, &e);
	harness_run(e.loop);
}

static void cancel_victim(void *ctx)
{
	struct note *note = ctx;

	bf_op_cancel(note->victim);
}

/* A cancelled timer never fires, not even when both are due in the same turn. */
static void cancelled_timer_is_silent(void **state)
{
	struct note note = { .loop = *state };
	struct entry x = { &note, 'x' }, y = { &note, 'y' };
	struct bf_op *op = bf_timer_start(note.loop, 10, write_letter, &x);

	bf_op_cancel(op);
	bf_op_cancel(NULL);
	bf_timer_start(note.loop, 0, cancel_victim, &note);
	note.victim = bf_timer_start(note.loop, 0, write_letter, &y);
	harness_wait(note.loop, 40);
	assert_string_equal(note.text, "");
}

static void defer_three(void *ctx)
{
	struct entry *e = ctx;

	for (int i = 0; i < 3; i++)
		bf_loop_defer(e[i].note->loop, write_letter, &e[i]);
	write_letter(&e[3]);
}

/* Deferred work runs after the callback that asked for it, in the order asked. */
static void deferred_in_order_after_the_turn(void **state)
{
	struct note note = { .loop = *state };
	struct entry e[4] = { { &note, '1' }, { &note, '2' }, { &note, '3' }, { &note, '0' } };

	bf_timer_start(note.loop, 0, defer_three, e);
	harness_wait(note.loop, 20);
	assert_string_equal(note.text, "0123");
}

static void again_for_ever(void *ctx)
{
	struct note *note = ctx;

	note->calls++;
	bf_loop_defer(note->loop, again_for_ever, note);
}

/* Work that defers itself again and again starves neither timers nor the end. */
static void deferred_cannot_starve(void **state)
{
	static struct note note;

	note.loop = *state;
	bf_loop_defer(note.loop, again_for_ever, &note);
	harness_wait(note.loop, 20);
	assert_true(note.calls > 10);
}

static void count_call(void *ctx)
{
	struct note *note = ctx;

	note->calls++;
}

/* The queue grows past its first size without losing or swapping anything. */
static void many_deferred(void **state)
{
	struct note note = { .loop = *state };
	char expected[64] = "";
	struct entry e[40];

	for (int i = 0; i < 500; i++)
		bf_loop_defer(note.loop, count_call, &note);
	for (int i = 0; i < 40; i++) {
		e[i] = (struct entry){ &note, (char)('A' + i) };
		expected[i] = (char)('A' + i);
		bf_loop_defer(note.loop, write_letter, &e[i]);
	}
	harness_wait(note.loop, 1);
	assert_int_equal(note.calls, 500);
	assert_string_equal(note.text, expected);
}

/* A watched signal calls back each time, and no more after cancelling. */
static void signals_call_back(void **state)
{
	struct note note = { .loop = *state };
	struct bf_op *op = bf_signal_watch(note.loop, SIGUSR1, count_call, &note);
	struct bf_op *other = bf_signal_watch(note.loop, SIGUSR1, count_call, &note);

	assert_non_null(op);
	raise(SIGUSR1);
	harness_wait(note.loop, 5);
	assert_int_equal(note.calls, 2);
	bf_op_cancel(op);
	raise(SIGUSR1);
	harness_wait(note.loop, 5);
	assert_int_equal(note.calls, 3);
	bf_op_cancel(other);
}

/* A turn that works for 30 ms is seen as lag; the buckets add up. */
static void lag_is_seen(void **state)
{
	struct bf_lag lag;
	struct early e = { .loop = *state };
	uint64_t sum = 0, late = 0;

	bf_timer_start(e.loop, 0, long_turn, &e);
	harness_run(e.loop);
	bf_loop_lag(*state, &lag);
	for (int i = 0; i < BF_LAG_BUCKETS; i++)
		sum += lag.count[i];
	assert_int_equal(sum, lag.n);
	assert_true(lag.max_s >= 0.03);
	assert_true(lag.sum_s >= lag.max_s);
	for (int i = 0; i < BF_LAG_BUCKETS; i++)
		late += bf_lag_bounds_s[i] > 0.025 ? lag.count[i] : 0;
	assert_true(late >= 1);
}

/* A stop before the run makes it return at once; the next run is not affected. */
static void stop_before_run(void **state)
{
	struct note note = { .loop = *state };

	bf_loop_stop(note.loop);
	assert_int_equal(bf_loop_run(note.loop), 0);
	bf_loop_defer(note.loop, count_call, &note);
	harness_wait(note.loop, 1);
	assert_int_equal(note.calls, 1);
}

/* What is left pending when the loop is freed is given back without being called. */
static void free_with_things_pending(void **state)
{
	static struct note note;
	struct bf_loop *loop = bf_loop_new();
	struct bf_op *op = bf_timer_start(loop, 5, count_call, &note);

	(void)state;
	bf_loop_defer(loop, count_call, &note);
	bf_op_cancel(op);
	bf_loop_free(loop);
	bf_loop_free(NULL);
	assert_int_equal(note.calls, 0);
}

static int loop_up(void **state)
{
	*state = bf_loop_new();
	return *state ? 0 : -1;
}

static int loop_down(void **state)
{
	bf_loop_free(*state);
	return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, loop_up, loop_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(timers_fire_in_order), TEST(timer_is_never_early),
		TEST(cancelled_timer_is_silent), TEST(deferred_in_order_after_the_turn),
		TEST(deferred_cannot_starve), TEST(many_deferred), TEST(signals_call_back),
		TEST(lag_is_seen), TEST(stop_before_run),
		cmocka_unit_test(free_with_things_pending),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
