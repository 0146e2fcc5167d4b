/* instance: one daemon, wired as main.c wires it, without its interface and without the consumer of the queue. */
#ifndef SIM_INSTANCE_H
#define SIM_INSTANCE_H
#include "backfill/schedule.h"
#include "world.h"

#define SIM_EPOCH_US (1262304000ll * 1000000) /* what hosts take for the time at the world's zero: 2010 */

void inst_begin(void);				/* a new world */
struct inst *inst_start(void);			/* NULL: as many as there may be are running */
enum inst_end { INST_KILLED, INST_HOST_GONE, INST_EXITED };
void inst_end(struct inst *, enum inst_end);
void inst_drain(struct inst *);			/* SIGTERM; a second one exits at once */
void inst_freeze(struct inst *, int64_t us);
void inst_reload(struct inst *);
void inst_wall_jump(struct inst *, int64_t us);
bool inst_draining(const struct inst *);
int  inst_running(void);

const char *inst_name(const struct inst *);
uint64_t inst_mono_base(const struct inst *);
int64_t inst_wall_skew(const struct inst *);
uint64_t inst_frozen_until(const struct inst *);
void inst_thaw(struct inst *);
struct bf_loop *inst_loop(const struct inst *);
struct bf_store *inst_store(const struct inst *);
struct bf_months *inst_months(const struct inst *);
struct bf_providers *inst_providers(const struct inst *);
struct bf_schedule *inst_schedule(const struct inst *);
const struct bf_config *inst_config(const struct inst *);
bool inst_may_pay(const struct inst *);		/* its locks are held, as far as it knows */
uint64_t inst_born(const struct inst *);	/* its number among all there ever were */

int64_t inst_idle_us(const struct inst *);	/* so long it has been up, with room for a month and nothing in the way */
/* What it may claim for the timer or an operator: once for each run that it won and each call. */
void inst_ticket(struct inst *);
void inst_claims(struct inst *, bool schedule);

/* from the loop and the store's door */
void inst_turn_end(struct inst *);
void inst_locks(struct inst *, bool up);
void inst_pulse(struct inst *);
#endif
