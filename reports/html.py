"""The report: one self-contained HTML page without a script, that opens offline, prints on A4 and mails well.

Everything in it is formatting of the result document; what the document does not know is said to be unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final

from jinja2 import PackageLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from harness.domain import BEIJING, Carrier, State
from harness.judge.result import Curve, Finding, Mark, Result, ReviewEntry, Scorecard, Series
from harness.words import Words
from reports import charts
from reports.figures import Desk, Matrix, Party, gate_title

FEATURED: Final = (
    "arrival.rate", "delivery.rate", "false_receipt.rate", "missing_receipt.rate", "acceptance.rate", "latency.p50",
    "latency.p90", "latency.p99", "latency.within_60_s", "stability.availability", "stability.bad_hour",
    "sender.tri_network", "cost.per_arrived", "review.time.p50", "review.within_5_min",
)  # fmt: skip
"""Measures drawn with pictures, and by carrier, even when they carry no weight."""
SHOWN_SLICES: Final = ("carrier", "subject", "expect")
"""What drawn measures are split by, and weighted ones by purpose as well; all other slices stand in the CSV."""
MOST_REVIEWS: Final = 40  # rows in the table of reviews; all of them stand in the document
FIVE_MINUTES: Final = 5.0


def render(result: Result, words: Words) -> bytes:
    """The report in the language of `words`, as UTF-8 HTML."""
    return page("report.html.j2", Desk(result, words)).encode()


def page(template: str, desk: Desk, **more: Any) -> str:
    """A template filled from a desk. Layout only happens there; all it shows is made here."""
    made = _environment().get_template(template)
    return made.render(
        desk=desk, result=desk.result, words=desk.words, definitions=charts.DEFINITIONS, view=View(desk), **more
    )


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
class Panel:
    title: str
    picture: Markup
    party: Party | None = None
    about: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Panels that belong together, with what to see in them."""

    title: str
    about: str
    panels: tuple[Panel, ...]
    legend: str = ""  # "vendors", "claims", "shades"
    table: Table | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    heads: tuple[str, ...]
    rows: tuple[tuple[str | Party, ...], ...]
    numbers: tuple[int, ...] = ()  # columns set flush right
    note: str = ""


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
            (words("run.software"), run.software),
        ]

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
        band = words("band", band=f"{words.points(low)}–{words.points(high)}") if low != high else words("band.exact")
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
            keys += ["purpose"] if measure in weighted and "purpose" in split else []
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
            groups=tuple(group for group in self._groups(id) if group.panels or group.table),
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

    def _groups(self, id: str) -> list[Group]:
        match id:
            case "licence":
                return [self._senders()]
            case "stability":
                return [self._hours(), self._strips()]
            case "review":
                return [self._reviews()]
            case "arrival":
                return [self._claims(), self._curves(), self._funnels()]
            case "cost":
                return [self._prices()]
        return []

    # --- pictures ----------------------------------------------------------------------------------------------------

    def _carrier(self, carrier: Carrier | None) -> str:
        return self.words("all_carriers") if carrier is None else self.words.name("carrier", carrier)

    def _series(self, along: str) -> list[Series]:
        """Series of arrival by carrier where there are such, in the order of vendors and carriers."""
        found = [s for s in self.result.series if s.along == along and s.measure == "arrival.rate" and s.cells]
        split = {s.vendor for s in found if s.carrier is not None}
        found = [s for s in found if s.carrier is not None or s.vendor not in split]
        carriers = [None, *Carrier]
        return sorted(found, key=lambda s: (self.desk.party(s.vendor).place, carriers.index(s.carrier)))

    def _senders(self) -> Group:
        words = self.words
        rows = tuple(
            (self.desk.party(one.vendor), self._carrier(one.carrier), cell.key, words.count(cell.n))
            for one in self.result.series
            if one.along == "sender"
            for cell in one.cells
        )
        table = self._table(("vendor", "carrier", "sender", "seen"), rows, numbers=(3,)) if rows else None
        return Group(title=words("chart.senders"), about=words("chart.senders.about"), panels=(), table=table)

    def _hours(self) -> Group:
        words, series = self.words, self._series("hour_of_day")
        lows = [c.estimate.low for s in series for c in s.cells if c.estimate and c.estimate.low is not None]
        low, _ = charts.share_ends(lows, [1.0])
        up = charts.ticks((low, (low + 1) / 2, 1.0), words.share)
        told = [int(c.key) for s in series for c in s.cells if c.estimate is not None and c.key.isdigit()]
        across = _hour_ticks(told)
        panels = []
        for one in series:
            party = self.desk.party(one.vendor)
            cells = [
                (int(cell.key), charts.Bar(cell.estimate.value, cell.estimate.low, cell.estimate.high))
                for cell in one.cells
                if cell.estimate is not None and cell.key.isdigit()
            ]
            n = words("panel.n", n=sum(cell.n for cell in one.cells))
            title = f"{party.name} · {self._carrier(one.carrier)}"
            picture = charts.hours(cells, party.place, low, up, across, f"{words('chart.hours')}: {title}")
            panels.append(Panel(title=self._carrier(one.carrier), party=party, picture=picture, about=n))
        return Group(title=words("chart.hours"), about=words("chart.hours.about"), panels=tuple(panels))

    def _strips(self) -> Group:
        words, panels = self.words, []
        series = self._series("hour")
        told = [_beijing(cell.key) for one in series for cell in one.cells if cell.n]
        across = _hour_ticks([when.hour for when in told if when is not None])
        for one in series:
            party = self.desk.party(one.vendor)
            whens = {cell.key: _beijing(cell.key) for cell in one.cells}
            known = sorted({when.date() for when in whens.values() if when is not None})
            if not known:
                continue
            days = [known[0] + timedelta(days=day) for day in range((known[-1] - known[0]).days + 1)]
            shares: dict[tuple[int, int], float | None] = {}
            for cell in one.cells:
                if (when := whens[cell.key]) is not None and cell.n:
                    value = cell.estimate.value if cell.estimate is not None else None
                    shares[(when.date() - days[0]).days, when.hour] = value
            down = [
                piece
                for outage in self.result.outages
                if outage.vendor == one.vendor and (outage.carrier is None or outage.carrier == one.carrier)
                for piece in _pieces(outage.began, outage.ended or self.result.run.ended, days[0], len(days))
            ]
            title = f"{words('chart.strip')}: {party.name} · {self._carrier(one.carrier)}"
            picture = charts.strip([f"{day:%m-%d}" for day in days], shares, down, across, title)
            n = words("panel.n", n=sum(cell.n for cell in one.cells))
            panels.append(Panel(title=self._carrier(one.carrier), party=party, picture=picture, about=n))
        return Group(
            title=words("chart.strip"), about=words("chart.strip.about"), panels=tuple(panels), legend="shades",
            table=self._outages(),
        )  # fmt: skip

    def _outages(self) -> Table | None:
        words = self.words
        rows = tuple(
            (
                self.desk.party(outage.vendor),
                self._carrier(outage.carrier),
                words.bare_moment(outage.began),
                words.bare_moment(outage.ended) if outage.ended else words("outage.open"),
                words("outage.missed", missed=outage.missed, sent=outage.sent),
                self.desk.evidence(outage.evidence),
            )
            for outage in self.result.outages
        )
        heads = ("vendor", "carrier", "outage.began", "outage.ended", "outage.lost", "evidence")
        return self._table(heads, rows) if rows else None

    def _table(
        self, heads: Sequence[str], rows: Sequence[tuple[str | Party, ...]], numbers: Sequence[int] = (), note: str = ""
    ) -> Table:
        named = tuple(self.words(f"head.{head}") for head in heads)
        return Table(heads=named, rows=tuple(rows), numbers=tuple(numbers), note=note)

    def _reviews(self) -> Group:
        words, panels = self.words, []
        most = max((max(entry.minutes or 0, entry.open_for) for entry in self.result.reviews), default=60.0)
        across = charts.ticks((1, 60, 1440, 10080), words.minutes)
        keep = next((place for place, tick in enumerate(across) if tick.at >= most), len(across) - 1)
        across = across[: max(keep, 1) + 1]
        line = charts.Tick(FIVE_MINUTES, words("chart.review.line"))
        for party in self.desk.parties:
            entries = [entry for entry in self.result.reviews if entry.vendor == party.label]
            if not entries:
                continue
            dots = [
                (
                    entry.minutes if entry.minutes is not None else entry.open_for,
                    entry.minutes is None,
                    "faulty" if entry.fault else "compliant",
                )
                for entry in entries
            ]
            waiting = sum(entry.minutes is None for entry in entries)
            about = words("panel.reviews", n=len(entries), open=waiting)
            picture = charts.reviews(dots, party.place, across, line, f"{words('chart.review')}: {party.name}")
            panels.append(Panel(title=party.name, party=party, picture=picture, about=about))
        return Group(
            title=words("chart.review"), about=words("chart.review.about"), panels=tuple(panels), legend="lanes",
            table=self._review_table(),
        )  # fmt: skip

    def _review_table(self) -> Table | None:
        words = self.words

        def telling(entry: ReviewEntry) -> tuple[int, bool, float]:
            return self.desk.party(entry.vendor).place, entry.minutes is not None, -entry.open_for

        told = (entry for entry in self.result.reviews if entry.minutes is None or entry.verdict != "approved")
        entries = sorted(told, key=telling)
        rows = tuple(
            (
                self.desk.party(entry.vendor),
                entry.case,
                words.name("subject", entry.subject),
                words("review.compliant") if entry.fault is None else words.name("fault", entry.fault),
                words.minutes(entry.minutes) if entry.minutes is not None
                else words("review.open_for", span=words.minutes(entry.open_for)),
                words.name("review_verdict", entry.verdict) if entry.verdict else words("review.open"),
                entry.reason,
            )
            for entry in entries[:MOST_REVIEWS]
        )  # fmt: skip
        note = words("table.reviews", shown=len(rows), n=len(self.result.reviews))
        heads = ("vendor", "case", "subject", "review.draft", "review.time", "review.verdict", "review.reason")
        return self._table(heads, rows, note=note) if rows else None

    def _claims(self) -> Group:
        words, panels = self.words, []
        carriers = self.desk.slices("arrival.rate").get("carrier", ())
        values: tuple[dict[str, str], ...] = tuple({"carrier": value} for value in carriers) or ({},)
        pairs = [
            [
                (party.place, self._bar(party, "delivery.rate", slice), self._bar(party, "arrival.rate", slice))
                for party in self.desk.parties
            ]
            for slice in values
        ]
        lows = [b.low for rows in pairs for _, *both in rows for b in both if b is not None and b.low is not None]
        low, _ = charts.share_ends(lows, [1.0])
        across = charts.ticks((low, (low + 1) / 2, 1.0), words.share)
        for slice, rows in zip(values, pairs, strict=True):
            if all(claimed is None and seen is None for _, claimed, seen in rows):
                continue
            title = self._carrier(Carrier(slice["carrier"])) if slice else words("all_carriers")
            picture = charts.claimed_and_seen(rows, low, across, f"{words('chart.claims')}: {title}")
            panels.append(Panel(title=title, picture=picture))
        return Group(
            title=words("chart.claims"), about=words("chart.claims.about"), panels=tuple(panels), legend="claims"
        )

    def _bar(self, party: Party, measure: str, slice: dict[str, str]) -> charts.Bar | None:
        finding = self.desk.finding(party.label, measure, slice)
        if finding is None or finding.estimate is None:
            return None
        return charts.Bar(finding.estimate.value, finding.estimate.low, finding.estimate.high)

    def _curves(self) -> Group:
        words, panels = self.words, []
        curves = [curve for curve in self.result.curves if curve.points]
        whole = [curve for curve in curves if curve.purpose is None]
        split = any(curve.carrier is not None for curve in whole)
        chosen = [curve for curve in whole if curve.carrier is not None or not split] or curves
        most = max((curve.horizon for curve in chosen), default=600.0)
        marks = [1.0, 10.0, 60.0, 600.0, 3600.0, 86400.0]
        end = next((at for at in marks if at >= most), marks[-1])
        across = [charts.Tick(at, words.duration(at) if at not in (10.0, 60.0) else "") for at in marks if at <= end]
        up = charts.ticks((0.0, 0.5, 1.0), words.share)
        lines = charts.ticks((5.0, 10.0, 60.0), words.seconds)
        kinds = sorted({(c.carrier or "", c.purpose or "") for c in chosen}, key=lambda kind: self._kind_order(*kind))
        for carrier, purpose in kinds:
            mine = [c for c in chosen if (c.carrier or "") == carrier and (c.purpose or "") == purpose]
            mine.sort(key=lambda curve: self.desk.party(curve.vendor).place)
            title = self._carrier(Carrier(carrier) if carrier else None)
            if purpose:
                title = f"{title} · {words.name('purpose', purpose)}"
            drawn = [(self.desk.party(c.vendor).place, c.points, c.horizon) for c in mine]
            picture = charts.curves(drawn, across, up, lines, f"{words('chart.curves')}: {title}")
            panels.append(Panel(title=title, picture=picture, about=self._curve_counts(mine)))
        return Group(
            title=words("chart.curves"), about=words("chart.curves.about"), panels=tuple(panels), legend="vendors"
        )

    def _kind_order(self, carrier: str, purpose: str) -> tuple[int, str]:
        order = ["", *(c.value for c in Carrier)]
        return order.index(carrier), purpose

    def _curve_counts(self, curves: Sequence[Curve]) -> str:
        counts = {curve.n for curve in curves}
        if len(counts) == 1:
            return self.words("panel.n_each", n=counts.pop())
        return " · ".join(f"{self.desk.party(c.vendor).name} n {self.words.count(c.n)}" for c in curves)

    def _funnels(self) -> Group:
        words, panels = self.words, []
        for funnel in self.result.funnels:
            if funnel.carrier is not None:
                continue
            party = self.desk.party(funnel.vendor)

            def stage(id: str, count: int, of: int) -> charts.Stage:
                text = words.count(count) if count == of else f"{words.count(count)} / {words.count(of)}"
                return charts.Stage(words(f"funnel.{id}"), count, of, text)

            stages = [
                stage("submitted", funnel.submitted, funnel.submitted),
                stage("accepted", funnel.accepted, funnel.submitted),
                stage("delivered", funnel.delivered, funnel.accepted),
                stage("arrived", funnel.arrived, funnel.watched),
            ]
            replies = [stage("replied", funnel.replied, funnel.replies_sent)] if funnel.replies_sent else []
            about = words("funnel.in_doubt", n=funnel.in_doubt)
            picture = charts.funnel(stages, replies, party.place, f"{words('chart.funnel')}: {party.name}")
            panels.append(Panel(title=party.name, party=party, picture=picture, about=about))
        return Group(
            title=words("chart.funnel"), about=words("chart.funnel.about"), panels=tuple(panels),
            table=self._funnel_table(),
        )  # fmt: skip

    def _funnel_table(self) -> Table | None:
        columns = (
            "submitted", "accepted", "in_doubt", "reported", "delivered", "watched", "arrived", "replies_sent",
            "replied",
        )  # fmt: skip
        rows: tuple[tuple[str | Party, ...], ...] = tuple(
            (
                self.desk.party(funnel.vendor),
                self._carrier(funnel.carrier),
                *(self.words.count(getattr(funnel, column)) for column in columns),
            )
            for funnel in self.result.funnels
        )
        heads = ("vendor", "carrier", *(f"funnel.{column}" for column in columns))
        return self._table(heads, rows, numbers=range(2, 2 + len(columns))) if rows else None

    def _prices(self) -> Group:
        words = self.words
        rows = tuple(
            (self.desk.party(label), words.money(info.price))
            for label, info in self.result.vendors.items()
            if info.price is not None
        )
        table = self._table(("vendor", "price"), rows, numbers=(1,)) if rows else None
        return Group(title=words("chart.prices"), about=words("chart.prices.about"), panels=(), table=table)

    # --- appendices --------------------------------------------------------------------------------------------------

    def missing(self) -> Table | None:
        """What was not measured and why, one row for each vendor, state and reason."""
        told = (State.MEASURED, State.ATTESTED)
        grouped: dict[tuple[str, str, str], list[str]] = {}
        seen: set[tuple[str, str, frozenset[tuple[str, str]]]] = set()
        for finding in (*self.result.skipped, *self.result.findings):
            key = (finding.vendor, finding.measure, frozenset(finding.slice.items()))
            if finding.state in told or key in seen:
                continue
            seen.add(key)
            row = (finding.vendor, self.words.name("state", finding.state), self.desk.note(finding.reason))
            grouped.setdefault(row, []).append(self._named(finding))
        place = {party.label: party.place for party in self.desk.parties}
        rows = tuple(
            (self.desk.party(vendor), state, reason or self.words("reason.untold"), self._some(whats))
            for (vendor, state, reason), whats in sorted(grouped.items(), key=lambda g: (place.get(g[0][0], 99), g[0]))
        )
        return self._table(("vendor", "state", "reason", "what"), rows) if rows else None

    def _named(self, finding: Finding) -> str:
        name = self.words.name("measure", finding.measure)
        return f"{name} ({self.desk.slice(finding.slice)})" if finding.slice else name

    def _some(self, whats: Sequence[str], most: int = 8) -> str:
        listed = self.words.listed(whats[:most])
        return listed if len(whats) <= most else self.words("and_more", listed=listed, n=len(whats) - most)

    def codes(self) -> Table | None:
        words = self.words
        ordered = sorted(
            self.result.codes, key=lambda c: (self.desk.party(c.vendor).place, c.reason != "unmapped", -c.count, c.code)
        )
        rows = tuple(
            (
                self.desk.party(code.vendor),
                words(f"where.{code.where}"),
                code.code,
                words.name("reason", code.reason),
                self._carrier(code.carrier),
                words.count(code.count),
            )
            for code in ordered
        )
        heads = ("vendor", "where", "code", "taken_as", "carrier", "count")
        return self._table(heads, rows, numbers=(5,)) if rows else None

    def documents(self) -> Table | None:
        words = self.words
        rows = tuple(
            (
                self.desk.party(paper.vendor),
                words.name("document", paper.kind),
                words.name("paper_verdict", paper.verdict)
                + (f" · {self.desk.note(paper.reason)}" if paper.reason else ""),
                paper.number or words("none_given"),
                paper.holder or words("none_given"),
                paper.valid_until or words("none_given"),
                words.listed(part for part in (paper.checked_by, paper.checked_on) if part) or words("none_given"),
                f"{paper.file_digest[:12]}…" if paper.file_digest else words("none_given"),
            )
            for paper in sorted(self.result.documents, key=lambda p: self.desk.party(p.vendor).place)
        )
        heads = ("vendor", "document", "paper_verdict", "number", "holder", "valid_until", "checked", "file_digest")
        return self._table(heads, rows) if rows else None

    def method(self) -> list[tuple[str, str]]:
        return [
            (self.words.name("method", key), self._constant(key, value)) for key, value in self.result.method.items()
        ]

    def _constant(self, key: str, value: str | int | float) -> str:
        if isinstance(value, str):
            return self.words.name("method", value)
        if key.endswith("seconds"):
            return self.words.duration(value)
        if key.endswith("minutes"):
            return self.words.minutes(value)
        return self.words.share(value) if key in ("level", "distinct_probability") else self.words.number(value)

    def panel(self) -> list[tuple[str, str]]:
        return [(self._panel_name(key), self.words.count(count)) for key, count in self.result.panel.items()]

    def _panel_name(self, key: str) -> str:
        if f"panel.{key}" in self.words:
            return self.words(f"panel.{key}")
        head, _, tail = key.partition(".")
        if not tail:
            return self.words.name("carrier", key)
        return f"{self.words.name('panel', head)} · {self.words.name('carrier', tail)}"

    def digests(self) -> list[tuple[str, str]]:
        run, words = self.result.run, self.words
        return [
            (words("run.evaluation_digest"), run.evaluation_digest),
            (words("run.plan_digest"), run.plan_digest),
            (words("run.ledger_digest"), run.ledger_digest),
            (words("run.ledger_facts"), words.count(run.ledger_facts)),
            (words("run.seed"), str(run.seed)),
        ]

    def warnings(self) -> list[str]:
        return [self.desk.note(note) for note in self.result.warnings]

    def glossary(self) -> list[tuple[str, str]]:
        return [(self.words(f"glossary.{term}"), self.words(f"glossary.{term}.about")) for term in GLOSSARY]

    def standings(self) -> Table:
        """Each vendor's adapter: how far it is proven, what it can do, and what it lacks and why."""
        words = self.words
        rows = tuple(
            (
                self.desk.party(label),
                words("adapter.standing", standing=info.standing),
                words.listed(words.name("capability", name) for name in info.capabilities),
                words.listed(
                    words(
                        "absent", capability=name, kind=words.name("absent_kind", why.get("kind", "")),
                        because=why.get("because", "") or words("reason.untold"),
                    )
                    for name, why in info.absent.items()
                ) or words("none_given"),
            )
            for label, info in self.result.vendors.items()
        )  # fmt: skip
        return self._table(("vendor", "standing", "capabilities", "absent"), rows)


GLOSSARY: Final = (
    "arrived", "delivered", "accepted", "false_receipt", "interval", "n", "n_eff", "band", "unknown", "measured",
    "attested", "gate", "scope", "group", "in_doubt", "handset",
)  # fmt: skip


# --- reading times ---------------------------------------------------------------------------------------------------


def _beijing(key: str) -> datetime | None:
    """The hour that a series' key names: "2026-03-04T14". A key without a zone is Beijing time."""
    try:
        when = datetime.fromisoformat(key)
    except ValueError:
        return None
    return when.replace(tzinfo=BEIJING) if when.tzinfo is None else when.astimezone(BEIJING)


def _hour_ticks(hours: Sequence[int]) -> list[charts.Tick]:
    """The hours of day from the first to the last that hold anything, with a label every two or four hours."""
    first, last = min(hours, default=0), max(hours, default=23) + 1
    every = 2 if last - first <= 14 else 4
    places = [*(hour for hour in range(first, last, every) if last - hour >= every), last]
    return charts.ticks(places, lambda hour: f"{hour:.0f}")


def _pieces(began: str, ended: str | None, first: Any, days: int) -> Iterable[tuple[int, float, float]]:
    """An outage cut at midnights, Beijing: (day, from hour, to hour) within the days shown."""
    begin = _beijing(began)
    end = _beijing(ended) if ended else None
    if begin is None:
        return
    for day in range(days):
        midnight = datetime.combine(first + timedelta(days=day), datetime.min.time(), BEIJING)
        start = max((begin - midnight).total_seconds() / 3600, 0.0)
        stop = 24.0 if end is None else min((end - midnight).total_seconds() / 3600, 24.0)
        if start < stop and start < 24.0:
            yield day, start, stop
