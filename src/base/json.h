/* json: what the JSON files of this room share. */
#ifndef BASE_JSON_H
#define BASE_JSON_H
#include "backfill/base.h"

enum { JSON_MAX_DEPTH = 512 };	/* the most any bf_json_limits may ask for */

/* Checks that text is exactly one RFC 8259 document in UTF-8 within the limits. Returns the number
 * of tokens (values and names) or -1 with *err set; never recurses. */
int json_check(const char *text, size_t len, const struct bf_json_limits *, struct bf_error *err);
/* Decodes the inside of a checked string (without its quotes) into out, which has room for len
 * bytes: no escape is shorter than what it stands for. Returns the decoded length. */
size_t json_decode(const char *inside, size_t len, char *out);
#endif
