"""Opt-out: spare phones, one reply, and all later legs in their hours."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from harness.domain import BEIJING, Case, DeliveryState, Reason, Refused, ReportSource
from harness.errors import ConfigError
from harness.facts import InboundReceived, InboxSearched, Replied, Reply, SearchInbox
from harness.registry import scenario
from harness.run.board import Ask, Board, Close, Send, Step, Wait
from tests.scenarios.boards import after, asked, board, sent
from tests.scenarios.evaluation import cases_of, evaluation

CASE = next(case for case in cases_of("opt_out") if len(case.drafts) == 4)
REPLY = Reply(leg=0, text="R")
SEEN = sent(CASE, seen=True, state=DeliveryState.DELIVERED)
REPLIED = asked(CASE, REPLY, Replied(by_hand=False), seconds=20)


def step(shown: Board, now: object) -> Step:
    result: Step = scenario("opt_out").next_step(shown, now)
    return result


def test_spare_phones_are_dealt_out_one_vendor_each():
    cases = cases_of("opt_out")
    assert Counter(case.vendor for case in cases) == {"v0": 1, "v1": 1, "v2": 1, "v3": 1}
    assert len({case.recipient for case in cases}) == 4
    assert all(case.recipient and case.recipient.startswith("spare") for case in cases)


def test_with_fewer_phones_a_testers_phone_serves_several_vendors_and_others_one():
    cases = cases_of("opt_out", within=evaluation(spares=1))
    assert len(cases) == 4
    gaps = sorted(case.due for case in cases)
    assert all(later - earlier >= timedelta(minutes=2) for earlier, later in pairwise(gaps))
    within = evaluation(spares=1)
    people = tuple(replace(one, tester=False) for one in within.recipients)
    assert len(cases_of("opt_out", within=replace(within, recipients=people))) == 1


def test_testers_get_all_legs_and_others_the_last_one_only():
    testers = {one.id for one in evaluation().recipients if one.tester}
    for case in cases_of("opt_out"):
        wanted = "600,7200,86400" if case.recipient in testers else "86400"
        assert case.task["after_seconds"] == wanted
        assert len(case.drafts) == wanted.count(",") + 2
        assert {draft.purpose for draft in case.drafts} == {"marketing"}


def test_legs_that_do_not_fit_into_the_run_are_left_out():
    for case in cases_of("opt_out", within=evaluation(lasts="12 h")):
        assert "86400" not in case.task["after_seconds"]


def test_a_wrong_list_of_times_is_an_error_that_names_the_setting():
    with pytest.raises(ConfigError, match="after"):
        cases_of("opt_out", {"after": "10 min, soon"})


def test_the_phone_replies_once_when_it_has_seen_the_message():
    assert step(board(CASE), CASE.due) == Send(0)
    assert step(board(CASE, sent(CASE)), after(CASE, seconds=5)) == Wait(after(CASE, minutes=10))
    assert step(board(CASE, SEEN), after(CASE, seconds=20)) == Ask(REPLY)
    waiting = board(CASE, SEEN, questions=(asked(CASE, REPLY, seconds=20),))
    assert isinstance(step(waiting, after(CASE, seconds=30)), Wait)
    assert step(waiting, after(CASE, hours=1)) == Close("reply_unseen")


def test_without_arrival_nothing_is_replied_to():
    assert step(board(CASE, sent(CASE)), after(CASE, minutes=10)) == Ask(SearchInbox(leg=0))
    searched = asked(CASE, SearchInbox(leg=0), InboxSearched(found=False), minutes=10)
    assert step(board(CASE, sent(CASE), questions=(searched,)), after(CASE, minutes=11)) == Close("not_arrived")
    refused = sent(CASE, Refused(reason=Reason.HOURS, code="H"))
    assert step(board(CASE, refused), after(CASE, seconds=1)) == Close("refused")


def test_a_failed_reply_ends_the_case():
    shown = board(CASE, SEEN, questions=(asked(CASE, REPLY, failed="unreachable", seconds=20),))
    assert step(shown, after(CASE, seconds=30)) == Close("reply_failed")


def test_a_reply_by_hand_counts_from_when_the_vendor_passed_it_on():
    by_hand = asked(CASE, REPLY, Replied(by_hand=True), seconds=20)
    shown = board(CASE, SEEN, questions=(by_hand,))
    assert isinstance(step(shown, after(CASE, hours=1)), Wait)
    assert step(shown, after(CASE, hours=5)) == Close("reply_unseen")
    inbound = InboundReceived(
        vendor=CASE.vendor, recipient=CASE.recipient, to="1069", text="R", sent_at=None, source=ReportSource.PUSHED
    )
    heard = board(CASE, SEEN, questions=(by_hand,), inbound=((after(CASE, hours=1), inbound),))
    assert step(heard, after(CASE, hours=1)) == Wait(after(CASE, minutes=70))


def test_legs_follow_at_growing_times_after_the_reply_whatever_became_of_the_one_before():
    refused = sent(CASE, Refused(reason=Reason.OPTED_OUT, code="O"))
    first = after(CASE, minutes=10, seconds=20)
    assert step(board(CASE, SEEN, questions=(REPLIED,)), after(CASE, seconds=30)) == Wait(first)
    assert step(board(CASE, SEEN, questions=(REPLIED,)), first) == Send(1)
    second = after(CASE, hours=2, seconds=20)
    assert step(board(CASE, SEEN, refused, questions=(REPLIED,)), first) == Wait(second)
    assert step(board(CASE, SEEN, refused, questions=(REPLIED,)), second) == Send(2)
    third = after(CASE, hours=24, seconds=20)
    assert step(board(CASE, SEEN, refused, refused, questions=(REPLIED,)), second) == Wait(third)
    done = board(CASE, SEEN, refused, refused, refused, questions=(REPLIED,))
    assert step(done, third) == Close("settled")


def test_a_long_wait_for_one_leg_does_not_hold_the_next_one_up():
    case: Case = replace(CASE, task={**CASE.task, "horizon_seconds": "90000", "report_horizon_seconds": "90000"})
    shown = board(case, SEEN, sent(case), questions=(REPLIED,))
    assert step(shown, after(case, hours=2, seconds=20)) == Send(2)


def test_a_leg_that_would_fall_into_the_night_waits_for_the_morning():
    evening = CASE.due.replace(hour=12, minute=20)  # 20:20 in Beijing
    shown = board(CASE, SEEN, questions=(replace(REPLIED, asked_at=evening, answered_at=evening),))
    wait = step(shown, evening)
    assert isinstance(wait, Wait)
    local = wait.until.astimezone(BEIJING)
    assert (local.day, local.hour, local.minute) == (3, 9, 0)
