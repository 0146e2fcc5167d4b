/* memory: capped buffers and arenas. */
#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "backfill/base.h"

/* A buffer takes exactly its maximum, and always ends with NUL. */
static void test_buf_cap(void **state)
{
	struct bf_buf b;

	(void)state;
	bf_buf_init(&b, 10);
	assert_string_equal(b.data, "");
	assert_true(bf_buf_adds(&b, "0123456789"));
	assert_int_equal(b.len, 10);
	assert_string_equal(b.data, "0123456789");
	assert_true(bf_buf_add(&b, NULL, 0));
	assert_false(bf_buf_add(&b, "x", 1));
	assert_true(b.failed);
	assert_string_equal(b.data, "0123456789");
	bf_buf_release(&b);
}

/* Once failed, nothing goes in, however short; clear makes it usable again. */
static void test_buf_failure_sticks(void **state)
{
	struct bf_buf b;

	(void)state;
	bf_buf_init(&b, 5);
	assert_true(bf_buf_adds(&b, "ab"));
	assert_false(bf_buf_adds(&b, "0123456789"));
	assert_false(bf_buf_adds(&b, "c"));
	assert_false(bf_buf_addf(&b, "%d", 1));
	assert_string_equal(b.data, "ab");
	bf_buf_clear(&b);
	assert_string_equal(b.data, "");
	assert_true(bf_buf_adds(&b, "abcde"));
	bf_buf_release(&b);
	bf_buf_release(&b);
}

/* Formatted text, shorter and longer than what fits a first try, and at the very end. */
static void test_buf_format(void **state)
{
	struct bf_buf b;

	(void)state;
	bf_buf_init(&b, 1005);
	assert_true(bf_buf_addf(&b, "%d-%s", 42, "x"));
	assert_string_equal(b.data, "42-x");
	assert_true(bf_buf_addf(&b, "%1000d", 7));
	assert_int_equal(b.len, 1004);
	assert_int_equal(b.data[1003], '7');
	assert_false(bf_buf_addf(&b, "%s", "ab"));
	assert_int_equal(b.len, 1004);
	bf_buf_release(&b);
}

/* Sizes near SIZE_MAX do not wrap around. */
static void test_buf_overflow(void **state)
{
	struct bf_buf b;

	(void)state;
	bf_buf_init(&b, 100);
	bf_buf_adds(&b, "abc");
	assert_false(bf_buf_add(&b, "x", SIZE_MAX - 1));
	assert_string_equal(b.data, "abc");
	bf_buf_release(&b);
}

/* Arena memory is zeroed, aligned, and separate, for small and large pieces in any order. */
static void test_arena(void **state)
{
	struct bf_arena *a = bf_arena_new();
	unsigned char *p[200];
	size_t size[200];

	(void)state;
	bf_random_seed(7);
	for (size_t i = 0; i < 200; i++) {
		size[i] = bf_random_u64() % (i % 10 ? 100 : 100000);
		p[i] = bf_arena_alloc(a, size[i]);
		assert_int_equal((uintptr_t)p[i] % alignof(max_align_t), 0);
		for (size_t k = 0; k < size[i]; k++)
			assert_int_equal(p[i][k], 0);
		memset(p[i], (int)i, size[i]);
	}
	for (size_t i = 0; i < 200; i++)
		for (size_t k = 0; k < size[i]; k++)
			assert_int_equal(p[i][k], i);
	bf_arena_free(a);
	bf_arena_free(NULL);
}

/* Strings in an arena. */
static void test_arena_strings(void **state)
{
	struct bf_arena *a = bf_arena_new();

	(void)state;
	assert_null(bf_arena_strdup(a, NULL));
	assert_null(bf_arena_strndup(a, NULL, 3));
	assert_string_equal(bf_arena_strdup(a, "abc"), "abc");
	assert_string_equal(bf_arena_strndup(a, "abcdef", 3), "abc");
	assert_string_equal(bf_arena_strndup(a, "ab", 30), "ab");
	assert_string_equal(bf_arena_printf(a, "%s-%05d", "x", 42), "x-00042");
	assert_int_equal(strlen(bf_arena_printf(a, "%300d", 1)), 300);
	bf_arena_free(a);
}

/* Without memory the process ends with status 1, and says so. */
static void test_out_of_memory(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0) {
		close(STDERR_FILENO);
		free(bf_xrealloc(NULL, SIZE_MAX / 2, 16));	/* the product does not fit */
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
}

/* A buffer that may grow but cannot is no buffer that is full: nothing is skipped, the process ends. */
static void test_buf_out_of_memory(void **state)
{
	volatile size_t huge = SIZE_MAX / 8;
	int status;
	pid_t pid = fork();

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0) {
		struct bf_buf b;

		close(STDERR_FILENO);
		bf_buf_init(&b, SIZE_MAX / 2);
		(void)bf_buf_add(&b, "x", huge);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
}

/* The plain helpers. */
static void test_xhelpers(void **state)
{
	char *s = bf_xasprintf("%s %d", "a", 1), *t = bf_xstrdup(s), *u = bf_xcalloc(4, 2);

	(void)state;
	assert_string_equal(s, "a 1");
	assert_string_equal(t, "a 1");
	assert_memory_equal(u, "\0\0\0\0\0\0\0\0", 8);
	free(s);
	free(t);
	free(u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_buf_cap), cmocka_unit_test(test_buf_failure_sticks), cmocka_unit_test(test_buf_format),
		cmocka_unit_test(test_buf_overflow), cmocka_unit_test(test_arena), cmocka_unit_test(test_arena_strings),
		cmocka_unit_test(test_out_of_memory), cmocka_unit_test(test_buf_out_of_memory),
		cmocka_unit_test(test_xhelpers)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
