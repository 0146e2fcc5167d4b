/*
 * A real PostgreSQL for the store's tests. BF_TEST_CONNINFO names a scratch cluster in which
 * databases may be made; without it the tests are skipped. Every call of the store is waited for,
 * so that a test reads from top to bottom.
 */
#ifndef TEST_STORE_DB_H
#define TEST_STORE_DB_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "backfill/store.h"

#define DB_MAX 64
/* One store with its sessions, as a daemon has them. */
struct node {
	struct bf_pg *pool, *locks;
	struct bf_store *store;
	int id;					/* of its hello */
};
/* What the last call answered; everything is copied out of the callback. */
struct answer {
	bool came;
	struct bf_error err;			/* class NONE: none */
	enum bf_store_outcome outcome;
	int64_t count;
	char *json;
	int n, skipped;				/* rows, answers, candidates, lost */
	struct bf_month_row rows[DB_MAX];
	struct bf_month_brief briefs[DB_MAX];
	bool has_rows;
	struct bf_totals totals;
	int harvest;
	char note[64];
	struct bf_month_ref lost[DB_MAX];
	struct bf_reserved reserved;
	struct bf_hello hello;
	enum bf_schema schema;
	char remedy[200];
	struct bf_candidate candidates[DB_MAX];	/* texts are copies in `arena` */
	struct bf_answer answers[4];
	struct bf_pulse pulse;			/* arrays below */
	int instances[16];
	struct bf_orphan orphans[16];
	struct bf_provider_closure closures[8];
	struct bf_arena *arena;
};
extern struct bf_loop *db_loop;
extern struct answer got;			/* of the last wait */

const char *db_admin(void);			/* the conninfo, NULL: skip */
/* Makes an empty database and returns its conninfo (static); false: skip. */
bool db_create(void);
void db_drop(void);
const char *db_conninfo(void);
/* The statement's first value as text, "" for NULL and for no row; on a session of its own. */
const char *db_text(const char *sql, ...) __attribute__((format(printf, 1, 2)));
int64_t db_int(const char *sql, ...) __attribute__((format(printf, 1, 2)));
void db_run(const char *sql, ...) __attribute__((format(printf, 1, 2)));

int64_t month_locks(void);			/* held by anybody in this database */

/* cmocka group and test fixtures: one migrated database, emptied before each test. */
int db_group_setup(void **state);
int db_group_teardown(void **state);
int db_setup(void **state);			/* *state: a struct node *, hello said */
int db_teardown(void **state);
struct node *node_new(const char *instance, bool say_hello);
void node_free(struct node *);
/* Both loops' turn until the call at hand has answered. */
void db_wait(void);
/* Every completion begins with it: forgets the answer before, and ends the wait. */
void db_came(const struct bf_error *);

/* Completions that fill `got`. */
bf_store_done got_done;
bf_store_claim_done got_claim;
bf_store_harvest_done got_harvest;
bf_store_count_done got_count;
bf_store_answers_done got_answers;
bf_store_candidates_done got_candidates;
bf_store_lost_done got_lost;
bf_store_reserve_done got_reserve;
bf_store_hello_done got_hello;
bf_store_pulse_done got_pulse;
bf_store_timer_done got_timer;
bf_store_json_done got_json;
bf_store_schema_done got_schema;

/* Shortcuts: the call, waited for. */
int64_t seed(struct node *, int year_start, int year_end);
void claim(struct node *, int limit, int low, int high, bool force);
struct bf_month_row claim_one(struct node *);	/* the newest */
enum bf_store_outcome step(
	struct node *, const struct bf_month_row *, int n, const char *from, const char *to);
/* Stores n books ("Title 1" by "Author 1", ...) as step 2, and moves to resolving. */
enum bf_store_outcome save(struct node *, const struct bf_month_row *, int n);
/* Gives the first `n` candidates ISBNs, distinct unless `same`; the rest is not found. */
void resolve(struct node *, const struct bf_month_row *, int n, bool same);
const char *isbn_of(int i);			/* a valid ISBN-13, static */
enum bf_store_outcome complete(struct node *, const struct bf_month_row *, int step);
enum bf_store_outcome fail_month(
	struct node *, const struct bf_month_row *, int step, struct bf_failure);
void reserve(struct node *, enum bf_provider_id, int limit, int keep, int units);
#endif
