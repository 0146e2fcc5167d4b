/* The world as the consumer sees it: a loop that is turned by hand, a store and providers whose answers the test decides. */
#ifndef ENRICH_WORLD_H
#define ENRICH_WORLD_H
#include "backfill/enrich.h"

#define WORLD_ITEMS 8
struct world {
	struct bf_item items[WORLD_ITEMS];	/* handed out by the next claim */
	int n_items;
	/* providers: what each answers */
	enum bf_standing standing[BF_NPROVIDERS];
	enum bf_err_class error[BF_NPROVIDERS];	/* BF_ERR_NONE: finds what found says */
	const char *found[BF_NPROVIDERS];	/* `,`-joined ISBNs it has; NULL none */
	int64_t units_left;
	int asked[BF_NPROVIDERS], isbns_asked[BF_NPROVIDERS];
	/* the store */
	int claims, fetches, looks, writes, ends;
	int stale_left;				/* so many writes are stale first */
	enum bf_err_class write_error; int write_errors;	/* so many writes fail first */
	const char *lost;			/* id whose answers find it lost */
	struct { char id[37]; enum bf_item_how how; char reason[256]; char waiting_for[20]; int64_t wait_ms; bool completed; int writes;
		char work_key[80]; } end[WORLD_ITEMS];
	int n_end;
};
extern struct world world;
void world_reset(void);
void world_add(const char *isbn, const char *isbndb_record);
struct bf_enrich *world_enrich(void);		/* with the defaults, first pulse told */
void world_run(void);				/* until nothing is due at once */
/* How an item ended; NULL: not yet. */
const char *world_end_of(int i);
#endif
