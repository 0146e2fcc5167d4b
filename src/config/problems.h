/* problems: the list of what is wrong, kept in the order of lines. */
#ifndef CONFIG_PROBLEMS_H
#define CONFIG_PROBLEMS_H
#include "backfill/config.h"

/* Adds one. What came from the file may hold anything: control characters and broken UTF-8 are
 * written as '?'. Past a hundred only the first hundred are told, and that there are more. */
void config_problem(struct bf_config_problems *, int line, const char *fmt, ...) BF_PRINTF(3, 4);
#endif
