"""Campaigns against the daemon's process: killed, frozen, drained, reloaded, short of files and memory, its clock set."""
import contextlib
import os
import resource
import signal
import socket
import subprocess
import time
from pathlib import Path

import stand
from stand import wait_until

from faults.run import Broken, Skipped

LIBFAKETIME = ("/usr/lib/{}-linux-gnu/faketime/libfaketime.so.1", os.uname().machine)
QUIET = {"daemon": {"log_level": "info"}}     # a loop that spins fills a disk at level debug
FILES = (6, 10, 16, 24, 40)                 # open files a daemon is started with
MEMORY_MIB = (16, 48, 96, 128, 192)         # address space
SIGNAL_EVERY_S = 0.1
SPIN_SHARE = 0.2            # of a processor: far more than a daemon with four months in work needs


def kills(run):
    """kill -9 at random moments of one daemon, started again at once"""
    run.scale(200, 3, months=300)
    run.open()
    d = run.daemon()
    run.begin()
    for i in run.blows():
        if not run.busy([d]):
            break
        run.rest(0, 1.2)
        run.kill(d)
        run.start(d)
        if i % 4 == 3:          # now and then it may take up what the ones before left
            run.rest(5, 8)
    d.wait_ready()


def kills_two(run):
    """kill -9 at random moments of two to four daemons with enrichment on, started again some seconds later"""
    run.scale(60, 3, months=96)
    run.enriching = True
    run.open()
    daemons = [run.daemon() for _ in range(2 if run.short else run.dice.randint(2, 4))]
    run.note(f"{len(daemons)} daemons")
    run.begin()
    back = {}                               # daemon -> when it is started again
    for _ in run.blows():
        run.rest(0.2, 1.5)
        for d in [d for d, at in back.items() if at <= time.time()]:
            run.start(d)
            del back[d]
        d = run.busy([d for d in daemons if d not in back], timeout=5)
        if d is None:
            continue
        run.kill(d)
        back[d] = time.time() + run.dice.uniform(0, 8)
    for d in back:
        run.start(d)
    for d in daemons:
        d.wait_ready()


def frozen(run):
    """SIGSTOP of one of two daemons until its months are another's, then SIGCONT: what it still writes must not count"""
    run.open()
    overrides = {"scheduler": {"stuck_after": "1h", "concurrent_months": 8}}
    daemons = [run.daemon(overrides) for _ in range(2)]
    run.rescue_limit = 20.0                     # its connections stand: that nothing is asked over them tells
    run.figures_may_differ = True               # what the loser counted and could not write any more
    run.claims = 1
    run.begin()
    for i in range(1 if run.short else 5):
        d = daemons[i % 2]
        if not run.busy([d], 2):
            break
        held = run.owned(d)
        began = time.time()
        d.send(signal.SIGSTOP)
        run.died(d)
        wait_until(lambda d=d: not run.owned(d), run.rescue_limit + 10, "its months taken over", every=0.1)
        time.sleep(run.dice.uniform(0, 2))
        run.alive(d)
        d.send(signal.SIGCONT)
        run.fault(f"{d.instance} stood still with {len(held)} months", began, began + 0.01)
        if not run.rest(1, 3):
            break


def reload_storm(run):
    """SIGHUP every 100 ms, the file now changed, now broken, all the way through"""
    run.open()
    d = run.daemon()
    run.begin()
    pid, n = d.pid, 0
    for n in range(30 if run.short else 600):
        broken = n % 7 == 6
        d.write_ini({"scheduler": {"concurrent_months": run.dice.randint(2, 6), "retry_base": "x" if broken else "1s"},
                     "daemon": {"log_level": run.dice.choice(["info", "debug"])}})
        run.fault("SIGHUP", costly=False)
        d.hup()
        time.sleep(SIGNAL_EVERY_S)
        if n % 10 == 0 and run.done():
            break
    d.write_ini({"scheduler": {"concurrent_months": 4, "retry_base": "1s"}})
    d.hup()
    if d.pid != pid or not d.running:
        raise Broken(f"the daemon ended with {d.process.process.returncode} after {n} reloads")


def drain(run):
    """SIGTERM amid the work: exit 0, nothing left in its hands; started again; now and then a second SIGTERM"""
    run.open()
    daemons = [run.daemon() for _ in range(1 if run.short else 2)]
    run.begin()
    for i in range(2 if run.short else 10):
        d = run.busy(daemons) if run.rest(0.1, 1.5) else None
        if d is None:
            break
        twice = i % 4 == 3
        run.fault("SIGTERM " + d.instance, costly=twice)
        d.term()
        if twice:
            time.sleep(run.dice.uniform(0.02, 0.2))
            d.term()
            run.figures_may_differ = True
        try:
            status = d.wait(30)
        except subprocess.TimeoutExpired:
            raise Broken("a drain took more than 30 s") from None
        run.died(d)
        left = run.db.value("SELECT count(*) FROM backfill_log WHERE status = 'processing' AND owner = %s", d.instance)
        if not twice and (status != 0 or left):
            run.broken.append(f"a drain ended with {status} and left {left} months in its hands")
        run.start(d)
        d.wait_ready()


def clock(run):
    """the daemon's wall clock stepped by hours and days, forth and back (libfaketime)"""
    library = Path(LIBFAKETIME[0].format(LIBFAKETIME[1]))
    if not library.exists():
        raise Skipped("the Debian package faketime is not installed")
    run.open()
    file = run.folder / "clock"

    def step(seconds):
        new = run.folder / "clock.new"
        new.write_text(f"{seconds:+d}\n", encoding="ascii")
        new.rename(file)
    step(0)
    # the monotonic clock cannot be stepped in the world either
    d = run.daemon(env={"LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(file), "FAKETIME_NO_CACHE": "1",
                        "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1", "ASAN_OPTIONS": None})
    steps = [7200, -7200, 400 * 86400, 0] if run.short else [3600, -3600, 86400, -86400, 400 * 86400, -400 * 86400, 61, -61, 0] * 2
    step(400 * 86400)
    ahead = f"ts={time.gmtime(time.time() + 400 * 86400).tm_year}-"
    d.get("/readyz", secret=None)
    try:
        d.wait_log(ahead, 5)
    except TimeoutError:
        raise Skipped("libfaketime has no effect on this binary") from None
    step(0)
    run.begin()
    for seconds in steps:
        run.fault(f"clock {seconds:+d} s", costly=False)
        step(seconds)
        if not run.rest(0.5, 1.5):
            break
    step(0)


def start_with(run, option, value):
    """A daemon started with a limit: it works, or says why not and ends. A sentence when it does neither."""
    d = run.stand.daemon(run.ini(QUIET), start=False)
    before = len(d.log)
    d.process = stand.Daemon(d.ini_path, d.log_path, d.listen, d.secret, d.env, wrap=["prlimit", f"--{option}={value}:{value}"])
    limit = f"--{option}={value}"
    began, cpu = time.monotonic(), [0.0]

    def ready_or_gone():
        with contextlib.suppress(OSError, IndexError):
            cpu[0] = max(cpu[0], d.process.cpu_s)
        with contextlib.suppress(OSError):          # taken by the kernel, answered by nobody, is not ready either
            return not d.process.running or d.get("/readyz", secret=None, timeout=2).status == 200
        return False
    try:
        wait_until(ready_or_gone, 45, limit)
    except TimeoutError:
        return f"{limit}: neither ready nor gone after 45 s"
    status = d.process.process.poll()
    said = d.log[before:].strip()
    last = said.splitlines()[-1][:160] if said else ""
    run.note(f"{limit}: " + ("works" if status is None else f"exit {status}: {last}"))
    passed = time.monotonic() - began
    if passed > 3 and cpu[0] > SPIN_SHARE * passed:
        return f"{limit}: it burnt {cpu[0]:.1f} s of processor in {passed:.1f} s, saying {len(said.splitlines())} lines"
    if status is None:
        return None if d.stop(30) == 0 else f"{limit}: it was ready, and ended with {d.last_status}"
    if status < 0 or status == 0 or not said:
        return f"{limit}: ended with {status}, saying {last!r}"
    return None


def squeeze_files(d, spare):
    """Leaves the running daemon so many files beyond the highest it has; the former limit, and how many it may still open."""
    used = [int(n) for n in os.listdir(f"/proc/{d.pid}/fd")]
    former = resource.prlimit(d.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(d.pid, resource.RLIMIT_NOFILE, (max(used) + 1 + spare, former[1]))
    return former, max(used) + 1 - len(used) + spare


def limits(run):
    """started with few open files and little memory: works, or ends with a clean message; then short of files amid the work"""
    run.open()
    d = run.daemon(QUIET)
    for option, values in (("nofile", FILES), ("as", [m << 20 for m in MEMORY_MIB])):
        for value in (values[0], values[-1]) if run.short else values:
            trouble = start_with(run, option, value)
            if trouble:
                run.broken.append(trouble)
    run.attempts_may_count = True       # no file for a connection looks like a network that is down
    run.rescue_limit = 90.0             # so providers are given a rest, as when they fail
    run.begin()
    for spare in (0,) if run.short else (0, 2, 5):
        with run.outage(f"{spare} files to spare"):
            short_of_files(run, d, spare, 2 if run.short else 4)
        if not run.rest(1):
            break


def short_of_files(run, d, spare, seconds):
    """The running daemon without files for a time, with callers before its door; it may not burn the processor over that."""
    former, left = squeeze_files(d, spare)
    callers = [socket.create_connection(("127.0.0.1", int(d.listen.rpartition(":")[2])), 2) for _ in range(left + 8)]
    cpu, began = d.cpu_s, time.monotonic()
    time.sleep(seconds)
    spent, passed = d.cpu_s - cpu, time.monotonic() - began
    resource.prlimit(d.pid, resource.RLIMIT_NOFILE, former)
    for caller in callers:
        caller.close()
    if spent > SPIN_SHARE * passed:
        run.broken.append(f"with no file for the next caller it burnt {spent:.1f} s of processor in {passed:.1f} s")


CAMPAIGNS = {"kills": kills, "kills-two": kills_two, "frozen": frozen, "reload-storm": reload_storm, "drain": drain, "clock": clock,
             "limits": limits}
