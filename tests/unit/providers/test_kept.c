/*
 * kept: records that came with an answer to a search are handed to the flusher by their ISBNs: of ISBNdb, which is paid for, every
 * edition of the book; of the others the chosen one; of a dry run none.
 */
#include "world.h"
#include <stdlib.h>
#include <string.h>

#define A "9780306406157"
#define B "9780804429573"
#define C "9781585160808"
#define D "9783161484100"
#define BOOK(isbn, title, more) \
	"{\"title\":\"" title   \
	"\",\"authors\":[\"Mira Vance\"],\"language\":\"en\",\"isbn13\":\"" isbn "\"" more "}"

static const char editions[] = "{\"total\":5,\"data\":[" BOOK(
	A, "The Salt Atlas", ",\"date_published\":\"2015-03-01\"") "," BOOK(B, "The Salt Atlas",
	",\"binding\":\"Paperback\",\"date_published\":\"2016\"") "," BOOK(C, "Another Thing",
	"") ","
	    "{\"title\":\"The Salt Atlas\",\"authors\":[\"Somebody Else\"],\"isbn13\":\"" D "\"},"
	    "{\"title\":\"The Salt Atlas\",\"authors\":[\"Mira Vance\"]}]}";

struct heard {
	int times;
	struct bf_resolved resolved;
};

static void hear(void *ctx, const struct bf_error *err, const struct bf_resolved *r)
{
	struct heard *h = ctx;

	assert_null(err);
	h->times++;
	h->resolved = *r;
}

static struct bf_candidate candidate(void)
{
	return (struct bf_candidate){
		.book = { .title = "The Salt Atlas", .author = "Mira Vance", .year = 2015 },
		.title_key = "the salt atlas",
		.author_key = "mira vance"
	};
}

/* Whose companion a record is; "" when it was not kept. */
static const char *kept_for(const char *isbn)
{
	for (int i = 0; i < w.n_kept; i++)
		if (strcmp(w.kept[i].isbn13, isbn) == 0)
			return w.kept[i].for_isbn;
	return "";
}

/* An enhancement's search: of no month, and nothing in the cache. */
static struct heard search(const struct bf_candidate *c, bool dry_run, const char *body)
{
	static const struct bf_month_ref none;
	struct heard h = { 0 };
	int sent = w.n_requests;

	bf_resolve_start(w.p, &none, dry_run, c, NULL, hear, &h);
	world_run(100);
	if (body) {
		assert_int_equal(w.n_requests, sent + 1);
		world_answer(sent, 200, body);
	}
	assert_int_equal(w.n_requests, sent + (body != NULL));
	assert_int_equal(h.times, 1);
	return h;
}

/* Proves that ISBNdb's other editions of the book are kept beside the chosen one, and no other book's record, for no month. */
static void test_editions(void **state)
{
	struct bf_candidate c = candidate();
	struct heard h;

	(void)state;
	world_begin(BF_ISBNDB, 100, 0);
	h = search(&c, false, editions);
	assert_int_equal(h.resolved.state, BF_CAND_RESOLVED);
	assert_string_equal(h.resolved.isbn13, A);
	assert_int_equal(w.want[0].ref.year, 0);
	assert_int_equal(w.want[0].ref.fence, 0);
	world_run(1000);
	assert_int_equal(w.n_lost, 0);
	assert_int_equal(w.spent[BF_ISBNDB].year, 0);
	assert_int_equal(w.spent[BF_ISBNDB].units_sent, 1);
	assert_int_equal(w.n_kept, 2);
	assert_string_equal(w.kept[0].isbn13, A);
	assert_string_equal(w.kept[0].for_isbn, A);
	assert_int_equal(w.kept[0].provider, BF_ISBNDB);
	assert_non_null(strstr(w.kept[0].json, "\"isbn13\":\"" A "\""));
	assert_string_equal(w.kept[1].isbn13, B);
	assert_string_equal(w.kept[1].for_isbn, A);
	assert_non_null(strstr(w.kept[1].json, "\"binding\":\"Paperback\""));
}

/* Proves that a dry run leaves no records. */
static void test_dry_run(void **state)
{
	struct bf_candidate c = candidate();
	struct heard h;

	(void)state;
	world_begin(BF_ISBNDB, 0, 0);
	h = search(&c, true, editions);
	assert_int_equal(h.resolved.state, BF_CAND_RESOLVED);
	world_run(1000);
	assert_true(w.n_flushes > 0);
	assert_int_equal(w.n_kept, 0);
}

/* Proves that no record is kept of an answer without the book. */
static void test_miss(void **state)
{
	struct bf_candidate c = candidate();
	struct heard h;

	(void)state;
	world_begin(BF_ISBNDB, 0, 0);
	h = search(&c, false, "{\"data\":[" BOOK(C, "Another Thing", "") "]}");
	assert_int_equal(h.resolved.state, BF_CAND_NOT_FOUND);
	world_run(1000);
	assert_int_equal(w.n_kept, 0);
}

/* Proves that of a free provider's answer only the chosen record is kept. */
static void test_free_provider(void **state)
{
	struct bf_candidate c = candidate();
	struct heard h;

	(void)state;
	w.config.resolution.order[0] = BF_ARCHIVE_ORG;
	world_begin(BF_ARCHIVE_ORG, 0, 0);
	h = search(&c, false,
		"{\"response\":{\"docs\":["
		"{\"identifier\":\"a\",\"title\":\"The Salt Atlas\",\"creator\":\"Vance, Mira\","
		"\"year\":2015,\"language\":\"eng\",\"isbn\":\"" A "\"},"
		"{\"identifier\":\"b\",\"title\":\"The Salt Atlas\",\"creator\":\"Vance, Mira\","
		"\"year\":2015,\"language\":\"eng\",\"isbn\":\"" B "\"}]}}");
	assert_string_equal(h.resolved.isbn13, A);
	world_run(1000);
	assert_int_equal(w.n_kept, 1);
	assert_string_equal(w.kept[0].isbn13, A);
	assert_int_equal(w.kept[0].provider, BF_ARCHIVE_ORG);
}

/* Proves that what the cache remembers is kept again, since records are pruned, and a remembered miss or a dry run is not. */
static void test_cached(void **state)
{
	struct bf_candidate c = candidate();

	(void)state;
	world_begin(BF_ISBNDB, 0, 0);
	c.cached[BF_ISBNDB] = (struct bf_cached){ .known = true,
		.hit = true,
		.isbn13 = A,
		.confidence = 90,
		.record_json = "{\"isbn13\":\"" A "\",\"title\":\"The Salt Atlas\"}" };
	search(&c, true, NULL);
	world_run(1000);
	assert_int_equal(w.n_kept, 0);
	search(&c, false, NULL);
	world_run(1000);
	assert_int_equal(w.n_kept, 1);
	assert_string_equal(w.kept[0].for_isbn, A);
	assert_string_equal(w.kept[0].json, c.cached[BF_ISBNDB].record_json);
	c.cached[BF_ISBNDB].record_json = NULL;
	search(&c, false, NULL);
	c.cached[BF_ISBNDB].hit = false;
	search(&c, false, NULL);
	world_run(1000);
	assert_int_equal(w.n_kept, 1);
}

/* Proves that two askers of one flight leave each record once, and that it stays known whose companion it was. */
static void test_shared(void **state)
{
	struct bf_candidate paper = candidate(), hard = candidate();
	static const struct bf_month_ref none;
	struct heard one = { 0 }, two = { 0 };

	(void)state;
	world_begin(BF_ISBNDB, 0, 0);
	paper.book.year = 2016;
	bf_resolve_start(w.p, &none, false, &hard, NULL, hear, &one);
	bf_resolve_start(w.p, &none, false, &paper, NULL, hear, &two);
	world_run(100);
	assert_int_equal(w.n_requests, 1);
	world_answer(0, 200, editions);
	world_run(1000);
	assert_int_equal(one.times + two.times, 2);
	assert_string_equal(one.resolved.isbn13, A);
	assert_string_equal(two.resolved.isbn13, B);
	assert_int_equal(w.n_kept, 2);
	assert_string_equal(kept_for(A), B);
	assert_string_equal(kept_for(B), A);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		T(test_editions),
		T(test_dry_run),
		T(test_miss),
		T(test_free_provider),
		T(test_cached),
		T(test_shared),
	};

	return cmocka_run_group_tests_name("kept", tests, NULL, NULL);
}
