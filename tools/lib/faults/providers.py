"""Campaigns: providers that misbehave. The sandbox's own faults, alone and mixed; what they cost and what is said of them."""
import contextlib
import time

from stand import http, wait_until
from steps import AIS, LOOKED_UP, SEARCHERS, hurry

from faults import hostile_campaigns, names
from faults.hostile_campaigns import LAST, closed, peak, reopen

FEW_BOOKS = 3
SPARE = 4                       # months for what did not strike the first time
MEMORY_MIB = 192                # the most a daemon may ever have resident, whatever it is sent
TIMEOUTS = {"ai": "2s", "search": "1s"}

EVERYWHERE = ("429", "500", "502", "503", "504", "reset", "stall", "drip", "truncated", "oversized", "gzip_bomb", "invalid_json",
              "invalid_utf8", "html", "error_object", "empty", "one_bad_item", "404")
OF_AN_AI = ("fenced", "refusal", "safety", "max_tokens_cut")
# what closes a provider until its key is mended, its ban is over or its day has ended
CLOSING = ("401", "403", "429_daily")
# those that leave an answer which is one, and is paid for: it is not asked for again
ANSWERS = {**{ai: {"fenced": "ok", "refusal": "refused", "error_object": "refused", "safety": "refused", "empty": "empty",
                   "max_tokens_cut": "ok", "one_bad_item": "ok"} for ai in AIS},
           **{p: {"empty": "not_found", "one_bad_item": None} for p in SEARCHERS}}
ANSWERS["isbndb"]["404"] = "not_found"      # ISBNdb's way to say that it knows no such book
# a limit told without a time is a minute's: not in the short form
SLOW = {("429", "isbndb"), ("429", "open_library")}
DEFINITE = ("hit", "not_found", "refused")
# given up at the first try: five in a row would close the provider for half a minute
GIVEN_UP = ("stall", "drip", "oversized", "gzip_bomb")


def quick(run):
    """Answers at once, short patience, one month and few books at a time: what strikes is one request after the other."""
    return {"generation": {"books_per_provider": FEW_BOOKS},
            "scheduler": {"concurrent_months": 1, "retry_base": "500ms", "retry_cap": "1s"},
            "resolution": {"concurrent_books": 3},
            **{f"provider.{p}": {"timeout": TIMEOUTS["ai" if p in AIS else "search"], "rate": "200/s", "enabled": True}
               for p in (*AIS, *SEARCHERS)},
            "provider.wikidata": {"timeout": TIMEOUTS["search"], "rate": "200/s", "enabled": True, "concurrency": 3}}


def begin(run, months, bomb):
    """One daemon on a sandbox without latencies that invents nothing, and that many months."""
    run.open()
    run.sandbox.control({"invented": 0, "providers": {p: {"latency_ms": [1, 5]} for p in (*AIS, *SEARCHERS)}})
    run.attempts_may_count = True
    run.payments = judge_payments
    d = run.daemon(quick(run))
    hostile_campaigns.seed_newest(run, months)
    if bomb:                                # it is made once, and takes its time
        set_faults(run, {"archive_org": {"gzip_bomb": 1.0}})
        http("GET", run.sandbox.url + "/archive_org/advancedsearch.php?q=title:(x)&output=json", timeout=120)
        set_faults(run, {})
        run.sandbox.reset()
    return d


def set_faults(run, faults, attempts=1):
    """{provider: {fault: share}}, and no others."""
    run.sandbox.control({"providers": {p: {"fault_attempts": attempts, "faults": {}} for p in (*AIS, *SEARCHERS)}})
    run.sandbox.control({"providers": {p: {"faults": which} for p, which in faults.items() if which}})


def known_by(run, providers):
    """These know every book; the others know none, so that the chain walks to the last of them."""
    run.sandbox.control({"providers": {p: {"coverage": 1.0 if p in providers else 0.0} for p in SEARCHERS}})


def one_month(run, d, i, faults, attempts=1):
    """The next month with these faults, each on the first attempt of every request, to its end; how they struck."""
    searchers = [p for p in SEARCHERS if p in faults]
    known_by(run, searchers[-1:] or ("isbndb",))
    if closed(d):
        reopen(run, d)
    before = run.sandbox.counters()["providers"]
    set_faults(run, {p: {f: 0.6 if f in GIVEN_UP and p not in AIS else 1.0} for p, f in faults.items()}, attempts)
    began = time.time()
    d.schedule(batch_size=1)
    year, month = LAST[0] - i // 12, LAST[1] - i % 12

    def struck(p):
        return run.sandbox.counters(p)["by_fault"].get(faults[p], 0) - before[p]["by_fault"].get(faults[p], 0)
    try:
        if attempts == 0:                   # this provider is refused for good: the month goes on when that is over
            wait_until(lambda: closed(d) >= set(faults), 60, f"{faults} close")
            set_faults(run, {})
            reopen(run, d)

        def over():
            status = run.db.month(year, month)["status"]
            if status == "pending":         # given back, since no AI could be asked
                d.schedule(batch_size=1)
            return status == "completed"
        wait_until(over, 200, f"{year}-{month:02d} with {faults}", every=0.1)
    except TimeoutError as late:
        run.broken.append(f"{late}: {run.db.month(year, month)['error_message']}; closed: {sorted(closed(d))}")
    for p, f in faults.items():
        run.fault(f"{f} at {p}", began, time.time(), costly=False)
        for wrong in believed(run, year, month, p, f):
            run.broken.append(f"{f} at {p}: {wrong}")
    return not attempts or all(struck(p) for p in faults)


def believed(run, year, month, p, fault):
    """Where the fault was taken for an answer, or an answer for a fault."""
    answer = ANSWERS[p].get(fault, False)
    if p in AIS:
        stored = run.db.row("SELECT outcome FROM backfill_answers WHERE year = %s AND month = %s AND provider = %s"
                            " ORDER BY round LIMIT 1", year, month, p)
        if answer and (not stored or stored["outcome"] != answer):
            yield f"{stored and stored['outcome']} instead of {answer}"
        if answer is False and fault in CLOSING and stored:
            yield f"an answer ({stored['outcome']}) of one that refuses"
        return
    if fault == "reset" and p != "isbndb":
        return                              # curl sends again by itself on a kept connection; what is counted has none
    if fault in (*CLOSING, *GIVEN_UP) or run.db.value(
            "SELECT count(*) FROM backfill_events WHERE year = %s AND month = %s AND to_stage = 'retry'", year, month):
        return                              # asked again later: the first time is no longer to be seen
    for c in run.db.rows("SELECT title, answers -> %s AS said FROM backfill_candidates WHERE year = %s AND month = %s",
                         p, year, month):
        said = c["said"] or {}
        if answer is False and said.get("from") == "request" and said["outcome"] in DEFINITE and said["tries"] < 2:
            yield f"believed for {c['title']!r}: {said}"


def non_answers(run, counters, p):
    """Requests that brought nothing that could be used: spoilt, or on a busy machine not awaited to their end."""
    spoilt = counters[p]["by_fault"]
    late = sum(int(value) for d in run.daemons for key, value in d.metrics().items()
               if key.startswith("backfill_provider_requests_total") and f'"{p}"' in key and '"timeout"' in key)
    return max(0, late - spoilt.get("stall", 0) - spoilt.get("drip", 0)) + sum(
        n for fault, n in spoilt.items() if ANSWERS[p].get(fault, False) is False)


def judge_payments(run, out, _, counters):
    """Answers that were delivered and usable, against those that are stored: what is over was bought twice."""
    for ai in AIS:
        bought = counters[ai]["requests"] - non_answers(run, counters, ai)
        kept = run.db.value("SELECT count(*) FROM backfill_answers WHERE provider = %s", ai)
        if bought > kept:
            out.paid += bought - kept
            out.reasons.append(f"{ai}: {bought} good answers for {kept} stored ones")
    bought = counters["isbndb"]["requests"] - non_answers(run, counters, "isbndb")
    kept = run.db.value("SELECT count(*) FROM isbn_resolutions WHERE provider = 'isbndb'")
    run.note(f"isbndb: {counters['isbndb']['requests']} requests, {bought} good answers, {kept} kept")
    if bought > kept + run.bulks:
        out.paid += bought - kept - run.bulks
        out.reasons.append(f"isbndb: {bought} good answers for {kept} kept ones")
    for name in (*AIS, "isbndb"):
        counted = run.db.value(f"SELECT sum({name}_calls) FROM backfill_log") or 0
        if counted < counters[name]["requests"] - run.bulks:
            out.reasons.append(f"{name}: {counters[name]['requests']} requests, only {counted} counted")


def pairs():
    """Every fault at every provider that can have it, those that close it apart."""
    for fault in (*EVERYWHERE, *OF_AN_AI):
        for p in AIS if fault in OF_AN_AI else (*AIS, *SEARCHERS):
            # a model that is not there is refused as a key is; one minute's rest is enough
            if not (fault == "404" and p in AIS) and (fault, p) != ("429", "open_library"):
                yield fault, p


def rounds_of_closing():
    """What closes a provider, one at each in each round; never both AIs at once, or nobody names a book."""
    for i, fault in enumerate((*CLOSING, "404")):
        at = [p for p in SEARCHERS if not (fault == "404" or (fault == "429_daily" and p in LOOKED_UP[1:]))]
        for ai in AIS:
            yield {ai: fault, **({p: CLOSING[i] for p in at} if ai == AIS[0] and fault != "404" else {})}


def diagonal():
    """Each fault once, at every provider another one at the same time."""
    left = {p: [] for p in (*AIS, *SEARCHERS)}
    for i, fault in enumerate(OF_AN_AI):
        left[AIS[i % 2]].append(fault)
    for i, fault in enumerate(f for f in EVERYWHERE if f != "404"):
        p = (*SEARCHERS, *AIS)[i % 7]
        left["google_books" if (fault, p) in SLOW else p].append(fault)
    while any(left.values()):
        yield {p: which.pop() for p, which in left.items() if which}


def faults_alone(run):
    """each fault of the sandbox on the first attempt of every request, at one provider after the other (--short: several at once)"""
    cases = list(diagonal())[1:3] if run.short else [{p: fault} for fault, p in pairs()]
    closing = [] if run.short else list(rounds_of_closing())
    spare = 0 if run.short else SPARE
    d = begin(run, len(cases) + len(closing) + spare, any("gzip_bomb" in c.values() for c in cases))
    i = 0
    for faults in cases:
        struck = False
        while not struck and i < run.months - len(closing):     # those given up strike some requests only, and may miss all
            struck = one_month(run, d, i, faults)
            i += 1
        if not struck:
            run.broken.append(f"never struck: {faults}: nothing was proven")
        if not d.running:
            break
    for faults in closing:
        one_month(run, d, i, faults, attempts=0)
        i += 1
    peak(run, d, MEMORY_MIB)
    set_faults(run, {})
    known_by(run, SEARCHERS)
    run.claim_all_the_time()


def mixture(p):
    """All faults that this provider can have and that pass, 30 % of its answers together."""
    which = [f for f in EVERYWHERE if (f, p) not in SLOW and not (f == "404" and p in AIS) and f != "empty"]
    which += OF_AN_AI if p in AIS else ()
    return {f: round(0.3 / len(which), 4) for f in which}


def faults_mixed(run):
    """all faults of the sandbox mixed at 30 % of all answers, at all providers, enrichment on"""
    run.open()
    run.attempts_may_count = True
    run.payments = judge_payments_mixed
    run.sandbox.control({"providers": {p: {"latency_ms": [5, 30], "coverage": 0.9} for p in (*AIS, *SEARCHERS)
                                       if p not in AIS} | {ai: {"latency_ms": [20, 80]} for ai in AIS}})
    set_faults(run, {p: mixture(p) for p in (*AIS, *SEARCHERS)}, attempts=2)
    run.months = run.asked.months or (6 if run.short else 120)
    d = run.daemon({"enrichment": {"enabled": True, "batch": 20, "poll": "1s", "max_attempts": 10},
                    **{f"provider.{p}": {"timeout": TIMEOUTS["ai" if p in AIS else "search"], "rate": "200/s", "enabled": True}
                       for p in (*AIS, *SEARCHERS)}})
    hostile_campaigns.seed_newest(run, run.months)
    run.claim_all_the_time()
    run.ends_within = 600
    began = time.time()

    def over():
        hurry(run.db)
        months = run.done()
        items = run.db.value("SELECT count(*) FROM enrichment_queue WHERE status IN ('pending', 'processing')")
        return not d.running or (months and not items)
    with contextlib.suppress(TimeoutError):
        wait_until(over, run.ends_within, "months and items done", every=0.5)
    counters = run.sandbox.counters()["providers"]
    struck = sum(sum(c["by_fault"].values()) for c in counters.values())
    run.fault(f"{struck} answers of {sum(c['requests'] for c in counters.values())} spoilt", began, time.time(), costly=False)
    peak(run, d, MEMORY_MIB)
    items = {r["status"]: r["n"] for r in run.db.rows("SELECT status, count(*) AS n FROM enrichment_queue GROUP BY 1")}
    run.note(f"{struck} spoilt of {sum(c['requests'] for c in counters.values())} answers; items {items}")
    never = {f for p in (*AIS, *SEARCHERS) for f in mixture(p)} - {f for c in counters.values() for f in c["by_fault"]}
    if never and not run.short:
        run.broken.append(f"never struck: {sorted(never)}")
    if set(items) - {"completed", "failed"}:
        run.broken.append(f"items did not end: {items}")
    lied = run.db.rows("SELECT entity_key, error_message FROM enrichment_queue WHERE status = 'failed' AND error_message = ''")
    if lied:
        run.broken.append(f"failed without a word: {lied[:3]}")


def judge_payments_mixed(run, out, events, counters):
    """As for months alone; and no ISBN's record was bought in bulk after it had come."""
    again = run.db.rows("SELECT entity_key, count(*) AS n FROM enrichment_log WHERE operation = 'lookup' AND provider = 'isbndb'"
                        " AND success GROUP BY 1 HAVING count(*) > 1")
    if again:
        out.paid += sum(r["n"] - 1 for r in again)
        out.reasons.append(f"looked up in bulk again: {again[:3]}")
    run.bulks = run.db.value("SELECT sum(calls)::int FROM api_usage WHERE provider = 'isbndb' AND year = 0") or 0
    judge_payments(run, out, events, counters)


CAMPAIGNS = {"faults-alone": faults_alone, "faults-mixed": faults_mixed, **hostile_campaigns.CAMPAIGNS, **names.CAMPAIGNS}
