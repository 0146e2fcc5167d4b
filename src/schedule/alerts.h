/* Alerts, private to the room: the rules (pure), their evaluation, and the webhook that is told. */
#ifndef SCHEDULE_ALERTS_H
#define SCHEDULE_ALERTS_H
#include "backfill/schedule.h"

#define ALERTS_POOL	32		/* conditions at most: the kinds that exist, each provider once */
#define ALERTS_MONTHS	20		/* months completed last whose rate is looked at */
#define ALERTS_ORPHAN_S 60		/* so long a month may be without an owner: it is rescued within ten seconds */
#define ALERTS_CIRCUIT_S 600

/* What is looked at: the database's facts, and what this instance knows. */
struct alert_view {
	const struct bf_alert_facts *facts;
	const struct bf_config *config;
	const struct bf_pulse *pulse;
	int limit[BF_NPROVIDERS], reserve[BF_NPROVIDERS];	/* in force */
	const int64_t *orphan_s;	/* of facts->stuck: how long its lock has been seen free */
};
struct alert_list {
	struct bf_arena *arena;
	struct bf_alert v[ALERTS_POOL];
	int n;
};
/* Every condition that is true; texts live in the list's arena. */
void alert_rules(const struct alert_view *, struct alert_list *);

struct alerts;
struct alerts *alerts_new(struct bf_schedule *, struct bf_http *);	/* http NULL: nobody is told */
void alerts_free(struct alerts *);		/* NULL is fine */
void alerts_pulse(struct alerts *);		/* after each pulse; NULL is fine */
const struct bf_alert_figures *alerts_figures(const struct alerts *);

struct webhook;
struct webhook *webhook_new(struct bf_schedule *, struct bf_http *, struct bf_alert_figures *);
void webhook_free(struct webhook *);
void webhook_look(struct webhook *);		/* something may be due */
bool webhook_wanted(const struct webhook *);	/* somebody is to be told */
#endif
