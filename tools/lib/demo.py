"""What tools/demo does after the packages are there; see its --help."""
import argparse
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import stand
import throwaway_pg
from stand import ROOT, StandError

BUILD = ROOT / (os.environ.get("BF_BUILD") or "build")
LAST_YEAR = 2024            # the newest month is its December
MONTHS_MAX = 12 * (LAST_YEAR - 1900 + 1)
PORT = 8787                 # the product's own; another one is taken when it is in use
CLAIM_MAX = 50              # months one schedule-backfill call may claim
REFRESH_S = 0.5
LINE_EVERY_S = 3.0          # where the output is no terminal
# No month may take longer than this without anything moving; then the demo gives up and says so.
STALLED_S = 300
# Items of the queue that wait for a later time (a retry's backoff, a quota) get this long to become due.
WAITING_S = 90
FAILED_SHARE_MAX = 0.01     # of the queue's items; more of them fail the demo


class Demo:
    """All that the demo started, newest last, so that it can be stopped in the opposite order."""

    def __init__(self, options):
        self.options = options
        self.tty = sys.stdout.isatty()
        self.folder = None
        self.started = []
        self.cluster = self.sandbox = self.daemon = self.secret_file = None
        self.secret = secrets.token_hex(16)
        self.began = time.monotonic()

    def say(self, text):
        print(f"[{time.monotonic() - self.began:6.1f} s] {text}", flush=True)

    # ---- start and stop ----

    def make_folder(self):
        """A folder for the database and the logs: the one to keep, or a temporary one."""
        if self.options.keep is None:
            self.folder = Path(tempfile.mkdtemp(prefix="backfill-demo-"))
            self.folder.chmod(0o755)    # the server's user has to get through it
            return
        self.folder = Path(self.options.keep).resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        if any(self.folder.iterdir()):
            raise StandError(f"{self.folder} is not empty; --keep wants a new or empty folder")

    def build(self):
        """Compiles the programs the demo needs into build/ ($BF_BUILD); the output appears only when that fails."""
        folder = BUILD
        steps = [["meson", "compile", "-C", str(folder), "backfilld", "backfillctl", "provider-sandbox"]]
        if not (folder / "build.ninja").exists():
            steps.insert(0, ["meson", "setup", str(folder)])
        env = dict(os.environ, LC_ALL="C.UTF-8")
        for argv in steps:
            done = subprocess.run(argv, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, check=False)
            if done.returncode != 0:
                raise StandError(f"{' '.join(argv)} failed:\n{done.stdout[-6000:]}")

    def start(self):
        """PostgreSQL, sandbox, migrations, daemon, in this order."""
        self.make_folder()
        self.say("building (the first time takes a minute)")
        self.build()
        self.say("starting a throw-away PostgreSQL")
        self.cluster = throwaway_pg.Cluster(self.folder / "pg")
        self.cluster.start()
        self.started.append(("PostgreSQL", self.cluster.stop))
        self.cluster.create_database("openlibrary")
        self.say("starting the provider sandbox")
        self.sandbox = stand.Sandbox(self.folder, catalogue=self.options.catalogue, build=BUILD,
                                     extra=["--latency", "demo"])
        self.started.append(("provider-sandbox", self.sandbox.stop))
        self.say("migrating the database and starting backfilld")
        listen = f"127.0.0.1:{free_listen_port()}"
        ini = self.write_ini(listen)
        env = stand.daemon_env(self.secret)
        log = self.folder / "backfilld.log"
        stand.migrate(ini, log, env, build=BUILD)
        self.daemon = stand.Daemon(ini, log, listen, self.secret, env, build=BUILD)
        self.started.append(("backfilld", self.daemon.stop))
        self.daemon.wait_ready()
        self.secret_file = self.make_secret_file()

    def write_ini(self, listen):
        """The demo's configuration: the sample's values where it matters, quick where only waiting would be shown."""
        months = self.options.months
        few = months <= 24
        providers = stand.sandbox_providers(self.sandbox.url, rate="50/s" if few else "150/s", concurrency=20 if few else 50)
        for name in ("gemini", "xai"):
            providers[f"provider.{name}"]["rate"] = "20/s"
        # the plan's 15,000 units, of which 2,000 stay untouched, carry some 75 months a day; more months, a bigger plan
        providers["provider.isbndb"].update(daily_limit=max(15000, 200 * months), reserve=2000)
        sections = {
            "daemon": {"instance": "demo", "contact": "demo@localhost"},
            "database": {"conninfo": self.cluster.conninfo("openlibrary")},
            "admin": {"listen": listen, "secret_env": stand.SECRET_ENV},
            # no timer: the demo itself asks for exactly the months it was told
            "scheduler": {"schedule": "", "catch_up": "none", "concurrent_months": 4 if few else 20,
                          "year_start": self.first_year(), "year_end": LAST_YEAR, "retry_base": "5s", "retry_cap": "30s"},
            "enrichment": {"poll": "2s"},
            "enhancement": {"schedule": ""},
            **providers,
        }
        path = self.folder / "backfilld.ini"
        path.write_text("; written by tools/demo\n" + stand.render_ini(sections), encoding="utf-8")
        return path

    def stop(self):
        """Ends what was started, newest first; removes the temporary folder."""
        for name, stop in reversed(self.started):
            try:
                stop()
            except Exception as problem:        # one that will not end must not keep the others running
                print(f"demo: {name}: {problem}", file=sys.stderr)
        self.started.clear()
        if self.folder is None:
            return
        if self.options.keep is None:
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            print(f"kept: {self.folder} (database in pg/, backfilld.ini, backfilld.log, sandbox.log, secret)")

    # ---- the backfill ----

    def first_year(self):
        return LAST_YEAR - (self.options.months - 1) // 12

    def ask(self, method, path, body=None):
        """One call of the admin interface that has to succeed."""
        answer = self.daemon.request(method, path, body)
        if answer.status != 200:
            raise StandError(f"{method} {path}: {answer.status} {answer.text[:500]}")
        return answer.json

    def claim(self):
        """Seeds the years and claims exactly the newest N months."""
        years = {"start": self.first_year(), "end": LAST_YEAR}
        seeded = self.ask("POST", "/api/internal/seed-backfill-queue", {"year_start": years["start"], "year_end": years["end"]})
        self.say(seeded["message"])
        left = self.options.months
        while left > 0:
            answer = self.ask("POST", "/api/internal/schedule-backfill",
                              {"batch_size": min(left, CLAIM_MAX), "year_range": years})
            if answer["months_selected"] == 0:
                raise StandError(f"nothing was selected with {left} months to go: {answer}")
            left -= answer["months_selected"]
        self.say(f"{self.options.months} months claimed, newest first")

    def look(self):
        """The statistics now; StandError when a program ended."""
        if not self.daemon.running or not self.sandbox.running:
            who = "backfilld" if not self.daemon.running else "provider-sandbox"
            log = self.daemon if who == "backfilld" else self.sandbox
            raise StandError(f"{who} ended:\n{log.log_tail()}")
        return self.ask("GET", "/api/internal/backfill-stats")

    def watch(self, is_done, show, stalled_s=lambda stats: STALLED_S):
        """Shows the progress until is_done(stats), or until nothing moved for stalled_s(stats); the last statistics and whether
        it was done."""
        started = moved = time.monotonic()
        last_line, last_state = 0.0, None
        while True:
            stats = self.look()
            now = time.monotonic()
            state = {k: v for k, v in stats["enrichment"].items() if k != "oldest_age_s"}, stats["by_status"], stats["progress"]
            if state != last_state:
                moved, last_state = now, state
            done = is_done(stats)
            if self.tty or done or now - last_line >= LINE_EVERY_S:
                last_line = now
                self.line(show(stats, now - started))
            if done or now - moved > stalled_s(stats):
                if self.tty:
                    print()
                return stats, done
            time.sleep(REFRESH_S)

    def watch_months(self):
        """Until every month has ended."""
        stats, done = self.watch(lambda stats: self.ended(stats) >= self.options.months, self.months_line)
        if not done:
            raise StandError(f"nothing moved for {STALLED_S} s: {stats['by_status']}")
        return stats

    def watch_queue(self):
        """Until every item of the enrichment queue has ended; the last statistics and whether it is so."""
        self.say("the months are done; enrichment goes on until its queue is empty")
        before = self.look()["enrichment"]["completed"]

        def left(stats):
            queue = stats["enrichment"]
            return queue["pending"] + queue["processing"]

        def stalled_s(stats):
            queue = stats["enrichment"]
            only_waiting = queue["pending"] <= queue["waiting"] and queue["processing"] == 0
            return WAITING_S if only_waiting else STALLED_S
        return self.watch(lambda stats: left(stats) == 0, lambda stats, elapsed: self.queue_line(stats, elapsed, before), stalled_s)

    @staticmethod
    def ended(stats):
        return stats["by_status"]["completed"] + stats["by_status"]["failed"]

    def line(self, text):
        """One line of progress; on a terminal over the one before."""
        if self.tty:
            width = shutil.get_terminal_size().columns - 1
            print("\r" + text[:width].ljust(width), end="", flush=True)
        else:
            print(text, flush=True)

    def months_line(self, stats, elapsed):
        by, progress, queue = stats["by_status"], stats["progress"], stats["enrichment"]
        quota = self.daemon.get("/api/quota/status", secret=None).json.get("data", {})
        n = self.options.months
        filled = 20 * self.ended(stats) // n
        return (f"[{'#' * filled}{'.' * (20 - filled)}] {by['completed']}/{n} done, {by['processing']} in work, "
                f"{by['retry']} retry, {by['failed']} failed | {progress['total_books_generated']} books, "
                f"{progress['total_isbns_resolved']} ISBNs ({progress['overall_resolution_rate']:.1f} %), "
                f"{progress['total_books_generated'] / max(elapsed, 1):.1f} books/s | {queue['completed']} editions | "
                f"ISBNdb {quota.get('used', 0)}/{quota.get('safety_limit') or '-'} | {elapsed:.0f} s")

    @staticmethod
    def queue_line(stats, elapsed, before):
        queue = stats["enrichment"]
        ended = queue["completed"] + queue["failed"]
        left = queue["pending"] + queue["processing"]
        filled = 20 * ended // max(ended + left, 1)
        return (f"[{'#' * filled}{'.' * (20 - filled)}] enrichment: {left} in the queue ({queue['processing']} in work, "
                f"{queue['waiting']} waiting), {queue['completed']} editions, {queue['failed']} failed, "
                f"{(queue['completed'] - before) / max(elapsed, 1):.1f} editions/s | {elapsed:.0f} s")

    def measured(self):
        """What tools/measure says of the catalogue, as a dict; None when it has nothing to say."""
        done = subprocess.run([sys.executable, "-B", str(ROOT / "tools" / "measure"), "--json", *self.measure_options()],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode not in (0, 1):
            print(done.stderr.strip(), file=sys.stderr)
            return None
        return json.loads(done.stdout)["enrichment"]

    def measure_options(self):
        return ["--sandbox", self.sandbox.url, "--conninfo", self.cluster.conninfo("openlibrary")]

    def summary(self, stats):
        """What came of it, as a table; with a catalogue also how much of it is right."""
        by, progress = stats["by_status"], stats["progress"]
        counters = self.sandbox.counters()
        seconds = time.monotonic() - self.began
        rows = [("months completed", by["completed"]), ("months failed", by["failed"]),
                ("books", progress["total_books_generated"]), ("ISBNs", progress["total_isbns_resolved"]),
                ("resolution rate", f"{progress['overall_resolution_rate']:.2f} %"),
                ("queued to enrich", progress["total_isbns_queued"])]
        enriched = self.measured()
        if enriched:
            counts = enriched["counts"]
            rows += [("editions", counts["editions"]), ("works", counts["works"]), ("authors", counts["authors"]),
                     ("promoted works", counts["promoted_works"]), ("right work", f"{enriched['right_work']:.2f} %"),
                     ("units per edition", f"{enriched['units_per_edition']:.3f}")]
        rows += [("seconds", f"{seconds:.1f}"), ("memory, peak", f"{self.daemon.rss_peak / 1024:.1f} MiB"),
                 ("CPU", f"{self.daemon.cpu_s:.2f} s")]
        print("\n" + "\n".join(f"{name:<22}{value:>12}" for name, value in rows))
        print(f"\n{'provider':<22}{'requests':>12}{'units':>12}{'peak/s':>12}")
        providers = counters.get("providers", counters)
        for name in stand.PROVIDERS:
            c = providers.get(name, {})
            print(f"{name:<22}{c.get('requests', 0):>12}{c.get('units', 0):>12}{c.get('peak_per_second', 0):>12}")
        sys.stdout.flush()
        if self.options.catalogue:
            print()
            sys.stdout.flush()
            subprocess.run([sys.executable, "-B", str(ROOT / "tools" / "measure"), *self.measure_options()],
                           stdin=subprocess.DEVNULL, check=False)
        return enriched

    def verdict(self, stats, enriched):
        """What keeps the demo from being a success, a sentence each."""
        by, queue, n = stats["by_status"], stats["enrichment"], self.options.months
        if by["completed"] < n:
            yield f"only {by['completed']} of {n} months completed"
        if queue["pending"] or queue["processing"]:
            yield f"{queue['pending'] + queue['processing']} items are left in the queue ({queue['waiting']} wait for a later time)"
        failed, ended = queue["failed"], queue["completed"] + queue["failed"]
        for reason, count in (enriched or {}).get("failed", {}).items():
            print(f"demo: {count} not enriched: {reason}", file=sys.stderr)
        if failed > FAILED_SHARE_MAX * ended:
            yield f"{failed} of {ended} items failed"

    def make_secret_file(self):
        """The secret where backfillctl takes it from: for its owner's eyes, and on no command line."""
        path = self.folder / "secret"
        path.touch(mode=0o600)
        path.write_text(self.secret + "\n", encoding="ascii")
        return path

    def address(self):
        ctl = stand.binary("backfillctl", BUILD)
        ctl = ctl.relative_to(Path.cwd()) if ctl.is_relative_to(Path.cwd()) else ctl
        print(f"\n    dashboard  {self.daemon.url}/\n    secret     {self.secret}\n"
              f"    terminal   {ctl} --url {self.daemon.url} --secret-file {self.secret_file} watch\n", flush=True)

    def run(self):
        """The whole demo; its exit status."""
        self.start()
        self.address()
        self.claim()
        self.watch_months()
        stats, _ = self.watch_queue()
        troubles = list(self.verdict(stats, self.summary(stats)))
        for trouble in troubles:
            print(f"demo: {trouble}", file=sys.stderr)
        if not self.options.exit:
            self.address()
            print("Ctrl-C stops everything.", flush=True)
            while self.daemon.running:
                time.sleep(0.5)
            raise StandError(f"backfilld ended:\n{self.daemon.log_tail()}")
        return 1 if troubles else 0


def free_listen_port():
    """The product's usual port when nobody has it, else any."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", PORT))
            return PORT
        except OSError:
            return throwaway_pg.free_port()


def arguments(argv):
    p = argparse.ArgumentParser(
        prog="tools/demo", description="Runs the whole product on this machine, with simulated providers and a throw-away "
        "database, and shows the backfill at work. Nothing leaves the machine; everything it starts is stopped again.")
    p.add_argument("--months", type=int, default=24, metavar="N",
                   help=f"how many months, newest first up to {LAST_YEAR}-12 (default 24, about a minute)")
    p.add_argument("--catalogue", metavar="FILE", help="a TSV of books instead of the built-in one; results are measured")
    p.add_argument("--exit", action="store_true",
                   help="leave when all is done; status 0 when every month completed and the queue is empty")
    p.add_argument("--keep", metavar="DIR", help="keep database, configuration and logs in this new folder")
    options = p.parse_args(argv)
    if not 1 <= options.months <= MONTHS_MAX:
        p.error(f"--months takes 1 to {MONTHS_MAX}")
    if options.catalogue and not Path(options.catalogue).is_file():
        p.error(f"{options.catalogue}: no such file")
    return options


def main(argv):
    demo = Demo(arguments(argv))
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, lambda n, _: sys.exit(128 + n))
    status = 1
    try:
        status = demo.run()
    except KeyboardInterrupt:
        # Ctrl-C is how a demo without --exit ends
        print("\nstopping", flush=True)
        status = 130 if demo.options.exit else 0
    except (StandError, throwaway_pg.PgError, TimeoutError, OSError) as problem:
        print(f"\ndemo: {problem}", file=sys.stderr)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)    # a second Ctrl-C must not leave anything behind
        demo.stop()
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
