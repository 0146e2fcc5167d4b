/* The division of a rate over instances: never more than N requests in any second, whoever sends
 * them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include "../../../src/providers/gate.h"

#define SECOND 1000000ull

static int by_time(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static int most_in_a_second(uint64_t *t, int n)
{
	int most = 0, first = 0;

	qsort(t, (size_t)n, sizeof *t, by_time);
	for (int i = 0; i < n; i++) {
		while (t[i] - t[first] >= SECOND)
			first++;
		if (i - first + 1 > most)
			most = i - first + 1;
	}
	return most;
}

/* `live` instances that always have something to send, each with timers up to 10 ms late, for 30 s:
 * how many went out, and the most in any second, by the shared clock. */
static int simulate(double per_s, int live, int *ret_most)
{
	static uint64_t sent[100000];
	int n = 0;

	for (int rank = 0; rank < live; rank++) {
		/* each process has a monotonic clock of its own */
		struct rate r = { .per_s = per_s,
			.rank = rank,
			.live = live,
			.to_shared_us = 1000000000 - rank * 777777 };
		uint64_t now = 50000000 + (uint64_t)rank * 777777, end = now + 30 * SECOND;

		while (now < end) {
			uint64_t due = rate_next_us(&r, now);

			if (due > now) {
				now = due + (uint64_t)(rand() % 10000);
				continue;
			}
			rate_take(&r, due);
			sent[n++] = (uint64_t)((int64_t)now + r.to_shared_us);
		}
	}
	*ret_most = most_in_a_second(sent, n);
	return n;
}

/* Proves the promise for one to five instances and rates from 1/s to 60/s, and that the rate is
 * used, not wasted. */
static void never_more_than_n_in_any_second(void **state)
{
	const double rates[] = { 1, 2, 3, 5, 10, 60 };

	(void)state;
	srand(7);
	for (size_t i = 0; i < BF_COUNT(rates); i++)
		for (int live = 1; live <= 5; live++) {
			int most, n = simulate(rates[i], live, &most);

			if (most > (int)rates[i])
				fail_msg("%d instances at %.0f/s: %d in one second", live, rates[i],
					most);
			if (n < (int)(rates[i] * 30 * 0.85))
				fail_msg("%d instances at %.0f/s: only %d in 30 s", live, rates[i],
					n);
		}
}

/* Proves that nothing is due while the division is being agreed on. */
static void quiet_is_kept(void **state)
{
	struct rate r = { .per_s = 3, .live = 2, .rank = 1, .quiet_until_us = 90 * SECOND };

	(void)state;
	assert_true(rate_next_us(&r, 50 * SECOND) >= 90 * SECOND);
}

/* Proves that turns of a one-at-a-time provider never overlap and come round to everyone. */
static void turns_never_overlap(void **state)
{
	int had[3] = { 0 };

	(void)state;
	for (uint64_t t = 0; t < 120 * SECOND; t += 100000) {
		int mine = 0;

		for (int rank = 0; rank < 3; rank++) {
			struct rate r = { .per_s = 1, .rank = rank, .live = 3 };

			if (rate_turn_left_ms(&r, t) > 0) {
				mine++;
				had[rank]++;
			}
		}
		assert_true(mine <= 1);
	}
	assert_true(had[0] && had[1] && had[2]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(never_more_than_n_in_any_second),
		cmocka_unit_test(quiet_is_kept),
		cmocka_unit_test(turns_never_overlap),
	};

	return cmocka_run_group_tests_name("providers/rate", tests, NULL, NULL);
}
