"""The report: one self-contained HTML page without a script, that opens offline, prints on A4 and mails well.

Everything in it is formatting of the result document; what the document does not know is said to be unknown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from jinja2 import PackageLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from harness.judge.result import Mark, Result, Scorecard
from harness.words import Words
from reports import charts
from reports.appendix import Appendix
from reports.contract import Contract
from reports.figures import Desk, Matrix, Party, gate_title
from reports.paired import Paired
from reports.panels import Group, Panels

FEATURED: Final = (
    "arrival.rate", "delivery.rate", "false_receipt.rate", "missing_receipt.rate", "latency.p50", "latency.p99",
    "latency.within_60_s", "stability.availability", "stability.bad_hour", "cost.per_arrived", "review.time.p50",
    "review.within_5_min",
)  # fmt: skip
"""Measures drawn with pictures, and by carrier, even when they carry no weight."""
_BLANK_LINES: Final = re.compile(r"\n\s*\n")
SHOWN_SLICES: Final = ("carrier", "subject", "expect")
"""What drawn measures are split by; arrival by purpose as well; all other slices stand in the CSV."""


def render(result: Result, words: Words) -> bytes:
    """The report in the language of `words`, as UTF-8 HTML."""
    return page("report.html.j2", Desk(result, words)).encode()


def page(template: str, desk: Desk, **more: Any) -> str:
    """A template filled from a desk. Layout only happens there; all it shows is made here."""
    shown = {
        "desk": desk, "result": desk.result, "words": desk.words, "view": View(desk), "appendix": Appendix(desk),
        "contract": Contract(desk), "paired": Paired(desk),
    }  # fmt: skip
    return filled(template, **shown, definitions=charts.DEFINITIONS, **more)


def filled(template: str, **shown: Any) -> str:
    """A template of this room with what it shows."""
    return _BLANK_LINES.sub("\n", _environment().get_template(template).render(**shown))


@cache
def _environment() -> ImmutableSandboxedEnvironment:
    return ImmutableSandboxedEnvironment(
        loader=PackageLoader("reports", "templates"), undefined=StrictUndefined, autoescape=True,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip


# --- what a page shows -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkCell:
    """A mark as drawn. `score` is empty where only the band is known."""

    party: Party
    score: str
    band: str
    source: str
    source_word: str
    picture: Markup
    reason: str
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreRow:
    id: str
    title: str
    weight: str
    cells: tuple[MarkCell | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictLine:
    party: Party
    standing: str
    standing_word: str
    sentence: str
    overall: MarkCell
    first: str
    first_picture: Markup | None
    adapter: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GateCell:
    party: Party
    verdict: str
    word: str
    value: str
    reason: str
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRow:
    title: str
    text: str
    legal: bool
    cells: tuple[GateCell | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRow:
    title: str
    weight: str
    scale: str
    absent: str
    cells: tuple[MarkCell | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    id: str
    title: str
    about: str
    weight: str
    marks: tuple[MarkCell, ...]
    members: tuple[MemberRow, ...]
    groups: tuple[Group, ...]
    matrices: tuple[Matrix, ...]
    others: Matrix | None


class View:
    """The parts of a page, each worked out when a template asks for it."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.result, self.words = desk, desk.result, desk.words

    # --- top of the page ---------------------------------------------------------------------------------------------

    @property
    def is_sandbox(self) -> bool:
        return self.result.run.mode == "sandbox"

    def facts(self) -> list[tuple[str, str]]:
        """The masthead's small print."""
        run, words = self.result.run, self.words
        ended = words.moment(run.ended) if run.ended else words("run.open")
        return [
            (words("run.mode"), words.name("mode", run.mode)),
            (words("run.began"), words.moment(run.began)),
            (words("run.ended"), ended),
            (words("run.id"), run.id),
            (words("run.ledger"), f"{run.ledger_digest[:12]}…"),
            (words("run.software"), self.software),
        ]

    @property
    def software(self) -> str:
        version = self.result.run.software
        return f"smsbench {version}" if version[:1].isdigit() else version

    def verdicts(self) -> list[VerdictLine]:
        return [self.verdict(card) for card in self.result.scorecards]

    def verdict(self, card: Scorecard) -> VerdictLine:
        words, party = self.words, self.desk.party(card.vendor)
        info = self.result.vendors.get(card.vendor)
        standing = info.standing if info else ""
        first = words.share(card.p_first) if card.p_first is not None else ""
        return VerdictLine(
            party=party,
            standing=card.standing,
            standing_word=words.name("ranking", card.standing),
            sentence=self.desk.note(card.verdict),
            overall=self._mark_cell(party, card.overall, card.low, card.high, width=220),
            first=words("p_first", p=first) if first else words("p_first.none"),
            first_picture=None if card.p_first is None else charts.part(card.p_first, party.place),
            adapter=words.name("standing", standing),
        )

    def order(self) -> list[str]:
        """Groups, best first, as sentences: who stands where, and who cannot be told apart."""
        words, sentences = self.words, []
        groups = sorted({card.group for card in self.result.scorecards if card.group is not None})
        for group in groups:
            names = [self.desk.party(card.vendor).name for card in self.result.scorecards if card.group == group]
            id = "order.one" if len(names) == 1 else "order.several"
            sentences.append(words(id, group=group, vendors=words.listed(names)))
        out = [self.desk.party(c.vendor).name for c in self.result.scorecards if c.standing == "excluded"]
        if out:
            sentences.append(words("order.excluded", vendors=words.listed(out)))
        return sentences

    def flips(self) -> list[str]:
        """For each pair the smallest change of weights that would turn it round, in words."""
        words, sentences = self.words, []
        for flip in self.result.flips:
            leader, challenger = self.desk.party(flip.leader).name, self.desk.party(flip.challenger).name
            if flip.moved is None:
                sentences.append(words("flip.never", leader=leader, challenger=challenger))
                continue
            up = [self._moved(id, f"+{words.points(x)}") for id, x in flip.changes.items() if x > 0]
            down = [self._moved(id, f"−{words.points(-x)}") for id, x in flip.changes.items() if x < 0]
            sentences.append(
                words(
                    "flip.some", leader=leader, challenger=challenger, moved=words.points(flip.moved),
                    up=words.listed(up), down=words.listed(down),
                )
            )  # fmt: skip
        return sentences

    def _moved(self, criterion: str, points: str) -> str:
        return f"{self.words.name('criterion', criterion)} {points}"

    # --- scorecard ---------------------------------------------------------------------------------------------------

    def scores(self) -> list[ScoreRow]:
        """Criteria with a weight × vendors."""
        rows = []
        for criterion in self.result.criteria:
            if not criterion.weight:
                continue
            cells = tuple(self._cell_of(party.label, criterion.id) for party in self.desk.parties)
            title = self.numbered(criterion.id)
            rows.append(
                ScoreRow(id=criterion.id, title=title, weight=self.words.points(criterion.weight), cells=cells)
            )  # fmt: skip
        return rows

    def numbered(self, criterion: str) -> str:
        """A criterion's title with its number; what stands beside the weighted ones has none."""
        weighted = [c.id for c in self.result.criteria if c.weight]
        name = self.words.name("criterion", criterion)
        return f"{weighted.index(criterion) + 1} {name}" if criterion in weighted else name

    def overall(self) -> list[MarkCell | None]:
        cards = {card.vendor: card for card in self.result.scorecards}
        return [
            self._mark_cell(party, card.overall, card.low, card.high) if (card := cards.get(party.label)) else None
            for party in self.desk.parties
        ]

    def _mark(self, vendor: str, criterion: str) -> Mark | None:
        marks = (mark for card in self.result.scorecards if card.vendor == vendor for mark in card.marks)
        return next((mark for mark in marks if mark.criterion == criterion), None)

    def _cell_of(self, vendor: str, criterion: str) -> MarkCell | None:
        mark = self._mark(vendor, criterion)
        return None if mark is None else self.mark_of(vendor, mark)

    def mark_of(self, vendor: str, mark: Mark) -> MarkCell:
        return self._mark_cell(
            self.desk.party(vendor), mark.score, mark.low, mark.high, source=mark.source,
            reason=self.desk.note(mark.reason), evidence=self.desk.evidence(mark.evidence),
        )  # fmt: skip

    def _mark_cell(
        self, party: Party, score: float | None, low: float, high: float, *, source: str = "", reason: str = "",
        evidence: str = "", width: int = 130,
    ) -> MarkCell:  # fmt: skip
        words = self.words
        told = words.points(score) if score is not None else ""
        band = (
            words("band", band=f"{words.points(low)}–{words.points(high)}")
            if words.points(low) != words.points(high)
            else words("band.exact")
        )
        return MarkCell(
            party=party, score=told, band=band, source=source, reason=reason, evidence=evidence,
            source_word=words.name("source", source) if source else "",
            picture=charts.mark(score, low, high, party.place, width),
        )  # fmt: skip

    # --- gates -------------------------------------------------------------------------------------------------------

    def gates(self) -> list[GateRow]:
        """Gates × vendors."""
        rows: dict[str, dict[str, GateCell]] = {}
        legal: set[str] = set()
        for gate in self.result.gates:
            if gate.legal:
                legal.add(gate.text)
            rows.setdefault(gate.text, {})[gate.vendor] = GateCell(
                party=self.desk.party(gate.vendor),
                value=self.desk.numbers(gate.reason),
                verdict=gate.verdict,
                word=self.words.name("verdict", gate.verdict),
                reason=self.desk.note(gate.reason),
                evidence=self.desk.evidence(gate.evidence),
            )
        return [
            GateRow(
                title=gate_title(self.desk, text),
                text=text,
                legal=text in legal,
                cells=tuple(cells.get(party.label) for party in self.desk.parties),
            )
            for text, cells in sorted(rows.items(), key=lambda row: row[0] not in legal)
        ]

    # --- criteria ----------------------------------------------------------------------------------------------------

    def sections(self) -> list[Section]:
        """One for each criterion of the document, in its order, then for what has findings but no criterion."""
        ids = [criterion.id for criterion in self.result.criteria]
        ids += sorted({info.criterion for info in self.result.measures.values()} - set(ids))
        return [self._section(id) for id in ids]

    def _section(self, id: str) -> Section:
        desk, words = self.desk, self.words
        criterion = next((c for c in self.result.criteria if c.id == id), None)
        weighted = {member.measure for member in criterion.members} if criterion else set()
        matrices, rest = [], []
        for measure in desk.measures_of(id):
            split = desk.slices(measure) if measure in weighted or measure in FEATURED else {}
            keys = [key for key in SHOWN_SLICES if key in split]
            keys += ["purpose"] if measure == "arrival.rate" and "purpose" in split else []
            matrices += [desk.by_slice(measure, key) for key in keys]
            if not keys:
                rest.append(measure)
        marks = [self._cell_of(party.label, id) for party in desk.parties]
        weight = words.points(criterion.weight) if criterion and criterion.weight else ""
        return Section(
            id=id,
            title=self.numbered(id),
            about=words(f"criterion.{id}.about") if f"criterion.{id}.about" in words else "",
            weight=weight,
            marks=tuple(mark for mark in marks if mark is not None),
            members=self._members(id),
            groups=tuple(group for group in Panels(self.desk).groups(id) if group.panels or group.table),
            matrices=tuple(matrices),
            others=desk.by_vendor(rest, weighted | set(FEATURED)) if rest else None,
        )

    def _members(self, id: str) -> tuple[MemberRow, ...]:
        """How a criterion's marks came: each member's weight and scale, and every vendor's score on it."""
        words, rows = self.words, []
        criterion = next((c for c in self.result.criteria if c.id == id), None)
        for place, member in enumerate(criterion.members if criterion else ()):
            unit = self.desk.unit(member.measure)
            title = self.desk.measure(member.measure)
            if member.slice:
                title = f"{title} ({self.desk.slice(member.slice)})"
            if member.per:
                title = f"{title} ({words('member.per', per=words.name('slice', member.per))})"
            cells: list[MarkCell | None] = []
            for party in self.desk.parties:
                mark = self._mark(party.label, id)
                score = mark.members[place] if mark and place < len(mark.members) else None
                cells.append(
                    None if score is None
                    else self._mark_cell(party, score.score, score.low, score.high, source=score.source, width=90)
                )  # fmt: skip
            rows.append(
                MemberRow(
                    title=title,
                    weight=words.points(member.weight),
                    scale=" · ".join(f"{words.value(x, unit)} → {words.points(score)}" for x, score in member.scale),
                    absent=words(f"member.absent.{member.when_absent}"),
                    cells=tuple(cells),
                )
            )
        return tuple(rows)
