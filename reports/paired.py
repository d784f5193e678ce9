"""Vendors two by two: the difference on the same phones in the same minutes, and who stood first in those visits.

What the evidence cannot tell apart is said to be so; the verdict heeds how many differences were looked at.
"""

from __future__ import annotations

from typing import Final

from harness.domain import State
from harness.judge.result import Pair
from reports.figures import Desk, Table

TURN_HEADS: Final = ("vendor", "pair.place", "interval95", "pair.visits", "pair.balance")
MEASURES: Final = ("arrival.rate", "latency.p50")


class Paired:
    """The pairs of one result."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.words = desk, desk.words

    def sentences(self) -> list[str]:
        """What can be told apart on all traffic, and on a carrier where the whole does not tell; in sentences."""
        told = [one for one in self.desk.result.pairs if one.verdict in ("first", "second")]
        whole = {(one.first, one.second, one.measure) for one in told if not one.slice}
        kept = [one for one in told if not one.slice or (one.first, one.second, one.measure) not in whole]
        return [
            self._sentence(one) for one in sorted(kept, key=lambda one: (one.measure != MEASURES[0], len(one.slice)))
        ]

    def tables(self) -> list[tuple[str, Table]]:
        """A table a measure: a row a pair, a column a carrier; what is not shown says why."""
        found = []
        for measure in MEASURES:
            lines = [one for one in self.desk.result.pairs if one.measure == measure]
            columns = list(dict.fromkeys(self.desk.slice(one.slice) for one in lines))
            rows: dict[tuple[str, str], dict[str, str]] = {}
            for one in lines:
                rows.setdefault((one.first, one.second), {})[self.desk.slice(one.slice)] = self._cell(one)
            if rows:
                heads = (self.words("head.pair"), *columns)
                told = tuple(
                    (self._names(*pair), *(cells.get(column, self.words("no_finding")) for column in columns))
                    for pair, cells in rows.items()
                )
                found.append((self.desk.measure(measure), Table(heads=heads, rows=told)))
        return found

    def _names(self, first: str, second: str) -> str:
        return f"{self.desk.party(first).name} : {self.desk.party(second).name}"

    def turns(self) -> Table | None:
        """Where each vendor stood in the visits it shared with others."""
        words = self.words
        rows = tuple(
            (
                self.desk.party(one.vendor),
                words.share(one.place),
                f"{words.share(one.low)}–{words.share(one.high)}",
                words.count(one.visits),
                words("pair.balanced" if one.balanced else "pair.unbalanced"),
            )
            for one in self.desk.result.turns
        )
        return self.desk.table(TURN_HEADS, rows) if rows else None

    def _sentence(self, one: Pair) -> str:
        """From the better one's side, so that nobody has to turn a minus round."""
        assert one.difference is not None and one.low is not None and one.high is not None
        turned = one.verdict == "second"
        better, worse = (one.second, one.first) if turned else (one.first, one.second)
        names = {"first": self.desk.party(better).name, "second": self.desk.party(worse).name}
        where = {"where": self.desk.slice(one.slice)}
        if one.measure == MEASURES[0]:
            gap, low, high = (-one.difference, -one.high, -one.low) if turned else (one.difference, one.low, one.high)
            points = {key: f"{value * 100:.1f}" for key, value in (("gap", gap), ("low", low), ("high", high))}
            return self.words.fill("pair.arrives_more", {**names, **where, **points})
        # The ratio is of times, first over second: the better one takes less.
        ratio, low, high = (
            (1 / one.difference, 1 / one.high, 1 / one.low) if turned else (one.difference, one.low, one.high)
        )
        values = {key: f"{value:.2f}" for key, value in (("ratio", ratio), ("low", low), ("high", high))}
        return self.words.fill("pair.takes", {**names, **where, **values})

    def _cell(self, one: Pair) -> str:
        desk, words = self.desk, self.words
        if one.state is not State.MEASURED or one.difference is None or one.low is None or one.high is None:
            return desk.note(one.reason) or words.name("state", one.state)
        if one.measure == MEASURES[0]:
            told = f"{one.difference * 100:+.1f} ({one.low * 100:+.1f} … {one.high * 100:+.1f})"
        else:
            told = f"× {one.difference:.2f} ({one.low:.2f} … {one.high:.2f})"
        if one.verdict not in ("first", "second"):
            return f"{told} {words('pair.level')}"
        better = desk.party(one.first if one.verdict == "first" else one.second)
        return f"{told} {words('pair.better', vendor=better.name)}"
