/*
 * lookup: of what a provider sends for a list of ISBNs each asked one gets its own record, under the spelling it was asked in;
 * everything else is dropped, and what is missing is a miss.
 */
#include "world.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define A   "9780306406157"
#define A10 "0306406152"
#define B   "9780804429573"
#define C   "9781585160808"

struct heard {
	int times;
	enum bf_err_class class;
	char text[256];
	char found[512]; /* "isbn13 title [others]" of each, one per line */
	int64_t latency_ms;
};

static void hear(void *ctx, const struct bf_error *err, const struct bf_record *r, size_t n,
	int64_t latency_ms)
{
	struct heard *h = ctx;
	char line[128];

	h->times++;
	h->class = err ? err->class : BF_ERR_NONE;
	strlcpy(h->text, err ? err->text : "", sizeof h->text);
	h->latency_ms = latency_ms;
	for (size_t i = 0; i < n; i++) {
		snprintf(line, sizeof line, "%s %s [%s]\n", r[i].isbn13, r[i].title,
			r[i].other_isbns ? r[i].other_isbns : "");
		strlcat(h->found, line, sizeof h->found);
	}
}

/* The whole way of one look-up that is answered with `body`. */
static struct heard ask(
	enum bf_provider_id id, const char *const *isbns, size_t n, int status, const char *body)
{
	struct heard h = { 0 };
	struct bf_op *op;
	int sent = w.n_requests;

	op = bf_lookup_start(w.p, id, isbns, n, hear, &h);
	assert_non_null(op);
	assert_int_equal(h.times, 0);
	world_run(100);
	assert_int_equal(h.times, 0);
	assert_int_equal(w.n_requests, sent + 1);
	world_answer(sent, status, body);
	assert_int_equal(h.times, 1);
	return h;
}

/* Proves that records come back by asked ISBN, in any order of arrival, without those nobody asked for. */
static void test_any_order(void **state)
{
	static const char *const isbns[] = { A, B, C };
	struct heard h;

	(void)state;
	world_begin(BF_ISBNDB, 0, 0);
	h = ask(BF_ISBNDB, isbns, 3, 200,
		"{\"data\":[{\"title\":\"Cee\",\"isbn13\":\"" C "\"},"
		"{\"title\":\"Zed\",\"isbn13\":\"9783161484100\"},"
		"{\"title\":\"Eh\",\"isbn13\":\"" A "\"}]}");
	assert_int_equal(h.class, BF_ERR_NONE);
	assert_string_equal(h.found, A " Eh []\n" C " Cee []\n");
}

/* Proves that an ISBN asked twice, in two spellings, is bought once and answered twice, each in its spelling. */
static void test_spellings(void **state)
{
	static const char *const isbns[] = { A10, A, "no isbn" };
	struct heard h;

	(void)state;
	world_begin(BF_ISBNDB, 100, 0);
	h = ask(BF_ISBNDB, isbns, 3, 200, "{\"data\":[{\"title\":\"Eh\",\"isbn13\":\"" A "\"}]}");
	assert_string_equal(w.request[0].body, "{\"isbns\":[\"" A "\"]}");
	assert_int_equal(w.want[0].units, 1);
	assert_string_equal(h.found, A10 " Eh []\n" A " Eh []\n");
}

/* Proves that ISBNdb's record of one edition is not taken for another edition that it names, unless it came for that one. */
static void test_other_editions(void **state)
{
	static const char *const both[] = { A, B };
	static const char body[] =
		"{\"data\":[{\"title\":\"Eh\",\"isbn13\":\"" A "\",\"other_isbns\":[{\"isbn\":\"" B
		"\"},{\"isbn\":\"" C "\"}]}]}";
	struct heard h;

	(void)state;
	world_begin(BF_ISBNDB, 0, 0);
	h = ask(BF_ISBNDB, both, 2, 200, body);
	assert_string_equal(h.found, A " Eh [" B ";" C "]\n");
	h = ask(BF_ISBNDB, both + 1, 1, 200, body);
	assert_string_equal(h.found, B " Eh [" A ";" C "]\n");
}

/* Proves that of two records of one ISBN the fuller one stays, and that its own record goes before one that lists it. */
static void test_duplicates(void **state)
{
	static const char *const isbns[] = { A };
	struct heard h;

	(void)state;
	world_begin(BF_ISBNDB, 0, 0);
	h = ask(BF_ISBNDB, isbns, 1, 200,
		"{\"data\":[{\"title\":\"Poor\",\"isbn13\":\"" A "\"},"
		"{\"title\":\"Full\",\"isbn13\":\"" A
		"\",\"publisher\":\"Row\",\"pages\":312,\"authors\":[\"Vance, Mira\"]},"
		"{\"title\":\"Listed\",\"isbn13\":\"" B "\",\"publisher\":\"Row\",\"pages\":312,"
		"\"authors\":[\"Vance, Mira\"],\"binding\":\"Hardcover\",\"other_isbns\":[\"" A
		"\"]}]}");
	assert_string_equal(h.found, A " Full []\n");
}

/* Proves that a scan whose title page has two ISBNs answers for both, and that a pallet answers for none. */
static void test_archive(void **state)
{
	static const char *const isbns[] = { A, B, C };
	struct heard h;

	(void)state;
	world_begin(BF_ARCHIVE_ORG, 0, 0);
	h = ask(BF_ARCHIVE_ORG, isbns, 3, 200,
		"{\"response\":{\"docs\":["
		"{\"identifier\":\"salt\",\"title\":\"Salt\",\"isbn\":[\"" A10 "\",\"" B "\"]},"
		"{\"identifier\":\"bwb_1\",\"title\":\"Pallet\",\"isbn\":\"" C "\"}]}}");
	assert_string_equal(h.found, A " Salt [" B "]\n" B " Salt [" A "]\n");
}

/* Proves that a definite "none of them" is no error, and that time counts from the sending. */
static void test_none(void **state)
{
	static const char *const isbns[] = { A };
	struct heard h = { 0 };

	(void)state;
	world_begin(BF_OPEN_LIBRARY, 0, 0);
	bf_lookup_start(w.p, BF_OPEN_LIBRARY, isbns, 1, hear, &h);
	world_run(0);
	w.now_us += 250000;
	world_answer(0, 200, "{}");
	assert_int_equal(h.class, BF_ERR_NONE);
	assert_string_equal(h.found, "");
	assert_int_equal(h.latency_ms, 250);
}

/* Proves that what cannot be asked ends later, once, with its reason, and costs nothing. */
static void test_not_askable(void **state)
{
	static const char *const junk[] = { "", "9780306406158" };
	const char *many[101];
	struct heard h = { 0 };

	(void)state;
	world_begin(BF_ISBNDB, 100, 0);
	for (size_t i = 0; i < BF_COUNT(many); i++)
		many[i] = A;
	bf_lookup_start(w.p, BF_ISBNDB, junk, 2, hear, &h);
	assert_int_equal(h.times, 0);
	world_run(0);
	assert_int_equal(h.times, 1);
	assert_int_equal(h.class, BF_ERR_PERMANENT);
	bf_lookup_start(w.p, BF_ISBNDB, many, BF_COUNT(many), hear, &h);
	assert_int_equal(h.times, 1);
	world_run(0);
	assert_int_equal(h.class, BF_ERR_BUG);
	bf_lookup_start(w.p, BF_GOOGLE_BOOKS, many, 1, hear, &h);
	world_run(0);
	assert_int_equal(h.times, 3);
	assert_int_equal(h.class, BF_ERR_BUG);
	assert_int_equal(w.n_requests, 0);
	assert_int_equal(w.n_wants, 0);
}

/* Proves that cancelling, before anything was sent, while it is under way and while a failure waits, is the last of it. */
static void test_cancel(void **state)
{
	static const char *const isbns[] = { A };
	struct heard h = { 0 };

	(void)state;
	world_begin(BF_OPEN_LIBRARY, 0, 0);
	bf_op_cancel(bf_lookup_start(w.p, BF_OPEN_LIBRARY, isbns, 0, hear, &h));
	bf_providers_hold(w.p, true);
	bf_op_cancel(bf_lookup_start(w.p, BF_OPEN_LIBRARY, isbns, 1, hear, &h));
	world_pulse(-1);
	assert_int_equal(w.n_requests, 0);
	w.config.provider[BF_WIKIDATA].enabled = false;
	bf_op_cancel(bf_lookup_start(w.p, BF_WIKIDATA, isbns, 1, hear, &h));
	bf_op_cancel(bf_lookup_start(w.p, BF_OPEN_LIBRARY, isbns, 1, hear, &h));
	assert_int_equal(w.n_requests, 1);
	assert_false(w.request[0].live);
	world_run(1000);
	assert_int_equal(h.times, 0);
}

/* Proves the classes of failure: refused key, closed provider, a request that is not understood. */
static void test_failures(void **state)
{
	static const char *const isbns[] = { A };
	struct heard h;

	(void)state;
	world_begin(BF_ISBNDB, 0, 0);
	h = ask(BF_ISBNDB, isbns, 1, 400, "{\"message\":\"too many isbns\"}");
	assert_int_equal(h.class, BF_ERR_PERMANENT);
	h = ask(BF_ISBNDB, isbns, 1, 401, "{\"message\":\"who are you\"}");
	assert_int_equal(h.class, BF_ERR_REFUSED);
	memset(&h, 0, sizeof h);
	bf_lookup_start(w.p, BF_ISBNDB, isbns, 1, hear, &h);
	assert_int_equal(h.times, 0);
	world_run(0);
	assert_int_equal(h.class, BF_ERR_QUOTA);
	bf_providers_drain(w.p);
	bf_lookup_start(w.p, BF_WIKIDATA, isbns, 1, hear, &h);
	world_run(0);
	assert_int_equal(h.class, BF_ERR_CANCELLED);
}

/* Proves how many ISBNs each provider takes, and that it builds a request of so many and of no more. */
static void test_most(void **state)
{
	static const struct {
		enum bf_provider_id id;
		int max;
	} rows[] = { { BF_GEMINI, 0 }, { BF_XAI, 0 }, { BF_ISBNDB, 100 }, { BF_GOOGLE_BOOKS, 0 },
		{ BF_OPEN_LIBRARY, 100 }, { BF_ARCHIVE_ORG, 25 }, { BF_WIKIDATA, 50 } };
	const char *isbns[101];
	struct bf_error err;

	(void)state;
	for (size_t i = 0; i < BF_COUNT(isbns); i++)
		isbns[i] = A;
	for (size_t i = 0; i < BF_COUNT(rows); i++) {
		struct provider_ask question = {
			.kind = PROVIDER_BULK, .isbns = isbns, .n_isbns = (size_t)rows[i].max
		};
		struct provider_request req = { .units = 1 };
		struct bf_arena *arena = bf_arena_new();
		const struct provider_ops *ops = provider_table[rows[i].id];

		assert_int_equal(bf_lookup_max(rows[i].id), rows[i].max);
		assert_int_equal(ops->build(&question, &w.config.provider[0], arena, &req, &err),
			rows[i].max > 0);
		assert_true(rows[i].max == 0 || strlen(req.url) < 2600);
		question.n_isbns++;
		assert_false(ops->build(&question, &w.config.provider[0], arena, &req, &err));
		bf_arena_free(arena);
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		T(test_any_order),
		T(test_spellings),
		T(test_other_editions),
		T(test_duplicates),
		T(test_archive),
		T(test_none),
		T(test_not_askable),
		T(test_cancel),
		T(test_failures),
		T(test_most),
	};

	return cmocka_run_group_tests_name("lookup", tests, NULL, NULL);
}
