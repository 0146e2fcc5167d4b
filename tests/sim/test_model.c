/*
 * Proves that the model of the database, which the simulation runs on, is a true one: the same random calls go to it and to a
 * real PostgreSQL through the store, and after each of them the answers and all rows must be equal. Needs BF_TEST_CONNINFO.
 * BF_MODEL_MUTANT=NAME leaves out one of the model's rules (sim --list-mutants): then it must fail.
 */
#include "model_equal.h"

#define CALLS 250
#define YEAR 2001
#define HOUR_MS 3600000ll

static struct node *real[2];
static struct caller sim[2];

static int below(int n)
{
	return (int)(bf_random_u64() % (uint64_t)n);
}

/* ---- what is asked ---- */
/* A month's fence, mostly the true one. */
static struct bf_month_ref some_ref(void)
{
	const struct mrow *row = &m->rows.v[below(m->rows.n)];

	for (int i = 0; i < 4 && row->status != M_PROCESSING; i++)
		row = &m->rows.v[below(m->rows.n)];
	return (struct bf_month_ref){ row->year, row->month, row->fence - (below(8) == 0) };
}

static int last_step(const struct bf_month_ref *ref)
{
	int last = 1;

	for (int i = 0; i < m->events.n; i++)
		if (m->events.v[i].year == ref->year && m->events.v[i].month == ref->month &&
			m->events.v[i].fence == ref->fence && m->events.v[i].step > last)
			last = m->events.v[i].step;
	return last;
}

/* The next step, or one that was written before. */
static struct bf_step some_step(const char *from, const char *to, const char *event)
{
	struct bf_step s = { .ref = some_ref(), .from = from, .to = to, .event = event };

	s.step = last_step(&s.ref) + (below(5) ? 1 : 0);
	return s;
}

static void ask_claim(int k)
{
	struct bf_arena *arena = bf_arena_new();
	enum bf_claim_what what = below(3) ? BF_CLAIM_SCHEDULE : BF_CLAIM_DUE_RETRIES;
	int limit = below(4);
	bool force = below(2);
	struct bf_claim claim;

	bf_store_claim(real[k]->store, what, limit, YEAR, YEAR, force, got_claim, NULL);
	db_wait();
	clock_now();
	model_claim(m, &sim[k], what, limit, what == BF_CLAIM_SCHEDULE ? YEAR : 1900,
		what == BF_CLAIM_SCHEDULE ? YEAR : 2100, force, arena, &claim);
	equal_ints("refused", model_paused(m) ? BF_ERR_CONFIG : BF_ERR_NONE, (int64_t)got.err.class);
	if (!model_paused(m))
		equal_claims(&claim);
	bf_arena_free(arena);
}

static void ask_rescue(int k)
{
	struct bf_month_ref refs[3] = { some_ref(), some_ref(), some_ref() };
	struct bf_arena *arena = bf_arena_new();
	struct bf_claim claim;
	int n = 1 + below(2);

	if (n == 2 && refs[0].month == refs[1].month)
		n = 1;
	bf_store_rescue(real[k]->store, refs, n, HOUR_MS, got_claim, NULL);
	db_wait();
	clock_now();
	model_rescue(m, &sim[k], refs, n, HOUR_MS, arena, &claim);
	equal_claims(&claim);
	bf_arena_free(arena);
}

static void ask_harvest(int k)
{
	struct bf_harvest h = { .year = below(3) ? YEAR : 0,
		.month = 1 + below(8),
		.batch_size = below(2) ? 7 : 0,
		.prompt_variant = below(2) ? "annual" : NULL,
		.model_override = below(3) ? NULL : "grok-4.3",
		.max_quota = below(3) ? 0 : 9,
		.dry_run = below(3) == 0,
		.default_batch_size = 12,
		.default_variant_recent = "contemporary-notable",
		.default_variant = "baseline",
		.recent_from = 2020,
		.year_low = YEAR,
		.year_high = YEAR };
	struct bf_harvest_reply reply;

	bf_store_harvest(real[k]->store, &h, got_harvest, NULL);
	db_wait();
	equal_ints("error", 0, (int64_t)got.err.class);
	clock_now();
	model_harvest(m, &sim[k], &h, &reply);
	equal_ints("result of the harvest", (int64_t)reply.result, got.harvest);
	if (reply.result == BF_HARVEST_OK)
		equal_row(&reply.row, &got.rows[0]);
}

static void equal_outcome(enum bf_store_outcome is)
{
	equal_ints("error", 0, (int64_t)got.err.class);
	equal_ints("outcome", (int64_t)is, (int64_t)got.outcome);
}

static void ask_step(int k)
{
	static const char *const stages[] = { "generating", "saving", "resolving", "queueing" };
	struct bf_step s = some_step("claimed", stages[below(4)], "start");

	bf_store_step(real[k]->store, &s, got_done, NULL);
	db_wait();
	clock_now();
	equal_outcome(model_step(m, &s));
}

static void ask_answer(int k)
{
	struct bf_step s = some_step("generating", "generating", "answered");
	struct bf_answer a = { .provider = (enum bf_provider_id)below(2),
		.round = below(2),
		.variant = "baseline",
		.model = "m",
		.outcome = below(2) ? "ok" : "empty",
		.text = "[]",
		.http = 200,
		.tokens_in = 5 };

	bf_store_answer(real[k]->store, &s, &a, got_done, NULL);
	db_wait();
	clock_now();
	equal_outcome(model_answer(m, &s, &a));
	bf_store_answers(real[k]->store, &s.ref, a.round, got_answers, NULL);
	db_wait();
	{
		struct bf_arena *arena = bf_arena_new();
		int n;

		model_answers(m, &s.ref, a.round, arena, &n);
		equal_ints("answers", n, got.n);
		bf_arena_free(arena);
	}
}

static void ask_save(int k)
{
	struct bf_step s = some_step("saving", "resolving", "merged");
	struct bf_book books[5];
	struct bf_new_candidate v[5];
	char titles[5][32], keys[5][32];
	int n = 1 + below(5);

	for (int i = 0; i < n; i++) {
		snprintf(titles[i], sizeof titles[i], "Title %d", below(20));
		snprintf(keys[i], sizeof keys[i], "title %s", titles[i] + 6);
		books[i] = (struct bf_book){ .title = titles[i], .author = "Ada Byron",
			.generated_by = 1u + (unsigned)below(3) };
		v[i] = (struct bf_new_candidate){ .book = &books[i], .title_key = keys[i],
			.author_key = "ada byron" };
	}
	bf_store_save(real[k]->store, &s, v, n, got_done, NULL);
	db_wait();
	clock_now();
	equal_outcome(model_save(m, &s, v, n));
}

static void ask_complete(int k)
{
	struct bf_step s = some_step("queueing", "completed", "counted");

	bf_store_complete(real[k]->store, &s, 5, got_done, NULL);
	db_wait();
	clock_now();
	equal_outcome(model_complete(m, &s, 5));
}

static void ask_fail(int k)
{
	bool counted = below(4) > 0;
	struct bf_step s = some_step("resolving", "retry", counted ? "failure" : "outage");
	struct bf_failure f = { .error = "it went wrong",
		.wait_ms = below(3) ? 0 : HOUR_MS,
		.counted = counted,
		.permanent = below(8) == 0,
		.next_round = below(2),
		.resume_stage = below(2) ? "resolving" : "" };

	bf_store_fail(real[k]->store, &s, &f, got_done, NULL);
	db_wait();
	clock_now();
	equal_outcome(model_fail(m, &s, &f));
}

static void ask_release(int k)
{
	struct bf_step s = some_step("generating", "released", "release");

	bf_store_release(real[k]->store, &s, got_done, NULL);
	db_wait();
	clock_now();
	equal_outcome(model_release(m, &s));
}

static void ask_touch(int k)
{
	struct bf_month_ref ref = some_ref(), lost[2];

	bf_store_touch(real[k]->store, &ref, 1, got_lost, NULL);
	db_wait();
	equal_lost(lost, model_touch(m, &ref, 1, lost));
}

/* Findings, what was cached and what was spent; sometimes twice. */
static void ask_flush(int k)
{
	struct bf_month_ref ref = some_ref(), lost[8];
	struct bf_arena *arena = bf_arena_new();
	struct bf_resolution theirs[2], ours[2];
	struct bf_usage usage = { .provider = (enum bf_provider_id)below(4), .year = ref.year,
		.month = ref.month, .fence = ref.fence, .calls = 2, .units_sent = below(3),
		.units_unused = below(2) };
	struct bf_cache_put put = { .provider = BF_ISBNDB, .title_key = "title 3",
		.author_key = "ada byron", .isbn13 = below(2) ? isbn_of(3) : NULL,
		.confidence = 90, .ttl_ms = HOUR_MS };
	struct bf_flush f = { .flush_id_hi = bf_random_u64(), .flush_id_lo = 1,
		.cache = &put, .n_cache = below(2), .usage = &usage, .n_usage = below(2) };
	int n, times = 1 + (below(4) == 0);
	struct bf_candidate *v = model_candidates(m, &ref, arena, &n);

	bf_store_candidates(real[k]->store, &ref, got_candidates, NULL);
	db_wait();
	equal_ints("candidates", n, got.n);
	for (int i = 0; i < n && f.n_resolutions < 2; i++) {
		int at = below(n), found = below(4) + 1;

		if (f.n_resolutions && ours[0].candidate_id == v[at].id)
			continue;
		for (int p = 0; p < BF_NPROVIDERS; p++)
			equal_ints("cached", v[at].cached[p].known * 2 + v[at].cached[p].hit,
				got.candidates[at].cached[p].known * 2 + got.candidates[at].cached[p].hit);
		ours[f.n_resolutions] = (struct bf_resolution){ .ref = ref, .candidate_id = v[at].id,
			.state = (enum bf_cand_state)(1 + below(3)), .confidence = 80,
			.resolved_by = "isbndb", .answers_json = "{}" };
		strlcpy(ours[f.n_resolutions].isbn13, isbn_of(found), 14);
		theirs[f.n_resolutions] = ours[f.n_resolutions];
		theirs[f.n_resolutions++].candidate_id = got.candidates[at].id;
	}
	for (int i = 0; i < times; i++) {
		f.resolutions = theirs;
		bf_store_flush(real[k]->store, &f, got_lost, NULL);
		db_wait();
		equal_ints("error", 0, (int64_t)got.err.class);
		clock_now();
		f.resolutions = ours;
		equal_lost(lost, model_flush(m, &f, lost));
	}
	bf_arena_free(arena);
}

static void ask_reserve(int k)
{
	enum bf_provider_id p = (enum bf_provider_id)below(4);
	struct bf_reserve v[3];
	struct bf_reserved mine;
	int n = 1 + below(3), limit = below(2) ? 30 : 0;

	for (int i = 0; i < n; i++)
		v[i] = (struct bf_reserve){ .ref = some_ref(), .units = 1 + below(3) };
	if (below(4) == 0)
		v[0].ref = (struct bf_month_ref){ 0 };
	bf_store_reserve(real[k]->store, p, limit, 5, v, n, got_reserve, NULL);
	db_wait();
	equal_ints("error", 0, (int64_t)got.err.class);
	clock_now();
	model_reserve(m, p, limit, 5, true, v, n, &mine);
	equal_ints("used", mine.used, got.reserved.used);
	equal_texts("reset_at", mine.reset_at, got.reserved.reset_at);
	for (int i = 0; i < n; i++) {
		equal_ints("granted", mine.granted[i], got.reserved.granted[i]);
		equal_ints("lost", mine.lost[i], got.reserved.lost[i]);
	}
}

static void ask_locks(int k)
{
	struct bf_month_ref refs[2] = { some_ref(), some_ref() }, lost[2];
	int n = 1 + (refs[0].month != refs[1].month);

	if (below(2)) {
		bf_store_unlock(real[k]->store, refs, n, got_done, NULL);
		db_wait();
		model_unlock(m, &sim[k], refs, n);
		return;
	}
	bf_store_relock(real[k]->store, real[k]->id, refs, n, got_lost, NULL);
	db_wait();
	equal_lost(lost, model_relock(m, &sim[k], refs, n, lost));
}

static void ask_pulse(int k)
{
	struct bf_month_ref refs[2] = { some_ref(), some_ref() };
	struct bf_arena *arena = bf_arena_new();
	struct bf_pulse p;
	int n = below(3);

	bf_store_pulse(real[k]->store, refs, n, HOUR_MS, got_pulse, NULL);
	db_wait();
	equal_ints("error", 0, (int64_t)got.err.class);
	clock_now();
	model_pulse(m, &sim[k], refs, n, HOUR_MS, arena, &p);
	equal_ints("live instances", p.n_instances, got.pulse.n_instances);
	equal_ints("orphans", p.n_orphans, got.pulse.n_orphans);
	got.n = got.pulse.n_lost;
	equal_lost(p.lost, p.n_lost);
	equal_ints("due retries", p.due_retries, got.pulse.due_retries);
	equal_ints("a retry waits", p.next_retry_ms >= 0, got.pulse.next_retry_ms >= 0);
	equal_ints("paused", p.paused, got.pulse.paused);
	equal_ints("closures", p.n_closures, got.pulse.n_closures);
	for (int i = 0; i < p.n_closures; i++) {
		int j = 0;

		while (j < p.n_closures && got.closures[j].provider != p.closures[i].provider)
			j++;
		equal_ints("a closure", j < p.n_closures, 1);
		equal_ints("its kind", (int64_t)p.closures[i].kind, (int64_t)got.closures[j].kind);
		equal_ints("its failures", p.closures[i].failures, got.closures[j].failures);
	}
	equal_ints("queue", p.queue_depth, got.pulse.queue_depth);
	equal_ints("isbndb's units", p.isbndb_used, got.pulse.isbndb_used);
	bf_arena_free(arena);
}

static void ask_provider(int k)
{
	struct bf_provider_closure c = { .provider = (enum bf_provider_id)(2 + below(2)),
		.kind = (enum bf_closure)(1 + below(4)),
		.remaining_ms = HOUR_MS * (1 + below(3)),
		.failures = below(4),
		.reason = "why" };
	int what = below(5);

	clock_now();
	if (what == 0) {
		bf_store_open_provider(real[k]->store, c.provider, got_done, NULL);
		model_open_provider(m, c.provider);
	} else if (what == 1) {
		bf_store_probe_provider(real[k]->store, c.provider, HOUR_MS, got_done, NULL);
		db_wait();
		equal_outcome(model_probe_provider(m, c.provider, HOUR_MS) ? BF_STORE_DONE
									  : BF_STORE_REFUSED);
		return;
	} else {
		bf_store_close_provider(real[k]->store, &c, got_done, NULL);
		model_close_provider(m, &c);
	}
	db_wait();
	equal_ints("error", 0, (int64_t)got.err.class);
}

static void ask_operator(int k)
{
	enum bf_operator_action action = (enum bf_operator_action)below(3);
	int month = 1 + below(7);

	bf_store_operator(real[k]->store, action, YEAR, month, got_done, NULL);
	db_wait();
	clock_now();
	equal_outcome(model_operator(m, action, YEAR, month));
}

static void ask_pause(int k)
{
	bool paused = below(3) == 0;

	bf_store_pause(real[k]->store, paused, "a note", NULL, got_done, NULL);
	db_wait();
	model_pause(m, paused, "a note", 0);
}

static void ask_timer(int k)
{
	int64_t at = 1000000 + below(6);

	bf_store_timer_claim(real[k]->store, "schedule", at, got_done, NULL);
	db_wait();
	equal_outcome(model_timer_claim(m, &sim[k], "schedule", at) ? BF_STORE_DONE : BF_STORE_REFUSED);
	bf_store_timer_last(real[k]->store, "schedule", got_timer, NULL);
	db_wait();
	equal_ints("last run", model_timer_last(m, "schedule"), got.count);
}

/* ---- the sequence ---- */
static const struct { const char *name; int weight; void (*ask)(int); } asks[] = {
	{ "claim", 6, ask_claim }, { "rescue", 4, ask_rescue }, { "harvest", 4, ask_harvest },
	{ "step", 6, ask_step }, { "answer", 5, ask_answer }, { "save", 6, ask_save },
	{ "complete", 3, ask_complete }, { "fail", 4, ask_fail }, { "release", 3, ask_release },
	{ "touch", 2, ask_touch }, { "flush", 8, ask_flush }, { "reserve", 6, ask_reserve },
	{ "locks", 5, ask_locks }, { "pulse", 5, ask_pulse }, { "provider", 3, ask_provider },
	{ "operator", 4, ask_operator }, { "pause", 2, ask_pause }, { "timer", 2, ask_timer },
};

static void begin(struct node *one)
{
	real[0] = one;
	real[1] = node_new("two", true);
	model_clear(m, 0);
	clock_now();
	for (int k = 0; k < 2; k++) {
		struct bf_hello hello;

		sim[k] = (struct caller){ .session = model_session_open(m), .instance = k ? "two" : "one" };
		model_hello(m, &sim[k], 0, &hello);
		sim[k].owner_id = hello.instance_id;
	}
	for (int month = 1; month <= 6; month++) {
		db_run("INSERT INTO backfill_log (year, month, status, batch_size, prompt_variant)"
		       " VALUES (%d, %d, 'pending', 20, 'baseline')", YEAR, month);
		model_row_add(m, YEAR, month, 20, "baseline");
	}
}

static void same_calls(struct node *one, uint64_t seed)
{
	int all = 0;

	for (size_t i = 0; i < BF_COUNT(asks); i++)
		all += asks[i].weight;
	bf_random_seed(seed);
	begin(one);
	for (calls = 1; calls <= CALLS; calls++) {
		int pick = below(all), k = below(2);
		size_t i = 0;

		for (; pick >= asks[i].weight; i++)
			pick -= asks[i].weight;
		snprintf(did, sizeof did, "seed %d, %s by %s", (int)seed, asks[i].name, sim[k].instance);
		asks[i].ask(k);
		equal_tables();
	}
	node_free(real[1]);
}

/* The same calls have the same answers and leave the same rows: four seeds. */
static void model_is_true(void **state)
{
	static uint64_t next = 1;

	if (*state == NULL)
		skip();
	same_calls(*state, next++);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(model_is_true, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(model_is_true, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(model_is_true, db_setup, db_teardown),
		cmocka_unit_test_setup_teardown(model_is_true, db_setup, db_teardown),
	};
	int rc;

	m = model_new();
	m->mutant = getenv("BF_MODEL_MUTANT"); /* to see that the comparison notices */
	rc = cmocka_run_group_tests(tests, db_group_setup, db_group_teardown);
	model_free(m);
	return rc;
}
