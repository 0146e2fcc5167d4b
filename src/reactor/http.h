/*
 * Private to the HTTP client. http.c owns the connections (curl's multi handle, its sockets and
 * timer); a struct transfer, http_transfer.c, is one request with its redirects; http_url.c knows
 * which URLs are allowed.
 */
#ifndef BACKFILL_REACTOR_HTTP_H
#define BACKFILL_REACTOR_HTTP_H
#include <curl/curl.h>
#include <sys/queue.h>
#include "loop.h"

enum {
	HTTP_HOST_MAX = 256,
	HTTP_URL_MAX = 16 * 1024,
	HTTP_HEADERS_MAX_BYTES = 64 * 1024
};

/* What decides where a request goes. */
struct http_target {
	char scheme[16];
	char host[HTTP_HOST_MAX];		/* without the brackets of an IPv6 address */
	int port;
};

struct transfer {
	struct bf_op op;
	TAILQ_ENTRY(transfer) link;
	struct transfers *in;			/* the list of its http it is on; NULL: over */
	struct bf_http *http;
	bf_http_done *done;
	void *ctx;

	/* the request, copied */
	char *method, *url, *label, *user_agent, *proxy;
	struct curl_slist *headers;
	char *body;				/* NULL: none */
	size_t body_len, max_body;
	int64_t connect_timeout_ms, timeout_ms;
	int redirects_left;
	bool fresh_connection;
	bool may_redirect;			/* false: a 3xx is an answer like any other */
	struct http_target first;		/* where the caller sent it */

	/* under way */
	uint64_t began_us;
	struct bf_op *deadline, *lookup;
	CURL *easy;				/* NULL: not with curl */
	struct curl_slist *resolve;
	char curl_error[CURL_ERROR_SIZE];
	size_t header_bytes;
	bool body_too_big, headers_too_big, two_lengths, has_retry_after;
	char content_length[24];		/* as the header has it; "": not yet */

	/* the outcome */
	struct bf_error err;			/* class NONE: reply is set */
	struct bf_buf answer;
	struct bf_http_reply reply;
	char content_type[128];
};
TAILQ_HEAD(transfers, transfer);

/* http_url.c */
bool http_target_read(const char *url, struct http_target *ret, struct bf_error *err);
bool http_proxy_read(const char *proxy, struct http_target *ret, struct bf_error *err);
bool http_target_same_origin(const struct http_target *, const struct http_target *);

/* http.c */
struct bf_loop *http_loop(struct bf_http *);
bool http_attach(struct transfer *);		/* takes an easy handle; false: none to be had */
bool http_go(struct transfer *);		/* hands it to curl */
void http_detach(struct transfer *);		/* takes it back, if curl has it */
void http_finish(struct transfer *);		/* outcome set: completes after this turn */

/* http_transfer.c */
struct transfer *transfer_new(struct bf_http *, const struct bf_http_request *, bf_http_done *,
			      void *ctx);
void transfer_begin(struct transfer *);		/* for the first URL and again for each redirect */
void transfer_over(struct transfer *, CURLcode);	/* curl is done with it; still attached */
void transfer_stop(struct transfer *);		/* deadline and look-up off */
void transfer_free(void *transfer);
#endif
