"""When and in which order vendors meet phones: hours, even spreading, Williams orders, visits, and the marketing rule.

Pure functions for making cases. All instants are UTC; days and hours of day are Beijing's.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import zip_longest
from random import Random
from typing import Final, TypeVar

from harness.domain import BEIJING, Case, Purpose, Recipient, RecipientKind
from harness.run.board import Brief
from scenarios.waiting import waits

T = TypeVar("T")

SECOND: Final = timedelta(seconds=1)
MINUTE: Final = timedelta(minutes=1)
SPACING: Final = timedelta(seconds=75)
PER_PHONE_PER_DAY: Final = 8  # of one vendor: platforms cap one number at about ten a day (facts/vendors)
MONTH: Final = timedelta(days=30)
MARKETING_PER_MONTH: Final = 2  # of all vendors together, to a person who is no tester

_SPAN: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(s|sec|seconds?|min|minutes?|h|hours?|d|days?|weeks?)")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time within one Beijing day: [begin, end). `whole`: all of that day's hours, not cut by begin or end of run."""

    begin: datetime
    end: datetime
    whole: bool

    @property
    def length(self) -> timedelta:
        return self.end - self.begin


def stretches(brief: Brief, over: timedelta | None = None, tail: timedelta = timedelta(0)) -> list[Stretch]:
    """The hours of each Beijing day of the run (or of its first `over`), each without its last `tail`."""
    begins = brief.begins.astimezone(UTC)
    ends = begins + (brief.span if over is None else min(over, brief.span))
    day, result = begins.astimezone(BEIJING).date(), []
    while (opens := _at(day, brief.hours.begin)) < ends:
        closes = _at(day, brief.hours.end)
        first, last = max(opens, begins), min(closes, ends) - tail
        if last - first >= SECOND:
            result.append(Stretch(first, last, whole=opens >= begins and closes <= ends))
        day += timedelta(days=1)
    return result


def _at(day: date, clock: time) -> datetime:
    return datetime.combine(day, clock, BEIJING).astimezone(UTC)


def moments(within: Sequence[Stretch], count: int, phase: float, apart: timedelta = timedelta(0)) -> list[datetime]:
    """`count` instants spread evenly over the stretches, in order; fewer where they would not be `apart`.

    `phase` in [0, 1) moves them all within a step.
    """
    total = sum((one.length for one in within), timedelta(0))
    if apart and total:
        count = min(count, max(1, total // (apart + SECOND)))  # instants are cut to whole seconds
    found, index, before = [], 0, timedelta(0)
    for number in range(count if total else 0):
        place = min(total * ((number + phase) / count), total - SECOND)
        while index < len(within) - 1 and place >= before + within[index].length:
            before += within[index].length
            index += 1
        found.append(within[index].begin + timedelta(seconds=(place - before) // timedelta(seconds=1)))
    return found


def deal(total: int, weights: Sequence[float], rooms: Sequence[int]) -> list[int]:
    """Share `total` over boxes in proportion to their weights and never above their rooms; what fits nowhere is left.

    >>> deal(7, [1.0, 1.0, 2.0], [9, 1, 9])
    [2, 1, 4]
    """
    counts = [0] * len(rooms)
    queue = [(1 / weight, box) for box, weight in enumerate(weights) if weight > 0 and rooms[box] > 0]
    heapq.heapify(queue)
    for _ in range(total):
        if not queue:
            break
        _, box = queue[0]
        counts[box] += 1
        if counts[box] < rooms[box]:
            heapq.heapreplace(queue, ((counts[box] + 1) / weights[box], box))
        else:
            heapq.heappop(queue)
    return counts


# --- order ----------------------------------------------------------------------------------------------------------


def williams(size: int) -> list[tuple[int, ...]]:
    """A Williams design: each is at each place, and each follows each other, equally often (Williams 1949).

    >>> williams(4)
    [(0, 1, 3, 2), (1, 2, 0, 3), (2, 3, 1, 0), (3, 0, 2, 1)]
    """
    first = [(place + 1) // 2 if place % 2 else -(place // 2) for place in range(size)]
    rows = [tuple((one + shift) % size for one in first) for shift in range(size)]
    return rows if size % 2 == 0 else rows + [tuple(reversed(row)) for row in rows]


def orders(labels: Sequence[str], chance: Random) -> Iterator[tuple[str, ...]]:
    """Endless orders: one Williams design after the other, its rows shuffled."""
    for row in in_random_turns(williams(len(labels)), chance):
        yield tuple(labels[place] for place in row)


def in_random_turns(items: Sequence[T], chance: Random) -> Iterator[T]:
    """Endless: all items, each once, shuffled; and again. Nothing is left to fall in step with the hour of day."""
    while items:
        block = list(items)
        chance.shuffle(block)
        yield from block


# --- phones and texts -------------------------------------------------------------------------------------------------


def handsets(brief: Brief) -> list[Recipient]:
    """Phones that tell what they saw and may not be put on a list, carriers taking turns."""
    return by_carrier(one for one in brief.recipients if one.kind is RecipientKind.HANDSET and not one.spare)


def of_carriers(recipients: Iterable[Recipient]) -> list[list[Recipient]]:
    """The same recipients, those of each carrier together."""
    groups: dict[str, list[Recipient]] = {}
    for one in recipients:
        groups.setdefault(one.carrier, []).append(one)
    return list(groups.values())


def by_carrier(recipients: Iterable[Recipient]) -> list[Recipient]:
    """The same recipients, carriers taking turns."""
    return [one for turn in zip_longest(*of_carriers(recipients)) for one in turn if one is not None]


def room_per_day(brief: Brief, recipient: Recipient, default: int = PER_PHONE_PER_DAY, share: float = 1.0) -> int:
    """How many visits of all contestants a phone may get a day. Setting: `per_phone_per_day`, of each vendor.

    Unless that is set, a scenario keeps to its `share` of what the phone may get: others need the same phones.
    """
    from_all = recipient.cap_per_day if recipient.cap_per_day is not None else brief.per_day
    if "per_phone_per_day" not in brief.settings:
        from_all = int(from_all * share)
    return min(brief.number("per_phone_per_day", default), from_all // max(1, len(brief.contestants)))


def texts_of(brief: Brief, purpose: Purpose) -> dict[str, list[str]]:
    """Who can send which texts of a purpose: label → ids; all have the same ones where one is common to all."""
    ids = brief.texts(purpose)
    able = [one for one in brief.contestants if any(text in one.contents for text in ids)]
    common = [text for text in ids if all(text in one.contents for one in able)]
    return {one.label: common or [text for text in ids if text in one.contents] for one in able}


def notices(brief: Brief) -> dict[str, list[str]]:
    """As `texts_of`, for scenarios that need a plain text: notices, or verification codes if nobody has any."""
    return texts_of(brief, Purpose.NOTIFICATION) or texts_of(brief, Purpose.VERIFICATION)


def spacing_of(brief: Brief) -> timedelta:
    """Time between two vendors' messages to one phone, never below the evaluation's gap."""
    return max(brief.gap, brief.duration("spacing", SPACING))


def visit(
    brief: Brief,
    scenario: str,
    name: str,
    phone: Recipient,
    start: datetime,
    order: Iterable[tuple[str, str]],
    spacing: timedelta,
    task: Mapping[str, str] | None = None,
) -> Iterator[Case]:
    """One message after the other to one phone: `order` holds (vendor, text)."""
    carried = waits(brief, phone) | dict(task or {})
    for place, (label, content) in enumerate(order):
        draft = brief.draft(label, content, phone)
        due = start + place * spacing
        yield brief.case(scenario, label, due, recipient=phone, drafts=(draft,), visit=name, task=carried)


# --- marketing --------------------------------------------------------------------------------------------------------


def marketing_allowed(recipient: Recipient, messages: int, moment: datetime, others: Iterable[datetime]) -> bool:
    """Whether `messages` marketing messages may go to a person at a moment, beside as many at each of the others."""
    if recipient.tester:
        return True
    near = sum(abs(moment - other) < MONTH for other in others)
    return (near + 1) * messages <= MARKETING_PER_MONTH


def allowed_from(moment: datetime, begin: time, end: time) -> datetime:
    """The moment, or the next one in the hours [begin, end), Beijing."""
    local = moment.astimezone(BEIJING)
    if begin <= local.time() < end:
        return moment
    day = local.date() if local.time() < begin else local.date() + timedelta(days=1)
    return _at(day, begin)


# --- settings ---------------------------------------------------------------------------------------------------------


def spans(brief: Brief, name: str, default: str) -> list[timedelta]:
    """A list of durations among the settings, "10 min, 2 h, 24 h", ascending. Raises ConfigError."""
    found = [_SPAN.fullmatch(part.strip()) for part in brief.settings.get(name, default).split(",")]
    if any(part is None for part in found):
        return [brief.duration(name, timedelta(0))]  # tells what is wrong, and where
    return sorted({timedelta(seconds=float(part[1]) * _SECONDS[part[2][0]]) for part in found if part})
