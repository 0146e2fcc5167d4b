/*
 * built: builds a request the way the gate does, and readers of what came out, for the tests of the
 * requests.
 */
#ifndef TESTS_PROVIDERS_BUILT_H
#define TESTS_PROVIDERS_BUILT_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../../src/providers/provider.h"

#define KEY "k3y-OF-the_test.42"

/* What one build gave; released with done(). */
struct built {
	struct bf_arena *arena;
	struct provider_request request;
	struct bf_error err;
	bool ok;
};
struct built build(enum bf_provider_id, const struct provider_ask *);
void done(struct built *);
struct built build_search(enum bf_provider_id, const char *title, const char *author);
const char *header(const struct built *, const char *name); /* NULL when there is none */
/* How often the key occurs in URL, headers and body. */
int keys_in(const struct built *, int *url, int *headers, int *body);
/* The query parameter of a URL or form, decoded; the caller frees it. */
char *parameter(const char *text, const char *name);
void assert_parameter(const char *text, const char *name, const char *value);
#endif
