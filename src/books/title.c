/*
 * title: cuts a title into main title, subtitles and notes; keys of titles.
 *
 * Follows how catalogues and shops punctuate: `Main: Subtitle`, `Main - Subtitle`, `Main; or,
 * Subtitle`, `Main (Series, #2)`, `Main / by Author`. What each part says is read in parts.c.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "backfill/books.h"
#include "fold.h"
#include "title.h"

#define RAW_MAX 1536

/* Copies the title with entities decoded and punctuation of other scripts made plain. \1 stands for
 * a long dash. */
static size_t raw_copy(const char *s, char *out, size_t size)
{
	size_t n = strlen(s), at = 0, len = 0;

	while (at < n && len + 5 < size) {
		int32_t cp;
		size_t used = fold_entity(s + at, n - at, &cp);
		char plain = 0;

		if (used == 0)
			used = fold_next(s + at, n - at, &cp);
		if (cp == '<' && at + 1 < n && (s[at + 1] == '/' || (s[at + 1] | 32) >= 'a')) {
			const char *end = memchr(s + at, '>', n - at < 24 ? n - at : 24);

			if (end != NULL) {		/* a tag */
				at = (size_t)(end - s) + 1;
				out[len++] = ' ';
				continue;
			}
		}
		switch (cp) {
		case 0xFF1A: plain = ':'; break;
		case 0xFF08: case 0x3010: case 0xFF3B: plain = '('; break;
		case 0xFF09: case 0x3011: case 0xFF3D: plain = ')'; break;
		case 0xFF1B: plain = ';'; break;
		case 0xFF0F: plain = '/'; break;
		case 0x2010: case 0x2011: case 0x2012: case 0x2013: case 0x2212: plain = '-'; break;
		case 0x2014: case 0x2015: plain = '\1'; break;
		case 0xA0: case 0x3000: case 0x2009: case 0x202F: plain = ' '; break;
		case '[': case '{': plain = '('; break;
		case ']': case '}': plain = ')'; break;
		default: break;
		}
		if (plain != 0 || cp < 0x80) {
			char c = plain != 0 ? plain : (char)cp;

			out[len++] = (unsigned char)c < 0x20 && c != '\1' ? ' ' : c;
		} else if (s[at] == '&') {
			/* an entity beyond ASCII: two or three bytes of UTF-8 */
			if (cp >= 0x800) {
				out[len++] = (char)(0xE0 | ((cp >> 12) & 15));
				out[len++] = (char)(0x80 | ((cp >> 6) & 63));
			} else {
				out[len++] = (char)(0xC0 | ((cp >> 6) & 31));
			}
			out[len++] = (char)(0x80 | (cp & 63));
		} else {
			memcpy(out + len, s + at, used);
			len += used;
		}
		at += used;
	}
	out[len] = '\0';
	return len;
}

/* Spaces within what may be a subtitle: up to the next colon or bracket. */
static unsigned spaces(const char *s, size_t n)
{
	unsigned count = 0;

	for (size_t i = 0; i < n && s[i] != ':' && s[i] != ';'; i++) {
		if (s[i] == ' ' && i + 1 < n && s[i + 1] == '(')
			break;
		count += s[i] == ' ';
	}
	return count;
}

/* Length of the separator between title and subtitle at s[at], 0 if none. */
static size_t separator(const char *s, size_t n, size_t at)
{
	char prev = at > 0 ? s[at - 1] : ' ', next = at + 1 < n ? s[at + 1] : ' ';

	switch (s[at]) {
	case ':':
		return prev >= '0' && prev <= '9' && next >= '0' && next <= '9' ? 0 : 1;
	case '\1':
	case '|':
		return 1;
	case ';':
		return 1;
	case '-':
		if (next == '-')
			return 2;
		if (prev != ' ' && next == ' ')
			return at + 2 < n && s[at + 2] >= 'A' && s[at + 2] <= 'Z' ? 1 : 0;
		return prev == ' ' && next == ' ' ? 1 : 0;
	case '/':
		return prev == ' ' && next == ' ' ? 1 : 0;
	case '?':
	case '!':
		/* `Who Moved My Cheese? An Amazing Way ...`; one or two words belong to the
		 * question */
		return next == ' ' && at + 2 < n && s[at + 2] >= 'A' && s[at + 2] <= 'Z' &&
		       spaces(s + at + 2, n - at - 2) >= 2;
	case ',':
		return n - at > 5 && strncasecmp(s + at, ", or", 4) == 0 &&
				       (s[at + 4] == ' ' || s[at + 4] == ',') ?
			       1 :
			       0;
	default:
		return 0;
	}
}

/* `/ by Author`: nothing of the title follows. */
static bool is_responsibility(const char *s, size_t n)
{
	static const char *const words[] = { "by ",	      "edited by",	"written by",
					     "translated by", "illustrated by", "retold by",
					     "ed. by",	      "selected by" };

	while (n > 0 && *s == ' ') {
		s++;
		n--;
	}
	for (size_t i = 0; i < BF_COUNT(words); i++)
		if (n > strlen(words[i]) && strncasecmp(s, words[i], strlen(words[i])) == 0)
			return true;
	return false;
}

/* Is the bracket at s[at] a note? It stands after a space, is closed, and ends its part. Returns
 * its end, 0 if not. */
static size_t note_end(const char *s, size_t n, size_t start, size_t at)
{
	size_t end = at + 1;
	int depth = 1;

	if (at == start ||
	    (s[at - 1] != ' ' && s[at - 1] != ')' && (unsigned char)s[at - 1] < 0x80))
		return 0;
	while (end < n && depth > 0) {
		depth += s[end] == '(' ? 1 : s[end] == ')' ? -1 : 0;
		end++;
	}
	at = end;
	while (at < n && s[at] == ' ')
		at++;
	return at >= n || strchr(":(-/;,.|\1", s[at]) != NULL ? end : 0;
}

/* Drops the `or` that opens `; or, The Whale`. */
static void add_after_separator(struct title *t, const char *s, size_t n)
{
	while (n > 0 && *s == ' ') {
		s++;
		n--;
	}
	if (t->n_parts > 0 && n > 3 && strncasecmp(s, "or", 2) == 0 &&
	    (s[2] == ' ' || s[2] == ',')) {
		s += 3;
		n -= 3;
	}
	parts_add(t, s, n, PART_TEXT);
}

/* Cuts a text into its parts. */
static void split_parts(struct title *t, const char *s, size_t n)
{
	size_t start = 0, at = 0, end, sep;

	while (at < n) {
		if (s[at] == '(' && (end = note_end(s, n, start, at)) != 0) {
			add_after_separator(t, s + start, at - start);
			parts_add(t, s + at + 1, end - at - (s[end - 1] == ')' ? 2 : 1), PART_NOTE);
			at = start = end;
			continue;
		}
		sep = separator(s, n, at);
		if (sep == 0) {
			at++;
			continue;
		}
		add_after_separator(t, s + start, at - start);
		if (s[at] == '/' && is_responsibility(s + at + 1, n - at - 1))
			return;
		t->joined = t->joined || (s[at] == '/' && t->n_parts > 0);
		at += sep;
		start = at;
	}
	add_after_separator(t, s + start, n - start);
}

void title_parse(struct title *t, const char *title, const char *subtitle)
{
	char raw[RAW_MAX];
	size_t n = raw_copy(title != NULL ? title : "", raw, sizeof(raw));

	t->text_len = 0;
	t->n_words = t->n_main = t->n_all = t->n_parts = t->n_series = 0;
	t->volume = t->volume_part = t->edition = 0;
	t->volume_firm = t->range = t->joined = t->series_numbered = false;
	t->ascii = true;
	for (size_t i = 0; i < n; i++)		/* letters; U+2000..2BFF (lead byte E2) are signs */
		if ((unsigned char)raw[i] >= 0xC3 && (unsigned char)raw[i] != 0xE2)
			t->ascii = false;
	split_parts(t, raw, n);
	if (t->n_parts == 0) { /* all in brackets, or all remarks: then that is the title */
		t->n_words = 0;
		t->text_len = 0;
		t->n_series = 0;
		t->volume = t->volume_part = 0;
		t->volume_firm = false;
		parts_push(t, 0, parts_words(t, raw, n));
	}
	if (subtitle != NULL && *subtitle != '\0' && t->n_parts > 0) {
		n = raw_copy(subtitle, raw, sizeof(raw));
		split_parts(t, raw, n);
	}
	parts_settle_volume(t);
}

size_t title_join(const struct title *t, unsigned from, unsigned to, char *out, size_t size)
{
	size_t len = 0;

	for (unsigned i = from; i < to; i++) {
		size_t w;
		const char *s = title_word_at(t, t->seq[i], &w);

		if (len + (len > 0) + w >= size)
			break;
		if (len > 0)
			out[len++] = ' ';
		memcpy(out + len, s, w);
		len += w;
	}
	if (size > 0)
		out[len] = '\0';
	return len;
}

void bf_title_key(const char *title, char ret[BF_KEY_MAX])
{
	struct title t;
	size_t len;

	title_parse(&t, title, NULL);
	len = title_join(&t, 0, t.n_main, ret, BF_KEY_MAX - 8);
	if (kinds_is_franchise(ret))
		len = title_join(&t, 0, t.n_all, ret, BF_KEY_MAX - 8);
	if (len == 0)	/* one word longer than a key: its beginning */
		bf_fold(title != NULL ? title : "", ret, BF_KEY_MAX);
	else if (t.volume > 0 && t.volume_firm && len + 8 < BF_KEY_MAX)
		snprintf(ret + len, BF_KEY_MAX - len, " %d", t.volume % 1000);
}
