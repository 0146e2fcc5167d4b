"""The program from outside: commands, exit codes, what `check` prints, and what keeps the daemon from starting."""
import re
import subprocess
import time

import pytest
from harness import free_port
from stand import ROOT, binary, wait_until


def run(*args, env=None, timeout=60):
    """backfilld with these arguments and next to no environment."""
    return subprocess.run([str(binary("backfilld")), *map(str, args)], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          env={"PATH": "/usr/bin:/bin", **(env or {})}, timeout=timeout, check=False)


@pytest.fixture
def refused(daemon, tmp_path):
    """refused({...}) starts a daemon that will not get far: (exit code, what it said)."""
    def start(ini=None, timeout=60, **kwargs):
        d = daemon(ini, start=False, **kwargs)
        d.start()
        return d.wait(timeout), d.log
    return start


@pytest.mark.parametrize("args,code,says", [
    (["--version"], 0, "backfilld "), (["--help"], 0, "usage: backfilld"), (["states"], 0, "stateDiagram-v2"),
    (["--nonsense"], 2, "--help"), (["nonsense"], 2, "unknown command"), (["check", "run"], 2, "one command"),
    (["--status", "check"], 2, "migrate"), (["-c"], 2, "--help"), (["-c", "/nowhere/x.ini", "check"], 2, "/nowhere/x.ini"),
    (["-c", "/nowhere/x.ini"], 2, "/nowhere/x.ini")])
def test_the_command_line(args, code, says):
    """Each command and each wrong one ends with its code and says what it is about."""
    done = run(*args)
    assert done.returncode == code and says in done.stdout + done.stderr


def test_states_are_those_of_the_table():
    """The diagram has every stage, every end, and no way out of an end."""
    text = run("states").stdout
    arrows = re.findall(r"^\s*(\S+) --> (\S+)", text, re.M)
    assert {a for a, _ in arrows} >= {"claimed", "generating", "saving", "resolving", "queueing", "completed", "retry",
                                      "failed", "released"}
    for end in ("completed", "retry", "failed", "released"):
        assert {b for a, b in arrows if a == end} == {"[*]"}


def test_check_of_the_sample():
    """The sample that is shipped is fine, with nothing but the secret in the environment."""
    done = run("-c", ROOT / "conf" / "backfilld.ini", "check", env={"ALEXANDRIA_WEBHOOK_SECRET": "x" * 32})
    assert done.returncode == 0 and "fine" in done.stdout, done.stderr


def test_check_tells_everything_at_once(tmp_path):
    """Every problem of a file with its line, exit 2, and nothing is touched or asked."""
    file = tmp_path / "x.ini"
    file.write_text("[scheduler]\nbatch_size = 51\nretry_base = 5 parsecs\n[nobody]\nx = 1\n[admin]\nlisten = here\nlisten = there\n"
                    "[database]\nconninfo = host=x password=hush\n[provider.isbndb]\nreserve = 20000\n")
    done = run("-c", file, "check", env={"ALEXANDRIA_WEBHOOK_SECRET": "x" * 32})
    assert done.returncode == 2
    found = {int(n) for n in re.findall(rf"^{re.escape(str(file))}:(\d+): \S", done.stderr, re.M)}
    assert {2, 3, 4, 7, 8, 10} <= found and found & {11, 12}
    assert "hush" not in done.stderr


def test_check_asks_no_database(daemon):
    """check is fine although nothing listens where the database should be."""
    d = daemon({"database": {"conninfo": f"host=127.0.0.1 port={free_port()} dbname=x user=x"}}, start=False, migrate=False)
    assert d.command("check").returncode == 0


def test_no_secret_no_start(refused):
    """Without a configured secret the daemon refuses to start, whatever the address."""
    code, said = refused({"admin": {"secret_env": None}}, migrate=False, env={"ALEXANDRIA_WEBHOOK_SECRET": None})
    assert code == 2 and "secret" in said


def test_an_address_that_is_taken(daemon, refused):
    """The interface's port in use: exit 1 at once, naming the address."""
    other = daemon()
    code, said = refused({"admin": {"listen": other.listen}}, migrate=False)
    assert code == 1 and other.listen in said


def test_an_empty_database(refused):
    """Not migrated: exit 3 at once, naming the command that mends it, and nothing was made."""
    code, said = refused(migrate=False)
    assert code == 3 and "backfilld" in said and "migrate" in said


def test_a_migration_behind(daemon, db, refused):
    """One migration of ours missing: exit 3 with the command; one of a newer program's more: it starts."""
    d = daemon()
    d.stop()
    db.execute("INSERT INTO schema_migrations (number, name, checksum) VALUES (999, '999_newer', 'abc')")
    d.restart()
    d.stop()
    db.execute("DELETE FROM schema_migrations WHERE number = (SELECT max(number) FROM schema_migrations WHERE number < 999)")
    code, said = refused(migrate=False)
    assert code == 3 and "migrate" in said


def test_a_role_without_the_rights(daemon, db, refused):
    """A role that may not write a table: exit 3, with the GRANT that mends it."""
    daemon().stop()
    role = db.name + "_r"
    db.execute(f"CREATE ROLE {role} LOGIN")
    try:
        db.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
        db.execute(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}")
        db.execute(f"REVOKE UPDATE ON backfill_log FROM {role}")
        conninfo = re.sub(r"user=\S+", f"user={role}", db.conninfo)
        code, said = refused(conninfo=conninfo, migrate=False)
        assert code == 3 and "GRANT" in said and "UPDATE ON backfill_log" in said
    finally:
        db.execute(f"DROP OWNED BY {role}")
        db.execute(f"DROP ROLE {role}")


@pytest.mark.slow
def test_databases_that_will_not_do(daemon, db):
    """Nobody listens, or the encoding is LATIN1: daemon and migrate try for 30 s, then exit 3 and say what is wrong,
    and what mends it."""
    name = db.name + "_l1"
    db.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    try:
        latin1 = re.sub(r"dbname=\S+", f"dbname={name}", db.conninfo)
        nowhere = f"host=127.0.0.1 port={free_port()} dbname=x user=x"
        daemons = [daemon({"database": {"conninfo": c}}, migrate=False, start=False) for c in (nowhere, latin1)]
        began = time.monotonic()
        for d in daemons:
            d.start()
        migrations = [subprocess.Popen([str(binary("backfilld")), "-c", str(d.ini_path), "migrate"], env=d.env, text=True,
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for d in daemons]
        said = [m.communicate(timeout=60)[0] for m in migrations]
        assert [m.returncode for m in migrations] == [d.wait(60) for d in daemons] == [3, 3]
        assert time.monotonic() - began >= 29
        assert "conninfo" in daemons[0].log and "UTF8" in daemons[1].log and "UTF8" in said[1]
    finally:
        db.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_database_that_comes_late(daemon, own_pg):
    """Down at start and up a moment later: the daemon gets ready by itself; meanwhile /healthz is 200 and /readyz 503."""
    database = own_pg.database()
    d = daemon(conninfo=database.conninfo, migrate=False, start=False)
    d.migrate()
    database.close()
    own_pg.stop()
    d.start()
    wait_until(lambda: d.get("/healthz", secret=None).status == 200, 30, "alive")
    assert d.get("/readyz", secret=None).status == 503
    own_pg.start()
    d.wait_ready()
    assert d.stop() == 0


def test_sigterm_while_the_database_is_away(daemon, own_pg):
    """Asked to stop before the database ever answered: exit 0, not after 30 s."""
    d = daemon(conninfo=own_pg.database().conninfo, migrate=False, start=False)
    own_pg.stop()
    d.start()
    wait_until(lambda: d.get("/healthz", secret=None).status == 200, 30, "alive")
    assert d.stop(timeout=20) == 0
    own_pg.start()


def test_an_idle_daemon_stops_cleanly(daemon, db):
    """SIGTERM and SIGINT without work: exit 0, no session left behind."""
    d = daemon()
    assert d.stop() == 0
    d.restart()
    d.send(2)
    assert d.wait(30) == 0
    wait_until(lambda: db.value("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND"
                                " application_name LIKE 'backfilld%'") == 0, 30, "the sessions gone")


def test_a_stderr_that_nobody_reads(daemon, db, sandbox, tmp_path):
    """Log lines pile up in a pipe nobody reads: the loop goes on, the months complete."""
    d = daemon({"generation": {"books_per_provider": 5}, "scheduler": {"concurrent_months": 12}}, start=False)
    process = subprocess.Popen([str(binary("backfilld")), "-c", str(d.ini_path)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, env=d.env)
    try:
        from stand import http
        headers = {"X-Cron-Secret": d.secret}
        wait_until(lambda: http("GET", d.url + "/readyz").status == 200, 30, "ready")
        http("POST", d.url + "/api/internal/seed-backfill-queue", {"year_start": 2023, "year_end": 2024}, headers)
        for _ in range(400):        # far more lines than a pipe takes
            http("GET", d.url + "/api/internal/backfill-stats", None, headers)
        http("POST", d.url + "/api/internal/schedule-backfill", {"batch_size": 6}, headers)
        wait_until(lambda: db.statuses().get("completed") == 6, 60, "six months")
    finally:
        process.terminate()
        process.stderr.read()
        assert process.wait(20) == 0


def test_secrets_stay_out_of_the_log(daemon, db):
    """At level debug, through a whole month, no key and no secret is written, nor a URL with one."""
    d = daemon({"generation": {"books_per_provider": 5}})
    d.seed(2024, 2024)
    d.schedule(batch_size=1)
    wait_until(lambda: db.statuses().get("completed") == 1, 60, "the month")
    said = d.log + d.get("/metrics").text + d.get("/api/internal/config").text + d.get("/readyz").text
    for name, value in d.env.items():
        if name.endswith("_KEY") or name.endswith("_SECRET"):
            assert value not in said, name
    kept = db.value("SELECT string_agg(x::text, '') FROM backfill_answers AS x") + \
        str(db.value("SELECT string_agg(x::text, '') FROM backfill_candidates AS x"))
    assert not any(v in kept for n, v in d.env.items() if n.endswith("_KEY"))
