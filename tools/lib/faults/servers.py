"""Campaigns with more between daemon and database than a socket: a network that goes silent, a standby, a pooler."""
import contextlib
import ctypes
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import harness
import psycopg2
import throwaway_pg
from stand import wait_until

from faults.run import DURABLE, Skipped

POOLER = "/usr/sbin/pgbouncer"
FAR = "127.0.0.2"           # the address that a partition cuts off
CLONE_NEWNET = 0x40000000


def pair(run, conninfo):
    """A daemon that comes the breakable way and one that comes straight."""
    run.rescue_limit = 20.0
    run.figures_may_differ = True
    return run.daemon(conninfo=conninfo), run.daemon()


def silence(run, far, cut, mend, seconds):
    """The far daemon cut off for a time: it counts as dead meanwhile, what it holds is the other's to rescue."""
    run.busy([far], 2)
    began = time.time()
    cut()
    run.died(far)
    time.sleep(seconds)
    mend()
    run.alive(far)
    run.fault(f"{far.instance} cut off for {seconds:g} s", began, began + 0.01)
    run.costly += 1         # what it asked for while it did not know


class Forgetful(harness.Relay):
    """A relay that forgets the connections it has: those stay silent for good, nobody is told, new ones are carried."""

    def __init__(self, port):
        self._forgotten = set()
        super().__init__(port)

    def forget(self):
        with self._lock:
            self._forgotten.update(s for pair in self._pairs for s in pair)

    def _pump(self, source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._flow.wait()
                if source not in self._forgotten:
                    sink.sendall(data)
        if source in self._forgotten or sink in self._forgotten:
            return                          # an end that is over is not told to the other either
        for s in (source, sink):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)


def half_open(run):
    """a relay before the database goes silent without closing, then forgets its connections; a daemon behind it, one beside it"""
    run.open()
    relay = Forgetful(run.cluster.port)
    run.closing(relay.close)
    far, _ = pair(run, re.sub(r"port=\d+", f"port={relay.port}", run.db.conninfo))
    run.begin()
    for seconds in () if run.short else (28, run.dice.uniform(8, 20)):
        silence(run, far, relay.freeze, relay.mend, seconds)
        if not run.rest(1, 3):
            return
    if run.busy([far]):
        began = time.time()
        relay.forget()
        run.died(far)                       # from here on the clock runs, for whoever takes its months up first
        run.alive(far)
        run.fault("connections forgotten", began, began + 0.01)


def own_network(run):
    """From now on this process and its children have a loopback of their own, until the run is closed."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() != 0 or not shutil.which("ip"):
        raise Skipped("a network of its own needs root and ip")
    before = os.open("/proc/self/ns/net", os.O_RDONLY)
    if libc.unshare(CLONE_NEWNET) != 0:
        os.close(before)
        raise Skipped(f"no network of its own: {os.strerror(ctypes.get_errno())}")

    def back():
        libc.setns(before, CLONE_NEWNET)
        os.close(before)
    run.closing(back)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def partition(run):
    """packets to and from one of two daemons' database vanish, in a network of the campaign's own: no end is told"""
    own_network(run)
    run.open(settings={"listen_addresses": f"127.0.0.1,{FAR}"})
    far, _ = pair(run, run.db.conninfo.replace("host=127.0.0.1", f"host={FAR}"))

    def route(verb):
        subprocess.run(["ip", "route", verb, "blackhole", f"{FAR}/32", "table", "local"], check=True)
    run.begin()
    for seconds in (14,) if run.short else (70, 25):
        silence(run, far, lambda: route("add"), lambda: route("del"), seconds)
        if not run.rest(1, 3):
            break


def standby_of(run, primary, name="standby", port=None):
    """A second cluster that follows the primary and has all it has before the primary says so."""
    second = throwaway_pg.Cluster(run.folder / name, port=port, settings=DURABLE)
    run.closing(second.stop)
    second.folder.mkdir()
    second._own(second.folder)
    second._run([second._bin / "pg_basebackup", "-d", primary.conninfo() + " application_name=second", "-D", second.data, "-R",
                 "-X", "stream", "-c", "fast"], "pg_basebackup")
    second.start()
    with contextlib.closing(psycopg2.connect(primary.conninfo())) as admin:
        admin.autocommit = True
        with admin.cursor() as cursor:
            cursor.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            cursor.execute("SELECT pg_reload_conf()")

            def follows():
                cursor.execute("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'")
                return cursor.fetchone()[0] == 1
            wait_until(follows, 30, "a synchronous standby")
    return second


def standby(run):
    """the primary killed and its synchronous standby promoted, both named in conninfo; a new standby takes the dead one's place"""
    run.scale(5, 1)
    primary = run.make_cluster("primary")
    second = standby_of(run, primary)
    both = f"host=127.0.0.1,127.0.0.1 port={primary.port},{second.port} user=postgres dbname=postgres target_session_attrs=read-write"
    run.open(cluster=primary, conninfo=both)
    run.rescue_limit = 20.0
    run.figures_may_differ = True
    for _ in range(2):
        run.daemon()
    run.begin()
    for i in run.blows():
        if i:
            run.rest(12)                    # what the promotion before cut off is rescued by then
            primary, second = second, standby_of(run, second, f"standby-{i + 1}", port=primary.port)
        run.rest(1, 2 if run.short else 4)
        with run.outage("primary killed, standby promoted"):
            run.db.close()
            primary.kill()
            time.sleep(run.dice.uniform(0.5, 2))
            with contextlib.closing(psycopg2.connect(second.conninfo())) as admin, admin.cursor() as cursor:
                cursor.execute("SELECT pg_promote(true, 30)")
        wait_until(lambda: run.statuses() is not None, 20, "the promoted server takes writes")


class Pooler:
    """PgBouncer before a cluster, as the server's user, since it refuses root."""

    def __init__(self, run, mode):
        self.port = throwaway_pg.free_port()
        self.folder = run.folder / f"pooler-{mode}"
        self.folder.mkdir()
        self.log = self.folder / "pgbouncer.log"
        self.ini = self.folder / "pgbouncer.ini"
        self.ini.write_text(
            f"[databases]\n* = host=127.0.0.1 port={run.cluster.port} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
            f"listen_port = {self.port}\nunix_socket_dir =\nauth_type = any\npool_mode = {mode}\nmax_client_conn = 100\n"
            f"default_pool_size = 40\nlogfile = {self.log}\nignore_startup_parameters = extra_float_digits\n", encoding="utf-8")
        self.user = pwd.getpwnam(throwaway_pg.SERVER_USER) if os.geteuid() == 0 else None
        if self.user:
            os.chown(self.folder, self.user.pw_uid, self.user.pw_gid)
        self.process = None
        run.closing(self.stop)

    def start(self):
        who = {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []} if self.user else {}
        self.process = subprocess.Popen([POOLER, str(self.ini)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, start_new_session=True,
                                        preexec_fn=throwaway_pg.end_with_parent(signal.SIGTERM), **who)

        def listens():
            if self.process.poll() is not None:
                raise Skipped(f"pgbouncer ended: {self.log.read_text(encoding='utf-8')[-300:] if self.log.exists() else 'no log'}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return True
            return False
        wait_until(listens, 15, "pgbouncer listens")
        return self

    def stop(self):
        """At once: its clients are cut off."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(10)
        self.process = None


def pgbouncer(run):
    """PgBouncer in session mode before the database, restarted amid the work; in transaction mode the daemon refuses"""
    if not Path(POOLER).exists():
        raise Skipped("the Debian package pgbouncer is not installed")
    run.open()

    def through(pooler):
        return re.sub(r"port=\d+", f"port={pooler.port}", run.db.conninfo)
    pooler = Pooler(run, "session").start()
    run.rescue_limit = 20.0
    run.figures_may_differ = True
    for _ in range(1 if run.short else 2):
        run.daemon(conninfo=through(pooler))
    run.begin()
    for _ in range(1 if run.short else 4):
        if not run.rest(0.5, 2):
            break
        with run.outage("pgbouncer restarted"):
            pooler.stop()
            time.sleep(run.dice.uniform(0.1, 2))
            pooler.start()
        if not run.rest(1 if run.short else 5):
            break
    refused_in_transaction_mode(run, through(Pooler(run, "transaction").start()))


def refused_in_transaction_mode(run, conninfo):
    """A daemon behind transaction pooling ends with 3 and names the remedy."""
    d = run.stand.daemon(run.ini(), start=False, migrate=False, conninfo=conninfo)
    d.start()
    try:
        status = d.wait(45)
    except subprocess.TimeoutExpired:
        run.broken.append("behind a pooler in transaction mode it did not end")
        return
    said = [line for line in d.log.splitlines() if "transaction mode" in line]
    run.note(f"transaction mode: exit {status}: {said[-1][:200] if said else d.log[-200:]}")
    if status != 3 or not said:
        run.broken.append(f"behind a pooler in transaction mode it ended with {status}")


CAMPAIGNS = {"half-open": half_open, "partition": partition, "standby": standby, "pgbouncer": pgbouncer}
