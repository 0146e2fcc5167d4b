/*
 * The webhook: whatever the database holds to be delivered is claimed by one instance at a time, posted, and marked. What is not
 * taken with a 2xx comes again, later each time, for a day; the receiver tells repeats by the id.
 */
#include "alerts.h"
#include "schedule.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS        4
#define LEASE_MS     30000
#define TIMEOUT_MS   10000
#define CONNECT_MS   5000
#define END_AGAIN_MS 1000
#define WAIT_MS      5000 /* doubled after each try */
#define WAIT_MAX_MS  (15 * 60000)
#define LOOK_MAX_MS  60000
#define REPLY_MAX    65536
#define BODY_MAX     32768

struct slot {
	struct webhook *w;
	struct bf_op *op;	/* the request, its end in the database, or the wait before that is repeated */
	int64_t id, wait_ms;
	uint64_t lease_us;
	bool taken;
	char problem[256];
};
struct webhook {
	struct bf_schedule *s;
	struct bf_http *http;
	struct bf_alert_figures *figures;
	struct slot slot[SLOTS];
	struct bf_op *claim_op, *timer;
	bool again;		/* something may have become due while a claim was under way */
	char user_agent[64];
};

struct webhook *webhook_new(
	struct bf_schedule *s, struct bf_http *http, struct bf_alert_figures *figures)
{
	struct webhook *w = bf_xcalloc(1, sizeof *w);

	w->s = s;
	w->http = http;
	w->figures = figures;
	snprintf(w->user_agent, sizeof w->user_agent, "backfilld/%s", BF_VERSION);
	return w;
}

void webhook_free(struct webhook *w)
{
	if (!w)
		return;
	for (int i = 0; i < SLOTS; i++)
		bf_op_cancel(w->slot[i].op);
	bf_op_cancel(w->claim_op);
	bf_op_cancel(w->timer);
	free(w);
}

bool webhook_wanted(const struct webhook *w)
{
	return w->http && w->s->config->alerts.webhook_url &&
		w->s->config->alerts.webhook_url[0];
}

/* ---- the end of one ---- */
static void end(void *ctx);

static void ended(void *ctx, const struct bf_error *err, enum bf_store_outcome outcome)
{
	struct slot *slot = ctx;
	struct webhook *w = slot->w;

	slot->op = NULL;
	if (err) {
		if (bf_now_us() < slot->lease_us) {
			slot->op = bf_timer_start(w->s->loop, END_AGAIN_MS, end, slot);
			return;
		}
		bf_log(BF_WARN, "delivery of an alert not marked: it will be repeated",
			BF_I("delivery", slot->id), BF_E(err));
	} else if (!slot->taken && outcome == BF_STORE_REFUSED) {
		w->figures->given_up++;
		bf_log(BF_ERROR, "alert not delivered for a day: given up",
			BF_I("delivery", slot->id), BF_S("problem", slot->problem));
	}
	webhook_look(w);
}

static void end(void *ctx)
{
	struct slot *slot = ctx;

	slot->op = bf_store_delivery_end(slot->w->s->store, slot->id,
		slot->taken ? NULL : slot->problem, slot->wait_ms, ended, slot);
}

static void answered(
	void *ctx, const struct bf_error *err, const struct bf_http_reply *reply)
{
	struct slot *slot = ctx;
	struct webhook *w = slot->w;

	slot->op = NULL;
	slot->taken = !err && reply->status >= 200 && reply->status < 300;
	if (err)
		snprintf(slot->problem, sizeof slot->problem, "%s", err->text);
	else
		snprintf(slot->problem, sizeof slot->problem, "HTTP %d", reply->status);
	if (!err && reply->retry_after_ms > slot->wait_ms)
		slot->wait_ms = reply->retry_after_ms < WAIT_MAX_MS ? reply->retry_after_ms
								    : WAIT_MAX_MS;
	if (slot->taken) {
		w->figures->delivered++;
	} else {
		w->figures->failed++;
		bf_log(BF_WARN, "alert not delivered, tried again later",
			BF_I("delivery", slot->id), BF_S("problem", slot->problem),
			BF_I("wait_ms", slot->wait_ms));
	}
	end(slot);
}

/* ---- the request ---- */
static void write_body(struct bf_buf *buf, const struct bf_delivery *d)
{
	struct bf_jw jw;

	bf_jw_init(&jw, buf);
	bf_jw_obj(&jw);
	bf_jw_key(&jw, "id");
	bf_jw_int(&jw, d->id);
	bf_jw_key(&jw, "event");
	bf_jw_str(&jw, d->event);
	bf_jw_key(&jw, "alert");
	bf_jw_raw(&jw, d->alert_json, strlen(d->alert_json));
	bf_jw_key(&jw, "instance");
	bf_jw_str(&jw, d->instance);
	bf_jw_key(&jw, "at");
	bf_jw_str(&jw, d->at);
	bf_jw_key(&jw, "timestamp");
	bf_jw_int(&jw, d->now_s);
	bf_jw_end_obj(&jw);
}

/* "sha256=" and the digest of the body under the secret. */
static void sign(char out[72], const char *secret, const struct bf_buf *body)
{
	uint8_t digest[32];
	size_t len;

	bf_hmac_sha256(secret, strlen(secret), body->data, body->len, digest);
	len = (size_t)snprintf(out, 72, "sha256=");
	for (size_t i = 0; i < sizeof digest; i++)
		len += (size_t)snprintf(out + len, 72 - len, "%02x", digest[i]);
}

static int64_t wait_after(int tries)
{
	int64_t ms = WAIT_MS;

	for (int i = 1; i < tries && ms < WAIT_MAX_MS; i++)
		ms *= 2;
	return ms < WAIT_MAX_MS ? ms : WAIT_MAX_MS;
}

static void post(struct webhook *w, struct slot *slot, const struct bf_delivery *d)
{
	const struct bf_config *c = w->s->config;
	char stamp[24], id[24], signature[72];
	struct bf_http_header headers[4] = { { "Content-Type", "application/json" },
		{ "X-Backfill-Timestamp", stamp }, { "X-Backfill-Delivery", id },
		{ "X-Backfill-Signature", signature } };
	struct bf_http_request request = { .method = "POST",
		.url = c->alerts.webhook_url,
		.label = "alert webhook",
		.headers = headers,
		.n_headers = 3,
		.user_agent = w->user_agent,
		.timeout_ms = TIMEOUT_MS,
		.connect_timeout_ms = CONNECT_MS,
		.max_body = REPLY_MAX,
		.fresh_connection = true };
	struct bf_buf body;

	bf_buf_init(&body, BODY_MAX);
	write_body(&body, d);
	snprintf(stamp, sizeof stamp, "%" PRId64, d->now_s);
	snprintf(id, sizeof id, "%" PRId64, d->id);
	if (c->alerts.webhook_secret && c->alerts.webhook_secret[0]) {
		sign(signature, c->alerts.webhook_secret, &body);
		request.n_headers = 4;
	}
	request.body = body.data;
	request.body_len = body.len;
	*slot = (struct slot){ .w = w,
		.id = d->id,
		.wait_ms = wait_after(d->tries),
		.lease_us = bf_now_us() + (uint64_t)LEASE_MS * 1000 };
	slot->op = bf_http_start(w->http, &request, answered, slot);
	bf_buf_release(&body);
}

/* ---- what is due ---- */
static int free_slots(const struct webhook *w)
{
	int n = 0;

	for (int i = 0; i < SLOTS; i++)
		n += !w->slot[i].op;
	return n;
}

static void look_again(void *ctx)
{
	struct webhook *w = ctx;

	w->timer = NULL;
	webhook_look(w);
}

static void claimed(void *ctx, const struct bf_error *err, const struct bf_delivery *v, int n,
	int64_t next_ms)
{
	struct webhook *w = ctx;
	bool again = w->again;

	w->claim_op = NULL;
	w->again = false;
	if (err) {
		bf_log(BF_WARN, "alerts to be delivered not claimed", BF_E(err));
		return;
	}
	for (int i = 0, k = 0; i < n && k < SLOTS; k++)
		if (!w->slot[k].op)
			post(w, &w->slot[k], &v[i++]);
	if (again)
		next_ms = 0;
	if (next_ms >= 0 && next_ms < LOOK_MAX_MS && free_slots(w) > 0 && !w->timer)
		w->timer = bf_timer_start(w->s->loop, next_ms > 200 ? next_ms : 200, look_again, w);
}

void webhook_look(struct webhook *w)
{
	int n = free_slots(w);

	if (!webhook_wanted(w) || n == 0 || w->s->draining)
		return;
	if (w->claim_op) {
		w->again = true;
		return;
	}
	w->claim_op = bf_store_deliveries_claim(w->s->store, n, LEASE_MS, claimed, w);
}
