/* plan: what the seed has decided about its world before anything happens. */
#ifndef SIM_PLAN_H
#define SIM_PLAN_H
#include "backfill/config.h"
#include "world.h"

struct plan {
	int64_t db_epoch_us;		/* the database's clock at the world's zero */
	int years_from;			/* the months of the simulation: years_from.. */
	int months, books;		/* how many months; books of each */
	int instances;			/* at the start */
	int64_t chaos_us;		/* how long things go wrong */
	int64_t chaos_every_us;		/* on average */
	bool by_hand;			/* operators write SQL */
	bool row_locks;			/* sessions that are nobody's here lock rows of months */
	bool tried;			/* months have failed before */
	bool crashes, locks, outages, freezes, operators, drains, clocks, reloads, resets, cancels, pauses, spoils;
	int db_slow, db_faults, db_refuses;	/* of 1000 */
	int http_faults[BF_NPROVIDERS];		/* of 1000 */
	int ai_faults;				/* refusals, empty lists, nonsense: of 1000 */
	int shared;				/* books that two months have: of 1000 */
	int quota_faults, auth_faults, ban_faults;
	struct bf_config config[2];		/* a reload takes the other one */
};
extern struct plan plan;
void plan_make(void);
void plan_setup(void);				/* once per process */
void plan_release(void);
#endif
