"""Marks and rankings that stay honest: gates before marks, missing evidence as bounds, no rank without a difference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from functools import cache

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from harness.domain import Estimate, Scope, State
from harness.dossier import DocumentKind
from harness.facts import CaseSkipped, Fact, ReportReceived, RunBegan, SightingReceived
from harness.judge import journeys, result
from harness.judge.criteria import Gate, parse_gate, read_criteria, standard_criteria
from harness.judge.result import Mark, Member, Result, Scorecard
from harness.judge.scoring import _cell_score, _score_of, _stream, _verdict, judge
from harness.plain_yaml import locate
from tests.factory import Manner, Scene, all_papers, everything, paper

ONE = "criteria: {arrival: {weight: 100, members: [{measure: arrival.rate, scale: [[0.5, 0], [1, 100]]}]}}"
TWO = """
criteria:
  arrival: {weight: 60, members: [{measure: arrival.rate, scale: [[0.5, 0], [1, 100]]}]}
  review: {weight: 40, members: [{measure: review.within_5_min, scale: [[0, 0], [1, 100]]}]}
"""


@cache
def ledger_evidence() -> journeys.Evidence:
    return journeys.read(ledger())


def judged(facts: list[Fact] | None, criteria: str | None = None, gates: tuple[str, ...] | None = None) -> Result:
    lines = None if gates is None else [parse_gate(text, "here") for text in gates]
    read = read_criteria(locate(criteria, "x")) if criteria else None
    evidence = ledger_evidence() if facts is None else journeys.read(facts)
    return judge(evidence, read, lines, run_id="r1", ledger_digest="d")


def card(of: Result, vendor: str) -> Scorecard:
    return next(one for one in of.scorecards if one.vendor == vendor)


def mark(of: Result, vendor: str, criterion: str) -> Mark:
    return next(one for one in card(of, vendor).marks if one.criterion == criterion)


MANNERS: Mapping[str, Manner] = {
    "best": Manner(arrives=0.99),
    "twin": Manner(arrives=0.99),
    "worst": Manner(arrives=0.60),
}


@cache
def ledger() -> tuple[Fact, ...]:
    return tuple(everything(MANNERS, each=120, phones=9))


@cache
def whole() -> Result:
    return judged(None)


def without(vendor: str) -> list[Fact]:
    """The same ledger, as if a vendor had never taken part."""
    cases = {fact.case_id for fact in ledger() if fact.body.kind == "case_planned" and fact.body.case.vendor == vendor}
    tokens = [
        d.token for f in ledger() if f.body.kind == "case_planned" and f.case_id in cases for d in f.body.case.drafts
    ]
    kept = []
    for fact in ledger():
        body = fact.body
        if isinstance(body, RunBegan):
            body = replace(body, vendors={name: one for name, one in body.vendors.items() if name != vendor})
            fact = replace(fact, body=body)
        if fact.case_id in cases or getattr(body, "vendor", None) == vendor:
            continue
        if isinstance(body, SightingReceived) and any(token in body.text for token in tokens):
            continue
        kept.append(fact)
    return kept


# --- the document ----------------------------------------------------------------------------------------------------


def test_the_same_evidence_gives_the_same_bytes() -> None:
    assert result.dump(judged(list(ledger()))) == result.dump(whole())


def test_the_document_survives_writing_and_reading() -> None:
    raw = result.dump(whole())
    assert result.dump(result.parse(raw)) == raw


def test_every_finding_has_a_number_or_a_reason() -> None:
    for finding in whole().findings:
        assert (finding.estimate is None) == (finding.state not in (State.MEASURED, State.ATTESTED))
        assert (finding.reason is None) == (finding.estimate is not None)


def test_every_vendor_has_every_measure_on_the_whole() -> None:
    told = {(one.vendor, one.measure) for one in whole().findings if not one.slice}
    assert told == {(vendor, measure) for vendor in MANNERS for measure in whole().measures}


def test_evidence_is_capped_and_counted() -> None:
    for finding in whole().findings:
        assert len(finding.evidence) <= 200
        assert finding.evidence_count >= len(finding.evidence)


def test_funnels_never_widen() -> None:
    for one in whole().funnels:
        assert one.submitted >= one.accepted >= one.reported >= one.delivered
        assert one.accepted >= one.watched >= one.arrived


def test_curves_rise_and_stay_under_one() -> None:
    assert whole().curves
    for curve in whole().curves:
        shares = [share for _, share in curve.points]
        times = [time for time, _ in curve.points]
        assert shares == sorted(shares) and times == sorted(times)
        assert all(0 < share <= 1 for share in shares)


def test_series_account_for_every_message_watched() -> None:
    for one in whole().series:
        if one.measure == "arrival.rate":
            funnel = next(f for f in whole().funnels if f.vendor == one.vendor and f.carrier is one.carrier)
            assert sum(cell.n for cell in one.cells) == funnel.watched


def test_papers_that_are_missing_are_listed_as_missing() -> None:
    scene = Scene(papers=[paper("ali", DocumentKind.LICENCE)])
    documents = {one.kind: one.verdict for one in judged(scene.end()).documents}
    assert documents["licence"] == "valid"
    assert documents["iso27001"] == "missing"


def test_a_run_without_a_single_message_still_gives_a_document() -> None:
    found = judged(Scene(("ali", "small"), papers=()).end())
    assert {one.standing for one in found.scorecards} == {"conditional"}
    assert all(one.overall is None and one.high - one.low > 90 for one in found.scorecards)
    assert {one.group for one in found.scorecards} == {1}


# --- gates -----------------------------------------------------------------------------------------------------------


def expired(vendor: str) -> list[object]:
    papers = [one for one in all_papers(vendor) if one.kind is not DocumentKind.LICENCE]
    return [*papers, paper(vendor, DocumentKind.LICENCE, valid_until=date(2026, 1, 1))]


def test_an_expired_licence_excludes_the_best() -> None:
    papers = [*expired("best"), *all_papers("worst")]
    scene = Scene(("best", "worst"), phones=9, days=5, papers=papers)  # type: ignore[arg-type]
    scene.deliver({"best": Manner(arrives=1), "worst": Manner(arrives=0.7)}, each=100)
    found = judged(scene.end())
    best = card(found, "best")
    assert (best.standing, best.group, best.p_first, best.overall) == ("excluded", None, None, None)
    assert not best.possible_winner and not best.necessary_winner
    assert best.verdict.id == "verdict.excluded"
    assert found.scorecards[0].vendor == "worst"
    assert not found.flips


def test_a_missing_licence_is_not_shown_and_the_vendor_conditional() -> None:
    scene = Scene(papers=[one for one in all_papers("ali") if one.kind is not DocumentKind.LICENCE])
    found = judged(scene.end())
    gate = next(one for one in found.gates if one.id == "licence.attested >= 1")
    assert (gate.verdict, gate.legal, gate.reason.id) == ("not_shown", True, "reason.document_missing")
    assert card(found, "ali").standing == "conditional"
    assert card(found, "ali").verdict.id == "verdict.alone_conditional"


@pytest.mark.parametrize(
    ("low", "high", "text", "verdict"),
    [
        (0.98, 0.99, "arrival.rate >= 0.97", "pass"),
        (0.90, 0.96, "arrival.rate >= 0.97", "fail"),
        (0.96, 0.99, "arrival.rate >= 0.97", "unclear"),
        (0.97, 0.99, "arrival.rate >= 0.97", "pass"),
        (0.97, 0.99, "arrival.rate > 0.97", "unclear"),
        (10, 20, "latency.p95 <= 30 s", "pass"),
        (31, None, "latency.p95 <= 30 s", "fail"),
        (10, None, "latency.p95 <= 30 s", "unclear"),
        (None, None, "latency.p95 <= 30 s", "fail"),  # never reached at all
        (30, 40, "latency.p95 < 30 s", "fail"),
    ],
)
def test_a_gate_is_judged_by_the_interval(low: float | None, high: float | None, text: str, verdict: str) -> None:
    value = None if low is None or high is None else (low + high) / 2
    one = Estimate(value=value, low=low, high=high, n=9, n_eff=9, handsets=9, days=9, method="x", scope=Scope.PANEL)
    assert _verdict(parse_gate(text, "here"), one) == verdict


def test_a_gate_on_a_slice_nobody_measured_is_not_shown() -> None:
    found = judged(None, ONE, ("arrival.rate[carrier=china_broadnet] >= 0.9",))
    assert {(gate.verdict, gate.reason.id) for gate in found.gates} == {("not_shown", "reason.no_such_slice")}


def test_gates_on_the_change_since_last_month_are_left_to_compare() -> None:
    assert judged(None, ONE, ("compare(arrival.rate) > -0.02",)).gates == ()


@settings(max_examples=4, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(st.integers(0, 100))
def test_a_vendor_that_fails_a_gate_is_never_ranked_whatever_the_weights(weight: int) -> None:
    text = TWO.replace("weight: 60", f"weight: {weight}.0").replace("weight: 40,", f"weight: {100 - weight},")
    found = _judged_evidence(text, parse_gate("arrival.rate >= 0.9", "here"))
    worst = card(found, "worst")
    assert (worst.standing, worst.group, worst.p_first) == ("excluded", None, None)
    assert found.scorecards[-1].vendor == "worst"
    assert "worst" not in {one.challenger for one in found.flips} | {one.leader for one in found.flips}


@cache
def _evidence() -> journeys.Evidence:
    scene = Scene(MANNERS, phones=9, days=5)
    scene.deliver(MANNERS, each=60)
    for vendor in MANNERS:
        for number in range(6):
            scene.review(vendor, 60 * number, minutes=4 if vendor != "best" else 9)
    return journeys.read(scene.end())


def _judged_evidence(criteria: str, *gates: Gate) -> Result:
    return judge(_evidence(), read_criteria(locate(criteria, "x")), gates, run_id="r", ledger_digest="d")


# --- marks -----------------------------------------------------------------------------------------------------------


def test_missing_evidence_is_a_whole_span_and_never_zero() -> None:
    scene = Scene(phones=9, days=5)
    scene.deliver({"ali": Manner(arrives=1)}, each=100)
    one = mark(judged(scene.end(), TWO), "ali", "review")
    assert (one.score, one.low, one.high, one.state, one.source) == (None, 0, 100, State.INSUFFICIENT, "none")
    assert one.reason.id == "mark.incomplete"
    assert card(judged(scene.end(), TWO), "ali").overall is None


def test_a_missing_member_widens_the_mark_by_its_weight() -> None:
    text = ONE.replace("scale: [[0.5, 0], [1, 100]]}", "weight: 3, scale: [[0.5, 0], [1, 100]]}")
    text = text.replace("]}}", ", {measure: review.feedback, weight: 1, scale: [[0, 0], [1, 100]]}]}}")
    sure = mark(judged(None, ONE), "best", "arrival")
    facts = [fact for fact in ledger() if fact.case_id is None or not _is_review(fact)]
    open_ = mark(judged(facts, text), "best", "arrival")
    assert open_.score is None
    assert open_.high - open_.low == pytest.approx(0.75 * (sure.high - sure.low) + 25, abs=2.5)


def _is_review(fact: Fact) -> bool:
    return fact.body.kind == "case_planned" and fact.body.case.scenario == "review"


@pytest.mark.parametrize(
    ("kind", "when", "score"),
    [("not_offered", "floor", 0.0), ("not_offered", "range", None), ("not_yet_written", "floor", None)],
)
def test_only_what_a_vendor_does_not_offer_falls_to_the_floor(kind: str, when: str, score: float | None) -> None:
    scene = Scene()
    because = {"kind": kind, "because": "console"}
    scene.add(1, CaseSkipped(vendor="ali", scenario="review", missing=("reviews_templates",), because=because))
    one = mark(
        judged(scene.end(), TWO.replace("[1, 100]]}]}\n", f"[1, 100]], when_absent: {when}}}]}}\n")), "ali", "review"
    )
    assert one.score == score
    assert (one.low, one.high) == ((0, 0) if score is not None else (0, 100))


def test_a_mark_can_be_checked_with_a_pencil() -> None:
    found = judged(None, ONE)
    rate = next(
        one for one in found.findings if one.vendor == "worst" and one.measure == "arrival.rate" and not one.slice
    )
    assert rate.estimate is not None and rate.estimate.value is not None
    assert mark(found, "worst", "arrival").score == pytest.approx((rate.estimate.value - 0.5) / 0.5 * 100)


def test_bands_hold_their_points_and_lie_within_the_marks_range() -> None:
    for one in whole().scorecards:
        assert 0 <= one.low <= one.high <= 100
        for each in one.marks:
            assert 0 <= each.low <= each.high <= 100
            if each.score is not None:
                assert each.low <= each.score <= each.high
            for member in each.members:
                assert 0 <= member.low <= member.high <= 100


def test_attested_and_measured_are_told_apart() -> None:
    sources = {one.measure: one.source for one in mark(whole(), "best", "licence").members}
    assert sources.pop("sender.tri_network") == "measured"
    assert set(sources.values()) == {"attested"}
    assert mark(whole(), "best", "licence").source == "both"


def test_a_member_per_carrier_is_the_mean_of_the_carriers_scores() -> None:
    text = ONE.replace("{measure: arrival.rate,", "{measure: arrival.rate, per: carrier,")
    found = judged(None, text)
    values = [
        one.estimate.value
        for one in found.findings
        if one.vendor == "worst" and one.measure == "arrival.rate" and set(one.slice) == {"carrier"} and one.estimate
    ]
    expected = sum(max(0.0, (value or 0) - 0.5) / 0.5 * 100 for value in values) / 3
    assert len(values) == 3
    assert mark(found, "worst", "arrival").score == pytest.approx(expected)


def test_a_percentile_that_is_not_reached_scores_as_later_than_any_time() -> None:
    assert _score_of(None, [(5, 100), (60, 0)]) == 0


@settings(max_examples=60, deadline=None)
@given(
    st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.sampled_from(["wilson", "mover", "beta-binomial"]),
    st.booleans(),
)  # fmt: skip
def test_a_score_never_leaves_its_scale(a: float, b: float, c: float, method: str, falling: bool) -> None:
    low, value, high = sorted((a, b, c))
    one = Estimate(
        value=value, low=low, high=high, n=50, n_eff=40, handsets=9, days=5, method=method, scope=Scope.PANEL
    )
    scale = ((0.2, 90.0), (0.8, 10.0)) if falling else ((0.2, 10.0), (0.8, 90.0))
    finding = result.Finding(vendor="a", measure="m", slice={}, state=State.MEASURED, estimate=one)
    score = _cell_score(finding, Member(measure="m", weight=1, scale=scale), None, _stream(1, "x"))
    assert score.point is not None and 10 <= score.point <= 90
    assert 0 <= score.draws.min() <= score.draws.max() <= 100


# --- ranking ---------------------------------------------------------------------------------------------------------


def test_vendors_the_evidence_cannot_tell_apart_share_a_group() -> None:
    assert card(whole(), "best").group == card(whole(), "twin").group == 1
    assert card(whole(), "best").verdict.id in ("verdict.level", "verdict.level_conditional")


def test_a_vendor_that_is_shown_to_be_worse_stands_behind() -> None:
    worst = card(whole(), "worst")
    assert worst.group == 2
    assert worst.verdict.id == "verdict.behind"
    assert worst.p_first is not None and worst.p_first < 0.01


def test_chances_of_being_first_sum_to_one() -> None:
    assert sum(one.p_first or 0 for one in whole().scorecards) == pytest.approx(1)
    assert sum(one.p_first_any_weights or 0 for one in whole().scorecards) == pytest.approx(1)


@pytest.mark.parametrize("vendor", MANNERS)
def test_removing_a_vendor_never_changes_the_order_or_the_marks_of_the_rest(vendor: str) -> None:
    fewer = judged(without(vendor))
    before = [one.vendor for one in whole().scorecards if one.vendor != vendor]
    assert [one.vendor for one in fewer.scorecards] == before
    for name in before:
        assert card(fewer, name).marks == card(whole(), name).marks


def test_what_would_flip_the_winner_is_told_in_points_of_weight() -> None:
    found = _judged_evidence(TWO)
    assert [one.leader for one in found.flips] == [found.scorecards[0].vendor] * 2
    for flip in found.flips:
        if flip.moved is not None:
            assert sum(by for by in flip.changes.values() if by > 0) == pytest.approx(flip.moved, abs=1e-3)
            assert sum(flip.changes.values()) == pytest.approx(0, abs=1e-3)


def test_a_vendor_behind_in_everything_is_put_first_by_no_weights() -> None:
    found = judged(None, ONE)
    flip = next(one for one in found.flips if one.challenger == "worst")
    assert (flip.moved, flip.changes) == (None, {})


def test_missing_cells_leave_every_possible_winner_in() -> None:
    scene = Scene(("known", "unknown"), phones=9, days=5)
    scene.deliver({"known": Manner(arrives=1), "unknown": Manner(arrives=1)}, each=80)
    for number in range(30):
        scene.review("known", 60 * number, minutes=2)
    found = judged(scene.end(), TWO)
    assert card(found, "unknown").possible_winner
    assert not card(found, "known").necessary_winner


def test_a_vendor_ahead_whatever_is_missing_is_the_necessary_winner() -> None:
    scene = Scene(("good", "bad"), phones=30, days=5)
    scene.deliver({"good": Manner(arrives=1), "bad": Manner(arrives=0.5)}, each=300)
    found = judged(scene.end(), ONE)
    assert card(found, "good").necessary_winner
    assert not card(found, "bad").possible_winner
    assert card(found, "good").verdict.id == "verdict.first"


# --- what the evidence says regardless of its order ------------------------------------------------------------------


@cache
def _small() -> tuple[Fact, ...]:
    scene = Scene(("ali", "small"), phones=6, days=4)
    scene.deliver({"ali": Manner(arrives=0.9, twice=0.2), "small": Manner(arrives=0.8)}, each=30)
    return tuple(scene.end())


def _small_judged(facts: list[Fact]) -> bytes:
    """The document without the count of facts."""
    found = judged(facts, ONE, ())
    return result.dump(replace(found, run=replace(found.run, ledger_facts=0)))


def _is_news(fact: Fact) -> bool:
    return isinstance(fact.body, ReportReceived | SightingReceived)


@settings(max_examples=2, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(st.integers(0, 10**6))
def test_the_order_of_reports_and_sightings_does_not_matter(seed: int) -> None:
    import random

    news = [fact for fact in _small() if _is_news(fact)]
    random.Random(seed).shuffle(news)
    places = iter(news)
    assert _small_judged([next(places) if _is_news(fact) else fact for fact in _small()]) == _small_judged(
        list(_small())
    )


@settings(max_examples=2, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(st.sets(st.integers(0, 200), max_size=40))
def test_reports_and_sightings_told_again_do_not_matter(places: set[int]) -> None:
    facts: list[Fact] = []
    for place, fact in enumerate(_small()):
        facts += [fact, fact] if place in places and _is_news(fact) else [fact]
    assert _small_judged(facts) == _small_judged(list(_small()))


# --- warnings --------------------------------------------------------------------------------------------------------


def warned(facts: list[Fact]) -> set[str]:
    return {note.id for note in judged(facts, ONE, ()).warnings}


def test_weak_spots_of_a_run_are_warned_of() -> None:
    scene = Scene(("ali", "small"), phones=3, days=0.5)
    scene.deliver({"ali": Manner(doubt=0.3), "small": Manner(arrives=0.5)}, each=40, searches=False)
    case = scene.plan("ali", "p00", 10)
    scene.report(case, 20, vendor_message_id="nobody's")
    said = warned(scene.end(because="interrupted"))
    expected = {"ended_early", "few_handsets", "in_doubt", "unknown", "short_window", "panel_only", "orphan_report"}
    assert {f"warning.{one}" for one in expected} <= said


def test_a_clean_run_is_not_warned_of() -> None:
    manners = {"a": Manner(arrives=0.99), "b": Manner(arrives=0.98)}
    scene = Scene(manners, phones=18, days=5)
    scene.beat(5 * 86_400 + 8000, every=200)
    scene.deliver(manners, each=120)
    assert warned(scene.end()) == {"warning.sandbox"}


def test_a_vendor_that_always_came_first_is_warned_of() -> None:
    scene = Scene(("a", "b"), phones=15, days=5)
    for number in range(60):
        for place, vendor in enumerate(("a", "b")):
            at = number * 5000 + 60 * place
            case = scene.plan(vendor, scene.phones[number % 15], at, visit=f"v{number}")
            scene.one(case, at, Manner(arrives=1))
    assert "warning.order" in warned(scene.end())


# --- words -----------------------------------------------------------------------------------------------------------


def notes_of(found: Result) -> list[result.Note]:
    cards = [note for one in found.scorecards for note in (one.verdict, *one.strengths, *one.weaknesses)]
    marks = [each.reason for one in found.scorecards for each in one.marks]
    reasons = [one.reason for one in (*found.findings, *found.documents) if one.reason is not None]
    return [*cards, *marks, *reasons, *found.warnings, *(gate.reason for gate in found.gates)]


def test_notes_hold_ids_and_numbers_and_no_sentences() -> None:
    for note in notes_of(whole()):
        assert " " not in note.id
        assert all(isinstance(value, str | int | float) for value in note.values.values())


def test_the_standard_criteria_mark_all_seven() -> None:
    marks = [one.criterion for one in card(whole(), "best").marks]
    assert marks == [one.id for one in standard_criteria().criteria if one.members]
    assert len(marks) == 7
