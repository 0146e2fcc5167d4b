/*
 * backfilld: reads the command line, wires the rooms, starts and stops them in one visible list. Exit codes: 0 done or drained,
 * 1 failed at run time, 2 bad usage or configuration, 3 database unreachable, schema missing or rights lacking.
 */
#include "backfill/admin.h"
#include "backfill/enrich.h"
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_FILE       "/etc/backfilld/backfilld.ini"
#define DATABASE_WAIT_MS   30000
#define LAST_FLUSH_MS      3000
#define LEAVE_AGAIN_MS     20
#define CONNECT_TIMEOUT_MS 10000
#define LOCK_TIMEOUT_MS    2000  /* whoever waits for somebody else's lock keeps a session from all others */
#define STATUS_MS          4000
#define STATUS_BYTES       256
#define DRAIN_MARGIN_MS    15000 /* to write what the last answers brought */
#define EXIT_USAGE         2
#define EXIT_DATABASE      3

struct daemon {
	const char *file;
	struct bf_config *config;
	struct bf_loop *loop;
	struct bf_notify *notify;
	struct bf_http *http;
	struct bf_pg *pool, *locks;
	struct bf_store *store;
	struct bf_providers *providers;
	struct bf_months *months;
	struct bf_enrich *enrich;
	struct bf_schedule *schedule;
	struct bf_admin *admin;
	struct bf_op *sighup, *sigterm, *sigint, *database_timer, *schema_op, *flush_op,
		*flush_timer, *leave_timer, *status_timer;
	bool checked; /* the schema is the one we know */
	bool draining;
	int exit_code;
};

static void stop(struct daemon *d, int code)
{
	d->exit_code = code;
	bf_loop_stop(d->loop);
}

/* ---- configuration ---- */
static void print_problems(FILE *out, const char *file, const struct bf_config_problems *p)
{
	for (size_t i = 0; i < p->n; i++)
		fprintf(out, "%s:%d: %s\n", file, p->v[i].line, p->v[i].text);
}

static struct bf_config *load(const char *file)
{
	struct bf_config_problems problems = { 0 };
	struct bf_config *config = bf_config_load(file, NULL, &problems);

	print_problems(stderr, file, &problems);
	bf_config_problems_release(&problems);
	return config;
}

static void reload_file(struct daemon *d)
{
	struct bf_config_problems problems = { 0 };
	struct bf_config *fresh = bf_config_load(d->file, d->config, &problems), *old = d->config;
	char restart[256];

	for (size_t i = 0; i < problems.n; i++)
		bf_log(BF_ERROR, "reload refused, nothing changed", BF_S("file", d->file),
			BF_I("line", problems.v[i].line), BF_S("problem", problems.v[i].text));
	bf_config_problems_release(&problems);
	if (!fresh)
		return;
	if (bf_config_restart_keys(old, fresh, restart, sizeof restart) > 0)
		bf_log(BF_WARN, "these keys need a restart and keep their old values",
			BF_S("keys", restart));
	bf_config_keep_restart_keys(fresh, old);
	d->config = fresh;
	bf_log_setup(fresh->daemon.log_level, fresh->daemon.log_json);
	bf_providers_configure(d->providers, fresh);
	bf_months_configure(d->months, fresh);
	bf_enrich_configure(d->enrich, fresh);
	bf_schedule_configure(d->schedule, fresh);
	bf_admin_configure(d->admin, fresh);
	bf_config_free(old);
	bf_log(BF_INFO, "configuration reloaded", BF_S("file", d->file));
}

static void reload(void *ctx)
{
	struct daemon *d = ctx;
	bool working =
		d->checked && !d->draining; /* ready is not to be said before it is so, nor after */

	if (working)
		bf_notify_reloading(d->notify);
	reload_file(d);
	if (working) /* refused or not: it works, with one configuration or the other */
		bf_notify_ready(d->notify);
}

/* ---- the service manager ---- */
/* Where the work stands, in words for `systemctl status`; "" as long as it is not known. */
static void describe(const struct daemon *d, struct bf_buf *text)
{
	const struct bf_pulse *p = bf_schedule_last_pulse(d->schedule, NULL);
	int flying = bf_months_in_flight(d->months);

	if (d->draining) {
		bf_buf_addf(text, "draining: %d months and %d items of the queue left",
			bf_months_count(d->months), bf_enrich_count(d->enrich));
		return;
	}
	if (!bf_pg_is_up(d->pool) || !bf_pg_is_up(d->locks)) {
		bf_buf_adds(text, "the database is away");
		return;
	}
	if (!p)
		return;
	if (p->totals.total)
		bf_buf_addf(
			text, "%d of %d months completed", p->totals.completed, p->totals.total);
	else
		bf_buf_adds(text, "no months seeded");
	if (flying)
		bf_buf_addf(text, ", %d in flight", flying);
	if (p->totals.retry)
		bf_buf_addf(text, ", %d to be tried again", p->totals.retry);
	if (p->totals.failed)
		bf_buf_addf(text, ", %d failed", p->totals.failed);
	bf_buf_addf(text, "; queue %lld", (long long)p->queue_depth);
	if (p->paused)
		bf_buf_adds(text, "; paused");
	else if (!bf_providers_any_ai(d->providers))
		bf_buf_adds(text, "; no AI provider usable");
}

static void tell_status(struct daemon *d)
{
	struct bf_buf text;

	bf_buf_init(&text, STATUS_BYTES);
	describe(d, &text);
	if (text.len)
		bf_notify_status(d->notify, text.data);
	bf_buf_release(&text);
}

/* As often as the database is looked at; this timer exists only where somebody reads what it tells. */
static void status_due(void *ctx)
{
	struct daemon *d = ctx;

	tell_status(d);
	d->status_timer = bf_timer_start(d->loop, STATUS_MS, status_due, d);
}

static void tell_ready(struct daemon *d)
{
	bf_notify_ready(d->notify);
	if (bf_notify_wanted(d->notify))
		d->status_timer = bf_timer_start(d->loop, STATUS_MS / 4, status_due, d);
}

/* A drain takes as long as the AIs, which are awaited, may; after that something is wrong, and we may be killed. */
static void tell_stopping(struct daemon *d)
{
	const struct bf_config *c = d->config;
	int64_t longest = c->daemon.drain_timeout_ms;

	if (c->provider[BF_GEMINI].timeout_ms > longest)
		longest = c->provider[BF_GEMINI].timeout_ms;
	if (c->provider[BF_XAI].timeout_ms > longest)
		longest = c->provider[BF_XAI].timeout_ms;
	bf_notify_stopping(d->notify, longest + DRAIN_MARGIN_MS);
	tell_status(d);
}

/* ---- drain ---- */
static void drained(void *ctx)
{
	struct daemon *d = ctx;

	d->flush_timer = NULL;
	stop(d, 0);
}

/* Answers still being written and the audit's last lines have until flush_timer's end. */
static void leave(void *ctx)
{
	struct daemon *d = ctx;

	d->leave_timer = NULL;
	if (bf_admin_pending(d->admin) > 0)
		d->leave_timer = bf_timer_start(d->loop, LEAVE_AGAIN_MS, leave, d);
	else
		stop(d, 0);
}

static void last_flush_done(void *ctx, const struct bf_error *err, enum bf_store_outcome outcome)
{
	struct daemon *d = ctx;

	(void)outcome;
	d->flush_op = NULL;
	if (err)
		bf_log(BF_WARN, "last findings not written", BF_E(err));
	leave(d);
}

static void finish_when_empty(struct daemon *d)
{
	if (!d->draining || bf_months_count(d->months) > 0 || !bf_enrich_idle(d->enrich) ||
		d->flush_op || d->flush_timer)
		return;
	bf_log(BF_INFO, "drained", BF_I("months", 0));
	d->flush_timer = bf_timer_start(d->loop, LAST_FLUSH_MS, drained, d);
	d->flush_op = bf_providers_flush(d->providers, last_flush_done, d);
}

static void terminate(void *ctx)
{
	struct daemon *d = ctx;

	if (d->draining) /* asked twice: what is unfinished is rescued by others, nothing is lost */
		_exit(1);
	d->draining = true;
	bf_log(BF_INFO, "draining", BF_I("months", bf_months_count(d->months)),
		BF_I("items", bf_enrich_count(d->enrich)));
	tell_stopping(d);
	if (!d->checked) {
		stop(d, 0);
		return;
	}
	bf_schedule_drain(d->schedule);
	bf_admin_drain(d->admin);
	bf_months_drain(d->months);
	bf_enrich_drain(d->enrich);
	finish_when_empty(d);
}

static void month_ended(void *ctx)
{
	struct daemon *d = ctx;

	bf_schedule_slot_free(d->schedule);
	finish_when_empty(d);
}

static void items_ended(void *ctx)
{
	finish_when_empty(ctx);
}

/* NOTIFY on the lock session: a month moved, or something was queued to be enriched. */
static void notified(void *ctx, const char *channel, const char *payload)
{
	struct daemon *d = ctx;

	(void)payload;
	if (!strcmp(channel, "backfill_events"))
		bf_admin_event(d->admin);
	else
		bf_enrich_wake(d->enrich);
}

static void month_lost(void *ctx, const struct bf_month_ref *ref)
{
	struct daemon *d = ctx;

	bf_months_lost(d->months, ref);
}

/* ---- the database ---- */
static void database_away(void *ctx)
{
	struct daemon *d = ctx;

	d->database_timer = NULL;
	fprintf(stderr,
		"backfilld: database not usable for %d s: see the log above; is it running, and is "
		"database.conninfo "
		"right?\n",
		DATABASE_WAIT_MS / 1000);
	stop(d, EXIT_DATABASE);
}

static void schema_checked(
	void *ctx, const struct bf_error *err, enum bf_schema schema, const char *remedy)
{
	struct daemon *d = ctx;

	d->schema_op = NULL;
	if (err) {
		bf_log(BF_WARN, "schema not checked yet", BF_E(err));
		return; /* the next session that comes up, or the timer, decides */
	}
	bf_admin_schema(d->admin, schema, remedy);
	if (schema != BF_SCHEMA_OK) {
		fprintf(stderr, "backfilld: %s\n",
			remedy ? remedy : "the database's schema is not usable");
		stop(d, EXIT_DATABASE);
		return;
	}
	bf_op_cancel(d->database_timer);
	d->database_timer = NULL;
	d->checked = true;
	bf_log(BF_INFO, "ready", BF_S("instance", d->config->daemon.instance));
	tell_ready(d);
	if (bf_pg_is_up(d->locks))
		bf_schedule_locks_up(d->schedule);
}

static void session_changed(
	struct daemon *d, const char *which, bool up, const struct bf_error *why)
{
	if (up)
		bf_log(BF_INFO, "database session up", BF_S("sessions", which));
	else
		bf_log(BF_WARN, "database session down", BF_S("sessions", which),
			BF_S("error", why ? why->text : "closed"));
	if (!d->checked && up && !d->schema_op && bf_pg_is_up(d->pool) && bf_pg_is_up(d->locks))
		d->schema_op = bf_store_check_schema(d->store, schema_checked, d);
}

static void pool_changed(void *ctx, bool up, const struct bf_error *why)
{
	session_changed(ctx, "query", up, why);
}

static void locks_changed(void *ctx, bool up, const struct bf_error *why)
{
	struct daemon *d = ctx;

	session_changed(d, "locks", up, why);
	if (!d->checked)
		return;
	if (up)
		bf_schedule_locks_up(d->schedule);
	else
		bf_schedule_locks_down(d->schedule);
}

/* ---- start and stop, in order ---- */
static bool start(struct daemon *d, struct bf_error *err)
{
	const struct bf_config *c = d->config;
	struct bf_pg_config pg = { .conninfo = c->database.conninfo,
		.application_name = "backfilld",
		.sessions = c->database.connections,
		.statement_timeout_ms = c->database.statement_timeout_ms,
		.lock_timeout_ms = LOCK_TIMEOUT_MS,
		.connect_timeout_ms = CONNECT_TIMEOUT_MS,
		.on_state = pool_changed,
		.ctx = d };
	struct bf_admin_parts parts;

	errno = 0;
	d->loop = bf_loop_new();
	d->http = d->loop ? bf_http_new(d->loop) : NULL;
	bf_error_set(err, BF_ERR_RETRY, "the event loop or the HTTP client does not start: %s",
		errno ? strerror(errno) : "out of memory");
	if (!d->http)
		return false;
	d->notify = bf_notify_new(d->loop);
	d->pool = bf_pg_new(d->loop, &pg);
	pg.sessions = 1;
	pg.lock_timeout_ms = 0;
	pg.keepalive = true;
	pg.application_name = "backfilld locks";
	pg.on_state = locks_changed;
	pg.on_notify = notified;
	d->locks = bf_pg_new(d->loop, &pg);
	bf_pg_listen(d->locks, "enrichment_queue");
	d->store = bf_store_new(d->loop, d->pool, d->locks, c->daemon.instance);
	bf_store_aside(d->store, c->database.conninfo, CONNECT_TIMEOUT_MS);
	d->providers = bf_providers_new(d->loop, d->http, d->store, c, month_lost, d);
	d->months = bf_months_new(d->loop, d->store, d->providers, c, month_ended, d);
	d->enrich = bf_enrich_new(d->loop, d->store, d->providers, c, items_ended, d);
	d->schedule = bf_schedule_new(d->loop, d->store, d->months, d->providers, d->enrich, c);
	bf_schedule_alerts(d->schedule, d->http);
	parts = (struct bf_admin_parts){ .loop = d->loop,
		.http = d->http,
		.pool = d->pool,
		.locks = d->locks,
		.store = d->store,
		.providers = d->providers,
		.months = d->months,
		.enrich = d->enrich,
		.schedule = d->schedule };
	d->admin = bf_admin_new(&parts, c, err);
	if (!d->admin)
		return false;
	bf_notify_status(d->notify, "waiting for the database");
	d->sighup = bf_signal_watch(d->loop, SIGHUP, reload, d);
	d->sigterm = bf_signal_watch(d->loop, SIGTERM, terminate, d);
	d->sigint = bf_signal_watch(d->loop, SIGINT, terminate, d);
	d->database_timer = bf_timer_start(d->loop, DATABASE_WAIT_MS, database_away, d);
	bf_error_set(err, BF_ERR_RETRY, "signals cannot be watched: nobody could ask for a drain");
	return d->sighup && d->sigterm && d->sigint;
}

static void release(struct daemon *d)
{
	bf_op_cancel(d->sighup);
	bf_op_cancel(d->sigterm);
	bf_op_cancel(d->sigint);
	bf_op_cancel(d->database_timer);
	bf_op_cancel(d->schema_op);
	bf_op_cancel(d->flush_op);
	bf_op_cancel(d->flush_timer);
	bf_op_cancel(d->leave_timer);
	bf_op_cancel(d->status_timer);
	bf_admin_free(d->admin);
	bf_schedule_free(d->schedule);
	bf_enrich_free(d->enrich);
	bf_months_free(d->months);
	bf_providers_free(d->providers);
	bf_http_free(d->http);
	bf_pg_free(d->pool);
	bf_pg_free(d->locks);
	bf_store_free(d->store);
	bf_notify_free(d->notify);
	bf_loop_free(d->loop);
	bf_config_free(d->config);
}

/* ---- commands ---- */
static int run(const char *file)
{
	struct daemon d = { .file = file };
	struct bf_error err;

	d.config = load(file);
	if (!d.config)
		return EXIT_USAGE;
	signal(SIGPIPE, SIG_IGN);
	bf_log_setup(d.config->daemon.log_level, d.config->daemon.log_json);
	bf_log(BF_INFO, "starting", BF_S("version", BF_VERSION), BF_S("file", file),
		BF_S("instance", d.config->daemon.instance));
	if (!start(&d, &err)) {
		fprintf(stderr, "backfilld: %s\n", err.text);
		d.exit_code = 1;
	} else if (bf_loop_run(d.loop) < 0) {
		bf_log(BF_ERROR, "the event loop broke",
			BF_S("instance", d.config->daemon.instance));
		d.exit_code = 1;
	}
	bf_log(BF_INFO, "stopped", BF_I("exit", d.exit_code));
	release(&d);
	bf_log_flush();
	return d.exit_code;
}

static int check(const char *file)
{
	struct bf_config *config = load(file);

	if (!config)
		return EXIT_USAGE;
	printf("%s: fine\n", file);
	bf_config_free(config);
	return 0;
}

static int migrate(const char *file, const char *conninfo, bool status)
{
	struct bf_config *config = NULL;
	int code;

	signal(SIGPIPE, SIG_IGN);
	bf_log_setup(BF_INFO, false);
	if (!conninfo) {
		config = load(file);
		if (!config)
			return EXIT_USAGE;
		conninfo = config->database.conninfo;
	}
	code = bf_store_migrate(conninfo, status);
	bf_config_free(config);
	return code;
}

static void help(FILE *out)
{
	fputs("usage: backfilld [-c FILE] [COMMAND]\n"
	      "\n"
	      "Fills a book database month by month: asks two AI models for notable books, finds "
	      "their ISBNs\n"
	      "through a chain of providers, and enriches works, editions and authors with what "
	      "they know.\n"
	      "\n"
	      "commands:\n"
	      "  run       the daemon, in the foreground (default)\n"
	      "  check     read and validate the configuration, print every problem as FILE:LINE: "
	      "message\n"
	      "  migrate   apply pending migrations; --status lists them with their state and "
	      "checksum;\n"
	      "            --conninfo CONNINFO connects as another role than the daemon's\n"
	      "  states    print the month's state machine as a Mermaid diagram; --items: that of "
	      "an item of\n"
	      "            the enrichment queue\n"
	      "\n"
	      "options:\n"
	      "  -c, --config FILE   configuration (default " DEFAULT_FILE ")\n"
	      "  -h, --help\n"
	      "  -V, --version\n"
	      "\n"
	      "signals: SIGHUP reloads the configuration, SIGTERM and SIGINT drain, a second one "
	      "exits at once.\n"
	      "exit: 0 done or drained, 1 failed at run time, 2 bad usage or configuration, 3 "
	      "database unreachable,\n"
	      "      schema missing or rights lacking\n",
		out);
}

static int usage(const char *why, const char *what)
{
	fprintf(stderr, "backfilld: %s%s\nTry backfilld --help.\n", why, what);
	return EXIT_USAGE;
}

struct arguments {
	const char *file, *conninfo, *command;
	bool status, items;
	int code;
};

/* False: answered already, exit with code. */
static bool read_arguments(int argc, char **argv, struct arguments *a)
{
	static const struct option options[] = { { "config", required_argument, NULL, 'c' },
		{ "conninfo", required_argument, NULL, 'C' }, { "status", no_argument, NULL, 'S' },
		{ "items", no_argument, NULL, 'I' }, { "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' }, { NULL, 0, NULL, 0 } };
	int c;

	while ((c = getopt_long(argc, argv, "c:hV", options, NULL)) != -1) {
		if (c == 'c') {
			a->file = optarg;
		} else if (c == 'C') {
			a->conninfo = optarg;
		} else if (c == 'S') {
			a->status = true;
		} else if (c == 'I') {
			a->items = true;
		} else if (c == 'h') {
			help(stdout);
			return false;
		} else if (c == 'V') {
			printf("backfilld %s\n", BF_VERSION);
			return false;
		} else {
			a->code = usage("see the message above", "");
			return false;
		}
	}
	a->command = optind < argc ? argv[optind] : "run";
	if (optind + 1 < argc) {
		a->code = usage("one command at a time, not also: ", argv[optind + 1]);
		return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	struct arguments a = { .file = DEFAULT_FILE };

	if (!read_arguments(argc, argv, &a))
		return a.code;
	if ((a.conninfo || a.status) && strcmp(a.command, "migrate"))
		return usage("--conninfo and --status belong to migrate, not to ", a.command);
	if (a.items && strcmp(a.command, "states"))
		return usage("--items belongs to states, not to ", a.command);
	if (!strcmp(a.command, "run"))
		return run(a.file);
	if (!strcmp(a.command, "check"))
		return check(a.file);
	if (!strcmp(a.command, "migrate"))
		return migrate(a.file, a.conninfo, a.status);
	if (!strcmp(a.command, "states")) {
		if (a.items)
			bf_enrich_print_states(stdout);
		else
			bf_month_print_states(stdout);
		return 0;
	}
	return usage("unknown command: ", a.command);
}
