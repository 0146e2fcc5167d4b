/*
 * build_search: what the ISBN providers are asked, byte by byte where the interface fixes it:
 * method, URL, headers, body; where the key goes and, above all, where it does not.
 */
#include <stdlib.h>
#include <string.h>
#include "built.h"

/* Proves ISBNdb's search with and without an author; the key stands bare in Authorization. */
static void test_isbndb_search(void **state)
{
	struct built b = build_search(BF_ISBNDB, "Salt & Atlas: A Novel", "Vance, Mira");
	int url, headers, body;

	(void)state;
	assert_true(b.ok);
	assert_string_equal(b.request.method, "GET");
	assert_string_equal(b.request.url,
		"http://127.0.0.1:9/base/search/"
		"books?text=Salt%20%26%20Atlas&author=Mira%20Vance&pageSize=10");
	assert_string_equal(header(&b, "Authorization"), KEY);
	assert_int_equal(keys_in(&b, &url, &headers, &body), 1);
	assert_int_equal(b.request.units, 1);
	assert_null(b.request.body);
	done(&b);
	b = build_search(BF_ISBNDB, "Salt/Atlas? 100%", "Various Authors");
	assert_string_equal(b.request.url,
		"http://127.0.0.1:9/base/books/Salt%20Atlas%3F%20100%25?column=title&pageSize=10");
	done(&b);
}

/* Proves that a long title is cut at 150 bytes on a character, before it is encoded. */
static void test_isbndb_long(void **state)
{
	char title[401] = "", *text;
	struct built b;
	int i;

	(void)state;
	for (i = 0; i < 100; i++)
		memcpy(title + i * 4, "a\xe2\x82\xac", 5);
	b = build_search(BF_ISBNDB, title, "Mira Vance");
	text = parameter(b.request.url, "text");
	assert_true(strlen(text) <= 150 && strlen(text) >= 147);
	assert_true(bf_utf8_valid(text, strlen(text)));
	free(text);
	done(&b);
}

/* Proves that a bulk call sends exactly the asked ISBNs and costs one unit each. */
static void test_isbndb_bulk(void **state)
{
	static const char *const isbns[] = { "9780306406157", "9780804429573", "9781585160808" };
	struct provider_ask ask = { .kind = PROVIDER_BULK, .isbns = isbns, .n_isbns = 3 };
	struct built b = build(BF_ISBNDB, &ask);

	(void)state;
	assert_true(b.ok);
	assert_string_equal(b.request.method, "POST");
	assert_string_equal(b.request.url, "http://127.0.0.1:9/base/books");
	assert_string_equal(b.request.body,
		"{\"isbns\":[\"9780306406157\",\"9780804429573\",\"9781585160808\"]}");
	assert_int_equal(b.request.body_len, strlen(b.request.body));
	assert_string_equal(header(&b, "Content-Type"), "application/json");
	assert_int_equal(b.request.units, 3);
	done(&b);
	ask.n_isbns = 0;
	b = build(BF_ISBNDB, &ask);
	assert_false(b.ok);
	done(&b);
}

/* Proves that asking for the plan's limits costs nothing. */
static void test_isbndb_limits(void **state)
{
	struct provider_ask ask = { .kind = PROVIDER_LIMITS };
	struct built b = build(BF_ISBNDB, &ask);

	(void)state;
	assert_true(b.ok);
	assert_string_equal(b.request.url, "http://127.0.0.1:9/base/key");
	assert_string_equal(header(&b, "Authorization"), KEY);
	assert_int_equal(b.request.units, 0);
	done(&b);
}

/* Proves Google's quoted phrases, without inner quotes, and the one key that goes into a URL. */
static void test_google_books(void **state)
{
	struct built b = build_search(BF_GOOGLE_BOOKS,
		"The \"Salt\" \xe2\x80\x9c"
		"Atlas\xe2\x80\x9d \\ Sea",
		"Mira \"M\" Vance");
	int url, headers, body;

	(void)state;
	assert_true(b.ok);
	assert_string_equal(b.request.method, "GET");
	assert_memory_equal(b.request.url, "http://127.0.0.1:9/base/volumes?q=", 34);
	assert_parameter(
		b.request.url, "q", "intitle:\"The Salt Atlas Sea\" inauthor:\"Mira M Vance\"");
	assert_parameter(b.request.url, "printType", "books");
	assert_parameter(b.request.url, "maxResults", "20");
	assert_parameter(b.request.url, "country", "US");
	assert_parameter(b.request.url, "key", KEY);
	assert_int_equal(keys_in(&b, &url, &headers, &body), 1);
	assert_int_equal(url, 1);
	done(&b);
	b = build_search(BF_GOOGLE_BOOKS, "The Salt Atlas", NULL);
	assert_parameter(b.request.url, "q", "intitle:\"The Salt Atlas\"");
	done(&b);
	b = build_search(BF_GOOGLE_BOOKS, "\"\"", "X Y"); /* an empty term would match everything */
	assert_false(b.ok);
	done(&b);
}

/* Proves Open Library's search and its bulk form; no key anywhere. */
static void test_open_library(void **state)
{
	static const char *const isbns[] = { "9780306406157", "9780804429573" };
	struct provider_ask ask = { .kind = PROVIDER_BULK, .isbns = isbns, .n_isbns = 2 };
	struct built b = build_search(
		BF_OPEN_LIBRARY, "The Salt Atlas (Tides, Book 1)", "Mira Vance; Jo Reader");
	int url, headers, body;
	char *fields;

	(void)state;
	assert_true(b.ok);
	assert_memory_equal(b.request.url, "http://127.0.0.1:9/base/search.json?title=", 42);
	assert_parameter(b.request.url, "title", "The Salt Atlas");
	assert_parameter(b.request.url, "author", "Mira Vance");
	assert_parameter(b.request.url, "limit", "10");
	fields = parameter(b.request.url, "fields");
	assert_non_null(strstr(fields, ",isbn,"));
	assert_non_null(strstr(fields, ",editions,editions.key,"));
	assert_non_null(strstr(fields, ",editions.isbn,"));
	free(fields);
	assert_int_equal(keys_in(&b, &url, &headers, &body), 0);
	done(&b);
	b = build(BF_OPEN_LIBRARY, &ask);
	assert_string_equal(b.request.url,
		"http://127.0.0.1:9/base/api/"
		"books?bibkeys=ISBN:9780306406157,ISBN:9780804429573&format=json&jscmd=data");
	done(&b);
}

/* Proves Archive.org's Lucene: specials stay inside quoted phrases, both orders of the name, texts
 * only. */
static void test_archive_org(void **state)
{
	struct built b = build_search(BF_ARCHIVE_ORG, "Test + Book - (Part 1)", "Mira \"Q\" Vance");
	int url, headers, body;

	(void)state;
	assert_true(b.ok);
	assert_memory_equal(b.request.url, "http://127.0.0.1:9/base/advancedsearch.php?q=", 45);
	assert_parameter(b.request.url, "q",
		"title:(\"Test + Book\") AND (creator:(\"Mira Q Vance\") OR creator:(\"Vance, Mira "
		"Q\")) "
		"AND mediatype:texts");
	assert_parameter(b.request.url, "output", "json");
	assert_parameter(b.request.url, "rows", "10");
	assert_non_null(strstr(b.request.url, "&fl%5B%5D=isbn&"));
	assert_int_equal(keys_in(&b, &url, &headers, &body), 0);
	done(&b);
	b = build_search(BF_ARCHIVE_ORG, "What? *Now* [x]: \\o/ AND \"you\"", "Voltaire");
	assert_parameter(b.request.url, "q",
		"title:(\"What? *Now* [x]: o/ AND you\") AND creator:(\"Voltaire\") AND "
		"mediatype:texts");
	done(&b);
}

/* Proves the SPARQL form: exact @en and @mul literals of the variants, escaped; what is matched is
 * selected. */
static void test_wikidata(void **state)
{
	struct built b = build_search(BF_WIKIDATA, "The \"Salt\" Atl\\as: A Novel", "J.K. Vance");
	int url, headers, body;
	char *form, *q;

	(void)state;
	assert_true(b.ok);
	assert_string_equal(b.request.method, "POST");
	assert_string_equal(b.request.url, "http://127.0.0.1:9/base/sparql");
	assert_string_equal(header(&b, "Content-Type"), "application/x-www-form-urlencoded");
	assert_string_equal(header(&b, "Accept"), "application/sparql-results+json");
	assert_int_equal(b.request.body_len, strlen(b.request.body));
	assert_int_equal(keys_in(&b, &url, &headers, &body), 0);
	form = calloc(1, b.request.body_len + 2);
	form[0] = '?';
	memcpy(form + 1, b.request.body, b.request.body_len);
	q = parameter(form, "query");
	assert_non_null(strstr(q, "SELECT ?work ?ed ?i13 ?i10 ?date ?lang ?pub ?t ?n "));
	assert_non_null(strstr(q, " \"The \\\"Salt\\\" Atl\\\\as: A Novel\"@en "));
	assert_non_null(
		strstr(q, " \"The \\\"Salt\\\" Atl\\\\as\"@en \"The \\\"Salt\\\" Atl\\\\as\"@mul"));
	assert_non_null(strstr(q, " \"\\\"Salt\\\" Atl\\\\as\"@en "));
	assert_non_null(strstr(
		q, "\"J.K. Vance\"@en \"J.K. Vance\"@mul \"J. K. Vance\"@en \"J. K. Vance\"@mul"));
	assert_non_null(strstr(q, "\"J K Vance\"@en"));
	assert_non_null(strstr(q, "\"JK Vance\"@en"));
	assert_null(strstr(q, "CONTAINS"));
	free(q);
	free(form);
	done(&b);
}

/* Proves that a newline or quote in a title cannot end the literal and write a query of its own. */
static void test_wikidata_injection(void **state)
{
	struct built b = build_search(BF_WIKIDATA, "Salt\"@en } # \n\r\t\x01 DROP",
		"O\xe2\x80\x99"
		"Brien");
	char *form = calloc(1, b.request.body_len + 2), *q;

	(void)state;
	form[0] = '?';
	memcpy(form + 1, b.request.body, b.request.body_len);
	q = parameter(form, "query");
	assert_non_null(strstr(q, "{ \"Salt\\\"@en } # \\n\\r\\t DROP\"@en "));
	assert_non_null(strstr(q, "\"O'Brien\"@en"));
	free(q);
	free(form);
	done(&b);
}

/* Proves that known ISBNs are asked for as plain literals in all spellings. */
static void test_wikidata_bulk(void **state)
{
	static const char *const isbns[] = { "9780306406157" };
	struct provider_ask ask = { .kind = PROVIDER_BULK, .isbns = isbns, .n_isbns = 1 };
	struct built b = build(BF_WIKIDATA, &ask);
	char *form = calloc(1, b.request.body_len + 2), *q;

	(void)state;
	assert_true(b.ok);
	form[0] = '?';
	memcpy(form + 1, b.request.body, b.request.body_len);
	q = parameter(form, "query");
	assert_non_null(strstr(q, " \"9780306406157\" "));
	assert_non_null(strstr(q, " \"978-0-306-40615-7\""));
	assert_null(strstr(q, "\"@"));
	free(q);
	free(form);
	done(&b);
}

/* Proves that known ISBNs are asked for in both lengths, where there are two, apart from the kind of medium. */
static void test_archive_bulk(void **state)
{
	static const char *const isbns[] = { "9780306406157", "9791034304295", "9780804429573" };
	struct provider_ask ask = { .kind = PROVIDER_BULK, .isbns = isbns, .n_isbns = 3 };
	struct built b = build(BF_ARCHIVE_ORG, &ask);
	int url, headers, body;

	(void)state;
	assert_true(b.ok);
	assert_string_equal(b.request.method, "GET");
	assert_null(b.request.body);
	assert_int_equal(b.request.units, 1);
	assert_parameter(b.request.url, "q",
		"isbn:(9780306406157 OR 0306406152 OR 9791034304295 OR 9780804429573 OR "
		"080442957X) AND mediatype:texts");
	assert_parameter(b.request.url, "rows", "200");
	assert_parameter(b.request.url, "output", "json");
	assert_non_null(strstr(b.request.url, "fl%5B%5D=isbn"));
	assert_int_equal(keys_in(&b, &url, &headers, &body), 0);
	done(&b);
}

/* Proves that what cannot be asked is refused with a reason: no title, no key, a key with a line
 * break, a wrong kind. */
static void test_refusals(void **state)
{
	static char base[] = "https://x.example", bad[] = "a\r\nX-Evil: 1";
	struct bf_provider_config config = { .base_url = base, .timeout_ms = 1000 };
	struct bf_book book = { .title = "Salt", .author = "Vance" };
	struct provider_ask search = { .kind = PROVIDER_SEARCH, .book = &book };
	struct provider_ask generate = {
		.kind = PROVIDER_GENERATE, .model = "m", .prompt = "p", .up_to_n = 1
	};
	struct provider_request r;
	struct bf_arena *arena = bf_arena_new();
	struct bf_error err;
	int id;

	(void)state;
	for (id = BF_NAIS; id < BF_NPROVIDERS; id++) {
		static const char *const titles[] = { NULL, "", "  ", "?!", "\xe2\x80\x94" };
		size_t i;

		for (i = 0; i < BF_COUNT(titles); i++) {
			struct built b =
				build_search((enum bf_provider_id)id, titles[i], "Mira Vance");

			assert_false(b.ok);
			assert_int_equal(b.err.class, BF_ERR_PERMANENT);
			done(&b);
		}
		memset(&r, 0, sizeof(r));
		assert_false(provider_table[id]->build(&generate, &config, arena, &r, &err));
	}
	for (id = 0; id <= BF_GOOGLE_BOOKS; id++) {
		config.api_key = NULL;
		memset(&r, 0, sizeof(r));
		assert_false(provider_table[id]->build(
			BF_IS_AI(id) ? &generate : &search, &config, arena, &r, &err));
		assert_int_equal(err.class, BF_ERR_CONFIG);
		config.api_key = bad;
		memset(&r, 0, sizeof(r));
		assert_false(provider_table[id]->build(
			BF_IS_AI(id) ? &generate : &search, &config, arena, &r, &err));
		assert_int_equal(err.class, BF_ERR_CONFIG);
		assert_null(strstr(err.text, "Evil"));
	}
	bf_arena_free(arena);
}

/* Proves that the table's rows stand at their own numbers and what each one promises the gate. */
static void test_table(void **state)
{
	int id;

	(void)state;
	for (id = 0; id < BF_NPROVIDERS; id++) {
		assert_int_equal(provider_table[id]->id, id);
		assert_true(provider_table[id]->max_body >= 1024 * 1024);
		assert_int_equal(provider_table[id]->paid, id <= BF_ISBNDB);
		assert_int_equal(provider_table[id]->max_redirects,
			id == BF_OPEN_LIBRARY || id == BF_ARCHIVE_ORG ? 3 : 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_isbndb_search),
		cmocka_unit_test(test_isbndb_long),
		cmocka_unit_test(test_isbndb_bulk),
		cmocka_unit_test(test_isbndb_limits),
		cmocka_unit_test(test_google_books),
		cmocka_unit_test(test_open_library),
		cmocka_unit_test(test_archive_org),
		cmocka_unit_test(test_wikidata),
		cmocka_unit_test(test_wikidata_injection),
		cmocka_unit_test(test_wikidata_bulk),
		cmocka_unit_test(test_archive_bulk),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests_name("build_search", tests, NULL, NULL);
}
