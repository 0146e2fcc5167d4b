/* Alerts in the database: who raises and clears, what is told in which order and by whom, and the facts. */
#include "db.h"

#define NODE(state) struct node *one = *(state); if (one == NULL) skip()

static const char *own = "{\"ai\":true,\"off\":{}}";
static struct bf_alert_facts facts;
static int n_months, n_merged;
static char events[256], open_ones[256], ids[64];
static struct bf_delivery taken;
static int n_taken;
static int64_t next_ms;

static void came_facts(void *ctx, const struct bf_error *err, const struct bf_alert_facts *f)
{
	(void)ctx;
	db_came(err);
	if (f != NULL) {
		facts = *f;
		n_months = f->n_stuck;
	}
}

static void came_alerts(void *ctx, const struct bf_error *err, const struct bf_alert_event *v, int n,
	const struct bf_alert_open *open, int n_open)
{
	(void)ctx;
	db_came(err);
	n_merged++;
	events[0] = open_ones[0] = '\0';
	for (int i = 0; i < n; i++)
		snprintf(events + strlen(events), sizeof(events) - strlen(events), "%s%s %s %s", i > 0 ? ", " : "",
			v[i].event, v[i].key, v[i].severity);
	for (int i = 0; i < n_open; i++)
		snprintf(open_ones + strlen(open_ones), sizeof(open_ones) - strlen(open_ones), "%s%s %s %d",
			i > 0 ? ", " : "", open[i].key, open[i].severity, open[i].n);
}

static void came_deliveries(void *ctx, const struct bf_error *err, const struct bf_delivery *v, int n, int64_t ms)
{
	(void)ctx;
	db_came(err);
	n_taken = n;
	next_ms = ms;
	ids[0] = '\0';
	for (int i = 0; i < n; i++)
		snprintf(ids + strlen(ids), sizeof(ids) - strlen(ids), "%s%s", i > 0 ? " " : "", v[i].event);
	if (n > 0)
		taken.id = v[0].id, taken.tries = v[0].tries;
}

static void merge(struct node *one, const struct bf_alert *v, int n, bool webhook)
{
	bf_store_alerts_merge(one->store, v, n, webhook, came_alerts, NULL);
	db_wait();
	assert_int_equal(got.err.class, BF_ERR_NONE);
}

/* As if the last look had been long ago. */
static void later(void)
{
	db_run("UPDATE backfill_alerts SET missed_at = now() - interval '10 s' WHERE missed_at IS NOT NULL");
}

static void take(struct node *one)
{
	bf_store_deliveries_claim(one->store, 4, 30000, came_deliveries, NULL);
	db_wait();
	assert_int_equal(got.err.class, BF_ERR_NONE);
}

static enum bf_store_outcome end(struct node *one, int64_t id, const char *problem, int64_t ms)
{
	bf_store_delivery_end(one->store, id, problem, ms, got_done, NULL);
	db_wait();
	assert_int_equal(got.err.class, BF_ERR_NONE);
	return got.outcome;
}

static int setup(void **state)
{
	int rc = db_setup(state);

	if (*state != NULL)
		db_run("TRUNCATE backfill_alerts, backfill_alert_deliveries");
	return rc;
}

static const struct bf_alert quota = { .key = "quota", .subject = "isbndb", .summary = "s", .action = "a" };

/* An alert is raised once, whoever looks; it clears after the second look without it, once. */
static void once_over_all(void **state)
{
	NODE(state);
	struct node *two = node_new("two", true);

	merge(one, &quota, 1, false);
	assert_string_equal(events, "raise quota warning");
	assert_string_equal(open_ones, "quota warning 1");
	merge(two, &quota, 1, false);
	assert_string_equal(events, "");
	merge(two, NULL, 0, false);
	assert_string_equal(events, "");
	merge(one, NULL, 0, false);		/* another's look a moment later is not a second one */
	assert_string_equal(open_ones, "quota warning 1");
	later();
	merge(one, &quota, 1, false);		/* true again: the misses are forgotten */
	merge(one, NULL, 0, false);
	assert_string_equal(events, "");
	later();
	merge(two, NULL, 0, false);
	assert_string_equal(events, "clear quota warning");
	assert_string_equal(open_ones, "");
	merge(one, NULL, 0, false);
	assert_string_equal(events, "");
	merge(one, &quota, 1, false);
	assert_string_equal(events, "raise quota warning");
	assert_int_equal(db_int("SELECT count(*) FROM backfill_alerts"), 2);
	node_free(two);
}

/* Two looks at the same moment: the second waits for the first and raises nothing. */
static void two_at_once(void **state)
{
	NODE(state);
	struct node *two = node_new("two", true);

	n_merged = 0;
	bf_store_alerts_merge(one->store, &quota, 1, true, came_alerts, NULL);
	bf_store_alerts_merge(two->store, &quota, 1, true, came_alerts, NULL);
	while (n_merged < 2)
		db_wait();
	assert_int_equal(db_int("SELECT count(*) FROM backfill_alerts"), 1);
	assert_int_equal(db_int("SELECT count(*) FROM backfill_alert_deliveries"), 1);
	node_free(two);
}

/* What becomes critical is told once; what falls back to a warning is not told at all. */
static void escalation(void **state)
{
	NODE(state);
	struct bf_alert worse = quota;

	worse.critical = true;
	merge(one, &quota, 1, true);
	merge(one, &worse, 1, true);
	assert_string_equal(events, "escalate quota critical");
	merge(one, &quota, 1, true);
	assert_string_equal(events, "");
	assert_string_equal(open_ones, "quota warning 1");
	merge(one, &worse, 1, true);
	assert_string_equal(events, "");
	assert_string_equal(db_text("SELECT string_agg(event, ' ' ORDER BY id) FROM backfill_alert_deliveries"),
		"raise escalate");
}

/* Deliveries come in order, to one at a time, again after a failure or a lease that ran out, and are given up after a day. */
static void deliveries(void **state)
{
	NODE(state);
	struct node *two = node_new("two", true);
	int64_t first;

	merge(one, &quota, 1, true);
	merge(one, NULL, 0, true);
	later();
	merge(one, NULL, 0, true);
	take(one);
	assert_string_equal(ids, "raise");	/* the clearing waits for it */
	first = taken.id;
	take(two);
	assert_int_equal(n_taken, 0);
	assert_true(next_ms > 0 && next_ms <= 30000);
	assert_int_equal(end(one, first, "HTTP 500", 60000), BF_STORE_DONE);
	take(two);
	assert_int_equal(n_taken, 0);
	assert_true(next_ms > 30000 && next_ms <= 60000);
	db_run("UPDATE backfill_alert_deliveries SET next_try_at = now()");
	take(two);
	assert_int_equal(taken.id, first);
	assert_int_equal(taken.tries, 2);
	db_run("UPDATE backfill_alert_deliveries SET claimed_until = now() WHERE claimed_until IS NOT NULL");
	take(one);				/* two went away */
	assert_int_equal(taken.id, first);
	assert_int_equal(end(two, first, "late", 1), BF_STORE_REFUSED);	/* a failure of who lost it counts no more */
	assert_int_equal(end(two, first, NULL, 0), BF_STORE_DONE);	/* but what was taken was taken */
	assert_int_equal(end(one, first, NULL, 0), BF_STORE_REFUSED);
	take(one);
	assert_string_equal(ids, "clear");
	db_run("UPDATE backfill_alert_deliveries SET at = now() - interval '25 hours'");
	assert_int_equal(end(one, taken.id, "HTTP 500", 1), BF_STORE_REFUSED);
	take(one);
	assert_int_equal(n_taken, 0);
	assert_int_equal(next_ms, -1);
	node_free(two);
}

/* Without a webhook nothing is kept to be told, and neither is the end of what was never told. */
static void nobody_to_tell(void **state)
{
	NODE(state);
	merge(one, &quota, 1, false);
	merge(one, NULL, 0, true);
	later();
	merge(one, NULL, 0, true);
	assert_string_equal(events, "clear quota warning");
	assert_int_equal(db_int("SELECT count(*) FROM backfill_alert_deliveries"), 0);
}

static void look(struct node *one, const char *json)
{
	bf_store_alert_facts(one->store, json, 20, 3600000, 4, came_facts, NULL);
	db_wait();
	assert_int_equal(got.err.class, BF_ERR_NONE);
}

/* What instances know is gathered of those that live; today's units and an open circuit are seen. */
static void facts_of_providers(void **state)
{
	NODE(state);
	struct node *two = node_new("two", true);

	look(one, own);
	assert_int_equal(facts.live, 1);	/* two has told nothing yet */
	bf_store_alerts_tell(two->store, "{\"ai\":false,\"why\":\"w\",\"off\":{\"xai\":\"key refused\"}}", came_alerts, NULL);
	db_wait();
	look(one, own);
	assert_int_equal(facts.live, 2);
	assert_int_equal(facts.without_ai, 1);
	assert_int_equal(facts.off[BF_XAI], 1);
	assert_int_equal(facts.off[BF_GEMINI], 0);
	node_free(two);
	db_run("INSERT INTO api_quota (provider, day, used) VALUES ('isbndb', backfill_provider_day('isbndb', now()), 42),"
	       " ('xai', (now() - interval '3 days')::date, 9)");
	bf_store_close_provider(one->store, &(struct bf_provider_closure){ .provider = BF_WIKIDATA,
		.kind = BF_CLOSURE_CIRCUIT, .remaining_ms = 30000, .reason = "timed out" }, got_done, NULL);
	db_wait();
	db_run("UPDATE provider_state SET circuit_since = now() - interval '20 minutes'");
	bf_store_close_provider(one->store, &(struct bf_provider_closure){ .provider = BF_WIKIDATA,
		.kind = BF_CLOSURE_CIRCUIT, .remaining_ms = 60000, .reason = "still" }, got_done, NULL);
	db_wait();
	look(one, own);
	assert_int_equal(facts.used[BF_ISBNDB], 42);
	assert_non_null(facts.reset_at[BF_ISBNDB]);
	assert_null(facts.reset_at[BF_XAI]);
	assert_in_range(facts.circuit_s[BF_WIKIDATA], 1200, 1300);	/* since it first opened */
	bf_store_open_provider(one->store, BF_WIKIDATA, got_done, NULL);
	db_wait();
	look(one, own);
	assert_null(facts.circuit_why[BF_WIKIDATA]);
	db_run("DELETE FROM provider_state");
}

/* Months: the pool's figures, those without their lock, those that failed. */
static void facts_of_months(void **state)
{
	NODE(state);
	look(one, own);
	assert_int_equal(facts.books + facts.failed + facts.tried + facts.n_stuck, 0);
	db_run("INSERT INTO backfill_log (year, month, status, books_generated, isbns_resolved, completed_at, retry_count,"
	       " error_message, job_id, started_at) VALUES (2001, 1, 'completed', 20, 10, now(), 4, NULL, NULL, NULL),"
	       " (2001, 2, 'completed', 20, 15, now(), 0, NULL, NULL, NULL), (2001, 3, 'failed', 0, 0, now(), 5, 'x', NULL, NULL),"
	       " (2001, 4, 'failed', 0, 0, now(), 5, 'cancelled', NULL, NULL), (2001, 5, 'retry', 0, 0, NULL, 4, 'y', NULL, NULL),"
	       " (2001, 6, 'processing', 0, 0, NULL, 0, NULL, gen_random_uuid(), now()),"
	       " (2001, 7, 'processing', 0, 0, NULL, 0, NULL, NULL, now()),"
	       " (2001, 8, 'processing', 0, 0, NULL, 0, NULL, NULL, now() - interval '2 hours')");
	look(one, own);
	assert_int_equal(facts.resolved, 25);
	assert_int_equal(facts.books, 40);
	assert_int_equal(facts.n_low, 2);
	assert_int_equal(facts.failed, 2);
	assert_int_equal(facts.failed_again, 0);
	assert_int_equal(facts.spent.month, 4);
	assert_int_equal(facts.tried, 2);	/* completed and cancelled ones do not count */
	assert_int_equal(facts.tried_failed, 1);
	assert_int_equal(n_months, 2);		/* without a lock; past its time */
	db_run("DELETE FROM backfill_log");
}

/* Alerts go 90 days after they were cleared, with their deliveries; what is open stays, however old. */
static void pruning(void **state)
{
	NODE(state);
	const int64_t day = 86400000;
	const struct bf_retention r = { day, day, day, day, day, day };

	db_run("INSERT INTO backfill_alerts (key, subject, severity, summary, action, raised_at, cleared_at) VALUES"
	       " ('quota', 'a', 'warning', 's', 'a', now() - interval '1 y', now() - interval '91 d'),"
	       " ('quota', 'b', 'warning', 's', 'a', now() - interval '1 y', now() - interval '89 d'),"
	       " ('quota', 'c', 'warning', 's', 'a', now() - interval '1 y', NULL)");
	db_run("INSERT INTO backfill_alert_deliveries (alert_id, event, alert) SELECT id, 'raise', '{}' FROM backfill_alerts");
	for (int i = 0; i < 2; i++) {
		bf_store_prune(one->store, &r, got_count, NULL);
		db_wait();
		assert_int_equal(got.count, i == 0 ? 1 : 0);
	}
	assert_string_equal(db_text("SELECT string_agg(subject, ' ' ORDER BY subject) FROM backfill_alerts"), "b c");
	assert_int_equal(db_int("SELECT count(*) FROM backfill_alert_deliveries"), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(once_over_all, setup, db_teardown),
		cmocka_unit_test_setup_teardown(two_at_once, setup, db_teardown),
		cmocka_unit_test_setup_teardown(escalation, setup, db_teardown),
		cmocka_unit_test_setup_teardown(deliveries, setup, db_teardown),
		cmocka_unit_test_setup_teardown(nobody_to_tell, setup, db_teardown),
		cmocka_unit_test_setup_teardown(facts_of_providers, setup, db_teardown),
		cmocka_unit_test_setup_teardown(facts_of_months, setup, db_teardown),
		cmocka_unit_test_setup_teardown(pruning, setup, db_teardown),
	};

	return cmocka_run_group_tests(tests, db_group_setup, db_group_teardown);
}
