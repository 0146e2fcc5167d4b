/* How many months a timer run claims when the paid quota runs low. */
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "../../../src/schedule/schedule.h"

/* Proves the throttle: max(1, batch * (100 - p) / (100 - T)) from T percent on, the whole batch below. */
static void batch_follows_the_quota(void **state)
{
	(void)state;
	assert_int_equal(timer_batch(10, 0, 13000, 80), 10);
	assert_int_equal(timer_batch(10, 10399, 13000, 80), 10);	/* 79 % */
	assert_int_equal(timer_batch(10, 10400, 13000, 80), 10);	/* 80 %: 10 * 20 / 20 */
	assert_int_equal(timer_batch(10, 11700, 13000, 80), 5);		/* 90 % */
	assert_int_equal(timer_batch(10, 12870, 13000, 80), 1);		/* 99 %: 0.5, but one at least */
	assert_int_equal(timer_batch(10, 13000, 13000, 80), 1);
	assert_int_equal(timer_batch(10, 15000, 13000, 80), 1);
	assert_int_equal(timer_batch(50, 11700, 13000, 80), 25);
}

/* Proves that without a limit, or with the throttle at 100, nothing is throttled. */
static void no_limit_no_throttle(void **state)
{
	(void)state;
	assert_int_equal(timer_batch(10, 999999, 0, 80), 10);
	assert_int_equal(timer_batch(10, 13000, 13000, 100), 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(batch_follows_the_quota),
		cmocka_unit_test(no_limit_no_throttle),
	};

	return cmocka_run_group_tests_name("schedule/timer", tests, NULL, NULL);
}
