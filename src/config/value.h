/* value: one value from its text into its field, and back. */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H
#include "keys.h"

/* Parses and keeps. false, the field untouched: why says what is wrong, as "must be ...". Text that
 * could be a secret in the wrong place is not repeated. Not for CONFIG_SECRET. */
bool value_set(struct bf_config *, struct config_place, const char *text, char *why, size_t size);
/* The field as one would write it; a secret as "set" or "unset", conninfo without its passwords. */
void value_show(const struct bf_config *, struct config_place, struct bf_buf *out);
/* Puts an allocated string into a string field; what was there is wiped and freed. */
void value_take(struct bf_config *, struct config_place, char *text);
bool value_equal(const struct bf_config *, const struct bf_config *, struct config_place);
void value_copy(struct bf_config *to, const struct bf_config *from, struct config_place);
#endif
