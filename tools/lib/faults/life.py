"""Campaigns of a long life: all months of two centuries twice over amid a hundred thousand requests, and a database in which
somebody else's transaction does not end.
"""
import contextlib
import itertools
import os
import re
import threading
import time
from pathlib import Path

import psycopg2
import psycopg2.errors
from stand import wait_until
from steps import AIS, SEARCHERS, latency

from faults.crowd import Caller, Crowd
from faults.run import Broken

# 201 years of months, twice; every call of the interface that reads, and those that change a month
YEARS = (1900, 2100)
YEARS_SHORT = (2021, 2024)
REQUESTS = 100_000
REQUESTS_SHORT = 3_000
RSS_GROWTH_KIB = 256
FD_GROWTH = 4
LAG_S = 0.005
LAG_QUANTILE = 0.999
PRIORITY = -10
QUICK = {"generation": {"books_per_provider": 2}, "scheduler": {"concurrent_months": 16}, "daemon": {"log_level": "info"},
         "enrichment": {"enabled": True, "siblings": False}}


def descriptors(d):
    return len(os.listdir(f"/proc/{d.pid}/fd"))


def calm(d, seconds=2.0):
    """The least of a few looks at a quiet process: (RSS, of that anonymous, descriptors), KiB."""
    looks = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        looks.append((d.rss, d.rss_anon, descriptors(d)))
        time.sleep(0.2)
    return tuple(min(look[i] for look in looks) for i in range(3))


def lag_of(d):
    """The loop's lag so far: ({upper bound: how many up to it}, the longest)."""
    metrics = d.metrics()
    found = {}
    for key, value in metrics.items():
        bound = re.fullmatch(r'backfill_loop_lag_seconds_bucket\{le="([^"]+)"\}', key)
        if bound:
            found[float(bound.group(1))] = value
    return found, metrics["backfill_loop_lag_max_seconds"]


def quantile(before, after, q):
    """The upper bound of the bucket that the quantile of what came between lies in."""
    total = after[float("inf")] - before.get(float("inf"), 0)
    for bound in sorted(after):
        if after[bound] - before.get(bound, 0) >= q * total:
            return bound
    return float("inf")


def share_within(before, after, bound):
    total = after[float("inf")] - before.get(float("inf"), 0)
    return (after[bound] - before.get(bound, 0)) / total if total else 1.0


def waited_ms(d):
    """How long the process was ready and not run so far, by the scheduler; None where the kernel does not tell."""
    try:
        return int(Path(f"/proc/{d.pid}/schedstat").read_text(encoding="ascii").split()[1]) / 1e6
    except (OSError, ValueError, IndexError):
        return None


def all_months(run, d, years, timeout):
    """Claims until every month is completed and every book enriched; seconds."""
    began = time.monotonic()
    caller = Caller(d)
    months = (years[1] - years[0] + 1) * 12

    def done():
        have = run.statuses() or {}
        if have.get("completed", 0) == months:
            return True
        if have.get("processing", 0) < 60:
            caller.ask("POST", "/api/internal/schedule-backfill",
                       {"batch_size": 50, "year_range": {"start": years[0], "end": years[1]}, "force_retry": True})
        return False
    wait_until(done, timeout, f"{months} months completed", every=0.2)

    def enriched():
        return not run.db.value("SELECT count(*) FROM enrichment_queue WHERE status IN ('pending', 'processing')"
                                " AND coalesce(next_attempt_at, now()) <= now()")
    wait_until(enriched, timeout, "the queue worked off", every=0.3)
    caller.close()
    return time.monotonic() - began


def reset_all(run, d, years):
    """Every month from nothing again, by its own call; half of the way through the counter of attempts and the like."""
    caller = Caller(d)
    refused = 0
    for year in range(years[0], years[1] + 1):
        for month in range(1, 13):
            status, body = caller.ask("POST", f"/api/internal/months/{year}/{month}/reset")
            if status != 200:
                refused += 1
                last = (status, body[:200])
    caller.close()
    if refused:
        raise Broken(f"{refused} months could not be reset: {last}")


def ahead_of_others(d):
    """The loop's own lateness is to be measured, not that of a machine with other work: where this user may, it goes first."""
    for change in (lambda: os.sched_setscheduler(d.pid, os.SCHED_RR, os.sched_param(1)),
                   lambda: os.setpriority(os.PRIO_PROCESS, d.pid, PRIORITY)):
        with contextlib.suppress(OSError):
            change()
            return


def open_life(run):
    """A stand as fast as it goes, and its daemon."""
    run.open()
    latency(run.sandbox, (*AIS, *SEARCHERS), 0)
    quick = dict(QUICK)
    for name in (*AIS, *SEARCHERS):
        quick[f"provider.{name}"] = {"rate": "1000/s", "concurrency": 50}
    quick["provider.wikidata"] = {"enabled": False}
    d = run.daemon(quick)
    ahead_of_others(d)
    return d


def long_life(run):
    """every month of 1900-2100 twice, reset between, amid 100,000 requests: memory, descriptors, loop lag; then what [retention] prunes"""
    years = YEARS_SHORT if run.short else YEARS
    total = REQUESTS_SHORT if run.short else REQUESTS
    d = open_life(run)
    months = d.seed(*years)
    crowd = Crowd(run, d, years, total)
    crowd.pace = 0.004 if run.short else 0.002
    lag0, _ = lag_of(d)
    waited0, cpu0 = waited_ms(d), d.cpu_s
    looks = [("start", *calm(d))]
    began = time.monotonic()
    crowd.start()
    seconds = []
    for number in (1, 2):
        seconds.append(all_months(run, d, years, 60 if run.short else 1200))
        crowd.jobs = [str(j) for j in run.db.column("SELECT job_id FROM backfill_jobs ORDER BY random() LIMIT 100")]
        if number == 1:
            half = crowd.made
            looks.append(("after pass 1", *calm(d)))
            reset_all(run, d, years)
    looks.append(("after pass 2", *calm(d)))
    crowd.pace = 0.0
    crowd.wait(60 if run.short else 900)
    crowd.stop()
    looks.append(("after all requests", *calm(d)))
    lived = time.monotonic() - began
    lag, longest = lag_of(d)
    waited = waited_ms(d)
    reasons = []
    run.note(f"{months} months twice in {seconds[0]:.0f} + {seconds[1]:.0f} s; {crowd.made} requests in {lived:.0f} s ({half} of"
             f" them in pass 1), answers {dict(sorted(crowd.statuses.items()))}, the slowest {crowd.slowest[0] * 1000:.0f} ms"
             f" ({crowd.slowest[1]})")
    for what, rss, anon, fds in looks:
        run.note(f"{what}: RSS {rss} KiB, anonymous {anon} KiB, {fds} descriptors")
    q = [quantile(lag0, lag, x) * 1000 for x in (0.5, 0.99, LAG_QUANTILE)]
    within = share_within(lag0, lag, LAG_S)
    run.note(f"loop lag p50 <= {q[0]:g} ms, p99 <= {q[1]:g} ms, p99.9 <= {q[2]:g} ms, longest {longest * 1000:.1f} ms;"
             f" {100 * within:.3f} % within {LAG_S * 1000:g} ms of {lag[float('inf')] - lag0[float('inf')]:.0f} turns;"
             f" processor {d.cpu_s - cpu0:.1f} s" +
             ("" if waited is None or waited0 is None else f", waited for one {(waited - waited0) / 1000:.1f} s"))
    if crowd.wrong:
        reasons.append(f"{len(crowd.wrong)} requests went wrong: {crowd.wrong[:3]}")
    for (_, rss0, anon0, fds0), (what, rss, anon, fds) in itertools.pairwise(looks[1:]):
        for kind, a, b, most in (("RSS", rss0, rss, RSS_GROWTH_KIB), ("anonymous memory", anon0, anon, RSS_GROWTH_KIB),
                                 ("descriptors", fds0, fds, FD_GROWTH)):
            if b - a > most:
                reasons.append(f"{kind} grew from {a} to {b} {what}, more than {most}")
    # over the few turns of the short form a handful of long answers is more than its share
    if not run.short and within < LAG_QUANTILE:
        reasons.append(f"loop lag: {100 * within:.3f} % within {LAG_S * 1000:g} ms")
    return reasons + retention(run, d)


# ---- what is thrown away, and what is not ----
# One age for each key, so that a table which goes by another's is found out; the rest go by ages of their own.
RETENTION = {"events": "2h", "answers": "3h", "enrichment_log": "4h", "api_usage": "12d", "audit": "6h", "job_status": "7h"}
BITES = 2000 + 2000 + 500 + 2000 + 2000 + 2000 + 2000 + 20000 + 2000 + 2000
UNDER_WAY = "SELECT FROM backfill_log b WHERE b.status IN ('processing', 'retry', 'pending')"
IN_WORK = "SELECT entity_key FROM enrichment_queue WHERE entity_type = 'edition' AND status IN ('pending', 'processing')"
# what goes by which age: (table, its time, the key or what is fixed, the age, which of the old ones stay all the same)
AGED = (
    ("backfill_events", "at", "events", "2 hours", "event LIKE 'operator%'"),
    ("backfill_answers", "created_at", "answers", "3 hours", f"EXISTS ({UNDER_WAY} AND b.year = t.year AND b.month = t.month)"),
    ("provider_records", "received_at", "answers", "3 hours", f"isbn13 IN ({IN_WORK}) OR for_isbn IN ({IN_WORK})"),
    ("enrichment_log", "created_at", "enrichment_log", "4 hours", "false"),
    ("backfill_audit", "at", "audit", "6 hours", "false"),
    ("backfill_jobs", "updated_at", "job_status", "7 hours", f"EXISTS ({UNDER_WAY} AND b.job_id = t.job_id)"),
    ("isbn_resolutions", "expires_at", "a resolution's own time", "0 hours", "false"),
    ("backfill_flushes", "at", "a day", "1 day", "false"),
    ("backfill_alerts", "cleared_at", "90 days", "90 days", "false"),
    ("backfill_instances", "started_at", "30 days", "30 days", "false"),
)
OF_USAGE = "SELECT count(*) FROM api_usage WHERE day < current_date - 1"


def grow_old(run):
    """Half of each table's rows older than its age by half an hour, half younger by as much; what must not go with them beside it.
    The daemon is away."""
    db = run.db
    # a neglected table, more than one bite; no month's
    for month, event, rows in ((1, "moved", 4500), (2, "operator_reset", 9)):
        db.execute("INSERT INTO backfill_events (year, month, fence, step, event) SELECT 1850, %s, 1, g, %s FROM generate_series(1, %s)"
                   " AS g", month, event, rows)
    db.execute("INSERT INTO backfill_alerts (key, severity, summary, action, cleared_at) SELECT 'old', 'warning', 'x', 'y', now() FROM"
               " generate_series(1, 50)")
    db.execute("INSERT INTO backfill_instances (instance, host, pid, version) SELECT 'gone', 'h', g, '1' FROM generate_series(1, 50) AS g")
    db.execute("INSERT INTO isbn_resolutions (provider, title_key, author_key, expires_at) SELECT 'isbndb', 'life ' || g, 'a', now() FROM"
               " generate_series(1, 3000) AS g")
    # two months that are not through: what belongs to them stays, however old
    db.execute("UPDATE backfill_log SET status = 'retry', next_attempt_at = now() + interval '1 day' WHERE id IN"
               " (SELECT id FROM backfill_log ORDER BY id LIMIT 2)")
    for table, column, _, age, _ in AGED:
        db.execute(f"UPDATE {table} AS t SET {column} = now() - interval '{age}' + interval '30 min' *"
                   " (CASE WHEN hashtext(t.ctid::text) % 2 = 0 THEN -1 ELSE 1 END)" + (" WHERE NOT instance LIKE 'test-%'" if
                   table == "backfill_instances" else ""))
    db.execute("UPDATE backfill_answers AS a SET created_at = now() - interval '5 h' FROM backfill_log AS b WHERE b.status = 'retry'"
               " AND a.year = b.year AND a.month = b.month")
    db.execute("UPDATE backfill_jobs SET updated_at = now() - interval '9 h' WHERE job_id IN (SELECT job_id FROM backfill_log"
               " WHERE status = 'retry')")
    db.execute("INSERT INTO api_usage (provider, day, instance, year, month, calls) SELECT p, current_date - d, i, 1850, m, 1 FROM"
               " unnest(ARRAY['xai', 'gemini']) AS p, generate_series(9, 16) AS d, unnest(ARRAY['a', 'b']) AS i, generate_series(1, 12) AS m")


def retention(run, d):
    """Each key of [retention] prunes what is older and nothing else, in bites; reasons why not."""
    reasons = []
    d.stop()
    grow_old(run)
    whole = {table: run.db.value(f"SELECT count(*) FROM {table}") for table, *_ in AGED}
    gone = {table: run.db.value(f"SELECT count(*) FROM {table} AS t WHERE {column} < now() - interval '{age}' AND NOT ({stays})")
            for table, column, _, age, stays in AGED}
    kept_old = {table: run.db.value(f"SELECT count(*) FROM {table} AS t WHERE {column} < now() - interval '{age}' AND ({stays})")
                for table, column, _, age, stays in AGED}
    # days 9 to 12 are within 12 days and become one line per provider and day; from day 13 on they are gone
    usage = run.db.value(OF_USAGE)
    d.write_ini({"retention": RETENTION})
    before = len(d.log)
    began = time.monotonic()
    d.restart()

    def left(table, column, age):
        return run.db.value(f"SELECT count(*) FROM {table} WHERE {column} < now() - interval '{age}' + interval '40 min'")

    def settled():
        return all(left(t, c, age) <= whole[t] - gone[t] for t, c, _, age, _ in AGED) and run.db.value(OF_USAGE) <= 8
    with contextlib.suppress(TimeoutError):
        wait_until(settled, 60 if run.short else 180, "everything old is pruned", every=0.3)
    took = time.monotonic() - began
    time.sleep(5)                   # what it would take too much, it takes with the next pulse
    for table, column, key, age, _ in AGED:
        have = left(table, column, age)
        if table == "backfill_instances":
            have = run.db.value("SELECT count(*) FROM backfill_instances") - 1      # the new one
            have += have < whole[table] - gone[table]                               # or the same again
        if have != whole[table] - gone[table]:
            reasons.append(f"{table} ({key}): {whole[table]} rows, {gone[table]} of them too old, {have} left")
        if not gone[table] or gone[table] == whole[table]:
            reasons.append(f"{table}: {gone[table]} of {whole[table]} rows were too old: this proves nothing")
    if run.db.value(OF_USAGE) != 8 or run.db.value("SELECT sum(calls) FROM api_usage WHERE day < current_date - 8") != 8 * 24:
        reasons.append(f"api_usage: {usage} lines became {run.db.value(OF_USAGE)}, not 8 with all calls")
    bites = [int(n) for n in re.findall(r'msg="old rows pruned" rows=(\d+)', d.log[before:])]
    if len(bites) < 2 or max(bites) > BITES:
        reasons.append(f"pruned in bites of {bites}, of which none may be more than {BITES}")
    run.note("pruned, of: " + ", ".join(f"{t} {gone[t]}/{whole[t]}" + (f" ({kept_old[t]} old ones kept)" if kept_old[t] else "") for t, *_ in AGED) +
             f", api_usage {usage} lines to {run.db.value(OF_USAGE)}; in {len(bites)} bites of at most {max(bites, default=0)} rows, {took:.0f} s")
    return reasons


# ---- a transaction that does not end ----
class Watch:
    """Looks all the time whether the daemon answers, and when months completed."""

    def __init__(self, run, d):
        self.d = d
        self.slowest = 0.0
        self.refused = 0
        self.completed = []         # moments
        self._db = run.db.connect()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._go, daemon=True)
        self._thread.start()
        run.closing(self.stop)

    def _go(self):
        caller, have, cursor = Caller(self.d), 0, self._db.cursor()
        while not self._stop.wait(0.1):
            began = time.monotonic()
            try:
                self.refused += caller.ask("GET", "/healthz")[0] != 200
            except (OSError, EOFError):
                self.refused += 1
            self.slowest = max(self.slowest, time.monotonic() - began)
            cursor.execute("SELECT count(*) FROM backfill_events WHERE to_stage = 'completed'")
            now = cursor.fetchone()[0]
            self.completed += [time.time()] * (now - have)
            have = now
        caller.close()

    def between(self, low, high):
        """How many months completed between two moments, and the longest time without one, seconds."""
        found = [low, *(t for t in self.completed if low <= t <= high), high]
        return len(found) - 2, max(b - a for a, b in itertools.pairwise(found))

    def stop(self):
        self._stop.set()
        self._thread.join(10)
        self._db.close()


def session(run, *statements):
    """A session in a transaction that has done these and does nothing more."""
    connection = run.db.connect(application_name="somebody else")
    connection.autocommit = False
    cursor = connection.cursor()
    for statement in statements:
        cursor.execute(statement)
    run.closing(connection.close)
    return connection


def in_stage(run, stage, number):
    """So many months of the stage, waited for; none when nothing is left."""
    def there():
        rows = run.db.rows("SELECT year, month FROM backfill_log WHERE status = 'processing' AND stage = %s ORDER BY random() LIMIT %s",
                           stage, number)
        return [(r["year"], r["month"]) for r in rows] if len(rows) == number else run.done() and "none"
    found = wait_until(there, 20, f"{number} months that are {stage}", every=0.01)
    return [] if found == "none" else found


def rows_held(run, watch, stage, seconds, write, number=1):
    """Months' rows locked amid their stage by somebody who then does nothing: the others go on, these complete afterwards."""
    held = in_stage(run, stage, number)
    if not held:
        return
    where = "(year, month) IN (" + ", ".join(f"({y}, {m})" for y, m in held) + ")"
    began = time.time()
    holder = session(run, f"UPDATE backfill_log SET error_message = NULL WHERE {where}" if write else
                     f"SELECT FROM backfill_log WHERE {where} FOR UPDATE")
    time.sleep(seconds)
    ended = time.time()
    moved = run.db.column(f"SELECT status FROM backfill_log WHERE {where} AND status <> 'processing'")
    left = run.db.value("SELECT count(*) FROM backfill_log WHERE status <> 'completed'")
    others, gap = watch.between(began, ended)
    holder.rollback()
    holder.close()
    run.fault(f"{number} months locked while {stage}", began, ended, costly=False)
    wait_until(lambda: not run.db.value(f"SELECT count(*) FROM backfill_log WHERE {where} AND status <> 'completed'"), 30,
               f"{held} completed after the lock was gone")
    late = time.time() - ended
    run.note(f"{number} {'months that were' if number > 1 else 'month that was'} {stage}, {'changed and not committed' if write else 'locked'}"
             f" for {seconds:g} s: {others} others completed meanwhile, at most {gap:.1f} s apart; the last of them {late:.1f} s after")
    if moved:
        run.broken.append(f"of {held} some were {moved} although their rows were locked")
    if left > 6 and (gap > seconds / 2 or others < 2):
        run.broken.append(f"a lock on {number} months that were {stage} kept the others: {others} in {seconds:g} s, {gap:.1f} s without any")
    if late > 10:
        run.broken.append(f"{held} took {late:.1f} s after their rows were free")


def table_wanted(run, watch, seconds):
    """The table of months wanted for itself by somebody who has to wait for a reader: all wait behind it, then go on."""
    with run.outage("the table of months wanted in ACCESS EXCLUSIVE MODE behind a reader"):
        waiter = run.db.connect(application_name="a migration")
        waiter.autocommit = False
        with contextlib.suppress(psycopg2.errors.LockNotAvailable):
            waiter.cursor().execute(f"SET LOCAL lock_timeout = '{seconds:g}s'; LOCK TABLE backfill_log IN ACCESS EXCLUSIVE MODE")
            run.broken.append("the reader did not hold the table: the campaign proves nothing")
        waiter.close()
    run.note(f"a lock of the whole table queued for {seconds:g} s: /healthz answered within {watch.slowest * 1000:.0f} ms meanwhile")


def long_transaction(run):
    """transactions of others open all the time; months' rows locked for long, their table wanted and taken: the other months go on"""
    run.open()
    run.months = max(run.months, 24 if run.short else 300)
    run.claims = 6
    d = run.daemon({"provider.isbndb": {"rate": "60/s"}, "scheduler": {"concurrent_months": 6}})
    ahead_of_others(d)
    began = time.time()
    # holds back vacuum for everybody, and locks nothing
    snapshot = session(run, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SELECT pg_current_snapshot()")
    reader = session(run, "SELECT count(*) FROM backfill_log", "SELECT count(*) FROM backfill_events")
    run.begin()
    watch = Watch(run, d)
    for stage, seconds, write, number in (("resolving", 6, False, 1),) if run.short else (
            ("resolving", 15, False, 1), ("generating", 12, True, 1), ("resolving", 20, True, 2), ("generating", 20, False, 3)):
        rows_held(run, watch, stage, seconds, write, number)
    table_wanted(run, watch, 2 if run.short else 8)
    reader.rollback()
    with run.outage("the table of months locked"):
        holder = session(run, "LOCK TABLE backfill_log IN ACCESS EXCLUSIVE MODE")
        time.sleep(2 if run.short else 6)
        holder.rollback()
        holder.close()
    run.wait_end()
    run.db.execute("VACUUM backfill_log")
    run.rest(1)                     # the statistics come a moment later
    dead = run.db.value("SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'backfill_log'")
    run.note(f"a snapshot held for {time.time() - began:.0f} s: vacuum had to leave {dead} dead rows of {run.months};"
             f" /healthz within {watch.slowest * 1000:.0f} ms")
    snapshot.rollback()
    if watch.refused or watch.slowest > 1:
        run.broken.append(f"/healthz: refused {watch.refused} times, slowest {watch.slowest:.1f} s")
    watch.stop()


CAMPAIGNS = {"long-life": long_life, "long-transaction": long_transaction}
