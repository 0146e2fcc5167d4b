"""/metrics, and what Prometheus and Grafana are given: names that exist, totals that are the database's, no series without bound."""
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from stand import wait_until
from steps import AIS, FEW, SEARCHERS, faults

CONF = Path(__file__).resolve().parents[2] / "conf"
RULES = CONF / "prometheus-alerts.yml"
SERIES = 600        # of one instance, whatever happens: seven providers, thirteen outcomes, five stages, kinds of alerts
LABELS = {"provider", "outcome", "stage", "status", "state", "kind", "key", "severity", "direction", "result", "le", "version"}


def scrape(d):
    answer = d.get("/metrics", secret=None)
    assert answer.status == 200
    return answer.text


def samples(text):
    """(name, {label: value}) of each line that is a sample."""
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, labels = re.fullmatch(r"(\w+)(?:\{(.*)\})? \S+", line).groups()
            yield name, dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or ""))


def promtool(*args, text=None):
    """Runs it; it must have nothing to say against what it was given."""
    path = shutil.which("promtool")
    if path is None:
        pytest.skip("promtool is not installed: tools/setup")
    done = subprocess.run([path, *map(str, args)], input=text, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_rules_and_dashboard_name_what_exists(daemon):
    """Every metric, label and label value that the rules and the dashboard ask for is in a real /metrics; promtool has no complaint."""
    d = daemon({"enrichment": {"enabled": False}, "provider.isbndb": {"daily_limit": 15000, "reserve": 2000}})
    wait_until(lambda: "backfill_months{" in scrape(d), 20, "the first pulse")
    text = scrape(d)
    have = {}
    for name, labels in samples(text):
        for label, value in labels.items():
            have.setdefault(name, {}).setdefault(label, set()).add(value)
        have.setdefault(name, {})
    have["backfill_alerts"] = {"key": set(), "severity": {"warning", "critical"}}      # none is open
    dashboard = json.loads((CONF / "grafana-dashboard.json").read_text(encoding="utf-8"))
    asked = [t["expr"] for p in dashboard["panels"] for t in p.get("targets", [])]
    rules = re.findall(r"^\s+expr: (?:>-\n\s+)?(.*)$", RULES.read_text(encoding="utf-8"), re.M)
    assert len(asked) > 20 and len(rules) >= 8
    for expr in asked + rules:
        found = re.findall(r"(backfill_\w+)(?:\{(.*?)\})?", expr)
        assert found, expr
        for name, matchers in found:
            assert name in have, (name, expr)
            for label, op, value in re.findall(r'(\w+)(=~|!~|!=|=)"(.*?)"', matchers):
                assert set(value.split("|") if "~" in op else [value]) <= have[name][label], (name, label, value)
    assert promtool("check", "metrics", text=text) == ""
    promtool("check", "rules", RULES)


def test_rules_fire_when_they_should(tmp_path):
    """promtool plays time series to the rules: nothing of a healthy instance, each alert of the figures that call for it."""
    healthy = [{"series": 'backfill_build_info{version="1",instance="a"}', "values": "1x40"},
               {"series": 'backfill_alerts{key="quota",severity="warning",instance="a"}', "values": "0x40"}]
    cases = [(None, "20m", []),
             ("BackfillCritical", "3m", [('backfill_alerts{key="stuck",severity="critical",instance="a"}', "1x40")]),
             ("BackfillWarning", "7m", [('backfill_alerts{key="quota",severity="warning",instance="b"}', "1x40")]),
             ("BackfillDatabaseAway", "5m", [('backfill_database_up{instance="a"}', "0x40"), ('backfill_lock_session_up{instance="a"}', "1x40")]),
             ("BackfillPulseOld", "5m", [('backfill_pulse_age_seconds{instance="a"}', "0+60x40")]),
             ("BackfillWebhookFails", "20m", [('backfill_alert_deliveries_total{outcome="failed",instance="a"}', "0+1x40")]),
             ("BackfillLoopLate", "30m", [('backfill_loop_lag_seconds_bucket{le="1",instance="a"}', "0x40"),
                                          ('backfill_loop_lag_seconds_bucket{le="5",instance="a"}', "0+10x40"),
                                          ('backfill_loop_lag_seconds_bucket{le="+Inf",instance="a"}', "0+10x40")]),
             ("BackfillDefects", "10m", [('backfill_enrichment_defects_total{instance="a"}', "0 0 1x38")])]
    names = set(re.findall(r"- alert: (\w+)", RULES.read_text(encoding="utf-8")))
    assert names == {name for name, _, _ in cases if name} | {"BackfillDown"}
    tests = []
    for fires, at, series in cases:
        tests.append({"interval": "1m", "input_series": healthy + [{"series": s, "values": v} for s, v in series],
                      "promql_expr_test": [{"expr": 'count by (alertname) (ALERTS{alertstate="firing"})', "eval_time": at, "exp_samples": [
                          {"labels": f'{{alertname="{fires}"}}', "value": 1}] if fires else []}]})
    tests.append({"interval": "1m", "input_series": [{"series": "up", "values": "0x40"}], "promql_expr_test": [
        {"expr": 'count by (alertname) (ALERTS{alertstate="firing"})', "eval_time": "10m", "exp_samples": [
            {"labels": '{alertname="BackfillDown"}', "value": 1}]}]})
    cases_file = tmp_path / "cases.yml"
    cases_file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}), encoding="utf-8")
    promtool("test", "rules", cases_file)


def test_series_are_bounded_and_labels_are_words(daemon, db, sandbox):
    """After faults of every kind, alerts, strange callers and strange paths there are no more series than the product's own words
    make, and no label holds anything else."""
    faults(sandbox, AIS + SEARCHERS, 1, _429=0.1, _500=0.1, reset=0.2, html=0.2, invalid_json=0.1, truncated=0.1)
    d = daemon({**FEW, "alerts": {"failed_months": 0, "queue_backlog": 0}})
    d.seed(2023, 2024)
    d.schedule(batch_size=6)
    db.execute("INSERT INTO backfill_log (year, month, status, error_message) VALUES (2001, 1, 'failed', 'a \"reason\" of its own')")
    for n in range(40):
        d.get(f"/api/internal/books/97800000000{n:02d}", headers={"X-Operator": f"operator {n}"})
        d.get(f"/no/such/path/{n}", secret=f"wrong {n}")
    d.post("/api/internal/pause", {"note": "free text"})
    d.post("/api/internal/resume")
    wait_until(lambda: sum(v for k, v in d.metrics().items() if "requests_total" in k and '"ok"' not in k) > 5, 60, "failed requests")
    wait_until(lambda: d.metrics().get('backfill_alerts{key="failed_months",severity="warning"}'), 60, "an alert in the figures")
    text = scrape(d)
    found = list(samples(text))
    assert len(found) < SERIES, len(found)
    assert len(found) == len({(n, tuple(sorted(v.items()))) for n, v in found}), "a series twice"
    for name, labels in found:
        assert set(labels) <= LABELS, (name, labels)
        for label, value in labels.items():
            fits = {"le": r"[0-9.e+-]+|\+Inf", "version": r"[0-9]+\.[0-9]+\.[0-9]+\S{0,20}"}.get(label, r"[a-z0-9_]{2,24}")
            assert re.fullmatch(fits, value), (name, label, value)
    assert promtool("check", "metrics", text=text) == ""


def test_totals_are_the_databases(daemon, db):
    """Months by status, books, ISBNs found and queued: the gauges of every instance are what SQL says, as of the last pulse."""
    d, other = daemon({**FEW, "enrichment": {"enabled": False}}), daemon({"enrichment": {"enabled": False}})
    d.seed(2024, 2024)
    d.schedule(batch_size=3)
    d.wait_months(3)
    want = db.row("SELECT sum(books_generated) AS books_generated, sum(isbns_resolved) AS isbns_resolved,"
                  " sum(isbns_queued) AS isbns_queued FROM backfill_log")
    assert want["books_generated"] > 0 and want["isbns_queued"] > 0
    for one in (d, other):
        def same(one=one):
            now = one.metrics()
            return all(now.get(f"backfill_{name}") == value for name, value in want.items()) and \
                now['backfill_months{status="completed"}'] == 3 and now['backfill_months{status="pending"}'] == 9
        wait_until(same, 30, "the pulse's figures")
    assert {k.removeprefix("total_"): v for k, v in d.stats()["progress"].items() if k.removeprefix("total_") in want} == want
