/*
 * client: libcurl's easy interface. A command asks one thing and waits for it, so a loop would have nothing else to do.
 */
#include "client.h"
#include "backfill/reactor.h"
#include "secret.h"
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CONNECT_TIMEOUT_S 10L
#define URL_MAX           2048

struct client {
	CURL *curl;
	char *url, *secret, *operator_name;
	int timeout_s;
	client_wait *on_wait;
	void *wait_ctx;
	char error[CURL_ERROR_SIZE];
};

/* What one transfer fills. */
struct transfer {
	struct client *client;
	struct client_reply *reply;
	client_data *data; /* NULL: collect */
	void *ctx;
	bool too_long, ended;
};

/* A header's value may not hold a line break; anything else of a user's name is sent as it is, if it is ASCII. */
static char *header_value(const char *text)
{
	char *value;

	if (text == NULL || *text == '\0')
		return NULL;
	value = bf_xstrdup(text);
	for (char *c = value; *c != '\0'; c++) {
		if (*c < ' ' || *c > '~')
			*c = '?';
	}
	return value;
}

/* Makes a client for one server. */
struct client *client_new(const struct client_config *config, struct bf_error *err)
{
	struct client *c;
	size_t len = strlen(config->url);

	if (len > URL_MAX) {
		bf_error_set(err, BF_ERR_CONFIG, "URL refused: longer than %d bytes", URL_MAX);
		return NULL;
	}
	if (strpbrk(config->url, "?#") != NULL) {
		bf_error_set(err, BF_ERR_CONFIG, "URL refused: it has a query or a fragment");
		return NULL;
	}
	if (!bf_http_url_allowed(config->url, err))
		return NULL;
	c = bf_xcalloc(1, sizeof(*c));
	c->curl = curl_easy_init();
	if (c->curl == NULL) {
		bf_error_set(err, BF_ERR_BUG, "libcurl does not start");
		free(c);
		return NULL;
	}
	c->url = bf_xstrdup(config->url);
	while (len > 0 && c->url[len - 1] == '/')
		c->url[--len] = '\0';
	c->secret = config->secret != NULL ? bf_xstrdup(config->secret) : NULL;
	c->operator_name = header_value(config->operator_name);
	c->timeout_s = config->timeout_s;
	return c;
}

/* Frees it; the secret is wiped. */
void client_free(struct client *c)
{
	if (c == NULL)
		return;
	curl_easy_cleanup(c->curl);
	secret_free(c->secret);
	free(c->operator_name);
	free(c->url);
	free(c);
}

/* Where it asks. */
const char *client_url(const struct client *c)
{
	return c->url;
}

/* Who is called while waiting. */
void client_on_wait(struct client *c, client_wait *on_wait, void *ctx)
{
	c->on_wait = on_wait;
	c->wait_ctx = ctx;
}

/* Frees what a reply holds. */
void client_reply_release(struct client_reply *reply)
{
	bf_buf_release(&reply->body);
}

/* Whether the answer that comes in is an event stream. */
static bool is_stream(CURL *curl)
{
	const char *type = NULL;
	long status = 0;

	return curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK &&
		status == 200 &&
		curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type) == CURLE_OK && type != NULL &&
		strncasecmp(type, "text/event-stream", 17) == 0;
}

/* A piece of the body. */
static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
	struct transfer *t = ctx;

	n *= size;
	if (t->data != NULL && is_stream(t->client->curl)) {
		t->ended = !t->data(t->ctx, data, n);
		return t->ended ? 0 : n;
	}
	t->too_long = !bf_buf_add(&t->reply->body, data, n);
	return t->too_long ? 0 : n;
}

/* About once a second. */
static int on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	struct transfer *t = ctx;

	(void)a, (void)b, (void)c, (void)d;
	if (t->client->on_wait != NULL && !t->client->on_wait(t->client->wait_ctx))
		t->ended = true;
	return t->ended;
}

/* Adds one header; a list that can't grow is left as it is, and then the call fails for lack of it. */
static struct curl_slist *add_header(struct curl_slist *list, const char *name, const char *value)
{
	char *line;
	struct curl_slist *longer;

	if (value == NULL)
		return list;
	line = bf_xasprintf("%s: %s", name, value);
	longer = curl_slist_append(list, line);
	secret_free(line); /* one of them is the secret */
	return longer != NULL ? longer : list;
}

/* Overwrites the copies that libcurl's list has. */
static void free_headers(struct curl_slist *list)
{
	for (struct curl_slist *h = list; h != NULL; h = h->next)
		explicit_bzero(h->data, strlen(h->data));
	curl_slist_free_all(list);
}

#define SET(option, value)                                                         \
	do {                                                                       \
		CURLcode rc_ = curl_easy_setopt(t->client->curl, option, (value)); \
		if (rc_ != CURLE_OK)                                               \
			return rc_;                                                \
	} while (0)

/* What every call has. */
static CURLcode set_common(struct transfer *t, const char *url, struct curl_slist *headers)
{
	SET(CURLOPT_URL, url);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_NOPROXY, "*");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(CURLOPT_CONNECTTIMEOUT,
		t->client->timeout_s < CONNECT_TIMEOUT_S ? (long)t->client->timeout_s
							 : CONNECT_TIMEOUT_S);
	SET(CURLOPT_USERAGENT, "backfillctl/" BF_VERSION);
	SET(CURLOPT_HTTPHEADER, headers);
	SET(CURLOPT_ERRORBUFFER, t->client->error);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, t);
	SET(CURLOPT_NOPROGRESS, 0L);
	SET(CURLOPT_XFERINFOFUNCTION, on_progress);
	SET(CURLOPT_XFERINFODATA, t);
	return CURLE_OK;
}

/* A GET or a POST, with its deadline. */
static CURLcode set_call(struct transfer *t, const char *body, int silence_s)
{
	if (body != NULL) {
		SET(CURLOPT_POST, 1L);
		SET(CURLOPT_POSTFIELDSIZE, (long)strlen(body));
		SET(CURLOPT_POSTFIELDS, body);
	} else {
		SET(CURLOPT_HTTPGET, 1L);
	}
	if (silence_s > 0) {
		SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
		SET(CURLOPT_LOW_SPEED_TIME, (long)silence_s);
	} else {
		SET(CURLOPT_TIMEOUT, (long)t->client->timeout_s);
	}
	return CURLE_OK;
}

/* Sends, waits, and writes down what came of it. */
static void perform(
	struct transfer *t, const char *path, const char *body, const char *last_id, int silence_s)
{
	struct client *c = t->client;
	struct curl_slist *headers = NULL;
	char *url = bf_xasprintf("%s%s", c->url, path);
	long status = 0;
	CURLcode rc;

	*t->reply = (struct client_reply){ .status = 0 };
	bf_buf_init(&t->reply->body, CLIENT_BODY_MAX);
	headers = add_header(headers, "X-Cron-Secret", c->secret);
	headers = add_header(headers, "X-Operator", c->operator_name);
	headers = add_header(headers, "Last-Event-ID", last_id);
	headers = add_header(
		headers, "Accept", silence_s > 0 ? "text/event-stream" : "application/json");
	headers = add_header(headers, "Content-Type", body != NULL ? "application/json" : NULL);
	/* An older libcurl waits a second for "100 Continue" before a long body. */
	headers = add_header(headers, "Expect", body != NULL ? "" : NULL);
	curl_easy_reset(c->curl);
	c->error[0] = '\0';
	rc = set_common(t, url, headers);
	if (rc == CURLE_OK)
		rc = set_call(t, body, silence_s);
	if (rc == CURLE_OK)
		rc = curl_easy_perform(c->curl);
	curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
	/* Half an answer is none, but a stream that ended was one. */
	if (rc == CURLE_OK || (t->data != NULL && is_stream(c->curl)))
		t->reply->status = (int)status;
	if (t->too_long)
		snprintf(t->reply->problem, sizeof(t->reply->problem),
			"the answer is longer than %u MiB", CLIENT_BODY_MAX >> 20);
	else if (rc != CURLE_OK)
		snprintf(t->reply->problem, sizeof(t->reply->problem), "%s",
			c->error[0] != '\0' ? c->error : curl_easy_strerror(rc));
	curl_easy_reset(c->curl); /* forgets the headers */
	free_headers(headers);
	free(url);
}

/* One question, one answer. */
void client_call(struct client *c, const char *path, const char *body, struct client_reply *ret)
{
	struct transfer t = { .client = c, .reply = ret };

	perform(&t, path, body, NULL, 0);
}

/* One question, an answer without end. */
void client_stream(struct client *c, const char *path, const char *last_id, int silence_s,
	client_data *data, void *ctx, struct client_reply *ret)
{
	struct transfer t = { .client = c, .reply = ret, .data = data, .ctx = ctx };

	perform(&t, path, NULL, last_id, silence_s);
}
