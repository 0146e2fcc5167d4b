"""The operator's page: its files come as they lie in the source but for comments, open, without data, and with headers that let a
browser run them and nothing else."""
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "src" / "admin" / "dashboard"
GENERATOR = ROOT / "tools" / "gen_assets.py"
FILES = sorted(p.name for p in FOLDER.iterdir() if not p.name.startswith(".") and not p.name.endswith("~"))
TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
         ".svg": "image/svg+xml"}
CSP = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
       "form-action 'none'; frame-ancestors 'none'")
TOTAL_MAX = 120 * 1024


def url_of(name):
    return "/" if name == "index.html" else f"/assets/{name}"


def lean(name):
    """What is to be served: the source, lines that only hold a comment emptied."""
    return re.sub(r"^[ \t]*/\*.*?\*/$", lambda m: "\n" * m.group().count("\n"), source(name), flags=re.S | re.M).encode()


def source(name):
    return (FOLDER / name).read_text(encoding="utf-8")


@pytest.fixture
def page(daemon):
    """page(path, ...) asks without the secret."""
    d = daemon()

    def get(path, method="GET", headers=None):
        return d.request(method, path, headers=headers, secret=None)
    get.daemon = d
    return get


def test_files(page):
    """Every file of the folder is served, by its kind, to anyone, and holds neither secret nor data."""
    page.daemon.seed(2024, 2024)
    for name in FILES:
        r = page(url_of(name))
        assert r.status == 200 and r.body == lean(name), name
        assert r.headers["Content-Type"] == TYPES[Path(name).suffix]
        assert r.headers["Content-Security-Policy"] == CSP
        assert r.headers["X-Content-Type-Options"] == "nosniff"
        assert r.headers["Referrer-Policy"] == "no-referrer"
        assert r.headers["Cache-Control"] == "no-cache"
        assert re.fullmatch(r'"[0-9a-f]{32}"', r.headers["ETag"])
        for told in (page.daemon.secret, page.daemon.instance, page.daemon.conninfo):
            assert told.encode() not in r.body


def test_tags(page):
    """What a browser has is not sent again: weak, in a list, or any; another tag, and HEAD, get what a GET would."""
    first = page("/")
    tag = first.headers["ETag"]
    for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        r = page("/", headers={"If-None-Match": known})
        assert (r.status, r.body) == (304, b"") and r.headers["ETag"] == tag, known
        assert r.headers["Content-Security-Policy"] == CSP and r.headers["Cache-Control"] == "no-cache"
        assert r.headers.get("Content-Length", str(len(first.body))) == str(len(first.body))
    for other in ('"0123456789abcdef0123456789abcdef"', tag.strip('"'), ""):
        assert page("/", headers={"If-None-Match": other}).status == 200
    head = page("/", method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Length"] == str(len(first.body)) and head.headers["ETag"] == tag
    assert len({page(url_of(name)).headers["ETag"] for name in FILES}) == len(FILES)


def test_what_is_none(page):
    """Unknown files are 404 in JSON, whatever their name tries; other methods 405; the page has one address."""
    for name in ("x.js", "index.html", "app.js.map", "..", "%2e%2e", "..%2fapp.js", "app%2ejs", "APP.JS", "style.css%00"):
        r = page(f"/assets/{name}")
        assert r.status == 404 and r.headers["Content-Type"] == "application/json" and "error" in r.json, name
    r = page("/", method="POST")
    assert r.status == 405 and r.headers["Allow"] == "GET, HEAD"
    # behind the folder there is no page: whoever asks has to show the secret first
    assert page("/assets/").status == 401 and page("/index.html").status == 401


def test_size():
    """All files together are small enough to be read by someone who pays for it."""
    sizes = {name: len(lean(name)) for name in FILES}
    assert sum(sizes.values()) <= TOTAL_MAX, sizes


def test_generator(tmp_path):
    """What could only surprise in a browser stops the build: an unknown kind, no page, a comment that swallows code."""
    def run(**files):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        for name, text in files.items():
            (folder / name.replace("_", ".")).write_text(text, encoding="utf-8")
        return subprocess.run([sys.executable, "-B", GENERATOR, tmp_path / "out.c", tmp_path / "out.d", folder], check=False,
                              capture_output=True, text=True)
    assert run(index_html="<p>", a_js="/* one\n * two */\nlet a; /* three */\n").returncode == 0
    assert "a.js" in (tmp_path / "out.d").read_text(encoding="utf-8")
    for bad in ({"a_js": ""}, {"index_html": "", "a_ttf": ""}, {"index_html": "", "A_js": ""}, {"index_html": "", "a_js": "/* x"},
                {"index_html": "", "a_js": "/* x */ let a;\n"}):
        done = run(**bad)
        assert done.returncode == 1 and "gen_assets.py: " in done.stderr, bad


def test_references():
    """Every file that a file names exists, and every file but the page itself is named by one."""
    named = set()
    for name in FILES:
        text = source(name)
        found = re.findall(r"""(?:from |import\()'\./([^']+)'""", text) + re.findall(r'(?:href|src)="/assets/([^"]+)"', text)
        assert not set(found) - set(FILES), f"{name} names {set(found) - set(FILES)}"
        named |= set(found)
    assert set(FILES) - named == {"index.html"}


def test_nothing_inline():
    """No script, style or handler inside markup, no markup from text, no code from text, nothing from elsewhere."""
    markup = source("index.html")
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", markup)
    assert all(re.search(r"\ssrc=", tag) and body == "" for tag, body in re.findall(r"<script([^>]*)>(.*?)</script>", markup, re.S))
    for name in FILES:
        text = source(name)
        if name.endswith(".js"):
            for bad in (r"\b(inner|outer)HTML\b", r"insertAdjacentHTML", r"document\.write", r"\beval\(", r"new Function\b",
                        r"setAttribute\('style'", r"\bstyle:\s", r"\.cssText\b", r"set(Timeout|Interval)\(\s*['\"`]", r"DOMParser",
                        r"createContextualFragment", r"localStorage[^\n]*secret"):
                assert not re.search(bad, text), f"{name}: {bad}"
        if name.endswith(".css"):
            assert not re.search(r"@import|url\(|expression\(", text), name
        elsewhere = re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}[^\s'\"]*", text, re.I)
        assert set(elsewhere) <= {"http://www.w3.org/2000/svg"}, f"{name}: {elsewhere}"


def test_style():
    """Tabs, and a word about the file at its head."""
    for name in FILES:
        text = source(name)
        if name.endswith((".js", ".css")):
            assert text.startswith("/*"), name
        assert text.endswith("\n") and "\r" not in text
        for number, line in enumerate(text.split("\n"), 1):
            assert line == line.rstrip() and not re.match(r" +[^ *]", line), f"{name}:{number}"
