"""One vendor on one A4 page: what a buyer takes into the meeting and what the vendor is sent.

The same document as the report draws, narrowed to one vendor; self-contained HTML without a script.
"""

from __future__ import annotations

from typing import Any, Final

from harness.domain import State
from harness.judge.result import Note, Result, Scorecard
from harness.words import Words
from reports.figures import Desk, Matrix, Row
from reports.html import View, page

BY_CARRIER: Final = (
    "arrival.rate", "delivery.rate", "false_receipt.rate", "latency.p50", "latency.p99", "stability.availability",
)  # fmt: skip
MOST_UNKNOWN: Final = 5
MOST_REMARKS: Final = 3  # of each kind
MOST_GATES: Final = 7  # those not passed first: one page holds no more; all of them stand in the report
_FIRST: Final = ("fail", "unclear", "not_shown", "pass")


def render(result: Result, words: Words, *, vendor: str) -> bytes:
    """The page of the vendor with this label. Raises KeyError when the document holds no scorecard of it."""
    desk = Desk(result, words)
    card = next((card for card in result.scorecards if card.vendor == vendor), None)
    if card is None:
        raise KeyError(words("card.no_vendor", vendor=vendor))
    view = View(desk)
    gates = _gates(view, vendor)
    parts: dict[str, Any] = {
        "line": view.verdict(card),
        "marks": [(view.numbered(mark.criterion), view.mark_of(vendor, mark)) for mark in card.marks],
        "gates": gates[:MOST_GATES],
        "more_gates": words("and_more", listed="…", n=len(gates) - MOST_GATES) if len(gates) > MOST_GATES else "",
        "strengths": [_with_evidence(desk, card, note) for note in card.strengths[:MOST_REMARKS]],
        "weaknesses": [_with_evidence(desk, card, note) for note in card.weaknesses[:MOST_REMARKS]],
        "carriers": _by_carrier(desk, vendor),
        "papers": _papers(desk, vendor),
        "unknown": _unknown(desk, card),
    }
    return page("scorecard.html.j2", desk, **parts).encode()


def _gates(view: View, vendor: str) -> list[tuple[str, Any]]:
    """(title, cell) of each gate that was put to the vendor, those not passed first."""
    rows = [(row.title, next((c for c in row.cells if c and c.party.label == vendor), None)) for row in view.gates()]
    put = [(title, cell) for title, cell in rows if cell is not None]
    return sorted(put, key=lambda one: _FIRST.index(one[1].verdict))


def _with_evidence(desk: Desk, card: Scorecard, note: Note) -> tuple[str, str]:
    """A strength or weakness, and the cases behind the finding it speaks of."""
    carrier = note.values.get("carrier")
    slice = {"carrier": str(carrier)} if carrier else {}
    finding = desk.finding(card.vendor, str(note.values.get("measure", "")), slice)
    return desk.note(note), desk.evidence(finding.evidence, finding.evidence_count, most=2) if finding else ""


def _by_carrier(desk: Desk, vendor: str) -> Matrix | None:
    """The telling measures: a row a measure, a column a carrier."""
    carriers = desk.slices("arrival.rate").get("carrier", ())
    if not carriers:
        return None
    wanted = [{}, *({"carrier": carrier} for carrier in carriers)]
    rows = [
        Row(
            head=desk.measure(measure),
            party=None,
            cells=tuple(desk.figure(desk.finding(vendor, measure, slice)) for slice in wanted),
        )
        for measure in BY_CARRIER
    ]
    return Matrix(
        measure="", title="", about="", columns=tuple(desk.column(slice) for slice in wanted),
        rows=tuple(row for row in rows if any(row.cells)),
    )  # fmt: skip


def _papers(desk: Desk, vendor: str) -> list[str]:
    words = desk.words
    return [
        words(
            "card.paper_until" if paper.valid_until else "card.paper",
            paper=words.name("document", paper.kind),
            state=words.name("paper_verdict", paper.verdict),
            until=paper.valid_until or "",
        )
        for paper in desk.result.documents
        if paper.vendor == vendor
    ]


def _unknown(desk: Desk, card: Scorecard) -> list[str]:
    """What nobody could tell about this vendor, and why."""
    told = [
        f"{desk.measure(finding.measure)}: {desk.note(finding.reason) or desk.words.name('state', finding.state)}"
        for finding in desk.result.findings
        if finding.vendor == card.vendor and not finding.slice and finding.state not in (State.MEASURED, State.ATTESTED)
    ]
    if len(told) <= MOST_UNKNOWN:
        return told
    return [*told[:MOST_UNKNOWN], desk.words("and_more", listed="…", n=len(told) - MOST_UNKNOWN)]
