"""A month against the blessed one and the months before: regressed, not regressed, or how much more it takes to tell.

Pure: same results, same document, byte for byte. Unlike runs are refused, with what differs. Each vendor is judged by
itself: who else takes part changes nothing. Sections (§) are those of docs/statistics.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, exp, inf, isclose, log
from typing import Any, Final, Literal

import numpy as np
from scipy.special import ndtri

from harness.codec import from_plain, schema_of, to_plain
from harness.domain import Better, Carrier, Estimate, Scope, State, Unit
from harness.errors import Complaint, ConfigError
from harness.judge import months, stats
from harness.judge.criteria import Gate
from harness.judge.months import MARGIN, PRIMARY_LEVEL, SECONDARY_LEVEL, Pooled
from harness.judge.result import Basis, Finding, GateVerdict, Note, Provenance, Result, Slice

SCHEMA: Final = "sms-vendor-comparison"
SCHEMA_VERSION: Final = "1.0"
PRIMARY: Final = "arrival.rate"
PRIMARY_CARRIERS: Final = (Carrier.CHINA_MOBILE, Carrier.CHINA_UNICOM, Carrier.CHINA_TELECOM)
TIME_MARGIN: Final = 1.25  # a time so much longer is a loss worth naming
SCALE: Final = 2.0  # two plans differ in scale beyond this factor of messages
LENGTH: Final = 1.25  # and in length beyond this one
KEPT: Final = 2 / 3  # of a carrier's handsets must be the same ones
LEAST_DRIFT_MONTHS: Final = 4
# Not tested: they say over again what another measure says, on the same messages, and each more makes all the others
# harder to see (Holm); or they are no property of the vendor alone.
_LEFT_OUT: Final = frozenset(
    {
        "arrival.panel", "arrival.of_submitted", "arrival.of_valid", "arrival.corrected", "arrival.fresh_difference",
        "arrival.fresh_detectable", "acceptance.of_valid", "delivery.of_submitted", "delivery.of_valid",
        "latency.within_5_s", "latency.within_60_s", "latency.p95", "latency.p99", "acceptance_time.p90",
        "acceptance_time.p95", "acceptance_time.p99", "report_time.p90", "report_time.p95", "report_time.p99",
        "review.inline_within_5_min", "review.time.p90", "stability.bad_hour", "stability.acceptance_bad_hour",
        "stability.clustering",
    }
)  # fmt: skip
_COUNTED: Final = ("wilson", "aalen-johansen", "kaplan-meier")  # methods whose effective n says all of their doubt

Verdict = Literal["regressed", "not_regressed", "inconclusive"]
Against = Literal["recent", "blessed"]


# --- the document ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Differs:
    """One part in which two runs are not alike. `vendor` None: nothing in them can be compared."""

    part: str
    vendor: str | None
    new: str
    old: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A month that could not be used for a vendor (None: for anybody), and the part that differs."""

    run: str
    vendor: str | None
    part: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One measure of one vendor on one slice against the months before.

    Shares and other plain values: `difference` is new minus before. Times: it is the ratio, new over before.
    `low`/`high`: 95 %, of this line alone.
    """

    vendor: str
    measure: str
    slice: Slice
    against: Against
    family: Literal["primary", "secondary", "fixed"]  # fixed: read off rather than sampled, no test
    kind: Literal["difference", "ratio"]
    new: float | None
    before: float | None
    difference: float | None
    low: float | None
    high: float | None
    n: int
    n_eff: float
    months: int
    p: float | None  # one-sided, of "no loss"
    p_adjusted: float | None
    level: float | None  # that p_adjusted is held against
    verdict: Verdict
    better: bool
    provisional: bool  # fewer than three months
    more_messages: int | None = None  # inconclusive: about so many more would settle it; None: only more months would
    note: Note = field(default_factory=lambda: Note(id="compare.line.inconclusive"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """A slow loss since the blessed month, by CUSUM of what each month falls short of those before it."""

    vendor: str
    slice: Slice
    months: int
    statistic: float
    threshold: float
    alarm: bool
    since: str | None  # run with which the present fall began; None: no fall


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorComparison:
    vendor: str
    verdict: Verdict | Literal["not_comparable"]
    provisional: bool
    months: tuple[str, ...]  # runs compared with, latest last
    summary: Note


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What own history says of clustering and of months, pooled over cells (vendor × carrier × month) (§1.3).

    Correlations are never below the floors of `stats.FLOORS`; those seen stand beside them.
    """

    cells: int
    months: int
    handset: float
    block: float
    handset_seen: float
    block_seen: float
    deff: float  # two-way, of the cells as they were
    month_variance: float | None  # of arrival rates, on the arcsine scale; None: no cell has two months
    month_df: float
    month_sd: float | None  # the same in shares, at the mean rate

    def floors(self) -> stats.Floors:
        """Floors for the intervals of a result."""
        return replace(stats.FLOORS, handset=self.handset, block=self.block)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    new: str  # run ids
    blessed: str
    verdict: Verdict | Literal["not_comparable"]
    provisional: bool
    summary: Note
    differs: tuple[Differs, ...]
    left_out: tuple[LeftOut, ...]
    vendors: tuple[VendorComparison, ...]
    lines: tuple[Line, ...]
    drifts: tuple[Drift, ...]
    learned: Learned | None
    method: Mapping[str, str | int | float]
    schema: str = SCHEMA
    schema_version: str = SCHEMA_VERSION


def dump(comparison: Comparison) -> bytes:
    """The document as UTF-8 JSON: same comparison, same bytes."""
    plain = to_plain(comparison)
    ordered = {key: plain.pop(key) for key in ("schema", "schema_version")} | plain
    return (json.dumps(ordered, ensure_ascii=False, indent=1, allow_nan=False) + "\n").encode()


def parse(raw: bytes, name: str = "comparison.json") -> Comparison:
    """Read a comparison. Raises ConfigError for anything else."""
    try:
        plain = json.loads(raw)
        if plain["schema"] != SCHEMA:
            raise ValueError(f"has the schema {plain['schema']!r}, expected {SCHEMA!r}")
        return from_plain(Comparison, plain)
    except (ValueError, KeyError, TypeError) as error:
        way_out = "Make it again with `smsbench compare`."
        raise ConfigError([Complaint(place=name, problem=str(error)[:500], way_out=way_out)]) from error


def json_schema() -> bytes:
    """The schema of the document."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema_of(Comparison), "title": SCHEMA}
    return (json.dumps(schema, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()


def slim(result: Result) -> Result:
    """A result with all that `compare` reads and nothing else: keep many months in memory as these."""
    findings = tuple(replace(one, evidence=()) for one in result.findings if one.estimate is not None)
    return replace(
        result, findings=findings, criteria=(), scorecards=(), gates=(), flips=(), funnels=(), curves=(), series=(),
        outages=(), reviews=(), codes=(), documents=(), skipped=(), warnings=(), pairs=(), turns=(),
    )  # fmt: skip


# --- may they be compared? -------------------------------------------------------------------------------------------


def comparable(new: Result, old: Result) -> list[Differs]:
    """All in which two runs are not alike in what matters; empty: they may be compared.

    What concerns one vendor only names it; the others may be compared all the same.
    """
    if new.provenance is None or old.provenance is None:
        known = ("no" if one.provenance is None else "yes" for one in (new, old))
        return [Differs(part="provenance", vendor=None, new=next(known), old=next(known))]
    return [*_whole_differs(new, old, new.provenance, old.provenance), *_vendors_differ(new.provenance, old.provenance)]


def _whole_differs(new: Result, old: Result, mine: Provenance, theirs: Provenance) -> Iterator[Differs]:
    def told(part: str, one: object, other: object) -> Differs:
        return Differs(part=part, vendor=None, new=str(one), old=str(other))

    pairs: list[tuple[str, object, object]] = [
        ("mode", new.run.mode, old.run.mode),
        ("purposes", ", ".join(sorted(mine.purposes)), ", ".join(sorted(theirs.purposes))),
        ("hours", mine.hours, theirs.hours),
    ]
    pairs += [
        (part, new.method.get(part), old.method.get(part)) for part in ("horizon_seconds", "report_horizon_seconds")
    ]
    yield from (told(part, one, other) for part, one, other in pairs if one != other)
    if not _alike(mine.days, theirs.days, LENGTH):
        yield told("days", f"{mine.days:g}", f"{theirs.days:g}")
    for carrier in sorted({*mine.handsets, *theirs.handsets}):
        one, other = set(mine.handsets.get(carrier, ())), set(theirs.handsets.get(carrier, ()))
        if len(one & other) < KEPT * max(len(one), len(other)) - 1e-9:
            yield told(f"handsets.{carrier}", f"{len(one)} ({len(one - other)} new)", len(other))


def _vendors_differ(mine: Provenance, theirs: Provenance) -> Iterator[Differs]:
    for vendor in sorted({*mine.setups} & {*theirs.setups}):
        one, other = mine.setups[vendor], theirs.setups[vendor]
        for part in sorted({*one, *other}):
            if one.get(part) != other.get(part):
                yield Differs(part=part, vendor=vendor, new=one.get(part, "–"), old=other.get(part, "–"))
        planned, before = mine.scenarios.get(vendor, {}), theirs.scenarios.get(vendor, {})
        for scenario in sorted({*planned, *before}):
            if not _alike(planned.get(scenario, 0), before.get(scenario, 0), SCALE):
                yield Differs(
                    part=f"scenario.{scenario}", vendor=vendor, new=str(planned.get(scenario, 0)),
                    old=str(before.get(scenario, 0)),
                )  # fmt: skip


def _alike(one: float, other: float, factor: float) -> bool:
    return one == other or (min(one, other) > 0 and max(one, other) <= factor * min(one, other))


# --- what history teaches --------------------------------------------------------------------------------------------


def learn(history: Iterable[Result]) -> Learned | None:
    """Pool design effects and the spread of months over own results (§1.3); None: fewer than 12 cells."""
    ordered = sorted({one.run.id: one for one in history}.values(), key=lambda one: (one.run.began, one.run.id))
    bases = [basis for result in ordered for basis in result.bases if _is_primary(basis)]
    cells = [basis for basis in bases if basis.deff is not None and 0 < basis.hits < basis.n]
    if len(cells) < months.LEAST_CELLS:
        return None
    by_handset, by_block, both = _correlations(cells)
    series: dict[tuple[str, str], list[float]] = {}
    for basis in bases:
        n_eff = basis.n / max(1.0, 1 + (basis.per_block - 1) * by_block)
        at = months.arcsine(basis.hits / basis.n * n_eff, n_eff)
        series.setdefault((basis.vendor, basis.slice["carrier"]), []).append(float(at))
    between = months.month_variance(list(series.values()))
    mean = sum(basis.hits for basis in bases) / sum(basis.n for basis in bases)
    variance = None if between is None else float(between.variance)
    return Learned(
        cells=len(cells), months=len(ordered), handset=max(stats.FLOORS.handset, by_handset),
        block=max(stats.FLOORS.block, by_block), handset_seen=by_handset, block_seen=by_block, deff=both,
        month_variance=variance, month_df=0.0 if between is None else between.df,
        month_sd=None if variance is None else (variance * mean * (1 - mean)) ** 0.5,
    )  # fmt: skip


def _is_primary(basis: Basis) -> bool:
    return basis.measure == PRIMARY and set(basis.slice) == {"carrier"}


def _correlations(cells: Sequence[Basis]) -> tuple[float, float, float]:
    """Intra-class correlations of handsets and of blocks, and the two-way design effect, pooled: Σ V / Σ p(1-p)/n."""
    plain = np.array([b.hits / b.n * (1 - b.hits / b.n) / b.n for b in cells])

    def pooled(deffs: Iterable[float | None], sizes: Iterable[float]) -> float:
        excess = np.array([(deff or 1.0) - 1 for deff in deffs])
        room = np.array(list(sizes)) - 1
        return max(0.0, float(plain @ excess) / float(plain @ room)) if float(plain @ room) > 0 else 0.0

    return (
        pooled((b.handset_deff for b in cells), (b.per_handset for b in cells)),
        pooled((b.block_deff for b in cells), (b.per_block for b in cells)),
        float(plain @ np.array([b.deff or 1.0 for b in cells])) / float(plain.sum()),
    )


# --- one value on the scale it is compared on ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Point:
    """A month's value of one cell on its scale, with the variance of sampling there."""

    at: float
    variance: float
    value: float
    n: int
    n_eff: float


def _point(finding: Finding, unit: Unit, basis: Basis | None, deff: float | None) -> _Point | None:
    """None: it has no place on a scale."""
    estimate = finding.estimate
    if estimate is None or estimate.value is None or estimate.low == estimate.high:
        return None
    if unit is Unit.SECONDS:
        return _time(estimate)
    if basis is not None and deff is not None:
        n_eff = basis.n / deff
        if "+" in estimate.method:  # widened by what nobody could tell
            n_eff = min(n_eff, _n_eff_of_limits(estimate))
    elif estimate.method.startswith(_COUNTED) and "+" not in estimate.method:
        n_eff = estimate.n_eff
    else:
        n_eff = _n_eff_of_limits(estimate)
    if n_eff <= 0 or not 0 <= estimate.value <= 1:
        return None
    at = float(months.arcsine(estimate.value * n_eff, n_eff))
    variance = float(months.arcsine_variance(n_eff))
    return _Point(at=at, variance=variance, value=estimate.value, n=estimate.n, n_eff=n_eff)


def _time(estimate: Estimate) -> _Point | None:
    if not (estimate.value and estimate.low and estimate.high) or estimate.high <= estimate.low:
        return None
    error = (log(estimate.high) - log(estimate.low)) / (2 * _z(estimate.level))
    return _Point(
        at=log(estimate.value), variance=error**2, value=estimate.value, n=estimate.n, n_eff=estimate.n_eff
    )  # fmt: skip


def _n_eff_of_limits(estimate: Estimate) -> float:
    """The effective n that limits of any make amount to; 0: they say nothing."""
    if estimate.low is None or estimate.high is None or not estimate.high > estimate.low:
        return 0.0
    low, high = (2 * np.arcsin(np.sqrt(min(1.0, max(0.0, end)))) for end in (estimate.low, estimate.high))
    return float((2 * _z(estimate.level) / (high - low)) ** 2)


def _z(level: float) -> float:
    return float(ndtri(0.5 + level / 2))


# --- one vendor ------------------------------------------------------------------------------------------------------

_Cell = tuple[str, tuple[tuple[str, str], ...]]  # measure, slice


@dataclass(frozen=True, slots=True, kw_only=True)
class _Month:
    """One result as it concerns one vendor."""

    run: str
    began: str
    findings: Mapping[_Cell, Finding]
    bases: Mapping[_Cell, Basis]
    replaced: Mapping[str, float]  # carrier → share of its handsets that the new month has and this one lacks

    @classmethod
    def of(cls, indexed: _Indexed, vendor: str, new: Result) -> _Month:
        result = indexed.result
        replaced = {}
        if new.provenance is not None and result.provenance is not None:
            for carrier, handsets in new.provenance.handsets.items():
                there = set(result.provenance.handsets.get(carrier, ()))
                replaced[carrier] = sum(one not in there for one in handsets) / max(1, len(handsets))
        return cls(
            run=result.run.id, began=result.run.began, findings=indexed.findings.get(vendor, {}),
            bases=indexed.bases.get(vendor, {}), replaced=replaced,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Indexed:
    """A result, by vendor and cell."""

    result: Result
    findings: Mapping[str, Mapping[_Cell, Finding]]
    bases: Mapping[str, Mapping[_Cell, Basis]]

    @classmethod
    def of(cls, result: Result) -> _Indexed:
        findings: dict[str, dict[_Cell, Finding]] = {}
        bases: dict[str, dict[_Cell, Basis]] = {}
        for one in result.findings:
            if one.estimate is not None:
                findings.setdefault(one.vendor, {})[_cell(one.measure, one.slice)] = one
        for basis in result.bases:
            bases.setdefault(basis.vendor, {})[_cell(basis.measure, basis.slice)] = basis
        return cls(result=result, findings=findings, bases=bases)


def _cell(measure: str, slice: Slice) -> _Cell:
    return measure, tuple(sorted(slice.items()))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Series:
    """One cell through the months on its scale: the new month, and those before it that have it."""

    cell: _Cell
    new: _Point
    before: tuple[_Point, ...]
    sign: float  # 1: higher is better

    @property
    def past(self) -> list[float]:
        return [self.sign * one.at for one in self.before]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tested:
    """A cell with what its months vary by."""

    series: _Series
    between: Pooled | None

    def change(self, factor: float = 1.0, *, part: float = months.SAMPLING_PART) -> months.Change:
        """How far the new month is from the others, higher being better; as if it had so many times the messages."""
        one = self.series
        df = 3.0 * (stats.BLOCKS - 1) * (len(one.before) + 1) if one.cell[0] == PRIMARY else float(stats.BLOCKS - 1)
        return months.change(
            one.sign * one.new.at, one.past, one.new.variance / factor, [p.variance for p in one.before],
            between=self.between, df=df, part=part,
        )  # fmt: skip

    def least(self, factor: float = 1.0, *, is_time: bool) -> float:
        """The lower one-sided 95 % limit of the change: in shares, or in logs of a time, higher being better.

        It clears a vendor, so the whole sampling variance counts here.
        """
        found = self.change(factor, part=1.0)
        step = float(found.gap) - float(months.reach(found, stats.LEVEL, one_sided=True))
        # A share that should be low is turned over: 1 - p on the arcsine scale.
        at = self.series.new.at if self.series.sign > 0 else float(np.pi) - self.series.new.at
        return step if is_time else float(months.share_limit(at, found, step))

    def more(self, margin: float, level: float, *, is_time: bool) -> int | None:
        """About how many messages more would settle it, if what was seen is what there is; None: only months would.

        `level` is that of this line among those of its family.
        """

        def settles(factor: float) -> bool:
            lost = float(months.p_fallen(self.change(factor))) < level
            return lost or self.least(factor, is_time=is_time) > -margin

        low, high = 1.0, 100.0
        if not settles(high):
            return None
        for _ in range(20):
            middle = (low * high) ** 0.5
            low, high = (low, middle) if settles(middle) else (middle, high)
        return max(1, ceil(self.series.new.n * (high - 1)))


def _shown(one: _Series, found: months.Change, *, is_time: bool) -> tuple[float, float, float]:
    """Difference (or ratio) with its 95 % limits, as the measure itself runs."""
    gap, reach = float(found.gap), float(months.reach(found, stats.LEVEL))
    ends = sorted((one.sign * (gap - reach), one.sign * (gap + reach)))
    if is_time:
        return exp(one.sign * gap), exp(ends[0]), exp(ends[1])
    turned = found._replace(gap=np.asarray(one.sign * gap))
    at = [float(months.share_limit(one.new.at, turned, end)) for end in (one.sign * gap, *ends)]
    seen = one.new.value - float(np.mean([x.value for x in one.before]))
    return seen, seen + at[1] - at[0], seen + at[2] - at[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Vendor:
    """A vendor's new month, the blessed one and the months before, each comparable with the new one."""

    vendor: str
    new: _Month
    blessed: _Month
    recent: tuple[_Month, ...]  # the last six at most, in order of time
    since: tuple[_Month, ...]  # all from the blessed one on
    info: Mapping[str, tuple[Unit, Better]]
    own: Learned | None
    margin: float

    def lines(self) -> list[Line]:
        cells = list(self._cells())
        lines = [line for against in self._references() for line in self._lines(cells, *against)]
        return lines + list(self._fixed())

    def _references(self) -> Iterator[tuple[Against, tuple[_Month, ...]]]:
        if self.recent and [one.run for one in self.recent] != [self.blessed.run]:
            yield "recent", self.recent
        yield "blessed", (self.blessed,)

    def _cells(self) -> Iterator[_Cell]:
        """What is tested: each measure by carrier where it is taken so, else on the whole; arrival by purpose too."""
        by_carrier = {measure for measure, slice in self.new.findings if [key for key, _ in slice] == ["carrier"]}
        for (measure, slice), finding in self.new.findings.items():
            keys = [key for key, _ in slice]
            wanted = keys == ["carrier"] or (not keys and (measure not in by_carrier or measure == PRIMARY))
            wanted |= keys == ["purpose"] and measure == PRIMARY
            known = measure in self.info and measure not in _LEFT_OUT
            if wanted and known and _is_sampled(finding, self.info[measure][0]):
                yield measure, slice

    # Points and their spread.

    def _deff(self, basis: Basis | None, pool: Sequence[Basis], months_: int, replaced: float) -> float | None:
        """The design effect a month's arrival is compared with: blocks, and phones as far as they are other ones."""
        if basis is None:
            return None
        by_handset, by_block, _ = _correlations(pool) if pool else (0.0, 0.0, 1.0)
        if self.own is not None:
            by_block = max(by_block, self.own.block_seen)
        if months_ < months.LEAST_MONTHS:
            by_block = max(by_block, stats.FLOORS.block)
        deff = 1 + max(0.0, basis.per_block - 1) * by_block
        return deff + replaced * max(0.0, basis.per_handset - 1) * max(by_handset, stats.FLOORS.handset)

    def _series(self, cell: _Cell, reference: Sequence[_Month]) -> _Series | None:
        unit, better = self.info[cell[0]]
        pool = [
            basis for month in (*reference, self.new) for basis in month.bases.values()
            if _is_primary(basis) and 0 < basis.hits < basis.n
        ]  # fmt: skip
        carrier = dict(cell[1]).get("carrier", "")
        replaced = max((month.replaced.get(carrier, 0.0) for month in reference), default=0.0)

        def point(month: _Month, part: float) -> _Point | None:
            finding, basis = month.findings.get(cell), month.bases.get(cell)
            deff = self._deff(basis, pool, len(reference), part)
            return None if finding is None else _point(finding, unit, basis, deff)

        new = point(self.new, replaced)
        before = tuple(one for one in (point(month, 0.0) for month in reference) if one is not None)
        sign = 1.0 if better is Better.HIGHER else -1.0
        return _Series(cell=cell, new=new, before=before, sign=sign) if new is not None and before else None

    def _between(self, series: Sequence[_Series]) -> dict[str, Pooled | None]:
        """Month variance by measure: its own over slices, steadied by the dispersion of all of its kind."""
        by_measure: dict[str, list[_Series]] = {}
        for one in series:
            by_measure.setdefault(one.cell[0], []).append(one)
        own = {measure: months.month_variance([one.past for one in part]) for measure, part in by_measure.items()}
        sampling = {
            m: float(np.mean([p.variance for one in part for p in one.before])) for m, part in by_measure.items()
        }
        pools: dict[str, Pooled | None] = {}
        for measure, pooled in own.items():
            kind = self.info[measure][0]
            alike = [(name, other) for name, other in own.items() if self.info[name][0] is kind and sampling[name] > 0]
            ratios = [(float(other.variance) / sampling[name], other.df) for name, other in alike if other is not None]
            prior: float | None = None
            worth = months.BORROWED_DF
            if measure == PRIMARY and self.own is not None and self.own.month_variance is not None:
                prior, worth = self.own.month_variance, min(self.own.month_df, 30.0)
                pooled = pooled or Pooled(np.asarray(prior), 0.0) if worth >= months.BORROWED_DF else pooled
            elif len(ratios) > 1:
                weight = sum(df for _, df in ratios)
                spread = sum(ratio * df for ratio, df in ratios) / weight
                prior = max(spread, months.SAMPLING_PART) * sampling[measure]
            pools[measure] = months.moderated(pooled, prior, worth=worth)
        return pools

    # Lines.

    def _lines(self, cells: Sequence[_Cell], against: Against, reference: tuple[_Month, ...]) -> list[Line]:
        series = [one for cell in cells if (one := self._series(cell, reference)) is not None]
        # Against one month alone the spread of months is learned from those in between.
        spread_from = series
        if len(reference) == 1 and len(self.recent) > 1:
            spread_from = [one for cell in cells if (one := self._series(cell, self.recent)) is not None]
        between = self._between(spread_from)
        tested = [_Tested(series=one, between=between.get(one.cell[0])) for one in series]
        lines: list[Line] = []
        families = [[one for one in tested if _is_first(one.series.cell) is first] for first in (True, False)]
        risen = iter(stats.holm([float(months.p_risen(one.change())) for part in families for one in part]).tolist())
        for number, family in enumerate(families):
            level = PRIMARY_LEVEL if number == 0 and self._decides(against) else SECONDARY_LEVEL
            fallen = stats.holm([float(months.p_fallen(test.change())) for test in family])
            for test, p in zip(family, fallen.tolist(), strict=True):
                line = self._line(test, p, next(risen), level, against, primary=number == 0)
                if line.verdict == "inconclusive":
                    is_time = self.info[line.measure][0] is Unit.SECONDS
                    margin = log(TIME_MARGIN) if is_time else self.margin
                    line = replace(line, more_messages=test.more(margin, level / len(family), is_time=is_time))
                lines.append(replace(line, note=_line_note(line)))
        return lines

    def _decides(self, against: Against) -> bool:
        return against == next(self._references())[0]

    def _line(self, test: _Tested, p: float, rise: float, level: float, against: Against, *, primary: bool) -> Line:
        one, found = test.series, test.change()
        is_time = self.info[one.cell[0]][0] is Unit.SECONDS
        margin = log(TIME_MARGIN) if is_time else self.margin
        verdict: Verdict = "regressed" if p < level else "inconclusive"
        if verdict != "regressed" and test.least(is_time=is_time) > -margin:
            verdict = "not_regressed"
        gap, low, high = _shown(one, found, is_time=is_time)
        before = exp(float(np.mean([x.at for x in one.before]))) if is_time else np.mean([x.value for x in one.before])
        return Line(
            vendor=self.vendor, measure=one.cell[0], slice=dict(one.cell[1]), against=against,
            family="primary" if primary else "secondary", kind="ratio" if is_time else "difference",
            new=one.new.value, before=float(before), difference=gap, low=low, high=high, n=one.new.n,
            n_eff=one.new.n_eff, months=len(one.before), p=float(months.p_fallen(found)), p_adjusted=p, level=level,
            verdict=verdict, better=rise < SECONDARY_LEVEL,
            provisional=len(one.before) < months.LEAST_MONTHS and len(self.recent) < months.LEAST_MONTHS,
        )  # fmt: skip

    def _fixed(self) -> Iterator[Line]:
        """What is read off rather than sampled: it regressed if all it may be is worse than all it may have been."""
        for cell, finding in self.new.findings.items():
            measure, slice = cell
            if slice or measure not in self.info or measure in _LEFT_OUT:
                continue
            unit, better = self.info[measure]
            other = self.blessed.findings.get(cell)
            if _is_sampled(finding, unit) or other is None or finding.state is not State.MEASURED:
                continue
            new, old = finding.estimate, other.estimate
            if new is not None and old is not None and new.value is not None and old.value is not None:
                yield self._fixed_line(measure, new, old, better)

    def _fixed_line(self, measure: str, new: Estimate, old: Estimate, better: Better) -> Line:
        assert new.value is not None and old.value is not None
        sign = 1.0 if better is Better.HIGHER else -1.0
        ends = [_ends(one, sign) for one in (new, old)]
        same = isclose(new.value, old.value, rel_tol=1e-9, abs_tol=1e-12)
        fell, rose = ends[0][1] < ends[1][0] and not same, ends[0][0] > ends[1][1] and not same
        no_worse = same or sign * (new.value - old.value) >= 0
        line = Line(
            vendor=self.vendor, measure=measure, slice={}, against="blessed", family="fixed", kind="difference",
            new=new.value, before=old.value, difference=new.value - old.value, low=None, high=None, n=new.n,
            n_eff=new.n_eff, months=1, p=None, p_adjusted=None, level=None,
            verdict="regressed" if fell else "not_regressed" if no_worse else "inconclusive", better=rose,
            provisional=False,
        )  # fmt: skip
        return replace(line, note=_line_note(line))

    # Drift.

    def drifts(self) -> Iterator[Drift]:
        """CUSUM of each carrier's arrival since the blessed month (§5.4)."""
        chain = [month for month in self.since if month.run != self.new.run]
        series = {
            carrier.value: one for carrier in PRIMARY_CARRIERS
            if (one := self._series((PRIMARY, (("carrier", carrier.value),)), chain)) is not None
            and len(one.before) + 1 >= LEAST_DRIFT_MONTHS and len(one.before) == len(chain)
        }  # fmt: skip
        if not series:
            return
        paths = {carrier: [*one.past, one.new.at] for carrier, one in series.items()}
        spread = months.successive_variance(list(paths.values()))
        assert spread is not None
        for carrier, path in paths.items():
            points = (*series[carrier].before, series[carrier].new)
            sampling = float(np.mean([one.variance for one in points]))
            sums = months.cusum(path, months.month_sd(spread, sampling))
            threshold = months.cusum_threshold(max(12, len(path)), series=len(paths))
            rising = np.flatnonzero(sums <= 0)
            first = int(rising[-1]) + 1 if rising.size else 0
            runs = [*(month.run for month in chain), self.new.run]
            yield Drift(
                vendor=self.vendor, slice={"carrier": carrier}, months=len(path), statistic=float(sums[-1]),
                threshold=threshold, alarm=bool(sums[-1] > threshold),
                since=runs[first + 1] if sums[-1] > 0 else None,
            )  # fmt: skip


def _is_first(cell: _Cell) -> bool:
    return cell[0] == PRIMARY and cell[1] in {(("carrier", one.value),) for one in PRIMARY_CARRIERS}


def _is_sampled(finding: Finding, unit: Unit) -> bool:
    """Whether a finding rests on a sample of messages or cases, so that chance moves it."""
    one = finding.estimate
    if one is None or finding.state is not State.MEASURED or unit not in (Unit.SHARE, Unit.SECONDS):
        return False
    return one.scope is not Scope.VENDOR and one.method != "counts"


def _ends(one: Estimate, sign: float) -> tuple[float, float]:
    """The least and the most it may be, higher being better."""
    low = one.low if one.low is not None else -inf
    high = one.high if one.high is not None else inf
    return (low, high) if sign > 0 else (-high, -low)


def _line_note(line: Line) -> Note:
    """One sentence on a line."""
    values: dict[str, str | int | float] = {"vendor": line.vendor, "measure": line.measure, "months": line.months}
    if "carrier" in line.slice:
        values["carrier"] = line.slice["carrier"]
    kind = line.verdict if not line.better else "better"
    if line.verdict == "inconclusive" and line.more_messages is not None:
        return Note(id="compare.line.more_messages", values=values | {"n": line.more_messages})
    if line.verdict == "inconclusive" and line.family != "fixed":
        return Note(id="compare.line.more_months", values=values)
    return Note(id=f"compare.line.{kind}", values=values)


# --- the whole -------------------------------------------------------------------------------------------------------


def compare(
    new: Result, blessed: Result, past: Sequence[Result] = (), own: Learned | None = None, *, margin: float = MARGIN
) -> Comparison:
    """Compare a month with the blessed one and with the mean of the last six comparable months at most (§5).

    `past` may come in any order and hold the blessed and the new one. `own`: see `learn`. `margin`: what loss of a
    share the contract bears. A vendor regressed if any of its lines did, or if it drifted; it did not if none of its
    primary lines leaves a loss of the margin open; else more evidence is needed.
    """
    differs = comparable(new, blessed)
    if stops := [one for one in differs if one.vendor is None]:
        return _refused(new, blessed, differs, stops, own, margin)
    months_, left_out = _comparable_past(new, blessed, past)
    indexed = {one.run.id: _Indexed.of(one) for one in (new, blessed, *(month for month, _ in months_))}
    info = {id: (one.unit, one.better) for id, one in new.measures.items()}
    shared = sorted({*new.vendors} & {*blessed.vendors})
    told, lines, drifts = [], [], []
    for vendor in shared:
        if any(one.vendor == vendor for one in differs):
            part = next(one for one in differs if one.vendor == vendor).part
            told.append(_vendor_refused(vendor, part))
            continue
        usable = [month for month, vendors in months_ if vendor not in vendors and vendor in month.vendors]
        series = [_Month.of(indexed[one.run.id], vendor, new) for one in usable]
        base = _Month.of(indexed[blessed.run.id], vendor, new)
        # Drift is looked for among months that have the blessed one's age at most: a new blessing starts afresh.
        since = [
            base,
            *(one for one in series if one.run != base.run and (one.began, one.run) > (base.began, base.run)),
        ]
        one = _Vendor(
            vendor=vendor, new=_Month.of(indexed[new.run.id], vendor, new), blessed=base,
            recent=tuple(series[-months.MOST_MONTHS :]), since=tuple(since), info=info, own=own, margin=margin,
        )  # fmt: skip
        own_lines, own_drifts = one.lines(), list(one.drifts())
        lines += own_lines
        drifts += own_drifts
        told.append(_vendor_told(one, own_lines, own_drifts))
    return Comparison(
        new=new.run.id, blessed=blessed.run.id, verdict=_overall(told),
        provisional=any(one.provisional for one in told), summary=_summary(told, lines), differs=tuple(differs),
        left_out=tuple(left_out), vendors=tuple(told), lines=tuple(lines), drifts=tuple(drifts), learned=own,
        method=_method(margin),
    )  # fmt: skip


def _comparable_past(
    new: Result, blessed: Result, past: Sequence[Result]
) -> tuple[list[tuple[Result, frozenset[str]]], list[LeftOut]]:
    """Months before the new one, in order of time, each with the vendors it cannot serve; and what was left out."""
    found: list[tuple[Result, frozenset[str]]] = []
    left_out: list[LeftOut] = []
    every = {one.run.id: one for one in (*past, blessed)}
    for one in sorted(every.values(), key=lambda one: (one.run.began, one.run.id)):
        if one.run.id == new.run.id or one.run.began >= new.run.began:
            continue
        differs = comparable(new, one)
        firsts = {part.vendor: part.part for part in reversed(differs)}
        left_out += [
            LeftOut(run=one.run.id, vendor=vendor, part=part) for vendor, part in sorted(firsts.items(), key=str)
        ]
        if None not in firsts:
            found.append((one, frozenset(vendor for vendor in firsts if vendor is not None)))
    return found, left_out


def _vendor_told(one: _Vendor, lines: Sequence[Line], drifts: Sequence[Drift]) -> VendorComparison:
    primary = [line for line in lines if line.family == "primary"]
    bad = [line for line in lines if line.verdict == "regressed"]
    alarms = [drift for drift in drifts if drift.alarm]
    months_ = one.recent or (one.blessed,)
    provisional = len(months_) < months.LEAST_MONTHS
    values: dict[str, str | int | float] = {"vendor": one.vendor, "months": len(months_)}
    verdict: Verdict = "inconclusive"
    if bad:
        verdict, summary = "regressed", _loss(bad, values)
    elif alarms:
        verdict = "regressed"
        summary = Note(id="compare.vendor.drift", values=values | {"carrier": alarms[0].slice["carrier"]})
    elif primary and all(line.verdict == "not_regressed" for line in primary):
        verdict = "not_regressed"
        summary = Note(id="compare.vendor.not_regressed", values=values)
    else:
        more = [line.more_messages for line in primary if line.verdict == "inconclusive"]
        known = [count for count in more if count is not None]
        if known and len(known) == len(more):
            summary = Note(id="compare.vendor.more_messages", values=values | {"n": max(known)})
        else:
            summary = Note(id="compare.vendor.more_months", values=values)
    return VendorComparison(
        vendor=one.vendor, verdict=verdict, provisional=provisional, months=tuple(month.run for month in months_),
        summary=summary,
    )  # fmt: skip


def _loss(bad: Sequence[Line], values: Mapping[str, str | int | float]) -> Note:
    """What was lost: the first line that regressed, and how many there are."""
    first = bad[0]
    told = dict(values) | {"n": len(bad), "measure": first.measure}
    arrival = first.family == "primary" and first.difference is not None and first.low is not None
    if arrival and first.difference is not None and first.low is not None and first.high is not None:
        told |= {
            "carrier": first.slice["carrier"], "loss_share": -first.difference, "least_share": max(0.0, -first.high),
            "most_share": -first.low,
        }  # fmt: skip
        return Note(id="compare.vendor.lost_arrival", values=told)
    return Note(id="compare.vendor.regressed", values=told)


def _vendor_refused(vendor: str, part: str) -> VendorComparison:
    return VendorComparison(
        vendor=vendor, verdict="not_comparable", provisional=False, months=(),
        summary=Note(id="compare.vendor.not_comparable", values={"vendor": vendor, "part": part}),
    )  # fmt: skip


def _refused(
    new: Result,
    blessed: Result,
    differs: Sequence[Differs],
    stops: Sequence[Differs],
    own: Learned | None,
    margin: float,
) -> Comparison:
    values: dict[str, str | int | float] = {"part": stops[0].part, "n": len(stops)}
    return Comparison(
        new=new.run.id, blessed=blessed.run.id, verdict="not_comparable", provisional=False,
        summary=Note(id="compare.not_comparable", values=values), differs=tuple(differs), left_out=(), vendors=(),
        lines=(), drifts=(), learned=own, method=_method(margin),
    )  # fmt: skip


def _overall(told: Sequence[VendorComparison]) -> Verdict | Literal["not_comparable"]:
    """The worst of the vendors that could be compared."""
    verdicts = {one.verdict for one in told}
    for verdict in ("regressed", "inconclusive", "not_regressed"):
        if verdict in verdicts:
            return verdict
    return "not_comparable"


def _summary(told: Sequence[VendorComparison], lines: Sequence[Line]) -> Note:
    counts = {verdict: sum(one.verdict == verdict for one in told) for verdict in _VERDICTS}
    values: dict[str, str | int | float] = {"vendors": len(told), "lines": len(lines), **counts}
    verdict = _overall(told)
    if verdict == "not_comparable":
        return Note(id="compare.nothing", values={})
    if verdict == "regressed":
        first = next(one for one in told if one.verdict == "regressed")
        return Note(id="compare.regressed", values=values | {"vendor": first.vendor, "n": counts["regressed"]})
    return Note(id=f"compare.{verdict}", values=values)


_VERDICTS: Final = ("regressed", "not_regressed", "inconclusive", "not_comparable")


def _method(margin: float) -> dict[str, str | int | float]:
    return {
        "margin": margin,
        "time_margin": TIME_MARGIN,
        "primary_level": PRIMARY_LEVEL,
        "secondary_level": SECONDARY_LEVEL,
        "most_months": months.MOST_MONTHS,
        "least_months": months.LEAST_MONTHS,
        "sampling_part": months.SAMPLING_PART,
        "borrowed_df": months.BORROWED_DF,
        "cusum_allowance": months.ALLOWANCE,
        "drift_level": months.DRIFT_LEVEL,
        "scale_factor": SCALE,
        "length_factor": LENGTH,
        "handsets_kept": KEPT,
    }


def find(comparison: Comparison, vendor: str, measure: str, slice: Slice) -> Line | None:
    """The line that a gate such as `compare(arrival.rate) > -0.02` is held against: the one with the blessed month."""
    lines: list[Any] = [
        one for one in comparison.lines
        if (one.vendor, one.measure, dict(one.slice), one.against) == (vendor, measure, dict(slice), "blessed")
    ]  # fmt: skip
    return lines[0] if lines else None


def gate_verdicts(comparison: Comparison, gates: Iterable[Gate]) -> tuple[GateVerdict, ...]:
    """Gates on the change since the blessed month, for each vendor that could be compared; other gates are passed by.

    For a share the change is in shares (-0.02 is two points down), for a time the ratio less 1.
    """
    found = []
    for gate in gates:
        for vendor in comparison.vendors if gate.compares else ():
            line = find(comparison, vendor.vendor, gate.measure, gate.slice)
            values: dict[str, str | int | float] = {"measure": gate.measure, "threshold": gate.threshold}
            verdict: Literal["pass", "fail", "not_shown", "unclear"] = "not_shown"
            reason = Note(id="gate.no_change", values=values)
            if line is not None and line.low is not None and line.high is not None:
                less = 1.0 if line.kind == "ratio" else 0.0
                low, high = line.low - less, line.high - less
                verdict = _held(gate, low, high)
                said = {"pass": "clear", "fail": "beyond", "unclear": "crosses"}[verdict]
                reason = Note(id=f"gate.change_{said}", values={**values, "low": low, "high": high})
            found.append(
                GateVerdict(id=gate.text, vendor=vendor.vendor, text=gate.text, verdict=verdict, reason=reason)
            )
    return tuple(found)


def _held(gate: Gate, low: float, high: float) -> Literal["pass", "fail", "unclear"]:
    line = gate.threshold
    passes, fails = {
        ">=": (low >= line, high < line),
        ">": (low > line, high <= line),
        "<=": (high <= line, low > line),
        "<": (high < line, low >= line),
    }[gate.relation]
    return "pass" if passes else "fail" if fails else "unclear"
