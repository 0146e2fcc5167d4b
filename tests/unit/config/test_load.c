/* load: defaults, every key, and everything that is refused, with its line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "backfill/config.h"

static char dir[] = "/tmp/bf-config-XXXXXX";

/* Writes a file into the test's directory and returns its path, in one of two buffers in turn. */
static const char *put(const char *name, const char *text)
{
	static char paths[2][200];
	static int turn;
	char *path = paths[turn++ % 2];
	FILE *f;

	snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, 0600), 0);
	return path;
}

/* All problems as the daemon prints them. */
static char *describe(const struct bf_config_problems *ps)
{
	char *all = bf_xstrdup("");

	for (size_t i = 0; i < ps->n; i++) {
		char *more = bf_xasprintf("%s%d: %s\n", all, ps->v[i].line, ps->v[i].text);

		free(all);
		all = more;
	}
	return all;
}

/* Loads a text that must be fine. */
static struct bf_config *load(const char *text)
{
	struct bf_config_problems ps;
	struct bf_config *c = bf_config_load(put("ok.ini", text), NULL, &ps);

	if (!c)
		fail_msg("%s\nis refused:\n%s", text, describe(&ps));
	assert_int_equal(ps.n, 0);
	bf_config_problems_release(&ps);
	return c;
}

/* Loads a text that must be refused, with exactly these lines of problems, each holding its text. */
struct expected { int line; const char *says; };
static void refuse(const char *text, const struct expected *expected, size_t n)
{
	struct bf_config_problems ps;
	struct bf_config *c = bf_config_load(put("bad.ini", text), NULL, &ps);
	char *all = describe(&ps);

	if (c)
		fail_msg("accepted:\n%s", text);
	for (size_t i = 0; i < n && i < ps.n; i++)
		if (ps.v[i].line != expected[i].line || !strstr(ps.v[i].text, expected[i].says))
			fail_msg("%s\ngives\n%sinstead of %d: %s", text, all, expected[i].line,
				 expected[i].says);
	if (ps.n != n)
		fail_msg("%s\ngives %zu problems:\n%s", text, ps.n, all);
	free(all);
	bf_config_problems_release(&ps);
}

/* One problem. */
static void refuse_one(const char *text, int line, const char *says)
{
	struct expected e = { line, says };

	refuse(text, &e, 1);
}

/* The defaults are those of the contract. */
static void test_defaults(void **state)
{
	struct bf_config *c = load("");
	char pid[40], *colon;

	(void)state;
	snprintf(pid, sizeof(pid), "%ld", (long)getpid());
	colon = strrchr(c->daemon.instance, ':');
	assert_non_null(colon);
	assert_string_equal(colon + 1, pid);
	assert_int_equal(c->daemon.log_level, BF_INFO);
	assert_false(c->daemon.log_json);
	assert_int_equal(c->daemon.drain_timeout_ms, 30000);
	assert_string_equal(c->daemon.contact, "");
	assert_string_equal(c->database.conninfo,
			    "host=/var/run/postgresql dbname=openlibrary user=openlibrary");
	assert_int_equal(c->database.connections, 4);
	assert_int_equal(c->database.statement_timeout_ms, 30000);
	assert_string_equal(c->admin.listen, "127.0.0.1:8787");
	assert_string_equal(c->admin.secret, "from-the-environment");
	assert_int_equal(c->admin.max_body, 65536);
	assert_string_equal(c->scheduler.schedule, "0 3 * * *");
	assert_string_equal(c->scheduler.timezone, "UTC");
	assert_true(c->scheduler.catch_up);
	assert_int_equal(c->scheduler.batch_size, 10);
	assert_int_equal(c->scheduler.concurrent_months, 4);
	assert_int_equal(c->scheduler.year_start, 2000);
	assert_int_equal(c->scheduler.year_end, 2024);
	assert_int_equal(c->scheduler.retry_base_ms, 60000);
	assert_int_equal(c->scheduler.retry_cap_ms, 3600000);
	assert_int_equal(c->scheduler.stuck_after_ms, 3600000);
	assert_int_equal(c->generation.books_per_provider, 20);
	assert_string_equal(c->generation.prompt_recent, "contemporary-notable");
	assert_int_equal(c->generation.prompt_recent_from, 2020);
	assert_string_equal(c->generation.prompt_default, "baseline");
	assert_true(c->generation.dedup_similarity == 0.60);
	assert_int_equal(c->resolution.n_order, 5);
	for (int i = 0; i < 5; i++)
		assert_int_equal(c->resolution.order[i], BF_ISBNDB + i);
	assert_int_equal(c->resolution.concurrent_books, 10);
	assert_int_equal(c->resolution.min_confidence, 70);
	assert_int_equal(c->resolution.cache_ttl_ms, INT64_C(30) * 86400000);
	assert_true(c->enrichment.enabled);
	assert_int_equal(c->enrichment.batch, 100);
	assert_int_equal(c->enrichment.poll_ms, 5000);
	assert_int_equal(c->enrichment.max_attempts, 5);
	assert_string_equal(c->enhancement.schedule, "0 0 * * *");
	assert_int_equal(c->enhancement.batch, 200);
	assert_string_equal(c->alerts.webhook_url, "");
	assert_null(c->alerts.webhook_secret);
	assert_true(c->alerts.resolution_rate_warn == 85 &&
		    c->alerts.resolution_rate_critical == 60);
	assert_int_equal(c->alerts.failed_months, 5);
	assert_int_equal(c->alerts.isbndb_daily_calls, 6500);
	assert_int_equal(c->alerts.queue_backlog, 100);
	assert_int_equal(c->alerts.quota_warn_percent, 50);
	assert_int_equal(c->alerts.quota_throttle_percent, 80);
	assert_int_equal(c->alerts.attempts_warn, 4);
	assert_int_equal(c->retention.events_ms, INT64_C(365) * 86400000);
	assert_int_equal(c->retention.answers_ms, INT64_C(90) * 86400000);
	assert_int_equal(c->retention.enrichment_log_ms, INT64_C(180) * 86400000);
	assert_int_equal(c->retention.api_usage_ms, INT64_C(730) * 86400000);
	assert_int_equal(c->retention.audit_ms, INT64_C(730) * 86400000);
	assert_int_equal(c->retention.job_status_ms, INT64_C(7) * 86400000);
	bf_config_free(c);
}

/* Each provider's own defaults. */
static void test_provider_defaults(void **state)
{
	static const struct {
		const char *url, *model;
		bool needs_key;
		int64_t timeout_ms;
		double rate;
		int concurrency, daily_limit, reserve;
		double in, out;
	} expected[BF_NPROVIDERS] = {
		{ "https://generativelanguage.googleapis.com/v1beta", "gemini-3.5-flash-lite", true, 120000, 2, 4, 0, 0, 0.30, 2.50 },
		{ "https://api.x.ai/v1", "grok-4.3", true, 180000, 2, 4, 0, 0, 1.25, 2.50 },
		{ "https://api.premium.isbndb.com", "", true, 15000, 3, 4, 15000, 2000, 0, 0 },
		{ "https://www.googleapis.com/books/v1", "", true, 10000, 1, 4, 1000, 0, 0, 0 },
		{ "https://openlibrary.org", "", false, 15000, 1, 3, 0, 0, 0, 0 },
		{ "https://archive.org", "", false, 15000, 1, 3, 0, 0, 0, 0 },
		{ "https://query.wikidata.org", "", false, 30000, 1, 1, 0, 0, 0, 0 },
	};
	struct bf_config *c = load("");

	(void)state;
	for (int p = 0; p < BF_NPROVIDERS; p++) {
		const struct bf_provider_config *v = &c->provider[p];

		assert_true(v->enabled);
		assert_string_equal(v->base_url, expected[p].url);
		assert_string_equal(v->model, expected[p].model);
		assert_null(v->api_key);
		assert_int_equal(v->needs_key, expected[p].needs_key);
		assert_int_equal(v->timeout_ms, expected[p].timeout_ms);
		assert_true(v->rate_per_s == expected[p].rate);
		assert_int_equal(v->concurrency, expected[p].concurrency);
		assert_int_equal(v->daily_limit, expected[p].daily_limit);
		assert_int_equal(v->reserve, expected[p].reserve);
		assert_string_equal(v->proxy, "");
		assert_true(v->cost_per_call == 0);
		assert_true(v->cost_per_mtok_in == expected[p].in &&
			    v->cost_per_mtok_out == expected[p].out);
		assert_int_equal(bf_provider_by_name(bf_provider_names[p]), p);
	}
	assert_int_equal(bf_provider_by_name("amazon"), -1);
	bf_config_free(c);
}

/* Values of every type, comments behind them, blank and CRLF lines, a byte order mark. */
static void test_values(void **state)
{
	struct bf_config *c = load(
		"\xef\xbb\xbf; comment\r\n# another\r\n\r\n[daemon]   ; here too\r\n"
		"instance = web-1\nlog_level = debug   ; inline\nlog_format=json\ncontact = https://example.org/bot\n"
		"[database]\nconninfo = host=a,b port=5432 user='it\\'s' application_name=x;y  ; two hosts\nconnections = 32\n"
		"[admin]\nmax_body: 1MiB\nlisten = [::1]:0\n"
		"[scheduler]\nschedule =\ntimezone = Europe/Berlin\ncatch_up = none\nretry_base = 500ms\nstuck_after = 2d\n"
		"[generation]\ndedup_similarity = 1\nprompt_default = era-contextualized\n"
		"[resolution]\norder = wikidata,isbndb ,  archive_org\ncache_ttl = 90m\n"
		"[enrichment]\nenabled = off\n"
		"[provider.wikidata]\nrate = 30/m\nbase_url = http://127.0.0.1:9000/wikidata///\nenabled = no\n"
		"[provider.archive_org]\nrate = 100/h\nproxy = http://proxy.example:3128\n"
		"[provider.xai]\nmodel = grok-5\ncost_per_call = 0.01\n"
		"[daemon]\ndrain_timeout = 0\n");

	(void)state;
	assert_string_equal(c->daemon.instance, "web-1");
	assert_int_equal(c->daemon.log_level, BF_DEBUG);
	assert_true(c->daemon.log_json);
	assert_int_equal(c->daemon.drain_timeout_ms, 0);
	assert_string_equal(c->daemon.contact, "https://example.org/bot");
	assert_string_equal(c->database.conninfo,
			    "host=a,b port=5432 user='it\\'s' application_name=x;y");
	assert_int_equal(c->database.connections, 32);
	assert_int_equal(c->admin.max_body, 1 << 20);
	assert_string_equal(c->admin.listen, "[::1]:0");
	assert_string_equal(c->scheduler.schedule, "");
	assert_string_equal(c->scheduler.timezone, "Europe/Berlin");
	assert_false(c->scheduler.catch_up);
	assert_int_equal(c->scheduler.retry_base_ms, 500);
	assert_int_equal(c->scheduler.stuck_after_ms, 2 * 86400000);
	assert_true(c->generation.dedup_similarity == 1);
	assert_string_equal(c->generation.prompt_default, "era-contextualized");
	assert_int_equal(c->resolution.n_order, 3);
	assert_int_equal(c->resolution.order[0], BF_WIKIDATA);
	assert_int_equal(c->resolution.order[2], BF_ARCHIVE_ORG);
	assert_int_equal(c->resolution.cache_ttl_ms, 5400000);
	assert_false(c->enrichment.enabled);
	assert_true(c->provider[BF_WIKIDATA].rate_per_s == 0.5);
	assert_string_equal(c->provider[BF_WIKIDATA].base_url, "http://127.0.0.1:9000/wikidata");
	assert_false(c->provider[BF_WIKIDATA].enabled);
	assert_true(c->provider[BF_ARCHIVE_ORG].rate_per_s > 0.0277 &&
		    c->provider[BF_ARCHIVE_ORG].rate_per_s < 0.0278);
	assert_string_equal(c->provider[BF_ARCHIVE_ORG].proxy, "http://proxy.example:3128");
	assert_string_equal(c->provider[BF_XAI].model, "grok-5");
	assert_true(c->provider[BF_XAI].cost_per_call == 0.01);
	bf_config_free(c);
}

/* A contact triples Open Library's rate, unless one is given. */
static void test_contact_rate(void **state)
{
	struct bf_config *c = load("[daemon]\ncontact = ops@example.org\n");

	(void)state;
	assert_true(c->provider[BF_OPEN_LIBRARY].rate_per_s == 3);
	bf_config_free(c);
	c = load("[daemon]\ncontact = ops@example.org\n[provider.open_library]\nrate = 1/s\n");
	assert_true(c->provider[BF_OPEN_LIBRARY].rate_per_s == 1);
	bf_config_free(c);
}

/* All problems at once, in the order of lines, those found late among them. */
static void test_all_at_once(void **state)
{
	static const struct expected e[] = {
		{ 2, "unknown key \"log_levl\" in [daemon]; did you mean \"log_level\"?" },
		{ 4, "batch_size must be between 1 and 50, not 51" }, { 5, "given twice" },
		{ 7, "year_start (2025) must not be after year_end (2024)" }, { 8, "neither a [section] nor key = value" },
		{ 9, "unknown section [provider.gemni]; did you mean [provider.gemini]?" },
		{ 12, "timeout must be a duration" }, { 13, "indented" }, { 15, "reserve" },
	};

	(void)state;
	refuse("[daemon]\nlog_levl = info\n[scheduler]\nbatch_size = 51\nbatch_size = 5\nyear_start = 2025\nyear_end = 2024\n"
	       "what\n[provider.gemni]\nfoo = 1\n[provider.xai]\ntimeout = 30\n  rate = 1/s\n[provider.isbndb]\nreserve = 15000\n",
	       e, BF_COUNT(e));
}

/* That many letters x. */
static const char *x(size_t n)
{
	static char letters[400];

	memset(letters, 'x', n);
	letters[n] = '\0';
	return letters;
}

/* Lines that inih would misread are refused, each with its own number. */
static void test_lines(void **state)
{
	char text[2000];

	(void)state;
	snprintf(text, sizeof(text),
		 "[daemon]\ncontact = https://example.org/%s\nlog_level = debug\n", x(300));
	refuse_one(text, 2, "the line has 330 bytes, more than the 199");
	/* 199 bytes are delivered whole */
	snprintf(text, sizeof(text),
		 "[daemon]\ncontact = https://example.org/%s\nlog_level = debug\n", x(199 - 30));
	bf_config_free(load(text));
	refuse_one("[daemon]\nlog_level = info\n\tdebug\n", 3, "indented");
	refuse_one("[daemon]\nlog_level = info\n log_format = json\n", 3, "indented");
	refuse_one("[daemon\nlog_level = info\n", 1, "[name]");
	refuse_one("[daemon] x\n", 1, "behind the section");
	refuse_one("[daemon]\nlog_level\n", 2, "neither");
	refuse_one("[daemon]\n= info\n", 2, "neither");
	refuse_one("log_level = info\n", 1, "before the first [section]");
	refuse_one("[daemon]\n\n\ninstance = \xff\n", 4, "UTF-8");
	refuse_one("[nowhere]\n", 1, "unknown section [nowhere]");
	refuse_one("[provider.amazon]\nrate = 1/s\nenabled = true\n", 1, "unknown section");
	refuse_one("[daemon]\nlog_level = info\n[admin]\n[daemon]\nlog_level = warn\n", 5,
		   "given twice in [daemon], the first time in line 2");
}

/* A file that is not there, and one that is no file. */
static void test_no_file(void **state)
{
	struct bf_config_problems ps;

	(void)state;
	assert_null(bf_config_load("/nonexistent/x.ini", NULL, &ps));
	assert_int_equal(ps.n, 1);
	assert_int_equal(ps.v[0].line, 0);
	assert_non_null(strstr(ps.v[0].text, "/nonexistent/x.ini: No such file"));
	bf_config_problems_release(&ps);
	assert_null(bf_config_load(dir, NULL, &ps));
	assert_non_null(strstr(ps.v[0].text, "directory"));
	bf_config_problems_release(&ps);
	assert_null(ps.v);
}

/* Each type refuses what it is not; the message says what it wants. */
static void test_types(void **state)
{
	static const struct { const char *section, *line, *says; } table[] = {
		{ "daemon", "log_level = loud", "one of debug|info|warn|error" }, { "daemon", "log_format = xml", "text|json" },
		{ "daemon", "drain_timeout = 30", "duration" }, { "daemon", "drain_timeout = 30 s", "duration" },
		{ "daemon", "drain_timeout = 1.5s", "duration" }, { "daemon", "drain_timeout = -1s", "between 0ms and 1h" },
		{ "daemon", "drain_timeout = 2h", "between" }, { "daemon", "drain_timeout =", "duration" },
		{ "daemon", "drain_timeout = 99999999999999999999s", "duration" },
		{ "daemon", "drain_timeout = 9223372036854775807d", "duration" },
		{ "daemon", "contact = me", "URL or a mail address" }, { "daemon", "contact = a b@c", "without spaces" },
		{ "daemon", "instance = a b", "letters, digits" }, { "database", "connections = 0", "between 1 and 32" },
		{ "database", "connections = 33", "between 1 and 32" }, { "database", "connections = four", "whole number" },
		{ "database", "connections = 4.0", "whole number" }, { "database", "connections = 0x4", "whole number" },
		{ "database", "connections = 4 # many", "whole number" }, { "database", "conninfo =", "empty" },
		{ "admin", "max_body = 64KB", "size" }, { "admin", "max_body = 64", "size" }, { "admin", "max_body = 1B", "between" },
		{ "admin", "listen = 8787", "numeric" }, { "admin", "listen = 127.0.0.1", ":PORT" },
		{ "admin", "listen = 127.0.0.1:99999", "port" }, { "admin", "listen = example.org:80", "numeric" },
		{ "admin", "listen = ::1:80", "" }, { "scheduler", "schedule = 0 25 * * *", "hour" },
		{ "scheduler", "schedule = daily", "" }, { "scheduler", "timezone = Mars/Base", "time zone" },
		{ "scheduler", "timezone = ../../etc/passwd", "time zone" }, { "scheduler", "timezone =", "time zone" },
		{ "scheduler", "catch_up = twice", "none|once" }, { "scheduler", "year_start = 1899", "1900" },
		{ "scheduler", "year_end = 1999", "year_start (2000, " }, { "scheduler", "retry_cap = 30s", "retry_base" },
		{ "scheduler", "batch_size = 99999999999", "between" },
		{ "generation", "prompt_default = lyrical", "baseline|contemporary-notable" },
		{ "generation", "dedup_similarity = 1.01", "between 0 and 1" }, { "generation", "dedup_similarity = nan", "number" },
		{ "generation", "dedup_similarity = 0,6", "number" }, { "generation", "books_per_provider = 101", "100" },
		{ "resolution", "order =", "must list" }, { "resolution", "order = gemini", "must list" },
		{ "resolution", "order = isbndb, isbndb", "twice" }, { "resolution", "order = isbndb wikidata", "comma" },
		{ "resolution", "order = isbndb,", "must list" }, { "resolution", "min_confidence = 101", "100" },
		{ "enrichment", "enabled = maybe", "true or false" }, { "alerts", "quota_throttle_percent = 100", "99" },
		{ "alerts", "resolution_rate_critical = 90", "resolution_rate_warn" },
		{ "alerts", "webhook_url = http://example.org/hook", "https" }, { "alerts", "attempts_warn = 6", "5" },
		{ "retention", "events = 90s", "between 1h" }, { "provider.xai", "rate = 2", "rate" },
		{ "provider.xai", "rate = 0/s", "between" }, { "provider.xai", "rate = 2/d", "rate" },
		{ "provider.xai", "rate = 1001/s", "between 1/h and 1000/s" }, { "provider.xai", "model =", "empty" },
		{ "provider.xai", "model = a/b", "letters" }, { "provider.isbndb", "model = x", "provider.gemini and provider.xai" },
		{ "provider.xai", "proxy = proxy:3128", "http://" }, { "provider.isbndb", "daily_limit = 2000", "below daily_limit" },
		{ "provider.xai", "base_url = https://", "host" }, { "provider.xai", "base_url = ftp://example.org", "https://" },
		{ "provider.xai", "cost_per_call = -1", "between" },
	};

	(void)state;
	for (size_t i = 0; i < BF_COUNT(table); i++) {
		char *text = bf_xasprintf("[%s]\n\n%s\n", table[i].section, table[i].line);
		const char *says = table[i].says;

		refuse_one(text, 3,
			   strcmp(says, "year_start (2000, ") == 0 ?
				   "year_start (2000) must not be after" :
				   says);
		free(text);
	}
}

/* Plain http goes to loopback and private addresses only, and no address may carry a password. */
static void test_urls(void **state)
{
	static const char *const good[] = {
		"https://example.org", "http://localhost:8080", "http://127.0.0.1", "http://127.9.9.9:1/x", "http://10.0.0.1",
		"http://172.16.0.1", "http://172.31.255.255", "http://192.168.1.1:80", "http://[::1]:90/gemini", "https://[2001:db8::1]/",
	};
	static const char *const bad[] = {
		"http://example.org", "http://172.15.0.1", "http://172.32.0.1", "http://192.169.0.1", "http://11.0.0.1", "http://8.8.8.8",
		"http://localhost.example.org", "http://127.0.0.1.example.org", "http://0x7f000001", "http://[2001:db8::1]",
		"http://[::ffff:8.8.8.8]", "https://user:pw@example.org", "https://example.org@127.0.0.1", "https://example.org/?key=x",
		"https://example.org/#x", "https://exa mple.org", "https://example.org:0", "https://example.org:65536", "https://example.org:x",
		"https://:443", "https:///x", "HTTP://127.0.0.1", "//example.org", "https://[::1", "http://2130706433", "http://127.1",
	};
	char text[200];

	(void)state;
	for (size_t i = 0; i < BF_COUNT(good); i++) {
		snprintf(text, sizeof(text), "[provider.gemini]\nbase_url = %s\n", good[i]);
		bf_config_free(load(text));
	}
	for (size_t i = 0; i < BF_COUNT(bad); i++) {
		snprintf(text, sizeof(text), "[provider.gemini]\nbase_url = %s\n", bad[i]);
		refuse_one(text, 2, "base_url");
	}
}

/* What the file must not hold is refused with the way out, and is not repeated. */
static void test_conninfo(void **state)
{
	static const char *const bad[] = {
		"host=x password=hunter2", "password = hunter2", "host=x PASSWORD='hunter2'", "sslpassword=hunter2", "service=prod-hunter2",
		"postgresql://u:hunter2@h/db", "postgres://u:hunter2@h", "postgresql://h/db?password=hunter2",
		"postgresql://h/db?user=u&pass%77ord=hunter2", "postgresql://h/db?service=hunter2", "postgresql://u:hunt/er2@h/db",
		"postgresql://u:hunter?2@h/db", "host=x password=hunt\\ er2",
	};
	static const char *const good[] = {
		"host=x passfile=/etc/pgpass", "postgresql://u@h1:5432,h2:5433/db?target_session_attrs=read-write", "dbname=password",
		"user='password=x' host=y", "host = x  port= 5", "postgresql:///db?host=/var/run",
	};
	struct bf_config_problems ps;
	char text[300];

	(void)state;
	for (size_t i = 0; i < BF_COUNT(bad); i++) {
		snprintf(text, sizeof(text), "[database]\nconninfo = %s\n", bad[i]);
		refuse_one(text, 2, "conninfo_file");
		assert_null(bf_config_load(put("bad.ini", text), NULL, &ps));
		assert_null(strstr(ps.v[0].text, "hunt"));
		bf_config_problems_release(&ps);
	}
	for (size_t i = 0; i < BF_COUNT(good); i++) {
		struct bf_config *c;

		snprintf(text, sizeof(text), "[database]\nconninfo = %s\n", good[i]);
		c = load(text);
		assert_string_equal(c->database.conninfo, good[i]);
		bf_config_free(c);
	}
	refuse_one("[database]\nconninfo = host='x\n", 2, "quote");
	refuse_one("[database]\nconninfo = just words\n", 2, "keyword=value");
}

static int setup(void **state)
{
	(void)state;
	unsetenv("GEMINI_API_KEY");
	unsetenv("XAI_API_KEY");
	unsetenv("ISBNDB_API_KEY");
	unsetenv("GOOGLE_BOOKS_API_KEY");
	setenv("ALEXANDRIA_WEBHOOK_SECRET", "from-the-environment", 1);
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	unlink(put("bad.ini", ""));
	unlink(put("ok.ini", ""));
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults), cmocka_unit_test(test_provider_defaults), cmocka_unit_test(test_values),
		cmocka_unit_test(test_contact_rate), cmocka_unit_test(test_all_at_once), cmocka_unit_test(test_lines),
		cmocka_unit_test(test_no_file), cmocka_unit_test(test_types), cmocka_unit_test(test_urls),
		cmocka_unit_test(test_conninfo)
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
