"""Promises broken on purpose, by SQL behind the product's back: each of these must be found, or the judge is blind."""
import time

from stand import wait_until
from steps import answers, latency

MONTH_LOCK = 1112949069


def one_daemon(run, ends_within=60):
    """A daemon at work; the run ends at the latest after so many seconds."""
    run.open()
    run.ends_within = ends_within
    d = run.daemon()
    run.begin()
    run.fault("sabotage", costly=False)
    return d


def a_month_lost(run):
    """a completed month's row deleted"""
    one_daemon(run)
    run.wait_end()
    run.ends_within = 1
    run.db.execute("DELETE FROM backfill_log WHERE year = 2024 AND month = 6")


def a_month_twice(run):
    """a completed month set back, so that it completes again"""
    one_daemon(run)
    run.wait_end()
    run.db.execute("UPDATE backfill_log SET status = 'pending', stage = NULL, completed_at = NULL WHERE year = 2024 AND month = 6")


def an_answer_twice(run):
    """a stored answer deleted while its month's owner is dead, so that it is bought again"""
    d = one_daemon(run)
    latency(run.sandbox, ["xai"], 4000)

    def half():
        return next(((r["year"], r["month"]) for r in run.db.rows("SELECT year, month FROM backfill_log WHERE stage = 'generating'")
                     if set(answers(run.db, r["year"], r["month"])) == {"gemini"}), None)
    year, month = wait_until(half, 30, "one answer stored, the other under way", every=0.02)
    run.kill(d)
    run.db.execute("DELETE FROM backfill_answers WHERE year = %s AND month = %s", year, month)
    latency(run.sandbox, ["xai"], 0)
    run.start(d)


def a_late_rescue(run):
    """a dead owner's month locked by a stranger for longer than a rescue may take"""
    d = one_daemon(run)
    run.busy([d])
    run.kill(d)
    year, month = next(iter(run.owned(d)))
    stranger = run.db.connect()
    stranger.cursor().execute("SELECT pg_advisory_lock(%s, %s)", (MONTH_LOCK, year * 12 + month - 1))
    run.start(d)
    time.sleep(run.rescue_limit + 4)
    stranger.close()


# name -> the sabotage, and what the judge has to say of it
SABOTAGE = {"a-month-lost": (a_month_lost, "months: "), "a-month-twice": (a_month_twice, "steps done twice"),
            "an-answer-twice": (an_answer_twice, "bought again"), "a-late-rescue": (a_late_rescue, "without its owner took")}
