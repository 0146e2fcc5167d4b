/*
 * secret: where X-Cron-Secret comes from. Never from the command line, where every user of the machine can read it.
 */
#ifndef CTL_SECRET_H
#define CTL_SECRET_H
#include <stdbool.h>
#include <stddef.h>

#define SECRET_ENV	    "ALEXANDRIA_WEBHOOK_SECRET"
#define SECRET_DEFAULT_FILE "/etc/backfilld/secrets/webhook"

/* The secret as a new string, to be given to secret_free. NULL with an empty problem: there is none. NULL with a problem: a file
 * that was named, or is the default, is of no use. `warning` is set when others may read the file. */
char *secret_find(const char *named_file, char problem[256], char warning[256]);
void secret_free(char *);
#endif
