/* The set of months this process holds: in flight up to concurrent_months, the others waiting their turn, claimed. */
#include "machine.h"
#include <stdlib.h>
#include <string.h>

/* After drain_timeout, how long a release may take before the month is left to be rescued by others. */
#define LAST_CALL_MS 5000

const char *const bf_stage_names[BF_STAGES] = { "claimed", "generating", "saving", "resolving",
	"queueing" };
const double bf_stage_bounds_s[BF_STAGE_BUCKETS] = { 0.1, 0.5, 1, 5, 10, 30, 60, 300, 1800, 1e300 };
_Static_assert(MONTH_QUEUEING == BF_STAGES - 1, "the stages are the first states");

struct bf_months *bf_months_new(struct bf_loop *loop, struct bf_store *store,
	struct bf_providers *providers, const struct bf_config *config, bf_months_ended *ended,
	void *ctx)
{
	struct bf_months *set = bf_xcalloc(1, sizeof *set);

	set->loop = loop;
	set->store = store;
	set->providers = providers;
	set->config = config;
	set->ended = ended;
	set->ended_ctx = ctx;
	TAILQ_INIT(&set->list);
	return set;
}

static void month_free(struct month *m)
{
	if (m->row.dry_run)
		bf_tally_free(m->set->providers, m->tally);
	free(m->detail);
	bf_arena_free(m->arena);
	free(m);
}

void bf_months_free(struct bf_months *set)
{
	struct month *m;

	if (!set)
		return;
	bf_op_cancel(set->drain_timer);
	while ((m = TAILQ_FIRST(&set->list))) {
		TAILQ_REMOVE(&set->list, m, link);
		month_drop_work(m);
		month_free(m);
	}
	free(set);
}

void bf_months_configure(struct bf_months *set, const struct bf_config *config)
{
	set->config = config;
	months_slot_free(set);
}

/* ---- counting ---- */
void months_count(struct month *m, enum month_state left, enum month_state entered)
{
	struct bf_month_figures *f = &m->set->figures;
	double s = (double)(bf_now_us() - m->since_us) / 1e6;
	int i = 0;

	f->transitions++;
	if ((int)left < BF_STAGES) {
		while (i < BF_STAGE_BUCKETS - 1 && s > bf_stage_bounds_s[i])
			i++;
		f->stage[left].bucket[i]++;
		f->stage[left].n++;
		f->stage[left].sum_s += s;
	}
	f->completed += entered == MONTH_COMPLETED;
	f->retried += entered == MONTH_RETRY;
	f->failed += entered == MONTH_FAILED;
	f->released += entered == MONTH_RELEASED;
	f->lost += entered == MONTH_LOST;
}

/* ---- slots ---- */
/* The stored stage decides where a month that was begun before goes on. */
static enum month_event first_event(const struct month *m)
{
	if (!strcmp(m->row.stage, "saving"))
		return MEV_AT_SAVING;
	if (!strcmp(m->row.stage, "resolving"))
		return MEV_AT_RESOLVING;
	if (!strcmp(m->row.stage, "queueing"))
		return MEV_AT_QUEUEING;
	return MEV_START;
}

static void run(struct month *m)
{
	m->running = true;
	m->set->n_running++;
	month_raise(m, m->set->draining ? MEV_RELEASE : first_event(m));
}

void months_slot_free(struct bf_months *set)
{
	struct month *m, *next;

	TAILQ_FOREACH_SAFE (m, &set->list, link, next) {
		if (set->n_running >= set->config->scheduler.concurrent_months)
			return;
		if (!m->running)
			run(m);
	}
}

static void freed(void *ctx)
{
	struct month *m = ctx;
	struct bf_months *set = m->set;

	month_free(m);
	months_slot_free(set);
	set->ended(set->ended_ctx);
}

/* Its callbacks may still be on the stack: the memory goes at the end of the turn. */
void months_free_month(struct month *m)
{
	struct bf_months *set = m->set;

	month_drop_work(m);
	TAILQ_REMOVE(&set->list, m, link);
	set->n_held--;
	set->n_running -= m->running;
	bf_loop_defer(set->loop, freed, m);
}

static struct month *find(const struct bf_months *set, int year, int month)
{
	struct month *m;

	TAILQ_FOREACH (m, &set->list, link)
		if (!m->row.dry_run && m->row.ref.year == year && m->row.ref.month == month)
			return m;
	return NULL;
}

void bf_months_add(struct bf_months *set, const struct bf_month_row *row)
{
	struct month *m, *old = row->dry_run ? NULL : find(set, row->ref.year, row->ref.month);

	if (old)
		month_raise(old, MEV_LOSE);
	m = bf_xcalloc(1, sizeof *m);
	m->set = set;
	m->row = *row;
	m->step = row->last_step;
	m->state = MONTH_CLAIMED;
	m->since_us = bf_now_us();
	m->arena = bf_arena_new();
	for (int i = 0; i < BF_NAIS; i++) {
		m->ai[i].month = m;
		m->ai[i].provider = (enum bf_provider_id)i;
	}
	if (row->dry_run) { /* its fence counts for no row: it names the tally of its calls */
		m->tally = bf_tally_new(set->providers);
		m->row.ref.fence = m->tally;
	}
	TAILQ_INSERT_TAIL(&set->list, m, link);
	set->n_held++;
	bf_log(BF_INFO, "month claimed", BF_I("year", row->ref.year), BF_I("month", row->ref.month),
		BF_S("job_id", row->job_id), BF_I("fence", row->ref.fence),
		BF_S("stage", row->stage[0] ? row->stage : "new"));
	months_slot_free(set);
}

void bf_months_lost(struct bf_months *set, const struct bf_month_ref *ref)
{
	struct month *m = find(set, ref->year, ref->month);

	/* The answer to a write under way says more: whether it was this write that ended the month. */
	if (m && m->row.ref.fence == ref->fence && !m->move)
		month_raise(m, MEV_LOSE);
}

/* ---- drain ---- */
static void last_call(void *ctx)
{
	struct bf_months *set = ctx;
	struct month *m, *next;

	set->drain_timer = NULL;
	TAILQ_FOREACH_SAFE (m, &set->list, link, next)
		if (m->state != MONTH_GENERATING || m->move)
			month_raise(m, MEV_LOSE);
}

static void drain_is_over(void *ctx)
{
	struct bf_months *set = ctx;
	struct month *m, *next;

	/* A month in generating waits for what it has paid for, as long as that request may take. */
	TAILQ_FOREACH_SAFE (m, &set->list, link, next)
		if (m->state != MONTH_GENERATING)
			month_raise(m, MEV_RELEASE);
	set->drain_timer = bf_timer_start(set->loop, LAST_CALL_MS, last_call, set);
}

void bf_months_drain(struct bf_months *set)
{
	struct month *m, *next;

	if (set->draining)
		return;
	set->draining = true;
	bf_providers_drain(set->providers);
	TAILQ_FOREACH_SAFE (m, &set->list, link, next) {
		if (!m->running || m->state == MONTH_CLAIMED)
			month_raise(m, MEV_RELEASE);
		else
			month_resolve_settled(m);
	}
	set->drain_timer =
		bf_timer_start(set->loop, set->config->daemon.drain_timeout_ms, drain_is_over, set);
}

/* ---- what is held ---- */
int bf_months_count(const struct bf_months *set)
{
	return set->n_held;
}

int bf_months_in_flight(const struct bf_months *set)
{
	return set->n_running;
}

int bf_months_free_slots(const struct bf_months *set)
{
	int n = set->config->scheduler.concurrent_months - set->n_held;

	return n > 0 ? n : 0;
}

int bf_months_refs(
	const struct bf_months *set, struct bf_month_ref *ret, int max, bool waiting_only)
{
	struct month *m;
	int n = 0;

	TAILQ_FOREACH (m, &set->list, link)
		if (n < max && !m->row.dry_run && !(waiting_only && m->running))
			ret[n++] = m->row.ref;
	return n;
}

bool bf_months_holds(const struct bf_months *set, int year, int month)
{
	return find(set, year, month) != NULL;
}

void bf_months_figures(const struct bf_months *set, struct bf_month_figures *ret)
{
	*ret = set->figures;
}
