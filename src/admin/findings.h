/*
 * findings: what verify and doctor answer with.
 */
#ifndef ADMIN_FINDINGS_H
#define ADMIN_FINDINGS_H
#include "handlers.h"

#define FINDINGS_MAX    500
#define FINDINGS_CHECKS 64
/* Gathered in a request's arena; counts go on when no more are kept. */
struct findings {
	struct bf_arena *arena;
	struct bf_check checks[FINDINGS_CHECKS];
	int n_checks;
	struct bf_finding v[FINDINGS_MAX];
	int n;
	int64_t errors, warnings;
};
/* A check of which n things were looked at; may come more than once. */
struct bf_check *findings_check(struct findings *, const char *name, int64_t n);
/* One finding of the check; the text is formatted, the remedy copied. */
void findings_add(struct findings *, const char *check, bool error, const char *subject, const char *remedy,
	const char *fmt, ...) BF_PRINTF(6, 7);
/* All that the store found. */
void findings_take(struct findings *, const struct bf_findings *);
/* 200 with all of it; years NULL: none are told. */
void findings_reply(struct request *, struct findings *, const int years[2]);
#endif
