/*
 * The queue's calls for tests: each waited for, its answer copied into `took`. Strings are alive until
 * the next call.
 */
#ifndef TEST_STORE_QUEUE_H
#define TEST_STORE_QUEUE_H
#include "db.h"

struct taken {
	struct bf_items items;
	struct bf_item item[DB_MAX];
	int n_lost;
	struct bf_item_ref lost[DB_MAX];
	const char *looked_at;
	int n_looked;
	struct bf_looked looked[DB_MAX];
	int n_written;
	enum bf_written written[DB_MAX];
};
extern struct taken took;

/* An edition's item of ours, pending; its id (static). */
const char *queue_isbn(const char *isbn13);
int take(struct node *, enum bf_item_kind, int limit); /* how many were taken; in took.item */
struct bf_item_ref take_one(struct node *, const char *isbn13); /* queued and taken */
/* What one provider says of an item; how many were lost. */
int fetched(struct node *, uint64_t call, struct bf_item_ref, enum bf_provider_id,
	const char *isbn13, enum bf_fetch, const char *record_json);
int end_item(
	struct node *, struct bf_item_ref, enum bf_item_how, const char *reason, int64_t wait_ms);
int rekey(struct node *, struct bf_item_ref, const char *isbn13);
struct bf_texts texts_of(const char *a, const char *b);              /* of up to two; NULL: none */
const struct bf_looked *look(struct node *, const struct bf_look *); /* for one book */
enum bf_written write_batch(struct node *, const struct bf_enrich_write *); /* of the first item */
const char *status_of(const char *isbn13);                                  /* of its item */
#endif
