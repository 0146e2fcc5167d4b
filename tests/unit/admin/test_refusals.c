/* How often an address may be wrong about the secret: its own allowance, its return, and who shares it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "backfill/base.h"
#include "refusals.h"

#define S UINT64_C(1000000)
static struct refusals refusals;

static int setup(void **state)
{
	(void)state;
	bf_log_setup(BF_ERROR, false);
	bf_random_seed(1);
	refusals_init(&refusals);
	return 0;
}

/* Spends all that an address has at a time. */
static void spend(const char *address, uint64_t now_us)
{
	for (int i = 0; i < REFUSALS_BURST; i++)
		assert_int_equal(refusals_add(&refusals, address, true, now_us), 0);
}

/* A hundred at once, then one a second, and after a rest a hundred again. */
static void test_allowance(void **state)
{
	uint64_t now_us = 1000 * S;

	(void)state;
	spend("10.0.0.1", now_us);
	assert_int_equal(refusals_add(&refusals, "10.0.0.1", true, now_us), 1);
	assert_int_equal(refusals_add(&refusals, "10.0.0.1", true, now_us + S / 2), 1);
	assert_int_equal(refusals_add(&refusals, "10.0.0.1", true, now_us + S), 0);
	assert_int_equal(refusals_add(&refusals, "10.0.0.1", true, now_us + S), 1);
	spend("10.0.0.1", now_us + (REFUSALS_BURST + 1) * S);
	assert_int_equal(refusals.limited, 3);
	assert_int_equal(refusals.total, 2 * REFUSALS_BURST + 4);
}

/* Another address has its own; a request without any secret costs nothing and is never told to wait. */
static void test_others(void **state)
{
	(void)state;
	spend("10.0.0.1", S);
	assert_int_not_equal(refusals_add(&refusals, "10.0.0.1", true, S), 0);
	spend("10.0.0.2", S);
	for (int i = 0; i < 2 * REFUSALS_BURST; i++)
		assert_int_equal(refusals_add(&refusals, "10.0.0.1", false, S), 0);
	assert_int_equal(refusals.limited, 1);
}

/* IPv6 counts by its /64; an IPv4 address is one however it is written; a link's name is no part of it. */
static void test_owners(void **state)
{
	(void)state;
	spend("2001:db8:1:2::1", S);
	assert_int_not_equal(refusals_add(&refusals, "2001:db8:1:2:ffff::9", true, S), 0);
	assert_int_equal(refusals_add(&refusals, "2001:db8:1:3::1", true, S), 0);
	spend("10.0.0.1", S);
	assert_int_not_equal(refusals_add(&refusals, "::ffff:10.0.0.1", true, S), 0);
	assert_int_equal(refusals_add(&refusals, "::ffff:10.0.0.2", true, S), 0);
	spend("fe80::1%eth0", S);
	assert_int_not_equal(refusals_add(&refusals, "fe80::1%eth1", true, S), 0);
	spend("", S);
	assert_int_not_equal(refusals_add(&refusals, "no address at all, and longer than any of them can be", true, S), 0);
}

/* A flood from many addresses wins none of them more than its own: nothing is displaced. */
static void test_many(void **state)
{
	char address[40];

	(void)state;
	spend("10.9.9.9", S);
	for (int i = 0; i < 20000; i++) {
		snprintf(address, sizeof(address), "10.1.%d.%d", i >> 8, i & 255);
		(void)refusals_add(&refusals, address, true, S);
	}
	assert_int_not_equal(refusals_add(&refusals, "10.9.9.9", true, S), 0);
}

/* Near the clock's start and far from it nothing wraps. */
static void test_ends_of_time(void **state)
{
	(void)state;
	spend("10.0.0.1", 0);
	assert_int_equal(refusals_add(&refusals, "10.0.0.1", true, 0), 1);
	spend("10.0.0.1", UINT64_C(1) << 62);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_allowance, setup), cmocka_unit_test_setup(test_others, setup),
		cmocka_unit_test_setup(test_owners, setup), cmocka_unit_test_setup(test_many, setup),
		cmocka_unit_test_setup(test_ends_of_time, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
