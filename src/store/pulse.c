/*
 * pulse: instances, their locks and the standing questions, all on the lock session; timers and pause.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "call.h"

/* The instance's number, when its lock was to be had. */
static void read_hello(struct call *c, const struct bf_error *err, PGresult *const *results, int n)
{
	struct bf_hello hello = { 0 };
	struct bf_error held;
	const PGresult *r = err == NULL && n > 0 ? results[0] : NULL;

	if (r != NULL && !call_bool(r, 0, "ok")) {
		bf_error_set(&held, BF_ERR_RETRY,
			"instance %" PRId64 ": a former session still holds the lock",
			call_int(r, 0, "id"));
		err = &held;
		r = NULL;
	}
	if (r == NULL) {
		c->tell.hello(c->ctx, err, NULL);
		return;
	}
	hello.instance_id = (int)call_int(r, 0, "id");
	hello.alone = call_bool(r, 0, "alone");
	hello.server_up_ms = call_int(r, 0, "up_ms");
	c->store->owner_id = hello.instance_id;
	c->tell.hello(c->ctx, NULL, &hello);
}

struct bf_op *bf_store_hello(
	struct bf_store *s, int instance_id, bf_store_hello_done *done, void *ctx)
{
	struct call *c = call_new(s, read_hello, ctx);
	struct params p;

	c->tell.hello = done;
	params_init(&p);
	params_int(&p, instance_id);
	params_text(&p, s->instance);
	params_text(&p, s->host);
	params_int(&p, getpid());
	params_text(&p, BF_VERSION);
	params_text(&p, s->mark);
	return call_query(c, s->locks, &sql_hello, &p);
}

struct bf_op *bf_store_relock(struct bf_store *s, int instance_id, const struct bf_month_ref *refs,
	int n, bf_store_lost_done *done, void *ctx)
{
	struct call *c = call_new(s, call_read_lost, ctx);
	struct params p;

	s->owner_id = instance_id;
	c->tell.lost = done;
	params_init(&p);
	call_refs(&p, refs, n);
	return call_query(c, s->locks, &sql_relock, &p);
}

/* The locks are gone, or were never there. */
static void read_unlock(struct call *c, const struct bf_error *err, PGresult *const *results, int n)
{
	(void)results;
	(void)n;
	if (c->tell.done != NULL)
		c->tell.done(c->ctx, err, BF_STORE_DONE);
}

struct bf_op *bf_store_unlock(
	struct bf_store *s, const struct bf_month_ref *refs, int n, bf_store_done *done, void *ctx)
{
	struct call *c = call_new(s, read_unlock, ctx);
	struct params p;

	c->tell.done = done;
	params_init(&p);
	call_refs(&p, refs, n);
	params_int(&p, s->owner_id);
	return call_query(c, s->locks, &sql_unlock, &p);
}

/* A pulse being read: its arrays are as long as there are rows. */
struct beat {
	struct bf_pulse pulse;
	int *ids;
	struct bf_orphan *orphans;
	struct bf_month_ref *lost;
	struct bf_provider_closure *closures;
};

/* "isbndb quota": a provider's closure. */
static void read_closure(struct beat *b, const char *what, int64_t remaining_ms, int64_t failures,
	const char *reason)
{
	static const struct {
		const char *name;
		enum bf_closure kind;
	} kinds[] = {
		{ "circuit", BF_CLOSURE_CIRCUIT },
		{ "quota", BF_CLOSURE_QUOTA },
		{ "rate", BF_CLOSURE_RATE },
		{ "ban", BF_CLOSURE_BAN },
	};
	struct bf_provider_closure *v = &b->closures[b->pulse.n_closures];
	const char *blank = strchr(what, ' ');
	char name[32];
	int provider;

	if (blank == NULL || (size_t)(blank - what) >= sizeof(name))
		return;
	memcpy(name, what, (size_t)(blank - what));
	name[blank - what] = '\0';
	provider = bf_provider_by_name(name);
	if (provider < 0)
		return;
	v->provider = (enum bf_provider_id)provider;
	for (size_t i = 0; i < BF_COUNT(kinds); i++)
		if (strcmp(blank + 1, kinds[i].name) == 0)
			v->kind = kinds[i].kind;
	v->remaining_ms = remaining_ms;
	v->failures = (int)failures;
	v->reason = reason;
	b->pulse.n_closures++;
}

/* The count of one status. */
static void read_total(struct bf_totals *t, const char *status, int64_t n)
{
	const struct {
		const char *status;
		int *count;
	} table[] = {
		{ "pending", &t->pending },
		{ "processing", &t->processing },
		{ "completed", &t->completed },
		{ "failed", &t->failed },
		{ "retry", &t->retry },
	};

	for (size_t i = 0; i < BF_COUNT(table); i++)
		if (strcmp(status, table[i].status) == 0)
			*table[i].count = (int)n;
	t->total += (int)n;
}

/* One line of a pulse; the kinds are those of the statement. */
static void read_beat(struct beat *b, const PGresult *r, int i)
{
	const char *kind = call_text(r, i, "kind"), *s = call_text(r, i, "s"),
		   *t = call_text(r, i, "t");
	int64_t va = call_int(r, i, "a"), vb = call_int(r, i, "b");
	struct bf_pulse *p = &b->pulse;

	if (strcmp(kind, "clock") == 0) {
		p->db_wall_us = va;
		p->server_up_ms = vb;
	} else if (strcmp(kind, "instance") == 0) {
		b->ids[p->n_instances++] = (int)va;
	} else if (strcmp(kind, "orphan") == 0) {
		b->orphans[p->n_orphans++] =
			(struct bf_orphan){ .ref = { (int)va, (int)vb, call_int(r, i, "c") },
				.stuck = call_int(r, i, "d") != 0 };
	} else if (strcmp(kind, "lost") == 0) {
		b->lost[p->n_lost++] =
			(struct bf_month_ref){ (int)va, (int)vb, call_int(r, i, "c") };
	} else if (strcmp(kind, "retry") == 0) {
		p->due_retries = (int)va;
		p->next_retry_ms = call_text(r, i, "b") != NULL ? vb : -1;
	} else if (strcmp(kind, "pause") == 0) {
		p->paused = true;
		p->pause_note = s;
	} else if (strcmp(kind, "closure") == 0 && s != NULL) {
		read_closure(b, s, va, vb, t);
	} else if (strcmp(kind, "total") == 0 && s != NULL) {
		read_total(&p->totals, s, va);
		p->books_generated += vb;
		p->isbns_resolved += call_int(r, i, "c");
		p->isbns_queued += call_int(r, i, "d");
	} else if (strcmp(kind, "queue") == 0) {
		p->queue_depth = va;
		p->queue_waiting = vb;
		p->queue_processing = call_int(r, i, "c");
		p->queue_failed = call_int(r, i, "d");
		p->queue_oldest_s = s != NULL ? strtoll(s, NULL, 10) : 0;
	} else if (strcmp(kind, "quota") == 0) {
		p->isbndb_used = va;
		p->isbndb_limit_seen = (int)vb;
	}
}

/* The whole pulse. A lock session that shows another's mark is not a session of ours. */
static void read_pulse(struct call *c, const struct bf_error *err, PGresult *const *results, int n)
{
	const PGresult *r = err == NULL && n > 0 ? results[0] : NULL;
	size_t rows = r != NULL ? (size_t)PQntuples(r) : 0;
	const char *mark = r != NULL ? call_text(r, 0, "s") : NULL;
	struct beat b = { .pulse.next_retry_ms = -1 };
	struct bf_error shared;

	if (mark != NULL && mark[0] != '\0' && strcmp(mark, c->store->mark) != 0) {
		bf_error_set(&shared, BF_ERR_CONFIG,
			"the lock session is shared by a pooler in transaction mode");
		err = &shared;
	}
	if (r == NULL || err != NULL) {
		c->tell.pulse(c->ctx, err, NULL);
		return;
	}
	b.ids = bf_arena_alloc(c->arena, rows * sizeof(*b.ids) + 1);
	b.orphans = bf_arena_alloc(c->arena, rows * sizeof(*b.orphans) + 1);
	b.lost = bf_arena_alloc(c->arena, rows * sizeof(*b.lost) + 1);
	b.closures = bf_arena_alloc(c->arena, rows * sizeof(*b.closures) + 1);
	for (size_t i = 0; i < rows; i++)
		read_beat(&b, r, (int)i);
	b.pulse.instance_ids = b.ids;
	b.pulse.orphans = b.orphans;
	b.pulse.lost = b.lost;
	b.pulse.closures = b.closures;
	c->tell.pulse(c->ctx, NULL, &b.pulse);
}

struct bf_op *bf_store_pulse(struct bf_store *s, const struct bf_month_ref *mine, int n,
	int64_t stuck_after_ms, bf_store_pulse_done *done, void *ctx)
{
	struct call *c = call_new(s, read_pulse, ctx);
	struct params p;

	c->tell.pulse = done;
	params_init(&p);
	call_refs(&p, mine, n);
	params_int(&p, stuck_after_ms);
	params_int(&p, s->owner_id);
	return call_query(c, s->locks, &sql_pulse, &p);
}

struct bf_op *bf_store_timer_claim(
	struct bf_store *s, const char *timer, int64_t scheduled, bf_store_done *done, void *ctx)
{
	struct call *c = call_new(s, call_read_outcome, ctx);
	struct params p;

	c->tell.done = done;
	params_init(&p);
	params_text(&p, timer);
	params_int(&p, scheduled);
	params_text(&p, bf_arena_printf(c->arena, "%s#%d", s->instance, s->owner_id));
	return call_query(c, s->pool, &sql_timer_claim, &p);
}

/* When a timer last ran. */
static void read_timer(struct call *c, const struct bf_error *err, PGresult *const *results, int n)
{
	c->tell.timer(c->ctx, err, err == NULL && n > 0 ? call_int(results[0], 0, "last_run") : -1);
}

struct bf_op *bf_store_timer_last(
	struct bf_store *s, const char *timer, bf_store_timer_done *done, void *ctx)
{
	struct call *c = call_new(s, read_timer, ctx);
	struct params p;

	c->tell.timer = done;
	params_init(&p);
	params_text(&p, timer);
	return call_query(c, s->pool, &sql_timer_last, &p);
}

struct bf_op *bf_store_pause(struct bf_store *s, bool paused, const char *note, const char *until,
	bf_store_done *done, void *ctx)
{
	struct call *c = call_new(s, call_read_outcome, ctx);
	struct params p;

	c->tell.done = done;
	params_init(&p);
	params_bool(&p, paused);
	params_text(&p, note);
	params_id(&p, until);
	return call_query(c, s->pool, &sql_pause, &p);
}
