/* One call under way, shared by the gate's files only. */
#ifndef PROVIDERS_GATE_CALL_H
#define PROVIDERS_GATE_CALL_H
#include "gate.h"

/* Each but CALL_LOOSE is a list of the lane's. */
enum call_state { CALL_LOOSE, CALL_QUEUED, CALL_RESERVING, CALL_READY, CALL_SENT, CALL_RESTING, CALL_ENDING };
struct gate_call {
	TAILQ_ENTRY(gate_call) link;
	struct lane *lane;
	enum call_state state;
	struct gate_ask ask;
	struct bf_arena *arena;		/* owns the ask's strings */
	int      tries;
	int      units;			/* what one try costs: 1, one per ISBN of a bulk call, 0 for asking after limits */
	bool     reserved;		/* its units are counted and not yet sent */
	bool     probe;			/* decides the circuit */
	int      busy_times;		/* its month was locked by another session, in a row */
	uint64_t not_before_us;		/* while QUEUED: when that is looked at again */
	uint64_t queued_us, sent_us, first_sent_us;
	int64_t  timeout_ms;		/* of the request under way */
	struct bf_op *op;		/* the HTTP request, or the rest between two tries */
	struct bf_error failure;	/* while ENDING: what the asker will hear */
	gate_done *done;
	void    *ctx;
};

/* gate.c */
void call_enqueue(struct gate_call *);
void call_end(struct gate_call *, const struct bf_error *, const struct provider_answer *);
void call_fail_later(struct gate_call *, enum bf_err_class, const char *why);
/* gate_send.c */
void call_send(struct gate_call *, uint64_t due_us);
#endif
