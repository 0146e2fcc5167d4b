/*
 * routes: every path of the interface as one table.
 */
#ifndef ADMIN_ROUTES_H
#define ADMIN_ROUTES_H
#include <stdbool.h>
#include <stddef.h>
#include <event2/http.h>

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
};

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
#endif
