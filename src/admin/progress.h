/*
 * progress: where the whole stands, in one true sentence, and how long the rest will take. Facts in, words out: nothing
 * is asked here.
 */
#ifndef ADMIN_PROGRESS_H
#define ADMIN_PROGRESS_H
#include "backfill/store.h"
#include "pace.h"

struct progress_facts {
	const struct bf_overview *o;
	struct pace pace;
	const char *no_ai;		/* why no AI can be asked; NULL: one can */
	bool no_ai_quota;		/* and quota is the reason */
	int64_t ai_back_us;		/* when one can be asked again; 0: nobody can tell */
	int64_t next_run_us, last_run_us;	/* of the timer: the next, and the one that claims the last pending month; 0: off, unknown */
	int batch_size;			/* months that a run claims */
};

enum progress_state { PROGRESS_EMPTY, PROGRESS_DONE, PROGRESS_PAUSED, PROGRESS_WORKING, PROGRESS_WAITING, PROGRESS_IDLE };
struct progress {
	enum progress_state state;
	int left;			/* months that are not over */
	double percent;			/* over; 100 only when nothing is left */
	char text[320], binds[240];	/* binds "": nothing is left */
	int64_t seconds_left;		/* -1: cannot be said; binds tells why */
	double cost_left_usd;
};
void progress_of(const struct progress_facts *, struct progress *ret);
const char *progress_state_name(enum progress_state);
#endif
