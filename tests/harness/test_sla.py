"""A contract's delivery clause: read as written, counted on its own denominator, and paid only where it can be told."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.domain import Money, Reason
from harness.judge import criteria, journeys, sla
from harness.judge.criteria import View
from harness.judge.result import SlaClause, SlaValue
from harness.sla import FORMULAS, Counts, Of, Terms, Void, read_terms
from tests.factory import Manner, Scene

TENCENT = {
    "formula": "1 - failed / accepted", "threshold": "95 %", "exclude": "invalid_number, unreachable",
    "tiers": "95 % -> 10 %, 90 % -> 30 %", "monthly_fee": "12000 CNY", "void_if": "tri_network_code, fixed_code",
}  # fmt: skip


# --- reading ---------------------------------------------------------------------------------------------------------


def test_a_clause_is_read_as_it_is_written():
    assert read_terms(TENCENT) == Terms(
        counts=Counts.NOT_FAILED, of=Of.ACCEPTED, threshold=0.95, exclude=(Reason.INVALID_NUMBER, Reason.UNREACHABLE),
        tiers=((0.95, 0.1), (0.9, 0.3)), fee=Money(amount=Decimal(12000)),
        void_if=(Void.TRI_NETWORK_CODE, Void.FIXED_CODE),
    )  # fmt: skip
    tender = read_terms({"formula": "delivered / submitted", "threshold": "0.96", "within": "60 s", "per_point": "1 %"})
    assert (tender.counts, tender.of, tender.within, tender.per_point) == (Counts.DELIVERED, Of.SUBMITTED, 60.0, 0.01)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"formula": "good / bad"}, r"formula: got 'good / bad'; it is one of delivered / submitted"),
        ({"formula": ""}, "formula: is missing"),
        ({"threshold": "95"}, r"threshold: got '95'; it takes a share such as 95 %"),
        ({"exclude": "powered_off"}, "exclude: got 'powered_off'; it takes blacklisted"),
        ({"tiers": "95 %: 10 %"}, "tiers: got '95 %: 10 %'; it takes steps"),
        ({"within": "60"}, "within: got '60'; it takes a time such as 60 s"),
        ({"monthly_fee": "much"}, "monthly_fee: got 'much'"),
        ({"void_if": "moon"}, "void_if: got 'moon'; it takes tri_network_code"),
        ({"penalty": "1 %"}, "penalty: there is no such term; terms are formula"),
    ],
)
def test_a_clause_that_cannot_be_read_names_the_term_its_value_and_the_way_out(changes, told):
    with pytest.raises(ValueError, match=told):
        read_terms({**TENCENT, **changes})


@given(st.dictionaries(st.sampled_from([*TENCENT, "within", "per_point", "most", "x"]), st.text(max_size=30)))
def test_any_text_is_read_or_refused_and_nothing_else(values):
    try:
        terms = read_terms(values)
    except ValueError:
        return
    assert 0 <= terms.threshold <= 1 and (terms.counts, terms.of) in FORMULAS.values()


# --- compensation ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "owed"), [(1.0, 0.0), (0.95, 0.0), (0.9499, 0.1), (0.9, 0.1), (0.8999, 0.3), (0.0, 0.3)]
)
def test_steps_pay_by_the_lowest_one_that_was_missed(share, owed):
    assert read_terms(TENCENT).due(share) == owed


def test_points_pay_in_proportion_and_never_more_than_agreed():
    terms = read_terms({"formula": "delivered / accepted", "threshold": "96 %", "per_point": "2 %", "most": "20 %"})
    assert terms.due(0.955) == pytest.approx(0.01)
    assert terms.due(0.5) == 0.2


shares = st.floats(0, 1)


@given(shares, shares, st.lists(st.tuples(shares, shares), max_size=4), st.none() | shares, st.none() | shares)
def test_a_worse_share_never_pays_less(one, other, tiers, per_point, most):
    plain = Terms(counts=Counts.DELIVERED, of=Of.ACCEPTED, threshold=0.95, tiers=tuple(tiers), per_point=per_point)
    terms = replace(plain, most=most)
    low, high = sorted((one, other))
    assert 0 <= terms.due(high) <= terms.due(low) <= 1


# --- measured --------------------------------------------------------------------------------------------------------


@cache
def view(**manner: float) -> View:
    """Five days of one vendor."""
    scene = Scene(phones=9, days=5, papers=())
    scene.beat(5 * 86_400 + 8000, every=200)
    scene.deliver({"ali": Manner(**manner)}, each=900)
    return next(view for by, view in criteria.views(journeys.read(scene.end()), "ali") if by is None)


def held(of: View, **terms: str) -> SlaClause:
    paper = {"kind": sla.KIND, "vendor": "ali", "number": "HT-1", "values": {**TENCENT, "void_if": "", **terms}}
    return sla.clause(paper, of)


def by(clause: SlaClause, basis: str) -> SlaValue:
    return next(value for value in clause.values if value.basis == basis)


def test_a_vendor_that_keeps_its_promise_owes_nothing():
    clause = held(view(arrives=0.995))
    for value in clause.values:
        assert (value.verdict, value.due_low, value.due_high) == ("met", 0.0, 0.0)
    assert clause.counted == len(view(arrives=0.995).accepted) and clause.excluded == 0


def test_what_the_reports_claim_and_what_phones_saw_are_judged_apart():
    clause = held(view(arrives=0.80, false_receipts=1.0))
    assert by(clause, "reports").verdict == "met"
    seen = by(clause, "handsets")
    assert (seen.verdict, seen.due, seen.due_low, seen.due_high) == ("missed", 0.3, 0.3, 0.3)
    assert seen.evidence and seen.evidence_count > 100


def test_an_interval_across_the_line_leaves_compensation_open():
    value = by(held(view(arrives=0.95)), "handsets")
    assert value.verdict == "unclear"
    assert value.due_low == 0.0 and value.due_high is not None and value.due_high > 0


def test_missing_reports_are_no_failures_for_a_formula_that_counts_failures():
    of = view(arrives=0.995, missing_receipts=0.3)
    assert by(held(of), "reports").verdict == "met"
    assert by(held(of, formula="delivered / accepted"), "reports").verdict == "missed"


def test_refusals_count_only_where_the_formula_says_submitted():
    of = view(arrives=1.0, refuses=0.2)
    accepted, submitted = held(of), held(of, formula="1 - failed / submitted")
    assert submitted.counted > accepted.counted
    assert by(accepted, "reports").verdict == "met" and by(submitted, "reports").verdict == "missed"
    assert by(submitted, "handsets").verdict == "missed"


def test_a_time_limit_makes_late_ones_failures():
    of = view(arrives=0.995, median_seconds=20.0)
    assert by(held(of), "handsets").verdict == "met"
    assert by(held(of, within="10 s"), "handsets").verdict == "missed"


def test_an_exclusion_against_a_phone_that_was_alive_is_counted_against_the_vendor():
    of = view(arrives=0.85)
    reasons = sorted({str(one) for one in of.traffic["report_reason"].dropna()} & {one.value for one in Reason})
    assert reasons, "the made-up vendor gives a reason for what it says has failed"
    plain, excused = held(of, exclude=""), held(of, exclude=", ".join(reasons))
    assert by(plain, "reports").verdict == "missed" and by(excused, "reports").verdict == "met"
    assert excused.excluded > 0 and excused.contradicted == excused.excluded
    assert by(excused, "handsets").estimate == by(plain, "handsets").estimate


def test_a_clause_that_voids_itself_for_the_code_in_use_says_so():
    clause = held(view(arrives=0.995), void_if="tri_network_code, fixed_code")
    assert clause.void_if == ("tri_network_code", "fixed_code")
    assert clause.void_seen == ("tri_network_code",)
    assert held(view(arrives=0.995), void_if="fixed_code").void_seen == ()


def test_without_messages_nothing_can_be_told():
    scene = Scene(papers=())
    empty = next(view for by, view in criteria.views(journeys.read(scene.end()), "ali") if by is None)
    for value in held(empty).values:
        assert value.verdict == "unknown" and value.due is None and value.estimate is None
        assert value.reason is not None and value.reason.id == "reason.no_messages"


def test_a_clause_nobody_can_read_is_told_and_stops_nothing():
    clause = held(view(arrives=0.995), formula="whatever")
    assert clause.reason is not None and "formula" in str(clause.reason.values["problem"]) and clause.values == ()


def test_clauses_are_found_in_the_dossier_by_their_kind():
    run = view(arrives=0.995).run
    papers = [{"kind": "licence", "vendor": "ali"}, {"kind": sla.KIND, "vendor": "ali", "values": TENCENT}]
    papers += [{"kind": sla.KIND, "vendor": "gone", "values": TENCENT}]
    began = replace(run.began, settings={**run.began.settings, "dossier": papers})
    found = list(sla.clauses(replace(run, began=began), {"ali": view(arrives=0.995)}))
    assert [one.vendor for one in found] == ["ali"] and found[0].threshold == 0.95
