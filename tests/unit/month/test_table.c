/* The table of a month's life is whole: no cell is forgotten, no state unreachable or without a way out. */
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "../../../src/month/machine.h"

/* Proves that every state answers every event with a decision and its reason. */
static void every_cell_is_written(void **state)
{
	(void)state;
	for (int s = 0; s < MONTH_NSTATES; s++)
		for (int e = 0; e < MONTH_NEVENTS; e++) {
			const struct month_move *m = &month_table[s][e];

			if (m->kind == MOVE_UNSET || !m->why)
				fail_msg("%s x %s is not written", month_state_name((enum month_state)s),
				    month_event_name((enum month_event)e));
			if (m->kind == MOVE_GO && month_state_is_final((enum month_state)s))
				fail_msg("%s is final and yet left by %s", month_state_name((enum month_state)s),
				    month_event_name((enum month_event)e));
		}
}

/* Proves that every state can be reached from the first and that working states can be left. */
static void every_state_is_reached_and_left(void **state)
{
	bool seen[MONTH_NSTATES] = { [MONTH_CLAIMED] = true }, changed = true;

	(void)state;
	while (changed) {
		changed = false;
		for (int s = 0; s < MONTH_NSTATES; s++)
			for (int e = 0; seen[s] && e < MONTH_NEVENTS; e++)
				if (month_table[s][e].kind == MOVE_GO && !seen[month_table[s][e].next])
					seen[month_table[s][e].next] = changed = true;
	}
	for (int s = 0; s < MONTH_NSTATES; s++) {
		int leaves = 0;

		if (!seen[s])
			fail_msg("%s is never reached", month_state_name((enum month_state)s));
		for (int e = 0; e < MONTH_NEVENTS; e++)
			leaves += month_table[s][e].kind == MOVE_GO && (int)month_table[s][e].next != s;
		if (!leaves && !month_state_is_final((enum month_state)s))
			fail_msg("%s is never left", month_state_name((enum month_state)s));
	}
}

/* Proves that a month can be retried, failed or lost from anywhere, and that losing writes nothing. */
static void every_working_state_can_end(void **state)
{
	(void)state;
	for (int s = 0; s < MONTH_NSTATES; s++) {
		if (month_state_is_final((enum month_state)s))
			continue;
		assert_int_equal(month_table[s][MEV_FAILURE].next, MONTH_RETRY);
		assert_int_equal(month_table[s][MEV_SPENT].next, MONTH_FAILED);
		assert_int_equal(month_table[s][MEV_LOSE].next, MONTH_LOST);
		assert_null(month_table[s][MEV_LOSE].commit);
		assert_non_null(month_table[s][MEV_FAILURE].commit);
	}
}

/* Proves that what only one stage can raise is a bug elsewhere: a drain ends all stages but the last write. */
static void some_ends_are_one_stages_own(void **state)
{
	(void)state;
	for (int s = 0; s < MONTH_NSTATES; s++) {
		bool over = month_state_is_final((enum month_state)s);

		assert_int_equal(month_table[s][MEV_OUTAGE].kind, s == MONTH_RESOLVING ? MOVE_GO : MOVE_BUG);
		assert_int_equal(month_table[s][MEV_HOPELESS].kind, s == MONTH_GENERATING ? MOVE_GO : MOVE_BUG);
		assert_int_equal(month_table[s][MEV_RELEASE].kind, over || s == MONTH_QUEUEING ? MOVE_BUG : MOVE_GO);
	}
}

/* Proves that a state that is not the last has work of its own: the move that enters it starts some. */
static void every_stage_begins_something(void **state)
{
	(void)state;
	for (int s = 0; s < MONTH_NSTATES; s++)
		for (int e = 0; e < MONTH_NEVENTS; e++) {
			const struct month_move *m = &month_table[s][e];

			if (m->kind == MOVE_GO)
				assert_int_equal(m->action != NULL, !month_state_is_final(m->next));
		}
}

/* Proves that every move to a living or ended state but `lost` is written to the database. */
static void every_move_is_committed(void **state)
{
	(void)state;
	for (int s = 0; s < MONTH_NSTATES; s++)
		for (int e = 0; e < MONTH_NEVENTS; e++)
			if (month_table[s][e].kind == MOVE_GO && month_table[s][e].next != MONTH_LOST)
				assert_non_null(month_table[s][e].commit);
}

/* Proves that the diagram is printed from the table: one arrow for each move. */
static void diagram_has_every_arrow(void **state)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);
	int arrows = 0, moves = 0, finals = 0;

	(void)state;
	assert_non_null(f);
	bf_month_print_states(f);
	fclose(f);
	for (const char *p = text; (p = strstr(p, "-->")); p += 3)
		arrows++;
	for (int s = 0; s < MONTH_NSTATES; s++) {
		finals += month_state_is_final((enum month_state)s);
		for (int e = 0; e < MONTH_NEVENTS; e++)
			moves += month_table[s][e].kind == MOVE_GO;
	}
	assert_int_equal(arrows, moves + finals + 1);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cell_is_written),
		cmocka_unit_test(every_state_is_reached_and_left),
		cmocka_unit_test(every_working_state_can_end),
		cmocka_unit_test(some_ends_are_one_stages_own),
		cmocka_unit_test(every_stage_begins_something),
		cmocka_unit_test(every_move_is_committed),
		cmocka_unit_test(diagram_has_every_arrow),
	};

	return cmocka_run_group_tests_name("month/table", tests, NULL, NULL);
}
