"""What tools/test does after the packages are there: checks, builds, tests, one closing line of counts.

Each step prints one line with its seconds and keeps its output in build/test-logs/; only failing output is shown.
All processes are children of this one and end with it.
"""
import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
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
CLANG = ROOT / "build-clang"
LOGS = BUILD / "test-logs"
SHOWN_LINES = 80
STEP_TIMEOUT_S = 900
BROWSER_TIMEOUT_S = 240     # for one file of tests/browser
SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
}


class Counts:
    """Passed and failed so far, and the names of what failed or was left out."""

    def __init__(self):
        self.passed = 0
        self.failed = 0
        self.names = []
        self.skipped = []

    def add(self, ok, name):
        if ok:
            self.passed += 1
        else:
            self.failed += 1
            self.names.append(name)


def environment(extra=None):
    """Ours, without what would change the builds or the tests behind our back."""
    env = dict(os.environ, LC_ALL="C.UTF-8", CC="gcc", PYTHONDONTWRITEBYTECODE="1", **SANITIZERS)
    for name in ("CFLAGS", "LDFLAGS", "CPPFLAGS", "http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY",
                 "ALL_PROXY", "DESTDIR", "PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGSERVICE", "PGOPTIONS"):
        env.pop(name, None)
    env.update(extra or {})
    return env


def run(argv, log, env=None, timeout=STEP_TIMEOUT_S):
    """Runs to the end with output in the log; the exit status, or a text when it was ended for taking too long."""
    with open(log, "ab") as out:
        child = subprocess.Popen([str(a) for a in argv], cwd=ROOT, env=environment(env), stdin=subprocess.DEVNULL,
                                 stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
                                 preexec_fn=throwaway_pg.end_with_parent(signal.SIGTERM))
        try:
            return child.wait(timeout)
        except BaseException as problem:
            os.killpg(child.pid, signal.SIGTERM)
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
            if isinstance(problem, subprocess.TimeoutExpired):
                return f"ended after {timeout} s"
            raise


def show(log, lines=SHOWN_LINES):
    """The end of a log, indented."""
    text = Path(log).read_text(encoding="utf-8", errors="replace").splitlines()
    if len(text) > lines:
        print(f"    ... {len(text) - lines} lines more in {log}")
    for line in text[-lines:]:
        print("    " + line)


class Steps:
    """Numbered steps with one progress line each."""

    def __init__(self, counts):
        self.counts = counts
        self.number = 0

    def begin(self, name):
        self.number += 1
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        log = LOGS / f"{self.number:02}-{slug}.log"
        log.unlink(missing_ok=True)
        print(f"{self.number:2}. {name} ...", end=" ", flush=True)
        return log, time.monotonic()

    def end(self, started, words):
        print(f"{words} ({time.monotonic() - started:.1f} s)", flush=True)

    def check(self, name, argv, env=None):
        """A step that counts as one: fine with exit status 0."""
        log, started = self.begin(name)
        status = run(argv, log, env)
        self.end(started, "ok" if status == 0 else f"FAILED ({status})")
        if status != 0:
            show(log)
        self.counts.add(status == 0, name)
        return status == 0

    def build(self, name, folder, profile=None):
        """Configures if need be and compiles; warnings fail it even where they are not errors."""
        log, started = self.begin(name)
        status = configure(folder, profile, log)
        if status == 0:
            # a log of its own, so that a failure is not shown among the lines of the configuration
            log = log.with_suffix(".ninja.log")
            status = run(["ninja", "-k", "20", "-C", folder], log)
        if status == 0 and re.search(r"(?m)^\S+:\d+(:\d+)?: warning: ", log.read_text(errors="replace")):
            status = "warnings"
        self.end(started, "ok" if status == 0 else f"FAILED ({status})")
        if status != 0:
            show(log)
        self.counts.add(status == 0, name)
        return status == 0


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


def meson_tests(steps, name, folder, arguments, conninfo, jobs=2):
    """Runs meson tests of a built folder and counts their cases."""
    log, started = steps.begin(name)
    json_log = folder / "meson-logs" / "testlog.json"
    json_log.unlink(missing_ok=True)
    status = run(["meson", "test", "-C", folder, "--no-rebuild", "--print-errorlogs", "--num-processes", str(jobs),
                  "-t", "4", *arguments], log, {"CMOCKA_MESSAGE_OUTPUT": "TAP", "BF_TEST_CONNINFO": conninfo})
    counts = steps.counts
    before = (counts.passed, counts.failed)
    if json_log.exists():
        for line in json_log.read_text(encoding="utf-8", errors="replace").splitlines():
            count_unit(json.loads(line), counts)
    passed, failed = counts.passed - before[0], counts.failed - before[1]
    if (status != 0 and not failed) or passed + failed == 0:
        counts.add(False, f"{name}: status {status}, {passed} tests")
        failed += 1
    steps.end(started, f"{passed} passed, {failed} failed")
    if failed:
        show(log)


# Several daemons at once, in two lanes, beside them one that mostly waits; but the rate is measured alone, on a calm machine.
TOGETHER = "tests/system/test_together.py"
TOGETHER_TOO = "tests/system/test_enrichment_together.py"
PATIENT = "tests/system/test_alerts_run.py"
KILLS, RATE = f"{TOGETHER}::test_thirty_kills", f"{TOGETHER}::test_the_rate_holds_over_two_daemons"
CROWDS = [[KILLS], [TOGETHER_TOO, TOGETHER, f"--deselect={KILLS}", f"--deselect={RATE}"], [PATIENT]]
# The others in four lanes that take about as long as each other: two work, two mostly wait.
LANES = [["test_months.py", "test_service.py", "test_tools.py", "test_sandbox.py", "test_http.py", "test_enrichment_faults.py"],
         ["test_resolution.py", "test_generation.py", "test_quota.py", "test_start.py", "test_enrichment.py", "test_compat.py",
          "test_seeds.py", "test_verify.py"],
         ["test_alerts.py", "test_alerts_webhook.py", "test_timer.py"]]


def lanes():
    """The files of tests/system but those of several daemons, in lanes; a new file goes into the last."""
    taken = [f"tests/system/{name}" for lane in LANES for name in lane]
    rest = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "tests" / "system").glob("test_*.py"))
    return [[f"tests/system/{name}" for name in lane] for lane in LANES] + \
        [[name for name in rest if name not in [*taken, TOGETHER, TOGETHER_TOO, PATIENT]]]


def pytests(steps, name, arguments, build, conninfo, none_is_fine, groups=(("tests/system",),)):
    """Runs pytest over groups of files of tests/system, side by side, and counts from their reports."""
    log, started = steps.begin(name)
    before = (steps.counts.passed, steps.counts.failed)
    logs = [log.with_name(f"{log.stem}-{i + 1}.log") if len(groups) > 1 else log for i in range(len(groups))]
    with ThreadPoolExecutor(len(groups)) as pool:
        statuses = list(pool.map(lambda pair: pytest_once(pair[0], pair[1], arguments, build, conninfo), zip(groups, logs)))
    bad = [one for one, status in zip(logs, statuses) if count_pytest(steps, name, one, status, none_is_fine)]
    steps.end(started, f"{steps.counts.passed - before[0]} passed, {steps.counts.failed - before[1]} failed")
    for one in bad:
        show(one, 3 * SHOWN_LINES)


def pytest_once(files, log, arguments, build, conninfo):
    """One pytest over some files; its exit status."""
    report = log.with_suffix(".xml")
    report.unlink(missing_ok=True)
    log.unlink(missing_ok=True)
    return run(["/usr/bin/python3", "-B", "-m", "pytest", *files, "-p", "no:cacheprovider", "-rs", "-q", "--color=no",
                f"--junitxml={report}", f"--basetemp={LOGS / (log.stem + '.tmp')}", *arguments], log,
               {"BF_BUILD": str(build), "BF_TEST_CONNINFO": conninfo}, timeout=2 * STEP_TIMEOUT_S)


def count_pytest(steps, name, log, status, none_is_fine):
    """Counts one report; how many failed."""
    report = log.with_suffix(".xml")
    counts = steps.counts
    failed = 0
    if report.exists():
        for case in ElementTree.parse(report).getroot().iter("testcase"):
            title = f"{case.get('classname')}.{case.get('name')}"
            if case.find("skipped") is not None:
                counts.skipped.append(title)
                continue
            ok = case.find("failure") is None and case.find("error") is None
            counts.add(ok, title)
            failed += not ok
    nothing = status == 5 and none_is_fine
    if status != 0 and not failed and not nothing:
        counts.add(False, f"{name}: pytest ended with {status}")
        failed += 1
    return failed


def browser(steps, build, conninfo):
    """Runs the tests of the dashboard in Chromium and counts them."""
    log, started = steps.begin("dashboard in a browser")
    counts, env = steps.counts, {"BF_BUILD": str(build), "BF_TEST_CONNINFO": conninfo}
    before, bad = (counts.passed, counts.failed), []
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
                bad.append(one)
    except node_packages.NodeError as problem:
        log.write_text(f"{problem}\n", encoding="utf-8")
        counts.add(False, "dashboard in a browser")
        bad.append(log)
    steps.end(started, f"{counts.passed - before[0]} passed, {counts.failed - before[1]} failed")
    for one in bad:
        show(one, 2 * SHOWN_LINES)


def arguments(argv):
    p = argparse.ArgumentParser(prog="tools/test", description="Builds and runs every test; the last line has the counts.")
    p.add_argument("--fast", action="store_true", help="gcc build only: no clang, no sanitizers, no slow tests")
    p.add_argument("-k", metavar="EXPR", help="only the system tests that match (pytest -k), on the gcc build")
    p.add_argument("--browser", action="store_true", help="only the dashboard's tests in Chromium, on the gcc build")
    p.add_argument("-x", action="store_true", help="stop the system tests at the first failure")
    return p.parse_args(argv)


def test_all(options, steps, cluster):
    """Every step in order; what needs a build that failed is not run, the failed build is in the counts."""
    conninfo = cluster.conninfo("backfill_test", tcp=True)
    system = ["-k", options.k] if options.k else []
    system += ["-x"] if options.x else []
    full = not options.fast and not options.k
    built = steps.build("build with gcc", BUILD)
    if options.browser:
        if built:
            browser(steps, BUILD, conninfo)
        return
    if not options.k:
        steps.check("check rooms", ["tools/check-rooms"])
        steps.check("check house", ["tools/check-house"])
    asan = full and steps.build("build with sanitizers", ASAN, "asan.ini")
    if full:
        steps.build("build with clang", CLANG, "clang.ini")
        if asan:
            meson_tests(steps, "unit tests, sanitized", ASAN, ["--suite", "unit"], conninfo)
        if built and other_suites():
            meson_tests(steps, "other suites", BUILD, ["--no-suite", "unit"], conninfo)
    elif built and not options.k:
        meson_tests(steps, "unit tests", BUILD, ["--suite", "unit"], conninfo)
    if not built or not any((ROOT / "tests" / "system").glob("test_*.py")):
        return
    steps.check("npm packages of the tests", ["/usr/bin/python3", "-B", "tools/lib/node_packages.py"])
    marks = "not valgrind and not slow" if options.fast else "not valgrind"
    if options.k:
        pytests(steps, "system tests", ["-m", marks, *system], BUILD, conninfo, True)
        return
    pytests(steps, "several daemons", ["-m", marks, *system], BUILD, conninfo, options.fast, CROWDS)
    pytests(steps, "the rate, measured alone", ["-m", marks, *system], BUILD, conninfo, False, [[RATE]])
    pytests(steps, "system tests", ["-m", marks, *system], BUILD, conninfo, False, lanes())
    if full:
        browser(steps, BUILD, conninfo)
    if asan:
        pytests(steps, "system tests, sanitized", ["-m", "asan", *system], ASAN, conninfo, True)
    if full:
        pytests(steps, "system tests under valgrind", ["-m", "valgrind", *system], BUILD, conninfo, True)


def other_suites():
    """True when the plain build has tests outside the suite `unit` (benchmarks are none)."""
    out = subprocess.run(["meson", "introspect", "--tests", str(BUILD)], capture_output=True, text=True, check=False,
                         env=environment())
    if out.returncode != 0:
        return False
    return any(not any(s.split(":")[-1] == "unit" for s in t["suite"]) for t in json.loads(out.stdout))


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
    for name in counts.names:
        print(f"failed: {name}")
    print(f"logs: {LOGS.relative_to(ROOT)}, {time.monotonic() - started:.0f} s in all")
    print(f"{counts.passed} passed, {counts.failed} failed")
    return 1 if counts.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
