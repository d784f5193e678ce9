"""What months have to say, for every clothing: how a line of a comparison reads, and what a vendor is called.

Formatting only: every number is the comparison's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.domain import Unit
from harness.judge.compare import Comparison, Line
from harness.judge.result import MeasureInfo, Note
from harness.words import Value, Words

MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Teller:
    """Tells comparisons in one language, with vendors called by name."""

    words: Words
    names: Mapping[str, Mapping[str, str]]  # label → language → name
    measures: Mapping[str, MeasureInfo]

    def name(self, label: str) -> str:
        told = self.names.get(label) or {}
        name = told.get(self.words.language) or next(iter(told.values()), label)
        twins = sum(other == told for other in self.names.values())
        return f"{name} ({label})" if twins > 1 else name

    def note(self, note: Note) -> str:
        """A note's sentence; vendors by name, parts of a run in words."""
        values: dict[str, Value] = {
            key: self.name(value) if isinstance(value, str) and value in self.names else value
            for key, value in note.values.items()
        }
        if isinstance(part := values.get("part"), str):
            values["part"] = self.part(part)
        return self.words.sentence(note.id, values)

    def part(self, part: str) -> str:
        """What a part of a run is called: "handsets.china_mobile", "scenario.soak", "options"."""
        head, _, rest = part.partition(".")
        if rest and head in ("handsets", "scenario"):
            vocabulary = "carrier" if head == "handsets" else "scenario"
            return self.words(f"part.{head}", what=self.words.name(vocabulary, rest))
        return self.words.name("part", part)

    def unit(self, line: Line) -> Unit:
        info = self.measures.get(line.measure)
        return Unit.RATIO if info is None else info.unit

    def where(self, line: Line) -> str:
        """A line's measure and part of the traffic: 到达率，中国电信."""
        what = [self.words.name("measure", line.measure)]
        what += [self._slice(key, value) for key, value in line.slice.items()]
        return self.words.listed(what)

    def _slice(self, key: str, value: str) -> str:
        for vocabulary in (key, f"slice.{key}"):
            if f"{vocabulary}.{value}" in self.words:
                return self.words(f"{vocabulary}.{value}")
        return f"{self.words.name('slice', key)} {value}"

    def value(self, line: Line, value: float | None) -> str:
        return self.words("unknown") if value is None else self.words.value(value, self.unit(line))

    def difference(self, line: Line, value: float | None) -> str:
        """A difference with its sign, in points for shares; a ratio as a factor."""
        if value is None:
            return self.words("unknown")
        if line.kind == "ratio":
            return f"× {self.words.number(value)}"
        sign = MINUS if value < 0 else "+"
        if self.unit(line) is Unit.SHARE:
            return self.words("points_of_share", x=f"{sign}{abs(value) * 100:.1f}")
        return f"{sign}{self.words.value(abs(value), self.unit(line))}"

    def interval(self, line: Line) -> str:
        return f"{self.difference(line, line.low)} … {self.difference(line, line.high)}"

    def basis(self, line: Line) -> str:
        told = [f"n {self.words.count(line.n)}"]
        if round(line.n_eff) != line.n:
            told.append(self.words("basis.effective", n_eff=self.words.count(round(line.n_eff, 1))))
        return " · ".join([*told, self.words("months_used", n=line.months)])

    def sentence(self, line: Line) -> str:
        """One line as a sentence with its numbers."""
        return self.words(
            "compare.told",
            vendor=self.name(line.vendor),
            what=self.where(line),
            before=self.value(line, line.before),
            now=self.value(line, line.new),
            difference=self.difference(line, line.difference),
            interval=self.interval(line),
        )

    def verdict(self, comparison: Comparison | None) -> str:
        return self.words.name("comparison", "no_baseline" if comparison is None else comparison.verdict)
