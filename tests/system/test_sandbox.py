"""The sandbox: seven wire formats, treacherous on purpose, the same answer to the same request, every fault on demand."""
import gzip
import html
import json
import os
import re
import socket
import subprocess
import threading
from urllib.parse import quote, urlencode, urlsplit

import pytest
import stand

MONTHS = ("January February March April May June July August September October November December").split()
PROVIDERS = ["gemini", "xai", "isbndb", "google_books", "open_library", "archive_org", "wikidata"]
SEARCHERS = PROVIDERS[2:]
AGENT = {"User-Agent": "sandbox-test/1.0 (tests@example.org)"}
HEADER = "year\tmonth\ttitle\tauthors\tisbn13\tisbn10\tpublisher\tlanguage\tpages\tratings_count\tsource\n"


@pytest.fixture(autouse=True, name="program")
def program_fixture(monkeypatch):
    """$BF_SANDBOX names another binary than the build's."""
    if os.environ.get("BF_SANDBOX"):
        own = os.environ["BF_SANDBOX"]
        monkeypatch.setattr(stand, "binary", lambda name, build=None: own)
        return own
    return str(stand.binary("provider-sandbox"))


def prompt(year, month, n=20):
    return f"Name up to {n} notable books that were first published in {MONTHS[month - 1]} {year}."


def gemini(sandbox, year=2023, month=11, n=20, key="k", model="gemini-3.5-flash-lite", **body):
    body = {"contents": [{"role": "user", "parts": [{"text": prompt(year, month, n)}]}], **body}
    return stand.http("POST", f"{sandbox.url}/gemini/models/{model}:generateContent", body, {"x-goog-api-key": key, **AGENT})


def xai(sandbox, year=2023, month=11, n=20, key="k", model="grok-4.3", **body):
    body = {"model": model, "messages": [{"role": "user", "content": prompt(year, month, n)}], **body}
    return stand.http("POST", f"{sandbox.url}/xai/chat/completions", body, {"Authorization": f"Bearer {key}", **AGENT})


def gemini_text(answer):
    parts = answer.json["candidates"][0]["content"]["parts"]
    return "".join(p["text"] for p in parts if not p.get("thought"))


def xai_text(answer):
    return answer.json["choices"][0]["message"]["content"]


def isbndb(sandbox, path, key="k", method="GET", body=None):
    return stand.http(method, f"{sandbox.url}/isbndb{path}", body, {"Authorization": key, **AGENT})


def sparql(title, author):
    literal = [json.dumps(t, ensure_ascii=False) for t in (title, author)]
    return ("SELECT ?w ?e ?thirteen ?ten ?lang ?label ?person WHERE { VALUES ?label { %s@en %s@mul } VALUES ?person { %s@en }"
            " ?a rdfs:label ?person . ?w wdt:P50 ?a ; rdfs:label ?label . { BIND(?w AS ?e) } UNION { ?e wdt:P629 ?w }"
            " OPTIONAL { ?e wdt:P212 ?thirteen } OPTIONAL { ?e wdt:P957 ?ten } OPTIONAL { ?e wdt:P407/wdt:P218 ?lang } }"
            % (literal[0], literal[0], literal[1]))


def search(sandbox, provider, title, author):
    """One provider's answer to a title and an author, as its users ask."""
    bare = title.replace('"', "")
    path = {
        "isbndb": f"/search/books?{urlencode({'text': title, 'author': author})}",
        "google_books": "/volumes?" + urlencode({"q": f'intitle:"{bare}" inauthor:"{author}"', "key": "k"}),
        "open_library": "/search.json?" + urlencode({"title": title, "author": author, "fields": "key,title,author_name,editions"}),
        "archive_org": "/advancedsearch.php?" + urlencode({"q": f'title:("{bare}") AND creator:("{author}") AND mediatype:texts',
                                                           "output": "json"}),
        "wikidata": "/sparql?" + urlencode({"query": sparql(title, author)}),
    }[provider]
    return stand.http("GET", f"{sandbox.url}/{provider}{path}", None, {"Authorization": "k", **AGENT})


def canon(text):
    """ISBN-13 of whatever spelling."""
    digits = re.sub(r"[^0-9X]", "", re.sub(r"\(.*", "", text.replace("ISBN:", "")))
    if len(digits) == 13:
        return digits
    assert len(digits) == 10, text
    body = "978" + digits[:9]
    return body + str(-sum(int(c) * (3 if i % 2 else 1) for i, c in enumerate(body)) % 10)


def isbns(provider, answer):
    """The ISBN of each result that has one, in order."""
    found = answer.json
    if provider == "isbndb":
        books = found.get("books", found.get("data"))
        return [canon(b.get("isbn13") or b["isbn"]) for b in (books.values() if isinstance(books, dict) else books)]
    if provider == "google_books":
        ids = [item["volumeInfo"].get("industryIdentifiers", []) for item in found.get("items", [])]
        ids = [[i["identifier"] for i in one if i["type"].startswith("ISBN") or i["identifier"].startswith("ISBN:")] for one in ids]
        return [canon(one[0]) for one in ids if one]
    if provider == "open_library":
        return [canon(e["isbn"][0]) for doc in found["docs"] for e in doc["editions"]["docs"]]
    if provider == "archive_org":
        docs = [d for d in found["response"]["docs"] if "isbn" in d and not re.match("bwb", d["identifier"], re.I)]
        return [canon(d["isbn"] if isinstance(d["isbn"], str) else d["isbn"][0]) for d in docs]
    return [canon(row.get("thirteen", row.get("ten"))["value"]) for row in found["results"]["bindings"]]


def lines(sandbox, path):
    return [json.loads(line) for line in stand.http("GET", sandbox.url + path).text.split("\n") if line.strip()]


def named(sandbox, year, month):
    """What both AIs name for a month, with what it is."""
    assert gemini(sandbox, year, month).status == xai(sandbox, year, month).status == 200
    return lines(sandbox, f"/_named?year={year}&month={month}")


def truth(sandbox, isbn):
    return lines(sandbox, f"/_truth?isbn={isbn}")[0]


def faults(sandbox, provider, **kinds):
    sandbox.control({"providers": {provider: {"faults": kinds}}})


# ---- starting and stopping ----

def test_ready_file_holds_one_whole_url_and_sigterm_ends_with_0(sandbox):
    """The URL is complete when the file is seen, answers, and the end is clean."""
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", sandbox.url)
    assert stand.http("GET", sandbox.url + "/_control").status == 200
    assert sandbox.stop() == 0


@pytest.mark.parametrize("argv, words", [
    (["--listen", "0.0.0.0:0"], "loopback"),
    (["--listen", "192.168.1.1:80"], "loopback"),
    (["--listen", "[::]:0"], "loopback"),
    (["--listen", "127.0.0.1"], "port"),
    (["--seed", "-1"], "--seed"),
    (["--seed", "x"], "--seed"),
    (["--latency", "slow"], "--latency"),
    (["stray"], "no arguments"),
    (["--catalogue", "/nonexistent.tsv"], "nonexistent.tsv"),
    (["--no-such-option"], "no-such-option"),
])
def test_bad_usage_is_refused_with_2(program, argv, words):
    """Nothing listens beyond loopback and a slip on the command line is told, not guessed at."""
    done = subprocess.run([program, *argv], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2 and words in done.stderr


def test_help_and_version(program):
    """Both go to stdout and end with 0."""
    for option, words in (("--help", "--catalogue"), ("--version", "provider-sandbox ")):
        done = subprocess.run([program, option], capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 0 and words in done.stdout


def test_catalogue_without_a_needed_column_is_refused(program, tmp_path):
    """The message names file, line and column."""
    file = tmp_path / "c.tsv"
    file.write_text("year\tmonth\ttitle\tisbn13\n2001\t1\tX\t9780439101363\n")
    done = subprocess.run([program, "--catalogue", file], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2 and f"{file}:1: no column `authors`" in done.stderr


def test_own_catalogue_is_served_and_bad_rows_are_skipped(make_sandbox, tmp_path):
    """Columns go by name; a bad ISBN, a month 13 and a doubled ISBN cost their rows only."""
    file = tmp_path / "c.tsv"
    file.write_text("isbn13\ttitle\tyear\tmonth\tauthors\n"
                    "9780439101363\tThe Only Lighthouse\t1950\t3\tAda Byron;Bo Li\n"
                    "9780439101364\tBad Check Digit\t1950\t3\tA B\n"
                    "9780571201754\tBad Month\t1950\t13\tA B\n"
                    "9780439101363\tTwice\t1950\t3\tA B\n")
    sandbox = make_sandbox(catalogue=file)
    sandbox.control({"providers": {"isbndb": {"coverage": 1}}, "invented": 0, "decoys": False})
    books = named(sandbox, 1950, 3)
    assert {"The Only Lighthouse"} == {b["work_title"] for b in books if b["work"].startswith("w")}
    assert truth(sandbox, "9780439101363")["title"] == "The Only Lighthouse"
    assert "9780439101363" in isbns("isbndb", search(sandbox, "isbndb", "Only Lighthouse", "Ada Byron"))
    assert "3 rows skipped" in sandbox.log


def test_two_editions_in_the_catalogue_are_one_work(make_sandbox, tmp_path):
    """Rows that differ in what a subtitle adds are one work to /_truth; volumes and another author's book are not."""
    rows = ["On Writing: A Memoir\tStephen King\t9780743455961", "On Writing: A Memoir of the Craft\tStephen King\t9780671024253",
            "Lucene in Action\tA Bee\t9781932394283", "Lucene in Action, Second Edition\tA Bee\t9781933988177",
            "Uzumaki: Spiral Vol. 1\tJunji Ito\t9781569317143", "Uzumaki: Spiral Vol. 2\tJunji Ito\t9781591160335",
            "On Writing: A Memoir\tSomebody Else\t9780571201754", "The Mole and the Fox\tA Bee\t9780063435605",
            "The Mole and the Fox Fifth Anniversary Limited Edition: The Bestseller\tA Bee\t9780062976581"]
    file = tmp_path / "c.tsv"
    file.write_text("year\tmonth\ttitle\tauthors\tisbn13\n" + "".join(f"2001\t1\t{row}\n" for row in rows))
    works = [truth(sandbox, row.split("\t")[2])["work"] for sandbox in [make_sandbox(catalogue=file)] for row in rows]
    assert works[0] == works[1] and works[2] == works[3] and works[7] == works[8] and len(set(works)) == 6


# ---- the AIs ----

def test_gemini_answers_by_the_schema(sandbox):
    """A bare array unless the schema is an object; only the schema's fields; usage adds up; the model is named."""
    schema = {"type": "ARRAY", "items": {"type": "OBJECT", "properties": {"title": {"type": "STRING"}, "author": {"type": "STRING"},
                                                                         "publication_year": {"type": "INTEGER"}}}}
    answer = gemini(sandbox, n=7, generationConfig={"responseSchema": schema})
    books = json.loads(gemini_text(answer))
    assert len(books) == 7 and all(set(b) == {"title", "author", "publication_year"} for b in books)
    usage = answer.json["usageMetadata"]
    assert usage["totalTokenCount"] == usage["promptTokenCount"] + usage["candidatesTokenCount"] + usage.get("thoughtsTokenCount", 0)
    assert answer.json["modelVersion"] == "gemini-3.5-flash-lite" and answer.json["candidates"][0]["finishReason"] == "STOP"
    whole = gemini(sandbox, generationConfig={"responseSchema": {"type": "OBJECT", "properties": {"books": schema}}})
    assert len(json.loads(gemini_text(whole))["books"]) == 20


def test_gemini_text_comes_in_parts_and_after_thoughts(sandbox):
    """Over some months there are split texts and thought parts: reading parts[0] alone would fail."""
    answers = [gemini(sandbox, 2010 + m // 12, m % 12 + 1) for m in range(36)]
    parts = [a.json["candidates"][0]["content"]["parts"] for a in answers]
    assert any(sum(not p.get("thought") for p in one) > 1 for one in parts)
    assert any(one[0].get("thought") for one in parts)
    assert all(len(json.loads(gemini_text(a))) == 20 for a in answers)


@pytest.mark.parametrize("change, words", [
    ({"generationConfig": {"maxTokens": 5}}, "Unknown name"),
    ({"generation": {}}, "Unknown name"),
    ({"contents": []}, "contents is not specified"),
    ({"contents": [{"role": "user", "parts": [{"text": "x"}]}, {"role": "model", "parts": [{"text": "y"}]}]}, "model turn"),
    ({"generationConfig": {"responseSchema": {"type": "OBJECT", "additionalProperties": False}}}, "additionalProperties"),
    ({"generationConfig": {"responseSchema": {}, "responseJsonSchema": {}}}, "Only one"),
    ({"generationConfig": {"thinkingConfig": {"thinkingBudget": 1, "thinkingLevel": "low"}}}, "only set one"),
])
def test_gemini_refuses_what_the_real_one_refuses(sandbox, change, words):
    """A request that only a lenient double would take is a 400 here."""
    answer = gemini(sandbox, **change)
    assert answer.status == 400 and words in answer.json["error"]["message"]


def test_xai_answers_an_object_with_usage_and_cost(sandbox):
    """{"books":[...]}; reasoning tokens stand beside completion tokens; the cost follows the price list."""
    answer = xai(sandbox, n=12).json
    books = json.loads(answer["choices"][0]["message"]["content"])["books"]
    assert len(books) == 12 and {"title", "author", "publication_year"} <= set(books[0])
    usage = answer["usage"]
    details = usage["completion_tokens_details"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] + details["reasoning_tokens"]
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    assert usage["cost_in_usd_ticks"] == ((usage["prompt_tokens"] - cached) * 12500 + cached * 2000 +
                                          (usage["completion_tokens"] + details["reasoning_tokens"]) * 25000)


@pytest.mark.parametrize("change, status", [
    ({"stop": ["x"]}, 400), ({"presence_penalty": 1}, 400), ({"messages": []}, 400),
    ({"model": "grok-4.20-0309-reasoning", "reasoning_effort": "low"}, 400), ({"model": "grok-retired"}, 404),
])
def test_xai_refuses_what_the_real_one_refuses(sandbox, change, status):
    """Parameters that the models do not take, and models that are gone."""
    assert xai(sandbox, **change).status == status


def test_xai_wants_json_as_content_type(sandbox):
    """Another content type is 415."""
    answer = stand.http("POST", sandbox.url + "/xai/chat/completions", "{}", {"Authorization": "Bearer k", "Content-Type": "text/plain"})
    assert answer.status == 415


def test_small_token_limit_cuts_the_text(sandbox):
    """maxOutputTokens is kept: the text ends inside the JSON and the finish reason says why."""
    answer = gemini(sandbox, generationConfig={"maxOutputTokens": 200})
    assert answer.json["candidates"][0]["finishReason"] == "MAX_TOKENS"
    with pytest.raises(ValueError):
        json.loads(gemini_text(answer))
    answer = xai(sandbox, max_completion_tokens=200)
    assert answer.json["choices"][0]["finish_reason"] == "length"


def test_month_lists_have_the_asked_overlap_and_invented_share(sandbox):
    """20 and 20 with overlap 0.3 and invented 0.1: 6 books both name, 2 invented each; the switches change that."""
    books = named(sandbox, 2015, 6)
    per = {p: [b for b in books if b["provider"] == p] for p in PROVIDERS[:2]}
    works = [{b["work"] for b in one} for one in per.values()]
    assert [len(w) for w in works] == [20, 20] and len(works[0] & works[1]) == 6
    assert [sum(not b["real"] for b in one) for one in per.values()] == [2, 2]
    assert all(not b["held_by"] for b in books if not b["real"])
    sandbox.control({"overlap": 1, "invented": 0})
    books = named(sandbox, 2015, 6)
    assert len({b["work"] for b in books}) == 20 and all(b["real"] for b in books)


def test_months_beyond_the_catalogue_get_books_of_their_own(sandbox):
    """1900, 1950, 2100 have full lists; no month's generated book is another month's."""
    seen = {}
    for year, month in ((1900, 1), (1950, 7), (1950, 8), (2100, 12)):
        for book in named(sandbox, year, month):
            if book["real"]:
                assert seen.setdefault(book["work"], (year, month)) == (year, month)
    assert len(seen) == 4 * 30


def test_invented_titles_are_in_no_catalogue(sandbox):
    """No invented title is a real one, and what a search gives for it is never called an edition of it."""
    real = {line["of_title"].casefold() for line in lines(sandbox, "/_truth")}
    invented = [b for m in range(1, 13) for b in named(sandbox, 2020, m) if not b["real"]]
    assert len(invented) == 48
    misses = 0
    for book in invented:
        assert book["work_title"].casefold() not in real
        for provider in SEARCHERS:
            for isbn in isbns(provider, search(sandbox, provider, book["title"], book["author"])):
                what = truth(sandbox, isbn)
                assert what["kind"] == "decoy" or what["work"] != book["work"]
                misses += 1
    assert misses > 50


def test_the_ais_spell_books_differently(sandbox):
    """Of the books both name, many titles or names differ from the other's and from the catalogue's."""
    sandbox.control({"overlap": 1, "invented": 0})
    both = {}
    for month in range(1, 13):
        for book in named(sandbox, 2012, month):
            both.setdefault(book["work"], []).append(book)
    pairs = list(both.values())
    assert all(len(p) == 2 for p in pairs)
    differ = sum((a["title"], a["author"]) != (b["title"], b["author"]) for a, b in pairs)
    assert differ > 0.1 * len(pairs)
    names = [(b["author"], b["work_authors"].split(";")[0].rsplit(" ", 1)) for p in pairs for b in p]
    assert any(wrote == ", ".join(reversed(name)) for wrote, name in names), "Last, First"


def test_no_month_in_the_prompt_gives_an_empty_list(sandbox):
    """A prompt without a month is not guessed at."""
    answer = gemini(sandbox, contents=[{"parts": [{"text": "Name some books."}]}])
    assert json.loads(gemini_text(answer)) == []


# ---- the searches ----

@pytest.mark.parametrize("seed", [1, 7])
def test_searches_find_what_is_held_and_only_that(make_sandbox, seed):
    """Whatever the AI's spelling, a holder lists an edition of the book and no other provider does; every ISBN handed out
    is known to /_truth; at least 30 % of titles have something else on top."""
    sandbox = make_sandbox(seed=seed)
    count = {p: {"held": 0, "found": 0, "asked": 0, "first_wrong": 0} for p in SEARCHERS}
    for year, month in ((2001, 2), (2009, 9), (2016, 4), (2024, 12)):
        for book in named(sandbox, year, month):
            for provider in SEARCHERS:
                what = [truth(sandbox, i) for i in isbns(provider, search(sandbox, provider, book["title"], book["author"]))]
                right = [w["kind"] == "edition" and w["work"] == book["work"] for w in what]
                n = count[provider]
                n["asked"] += bool(what)
                n["first_wrong"] += bool(what) and not right[0]
                n["held"] += provider in book["held_by"]
                n["found"] += any(right)
                assert all("work" in w for w in what)
                assert provider in book["held_by"] or not any(right)
    for provider in SEARCHERS[:4]:
        n = count[provider]
        assert n["found"] >= 0.97 * n["held"] > 0, (provider, n)
        assert n["first_wrong"] >= 0.3 * n["asked"], (provider, n)
    assert count["wikidata"]["found"] >= 0.6 * count["wikidata"]["held"] > 0, count["wikidata"]


def test_coverage_is_what_was_asked_for(sandbox):
    """The share of books a provider holds follows its switch; 0 and 1 are exact."""
    sandbox.control({"providers": {"isbndb": {"coverage": 1}, "google_books": {"coverage": 0}, "open_library": {"coverage": 0.5}}})
    books = {b["work"]: b for m in range(1, 13) for b in named(sandbox, 2018, m) if b["real"]}
    held = {p: sum(p in b["held_by"] for b in books.values()) / len(books) for p in SEARCHERS}
    assert held["isbndb"] == 1 and held["google_books"] == 0 and 0.4 < held["open_library"] < 0.6


def test_all_kinds_of_decoys_occur_and_their_isbns_are_valid(sandbox):
    """Summaries, guides, workbooks, box sets, sequels, namesakes, translations, large print: each is there, with check digits."""
    kinds = {}
    for line in lines(sandbox, "/_truth"):
        kinds[line["what"]] = kinds.get(line["what"], 0) + 1
        assert re.fullmatch(r"97[89]\d{10}", line["isbn"]) and canon(line["isbn"]) == line["isbn"]
        assert sum(int(c) * (3 if i % 2 else 1) for i, c in enumerate(line["isbn"])) % 10 == 0
    assert set(kinds) == {"edition", "summary", "study_guide", "workbook", "box_set", "sequel", "same_title", "translation",
                          "large_print"}


def test_truth_is_one_to_one_and_agrees_with_itself(sandbox):
    """No ISBN stands twice in /_truth, /_truth?isbn= says the same, and an ISBN of nobody is {}."""
    named(sandbox, 1955, 5)
    all_lines = lines(sandbox, "/_truth")
    assert len({line["isbn"] for line in all_lines}) == len(all_lines)
    assert any(line["work"].startswith("g") for line in all_lines) and any(line["work"].startswith("x") for line in all_lines)
    for line in all_lines[::97]:
        assert truth(sandbox, line["isbn"]) == line
    assert truth(sandbox, "9780306406157") == {} and truth(sandbox, "nonsense") == {}


def test_synthetic_isbns_keep_clear_of_the_catalogue(make_sandbox, tmp_path):
    """A catalogue that owns the ISBN which an edition or decoy would get: that one gets another, and both lead home."""
    file = tmp_path / "c.tsv"
    head, row = "year\tmonth\ttitle\tauthors\tisbn13\n", "2001\t1\t{}\tA Bee\t{}\n"
    file.write_text(head + row.format("First", "9780439101363"))
    taken = [x for x in lines(make_sandbox(catalogue=file), "/_truth") if x["isbn"] != "9780439101363"]
    file.write_text(head + row.format("First", "9780439101363") + "".join(row.format(f"Book {x['what']} {x['isbn']}", x["isbn"])
                                                                      for x in taken))
    sandbox = make_sandbox(catalogue=file)
    now = lines(sandbox, "/_truth")
    assert len({x["isbn"] for x in now}) == len(now) and len(taken) >= 3
    for before in taken:
        assert truth(sandbox, before["isbn"])["of_title"].endswith(before["isbn"])
    for x in (x for x in now if x["work"] == "w0"):
        assert truth(sandbox, x["isbn"]) == x


def test_decoys_off_leaves_editions_only(sandbox):
    """With decoys false every ISBN listed is an edition of the book asked for."""
    sandbox.control({"decoys": False})
    for book in named(sandbox, 2014, 3):
        for isbn in isbns("isbndb", search(sandbox, "isbndb", book["title"], book["author"])):
            what = truth(sandbox, isbn)
            assert what["kind"] == "edition" and what["work"] == book["work"]


def test_isbns_come_in_odd_spellings(sandbox):
    """Hyphens, ISBN-10, OTHER, ISSN, words in brackets, objects in place of lists: each occurs within a few months."""
    seen = ""
    for month in range(1, 7):
        for book in named(sandbox, 2006, month):
            for provider in SEARCHERS:
                seen += search(sandbox, provider, book["title"], book["author"]).text
    for mark in ('"OTHER"', '"ISSN"', "(pbk.)", '"pages":[]', "~autofilled~", '"isbn10":null', "bwb", '"data":{"0"', "UOM:"):
        assert mark in seen or mark.upper() in seen or mark.replace("data", "books") in seen, mark
    assert re.search(r'"97[89]-\d-', seen) and re.search(r'"isbn":"\d{9}[\dX]"', seen)


def test_same_request_same_answer_also_after_a_restart(make_sandbox):
    """Seed and request decide; another seed decides otherwise; the order of requests does not matter."""
    first, again, other = make_sandbox(seed=5), make_sandbox(seed=5), make_sandbox(seed=6)
    books = named(first, 1999, 2)
    queries = [(p, b["title"], b["author"]) for b in books for p in SEARCHERS]
    one = {q: search(first, *q).body for q in queries}
    two = {q: search(again, *q).body for q in reversed(queries)}
    assert one == two
    assert gemini(first).body == gemini(again).body != gemini(other).body


# ---- ISBNdb, Open Library and Wikidata by ISBN ----

def test_isbndb_bulk_costs_a_unit_per_isbn_and_leaves_unknown_ones_out(sandbox):
    """Found or not each ISBN counts; /key counts nothing and reports the rest."""
    sandbox.control({"providers": {"isbndb": {"coverage": 1, "daily_quota": 100}}})
    known = [line["isbn"] for line in lines(sandbox, "/_truth") if line["kind"] == "edition"][:40:4]
    answer = isbndb(sandbox, "/books", method="POST", body={"isbns": [*known, "9780306406157"]})
    books = answer.json["data"]
    books = list(books.values()) if isinstance(books, dict) else books
    assert answer.json["requested"] == 11 and answer.json["total"] == len(books) <= 10
    assert {canon(b.get("isbn13") or b["isbn"]) for b in books} <= set(known)
    assert isbndb(sandbox, "/key").json["plan_limit"] == {"total": 100, "spent": 11, "left": 89}
    counters = sandbox.counters("isbndb")
    assert (counters["units"], counters["requests"], counters["plan_requests"]) == (11, 1, 1)
    form = stand.http("POST", sandbox.url + "/isbndb/books", "isbns=" + ",".join(known[:2]),
                      {"Authorization": "k", "Content-Type": "application/x-www-form-urlencoded"})
    assert form.json["requested"] == 2


def test_isbndb_single_book_and_its_absence(sandbox):
    """/book/{isbn} by either length; 404 in ISBNdb's words for one that it lacks."""
    sandbox.control({"providers": {"isbndb": {"coverage": 1}}})
    line = next(x for x in lines(sandbox, "/_truth") if x["what"] == "edition" and x["isbn"].startswith("978"))
    assert isbndb(sandbox, f"/book/{line['isbn']}").json["book"]["title"]
    missing = isbndb(sandbox, "/book/9780306406157")
    assert missing.status == 404 and "Not Found" in missing.text


def test_open_library_fields_api_and_redirect(sandbox):
    """isbn and editions come only when asked for; /api/books answers under the asker's keys; /isbn redirects."""
    sandbox.control({"providers": {"open_library": {"coverage": 1}}, "decoys": False})
    line = next(x for x in lines(sandbox, "/_truth") if x["what"] == "edition")
    base = sandbox.url + "/open_library"
    query = urlencode({"title": line["title"], "author": line["authors"].split(";")[0]})
    assert not {"isbn", "editions"} & set(stand.http("GET", f"{base}/search.json?{query}").json["docs"][0])
    assert {"isbn", "editions"} <= set(stand.http("GET", f"{base}/search.json?{query}&fields=key,isbn,editions").json["docs"][0])
    found = stand.http("GET", f"{base}/api/books?bibkeys=ISBN:{line['isbn']},ISBN:9780306406157&format=json&jscmd=data").json
    assert list(found) == [f"ISBN:{line['isbn']}"]
    host, port = urlsplit(sandbox.url).netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=20) as raw:
        raw.sendall(f"GET /open_library/isbn/{line['isbn']}.json HTTP/1.0\r\n\r\n".encode())
        head = raw.makefile("rb").read().decode()
    assert " 302 " in head and re.search(r"Location: http://\S+/open_library/books/OL\d+M\.json", head)
    assert stand.http("GET", f"{base}/search.json?q=a").status == 422


def test_wikidata_finds_isbns_only_in_the_stored_spelling(sandbox):
    """GET, POST form and raw POST agree; the hyphenated literal is found, the plain digits of the same ISBN are not."""
    sandbox.control({"providers": {"wikidata": {"coverage": 1}}, "decoys": False})
    url = sandbox.url + "/wikidata/sparql"
    stored = None
    for line in (x for x in lines(sandbox, "/_truth") if x["what"] == "edition"):
        query = sparql(line["of_title"], line["of_authors"].split(";")[0])
        rows = stand.http("GET", f"{url}?{urlencode({'query': query})}", None, AGENT).json["results"]["bindings"]
        stored = next((r["thirteen"]["value"] for r in rows if "-" in r.get("thirteen", {}).get("value", "")), None)
        if stored:
            break
    bodies = [stand.http("GET", f"{url}?{urlencode({'query': query})}", None, AGENT),
              stand.http("POST", url, urlencode({"query": query}), {"Content-Type": "application/x-www-form-urlencoded", **AGENT}),
              stand.http("POST", url, query, {"Content-Type": "application/sparql-query", **AGENT})]
    assert len({b.body for b in bodies}) == 1 and bodies[0].json["head"]["vars"][2] == "thirteen"

    def by_isbn(isbn):
        q = 'SELECT ?x WHERE { VALUES ?x { "%s" } ?ed wdt:P212 ?x }' % isbn
        return stand.http("POST", url, urlencode({"query": q}), {"Content-Type": "application/x-www-form-urlencoded", **AGENT})
    assert by_isbn(stored).json["results"]["bindings"][0]["x"]["value"] == stored
    assert by_isbn(stored.replace("-", "")).json["results"]["bindings"] == []
    assert stand.http("POST", url, "SELECT ?x WHERE {", {"Content-Type": "application/sparql-query", **AGENT}).status == 400


# ---- what enrichment asks ----

LOOKED_UP = ["isbndb", "open_library", "archive_org", "wikidata"]
FORM = {"Content-Type": "application/x-www-form-urlencoded", **AGENT}


def holds_all(sandbox, **more):
    sandbox.control({"providers": {p: {"coverage": 1} for p in LOOKED_UP}, **more})


def truths(sandbox, n, start=0):
    """n lines of /_truth, editions and decoys as they come."""
    return lines(sandbox, "/_truth")[start:start + n]


def bulk(sandbox, asked):
    """ISBNdb's records of ISBNs, by ISBN-13."""
    found = isbndb(sandbox, "/books", method="POST", body={"isbns": asked}).json["data"]
    found = list(found.values()) if isinstance(found, dict) else found
    return {canon(b.get("isbn13") or b["isbn"]): b for b in found}


def open_library_data(sandbox, asked):
    query = urlencode({"bibkeys": ",".join(f"ISBN:{i}" for i in asked), "format": "json", "jscmd": "data"})
    found = stand.http("GET", f"{sandbox.url}/open_library/api/books?{query}", None, AGENT).json
    return {key[5:]: book for key, book in found.items()}


def archive_docs(sandbox, asked, rows=1000, quoted=False):
    terms = " OR ".join(f'"{i}"' if quoted else i for i in asked)
    query = urlencode({"q": f"isbn:({terms}) AND mediatype:texts", "rows": rows, "output": "json"})
    return stand.http("GET", f"{sandbox.url}/archive_org/advancedsearch.php?{query}", None, AGENT).json["response"]["docs"]


def archive_isbns(doc):
    listed = doc["isbn"] if isinstance(doc["isbn"], list) else [doc["isbn"]]
    return {canon(i) for i in listed}


def is_pallet(doc):
    return bool(re.match("bwb|books_", doc["identifier"], re.I))


def spellings(isbn):
    """The plain form and all 28 ways to hyphenate the nine digits in the middle."""
    prefix, nine, check = isbn[:3], isbn[3:12], isbn[12]
    return [isbn] + [f"{prefix}-{nine[:a]}-{nine[a:b]}-{nine[b:]}-{check}" for a in range(1, 8) for b in range(a + 1, 9)]


def wikidata_rows(sandbox, asked):
    values = " ".join(f'"{s}"' for i in asked for s in spellings(i))
    query = ("SELECT ?ed ?work ?i13 ?t ?n ?pub ?date ?pages WHERE { VALUES ?i13 { %s } ?ed wdt:P212 ?i13 ."
             " OPTIONAL { ?ed wdt:P629 ?work } OPTIONAL { ?ed wdt:P1476 ?own } OPTIONAL { ?ed rdfs:label ?el }"
             " BIND(COALESCE(?own, ?el) AS ?t) OPTIONAL { ?ed (wdt:P50|(wdt:P629/wdt:P50))/rdfs:label ?n }"
             " OPTIONAL { ?ed wdt:P577 ?date } OPTIONAL { ?ed wdt:P123/rdfs:label ?pub } OPTIONAL { ?ed wdt:P1104 ?pages } }" % values)
    answer = stand.http("POST", sandbox.url + "/wikidata/sparql", urlencode({"query": query, "format": "json"}), FORM)
    assert answer.status == 200, answer
    return answer.json["results"]["bindings"]


def plain(text):
    return html.unescape(text).casefold()


def test_isbndb_knows_every_edition_and_every_decoy(sandbox):
    """Each ISBN of /_truth that a holder was asked for is answered with its own title and author, in bulk and alone."""
    holds_all(sandbox)
    asked = truths(sandbox, 400)
    assert {"edition", "summary", "sequel", "same_title", "translation"} <= {x["what"] for x in asked}
    found = {}
    for at in range(0, len(asked), 100):
        found.update(bulk(sandbox, [x["isbn"] for x in asked[at:at + 100]]))
    slots = {}
    for x in asked:
        if x["isbn"] not in found:
            assert x["kind"] == "edition"       # a holder of a work lacks some of its later editions
            continue
        assert plain(found[x["isbn"]]["title_long"]).startswith(plain(x["title"])), x
        if x["kind"] == "edition":
            slots.setdefault((x["work"], x["of_title"]), []).append(found[x["isbn"]]["binding"])
    assert max(len(v) for v in slots.values()) >= 3 and all(len(set(v)) == len(v) for v in slots.values())
    assert sum(len(v) > 1 for v in slots.values()) > 0.6 * len(slots)
    one = next(x for x in asked if x["kind"] == "decoy")
    assert isbndb(sandbox, f"/book/{one['isbn']}").json["book"] == found[one["isbn"]]


def test_isbndb_coverage_holds_for_bulk_too(sandbox):
    """A provider without coverage has no edition; decoys are switched off with the decoys."""
    sandbox.control({"decoys": False, "providers": {"isbndb": {"coverage": 0}}})
    assert bulk(sandbox, [x["isbn"] for x in truths(sandbox, 100)]) == {}


def test_a_bulk_call_beyond_the_quota_is_refused_whole(sandbox):
    """Nine units left and ten asked: the daily answer, nothing spent; nine are served."""
    sandbox.control({"providers": {"isbndb": {"daily_quota": 12, "coverage": 1}}})
    isbns_asked = [x["isbn"] for x in truths(sandbox, 10)]
    assert isbndb(sandbox, "/books", method="POST", body={"isbns": isbns_asked[:3]}).status == 200
    refused = isbndb(sandbox, "/books", method="POST", body={"isbns": isbns_asked})
    assert refused.status == 429 and "Daily quota exceeded" in refused.text
    assert sandbox.counters("isbndb")["units"] == 3
    assert isbndb(sandbox, "/books", method="POST", body={"isbns": isbns_asked[:9]}).status == 200
    assert sandbox.counters("isbndb")["units"] == 12


def test_a_bulk_call_takes_a_thousand(sandbox):
    """1000 ISBNs are answered, 1001 refused without a unit."""
    asked = [x["isbn"] for x in truths(sandbox, 1001)]
    assert isbndb(sandbox, "/books", method="POST", body={"isbns": asked}).status == 400
    assert sandbox.counters("isbndb")["units"] == 0
    assert isbndb(sandbox, "/books", method="POST", body={"isbns": asked[:1000]}).json["requested"] == 1000


def test_open_library_data_has_the_real_ones_shape(sandbox):
    """People, publishers and subjects are objects with a name, covers have three sizes, identifiers are lists, what is unknown
    is absent."""
    holds_all(sandbox)
    asked = {x["isbn"]: x for x in truths(sandbox, 100)}
    found = open_library_data(sandbox, [*asked, "9780306406157"])
    assert len(found) > 60 and "9780306406157" not in found
    for isbn, book in found.items():
        assert plain(book["title"]).startswith(plain(asked[isbn]["title"]))
        assert re.fullmatch(r"/books/OL\d+M", book["key"]) and book["publishers"][0]["name"] and book["publish_date"]
        assert isbn in {canon(i) for i in book["identifiers"]["isbn_13"]}
        assert all(isinstance(v, list) for v in book["identifiers"].values())
        assert isinstance(book.get("number_of_pages", 1), int) and ("number_of_pages" in book or "pagination" in book)
    assert any(set(b["cover"]) == {"small", "medium", "large"} for b in found.values() if "cover" in b)
    assert any(b["subjects"][0]["name"] for b in found.values() if "subjects" in b)
    assert {"goodreads", "librarything", "openlibrary"} <= {k for b in found.values() for k in b["identifiers"]}


def test_archive_org_finds_isbns_and_pallets(sandbox):
    """One query for many ISBNs of either length: documents carry what was asked for, as text or list; some answers begin with a
    pallet of hundreds, whose ISBNs say nothing; rows caps the list."""
    holds_all(sandbox)
    known = [x for x in truths(sandbox, 800) if x["kind"] == "edition"]
    pallets = found = 0
    shapes = set()
    for at in range(0, 200, 5):
        asked = {x["isbn"]: x for x in known[at:at + 5]}
        docs = archive_docs(sandbox, [*asked, "9780306406157"], quoted=at % 3 == 0)
        pallets += sum(map(is_pallet, docs))
        for doc in docs:
            if is_pallet(doc):
                assert len(doc["isbn"]) > 200 and {*asked, "9780306406157"} <= set(doc["isbn"])
                continue
            hits = archive_isbns(doc) & set(asked)
            assert hits, doc
            assert any(asked[i]["title"].casefold() in str(doc["title"]).casefold() for i in hits)
            shapes.add(type(doc["isbn"]))
            found += 1
    assert pallets and found > 140 and shapes == {str, list}, (pallets, found, shapes)
    tens = [x["isbn"] for x in known if x["isbn"].startswith("978")][:5]
    ten = [i[3:12] + "0123456789X"[-sum((10 - k) * int(c) for k, c in enumerate(i[3:12])) % 11] for i in tens]
    by_ten = {i for doc in archive_docs(sandbox, ten) if not is_pallet(doc) for i in archive_isbns(doc)}
    assert by_ten & set(tens)
    assert len(archive_docs(sandbox, [x["isbn"] for x in known[:50]], rows=7)) == 7


def test_wikidata_finds_a_batch_by_all_spellings(sandbox):
    """50 ISBNs in 29 spellings each go in one form; each row is an edition among those asked, with its title and one author."""
    holds_all(sandbox)
    asked = {x["isbn"]: x for x in truths(sandbox, 2000) if x["kind"] == "edition"}
    asked = dict(list(asked.items())[:50])
    rows = wikidata_rows(sandbox, asked)
    assert len({canon(r["i13"]["value"]) for r in rows}) > 25
    for r in rows:
        line = asked[canon(r["i13"]["value"])]
        assert r["t"]["value"] == line["title"] and r["n"]["value"] in line["authors"].split(";")
        assert r["work"]["value"].startswith("http://www.wikidata.org/entity/Q") and r["ed"]["type"] == "uri"
    assert any("-" in r["i13"]["value"] for r in rows) and any("-" not in r["i13"]["value"] for r in rows)
    of_two = {r["ed"]["value"] for r in rows if ";" in asked[canon(r["i13"]["value"])]["authors"]}
    assert all(sum(r["ed"]["value"] == ed for r in rows) >= 2 for ed in of_two)
    assert wikidata_rows(sandbox, ["9780306406157"]) == []


def test_providers_agree_on_which_book_an_isbn_is(sandbox):
    """Title and surname of every provider's record are those of /_truth, however they are spelt."""
    holds_all(sandbox)
    asked = {x["isbn"]: x for x in truths(sandbox, 120, start=300)}
    said = {"isbndb": {}, "open_library": {}, "archive_org": {}, "wikidata": {}}
    for isbn, b in bulk(sandbox, [*asked]).items():
        names = b["authors"].values() if isinstance(b["authors"], dict) else b["authors"]
        said["isbndb"][isbn] = (b["title_long"], " ".join(names))
    for isbn, b in open_library_data(sandbox, [*asked][:100]).items():
        said["open_library"][isbn] = (b["title"], " ".join(a["name"] for a in b.get("authors", [])) or None)
    for doc in archive_docs(sandbox, [*asked]):
        for isbn in archive_isbns(doc) & set(asked) if not is_pallet(doc) else ():
            said["archive_org"][isbn] = (str(doc["title"]), str(doc["creator"]))
    for r in wikidata_rows(sandbox, [*asked][:60]):
        said["wikidata"][canon(r["i13"]["value"])] = (r["t"]["value"], r["n"]["value"])
    for provider, records in said.items():
        assert len(records) > 20, provider
        for isbn, (title, authors) in records.items():
            assert plain(asked[isbn]["title"]) in plain(title), (provider, asked[isbn], title)
            surnames = [plain(n).rstrip(".").split()[-1] for n in asked[isbn]["authors"].split(";")]
            assert authors is None or any(s in plain(authors) for s in surnames), (provider, asked[isbn], authors)


def test_records_give_the_merge_work_to_do(sandbox):
    """Mark-up, entities, odd case, four shapes of dates, languages of several schemes, both schemes of URLs, long blurbs."""
    holds_all(sandbox)
    asked = [x["isbn"] for x in truths(sandbox, 900)]
    books = {}
    for at in range(0, len(asked), 300):
        books.update(bulk(sandbox, asked[at:at + 300]))
    text = json.dumps(list(books.values()), ensure_ascii=False)
    for mark in ("<br/>", "<p>", "&amp;", "&#39;", '"pages": []', "Https://", "http://", "~autofilled~", '"Subjects"', "FICTION",
                 '"related": []', '"dimensions_structured": []', '"synopsys"', '"overview"', ", Inc.", '"msrp": "0.00"', '"0": '):
        assert mark in text, mark
    dates = {re.sub(r"\d", "9", str(b["date_published"])) for b in books.values()}
    assert {"9999", "9999-99", "9999-99-99", "9999-99-99t99:99:99z"} <= dates and any(d[0].isalpha() for d in dates)
    assert {"en", "eng", "en_US", "English"} <= {b["language"] for b in books.values()}
    blurbs = [len(b.get("synopsis", "")) for b in books.values()]
    assert max(blurbs) > 5000 and 0 in blurbs
    other = open_library_data(sandbox, asked[:100])
    differ = [i for i in other if i in books and other[i]["publishers"][0]["name"] != books[i]["publisher"]]
    assert differ and any(re.match("[A-Z]\\. ", a["name"]) for b in open_library_data(sandbox, asked[100:200]).values()
                          for a in b.get("authors", [])) | any(re.match("[A-Z]\\. ", a["name"]) for b in other.values()
                                                              for a in b.get("authors", []))


def test_namesakes_and_editions_of_other_months_are_in_the_catalogue(sandbox):
    """The built-in catalogue has works of one title by two authors, and works named in two months under two spellings."""
    firsts = {}
    for x in lines(sandbox, "/_truth"):
        if x["kind"] == "edition":
            firsts[(x["of_title"], x["of_authors"])] = x["true_work"]
    by_title, by_work = {}, {}
    for (title, author), work in firsts.items():
        by_title.setdefault(title, set()).add(work)
        by_work.setdefault(work, set()).add((title, author))
    assert sum(len(v) > 1 for v in by_title.values()) >= 8
    assert sum(len(v) > 1 for v in by_work.values()) >= 8
    months = {}
    for year, month in ((2024, m) for m in range(1, 13)):
        for book in named(sandbox, year, month):
            months.setdefault(book["work"], set()).add((month, book["work_title"]))
    assert any(len({m for m, _ in v}) > 1 and len({t for _, t in v}) > 1 for v in months.values())


def test_true_work_tells_books_of_their_own_from_editions(sandbox):
    """A translation and large print are the work itself; a guide, a sequel, a namesake are works that no edition shares."""
    of = {}
    for x in lines(sandbox, "/_truth"):
        of.setdefault(x["what"], []).append(x)
    for what in ("edition", "translation", "large_print"):
        assert all(x["true_work"] == x["work"] for x in of[what])
    editions = {x["true_work"] for x in of["edition"]}
    for what in ("summary", "study_guide", "workbook", "box_set", "sequel", "same_title"):
        own = [x["true_work"] for x in of[what]]
        assert len(set(own)) == len(own) and not set(own) & editions


# ---- refusals ----

@pytest.mark.parametrize("ask, status, words", [
    (lambda s: gemini(s, key=""), 400, "API_KEY_INVALID"),
    (lambda s: gemini(s, key="bad-key"), 400, "API_KEY_INVALID"),
    (lambda s: gemini(s, model="gemini-retired"), 404, "is not found for API version"),
    (lambda s: xai(s, key=""), 401, "credentials"),
    (lambda s: xai(s, key="bad-key"), 400, "Incorrect API key"),
    (lambda s: isbndb(s, "/key", key=""), 401, "Full authentication"),
    (lambda s: isbndb(s, "/key", key="Bearer k"), 401, "Full authentication"),
    (lambda s: isbndb(s, "/nothing"), 404, "Not Found"),
    (lambda s: stand.http("GET", s.url + "/google_books/volumes?q=x"), 429, '"quota_limit_value":"0"'),
    (lambda s: stand.http("GET", s.url + "/google_books/volumes?q=x&key=bad"), 400, "API_KEY_INVALID"),
    (lambda s: stand.http("GET", s.url + "/google_books/volumes?q=x&key=k&maxResults=41"), 400, "within the range"),
    (lambda s: stand.http("GET", s.url + "/open_library/nothing"), 404, "<html"),
    (lambda s: stand.http("GET", s.url + "/archive_org/nothing"), 404, "<html"),
    (lambda s: stand.http("GET", s.url + "/archive_org/advancedsearch.php?output=json&q="), 200, '"error"'),
    (lambda s: stand.http("GET", s.url + "/wikidata/nothing", None, AGENT), 404, "<html"),
    (lambda s: stand.http("GET", s.url + "/wikidata/sparql?query=x", None, {"User-Agent": ""}), 403, "user-agent"),
    (lambda s: stand.http("GET", s.url + "/nobody/here"), 404, "no such path"),
    (lambda s: stand.http("DELETE", s.url + "/_counters"), 404, "no such path"),
])
def test_refusals_are_the_providers_own(sandbox, ask, status, words):
    """Keys, models, paths: status and words are what the real service sends."""
    answer = ask(sandbox)
    assert answer.status == status and words in answer.text


def ask_any(sandbox, provider, n=0):
    """A good request to any provider; n makes it another one."""
    if provider == "gemini":
        return gemini(sandbox, 2001 + n // 12, n % 12 + 1)
    if provider == "xai":
        return xai(sandbox, 2001 + n // 12, n % 12 + 1)
    return search(sandbox, provider, f"White Teeth {n}", "Zadie Smith")


DAILY_WORDS = {"gemini": "PerDay", "xai": "spending limit", "isbndb": "Daily quota exceeded, please try again later",
               "google_books": "Queries per day", "open_library": "Too Many", "archive_org": "Too Many", "wikidata": "retry in"}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_daily_quota_ends_in_the_providers_words_until_reset(sandbox, provider):
    """After N units comes the daily answer, which costs none; /_reset starts a new day."""
    sandbox.control({"providers": {provider: {"daily_quota": 3}}})
    assert [ask_any(sandbox, provider, n).status for n in range(5)] == [200, 200, 200, 429, 429]
    assert DAILY_WORDS[provider] in ask_any(sandbox, provider).text
    counters = sandbox.counters(provider)
    assert counters["units"] == 3 and counters["requests"] == 6 and counters["by_status"] == {"200": 3, "429": 3}
    sandbox.reset()
    assert ask_any(sandbox, provider).status == 200


@pytest.mark.parametrize("provider", PROVIDERS)
def test_rate_is_held_to_the_second(sandbox, provider):
    """More requests in a second than allowed: 429 that costs no unit; Wikidata alone says in a header when to come back."""
    sandbox.control({"providers": {provider: {"rate": 1}}})
    answers = [ask_any(sandbox, provider, n) for n in range(30)]
    refused = [a for a in answers if a.status == 429]
    assert answers[0].status == 200 and refused
    counters = sandbox.counters(provider)
    assert counters["peak_per_second"] > 1 and counters["units"] == 30 - len(refused)
    assert ("Retry-After" in refused[0].headers) or provider != "wikidata"
    if provider in ("gemini", "isbndb", "google_books", "open_library"):
        assert not any("Retry-After" in a.headers for a in refused)


# ---- faults ----

@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("fault, status", [("401", 401), ("403", 403), ("404", 404), ("500", 500), ("502", 502), ("503", 503),
                                           ("504", 504), ("429", 429), ("429_minute", 429), ("429_daily", 429)])
def test_status_faults(sandbox, provider, fault, status):
    """Each comes with its status, and is cleared by an empty object."""
    faults(sandbox, provider, **{fault: 1})
    assert ask_any(sandbox, provider).status == status
    faults(sandbox, provider)
    assert ask_any(sandbox, provider).status == 200
    assert sandbox.counters(provider)["by_status"] == {"200": 1, str(status): 1}


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("fault", ["invalid_json", "invalid_utf8", "html"])
def test_spoilt_bodies_are_no_json(sandbox, provider, fault):
    """The status is 200 and the body cannot be read."""
    for n in range(4):
        faults(sandbox, provider)
        assert ask_any(sandbox, provider, n).json is not None
        faults(sandbox, provider, **{fault: 1})
        answer = ask_any(sandbox, provider, n)
        assert answer.status == 200
        with pytest.raises(ValueError):
            json.loads(answer.body.decode("utf-8"))


@pytest.mark.parametrize("provider", SEARCHERS)
def test_empty_and_error_object_of_searches(sandbox, provider):
    """`empty` is a proper answer without results; `error_object` is an error that came with 200."""
    faults(sandbox, provider, empty=1)
    assert isbns(provider, ask_any(sandbox, provider)) == []
    sandbox.control({"providers": {provider: {"faults": {"empty": 0, "error_object": 1}}}})
    answer = ask_any(sandbox, provider)
    assert answer.status == 200 and ("TimeoutException" in answer.text if provider == "wikidata" else "rror" in answer.text)


@pytest.mark.parametrize("provider, mark", [("isbndb", '"title":1984'), ("google_books", '"title":1984'),
                                            ("open_library", '"title":1984'), ("archive_org", '"title":1984'), ("wikidata", "{}")])
def test_one_bad_item_of_searches(sandbox, provider, mark):
    """Exactly one item of a list is malformed, the rest is as before."""
    sandbox.control({"decoys": False, "providers": {provider: {"coverage": 1}}})
    faults(sandbox, provider, one_bad_item=1)
    answer = search(sandbox, provider, "White Teeth", "Zadie Smith")
    assert answer.text.count(mark) == 1 and answer.json


def test_faults_of_the_ais(sandbox):
    """Fences, refusals, safety, empty lists, cut texts and bad items, in each AI's shape."""
    def both(fault):
        for provider in PROVIDERS[:2]:
            faults(sandbox, provider)
            faults(sandbox, provider, **{fault: 1})
        return gemini(sandbox), xai(sandbox)
    g, x = both("fenced")
    assert gemini_text(g).startswith("```") and xai_text(x).startswith("```")
    g, x = both("refusal")
    assert "error" in json.loads(gemini_text(g)) and xai_text(x) is None and x.json["choices"][0]["message"]["refusal"]
    g, x = both("error_object")
    assert "error" in json.loads(gemini_text(g)) and "error" in json.loads(xai_text(x))
    g, x = both("safety")
    assert "promptFeedback" in g.json or g.json["candidates"][0]["finishReason"] == "SAFETY"
    assert x.json["choices"][0]["finish_reason"] == "content_filter"
    g, x = both("empty")
    assert json.loads(gemini_text(g)) == [] and json.loads(xai_text(x)) == {"books": []}
    g, x = both("max_tokens_cut")
    assert g.json["candidates"][0]["finishReason"] == "MAX_TOKENS" and x.json["choices"][0]["finish_reason"] == "length"
    for text in (gemini_text(g), xai_text(x)):
        with pytest.raises(ValueError):
            json.loads(text)
    g, x = both("one_bad_item")
    for books in (json.loads(gemini_text(g)), json.loads(xai_text(x))["books"]):
        bad = [b for b in books if not isinstance(b["title"], str) or b["author"] is None or "publication_year" not in b]
        assert len(bad) == 1 and len(books) == 20


def raw_get(sandbox, path, timeout=20):
    """A socket after the request has gone out."""
    host, port = urlsplit(sandbox.url).netloc.split(":")
    raw = socket.create_connection((host, int(port)), timeout=timeout)
    raw.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nUser-Agent: t\r\nAuthorization: k\r\n\r\n".encode())
    return raw


ISBNDB_PATH = "/isbndb/books/" + quote("White Teeth Zadie Smith")


def test_reset_is_a_reset(sandbox):
    """The peer gets RST, not an orderly end."""
    faults(sandbox, "isbndb", reset=1)
    with raw_get(sandbox, ISBNDB_PATH) as raw, pytest.raises(ConnectionResetError):
        raw.recv(1)
    assert sandbox.counters("isbndb")["by_status"] == {"none": 1}


def test_stall_says_nothing_until_the_client_goes(sandbox):
    """Nothing comes while the connection is open; afterwards nothing is in flight."""
    faults(sandbox, "isbndb", stall=1)
    with raw_get(sandbox, ISBNDB_PATH, timeout=0.5) as raw:
        with pytest.raises(TimeoutError):
            raw.recv(1)
        assert sandbox.counters("isbndb")["in_flight"] == 1
    stand.wait_until(lambda: sandbox.counters("isbndb")["in_flight"] == 0, 20)


def test_drip_sends_a_byte_at_a_time(sandbox):
    """The header announces the whole body, of which single bytes come; the client's leaving ends it."""
    faults(sandbox, "isbndb", drip=1)
    with raw_get(sandbox, ISBNDB_PATH, timeout=20) as raw:
        data = b""
        while b"\r\n\r\n" not in data or len(data.split(b"\r\n\r\n", 1)[1]) < 2:
            data += raw.recv(4096)
        head, body = data.split(b"\r\n\r\n", 1)
        assert int(re.search(rb"Content-Length: (\d+)", head).group(1)) > 100 and len(body) == 2
    stand.wait_until(lambda: sandbox.counters("isbndb")["in_flight"] == 0, 20)


def test_truncated_closes_before_the_announced_length(sandbox):
    """Fewer bytes than Content-Length, then the end."""
    faults(sandbox, "isbndb", truncated=1)
    with raw_get(sandbox, ISBNDB_PATH) as raw:
        head, body = raw.makefile("rb").read().split(b"\r\n\r\n", 1)
    assert 0 < len(body) < int(re.search(rb"Content-Length: (\d+)", head).group(1))


def test_oversized_is_20_mib_and_keeps_no_memory(sandbox):
    """The body passes any cap; a reader who leaves early costs nothing."""
    faults(sandbox, "isbndb", oversized=1)
    answer = stand.http("GET", sandbox.url + ISBNDB_PATH, None, {"Authorization": "k"})
    assert len(answer.body) >= 20 << 20
    for _ in range(3):
        with raw_get(sandbox, ISBNDB_PATH) as raw:
            raw.recv(100000)
    stand.wait_until(lambda: sandbox.counters("isbndb")["in_flight"] == 0, 20)


def test_gzip_bomb_is_small_on_the_wire_and_large_inside(sandbox):
    """Less than 1 MiB unpacks to 200 MB."""
    faults(sandbox, "isbndb", gzip_bomb=1)
    answer = stand.http("GET", sandbox.url + ISBNDB_PATH, None, {"Authorization": "k"})
    assert answer.headers["Content-Encoding"] == "gzip" and len(answer.body) < 1 << 20
    assert len(gzip.decompress(answer.body)) >= 200_000_000


def test_fault_attempts_let_a_retry_through(sandbox):
    """With fault_attempts 2 the third identical request is answered; another request meets its own fault."""
    sandbox.control({"fault_attempts": 2, "providers": {"isbndb": {"faults": {"503": 1}}}})
    assert [ask_any(sandbox, "isbndb", 1).status for _ in range(4)] == [503, 503, 200, 200]
    assert ask_any(sandbox, "isbndb", 2).status == 503


def test_fault_probability_is_by_request(sandbox):
    """0.3 strikes about three in ten, and the same ones each time; the key does not change the draw."""
    faults(sandbox, "google_books", **{"500": 0.3})
    runs = [[ask_any(sandbox, "google_books", n).status for n in range(200)] for _ in range(2)]
    assert runs[0] == runs[1] and 35 <= runs[0].count(500) <= 85
    path = "/google_books/volumes?q=intitle:x&key="
    assert len({stand.http("GET", sandbox.url + path + key).status for key in "abcdefgh"}) == 1


# ---- control and counters ----

@pytest.mark.parametrize("body, words", [
    ({"sed": 1}, "sed"), ({"invented": 2}, "invented"), ({"invented": "0.1"}, "invented"), ({"decoys": 1}, "decoys"),
    ({"providers": {"isbnd": {}}}, "isbnd"), ({"providers": {"isbndb": {"faults": {"405": 1}}}}, "405"),
    ({"providers": {"isbndb": {"faults": {"fenced": 1}}}}, "fenced"), ({"providers": {"gemini": {"coverage": 1}}}, "coverage"),
    ({"providers": {"isbndb": {"latency_ms": [5, 1]}}}, "latency_ms"), ({"providers": {"isbndb": {"rate": -1}}}, "rate"),
    ({"providers": {"isbndb": {"faults": {"500": 0.7, "503": 0.7}}}}, "more than 1"), ([1], "object"), ({"seed": -1}, "seed"),
])
def test_a_wrong_control_is_refused_whole(sandbox, body, words):
    """400 with what is wrong, and nothing of it is in effect."""
    before = sandbox.control()
    answer = stand.http("PUT", sandbox.url + "/_control", {"overlap": 0.9, **body} if isinstance(body, dict) else body)
    assert answer.status == 400 and words in answer.json["error"]
    assert sandbox.control() == before


def test_control_merges_and_shows_what_it_takes(sandbox):
    """Members not named stay; what GET shows can be PUT back."""
    sandbox.control({"seed": 9, "providers": {"isbndb": {"latency_ms": [1, 2], "faults": {"429": 0.02}}}})
    sandbox.control({"providers": {"isbndb": {"coverage": 0.5, "faults": {"503": 0.1}}}})
    shown = sandbox.control()
    assert shown["seed"] == 9 and shown["overlap"] == 0.3
    one = shown["providers"]["isbndb"]
    assert one["latency_ms"] == [1, 2] and one["coverage"] == 0.5 and one["faults"] == {"429": 0.02, "503": 0.1}
    sandbox.control(shown)
    assert sandbox.control() == shown


def test_control_file_and_demo_latency(make_sandbox, tmp_path):
    """--control turns switches before the first request; --latency demo sets latencies."""
    file = tmp_path / "c.json"
    file.write_text('{"providers":{"isbndb":{"daily_quota":1}}}')
    sandbox = make_sandbox(extra=["--control", file, "--latency", "demo"])
    shown = sandbox.control()["providers"]
    assert shown["isbndb"]["daily_quota"] == 1 and shown["gemini"]["latency_ms"] == [1500, 4000]


def test_counters_by_month_and_overlap(sandbox):
    """Requests per month are counted for the AIs; both at work on one month is seen only when they are."""
    gemini(sandbox, 2023, 12)
    gemini(sandbox, 2023, 12)
    xai(sandbox, 2024, 1)
    assert sandbox.counters("gemini")["by_month"] == {"2023-12": 2} and sandbox.counters("xai")["by_month"] == {"2024-01": 1}
    assert sandbox.counters()["overlap_seen"] is False
    sandbox.control({"providers": {"gemini": {"latency_ms": [600, 600]}, "xai": {"latency_ms": [600, 600]}}})
    both = [threading.Thread(target=ask, args=(sandbox, 2022, 5)) for ask in (gemini, xai)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert sandbox.counters()["overlap_seen"] is True
    sandbox.reset()
    counters = sandbox.counters()
    assert counters["overlap_seen"] is False and counters["gemini"]["requests"] == 0 and counters["gemini"]["by_month"] == {}
    assert lines(sandbox, "/_named") == []


def test_latency_is_waited_and_a_client_who_leaves_is_forgotten(sandbox):
    """An answer does not come before its time; leaving early ends the exchange at once."""
    sandbox.control({"providers": {"isbndb": {"latency_ms": [60000, 60000]}}})
    with raw_get(sandbox, ISBNDB_PATH, timeout=0.5) as raw:
        with pytest.raises(TimeoutError):
            raw.recv(1)
        assert sandbox.counters("isbndb")["in_flight"] == 1
    stand.wait_until(lambda: sandbox.counters("isbndb")["in_flight"] == 0, 20)


def test_the_end_comes_with_replies_outstanding(sandbox):
    """SIGTERM while requests wait, stall and drip: exit 0."""
    sandbox.control({"providers": {"isbndb": {"faults": {"stall": 1}}, "google_books": {"faults": {"drip": 1}},
                                   "open_library": {"latency_ms": [60000, 60000]}, "archive_org": {"faults": {"oversized": 1}}}})
    open_ones = [raw_get(sandbox, path) for path in (ISBNDB_PATH, "/google_books/volumes?q=x&key=k",
                                                     "/open_library/search.json?title=xyz",
                                                     "/archive_org/advancedsearch.php?output=json&q=title:(x)", "/_truth")]
    stand.wait_until(lambda: sandbox.counters("open_library")["in_flight"] == 1, 20)
    assert sandbox.stop() == 0
    for raw in open_ones:
        raw.close()


def test_bodies_and_headers_are_capped(sandbox):
    """8 MiB of body and 64 KiB of header are the end; the sandbox lives on."""
    try:
        answer = stand.http("POST", sandbox.url + "/isbndb/books", b" " * (9 << 20), {"Authorization": "k"})
        assert answer.status == 413
    except OSError:
        pass	# the connection may be cut while the body is still under way
    try:
        assert stand.http("GET", sandbox.url + "/_control", None, {"X-Long": "a" * 70000}).status == 400
    except OSError:
        pass
    assert sandbox.control()["seed"] == 1


def test_a_catalogue_with_a_header_only_is_refused(program, tmp_path):
    """No usable row is an error, not an empty world."""
    file = tmp_path / "c.tsv"
    file.write_text(HEADER)
    done = subprocess.run([program, "--catalogue", file], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2 and "no usable row" in done.stderr
