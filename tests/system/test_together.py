"""Several daemons and callers at once: every month once, every quota and rate kept in sum, figures that agree."""
import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from stand import wait_until
from steps import AIS, FEW, MONTHS_ALONE, latency, wait_done, wait_row


def assert_counters_agree(db, sandbox, months=None):
    """The rows' call counts are what the sandbox counted: per month for the AIs, in sum for ISBNdb."""
    counters = sandbox.counters()
    rows = db.rows("SELECT year, month, gemini_calls, xai_calls, isbndb_calls FROM backfill_log")
    for provider in ("gemini", "xai"):
        seen = counters[provider]["by_month"]
        ours = {f"{r['year']}-{r['month']:02d}": r[f"{provider}_calls"] for r in rows if r[f"{provider}_calls"]}
        assert ours == seen, provider
    assert sum(r["isbndb_calls"] or 0 for r in rows) == counters["isbndb"]["requests"]


def assert_nothing_doubled(db):
    assert db.value("SELECT count(*) FROM (SELECT 1 FROM backfill_candidates GROUP BY year, month, title_key, author_key"
                    " HAVING count(*) > 1) AS d") == 0
    assert db.value("SELECT count(*) FROM (SELECT 1 FROM enrichment_queue GROUP BY entity_key HAVING count(*) > 1) AS d") == 0
    assert db.value("SELECT count(*) FROM (SELECT 1 FROM backfill_candidates WHERE isbn13 IS NOT NULL AND state <> 'merged'"
                    " GROUP BY year, month, isbn13 HAVING count(*) > 1) AS d") == 0
    assert db.value("SELECT count(*) FROM backfill_log b WHERE status = 'completed' AND books_generated <>"
                    " (SELECT count(*) FROM backfill_candidates c WHERE c.year = b.year AND c.month = b.month"
                    "  AND c.state <> 'merged')") == 0
    assert db.value("SELECT count(*) FROM backfill_log b WHERE status = 'completed' AND isbns_resolved <>"
                    " (SELECT count(*) FROM backfill_candidates c WHERE c.year = b.year AND c.month = b.month"
                    "  AND c.state <> 'merged' AND c.isbn13 IS NOT NULL)") == 0


def test_forty_schedulers_claim_each_month_once(daemon, db, sandbox):
    """20 schedule calls at once on each of two daemons over 100 months: each claimed once, one AI call per month."""
    one = daemon({"scheduler": {"concurrent_months": 10}})
    two = daemon({"scheduler": {"concurrent_months": 10}})
    assert one.seed(2016, 2024) == 108
    db.execute("DELETE FROM backfill_log WHERE year = 2016 AND month < 9")
    assert db.value("SELECT count(*) FROM backfill_log") == 100

    def schedule(i):
        return (one, two)[i % 2].schedule(batch_size=10)
    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(schedule, range(40)))
    claimed = [(m["year"], m["month"]) for a in answers for m in a["months"]]
    assert len(claimed) == len(set(claimed)), "a month was claimed twice"
    while len(claimed) < 100:       # callers that met held rows took what was left over
        more = one.schedule(batch_size=50)["months"]
        claimed += [(m["year"], m["month"]) for m in more]
        assert len(claimed) == len(set(claimed))
    wait_until(lambda: db.statuses() == {"completed": 100}, 180, "100 months completed")
    assert db.value("SELECT count(*) FROM backfill_events WHERE event = 'claimed'") == 100
    counters = sandbox.counters()
    for provider in ("gemini", "xai"):
        assert len(counters[provider]["by_month"]) == 100
        assert set(counters[provider]["by_month"].values()) == {1}
    assert_counters_agree(db, sandbox)
    assert_nothing_doubled(db)


def test_a_small_daily_limit_is_kept_by_two_daemons(daemon, db, sandbox):
    """daily_limit 100 over 20 months: 95 to 100 units, never more; the free providers serve, the rest stays synthetic."""
    ini = {"provider.isbndb": {"daily_limit": 100, "reserve": 0, "rate": "20/s"}, "scheduler": {"concurrent_months": 5}}
    one, two = daemon({**MONTHS_ALONE, **ini}), daemon({**MONTHS_ALONE, **ini})
    one.seed(2023, 2024)
    one.schedule(batch_size=10)
    two.schedule(batch_size=10)
    wait_until(lambda: db.statuses().get("completed") == 20, 180, "20 months completed")
    units = sandbox.counters("isbndb")["units"]
    assert 95 <= units <= 100
    status = one.get("/api/quota/status", secret=None).json["data"]
    assert (status["daily_limit"], status["used"], status["remaining"]) == (100, units, 100 - units)
    assert status["can_make_calls"] is (units < 100)
    resolved_by = dict((r["resolved_by"], r["n"]) for r in db.rows(
        "SELECT resolved_by, count(*) AS n FROM backfill_candidates WHERE isbn13 IS NOT NULL GROUP BY 1"))
    assert sum(n for by, n in resolved_by.items() if by != "isbndb") > 0
    assert db.value("SELECT count(*) FROM backfill_candidates c WHERE c.isbn13 IS NULL AND NOT EXISTS"
                    " (SELECT FROM enriched_works w WHERE w.work_key = c.work_key AND w.synthetic)") == 0
    assert_counters_agree(db, sandbox)


def test_a_month_cancelled_through_another_instance(daemon, db, sandbox):
    """Cancelled at one daemon, a month is let go by the one that works on it while its AIs still think: slot and lock are
    free, its requests end, and after a reset the month is done by whoever is asked."""
    latency(sandbox, AIS, 60000)
    ini = {**FEW, "scheduler": {"concurrent_months": 1}, **{f"provider.{ai}": {"timeout": "100s"} for ai in AIS}}
    one, two = daemon(ini), daemon(ini)
    one.seed(2024, 2024)
    one.schedule(batch_size=1)
    wait_row(db, 2024, 12, stage="generating", owner=one.instance)
    wait_until(lambda: all(sandbox.counters(ai)["in_flight"] == 1 for ai in AIS), 30, "the requests sent")
    assert two.post("/api/internal/months/2024/12/cancel").json["error_message"] == "cancelled"
    wait_until(lambda: one.metrics()["backfill_months_held"] == 0, 30, "the slot")
    wait_until(lambda: db.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1112949069"
                                " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())") == 0,
               30, "the lock")
    wait_until(lambda: all(sandbox.counters(ai)["in_flight"] == 0 for ai in AIS), 30, "the requests ended")
    assert db.value("SELECT count(*) FROM backfill_answers") == 0, "nothing was waited for"
    latency(sandbox, AIS, 0)
    assert two.post("/api/internal/months/2024/12/reset").json["status"] == "pending"
    two.schedule(batch_size=1)
    assert wait_done(db, 2024, 12)["owner"] == two.instance


def test_the_rate_holds_over_two_daemons(daemon, db, sandbox):
    """ISBNdb at 3/s, two daemons: the sandbox never sees more than 3 in any second."""
    ini = {"provider.isbndb": {"rate": "3/s"}, "generation": {"books_per_provider": 5}, "scheduler": {"concurrent_months": 5}}
    one, two = daemon({**MONTHS_ALONE, **ini}), daemon({**MONTHS_ALONE, **ini})
    one.seed(2023, 2024)
    db.execute("UPDATE backfill_log SET batch_size = 5")
    two.schedule(batch_size=5)
    one.schedule(batch_size=5)
    wait_until(lambda: db.statuses().get("completed") == 10, 240, "10 months completed")
    counters = sandbox.counters("isbndb")
    assert counters["requests"] > 30
    assert counters["peak_per_second"] <= 3


@pytest.mark.slow
def test_thirty_kills(daemon, db, sandbox):
    """kill -9 at 30 random moments during 60 months: all complete, nothing bought twice, nothing doubled, rescues <= 10 s."""
    dice = random.Random(20240601)
    sandbox.control({"providers": {"gemini": {"latency_ms": [50, 300]}, "xai": {"latency_ms": [50, 300]},
                                   "isbndb": {"latency_ms": [20, 60]}}})
    ini = {"scheduler": {"concurrent_months": 6}, "provider.isbndb": {"rate": "60/s"}}
    daemons = [daemon({**MONTHS_ALONE, **ini}), daemon({**MONTHS_ALONE, **ini})]
    daemons[0].seed(2020, 2024)
    daemons[0].schedule(batch_size=30)
    daemons[1].schedule(batch_size=30)
    for kill in range(30):
        time.sleep(dice.uniform(0.2, 2.0))
        d = daemons[dice.randrange(2)]
        d.kill9()
        d.start()
        if kill % 5 == 0:
            d.wait_ready()
            d.schedule(batch_size=10)
    for d in daemons:
        d.wait_ready()
    wait_until(lambda: db.statuses() == {"completed": 60}, 240, "60 months completed")
    assert_nothing_doubled(db)
    # Each answer that reached the database was used: never another request of that round after it was stored.
    assert db.value("SELECT count(*) FROM backfill_events e1 JOIN backfill_events e2 USING (year, month)"
                    " WHERE e1.event = 'answered' AND e2.event = 'answered' AND e1.id < e2.id"
                    " AND e1.detail->>'provider' = e2.detail->>'provider'") == 0
    assert db.value("SELECT count(*) FROM (SELECT 1 FROM enriched_works GROUP BY work_key HAVING count(*) > 1) AS d") == 0
    # Counted before they go out: never too low, whatever was killed when.
    counters = sandbox.counters()
    assert db.value("SELECT sum(isbndb_calls) FROM backfill_log") >= counters["isbndb"]["requests"]
    for provider in ("gemini", "xai"):
        assert db.value(f"SELECT sum({provider}_calls) FROM backfill_log") >= counters[provider]["requests"]
    # A month stands still for at most 10 s: between two events of one month, rescues included. Waiting for a slot is not it.
    slowest = db.value("SELECT coalesce(max(extract(epoch FROM r.at - k.at)), 0) FROM backfill_events r, LATERAL ("
                       " SELECT max(at) AS at FROM backfill_events e WHERE e.year = r.year AND e.month = r.month"
                       " AND e.id < r.id) AS k WHERE r.event = 'rescued' AND r.from_stage <> 'claimed'")
    print(f"longest rescue {float(slowest):.1f} s")
    assert float(slowest) <= 12     # the last step before the kill, then at most 10 s


def test_counters_agree_through_faults_and_retries(daemon, db, sandbox):
    """Errors, resets, rate answers and garbage at every provider: the rows still count what the sandbox counted."""
    faults = {"500": 0.04, "503": 0.04, "reset": 0.05, "invalid_json": 0.03, "html": 0.02, "truncated": 0.03}
    # a rate answer of the other providers means a minute's rest
    limited = {"gemini": 0.1, "archive_org": 0.05, "wikidata": 0.05}
    sandbox.control({"providers": {name: {"faults": {**faults, "429": limited.get(name, 0)}, "fault_attempts": 1} for name in (
        "gemini", "xai", "isbndb", "google_books", "open_library", "archive_org", "wikidata")}})
    d = daemon({**MONTHS_ALONE, "scheduler": {"concurrent_months": 6}})
    d.seed(2024, 2024)
    d.schedule(batch_size=12)
    wait_until(lambda: db.statuses() == {"completed": 12}, 240, "12 months completed")
    assert sum(v for k, v in sandbox.counters("isbndb")["by_status"].items() if k != "200") > 0
    assert_counters_agree(db, sandbox)
    assert_nothing_doubled(db)


def test_both_ais_are_asked_at_once(daemon, sandbox):
    """The sandbox sees a month's two AI requests overlap."""
    sandbox.control({"providers": {"gemini": {"latency_ms": [300, 300]}, "xai": {"latency_ms": [300, 300]}}})
    d = daemon(MONTHS_ALONE)
    d.seed(2024, 2024)
    d.schedule(batch_size=1)
    d.wait_months(1)
    assert sandbox.counters()["overlap_seen"] is True
