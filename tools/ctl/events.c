/*
 * events: the transitions as they come. A lost connection is taken up again behind the last event that was printed, so nothing
 * is missed or printed twice.
 */
#include "ctl.h"
#include "sse.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PATH         "/api/internal/events"
#define SILENCE_S    60      /* the server says something every 15 s */
#define QUIET_US     1500000 /* without --follow: what is older has been told by then */
#define RETRY_MS     2000
#define RETRY_CAP_MS 30000
#define DETAIL_BYTES 65536

struct follower {
	struct ctl *ctl;
	struct sse sse;
	uint64_t heard_us; /* the last event, or the first byte; 0: not yet */
	char started[32];  /* as events tell their time */
	bool enough;       /* without --follow: this one is newer than the question */
	bool broken;       /* no stream of ours, or nobody reads us any more */
};

/* "2023-12 generating -> saving  books_named" and what else is known. */
static void print_transition(struct ctl *ctl, struct bf_jval e)
{
	const char *from = api_text(ctl, e, "from"), *to = api_text(ctl, e, "to"), *raw;
	struct bf_jval detail = bf_json_get(e, "detail");
	char *move = bf_xasprintf("%s%s%s", from, *from != '\0' && *to != '\0' ? " -> " : "", to);
	size_t len = 0;

	raw = bf_json_size(detail) > 0 ? bf_json_raw(detail, &len) : "";
	out_line(&ctl->out, "%s  %7s  %-24s  %-16s  %s%s%.*s", api_time(ctl, e, "at"),
		api_month(ctl, e), move, api_text(ctl, e, "event"), api_text(ctl, e, "instance"),
		len > 0 ? "  " : "", (int)len, raw);
	free(move);
}

/* One event of the stream. Its texts live as long as itself. */
static void on_event(void *ctx, const struct sse_event *event)
{
	struct follower *f = ctx;
	struct ctl one = *f->ctl;
	struct bf_error err;
	struct bf_json *doc = bf_json_parse(
		event->data, strlen(event->data), &bf_json_limits_default, false, &err);

	one.arena = bf_arena_new();
	f->heard_us = bf_now_us();
	if (doc != NULL && !one.args.follow &&
		strcmp(api_text(&one, bf_json_root(doc), "at"), f->started) > 0)
		f->enough = true;
	if (f->enough) {
		bf_arena_free(one.arena);
		bf_json_free(doc);
		return;
	}
	if (one.args.json && doc != NULL)
		out_json(&one.out, event->data);
	else if (doc != NULL && *api_text(&one, bf_json_root(doc), "event") != '\0')
		print_transition(&one, bf_json_root(doc));
	else if (!one.args.json)
		out_line(&one.out, "%s: %s", event->name, event->data);
	bf_arena_free(one.arena);
	bf_json_free(doc);
}

/* Bytes of the stream. */
static bool on_data(void *ctx, const char *bytes, size_t len)
{
	struct follower *f = ctx;

	if (f->heard_us == 0)
		f->heard_us = bf_now_us();
	f->broken = !sse_feed(&f->sse, bytes, len);
	if (f->broken)
		out_complain("%s: this is no stream of events", client_url(f->ctl->client));
	if (fflush(f->ctl->out.file) != 0)
		f->broken = true;
	return !f->broken && !f->enough;
}

/* Whether to wait any longer: without --follow only until it is quiet. */
static bool on_wait(void *ctx)
{
	const struct follower *f = ctx;

	return f->ctl->args.follow || f->heard_us == 0 || bf_now_us() - f->heard_us < QUIET_US;
}

/* Waits before the next connection. */
static void pause_ms(int64_t ms)
{
	struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };

	nanosleep(&t, NULL);
}

/* Whether a server that answered so may answer otherwise in a moment. */
static bool may_come_back(const struct client_reply *reply)
{
	return reply->status == 0 || reply->status == 200 || reply->status == 429 ||
		reply->status >= 500;
}

/* Connects again and again; a server that was never there is an error. */
static int follow(struct follower *f)
{
	struct ctl *ctl = f->ctl;
	bool begun = false, told = false;
	int64_t wait_ms = 0;
	int rc;

	for (;;) {
		struct client_reply reply;
		const char *id = f->sse.id[0] != '\0' ? f->sse.id : ctl->args.since;

		sse_restart(&f->sse);
		f->heard_us = 0;
		client_stream(ctl->client, PATH, id, SILENCE_S, on_data, f, &reply);
		begun = begun || f->heard_us != 0;
		if (f->broken || (begun && !ctl->args.follow && may_come_back(&reply)))
			rc = f->broken ? CTL_FAILED : CTL_OK;
		else if (!begun || !may_come_back(&reply))
			rc = api_explain(ctl, PATH, &reply);
		else
			rc = -1;
		if (f->heard_us != 0) {
			wait_ms = 0;
			told = false;
		}
		if (rc == -1 && !told)
			out_complain("the server is away (%s); waiting for it",
				reply.problem[0] != '\0' ? reply.problem : "it ended the stream");
		told = rc == -1;
		client_reply_release(&reply);
		if (rc != -1)
			return rc;
		wait_ms = wait_ms == 0 ? (f->sse.retry_ms >= 0 ? f->sse.retry_ms : RETRY_MS)
				       : wait_ms * 2;
		if (wait_ms < 100)
			wait_ms = 100;
		pause_ms(wait_ms > RETRY_CAP_MS ? RETRY_CAP_MS : wait_ms);
	}
}

/* GET events */
int events_show(struct ctl *ctl)
{
	struct follower f = { .ctl = ctl };
	int rc;

	if (ctl->args.since != NULL &&
		(strlen(ctl->args.since) > 19 ||
			strspn(ctl->args.since, "0123456789") != strlen(ctl->args.since))) {
		out_complain("--since: the number of an event is wanted");
		return CTL_USAGE;
	}
	if (ctl->args.since == NULL && !ctl->args.follow)
		ctl->args.since = "0";
	bf_format_time(f.started, bf_wall_us());
	sse_init(&f.sse, on_event, &f);
	client_on_wait(ctl->client, on_wait, &f);
	rc = follow(&f);
	client_on_wait(ctl->client, NULL, NULL);
	sse_release(&f.sse);
	return rc;
}
