/*
 * dates: a date of publication as precise as its text.
 *
 * The year is the first run of four digits that can be one. A month and a day count only when they
 * stand with it in a form that can be read one way: ISO 8601 and its like, names of months in seven
 * languages, numbers that leave no choice between day and month. Impossible ones are left out.
 */
#include "merge.h"
#include "words.h"
#include <string.h>

#define YEAR_MIN   1000
#define YEAR_MAX   2100
#define TOKENS_MAX 24

/* English, German, French, Spanish, Italian, Portuguese, Dutch; folded. */
static const char *const months[12] = {
	"january jan januar janvier enero gennaio janeiro januari jaenner",
	"february feb februar fevrier febrero febbraio fevereiro februari",
	"march mar maerz marz mars marzo marco maart mrz",
	"april apr avril abril aprile",
	"may mai mayo maggio maio mei",
	"june jun juni juin junio giugno junho",
	"july jul juli juillet julio luglio julho",
	"august aug aout agosto augustus",
	"september sep sept septembre septiembre settembre setembro",
	"october oct oktober octobre octubre ottobre outubro okt",
	"november nov novembre noviembre novembro",
	"december dec dezember decembre diciembre dicembre dezembro dez",
};

/* A run of digits or of letters, and the sign behind it. */
struct token {
	const char *s;
	size_t len;
	int number;
	char next;
};

/* Digit, whatever the locale. */
static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

/* A letter, or a byte of one. */
static bool letter(char c)
{
	return (unsigned char)c >= 0x80 || ((c | 32) >= 'a' && (c | 32) <= 'z');
}

/* Words which stand in dates and say nothing. */
static bool is_filler(const struct token *t)
{
	char low[8];

	if (t->len >= sizeof(low))
		return false;
	for (size_t i = 0; i < t->len; i++)
		low[i] = (char)(t->s[i] | 32);
	return words_in(low, t->len, "st nd rd th de of the er di del");
}

/* Takes a text apart; fillers are left out. */
static size_t tokens(const char *s, struct token ret[TOKENS_MAX])
{
	size_t n = 0;

	while (*s != '\0' && n < TOKENS_MAX) {
		struct token *t = &ret[n];

		if (!digit(*s) && !letter(*s)) {
			s++;
			continue;
		}
		*t = (struct token){ .s = s, .number = -1 };
		if (digit(*s)) {
			t->number = 0;
			for (; digit(*s); s++)
				if (t->number < 100000000)
					t->number = t->number * 10 + (*s - '0');
		} else {
			while (letter(*s))
				s++;
		}
		t->len = (size_t)(s - t->s);
		t->next = *s;
		n += !is_filler(t);
	}
	return n;
}

/* 1..12 of a name, 0: none. */
static int month_named(const struct token *t)
{
	char text[64], folded[64];

	if (t->number >= 0 || t->len >= sizeof(text) || t->len < 3)
		return 0;
	memcpy(text, t->s, t->len);
	text[t->len] = '\0';
	bf_fold(text, folded, sizeof(folded));
	for (int m = 0; m < 12; m++)
		if (words_in(folded, strlen(folded), months[m]))
			return m + 1;
	return 0;
}

/* A number of one or two digits, else 0. */
static int small(const struct token *t)
{
	return t->number > 0 && t->len <= 2 ? t->number : 0;
}

/* Are the two parted by one sign of dates and nothing else? */
static bool joined(const struct token *a, const struct token *b)
{
	return a->next != '\0' && strchr("-/.", a->next) != NULL && b->s == a->s + a->len + 1;
}

/* 2004-10-06, 2004/10, 2004.10.6, and with the signs for year, month and day between. */
static void read_behind(const struct token *t, size_t n, int *month, int *day)
{
	bool cjk = n > 1 && strncmp(t[1].s, "年", 3) == 0 && t[1].len == 3;
	size_t m = cjk ? 2 : 1;

	if (m >= n)
		return;
	*month = cjk || joined(&t[0], &t[1]) ? small(&t[m]) : 0;
	if (*month > 0) {
		size_t d = m + (cjk ? 2 : 1);

		if (d < n && (cjk || (joined(&t[m], &t[d]) && t[m].next == t[0].next)))
			*day = small(&t[d]);
		return;
	}
	*month = month_named(&t[1]); /* 2020 October 6, 2020-Oct-06 */
	if (*month > 0 && n > 2)
		*day = small(&t[2]);
}

/* October 6, 2020; 6 October 2020; Oct 2020; 10/2020; 13/10/2020; 6.10.2020. `y` is the year's. */
static void read_before(const struct token *t, size_t y, int *month, int *day)
{
	const struct token *a = y > 0 ? &t[y - 1] : NULL, *b = y > 1 ? &t[y - 2] : NULL;
	int na, nb;

	if (a == NULL)
		return;
	na = small(a);
	nb = b != NULL ? small(b) : 0;
	*month = month_named(a);
	if (*month > 0) {
		*day = nb;
		return;
	}
	if (b != NULL && na > 0 && month_named(b) > 0) {
		*month = month_named(b);
		*day = na;
		return;
	}
	if (na == 0 || !joined(a, &t[y]))
		return;
	if (nb == 0 || !joined(b, a) || b->next != a->next) {
		*month = na;
	} else if (a->next == '.' || nb > 12 || na == nb) {
		*month = na;
		*day = nb;
	} else if (na > 12) {
		*month = nb;
		*day = na;
	}
}

/* Days of a month, 0 for no month. */
static int days_in(int year, int month)
{
	static const int days[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	if (month < 1 || month > 12)
		return 0;
	return days[month - 1] + (month == 2 && leap);
}

/* The parts of a date; false when there is no year in it. */
static bool read_date(const char *text, int *year, int *month, int *day)
{
	struct token t[TOKENS_MAX];
	size_t n;

	*year = *month = *day = 0;
	while (*text == ' ')
		text++;
	if (text[0] == '-' && digit(text[1]))
		return false; /* before the common era */
	n = tokens(text, t);
	for (size_t i = 0; i < n; i++) {
		int v = t[i].number;

		if (t[i].len == 8 && v / 10000 >= YEAR_MIN && v / 10000 <= YEAR_MAX &&
			days_in(v / 10000, v / 100 % 100) > 0) {
			*year = v / 10000;
			*month = v / 100 % 100;
			*day = v % 100;
			return true;
		}
		if (t[i].len != 4 || v < YEAR_MIN || v > YEAR_MAX)
			continue;
		*year = v;
		read_behind(t + i, n - i, month, day);
		if (*month == 0)
			read_before(t, i, month, day);
		return true;
	}
	return false;
}

int normal_year(const char *date)
{
	int year, month, day;

	return date != NULL && read_date(date, &year, &month, &day) ? year : 0;
}

const char *bf_date_normal(const char *text, struct bf_arena *arena)
{
	int year, month, day, days;

	if (text == NULL || !read_date(text, &year, &month, &day))
		return NULL;
	days = days_in(year, month);
	if (days == 0)
		return bf_arena_printf(arena, "%04d", year);
	if (day < 1 || day > days)
		return bf_arena_printf(arena, "%04d-%02d", year, month);
	return bf_arena_printf(arena, "%04d-%02d-%02d", year, month, day);
}
