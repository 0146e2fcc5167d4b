/*
 * resolving: each candidate walks the chain of providers, some at once; what is found is handed to the flusher and counts when it
 * is written. When most could be asked of nobody, the attempt ends here and is resumed here.
 */
#include "machine.h"
#include <stdlib.h>
#include <string.h>

#define LOAD_AGAIN_MS 1000

static void resolve_more(struct month *);

/* ---- the end of the stage ---- */
static bool worth_walking(const struct bf_candidate *c)
{
	return c->state == BF_CAND_NEW || c->state == BF_CAND_UNAVAILABLE;
}

void month_resolve_settled(struct month *m)
{
	if (m->state != MONTH_RESOLVING || m->move || m->active > 0 || m->unwritten > 0 ||
		m->load_op)
		return;
	if (m->next_cand < m->n_cands) {
		if (m->set->draining)
			month_raise(m, MEV_RELEASE);
		return;
	}
	if (m->n_unavailable * 2 <= m->n_books_left)
		month_raise(m, MEV_RESOLVED);
	else if (m->any_failed)
		month_fail(m, "resolving", false,
			"no ISBN provider could be asked about %d of %d books", m->n_unavailable,
			m->n_books_left);
	else
		month_outage(m, "resolving", "no ISBN provider could be asked about %d of %d books",
			m->n_unavailable, m->n_books_left);
}

/* ---- one book ---- */
static void recorded(void *ctx, const struct bf_error *err, enum bf_store_outcome outcome)
{
	struct month_book *walk = ctx;
	struct month *m = walk->month;

	walk->op = NULL;
	m->unwritten--;
	if (err) {
		month_fail(m, "resolving", false, "writing a finding: %s", err->text);
		return;
	}
	if (outcome != BF_STORE_DONE) {
		month_raise(m, MEV_LOSE);
		return;
	}
	month_resolve_settled(m);
}

static void keep(struct month_book *walk, const struct bf_resolved *r)
{
	struct month *m = walk->month;

	walk->cand->state = r->state;
	walk->cand->confidence = r->confidence;
	memcpy(walk->cand->isbn13, r->isbn13, sizeof walk->cand->isbn13);
	m->any_failed |= r->failed;
	if (r->state == BF_CAND_UNAVAILABLE && !r->only_quota)
		m->n_unavailable++;
}

static void resolved(void *ctx, const struct bf_error *err, const struct bf_resolved *r)
{
	struct month_book *walk = ctx;
	struct month *m = walk->month;
	struct bf_resolution found;

	walk->op = NULL;
	m->active--;
	/* While draining most providers were not asked: only a hit is worth writing, the rest is walked again. */
	if (err || (m->set->draining && r->state != BF_CAND_RESOLVED)) {
		if (m->next_cand >= m->n_cands)
			m->next_cand = m->n_cands - 1;
		month_resolve_settled(m);
		return;
	}
	keep(walk, r);
	if (!m->row.dry_run) {
		found = (struct bf_resolution){ .ref = m->row.ref,
			.candidate_id = walk->cand->id,
			.state = r->state,
			.confidence = r->confidence,
			.resolved_by = r->resolved_by,
			.answers_json = r->answers_json,
			.record_json = r->record_json };
		memcpy(found.isbn13, r->isbn13, sizeof found.isbn13);
		m->unwritten++;
		walk->op = bf_providers_record(m->set->providers, &found, recorded, walk);
	}
	resolve_more(m);
}

static void resolve_more(struct month *m)
{
	while (m->active < m->set->config->resolution.concurrent_books &&
		m->next_cand < m->n_cands && !m->set->draining) {
		struct month_book *walk = &m->walks[m->next_cand++];

		if (!worth_walking(walk->cand))
			continue;
		m->active++;
		walk->op = bf_resolve_start(m->set->providers, &m->row.ref, m->row.dry_run,
			walk->cand, &m->budget, resolved, walk);
	}
	month_resolve_settled(m);
}

/* ---- the candidates ---- */
static void begin(struct month *m)
{
	m->walks = bf_arena_alloc(m->arena, ((size_t)m->n_cands + 1) * sizeof *m->walks);
	m->next_cand = m->active = m->unwritten = m->n_unavailable = m->n_books_left = 0;
	m->any_failed = false;
	for (int i = 0; i < m->n_cands; i++) {
		m->walks[i].month = m;
		m->walks[i].cand = &m->cands[i];
		m->n_books_left += m->cands[i].state != BF_CAND_MERGED;
	}
	m->budget = m->row.max_quota > 0 ? m->row.max_quota - m->row.isbndb_calls : -1;
	if (m->row.max_quota > 0 && m->budget < 0)
		m->budget = 0;
	resolve_more(m);
}

static void copy_candidate(
	struct bf_arena *arena, struct bf_candidate *to, const struct bf_candidate *from)
{
	*to = *from;
	to->book.title = bf_arena_strdup(arena, from->book.title);
	to->book.subtitle = bf_arena_strdup(arena, from->book.subtitle);
	to->book.author = bf_arena_strdup(arena, from->book.author);
	to->book.publisher = bf_arena_strdup(arena, from->book.publisher);
	to->book.format = bf_arena_strdup(arena, from->book.format);
	to->book.language = bf_arena_strdup(arena, from->book.language);
	to->book.significance = NULL;
	to->book.isbn13 = NULL;
	to->title_key = bf_arena_strdup(arena, from->title_key);
	to->author_key = bf_arena_strdup(arena, from->author_key);
	to->answers_json = NULL;
	to->resolved_by = NULL;
	for (int i = 0; i < BF_NPROVIDERS; i++)
		to->cached[i].record_json = bf_arena_strdup(arena, from->cached[i].record_json);
}

static void load_again(void *ctx)
{
	struct month *m = ctx;

	m->load_op = NULL;
	month_resolve(m);
}

static bool load_failed(struct month *m, const struct bf_error *err)
{
	m->load_op = NULL;
	if (!err)
		return false;
	if (err->class == BF_ERR_RETRY)
		m->load_op = bf_timer_start(m->set->loop, LOAD_AGAIN_MS, load_again, m);
	else
		month_fail(m, "resolving", false, "reading the candidates: %s", err->text);
	return true;
}

static void loaded(void *ctx, const struct bf_error *err, struct bf_candidate *cands, int n)
{
	struct month *m = ctx;

	if (load_failed(m, err))
		return;
	m->cands = bf_arena_alloc(m->arena, ((size_t)n + 1) * sizeof *m->cands);
	m->n_cands = n;
	for (int i = 0; i < n; i++)
		copy_candidate(m->arena, &m->cands[i], &cands[i]);
	begin(m);
}

static void cache_looked_up(void *ctx, const struct bf_error *err, enum bf_store_outcome outcome)
{
	struct month *m = ctx;

	(void)outcome;
	if (load_failed(m, err))
		return;
	for (int i = 0; i < m->n_cands; i++) /* the records' text lives only in this call */
		for (int p = 0; p < BF_NPROVIDERS; p++)
			m->cands[i].cached[p].record_json = NULL;
	begin(m);
}

/* A dry run has no rows: its candidates are what it just merged. */
static void resolve_dry(struct month *m)
{
	m->n_cands = (int)m->n_books;
	m->cands = bf_arena_alloc(m->arena, (m->n_books + 1) * sizeof *m->cands);
	for (size_t i = 0; i < m->n_books; i++) {
		m->cands[i].id = (int64_t)i;
		m->cands[i].book = m->books[i];
		m->cands[i].title_key = m->new_candidates[i].title_key;
		m->cands[i].author_key = m->new_candidates[i].author_key;
	}
	m->load_op = bf_store_cache_get(m->set->store, m->cands, m->n_cands, cache_looked_up, m);
}

void month_resolve(struct month *m)
{
	if (m->row.dry_run)
		resolve_dry(m);
	else
		m->load_op = bf_store_candidates(m->set->store, &m->row.ref, loaded, m);
}

/* queueing is the write itself: ISBNs into the queue, counters and the end in one transaction. */
void month_queue(struct month *m)
{
	month_raise(m, MEV_COUNTED);
}
