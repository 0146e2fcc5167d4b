/* counts: the second set of books about units and calls: what was granted, sent, given back, and lost on the way. */
#ifndef SIM_COUNTS_H
#define SIM_COUNTS_H
#include "backfill/store.h"

void counts_begin(void);
void counts_release(void);
void counts_look(void);
void counts_flush_applied(const struct bf_flush *);
bool counts_ai_asked(const struct bf_month_ref *);	/* under this fence */
void counts_end(void);
#endif
