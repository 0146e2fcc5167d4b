"""What is sent against the admin interface: the requests its description names, ways to spoil them, and what must come of it.

A Request is written from parts, so that each way of spoiling it knows what the guard owes: `refuse` stands for a request that
must not be served, whoever sent it.
"""
import json
import re

API = "/api/internal/"
UUID = "0b7e1f2a-9c3d-4e5f-8a6b-7c8d9e0f1a2b"
OPEN = {"/healthz", "/readyz", "/metrics", "/openapi.json", "/", "/api/quota/status"}
TARGET = re.compile(rb"(?:GET|HEAD)[ \t]+(?:https?://[^/ ?#]*)?(/[^ ?#\r\n]*)")
METHODS = ("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH")
BAD_UTF8 = (b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\x80")
WORDS = [b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b"%2e%2e%2f", b"%00", b"%", b"../", b"//", b"?", b"&", b"=", b"#", b"{", b"}",
         b"[", b"\"", b"null", b"-1", b"99999999999999999999", b"0x10", b"1e309", b"Content-Length: 0\r\n", b"Content-Length: 4\r\n",
         b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip\r\n", b"Host: elsewhere\r\n", b"X-Cron-Secret: x\r\n",
         b"Expect: 100-continue\r\n", b"Connection: close\r\n", b"HTTP/1.1", b"GET ", b"POST ", b"HEAD ", b"0\r\n\r\n", b"5\r\n",
         b"Upgrade: h2c\r\n", b" HTTP/1.1\r\nHost: localhost\r\n\r\n", *BAD_UTF8]


class Request:
    """A request in parts; lines holds its header's lines but Host and the secret."""

    def __init__(self, method, path, body=b"", secret=None, operator=None):
        self.method, self.path, self.body = method, path, body
        self.version, self.host = b"HTTP/1.1", [b"Host: localhost"]
        self.secret = [b"X-Cron-Secret: " + secret.encode()] if secret else []
        self.lines = [b"Content-Type: application/json"] if body else []
        self.lines += [b"X-Operator: " + operator.encode()] if operator else []
        self.length = [b"Content-Length: %d" % len(body)] if method == "POST" or body else []
        self.tail = b""

    def bytes(self):
        head = [self.method.encode("latin-1") + b" " + self.path.encode("latin-1") + b" " + self.version,
                *self.host, *self.secret, *self.lines, *self.length]
        return b"\r\n".join(head) + b"\r\n\r\n" + self.body + self.tail

    @property
    def mutates(self):
        return self.method == "POST"


def table(document):
    """[(method, path, bodies)] of every operation of the description, its path filled in."""
    found = []
    for path, item in document["paths"].items():
        for method, o in item.items():
            bodies = [b"", b"{}"]
            if "requestBody" in o:
                examples = o["requestBody"]["content"]["application/json"].get("examples", {})
                bodies += [json.dumps(e["value"]).encode() for e in examples.values()]
            elif method == "get":
                bodies = [b""]
            for name, value in (("y", "2024"), ("m", "7"), ("job_id", UUID), ("key", "app.js" if "assets" in path else "9780306406157")):
                path = path.replace("{%s}" % name, value)
            found.append((method.upper(), path, bodies))
    return found


# ---- ways to spoil a request that must be noticed: each takes (request, dice) ----

def _length(*lines):
    return lambda r, dice: setattr(r, "length", [line.replace(b"N", b"%d" % len(r.body)) for line in lines])


def _line(*lines):
    return lambda r, dice: r.lines.extend(lines)


def _host(*lines):
    return lambda r, dice: setattr(r, "host", list(lines))


def _secret(change):
    def spoil(r, dice):
        line = r.secret[0] if r.secret else b"X-Cron-Secret: x"
        r.secret = change(line)
    return spoil


def _path(change):
    return lambda r, dice: setattr(r, "path", change(r.path))


def _chunked(r, dice):
    """The framing of a chunked body beside a length."""
    r.length = [b"Content-Length: %d" % len(r.body), b"Transfer-Encoding: chunked"]
    r.body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(r.body), r.body) if r.body else b"0\r\n\r\n"


SPOILED = {
    "two lengths": _length(b"Content-Length: N", b"Content-Length: 9"),
    "one length twice": _length(b"Content-Length: N", b"Content-Length: N"),
    "a list of lengths": _length(b"Content-Length: N, N"),
    "length with a plus": _length(b"Content-Length: +N"),
    "length below zero": _length(b"Content-Length: -1"),
    "length in hexadecimal": _length(b"Content-Length: 0xN"),
    "length beyond 64 bits": _length(b"Content-Length: 18446744073709551617"),
    "length with a space before the colon": _length(b"Content-Length : N"),
    "length folded": _length(b"Content-Length:", b" N"),
    "length and chunked": _chunked,
    "gzip, chunked": _length(b"Transfer-Encoding: gzip, chunked"),
    "chunked, chunked": _length(b"Transfer-Encoding: chunked, chunked"),
    "chunked twice": _length(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
    "identity": _length(b"Transfer-Encoding: identity"),
    "x-chunked": _length(b"Transfer-Encoding: xchunked"),
    "chunked and a tab": _length(b"Transfer-Encoding:\x0bchunked"),
    "no Host": _host(),
    "two Hosts": _host(b"Host: localhost", b"Host: elsewhere"),
    "Host twice": _host(b"Host: localhost", b"Host: localhost"),
    "Host with a path": _host(b"Host: localhost/x"),
    "Host with a user": _host(b"Host: me@localhost"),
    "Host with a list": _host(b"Host: localhost, elsewhere"),
    "empty Host": _host(b"Host:"),
    "Host not UTF-8": _host(b"Host: \xff\xfe"),
    "foreign absolute target": _path(lambda p: "http://elsewhere" + p),
    "target of two slashes": _path(lambda p: "//elsewhere" + p),
    "user in the target": _path(lambda p: "http://a:b@localhost" + p),
    "NUL in the target": _path(lambda p: p[:3] + "\0" + p[3:]),
    "header without a colon": _line(b"Content-Length"),
    "header without a name": _line(b": x"),
    "space in a name": _line(b"X Y: x"),
    "name not ASCII": _line(b"X\xff: x"),
    "control character": _line(b"X: a\x01b"),
    "NUL in a header": _line(b"X: a\0b"),
    "head of 20 KiB": _line(b"X: " + b"a" * 20000),
    "5,000 headers": _line(*([b"X: a"] * 5000)),
    "target of 20 KiB": _path(lambda p: p + "?" + "a" * 20000),
    "HTTP/2.0": lambda r, dice: setattr(r, "version", b"HTTP/2.0"),
    "HTTP/0.9": lambda r, dice: setattr(r, "version", b"HTTP/0.9"),
    "method in small letters": lambda r, dice: setattr(r, "method", r.method.lower()),
    "a method nobody knows": lambda r, dice: setattr(r, "method", "BREW"),
    "CONNECT": lambda r, dice: setattr(r, "method", "CONNECT"),
}
# those that spoil only what is behind the secret, or what changes something
GUARDED = {
    "no secret": _secret(lambda line: []),
    "secret twice": _secret(lambda line: [line, line]),
    "right and wrong secret": _secret(lambda line: [line, b"X-Cron-Secret: x"]),
    "wrong and right secret": _secret(lambda line: [b"X-Cron-Secret: x", line]),
    "secret cut": _secret(lambda line: [line[:-1]]),
    "secret longer": _secret(lambda line: [line + b"0"]),
    "secret in other case": _secret(lambda line: [line[:15] + line[15:].swapcase() + b"Z"]),
    "secret as a bearer's": _secret(lambda line: [line.replace(b"X-Cron-Secret: ", b"Authorization: Bearer ")]),
    "secret under another name": _secret(lambda line: [line.replace(b"-Cron-", b"_Cron_")]),
    "operator twice": _line(b"X-Operator: a", b"X-Operator: b"),
    "operator not UTF-8": _line(b"X-Operator: \xc3\x28"),
    "operator of 81 letters": _line(b"X-Operator: " + b"x" * 81),
}
CHANGING = {
    "another site's Origin": _line(b"Origin: http://elsewhere.example"),
    "Origin null": _line(b"Origin: null"),
    "Origin that begins like ours": _line(b"Origin: http://localhost.elsewhere.example"),
    "two Origins": _line(b"Origin: http://localhost", b"Origin: http://elsewhere.example"),
    "Sec-Fetch-Site of another site": _line(b"Sec-Fetch-Site: cross-site"),
    "a form of another site": _line(b"Origin: http://elsewhere.example", b"Content-Type: text/plain"),
    "slash at the end": _path(lambda p: p + "/"),
    "two slashes": _path(lambda p: p.replace("/api/", "/api//")),
    "dots in the path": _path(lambda p: p.replace("/api/", "/api/./")),
    "dots and up": _path(lambda p: p.replace("/api/", "/x/../api/")),
    "an encoded letter": _path(lambda p: p.replace("/api/", "/%61pi/")),
    "an encoded slash": _path(lambda p: p.replace("/api/", "/api%2f")),
    "capitals": _path(lambda p: p.replace("/api/", "/API/")),
    "a path's parameter": _path(lambda p: p + ";x=1"),
    "an encoded NUL": _path(lambda p: p + "%00"),
    "a field nobody knows": lambda r, dice: (setattr(r, "body", b'{"nobody":1}'), setattr(r, "length", [b"Content-Length: 12"])),
    "no object": lambda r, dice: (setattr(r, "body", b"[]"), setattr(r, "length", [b"Content-Length: 2"])),
    "not UTF-8": lambda r, dice: (setattr(r, "body", b'{"note":"\xff"}'), setattr(r, "length", [b"Content-Length: 12"])),
    "70,000 bytes": lambda r, dice: (setattr(r, "body", b" " * 70000), setattr(r, "length", [b"Content-Length: 70000"])),
    "70,000 bytes in chunks": lambda r, dice: (setattr(r, "body", b"11170\r\n" + b" " * 70000 + b"\r\n0\r\n\r\n"),
                                              setattr(r, "length", [b"Transfer-Encoding: chunked"])),
    "braces, 30,000 deep": lambda r, dice: (setattr(r, "body", b"[" * 30000), setattr(r, "length", [b"Content-Length: 30000"])),
}


def spoil(r, dice, is_open):
    """Spoils it in one way; the way's name."""
    ways = {**SPOILED, **({} if is_open else GUARDED), **(CHANGING if r.mutates else {})}
    name = dice.choice(sorted(ways))
    ways[name](r, dice)
    return name


def scramble(data, dice):
    """Changes bytes without knowing what they mean."""
    data = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 3, 6))):
        at = dice.randrange(len(data) + 1)
        kind = dice.randrange(7)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << dice.randrange(8)
        elif kind == 1 and at < len(data):
            data[at] = dice.randrange(256)
        elif kind == 2:
            del data[at:at + dice.choice((1, 1, 2, 8, 64))]
        elif kind == 3:
            data[at:at] = dice.choice(WORDS)
        elif kind == 4:
            data[at:at] = data[dice.randrange(len(data) + 1):][:dice.choice((1, 4, 16, 64))]
        elif kind == 5:
            data[at:at] = bytes([dice.randrange(256)]) * dice.choice((1, 2, 100, 5000))
        else:
            lines = data.split(b"\r\n")
            i, k = dice.randrange(len(lines)), dice.randrange(len(lines))
            lines[i], lines[k] = lines[k], lines[i]
            data = bytearray(b"\r\n".join(lines))
        if not data:
            data = bytearray(b"\r\n")
    return bytes(data)


def may_be_served(payload):
    """How many answers that are no refusal a caller without the secret may get for these bytes."""
    return sum(1 for path in TARGET.findall(payload) if path.decode("latin-1") in OPEN or path.startswith(b"/assets/"))


# ---- one by one ----

def raw(line, *lines, host=b"localhost", body=b""):
    """A request as it is written."""
    return b"\r\n".join([line, *([b"Host: " + host] if host else []), *lines]) + b"\r\n\r\n" + body


TRAVERSAL = ("..%2f..%2f..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/%2e%2e/etc/passwd", "../../../../etc/passwd",
             "%252e%252e%252f%252e%252e%252fetc%252fpasswd", "..\\..\\..\\etc\\passwd", "..%5c..%5cetc%5cpasswd",
             "..%c0%af..%c0%afetc%c0%afpasswd", "....//....//etc/passwd", "/etc/passwd", "%2fetc%2fpasswd", "app.js%00.txt",
             "app.js/../../../etc/passwd", ".%2e/app.js", "app.js/", "APP.JS", "app%2ejs", "..;/app.js", "index.html", "%ff%fe",
             "x" * 5000)


def tricks(secret):
    """[(name, bytes, statuses it may be answered with)]; the secret goes into those that must be refused in spite of it."""
    key = b"X-Cron-Secret: " + secret.encode()
    close, post = b"Connection: close", b"POST /api/internal/resume HTTP/1.1"
    months = b"GET /api/internal/months HTTP/1.1"
    hidden = raw(b"POST /api/internal/pause HTTP/1.1", key, b"Content-Length: 0")
    found = [(f"/assets/{name[:40]}", raw(b"GET /assets/" + name.encode() + b" HTTP/1.1", close), (401, 404)) for name in TRAVERSAL]
    found += [("a path above the root", raw(b"GET /../../etc/passwd HTTP/1.1", key, close), (404,)),
              ("up and away, with the secret", raw(b"GET /assets/../../etc/passwd HTTP/1.1", key, close), (404,)),
              ("NUL in an asset's name", raw(b"GET /assets/app.js\0 HTTP/1.1", close), (400,)),
              ("spaces in an asset's name", raw(b"GET /assets/app.js x HTTP/1.1", close), (400, 404))]
    found += [(f"{m} on an asset", raw(m.encode() + b" /assets/app.js HTTP/1.1", close, b"Content-Length: 0"), (405,))
              for m in METHODS if m not in ("GET", "HEAD")]
    found += [(f"{m} without the secret", raw(m.encode() + b" /api/internal/pause HTTP/1.1", close, b"Content-Length: 0"), (401,))
              for m in METHODS]
    found += [
        ("a rebound name reads what is behind the secret", raw(months, b"Origin: http://evil.example", close, host=b"evil.example"), (401,)),
        ("a rebound name changes something", raw(post, b"Origin: http://evil.example", close, b"Content-Length: 0", host=b"evil.example"),
         (401,)),
        ("a form of another site, without the secret", raw(post, b"Origin: http://evil.example", b"Content-Type: text/plain", close,
                                                           b"Content-Length: 2", body=b"{}"), (401,)),
        ("a form of another site, with it", raw(post, key, b"Origin: http://evil.example", b"Content-Type: text/plain", close,
                                                b"Content-Length: 2", body=b"{}"), (403,)),
        ("a fetch of another site, with it", raw(post, key, b"Sec-Fetch-Site: cross-site", close, b"Content-Length: 0"), (403,)),
        ("a question before a fetch of another site", raw(b"OPTIONS /api/internal/resume HTTP/1.1", b"Origin: http://evil.example", close,
                                                         b"Access-Control-Request-Method: POST",
                                                         b"Access-Control-Request-Headers: x-cron-secret"), (401,)),
        ("no Host", raw(months, key, close, host=None), (400,)),
        ("two Hosts", raw(months, b"Host: x", key, close), (400,)),
        ("absolute form of another host", raw(b"GET http://evil.example/api/internal/months HTTP/1.1", key, close), (400,)),
        ("absolute form of the own", raw(b"GET http://localhost/healthz HTTP/1.1", close), (200,)),
        ("a target that is none", raw(b"GET healthz HTTP/1.1", close), (400, 401, 404)),
        ("a star", raw(b"OPTIONS * HTTP/1.1", close), (400, 401, 404, 501)),
        ("an upgrade", raw(b"GET /healthz HTTP/1.1", b"Connection: Upgrade, close", b"Upgrade: h2c"), (200,)),
        ("an Expect that is none", raw(post, key, close, b"Expect: the unexpected", b"Content-Length: 2", body=b"{}"), (200, 417)),
        ("one header folded", raw(months, b"X-Cron-Secret:", b" " + secret.encode(), close), (200, 400, 401)),
        ("a head of 15 KiB", raw(b"GET /healthz HTTP/1.1", b"X: " + b"a" * 15000, close), (200,)),
        ("500 headers", raw(b"GET /healthz HTTP/1.1", *([b"X: a"] * 500), close), (200,)),
        ("a body of 2 MB", raw(post, key, b"Content-Length: 2000000", body=b" " * 2000000), (413, None)),
        ("a body of 2 MB in chunks", raw(post, key, b"Transfer-Encoding: chunked", body=b"1e8480\r\n" + b" " * 2000000 + b"\r\n0\r\n\r\n"),
         (413, None)),
        ("a length of 2^63", raw(post, key, b"Content-Length: 9223372036854775807"), (400, 413)),
        ("a chunk of 2^64", raw(post, key, b"Transfer-Encoding: chunked", body=b"ffffffffffffffff\r\n"), (400, 413, None)),
        ("a chunk below zero", raw(post, key, b"Transfer-Encoding: chunked", body=b"-5\r\n12345\r\n0\r\n\r\n"), (400, 413, None)),
        ("a chunk's size without end", raw(post, key, b"Transfer-Encoding: chunked", body=b"0" * 100000), (400, 413, None)),
        ("trailers without end", raw(post, key, b"Transfer-Encoding: chunked", body=b"0\r\n" + b"X: a\r\n" * 20000), (400, 413, None)),
        ("a body of invalid UTF-8", raw(b"POST /api/internal/pause HTTP/1.1", key, close, b"Content-Length: 13",
                                        body=b'{"note":"\xc0\xaf"}'), (400,)),
        ("a query of invalid UTF-8", raw(b"GET /api/internal/audit?operator=%ff%fe HTTP/1.1", key, close), (400,)),
        ("a key of invalid UTF-8", raw(b"GET /api/internal/books/%ff%fe HTTP/1.1", key, close), (400, 404)),
        ("an id of 20 digits", raw(b"GET /api/internal/events?last_event_id=99999999999999999999 HTTP/1.1", key, close), (400,)),
        ("a Last-Event-ID of letters", raw(b"GET /api/internal/events HTTP/1.1", key, b"Last-Event-ID: a", close), (400,)),
    ]
    # a second request behind a first whose end two readers see in different places: it must not be answered
    for name in ("two lengths", "a list of lengths", "length with a space before the colon", "gzip, chunked", "chunked twice", "identity",
                 "length folded", "length and chunked"):
        r = Request("POST", "/api/internal/resume", b"{}", secret)
        SPOILED[name](r, None)
        found.append((f"hidden behind {name}", r.bytes() + hidden, (400, 413)))
    return found


def is_hidden(name):
    return name.startswith("hidden behind")
