"""Callers of a daemon's interface: one that keeps its connection, and a crowd that goes through every call, over and over."""
import itertools
import json
import random
import re
import socket
import threading
import time

from stand import wait_until

CALLERS = 3
# One request in so many reads everything there is.
HEAVY_EVERY = 60


class Caller:
    """A client that keeps its connection: no more of HTTP than this interface speaks."""

    def __init__(self, d):
        host, _, port = d.listen.partition(":")
        self.address = (host, int(port))
        self.secret = d.secret
        self.socket = None
        self.rest = b""

    def close(self):
        if self.socket is not None:
            self.socket.close()
            self.socket, self.rest = None, b""

    def ask(self, method, path, body=None):
        """(status, body); a connection that was closed meanwhile is made anew, once."""
        text = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: {self.address[0]}:{self.address[1]}\r\nX-Cron-Secret: {self.secret}\r\n"
        if method == "POST":
            head += f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n"
        data = head.encode() + b"\r\n" + text
        for last in (False, True):
            try:
                if self.socket is None:
                    self.socket = socket.create_connection(self.address, 30)
                self.socket.sendall(data)
                return self._answer()
            except (ConnectionError, EOFError):
                self.close()
                if last:
                    raise
        raise AssertionError("unreachable")

    def _answer(self):
        data = self.rest
        while b"\r\n\r\n" not in data:
            data += self._more()
        head, _, data = data.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        length = int(length.group(1)) if length else 0
        pieces, have = [data], len(data)
        while have < length:
            pieces.append(self._more())
            have += len(pieces[-1])
        data = b"".join(pieces)
        self.rest = data[length:]
        if re.search(rb"(?i)\r\nconnection: *close", head):
            self.close()
        return int(head[9:12]), data[:length]

    def _more(self):
        data = self.socket.recv(262144)
        if not data:
            raise EOFError
        return data

    def listen(self, path):
        """Follows the events for a moment, on a connection of its own, and hangs up."""
        with socket.create_connection(self.address, 30) as s:
            host = f"{self.address[0]}:{self.address[1]}"
            s.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nX-Cron-Secret: {self.secret}\r\n\r\n".encode())
            first = s.recv(65536)
        return int(first[9:12]), first


def calls(dice):
    """Every call, over and over; what reads everything only now and then."""
    light = ("/healthz", "/readyz", "/api/quota/status", "/api/internal/config", "/", "/assets/app.js", "/openapi.json",
             "/api/internal/alerts", "/api/internal/audit?limit=20", "/api/internal/enrichment?limit=20", "MONTH", "WHY",
             "JOB", "BOOK", "/nowhere", "/api/internal/months/2000/13", "PAUSED", "BAD")
    middle = ("/metrics", "/api/internal/backfill-stats", "EVENTS", "DRY", "RETRY", "REDRIVE", "/api/internal/doctor",
              "ADOPT", "/api/internal/audit?limit=200", "/api/internal/enrichment?limit=200&status=completed")
    heavy = ("/api/internal/overview", "/api/internal/months", "/api/internal/overview", "/api/internal/verify", "MANY")
    heavies, middles = itertools.cycle(heavy), itertools.cycle(middle)
    for i, path in enumerate(itertools.cycle(light), dice.randrange(HEAVY_EVERY)):
        yield path
        if i % 10 == 0:
            yield next(middles)
        if i % HEAVY_EVERY == 0:
            yield next(heavies)


class Crowd:
    """Callers that go through every call of the interface until they have made as many requests as wanted."""

    def __init__(self, run, d, years, total):
        self.run, self.d, self.years, self.total = run, d, years, total
        self.made = 0
        self.statuses = {}
        self.slowest = (0.0, "")
        self.wrong = []
        self.pace = 0.0             # seconds between a caller's requests
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = []
        self.keys = []              # of books, and of jobs
        self.jobs = []

    def start(self):
        for i in range(CALLERS):
            thread = threading.Thread(target=self._go, args=(i,), daemon=True)
            thread.start()
            self._threads.append(thread)
        self.run.closing(self.stop)

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
        self._threads = []

    def wait(self, timeout):
        """Until all wanted requests are made."""
        wait_until(lambda: self.made >= self.total, timeout, f"{self.total} requests", every=0.2)

    def _go(self, number):
        dice = random.Random(number)
        caller = Caller(self.d)
        for path in calls(dice):
            if self._stop.is_set() or self.made >= self.total:
                break
            began = time.monotonic()
            try:
                status = self._one(caller, path, dice)
            except (OSError, EOFError, ValueError) as problem:
                self._stop.wait(0.2)
                with self._lock:
                    self.wrong.append(f"{path}: {type(problem).__name__} {problem}")
                continue
            took = time.monotonic() - began
            with self._lock:
                self.made += 1
                self.statuses[status] = self.statuses.get(status, 0) + 1
                if took > self.slowest[0]:
                    self.slowest = (took, path)
                if status >= 500 and path != "/api/internal/verify":   # one at a time: the second is refused
                    self.wrong.append(f"{path}: {status}")
            if self.pace:
                self._stop.wait(self.pace)
        caller.close()

    def _one(self, caller, path, dice):
        year, month = dice.randint(*self.years), dice.randint(1, 12)
        where = f"/api/internal/months/{year}/{month}"
        if path == "MONTH":
            status, body = caller.ask("GET", where)
            if status == 200 and len(self.keys) < 500:
                self.keys += [c["isbn13"] for c in json.loads(body)["candidates"] if c.get("isbn13")]
            return status
        if path == "WHY":
            return caller.ask("GET", where + "/why")[0]
        if path == "JOB":
            job = dice.choice(self.jobs) if self.jobs else "00000000-0000-4000-8000-000000000000"
            return caller.ask("GET", f"/api/harvest/backfill/status/{job}")[0]
        if path == "BOOK":
            return caller.ask("GET", f"/api/internal/books/{dice.choice(self.keys) if self.keys else '9780306406157'}")[0]
        if path == "EVENTS":
            return caller.listen("/api/internal/events?last_event_id=0")[0]
        if path == "RETRY":
            return caller.ask("POST", where + "/retry")[0]      # refused where there is nothing to retry
        if path == "PAUSED":
            return caller.ask("POST", "/api/internal/resume")[0]
        if path == "BAD":
            return caller.ask("POST", "/api/internal/schedule-backfill", {"dry_ron": "x" * dice.randrange(2000)})[0]
        if path == "DRY":
            return caller.ask("POST", "/api/internal/schedule-backfill", {"batch_size": 50, "dry_run": True})[0]
        if path == "REDRIVE":
            return caller.ask("POST", "/api/internal/enrichment/redrive", {})[0]
        if path == "ADOPT":
            return caller.ask("POST", "/api/internal/enrichment/adopt", {"dry_run": True})[0]
        if path == "MANY":
            return caller.ask("POST", "/api/internal/months/retry", {"rate_below": 100})[0]
        return caller.ask("GET", path)[0]
