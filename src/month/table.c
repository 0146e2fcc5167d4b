/*
 * The table of a month's life: every state by every event. A cell is a move with what makes it true in the database and what
 * starts next, or a bug because nothing can raise the event there. `backfilld states` and the README's diagram are printed from
 * it; the simulation counts that every move is taken, and that no bug is met.
 */
#include "machine.h"

#define GO(st, commit, action, text) { MOVE_GO, MONTH_##st, commit, action, text }
#define BUG(text) { MOVE_BUG, MONTH_CLAIMED, NULL, NULL, text }

/* How every working state may end early: a write that the database refuses is a failed attempt anywhere. */
#define ENDINGS										\
	[MEV_FAILURE]  = GO(RETRY, month_commit_fail, NULL, "counted, with backoff"),	\
	[MEV_SPENT]    = GO(FAILED, month_commit_fail, NULL, "the fifth attempt"),	\
	[MEV_LOSE]     = GO(LOST, NULL, NULL, "another fence owns it")
#define RELEASED [MEV_RELEASE] = GO(RELEASED, month_commit_release, NULL, "drain, or no AI usable")
#define NOT_ASKING [MEV_OUTAGE] = BUG("no ISBN is asked for")
#define NOT_PROMPTING [MEV_HOPELESS] = BUG("no prompt is made")

/* A month that is over is cancelled whole and freed at the end of the turn: nobody is left who could raise anything. */
#define OVER(ev) [MEV_##ev] = BUG("the month is over")
#define FINAL { OVER(START), OVER(AT_SAVING), OVER(AT_RESOLVING), OVER(AT_QUEUEING), OVER(BOOKS), OVER(MERGED), OVER(RESOLVED), \
	OVER(COUNTED), OVER(FAILURE), OVER(SPENT), OVER(OUTAGE), OVER(HOPELESS), OVER(RELEASE), OVER(LOSE) }

const struct month_move month_table[MONTH_NSTATES][MONTH_NEVENTS] = {
	[MONTH_CLAIMED] = {
		[MEV_START]        = GO(GENERATING, month_commit_step, month_generate, "its turn came"),
		[MEV_AT_SAVING]    = GO(SAVING, month_commit_step, month_merge, "answers are stored"),
		[MEV_AT_RESOLVING] = GO(RESOLVING, month_commit_step, month_resolve, "candidates are stored"),
		[MEV_AT_QUEUEING]  = GO(QUEUEING, month_commit_step, month_queue, "look-ups are stored"),
		[MEV_BOOKS]        = BUG("nothing was asked"),
		[MEV_MERGED]       = BUG("nothing was asked"),
		[MEV_RESOLVED]     = BUG("nothing was asked"),
		[MEV_COUNTED]      = BUG("nothing was asked"),
		ENDINGS,
		RELEASED,
		NOT_ASKING,
		NOT_PROMPTING,
	},
	[MONTH_GENERATING] = {
		[MEV_START]        = BUG("already running"),
		[MEV_AT_SAVING]    = BUG("already running"),
		[MEV_AT_RESOLVING] = BUG("already running"),
		[MEV_AT_QUEUEING]  = BUG("already running"),
		[MEV_BOOKS]        = GO(SAVING, month_commit_step, month_merge, "an AI named books"),
		[MEV_MERGED]       = BUG("no answers yet"),
		[MEV_RESOLVED]     = BUG("no candidates yet"),
		[MEV_COUNTED]      = BUG("no candidates yet"),
		ENDINGS,
		RELEASED,
		NOT_ASKING,
		[MEV_HOPELESS]     = GO(FAILED, month_commit_fail, NULL, "no retry can mend it"),
	},
	[MONTH_SAVING] = {
		[MEV_START]        = BUG("already running"),
		[MEV_AT_SAVING]    = BUG("already running"),
		[MEV_AT_RESOLVING] = BUG("already running"),
		[MEV_AT_QUEUEING]  = BUG("already running"),
		[MEV_BOOKS]        = BUG("the answers are in"),
		[MEV_MERGED]       = GO(RESOLVING, month_commit_save, month_resolve, "candidates and synthetic works stored"),
		[MEV_RESOLVED]     = BUG("no candidates yet"),
		[MEV_COUNTED]      = BUG("no candidates yet"),
		ENDINGS,
		RELEASED,
		NOT_ASKING,
		NOT_PROMPTING,
	},
	[MONTH_RESOLVING] = {
		[MEV_START]        = BUG("already running"),
		[MEV_AT_SAVING]    = BUG("already running"),
		[MEV_AT_RESOLVING] = BUG("already running"),
		[MEV_AT_QUEUEING]  = BUG("already running"),
		[MEV_BOOKS]        = BUG("the answers are in"),
		[MEV_MERGED]       = BUG("the candidates are stored"),
		[MEV_RESOLVED]     = GO(QUEUEING, month_commit_step, month_queue, "every candidate was looked up"),
		[MEV_COUNTED]      = BUG("look-ups are under way"),
		ENDINGS,
		RELEASED,
		[MEV_OUTAGE]       = GO(RETRY, month_commit_fail, NULL, "nobody could be asked, not counted"),
		NOT_PROMPTING,
	},
	[MONTH_QUEUEING] = {
		[MEV_START]        = BUG("already running"),
		[MEV_AT_SAVING]    = BUG("already running"),
		[MEV_AT_RESOLVING] = BUG("already running"),
		[MEV_AT_QUEUEING]  = BUG("already running"),
		[MEV_BOOKS]        = BUG("the answers are in"),
		[MEV_MERGED]       = BUG("the candidates are stored"),
		[MEV_RESOLVED]     = BUG("every candidate was looked up"),
		[MEV_COUNTED]      = GO(COMPLETED, month_commit_complete, NULL, "ISBNs queued, counters set"),
		ENDINGS,
		NOT_ASKING,
		NOT_PROMPTING,
		[MEV_RELEASE]      = BUG("one write from its end"),
	},
	[MONTH_COMPLETED] = FINAL,
	[MONTH_RETRY]     = FINAL,
	[MONTH_FAILED]    = FINAL,
	[MONTH_RELEASED]  = FINAL,
	[MONTH_LOST]      = FINAL,
};

const char *month_state_name(enum month_state s)
{
	switch (s) {
#define X(sym, name, final) case MONTH_##sym: return name;
	MONTH_STATES(X)
#undef X
	case MONTH_NSTATES:
		break;
	}
	return "?";
}

const char *month_event_name(enum month_event e)
{
	switch (e) {
#define X(sym, name) case MEV_##sym: return name;
	MONTH_EVENTS(X)
#undef X
	case MONTH_NEVENTS:
		break;
	}
	return "?";
}

bool month_state_is_final(enum month_state s)
{
	switch (s) {
#define X(sym, name, final) case MONTH_##sym: return final;
	MONTH_STATES(X)
#undef X
	case MONTH_NSTATES:
		break;
	}
	return false;
}

void bf_month_print_states(FILE *out)
{
	fprintf(out, "stateDiagram-v2\n    [*] --> %s\n", month_state_name(MONTH_CLAIMED));
	for (int s = 0; s < MONTH_NSTATES; s++) {
		for (int e = 0; e < MONTH_NEVENTS; e++) {
			const struct month_move *move = &month_table[s][e];

			if (move->kind == MOVE_GO)
				fprintf(out, "    %s --> %s : %s (%s)\n", month_state_name((enum month_state)s),
				    month_state_name(move->next), month_event_name((enum month_event)e), move->why);
		}
		if (month_state_is_final((enum month_state)s))
			fprintf(out, "    %s --> [*]\n", month_state_name((enum month_state)s));
	}
}
