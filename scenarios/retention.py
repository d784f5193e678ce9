"""How long can a vendor look our messages up? Messages sent at the start are looked for at growing ages.

This run's own messages only: records of months ago need messages of earlier runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from random import Random
from typing import ClassVar, Final

from harness.capabilities import Capability
from harness.domain import BEIJING, Accepted, Case
from harness.facts import FindRecord
from harness.run.board import Ask, Board, Brief, Close, Sent, Step, Wait
from scenarios.timetable import handsets, moments, notices, orders, spacing_of, spans, stretches, visit
from scenarios.waiting import arrival, since

AGES: Final = "1 h, 1 day, 3 days, 6 days"


class Retention:
    """Settings: `ages` (1 h, 1 day, 3 days, 6 days), `spacing` (75 s). Task: ages_seconds, age_days.

    One message for each age, so that one lost message does not hide all ages.
    """

    id: ClassVar[str] = "retention"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.SUBMITS, Capability.FINDS_RECORDS})

    def cases(self, brief: Brief, chance: Random) -> Iterable[Case]:
        """One visit for each age that fits into the run, all at its start."""
        texts, phones, spacing = notices(brief), handsets(brief), spacing_of(brief)
        if not texts or not phones:
            return
        chance.shuffle(phones)
        ages = [age for age in spans(brief, "ages", AGES) if age <= brief.span]
        length = spacing * len(texts)
        hours = stretches(brief, tail=length)
        most = sum((one.length for one in hours), timedelta(0)) // length
        starts = moments(hours, max(1, most), 0.0)  # back to back, from the start
        for number, (age, start, turn) in enumerate(zip(ages, starts, orders(tuple(texts), chance), strict=False)):
            phone = phones[number % len(phones)]
            task = {
                "ages_seconds": str(int(age.total_seconds())),
                "age_days": f"{age / timedelta(days=1):g}",
                "scope": "this_run",
            }
            order = [(label, texts[label][0]) for label in turn]
            yield from visit(brief, self.id, f"{self.id}-{number:02d}", phone, start, order, spacing, task)

    def next_step(self, board: Board, now: datetime) -> Step:
        """Send when due; then look the message up once at each age. What is in doubt is looked for as well."""
        step, sent = arrival(board, now), board.sent()
        if sent is None or (isinstance(step, Close) and step.because in ("refused", "not_sent")):
            return step
        ages = [int(part) for part in board.case.task.get("ages_seconds", "").split(",") if part.isdecimal()]
        done = board.count_asked("find_record")
        if done >= len(ages):
            return Close("looked_up")
        due = since(sent) + timedelta(seconds=min(ages[done], 10**8))
        return Ask(_question(board, sent)) if now >= due else Wait(due)


def _question(board: Board, sent: Sent) -> FindRecord:
    theirs = sent.outcome.vendor_message_id if isinstance(sent.outcome, Accepted) else None
    drafts = board.case.drafts
    return FindRecord(
        day=since(sent).astimezone(BEIJING).date(),
        vendor_message_id=theirs or None,
        reference=drafts[0].reference if drafts else None,
    )
