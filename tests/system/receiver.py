"""The other end of the alert webhook, on loopback, for the tests: keeps what came, in order, and answers as it is told to."""
import hashlib
import hmac
import http.server
import json
import threading
import time

from stand import free_port

SECRET = "hook-secret-0123456789"
ENV = {"HOOK_SECRET": SECRET}


class Receiver:
    """.posts holds what was taken, .refused what was not: (headers, body). .fail(n) refuses the next n; .answer is (status, headers)
    of a refusal; .down() closes the port, .up() opens the same one again. Good as a context manager."""

    def __init__(self):
        self.posts, self.refused, self._fail = [], [], 0
        self.answer = (500, {})
        self.secrets = [SECRET]
        self._lock = threading.Lock()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/hook?key=url-secret"
        self._server = None
        self.up()

    def up(self):
        """Listens."""
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, more = outer.take(dict(self.headers), body)
                self.send_response(status)
                for name, value in {"Content-Length": "0", **more}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_):
                pass
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def down(self):
        """Nobody listens any more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
        self._server = None

    close = down

    def take(self, headers, body):
        """Keeps one post; what it is answered with."""
        with self._lock:
            bad = self._fail > 0
            self._fail -= bad
            (self.refused if bad else self.posts).append((headers, body))
            return self.answer if bad else (204, {})

    def fail(self, n):
        """The next n posts are refused."""
        self._fail = n

    @property
    def bodies(self):
        with self._lock:
            return [json.loads(body) for _, body in self.posts]

    def told(self, key, subject=""):
        """The bodies about one alert, as they came."""
        return [b for b in self.bodies if (b["alert"]["key"], b["alert"]["subject"]) == (key, subject)]

    def events(self, key, subject=""):
        """The events of one alert, as they came."""
        return [b["event"] for b in self.told(key, subject)]

    def check(self):
        """Every post is signed, stamped, and none came twice."""
        for headers, body in self.posts + self.refused:
            good = ["sha256=" + hmac.new(s.encode(), body, hashlib.sha256).hexdigest() for s in self.secrets]
            assert headers["X-Backfill-Signature"] in good
            told = json.loads(body)
            assert headers["X-Backfill-Timestamp"] == str(told["timestamp"]) and abs(told["timestamp"] - time.time()) < 300
            assert headers["X-Backfill-Delivery"] == str(told["id"])
            assert headers["User-Agent"].startswith("backfilld/") and headers["Content-Type"] == "application/json"
            assert list(told) == ["id", "event", "alert", "instance", "at", "timestamp"]
        ids = [b["id"] for b in self.bodies]
        assert len(ids) == len(set(ids)), ids
        said = [(b["alert"]["id"], b["event"]) for b in self.bodies]
        assert len(said) == len(set(said)), said
