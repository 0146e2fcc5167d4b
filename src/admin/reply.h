/*
 * reply: one request under way, from the guard to its one answer. Whoever calls a reply_ function hands the request over:
 * it is gone afterwards.
 */
#ifndef ADMIN_REPLY_H
#define ADMIN_REPLY_H
#include <event2/http.h>
#include "body.h"
#include "routes.h"
#include "server.h"

struct request {
	struct bf_admin *admin;
	struct evhttp_request *http;
	struct conn *conn;		/* NULL once the client is gone */
	const struct route *route;	/* NULL before the path was matched */
	struct route_params params;
	const char *method;
	const char *operator_name;	/* X-Operator, in the arena; NULL when nobody said who he is */
	struct audit_call *audit;	/* NULL: not to be recorded */
	char  path[160];		/* for the log; cut when longer */
	bool  is_head;
	bool  close;			/* nothing more may be read from this connection */
	uint64_t started_us;
	struct bf_op *op;		/* the question a handler waits for; NULL in its completion */
	struct bf_arena *arena;
	void *state;			/* the handler's own, in the arena */
	TAILQ_ENTRY(request) entry;
};

/* Bytes of JSON that an answer may have. */
#define REPLY_MAX_BYTES ((size_t)16 << 20)

void reply_json(struct request *, int status, const char *json, size_t len);
/* Releases the buffer; one that overflowed becomes a 500. */
void reply_buf(struct request *, int status, struct bf_buf *);
void reply_text(struct request *, int status, const char *content_type, const char *text, size_t len);
/* {"error":"..."} */
void reply_error(struct request *, int status, const char *fmt, ...) BF_PRINTF(3, 4);
/* 400 with details; the problems are released. */
void reply_problems(struct request *, struct body_problems *);
/* 503 with Retry-After in seconds. */
void reply_unavailable(struct request *, int retry_after_s, const char *fmt, ...) BF_PRINTF(3, 4);
/* A stream: the header is sent now, the request stays whoever's until he ends it. False: the client is gone, and the
 * request with it. For HEAD the header is all. */
bool reply_stream_begin(struct request *, const char *content_type);
void reply_stream_end(struct request *);
/* What an error of the store means to the client. */
void reply_store_error(struct request *, const struct bf_error *);
/* A header of the answer to come; an old one of the name is replaced. */
void reply_header(struct request *, const char *name, const char *value);
#endif
