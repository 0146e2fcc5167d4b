/*
 * estimate: what months will probably cost.
 */
#ifndef ADMIN_ESTIMATE_H
#define ADMIN_ESTIMATE_H
#include "server.h"

/* The object's value, for so many months. */
void estimate_write(struct bf_jw *, const struct bf_admin *, int months, const struct bf_plan_figures *);
#endif
