/*
 * names: keys of people and how surely two names mean one person.
 *
 * A name is brought into natural order, folded, and freed of titles, degrees and `Jr.`; initials
 * standing together are one word, so that `J.K.`, `J. K.` and `JK` agree. A first name may be an
 * initial on one side; middle names may be missing on one side; both sides' last names must agree
 * but for one slip.
 */
#include <string.h>
#include "backfill/books.h"
#include "fold.h"
#include "names.h"
#include "words.h"

static const char honorifics[] = "dr prof professor sir dame rev reverend mr mrs ms miss lord lady "
				 "st saint hon capt captain "
				 "col general father sister rabbi pastor";
static const char dropped[] =
	"jr sr ii iii iv junior senior phd md esq dphil mba dds jd obe mbe cbe autofilled editor";

/* First names which are one: each row is one person's. */
static const char *const nicknames[] = {
	"stephen steven steve",
	"william bill will willie billy",
	"robert bob rob bobby robbie",
	"michael mike mick",
	"thomas tom tommy",
	"james jim jimmy jamie",
	"joseph joe",
	"daniel dan danny",
	"david dave",
	"jonathan jon john jonathon",
	"christopher chris",
	"matthew matt mathew",
	"richard rick dick rich",
	"edward ed eddie ted",
	"anthony tony antony",
	"nicholas nick nicolas",
	"andrew andy drew",
	"samuel sam",
	"benjamin ben",
	"alexander alex alec aleksandr",
	"gregory greg",
	"jeffrey jeff geoffrey",
	"kenneth ken",
	"timothy tim",
	"donald don",
	"ronald ron",
	"lawrence larry laurence",
	"charles charlie chuck",
	"elizabeth liz beth betsy eliza lizzie",
	"katherine kate kathy catherine katharine kathryn cathy katie",
	"margaret maggie meg peggy",
	"susan sue suzanne",
	"deborah deb debbie debra",
	"jennifer jen jenny",
	"patricia pat patty",
	"rebecca becky",
	"sara sarah",
	"ann anne anna",
	"philip phillip phil",
	"alan allan allen",
	"brian bryan",
	"eric erik",
	"marc mark",
	"jon john",
	"fyodor fedor",
	"lev leo",
	"aleksandr alexander",
	"frederick fred",
	"vincent vince",
	"victoria vicki vicky",
	"jessica jess jessie",
	"douglas doug",
	"theodore ted theo",
	"peter pete",
	"walter walt",
	"raymond ray",
	"leonard len leo",
	"kristin kristen",
	"teresa theresa",
	"gabrielle gaby",
	"max maxwell",
};

static const char various_names[] =
	"various anthology multiple assorted several verschiedene diverse";

/* Takes one word out. */
static void drop_word(struct name *p, unsigned i)
{
	for (unsigned j = i; j + 1 < p->n_words; j++)
		p->word[j] = p->word[j + 1];
	p->n_words--;
}

/* Is the word one of the list? */
static bool word_in(const struct name *p, unsigned i, const char *list)
{
	return words_in(p->key + p->word[i].off, p->word[i].len, list);
}

/* Writes the words anew into key, neighbouring initials as one. */
static void rebuild_key(struct name *p)
{
	char out[NAME_KEY_MAX];
	size_t len = 0;
	unsigned n = 0;

	for (unsigned i = 0; i < p->n_words; i++) {
		bool joins = n > 0 && p->word[i].initials && p->word[n - 1].initials;

		if (!joins && len > 0)
			out[len++] = ' ';
		memcpy(out + len, p->key + p->word[i].off, p->word[i].len);
		if (joins) {
			p->word[n - 1].len = (uint8_t)(p->word[n - 1].len + p->word[i].len);
		} else {
			p->word[n].off = (uint8_t)len;
			p->word[n].len = p->word[i].len;
			p->word[n].initials = p->word[i].initials;
			n++;
		}
		len += p->word[i].len;
	}
	out[len] = '\0';
	memcpy(p->key, out, len + 1);
	p->n_words = (uint8_t)n;
}

/* `JK`, `JRR`: up to three letters without a vowel are initials, if more of the name follows. */
static bool looks_initials(const char *w, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (w[i] < 'a' || w[i] > 'z' || strchr("aeiouy", w[i]) != NULL)
			return len == 1;
	return len <= 3;
}

/* Folds one span of a name onto its key. */
static size_t append_span(struct name *p, size_t len, const char *s, size_t n)
{
	if (n == 0 || len + 2 >= NAME_KEY_MAX)
		return len;
	if (len > 0)
		p->key[len++] = ' ';
	return len + fold_span(s, n, p->key + len, NAME_KEY_MAX - len);
}

/* Makes a name of one person's span. */
static void parse_one(struct name *p, const struct name_span *span)
{
	size_t len = append_span(p, 0, span->first, span->first_len);
	unsigned marked = 0;

	len = append_span(p, len, span->last, span->last_len);
	p->key[len] = '\0';
	p->n_words = 0;
	for (size_t at = 0; at < len && p->n_words < NAME_WORDS_MAX;) {
		size_t n = words_len(p->key + at);

		p->word[p->n_words].off = (uint8_t)at;
		p->word[p->n_words].len = (uint8_t)n;
		p->n_words++;
		at += n + 1;
	}
	while (p->n_words > 1 && word_in(p, 0, honorifics))
		drop_word(p, 0);
	while (p->n_words > 1 && word_in(p, p->n_words - 1u, dropped))
		drop_word(p, p->n_words - 1u);
	/* "Ph.D.", "M.D." in letters */
	while (p->n_words > 3 && word_in(p, p->n_words - 1u, "d") &&
	       word_in(p, p->n_words - 2u, "ph m"))
		p->n_words = (uint8_t)(p->n_words - 2);
	for (unsigned i = 0; i < p->n_words; i++) {
		p->word[i].initials = p->word[i].len == 1 ||
				      (i + 1u < p->n_words &&
				       looks_initials(p->key + p->word[i].off, p->word[i].len));
		marked += p->word[i].initials;
	}
	if (marked == p->n_words && p->n_words > 1)	/* an all-initial name keeps its words */
		p->word[p->n_words - 1].initials = false;
	rebuild_key(p);
	p->various = p->n_words <= 3 && word_in(p, 0, various_names) &&
		     (p->n_words == 1 ||
		      word_in(p, p->n_words - 1u, "authors author writers contributors artists"));
	p->various = p->various || strcmp(p->key, "anthology") == 0 ||
		     strcmp(p->key, "vv aa") == 0 || strcmp(p->key, "vvaa") == 0 ||
		     strcmp(p->key, "aavv") == 0;
	if (p->various)
		memcpy(p->key, "various", sizeof("various"));
}

void names_parse(struct names *names, const char *authors)
{
	struct name_span span[NAMES_MAX];
	size_t n = split_authors(authors, span, NAMES_MAX);

	names->n = 0;
	for (size_t i = 0; i < n; i++) {
		parse_one(&names->name[names->n], &span[i]);
		if (names->name[names->n].n_words > 0)
			names->n++;
	}
	/* a list that tore `Mew, Charlotte` apart: put it together as a third candidate */
	if (names->n == 2 && names->name[0].n_words == 1 && names->name[1].n_words == 1 && n == 2) {
		struct name_span both = {
			span[1].first, span[0].first, span[1].first_len, span[0].first_len, "", 0
		};

		parse_one(&names->name[names->n++], &both);
	}
}

/* Are both in one row of the nicknames? */
static bool same_nickname(const char *a, size_t a_len, const char *b, size_t b_len)
{
	for (size_t i = 0; i < BF_COUNT(nicknames); i++)
		if (words_in(a, a_len, nicknames[i]) && words_in(b, b_len, nicknames[i]))
			return true;
	return false;
}

/* Two first or middle names: 100 equal, less for initials, nicknames and slips, 0 for different
 * ones. */
static int given_similarity(const struct name *a, unsigned i, const struct name *b, unsigned j)
{
	const char *wa = a->key + a->word[i].off, *wb = b->key + b->word[j].off;
	size_t la = a->word[i].len, lb = b->word[j].len, least = la < lb ? la : lb;

	if (la == lb && memcmp(wa, wb, la) == 0)
		return 100;
	if (a->word[i].initials && b->word[j].initials)
		return memcmp(wa, wb, least) == 0 ? 95 : 0;
	if (a->word[i].initials || b->word[j].initials)
		return wa[0] == wb[0] ? 92 : 0;
	if (same_nickname(wa, la, wb, lb))
		return 90;
	if (least >= 4 && words_one_edit(wa, la, wb, lb, false))
		return 86;
	return 0;
}

/* Last names: equal, or one slip in five letters or more. */
static int last_similarity(const char *wa, size_t la, const char *wb, size_t lb)
{
	if (la == lb && memcmp(wa, wb, la) == 0)
		return 100;
	if (la >= 5 && lb >= 5 && wa[0] == wb[0] && words_one_edit(wa, la, wb, lb, false))
		return 86;
	if (la >= 6 && lb >= 6 && words_one_edit(wa, la, wb, lb, false))
		return 82;
	/* Clak for Clark: a letter lost or doubled in a short one */
	if (la >= 4 && lb >= 4 && la + lb >= 9 && words_one_edit(wa, la, wb, lb, true))
		return 78;
	return 0;
}

/* The given names' letters in front of the last name, each name's first. */
static size_t initials_of(const struct name *p, char out[16])
{
	size_t n = 0;

	for (unsigned i = 0; i + 1u < p->n_words && n < 15; i++) {
		if (p->word[i].initials)
			for (unsigned k = 0; k < p->word[i].len && n < 15; k++)
				out[n++] = p->key[p->word[i].off + k];
		else
			out[n++] = p->key[p->word[i].off];
	}
	return n;
}

/* Do two names of given names contradict each other? Middle ones may be missing or be initials. */
static int givens_similarity(const struct name *a, const struct name *b)
{
	char ia[16], ib[16];
	size_t na = initials_of(a, ia), nb = initials_of(b, ib), least = na < nb ? na : nb;
	int first = given_similarity(a, 0, b, 0);

	if (first == 0)
		return 0;
	/* the fewer letters must follow each other in the more: "jt" in "jrt" */
	for (size_t i = 0, j = 0; i < least; i++) {
		const char *more = na > nb ? ia : ib, *less = na > nb ? ib : ia;
		size_t n_more = na > nb ? na : nb;

		while (j < n_more && more[j] != less[i])
			j++;
		if (j == n_more)
			return na > 1 && nb > 1 ? (first == 100 && i > 0 ? 60 : 0) : 0;
		j++;
	}
	/* full middle names on both sides must agree as far as they go */
	if (a->n_words == 3 && b->n_words == 3) {
		int middle = given_similarity(a, 1, b, 1);

		if (middle == 0)
			return 60;
		return middle < first ? middle : first;
	}
	return na != nb && first > 96 ? 96 : first;
}

/* Do the keys agree but for their spaces? */
static bool same_letters(const struct name *a, const struct name *b)
{
	const char *p = a->key, *q = b->key;

	while (*p != '\0' || *q != '\0') {
		p += *p == ' ';
		q += *q == ' ';
		if (*p != *q)
			return false;
		p += *p != '\0';
		q += *q != '\0';
	}
	return true;
}

/* The same words in another order: `Liu Cixin`, `Cixin Liu`. */
static bool same_words(const struct name *a, const struct name *b)
{
	bool used[NAME_WORDS_MAX] = { false };

	if (a->n_words != b->n_words || a->n_words < 2)
		return false;
	for (unsigned i = 0; i < a->n_words; i++) {
		bool found = false;

		for (unsigned j = 0; j < b->n_words && !found; j++) {
			if (!used[j] && a->word[i].len == b->word[j].len &&
			    memcmp(a->key + a->word[i].off, b->key + b->word[j].off,
				   a->word[i].len) == 0)
				found = used[j] = true;
		}
		if (!found)
			return false;
	}
	return true;
}

/* One word against a whole name: a last name alone, or one of two last names. */
static int partial_similarity(const struct name *a, const struct name *b)
{
	const struct name *one = a->n_words < b->n_words ? a : b, *more = one == a ? b : a;
	unsigned last = more->n_words - 1u;

	if (one->n_words == 1) {
		const char *w = one->key;
		size_t len = one->word[0].len;

		return len >= 4 && last_similarity(w, len, more->key + more->word[last].off,
						   more->word[last].len) == 100 ?
			       74 :
			       0;
	}
	/* Gabriel García for Gabriel García Márquez: the front part, word by word */
	if (more->n_words == one->n_words + 1 && !one->word[0].initials && one->n_words >= 2 &&
	    memcmp(one->key, more->key, strlen(one->key)) == 0 &&
	    more->key[strlen(one->key)] == ' ' && !more->word[last - 1].initials)
		return 78;
	return 0;
}

/* 0..100 for one person against another. */
static int name_similarity(const struct name *a, const struct name *b)
{
	int last, givens;
	unsigned la = a->n_words - 1u, lb = b->n_words - 1u;

	if (a->various || b->various)
		return a->various && b->various ? 100 : 0;
	if (strcmp(a->key, b->key) == 0)
		return 100;
	if (same_letters(a, b))
		return 98;
	if (same_words(a, b))
		return 96;
	if (a->n_words == 1 && b->n_words == 1)
		return last_similarity(a->key, a->word[0].len, b->key, b->word[0].len) >= 86 &&
				       a->word[0].len >= 6 && b->word[0].len >= 6 ?
			       84 :
			       0;
	if (a->n_words == 1 || b->n_words == 1)
		return partial_similarity(a, b);
	last = last_similarity(a->key + a->word[la].off, a->word[la].len, b->key + b->word[lb].off,
			       b->word[lb].len);
	if (last == 0)
		return partial_similarity(a, b);
	givens = givens_similarity(a, b);
	if (givens < 92 && last < 100)
		return givens == 0 ? 0 : 50;	/* a slip in both is another person */
	if (givens == 0)
		return 25;
	return givens < last ? givens : last;
}

int names_similarity(const struct names *a, const struct names *b, bool *ret_first)
{
	int best = 0;

	*ret_first = false;
	for (unsigned i = 0; i < a->n; i++) {
		for (unsigned j = 0; j < b->n; j++) {
			int s = name_similarity(&a->name[i], &b->name[j]);

			if (s > best) {
				best = s;
				*ret_first = i == 0 && j == 0;
			}
		}
	}
	return best;
}

int bf_author_similarity(const char *a, const char *b)
{
	struct names na, nb;
	bool first;

	names_parse(&na, a);
	names_parse(&nb, b);
	return names_similarity(&na, &nb, &first);
}

void bf_author_key(const char *author, char ret[BF_KEY_MAX])
{
	struct names names;

	names_parse(&names, author);
	if (names.n > 0)
		memcpy(ret, names.name[0].key, strlen(names.name[0].key) + 1);
	else
		bf_fold(author, ret, BF_KEY_MAX);
}

size_t bf_author_split(const char *authors, struct bf_arena *arena, const char **ret, size_t max)
{
	struct name_span span[NAMES_MAX * 2];
	size_t n = split_authors(authors, span, max < BF_COUNT(span) ? max : BF_COUNT(span));

	for (size_t i = 0; i < n; i++) {
		const struct name_span *s = &span[i];

		ret[i] = bf_arena_printf(arena, "%.*s%s%.*s%s%.*s", (int)s->first_len, s->first,
					 s->last_len > 0 ? " " : "", (int)s->last_len, s->last,
					 s->suffix_len > 0 ? " " : "", (int)s->suffix_len,
					 s->suffix);
	}
	return n;
}
