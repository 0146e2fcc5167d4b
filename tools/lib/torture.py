"""The n-th call of one kind fails while the product runs a month: one run of it, and what must hold afterwards.

The calls are counted and failed by tests/torture (preloaded). A run is the real daemon, a database and a sandbox of the bench's
own. It ends well when the month completes and the daemon drains, or when it leaves with status 1 and a word about why;
then a run without failures must complete the same month. After both: no step done twice, no answer bought again once it
was stored, no call uncounted, and the product's own proof finds nothing.
"""
import contextlib
import http.client
import mmap
import re
import signal
import secrets
import struct
import subprocess
import time
from pathlib import Path

import faults  # noqa: F401  (finds the modules below)
import harness
import psycopg2
import stand
from faults.judge import COUNTED, doubled, events_of
from stand import wait_until
from steps import AIS, MONTHS_ALONE

# In the order of enum torture_kind (tests/torture/torture.h): name, what fails, how many variants a failure has.
KINDS = (
    ("own", "memory for the program itself", 1),
    ("libpq", "memory for libpq", 1),
    ("libcurl", "memory for libcurl", 1),
    ("libevent", "memory for libevent", 1),
    ("libcares", "memory for c-ares", 1),
    ("other", "memory for the libraries below them", 1),
    ("pq", "libpq's functions", 1),
    ("lost", "the connection before one of them", 1),
    ("curl", "libcurl's functions", 1),
    ("event", "libevent's functions", 1),
    ("write", "write, send, writev", 6),
    ("read", "read, recv, readv", 6),
    ("fd", "socket, connect, accept, epoll_ctl, fcntl, open, ...", 3),
)
NAMES = tuple(name for name, _, _ in KINDS)
GROUPS = {"alloc": ("own", "libpq", "libcurl", "libevent", "libcares", "other"), "pq": ("pq", "lost"), "curl": ("curl",),
          "write": ("write", "read", "fd"), "event": ("event",), "all": NAMES}
PAGE_BYTES, NAME_BYTES, FRAMES, CALLS_MAX = 4096, 40, 24, 16384
YEAR, MONTH = 2024, 6
BOOKS = 3
READY_S, MONTH_S, DRAIN_S = 20, 45, 30
SANITIZER_EXIT = 98
ASKED = ("/healthz", "/readyz", "/metrics", "/api/internal/backfill-stats", f"/api/internal/months/{YEAR}/{MONTH}",
         "/openapi.json", "/")
# calls counted for a request that never went out, and the months that the bench took away
FORGIVEN = {*COUNTED, "coverage"}
# "Names what was short": the last words of a daemon that leaves.
WORDS = re.compile(r"^(backfilld?: .+|.*level=error .*|\S+\.ini:\d+: .+)$", re.M)


class Page:
    """What the preloaded part leaves: how often each kind was called, and from where the one that failed."""

    def __init__(self, path):
        self.path = Path(path)

    def clear(self):
        self.path.write_bytes(bytes(PAGE_BYTES))

    def read(self):
        with open(self.path, "rb") as f, mmap.mmap(f.fileno(), PAGE_BYTES, prot=mmap.PROT_READ) as m:
            raw = m[:]
        n = len(NAMES)
        self.calls = dict(zip(NAMES, struct.unpack_from(f"={n}Q", raw)))
        self.failed, = struct.unpack_from("=Q", raw, 8 * n)
        self.what = raw[8 * n + 8:8 * n + 8 + NAME_BYTES].split(b"\0")[0].decode("ascii", "replace")
        at = 8 * n + 8 + NAME_BYTES
        self.frames = self._way(raw, at)
        self.died = self._way(raw, at + 8 + FRAMES * (NAME_BYTES + 8))
        return self

    @staticmethod
    def _way(raw, at):
        """[(module, offset)], innermost first."""
        n, = struct.unpack_from("=Q", raw, at)
        frames = (struct.unpack_from(f"={NAME_BYTES}sQ", raw, at + 8 + i * (NAME_BYTES + 8)) for i in range(min(n, FRAMES)))
        return [(name.split(b"\0")[0].decode("ascii", "replace"), offset) for name, offset in frames]


class Trial:
    """What came of one n."""

    def __init__(self, kind, n, variant):
        self.kind, self.n, self.variant = kind, n, variant
        self.reached = False
        self.clean_exit = False
        self.theirs = ""            # the library that died of it by itself
        self.findings = []
        self.what = ""
        self.frames = self.died = ()
        self.seconds = 0.0

    @property
    def name(self):
        return f"{self.kind} {self.n}" + (f" variant {self.variant}" if self.variant else "")


class Finding(Exception):
    """What must not be, in words."""


class Bench:
    """A database, a sandbox and a configuration, used for one run after the other."""

    def __init__(self, folder, conninfo, shim, build=None, stay=False, enrich=False):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True)
        self.shim, self.build, self.stay = shim, build, stay
        self.page = Page(self.folder / "page")
        self.secret = secrets.token_hex(16)
        # an address of its own on loopback: nobody else's connection can take the port between two runs
        self.listen = f"127.{1 + secrets.randbelow(250)}.{secrets.randbelow(250)}.{1 + secrets.randbelow(250)}:8787"
        self.ini, self.log = self.folder / "backfilld.ini", self.folder / "backfilld.log"
        self.env = stand.daemon_env(self.secret, {
            "ASAN_OPTIONS": f"detect_leaks=1:verify_asan_link_order=0:exitcode={SANITIZER_EXIT}:allocator_may_return_null=1",
            "LSAN_OPTIONS": f"suppressions={self.folder / 'loader'}:print_suppressions=0",
            "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1"})
        # the sanitizer knows the loader's own memory by its caller, which the preloaded part is now
        (self.folder / "loader").write_text("leak:_dl_\nleak:dl_open\n", encoding="ascii")
        self.db = harness.Database(conninfo, "n_" + secrets.token_hex(5))
        self.sandbox = stand.Sandbox(self.folder, build=build)
        self.sandbox.control({"providers": {p: {"latency_ms": [0, 0]} for p in stand.PROVIDERS}})
        self.ini.write_text(stand.render_ini(stand.merge(self._sections(), {} if enrich else MONTHS_ALONE)), encoding="utf-8")
        self.months_alone = not enrich
        self._prepare()

    def _sections(self):
        return {
            "daemon": {"instance": "tortured", "drain_timeout": "5s", "contact": "tests@localhost"},
            "database": {"conninfo": self.db.conninfo, "connections": 2},
            "admin": {"listen": self.listen, "secret_env": stand.SECRET_ENV},
            "scheduler": {"schedule": "", "catch_up": "none", "retry_base": "100ms", "retry_cap": "200ms"},
            "generation": {"books_per_provider": BOOKS},
            "enrichment": {"poll": "1s"},
            "enhancement": {"schedule": ""},
            **stand.sandbox_providers(self.sandbox.url, timeout="5s"),
        }

    def _prepare(self):
        """Migrates, seeds one month, and keeps a copy of every row to go back to."""
        stand.migrate(self.ini, self.log, self.env, build=self.build)
        d = self._start(None)
        try:
            d.wait_ready(60)
            assert d.post("/api/internal/seed-backfill-queue", {"year_start": YEAR, "year_end": YEAR}).status == 200
        finally:
            d.stop()
        self.db.execute("DELETE FROM backfill_log WHERE month <> %s", MONTH)
        self.db.execute("DELETE FROM backfill_instances")
        self.db.execute("CREATE SCHEMA kept")
        self.tables = self.db.column("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for table in self.tables:
            self.db.execute(f'CREATE TABLE kept."{table}" AS TABLE public."{table}"')
        steps = ["SET session_replication_role = replica"]
        for table in self.tables:
            columns = ", ".join(f'"{c}"' for c in self.db.column(
                "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = %s"
                " AND is_generated = 'NEVER' ORDER BY ordinal_position", table))
            steps.append(f'DELETE FROM public."{table}"')
            if self.db.value(f'SELECT count(*) FROM kept."{table}"'):
                steps.append(f'INSERT INTO public."{table}" ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM kept."{table}"')
        self.again = "; ".join([*steps, "SET session_replication_role = origin"])

    def close(self):
        with contextlib.suppress(Exception):
            self.sandbox.stop()
        with contextlib.suppress(psycopg2.Error):
            self.db.drop()

    # ---- one run ----

    def reset(self):
        """The database as it was, the sandbox's counts at zero, nobody connected."""
        wait_until(lambda: not self.db.value("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                                             " AND pid <> pg_backend_pid()"), 20, "every session gone", every=0.01)
        self.db.execute(self.again)
        self.sandbox.reset()

    def _start(self, orders, places=None):
        env = dict(self.env)
        if places:
            env["TORTURE_PLACES"] = str(places)
        if orders is not None:
            env.update(LD_PRELOAD=str(self.shim), TORTURE_PAGE=str(self.page.path))
            if orders:
                env["TORTURE"] = orders
        return stand.Daemon(self.ini, self.log, self.listen, self.secret, env, build=self.build)

    def status(self):
        return self.db.value("SELECT status FROM backfill_log WHERE year = %s AND month = %s", YEAR, MONTH)

    def finished(self):
        """The month is completed, and the queue is empty where it is worked on."""
        if self.status() != "completed":
            return False
        return self.months_alone or not self.db.value(
            "SELECT count(*) FROM enrichment_queue WHERE status NOT IN ('completed', 'failed')")

    def run(self, orders, limit=MONTH_S, places=None):
        """Runs the daemon until the month is done; (its exit status, what is wrong). orders None: without the preloaded part."""
        self.log.write_bytes(b"")
        d = self._start(orders, places)
        try:
            self._drive(d, limit)
            if d.running:
                wrong = self._ask(d)
                return self._end(d), wrong
            return d.wait(), []
        except TimeoutError as late:
            return None, [str(late)]
        finally:
            if d.running:
                d.kill9()
            d.process.wait()

    def _end(self, d):
        """Asks it to drain; once more when it did not hear, which a signal that came to a full pipe is; its exit status."""
        for _ in range(2):
            if b"msg=draining" not in self.log.read_bytes():
                d.term()
            with contextlib.suppress(subprocess.TimeoutExpired):
                return d.wait(DRAIN_S / 2)
        raise TimeoutError(f"did not end within {DRAIN_S} s of SIGTERM")

    def _drive(self, d, limit):
        """Has the month claimed, asking again as an operator would, until it is done or the daemon left."""
        began, asked, ready = time.monotonic(), 0.0, False
        while d.running and not (ready and self.finished()):
            now = time.monotonic()
            if now - began > limit:
                raise TimeoutError(f"stands still: the month is {self.status()} after {limit} s")
            ready = now - began > 3 or b"msg=ready" in self.log.read_bytes()
            if ready and now - asked > 1 and self.status() == "pending":
                with contextlib.suppress(Exception):
                    d.post("/api/internal/schedule-backfill", {"batch_size": 1}, timeout=3)
                asked = time.monotonic()
            time.sleep(0.02)

    def _ask(self, d):
        """What the interface says at the end: nothing, an error, or the truth; then the proof."""
        wrong = []
        for path in (*ASKED, "/api/internal/verify"):
            answer = None
            with contextlib.suppress(OSError, http.client.HTTPException):
                answer = d.get(path, timeout=10)
            if answer is not None:
                wrong += self._look(path, answer)
        return wrong

    def _look(self, path, answer):
        if answer.status == 400 and b"<H1>Bad Request" in answer.body:
            return []       # libevent's own answer when it has no memory for a header
        if answer.status not in (200, 500, 503):
            return [f"GET {path}: {answer}"]
        if answer.status != 200 or path in ("/healthz", "/metrics", "/"):
            return []
        try:
            said = answer.json
        except ValueError:
            return [f"GET {path}: 200 with what is no JSON: {answer}"]
        if path.startswith("/api/internal/months/") and said.get("status") != "completed":
            return [f"GET {path}: the month is completed, not {said.get('status')}"]
        if path.endswith("/verify"):
            return [f"verify: {f['severity']} {f['check']} {f['subject']}: {f['text']}" for f in said["findings"]
                    if not (f["severity"] == "warning" and f["check"] in FORGIVEN)]
        return []

    # ---- one trial ----

    def count(self):
        """A run in which nothing fails: {kind: how many calls}, {kind: the n of the first and the last call of each place}."""
        file = self.folder / "places"
        file.write_bytes(bytes(8 * CALLS_MAX * len(NAMES)))
        self.reset()
        self.page.clear()
        status, wrong = self.run("", places=file)
        wrong += self._judge({})
        if status != 0 or wrong:
            raise Finding(f"a run without failures ended with {status}: {wrong}\n{self._tail()}")
        calls, raw, places = self.page.read().calls, file.read_bytes(), {}
        file.unlink()
        for i, name in enumerate(NAMES):
            seen = struct.unpack_from(f"={min(calls[name], CALLS_MAX)}Q", raw, 8 * CALLS_MAX * i)
            first, last = {}, {}
            for n, at in enumerate(seen, 1):
                first.setdefault(at, n)
                last[at] = n
            places[name] = sorted({*first.values(), *last.values()})
        return calls, places

    def trial(self, kind, n, variant):
        """The n-th call of that kind fails."""
        t = Trial(kind, n, variant)
        began = time.monotonic()
        self.reset()
        self.page.clear()
        status, t.findings = self.run(f"{NAMES.index(kind)}:{n}:{variant}" + (":stay" if self.stay else ""))
        page = self.page.read()
        t.reached, t.what, t.frames, t.died = page.failed > 0, page.what, page.frames, page.died
        self._judge_exit(t, status)
        stored = {}
        if not self.finished():
            stored = self._stored()
            self.log.rename(self.log.with_suffix(".first"))
            again, wrong = self.run(None)
            if again != 0:
                t.findings.append(f"afterwards, without failures: ended with {again}")
            t.findings += [f"afterwards: {w}" for w in wrong]
        t.findings += self._judge(stored)
        t.seconds = time.monotonic() - began
        return t

    def _judge_exit(self, t, status):
        log = self.log.read_text(encoding="utf-8", errors="replace")
        bad = harness.FATAL_IN_LOG.search(log)
        caller = next((module for module, _ in t.died if not module.startswith(("libc.", "ld-linux"))), "program")
        if status in (-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS) and caller != "program":
            t.theirs = caller       # no code of ours was at it
            return
        if bad:
            t.findings.append("the log holds: " + log[bad.start():bad.start() + 600].split("\n\n")[0])
        if status == 0 or (status is None and t.findings):
            return
        words = WORDS.findall(log)
        if words and (status in (1, 2, 3) or status == -signal.SIGTERM):     # asked to leave when it was about to
            t.clean_exit = True
        else:
            t.findings.append(f"ended with {status}" + ("" if words else " without a word") + f": {self._tail(2)}")

    def _tail(self, lines=6):
        return " | ".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def _stored(self):
        """{AI: requests so far} of those whose answer is stored."""
        have = set(self.db.column("SELECT provider FROM backfill_answers"))
        return {ai: self.sandbox.counters(ai)["requests"] for ai in AIS if ai in have}

    def _judge(self, stored):
        """What is wrong in the database and with what was paid for; stored: see _stored(), before the second run."""
        wrong = []
        if not self.finished():
            return [f"the month is lost: {self.status()}"]
        events = events_of(self.db)
        if doubled(events):
            wrong.append(f"{doubled(events)} steps done twice")
        counters = self.sandbox.counters()["providers"]
        for ai in AIS:
            if ai in stored and counters[ai]["requests"] > stored[ai]:
                wrong.append(f"{ai} was asked again although its answer was stored")
            answered = sum(e["event"] == "answered" and (e["detail"] or {}).get("provider") == ai for e in events[YEAR, MONTH])
            if answered > 1:
                wrong.append(f"{ai}: {answered} answers stored")
        for name in (*AIS, "isbndb"):
            counted = self.db.value(f"SELECT sum({name}_calls) FROM backfill_log") or 0
            if self.months_alone and counted < counters[name]["requests"]:
                wrong.append(f"{name}: {counters[name]['requests']} requests, only {counted} counted")
        return wrong


def where(frames, program, limit=12):
    """The frames of a call as text, the program's own with line numbers."""
    own = [hex(offset - 1) for module, offset in frames if module == "program"]
    lines = []
    if own:
        done = subprocess.run(["addr2line", "-f", "-s", "-p", "-e", str(program), *own], capture_output=True, text=True, check=False)
        lines = done.stdout.splitlines()
    named = iter(lines)
    return [next(named, hex(offset)) if module == "program" else f"{module}+{hex(offset)}" for module, offset in frames[:limit]]
