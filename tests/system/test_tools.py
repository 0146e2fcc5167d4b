"""The house's own tools: the checks find what they are there to find, the generators refuse what would surprise later."""
import shutil
import subprocess
import sys

import pytest
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


@pytest.mark.parametrize("text, words", [
    ("-- name: a\nSELECT $2\n", "gaps"),
    ("-- name: a\nSELECT 1; SELECT 2\n", "one statement per name"),
    ("-- name: a\nSELECT 'x\n", "unclosed"),
    ("-- name: a\nSELECT 1 /* x\n", "never closed"),
    ("-- name: a\nSELECT 1\n-- name: a\nSELECT 2\n", "already defined"),
    ("-- name: A b\nSELECT 1\n", "not a statement name"),
    ("-- name: a\n-- nothing\n", "no text"),
    ("SELECT 1\n", "before the first"),
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
