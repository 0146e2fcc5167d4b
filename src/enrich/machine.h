/*
 * The machine of a queue item, private to the room: its states, events and the table that is the whole truth about them; the
 * structs of an item and of the batch it came in. Items of one batch share their requests and their writes: an action only marks
 * what an item needs, and batch_turn() does it for all items at once.
 */
#ifndef ENRICH_MACHINE_H
#define ENRICH_MACHINE_H
#include <sys/queue.h>
#include "backfill/enrich.h"

/* X(symbol, name in log and diagram, final?) */
#define ITEM_STATES(X)				\
	X(TAKEN,     "taken",     0)		\
	X(ASKING,    "asking",    0)		\
	X(MERGING,   "merging",   0)		\
	X(WRITING,   "writing",   0)		\
	X(TRYING,    "trying",    0)		\
	X(COMPLETED, "completed", 1)		\
	X(WAITING,   "waiting",   1)		\
	X(RETRY,     "retry",     1)		\
	X(FAILED,    "failed",    1)		\
	X(RELEASED,  "released",  1)		\
	X(LOST,      "lost",      1)		\
	X(REKEYED,   "rekeyed",   1)

/* X(symbol, name) */
#define ITEM_EVENTS(X)				\
	X(ASK,       "is_edition")		\
	X(TRY,       "is_work")			\
	X(MISSPELT,  "misspelt")		\
	X(ANSWERED,  "answered")		\
	X(LOOKED,    "work_chosen")		\
	X(STALE,     "stale")			\
	X(WRITTEN,   "written")			\
	X(FOUND,     "isbn_found")		\
	X(MISSED,    "isbn_not_found")		\
	X(BLOCKED,   "blocked")			\
	X(FAILURE,   "failure")			\
	X(SPENT,     "attempts_spent")		\
	X(HOPELESS,  "hopeless")		\
	X(RELEASE,   "release")			\
	X(LOSE,      "lost")

enum item_state {
#define X(sym, name, final) ITEM_##sym,
	ITEM_STATES(X)
#undef X
	ITEM_NSTATES
};
enum item_event {
#define X(sym, name) IEV_##sym,
	ITEM_EVENTS(X)
#undef X
	ITEM_NEVENTS
};

struct item;
typedef void item_action(struct item *);	/* marks or starts work; never chooses the next state */

/* What makes a move true in the database. Moves within a batch are written by nobody: a restart takes the item up again, and
 * finds every answer that was stored. */
enum item_commit {
	COMMIT_NONE,		/* nothing to write, or already written (WRITTEN) */
	COMMIT_END,		/* bf_store_items_end */
	COMMIT_ENHANCED		/* bf_store_enhanced */
};
enum move_kind { MOVE_UNSET, MOVE_GO, MOVE_IGNORE, MOVE_BUG };
struct item_move {
	enum move_kind kind;
	enum item_state next;
	enum item_commit commit;
	enum bf_item_how how;	/* of COMMIT_END */
	item_action *action;	/* NULL: the next state waits, or is final */
	const char *why;	/* label in the diagram */
};
extern const struct item_move item_table[ITEM_NSTATES][ITEM_NEVENTS];
const char *item_state_name(enum item_state);
const char *item_event_name(enum item_event);
bool item_state_is_final(enum item_state);

/* How far an item is with one provider. */
enum asked {
	ASKED_NOT,		/* no need, or not yet decided */
	ASKED_LEFT_OUT,		/* disabled or without key: nobody waits for it */
	ASKED_CLOSED,		/* may not be asked now */
	ASKED_UNDER_WAY,
	ASKED_FOUND, ASKED_MISSING,	/* definite, and stored */
	ASKED_FAILED
};

struct batch;
struct item {
	TAILQ_ENTRY(item) link;
	struct batch *batch;
	struct bf_item row;		/* strings in the batch's arena */
	char isbn13[14];
	enum item_state state;
	/* a move being written */
	const struct item_move *move;
	enum item_event move_event;
	bool committing;
	char reason[256];		/* what the end says */
	const char *waiting_for;	/* provider's name */
	int64_t wait_ms;
	/* asking */
	enum asked asked[BF_NPROVIDERS];
	bool second_round;		/* the last resort has been asked */
	struct bf_offer offers[BF_NPROVIDERS];
	size_t n_offers;
	char failure[200];		/* of the last provider that failed */
	/* merging, writing */
	bool to_look, to_write, writing;
	int stale;			/* times in a row */
	struct bf_look look;
	struct bf_edition edition;
	struct bf_edition_write write;
	struct planned *plan;		/* the work it goes to */
	/* trying */
	struct bf_op *walk;
	struct bf_candidate cand;
	struct bf_enhanced enhanced;
};
TAILQ_HEAD(item_list, item);

/* One request about several items. */
struct ask {
	TAILQ_ENTRY(ask) link;
	struct batch *batch;
	enum bf_provider_id provider;
	struct item **items;
	size_t n;
	struct bf_op *op;		/* the request, then the storing of its answer, then a rest before storing again */
	struct bf_fetched *fetched;
	uint64_t id_hi, id_lo;
};
TAILQ_HEAD(ask_list, ask);

/* A work as the batch means to write it. */
struct planned {
	TAILQ_ENTRY(planned) link;
	struct bf_work work;
	const char *seen;		/* NULL: new */
	const char *authors;		/* `;`-joined names, for the choice of later items */
	struct bf_texts author_names, author_keys, absorbed, absorbed_seen;
	bool promoted, counted;
	int index;			/* in the write, -1 not in it */
};
TAILQ_HEAD(planned_list, planned);

struct batch {
	TAILQ_ENTRY(batch) link;
	struct bf_enrich *e;
	enum bf_item_kind kind;
	struct bf_arena *arena;
	struct item_list items;		/* not yet over */
	int n_items;
	struct ask_list asks;
	struct planned_list planned;
	struct bf_op *turn, *look_op, *write_op, *end_op;
	struct item **sent;		/* items of the look, write or end under way */
	struct item **ending;
	int n_sent, n_ending;
	char *looked_at;
	bool one_by_one;		/* the database refused the whole: its items are written singly */
	int tries;
	uint64_t since_us;
};
TAILQ_HEAD(batch_list, batch);

struct bf_enrich {
	struct bf_loop *loop;
	struct bf_store *store;
	struct bf_providers *providers;
	const struct bf_config *config;
	bf_enrich_ended *ended;
	void *ended_ctx;
	struct batch_list batches;
	int n_items, n_batches[2];	/* batches by kind */
	bool alive, paused, draining, maybe_more[2];
	struct bf_op *poll_timer, *claim_op[2], *drain_timer, *due_op, *hurry_op;
	struct bf_enrich_figures figures;
};

/* machine.c */
void item_raise(struct item *, enum item_event);
/* The ends, each with its words. */
void item_block(struct item *, enum bf_provider_id, int64_t wait_ms, const char *fmt, ...) BF_PRINTF(4, 5);
void item_fail(struct item *, const char *fmt, ...) BF_PRINTF(2, 3);
void item_hopeless(struct item *, const char *fmt, ...) BF_PRINTF(2, 3);
void item_end_all(struct batch *);	/* writes the ends that are pending */

/* batch.c */
struct batch *batch_begin(struct bf_enrich *, enum bf_item_kind, const struct bf_items *);
void batch_turn_soon(struct batch *);
void batch_drop(struct batch *);
void batch_release(struct batch *);	/* a drain's time is up */

/* asking.c */
item_action item_ask;
void asking_turn(struct batch *);
void ask_free(struct ask *);

/* merging.c */
item_action item_look, item_write;
void merging_turn(struct batch *);
/* plan.c */
void plan_batch(struct batch *, const struct bf_looked *, int n);
void plan_reset(struct batch *);

/* trying.c */
item_action item_try;

/* enrich.c */
void enrich_batch_over(struct batch *);
void enrich_drop_walk(struct item *);
#endif
