/*
 * provider: an answer that a provider never promised. The first byte says what was asked, the second the status, the third
 * the content type; the rest is the body. Compiled once for each provider (FUZZ_PROVIDER).
 */
#include "fuzz.h"
#include "provider.h"

static const int statuses[] = { 200, 200, 200, 200, 201, 204, 302, 400, 401, 402, 403, 404, 408, 429, 500, 503 };
static const char *const types[] = { "application/json", "text/html; charset=utf-8", "", "application/sparql-results+json" };
static const char *const isbns[] = { "9780743273565", "9780735219090", "9781250301697" };

static void check_isbn(const char *isbn)
{
	char canon[14];

	if (isbn == NULL)
		return;
	FUZZ_CHECK(bf_isbn_canon(isbn, strlen(isbn), canon) == BF_ISBN_OK);
	FUZZ_CHECK(strcmp(isbn, canon) == 0);
}

/* Whatever arrived: texts are UTF-8, ISBNs canonical, numbers possible; and it can be kept and read again. */
static void check_record(const struct bf_record *r, struct bf_arena *arena)
{
	const char *texts[] = { r->title, r->subtitle, r->authors, r->publisher, r->language, r->binding, r->date, r->cover_url,
		r->provider_key, r->description, r->subjects, r->other_isbns };
	struct bf_record again;
	struct bf_buf out;
	struct bf_book wanted = { .title = "The Great Gatsby", .author = "F. Scott Fitzgerald", .year = 1925 };
	int confidence;
	char why[64];

	for (size_t i = 0; i < BF_COUNT(texts); i++)
		fuzz_check_text(texts[i]);
	check_isbn(r->isbn13);
	FUZZ_CHECK(r->year == 0 || (r->year >= 1000 && r->year <= 2100));
	FUZZ_CHECK(r->pages >= 0);
	confidence = bf_match_confidence(&wanted, r, why);
	FUZZ_CHECK(confidence >= 0 && confidence <= 100);
	bf_buf_init(&out, BF_RECORD_JSON_MAX);
	if (bf_record_write(r, &out)) {
		FUZZ_CHECK(out.len <= BF_RECORD_JSON_MAX);
		FUZZ_CHECK(bf_record_read(out.data, out.len, arena, &again));
	}
	bf_buf_release(&out);
}

static void check_answer(const struct provider_answer *a, struct bf_arena *arena)
{
	struct bf_book_list books;

	FUZZ_CHECK((unsigned)a->outcome < PROVIDER_NOUTCOMES);
	FUZZ_CHECK(a->retry_after_ms >= -1 && a->retry_after_ms <= INT64_C(86400000));
	FUZZ_CHECK(a->reason == NULL || strlen(a->reason) <= 200);
	fuzz_check_text(a->reason);
	fuzz_check_text(a->model);
	FUZZ_CHECK(a->tokens_in >= 0 && a->tokens_out >= 0);
	FUZZ_CHECK(a->limit_left >= -1);
	FUZZ_CHECK(a->outcome != OUTCOME_OK || a->text != NULL || a->n_records > 0 || a->limit_total >= -1);
	for (size_t i = 0; i < a->n_records; i++)
		check_record(&a->records[i], arena);
	if (a->text != NULL)
		bf_books_read(a->text, a->text_len, 2020, arena, &books);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct provider_ops *ops = provider_table[FUZZ_PROVIDER];
	struct bf_book book = { .title = "The Great Gatsby", .author = "F. Scott Fitzgerald" };
	struct provider_ask ask = { .kind = PROVIDER_GENERATE, .model = "a-model", .system = "s", .prompt = "p", .up_to_n = 20,
		.book = &book, .isbns = isbns, .n_isbns = BF_COUNT(isbns) };
	struct provider_answer answer = { .retry_after_ms = -1, .cost_usd = -1, .limit_total = -1, .limit_left = -1 };
	struct fuzz_in in = { data, size };
	unsigned kind = fuzz_byte(&in);
	struct bf_http_reply reply = { .status = statuses[fuzz_byte(&in) % BF_COUNT(statuses)], .retry_after_ms = -1 };
	struct bf_arena *arena = bf_arena_new();
	char *body;

	if (!BF_IS_AI(FUZZ_PROVIDER))
		ask.kind = kind % 3 == 0 || ops->bulk_max == 0 ? PROVIDER_SEARCH : PROVIDER_BULK;
	if (FUZZ_PROVIDER == BF_ISBNDB && kind % 3 == 2)
		ask.kind = PROVIDER_LIMITS;
	reply.content_type = types[fuzz_byte(&in) % BF_COUNT(types)];
	reply.body_len = in.left;
	body = fuzz_rest(&in);
	reply.body = body;
	ops->parse(&ask, &reply, arena, &answer);
	check_answer(&answer, arena);
	bf_arena_free(arena);
	free(body);
	return 0;
}
