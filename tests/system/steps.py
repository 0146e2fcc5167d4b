"""Steps the behaviour tests share: small months, faults at several providers, waiting for a row; the queue of editions."""
import contextlib
import json

from stand import http, wait_until

SEARCHERS = ("isbndb", "google_books", "open_library", "archive_org", "wikidata")
AIS = ("gemini", "xai")
FEW = {"generation": {"books_per_provider": 5}}
# no consumer: what the sandbox counts is the months' own
MONTHS_ALONE = {"enrichment": {"enabled": "false"}}
VARIANTS = ("baseline", "contemporary-notable", "annual", "diversity-emphasis", "overlooked-significance", "genre-rotation",
            "era-contextualized")


def faults(sandbox, providers, attempts=0, **which):
    """These faults, and no others, at these providers. attempts: how many identical requests a fault lasts, 0: all."""
    for_all = {"fault_attempts": attempts, "faults": {}}
    sandbox.control({"providers": {name: for_all for name in providers}})
    if which:
        sandbox.control({"providers": {name: {"faults": {k.lstrip("_"): v for k, v in which.items()}} for name in providers}})


def latency(sandbox, providers, ms):
    """Every answer of these providers takes this long."""
    sandbox.control({"providers": {name: {"latency_ms": [ms, ms]} for name in providers}})


def coverage(sandbox, value, providers=SEARCHERS):
    """How many of the books these providers know."""
    sandbox.control({"providers": {name: {"coverage": value} for name in providers}})


def wait_row(db, year, month, timeout=60, **want):
    """Until the month's row has these values; the row then."""
    def there():
        row = db.month(year, month)
        return row if row and all(row[k] == v for k, v in want.items()) else None
    try:
        return wait_until(there, timeout, f"{year}-{month:02d} with {want}")
    except TimeoutError as late:
        raise TimeoutError(f"{late}: it is {db.month(year, month)}") from None


def wait_done(db, year, month, timeout=60):
    """Until the month is completed."""
    return wait_row(db, year, month, timeout, status="completed")


def harvest(d, **body):
    """A harvest job that is accepted; its answer."""
    answer = d.post("/api/harvest/backfill", body)
    assert answer.status == 202, answer
    return answer.json


def wait_job(d, job_id, timeout=60):
    """Until the job has ended; its status then."""
    def ended():
        job = d.get(f"/api/harvest/backfill/status/{job_id}").json
        return job if job["status"] in ("complete", "failed") else None
    return wait_until(ended, timeout, f"the end of job {job_id}")


def events(db, year, month):
    """The month's events in order."""
    return db.rows("SELECT * FROM backfill_events WHERE year = %s AND month = %s ORDER BY id", year, month)


def answers(db, year, month):
    """{provider: its last stored answer}."""
    return {r["provider"]: r for r in db.rows(
        "SELECT * FROM backfill_answers WHERE year = %s AND month = %s ORDER BY round", year, month)}


def readyz(d):
    """What /readyz says: (status, JSON)."""
    answer = d.get("/readyz", secret=None)
    return answer.status, answer.json


@contextlib.contextmanager
def table_held(db, table, mode="EXCLUSIVE"):
    """While inside, nobody else writes to the table."""
    connection = db.connect()
    connection.autocommit = False
    try:
        connection.cursor().execute(f"LOCK TABLE {table} IN {mode} MODE")
        yield
    finally:
        connection.rollback()
        connection.close()


# ---- enrichment ----
LOOKED_UP = ("isbndb", "open_library", "wikidata", "archive_org")


def editions(sandbox, first=True, what="edition"):
    """What the sandbox knows by ISBN, as /_truth tells it: of each work the first edition (with a real catalogue's ISBN), or
    all; or its decoys of one kind."""
    lines = [json.loads(line) for line in http("GET", sandbox.url + "/_truth").text.splitlines() if line.strip()]
    lines = [line for line in lines if line["what"] == what]
    if not first:
        return lines
    seen = {}
    for line in lines:
        seen.setdefault(line["work"], line)
    return list(seen.values())


def held_by_isbndb(sandbox, lines):
    """Those of the lines whose ISBN the sandbox's ISBNdb has, as its switches are now; the counters start at zero after it."""
    held = set()
    for i in range(0, len(lines), 1000):
        found = http("POST", f"{sandbox.url}/isbndb/books", {"isbns": [line["isbn"] for line in lines[i:i + 1000]]},
                     {"Authorization": "k", "Content-Type": "application/json"}).json["data"]
        for book in found.values() if isinstance(found, dict) else found:
            held.add(book.get("isbn13") or isbn13_of(book["isbn"]))
    sandbox.reset()
    return [line for line in lines if line["isbn"] in held]


def isbn13_of(text):
    """The ISBN-13 of ten or thirteen plain digits, or of the first twelve of them."""
    if len(text) == 13:
        return text
    body = text if len(text) == 12 else "978" + text[:9]
    return body + str(-sum(int(c) * (3 if i % 2 else 1) for i, c in enumerate(body)) % 10)


def isbn10_of(isbn13):
    """The ISBN-10 of one that begins with 978."""
    body = isbn13[3:12]
    return body + "0123456789X"[-sum(int(c) * (10 - i) for i, c in enumerate(body)) % 11]


def queue(db, isbns, entity_type="edition", max_retries=5, notify=True):
    """Queues these as a month would have, without the records that a month leaves with them."""
    db.execute("INSERT INTO enrichment_queue (id, entity_type, entity_key, providers_to_try, priority, status, retry_count,"
               " max_retries, queued_by) SELECT gen_random_uuid(), %s, k, '{}', 5, 'pending', 0, %s, 'backfilld'"
               " FROM unnest(%s::text[]) AS k", entity_type, max_retries, list(isbns))
    if notify:
        db.execute("NOTIFY enrichment_queue")


def queue_statuses(db, mine=True):
    """{status: how many items}, of ours or of everybody else's."""
    return {r["status"]: r["n"] for r in db.rows("SELECT status, count(*) AS n FROM enrichment_queue"
                                                 " WHERE (queued_by IS NOT DISTINCT FROM 'backfilld') = %s GROUP BY 1", mine)}


def wait_queue(db, timeout=60, **want):
    """Until our items have just these statuses."""
    try:
        wait_until(lambda: queue_statuses(db) == want, timeout, f"the queue: {want}")
    except TimeoutError as late:
        reasons = db.rows("SELECT status, error_message, count(*) AS n FROM enrichment_queue GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 9")
        raise TimeoutError(f"{late}: it is {queue_statuses(db)}: {reasons}") from None


def item(db, isbn):
    """Our item of an ISBN."""
    return db.row("SELECT * FROM enrichment_queue WHERE entity_key = %s AND queued_by = 'backfilld'", isbn)


def edition(db, isbn):
    return db.row("SELECT * FROM enriched_editions WHERE isbn = %s", isbn)


def work_of(db, isbn):
    """The work that an edition belongs to."""
    return db.row("SELECT w.* FROM enriched_works w JOIN enriched_editions e USING (work_key) WHERE e.isbn = %s", isbn)


def authors_of(db, work_key):
    """Names in order."""
    return db.column("SELECT a.name FROM work_authors_enriched l JOIN enriched_authors a USING (author_key)"
                     " WHERE l.work_key = %s ORDER BY l.author_order, a.author_key", work_key)


def hurry(db):
    """What waits for a later time or for a closed provider need not wait any longer, as if that time had passed."""
    db.execute("UPDATE provider_state SET closed_until = now(), kind = 'none' WHERE closed_until > now()")
    db.execute("UPDATE enrichment_queue SET next_attempt_at = now() WHERE status = 'pending' AND next_attempt_at > now()")
    db.execute("NOTIFY enrichment_queue")


def wait_queue_hurried(db, timeout=90, **want):
    """wait_queue, with everybody's rest cut short meanwhile."""
    def reached():
        if queue_statuses(db) == want:
            return True
        hurry(db)
        return False
    try:
        wait_until(reached, timeout, f"the queue: {want}", every=0.5)
    except TimeoutError as late:
        reasons = db.rows("SELECT status, error_message, count(*) AS n FROM enrichment_queue GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 9")
        raise TimeoutError(f"{late}: it is {queue_statuses(db)}: {reasons}") from None
