/*
 * estimate: what months will probably cost in calls, units, money and time. From what the last 30 days' completed months cost,
 * with the enrichment of their books; without any, from the configuration, by rough shares that the answer calls so.
 */
#include "estimate.h"
#include <math.h>
#include <stdio.h>

/* Without history: of what two AIs name so much is left when doubles are merged; a provider in the chain is asked for what the
 * ones before it did not know; a prompt and a book's line have so many tokens. */
#define DISTINCT      0.75
#define NOT_FOUND     0.3
#define PROMPT_TOKENS 900.0
#define BOOK_TOKENS   90.0
#define AI_SECONDS    20.0

struct share {
	double calls, units, cost;
};
struct guess {
	struct share each[BF_NPROVIDERS]; /* of one month */
	double seconds;			  /* that a month takes by itself */
};

/* What a month cost of late. */
static void from_history(const struct bf_plan_figures *f, struct guess *g)
{
	double n = (double)f->months;

	for (int id = 0; id < BF_NPROVIDERS; id++) {
		g->each[id].calls = (double)f->calls[id] / n;
		g->each[id].units = (double)f->units[id] / n;
		g->each[id].cost = f->cost_usd[id] / n;
	}
	g->seconds = f->seconds;
}

/* What a month might cost. */
static void from_config(const struct bf_admin *admin, struct guess *g)
{
	const struct bf_config *c = admin->config;
	double asked = c->generation.books_per_provider, books = 0, left;
	struct bf_providers *p = admin->parts.providers;

	for (int id = 0; id < BF_NAIS; id++) {
		const struct bf_provider_config *conf = &c->provider[id];

		if (bf_provider_unusable(p, (enum bf_provider_id)id) != NULL)
			continue;
		g->each[id].calls = g->each[id].units = 1;
		g->each[id].cost = conf->cost_per_call + (PROMPT_TOKENS * conf->cost_per_mtok_in +
			asked * BOOK_TOKENS * conf->cost_per_mtok_out) / 1e6;
		books = books > 0 ? 2 * asked * DISTINCT : asked;
	}
	left = books;
	for (int i = 0; i < c->resolution.n_order; i++) {
		enum bf_provider_id id = c->resolution.order[i];

		if (bf_provider_unusable(p, id) != NULL)
			continue;
		g->each[id].calls += left;
		left *= NOT_FOUND;
	}
	if (c->enrichment.enabled) {
		g->each[BF_ISBNDB].units += books * NOT_FOUND; /* one by one, in few calls */
		g->each[BF_OPEN_LIBRARY].calls += 1;
		g->each[BF_WIKIDATA].calls += 1;
	}
	for (int id = BF_NAIS; id < BF_NPROVIDERS; id++) {
		g->each[id].units += g->each[id].calls;
		g->each[id].cost = g->each[id].units * c->provider[id].cost_per_call;
	}
	g->seconds = AI_SECONDS;
}

/* The time, and what is the reason that it is not shorter. */
static double bind(const struct bf_admin *admin, const struct guess *g, int months, char *name, size_t size)
{
	const struct bf_config *c = admin->config;
	int at_once = c->scheduler.concurrent_months > 0 ? c->scheduler.concurrent_months : 1;
	double most = ceil((double)months / at_once) * g->seconds;

	snprintf(name, size, "concurrent_months");
	for (int id = 0; id < BF_NPROVIDERS; id++) {
		const struct bf_provider_config *conf = &c->provider[id];
		double s = conf->rate_per_s > 0 ? g->each[id].calls * months / conf->rate_per_s : 0;

		if (conf->enabled && s > most) {
			most = s;
			snprintf(name, size, "%s rate", bf_provider_names[id]);
		}
	}
	return months > 0 ? most : 0;
}

/* One provider's part. Returns whether its units do not suffice. */
static bool write_provider(struct bf_jw *jw, const struct bf_admin *admin, int id, const struct share *each,
	int months, int64_t used)
{
	int reserve, limit = bf_provider_daily_limit(admin->parts.providers, (enum bf_provider_id)id, &reserve);
	int64_t units = (int64_t)ceil(each->units * months), left = limit - reserve - used - units;

	bf_jw_key(jw, bf_provider_names[id]);
	bf_jw_obj(jw);
	bf_jw_key(jw, "calls");
	bf_jw_int(jw, (int64_t)ceil(each->calls * months));
	bf_jw_key(jw, "units");
	bf_jw_int(jw, units);
	bf_jw_key(jw, "cost_usd");
	bf_jw_dbl(jw, each->cost * months, 6);
	bf_jw_key(jw, "quota_left_after");
	if (limit > 0)
		bf_jw_int(jw, left > 0 ? left : 0);
	else
		bf_jw_null(jw);
	bf_jw_end_obj(jw);
	return limit > 0 && left < 0 && units > 0;
}

/* Where the figures are from. */
static void write_basis(struct bf_jw *jw, const struct bf_plan_figures *f)
{
	bf_jw_key(jw, "basis");
	bf_jw_obj(jw);
	bf_jw_key(jw, "months");
	bf_jw_int(jw, f->months);
	bf_jw_key(jw, "since");
	bf_jw_str(jw, f->months > 0 ? f->since : NULL);
	bf_jw_key(jw, "from");
	bf_jw_str(jw, f->months > 0 ? "history" : "configuration");
	bf_jw_end_obj(jw);
}

void estimate_write(struct bf_jw *jw, const struct bf_admin *admin, int months, const struct bf_plan_figures *f)
{
	struct guess g = { .seconds = 0 };
	double cost = 0, seconds;
	char binds[64];

	if (f->months > 0)
		from_history(f, &g);
	else
		from_config(admin, &g);
	seconds = bind(admin, &g, months, binds, sizeof(binds));
	bf_jw_obj(jw);
	write_basis(jw, f);
	bf_jw_key(jw, "per_provider");
	bf_jw_obj(jw);
	for (int id = 0; id < BF_NPROVIDERS; id++) {
		cost += g.each[id].cost * months;
		if (write_provider(jw, admin, id, &g.each[id], months, f->used[id]))
			snprintf(binds, sizeof(binds), "%s quota", bf_provider_names[id]);
	}
	bf_jw_end_obj(jw);
	bf_jw_key(jw, "cost_usd");
	bf_jw_dbl(jw, cost, 6);
	bf_jw_key(jw, "seconds");
	bf_jw_int(jw, (int64_t)ceil(seconds));
	bf_jw_key(jw, "binds");
	bf_jw_str(jw, months > 0 ? binds : NULL);
	bf_jw_end_obj(jw);
}
