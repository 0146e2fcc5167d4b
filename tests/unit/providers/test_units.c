/*
 * units: what a call costs of the day is counted before it is sent, whole or not at all; what was counted and not sent goes
 * back; and a bulk call that finds too little left closes the provider for nobody.
 */
#include "world.h"
#include <stdlib.h>
#include <string.h>

static const char *const three[] = { "9780306406157", "9780804429573", "9781585160808" };
#define SLOT 100 /* ms: asking for the plan's limits goes out first */
static const char nothing_found[] = "{\"total\":0,\"data\":[]}";

struct heard {
	int times;
	enum bf_err_class class;
	char text[256];
};

static void hear(void *ctx, const struct bf_error *err, const struct bf_record *records, size_t n,
	int64_t latency_ms)
{
	struct heard *h = ctx;

	(void)records;
	(void)n;
	(void)latency_ms;
	h->times++;
	h->class = err ? err->class : BF_ERR_NONE;
	strlcpy(h->text, err ? err->text : "", sizeof h->text);
}

static struct bf_op *look_up(enum bf_provider_id id, size_t n, struct heard *h)
{
	memset(h, 0, sizeof *h);
	return bf_lookup_start(w.p, id, three, n, hear, h);
}

/* Proves that a bulk call counts one unit per ISBN, for no month, in reservation, usage and figures, and one request. */
static void test_bulk_counts_each(void **state)
{
	struct bf_provider_figures f;
	struct heard h;

	(void)state;
	w.config.provider[BF_ISBNDB].cost_per_call = 0.5;
	world_begin(BF_ISBNDB, 100, 10);
	look_up(BF_ISBNDB, 3, &h);
	assert_int_equal(w.n_requests, 0); /* not before it is counted */
	world_run(SLOT);
	assert_int_equal(w.n_wants, 1);
	assert_int_equal(w.want[0].units, 3);
	assert_int_equal(w.want[0].ref.year, 0);
	assert_int_equal(w.want[0].ref.fence, 0);
	assert_int_equal(w.n_requests, 1);
	assert_true(w.request[0].fresh);
	world_answer(0, 200, nothing_found);
	assert_int_equal(h.times, 1);
	assert_int_equal(h.class, BF_ERR_NONE);
	world_run(1000);
	assert_int_equal(w.spent[BF_ISBNDB].units_sent, 3);
	assert_int_equal(w.spent[BF_ISBNDB].units_unused, 0);
	assert_int_equal(w.spent[BF_ISBNDB].calls, 2); /* asking for the plan's limits, too */
	assert_int_equal(w.spent[BF_ISBNDB].year, 0);
	assert_int_equal((int)(w.spent[BF_ISBNDB].cost_usd * 10), 15);
	bf_provider_figures(w.p, BF_ISBNDB, &f);
	assert_int_equal(f.units, 3);
	assert_int_equal(f.quota_used, 3);
	assert_int_equal(f.quota_limit, 90);
}

/* Proves that too little for a bulk call is its own failure: a smaller one still passes, and the last refused unit closes. */
static void test_bulk_refused(void **state)
{
	struct heard h, small, one;
	int64_t wait;

	(void)state;
	world_begin(BF_ISBNDB, 12, 10);
	look_up(BF_ISBNDB, 3, &h);
	world_run(SLOT);
	assert_int_equal(h.times, 1);
	assert_int_equal(h.class, BF_ERR_QUOTA);
	assert_non_null(strstr(h.text, "fewer than 3 units left"));
	assert_null(bf_provider_unusable(w.p, BF_ISBNDB));
	assert_int_equal(bf_provider_units_left(w.p, BF_ISBNDB), 2);
	look_up(BF_ISBNDB, 2, &small);
	world_run(SLOT);
	assert_int_equal(w.n_requests, 1);
	world_answer(0, 200, nothing_found);
	assert_int_equal(small.class, BF_ERR_NONE);
	assert_int_equal(bf_provider_units_left(w.p, BF_ISBNDB), 0);
	look_up(BF_ISBNDB, 1, &one);
	world_run(SLOT);
	assert_int_equal(one.class, BF_ERR_QUOTA);
	assert_non_null(strstr(one.text, "out of quota"));
	assert_non_null(bf_provider_unusable(w.p, BF_ISBNDB));
	assert_int_equal(bf_provider_standing(w.p, BF_ISBNDB, &wait), BF_CLOSED);
	assert_in_range(wait, DAY_LEFT_MS - SLOT, DAY_LEFT_MS);
	assert_int_equal(w.spent[BF_ISBNDB].units_unused, 0);
}

/* Proves that within one reservation the bulk call is refused and the single one behind it is granted. */
static void test_mixed(void **state)
{
	struct heard big, one;

	(void)state;
	world_begin(BF_ISBNDB, 11, 10);
	bf_providers_hold(w.p, true);
	look_up(BF_ISBNDB, 3, &big);
	look_up(BF_ISBNDB, 1, &one);
	world_run(SLOT);
	assert_int_equal(w.n_wants, 0);
	world_pulse(-1);
	world_run(SLOT);
	assert_int_equal(w.n_wants, 2);
	assert_int_equal(big.class, BF_ERR_QUOTA);
	assert_int_equal(one.times, 0);
	assert_int_equal(w.n_requests, 1);
	world_answer(0, 200, nothing_found);
	assert_int_equal(one.class, BF_ERR_NONE);
	assert_int_equal(w.used[BF_ISBNDB], 1);
}

/* Proves that an instance that hears nothing from the database any more sends nothing after eight seconds, and goes on then. */
static void test_cut_off(void **state)
{
	struct heard early, late;

	(void)state;
	world_begin(BF_OPEN_LIBRARY, 0, 0);
	w.cut_off = true;
	world_run(7000);
	look_up(BF_OPEN_LIBRARY, 1, &early);
	world_run(SLOT);
	assert_int_equal(w.n_requests, 1);
	world_answer(0, 200, nothing_found);
	world_run(2000);
	look_up(BF_OPEN_LIBRARY, 1, &late);
	world_run(60000);
	assert_int_equal(w.n_requests, 1);
	world_pulse(-1);
	world_run(SLOT);
	assert_int_equal(w.n_requests, 2);
	world_answer(1, 200, nothing_found);
	assert_int_equal(early.times + late.times, 2);
}

/* Proves that a new day's last unit closes the provider again. */
static void test_next_day(void **state)
{
	struct heard h;

	(void)state;
	world_begin(BF_ISBNDB, 10, 10);
	look_up(BF_ISBNDB, 1, &h);
	world_run(DAY_LEFT_MS + 1);
	assert_int_equal(h.class, BF_ERR_QUOTA);
	assert_null(bf_provider_unusable(w.p, BF_ISBNDB));
	look_up(BF_ISBNDB, 1, &h);
	world_run(SLOT);
	assert_int_equal(h.class, BF_ERR_QUOTA);
	assert_non_null(bf_provider_unusable(w.p, BF_ISBNDB));
	assert_true(lane_out_of_quota(&w.p->lane[BF_ISBNDB]));
}

/* Proves that a bulk call cancelled between its count and its sending gives all its units back, one that was sent none. */
static void test_cancelled(void **state)
{
	struct heard h;
	struct bf_op *op;

	(void)state;
	world_begin(BF_ISBNDB, 100, 10);
	op = look_up(BF_ISBNDB, 3, &h); /* cancelled while it is being counted */
	bf_op_cancel(op);
	world_run(1000);
	assert_int_equal(w.spent[BF_ISBNDB].units_unused, 3);
	assert_int_equal(w.n_requests, 0);

	op = look_up(BF_ISBNDB, 2, &h);
	bf_providers_hold(w.p, true);
	world_run(SLOT); /* counted, and held back */
	assert_int_equal(w.used[BF_ISBNDB], 2);
	bf_op_cancel(op);
	world_run(1000);
	assert_int_equal(w.spent[BF_ISBNDB].units_unused, 5);
	assert_int_equal(w.used[BF_ISBNDB], 0);

	world_pulse(-1);
	op = look_up(BF_ISBNDB, 3, &h);
	world_run(SLOT);
	assert_int_equal(w.n_requests, 1);
	bf_op_cancel(op);
	assert_false(w.request[0].live);
	world_run(1000);
	assert_int_equal(w.spent[BF_ISBNDB].units_unused, 5);
	assert_int_equal(w.used[BF_ISBNDB], 3);
	assert_int_equal(h.times, 0);
}

/* Proves that a second try is counted like the first. */
static void test_retry(void **state)
{
	struct heard h;

	(void)state;
	world_begin(BF_ISBNDB, 100, 10);
	look_up(BF_ISBNDB, 3, &h);
	world_run(SLOT);
	world_answer(0, 503, "{\"message\":\"busy\"}");
	assert_int_equal(h.times, 0);
	world_run(60000);
	assert_int_equal(w.n_requests, 2);
	assert_int_equal(w.n_wants, 2);
	assert_int_equal(w.want[1].units, 3);
	world_answer(1, 200, nothing_found);
	assert_int_equal(h.times, 1);
	world_run(1000);
	assert_int_equal(w.spent[BF_ISBNDB].units_sent, 6);
	assert_int_equal(w.used[BF_ISBNDB], 6);
}

/* Proves that half of what a call needs is not used and goes back. */
static void test_part(void **state)
{
	struct heard h;

	(void)state;
	world_begin(BF_ISBNDB, 100, 10);
	w.grant_at_most = 2;
	look_up(BF_ISBNDB, 3, &h);
	world_run(1000);
	assert_int_equal(h.class, BF_ERR_QUOTA);
	assert_int_equal(w.n_requests, 0);
	assert_int_equal(w.spent[BF_ISBNDB].units_unused, 2);
	assert_int_equal(w.used[BF_ISBNDB], 0);
	assert_null(bf_provider_unusable(w.p, BF_ISBNDB));
}

/* Proves that where a bulk call is one call it costs one unit, and none without a limit. */
static void test_one_for_many(void **state)
{
	struct heard h;

	(void)state;
	world_begin(BF_OPEN_LIBRARY, 0, 0);
	look_up(BF_OPEN_LIBRARY, 3, &h);
	world_run(SLOT);
	assert_int_equal(w.n_wants, 0);
	world_answer(0, 200, "{}");
	assert_int_equal(h.class, BF_ERR_NONE);
	world_begin(BF_OPEN_LIBRARY, 5, 0);
	look_up(BF_OPEN_LIBRARY, 3, &h);
	world_run(50);
	assert_int_equal(w.n_wants, 1);
	assert_int_equal(w.want[0].units, 1);
	world_answer(1, 200, "{}");
	world_run(1000);
	assert_int_equal(w.spent[BF_OPEN_LIBRARY].calls, 2);
	assert_int_equal(w.spent[BF_OPEN_LIBRARY].units_sent, 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		T(test_bulk_counts_each),
		T(test_bulk_refused),
		T(test_mixed),
		T(test_cut_off),
		T(test_next_day),
		T(test_cancelled),
		T(test_retry),
		T(test_part),
		T(test_one_for_many),
	};

	return cmocka_run_group_tests_name("units", tests, NULL, NULL);
}
