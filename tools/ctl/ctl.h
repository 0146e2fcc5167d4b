/*
 * ctl: what every command of backfillctl works with: the command line as read, the server, where the answer goes.
 */
#ifndef CTL_CTL_H
#define CTL_CTL_H
#include "backfill/base.h"
#include "args.h"
#include "client.h"
#include "text.h"

/* Scripts rely on these. */
enum ctl_exit {
	CTL_OK = 0,
	CTL_FAILED = 1,		/* the server said no, or what was asked for ended badly */
	CTL_USAGE = 2,		/* the command line, or values that the server refuses */
	CTL_REFUSED = 3,	/* no server, a server that can't answer now, or a wrong secret */
	CTL_FOUND = 4		/* verify and doctor found something */
};

struct ctl {
	struct args args;
	struct client *client;
	struct out out;
	struct bf_arena *arena;		/* lives as long as the program */
};

/* ---- api.c: calls, and values out of their answers ---- */
/* Makes one call. CTL_OK: *ret is the answer, to be freed by the caller, and with --json it is printed already. Otherwise the
 * reason was printed and *ret is NULL. body NULL: a GET. */
int api_call(struct ctl *, const char *path, const char *body, struct bf_json **ret) BF_MUSTCHECK;
/* What a reply that was not wanted means: prints why, returns the exit status. */
int api_explain(struct ctl *, const char *path, const struct client_reply *);
/* Text of a member, in the arena; "" when absent or null. Numbers are their digits. */
const char *api_text(struct ctl *, struct bf_jval, const char *dotted);
int64_t api_int(struct bf_jval, const char *dotted);	/* 0 when absent */
double api_dbl(struct bf_jval, const char *dotted);	/* 0 when absent */
bool api_true(struct bf_jval, const char *dotted);
/* "2023-12" of an object with year and month; "" without. */
const char *api_month(struct ctl *, struct bf_jval);
/* The texts of an array, joined by ", ". */
const char *api_list(struct ctl *, struct bf_jval);
/* A time as people read it: "2026-01-14 03:00:00"; "" for none. */
const char *api_time(struct ctl *, struct bf_jval, const char *dotted);
/* A whole number with commas: "12,345". */
const char *api_count(struct ctl *, int64_t);
/* Adds "name=value" to a path, percent-encoded; nothing for NULL, and for 0. */
void api_query(struct bf_buf *, const char *name, const char *value);
void api_query_int(struct bf_buf *, const char *name, int value);
bool api_has_terminal(void);			/* somebody can be asked */
/* CTL_OK when there is a terminal to ask on; else it says that --yes is missing. */
int api_can_ask(struct ctl *) BF_MUSTCHECK;
/* Asks on the terminal; CTL_OK to go on. With --yes it does not ask; without a terminal it refuses. */
int api_confirm(struct ctl *, const char *question) BF_MUSTCHECK;

/* ---- the commands; each returns an exit status ---- */
int show_stats(struct ctl *);			/* show_months.c */
int show_months(struct ctl *);
int show_month(struct ctl *);
int show_book(struct ctl *);			/* show_book.c */
int show_quota(struct ctl *);			/* show_service.c */
int show_config(struct ctl *);
int show_alerts(struct ctl *);
int show_why(struct ctl *);
int show_verify(struct ctl *);
int show_doctor(struct ctl *);
int queue_list(struct ctl *);			/* queue.c */
int queue_redrive(struct ctl *);
int queue_adopt(struct ctl *);
int steer_schedule(struct ctl *);		/* steer.c */
int steer_seed(struct ctl *);
int steer_harvest(struct ctl *);
int steer_job(struct ctl *);
int steer_retry(struct ctl *);
int steer_reset(struct ctl *);
int steer_cancel(struct ctl *);
int steer_pause(struct ctl *);
int steer_resume(struct ctl *);
void plan_estimate(struct ctl *, struct bf_jval estimate);	/* plan.c; nothing for none */
int retry_where(struct ctl *);
int audit_list(struct ctl *);			/* audit.c */
int events_show(struct ctl *);			/* events.c */
int watch_run(struct ctl *);			/* watch.c */
#endif
