/*
 * body: reads an operator's JSON body strictly. A route declares its fields; every problem is collected, so that one
 * answer names them all. A body with a problem has set nothing that may be acted upon.
 */
#ifndef ADMIN_BODY_H
#define ADMIN_BODY_H
#include "backfill/base.h"

#define BODY_PROBLEMS 16
struct body_problem { char field[64], message[160]; };
struct body_problems { struct body_problem v[BODY_PROBLEMS]; int n; };
void body_problem(struct body_problems *, const char *field, const char *fmt, ...) BF_PRINTF(3, 4);

enum body_type { BODY_INT, BODY_BOOL, BODY_STR, BODY_OBJ };
struct body_field {
	const char *name;
	enum body_type type;
	int64_t min, max;		/* an integer's bounds; a string's length in characters */
	union {				/* where it goes; untouched when the field is absent */
		int *i;
		bool *b;
		const char **s;		/* in the arena */
		const struct body_field *fields;	/* of an object; a name of NULL ends them */
	} to;
	bool *given;			/* optional: set when the field was there */
};
#define BODY_INT_FIELD(n, low, high, dest) { .name = (n), .type = BODY_INT, .min = (low), .max = (high), .to.i = (dest) }
#define BODY_BOOL_FIELD(n, dest) { .name = (n), .type = BODY_BOOL, .to.b = (dest) }
#define BODY_STR_FIELD(n, low, high, dest) { .name = (n), .type = BODY_STR, .min = (low), .max = (high), .to.s = (dest) }
#define BODY_OBJ_FIELD(n, sub) { .name = (n), .type = BODY_OBJ, .to.fields = (sub) }
#define BODY_END { .name = NULL }

/* Empty text means {}. Fields end with BODY_END. False when there is any problem. */
bool body_read(const char *text, size_t len, const struct body_field *, struct bf_arena *, struct body_problems *);
#endif
