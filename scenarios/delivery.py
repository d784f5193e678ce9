"""Does a message arrive, and when? Every vendor meets the same phones within minutes, in counterbalanced order.

Visits are spread over phones, days and hours, staggered so that no two phones share their minutes for long.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import ClassVar, Final

from harness.capabilities import Capability
from harness.domain import Case, Purpose, Recipient, campaign_window
from harness.run.board import Board, Brief, Step
from scenarios.timetable import (
    MARKETING_PER_MONTH,
    SECOND,
    by_carrier,
    deal,
    handsets,
    in_random_turns,
    marketing_allowed,
    moments,
    orders,
    room_per_day,
    spacing_of,
    stretches,
    texts_of,
    visit,
)
from scenarios.waiting import follow

MESSAGES: Final = 600
SHARE: Final = 0.7  # of what a phone may get a day


@dataclass(frozen=True, slots=True)
class Slot:
    phone: Recipient
    start: datetime
    purpose: Purpose


class Delivery:
    """Settings: `messages` of each vendor, `over` (the whole run), `spacing` (75 s), `per_phone_per_day` (8)."""

    id: ClassVar[str] = "delivery"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.SUBMITS})

    def cases(self, brief: Brief, chance: Random) -> Iterable[Case]:
        """Visits; fewer than wished for where phones, hours and caps leave no room for all.

        A vendor without a text for a purpose sits that purpose's visits out.
        """
        spacing = spacing_of(brief)
        texts = {purpose: able for purpose in brief.purposes if (able := texts_of(brief, purpose))}
        if not texts:
            return
        turns = {purpose: orders(tuple(able), chance) for purpose, able in texts.items()}
        length = spacing * len(brief.contestants) + SECOND  # to the first message of whatever may come next
        plain = in_random_turns([purpose for purpose in texts if purpose is not Purpose.MARKETING], chance)
        met: Counter[Purpose] = Counter()
        for phone, starts in _timetable(brief, chance, length):
            for slot in _slots(phone, starts, texts, plain, chance):
                able, turn = texts[slot.purpose], met[slot.purpose]
                order = [(label, able[label][turn % len(able[label])]) for label in next(turns[slot.purpose])]
                met[slot.purpose] += 1
                visits = met.total()
                yield from visit(brief, self.id, f"{self.id}-{visits:05d}", phone, slot.start, order, spacing)

    def next_step(self, board: Board, now: datetime) -> Step:
        """Send when due; then wait for the phone and for the report."""
        return follow(board, now)


def _timetable(brief: Brief, chance: Random, length: timedelta) -> Iterator[tuple[Recipient, list[datetime]]]:
    """Each phone with the beginnings of its visits, in order of time."""
    days = stretches(brief, brief.duration("over", brief.span), tail=length)
    phones = handsets(brief)
    chance.shuffle(phones)
    phones = by_carrier(phones)
    rooms = [
        [min(room_per_day(brief, phone, share=SHARE), max(1, day.length // length)) for day in days] for phone in phones
    ]
    shares = deal(brief.number("messages", MESSAGES), [1.0] * len(phones), [sum(room) for room in rooms])
    phases = {day: _phases(len(phones), chance) for day in days}
    for rank, (phone, room, share) in enumerate(zip(phones, rooms, shares, strict=True)):
        # Days take turns in being first, or the same days would get every phone's odd visit.
        turn = [(place + rank) % len(days) for place in range(len(days))]
        counts = deal(share, [days[place].length.total_seconds() for place in turn], [room[place] for place in turn])
        starts = [
            start
            for place, count in zip(turn, counts, strict=True)
            for start in moments([days[place]], count, phases[days[place]][rank])
        ]
        yield phone, sorted(starts)


def _phases(count: int, chance: Random) -> Sequence[float]:
    """Where in its step each phone begins: one in each part of the step, so that phones are staggered."""
    parts = [(part + chance.random()) / count for part in range(count)]
    chance.shuffle(parts)
    return parts


def _slots(
    phone: Recipient,
    starts: Sequence[datetime],
    texts: Mapping[Purpose, Mapping[str, object]],
    plain: Iterator[Purpose],
    chance: Random,
) -> Iterator[Slot]:
    """Give each visit its purpose: a fair share is marketing, if it may be; the plain ones take turns."""
    marketing: set[datetime] = set()
    if Purpose.MARKETING in texts:
        share = int(len(starts) / len(texts) + chance.random())  # rounded at random, so that shares add up
        marketing = _marketing(phone, starts, share, len(texts[Purpose.MARKETING]), chance)
    for start in starts:
        if start in marketing:
            yield Slot(phone, start, Purpose.MARKETING)
        elif (purpose := next(plain, None)) is not None:
            yield Slot(phone, start, purpose)


def _marketing(
    phone: Recipient, starts: Sequence[datetime], share: int, messages: int, chance: Random
) -> set[datetime]:
    """Which visits are for marketing: those in campaign windows first, then any."""
    if not phone.tester and messages > MARKETING_PER_MONTH:
        return set()
    chosen: set[datetime] = set()
    for start in sorted(starts, key=lambda start: (campaign_window(start) is None, chance.random())):
        if len(chosen) < share and marketing_allowed(phone, messages, start, chosen):
            chosen.add(start)
    return chosen
