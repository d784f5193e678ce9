"""How a criterion is put together: measures with their slices, what they are shown, scales, weights and gates.

A measure sees one vendor's evidence on one slice, never a name, and answers with an estimate or says why not.
"""

from __future__ import annotations

import difflib
import importlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from functools import cache, cached_property
from importlib import resources
from itertools import pairwise
from math import inf, isfinite
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from harness.codec import from_plain
from harness.domain import BEIJING, Better, Estimate, RecipientKind, Scope, State, Unit
from harness.dossier import Attestation, DocumentKind
from harness.errors import Complaint, ConfigError
from harness.facts import VendorEntry
from harness.judge import stats
from harness.judge.journeys import Evidence, Run
from harness.judge.result import Criterion, MeasureInfo, Member, Slice
from harness.judge.stats import NotEnough
from harness.plain_yaml import Located, Path, Plain, locate

Frame = pd.DataFrame
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

CRITERIA: Final = (
    "licence",
    "stability",
    "encryption",
    "review",
    "arrival",
    "complaints",
    "retention",
    "cost",
)
SEVEN: Final = CRITERIA[:7]  # 平台选择七维评估法; cost stands beside them
TRAFFIC: Final = ("delivery", "soak")  # scenarios whose messages are ordinary, compliant traffic to handsets
LEAST_CELL: Final = 5  # fewer messages make no slice of their own


# --- what a measure answers ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """No number, for a reason that more messages would not mend."""

    state: State
    reason: str  # message id
    values: Mapping[str, str | int | float] = field(default_factory=dict)


Answer = Estimate | NotEnough | Absent


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An answer with the cases behind it, the telling ones first."""

    answer: Answer
    cases: Sequence[str] = ()
    attested: bool = False


# --- what a measure is shown -----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """One vendor's evidence on one slice. Frames have the columns of `journeys.Evidence`."""

    run: Run
    entry: VendorEntry
    papers: Mapping[DocumentKind, Attestation]
    on: date  # Beijing day on which the run ended: papers are judged as of then
    slice: Slice
    messages: Frame
    reviews: Frame
    probes: Frame
    records: Frame
    statistics: Frame
    replies: Frame
    content_checks: Frame
    failures: Frame
    others: Frame  # the other vendors' messages, on all slices: for controls on the same phones
    planned: frozenset[str]  # scenarios that had cases for this vendor
    skipped: Mapping[str, Mapping[str, str]]  # scenario → why nothing was planned
    seed: int

    @cached_property
    def traffic(self) -> Frame:
        """Ordinary messages to handsets that were attempted, without those in doubt to the end."""
        return self.sent(TRAFFIC)

    def sent(self, scenarios: Sequence[str]) -> Frame:
        """Messages of these scenarios to handsets that were attempted, without those in doubt to the end."""
        frame = self.messages
        keep = frame["scenario"].isin(scenarios) & (frame["kind"] == RecipientKind.HANDSET.value)
        return frame[keep & frame["outcome"].isin(("accepted", "refused"))]

    @cached_property
    def accepted(self) -> Frame:
        """Ordinary messages the vendor took."""
        return self.traffic[self.traffic["outcome"] == "accepted"]

    @cached_property
    def watched(self) -> Frame:
        """Ordinary messages the vendor took, of which it is known whether they arrived (their phone was alive)."""
        return self.accepted[self.accepted["watch"].isin(("arrived", "missing"))]

    @cached_property
    def timed(self) -> Frame:
        """Accepted messages fit for arrival times: seen with a time, or known to be missing.

        Those of phones whose own clock is known, if there are enough of them: our clock alone also counts how long
        an app takes to forward. Messages found only by asking the phone, without a usable clock, are left out of
        both sides: whether an app forwards a message does not hang on how fast it came.
        """
        frame = self.accepted
        with_time = (frame["watch"] == "arrived") & frame["arrived_at"].notna()
        frame = frame[(with_time | (frame["watch"] == "missing")).to_numpy()]
        by_phone = (frame["clock"] == "handset").where(frame["watch"] == "arrived").astype(float)
        known = by_phone.groupby(frame["phone"]).transform("mean").to_numpy() > 0.5
        enough = frame["phone"][known].nunique() >= stats.LEAST_HANDSETS and known.sum() * 3 >= len(frame)
        return frame[known] if enough else frame

    @cached_property
    def hours(self) -> stats.HourEffects | NotEnough:
        """How the arrival rate differs by hour of the run."""
        frame = self.watched
        if frame.empty:
            return NotEnough(reason="no_messages")
        return stats.beta_binomial_hours(*by_hour(frame, frame["watch"] == "arrived"), days=days_of(frame))

    @cached_property
    def unknown(self) -> int:
        """Accepted messages of which nobody could tell whether they arrived."""
        return int((self.accepted["watch"] == "unknown").sum())


def days_of(frame: Frame) -> float | None:
    """The span of a table of messages, in days; None for an empty one."""
    if frame.empty:
        return None
    sent = frame["sent_at"].to_numpy()
    return float(sent.max() - sent.min()) / stats.DAY


def blocks_of(frame: Frame) -> NDArray[np.intp]:
    """The time block of each message."""
    return stats.time_blocks(frame["sent_at"].to_numpy())


def rate_of(y: ArrayLike, frame: Frame) -> Estimate | NotEnough:
    """The share of messages with a mark, clustered by phone and time, for the broadest population there is."""
    return stats.broadest_rate(
        np.asarray(y, dtype=float), frame["phone"].to_numpy(), blocks_of(frame), days=days_of(frame)
    )


def by_hour(frame: Frame, hit: ArrayLike) -> tuple[Floats, Floats]:
    """Hits and trials of each hour of the run that has any."""
    _, index = np.unique(np.floor(frame["sent_at"].to_numpy() / 3600.0), return_inverse=True)
    hits: Floats = np.bincount(index, weights=np.asarray(hit, dtype=np.float64)).astype(np.float64)
    return hits, np.bincount(index).astype(np.float64)


def cases_of(frame: Frame, first: ArrayLike | None = None) -> Sequence[str]:
    """Case ids of a table, those marked first."""
    ids = frame["case_id"].to_numpy()
    if first is None:
        return list(ids)
    marks = np.asarray(first, dtype=bool)
    return [*ids[marks], *ids[~marks]]


def exactly(
    value: float,
    *,
    n: int = 1,
    low: float | None = None,
    high: float | None = None,
    method: str,
    scope: Scope = Scope.VENDOR,
) -> Estimate:
    """A value that is read off rather than sampled: its limits are itself unless given."""
    return Estimate(
        value=value, low=value if low is None else low, high=value if high is None else high, n=n, n_eff=float(n),
        handsets=None, days=None, method=method, scope=scope,
    )  # fmt: skip


# --- measures --------------------------------------------------------------------------------------------------------


class By(StrEnum):
    """Along what a measure is taken as well. The whole is always taken."""

    CARRIER = "carrier"
    CARRIER_PURPOSE = "carrier_purpose"
    PURPOSE = "purpose"
    HOUR_BAND = "hour_band"
    CAMPAIGN = "campaign_window"
    PROVINCE = "province"
    PORTED = "ported"
    TAGS = "tags"
    SUBJECT = "subject"
    EXPECT = "expect"


EVERYWHERE: Final = (
    By.CARRIER, By.PURPOSE, By.CARRIER_PURPOSE, By.HOUR_BAND, By.CAMPAIGN, By.PROVINCE, By.PORTED, By.TAGS,
)  # fmt: skip

Taking = Callable[[View], Answer | Told]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One question asked of a vendor's evidence."""

    id: str
    info: MeasureInfo
    by: tuple[By, ...]
    scenarios: tuple[str, ...]  # any of these feeds it; none: it needs no scenario
    take: Taking


_registry: dict[str, Measure] = {}


def measure(
    id: str,
    *,
    unit: Unit,
    better: Better,
    by: Sequence[By] = (),
    scenarios: Sequence[str] = TRAFFIC,
    kpi: str | None = None,
    denominator: str | None = None,
) -> Callable[[Taking], Taking]:
    """Register a function `View → Answer | Told` as a measure of the criterion whose file it stands in."""

    def register(take: Taking) -> Taking:
        criterion = take.__module__.rsplit(".", 1)[-1]
        if id in _registry:
            raise ValueError(f"two measures are called {id!r}")
        info = MeasureInfo(unit=unit, better=better, criterion=criterion, kpi=kpi, denominator=denominator)
        _registry[id] = Measure(id=id, info=info, by=tuple(by), scenarios=tuple(scenarios), take=take)
        return take

    return register


@cache
def measures() -> Mapping[str, Measure]:
    """All measures by id, criterion by criterion."""
    for name in CRITERIA:
        importlib.import_module(f"harness.judge.criteria.{name}")
    order = {name: place for place, name in enumerate(CRITERIA)}
    return dict(sorted(_registry.items(), key=lambda item: order.get(item[1].info.criterion, len(order))))


# --- slices and views ------------------------------------------------------------------------------------------------


def views(evidence: Evidence, vendor: str) -> Iterator[tuple[By | None, View]]:
    """A vendor's views: of everything first (None), then slice by slice, each with what it is along."""
    whole = _whole(evidence, vendor)
    yield None, whole
    seen = whole.traffic
    plain = (By.CARRIER, By.PURPOSE, By.HOUR_BAND, By.CAMPAIGN, By.PROVINCE)
    for by in plain:
        for value in _values(seen, by.value):
            yield by, _narrow(whole, {by.value: value})
    for carrier in _values(seen, "carrier"):
        for purpose in _values(seen, "purpose"):
            yield By.CARRIER_PURPOSE, _narrow(whole, {"carrier": carrier, "purpose": purpose})
    for text in ("no", "yes"):
        if (seen["ported"] == (text == "yes")).sum() >= LEAST_CELL:
            yield By.PORTED, _narrow(whole, {"ported": text})
    for column in (name for name in seen.columns if name.startswith("tag.")):
        for value in _values(seen, column):
            yield By.TAGS, _narrow(whole, {column: value})
    for subject in sorted(set(whole.reviews["subject"].dropna())):
        yield By.SUBJECT, _narrow(whole, {"subject": subject})
    for expect in sorted(set(whole.messages["expect"].dropna()) - {""}):
        yield By.EXPECT, _narrow(whole, {"expect": expect})


def _values(frame: Frame, column: str) -> list[str]:
    if column not in frame.columns:
        return []
    counts = frame[column].value_counts()
    return sorted(str(value) for value, count in counts.items() if value != "" and count >= LEAST_CELL)


_UNUSED: Final = frozenset(
    {
        "planned_at", "intended_at", "vendor_message_id", "tries", "forwarder", "claimed_at", "forwarded_at",
        "handset_at", "report_source", "settled_by", "segments", "reconciled", "alive", "visit",
    }
)  # fmt: skip
"""Columns of `messages` that no measure asks for; leaving them out makes slicing cheaper."""


def _whole(evidence: Evidence, vendor: str) -> View:
    run = evidence.run
    papers = [paper for paper in dossier_of(run) if paper.vendor == vendor]

    def own(frame: Frame) -> Frame:
        kept = frame[[name for name in frame.columns if name not in _UNUSED]]
        return kept[(frame["vendor"] == vendor).to_numpy()]

    return View(
        run=run,
        entry=run.began.vendors[vendor],
        papers={paper.kind: paper for paper in papers},
        on=datetime.fromtimestamp(run.ended_at, UTC).astimezone(BEIJING).date(),
        slice={},
        messages=own(evidence.messages),
        reviews=own(evidence.reviews),
        probes=own(evidence.probes),
        records=own(evidence.records),
        statistics=own(evidence.statistics),
        replies=own(evidence.replies),
        content_checks=own(evidence.content_checks),
        failures=own(evidence.failures),
        others=evidence.messages[(evidence.messages["vendor"] != vendor).to_numpy()],
        planned=run.planned.get(vendor, frozenset()),
        skipped={skip.scenario: skip.because for skip in run.skipped if skip.vendor == vendor},
        seed=run.began.seed,
    )


def _narrow(whole: View, slice: Slice) -> View:
    def part(frame: Frame) -> Frame:
        keep = np.ones(len(frame), dtype=bool)
        for column, value in slice.items():
            if column in frame.columns:
                wanted: object = value == "yes" if column == "ported" else value
                keep &= (frame[column] == wanted).to_numpy()
        return frame[keep]

    narrowed = {"slice": slice, "messages": part(whole.messages), "reviews": part(whole.reviews)}
    same = {name: getattr(whole, name) for name in View.__dataclass_fields__}
    view = View(**(same | narrowed))
    # What the whole has worked out already is cut, not worked out again: half the time of judging.
    vars(view).update({name: part(getattr(whole, name)) for name in ("traffic", "accepted", "watched")})
    return view


def dossier_of(run: Run) -> tuple[Attestation, ...]:
    """The papers as they stood in the run's settings."""
    return tuple(from_plain(Attestation, paper) for paper in run.began.settings.get("dossier") or ())


def take(one: Measure, view: View) -> Told:
    """Take a measure; where nothing was there to measure, say whether the vendor lacks it or nobody asked."""
    raw = one.take(view)
    told = raw if isinstance(raw, Told) else Told(answer=raw)
    if isinstance(told.answer, NotEnough) and one.scenarios and not view.planned & set(one.scenarios):
        missing = [view.skipped[name] for name in one.scenarios if name in view.skipped]
        if len(missing) == len(one.scenarios):
            not_offered = missing[0].get("kind") == "not_offered"
            return Told(
                answer=Absent(
                    state=State.NOT_OFFERED if not_offered else State.INSUFFICIENT,
                    reason="not_offered" if not_offered else "not_yet_written",
                    values={"because": missing[0].get("because", "")},
                )
            )
        return Told(answer=Absent(state=State.INSUFFICIENT, reason="not_planned"))
    return told


# --- gates -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """A pass/fail line on a measure of a slice."""

    text: str
    measure: str
    relation: Literal[">=", ">", "<=", "<"]
    threshold: float  # in the measure's unit
    slice: Slice = field(default_factory=dict)
    legal: bool = False
    compares: bool = False  # a line on the change since the baseline: judged by compare, not here


_GATE: Final = re.compile(
    r"\s*(?P<compare>compare\()?\s*(?P<measure>[a-z][a-z0-9_.]*)\s*(?:\[(?P<inner>[^\]]*)\])?\s*\)?\s*"
    r"(?:\[(?P<slice>[^\]]*)\])?\s*"
    r"(?P<relation>>=|<=|>|<)\s*(?P<amount>[-+]?\d+(?:\.\d+)?)\s*(?P<unit>%|[A-Za-z]+)?\s*"
)
_UNITS: Final[Mapping[Unit, Mapping[str, float]]] = {
    Unit.SHARE: {"": 1.0, "%": 0.01},
    Unit.SECONDS: {"": 1.0, "ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "days": 86400.0},
    Unit.DAYS: {"": 1.0, "days": 1.0, "months": 30.0},
    Unit.CNY: {"": 1.0, "CNY": 1.0},
}
_PLAIN_UNITS: Final[Mapping[str, float]] = {"": 1.0}


def parse_gate(text: str, place: str, *, legal: bool = False) -> Gate:
    """Read "arrival.rate[carrier=china_unicom] >= 0.97". Raises ConfigError with the way out."""

    def wrong(problem: str, way_out: str) -> ConfigError:
        return ConfigError([Complaint(place=place, problem=problem, way_out=way_out)])

    found = _GATE.fullmatch(text)
    if not found:
        raise wrong(f"got the gate {text!r}", "Write it like  arrival.rate >= 0.97  or  latency.p95 <= 30 s.")
    id = found["measure"]
    if id not in measures():
        raise wrong(f"names the measure {id!r}, which there is not", _near(id))
    unit = measures()[id].info.unit
    factors = _UNITS.get(unit, _PLAIN_UNITS)
    if (found["unit"] or "") not in factors:
        units = ", ".join(name for name in factors if name) or "no unit"
        raise wrong(f"gives {id} in {found['unit']!r}", f"It is a {unit.value}; use {units}.")
    slice: dict[str, str] = {}
    for part in filter(None, (found["inner"] or found["slice"] or "").split(",")):
        key, equals, value = part.partition("=")
        if not equals or not key.strip() or not value.strip():
            raise wrong(f"got the slice {part!r}", "Write it like  [carrier=china_unicom].")
        slice[key.strip()] = value.strip()
    return Gate(
        text=text.strip(), measure=id, relation=found["relation"],  # type: ignore[arg-type]
        threshold=float(found["amount"]) * factors[found["unit"] or ""], slice=slice, legal=legal,
        compares=found["compare"] is not None,
    )  # fmt: skip


def _near(id: str) -> str:
    close = difflib.get_close_matches(id, measures(), 3, cutoff=0.5)
    return f"Did you mean {' or '.join(close)}?" if close else "See `smsbench measures` for all there are."


def parse_gates(texts: Iterable[str], place: str) -> tuple[Gate, ...]:
    """Read gates; every wrong one is told. Raises ConfigError."""
    complaints: list[Complaint] = []
    gates: list[Gate] = []
    for number, text in enumerate(texts):
        try:
            gates.append(parse_gate(text, f"{place}.{number}"))
        except ConfigError as error:
            complaints += error.complaints
    if complaints:
        raise ConfigError(complaints)
    return tuple(gates)


# --- reading criteria ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """Criteria with weights and scales, and their legal gates."""

    criteria: tuple[Criterion, ...]
    gates: tuple[Gate, ...]


def standard_criteria() -> Criteria:
    """The seven of 平台选择七维评估法, as shipped."""
    text = resources.files("harness.judge.criteria").joinpath("standard.yaml").read_text("utf-8")
    return read_criteria(locate(text, "standard.yaml", shipped=True))


def read_criteria(located: Located) -> Criteria:
    """Read criteria (form: standard.yaml). Raises ConfigError with everything that is wrong at once."""
    return _CriteriaReader(located).read()


@dataclass(slots=True)
class _CriteriaReader:
    located: Located
    complaints: list[Complaint] = field(default_factory=list)

    def complain(self, path: Path, problem: str, way_out: str) -> None:
        self.complaints.append(Complaint(place=self.located.place(path), problem=problem, way_out=way_out))

    def read(self) -> Criteria:
        top = self.located.value
        plain = top.get("criteria") if isinstance(top, dict) else None
        if not isinstance(plain, dict) or not plain:
            self.complain((), "holds no criteria", "Copy standard.yaml and change that.")
            raise ConfigError(self.complaints)
        criteria, gates = [], []
        for id, value in plain.items():
            criterion, own = self._criterion(id, value, ("criteria", id))
            criteria.append(criterion)
            gates += own
        total = sum(criterion.weight for criterion in criteria)
        if not self.complaints and abs(total - 100) > 0.05:
            self.complain(("criteria",), f"has weights that sum to {total:g}", "Let them sum to 100.")
        if self.complaints:
            raise ConfigError(self.complaints)
        return Criteria(criteria=tuple(criteria), gates=tuple(gates))

    def _criterion(self, id: str, value: Plain, path: Path) -> tuple[Criterion, list[Gate]]:
        if id not in CRITERIA:
            self.complain(path, f"{id!r} is no criterion", f"Use {', '.join(CRITERIA)}.")
        fields = self._mapping(value, path, {"weight", "gates", "members"})
        raw_members = fields.get("members", [])
        members: list[Member] = []
        for number, member in enumerate(raw_members if isinstance(raw_members, list) else []):
            if (read := self._member(member, (*path, "members", str(number)))) is not None:
                members.append(read)
        weight = self._number(fields.get("weight", "0"), (*path, "weight"))
        if weight > 0 and not members and not self.complaints:
            self.complain(path, "has a weight and no members", "Give it members, or the weight 0.")
        gates: list[Gate] = []
        raw_gates = fields.get("gates", [])
        for number, text in enumerate(raw_gates if isinstance(raw_gates, list) else [raw_gates]):
            try:
                gates.append(parse_gate(str(text), self.located.place((*path, "gates", str(number))), legal=True))
            except ConfigError as error:
                self.complaints += error.complaints
        ids = tuple(gate.text for gate in gates)
        return Criterion(id=id, weight=weight, members=tuple(members), gates=ids), gates

    def _member(self, value: Plain, path: Path) -> Member | None:
        fields = self._mapping(value, path, {"measure", "weight", "scale", "slice", "per", "when_absent"})
        id = str(fields.get("measure", ""))
        if id not in measures():
            self.complain((*path, "measure"), f"names {id!r}, which is no measure", _near(id))
            return None
        per = fields.get("per")
        if per is not None and per != "carrier":
            self.complain((*path, "per"), f"got {per!r}", "The only one is  per: carrier.")
        absent = fields.get("when_absent", "range")
        if absent not in ("range", "floor"):
            self.complain((*path, "when_absent"), f"got {absent!r}", "Write range or floor.")
        slice = fields.get("slice", {})
        return Member(
            measure=id,
            weight=self._number(fields.get("weight", "1"), (*path, "weight")),
            scale=self._scale(fields.get("scale", []), id, (*path, "scale")),
            slice={key: str(one) for key, one in slice.items()} if isinstance(slice, dict) else {},
            per="carrier" if per == "carrier" else None,
            when_absent="floor" if absent == "floor" else "range",
        )

    def _scale(self, value: Plain, id: str, path: Path) -> tuple[tuple[float, float], ...]:
        knots: list[tuple[float, float]] = []
        for number, pair in enumerate(value if isinstance(value, list) else []):
            if not isinstance(pair, list) or len(pair) != 2:
                self.complain((*path, str(number)), f"got {pair!r}", "Write pairs:  [0.95, 60].")
                continue
            knots.append(
                (
                    self._quantity(pair[0], measures()[id].info.unit, (*path, str(number))),
                    self._number(pair[1], (*path, str(number))),
                )
            )
        if len(knots) < 2:
            self.complain(
                path, "needs two anchor points or more", "Write it like  [[0.90, 0], [0.95, 60], [0.99, 100]]."
            )
        elif any(later[0] <= earlier[0] for earlier, later in pairwise(knots)):
            self.complain(
                path, "has anchor points that do not ascend", "Write them from the least value to the greatest."
            )
        elif any(not 0 <= score <= 100 for _, score in knots):
            self.complain(path, "has scores outside 0–100", "Scores run from 0 to 100.")
        return tuple(knots)

    def _mapping(self, value: Plain, path: Path, known: set[str]) -> dict[str, Plain]:
        if not isinstance(value, dict):
            self.complain(path, f"got {str(value)[:60]!r}", f"Write a mapping with {', '.join(sorted(known))}.")
            return {}
        for key in value.keys() - known:
            close = difflib.get_close_matches(key, known, 1)
            self.complain((*path, key), "is not known here", f"Did you mean {close[0]}?" if close else "Remove it.")
        return value

    def _quantity(self, value: Plain, unit: Unit, path: Path) -> float:
        found = re.fullmatch(r"\s*([-+]?\d+(?:\.\d+)?)\s*(%|[A-Za-z]*)\s*", str(value))
        factors = _UNITS.get(unit, _PLAIN_UNITS)
        if not found or found[2] not in factors:
            self.complain(path, f"got {value!r}", f"Write a number of {unit.value}.")
            return 0.0
        return float(found[1]) * factors[found[2]]

    def _number(self, value: Plain, path: Path) -> float:
        try:
            number = float(str(value))
        except ValueError:
            number = inf
        if not isfinite(number) or number < 0:
            self.complain(path, f"got {value!r}", "Write a number of 0 or more.")
            return 0.0
        return number


def criteria_of(run: Run) -> Criteria:
    """The criteria of the evaluation itself, or the standard ones. Raises ConfigError."""
    plain: Any = run.began.settings.get("criteria")
    return standard_criteria() if plain is None else read_criteria(Located("criteria", plain, {}))
