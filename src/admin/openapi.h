/*
 * openapi: the interface's description, OpenAPI 3.1. Paths, methods, security, parameters and bodies are written from the
 * tables that match and check requests; schemas of answers and examples are embedded from openapi/ (tools/gen_openapi.py).
 */
#ifndef ADMIN_OPENAPI_H
#define ADMIN_OPENAPI_H
#include "backfill/base.h"

/* JSON each. */
struct openapi_parts { const char *info, *servers, *tags, *components; };
extern const struct openapi_parts openapi_parts;

/* What the route table does not tell of an operation. */
struct openapi_operation {
	const char *id, *tag, *description;
	const char *answer;		/* what a good answer is */
	const char *key;		/* what the path's {key} is; may be NULL, as may all below */
	const char *conflict;		/* when it is 409 */
	const char *header, *requests, *answers;	/* JSON: a header's parameter; examples by name; examples by name */
};
extern const struct openapi_operation openapi_operations[];
extern const size_t openapi_n_operations;

/* The whole document. */
void openapi_write(struct bf_buf *);
#endif
