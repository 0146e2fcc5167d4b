"""What the AIs may answer, and not answer, and what becomes of a month then."""
import pytest
from stand import wait_until
from steps import AIS, FEW, answers, events, faults, harvest, latency, readyz, wait_done, wait_job, wait_row


def run_one(d, db, timeout=60):
    """One month of 2024, to its end; its row."""
    d.seed(2024, 2024)
    d.schedule(batch_size=1)
    return wait_done(db, 2024, 12, timeout)


def generating_ended(db):
    """What the event at the end of generating tells."""
    return [e for e in events(db, 2024, 12) if (e["from_stage"], e["to_stage"]) == ("generating", "saving")][-1]["detail"]


@pytest.mark.parametrize("fault", ["refusal", "error_object", "safety", "empty"])
def test_one_refuses_and_the_other_makes_up_for_it(daemon, db, sandbox, fault):
    """A refusal in any form is an answer: recorded with its words, bought once, and the month completes with the
    other's books."""
    faults(sandbox, ["gemini"], **{fault: 1.0})
    row = run_one(daemon(FEW), db)
    said = answers(db, 2024, 12)
    assert said["gemini"]["outcome"] in ("refused", "empty") and said["xai"]["outcome"] == "ok"
    if fault != "empty":
        assert said["gemini"]["outcome"] == "refused" and said["gemini"]["reason"]
    assert (row["gemini_calls"], row["xai_calls"], row["retry_count"]) == (1, 1, 0)
    assert db.value("SELECT count(*) FROM backfill_candidates WHERE 'gemini' = ANY (generated_by)") == 0
    assert generating_ended(db)["gemini"].startswith(said["gemini"]["outcome"])


@pytest.mark.parametrize("fault", ["503", "html", "reset"])
def test_one_fails_and_the_other_makes_up_for_it(daemon, db, sandbox, fault):
    """A failing AI costs its books, not the month, and the failure stands in the events."""
    faults(sandbox, ["xai"], **{"_" + fault: 1.0})
    row = run_one(daemon(FEW), db)
    assert (row["gemini_calls"], row["retry_count"]) == (1, 0)
    assert row["xai_calls"] == sandbox.counters("xai")["requests"] > 1
    assert db.value("SELECT count(*) FROM backfill_candidates WHERE generated_by <> '{gemini}'") == 0
    assert generating_ended(db)["xai"] and generating_ended(db)["gemini"] == "ok"


@pytest.mark.parametrize("how", ["stall", "slow"])
def test_the_loser_is_cut_off_at_its_timeout(daemon, db, sandbox, how):
    """An AI that does not answer in time is given up at its timeout, asked once, and no request of it is left running."""
    if how == "stall":
        faults(sandbox, ["gemini"], stall=1.0)
    else:
        latency(sandbox, ["gemini"], 120000)
    d = daemon({**FEW, "provider.gemini": {"timeout": "1s"}})
    row = run_one(d, db)
    assert (row["gemini_calls"], row["xai_calls"]) == (1, 1)
    assert set(answers(db, 2024, 12)) == {"xai"}
    wait_until(lambda: sandbox.counters("gemini")["in_flight"] == 0, 30, "the request gone at the other side, too")


@pytest.mark.parametrize("fault,note", [("fenced", None), ("one_bad_item", None), ("max_tokens_cut", "cut")])
def test_what_can_be_read_is_read(daemon, db, sandbox, fault, note):
    """Fences, one malformed item and a list cut off cost nothing but what is broken: both lists are used."""
    faults(sandbox, AIS, **{fault: 1.0})
    d = daemon({"generation": {"books_per_provider": 8}})
    row = run_one(d, db)
    said = answers(db, 2024, 12)
    assert {a["outcome"] for a in said.values()} == {"ok"}
    if note:
        assert all(note in a["reason"] for a in said.values())
    named = set(db.value("SELECT array_agg(DISTINCT g) FROM backfill_candidates, unnest(generated_by) AS g"))
    assert named == set(AIS) and row["books_generated"] >= 6


def test_both_refuse_and_the_next_attempt_asks_otherwise(daemon, db, sandbox):
    """No book from anybody: an attempt, and the next one uses the next variant while the row's stays; both rounds are kept."""
    faults(sandbox, AIS, refusal=1.0)
    d = daemon(FEW)
    d.seed(2024, 2024)
    d.schedule(batch_size=1)
    row = wait_row(db, 2024, 12, status="retry")
    assert "no provider named a book" in row["error_message"]
    faults(sandbox, AIS)
    row = wait_done(db, 2024, 12)
    assert (row["retry_count"], row["prompt_variant"]) == (1, "contemporary-notable")
    assert db.rows("SELECT round, variant, outcome FROM backfill_answers WHERE provider = 'xai' ORDER BY round") == [
        {"round": 0, "variant": "contemporary-notable", "outcome": "refused"}, {"round": 1, "variant": "annual", "outcome": "ok"}]
    assert (row["gemini_calls"], row["xai_calls"]) == (2, 2)


def test_books_are_kept_before_their_isbns_are_sought(daemon, db, sandbox):
    """Candidates and synthetic works, with authors in order and their AI's name, are there while every look-up still waits."""
    latency(sandbox, ["isbndb", "google_books", "open_library", "archive_org", "wikidata"], 60000)
    d = daemon({"generation": {"books_per_provider": 10}, "daemon": {"drain_timeout": "1s"}})
    d.seed(2024, 2024)
    d.schedule(batch_size=1)
    wait_row(db, 2024, 12, stage="resolving")
    candidates = db.rows("SELECT * FROM backfill_candidates")
    assert len(candidates) >= 10 and all(c["work_key"] and c["state"] == "new" for c in candidates)
    works = {w["work_key"]: w for w in db.rows("SELECT * FROM enriched_works")}
    for c in candidates:
        work = works[c["work_key"]]
        assert work["synthetic"] and work["completeness_score"] == 30 and work["title"]
        assert work["primary_provider"] in [f"{ai}-backfill" for ai in c["generated_by"]]
        authors = db.rows("SELECT author_order FROM work_authors_enriched WHERE work_key = %s ORDER BY 1", c["work_key"])
        assert authors and [a["author_order"] for a in authors] == list(range(authors[0]["author_order"],
                                                                              authors[0]["author_order"] + len(authors)))
    assert db.value("SELECT count(*) FROM enriched_works WHERE jsonb_typeof(metadata) <> 'object'") == 0
    assert any(sorted(c["generated_by"]) == ["gemini", "xai"] for c in candidates), "none named by both"


def test_what_the_answers_cost(daemon, db):
    """Tokens and dollars of both answers are stored with them, in the month's row, in api_usage and in the job."""
    d = daemon({**FEW, "provider.gemini": {"cost_per_call": "0.01"}})
    job = wait_job(d, harvest(d, year=2024, month=12)["job_id"])
    said = answers(db, 2024, 12)
    assert all(a["tokens_in"] > 0 and a["tokens_out"] > 0 and a["cost_usd"] > 0 for a in said.values())
    row = wait_done(db, 2024, 12)
    assert row["cost_usd"] >= sum(a["cost_usd"] for a in said.values())
    assert job["stats"]["cost_usd"] > 0

    def usage():
        return db.rows("SELECT provider, calls, errors, tokens_out, cost_usd FROM api_usage WHERE provider IN ('gemini', 'xai')"
                       " AND year = 2024 AND month = 12 AND calls = 1 ORDER BY 1")
    found = wait_until(lambda: u if len(u := usage()) == 2 else None, 30, "api_usage of both")
    assert [u["provider"] for u in found] == ["gemini", "xai"] and all(u["tokens_out"] > 0 and not u["errors"] for u in found)
    assert found[0]["cost_usd"] > said["gemini"]["cost_usd"]


def test_a_refused_key_turns_one_ai_off(daemon, db, sandbox):
    """A bad Gemini key: /readyz names it, no month fails for it, the later ones do not even ask."""
    d = daemon(FEW, env={"GEMINI_API_KEY": "bad-0123456789"})
    d.seed(2024, 2024)
    d.schedule(batch_size=1)
    wait_done(db, 2024, 12)
    asked = sandbox.counters("gemini")["requests"]
    assert 1 <= asked <= 4
    status, told = readyz(d)
    assert status == 200 and any(r.startswith("gemini") and "key" in r for r in told["degraded"])
    d.schedule(batch_size=3)
    wait_until(lambda: db.statuses().get("completed") == 4, 60, "four months")
    assert sandbox.counters("gemini")["requests"] == asked
    assert db.value("SELECT max(retry_count) FROM backfill_log") == 0
    assert d.wait_log("provider turned off")


def test_both_keys_refused(daemon, db):
    """No AI left: months in flight are released without an attempt, schedule and harvest answer 503, /readyz says why
    with 503."""
    d = daemon(FEW, env={"GEMINI_API_KEY": "bad-0123456789", "XAI_API_KEY": "bad-0123456789"})
    d.seed(2024, 2024)
    d.schedule(batch_size=6)
    wait_until(lambda: db.statuses() == {"pending": 12}, 60, "all released")
    assert db.value("SELECT max(retry_count) FROM backfill_log") == 0
    for path in ("/api/internal/schedule-backfill", "/api/harvest/backfill"):
        answer = d.post(path)
        assert answer.status == 503 and "AI" in answer.json["error"]
    status, told = readyz(d)
    assert status == 503 and told["reasons"]


def test_an_unknown_model_turns_its_ai_off(daemon, db):
    """A model that the provider does not know is like a refused key: off until reload, the other goes on."""
    d = daemon({**FEW, "provider.xai": {"model": "grok-9-retired"}})
    row = run_one(d, db)
    assert row["retry_count"] == 0 and set(answers(db, 2024, 12)) == {"gemini"}
    assert any(r.startswith("xai") for r in readyz(d)[1]["degraded"])


def test_one_ai_alone(daemon, db, sandbox):
    """With one AI disabled the other's books make the month."""
    row = run_one(daemon({**FEW, "provider.gemini": {"enabled": False}}), db)
    assert row["gemini_calls"] == 0 and row["xai_calls"] == 1
    assert sandbox.counters("gemini")["requests"] == 0
