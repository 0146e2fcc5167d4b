/*
 * fakes: the doors that the interface stands on, in memory and on a plain libevent loop, so that a test decides what the
 * database says and sees what it was asked.
 */
#ifndef FAKES_H
#define FAKES_H
#include "backfill/admin.h"

struct fakes {
	/* what the doors answer */
	bool database_up, locks_up, any_ai;
	bool hold;					/* questions wait for fakes_answer() */
	const char *blocked;
	struct bf_error error;				/* class NONE: success */
	enum bf_store_outcome outcome;
	const char *json;
	int64_t count;
	struct bf_claim claim;
	struct bf_harvest_reply harvest;
	const struct bf_pulse *pulse;
	struct bf_enrich_figures enrich;
	struct bf_month_ref held;			/* year 0: none */
	struct bf_plan_figures plan;
	struct bf_why why;
	struct bf_overview overview;
	struct bf_again_reply again;
	struct bf_findings findings;
	enum bf_schema schema;
	const char *file_problem;
	/* what they were asked */
	bool asked_years;
	int asked, cancelled, lost;
	char last[32];
	int batch_size, year_low, year_high;
	bool force_retry, paused;
	char note[64], until[40];
	struct bf_harvest harvest_ask;
	struct bf_seed seed;
	/* of enrichment: the book's key, the filter and page asked for; "(none)" for NULL */
	char isbn13[14], work_key[1024], status[16], reason[64], provider[32], after[40];
	int year, month, limit, max_retries;
	bool dry_run;
	/* of events: there are those from pruned + 1 to last_event, of `event_bytes` each, month id % 12 + 1 of 2001 */
	int64_t last_event, pruned;
	size_t event_bytes;
	struct bf_error page_error;			/* class NONE: success */
	int listening, pages;
	/* of the audit: rows written, and the last of them */
	struct bf_error audit_error;
	int audited, audit_status;
	char audit_path[80], audit_operator[80], audit_outcome[80], audit_body[80], audit_agent[256];
};
extern struct fakes fakes;
void fakes_reset(void);
struct bf_loop *fakes_loop_new(void);
void fakes_loop_free(struct bf_loop *);
void fakes_answer(void);	/* the last question that is held */
#endif
