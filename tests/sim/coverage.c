/*
 * coverage: which cells of the month's table were reached. Moves are known from the machine's own log line; events that a
 * stage or the set raises are seen on their way (the linker's --wrap), so that one the table calls impossible is counted, too.
 */
#include "coverage.h"
#include <stdio.h>
#include <string.h>
#include "invariants.h"
#include "world.h"
#include "../../src/month/machine.h"

static uint64_t moved[MONTH_NSTATES][MONTH_NEVENTS], raised[MONTH_NSTATES][MONTH_NEVENTS];

void __real_month_raise(struct month *, enum month_event);
void __wrap_month_raise(struct month *, enum month_event);

void __wrap_month_raise(struct month *m, enum month_event ev)
{
	raised[m->state][ev]++;
	if (ev == MEV_LOSE)
		audit_loses(m);
	__real_month_raise(m, ev);
}

static const char *text_of(const struct bf_kv *kv, const char *key)
{
	for (; kv->key; kv++)
		if (kv->kind == BF_KV_STR && !strcmp(kv->key, key))
			return kv->v.s ? kv->v.s : "";
	return "";
}

void coverage_log(const char *msg, const struct bf_kv *kv)
{
	const char *from, *event;

	if (strcmp(msg, "month moved") != 0)
		return;
	from = text_of(kv, "from");
	event = text_of(kv, "event");
	for (int s = 0; s < MONTH_NSTATES; s++)
		for (int e = 0; e < MONTH_NEVENTS; e++)
			if (!strcmp(month_state_name((enum month_state)s), from) &&
				!strcmp(month_event_name((enum month_event)e), event))
				moved[s][e]++;
}

int coverage_missing(int *ret_possible)
{
	int missing = 0;

	*ret_possible = 0;
	for (int s = 0; s < MONTH_NSTATES; s++)
		for (int e = 0; e < MONTH_NEVENTS; e++) {
			*ret_possible += month_table[s][e].kind == MOVE_GO;
			missing += month_table[s][e].kind == MOVE_GO && !moved[s][e];
		}
	return missing;
}

void coverage_print(void)
{
	static const char *const kinds[] = { "unset", "move", "bug" };
	int possible, missing = coverage_missing(&possible);

	printf("\ncells of the month's table (state, event, kind: moves taken, times raised by others)\n");
	for (int s = 0; s < MONTH_NSTATES; s++)
		for (int e = 0; e < MONTH_NEVENTS; e++) {
			const struct month_move *move = &month_table[s][e];

			if (!moved[s][e] && !raised[s][e] && move->kind != MOVE_GO)
				continue;
			printf("  %-10s %-16s %-7s %8llu %8llu%s\n",
				month_state_name((enum month_state)s),
				month_event_name((enum month_event)e), kinds[move->kind],
				(unsigned long long)moved[s][e], (unsigned long long)raised[s][e],
				move->kind == MOVE_GO && !moved[s][e] ? "  NOT REACHED" : "");
		}
	printf("cells of the month's table: %d possible, %d reached, %d that nothing can raise\n",
		possible, possible - missing, MONTH_NSTATES * MONTH_NEVENTS - possible);
}
