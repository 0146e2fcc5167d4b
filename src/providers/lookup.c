/*
 * Look-up of known ISBNs, one request for many. Of what came only records of asked ISBNs are handed on, one for each, under
 * the spelling that was asked for; what is missing among them is a definite miss.
 */
#include "gate_call.h"
#include <stdlib.h>
#include <string.h>

struct lookup {
	struct bf_op op;
	struct bf_providers *p;
	enum bf_provider_id provider;
	struct gate_call *call;
	struct bf_arena *arena;
	const char **asked; /* as given */
	char (*canon)[14];  /* "": no ISBN, never asked for */
	size_t n;
	struct bf_error failure;
	struct bf_op *later;
	bf_lookup_done *done;
	void *ctx;
};

int bf_lookup_max(enum bf_provider_id provider)
{
	return provider_table[provider]->bulk_max;
}

static void lookup_free(struct lookup *l)
{
	bf_arena_free(l->arena);
	free(l);
}

static void lookup_cancel(struct bf_op *op)
{
	struct lookup *l = bf_container_of(op, struct lookup, op);

	gate_cancel(l->call);
	bf_op_cancel(l->later);
	lookup_free(l);
}

/* ---- whose record it is ---- */
static bool lists(const char *isbns, const char *isbn)
{
	return isbns && strstr(isbns, isbn) != NULL; /* canonical ones are all of one length */
}

static bool is_asked(const struct lookup *l, const char *isbn)
{
	for (size_t i = 0; i < l->n; i++)
		if (strcmp(l->canon[i], isbn) == 0)
			return true;
	return false;
}

/* 2: the record's own ISBN; 1: another one that it lists; 0: not of this ISBN. What ISBNdb lists beside a record's own are
 * other editions; only when the own one was not asked for can the record have come for one of those. */
static int belongs(const struct lookup *l, const struct bf_record *r, const char *isbn)
{
	if (!r->isbn13 || !r->title)
		return 0;
	if (strcmp(r->isbn13, isbn) == 0)
		return 2;
	if (!lists(r->other_isbns, isbn))
		return 0;
	return l->provider == BF_ISBNDB && is_asked(l, r->isbn13) ? 0 : 1;
}

static int fullness(const struct bf_record *r)
{
	const char *const texts[] = { r->subtitle, r->authors, r->publisher, r->language,
		r->binding, r->date, r->cover_url, r->provider_key, r->description, r->subjects };
	int n = (r->year > 0) + (r->pages > 0);

	for (size_t i = 0; i < BF_COUNT(texts); i++)
		n += texts[i] && texts[i][0];
	return n;
}

static const struct bf_record *best_of(
	const struct lookup *l, const struct provider_answer *answer, const char *isbn)
{
	const struct bf_record *best = NULL;
	int score = 0;

	for (size_t i = 0; i < answer->n_records; i++) {
		int own = belongs(l, &answer->records[i], isbn);
		int s = own * 100 + fullness(&answer->records[i]);

		if (own && s > score) {
			best = &answer->records[i];
			score = s;
		}
	}
	return best;
}

/* The record's ISBNs without the one it is handed out under. */
static const char *others(struct bf_arena *arena, const struct bf_record *r, const char *isbn)
{
	char *all =
		bf_arena_printf(arena, "%s;%s", r->isbn13, r->other_isbns ? r->other_isbns : "");
	const char *out = NULL, *one;

	while ((one = strsep(&all, ";")) != NULL) {
		if (one[0] != '\0' && strcmp(one, isbn) != 0)
			out = out ? bf_arena_printf(arena, "%s;%s", out, one) : one;
	}
	return out;
}

/* ---- the answer ---- */
static void looked_up(void *ctx, const struct bf_error *err, const struct provider_answer *answer)
{
	struct lookup *l = ctx;
	int64_t ms = l->call->sent_us ? (int64_t)(bf_now_us() - l->call->sent_us) / 1000 : 0;
	struct bf_record *found;
	size_t n = 0;

	if (err) {
		l->done(l->ctx, err, NULL, 0, ms);
		lookup_free(l);
		return;
	}
	found = bf_arena_alloc(l->arena, (l->n + 1) * sizeof(*found));
	for (size_t i = 0; i < l->n; i++) {
		const struct bf_record *best =
			l->canon[i][0] ? best_of(l, answer, l->canon[i]) : NULL;

		if (!best)
			continue;
		found[n] = *best;
		found[n].isbn13 = l->asked[i];
		found[n++].other_isbns = others(l->arena, best, l->canon[i]);
	}
	l->done(l->ctx, NULL, found, n, ms);
	lookup_free(l);
}

static void fail_now(void *ctx)
{
	struct lookup *l = ctx;

	l->done(l->ctx, &l->failure, NULL, 0, 0);
	lookup_free(l);
}

/* ---- the question ---- */
/* Each ISBN once, whatever its spellings: every one costs a unit. */
static size_t distinct(struct lookup *l, const char **ret)
{
	size_t n = 0, k;

	for (size_t i = 0; i < l->n; i++) {
		for (k = 0; k < n && strcmp(ret[k], l->canon[i]) != 0; k++)
			;
		if (k == n && l->canon[i][0])
			ret[n++] = l->canon[i];
	}
	return n;
}

static void ask(struct lookup *l)
{
	struct gate_ask ask = { .provider = l->provider, .ask.kind = PROVIDER_BULK };
	struct bf_arena *arena = bf_arena_new(); /* becomes the gate's */
	const char **isbns = bf_arena_alloc(arena, (l->n + 1) * sizeof(*isbns));

	ask.ask.n_isbns = distinct(l, isbns);
	for (size_t i = 0; i < ask.ask.n_isbns; i++)
		isbns[i] = bf_arena_strdup(arena, isbns[i]);
	ask.ask.isbns = isbns;
	if (ask.ask.n_isbns > 0) {
		l->call = gate_start_take(l->p, &ask, &arena, looked_up, l);
		return;
	}
	bf_arena_free(arena);
	bf_error_set(&l->failure, BF_ERR_PERMANENT, "%s: no ISBN to look up",
		provider_table[l->provider]->label);
	l->later = bf_timer_start(l->p->loop, 0, fail_now, l);
}

struct bf_op *bf_lookup_start(struct bf_providers *p, enum bf_provider_id provider,
	const char *const *isbns, size_t n, bf_lookup_done *done, void *ctx)
{
	struct lookup *l = bf_xcalloc(1, sizeof *l);

	l->op.cancel = lookup_cancel;
	l->p = p;
	l->provider = provider;
	l->arena = bf_arena_new();
	l->n = n;
	l->done = done;
	l->ctx = ctx;
	if (n > (size_t)bf_lookup_max(provider)) {
		bf_error_set(&l->failure, BF_ERR_BUG,
			"%s: %zu ISBNs in one look-up, %d are possible",
			provider_table[provider]->label, n, bf_lookup_max(provider));
		l->later = bf_timer_start(p->loop, 0, fail_now, l);
		return &l->op;
	}
	l->asked = bf_arena_alloc(l->arena, (n + 1) * sizeof(*l->asked));
	l->canon = bf_arena_alloc(l->arena, (n + 1) * sizeof(*l->canon));
	for (size_t i = 0; i < n; i++) {
		l->asked[i] = bf_arena_strdup(l->arena, isbns[i]);
		if (bf_isbn_canon(isbns[i], strlen(isbns[i]), l->canon[i]) != BF_ISBN_OK)
			l->canon[i][0] = '\0';
	}
	ask(l);
	return &l->op;
}
