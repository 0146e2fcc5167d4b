/* sparql: what of a query the sandbox understands: its literals, and which variable stands for
 * what. */
#ifndef SANDBOX_SPARQL_H
#define SANDBOX_SPARQL_H
#include "sandbox.h"

enum sparql_role {
	SPARQL_UNKNOWN,
	SPARQL_WORK,
	SPARQL_EDITION,
	SPARQL_ISBN13,
	SPARQL_ISBN10,
	SPARQL_DATE,
	SPARQL_LANGUAGE,
	SPARQL_PUBLISHER,
	SPARQL_TITLE,
	SPARQL_AUTHOR,
	SPARQL_PERSON,
	SPARQL_PAGES,
	SPARQL_OPEN_LIBRARY,
	SPARQL_GOODREADS
};
struct sparql_literal { const char *text, *tag; };	/* tag "" for a plain one */
struct sparql_var {
	const char *name;
	enum sparql_role role;
	bool given;
}; /* given: stands in VALUES */
#define SPARQL_VARS	32
struct sparql {
	struct sparql_literal *literals;
	size_t n_literals;
	struct sparql_var vars[SPARQL_VARS];	/* all of the query */
	size_t n_vars;
	const char *selected[SPARQL_VARS];
	size_t n_selected;
};
/* false for what is no SELECT with balanced brackets. */
bool sparql_read(struct sparql *, const char *query, struct bf_arena *);
enum sparql_role sparql_role_of(const struct sparql *, const char *name);
bool sparql_is_given(const struct sparql *, enum sparql_role);
bool sparql_has(const struct sparql *, enum sparql_role);
#endif
