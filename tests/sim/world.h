/*
 * world: the simulated world. One virtual clock, one heap of events in order of (time, sequence), one seed from which every
 * choice follows. An event belongs to an instance (it runs inside that process, and not while the process is frozen) or to
 * nobody: then it is the database, a provider, the network or an operator who acts.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "backfill/base.h"

struct inst;
struct ev {
	uint64_t at, seq;
	size_t pos;			/* in the heap, from 1; 0: not in it */
	struct inst *inst;		/* NULL: the world's own */
	void (*fire)(struct ev *);
};

/* What can go wrong: X(symbol, name). */
#define SIM_FAULTS(X)							\
	X(DB_SLOW, "database slow")					\
	X(DB_NOT_APPLIED, "connection lost, not committed")		\
	X(DB_ACK_LOST, "connection lost after the commit")		\
	X(DB_REFUSES, "database refuses a write")			\
	X(DB_OUTAGE, "database away")					\
	X(ROW_LOCKED, "a month's row locked by another session")	\
	X(LOCKS_ENDED, "lock session ended by the server")		\
	X(LOCKS_LINGER, "lock session lost, the server keeps it")	\
	X(LOCKS_SILENT, "lock session gone, the client not told")	\
	X(CRASH, "instance killed")					\
	X(CRASH_LINGER, "host gone, its lock session stays a while")	\
	X(RESTART, "instance started again")				\
	X(MORE, "one more instance")					\
	X(FREEZE, "instance frozen")					\
	X(FREEZE_DIES, "frozen, its lock session dies")			\
	X(DRAIN, "drain")						\
	X(DRAIN_TWICE, "killed while draining")				\
	X(WALL_JUMP, "wall clock of a host jumps")			\
	X(MIDNIGHT, "a provider's day ends")				\
	X(OP_SCHEDULE, "operator schedules")				\
	X(OP_FORCE, "operator schedules with force_retry")		\
	X(OP_HARVEST, "operator harvests")				\
	X(OP_HARVEST_NEXT, "operator harvests the next month")		\
	X(OP_DRY, "operator rehearses")					\
	X(OP_RETRY, "operator retries")					\
	X(OP_CANCEL, "operator cancels")				\
	X(OP_RESET, "operator resets")					\
	X(OP_PAUSE, "operator pauses")					\
	X(OP_RESUME, "operator resumes")				\
	X(OP_RELOAD, "configuration reloaded")				\
	X(OP_SQL, "a row set back by hand, in SQL")			\
	X(OP_VARIANT, "a row's prompt variant spoilt")			\
	X(HTTP_SLOW, "slow answer")					\
	X(HTTP_429, "429 without Retry-After")				\
	X(HTTP_429_WAIT, "429 with Retry-After")			\
	X(HTTP_429_LONG, "429 with a long Retry-After")			\
	X(HTTP_QUOTA, "daily quota used up, says the provider")		\
	X(HTTP_401, "key refused")					\
	X(HTTP_400, "400")						\
	X(HTTP_500, "500")						\
	X(HTTP_503_WAIT, "503 with Retry-After")			\
	X(HTTP_TIMEOUT, "no answer in time")				\
	X(HTTP_RESET, "connection reset")				\
	X(HTTP_REFUSED, "connection refused")				\
	X(HTTP_GARBAGE, "HTML under a 200")				\
	X(HTTP_CUT, "JSON cut off")					\
	X(HTTP_EMPTY_BODY, "empty body")				\
	X(HTTP_BAN, "banned")						\
	X(HTTP_PLAN, "a plan's limit below the configured one")		\
	X(AI_REFUSAL, "the AI refuses")					\
	X(AI_EMPTY, "the AI names nothing")				\
	X(AI_CUT, "the AI's list is cut off")				\
	X(AI_NONSENSE, "the AI answers with prose")			\
	X(PROVIDER_DOWN, "provider down for a while")
enum sim_fault {
#define X(sym, name) F_##sym,
	SIM_FAULTS(X)
#undef X
	SIM_NFAULTS
};
extern const char *const sim_fault_names[SIM_NFAULTS];

struct model;
#define SIM_INSTANCES 4
#define SIM_MONTHS_MAX 24
struct world {
	uint64_t seed, now_us, seq, n_events;
	uint64_t rng[4];
	struct ev **heap;		/* [1..n] */
	size_t n, cap;
	struct inst *cur;		/* whose event runs; NULL: nobody's */
	struct model *model;
	struct inst *inst[SIM_INSTANCES];
	bool calm;			/* faults are over */
	uint64_t calm_us;		/* since then */
	bool trace, failed;
	char failure[600];
	uint64_t faults[SIM_NFAULTS];	/* of all seeds */
	const char *mutant;		/* of the sim's own doors; NULL: none */
	int months;
};
extern struct world w;

/* ---- choices ---- */
uint64_t rnd(void);
uint64_t rnd_below(uint64_t n);				/* [0, n) */
int64_t rnd_between(int64_t low, int64_t high);		/* both ends */
bool chance(int permille);
/* Faults happen in the first phase only; counts it when it does. */
bool fault(enum sim_fault, int permille);
void fault_count(enum sim_fault);
bool mutant(const char *name);

/* ---- events ---- */
void ev_at(struct ev *, struct inst *, uint64_t at_us, void (*fire)(struct ev *));
void ev_in(struct ev *, struct inst *, int64_t after_us, void (*fire)(struct ev *));
void ev_cancel(struct ev *);				/* fine when it is not in the heap */
bool world_step(uint64_t until_us);			/* runs the next event; false: none until then */
void world_thaw(const struct inst *, uint64_t frozen_until_us);
void world_begin(uint64_t seed);
void world_release(void);

/* ---- what is said ---- */
void sim_trace(const char *fmt, ...) BF_PRINTF(1, 2);
/* The first one counts: a promise was broken. */
void sim_fail(const char *fmt, ...) BF_PRINTF(1, 2);
#endif
