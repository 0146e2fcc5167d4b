/*
 * sim: runs seeds. Each is a world of its own: months that are to be done, instances that do them, and everything that can go
 * wrong; then calm, in which all of it must end; then a look at what is there. A seed that breaks a promise prints one line that
 * repeats it.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "catalogue.h"
#include "chaos.h"
#include "coverage.h"
#include "instance.h"
#include "invariants.h"
#include "plan.h"
#include "sim_http.h"
#include "sim_store.h"

#define BOUND_US 100800000000ll /* 28 h: the longest a provider may be closed, and the timer's next run */
#define EXIT_US  120000000ll    /* a drain takes at most so long */

static const char *const mutants[][2] = {
	{ "no-fence", "the fence is not compared" },
	{ "no-status", "whether the month is in processing is not asked" },
	{ "no-raise", "a claim does not raise the fence" },
	{ "no-steps", "a repeated step is written again" },
	{ "no-pause", "claims go on during a pause" },
	{ "locks-outlive", "a session's end leaves its locks" },
	{ "no-limit", "the daily limit is not looked at" },
	{ "not-counted", "units are granted and the month's calls not counted" },
	{ "rescue-keeps-fence", "a rescue does not raise the fence" },
	{ "rescue-held", "a rescue takes months whose lock is held" },
	{ "cancel-keeps-fence", "an operator's cancel does not raise the fence" },
	{ "flush-twice", "a repeated flush is applied again" },
	{ "queue-twice", "ISBNs are queued whether or not they are there" },
	{ "forgets-the-queue", "a completed month queues nothing" },
	{ "timer-for-all", "a run of the timer is everybody's" },
	{ "pulse-hides-the-lost", "a pulse does not say which months are the asker's no more" },
};

struct options { uint64_t first, last; bool keep_going, quiet, coverage; };

/*
 * A claim for others outlives who asked for it and is freed by its answer; a process that ends before has nobody who could free
 * it. Processes end here without the end of the program.
 */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:bf_schedule_claim\nleak:bf_schedule_harvest\n";
}

/* ---- one seed ---- */
static bool all_over(void)
{
	for (int i = 0; i < w.model->rows.n; i++)
		if (w.model->rows.v[i].status != M_COMPLETED && w.model->rows.v[i].status != M_FAILED)
			return false;
	return true;
}

static void run_until(uint64_t until_us)
{
	while (!w.failed && world_step(until_us))
		inv_look();
}

static void settle(void)
{
	uint64_t bound = w.now_us + BOUND_US;

	do { /* an operator's last wish may still be on its way */
		while (!w.failed && !all_over() && w.now_us < bound && world_step(bound))
			inv_look();
		if (!w.failed && !all_over())
			sim_fail("not everything ended within 28 hours");
		if (!w.failed)
			run_until(w.now_us + 10000000); /* locks are let go, the last findings written */
	} while (!w.failed && !all_over());
}

static void drain_all(void)
{
	uint64_t bound = w.now_us + EXIT_US;

	for (int i = 0; i < SIM_INSTANCES; i++)
		if (w.inst[i] && !inst_draining(w.inst[i]))
			inst_drain(w.inst[i]);
	while (!w.failed && inst_running() && w.now_us < bound && world_step(bound))
		inv_look();
	if (!w.failed && inst_running())
		sim_fail("a drain did not end within two minutes");
	run_until(w.now_us + 30000000); /* what was sent arrives, sessions that linger end */
}

static void begin(uint64_t seed)
{
	world_begin(seed);
	plan_make();
	catalogue_make();
	model_clear(w.model, 0);
	sim_db_clock();
	model_clear(w.model, w.model->now_us);
	w.model->mutant = w.mutant;
	inv_begin();
	inst_begin();
	sim_db_begin();
	sim_http_begin();
	for (int i = 0; i < plan.months; i++) {
		int year, month;

		catalogue_month(i, &year, &month);
		model_row_add(w.model, year, month, plan.books * 2, "baseline")->retry_count =
			plan.tried ? chance(500) ? 4 : (int)rnd_below(4) : 0;
	}
	for (int i = 0; i < plan.instances; i++)
		inst_start();
	chaos_begin();
}

static void end(void)
{
	chaos_release();
	for (int i = 0; i < SIM_INSTANCES; i++)
		if (w.inst[i])
			inst_end(w.inst[i], INST_KILLED);
	sim_db_release();
}

/* True: every promise was kept. */
static bool run_seed(uint64_t seed)
{
	begin(seed);
	run_until(w.now_us + (uint64_t)plan.chaos_us);
	if (!w.failed)
		chaos_end();
	settle();
	if (!w.failed)
		drain_all();
	if (!w.failed)
		inv_end();
	if (!w.failed)
		inv_print();
	end();
	return !w.failed;
}

/* ---- the command line ---- */
static int faults_missing(void)
{
	int n = 0;

	for (int i = 0; i < SIM_NFAULTS; i++)
		n += !w.faults[i];
	return n;
}

static void print_faults(void)
{
	printf("\nwhat went wrong (all seeds)\n");
	for (int i = 0; i < SIM_NFAULTS; i++)
		printf("  %-44s %10" PRIu64 "%s\n", sim_fault_names[i], w.faults[i],
			w.faults[i] ? "" : "  NEVER");
	printf("kinds of fault: %d, of these met %d\n", SIM_NFAULTS, SIM_NFAULTS - faults_missing());
}

/* Whether the seeds have been everywhere. */
static bool covered(void)
{
	int possible, missing = coverage_missing(&possible), unmet = faults_missing();

	if (missing || unmet)
		printf("NOT COVERED: %d moves not taken, %d kinds of fault not met\n", missing, unmet);
	return !missing && !unmet;
}

static void print_mutants(void)
{
	for (size_t i = 0; i < BF_COUNT(mutants); i++)
		printf("%-20s %s\n", mutants[i][0], mutants[i][1]);
}

static int usage(void)
{
	fputs("usage: sim [--seeds A-B | --seed N] [--months N] [--mutant NAME] [--trace] [--quiet]\n"
	      "           [--keep-going] [--coverage] [--list-mutants]\n"
	      "--coverage: exit 1 also when a move of the table or a kind of fault was not met\n",
		stderr);
	return 2;
}

static bool read_options(int argc, char **argv, struct options *o)
{
	static const struct option names[] = { { "seeds", 1, NULL, 's' }, { "seed", 1, NULL, 'n' },
		{ "months", 1, NULL, 'm' }, { "mutant", 1, NULL, 'M' }, { "trace", 0, NULL, 't' },
		{ "keep-going", 0, NULL, 'k' }, { "quiet", 0, NULL, 'q' },
		{ "coverage", 0, NULL, 'c' }, { NULL, 0, NULL, 0 } };
	char *rest;
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case 's':
			o->first = strtoull(optarg, &rest, 10);
			if (*rest != '-')
				return false;
			o->last = strtoull(rest + 1, NULL, 10);
			break;
		case 'n': o->first = o->last = strtoull(optarg, NULL, 10); break;
		case 'm': w.months = (int)strtol(optarg, NULL, 10); break;
		case 'M': w.mutant = optarg; break;
		case 't': w.trace = true; break;
		case 'k': o->keep_going = true; break;
		case 'q': o->quiet = true; break;
		case 'c': o->coverage = true; break;
		default: return false;
		}
	}
	return optind == argc && w.months >= 1 && w.months <= SIM_MONTHS_MAX;
}

static void report_failure(void)
{
	printf("FAILED sim --seed %" PRIu64 " --months %d%s%s --trace: %s\n", w.seed, w.months,
		w.mutant ? " --mutant " : "", w.mutant ? w.mutant : "", w.failure);
	fflush(stdout);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int run(const struct options *o)
{
	double began = seconds(), took;
	uint64_t n = 0, failed = 0, events, most = 0, busiest = 0;
	double virtual_s = 0;

	for (uint64_t seed = o->first; seed <= o->last; seed++) {
		n++;
		events = w.n_events;
		if (!run_seed(seed)) {
			failed++;
			report_failure();
			if (!o->keep_going)
				break;
		}
		virtual_s += (double)w.now_us / 1e6;
		if (w.n_events - events > most) {
			most = w.n_events - events;
			busiest = seed;
		}
		if (!o->quiet && n % 1000 == 0) {
			printf("%" PRIu64 " seeds, %.0f per second\n", n, (double)n / (seconds() - began));
			fflush(stdout);
		}
	}
	took = seconds() - began;
	if (!o->quiet) {
		coverage_print();
		print_faults();
	}
	printf("%" PRIu64 " seeds, %" PRIu64 " failed, %.0f per second; %.0f virtual hours, %" PRIu64
	       " events (seed %" PRIu64 ": %" PRIu64 "), %" PRIu64 " requests\n",
		n, failed, (double)n / took, virtual_s / 3600, w.n_events, busiest, most,
		sim_http_sent);
	return failed || (o->coverage && !covered()) ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct options o = { .first = 1, .last = 100 };
	int code;

	if (argc == 2 && !strcmp(argv[1], "--list-mutants")) {
		print_mutants();
		return 0;
	}
	w.months = 6;
	if (!read_options(argc, argv, &o))
		return usage();
	plan_setup();
	w.model = model_new();
	code = run(&o);
	model_free(w.model);
	inv_release();
	world_release();
	plan_release();
	return code;
}
