"""Enrichment against providers that fail, are closed, out of quota or do not know: nobody waits for ever, nothing is lost, and no
failure is ever taken for "not found"."""
import pytest
from stand import wait_until
from steps import (LOOKED_UP, coverage, edition, editions, faults, hurry, isbn10_of, item, queue, queue_statuses, wait_queue,
                   wait_queue_hurried)

UNKNOWN = ["9780306406157", "9783161484100", "9781861972712"]      # valid, and known to nobody in the sandbox
NOT_FOUND = "no provider knows"


def reload(d, **overrides):
    """A reload with these sections on top, applied."""
    times = d.log.count("configuration reloaded")
    d.write_ini(overrides)
    d.hup()
    wait_until(lambda: d.log.count("configuration reloaded") > times, 30, "the reload")


def isbns(sandbox, n):
    return [line["isbn"] for line in editions(sandbox)[:n]]


def redrive(d, **body):
    """POST redrive; its answer."""
    answer = d.post("/api/internal/enrichment/redrive", body)
    assert answer.status == 200, answer
    return answer.json


def failed_items(d, **query):
    """GET enrichment?status=failed."""
    more = "".join(f"&{k}={v}" for k, v in query.items())
    answer = d.get(f"/api/internal/enrichment?status=failed{more}")
    assert answer.status == 200, answer
    return answer.json


# ---- who is not known ----
def test_an_isbn_that_nobody_knows(daemon, db, sandbox):
    """ISBNs of nobody among twenty known ones: failed at once with a reason that says so, without using up attempts; the
    others are completed. The misses are kept, so that a second look costs nothing; a redrive wants to know it anew."""
    coverage(sandbox, 1.0, LOOKED_UP)
    known = isbns(sandbox, 20)
    d = daemon()
    queue(db, known[:10] + UNKNOWN + known[10:])
    wait_queue(db, completed=20, failed=3)
    for isbn in UNKNOWN:
        row = item(db, isbn)
        assert NOT_FOUND in row["error_message"] and row["retry_count"] == 0
        assert set(row["providers_attempted"]) == set(LOOKED_UP) and not row["providers_succeeded"]
        assert row["completed_at"] and not edition(db, isbn)
    assert {r["found"] for r in db.rows("SELECT found FROM provider_records WHERE isbn13 = %s", UNKNOWN[0])} == {False}
    seen = failed_items(d)
    assert seen["total"] == 3 and sorted(i["key"] for i in seen["items"]) == sorted(UNKNOWN)
    assert all(NOT_FOUND in i["error"] for i in seen["items"])
    db.execute("UPDATE enrichment_queue SET status = 'pending', completed_at = NULL WHERE status = 'failed'")
    db.execute("NOTIFY enrichment_queue")
    wait_queue(db, completed=20, failed=3)
    assert sandbox.counters("isbndb")["units"] == 23
    assert redrive(d)["matched"] == 3 == redrive(d, dry_run=False)["redriven"]
    wait_queue(db, completed=20, failed=3)
    assert sandbox.counters("isbndb")["units"] == 26


@pytest.mark.asan
def test_an_isbn_that_is_none(daemon, db, sandbox):
    """Keys that are no ISBN fail at once with their own words; one written with hyphens or as ISBN-10 is put right."""
    coverage(sandbox, 1.0, LOOKED_UP)
    daemon()
    ten = next(line["isbn"] for line in editions(sandbox) if line["isbn"].startswith("978"))
    short = isbn10_of(ten)
    other = next(i for i in isbns(sandbox, 9) if i != ten)
    hyphens = f"{other[:3]}-{other[3]}-{other[4:9]}-{other[9:12]}-{other[12]}"
    queue(db, ["9780306406158", "no isbn at all", short, hyphens])
    wait_queue(db, completed=2, failed=2)
    assert all("is not an ISBN" in r for r in db.column("SELECT error_message FROM enrichment_queue WHERE status = 'failed'"))
    assert {item(db, ten)["status"], item(db, other)["status"]} == {"completed"}
    assert edition(db, ten) and edition(db, other)


def test_one_bad_record_costs_that_item_alone(daemon, db, sandbox):
    """One malformed record in ISBNdb's answer: the other ISBNs of the batch are enriched from it, and what is wrong with that
    one (a number for a title, no authors) is not taken over."""
    coverage(sandbox, 1.0, LOOKED_UP)
    faults(sandbox, ["isbndb"], one_bad_item=1.0)
    daemon()
    queue(db, isbns(sandbox, 30))
    wait_queue(db, completed=30)
    assert db.value("SELECT count(*) FROM enriched_editions WHERE primary_provider = 'isbndb'") >= 29
    assert not db.rows("SELECT isbn, title FROM enriched_editions e WHERE title ~ '^[0-9]+$' OR NOT EXISTS"
                       " (SELECT FROM work_authors_enriched l WHERE l.work_key = e.work_key)")


def test_an_answer_without_anything(daemon, db, sandbox):
    """ISBNdb knows nothing of a batch: what the free providers know is enriched from them, and it is no failure."""
    coverage(sandbox, 1.0, ["open_library", "wikidata", "archive_org"])
    coverage(sandbox, 0, ["isbndb"])
    daemon()
    queue(db, isbns(sandbox, 15))
    wait_queue(db, completed=15)
    assert db.value("SELECT count(*) FROM enriched_editions WHERE primary_provider <> 'isbndb'") == 15
    assert db.value("SELECT max(retry_count) FROM enrichment_queue") == 0


def test_archive_org_is_the_last_resort(daemon, db, sandbox):
    """Archive.org is asked about what nobody else knows, and about nothing else."""
    coverage(sandbox, 1.0, ["isbndb", "archive_org"])
    coverage(sandbox, 0, ["open_library", "wikidata"])
    daemon()
    queue(db, isbns(sandbox, 5))
    wait_queue(db, completed=5)
    assert sandbox.counters("archive_org")["requests"] == 0
    coverage(sandbox, 0, ["isbndb"])
    queue(db, isbns(sandbox, 10)[5:])
    wait_queue(db, completed=10)
    assert sandbox.counters("archive_org")["requests"] > 0
    assert db.value("SELECT count(*) FROM enriched_editions WHERE primary_provider = 'archive_org'") == 5


# ---- quota ----
def test_out_of_quota_items_wait(daemon, db, sandbox):
    """Ten units for 30 ISBNs: ten are bought, the others wait for isbndb and say so, without an attempt; when the limit is
    raised by a reload they go on by themselves."""
    d = daemon({"provider.isbndb": {"daily_limit": 10, "reserve": 0}})
    coverage(sandbox, 1.0, LOOKED_UP)
    queue(db, isbns(sandbox, 30))
    wait_until(lambda: db.value("SELECT count(*) FROM enrichment_queue WHERE waiting_for = 'isbndb'") == 20, 60, "20 that wait")
    wait_queue(db, completed=10, pending=20)
    assert sandbox.counters("isbndb")["units"] == 10
    for row in db.rows("SELECT * FROM enrichment_queue WHERE status = 'pending'"):
        assert row["retry_count"] == 0 and row["next_attempt_at"]
        assert "isbndb" in row["error_message"] and "quota" in row["error_message"]
    status = d.get("/api/quota/status", secret=None).json["data"]
    assert (status["used"], status["can_make_calls"]) == (10, False)
    reload(d, **{"provider.isbndb": {"daily_limit": 1000}})
    wait_queue(db, completed=30)
    assert sandbox.counters("isbndb")["units"] == 30
    assert db.value("SELECT count(*) FROM enrichment_queue WHERE error_message IS NOT NULL") == 0


def test_the_reserve_is_not_touched(daemon, db, sandbox):
    """daily_limit 40 and reserve 25 leave 15 units for 30 ISBNs, used in bulk and to the last one."""
    daemon({"provider.isbndb": {"daily_limit": 40, "reserve": 25}})
    coverage(sandbox, 1.0, LOOKED_UP)
    queue(db, isbns(sandbox, 30))
    wait_queue(db, completed=15, pending=15)
    assert sandbox.counters("isbndb")["units"] == 15
    assert db.value("SELECT used FROM api_quota WHERE provider = 'isbndb'") == 15


def test_the_providers_own_no(daemon, db, sandbox):
    """ISBNdb says that the day's quota is gone although our count says otherwise: the items wait for it, none fails; the next
    day they are completed."""
    coverage(sandbox, 1.0, LOOKED_UP)
    faults(sandbox, ["isbndb"], _429_daily=1.0)
    daemon({"provider.isbndb": {"daily_limit": 15000, "reserve": 2000}})
    queue(db, isbns(sandbox, 12))
    wait_until(lambda: db.value("SELECT count(*) FROM enrichment_queue WHERE waiting_for = 'isbndb' AND status = 'pending'") == 12,
               60, "all wait")
    assert db.value("SELECT max(retry_count) FROM enrichment_queue") == 0
    assert db.value("SELECT count(*) FROM provider_records WHERE NOT found") == 0
    faults(sandbox, ["isbndb"])
    wait_queue_hurried(db, completed=12)


# ---- outages ----
def test_an_outage_is_not_a_miss(daemon, db, sandbox):
    """All four providers fail: the items are tried again with backoff or wait for them, none is called unknown, no miss is
    kept; mended, all are completed."""
    coverage(sandbox, 1.0, LOOKED_UP)
    faults(sandbox, LOOKED_UP, _503=1.0)
    daemon()
    queue(db, isbns(sandbox, 6), max_retries=50)
    wait_until(lambda: db.value("SELECT count(*) FROM enrichment_queue WHERE error_message IS NOT NULL") == 6, 60, "all tried")
    for _ in range(4):
        hurry(db)
        wait_until(lambda: not queue_statuses(db).get("processing"), 30, "another round")
    for row in db.rows("SELECT * FROM enrichment_queue"):
        assert row["status"] == "pending" and NOT_FOUND not in row["error_message"]
        assert any(p in row["error_message"] for p in LOOKED_UP), row["error_message"]
    assert db.value("SELECT count(*) FROM provider_records") == 0
    assert db.value("SELECT count(*) FROM enrichment_log WHERE operation = 'lookup' AND success") == 0
    assert db.value("SELECT count(*) FROM enrichment_log WHERE operation = 'lookup' AND NOT success AND error_message <> ''") > 0
    faults(sandbox, LOOKED_UP)
    wait_queue_hurried(db, completed=6)
    assert db.value("SELECT count(*) FROM enrichment_queue WHERE error_message IS NOT NULL OR waiting_for IS NOT NULL") == 0


def test_one_free_provider_down_holds_nobody(daemon, db, sandbox):
    """Open Library fails: what ISBNdb knows is enriched without it, and the edition tells who could not be asked."""
    coverage(sandbox, 1.0, LOOKED_UP)
    faults(sandbox, ["open_library"], _503=1.0)
    daemon()
    queue(db, isbns(sandbox, 6))
    wait_queue(db, completed=6)
    for metadata in db.column("SELECT metadata FROM enriched_editions"):
        assert "open_library" in str(metadata), metadata
    assert db.value("SELECT count(*) FROM provider_records WHERE provider = 'open_library'") == 0


def test_a_disabled_provider_is_not_waited_for(daemon, db, sandbox):
    """ISBNdb without a key or switched off: the free ones serve, nobody waits for it."""
    coverage(sandbox, 1.0, LOOKED_UP)
    daemon({"provider.isbndb": {"enabled": False}})
    queue(db, isbns(sandbox, 6))
    wait_queue(db, completed=6)
    assert sandbox.counters("isbndb")["requests"] == 0
    assert db.value("SELECT count(*) FROM enriched_editions WHERE primary_provider = 'open_library'") > 0


def test_a_refused_key_is_waited_for(daemon, db, sandbox):
    """ISBNdb refuses the key: the items wait for it, say why, and go on when the key has been mended."""
    coverage(sandbox, 1.0, LOOKED_UP)
    faults(sandbox, ["isbndb"], _401=1.0)
    d = daemon()
    queue(db, isbns(sandbox, 6))
    wait_until(lambda: db.value("SELECT count(*) FROM enrichment_queue WHERE status = 'pending' AND error_message <> ''") == 6,
               60, "they wait")
    assert all("isbndb" in text for text in db.column("SELECT error_message FROM enrichment_queue"))
    assert db.value("SELECT count(*) FROM provider_records WHERE provider = 'isbndb'") == 0
    faults(sandbox, ["isbndb"])
    reload(d)
    wait_queue_hurried(db, completed=6)


@pytest.mark.asan
def test_failing_for_good(daemon, db, sandbox):
    """Providers that fail every time: after max_retries attempts with backoff the items are failed with the true reason, are
    listed, and a redrive (a dry run first, which changes nothing) completes them once the providers are mended."""
    coverage(sandbox, 1.0, LOOKED_UP)
    faults(sandbox, ["isbndb"], _500=1.0)
    d = daemon()
    queue(db, isbns(sandbox, 8), max_retries=2)
    wait_until(lambda: db.value("SELECT min(retry_count) FROM enrichment_queue") == 1, 60, "the first attempt")
    assert db.value("SELECT bool_and(status <> 'failed') FROM enrichment_queue WHERE retry_count = 1")
    wait_queue_hurried(db, failed=8)
    for row in db.rows("SELECT * FROM enrichment_queue"):
        assert row["retry_count"] == 2 and row["completed_at"] and row["next_attempt_at"] is None
        assert "isbndb" in row["error_message"] and NOT_FOUND not in row["error_message"]
    seen = failed_items(d)
    assert seen["total"] == len(seen["items"]) == 8 and sum(seen["by_reason"].values()) == 8
    assert all(i["attempts"] == 2 and "isbndb" in i["error"] for i in seen["items"])
    before = db.rows("SELECT * FROM enrichment_queue ORDER BY id")
    for told in (redrive(d), redrive(d, dry_run=True)):     # nothing said is a dry run, too
        assert (told["dry_run"], told["matched"], told["redriven"]) == (True, 8, 0)
    assert db.rows("SELECT * FROM enrichment_queue ORDER BY id") == before
    assert redrive(d, dry_run=False, reason="no such reason")["redriven"] == 0
    faults(sandbox, ["isbndb"])
    told = redrive(d, dry_run=False)
    assert (told["dry_run"], told["redriven"]) == (False, 8)
    wait_queue_hurried(db, completed=8)
    assert failed_items(d)["total"] == 0
    assert db.value("SELECT count(*) FROM enrichment_log WHERE operation IN ('retry', 'failed') AND NOT success") >= 16


def test_a_third_of_all_answers_is_bad(daemon, db, sandbox):
    """429, 5xx, cut-off, garbled answers and resets mixed, 30 % of all: every item ends completed or failed for a true reason,
    none is lost or called unknown; mended and redriven, all are completed, each once."""
    coverage(sandbox, 1.0, LOOKED_UP)
    for p in LOOKED_UP:     # a rate answer of ISBNdb and Open Library is a minute's rest
        limited = 0.05 if p in ("wikidata", "archive_org") else 0
        sandbox.control({"providers": {p: {"faults": {"429": limited, "500": 0.05, "503": 0.1 - limited, "truncated": 0.05,
                                                      "invalid_json": 0.05, "reset": 0.05}}}})
    d = daemon({"enrichment": {"batch": 5}})
    asked = isbns(sandbox, 50)
    queue(db, asked, max_retries=2)

    def over():
        hurry(db)
        return set(queue_statuses(db)) <= {"completed", "failed"}
    wait_until(over, 120, "the end of all items", every=0.5)
    assert sum(queue_statuses(db).values()) == 50
    for row in db.rows("SELECT * FROM enrichment_queue WHERE status = 'failed'"):
        assert any(p in row["error_message"] for p in LOOKED_UP) and NOT_FOUND not in row["error_message"]
    assert queue_statuses(db)["completed"] >= 20
    assert db.value("SELECT count(*) FROM provider_records WHERE NOT found AND provider = 'isbndb'") == 0
    bad = sum(n for status, n in sandbox.counters("isbndb")["by_status"].items() if status != "200")
    assert bad > 0
    sandbox.control({"providers": {p: {"faults": {}} for p in LOOKED_UP}})
    redrive(d, dry_run=False)
    wait_queue_hurried(db, completed=50)
    assert sorted(db.column("SELECT isbn FROM enriched_editions")) == sorted(asked)
    assert db.value("SELECT count(*) FROM (SELECT entity_key FROM enrichment_log WHERE operation = 'create_edition' GROUP BY 1"
                    " HAVING count(*) > 1) AS twice") == 0
