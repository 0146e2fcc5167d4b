/*
 * errors: how each provider says no. Status and body of every refusal, in the shapes that the real
 * services use; where a service has several shapes the request's hash chooses one.
 */
#include <stdio.h>
#include <string.h>
#include "sandbox.h"

#define RETRY_MINUTE_S 30
#define QUOTA_TEXT                                                                         \
	"Quota exceeded for quota metric 'Queries' and limit 'Queries per %s' of service " \
	"'books.googleapis.com' for consumer 'project_number:100000000001'."

/* Plain text or HTML as the whole body. */
static void text_reply(struct reply *out, int status, const char *type, const char *text)
{
	out->status = status;
	out->content_type = type;
	bf_buf_clear(&out->body);
	bf_buf_adds(&out->body, text);
}

/* A front server's page. */
static void html_reply(struct reply *out, int status, const char *title)
{
	text_reply(out, status, "text/html; charset=utf-8", "<!DOCTYPE html>\n<html><head><title>");
	bf_buf_addf(&out->body,
		"%d %s</title></head>\n<body><center><h1>%d %s</h1></center></body></html>\n",
		status, title, status, title);
}

/* {"name":"text"} and perhaps a second member. */
static void members_reply(struct reply *out, int status, const char *a, const char *a_text,
	const char *b, const char *b_text)
{
	struct bf_jw jw = reply_json(out, status);

	write_open(&jw, NULL, '{');
	write_str(&jw, a, a_text);
	if (b)
		write_str(&jw, b, b_text);
	write_close(&jw, '}');
}

/* 5xx by its number; false for other refusals. */
static int server_error(enum refusal why, const char **ret_title)
{
	static const char *const titles[] = {
		"Internal Server Error", "Bad Gateway", "Service Unavailable", "Gateway Timeout"
	};
	if (why < REFUSE_500)
		return 0;
	*ret_title = titles[why - REFUSE_500];
	return why == REFUSE_500 ? 500 : 501 + (int)(why - REFUSE_500);
}

/* Begins Google's error body up to the details, which the caller adds and closes. */
static struct bf_jw google_begin(
	struct reply *out, int code, const char *status, const char *message)
{
	struct bf_jw jw = reply_json(out, code);

	write_open(&jw, NULL, '{');
	write_open(&jw, "error", '{');
	write_int(&jw, "code", code);
	write_str(&jw, "message", message);
	write_str(&jw, "status", status);
	write_open(&jw, "details", '[');
	return jw;
}

/* Ends it. */
static void google_end(struct bf_jw *jw)
{
	write_close(jw, ']');
	write_close(jw, '}');
	write_close(jw, '}');
}

/* google.rpc.ErrorInfo. */
static void error_info(struct bf_jw *jw, const char *reason, const char *service)
{
	write_open(jw, NULL, '{');
	write_str(jw, "@type", "type.googleapis.com/google.rpc.ErrorInfo");
	write_str(jw, "reason", reason);
	write_str(jw, "domain", "googleapis.com");
	write_open(jw, "metadata", '{');
	write_str(jw, "service", service);
	write_close(jw, '}');
	write_close(jw, '}');
}

/* Gemini's 429: which quota, and when to come back, in the body and nowhere else. */
static void gemini_quota(struct request *r, struct reply *out, bool daily)
{
	const char *metric =
		"generativelanguage.googleapis.com/generate_content_paid_tier_requests";
	int seconds = 1 + (int)(r->hash % 3);
	struct bf_jw jw = google_begin(out, 429, "RESOURCE_EXHAUSTED", bf_arena_printf(r->arena,
		"You exceeded your current quota, please check your plan and billing details.\n"
		"* Quota exceeded for metric: %s\nPlease retry in %d.5s.", metric, seconds));

	write_open(&jw, NULL, '{');
	write_str(&jw, "@type", "type.googleapis.com/google.rpc.QuotaFailure");
	write_open(&jw, "violations", '[');
	write_open(&jw, NULL, '{');
	write_str(&jw, "quotaMetric", metric);
	write_str(&jw, "quotaId", daily ? "GenerateRequestsPerDayPerProjectPerModel" :
		"GenerateRequestsPerMinutePerProjectPerModel");
	write_str(&jw, "quotaValue", daily ? "1000" : "60");
	write_close(&jw, '}');
	write_close(&jw, ']');
	write_close(&jw, '}');
	if (daily || r->hash / 4 % 4) {		/* it may be absent */
		write_open(&jw, NULL, '{');
		write_str(&jw, "@type", "type.googleapis.com/google.rpc.RetryInfo");
		write_str(&jw, "retryDelay",
			bf_arena_printf(r->arena, r->hash % 2 ? "%ds" : "%d.5s", seconds));
		write_close(&jw, '}');
	}
	google_end(&jw);
}

/* Gemini. */
static void gemini_refuse(
	struct request *r, struct reply *out, enum refusal why, const char *detail)
{
	static const char service[] = "generativelanguage.googleapis.com";
	struct bf_jw jw;

	switch (why) {
	case REFUSE_RATE:
	case REFUSE_MINUTE:
	case REFUSE_DAILY:
		gemini_quota(r, out, why == REFUSE_DAILY);
		return;
	case REFUSE_KEY_MISSING:
	case REFUSE_KEY_BAD:
		jw = google_begin(out, 400, "INVALID_ARGUMENT",
			"API key not valid. Please pass a valid API key.");
		error_info(&jw, "API_KEY_INVALID", service);
		break;
	case REFUSE_FORBIDDEN:
		jw = google_begin(out, 403, "PERMISSION_DENIED",
			"Your API key was reported as leaked. Please use another API key.");
		error_info(&jw, "CONSUMER_INVALID", service);
		break;
	case REFUSE_NOT_FOUND:
		html_reply(out, 404, "Not Found");
		return;
	case REFUSE_MODEL:
		jw = google_begin(out, 404, "NOT_FOUND",
			bf_arena_printf(r->arena,
				"models/%s is not found for API version v1beta, or is not "
				"supported for generateContent.",
				detail));
		break;
	case REFUSE_METHOD:
	case REFUSE_REQUEST:
		jw = google_begin(out, why == REFUSE_METHOD ? 405 : 400, "INVALID_ARGUMENT",
			detail ? detail : "Bad request.");
		break;
	case REFUSE_500:
		jw = google_begin(out, 500, "INTERNAL", "An internal error has occurred.");
		break;
	case REFUSE_502:
		html_reply(out, 502, "Bad Gateway");
		return;
	case REFUSE_503:
		jw = google_begin(out, 503, "UNAVAILABLE",
			"The model is overloaded. Please try again later.");
		break;
	case REFUSE_504:
		jw = google_begin(
			out, 504, "DEADLINE_EXCEEDED", "The request timed out. Please try again.");
		break;
	}
	google_end(&jw);
}

/* xAI: its own body or OpenAI's, as the service has it this week. */
static void xai_body(
	struct request *r, struct reply *out, int status, const char *code, const char *text)
{
	struct bf_jw jw;

	if (r->hash % 3) {
		members_reply(out, status, "code", code, "error", text);
		return;
	}
	jw = reply_json(out, status);
	write_open(&jw, NULL, '{');
	write_open(&jw, "error", '{');
	write_str(&jw, "message", text);
	write_str(&jw, "type", "invalid_request_error");
	write_str(&jw, "param", NULL);
	write_str(&jw, "code", code);
	write_close(&jw, '}');
	write_close(&jw, '}');
}

/* xAI. */
static void xai_refuse(struct request *r, struct reply *out, enum refusal why, const char *detail)
{
	const char *title = "";
	int status = server_error(why, &title);

	switch (why) {
	case REFUSE_RATE:
	case REFUSE_MINUTE:
		xai_body(r, out, 429, "Some resource has been exhausted",
			"Too many requests for your team: requests per second (per minute: 60).");
		return;
	case REFUSE_DAILY:
		xai_body(r, out, 429, "Some resource has been exhausted",
			"Your team has either used all available credits or reached its monthly "
			"spending limit.");
		return;
	case REFUSE_KEY_MISSING:
		xai_body(r, out, 401, "unauthenticated",
			"No authentication credentials were provided.");
		return;
	case REFUSE_KEY_BAD:
		xai_body(r, out, 400, "invalid-argument",
			"Incorrect API key provided: ba***ey. You can obtain an API key "
			"from https://console.x.ai.");
		return;
	case REFUSE_FORBIDDEN:
		xai_body(r, out, 403,
			"The caller does not have permission to execute the specified operation",
			"Your team is blocked.");
		return;
	case REFUSE_NOT_FOUND:
		members_reply(out, 404, "error", "Not found", NULL, NULL);
		return;
	case REFUSE_MODEL:
		xai_body(r, out, 404, "Some requested entity was not found",
			bf_arena_printf(r->arena,
				"The model %s does not exist or your team does not have access to "
				"it.",
				detail));
		return;
	case REFUSE_METHOD:
		members_reply(out, 405, "error", "Method not allowed", NULL, NULL);
		return;
	case REFUSE_REQUEST:
		xai_body(r, out, r->body_len ? 400 : 422, "Client specified an invalid argument",
			detail);
		return;
	case REFUSE_500:
	case REFUSE_503:
		xai_body(r, out, status, "The service is currently unavailable",
			"The model is at capacity, please try again.");
		return;
	case REFUSE_502:
	case REFUSE_504:
		html_reply(out, status, title);
		return;
	}
}

/* ISBNdb. */
static void isbndb_refuse(
	struct request *r, struct reply *out, enum refusal why, const char *detail)
{
	const char *title = "", *text = "Forbidden";
	int status = server_error(why, &title);

	switch (why) {
	case REFUSE_RATE:
		status = 429;
		text = r->hash % 2 ? "Limit Exceeded"
				   : "Per minute quota exceeded, please try again later";
		break;
	case REFUSE_MINUTE:
		status = 429;
		text = "Per minute quota exceeded, please try again later";
		break;
	case REFUSE_DAILY:
		status = 429;
		text = "Daily quota exceeded, please try again later";
		break;
	case REFUSE_KEY_MISSING:
	case REFUSE_KEY_BAD:
		status = 401;
		text = "Full authentication is required to access this resource";
		break;
	case REFUSE_FORBIDDEN:
		status = 403;
		break;
	case REFUSE_NOT_FOUND:
	case REFUSE_MODEL:
		if (r->hash % 3)
			members_reply(
				out, 404, "message", "Not Found", "error_message", "Not Found");
		else
			members_reply(out, 404, "errorMessage", "Not Found", NULL, NULL);
		return;
	case REFUSE_METHOD:
		status = 405;
		text = "Method Not Allowed";
		break;
	case REFUSE_REQUEST:
		status = 400;
		text = detail;
		break;
	case REFUSE_500:
		text = title;
		break;
	case REFUSE_502:
	case REFUSE_503:
	case REFUSE_504:
		html_reply(out, status, title);
		return;
	}
	members_reply(out, status, "message", text, NULL, NULL);
}

/* A body of Google Books: the new shape with the legacy `errors` beside it. */
static void google_books_body(struct reply *out, int code, const char *status, const char *reason,
	const char *message, const char *const info[3])
{
	struct bf_jw jw = reply_json(out, code);

	write_open(&jw, NULL, '{');
	write_open(&jw, "error", '{');
	write_int(&jw, "code", code);
	write_str(&jw, "message", message);
	write_open(&jw, "errors", '[');
	write_open(&jw, NULL, '{');
	write_str(&jw, "message", message);
	write_str(&jw, "domain", "global");
	write_str(&jw, "reason", reason);
	write_close(&jw, '}');
	write_close(&jw, ']');
	write_str(&jw, "status", status);
	write_open(&jw, "details", '[');
	write_open(&jw, NULL, '{');
	write_str(&jw, "@type", "type.googleapis.com/google.rpc.ErrorInfo");
	write_str(&jw, "reason", info[0]);
	write_str(&jw, "domain", "googleapis.com");
	write_open(&jw, "metadata", '{');
	write_str(&jw, "service", "books.googleapis.com");
	if (info[1]) {
		write_str(&jw, "quota_limit", info[1]);
		write_str(&jw, "quota_limit_value", info[2]);
		write_str(&jw, "quota_unit",
			strstr(info[1], "PerDay") ? "1/d/{project}" : "1/min/{project}/{user}");
	}
	write_close(&jw, '}');
	write_close(&jw, '}');
	write_close(&jw, ']');
	write_close(&jw, '}');
	write_close(&jw, '}');
}

/* Google Books. */
static void google_books_refuse(
	struct request *r, struct reply *out, enum refusal why, const char *detail)
{
	static const char *const none[3] = { "badRequest" }, *const key[3] = { "API_KEY_INVALID" };
	static const char *const minute[3] = { "RATE_LIMIT_EXCEEDED", "defaultPerMinutePerUser",
		"100" };
	static const char *const day[3] = { "RATE_LIMIT_EXCEEDED", "defaultPerDayPerProject",
		"1000" };
	static const char *const keyless[3] = { "RATE_LIMIT_EXCEEDED", "defaultPerDayPerProject",
		"0" };
	const char *title = "", *text;
	int status = server_error(why, &title);

	switch (why) {
	case REFUSE_RATE:
	case REFUSE_MINUTE:
		text = bf_arena_printf(r->arena, QUOTA_TEXT, "minute per user");
		google_books_body(
			out, 429, "RESOURCE_EXHAUSTED", "rateLimitExceeded", text, minute);
		return;
	case REFUSE_DAILY:
	case REFUSE_KEY_MISSING:
		text = bf_arena_printf(r->arena, QUOTA_TEXT, "day");
		google_books_body(out, 429, "RESOURCE_EXHAUSTED", "rateLimitExceeded", text,
			why == REFUSE_DAILY ? day : keyless);
		return;
	case REFUSE_KEY_BAD:
		google_books_body(out, 400, "INVALID_ARGUMENT", "badRequest",
			"API key not valid. Please pass a valid API key.", key);
		return;
	case REFUSE_FORBIDDEN:
		google_books_body(out, 403, "PERMISSION_DENIED", "forbidden",
			"Requests to this API books method google.books.Volumes.List are blocked.",
			none);
		return;
	case REFUSE_NOT_FOUND:
	case REFUSE_MODEL:
	case REFUSE_METHOD:
		html_reply(out, 404, "Not Found");
		return;
	case REFUSE_REQUEST:
		google_books_body(out, 400, "INVALID_ARGUMENT", "invalidParameter", detail, none);
		return;
	case REFUSE_500:
	case REFUSE_503:
		google_books_body(out, status, "UNAVAILABLE", "backendFailed",
			"Service temporarily unavailable.", none);
		return;
	case REFUSE_502:
	case REFUSE_504:
		html_reply(out, status, title);
		return;
	}
}

/* Open Library. */
static void open_library_refuse(
	struct request *r, struct reply *out, enum refusal why, const char *detail)
{
	const char *title = "Not Found";
	int status = server_error(why, &title);
	struct bf_jw jw;

	(void)r;
	if (status) {
		html_reply(out, status, title);
	} else if (why == REFUSE_RATE || why == REFUSE_MINUTE || why == REFUSE_DAILY) {
		jw = reply_json(out, 429);
		write_open(&jw, NULL, '{');
		write_int(&jw, "status", 429);
		write_str(&jw, "message",
			"Too Many Requests. Consider using "
			"https://openlibrary.org/developers/dumps.");
		write_close(&jw, '}');
	} else if (why == REFUSE_REQUEST) {
		jw = reply_json(out, 422);
		write_open(&jw, NULL, '{');
		write_open(&jw, "detail", '[');
		write_open(&jw, NULL, '{');
		write_str(&jw, "type", "value_error");
		write_str(&jw, "msg", detail);
		write_close(&jw, '}');
		write_close(&jw, ']');
		write_close(&jw, '}');
	} else if (why == REFUSE_FORBIDDEN || why == REFUSE_KEY_MISSING || why == REFUSE_KEY_BAD) {
		html_reply(out, 403, "Forbidden");
	} else {
		html_reply(out, 404, "Not Found");
	}
}

/* Archive.org: pages for people, and a Retry-After now and then. */
static void archive_org_refuse(
	struct request *r, struct reply *out, enum refusal why, const char *detail)
{
	const char *title = "";
	int status = server_error(why, &title);

	if (status) {
		html_reply(out, status, title);
	} else if (why == REFUSE_RATE || why == REFUSE_MINUTE || why == REFUSE_DAILY) {
		html_reply(out, 429, "Too Many Requests");
		if (r->hash % 2)
			out->retry_after = 1 + (int)(r->hash / 2 % 3);
	} else if (why == REFUSE_REQUEST) {
		members_reply(out, 200, "error", detail, NULL, NULL);
	} else if (why == REFUSE_FORBIDDEN || why == REFUSE_KEY_MISSING || why == REFUSE_KEY_BAD) {
		html_reply(out, 403, "Forbidden");
	} else {
		html_reply(out, 404, "Not Found");
	}
}

/* The query service: always a Retry-After with 429, traces for 500, a ban for the stubborn. */
static void wikidata_refuse(
	struct request *r, struct reply *out, enum refusal why, const char *detail)
{
	const char *title = "";
	int status = server_error(why, &title);

	if (why == REFUSE_500) {
		text_reply(out, 500, "text/plain;charset=utf-8",
			"SPARQL-QUERY: queryStr=...\njava.util.concurrent.TimeoutException\n"
			"\tat "
			"java.base/java.util.concurrent.FutureTask.get(FutureTask.java:204)\n");
	} else if (why == REFUSE_503) {
		text_reply(
			out, 503, "text/plain", "Service is overloaded, please try again later.\n");
	} else if (status) {
		html_reply(out, status, title);
	} else if (why == REFUSE_RATE || why == REFUSE_MINUTE || why == REFUSE_DAILY) {
		out->retry_after = why == REFUSE_RATE ? 1 + (int)(r->hash % 2) : RETRY_MINUTE_S;
		text_reply(out, 429, "text/plain", bf_arena_printf(r->arena,
			"Too Many Requests - Please retry in %d seconds.\n", out->retry_after));
	} else if (why == REFUSE_FORBIDDEN) {
		text_reply(out, 403, "text/plain",
			"You have been banned until 2031-01-01T00:00:00Z, please respect "
			"throttling.\n");
	} else if (why == REFUSE_KEY_MISSING || why == REFUSE_KEY_BAD) {
		text_reply(out, 403, "text/plain",
			"Please set a user-agent and respect our robot policy https://w.wiki/4wJS. "
			"See also T400119.\n");
	} else if (why == REFUSE_REQUEST) {
		text_reply(out, 400, "text/plain",
			bf_arena_printf(r->arena,
				"SPARQL-QUERY: queryStr=%s\n"
				"org.openrdf.query.MalformedQueryException: encountered something "
				"unexpected\n",
				detail));
	} else {
		html_reply(out, 404, "Not Found");
	}
}

/* Fills the reply with the provider's own way of refusing. */
void errors_refuse(struct request *r, struct reply *out, enum refusal why, const char *detail)
{
	bf_buf_clear(&out->body);
	switch (r->provider) {
	case BF_GEMINI:
		gemini_refuse(r, out, why, detail);
		return;
	case BF_XAI:
		xai_refuse(r, out, why, detail);
		return;
	case BF_ISBNDB:
		isbndb_refuse(r, out, why, detail);
		return;
	case BF_GOOGLE_BOOKS:
		google_books_refuse(r, out, why, detail);
		return;
	case BF_OPEN_LIBRARY:
		open_library_refuse(r, out, why, detail);
		return;
	case BF_ARCHIVE_ORG:
		archive_org_refuse(r, out, why, detail);
		return;
	case BF_WIKIDATA:
		wikidata_refuse(r, out, why, detail);
		return;
	case BF_NPROVIDERS:
		return;
	}
}
