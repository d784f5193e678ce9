"""The result as a workbook: overview with charts, marks, gates, contracts, findings, cases, documents, method.

Numbers are numbers with a format; what is not known stands as its reason, never as 0 or an empty cell. The workbook
holds no formula at all, and a text that begins like one is kept from ever becoming one. Same document, same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from unicodedata import east_asian_width

import pandas as pd
import xlsxwriter

from harness.domain import Carrier, Unit
from harness.judge.result import Finding, Result
from harness.words import Words
from reports import charts
from reports.appendix import Appendix
from reports.case_rows import FORMS as CASE_FORMS
from reports.case_rows import columns
from reports.contract import HEADS, Contract
from reports.csv import like_a_formula
from reports.figures import Desk, Party, Table
from reports.html import View

FORMATS: Final = {
    "share": "0.00%", "points": "0.0", "count": "#,##0", "number": "#,##0.0##", "seconds": "#,##0.0##",
    "days": "#,##0.0##", "money": "0.0000", "moment": "yyyy-mm-dd hh:mm:ss",
}  # fmt: skip
_OF_UNIT: Final = {
    Unit.SHARE: "share", Unit.SECONDS: "seconds", Unit.DAYS: "days", Unit.COUNT: "count", Unit.CNY: "money",
    Unit.PER_HOUR: "number", Unit.RATIO: "number",
}  # fmt: skip
COLOURS: Final = ("#1f6aa5", "#bf5700", "#0a7a60", "#8a4f8f", "#5f6672", "#8a6d00", "#2c8fb3", "#7a3b20")
WIDEST: Final = 58.0  # of a column, in digits; longer texts are wrapped
LONGEST: Final = 32_000  # characters that a cell can hold
CHART_SIZE: Final = {"width": 760, "height": 340}


@dataclass(frozen=True, slots=True)
class Number:
    """A number and how it is written."""

    x: float
    form: str


Cell = str | Number


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A table on a sheet: names of its columns, and rows of cells."""

    heads: tuple[str, ...]
    rows: Sequence[Sequence[Cell]]


def render(result: Result, words: Words, *, cases: pd.DataFrame | None = None) -> bytes:
    """The workbook. `cases`: `messages` of the same run's journeys.Evidence; None: no sheet of cases."""
    desk, out = Desk(result, words), io.BytesIO()
    book = _Book(out, desk)
    book.overview()
    tables = Tables(desk)
    book.sheet("scorecards", tables.marks())
    book.sheet("gates", tables.gates())
    if result.sla:
        book.sheet("sla", tables.sla(), note=words("sla.about"))
    book.sheet("findings", tables.findings())
    if cases is not None:
        book.cases(cases)
    book.sheet("documents", tables.documents())
    book.sheet("method", tables.method(), note=words("method.about"))
    book.close()
    return out.getvalue()


# --- what stands in the tables ---------------------------------------------------------------------------------------


class Tables:
    """The tables of one result."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.result, self.words = desk, desk.result, desk.words
        self.view, self.appendix = View(desk), Appendix(desk)

    def _heads(self, *ids: str) -> tuple[str, ...]:
        return tuple(self.words(f"head.{id}") for id in ids)

    def verdicts(self) -> Grid:
        words, rows = self.words, list[tuple[Cell, ...]]()
        for card in self.result.scorecards:
            group = words("xlsx.out") if card.group is None else Number(card.group, "count")
            first = words("p_first.none") if card.p_first is None else Number(card.p_first, "share")
            rows.append(
                (
                    self.desk.party(card.vendor).name, words.name("ranking", card.standing), self._score(card.overall),
                    Number(card.low, "points"), Number(card.high, "points"), group, first,
                    self.desk.note(card.verdict),
                )
            )  # fmt: skip
        heads = self._heads("vendor", "ranking", "score", "low", "high", "group", "p_first", "sentence")
        return Grid(heads=heads, rows=rows)

    def _score(self, score: float | None) -> Cell:
        return self.words("unknown") if score is None else Number(score, "points")

    def marks(self) -> Grid:
        """A row for each vendor and criterion, with how the mark came about below it."""
        desk, words, rows = self.desk, self.words, list[tuple[Cell, ...]]()
        weights = {one.id: one.weight for one in self.result.criteria}
        for card in self.result.scorecards:
            name = desk.party(card.vendor).name
            rows.append(
                (name, words("overall"), words("xlsx.whole"), Number(sum(weights.values()), "points"),
                 self._score(card.overall), Number(card.low, "points"), Number(card.high, "points"),
                 words("xlsx.nothing"), desk.note(card.verdict), words("xlsx.nothing"))
            )  # fmt: skip
            for mark in card.marks:
                title, weight = self.view.numbered(mark.criterion), Number(weights.get(mark.criterion, 0.0), "points")
                evidence = desk.evidence(mark.evidence) or words("xlsx.nothing")
                rows.append(
                    (name, title, words("xlsx.mark"), weight, self._score(mark.score), Number(mark.low, "points"),
                     Number(mark.high, "points"), words.name("source", mark.source), desk.note(mark.reason), evidence)
                )  # fmt: skip
                for one in mark.members:
                    measure = desk.measure(one.measure)
                    told = f"{measure} ({desk.slice(one.slice)})" if one.slice else measure
                    rows.append(
                        (name, title, told, Number(one.weight, "points"), self._score(one.score),
                         Number(one.low, "points"), Number(one.high, "points"), words.name("source", one.source),
                         words.name("state", one.state), words("xlsx.nothing"))
                    )  # fmt: skip
        heads = self._heads(
            "vendor", "criterion", "part", "weight", "score", "low", "high", "source", "reason", "evidence"
        )
        return Grid(heads=heads, rows=rows)

    def gates(self) -> Grid:
        words = self.words
        rows = [
            (cell.party.name, row.title, row.text, cell.word, cell.value or words("xlsx.nothing"), cell.reason,
             words("gate.legal") if row.legal else words("xlsx.own"), cell.evidence or words("xlsx.nothing"))
            for row in self.view.gates() for cell in row.cells if cell is not None
        ]  # fmt: skip
        heads = self._heads("vendor", "gate", "written", "verdict", "value", "reason", "whose", "evidence")
        return Grid(heads=heads, rows=rows)

    def sla(self) -> Grid:
        """A row for each clause and kind of evidence."""
        words, rows = self.words, list[tuple[Cell, ...]]()
        plain = {one.vendor: one for one in self.result.sla}
        for clause in Contract(self.desk).clauses():
            terms = "\n".join(f"{name}: {text}" for name, text in clause.terms)
            remarks = "\n".join(clause.remarks) or words("xlsx.nothing")
            if clause.values is None:
                blank = words("sla.due.untold")
                rows.append((clause.party.name, clause.contract, *(blank,) * 6, clause.reason, remarks, blank))
                continue
            for told, value in zip(clause.values.rows, plain[clause.party.label].values, strict=True):
                texts = [str(part) for part in told]
                share, n = (
                    self._share_of(value.estimate, texts[1]),
                    Number(value.estimate.n if value.estimate else 0, "count"),
                )
                rows.append(
                    (clause.party.name, clause.contract, texts[0], share, texts[2], n, texts[4], texts[5], terms,
                     remarks, texts[6] or words("xlsx.nothing"))
                )  # fmt: skip
        heads = self._heads("vendor", "contract", *HEADS[:6], "terms", "remarks", "evidence")
        return Grid(heads=heads, rows=rows)

    @staticmethod
    def _share_of(estimate: Any, text: str) -> Cell:
        return text if estimate is None or estimate.value is None else Number(estimate.value, "share")

    def findings(self) -> Grid:
        heads = self._heads(
            "vendor", "criterion", "measure", "slice", "state", "value", "low", "high", "unit", "n", "n_eff",
            "handsets", "days", "scope", "method", "denominator", "reason", "cases", "evidence",
        )  # fmt: skip
        return Grid(heads=heads, rows=[self._finding(one) for one in self.result.findings])

    def _finding(self, one: Finding) -> tuple[Cell, ...]:
        desk, words, estimate = self.desk, self.words, one.estimate
        info, unit = desk.info(one.measure), desk.unit(one.measure)
        state = words.name("state", one.state)
        form, reason = _OF_UNIT[unit], desk.note(one.reason)

        def limit(x: float | None) -> Cell:
            return words("not_reached") if x is None else Number(x, form)

        told: tuple[Cell, ...] = (reason or state, *(words("xlsx.no_limit"),) * 2)
        basis: tuple[Cell, ...] = (words("xlsx.no_number"),) * 6
        if estimate is not None:
            told = (limit(estimate.value), limit(estimate.low), limit(estimate.high))
            handsets = words("xlsx.no_handsets") if estimate.handsets is None else Number(estimate.handsets, "count")
            days = words("xlsx.no_span") if estimate.days is None else Number(estimate.days, "days")
            basis = (Number(estimate.n, "count"), Number(estimate.n_eff, "number"), handsets, days,
                     words.name("scope", estimate.scope), estimate.method)  # fmt: skip
        denominator = (
            words.name("denominator", info.denominator) if info and info.denominator else words("xlsx.nothing")
        )
        return (
            desk.party(one.vendor).name, words.name("criterion", info.criterion) if info else words("unknown"),
            desk.measure(one.measure), desk.slice(one.slice), state, *told, words.name("unit", unit), *basis,
            denominator, reason or words("xlsx.nothing"), Number(one.evidence_count, "count"),
            desk.evidence(one.evidence, one.evidence_count) or words("xlsx.nothing"),
        )  # fmt: skip

    def documents(self) -> Grid:
        return self._of(self.appendix.documents(), self.words("documents.none"))

    def _of(self, table: Table | None, nothing: str) -> Grid:
        """A table of the appendix."""
        if table is None:
            return Grid(heads=self._heads("what"), rows=[(nothing,)])
        rows = [tuple(cell.name if isinstance(cell, Party) else cell for cell in row) for row in table.rows]
        return Grid(heads=table.heads, rows=[[cell or self.words("xlsx.nothing") for cell in row] for row in rows])

    def method(self) -> Grid:
        """Constants, panel, digests, warnings and the glossary, one after the other."""
        words, parts = self.words, self.appendix
        blocks = (
            (words("title.constants"), parts.method()),
            (words("title.panel"), parts.panel()),
            (words("title.evidence"), [*self.view.facts(), *parts.digests()]),
            (words("title.warnings"), [(str(n), text) for n, text in enumerate(parts.warnings(), 1)]),
            (words("title.glossary"), parts.glossary()),
        )
        rows = [(title, name, value) for title, pairs in blocks for name, value in pairs]
        return Grid(heads=self._heads("section", "what", "value"), rows=rows)


# --- how it is written -----------------------------------------------------------------------------------------------


def width_of(text: str) -> int:
    """How wide a text is in digits: Chinese counts twice; of several lines the widest."""
    return max((sum(2 if east_asian_width(c) in "WF" else 1 for c in line) for line in text.split("\n")), default=0)


class _Book:
    """The workbook while it is written."""

    def __init__(self, out: io.BytesIO, desk: Desk) -> None:
        self.desk, self.words = desk, desk.words
        self.book = xlsxwriter.Workbook(out, {"in_memory": True})
        run = desk.result.run
        made = datetime.fromisoformat(run.ended or run.began).astimezone(UTC).replace(tzinfo=None)
        self.book.set_properties(
            {"title": _clean(f"{self.words('report.title')} · {run.evaluation}"), "created": made, "author": "smsbench"}
        )
        font = {"font_name": "Microsoft YaHei" if self.words.language == "zh-CN" else "Calibri", "font_size": 10}
        body = {**font, "valign": "top"}
        self.formats = {form: self.book.add_format({**body, "num_format": code}) for form, code in FORMATS.items()}
        self.text = self.book.add_format({**body, "text_wrap": True})
        self.quoted = self.book.add_format({**body, "text_wrap": True, "quote_prefix": True})
        self.plain = self.book.add_format(body)
        self.head = self.book.add_format(
            {
                **font,
                "bold": True,
                "font_color": "#ffffff",
                "bg_color": "#17375e",
                "text_wrap": True,
                "valign": "vcenter",
            }
        )
        self.title = self.book.add_format({**font, "bold": True, "font_size": 16, "font_color": "#17375e"})
        self.warn = self.book.add_format({**font, "bold": True, "font_color": "#8d7430"})
        self.soft = self.book.add_format({**font, "font_color": "#56616f"})

    def close(self) -> None:
        self.book.close()

    def _page(self, id: str) -> Any:
        sheet = self.book.add_worksheet(self.words(f"sheet.{id}")[:31])
        sheet.set_landscape()
        sheet.set_paper(9)  # A4
        sheet.fit_to_pages(1, 0)
        sheet.set_footer("&L&F · &A&R&P / &N")
        sheet.hide_gridlines(2)
        return sheet

    def put(self, sheet: Any, row: int, column: int, cell: Cell) -> None:
        if isinstance(cell, Number):
            sheet.write_number(row, column, cell.x, self.formats[cell.form])
        else:
            text = _clean(cell)
            sheet.write_string(row, column, text, self.quoted if like_a_formula(text) else self.text)

    def sheet(self, id: str, grid: Grid, note: str = "") -> None:
        """A sheet that is one table: frozen head, filter, columns as wide as what they hold."""
        sheet = self._page(id)
        first = 0
        if note:
            sheet.write_string(0, 0, _clean(note), self.soft)
            first = 2
        self.table(sheet, first, grid)
        self.widths(sheet, grid)
        sheet.freeze_panes(first + 1, 1)
        sheet.repeat_rows(first)
        sheet.autofilter(first, 0, first + max(len(grid.rows), 1), len(grid.heads) - 1)

    def table(self, sheet: Any, first: int, grid: Grid) -> int:
        """A table from a row on; the row after it."""
        for column, head in enumerate(grid.heads):
            sheet.write_string(first, column, _clean(head), self.head)
        for place, row in enumerate(grid.rows, first + 1):
            for column, cell in enumerate(row):
                self.put(sheet, place, column, cell)
        return first + 1 + len(grid.rows)

    def widths(self, sheet: Any, *grids: Grid) -> None:
        wide: dict[int, int] = {}
        for grid in grids:
            for row in (grid.heads, *grid.rows):
                for column, cell in enumerate(row):
                    size = width_of(cell) if isinstance(cell, str) else 9
                    wide[column] = max(wide.get(column, 0), size)
        for column, size in wide.items():
            sheet.set_column(column, column, min(size + 3, WIDEST))  # 3: the filter's arrow

    # --- overview ----------------------------------------------------------------------------------------------------

    def overview(self) -> None:
        words, desk, sheet = self.words, self.desk, self._page("overview")
        sheet.fit_to_pages(1, 1)  # the charts are not to be cut in two
        tables = Tables(desk)
        sheet.write_string(0, 0, _clean(desk.result.run.evaluation), self.title)
        sheet.write_string(1, 0, _clean(words("report.lead", n=len(desk.result.vendors))), self.soft)
        if tables.view.is_sandbox:
            sheet.write_string(2, 0, words("banner.sandbox"), self.warn)
        verdicts = tables.verdicts()
        row = self.table(sheet, 4, verdicts) + 1
        self.widths(sheet, verdicts)
        for name, value in tables.view.facts():
            self.put(sheet, row, 0, name)
            sheet.write_string(row, 1, _clean(value), self.plain)
            row += 1
        data = _Data(self, words("sheet.charts")[:31])
        for chart in (data.marks(), data.arrival()):
            if chart is not None:
                sheet.insert_chart(row + 1, 0, chart)
                row += 18
        for sentence in tables.view.order():
            sheet.write_string(row + 1, 0, _clean(sentence), self.plain)
            row += 1

    # --- cases -------------------------------------------------------------------------------------------------------

    def cases(self, frame: pd.DataFrame) -> None:
        """A row a message, column by column: tens of thousands of them take seconds."""
        sheet = self._page("cases")
        made = columns(frame, self.words, self.desk)
        for place, (id, cells) in enumerate(made.items()):
            head = self.words(f"head.case.{id}")
            sheet.write_string(0, place, head, self.head)
            form = CASE_FORMS.get(id)
            texts = {cell for cell in cells if isinstance(cell, str)}
            wide = max(width_of(head), 20 if form == "moment" else 9 if form else 0, *map(width_of, texts), 0)
            clean = {text: _clean(text) for text in texts}
            kind = self.formats[form] if form else self.plain
            sheet.set_column(place, place, min(wide + 3, WIDEST), kind)
            quoted = {text for text in texts if like_a_formula(text)}
            number, string = sheet.write_number, sheet.write_string
            for row, cell in enumerate(cells, 1):
                if not isinstance(cell, str):
                    number(row, place, cell)
                elif cell in quoted:
                    string(row, place, clean[cell], self.quoted)
                else:
                    string(row, place, clean[cell])
        sheet.freeze_panes(1, 1)
        sheet.repeat_rows(0)
        sheet.autofilter(0, 0, max(len(frame), 1), len(made) - 1)


class _Data:
    """What the charts are drawn from, on a hidden sheet: there, what is not known is a gap and no bar."""

    def __init__(self, book: _Book, name: str) -> None:
        self.book, self.desk, self.words, self.name = book, book.desk, book.words, name
        self.sheet = book.book.add_worksheet(name)
        self.sheet.hide()
        self.row = 0

    def marks(self) -> Any:
        """Marks by criterion, a series a vendor, bands as error bars."""
        ids = [one.id for one in self.desk.result.criteria if one.weight]
        view = View(self.desk)
        cards = {card.vendor: {mark.criterion: mark for mark in card.marks} for card in self.desk.result.scorecards}
        found = {
            label: [(m.score, m.low, m.high) if (m := marks.get(id)) else None for id in ids]
            for label, marks in cards.items()
        }
        names = [view.numbered(id) for id in ids]
        return self._chart(self.words("xlsx.chart.marks"), names, found, (0.0, 100.0), "0")

    def arrival(self) -> Any:
        """Arrival by carrier, a series a vendor, intervals as error bars."""
        have = self.desk.slices("arrival.rate").get("carrier", ())
        carriers = [one.value for one in Carrier if one.value in have]
        found: dict[str, list[tuple[float | None, float | None, float | None] | None]] = {}
        for party in self.desk.parties:
            told = [self.desk.finding(party.label, "arrival.rate", {"carrier": one}) for one in carriers]
            found[party.label] = [
                (f.estimate.value, f.estimate.low, f.estimate.high) if f and f.estimate else None for f in told
            ]
        lows = [x for row in found.values() for cell in row if cell for x in cell[:2] if x is not None]
        names = [self.words.name("carrier", one) for one in carriers]
        low, high = charts.share_ends(lows, [1.0]) if lows else (0.0, 1.0)
        title = self.words("xlsx.chart.arrival")
        if low:
            title = self.words("xlsx.chart.begins", title=title, begin_share=low)
        return self._chart(title, names, found, (low, high), "0%")

    def _chart(
        self, title: str, names: Sequence[str],
        found: Mapping[str, Sequence[tuple[float | None, float | None, float | None] | None]],
        ends: tuple[float, float], form: str,
    ) -> Any:  # fmt: skip
        if not names or not found:
            return None
        chart: Any = self.book.book.add_chart({"type": "column"})
        last = len(names)
        for place, name in enumerate(names, 1):
            self.sheet.write_string(self.row, place, _clean(name))
        across = [self.name, self.row, 1, self.row, last]
        for label, cells in found.items():
            party, at = self.desk.party(label), self.row + 1
            self.sheet.write_string(at, 0, _clean(party.name))
            for place, cell in enumerate(cells, 1):
                for more, x in enumerate(_bars(cell)):
                    self.sheet.write_number(at + more, place, x)
            colour = COLOURS[party.place % len(COLOURS)]
            chart.add_series(
                {
                    "name": [self.name, at, 0], "categories": across, "values": [self.name, at, 1, at, last],
                    "fill": {"color": colour, "transparency": 35}, "border": {"color": colour}, "gap": 60,
                    "y_error_bars": {
                        "type": "custom", "plus_values": self._range(at + 1, last),
                        "minus_values": self._range(at + 2, last), "line": {"color": "#1b2430", "width": 1},
                    },
                }
            )  # fmt: skip
            self.row += 3
        self.row += 2
        chart.set_title({"name": _clean(title), "name_font": {"size": 12, "color": "#17375e"}, "overlay": False})
        grid = {"visible": True, "line": {"color": "#e6eaee"}}
        chart.set_y_axis({"min": ends[0], "max": ends[1], "num_format": form, "major_gridlines": grid})
        chart.set_legend({"position": "bottom"})
        chart.set_size(CHART_SIZE)
        chart.show_hidden_data()
        return chart

    def _range(self, row: int, last: int) -> str:
        first, end = (xlsxwriter.utility.xl_col_to_name(column, True) for column in (1, last))
        quoted = self.name.replace("'", "''")
        return f"='{quoted}'!{first}${row + 1}:{end}${row + 1}"


def _bars(cell: tuple[float | None, float | None, float | None] | None) -> Iterator[float]:
    """Value, and how far the interval reaches up and down; nothing where there is no value."""
    if cell is None or cell[0] is None:
        return
    value, low, high = cell[0], cell[1], cell[2]
    yield from (value, 0.0 if high is None else max(0.0, high - value), 0.0 if low is None else max(0.0, value - low))


def _clean(text: str) -> str:
    """A text that fits in a cell."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
