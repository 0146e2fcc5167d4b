/*
 * events: the transitions of all instances as server-sent events. One feed per process reads each new row once, however
 * many readers there are, and only while there are any; who comes back with the id of his last event gets what he missed
 * from the database, page by page, as fast as he takes it.
 */
#ifndef ADMIN_EVENTS_H
#define ADMIN_EVENTS_H
#include <sys/queue.h>
#include "backfill/reactor.h"

#define EVENTS_READERS_MAX 32
#define EVENTS_OUTPUT_MAX ((size_t)256 << 10)	/* bytes that may wait for one reader */

struct bf_admin;
struct reader;

struct events {
	struct bf_admin *admin;
	TAILQ_HEAD(reader_list, reader) readers;
	int n_readers;
	int64_t cursor;			/* everything up to it has been handed out; -1: nothing is read */
	struct bf_op *read_op, *read_timer, *tick;
	bool again;			/* more came while a page was under way */
	bool ended;			/* drained: nobody gets in any more */
	uint64_t read_us;		/* when the database was asked last */
	uint64_t dropped;
	/* times, in ms; tests make them shorter */
	int64_t heartbeat_ms, stall_ms, tick_ms, poll_ms;
};

void events_init(struct events *, struct bf_admin *);
/* New rows are there. */
void events_wake(struct events *);
/* Says `bye` to every reader; nobody gets in any more. */
void events_drain(struct events *);
/* Ends all streams; requests that wait for their first answer are not the feed's and must be answered already. */
void events_release(struct events *);
#endif
