/* input: from a file's text to what was given for each key; nothing is interpreted yet. */
#ifndef CONFIG_INPUT_H
#define CONFIG_INPUT_H
#include "keys.h"

/* What the file says; NULL value: nothing. */
struct config_given { char *value[CONFIG_SLOTS]; int line[CONFIG_SLOTS]; };
struct config_input { struct config_given key[CONFIG_MAX_KEYS][BF_NPROVIDERS]; };

struct config_given *input_at(struct config_input *, struct config_place);
/* Reads the file; whatever is wrong with it goes into the list, and reading goes on. */
void ini_read(const char *path, struct config_input *, struct bf_config_problems *);
void input_release(struct config_input *);
#endif
