"""The history page: marks and primary measures of every vendor month by month, and what happened on the way.

One self-contained HTML page under the report's rules: no script, nothing loaded, prints on A4. A month that is not
known is hatched; a line is never drawn across it.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from harness.domain import Unit
from harness.judge.compare import Line
from harness.judge.result import MeasureInfo
from harness.judge.trend import Event, Point, Track, Trend, worst_lines
from harness.words import Words
from reports import charts
from reports.charts import Axis, tag
from reports.html import filled
from reports.months import Teller

HEIGHT: Final = 132
WIDTH: Final = charts.WIDTH
STEP_FROM: Final = 8  # months; with more of them only every second, third … is named under the axis


def render(trend: Trend, words: Words, *, measures: Mapping[str, MeasureInfo]) -> bytes:
    """The page in the language of `words`, as UTF-8 HTML."""
    view = View(trend, words, measures)
    return filled("history.html.j2", view=view, words=words, trend=trend, definitions=charts.DEFINITIONS).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    title: str
    now: str  # the last month's value with its interval
    picture: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A vendor's panels."""

    label: str
    name: str
    signet: Markup
    sentence: str
    main: tuple[Panel, ...]
    criteria: tuple[Panel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRow:
    vendor: str
    what: str
    before: str
    now: str
    difference: str
    interval: str
    basis: str
    against: str
    verdict: str
    kind: str


class View:
    """The parts of the page, each worked out when the template asks for it."""

    def __init__(self, trend: Trend, words: Words, measures: Mapping[str, MeasureInfo]) -> None:
        self.trend, self.words = trend, words
        self.teller = Teller(words, trend.vendors, measures)

    @property
    def is_sandbox(self) -> bool:
        return self.trend.mode == "sandbox"

    def verdict(self) -> str:
        return self.teller.verdict(self.trend.comparison)

    def sentence(self) -> str:
        comparison = self.trend.comparison
        return self.words("monthly.no_baseline") if comparison is None else self.teller.note(comparison.summary)

    def kind(self) -> str:
        comparison = self.trend.comparison
        return "no_baseline" if comparison is None else comparison.verdict

    def facts(self) -> list[tuple[str, str]]:
        words, trend = self.words, self.trend
        baseline = dict(zip(trend.runs, trend.months, strict=True)).get(trend.baseline or "")
        told = [
            (words("head.months"), f"{trend.months[0]} – {trend.months[-1]}"),
            (words("head.baseline"), f"{baseline} ({trend.baseline})" if baseline else words("monthly.none_blessed")),
        ]
        if trend.comparison is not None and (learned := trend.comparison.learned) is not None:
            values = {"deff": learned.deff, "cells": learned.cells, "months": learned.months}
            told.append((words("head.learned"), words.fill("history.learned", values)))
        return told

    def blocks(self) -> list[Block]:
        summaries = {one.vendor: one for one in self.trend.comparison.vendors} if self.trend.comparison else {}
        found = []
        for place, label in enumerate(self.trend.vendors):
            tracks = [track for track in self.trend.tracks if track.vendor == label]
            summary = summaries.get(label)
            found.append(
                Block(
                    label=label,
                    name=self.teller.name(label),
                    signet=charts.signet(place),
                    sentence=self.teller.note(summary.summary) if summary else "",
                    main=tuple(self._panel(track, place) for track in tracks if track.kind == "arrival"),
                    criteria=tuple(
                        self._panel(track, place, small=True) for track in tracks if track.kind != "arrival"
                    ),
                )
            )
        return found

    def events(self) -> list[tuple[str, str, str, str]]:
        """(month, what kind, whom, sentence), latest first."""
        return [
            (event.month, self.words.name("event.kind", event.kind), self._whom(event), self.teller.note(event.note))
            for event in reversed(self.trend.events)
        ]

    def _whom(self, event: Event) -> str:
        return "" if event.vendor is None else self.teller.name(event.vendor)

    def compared(self) -> list[ComparedRow]:
        if self.trend.comparison is None:
            return []
        return [self._row(line) for line in worst_lines(self.trend.comparison, 40)]

    def _row(self, line: Line) -> ComparedRow:
        words, teller = self.words, self.teller
        return ComparedRow(
            vendor=teller.name(line.vendor),
            what=teller.where(line),
            before=teller.value(line, line.before),
            now=teller.value(line, line.new),
            difference=teller.difference(line, line.difference),
            interval=teller.interval(line),
            basis=teller.basis(line),
            against=words.name("comparison", line.against),
            verdict=words.name("comparison", "better" if line.better else line.verdict),
            kind=line.verdict,
        )

    # --- pictures ----------------------------------------------------------------------------------------------------

    def _panel(self, track: Track, place: int, *, small: bool = False) -> Panel:
        words = self.words
        match track.kind:
            case "overall":
                title = words("overall")
            case "arrival":
                title = words.listed([words.name("measure", "arrival.rate"), words.name("carrier", track.key)])
            case _:
                title = words.name("criterion", track.key)
        last = track.points[-1]
        if last is None:
            now = words("history.not_taking_part")
        elif last.value is None:
            now = words.name("state", last.state)
        else:
            low, high = self._written(track, last.low), self._written(track, last.high)
            now = f"{self._written(track, last.value)} ({low}–{high})"
        picture = self._picture(track, place, f"{self.teller.name(track.vendor)}: {title}", small=small)
        return Panel(title=title, now=now, picture=picture)

    def _written(self, track: Track, value: float | None) -> str:
        if value is None:
            return self.words("unknown")
        return self.words.share(value) if track.unit is Unit.SHARE else self.words.points(value)

    def _picture(self, track: Track, place: int, label: str, *, small: bool) -> Markup:
        months = self.trend.months
        height = 92 if small else HEIGHT
        low, high = self._ends(track)
        x = Axis(-0.5, len(months) - 0.5, charts.LEFT, WIDTH - charts.RIGHT)
        y = Axis(low, high, height - charts.BOTTOM, charts.TOP)
        step = 1 + (len(months) - 1) // STEP_FROM
        across = [
            charts.Tick(index, month[2:] if index else month)
            for index, month in enumerate(months)
            if (len(months) - 1 - index) % step == 0
        ]
        up = [charts.Tick(at, self._written(track, at)) for at in (low, (low + high) / 2, high)]
        drawn: list[object] = list(charts.frame(height, x, y, across, up))
        drawn += [self._changed(index, x, y) for index in range(len(months)) if months[index] in self._changes(track)]
        drawn += [part for index, point in enumerate(track.points) for part in _whisker(x, y, index, point)]
        drawn += _joined(x, y, track.points)
        for index, point in enumerate(track.points):
            if point is not None and point.value is not None:
                drawn.append(charts.sign(place, x(index), y(point.value)))
                if point.regressed:
                    drawn.append(tag("circle", cx=x(index), cy=y(point.value), r=8, class_="ring"))
        return charts.svg(WIDTH, height, label, tag("g", *drawn, class_=f"v{place % charts.COLOURS}"))

    def _changes(self, track: Track) -> frozenset[str]:
        return frozenset(
            event.month
            for event in self.trend.events
            if event.kind == "changed" and event.vendor in (None, track.vendor)
        )

    def _changed(self, index: int, x: Axis, y: Axis) -> Markup:
        at = x(index - 0.5)
        return tag("path", d=f"M{at:.1f} {y.end}V{y.begin}", class_="threshold")

    def _ends(self, track: Track) -> tuple[float, float]:
        """One scale for a measure over all vendors, so that panels can be compared by eye."""
        if track.unit is not Unit.SHARE:
            return 0.0, 100.0
        points = [
            point
            for other in self.trend.tracks
            if other.kind == track.kind
            for point in other.points
            if point is not None
        ]
        lows = [value for point in points for value in (point.low, point.value) if value is not None]
        return charts.share_ends(lows, [point.high for point in points if point.high is not None])


def _whisker(x: Axis, y: Axis, index: int, point: Point | None) -> Sequence[Markup]:
    if point is None:
        return ()
    if point.value is None:
        top, bottom = (
            (y(point.high), y(point.low)) if point.low is not None and point.high is not None else (y.end, y.begin)
        )
        return (tag("rect", x=x(index) - 5, y=top, width=10, height=max(bottom - top, 2.0), class_="unknown"),)
    low, high = (value if value is not None else point.value for value in (point.low, point.high))
    return (tag("path", d=f"M{x(index):.1f} {y(low):.1f}V{y(high):.1f}", class_="whisker"),)


def _joined(x: Axis, y: Axis, points: Sequence[Point | None]) -> list[Markup]:
    """The line through neighbouring months that are both known."""
    steps = []
    for index, (one, other) in enumerate(itertools.pairwise(points)):
        if one is not None and other is not None and one.value is not None and other.value is not None:
            steps.append(f"M{x(index):.1f} {y(one.value):.1f}L{x(index + 1):.1f} {y(other.value):.1f}")
    return [tag("path", d="".join(steps), class_="curve")] if steps else []
