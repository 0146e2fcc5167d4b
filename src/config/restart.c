/* restart: the keys whose new value waits for the next start. */
#include "keys.h"
#include "value.h"
#include <stdio.h>

/* Lists the restart-only keys that differ. */
int bf_config_restart_keys(const struct bf_config *old, const struct bf_config *fresh, char *buf,
			   size_t size)
{
	struct config_place at = config_first();
	char section[40];
	size_t used = 0;
	int n = 0;

	if (size)
		buf[0] = '\0';
	do {
		int wrote;

		if (!config_key(at)->restart || value_equal(old, fresh, at))
			continue;
		wrote = snprintf(buf + used, size - used, "%s%s.%s", n ? ", " : "",
				 config_section(at, section), config_key(at)->name);
		if (wrote > 0 && used + (size_t)wrote < size)
			used += (size_t)wrote;
		else if (size)
			buf[used] = '\0';	/* a name that does not fit is left out whole */
		n++;
	} while (config_next(&at));
	return n;
}

/* Gives the fresh struct the old values of those keys. */
void bf_config_keep_restart_keys(struct bf_config *fresh, const struct bf_config *old)
{
	struct config_place at = config_first();

	do {
		if (config_key(at)->restart)
			value_copy(fresh, old, at);
	} while (config_next(&at));
}
