/*
 * verify_routes: whether what is stored is as it must be, and whether what is around the program lets it work. Both change
 * nothing. The database is asked in the store; the process's own part (configuration, files, providers, clock) is here.
 */
#include "findings.h"
#include "handlers.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define YEAR_MIN      1900
#define YEAR_MAX      2100
#define CLOCK_OFF_US  2000000
#define REPLY_MARGIN_MS 10000
#define MONTHS_A_CONN 8 /* a month writes about once a second; more than these on a connection wait for each other */

/* ---- verify ---- */
const struct body_field verify_routes_verify_query[] = {
	BODY_INT_FIELD("year_start", YEAR_MIN, YEAR_MAX, struct bf_verify, year_low,
		.help = "the first year; scheduler.year_start where it is missing"),
	BODY_INT_FIELD("year_end", YEAR_MIN, YEAR_MAX, struct bf_verify, year_high,
		.help = "the last year; scheduler.year_end where it is missing"),
	BODY_END,
};

/* All checks have answered. */
static void on_verified(void *ctx, const struct bf_error *err, const struct bf_findings *found)
{
	struct request *rq = ctx;
	struct findings *f = rq->state;

	rq->op = NULL;
	if (err != NULL) {
		if (strcmp(err->sqlstate, "57014") == 0)
			reply_unavailable(rq, 60, "The checks took longer than %d s: ask for fewer years"
				" (year_start, year_end), or when the database has less to do",
				BF_VERIFY_LIMIT_MS / 1000);
		else
			reply_store_error(rq, err);
		return;
	}
	findings_take(f, found);
	findings_reply(rq, f, (const int[2]){ found->year_low, found->year_high });
}

/* GET /api/internal/verify */
void verify_routes_verify(struct request *rq)
{
	const struct bf_config *config = rq->admin->config;
	struct findings *f = bf_arena_alloc(rq->arena, sizeof(*f));
	struct body_problems problems = { 0 };
	struct bf_verify ask = { .stuck_after_ms = config->scheduler.stuck_after_ms,
		.events_ms = config->retention.events_ms,
		.limit_ms = BF_VERIFY_LIMIT_MS };

	handlers_query(rq, &ask, &problems);
	ask.asked = ask.year_low != 0 || ask.year_high != 0;
	if (ask.year_low == 0)
		ask.year_low = config->scheduler.year_start;
	if (ask.year_high == 0)
		ask.year_high = config->scheduler.year_end;
	if (problems.n == 0 && ask.year_low > ask.year_high)
		body_problem(&problems, "year_start", "must not be after year_end (%d)", ask.year_high);
	if (handlers_refuse(rq, &problems) || handlers_database_away(rq))
		return;
	f->arena = rq->arena;
	rq->state = f;
	if (rq->conn != NULL)
		conns_patience(rq->conn, BF_VERIFY_LIMIT_MS + REPLY_MARGIN_MS);
	rq->op = bf_store_verify(rq->admin->parts.store, &ask, on_verified, rq);
}

/* ---- doctor ---- */
/* A file that the configuration or a secret was read from. */
static void on_file(void *ctx, const char *what, const char *path, bool secret, const char *problem)
{
	struct findings *f = ctx;
	char remedy[400];

	if (problem == NULL)
		return;
	snprintf(remedy, sizeof(remedy), secret ? "chmod 600 %s, and let it belong to the daemon's user"
		" or root; if others could read it, make a new secret." : "chmod 644 %s; chown root %s",
		path, path);
	findings_add(f, "files", secret, what, remedy, "%s %s", path, problem);
}

/* The clock against the database's; half of the way there and back is uncertain. */
static void check_clock(struct findings *f, int64_t db_wall_us)
{
	int64_t off = bf_wall_us() - db_wall_us, most = off < 0 ? -off : off;

	findings_check(f, "clock", 1);
	if (most > CLOCK_OFF_US)
		findings_add(f, "clock", false, "clock",
			"Let both hosts follow a time server: timedatectl set-ntp true. Waits and quotas use the"
			" database's clock; log lines and signatures use this host's.",
			"this host's clock is %" PRId64 ".%" PRId64 " s %s the database's", most / 1000000,
			most / 100000 % 10, off < 0 ? "behind" : "ahead of");
}

/* Whether anybody else than this host can reach the interface. */
static bool is_loopback(const char *listen)
{
	return strncmp(listen, "127.", 4) == 0 || strncmp(listen, "[::1]", 5) == 0 ||
		strncmp(listen, "localhost:", 10) == 0;
}

/* One provider's keys that are allowed and yet look wrong. */
static void check_provider_config(struct findings *f, const struct bf_config *c, int id)
{
	const struct bf_provider_config *p = &c->provider[id];
	const char *name = bf_provider_names[id];
	bool free_one = id == BF_OPEN_LIBRARY || id == BF_ARCHIVE_ORG || id == BF_WIKIDATA;
	double polite = id == BF_OPEN_LIBRARY && c->daemon.contact[0] != '\0' ? 3 : 1;

	findings_check(f, "configuration", 1);
	if (!p->enabled)
		return;
	if (p->needs_key && p->api_key == NULL)
		findings_add(f, "keys", BF_IS_AI(id), name,
			"Put the key into a file and name it in api_key_file (or api_key_env), then reload"
			" (systemctl reload backfilld); or set enabled = false.",
			"no api key: the provider is left out");
	if (p->daily_limit > 0 && p->reserve >= p->daily_limit)
		findings_add(f, "configuration", true, name, "Lower reserve below daily_limit.",
			"reserve (%d) is not below daily_limit (%d): no unit may be used", p->reserve,
			p->daily_limit);
	if (free_one && p->rate_per_s > polite && strncmp(p->base_url, "https:", 6) == 0)
		findings_add(f, "configuration", false, name, "Lower rate; its operators block who asks more often.",
			"rate is %g/s; %g/s is polite", p->rate_per_s, polite);
	if (BF_IS_AI(id) && p->cost_per_call <= 0 && p->cost_per_mtok_in <= 0 && p->cost_per_mtok_out <= 0)
		findings_add(f, "configuration", false, name,
			"Set cost_per_mtok_in and cost_per_mtok_out to the prices of the model.",
			"all its prices are 0: costs and estimates will say that it is free");
}

/* Values that are allowed and yet look wrong. */
static void check_config(struct findings *f, const struct bf_config *c)
{
	findings_check(f, "configuration", 4);
	findings_check(f, "keys", BF_NPROVIDERS);
	if (c->daemon.contact[0] == '\0')
		findings_add(f, "configuration", false, "daemon.contact",
			"Set contact to an address where you can be reached: the free providers ask for one and"
			" give those who have it a higher rate.",
			"no contact is set");
	if (c->scheduler.concurrent_months > c->database.connections * MONTHS_A_CONN)
		findings_add(f, "configuration", false, "scheduler.concurrent_months",
			"Raise database.connections, or lower concurrent_months.",
			"%d months at once share %d connections", c->scheduler.concurrent_months,
			c->database.connections);
	if (!is_loopback(c->admin.listen))
		findings_add(f, "configuration", false, "admin.listen",
			"Listen on 127.0.0.1 and put a proxy with TLS before it: the secret travels in clear text.",
			"the interface listens on %s, beyond this host", c->admin.listen);
	for (int id = 0; id < BF_NPROVIDERS; id++)
		check_provider_config(f, c, id);
}

/* What this process sees of providers, queue, pause and sessions. */
static void check_process(struct findings *f, const struct bf_admin *admin)
{
	const struct bf_pulse *pulse = bf_schedule_last_pulse(admin->parts.schedule, NULL);

	findings_check(f, "providers", BF_NPROVIDERS);
	for (int id = 0; id < BF_NPROVIDERS; id++) {
		const char *why = bf_provider_unusable(admin->parts.providers, (enum bf_provider_id)id);

		if (why != NULL && strncmp(why, "disabled", 8) != 0 && strncmp(why, "no api key", 10) != 0)
			findings_add(f, "providers", strstr(why, "refused") != NULL, bf_provider_names[id],
				"A refused key or model: mend it and reload (systemctl reload backfilld). Else it comes"
				" back by itself at the time named.",
				"%s", why);
	}
	findings_check(f, "queue", 1);
	if (pulse != NULL && !admin->config->enrichment.enabled && pulse->queue_depth > 0)
		findings_add(f, "queue", false, "enrichment.enabled",
			"Set enrichment.enabled = true on one instance at least.",
			"this instance does not enrich, and %" PRId64 " items wait, the oldest for %" PRId64 " s",
			pulse->queue_depth, pulse->queue_oldest_s);
	findings_check(f, "sessions", 2);
	if (!bf_pg_is_up(admin->parts.locks))
		findings_add(f, "sessions", true, "lock session",
			"Look at the log for the reason; months in flight wait for it.",
			"the session that holds the advisory locks is down");
	if (pulse != NULL && pulse->paused)
		findings_add(f, "sessions", false, "pause",
			"POST /api/internal/resume when the reason is gone.", "everything is paused: %s",
			pulse->pause_note != NULL && pulse->pause_note[0] != '\0' ? pulse->pause_note
										 : "without a note");
}

/* Whether the schema is the one that this program knows. */
static void check_schema(struct findings *f, enum bf_schema schema, const char *remedy)
{
	const char *text = "";

	findings_check(f, "schema", 1);
	switch (schema) {
	case BF_SCHEMA_OK: return;
	case BF_SCHEMA_BEHIND: text = "migrations are pending"; break;
	case BF_SCHEMA_CHANGED: text = "a migration was changed after it was applied"; break;
	case BF_SCHEMA_NOT_UTF8: text = "the database is not UTF-8"; break;
	case BF_SCHEMA_NO_RIGHTS: text = "the daemon's role lacks rights"; break;
	case BF_SCHEMA_POOLED: text = "a pooler in transaction mode stands between"; break;
	}
	findings_add(f, "schema", true, "schema", remedy, "%s", text);
}

/* The last part: the database's own findings. */
static void on_doctored(void *ctx, const struct bf_error *err, const struct bf_findings *found)
{
	struct request *rq = ctx;
	struct findings *f = rq->state;

	rq->op = NULL;
	if (err != NULL) {
		reply_store_error(rq, err);
		return;
	}
	check_clock(f, found->db_wall_us);
	findings_take(f, found);
	findings_check(f, "files", bf_config_files(rq->admin->config, on_file, f));
	check_config(f, rq->admin->config);
	check_process(f, rq->admin);
	findings_reply(rq, f, NULL);
}

/* The schema is judged; with one that is far behind, the other questions might not even be understood. */
static void on_schema(void *ctx, const struct bf_error *err, enum bf_schema schema, const char *remedy)
{
	struct request *rq = ctx;

	rq->op = NULL;
	if (err != NULL) {
		reply_store_error(rq, err);
		return;
	}
	check_schema(rq->state, schema, remedy);
	rq->op = bf_store_doctor(rq->admin->parts.store, rq->admin->config->database.connections + 1,
		on_doctored, rq);
}

/* GET /api/internal/doctor */
void verify_routes_doctor(struct request *rq)
{
	struct findings *f = bf_arena_alloc(rq->arena, sizeof(*f));
	struct body_problems problems = { 0 };

	handlers_query(rq, NULL, &problems);
	if (handlers_refuse(rq, &problems) || handlers_database_away(rq))
		return;
	f->arena = rq->arena;
	rq->state = f;
	rq->op = bf_store_check_schema(rq->admin->parts.store, on_schema, rq);
}
