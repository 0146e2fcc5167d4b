/*
 * config: an INI file becomes one struct, by one table of keys (section, key, type, range, default, reloadable, help).
 * All problems are reported at once as FILE:LINE: message. Secrets come from files or the environment and are never
 * printed. A loaded struct is never changed: a reload makes a new one.
 */
#ifndef BACKFILL_CONFIG_H
#define BACKFILL_CONFIG_H
#include <stdio.h>
#include "backfill/base.h"

/* The seven providers, in the order used everywhere; the first two are the AIs. */
enum bf_provider_id {
	BF_GEMINI, BF_XAI, BF_ISBNDB, BF_GOOGLE_BOOKS, BF_OPEN_LIBRARY, BF_ARCHIVE_ORG, BF_WIKIDATA, BF_NPROVIDERS
};
#define BF_NAIS 2
#define BF_IS_AI(p) ((p) < BF_NAIS)
extern const char *const bf_provider_names[BF_NPROVIDERS];	/* "gemini", ... */
int bf_provider_by_name(const char *);				/* -1: unknown */

struct bf_provider_config {
	bool     enabled;
	char    *base_url;		/* no trailing slash */
	char    *model;			/* AIs only, else "" */
	char    *api_key;		/* NULL: none given */
	bool     needs_key;		/* without the key the provider is off */
	int64_t  timeout_ms;
	double   rate_per_s;		/* over all instances; 0: unlimited is not offered */
	int      concurrency;
	int      daily_limit, reserve;	/* units; daily_limit 0: none */
	char    *proxy;			/* "" none */
	double   cost_per_call, cost_per_mtok_in, cost_per_mtok_out;
};

struct bf_config {
	struct { char *instance; enum bf_log_level log_level; bool log_json; int64_t drain_timeout_ms; char *contact; } daemon;
	struct { char *conninfo; int connections; int64_t statement_timeout_ms; } database;	/* conninfo_file read */
	struct { char *listen; char *secret; int64_t max_body; } admin;
	struct {
		char *schedule, *timezone; bool catch_up; int batch_size, concurrent_months, year_start, year_end;
		int64_t retry_base_ms, retry_cap_ms, stuck_after_ms;
	} scheduler;
	struct {
		int books_per_provider; char *prompt_recent; int prompt_recent_from; char *prompt_default;
		double dedup_similarity;
	} generation;
	struct {
		enum bf_provider_id order[BF_NPROVIDERS]; int n_order; int concurrent_books, min_confidence; int64_t cache_ttl_ms;
	} resolution;
	struct { bool enabled, siblings; int batch; int64_t poll_ms; int max_attempts; } enrichment;
	struct { char *schedule; int batch; } enhancement;
	struct bf_provider_config provider[BF_NPROVIDERS];
	struct {
		char *webhook_url, *webhook_secret; double resolution_rate_warn, resolution_rate_critical;
		int failed_months, isbndb_daily_calls, queue_backlog, quota_warn_percent, quota_throttle_percent, attempts_warn;
	} alerts;
	struct { int64_t events_ms, answers_ms, enrichment_log_ms, api_usage_ms, audit_ms, job_status_ms; } retention;
};

/* What is wrong with a file, in reading order. */
struct bf_config_problem { int line; char text[240]; };	/* line 0: the file as a whole */
struct bf_config_problems { struct bf_config_problem *v; size_t n; };
void bf_config_problems_release(struct bf_config_problems *);

/* Parses, reads the secrets' files and environment, validates as a whole. NULL when there is any problem (all are in
 * *ret); the caller frees both. path NULL: the defaults alone, and no admin secret is demanded. `previous` is given on
 * reload: secrets from the environment are taken over from it instead of read again. */
struct bf_config *bf_config_load(const char *path, const struct bf_config *previous, struct bf_config_problems *ret);
/* The same for a command that serves nobody (migrate): no admin secret is demanded. */
struct bf_config *bf_config_load_offline(const char *path, struct bf_config_problems *ret);
void bf_config_free(struct bf_config *);		/* secrets are wiped; NULL is fine */
/* Names of restart-only keys (admin.listen, database.*) that differ, comma separated, into buf; returns how many. Their
 * old values stay in effect: bf_config_keep_restart_keys copies them into `fresh`. */
int bf_config_restart_keys(const struct bf_config *old, const struct bf_config *fresh, char *buf, size_t size);
void bf_config_keep_restart_keys(struct bf_config *fresh, const struct bf_config *old);
/* The commented sample, printed from the table; conf/backfilld.ini is compared with it. */
void bf_config_print_sample(FILE *);
/* Walks the effective values for GET /api/internal/config: secrets as "set"/"unset". */
typedef void bf_config_visit(void *ctx, const char *section, const char *key, const char *value, bool reloadable);
void bf_config_each(const struct bf_config *, bf_config_visit *, void *ctx);
/* Looks at the files that c was read from, now: the configuration, conninfo_file, the secrets'. problem NULL: fine. Returns how many. */
typedef void bf_config_file_visit(void *ctx, const char *what, const char *path, bool secret, const char *problem);
int bf_config_files(const struct bf_config *c, bf_config_file_visit *, void *ctx);
#endif
