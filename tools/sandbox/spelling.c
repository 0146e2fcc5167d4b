/*
 * spelling: the same book as different hands write it. An AI drops subtitles and series notes,
 * knows or forgets an article, writes names its own way and mistypes now and then; providers
 * invert names, write entities and hyphenate ISBNs.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>
#include "sandbox.h"

#define NAMES_MAX 24

/* Splits `;`-joined names. */
size_t spelling_names(const char *authors, struct bf_arena *arena, const char **ret, size_t max)
{
	size_t n = 0;

	while (*authors && n < max) {
		size_t len = strcspn(authors, ";");

		if (len)
			ret[n++] = bf_arena_strndup(arena, authors, len);
		authors += len;
		authors += *authors == ';';
	}
	return n;
}

/* "Frank Herbert" as "Herbert, Frank"; names of one word and names with Jr. stay. */
const char *spelling_inverted(const char *name, struct bf_arena *arena)
{
	const char *space = strrchr(name, ' ');

	if (!space || strchr(name, ',') || name[strlen(name) - 1] == '.')
		return name;
	return bf_arena_printf(arena, "%s, %.*s", space + 1, (int)(space - name), name);
}

/* The text with every `from` replaced. */
static const char *replaced(
	const char *text, const char *from, const char *to, struct bf_arena *arena)
{
	size_t from_len = strlen(from), to_len = strlen(to), n = 0;
	char *out, *p;

	for (const char *at = text; (at = strstr(at, from)) != NULL; at += from_len)
		n++;
	if (!n)
		return text;
	out = p = bf_arena_alloc(arena, strlen(text) + n * to_len + 1);
	while (*text) {
		if (!strncmp(text, from, from_len)) {
			memcpy(p, to, to_len);
			p += to_len;
			text += from_len;
		} else {
			*p++ = *text++;
		}
	}
	return out;
}

/* `&` and `'` as HTML has them. */
const char *spelling_entities(const char *text, struct bf_arena *arena)
{
	return replaced(replaced(text, "&", "&amp;", arena), "'", "&#39;", arena);
}

/* Hyphens as on a book's back; the length of the registrant is a guess. */
const char *spelling_hyphenated(const char *isbn, uint64_t hash, struct bf_arena *arena)
{
	size_t prefix = strlen(isbn) == 13 ? 3 : 0;
	size_t body = strlen(isbn) - prefix - 2;	/* without group and check digit */
	size_t registrant = 2 + hash % (body - 3);

	return bf_arena_printf(arena, "%.*s%s%.1s-%.*s-%s-%s", (int)prefix, isbn, prefix ? "-" : "",
		isbn + prefix, (int)registrant, isbn + prefix + 1,
		bf_arena_strndup(arena, isbn + prefix + 1 + registrant, body - registrant),
		isbn + strlen(isbn) - 1);
}

/* Letters without their marks, as a keyboard without accents gives them. */
static const char *without_marks(const char *text, struct bf_arena *arena)
{
	utf8proc_uint8_t *out = NULL;
	const char *copy;

	if (utf8proc_map((const utf8proc_uint8_t *)text, 0, &out,
		    UTF8PROC_NULLTERM | UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_STRIPMARK) <
		0)
		return text;
	copy = bf_arena_strdup(arena, (const char *)out);
	free(out);
	return copy;
}

/* One slip of the finger in the first long word; never in its first letter. */
static const char *mistyped(const char *text, struct dice *d, struct bf_arena *arena)
{
	char *out = bf_arena_strdup(arena, text);

	for (char *p = out; *p; ) {
		size_t len = 0, at;

		while (isalpha((unsigned char)p[len]) && isascii((unsigned char)p[len]))
			len++;
		if (len < 7) {
			p += len + !len;
			continue;
		}
		at = 2 + dice_below(d, (uint32_t)len - 4);
		if (dice_chance(d, 0.5)) {
			memmove(p + at, p + at + 1, strlen(p + at));	/* a letter left out */
		} else {
			p[at] = p[at] == 'e' ? 'a' : 'e';
		}
		break;
	}
	return out;
}

/* First letters of words changed: every word capital, or only the first. */
static const char *recased(const char *text, bool every, struct bf_arena *arena)
{
	char *out = bf_arena_strdup(arena, text);

	for (char *p = out; *p; p++) {
		bool first = p == out || (p[-1] == ' ');

		if (!first || !isascii((unsigned char)*p))
			continue;
		if (every)
			*p = (char)toupper((unsigned char)*p);
		else if (p != out && !(isupper((unsigned char)p[1]) || p[1] == '.'))
			*p = (char)tolower((unsigned char)*p);
	}
	return out;
}

/* The article left out, or one put in front. */
static const char *other_article(const char *title, bool add, struct bf_arena *arena)
{
	static const char *const articles[] = { "The ", "A ", "An " };

	for (size_t i = 0; i < BF_COUNT(articles); i++)
		if (!strncmp(title, articles[i], strlen(articles[i])))
			return add ? title : title + strlen(articles[i]);
	return add ? bf_arena_printf(arena, "The %s", title) : title;
}

/* The title as this AI writes it. */
static const char *ai_title(const struct world *w, enum bf_provider_id ai, const struct work *k,
	struct dice *d, struct bf_arena *arena)
{
	const char *t = k->main;
	bool gemini = ai == BF_GEMINI;
	bool alone = k->id >= w->catalogue.n || search_main_count(w->search, k->id) <= 1;

	if (dice_chance(d, gemini ? 0.03 : 0.08))
		t = other_article(t, dice_chance(d, 0.3), arena);
	if (*k->subtitle && !(alone && dice_chance(d, gemini ? 0.35 : 0.6)))
		t = bf_arena_printf(
			arena, dice_chance(d, 0.1) ? "%s - %s" : "%s: %s", t, k->subtitle);
	if (dice_chance(d, gemini ? 0.3 : 0.7))
		t = gemini ? replaced(t, " & ", " and ", arena)
			   : replaced(t, " and ", " & ", arena);
	if (dice_chance(d, 0.05))
		t = recased(t, !gemini, arena);
	if (dice_chance(d, gemini ? 0.3 : 0.05))
		t = replaced(t, "'", "\u2019", arena);
	if (dice_chance(d, 0.5))
		t = without_marks(t, arena);
	if (dice_chance(d, 0.03))
		t = mistyped(t, d, arena);
	if (*k->series && dice_chance(d, gemini ? 0.25 : 0.35))
		t = bf_arena_printf(arena, "%s (%s)", t,
			gemini ? k->series : replaced(k->series, " #", ", Book ", arena));
	return t;
}

/* One name as this AI writes it: initials with or without dots and spaces, a middle initial
 * lost. */
static const char *ai_name(
	enum bf_provider_id ai, const char *name, struct dice *d, struct bf_arena *arena)
{
	size_t len = strlen(name), n = 0;
	char *out = bf_arena_alloc(arena, 2 * len + 2);
	bool spaced = ai == BF_GEMINI, dots = spaced || dice_chance(d, 0.6);

	for (size_t i = 0; i < len; i++) {
		bool initial = isupper((unsigned char)name[i]) && name[i + 1] == '.' &&
			(!i || !isalpha((unsigned char)name[i - 1]));

		out[n++] = name[i];
		if (!initial)
			continue;
		i++;
		if (dots)
			out[n++] = '.';
		if (name[i + 1] == ' ' && isupper((unsigned char)name[i + 2]) &&
			name[i + 3] == '.' && dots && !spaced)
			i++;
		else if (name[i + 1] && name[i + 1] != ' ' && (spaced || !dots))
			out[n++] = ' ';
	}
	out[n] = '\0';
	if (dice_chance(d, 0.5))
		return without_marks(out, arena);
	return out;
}

/* All that is known of the authors, or only the first, joined this AI's way. */
static const char *ai_author(
	enum bf_provider_id ai, const struct work *k, struct dice *d, struct bf_arena *arena)
{
	const char *names[NAMES_MAX];
	size_t n = spelling_names(k->authors, arena, names, NAMES_MAX);
	const char *first;

	if (!n)
		return k->authors;
	first = ai_name(ai, names[0], d, arena);
	if (n == 2 && dice_chance(d, 0.4))
		return bf_arena_printf(arena, ai == BF_GEMINI ? "%s and %s" : "%s, %s", first,
			ai_name(ai, names[1], d, arena));
	if (dice_chance(d, 0.04))
		return spelling_inverted(first, arena);
	if (dice_chance(d, 0.015))
		return mistyped(first, d, arena);
	return first;
}

/* How this AI writes the book. */
void spelling_of_ai(const struct world *w, enum bf_provider_id ai, const struct work *k,
	struct bf_arena *arena, struct spelled *ret)
{
	struct dice d;

	dice_init(&d, w->knobs->seed, "spelling", ai, k->id);
	ret->title = ai_title(w, ai, k, &d, arena);
	ret->author = ai_author(ai, k, &d, arena);
	ret->publisher = dice_chance(&d, 0.7) ? k->publisher : "";
	ret->year = k->year;
	if (dice_chance(&d, 0.04))
		ret->year += dice_chance(&d, 0.5) ? 1 : -1;
}
