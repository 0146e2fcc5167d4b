/*
 * routes: every path of the interface as one table.
 */
#ifndef ADMIN_ROUTES_H
#define ADMIN_ROUTES_H
#include <stdbool.h>
#include <stddef.h>
#include <event2/http.h>
#include "body.h"

struct request;
typedef void route_handler(struct request *);

enum route_access {
	ROUTE_SECRET,			/* needs X-Cron-Secret */
	ROUTE_OPEN_METHOD,		/* this method needs none */
	ROUTE_OPEN_PATH			/* nobody needs one for this path */
};

struct route {
	enum evhttp_cmd_type method;	/* GET answers HEAD too */
	const char *path;		/* {y}, {m}, {job_id} and {key} stand for one segment */
	route_handler *handler;
	enum route_access access;
	bool mutates;
	const char *help;
	/* What its description is written from, and body and query are read by: */
	const char *id;			/* operationId; what openapi/operations.json tells of it goes by this name */
	const struct body_field *body;	/* of a POST */
	const struct body_field *query;	/* NULL: nobody looks at the query */
	const char *answer;		/* the schema of openapi/schemas.json; NULL where the answer is no JSON */
	const char *type;		/* of the answer's content; NULL: application/json */
	unsigned may;			/* enum route_may */
};
/* What else may become of a request, besides what follows from the other columns. */
enum route_may {
	ROUTE_DATABASE = 1,		/* asks the database: 503 without it */
	ROUTE_CONFLICT = 2,		/* 409 in a wrong state */
	ROUTE_ACCEPTS = 4,		/* 202, not 200 */
	ROUTE_READINESS = 8,		/* 503 in the answer's own shape */
	ROUTE_CACHED = 16,		/* 304 to who has it already */
};
#define ROUTES_KEY_CHARS 200

struct route_params {
	int year, month;		/* 0 where the path has none */
	char job_id[37];
	const char *key;		/* as written, still encoded; part of the path */
	size_t key_len;
};

struct route_match {
	const struct route *route;	/* NULL: no route of that method */
	struct route_params params;
	bool path_known;
	bool open;			/* no secret is asked for */
	char allow[48];			/* methods of the path, for 405 */
};
void routes_match(const char *path, enum evhttp_cmd_type method, struct route_match *ret);
/* "GET", ...; "?" for what evhttp doesn't know. */
const char *routes_method_name(enum evhttp_cmd_type);
const struct route *routes_all(size_t *ret_n);
/* What may stand for a {name} in a path; NULL for an unknown name. */
const struct body_field *routes_path_field(const char *name, size_t len);
#endif
