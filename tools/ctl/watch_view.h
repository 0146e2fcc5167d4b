/*
 * watch_view: what watch knows, and how it is said. Pure: figures in, lines out.
 */
#ifndef CTL_WATCH_VIEW_H
#define CTL_WATCH_VIEW_H
#include "text.h"

#define WATCH_FLIGHTS 6
#define WATCH_SAMPLES 64

struct watch_flight { int year, month; char stage[24]; };
/* The figures at one moment, and the server's own words for them. */
struct watch_figures {
	char state[16];		/* "working", "waiting", "paused", "idle", "done", "empty" */
	char text[256];		/* a sentence that says why */
	int64_t total, pending, processing, completed, retry, failed;
	int64_t left, in_flight;
	double percent;		/* of the months, ended either way */
	int64_t books, isbns;
	double rate;
	int64_t queue_pending, queue_waiting, queue_processing, queue_failed, queue_completed;
	bool quota_known, quota_limited, quota_usable;
	int64_t quota_left, quota_limit;
	char quota_reset[32];
	struct watch_flight flights[WATCH_FLIGHTS];
	int n_flights;		/* shown ones; in_flight counts them all */
	int64_t seconds_left;	/* -1: cannot be said */
	char ends_at[32];
	char binds[256];	/* what makes it take as long, or why it cannot be said */
	double cost_usd, cost_left_usd;	/* the second -1: cannot be said */
	int64_t n_alerts;
	char alert[256];	/* the first of them */
};
/* One look, for the pace. */
struct watch_sample { uint64_t at_us; int64_t books; };
struct watch {
	struct watch_figures now;
	struct watch_sample samples[WATCH_SAMPLES];	/* oldest first */
	int n_samples;
	uint64_t seen_us;	/* when `now` was true */
	char away[256];		/* why there is nothing newer; "": there is */
};

/* Takes new figures. */
void watch_take(struct watch *, const struct watch_figures *, uint64_t at_us);
bool watch_done(const struct watch_figures *);		/* nothing is left to do, the queue included */
/* The server's word, or "unknown" while it is away. */
const char *watch_state(const struct watch *);
double watch_books_per_s(const struct watch *);		/* -1 when too little was seen */
/* The picture, one line after the other. */
void watch_picture(const struct watch *, const struct out *, const char *server, uint64_t now_us, struct bf_buf *);
/* The same as one line, without what only changes with time. */
void watch_line(const struct watch *, struct bf_buf *);
#endif
