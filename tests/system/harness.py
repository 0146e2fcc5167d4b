"""What the system tests drive the real binaries with: a database, a sandbox and daemons, each ended by its own id.

Binaries come from $BF_BUILD (default build/). $BF_TEST_CONNINFO names a running cluster to make databases in; without it
the session starts a throw-away one. Everything is on loopback, nothing is shared between two tests.
"""
import contextlib
import hashlib
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import psycopg2
import psycopg2.extensions
import psycopg2.extras

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools" / "lib"))
import stand  # noqa: E402
import throwaway_pg  # noqa: E402
from stand import binary, free_port, wait_until  # noqa: E402

# What no log may ever hold: a defect the daemon noticed itself, or one a sanitizer or valgrind noticed.
FATAL_IN_LOG = re.compile(
    r'level=error msg="?bug|"level":"error","msg":"bug|AddressSanitizer|LeakSanitizer|UndefinedBehaviorSanitizer|'
    r"runtime error:|MemorySanitizer|Assertion .* failed|stack smashing|double free|malloc\(\): |free\(\): ", re.I)
VALGRIND = ["valgrind", "-q", "--error-exitcode=99", "--leak-check=full", "--show-leak-kinds=definite,indirect",
            "--errors-for-leak-kinds=definite,indirect", "--num-callers=30", "--max-stackframe=4000000"]
VALGRIND_EXIT = 99


class Database:
    """A database of one test: a conninfo and short ways to ask it.

    It is made when it is first asked for, empty; or by a daemon that wants it migrated, as a copy of one that was.
    """

    def __init__(self, conninfo, name):
        self.server = psycopg2.extensions.parse_dsn(conninfo)
        self.name = name
        self.address = self._named(name)    # where it is or will be; conninfo makes sure that it is
        self._made = False
        self._connection = None

    def _named(self, name):
        return " ".join(f"{k}={v}" for k, v in {**self.server, "dbname": name}.items())

    @contextlib.contextmanager
    def _admin(self):
        admin = psycopg2.connect(**{**self.server, "dbname": "postgres"})
        admin.autocommit = True
        try:
            with admin.cursor() as cursor:
                yield cursor
        finally:
            admin.close()

    @staticmethod
    def _create(cursor, name, template="template0"):
        cursor.execute(f"CREATE DATABASE \"{name}\" TEMPLATE \"{template}\" ENCODING 'UTF8' LOCALE 'C.UTF-8'")

    def make(self):
        """Empty, unless it is there."""
        if not self._made:
            with self._admin() as cursor:
                self._create(cursor, self.name)
            self._made = True

    def make_migrated(self, migrate):
        """As a copy of one that migrate(conninfo) was called for, once for this build and cluster; False when it is there."""
        if self._made:
            return False
        program = binary("backfilld").resolve()
        mark = hashlib.sha256(f"{program} {program.stat().st_mtime_ns}".encode()).hexdigest()[:16]
        template = f"migrated_{mark}"
        with self._admin() as cursor:
            cursor.execute("SELECT pg_advisory_lock(hashtext(%s))", (template,))
            cursor.execute("SELECT count(*) FROM pg_database WHERE datname = %s", (template,))
            if cursor.fetchone()[0] == 0:
                half = f"{template}_half"
                cursor.execute(f'DROP DATABASE IF EXISTS "{half}" WITH (FORCE)')
                self._create(cursor, half)
                migrate(self._named(half))
                cursor.execute(f'ALTER DATABASE "{half}" RENAME TO "{template}"')
            self._create(cursor, self.name, template)
        self._made = True
        return True

    @property
    def conninfo(self):
        self.make()
        return self.address

    def connect(self, **kwargs):
        """A session of its own (autocommit), for tests that hold locks or transactions."""
        connection = psycopg2.connect(self.conninfo, **kwargs)
        connection.autocommit = True
        return connection

    def _cursor(self):
        if self._connection is None or self._connection.closed:
            self._connection = self.connect()
        return self._connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor)

    def execute(self, sql, *params):
        """Runs one statement; how many rows it touched."""
        with self._cursor() as cursor:
            cursor.execute(sql, params or None)
            return cursor.rowcount

    def rows(self, sql, *params):
        """All rows, as dicts."""
        with self._cursor() as cursor:
            cursor.execute(sql, params or None)
            return [dict(row) for row in cursor.fetchall()]

    def row(self, sql, *params):
        """The one row there is; None for none; an error for more."""
        found = self.rows(sql, *params)
        assert len(found) <= 1, f"{len(found)} rows: {sql}"
        return found[0] if found else None

    def value(self, sql, *params):
        """The first column of the one row, None without a row."""
        found = self.row(sql, *params)
        return next(iter(found.values())) if found else None

    def column(self, sql, *params):
        """The first column of all rows."""
        return [next(iter(row.values())) for row in self.rows(sql, *params)]

    def month(self, year, month):
        """A row of backfill_log, None when there is none."""
        return self.row("SELECT * FROM backfill_log WHERE year = %s AND month = %s", year, month)

    def statuses(self):
        """{status: how many months}."""
        return {row["status"]: row["n"] for row in self.rows("SELECT status, count(*) AS n FROM backfill_log GROUP BY 1")}

    def close(self):
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def drop(self):
        """Removes it, whoever is still connected."""
        self.close()
        with self._admin() as cursor:
            cursor.execute(f'DROP DATABASE IF EXISTS "{self.name}" WITH (FORCE)')


class Relay:
    """A TCP relay on loopback between the daemon and a server: lets a test break the network and mend it.

    up (default): bytes flow. cut(): connections are reset and new ones refused. freeze(): everything stays open and
    nothing moves, as when a host vanishes. mend(): as at first.
    """

    def __init__(self, port, host="127.0.0.1", listen=None):
        """listen: (address, port), a free port on loopback unless told."""
        self.target = (host, port)
        self._pairs = []
        self._lock = threading.Lock()
        self._flow = threading.Event()
        self._flow.set()
        self._closed = False
        self._listener = None
        self.address, self.port = listen or ("127.0.0.1", free_port())
        self._listen()

    def _listen(self):
        self._listener = socket.create_server((self.address, self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self._flow.wait()
            try:
                server = socket.create_connection(self.target, 5)
                server.settimeout(None)
            except OSError:
                client.close()
                continue
            with self._lock:
                self._pairs.append((client, server))
            for a, b in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(a, b), daemon=True).start()

    def _pump(self, source, sink):
        try:
            while data := source.recv(65536):
                self._flow.wait()
                sink.sendall(data)
        except OSError:
            pass
        for s in (source, sink):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    @property
    def connections(self):
        """How many connections it has carried since the last cut."""
        with self._lock:
            return len(self._pairs)

    def cut(self):
        """Resets every connection and refuses new ones until mend()."""
        if self._listener is not None:
            # shutdown wakes the thread in accept(); close alone would leave it there with the port taken
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for s in pair:
                try:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                s.close()

    def freeze(self):
        """Nothing moves any more, nobody is told."""
        self._flow.clear()

    def mend(self):
        """Bytes flow and connections are taken again."""
        self._flow.set()
        if self._listener is None and not self._closed:
            self._listen()

    def close(self):
        self._closed = True
        self.cut()
        self._flow.set()


class Pg:
    """A cluster that databases are made in: the session's, or one of a test's own that it may stop."""

    def __init__(self, conninfo=None):
        self.cluster = None
        if conninfo is None:
            self.cluster = throwaway_pg.temporary("backfill-test-pg-")
            conninfo = self.cluster.conninfo(tcp=True)
        self._conninfo = conninfo

    def database(self):
        return Database(self._conninfo, "t_" + secrets.token_hex(6))

    def stop(self):
        self.cluster.stop()

    def kill(self):
        """As a crash of the server; start() recovers."""
        self.cluster.kill()

    def start(self):
        self.cluster.start()

    def remove(self):
        if self.cluster:
            self.cluster.remove()


class Stand:
    """Makes the daemons of one test and takes them down."""

    def __init__(self, folder, database, sandbox_url):
        self.folder = Path(folder)
        self.database = database
        self.conninfo = database.address
        self.sandbox_url = sandbox_url
        self.daemons = []
        self._migrated = set()

    def base_ini(self, conninfo, listen, instance):
        """Fast, unlimited, no timer, a second where the defaults have a minute; overrides go on top."""
        return {
            "daemon": {"instance": instance, "log_level": "debug", "drain_timeout": "5s", "contact": "tests@localhost"},
            "database": {"conninfo": conninfo, "connections": 4},
            "admin": {"listen": listen, "secret_env": stand.SECRET_ENV},
            "scheduler": {"schedule": "", "catch_up": "none", "retry_base": "1s", "retry_cap": "5s"},
            "enrichment": {"poll": "1s"},
            "enhancement": {"schedule": ""},
            **stand.sandbox_providers(self.sandbox_url, timeout="10s"),
        }

    def daemon(self, ini_overrides=None, env=None, start=True, migrate=True, wait=True, valgrind=False, conninfo=None,
               secret=None, instance=None, may_log_bugs=False, ready_timeout=None):
        """Writes an INI, migrates the database once, starts `backfilld run` and waits for /readyz.

        ini_overrides {section: {key: value}}, value None leaves a key out. start=False: only the files; .start()
        later. wait=False: do not wait for /readyz. may_log_bugs: a log with a defect in it does not fail the test.
        """
        made = TestDaemon(self, ini_overrides, env, valgrind, conninfo or self.conninfo, secret, instance, may_log_bugs)
        self.daemons.append(made)
        if migrate and made.conninfo not in self._migrated:
            if not self.database.make_migrated(made.migrate):
                made.migrate(conninfo=self.conninfo if conninfo else None)
            self._migrated.add(made.conninfo)
        self.database.make()
        if start:
            made.start()
            if wait:
                made.wait_ready(ready_timeout)
        return made

    def close(self):
        """Ends every daemon; returns what their logs hold that no log may hold."""
        found = []
        for d in self.daemons:
            d.close()
            found += d.findings()
        return found


class TestDaemon:
    """A daemon's files, and the process while there is one. Unknown attributes are those of the process."""

    __test__ = False        # not a test class, whatever pytest thinks of its name

    def __init__(self, owner, ini_overrides, env, valgrind, conninfo, secret, instance, may_log_bugs):
        n = len(owner.daemons)
        self.conninfo = conninfo
        self.secret = secret or secrets.token_hex(16)
        self.listen = f"127.0.0.1:{free_port()}"
        self.url = f"http://{self.listen}"
        self.instance = instance or f"test-{n}"
        self.folder = owner.folder
        self.ini_path = owner.folder / f"backfilld-{n}.ini"
        self.log_path = owner.folder / f"backfilld-{n}.log"
        self.log_path.touch()
        self.env = stand.daemon_env(self.secret, env)
        self.sections = stand.merge(owner.base_ini(conninfo, self.listen, self.instance), ini_overrides)
        self.may_log_bugs = may_log_bugs
        self.valgrind = valgrind
        self.wrap = []              # a command that ends in being the daemon
        self.process = None
        self.last_status = None
        self.write_ini()

    def write_ini(self, ini_overrides=None):
        """Writes the INI again with more overrides (for .hup()); returns its path."""
        self.sections = stand.merge(self.sections, ini_overrides)
        self.ini_path.write_text(stand.render_ini(self.sections), encoding="utf-8")
        return self.ini_path

    def command(self, *args, timeout=60, env=None):
        """Another command of backfilld with this INI, to its end; .returncode, .stdout, .stderr."""
        return subprocess.run([str(binary("backfilld")), "-c", str(self.ini_path), *args], capture_output=True, text=True,
                              env={**self.env, **(env or {})}, stdin=subprocess.DEVNULL, check=False, timeout=timeout)

    def migrate(self, conninfo=None):
        stand.migrate(self.ini_path, self.log_path, self.env, conninfo=conninfo)

    def start(self):
        """Starts the process (again, too)."""
        assert self.process is None or not self.process.running, "it runs already"
        wrap = VALGRIND if self.valgrind else self.wrap
        self.process = stand.Daemon(self.ini_path, self.log_path, self.listen, self.secret, self.env, wrap=wrap)
        return self

    def wait_ready(self, timeout=None):
        self.process.wait_ready(timeout or (180 if self.valgrind else 30))
        return self

    def restart(self):
        """Starts it again after it ended, and waits until it is ready."""
        return self.start().wait_ready()

    def __getattr__(self, name):
        # get, post, request, pid, rss, cpu_s, hup, term, running, ... of stand.Daemon
        process = self.__dict__.get("process")
        if process is None:
            raise AttributeError(f"{name}: the daemon was not started")
        return getattr(process, name)

    @property
    def log(self):
        """Everything this daemon wrote, over restarts and `migrate` too."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def wait_log(self, pattern, timeout=30):
        """The first match of a regular expression in the log."""
        return wait_until(lambda: re.search(pattern, self.log), timeout, f"{pattern!r} in {self.log_path}")

    def stats(self):
        """GET backfill-stats."""
        answer = self.get("/api/internal/backfill-stats")
        assert answer.status == 200, answer
        return answer.json

    def seed(self, year_start, year_end):
        answer = self.post("/api/internal/seed-backfill-queue", {"year_start": year_start, "year_end": year_end})
        assert answer.status == 200, answer
        return answer.json["months_seeded"]

    def schedule(self, **body):
        answer = self.post("/api/internal/schedule-backfill", body)
        assert answer.status == 200, answer
        return answer.json

    def wait_months(self, n, status="completed", timeout=60):
        """Until n months have that status; the statistics then."""
        def reached():
            stats = self.stats()
            return stats if stats["by_status"][status] >= n else None
        return wait_until(reached, timeout, f"{n} months {status}", every=0.1)

    def metrics(self):
        """/metrics as {'name{labels}': value}."""
        found = {}
        for line in self.get("/metrics", secret=None).text.splitlines():
            if line and not line.startswith("#"):
                key, _, value = line.rpartition(" ")
                found[key] = float(value)
        return found

    def stop(self, timeout=60):
        """SIGTERM and the exit status; it must not take longer."""
        self.process.send(signal.SIGTERM)
        self.last_status = self.process.wait(timeout)
        return self.last_status

    def close(self):
        """Ends it however it stands: it may drain, then is asked to leave at once, then has to go."""
        if self.process is None:
            return
        for signum, timeout in ((signal.SIGTERM, 15), (signal.SIGTERM, 30 if self.valgrind else 5), (signal.SIGKILL, 10)):
            self.process.send(signal.SIGCONT)   # a test may have stopped it
            self.process.send(signum)
            try:
                self.last_status = self.process.wait(timeout)
                return
            except subprocess.TimeoutExpired:
                continue

    def findings(self):
        """Lines of the log that no log may hold, and the verdict of valgrind."""
        if self.may_log_bugs:
            return []
        found = [f"{self.log_path.name}: {line}" for line in self.log.splitlines() if FATAL_IN_LOG.search(line)]
        if self.valgrind and self.last_status == VALGRIND_EXIT:
            found.append(f"{self.log_path.name}: valgrind found errors:\n{self.process.log_tail(60)}")
        return found[:20]


@contextlib.contextmanager
def whole_stand(pg, folder):
    """A database, a sandbox and a maker of daemons for the tests of a whole file, which only look at what they left behind:
    (database, sandbox, maker). At the end the same is demanded of the logs as of a single test's."""
    folder = Path(folder)
    database = pg.database()
    sandbox = stand.Sandbox(folder)
    made = Stand(folder, database, sandbox.url)
    try:
        yield database, sandbox, made.daemon
    finally:
        bad = made.close()
        sandbox.stop()
        bad += [line for line in sandbox.log.splitlines() if FATAL_IN_LOG.search(line)]
        database.drop()
    assert not bad, "the logs hold defects:\n" + "\n".join(bad)


def session_pg():
    """The cluster of the session: $BF_TEST_CONNINFO, or a throw-away one."""
    return Pg(os.environ.get("BF_TEST_CONNINFO") or None)
