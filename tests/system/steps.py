"""Steps the behaviour tests share: small months, faults at several providers, waiting for a row."""
import contextlib

from stand import wait_until

SEARCHERS = ("isbndb", "google_books", "open_library", "archive_org", "wikidata")
AIS = ("gemini", "xai")
FEW = {"generation": {"books_per_provider": 5}}
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
