"""What must hold when a campaign is over, from SQL and from the sandbox's counts: nothing lost, doubled or paid for twice.

Answers of an AI: each ownership of a month (a fence) may ask once as long as no answer of that AI is stored, and nobody
afterwards. Look-ups of ISBNdb: one for each one that is in the cache, and per fault those of one second besides.
"""
from steps import AIS

from faults import enriched
from faults.run import CONCURRENT, ISBNDB_RATE

WAITING = ("claimed", "pending", "retry", "failed")
# verify warns of calls counted for a request that a crash cut off before it went out: counted too high is as promised
COUNTED = {f"{name}_calls" for name in (*AIS, "isbndb")}


class Outcome:
    """A campaign's figures and what keeps it from having held."""

    def __init__(self, run):
        self.run = run
        self.ended = False
        self.lost = self.doubled = self.paid = 0
        self.rescue = None
        self.reasons = list(run.broken)

    @property
    def held(self):
        return not self.reasons


def events_of(db):
    """{(year, month): its events in order}, times as seconds."""
    found = {}
    for e in db.rows("SELECT id, extract(epoch FROM at)::float8 AS at, year, month, fence, instance, from_stage, to_stage, event,"
                     " detail FROM backfill_events ORDER BY id"):
        found.setdefault((e["year"], e["month"]), []).append(e)
    return found


def doubled(events):
    """How many steps were done again, or by somebody who had lost the month."""
    extra = 0
    for one in events.values():
        extra += max(0, sum(e["to_stage"] == "completed" for e in one) - 1)
        extra += max(0, sum(e["event"] == "merged" for e in one) - 1)
        # what a former owner wrote after another had the month
        extra += sum(b["fence"] < a["fence"] for a, b in zip(one, one[1:]))
    return extra


def answered_by(e, ai):
    return e["event"] == "answered" and (e["detail"] or {}).get("provider") == ai


def bought_again(events, counters):
    """AI requests that nothing but waste explains: [(month, AI, requests, allowed)]."""
    found = []
    for ai in AIS:
        for name, requests in counters[ai]["by_month"].items():
            year, month = map(int, name.split("-"))
            one = events.get((year, month), [])
            stored = [e["id"] for e in one if answered_by(e, ai)]
            until = stored[0] if stored else float("inf")
            owners = {e["fence"] for e in one if e["to_stage"] == "generating" and e["id"] < until}
            allowed = max(1, len(owners))
            if requests > allowed or len(stored) > 1:
                found.append((name, ai, requests, allowed))
    return found


def longest(spans, outages, began, ended):
    """The longest time between the two that one living daemon had in order and let pass, in seconds."""
    best = 0.0
    for _, low, high in spans:
        low, high = max(low, began), min(high or ended, ended)
        pieces = [(low, high)]
        for a, b in outages:
            pieces = [p for x, y in pieces for p in ((x, min(y, a)), (max(x, b), y)) if p[1] > p[0]]
        best = max([best, *(y - x for x, y in pieces)])
    return best


def rescues(run, events):
    """Seconds that months stood still for: from an owner's death, and from the end of an outage, to the month's next event.
    Restarted daemons and databases that are away are not held against them."""
    outages = [(a, b) for a, b, _, outage in run.faults if outage]
    found = []
    for (year, month), one in events.items():
        for before, after in zip(one, one[1:]):
            ends = [s[2] for s in run.spans if s[0] == before["instance"] and s[2] and before["at"] < s[2] <= after["at"]]
            waits = before["to_stage"] == "claimed" and after["fence"] == before["fence"]   # its owner is back, its turn not yet
            if ends and not waits and before["to_stage"] not in ("completed", "failed", "retry", "pending"):
                found.append((longest(run.spans, outages, min(ends), after["at"]), f"{year}-{month:02d} without its owner"))
            if before["to_stage"] in WAITING:
                continue
            for a, b in outages:
                if before["at"] < b < after["at"]:
                    calm = min([after["at"], *(f[0] for f in run.faults if f[0] > b)])
                    found.append((calm - b, f"{year}-{month:02d} after an outage"))
    return found


def judge(run, ended):
    """Everything that must hold; the outcome with its reasons."""
    out = Outcome(run)
    out.ended = ended
    db = run.db
    events = events_of(db)
    counters = run.sandbox.counters()["providers"]
    completed = db.value("SELECT count(*) FROM backfill_log WHERE status = 'completed'")
    once = sum(1 for one in events.values() if any(e["to_stage"] == "completed" for e in one))
    out.lost = run.months - min(completed, once)
    if out.lost:
        out.reasons.append(f"months: {db.statuses()}")
    if not ended:
        out.reasons.append("did not end by itself")
    out.doubled = doubled(events)
    if out.doubled:
        out.reasons.append(f"{out.doubled} steps done twice")
    (run.payments or _judge_payments)(run, out, events, counters)
    if run.enriching:
        enriched.judge(run, out)
    _judge_rescues(run, out, events)
    attempts = db.value("SELECT count(*) FROM backfill_log WHERE retry_count > 0")
    if attempts and not run.attempts_may_count:
        why = db.value("SELECT detail::text FROM backfill_events WHERE to_stage IN ('retry', 'failed') ORDER BY id LIMIT 1")
        out.reasons.append(f"{attempts} months counted an attempt for it: {why}")
    _judge_verify(run, out)
    if not run.faults:
        out.reasons.append("nothing was inflicted: the months were done before")
    return out


def _judge_payments(run, out, events, counters):
    """AI answers and look-ups, against what is stored and what was counted."""
    again = bought_again(events, counters)
    out.paid = sum(max(1, requests - allowed) for _, _, requests, allowed in again)
    if again:
        out.reasons.append("bought again: " + ", ".join(f"{ai} {name} {n} for {allowed}" for name, ai, n, allowed in again[:4]))
    asked = counters["isbndb"]["units"]
    kept = run.db.value("SELECT count(*) FROM isbn_resolutions WHERE provider = 'isbndb'")
    fair = run.costly * (ISBNDB_RATE + CONCURRENT)
    if run.enriching:
        kept += enriched.bought(run.db)
        fair += run.costly * enriched.BATCH
    run.note(f"ISBNdb {asked} look-ups for {kept} answers")
    if asked > kept + fair:
        out.paid += asked - kept - fair
        out.reasons.append(f"ISBNdb: {asked} look-ups for {kept} answers, more than {fair} repeated over {run.costly} faults")
    for name in (*AIS, "isbndb"):
        counted = run.db.value(f"SELECT sum({name}_calls) FROM backfill_log") or 0
        if run.enriching and name == "isbndb":      # the queue's are counted in the quota alone
            counted = run.db.value("SELECT sum(used) FROM api_quota WHERE provider = 'isbndb'") or 0
        if counted < counters[name]["units" if name == "isbndb" else "requests"]:
            out.reasons.append(f"{name}: {counters[name]['requests']} requests, only {counted} counted")


def _judge_rescues(run, out, events):
    found = rescues(run, events)
    if not found:
        return
    out.rescue, where = max(found)
    if out.rescue > run.rescue_limit:
        out.reasons.append(f"{where} took {out.rescue:.1f} s, more than {run.rescue_limit:g}")


def _judge_verify(run, out):
    """What the product's own proof says."""
    d = next((d for d in run.daemons if d.process is not None and d.running), None)
    if d is None:
        out.reasons.append("no daemon is left to ask for verify")
        return
    answer = d.get("/api/internal/verify", timeout=60)
    if answer.status != 200:
        out.reasons.append(f"verify: {answer.status} {answer.text[:200]}")
        return
    for f in answer.json["findings"]:
        if f["severity"] == "warning" and f["check"] in COUNTED and run.figures_may_differ:
            continue
        if f["check"] == "coverage" and run.partial:
            continue
        out.reasons.append(f"verify: {f['severity']} {f['check']} {f['subject']}: {f['text']}")
        return
