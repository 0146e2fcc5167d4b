/* model_pulse: instances and their locks, the standing questions, timers and the pause, as pulse.sql has them. */
#include "model.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOCK_MONTH    1
#define LOCK_INSTANCE 2

static int key_of(int year, int month)
{
	return year * 12 + month - 1;
}

/* ---- instances ---- */
static void end_rehearsals(struct model *m, int me)
{
	for (int i = 0; i < m->jobs.n; i++) {
		struct mjob *job = &m->jobs.v[i];

		if (job->dry_run && strcmp(job->status, "complete") != 0 &&
			strcmp(job->status, "failed") != 0 && job->instance_id != me &&
			!model_lock_holder(m, LOCK_INSTANCE, job->instance_id)) {
			job->status = "failed";
			job->error = "daemon restarted";
		}
	}
}

bool model_hello(
	struct model *m, const struct caller *by, int instance_id, struct bf_hello *ret)
{
	int id = instance_id ? instance_id : ++m->instances, holder;
	bool ok;

	memset(ret, 0, sizeof *ret);
	ret->instance_id = id;
	ret->server_up_ms = (m->now_us - m->server_started_us) / 1000;
	ret->alone = true;
	for (int i = 0; i < m->locks.n; i++)
		if (m->locks.v[i].class == LOCK_INSTANCE && m->locks.v[i].session != by->session)
			ret->alone = false;
	holder = model_lock_holder(m, LOCK_INSTANCE, id);
	ok = model_lock(m, LOCK_INSTANCE, id, by->session);
	if (!ok)
		model_session_end(m, holder); /* ours, on a host that has lost sight of it */
	end_rehearsals(m, id);
	return ok;
}

int model_relock(struct model *m, const struct caller *by, const struct bf_month_ref *refs, int n,
	struct bf_month_ref *lost)
{
	int n_lost = 0;

	for (int i = 0; i < n; i++) {
		int key = key_of(refs[i].year, refs[i].month);

		if (!model_mine(m, &refs[i]))
			lost[n_lost++] = refs[i];
		else if (model_lock_holder(m, LOCK_MONTH, key) != by->session)
			model_lock(m, LOCK_MONTH, key, by->session);
	}
	return n_lost;
}

void model_unlock(struct model *m, const struct caller *by, const struct bf_month_ref *refs, int n)
{
	for (int i = 0; i < n; i++) {
		const struct mrow *row = model_row(m, refs[i].year, refs[i].month);

		if (row && row->status == M_PROCESSING && row->owner_id == by->owner_id &&
			row->fence > refs[i].fence)
			continue;
		model_lock_drop(m, LOCK_MONTH, key_of(refs[i].year, refs[i].month), by->session);
	}
}

/* ---- the pulse ---- */
static bool ref_of(const struct mrow *row, const struct bf_month_ref *refs, int n)
{
	for (int i = 0; i < n; i++)
		if (refs[i].year == row->year && refs[i].month == row->month &&
			refs[i].fence == row->fence)
			return true;
	return false;
}

/* Orphans, by the locks as they were; those of mine that are missing are taken. */
static void look_at_busy(struct model *m, const struct caller *by, const struct bf_month_ref *mine,
	int n, int64_t stuck_ms, struct bf_orphan *orphans, int *n_orphans)
{
	*n_orphans = 0;
	for (int i = 0; i < m->rows.n; i++) {
		const struct mrow *row = &m->rows.v[i];
		int key = key_of(row->year, row->month), holder;
		bool stuck;

		if (row->status != M_PROCESSING)
			continue;
		holder = model_lock_holder(m, LOCK_MONTH, key);
		stuck = model_stuck(m, row, stuck_ms);
		if (ref_of(row, mine, n)) {
			if (holder != by->session)
				model_lock(m, LOCK_MONTH, key, by->session);
		} else if (stuck || (row->job && !holder)) {
			orphans[(*n_orphans)++] = (struct bf_orphan){
				.ref = { row->year, row->month, row->fence }, .stuck = stuck
			};
		}
	}
}

/* What the asker believes to be its own and is not. */
static int lost_of(struct model *m, const struct bf_month_ref *mine, int n, struct bf_month_ref *lost)
{
	int n_lost = 0;

	for (int i = 0; i < n && !model_mutant(m, "pulse-hides-the-lost"); i++)
		if (!model_mine(m, &mine[i]))
			lost[n_lost++] = mine[i];
	return n_lost;
}

/* Locks that this session holds for nothing: a claim whose answer was lost. */
static void drop_idle(struct model *m, const struct caller *by, const struct bf_month_ref *mine, int n)
{
	int keys[128], n_keys = 0;

	for (int i = 0; i < m->locks.n && n_keys < 128; i++)
		if (m->locks.v[i].class == LOCK_MONTH && m->locks.v[i].session == by->session)
			keys[n_keys++] = m->locks.v[i].key;
	for (int i = 0; i < n_keys && by->owner_id > 0; i++) {
		const struct mrow *row = model_row(m, keys[i] / 12, keys[i] % 12 + 1);
		bool wanted = false;

		for (int j = 0; j < n; j++)
			wanted = wanted || key_of(mine[j].year, mine[j].month) == keys[i];
		if (row && row->status == M_PROCESSING && row->owner_id == by->owner_id)
			wanted = true;
		if (!wanted)
			model_lock_drop(m, LOCK_MONTH, keys[i], by->session);
	}
}

static int by_number(const void *a, const void *b)
{
	const int *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void instances_out(const struct model *m, struct bf_arena *arena, struct bf_pulse *ret)
{
	int *ids = bf_arena_alloc(arena, ((size_t)m->locks.n + 1) * sizeof *ids), n = 0;

	for (int i = 0; i < m->locks.n; i++)
		if (m->locks.v[i].class == LOCK_INSTANCE)
			ids[n++] = m->locks.v[i].key;
	qsort(ids, (size_t)n, sizeof *ids, by_number);
	ret->instance_ids = ids;
	ret->n_instances = n;
}

static void closures_out(const struct model *m, struct bf_arena *arena, struct bf_pulse *ret)
{
	struct bf_provider_closure *v = bf_arena_alloc(arena, BF_NPROVIDERS * sizeof *v);
	int n = 0;

	for (int p = 0; p < BF_NPROVIDERS; p++) {
		const struct mstate *s = &m->state[p];

		if (s->kind == BF_CLOSURE_NONE || s->closed_until <= m->now_us)
			continue;
		v[n++] = (struct bf_provider_closure){ .provider = (enum bf_provider_id)p,
			.kind = s->kind,
			.remaining_ms = (s->closed_until - m->now_us + 999) / 1000,
			.failures = s->failures,
			.reason = s->reason };
	}
	ret->closures = v;
	ret->n_closures = n;
}

static void retries_out(const struct model *m, struct bf_pulse *ret)
{
	int64_t next = 0;

	ret->next_retry_ms = -1;
	for (int i = 0; i < m->rows.n; i++) {
		const struct mrow *row = &m->rows.v[i];

		if (row->status != M_RETRY)
			continue;
		if (row->next_at <= m->now_us)
			ret->due_retries++;
		else if (!next || row->next_at < next)
			next = row->next_at;
	}
	if (next)
		ret->next_retry_ms = (next - m->now_us + 999) / 1000;
}

void model_pulse(struct model *m, const struct caller *by, const struct bf_month_ref *mine, int n,
	int64_t stuck_ms, struct bf_arena *arena, struct bf_pulse *ret)
{
	struct bf_orphan *orphans =
		bf_arena_alloc(arena, ((size_t)m->rows.n + 1) * sizeof *orphans);
	struct bf_month_ref *lost = bf_arena_alloc(arena, ((size_t)n + 1) * sizeof *lost);

	memset(ret, 0, sizeof *ret);
	ret->db_wall_us = m->now_us;
	ret->server_up_ms = (m->now_us - m->server_started_us) / 1000;
	instances_out(m, arena, ret);
	look_at_busy(m, by, mine, n, stuck_ms, orphans, &ret->n_orphans);
	ret->orphans = orphans;
	ret->n_lost = lost_of(m, mine, n, lost);
	ret->lost = lost;
	drop_idle(m, by, mine, n);
	retries_out(m, ret);
	ret->paused = model_paused(m);
	ret->pause_note = ret->paused ? (m->note ? m->note : "") : NULL;
	closures_out(m, arena, ret);
	model_totals(m, &ret->totals);
	ret->queue_depth = m->items.n;
	ret->isbndb_used = model_quota_used(m, BF_ISBNDB);
}

/* ---- timers and the pause ---- */
static struct mtimer *timer_find(struct model *m, const char *name)
{
	for (int i = 0; i < m->timers.n; i++)
		if (!strcmp(m->timers.v[i].name, name))
			return &m->timers.v[i];
	return NULL;
}

bool model_timer_claim(
	struct model *m, const struct caller *by, const char *timer, int64_t scheduled)
{
	struct mtimer *t = timer_find(m, timer);
	char me[96];

	snprintf(me, sizeof me, "%s#%d", by->instance, by->owner_id);
	if (t && (t->last_run > scheduled || (t->last_run == scheduled && strcmp(t->instance, me) != 0)))
		return model_mutant(m, "timer-for-all");
	if (!t) {
		t = MODEL_ADD(m, timers);
		snprintf(t->name, sizeof t->name, "%s", timer);
	}
	t->last_run = scheduled;
	memcpy(t->instance, me, sizeof t->instance);
	return true;
}

int64_t model_timer_last(struct model *m, const char *timer)
{
	struct mtimer *t = timer_find(m, timer);

	if (t)
		return t->last_run;
	t = MODEL_ADD(m, timers);
	snprintf(t->name, sizeof t->name, "%s", timer);
	t->last_run = m->now_us / 1000000;
	return -1;
}

void model_pause(struct model *m, bool paused, const char *note, int64_t until_us)
{
	m->paused = paused;
	m->note = bf_arena_strdup(m->arena, note);
	m->paused_until = until_us;
	m->version++;
}
