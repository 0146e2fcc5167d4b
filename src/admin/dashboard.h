/*
 * dashboard: the files of the operator's page as the build embedded them. They hold no data and need no secret; whatever
 * they show, a browser asks for with the secret.
 */
#ifndef ADMIN_DASHBOARD_H
#define ADMIN_DASHBOARD_H
#include <stddef.h>

struct dashboard_asset {
	const char *name;
	const char *content_type;
	const char *etag;		/* with its quotes; follows from the bytes */
	const char *bytes;
	size_t len;
};
extern const struct dashboard_asset dashboard_assets[];
extern const size_t dashboard_n_assets;
#endif
