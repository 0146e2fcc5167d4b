/*
 * Private to the reactor: what its files share about operations and about the loop's turns.
 *
 * The pattern of a request (it embeds a struct bf_op) is the same everywhere: a finished request
 * goes to its owner's list of finished ones, one deferred function hands them out after the turn,
 * and memory that a callback of the same turn may still point at is given back by
 * loop_free_later().
 */
#ifndef BACKFILL_REACTOR_LOOP_H
#define BACKFILL_REACTOR_LOOP_H
#include "backfill/reactor.h"

struct dns;

/* Notes that this turn has begun to work; every event callback of the reactor calls it first. */
void loop_mark(struct bf_loop *);
/*
 * Calls fn(memory) after this turn, and at bf_loop_free() at the latest; fn may only give memory
 * back.
 */
void loop_free_later(struct bf_loop *, bf_loop_fn *fn, void *memory);
/* Where the loop keeps its resolver; NULL until the first name is looked up. */
struct dns **loop_dns(struct bf_loop *);
#endif
