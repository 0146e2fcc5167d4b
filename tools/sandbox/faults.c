/* faults: which one strikes a request, and what it does to a finished body. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include "sandbox.h"

#define BOMB_BYTES (200u << 20)

/* The fault for this request; the hash decides, so the same request meets the same one. */
enum fault faults_draw(const struct request *r)
{
	const struct provider_knobs *k = &r->knobs->provider[r->provider];
	double u = dice_unit(dice_hash(r->knobs->seed, "fault", r->provider, r->hash));

	for (enum fault f = FAULT_NONE + 1; f < FAULTS; f++) {
		if (u < k->faults[f])
			return f;
		u -= k->faults[f];
	}
	return FAULT_NONE;
}

/* A page where JSON should be. */
static void html(struct reply *out)
{
	bf_buf_clear(&out->body);
	bf_buf_adds(&out->body, "<!DOCTYPE html>\n<html><head><title>One moment</title></head>"
		"<body><p>We are checking your browser.</p></body></html>\n");
	out->content_type = "text/html; charset=utf-8";
}

/* An error in a body that came with 200. */
static void error_object(enum bf_provider_id p, struct reply *out)
{
	struct bf_jw jw;

	if (p == BF_WIKIDATA) {		/* the stream breaks off in a trace */
		size_t keep = out->body.len * 2 / 3;
		char *head = bf_xasprintf("%.*s", (int)keep, out->body.data);

		bf_buf_clear(&out->body);
		bf_buf_adds(&out->body, head);
		bf_buf_adds(&out->body,
			"\njava.util.concurrent.TimeoutException\n\tat "
			"java.base/java.util.concurrent."
			"FutureTask.get(FutureTask.java:204)\n");
		free(head);
		return;
	}
	jw = reply_json(out, 200);
	write_open(&jw, NULL, '{');
	if (p == BF_ISBNDB)
		write_str(&jw, "errorMessage", "Internal error");
	else
		write_str(&jw, "error", "backend unavailable");
	write_close(&jw, '}');
}

/* Bytes that are no UTF-8, in the middle of the first text long enough. */
static void invalid_utf8(struct reply *out)
{
	char *at = out->body.len > 8 ? out->body.data + out->body.len / 2 : out->body.data;

	while (out->body.len && *at &&
		!(at > out->body.data && at[-1] >= 'a' && at[-1] <= 'z' && *at >= 'a' &&
			*at <= 'z'))
		at++;
	if (!out->body.len || !*at)
		bf_buf_adds(&out->body, "\xff\xfe");
	else
		*at = '\xff';
}

/* Spoils a body. */
void faults_spoil(enum fault f, struct request *r, struct reply *out)
{
	if (out->status != 200)
		return;
	if (f == FAULT_HTML)
		html(out);
	else if (f == FAULT_INVALID_UTF8)
		invalid_utf8(out);
	else if (f == FAULT_ERROR_OBJECT && !BF_IS_AI(r->provider))
		error_object(r->provider, out);
	else if (f == FAULT_INVALID_JSON && out->body.len) {
		size_t at = out->body.len - 1 - r->hash % (out->body.len / 2 + 1);

		bf_buf_addf(&out->body, ",]");
		out->body.data[at] = '}';
		out->body.data[0] = '[';
	}
}

/* Some kilobytes that unpack to 200 MB of spaces. */
bool faults_gzip_bomb(struct bf_buf *out)
{
	static unsigned char in[1 << 16], packed[1 << 16];
	z_stream z = { 0 };
	int rc;

	if (deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return false;
	memset(in, ' ', sizeof(in));
	for (size_t done = 0; done <= BOMB_BYTES; done += sizeof(in)) {
		z.next_in = in;
		z.avail_in = sizeof(in);
		do {
			z.next_out = packed;
			z.avail_out = sizeof(packed);
			rc = deflate(&z, done + sizeof(in) > BOMB_BYTES ? Z_FINISH : Z_NO_FLUSH);
			bf_buf_add(out, packed, sizeof(packed) - z.avail_out);
		} while (z.avail_out == 0 && rc != Z_STREAM_END);
	}
	deflateEnd(&z);
	return !out->failed;
}
