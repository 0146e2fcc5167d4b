/*
 * audit: who asked for what. Every call of a route that changes something, made with the right secret, becomes a row,
 * however it ended; rows are gathered and written behind the answers, which never wait for them.
 */
#ifndef ADMIN_AUDIT_H
#define ADMIN_AUDIT_H
#include <sys/queue.h>
#include "backfill/reactor.h"

#define AUDIT_WAITING_MAX 1000
#define AUDIT_OPERATOR_CHARS 80

struct bf_admin;
struct request;
struct audit_call;			/* of a request: what its row will say */
struct audit_row;

struct audit {
	struct bf_admin *admin;
	TAILQ_HEAD(audit_rows, audit_row) rows;
	int n_rows, n_sent;		/* the first n_sent are being written */
	struct bf_op *timer, *op;
	bool complaining;		/* rows are being dropped, which has been logged */
	uint64_t dropped;
};

void audit_init(struct audit *, struct bf_admin *);
/* Writes what waits without gathering any longer. */
void audit_flush(struct audit *);
void audit_release(struct audit *);

/* The request is one to be recorded. */
void audit_begin(struct request *);
/* Its body was read and found right. */
void audit_body(struct request *, const char *json, size_t len);
/* Its answer, about to be sent: the words of an error are the outcome. */
void audit_answer(struct request *, int status, const char *json, size_t len);
/* It was answered: the row waits to be written. */
void audit_end(struct request *, int status);
#endif
