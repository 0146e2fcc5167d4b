"""`backfilld migrate`: on nothing, on the original's tables, twice at once, again, and what it refuses."""
import re
import subprocess
import time

import pytest
from stand import ROOT, binary, wait_until
from steps import FEW, wait_done, wait_row

FILES = sorted(p.stem for p in (ROOT / "migrations").glob("*.sql"))

# The original's tables as far as they differ from ours, with rows of the kinds it left behind.
ORIGINAL = """
CREATE TABLE backfill_log (
  id serial PRIMARY KEY,
  year integer NOT NULL CHECK (year >= 1900 AND year <= 2100),
  month integer NOT NULL CHECK (month >= 1 AND month <= 12),
  status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'processing', 'completed', 'failed', 'retry')),
  books_generated integer DEFAULT 0, isbns_resolved integer DEFAULT 0, resolution_rate numeric(5,2), isbns_queued integer DEFAULT 0,
  gemini_calls integer DEFAULT 0, xai_calls integer DEFAULT 0, isbndb_calls integer DEFAULT 0,
  started_at timestamptz, completed_at timestamptz, error_message text,
  retry_count integer DEFAULT 0 CHECK (retry_count >= 0 AND retry_count <= 5), last_retry_at timestamptz,
  prompt_variant text DEFAULT 'baseline', batch_size integer DEFAULT 20,
  UNIQUE (year, month), CHECK (isbns_resolved <= books_generated), CHECK (isbns_queued <= isbns_resolved),
  CHECK (completed_at IS NULL OR completed_at >= started_at));
CREATE TABLE enriched_works (work_key text PRIMARY KEY, title text NOT NULL, subtitle text, description text,
  first_publication_year integer, subject_tags text[], primary_provider text, contributors text[], synthetic boolean DEFAULT false,
  completeness_score integer DEFAULT 0, metadata jsonb DEFAULT '{}', created_at timestamptz DEFAULT now(),
  updated_at timestamptz DEFAULT now());
CREATE TABLE enriched_editions (isbn text PRIMARY KEY, work_key text REFERENCES enriched_works, title text, alternate_isbns text[],
  column_of_theirs integer);
CREATE TABLE enriched_authors (author_key text PRIMARY KEY, name text NOT NULL);
CREATE TABLE enrichment_queue (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), entity_type text NOT NULL, entity_key text NOT NULL,
  providers_to_try text[] NOT NULL, priority integer DEFAULT 5, status text DEFAULT 'pending', created_at timestamptz DEFAULT now(),
  retry_count integer DEFAULT 0, max_retries integer DEFAULT 3);
INSERT INTO enriched_works (work_key, title, metadata)
  SELECT 'w' || i, 'Work ' || i, CASE WHEN i % 2 = 0 THEN '[{"a": 1}, {"b": 2}]'::jsonb ELSE '{}' END
  FROM generate_series(1, 300) AS i;
INSERT INTO enriched_editions (isbn, work_key, column_of_theirs) SELECT i::text, 'w' || i, i FROM generate_series(1, 300) AS i;
INSERT INTO enrichment_queue (entity_type, entity_key, providers_to_try)
  SELECT 'edition', '9780306406157', '{}' FROM generate_series(1, 3);
INSERT INTO backfill_log (year, month, status, retry_count, started_at, books_generated, isbns_resolved, resolution_rate,
  completed_at) VALUES
  (2024, 12, 'failed', 5, now(), 0, 0, NULL, now()), (2024, 10, 'processing', 3, now(), 0, 0, NULL, NULL),
  (2024, 8, 'processing', 1, now(), 0, 0, NULL, NULL), (2024, 7, 'processing', 0, now() - interval '3 days', 0, 0, NULL, NULL),
  (2023, 12, 'failed', 5, now(), 0, 0, NULL, now()), (2023, 11, 'completed', 0, now(), 39, 36, 92.31, now()),
  (2023, 10, 'pending', 0, NULL, 0, 0, NULL, NULL);
"""


@pytest.fixture
def d(daemon):
    """A daemon that was neither migrated nor started."""
    return daemon(FEW, migrate=False, start=False)


def original(db):
    """Makes the database of the original."""
    with db.connect().cursor() as cursor:
        cursor.execute(ORIGINAL)


def states(text):
    """{migration: state} from what migrate prints."""
    return {m[1]: m[2] for m in re.finditer(r"^(\d{3}_\S+)\s+(pending|applied now|applied|CHANGED)\s+[0-9a-f]{12}$", text, re.M)}


def test_on_an_empty_database(d, db):
    """All files in order, each once, with its checksum; a second run applies nothing; --status says so before and after."""
    before = d.command("migrate", "--status")
    assert before.returncode == 0 and states(before.stdout) == dict.fromkeys(FILES, "pending")
    assert db.value("SELECT count(*) FROM pg_class WHERE relname = 'schema_migrations'") == 0, "--status made something"
    first = d.command("migrate")
    assert first.returncode == 0 and states(first.stdout) == dict.fromkeys(FILES, "applied now")
    assert db.column("SELECT name FROM schema_migrations ORDER BY number") == FILES
    marks = db.rows("SELECT number, checksum, applied_at FROM schema_migrations ORDER BY number")
    for again in (d.command("migrate"), d.command("migrate", "--status")):
        assert again.returncode == 0 and states(again.stdout) == dict.fromkeys(FILES, "applied")
    assert db.rows("SELECT number, checksum, applied_at FROM schema_migrations ORDER BY number") == marks


def test_over_the_originals_tables(d, db):
    """No row of works, editions and queue changes, array metadata included, no column goes; only the four months of
    014 start afresh."""
    original(db)
    digest = "SELECT md5(string_agg(x, '|' ORDER BY x)) FROM (SELECT work_key || title || metadata AS x FROM enriched_works" \
        " UNION ALL SELECT isbn || work_key || column_of_theirs FROM enriched_editions" \
        " UNION ALL SELECT id || status FROM enrichment_queue) AS t"
    files = "SELECT string_agg(relname || relfilenode, ' ' ORDER BY relname) FROM pg_class WHERE relname IN ('enriched_works'," \
        " 'enriched_editions', 'enriched_authors', 'enrichment_queue', 'backfill_log')"
    before = db.value(digest), db.value(files)
    assert d.command("migrate").returncode == 0
    assert (db.value(digest), db.value(files)) == before, "rows changed, or a table was rewritten"
    assert db.rows("SELECT year, month, status, retry_count FROM backfill_log ORDER BY year DESC, month DESC") == [
        {"year": y, "month": m, "status": s, "retry_count": n} for y, m, s, n in (
            (2024, 12, "pending", 0), (2024, 10, "pending", 0), (2024, 8, "processing", 1), (2024, 7, "processing", 0),
            (2023, 12, "failed", 5), (2023, 11, "completed", 0), (2023, 10, "pending", 0))]


def test_the_daemon_on_the_originals_database(d, db):
    """Its fresh processing rows are left alone, those older than stuck_after are taken up; its queue items stay;
    months complete."""
    original(db)
    assert d.command("migrate").returncode == 0
    d.start().wait_ready()
    wait_done(db, 2024, 7)
    got = d.schedule(batch_size=2)
    assert [(m["year"], m["month"]) for m in got["months"]] == [(2024, 12), (2024, 10)]
    for month in (12, 10):
        wait_done(db, 2024, month)
    fresh = db.month(2024, 8)
    assert (fresh["status"], fresh["job_id"], fresh["retry_count"]) == ("processing", None, 1)
    db.execute("UPDATE backfill_log SET started_at = now() - interval '2 h', created_at = now() - interval '2 h' WHERE month = 8")
    wait_row(db, 2024, 8, status="completed")
    assert db.column("SELECT status FROM enrichment_queue WHERE entity_key = '9780306406157'") == ["pending"] * 3
    assert db.value("SELECT count(*) FROM enriched_works WHERE work_key ~ '^w[0-9]+$'") == 300


def test_twice_at_once(d, db):
    """Two that start together: both end with 0, every file was applied once."""
    argv = [str(binary("backfilld")), "-c", str(d.ini_path), "migrate"]
    both = [subprocess.Popen(argv, env=d.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            for _ in range(2)]
    said = [p.communicate(timeout=60)[0] for p in both]
    assert [p.returncode for p in both] == [0, 0], said
    assert sorted(states(said[0]).values()) + sorted(states(said[1]).values()) in (
        ["applied now"] * len(FILES) + ["applied"] * len(FILES), ["applied"] * len(FILES) + ["applied now"] * len(FILES))
    assert db.value("SELECT count(*) FROM schema_migrations") == len(FILES)


def test_a_changed_file_is_refused(d, db):
    """A migration that was applied with another text stops migrate with 1 and is named by --status."""
    assert d.command("migrate").returncode == 0
    db.execute("UPDATE schema_migrations SET checksum = repeat('0', 64) WHERE number = 13")
    db.execute("DELETE FROM schema_migrations WHERE number = 18")
    for args in (["migrate"], ["migrate", "--status"]):
        done = d.command(*args)
        assert done.returncode == 1 and states(done.stdout)["013_backfill_log_table"] == "CHANGED"
        assert "another text" in done.stderr
    assert db.value("SELECT count(*) FROM schema_migrations WHERE number = 18") == 0


def test_by_another_role(d, db):
    """--conninfo migrates as an owner that the configuration does not know."""
    d.write_ini({"database": {"conninfo": re.sub(r"user=\S+", "user=nobody_there", db.conninfo)}})
    assert d.command("migrate", "--conninfo", db.conninfo).returncode == 0
    assert db.value("SELECT count(*) FROM schema_migrations") == len(FILES)


def test_a_busy_table_is_waited_for_without_a_queue(d, db):
    """A long transaction on a table: migrate waits in short turns, so that others get through meanwhile, and ends well."""
    original(db)
    holder = db.connect()
    holder.autocommit = False
    holder.cursor().execute("SELECT count(*) FROM backfill_log")        # holds ACCESS SHARE
    process = subprocess.Popen([str(binary("backfilld")), "-c", str(d.ini_path), "migrate"], env=d.env, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: db.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                                    " AND datname = current_database()"), 30, "it waits")
        began = time.monotonic()
        db.execute("UPDATE backfill_log SET error_message = 'x' WHERE year = 2023 AND month = 10")      # gets through in the end
        assert time.monotonic() - began < 20
        assert process.poll() is None
    finally:
        holder.rollback()
        holder.close()
        assert process.wait(60) == 0
    assert db.value("SELECT count(*) FROM schema_migrations") == len(FILES)


def test_killed_half_way(d, db):
    """kill -9 at several moments of a migration: the next run finishes it, every file once, and the daemon starts."""
    original(db)
    argv = [str(binary("backfilld")), "-c", str(d.ini_path), "migrate"]
    for i in range(6):
        process = subprocess.Popen(argv, env=d.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.02 * (i + 1))
        process.kill()
        process.wait()
    assert d.command("migrate").returncode == 0
    assert db.column("SELECT name FROM schema_migrations ORDER BY number") == FILES
    assert db.value("SELECT count(*) FROM pg_index WHERE NOT indisvalid") == 0
    d.start().wait_ready()
