"""The vendor's own counts: asked once for each whole day, the morning after."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from harness.domain import BEIJING
from harness.facts import AskStatistics, StatisticsTold
from harness.registry import scenario
from harness.run.board import Ask, Close, Wait
from tests.scenarios.boards import after, asked, board
from tests.scenarios.evaluation import cases_of, evaluation

CASE = cases_of("statistics")[0]
QUESTION = AskStatistics(first=date(2026, 3, 2), last=date(2026, 3, 2))
step = scenario("statistics").next_step


def test_each_day_is_asked_for_at_ten_the_next_morning():
    mine = [case for case in cases_of("statistics") if case.vendor == "v0"]
    assert [case.task["day"] for case in mine] == [f"2026-03-{day:02d}" for day in range(2, 9)]
    for case in mine:
        local = case.due.astimezone(BEIJING)
        assert (local.hour, local.day) == (10, int(case.task["day"][-2:]) + 1)


def test_a_day_that_is_cut_by_the_runs_end_is_left_out():
    assert len({case.task["day"] for case in cases_of("statistics", within=evaluation(lasts="52 h"))}) == 2


def test_it_asks_once_when_due_and_closes_with_the_answer():
    assert step(board(CASE), after(CASE, seconds=-1)) == Wait(CASE.due)
    assert step(board(CASE), CASE.due) == Ask(QUESTION)
    told = board(CASE, questions=(asked(CASE, QUESTION, StatisticsTold(rows=())),))
    assert step(told, CASE.due) == Close("answered")
    failed = board(CASE, questions=(asked(CASE, QUESTION, failed="no_answer"),))
    assert step(failed, CASE.due) == Close("failed")
    lost = board(CASE, questions=(asked(CASE, QUESTION),))
    assert step(lost, after(CASE, minutes=1)) == Wait(after(CASE, minutes=10))
    assert step(lost, after(CASE, minutes=10)) == Close("unanswered")


def test_a_case_without_a_day_closes():
    assert step(board(replace(CASE, task={})), CASE.due) == Close("no_day")
