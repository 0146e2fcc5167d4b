/*
 * audits: each write of a month, seen before and after: whose it was, what it moved, and whether that is what it says.
 */
#include <string.h>
#include "counts.h"
#include "instance.h"
#include "invariants.h"
#include "plan.h"
#include "../../src/month/machine.h"

struct audit audit_begin(const struct bf_step *s)
{
	const struct mrow *row = model_row(w.model, s->ref.year, s->ref.month);

	return (struct audit){ .step = s,
		.had = model_has_step(w.model, s),
		.mine = row && row->fence == s->ref.fence && row->status == M_PROCESSING,
		.retry_count = row ? row->retry_count : 0,
		.n_events = w.model->events.n };
}

/* ---- what is stored of a month ---- */
static bool has_books(const struct mrow *row)
{
	for (int i = 0; i < w.model->cands.n; i++) {
		const struct mcand *k = &w.model->cands.v[i];

		if (!k->gone && k->year == row->year && k->month == row->month)
			return true;
	}
	return false;
}

/* Answers of the row's round; good: those that name books. */
static int answers_of(const struct mrow *row, bool good)
{
	int n = 0;

	for (int i = 0; i < w.model->answers.n; i++) {
		const struct manswer *a = &w.model->answers.v[i];

		n += a->year == row->year && a->month == row->month && a->round == row->round &&
			(!good || !strcmp(a->a.outcome, "ok"));
	}
	return n;
}

/* ---- what a written move must have done ---- */
static const char *wrong_with(const struct audit *a, const struct mrow *row)
{
	static const struct { const char *event; enum mstatus status; int counted; } ends[] = {
		{ "failure", M_RETRY, 1 }, { "attempts_spent", M_FAILED, 1 },
		{ "outage", M_RETRY, 0 }, { "hopeless", M_FAILED, 0 },
		{ "counted", M_COMPLETED, 0 },
	};
	const char *event = a->step->event ? a->step->event : "";

	for (size_t i = 0; i < BF_COUNT(ends); i++) {
		if (strcmp(event, ends[i].event) != 0)
			continue;
		if (row->status != ends[i].status)
			return "the status is not what the event says";
		if (row->retry_count != a->retry_count + ends[i].counted)
			return "the attempt was not counted, or ought not to be";
		return NULL;
	}
	if (row->retry_count != a->retry_count)
		return "an attempt was counted, and none has failed";
	if (!strcmp(event, "books_named") && !answers_of(row, true))
		return "goes on without a stored answer that names books";
	if (has_books(row) && (!strcmp(a->step->to, "generating") || !strcmp(a->step->to, "saving")))
		return "its books are stored, and it begins again";
	return NULL;
}

void audit_end(const struct audit *a, enum bf_store_outcome outcome)
{
	const struct bf_step *s = a->step;
	const struct mrow *row = model_row(w.model, s->ref.year, s->ref.month);
	int written = w.model->events.n - a->n_events;
	const char *wrong = written && row ? wrong_with(a, row) : NULL;

	sim_trace("    %d-%02d fence %lld step %d %s: %s -> %s: %s", s->ref.year, s->ref.month,
		(long long)s->ref.fence, s->step, s->event ? s->event : "", s->from, s->to,
		outcome == BF_STORE_DONE ? (a->had ? "was done" : "done") : "not mine");
	if (written && !a->mine)
		wrong = "a write behind a stale fence was applied";
	if (written && a->had)
		wrong = "a step was written twice";
	if (wrong)
		sim_fail("%d-%02d: %s (%s, fence %lld, step %d)", s->ref.year, s->ref.month, wrong,
			s->event ? s->event : "", (long long)s->ref.fence, s->step);
}

/* ---- failures ---- */
/* Losing the database is no attempt. */
static bool blames_the_database(const char *error)
{
	static const char *const words[] = { "connection lost", "deadlock", "server closed",
		"lock session lost", "no session for" };

	for (size_t i = 0; error && i < BF_COUNT(words); i++)
		if (strstr(error, words[i]))
			return true;
	return false;
}

/* How often in a row it could ask nobody, before now. */
static int outages_before(const struct mrow *row)
{
	int n = 0;

	for (int i = w.model->events.n - 1; i >= 0; i--) {
		const struct mevent *e = &w.model->events.v[i];

		if (e->year != row->year || e->month != row->month)
			continue;
		if (!strcmp(e->event, "outage"))
			n++;
		else if (strcmp(e->event, "claimed") != 0 && strcmp(e->event, "rescued") != 0 &&
			strcmp(e->event, "resume_resolving") != 0 && strcmp(e->event, "release") != 0 &&
			strcmp(e->event, "by_hand") != 0)
			return n;
	}
	return n;
}

/* A counted failure waits base * 2^(n-1), capped, give or take a fifth; so does the n-th outage in a row. */
static bool waits_well(const struct mrow *row, const struct bf_failure *f)
{
	int64_t ms = plan.config[0].scheduler.retry_base_ms,
		cap = plan.config[0].scheduler.retry_cap_ms;
	int n = f->counted ? row->retry_count : outages_before(row);

	for (int i = 0; i < n && ms < cap; i++)
		ms *= 2;
	if (ms > cap)
		ms = cap;
	return f->wait_ms >= ms * 8 / 10 - 1 && f->wait_ms <= ms * 12 / 10 + 1;
}

/* ---- what a pulse has told ---- */
int audit_stale(const struct bf_month_ref *refs, int n, struct bf_month_ref *stale)
{
	int n_stale = 0;

	for (int i = 0; i < n; i++) {
		const struct mrow *row = model_row(w.model, refs[i].year, refs[i].month);

		if (!row || row->fence != refs[i].fence || row->status != M_PROCESSING)
			stale[n_stale++] = refs[i];
	}
	return n_stale;
}

/* Only one whose own write is under way is kept: that will tell. */
void audit_dropped(const struct inst *inst, const struct bf_month_ref *stale, int n)
{
	const struct month *m;

	TAILQ_FOREACH (m, &inst_months(inst)->list, link)
		for (int i = 0; i < n; i++)
			if (!m->row.dry_run && !m->move && m->row.ref.year == stale[i].year &&
				m->row.ref.month == stale[i].month &&
				m->row.ref.fence == stale[i].fence)
				sim_fail("%d-%02d: %s keeps fence %lld, which its pulse found stale",
					stale[i].year, stale[i].month, inst_name(inst),
					(long long)stale[i].fence);
}

/* What the month's own write has ended is not lost, and counts as what it became. A drain's last call asks nobody. */
void audit_loses(const struct month *m)
{
	const struct mrow *row = model_row(w.model, m->row.ref.year, m->row.ref.month);

	if (row && m->move && !m->row.dry_run && !m->set->draining &&
		row->fence == m->row.ref.fence && row->status != M_PROCESSING &&
		model_has_step(w.model, &m->move_step))
		sim_fail("%d-%02d: given up as lost, and its own write has ended it as %s", row->year,
			row->month, model_status_names[row->status]);
}

/* ---- who has been told that a month is lost ---- */
static struct { uint64_t born; struct bf_month_ref ref; } lost[256];
static unsigned n_lost;

void audit_told(const struct inst *inst, const struct bf_step *s, enum bf_store_outcome outcome)
{
	if (outcome == BF_STORE_DONE)
		return;
	lost[n_lost % BF_COUNT(lost)].born = inst_born(inst);
	lost[n_lost++ % BF_COUNT(lost)].ref = s->ref;
}

void audit_writes(const struct inst *inst, const struct bf_step *s)
{
	for (unsigned i = 0; i < BF_COUNT(lost) && i < n_lost; i++)
		if (lost[i].born == inst_born(inst) && lost[i].ref.year == s->ref.year &&
			lost[i].ref.month == s->ref.month && lost[i].ref.fence == s->ref.fence)
			sim_fail("%d-%02d: %s writes on after it was told that fence %lld is lost",
				s->ref.year, s->ref.month, inst_name(inst), (long long)s->ref.fence);
}

void audits_begin(void)
{
	n_lost = 0;
}

void audit_failure(const struct bf_step *s, const struct bf_failure *f)
{
	const struct mrow *row = model_row(w.model, s->ref.year, s->ref.month);
	const char *wrong = NULL;

	if (!row || row->fence != s->ref.fence || row->status != M_PROCESSING || f->permanent ||
		model_has_step(w.model, s))
		return;
	if (!waits_well(row, f))
		wrong = "does not wait as long as it should";
	else if (has_books(row) && strcmp(f->resume_stage, "resolving") != 0 &&
		strcmp(f->resume_stage, "queueing") != 0)
		wrong = "its books are stored, and it goes back";
	else if (!f->error || !f->error[0])
		wrong = "fails without a reason";
	else if (f->counted && blames_the_database(f->error))
		wrong = "the database's loss is counted as an attempt";
	else if (!strcmp(s->from, "generating") && f->next_round && answers_of(row, true))
		wrong = "fails although an AI has named books";
	else if (!strcmp(s->from, "generating") && f->next_round && !answers_of(row, false) &&
		!counts_ai_asked(&s->ref))
		wrong = "an attempt is counted, and no AI was asked";
	if (wrong)
		sim_fail("%d-%02d: %s (%s, attempt %d, %lld ms, stage %s)", s->ref.year,
			s->ref.month, wrong, f->error, row->retry_count + 1, (long long)f->wait_ms,
			f->resume_stage);
}
