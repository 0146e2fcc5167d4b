"""SIGHUP: all of a valid file or nothing of an invalid one, while months are in flight."""
import pytest
from stand import wait_until
from steps import AIS, FEW, harvest, latency, readyz, wait_done, wait_row


def config(d):
    answer = d.get("/api/internal/config")
    assert answer.status == 200, answer
    return answer.json


def reload(d, times=1):
    """SIGHUP, and waits until it has been applied."""
    d.hup()
    wait_until(lambda: d.log.count("configuration reloaded") >= times, 30, "the reload")


def test_a_valid_file_is_applied(daemon):
    """What may change without a restart is what /api/internal/config shows after SIGHUP."""
    d = daemon()
    d.write_ini({"scheduler": {"concurrent_months": 9, "batch_size": 3}, "provider.isbndb": {"daily_limit": 500, "reserve": 20}})
    reload(d)
    now = config(d)
    assert (now["scheduler"]["concurrent_months"], now["scheduler"]["batch_size"]) == ("9", "3")
    data = d.get("/api/quota/status", secret=None).json["data"]
    assert (data["daily_limit"], data["safety_limit"]) == (500, 480)
    d.seed(2024, 2024)
    assert d.schedule(dry_run=True)["batch_size"] == 3


@pytest.mark.parametrize("broken,says", [
    ({"scheduler": {"concurrent_months": 9, "batch_size": 51}}, "batch_size"),
    ({"scheduler": {"concurrent_months": 9, "no_such": 1}}, "no_such"),
    ({"scheduler": {"concurrent_months": 9}, "provider.nobody": {"enabled": "true"}}, "nobody"),
    ({"scheduler": {"concurrent_months": 9, "schedule": "61 * * * *"}}, "schedule")])
def test_an_invalid_file_changes_nothing(daemon, broken, says):
    """One bad key: the good ones of the same file are not applied either, the log names file, line and key, the daemon
    goes on."""
    d = daemon({"scheduler": {"batch_size": 10}})
    before = config(d)
    d.write_ini(broken)
    d.hup()
    found = d.wait_log(r"reload refused, nothing changed.*line=(\d+).*")
    assert says in found[0] and int(found[1]) > 0
    assert config(d) == before
    assert "configuration reloaded" not in d.log and d.get("/healthz", secret=None).status == 200


def test_a_file_that_is_gone_changes_nothing(daemon):
    """No file at all at SIGHUP is an invalid file."""
    d = daemon()
    before = config(d)
    d.ini_path.rename(d.ini_path.with_suffix(".away"))
    d.hup()
    d.wait_log("reload refused")
    assert config(d) == before


def test_keys_that_need_a_restart(daemon, db):
    """database.* and admin.listen keep their old values and are named in the log; everything else of the file is applied."""
    d = daemon()
    listen = d.listen
    d.write_ini({"admin": {"listen": "127.0.0.1:1"}, "database": {"connections": 7}, "scheduler": {"concurrent_months": 9}})
    d.hup()
    found = d.wait_log("these keys need a restart.*")[0]
    assert "admin.listen" in found and "database.connections" in found
    now = wait_until(lambda: c if (c := config(d))["scheduler"]["concurrent_months"] == "9" else None, 30, "the other key")
    assert (now["admin"]["listen"], now["database"]["connections"]) == (listen, "4")


def test_the_secret_and_the_keys_are_read_again_from_their_files(daemon, tmp_path, db):
    """A new secret in secret_file is the one that counts from then on; a mended key brings its provider back."""
    secret, key = tmp_path / "secret", tmp_path / "gemini.key"
    secret.write_text("first-secret-0123456789\n")
    key.write_text("bad-0123456789\n")
    d = daemon({**FEW, "admin": {"secret_env": None, "secret_file": secret},
                "provider.gemini": {"api_key_env": None, "api_key_file": key}},
               secret="first-secret-0123456789")
    d.seed(2024, 2024)
    d.schedule(batch_size=1)
    wait_done(db, 2024, 12)
    assert any(r.startswith("gemini") for r in readyz(d)[1]["degraded"])
    secret.write_text("second-secret-0123456789\n")
    key.write_text("good-0123456789\n")
    reload(d)
    assert d.get("/api/internal/config").status == 401
    assert d.get("/api/internal/config", secret="second-secret-0123456789").status == 200
    assert not any(r.startswith("gemini") for r in readyz(d)[1]["degraded"])
    answer = d.post("/api/harvest/backfill", {"year": 2024, "month": 11}, secret="second-secret-0123456789")
    assert answer.status == 202
    assert wait_done(db, 2024, 11)["gemini_calls"] == 1
    assert "0123456789" not in d.log


def test_an_emptied_secret_file_changes_nothing(daemon, tmp_path):
    """Without a secret the new configuration is invalid: the old secret holds."""
    secret = tmp_path / "secret"
    secret.write_text("first-secret-0123456789\n")
    d = daemon({"admin": {"secret_env": None, "secret_file": secret}}, secret="first-secret-0123456789")
    secret.write_text("")
    d.hup()
    d.wait_log("reload refused")
    assert d.get("/api/internal/config").status == 200
    assert d.get("/api/internal/config", secret=None).status == 401


def test_months_in_flight_carry_on(daemon, db, sandbox):
    """Reloaded ten times amid AI calls and look-ups, valid and invalid files in turn: every month completes, once."""
    latency(sandbox, AIS, 500)
    latency(sandbox, ["isbndb"], 50)
    d = daemon(FEW)
    d.seed(2024, 2024)
    d.schedule(batch_size=6)
    wait_row(db, 2024, 12, stage="generating")
    applied = refused = 0
    for i in range(10):
        if i % 3 == 2:
            d.write_ini({"scheduler": {"batch_size": 99}})
            d.hup()
            refused += 1
            wait_until(lambda: d.log.count("reload refused") >= refused, 30, "the refusal")
        else:
            d.write_ini({"scheduler": {"batch_size": 5, "concurrent_months": 2 + i}, "resolution": {"concurrent_books": 2 + i}})
            applied += 1
            reload(d, applied)
    wait_until(lambda: db.statuses().get("completed") == 6, 60, "six months")
    assert db.value("SELECT max(retry_count) FROM backfill_log") == 0
    for ai in AIS:
        assert set(sandbox.counters(ai)["by_month"].values()) == {1}
    # the months' own and, under no month, those of enrichment
    counted = ("SELECT (SELECT sum(isbndb_calls) FROM backfill_log)"
               " + (SELECT coalesce(sum(units), 0) FROM api_usage WHERE provider = 'isbndb' AND year = 0)")
    wait_until(lambda: sandbox.counters("isbndb")["units"] == db.value(counted), 20, "the counters agree")


def test_a_provider_disabled_amid_its_work(daemon, db, sandbox):
    """An ISBN provider disabled by a reload while it is being asked: the rest goes to the others, the months complete."""
    latency(sandbox, ["isbndb"], 300)
    d = daemon({"generation": {"books_per_provider": 10}, "resolution": {"concurrent_books": 2}})
    d.seed(2024, 2024)
    d.schedule(batch_size=1)
    wait_until(lambda: sandbox.counters("isbndb")["requests"] >= 3, 30, "look-ups")
    d.write_ini({"provider.isbndb": {"enabled": False}})
    reload(d)
    asked = sandbox.counters("isbndb")["requests"]
    row = wait_done(db, 2024, 12)
    assert row["retry_count"] == 0 and sandbox.counters("isbndb")["requests"] <= asked + 2
    assert any(r.startswith("isbndb") for r in readyz(d)[1]["degraded"])
    d.write_ini({"provider.isbndb": {"enabled": True}})
    reload(d, 2)
    harvest(d, year=2024, month=11)
    assert wait_done(db, 2024, 11)["isbndb_calls"] > 0


def test_more_slots_are_used_at_once(daemon, db, sandbox):
    """concurrent_months raised by a reload: months that wait, claimed, begin without waiting for one to end."""
    latency(sandbox, AIS, 60000)
    d = daemon({**FEW, "scheduler": {"concurrent_months": 1}, "daemon": {"drain_timeout": "1s"}})
    d.seed(2024, 2024)
    d.schedule(batch_size=3)
    wait_row(db, 2024, 12, stage="generating")
    assert db.month(2024, 11)["stage"] in (None, "claimed")
    d.write_ini({"scheduler": {"concurrent_months": 3}})
    d.hup()
    for month in (11, 10):
        wait_row(db, 2024, month, stage="generating")
    d.kill9()       # nobody waits for the answers
