"""How much of an enriched catalogue is right: what tools/measure says about the queue's work, editions and links.

examine() reads the database and asks the sandbox what each ISBN is; table() and as_dict() say what came of it. A run
without a completed queue item has nothing to measure here: examine() returns None.
"""
from collections import Counter, defaultdict

GOALS = {"right_work": 99.5, "complete_items": 100.0, "queue_empty": 100.0, "promoted": 100.0, "book_counts": 100.0,
         "units_per_edition": 1.0}
AT_MOST = {"units_per_edition"}     # the others are shares that have to be reached
WORDS = {
    "right_work": "editions under the right work",
    "complete_items": "completed items with edition, work and author",
    "queue_empty": "items that have ended",
    "promoted": "works with an edition that are real",
    "book_counts": "authors whose book_count is right",
    "units_per_edition": "ISBNdb units per enriched edition",
}
EXAMPLES_MAX = 10
# The same book to some cataloguers and a book of its own to others: both are right, another book's work is not.
EITHER = {"translation", "large_print"}

COMPLETED = """SELECT q.entity_key AS isbn, e.isbn IS NOT NULL AS has_edition, e.work_key, w.title AS work_title, e.title,
                      w.work_key IS NOT NULL AS has_work, q.error_message,
                      EXISTS (SELECT FROM work_authors_enriched l JOIN enriched_authors a USING (author_key)
                               WHERE l.work_key = e.work_key) AS has_author
                 FROM enrichment_queue q
                 LEFT JOIN enriched_editions e ON e.isbn = q.entity_key
                 LEFT JOIN enriched_works w ON w.work_key = e.work_key
                WHERE q.queued_by = 'backfilld' AND q.entity_type = 'edition' AND q.status = 'completed'
                ORDER BY q.entity_key"""
STATUSES = """SELECT status, count(*)::int AS n FROM enrichment_queue WHERE queued_by = 'backfilld' GROUP BY status"""
FAILED = """SELECT coalesce(error_message, '-') AS reason, count(*)::int AS n FROM enrichment_queue
             WHERE queued_by = 'backfilld' AND status = 'failed' GROUP BY 1 ORDER BY n DESC, reason"""
COUNTS = """SELECT (SELECT count(*) FROM enriched_editions)::int AS editions, (SELECT count(*) FROM enriched_works)::int AS works,
                   (SELECT count(*) FROM enriched_works WHERE NOT synthetic)::int AS real_works,
                   (SELECT count(*) FROM enriched_authors)::int AS authors,
                   (SELECT count(*) FROM enrichment_log WHERE operation = 'promote_work' AND success)::int AS promoted_works,
                   (SELECT count(*) FROM enrichment_log WHERE operation = 'merge_work' AND success)::int AS merged_works,
                   (SELECT count(*) FROM enriched_works w WHERE w.synthetic AND EXISTS
                       (SELECT FROM enriched_editions e WHERE e.work_key = w.work_key))::int AS synthetic_with_edition,
                   (SELECT count(*) FROM enriched_works w WHERE EXISTS
                       (SELECT FROM enriched_editions e WHERE e.work_key = w.work_key))::int AS works_with_edition,
                   (SELECT count(*) FROM enrichment_queue WHERE queued_by = 'backfilld' AND entity_type = 'edition'
                       AND year IS NOT NULL AND coalesce(priority, 5) < 8)::int AS queued_by_months"""
BOOK_COUNTS = """SELECT count(*)::int AS authors, count(*) FILTER (WHERE coalesce(a.book_count, 0) = coalesce(l.n, 0))::int AS right
                   FROM enriched_authors a
                   LEFT JOIN (SELECT author_key, count(*) AS n FROM work_authors_enriched GROUP BY 1) l USING (author_key)"""


def biggest(counter):
    """The most frequent key; of equals the first by name, so that the same data gives the same figure."""
    return min(counter, key=lambda key: (-counter[key], str(key)))


def judge(editions, truth):
    """Splits editions [{isbn, work_key, ...}] into (right, wrong as (edition, why), unknown) by truth(isbn)."""
    known, unknown = [], []
    for e in editions:
        what = truth(e["isbn"])
        (known if what.get("true_work") else unknown).append((e, what))
    by_key, by_true, beside = defaultdict(Counter), defaultdict(Counter), defaultdict(Counter)
    for e, what in known:
        if what["what"] in EITHER:
            beside[e["work_key"]][what["true_work"]] += 1
        else:
            by_key[e["work_key"]][what["true_work"]] += 1
            by_true[what["true_work"]][e["work_key"]] += 1
    right, wrong = [], []
    for e, what in known:
        true, key = what["true_work"], e["work_key"]
        holds = biggest(by_key[key] or beside[key])
        home = key if what["what"] in EITHER else biggest(by_true[true])
        if holds == true and key == home:
            right.append(e)
        elif holds != true:
            wrong.append((e, f"{true} {what['title']!r}: its work holds {holds}"))
        else:
            wrong.append((e, f"{true} {what['title']!r}: most of its editions are under {home}"))
    return right, wrong, [e for e, _ in unknown]


def share(part, whole):
    return round(100.0 * part / whole, 3) if whole else None


def rows(cursor, sql):
    cursor.execute(sql)
    return cursor.fetchall()


def examine(cursor, truth, units):
    """Everything as one dict; None when no item is completed. units: ISBNdb's, as the sandbox counted them."""
    completed = rows(cursor, COMPLETED)
    if not completed:
        return None
    statuses = {r["status"]: r["n"] for r in rows(cursor, STATUSES)}
    counts, books = rows(cursor, COUNTS)[0], rows(cursor, BOOK_COUNTS)[0]
    editions = [e for e in completed if e["has_edition"]]
    whole = [e for e in completed if e["has_edition"] and e["has_work"] and e["has_author"]]
    right, wrong, unknown = judge(editions, truth)
    ended = statuses.get("completed", 0) + statuses.get("failed", 0)
    figures = {
        "right_work": share(len(right), len(right) + len(wrong)),
        "complete_items": share(len(whole), len(completed)),
        "queue_empty": share(ended, sum(statuses.values())),
        "promoted": share(counts["works_with_edition"] - counts["synthetic_with_edition"], counts["works_with_edition"]),
        "book_counts": share(books["right"], books["authors"]),
        "units_per_edition": round(units / len(completed), 4),
    }
    return {
        **figures, "goals": GOALS, "statuses": statuses, "failed": {r["reason"]: r["n"] for r in rows(cursor, FAILED)},
        "counts": {**counts, "completed_items": len(completed), "right": len(right), "wrong": len(wrong), "unknown": len(unknown),
                   "whole": len(whole), "authors_right": books["right"], "units": units},
        "units_per_queued_by_months": round(units / counts["queued_by_months"], 4) if counts["queued_by_months"] else None,
        "wrong": [{"isbn": e["isbn"], "title": e["title"], "work_key": e["work_key"], "work_title": e["work_title"], "why": why}
                  for e, why in wrong],
        "incomplete": [{"isbn": e["isbn"], "lacks": next(k for k in ("edition", "work", "author") if not e["has_" + k]),
                        "note": e["error_message"]}
                       for e in completed if not (e["has_edition"] and e["has_work"] and e["has_author"])],
    }


def missed(result):
    """The figures that miss their goals."""
    return [key for key, goal in GOALS.items() if result[key] is not None
            and (result[key] > goal if key in AT_MOST else result[key] < goal)]


def table(result):
    """For people."""
    c, late = result["counts"], missed(result)
    of = {"right_work": (c["right"], c["right"] + c["wrong"]), "complete_items": (c["whole"], c["completed_items"]),
          "queue_empty": (sum(n for s, n in result["statuses"].items() if s in ("completed", "failed")),
                          sum(result["statuses"].values())),
          "promoted": (c["works_with_edition"] - c["synthetic_with_edition"], c["works_with_edition"]),
          "book_counts": (c["authors_right"], c["authors"]), "units_per_edition": (c["units"], c["completed_items"])}
    print(f"\n{'enrichment':<46}{'value':>10}{'goal':>8}{'of':>16}")
    for key, goal in GOALS.items():
        value, (part, total) = result[key], of[key]
        shown = "-" if value is None else f"{value:.3f}" if key in AT_MOST else f"{value:.2f} %"
        wanted = f"{goal:.1f}" if key in AT_MOST else f"{goal:g} %"
        print(f"{WORDS[key]:<46}{shown:>10}{wanted:>8}{part:>8}/{total:<7}{'  MISSED' if key in late else ''}")
    if result["units_per_queued_by_months"] is not None:
        print(f"{'ISBNdb units per edition the months queued':<46}{result['units_per_queued_by_months']:>10.3f}{'':>8}"
              f"{c['units']:>8}/{c['queued_by_months']}")
    print(f"\n{c['editions']} editions, {c['works']} works ({c['works'] - c['real_works']} synthetic, {c['promoted_works']} promoted, "
          f"{c['merged_works']} merged), {c['authors']} authors; queue: "
          + ", ".join(f"{n} {status}" for status, n in sorted(result["statuses"].items())))
    if c["unknown"]:
        print(f"{c['unknown']} editions have an ISBN that the sandbox does not know; left out")
    for reason, n in list(result["failed"].items())[:EXAMPLES_MAX]:
        print(f"failed: {n:>5}  {reason}")
    for e in result["incomplete"][:EXAMPLES_MAX]:
        print(f"incomplete: {e['isbn']} has no {e['lacks']}" + (f" ({e['note']})" if e["note"] else ""))
    for e in result["wrong"][:EXAMPLES_MAX]:
        print(f"wrong work: {e['isbn']} {e['title']!r} under {e['work_key']} {e['work_title']!r}: {e['why']}")
    if len(result["wrong"]) > EXAMPLES_MAX:
        print(f"... and {len(result['wrong']) - EXAMPLES_MAX} more")
