"""Every measure, high, low and insufficient; criteria and gates as people write them, and the way out of errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from functools import cache
from importlib import resources

import pytest

from harness.domain import (
    Carrier,
    DeliveryState,
    Estimate,
    Money,
    Purpose,
    Reason,
    Refused,
    ReportSource,
    Scope,
    State,
    StatisticsRow,
)
from harness.dossier import DocumentKind
from harness.errors import ConfigError
from harness.facts import CaseSkipped, Fact
from harness.judge import criteria, journeys
from harness.judge.criteria import Absent, Answer, Told, measures, parse_gate, read_criteria, standard_criteria
from harness.judge.criteria.review import says_what
from harness.judge.criteria.stability import outages_of
from harness.judge.stats import NotEnough
from harness.plain_yaml import locate
from tests.factory import CARRIERS, Manner, Scene, all_papers, entry, everything, paper

FIELDS = ("sent_at", "text", "state", "reported_at")
LONG = "【顶点】您的验证码为{code}。" + "请勿向任何人透露。" * 12


def take(facts: list[Fact], id: str, slice: Mapping[str, str] | None = None, vendor: str = "ali") -> Told:
    evidence = journeys.read(facts)
    for _, view in criteria.views(evidence, vendor):
        if view.slice == (slice or {}):
            return criteria.take(measures()[id], view)
    raise AssertionError(f"there is no slice {slice}")


def estimate(facts: list[Fact], id: str, slice: Mapping[str, str] | None = None, vendor: str = "ali") -> Estimate:
    answer = take(facts, id, slice, vendor).answer
    assert isinstance(answer, Estimate), answer
    return answer


def _long(scene: Scene, number: int, *, arrives: bool) -> None:
    at = 30_000 * (number % 10) + 100 * number
    case = scene.plan("ali", scene.phones[number % 9], at, scenario="long_text", text=LONG)
    scene.send(case, at)
    if arrives:
        scene.sight(case, at + 5)
    else:
        scene.search(case, at + 3600, found=False)
    scene.report(case, at + 6, billed_segments=case.drafts[0].segments)
    scene.close(case, at + 3601)


def _good() -> list[Fact]:
    scene = Scene(phones=9, days=5)
    scene.beat(5 * 86_400 + 8000, every=200)
    scene.deliver({"ali": Manner(arrives=0.99, median_seconds=3.0)}, each=900)
    scene.probe("ali", "tls", False, **{"TLSv1.3": "done", "TLSv1.2": "done", "TLSv1.1": "refused", "TLSv1": "unable"})
    for what in ("plain_http", "replay", "stale", "forged_signature"):
        scene.probe("ali", what, False)
    for number in range(20):
        fault = "no_opt_out" if number % 2 else ""
        scene.review("ali", 50 * number, minutes=2, fault=fault, rejected=bool(fault), reason="缺少退订方式")
        scene.filter("ali", 50_000 + 60 * number, fault=fault, family=f"{fault}{number % 6}", stopped=bool(fault))
        scene.listed("ali", 60_000 + 60 * number, ("blocked", "invalid")[number % 2], blocked=True, late=number % 4 < 2)
        scene.listed("ali", 90_000 + 60 * number, "unreachable", blocked=True, late=True)
        _long(scene, number, arrives=True)
    for number, phone in enumerate(scene.phones):
        scene.opt_out("ali", phone, 100_000 + 9000 * number, leaks=0)
    for age in (1, 30, 170, 190):
        scene.record("ali", age, found=True, fields=FIELDS)
    scene.record("ali", 200, found=False)
    scene.statistics("ali", 5 * 86_400 + 3600, scene.own_counts("ali"))
    return scene.end()


def _bad() -> list[Fact]:
    papers = [
        paper("ali", kind, valid_until=date(2026, 1, 1))
        for kind in (DocumentKind.LICENCE, DocumentKind.CODE_CERTIFICATE, DocumentKind.ISO27001)
    ]
    papers += [
        paper("ali", DocumentKind.CONTRACT_RETENTION, values={"days": "60"}),
        paper("ali", DocumentKind.COMPLAINT_CHANNEL, values={"hours": "72"}),
        paper("ali", DocumentKind.DJBH, values={"level": "1"}),
    ]
    scene = Scene(phones=9, days=5, papers=papers, entries={"ali": entry(push_is_signed=False)})
    scene.beat(5 * 86_400 + 8000, every=200)
    bad = Manner(
        arrives=0.7, refuses=0.2, false_receipts=0.5, missing_receipts=0.3, early_receipts=0.5, altered=0.1, twice=0.3,
        median_seconds=400.0, senders={carrier: f"1069{n}000" for n, carrier in enumerate(CARRIERS)}, down=(30, 36),
    )  # fmt: skip
    scene.deliver({"ali": bad}, each=900)
    scene.probe("ali", "tls", True, **{"TLSv1.3": "refused", "TLSv1.2": "done", "TLSv1.1": "done", "TLSv1": "done"})
    for what in ("plain_http", "replay", "stale", "forged_signature"):
        scene.probe("ali", what, True)
    for number in range(20):
        fault = "no_opt_out" if number % 2 else ""
        scene.review("ali", 50 * number, minutes=600, fault=fault, rejected=not fault, reason="审核不通过")
        scene.filter("ali", 50_000 + 60 * number, fault=fault, family=f"{fault}{number % 6}", stopped=not fault)
        scene.listed("ali", 60_000 + 60 * number, ("blocked", "invalid")[number % 2], blocked=False)
        scene.listed("ali", 90_000 + 60 * number, "unreachable", blocked=False)
        _long(scene, number, arrives=False)
        _overbilled(scene, number)
    for number, phone in enumerate(scene.phones):
        scene.opt_out("ali", phone, 100_000 + 9000 * number, leaks=3, passes_on=False)
    scene.record("ali", 1, found=True, fields=("sent_at",))
    scene.record("ali", 1, found=False)
    scene.record("ali", 2, found=False)
    scene.statistics("ali", 8 * 86_400, scene.own_counts("ali", factor=0.5, by_carrier=False))
    return scene.end()


def _overbilled(scene: Scene, number: int) -> None:
    at = 1000 + 17_000 * number
    case = scene.plan("ali", scene.phones[number % 9], at, text=LONG)
    scene.send(case, at)
    scene.sight(case, at + 9)
    scene.report(case, at + 10, DeliveryState.UNDELIVERED, billed_segments=9)
    scene.close(case, at + 3700)


@cache
def ledger(name: str) -> tuple[criteria.View, ...]:
    facts = {"good": _good, "bad": _bad, "empty": lambda: Scene(papers=()).end()}[name]()
    return tuple(view for _, view in criteria.views(journeys.read(facts), "ali"))


def whole(name: str, id: str) -> Told:
    return criteria.take(measures()[id], ledger(name)[0])


# What a measure says of a good vendor and of a bad one: least and greatest value.
TABLE: Mapping[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "licence.attested": ((1, 1), (0, 0)),
    "code_certificate.attested": ((1, 1), (0, 0)),
    "sender.tri_network": ((1, 1), (0, 0.1)),
    "stability.bad_hour": ((0.90, 1), (0, 0.6)),
    "stability.clustering": ((0, 0.15), (0.01, 1)),
    "stability.acceptance_bad_hour": ((0.95, 1), (0, 0.85)),
    "stability.availability": ((0.98, 1), (0, 0.95)),
    "stability.outages": ((0, 1.5), (1, 100)),
    "duplicate.rate": ((0, 0), (0.2, 0.4)),
    "tls.old_refused": ((1, 1), (0, 0)),
    "tls.version": ((1.2, 1.2), (1.0, 1.0)),
    "plain_http.refused": ((1, 1), (0, 0)),
    "replay.refused": ((1, 1), (0, 0)),
    "stale.refused": ((1, 1), (0, 0)),
    "forged_signature.refused": ((1, 1), (0, 0)),
    "push.authenticated": ((1, 1), (0, 0)),
    "iso27001.attested": ((1, 1), (0, 0)),
    "djbh.level": ((3, 3), (1, 1)),
    "review.time.p50": ((120, 120), (36_000, 36_000)),
    "review.time.p90": ((120, 120), (36_000, 36_000)),
    "review.within_5_min": ((1, 1), (0, 0)),
    "review.inline_within_5_min": ((0.98, 1), (0, 0.7)),
    "review.feedback": ((1, 1), (0, 0)),
    "review.correctness": ((1, 1), (0, 0)),
    "arrival.rate": ((0.97, 1), (0.5, 0.72)),
    "arrival.panel": ((0.97, 1), (0.5, 0.72)),
    "arrival.of_submitted": ((0.97, 1), (0.4, 0.62)),
    "arrival.of_valid": ((0.97, 1), (0.4, 0.62)),
    "arrival.corrected": ((0.97, 1), (0.5, 0.72)),
    "acceptance.rate": ((1, 1), (0.75, 0.9)),
    "acceptance.of_valid": ((1, 1), (0.75, 0.9)),
    "delivery.rate": ((0.97, 1), (0.4, 0.7)),
    "delivery.of_submitted": ((0.97, 1), (0.3, 0.6)),
    "delivery.of_valid": ((0.97, 1), (0.3, 0.6)),
    "altered.rate": ((0, 0), (0.03, 0.2)),
    "long_text.arrival": ((1, 1), (0, 0)),
    "false_receipt.rate": ((0, 0), (0.1, 0.35)),
    "impossible_receipt.rate": ((0, 0), (1, 1)),
    "missing_receipt.rate": ((0, 0), (0.15, 0.4)),
    "early_receipt.rate": ((0, 0), (0.3, 0.7)),
    "latency.p50": ((2.4, 3.6), (200, 3000)),
    "latency.p90": ((4, 9), (3600, 3600)),
    "latency.p95": ((5, 14), (3600, 3600)),
    "latency.p99": ((7, 3600), (3600, 3600)),
    "latency.within_5_s": ((0.7, 0.95), (0, 0.05)),
    "latency.within_10_s": ((0.93, 1), (0, 0.11)),
    "latency.within_60_s": ((0.97, 1), (0, 0.2)),
    "acceptance_time.p50": ((0.2, 0.2), (0.2, 0.2)),
    "acceptance_time.p90": ((0.2, 0.2), (0.2, 0.2)),
    "acceptance_time.p95": ((0.2, 0.2), (0.2, 0.2)),
    "acceptance_time.p99": ((0.2, 0.2), (0.2, 0.2)),
    "report_time.p50": ((3, 5), (20, 3000)),
    "report_time.p90": ((5, 10), (3600, 3600)),
    "report_time.p95": ((6, 15), (3600, 3600)),
    "report_time.p99": ((8, 31), (3600, 3600)),
    "statistics.accuracy": ((1, 1), (0.45, 0.55)),
    "statistics.per_carrier": ((1, 1), (0, 0)),
    "statistics.freshness": ((3600, 3600), (3 * 86_400, 3 * 86_400)),
    "content_filter.recall": ((1, 1), (0, 0)),
    "content_filter.false_alarm": ((0, 0), (1, 1)),
    "opt_out.honoured": ((1, 1), (0, 0)),
    "opt_out.time": ((300, 300), (3600, 3600)),
    "blacklist.update_time": ((300, 300), (3600, 3600)),
    "blacklist.blocked": ((1, 1), (0, 0)),
    "inbound.rate": ((1, 1), (0, 0)),
    "complaint_channel.hours": ((2, 2), (72, 72)),
    "retention.contract": ((200, 200), (60, 60)),
    "retention.days": ((190, 190), (1, 1)),
    "record.found": ((1, 1), (0.5, 0.5)),
    "record.completeness": ((1, 1), (0, 0)),
    "cost.per_arrived": ((0.05, 0.053), (0.06, 0.2)),
    "billing.accuracy": ((1, 1), (0, 0.97)),
    "refund.rate": ((1, 1), (0, 0.9)),
}
NOT_REACHED = 3600.0  # stands for "not reached" in the table


ELSEWHERE = {"arrival.fresh_difference", "arrival.fresh_detectable"}  # test_fresh.py: they need a panel of their own


def test_every_measure_is_in_the_table() -> None:
    assert TABLE.keys() | ELSEWHERE == measures().keys()


@pytest.mark.parametrize("id", TABLE)
@pytest.mark.parametrize("name", ["good", "bad"])
def test_a_measure_tells_the_good_vendor_from_the_bad(id: str, name: str) -> None:
    told = whole(name, id)
    assert isinstance(told.answer, Estimate), told.answer
    value = NOT_REACHED if told.answer.value is None else told.answer.value
    least, greatest = TABLE[id][name == "bad"]
    assert least - 1e-4 <= value <= greatest + 1e-4
    if told.answer.value is not None and told.answer.low is not None:
        assert told.answer.low <= told.answer.value + 1e-9
    if told.answer.value is not None and told.answer.high is not None:
        assert told.answer.value <= told.answer.high + 1e-9


@pytest.mark.parametrize("id", [id for id in TABLE if id != "push.authenticated"])
def test_a_measure_without_evidence_says_why_and_gives_no_number(id: str) -> None:
    answer = whole("empty", id).answer
    assert isinstance(answer, Absent)
    assert answer.state is State.INSUFFICIENT
    assert answer.reason in ("not_planned", "document_missing")


@pytest.mark.parametrize("id", [id for id in TABLE if measures()[id].scenarios])
def test_a_measure_of_an_empty_slice_is_not_enough(id: str) -> None:
    """Planned, and nothing came of it."""
    view = replace_planned(ledger("empty")[0])
    told = criteria.take(measures()[id], view)
    assert isinstance(told.answer, NotEnough | Absent)


def replace_planned(view: criteria.View) -> criteria.View:
    return replace(view, planned=frozenset({"delivery", "soak", *sum((m.scenarios for m in measures().values()), ())}))


def test_a_vendor_without_pushes_does_not_offer_signed_ones() -> None:
    scene = Scene(entries={"ali": entry(capabilities=("submits",))})
    answer = take(scene.end(), "push.authenticated").answer
    assert isinstance(answer, Absent)
    assert answer.state is State.NOT_OFFERED


@pytest.mark.parametrize(
    ("kind", "state"), [("not_offered", State.NOT_OFFERED), ("not_yet_written", State.INSUFFICIENT)]
)
def test_what_a_vendor_lacks_is_told_apart_from_what_we_lack(kind: str, state: State) -> None:
    scene = Scene()
    scene.add(
        1,
        CaseSkipped(
            vendor="ali",
            scenario="review",
            missing=("reviews_templates",),
            because={"kind": kind, "because": "console"},
        ),
    )
    answer = take(scene.end(), "review.time.p50").answer
    assert isinstance(answer, Absent)
    assert (answer.state, answer.reason, answer.values["because"]) == (state, kind, "console")


# --- arrival ---------------------------------------------------------------------------------------------------------


def test_the_telling_cases_come_first() -> None:
    view = ledger("bad")[0]
    told = whole("bad", "arrival.rate")
    first = view.messages.set_index("case_id").loc[told.cases[0]]
    assert first["watch"] == "missing"


def test_few_phones_speak_of_themselves_only() -> None:
    scene = Scene(phones=3, days=5)
    scene.deliver({"ali": Manner(arrives=1)}, each=60)
    assert estimate(scene.end(), "arrival.rate").scope is Scope.PANEL


def test_a_day_speaks_of_its_window_only() -> None:
    scene = Scene(phones=9, days=0.5)
    scene.deliver({"ali": Manner(arrives=1)}, each=60)
    assert estimate(scene.end(), "arrival.rate").scope is Scope.WINDOW


def test_messages_of_unknown_fate_widen_the_share_to_what_it_could_be() -> None:
    def facts(*, searches: bool) -> list[Fact]:
        scene = Scene(phones=9, days=5)  # no heartbeats: only asking tells
        scene.deliver({"ali": Manner(arrives=0.8)}, each=200, searches=searches)
        return scene.end()

    known, blind = estimate(facts(searches=True), "arrival.rate"), estimate(facts(searches=False), "arrival.rate")
    assert known.low is not None and blind.low is not None and blind.high is not None
    assert blind.value == 1  # what was seen was seen
    assert blind.low < 0.8 < blind.high
    assert blind.method.endswith("+unknown")


def test_our_own_faults_are_no_valid_requests() -> None:
    scene = Scene(phones=6, days=5)
    for number in range(100):
        case = scene.plan("ali", scene.phones[number % 6], number * 4000)
        if number % 2:
            scene.send(case, number * 4000, Refused(reason=Reason.BALANCE, code="E"))
        else:
            scene.send(case, number * 4000)
            scene.sight(case, number * 4000 + 3)
        scene.close(case, number * 4000 + 10, "settled")
    facts = scene.end()
    assert estimate(facts, "acceptance.rate").value == 0.5
    assert estimate(facts, "acceptance.of_valid").value == 1
    assert estimate(facts, "arrival.of_submitted").value == 0.5
    assert estimate(facts, "arrival.of_valid").value == 1


def test_a_send_in_doubt_is_left_out_of_both_sides() -> None:
    scene = Scene(phones=9, days=5)
    scene.deliver({"ali": Manner(arrives=1, doubt=0.3)}, each=100)
    answer = estimate(scene.end(), "acceptance.rate")
    assert (answer.value, answer.n < 90) == (1, True)


def test_messages_to_numbers_out_of_use_never_count_as_traffic() -> None:
    assert not set(ledger("good")[0].traffic["kind"]) - {"handset"}


def test_the_app_that_loses_messages_is_no_proof_against_a_vendor() -> None:
    """Both vendors' messages get lost on the way from the phone to us; neither made a receipt up."""
    scene = Scene(("ali", "small"), phones=9, days=5)
    scene.beat(5 * 86_400 + 8000, every=200)
    lossy = Manner(arrives=0.9, false_receipts=1.0)
    scene.deliver({"ali": lossy, "small": lossy}, each=200, searches=False)
    answer = estimate(scene.end(), "false_receipt.rate")
    assert answer.method == "mover"
    assert answer.low == pytest.approx(0, abs=0.01)


def test_without_another_vendor_nothing_is_said_of_receipts_nobody_checked() -> None:
    scene = Scene(phones=9, days=5)
    scene.beat(5 * 86_400 + 8000, every=200)
    scene.deliver({"ali": Manner(arrives=0.9, false_receipts=1.0)}, each=100, searches=False)
    answer = take(scene.end(), "false_receipt.rate").answer
    assert isinstance(answer, NotEnough)
    assert answer.reason == "no_controls"


def test_pulled_reports_came_between_two_pulls() -> None:
    scene = Scene(phones=6, days=5)
    for number in range(100):
        at = number * 4000.0
        case = scene.plan("ali", scene.phones[number % 6], at)
        scene.send(case, at)
        scene.report(case, at + 60, source=ReportSource.PULLED, not_before=scene.at(at + 30))
        scene.close(case, at + 3600)
    answer = estimate(scene.end(), "report_time.p50")
    assert answer.value == pytest.approx(45)
    assert (answer.low, answer.high) == (pytest.approx(30), pytest.approx(60))
    assert answer.method.endswith("+polled")


def test_times_are_withheld_when_our_own_lag_is_larger() -> None:
    scene = Scene(phones=6, days=5)
    for number in range(60):
        scene.send(scene.plan("ali", scene.phones[number % 6], number * 6000), number * 6000, lag=3.0)
    answer = take(scene.end(), "acceptance_time.p50").answer
    assert isinstance(answer, NotEnough)
    assert answer.reason == "own_lag"


def test_within_five_seconds_is_withheld_when_clocks_are_not_known_well_enough() -> None:
    scene = Scene(phones=6, days=5)
    for phone in scene.phones:
        scene.beat_of(phone, 5 * 86_400, every=200, trip=4.0)
    scene.deliver({"ali": Manner(arrives=1)}, each=60)
    facts = scene.end()
    answer = take(facts, "latency.within_5_s").answer
    assert isinstance(answer, NotEnough)
    assert answer.reason == "clock_bound_too_wide"
    assert isinstance(take(facts, "latency.within_60_s").answer, Estimate)


def test_arrival_times_come_from_phones_whose_clock_is_known() -> None:
    """The others' stamps are ours, and tell how long their app took as well."""
    scene = Scene(phones=12, days=5)
    for phone in scene.phones[:6]:
        scene.beat_of(phone, 5 * 86_400, every=200)
    for number in range(120):
        at, phone = number * 3500.0, scene.phones[number % 12]
        case = scene.plan("ali", phone, at)
        scene.send(case, at)
        known = number % 12 < 6
        scene.sight(case, at + 3.1, delay=0.5 if known else 900, **({} if known else {"handset_at": None}))
        scene.close(case, at + 3600, "settled")
    facts = scene.end()
    assert estimate(facts, "latency.p90").value == pytest.approx(3.1, abs=0.2)
    assert estimate(facts, "latency.p90").n == 60


def test_statistics_are_compared_for_the_span_and_carrier_they_speak_of() -> None:
    scene = Scene(phones=6, days=2)
    scene.deliver({"ali": Manner(arrives=1)}, each=60)
    rows = [replace(row, until=scene.at(86_400)) for row in scene.own_counts("ali")]
    scene.statistics("ali", 3 * 86_400, rows)
    assert estimate(scene.end(), "statistics.accuracy").value == pytest.approx(
        0, abs=0.05
    )  # counts of two days for one


def test_statistics_that_are_all_empty_are_no_fresh_ones() -> None:
    scene = Scene()
    row = StatisticsRow(since=scene.at(0), until=scene.at(86_400), carrier=Carrier.CHINA_MOBILE, submitted=0)
    scene.statistics("ali", 90_000, [row])
    assert isinstance(take(scene.end(), "statistics.freshness").answer, Absent)


# --- the other criteria ----------------------------------------------------------------------------------------------


def test_a_paper_counts_only_when_somebody_answers_for_it() -> None:
    scene = Scene(papers=[paper("ali", DocumentKind.LICENCE, checked_by="")])
    answer = take(scene.end(), "licence.attested").answer
    assert isinstance(answer, Absent)
    assert answer.reason == "document_not_counted"


def test_a_paper_is_judged_as_of_the_runs_end() -> None:
    scene = Scene(papers=[paper("ali", DocumentKind.LICENCE, valid_until=date(2026, 3, 4))])
    scene.beat_of("p00", 86_400, every=3600)
    assert estimate(scene.end(86_500), "licence.attested").value == 1
    assert estimate(scene.end(5 * 86_400), "licence.attested").value == 0


def test_a_code_on_two_carriers_is_no_tri_network_code() -> None:
    scene = Scene(phones=9, days=5)
    odd = Manner(arrives=1, senders={Carrier.CHINA_TELECOM: "10659999"})
    scene.deliver({"ali": odd}, each=90)
    assert estimate(scene.end(), "sender.tri_network").value == 0


def test_two_carriers_say_nothing_of_three() -> None:
    scene = Scene(phones=2, days=5)
    scene.deliver({"ali": Manner(arrives=1)}, each=90)
    answer = take(scene.end(), "sender.tri_network").answer
    assert isinstance(answer, NotEnough)
    assert answer.reason == "few_carriers"


def test_an_outage_is_found_with_its_beginning_and_end() -> None:
    scene = Scene(phones=9, days=4)
    scene.deliver({"ali": Manner(arrives=1, down=(40, 44))}, each=1000)
    view = next(criteria.views(journeys.read(scene.end()), "ali"))[1]
    found = outages_of(view.watched)
    assert len(found) == 1
    began = scene.at(0).timestamp()
    assert (found[0].start - began) / 3600 == pytest.approx(40, abs=0.2)
    assert (found[0].end - began) / 3600 == pytest.approx(44, abs=0.2)


def test_traffic_too_thin_to_show_an_outage_counts_none() -> None:
    scene = Scene(phones=9, days=4)
    scene.deliver({"ali": Manner(arrives=1, down=(40, 44))}, each=100)
    answer = take(scene.end(), "stability.outages").answer
    assert isinstance(answer, NotEnough)
    assert answer.reason == "too_sparse"


def test_busy_hours_with_a_few_misses_are_no_outages() -> None:
    scene = Scene(phones=9, days=2)
    scene.deliver({"ali": Manner(arrives=0.95)}, each=3000)
    view = next(criteria.views(journeys.read(scene.end()), "ali"))[1]
    assert outages_of(view.watched) == []


def test_open_reviews_count_as_open() -> None:
    scene = Scene()
    for number in range(10):
        scene.review("ali", 60 * number, minutes=2 if number < 4 else None)
    answer = estimate(scene.end(), "review.time.p50")
    assert answer.value is None  # not reached


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        ("", False),
        ("审核不通过", False),
        ("您的短信模板不符合规范，请修改后重新提交", False),
        ("Rejected: template not approved.", False),
        ("E1234", False),
        ("营销短信缺少退订方式", True),
        ("含有夸大宣传用语“最高额度”", True),
        ("missing opt-out wording", True),
    ],
)
def test_a_rejection_that_fits_every_text_says_nothing(reason: str, says: bool) -> None:
    assert says_what(reason) is says


def test_a_technical_refusal_is_no_verdict_on_a_text() -> None:
    scene = Scene()
    for number in range(8):
        case = scene.plan(
            "ali", "p00", number, scenario="content_filter", task={"fault": "no_opt_out", "family": str(number)}
        )
        scene.send(case, number, Refused(reason=Reason.THROTTLED, code="BUSY"))
    answer = take(scene.end(), "content_filter.recall").answer
    assert isinstance(answer, NotEnough)


def test_opting_out_takes_effect_between_the_last_leak_and_the_first_refusal() -> None:
    scene = Scene(phones=3)
    scene.opt_out("ali", "p00", 100, leaks=1)
    facts = scene.end()
    answer = estimate(facts, "opt_out.time")
    assert (answer.low, answer.high) == (pytest.approx(600), pytest.approx(1200))
    assert estimate(facts, "opt_out.honoured").value == 1


def test_records_are_bracketed_by_the_oldest_found_and_the_youngest_gone() -> None:
    scene = Scene()
    for age, found in ((1, True), (30, True), (60, False), (90, False)):
        scene.record("ali", age, found=found)
    answer = estimate(scene.end(), "retention.days")
    assert (answer.low, answer.high) == (30, 60)


def test_records_never_found_missing_have_no_upper_end() -> None:
    scene = Scene()
    scene.record("ali", 6, found=True)
    assert estimate(scene.end(), "retention.days").high is None


def test_without_a_price_cost_is_not_guessed() -> None:
    scene = Scene(entries={"ali": entry(price=None)}, phones=6, days=5)
    scene.deliver({"ali": Manner(arrives=1)}, each=30)
    answer = take(scene.end(), "cost.per_arrived").answer
    assert isinstance(answer, NotEnough)
    assert answer.reason == "no_price"


def test_a_price_in_another_currency_is_not_taken_for_yuan() -> None:
    from decimal import Decimal

    scene = Scene(entries={"ali": entry(price=Money(amount=Decimal("0.01"), currency="USD"))}, phones=6, days=5)
    scene.deliver({"ali": Manner(arrives=1)}, each=30)
    assert isinstance(take(scene.end(), "cost.per_arrived").answer, NotEnough)


# --- slices ----------------------------------------------------------------------------------------------------------


def test_slices_cover_carriers_purposes_and_their_crossing() -> None:
    found = {tuple(sorted(view.slice.items())) for view in ledger("good")}
    assert (("carrier", "china_unicom"),) in found
    assert (("purpose", Purpose.NOTIFICATION.value),) in found
    assert (("carrier", "china_unicom"), ("purpose", "verification")) in found
    assert (("ported", "no"),) in found
    assert (("subject", "template"),) in found
    assert (("expect", "blocked"),) in found


def test_a_slice_holds_its_own_messages_only() -> None:
    for view in ledger("good"):
        if set(view.slice) == {"carrier"}:
            assert set(view.messages["carrier"].astype(str)) == {view.slice["carrier"]}


# --- criteria and gates as written -----------------------------------------------------------------------------------


def standard_text() -> str:
    return resources.files("harness.judge.criteria").joinpath("standard.yaml").read_text("utf-8")


def complaints(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read_criteria(locate(text, "my.yaml"))
    return str(caught.value)


def test_the_standard_criteria_are_the_seven_and_cost_beside_them() -> None:
    read = standard_criteria()
    assert [one.id for one in read.criteria] == list(criteria.CRITERIA)
    assert sum(one.weight for one in read.criteria) == pytest.approx(100)
    assert read.criteria[-1].weight == 0
    assert all(gate.legal for gate in read.gates)


def test_every_file_of_a_criterion_has_measures() -> None:
    assert {one.info.criterion for one in measures().values()} == set(criteria.CRITERIA)


def test_weights_that_do_not_sum_are_told() -> None:
    said = complaints(standard_text().replace("weight: 14.29", "weight: 20", 1))
    assert "sum to 105.71" in said and "my.yaml, line" in said


def test_all_complaints_are_told_at_once() -> None:
    text = standard_text().replace("measure: arrival.rate", "measure: arival.rate", 1)
    text = text.replace("[[0 %, 100], [0.5 %, 60], [2 %, 0]]", "[[0.5 %, 60], [0 %, 100]]")
    text = text.replace("when_absent: floor", "when_absent: zero", 1)
    said = complaints(text)
    assert "Did you mean arrival.rate" in said
    assert "do not ascend" in said
    assert "Write range or floor" in said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no criteria"),
        ("criteria: {arrival: {weight: 100}}", "no members"),
        ("criteria: {speed: {weight: 100}}", "is no criterion"),
        ("criteria: {arrival: {weight: much, members: []}}", "'much'"),
        ("criteria: {arrival: {weight: 100, member: []}}", "Did you mean members"),
        (
            "criteria: {arrival: {weight: 100, members: [{measure: arrival.rate, scale: [[0, 0]]}]}}",
            "two anchor points",
        ),
        (
            "criteria: {arrival: {weight: 100, members: [{measure: arrival.rate, scale: [[0, 0], [1, 120]]}]}}",
            "outside 0–100",
        ),
        (
            "criteria: {arrival: {weight: 100, members: [{measure: latency.p95, scale: [[5 m, 0], [9 s, 1]]}]}}",
            "'5 m'",
        ),
        (
            "criteria: {arrival: {weight: 100, members: [{measure: delivery.rate, per: x, scale: [[0, 0], [1, 9]]}]}}",
            "per: carrier",
        ),
    ],
)
def test_an_error_shows_the_value_and_the_way_out(text: str, says: str) -> None:
    assert says in complaints(text)


def test_units_in_scales_are_read() -> None:
    text = "criteria: {arrival: {weight: 100, members: [{measure: latency.p95, scale: [[30 s, 100], [2 min, 0]]}]}}"
    assert read_criteria(locate(text, "x")).criteria[0].members[0].scale == ((30.0, 100.0), (120.0, 0.0))


@pytest.mark.parametrize(
    ("text", "threshold", "slice"),
    [
        ("arrival.rate >= 0.97", 0.97, {}),
        ("arrival.rate >= 97 %", 0.97, {}),
        ("latency.p95 <= 30 s", 30, {}),
        ("latency.p95[carrier=china_unicom] <= 2 min", 120, {"carrier": "china_unicom"}),
        ("arrival.rate[carrier=a, purpose=marketing] > 0.9", 0.9, {"carrier": "a", "purpose": "marketing"}),
        ("retention.contract >= 6 months", 180, {}),
    ],
)  # fmt: skip
def test_gates_are_read_with_slices_and_units(text: str, threshold: float, slice: dict[str, str]) -> None:
    gate = parse_gate(text, "here")
    assert (gate.threshold, gate.slice, gate.compares) == (pytest.approx(threshold), slice, False)


def test_a_gate_on_the_change_since_last_month_is_told_apart() -> None:
    gate = parse_gate("compare(arrival.rate) > -0.02", "here")
    assert (gate.compares, gate.threshold) == (True, -0.02)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("arival.rate >= 0.97", "Did you mean arrival.rate"),
        ("arrival.rate = 0.97", "Write it like"),
        ("arrival.rate >= 30 s", "use %"),
        ("arrival.rate[carrier] >= 0.9", "[carrier=china_unicom]"),
        ("nonsense", "Write it like"),
    ],
)
def test_a_gate_that_cannot_be_read_names_the_way_out(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says.replace("[", r"\[")):
        parse_gate(text, "evaluation.yaml, line 9: gates.0")


def test_measures_are_never_told_a_vendors_name() -> None:
    assert "vendor" not in criteria.View.__dataclass_fields__


def test_answers_are_of_three_kinds() -> None:
    kinds = {type(whole(name, id).answer) for id in TABLE for name in ("good", "empty")}
    assert kinds <= set(Answer.__args__)  # type: ignore[attr-defined]


def test_the_papers_of_the_factory_are_all_there_are() -> None:
    assert {one.kind for one in all_papers("ali")} == set(DocumentKind)


def test_everything_feeds_every_criterion() -> None:
    evidence = journeys.read(everything({"ali": Manner()}, each=30, days=1))
    assert not evidence.messages.empty
