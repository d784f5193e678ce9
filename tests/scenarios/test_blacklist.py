"""Numbers that must not be reached: each kind in turn, refusals awaited as long as reports may take."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from harness.domain import DeliveryState
from harness.registry import scenario
from harness.run.board import Close, Wait
from tests.scenarios.boards import after, board, sent
from tests.scenarios.evaluation import cases_of, evaluation

KINDS = {"blocked", "invalid", "opted_out", "unreachable"}


def test_each_kind_gets_its_turn_and_the_case_says_what_is_expected():
    people = {one.id: one.kind.value for one in evaluation().recipients}
    cases = cases_of("blacklist")
    assert all(case.task["expect"] == people[case.recipient or ""] for case in cases)
    counts = Counter(case.task["expect"] for case in cases if case.vendor == "v0")
    assert set(counts) == KINDS
    assert counts["blocked"] >= 7


def test_who_opted_out_is_tried_with_marketing_and_the_others_with_notices():
    for case in cases_of("blacklist"):
        assert case.slices["purpose"] == ("marketing" if case.task["expect"] == "opted_out" else "notification")


def test_all_wanted_messages_are_planned_though_some_turns_are_lost_to_the_marketing_rule():
    visits = {case.visit for case in cases_of("blacklist", {"messages": "40"})}
    assert len(visits) == 40


def test_a_few_numbers_are_not_flooded():
    cases = cases_of("blacklist", {"messages": "5000"})
    counts = Counter((case.vendor, case.recipient, case.due.date()) for case in cases)
    assert max(counts.values()) <= 11


def test_a_refusal_in_the_report_is_awaited():
    case = cases_of("blacklist", {"report_horizon": "2 h"})[0]
    step = scenario("blacklist").next_step
    assert step(board(case, sent(case)), after(case, minutes=90)) == Wait(after(case, hours=2))
    assert step(board(case, sent(case)), after(case, hours=2)) == Close("horizon")
    late = board(case, sent(case, state=DeliveryState.REJECTED))
    assert step(late, after(case, minutes=90)) == Close("settled")


def test_without_such_numbers_there_are_no_cases():
    within = evaluation()
    bare = replace(within, recipients=tuple(one for one in within.recipients if one.kind == "handset"))
    assert cases_of("blacklist", within=bare) == []
