/*
 * watch_view: what watch knows, and how it is said. Pure: figures in, lines out.
 */
#ifndef CTL_WATCH_VIEW_H
#define CTL_WATCH_VIEW_H
#include "text.h"

#define WATCH_FLIGHTS 6
#define WATCH_SAMPLES 64

struct watch_flight { int year, month; char stage[24]; int64_t books; };
/* The figures at one moment. */
struct watch_figures {
	int64_t total, pending, processing, completed, retry, failed;
	int64_t books, isbns;
	double rate;
	int64_t queue_pending, queue_waiting, queue_processing, queue_failed, queue_completed;
	bool quota_known, quota_limited, quota_usable;
	int64_t quota_left, quota_limit;
	char quota_reset[32];
	struct watch_flight flights[WATCH_FLIGHTS];
	int n_flights;		/* shown ones; processing counts them all */
	char paused[256];	/* "": not */
	bool is_paused;
	char unready[256];	/* why nothing can be done; "": it can */
};
/* One look, for the pace. */
struct watch_sample { uint64_t at_us; int64_t books, ended; };
struct watch {
	struct watch_figures now;
	struct watch_sample samples[WATCH_SAMPLES];	/* oldest first */
	int n_samples;
	uint64_t seen_us;	/* when `now` was true */
	char away[256];		/* why there is nothing newer; "": there is */
};

/* Takes new figures. */
void watch_take(struct watch *, const struct watch_figures *, uint64_t at_us);
bool watch_done(const struct watch_figures *);		/* nothing is left to do */
/* "running", "idle", "paused", "done", "not ready", "unknown": never "running" without knowing. */
const char *watch_state(const struct watch *);
double watch_percent(const struct watch_figures *);	/* completed of all, rounded down to a tenth */
/* -1 when too little was seen. */
double watch_books_per_s(const struct watch *);
double watch_seconds_left(const struct watch *);
/* The picture, one line after the other. `bar_columns` of the whole width. */
void watch_picture(const struct watch *, const struct out *, const char *server, uint64_t now_us, struct bf_buf *);
/* The same as one line, without what only changes with time. */
void watch_line(const struct watch *, struct bf_buf *);
#endif
