"""Campaigns in which the queue of ISBNs is worked off too: how its daemons are set, and what must hold of it at the end."""
BATCH = 20          # small, so that a fault cuts off few look-ups
OPEN = "SELECT count(*) FROM enrichment_queue WHERE status IN ('pending', 'processing')"

# (what it says, the rows that say it)
DEFECTS = (
    ("failed without a reason", "SELECT entity_key FROM enrichment_queue WHERE status = 'failed' AND coalesce(error_message, '') = ''"),
    ("ended in no known way", "SELECT entity_key FROM enrichment_queue WHERE status NOT IN ('completed', 'failed')"),
    ("no item though an ISBN was found", "SELECT c.isbn13 FROM backfill_candidates c WHERE c.isbn13 IS NOT NULL AND c.state <> 'merged'"
     " AND NOT EXISTS (SELECT FROM enrichment_queue q WHERE q.entity_key = c.isbn13)"),
    ("two items", "SELECT entity_key FROM enrichment_queue GROUP BY 1 HAVING count(*) > 1"),
    ("completed without an edition", "SELECT entity_key FROM enrichment_queue q WHERE status = 'completed' AND entity_type = 'edition'"
     " AND NOT EXISTS (SELECT FROM enriched_editions e WHERE e.isbn = q.entity_key)"),
    ("an edition made twice", "SELECT entity_key FROM enrichment_log WHERE operation = 'create_edition' GROUP BY 1 HAVING count(*) > 1"),
    # volumes of a series share the title, not the subtitle
    ("a work twice", "SELECT min(w.title) FROM enriched_works w JOIN work_authors_enriched l USING (work_key) WHERE l.author_order ="
     " (SELECT min(author_order) FROM work_authors_enriched m WHERE m.work_key = w.work_key) AND NOT w.synthetic"
     " GROUP BY lower(concat_ws(': ', w.title, w.subtitle)), l.author_key HAVING count(*) > 1"),
    ("an author twice", "SELECT min(name) FROM enriched_authors GROUP BY lower(regexp_replace(name, '[^[:alpha:]]', '', 'g'))"
     " HAVING count(*) > 1"),
    ("a call in the log twice", "SELECT min(entity_key) FROM enrichment_log WHERE operation = 'lookup'"
     " GROUP BY item_id, provider, call_id HAVING count(*) > 1"),
)


def ini(short):
    """What a daemon that works the queue off has in its configuration; in short without the other editions of a book."""
    return {"enrichment": {"enabled": True, "batch": BATCH, "siblings": not short},
            "provider.wikidata": {"enabled": True},
            # its turn among a month's look-ups would be a standstill that no fault made: see run.py
            "resolution": {"order": "isbndb, google_books, open_library, archive_org"}}


def at_rest(db):
    """Nothing of the queue is left to do."""
    return db.value(OPEN) == 0


def defects(db):
    """Sentences; none is good."""
    return [f"{what}: {len(found)}, {', '.join(map(str, found[:3]))}" for what, sql in DEFECTS if (found := db.column(sql))]


def judge(run, out):
    """Every item ended exactly once, nothing is there twice, and no look-up was paid for that is neither kept nor cut off."""
    ended = {r["status"]: r["n"] for r in run.db.rows("SELECT status, count(*) AS n FROM enrichment_queue GROUP BY 1")}
    run.note("queue: " + ", ".join(f"{n} {status}" for status, n in sorted(ended.items())))
    found = defects(run.db)
    out.doubled += len(found)
    out.reasons += found
    if not ended.get("completed"):
        out.reasons.append("no item of the queue completed: the campaign proves nothing")


def bought(db):
    """How many ISBNs the log says ISBNdb was asked about for the queue."""
    return db.value("SELECT count(DISTINCT item_id) FROM enrichment_log WHERE operation = 'lookup' AND provider = 'isbndb'")
