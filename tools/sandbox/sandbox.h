/*
 * sandbox: seven providers played from one catalogue. What is here is shared by the files of this
 * program: the world (works, their editions, their decoys), the search over it, the request as
 * a provider's file sees it, the reply it fills, and the switches that /_control turns.
 *
 * Everything a provider answers is a function of the seed, the switches and the request: nothing is
 * drawn from a clock or a random source, so the same request gets the same answer, in any order and
 * after a restart.
 */
#ifndef SANDBOX_H
#define SANDBOX_H
#include <sys/queue.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include "backfill/base.h"
#include "backfill/books.h"
#include "backfill/config.h"

/* ---- dice.c: the one source of chance ---- */
uint64_t dice_hash(uint64_t seed, const char *tag, uint64_t a, uint64_t b);
uint64_t dice_hash_bytes(uint64_t seed, const void *, size_t);
double   dice_unit(uint64_t hash);			/* [0, 1) */
struct dice { uint64_t state; };			/* a stream of throws */
void     dice_init(struct dice *, uint64_t seed, const char *tag, uint64_t a, uint64_t b);
uint32_t dice_below(struct dice *, uint32_t n);		/* 0 .. n-1; n > 0 */
bool     dice_chance(struct dice *, double probability);
const char *dice_pick(struct dice *, const char *const *, size_t n);

/* ---- words.c: what generated titles and names are made of; sizes are powers of two ---- */
#define WORDS_ADJECTIVES 64
#define WORDS_NOUNS	 128
#define WORDS_PLACES	 128
#define WORDS_PEOPLE	 128
#define WORDS_FORENAMES	 64
#define WORDS_SURNAMES	 128
extern const char *const words_adjectives[WORDS_ADJECTIVES];
extern const char *const words_nouns[WORDS_NOUNS];
extern const char *const words_places[WORDS_PLACES];
extern const char *const words_people[WORDS_PEOPLE];	/* trades: "Beekeeper" */
extern const char *const words_forenames[WORDS_FORENAMES];
extern const char *const words_surnames[WORDS_SURNAMES];

/* ---- catalogue.c: the books of the TSV ---- */
struct work {
	uint32_t id; /* row of the catalogue, or from WORK_GENERATED on, see world.c */
	uint32_t    twin;		/* first row that is the same work; else the id itself */
	int	    year, month;	/* 0: of no month (invented) */
	const char *title;		/* as the catalogue has it */
	const char *main, *subtitle, *series;	/* its parts; "" where there is none */
	const char *authors;		/* `;`-joined, never empty */
	const char *publisher, *language;	/* "": not known; ISO 639-2 */
	int	    pages;		/* 0: not known */
	char	    isbn13[14];		/* of the first edition (slot 0) */
};
struct catalogue {
	struct work *works;		/* sorted by month; the index is the id */
	size_t	     n;
	uint32_t    *month_start;	/* CATALOGUE_MONTHS + 1 offsets into works */
	uint64_t    *isbn_slots;	/* hash table: ISBN << 24 | row + 1 */
	size_t	     isbn_mask;
	char	    *text;		/* the file; works point into it */
	struct bf_arena *arena;
	size_t	     skipped;		/* rows that were refused */
};
#define CATALOGUE_YEAR0	 1900
#define CATALOGUE_MONTHS (201 * 12)
/* Index of a month, or -1 outside 1900-2100. */
int  catalogue_month(int year, int month);
/* Takes the text (bf_xmalloc'd, NUL-terminated). false and *err when the header lacks a column. */
bool catalogue_parse(struct catalogue *, char *text, const char *name, struct bf_error *err);
void catalogue_release(struct catalogue *);
/* Row of the work whose first edition has this ISBN, or -1. */
int64_t catalogue_by_isbn(const struct catalogue *, const char isbn13[14]);
/* Parts of a title: "Main: Subtitle (Series #1)". */
void catalogue_split_title(struct work *, struct bf_arena *);

/* ---- twins.c: the same work in two rows ---- */
void twins_find(struct catalogue *);

/* ---- world.c: editions, decoys and who holds what ---- */
#define WORK_GENERATED 0x01000000u	/* known to the sandbox, beyond the catalogue */
#define WORK_INVENTED  0x02000000u	/* named by an AI, known to nobody */
#define WORK_SPACE     0x00100000u	/* ids of each of the two kinds */

enum decoy {			/* what a search engine gives instead of the book */
	DECOY_SUMMARY, DECOY_STUDY_GUIDE, DECOY_WORKBOOK, DECOY_BOX_SET,
	DECOY_SEQUEL, DECOY_SAME_TITLE, DECOY_TRANSLATION, DECOY_LARGE_PRINT,
	DECOY_KINDS
};
#define SLOT_DECOY 8			/* slots below are editions, from here on decoys */
#define SLOTS	   16
struct hit { uint32_t work; uint8_t slot; };

struct record {			/* one edition or decoy, before a provider spells it */
	struct hit  hit;
	const char *title;		/* main part */
	const char *subtitle, *series;	/* "" where there is none */
	const char *authors;		/* `;`-joined, natural order */
	const char *publisher;		/* never empty */
	const char *language;		/* ISO 639-2, never empty */
	const char *binding;		/* "Hardcover"; no two editions of a work share one */
	int	    year, month, day, pages;
	char	    isbn13[14], isbn10[11];	/* isbn10 "" where there is none */
};

struct knobs;
struct world {
	struct catalogue catalogue;
	const struct knobs *knobs;
	struct search	*search;
};
/* The work of any id; in the arena unless it is the catalogue's. NULL for an id that is none. */
const struct work *world_work(const struct world *, uint32_t id, struct bf_arena *);
uint32_t world_generated_id(int year, int month, uint32_t i);	/* i < 256 */
/* The i-th title that this AI invents for the month; never one of the catalogue. */
uint32_t world_invented_id(
	const struct world *, int year, int month, enum bf_provider_id, uint32_t i);
bool world_holds(const struct world *, enum bf_provider_id, uint32_t work);
bool world_holds_edition(const struct world *, enum bf_provider_id, struct hit);
unsigned world_editions(const struct world *, uint32_t work);	/* 2..4 */
unsigned world_decoys(const struct world *, uint32_t work);	/* bits 1 << enum decoy */
void world_isbn(const struct world *, struct hit, char ret_isbn13[14]);
bool world_by_isbn(const struct world *, const char isbn13[14], struct hit *ret);
void world_record(const struct world *, struct hit, struct bf_arena *, struct record *ret);
const char *world_decoy_name(unsigned slot);		/* "summary"; "edition" for editions */
const char *world_work_name(
	const struct work *, struct bf_arena *); /* "w12", "g7", "x3"; twins share one */

/* ---- decoys.c ---- */
/* Turns the record of a work's first edition into its decoy of that kind. */
void decoys_dress(const struct work *, enum decoy, struct bf_arena *, struct record *);

/* ---- spelling.c: how titles and names vary ---- */
struct spelled { const char *title, *author, *publisher; int year; };
/* How this AI writes the book: never quite as the other one does. */
void spelling_of_ai(const struct world *, enum bf_provider_id, const struct work *,
	struct bf_arena *, struct spelled *ret);
const char *spelling_inverted(const char *name, struct bf_arena *);	/* "Last, First" */
const char *spelling_entities(const char *text, struct bf_arena *); /* & and ' as HTML has them */
const char *spelling_hyphenated(const char *isbn, uint64_t hash, struct bf_arena *);
/* Splits `;`-joined names; returns how many. */
size_t spelling_names(const char *authors, struct bf_arena *, const char **ret, size_t max);

/* ---- details.c: what a record says beside title, names and ISBN ---- */
#define DETAILS_SUBJECTS 5
struct request;
void details_dice(const struct request *, const struct record *, struct dice *);
const char *details_synopsis(const struct record *, struct dice *, struct bf_arena *);	/* HTML */
size_t details_subjects(const struct record *, struct dice *, struct bf_arena *,
	const char *ret[DETAILS_SUBJECTS]);
const char *details_publisher(const struct record *, struct dice *, struct bf_arena *);
const char *details_initials(const char *name, struct bf_arena *);	/* "S. King" */
const char *details_cover(const struct record *, struct dice *, struct bf_arena *);	/* or NULL */

/* ---- search.c: an engine that forgives ---- */
struct search;
struct search *search_new(const struct catalogue *);
void search_free(struct search *);
#define SEARCH_MAX 24
struct query {
	const char *title;		/* words wanted in the title; "" for none */
	const char *author;		/* words wanted in the names; "" for none */
	bool	    mixed;		/* title holds words of both */
};
struct found { uint32_t work; float score; bool match; };
/* Best first; match says that it is what was asked for, the others are near misses. */
size_t search_run(const struct world *, const struct query *, struct bf_arena *,
	struct found ret[SEARCH_MAX]);
/* Works whose title is exactly one of these, folded. */
size_t search_exact(
	const struct world *, const char *title, struct bf_arena *, uint32_t *ret, size_t max);
bool search_title_known(const struct search *, const char *title);
/* Is the main title shared by several rows? Then dropping what follows it would change the book. */
unsigned search_main_count(const struct search *, uint32_t work);
/* What this provider shows for the query: decoys, editions, near misses, in its order. */
#define RESULTS_MAX 16
size_t results_of(const struct world *, enum bf_provider_id, const struct query *,
	struct bf_arena *, struct hit ret[RESULTS_MAX]);

/* The same for one work that the provider holds. */
size_t results_of_work(
	const struct world *, enum bf_provider_id, uint32_t work, struct hit ret[RESULTS_MAX]);

/* ---- knobs (control.c): what /_control turns ---- */
enum fault {
	FAULT_NONE,
	FAULT_429,
	FAULT_429_MINUTE,
	FAULT_429_DAILY,
	FAULT_401,
	FAULT_403,
	FAULT_404,
	FAULT_500,
	FAULT_502,
	FAULT_503,
	FAULT_504,
	FAULT_RESET,
	FAULT_STALL,
	FAULT_DRIP,
	FAULT_TRUNCATED,
	FAULT_OVERSIZED,
	FAULT_GZIP_BOMB,
	FAULT_INVALID_JSON,
	FAULT_INVALID_UTF8,
	FAULT_HTML,
	FAULT_FENCED,
	FAULT_REFUSAL,
	FAULT_ERROR_OBJECT,
	FAULT_SAFETY,
	FAULT_EMPTY,
	FAULT_MAX_TOKENS_CUT,
	FAULT_ONE_BAD_ITEM,
	FAULTS
};
extern const char *const fault_names[FAULTS];
struct provider_knobs {
	int64_t latency_ms[2];
	double	coverage;
	int64_t daily_quota;		/* units; 0: none */
	int64_t rate;			/* requests a second; 0: none */
	int64_t fault_attempts;		/* identical requests a fault lasts; 0: always */
	double	faults[FAULTS];
};
struct knobs {
	uint64_t seed;
	double	 invented, overlap;
	bool	 decoys;
	struct provider_knobs provider[BF_NPROVIDERS];
};
void knobs_init(struct knobs *);
void knobs_demo_latencies(struct knobs *);
/* Merges a JSON object. false, a message, and nothing changed, when it is not a proper one. */
bool knobs_merge(struct knobs *, const char *json, size_t len, struct bf_error *err);
void knobs_print(const struct knobs *, struct bf_buf *out);

/* ---- counters.c ---- */
#define STATUS_NONE 0			/* no whole answer was given: reset, stall */
struct window { uint64_t *at; size_t cap, head, n, peak; };	/* arrivals of the last second */
struct counters {
	uint64_t requests, plan_requests, units, in_flight;
	uint64_t by_status[600];
	uint64_t by_fault[FAULTS];	/* of those that cost units */
	uint32_t *by_month;		/* AIs: CATALOGUE_MONTHS counts */
	uint32_t *flying;		/* AIs: requests in flight per month */
	struct window window;
};
void   counters_init(struct counters [BF_NPROVIDERS]);
void   counters_reset(struct counters [BF_NPROVIDERS]);
void   counters_release(struct counters [BF_NPROVIDERS]);
/* Counts an arrival; returns how many came within the second that ends now, itself included. */
size_t counters_arrival(struct counters *, uint64_t now_us, bool asks_plan);
void   counters_print(const struct counters [BF_NPROVIDERS], bool overlap_seen, struct bf_buf *out);

/* ---- the request and the reply as a provider's file sees them ---- */
struct sandbox;
struct request {
	struct sandbox *sandbox;
	const struct world *world;
	const struct knobs *knobs;
	struct bf_arena *arena;		/* dies with the request */
	enum bf_provider_id provider;
	const char *method;		/* "GET" */
	const char *path; /* decoded, without the provider's prefix; begins with `/` */
	const char *url;		/* prefix of links: "http://127.0.0.1:1234/isbndb" */
	struct evkeyvalq *query, *headers;
	const char *body;
	size_t	    body_len;
	uint64_t    hash;		/* of all that makes the request what it is, keys apart */
	enum fault  fault;		/* drawn by request_admit */
	int	    month_index;	/* AIs: what was asked; -1 */
	size_t	    arrivals;		/* in the second that ends now */
};
struct reply {
	int	    status;
	const char *content_type, *location;	/* static or in the arena */
	int	    retry_after;	/* seconds; -1: no header */
	struct bf_buf body;
};
const char *request_param(const struct request *, const char *name);	/* "" when absent */
const char *request_header(const struct request *, const char *name);	/* "" when absent */
/* Rate, daily quota and fault, in this order; false: *reply holds the provider's refusal.
 * units are counted. */
bool request_admit(struct request *, struct reply *, int64_t units);
struct bf_jw reply_json(struct reply *, int status);	/* starts a JSON body */
void write_str(struct bf_jw *, const char *key, const char *value); /* a member; NULL writes null */
void write_int(struct bf_jw *, const char *key, int64_t value);
void write_open(
	struct bf_jw *, const char *key, char bracket); /* key NULL: an element; `{` or `[` */
void write_close(struct bf_jw *, char bracket);			/* `}` or `]` */
/* The title of a search result; of a malformed one (fault one_bad_item) a number. */
void write_title(struct bf_jw *, const char *key, const char *title, bool bad);
const char *write_full_title(const struct record *, bool subtitle, bool series, struct bf_arena *);
/* Results of a query, and of one ISBN; none under the fault `empty`. */
size_t request_results(const struct request *, const struct query *, struct hit ret[RESULTS_MAX]);
bool   request_isbn(const struct request *, const char *isbn, struct hit *ret);
int64_t request_units(const struct request *);	/* counted for this provider so far */
bool request_is_bad(const struct request *, size_t i, size_t n); /* is this the malformed item? */
void request_dice(
	const struct request *, struct hit, struct dice *); /* a provider's quirks of a record */

typedef void provider_answer(struct request *, struct reply *);
provider_answer gemini_answer, xai_answer, isbndb_answer, google_books_answer, open_library_answer,
	archive_org_answer, wikidata_answer;

/* ---- errors.c: how each provider refuses ---- */
enum refusal {
	REFUSE_RATE,
	REFUSE_MINUTE,
	REFUSE_DAILY,
	REFUSE_KEY_MISSING,
	REFUSE_KEY_BAD,
	REFUSE_FORBIDDEN,
	REFUSE_NOT_FOUND,
	REFUSE_MODEL,
	REFUSE_METHOD,
	REFUSE_REQUEST,
	REFUSE_500,
	REFUSE_502,
	REFUSE_503,
	REFUSE_504
};
void errors_refuse(struct request *, struct reply *, enum refusal, const char *detail);

/* ---- prompt.c: what an AI is asked ---- */
struct ask {
	const char *model;
	const char *prompt;		/* all user text */
	int	    year, month;	/* 0: none found */
	uint32_t    n;			/* books asked for */
	bool	    array;		/* the schema wants a bare array */
	const char *fields;		/* " title author " of the schema, NULL: no schema */
	int64_t	    max_tokens;		/* 0: none given */
};
void prompt_read(struct ask *, const char *text);
void prompt_schema(struct ask *, struct bf_jval schema, struct bf_arena *);

/* ---- named.c: what the AIs name ---- */
struct named { uint32_t work; struct spelled spelled; };
#define NAMED_MAX 200
size_t named_books(const struct world *, enum bf_provider_id, int year, int month, uint32_t n,
		   struct bf_arena *, struct named ret[NAMED_MAX]);
/* The JSON text of the books, as the model would write it. */
void named_write(const struct request *, const struct ask *, const struct named *, size_t n,
	struct bf_buf *out);

/* ---- truth.c: what only a measuring script may ask ---- */
struct served {
	int year, month;
	enum bf_provider_id provider;
	uint32_t n;
	uint64_t seed;
	double invented, overlap;
};
void truth_isbn(const struct world *, const char *isbn, struct bf_buf *out);	/* one JSON line */
void truth_work(
	const struct world *, uint32_t work, struct bf_buf *out); /* a line per ISBN of the work */
void truth_named(const struct world *, const struct served *, struct bf_buf *out);

/* ---- faults.c ---- */
enum fault faults_draw(const struct request *);
/* Spoils a finished body as body faults do. */
void faults_spoil(enum fault, struct request *, struct reply *);
bool faults_gzip_bomb(struct bf_buf *out);

/* ---- sandbox.c, admit.c and exchange.c: routing, admission and the way a reply leaves ---- */
struct attempts {
	uint64_t *hashes;
	uint32_t *seen;
	size_t mask, n;
}; /* identical requests that met a fault */
struct exchange;
struct sandbox {
	struct event_base *base;
	struct evhttp *http;
	struct world world;
	struct knobs knobs;
	struct counters counters[BF_NPROVIDERS];
	struct attempts attempts;
	struct served *served;
	size_t n_served, cap_served;
	bool overlap_seen;
	char url[64];
	struct bf_buf bomb;		/* made once, on first use */
	struct exchange *exchanges;	/* replies that have not left yet */
};
void sandbox_handle(struct evhttp_request *, void *sandbox);
void sandbox_asked(struct request *, const struct ask *);	/* counts the month */
void sandbox_served(struct request *, const struct ask *);	/* its books go out now */
void sandbox_reset(struct sandbox *);
/* Sends, after the provider's latency and in the fault's manner. Borrows both until it returns. */
void exchange_start(
	struct sandbox *, struct evhttp_request *, const struct request *, const struct reply *);
void exchange_stream_truth(struct sandbox *, struct evhttp_request *);
void exchange_drop_all(struct sandbox *);

extern const unsigned char embedded_catalogue[];
extern const size_t embedded_catalogue_len;
#endif
