/* When a timer fires, whose run it is and what is caught up: the timer alone, with a clock, a loop and a database made here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "../../../src/schedule/schedule.h"

#define MINUTE  60
#define HOUR    3600
#define DAY     86400
#define START   (INT64_C(1700006400) + 5 * MINUTE + 30)	/* 2023-11-15 00:05:30 UTC */
#define NEXT    (START - 30 + 5 * MINUTE)		/* of every ten minutes */

/* ---- the world ---- */
enum what { ALARM, CLAIM, LAST };
struct asked {
	struct bf_op op;
	enum what what;
	bool live;
	int64_t number;			/* ms of an alarm, the run of a claim */
	const char *name;
	bf_loop_fn *fn;
	bf_store_done *claimed;
	bf_store_timer_done *last;
	void *ctx;
};
static struct asked all[64];
static int n_all, runs;
static int64_t clock_us;

static void cancelled(struct bf_op *op)
{
	bf_container_of(op, struct asked, op)->live = false;
}

void bf_op_cancel(struct bf_op *op)
{
	if (op)
		op->cancel(op);
}

static struct asked *ask(enum what what, void *ctx)
{
	struct asked *a = &all[n_all++];

	assert_in_range(n_all, 0, 64);
	*a = (struct asked){ .op.cancel = cancelled, .what = what, .live = true, .ctx = ctx };
	return a;
}

struct bf_op *bf_timer_start(struct bf_loop *loop, int64_t after_ms, bf_loop_fn *fn, void *ctx)
{
	struct asked *a = ask(ALARM, ctx);

	(void)loop;
	a->number = after_ms;
	a->fn = fn;
	return &a->op;
}

struct bf_op *bf_store_timer_claim(struct bf_store *s, const char *name, int64_t scheduled, bf_store_done *done, void *ctx)
{
	struct asked *a = ask(CLAIM, ctx);

	(void)s;
	a->name = name;
	a->number = scheduled;
	a->claimed = done;
	return &a->op;
}

struct bf_op *bf_store_timer_last(struct bf_store *s, const char *name, bf_store_timer_done *done, void *ctx)
{
	struct asked *a = ask(LAST, ctx);

	(void)s;
	a->name = name;
	a->last = done;
	return &a->op;
}

int64_t pulse_db_wall_us(const struct bf_schedule *s)
{
	(void)s;
	return clock_us;
}

static void ran(struct bf_schedule *s)
{
	(void)s;
	runs++;
}

/* ---- steps ---- */
static struct bf_schedule schedule;
static struct bf_config config;

static int waiting(enum what what)
{
	int n = 0;

	for (int i = 0; i < n_all; i++)
		n += all[i].live && all[i].what == what;
	return n;
}

/* The one that waits, which is then answered by the caller. */
static struct asked take(enum what what)
{
	assert_int_equal(waiting(what), 1);
	for (int i = 0; i < n_all; i++)
		if (all[i].live && all[i].what == what) {
			all[i].live = false;
			return all[i];
		}
	return all[0];
}

static void wake(void)
{
	struct asked a = take(ALARM);

	clock_us += a.number * 1000;
	a.fn(a.ctx);
}

/* Sleeps until the timer wants its run; what it asked for. */
static int64_t sleep_until_claim(void)
{
	for (int i = 0; i < 20 && !waiting(CLAIM); i++)
		wake();
	for (int i = 0; i < n_all; i++)
		if (all[i].live && all[i].what == CLAIM)
			return all[i].number;
	return -1;
}

static void answer(enum bf_err_class class, enum bf_store_outcome outcome)
{
	struct asked a = take(CLAIM);
	struct bf_error err;

	bf_error_set(&err, class, "made here");
	a.claimed(a.ctx, class == BF_ERR_NONE ? NULL : &err, outcome);
}

static struct timer *timer(void)
{
	return &schedule.enhancement_timer;
}

static int set_up(void **state)
{
	(void)state;
	n_all = runs = 0;
	clock_us = START * 1000000;
	memset(&schedule, 0, sizeof schedule);
	memset(&config, 0, sizeof config);
	config.scheduler.catch_up = true;
	schedule.config = &config;
	bf_log_setup(BF_ERROR, false);
	timer_init(timer(), &schedule, "some", ran);
	return 0;
}

/* Proves that a run is claimed at its minute, by name, and done by whom the database gives it. */
static void fires_at_its_minute(void **state)
{
	(void)state;
	timer_configure(timer(), "*/10 * * * *", "UTC");
	assert_int_equal(timer()->next_run, NEXT);
	assert_int_equal(sleep_until_claim(), NEXT);
	assert_in_range(clock_us / 1000000, NEXT, NEXT + 1);
	assert_int_equal(timer()->next_run, NEXT + 10 * MINUTE);
	assert_int_equal(runs, 0);
	answer(BF_ERR_NONE, BF_STORE_DONE);
	assert_int_equal(runs, 1);
	assert_int_equal(sleep_until_claim(), NEXT + 10 * MINUTE);
	answer(BF_ERR_NONE, BF_STORE_REFUSED);
	assert_int_equal(runs, 1);
}

/* Proves that the name given is the one under which runs are claimed and looked up. */
static void goes_by_its_name(void **state)
{
	(void)state;
	timer_configure(timer(), "*/10 * * * *", "UTC");
	timer_begin(timer());
	assert_string_equal(take(LAST).name, "some");
	timer()->op = NULL;
	sleep_until_claim();
	assert_string_equal(take(CLAIM).name, "some");
}

/* Proves that it never sleeps for more than a minute, and that an alarm that comes too early by a clock set back fires nothing. */
static void sleeps_in_pieces(void **state)
{
	(void)state;
	timer_configure(timer(), "*/10 * * * *", "UTC");
	for (int i = 0; i < 4; i++) {
		assert_int_equal(all[n_all - 1].number, 60000);
		wake();
	}
	assert_in_range(all[n_all - 1].number, 30000, 30001);
	clock_us -= HOUR * INT64_C(1000000);
	wake();
	assert_int_equal(waiting(CLAIM), 0);
	assert_int_equal(waiting(ALARM), 1);
}

/* Proves that the zone is heeded: three o'clock in Tokyo is six in the evening of the day before. */
static void by_the_zone(void **state)
{
	(void)state;
	timer_configure(timer(), "0 3 * * *", "Asia/Tokyo");
	assert_int_equal(timer()->next_run, START - 330 + 18 * HOUR);
}

/* Proves that an empty expression is a timer that asks nothing, and that a reload sets it going and stops it. */
static void an_empty_expression_is_off(void **state)
{
	(void)state;
	timer_configure(timer(), "", "UTC");
	timer_begin(timer());
	assert_int_equal(n_all, 0);
	assert_int_equal(timer()->next_run, -1);
	timer_configure(timer(), "*/10 * * * *", "UTC");
	assert_int_equal(timer()->next_run, NEXT);
	timer_configure(timer(), "0 3 * * *", "UTC");
	assert_int_equal(timer()->next_run, START - 330 + 3 * HOUR);
	assert_int_equal(waiting(ALARM), 1);
	timer_configure(timer(), "", "UTC");
	assert_int_equal(waiting(ALARM), 0);
	assert_int_equal(timer()->next_run, -1);
}

static void last_ran(int64_t when)
{
	struct asked a;

	timer_begin(timer());
	a = take(LAST);
	a.last(a.ctx, NULL, when);
}

/* Proves that of several missed runs the latest is claimed, once, and none after it was had. */
static void a_missed_run_is_caught_up_once(void **state)
{
	int64_t missed = START - 330 - DAY + 3 * HOUR;

	(void)state;
	timer_configure(timer(), "0 3 * * *", "UTC");
	last_ran(missed - 3 * DAY);
	assert_int_equal(sleep_until_claim(), missed);
	answer(BF_ERR_NONE, BF_STORE_DONE);
	assert_int_equal(runs, 1);
	last_ran(missed);
	assert_int_equal(waiting(CLAIM), 0);
}

/* Proves that nothing is made up for: by a timer that never ran, without catch_up, or switched off in the meantime. */
static void not_everything_is_caught_up(void **state)
{
	struct asked a;

	(void)state;
	timer_configure(timer(), "0 3 * * *", "UTC");
	last_ran(-1);
	assert_int_equal(waiting(CLAIM), 0);
	config.scheduler.catch_up = false;
	last_ran(START - 9 * DAY);
	assert_int_equal(waiting(CLAIM), 0);
	config.scheduler.catch_up = true;
	timer_begin(timer());
	timer_configure(timer(), "", "UTC");
	a = take(LAST);
	a.last(a.ctx, NULL, START - 9 * DAY);
	assert_int_equal(waiting(CLAIM), 0);
}

/* Proves that a database that is away is asked again for the same run, and not for ever. */
static void asks_again_for_the_same_run(void **state)
{
	int tries = 1;

	(void)state;
	timer_configure(timer(), "0 3 * * *", "UTC");
	timer()->next_run = START;
	assert_int_equal(sleep_until_claim(), START);
	bf_op_cancel(timer()->alarm);		/* only the tries are looked at here */
	timer()->alarm = NULL;
	for (answer(BF_ERR_RETRY, BF_STORE_DONE); waiting(ALARM) && tries < 99; tries++) {
		assert_int_equal(sleep_until_claim(), START);
		answer(BF_ERR_RETRY, BF_STORE_DONE);
	}
	assert_int_equal(tries, 12);
	assert_int_equal(runs, 0);
}

/* Proves that a refusal for good is not asked again. */
static void a_defect_is_not_tried_again(void **state)
{
	(void)state;
	timer_configure(timer(), "*/10 * * * *", "UTC");
	sleep_until_claim();
	answer(BF_ERR_BUG, BF_STORE_DONE);
	assert_null(timer()->op);
	assert_int_equal(runs, 0);
}

/* Proves that a stopped timer has nothing under way, and that nothing sets it going while draining. */
static void stopped_it_asks_nothing(void **state)
{
	(void)state;
	timer_configure(timer(), "*/10 * * * *", "UTC");
	timer_begin(timer());
	timer_stop(timer());
	schedule.draining = true;
	timer_begin(timer());
	timer_configure(timer(), "*/10 * * * *", "UTC");
	assert_int_equal(waiting(ALARM) + waiting(CLAIM) + waiting(LAST), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(fires_at_its_minute, set_up),
		cmocka_unit_test_setup(goes_by_its_name, set_up),
		cmocka_unit_test_setup(sleeps_in_pieces, set_up),
		cmocka_unit_test_setup(by_the_zone, set_up),
		cmocka_unit_test_setup(an_empty_expression_is_off, set_up),
		cmocka_unit_test_setup(a_missed_run_is_caught_up_once, set_up),
		cmocka_unit_test_setup(not_everything_is_caught_up, set_up),
		cmocka_unit_test_setup(asks_again_for_the_same_run, set_up),
		cmocka_unit_test_setup(a_defect_is_not_tried_again, set_up),
		cmocka_unit_test_setup(stopped_it_asks_nothing, set_up),
	};

	return cmocka_run_group_tests_name("schedule/timer", tests, NULL, NULL);
}
