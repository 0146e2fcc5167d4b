"""Enrichment end to end: months whose queue ends empty, editions, works and authors as the providers tell, nothing bought twice."""
import json
import re
import types

import harness
import pytest
import stand
from stand import http, wait_until
from steps import (FEW, LOOKED_UP, SEARCHERS, authors_of, coverage, edition, editions, held_by_isbndb, isbn13_of, item, latency,
                   queue, queue_statuses, wait_done, wait_queue, work_of)

OFF = {"enrichment": {"enabled": False}}
EDITION_FIELDS = ("title", "subtitle", "publisher", "publication_date", "page_count", "format", "language", "cover",
                  "openlibrary_edition_id", "amazon_asins", "google_books_volume_ids", "goodreads_edition_ids")
WORK_FIELDS = ("title", "subtitle", "description", "original_language", "first_publication_year", "subject_tags", "cover",
               "openlibrary_work_id", "goodreads_work_ids", "amazon_asins", "google_books_volume_ids")
BASE_QUALITY = {"isbndb": 40, "google_books": 30, "open_library": 20}
PROVENANCE_OF = ("title", "publisher", "publication_date", "page_count", "format", "language")


def switch_on(d, times=1):
    """Enrichment enabled by a reload."""
    d.write_ini({"enrichment": {"enabled": True}})
    d.hup()
    wait_until(lambda: d.log.count("configuration reloaded") >= times, 30, "the reload")


def settled(sandbox):
    """Until no look-up is under way; the units ISBNdb has counted then."""
    wait_until(lambda: all(sandbox.counters(p)["in_flight"] == 0 for p in SEARCHERS), 30, "nothing under way")
    return sandbox.counters("isbndb")["units"]


def filled(row, fields):
    """How many of the fields have something in them; a cover is any of three sizes."""
    n = 0
    for field in fields:
        names = [f"cover_url_{size}" for size in ("large", "medium", "small")] if field == "cover" else [field]
        n += any(row[name] not in (None, "", 0, []) for name in names)
    return n


def surname(name):
    """What stays the same of a name however it is written."""
    words = [w for w in re.split(r"[\s.,]+", name.casefold()) if w and w not in ("jr", "sr", "ii", "iii", "iv")]
    return words[-1] if words else ""


def first_isbn(sandbox, known, unknown):
    """The ISBN of a first edition that the providers `known` have by ISBN and `unknown` have not (isbndb, open_library)."""
    for line in editions(sandbox):
        has = {
            "isbndb": http("GET", f"{sandbox.url}/isbndb/book/{line['isbn']}", None, {"Authorization": "k"}).status == 200,
            "open_library": http("GET", f"{sandbox.url}/open_library/api/books?bibkeys=ISBN:{line['isbn']}&format=json"
                                 "&jscmd=data").text.strip() != "{}",
        }
        if all(has[p] for p in known) and not any(has[p] for p in unknown):
            sandbox.reset()
            return line["isbn"]
    raise AssertionError("the catalogue has no such book")


# ---- four months, run to the end of their queue ----
@pytest.fixture(scope="module", name="done")
def done_fixture(pg, tmp_path_factory):
    """Four months, completed with enrichment switched off, then enriched. What was before is in .items, .works, .records,
    .units; the end of it in .units_end and in the database."""
    with harness.whole_stand(pg, tmp_path_factory.mktemp("enriched")) as (db, sandbox, daemon):
        d = daemon(OFF)
        d.seed(2024, 2024)
        d.schedule(batch_size=4)
        wait_until(lambda: db.statuses().get("completed") == 4, 90, "four months")
        left = types.SimpleNamespace(db=db, sandbox=sandbox, d=d, units=settled(sandbox))
        left.items = db.rows("SELECT * FROM enrichment_queue")
        left.works = {w["work_key"]: w for w in db.rows("SELECT * FROM enriched_works")}
        left.editions = db.value("SELECT count(*) FROM enriched_editions")
        left.records = {(r["provider"], r["isbn13"]) for r in db.rows("SELECT * FROM provider_records WHERE found")}
        switch_on(d)
        wait_until(lambda: set(queue_statuses(db)) <= {"completed", "failed"} and
                   db.value("SELECT count(*) FROM enriched_editions"), 90, "the end of the queue")
        left.units_end = settled(sandbox)
        yield left


def test_switched_off_it_takes_nothing(done):
    """enrichment.enabled = false: the months completed and queued their ISBNs, and none was taken, asked for or written."""
    assert done.items and {i["status"] for i in done.items} == {"pending"}
    assert all(i["started_at"] is None and not i["fence"] and not i["providers_attempted"] for i in done.items)
    assert done.editions == 0 and all(w["synthetic"] for w in done.works.values())


def test_what_a_month_queues(done):
    """Each resolved ISBN once, ours, due now, with the attempts of the configuration and the month it came from, and the
    record that came with the resolution is kept."""
    isbns = set(done.db.column("SELECT isbn13 FROM backfill_candidates WHERE state = 'resolved'"))
    assert isbns <= {i["entity_key"] for i in done.items}
    assert len(done.items) == len({i["entity_key"] for i in done.items})
    for i in done.items:
        assert (i["entity_type"], i["queued_by"], i["max_retries"], i["retry_count"]) == ("edition", "backfilld", 5, 0)
        assert i["year"] == 2024 and 9 <= i["month"] <= 12
    resolved = done.db.rows("SELECT isbn13, resolved_by FROM backfill_candidates WHERE state = 'resolved'")
    assert all((r["resolved_by"], r["isbn13"]) in done.records for r in resolved)


def test_the_queue_ends_empty(done):
    """Every item is completed, once, at its time, without an error; no instance holds one; the figures say so."""
    assert set(queue_statuses(done.db)) == {"completed"}
    for i in done.db.rows("SELECT * FROM enrichment_queue"):
        assert i["completed_at"] >= i["started_at"] >= i["created_at"]
        assert i["error_message"] is None and i["waiting_for"] is None
    assert done.db.value("SELECT count(*) FROM (SELECT entity_key FROM enrichment_log WHERE operation = 'create_edition'"
                         " GROUP BY 1 HAVING count(*) > 1) AS twice") == 0
    wait_until(lambda: done.d.metrics().get("backfill_queue_depth") == 0, 30, "the metric")


def test_every_queued_isbn_has_an_edition_a_work_and_authors_in_order(done):
    """Each queued ISBN has its row in editions, that one a work, and the work its authors in the order of the title page."""
    truth = {line["isbn"]: line for line in editions(done.sandbox, first=False)}
    compared = 0
    for i in done.db.rows("SELECT * FROM enrichment_queue WHERE entity_type = 'edition'"):
        row = edition(done.db, i["entity_key"])
        assert row and row["work_key"], i["entity_key"]
        links = done.db.rows("SELECT * FROM work_authors_enriched WHERE work_key = %s ORDER BY author_order", row["work_key"])
        assert links, f"no author: {row['title']}"
        assert len({link["author_order"] for link in links}) == len(links)
        line = truth.get(i["entity_key"])
        if line:
            ours = [surname(n) for n in authors_of(done.db, row["work_key"])]
            theirs = [surname(n) for n in line["authors"].split(";")]
            n = min(len(ours), len(theirs))     # some leave the second author out, some add a translator
            assert n and ours[:n] == theirs[:n], (ours, theirs, row["title"])
            compared += 1
    assert compared > 60


def test_the_synthetic_work_of_a_resolved_book_became_real(done):
    """Every resolved candidate's work is real: synthetic false, its score raised; what its records tell fills description and
    subjects; its edition hangs on it; its key is the one it always had, unless it went into another."""
    resolved = done.db.rows("SELECT c.*, e.work_key AS edition_work FROM backfill_candidates c"
                            " JOIN enriched_editions e ON e.isbn = c.isbn13 WHERE c.state = 'resolved'")
    assert resolved
    absorbed = set(done.db.column("SELECT entity_key FROM enrichment_log WHERE operation = 'merge_work'"))
    for c in resolved:
        work = done.db.row("SELECT * FROM enriched_works WHERE work_key = %s", c["work_key"])
        assert work and c["edition_work"] == c["work_key"], c["title"]
        assert work["synthetic"] is False
        records = [r["record"] for r in done.db.rows("SELECT record FROM provider_records WHERE found AND isbn13 = %s",
                                                     c["isbn13"])]
        if any(r.get("description") for r in records):
            assert work["description"], c["title"]
        if any(r.get("subjects") for r in records):
            assert work["subject_tags"] is not None, c["title"]
    raised = [w for w in done.db.rows("SELECT * FROM enriched_works WHERE NOT synthetic")
              if w["completeness_score"] > 30]
    assert len(raised) > 0.8 * len({c["work_key"] for c in resolved})
    low = done.db.rows("SELECT title, completeness_score, contributors FROM enriched_works WHERE NOT synthetic"
                       " AND work_key LIKE 'synthetic:%' AND completeness_score < 30")
    assert not low
    kept = {c["work_key"] for c in resolved} & set(done.works)
    assert kept and not absorbed & {c["work_key"] for c in resolved}
    assert done.db.value("SELECT count(*) FROM enriched_works WHERE NOT synthetic AND description IS NOT NULL") > 20
    assert done.db.value("SELECT count(*) FROM enriched_works WHERE NOT synthetic AND cardinality(subject_tags) > 0") > 20


def test_no_synthetic_work_remains_that_has_an_enriched_edition(done):
    """Who has an edition is real; who is synthetic still has neither an edition nor a resolved candidate."""
    assert done.db.value("SELECT count(*) FROM enriched_works w WHERE synthetic AND EXISTS"
                         " (SELECT FROM enriched_editions e WHERE e.work_key = w.work_key)") == 0
    assert done.db.value("SELECT count(*) FROM enriched_works w JOIN backfill_candidates c USING (work_key)"
                         " WHERE w.synthetic AND c.state = 'resolved'") == 0
    assert done.db.value("SELECT count(*) FROM backfill_candidates c WHERE NOT EXISTS"
                         " (SELECT FROM enriched_works w WHERE w.work_key = c.work_key)") == 0


def test_metadata_is_an_object(done):
    """metadata of every work, edition and author is a JSON object, and a work's still tells the month it was named for."""
    for table in ("enriched_works", "enriched_editions", "enriched_authors"):
        assert done.db.column(f"SELECT DISTINCT jsonb_typeof(metadata) FROM {table}") == ["object"], table
    named = done.db.rows("SELECT w.metadata FROM enriched_works w JOIN backfill_candidates c USING (work_key)"
                         " WHERE c.state = 'resolved'")
    assert all(w["metadata"]["backfill_year"] == 2024 for w in named)


def test_primary_provider_names_the_ai(done):
    """Of every book that an AI named, enriched or not, primary_provider is that AI and contributors hold it, besides the
    providers that enriched it."""
    rows = done.db.rows("SELECT c.generated_by, c.state, w.* FROM enriched_works w JOIN backfill_candidates c USING (work_key)"
                        " WHERE c.state <> 'merged'")
    assert {r["primary_provider"] for r in rows} == {"gemini-backfill", "xai-backfill"}
    for r in rows:
        assert set(r["contributors"]) & {f"{ai}-backfill" for ai in r["generated_by"]}
        if r["state"] == "resolved":
            assert set(r["contributors"]) & set(SEARCHERS), r["title"]


def test_book_count_is_true(done):
    """An author's book_count is the number of works that link him."""
    wrong = done.db.rows("SELECT a.name, a.book_count, count(l.work_key) AS n FROM enriched_authors a"
                         " LEFT JOIN work_authors_enriched l USING (author_key) GROUP BY 1, 2, a.author_key"
                         " HAVING a.book_count IS DISTINCT FROM count(l.work_key)")
    assert not wrong


def test_provenance_per_field(done):
    """metadata.provenance of an edition tells for each field which provider it came from and when, and that provider's record
    has it."""
    rows = done.db.rows("SELECT * FROM enriched_editions")
    told = 0
    for row in rows:
        provenance = row["metadata"]["provenance"]
        records = dict((r["provider"], r["record"]) for r in done.db.rows(
            "SELECT provider, record FROM provider_records WHERE found AND isbn13 = %s", row["isbn"]))
        for field in PROVENANCE_OF:
            if row[field] in (None, 0, ""):
                continue
            origin = provenance[field]
            assert origin["provider"] in records, (row["isbn"], field, origin)
            assert re.match(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d", origin["at"]), origin
            told += 1
        assert row["primary_provider"] in records and set(records) <= set(row["contributors"]) | {"google_books"}
    assert told > 4 * len(rows)


def test_completeness_is_the_share_of_filled_fields(done):
    """completeness_score: of an edition per cent of 12 fields, of an enriched work of 11, rounded."""
    for row in done.db.rows("SELECT * FROM enriched_editions"):
        assert row["completeness_score"] == int(100 * filled(row, EDITION_FIELDS) / 12 + 0.5), row["isbn"]
    for row in done.db.rows("SELECT * FROM enriched_works WHERE NOT synthetic"):
        share = int(100 * filled(row, WORK_FIELDS) / 11 + 0.5)
        assert row["completeness_score"] == share or row["completeness_score"] == 30 > share, (share, row)


def test_quality_begins_with_the_provider(done):
    """isbndb_quality of an edition: 40, 30 or 20 for its provider, 10 for the title, more for what else is known, at most 100."""
    for row in done.db.rows("SELECT * FROM enriched_editions"):
        least = BASE_QUALITY.get(row["primary_provider"], 10) + 10 + 5 * bool(row["publisher"]) + 5 * bool(row["page_count"])
        assert least <= row["isbndb_quality"] <= 100, row["isbn"]
    assert done.db.value("SELECT count(DISTINCT primary_provider) FROM enriched_editions") > 1


def test_tags_dates_and_languages_are_clean(done):
    """Tags are lower-cased, trimmed and distinct; dates begin with their year; languages are codes; no entity, tag or mark of
    a provider is left in a title or name."""
    for tags in done.db.column("SELECT subject_tags FROM enriched_works WHERE subject_tags IS NOT NULL"):
        assert tags == [t.strip().lower() for t in tags] and len(set(tags)) == len(tags) and "" not in tags
    assert done.db.value("SELECT count(*) FROM enriched_editions WHERE publication_date"
                         " !~ '^[12][0-9]{3}(-[0-9]{2}(-[0-9]{2})?)?$'") == 0
    assert done.db.value("SELECT count(*) FROM enriched_editions WHERE language !~ '^[a-z]{2,3}$'") == 0
    texts = done.db.column("SELECT title FROM enriched_editions UNION ALL SELECT title FROM enriched_works"
                           " UNION ALL SELECT name FROM enriched_authors")
    assert not [t for t in texts if re.search(r"&\w+;|&#|<br|~autofilled~", t)]


def test_nothing_is_bought_twice(done):
    """ISBNdb's units rise during enrichment by one for each ISBN of which ISBNdb has not spoken yet, and by nothing else: its
    records came with the resolution, and a book it did not know then is not asked for again."""
    denied = set(done.db.column("SELECT isbn13 FROM backfill_candidates WHERE answers->'isbndb'->>'outcome' = 'not_found'"))
    records = {isbn for provider, isbn in done.records if provider == "isbndb"}
    without = {i["entity_key"] for i in done.items} - records
    assert without and len(records) > len(without)
    assert done.units_end - done.units == len(without - denied)
    log = done.db.column("SELECT entity_key FROM enrichment_log WHERE operation = 'lookup' AND provider = 'isbndb'")
    assert set(log) <= without - denied


def test_every_step_is_logged(done):
    """Of each item the log has at most one successful look-up per provider, one edition written, its work created, promoted or
    updated, its authors linked; every line names item and instance."""
    db = done.db
    assert db.value("SELECT count(*) FROM (SELECT item_id, provider FROM enrichment_log WHERE operation = 'lookup' AND success"
                    " GROUP BY 1, 2 HAVING count(*) > 1) AS twice") == 0
    assert db.value("SELECT count(*) FROM enrichment_log WHERE item_id IS NULL OR instance IS NULL") == 0
    steps = {}
    for r in db.rows("SELECT entity_key, operation FROM enrichment_log WHERE entity_type = 'edition'"):
        steps.setdefault(r["entity_key"], []).append(r["operation"])
    for i in db.rows("SELECT entity_key FROM enrichment_queue WHERE entity_type = 'edition'"):
        assert steps[i["entity_key"]].count("create_edition") == 1
    kinds = set(db.column("SELECT DISTINCT operation FROM enrichment_log"))
    assert {"lookup", "create_edition", "promote_work", "link_authors"} <= kinds
    promoted = set(db.column("SELECT entity_key FROM enrichment_log WHERE operation = 'promote_work'"))
    assert promoted >= set(db.column("SELECT work_key FROM enriched_works WHERE NOT synthetic AND work_key LIKE 'synthetic:%'"))
    created = db.row("SELECT * FROM enrichment_log WHERE operation = 'create_edition' LIMIT 1")
    assert "title" in created["fields_updated"] and created["success"]


def test_the_trace_of_one_book(done):
    """GET .../books/{isbn} tells of one book where it was named, what was answered, its queue item, steps, edition, work and
    authors."""
    isbn = done.db.value("SELECT isbn13 FROM backfill_candidates WHERE state = 'resolved' ORDER BY id LIMIT 1")
    answer = done.d.get(f"/api/internal/books/{isbn}")
    assert answer.status == 200, answer
    told = answer.json
    assert told["edition"]["isbn"] == isbn and told["work"]["work_key"] == told["edition"]["work_key"]
    assert told["named"] and told["records"] and told["authors"] and told["log"]
    assert [q["status"] for q in told["queue"]][:1] == ["completed"]
    assert told["provenance"]["edition"]["title"]["provider"] in SEARCHERS


# ---- requests ----
def test_a_hundred_isbns_are_one_bulk_request(daemon, db, sandbox):
    """A batch of 100 ISBNs without a record costs 100 units and is one request to ISBNdb; all are completed."""
    coverage(sandbox, 1.0, LOOKED_UP)
    d = daemon(start=False)
    queue(db, [line["isbn"] for line in editions(sandbox)[:100]])
    d.start().wait_ready()
    wait_queue(db, completed=100)
    counters = sandbox.counters("isbndb")
    assert (counters["requests"], counters["units"]) == (1, 100)
    assert db.value("SELECT count(*) FROM enriched_editions WHERE primary_provider = 'isbndb'") == 100
    assert db.value("SELECT used FROM api_quota WHERE provider = 'isbndb'") == 100


def test_a_smaller_batch(daemon, db, sandbox):
    """enrichment.batch = 10: 35 ISBNs are four requests of at most ten."""
    coverage(sandbox, 1.0, LOOKED_UP)
    d = daemon({"enrichment": {"batch": 10}}, start=False)
    queue(db, [line["isbn"] for line in editions(sandbox)[:35]])
    d.start().wait_ready()
    wait_queue(db, completed=35)
    counters = sandbox.counters("isbndb")
    assert (counters["requests"], counters["units"]) == (4, 35)


def test_an_isbn_that_is_asked_for_again_costs_nothing(daemon, db, sandbox):
    """An ISBN without a record costs exactly one unit, found or not; queued again, nothing; and merging the same records once
    more changes neither edition nor work."""
    coverage(sandbox, 1.0, LOOKED_UP)
    d = daemon()
    isbns = [line["isbn"] for line in editions(sandbox)[:5]]
    queue(db, isbns)
    wait_queue(db, completed=5)
    assert settled(sandbox) == 5
    before = snapshot(db)
    for _ in range(3):
        db.execute("UPDATE enrichment_queue SET status = 'pending', completed_at = NULL")
        db.execute("NOTIFY enrichment_queue")
        wait_queue(db, completed=5)
    assert settled(sandbox) == 5
    assert snapshot(db) == before
    for table in ("enriched_works", "enriched_editions", "enriched_authors"):
        assert db.column(f"SELECT DISTINCT jsonb_typeof(metadata) FROM {table}") == ["object"]
    assert d.running


def snapshot(db):
    """The catalogue without its times."""
    return {table: db.column(f"SELECT (to_jsonb(t) - 'updated_at' - 'last_isbndb_sync' - 'last_google_books_sync')::text"
                             f" FROM {table} t ORDER BY 1")
            for table in ("enriched_works", "enriched_editions", "enriched_authors", "work_authors_enriched")}


def test_notify_wakes_the_consumer(daemon, db, sandbox):
    """With poll = 1h an item queued by a statement or by a month is taken as soon as it is told."""
    coverage(sandbox, 1.0)
    d = daemon({**FEW, "enrichment": {"poll": "1h"}})
    isbns = [line["isbn"] for line in editions(sandbox)[:2]]
    queue(db, isbns[:1])
    wait_queue(db, 30, completed=1)
    queue(db, isbns[1:])
    wait_queue(db, 30, completed=2)
    d.seed(2024, 2024)
    d.schedule(batch_size=1)
    wait_done(db, 2024, 12)
    wait_until(lambda: set(queue_statuses(db)) == {"completed"} and queue_statuses(db)["completed"] > 2, 30, "the month's")


def test_without_a_notification_the_poll_finds_it(daemon, db, sandbox):
    """An item that nobody told of is taken by the next poll."""
    coverage(sandbox, 1.0, LOOKED_UP)
    daemon()
    queue(db, [editions(sandbox)[0]["isbn"]], notify=False)
    wait_queue(db, 30, completed=1)


# ---- what becomes of records ----
def test_a_fuller_record_never_loses_to_a_poorer_one(daemon, db, sandbox):
    """Title, publisher and date of a better record stay against a poorer one, whose other fields fill the gaps; a poorer
    row's give way to a better record; contributors grow."""
    rich = first_isbn(sandbox, ["open_library"], ["isbndb"])
    poor = first_isbn(sandbox, ["isbndb"], [])
    d = daemon(start=False)
    for isbn, quality, provider, title in ((rich, 95, "isbndb", "The Kept Title"), (poor, 32, "open_library", "A Poor Title")):
        db.execute("INSERT INTO enriched_works (work_key, title) VALUES (%s, %s)", "w" + isbn, title)
        db.execute("INSERT INTO enriched_editions (isbn, work_key, title, publisher, publication_date, primary_provider,"
                   " contributors, isbndb_quality) VALUES (%s, %s, %s, 'A House', '1987-06-05', %s, ARRAY[%s], %s)",
                   isbn, "w" + isbn, title, provider, provider, quality)
    queue(db, [rich, poor])
    d.start().wait_ready()
    wait_queue(db, completed=2)
    row = edition(db, rich)
    assert (row["title"], row["publisher"], row["publication_date"]) == ("The Kept Title", "A House", "1987-06-05")
    assert row["primary_provider"] == "isbndb" and {"isbndb", "open_library"} <= set(row["contributors"])
    assert row["page_count"] or row["openlibrary_edition_id"]
    row = edition(db, poor)
    assert row["title"] != "A Poor Title" and row["publisher"] != "A House" and row["primary_provider"] == "isbndb"
    assert {"isbndb", "open_library"} <= set(row["contributors"]) and row["isbndb_quality"] > 32
    assert row["work_key"] == "w" + poor, "an edition keeps the work it has"


@pytest.mark.asan
def test_the_same_work_in_another_edition(daemon, db, sandbox):
    """Two editions of one work whose author is told, in one batch or one after the other, have one work; two works never share
    one."""
    coverage(sandbox, 1.0, LOOKED_UP)
    d = daemon(start=False)
    works = {}
    for line in held_by_isbndb(sandbox, editions(sandbox, first=False)):
        works.setdefault(line["work"], []).append(line)
    works = [lines for lines in works.values() if len(lines) >= 2][:40]
    queue(db, [lines[0]["isbn"] for lines in works] + [lines[1]["isbn"] for lines in works[:20]])
    d.start().wait_ready()
    wait_until(lambda: set(queue_statuses(db)) <= {"completed", "failed"}, 60, "the first round")
    queue(db, [lines[1]["isbn"] for lines in works[20:] if not item(db, lines[1]["isbn"])])
    wait_until(lambda: set(queue_statuses(db)) <= {"completed", "failed"}, 60, "the second round")
    assert queue_statuses(db) == {"completed": 80}
    keys = set()
    for lines in works:
        pair = [work_of(db, line["isbn"]) for line in lines[:2]]
        assert pair[0]["work_key"] == pair[1]["work_key"], [line["title"] for line in lines[:2]]
        assert pair[0]["work_key"] not in keys, lines[0]["title"]
        keys.add(pair[0]["work_key"])


def test_the_same_title_by_another_author_is_another_work(daemon, db, sandbox):
    """A book and one of the same title by somebody else, in one batch: two works, each with its own author."""
    coverage(sandbox, 1.0, LOOKED_UP)
    firsts = {line["work"]: line for line in editions(sandbox)}
    others = editions(sandbox, what="same_title")
    pairs = [(firsts[line["work"]], line) for line in others if line["work"] in firsts][:15]
    d = daemon(start=False)
    queue(db, [line["isbn"] for pair in pairs for line in pair])
    d.start().wait_ready()
    wait_queue(db, completed=30)
    for real, other in pairs:
        one, two = work_of(db, real["isbn"]), work_of(db, other["isbn"])
        assert one["work_key"] != two["work_key"], real["title"]
        assert surname(authors_of(db, two["work_key"])[0]) == surname(other["authors"].split(";")[0])
        assert surname(authors_of(db, one["work_key"])[0]) == surname(real["authors"].split(";")[0])


def test_books_of_one_series_are_works_of_their_own(daemon, db, make_sandbox, tmp_path):
    """Three books whose titles differ only behind the colon, by one author, in several editions, in one batch or one after the
    other: three works, none of them held up by another."""
    titles = ["Harbour Lights: The Arctic Incident", "Harbour Lights: The Opal Deception", "Harbour Lights: The Time Paradox"]
    file = tmp_path / "series.tsv"
    file.write_text("year\tmonth\ttitle\tauthors\tisbn13\n" + "".join(
        f"2001\t{i + 1}\t{title}\tMarit Solberg\t{isbn13_of(f'97805{1240001 + i:07}')}\n" for i, title in enumerate(titles)))
    sandbox = make_sandbox(catalogue=file)
    coverage(sandbox, 1.0, LOOKED_UP)
    lines = held_by_isbndb(sandbox, editions(sandbox, first=False))
    daemon(stand.sandbox_providers(sandbox.url, timeout="10s"))
    queue(db, [line["isbn"] for line in lines[::2]])
    wait_queue(db, completed=len(lines[::2]))
    queue(db, [line["isbn"] for line in lines[1::2]])
    wait_queue(db, completed=len(lines))
    assert db.value("SELECT max(retry_count) FROM enrichment_queue") == 0
    works = {}
    for line in lines:
        works.setdefault(work_of(db, line["isbn"])["work_key"], set()).add(line["work"])
    assert all(len(books) == 1 for books in works.values()), works
    assert set.union(*works.values()) == {line["work"] for line in lines} and len(lines) > 4


def test_names_are_one_author_or_several(daemon, db, make_sandbox, tmp_path):
    """J.K. Rowling however written is one; King with and without Jr is one; various authors and anthology are one; O'Brien,
    François and Mary-Jane keep their letters."""
    names = ["J.K. Rowling", "J. K. Rowling", "J K Rowling", "Martin Luther King Jr.", "Martin Luther King", "various authors",
             "anthology", "Tim O'Brien", "François Mauriac", "Mary-Jane Holmes"]
    titles = ["Amber Lanterns", "Borrowed Harbours", "Cold Meridian", "Distant Orchards", "Evening Almanac", "Fallow Kingdoms",
              "Granite Rivers", "Hollow Compass", "Iron Sonata", "Juniper Letters"]
    isbns = [isbn13_of(f"97805{i:07}") for i in range(1230001, 1230001 + len(names))]
    file = tmp_path / "names.tsv"
    file.write_text("year\tmonth\ttitle\tauthors\tisbn13\n" + "".join(
        f"2001\t{i + 1}\t{title}\t{name}\t{isbn}\n" for i, (title, name, isbn) in enumerate(zip(titles, names, isbns))),
        encoding="utf-8")
    sandbox = make_sandbox(catalogue=file)
    coverage(sandbox, 1.0, LOOKED_UP)
    d = daemon(stand.sandbox_providers(sandbox.url, timeout="10s"), start=False)
    queue(db, isbns)
    d.start().wait_ready()
    wait_queue(db, completed=len(isbns))
    keys = [db.value("SELECT author_key FROM work_authors_enriched WHERE work_key = %s", work_of(db, isbn)["work_key"])
            for isbn in isbns]
    assert keys[0] == keys[1] == keys[2] and keys[3] == keys[4] and keys[5] == keys[6]
    assert len(set(keys)) == 6
    counts = {r["author_key"]: r["book_count"] for r in db.rows("SELECT author_key, book_count FROM enriched_authors")}
    assert [counts[k] for k in (keys[0], keys[3], keys[5], keys[7])] == [3, 2, 2, 1]
    written = [db.value("SELECT name FROM enriched_authors WHERE author_key = %s", key) for key in keys[7:]]
    assert written == ["Tim O'Brien", "François Mauriac", "Mary-Jane Holmes"]


@pytest.mark.asan
def test_two_spellings_of_one_book_end_in_one_work(daemon, db):
    """Two months named one book differently, so that it had two synthetic works: enriched, one is left, both candidates point
    to it, and the log tells which went into which."""
    d = daemon({**FEW, **OFF})
    d.seed(2024, 2024)
    d.schedule(batch_size=1)
    wait_done(db, 2024, 12)
    first = db.rows("SELECT * FROM backfill_candidates WHERE state = 'resolved' AND author ~ '^[^ ,;]+ [^ ,;]+$' ORDER BY ord")[0]
    fore, last = first["author"].split()
    other = "synthetic:0123456789abcdef0123456789abcdef"
    db.execute("INSERT INTO enriched_works (work_key, title, synthetic, completeness_score, primary_provider, contributors)"
               " SELECT %s, title || ': A Book', true, 30, 'xai-backfill', '{xai-backfill}' FROM enriched_works"
               " WHERE work_key = %s", other, first["work_key"])
    db.execute("INSERT INTO enriched_authors (author_key, name) VALUES ('name:x', %s)", f"{fore[0]}. {last}")
    db.execute("INSERT INTO work_authors_enriched (work_key, author_key) VALUES (%s, 'name:x')", other)
    db.execute("INSERT INTO backfill_candidates (year, month, ord, title, author, generated_by, title_key, author_key, isbn13,"
               " confidence, resolved_by, work_key, state) SELECT 2024, 11, 1, title || ': A Book', %s, '{xai}',"
               " title_key || ' a book', 'x', isbn13, confidence, resolved_by, %s, 'resolved' FROM backfill_candidates"
               " WHERE id = %s",
               f"{last}, {fore[0]}.", other, first["id"])
    switch_on(d)
    wait_until(lambda: set(queue_statuses(db)) == {"completed"}, 60, "the queue")
    keys = db.column("SELECT DISTINCT work_key FROM backfill_candidates WHERE isbn13 = %s", first["isbn13"])
    assert len(keys) == 1 and keys[0] in (other, first["work_key"])
    gone = ({other, first["work_key"]} - set(keys)).pop()
    assert not db.row("SELECT * FROM enriched_works WHERE work_key = %s", gone)
    work = work_of(db, first["isbn13"])
    assert work["work_key"] == keys[0] and not work["synthetic"] and "xai-backfill" in work["contributors"]
    merged = db.row("SELECT * FROM enrichment_log WHERE operation = 'merge_work' AND entity_key = %s", gone)
    assert (merged["entity_type"], merged["detail"]["into"]) == ("work", keys[0])
    assert db.value("SELECT count(*) FROM enriched_authors a WHERE book_count <> (SELECT count(*) FROM work_authors_enriched l"
                    " WHERE l.author_key = a.author_key)") == 0
    told = d.get(f"/api/internal/works/{gone}")
    if told.status == 200:      # the old key leads to where the work went
        assert told.json["merged_into"] == keys[0]


# ---- holding still ----
def test_paused_nothing_is_taken(daemon, db, sandbox):
    """While paused items stay as they are; resumed, they are completed."""
    coverage(sandbox, 1.0, LOOKED_UP)
    d = daemon()
    assert d.post("/api/internal/pause", {"note": "later"}).status == 200
    queue(db, [line["isbn"] for line in editions(sandbox)[:5]])
    with pytest.raises(TimeoutError):
        wait_until(lambda: queue_statuses(db) != {"pending": 5}, 3, "an item taken")
    assert sandbox.counters("isbndb")["requests"] == 0
    assert d.post("/api/internal/resume").status == 200
    wait_queue(db, completed=5)


@pytest.mark.asan
def test_a_drain_releases_items_without_an_attempt(daemon, db, sandbox):
    """SIGTERM amid a look-up: exit 0, the items are pending, due now and not counted; the next one completes them."""
    coverage(sandbox, 1.0, LOOKED_UP)
    latency(sandbox, ["isbndb"], 60000)
    d = daemon({"daemon": {"drain_timeout": "1s"}, "provider.isbndb": {"timeout": "120s"}})
    queue(db, [line["isbn"] for line in editions(sandbox)[:20]])
    wait_until(lambda: sandbox.counters("isbndb")["requests"] == 1, 30, "the request sent")
    assert queue_statuses(db) == {"processing": 20}
    assert d.stop() == 0
    for i in db.rows("SELECT * FROM enrichment_queue"):
        assert (i["status"], i["retry_count"], i["owner"]) == ("pending", 0, None)
        assert i["next_attempt_at"] is None or i["next_attempt_at"] <= db.value("SELECT now()")
    latency(sandbox, ["isbndb"], 0)
    d.restart()
    wait_queue(db, completed=20)


def test_a_drain_waits_for_what_was_sent(daemon, db, sandbox):
    """SIGTERM with an answer about to come: what was paid for is stored, and the next one does not ask again."""
    coverage(sandbox, 1.0, LOOKED_UP)
    latency(sandbox, ["isbndb"], 1500)
    d = daemon({"daemon": {"drain_timeout": "10s"}})
    queue(db, [line["isbn"] for line in editions(sandbox)[:20]])
    wait_until(lambda: sandbox.counters("isbndb")["requests"] == 1, 30, "the request sent")
    assert d.stop() == 0
    d.restart()
    wait_queue(db, completed=20)
    assert sandbox.counters("isbndb")["units"] == 20


def test_a_killed_daemons_items_are_taken_up_again(daemon, db, sandbox):
    """kill -9 with answers stored and others under way: restarted, it takes its items up in seconds, asks again only for what
    was not stored, and counts no attempt."""
    coverage(sandbox, 1.0, LOOKED_UP)
    latency(sandbox, ["open_library"], 3000)
    d = daemon()
    queue(db, [line["isbn"] for line in editions(sandbox)[:20]])
    wait_until(lambda: db.value("SELECT count(*) FROM provider_records WHERE provider = 'isbndb'") == 20, 30, "ISBNdb's answers")
    d.kill9()
    assert queue_statuses(db) == {"processing": 20}
    latency(sandbox, ["open_library"], 0)
    d.restart()
    wait_queue(db, 30, completed=20)
    assert sandbox.counters("isbndb")["units"] == 20
    assert db.value("SELECT max(retry_count) FROM enrichment_queue") == 0


def test_the_sessions_are_ended_amid_enrichment(daemon, db, sandbox):
    """pg_terminate_backend of all sessions, three times: every item is completed once, nothing is bought twice."""
    coverage(sandbox, 1.0, LOOKED_UP)
    latency(sandbox, LOOKED_UP, 300)
    d = daemon({"enrichment": {"batch": 10}})
    queue(db, [line["isbn"] for line in editions(sandbox)[:60]])
    for n in (10, 20, 30):
        wait_until(lambda n=n: db.value("SELECT count(*) FROM provider_records WHERE provider = 'isbndb'") >= n, 30, "some answers")
        db.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND"
                " application_name LIKE 'backfilld%'")
    wait_queue(db, 90, completed=60)
    assert d.running and sandbox.counters("isbndb")["units"] == 60
    assert db.value("SELECT count(*) FROM enrichment_log WHERE operation = 'create_edition'") == 60


# ---- enhancement ----
def enhance_now(db):
    """As if the timer had last run three days ago: the next start catches it up."""
    db.execute("INSERT INTO backfill_timers (name, last_run) VALUES ('enhancement', now() - interval '3 days')"
               " ON CONFLICT (name) DO UPDATE SET last_run = excluded.last_run")


@pytest.mark.asan
def test_enhancement_finds_what_was_not_there(daemon, db, sandbox):
    """Books that nobody knew when their month ran are found by the midnight timer once somebody knows them: ISBN, edition and
    a real work, and the months' figures follow; who is still unknown is not tried again within the week."""
    coverage(sandbox, 0)
    ini = {**FEW, "scheduler": {"catch_up": "once"}, "enhancement": {"schedule": "0 0 * * *"}}
    d = daemon(ini)
    d.seed(2024, 2024)
    d.schedule(batch_size=2)
    wait_until(lambda: db.statuses().get("completed") == 2, 60, "two months")
    works = db.value("SELECT count(*) FROM enriched_works WHERE synthetic")
    assert db.value("SELECT sum(isbns_resolved) FROM backfill_log") == 0 and works > 10
    d.stop()
    coverage(sandbox, 1.0)
    db.execute("UPDATE isbn_resolutions SET expires_at = now() - interval '1 s'")      # the misses are a day old by then
    enhance_now(db)
    d.restart()
    wait_until(lambda: db.value("SELECT count(*) FROM enrichment_queue WHERE entity_type = 'work'") == works, 30, "the works")
    wait_until(lambda: set(queue_statuses(db)) == {"completed"}, 90, "the queue")
    found = db.value("SELECT count(*) FROM enriched_works WHERE NOT synthetic")
    assert works / 2 < found < works        # the AIs invent a tenth
    for row in db.rows("SELECT * FROM backfill_log WHERE status = 'completed'"):
        books = db.rows("SELECT * FROM backfill_candidates WHERE year = %s AND month = %s AND state <> 'merged'", row["year"],
                        row["month"])
        resolved = [c for c in books if c["isbn13"]]
        assert row["isbns_resolved"] == len({c["isbn13"] for c in resolved}) > 0
        assert row["books_generated"] == len(books)
        assert float(row["resolution_rate"]) == round(100 * len(resolved) / len(books), 2)
        assert 0 < row["isbns_queued"] <= row["isbns_resolved"]
        for c in resolved:
            assert c["state"] == "resolved" and c["resolved_by"] in SEARCHERS
            work = work_of(db, c["isbn13"])
            assert work["work_key"] == c["work_key"] and not work["synthetic"]
    assert db.value("SELECT count(*) FROM enrichment_log WHERE operation = 'enhance'") == works
    again_within_a_week(d, db, sandbox)


def again_within_a_week(d, db, sandbox):
    """The timer's next nights ask nobody for the books that stayed unknown."""
    before = db.rows("SELECT entity_key, fence FROM enrichment_queue WHERE entity_type = 'work' ORDER BY 1")
    d.stop()
    sandbox.reset()
    enhance_now(db)
    d.restart()
    d.wait_log('synthetic works queued to be tried again" works=0')
    assert db.rows("SELECT entity_key, fence FROM enrichment_queue WHERE entity_type = 'work' ORDER BY 1") == before
    assert all(sandbox.counters(p)["requests"] == 0 for p in SEARCHERS)


def test_enhancement_when_nobody_can_be_asked(daemon, db, sandbox):
    """A work that is to be tried while the providers fail is not "not found": it is tried again, and found once they are
    mended."""
    coverage(sandbox, 1.0)
    daemon()
    line = editions(sandbox)[3]
    key = "synthetic:" + "9" * 32
    db.execute("INSERT INTO enriched_works (work_key, title, synthetic, completeness_score, primary_provider, contributors,"
               " metadata) VALUES (%s, %s, true, 30, 'gemini-backfill', '{gemini-backfill}', %s)", key, line["of_title"],
               json.dumps({"author": line["of_authors"].split(";")[0]}))
    sandbox.control({"providers": {p: {"faults": {"503": 1.0}, "fault_attempts": 0} for p in SEARCHERS}})
    queue(db, [key], entity_type="work")
    wait_until(lambda: (item(db, key) or {}).get("error_message"), 60, "a failed try")
    row = item(db, key)
    assert row["status"] == "pending" and row["next_attempt_at"]
    assert db.value("SELECT count(*) FROM isbn_resolutions WHERE isbn13 IS NULL") == 0
    sandbox.control({"providers": {p: {"faults": {}} for p in SEARCHERS}})

    def found():
        db.execute("UPDATE provider_state SET closed_until = now(), kind = 'none' WHERE closed_until > now()")
        db.execute("UPDATE enrichment_queue SET next_attempt_at = now() WHERE status = 'pending'")
        db.execute("NOTIFY enrichment_queue")
        return db.value("SELECT count(*) FROM enriched_works WHERE work_key = %s AND NOT synthetic", key)
    wait_until(found, 60, "the work found", every=0.5)
