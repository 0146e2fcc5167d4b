/*
 * server: listens, takes each request through the guard in the order of the contract (framing, secret, path, method, size;
 * the handlers then look at body and state) and hands it to its route.
 */
#include "server.h"
#include "guard.h"
#include "handlers.h"
#include "reply.h"
#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define MAX_HEADER_BYTES (16 * 1024)
#define EVHTTP_BODY_MARGIN \
	(1024 * 1024)      /* below it a body too long gets its 413 in JSON, from here */
#define EVHTTP_IDLE_S  120 /* a backstop; conns has the real deadlines */
#define ACCEPT_REST_MS 500
#define BACKLOG	       1024 /* callers that the kernel keeps for us; evhttp asks for 128 */
/* All that get a 405 in JSON. Not CONNECT: evhttp would keep such a connection open whatever we answer. */
#define METHODS                                                                                    \
	(EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD | EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE | \
		EVHTTP_REQ_OPTIONS | EVHTTP_REQ_TRACE | EVHTTP_REQ_PATCH)

/* Makes the request that the rest of the room works with. */
static struct request *request_new(struct bf_admin *admin, struct evhttp_request *http)
{
	struct request *rq = bf_xcalloc(1, sizeof(*rq));
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(http);
	const char *path = uri != NULL ? evhttp_uri_get_path(uri) : NULL;
	struct evhttp_connection *connection = evhttp_request_get_connection(http);

	rq->admin = admin;
	rq->http = http;
	rq->started_us = bf_now_us();
	rq->arena = bf_arena_new();
	rq->method = routes_method_name(evhttp_request_get_command(http));
	rq->is_head = evhttp_request_get_command(http) == EVHTTP_REQ_HEAD;
	snprintf(rq->path, sizeof(rq->path), "%s", path != NULL ? path : "");
	if (connection != NULL)
		rq->conn = conns_find(&admin->conns, evhttp_connection_get_bufferevent(connection));
	if (rq->conn != NULL)
		conns_working(rq->conn, rq);
	TAILQ_INSERT_TAIL(&admin->pending, rq, entry);
	admin->n_pending++;
	return rq;
}

/* From here on the caller is one who may ask: who it is, and that he asked for a change, is on record. False when the
 * request has been answered. */
static bool operator_passes(struct request *rq, const struct route *route)
{
	const char *name =
		guard_operator(evhttp_request_get_input_headers(rq->http), AUDIT_OPERATOR_CHARS);

	rq->route = route;
	if (name != NULL && *name != '\0')
		rq->operator_name = bf_arena_strdup(rq->arena, name);
	if (route != NULL && route->mutates)
		audit_begin(rq);
	if (name == NULL)
		reply_error(rq, 400, "X-Operator must be one name of at most %d characters",
			AUDIT_OPERATOR_CHARS);
	return name != NULL;
}

/* Answers a request without the right secret. Who sends wrong ones one after the other is told to wait, and needs a new
 * connection for each. */
static void refuse_secret(struct request *rq)
{
	struct evhttp_connection *connection = evhttp_request_get_connection(rq->http);
	const struct evkeyvalq *headers = evhttp_request_get_input_headers(rq->http);
	bool wrong = evhttp_find_header(headers, "X-Cron-Secret") != NULL;
	char *address = NULL, text[16];
	uint16_t port = 0;
	int wait_s;

	if (connection != NULL)
		evhttp_connection_get_peer(connection, &address, &port);
	wait_s = refusals_add(
		&rq->admin->refusals, address != NULL ? address : "", wrong, bf_now_us());
	if (wait_s == 0) {
		reply_error(rq, 401, "Unauthorized: Invalid or missing X-Cron-Secret");
		return;
	}
	snprintf(text, sizeof(text), "%d", wait_s);
	reply_header(rq, "Retry-After", text);
	rq->close = true;
	reply_error(rq, 429, "Too many requests with a wrong X-Cron-Secret from this address");
}

/* What the header as evhttp hands it over does not show any more: lines cut at a byte that is 0, and a version that is
 * taken whatever it is, and repeated in the answer. */
static const char *check_lines(struct request *rq)
{
	struct evbuffer *body = evhttp_request_get_input_buffer(rq->http);

	if (rq->http->major != 1 || (rq->http->minor != 0 && rq->http->minor != 1)) {
		rq->http->major = rq->http->minor = 1;
		return "neither HTTP/1.0 nor HTTP/1.1";
	}
	if (rq->conn != NULL && conns_has_zero(rq->conn, body))
		return "NUL in the header";
	return NULL;
}

/* The checks that need no route. False when the request has been answered. */
static bool guard_passes(struct request *rq, const struct route_match *match)
{
	const struct evkeyvalq *headers = evhttp_request_get_input_headers(rq->http);
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(rq->http);
	enum evhttp_cmd_type method = evhttp_request_get_command(rq->http);
	const char *problem = check_lines(rq);

	if (problem == NULL)
		problem = guard_framing(headers, method,
			uri != NULL ? evhttp_uri_get_host(uri) : NULL, &rq->close);
	if (problem == NULL && rq->path[0] == '\0')
		problem = "no path";
	if (problem == NULL && evhttp_uri_get_userinfo(uri) != NULL)
		problem = "a user in the target";
	if (problem != NULL) {
		rq->close = true;
		reply_error(rq, 400, "Bad request: %s", problem);
		return false;
	}
	if (!match->open && !guard_secret(headers, rq->admin->config->admin.secret)) {
		refuse_secret(rq);
		return false;
	}
	if (!match->open && !operator_passes(rq, match->route))
		return false;
	if (method != EVHTTP_REQ_GET && method != EVHTTP_REQ_HEAD && !guard_same_origin(headers)) {
		reply_error(rq, 403, "Forbidden: the request comes from another site");
		return false;
	}
	return true;
}

/* Every request starts here. */
static void on_request(struct evhttp_request *http, void *ctx)
{
	struct bf_admin *admin = ctx;
	struct request *rq = request_new(admin, http);
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(http);
	const char *path = uri != NULL ? evhttp_uri_get_path(uri) : NULL;
	struct route_match match;

	routes_match(path != NULL ? path : "", evhttp_request_get_command(http), &match);
	if (!guard_passes(rq, &match))
		return;
	if (!match.path_known) {
		reply_error(rq, 404, "Not found: %s", rq->path);
		return;
	}
	if (match.route == NULL) {
		reply_header(rq, "Allow", match.allow);
		reply_error(rq, 405, "Method not allowed: %s %s; allowed: %s", rq->method, rq->path,
			match.allow);
		return;
	}
	rq->route = match.route;
	rq->params = match.params;
	if (evbuffer_get_length(evhttp_request_get_input_buffer(http)) >
		(size_t)admin->config->admin.max_body) {
		rq->close = true;
		reply_error(rq, 413, "The body is longer than %lld bytes",
			(long long)admin->config->admin.max_body);
		return;
	}
	match.route->handler(rq);
}

static void listen_again(void *ctx)
{
	struct bf_admin *admin = ctx;

	admin->listens_again = NULL;
	/* without memory now: later, not never */
	if (evconnlistener_enable(evhttp_bound_socket_get_listener(admin->bound)) != 0)
		admin->listens_again =
			bf_timer_start(admin->parts.loop, ACCEPT_REST_MS, listen_again, admin);
}

/* Nobody is accepted for a while. */
static void rest_from_listening(struct bf_admin *admin, int64_t ms)
{
	evconnlistener_disable(evhttp_bound_socket_get_listener(admin->bound));
	bf_op_cancel(admin->listens_again);
	admin->listens_again = bf_timer_start(admin->parts.loop, ms, listen_again, admin);
}

/* evhttp asks for the bufferevent of each connection it accepts. The listener takes callers as long as there are any:
 * under a flood nothing else would have its turn. */
static struct bufferevent *on_accept(struct event_base *base, void *ctx)
{
	struct bf_admin *admin = ctx;

	(void)base;
	if (++admin->accepted_in_a_row >= CONNS_ACCEPTS_MAX) {
		admin->accepted_in_a_row = 0;
		rest_from_listening(admin, 0);
	}
	return conns_accept(&admin->conns);
}

/* Splits HOST:PORT; a host of several colons is written [::1]. The host must be an address or localhost: looking a name
 * up would block. */
static bool split_listen(const char *listen, char host[64], uint16_t *ret_port)
{
	const char *colon = strrchr(listen, ':');
	unsigned char address[sizeof(struct in6_addr)];
	unsigned long port;
	size_t len;
	char *end;

	if (colon == NULL || colon[1] == '\0' ||
		strspn(colon + 1, "0123456789") != strlen(colon + 1))
		return false;
	errno = 0;
	port = strtoul(colon + 1, &end, 10);
	if (errno != 0 || *end != '\0' || port > UINT16_MAX)
		return false;
	len = (size_t)(colon - listen);
	if (len > 2 && listen[0] == '[' && listen[len - 1] == ']') {
		listen++;
		len -= 2;
	}
	if (len == 0 || len >= 64)
		return false;
	memcpy(host, listen, len);
	host[len] = '\0';
	if (strcmp(host, "localhost") == 0)
		snprintf(host, 64, "127.0.0.1");
	*ret_port = (uint16_t)port;
	return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

/* Says where it listens; with port 0 nobody else could know. */
static void log_address(const struct bf_admin *admin)
{
	struct sockaddr_storage address = { 0 };
	socklen_t len = sizeof(address);
	char host[INET6_ADDRSTRLEN] = "?", text[INET6_ADDRSTRLEN + 16];
	uint16_t port = 0;
	bool v6;

	if (getsockname(evhttp_bound_socket_get_fd(admin->bound), (struct sockaddr *)&address,
		    &len) != 0)
		return;
	v6 = address.ss_family == AF_INET6;
	if (v6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, &address, sizeof(in6));
		inet_ntop(AF_INET6, &in6.sin6_addr, host, sizeof(host));
		port = ntohs(in6.sin6_port);
	} else {
		struct sockaddr_in in4;

		memcpy(&in4, &address, sizeof(in4));
		inet_ntop(AF_INET, &in4.sin_addr, host, sizeof(host));
		port = ntohs(in4.sin_port);
	}
	snprintf(text, sizeof(text), v6 ? "[%s]:%u" : "%s:%u", host, (unsigned)port);
	bf_log(BF_INFO, "admin interface listening", BF_S("address", text));
}

/* Who listens: libevent hands on_accept_failed its own evhttp, and has no place for ours. */
static struct bf_admin *listening;

/* No descriptor is free, most likely. The caller stays in the kernel's queue, so the socket stays readable: without a rest
 * the loop would do nothing but fail. */
static void on_accept_failed(struct evconnlistener *listener, void *ctx)
{
	(void)ctx;
	(void)listener;
	bf_log(BF_WARN, "a caller can't be accepted: the interface rests for a moment",
		BF_S("reason", strerror(errno)));
	rest_from_listening(listening, ACCEPT_REST_MS);
}

static void stop_listening(struct bf_admin *admin)
{
	bf_op_cancel(admin->listens_again);
	admin->listens_again = NULL;
	if (admin->bound != NULL)
		evhttp_del_accept_socket(admin->http, admin->bound);
	admin->bound = NULL;
}

/* Not vital: with a short queue callers come back after a second, by TCP's own rules. */
static void lengthen_queue(evutil_socket_t fd)
{
	(void)listen(fd, BACKLOG);
}

/* Sets evhttp up and binds it. */
static bool start_listening(struct bf_admin *admin, const char *listen, struct bf_error *err)
{
	char host[64];
	uint16_t port;

	if (!split_listen(listen, host, &port)) {
		bf_error_set(
			err, BF_ERR_CONFIG, "admin.listen: \"%s\" is not ADDRESS:PORT", listen);
		return false;
	}
	admin->http = evhttp_new(bf_loop_base(admin->parts.loop));
	if (admin->http == NULL) {
		bf_error_set(err, BF_ERR_BUG, "admin: evhttp_new failed");
		return false;
	}
	evhttp_set_allowed_methods(admin->http, METHODS);
	evhttp_set_max_headers_size(admin->http, MAX_HEADER_BYTES);
	evhttp_set_timeout(admin->http, EVHTTP_IDLE_S);
	evhttp_set_bevcb(admin->http, on_accept, admin);
	evhttp_set_gencb(admin->http, on_request, admin);
	errno = 0;
	admin->bound = evhttp_bind_socket_with_handle(admin->http, host, port);
	if (admin->bound == NULL) {
		bf_error_set(err, BF_ERR_CONFIG, "admin.listen: can't listen on %s: %s", listen,
			strerror(errno));
		return false;
	}
	lengthen_queue(evhttp_bound_socket_get_fd(admin->bound));
	/* evhttp does not look whether the loop took its socket; a second time does no harm */
	if (evconnlistener_enable(evhttp_bound_socket_get_listener(admin->bound)) != 0) {
		bf_error_set(err, BF_ERR_RETRY, "admin.listen: can't wait for callers: %s",
			strerror(errno));
		return false;
	}
	listening = admin;
	evconnlistener_set_error_cb(
		evhttp_bound_socket_get_listener(admin->bound), on_accept_failed);
	return true;
}

/* Starts the interface. */
struct bf_admin *bf_admin_new(
	const struct bf_admin_parts *parts, const struct bf_config *config, struct bf_error *err)
{
	struct bf_admin *admin = bf_xcalloc(1, sizeof(*admin));

	admin->parts = *parts;
	admin->started_wall_us = bf_wall_us();
	admin->started_us = bf_now_us();
	TAILQ_INIT(&admin->pending);
	conns_init(&admin->conns, parts->loop);
	refusals_init(&admin->refusals);
	bf_buf_init(&admin->openapi, REPLY_MAX_BYTES);
	events_init(&admin->events, admin);
	audit_init(&admin->audit, admin);
	if (!start_listening(admin, config->admin.listen, err)) {
		bf_admin_free(admin);
		return NULL;
	}
	bf_admin_configure(admin, config);
	log_address(admin);
	return admin;
}

/* What still waits gets a 503, for what it is worth: nobody runs the loop for it any more. */
void bf_admin_free(struct bf_admin *admin)
{
	struct request *rq;

	if (admin == NULL)
		return;
	admin->draining = true;
	while ((rq = TAILQ_FIRST(&admin->pending)) != NULL)
		reply_unavailable(rq, 30, "Shutting down");
	events_release(&admin->events);
	audit_release(&admin->audit);
	stop_listening(admin);
	if (admin->http != NULL)
		evhttp_free(admin->http);
	conns_release(&admin->conns);
	bf_buf_release(&admin->openapi);
	free(admin);
}

/* Takes over what a reload may change. */
void bf_admin_configure(struct bf_admin *admin, const struct bf_config *config)
{
	int64_t body_max = config->admin.max_body + EVHTTP_BODY_MARGIN;

	admin->config = config;
	evhttp_set_max_body_size(admin->http, (ev_ssize_t)body_max);
	/* chunks have heads as well; whose are so small that this is not enough for them is cut off */
	admin->conns.request_max = (size_t)body_max + 4 * MAX_HEADER_BYTES;
}

/* Remembers what the check of the schema found. */
void bf_admin_schema(struct bf_admin *admin, enum bf_schema schema, const char *remedy)
{
	admin->schema_known = true;
	admin->schema = schema;
	snprintf(admin->remedy, sizeof(admin->remedy), "%s", remedy != NULL ? remedy : "");
}

/* No new connection, no further request on an old one. */
void bf_admin_drain(struct bf_admin *admin)
{
	if (admin->draining)
		return;
	admin->draining = true;
	stop_listening(admin);
	events_drain(&admin->events);
	audit_flush(&admin->audit);
	conns_cut_idle(&admin->conns);
}

/* Transitions were written, by whichever instance. */
void bf_admin_event(struct bf_admin *admin)
{
	if (admin != NULL)
		events_wake(&admin->events);
}

/* Requests that wait for their answer, answers that wait to be written, and the audit's rows. */
int bf_admin_pending(const struct bf_admin *admin)
{
	return admin->n_pending + conns_writing(&admin->conns) + admin->audit.n_rows;
}
