"""Runs the tests of tests/browser, each file by a Node.js of its own, two files side by side, and counts from their TAP.

By hand: tools/lib/browser_tests.py [NAME...] runs those whose file's name holds one of the names, and shows everything.
"""
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import node_packages

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "browser"
LANES = 2
# The longest first, so that the lanes end together; a new file goes last.
LONG_FIRST = ["test_views.mjs", "test_actions.mjs", "test_login.mjs", "test_live.mjs", "test_away.mjs", "test_weight.mjs"]
# `ok 1 - name`, `not ok 2 - name # SKIP why`; what belongs to a test is indented
LINE = re.compile(r"^(not ok|ok) \d+ - (.*?)(?: # (SKIP|TO" r"DO)\b.*)?$", re.M)


def files(names=()):
    """The files to run, in the order of their start."""
    found = sorted(FOLDER.glob("test_*.mjs"), key=lambda p: (LONG_FIRST.index(p.name) if p.name in LONG_FIRST else 99, p.name))
    return [p for p in found if not names or any(name in p.name for name in names)]


def results(text):
    """[(name, "passed" | "failed" | "skipped")] of a file's TAP."""
    return [(m.group(2), "skipped" if m.group(3) else "passed" if m.group(1) == "ok" else "failed")
            for m in LINE.finditer(text)]


def run_all(run, folder, names=()):
    """Runs the files with run(argv, log) -> status. Yields (file, log, status, results) in the order of their start."""
    def one(path):
        log = folder / f"browser-{path.stem}.log"
        log.unlink(missing_ok=True)
        status = run([node, "--test-reporter=tap", path], log)
        return path, log, status, results(log.read_text(encoding="utf-8", errors="replace"))
    node = node_packages.node()
    node_packages.ensure()
    with ThreadPoolExecutor(LANES) as pool:
        yield from pool.map(one, files(names))


def main(names):
    def run(argv, log):
        with open(log, "wb") as out:
            return subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=os.environ,
                                  check=False).returncode
    logs = FOLDER.parents[1] / "build" / "test-logs"
    logs.mkdir(parents=True, exist_ok=True)
    bad = False
    for path, log, status, found in run_all(run, logs, names):
        failed = [name for name, how in found if how == "failed"]
        bad = bad or status != 0
        print(f"{path.name}: {len(found) - len(failed)} fine, {len(failed)} failed, status {status} ({log})", flush=True)
        if status != 0:
            print(log.read_text(encoding="utf-8", errors="replace"))
    return 1 if bad else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except node_packages.NodeError as problem:
        sys.exit(f"browser_tests: {problem}")
