"""Enrichment over the original's catalogue: its rows are read whatever shape they were left in, repaired when they are touched,
never destroyed; its queue is left alone until somebody says so."""
import json

import pytest
from stand import wait_until
from steps import (LOOKED_UP, authors_of, coverage, edition, editions, isbn10_of, item, queue, queue_statuses, wait_queue, work_of)

ORIGINAL = """
CREATE TABLE enriched_works (work_key text PRIMARY KEY, title text NOT NULL, subtitle text, description text,
  original_language text, first_publication_year integer, subject_tags text[], cover_url_large text, cover_url_medium text,
  cover_url_small text, cover_source text, openlibrary_work_id text, goodreads_work_ids text[], amazon_asins text[],
  librarything_ids text[], google_books_volume_ids text[], isbndb_id text, primary_provider text, contributors text[],
  synthetic boolean DEFAULT false, isbndb_quality integer DEFAULT 0, completeness_score integer DEFAULT 0,
  review_status text DEFAULT 'verified', created_at timestamptz DEFAULT now(), updated_at timestamptz,
  last_isbndb_sync timestamptz, metadata jsonb DEFAULT '{}', column_of_theirs integer);
CREATE TABLE enriched_editions (isbn text PRIMARY KEY, alternate_isbns text[], work_key text REFERENCES enriched_works,
  edition_key text, title text, subtitle text, publisher text, publication_date text, page_count integer, format text,
  language text, primary_provider text, contributors text[], isbndb_quality integer DEFAULT 0,
  completeness_score integer DEFAULT 0, work_match_confidence integer, work_match_source text, related_isbns jsonb,
  created_at timestamptz DEFAULT now(), updated_at timestamptz, metadata jsonb, column_of_theirs integer);
CREATE TABLE enriched_authors (author_key text PRIMARY KEY, name text NOT NULL, gender text, nationality text,
  birth_year integer, bio text, book_count integer DEFAULT 0, primary_provider text, created_at timestamptz DEFAULT now(),
  updated_at timestamptz, metadata jsonb, column_of_theirs integer);
CREATE TABLE work_authors_enriched (work_key text REFERENCES enriched_works ON DELETE CASCADE,
  author_key text REFERENCES enriched_authors ON DELETE CASCADE, author_order integer DEFAULT 0,
  PRIMARY KEY (work_key, author_key));
CREATE TABLE enrichment_queue (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), entity_type text NOT NULL, entity_key text NOT NULL,
  providers_to_try text[] NOT NULL, providers_attempted text[] DEFAULT '{}', providers_succeeded text[] DEFAULT '{}',
  priority integer DEFAULT 5, status text DEFAULT 'pending', created_at timestamptz DEFAULT now(), started_at timestamptz,
  completed_at timestamptz, error_message text, retry_count integer DEFAULT 0, max_retries integer DEFAULT 3);
CREATE TABLE enrichment_log (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), entity_type text NOT NULL, entity_key text NOT NULL,
  provider text NOT NULL, operation text NOT NULL, success boolean NOT NULL, fields_updated text[], error_message text,
  response_time_ms integer, created_at timestamptz DEFAULT now());
INSERT INTO enriched_works (work_key, title, metadata, column_of_theirs)
  SELECT '/works/OL' || i || 'W', 'Untouched ' || i,
  (ARRAY['{"k": 1}', '[{"a": 1}, "b"]', '"{\\"c\\": 2}"', NULL])[1 + i % 4]::jsonb, i FROM generate_series(1, 400) AS i;
INSERT INTO enriched_editions (isbn, work_key, title, metadata, column_of_theirs)
  SELECT CASE WHEN i % 2 = 0 THEN 'x' || i ELSE (9790000000000 + i)::text END, '/works/OL' || i || 'W', 'Untouched ' || i,
  (ARRAY[NULL, '[]', '"plain words"', '{"z": []}'])[1 + i % 4]::jsonb, i FROM generate_series(1, 400) AS i;
INSERT INTO enriched_authors (author_key, name, book_count, metadata)
  SELECT '/authors/OL' || i || 'A', 'Nobody Special ' || i, 2, '"{}"' FROM generate_series(1, 200) AS i;
INSERT INTO work_authors_enriched SELECT '/works/OL' || i || 'W', '/authors/OL' || (1 + i % 200) || 'A', 1
  FROM generate_series(1, 400) AS i;
"""
TABLES = {"enriched_works": "work_key", "enriched_editions": "isbn", "enriched_authors": "author_key",
          "work_authors_enriched": "work_key || author_key", "enrichment_queue": "id::text"}


class Original:
    """The original's database: the books b[0], b[1], ... of the sandbox among it, each in another of its states."""

    def __init__(self, db, sandbox):
        self.db = db
        with db.connect().cursor() as cursor:
            cursor.execute(ORIGINAL)
        self.columns = {t: db.column("SELECT column_name::text FROM information_schema.columns WHERE table_name = %s ORDER BY 1", t)
                        for t in TABLES}
        self.b = [line for line in editions(sandbox) if line["isbn"].startswith("978") and ";" not in line["authors"]][:14]

    def work(self, i, key, **columns):
        """A work of the i-th book."""
        self._insert("enriched_works", work_key=key, title=self.b[i]["of_title"].split(":")[0], **columns)

    def edition(self, i, key, work_key, **columns):
        """An edition of it, under this key."""
        self._insert("enriched_editions", isbn=key, work_key=work_key, title=self.b[i]["of_title"], **columns)

    def author(self, i, key, *work_keys):
        """Its author, under a key of theirs, of these works."""
        self._insert("enriched_authors", author_key=key, name=self.b[i]["authors"], book_count=len(work_keys))
        for work_key in work_keys:
            self._insert("work_authors_enriched", work_key=work_key, author_key=key, author_order=1)

    def queue(self, isbn, status, **columns):
        """A row of their queue."""
        self._insert("enrichment_queue", entity_type="edition", entity_key=isbn, providers_to_try=["isbndb"], status=status,
                     **columns)

    def _insert(self, table, **columns):
        self.db.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join(['%s'] * len(columns))})",
                        *columns.values())

    def rows(self):
        """{table: {key: the row as text, of the columns they had}}."""
        found = {}
        for table, key in TABLES.items():
            columns = ", ".join(self.columns[table])
            found[table] = {r["k"]: r["t"] for r in self.db.rows(
                f"SELECT {key} AS k, (SELECT x::text FROM (SELECT {columns}) AS x) AS t FROM {table}")}
        return found


@pytest.fixture(name="d")
def d_fixture(daemon):
    """A daemon that was neither migrated nor started."""
    return daemon(migrate=False, start=False)


@pytest.fixture(name="old")
def old_fixture(db, sandbox):
    """The original's database; every provider has every book."""
    coverage(sandbox, 1.0, LOOKED_UP)
    return Original(db, sandbox)


def start(d):
    assert d.command("migrate").returncode == 0
    return d.start().wait_ready()


def test_the_originals_queue_is_left_alone_until_adopted(old, d, db):
    """Their items of whatever status stay as they are while ours are enriched; adopted, a dry run first, those that were not
    done become ours and are completed, each ISBN once; those that had failed wait for a redrive."""
    for i, status in enumerate(["pending", "pending", "processing", "failed", "completed", "pending"]):
        old.queue(old.b[min(i, 4)]["isbn"], status, error_message="theirs" if status == "failed" else None, retry_count=i % 3)
    old.queue(old.b[4]["isbn"], "pending")
    old.queue("0-306-40615-8", "pending")
    before = old.rows()["enrichment_queue"]
    start(d)
    queue(db, [old.b[9]["isbn"]])
    wait_queue(db, completed=1)
    mine = item(db, old.b[9]["isbn"])["id"]
    assert {k: v for k, v in old.rows()["enrichment_queue"].items() if k != str(mine)} == before
    # as of the last pulse
    wait_until(lambda: d.metrics().get("backfill_queue_depth") == 0, 15, "a depth that counts ours alone")

    told = d.post("/api/internal/enrichment/adopt", {"dry_run": True})
    assert told.status == 200 and told.json["dry_run"] is True and told.json["left"] >= 5, told
    assert {k: v for k, v in old.rows()["enrichment_queue"].items() if k != str(mine)} == before
    told = d.post("/api/internal/enrichment/adopt")
    assert told.status == 200 and told.json["dry_run"] is False and told.json["adopted"] == 6, told
    wait_queue(db, completed=5, failed=2)
    for i in (0, 1, 2, 4):
        assert item(db, old.b[i]["isbn"])["status"] == "completed" and edition(db, old.b[i]["isbn"])
    failed = item(db, old.b[3]["isbn"])
    assert (failed["status"], failed["error_message"]) == ("failed", "theirs")
    assert "not an ISBN" in item(db, "0-306-40615-8")["error_message"]
    assert queue_statuses(db, mine=False) == {"completed": 1, "pending": 1}     # done before, and the second row of an ISBN
    assert d.post("/api/internal/enrichment/redrive", {"reason": "theirs", "dry_run": False}).json["redriven"] == 1
    wait_queue(db, completed=6, failed=1)


def test_metadata_of_any_shape_is_read_and_repaired_when_touched(old, d, db):
    """JSON in a JSON string, an array of objects and strings, nothing at all: an object after enrichment, with everything that
    was in it; other rows keep theirs to the byte."""
    shapes = [json.dumps(json.dumps({"a": 1, "source": "x"})), json.dumps([{"a": 1}, {"b": [2]}, json.dumps({"c": "3"})]),
              json.dumps(["loose words", {"a": 1}]), json.dumps("loose words"), None, "{\"a\": 1}"]
    for i, shape in enumerate(shapes):
        old.work(i, f"/works/OLT{i}W", metadata=shape)
        old.edition(i, old.b[i]["isbn"], f"/works/OLT{i}W", metadata=shape)
    before = old.rows()
    start(d)
    queue(db, [line["isbn"] for line in old.b[:len(shapes)]])
    wait_queue(db, completed=len(shapes))
    want = [{"a": 1, "source": "x"}, {"a": 1, "b": [2], "c": "3"}, {"a": 1}, {}, {}, {"a": 1}]
    for i, has in enumerate(want):
        for row in (edition(db, old.b[i]["isbn"]), work_of(db, old.b[i]["isbn"])):
            assert isinstance(row["metadata"], dict) and has.items() <= row["metadata"].items(), (i, row["metadata"])
            if i in (2, 3):
                assert "loose words" in json.dumps(row["metadata"]["former"])
        assert edition(db, old.b[i]["isbn"])["work_key"] == f"/works/OLT{i}W"
    after = old.rows()
    touched = {f"/works/OLT{i}W" for i in range(len(shapes))} | {line["isbn"] for line in old.b[:len(shapes)]}
    for table in ("enriched_works", "enriched_editions", "enriched_authors"):
        assert {k: v for k, v in before[table].items() if k not in touched} == {
            k: v for k, v in after[table].items() if k in before[table] and k not in touched}, table
    assert before["work_authors_enriched"].items() <= after["work_authors_enriched"].items()


@pytest.mark.asan
def test_editions_under_their_isbn_10(old, d, db):
    """An edition that they kept under its ISBN-10 goes under its ISBN-13 when it is touched, with all it had and the ISBN-10 as
    an alternate; where there is a row for each, the one under the ISBN-13 is enriched and the other is left."""
    for i in (0, 1):
        old.work(i, f"/works/OLT{i}W")
        old.edition(i, isbn10_of(old.b[i]["isbn"]), f"/works/OLT{i}W", column_of_theirs=77, edition_key="/books/OL1M",
                    alternate_isbns=["9999999999"], metadata=json.dumps({"a": 1}))
    old.edition(1, old.b[1]["isbn"], "/works/OLT1W", column_of_theirs=78)
    before = old.rows()
    start(d)
    queue(db, [old.b[0]["isbn"], isbn10_of(old.b[1]["isbn"])])
    wait_queue(db, completed=2)
    row = edition(db, old.b[0]["isbn"])
    assert (row["work_key"], row["column_of_theirs"], row["edition_key"]) == ("/works/OLT0W", 77, "/books/OL1M")
    assert row["metadata"]["a"] == 1
    assert {isbn10_of(old.b[0]["isbn"]), "9999999999"} <= set(row["alternate_isbns"])
    assert not edition(db, isbn10_of(old.b[0]["isbn"]))
    assert item(db, old.b[1]["isbn"])["status"] == "completed", "the item goes under the ISBN-13 too"
    ten = isbn10_of(old.b[1]["isbn"])
    assert old.rows()["enriched_editions"][ten] == before["enriched_editions"][ten]
    row = edition(db, old.b[1]["isbn"])
    assert row["column_of_theirs"] == 78 and row["publisher"] and row["work_key"] == "/works/OLT1W"


def test_their_works_and_authors_are_found(old, d, db):
    """A book whose work they have under a key of theirs gets no second work, its author under a key of theirs no second
    author, whether updated_at is there or not."""
    old.work(0, "/works/OLT0W", metadata="[]")
    old.author(0, "/authors/OLT0A", "/works/OLT0W")
    old.work(1, "9e107d9d-372b-4b68-81e9-0a1b2c3d4e5f", updated_at="2024-01-02T03:04:05Z")
    old.author(1, "5c6ffbdd-40d9-4556-b73a-21c3f0a3b2c1", "9e107d9d-372b-4b68-81e9-0a1b2c3d4e5f")
    start(d)
    queue(db, [line["isbn"] for line in old.b[:2]])
    wait_queue(db, completed=2)
    for i, work_key, author_key in ((0, "/works/OLT0W", "/authors/OLT0A"),
                                    (1, "9e107d9d-372b-4b68-81e9-0a1b2c3d4e5f", "5c6ffbdd-40d9-4556-b73a-21c3f0a3b2c1")):
        work = work_of(db, old.b[i]["isbn"])
        assert work["work_key"] == work_key
        assert work["description"] or work["subject_tags"] or work["original_language"]
        assert db.column("SELECT author_key FROM work_authors_enriched WHERE work_key = %s", work_key) == [author_key]
        assert db.value("SELECT book_count FROM enriched_authors WHERE author_key = %s", author_key) == 1
    assert db.value("SELECT count(*) FROM enriched_authors WHERE name = ANY (%s)", [line["authors"] for line in old.b[:2]]) == 2


def test_works_they_never_promoted(old, d, db):
    """A synthetic work that they left behind although its book had an ISBN becomes real with the edition; one beside a real work
    of the same book goes into that one, and the log says so."""
    old.work(0, "synthetic-2023-11-0", synthetic=True, completeness_score=30, primary_provider="gemini-backfill",
             metadata=json.dumps(json.dumps({"author": old.b[0]["authors"], "significance": "kept"})))
    old.author(0, "a0", "synthetic-2023-11-0")
    old.work(1, "/works/OLT1W")
    old.work(1, "synthetic-2023-11-1", synthetic=True, completeness_score=30, metadata=json.dumps([{"significance": "kept"}]))
    old.author(1, "a1", "/works/OLT1W", "synthetic-2023-11-1")
    old.edition(1, old.b[1]["isbn"], "/works/OLT1W")
    start(d)
    queue(db, [line["isbn"] for line in old.b[:2]])
    wait_queue(db, completed=2)
    work = work_of(db, old.b[0]["isbn"])
    assert work["work_key"] == "synthetic-2023-11-0" and not work["synthetic"] and work["completeness_score"] > 30
    assert work["metadata"]["significance"] == "kept" and work["primary_provider"] == "gemini-backfill"
    assert authors_of(db, "synthetic-2023-11-0") == [old.b[0]["authors"]]
    assert work_of(db, old.b[1]["isbn"])["work_key"] == "/works/OLT1W"
    assert db.value("SELECT count(*) FROM enriched_works WHERE work_key = 'synthetic-2023-11-1'") == 0
    merged = db.row("SELECT * FROM enrichment_log WHERE operation = 'merge_work'")
    assert (merged["entity_key"], merged["detail"]["into"]) == ("synthetic-2023-11-1", "/works/OLT1W")
    assert db.value("SELECT book_count FROM enriched_authors WHERE author_key = 'a1'") == 1


def test_a_month_over_their_catalogue(old, daemon, db):
    """Months and their enrichment run over all of it; every row of theirs is there afterwards, and what no book of ours touched
    is the same to the byte."""
    before = old.rows()
    d = daemon({"generation": {"books_per_provider": 5}}, migrate=False, start=False)
    start(d)
    d.seed(2024, 2024)
    d.schedule(batch_size=2)
    wait_until(lambda: db.statuses().get("completed") == 2, 60, "two months")
    wait_until(lambda: set(queue_statuses(db)) == {"completed"}, 60, "the queue")
    after = old.rows()
    for table, rows in before.items():
        assert rows.items() <= after[table].items(), table
    assert len(after["enriched_editions"]) > len(before["enriched_editions"])
