"""Campaigns: the admin interface under attack. What is sent is in door.py, who sends it in attackers.py."""
import json
import os
import statistics
import subprocess
import time

import stand
from stand import wait_until

from faults import door
from faults.attackers import FLOOD, SLOW, STUFF, Attacker, Watch, ask, converse, flood, high_water, parse, slow, stuff, weigh

MONTHS = "/api/internal/months"
STILL = ("SELECT md5(coalesce((SELECT string_agg(l::text, '|' ORDER BY l.id) FROM backfill_log l), ''))"
         " || md5(coalesce((SELECT string_agg(c::text, '|') FROM backfill_control c), ''))"
         " || (SELECT count(*) FROM backfill_jobs) || '/' || (SELECT count(*) FROM backfill_events)"
         " || '/' || (SELECT count(*) FROM backfill_audit) || '/' || (SELECT count(*) FROM enrichment_queue)")
MUTANTS = 100_000
MUTANTS_SHORT = 3_000
SLOW_ONES = 1_000
DESCRIPTORS = 256 + 128 + 40     # the interface's cap, those that are cut and not gone yet, and what the months need
MEMORY_MIB = 96                 # of growth: what may wait for an answer, and as much again for what answers need
ANSWER_S = 1.0
PACE = 0.8
BURST = 100                     # wrong secrets of one address
GUESSES = 300
FLAT = 1.05                     # of medians, at the comparison itself
FLAT_HTTP = 1.10                # and seen from a client
WRONG_LINE = "requests without the right secret"


def port_of(d):
    return int(d.url.rpartition(":")[2])


def first_status(talk):
    found, _ = talk.answers
    return found[0][0] if found else None


def descriptors(d):
    """Open descriptors of the daemon: connections to its interface and some of its own."""
    return len(os.listdir(f"/proc/{d.pid}/fd"))


def alive(d, found):
    """It runs and answers."""
    if not d.running:
        found.append("the daemon ended")
        return False
    if d.get("/healthz", secret=None, timeout=10).status != 200:
        found.append("the daemon does not answer")
    return True


# ---- one by one ----

def _try_tricks(run, d, found):
    """Each of the tricks, and whether what hid behind one was served."""
    all_tricks = door.tricks(d.secret)
    answered = 0
    for talk in converse(port_of(d), [t[1] for t in all_tricks], at_once=16, quiet_s=3.0):
        name, _, statuses = all_tricks[talk.index]
        answers, rest = talk.answers
        status = answers[0][0] if answers else None
        answered += status is not None
        if answers is None:
            found.append(f"{name}: no answer of HTTP: {talk.data[:80]!r}")
        elif status not in statuses and not (status is None and talk.reset):
            found.append(f"{name}: {status}")
        elif door.is_hidden(name) and len(answers) > 1:
            found.append(f"{name}: the second request was answered {answers[1][0]}")
        elif b"root:" in talk.data or (rest and not talk.reset):
            found.append(f"{name}: {talk.data[-80:]!r}")
    run.fault(f"{len(all_tricks)} requests, {answered} answered")
    run.note(f"{len(all_tricks)} requests one by one: smuggled, oversized, traversing, rebound, of another site, of no UTF-8: "
             f"each refused or served as it must be")
    time.sleep(2)       # rows of the audit are gathered before they are written
    hidden = run.db.value("SELECT count(*) FROM backfill_audit WHERE path LIKE '%%/pause' AND status < 400")
    if hidden:
        found.append(f"{hidden} hidden requests were executed")


def _guess(run, d, found):
    """Wrong secrets from one address; the right one and other addresses meanwhile."""
    port, seen = port_of(d), {}
    head = "GET /api/internal/months HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Cron-Secret: {}\r\n\r\n"
    began = time.monotonic()
    logged = d.log.count(WRONG_LINE)
    for talk in converse(port, [head.format(f"{n:032x}").encode() for n in range(GUESSES)], at_once=8, quiet_s=10,
                         addresses=("127.0.0.7",)):
        answers, _ = talk.answers
        status = answers[0][0] if answers else None
        seen[status] = seen.get(status, 0) + 1
        if status == 429 and int(answers[0][1].get("retry-after", 0)) < 1:
            found.append("429 without Retry-After")
    right = [first_status(ask(port, head.format(d.secret).encode(), 10, "127.0.0.7")) for _ in range(20)]
    other = first_status(ask(port, head.format("0" * 32).encode(), 10, "127.0.0.8"))
    none = first_status(ask(port, b"GET /api/internal/months HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 10, "127.0.0.7"))
    took = time.monotonic() - began
    run.fault(f"{GUESSES} wrong secrets")
    run.note(f"{GUESSES} wrong secrets of one address in {took:.1f} s: {seen}; the right one from it 20 times {set(right)}, a wrong one from "
             f"another {other}, none at all {none}")
    if set(seen) != {401, 429} or seen[401] > BURST + took + 1:
        found.append(f"wrong secrets: {seen}")
    if set(right) != {200} or other != 401 or none != 401:
        found.append(f"locked out: right {right}, other address {other}, none {none}")
    log = d.log
    lines = log.count(WRONG_LINE) - logged
    if lines > 2 + took / 60 or f"{7:032x}" in log or d.secret in log:
        found.append(f"{lines} lines in the log, or a secret in one")


def _time_comparison(run, found):
    """The guard's own time for near and far secrets, and a client's view of it."""
    program = stand.binary("backfilld").parents[1] / "tests" / "unit" / "admin" / "time_secret"
    if not program.exists():
        run.note("tests/unit/admin/time_secret is not built: the comparison was not timed")
        return
    for again in (False, True):     # a neighbour on the machine can spoil one measurement
        out = subprocess.run([str(program), "20000" if run.short else "200000"], capture_output=True, text=True, check=True, timeout=300)
        medians = json.loads(out.stdout)
        wrong = [medians[k] for k in ("wrong", "half", "near")]
        ratio = max(wrong) / min(wrong)
        if ratio <= FLAT:
            break
    run.note(f"the comparison, median ns: {medians}; ratio of all wrong, half right and all but one right {ratio:.3f}"
             + (" (measured twice)" if again else ""))
    if ratio > FLAT:
        found.append(f"the time of the comparison tells how near a secret is: {ratio:.3f}")


def _time_answers(run, d, found):
    """Near and far secrets in turn, on connections of their own."""
    n, took = (300, 2000)[not run.short], {"near": [], "far": []}
    head = "GET /api/internal/months HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Cron-Secret: {}\r\n\r\n"
    secrets = {"near": d.secret[:-1] + ("0" if d.secret[-1] != "0" else "1"), "far": "".join("f" if c != "f" else "e" for c in d.secret)}
    order = ["near", "far"] * n
    run.dice.shuffle(order)
    for kind in order:
        began = time.perf_counter()
        ask(port_of(d), head.format(secrets[kind]).encode(), 10, "127.0.0.9")
        took[kind].append(time.perf_counter() - began)
    medians = {k: statistics.median(v) * 1e6 for k, v in took.items()}
    ratio = max(medians.values()) / min(medians.values())
    run.note(f"seen by a client, {n} each: median us {medians['near']:.0f} near, {medians['far']:.0f} far, ratio {ratio:.3f}")
    if ratio > FLAT_HTTP and not run.short:
        found.append(f"the time of the answer tells how near a secret is: {ratio:.3f}")


def _listen_openly(run, found):
    """Beyond loopback with 31 bytes and with 32."""
    for listen in ("0.0.0.0:8787", "[::]:8787", "192.0.2.1:8787"):
        for n in (31, 32):
            d = run.daemon({"admin": {"listen": listen}}, start=False, migrate=False, secret="s" * n)
            done = d.command("check")
            refused = done.returncode != 0 and "32 bytes" in done.stdout + done.stderr
            if refused != (n == 31):
                found.append(f"{listen} with a secret of {n} bytes: {done.returncode} {done.stderr[:200]}")
            if n == 31 and d.command("run").returncode == 0:
                found.append(f"{listen}: runs with a secret of {n} bytes")
    run.note("beyond loopback: refused with a secret of 31 bytes, checked and run, taken with 32")


def door_tricks(run):
    """smuggled, oversized, traversing, rebound and foreign requests one by one; secrets guessed and timed; listening openly"""
    run.open()
    d = run.daemon()
    d.seed(2024, 2024)
    found = []
    wait_until(lambda: run.db.value("SELECT count(*) FROM backfill_audit") == 1, 20, "the seeding on record")
    before = run.db.value(STILL)
    _listen_openly(run, found)
    _guess(run, d, found)
    _time_comparison(run, found)
    _time_answers(run, d, found)
    if run.db.value(STILL) != before:
        found.append("the database changed for requests without the secret")
    _try_tricks(run, d, found)
    alive(d, found)
    return found


# ---- random ones ----

class Oracle:
    """Looks at each answer to a mutant; what must not be is in found."""

    def __init__(self):
        self.found, self.answers, self.silent, self.statuses = [], 0, 0, {}
        self.refused_operators = set()

    def _say(self, text, talk):
        if len(self.found) < 20:
            self.found.append(f"{text}: {talk.payload[:300]!r} -> {talk.data[:200]!r}")

    def look(self, talk, allowed, must_refuse):
        """allowed: how many answers may be no refusal (None: any number); must_refuse: none may be."""
        found, rest = parse(talk.data, b"HEAD" in talk.payload)
        if found is None or (rest and talk.closed and not talk.reset):
            self._say("not an answer of HTTP", talk)
            return
        self.silent += not found
        self.answers += len(found)
        for status, headers, body in found:
            self.statuses[status] = self.statuses.get(status, 0) + 1
            # a method nobody knows is refused below the routes; readers of events are so many, and proofs run one by one
            may = (status == 501 and b"Not Implemented" in body) or \
                  (status == 503 and "retry-after" in headers and (b"As many follow" in body or b"is under way" in body or
                                                                   (not body and b"/verify" in talk.payload)))
            if status >= 500 and not may:
                self._say(f"{status}", talk)
            if headers.get("content-type") == "application/json" and status != 304 and body:
                self._check_json(body, talk)
        good = sum(1 for status, _, _ in found if status < 400)
        if must_refuse and good:
            self._say("served what must be refused", talk)
        if allowed is not None and good > allowed:
            self._say("served a stranger", talk)

    def _check_json(self, body, talk):
        try:
            json.loads(body)
        except ValueError:
            self._say("JSON that is none", talk)


def mutants(run, table, n, secret, oracle):
    """n spoiled requests: [(bytes, how many may be served, whether none may)]. Without a secret they are a stranger's."""
    dice, made = run.dice, []
    wrong = ["", "x", "0" * 32]
    for i in range(n):
        method, path, bodies = dice.choice(table)
        is_open = method == "GET" and (path in door.OPEN or path.startswith("/assets/"))
        body, given = dice.choice(bodies), secret or dice.choice(wrong)
        kind = dice.randrange(10)
        name = f"m{i}.{i}"      # a name that lost a digit is nobody else's
        r = door.Request(method, path, body, given, operator=name if secret else None)
        must = False
        if kind < 4:
            door.spoil(r, dice, is_open)
            must = True
            oracle.refused_operators.add(name)
        if kind == 4:
            r.method = dice.choice(door.METHODS)
        payload = r.bytes()
        if kind >= 5:
            payload = door.scramble(payload, dice)
        if kind == 9:
            other = dice.choice(table)
            payload += door.Request(other[0], other[1], dice.choice(other[2]), given).bytes()
        made.append((payload, None if secret else door.may_be_served(payload), must))
    return made


def _send_mutants(run, d, made, oracle):
    """Sends them, and looks at what comes back; half a megabyte of plan at a time."""
    addresses = [f"127.0.{a}.{b}" for a in (2, 3) for b in range(1, 200)]
    for talk in converse(port_of(d), (m[0] for m in made), at_once=96, quiet_s=0.4, addresses=addresses):
        _, allowed, must = made[talk.index]
        oracle.look(talk, allowed, must)
        if talk.index % 500 == 0 and not d.running:
            oracle.found.append("the daemon ended")
            return


def door_mutants(run):
    """every request of the interface spoiled at random: a stranger's change nothing, the guard's rules hold for everybody"""
    run.open()
    d = run.daemon({"daemon": {"log_level": "info"}, "scheduler": {"concurrent_months": 2}})
    d.seed(2020, 2024)
    table = door.table(json.loads(d.get("/openapi.json", secret=None).text))
    n = (MUTANTS_SHORT if run.short else MUTANTS) // 2
    fds, base = high_water(lambda: descriptors(d)), descriptors(d)
    rss = d.rss_anon
    began, found = time.monotonic(), []
    strangers, owners = Oracle(), Oracle()
    wait_until(lambda: run.db.value("SELECT count(*) FROM backfill_audit") == 1, 20, "the seeding on record")
    before = run.db.value(STILL)
    _send_mutants(run, d, mutants(run, table, n, None, strangers), strangers)
    if run.db.value(STILL) != before:
        found.append("strangers changed the database")
    _send_mutants(run, d, mutants(run, table, n, d.secret, owners), owners)
    took = time.monotonic() - began
    peak = fds() - base
    if alive(d, found):
        _judge_audit(run, d, owners, found)
        grown = (d.rss_anon - rss) / 1024
        run.note(f"{2 * n} mutants of {len(table)} operations in {took:.0f} s; strangers' answers {dict(sorted(strangers.statuses.items()))}, "
                 f"the owner's {dict(sorted(owners.statuses.items()))}; {strangers.silent + owners.silent} had no end and no answer")
        run.note(f"descriptors at most {peak} more, memory {grown:+.1f} MiB")
        if peak > DESCRIPTORS or grown > MEMORY_MIB:
            found.append(f"{peak} descriptors and {grown:.0f} MiB more")
    run.fault(f"{2 * n} mutants")
    return found + strangers.found + owners.found


def _judge_audit(run, d, owners, found):
    """What was served is on record by its operator's name: none of those may be that had to be refused."""
    time.sleep(2)       # rows are gathered before they are written
    names = run.db.column("SELECT operator FROM backfill_audit WHERE status < 400")
    served = owners.refused_operators & set(names)
    lost = d.metrics().get("backfill_audit_dropped_total", 0)
    run.note(f"{len(names)} changes on record, {len(served)} of them by requests that had to be refused; {lost:.0f} lines lost")
    if served:
        found.append(f"served, as the audit says: {sorted(served)[:5]}")


# ---- all at once, months in flight ----

def _attackers(d, nice):
    """Everybody, each a process of low priority."""
    port, key = port_of(d), "X-Cron-Secret: " + "f" * 32
    simple = "GET {} HTTP/1.1\r\nHost: localhost\r\n{}\r\n\r\n"
    few = [simple.format("/healthz", "Connection: close").encode(),
           simple.format("/metrics", "A: b").encode(),
           simple.format("/openapi.json", "A: b").encode(),
           simple.format("/healthz", "A: b").encode() * 100,
           simple.format(MONTHS, key).encode(),
           simple.format("/api/quota/status", "A: b").encode(),
           door.raw(b"POST /api/internal/resume HTTP/1.1", b"Content-Length: 1000000", body=b" " * 1000000),
           door.raw(b"POST /api/internal/resume HTTP/1.1", b"Transfer-Encoding: chunked",
                    body=b"f4240\r\n" + b" " * 1000000 + b"\r\n0\r\n\r\n"),
           b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 5000 + b"\r\n", b"\0" * 5000]
    elsewhere = [f"127.0.1.{n}" for n in range(1, 101)]
    return [Attacker(slow, port, SLOW_ONES, 1, elsewhere, names=SLOW, nice=nice),
            Attacker(flood, port, few, [f"127.0.4.{n}" for n in range(1, 101)], 0, names=FLOOD, nice=nice),
            Attacker(stuff, port, 20, simple.format("/openapi.json", "A: b").encode() * 40, b"x" * 65536, names=STUFF, nice=nice)]


def _readers(d, n=40):
    """As many readers of events as may be, and some who may not."""
    payload = f"GET /api/internal/events HTTP/1.1\r\nHost: localhost\r\nX-Cron-Secret: {d.secret}\r\n\r\n".encode()
    return [first_status(t) for t in converse(port_of(d), [payload] * n, at_once=n, quiet_s=5)]


def _round(run, months):
    """Claims so many months and waits until they are done; seconds."""
    before = run.db.value("SELECT count(*) FROM backfill_log WHERE status = 'completed'")
    began = time.monotonic()
    answer = run.daemons[0].post("/api/internal/schedule-backfill", {"batch_size": months}, timeout=20)
    if answer.status != 200 or answer.json["months_selected"] != months:
        raise RuntimeError(f"the round's claim: {answer}")
    wait_until(lambda: run.db.value("SELECT count(*) FROM backfill_log WHERE status = 'completed'") >= before + months, 300,
               "the round's months", every=0.05)
    return time.monotonic() - began


def _put_first(run, d, nice):
    """The daemon, its database, the sandbox and those who measure go first, then the attackers, then whatever else this machine does,
    which is not the siege. Whether they do."""
    pids = [d.pid, run.sandbox.pid, os.getpid(), *run.db.column("SELECT pid FROM pg_stat_activity")]
    return all([weigh(pid, nice) for pid in pids])


def door_siege(run):
    """1,000 slow connections, floods, stuffed bodies and full event streams from outside while months run: their pace, and who may still get in"""
    run.open()
    stand.Sandbox.control(run.sandbox, {"providers": {name: {"latency_ms": [300, 300]} for name in ("gemini", "xai")}})
    d = run.daemon({"provider.isbndb": {"rate": "100/s"}})
    rounds = 2 if run.short else 8
    run.months = max(run.months, rounds * 6 if run.short else rounds * 12)
    run.seed()
    each = run.months // rounds
    calm, siege, found, watched, load = [], [], [], {"calm": [], "siege": []}, {"calm": [], "siege": []}
    rss, base, most, peak = d.rss_anon, descriptors(d), high_water(lambda: descriptors(d)), high_water(lambda: d.rss_anon)
    first = _put_first(run, d, -20)
    run.closing(lambda: weigh(os.getpid(), 0))
    for i in range(rounds):
        attack = i % 2 == 1
        began = time.time()
        attackers = _attackers(d, -10 if first else 19) if attack else []
        if attack:
            wait_until(lambda: attackers[0].figures()["opened"] >= SLOW_ONES, 60, "1,000 slow connections")
        cpu, from_s = d.cpu_s, time.monotonic()
        watch = Watch(d, MONTHS + "/2024/7")
        try:
            (siege if attack else calm).append(_round(run, each))
            load["siege" if attack else "calm"].append((d.cpu_s - cpu) / (time.monotonic() - from_s))
            if attack:
                readers = _readers(d)
        finally:
            watch.end()
            for a in attackers:
                a.stop()
        watched["siege" if attack else "calm"].append(watch)
        if attack:
            run.fault("siege", began, time.time(), costly=False)
            last = [a.figures() for a in attackers]
            wait_until(lambda: descriptors(d) < base + 40, 30, "the attackers' connections gone")
        alive(d, found)
    run.note("the daemon's processor time: " + ", ".join(f"{statistics.mean(v):.0%} {k}" for k, v in load.items())
             + f"; longest loop lag {d.metrics()['backfill_loop_lag_max_seconds'] * 1000:.0f} ms; machine's load {os.getloadavg()[0]:.0f}, "
             + ("before which the stand went" if first else "which took its part"))
    _judge_siege(run, d, found, (calm, siege, watched, last, readers, most() - base, (peak() - rss) / 1024))
    run.broken += found


def _judge_siege(run, d, found, seen):
    calm, siege, watched, last, readers, most, grown = seen
    ratio = sum(calm) / sum(siege)
    took = {k: sorted(t for w in v for t in w.took) for k, v in watched.items()}
    failed = {k: sum(len(w.failed) for w in v) for k, v in watched.items()}
    run.note(f"months' pace under siege {ratio:.0%} of calm ({'/'.join(f'{s:.1f}' for s in calm)} s calm, "
             f"{'/'.join(f'{s:.1f}' for s in siege)} s besieged, the same number of months in turn)")
    for k, v in took.items():
        run.note(f"the right secret, {k}: {len(v)} answered, p50 {v[len(v) // 2] * 1000:.0f} ms, longest {v[-1] * 1000:.0f} ms, "
                 f"{failed[k]} not answered")
    run.note(f"in the last siege {last}; readers of events {({s: readers.count(s) for s in set(readers)})}")
    m = d.metrics()
    run.note(f"descriptors at most {most} more, memory at most {grown:+.1f} MiB; " + ", ".join(
        f"{k} {m[f'backfill_{k}_total']:.0f}" for k in ("admin_connections_displaced", "admin_connections_refused",
                                                        "admin_connections_oversized", "admin_connections_timed_out",
                                                        "wrong_secrets_limited")))
    if most > DESCRIPTORS:
        found.append(f"{most} descriptors more")
    if grown > MEMORY_MIB:
        found.append(f"{grown:.0f} MiB more")
    if ratio < PACE and not run.short:
        found.append(f"months' pace under siege {ratio:.0%}, less than {PACE:.0%}")
    if failed["siege"] or took["siege"][-1] > ANSWER_S * (3 if run.short else 1):
        found.append(f"the right secret was not served in time: {failed['siege']} times not at all, longest {took['siege'][-1]:.2f} s")
    if readers.count(200) > 32 or None in readers:
        found.append(f"readers of events: {readers}")


CAMPAIGNS = {"door-tricks": door_tricks, "door-mutants": door_mutants, "door-siege": door_siege}
