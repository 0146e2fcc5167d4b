/*
 * handlers: what the route table points at. Each gets a request that passed the guard and answers it exactly once, now or
 * from a completion. Beside them stand the tables of their bodies' fields and of their parameters.
 */
#ifndef ADMIN_HANDLERS_H
#define ADMIN_HANDLERS_H
#include "reply.h"

/* health.c */
void health_live(struct request *);
void health_ready(struct request *);
/* metrics.c */
void metrics_show(struct request *);
/* schedule_routes.c */
void schedule_routes_claim(struct request *);
void schedule_routes_seed(struct request *);
void schedule_routes_harvest(struct request *);
extern const struct body_field schedule_routes_claim_body[], schedule_routes_seed_body[], schedule_routes_harvest_body[];
/* pause_routes.c */
void pause_routes_pause(struct request *);
void pause_routes_resume(struct request *);
extern const struct body_field pause_routes_pause_body[];
/* month_routes.c */
void month_routes_retry(struct request *);
void month_routes_cancel(struct request *);
void month_routes_reset(struct request *);
/* verify_routes.c */
void verify_routes_verify(struct request *);
void verify_routes_doctor(struct request *);
extern const struct body_field verify_routes_verify_query[];
/* why_routes.c */
void why_routes_month(struct request *);
/* view_routes.c */
void view_routes_stats(struct request *);
void view_routes_months(struct request *);
void view_routes_month(struct request *);
void view_routes_job(struct request *);
void view_routes_quota(struct request *);
void view_routes_config(struct request *);
/* enrichment_routes.c */
void enrichment_routes_book(struct request *);
void enrichment_routes_list(struct request *);
void enrichment_routes_redrive(struct request *);
void enrichment_routes_adopt(struct request *);
extern const struct body_field enrichment_routes_list_query[], enrichment_routes_redrive_body[], enrichment_routes_adopt_body[];
/* months_routes.c */
void months_routes_retry(struct request *);
extern const struct body_field months_routes_retry_body[];
/* overview_routes.c */
void overview_routes_show(struct request *);
/* events.c */
void events_stream(struct request *);
extern const struct body_field events_query[];
/* audit.c */
void audit_list(struct request *);
extern const struct body_field audit_query[];
/* alert_routes.c */
void alert_routes_list(struct request *);
extern const struct body_field alert_routes_query[];
/* openapi.c */
void openapi_show(struct request *);
/* dashboard.c */
void dashboard_page(struct request *);
void dashboard_file(struct request *);

/* Reads the request's body into the struct that the route's fields are of; answers 400 itself and returns false when it
 * isn't what they say. Problems that the handler found in the values afterwards go to handlers_refuse. */
bool handlers_body(struct request *, void *into);
/* The same for the parameters behind the path, but the problems are the handler's to answer. */
void handlers_query(struct request *, void *into, struct body_problems *);
/* True, and answered, when there is a problem. */
bool handlers_refuse(struct request *, struct body_problems *);
/* Completes a question whose answer is JSON as the store made it; none (NULL) is 404. */
void handlers_show(void *ctx, const struct bf_error *, const char *json);
/* True, and answered 503, when the database is away. */
bool handlers_database_away(struct request *);
#endif
