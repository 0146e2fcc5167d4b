/* chaos: crashes, operators, outages and clocks, one after the other while a seed's first phase lasts. */
#ifndef SIM_CHAOS_H
#define SIM_CHAOS_H
#include "world.h"

void chaos_begin(void);
void chaos_end(void);			/* no more of it; everything that was broken works again */
void chaos_release(void);
#endif
