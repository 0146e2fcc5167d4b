/*
 * pause_routes: the operator's pause, kept in the database for every instance.
 */
#include "handlers.h"
#include "rfc3339.h"
#include <string.h>

#define NOTE_CHARS 500

struct pause_ask {
	bool paused;
	const char *note, *until_given;
	char until[32];
};
const struct body_field pause_routes_pause_body[] = {
	BODY_STR_FIELD("note", 0, NOTE_CHARS, struct pause_ask, note,
		.help = "the reason, shown wherever the pause is"),
	BODY_STR_FIELD("until", 1, 64, struct pause_ask, until_given, .format = "date-time",
		.help = "when it ends by itself, in the future; without it somebody has to resume"),
	BODY_END,
};

/* Written down; the answer repeats what is in effect. */
static void on_paused(void *ctx, const struct bf_error *err, enum bf_store_outcome outcome)
{
	struct request *rq = ctx;
	const struct pause_ask *ask = rq->state;
	struct bf_buf buf;
	struct bf_jw jw;

	rq->op = NULL;
	if (err != NULL) {
		reply_store_error(rq, err);
		return;
	}
	if (outcome != BF_STORE_DONE) {
		reply_error(rq, 409, "The pause could not be changed");
		return;
	}
	bf_buf_init(&buf, 16384);
	bf_jw_init(&jw, &buf);
	bf_jw_obj(&jw);
	bf_jw_key(&jw, "paused");
	bf_jw_bool(&jw, ask->paused);
	bf_jw_key(&jw, "note");
	bf_jw_str(&jw, ask->note);
	bf_jw_key(&jw, "until");
	bf_jw_str(&jw, ask->until[0] != '\0' ? ask->until : NULL);
	bf_jw_end_obj(&jw);
	reply_buf(rq, 200, &buf);
}

/* Tells the store. */
static void set_pause(struct request *rq, struct pause_ask *ask)
{
	rq->state = ask;
	rq->op = bf_store_pause(rq->admin->parts.store, ask->paused, ask->note,
		ask->until[0] != '\0' ? ask->until : NULL, on_paused, rq);
}

/* POST /api/internal/pause */
void pause_routes_pause(struct request *rq)
{
	struct pause_ask *ask = bf_arena_alloc(rq->arena, sizeof(*ask));
	struct body_problems problems = { 0 };
	const char *until;
	int64_t until_s = 0;

	if (!handlers_body(rq, ask))
		return;
	until = ask->until_given;
	if (until != NULL && !rfc3339_parse(until, &until_s))
		body_problem(&problems, "until",
			"must be a time of RFC 3339, like 2026-01-14T03:00:00Z");
	else if (until != NULL && until_s <= bf_wall_us() / 1000000)
		body_problem(&problems, "until", "must lie in the future");
	if (handlers_refuse(rq, &problems) || handlers_database_away(rq))
		return;
	ask->paused = true;
	if (until != NULL)
		bf_format_time(ask->until, until_s * 1000000);
	set_pause(rq, ask);
}

/* POST /api/internal/resume */
void pause_routes_resume(struct request *rq)
{
	if (handlers_body(rq, NULL) && !handlers_database_away(rq))
		set_pause(rq, bf_arena_alloc(rq->arena, sizeof(struct pause_ask)));
}
