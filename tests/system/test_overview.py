"""One answer from which a page is painted: it agrees with the other views and with the tables, tells what is held by whom, and stays
small."""
import json
from datetime import datetime

import pytest
from stand import wait_until
from steps import AIS, FEW, MONTHS_ALONE, latency

OVERVIEW = "/api/internal/overview"
KEYS = ["now", "instance", "version", "contract", "last_event", "paused", "timer", "stats", "progress", "months", "providers", "queue",
        "alerts", "instances"]
COLUMNS = ["year", "month", "status", "stage", "books", "isbns", "rate", "cost_usd", "retry_count", "agreement", "at", "variant"]
LONG_AGO = "0 3 1 1 *"      # a timer that is not due during a test


def overview(d):
    answer = d.get(OVERVIEW)
    assert answer.status == 200, answer
    assert list(answer.json) == KEYS
    assert answer.json["months"]["columns"] == COLUMNS
    return answer.json


def rows(o):
    return {(r[0], r[1]): dict(zip(COLUMNS, r)) for r in o["months"]["rows"]}


def test_it_agrees_with_the_rest(daemon, db):
    """Stats, queue and quota are those of their own views, rows those of the table, today's figures the sums of api_usage, agreement what
    the candidates say; the last event is the newest there is."""
    d = daemon({**FEW, "scheduler": {"schedule": LONG_AGO, "batch_size": 3}})
    assert overview(d)["progress"]["state"] == "empty"
    d.seed(2024, 2024)
    d.schedule(batch_size=3)
    d.wait_months(3)
    wait_until(lambda: not db.value("SELECT count(*) FROM enrichment_queue WHERE status IN ('pending', 'processing')"), 60, "queue")
    wait_until(lambda: db.value("SELECT sum(leased) FROM api_quota") == 0, 20, "usage written")
    o = overview(d)
    stats = d.get("/api/internal/backfill-stats").json
    stats.pop("recent_activity")
    assert o["stats"] == stats and o["queue"] == stats["enrichment"]
    quota = d.get("/api/quota/status").json["data"]["providers"]
    assert {p["name"]: p["quota"] for p in o["providers"]} == quota
    used = {r["provider"]: r for r in db.rows("SELECT provider, sum(calls)::int AS requests, sum(errors)::int AS errors, sum(units)::int AS"
                                              " units, sum(tokens_in)::int AS tokens_in, sum(tokens_out)::int AS tokens_out FROM"
                                              " api_usage WHERE day = backfill_provider_day(provider, now()) GROUP BY 1")}
    for p in o["providers"]:
        today = {k: v for k, v in p["today"].items() if k != "cost_usd"}
        assert today == {k: v for k, v in used[p["name"]].items() if k != "provider"}, p["name"]
        assert p["latency_ms"]["p50"] <= p["latency_ms"]["p95"] and p["circuit"] == "closed" and p["usable"]
        assert sum(p["outcomes"].values()) >= p["today"]["requests"]    # the limits are asked for without being counted
    assert o["last_event"] == db.value("SELECT max(id) FROM backfill_events")
    found = rows(o)
    assert list(found) == sorted(found, reverse=True) and len(found) == 12
    for row in db.rows("SELECT * FROM backfill_log"):
        r = found[row["year"], row["month"]]
        assert (r["status"], r["books"], r["isbns"], r["variant"]) == (
            row["status"], row["books_generated"], row["isbns_resolved"], row["prompt_variant"])
        assert r["rate"] == (None if row["resolution_rate"] is None else float(row["resolution_rate"]))
        assert abs(r["cost_usd"] - float(row["cost_usd"])) < 1e-9
    agreed = db.value("SELECT count(*) FROM backfill_candidates WHERE year = 2024 AND month = 12 AND state <> 'merged'"
                      " AND generated_by @> ARRAY['gemini', 'xai']")
    assert agreed > 0 and found[2024, 12]["agreement"] == round(100 * agreed / found[2024, 12]["books"], 1)
    assert db.month(2024, 12)["books_agreed"] == agreed == d.get("/api/internal/months/2024/12").json["books_agreed"]
    assert found[2024, 1]["agreement"] is None and found[2024, 1]["at"] is None
    assert abs(found[2024, 12]["at"] - datetime.fromisoformat(o["now"].replace("Z", "+00:00")).timestamp()) < 120
    p = o["progress"]
    assert (p["total"], p["completed"], p["left"], p["percent"], p["state"]) == (12, 3, 9, 25.0, "idle")
    assert "the timer starts 3 at" in p["text"] and p["binds"].startswith("the timer: 3 months a run, next ")
    assert p["seconds_left"] > 0 and p["ends_at"] and o["timer"]["next"] and p["cost_left_usd"] > p["cost_so_far_usd"] > 0


def test_answers_tell_where_they_came_from(daemon, db):
    """Of every provider that was asked the candidates tell how long it took, what it cost, and whether somebody else had asked; a month
    that is reset is answered by the cache."""
    d = daemon({**FEW, **MONTHS_ALONE})
    d.seed(2024, 2024)
    d.schedule(batch_size=1)
    d.wait_months(1)
    notes = [a for c in d.get("/api/internal/months/2024/12").json["candidates"] for a in c["answers"].values()]
    asked = [a for a in notes if a.get("from") == "request"]
    assert asked and all(a["latency_ms"] >= 0 and a["tries"] >= 1 and a["units"] >= 0 for a in asked)
    assert sum(a["units"] for a in asked) == db.value("SELECT used FROM api_quota WHERE provider = 'isbndb'")
    assert d.post("/api/internal/months/2024/12/reset").status == 200
    d.schedule(batch_size=1)
    d.wait_months(1)
    again = [a for c in d.get("/api/internal/months/2024/12").json["candidates"] for a in c["answers"].values()]
    known = [a for a in again if a.get("from") == "cache"]
    assert known and not any("latency_ms" in a for a in known)


def test_size(daemon, db):
    """300 completed months take not more than 60 KiB, and no blank between two tokens."""
    d = daemon({**MONTHS_ALONE, "scheduler": {"schedule": LONG_AGO}})
    d.seed(2000, 2024)
    db.execute("UPDATE backfill_log SET status = 'completed', stage = 'completed', started_at = now(), completed_at = now(), progressed_at ="
               " now(), books_generated = 100, isbns_resolved = 88, books_agreed = 33, isbns_queued = 88, resolution_rate = 88.01,"
               " cost_usd = 12.345678, retry_count = 4, fence = 1, prompt_variant = 'overlooked-significance'")
    answer = d.get(OVERVIEW)
    assert len(answer.body) <= 60 * 1024
    assert answer.body.decode() == json.dumps(answer.json, separators=(",", ":"), ensure_ascii=False) or b'": ' not in answer.body
    assert answer.json["progress"]["state"] == "done" and answer.json["progress"]["percent"] == 100.0
    assert all(dict(zip(COLUMNS, r))["agreement"] == 33.0 for r in answer.json["months"]["rows"])


def test_who_holds_what(daemon, db, sandbox):
    """Months and instances: what this one holds, what another session holds, what is left behind, and what nobody here knows of."""
    d = daemon({**FEW, **MONTHS_ALONE, "scheduler": {"schedule": LONG_AGO}})
    d.seed(2024, 2024)
    latency(sandbox, AIS, 8000)
    d.schedule(batch_size=2)
    o = wait_until(lambda: (o := overview(d))["progress"]["in_flight"] == 2 and o, 20, "both in flight")
    assert (o["progress"]["state"], o["progress"]["text"]) == ("working", "2 months in flight on 1 instance")
    own = next(i for i in o["instances"] if i["self"])
    assert own["alive"] and [(m["year"], m["month"]) for m in own["months"]] == [(2024, 12), (2024, 11)]
    other = db.connect()
    cursor = other.cursor()
    cursor.execute("INSERT INTO backfill_instances (instance, host, pid, version) VALUES ('other', 'far', 7, '0.9') RETURNING id")
    number = cursor.fetchone()[0]
    cursor.execute("SELECT pg_advisory_lock(1112949070, %s), pg_advisory_lock(1112949069, 2024 * 12 + 2)", (number,))
    cursor.execute("UPDATE backfill_log SET status = 'processing', stage = 'resolving', owner = 'other', owner_id = %s, fence = 1, job_id ="
                   " gen_random_uuid(), claimed_from = 'pending', started_at = now(), progressed_at = now() WHERE month = 3", (number,))
    other.commit()
    o = overview(d)
    assert o["progress"]["text"] == "3 months in flight on 2 instances"
    far = next(i for i in o["instances"] if i["instance"] == "other")
    assert far == {"id": number, "instance": "other", "host": "far", "pid": 7, "version": "0.9", "since": far["since"], "alive": True,
                   "self": False, "months": [{"year": 2024, "month": 3, "stage": "resolving"}], "items": 0}
    d.post("/api/internal/pause", {"note": "nobody takes it up"})
    other.close()
    o = wait_until(lambda: (o := overview(d))["progress"]["in_flight"] < 3 and o, 10, "the lock is gone")
    far = next(i for i in o["instances"] if i["instance"] == "other")
    assert not far["alive"] and [m["month"] for m in far["months"]] == [3]
    assert o["progress"]["state"] == "paused" and "nobody takes it up" in o["progress"]["text"]


def test_pause_alerts_and_secret(daemon, db):
    """The pause with its note and end, open alerts as their own view lists them, and nothing without the secret."""
    d = daemon({**MONTHS_ALONE, "scheduler": {"schedule": LONG_AGO}})
    d.seed(2024, 2024)
    assert d.get(OVERVIEW, secret=None).status == 401
    assert d.post("/api/internal/pause", {"note": "disks", "until": "2099-01-01T00:00:00Z"}).status == 200
    o = overview(d)
    assert (o["paused"]["note"], o["paused"]["until"]) == ("disks", "2099-01-01T00:00:00Z") and o["paused"]["since"]
    assert o["progress"]["text"] == "Paused until 2099-01-01 00:00 UTC: disks"
    assert d.post("/api/internal/resume").status == 200
    assert overview(d)["paused"] is None
    db.execute("INSERT INTO backfill_alerts (key, subject, severity, summary, action, missed_at) VALUES ('x', '', 'warning', 's', 'a',"
               " now() + interval '1 hour')")
    open_ones = [a for a in d.get("/api/internal/alerts").json["alerts"] if a["cleared_at"] is None]
    assert overview(d)["alerts"] == open_ones and len(open_ones) == 1


def test_providers_that_cannot_be_asked(daemon, db):
    """Without an AI nothing is claimed, and the sentence says so."""
    d = daemon({"provider.gemini": {"enabled": "false"}, "provider.xai": {"enabled": "false"}, "scheduler": {"schedule": LONG_AGO}}, wait=False)
    wait_until(lambda: d.get(OVERVIEW).status == 200, 30, "an answer")
    d.seed(2024, 2024)
    o = overview(d)
    assert o["progress"]["state"] == "waiting" and o["progress"]["seconds_left"] is None
    assert o["progress"]["text"] == "Waits for a provider, no AI can be asked: gemini: disabled; xai: disabled"
    assert [(p["enabled"], p["usable"], p["reason"]) for p in o["providers"][:2]] == [(False, False, "disabled")] * 2


def test_without_the_database(daemon, relay, db):
    """An outage is a 503 with a time to come back."""
    wire = relay(int(db.server.get("port", 5432)))
    d = daemon(MONTHS_ALONE, conninfo=f"{db.conninfo} port={wire.port}")
    assert d.get(OVERVIEW).status == 200
    wire.cut()
    answer = wait_until(lambda: (a := d.get(OVERVIEW)).status == 503 and a, 30, "503")
    assert answer.headers["Retry-After"]
    wire.mend()
    wait_until(lambda: d.get(OVERVIEW).status == 200, 60, "it is back")
