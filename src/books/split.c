/*
 * split: who stands in an author text. `A and B`, `A; B`, `A, B`, `A, B & C`, `Last, First`, `Last,
 * First; Last, First`, `Last, First, 1920-1986`, `A with B`, `A (Illustrator)`, `translated by C`.
 * A comma is the hard one: it parts a last name from first names when one side is a single word or
 * initials, and two people when both sides look like whole names.
 */
#include <string.h>
#include <strings.h>
#include "backfill/books.h"
#include "fold.h"
#include "names.h"
#include "words.h"

#define PIECES_MAX 24

struct piece { const char *s; size_t len; };

static const char suffixes[] = "jr sr ii iii iv junior senior";
static const char degrees[] = "phd ph d dphil md m d dds dvm jd j d llb llm mba mfa ma ba bs bsc "
			      "msc mph rn rd ms esq esquire obe mbe cbe facs frcp "
			      "psyd edd thd dmin dd lcsw lpc cpa pe";
static const char roles[] = "author authors illustrator editor eds editors translator trans "
			    "translated narrator reader contributor "
			    "foreword introduction preface afterword photographer adapter compiler "
			    "auteur autor writer artist others "
			    "joint coauthor creator";
static const char *const prefixes[] = {
	"by ",		"written by ", "illustrated by ", "edited by ",	  "translated by ",
	"narrated by ", "read by ",    "retold by ",	  "foreword by ", "introduction by ",
	"adapted by ",	"from ",       "author: ",	  "authors: ",	  "photographs by ",
	"pictures by ",
};
static const char *const joints[] = {
	" and ",       " & ",	  " with ",	      " writing as ", " as told to ",
	" und ",       " et ",	  " illustrated by ", " edited by ",  " translated by ",
	" featuring ", " feat. ",
};

/* What stands between names without meaning. */
static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '"' || c == '.' || c == ',';
}

/* Trims spaces, quotes and stray commas; full stops only in front (`J.` keeps its own). */
static struct piece trim(struct piece p)
{
	while (p.len > 0 && is_space(*p.s)) {
		p.s++;
		p.len--;
	}
	while (p.len > 0 && p.s[p.len - 1] != '.' && is_space(p.s[p.len - 1]))
		p.len--;
	return p;
}

/* Is the piece made of words of the list only? */
static bool every_word_in(struct piece p, const char *list)
{
	char folded[64];
	const char *at = folded;

	if (p.len == 0 || p.len > 40 || fold_span(p.s, p.len, folded, sizeof(folded)) == 0)
		return false;
	while (*at != '\0') {
		size_t n = words_len(at);

		if (!words_in(at, n, list))
			return false;
		at += n;
		at += *at == ' ';
	}
	return true;
}

/* `1920-1986`, `b. 1950`: four digits in a row, and no long words. */
static bool is_dates(struct piece p)
{
	unsigned digits = 0, letters = 0;
	bool year = false;

	for (size_t i = 0; i < p.len; i++) {
		digits = p.s[i] >= '0' && p.s[i] <= '9' ? digits + 1 : 0;
		letters += (p.s[i] | 32) >= 'a' && (p.s[i] | 32) <= 'z';
		year = year || digits == 4;
	}
	return year && letters <= 8;
}

/* `illustrator`, `ed.`, `et al.`: what someone did, not who. `Ed` is a man. */
static bool is_role(struct piece p)
{
	if (every_word_in(p, roles))
		return true;
	return p.s[0] >= 'a' && p.s[0] <= 'z' && every_word_in(p, "ed al et others");
}

/* Takes brackets, `~autofilled~`, a language tag, prefixes like `by` off a piece. */
static struct piece clean(struct piece p)
{
	const char *cut;

	p = trim(p);
	for (size_t i = 0; i < BF_COUNT(prefixes); i++) {
		size_t n = strlen(prefixes[i]);

		if (p.len > n && strncasecmp(p.s, prefixes[i], n) == 0) {
			p.s += n;
			p.len -= n;
			p = trim(p);
			i = (size_t)-1;
		}
	}
	cut = memchr(p.s, '~', p.len);
	if (cut != NULL && cut > p.s)
		p.len = (size_t)(cut - p.s);
	cut = memchr(p.s, '(', p.len);
	if (cut == NULL)
		cut = memchr(p.s, '[', p.len);
	if (cut != NULL && cut > p.s)
		p.len = (size_t)(cut - p.s);
	cut = memrchr(p.s, '@', p.len);		/* "Frank Herbert"@en */
	if (cut != NULL && cut > p.s && p.s + p.len - cut <= 4)
		p.len = (size_t)(cut - p.s);
	return trim(p);
}

/* Words, where initials that stand together count one by one. */
static unsigned count_words(struct piece p)
{
	unsigned n = 0;
	bool in = false;

	for (size_t i = 0; i < p.len; i++) {
		bool space = p.s[i] == ' ' || (p.s[i] == '.' && i + 1 < p.len && p.s[i + 1] != ' ');

		n += !space && !in;
		in = !space;
	}
	return n;
}

/* Are all words from the given one on initials (`K.`, `J.R.`, `JK`) or particles? */
static bool ends_in_initials(struct piece p, unsigned from)
{
	unsigned i = 0;
	bool any = false;

	for (size_t at = 0; at < p.len; i++) {
		size_t end = at, capitals = 0, letters = 0;
		char folded[16];

		for (; end < p.len && p.s[end] != ' '; end++) {
			capitals += p.s[end] >= 'A' && p.s[end] <= 'Z';
			letters += p.s[end] != '.' && p.s[end] != '-';
		}
		if (i >= from && letters > 0) {
			fold_span(p.s + at, end - at, folded, sizeof(folded));
			if ((letters != capitals || letters > 3) &&
			    !words_in(folded, strlen(folded),
				      "van von der den de la du del da dos di le ter"))
				return false;
			any = true;
		}
		at = end + 1;
	}
	return any;
}

/* `de la Cruz`, `van Gogh`. */
static bool starts_with_particle(struct piece p)
{
	char folded[96];

	fold_span(p.s, p.len, folded, sizeof(folded));
	return words_in(
		folded, words_len(folded),
		"van von de del della der den di da du la le st ter ten dos al el bin ibn o mac");
}

/* Do `a, b` make one person, `Last, First`? */
static bool is_last_first(struct piece a, struct piece b)
{
	unsigned na = count_words(a), nb = count_words(b);

	if (ends_in_initials(a, 0))
		return false;		/* "J.K., ..." */
	if (na == 1)
		return nb <= 3 || ends_in_initials(b, 1);
	if (nb == 1)
		return na <= 3 && (a.len < 2 || (a.s[1] != '.' && a.s[1] != ' '));
	if (nb > 3)
		return false;
	return ends_in_initials(b, 1) || (starts_with_particle(a) && na <= 3);
}

/* Files one person, unless nothing is left of them. */
static void put(struct name_span *ret, size_t max, size_t *n, struct piece first, struct piece last,
		struct piece suffix)
{
	char folded[32];

	if (*n == max || (first.len == 0 && last.len == 0))
		return;
	if (fold_span(first.len > 0 ? first.s : last.s, first.len > 0 ? first.len : last.len,
		      folded, sizeof(folded)) == 0)
		return;		/* nothing but punctuation */
	ret[(*n)++] = (struct name_span) { first.s,  last.s,   first.len,
					   last.len, suffix.s, suffix.len };
}

/* People in a text without `;` and `and`: commas only. */
static void split_commas(struct piece text, struct name_span *ret, size_t max, size_t *n)
{
	struct piece part[PIECES_MAX], suffix[PIECES_MAX];
	const struct piece none = { "", 0 };
	size_t parts = 0, singles = 0;

	while (text.len > 0 && parts < PIECES_MAX) {
		const char *comma = memchr(text.s, ',', text.len);
		size_t len = comma != NULL ? (size_t)(comma - text.s) : text.len;
		struct piece p = clean((struct piece){ text.s, len });

		text.s += len + (comma != NULL);
		text.len -= len + (comma != NULL);
		if (p.len == 0 || ((parts > 0 || (*p.s >= 'a' && *p.s <= 'z')) && is_role(p)) ||
		    (parts > 0 && (is_dates(p) || every_word_in(p, degrees))))
			continue;
		if (parts > 0 && every_word_in(p, suffixes)) {
			suffix[parts - 1] = p;
			continue;
		}
		suffix[parts] = none;
		part[parts++] = p;
		singles += count_words(p) == 1;
	}
	if (parts == 2 && is_last_first(part[0], part[1])) {
		put(ret, max, n, part[1], part[0], suffix[0].len > 0 ? suffix[0] : suffix[1]);
		return;
	}
	/* Gaiman, Neil, Pratchett, Terry */
	if (parts >= 4 && parts % 2 == 0 && singles >= parts / 2 && count_words(part[0]) == 1 &&
	    count_words(part[2]) == 1) {
		for (size_t i = 0; i < parts; i += 2)
			put(ret, max, n, part[i + 1], part[i], suffix[i + 1]);
		return;
	}
	for (size_t i = 0; i < parts; i++)
		put(ret, max, n, part[i], none, suffix[i]);
}

/* `Ilona and Gordon Andrews`: the first of a couple gets the name of the second. */
static void share_last_name(struct name_span *ret, size_t before, size_t after)
{
	struct name_span *a, *b;
	const char *space;

	if (after != before + 1 || after == 0)
		return;
	a = &ret[before - 1];
	b = &ret[before];
	if (a->last_len > 0 || b->last_len > 0 || memchr(a->first, ' ', a->first_len) != NULL)
		return;
	space = memrchr(b->first, ' ', b->first_len);
	if (space == NULL || memchr(a->first, '.', a->first_len) != NULL)
		return;
	a->last = space + 1;
	a->last_len = b->first_len - (size_t)(space + 1 - b->first);
}

/* First hard joint in the text: its place and length; NULL if none. */
static const char *find_joint(struct piece text, size_t *ret_len)
{
	const char *best = NULL;

	for (size_t i = 0; i < text.len; i++) {
		if (strchr(";|\n/\\", text.s[i]) != NULL && text.s[i] != '\0') {
			*ret_len = 1;
			return text.s + i;
		}
		if (text.s[i] != ' ')
			continue;
		for (size_t j = 0; j < BF_COUNT(joints) && best == NULL; j++) {
			size_t n = strlen(joints[j]);

			if (text.len - i > n && strncasecmp(text.s + i, joints[j], n) == 0) {
				best = text.s + i;
				*ret_len = n;
			}
		}
		if (best != NULL)
			return best;
	}
	return NULL;
}

size_t split_authors(const char *authors, struct name_span *ret, size_t max)
{
	struct piece rest = { authors, authors != NULL ? strlen(authors) : 0 };
	bool couple = false;
	size_t n = 0;

	if (rest.len > 4096)
		rest.len = bf_utf8_cut(rest.s, rest.len, 4096);
	while (rest.len > 0 && n < max) {
		size_t joint_len = 0, before = n;
		const char *joint = find_joint(rest, &joint_len);
		struct piece chunk = { rest.s,
				       joint != NULL ? (size_t)(joint - rest.s) : rest.len };

		split_commas(chunk, ret, max, &n);
		if (couple && before > 0)
			share_last_name(ret, before, n);
		if (joint == NULL)
			break;
		couple = joint_len == 5 || joint_len == 3;	/* " and ", " & " */
		rest.len -= chunk.len + joint_len;
		rest.s = joint + joint_len;
	}
	return n;
}
