"""backfillctl: every command against a real daemon, and what a server may do wrong against one of the test's own."""
import codecs
import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import termios
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import stand
from stand import free_port, wait_until

ROOT = Path(__file__).resolve().parents[2]
SECRET_LINE = "0123456789abcdef0123456789abcdef"
ESCAPE = "\x1b]0;owned\x07\x1b[2J\u202etxt\u009b31m"
UNWANTED = re.compile("[\x00-\x09\x0b-\x1f\x7f\x80-\x9f\u202e]")


class Ctl:
    """Calls the program for one server."""

    def __init__(self, url, secret, folder):
        self.url, self.folder = url, folder
        self.secret_file = folder / "webhook"
        self.secret_file.write_text(secret + "\n", encoding="utf-8")
        self.secret_file.chmod(0o600)
        self.env = {"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8", "TERM": "xterm", "BACKFILL_URL": url}

    def argv(self, *args, secret=True):
        more = ["--secret-file", str(self.secret_file)] if secret else []
        return [str(stand.binary("backfillctl")), *args, *more]

    def __call__(self, *args, want=0, secret=True, env=None, stdin=None, timeout=60):
        done = subprocess.run(self.argv(*args, secret=secret), capture_output=True, text=True, env={**self.env, **(env or {})},
                              input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL, check=False, timeout=timeout)
        assert done.returncode == want, (args, done.returncode, done.stdout, done.stderr)
        assert "ERROR: AddressSanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
        if want == 0:
            assert not UNWANTED.search(done.stdout), repr(done.stdout)
        else:
            assert done.stderr.startswith("backfillctl: ") or want == 4, done.stderr
        return done

    def json(self, *args, want=0):
        return json.loads(self(*args, "--json", want=want).stdout)


class Terminal:
    """A program on a pseudo-terminal: .text so far, .send(), .wait(), .expect()."""

    END = "\x00end of the program\x00"

    def __init__(self, argv, env, rows=24, columns=100):
        # This end of the terminal stays open: what was written is read then, however late, when the program has ended.
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(argv, stdin=self.slave, stdout=self.slave, stderr=self.slave, env=env, start_new_session=True)
        # A read may end amid a character.
        self.decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self.text = ""

    def pump(self, seconds=0.1):
        if select.select([self.master], [], [], seconds)[0]:
            self.text += self.decoder.decode(os.read(self.master, 65536))

    def expect(self, pattern, timeout=30):
        def seen():
            self.pump()
            return re.search(pattern, self.text, re.S)
        try:
            return wait_until(seen, timeout)
        except TimeoutError:
            raise AssertionError(f"no {pattern!r} on the terminal within {timeout} s; there is {self.text[-1500:]!r}") from None

    def send(self, text):
        os.write(self.master, text.encode())

    def wait(self, timeout=30):
        """The program's exit status; all that it wrote is in .text then."""
        def ended():
            self.pump()
            return self.process.poll() is not None
        wait_until(ended, timeout, "the program ends")
        os.write(self.slave, self.END.encode())

        def drained():
            self.pump()
            return self.END in self.text
        wait_until(drained, timeout, "all of it is read")
        self.text = self.text.replace(self.END, "")
        return self.process.returncode

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.slave)
        os.close(self.master)


@pytest.fixture
def terminal():
    made = []

    def start(ctl, *args, env=None, **kwargs):
        made.append(Terminal(ctl.argv(*args), {**ctl.env, **(env or {})}, **kwargs))
        return made[-1]
    yield start
    for one in made:
        one.close()


@pytest.fixture
def real(daemon, tmp_path):
    """A daemon that consumes no queue, and the program for it."""
    d = daemon({"enrichment": {"enabled": False}})
    return d, Ctl(d.url, d.secret, tmp_path)


class Fake:
    """A server that answers what the test says: .answers[path] = (status, body[, headers]) or a function of the handler."""

    def __init__(self):
        self.answers, self.seen = {}, []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length) if length else b""
                fake.seen.append((self.command, self.path, dict(self.headers), body))
                answer = fake.answers.get(self.path, fake.answers.get(self.path.split("?")[0], (404, {"error": f"Not found: {self.path}"})))
                if callable(answer):
                    answer(self)
                    return
                status, content, *headers = answer
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in (headers[0] if headers else {"Content-Type": "application/json"}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_POST = do_GET

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def fake(tmp_path):
    server = Fake()
    server.ctl = Ctl(server.url, SECRET_LINE, tmp_path)
    yield server
    server.close()


ESTIMATE = {"basis": {"months": 3, "since": "2026-01-14T00:00:00Z", "from": "history"}, "cost_usd": 0.0154, "seconds": 1200,
            "binds": "isbndb quota", "per_provider": {
                "isbndb": {"calls": 1069, "units": 1068, "cost_usd": 0, "quota_left_after": 9830},
                "wikidata": {"calls": 14, "units": 0, "cost_usd": 0, "quota_left_after": None}}}


def stream(*pieces, hold=False):
    """An event stream of these pieces, which ends, or stays open."""
    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.end_headers()
        try:
            for piece in pieces:
                handler.wfile.write(piece.encode())
                handler.wfile.flush()
            while hold:
                time.sleep(0.2)
                handler.wfile.write(event(9).encode() if hold == "events" else b":\n\n")
        except OSError:
            pass
    return answer


def event(n, **more):
    data = {"id": n, "at": "2026-01-14T03:00:00.123Z", "year": 2023, "month": 12, "from": "generating", "to": "saving",
            "event": "books_named", "instance": "a:1", "detail": None, **more}
    return f"id: {n}\nevent: transition\ndata: {json.dumps(data)}\n\n"


# ---- a real daemon ----

def test_a_backfill_from_the_command_line(real, db):
    """Seeded, planned, claimed, followed to its end and looked at with the program alone; a dry run claims nothing."""
    d, ctl = real
    assert "No month is seeded" in ctl("months").stdout
    assert ctl("seed", "--years", "2023-2024").stdout == "Successfully seeded 24 months (2023-2024)\n"
    assert ctl.json("seed", "--years=2023-2024")["months_seeded"] == 0
    plan = ctl("schedule", "--dry-run", "--batch-size", "2", "--years", "2023").stdout
    assert plan.startswith("2 months would be claimed\n") and "2023-12" in plan and "2023-11" in plan and "2024" not in plan
    assert db.value("SELECT count(*) FROM backfill_log WHERE status <> 'pending'") == 0
    assert "2 months claimed" in ctl("schedule", "--batch-size", "2").stdout
    d.wait_months(2)
    stats = ctl("stats").stdout
    assert re.search(r"^completed +2$", stats, re.M) and re.search(r"^all +24$", stats, re.M) and "2024-12" in stats
    assert ctl.json("stats") == d.stats()
    grid = ctl("months").stdout
    assert re.search(r"^2024  \. \. \. \. \. \. \. \. \. \. C C   2 of 12$", grid, re.M), grid
    assert re.search(r"^2023  \. .* 0 of 12$", grid, re.M) and "C completed 2" in grid and ". pending 22" in grid
    only = ctl("months", "--status", "completed").stdout
    assert "2023" not in only and re.search(r"^2024-12 +completed +\d+", only, re.M), only
    month = ctl("month", "2024-12").stdout
    row = db.month(2024, 12)
    assert month.startswith("2024-12  completed") and f"{row['isbns_resolved']} with an ISBN" in month
    books = db.rows("SELECT * FROM backfill_candidates WHERE year = 2024 AND month = 12 AND state = 'resolved'")
    assert books and all(re.search(rf"^{b['isbn13']}  +{b['resolved_by']} ", month, re.M) for b in books)
    assert "not_found" in month or not db.value("SELECT count(*) FROM backfill_candidates WHERE year = 2024 AND month = 12 AND state ="
                                                " 'not_found'")
    assert "claimed" in month and "books_named" in month and "gemini-" in month
    assert ctl.json("month", "2024-12")["isbns_resolved"] == row["isbns_resolved"]
    book = ctl("book", books[0]["isbn13"]).stdout
    assert books[0]["title"] in book and "2024-12" in book and books[0]["resolved_by"] in book
    assert ctl.json("book", books[0]["work_key"])["work_key"] == books[0]["work_key"]
    isbndb = ctl.json("quota")["data"]["providers"]["isbndb"]
    assert isbndb["used"] > 0
    assert re.search(rf"^isbndb +{isbndb['used']:,} +{isbndb['safety_limit']:,} +{isbndb['safety_remaining']:,} ", ctl("quota").stdout, re.M)
    assert re.search(r"^admin +secret +set$", ctl("config").stdout, re.M) and d.secret not in ctl("config").stdout
    assert ctl.json("config")["scheduler"]["schedule"] == ""


def test_a_harvest_and_its_job(real):
    """One month by name; its job tells how it goes; the same month again is 409 and exit status 1."""
    d, ctl = real
    answer = ctl.json("harvest", "2022-06", "--batch-size", "5", "--prompt-variant", "baseline", "--max-quota", "100")
    assert (answer["year"], answer["month"], answer["status"]) == (2022, 6, "queued")
    wait_until(lambda: ctl.json("job", answer["job_id"])["status"] == "complete", 60, "the job is complete")
    job = ctl("job", answer["job_id"]).stdout
    assert job.startswith("2022-06  complete: ") and re.search(r"^books_generated +\d+$", job, re.M)
    assert ctl("harvest", "2022-06", want=1).stderr == "backfillctl: Month 2022-06 is completed already\n"
    assert "dry run" in ctl("harvest", "2022-06", "--dry-run").stdout.lower()
    assert "known: " in ctl("harvest", "2022-07", "--prompt-variant", "poetry", want=2).stderr
    assert "no such thing" in ctl("job", "00000000-0000-4000-8000-0000000000aa", want=1).stderr
    ctl("job", "not-an-id", want=2)


def test_steering_months(real, db, terminal):
    """retry, reset and cancel do what they say, on all months named; what destroys asks first, and refuses when nobody is there."""
    _, ctl = real
    db.execute("INSERT INTO backfill_log (year, month, status, retry_count, next_attempt_at, error_message, completed_at) VALUES"
               " (2020, 1, 'failed', 5, NULL, %s, now()), (2020, 2, 'retry', 1, now() + interval '1 day', 'later', NULL),"
               " (2020, 3, 'completed', 0, NULL, NULL, now()), (2020, 4, 'retry', 1, now() + interval '1 day', NULL, NULL)",
               f"no {ESCAPE} books")
    shown = ctl("months", "--status", "failed").stdout
    assert r"\x1b]0;owned" in shown and r"\u{202e}txt\u{9b}31m" in shown
    ctl("pause")      # what is due now is not taken up
    assert ctl("retry", "2020-01").stdout == "2020-01 is retry now\n"
    assert db.month(2020, 1)["retry_count"] == 4
    assert ctl("retry", "2020-03", want=1).stderr == "backfillctl: Month 2020-03 is completed and can't be retried\n"
    assert "no row for 1999-01" in ctl("retry", "1999-01", want=1).stderr
    for command in ("reset", "cancel"):
        assert "give --yes" in ctl(command, "2020-02", want=2).stderr
    assert db.month(2020, 2)["status"] == "retry"
    assert ctl("cancel", "2020-02", "--yes").stdout == "2020-02 is failed now\n"
    # the second of three can't be done; the others are
    done = ctl("cancel", "2020-01", "2020-03", "2020-04", "--yes", want=1)
    assert done.stdout == "2020-01 is failed now\n2020-04 is failed now\n" and "2020-03" in done.stderr
    t = terminal(ctl, "reset", "2020-01", "2020-03")
    t.expect(r"reset 2 months \(2020-01, 2020-03\)\?.*\[y/N\]")
    t.send("n\n")
    assert t.wait() == 1 and "nothing was changed" in t.text and db.month(2020, 1)["status"] == "failed"
    t = terminal(ctl, "reset", "2020-01", "2020-03")
    t.expect(r"\[y/N\]")
    t.send("y\n")
    assert t.wait() == 0 and db.statuses() == {"pending": 2, "failed": 2} or db.month(2020, 3)["status"] == "pending"
    answers = [json.loads(line) for line in ctl("reset", "2020-02", "2020-04", "--yes", "--json").stdout.splitlines()]
    assert [(a["month"], a["status"]) for a in answers] == [(2, "pending"), (4, "pending")]


def test_pausing(real, db):
    """A pause with a note and an end; claiming is then 409 with the note and exit status 1; resuming ends it."""
    d, ctl = real
    d.seed(2024, 2024)
    assert "until 2099-01-01 00:00:00 UTC: the note" in ctl("pause", "--note", "the note", "--until", "2099-01-01T00:00:00Z").stdout
    assert db.value("SELECT paused FROM backfill_control") is True
    assert ctl("schedule", want=1).stderr == "backfillctl: Paused: the note\n"
    assert ctl.json("schedule", want=1) == {"error": "Paused: the note", "paused": True, "note": "the note"}
    assert "future" in ctl("pause", "--until", "2001-01-01T00:00:00Z", want=2).stderr
    assert ctl("resume").stdout == "Resumed.\n"
    assert ctl.json("resume")["paused"] is False
    assert db.value("SELECT paused FROM backfill_control") is False


def test_the_queue(real, db, terminal):
    """Items by status and page; redrive counts, asks and does; adopt takes over; without a terminal nothing happens by itself."""
    _, ctl = real
    db.execute("INSERT INTO enrichment_queue (entity_type, entity_key, status, queued_by, error_message, year, month) SELECT 'edition',"
               " 'k' || n, CASE WHEN n < 4 THEN 'failed' ELSE 'pending' END, CASE WHEN n < 6 THEN 'backfilld' END,"
               " CASE WHEN n < 4 THEN 'ISBNdb: HTTP 500 & \"x\"' END, 2020, n FROM generate_series(1, 7) AS n WHERE %s", True)
    listed = ctl("queue", "--status", "failed", "--reason", "500 & \"x").stdout
    assert re.search(r"^k1 +failed +2020-01", listed, re.M) and "3 in all" in listed and re.search(r"^ +3  ISBNdb", listed, re.M)
    assert "k4" not in listed and "2 in all" in ctl("queue", "--status=pending").stdout
    page = ctl("queue", "--limit", "2").stdout
    after = re.search(r"--after (\S+)", page)[1]
    assert len(ctl.json("queue", "--after", after)["items"]) == 3
    assert "pending, processing" in ctl("queue", "--status", "nonsense", want=2).stderr
    assert ctl.json("queue", "--month", "2020-02")["total"] == 1
    assert "3 failed items match" in ctl("redrive", "--dry-run").stdout
    assert "give --yes" in ctl("redrive", want=2).stderr and "give --yes" in ctl("adopt", want=2).stderr
    assert db.value("SELECT count(*) FROM enrichment_queue WHERE status = 'failed'") == 3
    t = terminal(ctl, "redrive", "--month", "2020-01")
    t.expect(r"Make failed items due again\? There are 1\. \[y/N\]")
    t.send("yes\n")
    assert t.wait() == 0 and "1 of 1 failed items are due again" in t.text
    assert ctl.json("redrive", "--yes")["redriven"] == 2
    assert ctl.json("adopt", "--dry-run")["left"] == 2
    assert db.value("SELECT count(*) FROM enrichment_queue WHERE queued_by IS NULL") == 2
    assert ctl("adopt", "--yes").stdout == "2 adopted, 0 left, 0 are in our queue already\n"


def test_what_is_asked_of_newer_servers(real):
    """why, alerts, verify, doctor and events of the real daemon are understood: a word for each, JSON where it is asked for."""
    d, ctl = real
    d.seed(2024, 2024)
    d.schedule(batch_size=1)
    d.wait_months(1)
    if d.get("/api/internal/verify").status == 404:
        for command in (("why", "2024-12"), ("alerts",), ("verify",), ("doctor",), ("events",)):
            assert "older than this program" in ctl(*command, want=1).stderr
        return
    assert ctl("why", "2024-12").stdout.startswith("2024-12 is completed")
    assert ctl("why", "2024-01").stdout.startswith("2024-01 is pending")
    assert isinstance(ctl.json("why", "2024-01")["blockers"], list)
    assert isinstance(ctl.json("alerts")["alerts"], list) and ctl("alerts", "--all").stdout
    assert "Every month has one outcome" in ctl("verify").stdout and ctl.json("verify", "--years", "2024")["ok"] is True
    assert subprocess.run(ctl.argv("doctor", "--json"), capture_output=True, env=ctl.env, check=False).returncode in (0, 4)
    events = ctl("events").stdout
    assert re.search(r"^2\S+ \S+  2024-12  .*claimed", events, re.M) and "completed" in events
    last = [json.loads(line) for line in ctl("events", "--json").stdout.splitlines()][-1]
    assert last["to"] == "completed" and ctl("events", "--since", str(last["id"])).stdout == ""


# ---- the command line, secret and server ----

def test_usage():
    """What is no command line is exit status 2 and says why; help and version need neither server nor secret."""
    ctl = [str(stand.binary("backfillctl"))]
    for args, why in (([], "a command is missing"), (["stat"], "unknown command stat"), (["stats", "--dry-run"], "stats does not know"),
                      (["stats", "now"], "nothing follows it"), (["month"], "YYYY-MM"), (["month", "2023-13"], "a month like"),
                      (["schedule", "--batch-size", "0"], "from 1 to 100"), (["schedule", "--batch-size"], "N is missing"),
                      (["schedule", "--dry-run=yes"], "takes no value"), (["schedule", "--years", "24"], "A-B is wanted"),
                      (["schedule", "--json", "--json"], "given twice"), (["schedule", "--dryrun"], "unknown option --dryrun"),
                      (["stats", "-x"], "unknown option -x"), (["stats", "--url", "http://example.org"], "plain http"),
                      (["stats", "--url", "http://u:p@127.0.0.1"], "user name"), (["stats", "--url", "ftp://127.0.0.1"], "refused"),
                      (["stats", "--url", "http://127.0.0.1/?x=1"], "query"), (["months", "--status", "done"], "one of pending"),
                      (["verify", "--years", "2024-2020"], "first year"), (["events", "--since", "x"], "number of an event")):
        done = subprocess.run(ctl + args, capture_output=True, text=True, env={"ALEXANDRIA_WEBHOOK_SECRET": "x"}, check=False)
        assert (done.returncode, done.stdout) == (2, "") and why in done.stderr, (args, done)
    for args in (["--help"], ["-h"], ["schedule", "--help"], ["--version"]):
        done = subprocess.run(ctl + args, capture_output=True, text=True, env={}, check=False)
        assert done.returncode == 0 and "backfillctl" in done.stdout and done.stderr == "", done
    assert "--batch-size N" in subprocess.run(ctl + ["schedule", "--help"], capture_output=True, text=True, check=False).stdout


def told_options(command):
    """The options that a command's help lists."""
    done = subprocess.run([str(stand.binary("backfillctl")), *command, "--help"], capture_output=True, text=True, check=True)
    return set(re.findall(r"^  (--[a-z-]+)", done.stdout, re.M)), re.findall(r"^  ([a-z]+) ", done.stdout, re.M)


def completed(*words):
    """What bash offers behind these words."""
    script = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _backfillctl; printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-c", script, "bash", str(ROOT / "conf" / "completion" / "backfillctl"), "backfillctl", *words],
                          capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return set(done.stdout.split())


def test_the_manual_and_the_completion():
    """Every command and option of the help is in the manual page and in the completion, and no other; mandoc has nothing to say."""
    page = ROOT / "conf" / "man" / "backfillctl.1"
    lint = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", str(page)], capture_output=True, text=True, check=False)
    assert (lint.returncode, lint.stdout) == (0, "")
    text = subprocess.run(["mandoc", "-T", "ascii", str(page)], capture_output=True, text=True, check=True).stdout
    text = re.sub(".\x08", "", text)
    _, commands = told_options([])
    assert len(commands) > 20 and completed("") == set(commands) == completed("--json", "--url", "stats", "")
    every = set()
    for command in commands:
        options, _ = told_options([command])
        every |= options
        assert re.search(rf"^     {command}\b", text, re.M), command
        assert completed(command, "--") == options
    assert set(re.findall(r"--[a-z]+[a-z-]*", text)) == every
    assert completed("months", "--status", "r") == {"retry"} and completed("queue", "--status", "r") == set()
    assert "contemporary-notable" in completed("harvest", "--prompt-variant", "")
    assert completed("pause", "--note", "") == set()


def test_the_secret(fake, tmp_path):
    """From the named file, the service's, the environment, in this order; a wrong one is exit status 3; others' eyes are warned of;
    it is never sent after a redirect."""
    ctl, stats = fake.ctl, "/api/internal/backfill-stats"
    fake.answers[stats] = (200, {"total_months": 0})

    def sent():
        return fake.seen[-1][2].get("X-Cron-Secret")
    ctl("stats", env={"ALEXANDRIA_WEBHOOK_SECRET": "other"})
    assert sent() == SECRET_LINE and fake.seen[-1][2]["User-Agent"].startswith("backfillctl/")
    ctl("stats", "--operator", "ann\nb\u00e9", secret=True)
    assert fake.seen[-1][2]["X-Operator"] == "ann?b??"
    ctl("stats", secret=False, env={"ALEXANDRIA_WEBHOOK_SECRET": "of-the-environment"})
    assert sent() == "of-the-environment"
    ctl("stats", secret=False, env={"CREDENTIALS_DIRECTORY": str(tmp_path), "ALEXANDRIA_WEBHOOK_SECRET": "other"})
    assert sent() == SECRET_LINE
    assert "no secret" in ctl("stats", secret=False, want=2).stderr
    fake.answers["/api/quota/status"] = (200, {"data": {}})
    ctl("quota", secret=False)
    assert sent() is None
    ctl.secret_file.chmod(0o644)
    assert "chmod 600" in ctl("stats").stderr
    ctl.secret_file.chmod(0o600)
    for content in (b"", b"\n", b"two words\n", b"\xc3\xa9\n", b"x" * 5000):
        ctl.secret_file.write_bytes(content)
        if len(content) < 5000:
            assert "is no secret" in ctl("stats", want=2).stderr
    ctl.secret_file.write_bytes(b"  trimmed \r\nsecond line")
    ctl("stats")
    assert sent() == "trimmed"
    ctl.secret_file.unlink()
    assert "No such file" in ctl("stats", want=2).stderr
    ctl.secret_file.write_text("x")
    fake.answers[stats] = (302, b"", {"Location": fake.url + "/elsewhere"})
    assert "leads elsewhere" in ctl("stats", want=1).stderr
    assert all(seen[1] != "/elsewhere" for seen in fake.seen)
    assert all(SECRET_LINE not in json.dumps([seen[1], seen[3].decode()]) for seen in fake.seen)


def test_wrong_secret_and_no_server(real):
    """A wrong secret, no server, and one that says nothing are exit status 3."""
    _, ctl = real
    ctl.secret_file.write_text("wrong")
    assert "Invalid or missing X-Cron-Secret" in ctl("stats", want=3).stderr
    assert ctl.json("stats", want=3)["error"].startswith("Unauthorized")
    assert "127.0.0.1" in ctl("stats", "--url", f"http://127.0.0.1:{free_port()}", want=3).stderr
    assert "wrong" not in ctl("watch", want=3).stderr


def test_answers_and_exit_statuses(fake):
    """Each kind of answer has its exit status; one that is no JSON, and one too short, are told apart from ours."""
    path = "/api/internal/backfill-stats"
    for status, body, want in ((400, {"error": "Invalid request: x"}, 2), (403, {}, 3), (404, {"error": "Not found: " + path}, 1),
                               (405, {"error": "no"}, 1), (409, {"error": "Paused"}, 1), (500, {"error": "Internal error"}, 1),
                               (503, {"error": "The database is not available"}, 3), (502, b"<html>", 3), (200, b"<html>", 1),
                               (200, b"", 1), (200, b"{} {}", 1)):
        fake.answers[path] = (status, body)
        done = fake.ctl("stats", want=want)
        assert done.stdout == "", (status, done)
        if isinstance(body, dict) and "error" in body and status != 404:
            assert body["error"] in done.stderr
            assert fake.ctl.json("stats", want=want) == body

    def short(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(b"{}")
        handler.close_connection = True
    fake.answers[path] = short
    fake.ctl("stats", want=3)
    fake.answers[path] = lambda handler: time.sleep(3)
    assert "1" in fake.ctl("stats", "--timeout", "1", want=3).stderr


def test_text_of_others_is_harmless(fake, terminal):
    """Whatever a server, a title or a reason holds, no control character reaches the terminal, also with --json, which stays the
    same JSON; wide characters keep columns aligned."""
    nasty = {"candidates": [{"title": ESCAPE, "author": "\u6751\u4e0a\u6625\u6a39\nx", "state": ESCAPE, "generated_by": [ESCAPE]},
                            {"title": "plain", "author": "J. R.", "state": "not_found", "generated_by": ["gemini"]}],
             "year": 2023, "month": 12, "status": ESCAPE, "error_message": ESCAPE, "transitions": [{"at": ESCAPE, "event": ESCAPE}]}
    fake.answers["/api/internal/months/2023/12"] = (200, json.dumps(nasty, ensure_ascii=False).replace("\\u001b", "\\u001b").encode())
    fake.answers["/api/internal/months/2023/11"] = (409, {"error": ESCAPE})
    out = fake.ctl("month", "2023-12").stdout
    assert "\u6751\u4e0a\u6625\u6a39\\nx" in out and "\\x1b]0;owned\\x07" in out
    assert not UNWANTED.search(fake.ctl("month", "2023-11", want=1).stderr)
    for args in (("month", "2023-12"), ("month", "2023-12", "--json")):
        t = terminal(fake.ctl, *args, env={"NO_COLOR": "1"})
        assert t.wait() == 0 and not UNWANTED.search(t.text.replace("\r\n", "\n")), repr(t.text)
    assert json.loads(t.text) == nasty


def test_colours(real, db, terminal):
    """Colours on a terminal, none in a pipe, with NO_COLOR or on a dumb one; no line is wider than the terminal."""
    _, ctl = real
    db.execute("INSERT INTO backfill_log (year, month, status, error_message, completed_at) VALUES (2020, 1, 'failed', %s, now())",
               "a long reason " * 20)
    for env, coloured in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
        t = terminal(ctl, "stats", env=env, columns=60)
        assert t.wait() == 0 and ("\x1b[31m" in t.text) == coloured
        assert max(len(re.sub("\x1b\\[[0-9;]*m", "", line)) for line in t.text.splitlines() if "long reason" in line) == 60
    assert "\x1b" not in ctl("stats").stdout and "a long reason " * 10 in ctl("stats").stdout


# ---- shapes of newer servers ----

def test_findings(fake):
    """verify and doctor: exit status 4 when they found something, 0 when not; each finding has its remedy."""
    clean = {"ok": True, "checked": {"months": 300, "books": 5012}, "findings": []}
    bad = {"ok": False, "checked": {"months": 300}, "findings": [
        {"check": "coverage", "severity": "error", "subject": "2023-12", "text": "the row is gone", "remedy": "seed it"}]}
    warned = {**bad, "ok": True}
    for command, path in (("verify", "/api/internal/verify"), ("doctor", "/api/internal/doctor")):
        fake.answers[path] = (200, clean)
        assert "looked at: months 300, books 5012" in fake.ctl(command).stdout
        for answer in (bad, warned):
            fake.answers[path] = (200, answer)
            assert "coverage 2023-12: the row is gone\n  do: seed it\n" in fake.ctl(command, want=4).stdout
            assert fake.ctl.json(command, want=4) == answer
    fake.ctl("verify", "--years", "2020-2023", want=4)
    assert fake.seen[-1][1] == "/api/internal/verify?year_start=2020&year_end=2023"


def test_why_and_alerts_and_the_plan(fake):
    """The blockers in their order with the earliest start; alerts with what to do; the estimate of a dry run; older servers."""
    fake.answers["/api/internal/months/2023/12/why"] = (200, {
        "year": 2023, "month": 12, "status": "retry", "earliest_start": "2026-01-14T03:00:00Z", "blockers": [
            {"code": "backoff", "text": "waits for attempt 3", "until": "2026-01-14T03:00:00Z", "provider": None},
            {"code": "quota", "text": "out of quota", "until": None, "provider": "isbndb"}]})
    out = fake.ctl("why", "2023-12").stdout
    assert out == ("2023-12 is retry; it can start 2026-01-14 03:00:00 UTC at the earliest\n"
                   "  backoff, until 2026-01-14 03:00:00 UTC: waits for attempt 3\n  quota isbndb: out of quota\n")
    fake.answers["/api/internal/alerts"] = (200, {"alerts": [
        {"key": "quota", "severity": "critical", "summary": "none left", "action": "wait", "raised_at": "2026-01-14T03:00:00Z",
         "cleared_at": None},
        {"key": "backlog", "severity": "warning", "summary": "long", "action": "look", "raised_at": "2026-01-14T03:00:00Z",
         "cleared_at": "2026-01-14T04:00:00Z"}]})
    out = fake.ctl("alerts").stdout
    assert "critical quota\n  none left\n  do: wait\n" in out and "backlog" not in out and "1 were cleared lately" in out
    assert "cleared 2026-01-14 04:00:00" in fake.ctl("alerts", "--all").stdout
    fake.answers["/api/internal/schedule-backfill"] = (200, {
        "dry_run": True, "months_selected": 1, "months": [{"year": 2023, "month": 12, "status": "pending"}], "estimate": ESTIMATE})
    out = fake.ctl("schedule", "--dry-run").stdout
    assert json.loads(fake.seen[-1][3]) == {"dry_run": True}
    assert re.search(r"^isbndb +1,069 +1,068 +0\.0000 +9,830$", out, re.M) and re.search(r"^wikidata .* no limit$", out, re.M)
    assert ("\ncost   about 0.02 USD\ntime   about 20 min, bound by isbndb quota\n"
            "basis  what 3 months cost since 2026-01-14 00:00:00 UTC\n") in out
    ESTIMATE["basis"]["months"], ESTIMATE["binds"] = 0, "concurrent_months"
    out = fake.ctl("schedule", "--dry-run").stdout
    assert "bound by how many months run at once\nbasis  the configuration alone" in out
    for command in (("verify",), ("doctor",), ("why", "2020-01"), ("events",)):
        assert "older than this program" in fake.ctl(*command, want=1).stderr


def test_retry_by_what_months_have_in_common(fake, terminal):
    """The plan comes first and asks for nothing; on a terminal a question follows, elsewhere it stays at the plan and says so;
    --yes does it at once."""
    path, ctl = "/api/internal/months/retry", fake.ctl
    plan = {"dry_run": True, "matched": 3, "retried": 1, "reset": 2, "estimate": ESTIMATE, "months": [
        {"year": 2024, "month": 3, "status": "failed", "action": "retry", "resolution_rate": None},
        {"year": 2024, "month": 2, "status": "completed", "action": "reset", "resolution_rate": 41.5},
        {"year": 2024, "month": 1, "status": "completed", "action": "reset", "resolution_rate": 40}]}

    def answer(handler):
        wanted = json.loads(fake.seen[-1][3])
        body = json.dumps({**plan, "dry_run": wanted.get("dry_run", True)}).encode()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def asked():
        bodies = [json.loads(seen[3]) for seen in fake.seen]
        fake.seen.clear()
        return bodies
    fake.answers[path] = answer
    done = ctl("retry", "--failed")
    assert done.stdout.startswith("plan: 1 month tried again, 2 reset and bought again\n") and "about 0.02 USD" in done.stdout
    assert re.search(r"^2024-02 +completed +reset +41\.50$", done.stdout, re.M) and re.search(r"^2024-03 +failed +retry +-$", done.stdout, re.M)
    assert done.stderr == "backfillctl: nothing was done; the same with --yes does it\n"
    assert asked() == [{"dry_run": True, "status": "failed"}]
    assert ctl("retry", "--below", "60", "--dry-run").stderr == "" and asked() == [{"dry_run": True, "rate_below": 60}]
    done = ctl("retry", "--refused", "xai", "--years", "2020-2024", "--limit", "7", "--yes")
    assert done.stdout.startswith("1 month tried again, 2 reset") and "USD" not in done.stdout and done.stderr == ""
    assert asked() == [{"dry_run": False, "refused_by": "xai", "year_range": {"start": 2020, "end": 2024}, "limit": 7}]
    assert ctl.json("retry", "--failed") == plan and len(asked()) == 1
    assert ctl.json("retry", "--failed", "--yes") == {**plan, "dry_run": False} and len(asked()) == 1
    for word, live in (("n", 0), ("y", 1)):
        t = terminal(ctl, "retry", "--failed")
        t.expect(r"plan: 1 month tried again.*2 reset and bought again, for about 0\.02 USD\? \[y/N\]")
        t.send(word + "\n")
        assert t.wait() == 1 - live and [b["dry_run"] for b in asked()] == [True] + live * [False]
        assert ("nothing was changed" in t.text) != bool(live)
    plan["matched"], plan["months"] = 0, []
    done = ctl("retry", "--failed")
    assert (done.stdout, done.stderr) == ("No month is like that.\n", "")
    fake.answers[path] = (400, {"error": "Invalid request: refused_by: gemini or xai"})
    assert "gemini or xai" in ctl("retry", "--refused", "isbndb", want=2).stderr
    for args, why in (((), "which?"), (("2020-01", "--failed"), "either months or"), (("2020-01", "--years", "2020"), "go with"),
                      (("--years", "2020"), "which?"), (("--below", "0"), "from 1 to 100"), (("--failed", "--years", "2024-2020"), "first year")):
        assert why in ctl("retry", *args, want=2).stderr
    fake.answers[path] = (404, {"error": "Not found: " + path})
    assert "older than this program" in ctl("retry", "--failed", want=1).stderr


def test_retry_of_many_months(real, db):
    """A real daemon: what failed is due again, what is below the rate is reset, the rest and other years stay as they are."""
    _, ctl = real
    db.execute("INSERT INTO backfill_log (year, month, status, retry_count, resolution_rate, completed_at) VALUES (2020, 1, 'failed', 5,"
               " NULL, now()), (2021, 1, 'failed', 5, NULL, now()), (2020, 2, 'completed', 0, 41.5, now()), (2020, 3, 'completed', 0,"
               " 90, now()), (2020, 4, 'pending', 0, NULL, %s)", None)
    ctl("pause")      # what is due now is not taken up
    done = ctl("retry", "--failed", "--years", "2020")
    assert done.stdout.startswith("plan: 1 month tried again, 0 reset") and re.search(r"^2020-01 +failed +retry", done.stdout, re.M)
    assert re.search(r"^gemini +\d", done.stdout, re.M) and re.search(r"^cost +about .*\ntime +about .*\nbasis  ", done.stdout, re.M)
    assert db.month(2020, 1)["status"] == "failed"
    assert ctl("retry", "--failed", "--years", "2020", "--yes").stdout.startswith("1 month tried again, 0 reset")
    assert (db.month(2020, 1)["status"], db.month(2021, 1)["status"]) == ("retry", "failed")
    assert ctl.json("retry", "--below", "60", "--yes")["reset"] == 1
    assert [db.month(2020, m)["status"] for m in (2, 3, 4)] == ["pending", "completed", "pending"]
    assert ctl("retry", "--refused", "xai").stdout == "No month is like that.\n"
    assert ctl("retry", "--refused", "isbndb", want=2).stderr.startswith("backfillctl: Invalid request: refused_by")


def test_audit(real):
    """Who asked for what, newest first, by name and path and page; a reader who is nobody's name finds nothing."""
    d, ctl = real
    for who in ("ann", "bob", "ann"):
        ctl("pause", "--note", f"of {who}", "--operator", who)
    ctl("resume", "--operator", "bob")
    wait_until(lambda: len(d.get("/api/internal/audit").json["audit"]) == 4, 10, "four rows")
    lines = ctl("audit").stdout.splitlines()
    assert lines[0].startswith("at (UTC) ") and len(lines) == 5
    assert re.match(r'2\S+ \S+ +bob +127\.0\.0\.1 +resume +200 +ok', lines[1])
    assert re.match(r'2\S+ \S+ +ann +127\.0\.0\.1 +pause +200 +ok +\{.*"of ann"\}$', lines[2])
    assert len(ctl.json("audit", "--by", "ann")["audit"]) == 2
    assert [row["operator"] for row in ctl.json("audit", "--path", "/api/internal/resume")["audit"]] == ["bob"]
    assert ctl.json("audit", "--path", "resume") == ctl.json("audit", "--path", "/api/internal/resume")
    page = ctl("audit", "--limit", "3").stdout
    after = re.search(r"^the next page: --after (\d+)$", page, re.M)[1]
    assert [row["operator"] for row in ctl.json("audit", "--after", after)["audit"]] == ["ann"]
    assert ctl("audit", "--by", "c&d=%").stdout == "Nothing is in the audit that is like that.\n"
    ctl("audit", "--after", "x", want=2)


def test_events_once(fake):
    """Without --follow what is older is shown and that is all; each event is a line; --json prints the data as they came."""
    fake.answers["/api/internal/events"] = stream(": hello\n\n", event(1), "retry: 100\n", event(2, event=ESCAPE), hold=True)
    out = fake.ctl("events").stdout
    assert out.splitlines()[0] == "2026-01-14 03:00:00  2023-12  generating -> saving      books_named       a:1"
    assert len(out.splitlines()) == 2 and fake.seen[-1][2]["Last-Event-ID"] == "0"
    lines = fake.ctl("events", "--json", "--since", "77").stdout.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [1, 2] and fake.seen[-1][2]["Last-Event-ID"] == "77"
    fake.answers["/api/internal/events"] = (200, {"no": "stream"})
    fake.ctl("events", want=1)


def test_events_followed(fake):
    """A lost connection is taken up behind the last event; nothing is missed or told twice; a secret refused later ends it."""
    rounds = [stream("retry: 100\n", event(1), event(2), "id: 3\ndata: {\"cut"), stream(event(3)), (503, {"error": "away"}),
              stream(event(4)), (401, {"error": "Unauthorized"})]

    def answer(handler):
        what = rounds.pop(0)
        if callable(what):
            what(handler)
        else:
            body = json.dumps(what[1]).encode()
            handler.send_response(what[0])
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)
    fake.answers["/api/internal/events"] = answer
    done = fake.ctl("events", "--follow", "--json", want=3)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [e["id"] for e in events[:-1]] == [1, 2, 3, 4] and events[-1] == {"error": "Unauthorized"}
    assert [seen[2].get("Last-Event-ID") for seen in fake.seen] == [None, "2", "3", "3", "4"]
    assert "waiting for it" in done.stderr


# ---- watch ----

def test_watch_in_a_pipe(daemon, tmp_path):
    """One line for each change, true at every moment, and the end when nothing is left to do; idle is called idle."""
    d = daemon({"scheduler": {"concurrent_months": 2}})
    ctl = Ctl(d.url, d.secret, tmp_path)
    assert "empty, 0.0 %: 0 of 0 months" in ctl("watch", "--until-done").stdout
    d.seed(2024, 2024)
    watcher = subprocess.Popen(ctl.argv("watch", "--until-done", "--interval", "1"), stdout=subprocess.PIPE, text=True, env=ctl.env)
    first = watcher.stdout.readline()
    assert "Z idle, 0.0 %: 0 of 12 months completed, 0 processing, 12 pending" in first and "12 months are pending" in first
    d.schedule(batch_size=12)
    rest = watcher.communicate(timeout=90)[0].splitlines()
    assert watcher.returncode == 0
    assert any("Z working, " in line for line in rest) and "done, 100.0 %: 12 of 12 months completed" in rest[-1]
    # what was claimed a moment ago may not be held yet, but nothing works without a month in processing
    assert all(" 0 processing" not in line for line in rest if "Z working, " in line)
    assert not any("Z idle, " in line for line in rest if " 0 processing" not in line)
    assert len(set(line[21:] for line in rest)) == len(rest)
    overview = ctl.json("watch", "--until-done")
    assert overview["progress"]["state"] == "done" and overview["stats"]["by_status"] == d.stats()["by_status"]


def test_watch_on_a_terminal(daemon, tmp_path, terminal):
    """The bar fills while months run, over itself; it says how old its data are; a server that is away is said to be, and found
    again; the last picture is 100 %."""
    d = daemon({"scheduler": {"concurrent_months": 1}})
    ctl = Ctl(d.url, d.secret, tmp_path)
    d.seed(2024, 2024)
    t = terminal(ctl, "watch", "--until-done", "--interval", "1", columns=110)
    t.expect(r"Idle: 12 months are pending")
    t.expect(r"\u2591+ 0\.0 %  0 of 12 months, 12 left")
    t.expect(r"time left  not known; ")
    t.expect(r"data +\d+ s old, from http://127")
    assert "working" not in t.text
    d.stop()
    t.expect(r"unknown: the server is away: ")
    d.start().wait_ready()
    d.schedule(batch_size=12)
    t.expect(r"working: \d+ months? in flight on 1 instance")
    t.expect(r"in flight  2024-\d\d \w+", 30)
    assert t.wait(90) == 0
    assert re.search(r"\u2588{20,} 100\.0 %  12 of 12 months, 0 left", t.text), t.text[-3000:]
    assert "done: All 12 months are over: 12 completed" in t.text and "time left  none" in t.text
    assert "\x1b[10A" in t.text
    widths = [len(re.sub("\x1b\\[[0-9;]*[A-Za-z]", "", line).strip("\r")) for line in t.text.split("\n")]
    assert max(widths) <= 109


def test_watch_is_not_told_lies(fake):
    """A server that is away when watch begins is exit status 3, as is one that refuses the secret in between; a pause is said."""
    fake.ctl("watch", "--url", f"http://127.0.0.1:{free_port()}", want=3)
    idle = {"progress": {"state": "idle", "text": "Idle: x", "total": 1, "left": 1, "percent": 0.0}, "stats": {}}
    paused = {"progress": {**idle["progress"], "state": "paused", "text": "Paused until somebody resumes"}, "stats": {}}
    answers = [(200, idle), (503, {"error": "away"}), (200, paused), (401, {"error": "Unauthorized"})]

    def overview(handler):
        status, body = answers.pop(0)
        data = json.dumps(body).encode()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)
    fake.answers["/api/internal/overview"] = overview
    lines = fake.ctl("watch", "--interval", "1", want=3).stdout.splitlines()
    assert "Z idle, 0.0 %" in lines[0] and "unknown: the server is away: it answers 503" in lines[1]
    assert "Z paused, 0.0 %" in lines[2] and lines[2].endswith("; Paused until somebody resumes") and len(lines) == 3
    fake.answers["/api/internal/overview"] = (404, {"error": "Not found: /api/internal/overview"})
    assert "older than this program" in fake.ctl("watch", want=1).stderr


def test_output_that_nobody_takes(fake):
    """A full disk is exit status 1; a reader who has gone is no hang."""
    fake.answers["/api/internal/backfill-stats"] = (200, {"total_months": 0})
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(fake.ctl.argv("stats"), stdout=full, stderr=subprocess.PIPE, env=fake.ctl.env, check=False)
    assert done.returncode == 1 and b"could not be written" in done.stderr
    fake.answers["/api/internal/events"] = stream(event(1), hold="events")
    reader = subprocess.Popen(fake.ctl.argv("events", "--follow"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=fake.ctl.env)
    assert reader.stdout.readline()
    reader.stdout.close()
    assert reader.wait(30) != 0
