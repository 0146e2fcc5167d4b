"""Many months at once, by what they have in common: what is looked at is what is then changed; nothing else is touched, and of every
month the record is what the single action would have left."""
import pytest

from steps import FEW, MONTHS_ALONE, harvest, wait_done

PATH = "/api/internal/months/retry"


@pytest.fixture
def steer(daemon, db):
    """A daemon of which nobody asks anything, and a year of months in every state. Two AIs have answered for some of them."""
    d = daemon({**FEW, **MONTHS_ALONE})
    d.seed(2023, 2024)
    assert d.post("/api/internal/pause", {"note": "looked at in peace"}).status == 200
    for month, status, rate, retries in ((12, "completed", 90, 0), (11, "completed", 40, 0), (10, "completed", 59.99, 0),
                                         (9, "completed", 60, 0), (8, "failed", None, 5), (7, "failed", None, 2),
                                         (6, "retry", None, 1), (5, "processing", None, 0), (4, "completed", None, 0)):
        db.execute("UPDATE backfill_log SET status = %s, resolution_rate = %s, retry_count = %s, fence = 3, books_generated = 10,"
                   " isbns_resolved = 0, stage = CASE WHEN %s = 'completed' THEN 'completed' END, started_at = now(), books_agreed = 4,"
                   " completed_at = CASE WHEN %s IN ('completed', 'failed') THEN now() END, job_id = gen_random_uuid(),"
                   " next_attempt_at = CASE WHEN %s = 'retry' THEN now() + interval '1 hour' END WHERE year = 2024 AND month = %s",
                   status, rate, retries, status, status, status, month)
    for month, round_, provider, outcome in ((12, 0, "gemini", "ok"), (12, 0, "xai", "refused"), (8, 0, "gemini", "garbage"),
                                             (8, 1, "gemini", "ok"), (7, 0, "gemini", "ok"), (7, 1, "gemini", "empty"),
                                             (5, 0, "gemini", "refused")):
        db.execute("INSERT INTO backfill_answers (year, month, round, provider, fence, outcome) VALUES (2024, %s, %s, %s, 3, %s)",
                   month, round_, provider, outcome)
    db.execute("INSERT INTO backfill_candidates (year, month, ord, title, title_key, author_key) VALUES"
               " (2024, 11, 0, 'T', 't', 'a'), (2024, 10, 0, 'T', 't', 'a')")
    return d


def ask(d, **body):
    answer = d.post(PATH, body)
    assert answer.status == 200, answer
    assert list(answer.json) == ["dry_run", "matched", "retried", "reset", "months", "estimate"]
    return answer.json


def chosen(answer):
    return [m["month"] for m in answer["months"]]


def everything(db):
    return [db.rows(f"TABLE {t} ORDER BY 1, 2, 3, 4") for t in ("backfill_log", "backfill_answers", "backfill_candidates", "backfill_events",
                                                               "backfill_jobs")]


def test_each_predicate(steer, db):
    """Every predicate alone and together with others, years in either order, the limit from the newest: only counted, nothing written."""
    before = everything(db)
    for body, months in (({"status": "failed"}, [8, 7]), ({"status": "retry"}, [6]), ({"rate_below": 60}, [11, 10, 4]),
                         ({"rate_below": 100}, [12, 11, 10, 9, 4]), ({"rate_below": 1}, [4]), ({"refused_by": "gemini"}, [7]),
                         ({"refused_by": "xai"}, [12]), ({"status": "failed", "refused_by": "gemini"}, [7]),
                         ({"status": "retry", "refused_by": "gemini"}, []), ({"status": "failed", "rate_below": 50}, []),
                         ({"rate_below": 91, "refused_by": "xai"}, [12]), ({"rate_below": 60, "limit": 2}, [11, 10]),
                         ({"status": "failed", "year_range": {"start": 2024, "end": 2020}}, [8, 7]),
                         ({"status": "failed", "year_range": {"end": 2023}}, [])):
        answer = ask(steer, **body)
        assert (answer["dry_run"], chosen(answer), answer["matched"]) == (True, months, len(months)), body
        assert answer["retried"] + answer["reset"] == len(months)
        assert all(m["action"] == ("reset" if m["status"] == "completed" else "retry") for m in answer["months"])
        assert (answer["estimate"]["binds"] is not None) == bool(months)
    assert everything(db) == before


@pytest.mark.parametrize("body", [{}, {"dry_run": False}, {"year_range": {"start": 2024, "end": 2024}}, {"status": "completed"},
                                  {"status": "processing"}, {"status": 1}, {"rate_below": 0}, {"rate_below": 101}, {"rate_below": "50"},
                                  {"refused_by": "isbndb"}, {"status": "failed", "limit": 0}, {"status": "failed", "limit": 2413},
                                  {"status": "failed", "surprise": 1}, {"status": "failed", "year_range": {"start": 1899}}])
def test_bad_bodies(steer, db, body):
    """Without a predicate, with a bad value or an unknown field nothing is done, also when it was meant."""
    before = everything(db)
    assert steer.post(PATH, {"dry_run": False, **body}).status == 400
    assert everything(db) == before


def test_what_was_told_is_done(steer, db):
    """The months of the dry run are those of the live one, and each is as the single action leaves it; those that changed meanwhile are
    left out, and nobody else is touched. Paused or not makes no difference, as for the single action."""
    told = ask(steer, status="failed")
    assert steer.post("/api/internal/months/2024/8/retry").status == 200
    done = ask(steer, status="failed", dry_run=False)
    assert (chosen(told), chosen(done), done["retried"]) == ([8, 7], [7], 1)
    one, many = db.month(2024, 8), db.month(2024, 7)
    for row in (one, many):
        assert (row["status"], row["fence"], row["completed_at"]) == ("retry", 4, None) and row["next_attempt_at"] is not None
    assert (one["retry_count"], many["retry_count"]) == (4, 2)
    events = db.rows("SELECT month, event, from_stage, to_stage, step, fence, detail FROM backfill_events WHERE fence = 4 ORDER BY month")
    assert [(e["month"], e["event"], e["from_stage"], e["to_stage"], e["step"]) for e in events] == [
        (7, "operator_retry", "failed", "retry", 1), (8, "operator_retry", "failed", "retry", 1)]
    assert [list(e["detail"]) for e in events] == [["retry_count"]] * 2


def test_completed_ones_begin_anew(steer, db):
    """Rows, answers and candidates as after the single reset; those in processing stay whatever is asked for."""
    assert steer.post("/api/internal/months/2024/11/reset").status == 200
    done = ask(steer, rate_below=60, dry_run=False)
    assert (chosen(done), done["reset"], done["retried"]) == ([10, 4], 2, 0)
    one, many = db.month(2024, 11), db.month(2024, 10)
    own = ("id", "month", "created_at")
    assert {k: v for k, v in one.items() if k not in own} == {k: v for k, v in many.items() if k not in own}
    assert (many["status"], many["books_generated"], many["books_agreed"], many["job_id"]) == ("pending", 0, None, None)
    assert db.value("SELECT count(*) FROM backfill_candidates") == 0
    events = db.rows("SELECT month, event, detail FROM backfill_events WHERE event = 'operator_reset' ORDER BY month DESC")
    assert [(e["month"], e["detail"]["candidates"]) for e in events] == [(11, 1), (10, 1), (4, 0)]
    assert ask(steer, refused_by="gemini", dry_run=False)["matched"] == 1
    assert (db.month(2024, 5)["status"], db.month(2024, 5)["fence"]) == ("processing", 3)
    assert db.value("SELECT count(*) FROM backfill_log WHERE year = 2023 AND (status, fence) <> ('pending', 0)") == 0


def test_they_run_again(daemon, db):
    """A failed month that was retried among others is taken up and completes."""
    d = daemon({**FEW, **MONTHS_ALONE})
    harvest(d, year=2024, month=3)
    wait_done(db, 2024, 3)
    db.execute("UPDATE backfill_log SET status = 'failed', stage = 'resolving', retry_count = 5")
    assert ask(d, status="failed", dry_run=False)["retried"] == 1
    wait_done(db, 2024, 3)
