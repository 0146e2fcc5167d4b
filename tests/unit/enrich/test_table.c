/* The table of an item's life is whole: no cell is forgotten, no state unreachable or without a way out. */
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "../../../src/enrich/machine.h"

#define STATE(s) item_state_name((enum item_state)(s))
#define EVENT(e) item_event_name((enum item_event)(e))

/* Proves that every state answers every event with a decision and its reason. */
static void every_cell_is_written(void **state)
{
	(void)state;
	for (int s = 0; s < ITEM_NSTATES; s++)
		for (int e = 0; e < ITEM_NEVENTS; e++) {
			const struct item_move *m = &item_table[s][e];

			if (m->kind == MOVE_UNSET || !m->why)
				fail_msg("%s x %s is not written", STATE(s), EVENT(e));
			if (m->kind == MOVE_GO && item_state_is_final((enum item_state)s))
				fail_msg("%s is final and yet left by %s", STATE(s), EVENT(e));
		}
}

/* Proves that every state can be reached from the first and that working states can be left. */
static void every_state_is_reached_and_left(void **state)
{
	bool seen[ITEM_NSTATES] = { [ITEM_TAKEN] = true }, changed = true;

	(void)state;
	while (changed) {
		changed = false;
		for (int s = 0; s < ITEM_NSTATES; s++)
			for (int e = 0; seen[s] && e < ITEM_NEVENTS; e++)
				if (item_table[s][e].kind == MOVE_GO && !seen[item_table[s][e].next])
					seen[item_table[s][e].next] = changed = true;
	}
	for (int s = 0; s < ITEM_NSTATES; s++)
		if (!seen[s])
			fail_msg("%s is never reached", STATE(s));
}

/* Proves that every end but losing and the write itself is made true in the database, and losing is not. */
static void every_end_is_committed(void **state)
{
	(void)state;
	for (int s = 0; s < ITEM_NSTATES; s++)
		for (int e = 0; e < ITEM_NEVENTS; e++) {
			const struct item_move *m = &item_table[s][e];
			bool ends = m->kind == MOVE_GO && item_state_is_final(m->next);

			if (ends && e != IEV_LOSE && e != IEV_WRITTEN && m->commit == COMMIT_NONE)
				fail_msg("%s x %s ends and is not written", STATE(s), EVENT(e));
			if (m->kind == MOVE_GO && (!ends || e == IEV_LOSE))
				assert_int_equal(m->commit, COMMIT_NONE);
		}
}

/* Proves that from anywhere an item can wait, be retried, fail, be released or be lost. */
static void every_working_state_can_end(void **state)
{
	(void)state;
	for (int s = 0; s < ITEM_NSTATES; s++) {
		if (item_state_is_final((enum item_state)s))
			continue;
		assert_int_equal(item_table[s][IEV_BLOCKED].how, BF_END_WAIT);
		assert_int_equal(item_table[s][IEV_FAILURE].how, BF_END_RETRY);
		assert_int_equal(item_table[s][IEV_SPENT].next, ITEM_FAILED);
		assert_int_equal(item_table[s][IEV_HOPELESS].how, BF_END_FAILED);
		assert_int_equal(item_table[s][IEV_RELEASE].how, BF_END_RELEASE);
		assert_int_equal(item_table[s][IEV_LOSE].next, ITEM_LOST);
	}
}

/* Proves that the diagram is printed from the table: one arrow for each move. */
static void diagram_has_every_arrow(void **state)
{
	char *text = NULL, *at;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	int arrows = 0, moves = 0;

	(void)state;
	bf_enrich_print_states(f);
	fclose(f);
	for (at = text; (at = strstr(at, " --> ")); at++)
		arrows++;
	for (int s = 0; s < ITEM_NSTATES; s++) {
		moves += item_state_is_final((enum item_state)s);
		for (int e = 0; e < ITEM_NEVENTS; e++)
			moves += item_table[s][e].kind == MOVE_GO;
	}
	assert_int_equal(arrows, moves + 1);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cell_is_written),
		cmocka_unit_test(every_state_is_reached_and_left),
		cmocka_unit_test(every_end_is_committed),
		cmocka_unit_test(every_working_state_can_end),
		cmocka_unit_test(diagram_has_every_arrow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
