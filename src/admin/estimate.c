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

/* What a month cost of late. An AI is asked once whatever the number of books; all else goes with them. */
static void from_history(const struct bf_plan_figures *f, double batch_size, struct pace *p)
{
	double n = (double)f->months, scale = batch_size > 0 && f->batch_size > 0 ? batch_size / f->batch_size : 1;

	for (int id = 0; id < BF_NPROVIDERS; id++) {
		double asked = BF_IS_AI(id) ? 1 : scale;

		p->each[id].calls = asked * (double)f->calls[id] / n;
		p->each[id].units = asked * (double)f->units[id] / n;
		p->each[id].cost = scale * f->cost_usd[id] / n;
	}
	p->seconds = scale * f->seconds;
}

/* What the AIs are asked. Returns the books that they name. */
static double ai_from_config(const struct bf_admin *admin, double asked, struct pace *p)
{
	double books = 0;

	for (int id = 0; id < BF_NAIS; id++) {
		const struct bf_provider_config *conf = &admin->config->provider[id];

		if (bf_provider_unusable(admin->parts.providers, (enum bf_provider_id)id) != NULL)
			continue;
		p->each[id].calls = p->each[id].units = 1;
		p->each[id].cost = conf->cost_per_call + (PROMPT_TOKENS * conf->cost_per_mtok_in +
			asked * BOOK_TOKENS * conf->cost_per_mtok_out) / 1e6;
		books = books > 0 ? 2 * asked * DISTINCT : asked;
	}
	return books;
}

/* What a month might cost. */
static void from_config(const struct bf_admin *admin, double batch_size, struct pace *p)
{
	const struct bf_config *c = admin->config;
	double books = ai_from_config(admin, batch_size > 0 ? batch_size : c->generation.books_per_provider, p);
	double left = books;

	for (int i = 0; i < c->resolution.n_order; i++) {
		enum bf_provider_id id = c->resolution.order[i];

		if (bf_provider_unusable(admin->parts.providers, id) != NULL)
			continue;
		p->each[id].calls += left;
		left *= NOT_FOUND;
	}
	if (c->enrichment.enabled) {
		p->each[BF_ISBNDB].units += books * NOT_FOUND; /* one by one, in few calls */
		p->each[BF_OPEN_LIBRARY].calls += 1;
		p->each[BF_WIKIDATA].calls += 1;
	}
	for (int id = BF_NAIS; id < BF_NPROVIDERS; id++) {
		p->each[id].units += p->each[id].calls;
		p->each[id].cost = p->each[id].units * c->provider[id].cost_per_call;
	}
	p->seconds = AI_SECONDS;
}

void estimate_pace(const struct bf_admin *admin, const struct bf_plan_figures *f, double batch_size, int instances,
	struct pace *ret)
{
	const struct bf_config *c = admin->config;
	int reserve, slots = c->scheduler.concurrent_months > 0 ? c->scheduler.concurrent_months : 1;
	int64_t limit, left;

	*ret = (struct pace){ .at_once = slots * (instances > 0 ? instances : 1) };
	if (f->months > 0)
		from_history(f, batch_size, ret);
	else
		from_config(admin, batch_size, ret);
	for (int id = 0; id < BF_NPROVIDERS; id++) {
		limit = bf_provider_daily_limit(admin->parts.providers, (enum bf_provider_id)id, &reserve);
		left = limit - reserve - f->used[id];
		ret->rate_per_s[id] = c->provider[id].enabled ? c->provider[id].rate_per_s : 0;
		ret->per_day[id] = limit > reserve ? limit - reserve : 0;
		ret->left[id] = left > 0 ? left : 0;
		ret->reset_in_s[id] = f->reset_in_s[id];
	}
}

/* One provider's part. */
static void write_provider(struct bf_jw *jw, const struct pace *p, int id, int months)
{
	int64_t units = (int64_t)ceil(p->each[id].units * months), left = p->left[id] - units;

	bf_jw_key(jw, bf_provider_names[id]);
	bf_jw_obj(jw);
	bf_jw_key(jw, "calls");
	bf_jw_int(jw, (int64_t)ceil(p->each[id].calls * months));
	bf_jw_key(jw, "units");
	bf_jw_int(jw, units);
	bf_jw_key(jw, "cost_usd");
	bf_jw_dbl(jw, p->each[id].cost * months, 6);
	bf_jw_key(jw, "quota_left_after");
	if (p->per_day[id] > 0)
		bf_jw_int(jw, left > 0 ? left : 0);
	else
		bf_jw_null(jw);
	bf_jw_end_obj(jw);
}

/* The time and its reason. */
static void write_time(struct bf_jw *jw, const struct pace *p, int months)
{
	struct pace_time t = pace_of(p, months);
	char binds[64] = "concurrent_months";

	if (t.bound == PACE_RATE)
		snprintf(binds, sizeof(binds), "%s rate", bf_provider_names[t.provider]);
	else if (t.bound == PACE_QUOTA)
		snprintf(binds, sizeof(binds), "%s quota", bf_provider_names[t.provider]);
	bf_jw_key(jw, "seconds");
	bf_jw_int(jw, (int64_t)ceil(t.seconds));
	bf_jw_key(jw, "binds");
	bf_jw_str(jw, t.bound == PACE_NOTHING ? NULL : binds);
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

void estimate_write(struct bf_jw *jw, const struct bf_admin *admin, int months, double batch_size,
	const struct bf_plan_figures *f)
{
	struct pace p;
	double cost = 0;

	estimate_pace(admin, f, batch_size, 1, &p);
	bf_jw_obj(jw);
	write_basis(jw, f);
	bf_jw_key(jw, "per_provider");
	bf_jw_obj(jw);
	for (int id = 0; id < BF_NPROVIDERS; id++) {
		cost += p.each[id].cost * months;
		write_provider(jw, &p, id, months);
	}
	bf_jw_end_obj(jw);
	bf_jw_key(jw, "cost_usd");
	bf_jw_dbl(jw, cost, 6);
	write_time(jw, &p, months);
	bf_jw_end_obj(jw);
}
