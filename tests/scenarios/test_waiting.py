"""How a case waits for what it sent: sighting, the phone's inbox, report, deadline."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from harness.domain import DeliveryState, InDoubt, Reason, Refused
from harness.facts import InboxSearched, SearchInbox
from harness.run.board import Ask, Close, Send, Wait
from scenarios.waiting import follow
from tests.scenarios.boards import after, asked, board, sent
from tests.scenarios.evaluation import cases_of

CASE = cases_of("delivery", {"messages": "1"})[0]
UNWATCHED = replace(CASE, task={**CASE.task, "forwarder": "no"})
DOUBT = InDoubt(why="no answer")
SEARCH = SearchInbox(leg=0)


def test_it_waits_until_due_and_sends_then():
    assert follow(board(CASE), after(CASE, seconds=-1)) == Wait(CASE.due)
    assert follow(board(CASE), CASE.due) == Send(0)


def test_what_was_sent_is_awaited_until_the_horizon():
    assert follow(board(CASE, sent(CASE)), after(CASE, minutes=1)) == Wait(after(CASE, minutes=10))


def test_a_message_under_way_is_never_sent_again():
    assert follow(board(CASE, sent(CASE, None)), after(CASE, minutes=1)) == Wait(after(CASE, minutes=10))


def test_arrived_and_reported_is_settled():
    step = follow(board(CASE, sent(CASE, seen=True, state=DeliveryState.DELIVERED)), after(CASE, minutes=1))
    assert step == Close("settled")


def test_an_arrived_message_is_followed_for_its_report_up_to_the_deadline():
    arrived = board(CASE, sent(CASE, seen=True))
    assert follow(arrived, after(CASE, minutes=1)) == Wait(after(CASE, hours=1))
    assert follow(arrived, after(CASE, hours=1)) == Close("horizon")


def test_a_report_that_is_not_final_settles_nothing():
    step = follow(board(CASE, sent(CASE, seen=True, state=DeliveryState.UNKNOWN)), after(CASE, minutes=1))
    assert step == Wait(after(CASE, hours=1))


def test_a_phone_that_told_nothing_is_asked_once_at_the_horizon():
    assert follow(board(CASE, sent(CASE)), after(CASE, minutes=10)) == Ask(SEARCH)
    searched = asked(CASE, SEARCH, InboxSearched(found=False), minutes=10)
    step = follow(board(CASE, sent(CASE), questions=(searched,)), after(CASE, minutes=11))
    assert step == Wait(after(CASE, hours=1))
    done = board(CASE, sent(CASE, state=DeliveryState.DELIVERED), questions=(searched,))
    assert follow(done, after(CASE, minutes=11)) == Close("horizon")


def test_a_claimed_delivery_does_not_replace_the_sighting():
    claimed = board(CASE, sent(CASE, state=DeliveryState.DELIVERED))
    assert follow(claimed, after(CASE, minutes=1)) == Wait(after(CASE, minutes=10))


def test_lost_and_arrived_messages_are_followed_equally_long():
    searched = asked(CASE, SEARCH, None, "unreachable", minutes=10)
    lost = board(CASE, sent(CASE), questions=(searched,))
    arrived = board(CASE, sent(CASE, seen=True))
    assert follow(lost, after(CASE, minutes=20)) == follow(arrived, after(CASE, minutes=20))


def test_a_number_no_phone_watches_is_settled_by_its_report():
    assert follow(board(UNWATCHED, sent(CASE)), after(CASE, minutes=20)) == Wait(after(CASE, hours=1))
    reported = board(UNWATCHED, sent(CASE, state=DeliveryState.REJECTED))
    assert follow(reported, after(CASE, minutes=1)) == Close("settled")


def test_a_refusal_closes_at_once_and_so_does_what_never_left():
    refused = sent(CASE, Refused(reason=Reason.BLACKLISTED, code="B"))
    assert follow(board(CASE, refused), CASE.due) == Close("refused")
    unsent = replace(sent(CASE, None), failed="unreachable")
    assert follow(board(CASE, unsent), CASE.due) == Close("not_sent")


@pytest.mark.parametrize("outcome", [DOUBT, None])
def test_what_stays_in_doubt_closes_in_doubt(outcome: InDoubt | None):
    searched = asked(CASE, SEARCH, InboxSearched(found=False), minutes=10)
    doubtful = board(CASE, sent(CASE, outcome), questions=(searched,))
    assert follow(doubtful, after(CASE, minutes=30)) == Wait(after(CASE, hours=1))
    assert follow(doubtful, after(CASE, hours=1)) == Close("in_doubt")


def test_a_sighting_or_a_report_settles_a_doubt():
    both = sent(CASE, DOUBT, seen=True, state=DeliveryState.DELIVERED)
    assert follow(board(CASE, both), after(CASE, minutes=1)) == Close("settled")
    assert follow(board(CASE, sent(CASE, DOUBT, seen=True)), after(CASE, hours=1)) == Close("horizon")


def test_what_the_phones_inbox_holds_has_left():
    found = asked(CASE, SEARCH, InboxSearched(found=True), minutes=10)
    assert follow(board(CASE, sent(CASE, DOUBT), questions=(found,)), after(CASE, hours=1)) == Close("horizon")


def test_the_clock_starts_when_the_first_byte_was_written():
    late = replace(sent(CASE), written_at=CASE.due + timedelta(minutes=3))
    assert follow(board(CASE, late), after(CASE, minutes=4)) == Wait(after(CASE, minutes=13))


def test_horizons_are_those_of_the_evaluation_and_the_scenario():
    case = cases_of("delivery", {"messages": "1", "report_horizon": "3 h"})[0]
    assert follow(board(case, sent(case, seen=True)), after(case, minutes=1)) == Wait(after(case, hours=3))
