/*
 * A book's walk along the chain of providers until a hit is sure enough. The cache answers first; the same question asked twice
 * at once is one request with two waiters; a provider that fails or may not be asked is not "not found": the chain goes on and
 * says so. Each waiter judges the records for its own book, and those that were paid for are kept by their ISBNs.
 */
#include "gate.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MISS_TTL_MS (24 * 3600000ll)
#define ANSWERS_MAX 16384
#define KEPT_MAX    10 /* records of one answer */

struct resolve;
LIST_HEAD(waiters, resolve);

struct flight { /* one question under way to one provider */
	LIST_ENTRY(flight) link;
	struct bf_providers *p;
	enum bf_provider_id provider;
	char *title_key, *author_key;
	struct gate_call *call;
	struct waiters waiters;
};

struct resolve {
	struct bf_op op;
	LIST_ENTRY(resolve) link; /* while it waits for a flight */
	struct bf_providers *p;
	struct flight *flight;
	struct bf_month_ref ref;
	bool dry_run;
	const struct bf_candidate *cand;
	int *budget;
	int pos;               /* in the order of the chain */
	struct bf_buf answers; /* what each provider said, growing */
	struct bf_jw jw;
	const char *from;        /* of the answer being judged: request, shared, cache; NULL: nobody was asked */
	struct gate_spent spent; /* on it */
	char *record_json;
	struct bf_resolved result;
	bool answered; /* some provider gave a definite answer */
	bool skipped_quota, skipped_other;
	struct bf_op *later;
	bf_resolve_done *done;
	void *ctx;
};

static void walk(struct resolve *);

/* ---- notes of what each provider said ---- */
static void note_begin(struct resolve *r, enum bf_provider_id provider, const char *outcome)
{
	bf_jw_key(&r->jw, bf_provider_names[provider]);
	bf_jw_obj(&r->jw);
	bf_jw_key(&r->jw, "outcome");
	bf_jw_str(&r->jw, outcome);
}

/* Where the answer came from, and what that took. Who shares a request has spent nothing of his own. */
static void note_end(struct resolve *r)
{
	if (r->from) {
		bf_jw_key(&r->jw, "from");
		bf_jw_str(&r->jw, r->from);
	}
	if (r->from && r->spent.latency_ms >= 0) {
		bf_jw_key(&r->jw, "latency_ms");
		bf_jw_int(&r->jw, r->spent.latency_ms);
		bf_jw_key(&r->jw, "units");
		bf_jw_int(&r->jw, r->spent.units);
		bf_jw_key(&r->jw, "tries");
		bf_jw_int(&r->jw, r->spent.tries);
	}
	bf_jw_end_obj(&r->jw);
}

static void note(
	struct resolve *r, enum bf_provider_id provider, const char *outcome, const char *reason)
{
	note_begin(r, provider, outcome);
	if (reason) {
		bf_jw_key(&r->jw, "reason");
		bf_jw_str(&r->jw, reason);
	}
	note_end(r);
}

static void note_hit(struct resolve *r, enum bf_provider_id provider, const char *outcome,
	const char *isbn13, int confidence, const char *title, const char *why)
{
	note_begin(r, provider, outcome);
	bf_jw_key(&r->jw, "isbn13");
	bf_jw_str(&r->jw, isbn13);
	bf_jw_key(&r->jw, "confidence");
	bf_jw_int(&r->jw, confidence);
	if (title) {
		bf_jw_key(&r->jw, "title");
		bf_jw_strn(&r->jw, title, bf_utf8_cut(title, strlen(title), 200));
	}
	if (why && why[0]) {
		bf_jw_key(&r->jw, "why");
		bf_jw_str(&r->jw, why);
	}
	note_end(r);
}

/* The record as it is kept for enrichment; NULL when it fits no form. */
static char *record_json(const struct bf_record *rec)
{
	struct bf_buf buf;
	char *text;

	bf_buf_init(&buf, BF_RECORD_JSON_MAX);
	text = bf_record_write(rec, &buf) ? bf_xstrdup(buf.data) : NULL;
	bf_buf_release(&buf);
	return text;
}

/* ---- the end of the walk ---- */
static void resolve_free(struct resolve *r)
{
	bf_buf_release(&r->answers);
	free(r->record_json);
	free(r);
}

static void finish_now(void *ctx)
{
	struct resolve *r = ctx;

	r->later = NULL;
	bf_jw_end_obj(&r->jw);
	r->result.answers_json = r->answers.failed ? "{}" : r->answers.data;
	r->result.record_json = r->record_json;
	r->done(r->ctx, NULL, &r->result);
	resolve_free(r);
}

static void finish(struct resolve *r)
{
	r->later = bf_timer_start(r->p->loop, 0, finish_now, r);
}

static void found(
	struct resolve *r, enum bf_provider_id provider, const char *isbn13, int confidence)
{
	r->result.state = BF_CAND_RESOLVED;
	r->result.confidence = confidence;
	r->result.resolved_by = bf_provider_names[provider];
	strlcpy(r->result.isbn13, isbn13, sizeof r->result.isbn13);
	finish(r);
}

static void not_found(struct resolve *r)
{
	r->result.state = r->answered ? BF_CAND_NOT_FOUND : BF_CAND_UNAVAILABLE;
	r->result.only_quota = r->skipped_quota && !r->skipped_other && !r->result.failed;
	finish(r);
}

/* ---- judging an answer ---- */
static void cache_answer(struct resolve *r, enum bf_provider_id provider, const char *isbn13,
	int confidence, const char *json)
{
	flusher_cache(r->p->flusher,
		&(struct bf_cache_put){ .provider = provider,
			.title_key = r->cand->title_key,
			.author_key = r->cand->author_key,
			.isbn13 = isbn13,
			.confidence = confidence,
			.record_json = json,
			.ttl_ms = isbn13 ? r->p->config->resolution.cache_ttl_ms : MISS_TTL_MS });
}

/* What has come is not asked for again. A dry run leaves no records. */
static void keep(struct resolve *r, enum bf_provider_id provider, const char *isbn13,
	const char *chosen, const char *json)
{
	if (!r->dry_run && json)
		flusher_keep(r->p->flusher,
			&(struct bf_record_put){ .provider = provider,
				.isbn13 = isbn13,
				.for_isbn = chosen,
				.record_json = json });
}

/* Other editions of the book that came with the paid answer. */
static void keep_editions(struct resolve *r, enum bf_provider_id provider,
	const struct provider_answer *answer, const struct bf_record *chosen)
{
	int least = r->p->config->resolution.min_confidence;

	if (provider != BF_ISBNDB || r->dry_run)
		return;
	for (size_t i = 0, n = 1; i < answer->n_records && n < KEPT_MAX; i++) {
		const struct bf_record *rec = &answer->records[i];
		char why[64], *json;

		if (rec == chosen || !rec->isbn13 || strcmp(rec->isbn13, chosen->isbn13) == 0 ||
			bf_match_confidence(&r->cand->book, rec, why) < least)
			continue;
		json = record_json(rec);
		keep(r, provider, rec->isbn13, chosen->isbn13, json);
		free(json);
		n++;
	}
}

/* True when the walk ended here. */
static bool judge_records(
	struct resolve *r, enum bf_provider_id provider, const struct provider_answer *answer)
{
	int confidence = 0;
	int best = answer->outcome == OUTCOME_OK
		? bf_match_best(&r->cand->book, answer->records, answer->n_records, &confidence)
		: -1;
	const struct bf_record *rec = best >= 0 ? &answer->records[best] : NULL;
	char why[64] = "";

	r->answered = true;
	if (rec && confidence >= r->p->config->resolution.min_confidence) {
		bf_match_confidence(&r->cand->book, rec, why);
		free(r->record_json);
		r->record_json = record_json(rec);
		note_hit(r, provider, "hit", rec->isbn13, confidence, rec->title, why);
		cache_answer(r, provider, rec->isbn13, confidence, r->record_json);
		keep(r, provider, rec->isbn13, rec->isbn13, r->record_json);
		keep_editions(r, provider, answer, rec);
		found(r, provider, rec->isbn13, confidence);
		return true;
	}
	if (rec)
		note_hit(r, provider, "refused", rec->isbn13, confidence, rec->title,
			"below min_confidence");
	else
		note(r, provider, "not_found",
			answer->n_records ? "no result was this book" : NULL);
	cache_answer(r, provider, NULL, 0, NULL);
	return false;
}

static void note_failure(
	struct resolve *r, enum bf_provider_id provider, const struct bf_error *err)
{
	switch (err->class) {
	case BF_ERR_QUOTA: /* not asked */
		note(r, provider, "skipped", err->text);
		if (lane_out_of_quota(&r->p->lane[provider]))
			r->skipped_quota = true;
		else
			r->skipped_other = true;
		return;
	case BF_ERR_PERMANENT: /* this question can't be put to it: as good as an answer */
		note(r, provider, "not_askable", err->text);
		return;
	case BF_ERR_NONE:
	case BF_ERR_RETRY:
	case BF_ERR_REFUSED:
	case BF_ERR_CANCELLED:
	case BF_ERR_CONFIG:
	case BF_ERR_BUG: break;
	}
	note(r, provider, "failed", err->text);
	r->result.failed = true;
}

/* ---- flights ---- */
static void flight_free(struct flight *f)
{
	LIST_REMOVE(f, link);
	free(f->title_key);
	free(f->author_key);
	free(f);
}

/* What the answer that has come took; the one who joined shares it. */
static void judge_as(struct resolve *r, const struct gate_spent *spent)
{
	r->spent = *spent;
	if (strcmp(r->from, "shared") == 0)
		r->spent.units = r->spent.tries = 0;
	if (spent->tries == 0)
		r->from = NULL;
}

static void landed(void *ctx, const struct bf_error *err, const struct provider_answer *answer)
{
	struct flight *f = ctx;
	enum bf_provider_id provider = f->provider;
	struct gate_spent spent = gate_spent(f->call);
	struct waiters waiters;
	struct resolve *r;

	LIST_INIT(&waiters);
	LIST_SWAP(&waiters, &f->waiters, resolve, link);
	flight_free(f);
	while ((r = LIST_FIRST(&waiters))) {
		LIST_REMOVE(r, link);
		r->flight = NULL;
		judge_as(r, &spent);
		if (!err && judge_records(r, provider, answer))
			continue;
		if (err)
			note_failure(r, provider, err);
		r->pos++;
		walk(r);
	}
}

static struct flight *flight_find(
	struct bf_providers *p, enum bf_provider_id provider, const struct bf_candidate *cand)
{
	struct flight *f;

	LIST_FOREACH (f, &p->flights, link)
		if (f->provider == provider && !strcmp(f->title_key, cand->title_key) &&
			!strcmp(f->author_key, cand->author_key))
			return f;
	return NULL;
}

static struct flight *flight_launch(struct resolve *r, enum bf_provider_id provider)
{
	struct flight *f = bf_xcalloc(1, sizeof *f);
	struct bf_arena *arena = bf_arena_new();
	struct bf_book *book = bf_arena_alloc(arena, sizeof *book);
	struct gate_ask ask = { .provider = provider,
		.ref = r->ref,
		.dry_run = r->dry_run,
		/* a job that may spend so many units and no more spends none on a second try */
		.once = provider == BF_ISBNDB && r->budget && *r->budget >= 0,
		.ask = { .kind = PROVIDER_SEARCH, .book = book } };

	*book = r->cand->book;
	book->title = bf_arena_strdup(arena, book->title);
	book->subtitle = bf_arena_strdup(arena, book->subtitle);
	book->author = bf_arena_strdup(arena, book->author);
	book->publisher = book->format = book->language = book->significance = book->isbn13 = NULL;
	f->p = r->p;
	f->provider = provider;
	f->title_key = bf_xstrdup(r->cand->title_key);
	f->author_key = bf_xstrdup(r->cand->author_key);
	LIST_INIT(&f->waiters);
	LIST_INSERT_HEAD(&r->p->flights, f, link);
	f->call = gate_start_take(r->p, &ask, &arena, landed, f);
	return f;
}

/* ---- the walk ---- */
static bool use_cache(struct resolve *r, enum bf_provider_id provider)
{
	const struct bf_cached *c = &r->cand->cached[provider];

	if (!c->known)
		return false;
	r->from = "cache";
	r->spent = (struct gate_spent){ .latency_ms = -1 };
	r->p->lane[provider].figures.cache_hits++;
	r->answered = true;
	if (!c->hit || c->confidence < r->p->config->resolution.min_confidence) {
		note(r, provider, "not_found", "cached");
		r->pos++;
		return true;
	}
	note_hit(r, provider, "hit", c->isbn13, c->confidence, NULL, "cached");
	free(r->record_json);
	r->record_json = c->record_json ? bf_xstrdup(c->record_json) : NULL;
	keep(r, provider, c->isbn13, c->isbn13, r->record_json);
	found(r, provider, c->isbn13, c->confidence);
	return true;
}

static bool skip(struct resolve *r, enum bf_provider_id provider)
{
	struct lane *lane = &r->p->lane[provider];
	const char *why = lane_unusable(lane);
	bool out_of_units = lane_out_of_quota(lane);

	if (!why && provider == BF_ISBNDB && r->budget && *r->budget == 0) {
		why = "this job's max_quota is spent";
		out_of_units = true;
	}
	if (!why)
		return false;
	r->from = NULL;
	note(r, provider, "skipped", why);
	if (out_of_units)
		r->skipped_quota = true;
	else if (lane->conf->enabled && !(lane->conf->needs_key && !lane->conf->api_key))
		r->skipped_other = true;
	r->pos++;
	return true;
}

static void walk(struct resolve *r)
{
	const struct bf_config *config = r->p->config;

	while (r->pos < config->resolution.n_order) {
		enum bf_provider_id provider = config->resolution.order[r->pos];
		struct flight *f;

		if (use_cache(r, provider)) {
			if (r->later)
				return;
			continue;
		}
		if (skip(r, provider))
			continue;
		f = flight_find(r->p, provider, r->cand);
		if (f) {
			r->p->lane[provider].figures.shared++;
			r->from = "shared";
		} else {
			r->from = "request";
			if (provider == BF_ISBNDB && r->budget && *r->budget > 0)
				(*r->budget)--;
			f = flight_launch(r, provider);
		}
		r->flight = f;
		LIST_INSERT_HEAD(&f->waiters, r, link);
		return;
	}
	not_found(r);
}

static void resolve_cancel(struct bf_op *op)
{
	struct resolve *r = bf_container_of(op, struct resolve, op);
	struct flight *f = r->flight;

	bf_op_cancel(r->later);
	if (f) {
		LIST_REMOVE(r, link);
		if (LIST_EMPTY(&f->waiters)) {
			gate_cancel(f->call);
			flight_free(f);
		}
	}
	resolve_free(r);
}

struct bf_op *bf_resolve_start(struct bf_providers *p, const struct bf_month_ref *ref, bool dry_run,
	const struct bf_candidate *cand, int *paid_budget, bf_resolve_done *done, void *ctx)
{
	struct resolve *r = bf_xcalloc(1, sizeof *r);

	r->op.cancel = resolve_cancel;
	r->p = p;
	r->ref = *ref;
	r->dry_run = dry_run;
	r->cand = cand;
	r->budget = paid_budget;
	r->done = done;
	r->ctx = ctx;
	bf_buf_init(&r->answers, ANSWERS_MAX);
	bf_jw_init(&r->jw, &r->answers);
	bf_jw_obj(&r->jw);
	walk(r);
	return &r->op;
}
