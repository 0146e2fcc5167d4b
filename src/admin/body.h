/*
 * body: reads an operator's JSON body strictly. A route declares its fields in a table, which is also what the interface's
 * description is written from; every problem is collected, so that one answer names them all. A body with a problem has set
 * nothing that may be acted upon.
 */
#ifndef ADMIN_BODY_H
#define ADMIN_BODY_H
#include <stddef.h>
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
	size_t at;			/* where it goes in the struct that is read into: int, bool, const char * (in the arena) */
	const struct body_field *fields;	/* of an object, into the same struct; a name of NULL ends them */
	const char *const *one_of;	/* the only strings allowed, n_one_of of them */
	int n_one_of;
	const char *preset;		/* as JSON; set before anything is read. NULL: what the struct had stays */
	/* for the description only: */
	const char *format, *pattern;	/* of a string; the handler refuses what is not like that */
	const char *help;
};
/* The member's offset; a member of another type does not compile. */
#define BODY_AT(s, member, ctype) \
	(offsetof(s, member) + \
		0 * sizeof(char[__builtin_types_compatible_p(__typeof__(((s *)0)->member), ctype) ? 1 : -1]))
/* Behind the member: .help, and whatever else there is to say of the field. */
#define BODY_INT_FIELD(n, low, high, s, member, ...) \
	{ .name = (n), .type = BODY_INT, .min = (low), .max = (high), .at = BODY_AT(s, member, int), __VA_ARGS__ }
#define BODY_BOOL_FIELD(n, s, member, ...) \
	{ .name = (n), .type = BODY_BOOL, .at = BODY_AT(s, member, bool), __VA_ARGS__ }
#define BODY_STR_FIELD(n, low, high, s, member, ...) \
	{ .name = (n), .type = BODY_STR, .min = (low), .max = (high), .at = BODY_AT(s, member, const char *), __VA_ARGS__ }
#define BODY_ENUM_FIELD(n, list, count, s, member, ...) \
	{ .name = (n), .type = BODY_STR, .one_of = (list), .n_one_of = (count), \
	  .at = BODY_AT(s, member, const char *), __VA_ARGS__ }
#define BODY_OBJ_FIELD(n, sub, ...) { .name = (n), .type = BODY_OBJ, .fields = (sub), __VA_ARGS__ }
#define BODY_END { .name = NULL }
/* A request that takes no field at all. */
extern const struct body_field body_none[];

/* Empty text means {}. Fields end with BODY_END. False when there is any problem. */
bool body_read(const char *text, size_t len, const struct body_field *, void *into, struct bf_arena *,
	struct body_problems *);
/* What body and query have in common: the presets, a text's length and choice, a name that nobody declared. */
void body_presets(const struct body_field *, void *into);
bool body_text_fits(const struct body_field *, const char *path, const char *text, struct body_problems *);
void body_unknown(const struct body_field *, const char *what, const char *path, struct body_problems *);
/* Characters (code points) of valid UTF-8. */
int64_t body_chars(const char *);
#endif
