/*
 * Private to the reactor: names to addresses without ever blocking (c-ares on the loop). Both users
 * want text: libcurl as CURLOPT_RESOLVE, libpq as hostaddr.
 */
#ifndef BACKFILL_REACTOR_DNS_H
#define BACKFILL_REACTOR_DNS_H
#include <netinet/in.h>
#include "backfill/reactor.h"

struct dns;

#define DNS_ADDRS_MAX 8
struct dns_answer {
	int n;					/* 1..DNS_ADDRS_MAX, best first */
	char addr[DNS_ADDRS_MAX][INET6_ADDRSTRLEN];
};
/* err: always RETRY; exactly one of err and answer is given, both borrowed. */
typedef void dns_done(void *ctx, const struct bf_error *err, const struct dns_answer *answer);

/*
 * Literal addresses, localhost (RFC 6761) and /etc/hosts are answered too; never inside this call.
 */
struct bf_op *dns_resolve(struct bf_loop *, const char *host, dns_done *, void *ctx);
bool dns_is_literal(const char *host);
void dns_free(struct dns *);			/* lookups in flight are forgotten */
#endif
