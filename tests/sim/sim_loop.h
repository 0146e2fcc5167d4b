/* sim_loop: what the simulation itself needs of the loops it hands to the instances. */
#ifndef SIM_LOOP_H
#define SIM_LOOP_H
#include "backfill/reactor.h"
#include "world.h"

struct bf_loop *sim_loop_new(struct inst *);
void sim_loop_turn_end(struct bf_loop *);
int  sim_loop_timers(const struct bf_loop *);	/* under way, for a while already */
bool sim_loop_stopped(const struct bf_loop *);
struct inst *sim_loop_inst(const struct bf_loop *);
#endif
