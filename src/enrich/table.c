/*
 * The table of a queue item's life: every state by every event. A cell is a move with what makes it true in the database and what
 * starts next, or ignored because, or a bug because. `backfilld states --items` and the README's diagram are printed from it.
 */
#include "machine.h"

// clang-format off
#define GO(st, action, text) { MOVE_GO, ITEM_##st, COMMIT_NONE, BF_END_DONE, action, text }
#define END(st, how, text) { MOVE_GO, ITEM_##st, COMMIT_END, BF_END_##how, NULL, text }
#define ENHANCED(text) { MOVE_GO, ITEM_COMPLETED, COMMIT_ENHANCED, BF_END_DONE, NULL, text }
#define IGNORE(text) { MOVE_IGNORE, ITEM_TAKEN, COMMIT_NONE, BF_END_DONE, NULL, text }
#define BUG(text) { MOVE_BUG, ITEM_TAKEN, COMMIT_NONE, BF_END_DONE, NULL, text }

/* How every working state ends early. */
#define ENDINGS									\
	[IEV_BLOCKED]  = END(WAITING, WAIT, "who is needed may not be asked now; not counted"),	\
	[IEV_FAILURE]  = END(RETRY, RETRY, "counted, with backoff"),		\
	[IEV_SPENT]    = END(FAILED, RETRY, "the last attempt"),			\
	[IEV_HOPELESS] = END(FAILED, FAILED, "no retry can mend it"),		\
	[IEV_RELEASE]  = END(RELEASED, RELEASE, "drain"),			\
	[IEV_LOSE]     = GO(LOST, NULL, "another fence owns it")

#define OVER(ev) [IEV_##ev] = IGNORE("the item is over")
#define FINAL { OVER(ASK), OVER(TRY), OVER(MISSPELT), OVER(ANSWERED), OVER(LOOKED), OVER(STALE), OVER(WRITTEN), OVER(FOUND),	\
	OVER(MISSED), OVER(BLOCKED), OVER(FAILURE), OVER(SPENT), OVER(HOPELESS), OVER(RELEASE), OVER(LOSE) }

const struct item_move item_table[ITEM_NSTATES][ITEM_NEVENTS] = {
	[ITEM_TAKEN] = {
		[IEV_ASK]      = GO(ASKING, item_ask, "an ISBN"),
		[IEV_TRY]      = GO(TRYING, item_try, "a synthetic work"),
		[IEV_MISSPELT] = END(REKEYED, REKEY, "ISBN-10 or with hyphens"),
		[IEV_ANSWERED] = BUG("nothing was asked"),
		[IEV_LOOKED]   = BUG("nothing was asked"),
		[IEV_STALE]    = BUG("nothing was written"),
		[IEV_WRITTEN]  = BUG("nothing was written"),
		[IEV_FOUND]    = BUG("nothing was asked"),
		[IEV_MISSED]   = BUG("nothing was asked"),
		ENDINGS,
	},
	[ITEM_ASKING] = {
		[IEV_ASK]      = BUG("already asking"),
		[IEV_TRY]      = BUG("an edition"),
		[IEV_MISSPELT] = BUG("the key was read"),
		[IEV_ANSWERED] = GO(MERGING, item_look, "every answer is stored"),
		[IEV_LOOKED]   = BUG("answers are awaited"),
		[IEV_STALE]    = BUG("nothing was written"),
		[IEV_WRITTEN]  = BUG("nothing was written"),
		[IEV_FOUND]    = BUG("an edition"),
		[IEV_MISSED]   = BUG("an edition"),
		ENDINGS,
	},
	[ITEM_MERGING] = {
		[IEV_ASK]      = BUG("the answers are in"),
		[IEV_TRY]      = BUG("an edition"),
		[IEV_MISSPELT] = BUG("the key was read"),
		[IEV_ANSWERED] = BUG("the answers are in"),
		[IEV_LOOKED]   = GO(WRITING, item_write, "merged with what the catalogue has"),
		[IEV_STALE]    = BUG("nothing was written"),
		[IEV_WRITTEN]  = BUG("nothing was written"),
		[IEV_FOUND]    = BUG("an edition"),
		[IEV_MISSED]   = BUG("an edition"),
		ENDINGS,
	},
	[ITEM_WRITING] = {
		[IEV_ASK]      = BUG("the answers are in"),
		[IEV_TRY]      = BUG("an edition"),
		[IEV_MISSPELT] = BUG("the key was read"),
		[IEV_ANSWERED] = BUG("the answers are in"),
		[IEV_LOOKED]   = BUG("already merged"),
		[IEV_STALE]    = GO(MERGING, item_look, "the catalogue changed meanwhile"),
		[IEV_WRITTEN]  = GO(COMPLETED, NULL, "edition, work and authors written with it"),
		[IEV_FOUND]    = BUG("an edition"),
		[IEV_MISSED]   = BUG("an edition"),
		ENDINGS,
	},
	[ITEM_TRYING] = {
		[IEV_ASK]      = BUG("a work"),
		[IEV_TRY]      = BUG("already trying"),
		[IEV_MISSPELT] = BUG("a work"),
		[IEV_ANSWERED] = BUG("a work"),
		[IEV_LOOKED]   = BUG("a work"),
		[IEV_STALE]    = BUG("a work"),
		[IEV_WRITTEN]  = BUG("a work"),
		[IEV_FOUND]    = ENHANCED("its ISBN is queued"),
		[IEV_MISSED]   = ENHANCED("nobody knows an ISBN; again in a week"),
		ENDINGS,
	},
	[ITEM_COMPLETED] = FINAL,
	[ITEM_WAITING]   = FINAL,
	[ITEM_RETRY]     = FINAL,
	[ITEM_FAILED]    = FINAL,
	[ITEM_RELEASED]  = FINAL,
	[ITEM_LOST]      = FINAL,
	[ITEM_REKEYED]   = FINAL,
};
// clang-format on

const char *item_state_name(enum item_state s)
{
	switch (s) {
#define X(sym, name, final) case ITEM_##sym: return name;
	ITEM_STATES(X)
#undef X
	case ITEM_NSTATES: break;
	}
	return "?";
}

const char *item_event_name(enum item_event e)
{
	switch (e) {
#define X(sym, name) case IEV_##sym: return name;
	ITEM_EVENTS(X)
#undef X
	case ITEM_NEVENTS: break;
	}
	return "?";
}

bool item_state_is_final(enum item_state s)
{
	switch (s) {
#define X(sym, name, final) case ITEM_##sym: return final;
	ITEM_STATES(X)
#undef X
	case ITEM_NSTATES: break;
	}
	return false;
}

void bf_enrich_print_states(FILE *out)
{
	fprintf(out, "stateDiagram-v2\n    [*] --> %s\n", item_state_name(ITEM_TAKEN));
	for (int s = 0; s < ITEM_NSTATES; s++) {
		const char *from = item_state_name((enum item_state)s);

		for (int e = 0; e < ITEM_NEVENTS; e++) {
			const struct item_move *move = &item_table[s][e];

			if (move->kind == MOVE_GO)
				fprintf(out, "    %s --> %s : %s (%s)\n", from,
					item_state_name(move->next),
					item_event_name((enum item_event)e), move->why);
		}
		if (item_state_is_final((enum item_state)s))
			fprintf(out, "    %s --> [*]\n", from);
	}
}
