/*
 * estimate: what months will probably cost.
 */
#ifndef ADMIN_ESTIMATE_H
#define ADMIN_ESTIMATE_H
#include "pace.h"
#include "server.h"

/* What months of so many books (0: as many as those of late, or as the configuration says) cost and may use up;
 * instances share the work. */
void estimate_pace(const struct bf_admin *, const struct bf_plan_figures *, double batch_size, int instances, struct pace *ret);
/* The object's value, for so many months. */
void estimate_write(struct bf_jw *, const struct bf_admin *, int months, double batch_size, const struct bf_plan_figures *);
#endif
