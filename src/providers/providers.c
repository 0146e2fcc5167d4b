/* The room as a whole: made, configured, told of the world by each pulse, held, drained and counted. */
#include "gate.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Instances look at each other every 4 s; a newcomer or a change waits until all must have seen it. */
#define CHANGE_QUIET_US   4500000
#define NEWCOMER_QUIET_US 8500000
/*
 * A host that was cut off notices later than the server does: five seconds after the last it had from us the server lets our
 * locks go, the others see that and wait for CHANGE_QUIET_US. Until then the old division holds, and no longer.
 */
#define VALID_US	  8000000

static void set_user_agent(struct bf_providers *p)
{
	const char *contact = p->config->daemon.contact;

	if (contact && contact[0])
		snprintf(p->user_agent, sizeof p->user_agent, "backfilld/" BF_VERSION " (%s)",
			contact);
	else
		snprintf(p->user_agent, sizeof p->user_agent, "backfilld/" BF_VERSION);
}

struct bf_providers *bf_providers_new(struct bf_loop *loop, struct bf_http *http,
	struct bf_store *store, const struct bf_config *config, bf_providers_lost *on_lost,
	void *ctx)
{
	struct bf_providers *p = bf_xcalloc(1, sizeof *p);

	p->loop = loop;
	p->http = http;
	p->store = store;
	p->on_lost = on_lost;
	p->lost_ctx = ctx;
	LIST_INIT(&p->flights);
	LIST_INIT(&p->tallies);
	gate_init(p);
	p->flusher = flusher_new(p);
	bf_providers_configure(p, config);
	return p;
}

void bf_providers_free(struct bf_providers *p)
{
	if (!p)
		return;
	gate_release(p);
	flusher_free(p->flusher);
	free(p);
}

void bf_providers_configure(struct bf_providers *p, const struct bf_config *config)
{
	p->config = config;
	set_user_agent(p);
	for (int i = 0; i < BF_NPROVIDERS; i++) {
		struct lane *lane = &p->lane[i];

		lane->conf = &config->provider[i];
		lane->rate.per_s = lane->conf->rate_per_s;
		lane->off[0] = '\0';
		lane->quota_until_us =
			0; /* the limit may be another one now; the database still counts */
		lane->figures.quota_limit = lane_daily_limit(lane) - lane_reserve(lane);
		lane->limits_asked_us = 0;
		gate_pump(lane);
	}
}

static void pump_all(struct bf_providers *p)
{
	for (int i = 0; i < BF_NPROVIDERS; i++) {
		struct lane *lane = &p->lane[i];

		bf_op_cancel(lane->slot_timer); /* it may wait for what no longer holds */
		lane->slot_timer = NULL;
		gate_pump(lane);
	}
}

static int rank_of(int me, const int *ids, int n)
{
	int rank = 0;

	for (int i = 0; i < n; i++)
		rank += ids[i] < me;
	return rank;
}

/* The division of the rates; when it changes, nothing is sent until every instance must have seen the change. */
static void divide(
	struct bf_providers *p, int rank, int live, bool newcomer, bool alone, int64_t to_shared_us)
{
	uint64_t now = bf_now_us();

	for (int i = 0; i < BF_NPROVIDERS; i++) {
		struct rate *r = &p->lane[i].rate;
		bool changed = r->rank != rank || r->live != live;

		if (newcomer)
			r->quiet_until_us = alone ? 0 : now + NEWCOMER_QUIET_US;
		else if (changed && r->quiet_until_us < now + CHANGE_QUIET_US)
			r->quiet_until_us = now + CHANGE_QUIET_US;
		/* a clock estimate only replaces another when it is clearly off: slots must not wobble */
		if (newcomer || changed || llabs(r->to_shared_us - to_shared_us) > 2000)
			r->to_shared_us = to_shared_us;
		r->rank = rank;
		r->live = live;
		r->valid_until_us = now + VALID_US;
	}
}

void bf_providers_pulse(
	struct bf_providers *p, int my_instance, bool alone, const struct bf_pulse *pulse)
{
	int64_t to_shared = pulse->db_wall_us - (int64_t)bf_now_us();
	int live = pulse->n_instances > 0 ? pulse->n_instances : 1;
	bool newcomer = !p->joined;

	p->joined = true;
	divide(p, rank_of(my_instance, pulse->instance_ids, pulse->n_instances), live, newcomer,
		alone && live == 1, to_shared);
	for (int i = 0; i < BF_NPROVIDERS; i++)
		circuit_adopt(&p->lane[i], pulse);
	if (pulse->isbndb_used >= 0) {
		p->lane[BF_ISBNDB].figures.quota_used = pulse->isbndb_used;
		p->lane[BF_ISBNDB].quota_day_ends_us = 0;
	}
	if (newcomer)
		p->hold = false;
	pump_all(p);
}

void bf_providers_hold(struct bf_providers *p, bool hold)
{
	p->hold = hold;
	if (hold)
		p->joined = false; /* the others divide without us meanwhile */
	else
		pump_all(p);
}

void bf_providers_drain(struct bf_providers *p)
{
	p->draining = true;
	gate_drain(p);
	pump_all(p);
}

const char *bf_provider_unusable(struct bf_providers *p, enum bf_provider_id id)
{
	return lane_unusable(&p->lane[id]);
}

bool bf_providers_any_ai(struct bf_providers *p)
{
	for (int i = 0; i < BF_NAIS; i++)
		if (!lane_unusable(&p->lane[i]) || p->lane[i].circuit.state == CIRCUIT_HALF_OPEN)
			return true;
	return false;
}

void bf_provider_figures(
	const struct bf_providers *p, enum bf_provider_id id, struct bf_provider_figures *ret)
{
	const struct lane *lane = &p->lane[id];

	*ret = lane->figures;
	ret->in_flight = lane->n_sent;
	ret->waiting = lane->n_waiting + lane->n_ready;
	switch (lane->circuit.state) {
	case CIRCUIT_CLOSED: ret->circuit = 0; break;
	case CIRCUIT_HALF_OPEN: ret->circuit = 1; break;
	case CIRCUIT_OPEN: ret->circuit = 2; break;
	}
}
