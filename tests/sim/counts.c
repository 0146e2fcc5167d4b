/*
 * counts: units and calls, kept a second time. A unit that the database has granted to an instance is sent by it (then it is a
 * request of the month), given back by it, or lost with it. From that follows what a row must show: never less than was sent,
 * and exactly that plus what is known to be lost. Which month a request is for is seen on its way out of the gate (the linker's
 * --wrap).
 */
#include "counts.h"
#include <stdlib.h>
#include <string.h>
#include "catalogue.h"
#include "instance.h"
#include "invariants.h"
#include "plan.h"
#include "../../src/providers/gate_call.h"

struct grant { const struct inst *inst; enum bf_provider_id provider; struct bf_month_ref ref; int units; };
struct flight { uint64_t hi, lo; bool applied; struct bf_usage usage; };
struct account { int year, month; int64_t fence_of_reset, fence_of_ai; int sent[BF_NPROVIDERS], lost[BF_NPROVIDERS]; };
static struct {
	MLIST(grant) grants;
	MLIST(flight) flights;		/* of units given back */
	MLIST(account) accounts;
	int64_t sent[BF_NPROVIDERS], units_lost[BF_NPROVIDERS];
	uint64_t lost_all, lost_late;	/* of all seeds: units nobody could be relieved of */
} c;

void counts_begin(void)
{
	c.grants.n = c.flights.n = c.accounts.n = 0;
	memset(c.sent, 0, sizeof c.sent);
	memset(c.units_lost, 0, sizeof c.units_lost);
}

void counts_release(void)
{
	free(c.grants.v);
	free(c.flights.v);
	free(c.accounts.v);
	memset(&c, 0, sizeof c);
}

static struct account *account_of(int year, int month)
{
	struct account *t;

	for (int i = 0; i < c.accounts.n; i++)
		if (c.accounts.v[i].year == year && c.accounts.v[i].month == month)
			return &c.accounts.v[i];
	t = MODEL_ADD(&c, accounts);
	t->year = year;
	t->month = month;
	return t;
}

/* ---- granted, given back, lost ---- */
void inv_granted(struct inst *inst, enum bf_provider_id p, const struct bf_month_ref *ref, int units)
{
	struct grant *g = MODEL_ADD(&c, grants);

	*g = (struct grant){ inst, p, *ref, units };
}

/* Of a month's count; of_day: of the day's, too. */
static void lose(enum bf_provider_id p, const struct bf_month_ref *ref, int units, bool of_day)
{
	struct account *t;

	c.units_lost[p] += of_day ? units : 0;
	if (!ref->year || !units)
		return;
	t = account_of(ref->year, ref->month);
	if (ref->fence > t->fence_of_reset)
		t->lost[p] += units;
	c.lost_all += (uint64_t)units;
}

void inv_units_lost(enum bf_provider_id p, const struct bf_month_ref *ref, int units)
{
	lose(p, ref, units, true);
}

/* Takes units of this ref from what the instance has been granted. */
static int take_back(const struct inst *inst, enum bf_provider_id p, const struct bf_month_ref *ref, int units)
{
	for (int i = 0; i < c.grants.n && units > 0; i++) {
		struct grant *g = &c.grants.v[i];
		int n;

		if (g->inst != inst || g->provider != p || g->ref.year != ref->year ||
			g->ref.month != ref->month || g->ref.fence != ref->fence)
			continue;
		n = g->units < units ? g->units : units;
		g->units -= n;
		units -= n;
		if (!g->units)
			c.grants.v[i--] = c.grants.v[--c.grants.n];
	}
	return units;
}

void inv_flush_begins(struct inst *inst, const struct bf_flush *f)
{
	for (int i = 0; i < c.flights.n; i++)
		if (c.flights.v[i].hi == f->flush_id_hi && c.flights.v[i].lo == f->flush_id_lo)
			return; /* repeated */
	for (int i = 0; i < f->n_usage; i++) {
		const struct bf_usage *u = &f->usage[i];
		struct bf_month_ref ref = { u->year, u->month, u->fence };
		struct flight *to;

		if (!u->units_unused)
			continue;
		if (take_back(inst, u->provider, &ref, u->units_unused) > 0)
			sim_fail("%s gives back %d units of %s that it does not have",
				inst_name(inst), u->units_unused, bf_provider_names[u->provider]);
		to = MODEL_ADD(&c, flights);
		*to = (struct flight){ f->flush_id_hi, f->flush_id_lo, false, *u };
	}
}

/* What it would have given back is its own again: it may go with another flush. */
void inv_flush_busy(struct inst *inst, const struct bf_flush *f)
{
	for (int i = 0; i < c.flights.n; i++) {
		const struct bf_usage *u = &c.flights.v[i].usage;
		struct bf_month_ref ref = { u->year, u->month, u->fence };

		if (c.flights.v[i].hi != f->flush_id_hi || c.flights.v[i].lo != f->flush_id_lo)
			continue;
		inv_granted(inst, u->provider, &ref, u->units_unused);
		c.flights.v[i--] = c.flights.v[--c.flights.n];
	}
}

void counts_flush_applied(const struct bf_flush *f)
{
	for (int i = 0; i < c.flights.n; i++)
		if (c.flights.v[i].hi == f->flush_id_hi && c.flights.v[i].lo == f->flush_id_lo)
			c.flights.v[i].applied = true;
}

/* What it was granted and neither sent nor gave back. */
void inv_instance_gone(struct inst *inst, bool in_order)
{
	for (int i = 0; i < c.grants.n; i++) {
		struct grant *g = &c.grants.v[i];

		if (g->inst != inst)
			continue;
		if (in_order)
			sim_fail("%s has left and kept %d units of %s for %d-%02d", inst_name(inst),
				g->units, bf_provider_names[g->provider], g->ref.year, g->ref.month);
		lose(g->provider, &g->ref, g->units, true);
		c.grants.v[i--] = c.grants.v[--c.grants.n];
	}
}

void inv_taken(struct inst *inst, const struct bf_month_row *rows, int n)
{
	(void)inst;
	for (int i = 0; i < n; i++)
		if (!rows[i].dry_run)
			account_of(rows[i].ref.year, rows[i].ref.month);
}

void inv_reset(int year, int month)
{
	const struct mrow *row = model_row(w.model, year, month);
	struct account *t = account_of(year, month);

	memset(t->sent, 0, sizeof t->sent);
	memset(t->lost, 0, sizeof t->lost);
	t->fence_of_reset = row->fence;
}

/* ---- sent ---- */
static int calls_of(const struct mrow *row, enum bf_provider_id p)
{
	return p == BF_GEMINI ? row->gemini : p == BF_XAI ? row->xai : row->isbndb;
}

static void count_sent(const struct grant *g)
{
	const struct mrow *row = model_row(w.model, g->ref.year, g->ref.month);
	struct account *t;

	c.sent[g->provider]++;
	if (!g->ref.year)
		return;
	t = account_of(g->ref.year, g->ref.month);
	if (g->ref.fence <= t->fence_of_reset || !row)
		return;
	t->sent[g->provider]++;
	if (calls_of(row, g->provider) < t->sent[g->provider])
		sim_fail("%d-%02d shows %d calls of %s, and %d were sent", g->ref.year, g->ref.month,
			calls_of(row, g->provider), bf_provider_names[g->provider],
			t->sent[g->provider]);
}

/* The call that is being sent, as the gate has it: whose month its unit was counted for. */
static const struct gate_call *sending;
static bool counted;

void __real_call_send(struct gate_call *, uint64_t);
void __wrap_call_send(struct gate_call *, uint64_t);

void __wrap_call_send(struct gate_call *call, uint64_t due_us)
{
	sending = call;
	counted = call->reserved;
	__real_call_send(call, due_us);
	sending = NULL;
}

static bool find_grant(const struct inst *inst, enum bf_provider_id p, struct grant *ret)
{
	struct bf_month_ref ref = { 0 };

	if (!sending)
		return false;
	if (!sending->ask.dry_run)
		ref = sending->ask.ref;
	*ret = (struct grant){ inst, p, ref, 1 };
	return take_back(inst, p, &ref, 1) == 0;
}

static void must_have_locks(const struct inst *inst, enum bf_provider_id p)
{
	if (!inst_may_pay(inst))
		sim_fail("%s sends a paid request to %s without its locks", inst_name(inst),
			bf_provider_names[p]);
}

void inv_ai_sent(struct inst *inst, enum bf_provider_id p, int year, int month)
{
	const struct mrow *row = model_row(w.model, year, month);
	struct grant g;

	must_have_locks(inst, p);
	if (!find_grant(inst, p, &g)) {
		sim_fail("%s asks %s about %d-%02d, which was not counted", inst_name(inst),
			bf_provider_names[p], year, month);
		return;
	}
	count_sent(&g);
	if (g.ref.year && g.ref.fence > account_of(year, month)->fence_of_ai)
		account_of(year, month)->fence_of_ai = g.ref.fence;
	for (int i = 0; g.ref.year && row && row->fence == g.ref.fence && i < w.model->answers.n; i++) {
		const struct manswer *a = &w.model->answers.v[i];

		if (a->year == year && a->month == month && a->round == row->round && a->provider == p)
			sim_fail("%s buys %s's answer about %d-%02d again", inst_name(inst),
				bf_provider_names[p], year, month);
	}
}

bool counts_ai_asked(const struct bf_month_ref *ref)
{
	return account_of(ref->year, ref->month)->fence_of_ai == ref->fence;
}

/* A book whose ISBN is written is not looked up again by the month's owner. */
static void must_be_new(const struct grant *g, int book)
{
	const struct mrow *row = model_row(w.model, g->ref.year, g->ref.month);

	if (!row || row->fence != g->ref.fence)
		return;
	for (int i = 0; i < w.model->cands.n; i++) {
		const struct mcand *k = &w.model->cands.v[i];

		if (!k->gone && k->year == row->year && k->month == row->month &&
			k->state == BF_CAND_RESOLVED && !strcmp(k->book.title, catalogue.v[book].title))
			sim_fail("%d-%02d: %s is looked up again", row->year, row->month,
				k->book.title);
	}
}

void inv_search_sent(struct inst *inst, enum bf_provider_id p, int book)
{
	const struct cat_book *b = &catalogue.v[book];
	struct grant g;

	if (p != BF_ISBNDB) {
		c.sent[p]++;
		if (counted && !find_grant(inst, p, &g))
			sim_fail("%s asks %s with a unit that it does not have", inst_name(inst),
				bf_provider_names[p]);
		return;
	}
	must_have_locks(inst, p);
	if (!find_grant(inst, p, &g)) {
		sim_fail("%s asks %s about %s, which was not counted", inst_name(inst),
			bf_provider_names[p], b->title);
		return;
	}
	count_sent(&g);
	must_be_new(&g, book);
}

/* ---- limits ---- */
void audit_reserve(enum bf_provider_id p, int limit, int reserve, const struct bf_reserve *v,
	const struct bf_reserved *got, int n)
{
	int64_t granted = 0;

	for (int i = 0; i < n; i++) {
		const struct mrow *row =
			v[i].ref.year ? model_row(w.model, v[i].ref.year, v[i].ref.month) : NULL;

		granted += got->granted[i];
		if (got->granted[i] && v[i].ref.year &&
			(!row || row->fence != v[i].ref.fence || row->status != M_PROCESSING))
			sim_fail("units for %d-%02d behind a stale fence", v[i].ref.year,
				v[i].ref.month);
	}
	if (limit > 0 && granted > 0 && got->used > limit - reserve)
		sim_fail("%s: %lld units used, %d - %d may be", bf_provider_names[p],
			(long long)got->used, limit, reserve);
}

void counts_look(void)
{
	for (int p = 0; p < BF_NPROVIDERS; p++) {
		int64_t used = 0;

		if (p > BF_GOOGLE_BOOKS || !c.sent[p])
			continue;
		for (int i = 0; i < w.model->quotas.n; i++)
			if (w.model->quotas.v[i].provider == (enum bf_provider_id)p)
				used += w.model->quotas.v[i].used;
		if (p != BF_GOOGLE_BOOKS && used < c.sent[p])
			sim_fail("%s: %lld units counted, %lld sent", bf_provider_names[p],
				(long long)used, (long long)c.sent[p]);
	}
}

/* ---- the end ---- */
static void exact(const struct mrow *row)
{
	const struct account *t = account_of(row->year, row->month);

	for (int p = 0; p <= BF_ISBNDB; p++) {
		int calls = calls_of(row, (enum bf_provider_id)p);

		if (calls != t->sent[p] + t->lost[p])
			sim_fail("%d-%02d shows %d calls of %s; %d were sent, %d are known to be lost",
				row->year, row->month, calls, bf_provider_names[p], t->sent[p],
				t->lost[p]);
	}
}

/* Within one day: what was counted is what was sent and what is known to be lost. */
static void exact_day(enum bf_provider_id p)
{
	int64_t used = 0;
	int days = 0;

	for (int i = 0; i < w.model->quotas.n; i++)
		if (w.model->quotas.v[i].provider == p) {
			used += w.model->quotas.v[i].used;
			days++;
		}
	if (days == 1 && !w.model->refunds_after_midnight && used != c.sent[p] + c.units_lost[p])
		sim_fail("%s: %lld units used; %lld were sent, %lld are known to be lost",
			bf_provider_names[p], (long long)used, (long long)c.sent[p],
			(long long)c.units_lost[p]);
}

void counts_end(void)
{
	for (int i = 0; i < c.flights.n; i++) {
		const struct bf_usage *u = &c.flights.v[i].usage;

		if (!c.flights.v[i].applied)
			lose(u->provider, &(struct bf_month_ref){ u->year, u->month, u->fence },
				u->units_unused, true);
	}
	for (int i = 0; i < w.model->slack.n; i++) {
		lose(w.model->slack.v[i].provider, &w.model->slack.v[i].ref, w.model->slack.v[i].units,
			false);
		c.lost_late += (uint64_t)w.model->slack.v[i].units;
	}
	for (int i = 0; i < w.model->rows.n; i++)
		exact(&w.model->rows.v[i]);
	for (int p = 0; p <= BF_ISBNDB; p++)
		exact_day((enum bf_provider_id)p);
}

void inv_print(void)
{
	sim_trace("units lost: %llu, of these given back too late: %llu",
		(unsigned long long)c.lost_all, (unsigned long long)c.lost_late);
}
