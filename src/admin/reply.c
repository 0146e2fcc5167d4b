/*
 * reply: writes the one answer that every request gets. evhttp keeps a request alive until it is answered, even when its
 * client has gone, so exactly one evhttp_send_reply() is made for each, whatever happens.
 */
#include "reply.h"
#include "conns.h"
#include <event2/buffer.h>
#include <event2/http.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Methods that change nothing are logged only when somebody is looking for them. */
static enum bf_log_level log_level(const struct request *rq)
{
	return rq->route != NULL && rq->route->mutates ? BF_INFO : BF_DEBUG;
}

/* Logs and counts the answer; the request waits for it no longer. */
static void account(struct request *rq, int status)
{
	struct bf_admin *admin = rq->admin;
	uint64_t elapsed_us = bf_now_us() - rq->started_us;

	bf_log(log_level(rq), "request", BF_S("method", rq->method), BF_S("path", rq->path),
		BF_S("operator", rq->operator_name), BF_I("status", status),
		BF_D("ms", (double)elapsed_us / 1000.0));
	if (status >= 100 && status < 100 * SERVER_STATUS_CLASSES)
		admin->answers[status / 100]++;
	audit_end(rq, status);
	TAILQ_REMOVE(&admin->pending, rq, entry);
	admin->n_pending--;
}

/* Frees the request; evhttp owns its own part from here. */
static void release(struct request *rq)
{
	if (rq->conn != NULL)
		conns_answered(rq->conn);
	bf_op_cancel(rq->op);
	bf_arena_free(rq->arena);
	free(rq);
}

/* Sets a header of the answer. */
void reply_header(struct request *rq, const char *name, const char *value)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(rq->http);

	evhttp_remove_header(headers, name);
	evhttp_add_header(headers, name, value);
}

/* Whether the answer carries a body: HEAD and 304 get the length that a GET would have, and no byte of it. */
static bool has_body(const struct request *rq, int status)
{
	return !rq->is_head && status != 304;
}

/* Sends any body; what may be kept is said by the handler that knows it. */
void reply_text(
	struct request *rq, int status, const char *content_type, const char *text, size_t len)
{
	struct evbuffer *body = evbuffer_new();
	char length[24];

	if (body != NULL && has_body(rq, status) && evbuffer_add(body, text, len) != 0) {
		/* Out of memory: an answer cut short is worse than none. */
		evbuffer_free(body);
		body = NULL;
	}
	if (body == NULL) {
		status = 503;
		text = "";
		len = 0;
	}

	reply_header(rq, "Content-Type", content_type);
	if (evhttp_find_header(evhttp_request_get_output_headers(rq->http), "Cache-Control") ==
		NULL)
		reply_header(rq, "Cache-Control", "no-store");
	reply_header(rq, "X-Content-Type-Options", "nosniff");
	audit_answer(rq, status, text, len);
	snprintf(length, sizeof(length), "%zu", len);
	reply_header(rq, "Content-Length", length);
	if (rq->close || rq->admin->draining)
		reply_header(rq, "Connection", "close");
	evhttp_send_reply(rq->http, status, NULL, body);
	if (body != NULL)
		evbuffer_free(body);
	account(rq, status);
	release(rq);
}

/* Begins an answer without an end; the connection is its own and closes with it. */
bool reply_stream_begin(struct request *rq, const char *content_type)
{
	reply_header(rq, "Content-Type", content_type);
	reply_header(rq, "Cache-Control", "no-store");
	reply_header(rq, "X-Content-Type-Options", "nosniff");
	reply_header(rq, "X-Accel-Buffering", "no"); /* a proxy that gathers would make the stream late */
	reply_header(rq, "Connection", "close");
	account(rq, 200);
	if (evhttp_request_get_connection(rq->http) == NULL) {
		reply_stream_end(rq);
		return false;
	}
	evhttp_send_reply_start(rq->http, 200, NULL);
	if (rq->is_head)
		reply_stream_end(rq);
	else if (rq->conn != NULL)
		conns_streaming(rq->conn);
	return true;
}

/* Ends a stream; without a client it only gives the memory back. */
void reply_stream_end(struct request *rq)
{
	evhttp_send_reply_end(rq->http);
	release(rq);
}

/* Sends JSON that is ready. */
void reply_json(struct request *rq, int status, const char *json, size_t len)
{
	reply_text(rq, status, "application/json", json, len);
}

/* Sends JSON from a buffer. */
void reply_buf(struct request *rq, int status, struct bf_buf *buf)
{
	if (buf->failed) {
		bf_log(BF_ERROR, "answer too long", BF_S("path", rq->path),
			BF_I("bytes", buf->len));
		reply_error(rq, 500, "The answer is longer than %zu bytes", buf->max);
	} else {
		reply_json(rq, status, buf->data, buf->len);
	}
	bf_buf_release(buf);
}

/* Sends the text of an error. */
static void send_error(struct request *rq, int status, const char *text)
{
	struct bf_buf buf;
	struct bf_jw jw;

	bf_buf_init(&buf, 4096);
	bf_jw_init(&jw, &buf);
	bf_jw_obj(&jw);
	bf_jw_key(&jw, "error");
	bf_jw_str(&jw, text);
	bf_jw_end_obj(&jw);
	reply_json(rq, status, buf.data, buf.len);
	bf_buf_release(&buf);
}

/* Sends {"error":"..."}. */
void reply_error(struct request *rq, int status, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	send_error(rq, status, text);
}

/* Says that it may work later. */
void reply_unavailable(struct request *rq, int retry_after_s, const char *fmt, ...)
{
	char text[512], seconds[16];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(seconds, sizeof(seconds), "%d", retry_after_s);
	reply_header(rq, "Retry-After", seconds);
	send_error(rq, 503, text);
}

/* Lists everything that is wrong with a body; the first problem is in the error's own text too. */
void reply_problems(struct request *rq, struct body_problems *problems)
{
	const struct body_problem *p = &problems->v[0];
	struct bf_buf buf;
	struct bf_jw jw;
	char text[256];

	snprintf(text, sizeof(text), "Invalid request: %s%s%s", p->field,
		p->field[0] != '\0' ? ": " : "", p->message);
	bf_buf_init(&buf, 16384);
	bf_jw_init(&jw, &buf);
	bf_jw_obj(&jw);
	bf_jw_key(&jw, "error");
	bf_jw_str(&jw, text);
	bf_jw_key(&jw, "details");
	bf_jw_arr(&jw);
	for (int i = 0; i < problems->n; i++) {
		p = &problems->v[i];
		bf_jw_obj(&jw);
		bf_jw_key(&jw, "field");
		bf_jw_str(&jw, p->field);
		bf_jw_key(&jw, "message");
		bf_jw_str(&jw, p->message);
		bf_jw_end_obj(&jw);
	}
	bf_jw_end_arr(&jw);
	bf_jw_end_obj(&jw);
	reply_buf(rq, 400, &buf);
}

/* Passing troubles are 503, the operator's pause is 409; anything else is a defect of ours and the only way to a 500. */
void reply_store_error(struct request *rq, const struct bf_error *err)
{
	switch (err->class) {
	case BF_ERR_RETRY:
	case BF_ERR_CANCELLED:
		bf_log(BF_WARN, "request not served", BF_S("path", rq->path), BF_E(err));
		reply_unavailable(rq, 5, "The database is not available");
		return;
	case BF_ERR_REFUSED:
	case BF_ERR_QUOTA: reply_unavailable(rq, 60, "%s", err->text); return;
	case BF_ERR_CONFIG: reply_error(rq, 409, "%s", err->text); return;
	case BF_ERR_NONE:
	case BF_ERR_PERMANENT:
	case BF_ERR_BUG: break;
	}
	bf_log(BF_ERROR, "request failed", BF_S("path", rq->path), BF_E(err));
	reply_error(rq, 500, "Internal error; the log has the details");
}
