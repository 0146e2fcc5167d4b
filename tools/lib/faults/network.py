"""Hosts that are network namespaces, and the switch between them. Nothing of the machine's own network is touched: the
namespaces have no names, no card leads out of them, and they are gone with the last process in them.

This process is a host too, the operator, so that it can talk to all of them. What is started inside `with host:` lives there.
"""
import ctypes
import fcntl
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
from pathlib import Path

from throwaway_pg import end_with_parent

from faults.run import Skipped

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000
TUN = "/dev/net/tun"
NET = "10.99.0."
CARD = "eth0"

_libc = ctypes.CDLL(None, use_errno=True)


def _enter(namespace):
    if _libc.setns(namespace, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def _here():
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


class Host:
    """A namespace with one card."""

    def __init__(self, name, address):
        self.name = name
        self.address = address
        before = _here()
        try:
            if _libc.unshare(CLONE_NEWNET) != 0:
                raise Skipped(f"no network namespaces: {os.strerror(ctypes.get_errno())}")
            self.namespace = _here()
            self.card = os.open(TUN, os.O_RDWR | os.O_CLOEXEC)
            fcntl.ioctl(self.card, TUNSETIFF, struct.pack("16sH22s", CARD.encode(), IFF_TUN | IFF_NO_PI, b""))
            for words in (f"link set lo up|addr add {address}/24 dev {CARD}|link set {CARD} up").split("|"):
                subprocess.run(["ip", *words.split()], check=True)
        finally:
            _enter(before)
            os.close(before)
        self._before = []

    def __enter__(self):
        self._before.append(_here())
        _enter(self.namespace)
        return self

    def __exit__(self, *_):
        before = self._before.pop()
        _enter(before)
        os.close(before)


class Network:
    """Named hosts; this process is the operator among them until the run is closed."""

    def __init__(self, run, names):
        if os.geteuid() != 0 or not shutil.which("ip"):
            raise Skipped("network namespaces need root and ip")
        if not os.access(TUN, os.R_OK | os.W_OK):
            raise Skipped(f"there is no {TUN}")
        self.hosts = {}
        cards = []
        try:
            for n, name in enumerate(("operator", *names), 1):
                host = self.hosts[name] = Host(name, f"{NET}{n}")
                run.closing(lambda h=host: os.close(h.namespace))
                cards.append(host.card)
            self._start(run, cards)
        except (OSError, subprocess.CalledProcessError) as problem:
            raise Skipped(f"no network namespaces: {problem}") from problem
        finally:
            for card in cards:
                os.close(card)
        run.closing(self._end)
        self.hosts["operator"].__enter__()
        run.closing(lambda: self.hosts["operator"].__exit__())

    def _start(self, run, cards):
        """The switch, which has the cards from now on."""
        self.process = subprocess.Popen(
            [sys.executable, "-B", str(Path(__file__).with_name("switch.py")), str(run.dice.random()),
             *(f"{h.address}={h.card}" for h in self.hosts.values())],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=cards, start_new_session=True,
            preexec_fn=end_with_parent(signal.SIGTERM))

    def __getitem__(self, name):
        return self.hosts[name]

    def _end(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()

    def _order(self, **order):
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def one_way(self, a, b, loss=1.0, delay_ms=0.0, jitter_ms=0.0):
        """What a sends to b: lost, or late."""
        way = {"from": self[a].address, "to": self[b].address}
        self._order(**way, loss=loss, delay_ms=delay_ms, jitter_ms=jitter_ms)

    def both_ways(self, a, b, **rule):
        """As one_way, in both directions."""
        self.one_way(a, b, **rule)
        self.one_way(b, a, **rule)

    def mend(self, a=None, b=None):
        """As at first, between two or everywhere."""
        if a is None:
            self._order(clear=True)
        else:
            self.both_ways(a, b, loss=0.0)

    def counts(self):
        """({(a, b): carried}, {(a, b): dropped}) by the hosts' names, since the beginning."""
        names = {h.address: name for name, h in self.hosts.items()}

        def named(ways):
            return {tuple(names[x] for x in way.split(">")): n for way, n in ways.items()}
        found = self._order(counts=True)
        return named(found["carried"]), named(found["dropped"])
