/*
 * A call on the wire: built, sent, its answer parsed and judged. What passes is handed to the asker; what may pass the next time
 * is tried again with full jitter, or as late as the provider asked for; what tells about the provider itself closes it.
 */
#include "gate_call.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BACKOFF_BASE_MS      1000
#define BACKOFF_CAP_MS       60000
#define TRIES_AI             4
#define TRIES_SEARCH         3
#define RATE_WAIT_MS         5000   /* a 429 that does not say how long */
#define RATE_WAIT_LONGEST_MS 120000 /* longer than this is a closure for all, not a rest */
#define KEY_LEAST            8      /* a shorter text may be anything */
#define BAN_MS               (24 * 3600000ll)
#define CONNECT_TIMEOUT_MS   10000
#define TIMER_GRAIN_US       20000 /* a timer may fire a little early by another clock */

const char *const bf_outcome_names[BF_OUTCOMES] = { "ok", "empty", "refused", "bad_request", "auth",
	"billing", "quota_day", "rate", "banned", "garbage", "upstream", "timeout", "network" };
#define OUTCOME_NETWORK (BF_OUTCOMES - 1)
_Static_assert(BF_OUTCOMES == PROVIDER_NOUTCOMES + 1,
	"the names follow enum provider_outcome, then network");

const double bf_http_latency_bounds_s[BF_HTTP_LATENCY_BUCKETS] = { 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
	10, 30, 60, 120, 1e300 };

static bool is_ai(const struct lane *lane)
{
	return BF_IS_AI(lane->ops->id);
}

static void count_latency(struct lane *lane, double s)
{
	int i = 0;

	while (i < BF_HTTP_LATENCY_BUCKETS - 1 && s > bf_http_latency_bounds_s[i])
		i++;
	lane->figures.latency[i]++;
	lane->figures.latency_sum_s += s;
}

/* ---- what an answer means for the call and for the provider ---- */
static void retry_or_fail(struct gate_call *, int64_t wait_ms, const char *reason, bool again);

static void turn_off(struct gate_call *call, const char *what, const char *reason)
{
	struct lane *lane = call->lane;
	struct bf_error err;

	reason = reason ? reason : "no reason given";
	bf_error_set(&err, BF_ERR_REFUSED, "%s: %s: %s", lane->ops->label, what, reason);
	if (call->ask.own_model) { /* the job's own choice of model is not the provider's fault */
		err.class = BF_ERR_PERMANENT;
		call_end(call, &err, NULL);
		return;
	}
	if (!lane->off[0]) {
		snprintf(lane->off, sizeof lane->off, "%s: %.*s", what, BF_CUT(reason, 150));
		bf_log(BF_ERROR,
			"provider turned off until reload: mend the key, model or credit, then "
			"send SIGHUP",
			BF_S("provider", bf_provider_names[lane->ops->id]),
			BF_S("reason", lane->off));
	}
	call_end(call, &err, NULL);
}

static void quota_gone(struct gate_call *call, const struct provider_answer *answer)
{
	struct lane *lane = call->lane;
	const char *reason = answer->reason ? answer->reason : "";
	struct bf_error err;
	char text[200];

	snprintf(text, sizeof text, "daily quota exceeded says the provider: %.*s",
		BF_CUT(reason, 120));
	bf_log(BF_WARN, "quota gone although our count says otherwise",
		BF_S("provider", bf_provider_names[lane->ops->id]),
		BF_I("our_count", lane->figures.quota_used),
		BF_I("our_limit", lane_daily_limit(lane)), BF_I("their_limit", answer->limit_total),
		BF_I("their_left", answer->limit_left));
	circuit_close_for(lane, BF_CLOSURE_QUOTA, 0, text);
	bf_error_set(&err, BF_ERR_QUOTA, "%s: %s", lane->ops->label, text);
	call_end(call, &err, NULL);
}

/* Longer than a call may rest, and its month with it: the provider is closed until then. */
static bool asked_to_stay_away(struct gate_call *call, const char *what, int64_t wait_ms)
{
	struct lane *lane = call->lane;
	struct bf_error err;

	if (wait_ms <= RATE_WAIT_LONGEST_MS)
		return false;
	circuit_close_for(lane, BF_CLOSURE_RATE, wait_ms, "the provider asked us to wait");
	bf_error_set(&err, BF_ERR_RETRY, "%s: %s for %lld s", lane->ops->label, what,
		(long long)wait_ms / 1000);
	call_end(call, &err, NULL);
	return true;
}

static void rate_limited(struct gate_call *call, const struct provider_answer *answer)
{
	struct lane *lane = call->lane;
	int64_t wait = answer->retry_after_ms >= 0 ? answer->retry_after_ms : RATE_WAIT_MS;
	uint64_t until = bf_now_us() + (uint64_t)wait * 1000;

	if (asked_to_stay_away(call, "rate limited", wait))
		return;
	if (until > lane->not_before_us)
		lane->not_before_us = until;
	retry_or_fail(call, wait, answer->reason ? answer->reason : "rate limited", true);
}

static void banned(struct gate_call *call, const struct provider_answer *answer)
{
	struct bf_error err;

	circuit_close_for(call->lane, BF_CLOSURE_BAN,
		answer->retry_after_ms > 0 ? answer->retry_after_ms : BAN_MS,
		answer->reason ? answer->reason : "banned");
	bf_error_set(&err, BF_ERR_RETRY, "%s: banned", call->lane->ops->label);
	call_end(call, &err, NULL);
}

static void failed(struct gate_call *call, const struct provider_answer *answer, bool again)
{
	const char *reason =
		answer->reason ? answer->reason : provider_outcome_name(answer->outcome);

	circuit_failure(call->lane, reason);
	if (!circuit_blocks(call->lane) &&
		asked_to_stay_away(call, reason, answer->retry_after_ms))
		return;
	retry_or_fail(call, answer->retry_after_ms, reason, again);
}

static void judge(struct gate_call *call, const struct provider_answer *answer)
{
	struct lane *lane = call->lane;
	struct bf_error err;

	switch (answer->outcome) {
	case OUTCOME_OK:
	case OUTCOME_EMPTY:
	case OUTCOME_REFUSED:
		call->probe = false;
		circuit_success(lane);
		call_end(call, NULL, answer);
		return;
	case OUTCOME_BAD_REQUEST:
		bf_error_set(&err, BF_ERR_PERMANENT, "%s: %s", lane->ops->label,
			answer->reason ? answer->reason : "bad request");
		call_end(call, &err, NULL);
		return;
	case OUTCOME_AUTH: turn_off(call, "key or model refused", answer->reason); return;
	case OUTCOME_BILLING: turn_off(call, "credit used up", answer->reason); return;
	case OUTCOME_QUOTA_DAY: quota_gone(call, answer); return;
	case OUTCOME_RATE: rate_limited(call, answer); return;
	case OUTCOME_BANNED: banned(call, answer); return;
	case OUTCOME_TIMEOUT: failed(call, answer, false); return;
	case OUTCOME_GARBAGE:
	case OUTCOME_UPSTREAM: failed(call, answer, true); return;
	}
}

/* ---- trying again ---- */
static void rested(void *ctx)
{
	struct gate_call *call = ctx;
	struct lane *lane = call->lane;
	const char *why = lane_unusable(lane);

	call->op = NULL;
	if (why) {
		struct bf_error err;

		bf_error_set(&err, BF_ERR_RETRY, "%s: failed, then %s", lane->ops->label, why);
		call_end(call, &err, NULL);
		return;
	}
	TAILQ_REMOVE(&lane->resting, call, link);
	lane->n_waiting--;
	call_enqueue(call);
	gate_pump(lane);
}

static int64_t full_jitter_ms(int tries)
{
	int64_t cap = BACKOFF_BASE_MS;

	for (int i = 1; i < tries && cap < BACKOFF_CAP_MS; i++)
		cap *= 2;
	return (int64_t)(bf_random_unit() * (double)(cap < BACKOFF_CAP_MS ? cap : BACKOFF_CAP_MS));
}

static void retry_or_fail(struct gate_call *call, int64_t wait_ms, const char *reason, bool again)
{
	struct lane *lane = call->lane;
	int most = is_ai(lane) ? TRIES_AI : TRIES_SEARCH;

	if (!again || call->ask.once || call->tries >= most || call->probe || lane->p->draining ||
		circuit_blocks(lane)) {
		struct bf_error err;

		bf_error_set(&err, BF_ERR_RETRY, "%s: %s (%d tries)", lane->ops->label, reason,
			call->tries);
		call_end(call, &err, NULL);
		return;
	}
	TAILQ_REMOVE(&lane->sent, call, link);
	lane->n_sent--;
	call->state = CALL_RESTING;
	TAILQ_INSERT_TAIL(&lane->resting, call, link);
	lane->n_waiting++;
	lane->figures.retries++;
	call->op = bf_timer_start(
		lane->p->loop, wait_ms >= 0 ? wait_ms : full_jitter_ms(call->tries), rested, call);
	gate_pump(lane);
}

/* ---- counting ---- */
static void count_usage(struct gate_call *call, bool error, const struct provider_answer *answer)
{
	struct lane *lane = call->lane;
	const struct gate_ask *ask = &call->ask;
	struct bf_usage usage = { .provider = lane->ops->id, .calls = 1, .errors = error };

	/* what is counted by ISBN is paid by ISBN; asking after the limits is free */
	usage.cost_usd = lane->conf->cost_per_call * call->units;
	if (lane->ops->paid || lane_daily_limit(lane) > 0)
		usage.units_sent = call->units;
	if (ask->dry_run) {
		tally_add(lane->p, ask->ref.fence, lane->ops->id, 1, usage.cost_usd);
	} else {
		usage.year = ask->ref.year;
		usage.month = ask->ref.month;
		usage.fence = ask->ref.fence;
	}
	lane->figures.cost_usd += usage.cost_usd;
	/* A month's AI answer carries its tokens and cost into the database itself, with its text. */
	if (answer && ask->dry_run) {
		usage.tokens_in = answer->tokens_in;
		usage.tokens_out = answer->tokens_out;
	}
	lane->figures.units += (uint64_t)usage.units_sent;
	flusher_usage(lane->p->flusher, &usage);
}

/* An answer that repeats our key, as errors do, must not carry it into reasons, logs and the database. */
static struct bf_http_reply without_key(const struct lane *lane, const struct bf_http_reply *reply,
	struct bf_arena *arena)
{
	struct bf_http_reply clean = *reply;
	const char *key = lane->conf->api_key;
	size_t len = key ? strlen(key) : 0;
	char *body;

	if (len < KEY_LEAST || !memmem(reply->body, reply->body_len, key, len))
		return clean;
	body = bf_arena_alloc(arena, reply->body_len + 1);
	memcpy(body, reply->body, reply->body_len);
	body[reply->body_len] = '\0';
	clean.body = body;
	for (char *at = body, *end = body + reply->body_len;
		(at = memmem(at, (size_t)(end - at), key, len)) != NULL; at += len)
		memset(at, '*', len);
	return clean;
}

static void http_done(void *ctx, const struct bf_error *err, const struct bf_http_reply *reply)
{
	struct gate_call *call = ctx;
	struct lane *lane = call->lane;
	struct provider_answer answer = {
		.retry_after_ms = -1, .cost_usd = -1, .limit_total = -1, .limit_left = -1
	};
	struct bf_http_reply clean;
	struct bf_arena *arena;

	call->op = NULL;
	count_latency(lane, (double)(bf_now_us() - call->sent_us) / 1e6);
	if (err) {
		bool timeout = bf_now_us() - call->sent_us + TIMER_GRAIN_US >=
			(uint64_t)call->timeout_ms * 1000;

		lane->figures.requests[timeout ? OUTCOME_TIMEOUT : OUTCOME_NETWORK]++;
		count_usage(call, true, NULL);
		circuit_failure(lane, err->text);
		retry_or_fail(call, -1, err->text, err->class == BF_ERR_RETRY && !timeout);
		return;
	}
	arena = bf_arena_new();
	answer.retry_after_ms = reply->retry_after_ms;
	clean = without_key(lane, reply, arena);
	lane->ops->parse(&call->ask.ask, &clean, arena, &answer);
	lane->figures.requests[answer.outcome]++;
	lane->figures.tokens_in += answer.tokens_in;
	lane->figures.tokens_out += answer.tokens_out;
	count_usage(call,
		answer.outcome != OUTCOME_OK && answer.outcome != OUTCOME_EMPTY &&
			answer.outcome != OUTCOME_REFUSED,
		&answer);
	judge(call, &answer);
	bf_arena_free(arena);
}

static int64_t timeout_of(const struct lane *lane)
{
	int64_t left;

	if (lane->ops->id != BF_WIKIDATA)
		return lane->conf->timeout_ms;
	left = rate_turn_left_ms(&lane->rate, bf_now_us());
	return left < lane->conf->timeout_ms ? left : lane->conf->timeout_ms;
}

static void launch(struct gate_call *call, const struct provider_request *built)
{
	struct lane *lane = call->lane;
	struct bf_http_request req = { .method = built->method,
		.url = built->url,
		.label = lane->ops->label,
		.headers = built->headers,
		.n_headers = built->n_headers,
		.body = built->body,
		.body_len = built->body_len,
		.user_agent = lane->p->user_agent,
		.proxy = lane->conf->proxy,
		.timeout_ms = timeout_of(lane),
		.connect_timeout_ms = CONNECT_TIMEOUT_MS,
		.max_body = lane->ops->max_body,
		.max_redirects = lane->ops->max_redirects,
		/* what is counted must not be sent twice behind our back, as on a connection that was kept too long */
		.fresh_connection = call->reserved };

	TAILQ_REMOVE(&lane->ready, call, link);
	lane->n_ready--;
	call->state = CALL_SENT;
	TAILQ_INSERT_TAIL(&lane->sent, call, link);
	lane->n_sent++;
	call->reserved = false;
	call->sent_us = bf_now_us();
	if (call->tries++ == 0)
		call->first_sent_us = call->sent_us;
	call->timeout_ms = req.timeout_ms;
	call->op = bf_http_start(lane->p->http, &req, http_done, call);
}

void call_send(struct gate_call *call, uint64_t due_us)
{
	struct lane *lane = call->lane;
	struct bf_arena *arena = bf_arena_new();
	struct provider_request built = { .units = 1 };
	struct bf_error err;

	if (!lane->ops->build(&call->ask.ask, lane->conf, arena, &built, &err)) {
		call_fail_later(call, BF_ERR_PERMANENT, err.text);
	} else if (built.units > call->units) {
		call_fail_later(call, BF_ERR_BUG, "the request costs more than was counted for it");
	} else {
		rate_take(&lane->rate, due_us);
		launch(call, &built);
	}
	bf_arena_free(arena);
}
