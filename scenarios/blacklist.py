"""Does a vendor leave alone whom it must? Messages to numbers that are blocked, opted out, out of use or switched off.

Some vendors accept and say no only in the status report, so a case is closed by a report or by its deadline.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import zip_longest
from random import Random
from typing import ClassVar, Final

from harness.capabilities import Capability
from harness.domain import Case, Purpose, Recipient, RecipientKind
from harness.run.board import Board, Brief, Step
from scenarios.timetable import (
    MARKETING_PER_MONTH,
    marketing_allowed,
    moments,
    notices,
    orders,
    room_per_day,
    spacing_of,
    stretches,
    texts_of,
    visit,
)
from scenarios.waiting import follow

MESSAGES: Final = 30
KINDS: Final = (
    RecipientKind.BLOCKED,
    RecipientKind.INVALID,
    RecipientKind.OPTED_OUT,
    RecipientKind.UNREACHABLE,
)


class Blacklist:
    """Settings: `messages` of each vendor (30), `spacing` (75 s), `report_horizon` (1 h). Task: expect.

    Who opted out did so from marketing, so marketing is what such a number gets; the others get a notice.
    """

    id: ClassVar[str] = "blacklist"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.SUBMITS})

    def cases(self, brief: Brief, chance: Random) -> Iterable[Case]:
        """Visits spread over the run, kinds taking turns."""
        texts = {Purpose.NOTIFICATION: notices(brief), Purpose.MARKETING: texts_of(brief, Purpose.MARKETING)}
        turns = {purpose: orders(tuple(able), chance) for purpose, able in texts.items()}
        people = [one for one in _in_turns(brief.recipients) if texts[_purpose(one)]]
        spacing = spacing_of(brief)
        length = spacing * len(brief.contestants)
        hours = stretches(brief, tail=length)
        most = sum(room_per_day(brief, one) for one in people) * len(hours)
        count = min(brief.number("messages", MESSAGES), most)
        waiting = deque(people)
        marketing: dict[str, list[datetime]] = {one.id: [] for one in people}
        for number, start in enumerate(moments(hours, count, chance.random(), apart=length)):
            person = _next(waiting, start, marketing, {purpose: len(able) for purpose, able in texts.items()})
            if person is None:
                continue
            able, order = texts[_purpose(person)], next(turns[_purpose(person)])
            if _purpose(person) is Purpose.MARKETING:
                order = order if person.tester else order[:MARKETING_PER_MONTH]
                marketing[person.id].append(start)
            sending = [(label, able[label][number % len(able[label])]) for label in order]
            task = {"expect": person.kind.value}
            yield from visit(brief, self.id, f"{self.id}-{number:04d}", person, start, sending, spacing, task)

    def next_step(self, board: Board, now: datetime) -> Step:
        """Send when due; then wait for the report, for a refusal may come late."""
        return follow(board, now)


def _purpose(person: Recipient) -> Purpose:
    return Purpose.MARKETING if person.kind is RecipientKind.OPTED_OUT else Purpose.NOTIFICATION


def _next(
    waiting: deque[Recipient],
    start: datetime,
    marketing: Mapping[str, Sequence[datetime]],
    vendors: Mapping[Purpose, int],
) -> Recipient | None:
    """Whose turn it is, the turn of those left out for now by the marketing rule being lost."""
    for _ in range(len(waiting)):
        waiting.rotate(-1)
        person = waiting[-1]
        messages = min(MARKETING_PER_MONTH, vendors[Purpose.MARKETING])
        if _purpose(person) is not Purpose.MARKETING or marketing_allowed(
            person, messages, start, marketing[person.id]
        ):
            return person
    return None


def _in_turns(recipients: Sequence[Recipient]) -> list[Recipient]:
    groups = ([one for one in recipients if one.kind is kind] for kind in KINDS)
    return [one for turn in zip_longest(*groups) for one in turn if one is not None]
