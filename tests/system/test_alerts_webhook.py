"""The alert webhook: what is not taken is tried again later, in order, signed by the secret in force, for a day and not longer, and
nobody is told in clear text beyond this host and its network."""
import hashlib
import hmac
import re

import pytest
from receiver import ENV, SECRET, Receiver
from stand import wait_until

LOOK = 60
FAILED = "INSERT INTO backfill_log (year, month, status, error_message) VALUES (2001, 1, 'failed', 'x')"


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.close()


def hook(receiver, **more):
    """Nothing is raised but failed months, and this receiver is told."""
    return {"enrichment": {"enabled": False}, "alerts": {
        "webhook_url": receiver.url, "webhook_secret_env": "HOOK_SECRET", "failed_months": 0, **more}}


def told(receiver, *events):
    wait_until(lambda: receiver.events("failed_months") == list(events), LOOK, f"told: {events}")


def due_now(db):
    """The next try need not be waited for."""
    db.execute("UPDATE backfill_alert_deliveries SET next_try_at = now() WHERE delivered_at IS NULL AND given_up_at IS NULL")


def delivery(db, event="raise"):
    return db.row("SELECT *, extract(epoch FROM next_try_at - now())::float8 AS wait_s FROM backfill_alert_deliveries"
                  " WHERE event = %s", event)


def waits(d):
    """What the log says about how long each failed delivery waits, in order."""
    return [int(ms) for ms in re.findall(r'msg="alert not delivered, tried again later".*? wait_ms=(\d+)', d.log)]


def test_a_refusal_is_tried_again_later_each_time(daemon, db, receiver):
    """500, 302 and a closed port are no delivery; each try waits twice as long, all with one id, until a 200."""
    receiver.fail(2)
    d = daemon(hook(receiver), env=ENV)
    db.execute(FAILED)
    wait_until(lambda: waits(d) == [5000], LOOK, "the first failure")
    receiver.answer = (302, {"Location": receiver.url})
    wait_until(lambda: waits(d) == [5000, 10000], LOOK, "the second failure, a redirect that is not followed")
    receiver.down()
    due_now(db)
    wait_until(lambda: waits(d) == [5000, 10000, 20000], LOOK, "the third failure, nobody listens")
    assert delivery(db)["tries"] == 3 and delivery(db)["error"]
    receiver.up()
    due_now(db)
    told(receiver, "raise")
    receiver.check()
    ids = {headers["X-Backfill-Delivery"] for headers, _ in receiver.posts + receiver.refused}
    assert ids == {str(delivery(db)["id"])} and len(receiver.refused) == 2
    assert delivery(db)["tries"] == 4 and delivery(db)["delivered_at"] is not None
    assert d.metrics()['backfill_alert_deliveries_total{outcome="failed"}'] == 3


def test_retry_after_is_honoured(daemon, db, receiver):
    """A receiver that names a time is not asked before it; one that names a very long one is asked after a quarter of an hour."""
    receiver.fail(10)
    receiver.answer = (429, {"Retry-After": "77"})
    d = daemon(hook(receiver), env=ENV)
    db.execute(FAILED)
    wait_until(lambda: waits(d), LOOK, "a failure")
    wait_until(lambda: delivery(db)["claimed_until"] is None, 10, "written")
    assert waits(d) == [77000] and 30 < delivery(db)["wait_s"] <= 77 and delivery(db)["error"] == "HTTP 429"
    receiver.answer = (503, {"Retry-After": "86000"})
    due_now(db)
    wait_until(lambda: waits(d) == [77000, 900000], LOOK, "a failure with a long time")
    receiver.fail(0)
    due_now(db)
    told(receiver, "raise")
    receiver.check()


def test_down_at_raise_and_back_at_clear(daemon, db, receiver):
    """What was raised and cleared while nobody listened is told in that order afterwards."""
    receiver.down()
    d = daemon(hook(receiver), env=ENV)
    db.execute(FAILED)
    wait_until(lambda: waits(d), LOOK, "a failure")
    db.execute("DELETE FROM backfill_log")
    wait_until(lambda: delivery(db, "clear"), LOOK, "cleared")
    receiver.up()
    due_now(db)
    told(receiver, "raise", "clear")
    receiver.check()
    assert [b["alert"]["cleared_at"] is None for b in receiver.bodies] == [True, False]


def test_it_gives_up_after_a_day(daemon, db, receiver):
    """A delivery that failed for a day is left, counted and logged; what comes after it is told all the same."""
    receiver.fail(10 ** 6)
    d = daemon(hook(receiver), env=ENV)
    db.execute(FAILED)
    wait_until(lambda: waits(d), LOOK, "a failure")
    assert delivery(db)["given_up_at"] is None
    db.execute("UPDATE backfill_alert_deliveries SET at = at - interval '23 h'")
    due_now(db)
    wait_until(lambda: len(waits(d)) == 2, LOOK, "a failure after 23 hours")
    wait_until(lambda: delivery(db)["claimed_until"] is None, 10, "written")
    assert delivery(db)["given_up_at"] is None
    db.execute("UPDATE backfill_alert_deliveries SET at = at - interval '2 h'")
    due_now(db)
    wait_until(lambda: delivery(db)["given_up_at"], LOOK, "given up")
    d.wait_log(r'level=error msg="alert not delivered for a day: given up" delivery=\d+ problem="HTTP 500"')
    assert d.metrics()['backfill_alert_deliveries_total{outcome="given_up"}'] == 1
    receiver.fail(0)
    db.execute("DELETE FROM backfill_log")
    told(receiver, "clear")
    assert d.get("/api/internal/alerts").json["alerts"][0]["delivered"] is False


def test_a_new_secret_signs_after_a_reload(daemon, db, receiver, tmp_path):
    """The secret's file is read again by SIGHUP: the same delivery is signed by the old one first, then by the new one."""
    secret = tmp_path / "hook"
    secret.write_text("first-secret-of-the-hook\n")
    secret.chmod(0o600)
    receiver.secrets = ["first-secret-of-the-hook"]
    receiver.fail(1)
    d = daemon(hook(receiver, webhook_secret_env=None, webhook_secret_file=str(secret)))
    db.execute(FAILED)
    wait_until(lambda: receiver.refused, LOOK, "a first try")
    receiver.check()
    secret.write_text("second-secret-of-the-hook\n")
    d.hup()
    d.wait_log('msg="configuration reloaded"')
    due_now(db)
    told(receiver, "raise")
    (headers, body), (before, _) = receiver.posts[0], receiver.refused[0]
    assert headers["X-Backfill-Signature"] == "sha256=" + hmac.new(b"second-secret-of-the-hook", body, hashlib.sha256).hexdigest()
    assert headers["X-Backfill-Delivery"] == before["X-Backfill-Delivery"]
    assert "secret-of-the-hook" not in d.log
    assert SECRET not in d.log


def test_clear_text_stays_on_this_network(daemon, receiver):
    """Plain http to a public address or to a name that may be anywhere is refused by `check` and by a reload; https and private
    addresses are taken."""
    d = daemon(hook(receiver), env=ENV)
    for url in ("http://93.184.216.34/hook", "http://hooks.example.org/x", "http://[2606:2800:220:1::1]/", "ftp://127.0.0.1/"):
        d.write_ini({"alerts": {"webhook_url": url}})
        done = d.command("check")
        assert done.returncode == 2 and "webhook_url" in done.stderr + done.stdout, (url, done)
    d.hup()
    d.wait_log('msg="reload refused, nothing changed"')
    assert d.get("/api/internal/config").json["alerts"]["webhook_url"].startswith("http://127.0.0.1")
    for url in ("http://10.1.2.3/hook", "http://192.168.1.9:8080/", "http://[::1]/", "https://hooks.example.org/x?key=1"):
        d.write_ini({"alerts": {"webhook_url": url}})
        done = d.command("check")
        assert done.returncode == 0, (url, done)
