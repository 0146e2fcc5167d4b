/* conninfo: looks into a libpq connection string without libpq: for what must not be in it, and to
 * show it without what must not be shown. */
#ifndef CONFIG_CONNINFO_H
#define CONFIG_CONNINFO_H
#include "backfill/base.h"

/* NULL when fine; else what is wrong, without a word of the string itself. `secrets`: passwords and
 * services are allowed. */
const char *conninfo_check(const char *, bool secrets);
/* Appends the string without its passwords. */
void conninfo_show(const char *, struct bf_buf *out);
#endif
