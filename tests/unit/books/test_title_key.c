/* title_key: what is left of a title when everything is gone that editions and shops add. */
#include "cmocka_all.h"
#include "backfill/books.h"

static const struct { const char *title, *key;
} cases[] = {
	{ "The Great Gatsby", "great gatsby" },
	{ "Great Gatsby", "great gatsby" },
	{ "Great Gatsby, The", "great gatsby" },
	{ "Educated: A Memoir", "educated" },
	{ "The Hobbit, or There and Back Again", "hobbit" },
	{ "Frankenstein; or, The Modern Prometheus", "frankenstein" },
	{ "Einstein - His Life and Universe", "einstein" },
	{ "Einstein — His Life", "einstein" },
	{ "Dune / by Frank Herbert", "dune" },
	{ "Moon Called (Mercy Thompson #1)", "moon called" },
	{ "Dune (Dune Chronicles, Book 1)", "dune" },
	{ "Dune [Paperback]", "dune" },
	{ "Dune (Movie Tie-In)", "dune" },
	{ "Dune: Deluxe Edition", "dune" },
	{ "Dune, 50th Anniversary Edition", "dune" },
	{ "Statistics, 4th Edition", "statistics" },
	{ "Gone Girl: A Novel", "gone girl" },
	{ "Gone Girl, a novel", "gone girl" },
	{ "Who Moved My Cheese? An Amazing Way to Deal with Change", "who moved my cheese" },
	{ "Guards! Guards!", "guards guards" },
	{ "Tom &amp; Jerry", "tom and jerry" },
	{ "<i>Dune</i>", "dune" },
	/* volumes stay, in whatever way they are written */
	{ "Tramps Like Us Volume 8", "tramps like us 8" },
	{ "Saga, Vol. 1", "saga 1" },
	{ "Saga: Volume Two", "saga 2" },
	{ "Maus II", "maus 2" },
	{ "Saga (Vol. 3)", "saga 3" },
	{ "Catch-22", "catch 22" },
	/* never empty for a title with a letter or digit */
	{ "The", "the" },
	{ "A", "a" },
	{ "(500)", "500" },
	{ "10:04", "10 04" },
	{ "1984", "1984" },
	{ "11/22/63", "11 22 63" },
	{ "A Novel", "novel" },
	{ "[sic]", "sic" },
	{ ": A Memoir", "memoir" },
	{ "Volume 2", "volume 2" },
	/* every script */
	{ "三体", "三体" },
	{ "三体：黑暗森林", "三体" },
	{ "Τα ψηλά βουνά", "τα ψηλα βουνα" },
	{ "موسم الهجرة", "موسم الهجرة" },
	{ "Война и мир", "воина и мир" },
	/* series whose subtitle is the title */
	{ "Star Wars: Aftermath", "star wars aftermath" },
	{ "", "" },
	{ "?!", "" },
};

/* Each title has its key. */
static void keys(void **state)
{
	(void)state;
	for (size_t i = 0; i < BF_COUNT(cases); i++) {
		char key[BF_KEY_MAX];

		bf_title_key(cases[i].title, key);
		if (strcmp(key, cases[i].key) != 0)
			fail_msg("\"%s\": key \"%s\", not \"%s\"", cases[i].title, key,
				 cases[i].key);
	}
}

/* A title of any length and of bytes without sense gives a valid key within its size. */
static void any_bytes(void **state)
{
	static const char pieces[] = "ab (:)-[#1]/,\xC3\xA9\xE4\xB8 &;9";
	char title[6000], key[BF_KEY_MAX];

	(void)state;
	for (unsigned seed = 1; seed < 400; seed++) {
		uint32_t x = seed * 2654435761u;
		size_t n = seed * 14;

		for (size_t i = 0; i < n; i++) {
			x = x * 1664525u + 1013904223u;
			title[i] = pieces[(x >> 16) % (sizeof(pieces) - 1)];
		}
		title[n] = '\0';
		bf_title_key(title, key);
		assert_true(strlen(key) < BF_KEY_MAX);
		assert_true(bf_utf8_valid(key, strlen(key)));
	}
	memset(title, 'q', sizeof(title) - 1);
	title[sizeof(title) - 1] = '\0';
	bf_title_key(title, key);
	assert_true(strlen(key) > 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(keys), cmocka_unit_test(any_bytes) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
