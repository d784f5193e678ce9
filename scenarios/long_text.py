"""Do texts of several segments arrive whole? Long notices to phones of every carrier, each vendor to the same ones."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import cycle
from random import Random
from typing import ClassVar, Final

from harness.capabilities import Capability
from harness.domain import Case
from harness.run.board import Board, Brief, Step
from scenarios.timetable import by_carrier, handsets, moments, orders, spacing_of, stretches, visit
from scenarios.waiting import follow

MESSAGES: Final = 12


class LongText:
    """Settings: `messages` of each vendor (12), `spacing` (75 s)."""

    id: ClassVar[str] = "long_text"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.SUBMITS})

    def cases(self, brief: Brief, chance: Random) -> Iterable[Case]:
        """Visits spread over the run, carriers taking turns."""
        spacing = spacing_of(brief)
        contents = [one.id for one in brief.samples("compliant") if one.is_long]
        able = {one.label: [content for content in contents if content in one.contents] for one in brief.contestants}
        labels = tuple(label for label, theirs in able.items() if theirs)
        phones = handsets(brief)
        if not labels or not phones:
            return
        chance.shuffle(phones)
        length = spacing * len(labels)
        starts = moments(
            stretches(brief, tail=length), brief.number("messages", MESSAGES), chance.random(), apart=length
        )
        turns = zip(starts, cycle(by_carrier(phones)), orders(labels, chance), strict=False)
        for number, (start, phone, turn) in enumerate(turns):
            order = [(label, able[label][number % len(able[label])]) for label in turn]
            yield from visit(brief, self.id, f"{self.id}-{number:04d}", phone, start, order, spacing)

    def next_step(self, board: Board, now: datetime) -> Step:
        """Send when due; then wait for the phone and for the report."""
        return follow(board, now)
