/* Points in time as operators write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "backfill/base.h"
#include "rfc3339.h"

/* Every form of RFC 3339 gives its second. */
static void test_good(void **state)
{
	static const struct { const char *text; int64_t s; } rows[] = {
		{ "1970-01-01T00:00:00Z", 0 },
		{ "2026-01-14T03:00:00Z", 1768359600 },
		{ "2026-01-14t03:00:00z", 1768359600 },
		{ "2026-01-14 03:00:00.999Z", 1768359600 },
		{ "2026-01-14T05:30:00+02:30", 1768359600 },
		{ "2026-01-13T19:00:00-08:00", 1768359600 },
		{ "2024-02-29T00:00:00Z", 1709164800 },
		{ "2016-12-31T23:59:60Z", 1483228800 },
	};
	int64_t s;

	(void)state;
	for (size_t i = 0; i < BF_COUNT(rows); i++) {
		if (!rfc3339_parse(rows[i].text, &s))
			fail_msg("refused: %s", rows[i].text);
		assert_int_equal(s, rows[i].s);
	}
}

/* What is no such time is refused, not guessed. */
static void test_bad(void **state)
{
	static const char *const rows[] = {
		"", "tomorrow", "2026-01-14", "2026-01-14T03:00Z", "2026-01-14T03:00:00", "2026-01-14T24:00:00Z",
		"2026-13-14T03:00:00Z", "2026-00-14T03:00:00Z", "2026-02-29T03:00:00Z", "2026-01-32T03:00:00Z",
		"2026-01-14T03:60:00Z", "2026-01-14T03:00:61Z", "2026-01-14T03:00:00.Z", "2026-01-14T03:00:00+24:00",
		"2026-01-14T03:00:00+0200", "2026-01-14T03:00:00Zx", " 2026-01-14T03:00:00Z", "26-01-14T03:00:00Z", "1768359600",
	};
	int64_t s;

	(void)state;
	for (size_t i = 0; i < BF_COUNT(rows); i++) {
		if (rfc3339_parse(rows[i], &s))
			fail_msg("taken: %s", rows[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_good), cmocka_unit_test(test_bad) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
