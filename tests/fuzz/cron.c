/*
 * cron: an expression on the first line, a zone on the second, a time in the first bytes. The next run comes after, the
 * previous one does not, and from a run's own minute both agree.
 */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = { data, size };
	struct bf_error err = { .class = BF_ERR_NONE };
	struct bf_cron cron;
	int64_t at = 0, next, prev;
	char *expr, *zone;

	for (int i = 0; i < 4; i++)
		at = at << 8 | fuzz_byte(&in);
	expr = fuzz_line(&in);
	zone = fuzz_line(&in);
	if (!bf_timezone_valid(zone)) {
		free(zone);
		zone = bf_xstrdup("Europe/Berlin");
	}
	if (bf_cron_parse(&cron, expr, &err)) {
		next = bf_cron_next(&cron, zone, at);
		prev = bf_cron_prev(&cron, zone, at);
		FUZZ_CHECK(next == -1 || (next > at && next % 60 == 0));
		FUZZ_CHECK(prev == -1 || prev <= at);
		FUZZ_CHECK(next == -1 || bf_cron_prev(&cron, zone, next) == next);
	} else {
		FUZZ_CHECK(err.class == BF_ERR_CONFIG || err.class == BF_ERR_PERMANENT);
		/* a configuration with other bytes is refused before */
		if (bf_utf8_valid(expr, strlen(expr)))
			fuzz_check_text(err.text);
	}
	free(expr);
	free(zone);
	return 0;
}
