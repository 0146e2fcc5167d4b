/*
 * trying: a synthetic work without ISBN walks the chain of resolution once more. Nobody is asked twice in a week, and a provider
 * that may not be asked is no answer.
 */
#include "machine.h"
#include <stdlib.h>
#include <string.h>

static void walked(void *ctx, const struct bf_error *err, const struct bf_resolved *r)
{
	struct item *it = ctx;
	struct bf_arena *arena = it->batch->arena;
	const struct bf_config *config = it->batch->e->config;
	int64_t wait;

	it->walk = NULL;
	if (err) {
		item_raise(it, IEV_RELEASE);
		return;
	}
	it->enhanced = (struct bf_enhanced){ .ref = it->row.ref,
		.work_key = it->row.key,
		.answers_json = bf_arena_strdup(arena, r->answers_json),
		.max_retries = config->enrichment.max_attempts };
	if (r->state == BF_CAND_RESOLVED) {
		it->enhanced.isbn13 = bf_arena_strdup(arena, r->isbn13);
		it->enhanced.confidence = r->confidence;
		it->enhanced.resolved_by = bf_arena_strdup(arena, r->resolved_by);
		it->enhanced.record_json = bf_arena_strdup(arena, r->record_json);
		item_raise(it, IEV_FOUND);
	} else if (r->failed) {
		item_fail(it, "a provider failed while the work was looked up: %.*s",
			BF_CUT(r->answers_json, 180));
	} else if (r->state == BF_CAND_UNAVAILABLE) {
		bf_provider_standing(it->batch->e->providers, BF_ISBNDB, &wait);
		item_block(it, BF_ISBNDB, wait > 60000 ? wait : 60000,
			r->only_quota ? "waits for quota" : "waits: no provider could be asked");
	} else {
		item_raise(it, IEV_MISSED);
	}
}

static const char *key_of(struct bf_arena *arena, const char *text, bool author)
{
	char key[BF_KEY_MAX];

	if (author)
		bf_author_key(text, key);
	else
		bf_fold(text, key, sizeof key);
	return bf_arena_strdup(arena, key);
}

/* The look-up counts for no month. */
void item_try(struct item *it)
{
	static const struct bf_month_ref no_month = { 0 };
	const char *title = it->row.title, *author = it->row.author ? it->row.author : "";
	struct bf_arena *arena = it->batch->arena;

	if (!title || !title[0]) {
		item_hopeless(it, "the work has no title to look for");
		return;
	}
	it->cand = (struct bf_candidate){ .book = { .title = title,
						  .author = author,
						  .language = it->row.language,
						  .year = it->row.year },
		.title_key = key_of(arena, title, false),
		.author_key = key_of(arena, author, true) };
	it->walk = bf_resolve_start(
		it->batch->e->providers, &no_month, false, &it->cand, NULL, walked, it);
}
