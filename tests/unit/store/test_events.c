/* Transitions read on from an id, and the record of operators' calls. */
#include "db.h"

#define NODE(state) struct node *one = *(state); if (one == NULL) skip()
#define CALL "00000000-0000-4000-8000-00000000000"

/* What a page brought, copied out of the callback. */
static struct { int n; bool more; int64_t ids[600]; char json[600], event[32]; int year, month; } page;
static struct bf_events_mark mark;

static void got_page(
	void *ctx, const struct bf_error *err, const struct bf_event *events, int n, bool more)
{
	(void)ctx;
	db_came(err);
	memset(&page, 0, sizeof(page));
	page.n = n;
	page.more = more;
	for (int i = 0; i < n; i++) {
		page.ids[i] = events[i].id;
		page.year = events[i].year;
		page.month = events[i].month;
		snprintf(page.event, sizeof(page.event), "%s", events[i].event);
		snprintf(page.json, sizeof(page.json), "%s", events[i].json);
	}
}

static void got_mark(void *ctx, const struct bf_error *err, const struct bf_events_mark *m)
{
	(void)ctx;
	db_came(err);
	mark = *m;
}

static void read_page(struct node *one, struct bf_events_ask asked)
{
	bf_store_events_page(one->store, &asked, got_page, NULL);
	db_wait();
	assert_string_equal(got.err.text, "");
}

static void read_mark(struct node *one)
{
	bf_store_events_mark(one->store, got_mark, NULL);
	db_wait();
	assert_string_equal(got.err.text, "");
}

/* A database without this room's rows. */
static int setup(void **state)
{
	int rc = db_setup(state);

	if (*state != NULL) {
		db_run("TRUNCATE backfill_audit RESTART IDENTITY");
		db_run("UPDATE backfill_control SET events_pruned = 0");
	}
	return rc;
}

/* Pages go on where the last one ended, are bounded in rows and bytes, and have one event at least. */
static void pages(void **state)
{
	NODE(state);
	int64_t first;

	db_run("INSERT INTO backfill_events (year, month, fence, step, event, detail) SELECT 2001, 1 + n %% 2, 1, n, 'moved',"
	       " jsonb_build_object('x', repeat('y', 1000)) FROM generate_series(1, 30) AS n");
	first = db_int("SELECT min(id) FROM backfill_events");
	read_mark(one);
	assert_int_equal(mark.last, first + 29);
	assert_int_equal(mark.pruned, 0);
	read_page(one, (struct bf_events_ask){ .upto = INT64_MAX, .limit = 10, .max_bytes = 1 << 20 });
	assert_int_equal(page.n, 10);
	assert_true(page.more);
	assert_int_equal(page.ids[9], first + 9);
	read_page(one, (struct bf_events_ask){ .after = first + 9, .upto = INT64_MAX, .limit = 100, .max_bytes = 5000 });
	assert_true(page.n >= 4 && page.n <= 6);
	assert_true(page.more);
	assert_int_equal(page.ids[0], first + 10);
	read_page(one, (struct bf_events_ask){ .after = first + 9, .upto = INT64_MAX, .limit = 100, .max_bytes = 1 });
	assert_int_equal(page.n, 1);
	assert_true(page.more);
	read_page(one, (struct bf_events_ask){ .after = first + 9, .upto = first + 19, .limit = 100, .max_bytes = 1 << 20 });
	assert_int_equal(page.n, 10);
	assert_false(page.more);
	read_page(one, (struct bf_events_ask){ .upto = INT64_MAX, .year = 2001, .month = 2, .limit = 100, .max_bytes = 1 << 20 });
	assert_int_equal(page.n, 15);
	assert_int_equal(page.month, 2);
	read_page(one, (struct bf_events_ask){ .upto = INT64_MAX, .year = 2001, .limit = 100, .max_bytes = 1 << 20 });
	assert_int_equal(page.n, 30);
	read_page(one, (struct bf_events_ask){ .upto = INT64_MAX, .year = 2002, .limit = 100, .max_bytes = 1 << 20 });
	assert_int_equal(page.n, 0);
	assert_false(page.more);
}

/* The JSON of an event is one line with every column; a detail beyond all bounds is told by its length. */
static void an_event(void **state)
{
	NODE(state);
	char want[400];

	db_run("INSERT INTO backfill_events (year, month, fence, step, event, from_stage, to_stage, instance, at, detail) VALUES"
	       " (2024, 12, 3, 4, 'saved', 'saving', 'resolving', 'one', '2026-01-14 03:04:05.678+00', '{\"a\": \"b\\nc\"}')");
	read_page(one, (struct bf_events_ask){ .upto = INT64_MAX, .limit = 10, .max_bytes = 1000 });
	snprintf(want, sizeof(want), "{\"id\" : %lld, \"at\" : \"2026-01-14T03:04:05.678Z\", \"year\" : 2024, \"month\" : 12,"
		 " \"from\" : \"saving\", \"to\" : \"resolving\", \"event\" : \"saved\", \"instance\" : \"one\", \"job_id\" : null,"
		 " \"fence\" : 3, \"step\" : 4, \"detail\" : {\"a\": \"b\\nc\"}}", (long long)page.ids[0]);
	assert_string_equal(page.json, want);
	assert_string_equal(page.event, "saved");
	db_run("UPDATE backfill_events SET detail = jsonb_build_object('x', repeat('y', 40000))");
	read_page(one, (struct bf_events_ask){ .upto = INT64_MAX, .limit = 10, .max_bytes = 1000 });
	assert_non_null(strstr(page.json, "\"detail\" : {\"omitted_bytes\": 400"));
}

/* What a prune takes is remembered by its highest id, also when nothing is left; old lines of the audit go. */
static void pruning(void **state)
{
	NODE(state);
	const int64_t day = 86400000;
	const struct bf_retention r = { day, day, day, day, 10 * day, day };
	int64_t first;

	db_run("INSERT INTO backfill_events (year, month, fence, step, event, at) SELECT 2001, 1, 1, n,"
	       " CASE n WHEN 2 THEN 'operator_retry' ELSE 'moved' END, now() - interval '2 d' FROM generate_series(1, 4) AS n");
	db_run("INSERT INTO backfill_audit (call_id, method, path, status, at) SELECT gen_random_uuid(), 'POST', '/x' || n, 200,"
	       " now() - n * interval '6 d' FROM generate_series(1, 2) AS n");
	first = db_int("SELECT min(id) FROM backfill_events");
	for (int i = 0; i < 2; i++) {
		bf_store_prune(one->store, &r, got_count, NULL);
		db_wait();
		assert_string_equal(got.err.text, "");
		assert_int_equal(got.count, i == 0 ? 4 : 0);
		assert_int_equal(db_int("SELECT events_pruned FROM backfill_control"), first + 3);
	}
	assert_string_equal(db_text("SELECT path FROM backfill_audit"), "/x1");
	read_mark(one);
	assert_int_equal(mark.last, first + 3);
	assert_int_equal(mark.pruned, first + 3);
}

/* A batch of calls is written once, however often it is sent, with the times of the calls. */
static void audit(void **state)
{
	NODE(state);
	const struct bf_audit rows[] = {
		{ .id = CALL "1", .age_ms = 60000, .duration_ms = 7, .status = 200, .operator_name = "ann \"x\"", .address = "::1",
		  .user_agent = "curl \xff", .method = "POST", .path = "/api/a", .body_json = "{\"n\":1}", .outcome = "ok" },
		{ .id = CALL "2", .status = 409, .method = "POST", .path = "/api/b", .outcome = "Paused" },
		{ .id = CALL "3", .status = 200, .method = "POST", .path = "/api/b", .body_json = "{\"n\":\"\\u0000\"}" },
	};

	for (int i = 0; i < 2; i++) {
		bf_store_audit_write(one->store, rows, 3, got_done, NULL);
		db_wait();
		assert_string_equal(got.err.text, "");
		assert_int_equal(got.outcome, BF_STORE_DONE);
	}
	assert_int_equal(db_int("SELECT count(*) FROM backfill_audit"), 3);
	assert_string_equal(db_text("SELECT string_agg(right(call_id::text, 1), '' ORDER BY id) FROM backfill_audit"), "123");
	assert_string_equal(db_text("SELECT operator || '|' || address || '|' || user_agent || '|' || instance || '|' || duration_ms ||"
				    " '|' || body::text || '|' || (now() - at BETWEEN interval '1 min' AND interval '2 min')"
				    " FROM backfill_audit WHERE path = '/api/a'"), "ann \"x\"|::1|curl ?|one|7|{\"n\": 1}|true");
	assert_int_equal(db_int("SELECT count(*) FROM backfill_audit WHERE body IS NULL AND operator IS NULL"), 2);
	bf_store_audit_json(one->store, &(struct bf_audit_filter){ .path = "/api/b" }, 1, 0, got_json, NULL);
	db_wait();
	assert_non_null(strstr(got.json, "\"path\" : \"/api/b\""));
	assert_null(strstr(got.json, "Paused"));
	assert_null(strstr(got.json, "\"next\" : null"));
	bf_store_audit_json(one->store, &(struct bf_audit_filter){ .operator_name = "ann \"x\"" }, 1, 0, got_json, NULL);
	db_wait();
	assert_non_null(strstr(got.json, "\"next\" : null"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, db_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(pages), TEST(an_event), TEST(pruning), TEST(audit) };

	return cmocka_run_group_tests(tests, db_group_setup, db_group_teardown);
}
