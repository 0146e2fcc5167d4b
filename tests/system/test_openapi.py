"""The interface's description: it has every route, a linter finds nothing in it, and what it says is what the daemon does."""
import json
import re
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path

import jsonschema
import pytest
from stand import wait_until

ROOT = Path(__file__).resolve().parents[2]
NPM = ROOT / "tests" / "npm"
API = "/api/internal/"
ROW = re.compile(r'^\t\{ (GET|POST),\s+(API )?"([^"]+)", \w+, (ROUTE_\w+),', re.M)
UUID = "00000000-0000-4000-8000-000000000000"
FREE = {"Description", "Config", "Provenance"}       # objects whose members are somebody else's


def table():
    """{(method, path): access} of the program's source."""
    source = (ROOT / "src" / "admin" / "routes.c").read_text(encoding="utf-8")
    return {(m.lower(), (prefix and API) + path): access for m, prefix, path, access in ROW.findall(source)}


class Document:
    """The description that a daemon hands out."""

    def __init__(self, d):
        answer = d.get("/openapi.json", secret=None)
        assert answer.status == 200
        self.json = answer.json
        self.operations = {(method, path): o for path, item in self.json["paths"].items() for method, o in item.items()}
        self.by_id = {o["operationId"]: (method, path, o) for (method, path), o in self.operations.items()}

    def check(self, schema, value, where):
        """The value is what a schema, or one that it names, wants."""
        root = {"$schema": "https://json-schema.org/draft/2020-12/schema", "components": self.json["components"], **schema}
        errors = list(jsonschema.Draft202012Validator(root).iter_errors(value))
        assert not errors, f"{where}: " + "; ".join(f"{e.json_path}: {e.message[:200]}" for e in errors[:5])

    def response(self, operation, status):
        """What an operation says of a status, resolved."""
        found = operation["responses"][str(status)]
        if "$ref" in found:
            found = self.json["components"]["responses"][found["$ref"].rpartition("/")[2]]
        return found

    def check_answer(self, name, answer):
        """An answer's status, content type and body are among those described."""
        method, path, operation = self.by_id[name]
        where = f"{name} ({method} {path}) {answer.status} {answer.text[:300]}"
        assert str(answer.status) in operation["responses"], where
        content = self.response(operation, answer.status).get("content", {})
        kind = answer.headers.get("Content-Type", "")
        if kind.startswith("application/json"):
            self.check(content["application/json"]["schema"], answer.json, where)
        elif content:
            assert any(kind.split(";")[0] == c.split(";")[0] or c == "*/*" for c in content), (where, kind)
        for header in self.response(operation, answer.status).get("headers", {}):
            assert header in answer.headers, (where, header)


@pytest.fixture
def d(daemon):
    return daemon()


@pytest.fixture
def doc(d):
    return Document(d)


def test_every_route_and_no_other(doc):
    """Paths, methods and security are the route table's; each operation is told whole; ids are unique."""
    routes = table()
    assert len(routes) > 25 and set(doc.operations) == set(routes)
    assert len(doc.by_id) == len(routes)
    tags = {tag["name"] for tag in doc.json["tags"]}
    for key, o in doc.operations.items():
        assert o["summary"] and o["description"] and set(o["tags"]) <= tags, key
        assert o["security"] == ([{"cronSecret": []}] if routes[key] == "ROUTE_SECRET" else []), key
        good = next(o["responses"][s] for s in ("202", "200") if s in o["responses"])
        assert all(c.get("examples") for c in good["content"].values()), key
        named = set(re.findall(r"\{(\w+)\}", key[1]))
        assert {p["name"] for p in o.get("parameters", []) if p["in"] == "path"} == named, key
        for p in o.get("parameters", []):
            assert p["description"] and p["schema"], (key, p)
        if key[0] == "post":
            body = o["requestBody"]["content"]["application/json"]
            assert body["examples"] and body["schema"]["additionalProperties"] is False, key
    version = re.search(r"^  version: '([^']+)'", (ROOT / "meson.build").read_text(encoding="utf-8"), re.M).group(1)
    assert doc.json["info"]["version"] == version and doc.json["openapi"].startswith("3.1")
    assert [s["url"] for s in doc.json["servers"]] == ["/"]


def test_the_linter_finds_nothing(doc, tmp_path):
    """Redocly's recommended rules: no error, no warning; and it does find what is wrong with a worse one."""
    assert (NPM / "node_modules" / "@redocly").is_dir(), "the linter is not installed: npm ci --prefix tests/npm"
    worse = json.loads(json.dumps(doc.json))
    worse["paths"]["/healthz"]["get"]["responses"]["200"]["content"]["application/json"]["examples"]["lives"]["value"]["status"] = 5
    for name, document, found in (("good", doc.json, False), ("worse", worse, True)):
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps(document), encoding="utf-8")
        done = subprocess.run(["node", str(NPM / "lint_openapi.mjs"), str(file)], capture_output=True, text=True, check=False,
                              timeout=60, cwd=tmp_path)
        assert (done.returncode, bool(done.stdout), done.stderr) == (int(found), found, ""), done


def test_examples_are_what_the_schemas_want(doc):
    """Every example, of a request and of an answer."""
    n = 0
    for (method, path), o in doc.operations.items():
        bodies = [*o["responses"].values(), *([o["requestBody"]] if "requestBody" in o else [])]
        for content in (c for body in bodies for c in body.get("content", {}).values()):
            for name, example in content.get("examples", {}).items():
                doc.check(content["schema"], example["value"], f"{method} {path} {name}")
                n += 1
    assert n > 45


def test_schemas_are_closed(doc):
    """An object with named members has no other: an answer with a new one does not pass unnoticed."""
    def walk(schema, where):
        if isinstance(schema, dict):
            assert "properties" not in schema or schema["additionalProperties"] is False, where
            assert schema.get("type") != "object" or "additionalProperties" in schema, where
        for key, inner in (schema.items() if isinstance(schema, dict) else enumerate(schema) if isinstance(schema, list) else ()):
            walk(inner, f"{where}.{key}")
    for name, schema in doc.json["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
        walk(schema, name)
        assert name in FREE or "properties" in schema or "object" not in str(schema.get("type")), name
    with pytest.raises(AssertionError, match="surprise"):
        doc.check({"$ref": "#/components/schemas/Health"}, {"status": "ok", "version": "1", "uptime_seconds": 1, "surprise": 1}, "")


class Caller:
    """Sends requests by operationId; each answer is checked against the description."""

    def __init__(self, d, doc):
        self.d, self.doc, self.used = d, doc, set()

    def __call__(self, name, body=None, query=None, want=None, **parts):
        method, path, _ = self.doc.by_id[name]
        path = re.sub(r"\{(\w+)\}", lambda m: urllib.parse.quote(str(parts[m.group(1)]), safe=""), path)
        if query:
            path += "?" + urllib.parse.urlencode(query)
        answer = self.d.get(path) if method == "get" else self.d.post(path, body)
        assert want is None or answer.status == want, (name, answer)
        self.doc.check_answer(name, answer)
        self.used.add(name)
        return answer

    def examples(self, name, want, **parts):
        """Each of its requests' examples, in the document's order."""
        body = self.doc.by_id[name][2]["requestBody"]["content"]["application/json"]
        return [self(name, example["value"], want=want, **parts) for example in body["examples"].values()]


def run_the_months(call, d, db):
    """Seeds, harvests, plans and claims as the examples say, until all that was begun is done."""
    call.examples("seedMonths", 200)
    jobs = [accepted.json["job_id"] for accepted in call.examples("harvestMonth", 202)]
    wait_until(lambda: all(call("getJob", job_id=job, want=200).json["status"] == "complete" for job in jobs), 60, "the jobs end")
    call.examples("scheduleMonths", 200)
    wait_until(lambda: db.value("SELECT count(*) FROM backfill_log WHERE status = 'processing'") == 0, 60, "the months end")
    call("harvestMonth", {"year": 2024, "month": 9}, want=409)
    call("getJob", job_id=UUID, want=404)


def steer_the_months(call, db):
    """The three actions on a month, many at once, and the pause."""
    late = {"y": 2024, "m": 1}
    db.execute("UPDATE backfill_log SET status = 'failed', retry_count = 5, error_message = 'no answer', completed_at = now(),"
               " started_at = now() WHERE year = 2024 AND month < 4")
    call("explainMonth", **late, want=200)
    call.examples("retryMonths", 200)
    db.execute("UPDATE backfill_log SET status = 'failed', completed_at = now() WHERE year = 2024 AND month < 4")
    call.examples("pause", 200)
    call("scheduleMonths", {}, want=409)
    call.examples("retryMonth", 200, **late)
    call.examples("cancelMonth", 200, **late)
    call.examples("cancelMonth", 409, **late)
    call.examples("resetMonth", 200, **late)
    call("getOverview", want=200)
    call.examples("resume", 200)
    for name in ("retryMonth", "cancelMonth", "resetMonth", "getMonth"):
        call(name, y=1999, m=2, want=404)


def look_at_everything(call, d, db):
    """All that only reads, on data of every kind."""
    isbn = db.value("SELECT isbn13 FROM backfill_candidates WHERE isbn13 IS NOT NULL AND state = 'resolved' LIMIT 1")
    work = db.value("SELECT work_key FROM backfill_candidates WHERE state = 'not_found' LIMIT 1")
    wait_until(lambda: db.value("SELECT count(*) FROM enrichment_queue WHERE status IN ('pending', 'processing')") == 0, 60,
               "the queue is empty")
    db.execute("UPDATE enrichment_queue SET status = 'failed', error_message = 'isbndb: 500' WHERE id IN"
               " (SELECT id FROM enrichment_queue WHERE queued_by = 'backfilld' ORDER BY created_at, id LIMIT 2)")
    db.execute("INSERT INTO backfill_alerts (key, subject, severity, summary, action) VALUES ('quota', 'isbndb', 'warning', 'a', 'b')")
    for key in (isbn, work):
        call("getBook", key=key, want=200)
    call("getBook", key="9780000000002", want=404)
    for month in range(1, 13):
        call("getMonth", y=2024, m=month, want=200)
        call("explainMonth", y=2024, m=month, want=200)
    call("explainMonth", y=1950, m=1, want=200)
    after = call("listItems", query={"limit": 1, "provider": "open_library", "year": 2024}, want=200).json["next"]
    call("listItems", query={"after": after, "limit": 2}, want=200)
    call("listItems", query={"status": "failed", "reason": "500"}, want=200)
    call.examples("redriveItems", 200)
    call.examples("adoptItems", 200)
    before = wait_until(lambda: call("listAudit", query={"limit": 1}, want=200).json["next"], 10, "two rows of the audit")
    call("listAudit", query={"before": before, "operator": "ada", "path": API}, want=200)
    for name in ("getHealth", "getReadiness", "getMetrics", "getDescription", "getDashboard", "getQuota", "getStats", "listMonths",
                 "getOverview", "listAlerts", "verify", "diagnose", "getConfig"):
        call(name, want=200)
    call("listAlerts", query={"limit": 5}, want=200)
    call("verify", query={"year_start": 2024, "year_end": 2024}, want=200)
    page = d.get("/").text
    for name in set(re.findall(r'"/?assets/([a-z0-9_.-]+)"', page)):
        call("getAsset", key=name, want=200)
    call("getAsset", key="nothing.js", want=404)


def test_requests_of_the_examples(d, doc, db):
    """Every operation is called, with each example of its body; status and answer are as described."""
    call = Caller(d, doc)
    run_the_months(call, d, db)
    steer_the_months(call, db)
    look_at_everything(call, d, db)
    request = urllib.request.Request(d.url + API + "events?last_event_id=0", headers={"X-Cron-Secret": d.secret})
    with urllib.request.urlopen(request, timeout=30) as stream:
        assert stream.headers["Content-Type"] == "text/event-stream"
        lines = [stream.readline().decode() for _ in range(20)]
    assert any(line.startswith("event: claimed") for line in lines), lines
    assert set(doc.by_id) - call.used == {"followEvents"}


def test_errors_are_as_described(d, doc):
    """Each operation: without the secret, from another site, by another method, too long, and with X-Operator that is none."""
    for name, (method, path, o) in doc.by_id.items():
        path = path.format(y=2024, m=1, job_id=UUID, key="x")
        send = d.get if method == "get" else d.post
        answers = [d.request("DELETE", path)]
        if o["security"]:
            answers += [send(path, secret=None), send(path, secret="wrong"), send(path, headers={"X-Operator": "x" * 101})]
        if method == "post":
            answers += [d.post(path, b'{"x":"' + b"y" * 70000 + b'"}'), d.post(path, {}, headers={"Origin": "http://evil.example"})]
        assert [a.status for a in answers] == ([405] + [401, 401, 400] * bool(o["security"]) + [413, 403] * (method == "post")), name
        for answer in answers:
            doc.check_answer(name, answer)
        assert ("429" in o["responses"]) == bool(o["security"]), name
    wait_until(lambda: d.get(API + "months", secret="wrong").status == 429, 30, "a wrong secret too many")
    for name in ("listMonths", "pause"):
        method, path, _ = doc.by_id[name]
        limited = [d.request(method.upper(), path, b"" if method == "post" else None, secret="wrong") for _ in range(3)]
        assert 429 in {a.status for a in limited}, limited
        for answer in limited:
            doc.check_answer(name, answer)


def test_without_the_database(daemon, relay, db):
    """503 with Retry-After, from each operation that says so and from no other; readiness has a shape of its own."""
    between = relay(int(re.search(r"port=(\d+)", db.conninfo).group(1)))
    d = daemon(conninfo=re.sub(r"port=\d+", f"port={between.port}", db.conninfo))
    doc = Document(d)
    between.cut()
    wait_until(lambda: d.get("/readyz").status == 503, 30, "it is unready")
    for name, (method, path, o) in doc.by_id.items():
        if name == "retryMonths":
            body = {"status": "failed"}
        else:
            body = None
        path = path.format(y=2024, m=1, job_id=UUID, key="9780306406157")
        answer = d.get(path) if method == "get" else d.post(path, body)
        assert (answer.status == 503) == ("503" in o["responses"]), (name, answer)
        doc.check_answer(name, answer)
    between.mend()


def leaves(schema, prefix=()):
    """(path of names, schema) of each field that is no object, and of each object."""
    for name, field in schema.get("properties", {}).items():
        yield (*prefix, name), field
        yield from leaves(field, (*prefix, name))


def nested(path, value):
    """{"a":{"b":value}} for ("a", "b")."""
    for name in reversed(path):
        value = {name: value}
    return value


def wrong_values(field):
    """Values that a field's schema forbids."""
    kind = field["type"]
    if kind == "integer":
        return [field["minimum"] - 1, field["maximum"] + 1, field["minimum"] + 0.5, str(field["minimum"]), True, None, []]
    if kind == "boolean":
        return [0, "true", None]
    if kind == "object":
        return [1, [], None, {"nobody": 1}]
    longest = [] if "enum" in field else ["x" * (field["maxLength"] + 1)] + [""] * (field["minLength"] > 0)
    odd = ["nothing-like-it"] if {"enum", "format", "pattern"} & set(field) else []
    return longest + odd + [1, False, None, ["x"]]


def test_bodies_are_checked_as_described(d, doc):
    """Each field of each body: a value that its schema forbids is a 400 that names it; so is a field that nobody described."""
    n = 0
    for name, (method, path, o) in doc.by_id.items():
        if method != "post":
            continue
        path = path.format(y=2024, m=1)
        schema = o["requestBody"]["content"]["application/json"]["schema"]
        answer = d.post(path, {"nobody": 1})
        assert answer.status == 400 and answer.json["details"][0]["field"] == "nobody", (name, answer)
        for field, inner in leaves(schema):
            for value in wrong_values(inner):
                answer = d.post(path, nested(field, value))
                fields = {p["field"] for p in answer.json["details"]} if answer.status == 400 else set()
                assert ".".join(field) in fields or ".".join((*field, "nobody")) in fields, (name, field, value, answer)
                doc.check_answer(name, answer)
                n += 1
    assert n > 150


def test_parameters_are_checked_as_described(d, doc):
    """Each parameter of each query the same way, and the bounds of what stands in a path."""
    for name, (method, path, o) in doc.by_id.items():
        place = path.format(y=2024, m=1, job_id=UUID, key="x")
        queries = [p for p in o.get("parameters", []) if p["in"] == "query"]
        for p in queries:
            for value in wrong_values(p["schema"]):
                if not isinstance(value, str) and not (p["schema"]["type"] == "integer" and isinstance(value, (int, float))):
                    continue
                if isinstance(value, bool) or (p["schema"]["type"] == "integer" and isinstance(value, str)):
                    continue
                answer = d.get(place + "?" + urllib.parse.urlencode({p["name"]: value}))
                assert answer.status == 400, (name, p["name"], value, answer)
                assert p["name"] in {x["field"] for x in answer.json["details"]}, (name, answer)
        if queries:
            assert d.get(place + "?nobody=1").status == 400, name
    for y, m, found in ((1900, 1, True), (2100, 12, True), (1899, 1, False), (2101, 1, False), (2024, 0, False), (2024, 13, False)):
        answer = d.get(f"{API}months/{y}/{m}/why")
        assert (answer.status == 200) == found, (y, m, answer)
    bounds = {p["name"]: p["schema"] for p in doc.by_id["explainMonth"][2]["parameters"] if p["in"] == "path"}
    assert [(s["minimum"], s["maximum"]) for s in (bounds["y"], bounds["m"])] == [(1900, 2100), (1, 12)]
