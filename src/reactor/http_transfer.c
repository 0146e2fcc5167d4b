/*
 * One HTTP request (RFC 9110), redirects included. The reactor follows them itself: curl would look
 * names up in a thread, would leave the deadline out of account, and does not know our rules. Those
 * are: https only, or plain http to the very host that the caller named (which
 * bf_http_url_allowed() has found to be this machine's or a private one); to another origin only
 * the Accept header goes along, and no body.
 *
 * Sizes are counted in the callbacks, after decompression: what a header announces proves nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "dns.h"
#include "http.h"

enum {
	RETRY_AFTER_MAX_S = 24 * 3600,
	BUFFER_BYTES = 16 * 1024,
	CURL_GRACE_MS = 1000	/* our own deadline comes first; curl's is the second line */
};

static void fail(struct transfer *t, enum bf_err_class class, const char *what)
{
	bf_error_set(&t->err, class, "%s: %s", t->label, what);
	http_finish(t);
}

/* ---- the request ---- */

/*
 * "Name: value"; curl wants "Name;" for an empty value. false when it would break the header apart.
 */
static bool add_header(struct curl_slist **list, const char *name, const char *value)
{
	struct curl_slist *longer;
	char *line;

	if (!*name || strpbrk(name, "\r\n:; \t") || strpbrk(value, "\r\n"))
		return false;
	line = *value ? bf_xasprintf("%s: %s", name, value) : bf_xasprintf("%s;", name);
	longer = curl_slist_append(*list, line);
	free(line);
	if (longer)
		*list = longer;
	return longer;
}

/* Also takes "Expect: 100-continue" out: it costs a second where the server does not know it. */
static bool copy_headers(struct transfer *t, const struct bf_http_request *request)
{
	t->headers = curl_slist_append(NULL, "Expect:");
	if (!t->headers)
		return false;
	for (size_t i = 0; i < request->n_headers; i++)
		if (!add_header(&t->headers, request->headers[i].name, request->headers[i].value))
			return false;
	return true;
}

/* A copy of the request; what is wrong with it is left in err. */
struct transfer *transfer_new(struct bf_http *http, const struct bf_http_request *request,
			      bf_http_done *done, void *ctx)
{
	struct transfer *t = bf_xcalloc(1, sizeof(*t));
	struct bf_error why;

	t->http = http;
	t->done = done;
	t->ctx = ctx;
	t->method = bf_xstrdup(request->method);
	t->url = bf_xstrdup(request->url);
	t->label = bf_xstrdup(request->label ? request->label : "HTTP request");
	t->user_agent = request->user_agent ? bf_xstrdup(request->user_agent) : NULL;
	t->proxy = bf_xstrdup(request->proxy ? request->proxy : "");
	if (request->body) {
		t->body = bf_xmalloc(request->body_len + 1);
		memcpy(t->body, request->body, request->body_len);
		t->body_len = request->body_len;
	}
	t->max_body = request->max_body;
	t->timeout_ms = request->timeout_ms;
	t->connect_timeout_ms = request->connect_timeout_ms;
	t->redirects_left = request->max_redirects;
	t->may_redirect = request->max_redirects > 0;
	t->fresh_connection = request->fresh_connection;
	t->began_us = bf_now_us();
	bf_buf_init(&t->answer, t->max_body);
	if (!http_target_read(t->url, &t->first, &why))
		bf_error_set(&t->err, why.class, "%s: %s", t->label, why.text);
	else if (!copy_headers(t, request))
		bf_error_set(&t->err, BF_ERR_PERMANENT, "%s: a request header is malformed",
			     t->label);
	return t;
}

void transfer_stop(struct transfer *t)
{
	bf_op_cancel(t->deadline);
	bf_op_cancel(t->lookup);
	t->deadline = t->lookup = NULL;
}

/* Gives it all back, secrets wiped. */
void transfer_free(void *transfer)
{
	struct transfer *t = transfer;

	explicit_bzero(t->url, strlen(t->url));
	explicit_bzero(t->proxy, strlen(t->proxy));
	for (struct curl_slist *h = t->headers; h; h = h->next)
		explicit_bzero(h->data, strlen(h->data));
	curl_slist_free_all(t->headers);
	curl_slist_free_all(t->resolve);
	free(t->method);
	free(t->url);
	free(t->label);
	free(t->user_agent);
	free(t->proxy);
	free(t->body);
	bf_buf_release(&t->answer);
	free(t);
}

/* ---- curl's callbacks ---- */

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
	struct transfer *t = ctx;

	if (bf_buf_add(&t->answer, data, size * n))
		return size * n;
	t->body_too_big = true;
	return 0;
}

/*
 * Two lengths that differ leave open where the answer ends (RFC 9112, 6.3: not to be recovered
 * from); curl takes the last one.
 */
static bool length_agrees(struct transfer *t, const char *line, size_t n)
{
	static const char name[] = "content-length:";
	char value[sizeof(t->content_length)] = "";
	size_t at = sizeof(name) - 1, len = 0;

	if (n >= 5 && strncasecmp(line, "HTTP/", 5) == 0)
		t->content_length[0] = '\0';
	if (n < at || strncasecmp(line, name, at) != 0)
		return true;
	for (; at < n && len < sizeof(value) - 1; at++)
		if (line[at] > ' ')
			value[len++] = line[at];
	t->two_lengths = *t->content_length && strcmp(t->content_length, value) != 0;
	memcpy(t->content_length, value, sizeof(value));
	return !t->two_lengths;
}

/* Header lines, those of a 1xx answer too; the bytes of one hop count together. */
static size_t on_header(char *line, size_t size, size_t n, void *ctx)
{
	static const char name[] = "retry-after:";
	struct transfer *t = ctx;

	t->header_bytes += size * n;
	if (t->header_bytes > HTTP_HEADERS_MAX_BYTES) {
		t->headers_too_big = true;
		return 0;
	}
	if (!length_agrees(t, line, size * n))
		return 0;
	if (size * n >= sizeof(name) - 1 && strncasecmp(line, name, sizeof(name) - 1) == 0)
		t->has_retry_after = true;
	return size * n;
}

/* ---- options ---- */

#define SET(option, value) \
	do { \
		if (code == CURLE_OK) \
			code = curl_easy_setopt(t->easy, option, value); \
	} while (0)

/* What is the same for every request. The empty proxy settings keep the environment's out. */
static CURLcode set_manners(struct transfer *t)
{
	CURLcode code = CURLE_OK;

	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	SET(CURLOPT_PROXY, t->proxy);
	SET(CURLOPT_NOPROXY, "");
	SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_ACCEPT_ENCODING, "");
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	/*
	 * the bundle (CAINFO) says it all; with the directory besides, curl reads it anew for each
	 * handshake
	 */
	SET(CURLOPT_CAPATH, NULL);
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_BUFFERSIZE, (long)BUFFER_BYTES);
	SET(CURLOPT_UPLOAD_BUFFERSIZE, (long)BUFFER_BYTES);
	SET(CURLOPT_ERRORBUFFER, t->curl_error);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, t);
	SET(CURLOPT_HEADERFUNCTION, on_header);
	SET(CURLOPT_HEADERDATA, t);
	return code;
}

static CURLcode set_request(struct transfer *t, int64_t left_ms)
{
	CURLcode code = CURLE_OK;

	SET(CURLOPT_URL, t->url);
	SET(CURLOPT_TIMEOUT_MS, (long)(left_ms + CURL_GRACE_MS));
	if (t->connect_timeout_ms > 0)
		SET(CURLOPT_CONNECTTIMEOUT_MS, (long)t->connect_timeout_ms);
	if (t->fresh_connection) {	/* curl sends a request again when a kept connection dies */
		SET(CURLOPT_FRESH_CONNECT, 1L);
		SET(CURLOPT_FORBID_REUSE, 1L);
	}
	if (t->user_agent)
		SET(CURLOPT_USERAGENT, t->user_agent);
	if (strcmp(t->method, "HEAD") == 0) {
		SET(CURLOPT_NOBODY, 1L);
	} else if (t->body || strcmp(t->method, "POST") == 0) {
		SET(CURLOPT_POST, 1L);
		SET(CURLOPT_POSTFIELDS, t->body ? t->body : "");
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)t->body_len);
	}
	if (strcmp(t->method, "HEAD") != 0 && strcmp(t->method, "GET") != 0 &&
	    strcmp(t->method, "POST") != 0)
		SET(CURLOPT_CUSTOMREQUEST, t->method);
	SET(CURLOPT_HTTPHEADER, t->headers);
	SET(CURLOPT_RESOLVE, t->resolve);
	return code;
}

#undef SET

/* ---- on the way ---- */

static void on_deadline(void *ctx)
{
	struct transfer *t = ctx;
	char text[80];

	t->deadline = NULL;
	snprintf(text, sizeof(text), "%s within %lld ms",
		 t->lookup ? "its host's name was not resolved" : "no complete answer",
		 (long long)t->timeout_ms);
	fail(t, BF_ERR_RETRY, text);
}

static int64_t left_ms(const struct transfer *t)
{
	return t->timeout_ms - (int64_t)((bf_now_us() - t->began_us) / 1000);
}

/* Names are known: over to curl. */
static void send_now(struct transfer *t)
{
	CURLcode code;

	if (!http_attach(t)) {
		fail(t, BF_ERR_RETRY, "no memory for the request");
		return;
	}
	t->curl_error[0] = '\0';
	t->header_bytes = 0;
	t->has_retry_after = false;
	bf_buf_clear(&t->answer);
	code = set_manners(t);
	if (code == CURLE_OK)
		code = set_request(t, left_ms(t));
	if (code != CURLE_OK)
		fail(t, BF_ERR_PERMANENT, curl_easy_strerror(code));
	else if (!http_go(t))
		fail(t, BF_ERR_RETRY, "curl does not take the request");
}

/*
 * The "+host:port:address,address" line for curl's own cache; the + lets it expire, so that DNS can
 * change.
 */
static bool set_resolve(struct transfer *t, const struct http_target *to,
			const struct dns_answer *answer)
{
	struct bf_buf line;

	bf_buf_init(&line, 2048);
	bf_buf_addf(&line, "+%s:%d:", to->host, to->port);
	for (int i = 0; i < answer->n; i++) {
		bool v6 = strchr(answer->addr[i], ':');

		bf_buf_addf(&line, "%s%s%s%s", i ? "," : "", v6 ? "[" : "", answer->addr[i],
			    v6 ? "]" : "");
	}
	curl_slist_free_all(t->resolve);
	t->resolve = line.failed ? NULL : curl_slist_append(NULL, line.data);
	bf_buf_release(&line);
	return t->resolve;
}

static bool where_to_connect(struct transfer *t, struct http_target *ret, struct bf_error *why)
{
	return *t->proxy ? http_proxy_read(t->proxy, ret, why) : http_target_read(t->url, ret, why);
}

static void on_lookup(void *ctx, const struct bf_error *err, const struct dns_answer *answer)
{
	struct transfer *t = ctx;
	struct http_target to;
	struct bf_error why;

	t->lookup = NULL;
	if (err)
		fail(t, err->class, err->text);
	else if (!where_to_connect(t, &to, &why))
		fail(t, why.class, why.text);
	else if (!dns_is_literal(to.host) && !set_resolve(t, &to, answer))
		fail(t, BF_ERR_RETRY, "no memory for its addresses");
	else
		send_now(t);
}

/* Looks up the host of t->url (or of the proxy, which looks up the other itself). */
void transfer_begin(struct transfer *t)
{
	struct bf_loop *loop = http_loop(t->http);
	struct http_target to;
	struct bf_error why;

	if (!t->deadline)
		t->deadline = bf_timer_start(loop, left_ms(t), on_deadline, t);
	if (where_to_connect(t, &to, &why))
		t->lookup = dns_resolve(loop, to.host, on_lookup, t);
	else
		fail(t, why.class, why.text);
}

/* ---- the outcome ---- */

/*
 * curl's verdicts that will be the same next time; every other failure of a request is one of the
 * network.
 */
static const CURLcode permanent[] = {
	CURLE_UNSUPPORTED_PROTOCOL, CURLE_URL_MALFORMAT, CURLE_NOT_BUILT_IN,
	CURLE_BAD_FUNCTION_ARGUMENT, CURLE_UNKNOWN_OPTION, CURLE_SETOPT_OPTION_SYNTAX,
	CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_ENGINE_NOTFOUND, CURLE_SSL_CERTPROBLEM,
	CURLE_SSL_CIPHER, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_ISSUER_ERROR,
	CURLE_SSL_PINNEDPUBKEYNOTMATCH, CURLE_SSL_INVALIDCERTSTATUS, CURLE_SSL_CLIENTCERT,
	CURLE_LOGIN_DENIED,
};

static enum bf_err_class classify(CURLcode code)
{
	for (size_t i = 0; i < BF_COUNT(permanent); i++)
		if (permanent[i] == code)
			return BF_ERR_PERMANENT;
	return BF_ERR_RETRY;
}

static void failed(struct transfer *t, CURLcode code)
{
	/*
	 * curl's own words are better than the code's, as long as there is no chance that they
	 * repeat the URL
	 */
	bool telling = *t->curl_error && !strstr(t->curl_error, "://");
	const char *text = telling ? t->curl_error : curl_easy_strerror(code);
	char limit[80];

	if (t->body_too_big) {
		snprintf(limit, sizeof(limit), "the answer is larger than %zu bytes", t->max_body);
		fail(t, BF_ERR_PERMANENT, limit);
	} else if (t->headers_too_big) {
		fail(t, BF_ERR_PERMANENT, "the header of the answer is larger than 64 KiB");
	} else if (t->two_lengths) {
		fail(t, BF_ERR_RETRY, "the answer has two lengths");
	} else {
		fail(t, classify(code), text);
	}
}

/* At another origin: nothing that was meant for the first one. */
static void strip_headers(struct transfer *t)
{
	struct curl_slist *kept = NULL;

	for (struct curl_slist *h = t->headers; h; h = h->next) {
		struct curl_slist *longer;

		if (strncasecmp(h->data, "accept:", 7) == 0 || strcmp(h->data, "Expect:") == 0) {
			longer = curl_slist_append(kept, h->data);
			if (longer)
				kept = longer;
		}
		explicit_bzero(h->data, strlen(h->data));
	}
	curl_slist_free_all(t->headers);
	t->headers = kept;
}

/* RFC 9110, 15.4: 303 always becomes GET, 301 and 302 do so for POST as every browser has it. */
static void drop_body(struct transfer *t, int status)
{
	bool post = strcmp(t->method, "POST") == 0, head = strcmp(t->method, "HEAD") == 0;

	if (status == 303 ? head : !post || (status != 301 && status != 302))
		return;
	free(t->method);
	t->method = bf_xstrdup("GET");
	free(t->body);
	t->body = NULL;
	t->body_len = 0;
}

/* Whether a redirect may go there; why not, otherwise. */
static const char *refuse_redirect(const struct transfer *t, const struct http_target *from,
				   const struct http_target *to)
{
	if (strcmp(to->scheme, "http") == 0 &&
	    (strcmp(from->scheme, "http") != 0 || strcasecmp(to->host, t->first.host) != 0))
		return "redirected to plain http elsewhere: refused";
	if (t->body && !http_target_same_origin(from, to))
		return "redirected to another host with its body: refused";
	return NULL;
}

static void redirect(struct transfer *t, int status, const char *location)
{
	struct http_target from, to;
	struct bf_error why;
	const char *refusal;

	if (t->redirects_left-- <= 0) {
		fail(t, BF_ERR_PERMANENT, "too many redirects");
		return;
	}
	if (!http_target_read(t->url, &from, &why) || !http_target_read(location, &to, &why)) {
		fail(t, BF_ERR_PERMANENT, "redirected to a URL that is not allowed");
		return;
	}
	drop_body(t, status);
	refusal = refuse_redirect(t, &from, &to);
	if (refusal) {
		fail(t, BF_ERR_PERMANENT, refusal);
		return;
	}
	if (!http_target_same_origin(&from, &to))
		strip_headers(t);
	explicit_bzero(t->url, strlen(t->url));
	free(t->url);
	t->url = bf_xstrdup(location);
	http_detach(t);
	transfer_begin(t);
}

static int64_t retry_after_ms(struct transfer *t)
{
	curl_off_t seconds = 0;

	if (!t->has_retry_after)
		return -1;
	if (curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &seconds) != CURLE_OK || seconds < 0)
		seconds = 0;	/* a date that has passed */
	return (seconds > RETRY_AFTER_MAX_S ? RETRY_AFTER_MAX_S : seconds) * 1000;
}

static void succeeded(struct transfer *t, int status)
{
	const char *type = NULL;

	if (curl_easy_getinfo(t->easy, CURLINFO_CONTENT_TYPE, &type) != CURLE_OK || !type)
		type = "";
	snprintf(t->content_type, sizeof(t->content_type), "%s", type);
	t->reply = (struct bf_http_reply){
		.status = status, .body = t->answer.data, .body_len = t->answer.len,
		.retry_after_ms = retry_after_ms(t), .content_type = t->content_type,
		.elapsed_us = bf_now_us() - t->began_us
	};
	http_finish(t);
}

/* A hop is over: the last one, or to be followed. */
void transfer_over(struct transfer *t, CURLcode code)
{
	const char *location = NULL;
	long status = 0;
	bool follows;

	if (code == CURLE_OK)
		code = curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	if (code == CURLE_OK)
		code = curl_easy_getinfo(t->easy, CURLINFO_REDIRECT_URL, &location);
	if (code == CURLE_OK && status == 0)
		code = CURLE_WEIRD_SERVER_REPLY;
	follows = status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
	if (code != CURLE_OK)
		failed(t, code);
	else if (follows && location && t->may_redirect)
		redirect(t, (int)status, location);
	else
		succeeded(t, (int)status);
}
