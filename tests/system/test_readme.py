"""What the README says is so: its diagram, the SQL of its set-up, its configuration, the messages and paths it names."""
import re
import subprocess
from pathlib import Path

import psycopg2
import pytest
from stand import binary, wait_until

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
UNIT = (ROOT / "conf" / "backfilld.service").read_text(encoding="utf-8")
PASSWORDLESS = "host=127.0.0.1 port={port} dbname={dbname} user={user}"


def section(title):
    """The text of one section."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", README, re.M | re.S)
    assert found, f"no section {title!r}"
    return found.group(1)


def blocks(language, text=README):
    """The fenced blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def run_sql(conninfo, sql):
    """Several statements as psql runs them: one after the other, each for itself."""
    connection = psycopg2.connect(conninfo)
    connection.autocommit = True
    with connection.cursor() as cursor:
        for statement in filter(str.strip, sql.split(";")):
            cursor.execute(statement)
    connection.close()


def test_the_diagram_is_the_programs():
    """The state diagrams, of a month and of an item, are what `backfilld states` prints, to the letter."""
    printed = [subprocess.run([str(binary("backfilld")), "states", *more], capture_output=True, text=True, check=True,
                              timeout=30).stdout for more in ([], ["--items"])]
    assert blocks("mermaid") == printed


class SetUp:
    """The README's set-up done on a cluster of its own, step by step."""

    def __init__(self, cluster):
        self.port = cluster.cluster.port
        create, grant = [b for b in blocks("sql", section("Set it up"))]
        run_sql(self.conninfo("postgres", "postgres"), create)
        self.grants = grant

    def conninfo(self, user, dbname="openlibrary"):
        return PASSWORDLESS.format(port=self.port, dbname=dbname, user=user)

    def migrate_command(self):
        """The arguments of the README's migrate, with this cluster's address."""
        line = next(line for line in section("Set it up").splitlines() if " migrate --conninfo " in line)
        conninfo = re.search(r'--conninfo "(.*)"$', line).group(1)
        return ["migrate", "--conninfo", f"host=127.0.0.1 port={self.port} user=postgres {conninfo}"]


@pytest.fixture
def set_up(own_pg):
    return SetUp(own_pg)


def test_the_runtime_role_runs_a_month(daemon, set_up):
    """Roles, database, migrations and rights as written: the daemon's role works on months and owns nothing."""
    d = daemon(conninfo=set_up.conninfo("backfilld"), migrate=False, start=False)
    done = d.command(*set_up.migrate_command())
    assert done.returncode == 0, done.stderr
    run_sql(set_up.conninfo("postgres"), set_up.grants)
    d.start().wait_ready()
    assert d.seed(2024, 2024) == 12
    d.schedule(batch_size=2)
    d.wait_months(2)
    wait_until(lambda: d.metrics()["backfill_months_held"] == 0, 10, "the months are let go")
    assert d.post("/api/internal/months/2024/12/reset").status == 200
    assert d.post("/api/internal/pause", {"note": "x"}).status == 200
    assert d.post("/api/internal/resume").status == 200
    job = d.post("/api/harvest/backfill", {"year": 2024, "month": 12, "dry_run": True})
    assert job.status == 202
    wait_until(lambda: d.get(job.json["status_url"]).json["status"] == "complete", 30, "the dry run ends")
    assert d.post("/api/harvest/backfill", {"year": 1999, "month": 1}).status == 202
    d.wait_months(2)
    assert d.stop() == 0
    assert "permission denied" not in d.log
    superuser = psycopg2.connect(set_up.conninfo("postgres"))
    with superuser.cursor() as cursor:
        cursor.execute("SELECT DISTINCT r.rolname FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner"
                       " WHERE c.relnamespace = 'public'::regnamespace")
        assert cursor.fetchall() == [("openlibrary",)]
        cursor.execute("SELECT has_table_privilege('backfilld', 'enriched_editions', 'DELETE'),"
                       " has_table_privilege('backfilld', 'backfill_log', 'DELETE'),"
                       " has_schema_privilege('backfilld', 'public', 'CREATE')")
        assert cursor.fetchone() == (False, False, False)
    superuser.close()


def test_a_missing_right_is_named(daemon, set_up):
    """Without one of the rights the daemon ends with 3 and names what is missing."""
    d = daemon(conninfo=set_up.conninfo("backfilld"), migrate=False, start=False)
    assert d.command(*set_up.migrate_command()).returncode == 0
    done = d.command("run")
    assert (done.returncode, "GRANT" in done.stderr) == (3, True), done.stderr
    run_sql(set_up.conninfo("postgres"), set_up.grants)
    run_sql(set_up.conninfo("postgres"), "REVOKE DELETE ON isbn_resolutions FROM backfilld")
    done = d.command("run")
    assert done.returncode == 3
    assert "isbn_resolutions" in done.stderr and "GRANT" in done.stderr


def test_the_configuration_is_valid(tmp_path):
    """The INI of the set-up passes `check` with a file for every secret."""
    ini = tmp_path / "backfilld.ini"
    ini.write_text(blocks("ini", section("Set it up"))[0], encoding="utf-8")
    for name in re.findall(r"\$\{CREDENTIALS_DIRECTORY\}/(\w+)", ini.read_text(encoding="utf-8")):
        (tmp_path / name).write_text("x" * 40 + "\n", encoding="ascii")
        (tmp_path / name).chmod(0o600)
        assert f"LoadCredential={name}:/etc/backfilld/secrets/{name}\n" in UNIT
    done = subprocess.run([str(binary("backfilld")), "-c", str(ini), "check"], capture_output=True, text=True, check=False,
                          timeout=30, env={"PATH": "/usr/bin:/bin", "CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert (done.returncode, done.stderr) == (0, "")


def test_the_keys_it_names_exist_with_their_defaults():
    """Each key of the configuration's table is in the sample, with the default that the table shows."""
    sample = (ROOT / "conf" / "backfilld.ini").read_text(encoding="utf-8")
    sections = {s: dict(re.findall(r"^;(\w+) = ?(.*)$", text, re.M))
                for s, text in re.findall(r"^\[([\w.]+)\]\n(.*?)(?=^\[|\Z)", sample, re.M | re.S)}
    rows = re.findall(r"^\| (`.*?) \| (.*?) \| .*\|$", section("Configuration"), re.M)
    assert len(rows) > 8
    for keys, defaults in rows:
        keys, defaults = re.findall(r"`([^`]+)`", keys), [d.strip(" `") for d in defaults.split(",")]
        prefix = keys[0].rpartition(".")[0]
        for i, key in enumerate(keys):
            key = key.rpartition(".")[2]
            in_section = sections[prefix.replace("NAME", "isbndb")]
            assert key in in_section, key
            if len(defaults) == len(keys) and defaults[0] != "per provider":
                default = defaults[i].replace("ISBNdb ", "")
                assert in_section[key] == default, key


def test_the_messages_it_quotes_are_the_programs():
    """Every log message and metric the README quotes is in the sources."""
    sources = "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "src").rglob("*.c"))
    sources = re.sub(r'"\s*\n\s*"', "", sources)       # a message may be broken over lines
    messages = re.findall(r'msg="([^"]+)"', README) + [
        "months taken up from an owner that is gone", "quota gone although our count says otherwise", "provider closed",
        "provider works again", "database session up", "instance registered", "no AI provider usable"]
    assert len(messages) > 9
    for message in messages:
        assert message in README and f'"{message}' in sources, message
    for metric in set(re.findall(r"backfill_(\w+)(?:\{status=\"failed\"\})?`", section("Operations").split("**A month fails")[0])):
        assert f'"{metric}"' in sources, metric


def test_every_route_is_in_the_table():
    """The interface's table has every path of the program's, and no other."""
    source = (ROOT / "src" / "admin" / "routes.c").read_text(encoding="utf-8")
    table = section("Interface")
    routes = [(prefix and "/api/internal/") + path for prefix, path in re.findall(r'(?:GET|POST),\s+(API )?"([^"]+)"', source)]
    assert len(routes) > 15
    for path in re.findall(r"`(?:GET |POST )?(/(?:api|healthz)[^`]*)`", table):
        assert path in routes, path
    for path in routes:
        short = path.removeprefix("/api/internal")
        last = "/" + path.rpartition("/")[2]
        assert any(f"{p}`" in table for p in (path, short, last)), path


def test_the_picture_of_watch_is_what_watch_draws():
    """The block of tools/capture-watch has two pictures with the headings that watch prints, in its order, and fits a page."""
    found = re.findall(r"^<!-- watch:begin -->\n```text\n(.*?)```\n<!-- watch:end -->$", README, re.M | re.S)
    assert len(found) == 1, "the marks of tools/capture-watch"
    lines = found[0].splitlines()
    assert len(lines) <= 30 and max(map(len, lines)) <= 100 and lines[0] == "$ backfillctl watch --until-done"
    source = (ROOT / "tools" / "ctl" / "watch_view.c").read_text(encoding="utf-8")
    printed = set(re.findall(r'"((?:[A-Za-z]+ )+ *)(?=%|none|not|no|about|the)', source))
    heads = ["months", "in flight", "books", "queue", "ISBNdb", "cost", "time left", "data"]
    assert {f"{head:<11}" for head in heads} <= printed
    assert [line[:11].rstrip() for line in lines if line[:11] in printed] == 2 * heads
    bars = [re.fullmatch(r"\u2588*\u2591* (\d+\.\d) %  (\d+) of (\d+) months, (\d+) left", line) for line in lines]
    amid, done = [[float(n) for n in bar.groups()] for bar in bars if bar]
    assert 0 < amid[0] < done[0] == 100.0 and amid[1] + amid[3] == amid[2] == done[1] == done[2] and done[3] == 0
    assert re.match(r"working: \d+ months in flight on \d instances?$", lines[1]) and any(re.match("done: ", line) for line in lines)
