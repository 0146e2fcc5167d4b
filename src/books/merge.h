/*
 * merge: texts brought to one form, and what the offers of several providers make together
 * (private to books).
 */
#ifndef BOOKS_MERGE_H
#define BOOKS_MERGE_H
#include "backfill/books.h"

/* normal.c. The readers give NULL for what says nothing. */
enum { NORMAL_PLAIN, NORMAL_MARKUP };		/* MARKUP: tags are taken out */
const char *normal_text(const char *, size_t max, int markup, struct bf_arena *);
const char *normal_format(const char *binding, struct bf_arena *);
const char *normal_cover(const char *url, struct bf_arena *);
int normal_cover_size(const char *url);		/* 3 large, 2 medium, 1 small, 0 none */
/* Cuts `Title: Subtitle` in two where that is sure; *ret_subtitle NULL when it is not. */
const char *normal_split(const char *title, struct bf_arena *, const char **ret_subtitle);

/* dates.c */
int normal_year(const char *date);		/* 0: none */

/* texts.c: lists of texts, each once; a list is never written to, a longer one takes its place */
#define TEXTS_MAX 100				/* beyond it nothing is added */
bool texts_has(const struct bf_texts *, const char *);
/* NULL and "" add nothing. */
void texts_add(struct bf_texts *, const char *, struct bf_arena *);
void texts_unite(struct bf_texts *, const struct bf_texts *, struct bf_arena *);
void texts_sort(struct bf_texts *, struct bf_arena *);
bool texts_equal(const struct bf_texts *, const struct bf_texts *);
void texts_tags(struct bf_texts *, const char *subjects, size_t max, struct bf_arena *);
/* The same list in the form of tags, nothing left out. */
struct bf_texts texts_as_tags(const struct bf_texts *, struct bf_arena *);

/* offers.c: the offers read, and in the order of their weight */
struct offered {
	enum bf_provider_id provider;
	const char *name, *at;
	struct bf_edition edition;	/* what it would be alone; no lists but ids */
	int quality;			/* of that */
	const char *openlibrary_work_id;
	const struct bf_record *record;
};
struct offered *offers_read(const struct bf_offer *, size_t n, struct bf_arena *);
int offers_provider_of(const char *name);	/* also names of older systems; -1: none */
bool offers_same_title(const char *a, const char *b);
/* A subtitle may stand beside a title that does not hold it already. */
bool offers_subtitle_fits(const char *title, const char *subtitle);

/* provenance.c */
#define PROVENANCE_FIELDS 32
struct provenance_entry {
	const char *field, *provider, *at;
	const char *other[BF_NPROVIDERS];
	const char *raw;		/* something else stood here; kept as it was */
};
struct provenance { struct provenance_entry v[PROVENANCE_FIELDS]; size_t n; };
void provenance_read(struct provenance *, const char *json, struct bf_arena *);
struct provenance_entry *provenance_of(struct provenance *, const char *field);	/* NULL: none */
/* The field is now provider's; what the former one said stays among the others. */
void provenance_take(struct provenance *, const char *field, const char *provider, const char *at,
		     const char *former, struct bf_arena *);
/* A provider says so too, or says something else. */
void provenance_other(struct provenance *, const char *field, enum bf_provider_id, const char *said,
		      const char *chosen, struct bf_arena *);
const char *provenance_write(struct provenance *, struct bf_arena *);	/* sorts; NULL when empty */
#endif
