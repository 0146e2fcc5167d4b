"""Fixtures of the system tests; what they hand out is in harness.py."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
import harness  # noqa: E402
import stand  # noqa: E402

LOG_LINES_SHOWN = 60


def pytest_configure(config):
    for mark in ("asan: also run against the build with sanitizers",
                 "valgrind: run under valgrind, in a pass of its own",
                 "slow: left out by tools/test --fast"):
        config.addinivalue_line("markers", mark)


def end_sandboxes(sandboxes):
    """Stops them; their logs may not hold a defect or a sanitizer's report."""
    for one in sandboxes:
        one.stop()
    bad = [line for one in sandboxes for line in one.log.splitlines() if harness.FATAL_IN_LOG.search(line)]
    assert not bad, "the sandbox's log holds defects:\n" + "\n".join(bad[:20])


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failing test shows the ends of the logs that lie in its folder."""
    report = (yield).get_result()
    folder = getattr(item, "funcargs", {}).get("tmp_path")
    if report.failed and folder is not None:
        for log in sorted(Path(folder).glob("*.log")):
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
            report.sections.append((f"{log} (last of {len(lines)} lines)", "\n".join(lines[-LOG_LINES_SHOWN:])))


@pytest.fixture(scope="session")
def pg():
    """The cluster of the session. Do not stop it; own_pg is for that."""
    cluster = harness.session_pg()
    yield cluster
    cluster.remove()


@pytest.fixture
def own_pg():
    """A cluster of this test's own: .stop(), .kill(), .start(), .database()."""
    cluster = harness.Pg()
    yield cluster
    cluster.remove()


@pytest.fixture
def db(pg):
    """A fresh, empty UTF-8 database: .conninfo, .rows(), .row(), .value(), .execute(), .month(), .statuses()."""
    database = pg.database()
    yield database
    database.drop()


@pytest.fixture
def make_sandbox(tmp_path):
    """make_sandbox(catalogue=..., seed=...) starts one more sandbox, in a folder of its own."""
    made = []

    def start(**kwargs):
        folder = tmp_path / f"sandbox-{len(made)}"
        folder.mkdir()
        made.append(stand.Sandbox(folder, **kwargs))
        return made[-1]
    yield start
    end_sandboxes(made)


@pytest.fixture
def sandbox(tmp_path):
    """A fresh sandbox without latencies or faults: .url, .control({...}), .counters("isbndb"), .reset()."""
    process = stand.Sandbox(tmp_path)
    yield process
    end_sandboxes([process])


@pytest.fixture
def relay():
    """relay(port) puts a breakable TCP relay before a server on loopback: .port, .cut(), .freeze(), .mend()."""
    made = []

    def start(port):
        made.append(harness.Relay(port))
        return made[-1]
    yield start
    for one in made:
        one.close()


@pytest.fixture
def daemon(tmp_path, db, sandbox):
    """daemon(ini_overrides={...}, ...) starts a backfilld on this test's database and sandbox; see Stand.daemon.

    At the end every daemon is stopped, and none of their logs may hold a defect or a sanitizer's report.
    """
    made = harness.Stand(tmp_path, db, sandbox.url)
    yield made.daemon
    bad = made.close()
    assert not bad, "the daemon's log holds defects:\n" + "\n".join(bad)
