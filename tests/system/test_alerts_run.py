"""One run with faults raises and clears every kind of alert there is, by the product's own course, over two instances."""
import re
from pathlib import Path

import pytest
from receiver import ENV, SECRET, Receiver
from stand import wait_until
from steps import AIS, FEW, LOOKED_UP, coverage, editions, faults, latency, queue, wait_row

RULES = Path(__file__).resolve().parents[2] / "src" / "schedule" / "alert_rules.c"
LOOK = 60           # an alert is there within two looks, gone within four, on a slow machine
KINDS = {("resolution_rate", ""): ["raise", "escalate", "clear"], ("failed_months", ""): ["raise", "clear"],
         ("attempts", ""): ["raise", "clear"], ("stuck", ""): ["raise", "clear"], ("queue_backlog", ""): ["raise", "clear"],
         ("queue_failed", ""): ["raise", "clear"], ("isbndb_daily_calls", "isbndb"): ["raise", "clear"],
         ("quota", "isbndb"): ["raise", "escalate", "clear"], ("provider_off", "gemini"): ["raise", "clear"],
         ("provider_off", "xai"): ["raise", "clear"], ("no_ai", ""): ["raise", "clear"], ("circuit", "archive_org"): ["raise", "clear"]}
# What each one's text names: the figure, and what to do with the numbers filled in.
SAYS = {("resolution_rate", ""): (r"\d+\.\d % of \d+ books of the \d months", "below 90 %", r"20\d\d-\d\d \(\d+ of \d+\)",
                                  r"POST /api/internal/months/20\d\d/\d+/reset"),
        ("failed_months", ""): ("1 months failed, more than 0", r"most often \(1\)", "POST /api/internal/months/2024/12/retry"),
        ("attempts", ""): (r"1 months have 2 failed attempts or more, of 5: 2024-12 \([2-5]", "GET /api/internal/months/2024/12"),
        ("stuck", ""): ("1 months are in processing and nobody works on them", r"2\d\d\d-\d\d \(stuck of test-[01], \d+ s",
                        r"Nothing is taken up while paused \(looking into it\): POST /api/internal/resume"),
        ("queue_backlog", ""): (r"\d+ items wait in the enrichment queue, more than 5", "enrichment.enabled is false", "SIGHUP"),
        ("queue_failed", ""): (r"\d+ items of the enrichment queue failed in the last day", r"% of those that ended",
                               r'POST /api/internal/enrichment/redrive \{"reason": "'),
        ("isbndb_daily_calls", "isbndb"): (r"\d+ units of ISBNdb were used today, more than \d+", "the day ends at 2",
                                           r"raise alerts.isbndb_daily_calls above \d+ and send SIGHUP"),
        ("quota", "isbndb"): (r"isbndb: \d+ of \d+ units used today, \d+\.\d %, warned above 50 %", "the timer claims fewer months"),
        ("provider_off", "gemini"): (r"gemini is turned off on \d of 2 instances", "key or model refused", "provider.gemini.api_key_file",
                                     r"systemctl reload backfilld \(SIGHUP\)"),
        ("provider_off", "xai"): (r"xai is turned off on \d of 2 instances", "provider.xai.api_key_file"),
        ("no_ai", ""): ("No AI provider is usable on any of 2 instances", "SIGHUP"),
        ("circuit", "archive_org"): ("archive_org has answered nothing for 11 min", "circuit open after 5 failures",
                                     "provider.archive_org.enabled = false and SIGHUP")}


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.close()


class Run:
    """Two daemons on one database, of which either may judge, and what has been told so far."""

    def __init__(self, daemon, db, sandbox, receiver):
        ini = {**FEW, "enrichment": {"enabled": False, "poll": "1s"}, "scheduler": {"year_start": 2010},
               "alerts": {"webhook_url": receiver.url, "webhook_secret_env": "HOOK_SECRET", "failed_months": 0, "attempts_warn": 2,
                          "queue_backlog": 5, "resolution_rate_warn": 90, "resolution_rate_critical": 40,
                          "isbndb_daily_calls": 1000000}}
        self.daemons = [daemon(ini, env=ENV), daemon(ini, env=ENV)]
        self.one, self.two = self.daemons
        self.db, self.sandbox, self.receiver = db, sandbox, receiver

    def reload(self, **sections):
        """The same new values for both, by SIGHUP."""
        before = [d.log.count('msg="configuration reloaded"') for d in self.daemons]
        for d in self.daemons:
            d.write_ini({k.replace("__", "."): v for k, v in sections.items()})
            d.hup()
        wait_until(lambda: all(d.log.count('msg="configuration reloaded"') > n for d, n in zip(self.daemons, before)), 20, "reloaded")

    def wait_told(self, key, subject, *events):
        """Until just these events of an alert have come."""
        try:
            wait_until(lambda: self.receiver.events(key, subject) == list(events), LOOK, f"{key} {subject}: {events}")
        except TimeoutError as late:
            found = self.one.get("/api/internal/alerts").json["alerts"]
            raise TimeoutError(f"{late}: told {self.receiver.events(key, subject)}; listed {found}") from None

    def months(self, n):
        """Claims the newest months, those that were just let go of too, until n more are completed."""
        goal = self.db.statuses().get("completed", 0) + n

        def reached():
            now = self.db.statuses()
            missing = goal - now.get("completed", 0) - now.get("processing", 0) - now.get("retry", 0)
            if missing > 0:
                self.one.schedule(batch_size=missing)
            return now.get("completed", 0) >= goal
        wait_until(reached, 120, f"{n} months more completed", every=0.5)

    def used(self):
        """ISBNdb's units of today."""
        return self.db.value("SELECT used FROM api_quota WHERE provider = 'isbndb' AND day = (now() AT TIME ZONE 'UTC')::date")


def refusals(run):
    """AIs that refuse make attempts and then a failed month; keys that are refused turn both AIs off, on both instances."""
    faults(run.sandbox, AIS, refusal=1)
    run.one.schedule(batch_size=1)
    wait_row(run.db, 2024, 12, status="failed", timeout=120)
    run.wait_told("attempts", "", "raise")
    run.wait_told("failed_months", "", "raise")
    faults(run.sandbox, AIS, _401=1)
    for d in run.daemons:
        def refused(d=d):
            if "no AI provider usable" in str(d.get("/readyz", secret=None).json["reasons"]):
                return True
            d.schedule(batch_size=2)            # what the other has just let go of may still be locked
            return False
        wait_until(refused, 30, "no AI usable", every=1)
    for key, subject in (("provider_off", "gemini"), ("provider_off", "xai"), ("no_ai", "")):
        run.wait_told(key, subject, "raise")
    faults(run.sandbox, AIS)
    run.reload()
    for key, subject in (("provider_off", "gemini"), ("provider_off", "xai"), ("no_ai", "")):
        run.wait_told(key, subject, "raise", "clear")


def ignorance(run):
    """Providers that know fewer books lower the rate, first below one threshold, then below the other; meanwhile the queue grows, for
    nobody enriches, and a provider fails."""
    coverage(run.sandbox, 0.2)
    run.months(2)
    run.wait_told("resolution_rate", "", "raise")
    coverage(run.sandbox, 0)
    faults(run.sandbox, ["archive_org"], _500=1)
    run.months(4)
    run.wait_told("resolution_rate", "", "raise", "escalate")
    run.wait_told("queue_backlog", "", "raise")
    # a circuit has to be open for ten minutes: they pass at once
    assert run.db.execute("UPDATE provider_state SET circuit_since = now() - interval '11 min' WHERE provider = 'archive_org' AND"
                          " kind = 'circuit'") == 1
    run.wait_told("circuit", "archive_org", "raise")
    faults(run.sandbox, ["archive_org"])


def standstill(run):
    """AIs that do not answer hold a month still; nobody takes it up while an operator looks into it, and somebody does when he is done."""
    run.reload(scheduler={"stuck_after": "8s"}, provider__gemini={"timeout": "2m"}, provider__xai={"timeout": "2m"})
    latency(run.sandbox, AIS, 90000)
    run.one.schedule(batch_size=1)
    assert run.one.post("/api/internal/pause", {"note": "looking into it"}).status == 200
    run.wait_told("stuck", "", "raise")
    latency(run.sandbox, AIS, 0)
    done = run.db.statuses().get("completed", 0)
    assert run.one.post("/api/internal/resume").status == 200
    wait_until(lambda: run.db.statuses().get("completed", 0) > done, 60, "the month is taken over and completed")
    run.wait_told("stuck", "", "raise", "clear")
    run.reload(scheduler={"stuck_after": "1h"})


def probes(run):
    """The provider that failed answers again: the next month's look-ups find that out, and the circuit's alert clears."""
    def cleared():
        if run.receiver.events("circuit", "archive_org") == ["raise", "clear"]:
            return True
        run.months(1)
        return False
    wait_until(cleared, 240, "the circuit's alert cleared", every=3)


def ignorant_queue(run):
    """With enrichment enabled the backlog goes; books that nobody knows fail, and are enriched when they are known."""
    unknown = [line["isbn"] for line in editions(run.sandbox)[:8]]
    coverage(run.sandbox, 0, LOOKED_UP)
    run.reload(enrichment={"enabled": True})
    run.wait_told("queue_backlog", "", "raise", "clear")
    run.reload(alerts={"queue_backlog": 1000000})           # many good months will queue more at once
    queue(run.db, unknown)
    run.wait_told("queue_failed", "", "raise")
    coverage(run.sandbox, 1)
    told = run.receiver.told("queue_failed")[0]["alert"]["action"]
    reason = re.search(r'redrive \{"reason": "(.*?)", "dry_run": false\}', told).group(1)
    answer = run.one.post("/api/internal/enrichment/redrive", {"reason": reason, "dry_run": False})
    assert answer.status == 200 and answer.json["redriven"] >= 8, answer
    wait_until(lambda: not run.db.value("SELECT count(*) FROM enrichment_queue WHERE status = 'failed'"), 60, "all enriched")
    run.wait_told("queue_failed", "", "raise", "clear")


def scarcity(run):
    """What was used of a day is more than the limits, which are set lower than that, then all of it; higher limits end both."""
    used = run.used()
    run.reload(provider__isbndb={"daily_limit": used + used // 2, "reserve": 0}, alerts={"isbndb_daily_calls": used - 1})
    run.wait_told("isbndb_daily_calls", "isbndb", "raise")
    run.wait_told("quota", "isbndb", "raise")
    wait_until(lambda: run.used() >= used + used // 2 or run.months(1), 240, "the quota is used up", every=0.1)
    run.wait_told("quota", "isbndb", "raise", "escalate")
    run.reload(provider__isbndb={"daily_limit": 1000000}, alerts={"isbndb_daily_calls": 1000000})
    run.wait_told("quota", "isbndb", "raise", "escalate", "clear")
    run.wait_told("isbndb_daily_calls", "isbndb", "raise", "clear")


def mended(run):
    """The failed month is tried again; twenty good months are the rate that counts."""
    assert run.one.post("/api/internal/months/2024/12/retry").status == 200
    wait_row(run.db, 2024, 12, status="completed")
    run.months(20)
    for key, subject in (("failed_months", ""), ("attempts", "")):
        run.wait_told(key, subject, "raise", "clear")
    run.wait_told("resolution_rate", "", "raise", "escalate", "clear")


@pytest.mark.slow
def test_a_run_with_faults_raises_and_clears_each_kind(daemon, db, sandbox, receiver):
    """Every kind that the rules know, each by a fault of the sandbox or a threshold, each ended by its own remedy: told to the webhook
    once per event whatever instance judged, signed, in order, with the figure and what to do in words. Only the ten minutes that a
    circuit must be open are shortened in the database."""
    sandbox.control({"invented": 0})
    run = Run(daemon, db, sandbox, receiver)
    run.one.seed(2010, 2024)
    for phase in (refusals, ignorance, standstill, probes, ignorant_queue, scarcity, mended):
        phase(run)
    source = RULES.read_text(encoding="utf-8")
    assert {k for k, _ in KINDS} == set(re.findall(r'\badd\(l, "(\w+)"', source)), "a kind without its fault"
    said = {(b["alert"]["key"], b["alert"]["subject"]) for b in receiver.bodies}
    assert {k: receiver.events(*k) for k in said} == KINDS
    receiver.check()
    assert len(receiver.posts) == sum(len(v) for v in KINDS.values()) and not receiver.refused
    for key, texts in SAYS.items():
        told = receiver.told(*key)[0]["alert"]
        for text in texts:
            assert re.search(text, told["summary"] + " | " + told["action"]), (key, text, told)
        cleared = receiver.told(*key)[-1]["alert"]
        assert told["id"] == cleared["id"] and told["cleared_at"] is None and cleared["cleared_at"] >= told["raised_at"]
    critical = receiver.told("quota", "isbndb")[1]["alert"]
    assert critical["severity"] == "critical" and "100.0 %" in critical["summary"]
    assert "raise provider.isbndb.daily_limit and send SIGHUP" in critical["action"]
    assert receiver.told("resolution_rate")[1]["alert"]["severity"] == "critical"
    rows = db.rows("SELECT alert_id, event, tries, delivered_at IS NOT NULL AS done FROM backfill_alert_deliveries")
    assert len(rows) == len(receiver.posts) and all(r["done"] and r["tries"] == 1 for r in rows)
    sums = [sum(d.metrics()[f'backfill_alert_deliveries_total{{outcome="{o}"}}'] for d in run.daemons)
            for o in ("delivered", "failed", "given_up")]
    assert sums == [len(receiver.posts), 0, 0]
    assert not [a for a in run.one.get("/api/internal/alerts").json["alerts"] if a["cleared_at"] is None]
    assert all(SECRET not in d.log and "url-secret" not in d.log for d in run.daemons)
