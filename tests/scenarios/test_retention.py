"""Retention: one message an age, looked up once at that age, on the Beijing day it was sent."""

from __future__ import annotations

from dataclasses import replace

from harness.domain import InDoubt, Reason, Refused
from harness.facts import FindRecord, RecordTold
from harness.registry import scenario
from harness.run.board import Ask, Close, Wait
from tests.scenarios.boards import after, asked, board, sent
from tests.scenarios.evaluation import cases_of, evaluation

CASE = cases_of("retention")[0]
TWO = replace(CASE, task={**CASE.task, "ages_seconds": "3600,86400"})
FOUND = RecordTold(found=True, records=1)
step = scenario("retention").next_step


def test_each_vendor_sends_one_message_for_each_age_that_fits_into_the_run():
    for lasts, ages in (("7 days", ["0.0416667", "1", "3", "6"]), ("2 days", ["0.0416667", "1"])):
        cases = cases_of("retention", within=evaluation(lasts=lasts))
        mine = [case for case in cases if case.vendor == "v0"]
        assert [case.task["age_days"] for case in mine] == ages
        assert all(len(case.drafts) == 1 for case in mine)


def test_messages_leave_at_the_start_of_the_run():
    cases = cases_of("retention")
    assert max(case.due for case in cases) - min(case.due for case in cases) < after(CASE, minutes=30) - CASE.due


def test_the_message_is_looked_up_by_the_vendors_id_our_reference_and_the_beijing_day():
    question = FindRecord(day=CASE.due.date(), vendor_message_id="m1", reference=CASE.drafts[0].reference)
    assert step(board(CASE, sent(CASE)), after(CASE, minutes=20)) == Wait(after(CASE, hours=1))
    assert step(board(CASE, sent(CASE)), after(CASE, hours=1)) == Ask(question)


def test_each_age_is_looked_up_once_and_then_the_case_closes():
    question = FindRecord(day=CASE.due.date(), vendor_message_id="m1")
    first = asked(TWO, question, FOUND, hours=1)
    assert step(board(TWO, sent(TWO), questions=(first,)), after(TWO, hours=2)) == Wait(after(TWO, days=1))
    both = (first, asked(TWO, question, failed="no_answer", days=1))
    assert step(board(TWO, sent(TWO), questions=both), after(TWO, days=1)) == Close("looked_up")


def test_what_is_in_doubt_is_looked_for_and_what_was_refused_is_not():
    doubt = board(CASE, sent(CASE, InDoubt(why="")))
    question = FindRecord(day=CASE.due.date(), reference=CASE.drafts[0].reference)
    assert step(doubt, after(CASE, hours=1)) == Ask(question)
    refused = board(CASE, sent(CASE, Refused(reason=Reason.BALANCE, code="")))
    assert step(refused, after(CASE, hours=1)) == Close("refused")
