"""The verdict for a terminal: one line a vendor, best first, then the gates that failed. Plain text, UTF-8."""

from __future__ import annotations

import unicodedata

from harness.judge.result import Result, Scorecard
from harness.words import Words
from reports.figures import Desk, gate_title


def render(result: Result, words: Words) -> bytes:
    """The verdict table in the language of `words`."""
    desk = Desk(result, words)
    cards = sorted(result.scorecards, key=lambda one: (one.group is None, one.group or 0, -(one.overall or 0.0)))
    names = {card.vendor: desk.party(card.vendor).name for card in cards}
    width = max((_width(name) for name in names.values()), default=0)
    lines = [_line(desk, card, names[card.vendor], width) for card in cards]
    for gate in result.gates:
        if gate.verdict == "fail":
            lines.append(words("cli.gate.failed", vendor=names[gate.vendor], gate=gate_title(desk, gate.text)))
    return ("\n".join(lines) + "\n").encode()


def _line(desk: Desk, card: Scorecard, name: str, width: int) -> str:
    place = str(card.group) if card.group is not None else "×"
    mark = f"{card.overall:5.1f}" if card.overall is not None else "    ?"
    band = f"[{card.low:.0f}–{card.high:.0f}]"
    return f"{place} {name}{' ' * (width - _width(name))} {mark} {band:<8} {desk.note(card.verdict)}"


def _width(text: str) -> int:
    """Columns a text takes in a terminal: two for each Chinese character."""
    return sum(2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text)
