"""The chain of ISBN providers: its order, its failures, its cache, and what a month does when nobody can be asked."""
import pytest
from stand import wait_until
from steps import (AIS, FEW, MONTHS_ALONE, SEARCHERS, coverage, faults, harvest, latency, readyz, wait_done, wait_job, wait_row)


def only(*providers):
    """INI with these ISBN providers alone."""
    return {**FEW, **{f"provider.{p}": {"enabled": False} for p in SEARCHERS if p not in providers}}


def run_one(d, db, timeout=60):
    """One month of 2024, to its end; its row."""
    d.seed(2024, 2024)
    d.schedule(batch_size=1)
    return wait_done(db, 2024, 12, timeout)


def said_by(db, provider):
    """What the candidates' notes tell of a provider: {outcome: how many}."""
    return {r["o"]: r["n"] for r in db.rows("SELECT answers->%s->>'outcome' AS o, count(*) AS n FROM backfill_candidates"
                                            " WHERE answers ? %s GROUP BY 1", provider, provider)}


def cached_misses(db, provider):
    """Misses in the cache, after the flusher has had its second."""
    return db.value("SELECT count(*) FROM isbn_resolutions WHERE provider = %s AND isbn13 IS NULL", provider)


def test_the_order_of_the_chain(daemon, db, sandbox):
    """By default ISBNdb is asked about every book, and the others only about what it did not have."""
    row = run_one(daemon(FEW), db)
    counters = sandbox.counters()
    found = dict((r["resolved_by"], r["n"]) for r in db.rows(
        "SELECT resolved_by, count(*) AS n FROM backfill_candidates WHERE isbn13 IS NOT NULL GROUP BY 1"))
    assert counters["isbndb"]["requests"] >= row["books_generated"]
    assert found["isbndb"] == max(found.values())
    for provider in SEARCHERS[1:]:
        notes = db.rows("SELECT answers FROM backfill_candidates WHERE answers ? %s", provider)
        assert all(n["answers"]["isbndb"]["outcome"] != "hit" for n in notes)


def test_another_order(daemon, db, sandbox):
    """A configured order is honoured: ISBNdb last is asked only about what the four before it did not have."""
    coverage(sandbox, 1.0, ["open_library"])
    d = daemon({**FEW, "resolution": {"order": "open_library, wikidata, archive_org, google_books, isbndb"}})
    row = run_one(d, db)
    assert sandbox.counters("open_library")["requests"] >= row["books_generated"]
    assert db.value("SELECT mode() WITHIN GROUP (ORDER BY resolved_by) FROM backfill_candidates"
                    " WHERE isbn13 IS NOT NULL") == "open_library"
    notes = db.rows("SELECT answers FROM backfill_candidates WHERE answers ? 'isbndb'")
    assert all(n["answers"]["open_library"]["outcome"] != "hit" for n in notes)


def test_disabled_and_unkeyed_providers_are_left_out(daemon, db, sandbox):
    """A disabled provider and one without its key are not asked, the month completes, /readyz tells which."""
    d = daemon({**FEW, "provider.archive_org": {"enabled": False}}, env={"GOOGLE_BOOKS_API_KEY": None})
    run_one(d, db)
    assert sandbox.counters("archive_org")["requests"] == sandbox.counters("google_books")["requests"] == 0
    degraded = readyz(d)[1]["degraded"]
    assert any(r.startswith("google_books") for r in degraded) and any(r.startswith("archive_org") for r in degraded)


@pytest.mark.parametrize("fault", ["503", "403", "invalid_json", "html", "reset", "truncated"])
def test_a_failing_provider_is_not_a_miss(daemon, db, sandbox, fault):
    """Whatever way Google Books fails, the chain goes on to the next one and no miss of it is cached; the month is no
    attempt."""
    coverage(sandbox, 0, ["isbndb"])
    faults(sandbox, ["google_books"], **{"_" + fault: 1.0})
    row = run_one(daemon(FEW), db)
    assert row["retry_count"] == 0 and row["isbns_resolved"] > 0
    assert sandbox.counters("open_library")["requests"] > 0
    assert set(said_by(db, "google_books")) <= {"failed", "skipped"}
    wait_until(lambda: cached_misses(db, "isbndb") > 0, 30, "the flusher")
    assert cached_misses(db, "google_books") == 0


def test_a_stalled_provider_holds_nobody(daemon, db, sandbox):
    """Open Library never answers: each look-up ends at its timeout, its circuit opens, and the chain goes on."""
    coverage(sandbox, 0, ["isbndb", "google_books"])
    faults(sandbox, ["open_library"], stall=1.0)
    d = daemon({**FEW, "provider.open_library": {"timeout": "1s"}})
    row = run_one(d, db)
    assert row["retry_count"] == 0 and sandbox.counters("archive_org")["requests"] > 0
    assert cached_misses(db, "open_library") == 0
    assert any(r.startswith("open_library") for r in readyz(d)[1]["degraded"])
    assert d.metrics()['backfill_circuit_state{provider="open_library"}'] == 2


def test_an_open_circuit_is_shared(daemon, db, sandbox):
    """What one daemon learnt about a provider holds in the other and over a restart, and ends when the provider is mended."""
    faults(sandbox, ["google_books"], _503=1.0)
    coverage(sandbox, 0, ["isbndb"])
    one, two = daemon(FEW), daemon(FEW)
    one.seed(2024, 2024)
    one.schedule(batch_size=1)
    wait_done(db, 2024, 12)
    for d in (one, two):
        wait_until(lambda d=d: any(r.startswith("google_books") for r in readyz(d)[1]["degraded"]), 30, "closed")
    two.stop()
    two.restart()
    wait_until(lambda: any(r.startswith("google_books") for r in readyz(two)[1]["degraded"]), 30, "closed after a restart")
    faults(sandbox, ["google_books"])
    asked = sandbox.counters("google_books")["requests"]
    db.execute("UPDATE provider_state SET closed_until = now() WHERE provider = 'google_books'")     # its time is over
    wait_until(lambda: not any(r.startswith("google_books") for r in readyz(two)[1]["degraded"]), 30, "open again")
    two.schedule(batch_size=1)
    wait_done(db, 2024, 11)
    assert sandbox.counters("google_books")["requests"] > asked


def test_a_refused_key_at_a_search_provider(daemon, db, sandbox):
    """ISBNdb refuses the key: it is off until reload, and the month completes with the free ones."""
    d = daemon(FEW, env={"ISBNDB_API_KEY": "bad-0123456789"})
    row = run_one(d, db)
    assert row["retry_count"] == 0 and row["isbns_resolved"] > 0
    assert db.value("SELECT count(*) FROM backfill_candidates WHERE resolved_by = 'isbndb'") == 0
    assert any(r.startswith("isbndb") for r in readyz(d)[1]["degraded"])
    assert cached_misses(db, "isbndb") == 0


def test_hits_and_misses_are_cached(daemon, db, sandbox):
    """After a month its books are known: hits for cache_ttl, misses for a day, and asking again asks nobody."""
    d = daemon({**FEW, **MONTHS_ALONE, "resolution": {"cache_ttl": "30d"}})
    run_one(d, db)
    candidates = db.value("SELECT count(*) FROM backfill_candidates")
    wait_until(lambda: db.value("SELECT count(*) FROM isbn_resolutions WHERE provider = 'isbndb'") == candidates, 30, "the cache")
    assert db.rows("SELECT DISTINCT isbn13 IS NULL AS miss, round(extract(epoch FROM expires_at - created_at) / 86400)::int AS days"
                   " FROM isbn_resolutions ORDER BY 1") == [{"miss": False, "days": 30}, {"miss": True, "days": 1}]
    before = {p: sandbox.counters(p)["requests"] for p in SEARCHERS}
    job = wait_job(d, harvest(d, year=2024, month=12, dry_run=True)["job_id"])
    assert job["stats"]["isbns_resolved"] == db.month(2024, 12)["isbns_resolved"]
    assert {p: sandbox.counters(p)["requests"] for p in SEARCHERS} == before


def test_an_expired_miss_is_asked_again(daemon, db, sandbox):
    """What was not there and is there by now is found once the miss has expired."""
    coverage(sandbox, 0)
    d = daemon(only("isbndb"))
    run_one(d, db)
    wait_until(lambda: cached_misses(db, "isbndb") == db.month(2024, 12)["books_generated"], 30, "the misses")
    coverage(sandbox, 1.0)
    job = wait_job(d, harvest(d, year=2024, month=12, dry_run=True)["job_id"])
    assert job["stats"]["isbns_resolved"] == 0
    db.execute("UPDATE isbn_resolutions SET expires_at = now() - interval '1 s'")
    job = wait_job(d, harvest(d, year=2024, month=12, dry_run=True)["job_id"])
    assert job["stats"]["isbns_resolved"] > 0


def test_two_who_ask_the_same_are_one_request(daemon, db, sandbox):
    """The same books looked up by two jobs at the same time cost one request each, and both get the answer."""
    latency(sandbox, AIS, 400)
    latency(sandbox, ["isbndb"], 1500)
    coverage(sandbox, 1.0, ["isbndb"])
    d = daemon(only("isbndb"))
    d.seed(2024, 2024)
    dry = harvest(d, year=2024, month=12, dry_run=True)["job_id"]
    d.schedule(batch_size=1)
    row = wait_done(db, 2024, 12)
    job = wait_job(d, dry)
    assert job["stats"]["isbns_resolved"] == row["isbns_resolved"] > 0
    assert sandbox.counters("isbndb")["requests"] == row["books_generated"]
    assert job["stats"]["isbndb_calls"] + row["isbndb_calls"] == sandbox.counters("isbndb")["requests"]


def test_everybody_down(daemon, db, sandbox):
    """All ISBN providers fail: the month never completes at 0 %, waits at `resolving` with its candidates, and
    completes when mended."""
    faults(sandbox, SEARCHERS, _503=1.0)
    d = daemon({**FEW, "scheduler": {"retry_base": "1s", "retry_cap": "1s"}})
    d.seed(2024, 2024)
    d.schedule(batch_size=1)
    row = wait_row(db, 2024, 12, status="retry")
    assert row["stage"] == "resolving" and "no ISBN provider could be asked" in row["error_message"]
    ids = db.column("SELECT id FROM backfill_candidates ORDER BY id")
    for _ in range(6):      # with the circuits open, waiting is no attempt, however often it comes round
        seen = len(events(db))
        wait_until(lambda seen=seen: len(events(db)) > seen, 30, "another try")
    row = db.month(2024, 12)
    assert row["status"] in ("retry", "processing") and row["retry_count"] < 5
    assert db.value("SELECT count(*) FROM isbn_resolutions WHERE isbn13 IS NULL") == 0
    faults(sandbox, SEARCHERS)
    db.execute("UPDATE provider_state SET closed_until = now(), kind = 'none'")
    row = wait_done(db, 2024, 12)
    assert row["isbns_resolved"] > 0 and row["retry_count"] < 5
    assert db.column("SELECT id FROM backfill_candidates ORDER BY id") == ids
    assert {sandbox.counters(ai)["by_month"]["2024-12"] for ai in AIS} == {1}


def events(db):
    return db.rows("SELECT id FROM backfill_events WHERE year = 2024 AND month = 12 AND to_stage = 'retry'")


def test_nobody_configured(daemon, db):
    """With every ISBN provider disabled no month completes at 0 %, and none uses up its attempts."""
    d = daemon({**only(), "scheduler": {"retry_base": "1s", "retry_cap": "1s"}})
    d.seed(2024, 2024)
    d.schedule(batch_size=1)
    row = wait_row(db, 2024, 12, status="retry")
    assert row["stage"] == "resolving" and row["retry_count"] == 0


def outages(db):
    """How often in a row nobody could be asked, and how long the month waits for it now; None while it does not wait."""
    return db.row("SELECT count(*) AS n, extract(epoch FROM b.next_attempt_at - b.last_retry_at)::float AS wait FROM backfill_log b"
                  " JOIN backfill_events e USING (year, month) WHERE b.year = 2024 AND b.month = 12 AND b.status = 'retry'"
                  " AND e.event = 'outage' AND e.id > coalesce((SELECT max(id) FROM backfill_events"
                  "  WHERE event = 'operator_retry'), 0) GROUP BY b.id")


def test_nobody_for_long(daemon, db):
    """Each outage in a row is waited for twice as long as the one before, up to retry_cap; an operator's retry begins anew."""
    d = daemon({**only(), "scheduler": {"retry_base": "1s", "retry_cap": "6s"}})
    d.seed(2024, 2024)
    d.schedule(batch_size=1)

    def waits(least):
        seen = wait_until(lambda: (lambda now: now if now and now["n"] >= least else None)(outages(db)), 60, f"{least} outages")
        should = min(6, 2 ** (seen["n"] - 1))
        assert 0.79 * should <= seen["wait"] <= 1.21 * should, seen
    for least in (1, 2, 4):
        waits(least)
    assert d.post("/api/internal/months/2024/12/retry").status == 200
    waits(1)
    assert db.month(2024, 12)["retry_count"] == 0


def test_the_rate_answer_is_honoured(daemon, db, sandbox):
    """429 to every first request: asked again when its time has come, no miss is cached for it, and it is no attempt."""
    faults(sandbox, ["archive_org"], attempts=1, _429=1.0)
    coverage(sandbox, 1.0, ["archive_org"])
    d = daemon(only("archive_org"))
    d.seed(2024, 2024)
    db.execute("UPDATE backfill_log SET batch_size = 1 WHERE month = 12")
    d.schedule(batch_size=1)
    row = wait_done(db, 2024, 12, 90)
    statuses = sandbox.counters("archive_org")["by_status"]
    assert statuses["429"] >= 1 and statuses["200"] >= 1
    assert row["retry_count"] == 0
    assert "failed" not in said_by(db, "archive_org")
