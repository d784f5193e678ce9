"""The workbook: numbers as numbers, reasons instead of blanks, no formula ever, charts with intervals, masked cases."""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import replace

import openpyxl
import pandas as pd
import pytest

from harness.domain import State
from harness.judge import journeys
from harness.judge.result import Note
from harness.words import LANGUAGES, Words
from reports import case_rows, xlsx
from tests.factory import Manner, Scene
from tests.reports.sample import sample
from tests.reports.test_renderers import FORBIDDEN, documents, poisoned, read

SAMPLE = sample()
EN = Words("en")


def workbook(raw: bytes) -> openpyxl.Workbook:
    return openpyxl.load_workbook(io.BytesIO(raw))


def frame() -> pd.DataFrame:
    scene = Scene(("apex",), phones=9, days=1, papers=())
    scene.beat(86_400 + 8000, every=200)
    scene.deliver({"apex": Manner(arrives=0.9, refuses=0.1, doubt=0.05, missing_receipts=0.1)}, each=120)
    return journeys.read(scene.end()).messages


@pytest.fixture(scope="module")
def book() -> openpyxl.Workbook:
    return workbook(xlsx.render(SAMPLE, EN, cases=frame()))


def table(sheet, first: int = 1) -> list[dict[str, object]]:
    rows = list(sheet.iter_rows(min_row=first, values_only=True))
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_sheets_stand_in_order_and_speak_the_reader_s_language(language):
    words = Words(language)
    shown = [one.title for one in workbook(xlsx.render(SAMPLE, words, cases=frame())) if one.sheet_state == "visible"]
    ids = ("overview", "scorecards", "gates", "sla", "findings", "cases", "documents", "method")
    assert shown == [words(f"sheet.{id}") for id in ids]


def test_without_cases_and_contracts_there_are_no_sheets_of_them():
    names = workbook(xlsx.render(replace(SAMPLE, sla=()), EN)).sheetnames
    assert "Cases" not in names and "Contracts (SLA)" not in names


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("path", documents())
def test_every_result_can_be_written_without_a_blank_in_a_table(path, language):
    book = workbook(xlsx.render(read(path), Words(language)))
    for name in ("scorecards", "gates", "findings", "documents", "method"):
        sheet = book[Words(language)(f"sheet.{name}")]
        first = 3 if name == "method" else 1
        for row in sheet.iter_rows(min_row=first):
            for cell in row:
                assert cell.value not in (None, ""), f"{sheet.title}!{cell.coordinate}"
                assert not (isinstance(cell.value, str) and FORBIDDEN.search(cell.value)), cell.value


def test_numbers_are_numbers_with_a_format_and_what_is_unknown_is_its_reason(book):
    rows = table(book["Findings"])
    assert len(rows) == len(SAMPLE.findings)
    for row, finding in zip(rows, SAMPLE.findings, strict=True):
        if finding.estimate is None:
            assert isinstance(row["Value"], str) and row["n"] == "no number"
        elif finding.estimate.value is None:
            assert row["Value"] == "not reached"
        else:
            assert row["Value"] == pytest.approx(finding.estimate.value) and row["n"] == finding.estimate.n
    unmeasured = next(r for r, f in zip(rows, SAMPLE.findings, strict=True) if f.state is State.NOT_OFFERED)
    assert unmeasured["State"] == "not offered" and unmeasured["Value"] not in (0, "0", "")


def test_a_share_is_written_as_per_cent(book):
    sheet = book["Findings"]
    place = next(n for n, f in enumerate(SAMPLE.findings, 2) if f.measure == "arrival.rate" and f.estimate)
    assert sheet.cell(place, 6).number_format == "0.00%"


def test_a_mark_without_a_score_is_unknown_and_never_zero(book):
    marks = [mark for card in SAMPLE.scorecards for mark in card.marks]
    rows = [row for row in table(book["Scorecards"]) if row["Part"] == "the criterion's mark"]
    assert any(mark.score is None for mark in marks)
    for row, mark in zip(rows, marks, strict=True):
        assert row["Score"] == ("unknown" if mark.score is None else pytest.approx(mark.score))


def test_the_head_is_frozen_and_can_be_filtered_and_columns_fit_chinese():
    book = workbook(xlsx.render(SAMPLE, Words("zh-CN"), cases=frame()))
    for name in ("评分卡", "门限", "测量结果", "个案", "证件"):
        sheet = book[name]
        assert sheet.freeze_panes == "B2" and sheet.auto_filter.ref.startswith("A1:")
    measures = {str(row[0].value) for row in book["测量结果"].iter_rows(min_col=3, max_col=3)}
    widest = max(map(xlsx.width_of, measures))
    assert book["测量结果"].column_dimensions["C"].width >= min(widest, 58)
    assert xlsx.width_of("到达率 p95") == 10


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "＝", " ="])
def test_no_text_ever_becomes_a_formula(start):
    text = f"{start}HYPERLINK(1)"
    hostile = replace(poisoned(SAMPLE, text), findings=tuple(replace(f, reason=Note(id=text)) for f in SAMPLE.findings))
    raw = xlsx.render(hostile, EN, cases=frame().assign(code=text, sender=text))
    with zipfile.ZipFile(io.BytesIO(raw)) as parts:
        sheets = {name: parts.read(name).decode() for name in parts.namelist() if "worksheets/sheet" in name}
    assert sheets and not any("<f>" in one or "<hyperlink" in one for one in sheets.values())
    cells = [c for sheet in workbook(raw) for row in sheet.iter_rows() for c in row if c.value and text in str(c.value)]
    told = [cell for cell in cells if str(cell.value).startswith(text)]
    assert told and all(cell.data_type == "s" for cell in told)
    assert any(cell.quotePrefix for cell in told)  # so that editing the cell does not make it one either


@pytest.mark.parametrize("text", ["\x00\x0b\ufffe", "x" * 40_000, "]]>&<b>", "_x0041_"])
def test_any_text_gives_a_workbook_that_opens(text):
    hostile = replace(
        poisoned(SAMPLE, "hostile "), findings=tuple(replace(f, reason=Note(id=text)) for f in SAMPLE.findings[:3])
    )
    assert len(table(workbook(xlsx.render(hostile, EN))["Findings"])) == 3


def test_charts_show_marks_and_arrival_with_intervals_and_gaps_for_the_unknown():
    raw = xlsx.render(SAMPLE, EN)
    with zipfile.ZipFile(io.BytesIO(raw)) as parts:
        drawn = [parts.read(name).decode() for name in parts.namelist() if re.match(r"xl/charts/chart\d", name)]
    assert len(drawn) == 2
    for chart in drawn:
        assert chart.count("<c:ser>") == len(SAMPLE.vendors)
        assert chart.count('<c:errValType val="cust"/>') == len(SAMPLE.vendors)
    data = workbook(raw)["Chart data"]
    assert data.sheet_state == "hidden"
    blank = [cell for row in data.iter_rows(min_row=2, min_col=2) for cell in row if cell.value is None]
    assert blank, "a mark that is not known has no bar"


def test_contracts_stand_beside_what_was_measured(book):
    rows = table(book["Contracts (SLA)"], first=3)
    assert [row["Contract"] for row in rows] == ["DD-2026-01", "DD-2026-01", "not given", "WL-2026-88", "WL-2026-88"]
    assert rows[0]["Value"] == pytest.approx(0.993) and rows[2]["Would be owed"] == "cannot be told"
    assert "below 95.0 %" in str(rows[0]["Terms"])


def test_cases_tell_why_something_did_not_happen_and_mask_numbers(book):
    rows = table(book["Cases"])
    assert len(rows) == len(frame())
    for row in rows:
        assert all(value not in (None, "", 0) for value in row.values())
        if row["Vendor's answer"] == "refused":
            assert row["Arrived after, s"] == "not taken by the vendor" and "(E9)" in str(
                row["Why not (vendor's code)"]
            )
        if row["Seen by the phone"] == "arrived":
            assert isinstance(row["Arrived after, s"], float | int)
    assert {row["Vendor"] for row in rows} == {"Apex SMS"}
    assert case_rows.masked("发往13800001234与8613900005678") == "发往138****1234与8613900005678"


def test_the_same_document_gives_the_same_bytes():
    assert xlsx.render(SAMPLE, EN, cases=frame()) == xlsx.render(SAMPLE, EN, cases=frame())


def test_a_run_that_has_not_ended_and_nothing_measured_can_be_written():
    bare = replace(
        SAMPLE, run=replace(SAMPLE.run, ended=None), findings=(), criteria=(), scorecards=(), gates=(), codes=(),
        documents=(), skipped=(), warnings=(), method={}, panel={}, sla=(),
    )  # fmt: skip
    assert workbook(xlsx.render(bare, EN)).sheetnames[0] == "Overview"
