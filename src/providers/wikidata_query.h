/* The SPARQL that wikidata asks; see wikidata_query.c. Both return the query's text in the arena.
 */
#ifndef PROVIDERS_WIKIDATA_QUERY_H
#define PROVIDERS_WIKIDATA_QUERY_H
#include "wire.h"

const char *wikidata_query_search(const struct terms *, struct bf_arena *);
const char *wikidata_query_isbns(const char *const *isbns, size_t n, struct bf_arena *);
#endif
