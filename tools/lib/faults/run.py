"""One campaign's parts: a cluster, a sandbox, daemons, somebody who keeps claiming months; and the diary of what was done to them.

Everything is ended through its own handle when the run is closed. Daemons are started from the main thread only, since
they end with the thread that made them.
"""
import contextlib
import os
import random
import secrets
import signal
import subprocess
import threading
import time
from pathlib import Path

import harness
import psycopg2
import stand
import throwaway_pg
from stand import wait_until
from steps import AIS, MONTHS_ALONE, SEARCHERS, latency

from faults import enriched

LAST_YEAR = 2024
BOOKS = 5
# Slow enough that there is something to interrupt, quick enough that a campaign ends; milliseconds.
LATENCY = {"ai": [200, 700], "isbndb": [20, 80], "free": [5, 20]}
# Looked-up books a second: with it the look-ups of one second are known.
ISBNDB_RATE = 20
CONCURRENT = 4
ENDS_WITHIN_S = 120
PER_MONTH_S = 2             # when one of four daemons has them all, with a quarter of ISBNdb's rate
CLAIM_EVERY_S = 0.4
# A server that is killed must have what it said it has; a killed process loses nothing of the kernel's.
DURABLE = {"synchronous_commit": "on"}


class Skipped(Exception):
    """What this machine lacks for the campaign."""


class Broken(Exception):
    """The campaign itself saw a promise broken."""


class Run:
    """The stand of one campaign and what happened on it."""

    def __init__(self, name, options, folder):
        self.name = name
        self.short = options.short
        self.asked = options
        self.count = options.count or 1
        self.months = options.months or (12 if options.short else 48)
        self.leash = None           # how many months may have been begun by now; None: as many as there are
        self.folder = Path(folder)
        os.chmod(self.folder, 0o755)        # the server's user has to come through
        self.dice = random.Random(f"{options.seed} {name}")
        self.cluster = self.db = self.sandbox = self.stand = None
        self.daemons = []
        self.spans = []             # [instance, alive from, alive until]
        self.faults = []            # (from, until, what, whether the daemons had no database meanwhile)
        self.costly = 0             # those that may have cut off look-ups
        self.broken = []            # promises the campaign saw broken
        self.notes = []
        self.rescue_limit = 10.0
        self.attempts_may_count = False     # the fault looks like a provider's failure to the daemon
        self.ends_within = ENDS_WITHIN_S + PER_MONTH_S * self.months
        self.claims = 3             # months asked for at a time
        self.peaks = {}             # the busiest seconds, where a campaign judges them
        self.partial = False        # months were taken out after seeding: their years have gaps
        self.payments = None        # judges what was paid for, instead of judge.py
        self.bulks = 0              # requests for many ISBNs at once, which leave nothing in the cache
        self.figures_may_differ = False     # after a crash calls may have been counted that nobody got
        self.enriching = False              # the queue of ISBNs is worked off too, and judged
        self._closing = contextlib.ExitStack()
        self._claiming = None

    # ---- the parts ----

    def closing(self, what):
        """what() runs when the campaign is over, newest first."""
        self._closing.callback(what)

    def make_cluster(self, name="pg", settings=None, folder=None):
        """A started cluster of this campaign's own."""
        made = throwaway_pg.Cluster(folder or self.folder / name, settings={**DURABLE, **(settings or {})})
        if self.asked.template:             # the same files, sooner
            made.folder.mkdir(parents=True, exist_ok=True)
            made._own(made.folder)
            subprocess.run(["cp", "-a", "--reflink=auto", f"{self.asked.template}/data", str(made.data)], check=True)
        self.closing(made.stop)
        return made.start()

    def open(self, settings=None, cluster=None, conninfo=None, sandbox=None):
        """Database, sandbox and the maker of daemons. sandbox: makes it somewhere else."""
        self.cluster = cluster or self.make_cluster(settings=settings)
        self.db = harness.Database(conninfo or self.cluster.conninfo(tcp=True), "f_" + secrets.token_hex(4))
        self.closing(self.db.close)
        self.sandbox = (sandbox or stand.Sandbox)(self.folder)
        self.closing(self.sandbox.stop)
        latency(self.sandbox, AIS, 0)
        self.sandbox.control({"providers": {
            name: {"latency_ms": LATENCY["ai" if name in AIS else "isbndb" if name == "isbndb" else "free"]}
            for name in (*AIS, *SEARCHERS)}})
        self.stand = harness.Stand(self.folder, self.db, self.sandbox.url)
        self.closing(self._end_daemons)
        return self

    def _end_daemons(self):
        for d in self.daemons:              # all at once; one after the other is waited for then
            if d.process is not None:
                d.send(signal.SIGCONT)
                d.send(signal.SIGTERM)
        found = self.stand.close()
        if found:
            self.broken.append(f"the logs hold defects: {found[0]}")

    def ini(self, overrides=None):
        """The configuration of a campaign's daemon: months alone, so that what the sandbox counts is theirs."""
        base = stand.merge(MONTHS_ALONE, {
            "generation": {"books_per_provider": BOOKS},
            "scheduler": {"concurrent_months": CONCURRENT},
            "provider.isbndb": {"rate": f"{ISBNDB_RATE}/s"},
            # one instance after the other may ask it, for many seconds each: that is no standstill that a fault made
            "provider.wikidata": {"enabled": False}})
        return stand.merge(stand.merge(base, enriched.ini(self.short)) if self.enriching else base, overrides)

    def daemon(self, overrides=None, start=True, **kwargs):
        """One more daemon, started and ready unless told otherwise."""
        d = self.stand.daemon(self.ini(overrides), start=False, **kwargs)
        self.daemons.append(d)
        if start:
            self.start(d)
            d.wait_ready()
        return d

    def start(self, d):
        """Starts the process, again too."""
        self.alive(d)
        d.start()

    def alive(self, d):
        """Notes that this daemon is in order from now on."""
        self.spans.append([d.instance, time.time(), None])

    def died(self, d):
        """Notes that this daemon is gone, or cut off."""
        for span in reversed(self.spans):
            if span[0] == d.instance and span[2] is None:
                span[2] = time.time()
                return

    def kill(self, d):
        """kill -9, noted."""
        self.fault("kill -9 " + d.instance)
        d.kill9()
        self.died(d)
        self.figures_may_differ = True

    # ---- the diary ----

    def fault(self, what, began=None, until=None, costly=True, outage=False):
        """Notes a fault. until: when the world was in order again; without it the fault was a moment's. costly: look-ups may
        have been cut off by it."""
        now = time.time()
        self.faults.append((began or now, until or now, what, outage))
        self.costly += costly

    @contextlib.contextmanager
    def outage(self, what):
        """A fault that lasts as long as what is done inside."""
        began = time.time()
        try:
            yield
        finally:
            self.fault(what, began, time.time(), outage=True)

    def note(self, text):
        self.notes.append(text)

    # ---- the work ----

    def seed(self):
        """Whole years, newest last; how many months."""
        years = -(-self.months // 12)
        made = self.daemons[0].seed(LAST_YEAR - years + 1, LAST_YEAR)
        self.months = made
        return made

    def claim_all_the_time(self):
        """From now on somebody asks a random daemon for months every moment, as the timer would; refusals are nothing."""
        self._claiming = threading.Event()
        stop, dice = self._claiming, random.Random(self.dice.random())

        def claim():
            while not stop.wait(CLAIM_EVERY_S):
                with contextlib.suppress(Exception):    # dead, stopped, or without its database: that is the campaign
                    n = self.claims if self.leash is None else min(self.claims, self.leash - self._begun())
                    if n > 0:
                        dice.choice(self.daemons).post("/api/internal/schedule-backfill", {"batch_size": n}, timeout=5)
        thread = threading.Thread(target=claim, daemon=True)
        thread.start()

        def end():
            stop.set()
            thread.join(10)
        self.closing(end)

    def _begun(self):
        """How many months somebody has claimed so far; for the claimer, on a session of its own."""
        with contextlib.closing(self.db.connect(connect_timeout=2)) as session, session.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM backfill_log WHERE fence > 0")
            return cursor.fetchone()[0]

    def scale(self, full, short, months=48, short_months=12):
        """How many faults over how many months, unless the command line says otherwise."""
        self.count = self.asked.count or (short if self.short else full)
        self.months = self.asked.months or (short_months if self.short else months)
        self.leash = CONCURRENT
        self.ends_within = ENDS_WITHIN_S + PER_MONTH_S * self.months

    def blows(self):
        """The numbers of the faults to come. Months are let go step by step, so that there is work left for the last one."""
        try:
            for i in range(self.count):
                self.leash = CONCURRENT + -(-(self.months - CONCURRENT) * i // self.count)
                yield i
        finally:                            # also when the loop over them was left
            self.leash = None

    def statuses(self):
        """{status: months}; None while the database does not answer."""
        return self.asking(self.db.statuses)

    def asking(self, question):
        """The answer of the database; None while it does not give any."""
        try:
            return question()
        except psycopg2.Error:
            self.db.close()
            return None

    def done(self):
        """Every seeded month is completed, and so is what follows from it."""
        return self.statuses() == {"completed": self.months} and (
            not self.enriching or self.asking(lambda: enriched.at_rest(self.db)) is True)

    def rest(self, low, high=None):
        """Waits a random time between faults; False when there is nothing left to disturb."""
        time.sleep(self.dice.uniform(low, high or low))
        return not self.done()

    def owned(self, d):
        """The daemon's months in flight beyond the waiting: {(year, month): fence}."""
        return {(r["year"], r["month"]): r["fence"] for r in self.db.rows(
            "SELECT year, month, fence FROM backfill_log WHERE status = 'processing' AND owner = %s AND stage <> 'claimed'", d.instance)}

    def busy(self, daemons, months=1, timeout=15):
        """The first of the daemons, in any order, that has months in work; None when there is none in time, or nothing left."""
        daemons = list(daemons)
        until = time.time() + timeout
        while time.time() < until and not self.done():
            self.dice.shuffle(daemons)
            for d in daemons:
                if len(self.owned(d)) >= months:
                    return d
            time.sleep(0.02)
        return None

    def begin(self):
        """Seeds, claims, and waits until the work is under way."""
        self.seed()
        self.claim_all_the_time()
        wait_until(lambda: sum(self.sandbox.counters(ai)["requests"] for ai in AIS) >= 2, 30, "the first request")

    def wait_end(self):
        """Until everything is completed; whether it was, in time."""
        try:
            wait_until(self.done, self.ends_within, "every month completed", every=0.2)
            return True
        except TimeoutError:
            return False

    def close(self):
        """Ends all that was started."""
        self._closing.close()
