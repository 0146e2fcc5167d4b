/*
 * What one provider is to the gate: two pure functions and a row of constants. No I/O, no clock, no state: `build` turns an
 * ask into an HTTP request, `parse` turns the reply into an answer or a typed failure.
 */
#ifndef PROVIDERS_PROVIDER_H
#define PROVIDERS_PROVIDER_H
#include "backfill/base.h"
#include "backfill/books.h"
#include "backfill/config.h"
#include "backfill/reactor.h"

enum provider_kind {
	PROVIDER_GENERATE,	/* AIs: name books */
	PROVIDER_SEARCH,	/* the others: title and author to records */
	PROVIDER_BULK,		/* all of the others but google_books: records of known ISBNs */
	PROVIDER_LIMITS		/* isbndb: what it says of our plan; costs nothing; fills limit_total and limit_left */
};
struct provider_ask {
	enum provider_kind kind;
	/* GENERATE */
	const char *model, *system, *prompt;
	int up_to_n;
	/* SEARCH: title and author as the AI spelt them */
	const struct bf_book *book;
	/* BULK: canonical ISBN-13s */
	const char *const *isbns;
	size_t n_isbns;
};

#define PROVIDER_MAX_HEADERS 8
struct provider_request {	/* strings live in the arena given to build */
	const char *method, *url, *body;
	size_t body_len;
	struct bf_http_header headers[PROVIDER_MAX_HEADERS];
	size_t n_headers;
	int units;		/* what it costs of the daily quota: 1, or one per ISBN of a bulk call */
};

/* Outcomes by what must happen next, whatever the wire said. */
enum provider_outcome {
	OUTCOME_OK,		/* an answer with content */
	OUTCOME_EMPTY,		/* a definite "nothing found" */
	OUTCOME_REFUSED,	/* AI: refusal, safety block, error object: an answer, recorded with its words */
	OUTCOME_BAD_REQUEST,	/* do not repeat the same request */
	OUTCOME_AUTH,		/* key, model or plan refused: provider off until reload */
	OUTCOME_BILLING,	/* credit used up: off until reload, alert */
	OUTCOME_QUOTA_DAY,	/* closed until the provider's own midnight */
	OUTCOME_RATE,		/* wait retry_after_ms */
	OUTCOME_BANNED,		/* closed for retry_after_ms (hours) */
	OUTCOME_GARBAGE,	/* not what the API promises: HTML, cut JSON, wrong shape */
	OUTCOME_UPSTREAM,	/* 5xx and the like: retry with backoff */
	OUTCOME_TIMEOUT		/* the service gave up on this query: do not repeat it */
};
#define PROVIDER_NOUTCOMES (OUTCOME_TIMEOUT + 1)
const char *provider_outcome_name(enum provider_outcome);

struct provider_answer {	/* strings live in the arena given to parse */
	enum provider_outcome outcome;
	int64_t     retry_after_ms;	/* from header or body; -1 unknown */
	const char *reason;		/* the provider's own words, at most 200 bytes, no secret; NULL when OK */
	/* GENERATE */
	const char *text;		/* the model's text (all non-thought parts); NULL when none */
	size_t      text_len;
	bool        cut;		/* MAX_TOKENS / length: the text may end early */
	const char *model;		/* as the service reports it */
	int64_t     tokens_in, tokens_out;	/* out includes reasoning; 0 when not reported */
	double      cost_usd;		/* < 0: not reported, compute from tokens */
	/* SEARCH, BULK */
	struct bf_record *records;
	size_t      n_records;
	/* what the provider says of our limit; -1 unknown */
	int64_t     limit_total, limit_left;
};

struct provider_ops {
	enum bf_provider_id id;
	const char *label;		/* in errors and logs: "isbndb search" */
	size_t max_body;		/* decompressed */
	int    max_redirects;
	bool   paid;			/* needs our locks held: AIs and ISBNdb */
	int    bulk_max;		/* ISBNs of one bulk call; 0: it takes none */
	bool   bulk_each;		/* a bulk call costs a unit per ISBN */
	/* false and *err when the ask cannot be put to this provider (no usable title, ...). */
	bool (*build)(const struct provider_ask *, const struct bf_provider_config *, struct bf_arena *,
		      struct provider_request *ret, struct bf_error *err);
	/* Never fails: whatever arrived becomes an outcome. ret is zeroed by the caller except retry_after_ms, cost_usd and
	 * limits, which are -1. */
	void (*parse)(const struct provider_ask *, const struct bf_http_reply *, struct bf_arena *,
		      struct provider_answer *ret);
};
extern const struct provider_ops provider_gemini, provider_xai, provider_isbndb, provider_google_books,
	provider_open_library, provider_archive_org, provider_wikidata;
extern const struct provider_ops *const provider_table[BF_NPROVIDERS];	/* by enum bf_provider_id */

/* ---- shared by the providers' files (common.c) ---- */
/* Percent-encodes for a query value or a path segment (RFC 3986 unreserved kept, space as %20). */
const char *provider_escape(struct bf_arena *, const char *);
void provider_header(struct provider_request *, const char *name, const char *value);
/* 200-byte, single-line excerpt of what came, for `reason`. */
const char *provider_excerpt(struct bf_arena *, const char *, size_t);
/* Parses the body as JSON; NULL sets outcome GARBAGE with an excerpt (or UPSTREAM for 5xx). */
struct bf_json *provider_json(const struct bf_http_reply *, struct bf_arena *, struct provider_answer *);
/* The outcome by status alone where the provider says nothing better: 408/5xx UPSTREAM, 429 RATE, 401/403 AUTH, ... */
enum provider_outcome provider_outcome_of_status(int status);
/* string | number | first of an array -> text; NULL for others. Entities and tags are left alone. */
const char *provider_text(struct bf_jval, struct bf_arena *);
/* array | scalar | object with numeric keys -> `;`-joined text of all non-empty elements; NULL for none. */
const char *provider_list(struct bf_jval, struct bf_arena *);
/* First four-digit year 1000..2100 in a date text of any shape; 0 for none. */
int provider_year(const char *date);
#endif
