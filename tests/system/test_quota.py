"""Daily quotas: what is counted, who may still ask, what the provider itself says, and days that begin anew."""
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from stand import wait_until
from steps import FEW, MONTHS_ALONE, SEARCHERS, coverage, faults, harvest, latency, readyz, wait_done, wait_job, wait_row

LIMITED = {"daily_limit": 15000, "reserve": 2000}


def quota(d):
    """What /api/quota/status says, without a secret."""
    answer = d.get("/api/quota/status", secret=None)
    assert answer.status == 200 and answer.json["success"] is True
    return answer.json["data"]


def use(db, provider, used, day="now()"):
    """So many units were used on that day."""
    db.execute(f"INSERT INTO api_quota (provider, day, used, daily_limit, reserve) VALUES (%s, backfill_provider_day(%s, {day}), %s,"
               " 15000, 2000) ON CONFLICT (provider, day) DO UPDATE SET used = excluded.used", provider, provider, used)


@pytest.mark.parametrize("used,remaining,safety,percent,may", [
    (0, 15000, 13000, 0, True), (2474, 12526, 10526, 19.03, True), (5234, 9766, 7766, 40.26, True),
    (12999, 2001, 1, 99.99, True), (13000, 2000, 0, 100, False), (15500, 0, 0, 119.23, False)])
def test_the_figures(daemon, db, used, remaining, safety, percent, may):
    """Used, remaining, what may still be used, and the percentage of the safety limit, rounded to two decimals."""
    d = daemon({"provider.isbndb": LIMITED})
    use(db, "isbndb", used)
    data = quota(d)
    assert (data["daily_limit"], data["safety_limit"], data["used"]) == (15000, 13000, used)
    assert (data["remaining"], data["safety_remaining"], data["can_make_calls"]) == (remaining, safety, may)
    assert data["percentage_used"] == percent or (used > 13000 and data["percentage_used"] >= 100)


def test_days_and_resets(daemon, db):
    """Yesterday's count does not count today; each provider's day ends at its own midnight: UTC, for Google in California."""
    d = daemon({"provider.isbndb": LIMITED, "provider.google_books": {"daily_limit": 1000}})
    use(db, "isbndb", 13000, "now() - interval '1 day'")
    data = quota(d)
    assert (data["used"], data["can_make_calls"]) == (0, True)
    for provider, zone in (("isbndb", "UTC"), ("google_books", "America/Los_Angeles"), ("gemini", "America/Los_Angeles")):
        day = datetime.now(ZoneInfo(zone)).date() + timedelta(days=1)
        midnight = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(timezone.utc)
        assert data["providers"][provider]["reset_at"] == midnight.strftime("%Y-%m-%dT%H:%M:%SZ"), provider
    assert data["reset_at"] == data["providers"]["isbndb"]["reset_at"]
    assert data["providers"]["open_library"]["daily_limit"] is None


def test_nothing_left(daemon, db, sandbox):
    """With the safety limit reached no unit is spent: the free ones serve, the month completes, and it is no attempt."""
    d = daemon({**FEW, "provider.isbndb": LIMITED})
    d.seed(2024, 2024)
    use(db, "isbndb", 13000)
    d.schedule(batch_size=1)
    row = wait_done(db, 2024, 12)
    assert row["isbns_resolved"] > 0 and row["isbndb_calls"] == row["retry_count"] == 0
    assert sandbox.counters("isbndb")["requests"] == 0
    assert quota(d)["used"] == 13000
    assert any(r.startswith("isbndb") for r in readyz(d)[1]["degraded"])


def test_all_providers_out_of_quota(daemon, db, sandbox):
    """Every ISBN provider out of quota: the books stay as synthetic works and the month completes, it does not wait
    for tomorrow."""
    d = daemon({**FEW, **{f"provider.{p}": {"daily_limit": 10, "reserve": 0} for p in SEARCHERS}})
    d.seed(2024, 2024)
    for p in SEARCHERS:
        use(db, p, 10)
    d.schedule(batch_size=1)
    row = wait_done(db, 2024, 12)
    assert (row["isbns_resolved"], row["retry_count"]) == (0, 0)
    assert {r["state"] for r in db.rows("SELECT DISTINCT state FROM backfill_candidates")} <= {"unavailable", "merged"}
    assert all(sandbox.counters(p)["requests"] == 0 for p in SEARCHERS)


def test_every_request_is_a_unit(daemon, db, sandbox):
    """A retry is one unit each, a cached answer none, and what was taken and not sent is given back."""
    faults(sandbox, ["isbndb"], attempts=1, _500=0.4)
    d = daemon({**FEW, **MONTHS_ALONE, "provider.isbndb": LIMITED})
    d.seed(2024, 2024)
    d.schedule(batch_size=2)
    wait_until(lambda: db.statuses().get("completed") == 2, 60, "two months")
    requests = sandbox.counters("isbndb")["requests"]
    assert sandbox.counters("isbndb")["by_status"].get("500", 0) > 0
    wait_until(lambda: db.value("SELECT leased FROM api_quota WHERE provider = 'isbndb'") == 0, 30, "nothing leased")
    assert quota(d)["used"] == requests == db.value("SELECT sum(isbndb_calls) FROM backfill_log")
    assert wait_job(d, harvest(d, year=2024, month=12, dry_run=True)["job_id"])["stats"]["isbndb_calls"] == 0
    assert quota(d)["used"] == requests == sandbox.counters("isbndb")["requests"]


def test_a_cancelled_month_gives_back_what_it_did_not_send(daemon, db, sandbox):
    """Units reserved for look-ups that are never sent return; what remains used is what the provider saw."""
    latency(sandbox, ["isbndb"], 500)
    d = daemon({"generation": {"books_per_provider": 20}, "provider.isbndb": {**LIMITED, "rate": "4/s", "concurrency": 8}})
    d.seed(2024, 2024)
    d.schedule(batch_size=1)
    wait_until(lambda: sandbox.counters("isbndb")["requests"] >= 3, 30, "look-ups")
    assert d.post("/api/internal/months/2024/12/cancel").status == 200
    wait_until(lambda: d.metrics()["backfill_months_held"] == 0 and sandbox.counters("isbndb")["in_flight"] == 0, 30, "the end")
    wait_until(lambda: quota(d)["used"] == sandbox.counters("isbndb")["requests"], 30, "what was not sent given back")


def test_the_providers_own_no(daemon, db, sandbox):
    """ISBNdb says that the day's quota is gone: closed until its midnight, over a restart too, reported against our count."""
    faults(sandbox, ["isbndb"], _429_daily=1.0)
    d = daemon({**FEW, "provider.isbndb": LIMITED})
    d.seed(2024, 2024)
    d.schedule(batch_size=1)
    row = wait_done(db, 2024, 12)
    assert row["retry_count"] == 0
    d.wait_log("quota gone although our count says otherwise.*our_limit=15000")
    state = db.row("SELECT kind, closed_until = backfill_provider_reset('isbndb', now()) AS midnight FROM provider_state"
                   " WHERE provider = 'isbndb'")
    assert state == {"kind": "quota", "midnight": True}
    asked = sandbox.counters("isbndb")["requests"]
    d.stop()
    d.restart()
    wait_until(lambda: any(r.startswith("isbndb") and "quota" in r for r in readyz(d)[1]["degraded"]), 30, "still closed")
    d.schedule(batch_size=1)
    wait_done(db, 2024, 11)
    assert sandbox.counters("isbndb")["requests"] == asked
    assert db.value("SELECT count(*) FROM isbn_resolutions WHERE provider = 'isbndb' AND isbn13 IS NULL") <= 3
    assert quota(d)["can_make_calls"] is False


def test_a_lower_limit_that_the_provider_tells(daemon, db, sandbox):
    """ISBNdb tells a limit below the configured one: that one is kept, no more units are sent, and the month completes."""
    sandbox.control({"providers": {"isbndb": {"daily_quota": 4}}})
    d = daemon({**FEW, "provider.isbndb": {"daily_limit": 15000, "reserve": 0}})
    d.seed(2024, 2024)
    d.schedule(batch_size=1)
    assert wait_done(db, 2024, 12)["retry_count"] == 0
    assert sandbox.counters("isbndb")["units"] <= 4
    d.schedule(batch_size=1)
    wait_done(db, 2024, 11)
    assert sandbox.counters("isbndb")["units"] <= 4
    assert quota(d)["can_make_calls"] is False


def test_no_database_no_call(daemon, own_pg, sandbox):
    """While the database is away nothing that is counted is sent; when it is back the months complete and the counts agree."""
    latency(sandbox, ["isbndb"], 100)
    coverage(sandbox, 1.0, ["isbndb"])
    database = own_pg.database()
    d = daemon({"generation": {"books_per_provider": 15}, "provider.isbndb": {**LIMITED, "rate": "8/s"}}, conninfo=database.conninfo,
               migrate=False, start=False)
    d.migrate()
    d.start().wait_ready()
    d.seed(2024, 2024)
    d.schedule(batch_size=2)
    wait_until(lambda: sandbox.counters("isbndb")["requests"] >= 4, 30, "look-ups")
    database.close()
    own_pg.stop()
    wait_until(lambda: readyz(d)[0] == 503, 30, "the loss noticed")
    wait_until(lambda: sandbox.counters("isbndb")["in_flight"] == 0, 30, "the last answer")
    asked = {p: c["requests"] for p, c in sandbox.counters()["providers"].items() if p in ("isbndb", "gemini", "xai")}
    with pytest.raises(TimeoutError):
        wait_until(lambda: {p: sandbox.counters(p)["requests"] for p in asked} != asked, 2, "a call that nobody counted")
    own_pg.start()
    wait_until(lambda: database.statuses().get("completed") == 2, 60, "both months")
    requests = sandbox.counters("isbndb")["requests"]
    assert database.value("SELECT sum(isbndb_calls) FROM backfill_log") == requests
    wait_until(lambda: database.value("SELECT used FROM api_quota WHERE provider = 'isbndb'") == requests, 30, "the units")
    d.stop()
    database.close()


def test_the_ais_have_quotas_too(daemon, db, sandbox):
    """An AI out of its daily units is left out, the other's books make the month; with both out months wait without an
    attempt."""
    d = daemon({**FEW, "provider.gemini": {"daily_limit": 1}, "provider.xai": {"daily_limit": 2}})
    d.seed(2024, 2024)
    for month in (12, 11):
        d.schedule(batch_size=1)
        wait_done(db, 2024, month)
    assert (sandbox.counters("gemini")["requests"], sandbox.counters("xai")["requests"]) == (1, 2)
    answer = d.post("/api/internal/schedule-backfill", {"batch_size": 1})
    if answer.status == 200:        # the limits are known only when somebody asks for more
        wait_row(db, 2024, 10, status="pending")
        wait_until(lambda: d.metrics()["backfill_months_held"] == 0, 30, "released")
        answer = d.post("/api/internal/schedule-backfill", {"batch_size": 1})
    assert answer.status == 503
    assert db.value("SELECT max(retry_count) FROM backfill_log") == 0
    assert (sandbox.counters("gemini")["requests"], sandbox.counters("xai")["requests"]) == (1, 2)
