"""Who attacks the admin interface: a client that sends whatever bytes it is given, many at a time, and processes that hold,
flood and stall connections until they are stopped.

The processes come after the daemon: they play other machines, and what they take of this one's processors is not its doing.
"""
import contextlib
import errno
import multiprocessing
import os
import random
import re
import resource
import selectors
import signal
import socket
import struct
import threading
import time

from throwaway_pg import end_with_parent

RESET = struct.pack("ii", 1, 0)
# below the routes a refusal repeats the version it was asked in
STATUS = re.compile(rb"HTTP/(?:1\.[01] ([1-5]\d\d)|-?\d{1,3}\.-?\d{1,3} (400|413|501)) [^\r\n]*\r\n")
CONTEXT = multiprocessing.get_context("fork")


# ---- answers ----

def parse(data, no_bodies=False):
    """([(status, headers, body)], what is left). no_bodies: the request may have been a HEAD, whose answer names a length and
    has no byte. A stream of events is its head. None for the list when the bytes are no answers."""
    found = []
    while data:
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return (found, data) if data[:5] == b"HTTP/"[:len(data)] else (None, data)
        line = STATUS.match(data)
        if line is None:
            return None, data
        status, headers = int(line[1] or line[2]), {}
        for one in data[line.end():end + 2].split(b"\r\n")[:-1]:
            name, colon, value = one.partition(b":")
            if not colon or not re.fullmatch(rb"[!#-'*+.0-9A-Z^-z|~-]+", name):
                return None, data
            headers[name.decode().lower()] = value.strip().decode("latin-1")
        rest = data[end + 4:]
        if status < 200:
            data = rest
            continue
        if "content-length" not in headers and headers.get("connection") == "close":
            headers["content-length"] = str(len(rest))      # to the end of the connection
        length = headers.get("content-length", "0")
        if not length.isdigit():
            return None, data
        length = int(length)
        if status == 304 or (no_bodies and (not rest or rest.startswith(b"HTTP/1."))):
            length = 0
        if headers.get("content-type") == "text/event-stream":
            return [*found, (status, headers, rest)], b""
        if len(rest) < length:
            return found, data
        found.append((status, headers, rest[:length]))
        data = rest[length:]
    return found, b""


class Talk:
    """One connection's exchange, as far as it went."""

    def __init__(self, index, payload, address):
        self.index, self.payload, self.data = index, payload, b""
        self.sent, self.closed, self.reset = 0, False, False
        self.began = self.last = time.monotonic()
        self.sock = socket.socket()
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        if address:
            self.sock.bind((address, 0))

    @property
    def answers(self):
        return parse(self.data, b"HEAD" in self.payload)

    def step(self, events):
        """Sends and takes what can be."""
        try:
            if events & selectors.EVENT_WRITE and self.sent < len(self.payload):
                self.sent += self.sock.send(self.payload[self.sent:self.sent + 65536])
                self.last = time.monotonic()
            if events & selectors.EVENT_READ:
                chunk = self.sock.recv(262144)
                self.closed = not chunk
                self.data += chunk
                self.last = time.monotonic()
        except BlockingIOError:
            pass
        except OSError as problem:
            self.closed = True
            self.reset = problem.errno in (errno.ECONNRESET, errno.EPIPE)

    def over(self, now, quiet_s):
        """Whether nothing more is expected."""
        if self.closed:
            return True
        quiet = now - self.last
        if self.sent == len(self.payload) and self.data and quiet > 0.015:
            found, rest = self.answers
            if found is None or (found and not rest):
                return True
        return quiet > quiet_s


def converse(port, payloads, at_once=96, quiet_s=0.4, addresses=("127.0.0.1",)):
    """Sends each payload on a connection of its own, many at a time; yields the Talks as they end. A payload without an answer
    for quiet_s is left alone."""
    selector, open_ones = selectors.DefaultSelector(), set()
    source = enumerate(payloads)
    more = True
    while more or open_ones:
        while more and len(open_ones) < at_once:
            index, payload = next(source, (None, None))
            if index is None:
                more = False
                break
            talk = Talk(index, payload, addresses[index % len(addresses)])
            talk.sock.connect_ex(("127.0.0.1", port))
            selector.register(talk.sock, selectors.EVENT_READ | selectors.EVENT_WRITE, talk)
            open_ones.add(talk)
        for key, events in selector.select(0.02):
            talk = key.data
            talk.step(events)
            if talk.sent == len(talk.payload) and key.events & selectors.EVENT_WRITE and not talk.closed:
                selector.modify(talk.sock, selectors.EVENT_READ, talk)
        now = time.monotonic()
        for talk in [t for t in open_ones if t.over(now, quiet_s)]:
            selector.unregister(talk.sock)
            talk.sock.close()
            open_ones.discard(talk)
            yield talk
    selector.close()


def ask(port, payload, timeout=5.0, address="127.0.0.1"):
    """One exchange: its Talk, ended by the server, by a whole answer or by the timeout."""
    return next(converse(port, [payload], at_once=1, quiet_s=timeout, addresses=(address,)))


# ---- processes ----

def weigh(pid, nice):
    """Sets a process's priority; whether it could."""
    try:
        os.setpriority(os.PRIO_PROCESS, pid, nice)
        return True
    except OSError:
        return False


class Attacker:
    """A process of low priority that does something until it is stopped; counts are its own figures, read by name."""

    def __init__(self, work, *args, names=(), nice=19):
        self.names = names
        self._figures = CONTEXT.Array("q", max(1, len(names)), lock=False)

        def begin():
            end_with_parent(signal.SIGKILL)()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            weigh(os.getpid(), nice)
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
            work(self._figures, *args)
        self.process = CONTEXT.Process(target=begin, daemon=True)
        self.process.start()

    def figures(self):
        return dict(zip(self.names, self._figures))

    def stop(self):
        self.process.kill()
        self.process.join(10)


SLOW = ("held", "opened", "cut")
HEAD_BEGUN = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
BODY_BEGUN = b"POST /api/internal/resume HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n"


def slow(figures, port, n, seed, addresses):
    """Holds n connections: a third drips a head, a third a body, a byte a second, a third says nothing. Whoever is cut comes
    back."""
    dice = random.Random(seed)
    selector = selectors.DefaultSelector()
    held, due = {}, []

    def open_one():
        sock = socket.socket()
        sock.setblocking(False)
        sock.bind((dice.choice(addresses), 0))
        sock.connect_ex(("127.0.0.1", port))
        kind = dice.randrange(3)
        held[sock] = [(b"", HEAD_BEGUN, BODY_BEGUN)[kind], kind, time.monotonic() + dice.random()]
        selector.register(sock, selectors.EVENT_READ, None)
        figures[1] += 1
    while True:
        for _ in range(min(64, n - len(held))):
            with contextlib.suppress(OSError):
                open_one()
        due = [sock for key, _ in selector.select(0.02) for sock in [key.fileobj]]
        for sock in due:
            try:
                gone = not sock.recv(4096)
            except BlockingIOError:
                gone = False
            except OSError:
                gone = True
            if gone:
                selector.unregister(sock)
                sock.close()
                del held[sock]
                figures[2] += 1
        now = time.monotonic()
        for sock, state in held.items():
            if now >= state[2] and state[1]:
                with contextlib.suppress(OSError):
                    sock.send(state[0] or b"x")
                    state[0] = b""
                state[2] = now + 1
        figures[0] = len(held)


FLOOD = ("exchanges", "answers", "refused")


def flood(figures, port, payloads, addresses, pause_s):
    """Sends the payloads over and over, each on a new connection, sixteen at a time."""
    while True:
        for talk in converse(port, payloads, at_once=16, quiet_s=1.0, addresses=addresses):
            found, _ = talk.answers
            figures[0] += 1
            figures[1] += len(found or ())
            figures[2] += not found
            if pause_s:
                time.sleep(pause_s)


STUFF = ("opened", "megabytes")


def stuff(figures, port, n, request, filler):
    """n connections that ask, read nothing of the answer, and send without end."""
    sent = 0
    while True:
        socks = []
        for _ in range(n):
            with contextlib.suppress(OSError):
                sock = socket.socket()
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                sock.connect(("127.0.0.1", port))
                sock.sendall(request)
                sock.setblocking(False)
                socks.append(sock)
                figures[0] += 1
        until = time.monotonic() + 8
        while socks and time.monotonic() < until:
            busy = False
            for sock in list(socks):
                try:
                    sent += sock.send(filler)
                    busy = True
                except BlockingIOError:
                    pass
                except OSError:
                    sock.close()
                    socks.remove(sock)
            figures[1] = sent >> 20
            if not busy:
                time.sleep(0.01)
        for sock in socks:
            sock.close()


# ---- those who have a right to be served ----

class Watch:
    """Somebody with the right secret who asks again and again meanwhile, on a new connection each time, in a thread."""

    def __init__(self, d, path, every_s=0.1):
        self.took, self.failed = [], []
        self._stop = threading.Event()
        port = int(d.url.rpartition(":")[2])
        payload = (f"GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Cron-Secret: {d.secret}\r\nConnection: close\r\n\r\n").encode()

        def look():
            while not self._stop.wait(every_s):
                began = time.monotonic()
                talk = ask(port, payload, 10)
                found, _ = talk.answers
                took = time.monotonic() - began
                (self.took if found and found[0][0] == 200 else self.failed).append(took)
        self._thread = threading.Thread(target=look, daemon=True)
        self._thread.start()

    def end(self):
        self._stop.set()
        self._thread.join(15)


def high_water(read, every_s=0.1):
    """The highest of what read() gives, watched in a thread: (function that ends it and returns it)."""
    stop, best = threading.Event(), [0]

    def look():
        while not stop.wait(every_s):
            with contextlib.suppress(Exception):    # the process may be ending
                best[0] = max(best[0], read())
    thread = threading.Thread(target=look, daemon=True)
    thread.start()

    def end():
        stop.set()
        thread.join(10)
        return best[0]
    return end
