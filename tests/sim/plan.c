/* plan: a seed's world: how many months and instances, what goes wrong and how often, and the two configurations. */
#include "plan.h"
#include <stdio.h>
#include <string.h>

struct plan plan;
static struct bf_config *base;
static char addresses[BF_NPROVIDERS][16], key[] = "sim-key", every_minute[] = "* * * * *", empty[] = "",
	gemini[] = "gemini-3.5-flash-lite", grok[] = "grok-4.3";
static struct bf_config template;

void plan_setup(void)
{
	struct bf_config_problems problems;

	base = bf_config_load(NULL, NULL, &problems);
	template = *base; /* its texts stay with base */
	for (int p = 0; p < BF_NPROVIDERS; p++) {
		struct bf_provider_config *c = &template.provider[p];

		snprintf(addresses[p], sizeof addresses[p], "s:/%d", p);
		c->base_url = addresses[p];
		c->api_key = key;
		c->timeout_ms = BF_IS_AI(p) ? 20000 : 8000;
		c->proxy = empty;
		c->model = p == BF_GEMINI ? gemini : p == BF_XAI ? grok : empty;
	}
	template.scheduler.schedule = every_minute;
	template.enhancement.schedule = empty;
	template.daemon.contact = empty;
}

void plan_release(void)
{
	bf_config_free(base);
	base = NULL;
}

/* ---- the configuration ---- */
static void make_config(struct bf_config *c, bool other)
{
	*c = template;
	c->scheduler.concurrent_months = (int)rnd_between(1, 4);
	c->scheduler.batch_size = (int)rnd_between(2, 10);
	c->scheduler.year_start = plan.years_from;
	c->scheduler.year_end = plan.years_from + 2;
	c->scheduler.retry_base_ms = plan.config[0].scheduler.retry_base_ms;
	c->scheduler.retry_cap_ms = plan.config[0].scheduler.retry_cap_ms;
	c->scheduler.stuck_after_ms = plan.config[0].scheduler.stuck_after_ms;
	c->scheduler.catch_up = chance(700);
	c->daemon.drain_timeout_ms = rnd_between(500, 30000);
	c->resolution.concurrent_books = (int)rnd_between(1, 10);
	c->resolution.n_order = (int)rnd_between(1, 5);
	c->generation.books_per_provider = plan.books * 2;
	for (int p = 0; p < BF_NPROVIDERS; p++) {
		struct bf_provider_config *v = &c->provider[p];

		v->rate_per_s = chance(800) ? (double)rnd_between(5, 30) : (double)rnd_between(1, 3);
		v->concurrency = (int)rnd_between(1, 8);
		v->enabled = !other || BF_IS_AI(p) || p == BF_ISBNDB || chance(900);
		v->daily_limit = p == BF_ISBNDB && chance(150) ? (int)rnd_between(20, 120)
			: p == BF_GOOGLE_BOOKS && chance(150)  ? (int)rnd_between(10, 60)
			: p == BF_ISBNDB                       ? 15000
			: p == BF_GOOGLE_BOOKS                 ? 1000
			: chance(50) && BF_IS_AI(p)            ? (int)rnd_between(6, 30)
							       : 0;
		v->reserve = v->daily_limit ? (int)rnd_below((uint64_t)v->daily_limit / 4 + 1) : 0;
	}
}

/* ---- what goes wrong ---- */
static void make_faults(void)
{
	int wild = (int)rnd_below(3); /* 0: hardly anything */

	plan.crashes = chance(500);
	plan.locks = chance(500);
	plan.outages = chance(300);
	plan.freezes = chance(300);
	plan.operators = chance(500);
	plan.drains = chance(400);
	plan.clocks = chance(300);
	plan.reloads = chance(400);
	plan.resets = chance(300);
	plan.cancels = chance(300);
	plan.pauses = chance(250);
	plan.spoils = chance(60);
	plan.tried = chance(300);
	plan.row_locks = chance(250);
	plan.by_hand = chance(250);
	plan.db_slow = chance(300) ? (int)rnd_between(5, 100) : 0;
	plan.db_faults = chance(500) ? (int)rnd_between(2, 60) : 0;
	plan.db_refuses = chance(80) ? (int)rnd_between(2, chance(300) ? 700 : 40) : 0;
	for (int p = 0; p < BF_NPROVIDERS; p++)
		plan.http_faults[p] = wild == 0 ? 0 : chance(600) ? 0
			: wild == 1               ? (int)rnd_between(5, 80)
						  : (int)rnd_between(50, 900);
	plan.ai_faults = wild && chance(400) ? (int)rnd_between(10, 250) : 0;
	plan.quota_faults = chance(60) ? (int)rnd_between(2, 30) : 0;
	plan.auth_faults = chance(60) ? (int)rnd_between(2, 30) : 0;
	plan.ban_faults = chance(60) ? (int)rnd_between(5, 100) : 0;
	plan.shared = chance(300) ? 150 : 0;
}

/* Some begin shortly before a day of the providers ends. */
static int64_t epoch_us(void)
{
	int64_t day = 1700006400ll + rnd_between(0, 60) * 86400; /* in winter, so that California is 8 h behind */

	if (chance(300)) {
		int64_t before = rnd_between(10, 240);

		return (day + (chance(500) ? 86400 : 8 * 3600) - before) * 1000000;
	}
	return (day + rnd_between(9 * 3600, 20 * 3600)) * 1000000 + rnd_between(0, 999999);
}

void plan_make(void)
{
	memset(&plan, 0, sizeof plan);
	plan.db_epoch_us = epoch_us();
	plan.years_from = 2001;
	plan.months = w.months;
	plan.books = 8;
	plan.instances = chance(500) ? 1 : (int)rnd_between(2, 3);
	plan.chaos_us = rnd_between(15, 150) * 1000000;
	plan.chaos_every_us = rnd_between(1500, 12000) * 1000;
	plan.config[0].scheduler.retry_base_ms = rnd_between(500, 4000);
	plan.config[0].scheduler.retry_cap_ms = rnd_between(5000, 30000);
	plan.config[0].scheduler.stuck_after_ms = chance(300) ? 90000 : 3600000;
	make_faults();
	if (plan.ban_faults) { /* who is closed for hours is not asked every second */
		plan.config[0].scheduler.retry_base_ms = 60000;
		plan.config[0].scheduler.retry_cap_ms = 3600000;
	}
	{
		int64_t base_ms = plan.config[0].scheduler.retry_base_ms,
			cap_ms = plan.config[0].scheduler.retry_cap_ms;

		make_config(&plan.config[0], false);
		plan.config[0].scheduler.retry_base_ms = base_ms;
		plan.config[0].scheduler.retry_cap_ms = cap_ms;
		make_config(&plan.config[1], true);
	}
}
