/* What each dry run has sent and spent, by a number, since its askers may be gone before its answers. */
#include "gate.h"
#include <stdlib.h>

static struct tally *find(const struct bf_providers *p, int64_t id)
{
	struct tally *t;

	LIST_FOREACH (t, &p->tallies, link)
		if (t->t.id == id)
			return t;
	return NULL;
}

int bf_tally_new(struct bf_providers *p)
{
	struct tally *t = bf_xcalloc(1, sizeof *t);

	t->t.id = ++p->n_tallies;
	LIST_INSERT_HEAD(&p->tallies, t, link);
	return t->t.id;
}

void bf_tally_free(struct bf_providers *p, int id)
{
	struct tally *t = find(p, id);

	if (!t)
		return;
	LIST_REMOVE(t, link);
	free(t);
}

bool bf_tally_read(const struct bf_providers *p, int id, struct bf_tally *ret)
{
	const struct tally *t = find(p, id);

	if (t)
		*ret = t->t;
	return t != NULL;
}

void tally_add(struct bf_providers *p, int64_t id, enum bf_provider_id provider, int calls,
	double cost_usd)
{
	struct tally *t = find(p, id);

	if (!t)
		return;
	t->t.calls[provider] += calls;
	t->t.cost_usd += cost_usd;
}
