/* sandbox: which path is whose. Providers live below their names, the sandbox's own paths
 * begin with `/_`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "sandbox.h"

#define REPLY_MAX (32u << 20)

static provider_answer *const answers[BF_NPROVIDERS] = {
	[BF_GEMINI] = gemini_answer, [BF_XAI] = xai_answer, [BF_ISBNDB] = isbndb_answer,
	[BF_GOOGLE_BOOKS] = google_books_answer, [BF_OPEN_LIBRARY] = open_library_answer,
	[BF_ARCHIVE_ORG] = archive_org_answer, [BF_WIKIDATA] = wikidata_answer
};

/* The method as it stands in the request line. */
static const char *method_name(const struct evhttp_request *req)
{
	switch (evhttp_request_get_command(req)) {
	case EVHTTP_REQ_GET:
		return "GET";
	case EVHTTP_REQ_POST:
		return "POST";
	case EVHTTP_REQ_PUT:
		return "PUT";
	case EVHTTP_REQ_HEAD:
		return "HEAD";
	case EVHTTP_REQ_DELETE:
	case EVHTTP_REQ_OPTIONS:
	case EVHTTP_REQ_TRACE:
	case EVHTTP_REQ_CONNECT:
	case EVHTTP_REQ_PATCH:
		break;
	}
	return "OTHER";
}

/* The body, NUL-terminated, in the arena. */
static const char *body_of(struct evhttp_request *req, struct bf_arena *arena, size_t *ret_len)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(req);
	size_t len = evbuffer_get_length(in);
	char *body = bf_arena_alloc(arena, len + 1);

	if (len && evbuffer_copyout(in, body, len) != (ev_ssize_t)len)
		len = 0;
	*ret_len = len;
	return body;
}

/* A short answer of the sandbox itself. */
static void own_reply(
	struct evhttp_request *req, int status, const char *type, const struct bf_buf *body)
{
	struct evbuffer *out = evbuffer_new();

	if (out)
		evbuffer_add(out, body->data, body->len);
	evhttp_add_header(evhttp_request_get_output_headers(req), "Content-Type", type);
	evhttp_send_reply(req, status,
		status == 200           ? "OK"
			: status == 400 ? "Bad Request"
					: "Not Found",
		out);
	if (out)
		evbuffer_free(out);
}

/* GET and PUT /_control. */
static void control(struct sandbox *s, struct evhttp_request *req, bool put, struct bf_arena *arena,
	struct bf_buf *out)
{
	struct bf_error err;
	size_t len;
	const char *body = body_of(req, arena, &len);
	struct bf_jw jw;

	if (put && len && !knobs_merge(&s->knobs, body, len, &err)) {
		bf_jw_init(&jw, out);
		write_open(&jw, NULL, '{');
		write_str(&jw, "error", err.text);
		write_close(&jw, '}');
		own_reply(req, 400, "application/json", out);
		return;
	}
	knobs_print(&s->knobs, out);
	own_reply(req, 200, "application/json", out);
}

/* GET /_named: lines for one month, or for all that were served. */
static void named(struct sandbox *s, struct evkeyvalq *query, struct bf_buf *out)
{
	const char *year = evhttp_find_header(query, "year"),
		   *month = evhttp_find_header(query, "month");

	for (size_t i = 0; i < s->n_served; i++)
		if ((!year || strtol(year, NULL, 10) == s->served[i].year) &&
		    (!month || strtol(month, NULL, 10) == s->served[i].month))
			truth_named(&s->world, &s->served[i], out);
}

/* A path of the sandbox's own. */
static void own(
	struct sandbox *s, struct evhttp_request *req, const char *path, struct evkeyvalq *query)
{
	bool get = !strcmp(method_name(req), "GET"), put = !strcmp(method_name(req), "PUT");
	const char *isbn = evhttp_find_header(query, "isbn");
	struct bf_arena *arena = bf_arena_new();
	struct bf_buf out;

	bf_buf_init(&out, REPLY_MAX);
	if (!strcmp(path, "/_control") && (get || put)) {
		control(s, req, put, arena, &out);
	} else if (!strcmp(path, "/_counters") && get) {
		counters_print(s->counters, s->overlap_seen, &out);
		own_reply(req, 200, "application/json", &out);
	} else if (!strcmp(path, "/_reset") && put) {
		sandbox_reset(s);
		bf_buf_adds(&out, "{}\n");
		own_reply(req, 200, "application/json", &out);
	} else if (!strcmp(path, "/_truth") && get && isbn) {
		truth_isbn(&s->world, isbn, &out);
		own_reply(req, 200, "application/x-ndjson", &out);
	} else if (!strcmp(path, "/_truth") && get) {
		exchange_stream_truth(s, req);
	} else if (!strcmp(path, "/_named") && get) {
		named(s, query, &out);
		own_reply(req, 200, "application/x-ndjson", &out);
	} else {
		bf_buf_adds(&out, "{\"error\":\"no such path or method\"}\n");
		own_reply(req, 404, "application/json", &out);
	}
	bf_buf_release(&out);
	bf_arena_free(arena);
}

/* What makes a request the same as another: method, path, query without its key, body. */
static uint64_t request_hash(const struct request *r)
{
	uint64_t h = dice_hash_bytes(0, r->method, strlen(r->method));
	const struct evkeyval *kv;

	h = dice_hash_bytes(h, r->path, strlen(r->path));
	TAILQ_FOREACH(kv, r->query, next) {
		if (!strcmp(kv->key, "key"))
			continue;
		h = dice_hash_bytes(h, kv->key, strlen(kv->key));
		h = dice_hash_bytes(h, kv->value, strlen(kv->value));
	}
	return dice_hash_bytes(h, r->body, r->body_len);
}

/* A provider's request: counted, answered, spoiled, sent. */
static void provider(struct sandbox *s, struct evhttp_request *req, int p, const char *path,
	struct evkeyvalq *query)
{
	struct request r = { .sandbox = s,
		.world = &s->world,
		.knobs = &s->knobs,
		.arena = bf_arena_new(),
		.provider = (enum bf_provider_id)p,
		.method = method_name(req),
		.path = *path ? path : "/",
		.query = query,
		.headers = evhttp_request_get_input_headers(req),
		.month_index = -1 };
	struct reply out = { .status = 500, .content_type = "text/plain", .retry_after = -1 };

	r.body = body_of(req, r.arena, &r.body_len);
	r.url = bf_arena_printf(r.arena, "%s/%s", s->url, bf_provider_names[p]);
	r.hash = request_hash(&r);
	r.arrivals = counters_arrival(&s->counters[p], bf_now_us(),
		p == BF_ISBNDB && !strcmp(r.path, "/key"));
	bf_buf_init(&out.body, REPLY_MAX);
	answers[p](&r, &out);
	faults_spoil(r.fault, &r, &out);
	exchange_start(s, req, &r, &out);
	bf_buf_release(&out.body);
	bf_arena_free(r.arena);
}

/* Every request. */
void sandbox_handle(struct evhttp_request *req, void *sandbox)
{
	struct sandbox *s = sandbox;
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
	const char *raw = uri ? evhttp_uri_get_path(uri) : NULL,
		   *text = uri ? evhttp_uri_get_query(uri) : NULL;
	char *path = evhttp_uridecode(raw && *raw ? raw : "/", 0, NULL);
	struct evkeyvalq query;
	int p = 0;

	TAILQ_INIT(&query);
	if (text && evhttp_parse_query_str(text, &query))
		TAILQ_INIT(&query);
	while (path && p < BF_NPROVIDERS) {
		size_t len = strlen(bf_provider_names[p]);

		if (!strncmp(path + 1, bf_provider_names[p], len) &&
			(path[1 + len] == '/' || !path[1 + len]))
			break;
		p++;
	}
	if (!path)
		evhttp_send_error(req, 500, NULL);
	else if (p < BF_NPROVIDERS)
		provider(s, req, p, path + 1 + strlen(bf_provider_names[p]), &query);
	else
		own(s, req, path, &query);
	evhttp_clear_headers(&query);
	free(path);
}
