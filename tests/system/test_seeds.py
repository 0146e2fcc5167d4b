"""Every command and query that the operators' documents of the former system hold runs here as it was written.

The texts below are those of the documents; only the host, the secret and the wrapper that reached the database (ssh,
docker exec) are other ones. An answer has the keys that the document shows, no other, each with a value of the type shown.
"""
import json
import os
import subprocess
import uuid
from decimal import Decimal
from pathlib import Path

import psycopg2
import pytest
from harness import Stand
from stand import Sandbox, wait_until

ROOT = Path(__file__).resolve().parents[2]
HOST = "https://alexandria.ooheynerds.com"

# ---- the answers the documents show ----

MONTH = {"year": 2024, "month": 12, "status": "pending"}
DRY = {"dry_run": True, "batch_size": 5, "months_selected": 5, "months": [MONTH], "total_pending": 300,
       "total_processing": 0, "total_completed": 0, "total_failed": 0}
LIVE = {**DRY, "execution_summary": {"triggered": 5, "skipped": 0, "errors": 0}}
SEEDED = {"months_seeded": 300, "message": "Successfully seeded 300 months (2000-2024)"}
STATS = {
    "total_months": 300,
    "by_status": {"pending": 285, "processing": 5, "completed": 10, "failed": 0, "retry": 0},
    "progress": {"total_books_generated": 200, "total_isbns_resolved": 190, "overall_resolution_rate": 95.0,
                 "total_isbns_queued": 180},
    "recent_activity": [{"year": 2024, "month": 12, "status": "completed", "books_generated": 20, "isbns_resolved": 19,
                         "resolution_rate": 95.0}]}
QUOTA_DATA = {"daily_limit": 15000, "safety_limit": 13000, "used": 58, "remaining": 14942, "safety_remaining": 12942,
              "percentage_used": 0.45, "reset_at": "2026-01-14T00:00:00Z", "can_make_calls": True}

# ---- the commands ----

SEED = """curl -X POST 'https://alexandria.ooheynerds.com/api/internal/seed-backfill-queue' \\
  -H 'X-Cron-Secret: YOUR_SECRET' \\
  -H 'Content-Type: application/json' \\
  --data-raw '{
    "year_start": 2000,
    "year_end": 2024
  }'"""
DRY_FIVE = """curl -X POST 'https://alexandria.ooheynerds.com/api/internal/schedule-backfill' \\
  -H 'X-Cron-Secret: YOUR_SECRET' \\
  -H 'Content-Type: application/json' \\
  --data-raw '{
    "batch_size": 5,
    "dry_run": true
  }'"""
LIVE_FIVE = """curl -X POST 'https://alexandria.ooheynerds.com/api/internal/schedule-backfill' \\
  -H 'X-Cron-Secret: YOUR_SECRET' \\
  -H 'Content-Type: application/json' \\
  --data-raw '{
    "batch_size": 5,
    "dry_run": false
  }'"""
LIVE_FIFTEEN = """curl -X POST 'https://alexandria.ooheynerds.com/api/internal/schedule-backfill' \\
  -H 'X-Cron-Secret: YOUR_SECRET' \\
  -H 'Content-Type: application/json' \\
  --data-raw '{
    "batch_size": 15,
    "dry_run": false
  }'"""
FORCE_RETRY = """curl -X POST 'https://alexandria.ooheynerds.com/api/internal/schedule-backfill' \\
  -H 'X-Cron-Secret: YOUR_SECRET' \\
  -H 'Content-Type: application/json' \\
  --data-raw '{
    "batch_size": 10,
    "force_retry": true,
    "dry_run": false
  }'"""
SHOW_STATS = """curl 'https://alexandria.ooheynerds.com/api/internal/backfill-stats' \\
  -H 'X-Cron-Secret: YOUR_SECRET'"""
CRON_DAILY = """0 3 * * * curl -X POST 'https://alexandria.ooheynerds.com/api/internal/schedule-backfill' \\
  -H 'X-Cron-Secret: YOUR_SECRET' \\
  -H 'Content-Type: application/json' \\
  --data-raw '{"batch_size": 10}'"""
CRON_TWICE = """0 3,15 * * * curl -X POST 'https://alexandria.ooheynerds.com/api/internal/schedule-backfill' \\
  -H 'X-Cron-Secret: YOUR_SECRET' \\
  -H 'Content-Type: application/json' \\
  --data-raw '{"batch_size": 10}'"""
CRON_2020 = """0 2 * * * curl -X POST 'https://alexandria.ooheynerds.com/api/internal/schedule-backfill' \\
  -H "X-Cron-Secret: $ALEXANDRIA_WEBHOOK_SECRET" \\
  -H 'Content-Type: application/json' \\
  --data '{"batch_size":15,"year_range":{"start":2020,"end":2023},"dry_run":false}'"""
DRY_2023_JQ = """curl -X POST 'https://alexandria.ooheynerds.com/api/internal/schedule-backfill' \\
  -H "X-Cron-Secret: YOUR_SECRET_HERE" \\
  -H 'Content-Type: application/json' \\
  --data-raw '{
    "batch_size": 2,
    "year_range": {"start": 2023, "end": 2023},
    "dry_run": true
  }' | jq ."""
LIVE_2023_JQ = """curl -X POST 'https://alexandria.ooheynerds.com/api/internal/schedule-backfill' \\
  -H "X-Cron-Secret: YOUR_SECRET_HERE" \\
  -H 'Content-Type: application/json' \\
  --data-raw '{
    "batch_size": 2,
    "year_range": {"start": 2023, "end": 2023},
    "dry_run": false
  }' | jq ."""
LIVE_2023_VARIABLE = """   curl -X POST 'https://alexandria.ooheynerds.com/api/internal/schedule-backfill' \\
     -H "X-Cron-Secret: $ALEXANDRIA_WEBHOOK_SECRET" \\
     -H 'Content-Type: application/json' \\
     --data-raw '{"batch_size":2,"year_range":{"start":2023,"end":2023},"dry_run":false}'"""
QUOTA = "curl https://alexandria.ooheynerds.com/api/quota/status"
QUOTA_JQ = "curl https://alexandria.ooheynerds.com/api/quota/status | jq .data.percentage_used"


def sh(d, command, secret=None):
    """Runs a command of the documents against a daemon; what it printed. A cron line loses its five fields."""
    fields = command.split(None, 5)
    if len(fields) == 6 and fields[5].startswith("curl"):
        command = fields[5]
    secret = secret or d.secret
    command = command.replace(HOST, d.url).replace("YOUR_SECRET_HERE", secret).replace("YOUR_SECRET", secret)
    # the option that a document leaves out: quiet, no proxy of this machine, an end; errors are answers too
    script = "set -o pipefail\ncurl() { command curl -sS --noproxy '*' --max-time 30 \"$@\"; }\n" + command
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False, timeout=60,
                          stdin=subprocess.DEVNULL,
                          env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "ALEXANDRIA_WEBHOOK_SECRET": secret})
    assert done.returncode == 0, done.stderr
    return done.stdout


def assert_like(shown, answer, where="answer"):
    """The keys of the document, no other, each with its type; lists element by element like the document's first."""
    if isinstance(shown, dict):
        assert isinstance(answer, dict) and set(answer) == set(shown), where
        for key, value in shown.items():
            assert_like(value, answer[key], f"{where}.{key}")
    elif isinstance(shown, list):
        assert isinstance(answer, list), where
        for i, value in enumerate(answer):
            assert_like(shown[0], value, f"{where}[{i}]")
    elif isinstance(shown, float):
        assert isinstance(answer, (int, float)) and not isinstance(answer, bool), f"{where}: {answer!r} is no number"
    else:
        assert type(answer) is type(shown), f"{where}: {answer!r} where the document has {shown!r}"


def newest(year, month, n, status):
    """The n months down from one, as an answer lists them."""
    out = []
    for i in range(n):
        at = year * 12 + month - 1 - i
        out.append({"year": at // 12, "month": at % 12 + 1, "status": status})
    return out


@pytest.fixture
def seeded(daemon):
    """A daemon with the 300 months of 2000 to 2024, all pending."""
    d = daemon()
    assert d.seed(2000, 2024) == 300
    return d


# ---- curl ----

def test_curl_seed_backfill_queue(daemon, db):
    """The one-time seeding answers the document's body to the letter; again it finds nothing to do."""
    d = daemon()
    assert json.loads(sh(d, SEED)) == SEEDED
    assert db.statuses() == {"pending": 300}
    assert json.loads(sh(d, SEED)) == {"months_seeded": 0, "message": "Successfully seeded 0 months (2000-2024)"}


@pytest.mark.parametrize("command, first, n", [(DRY_FIVE, (2024, 12), 5), (DRY_2023_JQ, (2023, 12), 2)],
                         ids=["five-months", "2023-with-jq"])
def test_curl_dry_run(seeded, db, command, first, n):
    """A dry run answers the document's body to the letter, an estimate besides, and writes nothing."""
    before = db.rows("SELECT * FROM backfill_log ORDER BY id")
    answer = json.loads(sh(seeded, command))
    assert answer.pop("estimate")["basis"]["months"] == 0
    assert_like(DRY, answer)
    assert answer == {**DRY, "batch_size": n, "months_selected": n, "months": newest(*first, n, "pending")}
    assert db.rows("SELECT * FROM backfill_log ORDER BY id") == before


LIVE_COMMANDS = [
    ("phase-1", LIVE_FIVE, 5, (2024, 12)), ("phase-2", LIVE_FIFTEEN, 15, (2024, 12)),
    ("force-retry", FORCE_RETRY, 10, (2024, 12)), ("cron-daily", CRON_DAILY, 10, (2024, 12)),
    ("cron-twice", CRON_TWICE, 10, (2024, 12)), ("cron-2020-2023", CRON_2020, 15, (2023, 12)),
    ("2023-with-jq", LIVE_2023_JQ, 2, (2023, 12)), ("2023-with-variable", LIVE_2023_VARIABLE, 2, (2023, 12)),
]


@pytest.mark.parametrize("command, n, first", [c[1:] for c in LIVE_COMMANDS], ids=[c[0] for c in LIVE_COMMANDS])
def test_curl_live_run(seeded, db, command, n, first):
    """A live run answers the document's shape with the totals after the claim, and the months claimed complete, no others."""
    answer = json.loads(sh(seeded, command))
    assert_like(LIVE, answer)
    assert answer == {**LIVE, "dry_run": False, "batch_size": n, "months_selected": n,
                      "months": newest(*first, n, "processing"), "total_pending": 300 - n, "total_processing": n,
                      "execution_summary": {"triggered": n, "skipped": 0, "errors": 0}}
    seeded.wait_months(n)
    assert db.statuses() == {"completed": n, "pending": 300 - n}
    done = db.rows("SELECT year, month FROM backfill_log WHERE status = 'completed' ORDER BY year DESC, month DESC")
    assert done == [{k: m[k] for k in ("year", "month")} for m in answer["months"]]


def test_curl_force_retry_takes_failed_months(seeded, db):
    """With force_retry failed months below five attempts run again; those with five stay failed."""
    db.execute("UPDATE backfill_log SET status = 'failed', retry_count = month - 7, error_message = 'x', completed_at = now()"
               " WHERE year = 2024 AND month > 10")
    answer = json.loads(sh(seeded, FORCE_RETRY))
    assert answer["months"] == newest(2024, 11, 10, "processing")
    assert (answer["total_failed"], answer["total_pending"]) == (1, 289)
    seeded.wait_months(10)
    assert db.month(2024, 12)["status"] == "failed"


def test_body_batch_size_5_force_retry(seeded):
    """The body that the troubleshooting names by itself is one that the interface takes."""
    answer = seeded.post("/api/internal/schedule-backfill", '{"batch_size": 5, "force_retry": true}')
    assert answer.status == 200
    assert_like(LIVE, answer.json)
    assert answer.json["months_selected"] == 5


def test_curl_without_content_type(seeded):
    """A cron line that leaves the Content-Type out (curl then sends a form's) means the same."""
    command = CRON_2020.replace("  -H 'Content-Type: application/json' \\\n", "")
    assert "Content-Type" not in command
    answer = json.loads(sh(seeded, command))
    assert_like(LIVE, answer)
    assert answer["months_selected"] == 15


@pytest.mark.parametrize("schedule", ["0 3 * * *", "0 3,15 * * *", "0 2 * * *", "0 0 * * *"])
def test_the_cron_expressions_are_ones_the_timer_takes(daemon, schedule):
    """Each schedule of the documents may stand in scheduler.schedule."""
    d = daemon({"scheduler": {"schedule": schedule}}, start=False, migrate=False)
    done = d.command("check")
    assert done.returncode == 0, done.stderr


def test_curl_backfill_stats(seeded):
    """The statistics have the document's shape, and the queue's figures besides, empty and with months done; the rate is 100 times
    ISBNs over books."""
    answer = json.loads(sh(seeded, SHOW_STATS))
    assert set(answer.pop("enrichment").values()) == {0}
    assert_like(STATS, answer)
    assert answer == {"total_months": 300, "recent_activity": [],
                      "by_status": {"pending": 300, "processing": 0, "completed": 0, "failed": 0, "retry": 0},
                      "progress": {"total_books_generated": 0, "total_isbns_resolved": 0, "overall_resolution_rate": 0.0,
                                   "total_isbns_queued": 0}}
    sh(seeded, LIVE_FIVE)
    seeded.wait_months(5)
    answer = json.loads(sh(seeded, SHOW_STATS))
    assert set(answer.pop("enrichment")) == {"pending", "waiting", "processing", "completed", "failed", "oldest_age_s",
                                             "completed_24h"}
    assert_like(STATS, answer)
    assert answer["by_status"] == {"pending": 295, "processing": 0, "completed": 5, "failed": 0, "retry": 0}
    progress = answer["progress"]
    assert progress["total_books_generated"] > 0
    assert progress["overall_resolution_rate"] == pytest.approx(
        100 * progress["total_isbns_resolved"] / progress["total_books_generated"], abs=0.006)
    assert len(answer["recent_activity"]) == 5
    for month in answer["recent_activity"]:
        assert month["resolution_rate"] == pytest.approx(100 * month["isbns_resolved"] / month["books_generated"], abs=0.006)


def test_curl_quota_status(daemon, sandbox):
    """The quota needs no secret, has the keys that are read from it, and counts what the provider counted."""
    d = daemon({"provider.isbndb": {"daily_limit": 15000, "reserve": 2000}})
    d.seed(2024, 2024)
    d.schedule(batch_size=2)
    d.wait_months(2)
    answer = json.loads(sh(d, QUOTA))
    assert answer["success"] is True and set(answer) == {"success", "data"}
    data = answer["data"]
    providers = data.pop("providers")
    assert_like(QUOTA_DATA, data)
    assert_like(QUOTA_DATA, providers["isbndb"])
    units = sandbox.counters("isbndb")["units"]
    assert units > 0
    assert (data["daily_limit"], data["safety_limit"], data["used"]) == (15000, 13000, units)
    assert (data["remaining"], data["safety_remaining"]) == (15000 - units, 13000 - units)
    assert data["percentage_used"] == pytest.approx(100 * units / 13000, abs=0.006)


def test_curl_quota_status_with_jq(daemon, db):
    """`jq .data.percentage_used` prints a bare number: 58 of the 13,000 safe units are 0.45 %."""
    d = daemon({"provider.isbndb": {"daily_limit": 15000, "reserve": 2000}})
    assert float(sh(d, QUOTA_JQ)) == 0
    db.execute("INSERT INTO api_quota (provider, day, used, daily_limit, reserve) VALUES"
               " ('isbndb', (now() AT TIME ZONE 'UTC')::date, 58, 15000, 2000)")
    assert sh(d, QUOTA_JQ).strip() == "0.45"


@pytest.mark.parametrize("command", [DRY_FIVE, SHOW_STATS, SEED], ids=["schedule", "stats", "seed"])
def test_curl_with_a_wrong_secret(daemon, command):
    """The words that the troubleshooting looks for."""
    d = daemon()
    assert json.loads(sh(d, command, secret="wrong")) == {"error": "Unauthorized: Invalid or missing X-Cron-Secret"}


# ---- SQL that only looks ----

GUIDE_ACTIVE = """SELECT year, month, status, started_at, retry_count
FROM backfill_log
WHERE status = 'processing'
ORDER BY started_at DESC;"""
GUIDE_FAILED = """SELECT year, month, error_message, retry_count, last_retry_at
FROM backfill_log
WHERE status = 'failed' OR (status = 'retry' AND retry_count >= 3)
ORDER BY year DESC, month DESC;"""
GUIDE_BY_YEAR = """SELECT
  year,
  COUNT(*) AS total_months,
  COUNT(*) FILTER (WHERE status = 'completed') AS completed,
  COUNT(*) FILTER (WHERE status = 'pending') AS pending,
  ROUND(AVG(resolution_rate), 2) AS avg_resolution_rate
FROM backfill_log
GROUP BY year
ORDER BY year DESC;"""
TESTING_STATUS = """
SELECT
  status,
  COUNT(*) as count,
  MAX(started_at) as last_started,
  MAX(completed_at) as last_completed
FROM backfill_log
GROUP BY status;
"""
TESTING_MONTHS = """SELECT
  year,
  month,
  status,
  books_generated,
  isbns_resolved,
  resolution_rate,
  retry_count,
  error_message,
  started_at,
  completed_at
FROM backfill_log
WHERE year = 2023 AND month IN (11, 12)
ORDER BY month DESC;"""
TESTING_OVERALL = """SELECT
  status,
  COUNT(*) as months,
  SUM(books_generated) as total_books,
  SUM(isbns_resolved) as total_isbns,
  ROUND(AVG(CASE WHEN resolution_rate > 0 THEN resolution_rate END)::numeric, 2) as avg_resolution
FROM backfill_log
GROUP BY status;"""
TESTING_ERRORS = """SELECT year, month, error_message, retry_count
FROM backfill_log
WHERE status IN ('failed', 'retry')
ORDER BY year DESC, month DESC;"""
COUNT_PENDING = "SELECT COUNT(*) FROM backfill_log WHERE status = 'pending'"
BY_STATUS = "SELECT status, COUNT(*) FROM backfill_log GROUP BY status"
BY_STATUS_SEMICOLON = "SELECT status, COUNT(*) FROM backfill_log GROUP BY status;"
AVERAGE = "SELECT AVG(resolution_rate) FROM backfill_log WHERE status = 'completed'"
AVERAGE_DAY = "SELECT AVG(resolution_rate) FROM backfill_log WHERE completed_at > NOW() - INTERVAL '24 hours'"
COUNT_FAILED = "SELECT COUNT(*) FROM backfill_log WHERE status = 'failed'"
COUNT_STUCK = ("SELECT COUNT(*) FROM backfill_log WHERE status = 'processing' AND started_at < NOW() - INTERVAL '1 hour'")


class World:
    """A database in which the daemon has completed 2023-11 and 2023-12, and months in every other status were put by hand."""

    def __init__(self, db):
        self.db = db
        self.done = {m: db.month(2023, m) for m in (11, 12)}
        self.rates = [row["resolution_rate"] for row in self.done.values()]


@pytest.fixture(scope="module")
def world(pg, tmp_path_factory):
    """Built once for all queries that only look; no daemon runs any more."""
    folder = tmp_path_factory.mktemp("seeds")
    db, sandbox = pg.database(), Sandbox(folder)
    made = Stand(folder, db, sandbox.url)
    d = made.daemon()
    d.seed(2000, 2024)
    d.schedule(batch_size=2, year_range={"start": 2023, "end": 2023})
    d.wait_months(2)
    d.stop()
    for year, month, status, tries, error, started, ended in (
            (2024, 12, "failed", 5, "generation failed", "3 days", "3 days"), (2024, 11, "retry", 3, "timeout", "2 hours", None),
            (2024, 10, "retry", 1, "timeout", "2 hours", None), (2024, 9, "processing", 0, None, "5 minutes", None),
            (2024, 8, "processing", 2, None, "2 hours", None)):
        db.execute("UPDATE backfill_log SET status = %s, retry_count = %s, error_message = %s, started_at = now() - %s::interval,"
                   " completed_at = now() - %s::interval, last_retry_at = CASE WHEN %s > 0 THEN now() END"
                   " WHERE year = %s AND month = %s", status, tries, error, started, ended, tries, year, month)
    yield World(db)
    bad = made.close()
    sandbox.stop()
    db.drop()
    assert not bad, bad


def average(values):
    return sum(values) / len(values)


def check_active(w, rows):
    assert [(r["month"], r["retry_count"]) for r in rows] == [(9, 0), (8, 2)]
    assert all(r["started_at"].tzinfo for r in rows)


def check_failed(w, rows):
    assert [(r["year"], r["month"], r["error_message"], r["retry_count"]) for r in rows] == [
        (2024, 12, "generation failed", 5), (2024, 11, "timeout", 3)]


def check_by_year(w, rows):
    assert [r["year"] for r in rows] == list(range(2024, 1999, -1))
    assert all(r["total_months"] == 12 for r in rows)
    assert (rows[1]["completed"], rows[1]["pending"]) == (2, 10)
    assert rows[1]["avg_resolution_rate"] == round(average(w.rates), 2)
    assert rows[2] == {"year": 2022, "total_months": 12, "completed": 0, "pending": 12, "avg_resolution_rate": None}


def check_status(w, rows):
    by = {r["status"]: r for r in rows}
    assert {s: r["count"] for s, r in by.items()} == {"pending": 293, "completed": 2, "failed": 1, "retry": 2, "processing": 2}
    assert by["pending"]["last_started"] is None and by["retry"]["last_completed"] is None
    assert by["completed"]["last_completed"] == max(r["completed_at"] for r in w.done.values())


def check_months(w, rows):
    assert [r["month"] for r in rows] == [12, 11]
    for r in rows:
        assert (r["status"], r["retry_count"], r["error_message"]) == ("completed", 0, None)
        assert 0 < r["isbns_resolved"] <= r["books_generated"]
        # ISBNs, not candidates: the rate and the count tell the same (36 of 39 are 92.31 %)
        assert r["resolution_rate"] == round(Decimal(100) * r["isbns_resolved"] / r["books_generated"], 2)
        assert r["completed_at"] >= r["started_at"]


def check_overall(w, rows):
    by = {r["status"]: r for r in rows}
    assert by["completed"]["months"] == 2
    assert by["completed"]["total_books"] == sum(r["books_generated"] for r in w.done.values())
    assert by["completed"]["total_isbns"] == sum(r["isbns_resolved"] for r in w.done.values())
    assert by["completed"]["avg_resolution"] == round(average(w.rates), 2)
    assert (by["pending"]["total_books"], by["pending"]["avg_resolution"]) == (0, None)


def check_errors(w, rows):
    assert [(r["month"], r["error_message"], r["retry_count"]) for r in rows] == [
        (12, "generation failed", 5), (11, "timeout", 3), (10, "timeout", 1)]


def counted(n):
    return lambda w, rows: rows == [{"count": n}] or pytest.fail(str(rows))


def check_statuses(w, rows):
    assert {r["status"]: r["count"] for r in rows} == {
        "pending": 293, "completed": 2, "failed": 1, "retry": 2, "processing": 2}


def check_average(w, rows):
    assert float(rows[0]["avg"]) == pytest.approx(float(average(w.rates)))


QUERIES = [
    ("guide-active-jobs", GUIDE_ACTIVE, check_active), ("guide-failed-months", GUIDE_FAILED, check_failed),
    ("guide-progress-by-year", GUIDE_BY_YEAR, check_by_year), ("testing-status", TESTING_STATUS, check_status),
    ("testing-specific-months", TESTING_MONTHS, check_months), ("testing-overall", TESTING_OVERALL, check_overall),
    ("testing-errors", TESTING_ERRORS, check_errors), ("testing-count-pending", COUNT_PENDING, counted(293)),
    ("checklist-completion", BY_STATUS, check_statuses), ("fix-monitor", BY_STATUS_SEMICOLON, check_statuses),
    ("checklist-average", AVERAGE, check_average), ("validation-average-of-a-day", AVERAGE_DAY, check_average),
    ("checklist-failed", COUNT_FAILED, counted(1)), ("checklist-stuck", COUNT_STUCK, counted(1)),
]


@pytest.mark.parametrize("sql, check", [q[1:] for q in QUERIES], ids=[q[0] for q in QUERIES])
def test_sql_that_looks(world, sql, check):
    """Each query runs as written and says what is there."""
    check(world, world.db.rows(sql))


# ---- psql ----

def psql(db, *args):
    """psql as an operator calls it; what it printed."""
    done = subprocess.run(["psql", "-X", "-d", db.conninfo, *args], capture_output=True, text=True, check=False, timeout=60,
                          stdin=subprocess.DEVNULL, env={**os.environ, "LC_ALL": "C.UTF-8", "PAGER": "cat"})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_psql_status_by_c_option(world):
    """The query that went through ssh, docker exec and psql -c prints one line per status under its own headings."""
    lines = psql(world.db, "-c", TESTING_STATUS).splitlines()
    heading = next(line for line in lines if "status" in line)
    assert [h.strip() for h in heading.split("|")] == ["status", "count", "last_started", "last_completed"]
    assert any(line.split("|")[0].strip() == "pending" and line.split("|")[1].strip() == "293" for line in lines if "|" in line)


def test_psql_describe_backfill_log(world):
    """\\d backfill_log shows every column that the documents know, and the checks that guard them."""
    text = psql(world.db, "-c", r"\d backfill_log")
    columns = [line.split("|")[0].strip() for line in text.splitlines() if "|" in line]
    known = """id year month status books_generated isbns_resolved resolution_rate isbns_queued gemini_calls xai_calls
        isbndb_calls started_at completed_at error_message retry_count last_retry_at prompt_variant batch_size""".split()
    assert [c for c in columns if c in known] == known
    assert "completed_at IS NULL OR completed_at >= started_at" in text


def test_psql_applies_013_by_hand(db, daemon):
    """The migration applied by hand with psql -f makes the table; `backfilld migrate` then goes on from there."""
    psql(db, "-v", "ON_ERROR_STOP=1", "-f", str(ROOT / "migrations" / "013_backfill_log_table.sql"))
    assert db.value("SELECT count(*) FROM backfill_log") == 0
    d = daemon()
    assert json.loads(sh(d, SEED)) == SEEDED
    sh(d, LIVE_2023_VARIABLE)
    d.wait_months(2)


def test_the_constraint_has_the_name_of_the_documents(world):
    """A completed_at before started_at is refused by backfill_log_check2, which is what people search the logs for."""
    connection = world.db.connect()
    connection.autocommit = False
    with pytest.raises(psycopg2.errors.CheckViolation, match='violates check constraint "backfill_log_check2"'):
        connection.cursor().execute("UPDATE backfill_log SET started_at = now(), completed_at = now() - interval '1 s'"
                                    " WHERE year = 2023 AND month = 12")
    connection.close()


# ---- SQL that changes months by hand ----

# of the repair's report; its two values in ${} are filled in
COUNT_FAILURE = """UPDATE backfill_log
  SET
    status = CASE WHEN retry_count + 1 >= 5 THEN 'failed' ELSE 'retry' END,
    retry_count = retry_count + 1,
    error_message = ${errorMsg},
    completed_at = CASE WHEN retry_count + 1 >= 5 THEN NOW() ELSE NULL END,  -- FIX
    last_retry_at = NOW()
  WHERE year = ${year} AND month = ${month}"""

STUCK_TO_RETRY = """UPDATE backfill_log
SET status = 'retry', retry_count = retry_count + 1
WHERE status = 'processing' AND started_at < NOW() - INTERVAL '1 hour';"""
STUCK_TO_PENDING = """-- Reset stuck processing entries (after 1 hour)
UPDATE backfill_log
SET status = 'pending', retry_count = retry_count + 1
WHERE status = 'processing'
  AND started_at < NOW() - INTERVAL '1 hour';"""
RESET_FAILED = """-- Reset failed entries with constraint violations
UPDATE backfill_log
SET
  status = 'pending',
  retry_count = 0,
  error_message = NULL,
  completed_at = NULL,
  started_at = NULL,
  last_retry_at = NULL
WHERE year = 2024 AND month IN (11, 12) AND status = 'failed';"""
RESET_STUCK = """-- Reset stuck processing entries (orphaned queue messages)
UPDATE backfill_log
SET
  status = 'pending',
  retry_count = 0,
  started_at = NULL,
  completed_at = NULL,
  error_message = NULL,
  last_retry_at = NULL
WHERE year = 2024 AND month IN (9, 10) AND status = 'processing';"""


def in_flight(d, sandbox, months):
    """The months are being worked on, at an AI that takes its time; they look as if they had started two hours ago."""
    sandbox.control({"providers": {"gemini": {"latency_ms": [2500, 2500]}, "xai": {"latency_ms": [2500, 2500]}}})
    for year, month in months:
        answer = d.post("/api/harvest/backfill", {"year": year, "month": month})
        assert answer.status == 202, answer
    wait_until(lambda: sandbox.counters("gemini")["requests"] == len(months) == sandbox.counters("xai")["requests"], 20,
               "both AIs are asked about every month")


def age(db):
    assert db.execute("UPDATE backfill_log SET started_at = now() - interval '2 hours' WHERE status = 'processing'") > 0


def events(db):
    return db.value("SELECT count(*) FROM backfill_events")


def assert_once(db, months):
    """Each month completed once, its books are there once, its ISBNs queued once, and its figures agree."""
    for year, month in months:
        row = db.month(year, month)
        assert row["status"] == "completed"
        assert db.value("SELECT count(*) FROM backfill_events WHERE year = %s AND month = %s AND to_stage = 'completed'",
                        year, month) == 1
        assert db.value("SELECT count(*) FROM backfill_candidates WHERE year = %s AND month = %s AND state <> 'merged'",
                        year, month) == row["books_generated"] > 0
        assert db.value("SELECT count(*) - count(DISTINCT (title_key, author_key)) FROM backfill_candidates"
                        " WHERE year = %s AND month = %s", year, month) == 0
    assert db.value("SELECT count(*) - count(DISTINCT entity_key) FROM enrichment_queue") == 0
    assert db.value("SELECT count(*) FROM enrichment_queue WHERE priority < 8") == db.value("SELECT sum(isbns_queued) FROM backfill_log")


@pytest.mark.parametrize("count, status", [(0, "retry"), (3, "retry"), (4, "failed")])
def test_sql_that_counts_a_failure(daemon, db, count, status):
    """The repaired statement runs by hand: below five 'retry' without completed_at, which comes back, at five 'failed'."""
    d = daemon()
    d.post("/api/internal/pause")
    d.seed(2024, 2024)
    db.execute("UPDATE backfill_log SET retry_count = %s, started_at = now() WHERE month = 7", count)
    sql = COUNT_FAILURE.replace("${errorMsg}", "'by hand'").replace("${year}", "2024").replace("${month}", "7")
    assert db.execute(sql) == 1
    row = db.month(2024, 7)
    assert (row["status"], row["retry_count"], row["error_message"]) == (status, count + 1, "by hand")
    assert (row["completed_at"] is None) is (status == "retry")
    d.post("/api/internal/resume")
    if status == "retry":
        d.wait_months(1)
        assert db.month(2024, 7)["error_message"] is None
    else:
        assert sh(d, SHOW_STATS).count('"by hand"') == 1


def test_sql_stuck_months_to_retry(daemon, db, sandbox):
    """By hand to 'retry': the owner loses the months, they come back by themselves and complete once, one attempt counted."""
    months = [(2024, 11), (2024, 12)]
    d = daemon()
    in_flight(d, sandbox, months)
    fences = {m: db.month(*m)["fence"] for m in months}
    assert db.execute(STUCK_TO_RETRY) == 0, "a month that has just begun is not stuck"
    age(db)
    assert db.execute(STUCK_TO_RETRY) == 2
    d.wait_months(2)
    for m in months:
        assert (db.month(*m)["retry_count"], db.month(*m)["fence"] > fences[m]) == (1, True)
        assert db.value("SELECT count(*) FROM backfill_events WHERE year = %s AND month = %s AND fence = %s AND step > 2",
                        *m, fences[m]) == 0, "the former owner wrote after the change"
    assert_once(db, months)


def test_sql_stuck_months_to_pending(daemon, db, sandbox):
    """By hand to 'pending': the owner's answers change nothing any more; the next claim completes the months once."""
    months = [(2024, 11), (2024, 12)]
    d = daemon()
    in_flight(d, sandbox, months)
    before = events(db)
    age(db)
    assert db.execute(STUCK_TO_PENDING) == 2
    wait_until(lambda: d.metrics()["backfill_months_held"] == 0, 20, "the owner lets the months go")
    assert (db.statuses(), events(db)) == ({"pending": 2}, before), "the former owner wrote after the change"
    assert db.value("SELECT count(*) FROM backfill_answers") == 0
    answer = json.loads(sh(d, LIVE_FIVE))
    assert answer["months"] == newest(2024, 12, 2, "processing")
    d.wait_months(2)
    assert [db.month(*m)["retry_count"] for m in months] == [1, 1]
    assert_once(db, months)


def test_sql_reset_failed_months(daemon, db):
    """The failed months of the repair start afresh and complete; other failed months stay."""
    d = daemon()
    d.seed(2024, 2024)
    db.execute("UPDATE backfill_log SET status = 'failed', retry_count = 5, started_at = now(), completed_at = now(),"
               " last_retry_at = now(), error_message = 'violates check constraint \"backfill_log_check2\"' WHERE month > 9")
    assert db.execute(RESET_FAILED) == 2
    assert db.statuses() == {"pending": 11, "failed": 1}
    answer = json.loads(sh(d, LIVE_FIVE))
    assert answer["months"] == [*newest(2024, 12, 2, "processing"), *newest(2024, 9, 3, "processing")]
    d.wait_months(5)
    assert_once(db, [(2024, 11), (2024, 12)])
    assert db.month(2024, 12)["retry_count"] == 0


def test_sql_reset_months_in_processing(daemon, db, sandbox):
    """Months put back to 'pending' while they are worked on: the owner loses them, the next claim completes them once."""
    months = [(2024, 9), (2024, 10)]
    d = daemon()
    in_flight(d, sandbox, months)
    assert db.execute(RESET_STUCK) == 2
    answer = json.loads(sh(d, LIVE_FIVE))
    assert answer["months"] == newest(2024, 10, 2, "processing")
    d.wait_months(2)
    assert_once(db, months)


def test_sql_reset_of_orphans_of_the_former_system(daemon, db):
    """Rows that the former system left in 'processing' (no job) are reset by the document's statement and then complete."""
    d = daemon()
    d.seed(2024, 2024)
    # as long as stuck_after has not passed nobody else takes them up
    db.execute("UPDATE backfill_log SET status = 'processing', retry_count = 3, started_at = now() - interval '10 minutes'"
               " WHERE month IN (9, 10)")
    assert db.execute(RESET_STUCK) == 2
    assert db.statuses() == {"pending": 12}
    d.schedule(batch_size=4)
    d.wait_months(4)
    assert_once(db, [(2024, 9), (2024, 10)])


def test_an_update_by_hand_wins_over_a_resolving_month(daemon, db, sandbox):
    """The month is lost in the middle of its look-ups: what was bought stays in use, no AI is asked again."""
    sandbox.control({"providers": {"isbndb": {"latency_ms": [400, 400]}}})
    d = daemon({"resolution": {"concurrent_books": 1}})
    job = d.post("/api/harvest/backfill", {"year": 2024, "month": 12}).json["job_id"]
    assert uuid.UUID(job)
    wait_until(lambda: db.month(2024, 12)["stage"] == "resolving", 20, "the month resolves")
    age(db)
    assert db.execute(STUCK_TO_RETRY) == 1
    sandbox.control({"providers": {"isbndb": {"latency_ms": [0, 0]}}})
    d.wait_months(1)
    assert (sandbox.counters("gemini")["requests"], sandbox.counters("xai")["requests"]) == (1, 1)
    assert_once(db, [(2024, 12)])
