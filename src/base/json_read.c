/*
 * json_read: a checked document and its readers. jsmn cuts the text into tokens (with parent links,
 * without which it is quadratic); beside them stands, for each token, where its subtree ends, so
 * stepping to the next sibling costs nothing and no reader walks outside the array.
 */
#include "json.h"
#include "utf8.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define JSMN_PARENT_LINKS
#define JSMN_STATIC
#include <jsmn.h>

struct bf_json {
	char *text;		/* NUL-terminated copy */
	jsmntok_t *tok;
	int *after;		/* per token: the first token behind its subtree */
	int n;
};

const struct bf_json_limits bf_json_limits_default = {
	.max_bytes = 16u << 20, .max_tokens = 1000000, .max_depth = 64
};

/* Four checked hexadecimal digits. */
static uint32_t json_hex4(const char *s)
{
	uint32_t v = 0;

	for (int i = 0; i < 4; i++) {
		char ch = s[i];

		v = v << 4 | (uint32_t)(ch <= '9' ? ch - '0' : (ch | 0x20) - 'a' + 10);
	}
	return v;
}

/* Decodes \uXXXX (or a pair of them) at s, n bytes from there to the end of the string; a lone half
 * and NUL become U+FFFD. Returns how many bytes of source that took. */
static size_t json_decode_u(const char *s, size_t n, char *out, size_t *out_len)
{
	uint32_t cp = json_hex4(s + 2);
	size_t took = 6;

	if (cp >= 0xd800 && cp <= 0xdbff && n >= 12 && s[6] == '\\' && s[7] == 'u') {
		uint32_t low = json_hex4(s + 8);

		if (low >= 0xdc00 && low <= 0xdfff) {
			cp = 0x10000 + ((cp - 0xd800) << 10) + (low - 0xdc00);
			took = 12;
		}
	}
	if (cp == 0 || (cp >= 0xd800 && cp <= 0xdfff))
		cp = 0xfffd;
	*out_len += utf8_encode(cp, out + *out_len);
	return took;
}

size_t json_decode(const char *s, size_t len, char *out)
{
	static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
	size_t i = 0, o = 0;

	while (i < len) {
		const char *bs = memchr(s + i, '\\', len - i), *hit;
		size_t plain = bs ? (size_t)(bs - (s + i)) : len - i;

		memmove(out + o, s + i, plain);
		o += plain;
		i += plain;
		if (!bs)
			break;
		if (s[i + 1] == 'u') {
			i += json_decode_u(s + i, len - i, out, &o);
			continue;
		}
		hit = strchr(from, s[i + 1]);
		out[o++] = hit ? to[hit - from] : s[i + 1];
		i += 2;
	}
	return o;
}

/* Fills `after` from the back: children stand behind their parents, so each is complete when its
 * parent is reached. */
static void json_link(struct bf_json *j)
{
	for (int i = 0; i < j->n; i++)
		j->after[i] = i + 1;
	for (int i = j->n - 1; i > 0; i--) {
		int parent = j->tok[i].parent;

		if (parent >= 0 && j->after[parent] < j->after[i])
			j->after[parent] = j->after[i];
	}
}

/* Orders decoded names. */
static int json_name_cmp(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Finds a name that one object has twice; copies it into dup. */
static bool json_find_dup(const struct bf_json *j, int object, char *dup, size_t dup_size)
{
	struct bf_arena *arena = bf_arena_new();
	size_t n = 0;
	char **names = bf_xcalloc((size_t)j->tok[object].size, sizeof(*names));
	bool found = false;
	struct bf_jval v;

	for (v = bf_json_first((struct bf_jval){ j, object }); v.tok >= 0; v = bf_json_next(v)) {
		const char *name = bf_json_key(v, arena);

		if (name)
			names[n++] = bf_arena_strdup(arena, name);
	}
	qsort(names, n, sizeof(*names), json_name_cmp);
	for (size_t i = 1; i < n && !found; i++)
		if (strcmp(names[i - 1], names[i]) == 0) {
			snprintf(dup, dup_size, "%s", names[i]);
			found = true;
		}
	free(names);
	bf_arena_free(arena);
	return found;
}

/* Looks at every object of the document. */
static bool json_has_dup(const struct bf_json *j, struct bf_error *err)
{
	char dup[64];

	for (int i = 0; i < j->n; i++)
		if (j->tok[i].type == JSMN_OBJECT && j->tok[i].size > 1 &&
		    json_find_dup(j, i, dup, sizeof(dup))) {
			dup[bf_utf8_cut(dup, strlen(dup), sizeof(dup) - 5)] = '\0';
			bf_error_set(err, BF_ERR_PERMANENT,
				     "JSON: \"%s\" is given twice in the object at byte %d", dup,
				     j->tok[i].start);
			return true;
		}
	return false;
}

/* Checks, copies, cuts and links. */
struct bf_json *bf_json_parse(const char *text, size_t len, const struct bf_json_limits *limits,
			      bool refuse_dup_keys, struct bf_error *err)
{
	int n = json_check(text, len, limits ? limits : &bf_json_limits_default, err);
	struct bf_json *j;
	jsmn_parser parser;

	if (n < 0)
		return NULL;
	j = bf_xcalloc(1, sizeof(*j));
	j->text = bf_xmalloc(len + 1);
	memcpy(j->text, text, len);
	j->text[len] = '\0';
	j->tok = bf_xcalloc((size_t)n, sizeof(*j->tok));
	j->after = bf_xcalloc((size_t)n, sizeof(*j->after));
	jsmn_init(&parser);
	j->n = jsmn_parse(&parser, j->text, len, j->tok, (unsigned)n);
	if (j->n != n) {
		bf_error_set(err, BF_ERR_BUG, "JSON: %d values found where %d were counted", j->n,
			     n);
		bf_json_free(j);
		return NULL;
	}
	json_link(j);
	if (refuse_dup_keys && json_has_dup(j, err)) {
		bf_json_free(j);
		return NULL;
	}
	return j;
}

/* Frees the document; its values must not be used any more. */
void bf_json_free(struct bf_json *j)
{
	if (!j)
		return;
	free(j->text);
	free(j->tok);
	free(j->after);
	free(j);
}

/* The value that is the document. */
struct bf_jval bf_json_root(const struct bf_json *j)
{
	return (struct bf_jval){ j, j && j->n > 0 ? 0 : -1 };
}

/* What no reader finds. */
static struct bf_jval json_absent(struct bf_jval v)
{
	return (struct bf_jval){ v.doc, -1 };
}

/* The token of a value; NULL when absent. */
static const jsmntok_t *json_tok(struct bf_jval v)
{
	return v.doc && v.tok >= 0 && v.tok < v.doc->n ? &v.doc->tok[v.tok] : NULL;
}

/* The type, told from the first character where jsmn does not say. */
enum bf_jtype bf_json_type(struct bf_jval v)
{
	const jsmntok_t *t = json_tok(v);

	if (!t)
		return BF_J_ABSENT;
	if (t->type == JSMN_OBJECT)
		return BF_J_OBJECT;
	if (t->type == JSMN_ARRAY)
		return BF_J_ARRAY;
	if (t->type == JSMN_STRING)
		return BF_J_STRING;
	switch (v.doc->text[t->start]) {
	case 'n':
		return BF_J_NULL;
	case 't':
	case 'f':
		return BF_J_BOOL;
	}
	return BF_J_NUMBER;
}

/* Elements or members. */
size_t bf_json_size(struct bf_jval v)
{
	const jsmntok_t *t = json_tok(v);

	return t && (t->type == JSMN_OBJECT || t->type == JSMN_ARRAY) ? (size_t)t->size : 0;
}

/* The first element, or the first member's value. */
struct bf_jval bf_json_first(struct bf_jval v)
{
	const jsmntok_t *t = json_tok(v);

	if (bf_json_size(v) == 0)
		return json_absent(v);
	return (struct bf_jval){ v.doc, v.tok + (t->type == JSMN_OBJECT ? 2 : 1) };
}

/* True when the value's parent is a member's name. */
static bool json_is_member(struct bf_jval v)
{
	int parent = v.doc->tok[v.tok].parent;

	return parent >= 0 && v.doc->tok[parent].type == JSMN_STRING;
}

/* The element or member behind this one. */
struct bf_jval bf_json_next(struct bf_jval v)
{
	const jsmntok_t *t = json_tok(v);
	int next, holder;
	bool member;

	if (!t || t->parent < 0)
		return json_absent(v);
	member = json_is_member(v);
	holder = member ? v.doc->tok[t->parent].parent : t->parent;
	next = v.doc->after[v.tok];
	if (next >= v.doc->n || v.doc->tok[next].parent != holder)
		return json_absent(v);
	return (struct bf_jval){ v.doc, next + member };
}

/* Decoded text of a token, in the arena. */
static char *json_text(const struct bf_json *j, int tok, struct bf_arena *arena)
{
	const jsmntok_t *t = &j->tok[tok];
	size_t len = (size_t)(t->end - t->start);
	char *out = bf_arena_alloc(arena, len + 1);

	json_decode(j->text + t->start, len, out);
	return out;
}

/* The name of a member, given its value. */
const char *bf_json_key(struct bf_jval v, struct bf_arena *arena)
{
	if (!json_tok(v) || !json_is_member(v))
		return NULL;
	return json_text(v.doc, v.doc->tok[v.tok].parent, arena);
}

/* Compares a name token with a key, decoding only where there is an escape. */
static bool json_name_is(const struct bf_json *j, int tok, const char *key, size_t key_len)
{
	const jsmntok_t *t = &j->tok[tok];
	const char *s = j->text + t->start;
	size_t len = (size_t)(t->end - t->start);
	bool equal;
	char *out;

	if (!memchr(s, '\\', len))
		return len == key_len && memcmp(s, key, len) == 0;
	if (len < key_len)
		return false;
	out = bf_xmalloc(len);
	equal = json_decode(s, len, out) == key_len && memcmp(out, key, key_len) == 0;
	free(out);
	return equal;
}

/* The member of that name; key need not be NUL-terminated. */
static struct bf_jval json_getn(struct bf_jval object, const char *key, size_t key_len)
{
	struct bf_jval v;

	if (bf_json_type(object) != BF_J_OBJECT)
		return json_absent(object);
	for (v = bf_json_first(object); v.tok >= 0; v = bf_json_next(v))
		if (json_name_is(v.doc, v.tok - 1, key, key_len))
			break;
	return v;
}

/* The first member of that name. */
struct bf_jval bf_json_get(struct bf_jval object, const char *key)
{
	return json_getn(object, key, strlen(key));
}

/* The element at an index written in digits. */
static struct bf_jval json_at(struct bf_jval array, const char *digits, size_t n)
{
	struct bf_jval v = bf_json_first(array);
	size_t want = 0;

	if (n == 0 || n > 9)
		return json_absent(array);
	for (size_t i = 0; i < n; i++) {
		if (digits[i] < '0' || digits[i] > '9')
			return json_absent(array);
		want = want * 10 + (size_t)(digits[i] - '0');
	}
	while (want-- > 0 && v.tok >= 0)
		v = bf_json_next(v);
	return v;
}

/* Follows names and indices, separated by dots. */
struct bf_jval bf_json_path(struct bf_jval v, const char *dotted)
{
	while (*dotted) {
		size_t n = strcspn(dotted, ".");

		v = bf_json_type(v) == BF_J_ARRAY ? json_at(v, dotted, n) : json_getn(v, dotted, n);
		if (!dotted[n])
			break;
		dotted += n + 1;
		if (!*dotted)
			return json_absent(v);	/* a dot with nothing behind it */
	}
	return v;
}

/* Text of a string, digits of a number. */
const char *bf_json_str(struct bf_jval v, struct bf_arena *arena)
{
	enum bf_jtype type = bf_json_type(v);

	return type == BF_J_STRING || type == BF_J_NUMBER ? json_text(v.doc, v.tok, arena) : NULL;
}

/* A number as double; one beyond its range is refused. */
bool bf_json_dbl(struct bf_jval v, double *ret)
{
	double d;

	if (bf_json_type(v) != BF_J_NUMBER)
		return false;
	/* the token ends at a character that no number contains, or at the NUL */
	d = strtod(v.doc->text + v.doc->tok[v.tok].start, NULL);
	if (!__builtin_isfinite(d))
		return false;
	*ret = d;
	return true;
}

/* A number without a fraction: 5, and also 5.0 and 5e0. */
bool bf_json_int(struct bf_jval v, int64_t *ret)
{
	const char *s;
	char *end;
	long long i;
	double d;

	if (bf_json_type(v) != BF_J_NUMBER)
		return false;
	s = v.doc->text + v.doc->tok[v.tok].start;
	errno = 0;
	i = strtoll(s, &end, 10);
	if (end == v.doc->text + v.doc->tok[v.tok].end) {
		if (errno)
			return false;
		*ret = i;
		return true;
	}
	/* beyond 2^53 a double no longer tells whether it was integral */
	if (!bf_json_dbl(v, &d) || d < -9007199254740992.0 || d > 9007199254740992.0 ||
	    d != (double)(int64_t)d)
		return false;
	*ret = (int64_t)d;
	return true;
}

/* true or false. */
bool bf_json_bool(struct bf_jval v, bool *ret)
{
	if (bf_json_type(v) != BF_J_BOOL)
		return false;
	*ret = v.doc->text[v.doc->tok[v.tok].start] == 't';
	return true;
}

/* The value as it stands in the document, a string with its quotes. */
const char *bf_json_raw(struct bf_jval v, size_t *len)
{
	const jsmntok_t *t = json_tok(v);
	int quote;

	if (!t) {
		*len = 0;
		return NULL;
	}
	quote = t->type == JSMN_STRING;
	*len = (size_t)(t->end - t->start) + (quote ? 2 : 0);
	return v.doc->text + t->start - quote;
}
