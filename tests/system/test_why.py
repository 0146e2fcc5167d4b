"""Why a month is where it is, and what months would cost: every blocker is named in the order in which it binds, with the time at
which it ends; the estimate of a dry run is near to what the run then costs."""
from datetime import datetime, timedelta, timezone

import pytest
from stand import wait_until
from steps import AIS, FEW, faults, latency

PAUSE = "/api/internal/pause"


def why(d, year, month):
    answer = d.get(f"/api/internal/months/{year}/{month}/why")
    assert answer.status == 200, answer
    assert list(answer.json) == ["year", "month", "status", "stage", "earliest_start", "blockers"]
    assert (answer.json["year"], answer.json["month"]) == (year, month)
    assert all(list(b) == ["code", "text", "until", "provider", "binds"] and b["text"] for b in answer.json["blockers"])
    return answer.json


def codes(answer):
    return [b["code"] for b in answer["blockers"] if b["binds"] or b["code"] == "in_flight"]


def at(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def ahead(text):
    """Seconds from now on."""
    return (at(text) - datetime.now(timezone.utc)).total_seconds()


@pytest.fixture
def still(daemon):
    """A daemon whose timer is not due for a while and that enriches nothing."""
    return daemon({"enrichment": {"enabled": False}, "scheduler": {"schedule": "0 3 * * *", "batch_size": 5, "year_start": 2023}})


def set_month(db, sql, *params):
    assert db.execute(f"UPDATE backfill_log SET {sql} WHERE year = 2024 AND month = 6", *params) == 1


def test_waiting_months(still, db):
    """Not seeded, waiting for the timer's run that comes to it, outside the timer's years, paused with and without an end."""
    answer = why(still, 2024, 6)
    assert (answer["status"], answer["earliest_start"], codes(answer)[0]) == (None, None, "not_seeded")
    still.seed(2022, 2024)
    runs = []
    for month in (12, 7, 6):
        answer = why(still, 2024, month)
        assert (answer["status"], answer["stage"], codes(answer)) == ("pending", None, ["timer"])
        assert answer["earliest_start"] == answer["blockers"][0]["until"]
        runs.append(at(answer["earliest_start"]))
    assert (runs[0].hour, runs[0].minute) == (3, 0) and 0 < ahead(why(still, 2024, 12)["earliest_start"]) <= 86400
    assert runs[1] - runs[0] == timedelta(days=1) == runs[2] - runs[0]
    answer = why(still, 2022, 12)
    assert (codes(answer), answer["earliest_start"]) == (["outside_years"], None)
    until = (datetime.now(timezone.utc) + timedelta(days=10)).strftime("%Y-%m-%dT%H:%M:%SZ")
    still.post(PAUSE, {"note": "new disks", "until": until})
    answer = why(still, 2024, 12)
    assert codes(answer) == ["paused", "timer"] and "new disks" in answer["blockers"][0]["text"]
    assert abs((at(answer["blockers"][0]["until"]) - at(until)).total_seconds()) <= 1
    assert at(answer["earliest_start"]) >= at(until) and at(answer["earliest_start"]).hour == 3
    still.post(PAUSE, {})
    answer = why(still, 2024, 12)
    assert (codes(answer)[0], answer["blockers"][0]["until"], answer["earliest_start"]) == ("paused", None, None)
    for path in ("1899/1", "2101/1", "2024/13", "2024/0"):
        assert still.get(f"/api/internal/months/{path}/why").status == 404
    assert still.get("/api/internal/months/2024/1/why", secret=None).status == 401


def test_ended_and_failed_months(still, db):
    """Completed, attempts spent, cancelled, and a backoff that ends at a time."""
    still.seed(2024, 2024)
    set_month(db, "status = 'completed', completed_at = '2024-07-01T00:00:00Z', started_at = '2024-07-01T00:00:00Z'")
    answer = why(still, 2024, 6)
    assert (codes(answer), answer["earliest_start"]) == (["completed"], None) and "2024-07-01" in answer["blockers"][0]["text"]
    set_month(db, "status = 'failed', retry_count = 5, error_message = 'no books'")
    answer = why(still, 2024, 6)
    assert (codes(answer), answer["earliest_start"]) == (["attempts_spent"], None) and "no books" in answer["blockers"][0]["text"]
    set_month(db, "retry_count = 1, error_message = 'cancelled'")
    assert codes(why(still, 2024, 6)) == ["failed"]
    set_month(db, "status = 'retry', completed_at = NULL, retry_count = 2, error_message = 'garbage', next_attempt_at = now() +"
                  " interval '1 h'")
    answer = why(still, 2024, 6)
    assert codes(answer) == ["backoff"] and 3500 < ahead(answer["earliest_start"]) <= 3602


def test_held_months(daemon, db, sandbox):
    """In flight with its owner and stage, waiting for a slot, held by an instance that is gone, held by an older program."""
    latency(sandbox, AIS, 5000)
    d = daemon({**FEW, "enrichment": {"enabled": False}, "scheduler": {"concurrent_months": 1}})
    d.seed(2024, 2024)
    d.schedule(batch_size=2)
    answer = wait_until(lambda: (a := why(d, 2024, 12))["stage"] == "generating" and a, 20, "generating")
    assert (answer["status"], codes(answer)) == ("processing", ["in_flight"])
    assert d.instance in answer["blockers"][0]["text"] and "generating" in answer["blockers"][0]["text"]
    answer = why(d, 2024, 11)
    assert codes(answer) == ["slot"] and "1 in flight of 1" in answer["blockers"][0]["text"]
    d.post(PAUSE, {"note": "so that nobody rescues"})
    db.execute("UPDATE backfill_log SET status = 'processing', job_id = gen_random_uuid(), owner = 'ghost', owner_id = 999, fence = 1,"
               " claimed_from = 'pending', started_at = now(), progressed_at = now() WHERE year = 2024 AND month = 6")
    answer = why(d, 2024, 6)
    assert codes(answer) == ["paused", "held_by_dead"] and "ghost" in answer["blockers"][1]["text"]
    db.execute("UPDATE backfill_log SET job_id = NULL WHERE year = 2024 AND month = 6")
    answer = why(d, 2024, 6)
    assert codes(answer) == ["paused", "held_by_older"] and 3500 < ahead(answer["blockers"][1]["until"]) < 3602
    db.execute("UPDATE backfill_log SET status = 'pending', owner = NULL, owner_id = NULL WHERE year = 2024 AND month = 6")


def test_without_an_ai(daemon, db, sandbox):
    """A refused key, a quota that is used up and an open circuit are named with their provider; the start is when the first is back."""
    d = daemon({"enrichment": {"enabled": False}, "scheduler": {"schedule": "0 3 * * *"}})
    d.seed(2024, 2024)
    for name, kind, wait in (("gemini", "circuit", "1 h"), ("xai", "rate", "2 h"), ("isbndb", "quota", "3 h")):
        db.execute("INSERT INTO provider_state (provider, kind, closed_until, reason) VALUES (%s, %s, now() + %s::interval, 'told so')"
                   " ON CONFLICT (provider) DO UPDATE SET kind = excluded.kind, closed_until = excluded.closed_until, reason ="
                   " excluded.reason", name, kind, wait)
    answer = wait_until(lambda: (a := why(d, 2024, 12)) and "no_ai" in codes(a) and len(a["blockers"]) >= 5 and a, 20, "the closures")
    found = {b["provider"]: b for b in answer["blockers"] if b["provider"]}
    assert {p: b["code"] for p, b in found.items()} == {"gemini": "circuit", "xai": "rate", "isbndb": "quota"}
    assert found["gemini"]["binds"] and not found["isbndb"]["binds"]
    assert codes(answer) == ["no_ai", "circuit", "rate", "timer"]
    assert 3500 < ahead(answer["blockers"][0]["until"]) < 3610
    assert at(answer["earliest_start"]) >= at(answer["blockers"][0]["until"])


def test_with_refused_keys(daemon, sandbox):
    """Keys that are refused end only with a reload: the start is open, and the reasons stand beside it."""
    faults(sandbox, AIS, _401=1)
    d = daemon({"enrichment": {"enabled": False}})
    d.seed(2024, 2024)
    d.schedule(batch_size=1)
    answer = wait_until(lambda: (a := why(d, 2024, 12)) and "no_ai" in codes(a) and a, 20, "both refused")
    assert codes(answer)[:3] == ["no_ai", "provider_off", "provider_off"] and answer["earliest_start"] is None


def test_the_estimate(daemon, db, sandbox):
    """Before any run it comes from the configuration and says so; after one, from what the months cost, and what the next year then
    costs is within a third of it."""
    d = daemon({**FEW, "provider.isbndb": {"daily_limit": 10000, "reserve": 1000}})
    d.seed(2023, 2024)
    plan = d.schedule(dry_run=True, batch_size=12)
    assert list(plan) == ["dry_run", "batch_size", "months_selected", "months", "total_pending", "total_processing",
                          "total_completed", "total_failed", "estimate"]
    first = plan["estimate"]
    assert list(first) == ["basis", "per_provider", "cost_usd", "seconds", "binds"]
    assert first["basis"] == {"months": 0, "since": None, "from": "configuration"}
    assert first["per_provider"]["gemini"]["calls"] == 12 == first["per_provider"]["xai"]["units"]
    assert first["cost_usd"] > 0 and first["seconds"] > 0 and first["binds"]
    assert first["per_provider"]["gemini"]["quota_left_after"] is None
    d.schedule(batch_size=12)

    def done(n):
        d.wait_months(n, timeout=120)
        wait_until(lambda: not db.value("SELECT count(*) FROM enrichment_queue WHERE status IN ('pending', 'processing')"), 120, "queue")

    def spent():
        wait_until(lambda: db.value("SELECT sum(leased) FROM api_quota") == 0, 20, "usage written")
        return {r["provider"]: r for r in db.rows("SELECT provider, sum(units)::int AS units, sum(calls)::int AS calls, sum(cost_usd)::float"
                                                  " AS cost FROM api_usage GROUP BY 1")}
    done(12)
    before = spent()
    ratio = first["per_provider"]["isbndb"]["calls"] / before["isbndb"]["calls"]
    assert 0.4 < ratio < 2.5, ratio
    plan = d.schedule(dry_run=True, batch_size=12)["estimate"]
    assert (plan["basis"]["months"], plan["basis"]["from"]) == (12, "history") and plan["basis"]["since"]
    used = db.value("SELECT used FROM api_quota WHERE provider = 'isbndb'")
    expected = plan["per_provider"]["isbndb"]
    assert expected["quota_left_after"] == 9000 - used - expected["units"]
    d.schedule(batch_size=12)
    done(24)
    after = spent()
    for provider in ("gemini", "xai", "isbndb", "google_books"):
        real = after[provider]["calls"] - before[provider]["calls"]
        assert abs(plan["per_provider"][provider]["calls"] - real) <= max(3, real / 3), provider
    real = sum(r["cost"] for r in after.values()) - sum(r["cost"] for r in before.values())
    assert abs(plan["cost_usd"] - real) <= real / 3
    nothing = d.schedule(dry_run=True, batch_size=12)["estimate"]
    assert (nothing["seconds"], nothing["binds"], nothing["cost_usd"]) == (0, None, 0)
