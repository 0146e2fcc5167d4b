"""A server that answers as no provider should, before the sandbox: one manner at each provider, or none and all is passed on.

It notes every request with its headers, so that it can be seen where a key was sent. Loopback only; a thread per connection,
each of which ends with its connection or with the server.
"""
import contextlib
import gzip
import http.client
import io
import json
import socket
import ssl
import struct
import threading
import time
import urllib.parse
import zlib

MIB = 1 << 20
BIG = 200 * MIB
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
ISBN_OF_NOBODY = "9783161484100"


class Request:
    """What came: method, path with query, headers, body, and whose path it is."""

    def __init__(self, method, path, headers, body):
        self.method, self.path, self.headers, self.body = method, path, headers, body
        self.provider = path.strip("/").split("/")[0]


class Server:
    """Listens on loopback. manners {provider: manner} strikes; the rest goes on to the sandbox, or is refused without one."""

    def __init__(self, sandbox_url=None, context=None, host="127.0.0.1", port=0, log=None):
        self.manners = {}
        self.seen = log if log is not None else []
        self.upstream = urllib.parse.urlsplit(sandbox_url) if sandbox_url else None
        self.context = context
        self.admin = self.elsewhere = None      # URLs that redirects lead to
        self.handshakes = 0
        self._closed = threading.Event()
        self._listener = socket.create_server((host, port), backlog=128)
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if context else 'http'}://{host}:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._closed.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def hits(self, provider):
        """How many requests came for a provider."""
        return sum(r.provider == provider for r in self.seen)

    def _accept(self):
        while not self._closed.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException), connection:
            connection.settimeout(30)
            if self.context:
                self.handshakes += 1
                connection = self.context.wrap_socket(connection, server_side=True)
            source = connection.makefile("rb")
            while not self._closed.is_set():
                request = self._read(source)
                if request is None:
                    return
                self.seen.append(request)
                manner = self.manners.get(request.provider)
                if manner is None:
                    connection.sendall(self.pass_on(request))
                elif manner(Peer(connection, self), request) is not KEEP:
                    return

    @staticmethod
    def _read(source):
        line = source.readline(65536).decode("latin-1").split()
        if len(line) < 3:
            return None
        headers = {}
        while (text := source.readline(65536).decode("latin-1").strip()):
            name, _, value = text.partition(":")
            headers[name.strip().lower()] = value.strip()
        return Request(line[0], line[1], headers, source.read(int(headers.get("content-length", 0))))

    def pass_on(self, request):
        """The sandbox's answer as bytes."""
        if self.upstream is None:
            return OK.replace(b"200 OK", b"400 None") + b"Content-Length: 0\r\n\r\n"
        up = http.client.HTTPConnection(self.upstream.hostname, self.upstream.port, timeout=20)
        with contextlib.closing(up):
            passed = ("content-type", "authorization", "x-goog-api-key", "user-agent")
            keep = {k: v for k, v in request.headers.items() if k in passed}
            up.request(request.method, request.path, request.body or None, keep)
            answer = up.getresponse()
            body = answer.read()
            head = f"HTTP/1.1 {answer.status} X\r\nContent-Length: {len(body)}\r\n"
            head += "".join(f"{k}: {v}\r\n" for k, v in answer.getheaders() if k.lower() in ("content-type", "retry-after"))
            return head.encode("latin-1") + b"\r\n" + body


KEEP = object()


class Peer:
    """The connection that a manner answers on."""

    def __init__(self, connection, server):
        self.connection, self.server = connection, server

    def send(self, data):
        self.connection.sendall(data)

    def body(self, data, head=OK):
        """A whole answer with its length."""
        data = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.send(head + f"Content-Length: {len(data)}\r\n\r\n".encode() + data)
        return KEEP

    def dribble(self, data, every=1.0):
        """Byte by byte."""
        for byte in data:
            self.send(bytes([byte]))
            time.sleep(every)

    def flood(self, piece, total=BIG):
        for _ in range(total // len(piece) + 1):
            self.send(piece)

    def reset(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


# ---- how much ----
def declared(p, _):
    p.send(OK + f"Content-Length: {BIG}\r\n\r\n".encode())
    p.flood(b" " * 65536)


def chunked(p, _):
    p.send(CHUNKED)
    p.flood(b"10000\r\n" + b"[" * 65536 + b"\r\n")


def until_close(p, _):
    p.send(OK + b"Connection: close\r\n\r\n")
    p.flood(b'{"data":"' + b"a" * 65527)


def packed(data, level=9):
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=level) as f:
        f.write(data)
    return out.getvalue()


_BOMB = []


def bomb():
    """200 MB of blanks, packed; made once."""
    if not _BOMB:
        z = zlib.compressobj(9, zlib.DEFLATED, 31)
        _BOMB.append(b"".join(z.compress(b" " * MIB) for _ in range(BIG // MIB)) + z.flush())
    return _BOMB[0]


def gzip_bomb(p, _):
    p.body(bomb(), OK + b"Content-Encoding: gzip\r\n")


def gzip_nested(p, _):
    p.body(packed(bomb()), OK + b"Content-Encoding: gzip, gzip\r\n")


def gzip_layers(p, _):
    data = b"{}"
    for _ in range(40):
        data = packed(data, 1)
    p.body(data, OK + b"Content-Encoding: " + b", ".join([b"gzip"] * 40) + b"\r\n")


def gzip_not(p, _):
    p.body(b"this is not packed at all", OK + b"Content-Encoding: gzip\r\n")


# ---- how slowly ----
def slow_headers(p, _):
    p.dribble(OK)


def slow_body(p, _):
    p.send(OK + b"Content-Length: 1000\r\n\r\n")
    p.dribble(b" " * 1000)


def silence(_, __):
    time.sleep(25)


# ---- headers ----
def endless_headers(p, _):
    p.send(OK)
    p.flood(b"X-Filler: " + b"y" * 1000 + b"\r\n")


def huge_header(p, _):
    p.send(OK + b"X-Filler: ")
    p.flood(b"y" * 65536)


def endless_continue(p, _):
    p.flood(b"HTTP/1.1 100 Continue\r\n\r\n" * 500)


def endless_extension(p, _):
    p.send(CHUNKED + b"5;")
    p.flood(b"x=" + b"y" * 65536)


def endless_trailers(p, _):
    p.send(CHUNKED + b"2\r\n{}\r\n0\r\n")
    p.flood(b"X-Trailer: " + b"y" * 1000 + b"\r\n")


# ---- elsewhere ----
def redirects_forever(p, r):
    p.body(b"", b"HTTP/1.1 302 Found\r\nLocation: " + r.path.encode("latin-1") + b"\r\n")


def redirect_away(p, r):
    p.body(b"", f"HTTP/1.1 307 Away\r\nLocation: {p.server.elsewhere}/stolen{r.path}\r\n".encode("latin-1"))


def redirect_admin(p, _):
    p.body(b"", f"HTTP/1.1 302 Found\r\nLocation: {p.server.admin}/api/internal/backfill-stats\r\n".encode())


def redirect_file(p, _):
    p.body(b"", b"HTTP/1.1 301 Moved\r\nLocation: file:///etc/passwd\r\n")


def redirect_user(p, _):
    p.body(b"", f"HTTP/1.1 302 Found\r\nLocation: {p.server.elsewhere.replace('://', '://a:b@')}/stolen\r\n".encode())


def redirect_metadata(p, _):
    p.body(b"", b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest/meta-data/\r\n")


# ---- no HTTP, or a lie in it ----
def http09(p, _):
    p.send(b'{"data":[],"docs":[],"items":[]}\n')


def half_a_line(p, _):
    p.send(b"HTTP/1.1 2")


def cut_short(p, _):
    p.send(OK + b"Content-Length: 500\r\n\r\n{\"data\":[")


def length_too_small(p, _):
    p.send(OK + b"Content-Length: 9\r\n\r\n" + b'{"data":[],"total":0,"docs":[]}')


def two_lengths(p, _):
    p.send(OK + b"Content-Length: 2\r\nContent-Length: 30\r\n\r\n{}" + b" " * 28)


def negative_length(p, _):
    p.send(OK + b"Content-Length: -5\r\n\r\n{}")


def bad_chunk(p, _):
    p.send(CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n")


def endless_chunk(p, _):
    p.send(CHUNKED + b"7fffffffffffffff\r\n{}")


def reset(p, _):
    p.send(OK + b"Content-Length: 50\r\n\r\n{")
    p.reset()


def status_101(p, _):
    p.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n{}")


def status_999(p, _):
    p.body(b"{}", b"HTTP/1.1 999 What\r\n")


def empty_200(p, _):
    p.body(b"")


def comes_back_tomorrow(p, _):
    p.body(b"{}", b"HTTP/1.1 503 Later\r\nRetry-After: 86400\r\n")


# ---- JSON ----
def million_tokens(p, _):
    p.body(b"[" + b"0," * 1200000 + b"0]")


def deep(p, _):
    p.body(b"[" * 100000 + b"]" * 100000)


def deep_objects(p, _):
    p.body(b'{"data":' * 100000 + b"0" + b"}" * 100000)


def many_keys(p, _):
    p.body(b"{" + b",".join(b'"k%d":%d' % (i, i) for i in range(100000)) + b"}")


def nul_bytes(p, _):
    p.body(b'{"data":[{"title":"a\0b"}]}')


def bad_utf8(p, _):
    p.body(b'{"data":[{"title":"\xff\xfe\xc0\x80"}],"docs":"\xed\xa0\x80"}')


def marked(p, r):
    head, _, body = p.server.pass_on(r).partition(b"\r\n\r\n")
    p.body(b"\xef\xbb\xbf" + body, head.partition(b"\r\n")[0] + b"\r\nContent-Type: application/json\r\n")


def tells_the_key(p, r):
    """An error that repeats everything that was sent."""
    everything = {**r.headers, "path": r.path}
    p.body({"error": {"message": "refused: " + json.dumps(everything), "code": 500}, "message": f"no: {everything}",
            "errorMessage": f"refused: {everything}"}, b"HTTP/1.1 500 No\r\nContent-Type: application/json\r\n")


def tells_the_key_at_once(p, r):
    """The same, as the asker's own mistake."""
    p.body({"error": {"message": f"no: {r.headers} {r.path}", "code": 400}},
           b"HTTP/1.1 400 No\r\nContent-Type: application/json\r\n")


def envelope(provider, books):
    """Books in a provider's own form."""
    if provider in ("gemini", "xai"):
        text = json.dumps({"books": [{**b, "publication_year": b.get("publication_year", 2024)} for b in books]})
        if provider == "gemini":
            return {"candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": "STOP"}]}
        return {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}
    if provider == "isbndb":
        return {"total": len(books), "data": [
            {"title": b["title"], "authors": [b["author"]], "isbn13": b["isbn"]} for b in books]}
    if provider == "google_books":
        return {"totalItems": len(books), "items": [{"id": str(i), "volumeInfo": {
            "title": b["title"], "authors": [b["author"]], "industryIdentifiers": [{"type": "ISBN_13", "identifier": b["isbn"]}]}}
            for i, b in enumerate(books)]}
    if provider == "open_library":
        return {"numFound": len(books), "docs": [
            {"title": b["title"], "author_name": [b["author"]], "isbn": [b["isbn"]]} for b in books]}
    if provider == "archive_org":
        return {"response": {"numFound": len(books), "docs": [
            {"identifier": f"x{i}", "title": b["title"], "creator": b["author"], "isbn": b["isbn"]}
            for i, b in enumerate(books)]}}
    return {"head": {"vars": ["work"]}, "results": {"bindings": [{k: {"type": "literal", "value": v} for k, v in (
        ("work", f"http://www.wikidata.org/entity/Q{i + 1}"), ("t", b["title"]), ("n", b["author"]), ("i13", b["isbn"]))}
        for i, b in enumerate(books)]}}


_MANY = {}


def another_book(p, r):
    """A good answer to a question that nobody asked."""
    return p.body(envelope(r.provider, [
        {"title": "The Answer To Another Question", "author": "Somebody Else", "isbn": ISBN_OF_NOBODY}]))


def huge_titles(p, r):
    return p.body(envelope(r.provider, [{"title": "t" * MIB, "author": "a" * MIB, "isbn": ISBN_OF_NOBODY} for _ in range(1)]))


def many_books(p, r):
    """As many other books as fit below the limit of an answer."""
    if r.provider not in _MANY:
        _MANY[r.provider] = json.dumps(envelope(r.provider, [
            {"title": f"Another Book {i} of the Long Road Home", "author": "Some Body", "isbn": ISBN_OF_NOBODY}
            for i in range(12000)])).encode()
    return p.body(_MANY[r.provider])


def mad_numbers(p, r):
    said = json.dumps(envelope(r.provider, [{"title": "Numbers", "author": "A", "isbn": ISBN_OF_NOBODY, "publication_year": 987654}]))
    said = said.replace("987654", "1e999").replace('"total": 1', '"total": -1e999').replace('"numFound": 1', '"numFound": 1e400')
    return p.body(said.encode())


def each_otherwise(p, r):
    """At every searcher another one of the good answers to other questions."""
    which = {"isbndb": many_books, "google_books": huge_titles, "open_library": mad_numbers}
    return which.get(r.provider, another_book)(p, r)


# what can be no answer, and what is one to another question
FAULTY = [declared, slow_headers, chunked, redirect_away, gzip_bomb, tells_the_key, endless_headers, until_close, gzip_nested, slow_body,
          redirects_forever, million_tokens, deep, http09, huge_header, redirect_admin, cut_short, deep_objects, many_keys, gzip_layers,
          redirect_file, half_a_line, nul_bytes, bad_utf8, silence, endless_continue, length_too_small, two_lengths, redirect_user,
          negative_length, bad_chunk, endless_extension, endless_chunk, reset, status_101, status_999, empty_200, redirect_metadata,
          endless_trailers, gzip_not, comes_back_tomorrow]
ANSWERING = [another_book, huge_titles, many_books, mad_numbers, marked]


def tls_context(certificate, key):
    """A server's side of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
