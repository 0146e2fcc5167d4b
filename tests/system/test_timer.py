"""The built-in timer: runs at its time, once over all instances, caught up once after downtime, throttled by the quota."""
import pytest
from stand import wait_until
from steps import AIS, FEW, latency, wait_row

DAILY = {"schedule": "0 3 * * *", "catch_up": "once", "batch_size": 2}


def missed(db, days=3):
    """The timer last ran days ago."""
    db.execute("INSERT INTO backfill_timers (name, last_run) VALUES ('schedule', now() - %s * interval '1 day')", days)


def claims(db):
    return db.value("SELECT count(*) FROM backfill_events WHERE event = 'claimed'")


def prepared(daemon, ini, **kwargs):
    """A daemon whose database is migrated and seeded before it starts."""
    first = daemon({**FEW, "scheduler": {"schedule": ""}})
    first.seed(2023, 2024)
    first.stop()
    return daemon({**FEW, **ini}, start=False, **kwargs)


def settle(d):
    """Until the daemon has decided what to catch up."""
    d.wait_log("instance registered")
    wait_until(lambda: d.metrics().get("backfill_loop_lag_seconds_count", 0) > 0, 30, "a turn of the loop")


def test_a_missed_run_is_caught_up_once(daemon, db):
    """Down over three runs: one run of batch_size months at start, not three; a restart catches up nothing more."""
    d = prepared(daemon, {"scheduler": DAILY})
    missed(db)
    d.start().wait_ready()
    wait_until(lambda: db.statuses().get("completed") == 2, 60, "the caught-up run")
    assert "a timer run was missed" in d.log
    d.stop()
    d.restart()
    settle(d)
    assert claims(db) == 2
    assert db.value("SELECT last_run > now() - interval '1 day 1 minute' FROM backfill_timers WHERE name = 'schedule'")


def test_without_catch_up_nothing_is_made_up_for(daemon, db):
    """catch_up = none: a missed run stays missed."""
    d = prepared(daemon, {"scheduler": {**DAILY, "catch_up": "none"}})
    missed(db)
    d.start().wait_ready()
    settle(d)
    with pytest.raises(TimeoutError):
        wait_until(lambda: claims(db), 2, "a run")


def test_the_first_start_ever_runs_nothing(daemon, db):
    """A database that never saw the timer owes it nothing."""
    d = prepared(daemon, {"scheduler": DAILY})
    d.start().wait_ready()
    wait_until(lambda: db.value("SELECT count(*) FROM backfill_timers WHERE name = 'schedule'"), 30, "the timer's row")
    assert claims(db) == 0


def test_two_daemons_catch_up_once_together(daemon, db):
    """Two that start at the same moment after downtime: one run, not two."""
    one = prepared(daemon, {"scheduler": DAILY})
    two = daemon({**FEW, "scheduler": DAILY}, start=False)
    missed(db)
    one.start()
    two.start()
    one.wait_ready()
    two.wait_ready()
    wait_until(lambda: db.statuses().get("completed") == 2, 60, "the caught-up run")
    settle(one)
    settle(two)
    assert claims(db) == 2


@pytest.mark.parametrize("used,months", [(0, 20), (7900, 20), (9000, 10), (9600, 4), (10000, 1)])
def test_the_quota_throttles_the_timer(daemon, db, sandbox, used, months):
    """Past 80 % of the safety limit a run claims max(1, batch_size * (100 - p) / 20) months, even the first after a start."""
    latency(sandbox, AIS, 60000)
    d = prepared(daemon, {"scheduler": {**DAILY, "batch_size": 20}, "daemon": {"drain_timeout": "1s"},
                          "provider.isbndb": {"daily_limit": 12000, "reserve": 2000}})
    missed(db)
    db.execute("INSERT INTO api_quota (provider, day, used, daily_limit, reserve) VALUES ('isbndb',"
               " backfill_provider_day('isbndb', now()), %s, 12000, 2000)", used)
    d.start().wait_ready()
    wait_until(lambda: claims(db), 30, "the run")
    assert claims(db) == months
    d.kill9()       # nobody waits for the answers


def test_paused_the_timer_claims_nothing(daemon, db):
    """A run that falls into a pause is missed, not an error."""
    d = prepared(daemon, {"scheduler": DAILY})
    missed(db)
    db.execute("UPDATE backfill_control SET paused = true, note = 'holidays'")
    d.start().wait_ready()
    d.wait_log("timer run claimed nothing.*holidays")
    assert claims(db) == 0


def test_only_the_configured_years(daemon, db):
    """The timer picks the newest months within year_start and year_end."""
    d = prepared(daemon, {"scheduler": {**DAILY, "year_start": 2023, "year_end": 2023}})
    missed(db)
    d.start().wait_ready()
    wait_until(lambda: db.statuses().get("completed") == 2, 60, "the run")
    assert db.rows("SELECT year, month FROM backfill_log WHERE status = 'completed' ORDER BY month") == [
        {"year": 2023, "month": 11}, {"year": 2023, "month": 12}]


@pytest.mark.slow
def test_two_daemons_fire_once_together(daemon, db):
    """Every minute, two daemons: each minute's run claims batch_size months once; switched off by a reload, it ends."""
    ini = {**FEW, "scheduler": {"schedule": "* * * * *", "batch_size": 3}}
    one, two = daemon(ini), daemon(ini)
    one.seed(2023, 2024)
    wait_until(lambda: claims(db), 75, "the minute")
    wait_until(lambda: (one.log + two.log).count("timer run is another instance's"), 15, "the other one's look")
    assert claims(db) == 3
    assert (one.log + two.log).count('msg="timer run" months=3') == 1
    wait_row(db, 2024, 12, status="completed")
    for d in (one, two):
        d.write_ini({"scheduler": {"schedule": ""}})
        d.hup()
        d.wait_log("configuration reloaded")


def test_a_schedule_changed_by_a_reload(daemon):
    """The next run that the metrics tell is that of the new expression after SIGHUP."""
    d = daemon({"scheduler": {"schedule": "0 3 1 1 *"}})
    before = d.metrics().get("backfill_next_run_timestamp_seconds")
    d.write_ini({"scheduler": {"schedule": "0 4 1 1 *"}})
    d.hup()
    d.wait_log("configuration reloaded")
    after = d.metrics().get("backfill_next_run_timestamp_seconds")
    assert after != before
