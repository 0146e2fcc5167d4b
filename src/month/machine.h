/*
 * The machine of a month, private to the room: its states, events and the table that is the whole truth about them; the struct
 * of a month; and the verbs by which the stages' files speak to it.
 */
#ifndef MONTH_MACHINE_H
#define MONTH_MACHINE_H
#include <sys/queue.h>
#include "backfill/month.h"

/* X(symbol, name in database, log and diagram, final?) */
#define MONTH_STATES(X)					\
	X(CLAIMED,    "claimed",    0)			\
	X(GENERATING, "generating", 0)			\
	X(SAVING,     "saving",     0)			\
	X(RESOLVING,  "resolving",  0)			\
	X(QUEUEING,   "queueing",   0)			\
	X(COMPLETED,  "completed",  1)			\
	X(RETRY,      "retry",      1)			\
	X(FAILED,     "failed",     1)			\
	X(RELEASED,   "released",   1)			\
	X(LOST,       "lost",       1)

/* X(symbol, name) */
#define MONTH_EVENTS(X)					\
	X(START,      "start")				\
	X(AT_SAVING,  "resume_saving")			\
	X(AT_RESOLVING, "resume_resolving")		\
	X(AT_QUEUEING, "resume_queueing")		\
	X(BOOKS,      "books_named")			\
	X(MERGED,     "merged")				\
	X(RESOLVED,   "resolved")			\
	X(COUNTED,    "counted")			\
	X(FAILURE,    "failure")			\
	X(SPENT,      "attempts_spent")			\
	X(OUTAGE,     "outage")				\
	X(HOPELESS,   "hopeless")			\
	X(RELEASE,    "release")			\
	X(LOSE,       "lost")

enum month_state {
#define X(sym, name, final) MONTH_##sym,
	MONTH_STATES(X)
#undef X
	MONTH_NSTATES
};
enum month_event {
#define X(sym, name) MEV_##sym,
	MONTH_EVENTS(X)
#undef X
	MONTH_NEVENTS
};

struct month;
/* Starts work; never chooses the next state: a branch is two events. Idempotent: a restart runs the stored stage's again. */
typedef void month_action(struct month *);
/* Starts the one atomic write that makes a move true. */
typedef struct bf_op *month_commit(struct month *, const struct bf_step *);

enum move_kind { MOVE_UNSET, MOVE_GO, MOVE_BUG };
struct month_move {
	enum move_kind kind;
	enum month_state next;
	month_commit *commit;	/* NULL: nothing is written */
	month_action *action;	/* after the write; NULL: the next state is final */
	const char *why;	/* label in the diagram */
};
extern const struct month_move month_table[MONTH_NSTATES][MONTH_NEVENTS];
const char *month_state_name(enum month_state);
const char *month_event_name(enum month_event);
bool month_state_is_final(enum month_state);

/* ---- one month ---- */
struct month_ai {		/* one AI's part in generating */
	struct month *month;
	enum bf_provider_id provider;
	struct bf_op *op;	/* the question, then its storing */
	bool settled;		/* answered and stored, or failed */
	bool answered, asked;	/* asked: a request went out, or an answer was stored before */
	struct bf_answer answer;	/* strings in the month's arena */
	struct bf_step step;		/* of storing it, for repeats */
	char failure[256];
};
struct month_book {		/* one candidate in resolving */
	struct month *month;
	struct bf_candidate *cand;
	struct bf_op *op;		/* the walk along the chain, then the writing of what it found */
};
TAILQ_HEAD(month_list, month);
struct month {
	TAILQ_ENTRY(month) link;
	struct bf_months *set;
	struct bf_month_row row;
	enum month_state state;
	bool running;			/* has a slot; else it waits its turn */
	int step;			/* last step number used */
	uint64_t since_us;		/* in this state */
	struct bf_arena *arena;		/* all that its answers were parsed into */
	/* a move being written */
	const struct month_move *move;
	enum month_event move_event;
	struct bf_step move_step;
	struct bf_op *move_op;
	int move_tries;
	char *detail;			/* JSON for the next transition's row; taken by it */
	struct bf_failure failure;	/* what the failing moves write */
	char failure_text[512];
	/* generating, saving */
	struct month_ai ai[BF_NAIS];
	struct bf_op *load_op;
	struct bf_book *books;
	size_t n_books;
	struct bf_new_candidate *new_candidates;
	/* resolving */
	struct bf_candidate *cands;
	int n_cands, next_cand, active, unwritten;
	struct month_book *walks;
	int n_books_left, n_unavailable;	/* candidates that count; unavailable for other reasons than quota */
	int tally;			/* of a dry run's calls */
	bool any_failed;
	int budget;			/* paid look-ups left; -1 no limit */
	struct bf_op *flush_op;
};

struct bf_months {
	struct bf_loop *loop;
	struct bf_store *store;
	struct bf_providers *providers;
	const struct bf_config *config;
	bf_months_ended *ended;
	void *ended_ctx;
	struct month_list list;		/* in the order they came */
	int n_held, n_running;
	bool draining;
	struct bf_op *drain_timer;
	struct bf_month_figures figures;
};

/* machine.c */
void month_raise(struct month *, enum month_event);
bool month_is_over(const struct month *);	/* final, or leaving for a final state */
void month_drop_work(struct month *);		/* cancels everything under way */
void month_detail(struct month *, const char *json);	/* for the next transition; copied */
/* The failing events, by what is left: SPENT after the fifth counted failure. */
void month_fail(struct month *, const char *stage, bool next_round, const char *fmt, ...) BF_PRINTF(4, 5);
void month_outage(struct month *, const char *stage, const char *fmt, ...) BF_PRINTF(3, 4);
void month_hopeless(struct month *, const char *fmt, ...) BF_PRINTF(2, 3);
int  month_next_step(struct month *);

/* machine.c: what makes the moves true */
month_commit month_commit_step, month_commit_save, month_commit_complete, month_commit_fail, month_commit_release;

/* the stages: generating.c saving.c resolving.c; queueing is one write and needs no file */
month_action month_generate, month_merge, month_resolve, month_queue;
/* Reads the stored answers of this round into m->ai, then calls `then`. */
void month_load_answers(struct month *, month_action *then);
void month_resolve_settled(struct month *);	/* raises what follows when nothing is under way any more */

/* dry.c: a dry run writes only its job's row */
struct bf_op *dry_write(struct month *, bf_store_done *, void *ctx);	/* NULL: this move is not written */

/* months.c */
void months_slot_free(struct bf_months *);
void months_free_month(struct month *);
void months_count(struct month *, enum month_state left, enum month_state entered);
#endif
