"""A stand to run the product on: sandbox, daemon and their wiring, for the demo, the tests and the benchmarks.

Everything is started as a child with a log file of its own and ended through its own handle; children end with
this process, however that ends. Loopback only. Standard library only.
"""
import json
import os
import secrets
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from throwaway_pg import end_with_parent, free_port

ROOT = Path(__file__).resolve().parents[2]

# [provider.NAME] in the configuration -> path in the sandbox and the variable its key is read from (None: keyless)
PROVIDERS = {
    "gemini": ("/gemini", "GEMINI_API_KEY"),
    "xai": ("/xai", "XAI_API_KEY"),
    "isbndb": ("/isbndb", "ISBNDB_API_KEY"),
    "google_books": ("/google_books", "GOOGLE_BOOKS_API_KEY"),
    "open_library": ("/open_library", None),
    "archive_org": ("/archive_org", None),
    "wikidata": ("/wikidata", None),
}
SECRET_ENV = "ALEXANDRIA_WEBHOOK_SECRET"

# No proxy from the environment, whatever the machine has set: everything here is on loopback.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class StandError(Exception):
    """A part of the stand could not be started or does not answer; the text names its log."""


class Reply:
    """An HTTP answer, errors included: status, headers, text and, where it is JSON, .json."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body
        self.text = body.decode("utf-8", errors="replace")

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.text[:300]!r}>"


def http(method, url, body=None, headers=None, timeout=30):
    """One request. body: bytes and str go as they are, anything else as JSON. Every status is an answer."""
    headers = dict(headers or {})
    if body is not None and not isinstance(body, (bytes, str)):
        body = json.dumps(body)
        headers.setdefault("Content-Type", "application/json")
    if isinstance(body, str):
        body = body.encode("utf-8")
    request = urllib.request.Request(url, data=body, headers=headers, method=method)
    try:
        with _OPENER.open(request, timeout=timeout) as answer:
            return Reply(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as answer:
        with answer:
            return Reply(answer.code, answer.headers, answer.read())


def binary(name, build=None):
    """A built program; build defaults to $BF_BUILD, then to build/."""
    folder = Path(build or os.environ.get("BF_BUILD") or ROOT / "build")
    if not folder.is_absolute():
        folder = ROOT / folder
    where = {"backfilld": "src", "backfillctl": "tools/ctl", "provider-sandbox": "tools/sandbox"}[name]
    path = folder / where / name
    if not path.exists():
        raise StandError(f"{path} does not exist; build it: meson compile -C {folder} {name}")
    return path


def wait_until(check, timeout=30.0, what=None, every=0.05):
    """The first true value check() returns; TimeoutError naming `what` when there is none in time.

    A connection refused inside check() counts as "not yet".
    """
    deadline = time.monotonic() + timeout
    last = None
    while True:
        try:
            last = check()
            if last:
                return last
        except (ConnectionError, urllib.error.URLError) as problem:
            last = problem
        if time.monotonic() >= deadline:
            raise TimeoutError(f"not within {timeout:g} s: {what or getattr(check, '__name__', 'the condition')}"
                               f" (last: {str(last)[:500]})")
        time.sleep(every)


class Program:
    """A child process with a log file; stderr and stdout go there."""

    def __init__(self, argv, log, env=None, cwd=None):
        self.argv = [str(a) for a in argv]
        self.log_path = Path(log)
        with open(self.log_path, "ab") as out:
            self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, cwd=cwd,
                                            start_new_session=True, preexec_fn=end_with_parent(signal.SIGTERM))

    @property
    def pid(self):
        return self.process.pid

    @property
    def running(self):
        return self.process.poll() is None

    @property
    def log(self):
        """Everything it has written so far."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def log_tail(self, lines=30):
        return "\n".join(self.log.splitlines()[-lines:])

    def send(self, signum):
        """Signals the process if it still runs."""
        if self.running:
            self.process.send_signal(signum)

    def wait(self, timeout=60):
        """Its exit status (negative: the signal that ended it)."""
        return self.process.wait(timeout)

    def stop(self, timeout=40):
        """SIGTERM, then SIGKILL when that is not enough; the exit status."""
        self.send(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait(10)


class Sandbox(Program):
    """A provider-sandbox that answers."""

    def __init__(self, folder, catalogue=None, seed=1, build=None, extra=(), start_timeout=30):
        folder = Path(folder)
        ready = folder / "sandbox.ready"
        ready.unlink(missing_ok=True)
        argv = [binary("provider-sandbox", build), "--listen", "127.0.0.1:0", "--seed", str(seed), "--ready-file", ready]
        if catalogue:
            argv += ["--catalogue", Path(catalogue).resolve()]
        super().__init__([*argv, *extra], folder / "sandbox.log")

        def answers():
            if not self.running:
                raise StandError(f"provider-sandbox ended with {self.process.returncode}:\n{self.log_tail()}")
            return ready.exists()
        wait_until(answers, start_timeout, f"the sandbox's ready file {ready}")
        self.url = ready.read_text(encoding="utf-8").strip().rstrip("/")

    def _json(self, method, path, body=None):
        answer = http(method, self.url + path, body)
        if answer.status not in (200, 204):
            raise StandError(f"sandbox {method} {path}: {answer}")
        return answer.json if answer.body.strip() else None

    def control(self, settings=None):
        """PUT /_control; without settings GET: what is set now."""
        return self._json("PUT", "/_control", settings) if settings is not None else self._json("GET", "/_control")

    def counters(self, provider=None):
        """What was asked so far, per provider; with a name, that one's."""
        counters = self._json("GET", "/_counters")
        if provider is None:
            return counters
        return counters.get("providers", counters)[provider]

    def reset(self):
        """PUT /_reset: the counters start at zero."""
        self._json("PUT", "/_reset")


def render_ini(sections):
    """INI text from {section: {key: value}}; None leaves a key out, True and False become words."""
    lines = []
    for section, keys in sections.items():
        lines.append(f"[{section}]")
        for key, value in keys.items():
            if value is not None:
                value = str(value).lower() if isinstance(value, bool) else value
                lines.append(f"{key} = {value}".rstrip())
        lines.append("")
    return "\n".join(lines)


def merge(base, overrides):
    """A copy of base with overrides laid over it, section by section."""
    out = {section: dict(keys) for section, keys in base.items()}
    for section, keys in (overrides or {}).items():
        out.setdefault(section, {}).update(keys)
    return out


def sandbox_providers(url, rate="200/s", concurrency=20, timeout=None):
    """Provider sections that point at a sandbox, as fast as it goes. url None: no sandbox, a closed port."""
    url = url or f"http://127.0.0.1:{free_port()}"
    sections = {}
    for name, (path, key_env) in PROVIDERS.items():
        sections[f"provider.{name}"] = {
            "enabled": True, "base_url": url + path, "rate": rate, "concurrency": concurrency, "daily_limit": 0, "reserve": 0,
            "api_key_env": key_env, "timeout": timeout,
        }
    return sections


def daemon_env(secret, extra=None):
    """The environment a daemon gets: random provider keys and the secret, sanitizer settings, nothing of ours."""
    env = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC", SECRET_ENV: secret}
    for _, key_env in PROVIDERS.values():
        if key_env:
            env[key_env] = f"key-{secrets.randbits(96)}"     # digits: the sandbox refuses keys with "bad" in them
    env["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "detect_leaks=1:detect_stack_use_after_return=1")
    env["UBSAN_OPTIONS"] = os.environ.get("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1")
    env.update(extra or {})
    return {key: value for key, value in env.items() if value is not None}


class Daemon(Program):
    """A `backfilld run` and its admin interface."""

    def __init__(self, ini, log, listen, secret, env, build=None, wrap=()):
        self.ini = Path(ini)
        self.url = f"http://{listen}"
        self.secret = secret
        super().__init__([*wrap, binary("backfilld", build), "-c", ini, "run"], log, env=env)

    def request(self, method, path, body=None, secret=True, headers=None, timeout=30):
        """secret True: the right one; None or False: no header; a text: that one."""
        headers = dict(headers or {})
        if secret is True:
            headers["X-Cron-Secret"] = self.secret
        elif secret:
            headers["X-Cron-Secret"] = secret
        return http(method, self.url + path, body, headers, timeout)

    def get(self, path, **kwargs):
        return self.request("GET", path, **kwargs)

    def post(self, path, body=None, **kwargs):
        return self.request("POST", path, b"" if body is None else body, **kwargs)

    def wait_ready(self, timeout=30):
        """Until /readyz says 200; StandError with the log's end when the process dies before."""
        def ready():
            if not self.running:
                raise StandError(f"backfilld ended with {self.process.returncode}:\n{self.log_tail()}")
            return self.get("/readyz", secret=None, timeout=5).status == 200
        wait_until(ready, timeout, f"{self.url}/readyz (log: {self.log_path})")
        return self

    def term(self):
        self.send(signal.SIGTERM)

    def hup(self):
        self.send(signal.SIGHUP)

    def kill9(self):
        """SIGKILL, and waits until it is gone."""
        self.send(signal.SIGKILL)
        return self.process.wait(10)

    def _status_kib(self, key):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as f:
            for line in f:
                if line.startswith(key + ":"):
                    return int(line.split()[1])
        raise StandError(f"no {key} in /proc/{self.pid}/status")

    @property
    def rss(self):
        """Resident memory now, KiB."""
        return self._status_kib("VmRSS")

    @property
    def rss_anon(self):
        """Resident anonymous memory now, KiB."""
        return self._status_kib("RssAnon")

    @property
    def rss_peak(self):
        """Highest resident memory so far, KiB."""
        return self._status_kib("VmHWM")

    @property
    def cpu_s(self):
        """User and system time so far, seconds."""
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def migrate(ini, log, env, build=None, conninfo=None, timeout=120):
    """`backfilld migrate`; StandError with its words when it fails."""
    argv = [str(binary("backfilld", build)), "-c", str(ini), "migrate"]
    if conninfo:
        argv += ["--conninfo", conninfo]
    with open(log, "ab") as out:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, check=False, timeout=timeout)
    if done.returncode != 0:
        tail = Path(log).read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
        raise StandError("backfilld migrate failed with {}:\n{}".format(done.returncode, "\n".join(tail)))
