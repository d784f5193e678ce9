"""When the monthly checks of `months.yaml` take place. Each plays in a world that has lived since the first one.

The same seed makes the same people, phones and luck of handsets in every month; what is sent differs, and how it fares.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import count, islice
from typing import Final

from harness.domain import BEIJING

FIRST: Final = datetime(2026, 3, 2, 9, 0, tzinfo=BEIJING)
EPOCH: Final = FIRST.replace(hour=0)  # day 1 of the world, whichever month is played


def begins_of_month(month: int) -> datetime:
    """When the check of a month begins, Beijing time: 09:00 on the first Monday, from month 1 in March 2026 on.

    >>> begins_of_month(5).isoformat()
    '2026-07-06T09:00:00+08:00'
    """
    if month < 1:
        raise ValueError(f"months count from 1, got {month}")
    return next(islice(_first_mondays(), month - 1, None))


def seed_of_month(seed: int, month: int) -> int:
    """The seed of a month's plan, where the world's own seed is the same in all months."""
    return seed + month - 1


def _first_mondays() -> Iterator[datetime]:
    mondays = (FIRST + timedelta(weeks=week) for week in count())
    return (monday for monday in mondays if monday.day <= 7)
