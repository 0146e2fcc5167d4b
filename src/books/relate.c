/*
 * relate: how surely two titles, taken apart, name one work.
 *
 * One: the same words, give or take articles inside, a spelling, one slip of the pen; a subtitle
 * that one side leaves out; a series name put before the title; subtitles that are alike. Two: any
 * whole word of difference in the main titles, two subtitles that have too little in common,
 * volumes that differ. `similarity` (0..1) is what two differing subtitles must reach, and what a
 * main title with a slip in it must keep over its whole length.
 */
#include <string.h>
#include "backfill/books.h"
#include "title.h"
#include "words.h"

/* What walking two word sequences found. */
struct walk {
	enum word_match worst;
	unsigned slips;			/* words with a slip of the pen */
	unsigned skipped;		/* articles only one side has */
	unsigned anchors;		/* equal words of four letters or more */
};

struct span { const struct title *t; unsigned from, to; };

/* The i-th counting word. */
static const char *span_word(const struct span *s, unsigned i, size_t *len)
{
	return title_word_at(s->t, s->t->seq[i], len);
}

/* The words without their spaces: `spider man` is `spiderman`. */
static bool same_joined(struct span a, struct span b)
{
	char ta[BF_KEY_MAX], tb[BF_KEY_MAX];
	size_t na = 0, nb = 0;

	for (unsigned i = a.from; i < a.to; i++) {
		size_t len;
		const char *w = span_word(&a, i, &len);

		if (na + len > sizeof(ta))
			return false;
		memcpy(ta + na, w, len);
		na += len;
	}
	for (unsigned i = b.from; i < b.to; i++) {
		size_t len;
		const char *w = span_word(&b, i, &len);

		if (nb + len > sizeof(tb))
			return false;
		memcpy(tb + nb, w, len);
		nb += len;
	}
	return na == nb && na >= 4 && memcmp(ta, tb, na) == 0;
}

/* Steps over an article at the front of a span which the other side does not have. */
static bool skip_article(struct span *s, struct walk *walk)
{
	size_t len;
	const char *w;

	if (s->from >= s->to)
		return false;
	w = span_word(s, s->from, &len);
	if (!words_is_article(w, len))
		return false;
	s->from++;
	walk->skipped++;
	return true;
}

/* Compares two sequences word by word. */
static struct walk walk_words(struct span a, struct span b)
{
	struct walk walk = { WORD_EQUAL, 0, 0, 0 };
	struct span a_all = a, b_all = b;

	while (a.from < a.to || b.from < b.to) {
		size_t a_len = 0, b_len = 0;
		const char *wa = a.from < a.to ? span_word(&a, a.from, &a_len) : "";
		const char *wb = b.from < b.to ? span_word(&b, b.from, &b_len) : "";
		enum word_match m = words_match(wa, a_len, wb, b_len);

		if (m != WORD_EQUAL && (skip_article(&a, &walk) || skip_article(&b, &walk)))
			continue;
		if (m == WORD_OTHER) {
			walk.worst = same_joined(a_all, b_all) ? WORD_SPELLING : WORD_OTHER;
			walk.slips = 0;
			return walk;
		}
		if (m > walk.worst)
			walk.worst = m;
		walk.slips += m == WORD_TYPO || m == WORD_SLIP;
		walk.anchors += m <= WORD_SPELLING && a_len >= 4;
		a.from++;
		b.from++;
	}
	if (walk.slips > 1)
		walk.worst = WORD_OTHER;
	return walk;
}

/* 0..100 for two spans; 0 when they differ in a word. */
static int relate_spans(struct span a, struct span b, double similarity, bool lenient)
{
	struct walk walk;
	char ta[BF_KEY_MAX], tb[BF_KEY_MAX];
	int score = 100;

	if (a.from == a.to || b.from == b.to)
		return 0;
	walk = walk_words(a, b);
	switch (walk.worst) {
	case WORD_EQUAL:
		break;
	case WORD_SPELLING:
		score = 98;
		break;
	case WORD_TYPO:
	case WORD_SLIP:
		if (walk.worst == WORD_SLIP && (!lenient || walk.anchors == 0))
			return 0;
		title_join(a.t, a.from, a.to, ta, sizeof(ta));
		title_join(b.t, b.from, b.to, tb, sizeof(tb));
		if (bf_key_similarity(ta, tb) < similarity)
			return 0;
		score = walk.worst == WORD_TYPO ? 92 : 84;
		break;
	case WORD_OTHER:
		return 0;
	}
	return walk.skipped > 0 ? score - 1 : score;
}


/* Are the series the two name the same, as far as they name one? */
static bool same_series(const struct title *a, const struct title *b)
{
	if (a->n_series == 0 || b->n_series == 0)
		return true;
	for (unsigned i = 0; i < a->n_series && i < b->n_series; i++) {
		size_t la, lb;
		const char *wa = title_word_at(a, a->series[i], &la),
			   *wb = title_word_at(b, b->series[i], &lb);

		if (la != lb || memcmp(wa, wb, la) != 0)
			return false;
	}
	return true;
}

/* Different volumes of one thing. A firm number needs its like; a place in a series only must not
 * contradict. */
static bool volumes_differ(const struct title *a, const struct title *b)
{
	if (a->volume == 0 && b->volume == 0)
		return false;
	if (a->volume_firm || b->volume_firm)
		return a->volume != b->volume || a->volume_part != b->volume_part;
	return a->volume != 0 && b->volume != 0 && a->volume != b->volume && same_series(a, b);
}

/* What two subtitles have in common, 0..1: their letters or, where one is told at greater length,
 * their words. */
static double subtitles_alike(struct span a, struct span b)
{
	char ta[BF_KEY_MAX], tb[BF_KEY_MAX];
	unsigned na = 0, nb = 0, shared = 0;
	double letters, words = 0.0;

	for (unsigned i = a.from; i < a.to; i++) {
		size_t la, lb;
		const char *wa = span_word(&a, i, &la), *wb;
		bool found = false;

		if (la < 4)
			continue;
		for (unsigned j = b.from; j < b.to && !found; j++) {
			wb = span_word(&b, j, &lb);
			found = words_match(wa, la, wb, lb) <= WORD_TYPO;
		}
		na++;
		shared += found;
	}
	for (unsigned j = b.from; j < b.to; j++) {
		size_t lb;

		span_word(&b, j, &lb);
		nb += lb >= 4;
	}
	nb = nb < na ? nb : na;
	if (nb >= 2)
		words = shared >= nb ? 1.0 : (double)shared / nb;
	title_join(a.t, a.from, a.to, ta, sizeof(ta));
	title_join(b.t, b.from, b.to, tb, sizeof(tb));
	letters = bf_key_similarity(ta, tb);
	/* in short ones every word counts: `Five Little Pumpkins`, `Five Little Bunnies` */
	if (nb <= 3 && words < 1.0)
		return letters >= 0.85 ? letters : letters / 2;
	return words > letters ? words : letters;
}

/* Does one end in a number with which the other does not? */
static bool last_numbers_differ(struct span a, struct span b)
{
	size_t la, lb;
	const char *wa = span_word(&a, a.to - 1, &la), *wb = span_word(&b, b.to - 1, &lb);
	int na = words_number(wa, la), nb = words_number(wb, lb);

	return na != nb;
}

/* Two subtitles, or one and none: what they make of equal main titles. */
static int relate_subtitles(const struct title *a, const struct title *b, double similarity,
			    const char **why)
{
	struct span sa = { a, a->n_main, a->n_all }, sb = { b, b->n_main, b->n_all };
	unsigned words;
	double alike;

	if (sa.from == sa.to && sb.from == sb.to)
		return 100;
	if (sa.from == sa.to || sb.from == sb.to) {
		char main[BF_KEY_MAX];

		title_join(a, 0, a->n_main, main, sizeof(main));
		*why = "subtitle on one side";
		if (kinds_is_franchise(main) && !a->volume_firm)
			return 0;
		/* two words after the colon are as often another title as a subtitle */
		words = (sa.to - sa.from) + (sb.to - sb.from);
		return words <= 2 ? 88 : 95;
	}
	if (relate_spans(sa, sb, similarity, true) > 0)
		return 99;
	alike = last_numbers_differ(sa, sb) ? 0.0 : subtitles_alike(sa, sb);
	*why = alike >= similarity ? "subtitles alike" : "subtitles differ";
	return alike >= similarity ? 94 : 0;
}

/* Is the span more than articles and little words? */
static bool has_substance(struct span s)
{
	for (unsigned i = s.from; i < s.to; i++) {
		size_t len;
		const char *w = span_word(&s, i, &len);

		if (len >= 4 || (unsigned char)w[0] >= 0x80)
			return true;
	}
	return false;
}

/* `Percy Jackson: The Last Olympian` is `The Last Olympian`: all of `plain` stands behind a colon
 * of `prefixed`. */
static int relate_prefixed(const struct title *plain, const struct title *prefixed,
			   double similarity)
{
	struct span whole = { plain, 0, plain->n_all }, main = { plain, 0, plain->n_main };

	for (unsigned p = 1; p < prefixed->n_parts; p++) {
		struct span tail = { prefixed, prefixed->part_start[p], prefixed->n_all };

		if (!has_substance(tail))
			continue;
		if (relate_spans(whole, tail, similarity, false) > 0 ||
		    (plain->n_all > plain->n_main &&
		     relate_spans(main, tail, similarity, false) > 0))
			return 85;
	}
	return 0;
}

int relate_titles(const struct title *a, const struct title *b, double similarity, bool lenient,
		  const char **ret_why)
{
	struct span a_all = { a, 0, a->n_all }, b_all = { b, 0, b->n_all };
	struct span a_main = { a, 0, a->n_main }, b_main = { b, 0, b->n_main };
	int whole, main, sub;

	*ret_why = "title";
	if (a->n_all == 0 || b->n_all == 0)
		return 0;
	if (volumes_differ(a, b)) {
		*ret_why = "volume";
		return 0;
	}
	whole = relate_spans(a_all, b_all, similarity, lenient);
	main = relate_spans(a_main, b_main, similarity, lenient);
	if (whole >= main && whole > 0)
		return whole;
	if (a->joined != b->joined) {
		*ret_why = "several works in one";
		return 0;
	}
	if (main > 0) {
		sub = relate_subtitles(a, b, similarity, ret_why);
		if (sub == 0)
			return 0;
		return main < sub ? main - (100 - sub) / 2 : sub - (100 - main) / 2;
	}
	if (whole > 0)
		return whole;
	*ret_why = "series before the title";
	main = relate_prefixed(a, b, similarity);
	sub = relate_prefixed(b, a, similarity);
	if (main > 0 || sub > 0)
		return main > sub ? main : sub;
	*ret_why = "title";
	return 0;
}
