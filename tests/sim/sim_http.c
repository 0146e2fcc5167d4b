/*
 * sim_http: what is asked is read from the request as it would go out; the answer is decided at that moment and comes later.
 * Base addresses are `s:/N`, N being the provider's number.
 */
#include "sim_http.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include "catalogue.h"
#include "instance.h"
#include "invariants.h"
#include "plan.h"

#define TEXT_MAX 65536

struct http_op {
	struct bf_op op;
	struct ev ev;
	LIST_ENTRY(http_op) link;
	struct bf_http *http;
	bf_http_done *done;
	void *ctx;
	struct bf_buf body;
	int status;
	int64_t retry_after_ms, latency_us;
	const char *broken;		/* no answer: why; NULL: there is one */
};
struct bf_http {
	struct inst *inst;
	LIST_HEAD(, http_op) ops;
	int n;
};
uint64_t sim_http_sent;
static uint64_t down_until[BF_NPROVIDERS];
#define SENT_MAX 64
static struct { uint64_t at[SENT_MAX]; double rate[SENT_MAX]; unsigned n; } sent[BF_NPROVIDERS];

void sim_http_begin(void)
{
	memset(down_until, 0, sizeof down_until);
	memset(sent, 0, sizeof sent);
}

void sim_http_provider_down(int provider, int64_t us)
{
	down_until[provider] = w.now_us + (uint64_t)us;
}

struct bf_http *sim_http_new(struct inst *inst)
{
	struct bf_http *h = bf_xcalloc(1, sizeof *h);

	h->inst = inst;
	LIST_INIT(&h->ops);
	return h;
}

int sim_http_in_flight(const struct bf_http *h)
{
	return h->n;
}

static void op_free(struct http_op *o)
{
	LIST_REMOVE(o, link);
	o->http->n--;
	ev_cancel(&o->ev);
	bf_buf_release(&o->body);
	free(o);
}

/* The process is gone; nobody is told. */
void bf_http_free(struct bf_http *h)
{
	while (!LIST_EMPTY(&h->ops))
		op_free(LIST_FIRST(&h->ops));
	free(h);
}

static void op_cancel(struct bf_op *op)
{
	op_free(bf_container_of(op, struct http_op, op));
}

/* ---- the answer arrives ---- */
static void arrived(struct ev *e)
{
	struct http_op *o = bf_container_of(e, struct http_op, ev);
	struct bf_http_reply reply = { .status = o->status,
		.body = o->body.data,
		.body_len = o->body.len,
		.retry_after_ms = o->retry_after_ms,
		.content_type = "application/json",
		.elapsed_us = (uint64_t)o->latency_us };
	struct bf_error err;
	bf_http_done *done = o->done;
	void *ctx = o->ctx;

	LIST_REMOVE(o, link);
	o->http->n--;
	if (o->broken) {
		bf_error_set(&err, BF_ERR_RETRY, "%s", o->broken);
		done(ctx, &err, NULL);
	} else {
		done(ctx, NULL, &reply);
	}
	bf_buf_release(&o->body);
	free(o);
}

/* ---- reading the request ---- */
static int hex(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : (c | 32) - 'a' + 10;
}

static void decode(const char *from, char *out, size_t size)
{
	size_t n = 0;

	for (; *from && n + 1 < size; from++) {
		if (*from == '%' && isxdigit((unsigned char)from[1]) &&
			isxdigit((unsigned char)from[2])) {
			out[n++] = (char)(hex(from[1]) << 4 | hex(from[2]));
			from += 2;
		} else {
			out[n++] = *from;
		}
	}
	out[n] = '\0';
}

/* "Name up to N books that were first published in May 2001." */
static void read_prompt(const char *body, int *up_to_n, int *year, int *month)
{
	const char *up = strstr(body, "Name up to "), *in = strstr(body, "first published in ");

	*up_to_n = up ? (int)strtol(up + 11, NULL, 10) : 0;
	*year = *month = 0;
	if (!in)
		return;
	in += 19;
	for (int m = 1; m <= 12; m++) {
		size_t len = strlen(bf_month_name(m));

		if (!strncmp(in, bf_month_name(m), len) && in[len] == ' ') {
			*month = m;
			*year = (int)strtol(in + len, NULL, 10);
		}
	}
}

/* ---- rates ---- */
/*
 * Never more than N in any second over all instances, where nobody's clock or sight of the others is disturbed. Instances that
 * were told different rates keep to slots of different widths: then each rate holds for itself.
 */
static void watch_rate(enum bf_provider_id p, const struct inst *inst)
{
	double a = plan.config[0].provider[p].rate_per_s, b = plan.config[1].provider[p].rate_per_s,
	       mine = inst_config(inst)->provider[p].rate_per_s, most = a > b ? a : b;
	unsigned n = 0;

	sent[p].rate[sent[p].n % SENT_MAX] = mine;
	sent[p].at[sent[p].n++ % SENT_MAX] = w.now_us;
	for (unsigned i = 0; i < SENT_MAX && i < sent[p].n; i++) {
		if (w.now_us - sent[p].at[i] >= 1000000)
			continue;
		n++;
		if (sent[p].rate[i] < mine || sent[p].rate[i] > mine)
			most = a + b;
	}
	if (n > (unsigned)most && !plan.freezes && !plan.locks && !plan.outages && !plan.db_slow)
		sim_fail("%u requests to %s in a second, %.0f may be", n, bf_provider_names[p], most);
}

/* ---- bad days ---- */
struct bad { enum sim_fault fault; int weight, status; int64_t wait_low, wait_high; const char *body, *broken; };
static const struct bad bads[] = {
	{ F_HTTP_429, 8, 429, -1, -1, "{\"error\":{\"code\":429,\"message\":\"slow down\"}}", NULL },
	{ F_HTTP_429_WAIT, 8, 429, 1000, 30000, "{\"message\":\"slow down\"}", NULL },
	{ F_HTTP_429_LONG, 1, 429, 121000, 300000, "{\"message\":\"come back later\"}", NULL },
	{ F_HTTP_400, 3, 400, -1, -1, "{\"message\":\"bad request\"}", NULL },
	{ F_HTTP_500, 12, 500, -1, -1, "{\"message\":\"oops\"}", NULL },
	{ F_HTTP_503_WAIT, 5, 503, 500, 20000, "busy", NULL },
	{ F_HTTP_TIMEOUT, 10, 0, -1, -1, "", "timeout" },
	{ F_HTTP_RESET, 8, 0, -1, -1, "", "connection reset by peer" },
	{ F_HTTP_REFUSED, 5, 0, -1, -1, "", "connection refused" },
	{ F_HTTP_GARBAGE, 5, 200, -1, -1, "<html><body>hello</body></html>", NULL },
	{ F_HTTP_CUT, 4, 200, -1, -1, "{\"data\":[{\"title\":\"Ha", NULL },
	{ F_HTTP_EMPTY_BODY, 3, 200, -1, -1, "", NULL },
	{ F_HTTP_SLOW, 8, 0, -1, -1, NULL, NULL },
};

static void be_bad(struct http_op *o, const struct bf_http_request *req)
{
	int all = 0, pick;
	size_t i;

	for (i = 0; i < BF_COUNT(bads); i++)
		all += bads[i].weight;
	pick = (int)rnd_below((uint64_t)all);
	for (i = 0; pick >= bads[i].weight; i++)
		pick -= bads[i].weight;
	fault_count(bads[i].fault);
	if (bads[i].fault == F_HTTP_SLOW) {
		o->latency_us = rnd_between(1000000, req->timeout_ms * 1000 - 1000);
		return;
	}
	bf_buf_clear(&o->body);
	bf_buf_adds(&o->body, bads[i].body);
	o->status = bads[i].status;
	o->broken = bads[i].broken;
	if (bads[i].wait_low >= 0)
		o->retry_after_ms = rnd_between(bads[i].wait_low, bads[i].wait_high);
	if (bads[i].fault == F_HTTP_TIMEOUT)
		o->latency_us = req->timeout_ms * 1000;
	if (bads[i].fault == F_HTTP_REFUSED)
		o->latency_us = rnd_between(200, 20000);
}

static void say(struct http_op *o, int status, const char *body)
{
	bf_buf_clear(&o->body);
	bf_buf_adds(&o->body, body);
	o->status = status;
}

/* What closes a provider for long. */
static bool be_closed(struct http_op *o, enum bf_provider_id p)
{
	if (p <= BF_GOOGLE_BOOKS && fault(F_HTTP_401, plan.auth_faults)) {
		say(o, 401, "{\"error\":\"invalid api key\"}");
		return true;
	}
	if (p == BF_ISBNDB && fault(F_HTTP_QUOTA, plan.quota_faults)) {
		say(o, 403, "{\"message\":\"Daily quota limit exceeded\"}");
		return true;
	}
	if ((p == BF_GEMINI || p == BF_GOOGLE_BOOKS) && fault(F_HTTP_QUOTA, plan.quota_faults)) {
		say(o, 429, "{\"error\":{\"code\":429,\"message\":\"Quota exceeded: requests per "
			    "day\",\"status\":\"RESOURCE_EXHAUSTED\"}}");
		return true;
	}
	if (p >= BF_OPEN_LIBRARY && fault(F_HTTP_BAN, plan.ban_faults)) {
		say(o, 403, "<html>blocked</html>");
		o->retry_after_ms = rnd_between(1000, 7200000);
		return true;
	}
	return false;
}

/* ---- each service ---- */
static void ask_ai(struct http_op *o, enum bf_provider_id p, const struct bf_http_request *req)
{
	int up_to_n, year, month;

	read_prompt(req->body ? req->body : "", &up_to_n, &year, &month);
	inv_ai_sent(o->http->inst, p, year, month);
	o->latency_us = rnd_between(800000, 6000000);
	if (fault(F_AI_REFUSAL, plan.ai_faults))
		catalogue_ai_text(p, "{\"error\":\"I can't help with that.\"}", &o->body);
	else if (fault(F_AI_EMPTY, plan.ai_faults))
		catalogue_ai_text(p, p == BF_XAI ? "{\"books\":[]}" : "[]", &o->body);
	else if (fault(F_AI_NONSENSE, plan.ai_faults))
		catalogue_ai_text(p, "Here are some thoughts about books.", &o->body);
	else
		catalogue_ai(p, year, month, up_to_n, fault(F_AI_CUT, plan.ai_faults), &o->body);
}

static void ask_plan(struct http_op *o)
{
	if (fault(F_HTTP_PLAN, 100))
		bf_buf_adds(&o->body, "{\"plan_limit\":{\"total\":400,\"spent\":10,\"left\":390}}");
	else
		bf_buf_adds(&o->body,
			"{\"plan_limit\":{\"total\":15000,\"spent\":10,\"left\":14990}}");
}

static void ask_search(struct http_op *o, enum bf_provider_id p, const struct bf_http_request *req)
{
	static char text[TEXT_MAX];
	int book;

	decode(req->body ? req->body : req->url, text, sizeof text);
	book = catalogue_find(text);
	if (book < 0)
		sim_fail("a search of %s for a book that nobody has named: %s",
			bf_provider_names[p], text);
	inv_search_sent(o->http->inst, p, book);
	o->latency_us = rnd_between(30000, 400000);
	catalogue_search(p, book, &o->body, &o->status);
}

struct bf_op *bf_http_start(
	struct bf_http *http, const struct bf_http_request *req, bf_http_done *done, void *ctx)
{
	struct http_op *o = bf_xcalloc(1, sizeof *o);
	enum bf_provider_id p = (enum bf_provider_id)(req->url[3] - '0');
	bool plan_asked = p == BF_ISBNDB && strlen(req->url) == 8;

	sim_http_sent++;
	if (!plan_asked)
		watch_rate(p, http->inst);
	o->op.cancel = op_cancel;
	o->http = http;
	o->done = done;
	o->ctx = ctx;
	o->status = 200;
	o->retry_after_ms = -1;
	bf_buf_init(&o->body, 1 << 20);
	LIST_INSERT_HEAD(&http->ops, o, link);
	http->n++;
	o->latency_us = 100000;
	if (plan_asked)
		ask_plan(o);
	else if (BF_IS_AI(p))
		ask_ai(o, p, req);
	else
		ask_search(o, p, req);
	if (!w.calm && down_until[p] > w.now_us)
		say(o, 502, "<html>bad gateway</html>");
	else if (!plan_asked && be_closed(o, p))
		o->latency_us = 100000;
	else if (!w.calm && chance(plan.http_faults[p]))
		be_bad(o, req);
	sim_trace("request to %s: %s%d", bf_provider_names[p], o->broken ? "breaks " : "",
		o->status);
	ev_in(&o->ev, http->inst, o->latency_us, arrived);
	return &o->op;
}
