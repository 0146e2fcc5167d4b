/* What the timers' runs ask for: fewer months when the paid quota runs low, synthetic works by the configuration. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../../src/schedule/schedule.h"

/* ---- the rooms below, as far as a run asks them ---- */
static int claims, claim_months, enhancements, works, retries;
static const char *why_blocked;
static bf_store_count_done *enhanced;
static struct bf_op enhance_op;

int bf_provider_daily_limit(const struct bf_providers *p, enum bf_provider_id id, int *ret_reserve)
{
	(void)p;
	(void)id;
	*ret_reserve = 2000;
	return 15000;
}

const char *bf_schedule_blocked(const struct bf_schedule *s)
{
	(void)s;
	return why_blocked;
}

struct bf_op *bf_schedule_claim(struct bf_schedule *s, int batch_size, int year_a, int year_b, bool force_retry,
				bf_store_claim_done *done, void *ctx)
{
	(void)s;
	(void)force_retry;
	(void)done;
	(void)ctx;
	assert_int_equal(year_a, 2001);
	assert_int_equal(year_b, 2002);
	claims++;
	claim_months = batch_size;
	return NULL;
}

struct bf_op *bf_store_enhance(struct bf_store *s, int limit, int max_retries, bf_store_count_done *done, void *ctx)
{
	(void)s;
	(void)ctx;
	enhancements++;
	works = limit;
	retries = max_retries;
	enhanced = done;
	return &enhance_op;
}

static struct bf_config config;
static struct bf_schedule schedule;

static int set_up(void **state)
{
	(void)state;
	claims = claim_months = enhancements = 0;
	why_blocked = NULL;
	config = (struct bf_config){ .scheduler = { .batch_size = 10, .year_start = 2001, .year_end = 2002 },
		.alerts.quota_throttle_percent = 80, .provider[BF_ISBNDB].enabled = true,
		.enhancement.batch = 200, .enrichment.max_attempts = 5 };
	schedule = (struct bf_schedule){ .config = &config };
	bf_log_setup(BF_ERROR, false);
	return 0;
}

/* Proves the throttle: max(1, batch * (100 - p) / (100 - T)) from T percent on, the whole batch below. */
static void batch_follows_the_quota(void **state)
{
	(void)state;
	assert_int_equal(runs_batch(10, 0, 13000, 80), 10);
	assert_int_equal(runs_batch(10, 10399, 13000, 80), 10);	/* 79 % */
	assert_int_equal(runs_batch(10, 10400, 13000, 80), 10);	/* 80 %: 10 * 20 / 20 */
	assert_int_equal(runs_batch(10, 11700, 13000, 80), 5);	/* 90 % */
	assert_int_equal(runs_batch(10, 12870, 13000, 80), 1);	/* 99 %: 0.5, but one at least */
	assert_int_equal(runs_batch(10, 13000, 13000, 80), 1);
	assert_int_equal(runs_batch(10, 15000, 13000, 80), 1);
	assert_int_equal(runs_batch(50, 11700, 13000, 80), 25);
}

/* Proves that without a limit, or with the throttle at 100, nothing is throttled. */
static void no_limit_no_throttle(void **state)
{
	(void)state;
	assert_int_equal(runs_batch(10, 999999, 0, 80), 10);
	assert_int_equal(runs_batch(10, 13000, 13000, 100), 10);
}

/* Proves that the schedule's run measures by limit - reserve, claims in the configured years, and not while blocked. */
static void the_schedule_claims_months(void **state)
{
	(void)state;
	schedule.have_pulse = true;
	schedule.pulse.isbndb_used = 11700;
	runs_schedule(&schedule);
	assert_int_equal(claim_months, 5);
	config.provider[BF_ISBNDB].enabled = false;
	runs_schedule(&schedule);
	assert_int_equal(claim_months, 10);
	why_blocked = "no AI";
	runs_schedule(&schedule);
	assert_int_equal(claims, 2);
}

/* Proves that works are queued by the configuration's numbers, AIs or not, paused or not, and one statement at a time. */
static void the_enhancement_queues_works(void **state)
{
	(void)state;
	why_blocked = "no AI";
	schedule.pulse.paused = true;
	runs_enhancement(&schedule);
	assert_int_equal(works, 200);
	assert_int_equal(retries, 5);
	runs_enhancement(&schedule);
	assert_int_equal(enhancements, 1);
	enhanced(&schedule, NULL, 17);
	runs_enhancement(&schedule);
	assert_int_equal(enhancements, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(batch_follows_the_quota),
		cmocka_unit_test(no_limit_no_throttle),
		cmocka_unit_test_setup(the_schedule_claims_months, set_up),
		cmocka_unit_test_setup(the_enhancement_queues_works, set_up),
	};

	return cmocka_run_group_tests_name("schedule/runs", tests, NULL, NULL);
}
