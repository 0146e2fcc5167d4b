/* load: what the files that build a struct bf_config share. */
#ifndef CONFIG_LOAD_H
#define CONFIG_LOAD_H
#include "input.h"

/* Every struct bf_config that leaves this room is the first member of one of these. */
struct config_loaded {
	struct bf_config pub;
	/* The environment variable each secret was looked up in, NULL if it was not: the providers'
	 * keys, then admin.secret and alerts.webhook_secret. A reload must not read the environment
	 * again. */
	char *env[BF_NPROVIDERS + 2];
	/* The configuration file, the file of conninfo and of each secret; NULL where there is none. */
	char *files[BF_NPROVIDERS + 4];
};

/* Fetches one secret from its file or variable; previous NULL: at start. */
void secrets_load(struct config_loaded *, struct config_place, const struct config_given *,
		  const struct config_loaded *previous, struct bf_config_problems *);
#endif
