"""The stream of events: every transition of every instance, once, in order, to every reader who reads; nothing piles up for one
who does not."""
import json
import re
import socket
import threading
import time

import pytest
from stand import wait_until

EVENTS = "/api/internal/events"
KEYS = ["id", "at", "year", "month", "from", "to", "event", "instance", "job_id", "fence", "step", "detail"]
HEARTBEAT_S = 15


class Stream:
    """One reader. Everything that comes is kept: .events as (id, event, data), .comments, .ended."""

    def __init__(self, daemon, path=EVENTS, last_id=None, read=True, headers="", receive_buffer=None):
        host, port = daemon.listen.split(":")
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect((host, int(port)))
        self.socket.settimeout(60)
        last = f"Last-Event-ID: {last_id}\r\n" if last_id is not None else ""
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nX-Cron-Secret: {daemon.secret}\r\n{last}{headers}\r\n".encode())
        self.head, self._raw, self._text = b"", b"", ""
        while b"\r\n\r\n" not in self.head:
            piece = self.socket.recv(1 if not read else 4096)
            assert piece, self.head
            self.head += piece
        self.head, _, self._raw = self.head.partition(b"\r\n\r\n")
        self.head = self.head.decode()
        self.status = int(self.head.split()[1])
        self.events, self.comments, self.ended, self.clean = [], 0, False, False
        self.thread = threading.Thread(target=self._read, daemon=True)
        if read:
            self.thread.start()

    def _read(self):
        try:
            while True:
                self._unchunk()
                piece = self.socket.recv(65536)
                if not piece:
                    break
                self._raw += piece
        except OSError:
            pass
        self.ended = True

    def _unchunk(self):
        while b"\r\n" in self._raw:
            size, _, rest = self._raw.partition(b"\r\n")
            n = int(size, 16)
            if len(rest) < n + 2:
                return
            if n == 0:
                self.clean = True
            self._text += rest[:n].decode()
            self._raw = rest[n + 2:]
        while "\n\n" in self._text:
            block, _, self._text = self._text.partition("\n\n")
            self._take(block)

    def _take(self, block):
        fields = {}
        for line in block.split("\n"):
            if line.startswith(":"):
                self.comments += 1
                continue
            name, _, value = line.partition(": ")
            assert name in ("id", "event", "data", "retry") and name not in fields, block
            fields[name] = value
        if "data" in fields:
            self.events.append((int(fields["id"]) if "id" in fields else None, fields["event"], json.loads(fields["data"])))

    @property
    def ids(self):
        return [number for number, event, _ in self.events if event not in ("gap", "bye")]

    def wait(self, ids, timeout=30):
        wait_until(lambda: len(self.ids) >= len(ids), timeout, f"{len(ids)} events (has {len(self.ids)})")
        assert self.ids == ids

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()


@pytest.fixture
def stream():
    """stream(daemon, ...) opens a reader, closed at the end."""
    made = []

    def start(*args, **kwargs):
        made.append(Stream(*args, **kwargs))
        return made[-1]
    yield start
    for one in made:
        one.close()


def put(db, n, first_step=1, year=2001, month=1, size=0):
    """n events of one month, in one transaction."""
    db.execute("INSERT INTO backfill_events (year, month, fence, step, event, detail) SELECT %s, %s, 1, n, 'moved',"
               " CASE WHEN %s > 0 THEN jsonb_build_object('x', repeat('y', %s)) END FROM generate_series(%s, %s) AS n",
               year, month, size, size, first_step, first_step + n - 1)


def grew(d, before):
    """KiB of resident memory more than before; a sanitizer keeps what was freed, and tells nothing here."""
    with open(f"/proc/{d.pid}/maps", encoding="utf-8") as maps:
        return 0 if "libasan" in maps.read() else d.rss - before


def ids(db, where="true"):
    return db.column(f"SELECT id FROM backfill_events WHERE {where} ORDER BY id")


def test_two_daemons(daemon, db, stream):
    """Months run by two daemons: readers of either get every transition of both, once, in order, as the month's page has it."""
    one, two = daemon(), daemon()
    one.seed(2024, 2024)
    db.execute("DELETE FROM backfill_events")
    readers = [stream(one), stream(two), stream(one, EVENTS + "?year=2024&month=12"), stream(two, EVENTS + "?year=2023")]
    assert "Content-Type: text/event-stream" in readers[0].head
    one.schedule(batch_size=3)
    two.schedule(batch_size=3)
    one.wait_months(6)
    for r in readers[:2]:
        r.wait(ids(db))
    readers[2].wait(ids(db, "month = 12"))
    assert readers[3].events == []
    assert {data["instance"] for _, _, data in readers[0].events} == {one.instance, two.instance}
    for number, event, data in readers[0].events:
        assert list(data) == KEYS and (data["id"], data["event"]) == (number, event)
    page = one.get("/api/internal/months/2024/12").json["transitions"]
    seen = [data for _, _, data in readers[2].events]
    assert [{k: t[k] for k in t} for t in page] == [{k: s[k] for k in t} for s, t in zip(seen, page)]


def test_replay(daemon, db, stream):
    """After an id comes all that followed, header before query, and then what is new; without one only what is new."""
    d = daemon()
    put(db, 3000, size=400)
    put(db, 5, year=2002)
    have = ids(db)
    replays = [stream(d, last_id=have[99]), stream(d, EVENTS + f"?last_event_id={have[2899]}"), stream(d, last_id=0),
               stream(d, EVENTS + "?last_event_id=0", last_id=have[-1]), stream(d), stream(d, EVENTS + "?year=2002", last_id=0)]
    put(db, 20, year=2003)
    all_ids = ids(db)
    for r, want in zip(replays, (all_ids[100:], all_ids[2900:], all_ids, all_ids[-20:], all_ids[-20:], ids(db, "year = 2002"))):
        r.wait(want)


def test_what_was_pruned(daemon, db, stream):
    """Who comes back after his place was pruned, or with an id of the future, is told by a `gap`, and goes on with what there is."""
    d = daemon({"retention": {"events": "1d"}})
    put(db, 10)
    have = ids(db)
    db.execute("UPDATE backfill_control SET events_pruned = %s", have[4])
    db.execute("DELETE FROM backfill_events WHERE id <= %s", have[4])
    r, ahead, fine = stream(d, last_id=have[0]), stream(d, last_id=have[-1] + 1000), stream(d, last_id=have[4])
    r.wait(have[5:])
    fine.wait(have[5:])
    assert r.events[0] == (None, "gap", {"after": have[0], "pruned": have[4]})
    put(db, 1, year=2002)
    ahead.wait(ids(db)[-1:])
    assert ahead.events[0] == (have[-1], "gap", {"after": have[-1] + 1000, "pruned": have[4]})
    assert all(event != "gap" for _, event, _ in fine.events)


def test_coming_back(daemon, db, stream):
    """A reader that leaves in the middle, again and again, while events come: with his last id he misses none, and gets none twice."""
    d = daemon()
    stop = threading.Event()
    writer_db = db.connect()

    def write():
        n = 0
        with writer_db.cursor() as cursor:
            while not stop.wait(0.01):
                n += 1
                cursor.execute("INSERT INTO backfill_events (year, month, fence, step, event) VALUES (2001, 1, 1, %s, 'moved')", (n,))
    start = stream(d)
    writer = threading.Thread(target=write)
    writer.start()
    seen, last = [], db.value("SELECT coalesce(max(id), 0) FROM backfill_events")
    for _ in range(10):
        r = stream(d, last_id=last)
        wait_until(lambda: len(r.ids) >= 5, 10, "some events")
        r.close()
        r.thread.join(5)
        seen += r.ids
        last = seen[-1]
    stop.set()
    writer.join()
    writer_db.close()
    r = stream(d, last_id=last)
    wait_until(lambda: seen[-1] == ids(db)[-1] or (r.ids and r.ids[-1] == ids(db)[-1]), 10, "the rest")
    start.wait(ids(db))
    assert seen + r.ids == [n for n in ids(db) if n >= seen[0]] and seen[0] == ids(db)[0]


def test_one_of_twenty_stops(daemon, db, stream):
    """Twenty readers, one of which stops reading: nineteen miss nothing, the one is dropped, memory stays flat."""
    d = daemon()
    readers = [stream(d) for _ in range(19)]
    stopped = stream(d, read=False, receive_buffer=4096)
    wait_until(lambda: d.metrics()["backfill_event_readers"] == 20, 10, "twenty readers")
    put(db, 100, size=1000)
    for r in readers:
        r.wait(ids(db))
    before = d.rss
    for n in range(1, 21):
        put(db, 100, first_step=100 * n + 1, size=1000)
        wait_until(lambda: all(len(r.ids) == 100 * (n + 1) for r in readers), 30, "the readers keep up")
    for r in readers:
        assert r.ids == ids(db) and not r.ended
    metrics = d.metrics()
    assert (metrics["backfill_event_readers"], metrics["backfill_event_readers_dropped_total"]) == (19, 1)
    assert grew(d, before) < 2048, f"{before} KiB, then {d.rss} KiB"
    stopped.socket.settimeout(10)
    with pytest.raises(ConnectionResetError):
        while stopped.socket.recv(65536):
            pass
    assert len(re.findall("reader of events dropped", d.log)) == 1


def test_a_slow_replay(daemon, db, stream):
    """Ten thousand events for one who reads nothing for a while: nothing piles up here, and then he gets them all."""
    d = daemon()
    put(db, 10000, size=1000)
    slow = stream(d, last_id=0, read=False, receive_buffer=4096)
    before = d.rss
    time.sleep(2)
    assert grew(d, before) < 1024
    assert d.metrics()["backfill_event_readers"] == 1
    slow.thread.start()
    slow.wait(ids(db), timeout=60)


def test_the_limits(daemon, db, stream):
    """The thirty-third is asked to come later; ids that are none, unknown parameters and a month without year are 400; no secret 401."""
    d = daemon()
    put(db, 1)
    for value in ("x", "-1", "1.5", "9223372036854775808", "99999999999999999999", "1 2"):
        answer = d.get(EVENTS, headers={"Last-Event-ID": value})
        assert answer.status == 400 and answer.json["details"][0]["field"] == "Last-Event-ID", value
    for query, field in (("last_event_id=x", "last_event_id"), ("year=1899", "year"), ("month=3", "month"), ("from=1", "from")):
        answer = d.get(f"{EVENTS}?{query}")
        assert answer.status == 400 and answer.json["details"][0]["field"] == field, query
    assert d.get(EVENTS, secret="wrong").status == 401
    head = d.request("HEAD", EVENTS)
    assert (head.status, head.headers["Content-Type"], head.body) == (200, "text/event-stream", b"")
    assert d.post(EVENTS).status == 405
    readers = [stream(d) for _ in range(32)]
    answer = d.get(EVENTS)
    assert answer.status == 503 and int(answer.headers["Retry-After"]) > 0
    readers[0].close()
    wait_until(lambda: d.metrics()["backfill_event_readers"] == 31, 10, "one has left")
    assert stream(d).status == 200


def test_idle(daemon, db, stream):
    """LISTEN is there as long as a reader is; a reader gets a heartbeat, and no deadline of the interface ends his stream."""
    d = daemon()
    listening = "SELECT query FROM pg_stat_activity WHERE application_name = 'backfilld locks' AND query ~ 'LISTEN' AND datname = current_database()"
    r = stream(d)
    wait_until(lambda: db.column(listening) == ['LISTEN "backfill_events"'] or db.column(listening), 5, "it listens")
    wait_until(lambda: r.comments >= 1, HEARTBEAT_S + 5, "a heartbeat")
    assert r.events == [] and not r.ended
    r.close()
    wait_until(lambda: d.metrics()["backfill_event_readers"] == 0, 5, "nobody reads")
    put(db, 1)
    assert d.get("/healthz").status == 200


def test_an_outage(daemon, relay, pg, db, stream):
    """The database is away for a while: streams stay, and what was written meanwhile comes afterwards."""
    wire = relay(int(db.server.get("port", 5432)))
    d = daemon(conninfo=re.sub(r"port=\d+", f"port={wire.port}", db.conninfo), migrate=True)
    r = stream(d)
    put(db, 3)
    r.wait(ids(db))
    wire.cut()
    put(db, 50, first_step=10)
    wait_until(lambda: d.get("/readyz", secret=None).status == 503, 20, "it is noticed")
    assert d.get(EVENTS).status == 503
    wire.mend()
    r.wait(ids(db), timeout=40)


def test_draining(daemon, db, stream):
    """A drain ends every stream with `bye` and a proper last chunk, and the daemon leaves without waiting for a stopped reader."""
    d = daemon()
    readers = [stream(d) for _ in range(3)]
    stopped = stream(d, read=False)
    put(db, 2)
    for r in readers:
        r.wait(ids(db))
    assert d.stop(timeout=20) == 0
    for r in readers:
        r.thread.join(5)
        assert r.events[-1][1:] == ("bye", {}) and r.clean
    stopped.close()
