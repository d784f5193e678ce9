"""A scenario from outside."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from random import Random
from typing import ClassVar

from harness.capabilities import Capability
from harness.domain import Case
from harness.run.board import Board, Brief, Close, Step


class Greeting:
    id: ClassVar[str] = "greeting"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.SUBMITS})

    def cases(self, brief: Brief, chance: Random) -> Iterable[Case]:
        return [brief.case("greeting", one.label, brief.begins) for one in brief.contestants]

    def next_step(self, board: Board, now: datetime) -> Step:
        return Close("settled")
