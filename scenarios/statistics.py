"""Do a vendor's own counts agree with ours? They are asked for each Beijing day of the run, the morning after."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import ClassVar, Final

from harness.capabilities import Capability
from harness.domain import BEIJING, Case
from harness.facts import AskStatistics
from harness.run.board import Board, Brief, Close, Step
from scenarios.timetable import stretches
from scenarios.waiting import ask_once

ASKED_AT: Final = time(10)  # the next day: vendors count at night


class Statistics:
    """No settings. Task: day. A day counts as whole if all of its hours for sending lie in the run."""

    id: ClassVar[str] = "statistics"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.TELLS_STATISTICS})

    def cases(self, brief: Brief, chance: Random) -> Iterable[Case]:
        for hours in stretches(brief):
            if hours.whole:
                day = hours.begin.astimezone(BEIJING).date()
                due = datetime.combine(day + timedelta(days=1), ASKED_AT, BEIJING).astimezone(UTC)
                for contestant in brief.contestants:
                    yield brief.case(self.id, contestant.label, due, task={"day": day.isoformat()})

    def next_step(self, board: Board, now: datetime) -> Step:
        """Ask once."""
        try:
            day = date.fromisoformat(board.case.task.get("day", ""))
        except ValueError:
            return Close("no_day")
        return ask_once(board, now, AskStatistics(first=day, last=day))
