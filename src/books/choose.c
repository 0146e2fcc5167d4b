/*
 * choose: which work an edition belongs to.
 *
 * A wrong work is worse than a second one, which a later look can still join. So a title alone
 * never decides, and an author alone never does: two people's books of one name stay two, and so do
 * volumes, sequels, and translations under another title. What the ISBN says weighs most: the
 * edition's own work always; a work of its ISBN family when title and author agree as far as both
 * are known; the work of the candidate that was resolved to this ISBN unless its author is clearly
 * another, or its title tells a sibling of the book.
 */
#include "backfill/books.h"
#include "names.h"
#include "title.h"
#include <string.h>

#define SIMILARITY   0.60 /* what differing subtitles must share */
#define TITLE_LEAST  75
#define AUTHOR_SAME  80
#define AUTHOR_OTHER 50   /* below: another person */
#define SIBLING      0.50 /* of titles that do not relate */

enum {
	SURE_ISBN = 100,
	SURE_FAMILY = 95,
	SURE_CANDIDATE = 92,
	SURE_FAMILY_UNNAMED = 91,
	SURE_AUTHOR_MOST = 90,
	SURE_CANDIDATE_ODD = 75
};

/* A book taken apart. */
struct side {
	const char *text, *subtitle, *authors;
	struct title title;
	struct names names;
	bool titled, named, latin; /* named: by people who can be compared */
};

/* Takes a book apart. */
static void side_init(struct side *s, const char *title, const char *subtitle, const char *authors)
{
	s->text = title;
	s->subtitle = subtitle != NULL && subtitle[0] != '\0' ? subtitle : NULL;
	s->authors = authors != NULL ? authors : "";
	title_parse(&s->title, title, s->subtitle);
	names_parse(&s->names, s->authors);
	s->titled = title != NULL && s->title.n_all > 0;
	s->named = s->names.n > 0;
	for (unsigned i = 0; i < s->names.n; i++)
		s->named = s->named && !s->names.name[i].various;
	s->latin = language_is_latin(s->authors);
}

/* What comparing the two shows. */
struct likeness {
	int title, author;
	bool comparable, other_volume, other_kind;
	bool more_kind; /* the edition is a summary, a set, ... which the work is not */
	bool sibling;   /* a title nearly the same, or its volume: the sequel's, not a slip */
};

/* Authors of two scripts, and collections by various people, say nothing for or against. */
static void compare(const struct side *a, const struct side *b, struct likeness *ret)
{
	char key_a[BF_KEY_MAX], key_b[BF_KEY_MAX];
	unsigned kinds_a, kinds_b;
	const char *why = "";
	bool first;

	*ret = (struct likeness){ .comparable = a->named && b->named && a->latin == b->latin };
	if (ret->comparable)
		ret->author = names_similarity(&a->names, &b->names, &first);
	if (!a->titled || !b->titled)
		return;
	ret->title = relate_titles(&a->title, &b->title, SIMILARITY, true, &why);
	ret->other_volume = ret->title == 0 && strcmp(why, "volume") == 0;
	kinds_a = kinds_of_title(&a->title) & ~(unsigned)KIND_LARGE_PRINT;
	kinds_b = kinds_of_title(&b->title) & ~(unsigned)KIND_LARGE_PRINT;
	ret->other_kind = kinds_a != kinds_b;
	ret->more_kind = (kinds_a & ~kinds_b) != 0;
	title_join(&a->title, 0, a->title.n_main, key_a, sizeof(key_a));
	title_join(&b->title, 0, b->title.n_main, key_b, sizeof(key_b));
	ret->sibling = ret->title == 0 && bf_key_similarity(key_a, key_b) >= SIBLING;
}

/* One author and one title, as strictly as when the AIs' books are brought together. */
static int same_book(const struct side *a, const struct side *b, const struct likeness *like)
{
	struct bf_book x = { .title = a->text, .subtitle = a->subtitle, .author = a->authors };
	struct bf_book y = { .title = b->text, .subtitle = b->subtitle, .author = b->authors };
	int lower = like->title < like->author ? like->title : like->author;

	if (!a->titled || !b->titled || !like->comparable || like->author < AUTHOR_SAME ||
		!bf_book_same(&x, &y, SIMILARITY))
		return 0;
	return lower < SURE_AUTHOR_MOST ? lower : SURE_AUTHOR_MOST;
}

/* A work that has an edition of the family. */
static int family(const struct side *a, const struct side *b, const struct likeness *like)
{
	bool named = like->comparable && like->author >= AUTHOR_SAME;

	if (like->comparable && like->author < AUTHOR_OTHER)
		return 0;
	if (like->other_volume || like->other_kind)
		return 0;
	if (!a->titled || !b->titled) /* nothing to compare but the people */
		return named ? SURE_FAMILY_UNNAMED : 0;
	if (like->title < TITLE_LEAST)
		return 0;
	return named ? SURE_FAMILY : SURE_FAMILY_UNNAMED;
}

/* The AI's work for which this ISBN was found. */
static int candidate(const struct side *a, const struct side *b, const struct likeness *like)
{
	if (like->comparable && like->author < AUTHOR_OTHER)
		return 0;
	if (like->more_kind || like->sibling)
		return 0;
	if (like->title >= TITLE_LEAST)
		return SURE_CANDIDATE;
	if (like->comparable)
		return SURE_CANDIDATE_ODD;
	return a->titled && b->titled ? 0 : SURE_CANDIDATE_ODD;
}

/* 0..100, how surely the work is the edition's. */
static int confidence(
	const struct side *edition, const struct side *work, enum bf_work_via via, bool *ret_same)
{
	struct likeness like;
	int same;

	compare(edition, work, &like);
	same = same_book(edition, work, &like);
	*ret_same = same > 0;
	switch (via) {
	case BF_VIA_ISBN: return SURE_ISBN;
	case BF_VIA_FAMILY: return family(edition, work, &like);
	case BF_VIA_CANDIDATE: {
		int sure = candidate(edition, work, &like);

		*ret_same = sure > 0;
		return sure;
	}
	case BF_VIA_AUTHOR:
	case BF_VIA_TRIGRAM: break;
	}
	return same;
}

/* What is written down as the reason. */
static const char *source_of(enum bf_work_via via)
{
	switch (via) {
	case BF_VIA_ISBN: return "isbn";
	case BF_VIA_FAMILY: return "isbn_family";
	case BF_VIA_CANDIDATE: return "candidate";
	case BF_VIA_AUTHOR:
	case BF_VIA_TRIGRAM: break;
	}
	return "author_title";
}

/* Does work k stand before the chosen one? Its own first, then the real ones, then the surer. */
static bool stands_before(
	const struct bf_work_known *k, int sure, const struct bf_work_known *best, int best_sure)
{
	bool own = k->via == BF_VIA_ISBN, best_own = best->via == BF_VIA_ISBN;

	if (own != best_own)
		return own;
	if (k->work.synthetic != best->work.synthetic)
		return !k->work.synthetic;
	return sure > best_sure;
}

void bf_work_choose(const char *title, const char *subtitle, const char *authors,
	const struct bf_work_known *known, size_t n, struct bf_work_choice *ret, bool *absorb)
{
	struct side edition, work;

	*ret = (struct bf_work_choice){ .index = -1, .confidence = 100, .source = "new" };
	side_init(&edition, title, subtitle, authors);
	for (size_t i = 0; i < n; i++) {
		const struct bf_work_known *k = &known[i];
		bool same;
		int sure;

		side_init(&work, k->work.title, k->work.subtitle, k->authors);
		sure = confidence(&edition, &work, k->via, &same);
		if (absorb != NULL)
			absorb[i] = k->work.synthetic && same;
		if (sure > 0 &&
			(ret->index < 0 ||
				stands_before(k, sure, &known[ret->index], ret->confidence))) {
			ret->index = (int)i;
			ret->confidence = sure;
			ret->source = source_of(k->via);
		}
	}
	if (absorb != NULL && ret->index >= 0)
		absorb[ret->index] = false;
}
