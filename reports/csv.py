"""All findings as CSV, one a line: for spreadsheets and for those who would rather compute themselves.

UTF-8 with a byte order mark. Texts that a spreadsheet would take for a formula get an apostrophe in front; numbers
stay numbers, and what is not known is an empty cell beside its state.
"""

from __future__ import annotations

import csv
import io
from typing import Final

from harness.judge.result import Finding, Result
from harness.words import Words
from reports.figures import Desk

COLUMNS: Final = (
    "vendor", "vendor_name", "criterion", "measure", "measure_name", "slice", "carrier", "purpose", "state", "value",
    "low", "high", "unit", "n", "n_eff", "handsets", "days", "scope", "level", "method", "denominator", "reason",
    "evidence_count", "evidence",
)  # fmt: skip

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What makes a spreadsheet run a cell, the full-width forms that some turn into the same included."""

Cell = str | int | float


def render(result: Result, words: Words) -> bytes:
    """The findings, in the document's order. Columns are called the same in every language."""
    desk = Desk(result, words)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for finding in result.findings:
        writer.writerow([defused(cell) for cell in _row(desk, finding)])
    return b"\xef\xbb\xbf" + text.getvalue().encode()


def defused(cell: Cell) -> Cell:
    """A text that cannot be taken for a formula: one that begins like one, after blanks too, gets an apostrophe."""
    return f"'{cell}" if isinstance(cell, str) and like_a_formula(cell) else cell


def like_a_formula(text: str) -> bool:
    """Whether a spreadsheet might run a text, be it after blanks."""
    return text.startswith(_FORMULA) or text.lstrip().startswith(_FORMULA)


def _row(desk: Desk, finding: Finding) -> list[Cell]:
    estimate, info = finding.estimate, desk.info(finding.measure)
    reason = desk.note(finding.reason)
    if estimate is not None and estimate.value is None:
        reason = reason or desk.words("not_reached")
    return [
        finding.vendor,
        desk.party(finding.vendor).name,
        info.criterion if info else "",
        finding.measure,
        desk.measure(finding.measure),
        ";".join(f"{key}={value}" for key, value in finding.slice.items()),
        finding.slice.get("carrier", ""),
        finding.slice.get("purpose", ""),
        finding.state.value,
        *_limits(finding),
        desk.unit(finding.measure).value,
        *_basis(finding),
        info.denominator or "" if info else "",
        reason,
        finding.evidence_count,
        " ".join(finding.evidence),
    ]


def _limits(finding: Finding) -> list[Cell]:
    """Value and limits; one that is not known or not reached is empty."""
    if finding.estimate is None:
        return [""] * 3
    return ["" if x is None else x for x in (finding.estimate.value, finding.estimate.low, finding.estimate.high)]


def _basis(finding: Finding) -> list[Cell]:
    estimate = finding.estimate
    if estimate is None:
        return [""] * 7
    handsets, days = ("" if x is None else x for x in (estimate.handsets, estimate.days))
    return [estimate.n, estimate.n_eff, handsets, days, estimate.scope.value, estimate.level, estimate.method]
