"""Month after month on one line: marks and primary measures of every vendor, and what happened between.

Pure: results and comparisons in, a document of points and events out. A month that says nothing has a point without
a value and its state; it is never left out and never zero.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.domain import State, Unit
from harness.judge.compare import PRIMARY, PRIMARY_CARRIERS, Comparison, Line, comparable
from harness.judge.result import Note, Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A month's value with its limits; `value` None: not known, see `state`."""

    month: str  # "2026-03"
    value: float | None
    low: float | None
    high: float | None
    n: int | None
    state: State
    regressed: bool = False  # when it was new, against the months before


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One vendor's points along one thing, a point a month, None for a month without this vendor.

    `kind`: "overall", "criterion" (then `key` is its id; both 0–100) or "arrival" (then `key` is the carrier; shares).
    """

    vendor: str
    kind: str
    key: str
    unit: Unit
    points: tuple[Point | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened in a month. `kind`: blessed, regressed, better, drift, changed, twice, missing."""

    month: str
    kind: str
    vendor: str | None
    note: Note


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """All months of one evaluation, oldest first; `months` and `runs` go together."""

    evaluation: str
    mode: str
    months: tuple[str, ...]
    runs: tuple[str, ...]
    vendors: Mapping[str, Mapping[str, str]]  # label → language → name
    tracks: tuple[Track, ...]
    events: tuple[Event, ...]
    baseline: str | None  # run
    comparison: Comparison | None  # of the last month


def trend_of(
    results: Sequence[tuple[str, Result]],
    *,
    comparisons: Mapping[str, Comparison] | None = None,
    blessings: Sequence[tuple[str, str]] = (),
    twice: Sequence[str] = (),
    missing: Sequence[str] = (),
) -> Trend:
    """Put months on a line.

    Args:
        results: (month, result), one a month, oldest first; at least one.
        comparisons: run → how it compared when it was new.
        blessings: (run, by whom), in the order in which they were given.
        twice, missing: months that were run more than once, and months in between without a result.
    """
    comparisons = comparisons or {}
    months = tuple(month for month, _ in results)
    last = results[-1][1]
    vendors = {label: info.name for _, result in results for label, info in result.vendors.items()}
    by_run = {result.run.id: month for month, result in results}
    events = [
        *(
            Event(month=by_run[run], kind="blessed", vendor=None, note=Note(id="event.blessed", values={"by": by}))
            for run, by in blessings
            if run in by_run
        ),
        *(Event(month=month, kind="twice", vendor=None, note=Note(id="event.twice")) for month in twice),
        *(Event(month=month, kind="missing", vendor=None, note=Note(id="event.missing")) for month in missing),
        *_changes(results),
        *(event for month, result in results for event in _verdicts(month, comparisons.get(result.run.id))),
    ]
    return Trend(
        evaluation=last.run.evaluation,
        mode=last.run.mode,
        months=months,
        runs=tuple(result.run.id for _, result in results),
        vendors=vendors,
        tracks=tuple(_tracks(results, tuple(vendors), comparisons)),
        events=tuple(sorted(events, key=lambda one: (one.month, one.kind, one.vendor or ""))),
        baseline=blessings[-1][0] if blessings else None,
        comparison=comparisons.get(last.run.id),
    )


def _tracks(
    results: Sequence[tuple[str, Result]], vendors: Sequence[str], comparisons: Mapping[str, Comparison]
) -> Iterator[Track]:
    fallen = {
        (run, line.vendor, line.slice.get("carrier"))
        for run, comparison in comparisons.items()
        for line in comparison.lines
        if line.family == "primary" and line.verdict == "regressed"
    }
    criteria = list(dict.fromkeys(one.id for _, result in results for one in result.criteria))
    for vendor in vendors:
        points = tuple(_overall(month, result, vendor) for month, result in results)
        yield Track(vendor=vendor, kind="overall", key="", unit=Unit.RATIO, points=points)
        for carrier in PRIMARY_CARRIERS:
            points = tuple(
                _arrival(month, result, vendor, carrier, regressed=(result.run.id, vendor, carrier) in fallen)
                for month, result in results
            )
            yield Track(vendor=vendor, kind="arrival", key=carrier, unit=Unit.SHARE, points=points)
        for criterion in criteria:
            points = tuple(_mark(month, result, vendor, criterion) for month, result in results)
            if any(points):  # a criterion without weight has no marks
                yield Track(vendor=vendor, kind="criterion", key=criterion, unit=Unit.RATIO, points=points)


def _overall(month: str, result: Result, vendor: str) -> Point | None:
    for card in result.scorecards:
        if card.vendor == vendor:
            state = State.MEASURED if card.overall is not None else State.INSUFFICIENT
            return Point(month=month, value=card.overall, low=card.low, high=card.high, n=None, state=state)
    return None


def _mark(month: str, result: Result, vendor: str, criterion: str) -> Point | None:
    for card in result.scorecards:
        if card.vendor == vendor:
            for mark in card.marks:
                if mark.criterion == criterion:
                    return Point(month=month, value=mark.score, low=mark.low, high=mark.high, n=None, state=mark.state)
    return None


def _arrival(month: str, result: Result, vendor: str, carrier: str, *, regressed: bool) -> Point | None:
    for one in result.findings:
        if (one.vendor, one.measure, one.slice) == (vendor, PRIMARY, {"carrier": carrier}):
            if one.estimate is None:
                return Point(month=month, value=None, low=None, high=None, n=None, state=one.state)
            told = one.estimate
            return Point(
                month=month, value=told.value, low=told.low, high=told.high, n=told.n, state=one.state,
                regressed=regressed,
            )  # fmt: skip
    return None


def _changes(results: Sequence[tuple[str, Result]]) -> Iterator[Event]:
    """What was not alike from one month to the next, so that no line is read across it unawares."""
    for (_, before), (month, after) in itertools.pairwise(results):
        for one in comparable(after, before):
            values = {"part": one.part, "new": one.new, "old": one.old}
            yield Event(month=month, kind="changed", vendor=one.vendor, note=Note(id="event.changed", values=values))


def _verdicts(month: str, comparison: Comparison | None) -> Iterator[Event]:
    for one in comparison.vendors if comparison else ():
        if one.verdict == "regressed":
            yield Event(month=month, kind="regressed", vendor=one.vendor, note=one.summary)
    for line in comparison.lines if comparison else ():
        if line.better and line.family == "primary":
            yield Event(month=month, kind="better", vendor=line.vendor, note=line.note)


def worst_lines(comparison: Comparison, most: int = 12) -> Sequence[Line]:
    """The lines of a comparison that a reader wants first: those that regressed, then the primary ones."""
    shown = [line for line in comparison.lines if line.verdict == "regressed" or line.family == "primary"]
    order = {"regressed": 0, "inconclusive": 1, "not_regressed": 2}
    return sorted(shown, key=lambda line: (order[line.verdict], line.family != "primary", line.p_adjusted or 0.0))[
        :most
    ]
