/*
 * admin: the HTTP interface. A guard before everything (framing, limits, deadline, secret), routes as one table, JSON views,
 * metrics.
 */
#ifndef BACKFILL_ADMIN_H
#define BACKFILL_ADMIN_H
#include "backfill/config.h"
#include "backfill/enrich.h"
#include "backfill/month.h"
#include "backfill/providers.h"
#include "backfill/reactor.h"
#include "backfill/schedule.h"
#include "backfill/store.h"

struct bf_admin;
/* What the interface shows and steers; all borrowed. */
struct bf_admin_parts {
	struct bf_loop *loop;
	struct bf_http *http;
	struct bf_pg *pool, *locks;
	struct bf_store *store;
	struct bf_providers *providers;
	struct bf_months *months;
	struct bf_schedule *schedule;
	struct bf_enrich *enrich;	/* NULL: nothing is enriched here */
};
/* Listens at config's admin.listen (HOST:PORT, port 0: any; logs the address). NULL and *err when it can't. */
struct bf_admin *bf_admin_new(const struct bf_admin_parts *, const struct bf_config *, struct bf_error *err);
void bf_admin_free(struct bf_admin *);
void bf_admin_configure(struct bf_admin *, const struct bf_config *);	/* secret, max_body; borrowed until the next call */
/* Checked at start: BF_SCHEMA_OK or why /readyz says 503. */
void bf_admin_schema(struct bf_admin *, enum bf_schema, const char *remedy);
void bf_admin_event(struct bf_admin *);		/* NOTIFY on backfill_events: a transition was written, by any instance */
void bf_admin_drain(struct bf_admin *);		/* stops listening; replies under way are finished, streams of events end */
int  bf_admin_pending(const struct bf_admin *);	/* answers and lines of the audit that are not out yet */
#endif
