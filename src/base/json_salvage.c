/*
 * json_salvage: what can be kept of a JSON text that was cut off, as a language model's answer is
 * when it hits its output limit. The text is kept up to the last complete element of the array
 * that was being written, and closed again. What comes out has passed the checker.
 */
#include "json.h"
#include <string.h>

enum { SALVAGE_DEPTH = 64 };

struct salvage {
	const char *text;
	char closer[SALVAGE_DEPTH];	/* of the containers that are open */
	int depth;
	int array_depth;		/* of the array whose elements count; 0: none yet */
	size_t array_start;		/* behind its bracket */
	size_t keep_len; /* up to here, with keep_depth containers closed, all is whole */
	int keep_depth;
	size_t elements;
};

/* Where the string that begins at i ends (behind its quote); len when it does not. */
static size_t salvage_skip_string(const char *text, size_t i, size_t len)
{
	for (i++; i < len; i++) {
		if (text[i] == '\\')
			i++;
		else if (text[i] == '"')
			return i + 1;
	}
	return len + 1;
}

/* Everything before `end` is whole as far as the current container goes. */
static void salvage_keep(struct salvage *s, size_t end)
{
	s->keep_len = end;
	s->keep_depth = s->depth;
}

/* Opens a container; the first array met, and after it has closed the next one, is the one whose
 * elements are kept. */
static bool salvage_open(struct salvage *s, size_t i)
{
	bool object = s->text[i] == '{';

	if (s->depth >= SALVAGE_DEPTH)
		return false;
	s->closer[s->depth++] = object ? '}' : ']';
	if (!object && s->array_depth == 0) {
		s->array_depth = s->depth;
		s->array_start = i + 1;
	}
	return true;
}

/* Only white space from one place up to another; the text need not end in a NUL. */
static bool salvage_is_blank(const struct salvage *s, size_t from, size_t to)
{
	while (from < to && strchr(" \t\n\r", s->text[from]) && s->text[from])
		from++;
	return from == to;
}

/* Closes a container at i; false when the bracket does not fit or all is closed. */
static bool salvage_close(struct salvage *s, size_t i)
{
	if (s->depth == 0 || s->closer[s->depth - 1] != s->text[i])
		return false;
	if (s->depth == s->array_depth) {
		if (!salvage_is_blank(s, s->array_start, i))
			s->elements++;
		s->array_depth = 0;
	}
	s->depth--;
	if (s->array_depth == 0 || s->depth == s->array_depth) {
		if (s->array_depth)
			s->elements++;
		salvage_keep(s, i + 1);
	}
	return s->depth > 0;
}

/* Walks the text until it ends or stops making sense. */
static void salvage_scan(struct salvage *s, size_t start, size_t len)
{
	for (size_t i = start; i < len; ) {
		char ch = s->text[i];

		if (ch == '"') {
			i = salvage_skip_string(s->text, i, len);
			if (i <= len && s->depth && s->depth == s->array_depth) {
				s->elements++;
				salvage_keep(s, i);
			}
			continue;
		}
		if ((ch == '{' || ch == '[') && !salvage_open(s, i))
			return;
		if ((ch == '}' || ch == ']') && !salvage_close(s, i))
			return;
		if (ch == ',' && s->depth && s->depth == s->array_depth) {
			s->elements++;
			salvage_keep(s, i);
		}
		i++;
	}
}

/* Appends what could be kept to out; false, and nothing appended, when no element is complete. */
bool bf_json_salvage(const char *text, size_t len, struct bf_buf *out)
{
	struct bf_json_limits limits = bf_json_limits_default;
	struct salvage s = { .text = text };
	size_t start = 0, before = out->len;
	struct bf_error err;

	while (start < len && text[start] != '{' && text[start] != '[')
		start++;
	salvage_scan(&s, start, len);
	if (s.elements == 0 || s.keep_len <= start)
		return false;
	bf_buf_add(out, text + start, s.keep_len - start);
	for (int d = s.keep_depth; d > 0; d--)
		bf_buf_add(out, &s.closer[d - 1], 1);
	limits.max_bytes = SIZE_MAX;
	if (!out->failed && json_check(out->data + before, out->len - before, &limits, &err) >= 0)
		return true;
	out->len = before;
	if (out->cap)
		out->data[before] = '\0';
	return false;
}
