"""Reports of carriers find their messages: by part, in another spelling, before the answer, or without one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from harness.domain import Accepted, DeliveryState, InDoubt, Reason, Refused
from harness.facts import CasePlanned, Fact, SendIntended, SendSettled, SubmitAnswered
from harness.judge.journeys import _claim
from harness.matching import Leg, Matcher, Place
from harness.run.board import fold
from tests.harness.given import NOW, case, draft, fact, later, report

ONE = case("c1", "cmpp", drafts=(draft("BCD234", "s1"),), recipient="p1")
OTHER = case("c2", "cmpp", drafts=(draft("DFG567", "s2"),), recipient="p1")


def told(theirs: str, recipient: str | None = "p1", **more: Any) -> Any:
    return replace(report(theirs, "cmpp"), recipient=recipient, **more)


def sent(one: Any, at: Any = NOW, outcome: Any = None) -> list[Fact]:
    facts = [fact(CasePlanned(case=one), one.id), fact(SendIntended(leg=0, planned_at=at, ceiling=None), one.id, at=at)]
    return [*facts, fact(SubmitAnswered(leg=0, outcome=outcome, call=None), one.id)] if outcome else facts


def taught(*facts: Fact) -> Matcher:
    matcher = Matcher()
    for one in facts:
        matcher.route(one)
    return matcher


PARTS = Accepted(vendor_message_id="a1", segments=3, part_ids=("a1", "a2", "a3"))


def test_every_part_of_a_message_leads_to_it():
    matcher = taught(*sent(ONE, outcome=PARTS))
    places = [matcher.place_of(told(theirs)) for theirs in PARTS.part_ids]
    assert places == [Place(Leg("c1", 0), number) for number in (1, 2, 3)]
    assert matcher.place_of(told("a4")) is None


def test_reports_of_parts_that_come_before_the_answer_come_out_with_it():
    *before, answer = sent(ONE, outcome=PARTS)
    early = [fact(told(theirs)) for theirs in ("a3", "a1")]
    matcher = taught(*before, *early)
    assert matcher.orphans == early
    assert [news for _, news in matcher.route(answer)][1:] == [early[1], early[0]]
    assert matcher.orphans == []


@pytest.mark.parametrize("order", [("a1", "a2", "a3"), ("a3", "a1", "a2")])
def test_a_message_in_parts_is_delivered_with_the_last_report_and_undelivered_with_the_first_failure(order):
    matcher, board = Matcher(), None
    for one in [*sent(ONE, outcome=PARTS), *(fact(told(theirs)) for theirs in order)]:
        for _, news in matcher.route(one):
            board = fold(board, news, matcher)
        is_last = board is not None and 0 in board.legs and len(board.legs[0].reports) == 3
        assert (board.legs[0].final_report is not None if 0 in board.legs else False) is is_last
    failed = fact(told("a2", state=DeliveryState.UNDELIVERED, reason=Reason.UNREACHABLE, code="MK:0024"))
    matcher, board = Matcher(), None
    for one in [*sent(ONE, outcome=PARTS), failed]:
        for _, news in matcher.route(one):
            board = fold(board, news, matcher)
    assert board.legs[0].final_report.state is DeliveryState.UNDELIVERED


def test_a_claim_of_fewer_parts_than_there_are_is_no_claim_yet():
    reports = {
        number: ((NOW, "delivered", "DELIVRD"), told(f"a{number}"), frozenset(("delivered",))) for number in (1, 2)
    }
    assert _claim(reports, 3) is None and _claim(reports, 2) is not None


@pytest.mark.parametrize("given, reported, also", [
    ("5a0001", "5898241", ("5a0001",)),
    ("5898241", "5A0001", ("5a0001", "5898241")),
    ("0005a001", "5A001", ("5a001",)),
    ("abc", "00ABC", ("00abc",)),
])  # fmt: skip
def test_an_id_in_another_spelling_counts_where_the_receiver_fits(given, reported, also):
    matcher = taught(*sent(ONE, outcome=Accepted(vendor_message_id=given)))
    assert matcher.leg_of(told(reported, also=also)) == Leg("c1", 0)
    assert matcher.leg_of(told(reported, also=also, recipient="p2")) is None
    assert matcher.leg_of(told(reported, also=also, recipient=None)) is None, "a guess needs the receiver"
    assert matcher.leg_of(told(reported)) is None, "a vendor that says nothing of spellings is taken at its word"


def test_two_messages_that_fit_another_spelling_are_never_guessed_between():
    matcher = taught(
        *sent(ONE, outcome=Accepted(vendor_message_id="10")), *sent(OTHER, outcome=Accepted(vendor_message_id="16"))
    )
    assert matcher.leg_of(told("0010", also=("a", "16"))) is None
    assert matcher.leg_of(told("10", also=("a", "16"))) == Leg("c1", 0), "as it stands it is one message's"


def test_a_strange_id_is_that_of_the_one_message_in_doubt_whose_receiver_and_time_fit():
    matcher = taught(*sent(ONE, outcome=InDoubt(why="no_answer")))
    assert matcher.leg_of(told("x1")) is None, "without a time of the submit"
    assert matcher.leg_of(told("x1", submitted_at=later(minutes=30))) is None
    stamped = fact(told("x1", submitted_at=NOW - timedelta(seconds=30)))
    assert [case_id for case_id, _ in matcher.route(stamped)] == ["c1"]
    second = fact(told("x2", submitted_at=NOW))
    assert matcher.route(second) == [] and matcher.orphans == [second], "it has its id now"


def test_a_strange_id_waits_while_an_answer_may_still_come():
    *before, answer = sent(ONE, outcome=InDoubt(why="no_answer"))
    strange = fact(told("x1", submitted_at=NOW))
    matcher = taught(*before, strange)
    assert matcher.orphans == [strange]
    assert [news for _, news in matcher.route(answer)] == [answer, strange]


def test_a_strange_id_that_two_messages_in_doubt_may_have_is_nobodys():
    doubt = InDoubt(why="no_answer")
    matcher = taught(*sent(ONE, outcome=doubt), *sent(OTHER, at=later(seconds=60), outcome=doubt))
    assert matcher.route(fact(told("x1", submitted_at=NOW))) == []


@pytest.mark.parametrize("outcome", [Refused(reason=Reason.BAD_REQUEST, code="1"), Accepted(vendor_message_id="m1")])
def test_a_strange_id_is_never_that_of_a_message_whose_fate_is_known(outcome):
    matcher = taught(*sent(ONE, outcome=outcome))
    assert matcher.route(fact(told("x1", submitted_at=NOW))) == []


def test_of_a_message_some_of_whose_parts_were_answered_the_strange_id_is_the_missing_ones():
    doubt = InDoubt(why="no_answer", part_ids=("a1", "", "a3"))
    matcher = taught(*sent(ONE, outcome=doubt))
    assert matcher.place_of(told("a3")) == Place(Leg("c1", 0), 3)
    matcher.route(fact(told("x", submitted_at=NOW)))
    assert matcher.place_of(told("x", submitted_at=NOW)) == Place(Leg("c1", 0), 2)
    assert matcher.place_of(told("y", submitted_at=NOW)) is None


def test_a_late_answer_closes_the_doubt_and_brings_all_its_ids():
    settled = fact(SendSettled(leg=0, by="answer", vendor_message_id="a1", part_ids=("a1", "a2")), "c1")
    matcher = taught(*sent(ONE, outcome=InDoubt(why="no_answer")), settled)
    assert matcher.place_of(told("a2")) == Place(Leg("c1", 0), 2)
    assert matcher.place_of(told("x", submitted_at=NOW)) is None
