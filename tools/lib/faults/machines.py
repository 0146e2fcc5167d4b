"""Campaigns with a host for everyone: three daemons, a primary and its synchronous standby, the sandbox; each a network
namespace, and a switch between them that loses packets, both ways or one way only, without telling anybody.
"""
import contextlib
import shutil
import time

import harness
import psycopg2
import stand
import throwaway_pg
from stand import wait_until
from steps import SEARCHERS

from faults import judge
from faults.network import NET, Network
from faults.run import DURABLE

DAEMONS = ("d1", "d2", "d3")
PG_PORT, ADMIN_PORT, SANDBOX_PORT = 5432, 8787, 8080
# A standby that was cut off is back seconds after the network is, whatever TCP's patience.
REPLICATION = {"wal_sender_timeout": "4s", "wal_receiver_timeout": "4s", "wal_retrieve_retry_interval": "500ms"}
FOLLOWS_WITHIN_S = 60
# What a rate may be passed by at the sandbox: requests leave a second apart at the least, and arrive when the machine lets them.
ARRIVAL = 1


class Node(throwaway_pg.Cluster):
    """A database server on a host of its own."""

    def __init__(self, run, host):
        super().__init__(run.folder / host.name, PG_PORT, {**DURABLE, **REPLICATION, "listen_addresses": host.address})
        self.host = host
        run.closing(self.stop)

    def conninfo(self, dbname="postgres", user=throwaway_pg.SERVER_USER, tcp=True):
        return f"host={self.host.address} port={PG_PORT} user={user} dbname={dbname}"

    def create(self):
        fresh = not self.data.exists()
        super().create()
        if fresh:
            with open(self.data / "pg_hba.conf", "a", encoding="utf-8") as hba:
                hba.write(f"host all,replication all {NET}0/24 trust\n")

    def start(self, end_with_us=True):
        with self.host:
            return super().start(end_with_us)

    def sql(self, *statements, dbname="postgres"):
        """Each in a transaction of its own; the last one's first column."""
        with contextlib.closing(psycopg2.connect(self.conninfo(dbname))) as session:
            session.autocommit = True
            with session.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                return [row[0] for row in cursor.fetchall()] if cursor.description else None

    def follows(self):
        """Whether a standby has all that this one says it has."""
        return self.sql("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'") == [1]

    def follow(self, primary):
        """Made anew from the primary, as its synchronous standby."""
        shutil.rmtree(self.data, ignore_errors=True)
        self.folder.mkdir(exist_ok=True)
        self._own(self.folder)
        source = f"{primary.conninfo()} application_name={self.host.name} connect_timeout=2"
        with self.host:
            self._run([self._bin / "pg_basebackup", "-d", source, "-D", self.data, "-R", "-X", "stream", "-c", "fast"],
                      "pg_basebackup")
        auto = self.data / "postgresql.auto.conf"       # once promoted it has nobody to wait for yet
        auto.write_text("".join(x for x in auto.read_text(encoding="utf-8").splitlines(True) if "synchronous_standby" not in x),
                        encoding="utf-8")
        self.start()
        primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
        wait_until(primary.follows, FOLLOWS_WITHIN_S, f"{self.host.name} follows {primary.host.name}")


class Machines:
    """The hosts of a campaign and what runs on them."""

    def __init__(self, run, overrides=None):
        self.run = run
        self.net = Network(run, ("pg1", "pg2", "sandbox", *DAEMONS))
        self.primary, self.second = (Node(run, self.net[name]) for name in ("pg1", "pg2"))
        self.primary.start()
        self.second.follow(self.primary)
        run.open(cluster=self.primary, sandbox=self._sandbox, conninfo=" ".join((
            f"host={self.primary.host.address},{self.second.host.address}", f"port={PG_PORT}", f"user={throwaway_pg.SERVER_USER}",
            "dbname=postgres", "target_session_attrs=read-write")))
        run.rescue_limit = 20.0
        run.figures_may_differ = True
        self.daemons = [self._daemon(self.net[name], overrides) for name in DAEMONS]
        for d in self.daemons:
            d.wait_ready()
        run.closing(self.net.mend)

    def _sandbox(self, folder):
        """It listens on its host's loopback alone; a relay there listens to the others."""
        host = self.net["sandbox"]
        with host:
            sandbox = stand.Sandbox(folder)
            relay = harness.Relay(int(sandbox.url.rpartition(":")[2]), listen=(host.address, SANDBOX_PORT))
        self.run.closing(relay.close)
        sandbox.url = f"http://{host.address}:{SANDBOX_PORT}"
        return sandbox

    def _daemon(self, host, overrides):
        listen = f"{host.address}:{ADMIN_PORT}"
        d = self.run.daemon(stand.merge(overrides or {}, {"admin": {"listen": listen}}), start=False, instance=host.name)
        d.listen, d.url = listen, f"http://{listen}"
        with host:
            self.run.start(d)
        return d

    def claimed_anyway(self, d):
        """How many months the daemon says it has claimed, asked now."""
        with contextlib.suppress(OSError):
            answer = d.post("/api/internal/schedule-backfill", {"batch_size": 1}, timeout=3)
            if answer.status == 200:
                return answer.json["months_selected"]
        return 0

    def bitten(self):
        """Packets that were lost, by pair."""
        return sum(self.net.counts()[1].values())


# ---- partitions ----

def directions(m, a, b):
    """Cuts two hosts off from each other, or one from the other; how, in words."""
    how = m.run.dice.choice(("both ways", "one way", "the other way"))
    if how != "the other way":
        m.net.one_way(a, b)
    if how != "one way":
        m.net.one_way(b, a)
    return {"both ways": f"{a} x {b}", "one way": f"{a} > {b} cut", "the other way": f"{b} > {a} cut"}[how]


def from_database(m, seconds, far=None):
    """A daemon and the primary: to the others it is dead."""
    run, far = m.run, far or m.run.dice.choice(m.daemons)
    run.busy([far], timeout=3)
    began = time.time()
    what = directions(m, far.instance, m.primary.host.name)
    run.died(far)
    time.sleep(seconds)
    m.net.mend()
    run.alive(far)
    run.fault(f"{what} for {seconds:.0f} s", began, began + 0.01)


def from_sandbox(m, seconds, far=None):
    """A daemon and the providers: its requests, or their answers, are lost."""
    run, far = m.run, far or m.run.dice.choice(m.daemons)
    began = time.time()
    what = directions(m, far.instance, "sandbox")
    time.sleep(seconds)
    m.net.mend()
    run.fault(f"{what} for {seconds:.0f} s", began, began + 0.01)


def between_servers(m, seconds):
    """Primary and standby: nothing can be committed, so nobody may say that anything was."""
    run = m.run
    with run.outage(f"primary and standby apart for {seconds:.0f} s"):
        directions(m, "pg1", "pg2")
        began = time.time()
        time.sleep(0.3)             # what was acknowledged before is under way to the daemons yet
        before = run.statuses()
        lied = sum(m.claimed_anyway(d) for d in m.daemons)
        time.sleep(max(0.0, began + seconds - time.time()))
        after = run.statuses()
        m.net.mend()
        wait_until(m.primary.follows, FOLLOWS_WITHIN_S, "the standby follows again")
    # who waits for the standby and is ended shows its change early, on the primary alone; nobody is told that it is done
    if lied or (before or {}).get("completed") != (after or {}).get("completed"):
        run.broken.append(f"without its standby: {lied} months said to be claimed, {before} became {after}")


def between_daemons(m, seconds):
    """Two daemons: they have nothing to say to each other."""
    a, b = m.run.dice.sample(DAEMONS, 2)
    m.run.fault(directions(m, a, b) + f" for {seconds:.0f} s", costly=False)
    time.sleep(seconds)
    m.net.mend()


def weather(m, seconds):
    """Everything slow and lossy."""
    loss, delay = m.run.dice.uniform(0.01, 0.05), m.run.dice.uniform(5, 60)
    names = ["pg1", "pg2", "sandbox", *DAEMONS]
    for i, a in enumerate(names):
        for b in names[i + 1:]:
            m.net.both_ways(a, b, loss=loss, delay_ms=delay, jitter_ms=delay)
    m.run.fault(f"{100 * loss:.0f} % lost, {delay:.0f} to {2 * delay:.0f} ms for {seconds:.0f} s", costly=False)
    time.sleep(seconds)
    m.net.mend()


KINDS = (from_database, between_servers, from_sandbox, weather, between_daemons)


def partitions(run):
    """packets between any two of six hosts lost, both ways or one way only: daemons, primary, synchronous standby, sandbox"""
    run.scale(16, 3, months=72)
    run.attempts_may_count = True       # a provider that does not answer has failed
    m = Machines(run)
    run.begin()
    for i in run.blows():
        kind = KINDS[i] if i < len(KINDS) else run.dice.choice(KINDS)
        # the first time between the servers longer than a statement may take: the sessions do not outlive it
        longest = 42 if kind is between_servers and i < len(KINDS) else run.dice.uniform(4, 25)
        kind(m, 2 if run.short else longest)
        if not run.rest(0.5, 0.5 if run.short else 2):
            break
    run.note(f"{len(run.faults)} times, {m.bitten()} packets lost: " + "; ".join(f[2] for f in run.faults[:30]))


# ---- promotions ----

def isolate(m, side):
    """The primary and these daemons on one side, everybody but the sandbox on the other."""
    ours = [m.primary.host.name, *side]
    for a in ours:
        for b in (m.second.host.name, *DAEMONS):
            if b not in ours:
                m.net.both_ways(a, b, loss=1.0)


def visible(node, m):
    """The newest event that a server shows."""
    return node.sql("SELECT coalesce(max(id), 0) FROM backfill_events", dbname=m.run.db.name)[0]


def two_primaries(m, side):
    """The primary cut off but alive with its side, its standby promoted; the newest event the old one showed before."""
    m.run.busy(side, timeout=3)
    isolate(m, [d.instance for d in side])
    for d in side:
        m.run.died(d)
    time.sleep(0.3)             # what was acknowledged before is under way yet
    before = visible(m.primary, m)
    time.sleep(m.run.dice.uniform(0.5, 2))
    m.second.sql("SELECT pg_promote(true, 30)")
    return before


def live_on(m, side, how, before, seconds):
    """Both primaries go on for a time: whoever talks to the old one may complete nothing."""
    until = time.time() + seconds
    lied = sum(m.claimed_anyway(d) for d in side)
    time.sleep(max(0.0, until - time.time()))
    shown = visible(m.primary, m) - before
    m.run.note(f"{m.primary.host.name} cut off {how} for {seconds:.0f} s: {shown} events shown that it could not keep")
    if lied:
        m.run.broken.append(f"{lied} months said to be claimed on a primary that was none")


def promote(run, m, how):
    """The standby becomes the primary; the old one is fenced and made anew as the standby."""
    run.db.close()
    old, new = m.primary, m.second
    side = {"killed": [], "with one daemon": [run.dice.choice(m.daemons)], "with all daemons": list(m.daemons)}[how]
    with contextlib.ExitStack() as away:
        away.enter_context(run.outage(f"{old.host.name} killed" if how == "killed" else f"two primaries, {old.host.name} {how}"))
        if side:
            before = two_primaries(m, side)
            if len(side) < len(m.daemons):
                away.close()                # the others have a primary again
            live_on(m, side, how, before, 2 if run.short else run.dice.uniform(6, 20))
        old.kill()                          # the fence
        m.net.mend()
        for d in side:
            run.alive(d)
        if not side:
            time.sleep(run.dice.uniform(0.5, 2))
            new.sql("SELECT pg_promote(true, 30)")
    m.primary, m.second = new, old
    wait_until(lambda: run.statuses() is not None, 20, "the promoted server takes writes")
    old.follow(new)


def promotions(run):
    """the synchronous standby promoted, the old primary killed, or cut off and alive with one daemon or all on its side"""
    run.scale(5, 1, months=60)
    m = Machines(run)
    run.begin()
    kinds = ("with one daemon", "killed", "with all daemons")
    for i in run.blows():
        if not run.rest(0.5, 1 if run.short else 3):
            break
        promote(run, m, kinds[i % len(kinds)])
        if not run.rest(1 if run.short else 8):
            break


# ---- rates and quotas ----

RATE = 6                                # a second, of every provider of ISBNs: a third too much would be seen
DAILY = {True: 12, False: 200}          # units of ISBNdb: they end amid the campaign, then the others are asked for all


def rates_held(run, out, events, counters):
    """As every campaign's payments, and that rates and the daily limit held over all three."""
    judge._judge_payments(run, out, events, counters)
    peaks = run.peaks
    limit = DAILY[run.short]
    units = counters["isbndb"]["units"]
    used = run.db.value("SELECT used FROM api_quota WHERE provider = 'isbndb' ORDER BY day DESC LIMIT 1")
    run.note(f"{RATE}/s allowed; busiest second: " + ", ".join(f"{name} {n}" for name, n in peaks.items() if n))
    run.note(f"ISBNdb: {units} units billed, {used} counted, {limit} allowed")
    for name, n in peaks.items():
        if n > RATE + ARRIVAL:
            out.reasons.append(f"{name}: {n} requests in one second, {RATE} allowed")
    if units > limit or used is None or used < units:
        out.reasons.append(f"ISBNdb: {units} units billed, {used} counted, {limit} allowed")


def peaks(run):
    """Each provider's busiest second so far."""
    return {name: of["peak_per_second"] for name, of in run.sandbox.counters()["providers"].items() if name in SEARCHERS}


WAVE = 12       # months let go at a time, four a daemon


def rates(run):
    """rates and ISBNdb's daily limit over three daemons of which one is cut off from the database, at last from the providers"""
    run.scale(6, 1, months=72)
    run.months = run.asked.months or WAVE * run.count
    run.attempts_may_count = True
    run.payments = rates_held
    run.ends_within = 240
    slow = {f"provider.{name}": {"rate": f"{RATE}/s"} for name in SEARCHERS if name != "wikidata"}
    m = Machines(run, stand.merge(slow, {
        "provider.isbndb": {"rate": f"{RATE}/s", "daily_limit": DAILY[run.short]}, "resolution": {"concurrent_books": 20},
        "generation": {"books_per_provider": 2 if run.short else 5}}))
    for i in range(run.count):
        run.leash = WAVE * (i + 1)
        if i == 0:
            run.begin()
        if i >= run.count // 2 - 1:         # from here on there is a queue before those that nothing is reserved for
            wait_until(lambda: run.sandbox.counters("isbndb")["units"] >= DAILY[run.short], 120, "ISBNdb's last unit")
        time.sleep(1 if run.short else 5)
        run.peaks = peaks(run)
        far = max(run.daemons, key=lambda d: len(run.owned(d)))
        # what a cut network held back comes all at once when it is whole again: no second of that can be judged
        last = i == run.count - 1 and run.count > 1
        (from_sandbox if last else from_database)(m, 6 if run.short else run.dice.uniform(12, 20), far)
        if not last:
            run.peaks = peaks(run)
        if not run.rest(1):
            break
    run.leash = None


CAMPAIGNS = {"machines-partition": partitions, "machines-promote": promotions, "machines-rates": rates}
