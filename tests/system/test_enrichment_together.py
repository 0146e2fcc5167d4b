"""Two daemons at one queue: every item once, no work or author twice, nothing paid for twice, whatever is killed when."""
import random
import time

import pytest
from stand import wait_until
from steps import LOOKED_UP, coverage, editions, held_by_isbndb, queue, queue_statuses

BATCH = 40


def assert_each_once(db, isbns):
    """Every ISBN has one item, completed, one edition that was created once, and a real work with authors."""
    assert queue_statuses(db) == {"completed": len(isbns)}
    assert sorted(db.column("SELECT entity_key FROM enrichment_queue")) == sorted(isbns)
    assert sorted(db.column("SELECT isbn FROM enriched_editions")) == sorted(isbns)
    assert db.value("SELECT count(*) FROM enrichment_log WHERE operation = 'create_edition'") == len(isbns)
    assert db.value("SELECT count(DISTINCT entity_key) FROM enrichment_log WHERE operation = 'create_edition'") == len(isbns)
    assert db.value("SELECT count(*) FROM enriched_editions e WHERE NOT EXISTS (SELECT FROM enriched_works w"
                    " JOIN work_authors_enriched USING (work_key) WHERE w.work_key = e.work_key AND NOT w.synthetic)") == 0


def assert_nothing_doubled(db):
    """No two works of one title with its subtitle (volumes of a series share the title alone) and the same first author, no two
    authors of one name, no work without an edition."""
    doubled = db.rows("SELECT lower(concat_ws(': ', w.title, w.subtitle)) AS title, a.author_key, array_agg(w.work_key) AS keys"
                      " FROM enriched_works w"
                      " JOIN work_authors_enriched l USING (work_key) JOIN enriched_authors a USING (author_key)"
                      " WHERE l.author_order = (SELECT min(author_order) FROM work_authors_enriched m"
                      "  WHERE m.work_key = w.work_key) GROUP BY 1, 2 HAVING count(*) > 1")
    assert not doubled
    assert not db.rows("SELECT lower(regexp_replace(name, '[^[:alpha:]]', '', 'g')) AS name, count(*) AS n FROM enriched_authors"
                       " GROUP BY 1 HAVING count(*) > 1")
    assert db.value("SELECT count(*) FROM enriched_works w WHERE NOT EXISTS"
                    " (SELECT FROM enriched_editions e WHERE e.work_key = w.work_key)") == 0
    assert db.value("SELECT count(*) FROM enriched_authors a WHERE book_count <> (SELECT count(*) FROM work_authors_enriched l"
                    " WHERE l.author_key = a.author_key)") == 0


def assert_works_are_the_books(db, lines):
    """Two books of the sandbox never share a work, and hardly any book has two."""
    works, books = {}, {}
    of = {r["isbn"]: r["work_key"] for r in db.rows("SELECT isbn, work_key FROM enriched_editions")}
    for line in lines:
        works.setdefault(of[line["isbn"]], set()).add(line["work"])
        books.setdefault(line["work"], set()).add(of[line["isbn"]])
    shared = [w for w in works.values() if len(w) > 1]
    split = [b for b, keys in books.items() if len(keys) > 1]
    print(f"{len(books)} books, {len(works)} works, shared {shared[:9]}, split {split[:9]}")
    assert not shared
    assert len(split) <= len(books) // 100


def held_items(db, d, unpaid=False):
    """How many items a daemon has; unpaid: of which ISBNdb's answer has not been stored."""
    return db.value("SELECT count(*) FROM enrichment_queue q WHERE status = 'processing' AND owner = %s AND NOT (%s AND EXISTS"
                    " (SELECT FROM provider_records r WHERE r.isbn13 = q.entity_key AND r.provider = 'isbndb'))",
                    d.instance, unpaid)


def assert_paid_once(db, sandbox, in_flight):
    """One record per ISBN is kept, and what ISBNdb counted beyond what was kept was under way when somebody was killed; our own count
    is never below ISBNdb's. An item has two successful look-ups of a provider in the log only if both were paid for: an answer on its
    way into the database when its daemon was killed may arrive there after somebody else has asked again."""
    twice = db.value("SELECT count(*) FROM (SELECT item_id FROM enrichment_log WHERE operation = 'lookup' AND success"
                     " AND provider = 'isbndb' GROUP BY 1 HAVING count(*) > 1) AS twice")
    kept = db.value("SELECT count(*) FROM provider_records WHERE provider = 'isbndb'")
    units = sandbox.counters("isbndb")["units"]
    print(f"ISBNdb: {units} units, {kept} answers kept, {units - kept} lost with a killed daemon")
    assert kept <= units <= kept + in_flight
    assert twice <= units - kept, f"{twice} look-ups are in the log twice"
    assert db.value("SELECT count(*) FROM (SELECT item_id, provider, call_id FROM enrichment_log WHERE operation = 'lookup'"
                    " GROUP BY 1, 2, 3 HAVING count(*) > 1) AS twice") == 0
    assert db.value("SELECT used FROM api_quota WHERE provider = 'isbndb'") >= units


def test_two_daemons_share_a_queue(daemon, db, sandbox):
    """1,000 ISBNs, two daemons: each item once, both take part, each ISBN is paid for once, in bulk."""
    coverage(sandbox, 1.0)
    sandbox.control({"providers": {p: {"latency_ms": [50, 150]} for p in LOOKED_UP}})
    ini = {"enrichment": {"batch": BATCH}, "provider.isbndb": {"rate": "2/s"}, "provider.wikidata": {"enabled": False}}
    lines = editions(sandbox)[:1000]
    one, two = daemon(ini), daemon(ini)
    for d in (one, two):
        wait_until(lambda d=d: d.metrics()["backfill_instances"] == 2, 30, "both know of each other")
    queue(db, [line["isbn"] for line in lines])
    wait_until(lambda: queue_statuses(db) == {"completed": 1000}, 120, "the queue")
    assert_each_once(db, [line["isbn"] for line in lines])
    assert_nothing_doubled(db)
    assert_works_are_the_books(db, lines)
    assert_paid_once(db, sandbox, 0)
    assert db.value("SELECT count(DISTINCT instance) FROM enrichment_log WHERE operation = 'create_edition'") == 2
    counters = sandbox.counters("isbndb")
    assert counters["units"] == 1000 and counters["requests"] < 60


@pytest.mark.slow
def test_twenty_kills(daemon, db, sandbox):
    """kill -9 at 20 random moments while two daemons enrich 2,000 ISBNs: every item is completed exactly once, no work, author
    or answer is there twice, and no more was paid for than was kept or under way at a kill."""
    dice = random.Random(20240701)
    coverage(sandbox, 1.0)
    sandbox.control({"providers": {p: {"latency_ms": [100, 700]} for p in LOOKED_UP}})
    ini = {"enrichment": {"batch": BATCH}, "provider.isbndb": {"rate": "2/s", "concurrency": 2},
           "provider.wikidata": {"enabled": False}}
    lines = held_by_isbndb(sandbox, editions(sandbox, first=False))[:2000]
    isbns = [line["isbn"] for line in lines]
    assert len(isbns) == 2000
    daemons = [daemon(ini), daemon(ini)]
    queue(db, isbns)
    kills = hit = in_flight = 0
    while kills < 20:
        # both at once every other time: the one that comes back first is alone, and need not wait for its place in the rate
        victims = daemons if kills % 4 < 2 else [daemons[dice.randrange(2)]]
        wait_until(lambda v=victims: any(held_items(db, d) for d in v), 30, "something to be killed")
        time.sleep(dice.uniform(0, 1.5))
        for d in victims:
            d.kill9()
            hit += held_items(db, d) > 0
            in_flight += held_items(db, d, unpaid=True)
            kills += 1
        for d in victims:
            d.start()
    assert hit >= 10, f"only {hit} kills met work"
    for d in daemons:
        d.wait_ready()
    wait_until(lambda: queue_statuses(db) == {"completed": 2000}, 120, "the queue")
    assert_each_once(db, isbns)
    assert_nothing_doubled(db)
    assert_works_are_the_books(db, lines)
    assert_paid_once(db, sandbox, in_flight)
    assert db.value("SELECT max(retry_count) FROM enrichment_queue") == 0, "a kill is no attempt"
