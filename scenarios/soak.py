"""Does a vendor stay up? A small steady beat over the whole run: one message a carrier, every half hour.

What finds an outage is messages a day, and gaps no longer than half of it (statistics.md 7).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import ClassVar, Final

from harness.capabilities import Capability
from harness.domain import Case, Recipient
from harness.run.board import Board, Brief, Step
from scenarios.timetable import SPACING, deal, handsets, notices, of_carriers, room_per_day, stretches, visit
from scenarios.waiting import follow

PER_ROUND: Final = 3
EVERY: Final = timedelta(minutes=30)
PER_PHONE_PER_DAY: Final = 4
SHARE: Final = 0.2  # of what a phone may get a day


class Soak:
    """Settings: `per_round` (3), `every` (30 min), `over` (the whole run), `per_phone_per_day` (4)."""

    id: ClassVar[str] = "soak"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.SUBMITS})

    def cases(self, brief: Brief, chance: Random) -> Iterable[Case]:
        """Rounds within the hours. Vendors meet the same phones in a round, and take turns at being first."""
        texts, phones = notices(brief), handsets(brief)
        if not texts or not phones:
            return
        chance.shuffle(phones)
        every = max(brief.duration("every", EVERY), SPACING * len(texts))
        spacing, labels = every / len(texts), list(texts)
        for number, (start, panel) in enumerate(_rounds(brief, phones, every, chance.random() * spacing)):
            first = number % len(labels)
            order = [(label, texts[label][number % len(texts[label])]) for label in labels[first:] + labels[:first]]
            for place, phone in enumerate(panel):
                name = f"{self.id}-{number:05d}-{place}"
                yield from visit(brief, self.id, name, phone, start + timedelta(seconds=place), order, spacing)

    def next_step(self, board: Board, now: datetime) -> Step:
        """Send when due; then wait for the phone and for the report."""
        return follow(board, now)


def _rounds(
    brief: Brief, phones: Sequence[Recipient], every: timedelta, phase: timedelta
) -> Iterator[tuple[datetime, list[Recipient]]]:
    """Each beat with its phones. `phase`: how far into a day's hours its first beat is."""
    for day, hours in enumerate(stretches(brief, brief.duration("over", brief.span), tail=every + phase)):
        beats = [hours.begin + phase + number * every for number in range(-(-hours.length // every))]
        yield from zip(beats, _panels(brief, of_carriers(phones), day, len(beats)), strict=True)


def _panels(brief: Brief, groups: Sequence[Sequence[Recipient]], day: int, beats: int) -> list[list[Recipient]]:
    """The phones of each beat of a day; where caps leave too few, the beat of that carrier is thinned evenly."""
    panels: list[list[Recipient]] = [[] for _ in range(beats)]
    rooms = [[min(beats, room_per_day(brief, one, PER_PHONE_PER_DAY, SHARE)) for one in group] for group in groups]
    wanted = beats * brief.number("per_round", PER_ROUND)
    counts = deal(wanted, [1.0] * len(groups), [sum(room) for room in rooms])
    for rank, (group, room, count) in enumerate(zip(groups, rooms, counts, strict=True)):
        first = day * count % len(group)  # go on where yesterday ended, or the same phones would have the mornings
        order = [*range(first, len(group)), *range(first)]
        shares = deal(count, [1.0] * len(group), [room[place] for place in order])
        turns = [
            group[place] for turn in range(beats) for place, share in zip(order, shares, strict=True) if turn < share
        ]
        for number, phone in enumerate(turns):
            panel = panels[int((number + (rank + 0.5) / len(groups)) * beats / count)]
            if phone not in panel:
                panel.append(phone)
    return panels
