/*
 * search: an inverted index over the folded words of titles and names. A word that is nowhere in
 * the index stands for those one letter away from it, so a slip of the finger still finds the
 * book. Words weigh by how rare they are. Generated and invented titles are not indexed: their
 * words spell their id.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "sandbox.h"

#define WORD_MAX    64
#define QUERY_WORDS 40
#define NEAR_WORDS  6		/* how many words a misspelt one may stand for */
#define NOTHING	    UINT32_MAX
#define IN_MAIN	    0x80000000u	/* flag on a work's title word: it belongs to the main part */

/* The tables of words.c, whose words spell ids; most terms are in none. */
enum table { TABLE_NONE, TABLE_ADJECTIVE, TABLE_NOUN, TABLE_PLACE, TABLE_PERSON };
struct term {
	const char *word;
	uint32_t len, df, title_at, title_n, author_at, author_n;
	bool stop;
	enum table table;
	int  index;
};
struct posting { uint32_t term, work; bool author, main; };

struct search {
	const struct catalogue *catalogue;
	struct bf_arena *arena;
	struct term *terms;
	size_t	  n_terms, cap_terms;
	uint32_t *slots;		/* hash table: term + 1 */
	size_t	  mask;
	struct posting *pairs;		/* while building */
	size_t	  n_pairs, cap_pairs;
	uint32_t *works;		/* postings: title ones, then author ones, per term */
	uint32_t *forward, *forward_at;	/* terms per work: title words (IN_MAIN), */
	uint32_t *names, *names_at;	/* and words of names */
	uint64_t *mains;		/* hashes of main titles, sorted */
	uint64_t *main_of;		/* the same by work */
	float	 *score;		/* per work, all zero between runs */
	uint32_t *touched;
};

static const char *const stop_words[] = {
	"the", "a", "an", "of", "and", "in", "to", "for", "on", "at", "by", "with", "from", "s"
};

/* Place of a word in the hash table. */
static uint32_t *term_slot(const struct search *s, const char *word, size_t len)
{
	size_t i = (size_t)dice_hash_bytes(0, word, len) & s->mask;

	while (s->slots[i] &&
		(s->terms[s->slots[i] - 1].len != len ||
			memcmp(s->terms[s->slots[i] - 1].word, word, len)))
		i = (i + 1) & s->mask;
	return &s->slots[i];
}

/* Doubles the hash table. */
static void grow_slots(struct search *s)
{
	free(s->slots);
	s->mask = s->mask * 2 + 1;
	s->slots = bf_xcalloc(s->mask + 1, sizeof(*s->slots));
	for (size_t t = 0; t < s->n_terms; t++)
		*term_slot(s, s->terms[t].word, s->terms[t].len) = (uint32_t)t + 1;
}

/* The number of a word, made when it is new. */
static uint32_t term_of(struct search *s, const char *word, size_t len)
{
	uint32_t *slot;

	if (s->n_terms * 2 >= s->mask)
		grow_slots(s);
	slot = term_slot(s, word, len);
	if (!*slot) {
		if (s->n_terms == s->cap_terms) {
			s->cap_terms = s->cap_terms * 2 + 1024;
			s->terms = bf_xrealloc(s->terms, s->cap_terms, sizeof(*s->terms));
		}
		s->terms[s->n_terms] = (struct term){ .word = bf_arena_strndup(s->arena, word, len),
			.len = (uint32_t)len };
		for (size_t i = 0; i < BF_COUNT(stop_words); i++)
			s->terms[s->n_terms].stop |=
				!strcmp(stop_words[i], s->terms[s->n_terms].word);
		*slot = (uint32_t)++s->n_terms;
	}
	return *slot - 1;
}

/* Next word of a folded text; false at the end. */
static bool next_word(const char **text, const char **word, size_t *len)
{
	*text += strspn(*text, " ");
	*word = *text;
	*len = strcspn(*text, " ");
	*text += *len;
	return *len > 0;
}

/* Notes every word of a text as belonging to a work. */
static void add_words(struct search *s, uint32_t work, const char *text, bool author, bool main)
{
	char folded[BF_KEY_MAX];
	const char *p = folded, *word;
	size_t len;

	bf_fold(text, folded, sizeof(folded));
	while (next_word(&p, &word, &len)) {
		if (s->n_pairs == s->cap_pairs) {
			s->cap_pairs = s->cap_pairs * 2 + 4096;
			s->pairs = bf_xrealloc(s->pairs, s->cap_pairs, sizeof(*s->pairs));
		}
		s->pairs[s->n_pairs++] =
			(struct posting){ term_of(s, word, len), work, author, main };
	}
}

/* Turns the pairs into one list of works per term and two lists of terms per work. */
static void build_lists(struct search *s)
{
	size_t n = s->catalogue->n, at = 0, forward = 0, names = 0;
	uint32_t *fill;

	for (size_t i = 0; i < s->n_pairs; i++)
		if (s->pairs[i].author)
			s->terms[s->pairs[i].term].author_n++;
		else
			s->terms[s->pairs[i].term].title_n++;
	for (size_t t = 0; t < s->n_terms; t++) {
		struct term *term = &s->terms[t];

		term->title_at = (uint32_t)at;
		term->author_at = (uint32_t)(at += term->title_n);
		at += term->author_n;
		term->df = term->title_n + term->author_n;
	}
	s->works = bf_xcalloc(at + 1, sizeof(*s->works));
	s->forward = bf_xcalloc(s->n_pairs + 1, sizeof(*s->forward));
	s->names = bf_xcalloc(s->n_pairs + 1, sizeof(*s->names));
	s->forward_at = bf_xcalloc(n + 1, sizeof(*s->forward_at));
	s->names_at = bf_xcalloc(n + 1, sizeof(*s->names_at));
	fill = bf_xcalloc(s->n_terms * 2 + 1, sizeof(*fill));
	for (size_t i = 0; i < s->n_pairs; i++) {	/* pairs come work by work */
		const struct posting *p = &s->pairs[i];
		const struct term *t = &s->terms[p->term];

		s->works[(p->author ? t->author_at : t->title_at) +
			fill[p->term * 2 + p->author]++] = p->work;
		if (p->author)
			s->names[names++] = p->term;
		else
			s->forward[forward++] = p->term | (p->main ? IN_MAIN : 0);
		s->forward_at[p->work + 1] = (uint32_t)forward;
		s->names_at[p->work + 1] = (uint32_t)names;
	}
	free(fill);
	free(s->pairs);
	s->pairs = NULL;
}

/* Sorts hashes. */
static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Hash of a title's key. */
static uint64_t title_hash(const char *title)
{
	char key[BF_KEY_MAX];

	bf_title_key(title, key);
	return dice_hash_bytes(0, key, strlen(key));
}

/* Makes terms of a table's words. */
static void add_table(struct search *s, enum table table, const char *const *words, int n)
{
	char folded[BF_KEY_MAX];

	for (int i = 0; i < n; i++) {
		uint32_t t;

		bf_fold(words[i], folded, sizeof(folded));
		t = term_of(s, folded, strlen(folded));
		s->terms[t].table = table;
		s->terms[t].index = i;
	}
}

/* Builds the index; the catalogue must stay. */
struct search *search_new(const struct catalogue *c)
{
	struct search *s = bf_xcalloc(1, sizeof(*s));

	s->catalogue = c;
	s->arena = bf_arena_new();
	s->mask = 4095;
	s->slots = bf_xcalloc(s->mask + 1, sizeof(*s->slots));
	s->mains = bf_xcalloc(c->n, sizeof(*s->mains));
	s->main_of = bf_xcalloc(c->n, sizeof(*s->main_of));
	s->score = bf_xcalloc(c->n, sizeof(*s->score));
	s->touched = bf_xcalloc(c->n, sizeof(*s->touched));
	for (uint32_t i = 0; i < c->n; i++) {
		const struct work *w = &c->works[i];

		add_words(s, i, w->main, false, true);
		add_words(s, i, w->subtitle, false, false);
		add_words(s, i, w->series, false, false);
		add_words(s, i, w->authors, true, false);
		s->mains[i] = s->main_of[i] = title_hash(w->main);
	}
	add_table(s, TABLE_ADJECTIVE, words_adjectives, WORDS_ADJECTIVES);
	add_table(s, TABLE_NOUN, words_nouns, WORDS_NOUNS);
	add_table(s, TABLE_PLACE, words_places, WORDS_PLACES);
	add_table(s, TABLE_PERSON, words_people, WORDS_PEOPLE);
	build_lists(s);
	qsort(s->mains, c->n, sizeof(*s->mains), by_value);
	return s;
}

/* Frees the index. */
void search_free(struct search *s)
{
	if (!s)
		return;
	bf_arena_free(s->arena);
	free(s->terms);
	free(s->slots);
	free(s->pairs);
	free(s->works);
	free(s->forward);
	free(s->forward_at);
	free(s->names);
	free(s->names_at);
	free(s->mains);
	free(s->main_of);
	free(s->score);
	free(s->touched);
	free(s);
}

/* Is this the main title of a work in the catalogue? */
bool search_title_known(const struct search *s, const char *title)
{
	uint64_t hash = title_hash(title);

	return bsearch(&hash, s->mains, s->catalogue->n, sizeof(hash), by_value) != NULL;
}

/* How many works share this one's main title. */
unsigned search_main_count(const struct search *s, uint32_t work)
{
	uint64_t hash = s->main_of[work];
	const uint64_t *end = s->mains + s->catalogue->n;
	const uint64_t *at = bsearch(&hash, s->mains, s->catalogue->n, sizeof(hash), by_value);
	unsigned n = 0;

	while (at > s->mains && at[-1] == hash)
		at--;
	while (at < end && *at++ == hash)
		n++;
	return n;
}

/* Do the words differ by one letter at most: one more, one less, another, or two swapped? */
static bool near(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t i = 0;

	if (a_len + 1 < b_len || b_len + 1 < a_len)
		return false;
	while (i < a_len && i < b_len && a[i] == b[i])
		i++;
	if (a_len > b_len)
		return !memcmp(a + i + 1, b + i, b_len - i);
	if (a_len < b_len)
		return !memcmp(a + i, b + i + 1, a_len - i);
	if (i == a_len || !memcmp(a + i + 1, b + i + 1, a_len - i - 1))
		return true;
	return i + 1 < a_len && a[i] == b[i + 1] && a[i + 1] == b[i] &&
		!memcmp(a + i + 2, b + i + 2, a_len - i - 2);
}

struct qword {
	const char *word;
	size_t	 len;
	uint32_t terms[NEAR_WORDS];
	size_t	 n_terms;
	float	 weight;
	bool	 stop;
};

/* Rare words weigh more; a word that is nowhere weighs like one that is once. */
static float weight_of(const struct search *s, size_t df)
{
	return logf((float)(s->catalogue->n + 20) / (float)(df + 1)) + 0.2f;
}

/* Finds what a query's word stands for in the index. */
static void resolve(const struct search *s, struct qword *q)
{
	uint32_t exact = *term_slot(s, q->word, q->len);

	q->weight = weight_of(s, 0);
	if (exact) {
		q->terms[q->n_terms++] = exact - 1;
		q->stop = s->terms[exact - 1].stop;
		q->weight = weight_of(s, s->terms[exact - 1].df);
		return;
	}
	for (size_t t = 0; q->len >= 5 && t < s->n_terms && q->n_terms < NEAR_WORDS; t++)
		if (near(q->word, q->len, s->terms[t].word, s->terms[t].len))
			q->terms[q->n_terms++] = (uint32_t)t;
}

/* Splits and resolves a text's words, each once. */
static size_t query_words(const struct search *s, const char *text, struct bf_arena *arena,
	struct qword out[QUERY_WORDS])
{
	char folded[BF_KEY_MAX];
	const char *p, *word;
	size_t n = 0, len;

	bf_fold(text, folded, sizeof(folded));
	p = bf_arena_strdup(arena, folded);
	while (n < QUERY_WORDS && next_word(&p, &word, &len)) {
		bool seen = false;

		for (size_t i = 0; i < n && !seen; i++)
			seen = out[i].len == len && !memcmp(out[i].word, word, len);
		if (seen || len > WORD_MAX)
			continue;
		out[n] = (struct qword){ .word = word, .len = len };
		resolve(s, &out[n++]);
	}
	return n;
}

/* Adds a word's weight to every work that has it. */
static size_t touch(
	struct search *s, const struct qword *q, bool title, bool author, size_t n_touched)
{
	for (size_t i = 0; i < q->n_terms; i++) {
		const struct term *t = &s->terms[q->terms[i]];
		uint32_t from = title ? t->title_at : t->author_at;
		uint32_t to = author ? t->author_at + t->author_n : t->author_at;

		for (uint32_t k = from; k < to; k++) {
			uint32_t work = s->works[k];

			if (s->score[work] <= 0)
				s->touched[n_touched++] = work;
			s->score[work] += q->weight;
		}
	}
	return n_touched;
}

/* Does the query have this term? */
static struct qword *has_term(struct qword *q, size_t n, uint32_t term)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < q[i].n_terms; k++)
			if (q[i].terms[k] == term)
				return &q[i];
	return NULL;
}

/* Sums of weights that a candidate is judged by. */
struct cover { float main, main_hit, query, query_hit; unsigned names_hit; };

/* Compares a work's words with the query's. */
static void cover_of(const struct search *s, uint32_t work, struct qword *t, size_t nt,
	struct qword *a, size_t na, bool mixed, struct cover *c)
{
	bool hit[QUERY_WORDS] = { false }, all_stop = true;

	*c = (struct cover){ 0 };
	for (size_t i = 0; i < nt; i++)
		all_stop = all_stop && t[i].stop;
	for (uint32_t k = s->forward_at[work]; k < s->forward_at[work + 1]; k++) {
		uint32_t term = s->forward[k] & ~IN_MAIN;
		struct qword *q = has_term(t, nt, term);
		float weight =
			s->terms[term].stop && !all_stop ? 0 : weight_of(s, s->terms[term].df);

		if (q)
			hit[q - t] = true;
		if (!(s->forward[k] & IN_MAIN))
			continue;
		c->main += weight;
		c->main_hit += q ? weight : 0;
	}
	for (uint32_t k = s->names_at[work]; k < s->names_at[work + 1]; k++) {
		struct qword *q = has_term(mixed ? t : a, mixed ? nt : na, s->names[k]);

		if (q && s->terms[s->names[k]].len > 2)
			c->names_hit++;
		if (q && mixed)
			hit[q - t] = true;
	}
	for (size_t i = 0; i < nt; i++) {
		float weight = t[i].stop && !all_stop ? 0 : t[i].weight;

		c->query += weight;
		c->query_hit += hit[i] ? weight : 0;
	}
}

/* Keeps the best SEARCH_MAX, best first; the lower id wins a draw. */
static size_t keep(struct found *ret, size_t n, struct found f)
{
	size_t i = n;

	while (i > 0 &&
		(ret[i - 1].score < f.score ||
			(ret[i - 1].score <= f.score && ret[i - 1].work > f.work)))
		i--;
	if (i == SEARCH_MAX)
		return n;
	if (n == SEARCH_MAX)
		n--;
	memmove(&ret[i + 1], &ret[i], (n - i) * sizeof(*ret));
	ret[i] = f;
	return n + 1;
}

/* Ranks the works that share words with the query. */
static size_t run_index(struct search *s, const struct query *query, struct qword *t, size_t nt,
	struct qword *a, size_t na, struct found *ret)
{
	size_t touched = 0, n = 0, found = 0, rare = 0;
	struct found rough[SEARCH_MAX];

	for (size_t i = 0; i < nt; i++)
		rare += !t[i].stop && t[i].n_terms > 0;
	for (size_t i = 0; i < nt; i++)
		if (!t[i].stop || !rare)
			touched = touch(s, &t[i], true, query->mixed, touched);
	for (size_t i = 0; i < na; i++)
		if (a[i].len > 2)
			touched = touch(s, &a[i], false, true, touched);
	for (size_t i = 0; i < touched; i++) {
		n = keep(rough, n, (struct found){ s->touched[i], s->score[s->touched[i]], false });
		s->score[s->touched[i]] = 0;
	}
	for (size_t i = 0; i < n; i++) {
		struct found f = rough[i];
		struct cover c;
		float main, asked;
		bool named;

		cover_of(s, f.work, t, nt, a, na, query->mixed, &c);
		main = c.main > 0 ? c.main_hit / c.main : 0;
		asked = c.query > 0 ? c.query_hit / c.query : 0;
		named = c.names_hit > 0 || (!query->mixed && !na) ||
			(query->mixed && asked > 0.99f);
		f.score = main + asked + (named ? 1.0f : 0.0f);
		f.match = nt > 0 ? main > 0.6f && asked > 0.4f && named : c.names_hit > 0;
		found = keep(ret, found, f);
	}
	return found;
}

/* The word of a table that a query's word is, or nearly is; a trailing s is forgiven. */
static const struct term *table_word(const struct search *s, const struct qword *q)
{
	uint32_t bare;

	for (size_t i = 0; i < q->n_terms; i++)
		if (s->terms[q->terms[i]].table)
			return &s->terms[q->terms[i]];
	if (q->len < 4 || q->word[q->len - 1] != 's')
		return NULL;
	bare = *term_slot(s, q->word, q->len - 1);
	return bare && s->terms[bare - 1].table ? &s->terms[bare - 1] : NULL;
}

/* The generated or invented work that the words of a title spell; NOTHING when they spell none. */
static uint32_t spelt_work(const struct search *s, const struct qword *q, size_t n)
{
	int at[TABLE_PERSON + 1] = { -1, -1, -1, -1, -1 }, third;

	for (size_t i = 0; i < n; i++) {
		const struct term *t = table_word(s, &q[i]);

		if (t && at[t->table] < 0)
			at[t->table] = t->index;
	}
	third = at[TABLE_PLACE] >= 0 ? at[TABLE_PLACE] : at[TABLE_PERSON];
	if (at[TABLE_ADJECTIVE] < 0 || at[TABLE_NOUN] < 0 ||
		(at[TABLE_PLACE] < 0) == (at[TABLE_PERSON] < 0))
		return NOTHING;
	return (at[TABLE_PLACE] >= 0 ? WORK_GENERATED : WORK_INVENTED) |
		(uint32_t)(at[TABLE_ADJECTIVE] +
			WORDS_ADJECTIVES * (at[TABLE_NOUN] + WORDS_NOUNS * third));
}

/* Do the words of the query name one of the work's authors? */
static bool names_author(const struct work *k, const struct qword *q, size_t n)
{
	char folded[BF_KEY_MAX];
	const char *p = folded, *word;
	size_t len;

	bf_fold(k->authors, folded, sizeof(folded));
	while (next_word(&p, &word, &len))
		for (size_t i = 0; i < n && len > 2; i++)
			if (near(q[i].word, q[i].len, word, len))
				return true;
	return false;
}

/* Answers a query. */
size_t search_run(const struct world *w, const struct query *query, struct bf_arena *arena,
	struct found ret[SEARCH_MAX])
{
	struct search *s = w->search;
	struct qword *t = bf_arena_alloc(arena, QUERY_WORDS * sizeof(*t));
	struct qword *a = bf_arena_alloc(arena, QUERY_WORDS * sizeof(*a));
	size_t nt = query_words(s, query->title, arena, t),
	       na = query_words(s, query->author, arena, a);
	size_t n = run_index(s, query, t, nt, a, na, ret);
	uint32_t spelt = spelt_work(s, t, nt);
	const struct work *k = spelt == NOTHING ? NULL : world_work(w, spelt, arena);

	if (k && (query->mixed ? names_author(k, t, nt) : !na || names_author(k, a, na)))
		n = keep(ret, n, (struct found){ spelt, 3, true });
	return n;
}

/* Works whose main or whole title is the given one, folded. */
size_t search_exact(
	const struct world *w, const char *title, struct bf_arena *arena, uint32_t *ret, size_t max)
{
	struct found found[SEARCH_MAX];
	struct query query = { .title = title, .author = "" };
	size_t n = search_run(w, &query, arena, found), kept = 0;
	char wanted[BF_KEY_MAX], key[BF_KEY_MAX];

	bf_fold(title, wanted, sizeof(wanted));
	for (size_t i = 0; i < n && kept < max; i++) {
		const struct work *k = world_work(w, found[i].work, arena);

		bf_fold(k->main, key, sizeof(key));
		if (strcmp(key, wanted)) {
			bf_fold(bf_arena_printf(arena, "%s %s", k->main, k->subtitle), key,
				sizeof(key));
			if (strcmp(key, wanted))
				continue;
		}
		ret[kept++] = found[i].work;
	}
	return kept;
}
