/*
 * client: one call of the interface at a time, over a connection that is kept. No redirect is followed, no proxy taken from the
 * environment: the secret goes where the user said and nowhere else.
 */
#ifndef CTL_CLIENT_H
#define CTL_CLIENT_H
#include "backfill/base.h"

#define CLIENT_BODY_MAX (64u << 20)

struct client;
struct client_config {
	const char *url;		/* without a path, or with the one a reverse proxy puts before ours */
	const char *secret;		/* NULL: none is sent */
	const char *operator_name;	/* NULL: none is sent */
	int timeout_s;
};
/* NULL and *err for a URL that the secret may not be sent to. */
struct client *client_new(const struct client_config *, struct bf_error *err);
void client_free(struct client *);		/* NULL is fine */
const char *client_url(const struct client *);

struct client_reply {
	int status;			/* 0: no answer; `problem` says why */
	struct bf_buf body;
	char problem[256];
};
void client_reply_release(struct client_reply *);
/* body NULL: a GET, else a POST. The reply is the caller's to release, whatever is in it. */
void client_call(struct client *, const char *path, const char *body, struct client_reply *ret);
/* Called about once a second while an answer is awaited; false gives up. */
typedef bool client_wait(void *ctx);
void client_on_wait(struct client *, client_wait *, void *ctx);

/* Reads an endless answer of type text/event-stream. `data` gets the bytes of a 200; false ends it. A stream that says nothing for
 * silence_s ends as well. Returns when it ended; ret->status 200: it had begun. */
typedef bool client_data(void *ctx, const char *, size_t);
void client_stream(struct client *c, const char *path, const char *last_id, int silence_s, client_data *data, void *ctx,
	struct client_reply *ret);
#endif
