/*
 * ini: any bytes as a configuration file. It is read whole or refused with problems that name lines; what was read is
 * within its bounds and shows no secret.
 */
#include "fuzz.h"
#include "backfill/config.h"
#include <sys/mman.h>
#include <unistd.h>

static void visit(void *ctx, const char *section, const char *key, const char *value, bool reloadable)
{
	(void)ctx;
	(void)reloadable;
	FUZZ_CHECK(section != NULL && key != NULL && value != NULL);
	fuzz_check_text(value);
}

static void check(const struct bf_config *c)
{
	FUZZ_CHECK(c->scheduler.batch_size >= 1 && c->scheduler.batch_size <= 50);
	FUZZ_CHECK(c->scheduler.concurrent_months >= 1 && c->scheduler.concurrent_months <= 50);
	FUZZ_CHECK(c->scheduler.year_start <= c->scheduler.year_end);
	FUZZ_CHECK(c->resolution.min_confidence >= 0 && c->resolution.min_confidence <= 100);
	FUZZ_CHECK(c->generation.dedup_similarity >= 0 && c->generation.dedup_similarity <= 1);
	FUZZ_CHECK(c->database.connections >= 1 && c->database.connections <= 32);
	for (int i = 0; i < BF_NPROVIDERS; i++) {
		FUZZ_CHECK(c->provider[i].rate_per_s > 0);
		FUZZ_CHECK(c->provider[i].daily_limit == 0 || c->provider[i].reserve < c->provider[i].daily_limit);
	}
	bf_config_each(c, visit, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bf_config_problems problems = { 0 };
	struct bf_config *c;
	char path[64];
	int fd = memfd_create("ini", MFD_CLOEXEC);

	FUZZ_CHECK(fd >= 0);
	FUZZ_CHECK(size == 0 || write(fd, data, size) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	c = bf_config_load_offline(path, &problems);
	FUZZ_CHECK((c == NULL) == (problems.n > 0));
	for (size_t i = 0; i < problems.n; i++) {
		FUZZ_CHECK(problems.v[i].line >= 0);
		fuzz_check_text(problems.v[i].text);
	}
	if (c != NULL)
		check(c);
	bf_config_free(c);
	bf_config_problems_release(&problems);
	close(fd);
	return 0;
}
