/*
 * body: any bytes as an operator's JSON body, and as a query string. What is accepted is within its bounds; what has a
 * problem has set nothing that may be acted upon, and names its fields.
 */
#include "fuzz.h"
#include "query.h"

struct asked {
	int count, start, end;
	bool flag;
	const char *text, *kind;
};

static void check(bool good, const struct asked *asked, const struct body_problems *problems)
{
	FUZZ_CHECK(good == (problems->n == 0));
	FUZZ_CHECK(problems->n <= BODY_PROBLEMS);
	for (int i = 0; i < problems->n; i++) {
		fuzz_check_text(problems->v[i].field);
		fuzz_check_text(problems->v[i].message);
	}
	if (!good)
		return;
	FUZZ_CHECK(asked->count >= 1 && asked->count <= 50);
	FUZZ_CHECK(asked->start == 0 || (asked->start >= 1900 && asked->start <= 2100));
	fuzz_check_text(asked->text);
	FUZZ_CHECK(asked->kind == NULL || strcmp(asked->kind, "failed") == 0 || strcmp(asked->kind, "retry") == 0);
	FUZZ_CHECK(asked->text == NULL || body_chars(asked->text) <= 40);
}

static const struct body_field range[] = {
	BODY_INT_FIELD("start", 1900, 2100, struct asked, start, .help = "first year"),
	BODY_INT_FIELD("end", 1900, 2100, struct asked, end, .help = "last year"),
	BODY_END,
};
static const char *const kinds[] = { "failed", "retry" };
static const struct body_field of_body[] = {
	BODY_INT_FIELD("batch_size", 1, 50, struct asked, count, .preset = "5"),
	BODY_BOOL_FIELD("dry_run", struct asked, flag, .preset = "true"),
	BODY_STR_FIELD("note", 0, 40, struct asked, text, .help = "why"),
	BODY_ENUM_FIELD("status", kinds, 2, struct asked, kind, .help = "which"),
	BODY_OBJ_FIELD("year_range", range, .help = "years"),
	BODY_END,
};
static const struct body_field of_query[] = {
	BODY_INT_FIELD("batch_size", 1, 50, struct asked, count, .preset = "5"),
	BODY_STR_FIELD("note", 0, 40, struct asked, text, .help = "why"),
	BODY_ENUM_FIELD("status", kinds, 2, struct asked, kind, .help = "which"),
	BODY_END,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct asked asked = { 0 };
	struct body_problems problems = { 0 };
	struct bf_arena *arena = bf_arena_new();
	struct fuzz_in in = { data, size };
	bool as_query = fuzz_byte(&in) % 4 == 0;
	size_t len = in.left;
	char *text = fuzz_rest(&in);

	if (as_query)
		check(query_read(text, of_query, &asked, arena, &problems), &asked, &problems);
	else
		check(body_read(text, len, of_body, &asked, arena, &problems), &asked, &problems);
	bf_arena_free(arena);
	free(text);
	return 0;
}
