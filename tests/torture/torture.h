/*
 * torture: counts calls by kind, and says of one of them that it fails. What happened is left in a
 * page that outlives the process: the file that $TORTURE_PAGE names.
 */
#ifndef TORTURE_H
#define TORTURE_H

#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum torture_kind {
	TORTURE_OWN,		/* memory for the program's own code */
	TORTURE_LIBPQ,		/* memory for a library, by the one that called first */
	TORTURE_LIBCURL,
	TORTURE_LIBEVENT,
	TORTURE_LIBCARES,
	TORTURE_OTHER,
	TORTURE_PQ,		/* a call of the program to a library */
	TORTURE_LOST,		/* as PQ, but what is lost is the connection */
	TORTURE_CURL,
	TORTURE_EVENT,
	TORTURE_WRITE,		/* system calls, whoever makes them */
	TORTURE_READ,
	TORTURE_FD,
	TORTURE_KINDS
};

enum { TORTURE_FRAMES = 24, TORTURE_NAME = 40 };

struct torture_frame {
	char module[TORTURE_NAME];
	uint64_t offset;
};

/* The way to a place, innermost first. */
struct torture_way {
	uint64_t n;
	struct torture_frame frames[TORTURE_FRAMES];
};

/* tools/lib/torture.py reads it: keep both alike. */
struct torture_page {
	uint64_t calls[TORTURE_KINDS];
	uint64_t failed;		/* how many calls were made to fail */
	char what[TORTURE_NAME];	/* the first of them */
	struct torture_way from;	/* where it was called */
	struct torture_way died;	/* where a signal ended the program, if one did */
};

/* From where each call was made, as a number; the file that $TORTURE_PLACES names. */
enum { TORTURE_CALLS_MAX = 16384 };

struct torture_places {
	uint64_t at[TORTURE_KINDS][TORTURE_CALLS_MAX];
};

/* True when this call is the one; errno is as it was. Only between main's begin and end. */
bool torture_hits(enum torture_kind kind, const char *what);
/* Memory is counted for the module that asked for it. */
bool torture_hits_memory(const char *what, void *caller);
/* The same for calls that count only when the program itself makes them, not a library. */
bool torture_hits_from(enum torture_kind kind, const char *what, void *caller);
/* Which of the variants of a failure is wanted: 0, 1, ... below n. */
unsigned torture_variant(unsigned n);
/* The next definition of a name, found once. */
void torture_next(void *slot, const char *name);

/* Inside a wrapper: `next` is what it stands before. */
#define TORTURE_NEXT(name) \
	static __typeof__(&name) next; \
	torture_next(&next, #name)

/* A call of the program to a library that fails with a value and does nothing. */
#define TORTURE_CALL(kind, type, name, params, args, failure) \
	type name params; \
	type name params \
	{ \
		TORTURE_NEXT(name); \
		if (torture_hits_from(kind, #name, __builtin_return_address(0))) \
			return failure; \
		return next args; \
	}

#endif
