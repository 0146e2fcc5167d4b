/*
 * The connections of the HTTP client: one curl multi handle on the loop through its socket
 * interface.
 *
 * curl is never called from its own callbacks (it refuses), only armed timers and events do that.
 * When curl reports a failure of the multi handle itself, nothing it holds can be trusted: all
 * transfers end RETRY and a new one is made. Easy handles go round through a free list, so that
 * their TLS sessions are used again.
 */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <event2/event.h>
#include "http.h"

enum {
	HANDLES_KEPT = 32,
	CONNECTIONS_KEPT = 32
};

struct http_socket {
	TAILQ_ENTRY(http_socket) link;
	struct bf_http *http;
	struct event *event;
};

struct bf_http {
	struct bf_loop *loop;
	CURLM *multi;				/* NULL only while it cannot be made */
	struct event *timer;
	TAILQ_HEAD(, http_socket) sockets;
	struct transfers live, finished;
	CURL *handles[HANDLES_KEPT];
	int n_handles, open;
	bool delivering, dead;
};

struct bf_loop *http_loop(struct bf_http *http)
{
	return http->loop;
}

/* ---- connections, counted ---- */

static curl_socket_t open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct bf_http *http = ctx;
	int type = address->socktype | SOCK_CLOEXEC;
	curl_socket_t fd = socket(address->family, type, address->protocol);

	(void)purpose;
	if (fd != CURL_SOCKET_BAD)
		http->open++;
	return fd;
}

static int close_socket(void *ctx, curl_socket_t fd)
{
	struct bf_http *http = ctx;

	http->open--;
	return close(fd);
}

int bf_http_open_connections(const struct bf_http *http)
{
	return http->open;
}

/* ---- completions ---- */

/* Calls back those that finished before this turn ended. */
static void deliver(void *ctx)
{
	struct bf_http *http = ctx;
	struct transfer *t;
	int n = 0;

	TAILQ_FOREACH(t, &http->finished, link)
		n++;
	while (n-- && !http->dead && (t = TAILQ_FIRST(&http->finished))) {
		TAILQ_REMOVE(&http->finished, t, link);
		t->in = NULL;
		loop_free_later(http->loop, transfer_free, t);
		if (t->err.class == BF_ERR_NONE)
			t->done(t->ctx, NULL, &t->reply);
		else
			t->done(t->ctx, &t->err, NULL);
	}
	http->delivering = !http->dead && !TAILQ_EMPTY(&http->finished);
	if (http->delivering)
		bf_loop_defer(http->loop, deliver, http);
}

/*
 * Takes the handle back from curl. Only one that brought a whole answer is used again (spoilt: it
 * did not): what a transfer that broke off leaves in its handle, curl_easy_reset() does not undo,
 * its buffer above all, with which no later request could be set up.
 */
static void detach(struct transfer *t, bool spoilt)
{
	struct bf_http *http = t->http;

	if (!t->easy)
		return;
	if (curl_multi_remove_handle(http->multi, t->easy) != CURLM_OK)
		spoilt = true;
	if (spoilt || http->n_handles == HANDLES_KEPT) {
		curl_easy_cleanup(t->easy);
	} else {
		curl_easy_reset(t->easy);
		http->handles[http->n_handles++] = t->easy;
	}
	t->easy = NULL;
}

void http_detach(struct transfer *t)
{
	detach(t, false);
}

void http_finish(struct transfer *t)
{
	struct bf_http *http = t->http;

	transfer_stop(t);
	detach(t, t->err.class != BF_ERR_NONE);
	TAILQ_REMOVE(t->in, t, link);
	TAILQ_INSERT_TAIL(&http->finished, t, link);
	t->in = &http->finished;
	if (!http->delivering)
		bf_loop_defer(http->loop, deliver, http);
	http->delivering = true;
}

static void cancel(struct bf_op *op)
{
	struct transfer *t = bf_container_of(op, struct transfer, op);

	if (!t->in)
		return;
	transfer_stop(t);
	detach(t, true);
	TAILQ_REMOVE(t->in, t, link);
	t->in = NULL;
	loop_free_later(t->http->loop, transfer_free, t);
}

/* ---- curl on the loop ---- */

static bool multi_open(struct bf_http *http);

/* The multi handle has failed: nobody can say what became of which transfer. */
static void multi_rebuild(struct bf_http *http, CURLMcode code)
{
	struct transfer *t, *next;
	struct http_socket *s;

	bf_log(BF_ERROR, "the HTTP client starts afresh",
	       BF_S("reason", curl_multi_strerror(code)));
	TAILQ_FOREACH_SAFE(t, &http->live, link, next) {
		if (!t->easy)
			continue;
		detach(t, true);
		bf_error_set(&t->err, BF_ERR_RETRY, "%s: the HTTP client had to start afresh",
			     t->label);
		http_finish(t);
	}
	curl_multi_cleanup(http->multi);
	event_del(http->timer);
	while ((s = TAILQ_FIRST(&http->sockets))) {
		TAILQ_REMOVE(&http->sockets, s, link);
		if (s->event)
			event_free(s->event);
		free(s);
	}
	multi_open(http);
}

/* Ends or redirects what curl is done with. */
static void drain(struct bf_http *http)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(http->multi, &left))) {
		CURLcode code = message->data.result;
		char *private = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		if (curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private) != CURLE_OK)
			continue;
		if (private)
			transfer_over((struct transfer *)(void *)private, code);
	}
}

static void act(struct bf_http *http, curl_socket_t fd, int what)
{
	int running;
	CURLMcode code;

	loop_mark(http->loop);
	code = curl_multi_socket_action(http->multi, fd, what, &running);
	if (code != CURLM_OK)
		multi_rebuild(http, code);
	else
		drain(http);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	act(ctx, CURL_SOCKET_TIMEOUT, 0);
}

static void on_socket(evutil_socket_t fd, short what, void *ctx)
{
	act(ctx, fd,
	    ((what & EV_READ) ? CURL_CSELECT_IN : 0) | ((what & EV_WRITE) ? CURL_CSELECT_OUT : 0));
}

/* curl's wish for its timer; it may not be called back from here, so 0 is an immediate event. */
static int set_timer(CURLM *multi, long wait_ms, void *ctx)
{
	struct bf_http *http = ctx;
	struct timeval tv = { .tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000 };

	(void)multi;
	event_del(http->timer);
	return wait_ms >= 0 && event_add(http->timer, &tv) < 0 ? -1 : 0;
}

/*
 * curl's wish for one socket. The event is always made anew: the number may be that of another
 * socket meanwhile, and then epoll has forgotten what the old event asked for.
 */
static int set_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx)
{
	struct bf_http *http = ctx;
	struct http_socket *s = socket_ctx;
	short events = (short)(EV_PERSIST | ((what & CURL_POLL_IN) ? EV_READ : 0) |
			       ((what & CURL_POLL_OUT) ? EV_WRITE : 0));

	(void)easy;
	if (s && s->event)
		event_free(s->event);
	if (s)
		s->event = NULL;
	if (what == CURL_POLL_REMOVE) {
		if (s) {
			TAILQ_REMOVE(&http->sockets, s, link);
			free(s);
			/* it fails when curl has forgotten fd, which is as well */
			(void)curl_multi_assign(http->multi, fd, NULL);
		}
		return 0;
	}
	if (!s) {
		s = bf_xcalloc(1, sizeof(*s));
		s->http = http;
		TAILQ_INSERT_TAIL(&http->sockets, s, link);
		if (curl_multi_assign(http->multi, fd, s) != CURLM_OK)
			return -1;
	}
	s->event = event_new(bf_loop_base(http->loop), fd, events, on_socket, http);
	return s->event && event_add(s->event, NULL) == 0 ? 0 : -1;
}

static bool multi_open(struct bf_http *http)
{
	CURLMcode code = CURLM_OK;

	http->multi = curl_multi_init();
	if (!http->multi)
		return false;
#define SET(option, value) \
	do { \
		if (code == CURLM_OK) \
			code = curl_multi_setopt(http->multi, option, value); \
	} while (0)
	SET(CURLMOPT_SOCKETFUNCTION, set_socket);
	SET(CURLMOPT_SOCKETDATA, http);
	SET(CURLMOPT_TIMERFUNCTION, set_timer);
	SET(CURLMOPT_TIMERDATA, http);
	SET(CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_KEPT);
	SET(CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
#undef SET
	if (code == CURLM_OK)
		return true;
	curl_multi_cleanup(http->multi);
	http->multi = NULL;
	return false;
}

bool http_attach(struct transfer *t)
{
	struct bf_http *http = t->http;
	CURLcode code = CURLE_OK;

	if (!http->multi && !multi_open(http))
		return false;
	t->easy = http->n_handles ? http->handles[--http->n_handles] : curl_easy_init();
	if (!t->easy)
		return false;
#define SET(option, value) \
	do { \
		if (code == CURLE_OK) \
			code = curl_easy_setopt(t->easy, option, value); \
	} while (0)
	SET(CURLOPT_PRIVATE, t);
	SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
	SET(CURLOPT_OPENSOCKETDATA, http);
	SET(CURLOPT_CLOSESOCKETFUNCTION, close_socket);
	SET(CURLOPT_CLOSESOCKETDATA, http);
#undef SET
	if (code == CURLE_OK)
		return true;
	curl_easy_cleanup(t->easy);
	t->easy = NULL;
	return false;
}

bool http_go(struct transfer *t)
{
	return curl_multi_add_handle(t->http->multi, t->easy) == CURLM_OK;
}

/* ---- the door ---- */

/* A new client, or NULL when curl does not start. */
struct bf_http *bf_http_new(struct bf_loop *loop)
{
	struct bf_http *http;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return NULL;
	http = bf_xcalloc(1, sizeof(*http));
	http->loop = loop;
	TAILQ_INIT(&http->sockets);
	TAILQ_INIT(&http->live);
	TAILQ_INIT(&http->finished);
	http->timer = evtimer_new(bf_loop_base(loop), on_timer, http);
	if (http->timer && multi_open(http))
		return http;
	bf_http_free(http);
	return NULL;
}

/*
 * Every handle leaves the multi first, then its connections close, and only then may the events go.
 */
void bf_http_free(struct bf_http *http)
{
	struct transfer *t;

	if (!http)
		return;
	http->dead = true;	/* a completion called from here finds no delivery under way */
	while ((t = TAILQ_FIRST(&http->live))) {
		bf_error_set(&t->err, BF_ERR_CANCELLED, "%s: cancelled, the client shuts down",
			     t->label);
		http_finish(t);
	}
	while ((t = TAILQ_FIRST(&http->finished))) {
		TAILQ_REMOVE(&http->finished, t, link);
		t->in = NULL;
		loop_free_later(http->loop, transfer_free, t);
		t->done(t->ctx, t->err.class == BF_ERR_NONE ? NULL : &t->err,
			t->err.class == BF_ERR_NONE ? &t->reply : NULL);
	}
	while (http->n_handles)
		curl_easy_cleanup(http->handles[--http->n_handles]);
	if (http->multi)
		curl_multi_cleanup(http->multi);
	while (!TAILQ_EMPTY(&http->sockets)) {
		struct http_socket *s = TAILQ_FIRST(&http->sockets);

		TAILQ_REMOVE(&http->sockets, s, link);
		if (s->event)
			event_free(s->event);
		free(s);
	}
	if (http->timer)
		event_free(http->timer);
	curl_global_cleanup();
	loop_free_later(http->loop, free, http);
}

struct bf_op *bf_http_start(struct bf_http *http, const struct bf_http_request *request,
			    bf_http_done *done, void *ctx)
{
	struct transfer *t = transfer_new(http, request, done, ctx);

	t->op.cancel = cancel;
	TAILQ_INSERT_TAIL(&http->live, t, link);
	t->in = &http->live;
	if (t->err.class == BF_ERR_NONE)
		transfer_begin(t);
	else
		http_finish(t);
	return &t->op;
}
