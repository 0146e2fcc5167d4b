/* catalogue: the made-up books of a seed: who names them, who knows their ISBNs. */
#ifndef SIM_CATALOGUE_H
#define SIM_CATALOGUE_H
#include "backfill/config.h"
#include "world.h"

#define CATALOGUE_BOOKS_MAX 400
struct cat_book {
	char title[48], author[40], isbn13[14];
	int month;			/* index of the month whose AIs name it */
	int also;			/* another month's; -1 none */
	unsigned named_by, known_by;	/* bits of enum bf_provider_id */
};
struct catalogue { struct cat_book v[CATALOGUE_BOOKS_MAX]; int n, shared; };
extern struct catalogue catalogue;

void catalogue_make(void);
void catalogue_month(int index, int *year, int *month);	/* of the simulation's months, newest first */
int  catalogue_month_index(int year, int month);	/* -1: none of them */
int  catalogue_find(const char *text);			/* the book whose title stands in it; -1 */
const char *catalogue_isbn(const char *title);		/* NULL: no such book */

/* A good answer in the provider's own wire format. */
void catalogue_ai(enum bf_provider_id, int year, int month, int up_to_n, bool cut, struct bf_buf *out);
void catalogue_search(enum bf_provider_id, int book, struct bf_buf *out, int *status);
void catalogue_ai_text(enum bf_provider_id, const char *text, struct bf_buf *out);	/* any text of a model */
#endif
