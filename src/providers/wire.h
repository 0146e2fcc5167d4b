/*
 * What the providers' files share below provider.h: the terms of a search, the making of a record,
 * the reading of Google's error envelope, and what the two AIs ask for.
 */
#ifndef PROVIDERS_WIRE_H
#define PROVIDERS_WIRE_H
#include "provider.h"

/* ---- terms.c: what is asked of a search ---- */
struct terms {
	const char *title;  /* main title: no series note, no subtitle that only describes */
	const char *full;   /* the title without the series note, subtitle kept */
	const char *author; /* first person in natural order; NULL for none or for "various" */
};
/* false and *err when the book has no title that could be searched for. */
bool terms_of(const struct bf_book *, struct bf_arena *, struct terms *ret, struct bf_error *err);
/* The text with double quotes (straight, curly, guillemets) and backslashes made spaces, spaces
 * collapsed, ends trimmed. */
const char *terms_phrase(struct bf_arena *, const char *);
/* The longest prefix of at most max bytes that ends on a character, trimmed. */
const char *terms_cut(struct bf_arena *, const char *, size_t max_bytes);

/* ---- record.c: the parts of a record ---- */
#define RECORD_ISBNS 24
/* ISBNs of one record, canonical and distinct; the best rank wins, the first of equals. */
struct record_isbns {
	char isbn[RECORD_ISBNS][14];
	int rank[RECORD_ISBNS];
	size_t n;
	bool english_first; /* prefer those of the English-speaking groups whatever their rank */
};
bool record_isbn_english(const char isbn13[14]); /* 978-0, 978-1, 979-8 */
/* False when the text is no ISBN. When full, a better one displaces the last. */
bool record_isbn_add(struct record_isbns *, const char *text, int rank);
/* Scalar or list (or object with numeric keys); a 13-digit spelling ranks above a 10-digit one. */
void record_isbn_add_list(struct record_isbns *, struct bf_jval, struct bf_arena *);
/* Fills isbn13 and other_isbns. */
void record_isbn_take(const struct record_isbns *, struct bf_arena *, struct bf_record *);
const char *record_cover(struct bf_arena *, const char *url);    /* https, or NULL */
const char *record_description(struct bf_arena *, const char *); /* at most 1500 bytes */
int record_pages(struct bf_jval, struct bf_arena *);             /* number or digits; 0 for none */
const char *record_last_segment(struct bf_arena *, const char *path); /* "/works/OL1W" -> "OL1W" */

/* A growing array of records in the arena. */
struct record_list {
	struct bf_record *v;
	size_t n, cap;
};
/* Zeroed; its address holds until the next call. */
struct bf_record *record_new(struct record_list *, struct bf_arena *);
/* Hands the list to the answer: OK, or EMPTY when there is none. */
void record_answer(const struct record_list *, struct provider_answer *);

/* ---- common.c, beside what provider.h names ---- */
const char *provider_trim(struct bf_arena *, const char *); /* NULL for NULL and for blank text */
/* ASCII case ignored; a NULL haystack has nothing. */
bool provider_has(const char *haystack, const char *needle);
/* "34.4s", "48" -> ms rounded up, at most 24 h; -1 when it is none. */
int64_t provider_seconds_ms(const char *);
/* Sets outcome and reason (excerpt of text, or the status when there is none); Retry-After was
 * taken before. */
void provider_fail(struct provider_answer *, struct bf_arena *, enum provider_outcome,
	const struct bf_http_reply *, const char *text);
/* provider_outcome_of_status for a service without keys, where a 401, 402 or 403 is a firewall that
 * lets one in again later: BANNED, for an hour at least. */
enum provider_outcome provider_keyless(int status, struct provider_answer *);
/* False and *err without a key that is fit for a header line. */
bool provider_key_ok(const struct bf_provider_config *, const char *label, struct bf_error *err);
bool provider_unsupported(const char *label, struct bf_error *err); /* always false; sets err */
/* Copies the buffer's text into the arena and releases the buffer. */
const char *provider_arena_buf(struct bf_arena *, struct bf_buf *);

/* ---- google.c: the error envelope that Gemini and Google Books share ---- */
struct google_error {
	int code;                     /* its own, else the HTTP status */
	const char *status, *message; /* NULL when absent */
	bool bad_key, per_day, per_minute, user_rate;
	int64_t retry_ms; /* -1: not said */
};
/* false when the document holds no error. Accepts the envelope inside a one-element array. */
bool google_error_read(struct bf_jval root, const struct bf_http_reply *, struct bf_arena *,
	struct google_error *ret);

/* ---- ai.c: the books asked of an AI ---- */
enum ai_schema {
	AI_SCHEMA_OPENAPI, /* Gemini's subset of OpenAPI 3.0 */
	AI_SCHEMA_JSON     /* JSON Schema in strict form */
};
void ai_schema_books(struct bf_jw *, enum ai_schema); /* writes the schema of the list of books */
int ai_max_tokens(int up_to_n); /* room for the list and for thinking, which counts too */
bool ai_blank(const char *text, size_t len);
bool ai_ask_ok(const struct provider_ask *, const struct bf_provider_config *, const char *label,
	struct bf_error *err);
#endif
