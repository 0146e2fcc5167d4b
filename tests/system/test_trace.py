"""What an operator sees of enrichment and does to its queue: one book's whole story, the list of items, failed items made due
again, an older system's items taken over. But for one test the daemon consumes nothing here: the rows are the test's own."""
import hashlib
from urllib.parse import quote

import pytest
from stand import wait_until

ISBN, ISBN10, SIBLING, UNKNOWN = "9780306406157", "0306406152", "9780316769488", "9780140449136"
BOOK, LIST = "/api/internal/books/", "/api/internal/enrichment"
REDRIVE, ADOPT = LIST + "/redrive", LIST + "/adopt"
SYNTHETIC = "synthetic:" + hashlib.md5(b"educated\ntara westover").hexdigest()
JOB = "00000000-0000-4000-8000-0000000000aa"
ITEM_KEYS = ["id", "entity_type", "key", "status", "attempts", "max_attempts", "waits_for", "error", "year", "month", "work_key",
             "job_id", "instance", "providers_attempted", "providers_succeeded", "created_at", "started_at", "next_attempt_at",
             "completed_at"]


@pytest.fixture
def still(daemon):
    """A daemon that takes no item of the queue."""
    return daemon({"enrichment": {"enabled": False}})


def fields(answer):
    """The fields that a 400 names."""
    assert answer.status == 400, answer
    assert answer.json["error"].startswith("Invalid request: ")
    return [p["field"] for p in answer.json["details"]]


def make_book(db):
    """A book of December 2018: named, resolved, queued, looked up, written; its synthetic work went into a real one."""
    db.execute("INSERT INTO backfill_log (year, month, status, job_id) VALUES (2018, 12, 'completed', %s)", JOB)
    db.execute("INSERT INTO backfill_answers (year, month, round, provider, fence, job_id, variant, model, outcome) VALUES"
               " (2018, 12, 0, 'xai', 1, %s, 'genre-rotation', 'grok-4.3', 'ok')", JOB)
    db.execute("INSERT INTO backfill_candidates (year, month, ord, title, author, generated_by, title_key, author_key, isbn13,"
               " confidence, resolved_by, work_key, state, answers) VALUES (2018, 12, 1, 'Educated: A Memoir', 'Tara Westover',"
               " '{gemini,xai}', 'educated', 'tara westover', %s, 97, 'isbndb', 'work:1', 'resolved',"
               " '{\"isbndb\":\"hit\",\"google_books\":\"miss\"}')", ISBN)
    db.execute("INSERT INTO enriched_works (work_key, title, synthetic, metadata) VALUES ('work:1', 'Educated', false,"
               " '{\"provenance\":{\"description\":{\"provider\":\"google_books\",\"at\":\"2026-01-14T00:00:00Z\"}}}')")
    db.execute("INSERT INTO enriched_authors (author_key, name, book_count) VALUES ('name:tara westover', 'Tara Westover', 3)")
    db.execute("INSERT INTO work_authors_enriched VALUES ('work:1', 'name:tara westover', 0)")
    db.execute("INSERT INTO enriched_editions (isbn, alternate_isbns, work_key, title, format, metadata) VALUES"
               " (%s, ARRAY[%s], 'work:1', 'Educated', 'Hardcover',"
               " '{\"provenance\":{\"publisher\":{\"provider\":\"isbndb\"}},\"missing\":\"wikidata\"}'),"
               " (%s, NULL, 'work:1', 'Educated', 'Paperback', '{}')", ISBN, ISBN10, SIBLING)
    db.execute("INSERT INTO enrichment_queue (entity_type, entity_key, status, queued_by, year, month, job_id, retry_count,"
               " completed_at, owner) VALUES ('edition', %s, 'completed', 'backfilld', 2018, 12, %s, 1, now(), 'test-9')", ISBN, JOB)
    db.execute("INSERT INTO provider_records (provider, isbn13, found, record, for_isbn) VALUES"
               " ('isbndb', %s, true, '{\"title\":\"Educated\"}', %s), ('isbndb', %s, true, '{}', %s),"
               " ('archive_org', %s, false, NULL, %s)", ISBN, ISBN, SIBLING, ISBN, ISBN, ISBN)
    for n, (kind, key, operation, detail) in enumerate([
            ("edition", ISBN, "lookup", None), ("edition", ISBN, "create_edition", None), ("work", SYNTHETIC, "merge_work",
                                                                                           '{"into":"work:1"}'),
            ("work", "work:1", "create_work", None), ("edition", UNKNOWN[:-1], "lookup", None)]):
        db.execute("INSERT INTO enrichment_log (entity_type, entity_key, operation, provider, success, instance, detail, created_at)"
                   " VALUES (%s, %s, %s, 'isbndb', true, 'test-9', %s, now() + %s * interval '1 ms')", kind, key, operation, detail, n)


def test_a_book_by_its_isbn(still, db):
    """In any spelling of its ISBN a book tells month, AIs, prompt, answers, records, item, steps, edition, work, authors and who
    gave what."""
    make_book(db)
    book = still.get(BOOK + ISBN).json
    assert list(book) == ["isbn13", "work_key", "merged_into", "named", "records", "queue", "log", "edition", "other_editions",
                          "work", "authors", "provenance"]
    assert (book["isbn13"], book["work_key"], book["merged_into"]) == (ISBN, "work:1", None)
    [named] = book["named"]
    assert (named["year"], named["month"], named["title"], named["author"]) == (2018, 12, "Educated: A Memoir", "Tara Westover")
    assert (named["prompt_variant"], named["model"], named["job_id"]) == ("genre-rotation", "grok-4.3", JOB)
    assert (named["generated_by"], named["state"], named["confidence"], named["resolved_by"]) == \
        (["gemini", "xai"], "resolved", 97, "isbndb")
    assert named["answers"] == {"isbndb": "hit", "google_books": "miss"}
    assert [(r["provider"], r["isbn13"], r["for_isbn"], r["found"], r["record"]) for r in book["records"]] == [
        ("archive_org", ISBN, ISBN, False, None), ("isbndb", ISBN, ISBN, True, {"title": "Educated"}),
        ("isbndb", SIBLING, ISBN, True, {})]
    [item] = book["queue"]
    assert set(ITEM_KEYS) <= set(item)
    assert (item["key"], item["status"], item["attempts"], item["job_id"], item["instance"]) == (ISBN, "completed", 1, JOB, "test-9")
    assert item["completed_at"].endswith("Z")
    assert [step["operation"] for step in book["log"]] == ["lookup", "create_edition", "merge_work", "create_work"]
    assert book["log"][2]["detail"] == {"into": "work:1"} and book["log"][0]["instance"] == "test-9"
    columns = db.column("SELECT column_name FROM information_schema.columns WHERE table_name = 'enriched_editions'")
    assert set(book["edition"]) == {*columns, "provenance"}
    assert book["edition"]["metadata"] == {"missing": "wikidata"}
    columns = db.column("SELECT column_name FROM information_schema.columns WHERE table_name = 'enriched_works'")
    assert set(book["work"]) == {*columns, "provenance"}
    assert book["other_editions"] == [{"isbn": SIBLING, "title": "Educated", "format": "Paperback", "language": None}]
    assert book["authors"] == [{"author_key": "name:tara westover", "name": "Tara Westover", "order": 0, "book_count": 3}]
    assert book["provenance"]["edition"] == book["edition"]["provenance"] == {"publisher": {"provider": "isbndb"}}
    assert book["provenance"]["work"]["description"]["provider"] == "google_books"
    for spelling in (ISBN10, "978-0-306-40615-7", "0-306-40615-2", "ISBN%20" + ISBN, "%39780306406157"):
        assert still.get(BOOK + spelling).json == book, spelling


def test_a_book_by_its_work(still, db):
    """A work's key shows the edition the month's book became; the synthetic key it began with leads there and says so."""
    make_book(db)
    by_isbn, by_work = still.get(BOOK + ISBN).json, still.get(BOOK + "work:1").json
    assert by_work == by_isbn
    absorbed = still.get(BOOK + SYNTHETIC).json
    assert (absorbed["work_key"], absorbed["merged_into"]) == (SYNTHETIC, "work:1")
    assert {**absorbed, "work_key": "work:1", "merged_into": None} == by_isbn
    db.execute("INSERT INTO enriched_works (work_key, title) VALUES ('/works/OL1 W', 'Old')")
    old = still.get(BOOK + quote("/works/OL1 W", safe="")).json
    assert old["work"]["title"] == "Old" and old["edition"] is None and old["isbn13"] is None
    assert old["named"] == old["records"] == old["queue"] == old["log"] == old["authors"] == []


def test_what_an_older_system_left(still, db):
    """An edition keyed by its ISBN-10 and metadata that is text of JSON, or an array, are read as what they mean."""
    db.execute("INSERT INTO enriched_works (work_key, title, metadata) VALUES ('w', 'Old', to_jsonb('{\"a\":1}'::text))")
    db.execute("INSERT INTO enriched_editions (isbn, work_key, title, metadata) VALUES (%s, 'w', 'Old',"
               " '[{\"a\":1},{\"provenance\":{\"title\":{\"provider\":\"isbndb\"}}}]')", ISBN10)
    book = still.get(BOOK + ISBN).json
    assert (book["isbn13"], book["edition"]["isbn"], book["work_key"]) == (ISBN, ISBN10, "w")
    assert book["edition"]["metadata"] == book["work"]["metadata"] == {"a": 1}
    assert book["provenance"] == {"edition": {"title": {"provider": "isbndb"}}, "work": None}


def test_no_such_book(still, db):
    """A book nobody has heard of is 404; a key that is no text, or too long, is 400; other paths are none."""
    make_book(db)
    for key in (UNKNOWN, "work:2", "synthetic:", "9780306406158", "%2E%2E", "x" * 200, "%C3%A9" * 200):
        assert still.get(BOOK + key).status == 404, key
    for key in ("%", "%4", "%zz", "%00", "a%0Ab", "%7f", "%ff", "%C0%AF", "x" * 201, "%C3%A9" * 201):
        assert fields(still.get(BOOK + key)) == ["key"], key
    for path in (BOOK, BOOK + "work:1/x", BOOK + ISBN + "/", LIST + "/", LIST + "/x"):
        assert still.get(path).status == 404, path
    assert still.post(BOOK + ISBN).status == 405
    assert still.get(REDRIVE).headers["Allow"] == "POST"


def test_the_secret_is_asked_for(still, db):
    """None of the four answers without the secret, and nothing happens."""
    make_items(db)
    for method, path in (("GET", BOOK + ISBN), ("GET", LIST), ("POST", REDRIVE), ("POST", ADOPT)):
        for secret in (None, "wrong"):
            answer = still.request(method, path, b'{"dry_run":false}' if method == "POST" else None, secret=secret)
            assert (answer.status, answer.json) == (401, {"error": "Unauthorized: Invalid or missing X-Cron-Secret"}), path
    assert db.value("SELECT count(*) FROM enrichment_queue WHERE status = 'failed' AND queued_by = 'backfilld'") == 4


def make_items(db):
    """Ten items of ours, oldest last; two of an older system."""
    db.execute("INSERT INTO enrichment_queue (entity_type, entity_key, status, queued_by, error_message, retry_count, waiting_for,"
               " providers_attempted, year, month, created_at) SELECT 'edition', 'k' || n, (ARRAY['pending', 'failed',"
               " 'processing', 'completed', 'failed'])[n %% 5 + 1], 'backfilld', CASE n %% 5 WHEN 1 THEN 'No record of it'"
               " WHEN 4 THEN 'ISBNdb: HTTP 500 \"x\"' END, 5, CASE n WHEN 5 THEN 'isbndb' END, CASE n WHEN 9 THEN"
               " '{open_library,isbndb}'::text[] ELSE '{}' END, 2020 + n %% 2, n, now() - n * interval '1 s'"
               " FROM generate_series(1, 10) AS n WHERE %s", True)
    db.execute("INSERT INTO enrichment_queue (entity_type, entity_key, status, error_message) VALUES"
               " ('edition', 'theirs', 'failed', 'No record of it'), ('edition', 'k1', 'pending', NULL)")


def keys(answer):
    assert answer.status == 200, answer
    return " ".join(item["key"] for item in answer.json["items"])


def test_the_list(still, db):
    """Items of ours, oldest first, by status, reason, provider and month; what failed, by reason; the rest of it 400."""
    assert still.get(LIST).json == {"status": None, "total": 0, "by_reason": {}, "items": [], "next": None}
    make_items(db)
    answer = still.get(LIST)
    assert keys(answer) == "k10 k9 k8 k7 k6 k5 k4 k3 k2 k1"
    assert list(answer.json) == ["status", "total", "by_reason", "items", "next"]
    assert all(list(item) == ITEM_KEYS for item in answer.json["items"])
    assert answer.json["by_reason"] == {"ISBNdb: HTTP 500 \"x\"": 2, "No record of it": 2}
    for query, want in (("status=failed", "k9 k6 k4 k1"), ("status=failed&reason=no%20RECORD", "k6 k1"),
                        ("reason=no+record", "k6 k1"), ("reason=HTTP+500+%22x", "k9 k4"), ("reason=%25", ""),
                        ("provider=isbndb", "k9 k5"), ("provider=wikidata", ""), ("year=2021&month=3", "k3"),
                        ("year=2020&status=pending", "k10"), ("month=7", "k7"), ("limit=2&status=failed", "k9 k6"), ("", "k10 k9 "
                         "k8 k7 k6 k5 k4 k3 k2 k1")):
        assert keys(still.get(f"{LIST}?{query}")) == want, query
    answer = still.get(LIST + "?status=completed&reason=x").json
    assert (answer["status"], answer["total"], answer["by_reason"]) == ("completed", 0, {})
    for query, field in (("stauts=failed", "stauts"), ("status=retry", "status"), ("status=", "status"), ("provider=amazon",
                         "provider"), ("year=1899", "year"), ("year=20x4", "year"), ("month=0", "month"), ("month=13", "month"),
                         ("limit=0", "limit"), ("limit=501", "limit"), ("limit=1&limit=1", "limit"), ("reason=", "reason"),
                         ("reason=%00", "reason"), ("reason=%zz", "reason"), ("after=k1", "after"), ("after=" + JOB, "after")):
        assert fields(still.get(f"{LIST}?{query}")) == [field], query
    assert fields(still.get(LIST + "?limit=0&month=0&x=1")) == ["limit", "month", "x"]


def test_the_pages(still, db):
    """`next` leads through all items once, also when new ones come and others change in between, and is null on the last page."""
    make_items(db)
    db.execute("UPDATE enrichment_queue SET created_at = '2024-01-01' WHERE entity_key <> 'k1'")
    seen, after, pages = [], "", 0
    while after is not None:
        page = still.get(f"{LIST}?limit=4{after and '&after='}{after}").json
        seen += [item["key"] for item in page["items"]]
        after, pages = page["next"], pages + 1
        if pages == 1:
            assert page["total"] == 10
            db.execute("INSERT INTO enrichment_queue (entity_type, entity_key, queued_by) VALUES ('edition', 'new', 'backfilld')")
            db.execute("UPDATE enrichment_queue SET status = 'pending' WHERE id = %s", page["next"])
    assert pages == 3 and len(seen) == 11 == len(set(seen)) and seen[-1] == "new"


def test_redriving(still, db):
    """Nothing happens unless dry_run is false; then the oldest that match are due without attempts, with the reason in the log."""
    make_items(db)
    before = db.rows("SELECT * FROM enrichment_queue ORDER BY id")
    for body in (None, {}, {"dry_run": True}):
        assert still.post(REDRIVE, body).json == {
            "dry_run": True, "limit": 1000, "matched": 4, "redriven": 0,
            "by_reason": {"ISBNdb: HTTP 500 \"x\"": 2, "No record of it": 2}}
    assert still.post(REDRIVE, {"reason": "http 500", "year": 2021, "month": 9, "provider": "isbndb"}).json["matched"] == 1
    for body, field in (({"dry_ron": False}, "dry_ron"), ({"dry_run": "false"}, "dry_run"), ({"dry_run": 0}, "dry_run"),
                        ({"limit": 0}, "limit"), ({"limit": 100001}, "limit"), ({"reason": ""}, "reason"), ({"provider": "x"},
                        "provider"), ({"year": 2024.5}, "year"), ({"month": None}, "month"), ({"status": "failed"}, "status")):
        assert fields(still.post(REDRIVE, {"dry_run": False, **body} if body != {"dry_ron": False} else body)) == [field], body
    assert db.rows("SELECT * FROM enrichment_queue ORDER BY id") == before
    assert db.value("SELECT count(*) FROM enrichment_log") == 0
    answer = still.post(REDRIVE, {"dry_run": False, "limit": 3}).json
    assert (answer["dry_run"], answer["matched"], answer["redriven"]) == (False, 4, 3)
    assert answer["by_reason"] == {"ISBNdb: HTTP 500 \"x\"": 2, "No record of it": 1}
    assert keys(still.get(LIST + "?status=failed")) == "k1"
    items = {item["key"]: item for item in still.get(LIST + "?status=pending").json["items"]}
    assert set(items) == {"k4", "k5", "k6", "k9", "k10"}
    assert [(items[k]["attempts"], items[k]["error"], items[k]["next_attempt_at"]) for k in ("k4", "k6", "k9")] == [(0, None, None)] * 3
    assert items["k5"]["attempts"] == 5 and items["k5"]["waits_for"] == "isbndb"
    assert [(r["entity_key"], r["error_message"], r["instance"]) for r in
            db.rows("SELECT * FROM enrichment_log WHERE operation = 'redrive' ORDER BY entity_key")] == [
        ("k4", "ISBNdb: HTTP 500 \"x\"", still.instance), ("k6", "No record of it", still.instance),
        ("k9", "ISBNdb: HTTP 500 \"x\"", still.instance)]
    assert still.post(REDRIVE, {"dry_run": False}).json["redriven"] == 1
    assert still.post(REDRIVE, {"dry_run": False}).json["matched"] == 0
    assert db.value("SELECT status FROM enrichment_queue WHERE entity_key = 'theirs'") == "failed"


def test_adopting(daemon, db):
    """An older system's editions become ours with our number of attempts, oldest first; those that are ours by their ISBN already,
    and second rows of one ISBN, are left alone and counted."""
    d = daemon({"enrichment": {"enabled": False, "max_attempts": 7}})
    db.execute("INSERT INTO enrichment_queue (entity_type, entity_key, status, retry_count, created_at, queued_by, error_message) VALUES"
               " ('edition', 'a', 'processing', 2, '2024-01-01', NULL, NULL), ('edition', 'b', 'failed', 3, '2024-01-02', NULL, 'bad'),"
               " ('edition', 'b', 'pending', 0, '2024-01-03', NULL, NULL), ('edition', 'c', 'pending', 0, '2024-01-01', NULL, NULL),"
               " ('edition', 'c', 'pending', 0, '2023-01-01', 'backfilld', NULL), ('edition', 'd', 'completed', 0, '2023-01-01', NULL,"
               " NULL), ('work', 'e', 'pending', 0, '2023-01-01', NULL, NULL), ('edition', 'f', 'pending', 0, NULL, NULL, NULL)")
    before = db.rows("SELECT * FROM enrichment_queue ORDER BY id")
    assert d.post(ADOPT, {"dry_run": True}).json == {"dry_run": True, "limit": 10000, "adopted": 0, "duplicates": 1, "left": 4}
    for body, field in (({"limit": 0}, "limit"), ({"limit": 100001}, "limit"), ({"limit": "1"}, "limit"), ({"dryrun": True}, "dryrun")):
        assert fields(d.post(ADOPT, body)) == [field], body
    assert db.rows("SELECT * FROM enrichment_queue ORDER BY id") == before
    assert d.post(ADOPT, {"limit": 1}).json == {"dry_run": False, "limit": 1, "adopted": 1, "duplicates": 1, "left": 3}
    assert keys(d.get(LIST)) == "c a"
    assert d.post(ADOPT).json == {"dry_run": False, "limit": 10000, "adopted": 2, "duplicates": 2, "left": 0}
    ours = db.rows("SELECT entity_key, status, retry_count, max_retries, error_message FROM enrichment_queue"
                   " WHERE queued_by = 'backfilld' ORDER BY entity_key")
    assert [tuple(row.values()) for row in ours] == [("a", "pending", 0, 7, None), ("b", "failed", 3, 7, "bad"),
                                                     ("c", "pending", 0, 3, None), ("f", "pending", 0, 7, None)]
    assert db.column("SELECT entity_key FROM enrichment_queue WHERE queued_by IS NULL ORDER BY 1") == ["b", "c", "d", "e"]
    assert d.post(ADOPT).json["adopted"] == 0


def test_figures_of_the_queue(still, db):
    """The statistics and the metrics count our items alone."""
    make_items(db)
    db.execute("UPDATE enrichment_queue SET next_attempt_at = now() + interval '1 h' WHERE entity_key = 'k5'")
    db.execute("UPDATE enrichment_queue SET completed_at = now() - interval '2 d' WHERE entity_key = 'k3'")
    db.execute("UPDATE enrichment_queue SET completed_at = now() WHERE entity_key = 'k8'")
    figures = still.stats()["enrichment"]
    assert 0 < figures.pop("oldest_age_s") < 600
    assert figures == {"pending": 2, "waiting": 1, "processing": 2, "completed": 2, "failed": 4, "completed_24h": 1}


def test_every_book_of_a_month_has_its_story(daemon, db):
    """After a month and its enrichment each ISBN leads from the AI that named it to the columns it filled, and the same is told
    by its work's key and by the synthetic key it began with."""
    d = daemon()
    d.seed(2024, 2024)
    d.schedule(batch_size=1)
    d.wait_months(1)
    wait_until(lambda: not db.value("SELECT count(*) FROM enrichment_queue WHERE status IN ('pending', 'processing')"), 60,
               "the queue is done")
    done = db.rows("SELECT c.*, 'synthetic:' || md5(c.title_key || chr(10) || c.author_key) AS first_key FROM backfill_candidates c"
                   " JOIN enrichment_queue q ON q.entity_key = c.isbn13 WHERE c.state = 'resolved' AND q.status = 'completed'")
    assert len(done) > 5
    for row in done:
        book = d.get(BOOK + row["isbn13"]).json
        [named] = [n for n in book["named"] if n["title"] == row["title"]]
        assert (named["year"], named["month"], named["generated_by"]) == (2024, 12, row["generated_by"])
        assert named["prompt_variant"] == "contemporary-notable" and named["job_id"] and named["model"]
        assert named["answers"] and named["resolved_by"] and named["confidence"] >= 70
        assert any(r["found"] and r["record"] for r in book["records"])
        [item] = [q for q in book["queue"] if q["key"] == row["isbn13"]]
        assert (item["status"], item["year"], item["month"]) == ("completed", 2024, 12)
        assert {"create_edition"} <= {s["operation"] for s in book["log"]} and all(s["at"] for s in book["log"])
        assert book["edition"]["isbn"] == row["isbn13"] and book["edition"]["work_key"] == book["work"]["work_key"]
        assert book["work"]["synthetic"] is False and book["authors"]
        given = book["provenance"]["edition"]
        assert given["title"]["provider"] in ("isbndb", "open_library", "wikidata", "archive_org", "google_books"), given
        assert d.get(BOOK + row["first_key"]).json["work"] == book["work"]
        assert d.get(BOOK + book["work_key"]).json["work"] == book["work"]
    metrics = d.metrics()
    assert metrics['backfill_enrichment_items_total{outcome="completed"}'] >= len(done)
    assert metrics["backfill_enrichment_batch_duration_seconds_count"] > 0
