/*
 * answers: every answer under tests/data/<provider> is parsed and compared with the .expect file
 * beside it, one test per file. A second test per file cuts and damages the same bytes: whatever
 * arrives, the parser must end with an outcome, valid UTF-8 and canonical ISBNs.
 *
 * usage: test_answers PROVIDER DIRECTORY
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../../src/providers/provider.h"

#define FILES_MAX      200
#define LINE_MAX_BYTES 4096
#define DAMAGES        150

static const struct provider_ops *ops;
static const char *directory;

/* One .expect file: the lines that expect something, and the reply they are about. */
struct expected {
	char *lines[256];
	size_t n;
	struct provider_ask ask;
	struct bf_book book;
	struct bf_http_reply reply;
	char *body;
};

/* A whole file; the caller frees it. */
static char *slurp(const char *name, size_t *ret_len)
{
	char path[1024];
	char *data = calloc(1, 1 << 20);
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	f = fopen(path, "rb");
	if (f == NULL || data == NULL)
		fail_msg("cannot open %s", path);
	*ret_len = fread(data, 1, (1 << 20) - 1, f);
	fclose(f);
	return data;
}

/* What follows the word, when the line begins with it; NULL otherwise. */
static const char *after(const char *line, const char *word)
{
	size_t n = strlen(word);

	if (strncmp(line, word, n) != 0 || (line[n] != ' ' && line[n] != '\0'))
		return NULL;
	return line[n] == ' ' ? line + n + 1 : line + n;
}

/* Lines that set the scene: what was asked, status, header, body. False for those that expect. */
static bool read_setting(struct expected *e, const char *line, char **body_name)
{
	static const char *const isbns[] = { "9780306406157", "9780804429573" };
	const char *v;

	if ((v = after(line, "ask")) != NULL) {
		e->ask.kind = strcmp(v, "bulk") == 0 ? PROVIDER_BULK : PROVIDER_LIMITS;
		e->ask.isbns = isbns;
		e->ask.n_isbns = BF_COUNT(isbns);
	} else if ((v = after(line, "status")) != NULL) {
		e->reply.status = (int)strtol(v, NULL, 10);
	} else if ((v = after(line, "header_ms")) != NULL) {
		e->reply.retry_after_ms = strtol(v, NULL, 10);
	} else if ((v = after(line, "body")) != NULL) {
		free(*body_name);
		*body_name = strdup(v);
	} else {
		return false;
	}
	return true;
}

/* Reads NAME.expect and the body it names (NAME.json when it names none). */
static struct expected *load(const char *name)
{
	struct expected *e = calloc(1, sizeof(*e));
	char *text, *rest, *line, *body_name = strdup(name);
	size_t len;

	memcpy(body_name + strlen(body_name) - strlen(".expect"), ".json", sizeof(".json"));
	text = slurp(name, &len);
	e->ask.kind = BF_IS_AI(ops->id) ? PROVIDER_GENERATE : PROVIDER_SEARCH;
	e->book = (struct bf_book){ .title = "The Salt Atlas", .author = "Mira Vance" };
	e->ask.book = &e->book;
	e->ask.model = "test-model";
	e->ask.prompt = "?";
	e->reply.status = 200;
	e->reply.retry_after_ms = -1;
	e->reply.content_type = "application/json";
	rest = text;
	while ((line = strsep(&rest, "\n")) != NULL) {
		if (line[0] == '\0' || line[0] == '#')
			continue;
		if (read_setting(e, line, &body_name))
			continue;
		assert_true(e->n < BF_COUNT(e->lines));
		e->lines[e->n++] = strdup(line);
	}
	free(text);
	e->body = slurp(body_name, &e->reply.body_len);
	e->reply.body = e->body;
	free(body_name);
	return e;
}

static void unload(struct expected *e)
{
	size_t i;

	for (i = 0; i < e->n; i++)
		free(e->lines[i]);
	free(e->body);
	free(e);
}

/* Starts an answer the way the gate does. */
static struct provider_answer parse(const struct expected *e, struct bf_arena *arena)
{
	struct provider_answer a = {
		.retry_after_ms = -1, .cost_usd = -1, .limit_total = -1, .limit_left = -1
	};

	ops->parse(&e->ask, &e->reply, arena, &a);
	return a;
}

/* "NULL" stands for a missing text, an empty rest for an empty one. */
static const char *shown(const char *text)
{
	return text != NULL ? text : "NULL";
}

/* One member of a record as text. */
static const char *member(const struct bf_record *r, const char *name, char buf[32])
{
	const struct {
		const char *name, *text;
	} texts[] = { { "title", r->title }, { "subtitle", r->subtitle }, { "authors", r->authors },
		{ "publisher", r->publisher }, { "language", r->language },
		{ "binding", r->binding }, { "date", r->date }, { "cover", r->cover_url },
		{ "key", r->provider_key }, { "description", r->description },
		{ "subjects", r->subjects }, { "isbn", r->isbn13 }, { "others", r->other_isbns } };
	size_t i;

	for (i = 0; i < BF_COUNT(texts); i++) {
		if (strcmp(name, texts[i].name) == 0)
			return shown(texts[i].text);
	}
	if (strcmp(name, "year") == 0)
		snprintf(buf, 32, "%d", r->year);
	else if (strcmp(name, "pages") == 0)
		snprintf(buf, 32, "%d", r->pages);
	else
		fail_msg("unknown member '%s'", name);
	return buf;
}

/* "record 0 title=The Salt Atlas|isbn=978..." */
static void check_record(const struct provider_answer *a, const char *line)
{
	char copy[LINE_MAX_BYTES], buf[32], *rest = copy, *part, *value;
	size_t i = (size_t)strtol(line, NULL, 10);

	if (i >= a->n_records)
		fail_msg("record %zu of %zu", i, a->n_records);
	snprintf(copy, sizeof(copy), "%s", strchr(line, ' ') + 1);
	while ((part = strsep(&rest, "|")) != NULL) {
		value = strchr(part, '=');
		assert_non_null(value);
		*value++ = '\0';
		assert_string_equal(member(&a->records[i], part, buf), value);
	}
}

/* Figures: "tokens IN OUT", "cost USD", "limit TOTAL LEFT". */
static bool check_figures(const struct provider_answer *a, const char *line)
{
	char buf[64];
	const char *v;

	if ((v = after(line, "tokens")) != NULL)
		snprintf(buf, sizeof(buf), "%lld %lld", (long long)a->tokens_in,
			(long long)a->tokens_out);
	else if ((v = after(line, "cost")) != NULL)
		snprintf(buf, sizeof(buf), "%.8f", a->cost_usd);
	else if ((v = after(line, "limit")) != NULL)
		snprintf(buf, sizeof(buf), "%lld %lld", (long long)a->limit_total,
			(long long)a->limit_left);
	else if ((v = after(line, "retry_ms")) != NULL)
		snprintf(buf, sizeof(buf), "%lld", (long long)a->retry_after_ms);
	else if ((v = after(line, "records")) != NULL)
		snprintf(buf, sizeof(buf), "%zu", a->n_records);
	else if ((v = after(line, "cut")) != NULL)
		snprintf(buf, sizeof(buf), "%s", a->cut ? "yes" : "no");
	else
		return false;
	assert_string_equal(buf, v);
	return true;
}

/* One line of the file's lower part. */
static void check_line(const struct provider_answer *a, const char *line)
{
	const char *v;

	if (check_figures(a, line))
		return;
	if ((v = after(line, "outcome")) != NULL)
		assert_string_equal(provider_outcome_name(a->outcome), v);
	else if ((v = after(line, "reason")) != NULL)
		assert_non_null(strstr(shown(a->reason), v));
	else if ((v = after(line, "reason_not")) != NULL)
		assert_null(strstr(shown(a->reason), v));
	else if ((v = after(line, "text")) != NULL)
		assert_string_equal(shown(a->text), v);
	else if ((v = after(line, "model")) != NULL)
		assert_string_equal(shown(a->model), v);
	else if ((v = after(line, "record")) != NULL)
		check_record(a, v);
	else
		fail_msg("cannot read the line '%s'", line);
}

/* What must hold of every answer, whatever was sent. */
static void check_sane(const struct provider_answer *a)
{
	char isbn[14];
	size_t i;

	assert_in_range(a->outcome, 0, PROVIDER_NOUTCOMES - 1);
	if (a->outcome == OUTCOME_OK)
		assert_true(a->n_records > 0 || a->text != NULL || a->limit_total >= 0 ||
			a->limit_left >= 0);
	else if (a->outcome != OUTCOME_EMPTY)
		assert_non_null(a->reason);
	if (a->reason != NULL) {
		assert_in_range(strlen(a->reason), 1, 200);
		assert_true(bf_utf8_valid(a->reason, strlen(a->reason)));
		assert_null(strchr(a->reason, '\n'));
	}
	if (a->text != NULL) {
		assert_true(a->text_len == strlen(a->text));
		assert_true(bf_utf8_valid(a->text, a->text_len));
	}
	assert_true(a->retry_after_ms >= -1 && a->retry_after_ms <= 86400000);
	assert_true(a->tokens_in >= 0 && a->tokens_out >= 0);
	for (i = 0; i < a->n_records; i++) {
		const struct bf_record *r = &a->records[i];

		assert_non_null(r->title);
		assert_true(bf_utf8_valid(r->title, strlen(r->title)));
		if (r->isbn13 != NULL) {
			assert_int_equal(
				bf_isbn_canon(r->isbn13, strlen(r->isbn13), isbn), BF_ISBN_OK);
			assert_string_equal(r->isbn13, isbn);
		}
		if (r->cover_url != NULL)
			assert_memory_equal(r->cover_url, "https://", 8);
		if (r->description != NULL)
			assert_in_range(strlen(r->description), 1, 1500);
	}
}

/* Proves that the answer is read as its .expect file says. */
static void test_answer(void **state)
{
	struct expected *e = load(*state);
	struct bf_arena *arena = bf_arena_new();
	struct provider_answer a = parse(e, arena);
	size_t i;

	check_sane(&a);
	assert_true(e->n > 0);
	for (i = 0; i < e->n; i++)
		check_line(&a, e->lines[i]);
	bf_arena_free(arena);
	unload(e);
}

/* Proves that no cut and no damaged byte of the answer breaks the parser. */
static void test_damage(void **state)
{
	struct expected *e = load(*state);
	size_t len = e->reply.body_len, step = len / DAMAGES + 1, at;
	char *whole = e->body;

	for (at = 0; at < len; at += step) {
		struct bf_arena *arena = bf_arena_new();
		char *part =
			malloc(at + 1); /* of its exact size: a sanitizer sees any step beyond */
		struct provider_answer a;

		memcpy(part, whole, at);
		part[at] = '\0';
		e->reply.body = part;
		e->reply.body_len = at;
		a = parse(e, arena);
		check_sane(&a);
		bf_arena_free(arena);
		free(part);

		arena = bf_arena_new();
		part = malloc(len + 1);
		memcpy(part, whole, len + 1);
		part[at] = "{}[]\"\\,:0x\x80\xff"[at % 12];
		e->reply.body = part;
		e->reply.body_len = len;
		a = parse(e, arena);
		check_sane(&a);
		bf_arena_free(arena);
		free(part);
	}
	unload(e);
}

/* The .expect files of the directory, in order. */
static size_t list_files(char **names)
{
	struct dirent **entries;
	int n = scandir(directory, &entries, NULL, alphasort), i;
	size_t ret = 0;

	for (i = 0; i < n; i++) {
		size_t len = strlen(entries[i]->d_name);

		if (len > 7 && strcmp(entries[i]->d_name + len - 7, ".expect") == 0 &&
			ret < FILES_MAX)
			names[ret++] = strdup(entries[i]->d_name);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	return ret;
}

int main(int argc, char **argv)
{
	static char *names[FILES_MAX];
	static char labels[FILES_MAX * 2][128];
	struct CMUnitTest tests[FILES_MAX * 2] = { 0 };
	size_t n, i;
	int id = argc == 3 ? bf_provider_by_name(argv[1]) : -1, failed;

	if (id < 0) {
		fprintf(stderr, "usage: %s PROVIDER DIRECTORY\n", argv[0]);
		return 2;
	}
	ops = provider_table[id];
	directory = argv[2];
	n = list_files(names);
	if (n == 0) {
		fprintf(stderr, "no .expect file in %s\n", directory);
		return 2;
	}
	for (i = 0; i < n; i++) {
		snprintf(labels[i * 2], sizeof(labels[0]), "%.100s", names[i]);
		snprintf(labels[i * 2 + 1], sizeof(labels[0]), "%.100s damaged", names[i]);
		tests[i * 2] = (struct CMUnitTest){
			.name = labels[i * 2], .test_func = test_answer, .initial_state = names[i]
		};
		tests[i * 2 + 1] = (struct CMUnitTest){ .name = labels[i * 2 + 1],
			.test_func = test_damage,
			.initial_state = names[i] };
	}
	failed = _cmocka_run_group_tests(argv[1], tests, n * 2, NULL, NULL);
	for (i = 0; i < n; i++)
		free(names[i]);
	return failed;
}
