/* coverage: which cells of the month's table were reached, over all seeds. */
#ifndef SIM_COVERAGE_H
#define SIM_COVERAGE_H
#include "backfill/base.h"

void coverage_log(const char *msg, const struct bf_kv *);
void coverage_print(void);
int coverage_missing(int *ret_possible);	/* moves of the table that no seed has taken */
#endif
