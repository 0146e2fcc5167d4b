"""Campaigns: servers that mean harm, wrong certificates, and names that do not resolve."""
import threading
import time

import stand
from stand import wait_until
from steps import AIS, SEARCHERS, hurry

from faults import hostile

MEMORY_MIB = 256
GAP_S = 1.0                     # the longest that /healthz may keep its asker waiting, apart from both waiting for a processor
LAST = (2024, 12)               # the newest month of what is seeded, which is claimed first


def queued_s(path):
    """How long a process or thread was ready and had no processor, in seconds, so far."""
    with open(path, encoding="ascii") as f:
        return int(f.read().split()[1]) / 1e9


class Watch:
    """Asks /healthz again and again: how long the longest answer took, how long it was the daemon's doing, and whether one was
    missing. On a busy machine the difference is what asker and daemon waited for a processor."""

    def __init__(self, run, d):
        self.longest, self.blocked, self.asked, self.missing = 0.0, 0.0, 0, 0
        self._d, self._stop = d, threading.Event()
        thread = threading.Thread(target=self._ask, daemon=True)
        thread.start()
        run.closing(lambda: (self._stop.set(), thread.join(10)))

    def _ask(self):
        while not self._stop.wait(0.05):
            began, queued = time.monotonic(), self._queued()
            try:
                self.missing += self._d.get("/healthz", secret=None, timeout=15).status != 200
            except Exception:               # a daemon that is gone is seen by others
                self.missing += self._d.running
            self.asked += 1
            took = time.monotonic() - began
            self.longest = max(self.longest, took)
            self.blocked = max(self.blocked, took - (self._queued() - queued))

    def _queued(self):
        try:
            return queued_s(f"/proc/{self._d.pid}/schedstat") + queued_s("/proc/thread-self/schedstat")
        except OSError:
            return 0.0


def seed_newest(run, months):
    """So many months, the newest; what whole years have more is taken out again."""
    run.months = months
    run.seed()
    run.partial = run.months != months
    run.db.execute("DELETE FROM backfill_log WHERE id IN (SELECT id FROM backfill_log ORDER BY year DESC, month DESC OFFSET %s)", months)
    run.months = months


def stand_before(run, server):
    """The configuration of a daemon whose providers are all behind this server, with little patience."""
    return {"generation": {"books_per_provider": 3},
            "scheduler": {"concurrent_months": 1, "retry_base": "500ms", "retry_cap": "1s"},
            "resolution": {"concurrent_books": 3},
            **{f"provider.{p}": {"base_url": f"{server.url}/{p}", "timeout": "3s", "rate": "200/s", "enabled": True, "concurrency": 4}
               for p in (*AIS, *SEARCHERS)}}


def closed(d):
    """Providers that may not be asked now, by a circuit, a ban, a quota or a refused key."""
    return {p["name"] for p in d.get("/api/internal/overview").json["providers"] if not p["usable"]}


def reopen(run, d):
    """Keys are mended, bans and days are over: closed providers are open again, at the latest two pulses later."""
    if not closed(d):
        return
    times = d.log.count("configuration reloaded")
    d.hup()
    wait_until(lambda: d.log.count("configuration reloaded") > times, 20, "the reload")
    hurry(run.db)
    wait_until(lambda: not closed(d), 30, "all providers open")


def secrets_of(d):
    """The daemon's keys and its own secret."""
    return [value for name, value in d.env.items() if name.endswith("_KEY") or name == stand.SECRET_ENV]


def judge_secrets(run, d, *others):
    """No key and no secret in the log, in the database's texts, or at a server that none was meant for."""
    for secret in secrets_of(d):
        if secret in d.log:
            where = next(line for line in d.log.splitlines() if secret in line)
            run.broken.append(f"a key in the log: {where[:300].replace(secret, '<KEY>')}")
        for table, column in (("backfill_events", "detail::text"), ("backfill_log", "error_message"), ("backfill_answers", "reason"),
                              ("backfill_answers", "body"), ("backfill_candidates", "answers::text"), ("provider_state", "reason")):
            if run.db.value(f"SELECT count(*) FROM {table} WHERE strpos({column}, %s) > 0", secret):
                run.broken.append(f"a key in {table}.{column}")
        for other in others:
            if any(secret in str(r.headers) or secret in r.path or secret.encode() in r.body for r in other.seen):
                run.broken.append("a key was sent elsewhere")


def groups(rotation):
    """Manners for one AI and five searchers at a time; all of them in the end."""
    which = hostile.FAULTY[rotation:] + hostile.FAULTY[:rotation]
    for i in range(0, len(which), 6):
        yield which[i:i + 6] + which[:max(0, i + 6 - len(which))]


# those that are given up at the first try: nobody closes for it
AT_ONCE = [hostile.tells_the_key_at_once, hostile.chunked, hostile.gzip_bomb, hostile.redirect_away, hostile.endless_headers,
           hostile.slow_headers]
WORST = [hostile.tells_the_key, hostile.tells_the_key, hostile.chunked, hostile.redirect_away, hostile.gzip_bomb, hostile.slow_headers]


def definite(run, year, month):
    """[provider, outcome, manner's victim] of searchers that a month of struck ones took at their word."""
    found = []
    for row in run.db.rows("SELECT title, answers FROM backfill_candidates WHERE year = %s AND month = %s", year, month):
        found += [(p, said["outcome"], row["title"]) for p, said in (row["answers"] or {}).items()
                  if said["outcome"] in ("hit", "not_found", "refused")]
    return found


def struck_month(run, server, d, i, manners, ai):
    """A month whose AI and searchers are struck, until it has said so; then, the server being sane, until it is completed."""
    year, month = LAST[0] - i // 12, LAST[1] - i % 12
    names = ", ".join(f"{m.__name__} at {p}" for p, m in manners.items())
    before = {p: server.hits(p) for p in manners}
    server.manners = dict(manners)
    began = time.time()
    d.schedule(batch_size=1)

    def told():
        row = run.db.month(year, month)
        return row["status"] in ("retry", "failed", "completed") and row
    try:
        row = wait_until(told, 60, f"{year}-{month:02d} says what happened: {names}")
        if row["status"] == "completed":
            run.broken.append(f"{year}-{month:02d} completed although nobody could be asked: {names}")
        elif not row["error_message"]:
            run.broken.append(f"{year}-{month:02d} is {row['status']} and does not say why")
        for p, outcome, title in definite(run, year, month):
            run.broken.append(f"{manners[p].__name__} at {p} was taken for {outcome!r} of {title!r}")
        stored = run.db.value("SELECT outcome FROM backfill_answers WHERE year = %s AND month = %s AND provider = %s", year, month, ai)
        if stored == "ok":
            run.broken.append(f"{manners[ai].__name__} at {ai} was taken for a list of books")
        for p, m in manners.items():
            if server.hits(p) == before[p]:
                run.broken.append(f"{m.__name__} never struck {p}: nothing was proven")
    except TimeoutError as late:
        run.broken.append(f"{late}; closed: {sorted(closed(d))}")
    run.fault(names, began, time.time(), costly=False)
    server.manners = {}


def judge_payments(run, out, _, counters):
    """What the sandbox was asked came through: each of it is stored, and none was asked for again."""
    for ai in AIS:
        kept = run.db.value("SELECT count(*) FROM backfill_answers WHERE provider = %s", ai)
        bought = counters[ai]["requests"]
        if bought > kept:
            out.paid += bought - kept
            out.reasons.append(f"{ai}: {bought} good answers for {kept} stored ones")
    bought, kept = counters["isbndb"]["requests"], run.db.value("SELECT count(*) FROM isbn_resolutions WHERE provider = 'isbndb'")
    run.note(f"isbndb: {bought} good answers, {kept} kept")
    if bought > kept:
        out.paid += bought - kept
        out.reasons.append(f"isbndb: {bought} good answers for {kept} kept ones")


def lag(d):
    """The loop's own figures: the longest turn or lateness of a timer."""
    return max((v for k, v in d.metrics().items() if k.startswith("backfill_loop_lag") and "max" in k), default=0.0)


def hostile_server(run):
    """200 MB bodies, bombs, drips, endless headers, redirects, lies in HTTP and monstrous JSON from every provider"""
    run.open()
    run.sandbox.control({"invented": 0, "providers": {p: {"latency_ms": [1, 5]} for p in (*AIS, *SEARCHERS)}})
    run.sandbox.control({"providers": {p: {"coverage": 1.0} for p in SEARCHERS}})
    run.attempts_may_count = True
    run.payments = judge_payments
    server, elsewhere = hostile.Server(run.sandbox.url), hostile.Server()
    run.closing(server.close)
    run.closing(elsewhere.close)
    server.elsewhere = elsewhere.url
    which = [AT_ONCE] if run.short else [WORST, *(g for rotation in (0, 1, 3) for g in groups(rotation))]
    answering = [hostile.each_otherwise] if run.short else hostile.ANSWERING
    d = run.daemon(stand_before(run, server))
    server.admin = d.url
    seed_newest(run, len(which) + len(answering))
    watch = Watch(run, d)
    i = 0
    for group in which:
        ai = AIS[i % 2]
        struck_month(run, server, d, i, {ai: group[0], **dict(zip(SEARCHERS, group[1:]))}, ai)
        reopen(run, d)
        i += 1
        if not d.running:
            break
    for manner in answering:
        answering_month(run, server, d, i, manner)
        reopen(run, d)
        i += 1
    run.note(f"/healthz asked {watch.asked} times: longest answer {watch.longest:.2f} s, at most {watch.blocked:.2f} s not for"
             f" want of a processor, {watch.missing} missing; longest turn of the loop {lag(d):.2f} s")
    if watch.blocked > GAP_S or watch.missing:
        run.broken.append(f"/healthz took {watch.blocked:.2f} s, {watch.missing} times there was no answer")
    peak(run, d)
    judge_secrets(run, d, elsewhere)
    if any(r.path.startswith("/stolen") and r.body for r in elsewhere.seen):
        run.broken.append("a body was sent elsewhere")
    run.claim_all_the_time()


def peak(run, d, limit=MEMORY_MIB):
    """Notes the most memory ever resident, in MiB, which must stay below the limit."""
    if not d.running:
        run.broken.append(f"{d.instance} ended: {d.log[-400:]}")
        return
    mib = d.rss_peak / 1024
    run.note(f"most memory resident: {mib:.0f} MiB")
    if mib > limit:
        run.broken.append(f"{mib:.0f} MiB resident, more than {limit}")


def answering_month(run, server, d, i, manner):
    """A month whose searchers answer something else than was asked: no book of it may get that ISBN."""
    year, month = LAST[0] - i // 12, LAST[1] - i % 12
    server.manners = {p: manner for p in SEARCHERS}
    began = time.time()
    d.schedule(batch_size=1)
    try:
        wait_until(lambda: run.db.month(year, month)["status"] in ("retry", "completed"), 60, f"{manner.__name__} is answered")
    except TimeoutError as late:
        run.broken.append(str(late))
    run.fault(manner.__name__, began, time.time(), costly=False)
    server.manners = {}
    believed = run.db.value("SELECT count(*) FROM backfill_candidates WHERE isbn13 = %s", hostile.ISBN_OF_NOBODY)
    if believed:
        run.broken.append(f"{manner.__name__} was believed for {believed} books")


CAMPAIGNS = {"hostile": hostile_server}
