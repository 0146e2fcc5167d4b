"""Verify finds every fault that is put in by SQL and nothing in runs that went well, however rough they were; doctor tells what is
wrong around the program, with what to do about it, and no secret."""
import concurrent.futures
import contextlib

from stand import wait_until
from steps import AIS, FEW, coverage, faults, latency, table_held

VERIFY, DOCTOR = "/api/internal/verify", "/api/internal/doctor"


def verify(d, query=""):
    answer = d.get(VERIFY + query, timeout=60)
    assert answer.status == 200, answer
    return answer.json


def doctor(d):
    answer = d.get(DOCTOR)
    assert answer.status == 200, answer
    assert d.secret not in answer.text
    return {(f["check"], f["subject"]): f for f in answer.json["findings"]}


def fields(answer):
    assert answer.status == 400, answer
    return [p["field"] for p in answer.json["details"]]


def wait_queue(db):
    wait_until(lambda: not db.value("SELECT count(*) FROM enrichment_queue WHERE status IN ('pending', 'processing')"), 120,
               "the queue is done")


def errors(answer):
    return [f for f in answer["findings"] if f["severity"] == "error"]


@contextlib.contextmanager
def changed(db, *tables):
    """While inside, anything may happen to these tables; afterwards they are as before."""
    connection = db.connect()
    cursor = connection.cursor()
    cursor.execute("SET session_replication_role = replica")
    for table in tables:
        cursor.execute(f"CREATE TEMP TABLE kept_{table} AS TABLE {table}")
    try:
        yield cursor.execute
    finally:
        for table in tables:
            cursor.execute(f"DELETE FROM {table}; INSERT INTO {table} TABLE kept_{table}")
        connection.close()


M = "year = 2024 AND month = 6"
# name, tables touched, the fault, the check that must find it, part of its subject
FAULTS = [
    ("a month row deleted", ["backfill_log"], f"DELETE FROM backfill_log WHERE {M}", "coverage", "2024-06"),
    ("a month deleted with all its traces", ["backfill_log", "backfill_candidates", "backfill_events"],
     f"DELETE FROM backfill_log WHERE {M}; DELETE FROM backfill_candidates WHERE {M}; DELETE FROM backfill_events WHERE {M}",
     "coverage", "2024-06"),
    ("completed without candidates", ["backfill_candidates"], f"DELETE FROM backfill_candidates WHERE {M}", "candidates", "2024-06"),
    ("completed and never run", ["backfill_log"],
     f"UPDATE backfill_log SET status = 'completed', fence = 0, stage = NULL, books_generated = 0, isbns_resolved = 0, isbns_queued = 0,"
     f" completed_at = now() WHERE {M}; ", "chain", "2024-06"),
    ("isbns_resolved too high", ["backfill_log"],
     f"UPDATE backfill_log SET isbns_resolved = isbns_resolved + 1, books_generated = books_generated + 1 WHERE {M}",
     "isbns_resolved", "2024-06"),
    ("isbns_resolved too low", ["backfill_log"],
     f"UPDATE backfill_log SET isbns_resolved = isbns_resolved - 1, isbns_queued = isbns_queued - 1 WHERE {M}",
     "isbns_resolved", "2024-06"),
    ("books_generated off by one", ["backfill_log"], f"UPDATE backfill_log SET books_generated = books_generated + 1 WHERE {M}",
     "books_generated", "2024-06"),
    ("books_agreed off by one", ["backfill_log"], f"UPDATE backfill_log SET books_agreed = books_agreed + 1 WHERE {M}",
     "books_agreed", "2024-06"),
    ("a book that only one AI named", ["backfill_candidates"],
     f"UPDATE backfill_candidates SET generated_by = ARRAY['xai'] WHERE id = (SELECT min(id) FROM backfill_candidates WHERE {M}"
     " AND state <> 'merged' AND cardinality(generated_by) > 1)", "books_agreed", "2024-06"),
    ("isbns_queued off by one", ["backfill_log"], f"UPDATE backfill_log SET isbns_queued = isbns_queued - 1 WHERE {M}",
     "isbns_queued", "2024-06"),
    ("a false rate", ["backfill_log"], f"UPDATE backfill_log SET resolution_rate = 12.34 WHERE {M}", "resolution_rate", "2024-06"),
    *[(f"{who}_calls {sign} 1", ["backfill_log"], f"UPDATE backfill_log SET {who}_calls = {who}_calls {sign} 1 WHERE {M}",
       f"{who}_calls", "2024-06") for who in ("gemini", "xai", "isbndb") for sign in "+-"],
    ("calls off although the transitions are gone", ["backfill_log", "backfill_events"],
     f"UPDATE backfill_log SET gemini_calls = gemini_calls - 1 WHERE {M}; UPDATE backfill_events SET detail = detail - 'gemini_calls'"
     f" WHERE {M}", "gemini_calls", "2024-06"),
    ("a candidate doubled", ["backfill_candidates"],
     "INSERT INTO backfill_candidates (year, month, ord, title, title_key, author_key, generated_by, work_key, state) SELECT year, month,"
     f" 999, title, title_key, author_key, generated_by, work_key, 'not_found' FROM backfill_candidates WHERE {M} LIMIT 1",
     "candidates", "2024-06"),
    ("an ISBN on two candidates", ["backfill_candidates"],
     f"UPDATE backfill_candidates SET state = 'resolved', isbn13 = (SELECT max(isbn13) FROM backfill_candidates WHERE {M}) WHERE id ="
     f" (SELECT min(id) FROM backfill_candidates WHERE {M} AND state <> 'merged' AND isbn13 IS DISTINCT FROM (SELECT max(isbn13) FROM"
     f" backfill_candidates WHERE {M}))", "isbns", "2024-06"),
    ("a candidate never looked up", ["backfill_candidates"],
     f"UPDATE backfill_candidates SET state = 'new', isbn13 = NULL WHERE id = (SELECT min(id) FROM backfill_candidates WHERE {M})",
     "candidates", "2024-06"),
    ("an ISBN lost on its way", ["enrichment_queue", "enriched_editions"],
     f"DELETE FROM enrichment_queue WHERE entity_key = (SELECT max(isbn13) FROM backfill_candidates WHERE {M}); DELETE FROM"
     f" enriched_editions WHERE isbn = (SELECT max(isbn13) FROM backfill_candidates WHERE {M})", "isbns", "2024-06"),
    ("a work gone", ["enriched_works"],
     f"DELETE FROM enriched_works WHERE work_key = (SELECT max(work_key) FROM backfill_candidates WHERE {M})", "works", "2024-06"),
    ("a queue item of a month that is not there", ["enrichment_queue"],
     "UPDATE enrichment_queue SET year = 2019, month = 1 WHERE id = (SELECT id FROM enrichment_queue WHERE priority = 5 LIMIT 1)",
     "queue", "edition 97"),
    ("a queue item that lost its month", ["enrichment_queue"],
     "UPDATE enrichment_queue SET year = NULL, month = NULL WHERE id = (SELECT id FROM enrichment_queue WHERE job_id IS NOT NULL LIMIT 1)",
     "queue", "edition 97"),
    ("a queue item of nobody's book", ["enrichment_queue"],
     "INSERT INTO enrichment_queue (entity_type, entity_key, status, queued_by, year, month, job_id) VALUES ('edition', '9780000000002',"
     " 'failed', 'backfilld', 2024, 6, gen_random_uuid())", "queue", "9780000000002"),
    ("an edition under no work", ["enriched_editions"],
     "UPDATE enriched_editions SET work_key = NULL WHERE isbn = (SELECT max(entity_key) FROM enrichment_queue WHERE status = 'completed'"
     " AND error_message IS NULL)", "editions", "edition 97"),
    ("an edition under a work that is not there", ["enriched_editions"],
     "UPDATE enriched_editions SET work_key = 'gone' WHERE isbn = (SELECT max(entity_key) FROM enrichment_queue WHERE status = 'completed'"
     " AND error_message IS NULL)", "editions", "edition 97"),
    ("a completed item without its edition", ["enriched_editions"],
     "DELETE FROM enriched_editions WHERE isbn = (SELECT max(entity_key) FROM enrichment_queue WHERE status = 'completed'"
     " AND error_message IS NULL)", "queue", "edition 97"),
    ("the first event missing", ["backfill_events"], f"DELETE FROM backfill_events WHERE {M} AND step = 1", "chain", "2024-06"),
    ("an event missing in the middle", ["backfill_events"], f"DELETE FROM backfill_events WHERE {M} AND step = 4", "chain", "2024-06"),
    ("the last event missing", ["backfill_events"], f"DELETE FROM backfill_events WHERE {M} AND event = 'counted'", "chain", "2024-06"),
    ("all events missing", ["backfill_events"], f"DELETE FROM backfill_events WHERE {M}", "chain", "2024-06"),
    ("processing without owner", ["backfill_log"],
     f"UPDATE backfill_log SET status = 'processing', stage = 'saving', completed_at = NULL, owner = NULL, owner_id = NULL WHERE {M}",
     "owner", "2024-06"),
    ("processing and never claimed", ["backfill_log"],
     f"UPDATE backfill_log SET status = 'processing', stage = NULL, completed_at = NULL, started_at = NULL, job_id = NULL, owner = NULL"
     f" WHERE {M}", "owner", "2024-06"),
    ("quota below the calls logged", ["api_quota"],
     "UPDATE api_quota SET used = used - 1 WHERE provider = 'isbndb'", "quota", "isbndb 20"),
    ("a day of quota missing", ["api_quota"], "DELETE FROM api_quota WHERE provider = 'gemini'", "quota", "gemini 20"),
    ("a synthetic work with an edition", ["enriched_works"],
     "UPDATE enriched_works SET synthetic = true WHERE work_key = (SELECT max(work_key) FROM enriched_editions)", "synthetic", "work "),
    ("book_count false", ["enriched_authors"],
     "UPDATE enriched_authors SET book_count = book_count + 1 WHERE author_key = (SELECT max(author_key) FROM work_authors_enriched)",
     "book_count", "author "),
    ("completed without an end", ["backfill_log"], f"UPDATE backfill_log SET completed_at = NULL WHERE {M}", "state", "2024-06"),
    ("pending that has ended", ["backfill_log"], f"UPDATE backfill_log SET status = 'pending', stage = NULL, owner = NULL, owner_id ="
     f" NULL WHERE {M}", "state", "2024-06"),
    ("completed in a stage", ["backfill_log"], f"UPDATE backfill_log SET stage = 'saving' WHERE {M}", "state", "2024-06"),
]


def test_every_fault_is_found_and_nothing_in_a_clean_run(daemon, db):
    """A clean year with its enrichment has no finding, also while it runs; then each fault alone is found by its check, with a remedy,
    and without it all is well again. Years that were never seeded are missing only when they are named."""
    d = daemon(FEW)
    assert verify(d)["ok"]
    d.seed(2024, 2024)
    d.schedule(batch_size=12)
    looks = 0
    while db.statuses() != {"completed": 12}:
        assert verify(d)["findings"] == []
        looks += 1
    assert looks > 1
    wait_queue(db)
    d.post("/api/internal/pause", {"note": "faults"})
    clean = verify(d)
    assert (clean["ok"], clean["years"], clean["errors"], clean["warnings"], clean["findings"], clean["found"]) == (
        True, [2024, 2024], 0, 0, [], {})
    assert clean["checked"]["coverage"] == 12 and all(n > 0 for check, n in clean["checked"].items() if check not in (
        "owner", "synthetic")), clean["checked"]
    for name, tables, sql, check, subject in FAULTS:
        with changed(db, *tables) as execute:
            execute(sql)
            found = verify(d)
            hits = [f for f in found["findings"] if f["check"] == check and subject in f["subject"]]
            assert hits, f"{name}: {found['findings']}"
            assert not found["ok"] and hits[0]["severity"] == "error", f"{name}: {hits}"
            assert hits[0]["text"] and hits[0]["remedy"] and found["found"][check] >= 1
    assert verify(d)["findings"] == []
    named = verify(d, "?year_start=2023&year_end=2024")
    assert (named["ok"], named["errors"], named["years"], named["checked"]["coverage"]) == (False, 12, [2023, 2024], 24)
    assert named["findings"][0]["subject"] == "2023-01"


def test_twenty_looks_at_a_living_database(daemon, db, sandbox):
    """While two instances work on months and on the queue, twenty looks in a row, from both, find nothing, see months and rows of every
    state between them, and hold no work up: all months complete at their first attempt."""
    latency(sandbox, AIS, 400)
    one, two = daemon(FEW), daemon(FEW)
    one.seed(2023, 2024)
    one.schedule(batch_size=12)
    two.schedule(batch_size=12)
    states = set()
    n = 0
    while n < 20 or not {"processing", "completed"} <= states:
        states |= set(db.statuses())
        found = verify((one, two)[n % 2])
        assert found["findings"] == [], found["findings"]
        assert found["checked"]["coverage"] == 24
        n += 1
        assert n < 1000, f"no month was alive meanwhile: {states}"
    wait_until(lambda: db.statuses() == {"completed": 24}, 120, "24 months completed")
    assert db.value("SELECT sum(retry_count) FROM backfill_log") == 0
    wait_queue(db)
    assert verify(one)["findings"] == []
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'backfilld verify'"
    wait_until(lambda: db.value(sessions) == 0, 10, "the looks' own sessions are gone")


def test_every_month_of_a_range_has_one_outcome(daemon, db, sandbox):
    """Of a range of which some months fail and some are never run, each month is in one state, `coverage` has looked at all, and what
    was billed is what is logged, for each provider that counts."""
    d = daemon(FEW)
    d.seed(2023, 2024)
    d.schedule(batch_size=4)
    wait_until(lambda: db.statuses().get("completed") == 4, 60, "four months")
    faults(sandbox, AIS, refusal=1)
    d.schedule(batch_size=2)
    wait_until(lambda: db.statuses().get("failed") == 2, 90, "two failed")
    wait_queue(db)
    found = verify(d, "?year_start=2023&year_end=2024")
    assert found["findings"] == [] and found["checked"]["coverage"] == 24
    assert db.statuses() == {"completed": 4, "failed": 2, "pending": 18}
    for name in AIS + ("isbndb",):
        used = db.value("SELECT sum(used) FROM api_quota WHERE provider = %s", name)
        rows = db.value(f"SELECT sum({name}_calls) FROM backfill_log")
        # usage is written once a second, the quota before a request is sent
        wait_until(lambda: db.value("SELECT sum(units) FROM api_usage WHERE provider = %s", name) == used, 10, f"{name}'s usage")
        assert rows == db.value("SELECT sum(units) FROM api_usage WHERE provider = %s AND month > 0", name), name
        assert rows > 0


def test_a_look_that_waits_holds_nobody_up(daemon, db):
    """While a look waits for a table that somebody has locked, months are worked on although there is one connection only, and a second
    look is refused; when the lock goes the first one answers."""
    d = daemon({**FEW, "database": {"connections": 1}, "enrichment": {"enabled": False}})
    d.seed(2024, 2024)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        with table_held(db, "enriched_authors", "ACCESS EXCLUSIVE"):
            first = pool.submit(verify, d)
            wait_until(lambda: db.value("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'enriched_authors'::regclass"), 30, "the look waits")
            second = d.get(VERIFY)
            assert second.status == 503 and "under way" in second.json["error"] and second.headers["Retry-After"]
            assert d.get(DOCTOR).status == 200
            d.schedule(batch_size=1)
            wait_until(lambda: db.month(2024, 12)["stage"] == "saving", 30, "a month goes on as far as it can")
        assert first.result(60)["checked"]["coverage"] == 12
    wait_until(lambda: db.statuses().get("completed") == 1, 60, "the month completed")
    assert verify(d)["findings"] == []


def test_totals_are_true_and_findings_bounded(daemon, db):
    """Of two thousand faults 500 come out, errors before warnings, and all are counted."""
    d = daemon({"scheduler": {"year_start": 1900, "year_end": 2100}})
    found = verify(d, "?year_start=1900&year_end=2099")
    assert (found["ok"], found["errors"], len(found["findings"]), found["found"]) == (False, 2400, 500, {"coverage": 2400})
    for query, field in (("year_start=1899", "year_start"), ("year_end=2101", "year_end"), ("year_start=x", "year_start"),
                         ("years=1", "years"), ("year_start=2024&year_end=2023", "year_start")):
        assert fields(d.get(f"{VERIFY}?{query}")) == [field], query
    assert fields(d.get(f"{DOCTOR}?x=1")) == ["x"]
    assert d.get(VERIFY, secret=None).status == 401 and d.get(DOCTOR, secret=None).status == 401
    assert d.post(VERIFY).status == 405


def test_nothing_after_faults_retries_and_kills(daemon, db, sandbox):
    """Errors at the AIs and two of the searchers (an open circuit of ISBNdb would let the queue wait for minutes), attempts that
    fail and are repeated, kill -9, a cancelled and a reset month, a redrive and books that are found when they are tried again: not
    one error, and at most a warning that calls were lost with the kill."""
    faults(sandbox, AIS + ("google_books", "archive_org"), 1, _500=0.04, _503=0.04, reset=0.05, invalid_json=0.03, html=0.02)
    latency(sandbox, AIS, 300)
    coverage(sandbox, 0.4)
    d = daemon({**FEW, "scheduler": {"concurrent_months": 6}})
    d.seed(2024, 2024)
    d.schedule(batch_size=12)
    wait_until(lambda: db.statuses().get("completed", 0) >= 2, 60, "two months")
    d.kill9()
    d.start()
    d.wait_ready()
    d.schedule(batch_size=12)
    assert not errors(verify(d))
    wait_until(lambda: db.statuses() == {"completed": 12}, 120, "12 months completed")
    faults(sandbox, AIS, empty=1)
    assert d.post("/api/internal/months/2024/6/reset").status == 200
    d.schedule(batch_size=1)
    wait_until(lambda: db.month(2024, 6)["retry_count"] >= 2, 60, "two failed attempts")
    assert not errors(verify(d))
    wait_until(lambda: d.post("/api/internal/months/2024/6/cancel").status == 200, 10, "cancelled")
    assert not errors(verify(d))
    faults(sandbox, AIS)
    assert d.post("/api/internal/months/2024/6/retry").status == 200
    wait_until(lambda: db.statuses() == {"completed": 12}, 120, "12 months completed again")
    wait_queue(db)
    d.post("/api/internal/enrichment/redrive", {"dry_run": False})
    coverage(sandbox, 1.0)
    db.execute("DELETE FROM isbn_resolutions")
    assert db.execute("INSERT INTO enrichment_queue (entity_type, entity_key, status, queued_by, work_key, year, month, max_retries)"
                      " SELECT DISTINCT ON (w.work_key) 'work', w.work_key, 'pending', 'backfilld', w.work_key, c.year, c.month, 5 FROM"
                      " enriched_works w JOIN backfill_candidates c USING (work_key) WHERE w.synthetic AND c.isbn13 IS NULL") > 0
    wait_queue(db)
    assert db.value("SELECT count(*) FROM backfill_events WHERE event = 'enhanced'") > 0
    found = verify(d)
    assert found["ok"], found["findings"]
    assert {f["check"] for f in found["findings"]} <= {"gemini_calls", "xai_calls", "isbndb_calls"}, found["findings"]


def test_reading_changes_nothing(daemon, db):
    """Verify, doctor and the dry run with its estimate write no row anywhere."""
    d = daemon({"enrichment": {"enabled": False}})
    d.seed(2024, 2024)
    tables = db.column("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1")
    quiet = [t for t in tables if t not in ("backfill_instances", "backfill_flushes", "backfill_alerts", "backfill_audit")]

    def everything():
        return {t: db.rows(f"SELECT * FROM {t} ORDER BY 1") for t in quiet}
    before = everything()
    verify(d)
    doctor(d)
    d.schedule(dry_run=True)
    d.get("/api/internal/months/2024/1/why")
    assert everything() == before


def test_the_doctor_finds_what_is_wrong(daemon, db, tmp_path):
    """A healthy stand has no error; each thing that is put wrong is named with its remedy, no secret's value appears."""
    secret = tmp_path / "gemini"
    secret.write_text("k" * 40 + "\n")
    secret.chmod(0o600)
    d = daemon({"provider.gemini": {"api_key_file": str(secret), "api_key_env": None}})
    found = doctor(d)
    # a throw-away cluster may be made without them
    assert not [f for f in found.values() if f["severity"] == "error" and f["subject"] not in ("fsync", "full_page_writes")], found
    assert d.get(DOCTOR).json["checked"]["indexes"] > 30
    secret.chmod(0o644)
    db.execute("DROP INDEX enriched_editions_work")
    db.execute("ALTER TABLE enriched_works DROP COLUMN librarything_ids")
    db.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'backfill_events_at'::regclass")
    db.execute("ALTER TABLE backfill_events SET (autovacuum_enabled = false)")
    db.execute("INSERT INTO provider_state (provider, kind, closed_until, reason) VALUES ('wikidata', 'circuit', now() + interval '1 h',"
               " 'five times HTTP 500')")
    db.execute("UPDATE backfill_instances SET version = '0.9'")
    found = doctor(d)
    for key, word in ((("indexes", "enriched_editions_work"), "CREATE INDEX"), (("indexes", "backfill_events_at"), "DROP INDEX"),
                      (("columns", "enriched_works.librarything_ids"), "add it as its migration does"),
                      (("files", "provider.gemini.api_key_file"), "chmod 600"), (("autovacuum", "backfill_events"), "RESET"),
                      (("circuits", "wikidata"), "curl"), (("instances", d.instance), "Upgrade")):
        assert word in found[key]["remedy"] and found[key]["text"], (key, found.get(key))
    assert "k" * 40 not in d.get(DOCTOR).text
    db.execute("UPDATE pg_index SET indisvalid = true WHERE indexrelid = 'backfill_events_at'::regclass")
    db.execute("UPDATE schema_migrations SET checksum = 'other' WHERE number = 20")
    assert doctor(d)[("schema", "schema")]["severity"] == "error"


def test_the_doctor_reads_the_configuration(daemon, db):
    """Smells: no contact, more months than connections carry, free AIs, an impolite rate, keys missing, nobody who enriches."""
    d = daemon({"daemon": {"contact": None}, "database": {"connections": 1}, "scheduler": {"concurrent_months": 20},
                "provider.xai": {"cost_per_mtok_in": 0, "cost_per_mtok_out": 0, "cost_per_call": 0},
                "provider.open_library": {"base_url": "https://openlibrary.org", "rate": "5/s", "enabled": "true"},
                "enrichment": {"enabled": False}}, env={"GEMINI_API_KEY": ""})
    db.execute("INSERT INTO enrichment_queue (entity_type, entity_key, queued_by) VALUES ('edition', '9780306406157', 'backfilld')")
    wait_until(lambda: ("queue", "enrichment.enabled") in doctor(d), 20, "the pulse has seen the queue")
    found = doctor(d)
    for key in (("configuration", "daemon.contact"), ("configuration", "scheduler.concurrent_months"), ("configuration", "xai"),
                ("configuration", "open_library"), ("keys", "gemini")):
        assert found[key]["remedy"], key
    assert found[("keys", "gemini")]["severity"] == "error"


def test_the_doctor_looks_at_the_server(daemon, db, sandbox, pg):
    """Settings of the server, its extension and locale, a provider whose key is refused, a pause: healthy, then sick, with remedies."""
    d = daemon({"daemon": {"instance": "sick"}, "enrichment": {"enabled": False}})
    sick = [("server", "track_counts"), ("extension", "pg_trgm"), ("providers", "gemini"),
            ("sessions", "pause")]
    healthy = doctor(d)
    assert not set(sick) & set(healthy) and ("locale", "C") not in healthy, healthy
    checked = d.get(DOCTOR).json["checked"]
    for check in ("schema", "columns", "indexes", "extension", "locale", "server", "autovacuum", "transactions", "instances", "clock",
                  "files", "configuration", "keys", "providers", "queue", "sessions"):
        assert checked[check] > 0, (check, checked)
    db.execute("UPDATE pg_extension SET extname = 'gone' WHERE extname = 'pg_trgm'")
    db.execute(f'ALTER DATABASE "{db.name}" SET track_counts = off')
    faults(sandbox, AIS, _401=1)
    d.seed(2024, 2024)
    d.schedule(batch_size=1)
    d.post("/api/internal/pause", {"note": "surgery"})
    wait_until(lambda: {("providers", "gemini"), ("sessions", "pause")} <= set(doctor(d)), 30, "refused and paused")
    # new sessions have the settings
    db.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'backfilld'")
    wait_until(lambda: d.get(DOCTOR).status == 200 and not set(sick) - set(doctor(d)), 30, "all sick", every=1)
    found = doctor(d)
    assert found[("providers", "gemini")]["severity"] == "error" and "reload" in found[("providers", "gemini")]["remedy"]
    assert "surgery" in found[("sessions", "pause")]["text"] and "resume" in found[("sessions", "pause")]["remedy"]
    assert "CREATE EXTENSION" in found[("extension", "pg_trgm")]["remedy"]
    assert found[("server", "track_counts")]["severity"] == "error"
