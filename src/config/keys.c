/*
 * keys: the table of keys, and finding one. The _Generic in FIELD makes the compiler refuse a row
 * whose type is not that of its field.
 */
#include "keys.h"
#include <stdio.h>
#include <string.h>

const char *const bf_provider_names[BF_NPROVIDERS] = {
	"gemini", "xai", "isbndb", "google_books", "open_library", "archive_org", "wikidata"
};

/* Defaults that differ, in the order of enum bf_provider_id. */
static const char *const base_urls[BF_NPROVIDERS] = {
	"https://generativelanguage.googleapis.com/v1beta", "https://api.x.ai/v1", "https://api.premium.isbndb.com",
	"https://www.googleapis.com/books/v1", "https://openlibrary.org", "https://archive.org",
	"https://query.wikidata.org"
};
static const char *const models[BF_NPROVIDERS] = { "gemini-3.5-flash-lite", "grok-4.3" };
static const char *const key_envs[BF_NPROVIDERS] = {
	"GEMINI_API_KEY", "XAI_API_KEY", "ISBNDB_API_KEY", "GOOGLE_BOOKS_API_KEY", "", "", ""
};
static const char *const timeouts[BF_NPROVIDERS] = { "120s", "180s", "15s", "10s", "15s", "15s", "30s" };
static const char *const rates[BF_NPROVIDERS] = { "2/s", "2/s", "3/s", "1/s", "1/s", "1/s", "1/s" };
static const char *const concurrencies[BF_NPROVIDERS] = { "4", "4", "4", "4", "3", "3", "1" };
static const char *const daily_limits[BF_NPROVIDERS] = { "0", "0", "15000", "1000", "0", "0", "0" };
static const char *const reserves[BF_NPROVIDERS] = { "0", "0", "2000", "0", "0", "0", "0" };
static const char *const prices_in[BF_NPROVIDERS] = { "0.30", "1.25", "0", "0", "0", "0", "0" };
static const char *const prices_out[BF_NPROVIDERS] = { "2.50", "2.50", "0", "0", "0", "0", "0" };

#define PROMPTS "baseline|contemporary-notable|annual|diversity-emphasis|overlooked-significance|" \
	"genre-rotation|era-contextualized"
#define SECOND 1000.0
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)

#define FIELD_OF(s, member, ctype) (offsetof(s, member) + _Generic(((s *)0)->member, ctype: 0))
#define FIELD(member, ctype) FIELD_OF(struct bf_config, member, ctype)
#define P_FIELD(member, ctype) FIELD_OF(struct bf_provider_config, member, ctype)

// clang-format off
const struct config_key config_keys[] = {
	{ "daemon", "instance", CONFIG_TEXT, FIELD(daemon.instance, char *), .fallback = "", .restart = true,
	  .help = "Name of this instance, shown wherever work is claimed. Empty: HOST:PID." },
	{ "daemon", "log_level", CONFIG_LEVEL, FIELD(daemon.log_level, enum bf_log_level), .fallback = "info",
	  .words = "debug|info|warn|error", .help = "The least level that is written to stderr: debug, info, warn or error." },
	{ "daemon", "log_format", CONFIG_CHOICE, FIELD(daemon.log_json, bool), .fallback = "text", .words = "text|json",
	  .help = "text (logfmt) or json, one line per event." },
	{ "daemon", "drain_timeout", CONFIG_DURATION, FIELD(daemon.drain_timeout_ms, int64_t), 0, HOUR, "30s",
	  .help = "How long SIGTERM waits for work under way. Requests sent to an AI are awaited up to their own timeout." },
	{ "daemon", "contact", CONFIG_CONTACT, FIELD(daemon.contact, char *), .fallback = "",
	  .help = "URL or mail address put into every User-Agent. The free providers ask for one; Open Library "
		  "allows three requests a second instead of one with it." },

	{ "database", "conninfo", CONFIG_CONNINFO, FIELD(database.conninfo, char *), .restart = true,
	  .fallback = "host=/var/run/postgresql dbname=openlibrary user=openlibrary",
	  .help = "libpq connection string or URI; several hosts are tried in turn. No password and no service here: "
		  "put the string into conninfo_file (its first line counts), or the password into a passfile." },
	{ "database", "connections", CONFIG_INT, FIELD(database.connections, int), 1, 32, "4", .restart = true,
	  .help = "Query connections, 1 to 32, besides one session that holds the advisory locks." },
	{ "database", "statement_timeout", CONFIG_DURATION, FIELD(database.statement_timeout_ms, int64_t), 100, HOUR,
	  "30s", .restart = true, .help = "A statement that takes longer is cancelled by the server." },

	{ "admin", "listen", CONFIG_LISTEN, FIELD(admin.listen, char *), .fallback = "127.0.0.1:8787", .restart = true,
	  .help = "ADDRESS:PORT of the HTTP interface. Anything but loopback needs a secret of 32 bytes or more." },
	{ "admin", "secret", CONFIG_SECRET, FIELD(admin.secret, char *), .fallback = "ALEXANDRIA_WEBHOOK_SECRET",
	  .help = "What X-Cron-Secret must hold: the name of an environment variable, or a file whose first line "
		  "it is. Required. ${CREDENTIALS_DIRECTORY} is expanded in every *_file." },
	{ "admin", "max_body", CONFIG_SIZE, FIELD(admin.max_body, int64_t), 1024, 16 << 20, "64KiB",
	  .help = "A larger request body is answered 413." },

	{ "scheduler", "schedule", CONFIG_CRON, FIELD(scheduler.schedule, char *), .fallback = "0 3 * * *",
	  .help = "When the timer claims months: five-field cron expression. Empty switches the timer off." },
	{ "scheduler", "timezone", CONFIG_TIMEZONE, FIELD(scheduler.timezone, char *), .fallback = "UTC",
	  .help = "IANA name of the zone in which both schedules are read." },
	{ "scheduler", "catch_up", CONFIG_CHOICE, FIELD(scheduler.catch_up, bool), .fallback = "once",
	  .words = "none|once", .help = "A timer run missed while down: once (made up for at start) or none." },
	{ "scheduler", "batch_size", CONFIG_INT, FIELD(scheduler.batch_size, int), 1, 50, "10",
	  .help = "Months a timer run claims, 1 to 50." },
	{ "scheduler", "concurrent_months", CONFIG_INT, FIELD(scheduler.concurrent_months, int), 1, 50, "4",
	  .help = "Months in flight in this process, 1 to 50." },
	{ "scheduler", "year_start", CONFIG_INT, FIELD(scheduler.year_start, int), 1900, 2100, "2000",
	  .help = "The first year the timer may pick." },
	{ "scheduler", "year_end", CONFIG_INT, FIELD(scheduler.year_end, int), 1900, 2100, "2024",
	  .help = "The last year the timer may pick." },
	{ "scheduler", "retry_base", CONFIG_DURATION, FIELD(scheduler.retry_base_ms, int64_t), 1, DAY, "60s",
	  .help = "Attempt n of a month waits base * 2^(n-1), up to retry_cap, give or take 20 %." },
	{ "scheduler", "retry_cap", CONFIG_DURATION, FIELD(scheduler.retry_cap_ms, int64_t), 1, 7 * DAY, "1h",
	  .help = "The longest wait between two attempts." },
	{ "scheduler", "stuck_after", CONFIG_DURATION, FIELD(scheduler.stuck_after_ms, int64_t), SECOND, 30 * DAY, "1h",
	  .help = "A month without stored progress for this long is taken over, even from a living owner." },

	{ "generation", "books_per_provider", CONFIG_INT, FIELD(generation.books_per_provider, int), 1, 100, "20",
	  .help = "Books asked of each AI for a month, 1 to 100. This and the prompts go into a month's row when it is "
		  "made; what the row says always wins." },
	{ "generation", "prompt_recent", CONFIG_WORD, FIELD(generation.prompt_recent, char *),
	  .fallback = "contemporary-notable", .words = PROMPTS, .help = "Prompt variant of recent years." },
	{ "generation", "prompt_recent_from", CONFIG_INT, FIELD(generation.prompt_recent_from, int), 1900, 2100, "2020",
	  .help = "The first recent year." },
	{ "generation", "prompt_default", CONFIG_WORD, FIELD(generation.prompt_default, char *), .fallback = "baseline",
	  .words = PROMPTS, .help = "Prompt variant of the years before: baseline, contemporary-notable, annual, "
		  "diversity-emphasis, overlooked-significance, genre-rotation or era-contextualized." },
	{ "generation", "dedup_similarity", CONFIG_DOUBLE, FIELD(generation.dedup_similarity, double), 0, 1, "0.60",
	  .help = "Titles of one author at least this similar (0 to 1) are one book." },

	{ "resolution", "order", CONFIG_ORDER, FIELD(resolution.order, enum bf_provider_id *),
	  .fallback = "isbndb, google_books, open_library, archive_org, wikidata",
	  .help = "Who is asked for an ISBN, in this order. A provider left out is not asked." },
	{ "resolution", "concurrent_books", CONFIG_INT, FIELD(resolution.concurrent_books, int), 1, 100, "10",
	  .help = "Books of a month looked up at once." },
	{ "resolution", "min_confidence", CONFIG_INT, FIELD(resolution.min_confidence, int), 0, 100, "70",
	  .help = "0 to 100. A hit below it is refused and the next provider asked." },
	{ "resolution", "cache_ttl", CONFIG_DURATION, FIELD(resolution.cache_ttl_ms, int64_t), SECOND, 3650 * DAY, "30d",
	  .help = "How long a hit is remembered. Definite misses are remembered for a day." },

	{ "enrichment", "enabled", CONFIG_BOOL, FIELD(enrichment.enabled, bool), .fallback = "true",
	  .help = "Whether this instance works on the enrichment queue." },
	{ "enrichment", "batch", CONFIG_INT, FIELD(enrichment.batch, int), 1, 1000, "100",
	  .help = "ISBNs in one bulk call." },
	{ "enrichment", "poll", CONFIG_DURATION, FIELD(enrichment.poll_ms, int64_t), 100, HOUR, "5s",
	  .help = "How often the queue is looked at besides being notified." },
	{ "enrichment", "max_attempts", CONFIG_INT, FIELD(enrichment.max_attempts, int), 1, 20, "5",
	  .help = "An item that failed this often stays failed." },
	{ "enrichment", "siblings", CONFIG_BOOL, FIELD(enrichment.siblings, bool), .fallback = "true",
	  .help = "Other editions of a book whose whole records came with the same paid answer are enriched too; they "
		  "cost no unit." },

	{ "enhancement", "schedule", CONFIG_CRON, FIELD(enhancement.schedule, char *), .fallback = "0 0 * * *",
	  .help = "When synthetic works are tried again: cron expression in scheduler.timezone. Empty: never." },
	{ "enhancement", "batch", CONFIG_INT, FIELD(enhancement.batch, int), 1, 10000, "200",
	  .help = "Synthetic works tried in one run." },

	{ "provider", "enabled", CONFIG_BOOL, P_FIELD(enabled, bool), .fallback = "true",
	  .help = "A provider that is off is left out of the chain." },
	{ "provider", "base_url", CONFIG_BASE_URL, P_FIELD(base_url, char *), .per_provider = base_urls,
	  .help = "Plain http is spoken to loopback and private addresses only." },
	{ "provider", "model", CONFIG_TEXT, P_FIELD(model, char *), .per_provider = models,
	  .help = "Model to ask." },
	{ "provider", "api_key", CONFIG_SECRET, P_FIELD(api_key, char *), .per_provider = key_envs,
	  .help = "The key: the name of an environment variable, or a file whose first line it is." },
	{ "provider", "timeout", CONFIG_DURATION, P_FIELD(timeout_ms, int64_t), 10, HOUR / 2, .per_provider = timeouts,
	  .help = "Limit for one request as a whole." },
	{ "provider", "rate", CONFIG_RATE, P_FIELD(rate_per_s, double), 1.0 / 3600, 1000, .per_provider = rates,
	  .help = "N/s, N/m or N/h over all instances, retries included; never more than N in any second." },
	{ "provider", "concurrency", CONFIG_INT, P_FIELD(concurrency, int), 1, 64, .per_provider = concurrencies,
	  .help = "Requests in flight in this instance (Wikidata: over all instances)." },
	{ "provider", "daily_limit", CONFIG_INT, P_FIELD(daily_limit, int), 0, 100000000, .per_provider = daily_limits,
	  .help = "Units a day, 0: none. A lower limit that the provider itself reports wins." },
	{ "provider", "reserve", CONFIG_INT, P_FIELD(reserve, int), 0, 100000000, .per_provider = reserves,
	  .help = "Units of the daily limit that are never used; must be below it." },
	{ "provider", "proxy", CONFIG_PROXY, P_FIELD(proxy, char *), .fallback = "",
	  .help = "URL of a proxy for this provider. None is taken from the environment." },
	{ "provider", "cost_per_call", CONFIG_DOUBLE, P_FIELD(cost_per_call, double), 0, 1000, "0",
	  .help = "US dollars." },
	{ "provider", "cost_per_mtok_in", CONFIG_DOUBLE, P_FIELD(cost_per_mtok_in, double), 0, 10000,
	  .per_provider = prices_in, .help = "US dollars for a million tokens of prompt." },
	{ "provider", "cost_per_mtok_out", CONFIG_DOUBLE, P_FIELD(cost_per_mtok_out, double), 0, 10000,
	  .per_provider = prices_out, .help = "US dollars for a million tokens of answer." },

	{ "alerts", "webhook_url", CONFIG_HOOK_URL, FIELD(alerts.webhook_url, char *), .fallback = "",
	  .help = "Where a JSON body is posted when an alert is raised, becomes critical, clears. Empty: log and endpoint only." },
	{ "alerts", "webhook_secret", CONFIG_SECRET, FIELD(alerts.webhook_secret, char *), .fallback = "",
	  .help = "Signs that body: HMAC-SHA256 in X-Backfill-Signature: sha256=HEX. Environment variable or file." },
	{ "alerts", "resolution_rate_warn", CONFIG_DOUBLE, FIELD(alerts.resolution_rate_warn, double), 0, 100, "85",
	  .help = "Warn when the rate (per cent) of the 20 months completed last, taken together, falls below this." },
	{ "alerts", "resolution_rate_critical", CONFIG_DOUBLE, FIELD(alerts.resolution_rate_critical, double), 0, 100,
	  "60", .help = "Critical when it falls below this." },
	{ "alerts", "failed_months", CONFIG_INT, FIELD(alerts.failed_months, int), 0, 10000, "5",
	  .help = "Raised with more failed months than this." },
	{ "alerts", "isbndb_daily_calls", CONFIG_INT, FIELD(alerts.isbndb_daily_calls, int), 0, 100000000, "6500",
	  .help = "Raised with more ISBNdb calls (units) than this on ISBNdb's day." },
	{ "alerts", "queue_backlog", CONFIG_INT, FIELD(alerts.queue_backlog, int), 0, 100000000, "100",
	  .help = "Raised with more items waiting in the enrichment queue than this." },
	{ "alerts", "quota_warn_percent", CONFIG_INT, FIELD(alerts.quota_warn_percent, int), 0, 100, "50",
	  .help = "Raised for a provider with more of its day's quota (daily_limit less reserve) used than this; critical: all." },
	{ "alerts", "quota_throttle_percent", CONFIG_INT, FIELD(alerts.quota_throttle_percent, int), 0, 99, "80",
	  .help = "From this much of ISBNdb's day on the timer claims fewer months." },
	{ "alerts", "attempts_warn", CONFIG_INT, FIELD(alerts.attempts_warn, int), 1, 5, "4",
	  .help = "Raised for months not completed with this many failed attempts." },

	{ "retention", "events", CONFIG_DURATION, FIELD(retention.events_ms, int64_t), HOUR, 36500 * DAY, "365d",
	  .help = "Transitions of months; what operators did to them stays as long as the audit." },
	{ "retention", "answers", CONFIG_DURATION, FIELD(retention.answers_ms, int64_t), HOUR, 36500 * DAY, "90d",
	  .help = "Raw answers of AIs for months that have ended, and records of editions." },
	{ "retention", "enrichment_log", CONFIG_DURATION, FIELD(retention.enrichment_log_ms, int64_t), HOUR, 36500 * DAY,
	  "180d", .help = "Steps of enrichment." },
	{ "retention", "api_usage", CONFIG_DURATION, FIELD(retention.api_usage_ms, int64_t), HOUR, 36500 * DAY, "730d",
	  .help = "Calls, tokens and cost; rolled up per day after a week." },
	{ "retention", "audit", CONFIG_DURATION, FIELD(retention.audit_ms, int64_t), HOUR, 36500 * DAY, "730d",
	  .help = "Who changed what through the HTTP interface." },
	{ "retention", "job_status", CONFIG_DURATION, FIELD(retention.job_status_ms, int64_t), HOUR, 36500 * DAY, "7d",
	  .help = "Status of jobs whose month has ended." },
};
// clang-format on
const int config_n_keys = BF_COUNT(config_keys);
_Static_assert(BF_COUNT(config_keys) <= CONFIG_MAX_KEYS, "CONFIG_MAX_KEYS is too small");

/* The provider of that name. */
int bf_provider_by_name(const char *name)
{
	for (int p = 0; p < BF_NPROVIDERS; p++)
		if (strcmp(name, bf_provider_names[p]) == 0)
			return p;
	return -1;
}

/* The key of a place. */
const struct config_key *config_key(struct config_place at)
{
	return &config_keys[at.key];
}

/* True for keys that each provider has its own of. */
static bool config_is_provider(int key)
{
	return strcmp(config_keys[key].section, "provider") == 0;
}

struct config_place config_first(void)
{
	return (struct config_place){ 0, 0 };
}

/* Walks the table; the provider rows are walked once for each provider. */
bool config_next(struct config_place *at)
{
	bool was_provider = config_is_provider(at->key);

	at->key++;
	if (was_provider && (at->key == config_n_keys || !config_is_provider(at->key))) {
		if (at->provider + 1 < BF_NPROVIDERS) {
			at->provider++;
			for (at->key--; at->key > 0 && config_is_provider(at->key - 1); )
				at->key--;
			return true;
		}
		at->provider = 0;
	}
	return at->key < config_n_keys;
}

bool config_offered(struct config_place at)
{
	const struct config_key *k = config_key(at);

	return !k->per_provider || k->per_provider[at.provider];
}

const char *config_section(struct config_place at, char buf[40])
{
	if (!config_is_provider(at.key))
		return config_key(at)->section;
	snprintf(buf, 40, "provider.%s", bf_provider_names[at.provider]);
	return buf;
}

const char *config_fallback(struct config_place at)
{
	const struct config_key *k = config_key(at);
	const char *s = k->per_provider ? k->per_provider[at.provider] : k->fallback;

	return s ? s : "";
}

int config_slots(struct config_place at)
{
	enum config_type type = config_key(at)->type;

	return type == CONFIG_SECRET || type == CONFIG_CONNINFO ? 2 : 1;
}

const char *config_slot_name(struct config_place at, int slot, char buf[60])
{
	const struct config_key *k = config_key(at);
	const char *ending = slot ? "_file" : k->type == CONFIG_SECRET ? "_env" : "";

	snprintf(buf, 60, "%s%s", k->name, ending);
	return buf;
}

bool config_find(const char *section, const char *name, struct config_place *ret, int *ret_slot)
{
	struct config_place at = config_first();
	char in[40], written[60];

	do {
		if (strcmp(config_section(at, in), section) != 0 || !config_offered(at))
			continue;
		for (int slot = 0; slot < config_slots(at); slot++)
			if (strcmp(config_slot_name(at, slot, written), name) == 0) {
				*ret = at;
				*ret_slot = slot;
				return true;
			}
	} while (config_next(&at));
	return false;
}

bool config_has_section(const char *section)
{
	struct config_place at = config_first();
	char in[40];

	do {
		if (strcmp(config_section(at, in), section) == 0)
			return true;
	} while (config_next(&at));
	return false;
}

/* Where the value is kept. The struct's constness is the caller's business. */
void *config_field(const struct bf_config *c, struct config_place at)
{
	uintptr_t base = config_is_provider(at.key) ? (uintptr_t)&c->provider[at.provider] : (uintptr_t)c;

	return (void *)(base + config_key(at)->offset);
}

bool config_is_string(enum config_type type)
{
	switch (type) {
	case CONFIG_BOOL:
	case CONFIG_INT:
	case CONFIG_SIZE:
	case CONFIG_DURATION:
	case CONFIG_DOUBLE:
	case CONFIG_RATE:
	case CONFIG_LEVEL:
	case CONFIG_CHOICE:
	case CONFIG_ORDER:
		return false;
	case CONFIG_WORD:
	case CONFIG_TEXT:
	case CONFIG_CONTACT:
	case CONFIG_CRON:
	case CONFIG_TIMEZONE:
	case CONFIG_LISTEN:
	case CONFIG_BASE_URL:
	case CONFIG_HOOK_URL:
	case CONFIG_PROXY:
	case CONFIG_CONNINFO:
	case CONFIG_SECRET:
		return true;
	}
	return false;
}

/* Levenshtein's distance; words of 40 letters and more are far from everything. */
static size_t config_distance(const char *a, const char *b)
{
	size_t row[41], n = strlen(b);

	if (strlen(a) > 40 || n > 40)
		return 99;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[n];
}

/* Keeps the nearer of two candidates; what differs in more than a third of its letters is not near. */
static void config_nearer(const char *word, const char *candidate, size_t *best, char *buf, size_t size)
{
	size_t d = config_distance(word, candidate);

	if (d < *best && d <= 1 + strlen(candidate) / 4) {
		*best = d;
		snprintf(buf, size, "%s", candidate);
	}
}

const char *config_near_section(const char *word, char buf[40])
{
	struct config_place at = config_first();
	size_t best = 99;
	char in[40];

	do {
		config_nearer(word, config_section(at, in), &best, buf, 40);
	} while (config_next(&at));
	return best < 99 ? buf : NULL;
}

const char *config_near_key(const char *section, const char *word, char buf[60])
{
	struct config_place at = config_first();
	char in[40], written[60];
	size_t best = 99;

	do {
		if (strcmp(config_section(at, in), section) != 0 || !config_offered(at))
			continue;
		for (int slot = 0; slot < config_slots(at); slot++)
			config_nearer(word, config_slot_name(at, slot, written), &best, buf, 60);
	} while (config_next(&at));
	return best < 99 ? buf : NULL;
}
