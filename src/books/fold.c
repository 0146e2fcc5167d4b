/*
 * fold: the common form of text by which titles and names are compared.
 *
 * NFKC and full case folding (Unicode, by utf8proc). Marks fall off Latin, Greek and Cyrillic
 * letters only: elsewhere they carry the vowels, and a key without them would join different words.
 * Apostrophes vanish (`Ender's` is `enders`, `O'Brien` is `obrien`), every other punctuation
 * becomes one space, `&` becomes `and`. C++, C# and the like keep their sign as a word, or the
 * three languages would share every title.
 */
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>
#include "backfill/books.h"
#include "fold.h"

#define PEND_MAX 48 /* letters waiting to be composed; longer runs are composed in parts */

struct sink {
	char *out;
	size_t size, len;
	bool gap;		/* a space is due before the next letter */
	bool full;
	bool drops_marks;	/* the last letter was Latin, Greek or Cyrillic */
	int n_pend;
	int32_t pend[PEND_MAX];
};

static const struct { const char *name; int32_t cp;
} entities[] = {
	{ "amp", '&' },	      { "lt", '<' },	   { "gt", '>' },	{ "quot", '"' },
	{ "apos", '\'' },     { "nbsp", 0xA0 },	   { "ndash", 0x2013 }, { "mdash", 0x2014 },
	{ "lsquo", 0x2018 },  { "rsquo", 0x2019 }, { "ldquo", 0x201C }, { "rdquo", 0x201D },
	{ "hellip", 0x2026 }, { "shy", 0xAD },	   { "eacute", 0xE9 },	{ "egrave", 0xE8 },
	{ "ecirc", 0xEA },    { "euml", 0xEB },	   { "aacute", 0xE1 },	{ "agrave", 0xE0 },
	{ "acirc", 0xE2 },    { "auml", 0xE4 },	   { "aring", 0xE5 },	{ "atilde", 0xE3 },
	{ "aelig", 0xE6 },    { "ccedil", 0xE7 },  { "iacute", 0xED },	{ "iuml", 0xEF },
	{ "icirc", 0xEE },    { "ntilde", 0xF1 },  { "oacute", 0xF3 },	{ "ograve", 0xF2 },
	{ "ocirc", 0xF4 },    { "ouml", 0xF6 },	   { "otilde", 0xF5 },	{ "oslash", 0xF8 },
	{ "uacute", 0xFA },   { "ugrave", 0xF9 },  { "ucirc", 0xFB },	{ "uuml", 0xFC },
	{ "szlig", 0xDF },    { "Eacute", 0xC9 },  { "Auml", 0xC4 },	{ "Ouml", 0xD6 },
	{ "Uuml", 0xDC },     { "copy", 0xA9 },	   { "reg", 0xAE },	{ "trade", 0x2122 },
};

size_t fold_next(const char *s, size_t n, int32_t *ret_cp)
{
	utf8proc_int32_t cp;
	utf8proc_ssize_t used;

	if ((unsigned char)s[0] < 0x80) {
		*ret_cp = s[0];
		return 1;
	}
	used = utf8proc_iterate((const utf8proc_uint8_t *)s, (utf8proc_ssize_t)n, &cp);
	*ret_cp = used > 0 ? cp : 0xFFFD;
	return used > 0 ? (size_t)used : 1;
}

/* The number of &#233; or &#xE9; between s and its semicolon. */
static bool entity_number(const char *s, size_t n, int32_t *ret_cp)
{
	unsigned base = 10;
	int32_t cp = 0;

	if (n > 0 && (s[0] == 'x' || s[0] == 'X')) {
		base = 16;
		s++;
		n--;
	}
	if (n == 0 || n > 7)
		return false;
	for (size_t i = 0; i < n; i++) {
		int digit = s[i] >= '0' && s[i] <= '9' ? s[i] - '0' :
			    base == 16 && (s[i] | 32) >= 'a' && (s[i] | 32) <= 'f' ?
							 (s[i] | 32) - 'a' + 10 :
							 -1;

		if (digit < 0)
			return false;
		cp = cp * (int32_t)base + digit;
	}
	if (cp == 0 || cp > 0x10FFFF || (cp >= 0xD800 && cp <= 0xDFFF))
		return false;
	*ret_cp = cp;
	return true;
}

size_t fold_entity(const char *s, size_t n, int32_t *ret_cp)
{
	const char *end;
	size_t at = 1, len;

	if (n < 4 || s[0] != '&')
		return 0;
	while (n - at >= 4 && memcmp(s + at, "amp;", 4) == 0 &&
	       memchr(s + at + 4, ';', n - at - 4 < 8 ? n - at - 4 : 8))
		at += 4;		/* encoded twice: &amp;eacute; */
	end = memchr(s + at, ';', n - at < 9 ? n - at : 9);
	if (end != NULL && end > s + at) {
		len = (size_t)(end - s) - at;
		if (s[at] == '#' && entity_number(s + at + 1, len - 1, ret_cp))
			return at + len + 1;
		for (size_t i = 0; i < BF_COUNT(entities); i++) {
			if (strlen(entities[i].name) == len &&
			    memcmp(entities[i].name, s + at, len) == 0) {
				*ret_cp = entities[i].cp;
				return at + len + 1;
			}
		}
	}
	if (at > 1) {			/* "&amp;" and then something else */
		*ret_cp = '&';
		return at;
	}
	return 0;
}

bool fold_is_apostrophe(int32_t cp)
{
	return cp == '\'' || cp == '`' || cp == 0x2019 || cp == 0x2018 || cp == 0xB4 ||
	       cp == 0x2032 || cp == 0x201B || (cp >= 0x02B9 && cp <= 0x02BF) || cp == 0xFF07;
}

/* Latin, Greek or Cyrillic: marks on these are spelling, not another letter. */
static bool drops_marks(int32_t cp)
{
	return (cp >= 'A' && cp <= 0x052F && !(cp >= 0x02B0 && cp <= 0x036F)) ||
	       (cp >= 0x1D00 && cp <= 0x1FFF) || (cp >= 0x2C60 && cp <= 0x2C7F) ||
	       (cp >= 0xA640 && cp <= 0xA69F) || (cp >= 0xA720 && cp <= 0xA7FF);
}

/* Letters which Unicode does not decompose, but which people type without their stroke or ligature.
 */
static const char *plain_letter(int32_t cp)
{
	switch (cp) {
	case 0xF8:	return "o";
	case 0xE6:	return "ae";
	case 0x153:	return "oe";
	case 0x142:	return "l";
	case 0x111:
	case 0xF0:	return "d";
	case 0xFE:	return "th";
	case 0x127:	return "h";
	case 0x131:	return "i";
	case 0x167:	return "t";
	default:	return NULL;
	}
}

/* Writes whole characters, after the space that is due; nothing more once there is no room. */
static void sink_bytes(struct sink *k, const char *s, size_t n)
{
	size_t space = k->gap && k->len > 0;

	if (k->full || k->len + space + n >= k->size) {
		k->full = true;
		return;
	}
	if (space)
		k->out[k->len++] = ' ';
	k->gap = false;
	memcpy(k->out + k->len, s, n);
	k->len += n;
}

/* Composes what waits (Hangul, kana, Indic) and writes it. */
static void sink_flush(struct sink *k)
{
	utf8proc_ssize_t n;

	if (k->n_pend == 0)
		return;
	n = utf8proc_normalize_utf32(k->pend, k->n_pend, UTF8PROC_COMPOSE | UTF8PROC_STABLE);
	for (utf8proc_ssize_t i = 0; i < n; i++) {
		utf8proc_uint8_t bytes[4];
		utf8proc_ssize_t len = utf8proc_encode_char(k->pend[i], bytes);

		sink_bytes(k, (const char *)bytes, (size_t)len);
	}
	k->n_pend = 0;
}

/* Ends a word. */
static void sink_gap(struct sink *k)
{
	sink_flush(k);
	k->gap = true;
	k->drops_marks = false;
}

/* One code point of a decomposition: letters and digits go on, marks where they belong, the rest
 * separates. */
static void sink_decomposed(struct sink *k, int32_t cp)
{
	utf8proc_category_t cat = utf8proc_category(cp);
	const char *plain = plain_letter(cp);

	if (plain != NULL) {
		sink_flush(k);
		sink_bytes(k, plain, strlen(plain));
		k->drops_marks = true;
	} else if (cat >= UTF8PROC_CATEGORY_MN && cat <= UTF8PROC_CATEGORY_ME) {
		if (k->drops_marks || (k->gap && k->n_pend == 0))
			return;
		if (k->n_pend < PEND_MAX)
			k->pend[k->n_pend++] = cp;
	} else if ((cat >= UTF8PROC_CATEGORY_LU && cat <= UTF8PROC_CATEGORY_LO) ||
		   (cat >= UTF8PROC_CATEGORY_ND && cat <= UTF8PROC_CATEGORY_NO)) {
		k->drops_marks = drops_marks(cp);
		if (k->drops_marks || k->n_pend == PEND_MAX)
			sink_flush(k);
		k->pend[k->n_pend++] = cp;
		if (k->drops_marks)
			sink_flush(k);
	} else {
		sink_gap(k);
	}
}

/* A code point beyond ASCII. */
static void sink_unicode(struct sink *k, int32_t cp)
{
	utf8proc_int32_t part[32];
	utf8proc_ssize_t n;
	int boundary = UTF8PROC_BOUNDCLASS_START;

	if (fold_is_apostrophe(cp))
		return;
	if (cp == 0xFF06) {
		sink_gap(k);
		sink_bytes(k, "and", 3);
		sink_gap(k);
		return;
	}
	if ((cp >= 0xBC && cp <= 0xBE) || (cp >= 0x2150 && cp <= 0x215F))
		sink_gap(k);		/* 2½ is not 21/2 */
	n = utf8proc_decompose_char(cp, part, (utf8proc_ssize_t)BF_COUNT(part),
				    UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT | UTF8PROC_CASEFOLD |
					    UTF8PROC_IGNORE,
				    &boundary);
	if (n < 0 || n > (utf8proc_ssize_t)BF_COUNT(part)) {
		sink_gap(k);
		return;
	}
	for (utf8proc_ssize_t i = 0; i < n; i++)
		sink_decomposed(k, part[i]);
}

/* Letter or digit, whatever the locale. */
static bool ascii_alnum(char c)
{
	return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
}

/* Digit, whatever the locale. */
static bool ascii_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Is the sign at s[at] part of a name like C++ or C#? Writes it as words and returns the bytes
 * taken. */
static size_t sink_language_sign(struct sink *k, const char *s, size_t n, size_t at)
{
	if (at == 0 || !ascii_alnum(s[at - 1]))
		return 0;
	if (s[at] == '+' && at + 1 < n && s[at + 1] == '+') {
		sink_gap(k);
		sink_bytes(k, "plus plus", 9);
		sink_gap(k);
		return 2;
	}
	if (s[at] == '#' && (at == 1 || s[at - 2] == ' ') && !ascii_digit(s[at - 1]) &&
	    (at + 1 >= n || !ascii_digit(s[at + 1]))) {
		sink_gap(k);
		sink_bytes(k, "sharp", 5);
		sink_gap(k);
		return 1;
	}
	return 0;
}

/* One ASCII character that is no letter or digit; returns the bytes taken. */
static size_t sink_ascii_sign(struct sink *k, const char *s, size_t n, size_t at)
{
	size_t used = 0;
	int32_t cp;

	if (s[at] == '\'' || s[at] == '`' || s[at] == '*')
		return 1;		/* the star stands for a letter: f*ck */
	if (s[at] == '&') {
		used = fold_entity(s + at, n - at, &cp);
		if (used > 0 && cp != '&') {
			if (cp < 0x80 && ascii_alnum((char)cp)) {
				char lower = (char)(cp >= 'A' && cp <= 'Z' ? cp + 32 : cp);

				sink_bytes(k, &lower, 1);
			} else if (cp < 0x80 && cp != '\'') {
				sink_gap(k);
			} else {
				sink_unicode(k, cp);
			}
			return used;
		}
		sink_gap(k);
		sink_bytes(k, "and", 3);
		sink_gap(k);
		return used > 0 ? used : 1;
	}
	if (s[at] == '+' || s[at] == '#')
		used = sink_language_sign(k, s, n, at);
	/* 20,000 is one number */
	if (s[at] == ',' && at > 0 && ascii_digit(s[at - 1]) && at + 3 < n &&
	    ascii_digit(s[at + 1]) && ascii_digit(s[at + 2]) && ascii_digit(s[at + 3]))
		return 1;
	if (used == 0)
		sink_gap(k);
	return used > 0 ? used : 1;
}

/* A run of ASCII letters and digits, which most text is made of; returns the bytes taken. */
static size_t sink_ascii_run(struct sink *k, const char *s, size_t n)
{
	size_t at = 1;
	char lower = (char)(s[0] >= 'A' && s[0] <= 'Z' ? s[0] + 32 : s[0]);

	sink_flush(k);
	sink_bytes(k, &lower, 1);
	if (k->full)
		return at;
	while (at < n && ascii_alnum(s[at]) && k->len + 1 < k->size) {
		k->out[k->len++] = (char)(s[at] >= 'A' && s[at] <= 'Z' ? s[at] + 32 : s[at]);
		at++;
	}
	k->full = k->full || (at < n && ascii_alnum(s[at]));
	k->drops_marks = true;
	return at;
}

size_t fold_span(const char *s, size_t n, char *out, size_t size)
{
	struct sink k;
	size_t at = 0;

	if (size == 0)
		return 0;
	k.out = out;
	k.size = size;
	k.len = 0;
	k.n_pend = 0;
	k.gap = k.full = k.drops_marks = false;
	while (at < n && !k.full) {
		if (ascii_alnum(s[at])) {
			at += sink_ascii_run(&k, s + at, n - at);
		} else if ((unsigned char)s[at] < 0x80) {
			at += sink_ascii_sign(&k, s, n, at);
		} else {
			int32_t cp;

			at += fold_next(s + at, n - at, &cp);
			sink_unicode(&k, cp);
		}
	}
	sink_flush(&k);
	out[k.len] = '\0';
	return k.len;
}

void bf_fold(const char *text, char *out, size_t out_size)
{
	fold_span(text != NULL ? text : "", text != NULL ? strlen(text) : 0, out, out_size);
}
