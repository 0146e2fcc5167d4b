/*
 * world: what lies around the gate, made of paper. The clock, the timers, the HTTP client and the store are the test's own; nothing
 * happens but in world_run(), and nothing is waited for.
 */
#ifndef TESTS_PROVIDERS_WORLD_H
#define TESTS_PROVIDERS_WORLD_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../../src/providers/gate.h"

#define WORLD_MAX 64
#define DAY_LEFT_MS 3600000 /* from a reservation to the provider's midnight */

struct world_request { /* in the order of sending; GET /key is answered by the world itself */
	char *url, *body;
	bool fresh, live;
	struct bf_op *op;
	bf_http_done *done;
	void *ctx;
};
struct world_record {
	enum bf_provider_id provider;
	char *isbn13, *for_isbn, *json;
};
struct world {
	struct bf_providers *p;
	struct bf_config config;
	uint64_t now_us;
	struct world_request request[WORLD_MAX];
	int n_requests;
	int64_t retry_after_ms; /* of every answer; 0: none is told */
	/* the store */
	int grant_at_most; /* of each wish, when >= 0: a store that grants in parts */
	bool cut_off;	   /* from the database: no pulse comes by itself */
	int locked_month;  /* its row is another session's, when > 0 */
	bool flush_is_doubtful; /* the next flush is neither written nor refused: the test decides later */
	uint64_t doubtful_id;
	int64_t used[BF_NPROVIDERS];
	struct bf_reserve want[WORLD_MAX];
	int n_wants;
	struct bf_usage spent[BF_NPROVIDERS]; /* sums of all flushes and all months */
	struct world_record kept[WORLD_MAX];
	int n_kept, n_flushes, n_lost, n_probes, n_closed;
	int n_written, n_findings; /* flushes that were written, once per id, and the findings in them */
	uint64_t written_id[WORLD_MAX];
};
extern struct world w;

int world_setup(void **);
int world_teardown(void **);
/* Limits of a day and reserve; then the first pulse. */
void world_begin(enum bf_provider_id, int daily_limit, int reserve);
void world_pulse(int64_t isbndb_used);
void world_run(int64_t ms); /* time passes; timers fire, in order */
/* An answer to the i-th request, and the turns that follow at once. */
void world_answer(int i, int status, const char *body);
#endif
