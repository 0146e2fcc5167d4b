/*
 * isbn: reading, checking and converting ISBNs (ISO 2108; GS1 for the EAN forms).
 *
 * Promises one canonical spelling, 13 digits, for whatever a catalogue, a spreadsheet or a model
 * wrote, and refuses the rest. A check digit is never repaired: an invented number is told by it.
 * For the same reason ten digits which fail as ISBN-10 are not tried as an ISBN-13 without its 978,
 * unless the text itself calls them ISBN-13: one wrong ISBN-10 in ten would pass (0316769488 does).
 */
#include <string.h>
#include <utf8proc.h>
#include "backfill/books.h"

#define ISBN_TEXT_MAX 320	/* characters looked at; longer texts are cut */
#define ISBN_RUN_MAX 40

/* The text with its alphabet reduced: digits, X, '-', ' ', lower-case ASCII, '?' for anything else.
 */
struct isbn_text {
	char c[ISBN_TEXT_MAX + 1];
	size_t len;
};

struct isbn_scan {
	enum bf_isbn_result worst;	/* why nothing was accepted so far */
	char found[14];			/* first valid number */
	bool found_was_13;
};

/* Invisible characters which catalogues leave inside numbers. */
static bool is_invisible(int32_t cp)
{
	return cp == 0xAD || (cp >= 0x200B && cp <= 0x200F) || cp == 0x2060 || cp == 0xFEFF;
}

/* One code point in the reduced alphabet; 0 means leave it out. */
static char reduce_cp(int32_t cp)
{
	if (cp >= 0xFF01 && cp <= 0xFF5E)
		cp -= 0xFEE0;		/* full-width forms */
	if (cp == 'x' || cp == 'X' || cp == 0x0425 || cp == 0x0445)
		return 'X';
	if (cp >= 'A' && cp <= 'Z')
		return (char)(cp - 'A' + 'a');
	if (cp == '-' || (cp >= 0x2010 && cp <= 0x2015) || cp == 0x2212 || cp == 0xFE63)
		return '-';
	if (cp == ' ' || (cp >= 9 && cp <= 13) || cp == 0xA0 || (cp >= 0x2000 && cp <= 0x200A) ||
	    cp == 0x202F || cp == 0x3000)
		return ' ';
	if (is_invisible(cp) || cp == 0)
		return 0;
	return cp < 0x7F ? (char)cp : '?';
}

/* Reduces UTF-8 (invalid bytes become '?') and trims spaces on both sides. */
static void text_reduce(const char *s, size_t len, struct isbn_text *t)
{
	size_t at = 0;

	t->len = 0;
	while (at < len && t->len < ISBN_TEXT_MAX) {
		utf8proc_int32_t cp;
		utf8proc_ssize_t used = utf8proc_iterate((const utf8proc_uint8_t *)s + at,
							 (utf8proc_ssize_t)(len - at), &cp);
		char c;

		if (used <= 0) {
			used = 1;
			cp = '?';
		}
		at += (size_t)used;
		c = reduce_cp(cp);
		if (c != 0 && !(c == ' ' && t->len == 0))
			t->c[t->len++] = c;
	}
	while (t->len > 0 && t->c[t->len - 1] == ' ')
		t->len--;
	t->c[t->len] = '\0';
}

/* Digit of the reduced alphabet. */
static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Digit or X. */
static bool is_run_char(char c)
{
	return is_digit(c) || c == 'X';
}

/* Letter of the reduced alphabet. */
static bool is_letter(char c)
{
	return c >= 'a' && c <= 'z';
}

/* Check digit of the first n digits, weights 1,3 from the left when n is even (EAN-13), 3,1 when
 * odd (GTIN-14). */
static char ean_check(const char *d, size_t n)
{
	unsigned sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (unsigned)(d[i] - '0') * ((n - i) % 2 == 1 ? 3 : 1);
	return (char)('0' + (10 - sum % 10) % 10);
}

/* Check character of nine digits by the ISBN-10 rule. */
static char isbn10_check(const char *d)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < 9; i++)
		sum += (10 - i) * (unsigned)(d[i] - '0');
	sum = (11 - sum % 11) % 11;
	return sum == 10 ? 'X' : (char)('0' + sum);
}

/* Is it one digit n times? */
static bool all_equal(const char *d, size_t n)
{
	return strspn(d, (const char[]){ d[0], '\0' }) >= n;
}

/* Thirteen digits: prefix, check digit, numbers that are only formally valid. */
static enum bf_isbn_result check13(const char *d, char ret[14])
{
	if (memcmp(d, "978", 3) != 0 && memcmp(d, "979", 3) != 0)
		return BF_ISBN_PREFIX;
	if (memcmp(d, "9790", 4) == 0)
		return BF_ISBN_PREFIX;		/* ISMN: sheet music */
	if (ean_check(d, 12) != d[12])
		return BF_ISBN_CHECK;
	/* one digit all through, and 123456789, are what keyboards and templates produce */
	if (all_equal(d + 3, 9) || memcmp(d, "978123456789", 12) == 0)
		return BF_ISBN_JUNK;
	memcpy(ret, d, 13);
	ret[13] = '\0';
	return BF_ISBN_OK;
}

/* Ten characters by the ISBN-10 rule, given as 13 digits. */
static enum bf_isbn_result check10(const char *d, char ret[14])
{
	char full[14] = "978";

	for (int i = 0; i < 9; i++)
		if (!is_digit(d[i]))
			return BF_ISBN_CHECK;
	if (isbn10_check(d) != d[9])
		return BF_ISBN_CHECK;
	if (is_digit(d[9]) && all_equal(d, 10))
		return BF_ISBN_JUNK;
	memcpy(full + 3, d, 9);
	full[12] = ean_check(full, 12);
	return check13(full, ret);
}

/* 14 digits: the trade unit around a book. Its own check digit must hold; the book's is computed
 * anew. */
static enum bf_isbn_result check_gtin14(const char *d, char ret[14])
{
	char full[14];

	if (ean_check(d, 13) != d[13])
		return BF_ISBN_CHECK;
	memcpy(full, d + 1, 12);
	full[12] = ean_check(full, 12);
	full[13] = '\0';
	return check13(full, ret);
}

/* A number short of its leading zeros: an SBN, or an ISBN-10 which went through a spreadsheet. */
static enum bf_isbn_result check_short(const char *d, size_t n, char ret[14])
{
	char ten[11] = "00";

	memcpy(ten + (10 - n), d, n);
	return check10(ten, ret);
}

/* Judges the digits of one run. alone: nothing but a label stands around it; says13: its label is
 * ISBN-13. */
static enum bf_isbn_result judge(const char *d, size_t n, bool alone, bool says13, char ret[14])
{
	const char *x = memchr(d, 'X', n);
	enum bf_isbn_result result;
	char full[14] = "978";

	if (x != NULL && (x != d + n - 1 || (n != 10 && n != 9)))
		return n == 10 ? BF_ISBN_CHECK : BF_ISBN_LENGTH;
	switch (n) {
	case 8:
	case 9:
		return alone ? check_short(d, n, ret) : BF_ISBN_LENGTH;
	case 10:
		result = check10(d, ret);
		if (result == BF_ISBN_CHECK && says13 && x == NULL) {
			memcpy(full + 3, d, 10);
			result = check13(full, ret);
		}
		return result;
	case 13:
	case 15:	/* EAN-13 with a two-digit add-on */
	case 18:	/* EAN-13 with a five-digit price */
		return check13(d, ret);
	case 14:
		return check_gtin14(d, ret);
	default:
		return BF_ISBN_LENGTH;
	}
}

/* How much a failure says; the most telling one is reported. */
static int telling(enum bf_isbn_result r)
{
	switch (r) {
	case BF_ISBN_CHECK:	return 4;
	case BF_ISBN_JUNK:	return 3;
	case BF_ISBN_PREFIX:	return 2;
	case BF_ISBN_LENGTH:	return 1;
	case BF_ISBN_EMPTY:
	case BF_ISBN_OK:	break;
	}
	return 0;
}

/* Judges digits and books the outcome; true when they are an ISBN. */
static bool scan_try(struct isbn_scan *scan, const char *d, size_t n, bool alone, bool says13)
{
	char got[14];
	enum bf_isbn_result result = judge(d, n, alone, says13, got);

	if (result != BF_ISBN_OK) {
		if (telling(result) > telling(scan->worst))
			scan->worst = result;
		return false;
	}
	if (scan->found[0] == '\0' || (!scan->found_was_13 && n >= 13)) {
		memcpy(scan->found, got, sizeof(got));
		scan->found_was_13 = n >= 13;
	}
	return true;
}

/* Skips `isbn`, `sbn`, `isbn-13:` and the like before a number; returns the position after it. */
static size_t skip_label(const struct isbn_text *t, size_t at, bool *says13, bool *label)
{
	size_t i = at;

	if (strncmp(t->c + i, "isbn", 4) == 0)
		i += 4;
	else if (strncmp(t->c + i, "sbn", 3) == 0)
		i += 3;
	else
		return at;
	*label = true;
	*says13 = false;
	while (strchr("- _(", t->c[i]) != NULL && t->c[i] != '\0')
		i++;
	if ((strncmp(t->c + i, "13", 2) == 0 || strncmp(t->c + i, "10", 2) == 0) &&
	    !is_run_char(t->c[i + 2])) {
		*says13 = t->c[i + 1] == '3';
		i += 2;
	}
	while (strchr("-: #.=)", t->c[i]) != NULL && t->c[i] != '\0')
		i++;
	return i;
}

/* Tries the run whole, then without a glued "13" or "10", then its space-separated pieces. */
static void scan_run(struct isbn_scan *scan, const char *run, size_t len, bool alone, bool label,
		     bool says13)
{
	char d[ISBN_RUN_MAX + 1];
	size_t n = 0, at = 0;

	for (size_t i = 0; i < len && n < ISBN_RUN_MAX; i++)
		if (is_run_char(run[i]))
			d[n++] = run[i];
	d[n] = '\0';
	if (scan_try(scan, d, n, alone, says13))
		return;
	if (label && n > 10 && (strncmp(d, "13", 2) == 0 || strncmp(d, "10", 2) == 0) &&
	    scan_try(scan, d + 2, n - 2, false, d[1] == '3'))
		return;
	if (memchr(run, ' ', len) == NULL)
		return;
	while (at < len) {
		n = 0;
		while (at < len && run[at] != ' ') {
			if (is_run_char(run[at]) && n < ISBN_RUN_MAX)
				d[n++] = run[at];
			at++;
		}
		d[n] = '\0';
		if (n >= 10)
			scan_try(scan, d, n, false, says13);
		at++;
	}
}

/* 9.78044E+12: what a spreadsheet makes of an ISBN; digits are lost for good. */
static bool is_scientific(const struct isbn_text *t)
{
	size_t i = strspn(t->c, "0123456789");

	if (i == 0 || (t->c[i] != '.' && t->c[i] != ',' && t->c[i] != 'e'))
		return false;
	if (t->c[i] != 'e')
		i += 1 + strspn(t->c + i + 1, "0123456789");
	if (t->c[i] != 'e')
		return false;
	i++;
	if (t->c[i] == '+' || t->c[i] == '-')
		i++;
	return is_digit(t->c[i]);
}

/* May eight or nine digits be a number without its leading zeros here? Only where no other number
 * stands near. */
static bool stands_alone(const struct isbn_text *t, size_t start, size_t end)
{
	size_t digits = 0;

	if (strpbrk(t->c + end, "0123456789") != NULL)
		return false;
	for (size_t i = start; i < end; i++)
		digits += is_run_char(t->c[i]);
	return digits > 8 || digits == end - start;	/* 2023-01-15 is a date */
}

/* Walks the text: labels, runs of digits with single separators, anything else. */
static void scan_text(struct isbn_scan *scan, const struct isbn_text *t)
{
	bool says13 = false, label = false, only = true;
	size_t at = 0, label_end = 0;

	while (at < t->len) {
		size_t start, end;

		if (only && strncmp(t->c + at, "urn:", 4) == 0)
			at += 4;
		start = skip_label(t, at, &says13, &label);
		if (start != at)
			label_end = start;
		at = start;
		if (!is_digit(t->c[at])) {
			if (t->c[at] != '\0' && strchr(" -:(", t->c[at]) == NULL)
				only = false;
			at++;
			continue;
		}
		end = at;
		while (at < t->len &&
		       (is_run_char(t->c[at]) || t->c[at] == '-' || t->c[at] == ' ')) {
			if (is_run_char(t->c[at]))
				end = at + 1;
			at++;
		}
		/* a letter glued to its front makes it an ASIN or a shelf mark, unless it is the
		 * label's */
		if (start == 0 || start == label_end || !is_letter(t->c[start - 1]))
			scan_run(scan, t->c + start, end - start,
				 only && stands_alone(t, start, end), start == label_end, says13);
		only = false;
	}
}

enum bf_isbn_result bf_isbn_canon(const char *text, size_t len, char ret_isbn13[14])
{
	struct isbn_scan scan = { .worst = BF_ISBN_JUNK };
	struct isbn_text t;

	if (text == NULL)
		return BF_ISBN_EMPTY;
	text_reduce(text, len, &t);
	if (t.len == 0)
		return BF_ISBN_EMPTY;
	if (is_scientific(&t))
		return BF_ISBN_JUNK;
	if (strpbrk(t.c, "0123456789") != NULL)
		scan.worst = BF_ISBN_LENGTH;
	scan_text(&scan, &t);
	if (scan.found[0] == '\0')
		return scan.worst;
	memcpy(ret_isbn13, scan.found, 14);
	return BF_ISBN_OK;
}

bool bf_isbn10_from13(const char isbn13[14], char ret_isbn10[11])
{
	if (strlen(isbn13) != 13 || strspn(isbn13, "0123456789") != 13 ||
	    strncmp(isbn13, "978", 3) != 0)
		return false;
	memcpy(ret_isbn10, isbn13 + 3, 9);
	ret_isbn10[9] = isbn10_check(isbn13 + 3);
	ret_isbn10[10] = '\0';
	return true;
}

bool bf_isbn_suspect(const char isbn13[14])
{
	/* 978-0-00-000...: dumps put unrelated records there; the publisher's real books stand
	 * above it */
	return strncmp(isbn13, "978000000", 9) == 0;
}

void bf_isbn_spellings(const char isbn13[14], char ret[BF_ISBN_SPELLINGS][18])
{
	size_t row = 0;

	memset(ret, 0, (size_t)BF_ISBN_SPELLINGS * 18);
	if (strlen(isbn13) != 13)
		return;
	memcpy(ret[row++], isbn13, 14);
	for (size_t group = 1; group <= 7; group++) {
		for (size_t publisher = group + 1; publisher <= 8; publisher++) {
			char *p = ret[row++];
			size_t n = 0;

			for (size_t i = 0; i < 13; i++) {
				if (i == 3 || i == 3 + group || i == 3 + publisher || i == 12)
					p[n++] = '-';
				p[n++] = isbn13[i];
			}
			p[n] = '\0';
		}
	}
}
