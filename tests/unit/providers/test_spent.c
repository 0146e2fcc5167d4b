/*
 * spent: of every provider's answer the notes of a book tell where it came from, and what that took.
 */
#include "world.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define A "9780306406157"

static const char hit[] = "{\"total\":1,\"data\":[{\"title\":\"The Salt Atlas\",\"authors\":[\"Mira Vance\"],"
			  "\"language\":\"en\",\"isbn13\":\"" A "\"}]}";

struct heard {
	int times;
	char notes[4096];
};

static void hear(void *ctx, const struct bf_error *err, const struct bf_resolved *r)
{
	struct heard *h = ctx;

	assert_null(err);
	h->times++;
	snprintf(h->notes, sizeof(h->notes), "%s", r->answers_json);
}

static struct bf_candidate candidate(void)
{
	return (struct bf_candidate){
		.book = { .title = "The Salt Atlas", .author = "Mira Vance", .year = 2015 },
		.title_key = "the salt atlas",
		.author_key = "mira vance"
	};
}

static void expect(const struct heard *h, const char *words)
{
	assert_int_equal(h->times, 1);
	if (strstr(h->notes, words) == NULL)
		fail_msg("wanted %s in %s", words, h->notes);
}

/* Proves that a request's time, units and tries are told, the tries that failed and the rest between them with it. */
static void test_request(void **state)
{
	static const struct bf_month_ref none;
	struct bf_candidate c = candidate();
	struct heard h = { 0 };
	char *at;

	(void)state;
	world_begin(BF_ISBNDB, 100, 0);
	bf_resolve_start(w.p, &none, false, &c, NULL, hear, &h);
	world_run(100);
	world_answer(0, 500, "{}");
	world_run(5000);
	assert_int_equal(w.n_requests, 2);
	world_run(700);
	world_answer(1, 200, hit);
	world_run(10);
	expect(&h, "\"isbndb\":{\"outcome\":\"hit\"");
	expect(&h, "\"from\":\"request\",\"latency_ms\":");
	expect(&h, "\"units\":2,\"tries\":2}");
	at = strstr(h.notes, "\"latency_ms\":");
	assert_true(strtol(at + strlen("\"latency_ms\":"), NULL, 10) >= 700);
}

/* Proves that who joined a request is told to have spent nothing, and the one who sent it all of it. */
static void test_shared(void **state)
{
	static const struct bf_month_ref none;
	struct bf_candidate c = candidate(), d = candidate();
	struct heard one = { 0 }, two = { 0 };

	(void)state;
	world_begin(BF_ISBNDB, 100, 0);
	bf_resolve_start(w.p, &none, false, &c, NULL, hear, &one);
	bf_resolve_start(w.p, &none, false, &d, NULL, hear, &two);
	world_run(100);
	assert_int_equal(w.n_requests, 1);
	world_answer(0, 200, hit);
	world_run(10);
	expect(&one, "\"from\":\"request\"");
	expect(&one, "\"units\":1,\"tries\":1}");
	expect(&two, "\"from\":\"shared\"");
	expect(&two, "\"units\":0,\"tries\":0}");
}

/* Proves that what the cache knew took no time, and that of a provider that was not asked nothing is told. */
static void test_cached(void **state)
{
	static const struct bf_month_ref none;
	struct bf_candidate c = candidate();
	struct heard h = { 0 };

	(void)state;
	w.config.resolution.order[0] = BF_ISBNDB;
	w.config.resolution.order[1] = BF_ARCHIVE_ORG;
	w.config.resolution.n_order = 2;
	world_begin(BF_ISBNDB, 100, 0);
	w.config.provider[BF_ARCHIVE_ORG].enabled = false;
	c.cached[BF_ISBNDB].known = true;
	bf_resolve_start(w.p, &none, false, &c, NULL, hear, &h);
	world_run(100);
	expect(&h, "{\"isbndb\":{\"outcome\":\"not_found\",\"reason\":\"cached\",\"from\":\"cache\"},"
		   "\"archive_org\":{\"outcome\":\"skipped\",\"reason\":\"disabled\"}}");
	assert_int_equal(w.n_requests, 0);
}

/* Proves that an answer that repeats our key does not bring it into what is said of it, however often it stands there. */
static void test_key_repeated(void **state)
{
	static const struct bf_month_ref none;
	struct bf_candidate c = candidate();
	struct heard h = { 0 };

	(void)state;
	world_begin(BF_ISBNDB, 100, 0);
	bf_resolve_start(w.p, &none, false, &c, NULL, hear, &h);
	world_run(100);
	for (int i = 0; i < 3; i++) {
		world_answer(i, 500,
			"{\"message\":\"you sent k3y-OF-the_test.42k3y-OF-the_test.42, "
			"and k3y-OF-the_test.42\"}");
		world_run(10000);
	}
	expect(&h, "\"outcome\":\"failed\"");
	expect(&h, "you sent ****");
	assert_null(strstr(h.notes, "k3y-OF-the_test.42"));
}

/* Proves that a failure that asks to be left alone for a day closes the provider, and the book does not rest that long. */
static void test_stays_away(void **state)
{
	static const struct bf_month_ref none;
	struct bf_candidate c = candidate();
	struct heard h = { 0 };

	(void)state;
	world_begin(BF_ISBNDB, 100, 0);
	w.retry_after_ms = 86400000;
	bf_resolve_start(w.p, &none, false, &c, NULL, hear, &h);
	world_run(100);
	world_answer(0, 503, "{}");
	world_run(10);
	expect(&h, "\"outcome\":\"failed\"");
	expect(&h, "for 86400 s");
	assert_int_equal(w.n_closed, 1);
	assert_non_null(bf_provider_unusable(w.p, BF_ISBNDB));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		T(test_request),
		T(test_shared),
		T(test_cached),
		T(test_key_repeated),
		T(test_stays_away),
	};

	return cmocka_run_group_tests_name("spent", tests, NULL, NULL);
}
