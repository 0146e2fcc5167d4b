"""Alerts: every kind is raised once and cleared once, kept, listed and told to the webhook, whatever the instances do."""
import json
import re
import time

import pytest
from receiver import ENV, SECRET, Receiver
from stand import wait_until
from steps import AIS, FEW, faults, readyz

ALERTS = "/api/internal/alerts"
LOOK = 30           # an alert is there within two looks, gone within four, on a slow machine
KEYS = ["id", "key", "subject", "severity", "summary", "action", "raised_at", "cleared_at", "updated_at", "instance", "delivered"]
QUIET = {"enrichment": {"enabled": False}, "alerts": {"queue_backlog": 1000000}}


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.close()


def hook(receiver, **more):
    """An INI's [alerts] with this receiver."""
    return {**QUIET, "alerts": {"queue_backlog": 1000000, **more, "webhook_url": receiver.url, "webhook_secret_env": "HOOK_SECRET"}}


def listed(d, key=None, subject=None):
    """The alerts of one kind, as listed."""
    answer = d.get(ALERTS)
    assert answer.status == 200, answer
    for alert in answer.json["alerts"]:
        assert list(alert) == KEYS
    return [a for a in answer.json["alerts"]
            if (key is None or a["key"] == key) and (subject is None or a["subject"] == subject)]


def raised(d, key, subject="", timeout=LOOK):
    """Waits for the open alert."""
    return wait_until(lambda: next((a for a in listed(d, key, subject) if a["cleared_at"] is None), None), timeout, f"{key} raised")


def cleared(d, key, subject="", timeout=2 * LOOK):
    """Waits until none is open; the one that was."""
    def gone():
        found = listed(d, key, subject)
        return found[0] if found and all(a["cleared_at"] for a in found) else None
    return wait_until(gone, timeout, f"{key} cleared")


def make_months(db):
    """Months that raise what months can raise: low rates, failures, attempts, one that nobody works on."""
    for n in range(1, 7):
        db.execute("INSERT INTO backfill_log (year, month, status, retry_count, error_message) VALUES"
                   " (2001, %s, 'failed', %s, 'no book from anybody')", n, 5 if n == 6 else 2)
    for month, found in ((1, 10), (2, 2)):
        db.execute("INSERT INTO backfill_log (year, month, status, books_generated, isbns_resolved, resolution_rate, started_at,"
                   " completed_at) VALUES (2002, %s, 'completed', 20, %s, %s, now(), now())", month, found, 5 * found)
    db.execute("INSERT INTO backfill_log (year, month, status, retry_count, next_attempt_at, error_message) VALUES"
               " (2003, 3, 'retry', 4, now() + interval '1 day', 'HTTP 500 everywhere')")
    db.execute("INSERT INTO backfill_log (year, month, status, job_id, fence, owner, started_at, progressed_at) VALUES"
               " (2004, 4, 'processing', gen_random_uuid(), 1, 'gone', now() - interval '2 h', now() - interval '2 h')")


def make_queue(db):
    """A backlog, and items that failed today."""
    db.execute("INSERT INTO enrichment_queue (entity_type, entity_key, status, queued_by) SELECT 'edition', 'p' || n, 'pending',"
               " 'backfilld' FROM generate_series(1, 101) AS n")
    db.execute("INSERT INTO enrichment_queue (entity_type, entity_key, status, queued_by, completed_at, error_message) SELECT"
               " 'edition', 'f' || n, 'failed', 'backfilld', now(), 'title is \"empty\"' FROM generate_series(1, 6) AS n")


def make_providers(db):
    """Quota used, and a circuit that has been open for long."""
    db.execute("INSERT INTO api_quota (provider, day, used) VALUES ('isbndb', (now() AT TIME ZONE 'UTC')::date, 13000)")
    db.execute("INSERT INTO provider_state (provider, kind, closed_until, circuit_since, reason) VALUES"
               " ('open_library', 'circuit', now() + interval '10 min', now() - interval '25 min', 'circuit open: timed out')")


def test_each_kind_of_the_database_is_raised_and_cleared(daemon, db):
    """Months, queue, quota and circuits: raised with live figures and a filled-in remedy, cleared when it is over, once each."""
    d = daemon({"enrichment": {"enabled": False}, "provider.isbndb": {"daily_limit": 15000, "reserve": 2000}})
    assert listed(d) == []
    assert d.post("/api/internal/pause", {"note": "looking"}).status == 200     # or the stuck month would be taken up
    make_months(db)
    make_queue(db)
    make_providers(db)
    want = {"resolution_rate": "", "failed_months": "", "attempts": "", "stuck": "", "queue_backlog": "", "queue_failed": "",
            "quota": "isbndb", "isbndb_daily_calls": "isbndb", "circuit": "open_library"}
    found = {key: raised(d, key, subject) for key, subject in want.items()}
    say = {k: a["summary"] + " | " + a["action"] for k, a in found.items()}
    for key, texts in {
            "resolution_rate": ("30.0 % of 40 books", "below 60 %", "2002-02 (2 of 20)", "GET /api/internal/months/2002/2"),
            "failed_months": ("6 months failed, more than 5", "no book from anybody", '"batch_size": 5, "force_retry": true',
                              "1 spent all", "months/2001/6/retry"),
            "attempts": ("2 months have 4", "2001-06 (5, failed", "2003-03 (4: HTTP 500", "months/2001/6/retry"),
            "stuck": ("1 months", "2004-04 (stuck of gone, 2 h", "POST /api/internal/resume", "looking"),
            "queue_backlog": ("101 items", "more than 100", "/api/internal/resume"),
            "queue_failed": ("6 items", "100.0 %", r'{"reason": "title is \"empty\"", "dry_run": false}'),
            "quota": ("13000 of 13000", "100.0 %", "provider.isbndb.daily_limit"),
            "isbndb_daily_calls": ("13000 units", "more than 6500", '"until": "2'),
            "circuit": ("answered nothing for 25 min", "timed out", "provider.open_library.enabled")}.items():
        for text in texts:
            assert text in say[key], (key, text, say[key])
    assert {k for k, a in found.items() if a["severity"] == "critical"} == {"resolution_rate", "stuck", "quota"}
    assert {"alert: stuck", "alert: resolution_rate"} <= set(readyz(d)[1]["degraded"])
    assert all(a["delivered"] is None and a["instance"] == "test-0" for a in found.values())
    metrics = wait_until(lambda: (m := d.metrics()).get('backfill_alerts{key="stuck",severity="critical"}') and m, 10, "metrics")
    assert metrics['backfill_alerts{key="queue_backlog",severity="warning"}'] == 1
    db.execute("DELETE FROM backfill_log")
    db.execute("DELETE FROM enrichment_queue")
    db.execute("DELETE FROM api_quota")
    db.execute("DELETE FROM provider_state")
    for key, subject in want.items():
        assert cleared(d, key, subject)["id"] == found[key]["id"]
    assert len(listed(d)) == len(want)
    for key in want:
        assert len(re.findall(rf'msg="alert raised" id=\d+ key={key} ', d.log)) == 1
        assert len(re.findall(rf'msg="alert cleared" id=\d+ key={key}', d.log)) == 1
    assert 'level=error msg="alert raised"' in d.log and 'level=warn msg="alert raised"' in d.log
    assert [a["id"] for a in d.get(ALERTS + "?limit=2").json["alerts"]] == [a["id"] for a in listed(d)][:2]
    assert d.get(ALERTS + "?limit=0").status == 400 and d.get(ALERTS + "?x=1").status == 400


def test_a_refused_key_and_no_ai(daemon, db, sandbox, receiver):
    """A refused key raises provider_off for each AI, and no_ai when none is left; a reload with good keys clears all three."""
    d = daemon({**hook(receiver), **FEW}, env=ENV)
    faults(sandbox, AIS, _401=1)
    d.seed(2024, 2024)
    d.schedule(batch_size=1)
    off = raised(d, "provider_off", "gemini")
    assert off["severity"] == "critical" and "on 1 of 1 instances: test-0: key or model refused" in off["summary"]
    assert "provider.gemini.api_key_file" in off["action"] and "SIGHUP" in off["action"]
    assert "provider.gemini.model is " + d.get("/api/internal/config").json["provider.gemini"]["model"] in off["action"]
    none = raised(d, "no_ai")
    assert "any of 1 instances" in none["summary"] and "xai:" in none["summary"]
    raised(d, "provider_off", "xai")
    faults(sandbox, AIS)
    d.hup()
    for key, subject in (("provider_off", "gemini"), ("provider_off", "xai"), ("no_ai", "")):
        cleared(d, key, subject)
        wait_until(lambda k=key, s=subject: receiver.events(k, s) == ["raise", "clear"], 20, f"{key} told")
    receiver.check()
    wait_until(lambda: all(a["delivered"] for a in listed(d)), 10, "all delivered")
    assert SECRET not in d.log and "url-secret" not in d.log


def test_two_instances_tell_once_in_order(daemon, db, receiver):
    """Two daemons on one database: one raise, one escalation, one clear, signed, in that order, also after 500s."""
    a = daemon(hook(receiver, failed_months=0), env=ENV)
    b = daemon(hook(receiver, failed_months=0), env=ENV)
    receiver.fail(2)
    db.execute("INSERT INTO api_quota (provider, day, used) VALUES ('isbndb', (now() AT TIME ZONE 'UTC')::date, 7000)")
    for d in (a, b):
        d.write_ini({"provider.isbndb": {"daily_limit": 15000, "reserve": 2000}})
        d.hup()
    db.execute("INSERT INTO backfill_log (year, month, status, error_message) VALUES (2001, 1, 'failed', 'x')")
    raised(a, "quota", "isbndb")
    assert raised(b, "quota", "isbndb")["severity"] == "warning"
    raised(b, "failed_months")
    db.execute("UPDATE api_quota SET used = 13500")
    wait_until(lambda: raised(b, "quota", "isbndb")["severity"] == "critical", LOOK, "critical")
    db.execute("DELETE FROM api_quota")
    db.execute("DELETE FROM backfill_log")
    cleared(a, "quota", "isbndb")
    cleared(b, "failed_months")
    wait_until(lambda: receiver.events("quota", "isbndb") == ["raise", "escalate", "clear"], 60, "the quota's events in order")
    wait_until(lambda: receiver.events("failed_months") == ["raise", "clear"], 60, "the other's events in order")
    assert len(receiver.refused) == 2
    receiver.check()
    assert sorted(r["tries"] for r in db.rows("SELECT tries FROM backfill_alert_deliveries"))[-1] >= 2
    assert db.value("SELECT count(*) FROM backfill_alerts WHERE key = 'quota'") == 1
    totals = [d.metrics() for d in (a, b)]
    for outcome, n in (("delivered", len(receiver.posts)), ("failed", 2), ("given_up", 0)):
        assert sum(m[f'backfill_alert_deliveries_total{{outcome="{outcome}"}}'] for m in totals) == n
    assert len(re.findall('msg="alert raised" id=[0-9]+ key=quota', a.log + b.log)) == 1


def test_a_restart_loses_and_repeats_nothing(daemon, db, receiver):
    """What could not be delivered is kept over a restart; the alert that is still true is not raised again."""
    receiver.fail(10 ** 6)
    d = daemon(hook(receiver, failed_months=0), env=ENV)
    db.execute("INSERT INTO backfill_log (year, month, status, error_message) VALUES (2001, 1, 'failed', 'x')")
    alert = raised(d, "failed_months")
    wait_until(lambda: receiver.refused, 20, "a first try")
    assert wait_until(lambda: listed(d, "failed_months")[0], 5, "listed")["delivered"] is False
    assert d.stop() == 0
    receiver.fail(0)
    d.start().wait_ready()
    wait_until(lambda: receiver.events("failed_months") == ["raise"], 90, "delivered after the restart")
    db.execute("DELETE FROM backfill_log")
    assert cleared(d, "failed_months")["id"] == alert["id"]
    wait_until(lambda: receiver.events("failed_months") == ["raise", "clear"], 30, "cleared after the restart")
    receiver.check()
    first = json.loads(receiver.refused[0][1])["id"]
    assert receiver.bodies[0]["id"] == first                    # a repeat is known by its id
    assert db.value("SELECT count(*) FROM backfill_alerts") == 1


@pytest.mark.slow
def test_an_orphan_is_told_after_a_minute(daemon, db):
    """A month whose owner is gone, and that nobody may take up because of a pause, is an alert after a minute, not before."""
    d = daemon(QUIET)
    assert d.post("/api/internal/pause", {}).status == 200
    began = time.monotonic()
    db.execute("INSERT INTO backfill_log (year, month, status, job_id, fence, owner, started_at, progressed_at) VALUES"
               " (2004, 4, 'processing', gen_random_uuid(), 1, 'gone', now(), now())")
    alert = raised(d, "stuck", timeout=120)
    assert time.monotonic() - began > 55
    assert "2004-04 (orphan of gone" in alert["summary"]
    assert d.post("/api/internal/resume").status == 200
    cleared(d, "stuck")
