/* model_equal: whether the model and the database say the same; fails the test where they do not. */
#ifndef SIM_MODEL_EQUAL_H
#define SIM_MODEL_EQUAL_H
#include "../unit/store/db.h"
#include "model.h"

extern struct model *m;
extern int calls;		/* which call of the sequence this is, and what, for messages */
extern char did[160];

void clock_now(void);		/* the model's clock is the database's */
void equal_texts(const char *what, const char *is, const char *should);
void equal_ints(const char *what, int64_t is, int64_t should);
void equal_tables(void);
void equal_row(const struct bf_month_row *is, const struct bf_month_row *should);
/* Against what the last call has answered. */
void equal_claims(const struct bf_claim *is);
void equal_lost(const struct bf_month_ref *is, int n);
#endif
