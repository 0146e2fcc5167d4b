"""The stand of a browser test: a database, a provider sandbox and a daemon, led by the test through lines of JSON.

One request a line on stdin, one answer a line on stdout: {"do": name, ...} is answered with {"ok": value} or
{"error": text}. When stdin ends, so does everything that was started; what a log may not hold is told by "close".
"""
import decimal
import json
import os
import signal
import sys
import tempfile
import traceback
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "system"))
import harness  # noqa: E402
import stand  # noqa: E402
import steps  # noqa: E402

WAIT_S = 60


def plain(value):
    """What JSON does not know, as it does: numbers as numbers, times as RFC 3339."""
    if isinstance(value, decimal.Decimal):
        return float(value)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


class Server:
    """One stand and what can be asked of it; a method without underscore is a request."""

    def __init__(self, folder):
        self._pg = harness.session_pg()
        self._db = self._pg.database()
        self._sandbox = stand.Sandbox(folder)
        self._maker = harness.Stand(folder, self._db, self._sandbox.url)
        self._daemon = None
        self._relay = None

    def start(self, ini=None, sandbox=None, relay=False):
        """Starts the daemon; ini: overrides, sandbox: switches. relay: the browser's way to it can be cut."""
        if sandbox:
            self._sandbox.control(sandbox)
        self._daemon = self._maker.daemon(ini_overrides=ini or {})
        url = self._daemon.url
        if relay:
            self._relay = harness.Relay(int(url.rpartition(":")[2]))
            url = f"http://127.0.0.1:{self._relay.port}"
        return {"url": url, "secret": self._daemon.secret, "instance": self._daemon.instance}

    def cut(self):
        """The daemon can't be reached any more, though it lives."""
        self._relay.cut()

    def mend(self):
        """And is back."""
        self._relay.mend()

    def control(self, settings):
        """Switches of the sandbox."""
        self._sandbox.control(settings)

    def latency(self, providers, ms):
        """Every answer of these providers takes this long."""
        steps.latency(self._sandbox, providers, ms)

    def sql(self, text, params=()):
        """Rows as objects; a statement without rows answers how many it touched."""
        with self._db._cursor() as cursor:
            cursor.execute(text, list(params) or None)
            return [dict(r) for r in cursor.fetchall()] if cursor.description else cursor.rowcount

    def get(self, path, secret=True):
        """A GET past the browser."""
        return self._answer(self._daemon.get(path, secret=secret))

    def post(self, path, body=None):
        """A POST past the browser."""
        return self._answer(self._daemon.post(path, body))

    def metrics(self):
        """{name{labels}: value}."""
        return self._daemon.metrics()

    def finished(self, months, queue=True):
        """Until so many months are completed and, with enrichment, the queue is drained."""
        self._daemon.wait_months(months, timeout=WAIT_S)
        if not queue:
            return None

        def drained():
            steps.hurry(self._db)
            left = steps.queue_statuses(self._db)
            return set(left) <= {"completed", "failed"} and left
        return stand.wait_until(drained, WAIT_S, "the queue is drained", every=0.3)

    def log(self, lines=40):
        """The end of the daemon's log."""
        return self._daemon.log.splitlines()[-lines:]

    def close(self):
        """Ends everything; the lines of the logs that no log may hold."""
        bad = self._maker.close()
        if self._relay:
            self._relay.close()
        self._sandbox.stop()
        bad += [line for line in self._sandbox.log.splitlines() if harness.FATAL_IN_LOG.search(line)]
        self._db.drop()
        self._pg.remove()
        return bad[:20]

    @staticmethod
    def _answer(answer):
        try:
            body = answer.json
        except ValueError:
            body = None
        return {"status": answer.status, "json": body, "text": answer.text, "headers": dict(answer.headers)}


def serve(server, requests, answers):
    """Until "close" or the end of the requests; True when it was closed."""
    for line in requests:
        request = json.loads(line)
        name = request.pop("do")
        try:
            if name.startswith("_") or not hasattr(server, name):
                raise ValueError(f"no request is called {name}")
            answer = {"ok": getattr(server, name)(**request)}
        except Exception as problem:
            traceback.print_exc()
            answer = {"error": f"{name}: {type(problem).__name__}: {problem}"}
        print(json.dumps(answer, default=plain), file=answers, flush=True)
        if name == "close":
            return True
    return False


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    answers = os.fdopen(os.dup(1), "w")     # nobody else may write there
    os.dup2(2, 1)
    with tempfile.TemporaryDirectory(prefix="backfill-browser-") as folder:
        server = Server(Path(folder))
        closed = False
        try:
            closed = serve(server, sys.stdin, answers)
        finally:
            if not closed:
                server.close()


if __name__ == "__main__":
    main()
