/*
 * json: any bytes through the reader, every value that comes out through the walkers, the cut-off text through the
 * salvage, and what was read back through the writer.
 */
#include "fuzz.h"

/* Every reader on every value; returns how many values there are. */
static size_t walk(struct bf_jval v, struct bf_arena *arena, int depth)
{
	size_t raw_len, n = 1, members = 0;
	int64_t i;
	double d;
	bool b;

	FUZZ_CHECK(depth <= 64);
	FUZZ_CHECK(bf_json_raw(v, &raw_len) != NULL);
	fuzz_check_text(bf_json_str(v, arena));
	FUZZ_CHECK(!bf_json_int(v, &i) || bf_json_type(v) == BF_J_NUMBER);
	FUZZ_CHECK(!bf_json_dbl(v, &d) || d == d);
	FUZZ_CHECK(bf_json_bool(v, &b) == (bf_json_type(v) == BF_J_BOOL));
	for (struct bf_jval m = bf_json_first(v); bf_json_type(m) != BF_J_ABSENT; m = bf_json_next(m)) {
		const char *key = bf_json_key(m, arena);

		fuzz_check_text(key);
		FUZZ_CHECK((key != NULL) == (bf_json_type(v) == BF_J_OBJECT));
		n += walk(m, arena, depth + 1);
		members++;
	}
	FUZZ_CHECK(members == bf_json_size(v));
	return n;
}

/* What is saved of a text that ends early is a document. */
static void salvage(const char *text, size_t len)
{
	struct bf_error err;
	struct bf_json *doc;
	struct bf_buf out;

	bf_buf_init(&out, 1 << 20);
	if (bf_json_salvage(text, len, &out) && bf_utf8_valid(text, len)) {
		doc = bf_json_parse(out.data, out.len, &bf_json_limits_default, false, &err);
		bf_json_free(doc);
	}
	bf_buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct bf_json_limits tight = { .max_bytes = 4096, .max_tokens = 200, .max_depth = 8 };
	const char *text = (const char *)data;
	struct bf_error err = { .class = BF_ERR_NONE };
	struct bf_arena *arena = bf_arena_new();
	struct bf_json *doc, *strict;
	struct bf_buf out;
	struct bf_jw jw;

	doc = bf_json_parse(text, size, &bf_json_limits_default, false, &err);
	FUZZ_CHECK((doc == NULL) == (err.class != BF_ERR_NONE));
	if (doc != NULL) {
		FUZZ_CHECK(bf_utf8_valid(text, size));
		FUZZ_CHECK(walk(bf_json_root(doc), arena, 0) >= 1);
		bf_json_path(bf_json_root(doc), "a.b.0.c");
		/* one of its texts, written and read again, is the same */
		bf_buf_init(&out, 8 << 20);
		bf_jw_init(&jw, &out);
		bf_jw_str(&jw, bf_json_str(bf_json_root(doc), arena));
		bf_json_free(doc);
		doc = bf_json_parse(out.data, out.len, &bf_json_limits_default, false, &err);
		FUZZ_CHECK(doc != NULL);
		bf_buf_release(&out);
	} else {
		fuzz_check_text(err.text);
	}
	strict = bf_json_parse(text, size, &tight, true, &err);
	if (strict != NULL)
		walk(bf_json_root(strict), arena, 0);
	bf_json_free(strict);
	bf_json_free(doc);
	salvage(text, size);
	bf_arena_free(arena);
	return 0;
}
