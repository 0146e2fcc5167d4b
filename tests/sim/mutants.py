#!/usr/bin/python3
"""Proves that the simulation notices what it is there for: changes one thing and runs seeds until one fails.

    tests/sim/mutants.py [--dir DIR] [--seeds N] [--only NAME] [--keep]

Each mutant of MUTANTS is a text substitution in one file of a copy of the source; the sim is built against it. Those that the
sim's own database knows (sim --list-mutants) stand for changes to SQL, which the simulation does not run. Prints a table; exit 1
when a mutant is not found within N seeds (1000).
"""
import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COPIED = ["include", "src", "tests", "tools", "conf", "migrations", "meson.build", "LICENSE", "README.md"]

# (name, file below src, old, new): what is left out or turned round
MUTANTS = [
    ("count-nothing", "providers/gate.c", "return lane->ops->paid || lane_daily_limit(lane) > 0;",
     "return lane_daily_limit(lane) > 0;"),
    ("forget-the-refund", "providers/gate.c", "\tif (!call->reserved)\n\t\treturn;\n\tcall->reserved = false;",
     "\tif (call->reserved || !call->reserved)\n\t\treturn;\n\tcall->reserved = false;"),
    ("refund-what-was-sent", "providers/gate_send.c", "\tcall->reserved = false;\n\tcall->sent_us =", "\tcall->sent_us ="),
    ("locked-month-not-counted", "providers/gate.c",
     "\tif (reserved->busy[i]) {\n\t\tstand_aside(lane, call);\n\t\treturn;\n\t}\n\tif (reserved->granted[i] == call->units) {",
     "\tif (reserved->granted[i] == call->units || reserved->busy[i]) {"),
    ("refund-cancelled-twice", "providers/gate.c",
     "(!call || reserved->granted[i] != call->units))", "(!call || reserved->granted[i] > 0))"),
    ("forget-cancelled-grants", "providers/gate.c",
     "\t\tgive_back_idle(r, i, calls[i], reserved);\n", ""),
    ("pay-without-locks", "providers/providers.c", "\tp->hold = hold;\n", "\tp->hold = false;\n"),
    ("retry-without-reserving", "providers/gate_send.c", "\tcall_enqueue(call);\n\tgate_pump(lane);",
     "\tcall->state = CALL_READY;\n\tTAILQ_INSERT_TAIL(&lane->ready, call, link);\n\tlane->n_ready++;\n\tgate_pump(lane);"),
    ("lost-database-ends-calls", "providers/gate.c", "if (err->class == BF_ERR_RETRY) {\n\t\t\tcalls[i]->state = CALL_QUEUED;",
     "if (err->class == BF_ERR_BUG) {\n\t\t\tcalls[i]->state = CALL_QUEUED;"),
    ("flush-given-up", "providers/flush.c", "if (err && err->class == BF_ERR_RETRY) {", "if (err && err->class == BF_ERR_BUG) {"),
    ("flush-under-a-new-id", "providers/flush.c", "\tstruct bf_flush flush_it = {",
     "\tb->id_hi = bf_random_u64();\n\tstruct bf_flush flush_it = {"),
    ("rescue-after-one-look", "schedule/pulse.c",
     "(was && s->pulse_us - was->seen_us >= (LOOK_AGAIN_MS - 100) * 1000ull)", "(was || o->ref.year)"),
    ("rescue-at-server-start", "schedule/pulse.c", "p->server_up_ms >= SERVER_SETTLE_MS && ", ""),
    ("no-rescue", "schedule/pulse.c", "if (n_take && !s->rescue_op)", "if (n_take > 1000 && !s->rescue_op)"),
    ("no-due-retries", "schedule/pulse.c", "if (s->pulse.due_retries > 0 && slots > 0",
     "if (s->pulse.due_retries > 1000 && slots > 0"),
    ("drain-goes-on-claiming", "schedule/schedule.c", "\ts->draining = true;\n\ttimer_stop(&s->schedule_timer);", "\ttimer_stop(&s->schedule_timer);"),
    ("never-greets-again", "schedule/schedule.c", "\ts->locks_up = true;\n\tgreet(s);",
     "\tif (!s->instance_id)\n\t\tgreet(s);\n\ts->locks_up = true;"),
    ("no-relock", "schedule/schedule.c", "\ts->locks_up = s->greeted = false;\n\tbf_providers_hold(s->providers, true);",
     "\ts->locks_up = s->greeted = false;"),
    ("timer-for-everybody", "schedule/timer.c", "if (outcome == BF_STORE_DONE)\n\t\tt->run(t->s);\n\telse",
     "t->run(t->s);\n\tif (outcome != BF_STORE_DONE)"),
    ("no-backoff", "month/machine.c", "return (int64_t)((double)ms * (0.8 + 0.4 * bf_random_unit()));", "return ms > 0 ? 0 : ms;"),
    ("backoff-does-not-grow", "month/machine.c",
     "for (int i = 1; i < attempt && ms < config->scheduler.retry_cap_ms; i++)\n\t\tms *= 2;", "(void)attempt;"),
    ("six-attempts", "month/machine.c", "#define ATTEMPTS        5", "#define ATTEMPTS        6"),
    ("attempts-not-counted", "month/machine.c", "\tm->failure.counted = true;", "\tm->failure.counted = attempt > 9;"),
    ("outage-is-an-attempt", "month/machine.c", "\tm->failure.wait_ms = backoff_ms(m, m->row.outages + 1);\n",
     "\tm->failure.wait_ms = backoff_ms(m, m->row.outages + 1);\n\tm->failure.counted = true;\n"),
    ("outage-does-not-wait-longer", "month/machine.c", "backoff_ms(m, m->row.outages + 1)", "backoff_ms(m, 1)"),
    ("lost-in-the-pulse-is-kept", "schedule/pulse.c", "for (int i = 0; i < p->n_lost; i++)", "for (int i = p->n_lost; i < p->n_lost; i++)"),
    ("lost-while-it-ends", "month/months.c", "if (m && m->row.ref.fence == ref->fence && !m->move)", "if (m && m->row.ref.fence == ref->fence)"),
    ("repeat-under-a-new-step", "month/machine.c", "\tm->move_op = NULL;\n\twrite_move(m);",
     "\tm->move_op = NULL;\n\tm->move_step.step = month_next_step(m);\n\twrite_move(m);"),
    ("not-mine-is-done", "month/machine.c", "case BF_STORE_DONE: enter(m); return;\n\tcase BF_STORE_NOT_MINE:",
     "case BF_STORE_NOT_MINE:\n\tcase BF_STORE_DONE: enter(m); return;"),
    ("unknown-is-done", "month/machine.c",
     "if (err && err->class == BF_ERR_RETRY) {\n\t\tfor (int i = 0; i < m->move_tries",
     "if (err && err->class == BF_ERR_RETRY && m->move_tries > 9) {\n\t\tfor (int i = 0; i < m->move_tries"),
    ("action-before-the-write", "month/machine.c",
     "\tif (month_state_is_final(move->next))\n\t\tmonth_drop_work(m);\n\twrite_move(m);",
     "\tif (month_state_is_final(move->next))\n\t\tmonth_drop_work(m);\n\tif (move->next == MONTH_QUEUEING) {\n\t\tenter(m);\n\t\treturn;\n\t}\n\twrite_move(m);"),
    ("resume-from-the-start", "month/months.c", 'if (!strcmp(m->row.stage, "resolving"))', 'if (!strcmp(m->row.stage, "-"))'),
    ("stage-forgotten-by-refusal", "month/machine.c",
     "month_fail(m, m->state == MONTH_CLAIMED ? m->row.stage : month_state_name(m->state), false,",
     "month_fail(m, month_state_name(m->state), false,"),
    ("all-at-once", "month/months.c", "if (set->n_running >= set->config->scheduler.concurrent_months)\n\t\t\treturn;", ""),
    ("old-answers-not-read", "month/generating.c", "if (m->row.stage[0] && !m->row.dry_run)", "if (m->row.stage[0] == '-')"),
    ("answers-not-stored", "month/generating.c", "\tkeep_answer(ai, a);\n\tif (m->row.dry_run) {",
     "\tkeep_answer(ai, a);\n\tif (m->row.dry_run || a) {"),
    ("refusal-is-a-failure", "month/generating.c", "\telse if (any_books)\n\t\tmonth_raise(m, MEV_BOOKS);",
     "\telse if (any_books && named_books(&m->ai[0]) == named_books(&m->ai[1]))\n\t\tmonth_raise(m, MEV_BOOKS);"),
    ("nobody-asked-is-an-attempt", "month/generating.c", "\telse if (!any_asked)\n\t\tmonth_raise(m, MEV_RELEASE);", "\telse if (!any_asked && !m)\n\t\treturn;"),
    ("findings-not-awaited", "month/resolving.c", "m->active > 0 || m->unwritten > 0 ||", "m->active > 0 ||"),
    ("resolved-walk-again", "month/resolving.c", "return c->state == BF_CAND_NEW ||", "return c->state == BF_CAND_RESOLVED || c->state == BF_CAND_NEW ||"),
    ("everybody-has-all-slots", "providers/rate.c", "\tslot += (rank + live - slot % live) % live;\n", "\tslot += (rank + live - slot % live) % 1;\n"),
    ("no-rate", "providers/rate.c", "\tif (due_us > r->last_due_us)\n\t\tr->last_due_us = due_us;", "\tif (due_us > r->last_due_us + 1000000)\n\t\tr->last_due_us = due_us;"),
]


def copy_if_other(src, dst):
    """Leaves equal files alone, so that only what changed is built again."""
    if not (Path(dst).is_file() and Path(dst).read_bytes() == Path(src).read_bytes()):
        shutil.copyfile(src, dst)
        shutil.copymode(src, dst)
    return dst


def run(*command, cwd=None):
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def seeds_until_found(sim, seeds, extra, limit_s):
    """(found?, how) of one mutant."""
    began = time.monotonic()
    try:
        done = subprocess.run([sim, "--seeds", f"1-{seeds}", "--quiet", *extra], capture_output=True, text=True, check=False,
                              timeout=limit_s)
    except subprocess.TimeoutExpired:
        return False, f"no seed failed in {limit_s} s (one may not end)"
    took = time.monotonic() - began
    m = re.search(r"^FAILED sim --seed (\d+).*?: at [\d.]+ \S+: (.*)$", done.stdout, re.M)
    if m:
        return True, f"seed {m[1]}, {took:.0f} s: {m[2][:110]}"
    if done.returncode not in (0, 1):
        return True, f"ended by signal or abort ({done.returncode})"
    return False, f"{seeds} seeds, nothing"


def build(tree, builddir):
    done = run("ninja", "-C", str(builddir), "-j1", "tests/sim/sim")
    if done.returncode:
        return done.stdout[-1500:]
    return None


def mutate(tree, builddir, sim, mutant, options):
    """One mutant of the product: changed, built, run, changed back."""
    name, where, old, new = mutant
    path = tree / "src" / where
    text = path.read_text()
    if text.count(old) != 1:
        return False, f"{where} has {text.count(old)} places for it"
    path.write_text(text.replace(old, new))
    try:
        problem = build(tree, builddir)
        if problem:
            return False, "does not build: " + problem
        return seeds_until_found(sim, options.seeds, [], options.limit)
    finally:
        path.write_text(text)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--dir", help="where the copy goes (kept with --keep)")
    p.add_argument("--seeds", type=int, default=1000)
    p.add_argument("--limit", type=int, default=240, help="seconds for one mutant")
    p.add_argument("--only", help="mutants whose names hold this")
    p.add_argument("--keep", action="store_true")
    options = p.parse_args()
    tree = Path(options.dir or tempfile.mkdtemp(prefix="bf-mutants-"))
    tree.mkdir(parents=True, exist_ok=True)
    for what in COPIED:
        if (ROOT / what).is_dir():
            shutil.copytree(ROOT / what, tree / what, dirs_exist_ok=True, copy_function=copy_if_other)
        else:
            copy_if_other(ROOT / what, tree / what)
    builddir = tree / "b"
    if not builddir.is_dir():
        setup = run("meson", "setup", str(builddir), str(tree), "-Dwerror=false")
        if setup.returncode:
            sys.exit(setup.stdout + setup.stderr)
    sim = str(builddir / "tests" / "sim" / "sim")
    problem = build(tree, builddir)
    if problem:
        sys.exit(problem)
    rows = []
    listed = [line.split()[0] for line in run(sim, "--list-mutants").stdout.splitlines()]
    for name in listed:
        if not options.only or options.only in name:
            rows.append((name, "database", *seeds_until_found(sim, options.seeds, ["--mutant", name], options.limit)))
            print("%-28s %-24s %-9s %s" % (name, "database", "found" if rows[-1][2] else "NOT FOUND", rows[-1][3]), flush=True)
    for mutant in MUTANTS:
        if not options.only or options.only in mutant[0]:
            rows.append((mutant[0], mutant[1], *mutate(tree, builddir, sim, mutant, options)))
            print("%-28s %-24s %-9s %s" % (mutant[0], mutant[1], "found" if rows[-1][2] else "NOT FOUND", rows[-1][3]), flush=True)
    found = sum(1 for r in rows if r[2])
    print(f"{len(rows)} mutants, {found} found")
    if not options.keep:
        shutil.rmtree(tree, ignore_errors=True)
    sys.exit(found != len(rows))


if __name__ == "__main__":
    main()
