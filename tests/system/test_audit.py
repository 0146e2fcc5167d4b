"""The audit: a row for every call that could have changed something, made with the right secret, however it ended."""
import json
import re
import socket
from pathlib import Path

import pytest
from stand import wait_until

AUDIT = "/api/internal/audit"
KEYS = ["id", "at", "operator", "address", "user_agent", "method", "path", "body", "status", "outcome", "instance", "duration_ms"]
SCHEDULE, SEED, HARVEST = "/api/internal/schedule-backfill", "/api/internal/seed-backfill-queue", "/api/harvest/backfill"

ROUTES = Path(__file__).resolve().parents[2] / "src" / "admin" / "routes.c"
ZOE = "Zoë O.".encode("utf-8").decode("latin-1")      # as urllib writes headers, which goes out as UTF-8
OTHERS = set()          # mutating routes whose own tests show their rows


def rows(d, n, query="limit=500"):
    """The audit when it has n rows, newest first."""
    def there():
        found = d.get(f"{AUDIT}?{query}").json["audit"]
        return found if len(found) >= n else None
    found = wait_until(there, 10, f"{n} rows") if n else d.get(f"{AUDIT}?{query}").json["audit"]
    assert len(found) == n, found
    return found


def test_every_mutating_route(daemon, db):
    """Each of them leaves a row with who, whence, what and how it ended; reading leaves none; the log names the operator."""
    d = daemon()
    calls = [(SEED, {"year_start": 2024, "year_end": 2024}, 200), (SCHEDULE, {"dry_run": True}, 200),
             ("/api/internal/pause", {"note": "new keys"}, 200), (SCHEDULE, {}, 409), ("/api/internal/resume", None, 200),
             ("/api/internal/months/2024/12/retry", None, 409), ("/api/internal/months/2024/12/cancel", None, 409),
             ("/api/internal/months/2024/12/reset", None, None), ("/api/internal/months/1950/1/reset", None, 404),
             ("/api/internal/months/retry", {"status": "failed"}, 200),
             ("/api/internal/enrichment/redrive", {"dry_run": True}, 200), ("/api/internal/enrichment/adopt", {"dry_run": True}, 200),
             (HARVEST, {"year": 2024, "month": 11, "dry_run": True}, 202), (SCHEDULE, {"batch_size": 0}, 400),
             (SCHEDULE, b"{", 400), (SCHEDULE, b'{"x":"' + b"y" * 70000 + b'"}', 413)]
    wanted = []
    for path, body, status in calls:
        answer = d.post(path, body, headers={"X-Operator": ZOE, "User-Agent": "curl/8 " + "z" * 300})
        assert status in (None, answer.status), (path, answer)
        good = isinstance(body, dict) and answer.status != 400
        wanted.append((path, answer.status, body if good else None, "accepted" if answer.status == 202 else "ok"
                       if answer.status < 400 else answer.json["error"][:500]))
    d.get("/api/internal/months")
    found = rows(d, len(calls))
    assert all(list(row) == KEYS for row in found)
    assert [(r["path"], r["status"], r["body"], r["outcome"]) for r in reversed(found)] == wanted
    for r in found:
        assert (r["operator"], r["address"], r["method"], r["instance"]) == ("Zoë O.", "127.0.0.1", "POST", d.instance)
        assert r["user_agent"] == ("curl/8 " + "z" * 300)[:200] and 0 <= r["duration_ms"] < 60000
    assert db.value("SELECT max(now() - at) < interval '1 min' AND max(at) <= now() FROM backfill_audit")
    paths = {m for m in re.findall(r'POST, (?:API )?"([^"]*)"', ROUTES.read_text(encoding="utf-8"))}
    named = {re.sub(r"/\d+/\d+/", "/{y}/{m}/", p).replace("/api/internal/", "") for p, _, _, _ in wanted}
    assert {p.replace("/api/internal/", "") for p in paths} <= named | OTHERS
    lines = [line for line in d.log.splitlines() if 'msg=request' in line and "schedule-backfill" in line]
    assert lines and all("operator=" in line and "Zo" in line for line in lines)


def test_who_may_not(daemon, db):
    """A wrong secret is counted and leaves no row; another site's page with the right one does leave one."""
    d = daemon()
    before = d.metrics()["backfill_unauthorized_total"]
    for secret in (None, "wrong"):
        assert d.post(SCHEDULE, {}, secret=secret, headers={"X-Operator": "eve"}).status == 401
    assert d.get("/api/internal/months", secret="wrong").status == 401
    assert d.metrics()["backfill_unauthorized_total"] == before + 3
    assert d.post(SCHEDULE, {}, headers={"Origin": "http://evil.example"}).status == 403
    [row] = rows(d, 1)
    assert (row["status"], row["operator"]) == (403, None)
    assert d.get(AUDIT, secret=None).status == 401
    assert db.value("SELECT count(*) FROM backfill_audit") == 1


@pytest.mark.parametrize("name,status", [("a", 200), ("é" * 80, 200), ("é" * 81, 400), ("a\tb", 400), ("\x85", 400), (b"\xff", 400),
                                         ("", 400), (" ", 400)])
def test_the_operators_name(daemon, name, status):
    """At most 80 characters of UTF-8 without control characters; anything else is 400 and on record without a name."""
    d = daemon()
    raw = name if isinstance(name, bytes) else name.encode("utf-8")
    host, port = d.listen.split(":")
    with socket.create_connection((host, int(port)), 10) as s:
        s.sendall(b"POST " + SCHEDULE.encode() + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Cron-Secret: " + d.secret.encode()
                  + b"\r\nX-Operator: " + raw + b"\r\nContent-Length: 16\r\n\r\n" + b'{"dry_run":true}')
        answer = b""
        while piece := s.recv(65536):
            answer += piece
    assert int(answer.split()[1]) == status, answer
    [row] = rows(d, 1)
    assert (row["status"], row["operator"]) == (status, name if status == 200 else None)


def test_the_pages(daemon, db):
    """Newest first, by pages, by operator, by how the path begins; parameters that are none are 400."""
    d = daemon()
    db.execute("INSERT INTO backfill_audit (call_id, operator, method, path, status) SELECT gen_random_uuid(),"
               " (ARRAY['ann', 'bob', NULL])[n %% 3 + 1], 'POST', '/api/' || n %% 2, 200 FROM generate_series(1, 250) AS n WHERE %s", True)
    seen, before = [], ""
    while before is not None:
        page = d.get(f"{AUDIT}?limit=60{before and '&before='}{before}").json
        assert list(page) == ["audit", "next"]
        seen += [r["id"] for r in page["audit"]]
        before = page["next"]
    assert seen == sorted(seen, reverse=True) and len(seen) == 250
    assert len(d.get(AUDIT).json["audit"]) == 100
    assert {r["operator"] for r in rows(d, 83, "limit=500&operator=ann")} == {"ann"}
    assert len(rows(d, 125, "limit=500&path=/api/1")) == 125 and len(d.get(AUDIT + "?path=/api/&limit=500").json["audit"]) == 250
    assert d.get(AUDIT + "?operator=nobody").json == {"audit": [], "next": None}
    for query in ("limit=0", "limit=501", "before=x", "before=0", "before=99999999999999999999", "operator=", "path=", "who=ann"):
        assert d.get(f"{AUDIT}?{query}").status == 400, query


def test_an_outage(daemon, relay, db):
    """While the database is away answers come at once, rows wait, and are there afterwards with their own times; once each."""
    wire = relay(int(db.server.get("port", 5432)))
    d = daemon(conninfo=re.sub(r"port=\d+", f"port={wire.port}", db.conninfo))
    assert d.post(SCHEDULE, {"dry_run": True}).status == 200
    rows(d, 1)
    wire.cut()
    wait_until(lambda: d.get("/readyz", secret=None).status == 503, 20, "it is noticed")
    for _ in range(1010):
        assert d.post(SCHEDULE, {"dry_run": True}).status == 503
    assert d.metrics()["backfill_audit_dropped_total"] == 10
    assert len(re.findall("the audit is full", d.log)) == 1
    wire.mend()
    wait_until(lambda: db.value("SELECT count(*) FROM backfill_audit") >= 1001, 30, "the rows are written")
    assert db.value("SELECT count(*) FROM backfill_audit") == 1001
    assert db.value("SELECT count(*) FROM backfill_audit WHERE status = 503") == 1000


def test_the_last_rows(daemon, db):
    """A call right before a drain is on record."""
    d = daemon()
    assert d.post("/api/internal/pause", {"note": "end"}).status == 200
    assert d.stop(timeout=20) == 0
    assert db.row("SELECT path, body FROM backfill_audit") == {"path": "/api/internal/pause", "body": {"note": "end"}}


def test_bodies(daemon, db):
    """A body that is too long to keep is told by its length; what jsonb cannot hold is left out."""
    d = daemon()
    assert d.post("/api/internal/pause", {"note": "x"}).status == 200
    text = json.dumps({"dry_run": True}) + " " * 5000
    assert d.post(SCHEDULE, text).status == 200
    assert d.post(SCHEDULE, b"").status in (200, 409)
    assert [r["body"] for r in rows(d, 3)] == [None, {"omitted_bytes": len(text)}, {"note": "x"}]
