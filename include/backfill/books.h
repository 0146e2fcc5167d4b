/*
 * books: the domain, pure. ISBNs, titles and names, matching, deduplication, prompts.
 * No I/O, no clock, no global state: same input, same output.
 */
#ifndef BACKFILL_BOOKS_H
#define BACKFILL_BOOKS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "backfill/base.h"
#include "backfill/config.h"

/* ---- ISBN (ISO 2108): the only code that may read or compare ISBNs ---- */
enum bf_isbn_result { BF_ISBN_OK, BF_ISBN_EMPTY, BF_ISBN_LENGTH, BF_ISBN_CHECK, BF_ISBN_PREFIX, BF_ISBN_JUNK };
/* Canonical 13 digits from any spelling: hyphens, spaces, Unicode dashes, `ISBN-13:`, `(pbk.)`, ISBN-10, SBN,
 * full-width digits, price add-ons. Never repairs a check digit. */
enum bf_isbn_result bf_isbn_canon(const char *text, size_t len, char ret_isbn13[14]);
bool bf_isbn10_from13(const char isbn13[14], char ret_isbn10[11]);	/* false for 979 */
bool bf_isbn_suspect(const char isbn13[14]);	/* valid, but of a block known for mixed-up records */
/* The plain form and the 28 hyphenations of the nine middle digits, for exact look-ups of stored spellings. */
#define BF_ISBN_SPELLINGS 29
void bf_isbn_spellings(const char isbn13[14], char ret[BF_ISBN_SPELLINGS][18]);

/* ---- keys: folded text by which titles and people are compared; every script is kept ---- */
#define BF_KEY_MAX 256			/* bytes with the NUL; longer keys are cut on a boundary */
/* NFKC, case folded, marks removed from Latin/Greek/Cyrillic letters, punctuation to single spaces, `&` to and,
 * HTML entities decoded. Never empty for a text with a letter or digit in it. */
void bf_fold(const char *text, char *out, size_t out_size);
/* Of a title: folded, without leading article, subtitle, series note in brackets and edition words. */
void bf_title_key(const char *title, char ret[BF_KEY_MAX]);
/* Of a person: `Rowling, J. K.`, `J.K. Rowling`, `J. K. Rowling` are one; Jr./Sr./III dropped; `various authors`,
 * `anthology` are one ("various"). Of several people joined by `;`, `&`, ` and `, `, `: of the first. */
void bf_author_key(const char *author, char ret[BF_KEY_MAX]);
/* Splits what a model or provider wrote as author into single names ("A and B", "A; B", "A, B", but "Last, First" is
 * one); names are arena copies in natural order ("First Last"). Returns how many, at most max. */
size_t bf_author_split(const char *authors, struct bf_arena *, const char **ret, size_t max);
/* 0..100: how surely two author texts name one person (or share one): order, initials, diacritics, one typo. */
int bf_author_similarity(const char *a, const char *b);
/* 0..1: character similarity of two folded keys. */
double bf_key_similarity(const char *a, const char *b);

/* ---- a book as an AI names it, as a candidate, and as a provider records it ---- */
struct bf_book {
	const char *title, *subtitle, *author;		/* UTF-8; author may hold several, `;`-joined */
	const char *publisher, *format, *language;	/* NULL: not known */
	const char *significance;
	const char *isbn13;				/* canonical or NULL */
	int year;					/* 0: not known */
	bool year_differs;				/* not the year that was asked for */
	unsigned generated_by;				/* bit set of enum bf_provider_id of the AIs */
};
/* Reads the books an AI answered: a plain array, {"books":[...]}, either inside a Markdown fence, or cut off.
 * A malformed item costs that item. Books live in the arena. */
enum bf_books_outcome { BF_BOOKS_OK, BF_BOOKS_EMPTY, BF_BOOKS_REFUSED, BF_BOOKS_GARBAGE };
struct bf_book_list {
	struct bf_book *books;
	size_t n;
	size_t dropped;			/* malformed items */
	bool   cut;			/* the text ended early; complete items were kept */
	enum bf_books_outcome outcome;
	const char *reason;		/* refusal's words or what is wrong; NULL when OK */
};
void bf_books_read(const char *text, size_t len, int asked_year, struct bf_arena *, struct bf_book_list *ret);

/* Same work? For deduplication of what the AIs named: article, subtitle and series variants are one; titles that differ
 * in a word are two; another author is another book; volumes differ. similarity 0..1 (dedup_similarity). */
bool bf_book_same(const struct bf_book *a, const struct bf_book *b, double similarity);
/* Merges duplicates in place, keeping the fuller metadata and all generated_by bits; order of first appearance kept.
 * Strings stay where they are (the arenas must outlive the list). Returns the new length. */
size_t bf_books_dedup(struct bf_book *, size_t n, double similarity);

/* ---- matching a provider's search result to a wanted book ---- */
struct bf_record {		/* one search result as a provider gave it */
	const char *title, *subtitle;
	const char *authors;	/* `;`-joined */
	const char *publisher, *language, *binding, *date, *cover_url, *provider_key;
	const char *description, *subjects;	/* subjects `;`-joined */
	int year, pages;
	const char *isbn13;	/* the one chosen by the parser: canonical; NULL when it has none */
	const char *other_isbns;	/* `;`-joined canonical ISBN-13s of the same record, or NULL */
};
/* 0..100; 0 when it is another book. why (optional, 64 bytes) names what decided. Precision before recall: a summary,
 * study guide, workbook, box set, large print, sequel, other author or translation is not a hit. */
int bf_match_confidence(const struct bf_book *wanted, const struct bf_record *, char why[64]);
/* Index of the best record with an ISBN and its confidence in *ret; -1 when none scores above 0. */
int bf_match_best(const struct bf_book *wanted, const struct bf_record *, size_t n, int *ret_confidence);

/* ---- a record as JSON, the form in which it is kept (at most BF_RECORD_JSON_MAX bytes) ---- */
#define BF_RECORD_JSON_MAX 4096
/* False when it does not fit even after its long texts were cut (then out is empty). */
bool bf_record_write(const struct bf_record *, struct bf_buf *out);
/* Strings are arena copies. False when the text is no such object; ret is then zeroed. */
bool bf_record_read(const char *json, size_t len, struct bf_arena *, struct bf_record *ret);

/* ---- enrichment: what is known of an edition and its work, merged ---- */
struct bf_texts { const char **v; size_t n; };		/* in an arena; v NULL when n is 0 */
/* One provider's record of one ISBN. */
struct bf_offer { enum bf_provider_id provider; const char *at; struct bf_record record; };	/* at: RFC 3339, when received */
/* Columns of enriched_editions that this product reads or fills (NULL, 0, empty: not known). */
struct bf_edition {
	const char *isbn13, *title, *subtitle, *publisher, *publication_date, *format, *language, *description;
	const char *cover_large, *cover_medium, *cover_small, *cover_source, *openlibrary_edition_id, *primary_provider;
	int page_count, quality, completeness;
	struct bf_texts alternate_isbns, amazon_asins, google_books_volume_ids, goodreads_edition_ids, librarything_ids, contributors;
	const char *provenance_json;	/* object: field -> {"provider","at","others":{provider: value}}; NULL none */
	struct bf_texts updated;	/* after a merge: columns that are new or changed */
};
struct bf_work {
	const char *work_key, *title, *subtitle, *description, *original_language, *cover_large, *cover_medium, *cover_small,
		   *cover_source, *openlibrary_work_id, *isbndb_id, *primary_provider;
	int first_publication_year, quality, completeness;
	bool synthetic;
	struct bf_texts subject_tags, goodreads_work_ids, amazon_asins, google_books_volume_ids, contributors;
	const char *provenance_json;
	struct bf_texts updated;
};
/* Merges what the providers offer into what the database has (old NULL: nothing). Title, subtitle with it, publisher and date change
 * hands only to a higher quality; other fields fill gaps; lists and contributors grow. ret may not be old; strings are borrowed or
 * in the arena. Same input, same output; merging the same offers again changes nothing (updated is empty). */
void bf_edition_merge(const struct bf_edition *old, const char isbn13[14], const struct bf_offer *, size_t n, struct bf_arena *,
		      struct bf_edition *ret);
/* A work takes from an edition (already merged) and its offers; synthetic becomes false. work_key of ret: old's, else NULL. */
void bf_work_merge(const struct bf_work *old, const struct bf_edition *, const struct bf_offer *, size_t n, struct bf_arena *,
		   struct bf_work *ret);
/* A synthetic work's facts go into the real one it turned out to be: gaps filled, contributors united. */
void bf_work_absorb(const struct bf_work *into, const struct bf_work *from, struct bf_arena *, struct bf_work *ret);
int bf_provider_quality(enum bf_provider_id);		/* 40 ISBNdb, 30 Google Books, 20 Open Library, else 10 */
int bf_edition_quality(enum bf_provider_id, const struct bf_edition *);	/* 0..100; behaviours: 40/30/20 + fields */
int bf_edition_completeness(const struct bf_edition *);	/* percent of 12 */
int bf_work_completeness(const struct bf_work *);	/* percent of 11 */
/* Authors in order, each once (by bf_author_key): from the best offer that names any, else from `fallback` (as an AI wrote it).
 * Keys are 'name:' || bf_author_key. */
void bf_offer_authors(const struct bf_offer *, size_t n, const char *fallback, struct bf_arena *, struct bf_texts *ret_names,
		      struct bf_texts *ret_keys);
/* "2020-10-06", "2020-10" or "2020": as precise as the text is; NULL when there is no year 1000..2100 in it. */
const char *bf_date_normal(const char *, struct bf_arena *);
/* ISO 639-1 where there is one, else 639-3 ("en", "grc"); NULL for what is no language. */
const char *bf_language_code(const char *);
/* Lower case, trimmed, NFC, distinct, in order, at most max. */
void bf_subject_tags(const char *subjects, size_t max, struct bf_arena *, struct bf_texts *ret);

/* ---- which work an edition belongs to ---- */
enum bf_work_via { BF_VIA_ISBN, BF_VIA_FAMILY, BF_VIA_CANDIDATE, BF_VIA_AUTHOR, BF_VIA_TRIGRAM };	/* how the database came upon it */
struct bf_work_known { struct bf_work work; enum bf_work_via via; const char *authors;	/* `;`-joined names */ };
struct bf_work_choice {
	int index;		/* of the known ones; -1: none of them, a new work */
	int confidence;		/* 0..100 */
	const char *source;	/* "isbn", "isbn_family", "candidate", "author_title", "new": static */
};
/* The edition's own work (VIA_ISBN) always; else a real work of its ISBN family whose author or title agrees; else a real, then a
 * synthetic work of the same author and the same title (articles, subtitles and series apart: bf_book_same); never by the title
 * alone. absorb[i] is set for each synthetic work that is this very book and therefore goes into the chosen one. */
void bf_work_choose(const char *title, const char *subtitle, const char *authors, const struct bf_work_known *, size_t n,
		    struct bf_work_choice *ret, bool *absorb);

/* ---- prompts ---- */
#define BF_PROMPT_VARIANTS 7
extern const char *const bf_prompt_variants[BF_PROMPT_VARIANTS];
int bf_prompt_index(const char *variant);		/* -1: unknown */
/* The variant used for generation round `round` (0 first) of a row whose own variant is `variant`. */
const char *bf_prompt_rotate(const char *variant, int round);
const char *bf_month_name(int month);			/* 1..12, English */
const char *bf_prompt_system(void);
void bf_prompt_user(const char *variant, int year, int month, int up_to_n, struct bf_buf *out);
#endif
