#!/usr/bin/python3
"""A throw-away PostgreSQL cluster: the one way the demo, the tests and the benchmarks get a database.

    throwaway_pg.py start DIR     makes DIR (or reuses the cluster in it), starts the server, prints its conninfo
    throwaway_pg.py stop DIR      stops the server that runs in DIR, by its process id

As a module: `Cluster(dir)` with start(), stop(), kill(), conninfo(). Runs as root too: the server then runs as
the user postgres, since PostgreSQL refuses root. UTF-8 with C.UTF-8, so that trigrams work for every script;
not durable on purpose (fsync off). Standard library only.
"""
import contextlib
import ctypes
import os
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 30
SOCKET_PATH_MAX = 90    # a socket's path may have 107 bytes; the file name takes up to 17 of them
SERVER_USER = "postgres"
PORTS_FROM = 12000

SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %a ",
    "log_min_duration_statement": "-1",
    "jit": "off",
    "shared_preload_libraries": "pg_stat_statements",
}


class PgError(Exception):
    """The cluster could not be made, started or stopped; the text says what to do."""


def bindir():
    """The folder with initdb and postgres of the newest installed version."""
    found = []
    for initdb in Path("/usr/lib/postgresql").glob("*/bin/initdb"):
        version = initdb.parent.parent.name
        if re.fullmatch(r"[0-9]+", version) and (initdb.parent / "postgres").exists():
            found.append((int(version), initdb.parent))
    if found:
        return max(found)[1]
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    raise PgError("no PostgreSQL server is installed; run tools/setup")


def free_port():
    """A TCP port on 127.0.0.1 that nobody uses now. Not of those that outgoing connections get: it may be wanted again after
    a restart, and is to be free then."""
    try:
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        first = 0
    for port in random.SystemRandom().sample(range(PORTS_FROM, first), 100) if first > PORTS_FROM + 1000 else ():
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port))
            return port
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def end_with_parent(signum):
    """For preexec_fn: the kernel sends signum to the child when its parent is gone, however that ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    pr_set_pdeathsig = 1

    def hook():
        libc.prctl(pr_set_pdeathsig, signum, 0, 0, 0)
    return hook


def _alive(pid):
    """True while the process runs; a zombie does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            return f.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


class Cluster:
    """One server and its files under a folder of its own."""

    def __init__(self, folder, port=None, settings=None):
        self.folder = Path(folder).resolve()
        self.data = self.folder / "data"
        self.log = self.folder / "postgres.log"
        self.port = port
        self.settings = {**SETTINGS, **(settings or {})}
        self.process = None
        self._bin = bindir()
        self._as = {}
        if os.geteuid() == 0:
            try:
                user = pwd.getpwnam(SERVER_USER)
            except KeyError:
                raise PgError(f"running as root needs the user {SERVER_USER}; run tools/setup") from None
            self._as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        self._socket_folder_made = None

    @property
    def socket_folder(self):
        """Where the unix socket is: the cluster's folder, unless its path is too long for a socket."""
        if len(str(self.folder)) <= SOCKET_PATH_MAX:
            return self.folder
        if not self._socket_folder_made:
            self._socket_folder_made = Path(tempfile.mkdtemp(prefix="bfpg-"))
            self._own(self._socket_folder_made)
        return self._socket_folder_made

    def conninfo(self, dbname="postgres", user=SERVER_USER, tcp=False):
        """A libpq string; over the unix socket, or over 127.0.0.1 with tcp."""
        host = "127.0.0.1" if tcp else str(self.socket_folder)
        if re.search(r"[\s'\\]", host):
            host = "'" + re.sub(r"(['\\])", r"\\\1", host) + "'"
        return f"host={host} port={self.port} user={user} dbname={dbname}"

    def _own(self, path):
        if self._as:
            os.chown(path, self._as["user"], self._as["group"])

    def _run(self, argv, what):
        """Runs one of the server's own programs to its end, as the server's user."""
        env = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        done = subprocess.run([str(a) for a in argv], cwd=self.folder, env=env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=300,
                              **self._as)
        if done.returncode != 0:
            raise PgError(f"{what} failed:\n{done.stdout.strip()}")

    def create(self):
        """Makes the cluster's files, unless they are there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._own(self.folder)
        if (self.data / "PG_VERSION").exists():
            return
        try:
            self._run([self._bin / "initdb", "-D", self.data, "-U", SERVER_USER, "-A", "trust", "-E", "UTF8",
                       "--locale=C.UTF-8", "--no-sync", "--no-instructions"], "initdb")
        except PermissionError as problem:
            raise PgError(f"the user {SERVER_USER} cannot enter {self.folder}; choose a folder whose parents "
                          "everyone may enter") from problem

    def start(self, end_with_us=True):
        """Starts the server and waits until it takes connections. end_with_us: it ends when this process does."""
        self.create()
        if self.server_pid():
            raise PgError(f"a server already runs in {self.folder}")
        self.port = self.port or free_port()
        argv = [str(self._bin / "postgres"), "-D", str(self.data), "-p", str(self.port), "-h", "127.0.0.1",
                "-k", str(self.socket_folder)]
        for key, value in self.settings.items():
            argv += ["-c", f"{key}={value}"]
        env = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                argv, cwd=self.folder, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                preexec_fn=end_with_parent(signal.SIGINT) if end_with_us else None, **self._as)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._ready():
            if self.process.poll() is not None:
                raise PgError(f"PostgreSQL ended at start:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                self.stop()
                raise PgError(f"PostgreSQL was not ready after {START_TIMEOUT_S} s:\n{self.log_tail()}")
            time.sleep(0.05)
        return self

    def _pid_file(self):
        try:
            return (self.data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return []

    def _ready(self):
        lines = self._pid_file()
        return len(lines) >= 8 and lines[7].strip() == "ready" and int(lines[0]) == self.process.pid

    def server_pid(self):
        """The process id of the server that runs on these files, None when there is none."""
        lines = self._pid_file()
        if not lines or not lines[0].strip().isdigit():
            return None
        pid = int(lines[0])
        try:
            ours = os.path.samefile(f"/proc/{pid}/cwd", self.data)
        except OSError:
            return None
        return pid if ours and _alive(pid) else None

    def _signal_and_wait(self, signum, timeout_s):
        """True when no server runs any more."""
        pid = self.server_pid()
        if pid is None and self.process is not None and self.process.poll() is None:
            pid = self.process.pid          # so young that its pid file is not there yet
        if pid is None:
            return True
        os.kill(pid, signum)
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self.process is not None and self.process.pid == pid:
                if self.process.poll() is not None:
                    return True
            elif not _alive(pid):
                return True
            time.sleep(0.02)
        return False

    def stop(self):
        """Ends the server: sessions are cut, then, if that takes too long, at once. Harmless when none runs."""
        if not self._signal_and_wait(signal.SIGINT, STOP_TIMEOUT_S):
            if not self._signal_and_wait(signal.SIGQUIT, 10):
                raise PgError(f"the server in {self.folder} does not end")
        self.process = None
        if self._socket_folder_made:
            shutil.rmtree(self._socket_folder_made, ignore_errors=True)
            self._socket_folder_made = None

    def kill(self):
        """An immediate shutdown, as a crash: for tests of what survives it. start() runs recovery."""
        self._signal_and_wait(signal.SIGQUIT, 10)
        self.process = None

    def remove(self):
        """Stops and deletes everything."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log_tail(self, lines=20):
        """The end of the server's log."""
        try:
            return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
        except OSError:
            return "(no log)"

    def create_database(self, name):
        """A fresh UTF-8 database; through psql, so that nothing beyond the standard library is needed."""
        self._run([self._bin / "psql", "-X", "-q", "-h", self.socket_folder, "-p", str(self.port), "-U", SERVER_USER,
                   "-d", "postgres", "-v", "ON_ERROR_STOP=1", "-c", f'CREATE DATABASE "{name}"'], "CREATE DATABASE")


def temporary(prefix="backfill-pg-", settings=None):
    """A started cluster in a new temporary folder; the caller calls remove()."""
    folder = tempfile.mkdtemp(prefix=prefix)
    try:
        return Cluster(folder, settings=settings).start()
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def main(argv):
    if len(argv) != 3 or argv[1] not in ("start", "stop"):
        print("usage: throwaway_pg.py start|stop DIR", file=sys.stderr)
        return 2
    try:
        cluster = Cluster(argv[2])
        if argv[1] == "start":
            cluster.start(end_with_us=False)
            print(cluster.conninfo())
        else:
            cluster.stop()
    except PgError as problem:
        print(f"throwaway_pg: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
