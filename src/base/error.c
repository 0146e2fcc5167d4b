/*
 * error: fills struct bf_error. The text is always valid up to its end: a message that is too
 * long is cut between two characters, never inside one.
 */
#include "backfill/base.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The class as it appears in logs and events. */
const char *bf_err_class_name(enum bf_err_class class)
{
	switch (class) {
	case BF_ERR_NONE:
		return "none";
	case BF_ERR_RETRY:
		return "retry";
	case BF_ERR_PERMANENT:
		return "permanent";
	case BF_ERR_REFUSED:
		return "refused";
	case BF_ERR_QUOTA:
		return "quota";
	case BF_ERR_CANCELLED:
		return "cancelled";
	case BF_ERR_CONFIG:
		return "config";
	case BF_ERR_BUG:
		return "bug";
	}
	return "unknown";
}

/* Fills the error from scratch; the format's arguments may point into err->text itself. */
void bf_error_set(struct bf_error *err, enum bf_err_class class, const char *fmt, ...)
{
	char wide[1024];
	va_list ap;
	size_t len;

	va_start(ap, fmt);
	if (vsnprintf(wide, sizeof(wide), fmt, ap) < 0)
		wide[0] = '\0';
	va_end(ap);
	len = bf_utf8_cut(wide, strlen(wide), sizeof(err->text) - 1);
	memcpy(err->text, wide, len);
	err->text[len] = '\0';
	err->class = class;
	err->http = 0;
	err->sqlstate[0] = '\0';
}
