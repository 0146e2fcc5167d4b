/*
 * base: what every room stands on. Errors, log, capped buffers, arenas, JSON in and out,
 * time, randomness, UUIDs, allocation and cron expressions. Knows no loop and no book.
 */
#ifndef BACKFILL_BASE_H
#define BACKFILL_BASE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define BF_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define BF_MUSTCHECK __attribute__((warn_unused_result))
#define BF_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- errors: the class decides what happens next, the text is for people ---- */
enum bf_err_class {
	BF_ERR_NONE,
	BF_ERR_RETRY,		/* passing: network, 5xx, 408, 429, lost connection */
	BF_ERR_PERMANENT,	/* the same question will get the same answer */
	BF_ERR_REFUSED,		/* credentials, model or credit refused: provider off until reload */
	BF_ERR_QUOTA,		/* out of paid or daily units until a known time */
	BF_ERR_CANCELLED,
	BF_ERR_CONFIG,
	BF_ERR_BUG
};
struct bf_error {
	enum bf_err_class class;
	int  http;		/* HTTP status, 0 if none */
	char sqlstate[6];	/* "" if none */
	char text[256];		/* what was done, to whom, what came back; never a secret */
};
const char *bf_err_class_name(enum bf_err_class);
/* Sets class and text (truncated on a UTF-8 boundary), clears http and sqlstate. */
void bf_error_set(struct bf_error *, enum bf_err_class, const char *fmt, ...) BF_PRINTF(3, 4);

/* ---- allocation: small fixed things die on OOM with a message and exit 1 ---- */
void *bf_xmalloc(size_t) __attribute__((malloc, returns_nonnull));
void *bf_xcalloc(size_t n, size_t size) __attribute__((returns_nonnull));
void *bf_xrealloc(void *, size_t n, size_t size) __attribute__((returns_nonnull));
char *bf_xstrdup(const char *) __attribute__((malloc, returns_nonnull));
char *bf_xasprintf(const char *fmt, ...) BF_PRINTF(1, 2) __attribute__((returns_nonnull));
void bf_out_of_memory(void) __attribute__((noreturn));	/* for who learns it from a library */

/* An arena owns all that one answer is parsed into; freed as a whole. */
struct bf_arena;
struct bf_arena *bf_arena_new(void);
void  bf_arena_free(struct bf_arena *);					/* NULL is fine */
void *bf_arena_alloc(struct bf_arena *, size_t) __attribute__((returns_nonnull));	/* zeroed, aligned */
char *bf_arena_strdup(struct bf_arena *, const char *);			/* NULL gives NULL */
char *bf_arena_strndup(struct bf_arena *, const char *, size_t);
char *bf_arena_printf(struct bf_arena *, const char *fmt, ...) BF_PRINTF(2, 3);

/* ---- capped buffer: grows to max, then remembers that it failed; always NUL-terminated ---- */
struct bf_buf {
	char  *data;		/* "" until something is in it */
	size_t len, cap, max;
	bool   failed;		/* max was passed; the content is cut before that append */
};
void bf_buf_init(struct bf_buf *, size_t max_bytes);
void bf_buf_release(struct bf_buf *);
void bf_buf_clear(struct bf_buf *);		/* keeps the memory; clears failed */
bool bf_buf_add(struct bf_buf *, const void *, size_t);	/* false once failed */
bool bf_buf_adds(struct bf_buf *, const char *);
bool bf_buf_addf(struct bf_buf *, const char *fmt, ...) BF_PRINTF(2, 3);

/* ---- log: one line per event to stderr, logfmt or JSON; foreign text is escaped ---- */
enum bf_log_level { BF_DEBUG, BF_INFO, BF_WARN, BF_ERROR };
struct bf_kv {
	const char *key;	/* NULL ends the list */
	enum { BF_KV_STR, BF_KV_INT, BF_KV_DBL, BF_KV_ERR } kind;
	union { const char *s; long long i; double d; const struct bf_error *e; } v;
};
#define BF_S(k, x) { .key = (k), .kind = BF_KV_STR, .v.s = (x) }	/* NULL: key left out */
#define BF_I(k, x) { .key = (k), .kind = BF_KV_INT, .v.i = (long long)(x) }
#define BF_D(k, x) { .key = (k), .kind = BF_KV_DBL, .v.d = (x) }
#define BF_E(x)    { .key = "error", .kind = BF_KV_ERR, .v.e = (x) }
/* bf_log(BF_INFO, "month claimed", BF_I("year", y), BF_S("stage", s)); one pair at least */
#define bf_log(level, msg, ...) \
	bf_log_write((level), (msg), (const struct bf_kv[]){ __VA_ARGS__, { .key = NULL } })
void bf_log_write(enum bf_log_level, const char *msg, const struct bf_kv *);
void bf_log_setup(enum bf_log_level least, bool json);
/* stderr never blocks the caller: what it does not take waits in a bounded ring, then is dropped
 * and counted. Returns the bytes still waiting. */
size_t   bf_log_flush(void);
uint64_t bf_log_dropped(void);

/* ---- time, randomness, identity ---- */
uint64_t bf_now_us(void);			/* monotonic */
int64_t  bf_wall_us(void);			/* since 1970, UTC */
void bf_format_time(char out[32], int64_t wall_us);	/* RFC 3339, "2026-01-14T00:00:00Z" */
uint64_t bf_random_u64(void);			/* seeded by getrandom() */
double   bf_random_unit(void);			/* [0, 1) */
void bf_random_seed(uint64_t);			/* repeatable from here on: tests, simulation */
void bf_uuid(char out[37]);			/* version 4, RFC 9562 */
/* Equal time whatever the input; lengths may leak no more than via a fixed-length digest. */
bool bf_secret_equal(const char *a, size_t a_len, const char *b, size_t b_len);
void bf_sha256(const void *, size_t, uint8_t out[32]);				/* FIPS 180-4 */
void bf_hmac_sha256(const void *key, size_t key_len, const void *, size_t, uint8_t out[32]);	/* RFC 2104 */

/* ---- text ---- */
bool bf_utf8_valid(const char *, size_t);	/* RFC 3629, NUL allowed */
size_t bf_utf8_cut(const char *, size_t len, size_t max_bytes);	/* longest prefix <= max on a boundary */
/* The two arguments of "%.*s" for a text that may have to be cut: half a character is no UTF-8, and the database refuses it. */
#define BF_CUT(text, max_bytes) (int)bf_utf8_cut((text), strlen(text), (max_bytes)), (text)

/* ---- JSON in (RFC 8259, checked as a whole before anything is handed out) ---- */
struct bf_json;					/* owns tokens and text */
struct bf_jval { const struct bf_json *doc; int tok; };	/* tok < 0: absent */
enum bf_jtype { BF_J_ABSENT, BF_J_NULL, BF_J_BOOL, BF_J_NUMBER, BF_J_STRING, BF_J_ARRAY, BF_J_OBJECT };
struct bf_json_limits { size_t max_bytes; int max_tokens; int max_depth; };
extern const struct bf_json_limits bf_json_limits_default;	/* 16 MiB, 1,000,000, 64 */
/* NULL and *err (PERMANENT; offset in the text) when it is not one valid document.
 * refuse_dup_keys: for operators' bodies. Lone surrogates and \u0000 read as U+FFFD. */
struct bf_json *bf_json_parse(const char *, size_t, const struct bf_json_limits *, bool refuse_dup_keys,
			      struct bf_error *err) BF_MUSTCHECK;
void bf_json_free(struct bf_json *);
struct bf_jval bf_json_root(const struct bf_json *);
enum bf_jtype bf_json_type(struct bf_jval);	/* all readers take an absent value */
size_t bf_json_size(struct bf_jval);		/* elements of an array, members of an object, else 0 */
struct bf_jval bf_json_get(struct bf_jval object, const char *key);	/* first match; absent if none */
struct bf_jval bf_json_path(struct bf_jval, const char *dotted);	/* "a.b.0.c" */
/* Iteration: for (v = bf_json_first(a); bf_json_type(v); v = bf_json_next(v)); over an object's values,
 * bf_json_key() names the member. */
struct bf_jval bf_json_first(struct bf_jval);
struct bf_jval bf_json_next(struct bf_jval);
const char *bf_json_key(struct bf_jval member, struct bf_arena *);	/* decoded; NULL in an array */
/* Decoded text of a string (or the digits of a number), in the arena; NULL for other types. */
const char *bf_json_str(struct bf_jval, struct bf_arena *);
bool bf_json_int(struct bf_jval, int64_t *ret);	/* integral numbers only */
bool bf_json_dbl(struct bf_jval, double *ret);
bool bf_json_bool(struct bf_jval, bool *ret);
/* The value's own bytes, borrowed from the document (not NUL-terminated). */
const char *bf_json_raw(struct bf_jval, size_t *len);
/* Cut-off text: the length of *ret_len bytes made of `text` up to its last complete element at the depth of
 * the first array found, closed again into valid JSON in buf. false when nothing can be saved. */
bool bf_json_salvage(const char *text, size_t len, struct bf_buf *out);

/* ---- JSON out: commas and nesting are kept (and asserted) by the writer ---- */
struct bf_jw { struct bf_buf *buf; uint64_t has_item; int depth; bool after_key; };
void bf_jw_init(struct bf_jw *, struct bf_buf *);
void bf_jw_obj(struct bf_jw *);
void bf_jw_end_obj(struct bf_jw *);
void bf_jw_arr(struct bf_jw *);
void bf_jw_end_arr(struct bf_jw *);
void bf_jw_key(struct bf_jw *, const char *);
void bf_jw_str(struct bf_jw *, const char *);	/* NULL writes null; invalid UTF-8 becomes U+FFFD */
void bf_jw_strn(struct bf_jw *, const char *, size_t);
void bf_jw_int(struct bf_jw *, int64_t);
void bf_jw_dbl(struct bf_jw *, double, int decimals);	/* fixed decimals, at least ".0"; NaN writes null */
void bf_jw_bool(struct bf_jw *, bool);
void bf_jw_null(struct bf_jw *);
void bf_jw_raw(struct bf_jw *, const char *, size_t);	/* one value already written */

/* ---- cron expressions: five fields, names, ranges, steps, lists ---- */
struct bf_cron { uint64_t minute; uint32_t hour, dom, month, dow; bool dom_star, dow_star; };
bool bf_cron_parse(struct bf_cron *, const char *expr, struct bf_error *err) BF_MUSTCHECK;
bool bf_timezone_valid(const char *iana_name);
/* First matching minute after `after` (Unix seconds) in the zone; -1 when there is none within 5 years.
 * Spring: a time that does not exist fires at the first minute after the gap. Autumn: a doubled time fires once
 * (the first), unless the minute and hour fields are both `*`-like, which follow the clock. */
int64_t bf_cron_next(const struct bf_cron *, const char *timezone, int64_t after);
/* Last matching minute at or before `at`; -1 when none within 5 years. */
int64_t bf_cron_prev(const struct bf_cron *, const char *timezone, int64_t at);
#endif
