/* model_quota: flushes, the count of units, and the closures of providers, as books.sql and quota.sql have them. */
#include "model.h"
#include <stdlib.h>
#include <string.h>

#define GRACE_US 10000000 /* units given back so shortly after midnight belong to the day before */

static struct mquota *quota_find(struct model *m, enum bf_provider_id p, int64_t day)
{
	for (int i = m->quotas.n - 1; i >= 0; i--)
		if (m->quotas.v[i].provider == p && m->quotas.v[i].day == day)
			return &m->quotas.v[i];
	return NULL;
}

int64_t model_quota_used(struct model *m, enum bf_provider_id p)
{
	const struct mquota *q = quota_find(m, p, model_day(p, m->now_us));

	return q ? q->used : 0;
}

/* ---- flush ---- */
static int *column(struct mrow *row, enum bf_provider_id p)
{
	switch (p) {
	case BF_GEMINI: return &row->gemini;
	case BF_XAI: return &row->xai;
	case BF_ISBNDB: return &row->isbndb;
	case BF_GOOGLE_BOOKS:
	case BF_OPEN_LIBRARY:
	case BF_ARCHIVE_ORG:
	case BF_WIKIDATA:
	case BF_NPROVIDERS: break;
	}
	return NULL;
}

static void slack_add(struct model *m, const struct bf_usage *u)
{
	struct mslack *s = MODEL_ADD(m, slack);

	*s = (struct mslack){ { u->year, u->month, u->fence }, u->provider, u->units_unused };
}

static void spend(struct model *m, const struct bf_usage *u)
{
	struct mrow *row = u->year > 0 ? model_row(m, u->year, u->month) : NULL;
	struct mquota *q = quota_find(m, u->provider, model_day(u->provider, m->now_us - GRACE_US));
	int64_t units = u->units_sent + u->units_unused;
	int *calls;

	if (row && row->fence == u->fence) {
		calls = column(row, u->provider);
		if (calls)
			*calls = *calls > u->units_unused ? *calls - u->units_unused : 0;
		else
			row->free_calls += u->calls;
		row->cost += u->cost_usd;
	} else if (u->year > 0 && u->units_unused > 0) {
		slack_add(m, u);
	}
	if (u->units_unused > 0 && model_day(u->provider, m->now_us - GRACE_US) != model_day(u->provider, m->now_us))
		m->refunds_after_midnight++;
	if (q && units > 0) {
		q->leased = q->leased > units ? q->leased - units : 0;
		q->used = q->used > u->units_unused ? q->used - u->units_unused : 0;
	}
	m->units_given_back[u->provider] += u->units_unused;
}

static void cache_put(struct model *m, const struct bf_cache_put *p)
{
	struct mcache *k = NULL;

	for (int i = 0; i < m->cache.n && !k; i++)
		if (m->cache.v[i].provider == p->provider &&
			!strcmp(m->cache.v[i].title_key, p->title_key) &&
			!strcmp(m->cache.v[i].author_key, p->author_key))
			k = &m->cache.v[i];
	if (!k) {
		k = MODEL_ADD(m, cache);
		k->provider = p->provider;
		k->title_key = bf_arena_strdup(m->arena, p->title_key);
		k->author_key = bf_arena_strdup(m->arena, p->author_key);
	}
	k->hit = p->isbn13 && p->isbn13[0];
	memset(k->isbn13, 0, sizeof k->isbn13);
	if (k->hit)
		strlcpy(k->isbn13, p->isbn13, sizeof k->isbn13);
	k->confidence = p->confidence;
	k->record = bf_arena_strdup(m->arena, p->record_json);
	k->expires_at = m->now_us + p->ttl_ms * 1000;
}

static void resolve(struct model *m, const struct bf_resolution *r)
{
	struct mcand *c = r->candidate_id >= 1 && r->candidate_id <= m->cands.n
		? &m->cands.v[r->candidate_id - 1]
		: NULL;
	struct mrow *row = model_mine(m, &r->ref);

	if (!row)
		return;
	row->progressed_at = m->now_us;
	if (!c || c->gone || c->year != r->ref.year || c->month != r->ref.month)
		return;
	c->state = r->state;
	memset(c->isbn13, 0, sizeof c->isbn13);
	if (r->state == BF_CAND_RESOLVED)
		memcpy(c->isbn13, r->isbn13, sizeof c->isbn13);
	c->confidence = r->confidence;
	c->resolved_by = bf_arena_strdup(m->arena, r->resolved_by);
}

static bool seen_before(struct model *m, const struct bf_flush *f)
{
	for (int i = 0; i < m->flushes.n; i++)
		if (m->flushes.v[i].hi == f->flush_id_hi && m->flushes.v[i].lo == f->flush_id_lo)
			return !model_mutant(m, "flush-twice");
	*MODEL_ADD(m, flushes) = (struct mflush){ f->flush_id_hi, f->flush_id_lo };
	return false;
}

static bool listed(const struct bf_month_ref *refs, int n, const struct bf_month_ref *ref)
{
	for (int i = 0; i < n; i++)
		if (refs[i].year == ref->year && refs[i].month == ref->month &&
			refs[i].fence == ref->fence)
			return true;
	return false;
}

static void busy_add(struct model *m, const struct bf_month_ref *ref, struct bf_month_ref *busy, int *n)
{
	const struct mrow *row = ref->year > 0 ? model_row(m, ref->year, ref->month) : NULL;

	if (row && row->fence == ref->fence && model_row_locked(m, row) && !listed(busy, *n, ref))
		busy[(*n)++] = *ref;
}

/* A flush that was applied is not looked at again. */
int model_flush_busy(struct model *m, const struct bf_flush *f, struct bf_month_ref *busy)
{
	int n = 0;

	for (int i = 0; i < m->flushes.n; i++)
		if (m->flushes.v[i].hi == f->flush_id_hi && m->flushes.v[i].lo == f->flush_id_lo)
			return 0;
	for (int i = 0; i < f->n_resolutions; i++)
		busy_add(m, &f->resolutions[i].ref, busy, &n);
	for (int i = 0; i < f->n_usage; i++)
		busy_add(m, &(struct bf_month_ref){ f->usage[i].year, f->usage[i].month, f->usage[i].fence },
			busy, &n);
	return n;
}

int model_flush(struct model *m, const struct bf_flush *f, struct bf_month_ref *lost)
{
	bool fresh = !seen_before(m, f);
	int n_lost = 0;

	for (int i = 0; i < f->n_resolutions; i++) {
		const struct bf_month_ref *ref = &f->resolutions[i].ref;

		if (!model_mine(m, ref) && !listed(lost, n_lost, ref))
			lost[n_lost++] = *ref;
	}
	if (!fresh)
		return n_lost;
	for (int i = 0; i < f->n_resolutions; i++)
		resolve(m, &f->resolutions[i]);
	for (int i = 0; i < f->n_cache; i++)
		cache_put(m, &f->cache[i]);
	for (int i = 0; i < f->n_usage; i++)
		spend(m, &f->usage[i]);
	m->version++;
	return n_lost;
}

/* ---- units ---- */
bool model_reserve(struct model *m, enum bf_provider_id p, int limit, int reserve, bool make_row,
	const struct bf_reserve *v, int n, struct bf_reserved *ret)
{
	int64_t day = model_day(p, m->now_us);
	struct mquota *q = quota_find(m, p, day);

	memset(ret, 0, sizeof *ret);
	if (!q && !make_row)
		return false;
	if (!q) {
		q = MODEL_ADD(m, quotas);
		q->provider = p;
		q->day = day;
	}
	q->limit = limit;
	q->reserve = reserve;
	for (int i = 0; i < n; i++) {
		bool named = v[i].ref.year > 0 && v[i].ref.fence > 0;
		struct mrow *row = named ? model_mine(m, &v[i].ref) : NULL;
		int *calls = row ? column(row, p) : NULL;

		ret->lost[i] = named && !row;
		ret->busy[i] = row && model_row_locked(m, row);
		if (ret->lost[i] || ret->busy[i] || (limit > 0 && !model_mutant(m, "no-limit") &&
				q->used + v[i].units > limit - reserve))
			continue;
		ret->granted[i] = v[i].units;
		q->used += v[i].units;
		q->leased += v[i].units;
		m->units_used[p] += v[i].units;
		if (calls && !model_mutant(m, "not-counted"))
			*calls += v[i].units;
	}
	ret->used = q->used;
	bf_format_time(ret->reset_at, model_reset_us(p, m->now_us));
	ret->reset_in_ms = (model_reset_us(p, m->now_us) - m->now_us + 999) / 1000;
	m->version++;
	return true;
}

/* ---- closures ---- */
void model_close_provider(struct model *m, const struct bf_provider_closure *c)
{
	struct mstate *s = &m->state[c->provider];
	int64_t until = c->kind == BF_CLOSURE_QUOTA && c->remaining_ms <= 0
		? model_reset_us(c->provider, m->now_us)
		: m->now_us + (c->remaining_ms > 0 ? c->remaining_ms : 0) * 1000;
	bool longer = s->known && s->closed_until > until;

	if (!longer) {
		s->kind = c->kind;
		s->reason = bf_arena_strdup(m->arena, c->reason);
	}
	if (s->known && s->closed_until > m->now_us)
		s->failures = s->failures > c->failures ? s->failures : c->failures;
	else
		s->failures = c->failures;
	if (!longer)
		s->closed_until = until;
	s->probe_until = 0;
	s->known = true;
}

void model_open_provider(struct model *m, enum bf_provider_id p)
{
	m->state[p] = (struct mstate){ .known = true, .kind = BF_CLOSURE_NONE };
}

bool model_probe_provider(struct model *m, enum bf_provider_id p, int64_t hold_ms)
{
	struct mstate *s = &m->state[p];

	if (s->known && ((s->probe_until && s->probe_until > m->now_us) ||
				(s->closed_until && s->closed_until > m->now_us + 1000000)))
		return false;
	s->known = true;
	s->probe_until = m->now_us + hold_ms * 1000;
	return true;
}
