/* model: what all its parts stand on: rows, sessions and locks, days of providers, transitions. */
#include "model.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY_S 86400

const char *const model_status_names[5] = { "pending", "processing", "completed", "failed",
	"retry" };

struct model *model_new(void)
{
	return bf_xcalloc(1, sizeof(struct model));
}

/* Forgets everything but the memory of its lists. */
void model_clear(struct model *m, int64_t now_us)
{
	bf_arena_free(m->arena);
	m->arena = bf_arena_new();
	m->now_us = now_us;
	m->server_started_us = now_us - 3600000000;
	m->ids = 0;
	m->rows.n = m->jobs.n = m->answers.n = m->cands.n = m->events.n = m->cache.n = 0;
	m->quotas.n = m->items.n = m->timers.n = m->locks.n = m->flushes.n = m->sessions.n = 0;
	m->slack.n = 0;
	memset(m->state, 0, sizeof m->state);
	memset(m->units_used, 0, sizeof m->units_used);
	memset(m->units_given_back, 0, sizeof m->units_given_back);
	m->instances = m->refunds_after_midnight = 0;
	m->paused = false;
	m->note = NULL;
	m->paused_until = 0;
	m->version = 0;
}

void model_free(struct model *m)
{
	bf_arena_free(m->arena);
	free(m->rows.v);
	free(m->jobs.v);
	free(m->answers.v);
	free(m->cands.v);
	free(m->events.v);
	free(m->cache.v);
	free(m->quotas.v);
	free(m->items.v);
	free(m->timers.v);
	free(m->locks.v);
	free(m->flushes.v);
	free(m->sessions.v);
	free(m->slack.v);
	free(m);
}

bool model_mutant(const struct model *m, const char *name)
{
	return m->mutant && !strcmp(m->mutant, name);
}

void *model_grow(void *v, int n, int *cap, size_t size)
{
	if (n < *cap)
		return v;
	*cap = *cap ? *cap * 2 : 32;
	return bf_xrealloc(v, (size_t)*cap, size);
}

/* ---- rows ---- */
struct mrow *model_row(struct model *m, int year, int month)
{
	for (int i = 0; i < m->rows.n; i++)
		if (m->rows.v[i].year == year && m->rows.v[i].month == month)
			return &m->rows.v[i];
	return NULL;
}

/* Kept newest first, as they are picked. */
struct mrow *model_row_add(struct model *m, int year, int month, int batch_size, const char *variant)
{
	struct mrow *row = MODEL_ADD(m, rows);
	int i = m->rows.n - 1;

	while (i > 0 && m->rows.v[i - 1].year * 12 + m->rows.v[i - 1].month < year * 12 + month) {
		m->rows.v[i] = m->rows.v[i - 1];
		i--;
	}
	row = &m->rows.v[i];
	memset(row, 0, sizeof *row);
	row->year = year;
	row->month = month;
	row->claimed_from = -1;
	row->stage_null = true;
	row->batch_size = batch_size;
	row->rate = -1;
	row->created_at = m->now_us;
	snprintf(row->variant, sizeof row->variant, "%s", variant);
	m->version++;
	return row;
}

struct mrow *model_mine(struct model *m, const struct bf_month_ref *ref)
{
	struct mrow *row = model_row(m, ref->year, ref->month);

	if (!row)
		return NULL;
	if (row->fence != ref->fence && !model_mutant(m, "no-fence"))
		return NULL;
	if (row->status != M_PROCESSING && !model_mutant(m, "no-status"))
		return NULL;
	return row;
}

bool model_row_locked(const struct model *m, const struct mrow *row)
{
	return row->locked_until > m->now_us;
}

bool model_paused(const struct model *m)
{
	return m->paused && (!m->paused_until || m->paused_until > m->now_us);
}

bool model_stuck(const struct model *m, const struct mrow *row, int64_t after_ms)
{
	int64_t at = row->progressed_at ? row->progressed_at
		: row->started_at       ? row->started_at
					: row->created_at;

	return at <= m->now_us - after_ms * 1000;
}

void model_totals(const struct model *m, struct bf_totals *t)
{
	int n[5] = { 0 };

	for (int i = 0; i < m->rows.n; i++)
		n[m->rows.v[i].status]++;
	*t = (struct bf_totals){ .pending = n[M_PENDING],
		.processing = n[M_PROCESSING],
		.completed = n[M_COMPLETED],
		.failed = n[M_FAILED],
		.retry = n[M_RETRY],
		.total = m->rows.n };
}

/* ---- transitions ---- */
bool model_has_step(const struct model *m, const struct bf_step *s)
{
	for (int i = m->events.n - 1; i >= 0; i--) {
		const struct mevent *e = &m->events.v[i];

		if (e->year == s->ref.year && e->month == s->ref.month && e->fence == s->ref.fence &&
			e->step == s->step)
			return true;
	}
	return false;
}

void model_event(struct model *m, const struct mrow *row, int step, const char *from,
	const char *to, const char *event)
{
	struct mevent *e = MODEL_ADD(m, events);

	*e = (struct mevent){ .year = row->year,
		.month = row->month,
		.fence = row->fence,
		.step = step,
		.from = bf_arena_strdup(m->arena, from),
		.to = bf_arena_strdup(m->arena, to),
		.event = bf_arena_strdup(m->arena, event) };
	m->version++;
}

/* ---- sessions and their locks; a lock counts ---- */
int model_session_open(struct model *m)
{
	MODEL_ADD(m, sessions)->alive = true;
	return m->sessions.n;
}

bool model_session_alive(const struct model *m, int session)
{
	return session > 0 && session <= m->sessions.n && m->sessions.v[session - 1].alive;
}

void model_session_end(struct model *m, int session)
{
	int kept = 0;

	if (!model_session_alive(m, session))
		return;
	m->sessions.v[session - 1].alive = false;
	for (int i = 0; i < m->locks.n; i++)
		if (m->locks.v[i].session != session || model_mutant(m, "locks-outlive"))
			m->locks.v[kept++] = m->locks.v[i];
	m->locks.n = kept;
	m->version++;
}

static struct mlock *lock_find(const struct model *m, int class, int key)
{
	for (int i = 0; i < m->locks.n; i++)
		if (m->locks.v[i].class == class && m->locks.v[i].key == key)
			return &m->locks.v[i];
	return NULL;
}

bool model_lock(struct model *m, int class, int key, int session)
{
	struct mlock *l = lock_find(m, class, key);

	if (l && l->session != session)
		return false;
	if (!l) {
		l = MODEL_ADD(m, locks);
		*l = (struct mlock){ .class = class, .key = key, .session = session };
	}
	l->count++;
	return true;
}

bool model_lock_drop(struct model *m, int class, int key, int session)
{
	struct mlock *l = lock_find(m, class, key);

	if (!l || l->session != session)
		return false;
	if (--l->count == 0)
		*l = m->locks.v[--m->locks.n];
	return true;
}

int model_lock_holder(const struct model *m, int class, int key)
{
	const struct mlock *l = lock_find(m, class, key);

	return l ? l->session : 0;
}

/* ---- days of providers: Google's begin in California, where the world is in winter ---- */
static int64_t zone_s(enum bf_provider_id p)
{
	return p == BF_GEMINI || p == BF_GOOGLE_BOOKS ? -8 * 3600 : 0;
}

int64_t model_day(enum bf_provider_id p, int64_t at_us)
{
	return (at_us / 1000000 + zone_s(p)) / DAY_S;
}

int64_t model_reset_us(enum bf_provider_id p, int64_t at_us)
{
	return ((model_day(p, at_us) + 1) * DAY_S - zone_s(p)) * 1000000;
}
