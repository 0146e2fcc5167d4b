/*
 * google: the error envelope of Google's services,
 * {"error":{"code","message","status","details":[...]}}, in its present and its older form
 * ({"errors":[{"reason","domain"}]}), also wrapped in an array of one.
 */
#include <string.h>
#include "wire.h"

/* A quota by the day, as Gemini's quotaId or the Books API's quota_limit and quota_unit name it. */
static bool names_day(const char *text)
{
	return provider_has(text, "PerDay") || provider_has(text, "per day") ||
		(text != NULL && strncmp(text, "1/d", 3) == 0);
}

/* "34.4s", or the same as {"seconds":34,"nanos":400000000}. */
static int64_t duration(struct bf_jval value, struct bf_arena *arena)
{
	int64_t seconds, nanos = 0;

	if (bf_json_type(value) != BF_J_OBJECT)
		return provider_seconds_ms(provider_text(value, arena));
	if (!bf_json_int(bf_json_get(value, "seconds"), &seconds))
		return provider_seconds_ms(provider_text(bf_json_get(value, "seconds"), arena));
	if (seconds < 0 || seconds > 86400)
		return 86400 * INT64_C(1000);
	if (!bf_json_int(bf_json_get(value, "nanos"), &nanos) || nanos < 0)
		nanos = 0;
	return seconds * 1000 + (nanos + 999999) / 1000000;
}

/* Short reasons: ErrorInfo's, and those of the older form. */
static void read_reason(struct google_error *e, const char *reason)
{
	if (reason == NULL)
		return;
	if (strcmp(reason, "API_KEY_INVALID") == 0 || strcmp(reason, "keyInvalid") == 0 ||
		strcmp(reason, "API_KEY_EXPIRED") == 0)
		e->bad_key = true;
	if (strcmp(reason, "dailyLimitExceeded") == 0 || strcmp(reason, "quotaExceeded") == 0 ||
		strcmp(reason, "dailyLimitExceededUnreg") == 0)
		e->per_day = true;
	if (strcmp(reason, "userRateLimitExceeded") == 0 ||
		strcmp(reason, "rateLimitExceeded") == 0)
		e->user_rate = true;
}

/* One of error.details: RetryInfo, QuotaFailure and ErrorInfo are told apart by their members. */
static void read_detail(struct google_error *e, struct bf_jval detail, struct bf_arena *arena)
{
	struct bf_jval v, violations = bf_json_get(detail, "violations");
	const char *id;
	int64_t ms;

	ms = duration(bf_json_get(detail, "retryDelay"), arena);
	if (ms > e->retry_ms)
		e->retry_ms = ms;
	for (v = bf_json_first(violations); bf_json_type(v) != BF_J_ABSENT; v = bf_json_next(v)) {
		id = provider_text(bf_json_get(v, "quotaId"), arena);
		e->per_day = e->per_day || names_day(id);
		e->per_minute = e->per_minute || provider_has(id, "PerMinute");
	}
	read_reason(e, provider_text(bf_json_get(detail, "reason"), arena));
	if (names_day(provider_text(bf_json_path(detail, "metadata.quota_unit"), arena)) ||
		names_day(provider_text(bf_json_path(detail, "metadata.quota_limit"), arena)))
		e->per_day = true;
}

/* What only the sentence says: kinds of quota, a bad key, "Please retry in 48.9s." */
static void read_message(struct google_error *e)
{
	const char *at;

	if (e->message == NULL)
		return;
	if (names_day(e->message) || provider_has(e->message, "daily limit"))
		e->per_day = true;
	if (provider_has(e->message, "per minute"))
		e->per_minute = true;
	if (provider_has(e->message, "API key not valid") ||
		provider_has(e->message, "API key expired") ||
		provider_has(e->message, "API key not found"))
		e->bad_key = true;
	at = strcasestr(e->message, "retry in ");
	if (at != NULL && e->retry_ms < 0)
		e->retry_ms = provider_seconds_ms(at + strlen("retry in "));
}

/* Reads the envelope; the HTTP status stands in for a missing code. */
bool google_error_read(struct bf_jval root, const struct bf_http_reply *reply,
	struct bf_arena *arena, struct google_error *ret)
{
	struct bf_jval error, v, list;
	int64_t code;

	if (bf_json_type(root) == BF_J_ARRAY)
		root = bf_json_first(root);
	error = bf_json_get(root, "error");
	memset(ret, 0, sizeof(*ret));
	ret->retry_ms = -1;
	ret->code = reply->status;
	if (bf_json_type(error) == BF_J_STRING) {
		ret->message = provider_text(error, arena);
		read_message(ret);
		return true;
	}
	if (bf_json_type(error) != BF_J_OBJECT)
		return false;
	if (reply->status >= 200 && reply->status < 300 &&
		bf_json_int(bf_json_get(error, "code"), &code) && code >= 400 && code <= 599)
		ret->code = (int)code;
	ret->status = provider_text(bf_json_get(error, "status"), arena);
	ret->message = provider_text(bf_json_get(error, "message"), arena);
	list = bf_json_get(error, "details");
	for (v = bf_json_first(list); bf_json_type(v) != BF_J_ABSENT; v = bf_json_next(v))
		read_detail(ret, v, arena);
	list = bf_json_get(error, "errors");
	for (v = bf_json_first(list); bf_json_type(v) != BF_J_ABSENT; v = bf_json_next(v))
		read_reason(ret, provider_text(bf_json_get(v, "reason"), arena));
	read_message(ret);
	return true;
}
