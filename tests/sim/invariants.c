/*
 * invariants: rows, writes and what all of it adds up to. The counts of calls are in counts.c.
 */
#include "invariants.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "catalogue.h"
#include "counts.h"
#include "instance.h"
#include "plan.h"

#define LOOKS_MAX 256
/* How often an instance has seen a month without its owner's lock, in a row. */
struct look { int owner_id; struct bf_month_ref ref; int n; uint64_t pulse; };
struct fired { int64_t scheduled; char who[16]; int owner_id; };
static struct {
	struct look looks[LOOKS_MAX];
	int n_looks;
	struct bf_month_ref stuck[LOOKS_MAX];	/* of the rescue that is being done */
	int n_stuck, n_events;
	uint64_t n_pulses, version;
	struct fired fired[LOOKS_MAX];
	int n_fired;
	uint64_t held_us[SIM_MONTHS_MAX];	/* by row: when its lock was last seen held */
} inv;

void inv_begin(void)
{
	inv.n_looks = inv.n_fired = inv.n_events = 0;
	inv.n_pulses = 0;
	memset(inv.held_us, 0, sizeof inv.held_us);
	inv.version = UINT64_MAX;
	counts_begin();
	audits_begin();
}

void inv_release(void)
{
	counts_release();
}

/* ---- writes of many ---- */
/* What is found is what the catalogue has, and only an owner writes it. */
void audit_flush(const struct bf_flush *f)
{
	counts_flush_applied(f);
	for (int i = 0; i < f->n_resolutions; i++) {
		const struct bf_resolution *r = &f->resolutions[i];
		const struct mcand *c = r->candidate_id >= 1 && r->candidate_id <= w.model->cands.n
			? &w.model->cands.v[r->candidate_id - 1]
			: NULL;
		const char *isbn = c ? catalogue_isbn(c->book.title) : NULL;

		if (!c || r->state != BF_CAND_RESOLVED)
			continue;
		if (!isbn || strcmp(isbn, r->isbn13) != 0)
			sim_fail("%d-%02d: %s has the ISBN %s", r->ref.year, r->ref.month,
				c->book.title, r->isbn13);
	}
}

void audit_claimed(const char *who, const struct bf_claim *claim)
{
	for (int i = 0; i < claim->n; i++) {
		const struct bf_month_row *r = &claim->rows[i];

		sim_trace("    %s takes %d-%02d fence %lld stage %s from %s", who, r->ref.year,
			r->ref.month, (long long)r->ref.fence, r->stage[0] ? r->stage : "new",
			r->claimed_from);
		if (model_paused(w.model))
			sim_fail("%d-%02d: claimed during a pause", r->ref.year, r->ref.month);
	}
}

/* ---- orphans: two looks ---- */
static bool same(const struct bf_month_ref *a, const struct bf_month_ref *b)
{
	return a->year == b->year && a->month == b->month && a->fence == b->fence;
}

void audit_pulse(int owner_id, const struct bf_pulse *p)
{
	uint64_t now = ++inv.n_pulses;
	int kept = 0;

	for (int i = 0; i < p->n_orphans; i++) {
		struct look *l = NULL;

		for (int j = 0; j < inv.n_looks && !l; j++)
			if (inv.looks[j].owner_id == owner_id &&
				same(&inv.looks[j].ref, &p->orphans[i].ref))
				l = &inv.looks[j];
		if (!l && inv.n_looks < LOOKS_MAX) {
			l = &inv.looks[inv.n_looks++];
			*l = (struct look){ .owner_id = owner_id, .ref = p->orphans[i].ref };
		}
		if (l) {
			l->n++;
			l->pulse = now;
		}
	}
	for (int i = 0; i < inv.n_looks; i++) /* seen by this pulse, or another instance's */
		if (inv.looks[i].owner_id != owner_id || inv.looks[i].pulse == now)
			inv.looks[kept++] = inv.looks[i];
	inv.n_looks = kept;
}

void audit_rescue(const struct caller *by, const struct bf_month_ref *refs, int n, int64_t stuck_ms)
{
	inv.n_stuck = 0;
	for (int i = 0; i < n; i++) {
		const struct mrow *row = model_row(w.model, refs[i].year, refs[i].month);
		int looks = 0;

		if (!row || row->fence != refs[i].fence || row->status != M_PROCESSING)
			continue;
		if (model_stuck(w.model, row, stuck_ms)) {
			if (inv.n_stuck < LOOKS_MAX)
				inv.stuck[inv.n_stuck++] = refs[i];
			continue;
		}
		for (int j = 0; j < inv.n_looks; j++)
			if (inv.looks[j].owner_id == by->owner_id &&
				same(&inv.looks[j].ref, &refs[i]))
				looks = inv.looks[j].n;
		if (looks < 2)
			sim_fail("%d-%02d: taken up after %d look", refs[i].year, refs[i].month, looks);
		if (w.model->now_us - w.model->server_started_us < 5000000)
			sim_fail("%d-%02d: taken up %lld ms after the server started", refs[i].year,
				refs[i].month,
				(long long)(w.model->now_us - w.model->server_started_us) / 1000);
	}
}

/* Only who makes no progress is robbed while his lock is held. */
void audit_rescued(const struct caller *by, const struct bf_claim *claim)
{
	for (int i = 0; i < claim->n; i++) {
		const struct bf_month_ref *ref = &claim->rows[i].ref;
		bool stuck = false;

		for (int j = 0; j < inv.n_stuck; j++)
			stuck = stuck || (inv.stuck[j].year == ref->year &&
						 inv.stuck[j].month == ref->month);
		if (!stuck && model_lock_holder(w.model, 1, ref->year * 12 + ref->month - 1) !=
				      by->session)
			sim_fail("%d-%02d: taken up although its lock is held", ref->year,
				ref->month);
	}
}

/* A run of the timer is one instance's. */
void audit_timer(const char *who, int owner_id, int64_t scheduled)
{
	for (int i = 0; i < inv.n_fired; i++)
		if (inv.fired[i].scheduled == scheduled &&
			(inv.fired[i].owner_id != owner_id || strcmp(inv.fired[i].who, who) != 0))
			sim_fail("the run of %lld is %s's and %s's", (long long)scheduled,
				inv.fired[i].who, who);
	if (inv.n_fired == LOOKS_MAX)
		inv.n_fired = 0;
	inv.fired[inv.n_fired].scheduled = scheduled;
	inv.fired[inv.n_fired].owner_id = owner_id;
	strlcpy(inv.fired[inv.n_fired++].who, who, sizeof inv.fired[0].who);
}

/* ---- rows ---- */
static bool working(const char *stage)
{
	static const char *const stages[] = { "generating", "saving", "resolving", "queueing" };

	for (size_t i = 0; i < BF_COUNT(stages); i++)
		if (!strcmp(stage, stages[i]))
			return true;
	return false;
}

static void look_at_row(const struct mrow *r)
{
	const char *wrong = NULL;

	if (r->status == M_COMPLETED ? strcmp(r->stage, "completed") != 0
				     : !r->stage_null && !working(r->stage) &&
				       strcmp(r->stage, "claimed") != 0 &&
				       !(r->claimed_from >= 0 && !strcmp(r->stage, "completed")))
		wrong = "the stage does not go with the status";
	else if (r->retry_count < 0 || r->retry_count > 5)
		wrong = "attempts outside of 0 to 5";
	else if ((r->status == M_COMPLETED || r->status == M_FAILED) != (r->completed_at != 0))
		wrong = "completed_at does not go with the status";
	else if (r->status == M_FAILED && (!r->error || !r->error[0]) && r->claimed_from != M_FAILED)
		wrong = "failed without a reason";
	else if (r->status == M_RETRY && !r->next_at)
		wrong = "to be tried again, and nobody says when";
	else if (r->queued > r->resolved || r->resolved > r->generated)
		wrong = "more queued than resolved, or more resolved than named";
	else if (r->status == M_PROCESSING && !r->job)
		wrong = "in processing without a job";
	if (wrong)
		sim_fail("%d-%02d (%s, stage %s): %s", r->year, r->month,
			model_status_names[r->status], r->stage, wrong);
}

/* A retry that is due does not wait for the timer where somebody has room for it, and nobody has still its lock. */
static void look_at_retries(void)
{
	const struct inst *idle = NULL;

	if (!w.calm || w.now_us - w.calm_us < 15000000)
		return;
	for (int i = 0; i < SIM_INSTANCES && !idle; i++)
		if (w.inst[i] && !inst_draining(w.inst[i]) && inst_idle_us(w.inst[i]) > 15000000)
			idle = w.inst[i];
	for (int i = 0; idle && i < w.model->rows.n; i++) {
		const struct mrow *r = &w.model->rows.v[i];

		if (model_lock_holder(w.model, 1, r->year * 12 + r->month - 1))
			inv.held_us[i % SIM_MONTHS_MAX] = w.now_us;
		if (r->status == M_RETRY && r->next_at < w.model->now_us - 15000000 &&
			w.now_us - inv.held_us[i % SIM_MONTHS_MAX] > 15000000)
			sim_fail("%d-%02d is due since %lld s, and %s has room for it", r->year,
				r->month, (long long)(w.model->now_us - r->next_at) / 1000000,
				inst_name(idle));
	}
}

/* At most one instance holds the month under the fence that counts. */
static void look_at_owners(void)
{
	static int owners[SIM_MONTHS_MAX * 4];
	struct bf_month_ref refs[128];

	memset(owners, 0, sizeof owners);
	for (int i = 0; i < SIM_INSTANCES; i++) {
		int n = w.inst[i] ? bf_months_refs(inst_months(w.inst[i]), refs, 128, false) : 0;

		for (int j = 0; j < n; j++) {
			const struct mrow *row = model_row(w.model, refs[j].year, refs[j].month);
			int at = row ? (int)(row - w.model->rows.v) : -1;

			if (row && row->fence == refs[j].fence && row->status == M_PROCESSING &&
				at < (int)BF_COUNT(owners) && ++owners[at] > 1)
				sim_fail("%d-%02d has two owners under fence %lld", row->year,
					row->month, (long long)row->fence);
		}
	}
}

/* Steps are unique within their fence. */
static void look_at_events(void)
{
	for (; inv.n_events < w.model->events.n; inv.n_events++) {
		const struct mevent *e = &w.model->events.v[inv.n_events];

		for (int j = 0; j < inv.n_events; j++) {
			const struct mevent *o = &w.model->events.v[j];

			if (o->step == e->step && o->fence == e->fence && o->month == e->month &&
				o->year == e->year)
				sim_fail("%d-%02d: event %s: step %d of fence %lld was there before",
					e->year, e->month, e->event, e->step, (long long)e->fence);
		}
	}
}

static void look_at_instance(const struct inst *inst)
{
	int most = plan.config[0].scheduler.concurrent_months, flying;
	struct bf_month_figures f;

	if (plan.config[1].scheduler.concurrent_months > most)
		most = plan.config[1].scheduler.concurrent_months;
	bf_months_figures(inst_months(inst), &f);
	flying = bf_months_in_flight(inst_months(inst));
	if (f.bugs)
		sim_fail("%s met an event that the table calls impossible", inst_name(inst));
	if (flying > most)
		sim_fail("%s has %d months in flight, %d may be", inst_name(inst), flying, most);
}

void inv_look(void)
{
	if (inv.version == w.model->version)
		return;
	inv.version = w.model->version;
	for (int i = 0; i < w.model->rows.n; i++)
		look_at_row(&w.model->rows.v[i]);
	look_at_owners();
	look_at_retries();
	counts_look();
	look_at_events();
	for (int i = 0; i < SIM_INSTANCES; i++)
		if (w.inst[i])
			look_at_instance(w.inst[i]);
}

/* ---- the end ---- */
/* Transitions in the order of their commits: each goes on where the former ended. */
static void look_at_chain(const struct mrow *row)
{
	const char *at = "pending";
	int64_t fence = 0;

	for (int i = 0; i < w.model->events.n; i++) {
		const struct mevent *e = &w.model->events.v[i];
		const char *wrong = NULL;

		if (e->year != row->year || e->month != row->month)
			continue;
		if (e->fence < fence)
			wrong = "its fence is behind";
		else if (e->fence > fence && strcmp(e->event, "claimed") != 0 &&
			strcmp(e->event, "rescued") != 0 && strncmp(e->event, "operator_", 9) != 0)
			wrong = "nobody has claimed this fence";
		else if (!strcmp(e->event, "answered"))
			wrong = strcmp(at, "generating") ? "an answer outside of generating" : NULL;
		else if (strcmp(e->event, "rescued") != 0 && strcmp(e->event, "by_hand") != 0 &&
			strcmp(e->event, "operator_cancel") != 0 && strcmp(e->from, at) != 0)
			wrong = "it does not begin where the last one ended";
		if (wrong)
			sim_fail("%d-%02d: event %s (%s -> %s, fence %lld, step %d) after %s: %s",
				e->year, e->month, e->event, e->from, e->to, (long long)e->fence,
				e->step, at, wrong);
		fence = e->fence;
		if (!strcmp(e->event, "claimed") || !strcmp(e->event, "rescued"))
			at = "claimed";
		else if (strcmp(e->event, "answered") != 0)
			at = e->to;
	}
	if (strcmp(at, model_status_names[row->status]) != 0)
		sim_fail("%d-%02d is %s, and its events end in %s", row->year, row->month,
			model_status_names[row->status], at);
}

static int times_queued(const char *isbn13)
{
	int n = 0;

	for (int i = 0; i < w.model->items.n; i++)
		n += !strcmp(w.model->items.v[i].isbn13, isbn13);
	return n;
}

/* A completed month: its ISBNs are in the queue once each, its figures are those of its books. */
static void look_at_books(const struct mrow *row)
{
	int books = 0, isbns = 0;

	for (int i = 0; i < w.model->cands.n; i++) {
		const struct mcand *c = &w.model->cands.v[i];

		if (c->gone || c->year != row->year || c->month != row->month ||
			c->state == BF_CAND_MERGED)
			continue;
		books++;
		isbns += c->isbn13[0] != '\0';
		if (c->state == BF_CAND_NEW)
			sim_fail("%d-%02d is completed, and %s was not looked up", row->year,
				row->month, c->book.title);
		if (c->isbn13[0] && times_queued(c->isbn13) != 1)
			sim_fail("%d-%02d: %s is %d times in the queue", row->year, row->month,
				c->isbn13, times_queued(c->isbn13));
		for (int j = 0; j < i && c->isbn13[0]; j++) {
			const struct mcand *o = &w.model->cands.v[j];

			if (!o->gone && o->year == c->year && o->month == c->month &&
				o->state != BF_CAND_MERGED && !strcmp(o->isbn13, c->isbn13))
				sim_fail("%d-%02d: two candidates with %s", row->year, row->month,
					c->isbn13);
		}
	}
	if (row->generated != books || row->resolved != isbns ||
		(books && fabs(row->rate - 100.0 * isbns / books) > 0.006))
		sim_fail("%d-%02d: figures %d/%d (%.2f), books %d/%d", row->year, row->month,
			row->generated, row->resolved, row->rate, books, isbns);
}

void inv_end(void)
{
	for (int i = 0; i < w.model->rows.n; i++) {
		const struct mrow *row = &w.model->rows.v[i];

		if (row->status != M_COMPLETED && row->status != M_FAILED)
			sim_fail("%d-%02d is %s at the end", row->year, row->month,
				model_status_names[row->status]);
		if (row->status == M_COMPLETED)
			look_at_books(row);
		look_at_chain(row);
	}
	for (int i = 0; i < w.model->answers.n; i++)
		if (w.model->answers.v[i].n_written != 1)
			sim_fail("%d-%02d: %s's answer of round %d was stored %d times",
				w.model->answers.v[i].year, w.model->answers.v[i].month,
				bf_provider_names[w.model->answers.v[i].provider],
				w.model->answers.v[i].round, w.model->answers.v[i].n_written);
	if (w.model->locks.n)
		sim_fail("%d locks are left without an owner", w.model->locks.n);
	counts_end();
}
