/* saving: what the AIs named is read, merged and deduplicated; the move to resolving stores it with its synthetic works. */
#include "machine.h"
#include <stdlib.h>
#include <string.h>

#define AUTHORS_MAX 8

static void read_books(struct month *m)
{
	struct bf_book_list lists[BF_NAIS] = { 0 };
	size_t n = 0;

	for (int i = 0; i < BF_NAIS; i++) {
		const struct month_ai *ai = &m->ai[i];

		if (ai->answered && !strcmp(ai->answer.outcome, "ok"))
			bf_books_read(ai->answer.text, strlen(ai->answer.text), m->row.ref.year,
				m->arena, &lists[i]);
		n += lists[i].n;
	}
	m->books = bf_arena_alloc(m->arena, (n + 1) * sizeof *m->books);
	m->n_books = 0;
	for (int i = 0; i < BF_NAIS; i++)
		for (size_t j = 0; j < lists[i].n; j++) {
			m->books[m->n_books] = lists[i].books[j];
			m->books[m->n_books++].generated_by = 1u << i;
		}
	m->n_books =
		bf_books_dedup(m->books, m->n_books, m->set->config->generation.dedup_similarity);
}

static char *key_in(struct bf_arena *arena, void (*fold)(const char *, char *), const char *text)
{
	char key[BF_KEY_MAX];

	fold(text, key);
	return bf_arena_strdup(arena, key);
}

static void whole_title_key(const char *title, char *key)
{
	bf_fold(title, key, BF_KEY_MAX);
}

static void author_key(const char *author, char *key)
{
	bf_author_key(author, key);
}

static void make_candidate(
	struct month *m, const struct bf_book *book, struct bf_new_candidate *ret)
{
	const char **names = bf_arena_alloc(m->arena, AUTHORS_MAX * sizeof *names);
	const char **keys = bf_arena_alloc(m->arena, AUTHORS_MAX * sizeof *keys);
	size_t n = bf_author_split(book->author, m->arena, names, AUTHORS_MAX);

	for (size_t i = 0; i < n; i++)
		keys[i] = key_in(m->arena, author_key, names[i]);
	*ret = (struct bf_new_candidate){ .book = book,
		.title_key = key_in(m->arena, whole_title_key, book->title),
		.author_key = key_in(m->arena, author_key, book->author),
		.authors = names,
		.author_keys = keys,
		.n_authors = (int)n };
}

static void merge(struct month *m)
{
	read_books(m);
	if (!m->n_books) {
		month_fail(m, "generating", true, "the stored answers hold no book");
		return;
	}
	m->new_candidates = bf_arena_alloc(m->arena, m->n_books * sizeof *m->new_candidates);
	for (size_t i = 0; i < m->n_books; i++)
		make_candidate(m, &m->books[i], &m->new_candidates[i]);
	month_raise(m, MEV_MERGED);
}

void month_merge(struct month *m)
{
	for (int i = 0; i < BF_NAIS; i++)
		if (m->ai[i].answered) {
			merge(m);
			return;
		}
	month_load_answers(m, merge); /* resumed here */
}
