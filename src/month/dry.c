/* A dry run asks and resolves for real and writes only its job's row: where it stands, and at the end what it found and spent. */
#include "machine.h"
#include <stdio.h>
#include <stdlib.h>

static void dry_stats(struct month *m, struct bf_buf *buf)
{
	struct bf_jw jw;
	struct bf_tally tally = { 0 };
	int resolved = 0, all = 0;

	bf_tally_read(m->set->providers, m->tally, &tally);
	for (int i = 0; i < m->n_cands; i++)
		resolved += m->cands[i].state == BF_CAND_RESOLVED;
	for (int i = 0; i < BF_NPROVIDERS; i++)
		all += tally.calls[i];
	bf_jw_init(&jw, buf);
	bf_jw_obj(&jw);
	bf_jw_key(&jw, "books_generated");
	bf_jw_int(&jw, (int64_t)m->n_books);
	bf_jw_key(&jw, "isbns_resolved");
	bf_jw_int(&jw, resolved);
	bf_jw_key(&jw, "isbn_resolution_rate");
	bf_jw_dbl(&jw, m->n_books ? 100.0 * resolved / (double)m->n_books : 0, 2);
	bf_jw_key(&jw, "isbns_sent_to_enrichment");
	bf_jw_int(&jw, 0);
	bf_jw_key(&jw, "already_enriched");
	bf_jw_int(&jw, 0);
	bf_jw_key(&jw, "synthetic_works");
	bf_jw_int(&jw, (int64_t)m->n_books - resolved);
	bf_jw_key(&jw, "gemini_calls");
	bf_jw_int(&jw, tally.calls[BF_GEMINI]);
	bf_jw_key(&jw, "xai_calls");
	bf_jw_int(&jw, tally.calls[BF_XAI]);
	bf_jw_key(&jw, "isbndb_calls");
	bf_jw_int(&jw, tally.calls[BF_ISBNDB]);
	bf_jw_key(&jw, "total_api_calls");
	bf_jw_int(&jw, all);
	bf_jw_key(&jw, "cost_usd");
	bf_jw_dbl(&jw, tally.cost_usd, 6);
	bf_jw_end_obj(&jw);
}

static const char *progress_of(enum month_state next)
{
	switch (next) {
	case MONTH_GENERATING: return "Dry run: asking the AI providers (real quota is spent)";
	case MONTH_SAVING: return "Dry run: merging what the AI providers named";
	case MONTH_RESOLVING: return "Dry run: looking up ISBNs (real quota is spent)";
	case MONTH_QUEUEING:
	case MONTH_COMPLETED:
		return "Dry run complete: nothing was written about the month or its books; real "
		       "quota was spent";
	case MONTH_RETRY:
	case MONTH_FAILED: return "Dry run failed";
	case MONTH_RELEASED:
		return "Dry run stopped: the daemon drained or no AI provider was usable";
	case MONTH_CLAIMED:
	case MONTH_LOST:
	case MONTH_NSTATES: break;
	}
	return "";
}

struct bf_op *dry_write(struct month *m, bf_store_done *done, void *ctx)
{
	enum month_state next = m->move->next;
	const char *status = "processing", *error = NULL;
	struct bf_buf stats;
	struct bf_op *op;

	if (next == MONTH_SAVING || next == MONTH_QUEUEING || next == MONTH_LOST)
		return NULL;
	if (next == MONTH_COMPLETED) {
		status = "complete";
	} else if (month_state_is_final(next)) {
		status = "failed";
		error = m->failure.error
			? m->failure.error
			: "released: the daemon drained or no AI provider was usable";
	}
	bf_buf_init(&stats, 4096);
	dry_stats(m, &stats);
	op = bf_store_job(m->set->store, m->row.job_id, status, progress_of(next), stats.data,
		error, done, ctx);
	bf_buf_release(&stats);
	return op;
}
