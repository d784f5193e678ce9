"""Reviews: what is handed in, when, how often a decision is asked for, and that nothing is handed in twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import time, timedelta
from itertools import pairwise

from harness.capabilities import Capability
from harness.domain import BEIJING, Case, Subject, Ticket
from harness.facts import QueryReview, SaidNo, SubmitReview, TicketGiven
from harness.registry import scenario
from harness.run.board import Ask, Asked, Board, Close, Step, Wait
from tests.scenarios.boards import after, asked, board
from tests.scenarios.driving import DECISION, REFUSED
from tests.scenarios.evaluation import cases_of, contestant, evaluation

CASE = cases_of("review")[0]
TICKET = Ticket(subject=Subject.TEMPLATE, id="t1")
GIVEN = asked(CASE, SubmitReview(), TicketGiven(ticket=TICKET))


def step(shown: Board, now: object) -> Step:
    result: Step = scenario("review").next_step(shown, now)
    return result


def _working(case: Case) -> bool:
    local = case.due.astimezone(BEIJING)
    return local.weekday() < 5 and time(9, 30) <= local.time() < time(17, 30)


def test_compliant_and_faulty_templates_alternate_in_and_off_working_hours():
    cases = [case for case in cases_of("review", {"templates": "8"}) if case.task["subject"] == "template"]
    mine = [case for case in cases if case.vendor == "v0"]
    assert Counter((bool(case.task["fault"]), _working(case)) for case in mine) == {
        (faulty, working): 2 for faulty in (True, False) for working in (True, False)
    }


def test_all_vendors_get_the_same_texts_at_the_same_time():
    visits: dict[str, set[tuple[object, ...]]] = {}
    for case in cases_of("review"):
        assert case.review is not None
        visits.setdefault(case.visit, set()).add((case.due, case.review.subject, case.review.text))
    assert len(visits) == 7
    assert all(len(same) == 1 for same in visits.values())


def test_a_template_carries_an_example_for_each_variable_and_a_name_that_tells_nothing():
    for case in cases_of("review"):
        draft = case.review
        assert draft is not None
        if draft.subject is Subject.TEMPLATE:
            assert "{code}" in draft.text
            assert len(draft.variables["code"]) == 6
            assert draft.signature == "某某科技"
            assert case.task["fault"] not in draft.name or not case.task["fault"]
            assert len(draft.name) <= 20
    names = [case.review.name for case in cases_of("review") if case.review and case.task["subject"] == "template"]
    assert len(set(names)) == len(names)


def test_our_signature_is_handed_in_where_the_vendor_reviews_them():
    plain = contestant("v0", can=frozenset({Capability.REVIEWS_TEMPLATES}))
    cases = cases_of("review", contestants=[plain, contestant("v1")])
    signatures = [case for case in cases if case.task["subject"] == "signature"]
    assert [(case.vendor, case.review and case.review.text) for case in signatures] == [("v1", "某某科技")]
    assert not [case for case in cases_of("review", {"signatures": "0"}) if case.task["subject"] == "signature"]


def test_it_is_handed_in_once_when_due():
    assert step(board(CASE), after(CASE, seconds=-5)) == Wait(CASE.due)
    assert step(board(CASE), CASE.due) == Ask(SubmitReview())


def test_what_was_handed_in_without_an_answer_is_never_handed_in_again():
    lost = board(CASE, questions=(asked(CASE, SubmitReview()),))
    assert isinstance(step(lost, after(CASE, minutes=1)), Wait)
    assert step(lost, after(CASE, days=9)) == Close("in_doubt")
    failed = board(CASE, questions=(asked(CASE, SubmitReview(), failed="no_answer"),))
    assert step(failed, after(CASE, minutes=1)) == Close("not_taken")


def test_a_vendor_that_says_no_closes_the_case():
    shown = board(CASE, questions=(asked(CASE, SubmitReview(), SaidNo(refused=REFUSED)),))
    assert step(shown, after(CASE, seconds=1)) == Close("not_taken")


def test_a_decision_closes_the_case_however_it_came():
    shown = board(CASE, questions=(GIVEN,), ticket=TICKET, decision=DECISION)
    assert step(shown, after(CASE, seconds=1)) == Close("decided")


def test_questions_come_so_often_that_every_time_is_known_to_a_tenth():
    now, questions, times = CASE.due, (GIVEN,), []
    while True:
        shown = board(CASE, questions=questions, ticket=TICKET)
        match step(shown, now):
            case Wait(until=until):
                now = until
            case Ask(question=question):
                assert question == QueryReview(subject=Subject.TEMPLATE, ticket="t1")
                times.append(now)
                questions = (*questions, Asked(question=question, asked_at=now, failed="no_answer"))
            case Close(because=because):
                break
    assert because == "undecided"
    assert now == CASE.due + timedelta(hours=48)
    gaps = [later - earlier for earlier, later in pairwise([CASE.due, *times])]
    assert gaps[0] == timedelta(seconds=20)
    assert gaps == sorted(gaps)
    assert gaps[-1] == timedelta(minutes=30)
    ages = [at - CASE.due for at in times]
    assert all(gap <= max(timedelta(seconds=20), age / 10) for gap, age in zip(gaps, ages, strict=True))
    assert len(times) < 200


def test_giving_up_can_be_set_and_short_runs_still_hand_everything_in_within_the_run():
    case = cases_of("review", {"give_up": "3 h"})[0]
    shown = board(case, questions=(asked(case, SubmitReview(), TicketGiven(ticket=TICKET)),), ticket=TICKET)
    assert step(shown, after(case, hours=3)) == Close("undecided")
    late = Asked(question=QueryReview(subject=Subject.TEMPLATE, ticket="t1"), asked_at=after(case, minutes=170))
    waiting = board(case, questions=(*shown.asked, late), ticket=TICKET)
    assert step(waiting, after(case, minutes=171)) == Wait(after(case, hours=3))
    within = evaluation(lasts="1 h")
    assert within.begins is not None
    cases = cases_of("review", within=within)
    assert len(cases) == 28
    assert all(within.begins <= one.due <= within.begins + within.lasts for one in cases)


def test_without_a_phone_there_is_nobody_to_name_a_signature_for():
    assert cases_of("review", within=replace(evaluation(), recipients=())) == []
