/*
 * The pool: equal sessions and one queue before them. A batch goes to the session with the least in
 * flight; when none takes it, it waits, in order, at most PG_QUEUE_MS.
 *
 * The user hears nothing from inside a session's callback or his own call: what there is to say is
 * collected and said after the turn, first the news (up, down, notifications), then the
 * completions.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "pg.h"

const double bf_pg_latency_bounds_s[BF_PG_LATENCY_BUCKETS] = {
	0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5, HUGE_VAL
};

/* A change of state, or a notification when there is a channel. */
struct news {
	TAILQ_ENTRY(news) link;
	bool up;
	struct bf_error why;
	char *channel, *payload;
};

/* Stays until the pool goes, whether it is listened on or not: a batch under way may name its statements. */
struct channel {
	char *name, *sql, *sql_off;		/* LISTEN "name", UNLISTEN "name" */
	struct bf_pg_stmt stmt, stmt_off;
	bool on;
};

struct bf_pg {
	struct bf_loop *loop;
	struct bf_pg_config config;		/* with these strings: */
	char *conninfo, *application_name;
	struct session *sessions;
	int n_up;
	struct channel **channels;
	int n_channels;
	struct batches queue, finished;
	struct bf_op *expiry;			/* of the first in the queue */
	struct probe *probe;			/* NULL: none under way */
	TAILQ_HEAD(, news) news;
	char last_reason[sizeof(((struct bf_error *)0)->text)];	/* told while down; "" when up */
	struct bf_pg_stats stats;
	bool delivering, dead;
};

struct bf_loop *pg_loop(const struct bf_pg *pg)
{
	return pg->loop;
}

const struct bf_pg_config *pg_config(const struct bf_pg *pg)
{
	return &pg->config;
}

const struct bf_pg_stmt *pg_channel(const struct bf_pg *pg, int i)
{
	for (int k = 0; k < pg->n_channels; k++) {
		if (pg->channels[k]->on && i-- == 0)
			return &pg->channels[k]->stmt;
	}
	return NULL;
}

bool pg_is_dead(const struct bf_pg *pg)
{
	return pg->dead;
}

struct session *pg_session(struct bf_pg *pg, int i)
{
	return i < pg->config.sessions ? &pg->sessions[i] : NULL;
}

struct probe **pg_probe(struct bf_pg *pg)
{
	return &pg->probe;
}

/* ---- telling the user ---- */

static void news_free(struct news *news)
{
	free(news->channel);
	free(news->payload);
	free(news);
}

static void tell(struct bf_pg *pg, struct news *news)
{
	if (news->channel && pg->config.on_notify)
		pg->config.on_notify(pg->config.ctx, news->channel, news->payload);
	else if (!news->channel && pg->config.on_state)
		pg->config.on_state(pg->config.ctx, news->up, news->up ? NULL : &news->why);
}

/* The news and completions that were there when the turn ended; any of them may free the pool. */
static void deliver(void *ctx)
{
	struct bf_pg *pg = ctx;
	struct news *news;
	struct batch *b;
	int n_news = 0, n_finished = 0;

	TAILQ_FOREACH(news, &pg->news, link)
		n_news++;
	TAILQ_FOREACH(b, &pg->finished, link)
		n_finished++;
	while (!pg->dead && n_news-- && (news = TAILQ_FIRST(&pg->news))) {
		TAILQ_REMOVE(&pg->news, news, link);
		tell(pg, news);
		news_free(news);
	}
	while (!pg->dead && n_finished-- && (b = TAILQ_FIRST(&pg->finished))) {
		TAILQ_REMOVE(&pg->finished, b, link);
		b->in = NULL;
		loop_free_later(pg->loop, batch_free, b);
		batch_deliver(b);
	}
	pg->delivering = !pg->dead && (!TAILQ_EMPTY(&pg->news) || !TAILQ_EMPTY(&pg->finished));
	if (pg->delivering)
		bf_loop_defer(pg->loop, deliver, pg);
}

static void deliver_later(struct bf_pg *pg)
{
	if (!pg->delivering && !pg->dead)
		bf_loop_defer(pg->loop, deliver, pg);
	pg->delivering = true;
}

static struct news *add_news(struct bf_pg *pg)
{
	struct news *news = bf_xcalloc(1, sizeof(*news));

	TAILQ_INSERT_TAIL(&pg->news, news, link);
	deliver_later(pg);
	return news;
}

void pg_notified(struct bf_pg *pg, const char *channel, const char *payload)
{
	struct news *news = add_news(pg);

	news->channel = bf_xstrdup(channel);
	news->payload = bf_xstrdup(payload ? payload : "");
}

void pg_session_up(struct session *s)
{
	struct bf_pg *pg = s->pg;

	pg->n_up++;
	if (s->was_up)
		pg->stats.reconnects++;
	pg->last_reason[0] = '\0';
	add_news(pg)->up = true;
	pg_dispatch(pg);
}

/* Told when the last session goes, and, while none is up, whenever the reason is another one. */
void pg_session_down(struct session *s, bool was_up, const struct bf_error *why)
{
	struct bf_pg *pg = s->pg;

	if (was_up)
		pg->n_up--;
	if (pg->n_up || strcmp(pg->last_reason, why->text) == 0)
		return;
	memcpy(pg->last_reason, why->text, sizeof(pg->last_reason));
	add_news(pg)->why = *why;
}

static void count(struct bf_pg_stats *stats, const struct batch *b)
{
	double seconds = (double)(bf_now_us() - b->since_us) / 1e6;
	int bucket = 0;

	while (seconds > bf_pg_latency_bounds_s[bucket])
		bucket++;
	stats->count[bucket]++;
	stats->sum_s += seconds;
	stats->statements += (uint64_t)(b->n > 0 ? b->n : 1);
	if (b->err.class != BF_ERR_NONE)
		stats->errors++;
}

void pg_batch_over(struct batch *b)
{
	struct bf_pg *pg = b->pg;

	if (b->role == BATCH_CALLS || b->role == BATCH_SCRIPT)
		count(&pg->stats, b);
	if (b->cancelled || !b->done) {
		loop_free_later(pg->loop, batch_free, b);
		return;
	}
	TAILQ_INSERT_TAIL(&pg->finished, b, link);
	b->in = &pg->finished;
	deliver_later(pg);
}

/* ---- the queue ---- */

static void expire(void *ctx);

/* The first in the queue is the oldest: one timer is enough. */
static void arm_expiry(struct bf_pg *pg)
{
	struct batch *first = TAILQ_FIRST(&pg->queue);
	int64_t waited_ms;

	if (pg->expiry || !first)
		return;
	waited_ms = (int64_t)((bf_now_us() - first->since_us) / 1000);
	pg->expiry = bf_timer_start(pg->loop, PG_QUEUE_MS - waited_ms, expire, pg);
}

static void unqueue(struct batch *b)
{
	TAILQ_REMOVE(b->in, b, link);
	b->in = NULL;
}

static void expire(void *ctx)
{
	struct bf_pg *pg = ctx;
	struct batch *b;
	uint64_t now = bf_now_us();

	pg->expiry = NULL;
	while ((b = TAILQ_FIRST(&pg->queue)) && now - b->since_us >= PG_QUEUE_MS * 1000ull) {
		unqueue(b);
		bf_error_set(&b->err, BF_ERR_RETRY, "no database session for %d s: %s",
			     PG_QUEUE_MS / 1000,
			     *pg->last_reason ? pg->last_reason : "all are busy");
		pg_batch_over(b);
	}
	arm_expiry(pg);
}

static void enqueue(struct batch *b)
{
	TAILQ_INSERT_TAIL(&b->pg->queue, b, link);
	b->in = &b->pg->queue;
	arm_expiry(b->pg);
}

/* A statement that waits, for a lock of somebody else's perhaps: what is sent after it waits, too. */
static bool hangs(const struct session *s)
{
	return s->n_inflight && bf_now_us() - s->progress_us > PG_HANGS_US;
}

/* The session with the least in flight; one that hangs or cannot get rid of its bytes comes last. */
static struct session *pick(struct bf_pg *pg)
{
	struct session *best = NULL;
	int least = 0;

	for (int i = 0; i < pg->config.sessions; i++) {
		struct session *s = &pg->sessions[i];
		int load = s->n_inflight + (s->wants_write || hangs(s) ? PG_PIPELINE_MAX : 0);

		if (pipeline_takes(s) && (!best || load < least)) {
			best = s;
			least = load;
		}
	}
	return best;
}

void pg_dispatch(struct bf_pg *pg)
{
	struct batch *b;
	struct session *s;

	while (!pg->dead && (b = TAILQ_FIRST(&pg->queue)) && (s = pick(pg))) {
		if (b->role == BATCH_SCRIPT && s->n_inflight)
			return;	/* it waits for the pipeline to run dry, and all behind it do */
		unqueue(b);
		if (b->role == BATCH_SCRIPT)
			pipeline_send_script(s, b);
		else
			pipeline_send(s, b, b->calls);
	}
}

/* ---- the door ---- */

static void cancel(struct bf_op *op)
{
	struct batch *b = bf_container_of(op, struct batch, op);

	if (b->cancelled)
		return;
	b->cancelled = true;
	if (b->in == &b->pg->queue || b->in == &b->pg->finished) {
		unqueue(b);
		loop_free_later(b->pg->loop, batch_free, b);
	}
}

static void expect_to_fail(struct batch *b, enum bf_err_class class, const char *why)
{
	bf_error_set(&b->err, class, "%s", why);
	pg_batch_over(b);
}

struct bf_op *bf_pg_batch(struct bf_pg *pg, const struct bf_pg_call *calls, int n, bf_pg_done *done,
			  void *ctx)
{
	struct batch *b = batch_new(pg, BATCH_CALLS, n, done, ctx);
	struct session *s = TAILQ_EMPTY(&pg->queue) ? pick(pg) : NULL;

	b->op.cancel = cancel;
	if (pg->dead) {
		expect_to_fail(b, BF_ERR_CANCELLED, "cancelled: the database sessions are closed");
	} else if (n <= 0) {
		expect_to_fail(b, BF_ERR_BUG, "a batch without statements");
	} else if (s) {
		pipeline_send(s, b, calls);
	} else {
		batch_keep_calls(b, calls);
		enqueue(b);
	}
	return &b->op;
}

struct bf_op *bf_pg_query(struct bf_pg *pg, const struct bf_pg_stmt *stmt,
			  const char *const *params, bf_pg_done *done, void *ctx)
{
	const struct bf_pg_call call = { stmt, params };

	return bf_pg_batch(pg, &call, 1, done, ctx);
}

/*
 * Only for a pool of one session; it runs when all batches before it are done, and those after it
 * wait.
 */
struct bf_op *bf_pg_script(struct bf_pg *pg, const char *sql, bf_pg_done *done, void *ctx)
{
	struct batch *b = batch_new(pg, BATCH_SCRIPT, 0, done, ctx);

	b->op.cancel = cancel;
	b->arena = bf_arena_new();
	b->sql = bf_arena_strdup(b->arena, sql);
	if (pg->dead) {
		expect_to_fail(b, BF_ERR_CANCELLED, "cancelled: the database sessions are closed");
	} else if (pg->config.sessions != 1) {
		expect_to_fail(b, BF_ERR_BUG, "a script needs a pool of one session");
	} else {
		enqueue(b);
		pg_dispatch(pg);
	}
	return &b->op;
}

/* A command about a channel; its name is an SQL identifier, quoted. */
static char *channel_sql(const char *command, const char *name)
{
	struct bf_buf sql;
	char *text;

	bf_buf_init(&sql, 1024);
	bf_buf_addf(&sql, "%s \"", command);
	for (const char *p = name; *p; p++)
		bf_buf_add(&sql, *p == '"' ? "\"\"" : p, *p == '"' ? 2 : 1);
	bf_buf_adds(&sql, "\"");
	text = bf_xstrdup(sql.data);
	bf_buf_release(&sql);
	return text;
}

/* The channel of that name, made when it is new. */
static struct channel *channel_of(struct bf_pg *pg, const char *name)
{
	struct channel *channel;

	for (int i = 0; i < pg->n_channels; i++) {
		if (!strcmp(pg->channels[i]->name, name))
			return pg->channels[i];
	}
	channel = bf_xcalloc(1, sizeof(*channel));
	channel->name = bf_xstrdup(name);
	channel->stmt.sql = channel->sql = channel_sql("LISTEN", name);
	channel->stmt_off.sql = channel->sql_off = channel_sql("UNLISTEN", name);
	pg->n_channels++;
	pg->channels = bf_xrealloc(pg->channels, (size_t)pg->n_channels, sizeof(channel));
	pg->channels[pg->n_channels - 1] = channel;
	return channel;
}

/* Sends a LISTEN or UNLISTEN to the session that listens; one that is not there gets it told when it comes up. */
static void channel_send(struct bf_pg *pg, const struct bf_pg_stmt *stmt)
{
	struct session *s = &pg->sessions[0];

	if (s->script) {
		const struct bf_pg_call call = { stmt, NULL };
		struct batch *b = batch_new(pg, BATCH_OPTIONAL, 1, NULL, NULL);

		batch_keep_calls(b, &call);
		enqueue(b);
	} else if ((s->state == SESSION_UP || s->state == SESSION_SETUP) && !s->broken) {
		session_listen(s, stmt);
	}
}

/*
 * All listening is done by the first session; LISTEN is in force before that session counts as up.
 */
void bf_pg_listen(struct bf_pg *pg, const char *name)
{
	struct channel *channel = channel_of(pg, name);

	if (channel->on)
		return;
	channel->on = true;
	channel_send(pg, &channel->stmt);
}

/* Ends it; what is on its way already may still be told. */
void bf_pg_unlisten(struct bf_pg *pg, const char *name)
{
	struct channel *channel = channel_of(pg, name);

	if (!channel->on)
		return;
	channel->on = false;
	channel_send(pg, &channel->stmt_off);
}

bool bf_pg_is_up(const struct bf_pg *pg)
{
	return pg->n_up > 0;
}

void bf_pg_stats(const struct bf_pg *pg, struct bf_pg_stats *ret)
{
	*ret = pg->stats;
	ret->open = pg->n_up;
	ret->wanted = pg->config.sessions;
}

/* A pool that begins to connect at once and never gives up; on_state tells how it goes. */
struct bf_pg *bf_pg_new(struct bf_loop *loop, const struct bf_pg_config *config)
{
	struct bf_pg *pg = bf_xcalloc(1, sizeof(*pg));

	pg->loop = loop;
	pg->config = *config;
	pg->conninfo = bf_xstrdup(config->conninfo);
	if (config->application_name)
		pg->application_name = bf_xstrdup(config->application_name);
	pg->config.conninfo = pg->conninfo;
	pg->config.application_name = pg->application_name;
	if (pg->config.sessions < 1)
		pg->config.sessions = 1;
	TAILQ_INIT(&pg->queue);
	TAILQ_INIT(&pg->finished);
	TAILQ_INIT(&pg->news);
	pg->sessions = bf_xcalloc((size_t)pg->config.sessions, sizeof(*pg->sessions));
	for (int i = 0; i < pg->config.sessions; i++)
		session_init(&pg->sessions[i], pg, i == 0);
	return pg;
}

static void pool_free(void *ctx)
{
	struct bf_pg *pg = ctx;

	for (int i = 0; i < pg->n_channels; i++) {
		free(pg->channels[i]->name);
		free(pg->channels[i]->sql);
		free(pg->channels[i]->sql_off);
		free(pg->channels[i]);
	}
	free(pg->channels);
	explicit_bzero(pg->conninfo, strlen(pg->conninfo));	/* it may hold a password */
	free(pg->conninfo);
	free(pg->application_name);
	free(pg->sessions);
	free(pg);
}

/* Closes the sessions; what has not completed completes now, CANCELLED. */
void bf_pg_free(struct bf_pg *pg)
{
	struct batch *b;
	struct news *news;

	if (!pg || pg->dead)
		return;
	pg->dead = true;
	bf_op_cancel(pg->expiry);
	probe_end(pg);
	for (int i = 0; i < pg->config.sessions; i++)
		session_release(&pg->sessions[i]);
	while ((b = TAILQ_FIRST(&pg->queue))) {
		unqueue(b);
		expect_to_fail(b, BF_ERR_CANCELLED,
			       "cancelled: the database sessions are being closed");
	}
	while ((news = TAILQ_FIRST(&pg->news))) {
		TAILQ_REMOVE(&pg->news, news, link);
		news_free(news);
	}
	while ((b = TAILQ_FIRST(&pg->finished))) {
		unqueue(b);
		loop_free_later(pg->loop, batch_free, b);
		batch_deliver(b);
	}
	loop_free_later(pg->loop, pool_free, pg);
}
