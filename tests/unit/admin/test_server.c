/* The interface over a real socket, with every door below it faked: what each route asks, and what it makes of the answer. */
#include <sys/socket.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <event2/event.h>
#include <event2/http.h>
#include "fakes.h"
#include "server.h"

#define SECRET "correct horse"
#define TURNS 5000			/* of at most 2 ms each, before a test gives up */

struct stand {
	struct bf_loop *loop;
	struct bf_config config;
	struct bf_admin *admin;
	uint16_t port;
	int status;
	char reply[262144];		/* the whole answer */
	const char *body;
};
static struct stand stand;

/* A running interface. */
static int setup(void **state)
{
	static char listen[] = "127.0.0.1:0", secret[] = SECRET, recent[] = "contemporary-notable", plain[] = "baseline";
	static char contact[] = "";
	struct bf_admin_parts parts = { 0 };
	struct sockaddr_in address = { 0 };
	socklen_t len = sizeof(address);
	struct bf_error err;

	(void)state;
	memset(&stand, 0, sizeof(stand));
	fakes_reset();
	bf_log_setup(BF_ERROR, false);
	stand.config.admin.listen = listen;
	stand.config.admin.secret = secret;
	stand.config.admin.max_body = 1000;
	stand.config.daemon.contact = contact;
	stand.config.database.connections = 4;
	stand.config.scheduler.batch_size = 10;
	stand.config.scheduler.year_start = 2000;
	stand.config.scheduler.year_end = 2024;
	stand.config.generation.books_per_provider = 20;
	stand.config.generation.prompt_recent = recent;
	stand.config.generation.prompt_recent_from = 2020;
	stand.config.generation.prompt_default = plain;
	stand.loop = fakes_loop_new();
	parts.loop = stand.loop;
	parts.locks = (struct bf_pg *)(void *)&stand;	/* anything but the pool's NULL */
	stand.admin = bf_admin_new(&parts, &stand.config, &err);
	assert_non_null(stand.admin);
	bf_admin_schema(stand.admin, BF_SCHEMA_OK, NULL);
	assert_int_equal(getsockname(evhttp_bound_socket_get_fd(stand.admin->bound), (struct sockaddr *)&address, &len), 0);
	stand.port = ntohs(address.sin_port);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	bf_admin_free(stand.admin);
	fakes_loop_free(stand.loop);
	return 0;
}

/* One turn of the loop, waiting a little for something to happen on the client's side. */
static void turn(int fd)
{
	struct pollfd waiting = { .fd = fd, .events = POLLIN };

	event_base_loop(bf_loop_base(stand.loop), EVLOOP_NONBLOCK);
	poll(&waiting, 1, 2);
}

static int client_open(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(stand.port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void client_send(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Everything up to the end of the connection. */
static void client_read(int fd)
{
	size_t len = 0;

	for (int i = 0; i < TURNS; i++) {
		ssize_t n = recv(fd, stand.reply + len, sizeof(stand.reply) - 1 - len, MSG_DONTWAIT);

		if (n == 0)
			break;
		if (n > 0)
			len += (size_t)n;
		else
			turn(fd);
	}
	stand.reply[len] = '\0';
	stand.status = strncmp(stand.reply, "HTTP/1.1 ", 9) == 0 ? (int)strtol(stand.reply + 9, NULL, 10) : -1;
	stand.body = strstr(stand.reply, "\r\n\r\n");
	stand.body = stand.body != NULL ? stand.body + 4 : "";
}

/* Text of a request that closes its connection. */
static void write_request(char *text, size_t size, const char *method, const char *path, const char *body)
{
	snprintf(text, size, "%s %s HTTP/1.1\r\nHost: localhost\r\nX-Cron-Secret: " SECRET "\r\nConnection: close\r\n"
		 "Content-Length: %zu\r\n\r\n%s", method, path, strlen(body), body);
}

/* A whole exchange. */
static void exchange(const char *method, const char *path, const char *body)
{
	char text[4096];
	int fd = client_open();

	write_request(text, sizeof(text), method, path, body);
	client_send(fd, text);
	client_read(fd);
	close(fd);
}

#define POST(path, body) exchange("POST", (path), (body))
#define GET(path) exchange("GET", (path), "")

/* The answer's status, and words that must be in it. */
static void expect(int status, const char *words)
{
	if (stand.status != status || strstr(stand.reply, words) == NULL)
		fail_msg("wanted %d with \"%s\", got: %s", status, words, stand.reply);
}

/* A claim's answer, to the byte: key order, newest first, figures only where there are some. */
static void test_claim(void **state)
{
	static const struct bf_month_brief briefs[] = {
		{ .year = 2023, .month = 2, .status = "processing", .resolution_rate = -1 },
		{ .year = 2024, .month = 11, .status = "processing", .resolution_rate = 63.157, .books_generated = 19,
		  .isbns_resolved = 12, .error_message = "broke" },
		{ .year = 2024, .month = 12, .status = "processing", .resolution_rate = -1 },
	};

	(void)state;
	fakes.claim = (struct bf_claim){ .briefs = briefs, .n = 3, .skipped = 2,
					 .totals = { .pending = 295, .processing = 5, .completed = 7, .failed = 1 } };
	POST("/api/internal/schedule-backfill", "{\"batch_size\":5,\"force_retry\":true}");
	expect(200, "Content-Type: application/json\r\n");
	expect(200, "Cache-Control: no-store\r\n");
	assert_string_equal(stand.body,
		"{\"dry_run\":false,\"batch_size\":5,\"months_selected\":3,\"months\":["
		"{\"year\":2024,\"month\":12,\"status\":\"processing\"},"
		"{\"year\":2024,\"month\":11,\"status\":\"processing\",\"books_generated\":19,\"isbns_resolved\":12,"
		"\"resolution_rate\":63.16,\"error_message\":\"broke\"},"
		"{\"year\":2023,\"month\":2,\"status\":\"processing\"}],"
		"\"total_pending\":295,\"total_processing\":5,\"total_completed\":7,\"total_failed\":1,"
		"\"execution_summary\":{\"triggered\":3,\"skipped\":2,\"errors\":0}}");
	assert_string_equal(fakes.last, "claim");
	assert_int_equal(fakes.batch_size, 5);
	assert_true(fakes.force_retry);
}

/* A dry run asks for a preview, never for a claim, and has no execution_summary. */
static void test_dry_run(void **state)
{
	(void)state;
	POST("/api/internal/schedule-backfill", "{\"dry_run\":true,\"year_range\":{\"start\":2023,\"end\":2020}}");
	expect(200, "{\"dry_run\":true,\"batch_size\":10,\"months_selected\":0,\"months\":[],");
	assert_null(strstr(stand.body, "execution_summary"));
	assert_string_equal(fakes.last, "preview");
	assert_int_equal(fakes.asked, 2);	/* the figures of the last months before */
	expect(200, "\"estimate\":{\"basis\":{\"months\":0,\"since\":null,\"from\":\"configuration\"},");
	assert_int_equal(fakes.year_low, 2020);
	assert_int_equal(fakes.year_high, 2023);
}

/* The estimate multiplies what a month cost; units that do not suffice bind. */
static void test_estimate(void **state)
{
	static char since[] = "2024-12-01T00:00:00Z";
	static const struct bf_month_brief briefs[] = { { .year = 2024, .month = 12, .status = "pending", .resolution_rate = -1 },
		{ .year = 2024, .month = 11, .status = "pending", .resolution_rate = -1 } };

	(void)state;
	fakes.claim = (struct bf_claim){ .briefs = briefs, .n = 2 };
	fakes.plan = (struct bf_plan_figures){ .months = 10, .since = since, .seconds = 30 };
	fakes.plan.calls[BF_ISBNDB] = 100;
	fakes.plan.units[BF_ISBNDB] = 105;
	fakes.plan.cost_usd[BF_ISBNDB] = 5;
	fakes.plan.used[BF_ISBNDB] = 12000;
	stand.config.scheduler.concurrent_months = 1;
	POST("/api/internal/schedule-backfill", "{\"dry_run\":true}");
	expect(200, "\"isbndb\":{\"calls\":20,\"units\":21,\"cost_usd\":1.000000,\"quota_left_after\":979}");
	expect(200, "\"cost_usd\":1.000000,\"seconds\":60,\"binds\":\"concurrent_months\"}");
	fakes.plan.used[BF_ISBNDB] = 12999;
	fakes.plan.reset_in_s[BF_ISBNDB] = 3600;
	stand.config.provider[BF_ISBNDB].enabled = true;
	stand.config.provider[BF_ISBNDB].rate_per_s = 0.1;
	POST("/api/internal/schedule-backfill", "{\"dry_run\":true}");
	expect(200, "\"quota_left_after\":0}");
	expect(200, "\"seconds\":3600,\"binds\":\"isbndb quota\"}");
	fakes.plan.reset_in_s[BF_ISBNDB] = 100;
	POST("/api/internal/schedule-backfill", "{\"dry_run\":true}");
	expect(200, "\"seconds\":200,\"binds\":\"isbndb rate\"}");
}

/* Months of which more books are asked cost more: by their batch_size against that of those the figures are of. */
static void test_estimate_by_books(void **state)
{
	static const struct bf_month_brief briefs[] = { { .year = 2024, .month = 12, .status = "pending", .resolution_rate = -1, .batch_size = 40 },
		{ .year = 2024, .month = 11, .status = "pending", .resolution_rate = -1, .batch_size = 20 } };

	(void)state;
	fakes.claim = (struct bf_claim){ .briefs = briefs, .n = 2 };
	fakes.plan = (struct bf_plan_figures){ .months = 10, .since = "2024-12-01T00:00:00Z", .seconds = 30, .batch_size = 20 };
	fakes.plan.calls[BF_GEMINI] = 10;
	fakes.plan.calls[BF_ISBNDB] = fakes.plan.units[BF_ISBNDB] = 100;
	fakes.plan.cost_usd[BF_GEMINI] = 1;
	POST("/api/internal/schedule-backfill", "{\"dry_run\":true}");
	expect(200, "\"gemini\":{\"calls\":2,\"units\":0,\"cost_usd\":0.300000,");
	expect(200, "\"isbndb\":{\"calls\":30,\"units\":30,");
}

/* The overview is compact, and what PostgreSQL wrote stands in it without its blanks, but for those within strings. */
static void test_overview(void **state)
{
	(void)state;
	fakes.overview = (struct bf_overview){ .now = "2026-01-14T00:30:00.123Z", .db_wall_us = INT64_C(1768350600000000), .last_event = 7,
		.stats = "{\"total_months\" : 1}", .queue = "{\"pending\" : 0}", .months = "[[2024, 12, \"pending\", null]]",
		.instances = "[{\"host\" : \"a : \\\" b\"}]", .total = 1, .pending = 1, .pending_within = 1, .live = 1 };
	GET("/api/internal/overview");
	expect(200, "{\"now\":\"2026-01-14T00:30:00.123Z\",");
	expect(200, "\"last_event\":7,\"paused\":null,\"timer\":{");
	expect(200, "\"stats\":{\"total_months\":1},\"progress\":{\"total\":1,\"completed\":0,\"failed\":0,\"left\":1,\"percent\":0.0,");
	expect(200, "\"rows\":[[2024,12,\"pending\",null]]}");
	expect(200, "\"instances\":[{\"host\":\"a : \\\" b\"}]}");
	expect(200, "\"alerts\":[],");
	expect(200, "\"quota\":null}");
	expect(200, "{\"name\":\"google_books\",\"kind\":\"isbn\",\"enabled\":false,\"usable\":false,\"reason\":\"no api key\",");
	assert_string_equal(fakes.last, "overview");
}

/* Many months at once: only looked at unless told otherwise; years in either order; without a predicate nothing is asked. */
static void test_again(void **state)
{
	(void)state;
	fakes.again = (struct bf_again_reply){ .matched = 2, .retried = 1, .reset = 1, .batch_size = 20, .months = "[{\"year\" : 2024}]" };
	POST("/api/internal/months/retry", "{\"status\":\"failed\",\"year_range\":{\"start\":2023,\"end\":2020}}");
	expect(200, "{\"dry_run\":true,\"matched\":2,\"retried\":1,\"reset\":1,\"months\":[{\"year\" : 2024}],\"estimate\":{\"basis\":");
	assert_string_equal(fakes.last, "again");
	assert_true(fakes.dry_run);
	assert_int_equal(fakes.limit, 2412);
	assert_int_equal(fakes.year_low, 2020);
	assert_int_equal(fakes.year_high, 2023);
	POST("/api/internal/months/retry", "{\"rate_below\":50,\"dry_run\":false,\"limit\":3}");
	expect(200, "\"dry_run\":false,");
	assert_false(fakes.dry_run);
	assert_int_equal(fakes.limit, 3);
	assert_int_equal(fakes.year_low, 1900);
	fakes.asked = 0;
	POST("/api/internal/months/retry", "{\"dry_run\":false,\"year_range\":{\"start\":2023}}");
	expect(400, "give status, rate_below or refused_by");
	assert_int_equal(fakes.asked, 0);
}

/* Why: the facts become blockers in order. Verify: the store's findings with true totals. Doctor: the schema first, files, clock. */
static void test_why_verify_doctor(void **state)
{
	static const struct bf_check checks[] = { { "chain", 9, 700, 1 } };
	static const struct bf_finding found[] = { { "chain", true, "2024-06", "a gap", "reset it" } };

	(void)state;
	fakes.why = (struct bf_why){ .seeded = true, .status = "failed", .retry_count = 5, .error = "no \"books\"", .paused = true,
				     .note = "disks", .paused_ms = -1, .db_wall_us = INT64_C(1700000000000000) };
	GET("/api/internal/months/2024/6/why");
	expect(200, "\"status\":\"failed\",\"stage\":null,\"earliest_start\":null,\"blockers\":[{\"code\":\"paused\",");
	expect(200, "{\"code\":\"attempts_spent\",\"text\":\"failed after 5 attempts (no \\\"books\\\"); retry or reset it\",");
	assert_int_equal(fakes.month, 6);
	fakes.findings = (struct bf_findings){ .checks = checks, .n_checks = 1, .v = found, .n = 1, .year_low = 2020,
					       .year_high = 2024, .db_wall_us = bf_wall_us() };
	GET("/api/internal/verify?year_end=2024");
	expect(200, "{\"ok\":false,\"years\":[2020,2024],\"checked\":{\"chain\":9},\"found\":{\"chain\":701},\"errors\":700,"
		    "\"warnings\":1,\"findings\":[{\"check\":\"chain\",\"severity\":\"error\",\"subject\":\"2024-06\",");
	assert_int_equal(fakes.year_low, 2000);
	assert_true(fakes.asked_years);
	GET("/api/internal/verify?year_start=2025");
	expect(400, "\"field\":\"year_start\"");
	bf_error_set(&fakes.error, BF_ERR_REFUSED, "A look like this is under way: wait for its answer");
	GET("/api/internal/verify");
	expect(503, "\"error\":\"A look like this is under way: wait for its answer\"");
	strcpy(fakes.error.sqlstate, "57014");
	GET("/api/internal/verify");
	expect(503, "\"error\":\"The checks took longer than 100 s: ask for fewer years");
	fakes.error.class = BF_ERR_NONE;
	fakes.schema = BF_SCHEMA_BEHIND;
	fakes.file_problem = "can be read by everyone (mode 0644)";
	fakes.findings.db_wall_us = bf_wall_us() + 5000000;
	GET("/api/internal/doctor");
	expect(200, "\"text\":\"migrations are pending\",\"remedy\":\"run: backfilld migrate\"}");
	expect(200, "\"text\":\"/etc/secret can be read by everyone (mode 0644)\"");
	expect(200, "\"text\":\"this host's clock is ");
	assert_null(strstr(stand.body, SECRET));
}

/* A missing end of the range comes from the configuration; one that leaves nothing is refused. */
static void test_year_range(void **state)
{
	(void)state;
	POST("/api/internal/schedule-backfill", "");
	expect(200, "\"batch_size\":10");
	assert_int_equal(fakes.year_low, 2000);
	assert_int_equal(fakes.year_high, 2024);
	POST("/api/internal/schedule-backfill", "{\"year_range\":{\"start\":2021}}");
	assert_int_equal(fakes.year_low, 2021);
	assert_int_equal(fakes.year_high, 2024);
	POST("/api/internal/schedule-backfill", "{\"year_range\":{\"end\":2022}}");
	assert_int_equal(fakes.year_low, 2000);
	assert_int_equal(fakes.year_high, 2022);
	fakes.asked = 0;
	POST("/api/internal/schedule-backfill", "{\"year_range\":{\"start\":2025}}");
	expect(400, "\"field\":\"year_range\"");
	POST("/api/internal/schedule-backfill", "{\"year_range\":{\"end\":1999}}");
	expect(400, "leaves no year");
	assert_int_equal(fakes.asked, 0);
}

/* Nothing is asked for a body that isn't right: a misspelt dry_run must never start a live run. */
static void test_bad_bodies(void **state)
{
	static const struct { const char *path, *body; } rows[] = {
		{ "/api/internal/schedule-backfill", "{\"dry_ron\":true}" },
		{ "/api/internal/schedule-backfill", "{\"batch_size\":51}" },
		{ "/api/internal/schedule-backfill", "[]" },
		{ "/api/internal/schedule-backfill", "{\"dry_run\":true" },
		{ "/api/internal/seed-backfill-queue", "{\"year_start\":1899}" },
		{ "/api/internal/seed-backfill-queue", "{\"year_start\":2024,\"year_end\":2000}" },
		{ "/api/harvest/backfill", "{\"year\":2023}" },
		{ "/api/harvest/backfill", "{\"month\":3}" },
		{ "/api/harvest/backfill", "{\"batch_size\":101}" },
		{ "/api/harvest/backfill", "{\"max_quota\":0}" },
		{ "/api/harvest/backfill", "{\"max_quota\":1001}" },
		{ "/api/harvest/backfill", "{\"model_override\":\"gpt-5\"}" },
		{ "/api/harvest/backfill", "{\"model_override\":\"gemini-x/../y\"}" },
		{ "/api/harvest/backfill", "{\"prompt_variant\":\"Baseline\"}" },
		{ "/api/internal/pause", "{\"note\":5}" },
		{ "/api/internal/pause", "{\"until\":\"tomorrow\"}" },
		{ "/api/internal/pause", "{\"until\":\"2001-01-01T00:00:00Z\"}" },
		{ "/api/internal/resume", "{\"note\":\"x\"}" },
		{ "/api/internal/months/2024/1/cancel", "{\"force\":true}" },
	};

	(void)state;
	for (size_t i = 0; i < BF_COUNT(rows); i++) {
		POST(rows[i].path, rows[i].body);
		if (stand.status != 400 || strstr(stand.body, "\"details\":[{\"field\":") == NULL)
			fail_msg("%s %s: %s", rows[i].path, rows[i].body, stand.reply);
	}
	assert_int_equal(fakes.asked, 0);
}

/* Paused: 409 with the note. Nothing to claim with: 503. Database away: 503 at once, nothing is asked. */
static void test_claim_refused(void **state)
{
	(void)state;
	bf_error_set(&fakes.error, BF_ERR_CONFIG, "paused: new keys");
	POST("/api/internal/schedule-backfill", "{}");
	expect(409, "{\"error\":\"Paused: new keys\",\"paused\":true,\"note\":\"new keys\"}");
	bf_error_set(&fakes.error, BF_ERR_CONFIG, "paused");
	POST("/api/internal/schedule-backfill", "{}");
	expect(409, "{\"error\":\"Paused\",\"paused\":true,\"note\":null}");
	bf_error_set(&fakes.error, BF_ERR_RETRY, "claim: connection lost");
	POST("/api/internal/schedule-backfill", "{}");
	expect(503, "Retry-After: 5\r\n");
	bf_error_set(&fakes.error, BF_ERR_BUG, "claim: no such column");
	POST("/api/internal/schedule-backfill", "{}");
	expect(500, "\"error\"");
	assert_null(strstr(stand.body, "column"));
	fakes.error.class = BF_ERR_NONE;
	fakes.asked = 0;
	fakes.blocked = "no AI provider usable: gemini: no api key";
	POST("/api/internal/schedule-backfill", "{}");
	expect(503, "no AI provider usable");
	expect(503, "Retry-After: ");
	POST("/api/harvest/backfill", "{}");
	expect(503, "no AI provider usable");
	fakes.database_up = false;
	POST("/api/internal/schedule-backfill", "{}");
	expect(503, "database");
	GET("/api/internal/backfill-stats");
	expect(503, "Retry-After: 5\r\n");
	POST("/api/internal/months/2024/1/retry", "");
	expect(503, "database");
	assert_int_equal(fakes.asked, 0);
}

/* Seeding: defaults of the contract, prompts of the configuration, the count in the answer. */
static void test_seed(void **state)
{
	(void)state;
	fakes.count = 300;
	POST("/api/internal/seed-backfill-queue", "");
	expect(200, "{\"months_seeded\":300,\"message\":\"Successfully seeded 300 months (2000-2024)\"}");
	assert_int_equal(fakes.seed.year_start, 2000);
	assert_int_equal(fakes.seed.year_end, 2024);
	assert_int_equal(fakes.seed.batch_size, 20);
	assert_int_equal(fakes.seed.recent_from, 2020);
	assert_string_equal(fakes.seed.variant_recent, "contemporary-notable");
	POST("/api/internal/seed-backfill-queue", "{\"year_start\":1900,\"year_end\":2100}");
	expect(200, "(1900-2100)");
}

/* A harvest job is accepted with its id and where to look; the dry run says that it spends. */
static void test_harvest(void **state)
{
	(void)state;
	fakes.harvest.row = (struct bf_month_row){ .ref = { .year = 2023, .month = 12 }, .job_id = "ID" };
	POST("/api/harvest/backfill", "{\"year\":2023,\"month\":12,\"batch_size\":7,\"prompt_variant\":\"annual\","
	     "\"model_override\":\"grok-4.3\",\"max_quota\":9,\"experiment_id\":\"e1\"}");
	expect(202, "{\"success\":true,\"job_id\":\"ID\",\"year\":2023,\"month\":12,\"status\":\"queued\",\"message\":\"");
	expect(202, "\"status_url\":\"/api/harvest/backfill/status/ID\"}");
	assert_int_equal(fakes.harvest_ask.batch_size, 7);
	assert_int_equal(fakes.harvest_ask.max_quota, 9);
	POST("/api/harvest/backfill", "{\"dry_run\":true}");
	expect(202, "spends real quota");
	assert_true(fakes.harvest_ask.dry_run);
	assert_int_equal(fakes.harvest_ask.year, 0);
	assert_null(fakes.harvest_ask.model_override);
}

/* Why a month can't be harvested. */
static void test_harvest_refused(void **state)
{
	(void)state;
	fakes.harvest.result = BF_HARVEST_COMPLETED;
	POST("/api/harvest/backfill", "{\"year\":2023,\"month\":2}");
	expect(409, "2023-02 is completed");
	fakes.harvest.result = BF_HARVEST_IN_FLIGHT;
	POST("/api/harvest/backfill", "{\"year\":2023,\"month\":2}");
	expect(409, "in flight");
	fakes.harvest.result = BF_HARVEST_NOTHING;
	POST("/api/harvest/backfill", "{}");
	expect(409, "No month");
	fakes.harvest.result = BF_HARVEST_PAUSED;
	fakes.harvest.note = "wait";
	POST("/api/harvest/backfill", "{}");
	expect(409, "\"note\":\"wait\"");
	POST("/api/harvest/backfill", "{\"prompt_variant\":\"x\"}");
	expect(400, "baseline, contemporary-notable, annual, diversity-emphasis, overlooked-significance, genre-rotation, "
		    "era-contextualized");
}

/* An operator's action answers with the month; a cancelled one that this process holds is let go of. */
static void test_month_actions(void **state)
{
	(void)state;
	fakes.json = "{\"year\":2024,\"month\":9,\"status\":\"failed\"}";
	fakes.held = (struct bf_month_ref){ .year = 2024, .month = 9, .fence = 7 };
	POST("/api/internal/months/2024/8/cancel", "");
	expect(200, fakes.json);
	assert_int_equal(fakes.lost, 0);
	POST("/api/internal/months/2024/9/cancel", "{}");
	expect(200, fakes.json);
	assert_int_equal(fakes.lost, 1);
	fakes.outcome = BF_STORE_REFUSED;
	POST("/api/internal/months/2024/9/retry", "");
	expect(409, "Month 2024-09 is failed and can't be retried");
	fakes.outcome = BF_STORE_NOT_MINE;
	POST("/api/internal/months/2024/9/reset", "");
	expect(404, "\"error\"");
	assert_int_equal(fakes.lost, 1);
}

/* Pause and resume reach the store as asked, times in UTC. */
static void test_pause(void **state)
{
	(void)state;
	POST("/api/internal/pause", "{\"note\":\"new \\\"keys\\\"\",\"until\":\"2099-01-01T00:00:00+02:00\"}");
	expect(200, "{\"paused\":true,\"note\":\"new \\\"keys\\\"\",\"until\":\"2098-12-31T22:00:00Z\"}");
	assert_true(fakes.paused);
	assert_string_equal(fakes.note, "new \"keys\"");
	assert_string_equal(fakes.until, "2098-12-31T22:00:00Z");
	POST("/api/internal/pause", "");
	expect(200, "{\"paused\":true,\"note\":null,\"until\":null}");
	assert_string_equal(fakes.note, "(none)");
	POST("/api/internal/resume", "");
	expect(200, "{\"paused\":false,\"note\":null,\"until\":null}");
	assert_false(fakes.paused);
}

/* Views pass the store's JSON on; nothing found is 404. */
static void test_views(void **state)
{
	static const char *const paths[] = {
		"/api/internal/backfill-stats", "/api/internal/months", "/api/internal/months/2024/1", "/api/quota/status",
		"/api/harvest/backfill/status/0b7e1f2a-9c3d-4e5f-8a6b-7c8d9e0f1a2b",
	};

	(void)state;
	for (size_t i = 0; i < BF_COUNT(paths); i++) {
		fakes.json = "{\"a\":1}";
		GET(paths[i]);
		expect(200, "\r\n\r\n{\"a\":1}");
		fakes.json = NULL;
		GET(paths[i]);
		expect(404, "{\"error\":\"Not found: /api/");
	}
	GET("/api/internal/config");
	expect(200, "{\"admin\":{\"listen\":\"127.0.0.1:0\",\"secret\":\"set\"},\"scheduler\":{\"batch_size\":\"10\"}}");
}

/* A book is asked for by its ISBN in any spelling, else by a work's key, decoded once. */
static void test_book(void **state)
{
	static const struct { const char *path, *isbn13, *work_key; } rows[] = {
		{ "9780306406157", "9780306406157", "(none)" }, { "0-306-40615-2", "9780306406157", "(none)" },
		{ "978-0-306-40615-7", "9780306406157", "(none)" }, { "synthetic:0a1b", "(none)", "synthetic:0a1b" },
		{ "%2Fworks%2FOL1W", "(none)", "/works/OL1W" }, { "a%20b+c", "(none)", "a b+c" },
		{ "9780306406158", "(none)", "9780306406158" }, { "%E4%B9%A6", "(none)", "\xe4\xb9\xa6" },
	};
	char path[1200];

	(void)state;
	for (size_t i = 0; i < BF_COUNT(rows); i++) {
		fakes.json = "{\"a\":1}";
		snprintf(path, sizeof(path), "/api/internal/books/%s?x=1", rows[i].path);
		GET(path);
		expect(200, "\r\n\r\n{\"a\":1}");
		assert_string_equal(fakes.isbn13, rows[i].isbn13);
		assert_string_equal(fakes.work_key, rows[i].work_key);
	}
	fakes.json = NULL;
	GET("/api/internal/books/work%3a1");
	expect(404, "{\"error\":\"Not found: nothing is known of work:1\"}");
	fakes.database_up = false;
	GET("/api/internal/books/work:1");
	expect(503, "Retry-After: 5\r\n");
}

/* A key that is no text, or too long, is refused before anybody is asked; the length counts characters. */
static void test_bad_key(void **state)
{
	static const char *const bad[] = { "%", "%4", "%zz", "a%00", "%0A", "%ff", "%7F", "a%C2%80" };
	char path[1600] = "/api/internal/books/";
	size_t len = strlen(path);

	(void)state;
	for (size_t i = 0; i < BF_COUNT(bad); i++) {
		snprintf(path + len, sizeof(path) - len, "%s", bad[i]);
		GET(path);
		expect(400, "\"details\":[{\"field\":\"key\",");
	}
	for (size_t i = 0; i < 200; i++)
		memcpy(path + len + 6 * i, "%C3%A9", 7);
	assert_int_equal(fakes.asked, 0);
	GET(path);
	expect(200, "{}");
	memcpy(path + len + 1200, "x", 2);
	fakes.asked = 0;
	GET(path);
	expect(400, "200 characters");
	assert_int_equal(fakes.asked, 0);
}

/* Filters and page reach the store as written; without any everything is asked for, a hundred at a time. */
static void test_items(void **state)
{
	(void)state;
	GET("/api/internal/enrichment");
	expect(200, "{}");
	assert_string_equal(fakes.status, "(none)");
	assert_string_equal(fakes.after, "(none)");
	assert_int_equal(fakes.limit, 100);
	GET("/api/internal/enrichment?status=failed&reason=HTTP+429%25&provider=open_library&year=2024&month=12&limit=500"
	    "&after=0b7e1f2a-9c3d-4e5f-8a6b-7c8d9e0f1a2b");
	expect(200, "{}");
	assert_string_equal(fakes.last, "items");
	assert_string_equal(fakes.status, "failed");
	assert_string_equal(fakes.reason, "HTTP 429%");
	assert_string_equal(fakes.provider, "open_library");
	assert_string_equal(fakes.after, "0b7e1f2a-9c3d-4e5f-8a6b-7c8d9e0f1a2b");
	assert_int_equal(fakes.year, 2024);
	assert_int_equal(fakes.month, 12);
	assert_int_equal(fakes.limit, 500);
	fakes.json = NULL;
	GET("/api/internal/enrichment?after=0b7e1f2a-9c3d-4e5f-8a6b-7c8d9e0f1a2b");
	expect(400, "{\"field\":\"after\",\"message\":\"there is no such item\"}");
}

/* What is wrong with a query is named, and nobody is asked. */
static void test_bad_queries(void **state)
{
	static const struct { const char *query, *field; } rows[] = {
		{ "state=failed", "state" }, { "status=retry", "status" }, { "status=", "status" }, { "provider=isbn", "provider" },
		{ "year=1899", "year" }, { "month=13", "month" }, { "limit=0", "limit" }, { "limit=501", "limit" },
		{ "limit=1&limit=2", "limit" }, { "after=1", "after" }, { "after=0b7e1f2a-9c3d-4e5f-8a6b-7c8d9e0f1a2g", "after" },
		{ "after=0b7e1f2a09c3d-4e5f-8a6b-7c8d9e0f1a2b", "after" }, { "reason=%", "reason" }, { "reason=%00", "reason" },
	};
	char path[200], words[100];

	(void)state;
	for (size_t i = 0; i < BF_COUNT(rows); i++) {
		snprintf(path, sizeof(path), "/api/internal/enrichment?%s", rows[i].query);
		snprintf(words, sizeof(words), "\"details\":[{\"field\":\"%s\",", rows[i].field);
		GET(path);
		expect(400, words);
	}
	assert_int_equal(fakes.asked, 0);
}

/* Redriving only counts unless it is told otherwise; adopting does it, with the attempts of the configuration. */
static void test_redrive_and_adopt(void **state)
{
	static const char *const bad[] = {
		"{\"dry_ron\":false}", "{\"limit\":0}", "{\"limit\":100001}", "{\"provider\":\"x\"}", "{\"year\":1}",
		"{\"reason\":\"\"}", "{\"dry_run\":\"false\"}", "{\"status\":\"failed\"}",
	};

	(void)state;
	for (size_t i = 0; i < BF_COUNT(bad); i++) {
		POST("/api/internal/enrichment/redrive", bad[i]);
		expect(400, "\"details\":[{\"field\":");
	}
	POST("/api/internal/enrichment/adopt", "{\"limit\":100001}");
	expect(400, "\"field\":\"limit\"");
	POST("/api/internal/enrichment/adopt", "{\"reason\":\"x\"}");
	expect(400, "\"field\":\"reason\"");
	assert_int_equal(fakes.asked, 0);
	fakes.json = "{\"redriven\":0}";
	POST("/api/internal/enrichment/redrive", "");
	expect(200, "\r\n\r\n{\"redriven\":0}");
	assert_true(fakes.dry_run);
	assert_int_equal(fakes.limit, 1000);
	POST("/api/internal/enrichment/redrive", "{\"dry_run\":false,\"reason\":\"no \\u00e9\",\"provider\":\"isbndb\","
	     "\"year\":2024,\"month\":2,\"limit\":100000}");
	expect(200, "redriven");
	assert_string_equal(fakes.last, "redrive");
	assert_false(fakes.dry_run);
	assert_string_equal(fakes.reason, "no \xc3\xa9");
	assert_string_equal(fakes.provider, "isbndb");
	assert_int_equal(fakes.year * 100 + fakes.month, 202402);
	assert_int_equal(fakes.limit, 100000);
	stand.config.enrichment.max_attempts = 4;
	POST("/api/internal/enrichment/adopt", "");
	expect(200, "redriven");
	assert_string_equal(fakes.last, "adopt");
	assert_false(fakes.dry_run);
	assert_int_equal(fakes.limit, 10000);
	assert_int_equal(fakes.max_retries, 4);
	fakes.database_up = false;
	POST("/api/internal/enrichment/adopt", "{}");
	expect(503, "Retry-After: 5\r\n");
}

/* HEAD has GET's header and no body. */
static void test_head(void **state)
{
	(void)state;
	fakes.json = "{\"a\":1}";
	exchange("HEAD", "/api/internal/months", "");
	expect(200, "Content-Length: 7\r\n");
	assert_string_equal(stand.body, "");
}

/* Secret before path, path before method, method before size, size before body. */
static void test_order(void **state)
{
	char text[2048];
	int fd = client_open();

	(void)state;
	client_send(fd, "POST /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1\r\n\r\n[");
	client_read(fd);
	close(fd);
	expect(401, "{\"error\":\"Unauthorized: Invalid or missing X-Cron-Secret\"}");
	memset(text, ' ', 1500);
	text[1500] = '\0';
	POST("/nowhere", text);
	expect(404, "{\"error\":\"Not found: /nowhere\"}");
	exchange("PUT", "/api/internal/pause", text);
	expect(405, "Allow: POST\r\n");
	POST("/api/internal/pause", text);
	expect(413, "1000 bytes");
	text[1000] = '\0';
	POST("/api/internal/pause", text);
	expect(400, "details");
	assert_int_equal(fakes.asked, 0);
}

/* Unready for three reasons only; everything else is listed. */
static void test_ready(void **state)
{
	static const struct bf_pulse pulse = { .paused = true, .pause_note = "new keys" };

	(void)state;
	fakes.pulse = &pulse;
	fakes.locks_up = false;
	GET("/readyz");
	expect(200, "{\"ready\":true,\"reasons\":[],\"degraded\":[\"google_books: no api key\",\"paused: new keys\","
		    "\"lock session: down\"]}");
	fakes.any_ai = false;
	GET("/readyz");
	expect(503, "[\"no AI provider usable\"]");
	fakes.any_ai = true;
	fakes.database_up = false;
	GET("/readyz");
	expect(503, "[\"database: not connected\"]");
	GET("/healthz");
	expect(200, "{\"status\":\"ok\"");
	fakes.database_up = true;
	fakes.pulse = NULL;
	GET("/readyz");
	expect(503, "[\"database: not looked at yet\"]");
	fakes.pulse = &pulse;
	bf_admin_schema(stand.admin, BF_SCHEMA_BEHIND, "run backfilld migrate");
	GET("/readyz");
	expect(503, "[\"schema: run backfilld migrate\"]");
}

/* Metrics: with the database away, every sample has a type, histograms are cumulative, counters end in _total. */
static void test_metrics(void **state)
{
	static const struct bf_pulse pulse = { .queue_depth = 9, .queue_waiting = 4, .queue_failed = 2, .queue_oldest_s = 61 };
	char type[128] = "", kind[16] = "";
	char *line, *rest;

	(void)state;
	fakes.database_up = false;
	fakes.pulse = &pulse;
	fakes.enrich = (struct bf_enrich_figures){ .ended = { 5, 1 }, .works_absorbed = 3,
						   .batch = { .bucket = { 1, 2 }, .n = 3, .sum_s = 4.5 } };
	GET("/metrics");
	assert_null(strstr(stand.reply, "enrichment_items_total"));
	stand.admin->parts.enrich = (struct bf_enrich *)(void *)&stand;
	GET("/metrics");
	expect(200, "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
	expect(200, "\nbackfill_queue_depth 9\n");
	expect(200, "\nbackfill_enrichment_queue{state=\"pending\"} 9\nbackfill_enrichment_queue{state=\"waiting\"} 4\n"
		    "backfill_enrichment_queue{state=\"processing\"} 0\nbackfill_enrichment_queue{state=\"failed\"} 2\n");
	expect(200, "\nbackfill_enrichment_oldest_seconds 61\n");
	expect(200, "\nbackfill_enrichment_items_held 7\n");
	expect(200, "\nbackfill_enrichment_items_total{outcome=\"completed\"} 5\n"
		    "backfill_enrichment_items_total{outcome=\"waiting\"} 1\n");
	expect(200, "\nbackfill_enrichment_works_total{kind=\"absorbed\"} 3\n");
	expect(200, "\nbackfill_enrichment_batch_duration_seconds_bucket{le=\"2\"} 3\n");
	expect(200, "\nbackfill_enrichment_batch_duration_seconds_sum 4.5\n"
		    "backfill_enrichment_batch_duration_seconds_count 3\n");
	expect(200, "\nbackfill_database_up 0\n");
	expect(200, "\nbackfill_quota_used{provider=\"isbndb\"} 58\n");
	expect(200, "backfill_provider_request_duration_seconds_bucket{provider=\"xai\",le=\"4\"} 3\n");
	expect(200, "backfill_provider_request_duration_seconds_bucket{provider=\"xai\",le=\"+Inf\"} 3\n");
	expect(200, "backfill_provider_request_duration_seconds_count{provider=\"xai\"} 3\n");
	expect(200, "backfill_build_info{version=\"" BF_VERSION "\"} 1\n");
	for (line = strtok_r(strstr(stand.reply, "# HELP"), "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
		size_t len = strlen(type);

		if (sscanf(line, "# TYPE %127s %15s", type, kind) == 2) {
			assert_int_equal(strcmp(kind, "counter") == 0, strlen(type) > 6 &&
					 strcmp(type + strlen(type) - 6, "_total") == 0);
			continue;
		}
		if (strncmp(line, "# HELP ", 7) == 0)
			continue;
		if (strncmp(line, type, len) != 0 || strchr(strcmp(kind, "histogram") == 0 ? "_" : " {", line[len]) == NULL)
			fail_msg("sample without its type: %s (%s)", line, type);
	}
}

/* A client that leaves while its answer is being made harms nobody: the answer goes nowhere, the next client is served. */
static void test_client_gone(void **state)
{
	char text[1024];
	int fd = client_open();

	(void)state;
	fakes.hold = true;
	write_request(text, sizeof(text), "GET", "/api/internal/months", "");
	client_send(fd, text);
	for (int i = 0; i < TURNS && fakes.asked == 0; i++)
		turn(fd);
	assert_int_equal(bf_admin_pending(stand.admin), 1);
	close(fd);
	for (int i = 0; i < 20; i++)
		turn(-1);
	fakes_answer();
	for (int i = 0; i < TURNS && bf_admin_pending(stand.admin) > 0; i++)
		turn(-1);
	assert_int_equal(bf_admin_pending(stand.admin), 0);
	fakes.hold = false;
	GET("/healthz");
	expect(200, "ok");
}

/* A drain refuses new clients, lets idle ones go, and finishes what it has begun. */
static void test_drain(void **state)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(stand.port) };
	char text[] = "GET /api/internal/months HTTP/1.1\r\nHost: a\r\nX-Cron-Secret: " SECRET "\r\n\r\n";
	int busy = client_open(), idle = client_open(), late;

	(void)state;
	fakes.hold = true;
	fakes.json = "[1]";
	client_send(busy, text);
	for (int i = 0; i < TURNS && fakes.asked == 0; i++)
		turn(busy);
	for (int i = 0; i < TURNS && stand.admin->conns.live < 2; i++)
		turn(-1);
	bf_admin_drain(stand.admin);
	bf_admin_drain(stand.admin);
	client_read(idle);
	assert_string_equal(stand.reply, "");
	late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(late, (struct sockaddr *)&address, sizeof(address)), -1);
	fakes_answer();
	client_read(busy);
	expect(200, "Connection: close\r\n");
	expect(200, "\r\n\r\n[1]");
	assert_int_equal(bf_admin_pending(stand.admin), 0);
	close(busy);
	close(idle);
	close(late);
}

/* Freed with a question open: the question is cancelled, and nothing is left behind. */
static void test_free_while_pending(void **state)
{
	char text[1024];
	int fd = client_open();

	(void)state;
	fakes.hold = true;
	write_request(text, sizeof(text), "GET", "/api/internal/months", "");
	client_send(fd, text);
	for (int i = 0; i < TURNS && fakes.asked == 0; i++)
		turn(fd);
	bf_admin_free(stand.admin);
	stand.admin = NULL;
	assert_int_equal(fakes.cancelled, 1);
	close(fd);
}

/* As many connections as may be, each of which sends the text; the first of them is the oldest. */
static void fill(int fds[CONNS_MAX], const char *text)
{
	for (int i = 0; i < CONNS_MAX; i++) {
		fds[i] = client_open();
		client_send(fds[i], text);
		turn(-1);
	}
	for (int i = 0; i < TURNS && stand.admin->conns.live < CONNS_MAX; i++)
		turn(-1);
	assert_int_equal(stand.admin->conns.live, CONNS_MAX);
}

/* Closes them all; nothing is left of them. */
static void leave(const int fds[CONNS_MAX])
{
	for (int i = 0; i < CONNS_MAX; i++)
		close(fds[i]);
	for (int i = 0; i < TURNS && stand.admin->conns.live > 0; i++)
		turn(-1);
	assert_int_equal(stand.admin->conns.live, 0);
	assert_int_equal(stand.admin->conns.n_cut, 0);
	assert_int_equal(stand.admin->conns.received, 0);
	assert_null(stand.admin->conns.sweep);
	GET("/healthz");
	expect(200, "ok");
}

/* At the cap whose request has been waited for longest makes room, and the newcomer is served. */
static void test_cap(void **state)
{
	int fds[CONNS_MAX];

	(void)state;
	fill(fds, "GET /heal");
	client_send(fds[0], "thz HTTP/1.1\r\nHost: a\r\n\r\n");
	for (int i = 0; i < TURNS && recv(fds[0], stand.reply, sizeof(stand.reply), MSG_DONTWAIT) <= 0; i++)
		turn(fds[0]);
	GET("/healthz");
	expect(200, "ok");
	assert_int_equal(stand.admin->conns.displaced, 1);
	assert_int_equal(stand.admin->conns.refused, 0);
	assert_int_equal(recv(fds[0], stand.reply, sizeof(stand.reply), MSG_DONTWAIT), -1);	/* it is young since its answer */
	client_read(fds[1]);
	assert_string_equal(stand.reply, "");
	assert_int_equal(stand.status, -1);
	leave(fds);
}

/* Whose request is being worked on is not cut: then it is the newcomer who has to go. */
static void test_cap_of_busy(void **state)
{
	int fds[CONNS_MAX], one_more;

	(void)state;
	fakes.hold = true;
	fill(fds, "GET /api/internal/months HTTP/1.1\r\nHost: a\r\nX-Cron-Secret: " SECRET "\r\n\r\n");
	one_more = client_open();
	client_read(one_more);
	assert_string_equal(stand.reply, "");
	assert_int_equal(stand.admin->conns.refused, 1);
	assert_int_equal(stand.admin->conns.displaced, 0);
	close(one_more);
	fakes.hold = false;
	bf_admin_free(stand.admin);
	stand.admin = NULL;
	for (int i = 0; i < CONNS_MAX; i++)
		close(fds[i]);
}

/* Who sends without end while his answer waits is cut off, and so is the largest when all together have sent too much. */
static void test_sent_too_much(void **state)
{
	static char much[65536], answer[(8 << 20) + 1];
	size_t sent = 0;
	int fd = client_open();

	(void)state;
	memset(much, 'x', sizeof(much));
	memset(answer, '1', sizeof(answer) - 1);
	fakes.json = answer;
	client_send(fd, "GET /api/internal/months HTTP/1.1\r\nHost: a\r\nX-Cron-Secret: " SECRET "\r\n\r\n");
	for (int i = 0; i < TURNS && stand.admin->conns.oversized == 0; i++) {
		ssize_t n = send(fd, much, sizeof(much), MSG_DONTWAIT | MSG_NOSIGNAL);

		sent += n > 0 ? (size_t)n : 0;
		turn(-1);
	}
	assert_int_equal(stand.admin->conns.oversized, 1);
	assert_true(sent > CONNS_AHEAD_MAX);
	close(fd);
	stand.admin->conns.request_max = 2 * CONNS_BYTES_MAX;
	fd = client_open();
	client_send(fd, "POST /api/internal/pause HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
	evhttp_set_max_body_size(stand.admin->http, 4 * (ev_ssize_t)CONNS_BYTES_MAX);
	client_send(fd, "6000000\r\n");
	for (int i = 0; i < 20 * TURNS && stand.admin->conns.oversized == 1; i++) {
		(void)send(fd, much, sizeof(much), MSG_DONTWAIT | MSG_NOSIGNAL);
		event_base_loop(bf_loop_base(stand.loop), EVLOOP_NONBLOCK);
	}
	assert_int_equal(stand.admin->conns.oversized, 2);
	assert_int_equal(stand.admin->conns.received, 0);
	close(fd);
}

/* A wrong secret too often: 429, which ends the connection; a missing one is 401 for ever; the right one is served. */
static void test_wrong_secrets(void **state)
{
	char text[256];
	int limited = 0;

	(void)state;
	for (int i = 0; i < REFUSALS_BURST + 5; i++) {
		int fd = client_open();

		snprintf(text, sizeof(text),
			"GET /api/internal/months HTTP/1.1\r\nHost: a\r\nX-Cron-Secret: wrong%d\r\n%s\r\n", i,
			i < REFUSALS_BURST ? "Connection: close\r\n" : "");
		client_send(fd, text);
		client_read(fd);
		close(fd);
		limited += stand.status == 429;
		if (stand.status == 429)
			expect(429, "Retry-After: ");
		else
			expect(401, "{\"error\":\"Unauthorized: Invalid or missing X-Cron-Secret\"}");
		assert_true(stand.status == 401 || i >= REFUSALS_BURST);
	}
	assert_true(limited >= 1);
	assert_int_equal(stand.admin->refusals.total, REFUSALS_BURST + 5);
	assert_int_equal(stand.admin->refusals.limited, limited);
	GET("/api/internal/months");
	assert_int_equal(stand.status, 200);
	for (int i = 0; i < 3; i++) {
		int fd = client_open();

		client_send(fd, "GET /api/internal/months HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
		client_read(fd);
		close(fd);
		expect(401, "Unauthorized");
	}
}

/* Only an address and a port can be listened on; a taken port says so. */
static void test_listen(void **state)
{
	static const char *const bad[] = {
		"", "8787", ":8787", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "127.0.0.1:99999999999999999999",
		"example.org:80", "::1:8787x", "[::1]", "[]:80",
	};
	struct bf_config config = stand.config;
	struct bf_error err;
	char taken[32];

	(void)state;
	for (size_t i = 0; i < BF_COUNT(bad); i++) {
		config.admin.listen = bf_xstrdup(bad[i]);
		err.class = BF_ERR_NONE;
		if (bf_admin_new(&stand.admin->parts, &config, &err) != NULL || err.class != BF_ERR_CONFIG)
			fail_msg("taken: %s", bad[i]);
		free(config.admin.listen);
	}
	snprintf(taken, sizeof(taken), "localhost:%u", (unsigned)stand.port);
	config.admin.listen = taken;
	assert_null(bf_admin_new(&stand.admin->parts, &config, &err));
	assert_non_null(strstr(err.text, "in use"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_claim), TEST(test_dry_run), TEST(test_estimate), TEST(test_estimate_by_books), TEST(test_overview), TEST(test_again),
		TEST(test_why_verify_doctor), TEST(test_year_range), TEST(test_bad_bodies), TEST(test_claim_refused),
		TEST(test_seed), TEST(test_harvest), TEST(test_harvest_refused), TEST(test_month_actions), TEST(test_pause),
		TEST(test_views), TEST(test_book), TEST(test_bad_key), TEST(test_items), TEST(test_bad_queries),
		TEST(test_redrive_and_adopt), TEST(test_head), TEST(test_order), TEST(test_ready), TEST(test_metrics),
		TEST(test_client_gone), TEST(test_drain), TEST(test_free_while_pending), TEST(test_cap), TEST(test_cap_of_busy),
		TEST(test_sent_too_much), TEST(test_wrong_secrets), TEST(test_listen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
