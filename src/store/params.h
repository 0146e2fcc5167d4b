/* Statement parameters as text, gathered in one buffer; sets go as array literals, one parameter
 * per column. */
#ifndef BACKFILL_STORE_PARAMS_H
#define BACKFILL_STORE_PARAMS_H
#include "backfill/base.h"

#define PARAMS_MAX 32
struct params {
	struct bf_buf text;		/* values, each NUL-terminated */
	size_t at[PARAMS_MAX];
	bool null[PARAMS_MAX];
	const char *value[PARAMS_MAX];
	int n;
	bool empty;			/* the array being written has no element yet */
	bool bad;			/* more parameters than fit */
};
void params_init(struct params *);
void params_release(struct params *);
/* The values in order, valid until the next addition; NULL when something did not fit. */
const char *const *params_values(struct params *);

void params_null(struct params *);
void params_text(struct params *, const char *); /* NULL is SQL NULL; invalid UTF-8 becomes `?` */
void params_json(struct params *, const char *);	/* what jsonb cannot hold becomes NULL */
void params_int(struct params *, int64_t);
void params_bool(struct params *, bool);
void params_money(struct params *, double);		/* six decimals, 0..99999 */
void params_id(struct params *, const char *uuid);	/* "" and NULL are SQL NULL */

void params_open(struct params *);			/* begins an array */
void params_close(struct params *);
void params_item_text(struct params *, const char *);
void params_item_json(struct params *, const char *, size_t max_bytes);	/* longer is NULL */
void params_item_int(struct params *, int64_t);
void params_item_bool(struct params *, bool);
void params_item_money(struct params *, double);

/* Whether jsonb takes what a JSON text escapes. */
bool params_jsonb_takes(const char *);

/* One array parameter, an item picked from each of n structs: v[i]. */
#define TEXTS(p, n, expr) do { \
	params_open(p); \
	for (int i = 0; i < (n); i++) \
		params_item_text((p), (expr)); \
	params_close(p); \
} while (0)
#define INTS(p, n, expr) do { \
	params_open(p); \
	for (int i = 0; i < (n); i++) \
		params_item_int((p), (expr)); \
	params_close(p); \
} while (0)
#define JSONS(p, n, expr, max) do { \
	params_open(p); \
	for (int i = 0; i < (n); i++) \
		params_item_json((p), (expr), (max)); \
	params_close(p); \
} while (0)
#endif
