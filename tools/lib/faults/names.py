"""Campaign: names that do not resolve, or elsewhere, and certificates that are not the provider's; in a network of its own.

The daemon alone sees another resolv.conf and another list of trusted authorities, both bound over the machine's in a mount
namespace of its own; so it talks to https://<name>:<port>, as in earnest. What a name does is its first label.
"""
import contextlib
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

from stand import wait_until
from steps import AIS, SEARCHERS

from faults import hostile
from faults.hostile_campaigns import LAST, Watch, judge_payments, judge_secrets, peak, reopen, seed_newest, stand_before
from faults.run import Skipped
from faults.servers import own_network

TRUSTED = Path("/etc/ssl/certs/ca-certificates.crt")
HERE, MOVED, NOBODY, NOWHERE = "127.0.0.1", "127.0.0.9", "127.0.0.77", "203.0.113.9"
NXDOMAIN, SERVFAIL = 3, 2
DOMAIN = "books.test"


class Names:
    """A name server on port 53, UDP and TCP. A name's first label says how it is sick, until all are well."""

    def __init__(self):
        self.well = False
        self.addresses = [HERE]
        self.asked = []
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind((HERE, 53))
        self._tcp = socket.create_server((HERE, 53))
        for serve in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=serve, daemon=True).start()

    def close(self):
        for s in (self._udp, self._tcp):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()

    def _serve_udp(self):
        with contextlib.suppress(OSError, IndexError):
            while True:
                question, sender = self._udp.recvfrom(4096)
                for answer in self._answer(question, udp=True):
                    self._udp.sendto(answer, sender)

    def _serve_tcp(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._tcp.accept()
                with connection, contextlib.suppress(OSError, IndexError, struct.error):
                    connection.settimeout(5)
                    length, = struct.unpack("!H", connection.recv(2))
                    for answer in self._answer(connection.recv(length), udp=False):
                        connection.sendall(struct.pack("!H", len(answer)) + answer)

    def _answer(self, question, udp):
        """What goes back, if anything."""
        number, labels, at = question[:2], [], 12
        while question[at]:
            labels.append(question[at + 1:at + 1 + question[at]].decode())
            at += question[at] + 1
        asked, kind = question[12:at + 5], struct.unpack("!H", question[at + 1:at + 3])[0]
        sick = "" if self.well else labels[0].partition("-")[0]
        self.asked.append(".".join(labels))

        def message(flags, records=b"", n=0):
            return number + struct.pack("!HHHHH", 0x8180 | flags, 1, n, 0, 0) + asked + records
        if sick == "hang":
            return []
        if sick in ("nxdomain", "servfail", "empty"):
            return [message({"nxdomain": NXDOMAIN, "servfail": SERVFAIL, "empty": 0}[sick])]
        if sick == "garbage":
            return [number + b"\xff" * 60, number + asked, b"",
                    number + struct.pack("!HHHHH", 0x8180, 1, 60000, 9, 9) + b"\xc0\x0c" * 200]
        if sick == "loop":
            return [message(0, b"\xc0\x0c" + struct.pack("!HHIH", 5, 1, 1, 2) + b"\xc0\x0c", 1)]
        if sick == "truncated" and udp:
            return [message(0x0200)]
        addresses = {"nowhere": [NOWHERE], "several": [NOBODY, HERE]}.get(sick, self.addresses) if kind == 1 else []
        return [message(0, b"".join(b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 1, 4) + socket.inet_aton(a) for a in addresses),
                        len(addresses))]


def openssl(folder, *args):
    done = subprocess.run(["openssl", *map(str, args)], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Skipped(f"openssl {args[0]}: {done.stderr.strip()[-200:]}")


def certificates(folder):
    """{kind: (certificate, key)} and the authority's own: one good, one expired, one for another name, one of its own making."""
    folder.mkdir()
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(folder, "req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=faults", "-days", 2)
    openssl(folder, "req", "-x509", *curve, "-keyout", "selfsigned.key", "-out", "selfsigned.pem", "-subj", f"/CN=*.{DOMAIN}", "-days",
            2, "-addext", f"subjectAltName=DNS:*.{DOMAIN}")
    for kind, name, days in (("good", f"*.{DOMAIN}", 2), ("expired", f"*.{DOMAIN}", -1), ("otherhost", "books.example", 2)):
        (folder / "ext").write_text(f"subjectAltName=DNS:{name}", encoding="ascii")
        openssl(folder, "req", *curve, "-keyout", f"{kind}.key", "-out", f"{kind}.csr", "-subj", f"/CN={name}")
        openssl(folder, "x509", "-req", "-in", f"{kind}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", days,
                "-extfile", "ext", "-out", f"{kind}.pem")
    return {kind: hostile.tls_context(folder / f"{kind}.pem", folder / f"{kind}.key")
            for kind in ("good", "expired", "otherhost", "selfsigned")}


SICK_NAMES = ("hang", "nxdomain", "servfail", "empty", "garbage", "loop", "nowhere")
SICK_SERVERS = ("selfsigned", "otherhost", "expired")
WHY = {"nowhere": ("connect", "reach"), "hang": ("resolved",), **{kind: ("certificate",) for kind in SICK_SERVERS}}


def url(label, server):
    return f"https://{label}.{DOMAIN}:{server.port}"


def reload(d, overrides):
    times = d.log.count("configuration reloaded")
    d.write_ini(overrides)
    d.hup()
    wait_until(lambda: d.log.count("configuration reloaded") > times, 20, "the reload")


def sick_month(run, d, dns, servers, i, kinds):
    """A month whose two AIs have a sick name or certificate each: it says why; well again, it is completed."""
    year, month = LAST[0] - i // 12, LAST[1] - i % 12
    label = {k: f"{k}-{i}" for k in kinds}
    where = {k: servers.get(k, servers["good"]) for k in kinds}
    dns.well = False
    for k in kinds:
        where[k].context = servers["contexts"].get(k, servers["contexts"]["good"])
    seen = {k: len(servers[k].seen) for k in kinds if k in servers}
    reload(d, {f"provider.{ai}": {"base_url": f"{url(label[k], where[k])}/{ai}"} for ai, k in zip(AIS, kinds)})
    began = time.time()
    d.schedule(batch_size=1)
    try:
        row = wait_until(lambda: (r := run.db.month(year, month))["status"] in ("retry", "completed") and r, 60, f"{kinds} tell")
    except TimeoutError as late:
        run.broken.append(str(late))
        row = run.db.month(year, month)
    said = (row["error_message"] or "").partition("xai: ")
    run.fault(" and ".join(kinds), began, time.time(), costly=False)
    for k, text in zip(kinds, (said[0], said[2])):
        if not any(word in text.lower() for word in WHY.get(k, ("looking up", "resolved"))):
            run.broken.append(f"{k}: the month says {text!r}")
        if k in seen and len(servers[k].seen) > seen[k]:
            run.broken.append(f"{k}: a request was sent to it")
        if k in seen and not servers[k].handshakes:
            run.broken.append(f"{k}: nobody came: nothing was proven")
    dns.well = True
    for k in kinds:
        where[k].context = servers["contexts"]["good"]
    reopen(run, d)
    wait_until(lambda: run.db.month(year, month)["status"] == "completed", 90, f"{kinds} are well again and the month goes on")


def moved_month(run, d, dns, servers, i):
    """Another name for all: the first address is dead, the next answers; then it moves and the old one is gone."""
    good = servers["good"]
    dns.well = False
    reload(d, {f"provider.{p}": {"base_url": f"{url(label, good)}/{p}"}
               for label, providers in (("several", AIS), ("truncated", SEARCHERS)) for p in providers})
    began = time.time()
    for step in range(2):
        year, month = LAST[0] - (i + step) // 12, LAST[1] - (i + step) % 12
        if step:
            dns.well, dns.addresses = True, [MOVED]
            good.close()
            servers["moved"] = hostile.Server(run.sandbox.url, servers["contexts"]["good"], MOVED, good.port)
            run.closing(servers["moved"].close)
            time.sleep(5.5)                 # an answer is kept for five seconds at least
        d.schedule(batch_size=1)
        wait_until(lambda: run.db.month(year, month)["status"] == "completed", 60, f"the name has {('several addresses', 'moved')[step]}")
    run.fault("several addresses, the first dead; then it moved", began, time.time(), costly=False)
    if not servers["moved"].seen:
        run.broken.append("nobody came to the new address: nothing was proven")


def names(run):
    """names that hang, fail, loop, move; certificates that are self-made, expired or another's: https in a network of its own"""
    own_network(run)
    run.open()
    run.sandbox.control({"invented": 0, "providers": {p: {"latency_ms": [1, 5]} for p in (*AIS, *SEARCHERS)}})
    run.attempts_may_count = True
    run.payments = judge_payments
    contexts = certificates(run.folder / "certificates")
    servers = {"contexts": contexts, **{k: hostile.Server(run.sandbox.url, contexts["good"]) for k in ("good", *SICK_SERVERS)}}
    dns = Names()
    run.closing(dns.close)
    for server in (servers[k] for k in ("good", *SICK_SERVERS)):
        server.url = url("plain", server)
        run.closing(server.close)
    (run.folder / "resolv.conf").write_text(f"nameserver {HERE}\n", encoding="ascii")
    (run.folder / "trusted.pem").write_bytes((run.folder / "certificates" / "ca.pem").read_bytes())
    kinds = [("hang", "otherhost")] if run.short else [
        ("hang", "selfsigned"), ("nxdomain", "otherhost"), ("servfail", "expired"), ("empty", "garbage"), ("loop", "nowhere"),
        ("selfsigned", "hang"), ("expired", "loop")]
    d = run.daemon(stand_before(run, servers["good"]), start=False)
    d.wrap = ["unshare", "--mount", "sh", "-c", f"mount --bind {run.folder}/resolv.conf /etc/resolv.conf &&"
              f" mount --bind {run.folder}/trusted.pem {TRUSTED} && exec \"$@\"", "sh"]
    run.start(d)
    d.wait_ready()
    seed_newest(run, len(kinds) + (0 if run.short else 2))
    watch = Watch(run, d)
    for i, pair in enumerate(kinds):
        sick_month(run, d, dns, servers, i, pair)
    if not run.short:
        moved_month(run, d, dns, servers, len(kinds))
    run.note(f"/healthz asked {watch.asked} times: longest answer {watch.longest:.2f} s, {watch.missing} missing; "
             f"{len(dns.asked)} names asked for")
    peak(run, d)
    judge_secrets(run, d)
    run.claim_all_the_time()


CAMPAIGNS = {"names": names}
