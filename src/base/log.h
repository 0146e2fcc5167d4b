/* log: the sink below the lines. */
#ifndef BASE_LOG_H
#define BASE_LOG_H
#include "backfill/base.h"

/* Looks at what stderr is (again); called by itself before the first line. */
void log_sink_open(void);
/* Takes one whole line, its newline included. Never blocks, never fails: what stderr does not take
 * now waits in a ring, and a line for which the ring has no room is counted and gone. */
void log_sink_line(const char *, size_t);
#endif
