/*
 * One batch: made by the pool, sent by a session, handed back to the pool. Parameters are copied
 * only when it has to wait for a session; libpq copies them anyway when it is sent.
 */
#include <stdlib.h>
#include <string.h>
#include "pg.h"

struct batch *batch_new(struct bf_pg *pg, enum batch_role role, int n, bf_pg_done *done, void *ctx)
{
	struct batch *b = bf_xcalloc(1, sizeof(*b));

	b->role = role;
	b->pg = pg;
	b->done = done;
	b->ctx = ctx;
	b->n = n;
	b->since_us = bf_now_us();
	if (n > 0) {
		b->stmts = bf_xcalloc((size_t)n, sizeof(*b->stmts));
		b->prepares = bf_xcalloc((size_t)n, sizeof(*b->prepares));
		b->results = bf_xcalloc((size_t)n, sizeof(*b->results));
	}
	return b;
}

/* Copies what the batch will need when a session is free. */
void batch_keep_calls(struct batch *b, const struct bf_pg_call *calls)
{
	struct bf_pg_call *copy;

	b->arena = bf_arena_new();
	copy = bf_arena_alloc(b->arena, (size_t)b->n * sizeof(*copy));
	for (int i = 0; i < b->n; i++) {
		const int n = calls[i].stmt->n_params;
		const char **params = bf_arena_alloc(b->arena, (size_t)(n + 1) * sizeof(*params));

		for (int k = 0; k < n; k++)
			params[k] = bf_arena_strdup(b->arena, calls[i].params[k]);
		copy[i] = (struct bf_pg_call){ calls[i].stmt, params };
	}
	b->calls = copy;
}

/* libpq has its own copy now. */
void batch_sent(struct batch *b)
{
	bf_arena_free(b->arena);
	b->arena = NULL;
	b->calls = NULL;
	b->sql = NULL;
}

/* The first error is the batch's; what follows is its echo. */
void batch_take_error(struct batch *b, const struct bf_error *err)
{
	if (b->err.class == BF_ERR_NONE)
		b->err = *err;
}

void batch_deliver(struct batch *b)
{
	if (b->cancelled || !b->done)
		return;
	if (b->err.class == BF_ERR_NONE)
		b->done(b->ctx, NULL, b->results, b->n_results);
	else
		b->done(b->ctx, &b->err, NULL, 0);
}

void batch_free(void *batch)
{
	struct batch *b = batch;
	int n = b->role == BATCH_SCRIPT ? b->n_results : b->n;

	for (int i = 0; i < n; i++)
		PQclear(b->results[i]);
	bf_arena_free(b->arena);
	free(b->stmts);
	free(b->prepares);
	free(b->results);
	free(b);
}
