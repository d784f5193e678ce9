"""A listener that draws progress: how far each vendor's cases are, at what rate, and how long it will take.

It knows what it is told as facts and nothing else; without a terminal it writes a line now and then instead of a bar.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TextIO

from harness.domain import BEIJING, Accepted, InDoubt, Refused
from harness.facts import CallFailed, CaseClosed, CasePlanned, Fact, SendIntended, SightingReceived, SubmitAnswered

BAR = 24
DRAW_EVERY = 0.2  # seconds of the reader's time


@dataclass(slots=True)
class Count:
    planned: int = 0
    closed: int = 0
    sent: int = 0
    accepted: int = 0
    refused: int = 0
    in_doubt: int = 0
    failed: int = 0


class Progress:
    """Hear facts with `hear`; `watch` is the reader's clock in seconds."""

    def __init__(self, out: TextIO, watch: Callable[[], float], words: Callable[..., str]) -> None:
        self._out, self._watch, self._words = out, watch, words
        self._live = out.isatty()
        self._vendor_of: dict[str, str] = {}
        self._began = self._drawn = watch()
        self._lines = 0
        self._at: datetime | None = None
        self.counts: dict[str, Count] = {}

    def hear(self, fact: Fact) -> None:
        self.count(fact)
        every = DRAW_EVERY if self._live else 10.0
        if self._watch() - self._drawn >= every:
            self.draw()

    def count(self, fact: Fact) -> None:
        """Take a fact into the counts without drawing."""
        self._at = fact.at
        if isinstance(fact.body, CasePlanned):
            self._vendor_of[fact.body.case.id] = fact.body.case.vendor
        vendor = self._vendor_of.get(fact.case_id or "")
        if isinstance(fact.body, SightingReceived) or vendor is None:
            return
        count = self.counts.setdefault(vendor, Count())
        match fact.body:
            case CasePlanned():
                count.planned += 1
            case CaseClosed():
                count.closed += 1
            case SendIntended():
                count.sent += 1
            case SubmitAnswered(outcome=Accepted()):
                count.accepted += 1
            case SubmitAnswered(outcome=Refused()):
                count.refused += 1
            case SubmitAnswered(outcome=InDoubt()):
                count.in_doubt += 1
            case CallFailed(what="submit"):
                count.failed += 1
            case _:
                pass

    def draw(self) -> None:
        self._drawn = self._watch()
        lines = list(self.lines())
        if self._live:
            if self._lines:
                self._out.write(f"\x1b[{self._lines}F\x1b[J")
            self._lines = len(lines)
        else:
            lines = lines[-1:]
        self._out.write("\n".join(lines) + "\n")
        self._out.flush()

    def lines(self) -> list[str]:
        """A bar for each vendor, and one line for the whole."""
        width = max((len(label) for label in self.counts), default=0)
        drawn = []
        for label, count in self.counts.items():
            share = count.closed / count.planned if count.planned else 0.0
            bar = ("█" * round(share * BAR)).ljust(BAR, "·")
            drawn.append(
                f"{label:<{width}} {bar} {share:4.0%}  " + self._words("cli.progress.vendor", **self._told(count))
            )
        return [*drawn, self._whole()]

    @staticmethod
    def _told(count: Count) -> dict[str, int]:
        return {"sent": count.sent, "accepted": count.accepted, "refused": count.refused, "in_doubt": count.in_doubt}

    def _whole(self) -> str:
        planned = sum(count.planned for count in self.counts.values())
        closed = sum(count.closed for count in self.counts.values())
        sent = sum(count.sent for count in self.counts.values())
        spent = max(self._watch() - self._began, 1e-6)
        rate = closed / spent
        left = (planned - closed) / rate if rate > 0 else None
        at = f"{self._at.astimezone(BEIJING):%Y-%m-%d %H:%M}" if self._at else ""
        shown = "–" if left is None else f"{int(left // 60)}:{int(left % 60):02d}"
        return self._words(
            "cli.progress.whole", closed=closed, planned=planned, sent=sent, rate=f"{rate:.1f}", left=shown, at=at
        )

    def finish(self) -> None:
        self.draw()
