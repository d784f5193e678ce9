"""How a case waits: for a message to be sent, seen and reported, or for one question to be answered.

Pure functions from board and time to the next step. A `Close` among the answers says how that part of a case ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from harness.domain import Recipient, Refused
from harness.facts import InboxSearched, Question, SearchInbox
from harness.run.board import Ask, Board, Brief, Close, Send, Sent, Step, Wait

ARRIVED: Final = "arrived"
NOT_ARRIVED: Final = "not_arrived"
UNWATCHED: Final = "unwatched"  # no phone that could tell

HORIZON: Final = timedelta(minutes=10)
REPORT_HORIZON: Final = timedelta(hours=1)
# A question that was asked and never answered: the process died in between. Longer than any call takes.
PATIENCE: Final = timedelta(minutes=10)


def waits(brief: Brief, recipient: Recipient) -> dict[str, str]:
    """What `arrival` and `follow` read from a case's task; `next_step` is shown no brief."""
    report_horizon = max(brief.horizon, brief.duration("report_horizon", brief.report_horizon))
    return {
        "horizon_seconds": str(int(brief.horizon.total_seconds())),
        "report_horizon_seconds": str(int(report_horizon.total_seconds())),
        "forwarder": "yes" if recipient.forwarder else "no",
    }


def span(task: Mapping[str, str], name: str, default: timedelta) -> timedelta:
    """A number of seconds that a task carries; the default where it carries none that can be read."""
    text = task.get(name, "")
    return timedelta(seconds=int(text)) if text.isdecimal() and len(text) < 9 else default


def since(sent: Sent) -> datetime:
    """When waiting for a message begins: the first byte written, or the intent where that is not known."""
    return sent.written_at or sent.intended_at


def arrival(board: Board, now: datetime, leg: int = 0, due: datetime | None = None) -> Step:
    """Send a leg when due (None: with the case), then wait for its sighting until the horizon; then ask the phone once.

    Closes because refused, not_sent, arrived, not_arrived, unwatched or nothing_to_send.
    """
    sent, when = board.sent(leg), due or board.due
    if sent is None:
        if leg >= len(board.case.drafts):
            return Close("nothing_to_send")
        return Send(leg) if now >= when else Wait(when)
    if isinstance(sent.outcome, Refused):
        return Close("refused")
    if sent.outcome is None and sent.failed is not None:
        return Close("not_sent")
    asked = [one for one in board.asked if isinstance(one.question, SearchInbox) and one.question.leg == leg]
    if sent.has_arrived or any(isinstance(one.answer, InboxSearched) and one.answer.found for one in asked):
        return Close(ARRIVED)
    if board.case.task.get("forwarder") != "yes":
        return Close(UNWATCHED)
    horizon = since(sent) + span(board.case.task, "horizon_seconds", HORIZON)
    if now < horizon:
        return Wait(horizon)
    return Close(NOT_ARRIVED) if asked else Ask(SearchInbox(leg=leg))


def follow(board: Board, now: datetime, leg: int = 0, due: datetime | None = None) -> Step:
    """As `arrival`, and then wait for the final report: arrived or not, all are followed equally long.

    Closes because refused, not_sent, settled, horizon, in_doubt or nothing_to_send.
    """
    step = arrival(board, now, leg, due)
    if not isinstance(step, Close) or step.because not in (ARRIVED, NOT_ARRIVED, UNWATCHED):
        return step
    sent = board.legs[leg]
    if sent.final_report is not None:
        return Close("horizon" if step.because == NOT_ARRIVED else "settled")
    task = board.case.task
    deadline = since(sent) + max(
        span(task, "horizon_seconds", HORIZON), span(task, "report_horizon_seconds", REPORT_HORIZON)
    )
    if now < deadline:
        return Wait(deadline)
    return Close("horizon" if sent.is_taken or step.because == ARRIVED else "in_doubt")


def ask_once(board: Board, now: datetime, question: Question) -> Step:
    """Ask when due, once, and close with the answer: answered, failed or unanswered."""
    asked = board.last_asked(question.kind)
    if asked is None:
        return Ask(question) if now >= board.due else Wait(board.due)
    if asked.answer is not None:
        return Close("answered")
    if asked.failed is not None:
        return Close("failed")
    patience = asked.asked_at + PATIENCE
    return Wait(patience) if now < patience else Close("unanswered")


def soonest(steps: Iterable[Step]) -> Step | None:
    """Of the steps of several legs the one to take: something to do, else the shortest wait; None: all are closed."""
    waiting = []
    for step in steps:
        if isinstance(step, Send | Ask):
            return step
        if isinstance(step, Wait):
            waiting.append(step)
    return min(waiting, key=lambda step: step.until, default=None)
