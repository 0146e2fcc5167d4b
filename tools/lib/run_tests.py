"""What tools/test does after the packages are there: checks, builds, tests, one closing line of counts.

First the builds, which use every core; then everything that may run beside others, several steps at a time, the longest
first; then what is measured alone. Each step prints one line with its seconds and keeps its output in build/test-logs/; only
failing output is shown. All processes are children of this one and end with it.
"""
import argparse
import contextlib
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import browser_tests
import node_packages
import throwaway_pg
from stand import ROOT

BUILD = ROOT / "build"
ASAN = ROOT / "build-asan"
CLANG = ROOT / "build-fuzz"       # where tools/fuzz looks for its targets
LOGS = BUILD / "test-logs"
SHOWN_LINES = 80
STEP_TIMEOUT_S = 900
BROWSER_TIMEOUT_S = 600     # for one file of tests/browser
SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
}


class Counts:
    """Passed and failed, and the names of what failed or was left out: of one step, or of all."""

    def __init__(self):
        self.passed = 0
        self.failed = 0
        self.names = []
        self.skipped = []
        self.repeated = []      # what failed beside others, and was done again alone

    def add(self, ok, name):
        if ok:
            self.passed += 1
        else:
            self.failed += 1
            self.names.append(name)

    def add_all(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.names += other.names
        self.skipped += other.skipped

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed"


def environment(extra=None):
    """Ours, without what would change the builds or the tests behind our back."""
    env = dict(os.environ, LC_ALL="C.UTF-8", CC="gcc", PYTHONDONTWRITEBYTECODE="1", **SANITIZERS)
    for name in ("CFLAGS", "LDFLAGS", "CPPFLAGS", "http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY",
                 "ALL_PROXY", "DESTDIR", "PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGSERVICE", "PGOPTIONS"):
        env.pop(name, None)
    env.update(extra or {})
    return env


CHILDREN = set()


def run(argv, log, env=None, timeout=STEP_TIMEOUT_S):
    """Runs to the end with output in the log; the exit status, or a text when it was ended for taking too long."""
    with open(log, "ab") as out:
        child = subprocess.Popen([str(a) for a in argv], cwd=ROOT, env=environment(env), stdin=subprocess.DEVNULL,
                                 stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
                                 preexec_fn=throwaway_pg.end_with_parent(signal.SIGTERM))
        CHILDREN.add(child)
        try:
            return child.wait(timeout)
        except BaseException as problem:
            end(child)
            if isinstance(problem, subprocess.TimeoutExpired):
                return f"ended after {timeout} s"
            raise
        finally:
            CHILDREN.discard(child)


def end(child):
    """Ends a child and what it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGTERM)
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def show(log, lines=SHOWN_LINES):
    """The end of a log, indented."""
    text = Path(log).read_text(encoding="utf-8", errors="replace").splitlines()
    if len(text) > lines:
        print(f"    ... {len(text) - lines} lines more in {log}")
    for line in text[-lines:]:
        print("    " + line)


class Step:
    """One step: what it counted, its words, and the logs to show when it failed."""

    def __init__(self, name, log):
        self.name = name
        self.log = log
        self.counts = Counts()
        self.words = None
        self.shown = []

    def run(self, argv, env=None, timeout=STEP_TIMEOUT_S):
        return run(argv, self.log, env, timeout)

    def judge(self, status, lines=SHOWN_LINES, log=None):
        """The step counts as one: fine with exit status 0."""
        self.counts.add(status == 0, self.name)
        self.words = "ok" if status == 0 else f"FAILED ({status})"
        if status != 0:
            self.shown.append((log or self.log, lines))


class Steps:
    """Numbered steps with one line each."""

    def __init__(self, counts):
        self.counts = counts
        self.number = 0
        self._lock = threading.Lock()

    def step(self, name, work, alone=True):
        """Does work(step); whether nothing failed. alone: its line begins when it does, not when it is over; if it is not alone
        and something fails, that is shown but not counted yet, for it will be done again."""
        with self._lock:
            self.number += 1
            number = self.number
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        step = Step(name, LOGS / f"{number:02}-{slug}.log")
        head = f"{number:2}. {name} ..."
        if alone:
            print(head, end=" ", flush=True)
        started = time.monotonic()
        work(step)
        with self._lock:
            print(*[] if alone else [head], f"{step.words or step.counts} ({time.monotonic() - started:.1f} s)", flush=True)
            for log, lines in step.shown:
                show(log, lines)
            if alone or not step.counts.failed:
                self.counts.add_all(step.counts)
            else:
                self.counts.repeated += step.counts.names
        return step.counts.failed == 0

    def side_by_side(self, jobs):
        """Does [(name, work)] several at a time, in this order; what fails is done once more, alone: then it counts. A machine
        that is short of time is no defect; what was repeated is told at the end."""
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            try:
                under_way = [pool.submit(self.step, name, work, alone=False) for name, work in jobs]
                failed = [job for job, done in zip(jobs, under_way) if not done.result()]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                for child in list(CHILDREN):
                    end(child)
                raise
        for name, work in failed:
            self.step(f"{name}, again alone", work)


def check(argv, step, env=None):
    """A program that tells by its exit status."""
    step.judge(step.run(argv, env))


def build(folder, profile, step):
    """Configures if need be and compiles; warnings fail it even where they are not errors."""
    log, status = step.log, configure(folder, profile, step.log)
    if status == 0:
        # a log of its own, so that a failure is not shown among the lines of the configuration
        log = log.with_suffix(".ninja.log")
        status = run(["ninja", "-k", "20", "-C", folder], log)
    if status == 0 and re.search(r"(?m)^\S+:\d+(:\d+)?: warning: ", log.read_text(errors="replace")):
        status = "warnings"
    step.judge(status, log=log)


def configure(folder, profile, log):
    """A configured build folder: an existing one is kept, one that meson cannot read any more is made anew."""
    options = ["--native-file", ROOT / "tools" / "profiles" / profile] if profile else []
    if (folder / "meson-private" / "coredata.dat").exists():
        if run(["meson", "setup", "--reconfigure", folder], log) == 0:
            return 0
        return run(["meson", "setup", "--wipe", folder, *options], log)
    return run(["meson", "setup", folder, *options], log)


# cmocka writes `ok 1 - name`, `not ok 2 - name` and `not ok 3 # SKIP name`
TAP = re.compile(r"^(not ok|ok)\b(?: \d+)?(?: - | )?(.*?)\s*$")


def count_unit(result, counts):
    """Adds one program of meson's log: each TAP line is a test; what ended badly without one is a failure of its own."""
    bad = result.get("result") not in ("OK", "EXPECTEDFAIL", "SKIP")
    lines = [m for m in map(TAP.match, result.get("stdout", "").splitlines()) if m]
    failed = 0
    for m in lines:
        name = f"{result['name']}: {m.group(2)}"
        if m.group(2).upper().startswith("# SKIP"):
            counts.skipped.append(name)
            continue
        failed += m.group(1) == "not ok"
        counts.add(m.group(1) == "ok", name)
    if result.get("result") == "SKIP":
        counts.skipped.append(result["name"])
    elif not lines or (bad and not failed):
        counts.add(not bad, f"{result['name']}: {result.get('result')}")


def meson_tests(folder, arguments, conninfo, step, jobs=2):
    """Runs meson tests of a built folder and counts their cases."""
    base = f"testlog-{step.log.stem}"
    json_log = folder / "meson-logs" / f"{base}.json"
    json_log.unlink(missing_ok=True)
    status = step.run(["meson", "test", "-C", folder, "--no-rebuild", "--print-errorlogs", "--num-processes", str(jobs),
                       "--logbase", base, "-t", "4", *arguments],
                      {"CMOCKA_MESSAGE_OUTPUT": "TAP", "BF_TEST_CONNINFO": conninfo})
    counts = step.counts
    if json_log.exists():
        for line in json_log.read_text(encoding="utf-8", errors="replace").splitlines():
            count_unit(json.loads(line), counts)
    if (status != 0 and not counts.failed) or counts.passed + counts.failed == 0:
        counts.add(False, f"{step.name}: status {status}, {counts.passed} tests")
    if counts.failed:
        step.shown.append((step.log, SHOWN_LINES))


def pytest(arguments, build_folder, conninfo, step, none_is_fine=False):
    """Runs pytest and counts from its report."""
    report = step.log.with_suffix(".xml")
    status = step.run(["/usr/bin/python3", "-B", "-m", "pytest", "-p", "no:cacheprovider", "-rs", "-q", "--color=no",
                       f"--junitxml={report}", f"--basetemp={LOGS / (step.log.stem + '.tmp')}", *arguments],
                      {"BF_BUILD": str(build_folder), "BF_TEST_CONNINFO": conninfo}, 2 * STEP_TIMEOUT_S)
    counts = step.counts
    if report.exists():
        for case in ElementTree.parse(report).getroot().iter("testcase"):
            title = f"{case.get('classname')}.{case.get('name')}"
            if case.find("skipped") is not None:
                counts.skipped.append(title)
            else:
                counts.add(case.find("failure") is None and case.find("error") is None, title)
    nothing = status == 5 and none_is_fine      # pytest's status for "no test was selected"
    if status != 0 and not counts.failed and not nothing:
        counts.add(False, f"{step.name}: pytest ended with {status}")
    if counts.failed:
        step.shown.append((step.log, 3 * SHOWN_LINES))


def browser(conninfo, step):
    """Runs the tests of the dashboard in Chromium and counts them."""
    counts, env = step.counts, {"BF_BUILD": str(BUILD), "BF_TEST_CONNINFO": conninfo}
    try:
        for path, one, status, found in browser_tests.run_all(lambda argv, log: run(argv, log, env, BROWSER_TIMEOUT_S), LOGS):
            for name, how in found:
                if how == "skipped":
                    counts.skipped.append(f"{path.stem}: {name}")
                else:
                    counts.add(how == "passed", f"{path.stem}: {name}")
            failed = sum(how == "failed" for _, how in found)
            if (status != 0 and not failed) or not found:
                counts.add(False, f"{path.stem}: ended with {status}")
            if status != 0 or not found:
                step.shown.append((one, 2 * SHOWN_LINES))
    except node_packages.NodeError as problem:
        step.log.write_text(f"{problem}\n", encoding="utf-8")
        counts.add(False, "dashboard in a browser")
        step.shown.append((step.log, SHOWN_LINES))


def arguments(argv):
    p = argparse.ArgumentParser(prog="tools/test", description="Builds and runs every test; the last line has the counts.")
    p.add_argument("--fast", action="store_true", help="gcc build only: no clang, no sanitizers, no slow tests")
    p.add_argument("-k", metavar="EXPR", help="only the system tests that match (pytest -k), on the gcc build")
    p.add_argument("--browser", action="store_true", help="only the dashboard's tests in Chromium, on the gcc build")
    return p.parse_args(argv)


# How many steps at a time, and those of the system tests that take longest, so that these begin first; a new file goes last.
SIDE_BY_SIDE = 5
TOGETHER = "test_together.py"
KILLS, RATE = f"tests/system/{TOGETHER}::test_thirty_kills", f"tests/system/{TOGETHER}::test_the_rate_holds_over_two_daemons"
LONG_FIRST = ["test_alerts_run.py", TOGETHER, "test_alerts.py", "test_months.py", "test_seeds.py", "test_timer.py",
              "test_alerts_webhook.py", "test_enrichment.py", "test_verify.py", "test_resolution.py",
              "test_enrichment_faults.py", "test_events.py", "test_service.py", "test_http.py", "test_ctl.py"]


def system_tests(marks, conninfo):
    """[(name, work)]: each file of tests/system, and the one test that takes longest by itself."""
    def one(arguments):
        return functools.partial(pytest, [*arguments, "-m", marks], BUILD, conninfo, none_is_fine=True)
    names = sorted((path.name for path in (ROOT / "tests" / "system").glob("test_*.py")),
                   key=lambda name: (LONG_FIRST.index(name) if name in LONG_FIRST else len(LONG_FIRST), name))
    apart = {TOGETHER: [f"--deselect={KILLS}", f"--deselect={RATE}"]}
    return [("system: thirty kills", one([KILLS]))] + \
        [("system: " + name[len("test_"):-len(".py")], one([f"tests/system/{name}", *apart.get(name, [])])) for name in names]


def builds(full, steps):
    """{folder: whether it is there to be tested}; these use every core, so one after the other."""
    wanted = {"gcc": (BUILD, None)}
    if full:
        wanted.update({"sanitizers": (ASAN, "asan.ini"), "clang, for fuzzing": (CLANG, "fuzz.ini")})
    return {folder: steps.step(f"build with {name}", functools.partial(build, folder, profile))
            for name, (folder, profile) in wanted.items()}


def test_all(options, steps, cluster):
    """Every step; what needs a build that failed is not run, the failed build is in the counts."""
    conninfo = cluster.conninfo("backfill_test", tcp=True)
    if options.browser or options.k:
        if builds(False, steps)[BUILD]:
            steps.step("system tests" if options.k else "dashboard in a browser",
                       functools.partial(pytest, ["tests/system", "-k", options.k, "-m", "not valgrind"], BUILD, conninfo)
                       if options.k else functools.partial(browser, conninfo))
        return
    for name in ("rooms", "house"):
        steps.step(f"check {name}", functools.partial(check, [f"tools/check-{name}"]))
    full = not options.fast
    built = builds(full, steps)
    if not built[BUILD]:
        return
    steps.step("npm packages of the tests", functools.partial(check, ["/usr/bin/python3", "-B", "tools/lib/node_packages.py"]))
    tests = system_tests("not valgrind" if full else "not valgrind and not slow", conninfo)
    if full:
        jobs = [*tests[:1], ("dashboard in a browser", functools.partial(browser, conninfo)), *tests[1:]]
        jobs += [("simulation", functools.partial(meson_tests, BUILD, ["--no-suite", "unit"], conninfo)),
                 ("a month under valgrind", functools.partial(pytest, ["tests/system", "-m", "valgrind"], BUILD, conninfo))]
        jobs += [("static analysis", functools.partial(check, ["tools/lint", "--short"])),
                 ("torture", functools.partial(check, ["tools/torture", "--short"],
                                               env={"BF_BUILD": str(BUILD), "BF_TEST_CONNINFO": conninfo}))]
        if built[ASAN]:
            jobs[1:1] = [("unit tests, sanitized", functools.partial(meson_tests, ASAN, ["--suite", "unit"], conninfo))]
            jobs += [("system tests, sanitized", functools.partial(pytest, ["tests/system", "-m", "asan"], ASAN, conninfo))]
    else:
        jobs = [("unit tests", functools.partial(meson_tests, BUILD, ["--suite", "unit"], conninfo)), *tests]
    steps.side_by_side(jobs)
    if full:
        # the campaigns judge how long things take, and mostly wait; fuzzing takes what they leave
        jobs = [("campaigns of faults", functools.partial(check, ["tools/faults", "--all", "--short", "--jobs", "3"],
                                                          env={"BF_BUILD": str(BUILD)}))]
        if built[CLANG]:
            jobs.append(("fuzzing", functools.partial(check, ["tools/fuzz", "--jobs", "2"])))
        steps.side_by_side(jobs)
    steps.step("the rate, measured alone", functools.partial(pytest, [RATE], BUILD, conninfo))


def main(argv):
    options = arguments(argv)
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, lambda n, _: sys.exit(128 + n))
    LOGS.mkdir(parents=True, exist_ok=True)
    for old in LOGS.iterdir():
        shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
    counts = Counts()
    started = time.monotonic()
    cluster = None
    try:
        cluster = throwaway_pg.temporary("backfill-test-pg-")
        cluster.create_database("backfill_test")
        test_all(options, Steps(counts), cluster)
    except throwaway_pg.PgError as problem:
        print(f"test: {problem}", file=sys.stderr)
        counts.add(False, "throw-away PostgreSQL")
    except KeyboardInterrupt:
        print("\ntest: interrupted", file=sys.stderr)
        return 130
    finally:
        if cluster:
            cluster.remove()
    for name in counts.skipped:
        print(f"skipped: {name}")
    for name in counts.repeated:
        print(f"repeated: {name} failed beside others")
    for name in counts.names:
        print(f"failed: {name}")
    print(f"logs: {LOGS.relative_to(ROOT)}, {time.monotonic() - started:.0f} s in all")
    print(f"{counts.passed} passed, {counts.failed} failed")
    return 1 if counts.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
