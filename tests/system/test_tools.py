"""The house's own tools: the checks find what they are there to find, the generators refuse what would surprise later."""
import argparse
import json
import shutil
import subprocess
import sys

import pytest
import demo
import enriched
import stand

STATEMENT = "-- name: one\n-- why\nSELECT 'a -- b', $2::int, $1::text -- trailing\n\tFROM t;\n"


def run(*argv):
    return subprocess.run([sys.executable, "-B", *map(str, argv)], capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def house(tmp_path):
    """A small tree with the real tools in it: house("src/base/x.c", text) writes a file."""
    shutil.copytree(stand.ROOT / "tools" / "lib", tmp_path / "tools" / "lib")
    for name in ("check-rooms", "check-house"):
        shutil.copy(stand.ROOT / "tools" / name, tmp_path / "tools" / name)

    def write(path, text):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return tmp_path
    for room in ("base", "config", "reactor", "books", "store"):
        write(f"include/backfill/{room}.h", "")
        write(f"src/{room}/{room}.c", f'#include "backfill/{room}.h"\n')
    return write


@pytest.mark.parametrize("path, text, words", [
    ("src/base/a.c", '#include "backfill/store.h"\n', "base may not use store"),
    ("src/books/a.c", '#include "backfill/reactor.h"\n', "books may not use reactor"),
    ("src/books/a.c", '#include "store/rows.h"\n', "private header"),
    ("src/books/a.c", '#include "../store/rows.h"\n', "private header"),
    ("src/store/a.c", "#include <curl/curl.h>\n", "belongs to reactor"),
    ("include/backfill/base.h", '#include "backfill/config.h"\n', "base may not use config"),
    ("src/attic/a.c", "\n", "not in a room"),
])
def test_rooms_finds_arrows_that_point_up(house, path, text, words):
    """Each kind of forbidden #include is found, with its place; the tree without it is clean."""
    top = house("src/store/ok.c", '#include "backfill/books.h"\n/* #include "backfill/admin.h" */\n')
    clean = run(top / "tools" / "check-rooms")
    assert clean.returncode == 0, clean.stdout
    house(path, text)
    found = run(top / "tools" / "check-rooms")
    assert found.returncode == 1 and words in found.stdout and f"{path}:1:" in found.stdout


@pytest.mark.parametrize("path, text, words", [
    ("src/store/a.c", "int f(void)\n{\n\treturn sprintf(x, y);\n}\n", "a.c:3: sprintf is banned"),
    ("src/store/a.c", "void *f(void)\n{\n\treturn malloc(1);\n}\n", "a.c:3: malloc belongs to src/base"),
    ("src/store/a.c", "int f(void)\n{\n" + "\tx();\n" * 61 + "}\n", "62 lines; a function"),
    ("src/store/a.c", "int x;\n" * 601, "601 lines; a file"),
    ("src/store/a.c", "int x; \n", "a.c:1: white space"),
    ("src/store/a.c", "int x;", "no newline"),
    ("src/store/a.c", "/* TO" "DO: later */\n", "unfinished"),
])
def test_house_finds_what_it_forbids(house, path, text, words):
    """Each habit is checked; the same words in comments and literals, and longer names, are no finding."""
    top = house("src/store/ok.c", '/* never sprintf( */\nconst char *s = "malloc(";\nint my_sprintf(int);\nint g = o->time(1);\n')
    clean = run(top / "tools" / "check-house")
    assert clean.returncode == 0, clean.stdout
    house(path, text)
    found = run(top / "tools" / "check-house")
    assert found.returncode == 1 and words in found.stdout


def test_gen_sql_writes_the_statement(tmp_path):
    """Comments, indentation and the semicolon go, quoted text stays, parameters are counted."""
    (tmp_path / "in.sql").write_text(STATEMENT, encoding="utf-8")
    done = run(stand.ROOT / "tools" / "gen_sql.py", tmp_path / "o.c", tmp_path / "o.h", tmp_path / "in.sql")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "o.c").read_text()
    assert "\t\"SELECT 'a -- b', $2::int, $1::text\\n\"\n\t\"FROM t\",\n\t2\n" in text
    assert "extern const struct bf_pg_stmt sql_one;" in (tmp_path / "o.h").read_text()


def test_gen_sql_inserts_parts(tmp_path):
    """A part stands in each statement that uses it, of whatever file, and its parameters count."""
    (tmp_path / "in.sql").write_text("-- name: a\nSELECT $1,\n-- use: p\n-- name: b\n-- use: p\n", encoding="utf-8")
    (tmp_path / "more.sql").write_text("-- part: p\n1 - $2 -- twice\n", encoding="utf-8")
    done = run(stand.ROOT / "tools" / "gen_sql.py", tmp_path / "o.c", tmp_path / "o.h", tmp_path / "in.sql", tmp_path / "more.sql")
    assert done.returncode == 1 and "b: parameters have gaps: $1" in done.stderr
    (tmp_path / "in.sql").write_text("-- name: a\nSELECT $1,\n-- use: p\n", encoding="utf-8")
    done = run(stand.ROOT / "tools" / "gen_sql.py", tmp_path / "o.c", tmp_path / "o.h", tmp_path / "in.sql", tmp_path / "more.sql")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "o.c").read_text()
    assert "\t\"SELECT $1,\\n\"\n\t\"1 - $2\",\n\t2\n" in text and "sql_p" not in text


@pytest.mark.parametrize("text, words", [
    ("-- name: a\nSELECT $2\n", "gaps"),
    ("-- name: a\nSELECT 1; SELECT 2\n", "one statement per name"),
    ("-- name: a\nSELECT 'x\n", "unclosed"),
    ("-- name: a\nSELECT 1 /* x\n", "never closed"),
    ("-- name: a\nSELECT 1\n-- name: a\nSELECT 2\n", "already defined"),
    ("-- name: A b\nSELECT 1\n", "not a statement name"),
    ("-- name: a\n-- nothing\n", "no text"),
    ("SELECT 1\n", "before the first"),
    ("-- name: a\nSELECT 1\n-- use: b\n", "no part"),
    ("-- name: a\nSELECT 1\n-- part: b\nx\n", "nobody uses"),
    ("-- name: a\n-- use: b\n-- part: b\n-- use: c\n-- part: c\nx\n", "no part"),
])
def test_gen_sql_refuses(tmp_path, text, words):
    """What could only surprise at run time is refused with its line."""
    (tmp_path / "in.sql").write_text(text, encoding="utf-8")
    done = run(stand.ROOT / "tools" / "gen_sql.py", tmp_path / "o.c", tmp_path / "o.h", tmp_path / "in.sql")
    assert done.returncode == 1 and words in done.stderr and "in.sql:" in done.stderr
    assert not (tmp_path / "o.c").exists()


def test_gen_migrations(tmp_path):
    """Ordered by number, checksum of the file's bytes, concurrent by its mark; a number twice is refused."""
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "015_index.sql").write_text("-- no-transaction\nCREATE INDEX CONCURRENTLY a ON b (c);\n")
    (folder / "001_first.sql").write_bytes(b"abc")
    tool = stand.ROOT / "tools" / "gen_migrations.py"
    assert run(tool, tmp_path / "migrations.c", folder).returncode == 0
    text = (tmp_path / "migrations.c").read_text()
    # SHA-256 of "abc" is the test vector of FIPS 180-4
    assert '{ 1, "001_first", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",' in text
    assert text.index('"001_first"') < text.index('"015_index"')
    assert "sql_1, false" in text and "sql_15, true" in text
    (folder / "001_again.sql").write_text("SELECT 1;\n")
    assert run(tool, tmp_path / "migrations.c", folder).returncode == 1


# ---- measuring what was enriched ----

def edition(isbn, work_key):
    return {"isbn": isbn, "work_key": work_key}


def judged(editions, **truth):
    """judge() on keys that stand for ISBNs; truth: key -> true work, or (true work, what)."""
    def what(isbn):
        true = truth.get(isbn)
        true, kind = true if isinstance(true, tuple) else (true, "edition")
        return {"true_work": true, "what": kind, "title": isbn} if true else {}
    right, wrong, unknown = enriched.judge([edition(i, k) for i, k in editions.items()], what)
    return [sorted(e["isbn"] for e in one) for one in (right, (e for e, _ in wrong), unknown)]


def test_editions_of_one_work_belong_under_one_key():
    """What is under the key that most of its work's editions have, and that most of the key's editions are of, is right."""
    assert judged({"a": "1", "b": "1", "c": "2"}, a="w1", b="w1", c="w2") == [["a", "b", "c"], [], []]
    # a work torn apart: the smaller part is wrong
    assert judged({"a": "1", "b": "1", "c": "2"}, a="w1", b="w1", c="w1") == [["a", "b"], ["c"], []]
    # a key that holds two works: those of the smaller are wrong
    assert judged({"a": "1", "b": "1", "c": "1"}, a="w1", b="w1", c="w2") == [["a", "b"], ["c"], []]
    # equal parts: one of them is wrong, whichever
    right, wrong, _ = judged({"a": "1", "b": "2"}, a="w1", b="w1")
    assert len(right) == len(wrong) == 1
    # what the sandbox does not know is neither
    assert judged({"a": "1", "b": "1"}, a="w1") == [["a"], [], ["b"]]


def test_translations_and_large_print_may_stand_under_either_key():
    """With the work or in one of their own they are right; with another work they are not; they do not tear a work apart."""
    both = {"a": "w1", "b": ("w1", "translation"), "c": ("w1", "large_print")}
    assert judged({"a": "1", "b": "1", "c": "1"}, **both)[1] == []
    assert judged({"a": "1", "b": "2", "c": "2"}, **both)[1] == []
    assert judged({"a": "1", "b": "2", "c": "2"}, a="w1", b=("w1", "translation"), c="w2")[1] == ["b"]


@pytest.fixture
def measured(daemon, db, sandbox):
    """A migrated database and measured(): the figures of tools/measure --json, and its status; with table=True its words."""
    daemon(start=False)

    def run_measure(table=False):
        done = run(stand.ROOT / "tools" / "measure", "--sandbox", sandbox.url, "--conninfo", db.conninfo,
                   *([] if table else ["--json"]))
        assert done.returncode in (0, 1), done.stderr
        return done.stdout if table else (json.loads(done.stdout)["enrichment"], done.returncode)
    run_measure.lines = [json.loads(line) for line in stand.http("GET", sandbox.url + "/_truth").text.split("\n") if line.strip()]
    return run_measure


def put(db, isbn, work_key, status="completed", author="name:a b", synthetic=False, reason=None):
    """An item of the queue with its edition, work and author; work_key None: only the item."""
    db.execute("INSERT INTO enrichment_queue (entity_type, entity_key, status, queued_by, year, month, error_message)"
               " VALUES ('edition', %s, %s, 'backfilld', 2024, 1, %s)", isbn, status, reason)
    if work_key is None:
        return
    db.execute("INSERT INTO enriched_works (work_key, title, synthetic) VALUES (%s, 'T', %s) ON CONFLICT DO NOTHING", work_key, synthetic)
    db.execute("INSERT INTO enriched_editions (isbn, work_key, title) VALUES (%s, %s, 'T')", isbn, work_key)
    if author:
        db.execute("INSERT INTO enriched_authors (author_key, name) VALUES (%s, 'A B') ON CONFLICT DO NOTHING", author)
        db.execute("INSERT INTO work_authors_enriched (work_key, author_key) VALUES (%s, %s) ON CONFLICT DO NOTHING", work_key, author)
        db.execute("UPDATE enriched_authors a SET book_count = (SELECT count(*) FROM work_authors_enriched l"
                   " WHERE l.author_key = a.author_key)")


def editions_of_a_work(lines, n):
    """ISBNs of n editions of one work, and one of another work."""
    by_work = {}
    for x in lines:
        if x["kind"] == "edition":
            by_work.setdefault(x["true_work"], []).append(x["isbn"])
    work = next(w for w, v in by_work.items() if len(v) >= n)
    return by_work[work][:n], next(v[0] for w, v in by_work.items() if w != work)


def test_measure_reads_a_good_catalogue(measured, db, sandbox):
    """Every figure reaches its goal, and the units are the sandbox's."""
    isbns, other = editions_of_a_work(measured.lines, 3)
    for isbn in isbns:
        put(db, isbn, "work:1")
    put(db, other, "work:2")
    stand.http("POST", sandbox.url + "/isbndb/books", {"isbns": isbns[:2]}, {"Authorization": "k"})
    figures, status = measured()
    assert status == 0 and enriched.missed(figures) == []
    assert [figures[k] for k in enriched.GOALS] == [100, 100, 100, 100, 100, 0.5]
    assert figures["units_per_queued_by_months"] == 0.5
    assert "MISSED" not in measured(table=True)


@pytest.mark.parametrize("spoil, figure", [
    (lambda db, isbns, other: put(db, other, "work:1"), "right_work"),
    (lambda db, isbns, other: put(db, other, "work:9", author=None), "complete_items"),
    (lambda db, isbns, other: put(db, other, None), "complete_items"),
    (lambda db, isbns, other: put(db, other, None, status="pending"), "queue_empty"),
    (lambda db, isbns, other: put(db, other, None, status="processing"), "queue_empty"),
    (lambda db, isbns, other: put(db, other, "work:9", synthetic=True), "promoted"),
    (lambda db, isbns, other: db.execute("UPDATE enriched_authors SET book_count = 7"), "book_counts"),
])
def test_measure_sees_each_defect(measured, db, spoil, figure):
    """One thing wrong, and just that figure misses its goal; the exit status says so."""
    isbns, other = editions_of_a_work(measured.lines, 3)
    for isbn in isbns:
        put(db, isbn, "work:1")
    spoil(db, isbns, other)
    figures, status = measured()
    assert status == 1 and enriched.missed(figures) == [figure]
    assert measured(table=True).count("MISSED") == 1


def test_measure_lists_what_failed_and_counts_units_against_editions(measured, db, sandbox):
    """Failed items have ended, with their reasons; more units than editions miss the goal."""
    isbns, other = editions_of_a_work(measured.lines, 3)
    put(db, isbns[0], "work:1")
    put(db, other, None, status="failed", reason="no provider knows it")
    stand.http("POST", sandbox.url + "/isbndb/books", {"isbns": isbns}, {"Authorization": "k"})
    figures, status = measured()
    assert figures["failed"] == {"no provider knows it": 1} and figures["queue_empty"] == 100
    assert status == 1 and enriched.missed(figures) == ["units_per_edition"] and figures["units_per_edition"] == 3
    assert "no provider knows it" in measured(table=True)


# ---- the demo and the queue's benchmark ----

def verdict(months=3, reasons=None, **queue):
    """What the demo of three months complains of."""
    one = demo.Demo(argparse.Namespace(months=3))
    queue = {"pending": 0, "waiting": 0, "processing": 0, "completed": 200, "failed": 0, **queue}
    return list(one.verdict({"by_status": {"completed": months}, "enrichment": queue}, {"failed": reasons or {}}))


def test_demo_wants_all_months_and_an_empty_queue(capsys):
    """Months, items left and more than one failed item in a hundred are each a complaint; one in a hundred is told, no more."""
    assert verdict() == []
    assert "2 of 3 months" in verdict(months=2)[0]
    assert "1 items are left" in verdict(pending=1, waiting=1)[0]
    assert "1 items are left" in verdict(processing=1)[0]
    assert verdict(reasons={"gone": 2}, completed=198, failed=2) == []
    assert "gone" in capsys.readouterr().err
    assert "3 of 200 items failed" in verdict(completed=197, failed=3)[0]


@pytest.mark.parametrize("argv, words", [
    (["--items", "10,x"], "numbers"), (["--items", "0"], "--items"), (["--editions", "3"], "--editions"), (["--keep", "."], "not empty"),
])
def test_bench_queue_refuses_bad_options(argv, words):
    """Nothing is started for a slip on the command line."""
    done = run(stand.ROOT / "tools" / "bench-queue", *argv)
    assert done.returncode == 2 and words in done.stderr


@pytest.mark.slow
def test_bench_queue_runs_and_ends_every_item():
    """A small catalogue and two small queues: the original's tables are migrated, every item becomes an edition, nothing is bought."""
    done = subprocess.run([sys.executable, "-B", stand.ROOT / "tools" / "bench-queue", "--editions", "2000", "--items", "60,120",
                           "--limit-percent", "100000", "--json"], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert [r["items"] for r in result["runs"]] == [60, 120] and result["migrate"]["rows_written"] > 0
    for r in result["runs"]:
        assert r["completed"] == r["editions"] == r["items"] and r["isbndb_units"] == 0
        assert r["works"] == r["items"] * 2 // 3 and r["statements_per_item"] > 0
    assert result["spread"].keys() == {"ms_per_item", "statements_per_item"}
