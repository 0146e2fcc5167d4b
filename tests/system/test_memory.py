"""Memory: a month from seed to end under valgrind, and the same with sanitizers."""
import pytest
from stand import wait_until


def queue(d):
    """The queue as the statistics have it."""
    return d.get("/api/internal/backfill-stats").json["enrichment"]


def one_month(d):
    """Seeds, claims and finishes the newest month, looks at every page an operator would, and stops the daemon."""
    assert d.seed(2024, 2024) == 12
    assert d.schedule(batch_size=1)["months_selected"] == 1
    stats = d.wait_months(1, timeout=300)
    assert stats["progress"]["total_books_generated"] > 0
    wait_until(lambda: not queue(d)["pending"] + queue(d)["processing"] and queue(d)["completed"], 300, "the books are enriched")
    month = d.get("/api/internal/months/2024/12").json
    isbn = next(c["isbn13"] for c in month["candidates"] if c["isbn13"])
    assert d.get(f"/api/internal/books/{isbn}").json["edition"]["isbn"] == isbn
    assert d.get("/metrics", secret=None).status == 200
    assert d.post("/api/internal/schedule-backfill", b'{"dry_ron": true}').status == 400
    assert d.stop(timeout=180) == 0


@pytest.mark.valgrind
def test_a_month_under_valgrind(daemon):
    """No invalid access, no use of unset memory, nothing lost, from start to drain; the fixture reads the verdict."""
    one_month(daemon(valgrind=True))


@pytest.mark.asan
def test_a_month(daemon):
    """A month completes and the daemon drains with exit 0; with sanitizers: without a finding, leaks included."""
    one_month(daemon())
