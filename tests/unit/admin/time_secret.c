/*
 * time_secret: how long the guard takes for secrets that are wrong in different ways, as medians in ns. Not a test: times
 * belong to a machine at an hour. The kinds come in a random order, so that whatever drifts meets all of them alike.
 *
 *     time_secret [SAMPLES]
 */
#include <sys/queue.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "backfill/base.h"
#include "guard.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define AT_ONCE 8			/* comparisons of one sample */

static const struct kind { const char *name, *secret; } kinds[] = {
	{ "wrong", "ffffffffffffffffffffffffffffffff" },
	{ "half", "0123456789abcdefffffffffffffffff" },
	{ "near", "0123456789abcdef0123456789abcdee" },
	{ "short", "0123" },
	{ "right", SECRET },
};

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

int main(int argc, char **argv)
{
	size_t samples = argc > 1 ? strtoul(argv[1], NULL, 10) : 20000, n[BF_COUNT(kinds)] = { 0 };
	struct evkeyvalq headers[BF_COUNT(kinds)];
	double *took[BF_COUNT(kinds)];
	int right = 0;

	if (samples < 100 || samples > 10000000)
		return 2;
	for (size_t k = 0; k < BF_COUNT(kinds); k++) {
		TAILQ_INIT(&headers[k]);
		if (evhttp_add_header(&headers[k], "Host", "localhost") != 0 ||
			evhttp_add_header(&headers[k], "X-Cron-Secret", kinds[k].secret) != 0)
			return 1;
		took[k] = bf_xcalloc(samples, sizeof(double));
	}
	for (size_t i = 0; i < samples; i++) {
		size_t k = bf_random_u64() % BF_COUNT(kinds);
		double began = now_ns();

		for (int j = 0; j < AT_ONCE; j++)
			right += guard_secret(&headers[k], SECRET);
		took[k][n[k]++] = (now_ns() - began) / AT_ONCE;
	}
	printf("{");
	for (size_t k = 0; k < BF_COUNT(kinds); k++) {
		qsort(took[k], n[k], sizeof(double), compare);
		printf("%s\"%s\": %.0f", k > 0 ? ", " : "", kinds[k].name, n[k] > 0 ? took[k][n[k] / 2] : 0);
		free(took[k]);
		evhttp_clear_headers(&headers[k]);
	}
	printf("}\n");
	return right == (int)n[BF_COUNT(kinds) - 1] * AT_ONCE ? 0 : 1;
}
