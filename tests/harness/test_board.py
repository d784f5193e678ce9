"""A case's facts folded into what a scenario may see."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from harness.domain import DeliveryState, InDoubt, Reason, Refused, ReviewDecision, ReviewVerdict, Subject, Ticket
from harness.facts import (
    Braked,
    CallFailed,
    CaseClosed,
    CasePlanned,
    Decided,
    Fact,
    InboxSearched,
    QueryReview,
    QuestionAnswered,
    QuestionAsked,
    SearchInbox,
    SendIntended,
    SendSettled,
    SubmitAnswered,
    SubmitReview,
    TicketGiven,
    Undecided,
)
from harness.matching import Matcher
from harness.run.board import Board, fold
from tests.harness.given import NOW, accepted, case, draft, fact, later, report, sighting

CASE = case("c1", "ali", drafts=(draft("BCD234", "s1"), draft("DFG567", "s2")))
PLANNED = fact(CasePlanned(case=CASE), "c1")
INTENDED = fact(SendIntended(leg=0, planned_at=NOW, ceiling=None), "c1", at=later(seconds=1))
ANSWERED = fact(SubmitAnswered(leg=0, outcome=accepted(), call=None), "c1", at=later(seconds=2))


def board_of(*facts: Fact) -> Board:
    matcher, board = Matcher(), None
    for one in facts:
        for _, news in matcher.route(one):
            board = fold(board, news, matcher)
    assert board is not None
    return board


def test_a_board_begins_with_the_plan_and_with_nothing_else():
    assert fold(None, ANSWERED, Matcher()) is None
    assert board_of(PLANNED) == Board(case=CASE)


def test_a_send_is_intended_then_answered():
    sent = board_of(PLANNED, INTENDED).sent()
    assert sent is not None
    assert not sent.is_answered
    sent = board_of(PLANNED, INTENDED, ANSWERED).sent()
    assert sent.is_answered
    assert sent.is_taken
    assert (sent.intended_at, sent.answered_at) == (later(seconds=1), later(seconds=2))
    assert board_of(PLANNED, INTENDED, ANSWERED).sent(1) is None


def test_a_refusal_is_an_answer_and_nothing_was_taken():
    refused = SubmitAnswered(leg=0, outcome=Refused(reason=Reason.BLACKLISTED, code="E1"), call=None)
    sent = board_of(PLANNED, INTENDED, fact(refused, "c1")).sent()
    assert sent.is_answered
    assert not sent.is_taken


def test_doubt_is_taken_only_with_evidence():
    doubt = fact(SubmitAnswered(leg=0, outcome=InDoubt(why="no_answer"), call=None), "c1")
    assert not board_of(PLANNED, INTENDED, doubt).sent().is_taken
    seen = board_of(PLANNED, INTENDED, doubt, fact(sighting("码BCD234"))).sent()
    assert seen.is_taken
    assert seen.has_arrived
    assert board_of(PLANNED, INTENDED, doubt, fact(report("x", reference="s1"))).sent().is_taken
    settled = fact(SendSettled(leg=0, by="record", vendor_message_id="m7"), "c1")
    assert board_of(PLANNED, INTENDED, doubt, settled).sent().outcome == accepted("m7")


def test_a_failed_call_took_nothing():
    failed = fact(CallFailed(what="submit", trouble="unreachable", detail="", written=False, leg=0), "c1")
    sent = board_of(PLANNED, INTENDED, failed).sent()
    assert sent.failed == "unreachable"
    assert sent.is_answered
    assert not sent.is_taken


def test_an_intent_told_twice_is_one():
    assert board_of(PLANNED, INTENDED, replace(INTENDED, at=later(hours=1))).sent().intended_at == later(seconds=1)


def test_the_first_final_report_counts_and_the_contradiction_is_kept():
    unknown = fact(report(state=DeliveryState.UNKNOWN, code="ACCEPTD"))
    failed = fact(report(state=DeliveryState.UNDELIVERED, reason=Reason.UNREACHABLE, code="UNDELIV"))
    sent = board_of(PLANNED, INTENDED, ANSWERED, unknown, fact(report()), failed).sent()
    assert sent.final_report.code == "DELIVRD"
    assert [one.code for one in sent.reports] == ["ACCEPTD", "DELIVRD", "UNDELIV"]


def test_news_of_a_leg_that_was_never_sent_changes_nothing():
    assert board_of(PLANNED, INTENDED, fact(sighting("码DFG567"))).legs.keys() == {0}


def test_questions_are_answered_oldest_first():
    ask = QueryReview(subject=Subject.TEMPLATE, ticket="t")
    decision = ReviewDecision(ticket="t", subject=Subject.TEMPLATE, verdict=ReviewVerdict.APPROVED)
    board = board_of(
        PLANNED,
        fact(QuestionAsked(question=ask), "c1", at=later(seconds=1)),
        fact(QuestionAnswered(question=ask, answer=Undecided()), "c1", at=later(seconds=2)),
        fact(QuestionAsked(question=ask), "c1", at=later(seconds=3)),
    )
    assert board.count_asked("query_review") == 2
    assert board.last_asked("query_review").answer is None
    matcher = Matcher()
    after = fold(board, fact(QuestionAnswered(question=ask, answer=Decided(decision=decision)), "c1"), matcher)
    assert after.decision == decision
    assert [one.answer for one in after.asked] == [Undecided(), Decided(decision=decision)]


def test_a_question_that_failed_is_answered_with_its_trouble():
    ask = SearchInbox(leg=0)
    failed = CallFailed(what="search_inbox", trouble="unreachable", detail="", written=False)
    board = board_of(PLANNED, fact(QuestionAsked(question=ask), "c1"), fact(failed, "c1"))
    asked = board.last_asked("search_inbox")
    assert (asked.failed, asked.answer) == ("unreachable", None)
    assert asked.answered_at == NOW
    assert board.legs == {}


def test_a_question_of_another_kind_is_not_answered_by_it():
    ask = SearchInbox(leg=0)
    board = board_of(
        PLANNED,
        fact(QuestionAsked(question=SubmitReview()), "c1"),
        fact(QuestionAnswered(question=ask, answer=InboxSearched(found=True)), "c1"),
    )
    assert board.last_asked("submit_review").answered_at is None


def test_a_ticket_is_remembered_and_the_first_decision_stays():
    ticket = Ticket(subject=Subject.TEMPLATE, id="t")
    board = board_of(PLANNED, fact(QuestionAnswered(question=SubmitReview(), answer=TicketGiven(ticket=ticket)), "c1"))
    assert board.ticket == ticket
    first = ReviewDecision(ticket="t", subject=Subject.TEMPLATE, verdict=ReviewVerdict.APPROVED)
    second = replace(first, verdict=ReviewVerdict.REJECTED)
    ask = QueryReview(subject=Subject.TEMPLATE, ticket="t")
    for one in (first, second):
        board = fold(board, fact(QuestionAnswered(question=ask, answer=Decided(decision=one)), "c1"), Matcher())
    assert board.decision == first


def test_brakes_and_the_end_are_seen():
    board = board_of(PLANNED, fact(Braked(brake="hours", until=NOW), "c1"), fact(CaseClosed(because="horizon"), "c1"))
    assert (board.braked, board.closed) == ("hours", "horizon")


NEWS = [
    ANSWERED,
    fact(report(), seq=3),
    fact(report(state=DeliveryState.UNKNOWN, code="ACCEPTD"), seq=4),
    fact(sighting("码BCD234"), seq=5),
    fact(Braked(brake="gap", until=NOW), "c1", seq=6),
]


@given(st.permutations(NEWS))
def test_in_whatever_order_news_come_the_board_says_the_same(order):
    board = board_of(PLANNED, INTENDED, *order)
    sent = board.sent()
    assert sent.outcome == accepted()
    assert sent.final_report.code == "DELIVRD"
    assert {one.code for one in sent.reports} == {"DELIVRD", "ACCEPTD"}
    assert len(sent.sightings) == 1
    assert board.braked == "gap"
