/*
 * dashboard: hands out the operator's page. The headers let a browser run these files and nothing else, and talk to us and
 * nobody else; what it has already it need not fetch again.
 */
#include "dashboard.h"
#include "backfill/base.h"
#include "handlers.h"
#include <event2/http.h>
#include <string.h>

#define INDEX "index.html"
#define CONTENT_SECURITY_POLICY                                                                    \
	"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "                \
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/* The file of a name. */
static const struct dashboard_asset *find(const char *name, size_t len)
{
	for (size_t i = 0; i < dashboard_n_assets; i++) {
		const struct dashboard_asset *asset = &dashboard_assets[i];

		if (strlen(asset->name) == len && memcmp(asset->name, name, len) == 0)
			return asset;
	}
	return NULL;
}

/* Whether the browser has these bytes. A tag is quoted and holds hexadecimal digits only, so where its text occurs it is
 * one of the list, weak or strong. */
static bool is_known(struct request *rq, const struct dashboard_asset *asset)
{
	const char *tags = evhttp_find_header(
		evhttp_request_get_input_headers(rq->http), "If-None-Match");

	return tags != NULL && (strcmp(tags, "*") == 0 || strstr(tags, asset->etag) != NULL);
}

/* Answers with a file, or that it has not changed. */
static void serve(struct request *rq, const struct dashboard_asset *asset)
{
	reply_header(rq, "ETag", asset->etag);
	reply_header(rq, "Cache-Control", "no-cache");
	reply_header(rq, "Content-Security-Policy", CONTENT_SECURITY_POLICY);
	reply_header(rq, "Referrer-Policy", "no-referrer");
	reply_text(rq, is_known(rq, asset) ? 304 : 200, asset->content_type, asset->bytes,
		asset->len);
}

/* GET / */
void dashboard_page(struct request *rq)
{
	serve(rq, find(INDEX, strlen(INDEX)));
}

/* GET /assets/{key} */
void dashboard_file(struct request *rq)
{
	const struct dashboard_asset *asset = find(rq->params.key, rq->params.key_len);

	/* the page has one address */
	if (asset == NULL || strcmp(asset->name, INDEX) == 0)
		reply_error(rq, 404, "Not found: %s", rq->path);
	else
		serve(rq, asset);
}
