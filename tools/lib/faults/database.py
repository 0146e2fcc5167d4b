"""Campaigns against one PostgreSQL: restarted, its sessions ended, its connections gone, its disk full, read only."""
import contextlib
import os
import subprocess
import time

import psycopg2
from stand import wait_until

from faults.run import Skipped

OURS = "datname = current_database() AND application_name LIKE 'backfilld%'"
FEW_CONNECTIONS = 22
DISK_MIB = 96
CLUSTER_DISK_MIB = 224
DISK_LEFT_KIB = 64


def two(run):
    """Two daemons; what takes a whole database takes twenty seconds to mend."""
    run.rescue_limit = 20.0
    run.figures_may_differ = True
    return [run.daemon() for _ in range(2)]


def db_restart(run):
    """the server stopped (fast, immediate) and started again under two daemons with enrichment on"""
    run.scale(20, 2, months=60)
    run.enriching = True
    run.open()
    two(run)
    run.begin()
    for i in run.blows():
        run.rest(0.5, 2)
        fast = i % 2 == 0
        with run.outage("fast restart" if fast else "immediate restart"):
            run.db.close()
            run.cluster.stop() if fast else run.cluster.kill()
            time.sleep(run.dice.uniform(0.2, 3))
            run.cluster.start()
        run.rest(1 if run.short else 8)


def db_backends(run):
    """every session of two daemons ended by pg_terminate_backend, again and again"""
    run.open()
    two(run)
    run.begin()
    for _ in range(4 if run.short else 25):
        if not run.rest(0.2, 2):
            break
        with run.outage("sessions ended"):
            run.db.rows(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {OURS}")


def db_connections(run):
    """every connection of the server taken by others, those of two daemons ended"""
    run.open(settings={"max_connections": str(FEW_CONNECTIONS)})
    two(run)
    run.begin()
    for _ in range(1 if run.short else 4):
        if not run.rest(0.5, 1.5):
            break
        taken, refused = [], 0
        with run.outage("no connection to be had"):
            run.db.rows(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {OURS}")
            until = time.time() + (2 if run.short else 5)
            while time.time() < until:
                try:
                    taken.append(run.db.connect(application_name="others"))
                except psycopg2.OperationalError:
                    refused += 1
                    time.sleep(0.02)
                    if refused % 10 == 1:
                        run.db.rows(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {OURS}")
            for connection in taken:
                connection.close()
        run.note(f"{len(taken)} taken by others, {refused} times none left")


def tmpfs(run, folder, mib):
    """A small disk of its own at the folder."""
    if os.geteuid() != 0:
        raise Skipped("only root may mount a small disk")
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=0700", "faults", str(folder)], capture_output=True,
                          text=True, check=False)
    if done.returncode != 0:
        raise Skipped(f"no small disk can be mounted here: {done.stderr.strip()}")
    run.closing(lambda: subprocess.run(["umount", str(folder)], check=False))
    run.closing(lambda: (folder / "filler").unlink(missing_ok=True))


def fill(folder):
    """Takes the disk but for a little; returns what gives it back."""
    with open(folder / "filler", "wb") as f:
        for _ in range(100):                # the server writes too
            free = os.statvfs(folder)
            size = free.f_bavail * free.f_frsize - DISK_LEFT_KIB * 1024
            with contextlib.suppress(OSError):
                os.posix_fallocate(f.fileno(), 0, max(size, 4096))
                break
    return (folder / "filler").unlink


def db_full(run):
    """the disk of the tables full, as a tablespace on a small disk, then not"""
    disk = run.folder / "disk"
    tmpfs(run, disk, DISK_MIB)
    cluster = run.make_cluster()
    cluster._own(disk)
    run.open(cluster=cluster)
    run.db.make()
    with contextlib.closing(psycopg2.connect(cluster.conninfo())) as admin:
        admin.autocommit = True
        with admin.cursor() as cursor:
            cursor.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
            cursor.execute(f'ALTER DATABASE "{run.db.name}" SET TABLESPACE small')
    two(run)
    run.begin()

    def refusals():
        return cluster.log.read_text(encoding="utf-8", errors="replace").count("No space left on device")
    for _ in range(1 if run.short else 3):
        if not run.rest(0.2, 1):
            break
        before = refusals()
        with run.outage("disk full"):
            free = fill(disk)
            try:
                with contextlib.suppress(TimeoutError):
                    wait_until(lambda before=before: refusals() > before or run.done(), 15, "a write refused")
                time.sleep(2 if run.short else 4)
            finally:
                free()
        run.note(f"{refusals() - before} writes refused for want of space")
        if refusals() == before and not run.done():
            run.broken.append("the full disk refused nothing: the campaign proves nothing")


def revived(run, cluster):
    """Until the server answers, now and a moment later, started again if it ended; whether it had to be."""
    down = False
    until = time.time() + 60
    while time.time() < until:
        if cluster.server_pid() is None:
            cluster.process = None
            cluster.start()
            down = True
        if run.statuses() is not None:
            time.sleep(0.5)
            if run.statuses() is not None:
                break
        time.sleep(0.1)
    return down


def db_full_log(run):
    """the disk of the whole cluster full, its write-ahead log included, so that the server itself goes down; then not"""
    disk = run.folder / "disk"
    tmpfs(run, disk, CLUSTER_DISK_MIB)
    disk.chmod(0o755)
    cluster = run.make_cluster(folder=disk / "pg", settings={"max_wal_size": "64MB", "min_wal_size": "32MB"})
    run.open(cluster=cluster)
    run.db.make()                           # and no second one to copy it from
    two(run)
    run.begin()
    for _ in range(1 if run.short else 3):
        if not run.rest(0.2, 1):
            break
        with run.outage("disk full, log and all"):
            free = fill(disk)
            try:
                until = time.time() + 10
                while time.time() < until and run.statuses() is not None:
                    with contextlib.suppress(psycopg2.Error):
                        run.db.rows("SELECT pg_logical_emit_message(true, 'fill', repeat('x', 4000000))")
                time.sleep(2)
            finally:
                free()
            down = revived(run, cluster)
        run.note("the server " + ("ended, and was started again" if down else "stayed, or came back by itself"))
        if not run.rest(1 if run.short else 8):
            break


def db_readonly(run):
    """default_transaction_read_only turned on under two daemons, then off"""
    run.open()
    two(run)
    run.begin()

    def read_only(value):
        run.db.execute("SET default_transaction_read_only = off")
        run.db.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
        run.db.rows("SELECT pg_reload_conf()")
    for _ in range(1 if run.short else 4):
        if not run.rest(0.3, 1):
            break
        with run.outage("read only"):
            read_only("on")
            time.sleep(2 if run.short else run.dice.uniform(2, 7))
            read_only("off")


CAMPAIGNS = {"db-restart": db_restart, "db-backends": db_backends, "db-connections": db_connections, "db-full": db_full,
             "db-full-log": db_full_log,
             "db-readonly": db_readonly}
