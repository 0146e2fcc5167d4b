/* sim_http: the HTTP client's door; behind it stand-ins for the seven services, with their bad days. */
#ifndef SIM_HTTP_H
#define SIM_HTTP_H
#include "backfill/reactor.h"
#include "world.h"

struct bf_http *sim_http_new(struct inst *);
int sim_http_in_flight(const struct bf_http *);
void sim_http_provider_down(int provider, int64_t us);
void sim_http_begin(void);
extern uint64_t sim_http_sent;		/* requests, of all seeds */
#endif
