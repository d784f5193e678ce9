"""Findings as a reader sees them: value, interval, basis and picture, by vendor and carrier. Formatting, no judging.

A finding without a number keeps its state and reason; nothing is drawn for it but the hatching of the unknown.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from markupsafe import Markup

from harness.domain import Carrier, Purpose, State, Unit
from harness.judge.result import Finding, MeasureInfo, Note, Result, Slice
from harness.words import Value, Words
from reports import charts


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """A vendor as drawn: its name, the label of its account, and its place, which gives colour and marker."""

    label: str
    name: str
    place: int
    signet: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One finding, written out."""

    state: State
    known: bool
    value: str
    interval: str  # empty where the value is exact
    basis: str
    short: str  # the basis in brief: n and effective n
    reason: str
    picture: Markup | None
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    label: str
    signet: Markup | None = None
    left: str = ""  # what stands at the ends of the column's axis
    right: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    head: str
    party: Party | None
    cells: tuple[Figure | None, ...]
    about: str = ""
    left: str = ""  # what stands at the ends of the row's axis
    right: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """One measure: a row a vendor, a column a slice. Or several measures: a row each, a column a vendor."""

    measure: str
    title: str
    about: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    heads: tuple[str, ...]
    rows: tuple[tuple[str | Party, ...], ...]
    numbers: tuple[int, ...] = ()  # columns set flush right
    note: str = ""


@dataclass(frozen=True)
class Desk:
    """A result on the desk with the words to tell it: what every part of a report asks."""

    result: Result
    words: Words

    @cached_property
    def parties(self) -> tuple[Party, ...]:
        """Vendors in the order of their scorecards, then the rest."""
        order = [card.vendor for card in self.result.scorecards]
        order += [label for label in self.result.vendors if label not in order]
        return tuple(
            Party(label=label, name=self._name(label), place=place, signet=charts.signet(place))
            for place, label in enumerate(order)
        )

    def _name(self, label: str) -> str:
        info = self.result.vendors.get(label)
        if info is None or not info.name:
            return label
        name = info.name.get(self.words.language) or next(iter(info.name.values()))
        twins = sum(other.name == info.name for other in self.result.vendors.values())
        return f"{name} ({label})" if twins > 1 else name

    def party(self, label: str) -> Party:
        for party in self.parties:
            if party.label == label:
                return party
        return Party(label=label, name=label, place=len(self.parties), signet=charts.signet(len(self.parties)))

    @cached_property
    def _findings(self) -> Mapping[tuple[str, str, frozenset[tuple[str, str]]], Finding]:
        return {(f.vendor, f.measure, frozenset(f.slice.items())): f for f in self.result.findings}

    def finding(self, vendor: str, measure: str, slice: Slice) -> Finding | None:
        return self._findings.get((vendor, measure, frozenset(slice.items())))

    def slices(self, measure: str) -> Mapping[str, tuple[str, ...]]:
        """By which keys a measure's findings are split, one key at a time, and into what; carriers in their order."""
        found: dict[str, list[str]] = {}
        for finding in self.result.findings:
            if finding.measure == measure and len(finding.slice) == 1:
                ((key, value),) = finding.slice.items()
                if value not in found.setdefault(key, []):
                    found[key].append(value)
        order = [word.value for word in (*Carrier, *Purpose)]
        return {
            key: tuple(sorted(values, key=lambda value: (order.index(value) if value in order else len(order), value)))
            for key, values in found.items()
        }

    # --- words -------------------------------------------------------------------------------------------------------

    def note(self, note: Note | None) -> str:
        """A note's sentence, with vendors called by name."""
        if note is None:
            return ""
        if note.id.startswith("remark.") and "carrier" not in note.values and (numbers := self.numbers(note)):
            return self.words("remark.numbers", measure=self.measure(str(note.values["measure"])), numbers=numbers)
        values: dict[str, Value] = {
            key: self.party(value).name if isinstance(value, str) and value in self.result.vendors else value
            for key, value in note.values.items()
        }
        values |= self._in_unit(note)
        if isinstance(gate := note.values.get("gate"), str):
            values["gate"] = gate_title(self, gate)
        for id in (note.id, f"reason.{note.id}"):
            if id in self.words:
                return self.words.sentence(id, values)
        return self.words.sentence(note.id, values)

    def numbers(self, note: Note) -> str:
        """The value a note speaks of, with its interval: 98.6 % (97.3–99.7 %). Empty where it carries none."""
        told = self._in_unit(note)
        if "value" not in note.values and "low" not in note.values:
            return ""
        value = note.values.get("value")
        exact = note.values.get("low") == value == note.values.get("high")
        if exact and value in (0, 1) and self.unit(str(note.values.get("measure"))) is Unit.SHARE:
            return self.words("yes" if value else "no")
        return told["value"] if exact else f"{told['value']} ({told['interval']})" if told else ""

    def _in_unit(self, note: Note) -> dict[str, str]:
        """The numbers of a note about a measure, in its unit; limits that were not reached say so."""
        measure = note.values.get("measure")
        if not isinstance(measure, str) or measure not in self.result.measures:
            return {}
        unit, told = self.unit(measure), dict[str, str]()
        for key in ("value", "low", "high", "threshold"):
            value = note.values.get(key)
            if not isinstance(value, str):
                told[key] = self.words.value(value, unit)
        low, high = note.values.get("low"), note.values.get("high")
        if not isinstance(low, str) and not isinstance(high, str):
            told["interval"] = self.words.interval(low, high, unit)
        return told

    def measure(self, id: str) -> str:
        return self.words.name("measure", id)

    def about(self, id: str) -> str:
        """What a measure is and of what it is a share."""
        info = self.result.measures.get(id)
        parts = [self.words(f"measure.{id}.about")] if f"measure.{id}.about" in self.words else []
        if info is not None and info.denominator:
            parts.append(self.words("of_what", denominator=info.denominator))
        if info is not None and info.kpi:
            parts.append(self.words("kpi_name", kpi=info.kpi))
        return " ".join(parts)

    def slice(self, slice: Slice) -> str:
        """Which part of the traffic, in words: 中国移动、验证码."""
        if not slice:
            return self.words("all")
        return self.words.listed(self.slice_value(key, value) for key, value in slice.items())

    def slice_value(self, key: str, value: str) -> str:
        for vocabulary in (key, f"slice.{key}"):
            if f"{vocabulary}.{value}" in self.words:
                return self.words(f"{vocabulary}.{value}")
        return f"{self.words.name('slice', key)} {value}"

    def unit(self, measure: str) -> Unit:
        info = self.result.measures.get(measure)
        return Unit.RATIO if info is None else info.unit

    def carrier(self, carrier: Carrier | None) -> str:
        return self.words("all_carriers") if carrier is None else self.words.name("carrier", carrier)

    def table(
        self, heads: Sequence[str], rows: Sequence[tuple[str | Party, ...]], numbers: Sequence[int] = (), note: str = ""
    ) -> Table:
        """Rows under heads whose ids are given without their `head.`; `numbers` are the columns set flush right."""
        named = tuple(self.words(f"head.{head}") for head in heads)
        return Table(heads=named, rows=tuple(rows), numbers=tuple(numbers), note=note)

    # --- findings ----------------------------------------------------------------------------------------------------

    def figure(self, finding: Finding | None, ends: tuple[float, float] | None = None) -> Figure | None:
        """A finding written out; with `ends` of an axis it is drawn as well. None: there is no such finding."""
        if finding is None:
            return None
        place = self.party(finding.vendor).place
        estimate, unit = finding.estimate, self.unit(finding.measure)
        reason = self.note(finding.reason)
        evidence = self.evidence(finding.evidence, finding.evidence_count)
        if estimate is None:
            text = self.words.name("state", finding.state)
            picture = charts.interval(None, place, 0, 1) if ends else None
            return Figure(
                state=finding.state, known=False, value=text, interval="", basis="", short="", reason=reason,
                picture=picture, evidence=evidence,
            )  # fmt: skip
        exact = estimate.value is not None and estimate.low == estimate.value == estimate.high
        value = self.words.value(estimate.value, unit)
        if exact and unit is Unit.SHARE and estimate.value in (0, 1) and estimate.handsets is None:
            value = self.words("yes" if estimate.value else "no")
        interval = "" if exact else self.words.interval(estimate.low, estimate.high, unit)
        bar = charts.Bar(estimate.value, estimate.low, estimate.high)
        return Figure(
            state=finding.state,
            known=True,
            value=value,
            interval=interval,
            basis=" · ".join(self.basis(finding)),
            short=" · ".join(self.basis(finding)[:2]),
            reason=reason,
            picture=charts.interval(bar, place, *ends) if ends and not exact else None,
            evidence=evidence,
        )

    def basis(self, finding: Finding) -> list[str]:
        """On how much a value rests: n, effective n, handsets, days, and for whom it speaks."""
        estimate, words = finding.estimate, self.words
        if estimate is None:
            return []
        if finding.state is State.ATTESTED:
            return [words("state.attested")]
        parts = [f"n {words.count(estimate.n)}"]
        if round(estimate.n_eff) != estimate.n:
            parts.append(words("basis.effective", n_eff=words.count(round(estimate.n_eff, 1))))
        if estimate.handsets is not None:
            parts.append(words("basis.handsets", n=estimate.handsets))
        if estimate.days is not None:
            parts.append(words.days(estimate.days))
        parts.append(words.name("scope", estimate.scope))
        return parts

    def evidence(self, ids: Sequence[str], count: int = 0, most: int = 3) -> str:
        """The first few case ids, and how many there are in all."""
        if not ids:
            return ""
        shown, of = ", ".join(ids[:most]), max(count, len(ids))
        return shown if of <= most else self.words("evidence.first", ids=shown, count=of)

    def ends(self, measure: str, findings: Iterable[Finding]) -> tuple[float, float]:
        """The ends of an axis on which all of these find room."""
        estimates = [f.estimate for f in findings if f.estimate is not None]
        known = [x for e in estimates for x in (e.value, e.low, e.high) if x is not None]
        lows = [e.low for e in estimates if e.low is not None]
        if self.unit(measure) is Unit.SHARE:
            return charts.share_ends(lows, [e.high for e in estimates if e.high is not None])
        return 0.0, charts.span_end(known) if self.unit(measure) is Unit.SECONDS else charts.round_end(known)

    def by_slice(self, measure: str, key: str) -> Matrix:
        """A measure for every vendor, on all traffic and on each value of one slice."""
        values = self.slices(measure).get(key, ())
        every: list[Slice] = [] if key == "purpose" else [{}]  # the whole stands beside the carriers already
        wanted = [*every, *({key: value} for value in values)]
        found = [[self.finding(party.label, measure, slice) for slice in wanted] for party in self.parties]
        ends = self.ends(measure, (f for row in found for f in row if f is not None))
        unit = self.unit(measure)
        left, right = (self.words.value(end, unit) for end in ends)
        return Matrix(
            measure=measure,
            title=self.words("title.by", measure=self.measure(measure), by=self.words.name("slice", key)),
            about=self.about(measure),
            columns=tuple(Column(label=self.slice(slice), left=left, right=right) for slice in wanted),
            rows=tuple(
                Row(head=party.name, party=party, cells=tuple(self.figure(f, ends) for f in row))
                for party, row in zip(self.parties, found, strict=True)
            ),
        )

    def by_vendor(self, measures: Sequence[str], drawn: Container[str] = ()) -> Matrix:
        """Several measures on all traffic: a row a measure, a column a vendor; some are drawn as well."""
        return Matrix(
            measure="",
            title="",
            about="",
            columns=tuple(Column(label=party.name, signet=party.signet) for party in self.parties),
            rows=tuple(self._row(measure, drawn=measure in drawn) for measure in measures),
        )

    def _row(self, measure: str, *, drawn: bool) -> Row:
        found = [self.finding(party.label, measure, {}) for party in self.parties]
        estimates = [f.estimate for f in found if f is not None and f.estimate is not None]
        drawn = drawn and any(estimate.low != estimate.high for estimate in estimates)
        ends = self.ends(measure, (f for f in found if f is not None)) if drawn else None
        left, right = (self.words.value(end, self.unit(measure)) for end in ends) if ends else ("", "")
        return Row(
            head=self.measure(measure), party=None, about=self.about(measure), left=left, right=right,
            cells=tuple(self.figure(f, ends) for f in found),
        )  # fmt: skip

    def column(self, slice: Slice) -> Column:
        return Column(label=self.slice(slice))

    def measures_of(self, criterion: str) -> list[str]:
        """A criterion's measures that have a finding, in the document's order."""
        told = {finding.measure for finding in self.result.findings}
        return [id for id, info in self.result.measures.items() if info.criterion == criterion and id in told]

    def info(self, measure: str) -> MeasureInfo | None:
        return self.result.measures.get(measure)


# --- reading what a person wrote -------------------------------------------------------------------------------------

_GATE: Final = re.compile(
    r"\s*(?P<compare>compare\()?\s*(?P<measure>[a-z][a-z0-9_.]*)\s*(?:\[(?P<inner>[^\]]*)\])?\s*\)?\s*"
    r"(?:\[(?P<slice>[^\]]*)\])?\s*"
    r"(?P<relation>>=|<=|>|<)\s*(?P<amount>[-+]?\d+(?:\.\d+)?)\s*(?P<unit>%|[A-Za-z]+)?\s*"
)
_SECONDS: Final = {
    "ms": 0.001, "s": 1.0, "seconds": 1.0, "min": 60.0, "minutes": 60.0, "h": 3600.0, "hours": 3600.0, "d": 86400.0,
    "days": 86400.0,
}  # fmt: skip
_RELATION: Final = {">=": "≥", "<=": "≤", ">": ">", "<": "<"}


def gate_title(desk: Desk, text: str) -> str:
    """A gate in words: 到达率 ≥ 97 %. A legal gate's id has words of its own; what cannot be read stands as written."""
    for vocabulary in ("gate", "document", "measure"):
        if f"{vocabulary}.{text}" in desk.words:
            return desk.words(f"{vocabulary}.{text}")
    found = _GATE.fullmatch(text)
    if found is None:
        return text
    measure, amount, unit = found["measure"], float(found["amount"]), found["unit"]
    limit = f"{found['amount']} {unit or ''}"
    if unit in _SECONDS:
        limit = desk.words.duration(amount * _SECONDS[unit])
    if not unit and desk.unit(measure) is Unit.SHARE and not found["compare"]:
        limit = desk.words.share(amount)
    name = desk.measure(measure)
    if unit is None and amount == 1 and found["relation"] == ">=" and desk.unit(measure) is Unit.SHARE:
        return name  # a yes-or-no measure: its name says it all
    if part := found["inner"] or found["slice"]:
        name = f"{name} ({_slice_written(desk, part)})"
    if found["compare"]:
        name = desk.words("gate.compare", measure=name)
    return f"{name} {_RELATION[found['relation']]} {limit.strip()}"


def _slice_written(desk: Desk, written: str) -> str:
    parts = (part.partition("=") for part in written.split(","))
    return desk.words.listed(
        desk.slice_value(key.strip(), value.strip()) if value else desk.words.name("carrier", key.strip())
        for key, _, value in parts
    )
