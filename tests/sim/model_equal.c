/* model_equal: rows of the model and of the database as the same lines of text, and answers member by member. */
#include "model_equal.h"

struct model *m;
int calls;
char did[160];

void clock_now(void)
{
	m->now_us = db_int("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint");
}

/* The line in which they first differ. */
void equal_texts(const char *what, const char *is, const char *should)
{
	while (*is && strcspn(is, "\n") == strcspn(should, "\n") &&
		!strncmp(is, should, strcspn(is, "\n") + 1)) {
		is += strcspn(is, "\n") + 1;
		should += strcspn(should, "\n") + 1;
		if (!is[-1])
			return;
	}
	if (strcmp(is, should) != 0)
		fail_msg("after call %d (%s): %s\nmodel:    %.*s\ndatabase: %.*s", calls, did, what,
			(int)strcspn(is, "\n"), is, (int)strcspn(should, "\n"), should);
}

void equal_ints(const char *what, int64_t is, int64_t should)
{
	if (is != should)
		fail_msg("after call %d (%s): %s: model %lld, database %lld", calls, did, what,
			(long long)is, (long long)should);
}

static void rows_of_model(struct bf_buf *out)
{
	for (int i = 0; i < m->rows.n; i++) {
		const struct mrow *r = &m->rows.v[i];

		bf_buf_addf(out, "%s%d-%d %s %s %s %lld n%d r%d %d/%d/%d %d/%d/%d/%d %s %s %s %.2f %s",
			i ? "\n" : "", r->year, r->month, model_status_names[r->status],
			r->stage_null ? "-" : r->stage,
			r->claimed_from < 0 ? "-" : model_status_names[r->claimed_from],
			(long long)r->fence, r->retry_count, r->round, r->generated, r->resolved,
			r->queued, r->gemini, r->xai, r->isbndb, r->free_calls,
			r->next_at ? "t" : "f", r->completed_at ? "t" : "f",
			r->error ? r->error : "-", r->rate, r->owner ? r->owner : "-");
	}
}

#define ROWS "SELECT string_agg(format('%s-%s %s %s %s %s n%s r%s %s/%s/%s %s/%s/%s/%s %s %s %s %s %s', year, month, status," \
	" coalesce(stage, '-'), coalesce(claimed_from, '-'), fence, retry_count, round, books_generated, isbns_resolved," \
	" isbns_queued, gemini_calls, xai_calls, isbndb_calls, free_calls, next_attempt_at IS NOT NULL," \
	" completed_at IS NOT NULL, coalesce(error_message, '-'), coalesce(resolution_rate, -1.00), coalesce(owner, '-'))," \
	" E'\\n' ORDER BY year DESC, month DESC) FROM backfill_log"

static void books_of_model(struct bf_buf *out)
{
	static const char *const states[] = { "new", "resolved", "not_found", "unavailable", "merged" };
	bool first = true;

	for (int i = 0; i < m->rows.n; i++)
		for (int j = 0; j < m->cands.n; j++) {
			const struct mcand *c = &m->cands.v[j];

			if (c->gone || c->year != m->rows.v[i].year || c->month != m->rows.v[i].month)
				continue;
			bf_buf_addf(out, "%s%d-%d.%d %s %s %d %s", first ? "" : "\n", c->year, c->month,
				c->ord, states[c->state], c->isbn13[0] ? c->isbn13 : "-", c->confidence,
				c->merged_into ? "m" : "-");
			first = false;
		}
}

#define BOOKS "SELECT string_agg(format('%s-%s.%s %s %s %s %s', year, month, ord, state, coalesce(isbn13, '-')," \
	" coalesce(confidence, 0), CASE WHEN merged_into IS NULL THEN '-' ELSE 'm' END), E'\\n'" \
	" ORDER BY year DESC, month DESC, ord) FROM backfill_candidates"

static void events_of_model(struct bf_buf *out)
{
	for (int i = 0; i < m->events.n; i++) {
		const struct mevent *e = &m->events.v[i];

		bf_buf_addf(out, "%s%d-%d %lld.%d %s %s %s", i ? "\n" : "", e->year, e->month,
			(long long)e->fence, e->step, e->from, e->to, e->event);
	}
}

#define EVENTS "SELECT string_agg(format('%s-%s %s.%s %s %s %s', year, month, fence, step, from_stage, to_stage, event), E'\\n'" \
	" ORDER BY id) FROM backfill_events"

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Lines in the order of their bytes. */
static void sorted(struct bf_buf *out, char **lines, int n)
{
	qsort(lines, (size_t)n, sizeof *lines, by_text);
	for (int i = 0; i < n; i++) {
		bf_buf_addf(out, "%s%s", i ? "\n" : "", lines[i]);
		free(lines[i]);
	}
	free(lines);
}

static void rest_of_model(struct bf_buf *out)
{
	int max = m->answers.n + m->items.n + m->jobs.n + m->quotas.n + m->locks.n, n = 0;
	char **lines = bf_xcalloc((size_t)max + 1, sizeof *lines);

	for (int i = 0; i < m->answers.n; i++) {
		const struct manswer *a = &m->answers.v[i];

		lines[n++] = bf_xasprintf("answer %d-%d %d %s %lld %s", a->year, a->month, a->round,
			bf_provider_names[a->provider], (long long)a->fence, a->a.outcome);
	}
	for (int i = 0; i < m->items.n; i++)
		lines[n++] = bf_xasprintf("item %s %d-%d %d", m->items.v[i].isbn13,
			m->items.v[i].year, m->items.v[i].month, m->items.v[i].max_retries);
	for (int i = 0; i < m->jobs.n; i++) {
		const struct mjob *j = &m->jobs.v[i];

		lines[n++] = bf_xasprintf("job %d-%d %lld %s %s %d", j->year, j->month,
			(long long)j->fence, j->status, j->dry_run ? "t" : "f", j->max_quota);
	}
	for (int i = 0; i < m->quotas.n; i++)
		lines[n++] = bf_xasprintf("quota %s %lld %lld", bf_provider_names[m->quotas.v[i].provider],
			(long long)m->quotas.v[i].used, (long long)m->quotas.v[i].leased);
	for (int i = 0; i < m->locks.n; i++)
		if (m->locks.v[i].class == 1)
			lines[n++] = bf_xasprintf("lock %d", m->locks.v[i].key);
	sorted(out, lines, n);
}

#define REST "SELECT string_agg(line, E'\\n' ORDER BY line COLLATE \"C\") FROM (" \
	"SELECT format('answer %s-%s %s %s %s %s', year, month, round, provider, fence, outcome) AS line FROM backfill_answers" \
	" UNION ALL SELECT format('item %s %s-%s %s', entity_key, year, month, max_retries) FROM enrichment_queue" \
	" UNION ALL SELECT format('job %s-%s %s %s %s %s', year, month, fence, status, dry_run, coalesce(max_quota, 0))" \
	" FROM backfill_jobs" \
	" UNION ALL SELECT format('quota %s %s %s', provider, used, leased) FROM api_quota" \
	" UNION ALL SELECT format('lock %s', objid) FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = 1112949069" \
	" AND database = (SELECT oid FROM pg_database WHERE datname = current_database())) AS l"

void equal_tables(void)
{
	static const struct { const char *what, *sql; void (*of)(struct bf_buf *); } tables[] = {
		{ "months", ROWS, rows_of_model }, { "books", BOOKS, books_of_model },
		{ "events", EVENTS, events_of_model }, { "the rest", REST, rest_of_model },
	};

	for (size_t i = 0; i < BF_COUNT(tables); i++) {
		struct bf_buf mine;

		bf_buf_init(&mine, 1 << 20);
		tables[i].of(&mine);
		/* the harness keeps so much of a value */
		if (mine.len >= 65535)
			mine.data[65535] = '\0';
		equal_texts(tables[i].what, mine.data, db_text("%s", tables[i].sql));
		bf_buf_release(&mine);
	}
}

void equal_row(const struct bf_month_row *is, const struct bf_month_row *should)
{
	equal_ints("year", is->ref.year, should->ref.year);
	equal_ints("month", is->ref.month, should->ref.month);
	equal_ints("fence", is->ref.fence, should->ref.fence);
	equal_texts("stage", is->stage, should->stage);
	equal_texts("claimed_from", is->claimed_from, should->claimed_from);
	equal_ints("retry_count", is->retry_count, should->retry_count);
	equal_ints("batch_size", is->batch_size, should->batch_size);
	equal_ints("round", is->round, should->round);
	equal_texts("prompt_variant", is->prompt_variant, should->prompt_variant);
	equal_texts("model_override", is->model_override, should->model_override);
	equal_ints("max_quota", is->max_quota, should->max_quota);
	equal_ints("isbndb_calls", is->isbndb_calls, should->isbndb_calls);
	equal_ints("outages", is->outages, should->outages);
	equal_ints("dry_run", is->dry_run, should->dry_run);
	equal_ints("last_step", is->last_step, should->last_step);
}

void equal_claims(const struct bf_claim *is)
{
	equal_ints("months claimed", is->n, got.n);
	equal_ints("months skipped", is->skipped, got.skipped);
	for (int i = 0; i < is->n; i++)
		equal_row(&is->rows[i], &got.rows[i]);
	equal_ints("pending", is->totals.pending, got.totals.pending);
	equal_ints("processing", is->totals.processing, got.totals.processing);
	equal_ints("retry", is->totals.retry, got.totals.retry);
	equal_ints("failed", is->totals.failed, got.totals.failed);
}

void equal_lost(const struct bf_month_ref *is, int n)
{
	equal_ints("lost", n, got.n);
	for (int i = 0; i < n; i++) {
		bool there = false;

		for (int j = 0; j < got.n; j++)
			there = there || (is[i].year == got.lost[j].year &&
						 is[i].month == got.lost[j].month &&
						 is[i].fence == got.lost[j].fence);
		equal_ints("a lost ref", 1, there);
	}
}
