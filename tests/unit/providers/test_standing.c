/* standing: who may be asked, who is nobody's to wait for, and when to look again; and the units that are left of a day. */
#include "world.h"
#include <string.h>

static void assert_standing(enum bf_provider_id id, enum bf_standing want, int64_t wait)
{
	int64_t got = -1;

	assert_int_equal(bf_provider_standing(w.p, id, &got), want);
	assert_int_equal(got, wait);
	assert_int_equal(bf_provider_standing(w.p, id, NULL), want);
}

static void ignore(void *ctx, const struct bf_error *err, const struct bf_record *records, size_t n,
	int64_t latency_ms)
{
	(void)records;
	(void)n;
	(void)latency_ms;
	*(enum bf_err_class *)ctx = err ? err->class : BF_ERR_NONE;
}

/* The next request to Open Library is answered with this. */
static enum bf_err_class answered(int status, const char *body)
{
	static const char *const isbns[] = { "9780306406157" };
	enum bf_err_class class = BF_ERR_BUG;
	int i = w.n_requests;

	bf_lookup_start(w.p, BF_OPEN_LIBRARY, isbns, 1, ignore, &class);
	world_run(100);
	assert_int_equal(w.n_requests, i + 1);
	world_answer(i, status, body);
	return class;
}

/* Proves that a disabled provider and one without its key are left out, and that a key is not asked of those without. */
static void test_left_out(void **state)
{
	(void)state;
	w.config.provider[BF_WIKIDATA].enabled = false;
	w.config.provider[BF_GOOGLE_BOOKS].api_key = NULL;
	w.config.provider[BF_OPEN_LIBRARY].api_key = NULL;
	world_begin(BF_ISBNDB, 0, 0);
	assert_standing(BF_WIKIDATA, BF_LEFT_OUT, 0);
	assert_standing(BF_GOOGLE_BOOKS, BF_LEFT_OUT, 0);
	assert_standing(BF_OPEN_LIBRARY, BF_USABLE, 0);
	assert_standing(BF_ISBNDB, BF_USABLE, 0);
	bf_providers_drain(w.p); /* ours, and not the provider's: who asks is told so */
	assert_standing(BF_ISBNDB, BF_USABLE, 0);
}

/* Proves that a refused key is looked at again in a quarter of an hour, and is mended by a reload. */
static void test_refused_key(void **state)
{
	(void)state;
	world_begin(BF_ISBNDB, 0, 0);
	strlcpy(w.p->lane[BF_ISBNDB].off, "key refused", sizeof w.p->lane[BF_ISBNDB].off);
	assert_standing(BF_ISBNDB, BF_CLOSED, 900000);
	bf_providers_configure(w.p, &w.config);
	assert_standing(BF_ISBNDB, BF_USABLE, 0);
}

/* Proves the way of a circuit: closed until its time, usable for the one that probes, closed to others meanwhile, then open to all. */
static void test_circuit(void **state)
{
	static const char *const isbns[] = { "9780306406157" };
	enum bf_err_class class = BF_ERR_BUG;
	struct lane *lane = &w.p->lane[BF_OPEN_LIBRARY];

	(void)state;
	world_begin(BF_OPEN_LIBRARY, 0, 0);
	for (int i = 0; i < 5; i++)
		circuit_failure(lane, "no answer");
	assert_standing(BF_OPEN_LIBRARY, BF_CLOSED, 30000);
	world_run(29900);
	assert_standing(BF_OPEN_LIBRARY, BF_CLOSED, 1000); /* a second at least */
	world_run(100);
	assert_standing(BF_OPEN_LIBRARY, BF_USABLE, 0);
	bf_lookup_start(w.p, BF_OPEN_LIBRARY, isbns, 1, ignore, &class);
	world_run(0);
	assert_int_equal(w.n_probes, 1);
	assert_int_equal(w.n_requests, 1);
	assert_standing(BF_OPEN_LIBRARY, BF_CLOSED, 5000);
	world_answer(0, 200, "{}");
	assert_int_equal(class, BF_ERR_NONE);
	assert_standing(BF_OPEN_LIBRARY, BF_USABLE, 0);
}

/* Proves that a ban and a long wait that the provider asks for last as long as they say. */
static void test_ban(void **state)
{
	(void)state;
	world_begin(BF_OPEN_LIBRARY, 0, 0);
	assert_int_equal(answered(403, "<html>no</html>"), BF_ERR_RETRY);
	assert_standing(BF_OPEN_LIBRARY, BF_CLOSED, 3600000);
	world_run(3600000);
	assert_standing(BF_OPEN_LIBRARY, BF_USABLE, 0);
	assert_int_equal(answered(200, "{}"), BF_ERR_NONE);
}

/* Proves that units spent by others are seen from the pulse, and that a day's figure ends with the day. */
static void test_units_left(void **state)
{
	(void)state;
	world_begin(BF_ISBNDB, 15000, 2000);
	assert_int_equal(bf_provider_units_left(w.p, BF_OPEN_LIBRARY), -1);
	assert_int_equal(bf_provider_units_left(w.p, BF_ISBNDB), 13000); /* nothing known yet */
	world_pulse(12990);
	assert_int_equal(bf_provider_units_left(w.p, BF_ISBNDB), 10);
	assert_standing(BF_ISBNDB, BF_USABLE, 0);
	world_pulse(13400);
	assert_int_equal(bf_provider_units_left(w.p, BF_ISBNDB), 0);
	assert_standing(BF_ISBNDB, BF_CLOSED, 900000);
	world_pulse(0);
	assert_int_equal(bf_provider_units_left(w.p, BF_ISBNDB), 13000);
	world_begin(BF_OPEN_LIBRARY, 1, 0); /* no pulse tells of this one */
	assert_int_equal(answered(200, "{}"), BF_ERR_NONE);
	assert_int_equal(bf_provider_units_left(w.p, BF_OPEN_LIBRARY), 0);
	assert_standing(BF_OPEN_LIBRARY, BF_CLOSED, 900000);
	world_run(DAY_LEFT_MS);
	assert_int_equal(bf_provider_units_left(w.p, BF_OPEN_LIBRARY), 1);
	assert_standing(BF_OPEN_LIBRARY, BF_USABLE, 0);
}

/* Proves that the provider's own lower limit counts here too. */
static void test_told_limit(void **state)
{
	(void)state;
	world_begin(BF_ISBNDB, 15000, 3000);
	world_pulse(100);
	w.p->lane[BF_ISBNDB].told_limit = 5000;
	assert_int_equal(bf_provider_units_left(w.p, BF_ISBNDB), 3900); /* 5000 - 1000 - 100 */
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		T(test_left_out),
		T(test_refused_key),
		T(test_circuit),
		T(test_ban),
		T(test_units_left),
		T(test_told_limit),
	};

	return cmocka_run_group_tests_name("standing", tests, NULL, NULL);
}
