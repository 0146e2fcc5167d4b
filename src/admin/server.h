/*
 * server: what the files of this room share about the running interface.
 */
#ifndef ADMIN_SERVER_H
#define ADMIN_SERVER_H
#include <sys/queue.h>
#include "backfill/admin.h"
#include "audit.h"
#include "conns.h"
#include "events.h"
#include "refusals.h"

struct evhttp;
struct evhttp_bound_socket;
struct request;

#define SERVER_STATUS_CLASSES 6		/* index: status / 100 */

TAILQ_HEAD(request_list, request);

struct bf_admin {
	struct bf_admin_parts parts;
	const struct bf_config *config;	/* borrowed until the next bf_admin_configure */
	struct evhttp *http;
	struct evhttp_bound_socket *bound;
	struct bf_op *listens_again;	/* a connection could not be accepted, or many were: nobody is, until then */
	int accepted_in_a_row;
	struct conns conns;
	struct request_list pending;
	int n_pending;
	bool draining;
	bool schema_known;
	enum bf_schema schema;
	char remedy[240];
	int64_t started_wall_us;
	uint64_t started_us;
	uint64_t answers[SERVER_STATUS_CLASSES];
	struct refusals refusals;
	struct bf_buf openapi;			/* the description, once somebody asked for it */
	struct events events;
	struct audit audit;
};
#endif
