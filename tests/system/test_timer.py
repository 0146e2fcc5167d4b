"""The built-in timers: run at their time, once over all instances, caught up once after downtime, throttled by the quota."""
import re

import pytest
from stand import wait_until
from steps import AIS, FEW, coverage, latency, wait_done, wait_row

DAILY = {"schedule": "0 3 * * *", "catch_up": "once", "batch_size": 2}


def missed(db, days=3, name="schedule"):
    """The timer last ran days ago."""
    db.execute("INSERT INTO backfill_timers AS t (name, last_run) VALUES (%s, now() - %s * interval '1 day')"
               " ON CONFLICT (name) DO UPDATE SET last_run = excluded.last_run", name, days)


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


# ---- the second timer ----
# Nobody consumes the queue here, so that what the timer queued stays to be seen.
ENHANCE = {**FEW, "scheduler": {"schedule": "", "catch_up": "once"}, "enrichment": {"enabled": "false"},
           "enhancement": {"schedule": "0 3 * * *", "batch": 3}}
QUEUED = "synthetic works queued to be tried again"


@pytest.fixture
def unfound(daemon, db, sandbox):
    """The keys of synthetic works that no provider had an ISBN for, oldest first: one of each of the last days."""
    coverage(sandbox, 0)
    d = daemon({**ENHANCE, "enhancement": {"schedule": ""}})
    d.seed(2024, 2024)
    d.schedule(batch_size=1)
    wait_done(db, 2024, 12)
    d.stop()
    # the order of age is another than that of keys and of storing
    db.execute("UPDATE enriched_works w SET created_at = now() - o.n * interval '1 day' FROM (SELECT work_key,"
               " row_number() OVER (ORDER BY md5(work_key || 'age')) AS n FROM enriched_works) AS o"
               " WHERE o.work_key = w.work_key")
    keys = db.column("SELECT work_key FROM enriched_works WHERE synthetic ORDER BY created_at")
    assert len(keys) > 6
    return keys


def works_queued(db):
    """The keys of the works in the queue."""
    return db.column("SELECT entity_key FROM enrichment_queue WHERE entity_type = 'work' AND queued_by = 'backfilld'")


def a_night(db, d):
    """The daemon starts after its hour was missed and ends again when the run is done; how many works that queued."""
    missed(db, name="enhancement")
    done = d.log.count(QUEUED)
    d.start().wait_ready()
    wait_until(lambda: d.log.count(QUEUED) > done, 30, "the run")
    d.stop()
    return int(d.log.rsplit(QUEUED, 1)[1].split("works=", 1)[1].split()[0])


def test_the_enhancement_queues_the_oldest_works(daemon, db, unfound):
    """A run queues at most `batch` works, the oldest first, each with the attempts that the configuration allows."""
    d = daemon({**ENHANCE, "enrichment": {"enabled": "false", "max_attempts": 7}}, start=False)
    assert a_night(db, d) == 3
    assert set(works_queued(db)) == set(unfound[:3])
    assert db.rows("SELECT DISTINCT status, retry_count, max_retries FROM enrichment_queue WHERE entity_type = 'work'") == [
        {"status": "pending", "retry_count": 0, "max_retries": 7}]


def test_the_enhancement_is_caught_up_once(daemon, db, unfound):
    """Down over three nights: one run at the start, not three; a restart catches up nothing more, nor does catch_up = none."""
    d = daemon(ENHANCE, start=False)
    assert a_night(db, d) == 3
    assert 'a timer run was missed while down: caught up once" timer=enhancement' in d.log
    d.restart()
    settle(d)
    d.stop()
    missed(db, name="enhancement")
    d.write_ini({"scheduler": {"catch_up": "none"}})
    d.restart()
    settle(d)
    with pytest.raises(TimeoutError):
        wait_until(lambda: d.log.count(QUEUED) > 1, 2, "a second run")
    assert set(works_queued(db)) == set(unfound[:3])


def test_the_first_start_ever_enhances_nothing(daemon, db, unfound):
    """A database that never saw the timer owes it nothing, but knows it from then on."""
    d = daemon(ENHANCE)
    wait_until(lambda: db.value("SELECT count(*) FROM backfill_timers WHERE name = 'enhancement'"), 30, "the timer's row")
    settle(d)
    assert unfound and works_queued(db) == []


def test_each_work_is_tried_once_a_week(daemon, db, unfound):
    """Night after night come the works that were not tried yet, none twice within seven days; after that all come again."""
    d = daemon({**ENHANCE, "enhancement": {"schedule": "0 3 * * *", "batch": 4}}, start=False)
    nights = []
    while (n := a_night(db, d)) > 0 and len(nights) < 10:
        nights.append(n)
        # tried in vain meanwhile, as the consumer would leave it
        db.execute("UPDATE enrichment_queue SET status = 'completed', completed_at = now() WHERE entity_type = 'work'")
    assert nights == [4] * (len(unfound) // 4) + ([len(unfound) % 4] if len(unfound) % 4 else [])
    assert set(works_queued(db)) == set(unfound)
    long_ago(db, "6 days 23 hours")
    assert a_night(db, d) == 0
    long_ago(db, "1 hour 1 minute")
    assert a_night(db, d) == 4


def long_ago(db, how_long):
    """Everything the database knows of earlier enhancements happened so much earlier."""
    db.execute("UPDATE enrichment_queue SET created_at = created_at - %s::interval, started_at = started_at - %s::interval,"
               " completed_at = completed_at - %s::interval WHERE entity_type = 'work'", how_long, how_long, how_long)
    db.execute("UPDATE enrichment_log SET created_at = created_at - %s::interval WHERE entity_type = 'work'", how_long)


def test_only_synthetic_works_are_enhanced(daemon, db, unfound):
    """A work that has become real, one that has an edition and one whose book's ISBN is known by now are left alone."""
    real, found, resolved = unfound[:3]
    db.execute("UPDATE enriched_works SET synthetic = false WHERE work_key = %s", real)
    db.execute("INSERT INTO enriched_editions (isbn, work_key) VALUES ('9780306406157', %s)", found)
    assert db.execute("UPDATE backfill_candidates SET state = 'resolved', isbn13 = '9780306406157' WHERE work_key = %s", resolved)
    assert a_night(db, daemon({**ENHANCE, "enhancement": {"schedule": "0 3 * * *", "batch": 1000}}, start=False)) > 0
    assert set(works_queued(db)) == set(unfound[3:])


def test_paused_works_are_queued_nevertheless(daemon, db, unfound):
    """A pause holds the consumer of the queue, not its filling; nor does it matter that no AI can be asked."""
    assert db.execute("UPDATE backfill_control SET paused = true, note = 'holidays'") == 1
    d = daemon(ENHANCE, env={"GEMINI_API_KEY": None, "XAI_API_KEY": None}, start=False)
    missed(db, name="enhancement")
    d.start()
    d.wait_log(QUEUED + '" works=3')
    assert set(works_queued(db)) == set(unfound[:3])


def test_two_daemons_enhance_once_together(daemon, db, unfound):
    """Two that start at the same moment after downtime queue one batch, not two."""
    one, two = daemon(ENHANCE, start=False), daemon(ENHANCE, start=False)
    missed(db, name="enhancement")
    one.start()
    two.start()
    for d in (one, two):
        d.wait_ready()
        settle(d)
    wait_until(lambda: QUEUED in one.log + two.log, 30, "the run")
    for d in (one, two):
        d.stop()
    assert (one.log + two.log).count(QUEUED) == 1
    assert set(works_queued(db)) == set(unfound[:3])


@pytest.mark.slow
def test_two_daemons_fire_the_enhancement_at_its_minute(daemon, db, unfound):
    """Every minute, two daemons: each minute's run is done once; a reload without a schedule ends that."""
    ini = {**ENHANCE, "enhancement": {"schedule": "* * * * *", "batch": 3}}
    one, two = daemon(ini), daemon(ini)
    wait_until(lambda: "timer run is another instance's" in one.log + two.log, 150, "a minute that both looked at")
    for d in (one, two):
        d.write_ini({"enhancement": {"schedule": ""}})
        d.hup()
        d.wait_log("configuration reloaded")
    for d in (one, two):
        d.stop()
    # the first minute may have come before both were there, hence a run more
    runs = re.findall(rf"ts=(\S{{16}}).*{QUEUED}", one.log + two.log)
    assert len(runs) == len(set(runs)) > 0
    assert set(works_queued(db)) == set(unfound[:3 * len(runs)])
