"""Scheduling and a month's life: which months are taken, how they fail, end, are resumed, rescued, released and steered."""
import signal
import time

import pytest
from stand import wait_until
from steps import (AIS, FEW, MONTHS_ALONE, SEARCHERS, VARIANTS, answers, coverage, events, faults, harvest, latency, table_held, wait_done,
                   wait_job, wait_row)

SCHEDULE = "/api/internal/schedule-backfill"
ALONE = {**FEW, "scheduler": {"concurrent_months": 1}}


def everything(db):
    """A digest of what a dry run of the scheduler may not touch."""
    return {t: db.value(f"SELECT md5(coalesce(string_agg(x::text, '|' ORDER BY x::text), '')) FROM {t} AS x") for t in (
        "backfill_log", "backfill_jobs", "backfill_answers", "backfill_candidates", "backfill_events", "enriched_works",
        "enrichment_queue")}


# ---- which months ----
def test_seeding(daemon, db):
    """2000 to 2024 are 300 rows of 20 books, contemporary-notable from 2020 on, baseline before; seeding again adds none."""
    d = daemon()
    assert d.seed(2000, 2024) == 300
    assert d.seed(2000, 2024) == 0
    assert db.rows("SELECT prompt_variant AS v, min(year) AS low, max(year) AS high, count(*) AS n FROM backfill_log"
                   " WHERE batch_size = 20 AND status = 'pending' AND retry_count = 0 GROUP BY 1 ORDER BY 1") == [
        {"v": "baseline", "low": 2000, "high": 2019, "n": 240}, {"v": "contemporary-notable", "low": 2020, "high": 2024, "n": 60}]


def test_newest_first_and_never_a_completed_one(daemon, db):
    """The order is year, then month, falling; completed, processing and failed months and waiting retries are left out."""
    d = daemon()
    d.seed(2023, 2024)
    db.execute("UPDATE backfill_log SET status = 'completed' WHERE year = 2024 AND month > 6")
    db.execute("UPDATE backfill_log SET status = 'failed' WHERE year = 2024 AND month = 6")
    db.execute("UPDATE backfill_log SET status = 'retry', next_attempt_at = now() + interval '1 h' WHERE year = 2024 AND month = 5")
    db.execute("UPDATE backfill_log SET status = 'retry' WHERE year = 2024 AND month = 4")
    got = d.schedule(batch_size=6, dry_run=True)
    assert [(m["year"], m["month"]) for m in got["months"]] == [(2024, 4), (2024, 3), (2024, 2), (2024, 1), (2023, 12), (2023, 11)]
    assert got["months"][0]["status"] == "retry"


def test_year_range(daemon):
    """Either order selects the same 48 months; a missing end is the configured one; nothing to select is 0, not an error."""
    d = daemon({"scheduler": {"year_start": 2019, "year_end": 2023}})
    d.seed(2018, 2024)

    def years(**body):
        got = d.schedule(batch_size=50, dry_run=True, **body)
        assert got["months_selected"] == len(got["months"])
        return sorted({m["year"] for m in got["months"]}), got["months_selected"]
    assert years(year_range={"start": 2020, "end": 2023}) == years(year_range={"start": 2023, "end": 2020}) == (
        [2020, 2021, 2022, 2023], 48)
    assert years(year_range={"start": 2021}) == ([2021, 2022, 2023], 36)
    assert years(year_range={"end": 2020}) == ([2019, 2020], 24)
    assert years(year_range={"start": 1950, "end": 1960}) == ([], 0)
    assert years()[0] == [2019, 2020, 2021, 2022, 2023]


def test_the_first_and_the_last_year(daemon, db):
    """1900 and 2100 are seeded, claimed, locked, worked on and counted like any other year."""
    d = daemon(FEW)
    assert d.seed(1900, 1900) == d.seed(2100, 2100) == 12
    for year in (1900, 2100):
        got = d.schedule(batch_size=1, year_range={"start": year, "end": year})
        assert [(m["year"], m["month"]) for m in got["months"]] == [(year, 12)]
    for year in (1900, 2100):
        wait_row(db, year, 12, status="completed")
        assert d.get(f"/api/internal/months/{year}/12").json["status"] == "completed"
    assert d.stats()["by_status"]["completed"] == 2


def test_a_dry_run_of_the_scheduler_writes_nothing(daemon, db, sandbox):
    """dry_run lists the months as they are; no row changes and no provider is asked."""
    d = daemon()
    d.seed(2024, 2024)
    before = everything(db)
    got = d.schedule(batch_size=5, dry_run=True, force_retry=True)
    assert (got["dry_run"], got["months_selected"], "execution_summary" in got) == (True, 5, False)
    assert {m["status"] for m in got["months"]} == {"pending"}
    assert everything(db) == before
    assert all(c["requests"] == 0 for c in sandbox.counters()["providers"].values())


def test_months_held_by_others_cost_no_waiting(daemon, db):
    """Neither a row that a session holds nor a month whose lock another has is waited for: they are skipped, the rest
    is claimed."""
    d = daemon(ALONE)
    d.seed(2024, 2024)
    holder = db.connect()
    holder.cursor().execute("SELECT pg_advisory_lock(1112949069, 2024 * 12 + 10)")     # 2024-11
    holder.autocommit = False
    holder.cursor().execute("SELECT FROM backfill_log WHERE year = 2024 AND month = 12 FOR UPDATE")
    got = d.post(SCHEDULE, {"batch_size": 3}, timeout=8)        # answers while the row is still held
    assert got.status == 200
    claimed = [m["month"] for m in got.json["months"]]
    assert claimed and not {11, 12} & set(claimed)
    assert got.json["execution_summary"]["triggered"] == len(claimed)
    assert got.json["execution_summary"]["skipped"] > 0
    holder.rollback()
    holder.close()
    assert {db.month(2024, m)["status"] for m in (11, 12)} == {"pending"}


def test_one_bad_month_of_a_batch_leaves_the_others(daemon, db):
    """A month that fails at once, for its unknown prompt variant, spoils neither its neighbours nor the answer."""
    d = daemon(FEW)
    d.seed(2024, 2024)
    db.execute("UPDATE backfill_log SET prompt_variant = 'nonsense', retry_count = 2 WHERE month = 11")
    assert d.schedule(batch_size=3)["execution_summary"] == {"triggered": 3, "skipped": 0, "errors": 0}
    for month in (10, 12):
        wait_done(db, 2024, month)
    bad = wait_row(db, 2024, 11, status="failed")
    assert bad["retry_count"] == 2 and bad["completed_at"] and "nonsense" in bad["error_message"]
    assert bad["gemini_calls"] == bad["xai_calls"] == 0


def test_force_retry_takes_up_failed_months_that_have_attempts_left(daemon, db):
    """failed with fewer than 5 attempts runs under force_retry and only then; one with 5 does not."""
    d = daemon(FEW)
    d.seed(2024, 2024)
    db.execute("DELETE FROM backfill_log WHERE month < 11")
    db.execute("UPDATE backfill_log SET status = 'failed', retry_count = CASE month WHEN 12 THEN 5 ELSE 2 END,"
               " started_at = now(), completed_at = now(), error_message = 'x'")
    assert d.schedule(batch_size=5)["months_selected"] == 0
    got = d.schedule(batch_size=5, force_retry=True)
    assert [m["month"] for m in got["months"]] == [11] and got["total_failed"] == 1
    done = wait_done(db, 2024, 11)
    assert done["retry_count"] == 2 and done["error_message"] is None
    assert db.month(2024, 12)["status"] == "failed"


def test_a_mended_variant_runs_under_force_retry(daemon, db):
    """A month that failed for its row's unknown variant completes once the row is mended and force_retry asks for it."""
    d = daemon(FEW)
    d.seed(2024, 2024)
    db.execute("UPDATE backfill_log SET prompt_variant = 'nonsense' WHERE month = 12")
    d.schedule(batch_size=1)
    wait_row(db, 2024, 12, status="failed", retry_count=0)
    db.execute("UPDATE backfill_log SET prompt_variant = 'annual' WHERE month = 12")
    d.schedule(batch_size=1, force_retry=True)
    wait_done(db, 2024, 12)
    assert {a["variant"] for a in answers(db, 2024, 12).values()} == {"annual"}


def test_what_the_row_says_is_asked_for(daemon, db):
    """A row's own prompt variant and batch size, set by hand, are those of the requests."""
    d = daemon()
    d.seed(2024, 2024)
    db.execute("UPDATE backfill_log SET prompt_variant = 'genre-rotation', batch_size = 2 WHERE month = 12")
    d.schedule(batch_size=1)
    row = wait_done(db, 2024, 12)
    assert 1 <= row["books_generated"] <= 4
    assert {a["variant"] for a in answers(db, 2024, 12).values()} == {"genre-rotation"}
    assert (row["prompt_variant"], row["batch_size"]) == ("genre-rotation", 2)


# ---- failing ----
def test_a_failing_month_waits_and_lets_the_others_pass(daemon, db, sandbox):
    """After its failure a month has a next_attempt_at of base and jitter; the next run takes the one after it."""
    d = daemon({**FEW, "scheduler": {"retry_base": "60s", "retry_cap": "1h"}})
    d.seed(2024, 2024)
    faults(sandbox, AIS, empty=1.0)
    d.schedule(batch_size=1)
    row = wait_row(db, 2024, 12, status="retry")
    assert (row["retry_count"], row["completed_at"]) == (1, None) and row["last_retry_at"] and row["error_message"]
    assert 47 <= (row["next_attempt_at"] - row["last_retry_at"]).total_seconds() <= 73
    faults(sandbox, AIS)
    assert [m["month"] for m in d.schedule(batch_size=1)["months"]] == [11]
    wait_done(db, 2024, 11)
    assert db.month(2024, 12)["status"] == "retry"


def test_five_failures_end_a_month(daemon, db, sandbox):
    """Attempts 1 to 4 end in retry, each with the next variant; the fifth in failed with completed_at; the row's
    variant stays."""
    d = daemon({**FEW, "scheduler": {"retry_base": "1s", "retry_cap": "1s"}})
    d.seed(2024, 2024)
    db.execute("UPDATE backfill_log SET prompt_variant = 'genre-rotation' WHERE month = 12")
    faults(sandbox, AIS, empty=1.0)
    d.schedule(batch_size=1)
    row = wait_row(db, 2024, 12, status="failed")
    assert row["retry_count"] == 5 and row["completed_at"] >= row["started_at"]
    assert row["prompt_variant"] == "genre-rotation"
    ends = [e["to_stage"] for e in events(db, 2024, 12) if e["to_stage"] in ("retry", "failed")]
    assert ends == ["retry"] * 4 + ["failed"]
    first = VARIANTS.index("genre-rotation")
    asked = db.column("SELECT variant FROM backfill_answers WHERE provider = 'gemini' ORDER BY round")
    assert asked == [VARIANTS[(first + i) % 7] for i in range(5)]
    assert (row["gemini_calls"], row["xai_calls"]) == (5, 5)
    # nothing comes back by itself, and force_retry has no attempt left to give
    assert d.schedule(batch_size=1, force_retry=True)["months"][0]["month"] == 11


def test_no_isbn_at_all_is_a_completed_month(daemon, db, sandbox):
    """Nobody knows any of the books: completed at 0.00 with its synthetic works, not a failure and not for ever in
    processing."""
    coverage(sandbox, 0)
    d = daemon(FEW)
    d.seed(2024, 2024)
    d.schedule(batch_size=1)
    row = wait_done(db, 2024, 12)
    assert row["books_generated"] > 0 and row["isbns_resolved"] == row["isbns_queued"] == 0
    assert str(row["resolution_rate"]) == "0.00" and row["retry_count"] == 0
    assert db.value("SELECT count(*) FROM enriched_works WHERE synthetic AND completeness_score = 30") == row["books_generated"]


def test_the_pooled_figures_of_the_statistics(daemon, db):
    """48 of 58 is 82.76, as a number; 36 of 39 is 92.31; a completed month without books has no rate of its own."""
    d = daemon()
    d.seed(2024, 2024)
    for month, books, found, rate in ((12, 39, 36, 92.31), (11, 19, 12, 63.16), (10, 0, 0, None)):
        db.execute("UPDATE backfill_log SET status = 'completed', books_generated = %s, isbns_resolved = %s, isbns_queued = %s,"
                   " resolution_rate = %s, started_at = now(), completed_at = now() WHERE month = %s", books, found, found, rate,
                   month)
    progress = d.stats()["progress"]
    assert progress == {"total_books_generated": 58, "total_isbns_resolved": 48, "overall_resolution_rate": 82.76,
                        "total_isbns_queued": 48}
    recent = {m["month"]: m for m in d.stats()["recent_activity"]}
    assert (recent[12]["resolution_rate"], recent[11]["resolution_rate"]) == (92.31, 63.16)
    assert recent[10].get("resolution_rate") in (None, 0)


def test_no_figures_at_all(daemon):
    """An empty table: the statistics are zeros, the rate too."""
    stats = daemon().stats()
    assert stats["total_months"] == 0 and stats["progress"]["overall_resolution_rate"] == 0


# ---- resuming ----
def test_killed_while_asking(daemon, db, sandbox):
    """kill -9 with one answer stored and one under way: the stored one is not bought again, the month completes once."""
    latency(sandbox, ["xai"], 1500)
    d = daemon(FEW)
    d.seed(2024, 2024)
    d.schedule(batch_size=1)
    wait_until(lambda: set(answers(db, 2024, 12)) == {"gemini"} and sandbox.counters("xai")["requests"] == 1, 30,
               "gemini's answer stored, xai asked")
    d.kill9()
    d.restart()
    row = wait_done(db, 2024, 12)
    counters = sandbox.counters()
    assert counters["gemini"]["by_month"] == {"2024-12": 1}
    assert counters["xai"]["by_month"] == {"2024-12": 2}
    assert (row["gemini_calls"], row["xai_calls"], row["retry_count"]) == (1, 2, 0)
    assert [e["event"] for e in events(db, 2024, 12)].count("rescued") == 1


@pytest.mark.parametrize("stage,table", [("saving", "backfill_candidates"), ("queueing", "enrichment_queue")])
def test_killed_while_writing(daemon, db, sandbox, stage, table):
    """kill -9 with the write that ends a stage under way, not knowing whether it will be done: the month completes
    exactly once."""
    d = daemon(FEW)
    d.seed(2024, 2024)
    with table_held(db, table):
        d.schedule(batch_size=1)
        wait_row(db, 2024, 12, stage=stage)
        wait_until(lambda: db.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                                    " AND datname = current_database()") > 0, 30, "the write waiting")
        d.kill9()
    d.restart()
    row = wait_done(db, 2024, 12)
    assert [e["to_stage"] for e in events(db, 2024, 12)].count("completed") == 1
    assert {c["by_month"]["2024-12"] for c in map(sandbox.counters, AIS)} == {1}
    assert row["books_generated"] == db.value("SELECT count(*) FROM backfill_candidates WHERE state <> 'merged'")
    assert row["isbns_queued"] == db.value("SELECT count(*) FROM enrichment_queue WHERE priority < 8")
    assert db.value("SELECT count(*) FROM backfill_candidates") == db.value("SELECT count(DISTINCT ord) FROM backfill_candidates")


def test_killed_while_resolving(daemon, db, sandbox):
    """kill -9 amid the look-ups: what was found stays found, no AI is asked again, the candidates keep their ids."""
    latency(sandbox, ["isbndb"], 400)
    d = daemon({"generation": {"books_per_provider": 10}, "resolution": {"concurrent_books": 2}})
    d.seed(2024, 2024)
    d.schedule(batch_size=1)
    wait_until(lambda: db.value("SELECT count(*) FROM backfill_candidates WHERE state = 'resolved'") >= 2, 30, "two resolved")
    d.kill9()
    before = db.rows("SELECT id, isbn13 FROM backfill_candidates WHERE state = 'resolved'")
    ids = db.column("SELECT id FROM backfill_candidates ORDER BY id")
    asked = sandbox.counters("isbndb")["requests"]
    latency(sandbox, ["isbndb"], 0)
    d.restart()
    wait_done(db, 2024, 12)
    assert db.column("SELECT id FROM backfill_candidates ORDER BY id") == ids
    after = {r["id"]: r["isbn13"] for r in db.rows("SELECT id, isbn13 FROM backfill_candidates")}
    assert all(after[r["id"]] == r["isbn13"] for r in before)
    assert {c["by_month"]["2024-12"] for c in map(sandbox.counters, AIS)} == {1}
    # at most the last second's are asked again: 2 at once, 400 ms each
    assert sandbox.counters("isbndb")["requests"] - asked <= len(ids) - len(before) + 1


def test_killed_before_its_turn(daemon, db, sandbox):
    """Months claimed and waiting when their daemon is killed are taken up again and run, each once."""
    latency(sandbox, AIS, 1000)
    d = daemon(ALONE)
    d.seed(2024, 2024)
    d.schedule(batch_size=3)
    wait_row(db, 2024, 12, stage="generating")
    d.kill9()
    latency(sandbox, AIS, 0)
    d.restart()
    wait_until(lambda: db.statuses().get("completed") == 3, 60, "three months")
    for month in (10, 11):
        assert sandbox.counters("gemini")["by_month"][f"2024-{month}"] == 1


def test_the_dead_owners_months_are_rescued_in_seconds(daemon, db, sandbox):
    """Two daemons, one killed: the other takes its months up within 10 s, at their stage, and completes them."""
    latency(sandbox, AIS, 60000)
    one, two = daemon(FEW), daemon(FEW)
    one.seed(2024, 2024)
    one.schedule(batch_size=2)
    wait_row(db, 2024, 12, stage="generating", owner=one.instance)
    wait_row(db, 2024, 11, stage="generating", owner=one.instance)
    latency(sandbox, AIS, 0)
    one.kill9()
    killed = time.monotonic()
    wait_until(lambda: {db.month(2024, m)["owner"] for m in (11, 12)} == {two.instance}, 30, "the new owner")
    assert time.monotonic() - killed <= 12
    for month in (11, 12):
        assert wait_done(db, 2024, month)["retry_count"] == 0


def test_a_month_that_stands_still_is_taken_from_its_living_owner(daemon, db, sandbox):
    """Without stored progress for stuck_after the month changes hands although its owner has the lock; who loses it
    writes nothing."""
    latency(sandbox, AIS, 60000)
    one = daemon({**FEW, "scheduler": {"stuck_after": "1h"}})
    two = daemon({**FEW, "scheduler": {"stuck_after": "1h"}})
    one.seed(2024, 2024)
    one.schedule(batch_size=1)
    wait_row(db, 2024, 12, stage="generating", owner=one.instance)
    wait_until(lambda: sandbox.counters("xai")["in_flight"] == 1, 30, "the request sent")
    one.send(signal.SIGSTOP)
    latency(sandbox, AIS, 0)
    db.execute("UPDATE backfill_log SET progressed_at = now() - interval '2 h' WHERE month = 12")
    row = wait_done(db, 2024, 12)
    rescued = [e for e in events(db, 2024, 12) if e["event"] == "rescued"]
    assert len(rescued) == 1 and rescued[0]["detail"]["stuck"] is True and rescued[0]["instance"] == two.instance
    one.send(signal.SIGCONT)
    wait_until(lambda: one.metrics()["backfill_months_held"] == 0, 30, "the loser let go")
    assert db.month(2024, 12) == row
    assert one.metrics()["backfill_months_held"] == 0


def test_whoever_changes_the_row_by_hand_wins(daemon, db, sandbox):
    """A row set back to pending in SQL while in flight stays so: the owner drops the month and writes nothing more."""
    latency(sandbox, AIS, 1000)
    d = daemon(FEW)
    d.seed(2024, 2024)
    d.schedule(batch_size=1)
    wait_row(db, 2024, 12, stage="generating")
    db.execute("UPDATE backfill_log SET status = 'pending', stage = NULL, owner = NULL, owner_id = NULL WHERE month = 12")
    wait_until(lambda: d.metrics()["backfill_months_held"] == 0, 30, "the month let go of")
    assert db.month(2024, 12)["status"] == "pending"
    assert db.value("SELECT count(*) FROM backfill_candidates") == 0
    d.schedule(batch_size=1)
    wait_done(db, 2024, 12)


# ---- draining ----
def test_a_drain_awaits_what_is_paid_for(daemon, db, sandbox):
    """SIGTERM amid AI requests that outlast drain_timeout: both answers are stored, the month goes back without an
    attempt, exit 0."""
    latency(sandbox, AIS, 2500)
    d = daemon({**FEW, "daemon": {"drain_timeout": "1s"}})
    d.seed(2024, 2024)
    d.schedule(batch_size=1)
    wait_until(lambda: all(sandbox.counters(ai)["in_flight"] == 1 for ai in AIS), 30, "both requests sent")
    assert d.stop() == 0
    row = db.month(2024, 12)
    assert (row["status"], row["stage"], row["retry_count"], row["owner"]) == ("pending", "generating", 0, None)
    assert set(answers(db, 2024, 12)) == set(AIS)
    latency(sandbox, AIS, 0)
    d.restart()
    d.schedule(batch_size=1)
    wait_done(db, 2024, 12)
    assert {sandbox.counters(ai)["by_month"]["2024-12"] for ai in AIS} == {1}


def test_a_drain_does_not_wait_for_a_rest(daemon, db, sandbox):
    """SIGTERM while both AIs have asked for a minute's patience: nothing is under way, so the month is released at once."""
    faults(sandbox, AIS, _429_minute=1.0)
    d = daemon({**FEW, "daemon": {"drain_timeout": "1s"}})
    d.seed(2024, 2024)
    d.schedule(batch_size=1)
    wait_until(lambda: all(sandbox.counters(ai)["by_status"].get("429") for ai in AIS), 30, "both refused")
    assert d.stop(timeout=20) == 0
    row = db.month(2024, 12)
    assert (row["status"], row["retry_count"], row["owner"]) == ("pending", 0, None)


def test_a_drain_gives_back_what_has_not_begun(daemon, db, sandbox):
    """Months that wait their turn go back to where they were claimed from, due now, at no cost."""
    latency(sandbox, AIS, 1000)
    d = daemon(ALONE)
    d.seed(2024, 2024)
    db.execute("UPDATE backfill_log SET status = 'retry', retry_count = 3, stage = 'generating', round = 2 WHERE month = 11")
    d.schedule(batch_size=3)
    wait_row(db, 2024, 12, stage="generating")
    assert d.stop() == 0
    waiting = {m: db.month(2024, m) for m in (10, 11)}
    assert (waiting[10]["status"], waiting[10]["retry_count"]) == ("pending", 0)
    assert (waiting[11]["status"], waiting[11]["retry_count"], waiting[11]["round"]) == ("retry", 3, 2)
    assert waiting[11]["next_attempt_at"] is not None
    assert "2024-11" not in sandbox.counters("gemini")["by_month"] and "2024-10" not in sandbox.counters("gemini")["by_month"]


def test_a_drain_amid_look_ups(daemon, db, sandbox):
    """SIGTERM while resolving: released at that stage with what was found; started again it goes on there and completes."""
    latency(sandbox, SEARCHERS, 700)
    d = daemon({**FEW, "resolution": {"concurrent_books": 1}})
    d.seed(2024, 2024)
    d.schedule(batch_size=1)
    wait_until(lambda: db.value("SELECT count(*) FROM backfill_candidates WHERE state = 'resolved'") >= 1, 30, "one resolved")
    assert d.stop() == 0
    row = db.month(2024, 12)
    assert (row["status"], row["stage"], row["retry_count"]) == ("pending", "resolving", 0)
    found = db.value("SELECT count(*) FROM backfill_candidates WHERE state = 'resolved'")
    assert 1 <= found < db.value("SELECT count(*) FROM backfill_candidates")
    latency(sandbox, SEARCHERS, 0)
    d.restart()
    d.schedule(batch_size=1)
    assert wait_done(db, 2024, 12)["isbns_resolved"] >= found
    assert {sandbox.counters(ai)["by_month"]["2024-12"] for ai in AIS} == {1}


def test_a_second_signal_ends_at_once(daemon, db, sandbox):
    """SIGTERM twice: the process goes although an AI still thinks; the next one takes the month up and completes it."""
    latency(sandbox, AIS, 60000)
    d = daemon({**FEW, "provider.gemini": {"timeout": "120s"}, "provider.xai": {"timeout": "120s"}})
    d.seed(2024, 2024)
    d.schedule(batch_size=1)
    wait_until(lambda: sandbox.counters("gemini")["in_flight"] == 1, 30, "the request sent")
    d.term()
    d.wait_log("draining")
    assert d.running
    d.term()
    assert d.wait(10) != -signal.SIGKILL
    assert db.month(2024, 12)["status"] == "processing"
    latency(sandbox, AIS, 0)
    d.restart()
    wait_done(db, 2024, 12)


# ---- pausing ----
def test_paused_nothing_is_retried_or_rescued(daemon, db, sandbox):
    """While paused due retries and orphans stay where they are and what is in flight ends; resumed, all of them complete."""
    latency(sandbox, AIS, 1500)
    d = daemon(FEW)
    d.seed(2024, 2024)
    d.schedule(batch_size=1)
    wait_row(db, 2024, 12, stage="generating")
    assert d.post("/api/internal/pause", {"note": "later"}).status == 200
    db.execute("UPDATE backfill_log SET status = 'retry', next_attempt_at = now() WHERE month = 11")
    db.execute("UPDATE backfill_log SET status = 'processing', job_id = gen_random_uuid(), started_at = now(), progressed_at = now(),"
               " fence = 1, owner = 'gone' WHERE month = 10")
    wait_done(db, 2024, 12)
    time.sleep(7)       # two pulses and a second look
    assert (db.month(2024, 11)["status"], db.month(2024, 10)["owner"]) == ("retry", "gone")
    assert d.post("/api/internal/resume").status == 200
    for month in (10, 11):
        wait_done(db, 2024, month)


# ---- operators ----
def test_retry_by_an_operator(daemon, db):
    """A month failed five times gets one more attempt and, with the cause gone, completes."""
    d = daemon(FEW)
    d.seed(2024, 2024)
    db.execute("UPDATE backfill_log SET status = 'failed', retry_count = 5, started_at = now(), completed_at = now() WHERE month = 3")
    assert d.post("/api/internal/months/2024/3/retry").json["retry_count"] == 4
    assert wait_done(db, 2024, 3)["retry_count"] == 4


def test_reset_by_an_operator(daemon, db, sandbox):
    """Reset drops answers, candidates and figures, keeps works and cache; the next run buys the answers anew but no
    look-up."""
    d = daemon(FEW)
    d.seed(2024, 2024)
    d.schedule(batch_size=1)
    first = wait_done(db, 2024, 12)
    works = db.value("SELECT count(*) FROM enriched_works")
    wait_until(lambda: db.value("SELECT count(*) FROM isbn_resolutions") > 0, 30, "the cache")
    time.sleep(1.2)     # what the last look-ups left is written within a second
    asked = sandbox.counters("isbndb")["requests"]
    answer = d.post("/api/internal/months/2024/12/reset")
    assert (answer.status, answer.json["status"]) == (200, "pending")
    row = db.month(2024, 12)
    assert (row["books_generated"], row["gemini_calls"], row["isbndb_calls"]) == (0, 0, 0)
    assert row["resolution_rate"] is row["stage"] is None
    assert not answers(db, 2024, 12) and not db.value("SELECT count(*) FROM backfill_candidates")
    assert db.value("SELECT count(*) FROM enriched_works") == works
    d.schedule(batch_size=1)
    again = wait_done(db, 2024, 12)
    assert (again["books_generated"], again["isbns_resolved"]) == (first["books_generated"], first["isbns_resolved"])
    assert sandbox.counters("gemini")["by_month"]["2024-12"] == 2
    assert sandbox.counters("isbndb")["requests"] == asked and again["isbndb_calls"] == 0
    assert db.value("SELECT count(*) FROM enriched_works") == works


def test_a_cancelled_month_stays_cancelled(daemon, db, sandbox):
    """Cancel from retry and in flight: failed, count unchanged, and late answers change nothing; its job says so."""
    latency(sandbox, AIS, 1000)
    d = daemon(FEW)
    job = harvest(d, year=2024, month=5)["job_id"]
    wait_row(db, 2024, 5, stage="generating")
    assert d.post("/api/internal/months/2024/5/cancel").json["error_message"] == "cancelled"
    row = db.month(2024, 5)
    wait_until(lambda: all(sandbox.counters(ai)["in_flight"] == 0 for ai in AIS), 30, "the answers")
    wait_until(lambda: d.metrics()["backfill_months_held"] == 0, 30, "the month let go of")
    assert wait_job(d, job)["error"] == "cancelled"
    now = db.month(2024, 5)
    assert all(now[k] == row[k] for k in ("status", "retry_count", "completed_at"))
    assert not db.value("SELECT count(*) FROM backfill_candidates")


# ---- harvest ----
def test_harvest_of_an_unseeded_and_of_a_failed_month(daemon, db):
    """A month without a row gets one; a failed one runs whatever its count; the job ends complete with the row's figures."""
    d = daemon(FEW)
    d.seed(2023, 2023)
    db.execute("UPDATE backfill_log SET status = 'failed', retry_count = 5, started_at = now(), completed_at = now() WHERE month = 4")
    for year, month in ((2011, 7), (2023, 4)):
        job = wait_job(d, harvest(d, year=year, month=month)["job_id"])
        row = db.month(year, month)
        assert (job["status"], row["status"]) == ("complete", "completed")
        stats = job["stats"]
        assert (stats["books_generated"], stats["isbns_resolved"], stats["gemini_calls"], stats["xai_calls"], stats["isbndb_calls"]) == \
            (row["books_generated"], row["isbns_resolved"], row["gemini_calls"], row["xai_calls"], row["isbndb_calls"])
        assert stats["isbn_resolution_rate"] == float(row["resolution_rate"])
        assert job["duration_ms"] >= 0 and job["error"] is None
    assert db.month(2011, 7)["prompt_variant"] == "baseline"


def test_harvest_of_the_next_month_in_order(daemon, db):
    """Without year and month it is the newest pending month within the configured years; none left is 409."""
    d = daemon(FEW)
    d.seed(2023, 2023)
    db.execute("DELETE FROM backfill_log WHERE month NOT IN (3, 9)")
    assert harvest(d)["month"] == 9
    assert harvest(d)["month"] == 3
    assert d.post("/api/harvest/backfill").status == 409
    wait_until(lambda: db.statuses() == {"completed": 2}, 60, "both")


def test_harvest_of_a_month_in_flight_or_done(daemon, db, sandbox):
    """409 while in flight, 409 when completed, and nothing is spent for asking."""
    latency(sandbox, AIS, 1000)
    d = daemon({**FEW, **MONTHS_ALONE})
    harvest(d, year=2024, month=2)
    answer = d.post("/api/harvest/backfill", {"year": 2024, "month": 2})
    assert answer.status == 409 and "in flight" in answer.json["error"]
    wait_done(db, 2024, 2)
    spent = sandbox.counters()["providers"]
    answer = d.post("/api/harvest/backfill", {"year": 2024, "month": 2})
    assert answer.status == 409 and "completed" in answer.json["error"]
    assert d.schedule(batch_size=5)["months_selected"] == 0
    assert {p: c["requests"] for p, c in sandbox.counters()["providers"].items()} == {p: c["requests"] for p, c in spent.items()}


def test_a_dry_harvest_writes_nothing_about_month_or_books(daemon, db, sandbox):
    """It asks, resolves, tells its figures and spends real quota; rows, candidates, works, queue and events stay as
    they were."""
    d = daemon({**MONTHS_ALONE, **FEW})     # no consumer has work meanwhile
    d.seed(2024, 2024)
    d.schedule(batch_size=1)
    wait_done(db, 2024, 12)
    wait_until(lambda: d.metrics()["backfill_months_held"] == 0, 30, "the end")
    tables = ("backfill_log", "backfill_answers", "backfill_candidates", "backfill_events", "enriched_works", "enriched_editions",
              "enriched_authors", "work_authors_enriched", "enrichment_queue")

    def digest():
        return {t: db.value(f"SELECT md5(coalesce(string_agg(x::text, '|' ORDER BY x::text), '')) FROM {t} AS x") for t in tables}
    before = digest()
    for year, month in ((2024, 11), (2024, 12), (2010, 1)):     # pending, completed, without a row
        sandbox.reset()
        job = wait_job(d, harvest(d, year=year, month=month, dry_run=True)["job_id"])
        assert job["status"] == "complete" and "quota was spent" in job["progress"]
        assert job["stats"]["books_generated"] > 0
        counters = sandbox.counters()
        assert (job["stats"]["gemini_calls"], job["stats"]["xai_calls"]) == (1, 1) == (
            counters["gemini"]["requests"], counters["xai"]["requests"])
        assert job["stats"]["isbndb_calls"] == counters["isbndb"]["requests"]
        assert job["stats"]["total_api_calls"] == sum(c["requests"] for c in counters["providers"].values())
    assert digest() == before
    assert db.month(2010, 1) is None


def test_a_dry_harvest_does_not_survive_a_restart(daemon, db, sandbox):
    """Killed amid a dry run: the job is failed with `daemon restarted`, and the month is as it was."""
    latency(sandbox, AIS, 60000)
    d = daemon(FEW)
    d.seed(2024, 2024)
    job = harvest(d, year=2024, month=1, dry_run=True)["job_id"]
    wait_until(lambda: sandbox.counters("xai")["in_flight"] == 1, 30, "the request sent")
    d.kill9()
    latency(sandbox, AIS, 0)
    d.restart()
    job = wait_job(d, job)
    assert (job["status"], job["error"]) == ("failed", "daemon restarted")
    assert db.month(2024, 1)["status"] == "pending"


def test_a_jobs_own_settings(daemon, db):
    """prompt_variant, model_override and batch_size of a job are those of its requests; the row keeps its own."""
    d = daemon()
    d.seed(2024, 2024)
    job = harvest(d, year=2024, month=6, prompt_variant="era-contextualized", model_override="grok-4.3", batch_size=2,
                  experiment_id="e1")["job_id"]
    assert wait_job(d, job)["status"] == "complete"
    row, said = db.month(2024, 6), answers(db, 2024, 6)
    assert (row["prompt_variant"], row["batch_size"]) == ("contemporary-notable", 20) and row["books_generated"] <= 4
    assert {a["variant"] for a in said.values()} == {"era-contextualized"}
    assert said["xai"]["model"].startswith("grok-4.3")
    assert db.value("SELECT experiment_id FROM backfill_jobs") == "e1"


def test_a_jobs_model_that_nobody_knows(daemon, db):
    """A model_override that its provider does not know costs that provider in this job, not its place in the others."""
    d = daemon(FEW)
    d.seed(2024, 2024)
    job = harvest(d, year=2024, month=6, model_override="gemini-9-retired")["job_id"]
    assert wait_job(d, job)["status"] == "complete"
    assert set(answers(db, 2024, 6)) == {"xai"}
    assert wait_job(d, harvest(d, year=2024, month=5)["job_id"])["status"] == "complete"
    assert set(answers(db, 2024, 5)) == set(AIS)


@pytest.mark.parametrize("limit", [1, 3])
def test_a_jobs_max_quota(daemon, db, sandbox, limit):
    """The job makes no more paid look-ups than it may, retries included, and completes with the free providers."""
    faults(sandbox, ["isbndb"], attempts=1, _500=0.5)
    d = daemon({**FEW, **MONTHS_ALONE})
    job = wait_job(d, harvest(d, year=2024, month=6, max_quota=limit)["job_id"])
    assert job["status"] == "complete"
    assert sandbox.counters("isbndb")["requests"] <= limit
    assert job["stats"]["isbndb_calls"] == sandbox.counters("isbndb")["requests"] == db.month(2024, 6)["isbndb_calls"]


def test_job_status_over_a_retry(daemon, db, sandbox):
    """A job whose month waits for its next attempt is queued with the error; the same job completes at last."""
    faults(sandbox, AIS, empty=1.0)
    d = daemon({**FEW, "scheduler": {"retry_base": "3s"}})
    job = harvest(d, year=2024, month=6)["job_id"]
    wait_row(db, 2024, 6, status="retry")
    status = d.get(f"/api/harvest/backfill/status/{job}").json
    assert status["status"] == "queued" and "no provider named a book" in status["error"]
    faults(sandbox, AIS)
    done = wait_job(d, job)
    assert done["status"] == "complete" and done["error"] is None
    assert db.month(2024, 6)["retry_count"] == 1


# ---- the database ----
def test_every_session_ended_mid_run(daemon, db, sandbox):
    """pg_terminate_backend of all the daemon's sessions, three times during a run: all complete, nothing bought twice."""
    latency(sandbox, AIS, 300)
    latency(sandbox, SEARCHERS, 50)
    d = daemon({**FEW, **MONTHS_ALONE})
    d.seed(2024, 2024)
    d.schedule(batch_size=8)
    for _ in range(3):
        time.sleep(0.5)
        db.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND"
                " application_name LIKE 'backfilld%'")
    wait_until(lambda: db.statuses().get("completed") == 8, 90, "8 months completed")
    assert d.running
    assert db.value("SELECT max(retry_count) FROM backfill_log") == 0
    for ai in AIS:
        assert sandbox.counters(ai)["requests"] == db.value(f"SELECT sum({ai}_calls) FROM backfill_log")
        assert db.value("SELECT count(*) FROM backfill_answers WHERE provider = %s", ai) == 8
    assert sandbox.counters("isbndb")["requests"] == db.value("SELECT sum(isbndb_calls) FROM backfill_log")
    assert db.value("SELECT count(*) FROM (SELECT 1 FROM backfill_candidates GROUP BY year, month, title_key, author_key"
                    " HAVING count(*) > 1) AS d") == 0


@pytest.mark.slow
def test_the_cluster_crashes_under_two_daemons(daemon, own_pg, sandbox):
    """The whole cluster crashes amid two daemons' months and comes back: all complete, each once, nothing counted too low."""
    latency(sandbox, AIS, 400)
    database = own_pg.database()
    database.execute(f"ALTER DATABASE \"{database.name}\" SET synchronous_commit = on")      # the throw-away cluster has it off
    one = daemon(FEW, conninfo=database.conninfo, migrate=False, start=False)
    two = daemon(FEW, conninfo=database.conninfo, migrate=False, start=False)
    one.migrate()
    for d in (one, two):
        d.start().wait_ready()
    one.seed(2024, 2024)
    one.schedule(batch_size=4)
    two.schedule(batch_size=4)
    wait_until(lambda: sandbox.counters("gemini")["requests"] >= 2, 30, "work")
    database.close()
    own_pg.kill()
    time.sleep(1)
    own_pg.start()
    wait_until(lambda: one.get("/readyz", secret=None).status == two.get("/readyz", secret=None).status == 200, 60, "ready")
    wait_until(lambda: database.statuses().get("completed") == 8, 90, "8 months completed")
    assert database.value("SELECT max(retry_count) FROM backfill_log") == 0
    for ai in AIS:
        assert database.value(f"SELECT sum({ai}_calls) FROM backfill_log") >= sandbox.counters(ai)["requests"]
        assert database.value("SELECT count(*) FROM backfill_answers WHERE provider = %s", ai) == 8
    assert database.value("SELECT count(*) FROM backfill_events WHERE to_stage = 'completed'") == 8
    for d in (one, two):
        d.stop()
    database.close()
