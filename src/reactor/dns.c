/*
 * c-ares driven by the loop. One question per name at a time, however many wait for it; answers are
 * kept for their TTL (between 5 s and 5 min), failures not at all. The channel is made afresh when
 * it is older than a minute and idle, so that a changed resolv.conf is seen without a restart.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <ares.h>
#include <event2/event.h>
#include "dns.h"
#include "loop.h"

enum {
	CACHED_MAX = 64,
	TTL_LEAST_S = 5,
	TTL_MOST_S = 300,
	CHANNEL_AGE_S = 60,
	TRY_MS = 2000,
	TRIES = 3
};

struct waiter {
	struct bf_op op;
	TAILQ_ENTRY(waiter) link;
	struct waiters *in;			/* the list it is on; NULL: over */
	struct dns *dns;
	dns_done *done;
	void *ctx;
	struct bf_error err;			/* class NONE: answer is set */
	struct dns_answer answer;
};
TAILQ_HEAD(waiters, waiter);

struct query {
	TAILQ_ENTRY(query) link;
	struct dns *dns;
	char *host;
	struct waiters waiters;		/* may become empty: the answer is kept all the same */
};

struct dns_socket {
	TAILQ_ENTRY(dns_socket) link;
	struct dns *dns;
	ares_socket_t fd;
	struct event *event;
};

struct cached {
	char *host;
	uint64_t until_us;
	struct dns_answer answer;
};

struct dns {
	struct bf_loop *loop;
	ares_channel channel;			/* NULL until needed */
	uint64_t channel_since_us;
	struct event *timer;
	bool dying, delivering;
	TAILQ_HEAD(, query) queries;
	TAILQ_HEAD(, dns_socket) sockets;
	struct waiters answered;
	struct cached cache[CACHED_MAX];
};

bool dns_is_literal(const char *host)
{
	unsigned char address[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
}

/* Hands out what was answered before this turn ended; completions may ask again. */
static void deliver(void *ctx)
{
	struct dns *dns = ctx;
	struct waiters now = TAILQ_HEAD_INITIALIZER(now);
	struct waiter *w;

	dns->delivering = false;
	TAILQ_CONCAT(&now, &dns->answered, link);
	TAILQ_FOREACH(w, &now, link)
		w->in = &now;
	while ((w = TAILQ_FIRST(&now))) {
		TAILQ_REMOVE(&now, w, link);
		w->in = NULL;
		loop_free_later(dns->loop, free, w);
		if (w->err.class == BF_ERR_NONE)
			w->done(w->ctx, NULL, &w->answer);
		else
			w->done(w->ctx, &w->err, NULL);
	}
}

static void answered(struct waiter *w)
{
	struct dns *dns = w->dns;

	TAILQ_INSERT_TAIL(&dns->answered, w, link);
	w->in = &dns->answered;
	if (!dns->delivering)
		bf_loop_defer(dns->loop, deliver, dns);
	dns->delivering = true;
}

static void waiter_cancel(struct bf_op *op)
{
	struct waiter *w = bf_container_of(op, struct waiter, op);

	if (!w->in)
		return;
	TAILQ_REMOVE(w->in, w, link);
	w->in = NULL;
	loop_free_later(w->dns->loop, free, w);
}

static void rearm(struct dns *dns);

static void on_timeout(evutil_socket_t fd, short what, void *ctx)
{
	struct dns *dns = ctx;

	(void)fd;
	(void)what;
	loop_mark(dns->loop);
	ares_process_fd(dns->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	rearm(dns);
}

static void on_socket(evutil_socket_t fd, short what, void *ctx)
{
	struct dns *dns = ctx;

	loop_mark(dns->loop);
	ares_process_fd(dns->channel, (what & EV_READ) ? fd : ARES_SOCKET_BAD,
			(what & EV_WRITE) ? fd : ARES_SOCKET_BAD);
	rearm(dns);
}

/* c-ares says when it wants to be called next; without a question in flight it does not. */
static void rearm(struct dns *dns)
{
	struct timeval wait, *tv = ares_timeout(dns->channel, NULL, &wait);

	event_del(dns->timer);
	if (tv && event_add(dns->timer, tv) < 0)
		bf_log(BF_ERROR, "cannot arm the resolver's timer", BF_I("seconds", tv->tv_sec));
}

/*
 * Called by c-ares whenever what it waits for on a socket changes; both false: about to be closed.
 */
static void on_socket_state(void *ctx, ares_socket_t fd, int readable, int writable)
{
	struct dns *dns = ctx;
	struct dns_socket *s;
	short what = (short)(EV_PERSIST | (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0));

	TAILQ_FOREACH(s, &dns->sockets, link)
		if (s->fd == fd)
			break;
	if (s) {
		event_free(s->event);
		s->event = NULL;
	} else {
		s = bf_xcalloc(1, sizeof(*s));
		s->fd = fd;
		TAILQ_INSERT_TAIL(&dns->sockets, s, link);
	}
	if (readable || writable)
		s->event = event_new(bf_loop_base(dns->loop), fd, what, on_socket, dns);
	if (!s->event || event_add(s->event, NULL) < 0) {
		if (s->event)
			event_free(s->event);
		TAILQ_REMOVE(&dns->sockets, s, link);
		free(s);
	}
}

static void channel_close(struct dns *dns)
{
	if (dns->channel)
		ares_destroy(dns->channel);
	dns->channel = NULL;
}

/* Makes sure of a channel; false when c-ares cannot start. */
static bool channel_open(struct dns *dns)
{
	const int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
	uint64_t now = bf_now_us();
	struct ares_options options = {
		.timeout = TRY_MS, .tries = TRIES,
		.sock_state_cb = on_socket_state, .sock_state_cb_data = dns
	};

	if (dns->channel && TAILQ_EMPTY(&dns->queries) &&
	    now - dns->channel_since_us > CHANNEL_AGE_S * 1000000ull)
		channel_close(dns);
	if (dns->channel)
		return true;
	dns->channel_since_us = now;
	if (ares_init_options(&dns->channel, &options, mask) != ARES_SUCCESS)
		dns->channel = NULL;
	return dns->channel;
}

static struct dns *dns_get(struct bf_loop *loop)
{
	struct dns **slot = loop_dns(loop), *dns = *slot;

	if (dns)
		return dns;
	dns = bf_xcalloc(1, sizeof(*dns));
	dns->loop = loop;
	TAILQ_INIT(&dns->queries);
	TAILQ_INIT(&dns->sockets);
	TAILQ_INIT(&dns->answered);
	dns->timer = evtimer_new(bf_loop_base(loop), on_timeout, dns);
	if (!dns->timer)
		bf_out_of_memory();
	*slot = dns;
	return dns;
}

static void waiters_drop(struct waiters *list)
{
	struct waiter *w;

	while ((w = TAILQ_FIRST(list))) {
		TAILQ_REMOVE(list, w, link);
		free(w);
	}
}

void dns_free(struct dns *dns)
{
	if (!dns)
		return;
	dns->dying = true;
	channel_close(dns);		/* ends every query through on_answer() */
	event_free(dns->timer);
	waiters_drop(&dns->answered);
	for (int i = 0; i < CACHED_MAX; i++)
		free(dns->cache[i].host);
	free(dns);
}

static const struct dns_answer *cache_find(struct dns *dns, const char *host)
{
	for (int i = 0; i < CACHED_MAX; i++) {
		struct cached *c = &dns->cache[i];

		if (c->host && strcasecmp(c->host, host) == 0)
			return c->until_us > bf_now_us() ? &c->answer : NULL;
	}
	return NULL;
}

/* Keeps an answer in the place of the same name, or of the one that expires first. */
static void cache_put(struct dns *dns, const char *host, const struct dns_answer *answer, int ttl_s)
{
	struct cached *place = &dns->cache[0];

	for (int i = 0; i < CACHED_MAX; i++) {
		struct cached *c = &dns->cache[i];

		if (c->host && strcasecmp(c->host, host) == 0) {
			place = c;
			break;
		}
		if (c->until_us < place->until_us)
			place = c;
	}
	if (ttl_s < TTL_LEAST_S)
		ttl_s = TTL_LEAST_S;
	if (ttl_s > TTL_MOST_S)
		ttl_s = TTL_MOST_S;
	free(place->host);
	place->host = bf_xstrdup(host);
	place->until_us = bf_now_us() + (uint64_t)ttl_s * 1000000;
	place->answer = *answer;
}

/* The addresses as text, in c-ares' order (RFC 6724); returns the least TTL among them. */
static int read_addresses(const struct ares_addrinfo *info, struct dns_answer *ret)
{
	int ttl = TTL_MOST_S;

	for (const struct ares_addrinfo_node *node = info->nodes; node; node = node->ai_next) {
		const struct sockaddr_in *in4 = (const void *)node->ai_addr;
		const struct sockaddr_in6 *in6 = (const void *)node->ai_addr;
		const void *address = node->ai_family == AF_INET6 ? (const void *)&in6->sin6_addr
								  : (const void *)&in4->sin_addr;

		if (ret->n == DNS_ADDRS_MAX)
			break;
		if (node->ai_family != AF_INET && node->ai_family != AF_INET6)
			continue;
		if (!inet_ntop(node->ai_family, address, ret->addr[ret->n], INET6_ADDRSTRLEN))
			continue;
		ret->n++;
		if (node->ai_ttl < ttl)
			ttl = node->ai_ttl;
	}
	return ttl;
}

static void query_free(struct query *q)
{
	free(q->host);
	free(q);
}

/* c-ares' answer to one query, possibly inside ares_getaddrinfo(). */
static void on_answer(void *ctx, int status, int timeouts, struct ares_addrinfo *info)
{
	struct query *q = ctx;
	struct dns *dns = q->dns;
	struct dns_answer answer = { 0 };
	struct bf_error err = { .class = BF_ERR_NONE };
	struct waiter *w;
	int ttl = 0;

	(void)timeouts;
	if (info)
		ttl = read_addresses(info, &answer);
	ares_freeaddrinfo(info);
	if (answer.n)
		cache_put(dns, q->host, &answer, ttl);
	else
		bf_error_set(&err, BF_ERR_RETRY, "looking up %s: %s", q->host,
			     ares_strerror(status == ARES_SUCCESS ? ARES_ENODATA : status));
	TAILQ_REMOVE(&dns->queries, q, link);
	if (dns->dying)
		waiters_drop(&q->waiters);
	while ((w = TAILQ_FIRST(&q->waiters))) {
		TAILQ_REMOVE(&q->waiters, w, link);
		w->err = err;
		w->answer = answer;
		answered(w);
	}
	query_free(q);
}

/* Puts w with those who ask for the same name, or asks. */
static void ask(struct dns *dns, const char *host, struct waiter *w)
{
	struct ares_addrinfo_hints hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct query *q;

	TAILQ_FOREACH(q, &dns->queries, link)
		if (strcasecmp(q->host, host) == 0)
			break;
	if (q) {
		TAILQ_INSERT_TAIL(&q->waiters, w, link);
		w->in = &q->waiters;
		return;
	}
	if (!channel_open(dns)) {
		bf_error_set(&w->err, BF_ERR_RETRY, "looking up %s: the resolver does not start",
			     host);
		answered(w);
		return;
	}
	q = bf_xcalloc(1, sizeof(*q));
	q->dns = dns;
	q->host = bf_xstrdup(host);
	TAILQ_INIT(&q->waiters);
	TAILQ_INSERT_TAIL(&q->waiters, w, link);
	w->in = &q->waiters;
	TAILQ_INSERT_TAIL(&dns->queries, q, link);
	ares_getaddrinfo(dns->channel, host, NULL, &hints, on_answer, q);
	rearm(dns);
}

/* RFC 6761: localhost and the names below it never leave the machine. */
static bool is_localhost(const char *host)
{
	size_t len = strlen(host);

	if (len && host[len - 1] == '.')
		len--;
	if (len < 9 || strncasecmp(host + len - 9, "localhost", 9) != 0)
		return false;
	return len == 9 || host[len - 10] == '.';
}

static void answer_literal(struct waiter *w, const char *first, const char *second)
{
	const char *const text[] = { first, second };

	for (int i = 0; i < 2 && text[i]; i++) {
		size_t len = strlen(text[i]);

		memcpy(w->answer.addr[i], text[i], len < INET6_ADDRSTRLEN ? len + 1 : 0);
		w->answer.n++;
	}
	answered(w);
}

struct bf_op *dns_resolve(struct bf_loop *loop, const char *host, dns_done *done, void *ctx)
{
	struct dns *dns = dns_get(loop);
	struct waiter *w = bf_xcalloc(1, sizeof(*w));
	const struct dns_answer *kept;

	w->op.cancel = waiter_cancel;
	w->dns = dns;
	w->done = done;
	w->ctx = ctx;
	if (dns_is_literal(host)) {
		answer_literal(w, host, NULL);
	} else if (is_localhost(host)) {
		answer_literal(w, "127.0.0.1", "::1");
	} else if ((kept = cache_find(dns, host))) {
		w->answer = *kept;
		answered(w);
	} else {
		ask(dns, host, w);
	}
	return &w->op;
}
