/* provenance: whose each value is stays known, within its room. */
#include "edition_cases.h"
#include <stdlib.h>

/* Provenance of what did not change stays, what is not ours stays too, order does not matter. */
static void test_provenance_kept(void **state)
{
	struct bf_edition row = { .isbn13 = ISBN,
		.title = "Dune",
		.publisher = "Ace",
		.quality = 100 },
			  e, f;
	struct bf_offer offer = { BF_OPEN_LIBRARY, LATE, library };

	(void)state;
	row.provenance_json =
		"{ \"title\" : {\"at\": \"" EARLY "\", \"others\": {\"wikidata\": \"D\"}, "
		"\"provider\": \"isbndb\"}, \"note\": [1, 2], \"zeal\": null }";
	bf_edition_merge(&row, ISBN, &offer, 1, arena, &e);
	assert_non_null(strstr(e.provenance_json,
		"\"title\":{\"provider\":\"isbndb\",\"at\":\"" EARLY
		"\",\"others\":{\"open_library\":\"Dune (large)\",\"wikidata\":\"D\"}}"));
	assert_non_null(strstr(e.provenance_json, "\"note\":[1, 2]"));
	assert_non_null(strstr(e.provenance_json, "\"zeal\":null"));
	assert_null(strstr(e.provenance_json, "\"publisher\""));
	row.provenance_json =
		"{\"zeal\":null,\"note\":[1, 2],\"title\":{\"provider\":\"isbndb\",\"at\":\"" EARLY
		"\",\"others\":{\"wikidata\":\"D\"}}}";
	bf_edition_merge(&row, ISBN, &offer, 1, arena, &f);
	assert_string_equal(e.provenance_json, f.provenance_json);
	row.provenance_json = "[\"broken";
	bf_edition_merge(&row, ISBN, &offer, 1, arena, &e);
	assert_non_null(strstr(e.provenance_json, "\"page_count\""));
}

/* At most four others of 200 bytes each, 16 KiB in all, the others first to go. */
static void test_provenance_caps(void **state)
{
	char *text = bf_xcalloc(1, 601), *noise = bf_xcalloc(1, 20000);
	struct bf_offer offers[BF_NPROVIDERS];
	struct bf_edition row = { .isbn13 = ISBN }, e, again;
	size_t len;

	(void)state;
	for (size_t i = 0; i < 200; i++)
		memcpy(text + 3 * i, "\u65e5", 3);
	for (int p = 0; p < BF_NPROVIDERS; p++) {
		struct bf_record r = full;

		r.title = bf_arena_printf(arena, "%s%d", text, p);
		offers[p] = (struct bf_offer){ (enum bf_provider_id)p, EARLY, r };
	}
	bf_edition_merge(&row, ISBN, offers, BF_NPROVIDERS, arena, &e);
	assert_non_null(strstr(e.provenance_json, "\"gemini\":\""));
	assert_non_null(strstr(e.provenance_json, "\"open_library\":\""));
	assert_null(strstr(e.provenance_json, "\"wikidata\":\""));
	len = strcspn(strstr(e.provenance_json, "\"gemini\":\"") + 10, "\"");
	assert_int_equal(len, 198); /* whole characters */
	/* a row whose provenance is nearly full keeps its origins and loses the others */
	len = 0;
	for (int i = 0; i < 12; i++)
		len += (size_t)snprintf(
			noise + len, 20000 - len, "%s\"n%02d\":\"%01300d\"", i ? "," : "{", i, 0);
	noise[len] = '}';
	row.provenance_json = noise;
	bf_edition_merge(&row, ISBN, offers, BF_NPROVIDERS, arena, &e);
	assert_true(strlen(e.provenance_json) <= 16384);
	assert_non_null(strstr(e.provenance_json, "\"title\":{\"provider\":\"isbndb\""));
	assert_null(strstr(e.provenance_json, "\"others\""));
	bf_edition_merge(&e, ISBN, offers, BF_NPROVIDERS, arena, &again);
	assert_string_equal(e.provenance_json, again.provenance_json);
	free(text);
	free(noise);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { CASE(test_provenance_kept),
		CASE(test_provenance_caps) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
