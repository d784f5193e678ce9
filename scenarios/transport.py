"""Is the way to a vendor safe? Probes of its endpoint with our own account: TLS, and requests it must not take."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import ClassVar, Final

from harness.capabilities import Capability
from harness.domain import Case
from harness.facts import Probe
from harness.run.board import Board, Brief, Close, Step
from scenarios.waiting import ask_once

PROBES: Final = ("tls", "plain_http", "replay", "stale", "forged_signature")
APART: Final = timedelta(minutes=1)


class Transport:
    """No settings. Task: what."""

    id: ClassVar[str] = "transport"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.SUBMITS})

    def cases(self, brief: Brief, chance: Random) -> Iterable[Case]:
        """One case for each vendor and probe, a minute apart, at the start."""
        for number, what in enumerate(PROBES):
            due = brief.begins.astimezone(UTC) + number * APART
            for contestant in brief.contestants:
                yield brief.case(self.id, contestant.label, due, task={"what": what})

    def next_step(self, board: Board, now: datetime) -> Step:
        """Ask once."""
        what = board.case.task.get("what", "")
        return ask_once(board, now, Probe(what=what)) if what in PROBES else Close("no_probe")
