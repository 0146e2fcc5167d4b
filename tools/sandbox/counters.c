/* counters: what arrived, what it cost, what was answered; and the busiest second, by a
 * sliding window. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "sandbox.h"

#define SECOND_US 1000000u

/* Zero, with room for the AIs' months. */
void counters_init(struct counters c[BF_NPROVIDERS])
{
	for (int p = 0; p < BF_NPROVIDERS; p++) {
		c[p] = (struct counters){ 0 };
		if (BF_IS_AI(p)) {
			c[p].by_month = bf_xcalloc(CATALOGUE_MONTHS, sizeof(*c[p].by_month));
			c[p].flying = bf_xcalloc(CATALOGUE_MONTHS, sizeof(*c[p].flying));
		}
	}
}

/* Back to zero; what is in flight stays in flight. */
void counters_reset(struct counters c[BF_NPROVIDERS])
{
	for (int p = 0; p < BF_NPROVIDERS; p++) {
		c[p].requests = c[p].plan_requests = c[p].units = 0;
		memset(c[p].by_status, 0, sizeof(c[p].by_status));
		memset(c[p].by_fault, 0, sizeof(c[p].by_fault));
		if (c[p].by_month)
			memset(c[p].by_month, 0, CATALOGUE_MONTHS * sizeof(*c[p].by_month));
		c[p].window.n = c[p].window.peak = 0;
	}
}

/* Frees the arrays. */
void counters_release(struct counters c[BF_NPROVIDERS])
{
	for (int p = 0; p < BF_NPROVIDERS; p++) {
		free(c[p].by_month);
		free(c[p].flying);
		free(c[p].window.at);
	}
}

/* Makes room for one more arrival in the ring. */
static void grow(struct window *w)
{
	size_t cap = w->cap ? w->cap * 2 : 64;
	uint64_t *at = bf_xcalloc(cap, sizeof(*at));

	for (size_t i = 0; i < w->n; i++)
		at[i] = w->at[(w->head + i) % w->cap];
	free(w->at);
	w->at = at;
	w->cap = cap;
	w->head = 0;
}

/* Counts an arrival; questions about the plan stand apart: nobody buys anything with them. */
size_t counters_arrival(struct counters *c, uint64_t now_us, bool asks_plan)
{
	struct window *w = &c->window;

	if (asks_plan)
		c->plan_requests++;
	else
		c->requests++;
	while (w->n && w->at[w->head] + SECOND_US <= now_us) {
		w->head = (w->head + 1) % w->cap;
		w->n--;
	}
	if (w->n == w->cap)
		grow(w);
	w->at[(w->head + w->n++) % w->cap] = now_us;
	if (w->n > w->peak)
		w->peak = w->n;
	return w->n;
}

/* One provider's figures. */
static void print_one(struct bf_jw *jw, const struct counters *c)
{
	char key[16];

	write_open(jw, NULL, '{');
	write_int(jw, "requests", (int64_t)c->requests);
	write_int(jw, "plan_requests", (int64_t)c->plan_requests);
	write_int(jw, "units", (int64_t)c->units);
	write_int(jw, "peak_per_second", (int64_t)c->window.peak);
	write_int(jw, "in_flight", (int64_t)c->in_flight);
	write_open(jw, "by_status", '{');
	for (int s = 0; s < (int)BF_COUNT(c->by_status); s++) {
		if (!c->by_status[s])
			continue;
		snprintf(key, sizeof(key), "%d", s);
		write_int(jw, s == STATUS_NONE ? "none" : key, (int64_t)c->by_status[s]);
	}
	write_close(jw, '}');
	write_open(jw, "by_fault", '{');
	for (enum fault f = FAULT_NONE + 1; f < FAULTS; f++)
		if (c->by_fault[f])
			write_int(jw, fault_names[f], (int64_t)c->by_fault[f]);
	write_close(jw, '}');
	if (c->by_month) {
		write_open(jw, "by_month", '{');
		for (int m = 0; m < CATALOGUE_MONTHS; m++) {
			if (!c->by_month[m])
				continue;
			snprintf(key, sizeof(key), "%04d-%02d", CATALOGUE_YEAR0 + m / 12,
				m % 12 + 1);
			write_int(jw, key, c->by_month[m]);
		}
		write_close(jw, '}');
	}
	write_close(jw, '}');
}

/* All figures: under the providers' names, and once more below `providers`, as /_control has
 * them. */
void counters_print(const struct counters c[BF_NPROVIDERS], bool overlap_seen, struct bf_buf *out)
{
	struct bf_jw jw;

	bf_jw_init(&jw, out);
	write_open(&jw, NULL, '{');
	bf_jw_key(&jw, "overlap_seen");
	bf_jw_bool(&jw, overlap_seen);
	for (int p = 0; p < BF_NPROVIDERS; p++) {
		bf_jw_key(&jw, bf_provider_names[p]);
		print_one(&jw, &c[p]);
	}
	write_open(&jw, "providers", '{');
	for (int p = 0; p < BF_NPROVIDERS; p++) {
		bf_jw_key(&jw, bf_provider_names[p]);
		print_one(&jw, &c[p]);
	}
	write_close(&jw, '}');
	write_close(&jw, '}');
	bf_buf_adds(out, "\n");
}
