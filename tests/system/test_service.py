"""The daemon as a service: what it tells systemd, the unit that is shipped, the manual pages and the package."""
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest
from stand import ROOT, binary, wait_until
from steps import AIS, FEW, latency, wait_row

UNIT = ROOT / "conf" / "backfilld.service"
BUILD = binary("backfilld").parents[1]
EXPOSURE_MAX = 2.0


class Manager:
    """The service manager's end of NOTIFY_SOCKET: every message with the second it came at."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="backfill-notify-")      # short: such addresses have at most 107 bytes
        self.path = f"{self.folder}/socket"
        self.heard = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        while data := self._socket.recv(65536):
            self.heard.append((time.monotonic(), data.decode("utf-8")))

    def texts(self, *but):
        """All messages but those that begin with one of these."""
        return [text for _, text in self.heard if not text.startswith(but)]

    def wait(self, pattern, timeout=30, after=0):
        """The first message that matches as a whole, beyond the first `after` ones."""
        return wait_until(lambda: next((m for _, t in self.heard[after:] if (m := re.fullmatch(pattern, t))), None), timeout,
                          f"{pattern!r} among {self.texts('WATCHDOG')}")

    def close(self):
        end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        end.sendto(b"", self.path)
        end.close()
        shutil.rmtree(self.folder)


@pytest.fixture
def manager():
    one = Manager()
    yield one
    one.close()


@pytest.fixture
def service(daemon, manager):
    """service({...}) starts a daemon that a manager listens to."""
    return lambda ini=None, env=None, **kwargs: daemon(ini, env={"NOTIFY_SOCKET": manager.path, **(env or {})}, **kwargs)


# ---- what it tells ----
@pytest.mark.asan
def test_ready_when_the_database_was_reached(service, manager, relay, db):
    """Not before: while the database is away it is starting, reloaded or not; then READY=1 comes once."""
    way = relay(int(db.server["port"]))
    way.cut()
    d = service(start=False, wait=False)
    d.write_ini({"database": {"conninfo": f"{db.conninfo} host=127.0.0.1 port={way.port}"}})
    d.start()
    d.wait_log("starting")
    wait_until(lambda: d.get("/healthz", secret=None).status == 200, 30, "it lives")
    d.hup()
    d.wait_log("configuration reloaded")
    assert manager.texts() == ["STATUS=waiting for the database"]
    way.mend()
    manager.wait("READY=1")
    d.wait_ready()
    assert manager.texts("STATUS=") == ["READY=1"]
    assert d.stop() == 0


def test_never_ready_without_a_schema(service, manager):
    """A database that was not migrated: exit 3, and READY=1 was never said."""
    d = service(migrate=False, wait=False)
    assert d.wait(60) == 3
    assert "READY=1" not in manager.texts()


@pytest.mark.asan
def test_reloading_and_ready_again(service, manager):
    """SIGHUP is answered by RELOADING=1 with the time, then READY=1; a refused file too, for it works on with the old one."""
    d = service()
    manager.wait("READY=1")
    for n, overrides in enumerate(({"scheduler": {"batch_size": 7}}, {"scheduler": {"batch_size": 700}})):
        before, known = time.monotonic_ns() // 1000, len(manager.heard)
        d.write_ini(overrides)
        d.hup()
        said = manager.wait(r"RELOADING=1\nMONOTONIC_USEC=(\d+)", after=known)
        manager.wait("READY=1", after=known)
        assert before <= int(said[1]) <= time.monotonic_ns() // 1000
        assert manager.texts("STATUS=").count("READY=1") == n + 2
    order = [text.split("\n")[0] for text in manager.texts("STATUS=")]
    assert order == ["READY=1", "RELOADING=1", "READY=1", "RELOADING=1", "READY=1"]
    d.wait_log("configuration reloaded")
    d.wait_log("reload refused")


def test_the_status_tells_how_far_it_is(service, manager, db, sandbox):
    """Nothing seeded, months in flight, months done: each as the database has it; nothing is in flight when nothing is, and what
    did not change is not said again."""
    latency(sandbox, AIS, 6000)
    d = service({**FEW, "enrichment": {"enabled": False}})
    manager.wait("STATUS=no months seeded; queue 0")
    d.seed(2024, 2024)
    d.schedule(batch_size=2)
    manager.wait("STATUS=0 of 12 months completed, 2 in flight; queue 0")
    d.wait_months(2)
    queued = db.value("SELECT count(*) FROM enrichment_queue")
    manager.wait(f"STATUS=2 of 12 months completed; queue {queued}")
    db.execute("UPDATE backfill_log SET status = 'failed' WHERE year = 2024 AND month = 1")
    d.post("/api/internal/pause", {"note": "x"})
    manager.wait(f"STATUS=2 of 12 months completed, 1 failed; queue {queued}; paused")
    said = [text for text in manager.texts() if text.startswith("STATUS=")]
    assert not [text for text, following in zip(said, said[1:]) if text == following], said


def test_the_status_when_the_database_goes(service, manager, relay, db):
    """A database that is away is what the status says, not how it was when last seen."""
    way = relay(int(db.server["port"]))
    d = service(start=False, wait=False)
    d.write_ini({"database": {"conninfo": f"{db.conninfo} host=127.0.0.1 port={way.port}"}})
    d.start().wait_ready()
    manager.wait("STATUS=no months seeded; queue 0")
    way.cut()
    manager.wait("STATUS=the database is away")
    way.mend()
    manager.wait("STATUS=no months seeded; queue 0", after=len(manager.heard))
    assert d.stop() == 0


def test_the_watchdog_is_fed_by_the_loop(service, manager):
    """A ping every half of WATCHDOG_USEC as long as the loop turns; none from a process that hangs."""
    d = service(env={"WATCHDOG_USEC": "400000"})
    manager.wait("READY=1")
    wait_until(lambda: sum(t == "WATCHDOG=1" for t in manager.texts()) > 3, 30, "four pings")
    d.send(signal.SIGSTOP)
    time.sleep(0.3)         # what was under way arrives
    known = len(manager.heard)
    time.sleep(1)
    assert len(manager.heard) == known
    d.send(signal.SIGCONT)
    manager.wait("WATCHDOG=1", after=known)


def test_no_watchdog_no_pings(service, manager):
    """Without WATCHDOG_USEC, or with that of another process, nothing ticks for it."""
    d = service(env={"WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"})
    manager.wait("STATUS=.*")
    d.hup()
    manager.wait("RELOADING=1\n.*")
    assert "WATCHDOG=1" not in manager.texts()


@pytest.mark.asan
def test_stopping_asks_for_the_time_it_needs(service, manager, db, sandbox):
    """SIGTERM amid an AI's answer: STOPPING=1 at once, with time for the longest of its waits; the status says what is left."""
    latency(sandbox, AIS, 4000)
    d = service({**FEW, "provider.xai": {"timeout": "77s"}})
    d.seed(2024, 2024)
    d.schedule(batch_size=1)
    wait_row(db, 2024, 12, stage="generating")
    known = len(manager.heard)
    d.term()
    said = manager.wait(r"STOPPING=1\nEXTEND_TIMEOUT_USEC=(\d+)", after=known)
    assert 77_000_000 < int(said[1]) < 120_000_000
    manager.wait("STATUS=draining: 1 months and 0 items of the queue left", after=known)
    assert d.wait(60) == 0


# ---- the unit ----
def systemd_analyze(*args):
    return subprocess.run(["systemd-analyze", "--no-pager", *map(str, args)], capture_output=True, text=True, check=False,
                          timeout=60, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"})


def test_the_units_exposure():
    """systemd's own measure of what the service could reach on its machine."""
    done = systemd_analyze("security", "--offline=yes", UNIT)
    found = re.search(r"Overall exposure level for backfilld.service: ([\d.]+)", done.stdout)
    assert found and float(found[1]) <= EXPOSURE_MAX, done.stdout + done.stderr


def test_the_unit_is_understood(tmp_path):
    """systemd reads every line of it, as a build installs it."""
    text = (BUILD / "conf" / "backfilld.service").read_text(encoding="utf-8")
    here = tmp_path / "backfilld.service"
    here.write_text(re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={binary('backfilld')}", text), encoding="utf-8")
    done = systemd_analyze("verify", "--man=no", here)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_hands_over_what_the_configuration_reads():
    """LoadCredential names every secret that the README's configuration reads, and nothing else."""
    read = re.findall(r"\$\{CREDENTIALS_DIRECTORY\}/(\w+)", (ROOT / "README.md").read_text(encoding="utf-8"))
    loaded = re.findall(r"^LoadCredential=(\w+):/etc/backfilld/secrets/(\w+)$", UNIT.read_text(encoding="utf-8"), re.M)
    assert sorted(loaded) == sorted({(name, name) for name in read})


def filter_of_the_unit():
    """The system calls that the unit lets through, by name."""
    groups = {}
    for line in systemd_analyze("syscall-filter").stdout.splitlines():
        if line.startswith("@"):
            group = groups.setdefault(line.strip(), set())
        elif line.strip() and not line.strip().startswith("#"):
            group.add(line.strip())

    def expand(name):
        return set().union(*(expand(n) if n.startswith("@") else {n} for n in groups[name]))
    allowed = expand("@default")
    for line in re.findall(r"^SystemCallFilter=(.*)$", UNIT.read_text(encoding="utf-8"), re.M):
        names = set().union(*(expand(n) if n.startswith("@") else {n} for n in line.lstrip("~").split()))
        allowed = allowed - names if line.startswith("~") else allowed | names
    return allowed


@pytest.mark.slow
def test_the_daemon_stays_within_the_unit(daemon, db, tmp_path):
    """A life of it, a month included, under strace: no system call that the unit's filter stops, no socket of a family that it
    denies, no memory that can be written and executed, and no file written."""
    trace = tmp_path / "trace"
    d = daemon(FEW, start=False)
    d.start()
    with subprocess.Popen(["strace", "-f", "-qq", "-s", "80", "-o", str(trace), "-p", str(d.pid)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as strace:
        try:
            wait_until(lambda: trace.exists() and trace.stat().st_size, 30, "strace's first line")
            d.wait_ready()
            d.seed(2024, 2024)
            d.schedule(batch_size=1)
            d.wait_months(1)
            d.hup()
            d.wait_log("configuration reloaded")
            assert d.stop() == 0
        finally:
            strace.terminate()
    lines = trace.read_text(encoding="utf-8", errors="replace").splitlines()
    calls = {m[1] for line in lines if (m := re.match(r"\d+ +(\w+)\(", line))}
    assert {"epoll_wait", "sendto", "connect"} <= calls
    assert calls <= filter_of_the_unit()
    families = {m[1] for line in lines if (m := re.search(r" socket\((\w+)", line))}
    assert families <= set(re.search(r"^RestrictAddressFamilies=(.*)$", UNIT.read_text(encoding="utf-8"), re.M)[1].split())
    assert not [line for line in lines if re.search(r" (mmap|mprotect)\(.*PROT_EXEC", line) and
                ("PROT_WRITE" in line or " mprotect(" in line)]
    assert not [line for line in lines if re.search(r" open(at)?\(.*O_(WRONLY|RDWR|CREAT)", line) and "/proc/self/fd/2" not in line]


# ---- the manual pages ----
PAGES = [ROOT / "conf" / "man" / "backfilld.8", ROOT / "conf" / "man" / "provider-sandbox.1",
         BUILD / "conf" / "man" / "backfilld.ini.5", ROOT / "conf" / "man" / "backfillctl.1"]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_a_manual_page_is_well_formed(page):
    """mandoc has no warning about it."""
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", str(page)], capture_output=True, text=True, check=False,
                          timeout=30)
    assert (done.returncode, done.stdout) == (0, "")


def rendered(page):
    """A page as plain text, in one line."""
    text = subprocess.run(["mandoc", "-T", "ascii", "-O", "width=200", str(page)], capture_output=True, text=True, check=True,
                          timeout=30).stdout
    return " ".join(re.sub(r".\x08", "", text).split())


@pytest.mark.parametrize("page,program", [(PAGES[0], "backfilld"), (PAGES[1], "provider-sandbox"), (PAGES[3], "backfillctl")])
def test_a_manual_page_has_what_the_help_has(page, program):
    """Every option and every command of --help is in the program's page."""
    told = subprocess.run([str(binary(program)), "--help"], capture_output=True, text=True, check=True, timeout=30).stdout
    named = set(re.findall(r"--[a-z-]+", told)) | set(re.findall(r"^  ([a-z]{3,}) ", told, re.M))
    assert len(named) > 4
    text = rendered(page)
    assert not [name for name in named if name not in text]


def test_the_configurations_page_has_every_key():
    """Each section and each key of the sample with its default."""
    text = rendered(PAGES[2])
    sample = (ROOT / "conf" / "backfilld.ini").read_text(encoding="utf-8")
    lines = re.findall(r"^(?:;(\w+ =.*)|(\[[\w.]+\]))$", sample, re.M)
    assert len(lines) > 100
    assert not [key or section for key, section in lines if " ".join((key or section).split()) not in text]


# ---- the package ----
@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """(the .deb, its files unpacked, its control files unpacked), made of what is compiled here."""
    out = tmp_path_factory.mktemp("package")
    done = subprocess.run([str(ROOT / "tools" / "package"), "--build", str(BUILD), "--out", str(out)], capture_output=True,
                          text=True, check=False, timeout=300, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr
    deb, = out.glob("backfilld_*.deb")
    for option, folder in (("-x", "files"), ("-e", "control")):
        subprocess.run(["dpkg-deb", option, str(deb), str(out / folder)], check=True, timeout=60)
    return deb, out / "files", out / "control"


@pytest.mark.slow
def test_what_the_package_holds(package):
    """Programs, unit, user, pages and papers where a package has them; the secrets' folder is root's alone."""
    deb, files, _ = package
    held = {f"/{p.relative_to(files)}" for p in files.rglob("*") if not p.is_dir()}
    for wanted in ("/usr/bin/backfilld", "/usr/bin/backfillctl", "/usr/bin/provider-sandbox", "/usr/lib/systemd/system/backfilld.service",
                   "/usr/lib/sysusers.d/backfilld.conf", "/etc/backfilld/backfilld.ini", "/usr/share/man/man8/backfilld.8.gz",
                   "/usr/share/man/man5/backfilld.ini.5.gz", "/usr/share/man/man1/provider-sandbox.1.gz",
                   "/usr/share/man/man1/backfillctl.1.gz", "/usr/share/bash-completion/completions/backfillctl",
                   "/usr/share/backfilld/prometheus-alerts.yml", "/usr/share/backfilld/grafana-dashboard.json",
                   "/usr/share/doc/backfilld/copyright", "/usr/share/doc/backfilld/changelog.gz"):
        assert wanted in held, sorted(held)
    assert not [path for path in held if not path.startswith(("/usr/", "/etc/backfilld/")) or "/local/" in path]
    listed = subprocess.run(["dpkg-deb", "-c", str(deb)], capture_output=True, text=True, check=True, timeout=60).stdout
    assert re.search(r"^drwx------ root/root .* \./etc/backfilld/secrets/$", listed, re.M)
    assert not [line for line in listed.splitlines() if " root/root " not in line or re.match(r".(....w|.......w)", line)]
    unit = (files / "usr/lib/systemd/system/backfilld.service").read_text(encoding="utf-8")
    assert "ExecStart=/usr/bin/backfilld run\n" in unit


@pytest.mark.slow
def test_what_the_package_says_of_itself(package):
    """Its version is the program's, it depends on the libraries it is linked with, its configuration is the operator's to keep."""
    deb, files, control = package
    fields = subprocess.run(["dpkg-deb", "-f", str(deb), "Package", "Version", "Depends"], capture_output=True, text=True, check=True,
                            timeout=60).stdout
    version = subprocess.run([str(files / "usr/bin/backfilld"), "--version"], capture_output=True, text=True, check=True,
                             timeout=30).stdout.split()[1]
    assert re.search(rf"^Package: backfilld\nVersion: {re.escape(version)}\n", fields)
    for library in ("libpq5", "libcurl4", "libevent-2.1-7", "libc-ares2", "ca-certificates", "procps", "tzdata"):
        assert re.search(rf"[ ,]{re.escape(library)}\b", fields), fields
    assert (control / "conffiles").read_text(encoding="ascii") == "/etc/backfilld/backfilld.ini\n"
    for script in ("postinst", "prerm", "postrm"):
        assert os.access(control / script, os.X_OK)
        text = (control / script).read_text(encoding="ascii")
        assert text.startswith("#!/bin/sh\n") and "\nset -e\n" in text
        assert not re.search(r"systemctl.* (start|restart|try-restart|enable)\b", text)
        subprocess.run(["sh", "-n", str(control / script)], check=True, timeout=30)


@pytest.mark.slow
def test_the_packages_configuration_fits_its_unit(package, tmp_path):
    """With the secrets that the unit hands over it is fine as it is, and it is the sample but for them and the role."""
    _, files, _ = package
    ini = files / "etc/backfilld/backfilld.ini"
    for name in ("webhook", "gemini", "xai", "isbndb"):
        (tmp_path / name).write_text("0" * 32 + "\n", encoding="ascii")
        (tmp_path / name).chmod(0o600)
    done = subprocess.run([str(files / "usr/bin/backfilld"), "-c", str(ini), "check"], capture_output=True, text=True, check=False,
                          timeout=30, env={"CREDENTIALS_DIRECTORY": str(tmp_path), "PATH": "/usr/bin:/bin"})
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^conninfo = .* user=backfilld$", ini.read_text(encoding="utf-8"), re.M)
    sample = (ROOT / "conf" / "backfilld.ini").read_text(encoding="utf-8").splitlines()
    assert len([1 for a, b in zip(sample, ini.read_text(encoding="utf-8").splitlines()) if a != b]) == 5
