/* clock: times as text, repeatable randomness, UUIDs, digests and the comparison of secrets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "backfill/base.h"

/* RFC 3339 in UTC, rounded down on both sides of 1970. */
static void test_format_time(void **state)
{
	static const struct { int64_t us; const char *text; } table[] = {
		{ 0, "1970-01-01T00:00:00Z" }, { -1, "1969-12-31T23:59:59Z" }, { 999999, "1970-01-01T00:00:00Z" },
		{ INT64_C(1768348800000000), "2026-01-14T00:00:00Z" }, { INT64_C(1709164799999999), "2024-02-28T23:59:59Z" },
		{ INT64_C(253402300799000000), "9999-12-31T23:59:59Z" }, { INT64_C(-62135596800000000), "0001-01-01T00:00:00Z" },
		{ INT64_MAX, "1970-01-01T00:00:00Z" }, { INT64_MIN, "1970-01-01T00:00:00Z" },
	};
	char out[32];

	(void)state;
	for (size_t i = 0; i < BF_COUNT(table); i++) {
		bf_format_time(out, table[i].us);
		assert_string_equal(out, table[i].text);
	}
}

/* The monotonic clock does not go back; the wall clock is this century's. */
static void test_clocks(void **state)
{
	uint64_t a = bf_now_us(), b = bf_now_us();

	(void)state;
	assert_true(b >= a);
	assert_true(bf_wall_us() > INT64_C(1700000000000000));
}

/* The same seed gives the same numbers, another one others. */
static void test_seed(void **state)
{
	uint64_t first[10];
	bool differs = false;

	(void)state;
	bf_random_seed(42);
	for (int i = 0; i < 10; i++)
		first[i] = bf_random_u64();
	bf_random_seed(42);
	for (int i = 0; i < 10; i++)
		assert_int_equal(bf_random_u64(), first[i]);
	bf_random_seed(43);
	for (int i = 0; i < 10; i++)
		differs |= bf_random_u64() != first[i];
	assert_true(differs);
}

/* The unit interval, evenly: each tenth is hit about as often. */
static void test_unit(void **state)
{
	int hits[10] = { 0 };

	(void)state;
	bf_random_seed(1);
	for (int i = 0; i < 100000; i++) {
		double d = bf_random_unit();

		assert_true(d >= 0 && d < 1);
		hits[(int)(d * 10)]++;
	}
	for (int i = 0; i < 10; i++)
		assert_in_range(hits[i], 9500, 10500);
}

/* The form of a version 4 UUID, every free digit taking every value. */
static void test_uuid(void **state)
{
	unsigned seen[36] = { 0 };
	char out[37];

	(void)state;
	bf_random_seed(5);
	for (int i = 0; i < 2000; i++) {
		bf_uuid(out);
		assert_int_equal(strlen(out), 36);
		for (int k = 0; k < 36; k++) {
			const char *digit = strchr("0123456789abcdef", out[k]);

			if (k == 8 || k == 13 || k == 18 || k == 23) {
				assert_int_equal(out[k], '-');
				continue;
			}
			assert_non_null(digit);
			seen[k] |= 1u << (digit - strchr("0123456789abcdef", '0'));
			(void)digit;
		}
		assert_int_equal(out[14], '4');
		assert_non_null(strchr("89ab", out[19]));
	}
	for (int k = 0; k < 36; k++)
		if (k != 8 && k != 13 && k != 14 && k != 18 && k != 19 && k != 23)
			assert_int_equal(seen[k], 0xffff);
}

/* A digest in hexadecimal. */
static void hex(const uint8_t digest[32], char out[65])
{
	for (int i = 0; i < 32; i++)
		snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

/* The examples of FIPS 180-4, and lengths around the block's. */
static void test_sha256(void **state)
{
	static const struct { const char *text; const char *hex; } table[] = {
		{ "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
		{ "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
	};
	uint8_t digest[32];
	char text[65], million[1000];

	(void)state;
	for (size_t i = 0; i < BF_COUNT(table); i++) {
		bf_sha256(table[i].text, strlen(table[i].text), digest);
		hex(digest, text);
		assert_string_equal(text, table[i].hex);
	}
	memset(million, 'a', sizeof(million));
	bf_sha256(million, 64, digest);
	hex(digest, text);
	assert_string_equal(text,
			    "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb");
	bf_sha256(million, 55, digest);
	hex(digest, text);
	assert_string_equal(text,
			    "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318");
	bf_sha256(million, 56, digest);
	hex(digest, text);
	assert_string_equal(text,
			    "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a");
	bf_sha256(million, 1000, digest);
	hex(digest, text);
	assert_string_equal(text,
			    "41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3");
}

/* Test cases 1, 2 and 6 of RFC 4231: a short key, a shorter one, one longer than a block. */
static void test_hmac(void **state)
{
	uint8_t digest[32], key[131];
	char text[65];

	(void)state;
	memset(key, 0x0b, 20);
	bf_hmac_sha256(key, 20, "Hi There", 8, digest);
	hex(digest, text);
	assert_string_equal(text,
			    "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	bf_hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, digest);
	hex(digest, text);
	assert_string_equal(text,
			    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, sizeof(key));
	bf_hmac_sha256(key, sizeof(key), "Test Using Larger Than Block-Size Key - Hash Key First",
		       54, digest);
	hex(digest, text);
	assert_string_equal(text,
			    "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

/* Equal only when every byte and the length are. */
static void test_secret_equal(void **state)
{
	(void)state;
	assert_true(bf_secret_equal("", 0, "", 0));
	assert_true(bf_secret_equal("secret", 6, "secret", 6));
	assert_true(bf_secret_equal("a\0b", 3, "a\0b", 3));
	assert_false(bf_secret_equal("secret", 6, "secres", 6));
	assert_false(bf_secret_equal("Secret", 6, "secret", 6));
	assert_false(bf_secret_equal("secret", 6, "secret", 5));
	assert_false(bf_secret_equal("secret", 6, "secret\0", 7));
	assert_false(bf_secret_equal("", 0, "s", 1));
	assert_false(bf_secret_equal("a\0b", 3, "a\0c", 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_format_time), cmocka_unit_test(test_clocks), cmocka_unit_test(test_seed),
		cmocka_unit_test(test_unit), cmocka_unit_test(test_uuid), cmocka_unit_test(test_sha256),
		cmocka_unit_test(test_hmac), cmocka_unit_test(test_secret_equal)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
